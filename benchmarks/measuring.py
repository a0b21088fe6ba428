"""Measuring side by side: every contender in turn within one run, the minimum over rounds."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping

import attrs


@attrs.frozen
class Cost:
    """What one call costs: the least CPU and wall time seen, in seconds."""

    cpu: float
    wall: float


def side_by_side(contenders: Mapping[str, Callable[[], object]], *, rounds: int, calls: int) -> dict[str, Cost]:
    """Time each contender in every round, so that a busy moment of the machine hits all of them."""
    best = {name: Cost(float("inf"), float("inf")) for name in contenders}
    for call in contenders.values():
        call()
    collecting = gc.isenabled()
    try:
        for _ in range(rounds):
            for name, call in contenders.items():
                gc.collect()
                gc.disable()
                wall, cpu = time.perf_counter(), time.process_time()
                for _ in range(calls):
                    call()
                cost = Cost((time.process_time() - cpu) / calls, (time.perf_counter() - wall) / calls)
                gc.enable()
                best[name] = Cost(min(best[name].cpu, cost.cpu), min(best[name].wall, cost.wall))
    finally:
        if collecting:
            gc.enable()
    return best

"""How long work takes, for tests of how it grows with its input."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

__all__ = ["seconds"]


def seconds(work: Callable[[], object]) -> float:
    """Seconds of this process that a call takes at best, of three.

    Collection of garbage is off: it would walk all that the tests before it left, which is no cost of the work.
    """
    best, collecting = float("inf"), gc.isenabled()
    gc.disable()
    try:
        for _ in range(3):
            begun = time.process_time()
            work()
            best = min(best, time.process_time() - begun)
    finally:
        if collecting:
            gc.enable()
    return best

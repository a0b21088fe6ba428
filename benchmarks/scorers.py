"""Costs of the trained scorers by number of events: ``python -m benchmarks.scorers``.

For each scorer and each number of made-up events, in a process of its own: CPU seconds of fit, save and load, memory of
the whole process after fit, milliseconds of ranking 500 items for a user with a history, with the scorer as it was
loaded and as it was fitted, and of learning one event more. Seconds are of CPU, the least of some rounds where a round
is short, so that a busy machine changes little.

``--beside DIR`` measures another checkout too, in the same run, and prints the ratios: ``git worktree add --detach DIR
COMMIT``. Options: ``--events 100000 1000000``, ``--scorers EnsembleScorer CoVisitationScorer``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

from personalize_rt import rerank
from personalize_rt.interactions import Interaction
from personalize_rt.rerank import TrainableScorer

ROOT = Path(__file__).parent.parent
DAY = 86_400.0
ITEMS = 500


def made_up(chance: random.Random, events: int) -> list[Interaction]:
    """Events in which few users and few items have most of the activity: ten events a user and an item."""
    most = events // 10
    return [
        Interaction(
            f"user-{int(most * chance.random() ** 3)}",
            f"item-{int(most * chance.random() ** 3)}",
            chance.uniform(0.0, 180.0 * DAY),
        )
        for _ in range(events)
    ]


def seconds(call: Callable[[], object]) -> float:
    """CPU seconds of a call."""
    start = process_time()
    call()
    return process_time() - start


def measured(name: str, events: int) -> dict[str, float]:
    """The costs of one scorer."""
    chance = random.Random(21)
    given = made_up(chance, events)
    user_ids = [chance.choice(given).user_id for _ in range(300)]
    item_ids = sorted({event.item_id for event in given})
    lists = [chance.sample(item_ids, ITEMS) for _ in user_ids]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    scorer: Any = getattr(rerank, name)()
    fit = seconds(lambda: scorer.fit(given))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    def ranks(scorer: TrainableScorer) -> float:
        asked = zip(user_ids, lists, strict=True)
        return statistics.median([seconds(partial(scorer, user, ids, None)) for user, ids in asked]) * 1_000

    def updates(scorer: TrainableScorer) -> float:
        return statistics.median([seconds(partial(scorer.update, [event])) for event in late]) * 1_000

    rank = ranks(scorer)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "scorer")
        save = seconds(lambda: scorer.save(path))
        size = path.stat().st_size / 1e6
        load = min(seconds(lambda: type(scorer).load(path)) for _ in range(3))
        loaded = type(scorer).load(path)
    rank_loaded = ranks(loaded)
    late = [Interaction(user, chance.choice(item_ids), 181.0 * DAY + n) for n, user in enumerate(user_ids)]
    return {
        "fit, s": fit,
        "memory after fit, MB": memory,
        "of it the events, MB": before,
        "save, s": save,
        "file, MB": size,
        "load, s": load,
        "500 items, ms": rank,
        "500 items loaded, ms": rank_loaded,
        "an event more, ms": updates(scorer),
        "an event more loaded, ms": updates(loaded),
    }


def asked(checkout: Path, name: str, events: int) -> dict[str, float]:
    """Measure in a new process, with the package of a checkout."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", name, str(events)],
        env={**os.environ, "PYTHONPATH": str(checkout), "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def main() -> int:
    """Run all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scorers", description=__doc__)
    parser.add_argument("--events", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--scorers", nargs="+", default=["EnsembleScorer", "CoVisitationScorer"])
    parser.add_argument("--beside", type=Path)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options.one[0], int(options.one[1]))))
        return 0
    for events in options.events:
        for name in options.scorers:
            other = asked(options.beside.resolve(), name, events) if options.beside else None
            here = asked(ROOT, name, events)
            print(f"{name}, {events:,} events" + (": before, now, now to before" if other else ""), flush=True)
            for what, figure in here.items():
                before = f"{other[what]:8.3f} " if other else ""
                ratio = f" {figure / other[what]:6.2f}" if other and other[what] else ""
                print(f"  {what:26} {before}{figure:8.3f}{ratio}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How well scorers foresee what users do next: ``python -m benchmarks.quality --data DIR``.

Each test event is to be found among 100 candidates; ``task.py`` says how they are drawn. Prints NDCG@10, the mean
reciprocal rank and the hit rate@10, with 95 % bootstrap intervals. The scorers of this package are fitted at the split
and updated with every event before the one asked for. Models of other libraries run in environments of their own, are
tuned on the validation cases, fitted anew five times in the test, and asked with the user's history of the moment:

    python -m benchmarks.quality --data DIR --peer implicit=VENV/bin/python --peer lenskit=… --peer rectools=…

``--results DIR`` keeps what the peers found, and takes what is there instead of running them again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import personalize_rt.local
from benchmarks.quality import own
from benchmarks.quality.measures import NAMES, Place, gains, interval, mean
from benchmarks.quality.task import Task, read_catalogue, read_events

ROOT = Path(__file__).parents[2]
SAMPLE = Path(personalize_rt.local.__file__).parent / "sample"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--data", type=Path, default=SAMPLE, help="a directory with interactions.csv and items.csv")
    parser.add_argument("--cases", type=int, default=3000, help="how many events to foresee, and to tune with")
    parser.add_argument("--refits", type=int, default=5, help="how often peers are fitted anew in the test")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--results", type=Path, help="where the task and the peers' results are kept")
    options = parser.parse_args()
    task = Task.of(read_events(options.data), cases=options.cases, refits=options.refits, seed=options.seed)
    print(f"{len(task.events):,} events; {len(task.test):,} to foresee\n")
    print("| | " + " | ".join(NAMES) + " |")
    print("|---" * (len(NAMES) + 1) + "|")
    for name, make in own.models(read_catalogue(options.data)).items():
        show(name, own.places(make(), task))
    with tempfile.TemporaryDirectory() as scratch:
        folder: Path = options.results or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        task.save(folder / "task.json")
        for peer in options.peer:
            name, _, python = peer.partition("=")
            for model, found in ask_peer(name, python, folder).items():
                show(model, found)
    return 0


def ask_peer(name: str, python: str, folder: Path) -> dict[str, list[Place]]:
    """Run a module of ``peers``, unless its results are there."""
    result = folder / f"{name}.json"
    if not result.exists():
        module = f"benchmarks.quality.peers.{name}_models"
        # One thread for each library: the models are small, and results repeat.
        env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        subprocess.run([python, "-m", module, str(folder / "task.json"), str(result)], check=True, env=env, stdout=2)
    return {model: [tuple(one) for one in found["places"]] for model, found in json.loads(result.read_text()).items()}


def show(name: str, places: Sequence[Place]) -> None:
    """One line of the table."""
    columns = zip(*map(gains, places), strict=True)
    cells = [f"{mean(column):.4f} ({low:.4f} to {high:.4f})" for column in columns for low, high in [interval(column)]]
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    sys.exit(main())

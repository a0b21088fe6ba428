"""How well scorers foresee what users do next: ``python -m benchmarks.quality --data DIR``.

Each test event is to be found among 100 candidates; ``task.py`` says how they are drawn. Prints NDCG@10, the mean
reciprocal rank and the hit rate@10, with 95 % bootstrap intervals. The scorers of this package are fitted at the split
and updated with every event before the one asked for. Models of other libraries run in environments of their own, are
tuned on the validation cases, fitted anew five times in the test, and asked with the user's history of the moment:

    python -m benchmarks.quality --data DIR --peer implicit=VENV/bin/python --peer lenskit=… --peer rectools=…

``--task pages`` takes lists as a page has them instead (``pages.py``): with the order of the list, popularity with
decay, corrected cosine kNN and session kNN as peers, and LambdaMART:

    python -m benchmarks.quality --task pages --invented baskets --peer lightgbm=VENV/bin/python

It prints NDCG@10, and the paired difference to the order of the list, with 95 % bootstrap intervals; and NDCG@10 for
users without a history and where all that was taken had fewer than five events.

``--results DIR`` keeps what the peers found, and takes what is there instead of running them again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import personalize_rt.local
from benchmarks.quality import own
from benchmarks.quality.invented import INVENTED, Invented
from benchmarks.quality.measures import NAMES, Place, gains, interval, mean
from benchmarks.quality.pages import KINDS, Pages, gain
from benchmarks.quality.plain import PLAIN, tuned
from benchmarks.quality.task import Task, read_catalogue, read_events

Catalogue = Mapping[str, Mapping[str, Any]]

ROOT = Path(__file__).parents[2]
SAMPLE = Path(personalize_rt.local.__file__).parent / "sample"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--data", type=Path, default=SAMPLE, help="a directory with interactions.csv and items.csv")
    parser.add_argument("--invented", choices=[*INVENTED], help="invented data instead")
    parser.add_argument("--events", type=int, help="how many events of the data, the oldest; of invented data 20,000")
    parser.add_argument("--task", choices=["popular", "pages"], default="popular")
    parser.add_argument("--lists", choices=KINDS, action="append", help="of --task pages: the kinds of lists")
    parser.add_argument("--cases", type=int, default=3000, help="how many events to foresee, and to tune with")
    parser.add_argument("--refits", type=int, default=5, help="how often peers are fitted anew in the test")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--results", type=Path, help="where the task and the peers' results are kept")
    options = parser.parse_args()
    events, catalogue = data(options)
    if options.task == "pages":
        for kind in options.lists or KINDS:
            print(f"\n### {options.invented or options.data.name}, {kind} lists\n")
            pages_table(Pages.of(events, kind, lists=options.cases, seed=options.seed), catalogue, options)
        return 0
    task = Task.of(events, cases=options.cases, refits=options.refits, seed=options.seed)
    print(f"{len(task.events):,} events; {len(task.test):,} to foresee\n")
    print("| | " + " | ".join(NAMES) + " |")
    print("|---" * (len(NAMES) + 1) + "|")
    for name, make in own.models(catalogue).items():
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


def data(options: argparse.Namespace) -> Invented:
    """The events and the catalogue that were asked for."""
    if options.invented is not None:
        return INVENTED[options.invented](options.events or 20_000, options.seed)
    return read_events(options.data)[: options.events], read_catalogue(options.data) or {}


def pages_table(task: Pages, catalogue: Catalogue, options: argparse.Namespace) -> None:
    """Print a table for one kind of list."""
    known: dict[str, int] = {}
    users: set[str] = set()
    cold_users: list[bool] = []
    cold_items: list[bool] = []
    done = 0
    for page in task.test:
        for user, item, _, _ in task.events[done : page.index]:
            known[item] = known.get(item, 0) + 1
            users.add(user)
        done = page.index
        cold_users.append(page.user not in users)
        cold_items.append(all(known.get(page.items[place], 0) < 5 for place in page.taken))
    as_it_came = [gain([0.0] * len(page.items), page.taken) for page in task.test]
    print(f"{len(task.events):,} events; {len(task.earlier):,} lists to learn from; {len(task.test):,} to order\n")
    print(f"| | NDCG@10 | to the list's order | new users ({sum(cold_users)}) | new items ({sum(cold_items)}) |")
    print("|---" * 5 + "|")

    def row(name: str, found: Sequence[float]) -> None:
        low, high = interval(found)
        pairs = [one - other for one, other in zip(found, as_it_came, strict=True)]
        down, up = interval(pairs)
        few = [
            f"{mean([value for value, cold in zip(found, colds, strict=True) if cold]):.4f}" if any(colds) else "-"
            for colds in (cold_users, cold_items)
        ]
        print(
            f"| {name} | {mean(found):.4f} ({low:.4f} to {high:.4f}) | {mean(pairs):+.4f} ({down:+.4f} to {up:+.4f}) "
            f"| {few[0]} | {few[1]} |",
            flush=True,
        )

    row("order of the list", as_it_came)
    for name in PLAIN:
        setting, found = tuned(name, task)
        row(f"{name} ({setting:g})", found)
    for name, fitted in own.page_models(catalogue, task.earlier).items():
        row(name, own.page_gains(fitted, task))
    with tempfile.TemporaryDirectory() as folder:
        task.save(Path(folder, "pages.json"))
        for peer in options.peer:
            name, _, python = peer.partition("=")
            run_peer(name, python, Path(folder, "pages.json"), Path(folder, "result.json"))
            for model, found in json.loads(Path(folder, "result.json").read_text()).items():
                row(model, found)


def run_peer(name: str, python: str, task: Path, result: Path) -> None:
    """Run a module of ``peers`` in its own environment."""
    module = f"benchmarks.quality.peers.{name}_models"
    # One thread for each library: the models are small, and results repeat.
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([python, "-m", module, str(task), str(result)], check=True, env=env, stdout=2)


def ask_peer(name: str, python: str, folder: Path) -> dict[str, list[Place]]:
    """Run a module of ``peers``, unless its results are there."""
    result = folder / f"{name}.json"
    if not result.exists():
        run_peer(name, python, folder / "task.json", result)
    return {model: [tuple(one) for one in found["places"]] for model, found in json.loads(result.read_text()).items()}


def show(name: str, places: Sequence[Place]) -> None:
    """One line of the table."""
    columns = zip(*map(gains, places), strict=True)
    cells = [f"{mean(column):.4f} ({low:.4f} to {high:.4f})" for column in columns for low, high in [interval(column)]]
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""How well scorers foresee what users do next: ``python -m benchmarks.quality --data DIR``.

Each test event is to be found among 100 candidates; ``task.py`` says how they are drawn. Prints NDCG@10, the mean
reciprocal rank and the hit rate@10, with 95 % bootstrap intervals. The scorers of this package are fitted at the split
and updated with every event before the one asked for. Models of other libraries run in environments of their own, are
tuned on the validation cases, fitted anew five times in the test, and asked with the user's history of the moment:

    python -m benchmarks.quality --data DIR --peer implicit=VENV/bin/python --peer lenskit=… --peer rectools=…

``--task pages`` takes lists as a page has them instead (``pages.py``), and those of the first task once more: with the
order of the list, popularity with decay, corrected cosine kNN and session kNN as peers, and LambdaMART:

    python -m benchmarks.quality --task pages --data DIR --data DIR --invented baskets --peer lightgbm=VENV/bin/python

It prints NDCG@10, and the paired difference to the order of the list, with 95 % bootstrap intervals; the same for users
without a history and where all that was taken had fewer than five events; and one table of all at the end. Each kind of
list of each data set is measured in a process of its own, one after the other. ``packaged.py`` makes directories of the
data that packages hold. ``--quick`` cuts all data to 3,000 events and 100 lists, which takes a minute and says nothing.

``--results DIR`` keeps what was found, and takes what is there instead of measuring it again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import personalize_rt.local
from benchmarks.quality import own
from benchmarks.quality.every import all_pages, data, run_peer
from benchmarks.quality.invented import INVENTED
from benchmarks.quality.measures import NAMES, Place, gains, interval, mean
from benchmarks.quality.pages import KINDS
from benchmarks.quality.task import Event, Task

Catalogue = Mapping[str, Mapping[str, Any]]

SAMPLE = Path(personalize_rt.local.__file__).parent / "sample"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, action="append", help="a directory with interactions.csv and items.csv")
    parser.add_argument("--invented", choices=[*INVENTED], action="append", help="invented data instead")
    parser.add_argument("--events", type=int, help="how many events of the data, the oldest; of invented data 20,000")
    parser.add_argument("--task", choices=["popular", "pages"], default="popular")
    parser.add_argument("--lists", choices=KINDS, action="append", help="of --task pages: the kinds of lists")
    parser.add_argument("--cases", type=int, help="how many events to foresee, and to tune with: 3000, or 2000 lists")
    parser.add_argument("--refits", type=int, default=5, help="how often peers are fitted anew in the test")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="of --task pages: little data, to see that it works")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--results", type=Path, help="where the task and the results are kept")
    options = parser.parse_args()
    sets: list[str | Path] = [*(options.data or ()), *(options.invented or ())] or [SAMPLE]
    if options.quick:
        options.events, options.cases = 3_000, 100
    with tempfile.TemporaryDirectory() as scratch:
        folder: Path = options.results or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if options.task == "pages":
            return all_pages(sets, folder, options)
        if len(sets) > 1:
            parser.error("--task popular takes one data set")
        return popular(*data(sets[0], options), folder, options)


def popular(events: Sequence[Event], catalogue: Catalogue, folder: Path, options: argparse.Namespace) -> int:
    """The first task."""
    task = Task.of(events, cases=options.cases or 3_000, refits=options.refits, seed=options.seed)
    print(f"{len(task.events):,} events; {len(task.test):,} to foresee\n")
    print("| | " + " | ".join(NAMES) + " |")
    print("|---" * (len(NAMES) + 1) + "|")
    for name, make in own.models(catalogue).items():
        show(name, own.places(make(), task))
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
        run_peer(name, python, folder / "task.json", result)
    return {model: [tuple(one) for one in found["places"]] for model, found in json.loads(result.read_text()).items()}


def show(name: str, places: Sequence[Place]) -> None:
    """One line of the table."""
    columns = zip(*map(gains, places), strict=True)
    cells = [f"{mean(column):.4f} ({low:.4f} to {high:.4f})" for column in columns for low, high in [interval(column)]]
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    sys.exit(main())

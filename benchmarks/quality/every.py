"""The second task on several data sets: each kind of list in a process of its own, and the tables."""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from benchmarks.quality import own
from benchmarks.quality.invented import INVENTED, Invented
from benchmarks.quality.measures import interval, mean
from benchmarks.quality.pages import KINDS, Kind, Pages, gain
from benchmarks.quality.plain import tuned
from benchmarks.quality.task import read_catalogue, read_events

__all__ = ["all_pages", "data", "run_peer"]

ROOT = Path(__file__).parents[2]
AS_IT_CAME = "order of the list"


class Found(TypedDict):
    """What was found for one kind of list of a data set: gains of each list by model, and which lists are cold."""

    events: int
    earlier: int
    plain: list[str]
    cold: dict[str, list[bool]]
    gains: dict[str, list[float]]


def data(one: str | Path, options: argparse.Namespace) -> Invented:
    """The events and the catalogue that were asked for."""
    if isinstance(one, str):
        return INVENTED[one](options.events or 20_000, options.seed)
    return read_events(one)[: options.events], read_catalogue(one) or {}


def all_pages(sets: Sequence[str | Path], folder: Path, options: argparse.Namespace) -> int:
    """The second task, on all data sets: a table for each kind of list, and one of them all."""
    lines: list[str] = []
    for one in sets:
        name = one if isinstance(one, str) else one.name
        for kind in options.lists or KINDS:
            result = folder / f"{name}-{kind}.json"
            if not result.exists():
                # A process of its own, so that no data set finds the memory that another one left.
                process = multiprocessing.get_context("spawn").Process(
                    target=measure_pages, args=(one, kind, result, options)
                )
                process.start()
                process.join()
                if process.exitcode:
                    print(f"{name}, {kind}: failed", file=sys.stderr, flush=True)
                    continue
            found: Found = json.loads(result.read_text())
            print(f"\n### {name}, {kind} lists\n")
            pages_table(found)
            lines.append(f"| {name}, {kind} " + summary(found))
    print("\n| NDCG@10 | lists | as it came | best plain peer | ensemble | with lists ", end="")
    print("| LambdaMART | with lists, to the list's order | with lists, to LambdaMART |")
    print("|---" * 9 + "|")
    print("\n".join(lines))
    return len(lines) < len(sets) * len(options.lists or KINDS)


def measure_pages(one: str | Path, kind: Kind, result: Path, options: argparse.Namespace) -> None:
    """Ask all models for the gains of each list, and write them to a file."""
    events, catalogue = data(one, options)
    task = Pages.of(events, kind, lists=options.cases or 2_000, seed=options.seed)
    known: dict[str, int] = {}
    users: set[str] = set()
    cold: dict[str, list[bool]] = {"users": [], "items": []}
    done = 0
    for page in task.test:
        for user, item, _, _ in task.events[done : page.index]:
            known[item] = known.get(item, 0) + 1
            users.add(user)
        done = page.index
        cold["users"].append(page.user not in users)
        cold["items"].append(all(known.get(page.items[place], 0) < 5 for place in page.taken))
    found = {AS_IT_CAME: [gain([0.0] * len(page.items), page.taken) for page in task.test]}
    plain = {f"{name} ({setting:g})": gains for name, (setting, gains) in tuned(task).items()}
    found |= plain | own.page_gains(catalogue, task, kind)
    with tempfile.TemporaryDirectory() as scratch:
        task.save(Path(scratch, "pages.json"))
        for peer in options.peer:
            name, _, python = peer.partition("=")
            run_peer(name, python, Path(scratch, "pages.json"), Path(scratch, "result.json"))
            found |= json.loads(Path(scratch, "result.json").read_text())
    written: Found = {
        "events": len(events), "earlier": len(task.earlier), "plain": [*plain], "cold": cold, "gains": found
    }  # fmt: skip
    part = result.with_suffix(".part")
    part.write_text(json.dumps(written))
    part.replace(result)


def pages_table(found: Found) -> None:
    """Print what was found for one kind of list."""
    as_it_came, cold = found["gains"][AS_IT_CAME], found["cold"]
    print(f"{found['events']:,} events; {found['earlier']:,} lists to learn from; {len(as_it_came):,} to order\n")
    users, items = sum(cold["users"]), sum(cold["items"])
    print(f"| | NDCG@10 | to the list's order | new users ({users}) | the same | new items ({items}) | the same |")
    print("|---" * 7 + "|")
    everything = [True] * len(as_it_came)
    for name, values in found["gains"].items():
        cells: list[str] = []
        for chosen in (everything, cold["users"], cold["items"]):
            one, other = (list(itertools.compress(of, chosen)) for of in (values, as_it_came))
            cells += [f"{mean(one):.4f}", difference(one, other)] if one else ["-", "-"]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def summary(found: Found) -> str:
    """One line of the table of all."""
    gains = found["gains"]
    best = max(found["plain"], key=lambda name: mean(gains[name]))
    learned, rival = gains["ensemble with lists"], gains.get("LambdaMART")
    means = [f"{mean(gains[name]):.3f}" for name in (AS_IT_CAME, best, "ensemble", "ensemble with lists")]
    means[1] += f" ({best})"
    last = ["-", "-"] if rival is None else [f"{mean(rival):.3f}", difference(learned, rival)]
    cells = [f"{len(learned):,}", *means, last[0], difference(learned, gains[AS_IT_CAME]), last[1]]
    return "| " + " | ".join(cells) + " |"


def difference(one: Sequence[float], other: Sequence[float]) -> str:
    """The mean paired difference, with its interval."""
    pairs = [a - b for a, b in zip(one, other, strict=True)]
    low, high = interval(pairs)
    return f"{mean(pairs):+.3f} ({low:+.3f} to {high:+.3f})"


def run_peer(name: str, python: str, task: Path, result: Path) -> None:
    """Run a module of ``peers`` in its own environment."""
    module = f"benchmarks.quality.peers.{name}_models"
    # One thread for each library: the models are small, and results repeat.
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([python, "-m", module, str(task), str(result)], check=True, env=env, stdout=2)

"""The task that all models get: events in order of time, and candidates for events to foresee.

Time runs forward only. The newest tenth of the events is the test, the tenth before it is for tuning. Each event to
foresee comes with up to 99 other items: drawn from all events before it, so by popularity as it was then, and none
that the user had before. An event whose item had no event before it is left out: no model that learns from
interactions could know the item, and the draw could not have drawn it, which would give it away.
"""

from __future__ import annotations

import csv
import itertools
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

__all__ = ["Case", "Event", "Task", "drawn", "read_catalogue", "read_events"]

NEGATIVES = 99

Event = tuple[str, str, float, float | None]
"""User, item, Unix time in seconds, value."""


@attrs.frozen
class Case:
    """One event to foresee.

    Attributes:
        index: Its place among the events; what stands before it may be known.
        candidates: Items, the wanted one at a random place.
        wanted: That place.
    """

    index: int
    candidates: tuple[str, ...]
    wanted: int


@attrs.frozen(repr=False)
class Task:
    """All that the models get, the same for each."""

    events: Sequence[Event]
    validation_start: int
    test_start: int
    validation: Sequence[Case]
    test: Sequence[Case]
    refits: int

    @classmethod
    def of(cls, events: Sequence[Event], *, cases: int, refits: int, seed: int) -> Task:
        """Split events in time, and draw cases and candidates."""
        start, test = int(0.8 * len(events)), int(0.9 * len(events))
        chance = random.Random(seed)
        return cls(
            events,
            start,
            test,
            drawn(events, start, test, cases, chance),
            drawn(events, test, len(events), cases, chance),
            refits,
        )

    def blocks(self) -> list[tuple[int, list[Case]]]:
        """The test in parts: up to which event a model may be fitted anew, and what it foresees with that."""
        length = len(self.events) - self.test_start
        starts = [self.test_start + length * n // self.refits for n in range(self.refits)] + [len(self.events)]
        return [
            (start, [case for case in self.test if start <= case.index < end])
            for start, end in itertools.pairwise(starts)
        ]

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(attrs.asdict(self)))

    @classmethod
    def load(cls, path: Path) -> Task:
        read: dict[str, Any] = json.loads(path.read_text())
        for name in ("validation", "test"):
            read[name] = [Case(case["index"], tuple(case["candidates"]), case["wanted"]) for case in read[name]]
        read["events"] = [tuple(event) for event in read["events"]]
        return cls(**read)


def drawn(events: Sequence[Event], start: int, end: int, number: int, chance: random.Random) -> list[Case]:
    """Draw events of a part, to be foreseen, and candidates for each."""
    had: dict[str, set[str]] = {}
    known: set[str] = set()
    chosen = set(chance.sample(range(start, end), min(number, end - start)))
    found: list[Case] = []
    for index, (user, item, _, _) in enumerate(events[:end]):
        if index in chosen and item in known:
            out = had.get(user, set()) | {item}
            others: list[str] = []
            for _ in range(50 * NEGATIVES):
                other = events[chance.randrange(index)][1]
                if other not in out:
                    out.add(other)
                    others.append(other)
                    if len(others) == NEGATIVES:
                        break
            wanted = chance.randint(0, len(others))
            others.insert(wanted, item)
            found.append(Case(index, tuple(others), wanted))
        had.setdefault(user, set()).add(item)
        known.add(item)
    return found


def read_events(directory: Path) -> list[Event]:
    """The events of ``interactions.csv``, with the columns of the Interactions schema, oldest first."""
    with open(directory / "interactions.csv", newline="", encoding="utf-8") as file:
        rows = [
            (
                row["USER_ID"],
                row["ITEM_ID"],
                float(row["TIMESTAMP"]),
                float(row["EVENT_VALUE"]) if row.get("EVENT_VALUE") else None,
            )
            for row in csv.DictReader(file)
        ]
    return sorted(rows, key=lambda row: row[2])


def read_catalogue(directory: Path) -> Mapping[str, Mapping[str, str]] | None:
    """The rows of ``items.csv`` by item, or ``None`` when there is no such file."""
    path = directory / "items.csv"
    if not path.exists():
        return None
    with open(path, newline="", encoding="utf-8") as file:
        return {row.pop("ITEM_ID"): row for row in csv.DictReader(file)}

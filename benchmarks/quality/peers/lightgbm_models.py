"""LambdaMART over simple features, which is what a strong engineer would train: for the lists of pages only.

Needs ``pip install lightgbm attrs``. Learns from the earlier lists, with features as of each list's time; the number of
trees is that of the best NDCG@10 on the newest fifth of them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from math import log
from pathlib import Path

import lightgbm
import numpy as np

from benchmarks.quality.pages import Page, Pages, gain
from benchmarks.quality.plain import CosineNeighbours, Popularity, SessionNeighbours
from benchmarks.quality.task import Event

SEED = 1
SETTINGS = {
    "objective": "lambdarank",
    "lambdarank_truncation_level": 20,
    "eval_at": [10],
    "metric": "ndcg",
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 50,
    "feature_fraction": 0.8,
    "num_threads": 1,
    "seed": SEED,
    "verbosity": -1,
}


class Features:
    """Counts with three half-lives, times, the user's own events with the item, and what neighbours say."""

    def __init__(self) -> None:
        self.counts = Popularity((1.0, 7.0, 60.0))
        self.near = CosineNeighbours((0.0,))
        self.sessions = SessionNeighbours((0.7,))
        self.had: dict[str, int] = {}
        self.first: dict[str, float] = {}
        self.last: dict[str, float] = {}
        self.times: dict[tuple[str, str], list[float]] = {}
        self.again: dict[str, int] = {}
        self.events: dict[str, int] = {}

    def learn(self, event: Event) -> None:
        user, item, now, _ = event
        for model in (self.counts, self.near, self.sessions):
            model.learn(event)
        self.had[item] = self.had.get(item, 0) + 1
        self.first.setdefault(item, now)
        self.last[item] = now
        times = self.times.setdefault((user, item), [])
        self.again[item] = self.again.get(item, 0) + bool(times)
        times.append(now)
        self.events[user] = self.events.get(user, 0) + 1

    def rows(self, page: Page) -> list[list[float]]:
        models = self.counts, self.near, self.sessions
        columns = [scores for model in models for scores in model.scores(page).values()]
        latest = list(self.near.latest.get(page.user, ()))[-1:]
        row = self.near.together.get(latest[0], {}) if latest else {}
        rows: list[list[float]] = []
        for place, item in enumerate(page.items):
            had, times = self.had.get(item, 0), self.times.get((page.user, item), [])
            since = page.time - times[-1] if times else float("nan")
            gap = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else float("nan")
            rows.append(
                [
                    *[column[place] for column in columns],
                    float(place),
                    float(had),
                    page.time - self.first.get(item, page.time),
                    page.time - self.last.get(item, page.time),
                    float(len(times)),
                    since,
                    since / gap if gap > 0.0 else float("nan"),
                    (self.again.get(item, 0) + 0.1) / (had + 1.0),
                    row.get(item, 0.0) / (1.0 + had) ** 0.5,
                    float(self.events.get(page.user, 0)),
                    log(1.0 + self.events.get(page.user, 0)) * log(1.0 + had),
                ]
            )
        return rows


def main() -> None:
    """``python -m … PAGES RESULT``: learn from the earlier lists, order those of the test, and write the gains."""
    task, started = Pages.load(Path(sys.argv[1])), time.monotonic()
    features, known = Features(), 0
    tables: list[np.ndarray] = []
    pages: Sequence[Page] = [*task.earlier, *task.test]
    for page in pages:
        for event in task.events[known : page.index]:
            features.learn(event)
        known = page.index
        tables.append(np.array(features.rows(page)))
    learned, newest = 4 * len(task.earlier) // 5, len(task.earlier)
    train, valid = (data(tables[a:b], pages[a:b]) for a, b in ((0, learned), (learned, newest)))
    stop = lightgbm.early_stopping(40, verbose=False)
    model = lightgbm.train(SETTINGS, train, 500, valid_sets=[valid], callbacks=[stop])
    best = max(1, model.best_iteration)
    model = lightgbm.train(SETTINGS, data(tables[:newest], pages[:newest]), best)
    found = [
        gain(list(model.predict(table)), page.taken) for table, page in zip(tables[newest:], task.test, strict=True)
    ]
    print(f"LambdaMART: {best} trees, {time.monotonic() - started:.0f} s", file=sys.stderr)
    Path(sys.argv[2]).write_text(json.dumps({"LambdaMART": found}))


def data(tables: Sequence[np.ndarray], pages: Sequence[Page]) -> lightgbm.Dataset:
    labels = [float(place in page.taken) for page in pages for place in range(len(page.items))]
    return lightgbm.Dataset(np.concatenate(tables), labels, group=[len(page.items) for page in pages])


if __name__ == "__main__":
    main()

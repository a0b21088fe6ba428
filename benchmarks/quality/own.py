"""The scorers of this package, and what needs no library."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from benchmarks.quality.measures import Place, place
from benchmarks.quality.pages import Kind, Pages, gain
from benchmarks.quality.task import Case, Task
from personalize_rt.interactions import Interaction
from personalize_rt.rerank import CoVisitationScorer, EnsembleScorer, PopularityScorer, ShownList

__all__ = ["models", "page_gains", "places"]


class Asked(Protocol):
    """What the benchmark does with a scorer."""

    def fit(self, interactions: Any, /) -> Any: ...
    def update(self, events: Any, /) -> Any: ...
    def __call__(self, user_id: str, item_ids: Sequence[str], context: None, /) -> Sequence[float | None]: ...


class Chance:
    """Scores at random."""

    def __init__(self) -> None:
        self._chance = random.Random(0)

    def fit(self, interactions: Any) -> None:
        pass

    update = fit

    def __call__(self, user_id: str, item_ids: Sequence[str], context: None, /) -> Sequence[float]:
        return [self._chance.random() for _ in item_ids]


def models(catalogue: Mapping[str, Mapping[str, Any]] | None) -> dict[str, Callable[[], Asked]]:
    """What is measured, by name."""
    return {
        "random": Chance,
        "popularity": lambda: PopularityScorer(half_life_days=None),
        "recent popularity": lambda: PopularityScorer(half_life_days=3.0),
        "popularity, half-life of the data": lambda: PopularityScorer(),
        "co-visitation": lambda: CoVisitationScorer(),
        "ensemble without the catalogue": lambda: EnsembleScorer(lists="popular"),
        "ensemble": lambda: EnsembleScorer(items=catalogue, lists="popular"),
        "ensemble, for any lists": lambda: EnsembleScorer(items=catalogue),
    }


def places(model: Asked, task: Task) -> list[Place]:
    """Fit at the split; then, for each event of the test, learn all events before it, and foresee it."""
    events = [Interaction(user, item, time, None, value) for user, item, time, value in task.events]
    model.fit(events[: task.test_start])
    known = task.test_start
    found: list[Place] = []
    for case in task.test:
        model.update(events[known : case.index])
        known = case.index
        found.append(_place(model, events[case.index].user_id, case))
    return found


def _place(model: Asked, user_id: str, case: Case) -> Place:
    return place(model(user_id, case.candidates, None), case.wanted)


def page_gains(catalogue: Mapping[str, Mapping[str, Any]] | None, task: Pages, kind: Kind) -> dict[str, list[float]]:
    """Fit at the split; then, for each list of the test, learn all events before it, and order it. Gains by model."""
    lists: Literal["popular", "any"] = "popular" if kind == "popular" else "any"
    events = [Interaction(user, item, time) for user, item, time, _ in task.events]
    earlier = [
        ShownList(page.user, page.time, page.items, [page.items[n] for n in page.taken]) for page in task.earlier
    ]
    learned = events[: task.test_start]
    models: dict[str, Asked] = {
        "popularity, half-life of the data": PopularityScorer().fit(learned),
        "ensemble": EnsembleScorer(items=catalogue, lists=lists).fit(learned),
        "ensemble with lists": EnsembleScorer(items=catalogue).fit(learned, lists=earlier),
    }
    found: dict[str, list[float]] = {name: [] for name in models}
    known = task.test_start
    for page in task.test:
        for name, model in models.items():
            model.update(events[known : page.index])
            found[name].append(gain(model(page.user, page.items, None), page.taken))
        known = page.index
    return found

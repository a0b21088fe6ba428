"""The scorers of this package, and what needs no library."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from benchmarks.quality.measures import Place, place
from benchmarks.quality.pages import Page, Pages, gain
from benchmarks.quality.task import Case, Task
from personalize_rt.interactions import Interaction
from personalize_rt.rerank import CoVisitationScorer, EnsembleScorer, PopularityScorer, ShownList

__all__ = ["models", "page_gains", "page_models", "places"]


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


def page_models(
    catalogue: Mapping[str, Mapping[str, Any]] | None, earlier: Sequence[Page]
) -> dict[str, Callable[[Any], Asked]]:
    """What is measured on lists of pages, by name: what fits a model to events."""
    lists = [ShownList(page.user, page.time, page.items, [page.items[n] for n in page.taken]) for page in earlier]
    return {
        "popularity, half-life of the data": lambda events: PopularityScorer().fit(events),
        "ensemble, lists=popular": lambda events: EnsembleScorer(items=catalogue, lists="popular").fit(events),
        "ensemble": lambda events: EnsembleScorer(items=catalogue).fit(events),
        "ensemble with lists": lambda events: EnsembleScorer(items=catalogue).fit(events, lists=lists),
    }


def page_gains(fitted: Callable[[Any], Asked], task: Pages) -> list[float]:
    """Fit at the split; then, for each list of the test, learn all events before it, and order it."""
    events = [Interaction(user, item, time) for user, item, time, _ in task.events]
    model, known = fitted(events[: task.test_start]), task.test_start
    found: list[float] = []
    for page in task.test:
        model.update(events[known : page.index])
        known = page.index
        found.append(gain(model(page.user, page.items, None), page.taken))
    return found

"""The scorers of this package, and what needs no library."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from benchmarks.quality.measures import Place, place
from benchmarks.quality.task import Case, Task
from personalize_rt.interactions import Interaction
from personalize_rt.rerank import CoVisitationScorer, EnsembleScorer, PopularityScorer

__all__ = ["models", "places"]


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
        "recent popularity": lambda: PopularityScorer(),
        "co-visitation": lambda: CoVisitationScorer(),
        "ensemble without the catalogue": lambda: EnsembleScorer(),
        "ensemble": lambda: EnsembleScorer(items=catalogue),
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

"""The metrics of a solution version, by :mod:`personalize_rt.metrics`, as GetSolutionMetrics has them.

A model that has learned from the events to predict looks better than it is. So another one is trained here, on the past
of the split of the service: of 10 % of the users, the newest 10 % of the events are held out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from math import nan
from typing import Any

import attrs

from personalize_rt.errors import ValidationError
from personalize_rt.interactions import Interaction
from personalize_rt.local.control.shapes import invalid
from personalize_rt.local.datasets import Datasets, EventLog
from personalize_rt.local.models import Models
from personalize_rt.local.recipes import Ask, Recipe
from personalize_rt.metrics import solution_metrics, temporal_split
from personalize_rt.operations import GET_ACTION_RECOMMENDATIONS
from personalize_rt.results import ActionRecommendations, Ranking, Recommendations

__all__ = ["metrics_of"]

_TEST_USERS = 0.1  # guide, "Evaluating a solution version with metrics" (service.md section 9)


def metrics_of(recipe: Recipe, datasets: Datasets, now: float) -> Mapping[str, float]:
    """Measure a recipe on the datasets.

    Args:
        recipe: The recipe.
        datasets: The datasets.
        now: The Unix time.

    Raises:
        RefusedError: ``InvalidInputException``; there is nothing to predict.
    """
    name = "action_interactions" if recipe.operation is GET_ACTION_RECOMMENDATIONS else "interactions"
    events: EventLog = getattr(datasets, name) or EventLog()
    try:
        split = temporal_split(events, test_users=_TEST_USERS)
        past: dict[str, Any] = {name: _log_of(split.past, events)}
        learned = attrs.evolve(datasets, **past)
        return solution_metrics(_Past(recipe, Models(learned), now), split, recipe=recipe.name)
    except ValidationError:
        raise invalid("solutionVersionArn: there is nothing to predict: no user has two events") from None


@attrs.frozen
class _Past:
    """A recipe whose models know the past only, as a model that metrics can ask."""

    recipe: Recipe
    models: Models
    now: float

    def recommend(
        self, user_id: str | None = None, *, num_results: int | None = None, item_id: str = ""
    ) -> Recommendations:
        ids, scores = self._answer(num_results, userId=user_id, itemId=item_id)
        return Recommendations(ids, scores=scores)

    def rank(self, *, user_id: str, input_list: Iterable[str]) -> Ranking:
        ids, scores = self._answer(None, userId=user_id, inputList=input_list)
        return Ranking(ids, scores=scores)

    def actions(self, user_id: str, *, num_results: int | None = None) -> ActionRecommendations:
        ids, scores = self._answer(num_results, userId=user_id)
        return ActionRecommendations(ids, scores=scores)

    def _answer(self, most: int | None, **members: Any) -> tuple[list[str], list[float | None]]:
        rows = list(islice(self.recipe.answer(Ask(self.models, members, self.now))(None), most))
        return [row.id for row in rows], [row.score for row in rows]


def _log_of(events: Iterable[Interaction], whole: EventLog) -> EventLog:
    log = EventLog(fields=whole.fields)
    for event in events:
        log.user.append(log.users[event.user_id])
        log.target.append(log.targets[event.item_id])
        log.type.append(log.types[event.event_type or ""])
        log.timestamp.append(int(event.timestamp))
        log.value.append(nan if event.event_value is None else event.event_value)
    return log

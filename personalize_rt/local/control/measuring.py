"""The metrics of a solution version, by :mod:`personalize_rt.metrics`, as GetSolutionMetrics has them.

A model that has learned from the events to predict looks better than it is. So another one is trained here, on the past
of the split of the service: of 10 % of the users, here 1,000 at most, the newest 10 % of the events are held out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
from personalize_rt.metrics import Split, evaluate, temporal_split
from personalize_rt.operations import GET_ACTION_RECOMMENDATIONS, GET_PERSONALIZED_RANKING

__all__ = ["metrics_of"]

_TEST_USERS = 0.1  # guide, "Evaluating a solution version with metrics" (service.md section 9)
_MOST_USERS = 1_000  # chosen: a program waits for the answer, for a minute at most
_LONGEST = 25  # the longest list that a metric looks at
_CANDIDATES = 500  # to rank, as many as a request may hold


def metrics_of(recipe: Recipe, datasets: Datasets, now: float) -> Mapping[str, float]:
    """Measure a recipe on the datasets.

    Args:
        recipe: The recipe.
        datasets: The datasets.
        now: The Unix time.

    Raises:
        RefusedError: ``InvalidInputException``; the recipe is not measured here, or there is nothing to predict.
    """
    if recipe.operation is GET_ACTION_RECOMMENDATIONS or datasets.interactions is None:
        raise invalid(f"solutionVersionArn: the embedded service does not measure {recipe.name}")
    try:
        log = datasets.interactions
        split = temporal_split(log, test_users=min(_TEST_USERS, _MOST_USERS / max(1, len(log.users))))
        return dict(evaluate(_model(recipe, datasets, split, now), split, progress=False))
    except ValidationError:
        raise invalid("solutionVersionArn: there is nothing to predict: no user has two events") from None


def _model(recipe: Recipe, datasets: Datasets, split: Split, now: float) -> Callable[[str], Iterable[str]]:
    models = Models(attrs.evolve(datasets, interactions=_log_of(split.past, datasets)))
    candidates: Sequence[str] = ()
    if recipe.operation is GET_PERSONALIZED_RANKING:
        ids = models.universe.ids
        candidates = [ids[number] for number in islice(models.popular().pick(None), _CANDIDATES)]
    # A recipe of related items is asked for those of the item that a user saw last.
    last = {event.user_id: event.item_id for event in split.past}

    def ask(user: str) -> list[str]:
        members: Mapping[str, Any] = {"userId": user, "itemId": last.get(user, ""), "inputList": candidates}
        rows = recipe.answer(Ask(models, members, now))(None)
        return [row.id for row in islice(rows, _LONGEST)]

    return ask


def _log_of(events: Iterable[Interaction], datasets: Datasets) -> EventLog:
    log = EventLog(fields={} if datasets.interactions is None else datasets.interactions.fields)
    for event in events:
        log.user.append(log.users[event.user_id])
        log.target.append(log.targets[event.item_id])
        log.type.append(log.types[event.event_type or ""])
        log.timestamp.append(int(event.timestamp))
        log.value.append(nan if event.event_value is None else event.event_value)
    return log

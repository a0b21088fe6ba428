"""The recipes that the embedded service knows, as one table.

A new recipe is one entry here: which operation asks it, what it learns from, which inputs it requires and which it
ignores, and its answer, made of a score rule and a model. Sources: Developer Guide, recipe pages and "Getting
recommendations"; what the service does where they are silent stands in ``docs/divergences.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import exp
from typing import Any, NamedTuple

import attrs

from personalize_rt.limits import Limits
from personalize_rt.local.models import Models
from personalize_rt.operations import (
    GET_ACTION_RECOMMENDATIONS,
    GET_PERSONALIZED_RANKING,
    GET_RECOMMENDATIONS,
    Operation,
)
from personalize_rt.rerank import LocalReranker

__all__ = ["RECIPES", "Ask", "Recipe", "Row"]

_DECIMALS = 7


class Row(NamedTuple):
    """One item or action of an answer."""

    id: str
    score: float | None


@attrs.frozen(repr=False)
class Ask:
    """What a recipe is asked.

    Attributes:
        models: What was learned.
        members: The members of the request that the recipe uses, by the service's names.
        now: Unix time in seconds.
    """

    models: Models
    members: Mapping[str, Any]
    now: float


Answer = Callable[[Ask], Iterator[Row]]


@attrs.frozen
class Recipe:
    """One recipe.

    Attributes:
        name: The service's name (``"aws-sims"``).
        operation: The operation that its campaigns answer.
        learns_from: The datasets that it cannot do without (``"interactions"``, …).
        requires: Members of the request that it cannot do without.
        ignores: Members that the operation takes and this recipe does not use (guide: "not used").
        answer: The rows for a request, best first, made one by one; the engine takes as many as are asked for.
    """

    name: str
    operation: Operation[Any]
    learns_from: tuple[str, ...]
    requires: tuple[str, ...]
    ignores: tuple[str, ...]
    answer: Answer


# Score rules: Developer Guide, "How item scores work"; service.md section 4.


def _softmax_over_catalogue(ask: Ask) -> Iterator[Row]:
    """Scores of the whole catalogue sum to 1; those of the rows that are returned, to less."""
    total, items = ask.models.taste.best(ask.members["userId"])
    return (Row(id, round(exp(logit - total), _DECIMALS)) for id, logit in items)


def _softmax_over_input(ask: Ask) -> Iterator[Row]:
    """Scores of the known items of the input sum to 1; unknown items come last, without one."""
    # The wire has checked the request, by limits that may be wider than the published ones.
    ranking = LocalReranker(ask.models.taste.logits, limits=Limits.off()).rank(
        user_id=ask.members["userId"], input_list=ask.members["inputList"], context=ask.members.get("context")
    )
    return map(Row, ranking.item_ids, ranking.scores)


def _unscored_similar(ask: Ask) -> Iterator[Row]:
    return (Row(id, None) for id in ask.models.taste.similar(ask.members["itemId"]))


def _unscored_popular(ask: Ask) -> Iterator[Row]:
    return (Row(id, None) for id in ask.models.taste.popular())


def _propensities(ask: Ask) -> Iterator[Row]:
    """Each score is a probability of its own."""
    return (Row(id, score) for id, score in ask.models.offers.best(ask.members["userId"], ask.now))


def _user_personalization(name: str) -> Recipe:
    return Recipe(name, GET_RECOMMENDATIONS, ("interactions",), ("userId",), ("itemId",), _softmax_over_catalogue)


def _personalized_ranking(name: str) -> Recipe:
    return Recipe(name, GET_PERSONALIZED_RANKING, ("interactions",), ("userId",), (), _softmax_over_input)


def _related_items(name: str) -> Recipe:
    ignored = ("userId", "context")
    return Recipe(name, GET_RECOMMENDATIONS, ("interactions",), ("itemId",), ignored, _unscored_similar)


def _popular_items(name: str) -> Recipe:
    ignored = ("userId", "itemId", "context")
    return Recipe(name, GET_RECOMMENDATIONS, ("interactions",), (), ignored, _unscored_popular)


def _personalized_actions(name: str) -> Recipe:
    return Recipe(name, GET_ACTION_RECOMMENDATIONS, ("actions",), ("userId",), (), _propensities)


RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        _user_personalization("aws-user-personalization"),
        _user_personalization("aws-user-personalization-v2"),
        _personalized_ranking("aws-personalized-ranking"),
        _personalized_ranking("aws-personalized-ranking-v2"),
        _related_items("aws-similar-items"),
        _related_items("aws-sims"),
        _popular_items("aws-popularity-count"),
        _personalized_actions("aws-next-best-action"),
    )
}

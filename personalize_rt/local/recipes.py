"""The recipes and use cases that the embedded service knows, as one table.

A new recipe is one entry here: its operation, the datasets that it learns from, the inputs that it requires or ignores,
its automatic filter, and its method, made of a score rule and a model. Sources: Developer Guide, recipe pages, use case
pages and "Getting recommendations"; ``docs/divergences.md`` has the decisions where these are silent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from math import exp, fsum
from typing import Any, Literal, NamedTuple

import attrs

from personalize_rt.filters.selection import Allowed
from personalize_rt.interactions import Interaction
from personalize_rt.limits import Limits
from personalize_rt.local.models import Models
from personalize_rt.operations import (
    GET_ACTION_RECOMMENDATIONS,
    GET_PERSONALIZED_RANKING,
    GET_RECOMMENDATIONS,
    Operation,
)
from personalize_rt.rerank import LocalReranker

__all__ = ["BATCH_ONLY", "RECIPES", "Ask", "Recipe", "ReplyRow", "Rows", "softmax_over_input"]

_DECIMALS = 7
_NO_LIMITS = Limits.off()
# The service scores a part of the catalogue, of unknown size; an answer has at most 500 items.
_SCORED_BY_V2 = 1_000
# Similar-Items uses metadata for items with fewer interactions than this (recipe page).
_COLD = 5
_HOUR = 3_600.0

POPULAR = "Popular item"

# Recipes of user segmentation, which are for batch jobs and have no campaigns (Developer Guide).
BATCH_ONLY = ("aws-item-affinity", "aws-item-attribute-affinity")


class ReplyRow(NamedTuple):
    """One item or action of an answer."""

    id: str
    score: float | None = None
    reason: tuple[str, ...] = ()
    promotion: str | None = None
    metadata: Mapping[str, str] | None = None


@attrs.frozen(repr=False)
class Ask:
    """A request to a recipe.

    Attributes:
        models: The models.
        members: The members of the request that the recipe uses, by the service's names.
        now: Unix time in seconds.
        recent: The user's events since the models were trained, in order of arrival.
        arrived: Returns all events since then.
    """

    models: Models
    members: Mapping[str, Any]
    now: float = 0.0
    recent: Sequence[Interaction] = ()
    arrived: Callable[[], Sequence[Interaction]] = tuple


Rows = Callable[[Allowed | None], Iterator[ReplyRow]]
"""A function that yields the rows that a filter lets through (``None``: all), best first. May be called repeatedly."""

Method = Callable[[Ask], Rows]


@attrs.frozen(kw_only=True)
class Recipe:
    """A recipe, or a use case of a domain.

    Attributes:
        name: The service's name (``"aws-sims"``).
        operation: The operation that its campaigns or recommenders answer.
        answer: The method that answers a request.
        domain: The domain of a use case; ``None`` for a recipe of campaigns.
        learns_from: The datasets that it needs (``"interactions"``, …).
        event_type: The type of the events that it learns from; ``None`` for all.
        requires: Members of the request that it needs.
        ignores: Members that the operation takes and this recipe does not use (guide: "not used").
        automatic: The filter that it always applies, beside that of the request; or an empty string.
        promotes: Whether its answers may hold promoted items (guide: "Promoting items").
        with_metadata: Whether its campaigns return metadata by default (API reference, CampaignConfig).
        gives_reasons: Whether its rows have reasons.
    """

    name: str
    operation: Operation[Any]
    answer: Method
    domain: Literal["VIDEO_ON_DEMAND", "ECOMMERCE"] | None = None
    learns_from: tuple[str, ...] = ("interactions",)
    event_type: str | None = None
    requires: tuple[str, ...] = ()
    ignores: tuple[str, ...] = ()
    automatic: str = ""
    promotes: bool = False
    with_metadata: bool = False
    gives_reasons: bool = False

    @property
    def resource(self) -> Literal["campaign", "recommender"]:
        """The kind of resource that is created from it."""
        return "campaign" if self.domain is None else "recommender"


# Score rules: Developer Guide, "How item scores work"; service.md section 4.


def _softmax_over_catalogue(ask: Ask) -> Rows:
    """Scores of all items that the filter lets through sum to 1 (service.md section 12, fact 4)."""
    taste = ask.models.taste()
    preference, ids = taste.prefer(ask.members["userId"], ask.recent), taste.universe.ids

    def rows(allowed: Allowed | None) -> Iterator[ReplyRow]:
        total = preference.total(allowed)
        for number, logit in preference.best(allowed):
            yield ReplyRow(ids[number], round(exp(logit - total), _DECIMALS))

    return rows


def _softmax_over_part(ask: Ask) -> Rows:
    """Scores of the likeliest items that the filter lets through sum to 1; popular items follow without a score."""
    taste = ask.models.taste()
    preference = taste.prefer(ask.members["userId"], ask.recent)
    known = ((number, logit) for number, logit in preference.best() if taste.knows(number))
    logits = dict(islice(known, _SCORED_BY_V2))
    ids, order = taste.universe.ids, taste.order

    def rows(allowed: Allowed | None) -> Iterator[ReplyRow]:
        left = {number: logit for number, logit in logits.items() if allowed is None or ids[number] in allowed}
        highest = max(left.values(), default=0.0)
        total = fsum(exp(logit - highest) for logit in left.values())
        for number, logit in left.items():
            yield ReplyRow(ids[number], round(exp(logit - highest) / total, _DECIMALS))
        for number in order.pick(allowed, without=logits):
            yield ReplyRow(ids[number], None, (POPULAR,))

    return rows


def _softmax_over_input(ask: Ask) -> Rows:
    return softmax_over_input(ask, ask.models.taste().prefer(ask.members["userId"], ask.recent).logits)


def softmax_over_input(ask: Ask, logits_of: Callable[[Sequence[str]], Sequence[float | None]]) -> Rows:
    """Scores of the known items that the filter leaves of the input sum to 1; unknown items come last, without one."""
    user, items = ask.members["userId"], ask.members["inputList"]
    logits = zip(items, logits_of(items), strict=True)
    known: dict[str, float] = {id: logit for id, logit in logits if logit is not None}

    def rows(allowed: Allowed | None) -> Iterator[ReplyRow]:
        left = items if allowed is None else allowed.keep(items)
        # The re-ranker would put unknown items last by itself, in more time. The wire has checked the request, by
        # limits that may be wider than the published ones.
        scored = [id for id in left if id in known]
        ranking = LocalReranker(known, limits=_NO_LIMITS).rank(user_id=user, input_list=scored)
        yield from map(ReplyRow, ranking.item_ids, ranking.scores)
        yield from (ReplyRow(id) for id in left if id not in known)

    return rows


def _unscored_preferred(ask: Ask) -> Rows:
    taste = ask.models.taste()
    preference, ids = taste.prefer(ask.members["userId"], ask.recent), taste.universe.ids
    return lambda allowed: (ReplyRow(ids[number]) for number, _ in preference.best(allowed))


def _propensities(ask: Ask) -> Rows:
    """Score by propensities, which are independent probabilities."""
    offers = list(ask.models.offers.best(ask.members["userId"], ask.now, ask.recent))
    return lambda allowed: (ReplyRow(id, score) for id, score in offers if allowed is None or id in allowed)


# Answers without scores: some items first, then the others by popularity.


def _unscored(ask: Ask, first: Iterable[int], event_type: str | None = None) -> Rows:
    order, universe = ask.models.taste(event_type).order, ask.models.universe
    seed = universe.numbers.get(ask.members.get("itemId", ""), -1)
    leading = [number for number in dict.fromkeys(first) if number != seed]
    led, ids = {*leading, seed}, universe.ids

    def rows(allowed: Allowed | None) -> Iterator[ReplyRow]:
        yield from (ReplyRow(ids[number]) for number in leading if allowed is None or ids[number] in allowed)
        yield from (ReplyRow(ids[number]) for number in order.pick(allowed, without=led))

    return rows


def _together(event_type: str | None = None) -> Method:
    """Items that users have together with the item; then popular ones (recipe pages)."""
    return lambda ask: _unscored(ask, ask.models.taste(event_type).similar(ask.members["itemId"]), event_type)


def _together_or_alike(ask: Ask) -> Rows:
    item, taste = ask.members["itemId"], ask.models.taste()
    first = [*taste.similar(item)]
    if taste.events(item) < _COLD:
        first += ask.models.likeness.similar(item)
    return _unscored(ask, first)


def _alike(ask: Ask) -> Rows:
    return _unscored(ask, ask.models.likeness.similar(ask.members["itemId"]))


def _most_frequent(event_type: str | None = None) -> Method:
    def answer(ask: Ask) -> Rows:
        order, ids = ask.models.popular(event_type), ask.models.universe.ids
        return lambda allowed: (ReplyRow(ids[number]) for number in order.pick(allowed))

    return answer


def _rising(interval: float) -> Method:
    """Rising items, fastest first; then popular ones (recipe page)."""
    return lambda ask: _unscored(ask, ask.models.trends(interval).rising(ask.arrived()))


# The table.

_NOT_ITEM = ("itemId",)
_NOT_USER = ("userId", "context")
_NEITHER = ("userId", "itemId", "context")


def _excluding(event_type: str) -> str:
    return f'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("{event_type}")'


def _user_personalization(name: str, **more: Any) -> Recipe:
    answer = more.pop("answer", _softmax_over_catalogue)
    return Recipe(
        name=name, operation=GET_RECOMMENDATIONS, answer=answer, requires=("userId",), ignores=_NOT_ITEM, **more
    )


def _personalized_ranking(name: str, **more: Any) -> Recipe:
    return Recipe(
        name=name, operation=GET_PERSONALIZED_RANKING, answer=_softmax_over_input, requires=("userId",), **more
    )


def _related_items(name: str, answer: Method, **more: Any) -> Recipe:
    return Recipe(
        name=name, operation=GET_RECOMMENDATIONS, answer=answer, requires=("itemId",), ignores=_NOT_USER, **more
    )


def _popular_items(name: str, answer: Method) -> Recipe:
    return Recipe(name=name, operation=GET_RECOMMENDATIONS, answer=answer, ignores=_NEITHER, promotes=True)


def _video(name: str, answer: Method, **more: Any) -> Recipe:
    return Recipe(
        name=f"aws-vod-{name}",
        operation=GET_RECOMMENDATIONS,
        answer=answer,
        domain="VIDEO_ON_DEMAND",
        promotes=True,
        **more,
    )


def _shop(name: str, answer: Method, **more: Any) -> Recipe:
    return Recipe(
        name=f"aws-ecomm-{name}",
        operation=GET_RECOMMENDATIONS,
        answer=answer,
        domain="ECOMMERCE",
        promotes=True,
        **more,
    )


RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        # Recipes of campaigns.
        _user_personalization("aws-user-personalization", promotes=True),
        _user_personalization(
            "aws-user-personalization-v2",
            answer=_softmax_over_part,
            promotes=True,
            with_metadata=True,
            gives_reasons=True,
        ),
        _user_personalization("aws-hrnn"),
        _user_personalization("aws-hrnn-metadata"),
        _user_personalization("aws-hrnn-coldstart"),
        _personalized_ranking("aws-personalized-ranking"),
        _personalized_ranking("aws-personalized-ranking-v2", with_metadata=True),
        _related_items("aws-similar-items", _together_or_alike, promotes=True),
        _related_items("aws-sims", _together(), promotes=True),
        _related_items("aws-semantic-similarity", _alike, learns_from=("interactions", "items"), with_metadata=True),
        _popular_items("aws-popularity-count", _most_frequent()),
        _popular_items("aws-trending-now", _rising(3 * _HOUR)),
        Recipe(
            name="aws-next-best-action",
            operation=GET_ACTION_RECOMMENDATIONS,
            answer=_propensities,
            learns_from=("actions",),
            requires=("userId",),
        ),
        # Use cases of the domain VIDEO_ON_DEMAND.
        _video(
            "because-you-watched-x",
            _together("Watch"),
            event_type="Watch",
            requires=("userId", "itemId"),
            ignores=("context",),
            automatic=_excluding("Watch"),
        ),
        _video(
            "more-like-x",
            _alike,
            learns_from=("interactions", "items"),
            requires=("userId", "itemId"),
            ignores=("context",),
            automatic=_excluding("Watch"),
        ),
        _video(
            "most-popular",
            _most_frequent("Watch"),
            event_type="Watch",
            requires=("userId",),
            ignores=("itemId", "context"),
        ),
        _video("trending-now", _rising(2 * _HOUR), ignores=_NEITHER),
        _video(
            "top-picks",
            _unscored_preferred,
            learns_from=("interactions", "items"),
            requires=("userId",),
            ignores=_NOT_ITEM,
            automatic=_excluding("Watch"),
        ),
        # Use cases of the domain ECOMMERCE.
        _shop(
            "popular-items-by-views",
            _most_frequent("View"),
            event_type="View",
            requires=("userId",),
            ignores=("itemId", "context"),
        ),
        _shop(
            "popular-items-by-purchases",
            _most_frequent("Purchase"),
            event_type="Purchase",
            requires=("userId",),
            ignores=("itemId", "context"),
        ),
        _shop(
            "frequently-bought-together",
            _together("Purchase"),
            event_type="Purchase",
            requires=("itemId",),
            ignores=_NOT_USER,
        ),
        _shop(
            "customers-who-viewed-x-also-viewed",
            _together("View"),
            event_type="View",
            requires=("userId", "itemId"),
            ignores=("context",),
            automatic=_excluding("Purchase"),
        ),
        _shop(
            "recommended-for-you",
            _unscored_preferred,
            requires=("userId",),
            ignores=_NOT_ITEM,
            automatic=_excluding("Purchase"),
        ),
    )
}

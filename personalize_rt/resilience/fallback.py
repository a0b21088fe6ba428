"""Fallbacks, which answer when the service cannot.

A fallback is asked after throttling, errors of the service or the transport, a missed deadline, and while the breaker
is open; never for an error of the caller, since that would hide a bug. It may refuse by returning ``None``. Then the
next one of a chain ``first | second`` is asked, and if all refuse, the original error is raised.

A fallback must not forget the filter of a request, which may hide items that are watched, out of stock, or not for
children. It applies the filter itself if it can, and refuses otherwise, unless the caller chose ``unfiltered="allow"``;
then ``answer.info.unfiltered`` is ``True``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import attrs

from personalize_rt import checks
from personalize_rt.errors import (
    CircuitOpenError,
    DeadlineExceededError,
    PersonalizeError,
    ResponseError,
    ServerError,
    ThrottlingError,
    TransportError,
    ValidationError,
)
from personalize_rt.filters.catalogue import cell
from personalize_rt.filters.expression import BoundFilter
from personalize_rt.interactions import Interaction
from personalize_rt.limits import DEFAULT_NUM_ACTIONS, DEFAULT_NUM_RESULTS, Limits
from personalize_rt.operations import Request
from personalize_rt.redaction import describe
from personalize_rt.rerank.reranker import LocalReranker
from personalize_rt.rerank.scorers import Scorer
from personalize_rt.resilience.cache import cache_key
from personalize_rt.resilience.stores import Answer, Entry, MemoryStore
from personalize_rt.results import ActionRecommendations, Ranking, Recommendations, evolved

__all__ = [
    "Fallback",
    "FallbackChain",
    "FilterData",
    "InputOrderFallback",
    "Listener",
    "PopularActionsFallback",
    "PopularItemsFallback",
    "RerankFallback",
    "StaleFallback",
    "answer_of",
    "substitute_for",
    "tell",
    "wants_fallback",
]

Unfiltered = Literal["refuse", "allow"]
AnswerT = TypeVar("AnswerT", Ranking, Recommendations, ActionRecommendations)

_log = logging.getLogger("personalize_rt")

_TROUBLE = (ThrottlingError, ServerError, TransportError, DeadlineExceededError, CircuitOpenError, ResponseError)
# The members of requests of which the fallbacks below know what to do. They refuse a request with another one.
_MEMBERS = frozenset(
    (
        *("campaignArn", "recommenderArn", "userId", "itemId", "inputList", "numResults", "context"),
        *("filterArn", "filterValues", "promotions", "metadataColumns"),
    )
)


def wants_fallback(error: BaseException) -> bool:
    """Tell whether an error is the service's, and not the caller's."""
    return isinstance(error, _TROUBLE)


@runtime_checkable
class Fallback(Protocol):
    """A fallback. Each method gets the whole request, and may refuse with ``None``."""

    def ranking(self, request: Request[Ranking], /) -> Ranking | None:
        """Answer GetPersonalizedRanking."""
        ...

    def recommendations(self, request: Request[Recommendations], /) -> Recommendations | None:
        """Answer GetRecommendations."""
        ...

    def actions(self, request: Request[ActionRecommendations], /) -> ActionRecommendations | None:
        """Answer GetActionRecommendations."""
        ...


class _Chainable:
    """Base of fallbacks, which refuses every request, and can be chained with ``|``."""

    keeps_answers: bool = False
    """``True`` if answers are kept for later, so that their keys must include the principal."""

    def ranking(self, request: Request[Ranking], /) -> Ranking | None:
        """Answer GetPersonalizedRanking, or return ``None``."""
        return None

    def recommendations(self, request: Request[Recommendations], /) -> Recommendations | None:
        """Answer GetRecommendations, or return ``None``."""
        return None

    def actions(self, request: Request[ActionRecommendations], /) -> ActionRecommendations | None:
        """Answer GetActionRecommendations, or return ``None``."""
        return None

    def remember(self, request: Request[Any], answer: Answer, /) -> None:
        """Receive an answer of the service. Called for each one."""

    def __or__(self, other: Fallback) -> FallbackChain:
        return FallbackChain((self, other))


class FallbackChain(_Chainable):
    """A chain of fallbacks, ``first | second``, which answers by the first one that does not refuse.

    A link that fails counts as refusing.

    Raises:
        ValidationError: A link is not a fallback.
    """

    def __init__(self, links: Iterable[Fallback]) -> None:
        self._links = tuple(links)
        for link in self._links:
            _check_link(link)
        self.keeps_answers: bool = any(getattr(link, "keeps_answers", False) for link in self._links)

    def ranking(self, request: Request[Ranking], /) -> Ranking | None:
        """Answer GetPersonalizedRanking by the first link that does not refuse."""
        return self._first(request, Ranking)

    def recommendations(self, request: Request[Recommendations], /) -> Recommendations | None:
        """Answer GetRecommendations by the first link that does not refuse."""
        return self._first(request, Recommendations)

    def actions(self, request: Request[ActionRecommendations], /) -> ActionRecommendations | None:
        """Answer GetActionRecommendations by the first link that does not refuse."""
        return self._first(request, ActionRecommendations)

    def remember(self, request: Request[Any], answer: Answer, /) -> None:
        """Pass an answer of the service to every link."""
        for link in self._links:
            tell(link, request, answer)

    def _first(self, request: Request[Any], kind: type[AnswerT]) -> AnswerT | None:
        answers = (answer_of(link, request) for link in self._links)
        return next((answer for answer in answers if isinstance(answer, kind)), None)

    def __or__(self, other: Fallback) -> FallbackChain:
        return FallbackChain((*self._links, other))


def _check_link(link: Any) -> None:
    """Refuse a value that is not a fallback, now rather than in an outage."""
    kind = type(link).__name__
    if isinstance(link, type):
        problem = f"is the class {link.__name__}: write {link.__name__}()"
    elif isinstance(link, Fallback):
        return
    elif isinstance(link, LocalReranker) or callable(link):
        problem = f"is {describe(link)}, which scores and does not answer: write RerankFallback({kind}(…))"
    else:
        problem = f"is {describe(link)}, not a Fallback"
    raise ValidationError(f"a link of a chain of fallbacks {problem}", parameter="fallback")


class Listener(_Chainable):
    """Passes answers of the service to a fallback, and refuses every request.

    Args:
        fallback: The fallback.
    """

    def __init__(self, fallback: Fallback) -> None:
        self._fallback = fallback
        self.keeps_answers: bool = bool(getattr(fallback, "keeps_answers", False))

    def remember(self, request: Request[Any], answer: Answer, /) -> None:
        """Pass on an answer of the service."""
        tell(self._fallback, request, answer)


@attrs.frozen(eq=False)
class FilterData:
    """Data with which a fallback applies filters. It refuses filters that need a missing part.

    Attributes:
        items: Item id to its columns (``{"tt0468569": {"GENRES": "Action|Drama"}}``). An item that is missing, or has
            no value in a column of the filter, is left out.
        users: User id to its columns, for ``CurrentUser``. A filter is refused if the user is missing.
        interactions: Returns the events of a user, newest or oldest first, for ``Interactions``.
        actions: Action id to its columns, for ``Actions``; otherwise like ``items``.
        action_interactions: Returns the events of a user with actions (``TAKEN``, ``NOT_TAKEN``, ``VIEWED``), with the
            action as ``item_id``, for ``Action_Interactions``.
    """

    items: Mapping[str, Mapping[str, object]] | None = attrs.field(default=None, repr=False)
    users: Mapping[str, Mapping[str, object]] | None = attrs.field(default=None, repr=False)
    interactions: Callable[[str], Iterable[Interaction]] | None = attrs.field(default=None, repr=False)
    actions: Mapping[str, Mapping[str, object]] | None = attrs.field(default=None, repr=False)
    action_interactions: Callable[[str], Iterable[Interaction]] | None = attrs.field(default=None, repr=False)


class _Filtering(_Chainable):
    """Base of fallbacks that apply the filter of a request, or refuse."""

    def __init__(self, filter_data: FilterData | None, unfiltered: Unfiltered) -> None:
        checks.one_of(unfiltered, "unfiltered", "refuse", "allow")
        self._data = filter_data
        self._unfiltered = unfiltered

    def _kept(self, request: Request[Any], item_ids: Iterable[str]) -> tuple[list[str], bool] | None:
        """The items or actions that the filter keeps, and whether it was ignored; ``None`` to refuse."""
        if not _MEMBERS.issuperset(request.members):
            return None
        item_ids = list(item_ids)
        if "filterArn" not in request.members:
            return item_ids, False
        keep = self._judge(request)
        if keep is not None:
            return [id for id in item_ids if keep(id)], False
        return (item_ids, True) if self._unfiltered == "allow" else None

    def _offered(self, request: Request[Any], action_ids: Iterable[str]) -> ActionRecommendations | None:
        """The first actions of a list that the filter keeps, as many as requested.

        Without scores, since those of the service are propensities, which an order is not.
        """
        kept = self._kept(request, action_ids)
        if kept is None:
            return None
        found, unfiltered = kept
        found = found[: request.members.get("numResults", DEFAULT_NUM_ACTIONS)]
        return _marked(ActionRecommendations(found, scores=[None] * len(found)), unfiltered)

    def _judge(self, request: Request[Any]) -> Callable[[str], bool] | None:
        """A predicate of items or actions by the request's filter; ``None`` if its expression or data are missing."""
        bound, data = request.filter, self._data
        if bound is None or data is None:
            return None
        of_actions = bound.filter.expression.target == "ActionID"
        rows = data.actions if of_actions else data.items
        events_of = data.action_interactions if of_actions else data.interactions
        dataset, id_column = ("Actions", "ACTION_ID") if of_actions else ("Items", "ITEM_ID")
        if rows is None:
            return None
        user_id: str = request.members.get("userId", "")
        # A user or seed item with a missing value is refused, since an EXCLUDE would let everything through.
        user = _with_columns(bound, "CurrentUser", None if data.users is None else data.users.get(user_id))
        seed = _with_columns(bound, "CurrentItem", rows.get(request.members.get("itemId", "")))
        if user is None or seed is None:
            return None
        events: tuple[Interaction, ...] = ()
        if bound.filter.expression.uses_interactions:
            if events_of is None or not user_id:
                return None
            events = tuple(events_of(user_id))

        def keep(id: str) -> bool:
            row = _with_columns(bound, dataset, rows.get(id))
            return row is not None and bound.matches(
                {id_column: id, **row}, user=user, current_item=seed, interactions=events
            )

        return keep


def _with_columns(bound: BoundFilter, dataset: str, row: Mapping[str, object] | None) -> Mapping[str, object] | None:
    """A row with every column of the filter's dataset; ``None`` if a value is missing."""
    wanted = [field.name for field in bound.filter.expression.fields if field.dataset == dataset]
    if not wanted:
        return row or {}
    return None if row is None or any(cell(row, name) is None for name in wanted) else row


class InputOrderFallback(_Filtering):
    """Ranks in the order of the request, without scores, like a page without personalisation.

    Args:
        action_ids: The actions to offer, in their order, since a request for actions lists none; without them, such a
            request is refused.
        filter_data: Data to apply filters with.
        unfiltered: The reaction to a filter that cannot be applied: ``"refuse"``, or ``"allow"`` all items.

    Raises:
        ValidationError: ``action_ids`` is a single str, or an id is not a str.
    """

    def __init__(
        self,
        *,
        action_ids: Iterable[str] = (),
        filter_data: FilterData | None = None,
        unfiltered: Unfiltered = "refuse",
    ) -> None:
        super().__init__(filter_data, unfiltered)
        self._action_ids = checks.ids(action_ids, "action_ids")

    def ranking(self, request: Request[Ranking], /) -> Ranking | None:
        """The items of the request, in its order."""
        kept = self._kept(request, request.members["inputList"])
        if kept is None:
            return None
        item_ids, unfiltered = kept
        return _marked(Ranking(item_ids, scores=[None] * len(item_ids)), unfiltered)

    def actions(self, request: Request[ActionRecommendations], /) -> ActionRecommendations | None:
        """The first of the given actions."""
        return self._offered(request, self._action_ids) if self._action_ids else None


class RerankFallback(_Filtering):
    """Ranks by a :class:`LocalReranker`, which knows the user.

    The client's limits apply to a list, and not those of the re-ranker. A scorer with a method ``observe`` receives
    each ranking of the service, and so can learn while the service works, like ``RerankFallback(ShadowScorer())``.

    Args:
        reranker: The re-ranker; or a scorer or a mapping of item ids to logits, to make one of.
        min_quality: The least ``quality`` of the scorer with which to answer, from -1.0 to 1.0; see
            :attr:`ShadowScorer.quality`. Requests are refused while the scorer has less, or cannot tell yet. ``None``
            asks for none.
        action_ids: The actions to choose from, which the re-ranker has to know as it knows items; those that it does
            not know come last, in this order. Without them, a request for actions is refused.
        filter_data: Data to apply filters with.
        unfiltered: The reaction to a filter that cannot be applied: ``"refuse"``, or ``"allow"`` all items.

    Raises:
        ValidationError: ``action_ids`` is a single str, or an id is not a str; ``min_quality`` is not such a number,
            or the scorer has no ``quality``.
    """

    def __init__(
        self,
        reranker: LocalReranker | Scorer | Mapping[str, float | None],
        *,
        min_quality: float | None = None,
        action_ids: Iterable[str] = (),
        filter_data: FilterData | None = None,
        unfiltered: Unfiltered = "refuse",
    ) -> None:
        super().__init__(filter_data, unfiltered)
        self._action_ids = checks.ids(action_ids, "action_ids")
        if not isinstance(reranker, LocalReranker):
            reranker = LocalReranker(reranker)
        # Without limits, since the client has checked the request, possibly by wider ones.
        self._reranker = attrs.evolve(reranker, limits=Limits.off())
        self._observe: Callable[..., object] | None = getattr(reranker.scorer, "observe", None)
        if min_quality is not None:
            checks.number(min_quality, "min_quality", "a number from -1.0 to 1.0, or None", lambda it: -1 <= it <= 1)
            if not hasattr(reranker.scorer, "quality"):
                raise ValidationError(
                    "min_quality needs a scorer that has a quality, like ShadowScorer, and "
                    f"{describe(reranker.scorer)} has none",
                    parameter="min_quality",
                )
        self._min_quality = min_quality

    def remember(self, request: Request[Any], answer: Answer, /) -> None:
        """Pass a ranking of the service to the scorer, if it can learn."""
        if self._observe is not None and isinstance(answer, Ranking):
            self._observe(request.members["userId"], answer, request.members.get("context"))

    def ranking(self, request: Request[Ranking], /) -> Ranking | None:
        """The items of the request, in the local order."""
        if not self._is_good():
            return None
        members = request.members
        kept = self._kept(request, members["inputList"])
        if kept is None:
            return None
        item_ids, unfiltered = kept
        if not item_ids:
            return _marked(Ranking((), scores=()), unfiltered)
        ranking = self._reranker.rank(user_id=members["userId"], input_list=item_ids, context=members.get("context"))
        return _marked(ranking, unfiltered)

    def actions(self, request: Request[ActionRecommendations], /) -> ActionRecommendations | None:
        """The first of the given actions, in the local order for the user."""
        if not self._action_ids or not self._is_good():
            return None
        ranking = self._reranker.rank(user_id=request.members["userId"], input_list=self._action_ids)
        return self._offered(request, ranking.item_ids)

    def _is_good(self) -> bool:
        """Tell whether the scorer has the quality to answer."""
        if self._min_quality is None:
            return True
        quality: float | None = getattr(self._reranker.scorer, "quality", None)
        return quality is not None and quality >= self._min_quality


class PopularItemsFallback(_Filtering):
    """Recommends from a fixed list, best first, and ranks in that list's order.

    Args:
        item_ids: The items, most popular first; may be a column of a frame.
        filter_data: Data to apply filters with.
        unfiltered: The reaction to a filter that cannot be applied: ``"refuse"``, or ``"allow"`` all items.

    Raises:
        ValidationError: ``item_ids`` is a single str, or an id is not a str.
    """

    def __init__(
        self,
        item_ids: Iterable[str],
        *,
        filter_data: FilterData | None = None,
        unfiltered: Unfiltered = "refuse",
    ) -> None:
        super().__init__(filter_data, unfiltered)
        self._item_ids = checks.ids(item_ids, "item_ids")
        self._places = {id: place for place, id in enumerate(self._item_ids)}

    def recommendations(self, request: Request[Recommendations], /) -> Recommendations | None:
        """The first items of the list. Requests with promotions are refused, since only the service can place them."""
        if "promotions" in request.members or "metadataColumns" in request.members:
            return None
        seed = request.members.get("itemId")
        kept = self._kept(request, (id for id in self._item_ids if id != seed))
        if kept is None:
            return None
        item_ids, unfiltered = kept
        item_ids = item_ids[: request.members.get("numResults", DEFAULT_NUM_RESULTS)]
        return _marked(Recommendations(item_ids, scores=[None] * len(item_ids)), unfiltered)

    def ranking(self, request: Request[Ranking], /) -> Ranking | None:
        """The items of the request by their place in the list; others last, in input order."""
        kept = self._kept(request, request.members["inputList"])
        if kept is None:
            return None
        item_ids, unfiltered = kept
        ordered = sorted(item_ids, key=lambda id: self._places.get(id, len(self._places)))
        return _marked(Ranking(ordered, scores=[None] * len(ordered)), unfiltered)


class PopularActionsFallback(_Filtering):
    """Offers the actions of a fixed list, best first, to everybody, without scores.

    The service leaves out actions that are expired or were repeated too soon; here the list is the caller's to keep.

    Args:
        action_ids: The actions, most popular first; may be a column of a frame.
        filter_data: Data to apply filters with.
        unfiltered: The reaction to a filter that cannot be applied: ``"refuse"``, or ``"allow"`` all actions.

    Raises:
        ValidationError: ``action_ids`` is a single str, or an id is not a str.
    """

    def __init__(
        self,
        action_ids: Iterable[str],
        *,
        filter_data: FilterData | None = None,
        unfiltered: Unfiltered = "refuse",
    ) -> None:
        super().__init__(filter_data, unfiltered)
        self._action_ids = checks.ids(action_ids, "action_ids")

    def actions(self, request: Request[ActionRecommendations], /) -> ActionRecommendations | None:
        """The first actions of the list."""
        return self._offered(request, self._action_ids)


class StaleFallback(_Chainable):
    """Repeats the last answer of the service to the same request, however old.

    Args:
        max_entries: The most answers to keep, with LRU eviction.
    """

    keeps_answers: bool = True

    def __init__(self, max_entries: int = 1024) -> None:
        self._store = MemoryStore(max_entries)

    def remember(self, request: Request[Any], answer: Answer, /) -> None:
        """Keep an answer of the service."""
        self._store.set(cache_key(request), Entry(answer, 0.0))

    def ranking(self, request: Request[Ranking], /) -> Ranking | None:
        """The last ranking for this request."""
        return self._last(request, Ranking)

    def recommendations(self, request: Request[Recommendations], /) -> Recommendations | None:
        """The last recommendations for this request."""
        return self._last(request, Recommendations)

    def actions(self, request: Request[ActionRecommendations], /) -> ActionRecommendations | None:
        """The last actions for this request."""
        return self._last(request, ActionRecommendations)

    def _last(self, request: Request[Any], kind: type[AnswerT]) -> AnswerT | None:
        entry = self._store.get(cache_key(request))
        return entry.answer if entry is not None and isinstance(entry.answer, kind) else None


def _marked(answer: AnswerT, unfiltered: bool) -> AnswerT:
    """Mark an answer as unfiltered, if it is."""
    return evolved(answer, info=attrs.evolve(answer.info, unfiltered=True)) if unfiltered else answer


def substitute_for(error: PersonalizeError, request: Request[Any], fallback: Fallback) -> Answer | None:
    """A fallback's answer; ``None`` if the error is the caller's, or the fallback refuses or fails."""
    return answer_of(fallback, request) if wants_fallback(error) else None


def answer_of(fallback: Fallback, request: Request[Any]) -> Answer | None:
    """A fallback's answer; ``None`` if it refuses, fails, or returns a value of the wrong type."""
    method, kind = _METHODS[request.operation.name]
    try:
        answer = getattr(fallback, method)(request)
    except Exception as failure:
        # The caller gets the original error. Only the class is logged, since a message may show personal values.
        _log.warning("a fallback, %s, failed with %s", type(fallback).__name__, type(failure).__name__)
        return None
    if answer is not None and not isinstance(answer, kind):
        _log.warning(
            "a fallback, %s, answered with %s, not a %s", type(fallback).__name__, describe(answer), kind.__name__
        )
        return None
    return answer


def tell(fallback: Fallback, request: Request[Any], answer: Any) -> None:
    """Pass an answer of the service to a fallback, if it can remember; a failure is ignored."""
    remember = getattr(fallback, "remember", None)
    if remember is None:
        return
    try:
        remember(request, answer)
    except Exception as failure:
        _log.warning("a fallback, %s, could not remember: %s", type(fallback).__name__, type(failure).__name__)


_METHODS: Mapping[str, tuple[str, type[Answer]]] = {
    "GetPersonalizedRanking": ("ranking", Ranking),
    "GetRecommendations": ("recommendations", Recommendations),
    "GetActionRecommendations": ("actions", ActionRecommendations),
}

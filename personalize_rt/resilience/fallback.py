"""The best answer there is, when the service has none.

A fallback is asked for throttling, errors of the service, of the transport and of the deadline, and while the breaker
is open; never for an error of the caller, which would hide a bug. It may refuse, by returning ``None``; then the next
one of a chain ``first | second`` is asked, and at last the original error is raised.

A request with a filter must not come back unfiltered by accident: what it hides may be watched, out of stock, or not
for children. A fallback that can, applies the filter itself; one that cannot refuses, unless the caller chose
``unfiltered="allow"``, and then ``answer.info.unfiltered`` says so.
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
from personalize_rt.limits import DEFAULT_NUM_RESULTS, Limits
from personalize_rt.operations import Request
from personalize_rt.redaction import describe
from personalize_rt.rerank.reranker import LocalReranker
from personalize_rt.rerank.scorers import Scorer
from personalize_rt.resilience.cache import cache_key
from personalize_rt.resilience.stores import Answer, Entry, MemoryStore
from personalize_rt.results import ActionRecommendations, Ranking, Recommendations

__all__ = [
    "Fallback",
    "FallbackChain",
    "FilterData",
    "InputOrderFallback",
    "Listener",
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
    """Whether an error is the service's trouble, and not the caller's."""
    return isinstance(error, _TROUBLE)


@runtime_checkable
class Fallback(Protocol):
    """Answers when the service cannot. Each method gets the whole request, and may refuse with ``None``."""

    def ranking(self, request: Request[Ranking], /) -> Ranking | None:
        """An answer to GetPersonalizedRanking."""
        ...

    def recommendations(self, request: Request[Recommendations], /) -> Recommendations | None:
        """An answer to GetRecommendations."""
        ...

    def actions(self, request: Request[ActionRecommendations], /) -> ActionRecommendations | None:
        """An answer to GetActionRecommendations."""
        ...


class _Chainable:
    """A fallback that refuses everything, and can be combined with ``|``."""

    keeps_answers: bool = False
    """Tell whether answers are kept for later, and so must be told apart by who may have them."""

    def ranking(self, request: Request[Ranking], /) -> Ranking | None:
        """An answer to GetPersonalizedRanking, or ``None``."""
        return None

    def recommendations(self, request: Request[Recommendations], /) -> Recommendations | None:
        """An answer to GetRecommendations, or ``None``."""
        return None

    def actions(self, request: Request[ActionRecommendations], /) -> ActionRecommendations | None:
        """An answer to GetActionRecommendations, or ``None``."""
        return None

    def remember(self, request: Request[Any], answer: Answer, /) -> None:
        """Told of each answer of the service."""

    def __or__(self, other: Fallback) -> FallbackChain:
        return FallbackChain((self, other))


class FallbackChain(_Chainable):
    """The first of several fallbacks that does not refuse. Written ``first | second``.

    A link that fails is passed over like one that refuses.

    Raises:
        ValidationError: A link is no fallback.
    """

    def __init__(self, links: Iterable[Fallback]) -> None:
        self._links = tuple(links)
        for link in self._links:
            _check_link(link)
        self.keeps_answers: bool = any(getattr(link, "keeps_answers", False) for link in self._links)

    def ranking(self, request: Request[Ranking], /) -> Ranking | None:
        """The first answer to GetPersonalizedRanking."""
        return self._first(request, Ranking)

    def recommendations(self, request: Request[Recommendations], /) -> Recommendations | None:
        """The first answer to GetRecommendations."""
        return self._first(request, Recommendations)

    def actions(self, request: Request[ActionRecommendations], /) -> ActionRecommendations | None:
        """The first answer to GetActionRecommendations."""
        return self._first(request, ActionRecommendations)

    def remember(self, request: Request[Any], answer: Answer, /) -> None:
        """Tell every link of an answer of the service."""
        for link in self._links:
            tell(link, request, answer)

    def _first(self, request: Request[Any], kind: type[AnswerT]) -> AnswerT | None:
        answers = (answer_of(link, request) for link in self._links)
        return next((answer for answer in answers if isinstance(answer, kind)), None)

    def __or__(self, other: Fallback) -> FallbackChain:
        return FallbackChain((*self._links, other))


def _check_link(link: Any) -> None:
    """Refuse what could not answer now, not in the outage that it is for."""
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
    """Tells a fallback of answers, and never asks it.

    Args:
        fallback: Who is told.
    """

    def __init__(self, fallback: Fallback) -> None:
        self._fallback = fallback
        self.keeps_answers: bool = bool(getattr(fallback, "keeps_answers", False))

    def remember(self, request: Request[Any], answer: Answer, /) -> None:
        """Pass on an answer of the service."""
        tell(self._fallback, request, answer)


@attrs.frozen(eq=False)
class FilterData:
    """What a fallback needs to apply filters itself; a part that is not given makes it refuse filters that need it.

    Attributes:
        items: Item id to its columns (``{"tt0468569": {"GENRES": "Action|Drama"}}``). An item that is not here, or has
            no value in a column that the filter asks for, cannot be judged, and is left out.
        users: User id to its columns, for ``CurrentUser``. A filter about a user who is not here is refused.
        interactions: What a user did, newest or oldest first, for ``Interactions``.
    """

    items: Mapping[str, Mapping[str, object]] | None = attrs.field(default=None, repr=False)
    users: Mapping[str, Mapping[str, object]] | None = attrs.field(default=None, repr=False)
    interactions: Callable[[str], Iterable[Interaction]] | None = attrs.field(default=None, repr=False)


class _Filtering(_Chainable):
    """Applies the filter of a request, or refuses."""

    def __init__(self, filter_data: FilterData | None, unfiltered: Unfiltered) -> None:
        checks.one_of(unfiltered, "unfiltered", "refuse", "allow")
        self._data = filter_data
        self._unfiltered = unfiltered

    def _kept(self, request: Request[Any], item_ids: Iterable[str]) -> tuple[list[str], bool] | None:
        """What the filter leaves, and whether it was left out; ``None`` to refuse."""
        if not _MEMBERS.issuperset(request.members):
            return None
        item_ids = list(item_ids)
        if "filterArn" not in request.members:
            return item_ids, False
        keep = self._judge(request)
        if keep is not None:
            return [id for id in item_ids if keep(id)], False
        return (item_ids, True) if self._unfiltered == "allow" else None

    def _judge(self, request: Request[Any]) -> Callable[[str], bool] | None:
        """A test for items by the request's filter, when its expression and all the data that it needs are here."""
        bound, data = request.filter, self._data
        if bound is None or data is None or data.items is None:
            return None
        user_id: str = request.members.get("userId", "")
        # A user or seed item without a value is not judged as one who has none: an EXCLUDE would let everything in.
        user = _with_columns(bound, "CurrentUser", None if data.users is None else data.users.get(user_id))
        seed = _with_columns(bound, "CurrentItem", data.items.get(request.members.get("itemId", "")))
        if user is None or seed is None:
            return None
        events: tuple[Interaction, ...] = ()
        if bound.filter.expression.uses_interactions:
            if data.interactions is None or not user_id:
                return None
            events = tuple(data.interactions(user_id))
        items = data.items

        def keep(item_id: str) -> bool:
            row = _with_columns(bound, "Items", items.get(item_id))
            return row is not None and bound.matches(
                {"ITEM_ID": item_id, **row}, user=user, current_item=seed, interactions=events
            )

        return keep


def _with_columns(bound: BoundFilter, dataset: str, row: Mapping[str, object] | None) -> Mapping[str, object] | None:
    """A row that has every column which the filter asks of its data set; ``None`` when it cannot be judged."""
    wanted = [field.name for field in bound.filter.expression.fields if field.dataset == dataset]
    if not wanted:
        return row or {}
    return None if row is None or any(cell(row, name) is None for name in wanted) else row


class InputOrderFallback(_Filtering):
    """Rankings in the order of the request, without scores: what the page would show without personalisation.

    Args:
        filter_data: Data to apply filters with.
        unfiltered: What to do about a filter that cannot be applied: ``"refuse"``, or ``"allow"`` all items.
    """

    def __init__(self, *, filter_data: FilterData | None = None, unfiltered: Unfiltered = "refuse") -> None:
        super().__init__(filter_data, unfiltered)

    def ranking(self, request: Request[Ranking], /) -> Ranking | None:
        """The items of the request, as they came."""
        kept = self._kept(request, request.members["inputList"])
        if kept is None:
            return None
        item_ids, unfiltered = kept
        return _told(Ranking(item_ids, scores=[None] * len(item_ids)), unfiltered)


class RerankFallback(_Filtering):
    """Rankings by a :class:`LocalReranker`, which knows the user.

    A list may be as long as the client's limits allow, whatever those of the re-ranker say. A scorer with a method
    ``observe`` is told of each ranking of the service, and so learns while all is well:
    ``RerankFallback(ShadowScorer())`` learns and answers.

    Args:
        reranker: Who ranks; a scorer, or a mapping of item ids to logits, is made one.
        filter_data: Data to apply filters with.
        unfiltered: What to do about a filter that cannot be applied: ``"refuse"``, or ``"allow"`` all items.
    """

    def __init__(
        self,
        reranker: LocalReranker | Scorer | Mapping[str, float | None],
        *,
        filter_data: FilterData | None = None,
        unfiltered: Unfiltered = "refuse",
    ) -> None:
        super().__init__(filter_data, unfiltered)
        if not isinstance(reranker, LocalReranker):
            reranker = LocalReranker(reranker)
        # The client has checked the request, by limits that may be wider.
        self._reranker = attrs.evolve(reranker, limits=Limits.off())
        self._observe: Callable[..., object] | None = getattr(reranker.scorer, "observe", None)

    def remember(self, request: Request[Any], answer: Answer, /) -> None:
        """Let the scorer learn from a ranking of the service, if it can."""
        if self._observe is not None and isinstance(answer, Ranking):
            self._observe(request.members["userId"], answer, request.members.get("context"))

    def ranking(self, request: Request[Ranking], /) -> Ranking | None:
        """The items of the request, in the local order."""
        members = request.members
        kept = self._kept(request, members["inputList"])
        if kept is None:
            return None
        item_ids, unfiltered = kept
        if not item_ids:
            return _told(Ranking((), scores=()), unfiltered)
        ranking = self._reranker.rank(user_id=members["userId"], input_list=item_ids, context=members.get("context"))
        return _told(ranking, unfiltered)


class PopularItemsFallback(_Filtering):
    """Recommendations from a fixed list, best first, and rankings in that list's order.

    Args:
        item_ids: The items, the most popular first; a column of a frame is taken too.
        filter_data: Data to apply filters with.
        unfiltered: What to do about a filter that cannot be applied: ``"refuse"``, or ``"allow"`` all items.

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
        """The first items of the list; promotions are the service's to place, so a request for them is refused."""
        if "promotions" in request.members or "metadataColumns" in request.members:
            return None
        seed = request.members.get("itemId")
        kept = self._kept(request, (id for id in self._item_ids if id != seed))
        if kept is None:
            return None
        item_ids, unfiltered = kept
        item_ids = item_ids[: request.members.get("numResults", DEFAULT_NUM_RESULTS)]
        return _told(Recommendations(item_ids, scores=[None] * len(item_ids)), unfiltered)

    def ranking(self, request: Request[Ranking], /) -> Ranking | None:
        """The items of the request by their place in the list; others last, as they came."""
        kept = self._kept(request, request.members["inputList"])
        if kept is None:
            return None
        item_ids, unfiltered = kept
        ordered = sorted(item_ids, key=lambda id: self._places.get(id, len(self._places)))
        return _told(Ranking(ordered, scores=[None] * len(ordered)), unfiltered)


class StaleFallback(_Chainable):
    """The last answer of the service to the very same request, however old.

    Args:
        max_entries: Answers to remember, the least recently used forgotten first.
    """

    keeps_answers: bool = True

    def __init__(self, max_entries: int = 1024) -> None:
        self._store = MemoryStore(max_entries)

    def remember(self, request: Request[Any], answer: Answer, /) -> None:
        """Keep an answer of the service; the client calls this after each success."""
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


def _told(answer: AnswerT, unfiltered: bool) -> AnswerT:
    """The answer, saying whether a filter was left out."""
    return attrs.evolve(answer, info=attrs.evolve(answer.info, unfiltered=True)) if unfiltered else answer


def substitute_for(error: PersonalizeError, request: Request[Any], fallback: Fallback) -> Answer | None:
    """A fallback's answer; ``None`` when the error is the caller's, or the fallback refuses or fails itself."""
    return answer_of(fallback, request) if wants_fallback(error) else None


def answer_of(fallback: Fallback, request: Request[Any]) -> Answer | None:
    """What a fallback answers; ``None`` when it refuses, fails, or answers with something else."""
    method, kind = _METHODS[request.operation.name]
    try:
        answer = getattr(fallback, method)(request)
    except Exception as failure:
        # The caller gets the original error; only the class is logged, since a text may show what was asked.
        _log.warning("a fallback, %s, failed with %s", type(fallback).__name__, type(failure).__name__)
        return None
    if answer is not None and not isinstance(answer, kind):
        _log.warning(
            "a fallback, %s, answered with %s, not a %s", type(fallback).__name__, describe(answer), kind.__name__
        )
        return None
    return answer


def tell(fallback: Fallback, request: Request[Any], answer: Any) -> None:
    """Let a fallback remember an answer of the service, if it can; one that fails breaks nothing."""
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

"""Shelves of a page: several campaigns and recommenders at once, without items that stand twice.

Each shelf asks, in its one request, for as many rows as it could need: its size, the sizes of the shelves before it,
whose items are taken out of it, and ``exclude``. So a shelf is as long as its size, unless its answer has no more rows
or a request cannot ask for more (500): never because of a shelf before it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypedDict, TypeVar, Unpack, overload

import attrs

from personalize_rt import checks, operations
from personalize_rt.arguments import Promotion, RecommendationsArguments, members_of
from personalize_rt.errors import PersonalizeError, ValidationError
from personalize_rt.handles import Bound, kept
from personalize_rt.limits import Limits
from personalize_rt.operations import Request
from personalize_rt.outcome import Failed, Outcome
from personalize_rt.redaction import describe
from personalize_rt.resilience.call import UNSET, Call, Policies
from personalize_rt.results import PredictedItem, Recommendations, ResponseInfo
from personalize_rt.seen import Seen, enough, in_one_request, seen_ids, without_seen

if TYPE_CHECKING:
    from personalize_rt.filters.expression import BoundFilter, Filter
    from personalize_rt.filters.values import FilterValue
    from personalize_rt.resilience.fallback import Fallback

__all__ = ["Part", "Shelf", "ShelfRequest", "Shelves", "ShelvesCall"]

_log = logging.getLogger("personalize_rt")

# Seconds after the deadline for calls to end by themselves, with their fallbacks.
_GRACE = 0.1
# Seconds for the fallbacks of calls that do not: they hang where no deadline reaches, as in the look-up of a host name.
_FALLBACKS = 0.5

_OF_REQUEST = members_of(RecommendationsArguments).keys() - {"campaign_arn", "recommender_arn", "num_results"}


class _Handle(Protocol):
    @property
    def arn(self) -> str: ...


HandleT_co = TypeVar("HandleT_co", bound=_Handle, covariant=True)
TransportT = TypeVar("TransportT")


class ShelfRequest(TypedDict, total=False):
    """The arguments of a shelf's request, as the types of ``**request``: those of a handle's ``recommend``."""

    user_id: str | None
    item_id: str | None
    context: Mapping[str, str] | None
    filter_arn: str | None
    filter_values: Mapping[str, FilterValue] | None
    filter: BoundFilter | Filter | None
    promotions: Iterable[Promotion | Mapping[str, object]] | None
    metadata_columns: Iterable[str] | None


class Shelf(Generic[HandleT_co]):
    """One shelf of a page: who is asked, with what, and how many rows are shown. It may serve many calls.

    Args:
        handle: A campaign or recommender of any runtime of the same kind. Its retries, cache, breaker and hooks are
            used.
        size: The number of rows, from 1 to 500 (50 with metadata).
        fallback: Who answers when the service cannot; by default that of the handle's runtime, ``None`` for nobody.
        **request: The arguments of the handle's ``recommend``, such as ``user_id``, but for ``num_results``.
    """

    __slots__ = ("fallback", "handle", "request", "size")

    def __init__(
        self,
        handle: HandleT_co,
        size: int = 10,
        *,
        fallback: Fallback | None = UNSET,
        **request: Unpack[ShelfRequest],
    ) -> None:
        for name in request:
            if name not in _OF_REQUEST:
                advice = ": size is how many rows it shows" if name == "num_results" else ""
                raise TypeError(f"Shelf() got an unexpected keyword argument {name!r}{advice}")
        self.handle: HandleT_co = handle
        self.size: int = size
        self.fallback: Fallback | None = fallback
        self.request: Mapping[str, Any] = {name: kept(value) for name, value in request.items() if value is not None}

    def __repr__(self) -> str:
        return f"Shelf({', '.join([repr(self.handle), f'size={self.size!r}', *sorted(self.request)])})"


@attrs.frozen(repr=False)
class Shelves(Sequence[Recommendations]):
    """The shelves of a page, in the order in which they were wanted: an immutable sequence of results.

    Made by ``runtime.shelves(…)``. Each shelf is a :class:`~personalize_rt.Recommendations` of the rows to show, with
    the recommendation id of its own answer. A shelf that failed is ``degraded``, and has the rows of its fallback, or
    none; its ``cause`` is the error.

    Attributes:
        arns: The campaign or recommender of each shelf.
    """

    _shelves: tuple[Recommendations, ...]
    arns: tuple[str, ...] = attrs.field(eq=False)

    @property
    def item_ids(self) -> tuple[str, ...]:
        """The items of all shelves, in order."""
        return tuple(id for shelf in self._shelves for id in shelf.item_ids)

    @property
    def errors(self) -> tuple[PersonalizeError | None, ...]:
        """For each shelf, the error for which it has the rows of its fallback, or none; ``None`` if it was answered."""
        return tuple(shelf.cause for shelf in self._shelves)

    @property
    def degraded(self) -> bool:
        """``True`` if a shelf was not answered."""
        return any(shelf.degraded for shelf in self._shelves)

    def shelf_of(self, id: str, /) -> Recommendations | None:
        """The first shelf that shows an item, or ``None``."""
        return next((shelf for shelf in self._shelves if shelf.position(id) is not None), None)

    def get(self, id: str, /) -> PredictedItem | None:
        """The first row of an item, or ``None``."""
        shelf = self.shelf_of(id)
        return None if shelf is None else shelf.get(id)

    def to_dicts(self, *, metadata_columns: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """Convert the rows to dicts of plain values, with the place of their shelf as ``shelf``.

        The other columns are those of :meth:`personalize_rt.Recommendations.to_dicts`.
        """
        names = None if metadata_columns is None else [*checks.listed(metadata_columns, "metadata_columns")]
        return [
            {"shelf": place, **row}
            for place, shelf in enumerate(self._shelves)
            for row in shelf.to_dicts(metadata_columns=names)
        ]

    def __len__(self) -> int:
        return len(self._shelves)

    @overload
    def __getitem__(self, index: int) -> Recommendations: ...
    @overload
    def __getitem__(self, index: slice) -> Shelves: ...
    def __getitem__(self, index: int | slice) -> Recommendations | Shelves:
        if isinstance(index, slice):
            return Shelves(self._shelves[index], self.arns[index])
        return self._shelves[index]

    def __iter__(self) -> Iterator[Recommendations]:
        return iter(self._shelves)

    def __repr__(self) -> str:
        return f"Shelves({list(self._shelves)!r})"

    def _repr_html_(self: Any) -> str:
        return "".join(shelf._repr_html_() for shelf in self)


@attrs.frozen
class Part(Generic[TransportT]):
    """One shelf under way.

    Attributes:
        shelf: What is wanted.
        request: What is asked.
        policies: Those of the handle's runtime, with the shelf's fallback.
        transport: Sends for it.
    """

    shelf: Shelf[Any]
    request: Request[Recommendations]
    policies: Policies
    transport: TransportT


class ShelvesCall:
    """One call for shelves: what is wanted, its clock, and what becomes of answers.

    Args:
        shelves: The shelves.
        handles: The classes of handles that this client can use.
        policies: Those of the runtime.
        deadline: Seconds for all of them; ``None`` for no end, ``UNSET`` for the runtime's.
        distinct: Whether an item is shown once.
        exclude: Items to show nowhere.

    Raises:
        ValidationError: An argument was refused.
    """

    def __init__(
        self,
        shelves: Any,
        handles: tuple[type[Any], ...],
        policies: Policies,
        *,
        deadline: float | None,
        distinct: bool,
        exclude: Seen,
    ) -> None:
        self.shelves: tuple[Shelf[Any], ...] = tuple(checks.listed(shelves, "shelves", "shelves", "Shelf(…)"))
        for place, shelf in enumerate(self.shelves):
            if not isinstance(shelf, Shelf):  # pyright: ignore[reportUnnecessaryIsInstance] - from outside
                raise ValidationError(
                    f"shelves[{place}] is {describe(shelf)}: write Shelf(handle, size=10, user_id=…)",
                    parameter="shelves",
                )
            if not isinstance(shelf.handle, handles):
                names = " or ".join(kind.__name__ for kind in handles)
                raise ValidationError(
                    f"the handle of shelves[{place}] is {describe(shelf.handle)}: it must be a {names}",
                    parameter="shelves",
                )
        if not isinstance(distinct, bool):  # pyright: ignore[reportUnnecessaryIsInstance] - from outside
            raise ValidationError("distinct must be True or False", parameter="distinct")
        if deadline is UNSET:
            deadline = policies.deadline
        elif deadline is not None:
            checks.seconds(deadline, "deadline", above_0=True, note=", or None for no deadline")
        self._deadline = deadline
        self._distinct = distinct
        self._seen = seen_ids(exclude)
        self._clock = policies.retry.clock
        self._start = self._clock()

    def request(self, place: int, bound: Bound, resource: str, limits: Limits) -> Request[Recommendations]:
        """The request of a shelf.

        Args:
            place: The place of the shelf.
            bound: What its handle repeats.
            resource: ``"campaign_arn"`` or ``"recommender_arn"``.
            limits: How much one request may carry.

        Raises:
            ValidationError: An argument of the shelf was refused; the message says of which shelf.
        """
        shelf = self.shelves[place]
        try:
            arguments = bound.merged("shelves", num_results=None, **{**dict.fromkeys(_OF_REQUEST), **shelf.request})
            with_metadata = bool(arguments.get("metadata_columns"))
            size = in_one_request(shelf.size, "size", limits, with_metadata=with_metadata)
            before = sum(other.size for other in self.shelves[:place]) if self._distinct else 0
            arguments["num_results"] = enough(size + before, self._seen, limits, with_metadata=with_metadata)
            arguments[resource] = bound.arn
            return operations.request_for(RecommendationsArguments(**arguments), limits)
        except ValidationError as error:
            error.args = (f"shelves[{place}]: {error.message}",)
            raise

    def policies(self, place: int, policies: Policies, limits: Limits) -> Policies:
        """The policies of a handle's runtime, with the fallback of the shelf.

        Raises:
            ValidationError: The fallback is none.
        """
        shelf = self.shelves[place]
        if shelf.fallback is UNSET:
            return policies
        changed = policies.changed(fallback=shelf.fallback)
        changed.check(limits)
        return changed

    def begins(self) -> None:
        """All clients exist: the deadline begins."""
        self._start = self._clock()

    def _left(self) -> float | None:
        return None if self._deadline is None else self._deadline - (self._clock() - self._start)

    def in_time(self, policies: Policies) -> Policies:
        """The policies of a shelf whose call begins now; also a client of the caller's is left behind when it is late.

        The deadline is that of all shelves, whatever that of the handle's runtime is.
        """
        left = self._left()
        # At least a moment, in which a call can tell that it is late and ask its fallback.
        return policies.changed(deadline=None if left is None else max(left, 1e-6), enforce_deadline=True)

    def patience(self) -> float | None:
        """Seconds to wait for all calls to end by themselves."""
        left = self._left()
        return None if left is None else max(left, 0.0) + _GRACE

    def patience_with_fallbacks(self) -> float:
        """Seconds to wait for the fallbacks of calls that have not ended by themselves."""
        return _FALLBACKS

    def late(self, part: Part[Any]) -> Outcome[Recommendations]:
        """The outcome of a shelf whose call has not ended: its fallback's answer, or the error."""
        # Without hooks: the call under way tells them of itself.
        call = Call(part.request, part.policies.changed(deadline=self._deadline, hooks=()))
        return call.substituted(Failed(call.late()))

    def result(self, parts: Sequence[Part[Any]], outcomes: Iterable[Outcome[Recommendations] | None]) -> Shelves:
        """The shelves, with what stands twice taken out in their order."""
        out = set(self._seen)
        shown: list[Recommendations] = []
        for part, outcome in zip(parts, outcomes, strict=True):
            if outcome is None:  # its fallback is late, too
                outcome = Failed(Call(part.request, part.policies.changed(deadline=self._deadline, hooks=())).late())
            answer = _empty(part, outcome.take()) if isinstance(outcome, Failed) else outcome.value
            rows = without_seen(answer, out, part.shelf.size)
            if self._distinct:
                out.update(rows.item_ids)
            shown.append(rows)
        return Shelves(tuple(shown), tuple(part.request.resource_arn for part in parts))


def _empty(part: Part[Any], error: PersonalizeError) -> Recommendations:
    _log.warning("the shelf of %s is empty: %s", part.request.resource_arn, type(error).__name__)
    info = ResponseInfo(getattr(error, "request_id", None), getattr(error, "attempts", 0), source="fallback")
    return Recommendations((), scores=(), info=info, degraded=True, cause=error)

"""The events of a call, and the exposures of an experiment, which hooks receive as frozen values.

An event has the operation, the campaign or recommender, counts and durations. It has no user id, context, filter value
or item metadata.

An exposure is no event of a call: it tells hooks of its own (:mod:`personalize_rt.experiments`) who was shown which
side of an experiment. Instead of a user id it has a ``unit``, by which outcomes are joined to it later, and which its
``repr`` hides.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import attrs

__all__ = [
    "AttemptFailed",
    "AttemptStarted",
    "AttemptSucceeded",
    "BreakerChanged",
    "CacheAnswered",
    "CallEnded",
    "CallStarted",
    "Event",
    "EventsDropped",
    "EventsFailed",
    "EventsQueued",
    "EventsSent",
    "Exposure",
    "FallbackAnswered",
    "HedgeStarted",
    "InterleavingExposure",
    "RetryPlanned",
    "SplitExposure",
]


@attrs.frozen
class Event:
    """Base of all events.

    Attributes:
        operation: The operation, as the service spells it (``"GetRecommendations"``).
        resource_arn: The campaign or recommender of the call; of an event tracker its tracking id, or the dataset.
    """

    operation: str
    resource_arn: str


@attrs.frozen
class CallStarted(Event):
    """A call has begun."""


@attrs.frozen
class AttemptStarted(Event):
    """A request is about to be sent. ``attempt`` counts from 1."""

    attempt: int


@attrs.frozen
class AttemptFailed(Event):
    """A request failed.

    Attributes:
        attempt: The number of the attempt, from 1.
        error: The class of the error (``"ThrottlingError"``).
        elapsed: Seconds since the call began.
    """

    attempt: int
    error: str
    elapsed: float


@attrs.frozen
class AttemptSucceeded(Event):
    """A request was answered.

    Attributes:
        attempt: The number of the attempt, from 1.
        elapsed: Seconds since the call began.
    """

    attempt: int
    elapsed: float


@attrs.frozen
class RetryPlanned(Event):
    """A retry was decided on, and will follow after a wait.

    Attributes:
        attempt: The attempt that failed, from 1.
        wait: Seconds until the next attempt.
    """

    attempt: int
    wait: float


@attrs.frozen
class HedgeStarted(Event):
    """A second request is about to be sent while the first is in flight."""


@attrs.frozen
class CacheAnswered(Event):
    """The cache answered. ``stale`` is ``True`` if the entry had expired."""

    stale: bool


@attrs.frozen
class BreakerChanged(Event):
    """The breaker of a campaign or recommender opened, closed, or became half-open, to let a probe through."""

    state: Literal["closed", "open", "half-open"]


@attrs.frozen
class FallbackAnswered(Event):
    """A fallback answered. ``error`` is the class of the error that made it necessary."""

    error: str


@attrs.frozen
class CallEnded(Event):
    """A call has ended.

    Attributes:
        elapsed: The duration of the call in seconds.
        attempts: The number of requests that were sent.
        source: The source of the answer (``"service"``, ``"cache"``, ``"fallback"``), or ``None`` if the call raised.
        error: The class of the error that it raised, or ``None``.
        items: The number of rows of the answer.
        request_id: The service's id of the last request that was answered, or ``None``.
    """

    elapsed: float
    attempts: int
    source: str | None
    error: str | None
    items: int
    request_id: str | None


# Those of event trackers. None tells of a user, a session or what an event holds.


@attrs.frozen
class EventsQueued(Event):
    """A tracker took an event into its queue.

    Attributes:
        events: The number of events.
        pending: The number of events that are in the queue now.
    """

    events: int
    pending: int


@attrs.frozen
class EventsSent(Event):
    """The service took events. ``events`` is their number."""

    events: int


@attrs.frozen
class EventsDropped(Event):
    """A tracker gave events up that it could not send.

    Attributes:
        events: The number of events.
        reason: ``"full"`` (the queue had no room), ``"closed"`` (they were left when the tracker was closed, or came
            after that) or ``"interrupted"`` (closing it was broken off).
    """

    events: int
    reason: Literal["full", "closed", "interrupted"]


@attrs.frozen
class EventsFailed(Event):
    """Events were refused, each alone, and are set aside. ``error`` is the class of the error."""

    events: int
    error: str


# Exposures.


def _hidden(_: str) -> str:
    return "<hidden>"


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


def _sides(values: Iterable[Side | None]) -> tuple[Side | None, ...]:
    return tuple(values)


def _places(values: Iterable[Iterable[int | None]]) -> tuple[tuple[int | None, ...], ...]:
    # From JSON, they come as lists.
    return tuple(map(tuple, values))


Side = Literal["a", "b"]
"""The side of an interleaved list: the first or the second ranking."""


@attrs.frozen(kw_only=True)
class Exposure:
    """Base of all exposures. ``attrs.asdict(exposure)`` holds what rebuilds one (``SplitExposure(**stored)``).

    Attributes:
        experiment: The name of the experiment.
        unit: What outcomes are joined by: an id that the caller chose or can derive again, such as that of the session.
            Hidden by ``repr``.
    """

    experiment: str
    unit: str = attrs.field(repr=_hidden)


@attrs.frozen(kw_only=True)
class SplitExposure(Exposure):
    """A unit was shown what its group is shown.

    Attributes:
        group: The group.
    """

    group: str


@attrs.frozen(kw_only=True)
class InterleavingExposure(Exposure):
    """A unit was shown an interleaved list. The lists of attributes have one element for each item.

    Attributes:
        method: The method that made the list: ``"team-draft"`` or ``"balanced"``.
        item_ids: The items as they were shown.
        sides: The side of each; ``None`` for an item that counts for neither.
        places: The places of each, from 0, in the first and in the second ranking; ``None`` where it is absent.
        degraded: ``True`` if a fallback answered for one of the two.
    """

    method: Literal["team-draft", "balanced"]
    item_ids: tuple[str, ...] = attrs.field(converter=_texts)
    sides: tuple[Side | None, ...] = attrs.field(converter=_sides)
    places: tuple[tuple[int | None, ...], ...] = attrs.field(converter=_places)
    degraded: bool = False

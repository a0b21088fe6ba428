"""What hooks are told: one frozen value for each thing that happens in a call.

An event names the operation and the campaign or recommender, counts and durations. It holds no user id, context,
filter value or item metadata.
"""

from __future__ import annotations

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
    "FallbackAnswered",
    "HedgeStarted",
    "RetryPlanned",
]


@attrs.frozen
class Event:
    """Something that happened.

    Attributes:
        operation: The operation, as the service spells it (``"GetRecommendations"``).
        resource_arn: The campaign or recommender that was asked.
    """

    operation: str
    resource_arn: str


@attrs.frozen
class CallStarted(Event):
    """A call begins."""


@attrs.frozen
class AttemptStarted(Event):
    """A request goes out. ``attempt`` counts from 1."""

    attempt: int


@attrs.frozen
class AttemptFailed(Event):
    """A request failed.

    Attributes:
        attempt: Which one, from 1.
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
        attempt: Which one, from 1.
        elapsed: Seconds since the call began.
    """

    attempt: int
    elapsed: float


@attrs.frozen
class RetryPlanned(Event):
    """The request will be sent again.

    Attributes:
        attempt: The attempt that failed, from 1.
        wait: Seconds until the next one.
    """

    attempt: int
    wait: float


@attrs.frozen
class HedgeStarted(Event):
    """A second request goes out while the first is still under way."""


@attrs.frozen
class CacheAnswered(Event):
    """The cache answered. ``stale`` when the entry was past its time."""

    stale: bool


@attrs.frozen
class BreakerChanged(Event):
    """The breaker of a campaign or recommender opened, closed, or lets a probe through."""

    state: Literal["closed", "open", "half-open"]


@attrs.frozen
class FallbackAnswered(Event):
    """A fallback answered. ``error`` is the class of the error for which it did."""

    error: str


@attrs.frozen
class CallEnded(Event):
    """A call is over.

    Attributes:
        elapsed: Seconds that it took.
        attempts: Requests that were sent.
        source: Who answered (``"service"``, ``"cache"``, ``"fallback"``), or ``None`` when it raised.
        error: The class of the error that it raised, or ``None``.
        items: Rows of the answer.
        request_id: The service's id of the last request that was answered, or ``None``.
    """

    elapsed: float
    attempts: int
    source: str | None
    error: str | None
    items: int
    request_id: str | None

"""Events of users, as PutEvents takes them: one class for those who send events and those who receive them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from math import isfinite
from numbers import Real
from types import MappingProxyType
from typing import Any, cast

import attrs

from personalize_rt.errors import ValidationError
from personalize_rt.limits import Limits
from personalize_rt.redaction import describe

__all__ = ["TrackedEvent"]

# Model: EventType, ItemId, EventId; RecommendationId; Impression; EventPropertiesJSON.
_ID_LENGTH = cast(int, Limits().id_length)
_RECOMMENDATION_ID_LENGTH = 40
_IMPRESSION = 25
_PROPERTIES_LENGTH = 1024
_SOURCE_LENGTH = 1024
# A count of milliseconds would pass for a second of the year 50,000.
_LATEST = 99_999_999_999
# Guide, "Recording events": names that properties cannot have, and the argument that each of them is here. The last two
# may stand in properties by an older form of the call; here they have one place.
_ARGUMENT_OF = {
    "userId": "user_id of the call",
    "sessionId": "session_id of the call",
    "eventType": "event_type",
    "timestamp": "sent_at",
    "recommendationId": "recommendation_id",
    "impression": "impression",
    "itemId": "item_id",
    "eventValue": "event_value",
}


def _error(parameter: str, problem: str, limit: int | None = None) -> ValidationError:
    return ValidationError(f"{parameter} {problem}", parameter=parameter.partition("[")[0], limit=limit)


def _check_text(value: Any, parameter: str, longest: int, source: str) -> None:
    if not isinstance(value, str):
        raise _error(parameter, f"is {describe(value)}, not a str")
    if not 1 <= len(value) <= longest:
        raise _error(parameter, f"is {describe(value)}; the service takes 1 to {longest} ({source})", longest)


def _check_number(value: Any, parameter: str) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not isfinite(value):
        raise _error(parameter, f"is {describe(value)}, not a finite number")


def _seconds(value: float | datetime | None) -> float | None:
    """Unix seconds of a time; what is no time is left to the check."""
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise _error("sent_at", "is a datetime without a zone: give it one, as datetime.now(timezone.utc) has")
    return value.timestamp()


def _listed(value: Iterable[str]) -> tuple[str, ...]:
    given: Any = value
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise _error("impression", f"is {describe(value)}, not a list of item ids")
    return tuple(value)


def _copied(value: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if value is None:
        return None
    given: Any = value
    if not isinstance(given, Mapping):
        raise _error("properties", f"is {describe(value)}, not a mapping of names to values")
    return MappingProxyType(dict(value))


@attrs.frozen(kw_only=True, repr=False)
class TrackedEvent:
    """One event of a user, with an item or without one.

    Every member but the first may be left out. It holds no user and no session: a call brings events of one session.
    ``repr`` shows type and item only.

    Attributes:
        event_type: ``"Watch"``, ``"click"``, …; 1 to 256 characters.
        item_id: The item, or the action; 1 to 256 characters.
        sent_at: When it happened: Unix time in seconds, or a ``datetime`` with a zone, which is turned into it.
            ``None`` is now, by the clock of whoever takes the event.
        event_id: An id of the event, 1 to 256 characters; the same id twice is one event.
        recommendation_id: The ``recommendation_id`` of the answer that the item was shown in; at most 40 characters.
        impression: The items that were shown, at most 25. Where both are given, it wins over ``recommendation_id``.
        event_value: A number that goes with the event, such as a rating.
        source: Where the event comes from, for metric attribution: 1 to 1,024 printable ASCII characters.
        properties: Columns of the Interactions dataset that are metadata, by name in camel case (``numRatings``): at
            most 1,024 characters of JSON.

    Raises:
        ValidationError: The service would refuse the event. The message shows no value.
    """

    event_type: str
    item_id: str | None = None
    sent_at: float | None = attrs.field(default=None, converter=_seconds)
    event_id: str | None = None
    recommendation_id: str | None = None
    impression: tuple[str, ...] = attrs.field(default=(), converter=_listed)
    event_value: float | None = None
    source: str | None = None
    properties: Mapping[str, Any] | None = attrs.field(default=None, converter=_copied, hash=False)

    def __attrs_post_init__(self) -> None:
        _check_text(self.event_type, "event_type", _ID_LENGTH, "model: EventType")
        for name in ("item_id", "event_id"):
            if getattr(self, name) is not None:
                _check_text(getattr(self, name), name, _ID_LENGTH, "model: Event")
        if self.recommendation_id is not None:
            _check_text(
                self.recommendation_id, "recommendation_id", _RECOMMENDATION_ID_LENGTH, "model: RecommendationId"
            )
        if self.sent_at is not None:
            _check_number(self.sent_at, "sent_at")
            if self.sent_at > _LATEST:
                raise _error("sent_at", "is too large: Unix time in seconds, not milliseconds; divide it by 1,000")
        if self.event_value is not None:
            _check_number(self.event_value, "event_value")
        if self.source is not None:
            _check_text(self.source, "source", _SOURCE_LENGTH, "model: EventAttributionSource")
            if not (self.source.isascii() and self.source.isprintable()):
                raise _error("source", "has other than printable ASCII characters (model: EventAttributionSource)")
        if len(self.impression) > _IMPRESSION:
            problem = f"holds {len(self.impression)} items; an event takes at most {_IMPRESSION} (model: Impression)"
            raise _error("impression", problem, _IMPRESSION)
        for position, item in enumerate(self.impression):
            _check_text(item, f"impression[{position}]", _ID_LENGTH, "model: ItemId")
        if self.properties is not None:
            _check_properties(self.properties)

    def __reduce__(self) -> tuple[Any, ...]:
        # A read-only mapping does not pickle.
        members = {field.name: getattr(self, field.name) for field in attrs.fields(TrackedEvent)}
        return _rebuild, ({**members, "properties": self.properties and dict(self.properties)},)

    def __repr__(self) -> str:
        return f"TrackedEvent(event_type={self.event_type!r}, item_id={self.item_id!r})"


def _rebuild(members: dict[str, Any]) -> TrackedEvent:
    return TrackedEvent(**members)


def _check_properties(properties: Mapping[str, Any]) -> None:
    for name in properties:
        if name in _ARGUMENT_OF:
            raise _error("properties", f"has the name {name!r}, which stands elsewhere: give {_ARGUMENT_OF[name]}")
    try:
        length = len(json.dumps(dict(properties), allow_nan=False))
    except (TypeError, ValueError):
        length = None
    if length is None:
        raise _error("properties", "holds a value that JSON does not have")
    if length > _PROPERTIES_LENGTH:
        problem = f"takes {length:,} characters of JSON; the service takes {_PROPERTIES_LENGTH:,} (model: properties)"
        raise _error("properties", problem, _PROPERTIES_LENGTH)

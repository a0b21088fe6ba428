"""Events of users, as PutEvents takes them: one class for those who send events and those who receive them."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from math import isfinite
from numbers import Real
from types import MappingProxyType
from typing import Any, cast

import attrs

from personalize_rt.errors import ValidationError
from personalize_rt.limits import Limits
from personalize_rt.names import camel_case
from personalize_rt.redaction import describe, describe_json

__all__ = ["TrackedEvent"]

_ID_LENGTH = cast(int, Limits().id_length)
_RECOMMENDATION_ID_LENGTH = 40
_IMPRESSION = 25
_PROPERTIES_LENGTH = 1024
_SOURCE_LENGTH = 1024
# Guide, limits: 10 events of 10 kB in a call (service.md section 6).
_EVENT_SIZE = 10_000
# A count of milliseconds would pass for a second of the year 50,000. The first is that of the year 1: botocore turns
# seconds into a date, and no date is earlier.
_EARLIEST, _LATEST = -62_135_596_800, 99_999_999_999
_HUGE = sys.float_info.max
# What no rule for a text refuses, and characters of all texts of an event that is not too large, whatever they are: one
# outside of the basic plane takes twelve bytes of JSON, and names and numbers less than 600.
_SHORT = min(_ID_LENGTH, _RECOMMENDATION_ID_LENGTH)
_FEW = (_EVENT_SIZE - 600) // 12


# Rules of the members of events: TrackedEvent checks its arguments by them, and the embedded service what arrives.


@attrs.frozen
class Words:
    """The words of error messages: those of Python for arguments, those of JSON for members of a request.

    Attributes:
        describe: Says kind and size of a value.
        text: The name of a text.
    """

    describe: Callable[[Any], str]
    text: str


PYTHON = Words(describe, "a str")
JSON = Words(describe_json, "a string")

Check = Callable[[Any, str, Words], None]
"""Checks a value: the value, its name in messages, and their words. Raises ``ValidationError``."""


def _error(parameter: str, problem: str, limit: int | None = None) -> ValidationError:
    return ValidationError(f"{parameter} {problem}", parameter=parameter.partition("[")[0], limit=limit)


def text_of(longest: int, source: str) -> Check:
    """Make the check of a text of 1 to so many characters."""

    def check(value: Any, name: str, words: Words) -> None:
        if isinstance(value, str) and 1 <= len(value) <= longest:
            return
        if not isinstance(value, str):
            raise _error(name, f"is {words.describe(value)}, not {words.text}")
        raise _error(name, f"is {words.describe(value)}; the service takes 1 to {longest} ({source})", longest)

    return check


def _is_finite(value: Any) -> bool:
    if type(value) in (int, float):  # nearly always; isfinite() would raise for an integer that no float holds
        return bool(-_HUGE <= value <= _HUGE)
    return not isinstance(value, bool) and isinstance(value, Real) and isfinite(value)


def _check_number(value: Any, name: str, words: Words) -> None:
    if not _is_finite(value):
        raise _error(name, f"is {words.describe(value)}, not a finite number")


def _check_time(value: Any, name: str, words: Words) -> None:
    _check_number(value, name, words)
    if value > _LATEST:
        raise _error(name, "is too large: Unix time in seconds, not milliseconds; divide it by 1,000")
    if value < _EARLIEST:
        raise _error(name, "is before the year 1: Unix time in seconds")


def _check_source(value: Any, name: str, words: Words) -> None:
    _check_source_length(value, name, words)
    if not (value.isascii() and value.isprintable()) or value.isspace():
        raise _error(name, "has other than printable ASCII characters, or only spaces (model: EventAttributionSource)")


def _check_impression(value: Any, name: str, words: Words) -> None:
    if not 1 <= len(value) <= _IMPRESSION:
        problem = f"holds {len(value)} items; an event takes 1 to {_IMPRESSION} (model: Impression)"
        raise _error(name, problem, _IMPRESSION)
    lengths = [len(item) for item in value if type(item) is str]
    if len(lengths) == len(value) and min(lengths) >= 1 and max(lengths) <= _ID_LENGTH:
        return  # nearly always
    for position, item in enumerate(value):
        _check_item(item, f"{name}[{position}]", words)


# Of users, sessions and trackers.
check_id: Check = text_of(_ID_LENGTH, "model: StringType, UserId")
_check_item = text_of(_ID_LENGTH, "model: ItemId")
_check_source_length = text_of(_SOURCE_LENGTH, "model: EventAttributionSource")

# Model: the shapes Event and MetricAttribution (personalize-events 2018-03-22), by the service's names.
EVENT_CHECKS: Mapping[str, Check] = {
    "eventType": text_of(_ID_LENGTH, "model: EventType"),
    "itemId": text_of(_ID_LENGTH, "model: Event"),
    "sentAt": _check_time,
    "eventId": text_of(_ID_LENGTH, "model: Event"),
    "recommendationId": text_of(_RECOMMENDATION_ID_LENGTH, "model: RecommendationId"),
    "impression": _check_impression,
    "eventValue": _check_number,
    "eventAttributionSource": _check_source,
}
_ARGUMENTS = {
    "eventType": "event_type",
    "itemId": "item_id",
    "sentAt": "sent_at",
    "eventId": "event_id",
    "recommendationId": "recommendation_id",
    "impression": "impression",
    "eventValue": "event_value",
    "eventAttributionSource": "source",
}
# Guide, "Recording events": names that properties cannot have.
RESERVED = ("userId", "sessionId", "eventType", "timestamp", "recommendationId", "impression")
# What each of them is here. The last two may stand in properties by an older form of the call; here they have one
# place.
_ARGUMENT_OF = {
    "userId": "user_id of the call",
    "sessionId": "session_id of the call",
    "timestamp": "sent_at",
    **{name: _ARGUMENTS[name] for name in ("eventType", "recommendationId", "impression", "itemId", "eventValue")},
}


def _seconds(value: float | datetime | None) -> float | None:
    """Unix seconds of a time; what is no time is left to the check."""
    if not isinstance(value, datetime):
        # Of numpy and others, which JSON does not have.
        return value if value is None or type(value) in (int, float) or not _is_finite(value) else float(value)
    if value.tzinfo is None:
        raise _error("sent_at", "is a datetime without a zone: give it one, as datetime.now(timezone.utc) has")
    return value.timestamp()


def _listed(value: Iterable[str]) -> tuple[str, ...]:
    given: Any = value
    if type(given) is tuple:  # nearly always
        return cast("tuple[str, ...]", given)
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise _error("impression", f"is {describe(value)}, not a list of item ids")
    return tuple(value)


def _copied(value: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if value is None:
        return None
    given: Any = value
    if not isinstance(given, Mapping):
        raise _error("properties", f"is {describe(value)}, not a mapping of names to values")
    try:
        # Lists in it may be changed before it is sent.
        return MappingProxyType(copy.deepcopy(dict(value)))
    except Exception:  # also a RecursionError; raised below: the error in hand may show a value
        pass
    raise _error("properties", "holds a value that JSON does not have")


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
        properties: Columns of the Interactions dataset that are metadata, by name in camel case (``numRatings``) or as
            the schema has it (``NUM_RATINGS``): at most 1,024 characters of JSON.

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
        if self._is_plain():  # nearly always
            return
        for member, argument in _ARGUMENTS.items():
            value = getattr(self, argument)
            given = bool(value) if argument == "impression" else value is not None
            if given or argument == "event_type":
                EVENT_CHECKS[member](value, argument, PYTHON)
        if self.properties is not None:
            _check_properties(self.properties)
        _check_size(self)

    def _is_plain(self) -> bool:
        """Tell whether no check can refuse the event: few short texts, and a usual time."""
        if self.event_value is not None or self.source is not None or self.properties is not None:
            return False
        impression = self.impression
        texts = [self.event_type]
        for text in (self.item_id, self.event_id, self.recommendation_id):
            if text is not None:
                texts.append(text)
        texts += impression
        try:
            characters = len("".join(texts))
        except TypeError:  # one is no text
            return False
        return (
            characters <= _FEW
            and all(texts)
            and len(max(texts, key=len)) <= _SHORT
            and len(impression) <= _IMPRESSION
            and type(self.sent_at) is float
            and _EARLIEST <= self.sent_at <= _LATEST
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # A read-only mapping does not pickle.
        members = {field.name: getattr(self, field.name) for field in attrs.fields(TrackedEvent)}
        return _rebuild, ({**members, "properties": self.properties and dict(self.properties)},)

    def __repr__(self) -> str:
        return f"TrackedEvent(event_type={self.event_type!r}, item_id={self.item_id!r})"


def _rebuild(members: dict[str, Any]) -> TrackedEvent:
    return TrackedEvent(**members)


def _check_properties(properties: Mapping[str, Any]) -> None:
    seen: set[str] = set()
    for name in properties:
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - from outside
            raise _error("properties", f"has a name that is {describe(name)}, not a str")
        known = camel_case(name)
        if known in seen:
            raise _error("properties", f"has {known!r} twice, in camel case and as the schema has it: give one of them")
        seen.add(known)
        if known in _ARGUMENT_OF:
            raise _error("properties", f"has the name {name!r}, which stands elsewhere: give {_ARGUMENT_OF[known]}")
    try:
        length = len(properties_text(properties))
    except (AttributeError, RecursionError, TypeError, ValueError):
        length = None
    if length is None:
        raise _error("properties", "holds a value that JSON does not have")
    if length > _PROPERTIES_LENGTH:
        problem = f"takes {length:,} characters of JSON; the service takes {_PROPERTIES_LENGTH:,} (model: properties)"
        raise _error("properties", problem, _PROPERTIES_LENGTH)


def properties_text(properties: Mapping[str, Any]) -> str:
    """Properties as the service takes them: JSON in a text, with names in camel case."""
    return json.dumps({camel_case(name): value for name, value in properties.items()}, allow_nan=False)


def event_members(event: TrackedEvent) -> dict[str, Any]:
    """An event as a member of PutEvents, by the service's names (service.md section 7)."""
    members: dict[str, Any] = {"eventType": event.event_type, "sentAt": event.sent_at}
    for name, value in (
        ("itemId", event.item_id),
        ("eventId", event.event_id),
        ("recommendationId", event.recommendation_id),
    ):
        if value is not None:
            members[name] = value
    if event.impression:
        members["impression"] = list(event.impression)
    if event.event_value is not None:
        members["eventValue"] = float(event.event_value)
    if event.properties is not None:
        members["properties"] = properties_text(event.properties)
    if event.source is not None:
        members["metricAttribution"] = {"eventAttributionSource": event.source}
    return members


def _check_size(event: TrackedEvent) -> None:
    size = len(json.dumps(event_members(event)))
    if size > _EVENT_SIZE:
        raise ValidationError(
            f"the event takes {size:,} bytes of JSON; the service takes {_EVENT_SIZE:,} (guide, limits): send fewer "
            "items of the impression, or shorter properties",
            parameter="impression",
            limit=_EVENT_SIZE,
        )

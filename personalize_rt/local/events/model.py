"""The five operations of the events API as data: the members of their requests, and what each must be.

Source: the model ``personalize-events`` 2018-03-22. The rules of single members are those of
:mod:`personalize_rt.tracking`; what depends on the dataset is checked by :mod:`personalize_rt.local.events.intake`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import attrs

from personalize_rt.errors import ValidationError
from personalize_rt.names import ARN
from personalize_rt.tracking import EVENT_CHECKS, JSON, Check, Words, check_id, text_of

__all__ = ["MOST", "OPERATIONS", "Operation", "check_count"]

MOST = 10
"""Events, items, users or actions of one request (model: EventList, ItemList, …)."""

# Seconds as text, with fractions: service.md section 12, fact 10.
_SECONDS = re.compile(r"-?\d{1,18}(?:\.\d{1,18})?", re.ASCII)


def _refuse(name: str, problem: str, limit: int | None = None) -> ValidationError:
    return ValidationError(f"{name} {problem}", parameter=name.partition("[")[0], limit=limit)


def check_count(size: int, name: str, nouns: str, source: str) -> None:
    """Check how many records a request has.

    Raises:
        ValidationError: There are none, or too many.
    """
    if not 1 <= size <= MOST:
        raise _refuse(name, f"holds {size:,} {nouns}; a call takes 1 to {MOST} (model: {source})", MOST)


@attrs.frozen(repr=False, eq=False)
class Shape:
    """A structure of the model.

    Attributes:
        checks: The check of each member.
        required: The members that must be there.
    """

    checks: Mapping[str, Check]
    required: tuple[str, ...] = ()

    def __call__(self, value: Any, name: str, words: Words) -> None:
        """Check a structure. A member that is null counts as absent, as the AWS SDKs have it.

        Args:
            value: The structure.
            name: Its name in messages; empty for the whole request.
            words: The words of messages.

        Raises:
            ValidationError: The first member that is missing, unknown, too large or of another type.
        """
        if type(value) is not dict:
            raise _refuse(name, f"is {words.describe(value)}, not an object")
        members = cast("dict[str, Any]", value)
        before = f"{name}." if name else ""
        for required in self.required:
            if members.get(required) is None:
                raise _refuse(before + required, "is missing")
        checks = self.checks
        for member, given in members.items():
            check = checks.get(member)
            if check is None:
                shown = member if member.isidentifier() and len(member) <= 64 else "a member"
                raise _refuse(before + shown, f"is unknown; the members are {', '.join(checks)}")
            if given is not None:
                check(given, before + member, words)


@attrs.frozen(repr=False, eq=False)
class Operation:
    """One operation.

    Attributes:
        name: Its name.
        records: The member with the events, items, users or actions.
        shape: The members of a request.
        not_found: The error for a tracker or dataset that does not exist: the most precise one that the model has.
    """

    name: str
    records: str
    shape: Shape
    not_found: str = "ResourceNotFoundException"

    def check(self, members: Mapping[str, Any]) -> None:
        """Check a request.

        Raises:
            ValidationError: See :class:`Shape`.
        """
        self.shape(members, "", JSON)


# Checks of members that only requests have.


def _list_of(check: Check, nouns: str, source: str) -> Check:
    """The check of a list of records."""

    def checked(value: Any, name: str, words: Words) -> None:
        _check_array(value, name, words)
        check_count(len(value), name, nouns, source)
        for position, record in enumerate(value):
            check(record, f"{name}[{position}]", words)

    return checked


def _check_array(value: Any, name: str, words: Words) -> None:
    if type(value) is not list:
        raise _refuse(name, f"is {words.describe(value)}, not an array")


def _check_impression(value: Any, name: str, words: Words) -> None:
    _check_array(value, name, words)
    EVENT_CHECKS["impression"](value, name, words)


def _time(value: Any, name: str, words: Words) -> None:
    """Check a time: a number of seconds, also as text (service.md section 12, fact 10)."""
    if isinstance(value, str):
        if not _SECONDS.fullmatch(value):
            raise _refuse(name, f"is {words.describe(value)}, not a number of seconds")
        value = float(value)
    EVENT_CHECKS["sentAt"](value, name, words)


def _arn(value: Any, name: str, words: Words) -> None:
    _arn_text(value, name, words)
    if not ARN.fullmatch(value):
        raise _refuse(name, "is no ARN of Personalize (model: Arn)")


_arn_text = text_of(256, "model: Arn")
_event_properties = text_of(1024, "model: EventPropertiesJSON")


def _records_of(name: str, id: str, properties: int) -> Check:
    shape = Shape({id: check_id, "properties": text_of(properties, f"model: {name}Properties")}, (id,))
    return _list_of(shape, f"{name.lower()}s", f"{name}List")


_attribution = Shape(
    {"eventAttributionSource": EVENT_CHECKS["eventAttributionSource"]}, required=("eventAttributionSource",)
)
_event = Shape(
    {
        "eventId": EVENT_CHECKS["eventId"],
        "eventType": EVENT_CHECKS["eventType"],
        "eventValue": EVENT_CHECKS["eventValue"],
        "itemId": EVENT_CHECKS["itemId"],
        "properties": _event_properties,
        "sentAt": _time,
        "recommendationId": EVENT_CHECKS["recommendationId"],
        "impression": _check_impression,
        "metricAttribution": _attribution,
    },
    required=("eventType", "sentAt"),
)
_action_interaction = Shape(
    {
        "actionId": EVENT_CHECKS["itemId"],
        "userId": check_id,
        "sessionId": check_id,
        "timestamp": _time,
        "eventType": EVENT_CHECKS["eventType"],
        "eventId": EVENT_CHECKS["eventId"],
        "recommendationId": EVENT_CHECKS["recommendationId"],
        "impression": _check_impression,
        "properties": _event_properties,
    },
    required=("actionId", "sessionId", "timestamp", "eventType"),
)


def _records(name: str, records: str, check: Check) -> Operation:
    return Operation(name, records, Shape({"datasetArn": _arn, records: check}, ("datasetArn", records)))


_events = _list_of(_event, "events", "EventList")
_action_interactions = _list_of(_action_interaction, "events", "ActionInteractionsList")

OPERATIONS: Mapping[str, Operation] = {
    operation.name: operation
    for operation in (
        Operation(
            "PutEvents",
            "eventList",
            Shape(
                {"trackingId": check_id, "userId": check_id, "sessionId": check_id, "eventList": _events},
                required=("trackingId", "sessionId", "eventList"),
            ),
            not_found="InvalidInputException",  # the only error that the model has for it
        ),
        _records("PutItems", "items", _records_of("Item", "itemId", 32_000)),
        _records("PutUsers", "users", _records_of("User", "userId", 24_000)),
        _records("PutActions", "actions", _records_of("Action", "actionId", 32_000)),
        Operation(
            "PutActionInteractions",
            "actionInteractions",
            Shape(
                {"trackingId": check_id, "actionInteractions": _action_interactions},
                required=("trackingId", "actionInteractions"),
            ),
        ),
    )
}

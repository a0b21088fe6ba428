"""Taking what is personal out of requests and replies: numbered placeholders in order of appearance.

What is hidden follows from where it stands, not from what it looks like: user ids, the values of ``context``, of
``filterValues`` and of item metadata, and every value of a member that this version does not know. Equal values of a
kind get the same number, so that a cassette still shows which requests were about one user. What stays: ARNs, item
and action ids, scores, numbers of results, and the names of columns, parameters and promotions. In what the service
says in its own words (messages, reasons, error codes, names of members that are not known), the values of the request
are masked (:mod:`personalize_rt.masking`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import attrs

from personalize_rt.operations import GET_RECOMMENDATIONS, Request
from personalize_rt.redaction import MASK, describe, mask
from personalize_rt.transport.failures import shown_code

__all__ = ["Placeholders", "described"]

Replace = Callable[[str, Any], Any]
"""Given the kind of a value and the value, says what stands there instead."""

# What is in the members of requests, or None for what stays.
_REQUEST: Mapping[str, str | None] = {
    **dict.fromkeys(("campaignArn", "recommenderArn", "itemId", "numResults", "inputList"), None),
    **dict.fromkeys(("filterArn", "metadataColumns", "name", "percentPromotedItems"), None),
    "userId": "user",
    "context": "context",
    "filterValues": "filter-value",
}
# The same of replies.
_REPLY: Mapping[str, str | None] = {
    **dict.fromkeys(("itemId", "actionId", "score"), None),
    **dict.fromkeys(("code", "Code", "__type"), "code"),
    **dict.fromkeys(("message", "Message", "promotionName", "reason"), "text"),
    "metadata": "metadata",
    "recommendationId": "recommendation",
}
# Lists of objects that have members of their own.
_ROWS = ("promotions", "itemList", "personalizedRanking", "actionList")

_PLACEHOLDER = re.compile(r"\{(user|context|filter-value|metadata|other)-[1-9]\d*\}")


class Placeholders:
    """The numbers given so far. For one thread at a time.

    Args:
        users: User ids that are known beforehand, in the order of their numbers.
        literal: Whether a value that looks like a placeholder (``{user-2}``) is meant as one.
    """

    def __init__(self, users: Iterable[str] = (), *, literal: bool = False) -> None:
        self._numbers: dict[str, dict[str, int]] = {}
        self._literal = literal
        for user in users:
            self._replace("user", user)

    def request(self, members: Mapping[str, Any]) -> dict[str, Any]:
        """A request without what is personal, in alphabetical order; members that are null count as absent."""
        given = {name: value for name, value in members.items() if value is not None}
        return _Rewriting(_REQUEST, self._replace).members(given)

    def reply(self, reply: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
        """A reply without what is personal, in alphabetical order.

        Args:
            reply: What the service answered.
            request: The members of the request, whose values a message of the service may repeat.
        """
        of_service = _OfService(request)

        def replace(kind: str, value: Any) -> Any:
            if kind in ("code", "text"):
                return of_service.masked(kind, value) if isinstance(value, str) else self._replace("other", value)
            return self._replace(kind, value)

        return _Rewriting(_REPLY, replace, of_service.name).members(reply)

    def headers(self, headers: Mapping[str, str], request: Mapping[str, Any]) -> dict[str, str]:
        """Headers of a reply, without what is personal in an error code."""
        code = headers.get("x-amzn-errortype")
        if code is None:
            return dict(headers)
        return {**headers, "x-amzn-errortype": _OfService(request).masked("code", code)}

    def _replace(self, kind: str, value: Any) -> Any:
        # An empty text, null, true and false say nothing of a person, and much about a request.
        if value is None or isinstance(value, bool) or value == "":
            return value
        if self._literal and isinstance(value, str) and _PLACEHOLDER.fullmatch(value):
            return value
        numbers = self._numbers.setdefault(kind, {})
        number = numbers.setdefault(json.dumps(value), len(numbers) + 1)
        # Of the service's form, which has 40 characters; what it was would be another one the next time.
        return f"RID-00000000-0000-4000-8000-{number:012}" if kind == "recommendation" else f"{{{kind}-{number}}}"


class _OfService:
    """The service's own words about a request, without the values of the request."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        # What a message may show does not depend on the operation, but for the names of its members.
        asked = Request(GET_RECOMMENDATIONS, request)
        self._secrets = sorted(set(asked.personal_values()))
        self._shown = [*_REQUEST, *_ROWS, *request, *asked.shown()]

    def masked(self, kind: str, text: str) -> str:
        return (shown_code if kind == "code" else mask)(text, self._secrets, self._shown)

    def name(self, name: str) -> str:
        return name if name in _REPLY or name in _ROWS else self.masked("text", name)


def described(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request of a cassette, with kind and size in place of what is personal and is no placeholder."""

    def replace(_kind: str, value: Any) -> Any:
        hidden = isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""
        is_one = isinstance(value, str) and _PLACEHOLDER.fullmatch(value)
        return f"<{describe(value)}>" if hidden and not is_one else value

    given = {name: value for name, value in request.items() if value is not None}
    return _Rewriting(_REQUEST, replace).members(given)


@attrs.frozen
class _Rewriting:
    """Rewriting JSON with other values in it.

    Attributes:
        kinds: What is in a member, by its name, or ``None`` for what stays; in other members is "other".
        replace: Makes the other value.
        rename: Makes the other name of a member.
    """

    kinds: Mapping[str, str | None]
    replace: Replace
    rename: Callable[[str], str] = str

    def members(self, members: Mapping[str, Any]) -> dict[str, Any]:
        """An object whose members are known by their names, in alphabetical order."""
        return self._object(members, self._member)

    def _object(self, members: Mapping[str, Any], value_of: Callable[[str, Any], Any]) -> dict[str, Any]:
        written: dict[str, Any] = {}
        for name in sorted(members):
            shown = self.rename(name)
            while shown in written:  # two names that were masked
                shown += MASK[0]
            written[shown] = value_of(name, members[name])
        return written

    def _member(self, name: str, value: Any) -> Any:
        if name in _ROWS and isinstance(value, list):
            return [self._row(row) for row in cast("list[object]", value)]
        kind = self.kinds.get(name, "other")
        return value if kind is None and _stays(name, value) else self._within(kind or "other", value)

    def _row(self, row: object) -> Any:
        return self.members(cast("dict[str, Any]", row)) if isinstance(row, dict) else self._within("other", row)

    def _within(self, kind: str, value: Any) -> Any:
        """A value, with everything in it replaced."""
        if isinstance(value, dict):
            return self._object(cast("dict[str, Any]", value), lambda _, part: self._within(kind, part))
        if isinstance(value, list):
            return [self._within(kind, part) for part in cast("list[object]", value)]
        return self.replace(kind, value)


def _stays(name: str, value: Any) -> bool:
    """Tell whether a value is what the name of its member says, where that is a single one."""
    if name in ("itemId", "actionId"):
        return value is None or isinstance(value, str)
    return name != "score" or value is None or isinstance(value, int | float)

"""Replacement of personal values in requests and replies by placeholders, numbered in order of appearance.

The position of a value decides, not its form. Replaced are user ids, the values of ``context``, of ``filterValues``
and of item metadata, and every value of an unknown member. Equal values of a kind get the same number, so that a
cassette still shows which requests were about one user. Kept are ARNs, item and action ids, scores, numbers of results,
and the names of columns, parameters and promotions. In texts of the service (messages, reasons, error codes, names of
unknown members), the values of the request are masked (:mod:`personalize_rt.masking`).
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

__all__ = ["Placeholders", "described", "personal_values"]

Replace = Callable[[str, Any], Any]
"""A function of the kind of a value and the value, which returns the replacement."""

# The kind of value in each member of requests; None for values that are kept.
_REQUEST: Mapping[str, str | None] = {
    **dict.fromkeys(("campaignArn", "recommenderArn", "itemId", "numResults", "inputList"), None),
    **dict.fromkeys(("filterArn", "metadataColumns", "name", "percentPromotedItems"), None),
    "userId": "user",
    "context": "context",
    "filterValues": "filter-value",
}
# The same for replies.
_REPLY: Mapping[str, str | None] = {
    **dict.fromkeys(("itemId", "actionId", "score"), None),
    **dict.fromkeys(("code", "Code", "__type"), "code"),
    **dict.fromkeys(("message", "Message", "promotionName", "reason"), "text"),
    "metadata": "metadata",
    "recommendationId": "recommendation",
}
# Members that are lists of objects.
_ROWS = ("promotions", "itemList", "personalizedRanking", "actionList")

_PLACEHOLDER = re.compile(r"\{(user|context|filter-value|metadata|other)-[1-9]\d*\}")


class Placeholders:
    """The placeholders assigned so far. Not safe for use by several threads at a time.

    Args:
        users: User ids that are known in advance, in the order of their numbers.
        literal: Whether a value of the form of a placeholder (``{user-2}``) is one.
    """

    def __init__(self, users: Iterable[str] = (), *, literal: bool = False) -> None:
        self._numbers: dict[str, dict[str, int]] = {}
        self._literal = literal
        for user in users:
            self._replace("user", user)

    def request(self, members: Mapping[str, Any]) -> dict[str, Any]:
        """Replace the personal values of a request. Members are sorted by name; those that are null are left out."""
        given = {name: value for name, value in members.items() if value is not None}
        return _Rewriting(_REQUEST, self._replace).members(given)

    def reply(self, reply: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
        """Replace the personal values of a reply. Members are sorted by name.

        Args:
            reply: The members of the reply.
            request: The members of the request, whose values may occur in the service's texts.
        """
        of_service = _OfService(request)

        def replace(kind: str, value: Any) -> Any:
            if kind in ("code", "text"):
                return of_service.masked(kind, value) if isinstance(value, str) else self._replace("other", value)
            return self._replace(kind, value)

        return _Rewriting(_REPLY, replace, of_service.name).members(reply)

    def headers(self, headers: Mapping[str, str], request: Mapping[str, Any]) -> dict[str, str]:
        """Mask personal values in the headers of a reply, where an error code may hold them."""
        code = headers.get("x-amzn-errortype")
        if code is None:
            return dict(headers)
        return {**headers, "x-amzn-errortype": _OfService(request).masked("code", code)}

    def _replace(self, kind: str, value: Any) -> Any:
        # An empty string, null, true and false are not personal, and help to understand a request.
        if value is None or isinstance(value, bool) or value == "":
            return value
        if self._literal and isinstance(value, str) and _PLACEHOLDER.fullmatch(value):
            return value
        numbers = self._numbers.setdefault(kind, {})
        number = numbers.setdefault(json.dumps(value), len(numbers) + 1)
        # In the service's form of 40 characters. The original id would differ in each recording.
        return f"RID-00000000-0000-4000-8000-{number:012}" if kind == "recommendation" else f"{{{kind}-{number}}}"


class _OfService:
    """Masks the values of a request in the service's texts about it."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._secrets = sorted(personal_values(request))
        # What a message may show does not depend on the operation, but for the names of its members.
        self._shown = [*_REQUEST, *_ROWS, *request, *Request(GET_RECOMMENDATIONS, request).shown()]

    def masked(self, kind: str, text: str) -> str:
        return (shown_code if kind == "code" else mask)(text, self._secrets, self._shown)

    def name(self, name: str) -> str:
        return name if name in _REPLY or name in _ROWS else self.masked("text", name)


def described(request: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the personal values of a cassette's request, except placeholders, by their kind and size."""

    def replace(_kind: str, value: Any) -> Any:
        hidden = isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""
        is_one = isinstance(value, str) and _PLACEHOLDER.fullmatch(value)
        return f"<{describe(value)}>" if hidden and not is_one else value

    given = {name: value for name, value in request.items() if value is not None}
    return _Rewriting(_REQUEST, replace).members(given)


def personal_values(request: Mapping[str, Any]) -> set[str]:
    """The values of a request that nothing may show, and the texts in quotes within them."""
    found: set[str] = set()

    def collect(_kind: str, value: Any) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        found.update((text, *(part.strip('"') for part in re.findall(r'"[^"]*"|[^",]+', text))))

    _Rewriting(_REQUEST, collect).members(request)
    return found


@attrs.frozen
class _Rewriting:
    """Replaces values in JSON.

    Attributes:
        kinds: Member name to the kind of its value, or ``None`` for values that are kept; unknown members are "other".
        replace: Returns the replacement of a value.
        rename: Returns the replacement of an unknown member's name.
    """

    kinds: Mapping[str, str | None]
    replace: Replace
    rename: Callable[[str], str] = str

    def members(self, members: Mapping[str, Any]) -> dict[str, Any]:
        """Rewrite an object whose members have kinds, sorted by name."""
        return self._object(members, self._member)

    def _object(self, members: Mapping[str, Any], value_of: Callable[[str, Any], Any]) -> dict[str, Any]:
        written: dict[str, Any] = {}
        for name in sorted(members):
            shown = self.rename(name)
            while shown in written:  # two names may be equal after masking
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
        """Replace a value, or all values within it."""
        if isinstance(value, dict):
            return self._object(cast("dict[str, Any]", value), lambda _, part: self._within(kind, part))
        if isinstance(value, list):
            return [self._within(kind, part) for part in cast("list[object]", value)]
        return self.replace(kind, value)


def _stays(name: str, value: Any) -> bool:
    """Tell whether a value is a single one, as it should be in a member that is kept."""
    if name in ("itemId", "actionId"):
        return value is None or isinstance(value, str)
    return name != "score" or value is None or isinstance(value, int | float)

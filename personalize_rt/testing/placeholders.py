"""Taking what is personal out of requests and replies: numbered placeholders in order of appearance.

What is hidden follows from where it stands, not from what it looks like: user ids, the values of ``context``, of
``filterValues`` and of item metadata, and every value of a member that this version does not know. Equal values of a
kind get the same number, so that a cassette still shows which requests were about one user. What stays: ARNs, item
and action ids, scores, numbers of results, and the names of columns, parameters and promotions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from personalize_rt.redaction import describe, mask

__all__ = ["Placeholders", "described", "personal_values"]

Replace = Callable[[str, Any], Any]
"""Given the kind of a value and the value, says what stands there instead."""

# What is in the members of requests and replies, or None for what stays.
_KINDS: Mapping[str, str | None] = {
    **dict.fromkeys(("campaignArn", "recommenderArn", "itemId", "numResults", "inputList"), None),
    **dict.fromkeys(("filterArn", "metadataColumns", "name", "percentPromotedItems"), None),
    **dict.fromkeys(("actionId", "score", "promotionName", "reason"), None),
    **dict.fromkeys(("code", "Code", "__type"), None),
    "userId": "user",
    "context": "context",
    "filterValues": "filter-value",
    "metadata": "metadata",
    "recommendationId": "recommendation",
    "message": "message",
    "Message": "message",
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
        return _rewritten({name: value for name, value in members.items() if value is not None}, self._replace)

    def reply(self, reply: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
        """A reply without what is personal, in alphabetical order.

        Args:
            reply: What the service answered.
            request: The members of the request, whose values a message of the service may repeat.
        """
        secrets = personal_values(request)

        def replace(kind: str, value: Any) -> Any:
            return mask(value, secrets) if kind == "message" and isinstance(value, str) else self._replace(kind, value)

        return _rewritten(reply, replace)

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


def described(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request of a cassette, with kind and size in place of what is personal and is no placeholder."""

    def replace(_kind: str, value: Any) -> Any:
        hidden = isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""
        is_one = isinstance(value, str) and _PLACEHOLDER.fullmatch(value)
        return f"<{describe(value)}>" if hidden and not is_one else value

    return _rewritten({name: value for name, value in request.items() if value is not None}, replace)


def personal_values(request: Mapping[str, Any]) -> set[str]:
    """The values of a request that nothing may show, and the texts in quotes within them."""
    found: set[str] = set()

    def collect(_kind: str, value: Any) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        found.update((text, *(part.strip('"') for part in re.findall(r'"[^"]*"|[^",]+', text))))

    _rewritten(request, collect)
    return found


def _rewritten(members: Mapping[str, Any], replace: Replace) -> dict[str, Any]:
    return {name: _member(name, members[name], replace) for name in sorted(members)}


def _member(name: str, value: Any, replace: Replace) -> Any:
    if name in _ROWS and isinstance(value, list):
        return [_row(row, replace) for row in cast("list[object]", value)]
    kind = _KINDS.get(name, "other")
    return value if kind is None else _within(kind, value, replace)


def _row(row: object, replace: Replace) -> Any:
    return _rewritten(cast("dict[str, Any]", row), replace) if isinstance(row, dict) else _within("other", row, replace)


def _within(kind: str, value: Any, replace: Replace) -> Any:
    """A value, with everything in it replaced but the names of members."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {name: _within(kind, members[name], replace) for name in sorted(members)}
    if isinstance(value, list):
        return [_within(kind, part, replace) for part in cast("list[object]", value)]
    return replace(kind, value)

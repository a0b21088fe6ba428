"""Bodies of answers to members of replies, within bounds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, cast

from personalize_rt.decoding import LARGE, Columns, decoded, has_more_containers
from personalize_rt.errors import ResponseError, TransportError
from personalize_rt.operations import Request
from personalize_rt.transport.failures import shown_request_id
from personalize_rt.transport.http_answer import content_length

__all__ = ["Reply", "check_size", "members_of", "readable_error", "reply_of"]


class Reply:
    """One answer of the service.

    Attributes:
        members: The members of the reply.
        request_id: The service's id of the request, or ``None``.
        sent: Requests that this answer took; more than one where a caller's client retries by itself.
    """

    __slots__ = ("members", "request_id", "sent")

    def __init__(self, members: Mapping[str, Any], request_id: str | None, sent: int) -> None:
        self.members: Mapping[str, Any] = members
        self.request_id: str | None = request_id
        self.sent: int = sent


def reply_of(parsed: Any, request: Request[Any]) -> Reply:
    """The reply that a client's method returned for a request, as botocore parsed it."""
    head: Any = cast("dict[str, Any]", parsed).get("ResponseMetadata") if isinstance(parsed, dict) else None
    if not isinstance(head, dict):
        return Reply(cast("Any", parsed), None, 1)  # a test double's; reading it says what is wrong
    head = cast("dict[str, Any]", head)
    sent: int = 1 + head.get("RetryAttempts", 0)
    return Reply(cast("dict[str, Any]", parsed), shown_request_id(head, request), sent)


_MOST_ROWS = 10_000
"""Rows of a list in a reply: 20 times as many as the service gives. Reading them takes a few milliseconds."""

_MOST_CONTAINERS = 100_000
"""Lists and objects in a large reply. One of 500 rows has 1,502; what has millions takes gigabytes of memory."""


def members_of(body: bytes, headers: Mapping[str, str], decode: Callable[[bytes], Any] = decoded) -> Mapping[str, Any]:
    """The members in the body of an answer that says yes.

    Args:
        body: The whole body.
        headers: The answer's, names in lower case.
        decode: :func:`~personalize_rt.decoding.decoded`, or one that lets other threads run in between.

    Raises:
        ResponseError: It is no reply of the service.
        TransportError: It broke off.
    """
    if len(body) > LARGE:
        check_size(body)
    try:
        reply = decode(body)
    except (ValueError, RecursionError):
        reply = None
    if not isinstance(reply, dict):
        raise _unreadable(body, headers)
    members = cast("dict[str, Any]", reply)
    for rows in members.values():
        rows = rows.ids if isinstance(rows, Columns) else rows
        if isinstance(rows, list) and len(cast("list[object]", rows)) > _MOST_ROWS:
            raise ResponseError(f"a list of the answer has more than {_MOST_ROWS:,} rows: is the endpoint Personalize?")
    return members


def check_size(body: bytes) -> None:
    """Refuse a large body that would take far more memory than its size.

    Raises:
        ResponseError: It has more lists and objects than any of the service.
    """
    if len(body) > LARGE and has_more_containers(body, _MOST_CONTAINERS):
        raise ResponseError(f"the answer ({len(body):,} bytes) has more lists and objects than any of the service")


def readable_error(body: bytes) -> bytes:
    """The body of an error, or an empty one where botocore's parser would trip over it; the status says enough.

    botocore can read an object in AWS's form, and plain text.
    """
    if len(body) > LARGE:
        return b""
    try:
        error = json.loads(body.decode())
    except ValueError as problem:
        return b"" if isinstance(problem, UnicodeDecodeError) else body
    except RecursionError:
        return b""
    is_in_form = isinstance(error, dict) and all(
        isinstance(value, str | None)
        for name, value in cast("dict[str, Any]", error).items()
        if name in ("code", "Code", "__type", "message", "Message")
    )
    return body if is_in_form else b""


def _unreadable(body: bytes, headers: Mapping[str, Any]) -> Exception:
    length = content_length(headers.get("content-length") or "")
    if length is not None and len(body) < length:
        return TransportError(f"the answer broke off after {len(body):,} of {length:,} bytes", phase="read")
    return ResponseError(f"the answer ({len(body):,} bytes) is not a JSON object: is the endpoint Personalize?")

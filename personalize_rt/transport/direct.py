"""The direct way: our bytes, our signature with botocore's credentials, our socket, our decoder.

Taken when nobody could tell the difference (:mod:`personalize_rt.transport.watching`). What an error says is read by
botocore's own code, so that it is told as on the other ways.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from personalize_rt.decoding import decoded
from personalize_rt.errors import ResponseError, TransportError
from personalize_rt.operations import Request
from personalize_rt.transport.attempt import Reply
from personalize_rt.transport.http_answer import Answer
from personalize_rt.transport.plan import Plan
from personalize_rt.transport.rehearsal import read_by_botocore

__all__ = ["Direct", "is_readable_error", "unreadable"]

_MANDATORY = 600
"""Seconds before they expire, from which on botocore signs with no old credentials (its mandatory refresh)."""

_encode = json.JSONEncoder().encode


class Direct:
    """Makes requests of a client that we built and reads answers to them, without botocore's part in each.

    Args:
        client: A boto3 client that we built.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._plan: tuple[Any, Plan] | None = None
        _ = client._get_credentials

    def refreshes(self) -> bool:
        """Whether the next request fetches credentials first, which takes as long as it takes."""
        credentials = self._client._get_credentials()
        needed = getattr(credentials, "refresh_needed", None)
        return needed is not None and bool(needed())

    def must_refresh(self) -> bool:
        """Whether the credentials at hand are no good any longer, or soon will not be."""
        return self._plan is None or bool(self._client._get_credentials().refresh_needed(_MANDATORY))

    def credentials(self) -> Any:
        """The credentials of this moment, frozen; fetched when it is time to."""
        credentials = self._client._get_credentials()
        return None if credentials is None else credentials.get_frozen_credentials()

    def message(self, request: Request[Any]) -> bytes:
        """A request as bytes, signed just now.

        Raises:
            NoPlanError: It cannot be made here.
            Exception: What botocore raises when it has no credentials, or cannot refresh them.
        """
        frozen = self.credentials()
        known = self._plan
        if known is None or known[0] != frozen or not known[1].fits():
            known = self._plan = frozen, Plan(self._client, frozen)
        return known[1].message(request.operation.path, _encode(dict(request.members)).encode())

    def reply(self, request: Request[Any], answer: Answer) -> Reply:
        """The reply that an answer is.

        Raises:
            Exception: What botocore raises for an error; our own errors for a body that is no reply.
        """
        status, headers, body, _ = answer
        if status >= 300:
            body = body if is_readable_error(body) else b""  # the status says enough
            read_by_botocore(self._client, request.operation.method, request.members, status, headers, body)
        try:
            reply = decoded(body)
        except (ValueError, RecursionError):
            reply = None
        if not isinstance(reply, dict):
            raise unreadable(body, headers)
        return Reply(reply, headers.get("x-amzn-requestid"), 1)


def is_readable_error(body: bytes) -> bool:
    """Whether botocore can read what an error says: an object in AWS's form, or plain text."""
    try:
        error = json.loads(body.decode())
    except UnicodeDecodeError:
        return False
    except ValueError:
        return True
    except RecursionError:
        return False
    return isinstance(error, dict) and all(
        isinstance(value, str | None)
        for name, value in cast("dict[str, Any]", error).items()
        if name in ("code", "Code", "__type", "message", "Message")
    )


def unreadable(body: bytes, headers: Mapping[str, str]) -> Exception:
    """The error for a body that is no JSON object."""
    length = headers.get("content-length")
    if length is not None and length.isdigit() and len(body) < int(length):
        return TransportError(f"the answer broke off after {len(body):,} of {int(length):,} bytes", phase="read")
    return ResponseError(f"the answer ({len(body):,} bytes) is not a JSON object: is the endpoint Personalize?")

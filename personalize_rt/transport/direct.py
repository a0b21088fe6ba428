"""The direct way: our bytes, our signature with botocore's credentials, our socket, our decoder.

Taken when nobody could tell the difference (:mod:`personalize_rt.transport.watching`). What an error says is read by
botocore's own code, so that it is told as on the other ways.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from personalize_rt.decoding import decoded
from personalize_rt.errors import ResponseError, TransportError
from personalize_rt.operations import Request
from personalize_rt.transport.attempt import Attempt, Reply
from personalize_rt.transport.plan import Plan
from personalize_rt.transport.rehearsal import read_by_botocore
from personalize_rt.transport.sender import Sender

__all__ = ["Direct", "unreadable"]

_encode = json.JSONEncoder().encode


class Direct:
    """Sends requests of a client that we built, without botocore's part in each of them.

    Args:
        client: A boto3 client that we built.
        sender: What writes and reads its bytes.
    """

    def __init__(self, client: Any, sender: Sender) -> None:
        self._client = client
        self._sender = sender
        self._plan: tuple[Any, Plan] | None = None

    def plan(self) -> Plan:
        """The plan for the credentials of this moment.

        Raises:
            NoPlanError: There is none for this client.
            Exception: What botocore raises when it has no credentials, or cannot refresh them.
        """
        credentials = self._client._get_credentials()
        frozen = None if credentials is None else credentials.get_frozen_credentials()
        known = self._plan
        if known is not None and known[0] == frozen and known[1].fits():
            return known[1]
        plan = Plan(self._client, frozen)
        self._plan = frozen, plan
        return plan

    def send(self, request: Request[Any], attempt: Attempt) -> Reply:
        """Send a request once.

        Args:
            request: What to send.
            attempt: When it must be over; a handle to break it off.

        Raises:
            NoPlanError: It cannot be made here.
            Exception: What botocore raises.
        """
        operation = request.operation
        members = dict(request.members)
        plan = self.plan()
        message = plan.message(operation.path, _encode(members).encode())
        status, headers, body, _ = self._sender.exchange(plan.url, message, attempt)
        if status >= 300:
            read_by_botocore(self._client, operation.method, members, status, headers, body)
        try:
            reply = decoded(body)
        except (ValueError, RecursionError):
            reply = None
        if not isinstance(reply, dict):
            raise unreadable(body, headers)
        return Reply(reply, headers.get("x-amzn-requestid"), 1)


def unreadable(body: bytes, headers: Mapping[str, str]) -> Exception:
    """The error for a body that is no JSON object."""
    length = headers.get("content-length")
    if length is not None and length.isdigit() and len(body) < int(length):
        return TransportError(f"the answer broke off after {len(body):,} of {int(length):,} bytes", phase="read")
    return ResponseError(f"the answer ({len(body):,} bytes) is not a JSON object: is the endpoint Personalize?")

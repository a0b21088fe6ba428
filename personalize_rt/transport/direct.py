"""The direct way: our bytes, our signature with botocore's credentials, our sockets, our decoder.

Taken when nobody could tell the difference (:mod:`personalize_rt.transport.watching`). Errors of the service are read
by botocore's own code, so that they are those of the other ways.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from personalize_rt.decoding import decoded
from personalize_rt.operations import Request
from personalize_rt.transport.failures import shown_request_id
from personalize_rt.transport.http_answer import Answer
from personalize_rt.transport.plan import NoPlanError, Plan
from personalize_rt.transport.rehearsal import read_by_botocore
from personalize_rt.transport.replies import Reply, members_of, readable_error, reply_of

__all__ = ["Direct", "body_of"]

_encode = json.JSONEncoder().encode


def body_of(members: Mapping[str, Any]) -> bytes:
    """The members as JSON, to the byte as botocore writes them.

    ``json`` is quick with one text, and takes four times as long for a list of texts as to join them.
    """
    parts = [f"{_encode(name)}: {_list_of_texts(value) or _encode(value)}" for name, value in members.items()]
    return f"{{{', '.join(parts)}}}".encode()


def _list_of_texts(value: Any) -> str | None:
    """A list of texts as JSON, if none has a character that must be escaped; else ``None``."""
    if not isinstance(value, list | tuple) or not value:
        return None
    texts = cast("Sequence[str]", value)
    try:
        text = '", "'.join(texts)
    except TypeError:  # something else is in it
        return None
    # Two quotation marks between two texts, and none in a text.
    if text.isascii() and text.isprintable() and "\\" not in text and text.count('"') == 2 * len(texts) - 2:
        return f'["{text}"]'
    return None


class Direct:
    """Makes requests of a client that we built and reads answers to them, without botocore's part in each.

    Args:
        client: A client of botocore that we built.
        reader: The double of it that reads answers, errors of the service above all.

    Raises:
        AttributeError: botocore is not as it is known here.
    """

    def __init__(self, client: Any, reader: Any) -> None:
        self._client = client
        self._reader = reader
        self._plan: tuple[Any, Plan] | None = None
        _ = client._get_credentials

    def credentials(self) -> Any:
        """Frozen credentials, fetched when it is time to; ``None`` for a client that signs nothing.

        Raises:
            Exception: What botocore, or our own :class:`Credentials`, raises when there are none.
        """
        credentials = self._client._get_credentials()
        return None if credentials is None else credentials.get_frozen_credentials()

    def is_prepared(self, frozen: Any) -> bool:
        """Tell whether requests that are signed with these credentials can be made without preparation."""
        known = self._plan
        return known is not None and known[0] == frozen and known[1].fits()

    def prepare(self, frozen: Any) -> Plan:
        """The plan for requests that are signed with these credentials, made now if there is none.

        Raises:
            NoPlanError: They cannot be made here.
        """
        known = self._plan
        if known is not None and known[0] == frozen and known[1].fits():
            return known[1]
        try:
            plan = Plan(self._client, frozen)
        except NoPlanError:
            fresh = self.credentials()
            if fresh == frozen:
                raise
            # They were fetched anew meanwhile: botocore signed with other ones.
            frozen, plan = fresh, Plan(self._client, fresh)
        self._plan = frozen, plan
        return plan

    def message(self, request: Request[Any], frozen: Any) -> bytes:
        """A request as bytes, signed just now.

        Args:
            request: The request.
            frozen: What :meth:`credentials` gave.

        Raises:
            NoPlanError: It cannot be made here.
        """
        return self.prepare(frozen).message(request.operation.path, body_of(request.members))

    def reply(self, request: Request[Any], answer: Answer, decode: Callable[[bytes], Any] = decoded) -> Reply:
        """The reply that an answer is.

        Raises:
            Exception: What botocore raises for an error; our own errors for a body that is no reply.
        """
        status, headers, body, _ = answer
        if status >= 300:
            method, members = request.operation.method, request.members
            parsed = read_by_botocore(self._reader, method, members, status, headers, readable_error(body))
            return reply_of(parsed, request)
        request_id = shown_request_id({"RequestId": headers.get("x-amzn-requestid")}, request)
        return Reply(members_of(body, headers, decode), request_id, 1)

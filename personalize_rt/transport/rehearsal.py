"""botocore's own call without the network: the request that it would send, and the reply that it makes of an answer.

Both come from botocore itself, with its endpoint rules, headers, events and signature: a double of the client, which
shares all with it but the session that sends, makes the call. Nothing of the client is changed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from personalize_rt.transport.untyped import untyped

__all__ = ["NothingSentError", "double_of", "prepared_request", "read_by_botocore", "response_of"]


class NothingSentError(Exception):
    """botocore's call was answered before it came to sending."""


def double_of(client: Any, http_session: Any) -> Any:
    """Make a double of a client that sends by another session; it shares events, signer, credentials, model.

    Args:
        client: A boto3 client.
        http_session: An object whose ``send(prepared_request)`` returns an ``AWSResponse``.
    """
    # Not copy.copy: a client answers every look-up of a method that it lacks, also one on a copy half made.
    double: Any = object.__new__(cast("type[object]", type(client)))
    double.__dict__.update(client.__dict__)
    double._endpoint = copy.copy(client._endpoint)
    double._endpoint.http_session = http_session
    return double


def prepared_request(client: Any, method: str, members: Mapping[str, Any]) -> Any:
    """The ``AWSPreparedRequest`` that botocore would send, signed just now.

    Args:
        client: A boto3 client.
        method: The client's method (``"get_recommendations"``).
        members: Its arguments.

    Raises:
        NothingSentError: botocore does not come to sending.
        Exception: What botocore raises before it sends, such as without credentials.
    """
    sent: list[Any] = []

    def send(request: Any) -> Any:
        sent.append(request)
        return response_of(request.url, 200, {}, b"{}")

    getattr(double_of(client, _Session(send)), method)(**members)
    if not sent:
        raise NothingSentError("botocore sends nothing")
    return sent[0]


def read_by_botocore(
    client: Any, method: str, members: Mapping[str, Any], status: int, headers: Mapping[str, str], body: bytes
) -> Any:
    """Let botocore parse an answer: return its reply, or raise its exception.

    Args:
        client: A boto3 client.
        method: The client's method (``"get_recommendations"``).
        members: Its arguments.
        status: The status code of the answer.
        headers: The answer's headers.
        body: The whole body.
    """
    double = double_of(client, _Session(lambda request: response_of(request.url, status, headers, body)))
    return getattr(double, method)(**members)


class _Session:
    """Stands in for the ``URLLib3Session`` of a client."""

    def __init__(self, send: Callable[[Any], Any]) -> None:
        self.send = send


def response_of(url: str, status: int, headers: Mapping[str, str], body: bytes) -> Any:
    """Make the ``AWSResponse`` of an answer, given its whole body."""
    return untyped("botocore.awsrequest").AWSResponse(url, status, dict(headers), _Raw(body))


class _Raw:
    """A whole body that botocore can read as if from urllib3."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        return iter((self._body,))

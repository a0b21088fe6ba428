"""A real client that needs no network."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from personalize_rt.transport.clients import SERVICE, client_config
from personalize_rt.transport.origin import IN_PROCESS_KEY
from personalize_rt.transport.untyped import untyped

__all__ = ["Respond", "UnansweredError", "in_process_client"]

Respond = Callable[[str, str, Mapping[str, str], bytes], tuple[int, Mapping[str, str], bytes]]


class UnansweredError(Exception):
    """Raised by a responder instead of an answer: the client sees what botocore raises when none arrives.

    Args:
        kind: ``"read_timeout"`` or ``"connection_closed"``.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def in_process_client(respond: Respond, *, region_name: str = "eu-west-1", config: Any = None) -> Any:
    """A real boto3 client whose requests are answered by a function instead of the network.

    Serialiser, signer, parser and typed exceptions all run; only the socket is left out. It needs no credentials
    and no region of the caller, reads no profile, and works inside ``moto.mock_aws()`` too.

    Args:
        respond: ``(method, path, headers, body) -> (status, headers, body)``; it may raise :class:`UnansweredError`.
        region_name: The region that the client signs for.
        config: A ``botocore.config.Config`` to merge over ours.
    """
    AWSResponse = untyped("botocore.awsrequest").AWSResponse
    errors = untyped("botocore.exceptions")

    def answer(request: Any, **_: Any) -> Any:
        body = request.body or b""
        headers = {name: _text(value) for name, value in request.headers.items()}
        try:
            status, reply_headers, reply = respond(
                request.method,
                urlsplit(str(request.url)).path,
                headers,
                body.encode() if isinstance(body, str) else bytes(body),
            )
        except UnansweredError as unanswered:
            kind = unanswered.kind
        else:
            return AWSResponse(request.url, status, reply_headers, _Body(reply))
        if kind == "read_timeout":
            raise errors.ReadTimeoutError(endpoint_url=request.url)
        raise errors.ConnectionClosedError(endpoint_url=request.url)

    # No profile and no file, whatever the environment names: nothing of the machine matters here.
    nowhere = (None, None, os.devnull, None)
    session = untyped("botocore.session").Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": nowhere,
            "credentials_file": nowhere,
        }
    )
    client = session.create_client(
        SERVICE,
        region_name=region_name,
        endpoint_url=f"https://{SERVICE}.{region_name}.amazonaws.com",
        aws_access_key_id=IN_PROCESS_KEY,
        aws_secret_access_key=IN_PROCESS_KEY,
        config=client_config(config),
    )
    client.meta.events.register_first(f"before-send.{SERVICE}", answer)
    return client


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


class _Body(io.BytesIO):
    """The body of an answer, as botocore reads it from urllib3."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()

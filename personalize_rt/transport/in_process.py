"""A real client that needs no network."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

from personalize_rt.transport.attempt import time_left
from personalize_rt.transport.clients import SERVICE, client_config
from personalize_rt.transport.origin import IN_PROCESS_KEY
from personalize_rt.transport.untyped import untyped

__all__ = ["InProcessSession", "Respond", "UnansweredError", "in_process_client", "patience"]

Respond = Callable[[str, str, Mapping[str, str], bytes], tuple[int, Mapping[str, str], bytes]]


_read_timeout: ContextVar[float | None] = ContextVar("personalize_rt_read_timeout", default=None)


def patience() -> tuple[float | None, float | None]:
    """The patience of the client that is being answered: seconds for the next byte, and for the whole answer."""
    return _read_timeout.get(), time_left()


class UnansweredError(Exception):
    """Raised by a responder instead of an answer: the client sees what botocore raises when none arrives.

    Args:
        kind: ``"read_timeout"`` or ``"connection_closed"``.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class InProcessSession:
    """A session whose clients are answered by a function instead of the network.

    Serialiser, signer, parser and typed exceptions all run; only the socket is left out. Clients need no credentials
    and no region of the caller, read no profile, and work inside ``moto.mock_aws()`` too. A runtime with this session
    has all that it has with a client of its own, the deadline included.

    Args:
        respond: ``(method, path, headers, body) -> (status, headers, body)``; it may raise :class:`UnansweredError`.
        region_name: The region that clients sign for, unless they are told another one.
    """

    blocks = True
    """False: clients of this session are not awaited."""

    def __init__(self, respond: Respond, *, region_name: str = "eu-west-1") -> None:
        self._respond = respond
        self._region_name = region_name
        # No profile and no file, whatever the environment names: nothing of the machine matters here.
        nowhere = (None, None, os.devnull, None)
        self._botocore = untyped("botocore.session").Session(
            session_vars={
                "profile": (None, None, None, None),
                "config_file": nowhere,
                "credentials_file": nowhere,
            }
        )

    def create_client(
        self, service: str = SERVICE, *, region_name: str | None = None, endpoint_url: Any = None, config: Any = None
    ) -> Any:
        """A client that is answered in process."""
        region_name = region_name or self._region_name
        client = self._botocore.create_client(
            service,
            region_name=region_name,
            endpoint_url=endpoint_url or f"https://{service}.{region_name}.amazonaws.com",
            aws_access_key_id=IN_PROCESS_KEY,
            aws_secret_access_key=IN_PROCESS_KEY,
            config=config,
        )
        read_timeout: float | None = client.meta.config.read_timeout

        def answer(request: Any, **_: Any) -> Any:
            token = _read_timeout.set(read_timeout)
            try:
                return self._answer(request)
            finally:
                _read_timeout.reset(token)

        client.meta.events.register_first(f"before-send.{service}", answer)
        return client

    def _answer(self, request: Any) -> Any:
        errors = untyped("botocore.exceptions")
        body = request.body or b""
        headers = {name: _text(value) for name, value in request.headers.items()}
        try:
            status, reply_headers, reply = self._respond(
                request.method,
                urlsplit(str(request.url)).path,
                headers,
                body.encode() if isinstance(body, str) else bytes(body),
            )
        except UnansweredError as unanswered:
            kind = unanswered.kind
        else:
            return untyped("botocore.awsrequest").AWSResponse(request.url, status, reply_headers, _Body(reply))
        if kind == "read_timeout":
            raise errors.ReadTimeoutError(endpoint_url=request.url)
        raise errors.ConnectionClosedError(endpoint_url=request.url)


def in_process_client(respond: Respond, *, region_name: str = "eu-west-1", config: Any = None) -> Any:
    """A real boto3 client whose requests are answered by a function instead of the network.

    Args:
        respond: As in :class:`InProcessSession`.
        region_name: The region that the client signs for.
        config: A ``botocore.config.Config`` to merge over ours.
    """
    return InProcessSession(respond, region_name=region_name).create_client(config=client_config(config))


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


class _Body(io.BytesIO):
    """The body of an answer, as botocore reads it from urllib3."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()

"""A real aiobotocore client that needs no network."""

from __future__ import annotations

import inspect
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from personalize_rt.transport.aio_clients import aio_config, aiobotocore
from personalize_rt.transport.clients import SERVICE
from personalize_rt.transport.origin import IN_PROCESS_KEY

__all__ = ["AsyncRespond", "InProcessSession", "in_process_async_client"]

_Answer = tuple[int, Mapping[str, str], bytes]
AsyncRespond = Callable[[str, str, Mapping[str, str], bytes], _Answer | Awaitable[_Answer]]


class InProcessSession:
    """Stands for an aiobotocore session; a function answers the requests of its clients instead of the network.

    Serialiser, signer, parser and typed exceptions all run; only the socket is left out. It needs no credentials and
    no region of the caller, and reads no profile. ``AsyncPersonalizeRuntime(session=InProcessSession(respond))`` is a
    runtime without a socket, and with everything else that a client of its own has.

    Args:
        respond: ``(method, path, headers, body) -> (status, headers, body)``, or a coroutine function of that form.
        region_name: The region that clients sign for, unless they are told another one.
    """

    connects = False
    """Nothing is ever sent, so nothing is opened that has to be closed."""

    def __init__(self, respond: AsyncRespond, *, region_name: str = "eu-west-1") -> None:
        self._respond = respond
        self._region_name = region_name

    def create_client(
        self, service: str = SERVICE, *, region_name: str | None = None, endpoint_url: Any = None, config: Any = None
    ) -> Any:
        """The value of ``AioSession.create_client``: an async context manager that gives the client."""
        # No profile and no file, whatever the environment names: nothing of the machine matters here.
        nowhere = (None, None, os.devnull, None)
        session = aiobotocore("session").AioSession(
            session_vars={
                "profile": (None, None, None, None),
                "config_file": nowhere,
                "credentials_file": nowhere,
            }
        )
        session.get_component("event_emitter").register_first(f"before-send.{service}", self._answer)
        region_name = region_name or self._region_name
        return session.create_client(
            service,
            region_name=region_name,
            endpoint_url=endpoint_url or f"https://{service}.{region_name}.amazonaws.com",
            aws_access_key_id=IN_PROCESS_KEY,
            aws_secret_access_key=IN_PROCESS_KEY,
            config=aio_config() if config is None else config,
        )

    async def _answer(self, request: Any, **_: Any) -> Any:
        body = request.body or b""
        answer = self._respond(
            request.method,
            urlsplit(str(request.url)).path,
            {name: _text(value) for name, value in request.headers.items()},
            body.encode() if isinstance(body, str) else bytes(body),
        )
        if inspect.isawaitable(answer):
            answer = await answer
        status, headers, reply = answer
        return aiobotocore("awsrequest").AioAWSResponse(request.url, status, headers, Body(reply))


class Body:
    """The body of an answer, as aiobotocore reads it from aiohttp."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def read(self) -> bytes:
        """All of it."""
        return self._content


async def in_process_async_client(respond: AsyncRespond, *, region_name: str = "eu-west-1", config: Any = None) -> Any:
    """A real aiobotocore client whose requests are answered by a function instead of the network.

    It holds nothing that has to be closed.

    Args:
        respond: ``(method, path, headers, body) -> (status, headers, body)``, or a coroutine function of that form.
        region_name: The region that the client signs for.
        config: A ``Config`` or ``AioConfig`` to merge over ours.

    Raises:
        ConfigurationError: aiobotocore is not installed.
    """
    session = InProcessSession(respond, region_name=region_name)
    return await session.create_client(config=aio_config(config)).__aenter__()


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)

"""Clients of aiobotocore: the caller's own, and those of a session or a config that a caller hands in.

aiobotocore makes the call, and nothing of a client is changed. Beside what the package's docstring names of botocore,
this relies on:

* The service client comes from an async context manager; ``AioSession.create_client`` makes it.
* ``client._endpoint.http_session`` opens its connector with the first request, in ``_get_session(proxy_url)``.
* ``client._get_credentials().get_frozen_credentials()`` is a coroutine.
* aiohttp's exceptions arrive in those of botocore, in ``kwargs["error"]``, some in one that says less than it could
  (:func:`_sharpened`).

``tests/aio/test_aiobotocore_contract.py`` fails when one of these changes.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Any

from personalize_rt.errors import ConfigurationError, PersonalizeError, ValidationError
from personalize_rt.operations import Request
from personalize_rt.transport.attempt import Attempt
from personalize_rt.transport.clients import SERVICE, check_endpoint, client_config, own_session, verifying
from personalize_rt.transport.credentials import sign_with, stand_ins
from personalize_rt.transport.failures import configured
from personalize_rt.transport.given import no_such_operation
from personalize_rt.transport.origin import credentials_of
from personalize_rt.transport.replies import Reply, reply_of
from personalize_rt.transport.tls import tls_reason
from personalize_rt.transport.untyped import untyped

__all__ = ["OfAiobotocore", "aio_config", "aiobotocore", "opened"]

_log = logging.getLogger("personalize_rt")

Start = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


def aiobotocore(module: str) -> Any:
    """A module of aiobotocore, imported when it is needed.

    Raises:
        ConfigurationError: It is not installed.
    """
    try:
        return untyped(f"aiobotocore.{module}")
    except ImportError as error:
        reason = str(error)
    raise ConfigurationError(f'this session needs aiobotocore ({reason}): pip install "personalize-rt[aio]"')


class OfAiobotocore:
    """A client of aiobotocore, and the sending through it.

    Args:
        client: The client.
        manager: The context manager that it came from, if we opened it.
    """

    def __init__(self, client: Any, manager: Any = None) -> None:
        self.client: Any = client
        self._manager = manager
        # A caller's client has a pool of its own, of which nothing is known here. Who gets no connection of a client
        # that we built waits before its request is made and signed: if a thousand tasks did that first, the loop would
        # not come round to the connections that are opening, and their time would be up.
        self._places: AbstractAsyncContextManager[object] = nullcontext()
        if manager is not None:
            self._places = asyncio.Semaphore(client.meta.config.max_pool_connections)

    async def here(self) -> None:
        """Nothing: the client belongs to the loop that it was opened in."""

    async def look_for_credentials(self) -> None:
        """Find out where the credentials come from, as far as that takes no time to speak of."""
        look = getattr(credentials_of(self.client), "look", None)
        if look is not None:
            await look()

    async def resolve_credentials(self) -> None:
        """Fetch the credentials that the client signs with."""
        await _configured(partial(_resolve_credentials, self.client))

    async def send(self, request: Request[Any], attempt: Attempt) -> Reply:
        """Send a request once.

        Raises:
            Exception: What aiobotocore raises, as botocore would have said it.
        """
        call = getattr(self.client, request.operation.method, None)
        if call is None:
            wanted = f"the client that 'async with session.create_client(\"{request.operation.service}\")' opens"
            raise no_such_operation(self.client, request.operation, wanted)
        try:
            async with self._places:
                members = call(**request.members)
                return reply_of(await members if inspect.isawaitable(members) else members, request)
        except Exception as error:
            failure = error
        try:
            raise _sharper(failure) or failure
        finally:
            del failure

    async def close(self) -> None:
        """Close the client, if we opened it."""
        if self._manager is not None:
            await self._manager.__aexit__(None, None, None)


async def opened(options: Mapping[str, Any], start: Start) -> OfAiobotocore:
    """Open a client that fetches its credentials beside its calls.

    Args:
        options: ``region_name``, ``session``, ``endpoint_url``, ``config`` and ``verify``; ``service`` for another API
            than the runtime's.
        start: Runs something in the background, until the client is closed.

    Raises:
        ConfigurationError: aiobotocore is missing; no region, no such profile, a bad endpoint, unusable certificates.
    """
    session = options["session"]
    if session is None:
        aiobotocore("session")  # whose absence has an error of its own
        session = configured(lambda: own_session("aiobotocore.session"))
    manager, client = await _client(session, options, start)
    try:
        configured(lambda: check_endpoint(client))
        _keep_connections_alive(client)
        if getattr(session, "connects", True):
            await _open_connector(client)
    except BaseException:
        await manager.__aexit__(None, None, None)
        raise
    return OfAiobotocore(client, manager)


async def _client(session: Any, options: Mapping[str, Any], start: Start) -> tuple[Any, Any]:
    from personalize_rt.transport.asynchronous_credentials import AsyncCredentials

    keys, none = stand_ins(session), dict[str, str]()
    try:
        manager = await _configured(lambda: _create(session, options, keys))
    except TypeError:  # a session that takes no keys, or gives some itself
        keys = none
        manager = await _configured(lambda: _create(session, options, none))
    client = await _configured(manager.__aenter__)
    try:
        sign_with(client, session, partial(AsyncCredentials, start=start))
    except AttributeError as error:
        _log.debug("credentials are fetched by aiobotocore, since it has no %s", error)
        if keys:
            await manager.__aexit__(None, None, None)
            manager = await _configured(lambda: _create(session, options, none))
            client = await _configured(manager.__aenter__)
    return manager, client


async def _create(session: Any, options: Mapping[str, Any], keys: Mapping[str, str]) -> Any:
    config = aio_config(options["config"], parameter_validation=False)
    # What aioboto3 and others put around an aiobotocore session names it client.
    create = getattr(session, "client", None) or session.create_client
    manager = create(
        options.get("service", SERVICE),
        region_name=options["region_name"],
        endpoint_url=options["endpoint_url"],
        config=config,
        **verifying(options["verify"]),
        **keys,
    )
    if not hasattr(manager, "__aenter__"):
        raise ValidationError(
            "session makes clients that block, and cannot be told from one whose clients are awaited: give "
            "boto3.Session(), or what aiobotocore.session.get_session() returns",
            parameter="session",
        )
    return manager


def aio_config(theirs: Any = None, **settings: Any) -> Any:
    """The ``AioConfig`` of a client that we build: the settings of the sync client, with the caller's merged over."""
    config = aiobotocore("config").AioConfig().merge(client_config(**settings))
    if theirs is None:
        return config
    extra = getattr(theirs, "user_agent_extra", None)
    ours, config = config.user_agent_extra, config.merge(theirs)
    if extra:
        config = config.merge(untyped("botocore.config").Config(user_agent_extra=f"{ours} {extra}"))
    return config


async def _configured(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run something that only configuration can make fail."""
    try:
        return await work()
    except PersonalizeError:
        raise
    except Exception as error:
        fail = _raising(error)
    return configured(fail)


def _raising(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


async def _resolve_credentials(client: Any) -> None:
    if client.meta.config.signature_version is untyped("botocore").UNSIGNED:
        return
    credentials = client._get_credentials()
    if credentials is None:
        raise untyped("botocore.exceptions").NoCredentialsError
    await credentials.get_frozen_credentials()


def _keep_connections_alive(client: Any) -> None:
    """Turn TCP keep-alive on where the settings say so: aiobotocore takes that setting, and does nothing with it."""
    session = client._endpoint.http_session
    # Another session class is a wish of the caller's.
    if client.meta.config.tcp_keepalive and type(session) is aiobotocore("httpsession").AIOHTTPSession:
        session._connector_args.setdefault("socket_factory", _keep_alive_socket)


def _keep_alive_socket(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return made


async def _open_connector(client: Any) -> None:
    """Load certificates while the client is built, not within the deadline of the first call.

    A deadline that is shorter than the loading would cancel it in each call anew.

    Raises:
        ConfigurationError: aiohttp refuses the settings.
    """
    try:
        session, url = client._endpoint.http_session, client.meta.endpoint_url
        await session._get_session(session._proxy_config.proxy_url_for(url))
        return
    except (AttributeError, TypeError) as error:
        _log.debug("the connector is left to the first call, since aiobotocore has no %s", error)
        return
    except (OSError, ValueError, untyped("botocore.exceptions").BotoCoreError) as error:
        reason = tls_reason(error)
    raise ConfigurationError(f"no connection can be opened with these settings: {reason}")


def _sharper(error: Any) -> Exception | None:
    """The same failure, where aiobotocore calls by one name what botocore tells apart."""
    botocore = untyped("botocore.exceptions")
    aiohttp: Any = sys.modules.get("aiohttp")  # not with every http_session_cls
    behind = getattr(error, "kwargs", {}).get("error")
    # Not only "no connection", but also a connection that broke later.
    if aiohttp is None or not isinstance(error, botocore.EndpointConnectionError):
        return None
    kind: Any = botocore.ConnectionClosedError
    if isinstance(behind, aiohttp.ClientConnectorDNSError):
        kind, behind = botocore.EndpointConnectionError, socket.gaierror(str(behind))
    elif isinstance(behind, aiohttp.ClientConnectorError) or not isinstance(behind, aiohttp.ClientError):
        return None
    sharper: Exception = kind(endpoint_url=error.kwargs.get("endpoint_url"), error=behind, request=None)
    return sharper

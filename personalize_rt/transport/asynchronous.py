"""Sending one request without blocking the event loop, through aiobotocore.

Beside what the package's docstring names of botocore, this relies on:

* The service client comes from an async context manager; ``AioSession.create_client`` makes it.
* ``client._endpoint.http_session`` is an ``AIOHTTPSession``, with its settings in ``_timeout``, ``_connector_args`` and
  ``_proxy_config``; it opens its connector with the first request, in ``_get_session(proxy_url)``, and makes TLS
  contexts in ``_build_ssl_contexts(proxy_url)``.
* ``client._get_credentials().get_frozen_credentials()`` is a coroutine.
* What a handler of ``before-parse`` returns is awaited before the answer is parsed.
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
import warnings
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from functools import partial
from typing import Any, TypeVar

from personalize_rt import forks
from personalize_rt.decoding import LARGE, decoded_in_background
from personalize_rt.errors import ConfigurationError, PersonalizeError, ValidationError
from personalize_rt.operations import Request
from personalize_rt.transport import fast, sending
from personalize_rt.transport.asynchronous_credentials import AsyncCredentials
from personalize_rt.transport.asynchronous_sender import AsyncSender
from personalize_rt.transport.attempt import Attempt, under_way
from personalize_rt.transport.clients import (
    SERVICE,
    check_client_options,
    check_endpoint,
    client_config,
    hidden_retries,
    own_session,
    refuse_options,
)
from personalize_rt.transport.credentials import sign_with, stand_ins
from personalize_rt.transport.failures import configured, forget_frames, translated
from personalize_rt.transport.given import no_such_operation
from personalize_rt.transport.origin import credentials_of, origin_of
from personalize_rt.transport.sending import Reply
from personalize_rt.transport.tls import tls_reason
from personalize_rt.transport.untyped import untyped

__all__ = ["AsyncTransport", "aio_config", "aiobotocore", "keep_alive"]

_log = logging.getLogger("personalize_rt")

ResultT = TypeVar("ResultT")
TaskT = TypeVar("TaskT", bound="asyncio.Task[Any]")


def aiobotocore(module: str) -> Any:
    """A module of aiobotocore, imported when it is needed.

    Raises:
        ConfigurationError: It is not installed.
    """
    try:
        return untyped(f"aiobotocore.{module}")
    except ImportError as error:
        reason = str(error)
    raise ConfigurationError(f'the async client needs aiobotocore ({reason}): pip install "personalize-rt[aio]"')


class AsyncTransport:
    """A client, built when it is first needed, and the sending of requests through it.

    It may be shared by the tasks of one event loop. A client that we build belongs to the loop that it was built in;
    in another one (the next ``asyncio.run``, a forked child) a new one is built.

    Args:
        client: An aiobotocore client of the caller, which is never changed; or ``None`` to build one.
        redact: Keep what a request carries out of botocore's debug log, for a client that we build.
        options: How to build it: ``region_name``, ``session``, ``endpoint_url``, ``config``.
    """

    def __init__(self, client: Any = None, *, redact: bool = True, **options: Any) -> None:
        self._client = client
        self._owned = client is None
        self._redact = redact and self._owned
        self._options = options
        self._opened: Any = None  # the context manager that our client came from
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()
        # A caller's client has a pool of its own, of which nothing is known here.
        self._places: AbstractAsyncContextManager[object] = nullcontext()
        self._background: set[asyncio.Task[None]] = set()
        self._closed = False
        self._warned = False
        self._origin: str | None = None
        if self._owned:
            check_client_options(options)
            forks.in_child(self, AsyncTransport._forget_loop)
        else:
            refuse_options(client, options)
            _refuse_a_blocking_client(client)

    @property
    def owned(self) -> bool:
        """Whether we built the client."""
        return self._owned

    async def client(self) -> Any:
        """The client, built now if this event loop has none yet.

        Raises:
            ConfigurationError: aiobotocore is missing; no region, no such profile, a bad endpoint; the runtime is
                closed, or another event loop is using it.
        """
        if not self._owned or (self._client is not None and self._loop is asyncio.get_running_loop()):
            return self._client
        return await self._build()

    async def addressed(self, request: Request[ResultT]) -> Request[ResultT]:
        """A request that knows whom this client asks, and as whom. Builds the client if there is none yet.

        Raises:
            ConfigurationError: As :meth:`client` does.
        """
        client = await self.client()
        origin = self._origin
        if origin is None:
            look = getattr(credentials_of(client), "look", None)
            if look is not None and self._owned:
                await look()
            origin, self._origin = origin_of(client)
        return Request(request.operation, request.members, request.filter, origin)

    async def _build(self) -> Any:
        self._move_here()
        async with self._lock:
            if self._closed:
                raise ConfigurationError("this runtime is closed: build a new one")
            if self._client is None:
                opened, client = await self._new_client()
                try:
                    configured(lambda: check_endpoint(client))
                    await self._prepare(client)
                except BaseException:
                    await opened.__aexit__(None, None, None)
                    raise
                self._client, self._opened = client, opened
            return self._client

    async def _new_client(self) -> tuple[Any, Any]:
        """A client that fetches credentials beside its calls, and the context manager that it comes from."""
        session = self._options["session"]
        if session is None:
            aiobotocore("session")  # whose absence has an error of its own
            session = configured(lambda: own_session("aiobotocore.session"))
        keys, none = stand_ins(session), dict[str, str]()
        try:
            opened = await _configured(lambda: self._create(session, keys))
        except TypeError:  # a session that takes no keys, or gives some itself
            keys = none
            opened = await _configured(lambda: self._create(session, none))
        client = await _configured(opened.__aenter__)
        try:
            sign_with(client, session, partial(AsyncCredentials, start=self.in_background))
        except AttributeError as error:
            _log.debug("credentials are fetched by aiobotocore, since it has no %s", error)
            if keys:
                await opened.__aexit__(None, None, None)
                opened = await _configured(lambda: self._create(session, none))
                client = await _configured(opened.__aenter__)
        return opened, client

    async def _prepare(self, client: Any) -> None:
        _install(client)
        if getattr(self._options["session"], "connects", True):
            await _open_connector(client)
        if self._redact:
            from personalize_rt.transport.redacting import mask_log

            mask_log()  # after the client is built: each of the loggers needs the filter
        # Who gets no connection waits before its request is made and signed. If a thousand tasks did that first, the
        # loop would not come round to the connections that are opening, and their time would be up.
        self._places = asyncio.Semaphore(client.meta.config.max_pool_connections)

    def _move_here(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        if self._loop is not None and self._loop.is_running():
            raise ConfigurationError("another event loop is using this runtime: build one for each event loop")
        # The sockets of a loop that is over cannot be closed from this one.
        self._loop = loop
        self._lock = asyncio.Lock()
        self._client = self._opened = None
        self._background = set()

    def _forget_loop(self) -> None:
        # In a forked child: the loop goes on in the parent, with the client and its connections.
        self._loop = None

    async def _create(self, session: Any, keys: Mapping[str, str]) -> Any:
        config = aio_config(self._options["config"], parameter_validation=False)
        # What aioboto3 and others put around an aiobotocore session names it client.
        create = getattr(session, "client", None) or session.create_client
        opened = create(
            SERVICE,
            region_name=self._options["region_name"],
            endpoint_url=self._options["endpoint_url"],
            config=config,
            **keys,
        )
        if not hasattr(opened, "__aenter__"):
            raise ValidationError(
                "session makes clients that block: give what aiobotocore.session.get_session() returns",
                parameter="session",
            )
        return opened

    async def connect(self) -> None:
        """Build the client and fetch its credentials.

        Raises:
            ConfigurationError: There is no region, profile or credentials, or they cannot be refreshed.
            TransportError: Credentials cannot be fetched just now; later they may.
        """
        client = await self.client()
        if self._owned:
            from personalize_rt.transport.redacting import without_credentials

            with without_credentials() if self._redact else nullcontext():
                await _configured(lambda: _resolve_credentials(client))

    async def close(self) -> None:
        """End what runs in the background, and close the client if we built it. Safe to call twice."""
        here = asyncio.get_running_loop()
        background = [task for task in self._background if task.get_loop() is here]
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        if not self._owned:
            return
        self._closed = True
        if self._loop is here:
            async with self._lock:  # one that is just being built is closed too
                opened, self._opened, self._client = self._opened, None, None
            if opened is not None:
                await opened.__aexit__(None, None, None)

    async def send(self, request: Request[Any], *, sent_before: int = 0, attempt: Attempt | None = None) -> Reply:
        """Send a request once.

        Args:
            request: What to send.
            sent_before: Requests already sent in this call; errors count from there.
            attempt: Tells how far the attempt came, should it be cancelled.

        Raises:
            PersonalizeError: What aiobotocore raised, in our terms.
        """
        client = await self.client()
        call = getattr(client, request.operation.method, None)
        if call is None:
            wanted = "the client that 'async with session.create_client(\"personalize-runtime\")' opens"
            raise no_such_operation(client, request.operation, wanted)
        if attempt is None:
            attempt = Attempt()
        attempt.request = request if self._redact else None
        token = under_way.set(attempt)
        try:
            async with self._places:
                members = call(**request.members)
                if inspect.isawaitable(members):
                    members = await members
        except Exception as error:
            failure = error
        else:
            return sending._reply(members, request)  # pyright: ignore[reportPrivateUsage] - one reading of replies for both
        finally:
            with suppress(ValueError):  # of a task that is dropped with its loop: this is no context of it
                under_way.reset(token)
        # Outside of the except block: aiobotocore's text, which may repeat what was sent, must not hang on ours.
        ours = translated(_sharpened(failure), request, sent_before, attempt)
        try:
            if ours is not failure:
                forget_frames(failure)
            raise ours
        finally:
            del failure, ours

    def in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something that nobody waits for; :meth:`close` ends it."""
        task = asyncio.get_running_loop().create_task(work)
        keep_alive(task, self._background)
        return task

    def warn_of_stacked_retries(self, *, stacklevel: int) -> None:
        """Warn, once, when a caller's client repeats requests by itself beneath our own retries."""
        if self._owned or self._warned:
            return
        self._warned = True
        hidden = hidden_retries(self._client)
        if hidden > 0:
            warnings.warn(
                f"this client repeats a failed request up to {hidden} times by itself, beneath the retries of this "
                "runtime: build it with AioConfig(retries={'total_max_attempts': 1, 'mode': 'standard'}), "
                "or pass retry=RetryPolicy(attempts=1)",
                stacklevel=stacklevel + 1,
            )


def keep_alive(task: TaskT, tasks: set[TaskT]) -> None:
    """Hold a task until it is done, since its loop does not. Of a loop that was closed, none will ever be done."""
    tasks.difference_update([other for other in tasks if other.get_loop().is_closed()])
    tasks.add(task)
    task.add_done_callback(tasks.discard)


def _refuse_a_blocking_client(client: Any) -> None:
    known = sys.modules.get("botocore.client")  # without it the client is somebody else's
    if (
        known is not None
        and isinstance(client, known.BaseClient)
        and not inspect.iscoroutinefunction(getattr(client, "_make_api_call", None))
    ):
        raise ValidationError(
            "client is one of boto3, which would block the event loop: give one of aiobotocore, "
            "or use PersonalizeRuntime",
            parameter="client",
        )


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


async def _resolve_credentials(client: Any) -> None:
    """Fetch the credentials that a client of ours signs with, so that the first call does not."""
    if client.meta.config.signature_version is untyped("botocore").UNSIGNED:
        return
    credentials = client._get_credentials()
    if credentials is None:
        raise untyped("botocore.exceptions").NoCredentialsError
    await credentials.get_frozen_credentials()


# What a client that we build is given.


def _install_sender(client: Any) -> None:
    session = client._endpoint.http_session
    if type(session) is not aiobotocore("httpsession").AIOHTTPSession:
        return  # http_session_cls: a wish of the caller's
    as_it_comes = set(session._connector_args) <= {"keepalive_timeout"}
    keep_alive = client.meta.config.tcp_keepalive
    if keep_alive:
        # aiobotocore takes the setting, and does nothing with it.
        session._connector_args.setdefault("socket_factory", _keep_alive_socket)
    if as_it_comes:
        client._endpoint.http_session = AsyncSender(session, keep_alive=keep_alive)


def _install_reader(client: Any) -> None:
    client.meta.events.register(f"before-parse.{SERVICE}", _read, unique_id="personalize-rt-read")


def _read(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> Any:
    """Decode a body; a large one beside the loop, which aiobotocore then waits for."""
    read = fast._read  # pyright: ignore[reportPrivateUsage] - the same reading for both clients
    if len(response_dict["body"]) <= LARGE:
        return read(response_dict, customized_response_dict)
    return asyncio.to_thread(read, response_dict, customized_response_dict, decoded_in_background)


def _keep_alive_socket(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return made


_HOOKS: tuple[fast.Hook, ...] = (
    fast._install_serializer,  # pyright: ignore[reportPrivateUsage] - the same parts for both clients
    _install_reader,
    fast._install_user_agent,  # pyright: ignore[reportPrivateUsage]
    fast._install_parser,  # pyright: ignore[reportPrivateUsage]
    _install_sender,
)


def _install(client: Any) -> None:
    for hook in _HOOKS:
        try:
            hook(client)
        except (AttributeError, TypeError, ValueError) as error:
            _log.debug("fast path: %s left out, since aiobotocore has no %s", hook.__name__, error)


async def _open_connector(client: Any) -> None:
    """Load certificates while the client is built, not within the deadline of the first call.

    A deadline that is shorter than the loading would cancel it in each call anew.

    Raises:
        ConfigurationError: aiohttp refuses the settings.
    """
    try:
        session, url = client._endpoint.http_session, client.meta.endpoint_url
        if isinstance(session, AsyncSender):
            await session.open(url)
        else:
            await session._get_session(session._proxy_config.proxy_url_for(url))
        return
    except (AttributeError, TypeError) as error:
        _log.debug("the connector is left to the first call, since aiobotocore has no %s", error)
        return
    except (OSError, ValueError, untyped("botocore.exceptions").BotoCoreError) as error:
        reason = tls_reason(error)
    raise ConfigurationError(f"no connection can be opened with these settings: {reason}")


# What aiobotocore raises, as botocore would have said it.


def _sharpened(error: Exception) -> Exception:
    """The same failure, where aiobotocore calls by one name what botocore tells apart."""
    return _sharper(error) or error


def _sharper(error: Any) -> Exception | None:
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

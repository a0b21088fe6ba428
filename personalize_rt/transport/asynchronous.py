"""Sending one request without blocking the event loop.

A client that we build is botocore's, as for threads, and its requests take the same three ways
(:mod:`personalize_rt.transport.watching`): *direct* over connections on the event loop, *through* and *plain* by
botocore's own blocking call on a bounded pool of threads, in the context of the caller, so that whoever watches sees
it. A client or session of aiobotocore that a caller hands in is called as it is
(:mod:`personalize_rt.transport.aio_clients`).
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from personalize_rt.errors import ConfigurationError, PersonalizeError, ValidationError
from personalize_rt.operations import Request
from personalize_rt.transport import aio_clients
from personalize_rt.transport.attempt import Attempt, Reply, reply_of, under_way
from personalize_rt.transport.clients import (
    build_client,
    check_client_options,
    check_endpoint,
    hidden_retries,
    refuse_options,
    resolve_credentials,
)
from personalize_rt.transport.failures import configured, forget_frames, translated
from personalize_rt.transport.plan import NoPlanError
from personalize_rt.transport.streams import Streams
from personalize_rt.transport.watching import Way
from personalize_rt.transport.ways import Ways

__all__ = ["AsyncTransport"]


class AsyncTransport:
    """A client, built when it is first needed, and the sending of requests through it.

    It may be shared by the tasks of one event loop. Connections belong to the loop that they were opened in; in another
    one (the next ``asyncio.run``, a forked child) new ones are opened.

    Args:
        client: An aiobotocore client of the caller, which is never changed; or ``None`` to build one of botocore.
        redact: Keep what a request carries out of botocore's debug log, for a client that we build.
        options: How to build it: ``region_name``, ``session``, ``endpoint_url``, ``config``.
    """

    def __init__(self, client: Any = None, *, redact: bool = True, **options: Any) -> None:
        self._backend: _OfBotocore | _OfAiobotocore | None = None if client is None else _OfAiobotocore(client)
        self._client = client
        self._owned = client is None
        self._redact = redact and self._owned
        self._options = options
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0
        self._lock = asyncio.Lock()
        self._background: set[asyncio.Task[None]] = set()
        self._closed = False
        self._warned = False
        if self._owned:
            check_client_options(options)
        else:
            refuse_options(client, options)
            _refuse_a_blocking_client(client)

    @property
    def owned(self) -> bool:
        """Whether we built the client."""
        return self._owned

    async def client(self) -> Any:
        """The client, built now if there is none yet.

        Raises:
            ConfigurationError: No region, no such profile, a bad endpoint; the runtime is closed, or another event loop
                is using it.
        """
        return (await self._ready()).client

    async def _ready(self) -> _OfBotocore | _OfAiobotocore:
        backend = self._backend
        if backend is not None and (not self._owned or self._loop is asyncio.get_running_loop()):
            return backend
        return await self._build()

    async def _build(self) -> _OfBotocore | _OfAiobotocore:
        self._move_here()
        async with self._lock:
            if self._closed:
                raise ConfigurationError("this runtime is closed: build a new one")
            if self._backend is None:
                # Off the loop: it reads files, and more than a megabyte of JSON.
                client = await asyncio.to_thread(configured, lambda: build_client(**self._options))
                self._backend = await _opened(client) if hasattr(client, "__aenter__") else _OfBotocore(client)
                if self._redact:
                    from personalize_rt.transport.redacting import mask_log

                    mask_log()  # after the client is built: each of the loggers needs the filter
            await self._backend.here()
            return self._backend

    def _move_here(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        if self._loop is not None and self._loop.is_running() and self._process == os.getpid():
            raise ConfigurationError("another event loop is using this runtime: build one for each event loop")
        if self._process != os.getpid() or isinstance(self._backend, _OfAiobotocore):
            self._backend = None
        self._loop, self._process = loop, os.getpid()
        self._lock = asyncio.Lock()
        self._background = set()

    async def connect(self) -> None:
        """Build the client and resolve its credentials.

        Raises:
            ConfigurationError: There is no region, profile or credentials, or they cannot be refreshed.
        """
        backend = await self._ready()
        if self._owned:
            await _configured(backend.resolve_credentials)

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
                backend, self._backend = self._backend, None
            if backend is not None:
                await backend.close()

    async def send(self, request: Request[Any], *, sent_before: int = 0, ends: float | None = None) -> Reply:
        """Send a request once.

        Args:
            request: What to send.
            sent_before: Requests already sent in this call; errors count from there.
            ends: When the attempt must be over, by ``time.monotonic()``; for what runs on a thread.

        Raises:
            PersonalizeError: What botocore or aiobotocore raised, in our terms.
        """
        backend = await self._ready()
        attempt = Attempt(ends)
        attempt.request = request if self._redact else None
        token = under_way.set(attempt)
        try:
            return await backend.send(request, attempt)
        except Exception as error:
            failure = error
        finally:
            under_way.reset(token)
        # Outside of the except block: botocore's text, which may repeat what was sent, must not hang on ours.
        ours = translated(backend.told(failure), request, sent_before)
        try:
            if ours is not failure:
                forget_frames(failure)
            raise ours
        finally:
            del failure, ours

    def in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something that nobody waits for; :meth:`close` ends it."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)  # a loop keeps no task alive
        task.add_done_callback(self._background.discard)
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


class _OfBotocore:
    """A client of botocore that we built, its three ways, and its connections on the present event loop."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._ways = Ways(client)
        self._streams: Streams | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._refreshing: asyncio.Future[Any] | None = None
        size: int = client.meta.config.max_pool_connections
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="personalize-rt")

    async def here(self) -> None:
        """Make ready for the running event loop."""
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        # The sockets of a loop that is over cannot be closed from this one.
        self._loop, self._refreshing, self._streams = loop, None, None
        if self._ways.sender is not None:
            settings = await asyncio.to_thread(configured, self._ways.settings)
            self._streams = Streams(settings)

    async def send(self, request: Request[Any], attempt: Attempt) -> Reply:
        if self._streams is not None and self._ways.verdict().way is Way.DIRECT:
            direct = self._ways.direct
            try:
                if direct.refreshes():
                    await self._fresh_credentials()
                answer = await self._streams.exchange(direct.message(request))
            except NoPlanError as error:
                self._ways.exclude_direct(error)
            else:
                return direct.reply(request, answer)
        work = self._in_thread(self._ways.send, request, attempt)
        try:
            reply: Reply = await work
            return reply
        except asyncio.CancelledError:
            attempt.cancel()
            raise

    async def _fresh_credentials(self) -> None:
        """Fetch credentials off the loop, one fetch at a time; an early one delays nobody."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = self._in_thread(self._ways.direct.credentials)
            self._refreshing.add_done_callback(_seen)
        if self._ways.direct.must_refresh():
            await asyncio.shield(self._refreshing)

    def _in_thread(self, work: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        context = contextvars.copy_context()
        return asyncio.get_running_loop().run_in_executor(self._threads, lambda: context.run(work, *args))

    async def resolve_credentials(self) -> None:
        """Fetch the credentials that the client signs with."""
        await self._in_thread(resolve_credentials, self.client)

    def told(self, error: Exception) -> Exception:
        return error

    async def close(self) -> None:
        if self._streams is not None:
            self._streams.close()
            await asyncio.sleep(0)  # the loop closes their sockets
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._ways.close()


def _seen(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()  # of an early refresh nobody is told


class _OfAiobotocore:
    """A client of aiobotocore: the caller's, or of a session of the caller's."""

    def __init__(self, client: Any, opened: Any = None) -> None:
        self.client = client
        self._opened = opened  # the context manager that it came from

    async def here(self) -> None:
        pass

    async def send(self, request: Request[Any], attempt: Attempt) -> Reply:
        call = getattr(self.client, request.operation.method, None)
        if call is None:
            raise ValidationError(
                f"client has no {request.operation.method}: give the client that "
                "'async with session.create_client(\"personalize-runtime\")' opens",
                parameter="client",
            )
        members = call(**request.members)
        return reply_of(await members if inspect.isawaitable(members) else members)

    async def resolve_credentials(self) -> None:
        """Fetch the credentials that the client signs with."""
        await aio_clients.resolve_credentials(self.client)

    def told(self, error: Exception) -> Exception:
        return aio_clients.sharpened(error)

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.__aexit__(None, None, None)


async def _opened(manager: Any) -> _OfAiobotocore:
    """The client that a session of aiobotocore gives."""
    client = await _configured(manager.__aenter__)
    try:
        configured(lambda: check_endpoint(client))
        await aio_clients.open_connector(client)
    except BaseException:
        await manager.__aexit__(None, None, None)
        raise
    return _OfAiobotocore(client, manager)


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

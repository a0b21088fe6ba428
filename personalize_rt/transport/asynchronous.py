"""Sending one request without blocking the event loop.

A client that we build is botocore's, as for threads, and its requests take the same three ways
(:mod:`personalize_rt.transport.watching`): *direct* over connections on the event loop; *through* and *plain* by
botocore's own blocking call on a bounded pool of threads, in the context of the caller, so that whoever watches sees
it. aiobotocore makes the calls where a caller hands in a client, a session or a config of it
(:mod:`personalize_rt.transport.aio_clients`).
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import warnings
from collections.abc import Callable, Coroutine
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any, Protocol, TypeVar

from personalize_rt import forks
from personalize_rt.decoding import LARGE, decoded_in_background
from personalize_rt.errors import ConfigurationError, TransportError, ValidationError
from personalize_rt.operations import Request
from personalize_rt.transport.attempt import Attempt, under_way
from personalize_rt.transport.clients import (
    SERVICE,
    check_client_options,
    hidden_retries,
    refuse_options,
    resolve_credentials,
)
from personalize_rt.transport.failures import configured, forget_frames, translated
from personalize_rt.transport.http_answer import Answer
from personalize_rt.transport.origin import credentials_of, origin_of
from personalize_rt.transport.replies import Reply

__all__ = ["AsyncTransport", "keep_alive"]

ResultT = TypeVar("ResultT")
TaskT = TypeVar("TaskT", bound="asyncio.Task[Any]")


class Backend(Protocol):
    """A client, and the sending through it on one event loop.

    Attributes:
        client: The client.
    """

    client: Any

    async def here(self) -> None:
        """Make ready for the running event loop."""

    async def look_for_credentials(self) -> None:
        """Find out where the credentials come from, as far as that takes no time to speak of."""

    async def resolve_credentials(self) -> None:
        """Fetch the credentials that the client signs with."""

    async def send(self, request: Request[Any], attempt: Attempt) -> Reply:
        """Send a request once; raises what botocore raises."""
        ...

    async def close(self) -> None:
        """Close connections."""


class AsyncTransport:
    """A client, built when it is first needed, and the sending of requests through it.

    It may be shared by the tasks of one event loop. Connections belong to the loop that they were opened in; in another
    one (the next ``asyncio.run``, a forked child) new ones are opened.

    Args:
        client: An aiobotocore client of the caller, which is never changed; or ``None`` to build one.
        redact: Keep what a request carries out of botocore's debug log, for a client that we build.
        service: The API's name in boto3.
        options: How to build it: ``region_name``, ``session``, ``endpoint_url``, ``config``, ``verify``.
    """

    def __init__(self, client: Any = None, *, redact: bool = True, service: str = SERVICE, **options: Any) -> None:
        self._client = client
        self._backend: Backend | None = None
        self._owned = client is None
        self._redact = redact and self._owned
        self._options = options
        self._service = service
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()
        self._background: set[asyncio.Task[None]] = set()
        self._closed = False
        self._warned = False
        self._origin: str | None = None
        if self._owned:
            check_client_options(options)
            forks.in_child(self, AsyncTransport._forget_loop)
        else:
            from personalize_rt.transport.aio_clients import OfAiobotocore

            refuse_options(client, options)
            _refuse_a_blocking_client(client)
            self._backend = OfAiobotocore(client)

    @property
    def owned(self) -> bool:
        """True for a client that we built."""
        return self._owned

    async def client(self) -> Any:
        """The client, built now if there is none yet.

        Raises:
            ConfigurationError: No region, no such profile, a bad endpoint; the runtime is closed, or another event loop
                is using it.
        """
        return (await self._ready()).client

    async def way(self) -> tuple[str, str]:
        """The way that a request takes now (``"direct"``, ``"through"`` or ``"plain"``), and the reason.

        Raises:
            ConfigurationError: As :meth:`client` does.
        """
        backend = await self._ready()
        if isinstance(backend, _OfBotocore):
            verdict = backend.ways.verdict()
            return verdict.way.value, verdict.reason
        return "plain", "the client is one of aiobotocore"

    async def addressed(self, request: Request[ResultT]) -> Request[ResultT]:
        """A request that knows whom this client asks, and as whom. Builds the client if there is none yet.

        Raises:
            ConfigurationError: As :meth:`client` does.
        """
        backend = await self._ready()
        origin = self._origin
        if origin is None:
            if self._owned:
                await backend.look_for_credentials()
            origin, self._origin = origin_of(backend.client)
        return Request(request.operation, request.members, request.filter, origin)

    async def _ready(self) -> Backend:
        backend = self._backend
        if backend is not None and (not self._owned or self._loop is asyncio.get_running_loop()):
            return backend
        return await self._build()

    async def _build(self) -> Backend:
        self._move_here()
        async with self._lock:
            if self._closed:
                raise ConfigurationError("this runtime is closed: build a new one")
            backend = self._backend
            if backend is None:
                backend = await self._new_backend()
            try:
                await backend.here()
            except BaseException:
                if self._backend is None:
                    await backend.close()
                raise
            if self._redact and self._backend is None:
                from personalize_rt.transport.redacting import mask_log

                mask_log()  # after the client is built: each of the loggers needs the filter
            self._backend = backend
            return backend

    async def _new_backend(self) -> Backend:
        if _is_of_aiobotocore(self._options["session"], self._options["config"]):
            from personalize_rt.transport.aio_clients import opened

            return await opened({**self._options, "service": self._service}, self.in_background)
        # Off the loop: it reads files, and more than a megabyte of JSON.
        return _OfBotocore(*await asyncio.to_thread(configured, partial(_built, self._options, self._service)))

    def _move_here(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        if self._loop is not None and self._loop.is_running():
            raise ConfigurationError("another event loop is using this runtime: build one for each event loop")
        if not isinstance(self._backend, _OfBotocore):
            self._backend = None  # the sockets of a loop that is over cannot be closed from this one
        self._loop = loop
        self._lock = asyncio.Lock()
        self._background = set()

    def _forget_loop(self) -> None:
        # In a forked child: the loop goes on in the parent, with the client and its connections.
        self._loop = self._backend = None

    async def connect(self) -> None:
        """Build the client and fetch its credentials.

        Raises:
            ConfigurationError: There is no region, profile or credentials, or they cannot be refreshed.
            TransportError: Credentials cannot be fetched just now; later they may.
        """
        backend = await self._ready()
        if self._owned:
            from personalize_rt.transport.redacting import without_credentials

            with without_credentials() if self._redact else nullcontext():
                await backend.resolve_credentials()

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

    async def send(self, request: Request[Any], *, sent_before: int = 0, attempt: Attempt | None = None) -> Reply:
        """Send a request once.

        Args:
            request: What to send.
            sent_before: Requests already sent in this call; errors count from there.
            attempt: Tells when the attempt must be over, and how far it came, should it be cancelled.

        Raises:
            PersonalizeError: What botocore or aiobotocore raised, in our terms.
        """
        backend = await self._ready()
        if attempt is None:
            attempt = Attempt()
        attempt.request = request if self._redact else None
        token = under_way.set(attempt)
        try:
            return await backend.send(request, attempt)
        except Exception as error:
            failure = error
        finally:
            with suppress(ValueError):  # of a task that is dropped with its loop: this is no context of it
                under_way.reset(token)
        # Outside of the except block: botocore's text, which may repeat what was sent, must not hang on ours.
        ours = translated(failure, request, sent_before, attempt)
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


def _is_of_aiobotocore(session: Any, config: Any) -> bool:
    """Tell whether a session or a config is one whose clients have to be awaited.

    What others put around a session of aiobotocore is known by its ``get_credentials``, or by having none.
    """
    if type(config).__module__.partition(".")[0] == "aiobotocore":
        return True
    if session is None or hasattr(session, "blocks"):
        return False
    kinds: list[Any] = [
        getattr(sys.modules.get("botocore.session"), "Session", None),
        getattr(sys.modules.get("boto3.session"), "Session", None),
    ]
    ask = getattr(session, "get_credentials", None)
    if any(isinstance(session, kind) for kind in kinds if kind is not None):
        return inspect.iscoroutinefunction(ask)
    return ask is None or inspect.iscoroutinefunction(ask)


def _built(options: dict[str, Any], service: str) -> tuple[Any, Any]:
    """A client of botocore that signs with credentials that are fetched beside its calls, and its ways to send."""
    from personalize_rt.transport.credentials import build_chosen
    from personalize_rt.transport.ways import Ways, forced_way

    forced = forced_way()
    client, is_stand_in = build_chosen(options, service)
    return client, Ways(client, forced, is_stand_in=is_stand_in, service=service)


class _OfBotocore:
    """A client of botocore that we built, its three ways, and its connections on the present event loop."""

    def __init__(self, client: Any, ways: Any) -> None:
        self.client = client
        self.ways = ways
        self._streams: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: set[asyncio.Future[None]] = set()  # for credentials, or for a thread
        config = getattr(getattr(client, "meta", None), "config", None)
        self._size: int = getattr(config, "max_pool_connections", 10)
        self._threads = asyncio.Semaphore(self._size)

    async def here(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        # The sockets of a loop that is over cannot be closed from this one.
        self._loop, self._streams, self._waiting = loop, None, set()
        self._threads = asyncio.Semaphore(self._size)
        if self.ways.verdict().way.value == "direct":
            await self._open()

    async def _open(self) -> Any:
        """Load certificates now, not within the deadline of the first call."""
        from personalize_rt.transport.streams import Streams
        from personalize_rt.transport.tls import tls_reason

        try:
            settings = await asyncio.to_thread(self.ways.settings)
        except OSError as error:
            reason = tls_reason(error)
        else:
            self._streams = Streams(settings)
            return self._streams
        raise ConfigurationError(f"no connection can be opened with these settings: {reason}")

    async def send(self, request: Request[Any], attempt: Attempt) -> Reply:
        from personalize_rt.transport.plan import NoPlanError

        ways = self.ways
        way = ways.verdict().way
        if way.value == "direct":
            try:
                message = await self._message(request, attempt)
            except NoPlanError as error:
                ways.exclude_direct(error)
                way = ways.verdict().way
            else:
                streams = self._streams or await self._open()
                return await self._reply(request, await streams.exchange(message))
        return await self._on_a_thread(partial(ways.call, way, request), attempt)

    async def _message(self, request: Request[Any], attempt: Attempt) -> bytes:
        direct = self.ways.direct
        frozen = await self._credentials(attempt)
        if not direct.is_prepared(frozen):
            await asyncio.to_thread(direct.prepare, frozen)
        message: bytes = direct.message(request, frozen)
        return message

    async def _reply(self, request: Request[Any], answer: Answer) -> Reply:
        read = self.ways.direct.reply
        # botocore's part in an error takes a millisecond, and a large body takes many.
        if answer.status >= 300:
            reply: Reply = await asyncio.to_thread(read, request, answer)
        elif len(answer.body) > LARGE:
            reply = await asyncio.to_thread(read, request, answer, decoded_in_background)
        else:
            reply = read(request, answer)
        return reply

    async def _credentials(self, attempt: Attempt) -> Any:
        """Frozen credentials, fetched beside the loop if need be; ``None`` for a client that signs nothing."""
        credentials = credentials_of(self.client)
        at_hand = getattr(credentials, "at_hand", None)
        if at_hand is None:  # botocore's own
            return credentials and await asyncio.to_thread(credentials.get_frozen_credentials)
        frozen = at_hand()
        if frozen is None:
            attempt.unsigned = True
            over, tell = _signal()
            fetch = credentials.fetch()
            fetch.when_over(tell)
            self._waiting.add(over)
            try:
                await over
            finally:
                self._waiting.discard(over)
            frozen = fetch.outcome()
            attempt.unsigned = False
        return frozen

    async def _on_a_thread(self, work: Callable[[], Reply], attempt: Attempt) -> Reply:
        """Make a call of botocore on a thread; leave it behind when this task is cancelled."""
        async with self._threads:
            over, tell = _signal()
            try:
                task = self.ways.workers.begin(work, tell)
            except TransportError:
                attempt.unsigned = True
                raise
            self._waiting.add(over)
            try:
                await over
            except BaseException:
                self.ways.workers.leave(task)
                attempt.cancel()
                raise
            finally:
                self._waiting.discard(over)
            reply: Reply = task.outcome()
            return reply

    async def look_for_credentials(self) -> None:
        look = getattr(credentials_of(self.client), "look", None)
        if look is not None:
            await asyncio.to_thread(look)

    async def resolve_credentials(self) -> None:
        if hasattr(credentials_of(self.client), "at_hand"):
            await self._credentials(Attempt())
        else:
            await asyncio.to_thread(configured, partial(resolve_credentials, self.client))

    async def close(self) -> None:
        for over in self._waiting:
            if not over.done():
                over.set_exception(ConfigurationError("this runtime was closed in the middle of a call"))
        if self._streams is not None:
            self._streams.close()
            await asyncio.sleep(0)  # the loop closes their sockets
        self.ways.close()


def _signal() -> tuple[asyncio.Future[None], Callable[[], None]]:
    """A future of the running loop, and a function that completes it from any thread."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()

    def complete() -> None:
        if not over.done():
            over.set_result(None)

    def tell() -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(complete)

    return over, tell


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

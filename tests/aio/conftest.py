"""What tests of the async client share: coroutine functions as tests, doubles of clients, a server in the loop."""

from __future__ import annotations

import asyncio
import inspect
import json
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

REPLIES: Mapping[str, Mapping[str, Any]] = {
    "get_recommendations": {"itemList": [{"itemId": "i1", "score": 0.5}], "recommendationId": "RID-1"},
    "get_personalized_ranking": {"personalizedRanking": [{"itemId": "i1", "score": 1.0}], "recommendationId": "RID-1"},
    "get_action_recommendations": {"actionList": [{"actionId": "a1", "score": 0.5}], "recommendationId": "RID-1"},
}
CODES = {400: "InvalidInputException", 404: "ResourceNotFoundException", 429: "ThrottlingException"}


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """A test that is a coroutine function runs in an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted}))
    return True


class Script:
    """What a service answers, one outcome for each request, and well when it is told nothing.

    An outcome is a status, the members of a reply, an exception, a function of the request's members that gives one
    of these, or (of :class:`Service`) ``"hang"`` and a coroutine function.
    """

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.repeated: Any = None
        self._outcomes: deque[Any] = deque()

    @property
    def count(self) -> int:
        """Requests that arrived so far."""
        return len(self.received)

    def script(self, *outcomes: Any) -> None:
        """Answer the next requests so, each outcome once."""
        self._outcomes.extend(outcomes)

    def reset(self) -> None:
        """Forget requests and outcomes."""
        self.received.clear()
        self._outcomes.clear()

    def next_outcome(self, members: dict[str, Any]) -> Any:
        self.received.append(members)
        return self._outcomes.popleft() if self._outcomes else self.repeated

    def answered(self, operation: str, outcome: Any) -> Any:
        if outcome is None:
            outcome = REPLIES[operation]
        if isinstance(outcome, int):
            outcome = self.failure(outcome)
        if isinstance(outcome, BaseException):
            raise outcome
        head = {"RequestId": f"r-{self.count}", "HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0}
        return {**outcome, "ResponseMetadata": head}

    @staticmethod
    def failure(status: int, **headers: str) -> ClientError:
        code = CODES.get(status, "InternalFailure")
        names = {name.replace("_", "-"): text for name, text in headers.items()}
        head = {"HTTPStatusCode": status, "HTTPHeaders": names, "RequestId": "r-e", "RetryAttempts": 0}
        return ClientError({"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": head}, "Operation")

    @staticmethod
    def time_out() -> Exception:
        error: Exception = ReadTimeoutError(endpoint_url="http://e", error=TimeoutError())
        return error


class BlockingService(Script):
    """The double of a boto3 client."""

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        if operation not in REPLIES:
            raise AttributeError(operation)

        def call(**members: Any) -> Any:
            outcome = self.next_outcome(members)
            return self.answered(operation, outcome(members) if callable(outcome) else outcome)

        return call


class Service(Script):
    """The double of an aiobotocore client, which also counts what is under way and what was cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way = 0
        self.cancelled = 0

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        if operation not in REPLIES:
            raise AttributeError(operation)

        async def call(**members: Any) -> Any:
            outcome = self.next_outcome(members)
            self.under_way += 1
            try:
                await asyncio.sleep(0)
                if outcome == "hang":
                    await asyncio.Event().wait()
                if callable(outcome):
                    outcome = outcome(members)
                    if inspect.isawaitable(outcome):
                        outcome = await outcome
                return self.answered(operation, outcome)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            finally:
                self.under_way -= 1

        return call


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def blocking_service() -> BlockingService:
    return BlockingService()


class RawServer:
    """A server in the loop of the test, which answers each request with the bytes that it is given.

    An outcome is bytes, or a coroutine function of the writer and the request's members that returns bytes or
    ``None``. With ``close`` set the connection ends after it.
    """

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.outcomes: deque[Any] = deque()
        self.repeated: Any = self.well({"itemList": [{"itemId": "i1"}], "recommendationId": "RID-1"})
        self.close = False
        self.tls: ssl.SSLContext | None = None
        self.connections = 0

    @staticmethod
    def well(reply: Any, *headers: bytes) -> bytes:
        """A whole answer."""
        body = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
        head = (b"HTTP/1.1 200 OK", b"content-type: application/json", b"content-length: %d" % len(body), *headers)
        return b"\r\n".join((*head, b"", body))

    async def __aenter__(self) -> RawServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._writers: set[asyncio.StreamWriter] = set()
        return self

    async def __aexit__(self, *_: Any) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        while self._writers:
            await asyncio.sleep(0)

    @property
    def open(self) -> int:
        """Connections that are open."""
        return len(self._writers)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
                members = json.loads(await reader.readexactly(length))
                self.requests.append(members)
                outcome = self.outcomes.popleft() if self.outcomes else self.repeated
                if callable(outcome):
                    answering = asyncio.ensure_future(outcome(writer, members))
                    leaving = asyncio.ensure_future(reader.read(1))
                    await asyncio.wait([answering, leaving], return_when=asyncio.FIRST_COMPLETED)
                    answered = answering.done()
                    answering.cancel()
                    leaving.cancel()
                    await asyncio.wait([answering, leaving])
                    if not answered:
                        return
                    outcome = answering.result()
                writer.write(outcome or b"")
                await writer.drain()
                if self.close:
                    return
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


@pytest.fixture
def raw() -> RawServer:
    """To be used in ``async with``."""
    return RawServer()


@attrs.define
class Heard:
    """A hook that keeps what it is told, by name and details."""

    events: list[Any] = attrs.field(factory=list)

    def __call__(self, event: Any) -> None:
        self.events.append(event)

    @property
    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def async_runtime(service: Service, fake_time: Any) -> Callable[..., Any]:
    """Makes runtimes on the double, which never really sleep, and whose deadline holds."""
    from personalize_rt import RetryPolicy
    from personalize_rt.aio import AsyncPersonalizeRuntime

    def make(*, retry: Mapping[str, Any] = {}, **options: Any) -> Any:
        policy = {"clock": fake_time.clock, "sleep": fake_time.sleep, "random": lambda: 1.0, **retry}
        defaults = {"enforce_deadline": True, "retry": RetryPolicy(**policy)}
        return AsyncPersonalizeRuntime(service, **{**defaults, **options})

    return make


async def _settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def settled() -> Any:
    """Lets every other task go on until it waits."""
    return _settled

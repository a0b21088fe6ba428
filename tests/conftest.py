"""What tests of the client share: an HTTP server that answers by a script, a clock that only sleeping moves."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs
import pytest

SERVER_DATE = "Tue, 26 May 2020 22:02:55 GMT"
REQUEST_ID = "fd2ea40f-11f5-461c-b678-6a6a08bdb416"
REPLIES: Mapping[str, Mapping[str, Any]] = {
    "/recommendations": {"itemList": [{"itemId": "i1", "score": 0.5}], "recommendationId": "RID-1"},
    "/personalize-ranking": {"personalizedRanking": [{"itemId": "i1", "score": 1.0}], "recommendationId": "RID-1"},
    "/action-recommendations": {"actionList": [{"actionId": "a1", "score": 0.5}], "recommendationId": "RID-1"},
}
CODES = {
    400: "InvalidInputException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "RequestTimeoutException",
    413: "RequestEntityTooLargeException",
    429: "ThrottlingException",
    500: "InternalFailure",
    503: "ServiceUnavailable",
}


@attrs.frozen
class Received:
    """One request as it arrived; names of headers in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def members(self) -> dict[str, Any]:
        members: dict[str, Any] = json.loads(self.body)
        return members


@attrs.frozen
class Answer:
    """One reply; ``promised`` is a content-length that the body does not keep."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = attrs.field(factory=dict)
    promised: int | None = None


class QuietServer(ThreadingHTTPServer):
    """Does not print that a client has left, which is what many tests are about; any other error it does."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class ScriptedServer:
    """A Personalize on 127.0.0.1 that answers as it is told, and well when it is told nothing.

    An outcome is a status, the members of a reply, an :class:`Answer`, ``"close"`` (no answer), ``"hang"`` (none
    until the test is over), or a function of the request that gives one of these.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.over = threading.Event()
        self._outcomes: deque[Any] = deque()
        self._repeated: Any = None
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []
        self._http = QuietServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.005,), daemon=True).start()

    @property
    def count(self) -> int:
        """Requests that arrived so far."""
        return len(self.received)

    def script(self, *outcomes: Any) -> None:
        """Answer the next requests so, each outcome once."""
        self._outcomes.extend(outcomes)

    def always(self, outcome: Any) -> None:
        """Answer so when the script is over."""
        self._repeated = outcome

    def reset(self) -> None:
        """Forget requests and outcomes."""
        self.received.clear()
        self._outcomes.clear()
        self._repeated = None

    def close(self) -> None:
        self.over.set()
        self._http.shutdown()
        self._http.server_close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def answer(status: int = 200, body: Any = b"{}", *, promised: int | None = None, **headers: str) -> Answer:
        """An answer; ``x_amz_retry_after="5"`` gives the header ``x-amz-retry-after``."""
        encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Answer(status, encoded, {name.replace("_", "-"): text for name, text in headers.items()}, promised)

    @classmethod
    def failure(cls, status: int, code: str | None = None, message: str = "", **headers: str) -> Answer:
        """An error as the service sends it."""
        code = CODES.get(status) if code is None else code
        kind = {"x_amzn_errortype": f"{code}:http://internal.amazon.com/coral/"} if code else {}
        return cls.answer(status, {"message": message}, **kind, **headers)

    def _outcome(self, request: Received) -> Any:
        with self._lock:
            self.received.append(request)
            outcome = self._outcomes.popleft() if self._outcomes else self._repeated
        if callable(outcome):
            outcome = outcome(request)
        if outcome is None:
            outcome = REPLIES[request.path]
        if isinstance(outcome, int):
            outcome = self.failure(outcome)
        return self.answer(200, outcome) if isinstance(outcome, Mapping) else outcome

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                server._connections.append(self.connection)

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outcome = server._outcome(Received(self.command, self.path, headers, self.rfile.read(length)))
                if isinstance(outcome, Answer):
                    self._send(outcome)
                    return
                if outcome == "hang":
                    server.over.wait()
                self.close_connection = True

            def _send(self, answer: Answer) -> None:
                self.send_response_only(answer.status)
                headers = {"content-type": "application/json", "date": SERVER_DATE, "x-amzn-requestid": REQUEST_ID}
                length = len(answer.body) if answer.promised is None else answer.promised
                for name, value in {**headers, **answer.headers, "content-length": str(length)}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)
                self.close_connection = answer.promised is not None

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


class FakeTime:
    """A clock that stands still unless somebody sleeps by it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def passes(self, seconds: float, outcome: Any = None) -> Callable[[Any], Any]:
        """An outcome for the server, after so many seconds of this clock."""

        def wait(_: Any) -> Any:
            self.now += seconds
            return outcome

        return wait


class Background:
    """The threads that calls of this test have started.

    A test before it may have left its own behind: without the fast path, a request that hangs has a thread until its
    time-out.
    """

    def __init__(self) -> None:
        self._others = set(threading.enumerate())

    def threads(self, *names: str) -> list[threading.Thread]:
        """Those that are alive, by name; of a request of ours when no name is given."""
        wanted = names or ("personalize-rt",)
        found = [each for each in threading.enumerate() if each.name in wanted and each not in self._others]
        for thread in found:
            while thread.ident is None:  # it is listed before it has begun, and cannot be joined yet
                time.sleep(0.001)
        return found

    def end(self, *names: str) -> None:
        """Wait for all of them, those too that the last ones start."""
        until = time.monotonic() + 20
        while found := self.threads(*names):
            for thread in found:
                thread.join(max(0, until - time.monotonic()))
                assert not thread.is_alive(), "a request that nobody waits for was not cancelled"


@pytest.fixture
def background() -> Background:
    return Background()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.close()


@pytest.fixture
def sick_server(certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Starts servers of :mod:`tests.sick`, and sets the variables that a client needs in order to meet them."""
    from tests.sick.kinds import KINDS
    from tests.sick.server import SickServer

    with contextlib.ExitStack() as stack:

        def start(name: str) -> Any:
            server = stack.enter_context(SickServer(KINDS[name], certificate))
            for variable, value in KINDS[name].client_environment(server.url, tmp_path, certificate).items():
                if value is None:
                    monkeypatch.delenv(variable, raising=False)
                else:
                    monkeypatch.setenv(variable, value)
            return server

        yield start


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


@pytest.fixture(scope="session")
def session(made_up_aws_account: None) -> Any:
    """One boto3 session for many clients: loading the service model is what takes time."""
    import boto3

    return boto3.Session(region_name="eu-west-1", aws_access_key_id="testing", aws_secret_access_key="testing")


@pytest.fixture
def plain_client(session: Any, server: ScriptedServer) -> Iterator[Callable[..., Any]]:
    """Makes boto3 clients of the caller's own, by default without botocore's retries."""
    from botocore.config import Config

    clients = []

    def make(**config: Any) -> Any:
        config = {"retries": {"total_max_attempts": 1, "mode": "standard"}, "read_timeout": 5, **config}
        client = session.client("personalize-runtime", endpoint_url=server.url, config=Config(**config))
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def runtime(session: Any, server: ScriptedServer, fake_time: FakeTime) -> Iterator[Callable[..., Any]]:
    """Makes runtimes that build their own client for the server, and never really sleep."""
    from personalize_rt import PersonalizeRuntime, RetryPolicy

    runtimes = []

    def make(*, retry: Mapping[str, Any] = {}, **arguments: Any) -> Any:
        policy = {"clock": fake_time.clock, "sleep": fake_time.sleep, "random": lambda: 1.0, **retry}
        defaults = {"session": session, "endpoint_url": server.url, "retry": RetryPolicy(**policy)}
        if "client" in arguments:
            del defaults["session"], defaults["endpoint_url"]
        runtimes.append(PersonalizeRuntime(**{**defaults, **arguments}))
        return runtimes[-1]

    yield make
    for made in runtimes:
        made.close()


@attrs.define
class Wire:
    """A real boto3 client without a socket, which keeps what was sent and answers well."""

    client: Any = None
    sent: list[tuple[str, dict[str, Any]]] = attrs.field(factory=list)

    def respond(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any, bytes]:
        self.sent.append((path, json.loads(body)))
        return 200, {"content-type": "application/json"}, json.dumps(REPLIES[path]).encode()

    def take(self) -> tuple[str, dict[str, Any]]:
        """The one request that was sent since the last time."""
        (request,) = self.sent
        self.sent.clear()
        return request


@pytest.fixture(scope="session")
def one_wire() -> Iterator[Wire]:
    from personalize_rt.transport.in_process import in_process_client

    wire = Wire()
    wire.client = in_process_client(wire.respond)
    yield wire
    wire.client.close()


@pytest.fixture
def wire(one_wire: Wire) -> Wire:
    one_wire.sent.clear()
    return one_wire

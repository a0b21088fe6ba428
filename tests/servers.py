"""An HTTP server that answers by a script."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
from collections import deque
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs

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

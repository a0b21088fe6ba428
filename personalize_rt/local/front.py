"""The HTTP door on its event loop: one ASGI application, and what lies below HTTP.

uvicorn speaks HTTP well, and so cannot send a reset, a wrong length, or a head that drips. A proxy before it could, but
it would have to read HTTP a second time to know which request a fault befalls, and every healthy request would pay for
it. Here the connections are watched instead, by the two methods that asyncio calls on any protocol: they tell which
transport a client speaks on. A request that no fault befalls never touches that. For one that a fault befalls below
HTTP, the answer is written to the transport past uvicorn, and the transport is closed; to uvicorn this is a client
that went away.

The engine is asked on the event loop itself: it computes and never waits, so that a thread for each request would only
add the cost of changing threads.

Needs uvicorn and Starlette; :mod:`personalize_rt.local.server` imports this module when a server is started.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
import sys
import traceback
import uuid
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import Any, cast

import attrs
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from personalize_rt.errors import PersonalizeError, ValidationError
from personalize_rt.local.faults import (
    Decision,
    Drip,
    Faults,
    NoAnswer,
    Reset,
    WrongLength,
    error_answer,
    head_of,
)
from personalize_rt.local.sigv4 import SignatureError, SignedRequest, Verifier
from personalize_rt.local.wire import HttpRequest, HttpResponse

__all__ = ["Application", "Lines", "build"]

_log = logging.getLogger(__name__)

ADMIN = "/_local/"
HEALTH = "/healthz"

# A body over the limit is read on, for so many times the limit, to its end: a client that is still sending when the
# connection closes may never see the answer.
_PATIENCE = 32
# So long a pause between two looks at whether the bytes before a reset have left.
_FLUSH_TICK = 0.001
# Off at once, without the rest of the buffer: two ints, on Windows two shorts.
_RESET_ON_CLOSE = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


# Connections, and what can be done to them that HTTP cannot say.


class Line:
    """One TCP connection."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        # Set when the client is gone, or the server is about to go: there is nothing left to wait for.
        self.over: asyncio.Event = asyncio.Event()

    async def pause(self, seconds: float | None) -> None:
        """Wait for so long (``None``: for ever), or until there is nothing left to wait for."""
        try:
            async with asyncio.timeout(seconds):
                await self.over.wait()
        except TimeoutError:
            pass

    @property
    def closed(self) -> bool:
        """Whether there is no more sending."""
        return self._transport.is_closing()

    def write(self, content: bytes) -> None:
        """Send some bytes as they are."""
        if not self.closed:
            self._transport.write(content)

    async def drip(self, content: bytes, interval: float) -> None:
        """Send some bytes one by one."""
        for at in range(len(content)):
            if at:
                await self.pause(interval)
            self.write(content[at : at + 1])

    async def reset(self) -> None:
        """Send what is written, then reset the connection."""
        connection: socket.socket = self._transport.get_extra_info("socket")
        # Of a client that is gone there is no socket any more to look at.
        while not self.over.is_set() and (self._transport.get_write_buffer_size() or _unsent(connection)):
            await asyncio.sleep(_FLUSH_TICK)
        if connection.fileno() >= 0:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()

    def close(self) -> None:
        """Send what is written, then close the connection."""
        self._transport.close()

    def drop(self) -> None:
        """Close the connection at once."""
        self._transport.abort()


def _unsent(connection: socket.socket) -> int:
    """Bytes that wait in the system, where it tells (Linux); a reset would take them along."""
    if sys.platform != "linux":
        return 0
    from fcntl import ioctl
    from termios import TIOCOUTQ

    return int.from_bytes(ioctl(connection.fileno(), TIOCOUTQ, bytes(4)), sys.byteorder)


class Lines:
    """The connections of one server, by the addresses of both ends. Used on its event loop only."""

    def __init__(self) -> None:
        self._lines: dict[tuple[Any, Any], Line] = {}

    def of(self, scope: Scope) -> Line | None:
        """The connection by which a request came, or ``None`` when it is no more."""
        # A client that left at once has no address any more.
        return self._lines.get((tuple(scope["client"] or ()), tuple(scope["server"] or ())))

    def stop(self) -> None:
        """End all that waits on purpose: the server is about to go."""
        for line in self._lines.values():
            line.over.set()

    def opened(self, transport: asyncio.Transport) -> None:
        """A client connected."""
        self._lines[_ends(transport)] = Line(transport)

    def lost(self, transport: asyncio.Transport) -> None:
        """A connection is no more."""
        line = self._lines.pop(_ends(transport), None)
        if line is not None:  # of two that left at once, the second has the place of the first
            line.over.set()

    def protocol(self) -> type[asyncio.Protocol]:
        """The protocol class of uvicorn, watched."""
        return type("WatchedProtocol", (_Watched, AutoHTTPProtocol), {"lines": self})


def _ends(transport: asyncio.Transport) -> tuple[Any, Any]:
    # An address of IPv6 has four parts, of which ASGI shows two.
    client, server = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
    return tuple((client or ())[:2]), tuple((server or ())[:2])


class _Watched(asyncio.Protocol):
    """Goes before a protocol class of uvicorn, and tells of its connections."""

    lines: Lines
    _watched: asyncio.Transport

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP as the service does; uvicorn itself would answer in plain text, without a code."""
        refusal = _dated(_refuse(400, "MalformedHttpRequestException", "this is not HTTP", connection="close"))
        self._watched.write(head_of(refusal) + refusal.body)
        self._watched.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._watched = cast("asyncio.Transport", transport)
        self.lines.opened(self._watched)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lines.lost(self._watched)
        super().connection_lost(exc)


# The application.


class Application:
    """What answers requests: the three operations, ``/healthz``, and ``/_local/`` for tests in other languages.

    ============================  ==================================================================================
    ``GET /healthz``              ``{"status": "ok"}``; the only path that asks for no signature
    ``GET /_local/faults``        the rules as they stand
    ``POST /_local/faults``       a new rule: ``{"fault": "throttle", "times": 2}``
    ``DELETE /_local/faults``     no more rules; with an id behind it, one rule less
    ``POST /_local/reload``       reads the data directory again; until that is done, and when it fails, the data stay
    ============================  ==================================================================================

    Args:
        handle: Answers one request.
        faults: What goes wrong on purpose; only the three operations are befallen.
        reload: Reads the data directory again.
        verifier: Who may call, or ``None`` when everybody may.
        max_body: Bytes that a request may have.
    """

    def __init__(
        self,
        handle: Callable[[HttpRequest], HttpResponse],
        faults: Faults,
        reload: Callable[[], None],
        *,
        verifier: Verifier | None,
        max_body: int,
    ) -> None:
        self.lines: Lines = Lines()
        self._handle = handle
        self._faults = faults
        self._read_again = reload
        self._verifier = verifier
        self._max_body = max_body
        routes = [
            Route(HEALTH, self._health),
            Route(f"{ADMIN}faults", self._rules, methods=["GET", "POST", "DELETE"]),
            Route(f"{ADMIN}faults/{{id}}", self._rule, methods=["DELETE"]),
            Route(f"{ADMIN}reload", self._reload, methods=["POST"]),
        ]
        self._admin = Starlette(routes=routes, exception_handlers={HTTPException: _no_such_path})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        path: str = scope["path"]
        if path == HEALTH:
            await self._admin(scope, receive, send)
            return
        try:
            body = await self._body(scope, receive)
        except asyncio.CancelledError:
            # The server stops, and the body has not come in time. An error upon which every client asks again.
            close = {"connection": "close"}
            await _send(send, _refuse(503, "ServiceUnavailable", "the server is stopping", **close))
            return
        if body is None:
            return
        refusal = self._refusal(scope, body)
        if refusal is not None:
            await _send(send, refusal)
        elif path.startswith(ADMIN):
            await self._admin(scope, _once(body), send)
        else:
            await self._operation(scope, body, receive, send)

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """The body, as much of it as is over the limit; ``None`` when the client went away."""
        chunks: list[bytes] = []
        size = 0
        while size <= self._max_body * _PATIENCE:
            message = await receive()
            if message["type"] != "http.request":
                return None
            chunk: bytes = message.get("body", b"")
            if size <= self._max_body:
                chunks.append(chunk)
            size += len(chunk)
            if not message.get("more_body"):
                break
        return b"".join(chunks)

    def _refusal(self, scope: Scope, body: bytes) -> HttpResponse | None:
        """Why a request is not answered, whatever it asks."""
        if len(body) > self._max_body:
            message = f"the body is longer than {self._max_body:,} bytes"
            close = {"connection": "close"}
            return _refuse(413, "RequestEntityTooLargeException", message, **close)
        headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        if scope["path"].startswith(ADMIN) and any(name == b"origin" for name, _ in headers):
            # Any page can make a browser send requests to this machine.
            return _refuse(403, "AccessDeniedException", "the admin paths do not answer web pages")
        if self._verifier is None:
            return None
        try:
            self._verifier.verify(
                SignedRequest(scope["method"].encode(), scope["raw_path"], scope["query_string"], headers, body)
            )
        except SignatureError as error:
            return _refuse(403, error.code, error.message)
        return None

    async def _operation(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        request = HttpRequest(scope["method"], scope["raw_path"].decode("latin-1"), _headers(scope), body)
        decision = self._faults.decide(request)
        if not decision:
            await _send(send, self._answer(request))
            return
        line = self.lines.of(scope)
        if line is None or await self._befall(decision, line, request, send):
            # uvicorn learns of the end of the connection when asyncio tells it.
            while (await receive())["type"] != "http.disconnect":
                pass

    async def _befall(self, decision: Decision, line: Line, request: HttpRequest, send: Send) -> bool:
        """Make happen what was decided; say whether the connection is at its end."""
        if isinstance(decision.answer, NoAnswer):
            await line.pause(None)
            line.drop()
            return True
        if decision.delay:
            await line.pause(decision.delay)
            if line.closed:
                return True
        response = _dated(decision.respond(lambda: self._answer(request)))
        last = attrs.evolve(response, headers={**response.headers, "connection": "close"})
        match decision.delivery:
            case Drip(part, interval):
                await line.drip(head_of(last), interval if part == "head" else 0)
                await line.drip(last.body, interval if part == "body" else 0)
            case Reset() as reset:
                line.write(reset.sent(last))
                await line.reset()
            case WrongLength() as wrong:
                sent = wrong.sent(last)
                line.write(head_of(sent) + sent.body)
            case _:
                await _send(send, response)
                return False
        line.close()
        return True

    def _answer(self, request: HttpRequest) -> HttpResponse:
        try:
            return self._handle(request)
        except Exception as error:
            _log_defect(error)
        return _refuse(500, "InternalFailure", _DEFECT)

    # Beside the operations.

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _rules(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._faults.clear()
        if request.method != "POST":
            return JSONResponse({"faults": [rule.to_dict() for rule in self._faults.rules]})
        try:
            document: object = json.loads(await request.body())
        except (ValueError, RecursionError):
            document = None
        try:
            return JSONResponse(self._faults.add(document).to_dict(), 201)
        except ValidationError as error:
            return JSONResponse({"message": error.message}, 400)

    async def _rule(self, request: Request) -> Response:
        id: str = request.path_params["id"]
        try:
            # No list of rules is longer than what nine digits count.
            self._faults.remove(int(id) if id.isascii() and id.isdecimal() and len(id) < 10 else -1)
        except ValidationError as error:
            return JSONResponse({"message": error.message}, 404)
        return JSONResponse({"faults": [rule.to_dict() for rule in self._faults.rules]})

    async def _reload(self, request: Request) -> Response:
        try:
            await asyncio.to_thread(self._read_again)
        except PersonalizeError as error:
            return JSONResponse({"message": error.message}, 422)
        except Exception as error:
            _log_defect(error)
            return JSONResponse({"message": _DEFECT}, 500)
        return JSONResponse({"status": "ok"})


_DEFECT = "a defect of the embedded service; its log says where"


def _log_defect(error: Exception) -> None:
    # The text of an exception, and what hangs on it, may show what was asked.
    where = "".join(traceback.format_tb(error.__traceback__))
    _log.error("a defect of the embedded service: %s\n%s", type(error).__name__, where)


def _no_such_path(_: Request, error: Exception) -> Response:
    failure = cast("HTTPException", error)
    return JSONResponse({"message": failure.detail}, failure.status_code, failure.headers)


def _once(body: bytes) -> Receive:
    """A body that was read already, for another application to read."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _headers(scope: Scope) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in cast("Sequence[tuple[bytes, bytes]]", scope["headers"]):
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _refuse(status: int, code: str, message: str, **headers: str) -> HttpResponse:
    return error_answer(status, code, message, {"x-amzn-requestid": str(uuid.uuid4()), **headers})


def _dated(response: HttpResponse) -> HttpResponse:
    if "date" in response.headers:
        return response
    return attrs.evolve(response, headers={**response.headers, "date": formatdate(usegmt=True)})


async def _send(send: Send, response: HttpResponse) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in _dated(response).headers.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


# The server.


class _Server(uvicorn.Server):
    """A uvicorn that tells when it is ready, and ends what waits on purpose before it waits for the rest."""

    def __init__(self, config: uvicorn.Config, lines: Lines, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._lines = lines
        self._on_start = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._lines.stop()
        await super().shutdown(sockets=sockets)


def build(application: Application, *, stop_timeout: int, started: Callable[[], None]) -> uvicorn.Server:
    """A server for an application, which is run with sockets that somebody else opened.

    Args:
        application: What answers.
        stop_timeout: Whole seconds that requests under way are given when the server stops.
        started: Called on the event loop when connections are taken.
    """
    config = uvicorn.Config(
        application,
        http=application.lines.protocol(),
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        # It would put what a header says in the place of the client's address.
        proxy_headers=False,
        server_header=False,
        # Answers bring their own.
        date_header=False,
        # Longer than clients keep idle connections: the side that closes first must not be this one.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=stop_timeout,
    )
    return _Server(config, application.lines, started)

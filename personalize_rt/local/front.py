"""The HTTP server on its event loop: an ASGI application. Faults below HTTP are carried out in ``connections.py``.

The engine runs on the event loop itself: it computes and never waits, so a thread for each request would only add the
cost of thread switches.

Needs uvicorn and Starlette; :mod:`personalize_rt.local.server` imports this module when a server is started.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, assert_never, cast

import attrs
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from personalize_rt import forks
from personalize_rt.errors import PersonalizeError, ValidationError
from personalize_rt.local.apis import Api, asked_of, takes_long
from personalize_rt.local.connections import Line, Lines, RequestLog, closing, dated, refuse
from personalize_rt.local.faults import Decision
from personalize_rt.local.faults.effects import Damage, NoAnswer, Transmission
from personalize_rt.local.hosts import ForeignError, HostRule
from personalize_rt.local.journal import Entry, ReceivedRequest, named, resource_of
from personalize_rt.local.messages import HttpRequest, HttpResponse
from personalize_rt.local.others import Others, is_for_others
from personalize_rt.local.sigv4 import Claim, SignatureError, SignedRequest, Verifier

if TYPE_CHECKING:
    from personalize_rt.local.embedded import LocalPersonalize
    from personalize_rt.local.groups import LocalGroups
    from personalize_rt.local.server import Embedded

__all__ = ["Application", "build"]

_log = logging.getLogger(__name__)

ADMIN = "/_local/"
PAGE = "/console/"
HEALTH = "/healthz"
_BESIDE = (PAGE.rstrip("/"), *(f"{ADMIN}{name}" for name in ("events", "faults", "reload", "requests")))
# Those that the paths of this server have.
_METHODS = ("GET", "POST", "DELETE")
# Without it, a page's SDK would see neither code nor id of an error.
_EXPOSED = "x-amzn-errortype, x-amzn-requestid, retry-after, x-amz-retry-after, date"

# The body of a refused request is read to its end, up to so many times the limit: a client that is still sending when
# the connection is closed may never see the answer.
_PATIENCE = 32

# The most requests that wait for a training or another job at once; each has a thread meanwhile.
_WAITING = 64

# The application.


class _RefusedError(Exception):
    """A request is refused with an answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.answer = refuse(status, code, message)


@attrs.define
class _Call:
    """A request under way.

    Attributes:
        scope: Its head (ASGI).
        cors: The headers by which a browser lets the page that asks read the answer; empty without a page.
        asks_leave: Whether a browser asks, before the request of a page, whether it may send it (CORS preflight).
        body: The body, once it is complete.
    """

    scope: Scope
    cors: Mapping[str, str] = MappingProxyType({})
    asks_leave: bool = False
    body: bytes = b""

    @property
    def request(self) -> HttpRequest:
        """The request in the form of the embedded service."""
        scope = self.scope
        return HttpRequest(scope["method"], scope["raw_path"].decode("latin-1"), _headers(scope), self.body)

    @property
    def api(self) -> Api:
        """The API that it is for, so far as the head tells."""
        return asked_of(self.request)[0]

    @property
    def wants_page(self) -> bool:
        """True if it is for the page: by its path, or by what a browser accepts and no SDK does."""
        path: str = self.scope["path"]
        if path != "/":
            return path.startswith(PAGE)
        accepts = (value for name, value in self.scope["headers"] if name == b"accept")
        return self.scope["method"] in ("GET", "HEAD") and any(b"text/html" in value for value in accepts)

    def told(self, admin: Iterable[str]) -> tuple[str | None, str | None]:
        """Operation and resource, as the log may show them: nothing personal, and nothing of a foreign form."""
        method, path = self.scope["method"], self.scope["path"]
        if any(path == known or path.startswith(f"{known}/") for known in admin):
            return f"{method if method in _METHODS else '-'} {'/'.join(path.split('/')[:3])}", None
        if self.asks_leave:
            return "OPTIONS", None
        return named(asked_of(self.request)[1]), resource_of(self.body)

    def allow(self, origin: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Let a page of an accepted origin send its request, and read the answer (WHATWG Fetch, "CORS protocol")."""
        cors = {"access-control-allow-origin": origin, "access-control-expose-headers": _EXPOSED, "vary": "origin"}
        asked = {name: value for name, value in headers if name.startswith(b"access-control-request-")}
        self.asks_leave = self.scope["method"] == "OPTIONS" and b"access-control-request-method" in asked
        if self.asks_leave:
            cors |= {
                "access-control-allow-methods": ", ".join(_METHODS),
                "access-control-allow-headers": asked.get(b"access-control-request-headers", b"").decode("latin-1"),
                "access-control-max-age": "600",
            }
            # Asked by browsers that tell pages of the web from this machine ("Private Network Access").
            if b"access-control-request-private-network" in asked:
                cors["access-control-allow-private-network"] = "true"
        self.cors = cors


@attrs.define
class _Upload:
    """The body of a request that is being received.

    Attributes:
        chunks: The received chunks.
        refusal: The reason to refuse the request, or ``None``.
        ended: Whether the body is complete.
        gone: Whether the client has disconnected.
    """

    chunks: list[bytes] = attrs.field(factory=list[bytes])
    refusal: HttpResponse | None = None
    ended: bool = False
    gone: bool = False


class Application:
    """The ASGI application: the three operations, ``/healthz``, and ``/_local/`` for tests in other languages.

    ============================  ==================================================================================
    ``GET /healthz``              returns ``{"status": "ok"}``; the only path that needs no signature
    ``GET /_local/faults``        lists the rules
    ``POST /_local/faults``       adds a rule: ``{"fault": "throttle", "times": 2}``
    ``DELETE /_local/faults``     removes all rules; ``DELETE /_local/faults/ID`` removes one
    ``POST /_local/reload``       reloads the data directory; the old data stay until then, and if it fails
    ``GET /_local/requests``      lists the requests that were received, oldest first
    ``DELETE /_local/requests``   forgets them
    ``GET /_local/events``        lists the events that were put, oldest first, each with its answer
    ``GET /`` in a browser        shows the page, whose other paths begin with ``/console/``
    ============================  ==================================================================================

    The head of a request is checked before its body is read. The body of a refused request is discarded. A request that
    is signed for another service than Personalize is handed on, if there is somebody to hand it to.

    Args:
        local: The embedded service. Its faults affect only the operations of the three APIs.
        verifier: Verifies signatures; ``None`` accepts every request.
        hosts: The rule on ``Host`` and ``Origin`` headers.
        page: Whether there is a page for browsers: only where no other machine can call.
        others: Is handed the requests for other services; ``None`` for nobody.
        log: Is told one line for each request but those to ``/healthz``, by the function that makes it.
        max_body: The most bytes of a body.
        max_bodies: The most bytes of the bodies of all requests in flight.
        body_timeout: Seconds within which a body must be received.
    """

    # Of their own, since those of asyncio are few: a Describe that waits for a training must not make another one wait.
    _waiting = forks.PerProcess(lambda: ThreadPoolExecutor(_WAITING, "personalize-rt-waiting"))

    def __init__(
        self,
        local: Embedded,
        *,
        verifier: Verifier | None,
        hosts: HostRule,
        page: bool = False,
        others: Others | None,
        log: RequestLog | None,
        max_body: int,
        max_bodies: int,
        body_timeout: float,
    ) -> None:
        self.lines: Lines = Lines(log)
        self._handle = local.handle
        self._faults = local.faults
        self._journal = local.requests
        self._read_again = local.reload
        self._others = others
        self._log = log
        self._verifier = verifier
        self._hosts = hosts
        self._max_body = max_body
        self._room = max_bodies
        self._body_timeout = body_timeout
        self._local = local
        self._has_page = page
        self._page: asyncio.Task[ASGIApp] | None = None
        routes = [
            Route(HEALTH, self._health),
            Route(f"{ADMIN}faults", self._rules, methods=["GET", "POST", "DELETE"]),
            Route(f"{ADMIN}faults/{{id}}", self._rule, methods=["DELETE"]),
            Route(f"{ADMIN}reload", self._reload, methods=["POST"]),
            Route(f"{ADMIN}requests", self._requests, methods=["GET", "DELETE"]),
            Route(f"{ADMIN}events", self._events, methods=["GET"]),
        ]
        self._admin = Starlette(routes=routes, exception_handlers={HTTPException: _no_such_path})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        started = time.perf_counter()
        call = _Call(scope)
        status = await self._answer_call(call, receive, send)
        if self._log is not None and scope["path"] != HEALTH:
            self._log(*call.told(_BESIDE), status, time.perf_counter() - started)

    async def _answer_call(self, call: _Call, receive: Receive, send: Send) -> int | None:
        """Answer one request. Returns the status; ``None`` if no whole answer was sent."""
        scope, upload = call.scope, _Upload()
        path: str = scope["path"]
        try:
            claim = self._admit(call)
        except _RefusedError as refused:
            claim, upload.refusal = None, refused.answer
        if call.cors:
            send = _with_headers(send, call.cors)
        if upload.refusal is None:
            if call.asks_leave:
                return await _send(send, HttpResponse(204))
            if path == HEALTH:
                return await self._beside(scope, receive, send)
            if self._others is not None and is_for_others(scope["headers"], scope["query_string"]):
                return await self._others.answer(scope, receive, send)
        try:
            if upload.refusal is None or (b"expect", b"100-continue") not in scope["headers"]:
                await self._receive(upload, receive)
            if upload.gone:
                return None
            body = b"".join(upload.chunks)
            if claim is not None and upload.refusal is None:
                upload.refusal = _refusal_of(claim, body)
            if upload.refusal is not None:
                refusal = call.api.worded(upload.refusal)
                return await _send(send, refusal if upload.ended else closing(refusal))
            if path.startswith(ADMIN):
                return await self._beside(scope, _once(body), send)
            if self._has_page and call.wants_page:
                if self._page is None:
                    # When a browser asks for it, so that nobody else waits for it.
                    self._page = asyncio.create_task(asyncio.to_thread(self._make_page))
                return await self._beside(scope, _once(body), send, await asyncio.shield(self._page))
            return await self._operation(call, body, receive, send)
        finally:
            self._drop(upload)

    def _make_page(self) -> ASGIApp:
        """The page, or what says that it is not installed."""
        try:
            from personalize_rt.local.console.page import Page
        except ImportError as error:
            missing = f'{error.name} is not installed: pip install "personalize-rt[server]"\n'
            return PlainTextResponse(missing, 501)
        return Page(cast("LocalPersonalize | LocalGroups", self._local))

    async def _beside(self, scope: Scope, receive: Receive, send: Send, app: ASGIApp | None = None) -> int | None:
        status: int | None = None

        async def noting(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        await (app or self._admin)(scope, receive, noting)
        return status

    def _admit(self, call: _Call) -> Claim | None:
        """Check the head of a request.

        Returns:
            The claim to verify once the body is complete; ``None`` if requests need no signature.

        Raises:
            _RefusedError: The request is refused whatever its body is.
        """
        scope = call.scope
        # A copy: httptools appends the trailers of a chunked body to the list itself.
        headers: Sequence[tuple[bytes, bytes]] = tuple(scope["headers"])
        target: bytes = scope["raw_path"]
        if not target.startswith(b"/"):
            raise _RefusedError(400, "MalformedHttpRequestException", "the target is no path: this server is no proxy")
        try:
            origin = self._hosts.check(headers, own=self._has_page and call.wants_page)
        except ForeignError as error:
            raise _RefusedError(error.status, error.code, error.message) from None
        if origin is not None:
            call.allow(origin, headers)
        if call.asks_leave or scope["path"] == HEALTH:
            return None
        if self._others is not None and is_for_others(headers, scope["query_string"]):
            return None
        lengths = [int(value[:20]) for name, value in headers if name == b"content-length" and value.isdigit()]
        if any(length > self._max_body for length in lengths):
            raise self._too_long()
        if self._verifier is None:
            return None
        try:
            return self._verifier.claim(
                SignedRequest(scope["method"].encode(), target, scope["query_string"], headers, b"")
            )
        except SignatureError as error:
            raise _RefusedError(403, error.code, error.message) from None

    async def _receive(self, upload: _Upload, receive: Receive) -> None:
        """Read a body to its end. That of a refused request is discarded, and read only up to a bound."""
        size = 0
        try:
            async with asyncio.timeout(self._body_timeout):
                while size <= self._max_body * _PATIENCE:
                    message = await receive()
                    if message["type"] != "http.request":
                        upload.gone = True
                        return
                    chunk: bytes = message.get("body", b"")
                    size += len(chunk)
                    if upload.refusal is None:
                        self._keep(upload, chunk, size)
                    if not message.get("more_body"):
                        upload.ended = True
                        return
        except TimeoutError:
            if upload.refusal is None:
                why = f"the body did not come within {self._body_timeout:g} seconds"
                upload.refusal = refuse(408, "RequestTimeoutException", why)
        except asyncio.CancelledError:
            # The server is stopping, and the body was late. Every client retries on this error.
            upload.refusal = refuse(503, "ServiceUnavailable", "the server is stopping")

    def _keep(self, upload: _Upload, chunk: bytes, size: int) -> None:
        if size > self._max_body:
            upload.refusal = self._too_long().answer
        elif len(chunk) > self._room:
            message = "the bodies of the requests under way are too much together: try again"
            upload.refusal = refuse(503, "ServiceUnavailable", message)
        else:
            upload.chunks.append(chunk)
            self._room -= len(chunk)
            return
        self._drop(upload)

    def _drop(self, upload: _Upload) -> None:
        self._room += sum(map(len, upload.chunks))
        upload.chunks.clear()

    def _too_long(self) -> _RefusedError:
        message = f"the body is longer than {self._max_body:,} bytes"
        return _RefusedError(413, "RequestEntityTooLargeException", message)

    async def _operation(self, call: _Call, body: bytes, receive: Receive, send: Send) -> int | None:
        scope = call.scope
        call.body = body
        request = call.request
        entry, started = self._journal.begin(request), time.perf_counter()
        decision = self._faults.decide(request)
        if not decision:
            if takes_long(request):
                answer = await asyncio.get_running_loop().run_in_executor(self._waiting, self._answer, request)
            else:
                answer = self._answer(request)
            # Before it is sent: who has the answer finds it in the journal.
            entry.answered(answer, time.perf_counter() - started)
            return await _send(send, answer)
        line, over = self.lines.of(scope), True
        if line is not None:
            over = await self._befall(decision, line, call, request, entry, send)
        # Until asyncio has told uvicorn that the connection is closed.
        while over and (await receive())["type"] != "http.disconnect":
            pass
        return entry.status

    async def _befall(
        self, decision: Decision, line: Line, call: _Call, request: HttpRequest, entry: Entry, send: Send
    ) -> bool:
        """Carry out a decision on faults. Returns whether the connection has ended."""
        if isinstance(decision.answer, NoAnswer):
            await line.pause(None)
            line.drop()
            return True
        started = time.perf_counter()
        if decision.delay:
            await line.pause(decision.delay)
            if line.closed:
                return True
        response, delivery = dated(decision.respond(lambda: self._answer(request))), decision.delivery
        entry.elapsed = time.perf_counter() - started
        match delivery:
            case None | Damage():
                entry.answered(response, entry.elapsed)
                await _send(send, response)
                return False
            case Transmission():
                sent = delivery.sent(closing(attrs.evolve(response, headers={**response.headers, **call.cors})))
                if sent.end != "reset":
                    entry.answered(response, entry.elapsed)
                await line.transmit(sent)
                return True
            case _:
                assert_never(delivery)

    def _answer(self, request: HttpRequest) -> HttpResponse:
        try:
            return self._handle(request)
        except Exception as error:
            _log_defect(error)
        return refuse(500, "InternalFailure", _DEFECT)

    # Beside the operations.

    async def _health(self, request: Request) -> Response:
        return _Json({"status": "ok"})

    async def _rules(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._faults.clear()
        if request.method != "POST":
            return _Json({"faults": [rule.to_dict() for rule in self._faults.rules]})
        try:
            document: object = json.loads(await request.body())
        except (ValueError, RecursionError):
            document = None
        try:
            return _Json(self._faults.add(document).to_dict(), 201)
        except ValidationError as error:
            return _Json({"message": error.message}, 400)

    async def _rule(self, request: Request) -> Response:
        id: str = request.path_params["id"]
        try:
            # Ids have at most nine digits; longer numbers take long to convert.
            self._faults.remove(int(id) if id.isascii() and id.isdecimal() and len(id) < 10 else -1)
        except ValidationError as error:
            return _Json({"message": error.message}, 404)
        return _Json({"faults": [rule.to_dict() for rule in self._faults.rules]})

    async def _requests(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._journal.clear()
        return _Json({"requests": [_as_json(row) for row in self._journal]})

    async def _events(self, request: Request) -> Response:
        events = self._local.recorded_events
        return _Json({"events": [attrs.asdict(event) | {"properties": dict(event.properties)} for event in events]})

    async def _reload(self, request: Request) -> Response:
        try:
            await asyncio.to_thread(self._read_again)
        except PersonalizeError as error:
            return _Json({"message": error.message}, 422)
        except Exception as error:
            _log_defect(error)
            return _Json({"message": _DEFECT}, 500)
        return _Json({"status": "ok"})


class _Json(JSONResponse):
    """A reply in ASCII: Starlette's cannot be encoded if a text has half of a surrogate pair, which JSON may have."""

    def render(self, content: Any) -> bytes:
        """Write the reply."""
        return json.dumps(content, separators=(",", ":")).encode()


_DEFECT = "a defect of the embedded service; its log says where"


def _as_json(row: ReceivedRequest) -> dict[str, Any]:
    return {
        "time": row.time,
        "service": row.service,
        "operation": row.operation,
        "resource": row.resource,
        "status": row.status,
        "milliseconds": round(row.elapsed * 1000, 3),
        "error": row.error,
        "request_id": row.request_id,
        "members": row.members,
    }


def _log_defect(error: Exception) -> None:
    # Only the places: the text of an exception, and its chain, may show personal values.
    where = "".join(traceback.format_tb(error.__traceback__))
    _log.error("a defect of the embedded service: %s\n%s", type(error).__name__, where)


def _no_such_path(_: Request, error: Exception) -> Response:
    failure = cast("HTTPException", error)
    return _Json({"message": failure.detail}, failure.status_code, failure.headers)


def _once(body: bytes) -> Receive:
    """Make a ``receive`` function for a body that was read before."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _headers(scope: Scope) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in cast("Sequence[tuple[bytes, bytes]]", scope["headers"]):
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _refusal_of(claim: Claim, body: bytes) -> HttpResponse | None:
    try:
        claim.verify(body)
    except SignatureError as error:
        return refuse(403, error.code, error.message)
    return None


def _with_headers(send: Send, more: Mapping[str, str]) -> Send:
    """A ``send`` function that adds headers to an answer."""
    added = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in more.items()]

    async def with_headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *added]
        await send(message)

    return with_headers


async def _send(send: Send, response: HttpResponse) -> int:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in dated(response).headers.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
    return response.status


# The server.


class _Server(uvicorn.Server):
    """A uvicorn server that reports when it is ready, and on shutdown ends deliberate waits first."""

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


def build(
    application: Application, *, head_timeout: float, stop_timeout: int, started: Callable[[], None]
) -> uvicorn.Server:
    """Make a server for an application, to be run with open sockets.

    Args:
        application: The application.
        head_timeout: Seconds within which the head of a request must be received.
        stop_timeout: Whole seconds that requests in flight are given to finish when the server stops.
        started: Called on the event loop when the server accepts connections.
    """
    config = uvicorn.Config(
        application,
        http=application.lines.protocol(head_timeout),
        # Larger than one read, so that _Watched alone bounds the head, for both protocols.
        h11_max_incomplete_event_size=1 << 20,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        # They would replace the client's address by the value of a header.
        proxy_headers=False,
        server_header=False,
        # Answers have their own.
        date_header=False,
        # Longer than clients keep idle connections, so that the server is not the one to close them.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=stop_timeout,
    )
    return _Server(config, application.lines, started)

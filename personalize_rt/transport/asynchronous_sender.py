"""Sending a request over connections of our own on the event loop, and reading the answer in one go.

aiohttp's session does more for a request than this service needs, and costs more than the rest of a call; it also
follows redirects, with the request's body. TLS settings, CA bundles and client certificates are those that aiobotocore
has for aiohttp. A request that wants more (a proxy, ``Expect``, a body that is a stream) goes to aiobotocore's own
session, and so do all of a client whose ``connector_args`` say something about connections.

Who sends at most so many requests at once needs no more connections: the number is bounded by the caller
(:class:`personalize_rt.transport.asynchronous.AsyncTransport`).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from personalize_rt.transport.http_answer import Answer, BrokenOffError, Reading, request_message
from personalize_rt.transport.sender import left_by
from personalize_rt.transport.untyped import untyped

__all__ = ["AsyncSender", "Body"]


class AsyncSender:
    """Stands where aiobotocore puts its ``AIOHTTPSession``: the endpoint's ``http_session``.

    Args:
        session: aiobotocore's own, whose settings are used.
        keep_alive: Whether TCP keeps idle connections alive.
    """

    def __init__(self, session: Any, *, keep_alive: bool) -> None:
        self._session = session
        self._keep_alive = keep_alive
        self._connect_timeout: float | None = session._timeout.sock_connect
        self._read_timeout: float | None = session._timeout.sock_read
        self._idle_timeout: float | None = session._connector_args["keepalive_timeout"]
        self._proxy_url_for = session._proxy_config.proxy_url_for
        self._contexts = session._build_ssl_contexts
        self._tls: ssl.SSLContext | None = None
        self._turns = _Turns()
        self._places: dict[str, _Place] = {}
        self._connections: dict[_Address, _Connections] = {}
        # What is raised is what botocore's session would raise.
        self._errors = untyped("botocore.exceptions")
        self._response = untyped("aiobotocore.awsrequest").AioAWSResponse

    async def open(self, url: str) -> None:
        """Load what connections to an endpoint need."""
        if url.startswith("https:"):
            await self._context()

    async def _context(self) -> ssl.SSLContext:
        context = self._tls
        if context is None:
            # Off the loop: it reads files.
            context, _ = await asyncio.to_thread(self._contexts, None)
            self._tls = context
        return context

    async def send(self, request: Any) -> Any:
        """Send a prepared request and read the whole answer."""
        body, url = request.body, request.url
        if not isinstance(body, bytes) or "Expect" in request.headers or self._proxy_url_for(url):
            return await self._session.send(request)
        place = self._places.get(url) or self._place(url)
        message = request_message(place.start, request.headers, body)
        if message is None:
            return await self._session.send(request)
        connection = place.connections.take(self._idle_timeout) or await self._connected(place, url)
        try:
            answer = await connection.exchange(message, self._read_timeout)
        except TimeoutError as error:
            raise self._errors.ReadTimeoutError(endpoint_url=url, error=error) from error
        except (OSError, BrokenOffError) as error:
            raise self._errors.ConnectionClosedError(endpoint_url=url, error=error, request=None) from error
        finally:
            place.connections.give_back(connection)
        return self._response(url, answer.status, answer.headers, Body(answer.body))

    def _place(self, url: str) -> _Place:
        parts = urlsplit(url)
        default = 443 if parts.scheme == "https" else 80
        address = _Address(parts.hostname or "", parts.port or default, parts.scheme == "https")
        host = f"[{address.host}]" if ":" in address.host else address.host
        host = host if address.port == default else f"{host}:{address.port}"
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        start = f"POST {target} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: identity\r\n".encode("ascii")
        connections = self._connections.setdefault(address, _Connections())
        place = self._places[url] = _Place(address, start, connections)
        return place

    async def _connected(self, place: _Place, url: str) -> _Connection:
        """A new connection."""
        loop = asyncio.get_running_loop()
        try:
            addresses = await loop.getaddrinfo(place.address.host, place.address.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise self._errors.EndpointConnectionError(endpoint_url=url, error=socket.gaierror(str(error))) from error
        context = await self._context() if place.address.tls else None
        failure: OSError = OSError("the name has no address")
        for family, kind, protocol, _, address in addresses:
            try:
                async with asyncio.timeout(self._connect_timeout):
                    connection = await self._connection(socket.socket(family, kind, protocol), address, context, place)
            except OSError as error:
                failure = error
            else:
                place.connections.add(connection)
                return connection
        kind_of_error = self._errors.EndpointConnectionError
        if isinstance(failure, ssl.SSLError):
            kind_of_error = self._errors.SSLError
        elif isinstance(failure, TimeoutError):
            kind_of_error = self._errors.ConnectTimeoutError
        raise kind_of_error(endpoint_url=url, error=failure) from failure

    async def _connection(
        self, sock: socket.socket, address: Any, context: ssl.SSLContext | None, place: _Place
    ) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            sock.setblocking(False)
            if self._keep_alive:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            await loop.sock_connect(sock, address)
        except BaseException:
            sock.close()
            raise
        # From here on the socket is the loop's.
        _, connection = await loop.create_connection(
            lambda: _Connection(self._turns, None if context else sock),
            sock=sock,
            ssl=context,
            server_hostname=place.address.host if context else None,
        )
        return connection

    async def close(self) -> None:
        """Close all connections."""
        for connections in self._connections.values():
            connections.close()
        await asyncio.sleep(0)  # the loop closes their sockets
        await self._session.close()

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class Body:
    """The body of an answer, as aiobotocore reads it from aiohttp."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def read(self) -> bytes:
        """All of it."""
        return self._content


class _Address(NamedTuple):
    """Where connections go."""

    host: str
    port: int
    tls: bool


class _Place(NamedTuple):
    """What every request to a URL needs."""

    address: _Address
    start: bytes
    connections: _Connections


_PIECE = 4096
"""Bytes that are read without looking at the clock: a millisecond at the most, for chunks of one byte."""

_TURN = 0.004
"""Seconds that reading may take of one turn of the event loop, over all connections."""


class _Turns:
    """The time for reading, shared by all connections: the loop hands over up to 256 KiB of each in one turn.

    What does not fit into a turn waits for the next, so that timers (deadlines) and other tasks come in between.
    """

    def __init__(self) -> None:
        self._readers: deque[Callable[[], bool]] = deque()
        self._scheduled = False

    def add(self, read: Callable[[], bool]) -> None:
        """Call a function, now or in a later turn, until it says that it has read everything."""
        self._readers.append(read)
        if not self._scheduled:
            self._run()

    def _run(self) -> None:
        start = now = time.monotonic()
        while self._readers and now - start < _TURN:
            read = self._readers.popleft()
            if not read():
                self._readers.append(read)
            now = time.monotonic()
        # After some work the turn is used up, for others too that come later in it.
        self._scheduled = bool(self._readers) or now - start > _TURN / 8
        if self._scheduled:
            asyncio.get_running_loop().call_soon(self._run)


class _Connection(asyncio.Protocol):
    """One connection, and the answer that is under way on it.

    Args:
        turns: When to read what comes.
        sock: The socket, if what comes over it is read as it is (no TLS).
    """

    def __init__(self, turns: _Turns, sock: socket.socket | None = None) -> None:
        self._turns = turns
        self._sock = sock
        self._transport: Any = None
        self._reading: Reading | None = None
        self._whole: asyncio.Future[Answer] | None = None
        self._unread: deque[bytes] = deque()
        self._end: Callable[[], None] | None = None
        self._timer: asyncio.Timeout | None = None
        self._read_timeout: float | None = None
        self._asked = False
        self._paused = False
        self.reusable = False
        self.idle_since = 0.0

    async def exchange(self, message: bytes, read_timeout: float | None) -> Answer:
        """Send a request and wait for the whole answer.

        Raises:
            TimeoutError: No byte came for so many seconds.
            OSError: The connection broke.
            BrokenOffError: The answer is not whole, or not HTTP.
        """
        loop = asyncio.get_running_loop()
        self.reusable, self._asked = False, True
        self._reading, self._whole, self._read_timeout = Reading(), loop.create_future(), read_timeout
        self._transport.write(message)
        if self._unread or self._end is not None:  # it was refused as soon as it was open
            self._turns.add(self._read_on)
        try:
            async with asyncio.timeout(read_timeout) as self._timer:
                answer = await self._whole
        finally:
            self._reading = self._whole = self._timer = None
        # Bytes after the answer, or of the request that nobody has read, would be taken for the next ones.
        clean = not self._unread and not self._transport.get_write_buffer_size()
        open_ = self._end is None and not self._transport.is_closing()
        self.reusable = answer.reusable and clean and open_
        self.idle_since = loop.time()
        return answer

    def abort(self) -> None:
        """Close the connection at once."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    @property
    def _waiting(self) -> bool:
        return self._whole is not None and not self._whole.done()

    # What the loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._asked and not self._waiting:
            self.abort()  # nobody asked: the next answer could not be told from this
            return
        if self._waiting and len(data) <= _PIECE and not self._unread:
            self._take(data)
        else:
            self._read_in_turns(data)
        if self._timer is not None and self._read_timeout is not None and self._waiting:
            self._timer.reschedule(asyncio.get_running_loop().time() + self._read_timeout)

    def eof_received(self) -> None:
        self._ends(lambda: self._take(b""))

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and self._sock is not None and self._waiting:
            # When writing fails, the loop does not read what came in the same moment.
            self._read_in_turns(left_by(self._sock))
        self._ends(lambda: self._broken(exc or ConnectionResetError("the connection was closed")))

    # Reading.

    def _read_in_turns(self, data: bytes) -> None:
        pending = bool(self._unread)
        self._unread.extend(data[at : at + _PIECE] for at in range(0, len(data), _PIECE))
        if self._waiting and not pending:
            self._turns.add(self._read_on)
        if self._unread and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _read_on(self) -> bool:
        """Read a piece. Returns whether that was all."""
        if self._waiting and self._unread:
            self._take(self._unread.popleft())
        if self._unread:
            return not self._waiting  # bytes after an answer are nobody's
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        if self._waiting and self._end is not None:
            self._end()
        return True

    def _take(self, data: bytes) -> None:
        assert self._reading is not None
        assert self._whole is not None
        try:
            answer = self._reading.feed(data)
        except BrokenOffError as error:
            self._whole.set_exception(error)
        else:
            if answer is not None:
                self._whole.set_result(answer)

    def _ends(self, end: Callable[[], None]) -> None:
        """The connection is over: so is the answer, when all that came of it is read."""
        self.reusable = False
        if self._end is None:
            self._end = end
            if self._waiting and not self._unread:
                end()

    def _broken(self, error: Exception) -> None:
        assert self._reading is not None
        assert self._whole is not None
        refusal = self._reading.refusal()
        if refusal is None:
            self._whole.set_exception(error)
        else:
            self._whole.set_result(refusal)


class _Connections:
    """The connections to one address: all that are open, and those that wait for a request."""

    def __init__(self) -> None:
        self._open: set[_Connection] = set()
        self._idle: list[_Connection] = []
        self._closed = False

    def add(self, connection: _Connection) -> None:
        """Keep a new one, which is in use."""
        if self._closed:  # meanwhile: whoever opened it finds it broken
            connection.abort()
        self._open.add(connection)

    def take(self, idle_timeout: float | None) -> _Connection | None:
        """The one that was used last, if it can be used again."""
        while self._idle:
            connection = self._idle.pop()
            late = idle_timeout is not None and (
                asyncio.get_running_loop().time() - connection.idle_since > idle_timeout
            )
            if connection.reusable and not late:
                return connection
            self._drop(connection)
        return None

    def give_back(self, connection: _Connection) -> None:
        """Keep one for the next request, or close it."""
        if connection.reusable and not self._closed:
            self._idle.append(connection)
        else:
            self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        self._open.discard(connection)
        connection.abort()

    def close(self) -> None:
        """Close them all, also those in use and those that are just being opened."""
        self._closed = True
        self._idle.clear()
        while self._open:
            self._open.pop().abort()

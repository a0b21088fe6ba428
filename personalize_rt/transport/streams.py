"""Our own connections on an event loop, kept open, with one request at a time on each.

TLS context, CA bundle, client certificate, socket options and time-outs are those of the client's own session
(:class:`personalize_rt.transport.settings.Settings`).
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from personalize_rt.transport.http_answer import Answer, BrokenOffError, Counted, Reading, counted
from personalize_rt.transport.sender import left_by
from personalize_rt.transport.settings import Settings
from personalize_rt.transport.untyped import untyped

__all__ = ["Streams"]


class Streams:
    """The connections of one client to its endpoint, on one event loop.

    Idle ones are kept, at most as many as the client's pool holds; a call never waits for one.

    Args:
        settings: The endpoint, TLS and time-outs.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connections = _Connections(settings.pool_size)
        self._turns = _Turns()
        # What is raised is what botocore's session would raise.
        self._errors = untyped("botocore.exceptions")

    async def exchange(self, message: bytes) -> Answer:
        """Send a whole request and read the whole answer.

        Raises:
            Exception: What botocore's session would raise.
        """
        url, connection = self._settings.url, self._connections.take()
        if connection is None:
            connection = await self._connected()
        try:
            return await connection.exchange(message, self._settings.read_timeout)
        except TimeoutError as error:
            raise self._errors.ReadTimeoutError(endpoint_url=url, error=error) from error
        except (OSError, BrokenOffError) as error:
            raise self._errors.ConnectionClosedError(endpoint_url=url, error=error, request=None) from error
        finally:
            self._connections.give_back(connection)

    async def _connected(self) -> _Connection:
        """Open a new connection."""
        settings, loop = self._settings, asyncio.get_running_loop()
        url, failure = settings.url, OSError("the name has no address")
        try:
            addresses = await loop.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise self._errors.EndpointConnectionError(endpoint_url=url, error=socket.gaierror(str(error))) from error
        for family, kind, protocol, _, address in addresses:
            try:
                async with asyncio.timeout(settings.connect_timeout):
                    connection = await self._connection(socket.socket(family, kind, protocol), address)
            except OSError as error:
                failure = error
            else:
                self._connections.add(connection)
                return connection
        kind_of_error = self._errors.EndpointConnectionError
        if isinstance(failure, ssl.SSLError):
            kind_of_error = self._errors.SSLError
        elif isinstance(failure, TimeoutError):
            kind_of_error = self._errors.ConnectTimeoutError
        raise kind_of_error(endpoint_url=url, error=failure) from failure

    async def _connection(self, sock: socket.socket, address: Any) -> _Connection:
        settings, loop = self._settings, asyncio.get_running_loop()
        try:
            sock.setblocking(False)
            for option in settings.socket_options:
                sock.setsockopt(*option)
            await loop.sock_connect(sock, address)
        except BaseException:
            sock.close()
            raise
        # From here on the socket is the loop's.
        connection = _Connection(self._turns, sock, is_secure=settings.tls is not None)
        try:
            await loop.create_connection(
                lambda: connection,
                sock=sock,
                ssl=settings.tls,
                server_hostname=settings.host if settings.tls else None,
            )
        except BaseException:
            connection.abort()  # uvloop would go on with a handshake that was done in the same moment
            raise
        return connection

    def close(self) -> None:
        """Close all connections, also those in use and those that are just being opened."""
        self._connections.close()


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
        """Call a function, now or in later turns, until it returns ``True``: all is read."""
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
        turns: The shared time for reading.
        sock: The socket.
        is_secure: Whether TLS is spoken over it.
    """

    def __init__(self, turns: _Turns, sock: socket.socket, *, is_secure: bool = False) -> None:
        self._turns = turns
        self._sock = sock
        self._is_secure = is_secure
        self._transport: Any = None
        self._reading: Reading | Counted | None = None
        self._whole: asyncio.Future[Answer] | None = None
        self._unread: deque[bytes] = deque()
        self._end: Exception | None = None
        self._timer: asyncio.Timeout | None = None
        self._read_timeout: float | None = None
        self._asked = self._begun = False
        self._paused = False
        self._poll: Any = None
        self.reusable = False

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
        self._begun = False
        if self._transport is not None:
            self._transport.write(message)
        if self._unread or self._end is not None:  # it was refused as soon as it was open
            self._turns.add(self._read_on)
        try:
            async with asyncio.timeout(read_timeout) as self._timer:
                answer = await self._whole
        finally:
            self._reading = self._whole = self._timer = None
        # Bytes after the answer, or of the request that nobody has read, would be taken for the next ones.
        transport = self._transport
        self.reusable = (
            answer.reusable
            and transport is not None
            and self._end is None
            and not transport.is_closing()
            and not self._unread
            and not transport.get_write_buffer_size()
        )
        return answer

    def is_usable(self) -> bool:
        """Tell whether the connection is open, and no bytes wait to be read."""
        if self.reusable and self._poll is None and hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(self._sock, select.POLLIN)
        return self.reusable and not (self._poll and self._poll.poll(0))

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
        if self._waiting and not self._begun:
            self._begun = True
            usual = None if self._unread else counted(data)
            if isinstance(usual, Answer):
                assert self._whole is not None
                self._whole.set_result(usual)
                return
            if usual is not None:
                self._reading, data = usual, b""
        if self._waiting and not self._unread and (len(data) <= _PIECE or type(self._reading) is Counted):
            if data:
                self._take(data)
        else:
            self._read_in_turns(data)
        if self._timer is not None and self._read_timeout is not None and self._waiting:
            self._timer.reschedule(asyncio.get_running_loop().time() + self._read_timeout)

    def eof_received(self) -> None:
        self._ends(EOFError())

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and not self._is_secure and self._waiting:
            # When writing fails, the loop does not read what came in the same moment.
            self._read_in_turns(left_by(self._sock))
        self._ends(exc or ConnectionResetError("the connection was closed"))
        # The two refer to each other, and the loop is done with this one.
        self._transport = None

    # Reading.

    def _read_in_turns(self, data: bytes) -> None:
        pending = bool(self._unread)
        self._unread.extend(data[at : at + _PIECE] for at in range(0, len(data), _PIECE))
        if self._waiting and not pending:
            self._turns.add(self._read_on)
        if self._unread and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _read_on(self) -> bool:
        """Read a piece; return ``False`` if more must be read."""
        if self._waiting and self._unread:
            self._take(self._unread.popleft())
        if self._unread:
            return not self._waiting  # bytes after an answer are nobody's
        if self._paused:
            self._paused = False
            if self._transport is not None:
                self._transport.resume_reading()
        if self._waiting and self._end is not None:
            self._finish(self._end)
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

    def _ends(self, end: Exception) -> None:
        """End the connection, and its answer once all received bytes are read.

        Args:
            end: ``EOFError`` when the server has sent everything, else the error that broke the connection.
        """
        self.reusable = False
        if self._end is None:
            self._end = end
            if self._waiting and not self._unread:
                self._finish(end)

    def _finish(self, end: Exception) -> None:
        if isinstance(end, EOFError):
            self._take(b"")
        else:
            self._broken(end)

    def _broken(self, error: Exception) -> None:
        assert self._reading is not None
        assert self._whole is not None
        refusal = self._reading.refusal()
        if refusal is None:
            self._whole.set_exception(error)
        else:
            self._whole.set_result(refusal)


class _Connections:
    """The open connections, and the idle ones among them.

    Args:
        size: The most idle connections to keep.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._open: set[_Connection] = set()
        self._idle: list[_Connection] = []
        self._closed = False

    def add(self, connection: _Connection) -> None:
        """Add a new one, which is in use."""
        if self._closed:  # meanwhile: whoever opened it finds it broken
            connection.abort()
        self._open.add(connection)

    def take(self) -> _Connection | None:
        """Take the idle connection used last; ``None`` if none is usable."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable():
                return connection
            self._drop(connection)
        return None

    def give_back(self, connection: _Connection) -> None:
        """Make a connection idle, or close it."""
        if connection.reusable and not self._closed and len(self._idle) < self._size:
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

"""Connections of our own on an event loop: opened, kept, and one request at a time on each.

TLS context, CA bundle, client certificate, socket options and time-outs are those of the client's own session
(:class:`personalize_rt.transport.sender.Settings`).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

from personalize_rt.transport.http_answer import Answer, BrokenOffError, Reading
from personalize_rt.transport.sender import Settings
from personalize_rt.transport.untyped import untyped

__all__ = ["Streams"]


class Streams:
    """The connections of one client to its endpoint, on one event loop.

    Idle ones are kept, at most as many as the client's pool holds; a call never waits for one.

    Args:
        settings: Where they go, and how.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connections = _Connections(settings.pool_size)
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
        """A new connection."""
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
        _, connection = await loop.create_connection(
            _Connection, sock=sock, ssl=settings.tls, server_hostname=settings.host if settings.tls else None
        )
        return connection

    def close(self) -> None:
        """Close all connections, also those in use and those that are just being opened."""
        self._connections.close()


class _Connection(asyncio.Protocol):
    """One connection, and the answer that is under way on it."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._reading: Reading | None = None
        self._whole: asyncio.Future[Answer] | None = None
        self._timer: asyncio.Timeout | None = None
        self._read_timeout: float | None = None
        self.reusable = False

    async def exchange(self, message: bytes, read_timeout: float | None) -> Answer:
        """Send a request and wait for the whole answer.

        Raises:
            TimeoutError: No byte came for so many seconds.
            OSError: The connection broke.
            BrokenOffError: The answer is not whole, or not HTTP.
        """
        loop = asyncio.get_running_loop()
        self.reusable = False
        self._reading, self._whole, self._read_timeout = Reading(), loop.create_future(), read_timeout
        self._transport.write(message)
        try:
            async with asyncio.timeout(read_timeout) as self._timer:
                answer = await self._whole
        finally:
            self._reading = self._whole = self._timer = None
        self.reusable = answer.reusable and not self._transport.is_closing()
        return answer

    def abort(self) -> None:
        """Close the connection at once."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    # What the loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._whole is None or self._whole.done():
            self.abort()  # nobody asked: the next answer could not be told from this
            return
        self._take(data)
        if self._timer is not None and self._read_timeout is not None and not self._whole.done():
            self._timer.reschedule(asyncio.get_running_loop().time() + self._read_timeout)

    def eof_received(self) -> None:
        self.reusable = False
        if self._whole is not None and not self._whole.done():
            self._take(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable = False
        if self._whole is not None and not self._whole.done():
            self._whole.set_exception(exc or ConnectionResetError("the connection was closed"))

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


class _Connections:
    """All connections that are open, and those among them that wait for a request.

    Args:
        size: Idle connections to keep at the most.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._open: set[_Connection] = set()
        self._idle: list[_Connection] = []
        self._closed = False

    def add(self, connection: _Connection) -> None:
        """Keep a new one, which is in use."""
        if self._closed:  # meanwhile: whoever opened it finds it broken
            connection.abort()
        self._open.add(connection)

    def take(self) -> _Connection | None:
        """The one that was used last, if it can be used again."""
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable:
                return connection
            self._drop(connection)
        return None

    def give_back(self, connection: _Connection) -> None:
        """Keep one for the next request, or close it."""
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

"""The connections of the HTTP server, below HTTP: what uvicorn sends and refuses, this can do without or beside it.

uvicorn sends only valid HTTP: it cannot send a reset, a wrong length, or a slow head. A proxy before it could, but
would have to parse HTTP a second time to know the request, at the cost of every healthy request. Instead, the two
methods that asyncio calls on any protocol keep track of the transport of each client. Requests without a fault do not
use it. For a fault below HTTP, the answer is written to the transport, bypassing uvicorn, and the transport is closed;
to uvicorn, this looks like a client that disconnected.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import sys
import uuid
from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, assert_never, cast

import attrs
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from personalize_rt.local.faults.answers import error_answer, head_of
from personalize_rt.local.faults.effects import Piece, Sent
from personalize_rt.local.messages import HttpResponse

if TYPE_CHECKING:
    from starlette.types import Scope

__all__ = ["Line", "Lines", "RequestLog", "closing", "dated", "refuse"]

RequestLog = Callable[[str | None, str | None, int | None, float], None]
"""Is told operation, resource, status and seconds of a request."""

# uvicorn warns of a request that is not HTTP, for which the request log has a line. Its errors are defects, and shown.
_silent = logging.getLogger(f"{__name__}.uvicorn")
_silent.setLevel(logging.ERROR)

# The most bytes of a head, a usual value of servers.
_LONGEST_HEAD = 1 << 16
_READ_AT_ONCE = 1 << 16
# Seconds between two checks whether the bytes before a reset were sent.
_FLUSH_TICK = 0.001
# SO_LINGER of 0 seconds, which discards the buffer and sends RST: two ints, on Windows two shorts.
_RESET_ON_CLOSE = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class Line:
    """One TCP connection."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        # Set when the client has disconnected or the server is stopping, so that waits end.
        self.over: asyncio.Event = asyncio.Event()

    async def pause(self, seconds: float | None) -> None:
        """Wait for so many seconds (``None``: for ever), or until the client disconnects or the server stops."""
        try:
            async with asyncio.timeout(seconds):
                await self.over.wait()
        except TimeoutError:
            pass

    @property
    def closed(self) -> bool:
        """``True`` if nothing can be sent any more."""
        return self._transport.is_closing()

    def write(self, content: bytes) -> None:
        """Send bytes."""
        if not self.closed:
            self._transport.write(content)

    async def transmit(self, sent: Sent) -> None:
        """Send the bytes of a ``Transmission``, and end the connection."""
        for piece in sent.pieces:
            await self._write_piece(piece)
        match sent.end:
            case "close":
                self.close()
            case "reset":
                await self.reset()
            case _:
                assert_never(sent.end)

    async def _write_piece(self, piece: Piece) -> None:
        step = 1 if piece.interval else max(1, len(piece.content))
        for at in range(0, len(piece.content), step):
            if at:
                await self.pause(piece.interval)
            self.write(piece.content[at : at + step])

    async def reset(self) -> None:
        """Flush, then reset the connection."""
        connection: socket.socket = self._transport.get_extra_info("socket")
        # Once the client has disconnected, the socket is closed and cannot be checked.
        while not self.over.is_set() and (self._transport.get_write_buffer_size() or _unsent(connection)):
            await asyncio.sleep(_FLUSH_TICK)
        if connection.fileno() >= 0:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()

    def close(self) -> None:
        """Flush, then close the connection."""
        self._transport.close()

    def drop(self) -> None:
        """Close the connection at once, without flushing."""
        self._transport.abort()


def _unsent(connection: socket.socket) -> int:
    """The number of bytes in the socket's send buffer (on Linux), which a reset would discard."""
    if sys.platform != "linux":
        return 0
    from fcntl import ioctl
    from termios import TIOCOUTQ

    return int.from_bytes(ioctl(connection.fileno(), TIOCOUTQ, bytes(4)), sys.byteorder)


class Lines:
    """The connections of one server, by the addresses of both ends. For use on its event loop only.

    Args:
        log: Is told one line for each request that never became one, since its head was refused.
    """

    def __init__(self, log: RequestLog | None) -> None:
        self.log: RequestLog | None = log
        self._lines: dict[tuple[Any, Any], Line] = {}

    def of(self, scope: Scope) -> Line | None:
        """The connection of a request, or ``None`` if it is closed."""
        # A client that disconnected at once has no address any more.
        return self._lines.get((tuple(scope["client"] or ()), tuple(scope["server"] or ())))

    def stop(self) -> None:
        """End all deliberate waits, since the server is stopping."""
        for line in self._lines.values():
            line.over.set()

    def opened(self, transport: asyncio.Transport) -> None:
        """Add a new connection."""
        self._lines[_ends(transport)] = Line(transport)

    def lost(self, transport: asyncio.Transport) -> None:
        """Remove a closed connection."""
        line = self._lines.pop(_ends(transport), None)
        if line is not None:  # clients that disconnected at once have no address, and so share one entry
            line.over.set()

    def protocol(self, head_timeout: float) -> type[asyncio.Protocol]:
        """Make a uvicorn protocol that reports connections here and waits so long for heads."""
        return type("WatchedProtocol", (_Watched, AutoHTTPProtocol), {"lines": self, "head_timeout": head_timeout})


def _ends(transport: asyncio.Transport) -> tuple[Any, Any]:
    # An address of IPv6 has four parts, of which ASGI has two.
    client, server = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
    return tuple((client or ())[:2]), tuple((server or ())[:2])


class _Watched(asyncio.Protocol):
    """Mixin for a protocol class of uvicorn that reports connections, and bounds the length and time of a request head.

    uvicorn waits for the rest of a head for ever, and with httptools accepts any length. The application is only called
    when a head is complete, so it cannot bound it.
    """

    lines: Lines
    head_timeout: float

    # An attribute of both protocol classes of uvicorn.
    cycle: Any = None
    logger: logging.Logger
    flow: Any
    transport: asyncio.Transport

    _waiting: asyncio.TimerHandle | None = None
    # Bytes received since a head was complete, or a body grew.
    _unread: int = 0

    def send_400_response(self, msg: str) -> None:
        """Refuse malformed HTTP like the service; uvicorn would answer in plain text, without an error code."""
        self._refuse(400, "MalformedHttpRequestException", "this is not HTTP")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.lines.opened(cast("asyncio.Transport", transport))
        self.logger = _silent
        super().connection_made(transport)
        if hasattr(transport, "max_size"):
            # The default is 256 KiB, of which each connection may hold several copies.
            cast("Any", transport).max_size = _READ_AT_ONCE
        self._wait()

    def data_received(self, data: bytes) -> None:
        before = self._progress()
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._progress() != before:
            self._unread = 0
        elif not self.flow.read_paused:  # a paused connection receives only a bounded number of bytes
            self._unread += len(data)
        if self._unread > _LONGEST_HEAD:
            message = f"a head of a request has at most {_LONGEST_HEAD:,} bytes"
            self._refuse(400, "MalformedHttpRequestException", message)
        elif self.cycle is None or self.cycle.response_complete:
            self._wait()
        else:
            self._wait_no_more()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        self.lines.lost(self.transport)
        super().connection_lost(exc)

    def on_url(self, url: bytes) -> None:
        """Refuse targets in absolute form, which are for proxies (httptools only: h11 reports them as the path)."""
        if not getattr(self, "url", b"") and not url.startswith(b"/"):
            raise ValueError("not in origin form")
        cast("Any", super()).on_url(url)

    def _progress(self) -> tuple[Any, ...]:
        """A value that changes when a head is complete, or a body has grown or ended."""
        return (None,) if self.cycle is None else (self.cycle, len(self.cycle.body), self.cycle.more_body)

    def _wait(self) -> None:
        """Start the timer for a head, unless it is running."""
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().call_later(self.head_timeout, self._late)

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _late(self) -> None:
        if self._unread:
            message = f"the head of the request did not come within {self.head_timeout:g} seconds"
            self._refuse(408, "RequestTimeoutException", message)
        else:
            # Without an answer, which an idle client would take for that to its next request.
            self.transport.close()

    def _refuse(self, status: int, code: str, message: str) -> None:
        refusal = dated(refuse(status, code, message, connection="close"))
        if not self.transport.is_closing():
            self.transport.write(head_of(refusal) + refusal.body)
            self.transport.close()
            if self.lines.log is not None:
                self.lines.log(None, None, status, 0.0)


# Answers.


def closing(response: HttpResponse) -> HttpResponse:
    """The answer, which says that the connection ends with it."""
    return attrs.evolve(response, headers={**response.headers, "connection": "close"})


def refuse(status: int, code: str, message: str, **headers: str) -> HttpResponse:
    """Make an error answer of the server itself, before the embedded service."""
    return error_answer(status, code, message, {"x-amzn-requestid": str(uuid.uuid4()), **headers})


def dated(response: HttpResponse) -> HttpResponse:
    """The answer, with the header Date."""
    if "date" in response.headers:
        return response
    return attrs.evolve(response, headers={**response.headers, "date": formatdate(usegmt=True)})

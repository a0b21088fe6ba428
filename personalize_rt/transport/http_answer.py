"""HTTP/1.x as bytes: a request in one piece, answers in pieces of any size. No I/O."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

__all__ = [
    "Answer",
    "BrokenOffError",
    "Counted",
    "Reading",
    "content_length",
    "counted",
    "host_header",
    "request_message",
    "request_start",
]

BODY_LIMIT = 32 * 1024 * 1024
"""Bytes of a body. One of 500 items with metadata has some hundreds of thousands."""

HEAD_LIMIT = 65536
"""Bytes of all heads of an answer and its trailers together, and of a line between chunks."""

LINE_LIMIT = 256
"""Lines of all heads of an answer and its trailers together. ``http.client`` takes 100 for each head."""

_LONGEST_NUMBER = 16
"""Digits of a length: far more than bytes can come, and far fewer than ``int`` refuses (4,300)."""


def host_header(parts: SplitResult) -> bytes:
    """The value of the ``Host`` header for a URL."""
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    default = 443 if parts.scheme == "https" else 80
    return (host if parts.port in (None, default) else f"{host}:{parts.port}").encode("ascii")


def request_start(url: str) -> bytes:
    """The request line for a URL, and the headers that urllib3 would add to botocore's."""
    parts = urlsplit(url)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    host = host_header(parts)
    return b"POST %b HTTP/1.1\r\nHost: %b\r\nAccept-Encoding: identity\r\n" % (target.encode("ascii"), host)


def request_message(start: bytes, headers: Mapping[str, str | bytes], body: bytes) -> bytes | None:
    """A whole request, or ``None`` when a header has a line break in it: what follows would be a header of its own.

    Args:
        start: The request line, and the headers that are the same in each request.
        headers: The others.
        body: What is sent after them.
    """
    lines = [start]
    for name, value in headers.items():
        lines.append(b"%b: %b\r\n" % (name.encode("ascii"), value if isinstance(value, bytes) else value.encode()))
    head = b"".join(lines)
    expected = start.count(b"\n") + len(lines) - 1
    if head.count(b"\n") != expected or head.count(b"\r") != expected:
        return None
    return b"%b\r\n%b" % (head, body)


class BrokenOffError(Exception):
    """The answer ended before it was whole, or is not HTTP."""


class Answer(NamedTuple):
    """A whole answer.

    Attributes:
        status: The status code.
        headers: Names in lower case; the values of one that is repeated are joined by commas.
        body: What was sent, without the framing of chunks.
        reusable: Whether the connection can be used again.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    reusable: bool


class Counted:
    """An answer under way in the usual form, status 200 and a counted body, which costs less to read so.

    Made by :func:`counted`.
    """

    __slots__ = ("_body", "_headers", "_length", "_missing")

    def __init__(self, headers: dict[str, str], length: int) -> None:
        self._headers = headers
        self._length = self._missing = length
        self._body: list[bytes] = []

    def feed(self, data: bytes) -> Answer | None:
        """Take what came, as :meth:`Reading.feed` does; a piece of any size costs nothing to speak of."""
        self._body.append(data)
        self._missing -= len(data)
        if self._missing > 0 and data:
            return None
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        return Answer(200, self._headers, body[: self._length], self._missing == 0)

    def refusal(self, data: bytes = b"", *, ended: bool = True) -> None:
        """``None``: it says yes, as :meth:`Reading.refusal` tells."""


def counted(data: bytes) -> Answer | Counted | None:
    """The answer that some bytes are, or how to read one that begins with them.

    Returns:
        ``None`` when the head is not whole, or not of the usual form; nothing is said by that.
    """
    end = data.find(b"\r\n\r\n")
    if not (data.startswith(b"HTTP/1.1 200 ") and 0 <= end <= _SHORT_HEAD):
        return None
    lines = data[:end].decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if len(headers) < len(lines) - 1 or "transfer-encoding" in headers:
        return None
    if headers.get("connection", "keep-alive") != "keep-alive":
        return None
    length = content_length(headers.get("content-length", ""))
    if length is None or length > BODY_LIMIT:
        return None
    reading, body = Counted(headers, length), data[end + 4 :]
    # Without any of its body, what came is no end.
    return (reading.feed(body) if body or not length else None) or reading


_SHORT_HEAD = 4096


def content_length(text: str) -> int | None:
    """The number of bytes that a Content-Length announces, or ``None`` when it is no length."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER else None


_Steps = Generator[None, bytes, Answer]


class Reading:
    """One answer under way. The work is linear in the bytes, in whatever pieces they come.

    A piece of ``n`` bytes costs at most about a microsecond for every five of them (chunks of one byte).
    """

    def __init__(self) -> None:
        # What has come, read up to a position. A piece stays as it came unless it has to be joined with the next.
        self._buffer: bytes | bytearray = b""
        self._at = 0
        self._bytes_left = HEAD_LIMIT
        self._lines_left = LINE_LIMIT
        self._steps: _Steps = self._answer()
        next(self._steps)

    def feed(self, data: bytes) -> Answer | None:
        """Take what came; no bytes are the end of the connection.

        Returns:
            The answer when it is whole, and else ``None``.

        Raises:
            BrokenOffError: It will never be whole, or is not HTTP.
        """
        try:
            self._steps.send(data)
        except StopIteration as end:
            answer: Answer = end.value
            return answer
        return None

    def refusal(self, data: bytes = b"", *, ended: bool = True) -> Answer | None:
        """The answer to a request that could not be sent as a whole, or whose connection broke; only if it says no.

        A server need not read all of a request that it refuses (413, for one). If it closes the connection then,
        sending ends in an error, and so may reading. An answer that says yes cannot be meant for half a request.

        Args:
            data: What came last and was not fed yet.
            ended: Whether the connection is over, so that a body may end where it is.
        """
        try:
            answer = self.feed(data) if data else None
            if answer is None and ended:
                answer = self.feed(b"")
        except BrokenOffError:
            return None
        return None if answer is None or answer.status < 300 else answer._replace(reusable=False)

    def _answer(self) -> _Steps:
        while True:
            status, headers, keep = yield from self._head()
            if status >= 200:
                break
        body: bytes | bytearray = b""
        if status in (204, 304):
            pass
        elif "transfer-encoding" in headers and "content-length" in headers:
            raise BrokenOffError("the answer has two lengths, and one of them is wrong")  # RFC 9112, section 6.3
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            body = yield from self._chunks()
        elif "content-length" in headers:
            length = content_length(headers["content-length"])
            if length is None:
                raise BrokenOffError("the answer's Content-Length is not a length")
            if length > BODY_LIMIT:
                raise BrokenOffError("the answer is too long")
            stop = self._at + length
            if stop <= len(self._buffer):
                body, self._at = self._buffer[self._at : stop], stop
            else:
                # Like urllib3 for botocore: a body that is short is handed on, and whoever reads it finds it so.
                keep = (yield from self._data(length, body := bytearray())) and keep
        else:
            yield from self._data(None, body := bytearray())
            keep = False
        return Answer(status, headers, bytes(body), keep and self._at == len(self._buffer))

    def _more(self) -> Generator[None, bytes, bool]:
        data = yield
        if self._at == len(self._buffer):
            self._buffer = data
        elif isinstance(self._buffer, bytes):
            self._buffer = bytearray(self._buffer[self._at :]) + data
        else:
            del self._buffer[: self._at]  # moves nothing
            self._buffer += data
        self._at = 0
        return bool(data)

    def _until(self, mark: bytes) -> Generator[None, bytes, bytes]:
        """The bytes before a mark; the mark is taken too."""
        searched = self._at
        while (end := self._buffer.find(mark, searched)) < 0:
            unread = len(self._buffer) - self._at
            if unread > self._bytes_left:
                break
            if not (yield from self._more()):
                raise BrokenOffError("the connection was closed before the head of the answer was whole")
            searched = max(0, unread - len(mark) + 1)
        start = self._at
        if end < 0 or end - start > self._bytes_left:
            raise BrokenOffError("the head of the answer is too long")
        self._at = end + len(mark)
        return bytes(self._buffer[start:end])

    def _count(self, size: int, lines: int) -> None:
        """Take a head or a trailer off what is left of the bounds."""
        self._bytes_left -= size
        self._lines_left -= lines
        if self._bytes_left < 0 or self._lines_left < 0:
            raise BrokenOffError("the answer has too many headers")

    def _head(self) -> Generator[None, bytes, tuple[int, dict[str, str], bool]]:
        head = yield from self._until(b"\r\n\r\n")
        self._count(len(head), head.count(b"\n") + 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        version, _, rest = first.partition(" ")
        code = rest[:3]
        if not version.startswith("HTTP/1.") or not (code.isascii() and code.isdigit() and rest[3:4] in ("", " ")):
            raise BrokenOffError("the answer is not HTTP/1.x")
        status = int(code)
        if status < 100 or status == 101:
            raise BrokenOffError("the answer has a status that nobody asked for")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        connection = headers.get("connection", "").lower()
        keep = "close" not in connection if version != "HTTP/1.0" else "keep-alive" in connection
        return status, headers, keep

    def _data(self, size: int | None, body: bytearray) -> Generator[None, bytes, bool]:
        """Add so many bytes to the body, or all that come. Returns whether they came."""
        here = len(self._buffer) - self._at
        taken = here if size is None else min(size, here)
        body += self._buffer[self._at : self._at + taken]
        self._at += taken
        wanted = None if size is None else size - taken
        while wanted is None or wanted > 0:
            if len(body) > BODY_LIMIT:
                raise BrokenOffError("the answer is too long")
            data = yield
            if not data:
                return False
            if wanted is not None:
                if len(data) > wanted:
                    self._buffer, self._at = data, wanted
                    data = data[:wanted]
                wanted -= len(data)
            body += data
        return True

    def _chunks(self) -> Generator[None, bytes, bytearray]:
        body = bytearray()
        while True:
            line = yield from self._until(b"\r\n")
            digits = line.partition(b";")[0].strip()
            if not digits or digits.strip(b"0123456789abcdefABCDEF") or len(digits) > _LONGEST_NUMBER:
                raise BrokenOffError("a chunk of the answer has no size")
            size = int(digits, 16)
            if size == 0:
                break
            if len(body) + size > BODY_LIMIT:
                raise BrokenOffError("the answer is too long")
            stop = self._at + size
            if self._buffer[stop : stop + 2] == b"\r\n":  # all of it is here, as it mostly is: no need to wait
                body += self._buffer[self._at : stop]
                self._at = stop + 2
                continue
            if not (yield from self._data(size, body)):
                raise BrokenOffError("the connection was closed inside a chunk of the answer")
            if (yield from self._until(b"\r\n")):
                raise BrokenOffError("a chunk of the answer is longer than its size")
        while trailer := (yield from self._until(b"\r\n")):
            self._count(len(trailer), 1)
        return body

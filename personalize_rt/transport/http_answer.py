"""HTTP/1.x as bytes: a request in one piece, answers in pieces of any size. No I/O."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import NamedTuple

__all__ = ["Answer", "BrokenOffError", "Reading", "request_message"]

HEAD_LIMIT = 65536
"""Bytes of a head, and of a line between chunks."""


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


_Steps = Generator[None, bytes, Answer]


class Reading:
    """One answer under way."""

    def __init__(self) -> None:
        self._buffer = b""
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

    def _answer(self) -> _Steps:
        while True:
            status, headers, keep = yield from self._head()
            if status >= 200:
                break
        if status in (204, 304):
            body: bytes = b""
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            body = yield from self._chunks()
        elif "content-length" in headers:
            body, whole = yield from self._counted(headers["content-length"])
            keep = keep and whole
        else:
            body, keep = (yield from self._rest()), False
        return Answer(status, headers, body, keep and not self._buffer)

    def _more(self) -> Generator[None, bytes, bool]:
        data = yield
        self._buffer += data
        return bool(data)

    def _until(self, mark: bytes) -> Generator[None, bytes, bytes]:
        """What stands before a mark; the mark is taken too."""
        searched = 0
        while (end := self._buffer.find(mark, searched)) < 0:
            searched = max(0, len(self._buffer) - len(mark))
            if len(self._buffer) > HEAD_LIMIT:
                raise BrokenOffError("the head of the answer is too long")
            if not (yield from self._more()):
                raise BrokenOffError("the connection was closed before the head of the answer was whole")
        taken, self._buffer = self._buffer[:end], self._buffer[end + len(mark) :]
        return taken

    def _head(self) -> Generator[None, bytes, tuple[int, dict[str, str], bool]]:
        first, *lines = (yield from self._until(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        version, _, rest = first.partition(" ")
        code = rest[:3]
        if not version.startswith("HTTP/1.") or not (code.isascii() and code.isdigit()):
            raise BrokenOffError("the answer is not HTTP/1.x")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        connection = headers.get("connection", "").lower()
        keep = "close" not in connection if version != "HTTP/1.0" else "keep-alive" in connection
        return int(code), headers, keep

    def _counted(self, length: str) -> Generator[None, bytes, tuple[bytes, bool]]:
        if not (length.isascii() and length.isdigit()):
            raise BrokenOffError("the answer's Content-Length is not a number")
        wanted = int(length)
        parts, have = [self._buffer], len(self._buffer)
        self._buffer = b""
        while have < wanted:
            data = yield
            if not data:
                # Like urllib3 for botocore: what came is handed on, and whoever reads it finds it short.
                return b"".join(parts), False
            parts.append(data)
            have += len(data)
        body = b"".join(parts)
        self._buffer = body[wanted:]
        return body[:wanted], True

    def _chunks(self) -> Generator[None, bytes, bytes]:
        parts: list[bytes] = []
        while True:
            size_text = (yield from self._until(b"\r\n")).partition(b";")[0].strip()
            if not size_text or size_text.strip(b"0123456789abcdefABCDEF"):
                raise BrokenOffError("a chunk of the answer has no size")
            size = int(size_text, 16)
            if size == 0:
                while (yield from self._until(b"\r\n")):  # trailers
                    pass
                return b"".join(parts)
            data, have = [self._buffer], len(self._buffer)
            while have < size + 2:
                more = yield
                if not more:
                    raise BrokenOffError("the connection was closed inside a chunk of the answer")
                data.append(more)
                have += len(more)
            whole = b"".join(data)
            parts.append(whole[:size])
            self._buffer = whole[size + 2 :]

    def _rest(self) -> Generator[None, bytes, bytes]:
        parts = [self._buffer]
        self._buffer = b""
        while data := (yield):
            parts.append(data)
        return b"".join(parts)

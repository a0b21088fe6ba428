"""Reading one HTTP/1.x answer from a socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["BrokenOffError", "read_answer"]

_CHUNK = 65536
_HEAD_LIMIT = 65536


class BrokenOffError(Exception):
    """The server closed the connection, or said what is not HTTP."""


def read_answer(sock: Any, left: Callable[[], float | None]) -> tuple[int, dict[str, str], bytes, bool]:
    """Read an answer to its end.

    Args:
        sock: Where it comes from.
        left: The time-out of the next socket operation.

    Returns:
        Status, headers (names in lower case), body, and whether the connection can be used again.

    Raises:
        BrokenOffError: The server closed the connection, or said what is not HTTP.
        OSError: The connection broke, or time is over (``TimeoutError``).
    """
    return _Answer(sock, left).read()


class _Answer:
    """One HTTP/1.x answer, read from a socket."""

    def __init__(self, sock: Any, left: Callable[[], float | None]) -> None:
        self._sock = sock
        self._left = left
        self._buffer = b""

    def read(self) -> tuple[int, dict[str, str], bytes, bool]:
        """Status, headers (names in lower case), body, and whether the connection can be used again."""
        while True:
            status, headers, keep = self._head()
            if status >= 200:
                break
        if status in (204, 304):
            body: bytes = b""
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            body = self._chunks()
        elif "content-length" in headers:
            body, whole = self._counted(headers["content-length"])
            keep = keep and whole
        else:
            body, keep = self._rest(), False
        return status, headers, body, keep and not self._buffer

    def _more(self) -> bool:
        self._sock.settimeout(self._left())
        data = self._sock.recv(_CHUNK)
        self._buffer += data
        return bool(data)

    def _until(self, mark: bytes) -> bytes:
        """What stands before a mark; the mark is taken too."""
        searched = 0
        while (end := self._buffer.find(mark, searched)) < 0:
            searched = max(0, len(self._buffer) - len(mark))
            if len(self._buffer) > _HEAD_LIMIT:
                raise BrokenOffError("the head of the answer is too long")
            if not self._more():
                raise BrokenOffError("the connection was closed before the head of the answer was whole")
        taken, self._buffer = self._buffer[:end], self._buffer[end + len(mark) :]
        return taken

    def _head(self) -> tuple[int, dict[str, str], bool]:
        first, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, _, rest = first.partition(" ")
        code = rest[:3]
        if not version.startswith("HTTP/1.") or not code.isdigit():
            raise BrokenOffError("the answer is not HTTP/1.x")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        connection = headers.get("connection", "").lower()
        keep = "close" not in connection if version != "HTTP/1.0" else "keep-alive" in connection
        return int(code), headers, keep

    def _counted(self, length: str) -> tuple[bytes, bool]:
        if not length.isdigit():
            raise BrokenOffError("the answer's Content-Length is not a number")
        wanted = int(length)
        parts, have = [self._buffer], len(self._buffer)
        self._buffer = b""
        while have < wanted:
            self._sock.settimeout(self._left())
            data = self._sock.recv(min(_CHUNK * 4, wanted - have))
            if not data:
                # Like urllib3 for botocore: what came is handed on, and whoever reads it finds it short.
                return b"".join(parts), False
            parts.append(data)
            have += len(data)
        body = b"".join(parts)
        self._buffer = body[wanted:]
        return body[:wanted], True

    def _chunks(self) -> bytes:
        parts: list[bytes] = []
        while True:
            size_text = self._until(b"\r\n").partition(b";")[0].strip()
            try:
                size = int(size_text, 16)
            except ValueError:
                raise BrokenOffError("a chunk of the answer has no size") from None
            if size == 0:
                while self._until(b"\r\n"):  # trailers
                    pass
                return b"".join(parts)
            while len(self._buffer) < size + 2:
                if not self._more():
                    raise BrokenOffError("the connection was closed inside a chunk of the answer")
            parts.append(self._buffer[:size])
            self._buffer = self._buffer[size + 2 :]

    def _rest(self) -> bytes:
        while self._more():
            pass
        rest, self._buffer = self._buffer, b""
        return rest

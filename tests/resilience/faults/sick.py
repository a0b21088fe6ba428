"""Servers that are ill, each in one way, on raw sockets of 127.0.0.1.

Shared by the fault suite and by ``benchmarks/deadlines.py``, which runs each in a process of its own
(``python -m tests.resilience.faults.sick KIND`` prints its port and serves until its standard input closes).
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

BYTE_EVERY = 0.01  # seconds: no read time-out notices
LONG = 1000  # bytes, so that dripping them takes ten seconds: a call that waited for the end would be noticed
REPLY = {"personalizedRanking": [], "itemList": [{"itemId": "i1"}], "recommendationId": "RID-1"}
BODY = json.dumps(REPLY).encode() + b" " * LONG
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-long: %b\r\ncontent-length: %d\r\n\r\n" % (
    b"x" * LONG,
    len(BODY),
)

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"

Handler = Callable[[socket.socket], None]


def wait_for_the_end(connection: socket.socket) -> None:
    """Say nothing until the other side has enough."""
    with suppress(OSError):
        while connection.recv(65536):
            pass


def read_request(connection: socket.socket) -> bool:
    """Read one request; ``False`` at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return False
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    (length,) = (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    while len(body) < length:
        body += connection.recv(65536)
    return True


def drip(connection: socket.socket, content: bytes) -> None:
    for byte in content:
        connection.sendall(bytes([byte]))
        time.sleep(BYTE_EVERY)


def never_answers(connection: socket.socket) -> None:
    wait_for_the_end(connection)


def drips_its_head(connection: socket.socket) -> None:
    read_request(connection)
    drip(connection, HEAD)
    connection.sendall(BODY)


def drips_its_body(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(HEAD)
    drip(connection, BODY)


def stalls_in_its_head(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(HEAD[:30])
    wait_for_the_end(connection)


def stalls_in_its_body(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(HEAD + BODY[:30])
    wait_for_the_end(connection)


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def resets(connection: socket.socket) -> None:
    read_request(connection)
    _reset(connection)


def resets_in_its_body(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(HEAD + BODY[:30])
    time.sleep(BYTE_EVERY)
    _reset(connection)


def hangs_up(connection: socket.socket) -> None:
    """Says goodbye, and not a word more."""
    read_request(connection)


def _floods(*sent: bytes) -> Handler:
    """Sends the last piece again and again, as fast as it is taken."""
    *first, again = sent

    def handler(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"".join(first))
        while True:
            connection.sendall(again)

    return handler


def refuses_at_once(connection: socket.socket) -> None:
    """Answers when it has seen the first bytes of a request, and resets the connection, since the others are unread."""
    connection.recv(50)
    connection.sendall(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")


def is_half_open(connection: socket.socket) -> None:
    """Answers once; then the machine is gone, and the connection does not know."""
    if read_request(connection):
        connection.sendall(HEAD + BODY)
    wait_for_the_end(connection)


def speaks_no_tls(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")


def drips_its_handshake(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"\x16\x03\x03\x20\x00")  # a record of 8 kB begins
    drip(connection, b"\x02\x00\x1f\xfc" + bytes(2000))


def breaks_its_handshake_off(connection: socket.socket) -> None:
    connection.recv(65536)
    _reset(connection)


PLAIN: dict[str, Handler] = {
    "never answers": never_answers,
    "drips its head": drips_its_head,
    "drips its body": drips_its_body,
    "stalls in its head": stalls_in_its_head,
    "stalls in its body": stalls_in_its_body,
    "resets": resets,
    "resets in its body": resets_in_its_body,
    "hangs up": hangs_up,
    "is half open": is_half_open,
    "floods chunks of one byte": _floods(CHUNKED, b"1\r\na\r\n" * 10_000),
    "floods a chunk's extension": _floods(CHUNKED, b"1;", b"x" * 60_000),
    "floods trailers": _floods(CHUNKED, b"0\r\n", b"x: y\r\n" * 10_000),
    "floods heads": _floods(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 2_000),
    "floods headers": _floods(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 10_000),
    "promises more than can be": _floods(
        b"HTTP/1.1 200 OK\r\ncontent-length: %b\r\n\r\n" % (b"9" * 5000), b"x" * 60_000
    ),
    "refuses at once": refuses_at_once,
}
TLS: dict[str, Handler] = {
    "TLS: never shakes hands": never_answers,
    "TLS: drips its handshake": drips_its_handshake,
    "TLS: breaks its handshake off": breaks_its_handshake_off,
    "TLS: speaks something else": speaks_no_tls,
}
WITH_CERTIFICATE: dict[str, Handler] = {
    "TLS: is not trusted": never_answers,
    "TLS: never answers": never_answers,
    "TLS: drips its body": drips_its_body,
}
UNREACHABLE = ("refuses", "does not accept")
KINDS = (*PLAIN, *TLS, *WITH_CERTIFICATE, *UNREACHABLE)
TRUSTED = ("TLS: never answers", "TLS: drips its body")


class SickServer:
    """One of :data:`KINDS`, for as long as a ``with`` block lasts.

    Args:
        kind: How it is ill.
        certificate: A file with certificate and key, for those that need one.
    """

    def __init__(self, kind: str, certificate: Path | None = None) -> None:
        self.kind = kind
        self._taken: list[socket.socket] = []
        self._context: ssl.SSLContext | None = None
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if kind.startswith('TLS') else 'http'}://127.0.0.1:{self.port}"
        if kind in WITH_CERTIFICATE:
            assert certificate is not None
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
        self._handler = {**PLAIN, **TLS, **WITH_CERTIFICATE}.get(kind, wait_for_the_end)
        if kind == "does not accept":
            self._fill_the_queue()
        elif kind != "refuses":  # which is what a bound socket does that does not listen
            self._listener.listen(512)
            threading.Thread(target=self._accept, name="sick server", daemon=True).start()

    def _fill_the_queue(self) -> None:
        self._listener.listen(0)
        # Linux keeps one more than it was told; others may keep more.
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._taken.append(filler)
        time.sleep(0.05)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                try:
                    # It takes the descriptor over: the plain socket could not be shut down any more.
                    connection = self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                except OSError:  # gone already
                    connection.close()
                    continue
            self._taken.append(connection)
            threading.Thread(target=self._serve, args=(connection,), name="sick connection", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            if isinstance(connection, ssl.SSLSocket):
                connection.do_handshake()
            self._handler(connection)

    def close(self) -> None:
        # Closing a socket wakes nobody who waits in accept() or recv(); shutting it down does.
        for each in (self._listener, *self._taken):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


if __name__ == "__main__":
    with SickServer(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else None) as server:
        print(server.port, flush=True)
        sys.stdin.read()

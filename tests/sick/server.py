"""A sick server, in this process or in one of its own."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.sick.kinds import Kind

__all__ = ["SickServer"]

NARROW_SEGMENT, NARROW_BUFFER = 1400, 4096  # bytes: Linux then keeps less than 100 kB for a client to send


class SickServer:
    """A server of one kind, for as long as a ``with`` block lasts.

    Args:
        kind: How it is ill.
        certificate: A file with certificate and key, for those that need one.
    """

    def __init__(self, kind: Kind, certificate: Path | None = None) -> None:
        self.kind = kind
        self._behaviour = kind.well or kind.behaviour
        self._taken: list[socket.socket] = []
        self._context: ssl.SSLContext | None = None
        self._listener = socket.socket()
        if kind.narrow:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW_BUFFER)
            self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, NARROW_SEGMENT)
        self._listener.bind(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if kind.tls else 'http'}://127.0.0.1:{self.port}"
        if kind.certificate:
            assert certificate is not None
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
        if kind.door == "full":
            self._fill_the_queue()
        elif kind.door == "open":  # a bound socket that does not listen refuses
            self._listener.listen(512)
            threading.Thread(target=self._accept, name="sick server", daemon=True).start()

    def fall_ill(self) -> None:
        """Treat connections from now on as the kind says, where they were treated well until now."""
        self._behaviour = self.kind.behaviour

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
            self._behaviour(connection)

    def close(self) -> None:
        """End all connections."""
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

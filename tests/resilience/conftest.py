"""A TLS server that leaves its first connection standing."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest


class SickTls:
    """Speaks TLS with every client but the first, whose handshake it never answers."""

    def __init__(self, certificate: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._taken: list[socket.socket] = []
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def connections(self) -> int:
        return len(self._taken)

    def close(self) -> None:
        self._listener.close()
        for connection in self._taken:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._taken.append(connection)
            if len(self._taken) > 1:
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        body = json.dumps({"itemList": [{"itemId": "i1"}]}).encode()
        with self._context.wrap_socket(connection, server_side=True) as secure:
            while secure.recv(65536):
                secure.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))


@pytest.fixture
def sick_tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SickTls]:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    server = SickTls(certificate)
    yield server
    server.close()

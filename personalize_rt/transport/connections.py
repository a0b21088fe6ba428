"""Open connections to one host, made by botocore's own urllib3 pool: kept while they live, opened in time."""

from __future__ import annotations

import select
import socket
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from personalize_rt.transport.attempt import Attempt
from personalize_rt.transport.untyped import untyped

__all__ = ["Connection", "Connections"]


class Connection:
    """One open connection, used by one request at a time.

    Args:
        opened: urllib3's connection.
        is_dropped: Tells whether urllib3's connection was closed by the server.

    Attributes:
        sock: The socket.
        poll: A poll object that waits for what comes; ``None`` where the socket has to wait by itself (TLS, gevent).
    """

    __slots__ = ("_is_dropped", "_opened", "poll", "sock")

    def __init__(self, opened: Any, is_dropped: Callable[[Any], bool]) -> None:
        self._opened = opened
        self._is_dropped = is_dropped
        self.sock: Any = opened.sock
        self.poll: Any = None
        # By name: sockets of gevent are of another class that stands in the place of this one.
        if type(self.sock).__module__ == "socket" and hasattr(select, "poll") and hasattr(socket, "MSG_DONTWAIT"):
            self.sock.settimeout(None)
            self.poll = select.poll()
            self.poll.register(self.sock, select.POLLIN)

    def is_usable(self) -> bool:
        """Tell whether it is open, and nothing came that nobody asked for."""
        return not (self._is_dropped(self._opened) if self.poll is None else self.poll.poll(0))

    def break_off(self) -> None:
        """Wake up whoever waits for the socket. Safe from any thread."""
        _shut_down(self.sock)

    def close(self) -> None:
        """Close it."""
        self._opened.close()


def _shut_down(sock: Any) -> None:
    with suppress(OSError):  # it may be over
        # The plain shutdown, under TLS too: this thread must not touch the state of the connection.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


class Connections:
    """The connections to one host.

    The pool makes them, with its TLS settings, certificates and socket options. It does not keep them: its stack holds
    closed ones too, and would hand such a one out before an open one. Safe for threads.

    Args:
        pool: The urllib3 pool of the host.
        connect_timeout: Seconds for connecting to one address, or ``None``.
        size: Idle connections to keep at the most.
    """

    def __init__(self, pool: Any, connect_timeout: float | None, size: int) -> None:
        self._pool = pool
        self._timeout = connect_timeout
        self._size = size
        self._idle: list[Connection] = []
        # A runtime that is dropped without close() leaves no socket open.
        weakref.finalize(self, _close_all, self._idle)
        self._urllib3 = untyped("urllib3.exceptions")
        self._trusts = _load_certificates(pool)
        self._is_dropped: Callable[[Any], bool] = untyped("urllib3.util.connection").is_connection_dropped

    def take(self) -> Connection | None:
        """An idle connection that is open, or ``None``."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread took it
                break
            if connection.is_usable():
                return connection
            connection.close()
        return None

    def give_back(self, connection: Connection, *, reusable: bool) -> None:
        """Keep a connection for the next request, or close it."""
        if reusable and len(self._idle) < self._size:
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close the idle connections."""
        _close_all(self._idle)

    def open(self, attempt: Attempt) -> Connection:
        """A new connection.

        Raises:
            Exception: What urllib3 raises when it cannot connect.
        """
        connection = self._pool._new_conn()
        if self._trusts:
            connection.ca_certs = connection.ca_cert_dir = None  # the context of the pool has them
        spares: list[socket.socket] = []
        # urllib3 gives each address of a name the whole time-out; together they have what is left.
        connection._new_conn = lambda: self._connected(connection, attempt, spares)
        try:
            connection.connect()
            return Connection(connection, self._is_dropped)
        except BaseException:
            connection.close()
            raise
        finally:
            del connection._new_conn
            attempt.waits_for(None)
            for spare in spares:
                spare.close()

    def _connected(self, connection: Any, attempt: Attempt, spares: list[socket.socket]) -> socket.socket:
        """A socket that is connected, its time-out set for the TLS handshake; raises what urllib3 would."""
        urllib3 = self._urllib3
        host = connection.host.strip("[]")
        try:
            addresses = socket.getaddrinfo(host, connection.port, 0, socket.SOCK_STREAM)
        except OSError as error:
            raise urllib3.NameResolutionError(connection.host, connection, error) from error
        failure: OSError = OSError("the name has no address")
        for family, kind, protocol, _, address in addresses:
            sock = socket.socket(family, kind, protocol)
            # TLS takes the socket over; its double can still be shut down by who breaks the attempt off.
            spares.append(sock.dup())
            try:
                for option in connection.socket_options or ():
                    sock.setsockopt(*option)
                attempt.waits_for(partial(_shut_down, spares[-1]))
                sock.settimeout(attempt.left(self._timeout))
                if connection.source_address:
                    sock.bind(connection.source_address)
                sock.connect(address)
                sock.settimeout(attempt.left(self._timeout))
                return sock
            except OSError as error:
                sock.close()
                failure = error
        if isinstance(failure, TimeoutError):
            raise urllib3.ConnectTimeoutError(connection, "connecting took too long") from failure
        raise urllib3.NewConnectionError(connection, f"Failed to establish a new connection: {failure}") from failure


def _load_certificates(pool: Any) -> bool:
    """Load the CA bundle into the TLS context that all connections of a pool share; whether that was done.

    urllib3 reads the bundle again for each connection. That takes tens of milliseconds, in which nobody looks at a
    deadline, and threads that connect at the same time wait for each other.
    """
    context = getattr(pool, "conn_kw", {}).get("ssl_context")
    bundle, folder = getattr(pool, "ca_certs", None), getattr(pool, "ca_cert_dir", None)
    if context is None or not (bundle or folder):
        return False
    try:
        context.load_verify_locations(bundle, folder)
    except OSError:
        return False  # whoever connects is told
    return True


def _close_all(connections: list[Connection]) -> None:
    while connections:
        connections.pop().close()

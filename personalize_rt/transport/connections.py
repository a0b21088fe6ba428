"""Open connections of botocore's own urllib3 pool: kept while they live, opened within the time of the attempt."""

from __future__ import annotations

import socket
import weakref
from collections.abc import Callable
from typing import Any

from personalize_rt.transport.attempt import Attempt
from personalize_rt.transport.untyped import untyped

__all__ = ["Connections"]


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
        self._idle: list[Any] = []
        # A runtime that is dropped without close() leaves no socket open.
        weakref.finalize(self, _close_all, self._idle)
        self._urllib3 = untyped("urllib3.exceptions")
        self._trusts = _load_certificates(pool)
        self._is_dropped: Callable[[Any], bool] = untyped("urllib3.util.connection").is_connection_dropped

    def take(self, attempt: Attempt) -> Any:
        """A connection that is open.

        Raises:
            Exception: What urllib3 raises when it cannot connect.
        """
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread took it
                break
            if not self._is_dropped(connection):
                return connection
            connection.close()
        return self._opened(attempt)

    def give_back(self, connection: Any, *, reusable: bool) -> None:
        """Keep a connection for the next request, or close it."""
        if reusable and len(self._idle) < self._size:
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close the idle connections."""
        _close_all(self._idle)

    def _opened(self, attempt: Attempt) -> Any:
        connection = self._pool._new_conn()
        if self._trusts:
            connection.ca_certs = connection.ca_cert_dir = None  # the context of the pool has them
        spares: list[socket.socket] = []
        # urllib3 gives each address of a name the whole time-out; together they have what is left.
        connection._new_conn = lambda: self._connected(connection, attempt, spares)
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        finally:
            del connection._new_conn
            attempt.waits_for(None)
            for spare in spares:
                spare.close()
        return connection

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
                attempt.waits_for(spares[-1])
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


def _close_all(connections: list[Any]) -> None:
    while connections:
        connections.pop().close()

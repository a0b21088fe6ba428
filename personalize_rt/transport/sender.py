"""Sending whole requests over connections of our own, and reading each answer in one go.

Connections are made by the pool of botocore's ``URLLib3Session``, so that TLS verification and CA bundles, client
certificates and socket options are what they were, and are kept apart from that pool.

An attempt has one time-out for the whole of it (:class:`Attempt`), beside botocore's connect and read time-outs: a
server that sends a byte now and then never lets a read time out. And it can be broken off from another thread.
"""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress
from math import ceil
from typing import TYPE_CHECKING, Any

from personalize_rt.transport.attempt import Attempt
from personalize_rt.transport.connections import Connection, Connections
from personalize_rt.transport.http_answer import Answer, BrokenOffError, Counted, Reading, counted
from personalize_rt.transport.untyped import untyped

if TYPE_CHECKING:
    from personalize_rt.transport.settings import Settings

__all__ = ["KEPT_URLS", "Sender", "left_by"]

KEPT_URLS = 64
"""Addresses that are remembered: there are three, but a handler may give each request one of its own."""

_CHUNK = 65536
_PIECE = 4096
# Seconds of a processor that an answer of usual chunks does not need for a piece, and those that a thread then pauses.
_BUSY, _PAUSE = 0.0003, 0.001
_MOST_PARTS = 16  # of an answer that is no more than read in passing: a refusal is short
_AT_ONCE: int = getattr(socket, "MSG_DONTWAIT", 0)


class Sender:
    """Sends to hosts over connections that are kept. May be used by many threads at once.

    Args:
        client: A client of botocore, whose settings are used. Nothing is sent through it.

    Raises:
        AttributeError: botocore is not as it is known here.
    """

    def __init__(self, client: Any) -> None:
        session, config = client._endpoint.http_session, client.meta.config
        self._session = session
        self._connections: dict[str, Connections] = {}  # by scheme, host and port
        self._known: dict[str, Connections] = {}  # the same by URL
        self._connect_timeout: float | None = config.connect_timeout
        self._read_timeout: float | None = config.read_timeout
        # What is raised is what botocore's session would raise.
        self._errors = untyped("botocore.exceptions")
        self._urllib3 = untyped("urllib3.exceptions")
        self._size: int = config.max_pool_connections
        _ = session._manager.connection_from_url, session._setup_ssl_cert, session._verify

    def connections(self, url: str) -> Connections:
        """The connections to the host of a URL. Loads certificates, when it is asked for the first time."""
        known = self._known.get(url)
        if known is None:
            place = url.split("/", 3)[:3]
            known = self._connections.get("/".join(place))
            if known is None:
                made = Connections(self._pool(url), self._connect_timeout, self._size)
                known = self._connections.setdefault("/".join(place), made)
            if len(self._known) < KEPT_URLS:
                self._known[url] = known
        return known

    def exchange(self, url: str, message: bytes, attempt: Attempt) -> Answer:
        """Send a request and read the whole answer.

        Args:
            url: Where it goes.
            message: The request as bytes.
            attempt: The attempt that it belongs to.

        Raises:
            Exception: What botocore's session would raise.
        """
        connections = self.connections(url)
        kept = connections.take()
        if kept is not None:
            try:
                return self._exchange(connections, kept, message, url, attempt)
            except _UnsentError:
                pass  # the server had closed the connection
        try:
            opened = connections.open(attempt)
        except Exception as error:
            ours = self._in_botocore_terms(error, url)
            if ours is None:
                raise
            try:
                raise ours from error
            finally:
                del ours  # what it comes from holds this frame
        return self._exchange(connections, opened, message, url, attempt, is_new=True)

    def _exchange(
        self,
        connections: Connections,
        connection: Connection,
        message: bytes,
        url: str,
        attempt: Attempt,
        *,
        is_new: bool = False,
    ) -> Answer:
        reusable = False
        try:
            attempt.waits_for(connection.break_off)
            answer = _roundtrip(connection, message, attempt, self._read_timeout, is_new)
            reusable = answer.reusable
            return answer
        except TimeoutError as error:
            raise self._errors.ReadTimeoutError(endpoint_url=url, error=error) from error
        except (OSError, BrokenOffError) as error:
            raise self._errors.ConnectionClosedError(endpoint_url=url, error=error, request=None) from error
        finally:
            attempt.waits_for(None)
            connections.give_back(connection, reusable=reusable and not attempt.broken_off)

    def settings(self, url: str) -> Settings:
        """The settings of connections to an endpoint, for those who make their own.

        Raises:
            OSError: A file with certificates cannot be read.
        """
        from personalize_rt.transport.settings import Settings  # which only event loops ask for

        pool = self._pool(url)
        return Settings(
            url=url,
            host=pool.host.strip("[]"),
            port=pool.port or (443 if pool.scheme == "https" else 80),
            tls=_tls_context(pool) if pool.scheme == "https" else None,
            connect_timeout=self._connect_timeout,
            read_timeout=self._read_timeout,
            socket_options=pool.conn_kw.get("socket_options") or (),
            pool_size=self._size,
        )

    def close(self) -> None:
        """Close all idle connections."""
        self._known.clear()
        while self._connections:
            self._connections.popitem()[1].close()

    def _pool(self, url: str) -> Any:
        session = self._session
        pool = session._manager.connection_from_url(url)
        session._setup_ssl_cert(pool, url, session._verify)
        return pool

    def _in_botocore_terms(self, error: BaseException, url: str) -> BaseException | None:
        urllib3 = self._urllib3
        kind: Any = None
        # A certificate for another name is a ValueError of urllib3's.
        if (
            isinstance(error, urllib3.SSLError)
            or type(error).__module__ == "ssl"
            or type(error).__name__ == "CertificateError"
        ):
            kind = self._errors.SSLError
        elif isinstance(error, urllib3.NewConnectionError):
            kind = self._errors.EndpointConnectionError
        elif isinstance(error, urllib3.ConnectTimeoutError | TimeoutError):
            kind = self._errors.ConnectTimeoutError
        elif isinstance(error, OSError):
            kind = self._errors.EndpointConnectionError
        return None if kind is None else kind(endpoint_url=url, error=error)


class _UnsentError(Exception):
    """No byte of a request could be sent over a kept connection, so no server can have read any."""


def _roundtrip(connection: Connection, message: bytes, attempt: Attempt, timeout: float | None, is_new: bool) -> Answer:
    """Write a request, and read what comes until the answer is whole.

    Raises:
        TimeoutError: No time is left, or no byte came for as long as ``timeout`` says.
        OSError: The connection broke.
        BrokenOffError: The answer will never be whole, or is not HTTP.
        _UnsentError: The connection, which is not new, broke before a byte was sent.
    """
    receive = _receive_by_itself if connection.poll is None else _receive
    reading: Reading | Counted | None = None
    sent = False
    try:
        _send(connection, message, attempt, timeout, is_new)
        sent = True
        data = receive(connection, attempt, timeout)
        usual = counted(data)
        if isinstance(usual, Answer):
            return usual
        reading = usual or Reading()
        answer = None if usual else _fed(reading, data, attempt)
        while answer is None:
            data = receive(connection, attempt, timeout)
            answer = reading.feed(data) if usual else _fed(reading, data, attempt)
        return answer
    except OSError as error:
        late = isinstance(error, TimeoutError)
        # Of a request that was sent whole, all that came in time has been read.
        reading = reading or Reading()
        refusal = None if sent and late else reading.refusal(left_by(connection.sock), ended=not late)
        if refusal is None:
            raise
        return refusal


def _send(connection: Connection, message: bytes, attempt: Attempt, timeout: float | None, is_new: bool) -> None:
    """Write a request, all at once where the socket has room for it."""
    sock, written = connection.sock, 0
    if connection.poll is not None:
        try:
            written = sock.send(message, _AT_ONCE)
        except BlockingIOError:
            pass  # there is no room at all
        except ConnectionError as error:
            if is_new:
                raise
            raise _UnsentError from error
        if written == len(message):
            return
    sock.settimeout(attempt.left(timeout))
    sock.sendall(memoryview(message)[written:])


def _receive(connection: Connection, attempt: Attempt, timeout: float | None) -> bytes:
    """The bytes that come next, waited for by the poll object: it costs less than a time-out of the socket."""
    while True:
        left = attempt.left(timeout)
        # In milliseconds, rounded up: with none left it would not wait at all.
        if not connection.poll.poll(None if left is None else ceil(left * 1000)):
            raise TimeoutError("no byte came in time")
        with suppress(BlockingIOError):
            data: bytes = connection.sock.recv(_CHUNK, _AT_ONCE)
            return data


def _receive_by_itself(connection: Connection, attempt: Attempt, timeout: float | None) -> bytes:
    """The bytes that come next, waited for by the socket."""
    connection.sock.settimeout(attempt.left(timeout))
    data: bytes = connection.sock.recv(_CHUNK)
    return data


def _fed(reading: Reading | Counted, data: bytes, attempt: Attempt) -> Answer | None:
    """Read what came, in pieces that take a millisecond at the most, and look at the clock between them.

    Python lets a thread go on for 5 milliseconds while others wait to run: of twenty that read answers like chunks of
    one byte, each would see its deadline a tenth of a second late. So a thread that is busy reading pauses.
    """
    if len(data) <= _PIECE:
        return reading.feed(data)
    for at in range(0, len(data), _PIECE):
        attempt.left(None)
        begun = time.thread_time()
        answer = reading.feed(data[at : at + _PIECE])
        if answer is not None:  # what goes on after it is of no request
            return answer if at + _PIECE >= len(data) else answer._replace(reusable=False)
        if time.thread_time() - begun > _BUSY:
            time.sleep(_PAUSE)
    return None


def left_by(sock: Any) -> bytes:
    """The bytes that came before a connection broke or sending was given up. Waits for none."""
    parts: list[bytes] = []
    with suppress(OSError):
        sock.settimeout(0)
        while len(parts) < _MOST_PARTS and (data := sock.recv(_CHUNK)):
            parts.append(data)
    return b"".join(parts)


def _tls_context(pool: Any) -> ssl.SSLContext:
    """The context of a pool, set up as urllib3 does when it connects."""
    context: ssl.SSLContext = pool.conn_kw["ssl_context"]
    if pool.cert_reqs == "CERT_NONE":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.verify_mode = ssl.CERT_REQUIRED
        context.check_hostname = True
    if pool.ca_certs or pool.ca_cert_dir:
        context.load_verify_locations(pool.ca_certs, pool.ca_cert_dir)
    if pool.cert_file:
        context.load_cert_chain(pool.cert_file, pool.key_file)
    context.set_alpn_protocols(["http/1.1"])
    return context

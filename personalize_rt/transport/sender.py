"""Sending a request over botocore's own connections, and reading the answer in one go.

Connections come from the pool of botocore's ``URLLib3Session``, so that TLS verification and CA bundles, client
certificates, socket options, pool size and the check for dead keep-alive connections are what they were. What is
replaced is the layer above: urllib3's and ``http.client``'s general request and response objects. A request that
wants more (a proxy, ``Expect``, a body that is a stream) goes to botocore's own session.

An attempt has one time-out for the whole of it (:class:`Attempt`), beside botocore's connect and read time-outs: a
server that sends a byte now and then never lets a read time out. And it can be broken off from another thread.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextvars import copy_context
from typing import Any, NamedTuple

from personalize_rt.transport.attempt import Attempt, under_way
from personalize_rt.transport.connections import Connections
from personalize_rt.transport.http_answer import Answer, BrokenOffError, Reading, request_message
from personalize_rt.transport.untyped import untyped

__all__ = ["Sender", "Settings"]

_CHUNK = 65536


class Settings(NamedTuple):
    """How a client's own session connects to its endpoint.

    Attributes:
        url: The endpoint.
        host: Its host, without brackets.
        port: Its port.
        tls: The TLS context with CA bundle and client certificate, or ``None`` for plain HTTP.
        connect_timeout: Seconds for connecting to one address, or ``None``.
        read_timeout: Seconds without a byte after which an answer is given up, or ``None``.
        socket_options: What ``setsockopt`` is called with.
        pool_size: Idle connections to keep at the most.
    """

    url: str
    host: str
    port: int
    tls: ssl.SSLContext | None
    connect_timeout: float | None
    read_timeout: float | None
    socket_options: Sequence[tuple[Any, ...]]
    pool_size: int


class Sender:
    """Stands where botocore puts its ``URLLib3Session``: the endpoint's ``http_session``.

    Args:
        session: botocore's own, whose connections and settings are used.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._connections: dict[Any, Connections] = {}  # by pool: one for each host
        self._targets: dict[str, tuple[Connections, bytes]] = {}  # by URL
        timeout = session._timeout
        self._connect_timeout: float | None = getattr(timeout, "connect_timeout", timeout)
        self._read_timeout: float | None = getattr(timeout, "read_timeout", timeout)
        self._proxy_url_for = session._proxy_config.proxy_url_for
        # What is raised is what botocore's session would raise.
        self._errors = untyped("botocore.exceptions")
        self._urllib3 = untyped("urllib3.exceptions")
        self._response = untyped("botocore.awsrequest").AWSResponse
        self._size: int = session._max_pool_connections
        _ = session._manager.connection_from_url, session._setup_ssl_cert, session._verify

    def open(self, url: str) -> None:
        """Load what connections to an endpoint need: certificates, and not within the deadline of the first call."""
        if url.startswith("https:") and not self._proxy_url_for(url):
            self._target(url)

    def send(self, request: Any) -> Any:
        """Send a prepared request and read the whole answer."""
        body = request.body
        if not isinstance(body, bytes) or "Expect" in request.headers or self._proxy_url_for(request.url):
            return self._by_botocore(request)
        url: str = request.url
        connections, start = self._targets.get(url) or self._target(url)
        message = request_message(start, request.headers, body)
        if message is None:
            return self._by_botocore(request)
        answer = self._roundtrip(connections, message, url, under_way.get() or Attempt())
        response = self._response(url, answer.status, answer.headers, _Raw())
        response._content = answer.body
        return response

    def exchange(self, url: str, message: bytes, attempt: Attempt) -> Answer:
        """Send a whole request and read the whole answer.

        Args:
            url: Where it goes; its connections are used.
            message: The request as bytes.
            attempt: The attempt that it belongs to.

        Raises:
            Exception: What botocore's session would raise.
        """
        return self._roundtrip((self._targets.get(url) or self._target(url))[0], message, url, attempt)

    def _roundtrip(self, connections: Connections, message: bytes, url: str, attempt: Attempt) -> Answer:
        try:
            connection = connections.take(attempt)
        except Exception as error:
            ours = self._in_botocore_terms(error, url)
            if ours is None:
                raise
            try:
                raise ours from error
            finally:
                del ours  # what it comes from holds this frame
        reusable = False
        try:
            answer = self._exchange(connection.sock, message, url, attempt)
            reusable = answer.reusable
        finally:
            attempt.waits_for(None)
            connections.give_back(connection, reusable=reusable and not attempt.broken_off)
        return answer

    def settings(self, url: str) -> Settings:
        """How connections to an endpoint are made, for those who make their own.

        Raises:
            OSError: A file with certificates cannot be read.
        """
        session = self._session
        pool = session._manager.connection_from_url(url)
        session._setup_ssl_cert(pool, url, session._verify)
        return Settings(
            url=url,
            host=pool.host.strip("[]"),
            port=pool.port or (443 if pool.scheme == "https" else 80),
            tls=_tls_context(pool, session) if pool.scheme == "https" else None,
            connect_timeout=self._connect_timeout,
            read_timeout=self._read_timeout,
            socket_options=session._socket_options or (),
            pool_size=self._size,
        )

    def _by_botocore(self, request: Any) -> Any:
        """Send by botocore's own session; on a thread that is left behind when the time of the attempt is over."""
        attempt = under_way.get()
        if attempt is None or attempt.ends is None:
            return self._session.send(request)
        outcome: list[Any] = []
        errors: list[BaseException] = []

        def send() -> None:
            try:
                outcome.append(self._session.send(request))
            except BaseException as error:
                errors.append(error)

        context = copy_context()  # what tracers and log filters keep in it
        worker = threading.Thread(target=context.run, args=(send,), name="personalize-rt-proxied", daemon=True)
        worker.start()
        worker.join(max(0.0, attempt.ends - time.monotonic()))
        if errors:
            raise errors[0]
        if not outcome:
            raise self._errors.ReadTimeoutError(endpoint_url=request.url, error=TimeoutError("no time is left"))
        return outcome[0]

    def close(self) -> None:
        """Close all idle connections."""
        for connections in self._connections.values():
            connections.close()
        self._targets.clear()
        self._connections.clear()
        self._session.close()

    def _target(self, url: str) -> tuple[Connections, bytes]:
        """The connections for a URL, and the first lines of a request to it."""
        session = self._session
        pool = session._manager.connection_from_url(url)
        session._setup_ssl_cert(pool, url, session._verify)
        path = session._get_request_target(url, None)
        default = 443 if pool.scheme == "https" else 80
        host = f"[{pool.host}]" if ":" in pool.host and not pool.host.startswith("[") else pool.host
        host = host if pool.port in (None, default) else f"{host}:{pool.port}"
        start = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: identity\r\n".encode("ascii")
        connections = self._connections.get(pool) or self._connections.setdefault(
            pool, Connections(pool, self._connect_timeout, self._size)
        )
        self._targets[url] = connections, start
        return connections, start

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

    def _exchange(self, sock: Any, message: bytes, url: str, attempt: Attempt) -> Answer:
        timeout, reading = self._read_timeout, Reading()
        try:
            attempt.waits_for(sock)
            sock.settimeout(attempt.left(timeout))
            sock.sendall(message)
            while True:
                sock.settimeout(attempt.left(timeout))
                answer = reading.feed(sock.recv(_CHUNK))
                if answer is not None:
                    return answer
        except TimeoutError as error:
            raise self._errors.ReadTimeoutError(endpoint_url=url, error=error) from error
        except (OSError, BrokenOffError) as error:
            raise self._errors.ConnectionClosedError(endpoint_url=url, error=error, request=None) from error


def _tls_context(pool: Any, session: Any) -> ssl.SSLContext:
    """What urllib3 would make of a pool's settings when it connects."""
    context: ssl.SSLContext = session._get_ssl_context()
    if pool.cert_reqs == "CERT_NONE":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.verify_mode = ssl.CERT_REQUIRED
        context.check_hostname = True
    if pool.ca_certs or pool.ca_cert_dir:
        context.load_verify_locations(pool.ca_certs, pool.ca_cert_dir)
    if session._cert_file:
        context.load_cert_chain(session._cert_file, session._key_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


class _Raw:
    """The body was read already."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        return iter(())

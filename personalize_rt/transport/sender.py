"""Sending a request over botocore's own connections, and reading the answer in one go.

Connections come from the pool of botocore's ``URLLib3Session``, so that TLS verification and CA bundles, client
certificates, socket options, pool size and the check for dead keep-alive connections are what they were. What is
replaced is the layer above: urllib3's and ``http.client``'s general request and response objects. A request that
wants more (a proxy, ``Expect``, a body that is a stream) goes to botocore's own session.

An attempt has one time-out for the whole of it (:class:`Attempt`), beside botocore's connect and read time-outs: a
server that sends a byte now and then never lets a read time out. And it can be broken off from another thread.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from personalize_rt.transport.attempt import Attempt, under_way
from personalize_rt.transport.untyped import untyped

__all__ = ["Sender"]


_CHUNK = 65536
_HEAD_LIMIT = 65536


class Sender:
    """Stands where botocore puts its ``URLLib3Session``: the endpoint's ``http_session``.

    Args:
        session: botocore's own, whose connections and settings are used.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._pools: dict[str, tuple[Any, bytes]] = {}
        timeout = session._timeout
        self._connect_timeout: float | None = getattr(timeout, "connect_timeout", timeout)
        self._read_timeout: float | None = getattr(timeout, "read_timeout", timeout)
        self._proxy_url_for = session._proxy_config.proxy_url_for
        # What is raised is what botocore's session would raise.
        self._errors = untyped("botocore.exceptions")
        self._urllib3 = untyped("urllib3.exceptions")
        self._response = untyped("botocore.awsrequest").AWSResponse
        _ = session._manager.connection_from_url, session._setup_ssl_cert, session._verify

    def send(self, request: Any) -> Any:
        """Send a prepared request and read the whole answer."""
        body = request.body
        if not isinstance(body, bytes) or "Expect" in request.headers or self._proxy_url_for(request.url):
            return self._by_botocore(request)
        url: str = request.url
        pool, start = self._pools.get(url) or self._pool(url)
        lines = [start]
        for name, value in request.headers.items():
            lines.append(b"%b: %b\r\n" % (name.encode("ascii"), value if isinstance(value, bytes) else value.encode()))
        lines.append(b"\r\n")
        lines.append(body)
        attempt = under_way.get() or Attempt()
        connection = self._checked_out(pool, url, attempt)
        reusable = False
        try:
            attempt.waits_for(connection.sock)
            status, headers, content, reusable = self._exchange(connection.sock, b"".join(lines), url, attempt)
        except OSError as error:  # broken off
            raise self._errors.ConnectionClosedError(endpoint_url=url, error=error, request=None) from error
        finally:
            attempt.waits_for(None)
            if not reusable:
                connection.close()
            # A closed connection goes back too: it is opened again when it is next used.
            pool._put_conn(connection)
        response = self._response(url, status, headers, _Raw())
        response._content = content
        return response

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

        worker = threading.Thread(target=send, name="personalize-rt-proxied", daemon=True)
        worker.start()
        worker.join(max(0.0, attempt.ends - time.monotonic()))
        if errors:
            raise errors[0]
        if not outcome:
            raise self._errors.ReadTimeoutError(endpoint_url=request.url, error=TimeoutError("no time is left"))
        return outcome[0]

    def close(self) -> None:
        """Close all connections."""
        self._pools.clear()
        self._session.close()

    def _pool(self, url: str) -> tuple[Any, bytes]:
        session = self._session
        pool = session._manager.connection_from_url(url)
        session._setup_ssl_cert(pool, url, session._verify)
        target = session._get_request_target(url, None)
        default = 443 if pool.scheme == "https" else 80
        host = f"[{pool.host}]" if ":" in pool.host and not pool.host.startswith("[") else pool.host
        host = host if pool.port in (None, default) else f"{host}:{pool.port}"
        start = f"POST {target} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: identity\r\n".encode("ascii")
        self._pools[url] = pool, start
        return pool, start

    def _checked_out(self, pool: Any, url: str, attempt: Attempt) -> Any:
        """A connection that is open."""
        connection = pool._get_conn()
        if connection.sock is not None:
            return connection
        spares: list[socket.socket] = []
        # urllib3 gives each address of a name the whole time-out; together they have what is left.
        connection._new_conn = lambda: self._connected(connection, attempt, spares)
        try:
            connection.connect()
        except BaseException as error:
            connection.close()
            pool._put_conn(connection)
            raise self._in_botocore_terms(error, url) from error
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
                sock.settimeout(attempt.left(self._connect_timeout))
                if connection.source_address:
                    sock.bind(connection.source_address)
                sock.connect(address)
                sock.settimeout(attempt.left(self._connect_timeout))
                return sock
            except OSError as error:
                sock.close()
                failure = error
        if isinstance(failure, TimeoutError):
            raise urllib3.ConnectTimeoutError(connection, "connecting took too long") from failure
        raise urllib3.NewConnectionError(connection, f"Failed to establish a new connection: {failure}") from failure

    def _in_botocore_terms(self, error: BaseException, url: str) -> BaseException:
        urllib3 = self._urllib3
        kind: Any = None
        # A certificate for another name is a ValueError of urllib3's.
        if isinstance(error, urllib3.SSLError) or type(error).__module__ == "ssl" or _is_certificate_error(error):
            kind = self._errors.SSLError
        elif isinstance(error, urllib3.NewConnectionError):
            kind = self._errors.EndpointConnectionError
        elif isinstance(error, urllib3.ConnectTimeoutError | TimeoutError):
            kind = self._errors.ConnectTimeoutError
        elif isinstance(error, OSError):
            kind = self._errors.EndpointConnectionError
        if kind is None:
            return error
        ours: BaseException = kind(endpoint_url=url, error=error)
        return ours

    def _exchange(
        self, sock: Any, message: bytes, url: str, attempt: Attempt
    ) -> tuple[int, dict[str, str], bytes, bool]:
        def left() -> float | None:
            return attempt.left(self._read_timeout)

        try:
            sock.settimeout(left())
            sock.sendall(message)
            return _Answer(sock, left).read()
        except TimeoutError as error:
            raise self._errors.ReadTimeoutError(endpoint_url=url, error=error) from error
        except (OSError, _BrokenOffError) as error:
            raise self._errors.ConnectionClosedError(endpoint_url=url, error=error, request=None) from error


def _is_certificate_error(error: BaseException) -> bool:
    return type(error).__name__ == "CertificateError"


class _BrokenOffError(Exception):
    """The server closed the connection, or said what is not HTTP."""


class _Raw:
    """The body was read already."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        return iter(())


class _Answer:
    """One HTTP/1.x answer, read from a socket."""

    def __init__(self, sock: Any, left: Any) -> None:
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
                raise _BrokenOffError("the head of the answer is too long")
            if not self._more():
                raise _BrokenOffError("the connection was closed before the head of the answer was whole")
        taken, self._buffer = self._buffer[:end], self._buffer[end + len(mark) :]
        return taken

    def _head(self) -> tuple[int, dict[str, str], bool]:
        first, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, _, rest = first.partition(" ")
        code = rest[:3]
        if not version.startswith("HTTP/1.") or not code.isdigit():
            raise _BrokenOffError("the answer is not HTTP/1.x")
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
            raise _BrokenOffError("the answer's Content-Length is not a number")
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
                raise _BrokenOffError("a chunk of the answer has no size") from None
            if size == 0:
                while self._until(b"\r\n"):  # trailers
                    pass
                return b"".join(parts)
            while len(self._buffer) < size + 2:
                if not self._more():
                    raise _BrokenOffError("the connection was closed inside a chunk of the answer")
            parts.append(self._buffer[:size])
            self._buffer = self._buffer[size + 2 :]

    def _rest(self) -> bytes:
        while self._more():
            pass
        rest, self._buffer = self._buffer, b""
        return rest

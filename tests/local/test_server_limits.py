"""The HTTP door, held up or tricked: pages of others, half heads, bodies that drip or swell."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import attrs
import boto3
import pytest

from personalize_rt.errors import ValidationError
from personalize_rt.local import LocalPersonalize
from personalize_rt.local.events import RecordedEvent
from personalize_rt.local.faults import Faults
from personalize_rt.local.journal import Journal
from personalize_rt.local.server import Server
from personalize_rt.local.sigv4 import Credentials
from personalize_rt.local.wire import HttpRequest, HttpResponse

pytest.importorskip("uvicorn", reason="the extra [server] is not installed")
pytest.importorskip("starlette", reason="the extra [server] is not installed")
from personalize_rt.local import connections

KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
CAMPAIGN = "arn:aws:personalize:eu-west-1:000000000000:campaign/popular-movies"
# Seconds in which everything here is over, on the busiest machine.
PATIENCE = 30.0
MEGABYTE = 1 << 20


@attrs.define
class Embedded:
    """Stands for an embedded Personalize, and keeps what it was asked."""

    faults: Faults = attrs.field(factory=Faults)
    requests: Journal = attrs.field(factory=Journal)
    recorded_events: tuple[RecordedEvent, ...] = ()
    asked: list[HttpRequest] = attrs.field(factory=list)

    def handle(self, request: HttpRequest) -> HttpResponse:
        self.asked.append(request)
        return HttpResponse(200, {"content-length": "2"}, b"{}")

    def reload(self) -> None:
        self.asked.append(HttpRequest("POST", "reload"))


@pytest.fixture(params=["h11", "httptools"])
def protocol(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both protocol classes of uvicorn, whichever it would take by itself."""
    if request.param == "httptools":
        pytest.importorskip("httptools")
    name = {"h11": "H11Protocol", "httptools": "HttpToolsProtocol"}[request.param]
    module = import_module(f"uvicorn.protocols.http.{request.param}_impl")
    monkeypatch.setattr(connections, "AutoHTTPProtocol", getattr(module, name))
    return str(request.param)


@pytest.fixture
def serve(protocol: str) -> Iterator[Callable[..., Server]]:
    with ExitStack() as stack:

        def serve(embedded: Any = None, **options: Any) -> Server:
            options = {"credentials": (), "stop_timeout": 1, **options}
            return stack.enter_context(Server(embedded or Embedded(), **options))

        yield serve


def connect(server: Server) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE)


def rest(connection: socket.socket) -> bytes:
    """All that still comes, until the server closes."""
    received = b""
    with suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            received += chunk
    return received


def answer(received: bytes) -> tuple[int, str, str]:
    """Status, code and message of the only answer there is."""
    head, _, body = received.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert int(headers["content-length"]) == len(body), received
    return int(head.split()[1]), headers.get("x-amzn-errortype", ""), json.loads(body).get("message", "")


def asked(server: Server, *lines: str, body: bytes = b"{}", target: str = "/recommendations") -> tuple[int, str, str]:
    """The answer to one request, with these header lines only."""
    head = [f"POST {target} HTTP/1.1", *lines, f"content-length: {len(body)}", "connection: close", "", ""]
    with connect(server) as connection:
        connection.sendall("\r\n".join(head).encode("latin-1") + body)
        return answer(rest(connection))


def head(length: int | None, path: str = "/recommendations", *lines: str) -> bytes:
    size = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    return "\r\n".join((f"POST {path} HTTP/1.1", "host: localhost", size, *lines, "", "")).encode()


def room(server: Server) -> int:
    application: Any = server._uvicorn.config.app
    left: int = application._room
    return left


def until(condition: Callable[[], object]) -> None:
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.002)


# Web pages (DNS rebinding).


@pytest.mark.parametrize("credentials", [(), (KEYS,)], ids=["open", "signed"])
def test_a_foreign_host_is_refused_on_every_path(
    serve: Callable[..., Server], credentials: tuple[Credentials, ...]
) -> None:
    embedded = Embedded()
    server = serve(embedded, credentials=credentials)
    paths = "/recommendations /personalize-ranking / /any /healthz /_local/faults /_local/reload"
    for path in paths.split():
        refuses_a_foreign_host(server, path)
    assert embedded.asked == []
    assert embedded.faults.rules == ()


def refuses_a_foreign_host(server: Server, path: str) -> None:
    for lines in (["host: evil.example"], ["host: evil.example:80", "origin: http://evil.example:80"]):
        status, code, message = asked(server, *lines, target=path)
        assert (status, code) == (403, "AccessDeniedException")
        assert "--allow-host evil.example " in message
    assert asked(server, target=path)[:2] == (400, "MalformedHttpRequestException")
    assert asked(server, "host: localhost", "host: localhost", target=path)[0] == 400


@pytest.mark.parametrize("credentials", [(), (KEYS,)])
def test_a_web_page_is_refused_on_every_path_unless_its_origin_is_allowed(
    serve: Callable[..., Server], credentials: tuple[Credentials, ...]
) -> None:
    embedded = Embedded()
    server = serve(embedded, allow_origins=["http://localhost:3000"], credentials=credentials)
    port = urlsplit(server.url).port
    host = f"host: localhost:{port}"
    for origin in ("http://evil.example", "null", "http://localhost:1", f"http://localhost:{port}", ""):
        for path in ("/recommendations", "/events", "/", "/healthz", "/_local/faults", "/nowhere"):
            # The type of a request that pages may send without asking.
            lines = (host, f"origin: {origin}", "content-type: text/plain")
            assert asked(server, *lines, target=path)[:2] == (403, "AccessDeniedException")
    assert embedded.asked == []


@pytest.mark.parametrize("target", ["http://evil.example/recommendations", "http://localhost/recommendations", "*"])
def test_a_target_with_a_host_in_it_is_refused(serve: Callable[..., Server], target: str) -> None:
    embedded = Embedded()
    status, code, _ = asked(serve(embedded), "host: localhost", target=target)
    assert (status, code) == (400, "MalformedHttpRequestException")
    assert embedded.asked == []


def test_a_target_that_comes_in_parts_is_read_as_one(serve: Callable[..., Server]) -> None:
    with connect(serve()) as connection:
        for (
            byte
        ) in b"POST /recommendations HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n":
            connection.sendall(bytes([byte]))
        assert answer(rest(connection))[0] == 200


def test_a_request_of_http_1_0_needs_a_host_too(serve: Callable[..., Server]) -> None:
    server = serve()
    for line, status in ((b"", 400), (b"host: localhost\r\n", 200)):
        with connect(server) as connection:
            connection.sendall(b"POST / HTTP/1.0\r\n" + line + b"content-length: 0\r\n\r\n")
            assert answer(rest(connection))[0] == status


def test_hosts_that_are_allowed_are_answered(protocol: str) -> None:
    local = LocalPersonalize.sample()
    with local.serve(credentials=(), allow_hosts=["host.docker.internal", "10.0.0.5"]) as url:
        for host, status in (("host.docker.internal:1", 200), ("10.0.0.5", 200), ("evil.example", 403)):
            connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
            connection.request("GET", "/healthz", headers={"Host": host})
            assert connection.getresponse().status == status
            connection.close()
    with pytest.raises(ValidationError, match="allow_hosts"), local.serve(allow_hosts=["http://x"]):
        pass


def test_a_server_for_other_machines_answers_to_every_host_or_to_those_it_was_told(
    serve: Callable[..., Server],
) -> None:
    options = {"host": "0.0.0.0", "allow_remote": True, "credentials": [KEYS]}
    anyone, some = serve(**options), serve(**options, allow_hosts=["personalize"])
    for server in (anyone, some):
        client = boto3.client(
            "personalize-runtime",
            endpoint_url=server.url,
            region_name="eu-west-1",
            aws_access_key_id=KEYS.access_key_id,
            aws_secret_access_key=KEYS.secret_access_key,
        )
        assert client.get_recommendations(campaignArn=CAMPAIGN)["ResponseMetadata"]["HTTPStatusCode"] == 200
        client.close()
    assert asked(anyone, "host: other", target="/healthz")[0] == 405
    assert asked(some, "host: personalize:1", target="/healthz")[0] == 405
    assert asked(some, "host: other", target="/healthz")[0] == 403
    assert asked(anyone, "host: other")[1] == "MissingAuthenticationToken"


# Half heads.


def test_half_heads_are_gone_when_their_time_is_over(serve: Callable[..., Server]) -> None:
    many = 1500
    if os.name == "posix":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < 2 * many + 500:
            if hard != resource.RLIM_INFINITY and hard < 2 * many + 500:
                many = (hard - 500) // 2
            resource.setrlimit(resource.RLIMIT_NOFILE, (2 * many + 500, hard))
    embedded = Embedded()
    server = serve(embedded, head_timeout=0.5)
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(server)) for _ in range(many)]
        for number, connection in enumerate(connections):
            with suppress(OSError):  # the first ones are over before the last ones begin
                connection.sendall(b"POST /recommendations HTTP/1.1\r\nhost: loc"[: number % 40 + 1])
        for connection in connections:
            received = rest(connection)
            assert received == b"" or answer(received)[:2] == (408, "RequestTimeoutException")
        assert asked(server, "host: localhost")[0] == 200
        application: Any = server._uvicorn.config.app
        until(lambda: not application.lines._lines)
    assert len(embedded.asked) == 1


def test_a_half_head_is_told_why_and_an_unused_connection_is_closed_without_a_word(
    serve: Callable[..., Server],
) -> None:
    server = serve(head_timeout=0.1)
    with connect(server) as half, connect(server) as unused:
        half.sendall(b"POST /")
        assert answer(rest(half)) == (
            408,
            "RequestTimeoutException",
            "the head of the request did not come within 0.1 seconds",
        )
        assert rest(unused) == b""


def test_a_head_that_drips_gets_no_more_time(serve: Callable[..., Server]) -> None:
    with connect(serve(head_timeout=0.2)) as connection:
        connection.settimeout(0.01)
        limit = time.monotonic() + PATIENCE
        received = b""
        connection.sendall(b"POST / HTTP/1.1\r\nx: ")
        while not received:
            assert time.monotonic() < limit
            with suppress(ConnectionError):
                connection.sendall(b"x")
            with suppress(TimeoutError):
                received = connection.recv(65536)
        assert received.startswith(b"HTTP/1.1 408 ")


def test_a_later_head_on_a_connection_has_its_own_time(serve: Callable[..., Server]) -> None:
    with connect(serve(head_timeout=0.3)) as connection:
        for _ in range(3):
            time.sleep(0.2)  # idle between requests, for longer than a head may take in all
            connection.sendall(head(2) + b"{}")
            received = b""
            while not received.endswith(b"{}"):
                received += connection.recv(65536)
            assert received.startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"POST /")
        assert answer(rest(connection))[0] == 408


def test_a_request_under_way_has_all_the_time_it_needs(serve: Callable[..., Server]) -> None:
    embedded = Embedded()
    embedded.faults.latency(0.5, times=1)
    server = serve(embedded, head_timeout=0.1, body_timeout=0.2)
    assert asked(server, "host: localhost")[0] == 200


@pytest.mark.parametrize("line", [b"x: y\r\n" * 100, b"y" * 600], ids=["lines", "one line"])
@pytest.mark.parametrize("where", ["head", "trailer", "second head"])
def test_a_head_without_end_is_cut(serve: Callable[..., Server], line: bytes, where: str) -> None:
    embedded = Embedded()
    server = serve(embedded)
    with connect(server) as connection:
        if where == "trailer":
            connection.sendall(head(None) + b"2\r\n{}\r\n0\r\nx: ")
        elif where == "second head":
            connection.sendall(head(2) + b"{}")
            assert connection.recv(12) == b"HTTP/1.1 200"
            connection.sendall(b"POST / HTTP/1.1\r\nx: ")
        else:
            connection.sendall(b"POST / HTTP/1.1\r\nx: ")
        sent = 0
        with suppress(ConnectionError):
            while sent < 20 * MEGABYTE:
                connection.sendall(line)
                sent += len(line)
        # What is on its way in the system is sent, too.
        assert sent < 20 * MEGABYTE
    assert len(embedded.asked) == (where == "second head")


def test_a_head_of_many_kilobytes_is_read(serve: Callable[..., Server]) -> None:
    assert asked(serve(), "host: localhost", *[f"x-{number}: {'y' * 1000}" for number in range(60)])[0] == 200


def test_requests_that_come_before_the_answer_to_the_first_are_answered_in_turn(serve: Callable[..., Server]) -> None:
    embedded = Embedded()
    embedded.faults.latency(0.2, times=1)
    server = serve(embedded, head_timeout=0.1)
    with connect(server) as connection:
        connection.sendall((head(1000) + b"x" * 1000) * 300 + head(2, "/last", "connection: close") + b"{}")
        received = rest(connection)
    assert received.count(b"HTTP/1.1 200 ") == 301
    assert [len(request.body) for request in embedded.asked] == [1000] * 300 + [2]


# Bodies.


@pytest.mark.parametrize("length", [100, None], ids=["length", "chunked"])
@pytest.mark.parametrize("credentials", [(), (KEYS,)], ids=["open", "signed"])
def test_a_body_that_drips_is_over_in_time(
    serve: Callable[..., Server], length: int | None, credentials: tuple[Credentials, ...]
) -> None:
    embedded = Embedded()
    server = serve(embedded, body_timeout=0.2, credentials=credentials)
    with connect(server) as connection:
        connection.sendall(head(length))
        connection.settimeout(0.01)
        limit = time.monotonic() + PATIENCE
        received = b""
        while not received:
            assert time.monotonic() < limit
            with suppress(ConnectionError):
                connection.sendall(b"x" if length else b"1\r\nx\r\n")
            with suppress(TimeoutError):
                received = connection.recv(65536)
        connection.settimeout(PATIENCE)
        received += rest(connection)
    expected = (403, "MissingAuthenticationToken") if credentials else (408, "RequestTimeoutException")
    assert answer(received)[:2] == expected
    assert b"\r\nconnection: close\r\n" in received
    assert embedded.asked == []


@pytest.mark.parametrize(
    ("length", "options", "expected"),
    [
        (10, {"credentials": [KEYS]}, 403),
        (MEGABYTE + 1, {}, 413),
        (10**18, {"credentials": [KEYS]}, 413),
    ],
)
def test_who_asks_before_sending_a_body_is_told_at_once_that_it_is_not_wanted(
    serve: Callable[..., Server], length: int, options: dict[str, Any], expected: int
) -> None:
    with connect(serve(**options)) as connection:
        connection.sendall(head(length, "/recommendations", "expect: 100-continue"))
        assert answer(rest(connection))[0] == expected


def everything_is_read(server: Server, connections: int) -> bool:
    """Whether nothing that was sent on so many connections waits in the system."""
    from fcntl import ioctl
    from termios import FIONREAD

    application: Any = server._uvicorn.config.app
    sockets = [line._transport.get_extra_info("socket") for line in tuple(application.lines._lines.values())]
    return len(sockets) == connections and not any(
        any(ioctl(one.fileno(), FIONREAD, bytes(4))) for one in sockets if one.fileno() >= 0
    )


@pytest.fixture
def memory() -> Iterator[Callable[[], int]]:
    """Bytes that this process has taken since."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()


@pytest.mark.skipif(os.name != "posix", reason="asks the system what was read")
@pytest.mark.parametrize("length", [MEGABYTE, None], ids=["length", "chunked"])
def test_unsigned_bodies_take_no_memory(
    serve: Callable[..., Server], memory: Callable[[], int], length: int | None
) -> None:
    embedded = Embedded()
    server = serve(embedded, credentials=[KEYS])
    content = head(length) + (b"%x\r\n" % (MEGABYTE - 1) if length is None else b"") + b"x" * (MEGABYTE - 1)
    before = room(server)
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(server)) for _ in range(200)]
        for connection in connections:
            connection.sendall(content)
        # They are 200 MB. What is read at once, up to 64 KB a connection, is given back at once.
        until(lambda: everything_is_read(server, 200) and memory() < 20 * MEGABYTE)
        assert room(server) == before
        for connection in connections:
            connection.sendall(b"x" if length else b"\r\n0\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 403"
    assert embedded.asked == []


def test_no_connection_is_read_in_large_pieces(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[int] = []
    read = connections._Watched.data_received

    def watch(connection: Any, data: bytes) -> None:
        pieces.append(len(data))
        read(connection, data)

    monkeypatch.setattr(connections._Watched, "data_received", watch)
    assert asked(serve(), "host: localhost", body=b"x" * MEGABYTE)[0] == 200
    assert sum(pieces) > MEGABYTE
    assert max(pieces) <= 1 << 16


@pytest.mark.skipif(os.name != "posix", reason="asks the system what was read")
@pytest.mark.parametrize("signed", [False, True], ids=["open", "claims a key"])
def test_bodies_under_way_have_a_limit_together(
    serve: Callable[..., Server], memory: Callable[[], int], signed: bool
) -> None:
    embedded = Embedded()
    server = serve(embedded, credentials=[KEYS] if signed else (), max_bodies=4 * MEGABYTE)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = f"{KEYS.access_key_id}/{stamp[:8]}/eu-west-1/personalize/aws4_request"
    claim = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature={'0' * 64}"
    lines = [f"authorization: {claim}", f"x-amz-date: {stamp}"] if signed else []
    content = head(MEGABYTE, "/recommendations", *lines) + b"x" * (MEGABYTE - 1)
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(server)) for _ in range(100)]
        for connection in connections:
            connection.sendall(content)
        until(lambda: everything_is_read(server, 100) and memory() < 20 * MEGABYTE)
        assert 0 <= room(server) <= 4 * MEGABYTE
        outcomes = set[bytes]()
        for connection in connections:
            connection.sendall(b"x")
            outcomes.add(connection.recv(12))
    assert b"HTTP/1.1 503" in outcomes <= {b"HTTP/1.1 503", b"HTTP/1.1 403" if signed else b"HTTP/1.1 200"}
    until(lambda: room(server) == 4 * MEGABYTE)
    assert asked(server, "host: localhost")[0] == (403 if signed else 200)


@pytest.mark.parametrize("keep", ["leaves", "too long", "too late"])
def test_room_is_given_back_whatever_becomes_of_a_body(serve: Callable[..., Server], keep: str) -> None:
    embedded = Embedded()
    server = serve(embedded, max_body=1000, body_timeout=0.2 if keep == "too late" else PATIENCE)
    before = room(server)
    with connect(server) as connection:
        connection.sendall(head(None) + b"1f4\r\n" + b"x" * 500)
        until(lambda: room(server) == before - 500)
        if keep == "too long":
            connection.sendall(b"\r\n1f5\r\n" + b"x" * 501 + b"\r\n0\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 413"
        elif keep == "too late":
            assert connection.recv(12) == b"HTTP/1.1 408"
    until(lambda: room(server) == before and not server._uvicorn.server_state.tasks)
    assert embedded.asked == []

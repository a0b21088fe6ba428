"""Our own reading and writing of HTTP: everything that a server or proxy may say, in any cut, from one byte up."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import gc
import importlib.util
import ipaddress
import itertools
import json
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions as theirs
from botocore.config import Config

from personalize_rt import (
    ConfigurationError,
    InvalidInputError,
    PersonalizeError,
    PersonalizeRuntime,
    ResponseError,
    RetryPolicy,
    ServerError,
    TransportError,
    ValidationError,
)
from personalize_rt.aio import AsyncPersonalizeRuntime
from personalize_rt.transport import sender
from personalize_rt.transport.attempt import Attempt
from personalize_rt.transport.http_answer import Reading

spec = importlib.util.spec_from_file_location("hostile_for_sender", Path(__file__).with_name("hostile.py"))
assert spec is not None
assert spec.loader is not None
hostile = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hostile)

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
BODY = b'{"itemList": [{"itemId": "i1", "score": 0.5}], "recommendationId": "RID-1"}'
JSON = b"content-type: application/json\r\n"
OK = b"HTTP/1.1 200 OK\r\n" + JSON + b"content-length: %d\r\n\r\n%b" % (len(BODY), BODY)


def chunked(body: bytes, size: int, *, extension: bytes = b"", trailers: bytes = b"") -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n%b\r\n" % (chunks, trailers)


class RawServer:
    """Answers a request with the bytes that it is given: ``(bytes, close afterwards)``, or a function of the socket."""

    def __init__(self, wrap: Callable[[socket.socket], socket.socket] = lambda it: it, family: int = socket.AF_INET):
        self.outcomes: list[Any] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self._wrap = wrap
        self._open: list[socket.socket] = []
        self._listener = socket.socket(family)
        self._listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self._listener.listen(128)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            connection.settimeout(10)
            connection = self._wrap(connection)
            self._open.append(connection)
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    data += (more := connection.recv(65536))
                    if not more:
                        return
                head, _, rest = data.partition(b"\r\n\r\n")
                length = next(
                    int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
                )
                while len(rest) < length:
                    rest += connection.recv(65536)
                self.requests.append(head + b"\r\n\r\n" + rest[:length])
                data = rest[length:]
                outcome = self.outcomes.pop(0) if self.outcomes else (OK, False)
                if callable(outcome):
                    outcome = outcome(connection)
                answer, close = outcome
                connection.sendall(answer)
                if close:
                    return
        except (OSError, ValueError):
            pass
        finally:
            connection.close()

    def close(self) -> None:
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def raw() -> Iterator[RawServer]:
    server = RawServer()
    yield server
    server.close()


@pytest.fixture
def once(session: Any, raw: RawServer) -> Iterator[PersonalizeRuntime]:
    with PersonalizeRuntime(session=session, endpoint_url=raw.url, retry=RetryPolicy(1), deadline=None) as runtime:
        yield runtime


def ask(runtime: PersonalizeRuntime, **arguments: Any) -> tuple[str, ...]:
    return runtime.get_recommendations(campaign_arn=ARN, **arguments).item_ids


# Whole answers, in every form


@pytest.mark.direct
@pytest.mark.parametrize(
    ("answer", "close", "reused"),
    [
        (OK, False, True),
        (OK.replace(b"OK\r\n", b"OK\r\nConnection: keep-alive\r\n"), False, True),
        (OK.replace(b"OK\r\n", b"OK\r\nconnection: close\r\n"), True, False),
        (OK.replace(b"OK\r\n", b"OK\r\nConnection: Close\r\n"), False, False),
        (OK.replace(b"200 OK", b"200"), False, True),
        (OK.replace(b"200 OK", b"200 "), False, True),
        (OK.replace(b"content-length: ", b"Content-Length:"), False, True),
        (OK.replace(b"content-length: ", b"CONTENT-LENGTH:    "), False, True),
        (OK.replace(b"HTTP/1.1", b"HTTP/1.0"), True, False),
        (OK.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"OK\r\n", b"OK\r\nConnection: keep-alive\r\n"), False, True),
        (b"HTTP/1.1 200 OK\r\n" + JSON + b"\r\n" + BODY, True, False),
        (b"HTTP/1.0 200 OK\r\n\r\n" + BODY, True, False),
        (b"HTTP/1.1 200 OK\r\n\r\n" + BODY, True, False),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, False, True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK, False, True),
        (chunked(BODY, 1), False, True),
        (chunked(BODY, 7), False, True),
        (chunked(BODY, 10_000), False, True),
        (chunked(BODY, 7, extension=b";name=value"), False, True),
        (chunked(BODY, 7, trailers=b"x-checksum: 1\r\nx-more: 2\r\n"), False, True),
        (chunked(BODY, 7).replace(b"chunked", b"Chunked"), False, True),
        (OK.replace(b"OK\r\n", b"OK\r\nx-long: " + b"y" * 20_000 + b"\r\n"), False, True),
        (OK.replace(b"OK\r\n", b"OK\r\n" + b"".join(b"x-%d: y\r\n" % n for n in range(90))), False, True),
    ],
)
@pytest.mark.parametrize("cut", [1 << 20, 1], ids=["at once", "byte by byte"])
def test_an_answer_is_read_whatever_its_form(
    answer: bytes, close: bool, reused: bool, cut: int, once: Any, raw: RawServer
) -> None:
    if cut == 1 and len(answer) > 1000:
        cut = 997

    def slowly(connection: socket.socket) -> tuple[bytes, bool]:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(answer), cut):
            connection.sendall(answer[at : at + cut])
        return b"", close

    raw.outcomes += [slowly, slowly]
    result = once.get_recommendations(campaign_arn=ARN)
    assert (result.item_ids, result.scores, result.recommendation_id) == (("i1",), (0.5,), "RID-1")
    assert ask(once) == ("i1",)
    assert raw.connections == (1 if reused else 2)


def test_a_large_answer_and_a_large_request(once: Any, raw: RawServer) -> None:
    rows = [{"itemId": f"item-{n}" + "x" * 240, "score": n / 500, "metadata": {"title": "ü" * 400}} for n in range(500)]
    body = json.dumps({"personalizedRanking": rows}).encode()
    raw.outcomes.append((b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body), False))
    items = [row["itemId"] for row in rows]
    ranking = once.get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=items)
    assert ranking.item_ids == tuple(items)
    assert json.loads(raw.requests[0].partition(b"\r\n\r\n")[2])["inputList"] == items
    assert ask(once) == ("i1",)
    assert raw.connections == 1


def test_an_error_without_a_body_leaves_the_connection_fit(once: Any, raw: RawServer) -> None:
    for status in (b"503 Service Unavailable", b"500"):
        raw.outcomes.append((b"HTTP/1.1 %b\r\ncontent-length: 0\r\n\r\n" % status, False))
        with pytest.raises(ServerError):
            ask(once)
    assert ask(once) == ("i1",)
    assert raw.connections == 1


def test_an_answer_without_content_is_none(once: Any, raw: RawServer) -> None:
    raw.outcomes.append((b"HTTP/1.1 204 No Content\r\n\r\n", False))
    with pytest.raises(ResponseError):
        ask(once)
    assert ask(once) == ("i1",)


# Answers that break off, or are none


@pytest.mark.direct
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"H",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"HTTP/1.1 200 OK\r\ncontent-length: 70\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 70\r\n\r\n" + BODY[:20],
        chunked(BODY, 7)[:90],
        chunked(BODY, 7)[:-3],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
    ],
    ids=range(8),
)
def test_a_connection_that_breaks_is_a_transport_error_and_may_be_tried_again(
    answer: bytes, session: Any, raw: RawServer
) -> None:
    raw.outcomes += [(answer, True), (answer, True)]
    policy = RetryPolicy(2, sleep=lambda _: None)
    with PersonalizeRuntime(session=session, endpoint_url=raw.url, retry=policy) as runtime:
        with pytest.raises(TransportError) as caught:
            ask(runtime)
        assert (caught.value.phase, caught.value.attempts, len(raw.requests)) == ("read", 2, 2)
        assert isinstance(caught.value, theirs.HTTPClientError)
        raw.outcomes.append((answer, True))
        assert runtime.get_recommendations(campaign_arn=ARN).info.attempts == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"hello\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{} ",
        b"HTTP/1.1 200 OK\r\ncontent-length: \xc2\xb2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000 + b"\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x50",
    ],
    ids=range(11),
)
def test_what_is_not_http_is_an_error_of_ours_and_the_connection_is_dropped(
    answer: bytes, once: Any, raw: RawServer
) -> None:
    raw.outcomes.append((answer, True))
    with pytest.raises((TransportError, ResponseError)):
        ask(once)
    assert ask(once) == ("i1",)
    assert raw.connections == 2


@pytest.mark.direct
def test_bytes_after_an_answer_are_not_the_start_of_the_next(once: Any, raw: RawServer) -> None:
    stray = OK.replace(b"i1", b"XX")
    raw.outcomes.append((OK + stray, False))
    assert ask(once) == ("i1",)
    assert ask(once) == ("i1",)
    assert raw.connections == 2


def test_an_answer_that_comes_too_late_is_not_the_next_ones(session: Any, raw: RawServer) -> None:
    late = threading.Event()

    def too_late(connection: socket.socket) -> tuple[bytes, bool]:
        late.wait(5)
        return OK.replace(b"i1", b"XX"), False

    raw.outcomes.append(too_late)
    config = Config(read_timeout=0.2)
    with PersonalizeRuntime(session=session, endpoint_url=raw.url, retry=RetryPolicy(1), config=config) as runtime:
        with pytest.raises(TransportError):
            ask(runtime)
        late.set()
        assert [ask(runtime) for _ in range(5)] == [("i1",)] * 5
    assert raw.connections == 2


def test_an_interrupt_while_an_answer_is_read_does_not_leave_it_to_the_next(once: Any, raw: RawServer) -> None:
    import signal

    def never(connection: socket.socket) -> tuple[bytes, bool]:
        connection.sendall(OK[:30])
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        time.sleep(0.1)
        return OK[30:].replace(b"i1", b"XX"), False

    raw.outcomes.append(never)
    with pytest.raises(KeyboardInterrupt):
        ask(once)
    assert ask(once) == ("i1",)


# Answers that come before the request is read


@pytest.fixture
def small_buffers(monkeypatch: pytest.MonkeyPatch, nobody_watches: None) -> None:
    """Sending takes until the server reads: no request fits into what this machine keeps of it."""
    connect = socket.socket.connect

    def connect_small(connection: socket.socket, address: Any) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        connect(connection, address)

    monkeypatch.setattr(socket.socket, "connect", connect_small)


def send_much(url: str, session: Any, **config: Any) -> Any:
    with PersonalizeRuntime(
        session=session, endpoint_url=url, config=Config(**config), deadline=None, retry=RetryPolicy(3, base=0)
    ) as runtime:
        return runtime.get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=hostile.MANY)


@pytest.mark.parametrize("form", hostile.REFUSALS)
@pytest.mark.parametrize("after", [50, 20_000])
def test_a_refusal_that_comes_before_the_request_is_read_is_told_and_not_sent_again(
    form: str, after: int, session: Any, small_buffers: None
) -> None:
    with hostile.RefusingServer(hostile.REFUSALS[form], after=after) as server:
        with pytest.raises(InvalidInputError) as caught:
            send_much(server.url, session)
        assert (caught.value.status_code, caught.value.attempts, server.connections) == (413, 1, 1)


@pytest.mark.direct
def test_a_refusal_of_a_server_that_stays_is_told_when_the_time_is_over(session: Any, small_buffers: None) -> None:
    with hostile.RefusingServer(hostile.REFUSALS["counted"], after=50, stays=True) as server:
        with pytest.raises(InvalidInputError) as caught:
            send_much(server.url, session, read_timeout=0.2)
        assert (caught.value.status_code, server.connections) == (413, 1)


@pytest.mark.direct
def test_half_a_request_has_no_good_answer(session: Any, small_buffers: None) -> None:
    body = BODY.replace(b"itemList", b"personalizedRanking")
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    with hostile.RefusingServer(answer, after=50) as server:
        with pytest.raises(TransportError) as caught:
            send_much(server.url, session)
        assert (caught.value.attempts, server.connections) == (3, 3)


# Connections


def test_connections_are_kept_and_reused(once: Any, raw: RawServer) -> None:
    for _ in range(5):
        ask(once)
    assert raw.connections == 1


def test_a_connection_that_the_server_closed_meanwhile_costs_no_attempt(once: Any, raw: RawServer) -> None:
    for n in range(3):
        raw.outcomes.append((OK, True))  # it promises to keep the connection, and does not
        assert ask(once) == ("i1",)
        time.sleep(0.05)
        assert raw.connections == n + 1
    assert len(raw.requests) == 3


def test_more_threads_than_connections_in_the_pool(session: Any, raw: RawServer) -> None:
    config = Config(max_pool_connections=2)
    with (
        PersonalizeRuntime(session=session, endpoint_url=raw.url, config=config) as runtime,
        ThreadPoolExecutor(16) as pool,
    ):

        def call(n: int) -> str:
            return ask(runtime, user_id=f"u{n}")[0]

        assert list(pool.map(call, range(200))) == ["i1"] * 200
    assert len(raw.requests) == 200
    users = {json.loads(request.partition(b"\r\n\r\n")[2])["userId"] for request in raw.requests}
    assert len(users) == 200


def test_threads_get_the_answers_to_their_own_requests(session: Any, server: Any) -> None:
    server.always(lambda request: {"itemList": [{"itemId": request.members["userId"]}]})
    with PersonalizeRuntime(session=session, endpoint_url=server.url) as runtime, ThreadPoolExecutor(8) as pool:
        names = [f"u{n}" for n in range(200)]
        assert list(pool.map(lambda name: ask(runtime, user_id=name)[0], names)) == names


def test_closing_closes_connections_and_those_under_way_end(session: Any, raw: RawServer) -> None:
    runtime = PersonalizeRuntime(session=session, endpoint_url=raw.url)
    ask(runtime)
    (connection,) = raw._open
    runtime.close()
    deadline = time.monotonic() + 5
    while connection.fileno() != -1 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert connection.fileno() == -1


@pytest.mark.direct
@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"OK\r\n", b"OK\r\nconnection: close\r\n"),
        OK + b"stray",
        b"HTTP/1.1 200 OK\r\n\r\n" + BODY,
        b"junk\r\n\r\n",
    ],
    ids=["close", "stray bytes", "no length", "no HTTP"],
)
def test_a_connection_that_cannot_be_used_again_is_closed_before_others_can_take_it(
    answer: bytes, session: Any, raw: RawServer, monkeypatch: Any
) -> None:
    from personalize_rt.transport.connections import Connections

    put_back: list[bool] = []
    put = Connections.give_back

    def look(self: Any, connection: Any, *, reusable: bool) -> None:
        put(self, connection, reusable=reusable)
        put_back.append(connection.sock.fileno() != -1)

    monkeypatch.setattr(Connections, "give_back", look)
    raw.outcomes.append((answer, True))
    with PersonalizeRuntime(session=session, endpoint_url=raw.url, retry=RetryPolicy(1)) as runtime:
        with contextlib.suppress(TransportError):
            ask(runtime)
        assert not any(put_back)
        ask(runtime)
    assert put_back[-1]


@pytest.mark.direct
def test_a_pool_that_was_closed_meanwhile_is_no_error_of_urllib3s(once: Any, raw: RawServer) -> None:
    raw.outcomes.append((OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1), True))
    ask(once)  # no connection is kept
    session = once._transport.client()._endpoint.http_session
    # What another thread's close() does between the look-up of the pool and its use.
    session._manager.clear()
    assert ask(once) == ("i1",)
    once._transport._ways._sender.close()
    assert ask(once) == ("i1",)


def test_a_host_that_cannot_be_a_name_is_an_error_of_ours(session: Any) -> None:
    endpoint = f"http://{'a' * 64}.invalid"
    with (
        PersonalizeRuntime(session=session, endpoint_url=endpoint, retry=RetryPolicy(1)) as runtime,
        pytest.raises((ConfigurationError, TransportError)),
    ):
        ask(runtime)


def test_no_socket_is_left_open(session: Any, raw: RawServer, recwarn: Any) -> None:
    raw.outcomes += [(OK, False), (b"", True), (b"nonsense\r\n\r\n", True), (OK, False)]
    with PersonalizeRuntime(session=session, endpoint_url=raw.url, retry=RetryPolicy(1)) as runtime:
        for _ in range(4):
            with contextlib.suppress(TransportError):
                ask(runtime)
    del runtime
    gc.collect()
    assert [str(warning.message) for warning in recwarn if issubclass(warning.category, ResourceWarning)] == []


def test_keep_alive_is_on_for_the_sockets(session: Any, raw: RawServer) -> None:
    with PersonalizeRuntime(session=session, endpoint_url=raw.url) as runtime:
        ask(runtime)
        ours = [each for each in gc.get_objects() if type(each) is socket.socket and peer_of(each) == raw.port]
        assert ours
        assert all(each.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) for each in ours)


def peer_of(connection: socket.socket) -> int | None:
    """The port at the other end, if it is connected."""
    try:
        return int(connection.getpeername()[1])
    except OSError:
        return None


# Time-outs


def test_a_server_that_drips_is_given_up_or_answered_by_the_read_time_out(session: Any, raw: RawServer) -> None:
    over = threading.Event()

    def silent(connection: socket.socket) -> tuple[bytes, bool]:
        connection.sendall(OK[:40])
        over.wait(30)
        return b"", True

    raw.outcomes.append(silent)
    config = Config(read_timeout=0.1)
    start = time.monotonic()
    with (
        PersonalizeRuntime(session=session, endpoint_url=raw.url, retry=RetryPolicy(1), config=config) as runtime,
        pytest.raises(TransportError) as caught,
    ):
        ask(runtime)
    assert caught.value.phase == "read"
    assert time.monotonic() - start < 20
    over.set()


def test_a_server_that_accepts_nothing_runs_into_the_connect_time_out(session: Any) -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    try:
        for _ in range(4):  # fills the queue; further connections are not answered
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        time.sleep(0.05)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = Config(connect_timeout=0.1, read_timeout=5)
        start = time.monotonic()
        with (
            PersonalizeRuntime(session=session, endpoint_url=url, retry=RetryPolicy(1), config=config) as runtime,
            pytest.raises(TransportError) as caught,
        ):
            ask(runtime)
        assert caught.value.phase == "connect"
        assert time.monotonic() - start < 20
    finally:
        for filler in fillers:
            filler.close()
        listener.close()


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: Any) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key, in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "personalize-rt tests")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path: Path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@pytest.fixture
def tls(certificate: Path) -> Iterator[RawServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = RawServer(lambda connection: context.wrap_socket(connection, server_side=True))
    server.url = server.url.replace("http:", "https:")
    yield server
    server.close()


def test_a_certificate_that_nobody_vouches_for_is_refused_and_nothing_is_sent(
    session: Any, tls: RawServer, fake_time: Any
) -> None:
    policy = RetryPolicy(clock=fake_time.clock, sleep=fake_time.sleep)
    with (
        PersonalizeRuntime(session=session, endpoint_url=tls.url, retry=policy) as runtime,
        pytest.raises(TransportError) as caught,
    ):
        ask(runtime, user_id="ada@example.org")
    assert (caught.value.phase, caught.value.attempts) == ("tls", 1)
    assert (tls.requests, fake_time.slept) == ([], [])


@pytest.mark.direct  # urllib3 takes the reset for a failure of TLS
@pytest.mark.parametrize("form", hostile.REFUSALS)
def test_a_refusal_that_comes_before_the_request_is_read_is_told_under_tls_too(
    form: str, certificate: Path, monkeypatch: Any, small_buffers: None
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with hostile.RefusingServer(hostile.REFUSALS[form], after=50, tls=context) as server:
        with pytest.raises(InvalidInputError) as caught:
            send_much(server.url, None, region_name="eu-west-1")
        assert (caught.value.status_code, caught.value.attempts, server.connections) == (413, 1, 1)


def test_a_ca_bundle_of_the_environment_is_honoured(tls: RawServer, certificate: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    with PersonalizeRuntime(region_name="eu-west-1", endpoint_url=tls.url) as runtime:
        assert ask(runtime) == ("i1",)
        assert ask(runtime) == ("i1",)
    assert tls.connections == 1


@pytest.mark.direct
def test_certificates_are_loaded_with_the_client_and_not_for_each_connection(
    tls: RawServer, certificate: Path, monkeypatch: Any, nobody_watches: None
) -> None:
    """It takes tens of milliseconds, which would be the deadline's of whoever connects."""
    loaded: list[Any] = []
    load = ssl.SSLContext.load_verify_locations

    def counted(self: Any, *args: Any, **kwargs: Any) -> None:
        loaded.append(args)
        load(self, *args, **kwargs)

    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counted)
    tls.outcomes += [(OK, True)] * 3
    with PersonalizeRuntime(region_name="eu-west-1", endpoint_url=tls.url) as runtime:
        runtime.connect()
        assert len(loaded) == 1
        for _ in range(3):
            assert ask(runtime) == ("i1",)
    assert (tls.connections, len(loaded)) == (3, 1)


def test_a_bundle_that_cannot_be_loaded_is_a_tls_error(tls: RawServer, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "nothing"))
    with PersonalizeRuntime(region_name="eu-west-1", endpoint_url=tls.url, retry=RetryPolicy(1)) as runtime:
        with pytest.raises(TransportError) as caught:
            ask(runtime)
    assert caught.value.phase == "tls"
    assert tls.requests == []


def test_verification_is_what_the_config_of_the_machine_says(
    tls: RawServer, certificate: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    profile = tmp_path / "config"
    profile.write_text(f"[default]\nca_bundle = {certificate}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(profile))
    with PersonalizeRuntime(region_name="eu-west-1", endpoint_url=tls.url) as runtime:
        assert ask(runtime) == ("i1",)


def test_verify_is_what_boto3_takes(tls: RawServer, certificate: Path, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "nothing"))
    with PersonalizeRuntime(region_name="eu-west-1", endpoint_url=tls.url, verify=str(certificate)) as runtime:
        assert ask(runtime) == ("i1",)
    with warnings.catch_warnings(action="ignore"):  # on other ways than direct, urllib3 warns
        with PersonalizeRuntime(region_name="eu-west-1", endpoint_url=tls.url, verify=False) as trusting:
            assert ask(trusting) == ("i1",)
    sent = len(tls.requests)
    with PersonalizeRuntime(region_name="eu-west-1", endpoint_url=tls.url, verify=True, retry=RetryPolicy(1)) as strict:
        with pytest.raises(TransportError) as caught:
            ask(strict)
    assert caught.value.phase == "tls"
    assert len(tls.requests) == sent


def test_verify_is_what_boto3_takes_on_an_event_loop(tls: RawServer, certificate: Path) -> None:
    async def asked(verify: bool | str) -> tuple[str, ...]:
        options = {"region_name": "eu-west-1", "endpoint_url": tls.url, "retry": RetryPolicy(1)}
        async with AsyncPersonalizeRuntime(verify=verify, **options) as runtime:  # type: ignore[arg-type]
            return (await runtime.get_recommendations(campaign_arn=ARN, user_id="u")).item_ids

    with warnings.catch_warnings(action="ignore"):
        assert asyncio.run(asked(str(certificate))) == asyncio.run(asked(False)) == ("i1",)
    with pytest.raises(TransportError):
        asyncio.run(asked(True))


def test_verify_is_of_a_client_to_build_and_a_path_is_text(certificate: Path) -> None:
    for wrong in (certificate, 1):
        with pytest.raises(ValidationError, match=r"verify is .*, neither the path of a CA bundle") as caught:
            PersonalizeRuntime(region_name="eu-west-1", verify=wrong)  # type: ignore[arg-type]
        assert caught.value.parameter == "verify"
    with pytest.raises(ValidationError, match="verify says how to build a client, and a client is given"):
        PersonalizeRuntime(client=object(), verify=False)


def test_a_client_certificate_is_shown_to_the_server(certificate: Path, session: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    shown: list[Any] = []

    def wrap(connection: socket.socket) -> socket.socket:
        secure = context.wrap_socket(connection, server_side=True)
        shown.append(secure.getpeercert())
        return secure

    with contextlib.closing(RawServer(wrap)) as server:
        url = server.url.replace("http:", "https:")
        with (
            PersonalizeRuntime(region_name="eu-west-1", endpoint_url=url, retry=RetryPolicy(1)) as without,
            pytest.raises(TransportError),
        ):
            ask(without)
        config = Config(client_cert=str(certificate))
        with PersonalizeRuntime(region_name="eu-west-1", endpoint_url=url, config=config) as runtime:
            assert ask(runtime) == ("i1",)
    assert "personalize-rt tests" in str(shown)
    assert len(server.requests) == 1


def test_a_certificate_for_another_name_is_refused(tls: RawServer, certificate: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    url = tls.url.replace("127.0.0.1", "localhost")
    with (
        PersonalizeRuntime(region_name="eu-west-1", endpoint_url=url, retry=RetryPolicy(1)) as runtime,
        pytest.raises(TransportError) as caught,
    ):
        ask(runtime)
    assert caught.value.phase == "tls"
    assert tls.requests == []


# Where it is sent


def test_a_proxy_is_used(session: Any, raw: RawServer) -> None:
    config = Config(proxies={"http": raw.url})
    endpoint = "http://personalize.invalid"
    with PersonalizeRuntime(session=session, endpoint_url=endpoint, config=config) as runtime:
        assert ask(runtime) == ("i1",)
    assert raw.requests[0].startswith(b"POST http://personalize.invalid/recommendations HTTP/1.1\r\n")


def test_a_host_of_no_proxy_is_asked_without_one(raw: RawServer, monkeypatch: Any) -> None:
    with contextlib.closing(RawServer()) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with PersonalizeRuntime(region_name="eu-west-1", endpoint_url=raw.url) as runtime:
            assert ask(runtime) == ("i1",)
        assert (len(proxy.requests), len(raw.requests)) == (1, 0)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with PersonalizeRuntime(region_name="eu-west-1", endpoint_url=raw.url) as runtime:
            assert ask(runtime) == ("i1",)
        assert (len(proxy.requests), len(raw.requests)) == (1, 1)


def test_a_header_with_a_line_break_is_refused_as_ever(session: Any, raw: RawServer) -> None:
    def inject(request: Any, **_: Any) -> None:
        request.headers["x-mine"] = "a\r\nx-evil: 1"

    with PersonalizeRuntime(session=session, endpoint_url=raw.url, retry=RetryPolicy(1)) as runtime:
        runtime._transport.client().meta.events.register("before-send.personalize-runtime", inject)
        with pytest.raises((ValueError, PersonalizeError)):
            ask(runtime)
    assert raw.requests == []


def test_a_proxy_that_is_not_there_is_a_transport_error(session: Any) -> None:
    config = Config(proxies={"http": "http://127.0.0.1:9"})
    options = {"session": session, "endpoint_url": "http://personalize.invalid", "config": config}
    with PersonalizeRuntime(**options, retry=RetryPolicy(1)) as runtime, pytest.raises(TransportError) as caught:
        ask(runtime)
    assert caught.value.phase == "connect"


@pytest.mark.parametrize("path", ["", "/", "/prefix", "/prefix/"])
def test_an_endpoint_may_have_a_path(path: str, session: Any, raw: RawServer) -> None:
    with PersonalizeRuntime(session=session, endpoint_url=raw.url + path) as runtime:
        assert ask(runtime) == ("i1",)
    assert raw.requests[0].startswith(b"POST %b/recommendations HTTP/1.1\r\n" % path.rstrip("/").encode())


def test_an_ipv6_endpoint(session: Any) -> None:
    try:
        server = RawServer(family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    url = f"http://[::1]:{server.port}"
    with PersonalizeRuntime(session=session, endpoint_url=url) as runtime:
        assert ask(runtime) == ("i1",)
    assert b"\r\nHost: [::1]:%d\r\n" % server.port in server.requests[0]
    server.close()


# Floods


def test_the_clock_is_looked_at_between_small_pieces_of_what_came() -> None:
    reading = Reading()
    reading.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    with pytest.raises(TimeoutError):
        sender._fed(reading, b"1\r\na\r\n" * 10_000, Attempt(ends=time.monotonic() - 1))


@pytest.mark.parametrize(("busy", "pauses"), [(0.001, 14), (0.0, 0)])
def test_a_thread_that_is_busy_reading_lets_others_look_at_their_clocks(
    busy: float, pauses: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent, paused = itertools.count(), list[float]()
    monkeypatch.setattr(sender.time, "thread_time", lambda: next(spent) * busy)
    monkeypatch.setattr(sender.time, "sleep", paused.append)
    reading = Reading()
    reading.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert sender._fed(reading, b"1\r\na\r\n" * 9_500, Attempt()) is None
    assert len(paused) == pauses


@pytest.mark.parametrize("more", [b"", b"x", b"x" * 10_000], ids=len)
def test_bytes_after_an_answer_end_its_connection_however_many_there_are(more: bytes) -> None:
    answer = sender._fed(Reading(), b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" + more, Attempt())
    assert answer is not None
    assert (answer.body, answer.reusable) == (b"{}", not more)

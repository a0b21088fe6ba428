"""The HTTP door on 127.0.0.1: the same bytes, who may call, what goes wrong on purpose, how it starts and ends."""

from __future__ import annotations

import http.client
import inspect
import json
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import attrs
import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as BotoCredentials
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from botocore.httpsession import URLLib3Session

from personalize_rt.errors import ConfigurationError, PersonalizeError, ValidationError
from personalize_rt.local import LocalPersonalize
from personalize_rt.local.events import RecordedEvent
from personalize_rt.local.faults import Faults
from personalize_rt.local.journal import Journal
from personalize_rt.local.server import Server, find_credentials, serving
from personalize_rt.local.sigv4 import Credentials
from personalize_rt.local.wire import HttpRequest, HttpResponse

pytest.importorskip("uvicorn", reason="the extra [server] is not installed")
pytest.importorskip("starlette", reason="the extra [server] is not installed")
from personalize_rt.local import connections

CAMPAIGN = "arn:aws:personalize:eu-west-1:000000000000:campaign/movies-ranking"
ITEMS = [{"itemId": f"tt{number:07}", "score": 0.0123456} for number in range(5)]
KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
LIMIT = 2000  # bytes of a body


@attrs.define
class Embedded:
    """Stands for an embedded Personalize: answers as it is told, and keeps what it was asked."""

    faults: Faults = attrs.field(factory=Faults)
    answer: Callable[[HttpRequest], HttpResponse] | None = None
    reload: Callable[[], None] = lambda: None
    requests: Journal = attrs.field(factory=Journal)
    recorded_events: tuple[RecordedEvent, ...] = ()
    asked: list[HttpRequest] = attrs.field(factory=list)

    def handle(self, request: HttpRequest) -> HttpResponse:
        self.asked.append(request)
        if self.answer is not None:
            return self.answer(request)
        body = json.dumps({"itemList": ITEMS, "recommendationId": "RID-1"}).encode()
        return HttpResponse(
            200,
            {"content-type": "application/json", "x-amzn-requestid": "r-1", "content-length": str(len(body))},
            body,
        )


@attrs.frozen
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        return self.headers.get("x-amzn-errortype")


def send(
    url: str,
    path: str = "/recommendations",
    content: Any = b"{}",
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """One request of a client that knows nothing of AWS."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return Reply(response.status, {name.lower(): text for name, text in response.getheaders()}, response.read())
    finally:
        connection.close()


def signed(url: str, path: str, body: bytes, keys: Credentials = KEYS, method: str = "POST") -> dict[str, str]:
    request = AWSRequest(method, url + path, data=body, headers={"Content-Type": "application/json"})
    credentials = BotoCredentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
    auth.SigV4Auth(credentials, "personalize", "eu-west-1").add_auth(request)
    return dict(request.headers.items())


@pytest.fixture(scope="module", params=["h11", "httptools"])
def one_server(request: pytest.FixtureRequest) -> Iterator[tuple[Embedded, str]]:
    """With both protocol classes of uvicorn, whichever it would take by itself."""
    if request.param == "httptools":
        pytest.importorskip("httptools")
    module = import_module(f"uvicorn.protocols.http.{request.param}_impl")
    protocol = getattr(module, {"h11": "H11Protocol", "httptools": "HttpToolsProtocol"}[request.param])
    embedded = Embedded()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "AutoHTTPProtocol", protocol)
        with serving(embedded, credentials=(), max_body=LIMIT) as url:
            yield embedded, url


@pytest.fixture
def embedded(one_server: tuple[Embedded, str]) -> Iterator[Embedded]:
    embedded, _ = one_server
    yield embedded
    embedded.faults.clear()
    embedded.asked.clear()
    embedded.answer, embedded.reload = None, lambda: None


@pytest.fixture
def url(embedded: Embedded, one_server: tuple[Embedded, str]) -> str:
    return one_server[1]


@pytest.fixture
def client(session: Any, url: str) -> Iterator[Callable[..., Any]]:
    """Makes boto3 clients that do not retry."""
    made = []

    def make(endpoint: str = url, *, keys: Credentials = KEYS, read_timeout: float = 5.0) -> Any:
        config = Config(retries={"total_max_attempts": 1, "mode": "standard"}, read_timeout=read_timeout)
        made.append(
            session.client(
                "personalize-runtime",
                endpoint_url=endpoint,
                config=config,
                aws_access_key_id=keys.access_key_id,
                aws_secret_access_key=keys.secret_access_key,
                aws_session_token=keys.session_token,
            )
        )
        return made[-1]

    yield make
    for each in made:
        each.close()


def recommend(client: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = client.get_recommendations(campaignArn=CAMPAIGN, userId="u")["itemList"]
    return items


# The operations.


def test_a_request_arrives_and_an_answer_leaves_byte_for_byte(embedded: Embedded, url: str) -> None:
    answered = HttpResponse(404, {"content-length": "3", "x-amzn-errortype": "Any", "x-note": "\xfc"}, b"\x00\xff!")
    embedded.answer = lambda _: answered
    reply = send(url, "/any%2Fpath/?q=%20", b"\xff\x00", method="PUT", headers={"X-Note": "one, two"})
    (asked,) = embedded.asked
    assert (asked.method, asked.path, asked.body) == ("PUT", "/any%2Fpath/", b"\xff\x00")
    assert asked.headers["x-note"] == "one, two"
    assert (reply.status, reply.body) == (404, b"\x00\xff!")
    assert reply.headers["date"].endswith("GMT")
    assert reply.headers == {**answered.headers, "date": reply.headers["date"]}


def test_the_sample_is_answered_over_http_byte_for_byte_as_in_process() -> None:
    # Two of them, since every answer takes the next id.
    here, there = (LocalPersonalize.sample(clock=lambda: 1_590_530_575.0) for _ in range(2))
    campaign = "arn:aws:personalize:eu-west-1:000000000000:campaign/"
    films = ["tt0468569", "tt0111161", "tt9999999"]
    ranking = {"campaignArn": f"{campaign}movies-ranking", "userId": "16036", "inputList": films}
    requests = [
        ("POST", "/personalize-ranking", json.dumps(ranking).encode()),
        ("POST", "/recommendations", json.dumps({"campaignArn": f"{campaign}popular-movies"}).encode()),
        ("POST", "/action-recommendations", json.dumps({"campaignArn": f"{campaign}offers", "userId": "1"}).encode()),
        ("POST", "/recommendations", json.dumps({"campaignArn": f"{campaign}nothing"}).encode()),
        ("POST", "/recommendations", b"no json"),
        ("GET", "/recommendations", b""),
        ("POST", "/", b"{}"),
    ]
    statuses = []
    with serving(Embedded(answer=there.handle), credentials=()) as url:
        for method, path, body in requests:
            expected = here.handle(HttpRequest(method, path, {}, body))
            reply = send(url, path, body, method=method)
            assert (reply.status, reply.headers, reply.body) == (expected.status, expected.headers, expected.body)
            statuses.append(reply.status)
    assert statuses == [200, 200, 200, 400, 400, 404, 404]


def test_the_date_of_an_answer_is_its_own_where_it_has_one(embedded: Embedded, url: str) -> None:
    date = "Tue, 26 May 2020 22:02:55 GMT"
    embedded.answer = lambda _: HttpResponse(200, {"date": date, "content-length": "2"}, b"{}")
    assert send(url).headers == {"date": date, "content-length": "2"}


def test_repeated_headers_arrive_as_one(embedded: Embedded, url: str) -> None:
    lines = "POST /recommendations HTTP/1.1\r\nhost: localhost\r\nx-a: 1\r\nx-a: 2\r\ncontent-length: 0\r\n\r\n"
    with socket.create_connection(address(url), timeout=5) as connection:
        connection.sendall(lines.encode())
        assert connection.recv(12) == b"HTTP/1.1 200"
    assert embedded.asked[0].headers["x-a"] == "1, 2"


def test_a_boto3_client_needs_nothing_but_the_url(client: Callable[..., Any]) -> None:
    assert recommend(client()) == ITEMS


def test_one_connection_serves_many_requests_in_turn(embedded: Embedded, url: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    taken: list[float] = []
    for _ in range(30):
        before = time.monotonic()
        connection.request("POST", "/recommendations", b"{}")
        assert connection.getresponse().read()
        taken.append(time.monotonic() - before)
    connection.close()
    assert len(embedded.asked) == 30
    # With Nagle's algorithm at work, nearly all would wait for 40 ms; on a busy machine some do anyway.
    assert sorted(taken)[9] < 0.035


def test_a_defect_of_the_engine_is_status_500_and_its_log_shows_no_value(
    embedded: Embedded, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(request: HttpRequest) -> HttpResponse:
        raise KeyError(request.body.decode())

    embedded.answer = fail
    reply = send(url, content=b"user-4711")
    assert (reply.status, reply.code) == (500, "InternalFailure")
    assert "user-4711" not in reply.body.decode() + caplog.text
    assert "KeyError" in caplog.text
    assert "in fail" in caplog.text
    embedded.answer = None
    assert send(url).status == 200


# Limits.


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_status_413(embedded: Embedded, url: str, chunked: bool) -> None:
    assert send(url, content=b"x" * LIMIT).status == 200
    embedded.asked.clear()
    body = b"x" * (LIMIT + 1)
    headers = {"transfer-encoding": "chunked"} if chunked else {}
    content = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    reply = send(url, content=content, headers=headers)
    assert (reply.status, reply.code) == (413, "RequestEntityTooLargeException")
    assert reply.content == {"message": "the body is longer than 2,000 bytes"}
    assert len(reply.headers["x-amzn-requestid"]) == 36
    assert embedded.asked == []


def test_a_body_without_end_is_not_read_to_its_end(embedded: Embedded, url: str) -> None:
    with socket.create_connection(address(url), timeout=5) as connection:
        connection.sendall(b"POST /recommendations HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000000\r\n\r\n")
        try:
            for _ in range(1000):
                connection.sendall(b"x" * LIMIT)
        except OSError:
            return  # closed under our hands: that is what is wanted
        assert connection.recv(12) == b"HTTP/1.1 413"
    assert embedded.asked == []


def test_a_client_that_leaves_before_its_body_is_whole_asks_nothing(embedded: Embedded, url: str) -> None:
    with socket.create_connection(address(url), timeout=5) as connection:
        connection.sendall(b"POST /recommendations HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nfive!")
    assert send(url).status == 200
    assert len(embedded.asked) == 1


# What is not HTTP.


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # TLS
        b"POST /recommendations HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
        b"POST /recommendations HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        b"POST /recommendations HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"POST /recommendations HTTP/1.1\r\nhost: localhost\r\nx: a\x00b\r\ncontent-length: 2\r\n\r\n{}",
    ],
    ids=lambda sent: repr(sent[:40]),
)
def test_what_is_not_http_is_refused_with_the_documented_code(embedded: Embedded, url: str, sent: bytes) -> None:
    with socket.create_connection(address(url), timeout=5) as connection:
        connection.sendall(sent)
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert (response.status, response.getheader("x-amzn-errortype")) == (400, "MalformedHttpRequestException")
        assert len(response.getheader("x-amzn-requestid") or "") == 36
        assert json.loads(response.read()) == {"message": "this is not HTTP"}
        assert connection.recv(1) == b""
    assert embedded.asked == []


# Beside the operations.


def test_healthz_says_that_it_is_well(embedded: Embedded, url: str) -> None:
    embedded.faults.fail(503)
    for method in ("GET", "HEAD"):
        reply = send(url, "/healthz", method=method)
        assert reply.status == 200
    assert send(url, "/healthz", method="GET").content == {"status": "ok"}
    assert send(url, "/healthz").status == 405
    assert embedded.asked == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/_local/", 404),
        ("GET", "/_local/other", 404),
        ("PUT", "/_local/faults", 405),
        ("GET", "/_local/reload", 405),
    ],
)
def test_other_admin_paths_and_methods_are_refused_in_json(url: str, method: str, path: str, status: int) -> None:
    reply = send(url, path, method=method)
    assert reply.status == status
    assert reply.content.keys() == {"message"}


def test_faults_are_made_listed_and_taken_out_over_http(embedded: Embedded, url: str) -> None:
    made = send(url, "/_local/faults", {"fault": "throttle", "times": 2})
    assert (made.status, made.content) == (201, {"id": 1, "fault": "throttle", "times": 2, "fired": 0, "left": 2})
    send(url, "/_local/faults", {"fault": "fail", "status": 503})
    assert send(url).code == "ThrottlingException"
    listed = send(url, "/_local/faults", method="GET").content["faults"]
    assert [(rule["fault"], rule["fired"], rule["left"]) for rule in listed] == [("throttle", 1, 1), ("fail", 0, None)]
    left = send(url, "/_local/faults/1", method="DELETE")
    assert (left.status, [rule["id"] for rule in left.content["faults"]]) == (200, [2])
    for id in ("1", "one", "-1", "²", "9" * 5000):
        missing = send(url, f"/_local/faults/{quote(id)}", method="DELETE")
        assert (missing.status, missing.content.keys()) == (404, {"message"})
    assert send(url).code == "ServiceUnavailable"
    assert send(url, "/_local/faults", method="DELETE").content == {"faults": []}
    assert send(url).status == 200


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"[" * 1900, {"fault": "explode"}, {"fault": "hang", "times": 0}]
)
def test_a_fault_of_another_form_is_refused(embedded: Embedded, url: str, content: Any) -> None:
    reply = send(url, "/_local/faults", content)
    assert reply.status == 400
    assert reply.content["message"]
    assert embedded.faults.rules == ()


def test_a_web_page_cannot_use_the_admin_paths(embedded: Embedded, url: str) -> None:
    for path in ("/_local/faults", "/_local/reload"):
        reply = send(url, path, {"fault": "hang"}, headers={"Origin": "https://example.com"})
        assert (reply.status, reply.code) == (403, "AccessDeniedException")
    assert embedded.faults.rules == ()


def test_the_data_are_read_again_on_request(embedded: Embedded, url: str) -> None:
    reads: list[int] = []
    embedded.reload = lambda: reads.append(1)
    server = Server(embedded, credentials=())
    with server:
        assert send(server.url, "/_local/reload").content == {"status": "ok"}
    assert reads == [1]


def test_data_that_cannot_be_read_again_stay_as_they_were(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> None:
        raise PersonalizeError("items.csv, line 3: expected 4 columns")

    def defect(user: str = "user-4711") -> None:
        raise RuntimeError(user)

    embedded = Embedded(reload=broken)
    with serving(embedded, credentials=()) as url:
        reply = send(url, "/_local/reload")
        assert (reply.status, reply.content) == (422, {"message": "items.csv, line 3: expected 4 columns"})
        assert send(url).status == 200
    embedded = Embedded(reload=defect)
    with serving(embedded, credentials=()) as url:
        reply = send(url, "/_local/reload")
    assert reply.status == 500
    assert "user-4711" not in reply.body.decode() + caplog.text


def test_requests_are_answered_while_the_data_are_read_again() -> None:
    reading, may_end, ended_in_time = threading.Event(), threading.Event(), []

    def reload() -> None:
        reading.set()
        ended_in_time.append(may_end.wait(2))

    with serving(Embedded(reload=reload), credentials=()) as url:
        thread = threading.Thread(target=send, args=(url, "/_local/reload"))
        thread.start()
        assert reading.wait(5)
        assert send(url).status == 200
        may_end.set()
        thread.join(5)
    assert ended_in_time == [True]


# Faults that HTTP can say.


def test_errors_are_the_typed_errors_of_boto3(embedded: Embedded, client: Callable[..., Any]) -> None:
    embedded.faults.throttle(times=1, retry_after=2)
    embedded.faults.fail(503, times=1)
    embedded.faults.deny(times=1)
    embedded.faults.fail(404, times=1)
    boto3_client = client()
    seen = []
    for _ in range(4):
        with pytest.raises(ClientError) as caught:
            recommend(boto3_client)
        head = caught.value.response["ResponseMetadata"]
        seen.append((head["HTTPStatusCode"], caught.value.response["Error"]["Code"]))
        assert len(head["RequestId"]) == 36
        if len(seen) == 1:
            assert head["HTTPHeaders"]["retry-after"] == "2"
    assert seen == [
        (400, "ThrottlingException"),
        (503, "ServiceUnavailable"),
        (403, "AccessDeniedException"),
        (404, "ResourceNotFoundException"),
    ]
    assert isinstance(caught.value, boto3_client.exceptions.ResourceNotFoundException)
    assert recommend(boto3_client) == ITEMS
    assert len(embedded.asked) == 1


def test_a_truncated_body_is_whole_for_http(embedded: Embedded, url: str) -> None:
    embedded.faults.truncate(keep=20)
    reply = send(url)
    assert (reply.status, reply.body, reply.headers["content-length"]) == (200, b'{"itemList": [{"item', "20")
    with pytest.raises(json.JSONDecodeError):
        reply.content  # noqa: B018 - reading it is the point


def test_invalid_json_is_whole_for_http(embedded: Embedded, url: str) -> None:
    embedded.faults.invalid_json()
    with pytest.raises(json.JSONDecodeError):
        send(url).content  # noqa: B018


def test_latency_comes_before_the_answer(embedded: Embedded, url: str) -> None:
    embedded.faults.latency(0.05)
    before = time.monotonic()
    assert send(url).status == 200
    assert time.monotonic() - before >= 0.05


def test_latency_of_one_request_does_not_hold_up_another(embedded: Embedded, url: str) -> None:
    embedded.faults.latency(60, campaign="slow")
    with socket.create_connection(address(url), timeout=5) as slow:
        slow.sendall(request_line('{"campaignArn": "arn:aws:x:campaign/slow"}'))
        before = time.monotonic()
        for _ in range(5):
            assert send(url).status == 200
        assert time.monotonic() - before < 20


# Faults below HTTP.


def address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def request_line(body: str = "{}") -> bytes:
    head = f"POST /recommendations HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
    return (head + body).encode()


def connect_and_wait(url: str, body: str = "{}", *, timeout: float = 0.1) -> bytes:
    """All that the server sends until it closes; ``TimeoutError`` when it does not."""
    with socket.create_connection(address(url), timeout=timeout) as connection:
        connection.sendall(request_line(body))
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


def received_before_reset(url: str) -> bytes:
    """All that the server sends until it resets the connection."""
    with socket.create_connection(address(url), timeout=5) as connection:
        connection.sendall(request_line())
        received = b""
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionResetError:
            return received
        pytest.fail("the connection was closed in order")


def test_a_hang_is_silence_until_the_client_leaves(embedded: Embedded, url: str) -> None:
    embedded.faults.hang(times=1)
    with pytest.raises(TimeoutError):
        connect_and_wait(url)
    assert embedded.asked == []
    assert send(url).status == 200


def test_a_hang_is_a_read_time_out_of_boto3(embedded: Embedded, client: Callable[..., Any]) -> None:
    embedded.faults.hang(times=1)
    with pytest.raises(ReadTimeoutError):
        recommend(client(read_timeout=0.05))


def test_latency_over_the_time_out_is_a_read_time_out_of_boto3(embedded: Embedded, client: Callable[..., Any]) -> None:
    embedded.faults.latency(5, times=1)
    with pytest.raises(ReadTimeoutError):
        recommend(client(read_timeout=0.05))


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_drip_is_whole_in_the_end(embedded: Embedded, url: str, client: Callable[..., Any], part: Any) -> None:
    embedded.faults.drip(part, bytes_per_second=100_000)
    assert recommend(client()) == ITEMS
    received = connect_and_wait(url, timeout=5)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"content-length: {len(body)}".encode() in head
    assert b"connection: close" in head
    assert json.loads(body)["itemList"] == ITEMS


@pytest.mark.parametrize(("part", "first"), [("head", b"H"), ("body", None)])
def test_a_drip_comes_a_byte_at_a_time(embedded: Embedded, url: str, part: Any, first: bytes | None) -> None:
    embedded.faults.drip(part, bytes_per_second=20)
    with socket.create_connection(address(url), timeout=5) as connection:
        connection.sendall(request_line())
        if part == "body":
            received = b""
            while not received.endswith(b"\r\n\r\n"):
                received += connection.recv(1)
        arrivals = []
        for _ in range(3):
            chunk = connection.recv(65536)
            arrivals.append((time.monotonic(), len(chunk)))
        assert [length for _, length in arrivals] == [1, 1, 1]
        assert arrivals[2][0] - arrivals[0][0] > 0.05


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_slow_drip_is_a_read_time_out_of_boto3(embedded: Embedded, client: Callable[..., Any], part: Any) -> None:
    embedded.faults.drip(part, bytes_per_second=1)
    with pytest.raises(ReadTimeoutError):
        recommend(client(read_timeout=0.05))


def test_a_reset_comes_after_part_of_the_body(embedded: Embedded, url: str) -> None:
    embedded.faults.reset(after_bytes=20)
    head, _, body = received_before_reset(url).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert int(head.lower().partition(b"content-length: ")[2].split()[0]) > 200
    assert body == b'{"itemList": [{"item'


def test_a_reset_comes_in_the_head_where_told(embedded: Embedded, url: str) -> None:
    embedded.faults.reset(0, part="head", times=1)
    assert received_before_reset(url) == b""
    embedded.faults.reset(12, part="head", times=1)
    assert received_before_reset(url) == b"HTTP/1.1 200"


def test_a_reset_sends_all_that_comes_before_it_even_if_that_is_much(embedded: Embedded, url: str) -> None:
    body = b"x" * 8_000_000
    embedded.answer = lambda _: HttpResponse(200, {"content-length": str(len(body))}, body)
    embedded.faults.reset(after_bytes=len(body) - 1)
    assert received_before_reset(url).endswith(b"x" * 7_999_999)


@pytest.mark.parametrize(
    "make",
    [
        lambda faults: faults.reset(times=1),
        lambda faults: faults.reset(0, part="head", times=1),
        lambda faults: faults.reset(5, part="head", times=1),
    ],
)
def test_an_answer_that_breaks_off_is_a_closed_connection_of_boto3(
    embedded: Embedded, client: Callable[..., Any], make: Callable[[Faults], Any]
) -> None:
    make(embedded.faults)
    boto3_client = client()
    with pytest.raises(ConnectionClosedError):
        recommend(boto3_client)
    assert recommend(boto3_client) == ITEMS


def test_a_wrong_length_is_announced(embedded: Embedded, url: str) -> None:
    for by in (7, -7):
        embedded.faults.wrong_length(by, times=1)
        head, _, body = connect_and_wait(url, timeout=5).partition(b"\r\n\r\n")
        assert int(head.lower().partition(b"content-length: ")[2].split()[0]) == len(body) + by
        assert body.startswith(b'{"itemList": [{"item')
    embedded.faults.wrong_length(7, times=1)
    with pytest.raises(http.client.IncompleteRead):
        send(url)


def test_a_length_that_is_too_great_is_a_closed_connection_of_boto3_that_looks(
    embedded: Embedded, client: Callable[..., Any]
) -> None:
    embedded.faults.wrong_length(7)
    if "enforce_content_length=False" in inspect.getsource(URLLib3Session.send):
        assert "itemList" not in client().get_recommendations(campaignArn=CAMPAIGN)
    else:
        with pytest.raises(ConnectionClosedError):
            recommend(client())


def test_a_length_that_is_too_small_is_a_cut_body_for_boto3(embedded: Embedded, client: Callable[..., Any]) -> None:
    embedded.faults.wrong_length(-7)
    assert "itemList" not in client().get_recommendations(campaignArn=CAMPAIGN)


def test_an_error_answer_can_be_damaged_too(embedded: Embedded, url: str) -> None:
    embedded.faults.fail(503)
    embedded.faults.reset(after_bytes=3)
    assert received_before_reset(url).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert embedded.asked == []


def test_a_client_that_leaves_during_a_drip_leaves_nothing_behind(
    embedded: Embedded, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    embedded.faults.drip(bytes_per_second=5_000, times=3)
    for _ in range(3):
        with socket.create_connection(address(url), timeout=5) as connection:
            connection.sendall(request_line())
            connection.recv(1)
    assert send(url).status == 200
    time.sleep(0.05)
    assert caplog.text == ""


@pytest.mark.parametrize(
    "make",
    [
        lambda faults: faults.hang(),
        lambda faults: faults.latency(0.02),
        lambda faults: faults.drip("head", bytes_per_second=5_000),
        lambda faults: faults.reset(),
        lambda faults: faults.truncate(),
        lambda faults: faults.wrong_length(5),
    ],
)
def test_clients_that_leave_at_once_leave_nothing_behind(
    make: Callable[[Faults], Any], caplog: pytest.LogCaptureFixture
) -> None:
    embedded = Embedded()
    make(embedded.faults)
    with serving(embedded, credentials=()) as url:
        for n in range(40):
            with socket.create_connection(address(url), timeout=5) as connection:
                if n % 2:  # without a farewell
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.sendall(request_line())
        while sum(rule.fired for rule in embedded.faults.rules) < 20:
            time.sleep(0.002)
        embedded.faults.clear()
        assert send(url).status == 200
    assert caplog.text == ""


def test_connections_that_ended_are_forgotten() -> None:
    embedded = Embedded()
    embedded.faults.hang(times=2)
    server = Server(embedded, credentials=())
    application: Any = server._uvicorn.config.app
    with server:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                connect_and_wait(server.url, timeout=0.02)
        assert send(server.url).status == 200
        limit = time.monotonic() + 5
        while application.lines._lines or server._uvicorn.server_state.tasks:
            assert time.monotonic() < limit
            time.sleep(0.002)


# Who may call.


@pytest.fixture
def guarded() -> Iterator[tuple[Embedded, str]]:
    embedded = Embedded()
    with serving(embedded, credentials=[KEYS], require_signature=True, allow_hosts=["example.com"]) as url:
        yield embedded, url


def test_with_credentials_a_boto3_client_that_has_them_is_answered(
    guarded: tuple[Embedded, str], client: Callable[..., Any]
) -> None:
    embedded, url = guarded
    assert recommend(client(url)) == ITEMS
    with pytest.raises(ClientError) as caught:
        recommend(client(url, keys=Credentials(KEYS.access_key_id, "another secret")))
    assert caught.value.response["Error"]["Code"] == "InvalidSignatureException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    with pytest.raises(ClientError) as caught:
        recommend(client(url, keys=Credentials("AKIDOTHER", KEYS.secret_access_key)))
    assert caught.value.response["Error"]["Code"] == "UnrecognizedClientException"
    assert len(embedded.asked) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/recommendations"), ("GET", "/any"), ("GET", "/_local/faults"), ("POST", "/_local/reload")],
)
def test_with_credentials_every_path_but_healthz_asks_for_a_signature(
    guarded: tuple[Embedded, str], method: str, path: str
) -> None:
    embedded, url = guarded
    reply = send(url, path, method=method)
    assert (reply.status, reply.code) == (403, "MissingAuthenticationToken")
    assert len(reply.headers["x-amzn-requestid"]) == 36
    assert embedded.asked == []
    assert send(url, "/healthz", method="GET").status == 200


def test_what_is_signed_is_what_came(guarded: tuple[Embedded, str]) -> None:
    embedded, url = guarded
    path, body = "/a%20b//c?z=%C3%BC&a=%2F", '{"userId": "ü"}'.encode()
    headers = signed(url, path, body)
    assert send(url, path, body, headers=headers).status == 200
    for changed in (
        send(url, path, body + b" ", headers=headers),
        send(url, path.replace("a=", "b="), body, headers=headers),
        send(url, path.replace("c?", "d?"), body, headers=headers),
        send(url, path, body, headers={**headers, "Host": "example.com"}),
    ):
        assert (changed.status, changed.code) == (403, "InvalidSignatureException")
    assert (
        send(
            url, "/_local/faults", headers=signed(url, "/_local/faults", b"", method="GET"), method="GET", content=b""
        ).status
        == 200
    )
    assert len(embedded.asked) == 1


def test_signatures_are_judged_by_the_clock_that_was_given() -> None:
    later = datetime.now(UTC) + timedelta(minutes=16)
    with serving(Embedded(), credentials=[KEYS], now=lambda: later) as url:
        reply = send(url, headers=signed(url, "/recommendations", b"{}"))
    assert (reply.status, reply.code) == (403, "InvalidSignatureException")
    assert "expired" in reply.content["message"]


def test_credentials_of_the_environment_are_required_of_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONALIZE_RT_ACCESS_KEY_ID", KEYS.access_key_id)
    monkeypatch.setenv("PERSONALIZE_RT_SECRET_ACCESS_KEY", KEYS.secret_access_key)
    assert find_credentials() == (KEYS,)
    with serving(Embedded()) as url:
        assert send(url).code == "MissingAuthenticationToken"
        assert send(url, headers=signed(url, "/recommendations", b"{}")).status == 200


def test_credentials_of_a_file_go_before_those_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PERSONALIZE_RT_ACCESS_KEY_ID", "other")
    monkeypatch.setenv("PERSONALIZE_RT_SECRET_ACCESS_KEY", "other")
    file = tmp_path / "credentials"
    file.write_text(f"[any]\naws_access_key_id={KEYS.access_key_id}\naws_secret_access_key={KEYS.secret_access_key}\n")
    assert find_credentials(file) == (KEYS,)


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::", "192.0.2.1", "example.com"])
def test_other_machines_are_let_in_only_when_told_and_with_credentials(host: str) -> None:
    with pytest.raises(ValidationError, match="allow_remote") as caught:
        Server(Embedded(), host=host, credentials=[KEYS])
    assert caught.value.parameter == "host"
    with pytest.raises(ValidationError, match="no credentials") as caught:
        Server(Embedded(), host=host, credentials=(), allow_remote=True)
    assert caught.value.parameter == "credentials"
    Server(Embedded(), host=host, credentials=[KEYS], allow_remote=True)


def test_required_signatures_need_credentials() -> None:
    with pytest.raises(ValidationError, match="signatures are required"):
        Server(Embedded(), credentials=(), require_signature=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost"])
def test_every_name_of_this_machine_needs_no_credentials(host: str) -> None:
    with serving(Embedded(), host=host, credentials=()) as url:
        assert send(url).status == 200
        assert address(url)[0] == ("127.0.0.1" if host == "localhost" else host)


def test_ipv6_has_brackets_in_the_url() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    embedded = Embedded()
    embedded.faults.reset(0, part="head", times=1)
    with serving(embedded, host="::1", credentials=()) as url:
        assert url.startswith("http://[::1]:")
        assert received_before_reset(url) == b""
        assert send(url).status == 200


# Start and end.


def test_a_port_that_is_in_use_is_a_clear_error(url: str) -> None:
    port = address(url)[1]
    with pytest.raises(ConfigurationError, match=f"127.0.0.1, port {port}: the port is in use"):
        Server(Embedded(), port=port, credentials=()).start()


def test_a_host_that_is_not_of_this_machine_is_a_clear_error() -> None:
    server = Server(Embedded(), host="192.0.2.1", credentials=[KEYS], allow_remote=True)
    with pytest.raises(ConfigurationError, match="no address of this machine"):
        server.start()
    server.stop()


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_out_of_range_is_refused(port: int) -> None:
    with pytest.raises(ValidationError, match="from 0"):
        Server(Embedded(), port=port, credentials=()).start()


def test_a_server_starts_once() -> None:
    server = Server(Embedded(), credentials=())
    with pytest.raises(ConfigurationError, match="not running"):
        server.url  # noqa: B018 - reading it is the point
    with server:
        with pytest.raises(ConfigurationError, match="starts once"):
            server.start()
        server.stop()
        server.stop()
    with pytest.raises(ConfigurationError, match="not running"):
        server.url  # noqa: B018
    with pytest.raises(ConfigurationError, match="starts once"):
        server.start()


def test_a_port_is_free_again_when_the_server_ended() -> None:
    with serving(Embedded(), credentials=()) as url:
        port = address(url)[1]
        assert send(url).status == 200
    with pytest.raises(ConnectionRefusedError):
        send(url)
    with serving(Embedded(), port=port, credentials=()) as again:
        assert again == url
        assert send(again).status == 200


def test_a_server_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(Embedded(), credentials=())

    def fail(sockets: list[socket.socket]) -> None:
        raise RuntimeError("no event loop today")

    monkeypatch.setattr(server._uvicorn, "run", fail)
    with pytest.raises(ConfigurationError, match="no event loop today"):
        server.start()


def in_flight(embedded: Embedded, url: str) -> tuple[threading.Thread, list[Reply | BaseException]]:
    """A request that has reached the server, on a thread of its own, and what becomes of it."""
    outcome: list[Reply | BaseException] = []

    def ask() -> None:
        try:
            outcome.append(send(url))
        except (OSError, http.client.HTTPException) as error:
            outcome.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    limit = time.monotonic() + 5
    while not any(rule.fired for rule in embedded.faults.rules):
        assert time.monotonic() < limit
        time.sleep(0.002)
    return thread, outcome


@pytest.mark.parametrize(
    "make",
    [
        lambda faults: faults.latency(60),
        lambda faults: faults.drip(bytes_per_second=1),
        lambda faults: faults.drip("head"),
    ],
)
def test_requests_under_way_are_answered_before_the_end_and_need_not_wait(make: Callable[[Faults], Any]) -> None:
    embedded = Embedded()
    make(embedded.faults)
    before = time.monotonic()
    with serving(embedded, credentials=()) as url:
        thread, outcome = in_flight(embedded, url)
    thread.join(20)
    assert time.monotonic() - before < 30
    (reply,) = outcome
    assert isinstance(reply, Reply)
    assert (reply.status, reply.content["itemList"]) == (200, ITEMS)


def test_a_hang_does_not_outlive_its_server(caplog: pytest.LogCaptureFixture) -> None:
    embedded = Embedded()
    embedded.faults.hang()
    before = time.monotonic()
    with serving(embedded, credentials=()) as url:
        thread, outcome = in_flight(embedded, url)
    thread.join(20)
    assert time.monotonic() - before < 30
    assert isinstance(outcome[0], OSError | http.client.HTTPException)
    assert caplog.text == ""


def test_the_end_has_a_time_limit_even_for_an_engine_that_does_not() -> None:
    busy, may_end = threading.Event(), threading.Event()

    def answer(request: HttpRequest) -> HttpResponse:
        busy.set()
        may_end.wait(60)
        return HttpResponse(200, {"content-length": "0"})

    server = Server(Embedded(answer=answer), credentials=(), stop_timeout=0)
    server.start()
    with socket.create_connection(address(server.url), timeout=5) as connection:
        connection.sendall(request_line())
        assert busy.wait(5)
        before = time.monotonic()
        server.stop()
        assert time.monotonic() - before < 30
    may_end.set()
    assert server._thread is not None
    server._thread.join(20)
    assert not server._thread.is_alive()


def test_a_body_that_does_not_come_is_told_that_the_server_stops() -> None:
    server = Server(Embedded(), credentials=(), stop_timeout=0)
    server.start()
    with socket.create_connection(address(server.url), timeout=5) as connection:
        connection.sendall(
            b"POST /recommendations HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 10\r\n\r\n"
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")  # so it waits for the body
        before = time.monotonic()
        server.stop()
        assert time.monotonic() - before < 4
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert (response.status, response.getheader("x-amzn-errortype")) == (503, "ServiceUnavailable")
        assert response.read()


def test_idle_connections_do_not_hold_up_the_end() -> None:
    before = time.monotonic()
    with serving(Embedded(), credentials=()) as url:
        idle = socket.create_connection(address(url), timeout=5)
        idle.sendall(request_line())
        assert idle.recv(12) == b"HTTP/1.1 200"
    assert time.monotonic() - before < 3
    idle.close()


def test_servers_do_not_know_each_other() -> None:
    one, two = Embedded(), Embedded()
    with serving(one, credentials=()) as first, serving(two, credentials=()) as second:
        one.faults.fail(503)
        assert (send(first).status, send(second).status) == (503, 200)


def test_without_the_extra_an_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "personalize_rt.local.front", raising=False)
    monkeypatch.delattr("personalize_rt.local.front", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ConfigurationError, match=r'uvicorn is not installed: pip install "personalize-rt\[server\]"'):
        Server(Embedded(), credentials=())


def test_nothing_optional_is_imported_before_a_server_is_made() -> None:
    code = (
        "import sys, personalize_rt.local.server\n"
        "sys.exit(bool({'uvicorn', 'starlette', 'asyncio'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 0


# For a command line.

PROGRAM = """
import signal
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored by what nohup starts
from personalize_rt.errors import PersonalizeError
from personalize_rt.local.faults import Faults
from personalize_rt.local.journal import Journal
from personalize_rt.local.server import serve_forever
from personalize_rt.local.wire import HttpResponse

class Embedded:
    faults = Faults()
    requests = Journal()
    recorded_events = ()
    reads = 0

    def handle(self, request):
        return HttpResponse(200, {"content-length": "2"}, b"{}")

    def reload(self):
        self.reads += 1
        if self.reads == 2:
            raise PersonalizeError("items.csv is gone")
        if self.reads == 3:
            raise RuntimeError("user-4711")

serve_forever(Embedded(), port=0, credentials=(), say=lambda text: print(text, flush=True))
print("after", signal.getsignal(signal.SIGTERM).name, signal.getsignal(signal.SIGHUP).name, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_for_the_command_line_obeys_signals(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        try:
            assert program.stdout is not None
            assert program.stderr is not None
            said = program.stdout.readline().decode()
            assert said.startswith("serving Personalize on http://127.0.0.1:")
            assert send(said.split()[-1]).body == b"{}"
            expected = ["read the data again", "the data stay as they were: items.csv is gone"]
            expected.append("the data stay as they were: RuntimeError")
            for line in expected:
                program.send_signal(signal.SIGHUP)
                assert program.stdout.readline().decode().strip() == line
            assert send(said.split()[-1]).body == b"{}"
            program.send_signal(number)
            assert program.stdout.read().decode().split() == ["stopping", "after", "SIG_DFL", "SIG_DFL"]
            assert program.wait(5) == 0
            assert program.stderr.read() == b""
        finally:
            program.kill()


def test_the_log_is_quiet(embedded: Embedded, url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    send(url)
    embedded.faults.reset(times=1)
    received_before_reset(url)
    embedded.faults.drip(bytes_per_second=1e6, times=1)
    send(url)
    assert caplog.text == ""

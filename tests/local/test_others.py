"""Requests for other services, which one address hands on: to moto's server, and to servers that misbehave."""

from __future__ import annotations

import http.client
import os
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from personalize_rt.errors import ValidationError
from personalize_rt.local import LocalPersonalize
from personalize_rt.local.server import serving
from personalize_rt.local.sigv4 import Credentials
from tests.optional import optional

pytest.importorskip("uvicorn", reason="the extra [server] is not installed")
from personalize_rt.local.others import Others, is_for_others

ONCE = Config(retries={"total_max_attempts": 1, "mode": "standard"}, s3={"addressing_style": "path"})


def header(service: str, scope: str = "20240229/eu-west-1") -> list[tuple[bytes, bytes]]:
    value = f"AWS4-HMAC-SHA256 Credential=AKID/{scope}/{service}/aws4_request, SignedHeaders=host, Signature=00"
    return [(b"host", b"localhost"), (b"authorization", value.encode())]


@pytest.mark.parametrize(
    ("headers", "query", "others"),
    [
        (header("s3"), b"", True),
        (header("dynamodb"), b"", True),
        (header("s3", "20240229"), b"", True),  # Version 4A has no region
        (header("personalize"), b"", False),
        (header("personalize", "20240229/us-gov-west-1"), b"", False),
        ([(b"host", b"localhost")], b"", False),
        ([(b"authorization", b"Bearer s3")], b"", False),
        ([(b"authorization", b"AWS4-HMAC-SHA256 Credential=s3")], b"", False),
        ([], b"X-Amz-Credential=AKID%2F20240229%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Date=1", True),
        ([], b"x=1&X-Amz-Credential=AKID%2F20240229%2Feu-west-1%2Fpersonalize%2Faws4_request", False),
        (header("personalize"), b"X-Amz-Credential=AKID%2F20240229%2Feu-west-1%2Fs3%2Faws4_request", False),
    ],
)
def test_the_scope_of_the_signature_tells_the_service(
    headers: list[tuple[bytes, bytes]], query: bytes, others: bool
) -> None:
    assert is_for_others(headers, query) is others


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:5000", Others("127.0.0.1", 5000)),
        ("http://moto/", Others("moto", 80)),
        ("https://[::1]", Others("::1", 443, secure=True)),
    ],
)
def test_a_server_is_given_by_its_url(url: str, expected: Others) -> None:
    assert Others.at(url) == expected


@pytest.mark.parametrize("url", ["", "127.0.0.1:5000", "ftp://moto", "http://", "http://moto/path", "http://moto:x"])
def test_what_is_no_server_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="--others"):
        Others.at(url)


def test_signatures_that_cannot_be_checked_are_not_handed_on(service: Callable[..., Any]) -> None:
    with (
        pytest.raises(ValidationError, match="needs a server without credentials"),
        service().local.serve(others="http://127.0.0.1:1", credentials=[Credentials("a", "b")]),
    ):
        pass


# moto's server.


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    optional("flask_cors")
    server = optional("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}" if host == "0.0.0.0" else f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def local(service: Callable[..., Any]) -> LocalPersonalize:
    local: LocalPersonalize = service().local
    return local


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def url(local: LocalPersonalize, moto_url: str, log: list[str]) -> Iterator[str]:
    with serving(local, credentials=(), others=moto_url, log=log.append) as url:
        yield url


@pytest.fixture
def session() -> boto3.Session:
    return boto3.Session(region_name="us-west-2", aws_access_key_id="testing", aws_secret_access_key="testing")


def test_one_address_serves_personalize_and_the_services_of_moto(
    local: LocalPersonalize, url: str, session: boto3.Session, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    s3: Any = session.client("s3", config=ONCE)
    tables: Any = session.client("dynamodb", config=ONCE)
    runtime: Any = session.client("personalize-runtime", config=ONCE)
    s3.create_bucket(Bucket="films", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    # Longer than a body for Personalize may be.
    content = os.urandom(3 << 20)
    s3.put_object(Bucket="films", Key="häuser/a b.bin", Body=content)
    assert s3.get_object(Bucket="films", Key="häuser/a b.bin")["Body"].read() == content
    assert s3.head_object(Bucket="films", Key="häuser/a b.bin")["ContentLength"] == len(content)
    assert tables.list_tables()["TableNames"] == []
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket="films", Key="none")
    # Signed for another region than that of the data.
    reply = runtime.get_recommendations(campaignArn=local.campaign_arn("popular"))
    assert reply["itemList"][0]["itemId"] == "hit"
    assert [row.operation for row in local.requests] == ["GetRecommendations"]
    assert [line.split()[3] for line in log[:6]] == ["200"] * 5 + ["404"]
    assert not [line for line in log if "films" in line]
    for client in (s3, tables, runtime):
        client.close()


def test_a_presigned_url_is_handed_on(url: str, session: boto3.Session) -> None:
    s3: Any = session.client("s3", endpoint_url=url, config=ONCE.merge(Config(signature_version="s3v4")))
    s3.create_bucket(Bucket="presigned", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    s3.put_object(Bucket="presigned", Key="k", Body=b"content")
    presigned = s3.generate_presigned_url("get_object", Params={"Bucket": "presigned", "Key": "k"})
    with urllib.request.urlopen(presigned, timeout=20) as response:
        assert response.read() == b"content"
    s3.close()


def test_without_others_a_request_for_another_service_is_refused_here(
    local: LocalPersonalize, session: boto3.Session
) -> None:
    with local.serve(credentials=()) as url:
        tables: Any = session.client("dynamodb", endpoint_url=url, config=ONCE)
        with pytest.raises(ClientError, match="UnknownOperationException"):
            tables.list_tables()
        tables.close()


# Servers that misbehave.


def get(url: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        connection.request(
            "GET", "/bucket", headers={name.decode(): value.decode() for name, value in header("s3")[1:]}
        )
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("answer", [None, b"", b"HTTP/1.1 200 OK\r\n", b"not HTTP\r\n\r\n"])
def test_a_server_that_does_not_answer_is_a_bad_gateway(local: LocalPersonalize, answer: bytes | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if answer is None:
            listener.close()
        else:

            def serve() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1 << 16)
                    connection.sendall(answer)

            threading.Thread(target=serve, daemon=True).start()
        with local.serve(credentials=(), others=f"http://127.0.0.1:{port}") as url:
            status, body = get(url)
    assert status == 502
    assert f"port {port}".encode() in body


def test_an_answer_that_breaks_off_does_not_look_whole(local: LocalPersonalize) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")

        threading.Thread(target=serve, daemon=True).start()
        port = listener.getsockname()[1]
        with (
            local.serve(credentials=(), others=f"http://127.0.0.1:{port}") as url,
            pytest.raises((http.client.IncompleteRead, ConnectionError)),
        ):
            get(url)

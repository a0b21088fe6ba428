"""The wire form of the AWS SDK for Java v2, as bytes, with its headers and its signature. Java itself does not run.

Its bodies are compact JSON with times as seconds of three decimals, it signs ``content-length``, and it sends an
invocation id and the number of the attempt (aws-sdk-java-v2 #636 shows its requests).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.parser import BytesParser
from typing import Any
from urllib.parse import urlsplit

import pytest

from personalize_rt.local.sigv4 import Credentials
from tests.optional import optional

optional("uvicorn")

PREFIX = "arn:aws:personalize:eu-west-1:000000000000:"
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG"


@pytest.fixture(scope="module")
def address(load: Callable[..., Any]) -> Iterator[tuple[str, int]]:
    import time

    local, _ = load(time.time)
    with local.serve(credentials=[Credentials(KEY, SECRET)], require_signature=True) as url:
        parts = urlsplit(url)
        yield str(parts.hostname), int(parts.port or 0)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def request(host: str, path: str, body: str, target: str = "", region: str = "us-east-1") -> bytes:
    """The bytes of one request, signed by the rules of AWS, without any code that is tested here."""
    now = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    headers = {
        "Host": host,
        "amz-sdk-invocation-id": "fd14a7a6-d533-b26c-a12a-c813b891ef7e",
        "amz-sdk-request": "attempt=1; max=4",
        "Content-Length": str(len(body.encode())),
        "Content-Type": "application/x-amz-json-1.1" if target else "application/json",
        "X-Amz-Date": now,
        **({"X-Amz-Target": target} if target else {}),
    }
    signed = ";".join(sorted(map(str.lower, headers)))
    canonical = "".join(f"{name.lower()}:{headers[name]}\n" for name in sorted(headers, key=str.lower))
    scope = f"{now[:8]}/{region}/personalize/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n" + digest(f"POST\n{path}\n\n{canonical}\n{signed}\n{digest(body)}")
    key = b"AWS4" + SECRET.encode()
    for part in (*scope.split("/"), to_sign):
        key = hmac.digest(key, part.encode(), "sha256")
    lines = {
        **headers,
        "Authorization": f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={signed}, Signature={key.hex()}",
        "User-Agent": "aws-sdk-java/2.31.0 md/io#sync md/http#Apache ua/2.1 os/Linux#6.1 lang/java#17.0.9",
        "Connection": "Keep-Alive",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n{body}".encode()


def send(address: tuple[str, int], *requests: tuple[str, str, str]) -> list[tuple[int, dict[str, str], Any]]:
    """The answers to requests of one connection: status, headers, body."""
    told = []
    with socket.create_connection(address, timeout=20) as connection, connection.makefile("rb") as answers:
        for path, body, target in requests:
            connection.sendall(request(f"{address[0]}:{address[1]}", path, body, target))
            status = int(answers.readline().split()[1])
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += answers.readline()
            headers = {name.lower(): value for name, value in BytesParser().parsebytes(head).items()}
            content = answers.read(int(headers["content-length"]))
            told.append((status, headers, json.loads(content or b"{}")))
    return told


def compact(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False)


def test_all_three_apis_answer_java_on_one_connection(address: tuple[str, int]) -> None:
    event = '{"eventType":"Watch","itemId":"i1","sentAt":1590530000.123,"properties":"{\\"device\\":\\"tv\\"}"}'
    asked = compact({"campaignArn": f"{PREFIX}campaign/for-you", "userId": "jävä", "numResults": 3})
    answered, put, described, missing, unknown = send(
        address,
        ("/recommendations", asked, ""),
        ("/events", f'{{"trackingId":"tracking-id","userId":"jävä","sessionId":"s","eventList":[{event}]}}', ""),
        ("/", compact({"campaignArn": f"{PREFIX}campaign/for-you"}), "AmazonPersonalize.DescribeCampaign"),
        ("/", compact({"campaignArn": f"{PREFIX}campaign/none"}), "AmazonPersonalize.DescribeCampaign"),
        ("/", "{}", "AmazonPersonalize.NoSuchOperation"),
    )
    assert (answered[0], len(answered[2]["itemList"])) == (200, 3)
    assert put[0] == 200
    assert described[2]["campaign"]["status"] == "ACTIVE"
    assert described[1]["content-type"] == "application/x-amz-json-1.1"
    assert (missing[0], missing[2]["__type"]) == (400, "ResourceNotFoundException")
    assert (unknown[0], unknown[2]["__type"]) == (404, "UnknownOperationException")


@pytest.mark.parametrize(("path", "target"), [("/events", ""), ("/", "AmazonPersonalize.ListFilters")])
def test_a_wrong_signature_is_refused_in_the_form_of_the_protocol(
    address: tuple[str, int], path: str, target: str
) -> None:
    good = request(f"{address[0]}:{address[1]}", path, "{}", target)
    bad = good.replace(b"amz-sdk-request: attempt=1", b"amz-sdk-request: attempt=2")
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(bad.replace(b"Keep-Alive", b"close"))
        answer = b""
        while received := connection.recv(65536):
            answer += received
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 403 ")
    if target:
        assert json.loads(body)["__type"] == "InvalidSignatureException"
    else:
        assert b"x-amzn-errortype: InvalidSignatureException" in head

"""Our Signature Version 4 is botocore's, to the byte."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from personalize_rt.sigv4 import ALGORITHM, canonical_request, digest, signature, signing_key

# Texts of one header line or URL, and whatever a body may be.
LETTERS = "abcXYZ019-._~!$&'()*+,;=:@ /%ü日"
TRACING = ("X-Amzn-Trace-Id", "traceparent", "tracestate", "baggage", "x-datadog-trace-id", "Expect", "X-Shop")


def some(chance: random.Random, letters: str, least: int, most: int) -> str:
    return "".join(chance.choices(letters, k=chance.randint(least, most)))


def differences(seed: int, count: int) -> list[str]:
    """Requests of the form that ours have whose signature is another than botocore's."""
    chance = random.Random(seed)
    wrong = []
    for _ in range(count):
        secret, token = some(chance, LETTERS, 1, 40), some(chance, "abcXYZ019/+=", 1, 200)
        credentials = Credentials("AKID", secret, token if chance.random() < 0.5 else None)
        path = "/" + "/".join(some(chance, "abcXYZ019-._~", 0, 9) for _ in range(chance.randint(1, 4)))
        body = some(chance, LETTERS + '"{}[]\n', 0, 60).encode()
        request = AWSRequest("POST", f"https://service.example:{chance.randint(1, 65535)}{path}", data=body)
        request.headers["Content-Type"] = "application/json"
        for name in chance.sample(TRACING, chance.randint(0, 3)):
            request.headers[name] = some(chance, "abc019-=;, ", 1, 40).strip() or "0"
        region = some(chance, "abc-019", 1, 14)
        signer = auth.SigV4Auth(credentials, "personalize", region)
        signer.add_auth(request)
        # What is signed differs between versions of botocore, which says it.
        theirs = request.headers["Authorization"]
        signed = theirs.split("SignedHeaders=")[1].split(",")[0].encode()
        headers = [(name.lower().encode(), str(value).encode()) for name, value in request.headers.items()]
        host = request.url.split("/")[2].encode()
        stamp = request.headers["X-Amz-Date"]
        scope = (stamp[:8], region, "personalize", "aws4_request")
        canonical = canonical_request(
            b"POST", path.encode(), b"", [*headers, (b"host", host)], signed.split(b";"), digest(body)
        )
        ours = signature(signing_key(secret, *scope), stamp.encode(), "/".join(scope).encode(), canonical)
        expected = b"%b Credential=AKID/%b, SignedHeaders=%b, Signature=%b" % (
            ALGORITHM,
            "/".join(scope).encode(),
            signed,
            ours,
        )
        if expected.decode() != theirs:
            wrong.append(f"{path} {request.headers.items()}")
    return wrong


def test_the_signature_is_botocores() -> None:
    assert differences(seed=15, count=300) == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_signature_of_100_000_requests_is_botocores() -> None:
    assert differences(seed=0, count=100_000) == []


def test_the_example_of_the_guide() -> None:
    """IAM User Guide, "Create a signed AWS API request": GET of ListUsers."""
    headers = [
        (b"content-type", b"application/x-www-form-urlencoded; charset=utf-8"),
        (b"host", b"iam.amazonaws.com"),
        (b"x-amz-date", b"20150830T123600Z"),
    ]
    canonical = canonical_request(
        b"GET", b"/", b"Action=ListUsers&Version=2010-05-08", headers, [name for name, _ in headers], digest(b"")
    )
    assert digest(canonical) == b"f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59"
    scope = ("20150830", "us-east-1", "iam", "aws4_request")
    key = signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", *scope)
    assert key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
    stamp = f"{datetime(2015, 8, 30, 12, 36, tzinfo=UTC):%Y%m%dT%H%M%SZ}".encode()
    expected = b"5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    assert signature(key, stamp, "/".join(scope).encode(), canonical) == expected

"""Web pages of allowed origins, as browsers ask for them: preflights, headers of answers, and what a page may read."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest

from personalize_rt.local import LocalPersonalize
from personalize_rt.local.sigv4 import Credentials
from tests.optional import optional

optional("uvicorn")

PAGE = "http://localhost:3000"
# What the AWS SDK for JavaScript asks leave for.
ASKED = "amz-sdk-invocation-id,amz-sdk-request,authorization,content-type,x-amz-date,x-amz-user-agent"
POPULAR = "arn:aws:personalize:eu-west-1:000000000000:campaign/popular"


@pytest.fixture
def local(service: Callable[..., Any]) -> LocalPersonalize:
    local: LocalPersonalize = service().local
    return local


@pytest.fixture
def url(local: LocalPersonalize) -> Iterator[str]:
    with local.serve(credentials=(), allow_origins=[PAGE]) as url:
        yield url


def send(
    url: str, method: str, path: str, headers: Mapping[str, str], body: Any = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), dict(headers))
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def preflight(url: str, path: str, origin: str = PAGE, **more: str) -> tuple[int, dict[str, str], bytes]:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": ASKED, **more}
    return send(url, "OPTIONS", path, {"Origin": origin, **asked})


@pytest.mark.parametrize("path", ["/recommendations", "/events", "/", "/_local/faults", "/healthz"])
def test_a_preflight_is_answered_on_every_path(url: str, path: str) -> None:
    status, headers, body = preflight(url, path)
    assert (status, body) == (204, b"")
    assert headers["access-control-allow-origin"] == PAGE
    assert "POST" in headers["access-control-allow-methods"]
    assert headers["access-control-allow-headers"] == ASKED
    assert headers["vary"] == "origin"
    assert "access-control-allow-private-network" not in headers


def test_a_preflight_of_a_page_of_the_web_may_reach_this_machine(url: str) -> None:
    headers = preflight(url, "/events", **{"Access-Control-Request-Private-Network": "true"})[1]
    assert headers["access-control-allow-private-network"] == "true"


def test_a_preflight_needs_no_signature_and_the_request_does(local: LocalPersonalize) -> None:
    with local.serve(credentials=[Credentials("AKIDEXAMPLE", "secret")], allow_origins=[PAGE]) as url:
        assert preflight(url, "/recommendations")[0] == 204
        status, headers, _ = send(url, "POST", "/recommendations", {"Origin": PAGE}, {})
    assert (status, headers["x-amzn-errortype"]) == (403, "MissingAuthenticationToken")
    assert headers["access-control-allow-origin"] == PAGE


def test_a_preflight_of_another_page_is_refused(url: str) -> None:
    status, headers, _ = preflight(url, "/events", origin="http://localhost:3001")
    assert status == 403
    assert not [name for name in headers if name.startswith("access-control")]


def test_a_page_may_read_answers_and_errors_with_their_code(url: str) -> None:
    for arn, expected in ((POPULAR, 200), (f"{POPULAR}x", 400)):
        status, headers, _ = send(url, "POST", "/recommendations", {"Origin": PAGE}, {"campaignArn": arn})
        assert status == expected
        assert headers["access-control-allow-origin"] == PAGE
        assert "x-amzn-errortype" in headers["access-control-expose-headers"]
        assert "x-amzn-requestid" in headers["access-control-expose-headers"]


def test_a_page_may_read_what_faults_send(url: str, local: LocalPersonalize) -> None:
    for fault in ({"fault": "throttle"}, {"fault": "truncate"}, {"fault": "wrong_length", "by": -1}):
        local.faults.clear()
        local.faults.add(fault)
        headers = send(url, "POST", "/recommendations", {"Origin": PAGE}, {"campaignArn": POPULAR})[1]
        assert headers["access-control-allow-origin"] == PAGE


def test_a_program_that_is_no_browser_gets_no_such_headers(url: str) -> None:
    headers = send(url, "POST", "/recommendations", {}, {"campaignArn": POPULAR})[1]
    assert not [name for name in headers if name.startswith("access-control")]
    status = send(url, "OPTIONS", "/recommendations", {"Access-Control-Request-Method": "POST"})[0]
    assert status == 404

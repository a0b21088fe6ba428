"""A request made by plan is botocore's own, to the byte; what cannot be made is left to botocore."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import RefreshableCredentials

from personalize_rt.operations import OPERATIONS
from personalize_rt.transport.plan import NoPlanError, Plan
from personalize_rt.transport.rehearsal import prepared_request

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
MEMBERS: dict[str, dict[str, Any]] = {
    "get_recommendations": {"campaignArn": ARN, "userId": "ü 日本 😀", "itemId": "%s%%"},
    "get_personalized_ranking": {"campaignArn": ARN, "userId": "u", "inputList": ["a", "b"]},
    "get_action_recommendations": {"campaignArn": ARN, "userId": "u"},
}
CLIENTS: dict[str, dict[str, Any]] = {
    "of a region": {},
    "of China": {"region_name": "cn-north-1"},
    "FIPS": {"region_name": "us-east-1", "config": Config(use_fips_endpoint=True)},
    "dual stack": {"config": Config(use_dualstack_endpoint=True)},
    "of an endpoint with a path": {"endpoint_url": "https://vpce-1.example:8443/base/a%20b/"},
    "of an IPv6 address": {"endpoint_url": "http://[::1]:81"},
    "with a session token": {"aws_session_token": "to%ken%%=="},
    "unsigned": {"config": Config(signature_version=UNSIGNED)},
    "with a user agent": {"config": Config(user_agent_extra="50% shop/7", user_agent_appid="app")},
    "without retries": {"config": Config(retries={"total_max_attempts": 1, "mode": "standard"})},
}
VARIES = {b"amz-sdk-invocation-id"}


def client_of(**options: Any) -> Any:
    options = {"region_name": "eu-west-1", "aws_access_key_id": "AKID", "aws_secret_access_key": "s%cret", **options}
    return boto3.Session().client("personalize-runtime", **options)


def plan_of(client: Any) -> Plan:
    credentials = client._get_credentials()
    return Plan(client, credentials and credentials.get_frozen_credentials())


def at(stamp: bytes) -> float:
    return datetime.strptime(stamp.decode(), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


def as_botocore_sends_it(request: Any) -> list[tuple[bytes, bytes]]:
    """The headers of a prepared request."""
    return [
        (name.encode(), value if isinstance(value, bytes) else value.encode())
        for name, value in request.headers.items()
    ]


def split(message: bytes) -> tuple[bytes, list[tuple[bytes, bytes]], bytes]:
    head, _, body = message.partition(b"\r\n\r\n")
    start, *lines = head.split(b"\r\n")
    return start, [tuple(line.split(b": ", 1)) for line in lines], body  # type: ignore[misc]


@pytest.mark.parametrize("method", MEMBERS)
@pytest.mark.parametrize("options", CLIENTS.values(), ids=CLIENTS)
def test_names_order_and_values_of_the_headers_are_botocores(options: dict[str, Any], method: str) -> None:
    client = client_of(**options)
    request = prepared_request(client, method, MEMBERS[method])
    theirs = as_botocore_sends_it(request)
    stamp = dict(theirs).get(b"X-Amz-Date")
    operation = next(each for each in OPERATIONS.values() if each.method == method)
    made = plan_of(client).message(operation.path, request.body, now=at(stamp) if stamp else None)
    start, ours, body = split(made)
    host, encoding, *ours = ours
    assert start == b"POST %b HTTP/1.1" % re.sub(rb"^https?://[^/]+", b"", request.url.encode())
    assert (host[0], encoding) == (b"Host", (b"Accept-Encoding", b"identity"))
    assert body == request.body
    assert [name for name, _ in ours] == [name for name, _ in theirs]
    # The signature among them, since both were signed at the same second.
    assert [pair for pair in ours if pair[0] not in VARIES] == [pair for pair in theirs if pair[0] not in VARIES]


def test_each_request_has_an_invocation_id_of_its_own() -> None:
    plan = plan_of(client_of())
    ids = {dict(split(plan.message("/recommendations", b"{}"))[1])[b"amz-sdk-invocation-id"] for _ in range(20)}
    assert len(ids) == 20
    assert all(
        re.fullmatch(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", each) for each in ids
    )


def test_in_lambda_the_trace_id_of_the_moment_is_sent(monkeypatch: Any) -> None:
    client = client_of()
    without = plan_of(client)
    assert without.fits()
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "page")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-ü;Parent=2")
    assert not without.fits()
    plan = plan_of(client)
    request = prepared_request(client, "get_recommendations", MEMBERS["get_recommendations"])
    theirs = dict(as_botocore_sends_it(request))[b"X-Amzn-Trace-Id"]
    assert dict(split(plan.message("/recommendations", b"{}"))[1])[b"X-Amzn-Trace-Id"] == theirs
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=3")
    assert dict(split(plan.message("/recommendations", b"{}"))[1])[b"X-Amzn-Trace-Id"] == b"Root=3"
    monkeypatch.delenv("_X_AMZN_TRACE_ID")
    assert not plan.fits()


def test_a_new_day_has_a_new_signing_key() -> None:
    client = client_of()
    plan = plan_of(client)
    day = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
    for moment in (day, day + timedelta(seconds=1), day):
        expected = Plan(client, client._get_credentials().get_frozen_credentials())
        ours, theirs = (
            dict(split(each.message("/recommendations", b"{}", now=moment.timestamp()))[1])[b"Authorization"]
            for each in (plan, expected)
        )
        assert ours == theirs


@pytest.mark.parametrize(
    "change",
    [
        lambda request: request.headers.add_header("Content-Type", "twice"),
        lambda request: request.headers.__setitem__("X-New", "with a\r\nbreak"),
        lambda request: request.headers.__setitem__("Authorization", "Bearer token"),
        lambda request: request.headers.__setitem__("X-Amz-Date", "20260101T000000Z"),
    ],
    ids=["a header twice", "a line break", "another scheme", "another date"],
)
def test_a_request_of_another_form_has_no_plan(change: Callable[[Any], None]) -> None:
    client = client_of()
    client.meta.events.register("request-created.personalize-runtime", lambda request, **_: change(request))
    with pytest.raises((NoPlanError, ValueError)):
        plan_of(client)


def test_credentials_that_change_change_the_signature() -> None:
    calls: list[int] = []

    def refresh() -> dict[str, str]:
        calls.append(1)
        expiry = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        return {"access_key": f"AK{len(calls)}", "secret_key": "s", "token": "t", "expiry_time": expiry}

    credentials = RefreshableCredentials("AK0", "s", "t", datetime.now(UTC) - timedelta(hours=1), refresh, "test")
    session = boto3.Session(region_name="eu-west-1")
    session._session._credentials = credentials
    client = session.client("personalize-runtime")
    frozen = client._get_credentials().get_frozen_credentials()
    assert (
        b"Credential=AK1/" in dict(split(Plan(client, frozen).message("/recommendations", b"{}"))[1])[b"Authorization"]
    )


def test_what_is_answered_before_it_is_sent_has_no_plan() -> None:
    client = client_of()
    client._make_api_call = lambda *_: {"itemList": []}
    with pytest.raises(NoPlanError, match="answered before"):
        plan_of(client)


def test_a_trace_id_of_somebody_else_has_no_plan() -> None:
    client = client_of()

    def traced(request: Any, **_: Any) -> None:
        request.headers["X-Amzn-Trace-Id"] = "Root=1-5759e988-bd862e3fe1be46a994272793"

    client.meta.events.register("before-sign.personalize-runtime", traced)
    with pytest.raises(NoPlanError, match="trace id"):
        plan_of(client)

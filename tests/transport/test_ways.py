"""Three ways to send: whichever a call takes, what is sent, answered and raised is what plain boto3 has."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import boto3
import botocore.session
import pytest
from botocore import exceptions as theirs
from botocore.config import Config
from moto import mock_aws

from personalize_rt import (
    PersonalizeError,
    PersonalizeRuntime,
    Promotion,
    ResponseError,
    ServerError,
    ServiceError,
)
from personalize_rt.decoding import decoded
from personalize_rt.transport.sender import KEPT_URLS
from personalize_rt.transport.ways import VARIABLE

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
FILTER = "arn:aws:personalize:eu-west-1:123456789012:filter/unseen"
REQUESTS = {
    "get_recommendations": {
        "campaign_arn": ARN,
        "user_id": 'ü"1 日本 😀 \ud800 \x7f \n',
        "item_id": "",
        "num_results": 0,
        "context": {"DEVICE": "phone", "CITY": "Zürich"},
        "filter_arn": FILTER,
        "filter_values": {"G": ["a", "ö"]},
        "promotions": [Promotion("p", 5, filter_arn=FILTER, filter_values={"G": "x"})],
        "metadata_columns": ["TITLE"],
    },
    "get_personalized_ranking": {"campaign_arn": ARN, "user_id": "u", "input_list": ["b", "a", "b"]},
    "get_action_recommendations": {"campaign_arn": ARN, "user_id": "u", "num_results": 7},
}
VARY = {"x-amz-date", "authorization", "amz-sdk-invocation-id", "user-agent"}


@pytest.fixture(params=["direct", "through", "plain"])
def both(
    request: Any, runtime: Any, plain_client: Any, monkeypatch: Any
) -> tuple[PersonalizeRuntime, PersonalizeRuntime]:
    """A runtime with a client of ours, for each way, and one with a plain client."""
    if request.param != "direct":
        monkeypatch.setenv(VARIABLE, request.param)
    ours = runtime(retry={"attempts": 1})
    return ours, runtime(client=plain_client(), retry={"attempts": 1})


@pytest.mark.parametrize("method", REQUESTS)
def test_the_same_bytes_are_sent(method: str, both: Any, server: Any) -> None:
    for runtime in both:
        getattr(runtime, method)(**REQUESTS[method])
    ours, plain = server.received
    assert (ours.method, ours.path, ours.body) == (plain.method, plain.path, plain.body)
    assert set(ours.headers) == set(plain.headers)
    assert {name: text for name, text in ours.headers.items() if name not in VARY} == {
        name: text for name, text in plain.headers.items() if name not in VARY
    }
    for name in ("authorization",):
        assert ours.headers[name].split(", Signature=")[0] == plain.headers[name].split(", Signature=")[0]


@pytest.mark.parametrize("kwargs", [{}, {"region_name": "cn-north-1"}, {"config": Config(use_dualstack_endpoint=True)}])
def test_the_same_endpoint_is_chosen(kwargs: dict[str, Any], session: Any) -> None:
    runtime = PersonalizeRuntime(session=session, **kwargs)
    assert (
        runtime._transport.client().meta.endpoint_url
        == session.client("personalize-runtime", **kwargs).meta.endpoint_url
    )
    runtime.close()


REPLIES = [
    {"itemList": [{"itemId": "a", "score": 0.25}], "recommendationId": "RID"},
    {"itemList": [{"itemId": "a", "score": 1}, {"itemId": "b", "score": None}], "recommendationId": None},
    {"itemList": [{"itemId": "a", "metadata": {"title": "ü"}, "reason": ["r"], "promotionName": "p"}]},
    {"itemList": [{"itemId": "a", "elevenChars": None, "rank": 5}], "more": [1]},
    {"itemList": [{"itemId": "a", "score": 1e-7}, {"itemId": "b", "score": 5e-324}]},
    {"itemList": []},
    {"recommendationId": "RID"},
]


@pytest.mark.parametrize("reply", REPLIES, ids=json.dumps)
def test_the_same_answer_is_read(reply: Any, both: Any, server: Any) -> None:
    server.always(reply)
    ours, plain = (runtime.get_recommendations(campaign_arn=ARN) for runtime in both)
    assert ours == plain
    assert (ours.info.request_id, ours.info.attempts) == (plain.info.request_id, plain.info.attempts)
    assert ours.info.request_id == "fd2ea40f-11f5-461c-b678-6a6a08bdb416"


ERRORS: list[tuple[int, bytes, dict[str, str]]] = [
    (400, b'{"message": "m"}', {"x_amzn_errortype": "InvalidInputException:http://x/"}),
    (400, b'{"Message": "M"}', {"x_amzn_errortype": "InvalidInputException"}),
    (404, b'{"__type": "com.amazon#ResourceNotFoundException", "message": "m"}', {}),
    (400, b'{"code": "ThrottlingException", "message": "m"}', {}),
    (400, b'{"message": "m", "more": {"a": [1]}}', {"x_amzn_errortype": "BrandNew"}),
    (400, b"{}", {}),
    (400, b"", {}),
    (400, b"plain words", {}),
    (403, b"<html><body>Forbidden</body></html>", {"content_type": "text/html"}),
    (413, b"<html>\r\n<head>Request Entity Too Large</head>", {"content_type": "text/html"}),
    (429, b"Too many", {"Retry_After": "1"}),
    (500, b"{}", {}),
    (502, b"<html>Bad gateway</html>", {"content_type": "text/html"}),
    (503, b"", {}),
    (503, b"Service Unavailable", {"x_twice": "1"}),
    (504, b'{"message": null}', {}),
    (301, b"", {"location": "http://127.0.0.1:9"}),
]


@pytest.mark.parametrize(("status", "body", "headers"), ERRORS)
def test_the_same_error_is_raised(
    status: int, body: bytes, headers: dict[str, str], both: Any, plain_client: Any, server: Any
) -> None:
    server.always(server.answer(status, body, **headers))
    caught = []
    for runtime in both:
        with pytest.raises(ServiceError) as ours:
            runtime.get_recommendations(campaign_arn=ARN)
        caught.append(ours.value)
    with pytest.raises(theirs.ClientError) as plain:
        plain_client().get_recommendations(campaignArn=ARN)
    for error in caught:
        assert error.response == plain.value.response
        assert error.operation_name == plain.value.operation_name
    assert type(caught[0]) is type(caught[1])
    assert str(caught[0]) == str(caught[1])


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"5", b"null", b'{"itemList": 5}', b'{"itemList": [{"itemId": 5}]}'])
def test_an_answer_that_breaks_the_model_is_a_response_error_of_both(body: bytes, both: Any, server: Any) -> None:
    server.always(server.answer(200, body))
    for runtime in both:
        with pytest.raises(ResponseError):
            runtime.get_recommendations(campaign_arn=ARN)


@pytest.mark.direct
def test_the_member_that_breaks_the_model_is_named(runtime: Any, server: Any) -> None:
    server.always({"itemList": [{"itemId": "a", "score": "high"}]})
    with pytest.raises(ResponseError, match=r"itemList\[0\].score"):
        runtime(retry={"attempts": 1}).get_recommendations(campaign_arn=ARN)


def test_a_client_of_the_callers_is_left_alone(plain_client: Any, runtime: Any) -> None:
    client = plain_client()
    before = (client._serializer, client._endpoint.http_session, client._user_agent_creator, dict(vars(client)))
    runtime(client=client).get_recommendations(campaign_arn=ARN)
    assert (client._serializer, client._endpoint.http_session, client._user_agent_creator, dict(vars(client))) == before


# Event handlers of the caller's session


def test_handlers_of_the_session_still_see_and_change_requests(server: Any) -> None:
    session = botocore.session.Session()
    session.set_credentials("mine", "mine")
    seen: list[Any] = []

    def more(params: dict[str, Any], **_: Any) -> None:
        seen.append(dict(params))
        params["numResults"] = 3

    def header(request: Any, **_: Any) -> None:
        request.headers["x-mine"] = "yes"

    session.register("before-parameter-build.personalize-runtime", more)
    session.register("before-sign.personalize-runtime", header)
    with PersonalizeRuntime(session=session, region_name="eu-west-1", endpoint_url=server.url) as runtime:
        runtime.get_recommendations(campaign_arn=ARN)
    assert seen == [{"campaignArn": ARN}]
    assert server.received[0].members == {"campaignArn": ARN, "numResults": 3}
    assert server.received[0].headers["x-mine"] == "yes"
    assert "x-mine" in server.received[0].headers["authorization"]


@pytest.mark.direct
def test_addresses_that_differ_in_each_request_are_not_kept(server: Any) -> None:
    session = botocore.session.Session()
    session.set_credentials("mine", "mine")
    numbers = itertools.count()

    def number(request: Any, **_: Any) -> None:
        request.url += f"?number={next(numbers)}"

    session.register("before-sign.personalize-runtime", number)
    server.always({"itemList": []})
    with PersonalizeRuntime(session=session, region_name="eu-west-1", endpoint_url=server.url) as runtime:
        for _ in range(KEPT_URLS + 5):
            runtime.get_recommendations(campaign_arn=ARN)
        assert server.received[-1].path.endswith(f"?number={next(numbers) - 1}")
        ways = runtime._transport._ways
        assert len(ways._sender._known) == len(ways._double._endpoint.http_session._starts) == KEPT_URLS


def test_a_client_of_ours_works_under_moto(server: Any, monkeypatch: Any) -> None:
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="films")
        with PersonalizeRuntime(region_name="eu-west-1", endpoint_url=server.url) as runtime:
            assert runtime.get_recommendations(campaign_arn=ARN).item_ids == ("i1",)
        assert len(s3.list_buckets()["Buckets"]) == 1
    assert server.count == 1


# Decoders that the program brought along


def decoder(loads: Callable[[bytes], Any]) -> Any:
    return SimpleNamespace(loads=loads, decode=loads)


@pytest.mark.parametrize("name", ["orjson", "msgspec.json"])
def test_a_faster_decoder_is_used_where_the_program_imported_one(name: str, monkeypatch: Any) -> None:
    used: list[bytes] = []
    for other in ("orjson", "msgspec.json"):
        monkeypatch.delitem(sys.modules, other, raising=False)
    monkeypatch.setitem(sys.modules, name, decoder(lambda body: (used.append(body), json.loads(body))[1]))
    assert decoded(b'{"a": 1}') == {"a": 1}
    assert used == [b'{"a": 1}']


@pytest.mark.parametrize("name", ["orjson", "msgspec.json"])
def test_what_a_strict_decoder_refuses_json_decides(name: str, monkeypatch: Any) -> None:
    def refuse(_: bytes) -> Any:
        raise ValueError("too strict")

    for other in ("orjson", "msgspec.json"):
        monkeypatch.delitem(sys.modules, other, raising=False)
    monkeypatch.setitem(sys.modules, name, decoder(refuse))
    assert decoded(b'{"a": "\\ud800"}') == {"a": "\ud800"}
    with pytest.raises(ValueError, match="Expecting"):
        decoded(b"nonsense")


@pytest.mark.direct
def test_a_server_error_of_any_body_is_retried(runtime: Any, server: Any) -> None:
    server.script(server.answer(503, b"[]"), server.answer(500, b"\xff"))
    assert runtime().get_recommendations(campaign_arn=ARN).info.attempts == 3
    server.always(server.answer(502, b'"no"'))
    with pytest.raises(ServerError):
        runtime().get_recommendations(campaign_arn=ARN)


def test_deep_json_is_an_error_of_ours(runtime: Any, server: Any) -> None:
    server.script(server.answer(200, b"[" * 100_000))
    with pytest.raises(PersonalizeError):
        runtime(retry={"attempts": 1}).get_recommendations(campaign_arn=ARN)


# Answers that are too much


@pytest.mark.direct
@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"itemList":[%b]}' % b",".join([b"[]"] * 100_000), "has more lists and objects than any of the service"),
        (b'{"itemList":[%b]}' % b",".join([b'{"itemId":"a"}'] * 10_001), "more than 10,000 rows"),
        (b'{"itemList":[%b]}' % b",".join([b'{"itemId":"a","score":1}'] * 10_001), "more than 10,000 rows"),
    ],
    ids=["lists", "rows", "plain rows"],
)
def test_an_answer_of_more_than_the_service_ever_gives_is_refused(
    body: bytes, told: str, runtime: Any, server: Any
) -> None:
    server.always(server.answer(200, body))
    with pytest.raises(ResponseError, match=told):
        runtime().get_recommendations(campaign_arn=ARN)


def test_a_large_answer_is_read(runtime: Any, server: Any) -> None:
    rows = [{"itemId": f"i{n}", "score": 0.5, "metadata": {"plot": "[Verse] {x}, " * 100}} for n in range(500)]
    server.always({"itemList": rows, "recommendationId": "R"})
    result = runtime().get_recommendations(campaign_arn=ARN)
    assert len(result) == 500
    assert result[499].metadata["plot"] == "[Verse] {x}, " * 100


@pytest.mark.direct
def test_a_large_page_of_a_proxy_is_an_error_by_its_status(runtime: Any, server: Any) -> None:
    server.always(server.answer(503, b'{"message": "%b"}' % (b"m" * 1_000_000)))
    with pytest.raises(ServerError) as caught:
        runtime(retry={"attempts": 1}).get_recommendations(campaign_arn=ARN)
    assert (caught.value.status_code, len(caught.value.message) < 200) == (503, True)

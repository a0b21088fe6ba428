"""How the questions are asked: which, how many, at what pace, through which client; and what the report shows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError

from personalize_rt import ConfigurationError, TransportError, ValidationError
from personalize_rt.local import LocalPersonalize
from personalize_rt.testing import verify
from personalize_rt.transport.in_process import UnansweredError, in_process_client
from personalize_rt.verify import QUESTIONS, plan
from personalize_rt.verify.judges import Exchange
from personalize_rt.verify.requests import REQUESTS
from tests.verify.conftest import Double

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/secret-campaign"


def reply(body: Any, status: int = 200, **headers: str) -> tuple[int, Mapping[str, str], bytes]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"content-type": "application/json", **named}, content


def test_each_request_belongs_to_a_question_and_each_question_has_its_requests() -> None:
    used = {name for question in QUESTIONS.values() for name in question.requests}
    assert used == REQUESTS.keys()
    assert len(REQUESTS) + 4 <= 40  # and two campaigns are asked two ways


def test_only_what_the_account_has_is_asked(local: LocalPersonalize, double: Double) -> None:
    asked: list[dict[str, Any]] = []
    double.asked = asked.append
    report = verify(double.client, campaign_arn=local.campaign_arn("ranking"), sleep=lambda seconds: None)
    by_name = {finding.question: finding for finding in report.findings}
    assert all(
        "filterValues" not in members or "X" in members["filterValues"] or not members["filterValues"]
        for members in asked
    )
    assert by_name["share of promotions"].outcome == "not asked"
    assert by_name["share of promotions"].seen == (
        "needs a campaign or recommender for GetRecommendations; a filter, with its values"
    )
    assert by_name["order of unknown items"].outcome == "agrees"
    assert report.disagreements == ()


def test_a_recommender_is_asked_in_the_place_of_a_campaign(local: LocalPersonalize, double: Double) -> None:
    report = verify(double.client, recommender_arn=local.recommender_arn("top-picks"), sleep=lambda seconds: None)
    assert report.disagreements == ()
    assert {finding.question: finding.outcome for finding in report.findings}["null members"] == "agrees"


def test_requests_keep_a_pace_and_are_not_sent_again(
    local: LocalPersonalize, double: Double, given: dict[str, Any]
) -> None:
    waits: list[float] = []

    def throttled(members: Mapping[str, Any], answer: Any) -> None:
        if "promotions" in members:
            answer.status, answer.headers["x-amzn-errortype"] = 400, "ThrottlingException"

    double.answered = throttled
    report = verify(double.client, **{**given, "sleep": waits.append, "requests_per_second": 4})
    assert waits == [0.25] * (report.requests - 1)
    assert double.count == report.requests
    found = {finding.question: finding for finding in report.findings}
    assert (found["throttling"].outcome, found["throttling"].seen) == ("agrees", "400 ThrottlingException")
    assert (found["share of promotions"].outcome, found["share of promotions"].seen) == (
        "unclear",
        "400 ThrottlingException",
    )


def test_report_shows_nothing_of_the_account(local: LocalPersonalize, double: Double, given: dict[str, Any]) -> None:
    report = verify(double.client, **{**given, "user_id": "secret-user", "context": {"DEVICE": "secret-phone"}})
    texts = [str(report), report.to_json(), repr(report)]
    for text in texts:
        for hidden in ("secret", "000000000000", "i00", "odd", "1995", "of-kind", "for-you", "BRAND", "Brand"):
            assert hidden not in text
    assert json.loads(report.to_json())["findings"][0]["question"] == "order"


@pytest.mark.parametrize(
    "answer",
    [
        reply({"__type": "secret-code-4711!", "message": "secret-user"}, 400),
        reply({"message": "secret-user"}, 418),
        reply(b"secret"),
        reply({"itemList": "secret"}),
        reply({"itemList": [{"itemId": ["secret"], "score": "secret", "secret 4711": 1, "metadata": {}}, "secret"]}),
        reply({"itemList": [], "recommendationId": ["secret"]}),
        reply([], 200),
    ],
    ids=range(7),
)
def test_answers_of_any_form_are_judged_and_not_shown(answer: Any) -> None:
    # Most of these can only be the answer to the questions after the first.
    first = reply({"itemList": [{"itemId": "i", "score": 0.5}], "recommendationId": "RID"})
    asked: list[bytes] = []

    def respond(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Any:
        asked.append(body)
        return first if len(asked) == 1 else answer

    report = verify(in_process_client(respond), campaign_arn=ARN, sleep=lambda seconds: None)
    assert "4711" not in str(report)
    assert "secret-" not in str(report)
    assert len(report.findings) == len(QUESTIONS)


def test_client_of_the_caller_stays_as_it_is(local: LocalPersonalize, given: dict[str, Any]) -> None:
    client = local.boto3_client()
    sent: list[str] = []
    client.meta.events.register("before-send.personalize-runtime", lambda request, **_: sent.append(request.url))
    emitter, endpoint, signer = client.meta.events, client._endpoint, client._request_signer
    report = verify(client, **given)
    assert (client.meta.events, client._endpoint, client._request_signer) == (emitter, endpoint, signer)
    assert endpoint._event_emitter is emitter
    # Its handlers see what is asked, and what it is called for afterwards is what it was called for.
    assert len(sent) in (0, report.requests)
    before = len(sent)
    arn = local.campaign_arn("for-you")
    assert len(client.get_recommendations(campaignArn=arn, userId="u", numResults=3)["itemList"]) == 3
    assert len(sent) in (before, before + 1)


def test_dry_run_lists_what_would_be_sent(double: Double, given: dict[str, Any]) -> None:
    given.pop("sleep")
    planned = plan(**given)
    assert double.count == 0
    assert len({one.name for one in planned}) == len(planned) == len(REQUESTS) <= 40
    asked: list[dict[str, Any]] = []
    double.asked = asked.append
    verify(double.client, **given, sleep=lambda seconds: None)
    # Items of answers are not known before.
    known = [{**one.members, "inputList": 0} for one in planned if "inputList" in one.members]
    assert all({**members, "inputList": 0} in known for members in asked if "inputList" in members)
    assert planned[0].operation == "GetRecommendations"
    assert "order" in planned[0].questions
    assert str(planned[0]).startswith("GetRecommendations (recommendations): {")


@pytest.mark.parametrize(
    ("arguments", "parameter", "expected"),
    [
        ({}, "campaign_arn", "there is nothing to ask"),
        ({"campaign_arn": ARN, "requests_per_second": 0}, "requests_per_second", "not above 0"),
        ({"campaign_arn": ARN, "filter_arn": [ARN, ARN], "filter_expression": "x"}, "filter_expression", "2 filters"),
        (
            {
                "campaign_arn": ARN,
                "filter_arn": ARN,
                "filter_expression": "INCLUDE ItemID WHERE Items.KIND IN ($KIND)",
            },
            "filter_values",
            "filter_values has no KIND",
        ),
        ({"campaign_arn": ARN, "filter_arn": ARN, "filter_values": {"KIND": True}}, "KIND", "KIND"),
        ({"campaign_arn": ARN}, "campaign_arn", "the answer of one was 400 InvalidInputException"),
        ({"recommender_arn": ARN}, "recommender_arn", "the answer of one was 400 InvalidInputException"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(
    double: Double, arguments: dict[str, Any], parameter: str, expected: str
) -> None:
    with pytest.raises(ValidationError) as raised:
        verify(double.client, **arguments, sleep=lambda seconds: None)
    assert raised.value.parameter == parameter
    assert expected in str(raised.value)


@pytest.mark.parametrize("client", [object(), "eu-west-1", None])
def test_what_is_no_client_is_refused(client: Any) -> None:
    with pytest.raises(ValidationError) as raised:
        verify(client, campaign_arn=ARN)
    assert raised.value.parameter == "client"


def test_no_answer_is_an_error_of_ours() -> None:
    def silent(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Any:
        raise UnansweredError("read_timeout")

    with pytest.raises(TransportError):
        verify(in_process_client(silent), campaign_arn=ARN)

    def without(**_: Any) -> None:
        raise NoCredentialsError

    client = in_process_client(silent)
    client.meta.events.register("before-call.personalize-runtime", without)
    with pytest.raises(ConfigurationError) as raised:
        verify(client, campaign_arn=ARN)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("order", [{"itemId": "a", "score": None}]),
        ("digits", [{"itemId": "a", "score": 1.0}]),
        ("small numbers", [{"itemId": "a", "score": 1.0}]),
        ("sum of recommendations", [{"itemId": "a", "score": None}]),
        ("null members", []),
        ("order of members", []),
    ],
)
def test_answers_that_settle_nothing_are_unclear(question: str, rows: list[Any]) -> None:
    exchange = Exchange({}, 200, {}, json.dumps({"itemList": rows}))
    found: Callable[..., Any] = QUESTIONS[question].judge
    assert found(None, [exchange]).agrees is None

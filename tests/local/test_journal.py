"""The requests that were received, the answers that were given beforehand, and the lines of the log."""

from __future__ import annotations

import http.client
import json
import time
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from personalize_rt.errors import ValidationError
from personalize_rt.local import HttpRequest, LocalPersonalize
from personalize_rt.local.journal import Journal, resource_of
from personalize_rt.local.server import serving
from personalize_rt.tracking import TrackedEvent
from tests.optional import optional

PREFIX = "arn:aws:personalize:eu-west-1:000000000000:"


@pytest.fixture
def local(service: Callable[..., Any]) -> LocalPersonalize:
    local: LocalPersonalize = service().local
    return local


def post(url: str, path: str, body: Any, **headers: str) -> int:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        connection.request("POST", path, json.dumps(body), {name.replace("_", "-"): headers[name] for name in headers})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def test_every_request_in_process_is_noted(local: LocalPersonalize) -> None:
    before = time.time()
    arn = local.campaign_arn("popular")
    local.boto3_client().get_recommendations(campaignArn=arn, userId="ann")
    with pytest.raises(ClientError):
        local.boto3_client("personalize").describe_schema(schemaArn=f"{PREFIX}schema/none")
    first, second = local.requests
    assert (first.service, first.operation, first.status, first.error) == (
        "personalize-runtime",
        "GetRecommendations",
        200,
        None,
    )
    assert first.resource == arn
    assert first.members == {"campaignArn": arn, "userId": "ann"}
    assert before - 1 <= first.time <= time.time() + 1
    assert first.request_id
    assert (second.service, second.operation) == ("personalize", "DescribeSchema")
    assert second.resource == f"{PREFIX}schema/none"
    assert second.error is not None
    assert local.requests[-1] == second
    assert local.requests[:1] == (first,)


def test_rows_show_nothing_personal(local: LocalPersonalize) -> None:
    local.boto3_client().get_recommendations(campaignArn=local.campaign_arn("popular"), userId="user-4711")
    assert "4711" not in repr(local.requests) + repr(list(local.requests))
    assert "GetRecommendations" in repr(list(local.requests))


def test_what_faults_answered_is_noted_with_their_delays(local: LocalPersonalize) -> None:
    local.faults.throttle(times=1)
    local.faults.latency(0.2, times=2)
    with pytest.raises(ClientError, match="ThrottlingException"):
        local.boto3_client().get_recommendations(campaignArn=local.campaign_arn("popular"))
    local.boto3_client().get_recommendations(campaignArn=local.campaign_arn("popular"))
    throttled, late = local.requests
    assert (throttled.status, throttled.error) == (400, "ThrottlingException")
    assert (late.status, late.elapsed >= 0.2) == (200, True)
    local.faults.clear()
    local.faults.hang()
    with pytest.raises(ReadTimeoutError):
        local.boto3_client().get_recommendations(campaignArn=local.campaign_arn("popular"))
    assert local.requests[-1].status is None


def test_requests_with_any_text_can_be_asked_for(local: LocalPersonalize) -> None:
    optional("uvicorn")
    with local.serve(credentials=()) as url:
        post(url, "/recommendations", {"userId": "\ud800", "numResults": 5})
        with urllib.request.urlopen(f"{url}/_local/requests", timeout=20) as reply:
            [row] = json.loads(reply.read())["requests"]
    assert row["members"] == {"userId": "\ud800", "numResults": 5}


def test_events_can_be_asked_for_with_their_answers(local: LocalPersonalize) -> None:
    optional("uvicorn")
    arn = local.campaign_arn("popular")
    shown = local.boto3_client().get_recommendations(campaignArn=arn, userId="ann")
    clicked = shown["itemList"][0]["itemId"]
    event = TrackedEvent(event_type="Watch", item_id=clicked, recommendation_id=shown["recommendationId"])
    local.put_events(session_id="s", user_id="ann", events=[event, TrackedEvent(event_type="Leave", sent_at=7)])
    with local.serve(credentials=()) as url, urllib.request.urlopen(f"{url}/_local/events", timeout=20) as reply:
        first, second = json.loads(reply.read())["events"]
    assert (first["event_type"], first["item_id"], first["user_id"]) == ("Watch", clicked, "ann")
    assert (first["answer"]["operation"], first["answer"]["resource_arn"]) == ("GetRecommendations", arn)
    assert first["answer"]["item_ids"] == [item["itemId"] for item in shown["itemList"]]
    assert (second["event_type"], second["answer"], second["properties"]) == ("Leave", None, {})


def test_requests_over_http_are_noted_too_and_can_be_asked_for(local: LocalPersonalize) -> None:
    optional("uvicorn")
    arn = local.campaign_arn("popular")
    with local.serve(credentials=()) as url:
        assert post(url, "/recommendations", {"campaignArn": arn, "userId": "ann"}) == 200
        assert post(url, "/", {}, x_amz_target="AmazonPersonalize.MakeCoffee") == 404
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
        connection.request("GET", "/_local/requests")
        listed = json.loads(connection.getresponse().read())["requests"]
        connection.request("DELETE", "/_local/requests")
        assert json.loads(connection.getresponse().read()) == {"requests": []}
        connection.close()
    assert [(row["operation"], row["status"], row["error"]) for row in listed] == [
        ("GetRecommendations", 200, None),
        ("MakeCoffee", 404, "UnknownOperationException"),
    ]
    assert listed[0]["members"] == {"campaignArn": arn, "userId": "ann"}
    assert len(local.requests) == 0


def test_a_request_stands_in_the_journal_before_its_answer_comes(local: LocalPersonalize) -> None:
    optional("uvicorn")
    with local.serve(credentials=()) as url:
        for number in range(20):
            assert post(url, "/recommendations", {"campaignArn": local.campaign_arn("popular")}) == 200
            assert [row.status for row in local.requests] == [200] * (number + 1)
        local.faults.latency(30)
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=0.05)
        connection.request("POST", "/recommendations", "{}")
        with pytest.raises(TimeoutError):
            connection.getresponse()
        assert local.requests[-1].status is None
        connection.close()


def test_the_journal_is_bounded_in_rows_and_in_bytes() -> None:
    journal = Journal()
    for number in range(1100):
        journal.begin(HttpRequest("POST", "/events", {}, json.dumps({"n": number}).encode()))
    assert (len(journal), journal[0].members) == (1000, {"n": 100})
    for _ in range(20):
        journal.begin(HttpRequest("POST", "/events", {}, bytes(1 << 20)))
    assert len(journal) == 16
    journal.clear()
    assert not journal


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"filterArn": f"{PREFIX}filter/f", "campaignArn": f"{PREFIX}campaign/c"}, f"{PREFIX}campaign/c"),
        ({"recommenderArn": f"{PREFIX}recommender/r"}, f"{PREFIX}recommender/r"),
        ({"datasetArn": f"{PREFIX}dataset/group/ITEMS", "items": []}, f"{PREFIX}dataset/group/ITEMS"),
        ({"userId": f'"campaignArn":"{PREFIX}campaign/4711"'}, None),
        ({"userId": f"{PREFIX}campaign/4711"}, None),
        ({"campaignArn": "user-4711"}, None),
        ({"campaignArn": f"{PREFIX}campaign/a b"}, None),
        ({"context": {"ownerArn": f"{PREFIX}campaign/4711"}, "userId": "4711"}, None),
        ({"filterValues": {"campaignArn": f"{PREFIX}campaign/4711"}, "userId": "}"}, None),
        (
            {"context": {"campaignArn": f"{PREFIX}campaign/4711"}, "campaignArn": f"{PREFIX}campaign/c"},
            f"{PREFIX}campaign/c",
        ),
    ],
)
def test_a_resource_is_an_arn_and_never_a_value_of_the_user(members: dict[str, Any], expected: str | None) -> None:
    assert resource_of(json.dumps(members).encode()) == expected


# The log.


def logged(local: LocalPersonalize, form: Any) -> list[str]:
    lines: list[str] = []
    with serving(local, credentials=(), log=lines.append, log_format=form) as url:
        arn = local.campaign_arn("popular")
        post(url, "/recommendations", {"campaignArn": arn, "userId": "user-4711"})
        post(url, "/recommendations?user-4711", {"campaignArn": "user-4711"})
        post(url, "/events", {"trackingId": "user-4711"})
        post(url, "/", {}, x_amz_target="AmazonPersonalize.user!4711")
        post(url, "/user-4711", {})
        post(url, "/_local/user-4711", {})
        post(url, "/_local/faults/4711", {})
        post(url, "/recommendations", {}, origin="http://user-4711")
        post(url, "/healthz", {})
    return lines


def test_each_request_is_one_line_of_the_log_without_personal_values(local: LocalPersonalize) -> None:
    optional("uvicorn")
    lines = logged(local, "text")
    assert not [line for line in lines if "4711" in line or "\x1b" in line or "\n" in line]
    told = [line.split(" ", 1)[1].rpartition(" ")[0].rpartition(" ")[0] for line in lines]
    assert told == [
        f"GetRecommendations {local.campaign_arn('popular')} 200",
        "GetRecommendations - 400",
        f"PutEvents - {told[2][-3:]}",
        "- - 404",
        "- - 404",
        "- - 404",
        "POST /_local/faults - 405",
        "GetRecommendations - 403",
    ]


def test_a_line_may_be_json(local: LocalPersonalize) -> None:
    optional("uvicorn")
    lines = logged(local, "json")
    first = json.loads(lines[0])
    assert list(first) == ["time", "operation", "resource", "status", "milliseconds"]
    assert (first["operation"], first["resource"], first["status"]) == (
        "GetRecommendations",
        local.campaign_arn("popular"),
        200,
    )
    assert first["time"].endswith("Z")
    assert first["milliseconds"] > 0
    assert json.loads(lines[6])["operation"] == "POST /_local/faults"
    assert "4711" not in "".join(lines)


# Answers that are given.


def test_an_answer_that_is_given_is_the_answer_until_it_is_taken_back(local: LocalPersonalize) -> None:
    runtime, arn = local.runtime(), local.campaign_arn("popular")
    usual = runtime.get_recommendations(campaign_arn=arn).item_ids
    local.answer("popular", ["x", "hit", "y"])
    assert runtime.get_recommendations(campaign_arn=arn).item_ids == ("x", "hit", "y")
    assert runtime.get_recommendations(campaign_arn=arn, num_results=2).item_ids == ("x", "hit")
    local.answer(arn, [])
    assert runtime.get_recommendations(campaign_arn=arn).item_ids == ()
    local.answer("popular", None)
    assert runtime.get_recommendations(campaign_arn=arn).item_ids == usual


def test_requests_for_a_given_answer_are_checked_as_always(local: LocalPersonalize) -> None:
    local.answer("popular", ["x"])
    client = local.boto3_client()
    with pytest.raises(client.exceptions.InvalidInputException, match="filterArn"):
        client.get_recommendations(campaignArn=local.campaign_arn("popular"), filterArn=f"{PREFIX}filter/none")
    with pytest.raises(client.exceptions.InvalidInputException, match="answers GetRecommendations"):
        client.get_personalized_ranking(campaignArn=local.campaign_arn("popular"), userId="u", inputList=["a"])


def test_a_given_answer_has_scores_where_the_recipe_gives_them() -> None:
    local = LocalPersonalize.sample()
    local.answer("movies-for-you", ["a", "b", "c"])
    local.answer("popular-movies", ["a", "b"])
    runtime = local.runtime()
    scored = runtime.get_recommendations(campaign_arn=local.campaign_arn("movies-for-you"), user_id="42")
    assert scored.scores == (0.5, 0.3333333, 0.1666667)
    plain = runtime.get_recommendations(campaign_arn=local.campaign_arn("popular-movies"))
    assert plain.scores == (None, None)


@pytest.mark.parametrize(
    ("campaign", "ids", "said"),
    [
        ("none", ["x"], "there is no campaign or recommender 'none'"),
        ("popular", "x", r"write \[item_id\]"),
        ("popular", [""], "longer than 256 characters"),
        ("popular", [1], "an int"),
    ],
)
def test_what_cannot_be_an_answer_is_refused(local: LocalPersonalize, campaign: str, ids: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        local.answer(campaign, ids)

"""An object with boto3's methods, through a runtime: code that takes a boto3 client runs on it."""

from __future__ import annotations

import asyncio
import pickle
import threading
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, ParamValidationError

from personalize_rt import (
    CircuitBreaker,
    CircuitOpenError,
    DeadlineExceededError,
    InputOrderFallback,
    PersonalizeRuntime,
    ResponseError,
    RetryPolicy,
    ThrottlingError,
    TransportError,
    ValidationError,
)
from personalize_rt.local import LocalPersonalize

FILMS = ["tt0120338", "tt0133093", "tt0000000"]
SECRET = "ada@example.org"


@pytest.fixture(scope="module")
def local() -> LocalPersonalize:
    return LocalPersonalize.sample()


@pytest.fixture(autouse=True)
def healthy(local: LocalPersonalize) -> None:
    local.faults.clear()


def calls(local: LocalPersonalize) -> dict[str, dict[str, Any]]:
    movies = local.campaign_arn("movies-for-you")
    return {
        "get_personalized_ranking": {
            "campaignArn": local.campaign_arn("movies-ranking"),
            "userId": "13974",
            "inputList": FILMS,
            "context": {},
        },
        "get_recommendations": {
            "campaignArn": movies,
            "userId": "13974",
            "numResults": 3,
            "filterArn": local.filter_arn("unseen-by-genre"),
            "filterValues": {"GENRE": '"Comedy","Drama"'},
            "metadataColumns": {"ITEMS": ["TITLE"]},
        },
        "get_action_recommendations": {"campaignArn": local.campaign_arn("offers"), "userId": "13974"},
    }


@pytest.mark.parametrize("method", ["get_personalized_ranking", "get_recommendations", "get_action_recommendations"])
def test_arguments_and_replies_are_those_of_boto3(method: str, local: LocalPersonalize) -> None:
    members = calls(local)[method]
    wanted = getattr(local.boto3_client(), method)(**members)
    reply = getattr(local.runtime().as_boto3(), method)(**members)
    head, theirs = reply.pop("ResponseMetadata"), wanted.pop("ResponseMetadata")
    assert head.keys() == theirs.keys() - {"MaxAttemptsReached"}  # botocore's own retries, which are off
    assert (head["HTTPStatusCode"], head["RetryAttempts"]) == (200, 0)
    assert head["HTTPHeaders"]["x-amzn-requestid"] == head["RequestId"]
    for answer in (reply, wanted):
        answer["recommendationId"] = answer["recommendationId"].partition("-")[0]  # another request
    assert reply == wanted


def test_a_reply_is_the_same_on_an_event_loop(local: LocalPersonalize) -> None:
    members = calls(local)["get_personalized_ranking"]

    async def asked() -> dict[str, Any]:
        async with local.async_runtime() as runtime:
            return await runtime.as_boto3().get_personalized_ranking(**members)

    reply = asyncio.run(asked())
    assert (
        reply["personalizedRanking"] == local.boto3_client().get_personalized_ranking(**members)["personalizedRanking"]
    )


def test_the_policies_of_the_runtime_are_in_force(local: LocalPersonalize) -> None:
    client = local.runtime(fallback=InputOrderFallback()).as_boto3()
    members = calls(local)["get_personalized_ranking"]
    local.faults.throttle(times=1)
    assert client.get_personalized_ranking(**members)["ResponseMetadata"]["RetryAttempts"] == 1
    local.faults.fail()
    reply = client.get_personalized_ranking(**members)
    assert [row["itemId"] for row in reply["personalizedRanking"]] == FILMS


def test_errors_of_the_service_are_caught_by_boto3s_names(local: LocalPersonalize) -> None:
    client = local.runtime().as_boto3()
    members = calls(local)["get_personalized_ranking"]
    unknown = members["campaignArn"].replace("movies-ranking", "nowhere")
    with pytest.raises(client.exceptions.InvalidInputException) as caught:
        client.get_personalized_ranking(**{**members, "campaignArn": unknown})
    assert isinstance(caught.value, client.exceptions.ClientError)
    assert caught.value.response["Error"]["Code"] == "InvalidInputException"
    local.faults.throttle()
    with pytest.raises(ClientError) as throttled:
        client.get_personalized_ranking(**members)
    assert type(throttled.value) is ThrottlingError
    assert throttled.value.response["Error"]["Code"] == "ThrottlingException"


@pytest.mark.parametrize(
    "change",
    [
        {"userId": None},
        {"inputList": "tt0120338"},
        {"inputlist": FILMS},
        {"inputList": [7]},
        {"campaignArn": "movies"},
        {"filterValues": {"GENRE": '"Comedy"'}},
    ],
    ids=repr,
)
def test_a_refused_argument_is_also_botocores_error(change: dict[str, Any], local: LocalPersonalize) -> None:
    members = {**calls(local)["get_personalized_ranking"], "userId": SECRET} | change
    with pytest.raises(ParamValidationError) as caught:
        local.runtime().as_boto3().get_personalized_ranking(**members)
    assert isinstance(caught.value, ValidationError)
    assert caught.value.parameter
    assert SECRET not in repr(caught.value) + str(caught.value)
    with pytest.raises(TypeError):
        local.runtime().as_boto3().get_personalized_ranking(members)  # as boto3 refuses it


def test_where_no_answer_came_botocores_class_catches_ours(local: LocalPersonalize, monkeypatch: Any) -> None:
    members = calls(local)["get_personalized_ranking"]
    local.faults.hang()
    with pytest.raises(HTTPClientError) as late:
        local.runtime(deadline=0.5).as_boto3().get_personalized_ranking(**members)
    error = late.value
    assert isinstance(error, DeadlineExceededError)
    assert error.deadline == 0.5
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.attempts) == (type(error), str(error), error.attempts)
    broken = local.runtime(breaker=CircuitBreaker(min_calls=1), deadline=0.5).as_boto3()
    for kind in (DeadlineExceededError, CircuitOpenError):
        with pytest.raises(BotoCoreError) as caught:
            broken.get_personalized_ranking(**members)
        assert isinstance(caught.value, kind)
    local.faults.clear()
    local.faults.invalid_json()
    with pytest.raises(BotoCoreError) as garbled:
        local.runtime().as_boto3().get_personalized_ranking(**members)
    assert isinstance(garbled.value, ResponseError)


def test_there_are_no_pages_and_nothing_to_wait_for(local: LocalPersonalize) -> None:
    client = local.runtime().as_boto3()
    assert client.can_paginate("get_recommendations") is False
    with pytest.raises(BotoCoreError, match="no paginators"):  # boto3: OperationNotPageableError
        client.get_paginator("get_recommendations")
    with pytest.raises(ValueError, match="no waiters"):  # as boto3
        client.get_waiter("campaign_active")


class Shop:
    """A resolver as shops have it: one client, ARNs of either kind, boto3's dicts."""

    def __init__(self, client: Any, fallback: list[str]) -> None:
        self.client, self.fallback = client, fallback

    def related(self, arn: str, user: str, **more: Any) -> list[str]:
        name = "recommenderArn" if arn.split(":")[5].startswith("recommender") else "campaignArn"
        try:
            reply = self.client.get_recommendations(**{name: arn}, userId=user, **more)
        except (self.client.exceptions.ResourceNotFoundException, self.client.exceptions.InvalidInputException):
            return []
        except (ClientError, BotoCoreError):
            return self.fallback
        return [row["itemId"] for row in reply["itemList"]]


def test_a_shops_resolver_runs_on_it(local: LocalPersonalize) -> None:
    mine, theirs = (Shop(client, ["best"]) for client in (local.runtime().as_boto3(), local.boto3_client()))
    for arn in (local.campaign_arn("movies-for-you"), local.recommender_arn("top-picks")):
        assert mine.related(arn, "13974", numResults=5) == theirs.related(arn, "13974", numResults=5) != []
    unknown = local.campaign_arn("movies-for-you") + "-2"
    assert mine.related(unknown, "13974") == []
    local.faults.fail()
    assert mine.related(local.campaign_arn("movies-for-you"), "13974") == ["best"]


class Chained:
    """The calls of ``AmazonPersonalize`` of langchain-experimental 0.4.2, in our words."""

    def __init__(self, client: Any, campaign_arn: str | None = None, recommender_arn: str | None = None) -> None:
        self.client = client
        self.arn = {"campaignArn": campaign_arn} if campaign_arn else {"recommenderArn": recommender_arn}

    def get_recommendations(self, user_id: str, num_results: int = 10, **more: Any) -> dict[str, Any]:
        reply: dict[str, Any] = self.client.get_recommendations(
            userId=user_id, numResults=num_results, **more, **self.arn
        )
        return reply


def chained(client: Any, **arn: str) -> Any:
    """LangChain's own class where it is installed."""
    try:
        from langchain_experimental.recommenders import AmazonPersonalize
    except ImportError:
        return Chained(client, **arn)
    return AmazonPersonalize(client=client, **arn)


def test_the_chain_of_langchain_runs_on_it(local: LocalPersonalize) -> None:
    for arn in (
        {"campaign_arn": local.campaign_arn("movies-for-you")},
        {"recommender_arn": local.recommender_arn("top-picks")},
    ):
        chain = chained(local.runtime().as_boto3(), **arn)
        reply = chain.get_recommendations(user_id="13974", num_results=4)
        assert len([row["itemId"] for row in reply["itemList"]]) == 4
        assert reply["recommendationId"]


def test_closing_it_closes_the_runtime_and_it_says_what_it_is(local: LocalPersonalize) -> None:
    client = local.runtime().as_boto3()
    client.close()
    assert repr(client) == "PersonalizeRuntime.as_boto3()"
    assert isinstance(PersonalizeRuntime(region_name="eu-west-1").as_boto3(), type(client))


@pytest.mark.parametrize("default", [False, True], ids=["no default session", "default session"])
def test_a_runtime_in_the_place_of_boto3s_clients_asks_a_client_of_boto3(
    default: bool, local: LocalPersonalize, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program whose modules make their clients themselves is given runtimes by patching ``boto3.client``."""
    import boto3

    monkeypatch.setattr(boto3, "DEFAULT_SESSION", boto3.Session(region_name="eu-west-1") if default else None)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    once = RetryPolicy(attempts=1)
    runtime = PersonalizeRuntime(region_name="eu-west-1", endpoint_url="http://127.0.0.1:9", retry=once)
    monkeypatch.setattr(boto3, "client", lambda name, **options: runtime.as_boto3())
    members = calls(local)["get_personalized_ranking"]
    before = threading.active_count()
    with pytest.raises(BotoCoreError) as refused:
        boto3.client("personalize-runtime").get_personalized_ranking(**members)
    assert isinstance(refused.value, TransportError)
    assert refused.value.phase == "connect"
    assert threading.active_count() <= before + 1

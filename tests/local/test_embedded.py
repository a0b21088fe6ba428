"""LocalPersonalize through a real boto3 client and through the façade, and its look-ups."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError

from personalize_rt import (
    InvalidInputError,
    Limits,
    Ranking,
    Recommendations,
    ValidationError,
)
from personalize_rt.local import HttpRequest, LocalDataError, LocalPersonalize
from personalize_rt.local.engine import Engine
from personalize_rt.tracking import TrackedEvent


@pytest.fixture
def small(service: Callable[..., Any]) -> LocalPersonalize:
    local: LocalPersonalize = service().local
    return local


@pytest.fixture
def client(small: LocalPersonalize, monkeypatch: pytest.MonkeyPatch) -> Any:
    def no_network(*_: Any) -> None:
        raise AssertionError("the in-process client opened a socket")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    return small.boto3_client()


def test_boto3_parses_the_answer_and_drops_null_scores(client: Any, small: LocalPersonalize) -> None:
    reply = client.get_personalized_ranking(
        campaignArn=small.campaign_arn("ranking"), userId="ann", inputList=["nobody-knows", "x", "c"]
    )
    metadata = reply.pop("ResponseMetadata")

    assert reply["personalizedRanking"][-1] == {"itemId": "nobody-knows"}
    assert [set(row) for row in reply["personalizedRanking"][:2]] == [{"itemId", "score"}] * 2
    assert len(reply["recommendationId"]) == 40
    assert metadata["HTTPStatusCode"] == 200
    assert metadata["HTTPHeaders"]["x-amzn-requestid"] == metadata["RequestId"]


def test_boto3_gets_items_without_scores(client: Any, small: LocalPersonalize) -> None:
    reply = client.get_recommendations(campaignArn=small.campaign_arn("popular"), numResults=2)
    assert reply["itemList"] == [{"itemId": "hit"}, {"itemId": "a"}]


def test_boto3_raises_its_typed_exceptions(client: Any, small: LocalPersonalize) -> None:
    with pytest.raises(client.exceptions.InvalidInputException) as invalid:
        client.get_recommendations(campaignArn=small.campaign_arn("for-you"))
    assert invalid.value.response["Error"]["Code"] == "InvalidInputException"
    assert "userId" in invalid.value.response["Error"]["Message"]
    assert invalid.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert invalid.value.response["ResponseMetadata"]["RequestId"]

    with pytest.raises(client.exceptions.InvalidInputException):
        client.get_recommendations(campaignArn=small.campaign_arn("popular") + "s")
    with pytest.raises(ClientError, match="there is no filter"):
        client.get_recommendations(
            campaignArn=small.campaign_arn("popular"), filterArn="arn:aws:personalize:eu-west-1:000000000000:filter/f"
        )
    with pytest.raises(ParamValidationError):
        client.get_recommendations(campaignArn=small.campaign_arn("popular"), numResults="many")


def test_boto3_signs_for_the_region_of_the_arns_and_takes_a_config(service: Callable[..., Any]) -> None:
    files = {"actions.csv": "ACTION_ID\na\n", "personalize.toml": '[options]\nregion = "us-east-2"\n'}
    local: LocalPersonalize = service(files).local
    client = local.boto3_client(config=Config(user_agent_extra="my-app"))
    arn = local.campaign_arn("next-best-action")

    assert client.meta.region_name == "us-east-2"
    assert "my-app" in client.meta.config.user_agent_extra
    assert client.get_action_recommendations(campaignArn=arn, userId="u")["actionList"] == [
        {"actionId": "a", "score": 0.0}
    ]


def test_runtime_is_wired_in_process(small: LocalPersonalize) -> None:
    with small.runtime(deadline=None) as runtime:
        ranking = runtime.get_personalized_ranking(
            campaign_arn=small.campaign_arn("ranking"), user_id="ann", input_list=["q", "x", "c", "p"]
        )
        popular = runtime.get_recommendations(campaign_arn=small.campaign_arn("popular"), num_results=3)

        assert isinstance(ranking, Ranking)
        assert ranking.item_ids == ("c", "x", "q", "p")
        assert ranking.unscored == ("q", "p")
        assert ranking.info.request_id
        assert isinstance(popular, Recommendations)
        assert popular.scores == (None, None, None)

        with pytest.raises(InvalidInputError, match="does not exist or is not active yet"):
            runtime.get_recommendations(campaign_arn=small.campaign_arn("popular") + "s")
        with pytest.raises(InvalidInputError, match="userId"):
            runtime.get_recommendations(campaign_arn=small.campaign_arn("for-you"))


def test_service_checks_what_the_client_was_told_not_to(small: LocalPersonalize) -> None:
    with small.runtime(limits=Limits.off()) as runtime, pytest.raises(InvalidInputError, match="inputList"):
        runtime.get_personalized_ranking(
            campaign_arn=small.campaign_arn("ranking"), user_id="ann", input_list=["a"] * 501
        )


def test_look_up_of_an_unknown_name_tells_the_known_ones(small: LocalPersonalize) -> None:
    with pytest.raises(ValidationError, match="there is no campaign 'nope'; the campaigns are: for-you, for-you-v2"):
        small.campaign_arn("nope")
    with pytest.raises(ValidationError, match="there is no recommender 'nope'; the recommenders are: none"):
        small.recommender_arn("nope")
    with pytest.raises(ValidationError, match="there is no filter 'nope'; the filters are: none"):
        small.filter_arn("nope")


def test_resources_cannot_be_changed(small: LocalPersonalize) -> None:
    assert dict(small.recommenders) == dict(small.filters) == {}
    with pytest.raises(TypeError):
        small.campaigns["x"] = "y"  # type: ignore[index]  # that is the point
    assert next(iter(small.campaigns)) == "for-you"


def test_what_is_not_there_is_empty(small: LocalPersonalize) -> None:
    assert len(small.users) == len(small.action_rows) == len(small.action_interactions) == 0
    assert repr(small).startswith("LocalPersonalize(campaigns=[for-you, ")
    assert "ann" not in repr(small)


def test_preparing_changes_no_answer(small: LocalPersonalize, service: Callable[..., Any]) -> None:
    small.add_filter("dramas", "INCLUDE ItemID WHERE Items.GENRES IN ($GENRE) | EXCLUDE ItemID WHERE Items.YEAR < $Y")
    small.add_filter("people", 'INCLUDE UserID WHERE Interactions.EVENT_TYPE IN ("Watch")')
    other = service()
    assert small.prepare() is small
    for user in ("ann", "cat", "nobody"):
        members = {"campaignArn": small.campaign_arn("for-you"), "userId": user}
        prepared = json.loads(service_of(small, members))["itemList"]
        assert [(row["itemId"], row["score"]) for row in prepared] == other.recommend("for-you", userId=user)


def service_of(local: LocalPersonalize, members: dict[str, Any]) -> bytes:
    return local.handle(HttpRequest("POST", "/recommendations", {}, json.dumps(members).encode())).body


def test_everything_of_the_sample_can_be_prepared() -> None:
    local = LocalPersonalize.sample().prepare()
    assert local.runtime().campaign(local.campaign_arn("movies-for-you")).recommend("16036")


def test_reloading_reads_the_directory_again_and_forgets_what_came_since(
    directory: Callable[..., Path], small_files: dict[str, str]
) -> None:
    local = LocalPersonalize.from_directory(directory(small_files))
    before, old = local.campaign_arn("popular"), local.items
    local.add_filter("dramas", 'INCLUDE ItemID WHERE Items.GENRES IN ("Drama")')
    local.put_events(session_id="s", user_id="new", events=[TrackedEvent(event_type="Watch", item_id="a")])
    settings = small_files["personalize.toml"].replace("popular =", "most-watched =")
    directory({**small_files, "items.csv": "ITEM_ID,TITLE\na,Other\n", "personalize.toml": settings})
    assert local.items is old
    local.reload()
    assert dict(local.items) == {"a": {"TITLE": "Other"}}
    assert before not in local.campaigns.values()
    assert local.campaign_arn("most-watched")
    assert dict(local.filters) == {}
    assert recommended(local, "new") == recommended(local, "nobody")


def test_a_directory_that_cannot_be_read_again_leaves_all_as_it_was(
    directory: Callable[..., Path], small_files: dict[str, str]
) -> None:
    local = LocalPersonalize.from_directory(directory(small_files))
    local.put_events(
        session_id="s",
        user_id="new",
        events=[TrackedEvent(event_type="Watch", item_id="x"), TrackedEvent(event_type="Watch", item_id="y")],
    )
    before = recommended(local, "new")
    directory({**small_files, "items.csv": "ITEM,TITLE\na,Other\n"})
    with pytest.raises(LocalDataError, match="items"):
        local.reload()
    assert recommended(local, "new") == before != recommended(local, "nobody")


@pytest.mark.parametrize("prepared", [False, True])
def test_what_was_prepared_is_made_ready_again_before_anybody_is_answered_from_it(
    directory: Callable[..., Path], small_files: dict[str, str], monkeypatch: pytest.MonkeyPatch, prepared: bool
) -> None:
    local = LocalPersonalize.from_directory(directory(small_files))
    if prepared:
        local.prepare()
    made: list[Any] = []
    monkeypatch.setattr(Engine, "prepare", lambda engine: made.append((engine, local._engine)))
    before = local._engine
    local.reload()
    assert local._engine is not before
    assert made == ([(local._engine, before)] if prepared else [])


def recommended(local: LocalPersonalize, user: str) -> list[tuple[str, float]]:
    rows = json.loads(service_of(local, {"campaignArn": local.campaign_arn("for-you"), "userId": user}))["itemList"]
    return [(row["itemId"], row["score"]) for row in rows]

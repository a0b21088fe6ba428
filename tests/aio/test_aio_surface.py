"""The surface of the async client; none of this needs aiobotocore."""

from __future__ import annotations

import inspect
import subprocess
import sys
import warnings
from types import SimpleNamespace
from typing import Any

import pytest

from personalize_rt import (
    ActionRecommendations,
    ConfigurationError,
    Limits,
    Promotion,
    Ranking,
    Recommendations,
    RetryPolicy,
    ValidationError,
)
from personalize_rt import aio as module
from personalize_rt.aio import AsyncCampaign, AsyncPersonalizeRuntime, AsyncRecommender

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
RECOMMENDER = "arn:aws:personalize:eu-west-1:123456789012:recommender/top-picks"
# What sends nothing needs no waiting.
AT_ONCE = {"arn", "as_boto3", "campaign", "can_paginate", "get_paginator", "get_waiter"}
AT_ONCE |= {"recommender", "resource", "with_options"}


def methods() -> list[Any]:
    return [
        pytest.param(kind, name, id=f"{kind.__name__}.{name}")
        for kind in (AsyncPersonalizeRuntime, AsyncCampaign, AsyncRecommender)
        for name, value in vars(kind).items()
        if inspect.isfunction(value) and not name.startswith("_")
    ]


@pytest.mark.parametrize(("kind", "name"), methods())
def test_what_may_wait_is_a_coroutine_function(kind: type, name: str) -> None:
    # Names, signatures and texts need no test: the blocking client is generated from this one.
    assert inspect.iscoroutinefunction(getattr(kind, name)) is (name not in AT_ONCE)


def test_the_exported_names() -> None:
    names = ["AsyncCampaign", "AsyncEventTracker", "AsyncPersonalizeRuntime", "AsyncRecommender"]
    assert module.__all__ == sorted(module.__all__) == names


# aiobotocore is an extra


def test_importing_and_making_a_runtime_import_neither_aiobotocore_nor_boto3() -> None:
    code = (
        "import sys\n"
        "from personalize_rt.aio import AsyncPersonalizeRuntime\n"
        "AsyncPersonalizeRuntime(region_name='eu-west-1').campaign('arn:aws:personalize:::campaign/m')\n"
        "assert not {'aiobotocore', 'aiohttp', 'boto3', 'tenacity'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


@pytest.fixture
def without_aiobotocore(monkeypatch: Any) -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] == "aiobotocore":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aiobotocore", None)


async def test_a_runtime_needs_no_aiobotocore(without_aiobotocore: None, server: Any) -> None:
    async with AsyncPersonalizeRuntime(region_name="eu-west-1", endpoint_url=server.url) as runtime:
        assert (await runtime.get_recommendations(campaign_arn=ARN)).item_ids == ("i1",)


class Session:
    """A session whose clients are awaited, as far as can be told."""

    async def get_credentials(self) -> None: ...

    def create_client(self, *_: Any, **__: Any) -> None: ...


@pytest.mark.parametrize("door", ["connect", "call"])
async def test_a_session_of_aiobotocore_without_it_says_what_to_install(door: str, without_aiobotocore: None) -> None:
    runtime = AsyncPersonalizeRuntime(region_name="eu-west-1", session=Session())
    with pytest.raises(ConfigurationError) as caught:
        await (runtime.connect() if door == "connect" else runtime.get_recommendations(campaign_arn=ARN))
    assert 'pip install "personalize-rt[aio]"' in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None
    await runtime.aclose()


# Calls


async def test_the_three_operations(async_runtime: Any, service: Any) -> None:
    async with async_runtime() as runtime:
        items = await runtime.get_recommendations(campaign_arn=ARN, user_id="u", num_results=3)
        ranking = await runtime.get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=iter(["i1", "i2"]))
        actions = await runtime.get_action_recommendations(campaign_arn=ARN, user_id="u")
    assert (type(items), type(ranking), type(actions)) == (Recommendations, Ranking, ActionRecommendations)
    assert (items.item_ids, ranking.missing, actions.action_ids) == (("i1",), ("i2",), ("a1",))
    assert (items.info.request_id, items.info.attempts, items.info.source) == ("r-1", 1, "service")
    assert service.received == [
        {"campaignArn": ARN, "userId": "u", "numResults": 3},
        {"campaignArn": ARN, "userId": "u", "inputList": ["i1", "i2"]},
        {"campaignArn": ARN, "userId": "u"},
    ]


async def test_handles_bind_what_every_call_repeats(async_runtime: Any, service: Any) -> None:
    movies = async_runtime().campaign(ARN, context={"DEVICE": "phone"}, metadata_columns=iter(["TITLE"]))
    assert (type(movies), movies.arn) == (AsyncCampaign, ARN)
    for _ in range(2):
        assert type(await movies.rank("u", ["i1"])) is Ranking
    assert type(await movies.recommend("u", item_id="i", num_results=3, context={})) is Recommendations
    assert type(await async_runtime().campaign(ARN, num_results=2).actions("u")) is ActionRecommendations
    top = async_runtime().recommender(RECOMMENDER, promotions=iter([Promotion("p", 5)]))
    assert (type(top), top.arn) == (AsyncRecommender, RECOMMENDER)
    assert type(await top.recommend("u")) is Recommendations
    common = {"context": {"DEVICE": "phone"}, "metadataColumns": {"ITEMS": ["TITLE"]}}
    rank = {"campaignArn": ARN, "userId": "u", "inputList": ["i1"], **common}
    assert service.received == [
        rank,
        rank,
        {
            "campaignArn": ARN,
            "userId": "u",
            "itemId": "i",
            "numResults": 3,
            "metadataColumns": common["metadataColumns"],
        },
        {"campaignArn": ARN, "userId": "u", "numResults": 2},
        {"recommenderArn": RECOMMENDER, "userId": "u", "promotions": [{"name": "p", "percentPromotedItems": 5}]},
    ]


async def test_what_a_handle_cannot_use_is_refused(async_runtime: Any, service: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        await async_runtime().campaign(ARN, num_results=5).rank("u", ["i1"])
    assert caught.value.parameter == "num_results"
    assert service.count == 0


async def test_arguments_are_checked_before_anything_is_sent(async_runtime: Any, service: Any) -> None:
    runtime = async_runtime(limits=Limits(input_list=1))
    with pytest.raises(ValidationError) as caught:
        await runtime.get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=["a", "b"])
    assert (caught.value.parameter, caught.value.limit, service.count) == ("input_list", 1, 0)
    await runtime.with_options(limits=Limits()).campaign(ARN).rank("u", ["a", "b"])
    assert service.count == 1


def test_repr_shows_no_value(async_runtime: Any) -> None:
    runtime = async_runtime()
    movies = runtime.campaign(ARN, context={"DEVICE": "Schindlers-Liste"})
    assert repr(runtime).startswith("AsyncPersonalizeRuntime(deadline=2.0")
    assert repr(movies) == f"AsyncCampaign('{ARN}', context)"
    assert repr(runtime.recommender(RECOMMENDER)) == f"AsyncRecommender('{RECOMMENDER}')"


# Options


WRONG = [
    {"retry": 3},
    {"retry": None},
    {"limits": None},
    {"deadline": 0},
    {"deadline": "2"},
    {"deadline": True},
    {"deadline": float("nan")},
]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
@pytest.mark.parametrize("door", ["constructor", "with_options"])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any], door: str, async_runtime: Any) -> None:
    make: Any = async_runtime().with_options if door == "with_options" else AsyncPersonalizeRuntime
    with pytest.raises(ValidationError) as caught:
        make(**wrong)
    assert [caught.value.parameter] == list(wrong)


@pytest.mark.parametrize("option", [{"region_name": "eu-west-1"}, {"session": object()}, {"endpoint_url": "http://e"}])
def test_a_client_and_how_to_build_one_do_not_go_together(option: dict[str, Any], service: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        AsyncPersonalizeRuntime(service, **option)
    assert [caught.value.parameter] == list(option)


def test_retries_in_config_are_refused() -> None:
    from botocore.config import Config

    with pytest.raises(ValidationError, match="RetryPolicy"):
        AsyncPersonalizeRuntime(region_name="eu-west-1", config=Config(retries={"max_attempts": 3}))


def test_a_client_of_boto3_is_refused_with_advice(plain_client: Any) -> None:
    with pytest.raises(ValidationError, match="PersonalizeRuntime") as caught:
        AsyncPersonalizeRuntime(plain_client())
    assert caught.value.parameter == "client"


async def test_what_is_no_client_is_refused_with_advice() -> None:
    with pytest.raises(ValidationError, match="create_client") as caught:
        await AsyncPersonalizeRuntime(object()).get_recommendations(campaign_arn=ARN)
    assert caught.value.parameter == "client"


def stacked(**retries: Any) -> Any:
    return SimpleNamespace(meta=SimpleNamespace(config=SimpleNamespace(retries=retries)))


def test_stacked_retries_are_warned_about_once() -> None:
    with pytest.warns(UserWarning, match="up to 2 times") as caught:
        runtime = AsyncPersonalizeRuntime(stacked(mode="standard"))
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runtime.with_options(retry=RetryPolicy(2))
        once = AsyncPersonalizeRuntime(stacked(mode="standard"), retry=RetryPolicy(1))
        AsyncPersonalizeRuntime(stacked(total_max_attempts=1))
    with pytest.warns(UserWarning, match="RetryPolicy") as caught:
        once.with_options(retry=RetryPolicy(2))
    assert caught[0].filename == __file__


async def test_with_options_changes_what_it_is_given_and_nothing_else(async_runtime: Any, service: Any) -> None:
    class Shop(AsyncPersonalizeRuntime):
        name = "shop"

    service.repeated = 503
    first = Shop(service, retry=RetryPolicy(2, sleep=lambda _: None), limits=Limits(input_list=1))
    copied = first.with_options(deadline=None)
    assert type(copied) is Shop
    for runtime, attempts in ((copied, 2), (first.with_options(retry=RetryPolicy(1)), 1), (first, 2)):
        service.received.clear()
        with pytest.raises(Exception, match="InternalFailure"):
            await runtime.get_recommendations(campaign_arn=ARN)
        assert service.count == attempts
        with pytest.raises(ValidationError):
            await runtime.campaign(ARN).rank("u", ["a", "b"])


async def test_what_a_test_double_returns_may_be_there_at_once(blocking_service: Any) -> None:
    answer = await AsyncPersonalizeRuntime(blocking_service).get_recommendations(campaign_arn=ARN)
    assert answer.item_ids == ("i1",)

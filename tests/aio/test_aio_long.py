"""``rank_long`` of the async client: the same outcome, in tasks instead of threads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from personalize_rt import (
    DeadlineExceededError,
    InputOrderFallback,
    Limits,
    ResourceNotFoundError,
    ServerError,
    ValidationError,
)
from personalize_rt.bulk import RankRequest, arun
from personalize_rt.local.scored import ScoredPersonalize
from personalize_rt.local.wire import HttpRequest
from personalize_rt.rerank import LongRanking, Rules

IDS = [f"i{n}" for n in range(1_200)]
SHUFFLED = sorted(IDS, key=lambda id: id[::-1])


def score(user_id: str, item_ids: Sequence[str], context: Mapping[str, str] | None) -> Sequence[float | None]:
    return [-int(id[1:]) / 1000 for id in item_ids]


LOCAL = ScoredPersonalize(score)
ARN = LOCAL.campaign_arn("ranking")


def answer(members: dict[str, Any]) -> Any:
    """What the embedded service says, as a client shows it."""
    reply = LOCAL.handle(HttpRequest("POST", "/personalize-ranking", {}, json.dumps(members).encode()))
    assert reply.status == 200
    return json.loads(reply.body)


async def test_the_ranking_is_that_of_the_blocking_client(async_runtime: Any, service: Any) -> None:
    service.repeated = answer
    ranking = await async_runtime().rank_long(campaign_arn=ARN, user_id="ada", input_list=SHUFFLED)
    theirs = LOCAL.runtime(deadline=None).rank_long(campaign_arn=ARN, user_id="ada", input_list=SHUFFLED)
    assert type(ranking) is LongRanking
    assert (ranking.item_ids, ranking.scores) == (theirs.item_ids, theirs.scores)
    assert (ranking.requests, ranking.error_bound) == (theirs.requests, theirs.error_bound) == (4, ranking.error_bound)
    assert service.count == 4


async def test_a_handle_brings_what_is_bound(async_runtime: Any, service: Any) -> None:
    service.repeated = lambda members: answer({name: value for name, value in members.items() if name != "context"})
    movies = async_runtime().campaign(ARN, context={"DEVICE": "phone"})
    assert (await movies.rank_long("ada", SHUFFLED, max_requests=4)).item_ids[0] == "i0"
    assert all(members["context"] == {"DEVICE": "phone"} for members in service.received)


async def test_arguments_are_checked_before_anything_is_sent(async_runtime: Any, service: Any) -> None:
    for given in ({"max_requests": 3}, {"concurrency": 0}):
        with pytest.raises(ValidationError) as caught:
            await async_runtime().rank_long(campaign_arn=ARN, user_id="ada", input_list=IDS, **given)
        assert [caught.value.parameter] == list(given)
    assert service.count == 0


async def test_requests_are_made_at_the_same_time_and_not_more_than_allowed(async_runtime: Any, service: Any) -> None:
    most = 0

    def counted(members: dict[str, Any]) -> Any:
        nonlocal most
        most = max(most, service.under_way)
        return answer(members)

    service.repeated = counted
    runtime = async_runtime(limits=Limits(input_list=100))
    ranking = await runtime.rank_long(campaign_arn=ARN, user_id="ada", input_list=IDS, concurrency=3)
    assert (ranking.requests, most, service.under_way) == (13, 3, 0)


async def test_without_a_needed_answer_there_is_none_and_nothing_more_is_asked(
    async_runtime: Any, service: Any
) -> None:
    service.script(answer, 404)
    service.repeated = answer
    runtime = async_runtime(limits=Limits(input_list=100))
    with pytest.raises(ResourceNotFoundError) as caught:
        await runtime.rank_long(campaign_arn=ARN, user_id="ada", input_list=IDS, concurrency=1)
    assert service.count == 2
    assert caught.value.__cause__ is caught.value.__context__ is None


async def test_a_fallback_is_asked_for_the_whole_list(async_runtime: Any, service: Any) -> None:
    service.repeated = 503
    runtime = async_runtime(fallback=InputOrderFallback(), retry={"attempts": 1})
    ranking = await runtime.rank_long(campaign_arn=ARN, user_id="ada", input_list=SHUFFLED)
    assert (type(ranking), ranking.item_ids, ranking.degraded) == (LongRanking, tuple(SHUFFLED), True)
    assert isinstance(ranking.cause, ServerError)


async def test_the_deadline_is_one_for_all_requests(async_runtime: Any, service: Any, fake_time: Any) -> None:
    def slowly(members: dict[str, Any]) -> Any:
        fake_time.now += 0.3
        return answer(members)

    service.repeated = slowly
    runtime = async_runtime(limits=Limits(input_list=100), deadline=1.0)
    with pytest.raises(DeadlineExceededError) as caught:
        await runtime.rank_long(campaign_arn=ARN, user_id="ada", input_list=IDS, concurrency=1)
    assert (caught.value.deadline, service.count) == (1.0, 4)


async def test_whoever_cancels_it_cancels_all_its_requests(async_runtime: Any, service: Any, settled: Any) -> None:
    service.repeated = "hang"
    runtime = async_runtime(deadline=None, limits=Limits(input_list=100))
    task = asyncio.ensure_future(runtime.rank_long(campaign_arn=ARN, user_id="ada", input_list=IDS))
    await settled()
    assert service.under_way == 8
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await settled()
    assert (service.under_way, service.cancelled, service.count) == (0, 8, 8)
    assert len(asyncio.all_tasks()) == 1


async def test_an_error_that_is_not_ours_ends_all_requests(async_runtime: Any, service: Any, settled: Any) -> None:
    def broken(members: dict[str, Any]) -> Any:
        raise ZeroDivisionError

    service.script(broken)
    service.repeated = "hang"
    with pytest.raises(ZeroDivisionError):
        await async_runtime(deadline=None).rank_long(campaign_arn=ARN, user_id="ada", input_list=IDS)
    await settled()
    assert (service.under_way, len(asyncio.all_tasks())) == (0, 1)


async def test_bulk_ranks_long_lists_under_rules(async_runtime: Any, service: Any) -> None:
    service.repeated = answer
    request = RankRequest(campaign_arn=ARN, user_id="ada", input_list=SHUFFLED, rules=Rules(pin={"i9": 0}))
    async with arun(async_runtime(), [request], progress=False) as run:
        (ranking,) = [outcome.result() async for outcome in run]
    assert type(ranking) is LongRanking
    assert (ranking.item_ids[:2], ranking.requests) == (("i9", "i0"), 4)

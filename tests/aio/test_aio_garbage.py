"""An awaited call leaves nothing that only a full garbage collection frees."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from personalize_rt import Cache, CircuitBreaker, Hedge, InputOrderFallback, Limits, PersonalizeError, RetryPolicy
from personalize_rt.aio import AsyncPersonalizeRuntime

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"


@pytest.mark.parametrize("outcome", [503, 400, {"personalizedRanking": "none"}], ids=["503", "400", "not a ranking"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"fallback": InputOrderFallback()},
        {"cache": Cache(personal=True)},
        {"breaker": CircuitBreaker(min_calls=10_000)},
        {"hedge": Hedge(after=0.0, percent=100)},
        {"limits": Limits(input_list=1)},
    ],
    ids=lambda options: next(iter(options), "nothing"),
)
def test_a_failed_call_leaves_no_circle(
    options: dict[str, Any], outcome: Any, circles: Any, async_runtime: Any, service: Any
) -> None:
    service.repeated = outcome
    runtime = async_runtime(**options)

    async def call() -> None:
        with suppress(PersonalizeError):
            if "limits" in options:
                await runtime.rank_long(campaign_arn=ARN, user_id="u", input_list=["a", "b"])
            else:
                await runtime.get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=["a"])

    with asyncio.Runner() as runner:
        left = circles(lambda: runner.run(call()))
    assert left.total() <= 4, left  # a few of tenacity's own


@pytest.mark.direct
@pytest.mark.parametrize("hedge", [None, Hedge(after=0.0, percent=100)], ids=["alone", "hedged"])
@pytest.mark.parametrize("outcome", ["hang", "close"])
def test_a_connection_that_ended_is_in_no_circle(
    hedge: Hedge | None, outcome: str, circles: Any, session: Any, server: Any
) -> None:
    server.always(outcome)
    runtime = AsyncPersonalizeRuntime(
        session=session, endpoint_url=server.url, hedge=hedge, retry=RetryPolicy(attempts=1), deadline=0.05
    )

    async def call() -> None:
        with suppress(PersonalizeError):
            await runtime.get_recommendations(campaign_arn=ARN)
        await asyncio.sleep(0.01)  # until the loop has closed it

    with asyncio.Runner() as runner:
        left = circles(lambda: runner.run(call()))
        runner.run(runtime.aclose())
    # asyncio's transports are in circles of their own.
    assert not {"_Connection", "function", "cell", "Task", "Future"} & set(left), left

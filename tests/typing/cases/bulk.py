"""Many requests: what was asked decides what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, assert_type

from personalize_rt import ActionRecommendations, PersonalizeRuntime, Promotion, Ranking, Recommendations, bulk
from personalize_rt.aio import AsyncPersonalizeRuntime

runtime = PersonalizeRuntime()
rankings = [bulk.RankRequest(campaign_arn="arn", user_id="u", input_list=["a"])]
requests = (bulk.RecommendRequest(campaign_arn="arn", user_id=user, num_results=5) for user in ("u", "v"))

run = bulk.run(runtime, rankings, tps=10, checkpoint="file", ordered=False)
assert_type(run, bulk.Run[bulk.Outcome[Ranking]])
for outcome in run:
    assert_type(outcome, bulk.Outcome[Ranking])
    assert_type(outcome.result(), Ranking)
    assert_type(outcome.answer, Ranking | None)
    assert_type(outcome.request.user_id, str | None)
assert_type(run.summary, bulk.Summary)
assert_type(run.summary.p99, float | None)
assert_type(run.summary.examples, Mapping[str, str])
assert_type(bulk.AllRefusedError("all of them").message, str)

assert_type(next(bulk.run(runtime, requests)).result(), Recommendations)
actions = [bulk.ActionRequest(campaign_arn="arn", user_id="u")]
assert_type(next(bulk.run(lambda: runtime, actions, on_error="raise")).result(), ActionRecommendations)
bulk.run(partial(PersonalizeRuntime, region_name="eu-west-1"), rankings, processes=2)


async def on_asyncio() -> None:
    async with AsyncPersonalizeRuntime() as asynchronous:
        async with bulk.arun(asynchronous, rankings) as run:
            assert_type(run, bulk.AsyncRun[bulk.Outcome[Ranking]])
            async for outcome in run:
                assert_type(outcome.result(), Ranking)


assert_type(bulk.rank_file(runtime, "in", "out", campaign_arn="arn", filter_values={"YEAR": 1999}), bulk.Summary)
assert_type(bulk.recommend_file(runtime, "in", "out", recommender_arn="arn", resume=True), bulk.Summary)
summary = bulk.recommend_file(
    runtime,
    "-",
    "out",
    campaign_arn="arn",
    promotions=[Promotion("sale", 20, filter_arn="arn")],
    metadata_columns=["TITLE"],
    columns={"user_id": "UID", "context.DEVICE": "device"},
    ignore_columns=["AGE"],
)
assert_type(summary.rate, float | None)
assert_type(summary.before, int)


def anything(mixed: list[bulk.BulkRequest[Any]]) -> None:
    for outcome in bulk.run(runtime, mixed):
        print(outcome.position, outcome.error)

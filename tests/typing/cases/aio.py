"""The client for asyncio: the same surface, awaited."""

from __future__ import annotations

from typing import assert_type

from personalize_rt import (
    ActionRecommendations,
    AsyncPersonalizeRuntime,
    Pages,
    PageStore,
    Ranking,
    Recommendations,
    RetryPolicy,
    Shelf,
    Shelves,
    TrackedEvent,
)
from personalize_rt.aio import AsyncCampaign, AsyncEventTracker, AsyncRecommender
from personalize_rt.rerank import LongRanking


async def every_call() -> None:
    async with AsyncPersonalizeRuntime(region_name="eu-west-1", deadline=1) as runtime:
        assert_type(runtime, AsyncPersonalizeRuntime)
        assert_type(await runtime.connect(), AsyncPersonalizeRuntime)
        assert_type(
            await runtime.get_recommendations(campaign_arn="arn", user_id="u", filter_values={"YEAR": 1999}),
            Recommendations,
        )
        assert_type(await runtime.get_personalized_ranking(campaign_arn="arn", user_id="u", input_list=["a"]), Ranking)
        assert_type(await runtime.get_action_recommendations(campaign_arn="arn", user_id="u"), ActionRecommendations)
        assert_type(await runtime.rank_long(campaign_arn="arn", user_id="u", input_list=["a"]), LongRanking)
        movies = runtime.campaign("arn", num_results=5)
        assert_type(movies, AsyncCampaign)
        assert_type(await movies.rank("u", ["a"]), Ranking)
        assert_type(await movies.rank_long("u", ["a"], concurrency=2), LongRanking)
        assert_type(await movies.recommend("u"), Recommendations)
        assert_type(await movies.actions("u"), ActionRecommendations)
        picks = runtime.recommender("arn")
        assert_type(picks, AsyncRecommender)
        assert_type(await picks.recommend("u"), Recommendations)
        store = PageStore()
        pages = await movies.pages("u", size=10, store=store, exclude=["a"])
        assert_type(pages, Pages)
        assert_type(await picks.resume_pages("u", pages.next_token or "", store=store), Pages)
        assert_type(await runtime.shelves([Shelf(movies, 5, user_id="u"), Shelf(picks)], exclude=pages), Shelves)
        assert_type(runtime.with_options(retry=RetryPolicy(attempts=1), deadline=None), AsyncPersonalizeRuntime)
    await runtime.aclose()


async def every_event() -> None:
    async with AsyncEventTracker("t-1", region_name="eu-west-1", on_full="block") as tracker:
        assert_type(tracker, AsyncEventTracker)
        assert_type(await tracker.connect(), AsyncEventTracker)
        assert_type(await tracker.track("Watch", "i1", session_id="s"), TrackedEvent)
        assert_type(await tracker.send("Watch", session_id="s", properties={"A": 1}), TrackedEvent)
        assert_type(await tracker.flush(1.0), bool)
        await tracker.put_items({"i1": {"TITLE": "x"}}, dataset_arn="arn")


class MyRuntime(AsyncPersonalizeRuntime):
    """What is built from a subclass stays one."""


assert_type(MyRuntime().with_options(deadline=1), MyRuntime)

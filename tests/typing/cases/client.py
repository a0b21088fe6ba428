"""Every call of the client, its handles and its options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Literal, assert_type

from personalize_rt import (
    ActionRecommendations,
    Cache,
    Campaign,
    CircuitBreaker,
    FilterValue,
    Hedge,
    InputOrderFallback,
    Limits,
    MemoryStore,
    Pages,
    PageStore,
    PersonalizeError,
    PersonalizeRuntime,
    PopularActionsFallback,
    PopularItemsFallback,
    PredictedItem,
    Promotion,
    Ranking,
    RawFilterValue,
    Recommendations,
    Recommender,
    RetryPolicy,
    Shelf,
    Shelves,
    StaleFallback,
)
from personalize_rt.events import CallEnded, Event
from personalize_rt.rerank import LongRanking
from personalize_rt.telemetry import LoggingHook, OpenTelemetryHook


class Genre(Enum):
    DRAMA = "Drama"


def heard(event: Event) -> None:
    assert_type(event.operation, str)
    if isinstance(event, CallEnded):
        assert_type(event.elapsed, float)
        assert_type(event.source, str | None)


def ids() -> Iterator[str]:
    yield "tt0468569"


# Building.

assert_type(PersonalizeRuntime(), PersonalizeRuntime)
runtime = PersonalizeRuntime(
    region_name="eu-west-1",
    session=object(),
    endpoint_url="http://127.0.0.1:8000",
    config=object(),
    retry=RetryPolicy(attempts=2, base=0.1, cap=1, max_retry_after=5),
    deadline=1,
    limits=Limits(input_list=None),
    fallback=StaleFallback(max_entries=10) | PopularItemsFallback(["a"]) | InputOrderFallback(),
    breaker=CircuitBreaker(failure_rate=0.25, min_calls=10),
    cache=Cache(),
    hedge=Hedge(0.2, percent=5),
    hooks=[heard, print],
    enforce_deadline=True,
)
assert_type(
    PersonalizeRuntime(fallback=PopularActionsFallback(["call"]) | InputOrderFallback(action_ids=["mail"])),
    PersonalizeRuntime,
)
assert_type(PersonalizeRuntime(deadline=None, fallback=None, breaker=None, cache=None, hedge=None), PersonalizeRuntime)

# The three operations, with all that they take.

assert_type(
    runtime.get_recommendations(
        campaign_arn="arn",
        recommender_arn=None,
        user_id="u",
        item_id="i",
        num_results=10,
        context={"DEVICE": "phone"},
        filter_arn="arn",
        filter_values={"GENRE": ["Comedy", "Drama"], "YEAR": 1999},
        promotions=[Promotion("sale", 20, filter_arn="arn", filter_values={"PRICE": Decimal("9.5")})],
        metadata_columns=["TITLE"],
    ),
    Recommendations,
)
assert_type(runtime.get_recommendations(recommender_arn="arn"), Recommendations)
assert_type(
    runtime.get_personalized_ranking(
        campaign_arn="arn",
        user_id="u",
        input_list=["a", "b"],
        context={"DEVICE": "phone"},
        filter_arn="arn",
        filter_values={},
        metadata_columns=("TITLE",),
    ),
    Ranking,
)
assert_type(
    runtime.get_action_recommendations(campaign_arn="arn", user_id="u", num_results=3, filter_arn="arn"),
    ActionRecommendations,
)

assert_type(
    runtime.rank_long(
        campaign_arn="arn",
        user_id="u",
        input_list=ids(),
        context={"DEVICE": "phone"},
        filter_arn="arn",
        filter_values={"YEAR": 1999},
        metadata_columns=["TITLE"],
        max_requests=40,
        concurrency=4,
    ),
    LongRanking,
)

# Any iterable of ids will do. A str is one for type checkers too; it is refused when the call is made.
for input_list in (("a", "b"), {"a", "b"}, {"a": 1}, {"a": 1}.keys(), ids(), "tt0468569"):
    assert_type(runtime.get_personalized_ranking(campaign_arn="arn", user_id="u", input_list=input_list), Ranking)

# Whatever a filter can be given.
given: Mapping[str, FilterValue] = {
    "text": "Comedy",
    "texts": ["Comedy", "Drama"],
    "set": {"Comedy"},
    "tuple": ("Comedy",),
    "generated": (text for text in ("Comedy", "Drama")),
    "whole": 7,
    "float": 19.5,
    "decimal": Decimal("19.50"),
    "numbers": [1970, 1980],
    "moment": datetime.now(UTC),
    "enum": Genre.DRAMA,
    "enums": [Genre.DRAMA],
    "raw": RawFilterValue('"a","b"'),
}
texts: dict[str, str] = {"GENRE": "Comedy"}
lists: dict[str, list[str]] = {"GENRE": ["Comedy"]}
numbers: dict[str, int] = {"YEAR": 1999}
for filter_values in (given, texts, lists, numbers):
    runtime.get_recommendations(campaign_arn="arn", filter_arn="arn", filter_values=filter_values)

# Handles.

movies = runtime.campaign(
    "arn",
    num_results=5,
    context={"DEVICE": "phone"},
    filter_arn="arn",
    filter_values={"GENRE": "Comedy"},
    promotions=[],
    metadata_columns=["TITLE"],
)
assert_type(movies, Campaign)
assert_type(movies.arn, str)
assert_type(movies.rank("u", ["a", "b"], context={"DEVICE": "tv"}, metadata_columns=["YEAR"]), Ranking)
assert_type(movies.rank(user_id="u", input_list=ids()), Ranking)
assert_type(movies.rank_long("u", ids(), max_requests=None, concurrency=2), LongRanking)
assert_type(movies.recommend("u", num_results=3), Recommendations)
assert_type(movies.recommend(item_id="a"), Recommendations)
assert_type(movies.recommend(), Recommendations)
assert_type(movies.actions("u", num_results=3, filter_arn="arn", filter_values=None), ActionRecommendations)
picks = runtime.recommender("arn", num_results=5)
assert_type(picks, Recommender)
assert_type(picks.arn, str)
assert_type(picks.recommend("u"), Recommendations)

# Options, each of them alone, and life.

assert_type(runtime.with_options(), PersonalizeRuntime)
assert_type(runtime.with_options(retry=RetryPolicy(attempts=1)), PersonalizeRuntime)
assert_type(runtime.with_options(deadline=None).with_options(deadline=0.5), PersonalizeRuntime)
assert_type(runtime.with_options(limits=Limits.off()), PersonalizeRuntime)
assert_type(runtime.with_options(fallback=None, breaker=None, cache=None, hedge=None), PersonalizeRuntime)
assert_type(runtime.with_options(cache=Cache(store=MemoryStore())), PersonalizeRuntime)
assert_type(runtime.with_options(hooks=(heard,), enforce_deadline=False), PersonalizeRuntime)
assert_type(runtime.connect(), PersonalizeRuntime)
assert_type(runtime.connect().campaign("arn"), Campaign)
with PersonalizeRuntime() as opened:
    assert_type(opened, PersonalizeRuntime)


class MyRuntime(PersonalizeRuntime):
    """What is built from a subclass stays one."""


assert_type(MyRuntime().with_options(deadline=1), MyRuntime)
assert_type(MyRuntime().connect(), MyRuntime)

# A breaker tells its state in words that a checker knows.

state: Literal["closed", "open", "half-open"] = CircuitBreaker().state("arn")

# Hooks that come with the package.

PersonalizeRuntime(hooks=[LoggingHook(), OpenTelemetryHook()])

# Pages and shelves.

films, top = runtime.campaign("arn"), runtime.recommender("arn")
pages = films.pages("u", size=10, total=100, store=PageStore(MemoryStore(), ttl=60), exclude=["a"])
assert_type(pages, Pages)
assert_type(pages[0], Recommendations)
assert_type(pages[1:], tuple[Recommendations, ...])
assert_type(pages.current, Recommendations)
assert_type(pages.next_token, str | None)
assert_type(top.pages(exclude=pages.current), Pages)
assert_type(top.resume_pages(None, "token", store=PageStore()), Pages)
shelves = runtime.shelves(
    [Shelf(films, 5, user_id="u", context={"DEVICE": "tv"}), Shelf(top, fallback=PopularItemsFallback(["a"]))],
    deadline=0.5,
    distinct=False,
    exclude=pages,
)
assert_type(shelves, Shelves)
assert_type(shelves[0], Recommendations)
assert_type(shelves[:1], Shelves)
assert_type(shelves.get("a"), PredictedItem | None)
assert_type(shelves.errors, tuple[PersonalizeError | None, ...])
assert_type(Shelf(films), Shelf[Campaign])
assert_type(films.pages("u", exclude=[pages[0][0], "b", shelves[0]]), Pages)

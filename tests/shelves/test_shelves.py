"""Shelves of a page: at once, in time, nothing twice, and none that breaks another."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import pickle
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt import (
    AccessDeniedError,
    Cache,
    Campaign,
    CircuitBreaker,
    DeadlineExceededError,
    PersonalizeRuntime,
    PopularItemsFallback,
    Promotion,
    Recommendations,
    Recommender,
    RetryPolicy,
    ServerError,
    Shelf,
    Shelves,
    StaleFallback,
    TransportError,
    ValidationError,
)
from personalize_rt.aio import AsyncPersonalizeRuntime
from personalize_rt.arguments import RecommendationsArguments, members_of
from personalize_rt.events import CallEnded, CallStarted
from personalize_rt.impressions import Impressions
from personalize_rt.local import LocalPersonalize
from personalize_rt.resilience.threads import racing
from personalize_rt.shelves import ShelfRequest
from personalize_rt.transport.in_process import in_process_client
from tests.either import ACCOUNT, PATIENT, Either
from tests.either import either as either
from tests.servers import Received, ScriptedServer

SECRET = "Schindlers-Liste"
ONCE = RetryPolicy(attempts=1)


def ids(first: int, count: int) -> tuple[str, ...]:
    return tuple(f"i{number}" for number in range(first, first + count))


def arn(name: str) -> str:
    return f"{ACCOUNT}:{'recommender' if name == 'top' else 'campaign'}/{name}"


class Service:
    """What the server answers: for each campaign the items i0, i1, …, or something else by its name."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.outcomes: dict[str, Any] = {}
        server.always(self.answer)

    def answer(self, request: Received) -> Any:
        name = str(request.members.get("campaignArn") or request.members["recommenderArn"]).rpartition("/")[2]
        outcome = self.outcomes.get(name)
        if outcome is not None:
            return outcome(request) if callable(outcome) else outcome
        rows = [{"itemId": id, "score": 0.1} for id in ids(0, request.members["numResults"])]
        for row in rows[::3]:
            row["promotionName"] = "new"
        return {"itemList": rows, "recommendationId": f"RID-{name}"}

    def asked(self) -> dict[str, int]:
        """How many rows each campaign was asked for."""
        found = {}
        for request in self.server.received:
            members = request.members
            resource = str(members.get("campaignArn") or members["recommenderArn"])
            found[resource.rpartition("/")[2]] = members["numResults"]
        return found


@pytest.fixture
def service(server: ScriptedServer) -> Service:
    return Service(server)


@pytest.fixture
def shelf(either: Either, service: Service) -> Callable[..., Shelf[Any]]:
    """Makes a shelf of a campaign, or of the recommender ``top``, that is called so."""

    def make(name: str, size: int = 10, *, options: Mapping[str, Any] = {}, **arguments: Any) -> Shelf[Any]:
        runtime = either.runtime(endpoint_url=service.server.url, **{"retry": ONCE, **options})
        if "cache" in options:  # a key of the cache has the principal, who is not known in time on a busy machine
            either.do(runtime.connect())
        return Shelf(runtime.resource(arn(name)), size, **arguments)

    return make


@pytest.fixture
def page(either: Either) -> Callable[..., Shelves]:
    """Fills shelves, by a runtime that has nothing to do with theirs."""
    runtime = either.runtime()

    def fill(*shelves: Shelf[Any], **arguments: Any) -> Shelves:
        made: Shelves = either.do(runtime.shelves(shelves, **arguments))
        return made

    return fill


LATE = 2.0  # seconds in which a healthy shelf, whose client has been used, is there even on a busy machine


@pytest.fixture
def healthy(page: Any, shelf: Any) -> Shelf[Any]:
    """A shelf that is answered at once, since its client has sent before."""
    made: Shelf[Any] = shelf("a", 5)
    page(made, deadline=None)
    return made


# Filling.


def test_each_shelf_is_filled_and_what_stands_twice_is_taken_out_in_their_order(
    page: Any, shelf: Any, service: Service
) -> None:
    shelves = page(shelf("a", 5), shelf("top", 3), shelf("b", 4))
    assert type(shelves) is Shelves
    assert [each.item_ids for each in shelves] == [ids(0, 5), ids(5, 3), ids(8, 4)]
    assert [each.recommendation_id for each in shelves] == ["RID-a", "RID-top", "RID-b"]
    assert {type(each) for each in shelves} == {Recommendations}
    assert shelves.errors == (None, None, None)
    assert not shelves.degraded
    assert service.asked() == {"a": 5, "top": 8, "b": 12}
    assert service.server.count == 3


def test_an_item_may_stand_on_every_shelf_when_they_need_not_be_distinct(
    page: Any, shelf: Any, service: Service
) -> None:
    shelves = page(shelf("a", 5), shelf("b", 4), distinct=False)
    assert [each.item_ids for each in shelves] == [ids(0, 5), ids(0, 4)]
    assert service.asked() == {"a": 5, "b": 4}


@pytest.mark.parametrize("distinct", [True, False])
def test_what_was_seen_is_on_no_shelf_and_enough_is_asked_for(
    page: Any, shelf: Any, service: Service, distinct: bool
) -> None:
    shelves = page(shelf("a", 5), shelf("b", 5), exclude=ids(0, 30), distinct=distinct)
    assert [each.item_ids for each in shelves] == [ids(30, 5), ids(35 if distinct else 30, 5)]
    assert service.asked() == {"a": 55, "b": 60 if distinct else 55}
    assert "filterArn" not in service.server.received[0].members


def test_a_request_asks_for_no_more_than_the_service_gives(page: Any, shelf: Any, service: Service) -> None:
    shelves = page(shelf("a", 450), shelf("b", 100), shelf("c", 5, metadata_columns=["TITLE"]))
    assert service.asked() == {"a": 450, "b": 500, "c": 50}
    assert [len(each) for each in shelves] == [450, 50, 0]


def test_every_argument_and_what_the_handle_repeats_are_sent(page: Any, either: Either, service: Service) -> None:
    runtime = either.runtime(endpoint_url=service.server.url)
    handle = runtime.campaign(arn("a"), num_results=99, context={"DEVICE": "tv"}, metadata_columns=["TITLE"])
    promotions = iter([Promotion("p", 5)])
    shelf = Shelf(handle, 5, user_id="ada", item_id="i", context={"DEVICE": "phone"}, promotions=promotions)
    for _ in range(2):  # a shelf serves many calls
        page(shelf)
        assert service.server.received[-1].members == {
            "campaignArn": arn("a"),
            "userId": "ada",
            "itemId": "i",
            "numResults": 5,
            "context": {"DEVICE": "phone"},
            "metadataColumns": {"ITEMS": ["TITLE"]},
            "promotions": [{"name": "p", "percentPromotedItems": 5}],
        }


def test_a_promoted_item_that_is_refilled_stays_labelled_and_says_why_it_moved(page: Any, shelf: Any) -> None:
    second = page(shelf("a", 5), shelf("b", 5))[1]
    assert [row.item_id for row in second if row.promotion_name == "new"] == ["i6", "i9"]
    assert second[0].rules == ("others were taken out: 6 → 1",)


def test_shelves_know_the_answer_of_each_item(page: Any, shelf: Any) -> None:
    shelves = page(shelf("a", 5), shelf("b", 5))
    assert shelves.item_ids == ids(0, 10)
    assert shelves.get("i7") == shelves[1][2]
    assert shelves.shelf_of("i7") is shelves[1]
    assert (shelves.get("i99"), shelves.shelf_of("i99")) == (None, None)
    assert shelves.arns == (arn("a"), arn("b"))
    assert shelves[1:].arns == (arn("b"),)
    assert shelves[1:][0] is shelves[-1]
    assert pickle.loads(pickle.dumps(shelves)) == shelves
    assert [(row["shelf"], row["item_id"]) for row in shelves.to_dicts()][4:6] == [(0, "i4"), (1, "i5")]
    assert shelves._repr_html_().count("<table") == 2


@pytest.mark.parametrize("distinct", [True, False])
def test_each_row_has_the_recommendation_id_of_the_answer_of_its_shelf(page: Any, shelf: Any, distinct: bool) -> None:
    shelves = page(shelf("a", 5), shelf("b", 5), distinct=distinct, exclude=["i2"])
    for rows in shelves:
        assert rows.recommendation_id is not None
        assert [row.recommendation_id for row in rows] == [rows.recommendation_id] * 5
    assert shelves[0].recommendation_id != shelves[1].recommendation_id
    assert Impressions().of(shelves, shelves[1][3].item_id)[0] == shelves[1 if distinct else 0].recommendation_id


def test_a_row_of_the_fallback_of_a_shelf_has_no_recommendation_id(page: Any, shelf: Any, service: Service) -> None:
    service.outcomes = {"b": 503}
    shelves = page(shelf("a", 3), shelf("b", 3, fallback=PopularItemsFallback(["p1", "p2", "p3"])))
    assert [row.recommendation_id for row in shelves[1]] == [None] * 3
    assert Impressions().of(shelves, "p1") == (None, shelves[0].item_ids)


def test_no_shelves_are_an_empty_page(page: Any) -> None:
    assert (len(page()), page().item_ids, page().errors) == (0, (), ())


def test_shelves_are_asked_for_at_the_same_time(page: Any, shelf: Any, service: Service) -> None:
    together_there = threading.Barrier(3)

    def meet(request: Received) -> Any:
        together_there.wait(20)
        return {"itemList": [], "recommendationId": "RID-1"}

    service.outcomes = dict.fromkeys("abc", meet)
    assert page(shelf("a"), shelf("b"), shelf("c"), deadline=20).errors == (None, None, None)


# Failures.


def test_a_shelf_that_fails_breaks_no_other_and_its_error_is_seen(
    page: Any, shelf: Any, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.outcomes = {"b": 503, "c": 403, "d": "close"}
    with caplog.at_level(logging.DEBUG, "personalize_rt"):
        shelves = page(*(shelf(name, 5, user_id=SECRET) for name in "abcde"))
    assert [each.item_ids for each in shelves] == [ids(0, 5), (), (), (), ids(5, 5)]
    kinds = [None if error is None else type(error) for error in shelves.errors]
    assert kinds == [None, ServerError, AccessDeniedError, TransportError, None]
    assert shelves.degraded
    assert [each.degraded for each in shelves] == [False, True, True, True, False]
    assert [each.recommendation_id for each in shelves[1:4]] == [None] * 3
    assert caplog.text.count("is empty") == 3
    assert SECRET not in caplog.text + repr(shelves) + str(shelves.errors)


def test_each_shelf_has_a_fallback_of_its_own_and_nothing_of_it_stands_twice(
    page: Any, shelf: Any, service: Service
) -> None:
    service.outcomes = dict.fromkeys("bcd", 503)
    popular, other = PopularItemsFallback(ids(0, 40)), PopularItemsFallback([*ids(50, 9), "i50"])
    options = {"fallback": popular}
    shelves = page(
        shelf("a", 5),
        shelf("b", 5, fallback=popular),
        shelf("c", 5, options=options),  # that of its runtime
        shelf("d", 5, options=options, fallback=None),
        shelf("d", 12, options=options, fallback=other),
    )
    assert [each.item_ids for each in shelves] == [ids(0, 5), ids(5, 5), ids(10, 5), (), ids(50, 9)]
    assert [each.info.source for each in shelves] == ["service", "fallback", "fallback", "fallback", "fallback"]
    assert [type(error) for error in shelves.errors] == [type(None), *[ServerError] * 4]


def test_one_deadline_is_for_all_shelves_and_what_is_there_by_then_is_returned(
    page: Any, shelf: Any, healthy: Any, service: Service
) -> None:
    service.outcomes = dict.fromkeys("bcd", "hang")
    begun = time.monotonic()
    shelves = page(
        healthy,
        shelf("b", 5, options={"deadline": None}),
        shelf("c", 5, fallback=PopularItemsFallback(ids(0, 40))),
        shelf("d", 5, options={"deadline": 30.0}, fallback=StaleFallback()),
        deadline=LATE,
    )
    assert time.monotonic() - begun < 20
    assert [each.item_ids for each in shelves] == [ids(0, 5), (), ids(5, 5), ()]
    assert [type(error) for error in shelves.errors] == [type(None), *[DeadlineExceededError] * 3]
    assert shelves.errors[1].deadline == pytest.approx(LATE, abs=1.0)


def test_the_deadline_is_that_of_the_runtime_unless_another_is_given(
    either: Either, shelf: Any, service: Service
) -> None:
    service.outcomes = {"a": "hang"}
    runtime = either.runtime(deadline=0.2)
    (error,) = either.do(runtime.shelves([shelf("a", options={"deadline": 30.0})])).errors
    assert type(error) is DeadlineExceededError
    slow = threading.Event()
    service.outcomes = {"a": lambda request: slow.wait(0.5) or {"itemList": [], "recommendationId": "RID-1"}}
    (answer,) = either.do(runtime.shelves([shelf("a", options={"deadline": 0.2})], deadline=None))
    assert not answer.degraded


@pytest.mark.parametrize("kind", ["never answers", "does not accept"])
def test_a_sick_server_holds_no_page_beyond_the_deadline(
    page: Any, healthy: Any, either: Either, sick_server: Any, kind: str
) -> None:
    sick = either.runtime(endpoint_url=sick_server(kind).url, retry=ONCE, fallback=PopularItemsFallback(ids(0, 40)))
    begun = time.monotonic()
    shelves = page(healthy, Shelf(sick.campaign(arn("b")), 5, user_id="ada"), deadline=LATE)
    assert time.monotonic() - begun < 20
    assert [each.item_ids for each in shelves] == [ids(0, 5), ids(5, 5)]
    assert shelves[1].degraded


def test_a_client_of_the_callers_that_hangs_is_left_behind_at_the_deadline(plain_client: Any, service: Service) -> None:
    service.outcomes = {"b": "hang"}
    told: list[Any] = []
    fallback = PopularItemsFallback(ids(0, 40))
    runtime = PersonalizeRuntime(
        plain_client(read_timeout=30), retry=ONCE, deadline=20.0, fallback=fallback, hooks=[told.append]
    )
    handles = [runtime.campaign(arn(name)) for name in "ab"]
    handles[0].recommend(num_results=1)
    begun = time.monotonic()
    shelves = runtime.shelves([Shelf(handle, 5) for handle in handles], deadline=LATE)
    assert time.monotonic() - begun < 20
    assert [each.item_ids for each in shelves] == [ids(0, 5), ids(5, 5)]
    assert [each.degraded for each in shelves] == [False, True]
    # The call itself has ended, as a single one does: its hooks and its breaker know.
    assert [event.source for event in told if isinstance(event, CallEnded)] == ["service", "service", "fallback"]


def test_neither_answers_nor_failures_are_left_in_circles(
    service: Service, circles: Callable[[Callable[[], Any]], Counter[str]]
) -> None:
    service.outcomes = {"b": 503}
    with PersonalizeRuntime(**PATIENT, endpoint_url=service.server.url, retry=ONCE) as runtime:
        wanted = [Shelf(runtime.campaign(arn(name)), 5) for name in "ab"]
        assert circles(lambda: runtime.shelves(wanted, deadline=20)) == {}


def test_a_shelf_that_hangs_where_no_deadline_reaches_has_its_fallback_all_the_same(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("personalize_rt.shelves._FALLBACKS", 20.0)  # however busy the machine is
    over = threading.Event()
    told: list[Any] = []

    def hook(event: Any) -> None:
        told.append(event)
        if isinstance(event, CallStarted) and event.resource_arn == arn("b"):
            over.wait(60)

    fallback = PopularItemsFallback(ids(0, 40))
    with PersonalizeRuntime(
        **PATIENT, endpoint_url=service.server.url, retry=ONCE, fallback=fallback, hooks=[hook]
    ) as runtime:
        handles = [runtime.campaign(arn(name)) for name in "ab"]
        handles[0].recommend(num_results=1)
        begun = time.monotonic()
        shelves = runtime.shelves([Shelf(handle, 5) for handle in handles], deadline=LATE)
        assert time.monotonic() - begun < 20
        over.set()
    assert [each.item_ids for each in shelves] == [ids(0, 5), ids(5, 5)]
    assert type(shelves.errors[1]) is DeadlineExceededError
    assert shelves[1].info.source == "fallback"


def test_a_fallback_that_hangs_too_leaves_its_shelf_empty(service: Service) -> None:
    over = threading.Event()

    class Hanging(PopularItemsFallback):
        def recommendations(self, request: Any, /) -> Any:
            over.wait(60)

    service.outcomes = {"b": 503}
    with PersonalizeRuntime(**PATIENT, endpoint_url=service.server.url, retry=ONCE) as runtime:
        a, b = (runtime.campaign(arn(name)) for name in "ab")
        a.recommend(num_results=1)
        begun = time.monotonic()
        shelves = runtime.shelves([Shelf(a, 5), Shelf(b, 5, fallback=Hanging([]))], deadline=LATE)
        assert time.monotonic() - begun < 20
        over.set()
    assert [each.item_ids for each in shelves] == [ids(0, 5), ()]
    assert type(shelves.errors[1]) is DeadlineExceededError


def test_without_threads_a_shelf_has_its_fallback(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    start, refused = racing.on_a_thread, list[Any]()

    def refuse_one(work: Callable[[], None]) -> None:
        if not refused:
            refused.append(work)
            raise RuntimeError("can't start new thread")
        start(work)

    monkeypatch.setattr("personalize_rt.resilience.threads.together.on_a_thread", refuse_one)
    with PersonalizeRuntime(**PATIENT, endpoint_url=service.server.url, retry=ONCE) as runtime:
        handles = [runtime.campaign(arn(name)) for name in "ab"]
        begun = time.monotonic()
        shelves = runtime.shelves([Shelf(handle, 5, fallback=PopularItemsFallback(ids(0, 40))) for handle in handles])
        assert time.monotonic() - begun < PATIENT["deadline"] * 0.9  # nobody waits for what has not begun
    assert [each.item_ids for each in shelves] == [ids(0, 5), ids(5, 5)]
    assert [each.degraded for each in shelves] == [True, False]


def test_cancelling_shelves_cancels_their_requests(service: Service) -> None:
    service.outcomes = dict.fromkeys("abc", "hang")
    told: list[Any] = []

    async def cancelled() -> int:
        hooks = [told.append]
        async with AsyncPersonalizeRuntime(**PATIENT, endpoint_url=service.server.url, hooks=hooks) as runtime:
            await runtime.connect()
            call = asyncio.create_task(runtime.shelves([Shelf(runtime.campaign(arn(name))) for name in "abc"]))
            while service.server.count < 3:
                await asyncio.sleep(0.01)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            for _ in range(200):
                if sum(isinstance(event, CallEnded) for event in told) == 3:
                    break
                await asyncio.sleep(0.01)
            return len(asyncio.all_tasks()) - 1

    assert asyncio.run(cancelled()) == 0
    assert [event.error for event in told if isinstance(event, CallEnded)] == ["CancelledError"] * 3


# The policies of each handle.


def test_hooks_cache_and_breaker_of_each_handle_work_as_in_single_calls(
    page: Any, shelf: Any, service: Service
) -> None:
    told: list[Any] = []
    breaker = CircuitBreaker(min_calls=1)
    service.outcomes = {"b": 503}
    cached = shelf("a", 5, options={"cache": Cache(), "hooks": [told.append]})
    broken = shelf("b", 5, options={"breaker": breaker, "hooks": [told.append]})
    first, second = page(cached, broken), page(cached, broken)
    assert (first[0].info.source, second[0].info.source) == ("service", "cache")
    assert second[0].item_ids == first[0].item_ids
    assert [type(error).__name__ for error in (first.errors[1], second.errors[1])] == [
        "ServerError",
        "CircuitOpenError",
    ]
    assert Counter(type(event).__name__ for event in told)["CallEnded"] == 4
    assert service.server.count == 2


def test_users_who_saw_a_few_more_or_less_share_a_cached_answer(page: Any, shelf: Any, service: Service) -> None:
    cached = shelf("a", 5, options={"cache": Cache()})
    for count in (1, 20, 50):
        assert page(cached, exclude=ids(0, count))[0].item_ids == ids(count, 5)
    assert service.server.count == 1


def test_a_stale_fallback_of_a_shelf_repeats_its_last_answer(
    either: Either, page: Any, shelf: Any, service: Service
) -> None:
    kept = shelf("a", 5, fallback=StaleFallback())
    either.do(kept.handle._runtime.connect())  # as above
    answered = page(kept)[0]
    service.outcomes = {"a": 503}
    assert page(kept)[0].item_ids == answered.item_ids


# Arguments.


@pytest.mark.parametrize(
    ("arguments", "parameter", "message"),
    [
        ({"size": 0}, "size", r"shelves\[1\]: size must be a whole number"),
        ({"size": 501}, "size", r"shelves\[1\]: size is 501; one request gives at most 500"),
        ({"size": 51, "metadata_columns": ["TITLE"]}, "size", r"shelves\[1\]: size is 51; .* with metadata columns"),
        ({"user_id": 7}, "user_id", r"shelves\[1\]: user_id"),
        ({"context": SECRET}, "context", r"shelves\[1\]: context"),
        ({"fallback": 7}, "fallback", "not a Fallback"),
    ],
)
def test_a_refused_argument_of_a_shelf_is_named_and_nothing_is_sent(
    page: Any, shelf: Any, service: Service, arguments: Any, parameter: str, message: str
) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        page(shelf("a"), shelf("b", **arguments))
    assert caught.value.parameter == parameter
    assert SECRET not in str(caught.value)
    assert service.server.count == 0


def test_a_refused_argument_of_the_call_is_named(either: Either, page: Any, shelf: Any, service: Service) -> None:
    runtime = either.runtime()
    for arguments, parameter in (
        ({"deadline": 0}, "deadline"),
        ({"deadline": "1"}, "deadline"),
        ({"distinct": 1}, "distinct"),
        ({"exclude": SECRET}, "exclude"),
    ):
        with pytest.raises(ValidationError) as caught:
            page(shelf("a"), **arguments)
        assert caught.value.parameter == parameter
    handle = runtime.campaign(arn("a"))
    for wrong in (7, "arn", handle, [handle], shelf("a")):
        with pytest.raises(ValidationError) as caught:
            either.do(runtime.shelves(wrong))
        assert caught.value.parameter == "shelves"
    assert service.server.count == 0


def test_a_handle_of_the_other_client_is_refused(either: Either, page: Any) -> None:
    other = AsyncPersonalizeRuntime if either.kind is PersonalizeRuntime else PersonalizeRuntime
    handle = other(region_name="eu-west-1").campaign(arn("a"))
    with pytest.raises(
        ValidationError, match=f"must be a {'Async' if 'Async' in either.kind.__name__ else ''}Campaign"
    ):
        page(Shelf(handle))


def test_a_shelf_takes_every_argument_of_a_call_and_shows_none() -> None:
    taken = members_of(RecommendationsArguments).keys() - {"campaign_arn", "recommender_arn", "num_results"}
    assert ShelfRequest.__annotations__.keys() == taken
    handle = PersonalizeRuntime(region_name="eu-west-1").campaign(arn("a"))
    shown = repr(Shelf(handle, 5, **dict.fromkeys(taken, SECRET)))  # type: ignore[arg-type]  # of any kind
    assert SECRET not in shown
    assert all(name in shown for name in taken)
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'num_results': size is"):
        Shelf(handle, num_results=5)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        Shelf(handle, colour="red")  # type: ignore[call-arg]


def test_both_clients_have_the_same_method() -> None:
    ours, theirs = (inspect.signature(kind.shelves) for kind in (PersonalizeRuntime, AsyncPersonalizeRuntime))
    assert [*ours.parameters] == [*theirs.parameters]


# The embedded service, in process and over HTTP.


@pytest.fixture(scope="module")
def local() -> LocalPersonalize:
    return LocalPersonalize.sample()


def check_embedded(either: Either, runtime: Any, local: LocalPersonalize) -> None:
    mine, popular = (runtime.campaign(local.campaign_arn(name)) for name in ("movies-for-you", "popular-movies"))
    seen = ["tt0137523"]
    shelves = either.do(
        runtime.shelves(
            [Shelf(mine, 8, user_id="13974"), Shelf(popular, 8), Shelf(popular, 8)], exclude=seen, deadline=20
        )
    )
    assert [len(each) for each in shelves] == [8, 8, 8]
    assert len({*shelves.item_ids}) == 24
    assert not {*seen} & {*shelves.item_ids}
    single = either.do(popular.recommend(num_results=100))
    places = [single.position(id) for id in (*shelves[1].item_ids, *shelves[2].item_ids)]
    assert places == sorted(places)
    assert len({each.recommendation_id for each in shelves}) == 3


def test_shelves_of_the_embedded_service_over_http(either: Either, local: LocalPersonalize) -> None:
    with local.serve(port=0) as url:
        check_embedded(either, either.runtime(endpoint_url=url), local)


def test_shelves_of_the_embedded_service_in_process(local: LocalPersonalize) -> None:
    with asyncio.Runner() as runner:
        check_embedded(Either(PersonalizeRuntime, runner), local.runtime(), local)


# Properties.


class InProcess:
    """A service in process: what each campaign recommends, best first, or ``None`` if it fails."""

    def __init__(self) -> None:
        self.lists: list[list[str] | None] = []
        self.runtime = PersonalizeRuntime(in_process_client(self.respond), retry=ONCE, deadline=None)

    def respond(self, method: str, path: str, headers: Any, body: bytes) -> Any:
        members = json.loads(body)
        wanted = self.lists[int(members["campaignArn"].rpartition("-")[2])]
        if wanted is None:
            return 503, {}, b"{}"
        rows = [{"itemId": id, "score": 0.5} for id in dict.fromkeys(wanted)][: members["numResults"]]
        return 200, {}, json.dumps({"itemList": rows, "recommendationId": "RID-1"}).encode()


@pytest.fixture(scope="module")
def in_process() -> Iterator[InProcess]:
    service = InProcess()
    yield service
    service.runtime.close()


LISTS = st.lists(st.none() | st.lists(st.sampled_from(ids(0, 30)), max_size=40), max_size=4)


@given(
    lists=LISTS,
    sizes=st.lists(st.integers(1, 12), min_size=4, max_size=4),
    seen=st.sets(st.sampled_from(ids(0, 30))),
    distinct=st.booleans(),
)
def test_shelves_are_what_one_would_write_by_hand(
    in_process: InProcess, lists: list[list[str] | None], sizes: list[int], seen: set[str], distinct: bool
) -> None:
    in_process.lists = lists
    runtime = in_process.runtime
    wanted = [Shelf(runtime.campaign(arn(f"c-{n}")), size) for n, size in zip(range(len(lists)), sizes, strict=False)]
    shelves = runtime.shelves(wanted, exclude=seen, distinct=distinct)
    out = set(seen)
    for listed, size, shown in zip(lists, sizes, shelves, strict=False):
        # All of the list, however many rows were asked for: so no shelf is too short for those before it.
        expected = [id for id in dict.fromkeys(listed or ()) if id not in out][:size]
        assert [*shown.item_ids] == expected
        assert shown.degraded == (listed is None)
        if distinct:
            out.update(expected)
    assert len(shelves) == len(lists)


def test_handles_are_told_apart_by_their_kind() -> None:
    runtime = PersonalizeRuntime(region_name="eu-west-1")
    assert [type(runtime.resource(arn(name))) for name in ("a", "top")] == [Campaign, Recommender]

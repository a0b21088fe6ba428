"""The cache: whose answers are kept, for how long, and that nobody gets the answer of somebody else."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from personalize_rt import (
    DeadlineExceededError,
    InvalidInputError,
    Limits,
    PersonalizeRuntime,
    Promotion,
    RawFilterValue,
    Recommendations,
    RetryPolicy,
    ServerError,
    ThrottlingError,
    ValidationError,
)
from personalize_rt.arguments import ActionsArguments, RankingArguments, RecommendationsArguments
from personalize_rt.operations import request_for
from personalize_rt.resilience.breaker import CircuitBreaker
from personalize_rt.resilience.cache import Cache, Entry, Flights, Fresh, MemoryStore, Miss, Stale, cache_key
from personalize_rt.resilience.fallback import PopularItemsFallback
from personalize_rt.resilience.threads import flights
from personalize_rt.transport.in_process import in_process_client

PREFIX = "arn:aws:personalize:eu-west-1:123456789012:"
ARN = f"{PREFIX}campaign/movies"
TTL, REVALIDATE, IF_ERROR = 10, 5, 20
KEPT = 3


def answer(name: str) -> Recommendations:
    return Recommendations([name], scores=[None])


# Kept for how long


class CacheBesideADictionary(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.stored = 0
        self.cache = Cache(
            ttl=TTL,
            stale_while_revalidate=REVALIDATE,
            stale_if_error=IF_ERROR,
            store=MemoryStore(KEPT),
            clock=lambda: float(self.now),
        )
        self.model: OrderedDict[str, tuple[str, int]] = OrderedDict()

    keys = st.sampled_from("abcde")

    @rule(seconds=st.integers(1, 12))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(key=keys)
    def an_answer_is_kept(self, key: str) -> None:
        self.stored += 1
        name = f"{key}-{self.stored}"
        self.cache.keep(key, answer(name))
        self.model[key] = name, self.now
        self.model.move_to_end(key)
        if len(self.model) > KEPT:
            self.model.popitem(last=False)

    @rule(key=keys)
    def a_fallback_s_answer_is_not(self, key: str) -> None:
        self.cache.keep(key, Recommendations(["popular"], scores=[None], degraded=True))

    @rule(key=keys)
    def it_is_looked_for(self, key: str) -> None:
        found = self.cache.look_up(key)
        if key not in self.model:
            assert found == Miss()
            return
        self.model.move_to_end(key)
        name, when = self.model[key]
        age = self.now - when
        if age < TTL:
            assert found == Fresh(answer(name))
        elif age < TTL + REVALIDATE:
            assert found == Stale(answer(name), revalidate=True)
        elif age < TTL + IF_ERROR:
            assert found == Miss(stale=answer(name))
        else:
            assert found == Miss()

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.cache._store) == len(self.model) <= KEPT  # type: ignore[arg-type]


TestCacheBesideADictionary = CacheBesideADictionary.TestCase


@pytest.mark.parametrize(
    "options",
    [{"ttl": -1}, {"ttl": float("nan")}, {"stale_while_revalidate": -0.5}, {"stale_if_error": -1}],
)
def test_times_that_make_no_sense_are_refused(options: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Cache(**options)
    assert caught.value.parameter in options


def test_a_store_of_no_entries_is_refused() -> None:
    with pytest.raises(ValidationError):
        MemoryStore(0)


def test_a_clock_that_went_back_makes_a_miss_and_no_eternal_entry() -> None:
    now = [1000.0]
    cache = Cache(ttl=10, stale_if_error=100, clock=lambda: now[0])
    cache.keep("k", answer("a"))
    now[0] = 10.0
    assert isinstance(cache.look_up("k"), Miss)


# Nobody gets the answer of somebody else

LIMITS = Limits.off()
# Few values, so that many pairs differ in one member only; and such as look like the JSON around them.
texts = st.sampled_from(["a", "b", "A", " a", "ä", "\U0001f600", '"', '","', '","userId":"a', "{}", "null", "1"])
arns = st.sampled_from([ARN, f"{PREFIX}campaign/movie", f"{PREFIX}campaign/movies2"])
filters = {
    "filter_arn": st.sampled_from([f"{PREFIX}filter/f", f"{PREFIX}filter/g"]),
    "filter_values": st.dictionaries(st.sampled_from(["A", "B"]), texts.map(RawFilterValue), min_size=1, max_size=2),
}
contexts = st.dictionaries(st.sampled_from(["DEVICE", "CITY"]), texts, min_size=1, max_size=2)
lists = st.lists(texts, min_size=1, max_size=3)
promotions = st.builds(
    Promotion, st.sampled_from(["p", "q"]), st.integers(1, 2), filter_arn=st.sampled_from([None, f"{PREFIX}filter/f"])
)


def some(required: dict[str, Any], **optional: Any) -> Any:
    return st.fixed_dictionaries(required, optional=optional)


recommendations = some(
    {"campaign_arn": arns},
    user_id=texts,
    item_id=texts,
    num_results=st.integers(1, 3),
    context=contexts,
    promotions=promotions.map(lambda one: [one]),
    metadata_columns=lists,
    **{"filter_arn": filters["filter_arn"]},
).map(lambda arguments: ("get_recommendations", RecommendationsArguments, arguments))
rankings = some(
    {"campaign_arn": arns, "user_id": texts, "input_list": lists}, context=contexts, metadata_columns=lists
).map(lambda arguments: ("get_personalized_ranking", RankingArguments, arguments))
actions = some({"campaign_arn": arns, "user_id": texts, **filters}, num_results=st.integers(1, 3)).map(
    lambda arguments: ("get_action_recommendations", ActionsArguments, arguments)
)
asked = st.one_of(recommendations, rankings, actions)


def members(build: Any, arguments: dict[str, Any]) -> Any:
    return request_for(build(**arguments), LIMITS)


@given(asked, asked)
def test_requests_share_a_key_only_when_all_members_agree(one: Any, other: Any) -> None:
    first, second = members(*one[1:]), members(*other[1:])
    same = first.operation is second.operation and dict(first.members) == dict(second.members)
    assert (cache_key(first) == cache_key(second)) == same


@given(asked, st.data())
def test_a_change_of_any_one_member_changes_the_key(one: Any, data: st.DataObject) -> None:
    request = members(*one[1:])
    name = data.draw(st.sampled_from(sorted(request.members)))
    value = request.members[name]
    changed = {
        str: lambda: f"{value}x",
        int: lambda: value + 1,
        list: lambda: [*value, value[0]],
        tuple: lambda: [*value, value[0]],
        dict: lambda: {**value, "NEW": "x"},
    }[type(value)]()
    other = type(request)(request.operation, {**request.members, name: changed})
    without = type(request)(request.operation, {key: each for key, each in request.members.items() if key != name})
    assert len({cache_key(request), cache_key(other), cache_key(without)}) == 3


class Echo:
    """A service whose answer belongs to one request: its recommendation id is a digest of the request."""

    def __init__(self) -> None:
        self.count = 0
        self.client = in_process_client(self.respond)

    def respond(self, method: str, path: str, headers: Any, body: bytes) -> Any:
        self.count += 1
        reply = {
            "recommendationId": self.digest(path, body),
            "itemList": [],
            "personalizedRanking": [],
            "actionList": [],
        }
        return 200, {"content-type": "application/json"}, json.dumps(reply).encode()

    @staticmethod
    def digest(path: str, body: bytes) -> str:
        return hashlib.sha256(path.encode() + body).hexdigest()


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.client.close()


@given(requests=st.lists(asked, min_size=2, max_size=12), personal=st.booleans())
def test_each_answer_belongs_to_its_own_request(requests: list[Any], personal: bool, echo: Echo) -> None:
    cached = PersonalizeRuntime(client=echo.client, limits=LIMITS, cache=Cache(personal=personal))
    plain = cached.with_options(cache=None)
    for method, _, arguments in requests:
        answer = getattr(cached, method)(**arguments)
        assert answer.recommendation_id == getattr(plain, method)(**arguments).recommendation_id


@given(requests=st.lists(asked, min_size=1, max_size=8))
def test_an_answer_with_a_user_is_never_kept_unless_asked_for(requests: list[Any], echo: Echo) -> None:
    store: dict[str, Entry] = {}
    cached = PersonalizeRuntime(client=echo.client, limits=LIMITS, cache=Cache(store=store))
    addressed = [(one[2], cached._transport.addressed(members(*one[1:]))) for one in requests]
    nobody = {cache_key(request) for arguments, request in addressed if "user_id" not in arguments}
    for method, _, arguments in requests * 2:
        assert (getattr(cached, method)(**arguments).info.source == "service") >= ("user_id" in arguments)
    assert set(store) == nobody


def test_two_operations_with_the_same_members_share_nothing(echo: Echo) -> None:
    runtime = PersonalizeRuntime(client=echo.client, cache=Cache(personal=True))
    recommendations = runtime.get_recommendations(campaign_arn=ARN, user_id="ada")
    actions = runtime.get_action_recommendations(campaign_arn=ARN, user_id="ada")
    assert (recommendations.info.source, actions.info.source) == ("service", "service")
    assert recommendations.recommendation_id != actions.recommendation_id


def test_what_a_store_sees_tells_nothing_of_who_asked_for_what(echo: Echo) -> None:
    store: dict[str, Entry] = {}
    runtime = PersonalizeRuntime(client=echo.client, cache=Cache(store=store, personal=True))
    runtime.get_recommendations(campaign_arn=ARN, user_id="ada@example.org", context={"CITY": "Llanfair"})
    (key,) = store
    assert set(key) <= set("0123456789abcdef")


# In the client


def test_an_answer_is_given_again_and_says_so(runtime: Any, server: Any) -> None:
    made = runtime(cache=Cache())
    first, second = (made.get_recommendations(campaign_arn=ARN) for _ in range(2))
    assert (first, server.count) == (second, 1)
    assert (first.info.source, first.info.attempts) == ("service", 1)
    assert (second.info.source, second.info.attempts) == ("cache", 0)
    assert second.info.request_id == first.info.request_id
    assert not second.degraded


def test_after_its_time_the_service_is_asked(runtime: Any, server: Any, fake_time: Any) -> None:
    made = runtime(cache=Cache(ttl=60, clock=fake_time.clock))
    made.get_recommendations(campaign_arn=ARN)
    fake_time.now += 59.9
    made.get_recommendations(campaign_arn=ARN)
    assert server.count == 1
    fake_time.now += 0.2
    made.get_recommendations(campaign_arn=ARN)
    assert server.count == 2


def test_a_personal_answer_is_kept_for_that_user_when_asked_for(runtime: Any, server: Any) -> None:
    made = runtime(cache=Cache(personal=True))
    for _ in range(2):
        for user in "ab":
            made.get_personalized_ranking(campaign_arn=ARN, user_id=user, input_list=["i1"])
    assert [received.members["userId"] for received in server.received] == ["a", "b"]


def test_a_fallback_s_answer_is_not_kept(runtime: Any, server: Any) -> None:
    made = runtime(cache=Cache(), fallback=PopularItemsFallback(["p"]), retry={"attempts": 1})
    server.script(503)
    assert made.get_recommendations(campaign_arn=ARN).item_ids == ("p",)
    assert made.get_recommendations(campaign_arn=ARN).item_ids == ("i1",)


def test_an_error_is_not_kept(runtime: Any, server: Any) -> None:
    made = runtime(cache=Cache())
    server.script(400)
    with pytest.raises(InvalidInputError):
        made.get_recommendations(campaign_arn=ARN)
    assert made.get_recommendations(campaign_arn=ARN).info.source == "service"


def test_runtimes_may_share_a_cache(runtime: Any, server: Any) -> None:
    cache = Cache()
    runtime(cache=cache).get_recommendations(campaign_arn=ARN)
    assert runtime(cache=cache).get_recommendations(campaign_arn=ARN).info.source == "cache"


def test_copies_share_it(runtime: Any, server: Any) -> None:
    made = runtime(cache=Cache())
    made.with_options(deadline=1).get_recommendations(campaign_arn=ARN)
    assert made.get_recommendations(campaign_arn=ARN).info.source == "cache"
    assert made.with_options(cache=None).get_recommendations(campaign_arn=ARN).info.source == "service"
    assert made.with_options(cache=Cache()).get_recommendations(campaign_arn=ARN).info.source == "service"


@pytest.mark.parametrize("name", ["LRUCache", "TTLCache"])
def test_a_mapping_of_cachetools_is_a_store(name: str, runtime: Any, server: Any) -> None:
    cachetools: Any = pytest.importorskip("cachetools")
    store = cachetools.LRUCache(2) if name == "LRUCache" else cachetools.TTLCache(2, ttl=600)
    made = runtime(cache=Cache(store=store))
    for number in (1, 2, 3, 1):
        made.get_recommendations(campaign_arn=ARN, num_results=number)
    assert (len(store), server.count) == (2, 4)
    assert made.get_recommendations(campaign_arn=ARN, num_results=1).info.source == "cache"


class FailingStore(dict[str, Entry]):
    """Such as Redis while it is down."""

    def __init__(self, *failing: str) -> None:
        super().__init__()
        self.failing = failing

    def get(self, key: str, default: Any = None) -> Any:
        if "get" in self.failing:
            raise ConnectionError("the store is down")
        return super().get(key, default)

    def __setitem__(self, key: str, entry: Entry) -> None:
        if "set" in self.failing:
            raise ConnectionError("the store is down")
        super().__setitem__(key, entry)


@pytest.mark.parametrize("failing", ["get", "set"])
def test_a_store_that_fails_is_a_cache_that_is_empty(failing: str, runtime: Any, server: Any) -> None:
    made = runtime(cache=Cache(store=FailingStore(failing)))
    for count in (1, 2):
        assert made.get_recommendations(campaign_arn=ARN).info.source == "service"
        assert server.count == count


# Stale answers


def reply(name: str) -> Any:
    return {"itemList": [{"itemId": name}]}


def test_while_it_is_revalidated_the_stale_answer_is_given_and_one_request_goes_out(
    runtime: Any, server: Any, fake_time: Any, background: Any
) -> None:
    released = threading.Event()

    def later(_: Any) -> Any:
        released.wait(10)
        return reply("new")

    made = runtime(cache=Cache(ttl=10, stale_while_revalidate=30, clock=fake_time.clock))
    server.script(reply("old"), later)
    made.get_recommendations(campaign_arn=ARN)
    fake_time.now += 11
    stale = [made.get_recommendations(campaign_arn=ARN) for _ in range(3)]  # nobody waits for the service
    assert {(answer.item_ids, answer.info.source) for answer in stale} == {(("old",), "cache")}
    released.set()
    background.end()
    assert made.get_recommendations(campaign_arn=ARN).item_ids == ("new",)
    assert server.count == 2


def test_a_revalidation_that_fails_leaves_the_stale_answer(
    runtime: Any, server: Any, fake_time: Any, background: Any
) -> None:
    made = runtime(
        cache=Cache(ttl=10, stale_while_revalidate=30, clock=fake_time.clock), retry={"attempts": 1}, deadline=None
    )
    server.script(reply("old"), 503, 400)
    made.get_recommendations(campaign_arn=ARN)
    fake_time.now += 11
    for count in (2, 3, 4):
        assert made.get_recommendations(campaign_arn=ARN).item_ids == ("old",)
        background.end()
        assert server.count == count
    assert made.get_recommendations(campaign_arn=ARN).item_ids == ("i1",)


@pytest.mark.parametrize("outcome", [429, 503, "close", {"itemList": 7}])
def test_a_stale_answer_is_given_when_the_service_fails(
    outcome: Any, runtime: Any, server: Any, fake_time: Any
) -> None:
    made = runtime(cache=Cache(ttl=10, stale_if_error=30, clock=fake_time.clock))
    made.get_recommendations(campaign_arn=ARN)
    fake_time.now += 11
    server.always(outcome)
    answer = made.get_recommendations(campaign_arn=ARN)
    assert (answer.item_ids, answer.info.source, answer.degraded) == (("i1",), "cache", False)
    fake_time.now += 30
    with pytest.raises(Exception, match=r"."):
        made.get_recommendations(campaign_arn=ARN)


def test_a_stale_answer_is_given_while_the_breaker_is_open(runtime: Any, server: Any, fake_time: Any) -> None:
    breaker = CircuitBreaker(min_calls=1, clock=fake_time.clock, open_for=1000)
    made = runtime(cache=Cache(ttl=10, stale_if_error=30, clock=fake_time.clock), breaker=breaker)
    made.get_recommendations(campaign_arn=ARN)
    breaker.record(breaker.admit(ARN), ServerError("x", response={}, operation_name="o", code="c"))
    assert breaker.state(ARN) == "open"
    fake_time.now += 11
    assert made.get_recommendations(campaign_arn=ARN).item_ids == ("i1",)
    assert server.count == 1


@pytest.mark.parametrize("status", [400, 403, 404])
def test_an_error_of_the_caller_is_not_covered_up_by_a_stale_answer(
    status: int, runtime: Any, server: Any, fake_time: Any
) -> None:
    made = runtime(cache=Cache(ttl=10, stale_if_error=30, clock=fake_time.clock))
    made.get_recommendations(campaign_arn=ARN)
    fake_time.now += 11
    server.always(status)
    with pytest.raises(Exception, match=f"HTTP {status}"):
        made.get_recommendations(campaign_arn=ARN)


# Equal calls at the same time


class Crowd:
    """Calls of several threads; the service's answer comes when all of them wait for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
        self.size = size
        self.joined = threading.Semaphore(0)
        join = Flights.join

        def joins(flights: Any, *arguments: Any) -> Any:
            try:
                return join(flights, *arguments)
            finally:
                self.joined.release()

        monkeypatch.setattr(Flights, "join", joins)

    def all_here(self) -> None:
        for _ in range(self.size):
            assert self.joined.acquire(timeout=10)


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Make calls, each in a thread of its own; their answers and errors."""
    results: list[Any] = [None] * len(calls)

    def work(index: int) -> None:
        try:
            results[index] = calls[index]()
        except BaseException as error:
            results[index] = error

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    return results


def test_equal_calls_at_the_same_time_are_one_request(runtime: Any, server: Any, monkeypatch: Any) -> None:
    crowd = Crowd(monkeypatch, 8)
    made = runtime(cache=Cache(personal=True))
    made.connect()

    def when_all_wait(_: Any) -> Any:
        crowd.all_here()
        return reply("shared")

    server.script(when_all_wait)
    answers = at_once(*[lambda: made.get_recommendations(campaign_arn=ARN, user_id="u")] * 8)
    assert server.count == 1
    assert {answer.item_ids for answer in answers} == {("shared",)}
    assert sorted(answer.info.source for answer in answers) == ["cache"] * 7 + ["service"]


def test_calls_that_differ_do_not_wait_for_each_other(runtime: Any, server: Any) -> None:
    made = runtime(cache=Cache(personal=True))
    made.connect()
    all_there = threading.Barrier(3)

    def when_all_three_are_asked_for(request: Any) -> Any:
        all_there.wait(10)
        return reply(request.members["userId"])

    server.always(when_all_three_are_asked_for)
    answers = at_once(
        *[lambda user=user: made.get_recommendations(campaign_arn=ARN, user_id=user) for user in "abc"],
    )
    assert [answer.item_ids for answer in answers] == [("a",), ("b",), ("c",)]


def test_personal_calls_are_each_sent_when_they_are_not_kept(runtime: Any, server: Any) -> None:
    made = runtime(cache=Cache())
    made.connect()
    both_there = threading.Barrier(2)

    def when_both_are_asked_for(_: Any) -> None:
        both_there.wait(10)

    server.always(when_both_are_asked_for)
    at_once(*[lambda: made.get_recommendations(campaign_arn=ARN, user_id="u")] * 2)
    assert server.count == 2


def test_who_waited_for_a_failure_gets_an_error_of_his_own(runtime: Any, server: Any, monkeypatch: Any) -> None:
    crowd = Crowd(monkeypatch, 4)
    made = runtime(cache=Cache(), retry={"attempts": 1})
    made.connect()

    def when_all_wait(_: Any) -> Any:
        crowd.all_here()
        return 429

    server.script(when_all_wait)
    errors = at_once(*[lambda: made.get_recommendations(campaign_arn=ARN)] * 4)
    assert server.count == 1
    assert [type(error) for error in errors] == [ThrottlingError] * 4
    assert len(set(map(id, errors))) == 4  # threads must not hang their frames on one error


def test_who_waits_for_another_call_waits_no_longer_than_his_deadline(session: Any, server: Any) -> None:
    asked, late = threading.Event(), threading.Event()

    def when_the_other_gave_up(_: Any) -> Any:
        asked.set()
        late.wait(10)
        return reply("late")

    server.script(when_the_other_gave_up)
    options = {"session": session, "endpoint_url": server.url, "retry": RetryPolicy(1)}
    with PersonalizeRuntime(**options, deadline=20, cache=Cache()) as patient:
        hurried = patient.connect().with_options(deadline=0.1)

        def follow() -> Any:
            asked.wait(10)
            try:
                return hurried.get_recommendations(campaign_arn=ARN)
            finally:
                late.set()

        answer, error = at_once(lambda: patient.get_recommendations(campaign_arn=ARN), follow)
    assert answer.item_ids == ("late",)
    assert isinstance(error, DeadlineExceededError)
    assert (error.attempts, error.deadline, server.count) == (0, 0.1, 1)


def test_who_finds_nothing_and_then_leads_looks_again_before_asking(runtime: Any, server: Any) -> None:
    """Between looking and leading, another call may have ended: its answer is there."""
    made = runtime(cache=None)

    class Store(MemoryStore):
        looked = 0

        def get(self, key: str, /) -> Entry | None:
            found = super().get(key)
            self.looked += 1
            if self.looked == 1:
                cached.get_recommendations(campaign_arn=ARN)
            return found

    cached = made.with_options(cache=Cache(store=Store()))
    cached.get_recommendations(campaign_arn=ARN)
    assert server.count == 1


def test_a_leader_that_runs_out_of_time_leaves_one_request_to_the_others(session: Any, server: Any) -> None:
    """Not one each: that would be a stampede, at the very moment when the service is slow."""
    asked, followers = threading.Event(), 6

    def slow(_: Any) -> str:
        asked.set()
        return "hang"

    server.script(slow)
    options = {"session": session, "endpoint_url": server.url, "retry": RetryPolicy(1)}
    with PersonalizeRuntime(**options, deadline=20, cache=Cache()) as patient:
        hurried = patient.connect().with_options(deadline=0.3)

        def follow() -> Any:
            asked.wait(10)
            return patient.get_recommendations(campaign_arn=ARN)

        error, *answers = at_once(lambda: hurried.get_recommendations(campaign_arn=ARN), *[follow] * followers)
    assert isinstance(error, DeadlineExceededError)
    assert {answer.item_ids for answer in answers} == {("i1",)}
    assert sorted(answer.info.source for answer in answers) == ["cache"] * (followers - 1) + ["service"]
    assert server.count == 2


def test_a_revalidation_without_a_thread_strands_nobody(
    runtime: Any, server: Any, fake_time: Any, monkeypatch: Any
) -> None:
    def no_more_threads(_: Any) -> None:
        raise RuntimeError("can't start new thread")

    made = runtime(cache=Cache(ttl=10, stale_while_revalidate=30, clock=fake_time.clock))
    server.script(reply("old"), reply("new"))
    made.get_recommendations(campaign_arn=ARN)
    fake_time.now += 11
    with monkeypatch.context() as patch:
        patch.setattr(flights, "on_a_thread", no_more_threads)
        assert made.get_recommendations(campaign_arn=ARN).item_ids == ("old",)
    fake_time.now += 60  # nothing is left to give meanwhile: who waited for that revalidation would wait for good
    assert made.get_recommendations(campaign_arn=ARN).item_ids == ("new",)


class StoppedError(BaseException):
    pass


def test_a_leader_that_is_interrupted_leaves_nobody_waiting(runtime: Any, server: Any, monkeypatch: Any) -> None:
    crowd = Crowd(monkeypatch, 2)
    asked = threading.Event()

    def stop(_: float) -> None:
        crowd.all_here()
        raise StoppedError

    def fail(_: Any) -> int:
        asked.set()
        return 503

    made = runtime(cache=Cache(), retry={"sleep": stop})
    made.connect()
    server.script(fail)

    def follow() -> Any:
        asked.wait(10)
        return made.get_recommendations(campaign_arn=ARN)

    stopped, answer = at_once(lambda: made.get_recommendations(campaign_arn=ARN), follow)
    assert isinstance(stopped, StoppedError)
    assert answer.item_ids == ("i1",)


def test_nobody_waits_for_a_call_that_is_over(runtime: Any, server: Any) -> None:
    made = runtime(cache=Cache(), retry={"attempts": 1}, deadline=None)
    server.script(503)
    with pytest.raises(ServerError):
        made.get_recommendations(campaign_arn=ARN)
    assert made.get_recommendations(campaign_arn=ARN).item_ids == ("i1",)

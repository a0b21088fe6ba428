"""``rank_long`` of the blocking client: real requests to an embedded service whose logits are known."""

from __future__ import annotations

import contextvars
import inspect
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

import pytest

from personalize_rt import (
    AccessDeniedError,
    Cache,
    Campaign,
    CircuitBreaker,
    CircuitOpenError,
    DeadlineExceededError,
    InputOrderFallback,
    Limits,
    LocalReranker,
    PersonalizeRuntime,
    Ranking,
    RerankFallback,
    RetryPolicy,
    ServerError,
    StaleFallback,
    ValidationError,
)
from personalize_rt.events import AttemptFailed, CallEnded, CallStarted, FallbackAnswered
from personalize_rt.local import LocalPersonalize
from personalize_rt.local.scored import ScoredPersonalize
from personalize_rt.local.wire import HttpRequest
from personalize_rt.rerank import LongRanking
from personalize_rt.transport.in_process import in_process_client

# The items' logits fall by a thousandth each, so the right order is that of their numbers.
IDS = [f"i{n}" for n in range(1_200)]
SHUFFLED = sorted(IDS, key=lambda id: id[::-1])
Change = Callable[[int, Mapping[str, Any]], tuple[int, str] | None]


def logit(id: str) -> float | None:
    return -int(id[1:]) / 1000 if id.startswith("i") else None


def score(user_id: str, item_ids: Sequence[str], context: Mapping[str, str] | None) -> Sequence[float | None]:
    return [logit(id) for id in item_ids]


class Service:
    """An embedded service behind a real boto3 client, which counts requests and may spoil some of them."""

    def __init__(self, scorer: Any = score, spoil: Change = lambda number, members: None) -> None:
        self.local = ScoredPersonalize(scorer)
        self.arn = self.local.campaign_arn("ranking")
        self.requests: list[dict[str, Any]] = []
        self.now = 0.0  # moves only when something is said to take time
        self._spoil = spoil
        self._lock = threading.Lock()
        self.client = in_process_client(self._respond)

    def _respond(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Any:
        members = json.loads(body)
        with self._lock:
            self.requests.append(members)
            number = len(self.requests)
        spoilt = self._spoil(number, members)
        if spoilt is not None:
            status, code = spoilt
            return status, {"x-amzn-errortype": code}, b'{"message": "no"}'
        answer = self.local.handle(HttpRequest(method, path, headers, body))
        return answer.status, answer.headers, answer.body

    def runtime(self, **options: Any) -> PersonalizeRuntime:
        retry = RetryPolicy(clock=lambda: self.now, sleep=self.passes, attempts=options.pop("attempts", 1))
        return PersonalizeRuntime(self.client, **{"retry": retry, **options})

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def rank(self, input_list: Any = SHUFFLED, *, given: Mapping[str, Any] = {}, **options: Any) -> LongRanking:
        runtime = self.runtime(**options)
        return runtime.rank_long(campaign_arn=self.arn, user_id="ada", input_list=input_list, **given)


def after(count: int, status: int = 503, code: str = "ServiceUnavailable") -> Change:
    """Every request after so many fails."""
    return lambda number, members: (status, code) if number > count else None


# Answers.


def test_ten_thousand_items_through_the_wire() -> None:
    ids = [f"i{n}" for n in range(10_000)]
    service = Service()
    ranking = service.rank(sorted(ids, key=lambda id: id[::-1]))
    assert ranking.requests == len(service.requests) <= 30
    assert ranking.item_ids[:3] == ("i0", "i1", "i2")
    numbers = [int(id[1:]) for id in ranking.item_ids]
    assert max(abs(number - place) for place, number in enumerate(numbers)) <= 1_000 * ranking.error_bound
    assert sorted(numbers) == [*range(10_000)]


def test_the_answer_says_how_it_came_about() -> None:
    service = Service()
    ranking = service.rank()
    assert type(ranking) is LongRanking
    assert (ranking.requests, ranking.info.attempts, ranking.info.source) == (4, 4, "service")
    assert 0 < ranking.error_bound < 0.001
    assert (ranking.unscaled, ranking.unscored, ranking.missing, ranking.stopped_by) == ((), (), (), None)
    assert ranking.recommendation_id is None
    assert len(set(ranking.recommendation_ids)) == 3
    assert {len(members["inputList"]) for members in service.requests[:3]} == {400}
    assert {members["userId"] for members in service.requests} == {"ada"}


def test_a_list_that_fits_is_the_one_request_that_it_would_be() -> None:
    service = Service()
    long = service.rank(SHUFFLED[:500])
    short = service.runtime().get_personalized_ranking(
        campaign_arn=service.arn, user_id="ada", input_list=SHUFFLED[:500]
    )
    assert service.requests[0] == service.requests[1]
    assert (long.item_ids, long.scores) == (short.item_ids, short.scores)
    assert (long.requests, long.error_bound) == (1, 0.0)


def test_unknown_and_repeated_items() -> None:
    ranking = Service().rank(["new-1", *SHUFFLED, "i0", "new-2", "new-1"])
    assert ranking.item_ids[:2] == ("i0", "i0")
    assert ranking.item_ids[-3:] == ranking.unscored == ("new-1", "new-2", "new-1")


@pytest.mark.parametrize(("limits", "chunks"), [(Limits(input_list=100), 12), (Limits.off(), 3)])
def test_requests_are_as_large_as_the_limits_allow(limits: Limits, chunks: int) -> None:
    service = Service()
    assert service.rank(limits=limits).item_ids[0] == "i0"
    assert len(service.requests) == chunks + 1
    assert max(len(members["inputList"]) for members in service.requests) <= 1_200 / chunks


def test_a_budget_is_the_callers() -> None:
    service = Service()
    with pytest.raises(ValidationError, match="need 4 requests") as caught:
        service.rank(given={"max_requests": 3})
    assert (caught.value.parameter, service.requests) == ("max_requests", [])
    assert service.rank(given={"max_requests": 4}).requests == 4


@pytest.mark.parametrize(("name", "value"), [("concurrency", 0), ("max_requests", 0), ("max_requests", 1.5)])
def test_a_number_that_is_refused_is_shown(name: str, value: float) -> None:
    with pytest.raises(ValidationError, match=f"{name} must be a whole number from 1.*, not {value}"):
        Service().rank(given={name: value})


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": True}, "concurrency"),
        ({"concurrency": 2.0}, "concurrency"),
        ({"max_requests": 0}, "max_requests"),
        ({"filter_values": {"GENRE": "Drama"}}, "filter_arn"),
        ({"context": {"DEVICE": 1}}, "context"),
    ],
)
def test_arguments_are_checked_before_anything_is_sent(given: dict[str, Any], parameter: str) -> None:
    service = Service()
    with pytest.raises(ValidationError) as caught:
        service.rank(given=given)
    assert (caught.value.parameter, service.requests) == (parameter, [])


@pytest.mark.parametrize("wrong", [[], "i1", None, ["i1"] * 3 + [7], ["x" * 257, *IDS]])
def test_the_list_is_checked_as_a_whole(wrong: Any) -> None:
    service = Service()
    with pytest.raises(ValidationError) as caught:
        service.rank(wrong)
    assert (caught.value.parameter, service.requests) == ("input_list", [])


def test_a_handle_brings_what_is_bound() -> None:
    local = LocalPersonalize.sample()
    movies = local.runtime(deadline=None).campaign(local.campaign_arn("movies-ranking"), metadata_columns=["TITLE"])
    ids = [*local.items][:130]
    ranking = movies.rank_long("13974", ids)
    assert ranking.requests == 4  # 50 items a request with metadata
    assert {*ranking.item_ids} == {*ids}
    assert all(row.metadata["TITLE"] == local.items[row.item_id]["TITLE"] for row in ranking)
    with pytest.raises(ValidationError, match=r"rank_long\(\) takes none"):
        local.runtime().campaign(movies.arn, num_results=3).rank_long("13974", ids)


def test_what_a_filter_takes_out_is_missing() -> None:
    local = LocalPersonalize.sample()
    arn = local.add_filter("no-drama", 'EXCLUDE ItemID WHERE Items.GENRES IN ("Drama")')
    ids = [*local.items]
    runtime = local.runtime(limits=Limits(input_list=50), deadline=None)
    ranking = runtime.rank_long(
        campaign_arn=local.campaign_arn("movies-ranking"), user_id="13974", input_list=ids, filter_arn=arn
    )
    drama = tuple(id for id in ids if "Drama" in local.items[id]["GENRES"].split("|"))
    assert drama
    assert ranking.missing == drama
    assert {*ranking.item_ids} == {*ids} - {*drama}


# Requests at the same time.


def test_requests_are_made_at_the_same_time_and_not_more_than_allowed() -> None:
    together, lock = threading.Barrier(3, timeout=20), threading.Lock()
    under_way, most, calls = 0, 0, 0

    def scorer(user_id: str, item_ids: Sequence[str], context: Any) -> Sequence[float | None]:
        nonlocal under_way, most, calls
        with lock:
            under_way, calls = under_way + 1, calls + 1
            most, number = max(most, under_way), calls
        if number <= 3:
            together.wait()  # goes on only when three are here
        with lock:
            under_way -= 1
        return score(user_id, item_ids, context)

    ranking = Service(scorer).rank(limits=Limits(input_list=100), given={"concurrency": 3})
    assert (ranking.requests, most) == (13, 3)


def test_one_at_a_time_needs_no_thread() -> None:
    threads = set()

    def scorer(user_id: str, item_ids: Sequence[str], context: Any) -> Sequence[float | None]:
        threads.add(threading.current_thread())
        return score(user_id, item_ids, context)

    Service(scorer).rank(given={"concurrency": 1})
    assert threads == {threading.current_thread()}


def test_threads_work_in_the_context_of_the_caller_and_are_gone_afterwards() -> None:
    span: contextvars.ContextVar[str] = contextvars.ContextVar("span", default="none")
    seen = set()

    def scorer(user_id: str, item_ids: Sequence[str], context: Any) -> Sequence[float | None]:
        seen.add(span.get())
        return score(user_id, item_ids, context)

    span.set("mine")
    before = set(threading.enumerate())
    Service(scorer).rank()
    assert seen == {"mine"}
    assert set(threading.enumerate()) <= before


# Policies.


def test_hooks_are_told_of_each_request_as_a_call_of_its_own() -> None:
    heard: list[Any] = []
    Service(spoil=lambda number, members: (429, "ThrottlingException") if number == 2 else None).rank(
        hooks=[heard.append], attempts=2
    )
    ended = [event for event in heard if isinstance(event, CallEnded)]
    assert [sum(isinstance(event, kind) for event in heard) for kind in (CallStarted, AttemptFailed)] == [4, 1]
    assert sorted(event.attempts for event in ended) == [1, 1, 1, 2]


def test_a_request_is_retried_and_counted() -> None:
    service = Service(spoil=lambda number, members: (503, "ServiceUnavailable") if number == 2 else None)
    ranking = service.rank(attempts=3)
    assert (ranking.requests, ranking.info.attempts, len(service.requests)) == (4, 5, 5)
    assert ranking.item_ids[0] == "i0"


def test_without_a_needed_answer_there_is_none_and_nothing_more_is_asked() -> None:
    service = Service(spoil=after(4, 403, "AccessDeniedException"))
    with pytest.raises(AccessDeniedError) as caught:
        service.rank(limits=Limits(input_list=100), given={"concurrency": 1})
    assert len(service.requests) == 5
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert "ada" not in f"{caught.value!r}"


def test_without_what_ties_the_answers_there_is_no_ranking() -> None:
    with pytest.raises(ServerError):
        Service(spoil=after(3)).rank()


FAR = {id: -int(id[1:]) / 40 for id in IDS}  # 30 apart, so that many scores are 0


def far(user_id: str, item_ids: Sequence[str], context: Any) -> Sequence[float | None]:
    return [FAR[id] for id in item_ids]


def test_a_request_that_makes_it_more_exact_may_fail() -> None:
    whole = Service(far).rank()
    assert whole.requests > 4
    service = Service(far, spoil=after(4))
    ranking = service.rank(given={"concurrency": 1})
    assert (ranking.requests, ranking.degraded) == (4, False)
    assert isinstance(ranking.stopped_by, ServerError)
    assert len(ranking.unscaled) > len(whole.unscaled)
    assert whole.stopped_by is None
    assert {*ranking.item_ids} == {*IDS}


def test_an_error_of_the_caller_is_never_swallowed() -> None:
    with pytest.raises(AccessDeniedError):
        Service(far, spoil=after(4, 403, "AccessDeniedException")).rank()


def test_the_deadline_is_one_for_all_requests() -> None:
    service = Service()
    waited: list[int] = []

    def slowly(number: int, members: Mapping[str, Any]) -> None:
        waited.append(number)
        service.passes(0.3)

    service._spoil = slowly
    with pytest.raises(DeadlineExceededError) as caught:
        service.rank(limits=Limits(input_list=100), given={"concurrency": 1}, deadline=1.0)
    assert (caught.value.deadline, len(waited)) == (1.0, 4)
    assert "1 s for the whole list" in str(caught.value)
    waited.clear()
    assert service.rank(limits=Limits(input_list=100), deadline=None).requests == 13
    assert service.rank(limits=Limits(input_list=100), deadline=10).requests == 13


def test_a_deadline_that_ends_the_refining_gives_what_there_is() -> None:
    service = Service(far)
    service._spoil = lambda number, members: service.passes(0.3 if number == 4 else 0.0)
    ranking = service.rank(given={"concurrency": 1}, deadline=0.2)
    assert isinstance(ranking.stopped_by, DeadlineExceededError)
    assert ranking.stopped_by.deadline == 0.2
    assert ranking.requests == 4


def test_a_fallback_is_asked_for_the_whole_list_and_never_for_a_part() -> None:
    asked: list[int] = []

    class Fallback(InputOrderFallback):
        def ranking(self, request: Any, /) -> Ranking | None:
            asked.append(len(request.members["inputList"]))
            return super().ranking(request)

    heard: list[Any] = []
    ranking = Service(spoil=after(1)).rank(fallback=Fallback(), hooks=[heard.append])
    assert asked == [1_200]
    assert (type(ranking), ranking.item_ids, ranking.degraded) == (LongRanking, tuple(SHUFFLED), True)
    assert isinstance(ranking.cause, ServerError)
    assert (ranking.info.source, ranking.error_bound) == ("fallback", inf)
    assert [event.error for event in heard if isinstance(event, FallbackAnswered)] == ["ServerError"]


def test_a_local_reranker_may_stand_in_for_a_list_of_any_length() -> None:
    fallback = RerankFallback(LocalReranker(score))
    ranking = Service(spoil=after(0)).rank(["new", *SHUFFLED], fallback=fallback)
    assert ranking.item_ids == (*IDS, "new")
    assert ranking.degraded


def test_a_fallback_that_refuses_leaves_the_error() -> None:
    with pytest.raises(ServerError):
        Service(spoil=after(2)).rank(fallback=StaleFallback())
    with pytest.raises(AccessDeniedError):
        Service(spoil=after(2, 403, "AccessDeniedException")).rank(fallback=InputOrderFallback())


def test_a_fallback_is_told_of_each_answer() -> None:
    told: list[tuple[str, int]] = []

    class Learning:
        def __call__(self, *arguments: Any) -> Sequence[float | None]:
            return score(*arguments)

        def observe(self, user_id: str, ranking: Ranking, context: Any) -> None:
            told.append((user_id, len(ranking)))

    Service().rank(fallback=RerankFallback(Learning()))
    assert sorted(told) == [("ada", 75), ("ada", 400), ("ada", 400), ("ada", 400)]


def test_a_personal_cache_answers_the_same_list_again() -> None:
    service = Service()
    runtime = service.runtime(cache=Cache(personal=True))
    first, second = (runtime.rank_long(campaign_arn=service.arn, user_id="ada", input_list=SHUFFLED) for _ in range(2))
    assert first == second
    assert (first.info.source, second.info.source, len(service.requests)) == ("service", "cache", 4)


def test_an_open_breaker_stops_it_at_once() -> None:
    service = Service(spoil=after(0))
    runtime = service.runtime(breaker=CircuitBreaker(min_calls=2, clock=lambda: service.now))
    for _ in range(2):
        with pytest.raises(ServerError):
            runtime.rank_long(campaign_arn=service.arn, user_id="ada", input_list=SHUFFLED, concurrency=1)
    sent = len(service.requests)
    with pytest.raises(CircuitOpenError):
        runtime.rank_long(campaign_arn=service.arn, user_id="ada", input_list=SHUFFLED, concurrency=1)
    assert len(service.requests) == sent


# The surface.


@pytest.mark.parametrize(
    ("long_method", "short_method"),
    [(PersonalizeRuntime.rank_long, PersonalizeRuntime.get_personalized_ranking), (Campaign.rank_long, Campaign.rank)],
)
def test_it_takes_what_a_ranking_takes_and_two_things_more(long_method: Any, short_method: Any) -> None:
    long, short = (inspect.signature(method).parameters for method in (long_method, short_method))
    assert [*long] == [*short, "max_requests", "concurrency"]
    for name in short:
        assert long[name] == short[name]


def test_it_shows_and_converts_itself_like_a_ranking() -> None:
    pytest.importorskip("pandas")
    ranking = Service().rank()
    assert len(ranking.to_pandas()) == 1_200
    assert "i0" in ranking._repr_html_()
    assert ranking.blend(IDS, 0.5).item_ids[0] == "i0"

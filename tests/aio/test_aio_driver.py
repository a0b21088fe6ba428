"""The async driver: the decisions of the blocking one, and what tasks add: cancelling, and waiting for each other.

Against a double of an aiobotocore client; none of this needs aiobotocore.
"""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

import pytest

from personalize_rt import (
    CircuitOpenError,
    DeadlineExceededError,
    InvalidInputError,
    PersonalizeError,
    PersonalizeRuntime,
    ResponseError,
    RetryPolicy,
    ServerError,
    ServiceError,
    ThrottlingError,
    TransportError,
)
from personalize_rt.aio import AsyncPersonalizeRuntime
from personalize_rt.resilience.breaker import CircuitBreaker
from personalize_rt.resilience.cache import Cache
from personalize_rt.resilience.fallback import InputOrderFallback, StaleFallback
from personalize_rt.resilience.hedge import Hedge
from personalize_rt.testing import set_testing

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
OTHER = "arn:aws:personalize:eu-west-1:123456789012:campaign/books"
SHORT = 0.05  # seconds; a deadline that a test really waits for


def budget_of(runtime: Any) -> int:
    tokens: int = runtime._policies.budget.tokens
    return tokens


# The same scenarios, the blocking client beside this one


def throttled(service: Any) -> Any:
    return service.failure(429, retry_after="1")


SCENARIOS: dict[str, tuple[Any, dict[str, Any]]] = {
    "healthy": ([None], {}),
    "passes": ([503, 500, None], {}),
    "never passes": ([503, 503, 503], {}),
    "passes after a time-out": ([lambda s: s.time_out(), None], {}),
    "never answers": ([lambda s: s.time_out()] * 3, {}),
    "asks for a second": ([throttled, None], {}),
    "asks for too long": ([lambda s: s.failure(503, retry_after="60")], {}),
    "asks in milliseconds": ([lambda s: s.failure(429, x_amz_retry_after="250"), None], {}),
    "caller's error": ([400], {}),
    "caller's error after a retry": ([503, 404], {}),
    "one attempt": ([503], {"retry": {"attempts": 1}}),
    "five attempts": ([503] * 4 + [None], {"retry": {"attempts": 5}, "deadline": None}),
    "no time for a retry": ([503] * 9, {"retry": {"attempts": 9, "base": 1.0, "cap": 9.0}}),
    "not understood": ([{"personalizedRanking": [{"itemId": 5}]}], {}),
    "not a list": ([{"personalizedRanking": 5}], {}),
    "fallback": ([503, 503, 503], {"fallback": lambda: InputOrderFallback()}),
    "no fallback for the caller": ([400], {"fallback": lambda: InputOrderFallback()}),
    "breaker opens": (
        [503] * 9,
        {"breaker": lambda: CircuitBreaker(min_calls=2, clock=float), "retry": {"attempts": 1}, "calls": 4},
    ),
    "breaker and fallback": (
        [503] * 9,
        {
            "breaker": lambda: CircuitBreaker(min_calls=1, clock=float),
            "fallback": lambda: InputOrderFallback(),
            "retry": {"attempts": 1},
            "calls": 3,
        },
    ),
    "cache": ([None], {"cache": lambda: Cache(personal=True), "calls": 3}),
    "cache and error": ([503, None], {"cache": lambda: Cache(personal=True), "retry": {"attempts": 1}, "calls": 3}),
    "stale if error": (
        [None, 503, 503],
        {"cache": lambda: Cache(ttl=0.0, stale_if_error=60, personal=True), "retry": {"attempts": 2}, "calls": 2},
    ),
    "remembers": ([None, 503], {"fallback": lambda: StaleFallback(), "retry": {"attempts": 1}, "calls": 2}),
    "hedge that is not needed": ([None, None], {"hedge": lambda: Hedge(after=60.0, percent=100), "calls": 2}),
    "hedge and errors": ([503, 503, None], {"hedge": lambda: Hedge(after=60.0, percent=100)}),
}


def outcome_of(answer: Any) -> Any:
    if isinstance(answer, BaseException):
        kept = {name: value for name, value in vars(answer).items() if name != "response"}
        return type(answer), str(answer), type(answer.__cause__), type(answer.__context__), kept
    return answer, answer.info, answer.degraded, type(answer.cause)


class Clock:
    """A clock that stands still unless somebody sleeps by it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_scenario_ends_as_it_does_with_the_blocking_client(
    name: str, service: Any, blocking_service: Any
) -> None:
    outcomes, options = SCENARIOS[name]
    seen: list[Any] = []
    for double in (blocking_service, service):
        double.script(*[outcome(double) if callable(outcome) else outcome for outcome in outcomes])
        clock, events, ends = Clock(), [], []
        made = {key: value() if callable(value) else value for key, value in options.items()}
        policy = RetryPolicy(**{"clock": clock, "sleep": clock.sleep, "random": lambda: 1.0, **made.pop("retry", {})})
        calls = made.pop("calls", 1)
        kind: Any = AsyncPersonalizeRuntime if double is service else PersonalizeRuntime
        runtime = kind(double, retry=policy, hooks=[events.append], **made)
        for _ in range(calls):
            try:
                answer = runtime.get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=["i1", "i2"])
                ends.append(outcome_of(await answer if double is service else answer))
            except PersonalizeError as error:
                ends.append(outcome_of(error))
        seen.append((ends, events, clock.slept, double.received, budget_of(runtime)))
    blocking, awaiting = seen
    assert awaiting == blocking


# Retries


async def test_the_sleep_of_the_policy_may_be_a_coroutine_function(async_runtime: Any, service: Any) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    service.script(503, 503)
    answer = await async_runtime(retry={"sleep": sleep}).get_recommendations(campaign_arn=ARN)
    assert answer.info.attempts == 3
    assert slept == [0.05, 0.1]


async def test_a_wait_of_its_own_does_not_block_the_loop(service: Any, monkeypatch: Any) -> None:
    def blocks(_: float) -> None:
        pytest.fail("blocked")

    monkeypatch.setattr(time, "sleep", blocks)
    service.script(503)
    policy = RetryPolicy(base=0.3, random=lambda: 1.0)
    waiting = asyncio.ensure_future(
        AsyncPersonalizeRuntime(service, retry=policy).get_recommendations(campaign_arn=ARN)
    )
    ticks = 0
    while not waiting.done():
        ticks += 1
        await asyncio.sleep(0.005)
    assert ticks > 3
    assert (await waiting).info.elapsed >= 0.05


async def test_testing_takes_the_waiting_out(service: Any) -> None:
    service.script(503, 503)
    runtime = AsyncPersonalizeRuntime(service, retry=RetryPolicy(base=1000.0, cap=1000.0), deadline=None)
    with set_testing():
        assert (await runtime.get_recommendations(campaign_arn=ARN)).info.attempts == 3


async def test_the_last_error_is_raised_without_a_chain(async_runtime: Any, service: Any) -> None:
    service.script(429, service.time_out(), 503)
    with pytest.raises(ServerError) as caught:
        await async_runtime().get_recommendations(campaign_arn=ARN)
    assert caught.value.__cause__ is caught.value.__context__ is None


async def test_an_error_of_somebody_else_passes_untouched(async_runtime: Any, service: Any) -> None:
    theirs = LookupError("theirs")
    service.script(503, theirs)
    with pytest.raises(LookupError) as caught:
        await async_runtime().get_recommendations(campaign_arn=ARN)
    assert caught.value is theirs
    assert service.count == 2


# The deadline


async def test_a_service_that_never_answers_is_left_at_the_deadline(
    async_runtime: Any, service: Any, heard: Any
) -> None:
    service.repeated = "hang"
    runtime = async_runtime(deadline=SHORT, hooks=[heard])
    with pytest.raises(DeadlineExceededError) as caught:
        await runtime.get_recommendations(campaign_arn=ARN)
    assert (caught.value.attempts, caught.value.deadline) == (1, SHORT)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert (service.count, service.under_way, service.cancelled) == (1, 0, 1)
    assert heard.names == ["CallStarted", "AttemptStarted", "AttemptFailed", "CallEnded"]
    assert heard.events[-1].error == "DeadlineExceededError"


async def test_a_retry_has_what_is_left(async_runtime: Any, service: Any) -> None:
    service.script(503, "hang")
    runtime = async_runtime(deadline=2 * SHORT, retry={"base": 0.0, "min_attempt": 0.0, "clock": time.monotonic})
    with pytest.raises(DeadlineExceededError, match="2 attempts") as caught:
        await runtime.get_recommendations(campaign_arn=ARN)
    assert (caught.value.attempts, service.count, service.cancelled) == (2, 2, 1)


async def test_a_client_of_the_callers_has_its_time_unless_the_deadline_is_enforced(
    async_runtime: Any, service: Any
) -> None:
    async def late(_: Any) -> None:
        await asyncio.sleep(2 * SHORT)

    service.repeated = late
    runtime = async_runtime(deadline=SHORT, enforce_deadline=False)
    assert (await runtime.get_recommendations(campaign_arn=ARN)).item_ids == ("i1",)
    with pytest.raises(DeadlineExceededError):
        await runtime.with_options(enforce_deadline=True).get_recommendations(campaign_arn=ARN)


async def test_without_a_deadline_a_call_takes_its_time(async_runtime: Any, service: Any) -> None:
    async def late(_: Any) -> None:
        await asyncio.sleep(SHORT)

    service.repeated = late
    assert (await async_runtime(deadline=None).get_recommendations(campaign_arn=ARN)).item_ids == ("i1",)


async def test_the_first_attempt_is_always_made(async_runtime: Any, service: Any, fake_time: Any) -> None:
    service.script(fake_time.passes(60.0))
    answer = await async_runtime(deadline=5.0).get_recommendations(campaign_arn=ARN)
    assert answer.info.elapsed == pytest.approx(60.0)


async def test_no_attempt_starts_after_a_sleep_that_takes_too_long(
    async_runtime: Any, service: Any, fake_time: Any
) -> None:
    def oversleep(seconds: float) -> None:
        fake_time.sleep(seconds + 3.0)

    service.repeated = 503
    with pytest.raises(DeadlineExceededError):
        await async_runtime(deadline=2.0, retry={"sleep": oversleep}).get_recommendations(campaign_arn=ARN)
    assert service.count == 1


async def test_a_time_out_of_somebody_else_is_not_the_deadline(async_runtime: Any, service: Any) -> None:
    theirs = TimeoutError("theirs")
    service.script(theirs)
    with pytest.raises(TimeoutError) as caught:
        await async_runtime(deadline=60.0).get_recommendations(campaign_arn=ARN)
    assert caught.value is theirs


async def test_a_time_out_of_the_callers_is_theirs(async_runtime: Any, service: Any) -> None:
    service.repeated = "hang"
    runtime = async_runtime(deadline=60.0)
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(SHORT) as theirs:
            await runtime.get_recommendations(campaign_arn=ARN)
    assert theirs.expired()
    assert not isinstance(caught.value, PersonalizeError)
    with pytest.raises(TimeoutError) as caught:
        await asyncio.wait_for(runtime.get_recommendations(campaign_arn=ARN), SHORT)
    assert not isinstance(caught.value, PersonalizeError)
    assert (service.under_way, service.cancelled) == (0, 2)


async def test_a_deadline_within_a_longer_time_out_leaves_that_alone(async_runtime: Any, service: Any) -> None:
    service.repeated = "hang"
    async with asyncio.timeout(30.0) as theirs:
        with pytest.raises(DeadlineExceededError):
            await async_runtime(deadline=SHORT).get_recommendations(campaign_arn=ARN)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0)
    assert not theirs.expired()


async def test_a_cancellation_at_the_moment_of_the_deadline_is_a_cancellation(service: Any) -> None:
    """Whoever comes first, the one who cancelled must not wait for ever."""
    caller: list[asyncio.Task[Any]] = []

    async def stubborn(_: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            caller[0].cancel()  # the caller cancels while the deadline's own cancellation is under way
            raise

    service.repeated = stubborn
    runtime = AsyncPersonalizeRuntime(service, deadline=SHORT, enforce_deadline=True)
    caller.append(asyncio.ensure_future(runtime.get_recommendations(campaign_arn=ARN)))
    await asyncio.wait(caller)
    assert caller[0].cancelled()


# Cancelling


async def test_cancelling_a_call_cancels_its_request(
    async_runtime: Any, service: Any, settled: Any, heard: Any
) -> None:
    service.repeated = "hang"
    call = asyncio.ensure_future(async_runtime(hooks=[heard]).get_recommendations(campaign_arn=ARN))
    await settled()
    assert service.under_way == 1
    call.cancel("the caller went away")
    with pytest.raises(asyncio.CancelledError) as caught:
        await call
    assert caught.value.args == ("the caller went away",)
    assert (service.under_way, service.cancelled) == (0, 1)
    ended = heard.events[-1]
    assert (type(ended).__name__, ended.error, ended.attempts) == ("CallEnded", "CancelledError", 1)


@pytest.mark.parametrize("when", ["waits", "sends"])
async def test_a_retry_that_is_cancelled_gives_its_tokens_back(
    when: str, async_runtime: Any, service: Any, settled: Any
) -> None:
    async def for_ever(_: float) -> None:
        await asyncio.Event().wait()

    async def at_once(_: float) -> None:
        pass

    service.script(503, "hang")
    runtime = async_runtime(retry={"sleep": for_ever if when == "waits" else at_once}, deadline=None)
    full = budget_of(runtime)
    call = asyncio.ensure_future(runtime.get_recommendations(campaign_arn=ARN))
    await settled()
    assert budget_of(runtime) < full
    assert service.count == (1 if when == "waits" else 2)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert budget_of(runtime) == full


async def test_a_first_attempt_that_is_cancelled_earns_no_tokens(
    async_runtime: Any, service: Any, settled: Any
) -> None:
    runtime = async_runtime(retry={"attempts": 2})
    service.script(503, 503, "hang")
    with pytest.raises(ServerError):
        await runtime.get_recommendations(campaign_arn=ARN)
    spent = budget_of(runtime)
    call = asyncio.ensure_future(runtime.get_recommendations(campaign_arn=ARN))
    await settled()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert budget_of(runtime) == spent


async def test_a_probe_that_is_cancelled_frees_its_place(
    async_runtime: Any, service: Any, fake_time: Any, settled: Any
) -> None:
    breaker = CircuitBreaker(min_calls=1, open_for=5.0, clock=fake_time.clock)
    runtime = async_runtime(breaker=breaker, retry={"attempts": 1})
    service.script(503, "hang")
    with pytest.raises(ServerError):
        await runtime.get_recommendations(campaign_arn=ARN)
    with pytest.raises(CircuitOpenError):
        await runtime.get_recommendations(campaign_arn=ARN)
    fake_time.now += 6.0
    probe = asyncio.ensure_future(runtime.get_recommendations(campaign_arn=ARN))
    await settled()
    with pytest.raises(CircuitOpenError):
        await runtime.get_recommendations(campaign_arn=ARN)
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert breaker.state(ARN) == "half-open"
    assert (await runtime.get_recommendations(campaign_arn=ARN)).item_ids == ("i1",)
    assert breaker.state(ARN) == "closed"


async def test_a_failing_sibling_cancels_the_calls_of_a_task_group(async_runtime: Any, service: Any) -> None:
    runtime = async_runtime()
    service.repeated = lambda members: 400 if members["userId"] == "u7" else asyncio.sleep(3600)

    async def visits() -> None:
        async with asyncio.TaskGroup() as group:
            for n in range(20):
                group.create_task(runtime.get_recommendations(campaign_arn=ARN, user_id=f"u{n}"))

    with pytest.raises(ExceptionGroup) as caught:
        await visits()
    assert [type(error) for error in caught.value.exceptions] == [InvalidInputError]
    assert (service.under_way, service.cancelled) == (0, 19)


async def test_a_thousand_calls_get_their_own_answers(async_runtime: Any, service: Any) -> None:
    service.repeated = lambda members: {"itemList": [{"itemId": members["userId"]}]}
    runtime = async_runtime(breaker=CircuitBreaker(), cache=Cache(personal=True), hedge=Hedge())
    async with asyncio.TaskGroup() as group:
        calls = [
            group.create_task(runtime.get_recommendations(campaign_arn=ARN, user_id=f"u{n % 500}")) for n in range(1000)
        ]
    assert [call.result().item_ids[0] for call in calls] == [f"u{n % 500}" for n in range(1000)]
    assert service.count == 500  # the second half waited for the first


# Hedging


def hedged(async_runtime: Any, **options: Any) -> Any:
    return async_runtime(**{"hedge": Hedge(after=SHORT, percent=100), "deadline": None, **options})


async def test_a_late_answer_is_asked_for_again_and_the_first_one_wins(
    async_runtime: Any, service: Any, heard: Any, settled: Any
) -> None:
    service.script("hang", {"itemList": [{"itemId": "second"}]})
    answer = await hedged(async_runtime, hooks=[heard]).get_recommendations(campaign_arn=ARN)
    assert (answer.item_ids, answer.info.attempts, service.count) == (("second",), 2, 2)
    assert "HedgeStarted" in heard.names
    await settled()
    assert (service.under_way, service.cancelled) == (0, 1)


async def test_the_first_request_may_still_win(async_runtime: Any, service: Any, settled: Any) -> None:
    second = asyncio.Event()

    async def first(_: Any) -> Any:
        await second.wait()
        return {"itemList": [{"itemId": "first"}]}

    async def slower(_: Any) -> None:
        second.set()
        await asyncio.Event().wait()

    service.script(first, slower)
    answer = await hedged(async_runtime).get_recommendations(campaign_arn=ARN)
    assert (answer.item_ids, answer.info.attempts) == (("first",), 2)
    await settled()
    assert (service.under_way, service.cancelled) == (0, 1)


async def test_an_answer_in_time_is_not_asked_for_again(async_runtime: Any, service: Any) -> None:
    assert (await hedged(async_runtime).get_recommendations(campaign_arn=ARN)).info.attempts == 1
    assert service.count == 1


async def test_a_request_that_fails_leaves_the_other_its_chance(async_runtime: Any, service: Any) -> None:
    failed = asyncio.Event()

    async def fails(_: Any) -> int:
        await asyncio.sleep(2 * SHORT)
        failed.set()
        return 503

    async def later(_: Any) -> None:
        await failed.wait()
        await asyncio.sleep(0.01)

    service.script(fails, later)
    answer = await hedged(async_runtime, retry={"attempts": 1}).get_recommendations(campaign_arn=ARN)
    assert (answer.item_ids, answer.info.attempts) == (("i1",), 2)


async def test_when_both_fail_the_error_counts_both(async_runtime: Any, service: Any, heard: Any) -> None:
    async def fails(_: Any) -> int:
        await asyncio.sleep(2 * SHORT)
        return 503

    service.repeated = fails
    with pytest.raises(ServerError, match="2 attempts") as caught:
        await hedged(async_runtime, retry={"attempts": 1}, hooks=[heard]).get_recommendations(campaign_arn=ARN)
    assert (caught.value.attempts, service.count, service.under_way) == (2, 2, 0)
    assert heard.events[-1].attempts == 2


async def test_a_failure_before_the_delay_is_for_the_retry(async_runtime: Any, service: Any) -> None:
    service.script(503)
    answer = await hedged(async_runtime, hedge=Hedge(after=60.0, percent=100)).get_recommendations(campaign_arn=ARN)
    assert (answer.info.attempts, service.count) == (2, 2)


async def test_hedges_stay_within_their_share(async_runtime: Any, service: Any) -> None:
    async def slow(_: Any) -> None:
        await asyncio.sleep(0.01)

    service.repeated = slow
    runtime = hedged(async_runtime, hedge=Hedge(after=0.0, percent=10))
    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(runtime.get_recommendations(campaign_arn=ARN))
    assert 100 < service.count <= 110


@pytest.mark.parametrize("end", ["cancelled", "deadline"])
async def test_both_requests_end_with_the_call(end: str, async_runtime: Any, service: Any, settled: Any) -> None:
    service.repeated = "hang"
    deadline = None if end == "cancelled" else 4 * SHORT
    call = asyncio.ensure_future(hedged(async_runtime, deadline=deadline).get_recommendations(campaign_arn=ARN))
    while service.count < 2:
        await asyncio.sleep(0.005)
    if end == "cancelled":
        call.cancel()
    await asyncio.wait([call])
    await settled()
    assert (service.under_way, service.cancelled) == (0, 2)
    if end == "cancelled":
        assert call.cancelled()
    else:
        error = call.exception()
        assert isinstance(error, DeadlineExceededError)
        assert error.attempts == 2


async def test_an_error_of_the_loser_is_nobodys(async_runtime: Any, service: Any, settled: Any) -> None:
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    async def breaks(_: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise LookupError("on its way out") from None

    service.script(breaks)
    assert (await hedged(async_runtime).get_recommendations(campaign_arn=ARN)).info.attempts == 2
    await settled()
    gc.collect()
    assert reported == []


# The cache


def cached(async_runtime: Any, **options: Any) -> Any:
    return async_runtime(**{"cache": Cache(), "deadline": None, **options})


async def test_equal_calls_wait_for_one_request(async_runtime: Any, service: Any) -> None:
    runtime = cached(async_runtime)
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(runtime.get_recommendations(campaign_arn=ARN)) for _ in range(100)]
        other = group.create_task(runtime.get_recommendations(campaign_arn=OTHER))
    assert {call.result().item_ids for call in calls} == {("i1",)}
    assert sorted(call.result().info.source for call in calls) == ["cache"] * 99 + ["service"]
    assert other.result().info.source == "service"
    assert service.count == 2


async def test_a_copy_shares_the_flights(async_runtime: Any, service: Any) -> None:
    runtime = cached(async_runtime)
    async with asyncio.TaskGroup() as group:
        for copied in (runtime, runtime.with_options(deadline=60.0), runtime.with_options(hooks=[print])):
            group.create_task(copied.get_recommendations(campaign_arn=ARN))
    assert service.count == 1


async def test_a_leader_that_is_cancelled_strands_nobody(async_runtime: Any, service: Any, settled: Any) -> None:
    service.script("hang")
    runtime = cached(async_runtime)
    calls = [asyncio.ensure_future(runtime.get_recommendations(campaign_arn=ARN)) for _ in range(50)]
    await settled()
    assert service.count == 1
    calls[0].cancel()
    answers = await asyncio.gather(*calls[1:])
    assert {answer.item_ids for answer in answers} == {("i1",)}
    assert calls[0].cancelled()
    assert service.count == 2  # one of them leads, the others wait for it


async def test_a_leader_that_runs_out_of_time_strands_nobody(async_runtime: Any, service: Any, settled: Any) -> None:
    service.script("hang")
    runtime = cached(async_runtime)
    hasty = runtime.with_options(deadline=SHORT)
    first = asyncio.ensure_future(hasty.get_recommendations(campaign_arn=ARN))
    await settled()
    second = asyncio.ensure_future(runtime.get_recommendations(campaign_arn=ARN))
    with pytest.raises(DeadlineExceededError):
        await first
    assert (await second).item_ids == ("i1",)
    assert service.count == 2


async def test_who_waits_for_another_call_waits_no_longer_than_its_own_deadline(
    async_runtime: Any, service: Any, settled: Any
) -> None:
    service.script("hang")
    runtime = cached(async_runtime)
    leader = asyncio.ensure_future(runtime.get_recommendations(campaign_arn=ARN))
    await settled()
    with pytest.raises(DeadlineExceededError) as caught:
        await runtime.with_options(deadline=SHORT).get_recommendations(campaign_arn=ARN)
    assert caught.value.attempts == 0
    assert not leader.done()
    leader.cancel()
    await asyncio.wait([leader])


async def test_who_waits_may_be_cancelled_without_disturbing_the_others(
    async_runtime: Any, service: Any, settled: Any
) -> None:
    go = asyncio.Event()

    async def later(_: Any) -> None:
        await go.wait()

    service.script(later)
    runtime = cached(async_runtime)
    calls = [asyncio.ensure_future(runtime.get_recommendations(campaign_arn=ARN)) for _ in range(5)]
    await settled()
    calls[2].cancel()
    await settled()
    go.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(answers.pop(2), asyncio.CancelledError)
    assert {answer.item_ids for answer in answers} == {("i1",)}
    assert service.count == 1


async def test_who_waits_gets_an_error_of_its_own(async_runtime: Any, service: Any) -> None:
    service.repeated = 400
    runtime = cached(async_runtime)
    calls = [runtime.get_recommendations(campaign_arn=ARN) for _ in range(5)]
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(error) for error in errors} == {InvalidInputError}
    assert len({id(error) for error in errors}) == 5
    assert service.count == 1


async def test_an_error_of_somebody_else_in_the_leader_is_not_handed_on(async_runtime: Any, service: Any) -> None:
    service.script(LookupError("theirs"))
    runtime = cached(async_runtime)
    calls = [runtime.get_recommendations(campaign_arn=ARN) for _ in range(3)]
    first, *others = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(first, LookupError)
    assert {answer.item_ids for answer in others} == {("i1",)}
    assert service.count == 2


async def test_a_stale_answer_is_given_at_once_and_renewed_in_the_background(
    async_runtime: Any, service: Any, fake_time: Any, settled: Any, heard: Any
) -> None:
    cache = Cache(ttl=10.0, stale_while_revalidate=60.0, clock=fake_time.clock)
    runtime = cached(async_runtime, cache=cache, hooks=[heard])
    await runtime.get_recommendations(campaign_arn=ARN)
    fake_time.now += 30.0
    service.script({"itemList": [{"itemId": "new"}]})
    answers = [await runtime.get_recommendations(campaign_arn=ARN) for _ in range(3)]
    assert [answer.info.source for answer in answers] == ["cache"] * 3
    await settled()
    gc.collect()  # nobody but the transport holds the task
    assert (await runtime.get_recommendations(campaign_arn=ARN)).item_ids == ("new",)
    assert service.count == 2
    assert heard.names.count("CallStarted") == heard.names.count("CallEnded") == 6


async def test_a_renewal_that_fails_is_not_told_and_tried_again(
    async_runtime: Any, service: Any, fake_time: Any, settled: Any, caplog: Any
) -> None:
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    cache = Cache(ttl=10.0, stale_while_revalidate=60.0, clock=fake_time.clock)
    runtime = cached(async_runtime, cache=cache, retry={"attempts": 1})
    await runtime.get_recommendations(campaign_arn=ARN)
    fake_time.now += 30.0
    service.script(503, LookupError("theirs"))
    with caplog.at_level("DEBUG", "personalize_rt"):
        for _ in range(3):
            assert (await runtime.get_recommendations(campaign_arn=ARN)).info.source == "cache"
            await settled()
    gc.collect()
    assert service.count == 4
    assert reported == []
    failures = [record.getMessage() for record in caplog.records if record.name == "personalize_rt"]
    assert failures == ["revalidation failed with ServerError", "revalidation failed with LookupError"]


@pytest.mark.parametrize("started", [True, False])
async def test_closing_ends_what_runs_in_the_background(
    started: bool, async_runtime: Any, service: Any, fake_time: Any, settled: Any
) -> None:
    cache = Cache(ttl=10.0, stale_while_revalidate=60.0, stale_if_error=90.0, clock=fake_time.clock)
    runtime = cached(async_runtime, cache=cache)
    await runtime.get_recommendations(campaign_arn=ARN)
    fake_time.now += 30.0
    service.script("hang")
    await runtime.get_recommendations(campaign_arn=ARN)
    if started:
        await settled()
    assert (service.count, service.under_way) == ((2, 1) if started else (1, 0))
    await runtime.aclose()
    assert service.under_way == 0
    assert len(asyncio.all_tasks()) == 1
    # Nobody waits for the renewal that will not come; with the double, which is never closed, calls go on.
    fake_time.now += 50.0
    service.reset()
    assert (await runtime.get_recommendations(campaign_arn=ARN)).info.source == "service"


async def test_who_waits_for_a_renewal_gets_its_answer(
    async_runtime: Any, service: Any, fake_time: Any, settled: Any
) -> None:
    go = asyncio.Event()

    async def later(_: Any) -> Any:
        await go.wait()
        return {"itemList": [{"itemId": "new"}]}

    cache = Cache(ttl=10.0, stale_while_revalidate=10.0, clock=fake_time.clock)
    runtime = cached(async_runtime, cache=cache)
    await runtime.get_recommendations(campaign_arn=ARN)
    fake_time.now += 15.0
    service.script(later)
    await runtime.get_recommendations(campaign_arn=ARN)
    fake_time.now += 15.0
    call = asyncio.ensure_future(runtime.get_recommendations(campaign_arn=ARN))
    await settled()
    go.set()
    answer = await call
    assert (answer.item_ids, answer.info.source, service.count) == (("new",), "cache", 2)


# Whom a fallback helps


async def test_a_fallback_answers_at_the_deadline(async_runtime: Any, service: Any) -> None:
    service.repeated = "hang"
    runtime = async_runtime(deadline=SHORT, fallback=InputOrderFallback())
    ranking = await runtime.campaign(ARN).rank("u", ["b", "a"])
    assert (ranking.item_ids, ranking.degraded, ranking.info.source) == (("b", "a"), True, "fallback")
    assert isinstance(ranking.cause, DeadlineExceededError)
    assert ranking.info.attempts == 1


async def test_a_fallback_does_not_answer_for_a_caller_who_cancelled(
    async_runtime: Any, service: Any, settled: Any
) -> None:
    service.repeated = "hang"
    runtime = async_runtime(deadline=None, fallback=InputOrderFallback())
    call = asyncio.ensure_future(runtime.campaign(ARN).rank("u", ["b", "a"]))
    await settled()
    call.cancel()
    await asyncio.wait([call])
    assert call.cancelled()


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [(429, ThrottlingError), (503, ServerError), (404, ServiceError), ({"itemList": 5}, ResponseError)],
)
async def test_errors_are_told_apart(outcome: Any, kind: type[Exception], async_runtime: Any, service: Any) -> None:
    service.repeated = outcome
    with pytest.raises(kind):
        await async_runtime(retry={"attempts": 1}).get_recommendations(campaign_arn=ARN)


async def test_an_outage_is_met_by_few_requests(async_runtime: Any, service: Any) -> None:
    service.repeated = 503
    runtime = async_runtime()
    for _ in range(500):
        with pytest.raises((ServerError, TransportError)):
            await runtime.get_recommendations(campaign_arn=ARN)
    assert 500 <= service.count <= 1.2 * 500 + 500 / 5

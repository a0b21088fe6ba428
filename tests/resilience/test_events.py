"""What hooks are told, in which order, in every scenario; and that a hook cannot break a call."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from personalize_rt import PersonalizeError, RetryPolicy
from personalize_rt.events import (
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    BreakerChanged,
    CacheAnswered,
    CallEnded,
    CallStarted,
    Event,
    FallbackAnswered,
    HedgeStarted,
    RetryPlanned,
)
from personalize_rt.resilience.breaker import CircuitBreaker
from personalize_rt.resilience.cache import Cache
from personalize_rt.resilience.fallback import InputOrderFallback, PopularItemsFallback, StaleFallback
from personalize_rt.resilience.hedge import Hedge

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
REQUEST_ID = "fd2ea40f-11f5-461c-b678-6a6a08bdb416"


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def made(runtime: Any, told: list[Event], fake_time: Any) -> Callable[..., Any]:
    def make(**options: Any) -> Any:
        return runtime(hooks=[told.append], **options)

    return make


def shown(told: list[Event]) -> list[str]:
    """The events, each as its class and what tells it from others of that class; times left out."""
    lines = []
    for event in told:
        assert (event.operation, event.resource_arn) == ("GetRecommendations", ARN)
        details = {
            name: value
            for name, value in attrs.asdict(event).items()
            if name not in ("operation", "resource_arn", "elapsed", "request_id")
        }
        lines.append(" ".join([type(event).__name__, *map(str, details.values())]))
    return lines


def ask(runtime: Any, **options: Any) -> None:
    with contextlib.suppress(PersonalizeError):
        runtime.get_recommendations(campaign_arn=ARN, **options)


def test_a_healthy_call(made: Any, told: Any) -> None:
    ask(made())
    assert shown(told) == ["CallStarted", "AttemptStarted 1", "AttemptSucceeded 1", "CallEnded 1 service None 1"]
    assert told[-1].request_id == REQUEST_ID


def test_a_retry(made: Any, told: Any, server: Any) -> None:
    server.script(429)
    ask(made())
    assert shown(told) == [
        "CallStarted",
        "AttemptStarted 1",
        "AttemptFailed 1 ThrottlingError",
        "RetryPlanned 1 0.05",
        "AttemptStarted 2",
        "AttemptSucceeded 2",
        "CallEnded 2 service None 1",
    ]


def test_times_are_seconds_since_the_call_began(made: Any, told: Any, server: Any, fake_time: Any) -> None:
    server.script(fake_time.passes(0.25, 503), fake_time.passes(0.5))
    ask(made())
    elapsed = {type(event).__name__: event.elapsed for event in told if hasattr(event, "elapsed")}
    assert elapsed == pytest.approx({"AttemptFailed": 0.25, "AttemptSucceeded": 0.8, "CallEnded": 0.8})


def test_all_attempts_fail(made: Any, told: Any, server: Any) -> None:
    server.always(503)
    ask(made(retry={"attempts": 2}))
    assert shown(told) == [
        "CallStarted",
        "AttemptStarted 1",
        "AttemptFailed 1 ServerError",
        "RetryPlanned 1 0.05",
        "AttemptStarted 2",
        "AttemptFailed 2 ServerError",
        "CallEnded 2 None ServerError 0",
    ]
    assert told[-1].request_id == REQUEST_ID


def test_an_error_of_the_caller(made: Any, told: Any, server: Any) -> None:
    server.script(404)
    ask(made(fallback=PopularItemsFallback(["p"])))
    assert shown(told) == [
        "CallStarted",
        "AttemptStarted 1",
        "AttemptFailed 1 ResourceNotFoundError",
        "CallEnded 1 None ResourceNotFoundError 0",
    ]


@pytest.mark.parametrize("outcome", [{"itemList": 7}, b"no json"])
def test_an_answer_that_cannot_be_read_is_a_failed_attempt(outcome: Any, made: Any, told: Any, server: Any) -> None:
    server.script(server.answer(200, outcome))
    ask(made())
    assert shown(told) == [
        "CallStarted",
        "AttemptStarted 1",
        "AttemptFailed 1 ResponseError",
        "CallEnded 1 None ResponseError 0",
    ]


def test_a_connection_that_breaks(made: Any, told: Any, server: Any) -> None:
    server.script("close")
    ask(made(retry={"attempts": 1}))
    assert shown(told)[2:] == ["AttemptFailed 1 TransportError", "CallEnded 1 None TransportError 0"]


def test_a_deadline(made: Any, told: Any, server: Any, fake_time: Any) -> None:
    server.always(fake_time.passes(3, 503))
    ask(made(deadline=2))
    assert shown(told)[2:] == ["AttemptFailed 1 ServerError", "CallEnded 1 None DeadlineExceededError 0"]


def test_a_refused_argument_is_no_call(made: Any, told: Any) -> None:
    with pytest.raises(ValueError, match="num_results"):
        made().get_recommendations(campaign_arn=ARN, num_results=501)
    assert told == []


def test_the_cache(made: Any, told: Any, fake_time: Any, server: Any) -> None:
    runtime = made(cache=Cache(ttl=10, stale_if_error=10, clock=fake_time.clock), retry={"attempts": 1})
    ask(runtime)
    told.clear()
    ask(runtime)
    assert shown(told) == ["CallStarted", "CacheAnswered False", "CallEnded 0 cache None 1"]
    told.clear()
    fake_time.now += 11
    server.script(503)
    ask(runtime)
    assert shown(told) == [
        "CallStarted",
        "AttemptStarted 1",
        "AttemptFailed 1 ServerError",
        "CacheAnswered True",
        "CallEnded 1 cache None 1",
    ]


def test_a_revalidation_is_a_call_of_its_own(
    made: Any, told: Any, fake_time: Any, server: Any, background: Any
) -> None:
    runtime = made(cache=Cache(ttl=10, stale_while_revalidate=10, clock=fake_time.clock), retry={"attempts": 1})
    ask(runtime)
    for outcome, end in ((503, "CallEnded 1 None ServerError 0"), (None, "CallEnded 1 service None 1")):
        told.clear()
        server.script(outcome)
        fake_time.now = 1011.0
        ask(runtime)
        background.end()
        lines = shown(told)
        assert lines.count("CallStarted") == 2
        assert {line for line in lines if line.startswith("CallEnded")} == {"CallEnded 0 cache None 1", end}


def test_the_breaker(made: Any, told: Any, fake_time: Any, server: Any) -> None:
    runtime = made(
        breaker=CircuitBreaker(min_calls=1, open_for=5, clock=fake_time.clock),
        retry={"attempts": 1},
        fallback=PopularItemsFallback(["p"]),
    )
    server.script(503, 503)
    ask(runtime)
    assert shown(told) == [
        "CallStarted",
        "AttemptStarted 1",
        "AttemptFailed 1 ServerError",
        "BreakerChanged open",
        "FallbackAnswered ServerError",
        "CallEnded 1 fallback None 1",
    ]
    told.clear()
    ask(runtime)
    assert shown(told) == ["CallStarted", "FallbackAnswered CircuitOpenError", "CallEnded 0 fallback None 1"]
    told.clear()
    fake_time.now += 5
    ask(runtime)
    fake_time.now += 5
    ask(runtime)
    changes = [line for line in shown(told) if line.startswith("Breaker")]
    assert changes == [f"BreakerChanged {state}" for state in ("half-open", "open", "half-open", "closed")]


def test_a_fallback_that_refuses_says_nothing(made: Any, told: Any, server: Any) -> None:
    server.script(503)
    ask(made(fallback=StaleFallback(), retry={"attempts": 1}))
    assert shown(told)[3:] == ["CallEnded 1 None ServerError 0"]


def test_a_hedge(session: Any, server: Any, told: Any) -> None:
    from personalize_rt import PersonalizeRuntime

    server.script("hang")
    with PersonalizeRuntime(
        session=session,
        endpoint_url=server.url,
        hedge=Hedge(after=0.01, percent=100),
        deadline=None,
        hooks=[told.append],
        retry=RetryPolicy(1),
    ) as runtime:
        ask(runtime)
    assert shown(told) == [
        "CallStarted",
        "AttemptStarted 1",
        "HedgeStarted",
        "AttemptSucceeded 2",
        "CallEnded 2 service None 1",
    ]


class StoppedError(BaseException):
    pass


def test_a_call_that_is_interrupted_ends_too(made: Any, told: Any, server: Any) -> None:
    def stop(_: float) -> None:
        raise StoppedError

    server.script(503)
    with pytest.raises(StoppedError):
        made(retry={"sleep": stop}).get_recommendations(campaign_arn=ARN)
    assert shown(told)[-1] == "CallEnded 1 None StoppedError 0"


def test_each_call_that_starts_ends_once(made: Any, told: Any, server: Any, fake_time: Any) -> None:
    runtime = made(
        cache=Cache(ttl=1, stale_if_error=5, clock=fake_time.clock),
        breaker=CircuitBreaker(min_calls=3, open_for=2, clock=fake_time.clock),
        fallback=InputOrderFallback(),
    )
    for outcome in (None, 429, 503, 404, "close", {"itemList": 7}, 503, 503, 503, None):
        server.reset()
        server.always(outcome)
        ask(runtime)
        fake_time.now += 1
    assert [type(event) for event in told].count(CallStarted) == 10
    assert [type(event) for event in told].count(CallEnded) == 10
    depth = 0
    for event in told:
        depth += isinstance(event, CallStarted) - isinstance(event, CallEnded)
        assert depth in (0, 1)


# Hooks


def test_all_hooks_are_told_in_their_order(runtime: Any) -> None:
    order: list[str] = []
    runtime(hooks=[lambda _: order.append("a"), lambda _: order.append("b")]).get_recommendations(campaign_arn=ARN)
    assert order == ["a", "b"] * 4


@pytest.mark.parametrize("failure", [ValueError("ada@example.org"), KeyError("ada@example.org"), RecursionError()])
def test_a_hook_that_fails_breaks_nothing(failure: Exception, runtime: Any, told: Any, caplog: Any) -> None:
    def fail(_: Event) -> None:
        raise failure

    with caplog.at_level(logging.DEBUG, logger="personalize_rt"):
        answer = runtime(hooks=[fail, told.append]).get_recommendations(campaign_arn=ARN)
    assert answer.item_ids == ("i1",)
    assert len(told) == 4  # the hooks after it are told all the same
    assert type(failure).__name__ in caplog.text
    assert "ada" not in caplog.text


def test_a_hook_that_fails_does_not_change_which_error_is_raised(runtime: Any, server: Any) -> None:
    def fail(_: Event) -> None:
        raise ValueError

    server.script(404)
    with pytest.raises(PersonalizeError) as caught:
        runtime(hooks=[fail]).get_recommendations(campaign_arn=ARN)
    assert caught.value.__context__ is None


def test_copies_may_have_hooks_of_their_own(runtime: Any, told: Any) -> None:
    made = runtime()
    made.with_options(hooks=[told.append]).get_recommendations(campaign_arn=ARN)
    assert len(told) == 4
    made.get_recommendations(campaign_arn=ARN)
    assert len(told) == 4


def test_events_are_values(told: Any) -> None:
    event = AttemptFailed("GetRecommendations", ARN, 1, "ServerError", 0.5)
    assert event == AttemptFailed("GetRecommendations", ARN, 1, "ServerError", 0.5)
    assert hash(event)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.attempt = 2  # type: ignore[misc]


def test_every_kind_of_event_is_met_in_these_tests() -> None:
    import personalize_rt.events as events

    kinds = {
        AttemptFailed,
        AttemptStarted,
        AttemptSucceeded,
        BreakerChanged,
        CacheAnswered,
        CallEnded,
        CallStarted,
        FallbackAnswered,
        HedgeStarted,
        RetryPlanned,
    }
    # Those of trackers are in tests/tracker; exposures are no events of a call.
    others = {name for name in events.__all__ if name.startswith("Events") or name.endswith("Exposure")}
    assert {getattr(events, name) for name in events.__all__ if name not in others} - {Event} == kinds

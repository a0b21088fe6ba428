"""The circuit breaker: one for each campaign and recommender, by a rate of failures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from personalize_rt import (
    CircuitOpenError,
    DeadlineExceededError,
    InvalidInputError,
    ResponseError,
    ServerError,
    ThrottlingError,
    TransportError,
    ValidationError,
)
from personalize_rt.resilience.breaker import CircuitBreaker, Ticket

PREFIX = "arn:aws:personalize:eu-west-1:123456789012:"
ARN, OTHER = f"{PREFIX}campaign/movies", f"{PREFIX}recommender/top-picks"
WINDOW, MIN_CALLS, OPEN_FOR, PROBES = 10, 4, 3, 2


def of_the_service(kind: Any) -> Any:
    return kind("text", response={}, operation_name="o", code="c")


FAILURES = [
    of_the_service(ServerError),
    TransportError("no answer", phase="read"),
    DeadlineExceededError("late", deadline=1, attempts=1),
    ResponseError("what is this"),
]
NEITHER = [of_the_service(InvalidInputError), of_the_service(ThrottlingError), ValueError("a bug")]


class Breaker(RuleBasedStateMachine):
    """Beside a list of (when, failed), which is counted anew each time."""

    tickets = Bundle("tickets")  # of calls under way, each with the round in which it was admitted

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.breaker = CircuitBreaker(
            failure_rate=0.5,
            min_calls=MIN_CALLS,
            window=WINDOW,
            open_for=OPEN_FOR,
            probes=PROBES,
            clock=lambda: float(self.now),
        )
        self.state = "closed"
        self.opened_at = 0
        self.probing = 0
        self.probed_at = 0
        self.round = 0  # a new one each time that it changes
        self.ended: list[tuple[int, bool]] = []

    @rule(seconds=st.integers(1, 6))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(target=tickets)
    def a_call_begins(self) -> Any:
        left = self.opened_at + OPEN_FOR - self.now if self.state == "open" else 0
        if self.probing == PROBES and self.now >= self.probed_at + OPEN_FOR:
            self.probing = 0  # their outcomes are overdue
        if left > 0 or (self.state == "half-open" and self.probing == PROBES):
            with pytest.raises(CircuitOpenError) as caught:
                self.breaker.admit(ARN)
            assert caught.value.retry_after == left
            return multiple()
        ticket = self.breaker.admit(ARN)
        assert ticket.changed == ("half-open" if self.state == "open" else None)
        if self.state == "open":
            self.turn("half-open")
        if self.state == "half-open":
            self.probing, self.probed_at = self.probing + 1, self.now
        return ticket, self.round

    @rule(call=consumes(tickets), error=st.sampled_from([None, *FAILURES, *NEITHER]))
    def a_call_ends(self, call: tuple[Ticket, int], error: Any) -> None:
        ticket, round_ = call
        before = self.state
        if round_ == self.round:
            self.count(error)
        assert self.breaker.record(ticket, error) == (None if self.state == before else self.state)

    @rule(call=consumes(tickets))
    def a_call_is_given_up(self, call: tuple[Ticket, int]) -> None:
        ticket, round_ = call
        self.breaker.release(ticket)
        if round_ == self.round and self.state == "half-open":
            self.probing = max(0, self.probing - 1)

    def count(self, error: Any) -> None:
        if self.state == "half-open":
            self.probing = max(0, self.probing - 1)
            if error not in NEITHER:
                self.turn("closed" if error is None else "open")
        elif error not in NEITHER:
            self.ended.append((self.now, error is not None))
            recent = [failed for when, failed in self.ended if when > self.now - WINDOW]
            if error is not None and len(recent) >= MIN_CALLS and sum(recent) >= 0.5 * len(recent):
                self.turn("open")

    def turn(self, state: str) -> None:
        self.state, self.opened_at, self.probing, self.ended = state, self.now, 0, []
        self.round += 1

    @invariant()
    def the_state_can_be_read(self) -> None:
        waited = self.state == "open" and self.now >= self.opened_at + OPEN_FOR
        assert self.breaker.state(ARN) == ("half-open" if waited else self.state)
        assert self.breaker.state(OTHER) == "closed"


TestBreaker = Breaker.TestCase


def opened(clock: Callable[[], float], **options: Any) -> CircuitBreaker:
    breaker = CircuitBreaker(min_calls=2, clock=clock, **options)
    assert [breaker.record(breaker.admit(ARN), FAILURES[0]) for _ in range(2)] == [None, "open"]
    return breaker


def test_only_probes_decide_while_half_open() -> None:
    now = [0.0]
    breaker = CircuitBreaker(min_calls=2, open_for=5, clock=lambda: now[0])
    slow = [breaker.admit(ARN) for _ in range(4)]
    for _ in range(2):
        breaker.record(slow.pop(), FAILURES[0])
    now[0] = 6.0
    probe = breaker.admit(ARN)
    assert probe.changed == "half-open"
    for error in (None, FAILURES[1]):  # the other slow calls: they say how the service was
        assert breaker.record(slow.pop(), error) is None
    assert breaker.state(ARN) == "half-open"
    with pytest.raises(CircuitOpenError):
        breaker.admit(ARN)  # the probe is still under way
    assert breaker.record(probe, None) == "closed"


def test_few_calls_open_nothing() -> None:
    breaker = CircuitBreaker(min_calls=20)
    changes = [breaker.record(breaker.admit(ARN), FAILURES[0]) for _ in range(20)]
    assert changes == [None] * 19 + ["open"]


def test_a_rate_decides_not_a_row_of_failures() -> None:
    breaker = CircuitBreaker(failure_rate=0.5, min_calls=4)
    for _ in range(40):
        breaker.record(breaker.admit(ARN), None)
    changes = [breaker.record(breaker.admit(ARN), FAILURES[0]) for _ in range(40)]
    assert changes == [None] * 39 + ["open"]


@pytest.mark.parametrize(("later", "state"), [(9.9, "open"), (10.0, "closed")])
def test_what_is_older_than_the_window_does_not_count(later: float, state: str) -> None:
    now = [0.0]
    breaker = CircuitBreaker(min_calls=4, window=10, clock=lambda: now[0])
    for _ in range(3):
        breaker.record(breaker.admit(ARN), FAILURES[0])
    now[0] = later
    breaker.record(breaker.admit(ARN), FAILURES[0])
    assert breaker.state(ARN) == state


@pytest.mark.parametrize(
    "options",
    [
        {"failure_rate": 0},
        {"failure_rate": 1.1},
        {"min_calls": 0},
        {"window": 0},
        {"open_for": 0},
        {"open_for": -1},
        {"probes": 0},
        {"failure_rate": float("nan")},
    ],
)
def test_arguments_that_make_no_sense_are_refused_like_all_others(options: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        CircuitBreaker(**options)
    assert caught.value.parameter in options


# In the client


def test_an_open_breaker_sends_nothing(runtime: Any, server: Any, fake_time: Any) -> None:
    breaker = opened(fake_time.clock, open_for=5)
    with pytest.raises(CircuitOpenError) as caught:
        runtime(breaker=breaker).get_recommendations(campaign_arn=ARN)
    assert (caught.value.retry_after, server.count, fake_time.slept) == (5, 0, [])
    assert not caught.value.is_retry_safe


def test_each_campaign_and_recommender_has_its_own(runtime: Any, server: Any, fake_time: Any) -> None:
    made = runtime(breaker=opened(fake_time.clock))
    assert made.get_recommendations(recommender_arn=OTHER).item_ids == ("i1",)
    with pytest.raises(CircuitOpenError, match="campaign/movies"):
        made.get_recommendations(campaign_arn=ARN)


def test_calls_are_counted_not_attempts(runtime: Any, server: Any) -> None:
    breaker = CircuitBreaker(min_calls=2)
    made = runtime(breaker=breaker)
    server.script(503, 503)
    made.get_recommendations(campaign_arn=ARN)  # two attempts failed, the call did not
    server.always(503)
    with pytest.raises(ServerError):
        made.get_recommendations(campaign_arn=ARN)
    assert breaker.state(ARN) == "open"  # one of two
    assert server.count == 6


@pytest.mark.parametrize("status", [400, 403, 404, 429])
def test_errors_of_the_caller_and_throttling_open_nothing(status: int, runtime: Any, server: Any) -> None:
    breaker = CircuitBreaker(min_calls=1)
    server.always(status)
    with pytest.raises(Exception, match=r"HTTP \d+"):
        runtime(breaker=breaker, retry={"attempts": 1}).get_recommendations(campaign_arn=ARN)
    assert breaker.state(ARN) == "closed"


@pytest.mark.parametrize("outcome", [500, 503, "close", {"itemList": "no list"}])
def test_what_the_service_does_wrong_opens_it(outcome: Any, runtime: Any, server: Any) -> None:
    breaker = CircuitBreaker(min_calls=1)
    server.always(outcome)
    with pytest.raises((ServerError, TransportError, ResponseError)):
        runtime(breaker=breaker, retry={"attempts": 1}).get_recommendations(campaign_arn=ARN)
    assert breaker.state(ARN) == "open"


def test_a_probe_that_succeeds_closes_it_and_one_that_fails_opens_it_again(
    runtime: Any, server: Any, fake_time: Any
) -> None:
    breaker = opened(fake_time.clock, open_for=5)
    made = runtime(breaker=breaker, retry={"attempts": 1})
    fake_time.now += 5
    server.script(503)
    with pytest.raises(ServerError):
        made.get_recommendations(campaign_arn=ARN)
    assert breaker.state(ARN) == "open"
    with pytest.raises(CircuitOpenError):
        made.get_recommendations(campaign_arn=ARN)
    fake_time.now += 5
    assert breaker.state(ARN) == "half-open"
    assert made.get_recommendations(campaign_arn=ARN).item_ids == ("i1",)
    assert breaker.state(ARN) == "closed"


def test_while_a_probe_is_under_way_others_are_refused(runtime: Any, server: Any, fake_time: Any) -> None:
    made = runtime(breaker=opened(fake_time.clock, open_for=5))
    fake_time.now += 5
    refused: list[CircuitOpenError] = []

    def ask_again(_: Any) -> None:
        with pytest.raises(CircuitOpenError) as caught:
            made.get_recommendations(campaign_arn=ARN)
        refused.append(caught.value)

    server.script(ask_again)
    made.get_recommendations(campaign_arn=ARN)
    assert len(refused) == server.count == 1


class StoppedError(BaseException):
    """What Ctrl-C, or the end of a worker, looks like."""


def test_a_probe_that_never_ends_makes_room_for_the_next_one() -> None:
    """Its task may have been left behind in an event loop that was closed."""
    now = [0.0]
    breaker = opened(lambda: now[0], open_for=5)
    now[0] = 5.0
    lost = breaker.admit(ARN)
    now[0] = 9.9
    with pytest.raises(CircuitOpenError):
        breaker.admit(ARN)
    now[0] = 10.0
    assert breaker.record(breaker.admit(ARN), None) == "closed"
    assert breaker.record(lost, FAILURES[0]) is None  # it may come after all


def test_a_probe_that_is_interrupted_is_no_answer(runtime: Any, server: Any, fake_time: Any) -> None:
    breaker = opened(fake_time.clock, open_for=5)
    fake_time.now += 5

    def stop(_: float) -> None:
        raise StoppedError

    server.script(503)
    with pytest.raises(StoppedError):
        runtime(breaker=breaker, retry={"sleep": stop}).get_recommendations(campaign_arn=ARN)
    assert breaker.state(ARN) == "half-open"
    assert runtime(breaker=breaker).get_recommendations(campaign_arn=ARN).item_ids == ("i1",)
    assert breaker.state(ARN) == "closed"


def test_copies_share_it(runtime: Any, server: Any) -> None:
    breaker = CircuitBreaker(min_calls=1)
    made = runtime(breaker=breaker, retry={"attempts": 1})
    server.script(503)
    with pytest.raises(ServerError):
        made.with_options(deadline=1).get_recommendations(campaign_arn=ARN)
    with pytest.raises(CircuitOpenError):
        made.get_recommendations(campaign_arn=ARN)
    assert made.with_options(breaker=None).get_recommendations(campaign_arn=ARN).item_ids == ("i1",)

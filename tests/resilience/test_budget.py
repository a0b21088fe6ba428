"""The retry budget: a bucket of 500 tokens, as in the standard mode of AWS's SDKs."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from personalize_rt import ServerError, ThrottlingError, TransportError
from personalize_rt.errors import PersonalizeError
from personalize_rt.resilience.budget import RetryBudget

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"


def throttled() -> ThrottlingError:
    return ThrottlingError("slow down", response={}, operation_name="o", code="c")


def broken() -> ServerError:
    return ServerError("broken", response={}, operation_name="o", code="c")


def timed_out() -> TransportError:
    return TransportError("no answer", phase="read")


class Bucket(RuleBasedStateMachine):
    """Beside a number that is added to and taken from."""

    retries = Bundle("retries")  # what each retry under way cost

    def __init__(self) -> None:
        super().__init__()
        self.budget = RetryBudget(40)
        self.tokens = 40

    @rule(target=retries, failure=st.sampled_from([(throttled(), 5), (broken(), 5), (timed_out(), 10)]))
    def a_retry_is_wanted(self, failure: tuple[PersonalizeError, int]) -> Any:
        error, cost = failure
        granted = self.budget.spend(error)
        if self.tokens < cost:
            assert granted == 0
            return multiple()
        assert granted == cost
        self.tokens -= cost
        return granted

    @rule(cost=consumes(retries))
    def a_retry_succeeds(self, cost: int) -> None:
        self.budget.succeeded(cost)
        self.tokens = min(40, self.tokens + cost)

    @rule(cost=consumes(retries))
    def a_retry_fails(self, cost: int) -> None:
        """Nothing comes back."""

    @rule()
    def a_call_succeeds_at_once(self) -> None:
        self.budget.succeeded(0)
        self.tokens = min(40, self.tokens + 1)

    @invariant()
    def the_tokens_are_those_of_the_model(self) -> None:
        assert self.budget.tokens == self.tokens
        assert 0 <= self.budget.tokens <= 40


TestBucket = Bucket.TestCase


def test_a_bucket_of_500_pays_for_100_retries() -> None:
    budget = RetryBudget()
    assert [budget.spend(throttled()) for _ in range(101)] == [5] * 100 + [0]


def test_a_time_out_costs_twice_as_much() -> None:
    budget = RetryBudget()
    assert [budget.spend(timed_out()) for _ in range(51)] == [10] * 50 + [0]


def test_threads_together_take_no_more_than_there_is() -> None:
    budget = RetryBudget(500)
    at_once = threading.Barrier(8)
    granted: list[int] = []

    def take() -> None:
        at_once.wait()
        granted.extend(budget.spend(throttled()) for _ in range(50))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(granted), budget.tokens) == (500, 0)


def test_a_client_without_tokens_does_not_retry(runtime: Any, server: Any) -> None:
    server.always(503)
    made = runtime(retry={"attempts": 6}, deadline=None)
    for _ in range(20):  # five retries each: 100 retries
        with pytest.raises(ServerError):
            made.get_recommendations(campaign_arn=ARN)
    assert server.count == 120
    with pytest.raises(ServerError) as caught:
        made.get_recommendations(campaign_arn=ARN)
    assert (caught.value.attempts, server.count) == (1, 121)


def test_successes_fill_the_bucket_again(runtime: Any, server: Any) -> None:
    server.always(503)
    made = runtime(retry={"attempts": 101}, deadline=None)
    with pytest.raises(ServerError):
        made.get_recommendations(campaign_arn=ARN)
    server.reset()
    for _ in range(5):  # a token each: one retry
        made.get_recommendations(campaign_arn=ARN)
    server.script(503)
    assert made.get_recommendations(campaign_arn=ARN).info.attempts == 2


def test_a_retry_that_succeeds_gives_back_what_it_cost(runtime: Any, server: Any) -> None:
    made = runtime(retry={"attempts": 2}, deadline=None)
    for _ in range(300):
        server.script(503)
        assert made.get_recommendations(campaign_arn=ARN).info.attempts == 2


def test_copies_share_one_bucket_and_other_clients_have_their_own(runtime: Any, server: Any) -> None:
    server.always(503)
    made = runtime(retry={"attempts": 101}, deadline=None)
    with pytest.raises(ServerError):
        made.get_recommendations(campaign_arn=ARN)
    for client, attempts in ((made.with_options(deadline=5), 1), (runtime(retry={"attempts": 2}, deadline=None), 2)):
        with pytest.raises(ServerError) as caught:
            client.get_recommendations(campaign_arn=ARN)
        assert caught.value.attempts == attempts

"""A service that is down altogether: the load that we add, and how soon we are back."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import pytest

from personalize_rt import CircuitOpenError, PersonalizeError, PersonalizeRuntime, RetryPolicy
from personalize_rt.resilience.breaker import CircuitBreaker
from personalize_rt.resilience.fallback import PopularItemsFallback
from personalize_rt.resilience.hedge import Hedge
from personalize_rt.transport.in_process import in_process_client

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
FIRST_BUCKET = 100  # retries that 500 tokens pay for, at 5 each


class Service:
    """In process, and up or down."""

    def __init__(self) -> None:
        self.up = False
        self.count = 0
        self._lock = threading.Lock()
        self.client = in_process_client(self.respond)

    def respond(self, *_: Any) -> Any:
        with self._lock:
            self.count += 1
        return (200, {}, b'{"itemList": []}') if self.up else (503, {}, b'{"message": "down"}')


@pytest.fixture
def service() -> Any:
    service = Service()
    yield service
    service.client.close()


def runtime_of(service: Service, fake_time: Any, **options: Any) -> PersonalizeRuntime:
    retry = RetryPolicy(3, clock=fake_time.clock, sleep=lambda _: None, random=lambda: 0.0)
    return PersonalizeRuntime(client=service.client, retry=retry, deadline=None, **options)


@pytest.mark.parametrize("attempts", [3, 10])
def test_attempts_stay_under_1_2_times_the_calls_beyond_the_first_bucket(
    attempts: int, service: Service, fake_time: Any
) -> None:
    calls = 600
    policy = RetryPolicy(attempts, clock=fake_time.clock, sleep=lambda _: None)
    made = runtime_of(service, fake_time).with_options(retry=policy)
    for _ in range(calls):
        with pytest.raises(PersonalizeError):
            made.get_recommendations(campaign_arn=ARN)
    assert service.count - FIRST_BUCKET < 1.2 * calls
    assert service.count - FIRST_BUCKET <= calls  # what no success refills stays empty


def test_so_they_do_for_threads_together_and_with_hedges(service: Service, fake_time: Any, background: Any) -> None:
    made = runtime_of(service, fake_time, hedge=Hedge(after=0.0, percent=5))

    def work() -> None:
        for _ in range(60):
            with pytest.raises(PersonalizeError):
                made.get_recommendations(campaign_arn=ARN)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    background.end()
    assert service.count - FIRST_BUCKET < 1.2 * 480


def test_when_one_call_in_ten_succeeds_retries_stay_a_fraction(service: Service, fake_time: Any) -> None:
    made = runtime_of(service, fake_time)
    for number in range(1500):
        service.up = number % 10 == 0
        with contextlib.suppress(PersonalizeError):
            made.get_recommendations(campaign_arn=ARN)
    assert service.count - FIRST_BUCKET < 1.2 * 1500


def test_a_breaker_leaves_the_service_nearly_alone(service: Service, fake_time: Any) -> None:
    made = runtime_of(service, fake_time, breaker=CircuitBreaker(min_calls=20, open_for=5, clock=fake_time.clock))
    for _ in range(1000):
        with pytest.raises(PersonalizeError):
            made.get_recommendations(campaign_arn=ARN)
        fake_time.now += 0.01  # ten seconds in all: two probes at the most
    assert service.count <= 20 * 3 + 2 * 3


def test_recovery_takes_no_more_than_one_breaker_interval(service: Service, fake_time: Any) -> None:
    interval = 5.0
    breaker = CircuitBreaker(min_calls=20, open_for=interval, clock=fake_time.clock)
    made = runtime_of(service, fake_time, breaker=breaker, fallback=PopularItemsFallback(["p"]))
    for _ in range(700):  # seven seconds of outage
        assert made.get_recommendations(campaign_arn=ARN).degraded
        fake_time.now += 0.01
    back = fake_time.now
    service.up = True
    while made.get_recommendations(campaign_arn=ARN).degraded:
        fake_time.now += 0.01
        assert fake_time.now - back <= interval
    assert breaker.state(ARN) == "closed"
    assert not any(made.get_recommendations(campaign_arn=ARN).degraded for _ in range(50))


def test_the_error_says_when_to_come_back(service: Service, fake_time: Any) -> None:
    made = runtime_of(service, fake_time, breaker=CircuitBreaker(min_calls=1, open_for=5, clock=fake_time.clock))
    with pytest.raises(PersonalizeError):
        made.get_recommendations(campaign_arn=ARN)
    fake_time.now += 1.5
    with pytest.raises(CircuitOpenError) as caught:
        made.get_recommendations(campaign_arn=ARN)
    service.up = True
    fake_time.now += caught.value.retry_after
    made.get_recommendations(campaign_arn=ARN)

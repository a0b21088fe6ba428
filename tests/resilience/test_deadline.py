"""The deadline is the time for the whole call, for clients that we build and, where it is enforced, for a caller's."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt import (
    DeadlineExceededError,
    PersonalizeRuntime,
    RetryPolicy,
    ServerError,
    ThrottlingError,
    TransportError,
    ValidationError,
)
from personalize_rt.resilience.fallback import PopularItemsFallback
from personalize_rt.resilience.hedge import Hedge
from personalize_rt.resilience.retry import Stop, Wait
from personalize_rt.transport.in_process import in_process_client

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
GUARD = 5  # seconds that nothing here takes, unless it hangs


@pytest.fixture
def in_time() -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < GUARD


# The decision


@given(
    wait=st.floats(0, 1),
    left=st.floats(-1, 2),
    least=st.floats(0, 0.5),
    attempt=st.integers(1, 3),
)
def test_a_retry_needs_time_for_its_wait_and_for_a_whole_attempt(
    wait: float, left: float, least: float, attempt: int
) -> None:
    policy = RetryPolicy(4, base=1, cap=1, min_attempt=least, random=lambda: wait)
    decision = policy.decide(TransportError("x", phase="read"), attempt=attempt, left=left)
    assert decision == (Wait(wait) if wait + least <= left else Stop("deadline"))


@pytest.mark.parametrize("deadline", [0, -1, float("nan"), True, "2", b"2"])
def test_a_deadline_that_makes_no_sense_is_refused(deadline: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        PersonalizeRuntime(region_name="eu-west-1", deadline=deadline)
    assert caught.value.parameter == "deadline"


# In simulated time


def test_building_the_client_is_not_part_of_the_call(session: Any, server: Any, fake_time: Any) -> None:
    @attrs.define
    class SlowSession:
        def client(self, *args: Any, **options: Any) -> Any:
            fake_time.now += 10
            return session.client(*args, **options)

    policy = RetryPolicy(clock=fake_time.clock, sleep=fake_time.sleep)
    with PersonalizeRuntime(session=SlowSession(), endpoint_url=server.url, deadline=1, retry=policy) as runtime:
        assert runtime.get_recommendations(campaign_arn=ARN).info.elapsed < 1


def test_back_off_is_part_of_it(runtime: Any, server: Any, fake_time: Any) -> None:
    server.always(503)
    made = runtime(deadline=1.0, retry={"base": 0.4, "cap": 0.4, "attempts": 10})
    with pytest.raises(DeadlineExceededError) as caught:
        made.get_recommendations(campaign_arn=ARN)
    assert (caught.value.attempts, server.count, fake_time.slept) == (3, 3, [0.4, 0.4])
    assert isinstance(caught.value, TimeoutError)
    assert "1 s" in str(caught.value)
    assert "ServerError" in str(caught.value)


def test_the_error_tells_the_last_failure_by_its_chain(runtime: Any, server: Any, fake_time: Any) -> None:
    server.always(fake_time.passes(3, 503))
    with pytest.raises(DeadlineExceededError) as caught:
        runtime(deadline=2.0).get_recommendations(campaign_arn=ARN)
    assert isinstance(caught.value.__cause__, ServerError)
    assert caught.value.__cause__.__cause__ is caught.value.__cause__.__context__ is None


def test_a_server_that_asks_for_more_time_than_there_is_gets_none(runtime: Any, server: Any, fake_time: Any) -> None:
    server.always(server.failure(429, Retry_After="5"))
    with pytest.raises(ThrottlingError):
        runtime(deadline=2.0).get_recommendations(campaign_arn=ARN)
    assert fake_time.slept == []


def test_an_answer_that_came_is_given_even_when_it_is_late(runtime: Any, server: Any, fake_time: Any) -> None:
    server.always(fake_time.passes(3))
    assert runtime(deadline=2.0).get_recommendations(campaign_arn=ARN).item_ids == ("i1",)


# In real time; what each kind of sick server does is the subject of the fault suite


def test_the_last_attempt_cut_off_by_the_deadline_is_a_deadline_error(session: Any, server: Any, in_time: None) -> None:
    server.always("hang")
    with (
        PersonalizeRuntime(
            session=session, endpoint_url=server.url, deadline=0.1, retry=RetryPolicy(1), config=Config(read_timeout=60)
        ) as runtime,
        pytest.raises(DeadlineExceededError) as caught,
    ):
        runtime.get_recommendations(campaign_arn=ARN)
    assert caught.value.attempts == 1


def test_a_read_time_out_below_the_deadline_is_none(session: Any, server: Any, in_time: None) -> None:
    server.always("hang")
    with (
        PersonalizeRuntime(
            session=session, endpoint_url=server.url, deadline=60, retry=RetryPolicy(1), config=Config(read_timeout=0.1)
        ) as runtime,
        pytest.raises(TransportError),
    ):
        runtime.get_recommendations(campaign_arn=ARN)


@pytest.fixture
def slow(plain_client: Any, server: Any) -> Any:
    """A caller's client that would wait for a minute."""
    server.always("hang")
    return plain_client(read_timeout=60)


def test_a_caller_s_client_is_left_behind_when_the_deadline_is_enforced(slow: Any, in_time: None) -> None:
    runtime = PersonalizeRuntime(client=slow, deadline=0.1, enforce_deadline=True)
    with pytest.raises(DeadlineExceededError) as caught:
        runtime.get_recommendations(campaign_arn=ARN)
    assert caught.value.attempts == 1


@pytest.mark.parametrize("percent", [1, 100])
def test_an_enforced_deadline_holds_with_a_hedge_too(percent: float, slow: Any, in_time: None) -> None:
    hedge = Hedge(after=0.01, percent=percent)
    runtime = PersonalizeRuntime(client=slow, deadline=0.1, enforce_deadline=True, hedge=hedge)
    for _ in range(3):
        with pytest.raises(DeadlineExceededError):
            runtime.get_recommendations(campaign_arn=ARN)


def test_an_enforced_deadline_gives_the_fallback_its_turn(slow: Any, in_time: None) -> None:
    runtime = PersonalizeRuntime(
        client=slow, deadline=0.1, enforce_deadline=True, fallback=PopularItemsFallback(["popular"])
    )
    answer = runtime.get_recommendations(campaign_arn=ARN)
    assert (answer.item_ids, type(answer.cause)) == (("popular",), DeadlineExceededError)


def test_without_it_a_caller_s_client_is_waited_for(plain_client: Any, server: Any) -> None:
    server.always("hang")
    start = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        PersonalizeRuntime(client=plain_client(read_timeout=0.5), deadline=0.05).get_recommendations(campaign_arn=ARN)
    assert time.monotonic() - start >= 0.5


def test_an_enforced_deadline_changes_nothing_about_answers_and_errors(plain_client: Any, server: Any) -> None:
    runtime = PersonalizeRuntime(
        client=plain_client(), deadline=30, enforce_deadline=True, retry=RetryPolicy(2, base=0)
    )
    assert runtime.get_recommendations(campaign_arn=ARN).info.attempts == 1
    server.script(503, 503)
    with pytest.raises(ServerError) as caught:
        runtime.get_recommendations(campaign_arn=ARN)
    assert caught.value.attempts == 2


@pytest.mark.parametrize("hedge", [None, Hedge(after=0.02, percent=100)])
def test_without_our_sender_the_deadline_holds_too(hedge: Any, session: Any, server: Any, monkeypatch: Any) -> None:
    """Where somebody stands in for the network, a request is left behind on a thread."""
    monkeypatch.setenv("PERSONALIZE_RT_SEND", "plain")
    server.always("hang")
    config = Config(read_timeout=30)
    options: dict[str, Any] = {"session": session, "endpoint_url": server.url, "config": config, "hedge": hedge}
    start = time.monotonic()
    with PersonalizeRuntime(**options, deadline=0.1, retry=RetryPolicy(1)) as runtime:
        with pytest.raises(DeadlineExceededError):
            runtime.get_recommendations(campaign_arn=ARN)
        assert time.monotonic() - start < 20
        server.always({"itemList": [{"itemId": "i1"}]})
        assert runtime.with_options(deadline=20).get_recommendations(campaign_arn=ARN).item_ids == ("i1",)


@pytest.mark.direct
def test_a_client_of_ours_needs_no_thread_for_its_deadline(session: Any, server: Any, background: Any) -> None:
    with PersonalizeRuntime(session=session, endpoint_url=server.url, enforce_deadline=True) as runtime:
        meanwhile: list[list[threading.Thread]] = []
        server.always(lambda _: meanwhile.append(background.threads()))
        runtime.get_recommendations(campaign_arn=ARN)
    assert meanwhile == [[]]


def test_an_in_process_client_is_a_caller_s_client() -> None:
    release = threading.Event()

    def answer(*_: Any) -> Any:
        release.wait(GUARD * 2)
        return 200, {}, b"{}"

    runtime = PersonalizeRuntime(client=in_process_client(answer), deadline=0.1, enforce_deadline=True)
    with pytest.raises(DeadlineExceededError):
        runtime.get_recommendations(campaign_arn=ARN)
    release.set()

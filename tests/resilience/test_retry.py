"""Retries: one layer, full jitter, the server's own wishes, and never after the deadline."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from personalize_rt import (
    DeadlineExceededError,
    PersonalizeError,
    PersonalizeRuntime,
    ResponseError,
    RetryPolicy,
    ServerError,
    ServiceError,
    ThrottlingError,
    TransportError,
    ValidationError,
)
from personalize_rt.resilience.retry import Stop, Wait
from personalize_rt.testing import set_testing

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
LATER_BY_3 = "Tue, 26 May 2020 22:02:58 GMT"  # the scripted server's Date is three seconds earlier


def throttled(retry_after: float | None = None) -> ThrottlingError:
    return ThrottlingError("slow down", response={}, operation_name="o", code="c", retry_after=retry_after)


@pytest.fixture(autouse=True)
def no_testing_mode_is_left_behind() -> Iterator[None]:
    with set_testing(False):
        yield


# What is sent again


@pytest.mark.parametrize(
    "outcome",
    [429, 500, 502, 503, 504, 408, "close"],
)
def test_what_may_pass_is_sent_again(outcome: Any, runtime: Any, server: Any, fake_time: Any) -> None:
    server.script(outcome, outcome)
    answer = runtime().get_recommendations(campaign_arn=ARN)
    assert answer.item_ids == ("i1",)
    assert (answer.info.attempts, server.count) == (3, 3)
    assert len(fake_time.slept) == 2


@pytest.mark.parametrize("code", ["ThrottlingException", "RequestAbortedException", "TooManyRequestsException"])
def test_what_may_pass_is_sent_again_whatever_its_status(code: str, runtime: Any, server: Any) -> None:
    server.script(server.failure(400, code), {"itemList": [{"itemId": "a"}]})
    assert runtime().get_recommendations(campaign_arn=ARN).info.attempts == 2


def test_time_outs_are_sent_again(session: Any, server: Any) -> None:
    from botocore.config import Config

    server.script("hang", "hang")
    with PersonalizeRuntime(
        session=session,
        endpoint_url=server.url,
        config=Config(read_timeout=0.25),
        retry=RetryPolicy(sleep=lambda _: None),
    ) as runtime:
        assert runtime.get_recommendations(campaign_arn=ARN).info.attempts == 3
    assert server.count == 3


def test_an_endpoint_that_refuses_connections_is_tried_again(runtime: Any, fake_time: Any) -> None:
    with pytest.raises(TransportError, match="3 attempts") as caught:
        runtime(endpoint_url="http://127.0.0.1:9").get_recommendations(campaign_arn=ARN)
    assert (caught.value.attempts, caught.value.phase, len(fake_time.slept)) == (3, "connect", 2)


@pytest.mark.parametrize("outcome", [400, 401, 403, 404, 413])
def test_errors_of_the_caller_are_sent_once(outcome: int, runtime: Any, server: Any, fake_time: Any) -> None:
    server.always(server.failure(outcome, Retry_After="1", x_amz_retry_after="5"))
    with pytest.raises(ServiceError) as caught:
        runtime(retry={"attempts": 5}).get_recommendations(campaign_arn=ARN)
    assert (caught.value.attempts, server.count, fake_time.slept) == (1, 1, [])


def test_an_error_of_the_caller_after_a_retry_ends_the_call(runtime: Any, server: Any) -> None:
    server.script(503, 400, 200)
    with pytest.raises(ServiceError) as caught:
        runtime().get_recommendations(campaign_arn=ARN)
    assert (caught.value.status_code, caught.value.attempts, server.count) == (400, 2, 2)


@pytest.mark.parametrize("attempts", [1, 2, 3, 4])
def test_n_attempts_are_n_requests(attempts: int, runtime: Any, server: Any, fake_time: Any) -> None:
    server.always(503)
    with pytest.raises(ServerError, match=f"{attempts} attempt") as caught:
        runtime(retry={"attempts": attempts}, deadline=None).get_recommendations(campaign_arn=ARN)
    assert caught.value.attempts == attempts == server.count == len(fake_time.slept) + 1


def test_each_attempt_is_the_same_request(runtime: Any, server: Any) -> None:
    server.script(503, "close")
    runtime().get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=iter(["a", "b"]))
    assert [received.members for received in server.received] == [server.received[0].members] * 3
    assert server.received[0].members["inputList"] == ["a", "b"]


def test_the_last_error_is_raised_without_a_chain(runtime: Any, server: Any) -> None:
    server.script(429, "close", 503)
    with pytest.raises(ServerError) as caught:
        runtime().get_recommendations(campaign_arn=ARN)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert pickle.loads(pickle.dumps(caught.value)).attempts == 3


def test_a_call_inside_an_except_block_has_that_blocks_error_as_context(runtime: Any, server: Any) -> None:
    server.always(503)
    outer = LookupError("the caller's")
    try:
        raise outer
    except LookupError:
        with pytest.raises(ServerError) as caught:
            runtime().get_recommendations(campaign_arn=ARN)
    assert caught.value.__context__ is outer


def test_attempts_that_a_client_of_the_callers_makes_are_counted(
    runtime: Any, plain_client: Any, server: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    client = plain_client(retries={"total_max_attempts": 2, "mode": "standard"})
    with pytest.warns(UserWarning, match="RetryPolicy"):
        stacked = runtime(client=client)
    server.script(503, 503, 503)
    assert stacked.get_recommendations(campaign_arn=ARN).info.attempts == server.count == 4
    server.reset()
    server.always(503)
    with pytest.raises(ServerError, match="6 attempts") as caught:
        stacked.get_recommendations(campaign_arn=ARN)
    assert caught.value.attempts == server.count == 6


# How long it waits


def test_waits_grow_to_the_cap(runtime: Any, server: Any, fake_time: Any) -> None:
    server.always(503)
    with pytest.raises(ServerError):
        runtime(retry={"attempts": 7, "base": 0.1, "cap": 1.0}, deadline=None).get_recommendations(campaign_arn=ARN)
    assert fake_time.slept == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])


def test_chance_is_asked_once_for_each_wait(runtime: Any, server: Any, fake_time: Any) -> None:
    drawn = iter([0.5, 0.25])
    server.always(503)
    with pytest.raises(ServerError):
        runtime(retry={"random": lambda: next(drawn)}).get_recommendations(campaign_arn=ARN)
    assert fake_time.slept == pytest.approx([0.5 * 0.05, 0.25 * 0.1])
    assert list(drawn) == []


SECONDS = st.floats(0, 1e6)


@given(SECONDS, SECONDS, st.integers(1, 5000), st.floats(0, 1))
@example(0.05, 0.5, 4000, 1.0)
def test_full_jitter_stays_within_its_bounds(base: float, cap: float, attempt: int, chance: float) -> None:
    policy = RetryPolicy(attempt + 1, base=base, cap=cap, random=lambda: chance)
    decision = policy.decide(throttled(), attempt=attempt, left=None)
    assert isinstance(decision, Wait)
    top = cap if attempt > 64 and base else min(cap, base * 2.0 ** min(attempt - 1, 1000)) if base else 0.0
    assert 0 <= decision.seconds <= top
    assert math.isclose(decision.seconds, chance * top) or attempt > 60


@given(st.floats(0, 1))
def test_full_jitter_is_even(chance: float) -> None:
    policy = RetryPolicy(random=lambda: chance)
    assert policy.decide(throttled(), attempt=1, left=None) == Wait(chance * 0.05)
    assert policy.decide(throttled(), attempt=2, left=None) == Wait(chance * 0.1)


def test_two_policies_do_not_wait_in_step() -> None:
    policy = RetryPolicy()
    waits = {policy.decide(throttled(), attempt=1, left=None) for _ in range(20)}
    assert len(waits) > 1


def test_a_policy_that_travelled_to_two_processes_does_not_wait_in_step_in_both() -> None:
    pickled = pickle.dumps(RetryPolicy())
    one, other = pickle.loads(pickled), pickle.loads(pickled)
    draws = ([one.random() for _ in range(10)], [other.random() for _ in range(10)])
    assert draws[0] != draws[1]


def test_a_healthy_call_neither_sleeps_nor_draws(runtime: Any, server: Any, fake_time: Any) -> None:
    def no_chance() -> float:
        pytest.fail("drawn")

    assert runtime(retry={"random": no_chance}).get_recommendations(campaign_arn=ARN).info.attempts == 1
    assert fake_time.slept == []


def test_a_healthy_call_does_not_import_tenacity(server: Any) -> None:
    code = (
        "import sys; from personalize_rt import PersonalizeRuntime; from personalize_rt.testing import set_testing\n"
        f"with set_testing(), PersonalizeRuntime(region_name='eu-west-1', endpoint_url={server.url!r}) as runtime:\n"
        f"    assert runtime.get_recommendations(campaign_arn={ARN!r}).info.attempts == 1\n"
        "    assert 'tenacity' not in sys.modules\n"
        f"    assert runtime.get_recommendations(campaign_arn={ARN!r}).info.attempts == 2\n"
        "    assert 'tenacity' in sys.modules\n"
    )
    server.script({"itemList": []}, 503)
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


# What the server asks for


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "1"}, 1.0),
        ({"Retry_After": "0"}, 0.0),
        ({"retry_after": "0.25"}, 0.25),
        ({"Retry_After": LATER_BY_3}, 3.0),
        ({"Retry_After": "Tuesday, 26-May-20 22:02:58 GMT"}, 3.0),
        ({"Retry_After": "Tue, 26 May 2020 22:02:00 GMT"}, 0.0),
        ({"x_amz_retry_after": "1500"}, 1.5),
        ({"X_Amz_Retry_After": "0"}, 0.0),
        ({"x_amz_retry_after": "soon", "Retry_After": "2"}, 2.0),
    ],
    ids=str,
)
@pytest.mark.parametrize("status", [429, 503])
def test_the_servers_wish_is_honoured_exactly(
    status: int, headers: dict[str, str], seconds: float, runtime: Any, server: Any, fake_time: Any
) -> None:
    server.script(server.failure(status, **headers))
    answer = runtime(deadline=5.0).get_recommendations(campaign_arn=ARN)
    assert answer.info.attempts == 2
    assert fake_time.slept == pytest.approx([seconds], abs=1e-9)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"Retry_After": "7"}, 7.0), ({"Retry_After": LATER_BY_3}, 3.0), ({"x_amz_retry_after": "7000"}, 7.0), ({}, None)],
    ids=str,
)
def test_the_error_says_what_the_server_asked_for(
    headers: dict[str, str], seconds: float | None, runtime: Any, server: Any
) -> None:
    server.script(server.failure(429, **headers))
    with pytest.raises(ThrottlingError) as caught:
        runtime(retry={"attempts": 1}).get_recommendations(campaign_arn=ARN)
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    "header", ["soon", "", "-5", "nan", "inf", "1e999", "Tue, 99 May 2020", "Tue, 26 May 99999 22:02:58 GMT", "0x10"]
)
def test_a_wish_that_cannot_be_read_is_none(header: str, runtime: Any, server: Any, fake_time: Any) -> None:
    server.script(server.failure(503, Retry_After=header), server.failure(503, x_amz_retry_after=header))
    assert runtime().get_recommendations(campaign_arn=ARN).info.attempts == 3
    assert fake_time.slept == pytest.approx([0.05, 0.1])


@given(st.text(st.characters(max_codepoint=255)))
def test_any_text_is_a_wish_in_seconds_or_none(text: str) -> None:
    from personalize_rt.transport.failures import _retry_after

    for headers in ({"retry-after": text}, {"x-amz-retry-after": text}, {"retry-after": LATER_BY_3, "date": text}):
        seconds = _retry_after(headers)
        assert seconds is None or 0 <= seconds < float("inf")


def test_a_date_counts_from_now_where_the_server_does_not_say_what_time_it_is(runtime: Any, server: Any) -> None:
    from email.utils import formatdate

    server.script(server.failure(429, Retry_After=formatdate(time.time() + 60, usegmt=True), date=""))
    with pytest.raises(ThrottlingError) as caught:
        runtime(retry={"attempts": 1}).get_recommendations(campaign_arn=ARN)
    assert 55 < caught.value.retry_after <= 60


@pytest.mark.parametrize(
    "headers",
    [{"Retry_After": "3"}, {"Retry_After": LATER_BY_3}, {"x_amz_retry_after": "3000"}, {"Retry_After": "86400"}],
    ids=str,
)
def test_a_wish_for_more_than_is_left_ends_the_call_at_once(
    headers: dict[str, str], runtime: Any, server: Any, fake_time: Any
) -> None:
    server.always(server.failure(429, **headers))
    with pytest.raises(ThrottlingError) as caught:
        runtime(deadline=2.0).get_recommendations(campaign_arn=ARN)
    assert (caught.value.attempts, server.count, fake_time.slept) == (1, 1, [])
    assert caught.value.retry_after >= 3


def test_what_is_left_is_what_earlier_attempts_did_not_use(runtime: Any, server: Any, fake_time: Any) -> None:
    wish = server.failure(429, Retry_After="2")
    server.script(fake_time.passes(1.0, 503), fake_time.passes(1.0, wish), 200)
    with pytest.raises(ThrottlingError) as caught:
        runtime(deadline=4.0).get_recommendations(campaign_arn=ARN)
    assert (caught.value.attempts, server.count, fake_time.slept) == (2, 2, [0.05])


def test_a_wish_as_long_as_the_longest_that_is_honoured(runtime: Any, server: Any, fake_time: Any) -> None:
    server.script(server.failure(429, Retry_After="30"), server.failure(429, Retry_After="31"))
    with pytest.raises(ThrottlingError):
        runtime(deadline=None).get_recommendations(campaign_arn=ARN)
    assert (fake_time.slept, server.count) == ([30.0], 2)
    server.reset()
    server.script(server.failure(429, Retry_After="31"))
    runtime(deadline=None, retry={"max_retry_after": 40.0}).get_recommendations(campaign_arn=ARN)
    assert fake_time.slept == [30.0, 31.0]


# The deadline


def test_no_attempt_starts_after_the_deadline(runtime: Any, server: Any, fake_time: Any) -> None:
    server.always(fake_time.passes(27.0, 503))
    with pytest.raises(DeadlineExceededError) as caught:
        runtime(deadline=60.0, retry={"attempts": 10}).get_recommendations(campaign_arn=ARN)
    error = caught.value
    # 27, a wait of 0.05, 27, a wait of 0.1, and the third attempt may still start at 54.15, with 5.85 left.
    assert (error.attempts, server.count, error.deadline) == (3, 3, 60.0)
    assert fake_time.slept == pytest.approx([0.05, 0.1])
    assert isinstance(error, TimeoutError)
    assert error.errno is None
    assert "60 s" in str(error)
    assert "3 attempts" in str(error)
    assert isinstance(error.__cause__, ServerError)
    assert error.__cause__.attempts == 3
    assert error.__cause__.__cause__ is error.__cause__.__context__ is None
    again = pickle.loads(pickle.dumps(error))
    assert (again.attempts, again.deadline, str(again)) == (3, 60.0, str(error))


def test_no_attempt_starts_after_a_sleep_that_takes_too_long(runtime: Any, server: Any, fake_time: Any) -> None:
    def oversleep(seconds: float) -> None:
        fake_time.sleep(seconds + 3.0)

    server.always(503)
    with pytest.raises((DeadlineExceededError, ServerError)):
        runtime(deadline=2.0, retry={"sleep": oversleep}).get_recommendations(campaign_arn=ARN)
    assert server.count == 1


def test_a_wait_that_would_end_after_the_deadline_is_not_begun(runtime: Any, server: Any, fake_time: Any) -> None:
    server.always(fake_time.passes(1.9, 503))
    with pytest.raises(DeadlineExceededError):
        runtime(deadline=2.0, retry={"base": 0.2}).get_recommendations(campaign_arn=ARN)
    assert (server.count, fake_time.slept) == (1, [])


def test_the_first_attempt_is_always_made(runtime: Any, server: Any, fake_time: Any) -> None:
    server.script(fake_time.passes(60.0))
    answer = runtime(deadline=5.0).get_recommendations(campaign_arn=ARN)
    assert answer.info.elapsed == pytest.approx(60.0)


def test_errors_of_the_caller_are_not_turned_into_a_deadline(runtime: Any, server: Any, fake_time: Any) -> None:
    server.script(fake_time.passes(60.0, 400))
    with pytest.raises(ServiceError):
        runtime(deadline=1.0).get_recommendations(campaign_arn=ARN)


def test_without_a_deadline_only_attempts_count(runtime: Any, server: Any, fake_time: Any) -> None:
    server.always(fake_time.passes(3600.0, 503))
    with pytest.raises(ServerError):
        runtime(deadline=None).get_recommendations(campaign_arn=ARN)
    assert server.count == 3


def test_building_the_client_is_not_part_of_the_deadline(session: Any, server: Any, fake_time: Any) -> None:
    class SlowSession:
        def client(self, *args: Any, **options: Any) -> Any:
            fake_time.sleep(60.0)
            return session.client(*args, **options)

    policy = RetryPolicy(clock=fake_time.clock, sleep=fake_time.sleep)
    server.script(503)
    with PersonalizeRuntime(session=SlowSession(), endpoint_url=server.url, retry=policy) as runtime:
        answer = runtime.get_recommendations(campaign_arn=ARN)
    assert answer.info.attempts == 2
    assert answer.info.elapsed < 1.0


def test_elapsed_is_the_whole_call_with_its_waits(runtime: Any, server: Any, fake_time: Any) -> None:
    server.script(fake_time.passes(0.25, 503), fake_time.passes(0.5))
    info = runtime().get_recommendations(campaign_arn=ARN).info
    assert info.elapsed == pytest.approx(0.25 + 0.05 + 0.5)
    assert (info.attempts, info.source) == (2, "service")
    assert info.request_id == "fd2ea40f-11f5-461c-b678-6a6a08bdb416"


@given(st.lists(st.floats(0, 5), min_size=1, max_size=6), st.floats(0.01, 5), st.floats(0, 1))
def test_decisions_never_wait_beyond_what_is_left(wishes: list[float], left: float, chance: float) -> None:
    policy = RetryPolicy(10, base=1.0, cap=5.0, random=lambda: chance)
    for n, wish in enumerate(wishes, 1):
        for error in (throttled(wish), throttled()):
            decision = policy.decide(error, attempt=n, left=left)
            assert isinstance(decision, Stop) or decision.seconds < left


# Errors that are nobody's to retry


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_interrupts_pass_through(interrupt: Any, plain_client: Any, runtime: Any, server: Any) -> None:
    def stop(**_: Any) -> None:
        if server.count == 1:
            raise interrupt

    client = plain_client()
    client.meta.events.register("before-send.personalize-runtime", stop)
    server.script(503)
    with pytest.raises(interrupt):
        runtime(client=client).get_recommendations(campaign_arn=ARN)
    assert server.count == 1


def test_an_interrupt_while_it_waits_passes_through(runtime: Any, server: Any) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    server.always(503)
    with pytest.raises(KeyboardInterrupt):
        runtime(retry={"sleep": interrupted}).get_recommendations(campaign_arn=ARN)
    assert server.count == 1


def test_an_error_of_somebody_else_after_a_retry_passes_untouched(plain_client: Any, runtime: Any, server: Any) -> None:
    theirs = LookupError("theirs")

    def fail(**_: Any) -> None:
        if server.count == 1:
            raise theirs

    client = plain_client()
    client.meta.events.register("before-send.personalize-runtime", fail)
    server.script(503)
    with pytest.raises(LookupError) as caught:
        runtime(client=client).get_recommendations(campaign_arn=ARN)
    assert caught.value is theirs
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_an_answer_that_cannot_be_understood_is_not_asked_for_again(runtime: Any, server: Any) -> None:
    server.script(503)
    server.always({"itemList": [{"itemId": 5}]})
    with pytest.raises(ResponseError, match=r"itemList\[0\].itemId"):
        runtime().get_recommendations(campaign_arn=ARN)
    assert server.count == 2


# The policy as a value


@pytest.mark.parametrize(
    ("wrong", "parameter"),
    [
        ({"attempts": 0}, "attempts"),
        ({"attempts": -1}, "attempts"),
        ({"attempts": 2.0}, "attempts"),
        ({"attempts": True}, "attempts"),
        ({"attempts": None}, "attempts"),
        ({"attempts": "3"}, "attempts"),
        ({"base": -0.1}, "base"),
        ({"base": "1"}, "base"),
        ({"base": float("nan")}, "base"),
        ({"base": True}, "base"),
        ({"cap": -1}, "cap"),
        ({"cap": None}, "cap"),
        ({"cap": float("nan")}, "cap"),
        ({"max_retry_after": -1}, "max_retry_after"),
        ({"base": float("inf")}, "base"),
        ({"cap": 10**400}, "cap"),
        ({"clock": 3}, "clock"),
        ({"sleep": None}, "sleep"),
        ({"random": 0.5}, "random"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, Any], parameter: str) -> None:
    with pytest.raises(ValidationError, match=parameter) as caught:
        RetryPolicy(**wrong)
    assert caught.value.parameter == parameter


def test_a_number_of_attempts_below_one_is_named() -> None:
    with pytest.raises(
        ValidationError, match=r"attempts must be a whole number from 1 \(1 means: never retry\), not 0$"
    ):
        RetryPolicy(0)


def test_a_wait_may_grow_without_a_cap() -> None:
    error = ThrottlingError("slow", response={}, operation_name="GetRecommendations", code="ThrottlingException")
    policy = RetryPolicy(99, base=1.0, cap=float("inf"), random=lambda: 1.0)
    assert policy.decide(error, attempt=11, left=None) == Wait(1024.0)


def test_the_defaults_of_the_policy() -> None:
    policy = RetryPolicy()
    assert (policy.attempts, policy.base, policy.cap) == (3, 0.05, 0.5)
    assert policy == RetryPolicy(3, 0.05, 0.5)
    assert hash(policy) == hash(RetryPolicy())
    with pytest.raises(AttributeError):
        policy.attempts = 5  # type: ignore[misc]


@pytest.mark.parametrize("error", [ValidationError("v"), ResponseError("r"), PersonalizeError("p"), OSError("o")])
def test_a_policy_decides_and_never_waits(error: Exception) -> None:
    def no_sleep(_: float) -> None:
        pytest.fail("slept")

    policy = RetryPolicy(sleep=no_sleep)
    assert policy.decide(error, attempt=1, left=None) == Stop("final")
    assert policy.decide(throttled(), attempt=3, left=None) == Stop("attempts")
    assert isinstance(policy.decide(throttled(0.5), attempt=1, left=1.0), Wait)
    assert policy.decide(throttled(5.0), attempt=1, left=1.0) == Stop("asked")
    assert policy.decide(throttled(), attempt=1, left=0.0) == Stop("deadline")
    assert policy.decide(throttled(), attempt=1, left=-1.0) == Stop("deadline")


# set_testing


def real(server: Any, session: Any, **options: Any) -> PersonalizeRuntime:
    """A runtime that would really sleep, and long."""
    retry = RetryPolicy(base=1000.0, cap=1000.0, random=lambda: 1.0)
    return PersonalizeRuntime(
        **{"session": session, "endpoint_url": server.url, "retry": retry, "deadline": None} | options
    )


def test_testing_takes_the_waiting_out(session: Any, server: Any) -> None:
    server.script(503, 503)
    with set_testing(), real(server, session) as runtime:
        assert runtime.get_recommendations(campaign_arn=ARN).info.attempts == 3
    server.always(server.failure(429, Retry_After="20"))
    with set_testing(), real(server, session) as runtime, pytest.raises(ThrottlingError) as caught:
        runtime.get_recommendations(campaign_arn=ARN)
    assert caught.value.attempts == 3


def test_testing_takes_the_waiting_out_of_a_call_with_the_usual_deadline(session: Any, server: Any) -> None:
    server.script(503, 503)
    with set_testing(), real(server, session, deadline=2.0) as runtime:
        assert runtime.get_recommendations(campaign_arn=ARN).info.attempts == 3


def test_testing_may_be_switched_by_plain_calls(session: Any, server: Any, fake_time: Any) -> None:
    set_testing()
    server.script(503)
    with real(server, session) as runtime:
        assert runtime.get_recommendations(campaign_arn=ARN).info.attempts == 2
    set_testing(False)
    server.script(503)
    policy = RetryPolicy(sleep=fake_time.sleep, random=lambda: 1.0)
    with real(server, session, retry=policy) as runtime:
        runtime.get_recommendations(campaign_arn=ARN)
    assert fake_time.slept == [0.05]


def test_testing_may_set_the_attempts(runtime: Any, server: Any) -> None:
    server.always(503)
    for attempts in (1, 2):
        server.received.clear()
        with set_testing(attempts=attempts), pytest.raises(ServerError):
            runtime().get_recommendations(campaign_arn=ARN)
        assert server.count == attempts


def test_testing_restores_what_was_before(runtime: Any, server: Any, fake_time: Any) -> None:
    server.always(503)

    def count() -> int:
        server.received.clear()
        with pytest.raises(ServerError):
            runtime().get_recommendations(campaign_arn=ARN)
        return int(server.count)

    with set_testing(attempts=2):
        with set_testing(attempts=1):
            assert count() == 1
        assert count() == 2
        with set_testing(False):
            assert count() == 3
        assert count() == 2
    assert count() == 3
    with pytest.raises(LookupError), set_testing(attempts=1):
        raise LookupError
    assert count() == 3
    assert fake_time.slept[-2:] == pytest.approx([0.05, 0.1])


def test_testing_does_not_retry_what_is_final(runtime: Any, server: Any) -> None:
    server.always(400)
    with set_testing(attempts=5), pytest.raises(ServiceError):
        runtime().get_recommendations(campaign_arn=ARN)
    assert server.count == 1


def test_a_real_wait_is_a_real_wait(session: Any, server: Any) -> None:
    server.script(server.failure(503, x_amz_retry_after="50"))
    start = time.monotonic()
    with PersonalizeRuntime(session=session, endpoint_url=server.url) as runtime:
        info = runtime.get_recommendations(campaign_arn=ARN).info
    assert time.monotonic() - start >= info.elapsed >= 0.05

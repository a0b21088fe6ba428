"""Hedging: a second request after a delay, the first answer wins, and never more than a set part of extra load."""

from __future__ import annotations

import contextvars
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
    ResourceNotFoundError,
    RetryPolicy,
    ServerError,
    ValidationError,
)
from personalize_rt.outcome import Failed
from personalize_rt.resilience.call import Call, Policies
from personalize_rt.resilience.fallback import PopularItemsFallback
from personalize_rt.resilience.hedge import Hedge
from personalize_rt.resilience.threads import racing
from personalize_rt.transport.sending import Transport

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"


# The policy


@given(
    percent=st.floats(0.1, 100),
    calls=st.lists(st.booleans(), max_size=300),  # whether each call is slow enough to want a second request
)
def test_hedges_never_exceed_their_part_of_the_calls(percent: float, calls: list[bool]) -> None:
    hedge = Hedge(after=0.1, percent=percent)
    taken = 0
    for number, slow in enumerate(calls, 1):
        if hedge.delay() is not None and slow:
            taken += hedge.take()
        assert taken <= number * percent / 100 + 1e-9


def test_what_is_not_used_is_not_saved_up_without_end() -> None:
    hedge = Hedge(after=0.1, percent=50)
    for _ in range(1000):
        hedge.delay()
    assert sum(hedge.take() for _ in range(1000)) <= 10


def test_several_calls_that_wait_cannot_take_the_same_hedge() -> None:
    hedge = Hedge(after=0.1, percent=50)
    assert [hedge.delay() for _ in range(3)] == [None, 0.1, 0.1]
    assert [hedge.take(), hedge.take()] == [True, False]


def test_every_call_may_hedge_at_100_percent() -> None:
    hedge = Hedge(after=0.1, percent=100)
    assert [(hedge.delay(), hedge.take()) for _ in range(5)] == [(0.1, True)] * 5


def test_without_a_delay_it_is_the_running_95th_percentile() -> None:
    hedge = Hedge(percent=100, min_samples=20)
    for n in range(19):
        assert hedge.delay() is None
        hedge.answered(0.010 + n / 1000)
    assert hedge.delay() is None
    hedge.answered(0.500)
    assert hedge.delay() in (0.028, 0.500)  # of 20 values, the 19th or 20th
    for _ in range(400):
        hedge.answered(0.2)
    assert hedge.delay() == 0.2  # what was long ago does not count


@given(st.lists(st.floats(0, 10), min_size=20, max_size=20))
def test_the_percentile_lies_where_it_should(taken: list[float]) -> None:
    hedge = Hedge(percent=100, min_samples=20)
    for seconds in taken:
        hedge.answered(seconds)
    delay = hedge.delay()
    assert delay is not None
    assert sum(seconds <= delay for seconds in taken) >= 19
    assert sum(seconds < delay for seconds in taken) <= 19


@pytest.mark.parametrize(
    "options", [{"after": -1}, {"percent": 0}, {"percent": 101}, {"after": float("nan")}, {"percent": float("nan")}]
)
def test_arguments_that_make_no_sense_are_refused(options: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Hedge(**options)
    assert caught.value.parameter in options


# In the client


@pytest.fixture(autouse=True)
def no_lane_is_left_behind(background: Any) -> Iterator[None]:
    yield
    background.end()


@pytest.fixture
def hedging(session: Any, server: Any) -> Iterator[Any]:
    """Makes runtimes in real time whose every call may hedge, and that would wait long without it."""
    made: list[PersonalizeRuntime] = []

    def make(**options: Any) -> PersonalizeRuntime:
        defaults = {
            "session": session,
            "endpoint_url": server.url,
            "hedge": Hedge(after=0.02, percent=100),
            "retry": RetryPolicy(1),
            "deadline": None,
            "config": Config(read_timeout=30, connect_timeout=30),
        }
        if "client" in options:
            del defaults["session"], defaults["endpoint_url"], defaults["config"]
        made.append(PersonalizeRuntime(**{**defaults, **options}))
        return made[-1].connect()

    yield make
    for runtime in made:
        runtime.close()


def test_a_slow_answer_is_asked_for_again_and_the_first_wins(hedging: Any, server: Any) -> None:
    server.script("hang", {"itemList": [{"itemId": "second"}]})
    start = time.monotonic()
    answer = hedging().get_recommendations(campaign_arn=ARN)
    assert time.monotonic() - start < 10
    assert (answer.item_ids, answer.info.attempts, server.count) == (("second",), 2, 2)
    assert server.received[0].members == server.received[1].members


def test_the_first_request_may_win_too(hedging: Any, server: Any) -> None:
    second_is_there = threading.Event()

    def when_the_second_is_there(_: Any) -> Any:
        second_is_there.wait(10)
        return {"itemList": [{"itemId": "first"}]}

    def hang(_: Any) -> Any:
        second_is_there.set()
        return "hang"

    server.script(when_the_second_is_there, hang)
    answer = hedging().get_recommendations(campaign_arn=ARN)
    assert (answer.item_ids, answer.info.attempts) == (("first",), 2)


def test_a_caller_s_client_is_hedged_too(hedging: Any, server: Any, plain_client: Any) -> None:
    server.script("hang", {"itemList": [{"itemId": "second"}]})
    answer = hedging(client=plain_client(read_timeout=2)).get_recommendations(campaign_arn=ARN)
    assert (answer.item_ids, server.count) == (("second",), 2)


def test_a_fast_answer_is_not_asked_for_again(hedging: Any, server: Any) -> None:
    made = hedging(hedge=Hedge(after=30, percent=100))
    for _ in range(20):
        assert made.get_recommendations(campaign_arn=ARN).info.attempts == 1
    assert server.count == 20


@pytest.mark.direct
def test_a_healthy_call_costs_no_thread(hedging: Any, server: Any, background: Any) -> None:
    meanwhile: list[list[threading.Thread]] = []
    server.always(lambda _: meanwhile.append(background.threads()))
    hedging(hedge=Hedge(after=30, percent=100)).get_recommendations(campaign_arn=ARN)
    assert meanwhile == [[]]


def test_no_more_than_its_part_is_sent_twice(hedging: Any, server: Any, background: Any) -> None:
    def slowly(_: Any) -> None:
        time.sleep(0.01)

    server.always(slowly)
    made = hedging(hedge=Hedge(after=0.0, percent=20))
    for _ in range(50):
        made.get_recommendations(campaign_arn=ARN)
    background.end()
    assert 50 < server.count <= 60


def test_a_request_that_fails_at_once_is_retried_and_not_hedged(hedging: Any, server: Any) -> None:
    server.script(503)
    made = hedging(hedge=Hedge(after=30, percent=100), retry=RetryPolicy(2, base=0))
    assert made.get_recommendations(campaign_arn=ARN).info.attempts == 2
    assert server.count == 2


def test_the_error_of_one_request_waits_for_the_answer_to_the_other(hedging: Any, server: Any) -> None:
    second_is_there = threading.Event()

    def fail_when_the_second_is_there(_: Any) -> int:
        second_is_there.wait(10)
        return 503

    def answer(_: Any) -> Any:
        second_is_there.set()
        time.sleep(0.05)
        return {"itemList": [{"itemId": "second"}]}

    server.script(fail_when_the_second_is_there, answer)
    assert hedging().get_recommendations(campaign_arn=ARN).item_ids == ("second",)


def test_when_both_requests_fail_both_are_counted(hedging: Any, server: Any) -> None:
    both_are_there = threading.Barrier(2)

    def fail_together(_: Any) -> int:
        both_are_there.wait(10)
        return 503

    server.always(fail_together)
    events: list[Any] = []
    with pytest.raises(ServerError) as caught:
        hedging(hooks=[events.append]).get_recommendations(campaign_arn=ARN)
    assert (caught.value.attempts, server.count, events[-1].attempts) == (2, 2, 2)


def test_an_error_of_the_caller_is_raised_and_not_hedged(hedging: Any, server: Any) -> None:
    server.always(404)
    with pytest.raises(ResourceNotFoundError):
        hedging(hedge=Hedge(after=30, percent=100)).get_recommendations(campaign_arn=ARN)
    assert server.count == 1


def test_two_requests_without_an_answer_end_at_the_deadline(hedging: Any, server: Any) -> None:
    server.always("hang")
    made = hedging(deadline=1.0)
    start = time.monotonic()
    with pytest.raises(DeadlineExceededError) as caught:
        made.get_recommendations(campaign_arn=ARN)
    assert time.monotonic() - start < 5
    assert (caught.value.attempts, server.count) == (2, 2)


def test_after_a_hedge_connections_are_used_again(hedging: Any, server: Any) -> None:
    server.script("hang")
    made = hedging()
    made.get_recommendations(campaign_arn=ARN)
    for _ in range(10):
        made.with_options(hedge=None).get_recommendations(campaign_arn=ARN)
    # Two for the hedged call; the loser's was closed, and is opened once more.
    assert len(server._connections) <= 3


def test_a_request_that_still_shakes_hands_holds_nobody(hedging: Any, sick_tls: Any) -> None:
    """The first connection never gets through TLS; the second one does."""
    made = hedging(endpoint_url=sick_tls.url, config=Config(connect_timeout=20, read_timeout=20))
    start = time.monotonic()
    assert made.get_recommendations(campaign_arn=ARN).item_ids == ("i1",)
    assert time.monotonic() - start < 10
    assert sick_tls.connections == 2


where = contextvars.ContextVar("where", default="nowhere")


@attrs.define
class Client:
    """A caller's client that notes in which context it is called."""

    seen: list[str] = attrs.field(factory=list)
    first: threading.Event = attrs.field(factory=threading.Event)

    def get_recommendations(self, **_: Any) -> Any:
        self.seen.append(where.get())
        if len(self.seen) == 1:
            self.first.wait(10)
        else:
            self.first.set()
        return {"itemList": [], "ResponseMetadata": {}}


@pytest.mark.parametrize("options", [{"hedge": Hedge(after=0.0, percent=100)}, {"enforce_deadline": True}])
def test_lanes_run_in_the_context_of_their_caller(options: Any) -> None:
    client = Client()
    if "hedge" not in options:
        client.first.set()
    token = where.set("here")
    try:
        PersonalizeRuntime(client=client, deadline=20, **options).get_recommendations(campaign_arn=ARN)
    finally:
        where.reset(token)
    assert set(client.seen) == {"here"}


def test_the_second_lane_of_our_own_client_runs_in_the_context_of_its_caller(hedging: Any, server: Any) -> None:
    made = hedging()
    seen: list[str] = []
    made._transport.client().meta.events.register("before-send", lambda **_: seen.append(where.get()))
    server.script("hang")
    token = where.set("here")
    try:
        made.get_recommendations(campaign_arn=ARN)
    finally:
        where.reset(token)
    assert seen == ["here", "here"]


# When something goes wrong beside the requests


@pytest.mark.direct
def test_an_interrupt_is_not_swallowed_by_the_answer_to_the_other_request(
    hedging: Any, server: Any, monkeypatch: Any
) -> None:
    """Ctrl-C while the first request waits: the second one may answer, and the program stops all the same."""
    made = hedging()
    first, send = threading.get_ident(), Transport.send

    def interrupted(self: Any, *args: Any, **options: Any) -> Any:
        if threading.get_ident() != first:
            return send(self, *args, **options)
        while not server.count:  # the second request is under way
            time.sleep(0.001)
        raise KeyboardInterrupt

    monkeypatch.setattr(Transport, "send", interrupted)
    with pytest.raises(KeyboardInterrupt):
        made.get_recommendations(campaign_arn=ARN)


def no_more_threads(*_: Any, **__: Any) -> None:
    raise RuntimeError("can't start new thread")


@pytest.mark.direct
def test_without_threads_the_first_request_answers_alone(hedging: Any, server: Any, monkeypatch: Any) -> None:
    made = hedging(deadline=20)
    made.get_recommendations(campaign_arn=ARN)
    asked_for_a_thread = threading.Event()

    def none(*_: Any) -> None:
        asked_for_a_thread.set()
        no_more_threads()

    def when_there_was_none(_: Any) -> Any:
        asked_for_a_thread.wait(10)
        return {"itemList": [{"itemId": "first"}]}

    monkeypatch.setattr(racing, "on_a_thread", none)
    server.always(when_there_was_none)  # not a script: the first call may have left a second request behind
    assert made.get_recommendations(campaign_arn=ARN).item_ids == ("first",)


@pytest.mark.parametrize("options", [{"hedge": None, "enforce_deadline": True}, {}], ids=["enforced", "hedged"])
def test_without_threads_a_caller_s_client_is_answered_by_the_fallback(
    options: Any, hedging: Any, plain_client: Any, monkeypatch: Any
) -> None:
    made = hedging(client=plain_client(), deadline=20, fallback=PopularItemsFallback(["p"]), **options)
    monkeypatch.setattr(racing, "on_a_thread", no_more_threads)
    answer = made.get_recommendations(campaign_arn=ARN)
    assert (answer.item_ids, type(answer.cause).__name__) == (("p",), "TransportError")


def test_a_timer_that_fails_does_not_stop_the_others() -> None:
    timers, rung = racing._Timers(), threading.Event()
    timers.after(0, no_more_threads)
    timers.after(0.001, rung.set)
    assert rung.wait(10)


def test_nobody_enters_a_race_that_is_over() -> None:
    """All requests failed, and their call is on its way to a retry: one that began now would be nobody's."""
    nothing: Any = None  # neither a request nor a transport: nobody sends in this race
    race = racing._Race(Call(nothing, Policies(RetryPolicy(1), None)), nothing)
    first = race.enter()
    assert first is not None
    race.end(first, Failed(ServerError("", response={}, operation_name="", code="")))
    assert race.wait(0)
    assert race.enter() is None

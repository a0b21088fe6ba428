"""A runtime in forked children of a process that is busy with it: every child answers, within its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from personalize_rt import (
    Cache,
    CircuitBreaker,
    CircuitOpenError,
    Hedge,
    PersonalizeRuntime,
    RetryPolicy,
    ServerError,
    StaleFallback,
)
from personalize_rt.resilience.cache import Entry
from personalize_rt.resilience.threads import racing

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
DEADLINE = 10.0


@pytest.fixture
def make(session: Any, server: Any) -> Iterator[Callable[..., PersonalizeRuntime]]:
    """Makes runtimes that go by the real time."""
    runtimes: list[PersonalizeRuntime] = []

    def build(**options: Any) -> PersonalizeRuntime:
        defaults = {"session": session, "endpoint_url": server.url, "deadline": DEADLINE}
        runtimes.append(PersonalizeRuntime(**{**defaults, **options}))
        return runtimes[-1]

    yield build
    for runtime in runtimes:
        runtime.close()


@contextmanager
def busy(work: Callable[[], object], *, threads: int = 6) -> Iterator[None]:
    """Have threads do something again and again."""
    over, begun = threading.Event(), threading.Barrier(threads + 1)
    errors: list[BaseException] = []

    def repeat() -> None:
        begun.wait(20)
        while not over.is_set():
            try:
                work()
            except BaseException as error:
                errors.append(error)
                return

    workers = [threading.Thread(target=repeat) for _ in range(threads)]
    for worker in workers:
        worker.start()
    begun.wait(20)
    try:
        yield
    finally:
        over.set()
        for worker in workers:
            worker.join(30)
    assert not errors


@pytest.mark.parametrize("children", [20, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
@pytest.mark.parametrize("store", ["memory", "mapping"])
def test_every_child_of_a_busy_process_answers(children: int, store: str, make: Any, server: Any, forked: Any) -> None:
    def take_a_moment(_: Any) -> None:
        time.sleep(0.005)

    server.always(take_a_moment)
    # Short enough that equal calls and revalidations are nearly always in flight, and hedges sent.
    runtime = make(
        cache=Cache(ttl=0.005, stale_while_revalidate=0.005, store={} if store == "mapping" else None),
        breaker=CircuitBreaker(min_calls=1),
        hedge=Hedge(after=0.004, percent=100),
        fallback=StaleFallback(),
    ).connect()

    def ask() -> str:
        return str(runtime.get_recommendations(campaign_arn=ARN).info.source)

    def answer_in_time() -> str:
        runtime.connect()  # building a client is not part of a call's time
        begun = time.monotonic()
        sources = [ask() for _ in range(3)]
        late = time.monotonic() - begun
        return "answered" if late < DEADLINE and "fallback" not in sources else f"{sources} after {late:g} s"

    with busy(ask):
        assert [forked(answer_in_time) for _ in range(children)] == ["answered"] * children


@contextmanager
def in_flight(call: Callable[[], object], server: Any) -> Iterator[None]:
    """Have a call in flight, its request with the service, until the block is over."""
    asked, over = threading.Event(), threading.Event()

    def wait(_: Any) -> None:
        asked.set()
        over.wait(30)

    server.script(wait)
    thread = threading.Thread(target=call)
    thread.start()
    try:
        assert asked.wait(20)
        yield
    finally:
        over.set()
        thread.join(20)


def test_an_equal_call_in_flight_at_the_fork_is_made_anew_in_the_child(make: Any, server: Any, forked: Any) -> None:
    runtime = make(cache=Cache()).connect()

    def ask() -> str:
        return str(runtime.get_recommendations(campaign_arn=ARN).info.source)

    with in_flight(ask, server):
        assert forked(lambda: (ask(), ask())) == "('service', 'cache')"


def test_a_revalidation_in_flight_at_the_fork_is_made_anew_in_the_child(
    make: Any, server: Any, fake_time: Any, forked: Any
) -> None:
    runtime = make(cache=Cache(ttl=1, stale_while_revalidate=1, clock=fake_time.clock))

    def ask() -> str:
        return str(runtime.get_recommendations(campaign_arn=ARN).info.source)

    def ask_when_it_is_too_old() -> tuple[str, str]:
        fake_time.now += 10
        return ask(), ask()

    ask()
    fake_time.now += 1.5
    with in_flight(ask, server):  # answers from the cache, and asks in the background
        assert forked(ask_when_it_is_too_old) == "('service', 'cache')"


def test_a_probe_in_flight_at_the_fork_leaves_the_child_one_of_its_own(
    make: Any, server: Any, fake_time: Any, forked: Any
) -> None:
    breaker = CircuitBreaker(min_calls=1, open_for=5, clock=fake_time.clock)
    runtime = make(breaker=breaker, retry=RetryPolicy(1))

    def ask() -> str:
        return str(runtime.get_recommendations(campaign_arn=ARN).info.source)

    server.script(503)
    with pytest.raises(ServerError):
        ask()
    fake_time.now += 6
    with in_flight(ask, server):
        with pytest.raises(CircuitOpenError):
            ask()
        assert forked(ask) == "service"


def test_a_child_hedges_with_timers_of_its_own(make: Any, server: Any, forked: Any) -> None:
    hedging = make(hedge=Hedge(after=0.01, percent=100), retry=RetryPolicy(1)).connect()

    def attempts() -> int:
        hedging.connect()
        return int(hedging.get_recommendations(campaign_arn=ARN).info.attempts)

    timer = racing._timers.after(60.0, lambda: None)  # the thread of the parent is there, and waits
    server.script("hang")
    assert forked(attempts) == "2"
    timer.cancel()


def test_a_timer_of_the_parent_does_not_act_in_the_child(forked: Any) -> None:
    acted = threading.Event()
    timer = racing._timers.after(0.2, acted.set)

    def wait() -> bool:
        done = threading.Event()
        racing._timers.after(0.4, done.set)
        return done.wait(20) and acted.is_set()

    assert forked(wait) == "False"
    timer.cancel()


# A mapping that the caller gave


class Stuck(dict[str, Entry]):
    """A mapping of which one call does not come back, as one on a disk that is gone."""

    def __init__(self, *stuck: str) -> None:
        super().__init__()
        self.over, self.entered = threading.Event(), threading.Event()
        self._stuck = stuck

    def _wait(self, operation: str) -> None:
        if operation in self._stuck and not self.entered.is_set():
            self.entered.set()
            self.over.wait(30)

    def get(self, key: str, default: Any = None) -> Any:
        self._wait("get")
        return super().get(key, default)

    def __setitem__(self, key: str, entry: Entry) -> None:
        self._wait("set")
        super().__setitem__(key, entry)


@contextmanager
def stuck_in(store: Stuck, call: Callable[[], object]) -> Iterator[None]:
    thread = threading.Thread(target=call)
    thread.start()
    try:
        assert store.entered.wait(20)
        yield
    finally:
        store.over.set()
        thread.join(20)


@pytest.mark.parametrize("operation", ["get", "set"])
def test_a_call_passes_by_a_mapping_that_another_one_is_stuck_in(operation: str, make: Any, server: Any) -> None:
    store = Stuck(operation)
    runtime = make(cache=Cache(store=store), deadline=2.0).connect()

    def ask(number: int) -> Any:
        return runtime.get_recommendations(campaign_arn=ARN, num_results=number)

    with stuck_in(store, lambda: ask(1)):
        answer = ask(2)
        assert answer.info.source == "service"
        assert answer.info.elapsed < 2.0
    assert ask(3).info.source == "service"
    assert ask(2).info.source == "cache"  # what was answered meanwhile was kept
    assert ask(3).info.source == "cache"


def test_a_mapping_is_kept_in_the_child_and_its_lock_is_free_there(make: Any, server: Any, forked: Any) -> None:
    store = Stuck()
    runtime = make(cache=Cache(store=store)).connect()

    def ask(number: int = 1) -> str:
        return str(runtime.get_recommendations(campaign_arn=ARN, num_results=number).info.source)

    assert (ask(1), ask(1)) == ("service", "cache")
    store._stuck = ("get",)
    with stuck_in(store, lambda: ask(2)):
        assert forked(lambda: (ask(1), ask(3), ask(3))) == "('cache', 'service', 'cache')"

"""How fast requests may go out."""

from __future__ import annotations

import bisect
import contextlib
import multiprocessing
import random
import signal
import sys
import threading
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personalize_rt import bulk
from personalize_rt.bulk.limiter import RateLimiter, _State
from personalize_rt.bulk.process_lock import ProcessLock, process_lock
from personalize_rt.errors import PersonalizeError, ValidationError
from tests.bulk import in_processes
from tests.bulk.conftest import requests


def paced(limiter: RateLimiter, *, start: float, end: float, late: random.Random | None = None) -> list[float]:
    """When requests go out, from a driver that wants to send all the time and may wake up late."""
    now, sent = start, []
    while now < end:
        wait = limiter.decide(now)
        if wait:
            now += wait + (late.random() * 0.05 if late else 0.0)
        else:
            sent.append(now)
            now += 1e-5
    return sent


def counts(sent: list[float], window: float, start: float, end: float) -> list[int]:
    """How many requests lie in each window that begins with one, or right after one."""
    starts = [at for at in sent if start <= at <= end - window]
    starts += [at + 1e-9 for at in starts]
    return [bisect.bisect_left(sent, at + window) - bisect.bisect_left(sent, at) for at in starts]


@pytest.mark.parametrize("tps", [50, 123.4, 1_000])
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_over_any_ten_seconds_the_rate_is_within_two_percent(tps: float, seed: int | None) -> None:
    late = None if seed is None else random.Random(seed)
    sent = paced(RateLimiter(tps), start=1_000.0, end=1_030.0, late=late)
    wanted = 10 * tps
    assert all(0.98 * wanted <= count <= 1.02 * wanted for count in counts(sent, 10.0, 1_000.0, 1_030.0))


@pytest.mark.parametrize("tps", [0.5, 1, 3])
def test_a_slow_rate_is_within_one_request(tps: float) -> None:
    sent = paced(RateLimiter(tps), start=0.0, end=60.0)
    assert all(abs(count - 10 * tps) <= 1 for count in counts(sent, 10.0, 0.0, 60.0))


@given(st.floats(0.5, 2_000), st.lists(st.floats(0, 3), min_size=1, max_size=200))
@settings(max_examples=2 * settings.default.max_examples)
def test_no_pauses_of_the_workers_make_more_than_the_rate(tps: float, pauses: list[float]) -> None:
    limiter, now, sent = RateLimiter(tps), 0.0, []
    for pause in pauses:
        now += pause
        for _ in range(50):
            if limiter.decide(now):
                break
            sent.append(now)
    for window in (0.1, 1.0, 10.0):
        # Rounding of floating-point sums may let a request through a moment early.
        assert all(count <= tps * (window + 0.15) + 1.001 for count in counts(sent, window, 0.0, now + window))


def test_nothing_waits_without_a_rate() -> None:
    limiter = RateLimiter()
    assert [limiter.decide(0.0) for _ in range(1_000)] == [0.0] * 1_000
    assert limiter.rate(0.0) == float("inf")


def test_the_wait_is_the_time_until_the_next_request() -> None:
    limiter = RateLimiter(4)
    assert limiter.decide(10.0) == 0.0
    assert limiter.decide(10.0) == pytest.approx(0.1)  # 0.15 s may be caught up with
    assert limiter.decide(10.05) == pytest.approx(0.05)
    assert limiter.decide(10.1) == 0.0


def test_throttling_cuts_the_rate_and_time_brings_it_back_but_not_further() -> None:
    limiter = RateLimiter(100)
    limiter.throttled(5.0, sent=4.9)
    assert limiter.rate(5.0) == 70
    assert limiter.rate(10.0) == pytest.approx(80)
    assert limiter.rate(1_000.0) == 100
    assert limiter.throttles == 1


def test_requests_that_were_out_before_the_cut_do_not_cut_again() -> None:
    limiter = RateLimiter(100)
    for n in range(50):
        limiter.throttled(5.0 + n / 1_000, sent=4.9)
    assert limiter.rate(5.05) == pytest.approx(70, rel=0.01)
    assert limiter.throttles == 50
    limiter.throttled(6.0, sent=5.5)
    assert limiter.rate(6.0) == pytest.approx(0.7 * 72)


def test_throttling_never_stops_the_job() -> None:
    limiter = RateLimiter(100)
    for second in range(1, 200):
        limiter.throttled(float(second), sent=second - 0.5)
    assert limiter.rate(199.0) >= 1.0
    slow = RateLimiter(0.25)
    for second in range(1, 200):
        slow.throttled(float(second), sent=second - 0.5)
    assert slow.rate(199.0) == 0.25


def test_without_a_rate_the_one_that_was_throttled_is_cut_and_may_be_passed_again() -> None:
    limiter = RateLimiter()
    now = 0.0
    for _ in range(1_000):  # 200 a second
        assert limiter.decide(now) == 0.0
        now += 0.005
    limiter.throttled(now, sent=now - 0.01)
    assert limiter.rate(now) == pytest.approx(140, rel=0.02)
    assert limiter.decide(now) > 0
    assert limiter.rate(now + 60) > 200


def test_after_a_pause_the_rate_that_is_cut_is_that_of_the_requests_before_it() -> None:
    limiter = RateLimiter()
    for n in range(100):
        limiter.decide(n / 100)
    for n in range(40):
        limiter.decide(1_000 + n / 100)
    limiter.throttled(1_000.4, sent=1_000.3)
    assert limiter.rate(1_000.4) == pytest.approx(0.7 * 40)


def test_a_retry_counts_as_a_request() -> None:
    limiter = RateLimiter(10)
    assert limiter.decide(0.0) == 0.0
    limiter.charge(0.0)
    limiter.charge(0.0)
    assert limiter.decide(0.1) == pytest.approx(0.05)


@pytest.mark.parametrize("capacity", [20, 60, 90])
def test_it_finds_a_capacity_below_the_rate_and_uses_most_of_it(capacity: int) -> None:
    # The service: a token bucket of one second.
    limiter, now, tokens, filled = RateLimiter(100), 0.0, float(capacity), 0.0
    answered = throttled = 0
    while now < 120.0:
        now += limiter.decide(now) or 1e-4
        if limiter.decide(now):
            continue
        tokens = min(capacity, tokens + (now - filled) * capacity)
        filled = now
        if tokens < 1:
            limiter.throttled(now + 0.02, sent=now)
            throttled += now > 20.0
        else:
            tokens -= 1
            answered += now > 20.0
    assert answered / (100.0 * capacity) > 0.8
    assert throttled / answered < 0.02


def test_threads_that_share_it_have_one_rate_together() -> None:
    limiter, granted = RateLimiter(1_000), [0] * 8
    clock = [0.0]

    def work(index: int) -> None:
        while clock[0] < 10.0:
            granted[index] += limiter.decide(clock[0]) == 0.0

    workers = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for worker in workers:
        worker.start()
    # Time goes on when all have had their turn, or have found that there is none.
    while clock[0] < 10.0:
        clock[0] += 1e-5
    for worker in workers:
        worker.join()
    assert sum(granted) <= 10_000 + 151


def test_processes_that_share_it_have_one_rate_together() -> None:
    context = multiprocessing.get_context("spawn")
    limiter, granted = RateLimiter(100, context=context), context.Queue()
    process = context.Process(target=in_processes.take, args=(limiter, granted))
    process.start()
    assert granted.get(timeout=30) == pytest.approx(70, abs=2)
    process.join(30)
    assert limiter.throttles == 1
    assert limiter.rate(1.0) == 70
    assert limiter.decide(1.9) > 0  # the other process took what there was


# Processes that are killed.


def test_a_process_that_is_killed_inside_the_lock_releases_it() -> None:
    context = multiprocessing.get_context("spawn")
    limiter, answers = RateLimiter(100, context=context), context.Queue()
    killed = context.Process(target=in_processes.die_inside_the_lock, args=(limiter,))
    killed.start()
    killed.join(30)
    assert killed.exitcode == -signal.SIGKILL
    # A thread: on a lock that stays locked, it would wait for ever.
    here: list[float] = []
    thread = threading.Thread(target=lambda: here.append(limiter.decide(1.0)), daemon=True)
    thread.start()
    thread.join(10)
    assert here == [0.0]
    process = context.Process(target=in_processes.take, args=(limiter, answers), daemon=True)
    process.start()
    assert answers.get(timeout=30) > 0
    process.join(30)


def test_a_run_ends_when_one_of_its_processes_is_killed_inside_the_lock(tmp_path: Path) -> None:
    run = bulk.run(partial(in_processes.build_and_die, tmp_path / "dies"), requests(range(100)), tps=500, processes=2)
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            list(run)
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(40)
    assert [type(failure) for failure in failures] == [PersonalizeError]
    assert "ended by itself, with exit code -9" in str(failures[0])


def test_threads_of_one_process_are_kept_apart_too() -> None:
    lock, inside, most = ProcessLock(), [0], [0]

    def work() -> None:
        for _ in range(300):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                sum(range(50))
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_without_record_locks_it_is_the_lock_of_multiprocessing(monkeypatch: pytest.MonkeyPatch) -> None:
    context = multiprocessing.get_context("spawn")
    monkeypatch.setitem(sys.modules, "fcntl", None)
    assert type(process_lock(context)) is type(context.Lock())


class Killed(BaseException):
    pass


@pytest.mark.parametrize("tps", [100.0, None])
@pytest.mark.parametrize("writes", range(7))
def test_a_process_that_is_killed_while_it_writes_leaves_a_rate_between_the_old_and_the_new_one(
    tps: float | None, writes: int
) -> None:
    limiter, whole = RateLimiter(tps), RateLimiter(tps)
    for each in limiter, whole:
        for n in range(100):
            each.decide(n / 50)
        each.throttled(2.0, sent=1.9)
        each.decide(5.0)
    before = limiter.rate(6.0)

    class Dying(_State):
        left = writes

        def __setattr__(self, name: str, value: float) -> None:
            if Dying.left == 0:
                raise Killed
            Dying.left -= 1
            super().__setattr__(name, value)

    written = limiter._state
    limiter._state = Dying.from_buffer(written)
    with contextlib.suppress(Killed):
        limiter.throttled(6.0, sent=5.9)
    limiter._state = written
    whole.throttled(6.0, sent=5.9)
    assert whole.rate(6.0) <= limiter.rate(6.0) <= before
    assert paced(limiter, start=6.0, end=8.0)


@pytest.mark.parametrize("tps", [0, -1, float("nan"), float("inf"), "10", True])
def test_a_rate_that_is_none_is_refused(tps: float) -> None:
    with pytest.raises(ValidationError, match="tps must be a number of requests a second above 0") as caught:
        RateLimiter(tps)
    assert caught.value.parameter == "tps"

"""Threads that are kept for botocore's own calls, and left behind when a call is late."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from personalize_rt import TransportError
from personalize_rt.transport.attempt import Attempt
from personalize_rt.transport.workers import Workers

GUARD = 20.0  # seconds: far above what anything here takes
SOON = 0.05


@pytest.fixture
def over() -> Iterator[threading.Event]:
    """Set at the end of the test, for work that lasts as long."""
    event = threading.Event()
    yield event
    event.set()


def within(seconds: float) -> Attempt:
    return Attempt(time.monotonic() + seconds)


def test_work_has_its_result_or_its_error() -> None:
    workers = Workers()
    assert workers.run(lambda: 5, within(GUARD)) == 5
    with pytest.raises(KeyError, match="mine"):
        workers.run(lambda: {}["mine"], within(GUARD))
    workers.close()


def test_work_runs_in_the_context_of_its_caller_and_on_one_thread_after_the_other() -> None:
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("the caller's")
    workers = Workers()
    seen = [workers.run(lambda: (variable.get(), threading.get_ident()), within(GUARD)) for _ in range(5)]
    assert {text for text, _ in seen} == {"the caller's"}
    assert len({thread for _, thread in seen}) == 1
    assert threading.get_ident() not in {thread for _, thread in seen}
    workers.close()


def test_late_work_is_left_behind_and_its_thread_comes_back(over: threading.Event) -> None:
    workers = Workers()
    with pytest.raises(TimeoutError):
        workers.run(over.wait, within(SOON))
    assert workers._state.left == 1
    assert workers.run(lambda: 5, within(GUARD)) == 5  # on another thread
    over.set()
    until = time.monotonic() + GUARD
    while workers._state.left and time.monotonic() < until:
        time.sleep(0.001)
    assert (workers._state.left, len(workers._state.idle)) == (0, 2)
    workers.close()


def test_no_more_is_left_behind_than_may_be_and_then_work_is_refused_with_advice(over: threading.Event) -> None:
    workers = Workers(most_left=2)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            workers.run(over.wait, within(SOON))
    attempt = within(GUARD)
    with pytest.raises(TransportError, match=r"2 requests are still under way .* give Config\(read_timeout=…\)"):
        workers.run(lambda: 5, attempt)
    assert attempt.unsigned  # nothing was sent


def test_whoever_breaks_an_attempt_off_ends_the_waiting(over: threading.Event) -> None:
    workers, attempt, begun = Workers(), Attempt(), threading.Event()

    def work() -> None:
        begun.set()
        over.wait()

    def cancel() -> None:
        begun.wait(GUARD)
        attempt.cancel()

    threading.Thread(target=cancel).start()
    with pytest.raises(ConnectionAbortedError):
        workers.run(work, attempt)
    assert workers._state.left == 1


def test_threads_without_work_end_when_the_pool_is_closed_and_after_a_while(background: Any) -> None:
    closed, idle = Workers(), Workers(idle=0.01)
    for workers in (closed, idle):
        workers.run(lambda: None, within(GUARD))
    closed.close()
    background.end("personalize-rt-worker")
    assert (closed._state.idle, idle._state.idle) == ([], [])
    assert idle.run(lambda: 5, within(GUARD)) == 5


def test_a_forked_child_makes_threads_of_its_own(forked: Any) -> None:
    workers = Workers()
    workers.run(lambda: None, within(GUARD))
    assert forked(lambda: workers.run(lambda: 5, within(GUARD))) == "5"
    workers.close()

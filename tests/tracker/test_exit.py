"""The exit of the interpreter, with several trackers."""

from __future__ import annotations

import asyncio
import threading
import weakref
from typing import Any

import pytest

from personalize_rt import EventTracker, RetryPolicy
from personalize_rt.aio import AsyncEventTracker
from personalize_rt.resilience import exits
from tests.tracker.conftest import TRACKING_ID, Service


@pytest.fixture(autouse=True)
def _of_this_test_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exits, "_open", weakref.WeakSet())


def together(service: Service, number: int) -> None:
    """Answer requests only when so many are there: of trackers that close one after the other, none would be."""
    barrier = threading.Barrier(number)

    def answer(_: Any) -> Any:
        barrier.wait(20)
        return service.answer(200, b"")

    service.always(answer)


def options(service: Service, session: Any) -> dict[str, Any]:
    return {
        "session": session,
        "endpoint_url": service.url,
        "flush_after": 1000.0,
        "retry": RetryPolicy(attempts=1),
        "deadline": 20.0,
        "close_timeout": 20.0,
    }


def test_all_trackers_send_what_is_left_at_the_same_time(service: Service, session: Any) -> None:
    together(service, 5)
    of_threads = [EventTracker(TRACKING_ID, **options(service, session)) for _ in range(3)]
    of_tasks = [AsyncEventTracker(TRACKING_ID, **options(service, session)) for _ in range(2)]
    for made in of_threads:
        made.track("Watch", "i1", session_id="s")

    async def page() -> None:
        for each in of_tasks:
            await each.track("Watch", "i1", session_id="s")

    asyncio.run(page())
    exits._close_all()
    assert [made.counts.sent for made in of_threads] == [1] * 3
    assert [made.counts.sent for made in of_tasks] == [1] * 2
    assert service.count == 5


def test_all_trackers_share_one_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    now, given = [100.0], list[float]()

    class Hangs:
        _close_timeout = 5.0

        def flush(self, timeout: float) -> None:
            assert not given, "all begin before any is waited for"

        def close(self, timeout: float) -> None:
            given.append(timeout)
            now[0] += timeout

    trackers = [Hangs() for _ in range(4)]
    for each in trackers:
        exits.at_exit(each)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    exits._close_all()
    assert given == [5.0, 0.0, 0.0, 0.0]


def test_ctrl_c_at_exit_has_every_tracker_tell_what_was_not_sent() -> None:
    closed: list[float] = []

    class Interrupted:
        _close_timeout = 5.0

        def flush(self, timeout: float) -> None: ...

        def close(self, timeout: float) -> None:
            closed.append(timeout)
            if len(closed) == 1:
                raise KeyboardInterrupt

    trackers = [Interrupted(), Interrupted()]
    for each in trackers:
        exits.at_exit(each)
    with pytest.raises(KeyboardInterrupt):
        exits._close_all()
    assert closed[1:] == [0.0, 0.0]

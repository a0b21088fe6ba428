"""Trackers of tasks: event loops that end, cancelled tasks, and the exit of the interpreter."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from personalize_rt import RetryPolicy, ValidationError
from personalize_rt.aio import AsyncEventTracker
from tests.tracker.conftest import QUICK, TRACKING_ID, Service
from tests.tracker.test_tracker_of_threads import plain_client, run


def make(service: Service, session: Any, **options: Any) -> AsyncEventTracker:
    everything: dict[str, Any] = {
        **QUICK,
        "session": session,
        "endpoint_url": service.url,
        "close_timeout": 0.0,
        **options,
    }
    return AsyncEventTracker(TRACKING_ID, **everything)


def test_the_block_of_async_with_sends_what_is_left(service: Service, session: Any) -> None:
    async def program() -> None:
        async with make(service, session, flush_after=1000.0, close_timeout=20.0) as tracker:
            await tracker.track("Watch", "i1", session_id="s")

    asyncio.run(program())
    assert service.batches == [["i1"]]


def test_the_next_event_loop_sends_what_one_that_ended_left(service: Service, session: Any) -> None:
    tracker = make(service, session, flush_after=1000.0)

    async def page(item: str) -> None:
        await tracker.track("Watch", item, session_id="s")

    async def end() -> None:
        assert await tracker.flush(20)
        await tracker.aclose()

    asyncio.run(page("i1"))
    asyncio.run(page("i2"))
    asyncio.run(end())
    assert service.batches == [["i1", "i2"]]


def test_a_batch_that_was_in_flight_when_its_loop_ended_is_sent_again(service: Service, session: Any) -> None:
    service.script("hang")
    tracker = make(service, session, flush_after=0.0, deadline=30.0, retry=RetryPolicy(attempts=1))

    async def page() -> None:
        await tracker.track("Watch", "i1", session_id="s")
        while not service.count:
            await asyncio.sleep(0.01)

    async def end() -> None:
        assert await tracker.flush(20)
        await tracker.aclose()

    asyncio.run(page())
    asyncio.run(end())
    assert service.batches == [["i1"], ["i1"]]
    assert len({event["eventId"] for event in service.events}) == 1
    assert tracker.counts.sent == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_is_in_flight_in_a_loop_that_is_closed_under_its_tasks_is_sent_by_the_next(
    service: Service, session: Any
) -> None:
    service.script("hang", "hang")
    tracker = make(service, session, flush_after=0.0, deadline=30.0, retry=RetryPolicy(attempts=1), concurrency=2)

    async def page() -> None:
        for n in range(4):
            await tracker.track("Watch", f"i{n}", session_id=f"s-{n % 2}")
        while service.count < 2:
            await asyncio.sleep(0.01)

    async def end() -> None:
        assert await tracker.flush(20)
        await tracker.aclose()

    ended = asyncio.new_event_loop()
    ended.run_until_complete(page())
    left = {*tracker._senders}  # else they are told of as "destroyed but pending"
    ended.close()  # without cancelling its tasks, as asyncio.run() does
    asyncio.run(end())
    assert tracker.counts.sent == tracker.counts.queued == 4
    assert {event["itemId"] for event in service.events[2:]} == {"i0", "i1", "i2", "i3"}
    for sender in left:
        sender._log_destroy_pending = False


def test_an_event_is_queued_without_a_pause_of_its_task(service: Service, session: Any) -> None:
    """``await tracker.track(…)`` lets no other task run, so a page is not held up by others either."""

    async def program() -> None:
        async with make(service, session, flush_after=1000.0, close_timeout=20.0) as tracker:
            tracking = tracker.track("Watch", "i1", session_id="s")
            with pytest.raises(StopIteration):
                tracking.send(None)
            assert tracker.counts.pending == 1

    asyncio.run(program())


def test_a_page_that_is_cancelled_while_it_waits_for_room_leaves_nothing_behind(service: Service, session: Any) -> None:
    service.always("hang")

    async def program() -> None:
        tracker = make(service, session, max_events=1, on_full="block", flush_after=0.0, deadline=30.0)
        await tracker.track("Watch", "i1", session_id="s")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await tracker.track("Watch", "i2", session_id="s")
        assert (tracker.counts.queued, tracker.counts.dropped) == (1, 0)
        await tracker.aclose()

    asyncio.run(program())


def test_a_cancelled_close_tells_what_was_not_sent(service: Service, session: Any) -> None:
    service.always("hang")

    async def program() -> None:
        tracker = make(service, session, flush_after=0.0, deadline=30.0)
        await tracker.track("Watch", "i1", session_id="s")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await tracker.aclose(60.0)
        assert (tracker.counts.dropped, tracker.counts.pending) == (1, 0)

    asyncio.run(program())


def test_the_exit_of_the_interpreter_sends_what_is_left(service: Service) -> None:
    run(
        """
        import asyncio, os
        from personalize_rt.aio import AsyncEventTracker
        tracker = AsyncEventTracker("t-1", endpoint_url=os.environ["URL"], flush_after=1000.0)
        async def main():
            await tracker.connect()
            for n in range(3):
                await tracker.track("Watch", f"i{n}", session_id="s")
        asyncio.run(main())
        """,
        URL=service.url,
    )
    assert service.batches == [["i0", "i1", "i2"]]


def test_an_exit_in_an_outage_is_bounded_and_told(service: Service) -> None:
    service.always("hang")
    begun = time.monotonic()
    done = run(
        """
        import asyncio, logging, os
        logging.basicConfig()
        from personalize_rt.aio import AsyncEventTracker
        tracker = AsyncEventTracker("t-1", endpoint_url=os.environ["URL"], close_timeout=0.5)
        async def main():
            await tracker.track("Watch", "i1", session_id="s")
        asyncio.run(main())
        """,
        URL=service.url,
    )
    assert "1 event was not sent" in done.stderr
    assert time.monotonic() - begun < 50


def test_a_client_that_blocks_is_refused() -> None:
    with pytest.raises(ValidationError, match="block the event loop"):
        AsyncEventTracker(TRACKING_ID, plain_client())

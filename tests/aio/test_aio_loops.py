"""A runtime in one event loop after the other: what was left behind in a loop that is over holds up nobody."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine
from importlib.util import find_spec
from typing import Any

import pytest

from personalize_rt import Cache, CircuitBreaker, CircuitOpenError, Hedge, RetryPolicy, ServerError
from personalize_rt.aio import AsyncPersonalizeRuntime
from personalize_rt.resilience.tasks import racing

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
needs_aio = pytest.mark.skipif(find_spec("aiobotocore") is None, reason="needs aiobotocore")
SHORT = 0.5  # seconds; what a key that is dead costs here

# asyncio logs tasks that a closed loop leaves behind, and warns of their connections.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


async def source(runtime: Any) -> str:
    return str((await runtime.get_recommendations(campaign_arn=ARN)).info.source)


class LeftBehind:
    """Event loops that are closed while something is in flight in them."""

    def __init__(self) -> None:
        self._tasks: list[Any] = []  # as whoever starts a task may keep it

    def run(self, *calls: Coroutine[Any, Any, Any], until: Callable[[], bool]) -> None:
        loop = asyncio.new_event_loop()
        self._tasks += [loop.create_task(call) for call in calls]

        async def wait() -> None:
            while not until():
                await asyncio.sleep(0)

        loop.run_until_complete(asyncio.wait_for(wait(), 20))
        loop.close()


@pytest.fixture
def left_behind() -> LeftBehind:
    return LeftBehind()


def test_a_revalidation_left_behind_in_a_closed_loop_does_not_hold_up_the_next_one(
    async_runtime: Any, service: Any, fake_time: Any, left_behind: LeftBehind
) -> None:
    cache = Cache(ttl=10, stale_while_revalidate=10, clock=fake_time.clock)
    runtime = async_runtime(cache=cache, deadline=SHORT)
    assert asyncio.run(source(runtime)) == "service"
    fake_time.now += 11
    service.script("hang")
    left_behind.run(source(runtime), until=lambda: service.count == 2)
    fake_time.now += 100  # nothing is left to give meanwhile
    assert [asyncio.run(source(runtime)) for _ in range(2)] == ["service", "cache"]


def test_a_call_left_behind_in_a_closed_loop_does_not_hold_up_the_next_one(
    async_runtime: Any, service: Any, left_behind: LeftBehind
) -> None:
    runtime = async_runtime(cache=Cache(), deadline=SHORT)
    service.script("hang")
    left_behind.run(source(runtime), source(runtime), until=lambda: service.count == 1)
    assert [asyncio.run(source(runtime)) for _ in range(2)] == ["service", "cache"]


def test_it_holds_up_nobody_when_its_task_is_collected_either(async_runtime: Any, service: Any) -> None:
    """The end of a task that is dropped comes later than its loop's."""
    runtime = async_runtime(cache=Cache(), deadline=SHORT)
    service.script("hang", "hang")
    LeftBehind().run(source(runtime), source(runtime), until=lambda: service.count == 1)
    gc.collect()
    LeftBehind().run(source(runtime), until=lambda: service.count == 2)

    async def ask_twice() -> list[str]:
        first = asyncio.ensure_future(source(runtime))
        await asyncio.sleep(0)
        gc.collect()  # while an equal call is in flight, which must not land by that
        return [await first, await source(runtime)]

    assert asyncio.run(ask_twice()) == ["service", "cache"]


def test_tasks_of_two_loops_do_not_wait_for_each_other(async_runtime: Any, service: Any) -> None:
    """A client of the caller's may serve both; a future wakes tasks of its own loop only."""
    runtime = async_runtime(cache=Cache(personal=True), deadline=None)
    asked, over = threading.Event(), threading.Event()

    async def wait(_: Any) -> None:
        asked.set()
        await asyncio.to_thread(over.wait, 20)

    service.script(wait)
    answers: list[str] = []
    other = threading.Thread(target=lambda: answers.append(asyncio.run(source(runtime))))
    other.start()
    try:
        assert asked.wait(20)
        assert asyncio.run(asyncio.wait_for(source(runtime), 20)) == "service"
    finally:
        over.set()
        other.join(20)
    assert answers == ["service"]
    assert not runtime._policies.flights._in_flight


def test_a_probe_left_behind_in_a_closed_loop_makes_room_for_the_next_one(
    async_runtime: Any, service: Any, fake_time: Any, left_behind: LeftBehind
) -> None:
    breaker = CircuitBreaker(min_calls=1, open_for=5, clock=fake_time.clock)
    runtime = async_runtime(breaker=breaker, deadline=None, retry={"attempts": 1})
    service.script(503, "hang")
    with pytest.raises(ServerError):
        asyncio.run(source(runtime))
    fake_time.now += 5
    left_behind.run(source(runtime), until=lambda: service.count == 2)
    with pytest.raises(CircuitOpenError):
        asyncio.run(source(runtime))
    fake_time.now += 5
    assert asyncio.run(source(runtime)) == "service"


def test_hedges_left_behind_in_closed_loops_are_forgotten(
    async_runtime: Any, service: Any, left_behind: LeftBehind, settled: Any
) -> None:
    runtime = async_runtime(hedge=Hedge(after=0.0, percent=100), deadline=None)

    async def slow_to_leave(_: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    async def ask() -> None:
        await source(runtime)  # by its second request; the first one is cancelled and takes its time
        await settled()

    before = set(racing._left)
    for number in range(1, 4):
        service.script(slow_to_leave)
        left_behind.run(ask(), until=lambda number=number: service.count == 2 * number)
    service.script(slow_to_leave)

    async def ask_once_more() -> int:
        await ask()
        return len(racing._left - before)

    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(ask_once_more()) == 1  # of this loop
    loop.close()


def test_revalidations_left_behind_in_closed_loops_are_forgotten(
    async_runtime: Any, service: Any, fake_time: Any, left_behind: LeftBehind
) -> None:
    runtime = async_runtime(cache=Cache(ttl=0, stale_while_revalidate=1e9, clock=fake_time.clock), deadline=SHORT)
    asyncio.run(source(runtime))
    service.repeated = "hang"
    for count in range(2, 5):
        left_behind.run(source(runtime), until=lambda count=count: service.count == count)
    assert len(runtime._transport._background) == 1


# aiobotocore, too, resets a context variable where a task that is dropped has no context any more.
@needs_aio
@pytest.mark.filterwarnings("ignore:.*Exception ignored in. <coroutine:pytest.PytestUnraisableExceptionWarning")
def test_a_client_of_ours_answers_in_the_loop_after_one_that_was_closed_at_work(
    server: Any, left_behind: LeftBehind
) -> None:
    asked, over = threading.Event(), threading.Event()

    def wait(_: Any) -> None:
        asked.set()
        over.wait(20)

    options: dict[str, Any] = {"region_name": "eu-west-1", "endpoint_url": server.url, "retry": RetryPolicy(1)}
    runtime = AsyncPersonalizeRuntime(
        **options, deadline=20, cache=Cache(), hedge=Hedge(after=0.01, percent=100), breaker=CircuitBreaker()
    )
    server.script(wait, wait)
    left_behind.run(source(runtime), source(runtime), until=lambda: server.count == 2)

    async def ask() -> list[str]:
        async with runtime:
            return [await source(runtime), await source(runtime)]

    assert asked.is_set()
    assert asyncio.run(ask()) == ["service", "cache"]
    over.set()
    del left_behind._tasks[:]
    gc.collect()


@needs_aio
def test_a_forked_child_answers_in_a_loop_of_its_own(server: Any, forked: Any) -> None:
    asked, over = threading.Event(), threading.Event()

    def wait(_: Any) -> None:
        asked.set()
        over.wait(20)

    runtime = AsyncPersonalizeRuntime(
        region_name="eu-west-1", endpoint_url=server.url, deadline=20, cache=Cache(ttl=1000), retry=RetryPolicy(1)
    )
    server.script(wait)
    answers: list[str] = []

    async def ask() -> list[str]:
        async with runtime:
            return [await source(runtime), await source(runtime)]

    parent = threading.Thread(target=lambda: answers.extend(asyncio.run(ask())))
    parent.start()
    try:
        assert asked.wait(20)
        assert forked(lambda: asyncio.run(ask())) == "['service', 'cache']"
    finally:
        over.set()
        parent.join(20)
    assert answers == ["service", "cache"]


async def test_neither_the_loop_nor_a_call_beyond_its_patience_waits_for_a_mapping_in_which_another_call_is_stuck(
    async_runtime: Any, service: Any
) -> None:
    entered, over = threading.Event(), threading.Event()

    class Hangs(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            if not entered.is_set():
                entered.set()
                over.wait(20)
            return super().get(key, default)

    runtime = async_runtime(cache=Cache(store=Hangs()), deadline=1)
    try:
        assert [await source(runtime), await source(runtime)] == ["service", "service"]
        assert entered.is_set()  # so the loop went on while the mapping did not
    finally:
        over.set()
    assert await source(runtime) == "cache"  # what was answered meanwhile was kept

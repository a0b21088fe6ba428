"""Many requests on asyncio."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from personalize_rt import RetryPolicy, bulk
from personalize_rt.aio import AsyncPersonalizeRuntime
from personalize_rt.errors import InvalidInputError, ValidationError
from tests.bulk.conftest import AsyncClient, requests, service_error


@pytest.fixture
def client() -> AsyncClient:
    return AsyncClient()


@pytest.fixture
def runtime(client: AsyncClient) -> AsyncPersonalizeRuntime:
    return AsyncPersonalizeRuntime(client, retry=RetryPolicy(attempts=2, base=0, cap=0), deadline=None)


async def all_of(run: bulk.AsyncRun[Any]) -> list[Any]:
    return [outcome async for outcome in run]


def test_it_takes_what_the_run_on_threads_takes_but_for_processes() -> None:
    ours, theirs = inspect.signature(bulk.arun).parameters, inspect.signature(bulk.run).parameters
    assert list(ours) == [name for name in theirs if name != "processes"]
    assert {name: ours[name].default for name in ours} == {name: theirs[name].default for name in ours}


def test_outcomes_come_in_the_order_of_the_requests(runtime: AsyncPersonalizeRuntime, client: AsyncClient) -> None:
    turns = itertools.count()

    async def pause() -> None:
        for _ in range(7 * next(turns) % 5):
            await asyncio.sleep(0)

    client.pause = pause  # type: ignore[method-assign]
    run = bulk.arun(runtime, requests(range(300)), concurrency=8)
    outcomes = asyncio.run(all_of(run))
    assert [outcome.position for outcome in outcomes] == list(range(300))
    assert all(outcome.result().item_ids == (f"for-{n}",) for n, outcome in enumerate(outcomes))
    assert 1 < client.most_at_once <= 8
    assert run.summary.done == 300


def test_requests_may_come_asynchronously(runtime: AsyncPersonalizeRuntime) -> None:
    async def source() -> AsyncIterator[bulk.RankRequest]:
        for request in requests(range(100)):
            await asyncio.sleep(0)
            yield request

    assert len(asyncio.run(all_of(bulk.arun(runtime, source(), ordered=False)))) == 100


def test_only_a_few_requests_are_taken_ahead(runtime: AsyncPersonalizeRuntime) -> None:
    taken = 0

    def endless() -> Any:
        nonlocal taken
        for taken in itertools.count(1):
            yield from requests([taken])

    async def look() -> int:
        ahead = handed = 0
        async with bulk.arun(runtime, endless(), concurrency=4) as run:
            async for _ in run:
                handed += 1
                ahead = max(ahead, taken - handed)
                if handed == 300:
                    break
        return ahead

    assert asyncio.run(look()) <= 65


def test_errors_are_outcomes_or_raised(runtime: AsyncPersonalizeRuntime, client: AsyncClient) -> None:
    client.outcome = lambda user: service_error("InvalidInputException") if user == "3" else None
    outcomes = asyncio.run(all_of(bulk.arun(runtime, requests(range(6)))))
    assert [outcome.error is None for outcome in outcomes] == [True, True, True, False, True, True]
    with pytest.raises(InvalidInputError):
        asyncio.run(all_of(bulk.arun(runtime, requests(range(6)), on_error="raise")))


def test_a_throttled_request_is_called_again(runtime: AsyncPersonalizeRuntime, client: AsyncClient) -> None:
    refusals = iter([service_error("ThrottlingException")] * 3)
    client.outcome = lambda user: next(refusals, None) if user == "7" else None
    run = bulk.arun(runtime, requests(range(20)), tps=500)
    assert all(outcome.error is None for outcome in asyncio.run(all_of(run)))
    assert run.summary.throttles == 3


def test_a_defect_is_raised(runtime: AsyncPersonalizeRuntime, client: AsyncClient) -> None:
    client.outcome = lambda user: RuntimeError("a defect") if user == "3" else None
    with pytest.raises(Exception, match=r"."):
        asyncio.run(all_of(bulk.arun(runtime, requests(range(6)))))


def test_a_run_goes_on_where_it_stopped(runtime: AsyncPersonalizeRuntime, tmp_path: Path) -> None:
    path = tmp_path / "c"

    async def some() -> list[int]:
        seen = []
        async with bulk.arun(runtime, requests(range(100)), checkpoint=path) as run:
            async for outcome in run:
                seen.append(outcome.position)
                if len(seen) == 30:
                    break
        return seen

    first = asyncio.run(some())
    assert json.loads(path.read_text())["before"] == 29
    rest = [
        outcome.position for outcome in asyncio.run(all_of(bulk.arun(runtime, requests(range(100)), checkpoint=path)))
    ]
    assert first[:29] + rest == list(range(100))
    assert not path.exists()


def test_ctrl_c_lets_what_is_in_flight_end(runtime: AsyncPersonalizeRuntime, client: AsyncClient) -> None:
    seen: list[str] = []

    async def interrupted() -> None:
        async for outcome in bulk.arun(runtime, requests(range(10_000)), concurrency=4):
            seen.append(outcome.request.user_id)  # type: ignore[attr-defined]
            if len(seen) == 10:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(bulk.InterruptedRun, match="stopped after"):
        asyncio.run(interrupted())
    assert sorted(seen) == sorted(client.asked)
    assert len(seen) < 500


def test_whoever_is_cancelled_cancels_what_is_in_flight(runtime: AsyncPersonalizeRuntime, client: AsyncClient) -> None:
    cancelled = []

    async def pause() -> None:
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            cancelled.append(1)
            raise

    client.pause = pause  # type: ignore[method-assign]

    async def main() -> set[str]:
        task = asyncio.create_task(all_of(bulk.arun(runtime, requests(range(10)), concurrency=3)))
        while client.most_at_once < 3:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return {task.get_name() for task in asyncio.all_tasks()}

    assert "personalize-rt-bulk" not in asyncio.run(main())
    assert len(cancelled) == 3


def test_a_runtime_of_the_other_kind_is_refused() -> None:
    from personalize_rt import PersonalizeRuntime

    with pytest.raises(ValidationError, match="not an AsyncPersonalizeRuntime; for a PersonalizeRuntime there is run"):
        bulk.arun(PersonalizeRuntime(), [])  # type: ignore[arg-type]


def test_what_failed_in_an_outage_is_asked_again(
    runtime: AsyncPersonalizeRuntime, client: AsyncClient, tmp_path: Path
) -> None:
    path = tmp_path / "c"
    client.outcome = lambda user: service_error("ServiceUnavailable", 503) if int(user) >= 20 else None
    run = bulk.arun(runtime, requests(range(1_000)), concurrency=4, checkpoint=path)
    with pytest.raises(bulk.OutageError, match=r"ServerError: .*503"):
        asyncio.run(all_of(run))
    assert (run.summary.done, run.summary.failed) == (20, {})
    client.outcome = lambda user: service_error("ServiceUnavailable", 503) if int(user) >= 90 else None
    outcomes = asyncio.run(all_of(bulk.arun(runtime, requests(range(100)), checkpoint=path)))
    assert [outcome.position for outcome in outcomes] == list(range(20, 100))
    assert [outcome.position for outcome in outcomes if outcome.error] == list(range(90, 100))


@pytest.mark.parametrize("concurrency", [1, 4, 12, 13, 64])
@pytest.mark.parametrize("code", ["InvalidInputException", None])
def test_a_mistake_in_all_requests_ends_the_run_whatever_the_concurrency_and_none_is_done(
    runtime: AsyncPersonalizeRuntime, client: AsyncClient, tmp_path: Path, code: str | None, concurrency: int
) -> None:
    client.outcome = lambda user: service_error(code) if code else None
    taken: list[int] = []
    wrong = requests((taken.append(n), "u" * (9 if code else 300))[1] for n in range(5_000))
    run = bulk.arun(runtime, wrong, concurrency=concurrency, checkpoint=tmp_path / "c")
    with pytest.raises(bulk.AllRefusedError, match="the first 100 requests were all refused alike"):
        asyncio.run(all_of(run))
    assert run.summary.total == 0
    assert not (tmp_path / "c").exists()
    assert 100 <= len(taken) < 100 + concurrency


@pytest.mark.parametrize("answered", [0, 300])
@pytest.mark.parametrize("concurrency", [1, 4, 64])
def test_an_outage_ends_the_run_whatever_the_concurrency_and_none_of_it_is_done(
    runtime: AsyncPersonalizeRuntime, client: AsyncClient, concurrency: int, answered: int
) -> None:
    client.outcome = lambda user: service_error("ServiceUnavailable", 503) if int(user) >= answered else None
    run = bulk.arun(runtime, requests(range(5_000)), concurrency=concurrency)
    with pytest.raises(bulk.OutageError):
        asyncio.run(all_of(run))
    assert (run.summary.done, run.summary.failed) == (answered, {})
    # What was taken ahead while requests were answered is sent.
    ahead = max(64, 8 * concurrency) if answered else 0
    assert len(set(client.asked)) - answered <= max(99 + concurrency, ahead)

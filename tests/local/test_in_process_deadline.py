"""In process, a call sees the clock that it would see over the network, its deadline included."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from personalize_rt import DeadlineExceededError, PopularItemsFallback, RetryPolicy
from personalize_rt.local import LocalPersonalize


@pytest.fixture(scope="module")
def local() -> LocalPersonalize:
    return LocalPersonalize.sample()


@pytest.fixture(params=["sync", "async"])
def ask(request: Any, local: LocalPersonalize) -> Any:
    """Ranks once through a runtime with some options; gives the answer, and the seconds that were waited for nothing.

    Those are of the service's clock, which a busy machine cannot move.
    """

    def ask(**options: Any) -> tuple[Any, float]:
        wanted = {"campaign_arn": local.campaign_arn("movies-ranking"), "user_id": "1", "input_list": ["tt0000001"]}
        start = local._skipped
        try:
            if request.param == "sync":
                with local.runtime(**options) as runtime:
                    return runtime.get_personalized_ranking(**wanted), local._skipped - start

            async def answer() -> Any:
                async with local.async_runtime(**options) as runtime:
                    return await runtime.get_personalized_ranking(**wanted)

            return asyncio.run(answer()), local._skipped - start
        finally:
            local.faults.clear()

    return ask


FAULTS = {
    "late": lambda faults: faults.latency(0.3),
    "drips": lambda faults: faults.drip(bytes_per_second=10),
    "hangs": lambda faults: faults.hang(),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_deadline_ends_a_call_that_a_fault_delays(fault: str, ask: Any, local: LocalPersonalize) -> None:
    FAULTS[fault](local.faults)
    fallback = PopularItemsFallback(["popular"])
    answer, elapsed = ask(deadline=0.15, fallback=fallback)
    assert (answer.degraded, type(answer.cause)) == (True, DeadlineExceededError)
    assert elapsed <= 0.15  # less where the machine itself took some of the time


def test_a_delay_within_the_deadline_is_only_late(ask: Any, local: LocalPersonalize) -> None:
    local.faults.latency(0.3)
    answer, elapsed = ask(deadline=5.0)
    assert not answer.degraded
    assert elapsed == pytest.approx(0.3)


def test_without_a_deadline_the_read_time_out_ends_a_hang(ask: Any, local: LocalPersonalize) -> None:
    local.faults.hang()
    retry = RetryPolicy(1, clock=local.time, sleep=local.skip)
    answer, elapsed = ask(deadline=None, retry=retry, fallback=PopularItemsFallback(["popular"]))
    assert answer.degraded
    assert elapsed == pytest.approx(1.0)

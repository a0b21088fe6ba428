"""Whatever is ill (``tests/sick``), a caller of the async client is free at the deadline.

With a guard that only a real hang breaks, beyond what a bare socket on a thread takes beside the calls: without the
deadline each slow server would hold a call for ten seconds or for a minute. ``benchmarks/deadlines.py`` measures how
close to the deadline calls end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason='aiobotocore is not installed: pip install "personalize-rt[aio]"')
from botocore.config import Config

from personalize_rt import DeadlineExceededError, InvalidInputError, PersonalizeError, RetryPolicy, TransportError
from personalize_rt.aio import AsyncPersonalizeRuntime
from personalize_rt.resilience.breaker import CircuitBreaker
from personalize_rt.resilience.cache import Cache
from personalize_rt.resilience.fallback import InputOrderFallback
from personalize_rt.resilience.hedge import Hedge
from tests.sick import control
from tests.sick.kinds import ANSWERS, HOSTILE, KINDS, NOT_TRUSTED
from tests.sick.server import SickServer

DEADLINE = 0.15  # seconds
GUARD = 5.0  # seconds beyond the latest control

# The deadline cannot interrupt a store that is slow (docs/resilience.md), and one event loop waits for all look-ups.
BOUNDED = {name: kind for name, kind in KINDS.items() if name != "store: is slow"}

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # the server's, when the loop ends first


@asynccontextmanager
async def against(server: SickServer, **options: Any) -> AsyncIterator[AsyncPersonalizeRuntime]:
    """A connected runtime for a sick server, which then falls ill if it was not."""
    patient = Config(connect_timeout=60, read_timeout=60)
    defaults: dict[str, Any] = {"region_name": "eu-west-1", "deadline": DEADLINE, "config": patient}
    with ExitStack() as stack:
        more = {**options, **stack.enter_context(server.kind.options())}
        async with AsyncPersonalizeRuntime(endpoint_url=server.url, **{**defaults, **more}) as runtime:
            await runtime.connect()
            server.fall_ill()
            yield runtime


async def outcomes(runtime: AsyncPersonalizeRuntime, server: SickServer, *, calls: int = 20) -> list[Any]:
    """So many calls at once, none of them much later than a bare socket beside them."""
    taken: list[float] = []

    async def one() -> Any:
        start = time.perf_counter()
        try:
            return await runtime.get_personalized_ranking(**server.kind.request)
        except PersonalizeError as error:
            return error
        finally:
            taken.append(time.perf_counter() - start)

    with control.beside(server.port, DEADLINE) as controls:
        made = await asyncio.gather(*(one() for _ in range(calls)))
    assert max(taken) < max(controls) + GUARD
    return made


@pytest.mark.parametrize("name", BOUNDED)
async def test_whatever_is_ill_a_call_ends_in_time_and_as_it_should(name: str, sick_server: Any) -> None:
    server = sick_server(name)
    async with against(server, retry=RetryPolicy(3, base=0.02)) as runtime:
        for outcome in await outcomes(runtime, server):
            end = type(outcome).__name__ if isinstance(outcome, PersonalizeError) else ANSWERS
            assert end in server.kind.ends
            if server.kind in NOT_TRUSTED and isinstance(outcome, TransportError):
                assert (outcome.phase, outcome.attempts) == ("tls", 1)


@pytest.mark.parametrize("name", BOUNDED)
async def test_with_all_policies_each_call_has_an_answer_in_time(name: str, sick_server: Any) -> None:
    server = sick_server(name)
    options: dict[str, Any] = {
        "fallback": InputOrderFallback(),
        "breaker": CircuitBreaker(min_calls=4),
        "cache": Cache(),
        "hedge": Hedge(after=0.03, percent=100),
    }
    async with against(server, **options) as runtime:
        for answer in await outcomes(runtime, server, calls=12):
            if isinstance(answer, InvalidInputError):  # the request's own fault, for which there is no fallback
                assert server.kind in HOSTILE
                continue
            assert not isinstance(answer, PersonalizeError)
            if answer.degraded:
                assert list(answer.item_ids) == server.kind.request["input_list"]


async def test_a_connection_that_died_in_the_pool_costs_one_deadline_and_no_more(sick_server: Any) -> None:
    server = sick_server("is half open")
    async with against(server) as runtime:
        (healthy,) = await outcomes(runtime, server, calls=1)
        assert not isinstance(healthy, PersonalizeError)
        (dead,) = await outcomes(runtime, server, calls=1)
        assert isinstance(dead, DeadlineExceededError)
        (healthy,) = await outcomes(runtime.with_options(deadline=20), server, calls=1)  # on a new connection
        assert not isinstance(healthy, PersonalizeError)

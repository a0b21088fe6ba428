"""Every sick server of the fault suite (``tests/resilience/faults/sick.py``) with the async client.

With a guard that only a real hang breaks: without the deadline each slow server would hold a call for ten seconds or
for a minute. ``benchmarks/deadlines.py`` measures how close to the deadline calls end.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
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

SICK = Path(__file__).parents[1] / "resilience" / "faults" / "sick.py"
spec = importlib.util.spec_from_file_location("sick_for_aio", SICK)
assert spec is not None
assert spec.loader is not None
sick = importlib.util.module_from_spec(spec)
sys.modules["sick_for_aio"] = sick
spec.loader.exec_module(sick)

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
DEADLINE = 0.15  # seconds
GUARD = 5.0  # seconds beyond it
INPUT = ["i1", "i2", "i3"]
NOT_TRUSTED = {"TLS: speaks something else", "TLS: is not trusted"}
REFUSES = {"refuses at once"}
FLOODS = {"floods chunks of one byte", "floods a chunk's extension", "floods trailers", "floods heads"}
FLOODS |= {"floods headers", "promises more than can be"}
BREAKS = {"resets", "resets in its body", "hangs up", "refuses", "TLS: breaks its handshake off"}

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # the server's, when the loop ends first


@pytest.fixture
def sick_server(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    with ExitStack() as stack:

        def start(kind: str) -> Any:
            if kind in sick.TRUSTED:
                monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
            return stack.enter_context(sick.SickServer(kind, certificate))

        yield start


def ours(url: str, **options: Any) -> AsyncPersonalizeRuntime:
    defaults: dict[str, Any] = {"deadline": DEADLINE, "config": Config(connect_timeout=60, read_timeout=60)}
    return AsyncPersonalizeRuntime(region_name="eu-west-1", endpoint_url=url, **{**defaults, **options})


async def outcomes(runtime: AsyncPersonalizeRuntime, calls: int = 8) -> list[Any]:
    await runtime.connect()

    async def one() -> Any:
        start = time.monotonic()
        try:
            outcome: Any = await runtime.get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=INPUT)
        except PersonalizeError as error:
            outcome = error
        assert time.monotonic() - start < DEADLINE + GUARD
        return outcome

    return await asyncio.gather(*(one() for _ in range(calls)))


@pytest.mark.parametrize("kind", [kind for kind in sick.KINDS if kind not in REFUSES])
async def test_no_sick_server_holds_anybody(kind: str, sick_server: Any) -> None:
    async with ours(sick_server(kind).url, retry=RetryPolicy(3, base=0.02)) as runtime:
        for outcome in await outcomes(runtime):
            if kind == "is half open" and not isinstance(outcome, PersonalizeError):
                continue
            breaks = kind in BREAKS | FLOODS | NOT_TRUSTED
            assert isinstance(outcome, TransportError | DeadlineExceededError if breaks else DeadlineExceededError)
            if kind in NOT_TRUSTED and isinstance(outcome, TransportError):
                assert (outcome.phase, outcome.attempts) == ("tls", 1)


@pytest.mark.fast_path  # aiohttp lets go of what came before the reset
@pytest.mark.parametrize("kind", REFUSES)
async def test_a_refusal_that_comes_early_is_told_and_not_tried_again(kind: str, sick_server: Any) -> None:
    async with ours(sick_server(kind).url, retry=RetryPolicy(3, base=0.02)) as runtime:
        for outcome in await outcomes(runtime):
            assert isinstance(outcome, InvalidInputError)
            assert (outcome.status_code, outcome.attempts) == (413, 1)


@pytest.mark.parametrize("kind", [kind for kind in sick.KINDS if kind not in REFUSES])
async def test_with_all_policies_each_call_has_an_answer_in_time(kind: str, sick_server: Any) -> None:
    options: dict[str, Any] = {
        "fallback": InputOrderFallback(),
        "breaker": CircuitBreaker(min_calls=4),
        "cache": Cache(),
        "hedge": Hedge(after=0.03, percent=100),
    }
    async with ours(sick_server(kind).url, **options) as runtime:
        for answer in await outcomes(runtime, calls=12):
            assert not isinstance(answer, PersonalizeError)
            if answer.degraded:
                assert answer.item_ids == tuple(INPUT)


async def test_a_connection_that_died_in_the_pool_costs_one_deadline_and_no_more(sick_server: Any) -> None:
    async with ours(sick_server("is half open").url) as runtime:
        (healthy,) = await outcomes(runtime, calls=1)
        assert not isinstance(healthy, PersonalizeError)
        (dead,) = await outcomes(runtime, calls=1)
        assert isinstance(dead, DeadlineExceededError)
        (healthy,) = await outcomes(runtime.with_options(deadline=20), calls=1)  # on a new connection
        assert not isinstance(healthy, PersonalizeError)

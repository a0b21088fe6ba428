"""The faults of the embedded service, over HTTP: in time, and with an answer that is a permutation of the input."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.config import Config

from personalize_rt import (
    AccessDeniedError,
    CircuitBreaker,
    DeadlineExceededError,
    Hedge,
    InputOrderFallback,
    PersonalizeError,
    PersonalizeRuntime,
    ResponseError,
    RetryPolicy,
    ServerError,
    ThrottlingError,
    TransportError,
)
from personalize_rt.local import LocalPersonalize
from personalize_rt.local.faults import Faults
from personalize_rt.local.faults.kinds import KINDS
from tests.optional import optional

optional("uvicorn")
optional("starlette")

DEADLINE = 0.2  # seconds
GUARD = 5.0  # seconds beyond it, for a busy machine
FILMS = ["tt0468569", "tt0111161", "not-a-film", "tt0133093", "tt0120338"]

Errors = tuple[type[PersonalizeError], ...]

ELSEWHERE = {"deny", "min_provisioned_tps"}  # an error of the caller; not of each request
NEEDED: dict[str, dict[str, Any]] = {"latency": {"seconds": 2}}


def made_from_json(name: str) -> Callable[[Faults], object]:
    return lambda faults: faults.add({"fault": name, **NEEDED.get(name, {})})


FAULTS: dict[str, tuple[Callable[[Faults], object], Errors]] = {
    **{name: (made_from_json(name), kind.caller_sees) for name, kind in KINDS.items() if name not in ELSEWHERE},
    "throttle, come back in a minute": (lambda faults: faults.throttle(retry_after=60), (ThrottlingError,)),
    "fail as a proxy does": (lambda faults: faults.fail(504), (ServerError,)),
    "drip of the head": (lambda faults: faults.drip("head", bytes_per_second=50), ()),
    "drip of the body": (lambda faults: faults.drip("body", bytes_per_second=50), ()),
    "reset in the head": (lambda faults: faults.reset(0, part="head"), (TransportError,)),
    "more announced than sent": (lambda faults: faults.wrong_length(5), (TransportError,)),
    "less announced than sent": (lambda faults: faults.wrong_length(-5), (ResponseError,)),
}


NAMES = [
    # What came of a cut body is handed on by botocore as if it were all.
    pytest.param(name, marks=[pytest.mark.direct] if name == "more announced than sent" else [])
    for name in FAULTS
]


@pytest.fixture(scope="module")
def local() -> LocalPersonalize:
    return LocalPersonalize.sample()


@pytest.fixture(scope="module")
def url(local: LocalPersonalize, made_up_aws_account: None) -> Iterator[str]:
    with local.serve() as url:
        yield url


@pytest.fixture
def made(local: LocalPersonalize, url: str, session: Any) -> Iterator[Callable[..., PersonalizeRuntime]]:
    runtimes: list[PersonalizeRuntime] = []

    def make(**options: Any) -> PersonalizeRuntime:
        patient = Config(connect_timeout=60, read_timeout=60)  # only the deadline ends a call
        defaults: dict[str, Any] = {"deadline": DEADLINE, "retry": RetryPolicy(3, base=0.02), "config": patient}
        runtimes.append(PersonalizeRuntime(session=session, endpoint_url=url, **{**defaults, **options}))
        return runtimes[-1].connect()

    yield make
    local.faults.clear()
    for runtime in runtimes:
        runtime.close()


def rank(runtime: PersonalizeRuntime, local: LocalPersonalize) -> Any:
    start = time.monotonic()
    try:
        return runtime.campaign(local.campaign_arn("movies-ranking")).rank("13974", FILMS)
    finally:
        assert time.monotonic() - start < DEADLINE + GUARD


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_is_an_error_of_its_kind_in_time(name: str, local: Any, made: Any) -> None:
    fault, kinds = FAULTS[name]
    fault(local.faults)
    with pytest.raises((*kinds, DeadlineExceededError)):  # on a busy machine any of them may be too late
        rank(made(), local)


@pytest.mark.parametrize("name", NAMES)
def test_with_a_fallback_it_is_a_permutation_of_the_input(name: str, local: Any, made: Any) -> None:
    fault, kinds = FAULTS[name]
    fault(local.faults)
    ranking = rank(made(fallback=InputOrderFallback(), hedge=Hedge(after=0.05, percent=100)), local)
    assert (sorted(ranking.item_ids), ranking.degraded) == (sorted(FILMS), True)
    assert isinstance(ranking.cause, (*kinds, DeadlineExceededError))


def test_a_denial_is_the_caller_s_error(local: Any, made: Any) -> None:
    local.faults.deny()
    with pytest.raises(AccessDeniedError):
        rank(made(fallback=InputOrderFallback(), deadline=10), local)


def test_a_fault_that_passes_is_not_noticed(local: Any, made: Any) -> None:
    runtime = made(deadline=10)
    for fault in (local.faults.throttle, local.faults.fail, local.faults.reset):
        fault(times=1)
        local_ranking = runtime.campaign(local.campaign_arn("movies-ranking")).rank("13974", FILMS)
        assert (local_ranking.degraded, local_ranking.info.attempts) == (False, 2)


def test_a_hang_of_one_request_is_hedged_away(local: Any, made: Any) -> None:
    local.faults.hang(times=1)
    ranking = rank(made(deadline=10, hedge=Hedge(after=0.02, percent=100)), local)
    assert (ranking.degraded, ranking.info.attempts, sorted(ranking.item_ids)) == (False, 2, sorted(FILMS))


def test_when_the_service_comes_back_so_do_its_answers(local: Any, made: Any) -> None:
    now = [0.0]
    breaker = CircuitBreaker(min_calls=2, open_for=5, clock=lambda: now[0])
    runtime = made(fallback=InputOrderFallback(), breaker=breaker, retry=RetryPolicy(1))
    local.faults.fail()
    assert [rank(runtime, local).info.attempts for _ in range(4)] == [1, 1, 0, 0]
    local.faults.clear()
    assert rank(runtime, local).degraded
    now[0] = 5.0
    assert not rank(runtime, local).degraded

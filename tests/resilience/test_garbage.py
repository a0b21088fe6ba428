"""A call leaves nothing that only a full garbage collection frees: its pause would break other calls' deadlines."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import attrs
import pytest
from botocore.exceptions import EndpointConnectionError

from personalize_rt import PersonalizeError, TransportError
from personalize_rt.resilience.breaker import CircuitBreaker
from personalize_rt.resilience.cache import Cache
from personalize_rt.resilience.fallback import InputOrderFallback
from personalize_rt.resilience.hedge import Hedge

pytestmark = pytest.mark.fast_path

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
CALLS = 20
RANKING = {"personalizedRanking": [{"itemId": "a", "score": 0.5}], "recommendationId": "R"}


@pytest.fixture
def circles() -> Iterator[Callable[[Callable[[], Any]], Counter[str]]]:
    """Counts the objects that many calls leave in circles, by type, a call."""

    def count(call: Callable[[], Any]) -> Counter[str]:
        for _ in range(3):
            call()
        gc.freeze()  # what is here already is not looked at again, so that a collection takes no time
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        for _ in range(CALLS):
            call()
        gc.collect()
        found = Counter(type(each).__name__ for each in gc.garbage)
        return Counter({kind: number // CALLS for kind, number in found.items() if number >= CALLS})

    yield count
    gc.set_debug(0)
    gc.garbage.clear()
    gc.collect()
    gc.unfreeze()
    gc.enable()


def rank(runtime: Any) -> Callable[[], Any]:
    def call() -> None:
        with suppress(PersonalizeError):
            runtime.get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=["a"])

    return call


def test_an_answered_call_leaves_no_circle(circles: Any, runtime: Any, server: Any) -> None:
    server.always(RANKING)
    assert not circles(rank(runtime()))


@pytest.mark.parametrize("outcome", [503, 400, "close", b"no json"], ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"fallback": InputOrderFallback()},
        {"cache": Cache(personal=True)},
        {"breaker": CircuitBreaker(min_calls=10_000)},
        {"hedge": Hedge(after=0.0, percent=100)},
    ],
    ids=lambda options: next(iter(options), "nothing"),
)
def test_a_failed_call_leaves_no_circle(
    options: dict[str, Any], outcome: Any, circles: Any, runtime: Any, server: Any
) -> None:
    server.always(server.answer(200, outcome) if isinstance(outcome, bytes) else outcome)
    left = circles(rank(runtime(**options)))
    assert left.total() <= 4, left  # a few of tenacity's own


def test_a_call_of_a_caller_s_client_leaves_no_circle_on_its_thread(
    circles: Any, runtime: Any, plain_client: Any, server: Any
) -> None:
    server.always("close")
    left = circles(rank(runtime(client=plain_client(), enforce_deadline=True, deadline=60)))
    assert left.total() <= 4, left


def test_a_call_that_its_retry_saved_leaves_no_circle(circles: Any, runtime: Any, server: Any) -> None:
    server.script(*[503, RANKING] * (CALLS + 3))
    left = circles(rank(runtime()))
    assert left.total() <= 4, left


@attrs.frozen
class FrozenError(Exception):
    """Cannot be changed, not even its traceback, but by ``with_traceback``."""


class Failover:
    """A client of the caller's, which keeps what happened to its first attempt."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def get_recommendations(self, **_: Any) -> Any:
        try:
            raise self.error
        except Exception as error:
            raise EndpointConnectionError(endpoint_url="https://second", error=error) from error


@pytest.mark.parametrize("error", [LookupError("of the caller"), FrozenError()], ids=["plain", "frozen"])
def test_an_error_that_the_caller_s_client_keeps_has_its_traceback(error: Exception, runtime: Any) -> None:
    with pytest.raises(TransportError):
        runtime(client=Failover(error), retry={"attempts": 1}).get_recommendations(campaign_arn=ARN)
    assert error.__traceback__ is not None


def test_what_the_caller_is_handling_meanwhile_keeps_its_traceback(runtime: Any, server: Any) -> None:
    server.always("close")
    call = rank(runtime())
    try:
        raise LookupError("of the caller")
    except LookupError as error:
        call()
        kept = error.__traceback__
    assert kept is not None

"""The order of the policies, what copies of a client share, and that what is off is not there."""

from __future__ import annotations

import inspect
import subprocess
import sys
import threading
from typing import Any

import pytest

from personalize_rt import (
    CircuitOpenError,
    PersonalizeRuntime,
    RetryPolicy,
    ServerError,
    ValidationError,
)
from personalize_rt.events import Event
from personalize_rt.resilience.breaker import CircuitBreaker
from personalize_rt.resilience.cache import Cache
from personalize_rt.resilience.fallback import InputOrderFallback, PopularItemsFallback
from personalize_rt.resilience.hedge import Hedge

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"


# fallback [ deadline [ cache [ breaker [ budget, retry [ hedge [ send ] ] ] ] ] ]


def test_the_fallback_is_around_all_else(runtime: Any, server: Any, fake_time: Any) -> None:
    """It answers for what the breaker, the cache and the deadline could not; and its answer is not cached."""
    breaker = CircuitBreaker(min_calls=1, open_for=5, clock=fake_time.clock)
    made = runtime(fallback=PopularItemsFallback(["p"]), breaker=breaker, cache=Cache(), retry={"attempts": 1})
    server.script(503)
    assert [made.get_recommendations(campaign_arn=ARN).info.source for _ in range(3)] == ["fallback"] * 3
    assert server.count == 1
    fake_time.now += 5
    assert made.get_recommendations(campaign_arn=ARN).info.source == "service"


def test_the_cache_is_around_the_breaker(runtime: Any, server: Any) -> None:
    breaker = CircuitBreaker(min_calls=2)
    made = runtime(cache=Cache(), breaker=breaker, retry={"attempts": 1})
    made.get_recommendations(campaign_arn=ARN)
    server.always(503)
    with pytest.raises(ServerError):
        made.get_recommendations(campaign_arn=ARN, num_results=3)
    assert breaker.state(ARN) == "open"
    assert made.get_recommendations(campaign_arn=ARN).info.source == "cache"


def test_the_breaker_is_around_the_retries(runtime: Any, server: Any, fake_time: Any) -> None:
    """It counts calls; and when it opens within a call, that call's own retries go on."""
    breaker = CircuitBreaker(min_calls=1, clock=fake_time.clock)
    made = runtime(breaker=breaker, retry={"attempts": 3})
    server.always(503)
    with pytest.raises(ServerError) as caught:
        made.get_recommendations(campaign_arn=ARN)
    assert caught.value.attempts == 3
    with pytest.raises(CircuitOpenError):
        made.get_recommendations(campaign_arn=ARN)
    assert (server.count, len(fake_time.slept)) == (3, 2)


def test_an_open_breaker_costs_no_token(runtime: Any, server: Any) -> None:
    made = runtime(breaker=CircuitBreaker(min_calls=1), retry={"attempts": 2})
    server.always(503)
    for _ in range(10):
        with pytest.raises((ServerError, CircuitOpenError)):
            made.get_recommendations(campaign_arn=ARN)
    assert made._policies.budget.tokens == 495


def test_each_attempt_may_hedge(session: Any, server: Any) -> None:
    told: list[Event] = []
    both = threading.Barrier(2)

    def fail_together(_: Any) -> int:
        both.wait(10)
        return 503

    server.script(fail_together, fail_together, "hang", {"itemList": [{"itemId": "fourth"}]})
    with PersonalizeRuntime(
        session=session,
        endpoint_url=server.url,
        hedge=Hedge(after=0.02, percent=100),
        retry=RetryPolicy(2, base=0),
        deadline=None,
        hooks=[told.append],
    ) as runtime:
        answer = runtime.get_recommendations(campaign_arn=ARN)
    assert (answer.item_ids, answer.info.attempts, server.count) == (("fourth",), 4, 4)
    assert [type(event).__name__ for event in told].count("HedgeStarted") == 2


# What copies share


OPTIONS = {
    "retry": RetryPolicy(7),
    "deadline": 9.0,
    "fallback": InputOrderFallback(),
    "breaker": CircuitBreaker(),
    "cache": Cache(),
    "hedge": Hedge(),
    "hooks": (print,),
    "enforce_deadline": True,
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_copy_changes_what_is_given_and_shares_the_rest(name: str) -> None:
    made = PersonalizeRuntime(region_name="eu-west-1", **{**OPTIONS, name: _other(name)})
    copied = made.with_options(**{name: OPTIONS[name]})
    assert getattr(copied._policies, name) is OPTIONS[name] or getattr(copied._policies, name) == OPTIONS[name]
    for shared in {*OPTIONS, "budget"} - {name}:
        assert getattr(copied._policies, shared) is getattr(made._policies, shared)
    assert copied._transport is made._transport
    assert getattr(made._policies, name) == _other(name)


def _other(name: str) -> Any:
    return {"retry": RetryPolicy(2), "deadline": 1.0, "hooks": (), "enforce_deadline": False}.get(name)


def test_every_policy_can_be_switched_off(runtime: Any, server: Any) -> None:
    made = runtime(**{name: value for name, value in OPTIONS.items() if name not in ("retry", "hooks")})
    off = made.with_options(
        deadline=None, fallback=None, breaker=None, cache=None, hedge=None, hooks=(), enforce_deadline=False
    )
    assert off.get_recommendations(campaign_arn=ARN).info.source == "service"
    assert off.get_recommendations(campaign_arn=ARN).info.source == "service"


def test_with_options_takes_what_the_constructor_takes_beside_the_client() -> None:
    constructor = inspect.signature(PersonalizeRuntime).parameters
    copy = inspect.signature(PersonalizeRuntime.with_options).parameters
    of_the_client = {"client", "region_name", "session", "endpoint_url", "config", "verify", "redact"}
    assert set(constructor) - of_the_client == set(copy) - {"self"}


def test_a_copy_s_end_is_not_the_end_of_the_client(runtime: Any) -> None:
    made = runtime()
    with made.with_options(deadline=1) as copied:
        copied.get_recommendations(campaign_arn=ARN)
    assert made.get_recommendations(campaign_arn=ARN).item_ids == ("i1",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("breaker", True),
        ("breaker", object()),
        ("cache", {}),
        ("cache", True),
        ("hedge", 0.1),
        ("fallback", ["i1"]),
        ("fallback", True),
        ("hooks", [None]),
        ("hooks", ["print"]),
        ("hooks", print),
        ("hooks", None),
        ("enforce_deadline", "yes"),
    ],
)
def test_an_option_that_is_no_policy_is_refused_at_once(name: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        PersonalizeRuntime(region_name="eu-west-1", **{name: value})
    assert caught.value.parameter == name
    with pytest.raises(ValidationError):
        PersonalizeRuntime(region_name="eu-west-1").with_options(**{name: value})


# What is off is not there


def test_a_policy_that_is_off_is_not_even_imported(server: Any) -> None:
    script = f"""
import sys
from personalize_rt import PersonalizeRuntime
runtime = PersonalizeRuntime(region_name="eu-west-1", endpoint_url={server.url!r})
runtime.get_recommendations(campaign_arn={ARN!r})
print(*sorted(name.rpartition(".")[2] for name in sys.modules if name.startswith("personalize_rt.resilience.")))
print("tenacity" in sys.modules, "personalize_rt.events" in sys.modules, "personalize_rt.telemetry" in sys.modules)
"""
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed == "attempt budget call retry threads\nFalse False False\n"

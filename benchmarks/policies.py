"""What the policies cost a healthy call: ``python -m benchmarks.policies``.

The transport answers at once, so that what is measured is the drivers and policies alone: CPU time of one call, each
way in turn within one run; a healthy call ends long before it would be hedged. "off" is a runtime without any policy
but retry and deadline, as it comes; "bare" is the transport and the result without any driver. The promise: all
policies together cost a healthy call at most 15 µs more than off, and off costs what bare does, but for the call's own
clock and count.

``--quick`` (fewer rounds), ``--json FILE``. Ends with status 1 when the policies cost more than promised.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.contenders import ARN, credentials_for_all, items
from benchmarks.measuring import side_by_side

AT_MOST = 15.0  # microseconds


class AtOnce:
    """Stands for a client: the same answer to every request."""

    def __init__(self, size: int) -> None:
        rows = [{"itemId": id, "score": 0.5} for id in items(size)]
        self._reply = {"personalizedRanking": rows, "itemList": rows, "ResponseMetadata": {"RequestId": "x"}}

    def get_recommendations(self, **_: Any) -> Any:
        return self._reply

    get_personalized_ranking = get_recommendations


def contenders(size: int) -> dict[str, Callable[[], object]]:
    """A call in each way; answers that belong to a user, so that the cache has nothing to keep."""
    from personalize_rt import PersonalizeRuntime
    from personalize_rt.resilience.breaker import CircuitBreaker
    from personalize_rt.resilience.cache import Cache
    from personalize_rt.resilience.fallback import InputOrderFallback
    from personalize_rt.resilience.hedge import Hedge

    client, wanted = AtOnce(size), items(size)
    options: dict[str, dict[str, Any]] = {
        "off": {},
        "breaker": {"breaker": CircuitBreaker()},
        "cache": {"cache": Cache()},
        "hedge": {"hedge": Hedge(after=0.1)},
        "fallback": {"fallback": InputOrderFallback()},
        "one hook": {"hooks": [lambda _: None]},
        "all policies": {
            "breaker": CircuitBreaker(),
            "cache": Cache(),
            "hedge": Hedge(after=0.1),
            "fallback": InputOrderFallback(),
        },
    }

    def call(runtime: PersonalizeRuntime) -> Callable[[], object]:
        return lambda: runtime.get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=wanted)

    # A caller's client cannot be broken off, so that each call which may hedge is handed to a thread.
    theirs = PersonalizeRuntime(client=client, hedge=Hedge(after=0.1))
    return {
        "bare": bare(client, wanted),
        **{name: call(ours(client, **chosen)) for name, chosen in options.items()},
        "hedge, a caller's client": call(theirs),
    }


def ours(client: AtOnce, **options: Any) -> Any:
    """A runtime that takes the client for one that it built."""
    from personalize_rt import PersonalizeRuntime

    runtime = PersonalizeRuntime(region_name="eu-west-1", **options)
    runtime._transport._client = client
    return runtime


def bare(client: Any, wanted: list[str]) -> Callable[[], object]:
    """The request, the transport and the result, without any driver."""
    from personalize_rt import Limits
    from personalize_rt.arguments import RankingArguments
    from personalize_rt.operations import request_for
    from personalize_rt.results import ResponseInfo
    from personalize_rt.transport import Transport

    transport, limits = Transport(client), Limits()

    def call() -> object:
        request = request_for(RankingArguments(campaign_arn=ARN, user_id="u", input_list=wanted), limits)
        reply = transport.send(request)
        return request.operation.read(reply.members, request, ResponseInfo(reply.request_id, 1, 0.0, "service"))

    return call


def keeping(size: int) -> dict[str, Callable[[], object]]:
    """What costs by the size of a request: those policies that make a key of it."""
    from personalize_rt.resilience.cache import Cache
    from personalize_rt.resilience.fallback import StaleFallback

    client = AtOnce(25)
    options: dict[str, dict[str, Any]] = {
        "off": {},
        "cache, a hit": {"cache": Cache(personal=True)},
        "cache, a miss": {"cache": Cache(ttl=0, personal=True)},
        "StaleFallback": {"fallback": StaleFallback()},
    }

    def call(**chosen: Any) -> Callable[[], object]:
        runtime = ours(client, **chosen)
        wanted = items(size)
        return lambda: runtime.get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=wanted)

    return {name: call(**chosen) for name, chosen in options.items()}


def refused() -> dict[str, Callable[[], object]]:
    """An open breaker, with and without a fallback."""
    from personalize_rt import CircuitOpenError, ServerError
    from personalize_rt.resilience.breaker import CircuitBreaker
    from personalize_rt.resilience.fallback import InputOrderFallback

    breaker = CircuitBreaker(min_calls=1, open_for=3600)
    breaker.record(breaker.admit(ARN), ServerError("", response={}, operation_name="", code=""))
    runtime = ours(AtOnce(1), breaker=breaker)
    saved = runtime.with_options(fallback=InputOrderFallback())
    arguments: dict[str, Any] = {"campaign_arn": ARN, "user_id": "u", "input_list": items(25)}

    def refuse() -> None:
        with suppress(CircuitOpenError):
            runtime.get_personalized_ranking(**arguments)

    return {"CircuitOpenError": refuse, "with a fallback": lambda: saved.get_personalized_ranking(**arguments)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.policies", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a look, not a record")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    credentials_for_all()
    rounds, calls = (10, 500) if options.quick else (60, 2000)

    def measured(built: dict[str, Callable[[], object]]) -> dict[str, float]:
        return {name: cost.cpu * 1e6 for name, cost in side_by_side(built, rounds=rounds, calls=calls).items()}

    healthy = measured(contenders(25))
    off = healthy["off"]
    print("A healthy call that ranks 25 items, CPU:\n")
    print("| | µs | more than off | ratio to off |\n|---|---|---|---|")
    for name, cost in healthy.items():
        print(f"| {name} | {cost:.1f} | {cost - off:+.1f} | {cost / off:.2f} |")
    print("\nPolicies that make a key of the whole request, by its size, more than off, µs:\n")
    print("| | 1 item | 25 items | 500 items |\n|---|---|---|---|")
    sizes = {size: measured(keeping(size)) for size in (1, 25, 500)}
    for name in sizes[1]:
        if name != "off":
            cells = [f"{cost[name] - cost['off']:+.1f}" for cost in sizes.values()]
            print(f"| {name} | {' | '.join(cells)} |")
    open_ = measured(refused())
    print(f"\nAn open breaker: {', '.join(f'{name} {cost:.1f} µs' for name, cost in open_.items())}")
    extra = healthy["all policies"] - off
    print(f"\nAll policies together: {extra:.1f} µs (promised: at most {AT_MOST:.0f})")
    if options.json:
        figures = {"healthy_us": healthy, "keyed_us": sizes, "open_breaker_us": open_, "all_policies_us": extra}
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0 if extra <= AT_MOST else 1


if __name__ == "__main__":
    sys.exit(main())

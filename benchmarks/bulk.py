"""``python -m benchmarks.bulk``: many rankings of 100 items, beside a ``ThreadPoolExecutor`` over a boto3 client.

Each contender runs in a process of its own, in turn, against the canned responder; the best of the rounds counts.
Options: ``--requests N`` (20,000), ``--rounds N`` (2), ``--concurrency N`` (16), ``--processes N`` (2), ``--json``,
``--pace TPS`` (how close the real clock comes to a rate), ``--growth`` (cost of a request from 1,000 to 1,000,000).
"""

from __future__ import annotations

import argparse
import bisect
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.calls import responder
from benchmarks.contenders import ARN, credentials_for_all, items

SIZE = 100
CONTENDERS = ("boto3", "threads", "processes")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bulk", description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--pace", type=float, metavar="TPS", help="how close the real clock comes to a rate, in 30 s")
    parser.add_argument("--growth", type=int, nargs="*", metavar="N", help="the cost of a request for so many of them")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    credentials_for_all()
    if options.contender:
        print(json.dumps(_contend(options)))
        return 0
    if options.pace:
        figures: Any = pace(options.pace)
    elif options.growth is not None:
        figures = growth(options.growth or [1_000, 10_000, 100_000])
    else:
        figures = side_by_side(options)
    print(json.dumps(figures, indent=1))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


def side_by_side(options: Any) -> dict[str, Any]:
    """Requests a second, CPU and peak memory of each contender, and their ratios to boto3's."""
    best: dict[str, dict[str, float]] = {}
    with responder() as url:
        for _ in range(options.rounds):
            for name in CONTENDERS:
                words = [f"--{key}={getattr(options, key)}" for key in ("requests", "concurrency", "processes")]
                command = [sys.executable, "-m", "benchmarks.bulk", f"--contender={name}", f"--url={url}", *words]
                seen = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
                kept = best.setdefault(name, seen)
                for key, better in (("per_second", max), ("cpu_us", min), ("peak_mb", min)):
                    kept[key] = better(kept[key], seen[key])
    base = best["boto3"]
    for name in CONTENDERS[1:]:
        best[name] |= {
            "throughput_ratio": round(best[name]["per_second"] / base["per_second"], 2),
            "cpu_ratio": round(best[name]["cpu_us"] / base["cpu_us"], 3),
            "memory_ratio": round(best[name]["peak_mb"] / base["peak_mb"], 3),
        }
    return best


def _contend(options: Any) -> dict[str, float]:
    wanted = items(SIZE)
    users = (f"user-{n}" for n in range(options.requests))
    work: Callable[..., int] = {"boto3": _boto3, "threads": _threads, "processes": _processes}[options.contender]
    work(options, (f"warm-{n}" for n in range(50)), wanted)
    wall, cpu = time.perf_counter(), _cpu()
    read = work(options, users, wanted)
    wall = time.perf_counter() - wall
    assert read == options.requests * SIZE
    peak = sum(
        resource.getrusage(who).ru_maxrss * (options.processes if who == resource.RUSAGE_CHILDREN else 1)
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return {
        "per_second": round(options.requests / wall, 1),
        "cpu_us": round((_cpu() - cpu) / options.requests * 1e6, 1),
        "peak_mb": round(peak / 1024, 1),
    }


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _boto3(options: Any, users: Iterator[str], wanted: list[str]) -> int:
    from concurrent.futures import ThreadPoolExecutor

    import boto3
    from botocore.config import Config

    # The pool as large as the threads want it: what a careful user does.
    config = Config(max_pool_connections=options.concurrency)
    client = boto3.client("personalize-runtime", endpoint_url=options.url, config=config)

    def rank(user: str) -> list[tuple[str, float | None]]:
        reply = client.get_personalized_ranking(campaignArn=ARN, userId=user, inputList=wanted)
        return [(row["itemId"], row.get("score")) for row in reply["personalizedRanking"]]

    with ThreadPoolExecutor(options.concurrency) as pool:
        return sum(len(rows) for rows in pool.map(rank, users))


def _threads(options: Any, users: Iterator[str], wanted: list[str], processes: int | None = None) -> int:
    from personalize_rt import PersonalizeRuntime, bulk

    requests = (bulk.RankRequest(campaign_arn=ARN, user_id=user, input_list=wanted) for user in users)
    build = partial(PersonalizeRuntime, endpoint_url=options.url, deadline=None)
    read = 0
    with bulk.run(build, requests, concurrency=options.concurrency, processes=processes) as run:
        for outcome in run:
            ranking = outcome.result()
            read += len(list(zip(ranking.item_ids, ranking.scores, strict=True)))
    return read


def _processes(options: Any, users: Iterator[str], wanted: list[str]) -> int:
    return _threads(options, users, wanted, processes=options.processes)


def pace(tps: float) -> dict[str, Any]:
    """How many requests were sent in each window of 10 s of 30 s, against what was asked for."""
    from personalize_rt import PersonalizeRuntime, bulk

    sent: list[float] = []

    def respond(*_: Any) -> Any:
        sent.append(time.monotonic())
        return 200, {"content-type": "application/json"}, b'{"itemList":[]}'

    from personalize_rt.transport.in_process import in_process_client

    request = bulk.RecommendRequest(campaign_arn=ARN, user_id="u")
    runtime = PersonalizeRuntime(in_process_client(respond))
    for _ in bulk.run(runtime, [request] * int(30 * tps), tps=tps):
        pass
    sent.sort()
    counts = [bisect.bisect_left(sent, at + 10) - n for n, at in enumerate(sent) if at + 10 <= sent[-1]]
    wanted = 10 * tps
    return {"tps": tps, "least": min(counts) / wanted, "most": max(counts) / wanted, "windows": len(counts)}


def growth(counts: list[int]) -> dict[str, Any]:
    """CPU of a request, and peak memory, for runs of several lengths, without a socket."""
    from personalize_rt import PersonalizeRuntime, bulk
    from personalize_rt.results import Recommendations

    answer = Recommendations(item_ids=["a"], scores=[None])

    class Instant(PersonalizeRuntime):
        """What a runtime costs is not the question here."""

        def get_recommendations(self, **_: Any) -> Recommendations:
            return answer

    figures: dict[str, Any] = {}
    for count in counts:
        requests = (bulk.RecommendRequest(campaign_arn=ARN, user_id=f"user-{n}") for n in range(count))
        cpu, user = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_utime
        total = sum(1 for _ in bulk.run(Instant(), requests))
        assert total == count
        figures[f"{count:,}"] = {
            "cpu_us": round((time.process_time() - cpu) / count * 1e6, 2),
            # Without the kernel's part: switching threads costs more on a busy machine.
            "user_us": round((resource.getrusage(resource.RUSAGE_SELF).ru_utime - user) / count * 1e6, 2),
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        }
    return figures


if __name__ == "__main__":
    sys.exit(main())

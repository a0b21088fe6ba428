"""The cost of a whole call, the memory of its result, and the throughput of threads."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from benchmarks.contenders import ARN, CONTENDERS, credentials_for_all, items
from benchmarks.measuring import side_by_side

SIZES = (1, 25, 100, 500)


@contextmanager
def responder() -> Iterator[str]:
    """The canned responder in a process of its own; yields its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.responder"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(5)


def cost_of_a_call(url: str, *, rounds: int, calls: int) -> dict[str, Any]:
    """CPU and wall time of each contender for each size, and their ratios to plain boto3."""
    credentials_for_all()
    built = {name: build(url) for name, build in CONTENDERS.items()}
    results: dict[str, Any] = {}
    for size in SIZES:
        wanted = items(size)
        costs = side_by_side({name: partial(call, wanted) for name, call in built.items()}, rounds=rounds, calls=calls)
        base = costs["boto3"]
        results[str(size)] = {
            name: {
                "cpu_us": round(cost.cpu * 1e6, 1),
                "cpu_ratio": round(cost.cpu / base.cpu, 3),
                "wall_us": round(cost.wall * 1e6, 1),
                "wall_ratio": round(cost.wall / base.wall, 3),
            }
            for name, cost in costs.items()
        }
    return results


def reading_columns(url: str) -> float:
    """Seconds to read ``item_ids`` and ``scores`` of a 500-item ranking."""
    from personalize_rt import PersonalizeRuntime

    ranking = PersonalizeRuntime(endpoint_url=url).get_personalized_ranking(
        campaign_arn=ARN, user_id="u", input_list=items(500)
    )
    return side_by_side({"read": lambda: (ranking.item_ids, ranking.scores)}, rounds=20, calls=1000)["read"].cpu


def memory_of_results(url: str, *, kept: int) -> dict[str, float]:
    """Bytes per kept 500-item result: boto3's dict, and ours."""
    import boto3

    from personalize_rt import PersonalizeRuntime

    credentials_for_all()
    client = boto3.client("personalize-runtime", endpoint_url=url)
    runtime = PersonalizeRuntime(endpoint_url=url)
    wanted = items(500)

    def per_result(call: Any) -> float:
        call()
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        results = [call() for _ in range(kept)]
        gc.collect()
        size = (tracemalloc.get_traced_memory()[0] - before) / len(results)
        tracemalloc.stop()
        return size

    theirs = per_result(lambda: client.get_personalized_ranking(campaignArn=ARN, userId="u", inputList=wanted))
    ours = per_result(lambda: runtime.get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=wanted))
    return {"boto3_bytes": round(theirs), "personalize_rt_bytes": round(ours), "ratio": round(ours / theirs, 3)}


def throughput_of_threads(url: str, *, size: int, threads: int, seconds: float) -> dict[str, float]:
    """Calls a second from several threads that share one client; the better of three turns each."""
    credentials_for_all()
    built = {name: CONTENDERS[name](url) for name in ("boto3", "personalize-rt")}
    wanted = items(size)
    best = dict.fromkeys(built, 0.0)
    for _ in range(3):
        for name, call in built.items():
            best[name] = max(best[name], _per_second(call, wanted, threads, seconds))
    return {name: round(rate, 1) for name, rate in best.items()} | {
        "ratio": round(best["personalize-rt"] / best["boto3"], 2)
    }


def _per_second(call: Any, wanted: list[str], threads: int, seconds: float) -> float:
    counts = [0] * threads
    start = time.perf_counter()

    def work(index: int) -> None:
        while time.perf_counter() - start < seconds:
            call(wanted)
            counts[index] += 1

    workers = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - start)

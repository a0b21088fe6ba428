"""The cost of a whole call, the memory of its result, and the throughput of threads."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
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


KINDS = tuple((size, metadata) for metadata in (False, True) for size in SIZES)


def title(size: int, metadata: bool) -> str:
    """What the figures of one kind of answer are filed under."""
    return f"{size} with metadata" if metadata else str(size)


def cost_of_a_call(url: str, *, rounds: int, calls: int, kinds: Sequence[tuple[int, bool]] = KINDS) -> dict[str, Any]:
    """CPU and wall time of each contender for each size and each kind of answer, and their ratios to plain boto3."""
    credentials_for_all()
    built = {name: build(url) for name, build in CONTENDERS.items()}
    results: dict[str, Any] = {}
    for size, metadata in kinds:
        wanted = items(size)
        side = {name: partial(call, wanted, metadata) for name, call in built.items()}
        costs = side_by_side(side, rounds=rounds, calls=calls)
        base = costs["boto3"]
        results[title(size, metadata)] = {
            name: {
                "cpu_us": round(cost.cpu * 1e6, 1),
                "cpu_ratio": round(cost.cpu / base.cpu, 3),
                "wall_us": round(cost.wall * 1e6, 1),
                "wall_ratio": round(cost.wall / base.wall, 3),
            }
            for name, cost in costs.items()
        }
    return results


def _ranking_of_500(url: str) -> Any:
    from personalize_rt import PersonalizeRuntime

    with PersonalizeRuntime(endpoint_url=url) as runtime:
        return runtime.get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=items(500))


def rows_on_access(url: str) -> float:
    """What the first access of all rows of a 500-item ranking costs, against rows made of the reply's at once."""
    from personalize_rt import PredictedItem

    ranking = _ranking_of_500(url)
    rows = ranking.to_response()["personalizedRanking"]
    side = {
        "on access": lambda: list(ranking),
        "at once": lambda: [PredictedItem(row["itemId"], row.get("score")) for row in rows],
    }
    costs = side_by_side(side, rounds=20, calls=50)
    return costs["on access"].cpu / costs["at once"].cpu


def reading_columns(url: str) -> float:
    """Seconds to read ``item_ids`` and ``scores`` of a 500-item ranking."""
    ranking = _ranking_of_500(url)
    return side_by_side({"read": lambda: (ranking.item_ids, ranking.scores)}, rounds=20, calls=1000)["read"].cpu


_KEPT = """
import gc
import os
from pathlib import Path
from benchmarks.contenders import ARN, items
{build}
def memory():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
wanted = items(500)
call(wanted)
gc.collect()
before = memory()
results = [call(wanted) for _ in range({kept})]
gc.collect()
print((memory() - before) / len(results))
"""
_BUILD = {
    "boto3": """
import boto3
client = boto3.client("personalize-runtime", endpoint_url={url!r})
def call(wanted):
    return client.get_personalized_ranking(campaignArn=ARN, userId="u", inputList=wanted)
""",
    "personalize_rt": """
from personalize_rt import PersonalizeRuntime
runtime = PersonalizeRuntime(endpoint_url={url!r})
def call(wanted):
    return runtime.get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=wanted)
""",
}


def memory_of_results(url: str, *, kept: int) -> dict[str, float]:
    """Bytes of memory per kept 500-item result, each in a new process: boto3's dict, and ours. Linux only."""
    credentials_for_all()

    def per_result(name: str) -> float:
        program = _KEPT.format(build=_BUILD[name].format(url=url), kept=kept)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        return float(done.stdout)

    theirs, ours = per_result("boto3"), per_result("personalize_rt")
    return {
        "kept": kept,
        "boto3_bytes": round(theirs),
        "personalize_rt_bytes": round(ours),
        "ratio": round(ours / theirs, 3),
    }


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

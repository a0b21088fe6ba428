"""What the local re-ranker and its scorers cost: ``python -m benchmarks.rerank``.

Prints ratios to a plain ``sorted`` of the same items in the same run, and times for the scorers on made-up
interactions. Ends with status 1 when a ratio or a time is above what the project promises.
"""

from __future__ import annotations

import random
import resource
import statistics
import sys
import tempfile
import timeit
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter, process_time

from personalize_rt.interactions import Interaction
from personalize_rt.rerank import (
    CoVisitationScorer,
    EnsembleScorer,
    LocalReranker,
    PopularityScorer,
    TrainableScorer,
)

ITEMS = 500
ROUNDS = 300
CALLS = 10  # few, so that some rounds are not interrupted on a busy machine
ORDER_READY = 3.0
SCORES_READ = 15.0

DAY = 86_400.0

SCORERS: dict[str, Callable[[], TrainableScorer]] = {
    "PopularityScorer": PopularityScorer,
    "CoVisitationScorer": CoVisitationScorer,
    "EnsembleScorer": EnsembleScorer,
}


def best(*calls: Callable[[], object]) -> list[float]:
    """Seconds that each call takes at best, measured in turns so that a busy machine is busy for all."""
    fastest = [float("inf")] * len(calls)
    for _ in range(ROUNDS):
        for n, call in enumerate(calls):
            fastest[n] = min(fastest[n], timeit.timeit(call, number=CALLS) / CALLS)
    return fastest


def ranking_ratios(chance: random.Random) -> bool:
    """Compare ranking 500 items with sorting them."""
    item_ids = [f"tt{chance.randrange(10**7):07d}" for _ in range(2 * ITEMS)]
    item_ids = list(dict.fromkeys(item_ids))[:ITEMS]
    logits = {id: chance.gauss(0.0, 3.0) for id in item_ids}
    chance.shuffle(item_ids)
    reranker = LocalReranker(logits)

    def ranked() -> object:
        return reranker.rank(user_id="user-1", input_list=item_ids)

    def scored() -> object:
        return reranker.rank(user_id="user-1", input_list=item_ids).scores

    sort, order, scores = best(lambda: sorted(item_ids, key=logits.__getitem__, reverse=True), ranked, scored)
    later = scores - order
    print(f"sorted() of {ITEMS} items            {sort * 1e6:7.1f} µs")
    print(
        f"rank(), order ready               {order * 1e6:7.1f} µs   {order / sort:5.2f} x   (promised: {ORDER_READY:g})"
    )
    print(
        f"its scores, read later            {later * 1e6:7.1f} µs   {later / sort:5.2f} x   (promised: {SCORES_READ:g})"
    )
    return order <= ORDER_READY * sort and later <= SCORES_READ * sort


def cost_by_size(chance: random.Random) -> dict[str, dict[str, float]]:
    """Microseconds to rank so many items locally, and to rank them and read their scores."""
    figures: dict[str, dict[str, float]] = {}
    for size in (25, 100, 500):
        item_ids = [f"tt{n:07d}" for n in range(size)]
        reranker = LocalReranker({id: chance.gauss(0.0, 3.0) for id in item_ids})
        chance.shuffle(item_ids)
        rank = partial(reranker.rank, user_id="user-1", input_list=item_ids)
        order, scores = best(rank, lambda rank=rank: rank().scores)
        figures[str(size)] = {"order_us": round(order * 1e6, 1), "with_scores_us": round(scores * 1e6, 1)}
    return figures


def made_up(chance: random.Random, events: int, users: int, items: int) -> list[Interaction]:
    """Events in which few users and few items have most of the activity."""
    return [
        Interaction(
            f"user-{int(users * chance.random() ** 3)}",
            f"item-{int(items * chance.random() ** 3)}",
            chance.uniform(0.0, 180.0 * DAY),
        )
        for _ in range(events)
    ]


def scorer_times(chance: random.Random) -> bool:
    """Time fitting, ranking, updating and loading, each scorer in a process of its own, whose memory is its own."""
    kept = True
    for name in SCORERS:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            kept = pool.submit(one_scorer, name, chance.randrange(2**32)).result() and kept
    return kept


def one_scorer(name: str, seed: int) -> bool:
    """Time one scorer; whether it keeps what is promised of the ensemble."""
    chance = random.Random(seed)
    events = made_up(chance, 100_000, 10_000, 10_000)
    item_ids = sorted({event.item_id for event in events})
    user_ids = [event.user_id for event in events]
    scorer = SCORERS[name]()
    start, cpu = perf_counter(), process_time()
    scorer.fit(events)
    fit, fit_cpu = perf_counter() - start, process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "scorer")
        scorer.save(path)
        size = path.stat().st_size / 1e6
        loads: list[float] = []
        for _ in range(5):
            start = perf_counter()
            scorer = type(scorer).load(path)
            loads.append(perf_counter() - start)
    times: list[float] = []
    for _ in range(500):
        user_id, candidates = chance.choice(user_ids), chance.sample(item_ids, ITEMS)
        start = perf_counter()
        scorer(user_id, candidates, None)
        times.append(perf_counter() - start)
    updates: list[float] = []
    for n in range(300):
        event = Interaction(chance.choice(user_ids), chance.choice(item_ids), 181.0 * DAY + n)
        start = perf_counter()
        scorer.update([event])
        updates.append(perf_counter() - start)
    rank, update, load = statistics.median(times), statistics.median(updates), min(loads)
    print(
        f"{name:18} fit of {len(events):,} events {fit:5.2f} s (CPU {fit_cpu:5.2f} s), {memory:3.0f} MB in all; "
        f"load of {size:3.1f} MB {load * 1e3:3.0f} ms; {ITEMS} items p50 {rank * 1e6:4.0f} µs, best "
        f"{min(times) * 1e6:4.0f} µs; one event more {update * 1e6:3.0f} µs"
    )
    return name != "EnsembleScorer" or (fit < 20.0 and memory < 300.0 and load < 0.2 and rank < 1e-3 and update < 1e-3)


def main() -> int:
    """Run all."""
    chance = random.Random(2013)
    kept = ranking_ratios(chance)
    kept = scorer_times(chance) and kept
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())

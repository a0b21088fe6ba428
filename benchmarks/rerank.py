"""What the local re-ranker and its scorers cost: ``python -m benchmarks.rerank``.

Prints ratios to a plain ``sorted`` of the same items in the same run, and times for the scorers on made-up
interactions. Ends with status 1 when a ratio is above what the project promises.
"""

from __future__ import annotations

import random
import statistics
import sys
import timeit
from collections.abc import Callable
from functools import partial
from time import perf_counter

from personalize_rt.interactions import Interaction
from personalize_rt.rerank import CoVisitationScorer, LocalReranker, PopularityScorer

ITEMS = 500
ROUNDS = 300
CALLS = 10  # few, so that some rounds are not interrupted on a busy machine
ORDER_READY = 3.0
SCORES_READ = 15.0

DAY = 86_400.0


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


def scorer_times(chance: random.Random) -> None:
    """Time fitting, ranking and updating."""
    events = made_up(chance, 100_000, 10_000, 10_000)
    item_ids = sorted({event.item_id for event in events})
    user_ids = [event.user_id for event in events]
    for scorer in (PopularityScorer(), CoVisitationScorer()):
        start = perf_counter()
        scorer.fit(events)
        fit = perf_counter() - start
        times: list[float] = []
        for _ in range(300):
            user_id, candidates = chance.choice(user_ids), chance.sample(item_ids, ITEMS)
            start = perf_counter()
            scorer(user_id, candidates, None)
            times.append(perf_counter() - start)
        times_of_updates: list[float] = []
        for n in range(100):
            event = Interaction(chance.choice(user_ids), chance.choice(item_ids), 181.0 * DAY + n)
            start = perf_counter()
            scorer.update([event])
            times_of_updates.append(perf_counter() - start)
        update = statistics.median(times_of_updates)
        print(
            f"{type(scorer).__name__:20} fit of {len(events):,} events {fit:5.2f} s, "
            f"{ITEMS} items p50 {statistics.median(times) * 1e6:4.0f} µs, one event more {update * 1e6:3.0f} µs"
        )


def main() -> int:
    """Run all."""
    chance = random.Random(2013)
    kept = ranking_ratios(chance)
    scorer_times(chance)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())

"""How exact rankings of long lists are: ``python -m benchmarks.long``.

An embedded campaign ranks by logits that are drawn from a normal distribution, so the true order is known. The lists
have 10,000 items, and every answer goes over the wire of the service. Ends with status 1 when a promise is broken: no
pair the wrong way round whose logits differ by more than the stated bound; and for standard deviations up to 3, at most
30 requests, and a tau-b of at least 0.999.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Mapping, Sequence
from time import perf_counter

from personalize_rt.local.scored import ScoredPersonalize
from personalize_rt.rerank import LongRanking

ITEMS = 10_000
DEVIATIONS = (1.0, 2.0, 3.0, 5.0)
SEEDS = (1, 2, 3)
PROMISED_FOR, REQUESTS, TAU = 3.0, 30, 0.999


def made_up(deviation: float, seed: int, items: int = ITEMS) -> dict[str, float]:
    """Items in no order, and their logits."""
    chance = random.Random(seed)
    return {f"item-{n}": chance.gauss(0.0, deviation) for n in range(items)}


def campaign(logits: Mapping[str, float]) -> ScoredPersonalize:
    """A service that knows these logits."""
    return ScoredPersonalize(lambda user_id, item_ids, context: [logits.get(id) for id in item_ids])


def tau_b(values: Sequence[float]) -> float:
    """Kendall's tau-b of values with their places, best first: 1.0 when they never rise."""
    from scipy.stats import kendalltau

    return float(kendalltau(values, range(len(values), 0, -1)).statistic)


def worst_swap(values: Iterable[float]) -> float:
    """By how much a value exceeds one that stands before it, at most."""
    worst, lowest = 0.0, float("inf")
    for value in values:
        worst = max(worst, value - lowest)
        lowest = min(lowest, value)
    return worst


def judged(ranking: LongRanking, logits: Mapping[str, float]) -> tuple[float, float]:
    """Tau-b of a ranking, and its worst swap among the items that have a place on the scale."""
    unscaled = set(ranking.unscaled)
    return tau_b([logits[id] for id in ranking.item_ids]), worst_swap(
        logits[id] for id in ranking.item_ids if id not in unscaled
    )


def main() -> int:
    """Run all."""
    kept = True
    print("deviation  requests  tau-b     bound    worst swap  unscaled  seconds")
    for deviation in DEVIATIONS:
        for seed in SEEDS:
            logits = made_up(deviation, seed)
            local = campaign(logits)
            runtime = local.runtime(deadline=None)
            start = perf_counter()
            ranking = runtime.rank_long(campaign_arn=local.campaign_arn("ranking"), user_id="user", input_list=logits)
            seconds = perf_counter() - start
            tau, worst = judged(ranking, logits)
            print(
                f"{deviation:9g}  {ranking.requests:8}  {tau:.6f}  {ranking.error_bound:.1e}  {worst:.1e}    "
                f"{len(ranking.unscaled):9}  {seconds:.2f}"
            )
            kept = kept and worst <= ranking.error_bound
            if deviation <= PROMISED_FOR:
                kept = kept and ranking.requests <= REQUESTS and tau >= TAU
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())

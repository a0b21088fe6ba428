"""NDCG@10, reciprocal rank and hit rate of one wanted item among others, and how sure a mean is."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import log2

__all__ = ["NAMES", "Place", "gains", "interval", "mean", "place"]

CUTOFF = 10
NAMES = ("NDCG@10", "MRR", "hit@10")

Place = tuple[int, int]
"""How many candidates are scored above the wanted one, and how many the same."""


def place(scores: Sequence[float | None], wanted: int) -> Place:
    """Where the wanted candidate stands; one without a score stands below all that have one."""
    values = [float("-inf") if score is None else float(score) for score in scores]
    if any(value != value for value in values):
        raise ValueError("a score is not a number")
    own = values[wanted]
    return sum(value > own for value in values), sum(value == own for value in values) - 1


def gains(place: Place) -> tuple[float, float, float]:
    """The measures by name. Equal scores count as if they stood in every possible order."""
    above, equal = place
    ranks = range(above + 1, above + equal + 2)
    hits = [rank for rank in ranks if rank <= CUTOFF]
    n = len(ranks)
    return sum(1.0 / log2(rank + 1) for rank in hits) / n, sum(1.0 / rank for rank in ranks) / n, len(hits) / n


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def interval(values: Sequence[float], *, rounds: int = 1000, seed: int = 0) -> tuple[float, float]:
    """A 95 % bootstrap interval of the mean (percentiles of ``rounds`` resamples)."""
    chance = random.Random(seed)
    means = sorted(mean(chance.choices(values, k=len(values))) for _ in range(rounds))
    return means[int(0.025 * rounds)], means[int(0.975 * rounds) - 1]

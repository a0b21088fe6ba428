"""Placing promoted items among the others (Developer Guide, "Promoting items in recommendations").

The guide says: a percentage of the results, fewer when fewer qualify; the promotion's filter for promoted items only,
the request's for the others only; random places; promoted items in their own order. It does not say how a percentage
becomes a number. Here it is rounded down, and is 1 at the least: a promotion that never shows would help nobody.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice

from personalize_rt.local.recipes import Row

__all__ = ["promote", "promoted_count"]

PROMOTED = "Promoted item"


def promoted_count(results: int, percent: int) -> int:
    """How many of the results may be promoted items."""
    return max(1, results * percent // 100)


def promote(
    promoted: Iterator[Row], others: Iterator[Row], *, name: str, percent: int, results: int, rng: random.Random
) -> list[Row]:
    """Put promoted items at random places among the others.

    Args:
        promoted: What may be promoted, best first.
        others: The answer without promotion, best first; may hold the same items, which then are promoted ones.
        name: The promotion's name.
        percent: How much of the answer may be promoted items.
        results: The number of rows that are wanted.
        rng: Chooses the places.
    """
    chosen = [row._replace(promotion=name) for row in islice(promoted, promoted_count(results, percent))]
    taken = {row.id for row in chosen}
    rest = list(islice((row for row in others if row.id not in taken), results - len(chosen)))
    places = set(rng.sample(range(len(chosen) + len(rest)), len(chosen)))
    first, second = iter(chosen), iter(rest)
    return [next(first if place in places else second) for place in range(len(chosen) + len(rest))]

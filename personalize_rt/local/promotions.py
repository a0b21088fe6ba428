"""Placing promoted items among the others (Developer Guide, "Promoting items in recommendations").

By the guide, promoted items are a percentage of the results, or fewer if fewer qualify. The promotion's filter applies
to promoted items only, the request's filter to the others only. Promoted items are at random places, in their own
order. The guide does not tell the rounding of the percentage. Here it is down, but to at least 1, since a promotion
without any item would be useless.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice

from personalize_rt.local.recipes import ReplyRow

__all__ = ["promote", "promoted_count"]

PROMOTED = "Promoted item"


def promoted_count(results: int, percent: int) -> int:
    """The most promoted items among the results."""
    return max(1, results * percent // 100)


def promote(
    promoted: Iterator[ReplyRow],
    others: Iterator[ReplyRow],
    *,
    name: str,
    percent: int,
    results: int,
    rng: random.Random,
) -> list[ReplyRow]:
    """Put promoted items at random places among the others.

    Args:
        promoted: The candidates for promotion, best first.
        others: The answer without promotion, best first. Items in both are promoted ones.
        name: The promotion's name.
        percent: The percentage of promoted items.
        results: The number of rows.
        rng: Chooses the places.
    """
    chosen = [row._replace(promotion=name) for row in islice(promoted, promoted_count(results, percent))]
    taken = {row.id for row in chosen}
    rest = list(islice((row for row in others if row.id not in taken), results - len(chosen)))
    places = set(rng.sample(range(len(chosen) + len(rest)), len(chosen)))
    first, second = iter(chosen), iter(rest)
    return [next(first if place in places else second) for place in range(len(chosen) + len(rest))]

"""The metrics of one list, as the guide's page "Evaluating a solution version with metrics" defines them.

Positions count from 1. An item that a list repeats is a hit at its first place only; the places of the others stay
taken.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from math import log2
from typing import Any, Literal, get_args

from personalize_rt import checks
from personalize_rt.errors import ValidationError
from personalize_rt.redaction import describe

__all__ = ["Ideal", "coverage", "normalized_discounted_cumulative_gain", "precision", "reciprocal_rank"]

Ideal = Literal["found", "all"]


def reciprocal_rank(ranked: Sequence[str], relevant: Collection[str], k: int = 25) -> float:
    """``1 / position`` of the first relevant item within the first k, else 0.

    The mean over requests is ``mean_reciprocal_rank_at_25``.

    Args:
        ranked: The items, best first.
        relevant: The items that the user turned out to want.
        k: How many places count, at least 1.

    Raises:
        ValidationError: ``k`` is not an int from 1, or ``relevant`` is a bare ``str``.
    """
    positions = _hits(ranked, relevant, k)
    return 1 / positions[0] if positions else 0.0


def normalized_discounted_cumulative_gain(
    ranked: Sequence[str], relevant: Collection[str], k: int, *, ideal: Ideal = "found"
) -> float:
    """The discounted gain of the first k places as a part of the ideal one; 0 without a hit.

    A relevant item at a position is worth ``1 / log(1 + position)``. The mean over users is
    ``normalized_discounted_cumulative_gain_at_k``.

    Args:
        ranked: The items, best first.
        relevant: The items that the user turned out to want.
        k: How many places count, at least 1.
        ideal: What the ideal list holds at its top: ``"found"``, as many hits as the first k places have, as the
            guide's worked example has it; or ``"all"``, every relevant item, as far as k places go, as most of the
            literature has it (trec_eval's ``ndcg_cut``).

    Raises:
        ValidationError: ``k`` is not an int from 1, ``ideal`` is neither, or ``relevant`` is a bare ``str``.
    """
    checks.one_of(ideal, "ideal", *get_args(Ideal))
    positions = _hits(ranked, relevant, k)
    if not positions:
        return 0.0
    best = len(positions) if ideal == "found" else min(k, len(set(relevant)))
    return min(1.0, _gain(positions) / _gain(range(1, best + 1)))


def precision(ranked: Sequence[str], relevant: Collection[str], k: int) -> float:
    """The hits among the first k, divided by k, however short the list is.

    The mean over users is ``precision_at_k``.

    Args:
        ranked: The items, best first.
        relevant: The items that the user turned out to want.
        k: How many places count, at least 1.

    Raises:
        ValidationError: ``k`` is not an int from 1, or ``relevant`` is a bare ``str``.
    """
    return len(_hits(ranked, relevant, k)) / k


def coverage(recommended: Iterable[str], catalogue: Collection[str]) -> float:
    """The share of the catalogue that is recommended to anybody.

    The service counts what its model *may* recommend; from outside, only what it did recommend can be counted, so more
    requests give a higher number.

    Args:
        recommended: The items of all answers. What is not in the catalogue does not count.
        catalogue: The items of the Interactions and Items datasets.

    Raises:
        ValidationError: ``catalogue`` is empty, so that there is nothing to divide by.
    """
    items = set(catalogue)
    if not items:
        raise ValidationError("catalogue is empty: there is nothing to cover", parameter="catalogue")
    return len(items.intersection(recommended)) / len(items)


def _gain(positions: Iterable[int]) -> float:
    return sum(1 / log2(1 + position) for position in positions)


def _hits(ranked: Sequence[str], relevant: Any, k: Any) -> list[int]:
    """The positions of the relevant items among the first k."""
    k = checks.whole(k, "k")
    for name, items in (("ranked", ranked), ("relevant", relevant)):
        if isinstance(items, str | bytes):
            raise ValidationError(f"{name} is {describe(items)}: it takes a collection of item ids", parameter=name)
    wanted = set(relevant)
    hits: list[int] = []
    for position, item in enumerate(islice(ranked, k), start=1):
        if item in wanted:
            hits.append(position)
            wanted.remove(item)
    return hits

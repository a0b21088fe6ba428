"""The metrics of one list, as the guide's page "Evaluating a solution version with metrics" defines them.

Positions count from 1. A repeated item is a hit at its first place only; its other places count as misses.
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
    """``1 / position`` of the first relevant item among the first k, or 0 when there is none.

    The mean over requests is ``mean_reciprocal_rank_at_25``.

    Args:
        ranked: The items, best first.
        relevant: The items that the user took later.
        k: The number of places to look at, at least 1.

    Raises:
        ValidationError: ``k`` is not an int of at least 1, or ``relevant`` is a bare ``str``.
    """
    positions = _hits(ranked, relevant, k)
    return 1 / positions[0] if positions else 0.0


def normalized_discounted_cumulative_gain(
    ranked: Sequence[str], relevant: Collection[str], k: int, *, ideal: Ideal = "found"
) -> float:
    """The discounted gain of the first k places, divided by the gain of an ideal list; 0 without a hit.

    A relevant item at a position is worth ``1 / log(1 + position)``. The mean over users is
    ``normalized_discounted_cumulative_gain_at_k``.

    Args:
        ranked: The items, best first.
        relevant: The items that the user took later.
        k: The number of places to look at, at least 1.
        ideal: The number of hits at the top of the ideal list: ``"found"``, as many as the first k places have, like
            the guide's worked example; or ``"all"``, all relevant items, up to k, like most of the literature
            (trec_eval's ``ndcg_cut``).

    Raises:
        ValidationError: ``k`` is not an int of at least 1, ``ideal`` is neither, or ``relevant`` is a bare ``str``.
    """
    checks.one_of(ideal, "ideal", *get_args(Ideal))
    positions = _hits(ranked, relevant, k)
    if not positions:
        return 0.0
    best = len(positions) if ideal == "found" else min(k, len(set(relevant)))
    return min(1.0, _gain(positions) / _gain(range(1, best + 1)))


def precision(ranked: Sequence[str], relevant: Collection[str], k: int) -> float:
    """The hits among the first k, divided by k even if the list is shorter.

    The mean over users is ``precision_at_k``.

    Args:
        ranked: The items, best first.
        relevant: The items that the user took later.
        k: The number of places to look at, at least 1.

    Raises:
        ValidationError: ``k`` is not an int of at least 1, or ``relevant`` is a bare ``str``.
    """
    return len(_hits(ranked, relevant, k)) / k


def coverage(recommended: Iterable[str], catalogue: Collection[str]) -> float:
    """The share of the catalogue that is recommended to at least one user.

    The service counts the items that its model *may* recommend. From outside, only those that it did recommend can be
    counted, so more requests give a higher number.

    Args:
        recommended: The items of all answers; those that are not in the catalogue do not count.
        catalogue: The items of the Interactions and Items datasets.

    Raises:
        ValidationError: ``catalogue`` is empty.
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

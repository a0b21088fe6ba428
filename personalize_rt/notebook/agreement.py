"""Measures of agreement of two orders: Kendall's tau-b, Spearman's rho, rank-biased overlap, top-k overlap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from math import sqrt

from personalize_rt import checks
from personalize_rt.errors import ValidationError

__all__ = ["kendall_tau", "rank_biased_overlap", "spearman", "top_k_overlap"]


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Kendall's tau-b of two columns of numbers of equal length, in O(n log n) (Knight 1966).

    Returns:
        From -1 (reversed) to 1 (the same order); ``None`` if undefined: fewer than two rows, or a column
        whose values are all equal.

    Raises:
        ValidationError: The columns differ in length, or hold NaN.
    """
    pairs = sorted(_checked(first, second))
    every = _pairs(len(pairs))
    tied_first = _tied(pair[0] for pair in pairs)
    tied_second = _tied(pair[1] for pair in pairs)
    tied_both = _tied(pairs)
    if every in (tied_first, tied_second):
        return None
    # After sorting by the first column, the inversions of the second are the discordant pairs.
    _, discordant = _inversions([pair[1] for pair in pairs])
    concordant = every - tied_first - tied_second + tied_both - discordant
    return _bounded((concordant - discordant) / sqrt((every - tied_first) * (every - tied_second)))


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rho of two columns of numbers of equal length: Pearson's correlation of their average ranks.

    Returns:
        From -1 (reversed) to 1 (the same order); ``None`` if undefined: fewer than two rows, or a column
        whose values are all equal.

    Raises:
        ValidationError: The columns differ in length, or hold NaN.
    """
    pairs = _checked(first, second)
    n = len(pairs)
    left = _centred_ranks([pair[0] for pair in pairs])
    right = _centred_ranks([pair[1] for pair in pairs])
    of_left, of_right = sum(rank * rank for rank in left), sum(rank * rank for rank in right)
    if n < 2 or not of_left or not of_right:
        return None
    return _bounded(sum(a * b for a, b in zip(left, right, strict=True)) / sqrt(of_left * of_right))


def rank_biased_overlap(first: Iterable[Hashable], second: Iterable[Hashable], p: float = 0.9) -> float:
    """Extrapolated rank-biased overlap of two lists, which may differ in items and length.

    RBO_EXT of Webber, Moffat and Zobel, "A similarity measure for indefinite rankings" (2010), equation 32: the top
    counts most, and the agreement beyond the end of the lists is taken to be the same as before it.

    Args:
        first: A list; a repeated item counts at its first place.
        second: The other one.
        p: The patience of the reader, between 0 and 1: with 0.9 the first 10 places carry 86 % of the weight.

    Returns:
        From 0 (nothing in common) to 1 (the same list). Two empty lists are the same; an empty list has nothing in
        common with any other.

    Raises:
        ValidationError: ``p`` is not between 0 and 1.
    """
    p = checks.number(p, "p", "a number between 0 and 1", lambda it: 0 < it < 1)
    shorter, longer = sorted((list(dict.fromkeys(first)), list(dict.fromkeys(second))), key=len)
    s, l = len(shorter), len(longer)  # noqa: E741 - the paper's names
    if not s:
        return float(not l)
    overlap, seen_shorter, seen_longer = 0, set[Hashable](), set[Hashable]()
    total, weight, overlap_at_s = 0.0, 1.0, 0
    for depth in range(1, l + 1):
        item = longer[depth - 1]
        seen_longer.add(item)
        overlap += item in seen_shorter
        if depth <= s:
            seen_shorter.add(shorter[depth - 1])
            overlap += shorter[depth - 1] in seen_longer
            overlap_at_s = overlap
        weight *= p
        total += weight * overlap / depth
        if depth > s:
            total += weight * overlap_at_s * (depth - s) / (s * depth)
    beyond = (overlap - overlap_at_s) / l + overlap_at_s / s
    return min(1.0, (1 - p) / p * total + beyond * weight)


def top_k_overlap(first: Iterable[Hashable], second: Iterable[Hashable], k: int) -> float:
    """The share of items that the first k places of two lists have in common, in whatever order.

    If both lists are shorter than k, k is the length of the longer one. Two empty lists are the same: 1.0.

    Args:
        first: A list; a repeated item counts at its first place.
        second: The other one.
        k: The number of places, at least 1.

    Raises:
        ValidationError: ``k`` is not an int of at least 1.
    """
    k = checks.whole(k, "k")
    left, right = list(dict.fromkeys(first))[:k], list(dict.fromkeys(second))[:k]
    places = max(len(left), len(right))
    return len({*left} & {*right}) / places if places else 1.0


# Parts.


def _checked(first: Sequence[float], second: Sequence[float]) -> list[tuple[float, float]]:
    if len(first) != len(second):
        raise ValidationError(
            f"first has {len(first):,} values and second {len(second):,}: they must have the same length",
            parameter="second",
        )
    for name, column in (("first", first), ("second", second)):
        if any(value != value for value in column):
            raise ValidationError(f"{name} holds NaN, which cannot be ranked", parameter=name)
    return list(zip(first, second, strict=True))


def _pairs(n: int) -> int:
    return n * (n - 1) // 2


def _tied(values: Iterable[Hashable]) -> int:
    """The number of pairs of equal values."""
    return sum(map(_pairs, Counter(values).values()))


def _inversions(values: list[float]) -> tuple[list[float], int]:
    """The sorted values, and the number of pairs in descending order, counted in a merge sort."""
    if len(values) < 2:
        return values, 0
    half = len(values) // 2
    left, in_left = _inversions(values[:half])
    right, in_right = _inversions(values[half:])
    across = smaller = 0
    for value in left:
        while smaller < len(right) and right[smaller] < value:
            smaller += 1
        across += smaller
    # sorted() merges two sorted runs.
    return sorted(left + right), in_left + in_right + across


def _centred_ranks(values: list[float]) -> list[int]:
    """Average ranks, minus their mean and doubled, which makes them whole numbers with exact sums."""
    places: dict[float, int] = {}
    before = 0
    for value, count in sorted(Counter(values).items()):
        places[value] = 2 * before + count - len(values)
        before += count
    return [places[value] for value in values]


def _bounded(value: float) -> float:
    return max(-1.0, min(1.0, value))

"""The scale of rankings that do not agree with each other: a robust fit, and how noisy it shows them to be.

Another replica answered, or the user did something in between: then two answers put an item apart by more than rounding
explains. Each answer is a measurement. ``ln Z`` of an answer is Huber's estimate over the items that it shares with
others, and the deviation of a measurement is seen from how far shared items are apart. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, pairwise
from math import fsum, inf, sqrt
from operator import mul
from statistics import NormalDist, median
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from personalize_rt.rerank.scale import Part, Shared

__all__ = ["Fit", "quantile"]

# How often a bound that rests on statistics may fail, for a whole list.
_RISK = 0.01
# Deviations beyond which a measurement loses weight.
_OUTLYING = 2.0
_PASSES = 8
# The median of the square of a normal deviate.
_MEDIAN_SQUARE = 0.4549364
# The square of the most that rounding does, by what it does on average, and by the median of normal squares.
_MOST_BY_ROUNDING = 3 / _MEDIAN_SQUARE
# Pairs of measurements that tell how noisy they are, at least.
_FEWEST = 50
# Keeps weights, and so the equations, in bounds where neither noise nor rounding is seen.
_TINY = 1e-12
# Leaves a ranking where it is whose place two bounds tell, and no measurement.
_RIDGE = 1e-6


def quantile(values: int) -> float:
    """Deviations that none of so many normal values exceeds, at the accepted risk."""
    return -NormalDist().inv_cdf(_RISK / 2 / max(values, 1))


# Which ranking, ln score, and how far rounding may have moved it.
_Measured = tuple[int, float, float]


@attrs.frozen(eq=False)
class Fit:
    """Rankings on one scale by robust least squares.

    Attributes:
        shifts: The ``ln Z`` of each.
        errors: The deviation of each ``ln Z``.
        noise: The deviation of one measurement, rounding apart.
        disagreement: The range of the differences between two measurements of an item, rounding apart.
    """

    shifts: dict[int, float]
    errors: dict[int, float]
    noise: float
    disagreement: float

    @classmethod
    def of(cls, group: Mapping[int, tuple[float, float]], parts: Sequence[Part], shared: Shared) -> Fit:
        """Fit a group of rankings, given bounds of each ``ln Z``, which need not hold."""
        shifts = {number: (low + high) / 2 for number, (low, high) in group.items()}
        measured = _measurements(shifts, parts, shared)
        noise = disagreement = 0.0
        errors = dict.fromkeys(shifts, 0.0)
        if measured:
            noise, _ = _noise(measured, shifts)
            for _ in range(_PASSES):
                before = shifts
                shifts, errors = _least_squares(measured, shifts, noise)
                noise, disagreement = _noise(measured, shifts)
                if max(abs(shifts[number] - before[number]) for number in shifts) <= 0.02 * noise:
                    break
        for number, (low, high) in group.items():
            errors[number] = min(errors[number], max((high - low) / 2, noise))
        return cls(shifts, errors, noise, disagreement)


def _measurements(group: Iterable[int], parts: Sequence[Part], shared: Shared) -> list[list[_Measured]]:
    """For each item that several rankings of a group score above 0, what they say."""
    found: dict[int, list[_Measured]] = {}
    for number in group:
        part = parts[number]
        for place in shared[number]:
            if (low := part.low[place]) > -inf:
                high = part.high[place]
                found.setdefault(part.items[place], []).append((number, (low + high) / 2, (high - low) / 2))
    return [several for several in found.values() if len(several) > 1]


def _noise(measured: Sequence[Sequence[_Measured]], shifts: Mapping[int, float]) -> tuple[float, float]:
    """The deviation of a measurement, and the range of differences; both as far as rounding does not explain them."""
    pairs: list[tuple[float, float]] = []
    least = most = 0.0
    for several in measured:
        for (one, first, rounded), (other, second, also) in pairwise(several):
            apart = first + shifts[one] - second - shifts[other]
            pairs.append(((rounded * rounded + also * also) / 3, apart * apart))
            most = max(most, apart - rounded - also)
            least = min(least, apart + rounded + also)
    pairs.sort()
    noise = inf
    while True:
        del pairs[max(_FEWEST, len(pairs) // 2) :]  # those that rounding hurts least
        seen = median(square for _, square in pairs) / _MEDIAN_SQUARE
        explained = median(rounding for rounding, _ in pairs)
        # Of few pairs an estimate is uncertain, and some of their disagreement went into the shifts.
        cautious = (1 + 2 / sqrt(len(pairs))) * sqrt(len(pairs) / max(1, len(pairs) - len(shifts)))
        noise = min(noise, sqrt(max(0.0, seen - explained) / 2) * cautious)
        # All items of a cluster are rounded in one direction, which looks like noise unless there is more of it than
        # rounding can do. Pairs that it hurts less say whether it is.
        if len(pairs) <= _FEWEST or explained < seen / _MOST_BY_ROUNDING:
            break
    return noise, most - least


def _least_squares(
    measured: Sequence[Sequence[_Measured]], shifts: Mapping[int, float], noise: float
) -> tuple[dict[int, float], dict[int, float]]:
    """One step of Huber's estimate of the shifts, and the deviations of the new ones."""
    index = {number: place for place, number in enumerate(shifts)}
    size = len(index)
    matrix = [[0.0] * size for _ in range(size)]
    right = [0.0] * size
    variance = noise * noise
    for several in measured:
        weights = [1 / (variance + rounded * rounded / 3 + _TINY) for _, _, rounded in several]
        values = [value + shifts[number] for number, value, _ in several]
        whole = sum(weights)
        middle = sum(weight * value for weight, value in zip(weights, values, strict=True)) / whole
        for place, (weight, value) in enumerate(zip(weights, values, strict=True)):
            off = abs(value - middle) * sqrt(weight)
            if off > _OUTLYING:
                weights[place] = weight * _OUTLYING / off
        whole = sum(weights)
        places = [index[number] for number, _, _ in several]
        # By pairs: differences of large weights would lose all digits.
        for (one, weight, value), (other, also, second) in combinations(zip(places, weights, values, strict=True), 2):
            common = weight * also / whole
            matrix[one][one] += common
            matrix[other][other] += common
            matrix[one][other] -= common
            matrix[other][one] -= common
            right[one] += common * (second - value)
            right[other] -= common * (second - value)
    for place in range(size):
        matrix[place][place] += _RIDGE
    # The first ranking is the origin. Of the others, the inverse of the matrix has the variances.
    inverse = _inverse([row[1:] for row in matrix[1:]])
    steps = [0.0, *(fsum(map(mul, row, right[1:])) for row in inverse)]
    errors = [0.0, *(sqrt(row[place]) for place, row in enumerate(inverse))]
    return {number: shifts[number] + steps[place] for number, place in index.items()}, dict(
        zip(index, errors, strict=True)
    )


def _inverse(matrix: list[list[float]]) -> list[list[float]]:
    """The inverse of a symmetric, positive definite matrix, which is used up."""
    size = len(matrix)
    rows = [[*row, *(float(place == column) for column in range(size))] for place, row in enumerate(matrix)]
    for column in range(size):
        pivot = rows[column][column]
        chosen = rows[column] = [value / pivot for value in rows[column]]
        for place, row in enumerate(rows):
            factor = row[column]
            if factor and place != column:
                rows[place] = [value - factor * other for value, other in zip(row, chosen, strict=True)]
    return [row[size:] for row in rows]

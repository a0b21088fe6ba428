"""A user's vectors by ridge regression, for :class:`ShadowScorer`.

The logits of an answer are known up to a constant, and so are the products of its items' vectors with the user's. Hence
everything here is centred: less its mean over the answer.

Two regressions are solved by conjugate gradients, with few iterations from the user's previous vector:

* one *steady* vector for all answers, held towards 0;
* a *moving* vector for each answer, newest first, held towards 0 and towards those of the answers before and after, as
  of an AR(1) process with a given correlation of successive answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from math import dist
from operator import mul
from typing import NamedTuple

__all__ = ["Fit", "Products", "Vector", "centred", "fit", "mixed"]

Vector = tuple[float, ...]

_STEADY, _MOVING = 2, 2  # iterations
_NOTHING = 1e-12  # squared gradient


class Fit(NamedTuple):
    """The vectors of a user.

    Attributes:
        steady: The one vector of all answers.
        moving: That of the newest answer alone; ``None`` if it was not fitted.
        used: The mixture of both, of each answer.
        errors: The errors that it leaves, of each answer.
    """

    steady: Vector
    moving: Vector | None
    used: list[Vector]
    errors: list[list[float]]


class Products:
    """Products with the vectors of an answer's items.

    ``math.dist`` is the only function of Python 3.11 that walks two tuples of numbers in C, four times faster than a
    sum of products; and ``2 u·v = |u|² + |v|² - |u - v|²``.
    """

    __slots__ = ("_column_squares", "_columns", "_row_squares", "_rows")

    def __init__(self, rows: Sequence[Vector]) -> None:
        self._rows = rows
        self._columns = list(zip(*rows, strict=True))
        self._row_squares = _squares(rows)
        self._column_squares = _squares(self._columns)

    def along(self, vector: Vector) -> list[float]:
        """The product of each item's vector with one vector."""
        return _products(self._rows, self._row_squares, vector)

    def across(self, numbers: Sequence[float]) -> list[float]:
        """The sum of the items' vectors, each times its number."""
        return _products(self._columns, self._column_squares, tuple(numbers))


def _squares(rows: Sequence[Vector]) -> list[float]:
    return [length * length for length in map(dist, rows, repeat((0.0,) * len(rows[0])))]


def _products(rows: Sequence[Vector], squares: Sequence[float], vector: Vector) -> list[float]:
    own = sum(map(mul, vector, vector))
    distances = map(dist, rows, repeat(vector))
    return [0.5 * (square + own - apart * apart) for square, apart in zip(squares, distances, strict=True)]


def centred(numbers: Sequence[float]) -> list[float]:
    """The numbers less their mean."""
    middle = sum(numbers) / len(numbers)
    return [number - middle for number in numbers]


def mixed(steady: Vector, moving: Vector, share: float) -> Vector:
    """The mixture of two vectors, in which the moving one has that weight."""
    if share == 0.0:
        return steady
    return tuple([one + share * (other - one) for one, other in zip(steady, moving, strict=True)])


def fit(
    answers: Sequence[Products],
    targets: Sequence[Sequence[float]],
    before: Vector,
    *,
    pull: float,
    pull_moving: float,
    correlation: float,
    share: float,
    always: bool,
) -> Fit:
    """Fit a user's vectors.

    Args:
        answers: The vectors of the items of each answer, newest first.
        targets: What the products should be, up to a constant of the answer.
        before: The previous steady vector.
        pull: The strength of the ridge of the steady vector.
        pull_moving: That of the moving ones.
        correlation: That of the moving vectors of successive answers.
        share: The weight of the moving vectors in the mixture.
        always: Fit moving vectors though their weight be 0.
    """

    def errors(vectors: Iterable[Vector]) -> list[list[float]]:
        return [
            centred([target - product for target, product in zip(wanted, rows.along(vector), strict=True)])
            for rows, wanted, vector in zip(answers, targets, vectors, strict=True)
        ]

    def bent(way: Vector) -> list[float]:
        sums = [pull * one for one in way]
        for rows in answers:
            sums = [one + other for one, other in zip(sums, rows.across(centred(rows.along(way))), strict=True)]
        return sums

    gradient = [-pull * one for one in before]
    for rows, wrong in zip(answers, errors([before] * len(answers)), strict=True):
        gradient = [one + other for one, other in zip(gradient, rows.across(wrong), strict=True)]
    steady = tuple(_descended(before, gradient, bent, _STEADY))
    used = [steady] * len(answers)
    left = errors(used)
    if not share and not always:
        return Fit(steady, None, used, left)
    if len(answers) == 1:
        return Fit(steady, steady, used, left)
    moving = _moving(answers, left, steady, pull_moving / (1.0 - correlation**2), correlation)
    if share:
        used = [mixed(steady, one, share) for one in moving]
        left = errors(used)
    return Fit(steady, moving[0], used, left)


def _moving(
    answers: Sequence[Products], left: Sequence[Sequence[float]], steady: Vector, pull: float, correlation: float
) -> list[Vector]:
    """Fit a vector for each answer, from the steady one, which leaves those errors."""
    size, most = len(steady), len(answers) - 1

    def held(vectors: Sequence[Sequence[float]]) -> list[list[float]]:
        """The pull on each vector: that of the process' inverse covariance, which is tridiagonal."""
        pulls: list[list[float]] = []
        for n, vector in enumerate(vectors):
            own = pull * (1.0 + correlation**2 if 0 < n < most else 1.0)
            sums = [own * one for one in vector]
            for other in (*vectors[max(0, n - 1) : n], *vectors[n + 1 : n + 2]):
                sums = [one - pull * correlation * two for one, two in zip(sums, other, strict=True)]
            pulls.append(sums)
        return pulls

    def bent(way: Vector) -> list[float]:
        parts = [way[start : start + size] for start in range(0, len(way), size)]
        sums: list[float] = []
        for rows, part, pulled in zip(answers, parts, held(parts), strict=True):
            sums += map(float.__add__, pulled, rows.across(centred(rows.along(part))))
        return sums

    gradient: list[float] = []
    for rows, errors, pulled in zip(answers, left, held([steady] * len(answers)), strict=True):
        gradient += map(float.__sub__, rows.across(errors), pulled)
    found = _descended(steady * len(answers), gradient, bent, _MOVING)
    return [tuple(found[start : start + size]) for start in range(0, len(found), size)]


def _descended(
    start: Vector, gradient: Sequence[float], bent: Callable[[Vector], Sequence[float]], iterations: int
) -> Sequence[float]:
    """Conjugate gradients: ``bent`` multiplies by the matrix, and ``gradient`` is that at the start, downhill."""
    found: Sequence[float] = start
    way, steep = tuple(gradient), sum(map(mul, gradient, gradient))
    for _ in range(iterations):
        if steep <= _NOTHING:
            break
        curve = bent(way)
        length = steep / sum(map(mul, way, curve))
        found = [one + length * step for one, step in zip(found, way, strict=True)]
        gradient = [one - length * step for one, step in zip(gradient, curve, strict=True)]
        steep, steep_before = sum(map(mul, gradient, gradient)), steep
        turn = steep / steep_before
        way = tuple([one + turn * step for one, step in zip(gradient, way, strict=True)])
    return found

"""Scores of several rankings on one logarithmic scale, with bounds. Pure, and by item numbers.

A score is a softmax over the list that was ranked: ``score(i) = exp(logit(i)) / Z``, where ``Z`` differs from list to
list and the logits do not. So the scores of two rankings differ by one factor, which each item with a score in both
tells.

Scores arrive rounded to 7 decimals (service.md section 4), which leaves an interval: a score *s* says that
``logit - ln Z`` lies between ``ln (s - half a unit)`` and ``ln (s + half a unit)``; a score of 0 has no lower end. As
long as the intervals of all answers agree, what follows is arithmetic of intervals, and the bounds are certain.

Where they do not agree (another replica, an event in between), the answers are measurements: ``ln Z`` is a robust least
squares estimate over the shared items, an item's logit a weighted mean, and the deviation of one measurement is seen
from how much shared items disagree. The bounds then hold for normal errors, with a probability of 99 percent for the
whole list.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from math import inf, isfinite, log, sqrt
from statistics import NormalDist, median

import attrs

from personalize_rt.rerank.noise import Fit, quantile
from personalize_rt.rerank.order import Graph, in_order

__all__ = ["HALF_UNIT", "Part", "Scale", "in_order"]

# Half of the last decimal, and a little for what a float cannot hold exactly.
HALF_UNIT = 5e-8 * (1 + 1e-6)

# The widest range of the differences between hundreds of pairs of normal values, in deviations of one of them.
_WIDEST = 9.0

# Pairs of equal scores that are no coincidence.
_SURELY_EQUAL = 3

Interval = tuple[float, float]
_ANYWHERE: Interval = (-inf, inf)


@attrs.frozen(eq=False)
class Part:
    """One ranking.

    Attributes:
        items: The numbers of its scored items, best first.
        scores: Their scores.
        low: The lower end of ``ln score`` of each, before it was rounded; ``-inf`` for 0.
        high: The upper end.
    """

    items: Sequence[int]
    scores: Sequence[float]
    low: Sequence[float] = attrs.field(init=False, repr=False)
    high: Sequence[float] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        low = [log(score - HALF_UNIT) if score > HALF_UNIT else -inf for score in self.scores]
        high = [log(min(1.0, max(0.0, score) + HALF_UNIT)) for score in self.scores]
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)


@attrs.frozen(eq=False)
class Scale:
    """The places of the items.

    Attributes:
        low: The lower end of each item's logit; ``-inf`` where there is none.
        high: The upper end; ``inf`` where there is none.
        places: An estimate of each item's logit, also for items without a finite interval; ``-inf`` for those without
            a score.
        depths: The depth of each item in the list, 0 (first) to 1, by the order of the rankings alone.
        coarseness: The most that rounding may have moved each item's estimate: its half width without the noise;
            ``inf`` if unknown.
        groups: The number of each ranking's group, which has one scale; 0 is that of most items.
        graph: The order of items in the rankings.
        noise: The deviation of one answer's logit of an item, as far as rounding does not explain it: 0.0 when
            rounding explains all.
        margin: The most that this noise may move one answer's logit of an item.
        disagreement: The largest gap between what two rankings tell of one item: 0.0 when rounding explains
            all.
    """

    low: Sequence[float]
    high: Sequence[float]
    places: Sequence[float]
    depths: Mapping[int, float]
    coarseness: Sequence[float]
    groups: Sequence[int]
    graph: Graph
    noise: float = 0.0
    margin: float = 0.0
    disagreement: float = 0.0

    @classmethod
    def of(cls, parts: Sequence[Part], size: int) -> Scale:
        """Put rankings on one scale.

        Args:
            parts: The rankings; the first ones cover the list, each with a fair sample of it.
            size: The number of items.
        """
        shared = _shared(parts)
        groups, apart = _groups(parts, shared)
        graph = Graph.of(parts)
        low, high = [-inf] * size, [inf] * size
        for group in groups:
            offset = (0.0, 0.0) if group is groups[0] else _offset(group, parts, low, high)
            _intersect(group, offset, parts, low, high)
        # A ranking is ordered by its logits, also where scores are equal: no item lies above one that is before it.
        above, below = graph.lowest(high), graph.highest(low)
        apart = max(apart, *(below[item] - above[item] for item in graph.sequence), 0.0)
        noise = margin = disagreement = 0.0
        coarse: dict[int, float] = {}
        if apart <= 0.0:
            for item in graph.sequence:
                low[item], high[item] = below[item], above[item]
        else:
            low, high = [-inf] * size, [inf] * size
            fits = [Fit.of(group, parts, shared) for group in groups]
            disagreement = max(apart, *(fit.disagreement for fit in fits))
            noise = max(fits[0].noise, disagreement / _WIDEST)
            margin = quantile(sum(len(part.items) for part in parts)) * noise
            for fit in fits:
                offset = (0.0, 0.0)
                if fit is not fits[0]:
                    exactly = {number: (shift, shift) for number, shift in fit.shifts.items()}
                    offset = _offset(exactly, parts, low, high, margin)
                coarse |= _average(fit, offset, parts, noise, margin, low, high)
            for part in (*parts, *parts):  # again, since what one ranking says of an item matters to another
                _use_order(part, low, high, sqrt(2.0) * margin)
        depths = _depths(parts)
        halves = [(most - least) / 2 for least, most in zip(low, high, strict=True)]
        coarseness = [min(half, coarse.get(item, inf)) for item, half in enumerate(halves)]
        of_part = {number: place for place, group in enumerate(groups) for number in group}
        numbers = [of_part[number] for number in range(len(parts))]
        places = _estimate(low, high, depths, sqrt(2.0) * margin)
        return cls(low, high, places, depths, coarseness, numbers, graph, noise, margin, disagreement)

    def knows(self, item: int) -> bool:
        """Tell whether an item has its place on the scale."""
        return isfinite(self.low[item]) and isfinite(self.high[item])

    def half_width(self, item: int) -> float:
        """The most that an item's logit may differ from its estimate; ``inf`` if unknown."""
        return (self.high[item] - self.low[item]) / 2

    def ordered(self, parts: Sequence[Part]) -> tuple[dict[int, float], float]:
        """All items, best first, each with a place that agrees with this order; and the order's error bound."""
        keys = self.graph.agreed(self.places, self.knows)
        widths = sorted((self.half_width(item) for item in keys if self.knows(item)), reverse=True)
        bound = max(sum(widths[:2]), self.disagreement)
        if not self.margin:
            bound = self._make_level(keys, parts, bound)
        depths = {item: 0.0 if self.knows(item) else depth for item, depth in self.depths.items()}
        return self.graph.ordered(keys, depths), bound

    def _make_level(self, keys: dict[int, float], parts: Sequence[Part], bound: float) -> float:
        """Give one key to items that no ranking tells apart; return the bound with what this may hide.

        Such items stand closer together than they are known, and further from all others; and wherever two of them
        stand side by side in a ranking, which happens, their scores are equal.
        """
        items = sorted(filter(self.knows, keys), key=keys.__getitem__)
        level_of: dict[int, int] = {}
        levels: list[list[int]] = []
        for item in items:
            last = levels[-1][-1] if levels else item
            if not levels or keys[item] - keys[last] > self.half_width(item) + self.half_width(last):
                levels.append([])
            levels[-1].append(item)
            level_of[item] = len(levels) - 1
        equal: Counter[int] = Counter()
        unequal: set[int] = set()
        for part in parts:
            for (one, first), (other, second) in pairwise(zip(part.items, part.scores, strict=True)):
                if (number := level_of.get(one)) is not None and number == level_of.get(other):
                    if first == second:
                        equal[number] += 1
                    else:
                        unequal.add(number)
        for number in equal.keys() - unequal:
            alike = levels[number]
            apart = keys[alike[-1]] - keys[alike[0]]
            most = sum(sorted(map(self.half_width, alike))[-2:])
            if apart <= most and (equal[number] >= _SURELY_EQUAL or apart + most <= bound):
                keys.update(dict.fromkeys(alike, (keys[alike[-1]] + keys[alike[0]]) / 2))
                bound = max(bound, apart + most)
        return bound


# Answers that agree: intervals.


def _both(one: Interval, other: Interval) -> Interval:
    """The intersection of two intervals; if it is empty, its ends are the wrong way round."""
    return max(one[0], other[0]), min(one[1], other[1])


def _ordered(interval: Interval) -> Interval:
    """An interval with its ends in order: they are swapped where answers disagree."""
    low, high = interval
    return interval if low <= high else (high, low)


Shared = Sequence[dict[int, list[tuple[int, int]]]]


def _groups(parts: Sequence[Part], shared: Shared) -> tuple[list[dict[int, Interval]], float]:
    """Groups of rankings on one scale by shared items, each with its ``ln Z``; and their largest disagreement.

    The group of most items comes first.
    """
    apart = 0.0
    waiting: dict[int, Interval] = dict.fromkeys(range(len(parts)), _ANYWHERE)
    groups: list[dict[int, Interval]] = []
    while waiting:
        # What shares most begins, and the best known comes next: what is placed through it inherits its uncertainty.
        number, shift = max(waiting, key=lambda number: len(shared[number])), (0.0, 0.0)
        anew: dict[int, Interval] = dict.fromkeys(waiting, _ANYWHERE)
        waiting = anew
        group: dict[int, Interval] = {}
        known: dict[int, Interval] = {}
        while True:
            del waiting[number]
            group[number] = shift
            part = parts[number]
            for place, others in shared[number].items():
                item = part.items[place]
                here = shift[0] + part.low[place], shift[1] + part.high[place]
                known[item] = _both(known.get(item, _ANYWHERE), here)
                low, high = _ordered(known[item])
                for other, there in others:
                    if other in waiting:
                        told = low - parts[other].high[there], high - parts[other].low[there]
                        waiting[other] = _both(waiting[other], told)
            number = min(waiting, key=lambda number: _width(waiting[number]), default=-1)
            if number < 0 or not isfinite(_width(waiting[number])):
                break
            apart = max(apart, waiting[number][0] - waiting[number][1])
            shift = _ordered(waiting[number])
        groups.append(group)
    groups.sort(key=lambda group: -len({item for number in group for item in parts[number].items}))
    return groups, apart


def _shared(parts: Sequence[Part]) -> Shared:
    """For each ranking: place of a shared item to all its (ranking, place) pairs."""
    count = Counter(item for part in parts for item in part.items)
    where: dict[int, list[tuple[int, int]]] = {item: [] for item, times in count.items() if times > 1}
    for number, part in enumerate(parts):
        for place, item in enumerate(part.items):
            if item in where:
                where[item].append((number, place))
    return [{place: where[item] for place, item in enumerate(part.items) if item in where} for part in parts]


def _width(interval: Interval) -> float:
    return abs(interval[1] - interval[0])


def _offset(
    group: dict[int, Interval], parts: Sequence[Part], low: Sequence[float], high: Sequence[float], slack: float = 0.0
) -> Interval:
    """The place of a group on the scale of those before it: scores of 0 say that it is below, or above."""
    least, most = _ANYWHERE
    for number, shift in group.items():
        part = parts[number]
        for item, below, above in zip(part.items, part.low, part.high, strict=True):
            least, most = _both((least, most), (low[item] - shift[1] - above, high[item] - shift[0] - below))
    return _ordered((least - slack, most + slack))


def _intersect(
    group: dict[int, Interval], offset: Interval, parts: Sequence[Part], low: list[float], high: list[float]
) -> None:
    """Narrow each item's interval to what the rankings of a group say of it."""
    for number, shift in group.items():
        part = parts[number]
        least, most = shift[0] + offset[0], shift[1] + offset[1]
        for item, below, above in zip(part.items, part.low, part.high, strict=True):
            # Comparisons: a call of min or max takes four times as long, and there are thousands of items.
            if (edge := least + below) > low[item]:
                low[item] = edge
            if (edge := most + above) < high[item]:
                high[item] = edge


# Answers that do not agree: measurements.


def _average(
    fit: Fit,
    offset: Interval,
    parts: Sequence[Part],
    noise: float,
    margin: float,
    low: list[float],
    high: list[float],
) -> dict[int, float]:
    """Give each item that a group scores above 0 an interval around its weighted mean; and say what rounding adds."""
    variance = noise * noise
    deviations = margin / noise if noise else 0.0
    sums: dict[int, list[float]] = {}
    for number, shift in fit.shifts.items():
        part = parts[number]
        error = variance + fit.errors[number] ** 2
        for item, below, above in zip(part.items, part.low, part.high, strict=True):
            if below > -inf:
                rounded = (above - below) / 2
                weight = 1 / (variance + rounded * rounded / 3 + 1e-18)
                one = (weight, weight * (shift + (below + above) / 2), weight * rounded, weight * weight * error)
                if item in sums:
                    sums[item] = [old + new for old, new in zip(sums[item], one, strict=True)]
                else:
                    sums[item] = list(one)
            elif (edge := shift + offset[1] + above + margin) < high[item]:
                high[item] = edge
    for item, (weight, value, rounded, error) in sums.items():
        middle, half = value / weight, rounded / weight + deviations * sqrt(error) / weight
        here = middle - half + offset[0], middle + half + offset[1]
        # Where the order of two answers is the other way round, an item may be above what its scores of 0 allow.
        low[item], high[item] = _ordered(_both((low[item], high[item]), here))
    return {item: rounded / weight for item, (weight, _, rounded, _) in sums.items()}


# Both.


def _use_order(part: Part, low: list[float], high: list[float], slack: float) -> None:
    """Narrow intervals by a ranking's order, also of equal scores: no item lies above one before it.

    Where measurements are noisy, it may lie above by ``slack``.
    """
    most = inf
    for item in part.items:
        if low[item] <= most < high[item]:
            high[item] = most
        elif (end := high[item] + slack) < most or low[item] > most:
            most = end  # it is lower, or the answers disagree and the order begins anew
    least = -inf
    for item in reversed(part.items):
        if low[item] < least <= high[item]:
            low[item] = least
        elif (start := low[item] - slack) > least or high[item] < least:
            least = start


def _depths(parts: Sequence[Part]) -> dict[int, float]:
    """The depth of each item in its ranking, from 0 to 1; about that in the whole list, since chunks are alike.

    A later ranking whose items all have depths deals these out again in its own order.
    """
    depths: dict[int, float] = {}
    for part in parts:
        known = sorted(depths[item] for item in part.items if item in depths)
        if len(known) == len(part.items):
            depths.update(zip(part.items, known, strict=True))
        else:
            for place, item in enumerate(part.items):
                depths.setdefault(item, (place + 0.5) / len(part.items))
    return depths


def _estimate(
    low: Sequence[float], high: Sequence[float], depths: Mapping[int, float], slack: float = 0.0
) -> list[float]:
    """The middle of each interval; where an end is missing, the usual place of known items at that depth.

    Where measurements are noisy, such a place may be outside of the interval by ``slack``: ends that noise alone puts
    in another order than the depths are no reason to leave it.
    """
    estimates = [-inf] * len(low)
    points: list[tuple[float, float]] = []
    unknown: list[tuple[float, int]] = []
    for item, depth in depths.items():
        if isfinite(middle := (low[item] + high[item]) / 2):
            estimates[item] = middle
            points.append((depth, middle))
        else:
            unknown.append((depth, item))
    if unknown:
        curve = _Curve.through(points)
        unknown.sort()
        # Deeper ones lie lower, whatever the bounds of each.
        guesses = [min(max(curve.at(depth), low[item]), high[item]) for depth, item in unknown]
        falling = list(accumulate(guesses, min))
        rising = list(accumulate(reversed(guesses), max))[::-1]
        for (_, item), most, least in zip(unknown, falling, rising, strict=True):
            estimates[item] = min(max((most + least) / 2, low[item] - slack), high[item] + slack)
    return estimates


_deviate = NormalDist().inv_cdf


@attrs.frozen
class _Curve:
    """The place at each depth: a falling line through medians of known items, straight for a normal distribution."""

    x: Sequence[float]
    y: Sequence[float]

    @classmethod
    def through(cls, points: list[tuple[float, float]]) -> _Curve:
        """The line through points of a depth and a place."""
        if len(points) < 2:
            level = points[0][1] if points else 0.0
            return cls((-1.0, 1.0), (level + 1.0, level - 1.0))
        points.sort()
        bins = min(20, len(points))
        cut = [points[len(points) * n // bins : len(points) * (n + 1) // bins] for n in range(bins)]
        x = [_deviate(median(depth for depth, _ in some)) for some in cut]
        return cls(x, list(accumulate((median(place for _, place in some) for some in cut), min)))

    def at(self, depth: float) -> float:
        """The place at a depth."""
        x = _deviate(depth)
        after = min(max(1, bisect_left(self.x, x)), len(self.x) - 1)
        start, end = self.x[after - 1], self.x[after]
        slope = (self.y[after] - self.y[after - 1]) / (end - start) if end > start else 0.0
        return self.y[after - 1] + slope * (x - start)

"""Puts the scores of several rankings on one logarithmic scale, with error bounds. Items are numbers here.

A score is a softmax over the list that was ranked: ``score(i) = exp(logit(i)) / Z``, where ``Z`` differs from list to
list and the logits do not. So the scores of two rankings differ by one factor, and any item in both tells which.

Scores arrive rounded to 7 decimals (service.md section 4), which leaves an interval: for a score *s*,
``logit - ln Z`` lies between ``ln (s - half a unit)`` and ``ln (s + half a unit)``; for a score of 0 there is no lower
end. The rest is interval arithmetic, so the bounds hold if the answers agree with each other. If they do not (the user
did something between two of them), an interval spans the disagreement.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import fsum, inf, isfinite, log
from statistics import NormalDist

import attrs

__all__ = ["HALF_UNIT", "Part", "Scale", "in_order"]

# Half of the last decimal, and a little more for floats that are not exact.
HALF_UNIT = 5e-8 * (1 + 1e-6)

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
    """The logit of each item: interval and estimate.

    Attributes:
        low: The lower bound of each item's logit; ``-inf`` when there is none.
        high: The upper bound; ``inf`` when there is none.
        places: The estimate of each item's logit, which need not have a finite interval; ``-inf`` for an item without
            a score.
        groups: The number of each ranking's group. Rankings of one group are on one scale; group 0 has the most items.
        disagreement: The largest difference between two rankings beyond what rounding explains; 0.0 when there is none.
    """

    low: Sequence[float]
    high: Sequence[float]
    places: Sequence[float]
    groups: Sequence[int]
    disagreement: float = 0.0

    @classmethod
    def of(cls, parts: Sequence[Part], size: int) -> Scale:
        """Put rankings on one scale.

        Args:
            parts: The rankings; the first ones cover the list, each with a random sample of it.
            size: The number of items.
        """
        low, high, estimates = [-inf] * size, [inf] * size, [-inf] * size
        groups, disagreement = _groups(parts)
        for group in groups:
            offset = (0.0, 0.0) if group is groups[0] else _offset(group, parts, low, high)
            middle = _middle(offset)
            for number, shift in group.items():
                part, centre = parts[number], _middle(shift) + middle
                least, most = shift[0] + offset[0], shift[1] + offset[1]
                for item, below, above in zip(part.items, part.low, part.high, strict=True):
                    # Not min() and max(), which take four times as long: there are thousands of items.
                    if (edge := least + below) > low[item]:
                        low[item] = edge
                    if (edge := most + above) < high[item]:
                        high[item] = edge
                    if below > -inf and estimates[item] == -inf:
                        estimates[item] = centre + (below + above) / 2
        for item in [item for item, (least, most) in enumerate(zip(low, high, strict=True)) if least > most]:
            low[item], high[item] = high[item], low[item]
            disagreement = max(disagreement, high[item] - low[item])
        for part in (*parts, *parts):  # twice, since one ranking may narrow an interval that another one uses
            _use_order(part, low, high)
        _estimate(parts, low, high, estimates)
        of_part = {number: place for place, group in enumerate(groups) for number in group}
        return cls(low, high, estimates, [of_part[number] for number in range(len(parts))], disagreement)

    def knows(self, item: int) -> bool:
        """Tell whether both bounds of an item are known."""
        return isfinite(self.low[item]) and isfinite(self.high[item])

    def half_width(self, item: int) -> float:
        """The largest error of an item's estimate; ``inf`` when a bound is unknown."""
        return (self.high[item] - self.low[item]) / 2


def _both(one: Interval, other: Interval) -> Interval:
    """The intersection of two intervals. Its ends are swapped if the intervals do not overlap."""
    return max(one[0], other[0]), min(one[1], other[1])


def _ordered(interval: Interval) -> Interval:
    """Put the ends of an interval in order. One with swapped ends becomes the gap between disagreeing answers."""
    low, high = interval
    return interval if low <= high else (high, low)


def _middle(interval: Interval) -> float:
    low, high = interval
    if isfinite(low):
        return (low + high) / 2 if isfinite(high) else low
    return high if isfinite(high) else 0.0


def _groups(parts: Sequence[Part]) -> tuple[list[dict[int, Interval]], float]:
    """Group rankings that are tied by shared items, each with its ``ln Z``; and measure their largest disagreement.

    The group with the most items comes first.
    """
    shared = _shared(parts)
    disagreement = 0.0
    waiting: dict[int, Interval] = dict.fromkeys(range(len(parts)), _ANYWHERE)
    groups: list[dict[int, Interval]] = []
    while waiting:
        # The ranking with the most shared items begins. Then always the one whose ln Z is known best, since rankings
        # that are placed through it inherit its uncertainty.
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
            disagreement = max(disagreement, waiting[number][0] - waiting[number][1])
            shift = _ordered(waiting[number])
        groups.append(group)
    groups.sort(key=lambda group: -len({item for number in group for item in parts[number].items}))
    return groups, disagreement


def _shared(parts: Sequence[Part]) -> list[dict[int, list[tuple[int, int]]]]:
    """The places of each ranking's shared items, with all rankings and places that have the item."""
    count = Counter(item for part in parts for item in part.items)
    where: dict[int, list[tuple[int, int]]] = {item: [] for item, times in count.items() if times > 1}
    for number, part in enumerate(parts):
        for place, item in enumerate(part.items):
            if item in where:
                where[item].append((number, place))
    return [{place: where[item] for place, item in enumerate(part.items) if item in where} for part in parts]


def _width(interval: Interval) -> float:
    return abs(interval[1] - interval[0])


def _offset(group: dict[int, Interval], parts: Sequence[Part], low: Sequence[float], high: Sequence[float]) -> Interval:
    """The interval of a group's offset on the scale of the groups before it, as far as scores of 0 bound it."""
    interval = _ANYWHERE
    for number, (least, most) in group.items():
        part = parts[number]
        for item, below, above in zip(part.items, part.low, part.high, strict=True):
            interval = _both(interval, (low[item] - most - above, high[item] - least - below))
    return _ordered(interval)


def _use_order(part: Part, low: list[float], high: list[float]) -> None:
    """Narrow intervals by the order of a ranking: no item has a higher logit than one before it."""
    most = inf
    for item in part.items:
        if low[item] <= most < high[item]:
            high[item] = most
        else:  # its bound is lower already, or the answers disagree
            most = high[item]
    least = -inf
    for item in reversed(part.items):
        if low[item] < least <= high[item]:
            low[item] = least
        else:
            least = low[item]


def _estimate(parts: Sequence[Part], low: Sequence[float], high: Sequence[float], estimates: list[float]) -> None:
    """Estimate logits: the middle of an interval, or without a bound, a normal quantile fitted to the others."""
    depth: dict[int, float] = {}
    for part in parts:
        for place, item in enumerate(part.items):
            depth.setdefault(item, (place + 0.5) / len(part.items))
    known = [item for item in depth if isfinite(low[item]) and isfinite(high[item])]
    for item in known:
        estimates[item] = (low[item] + high[item]) / 2
    unknown = [item for item in depth if estimates[item] == -inf]
    if unknown:
        quantile = NormalDist().inv_cdf
        deviates = {item: -quantile(depth[item]) for item in (*known, *unknown)}
        slope, level = _line([(deviates[item], estimates[item]) for item in known])
        for item in unknown:
            estimates[item] = level + slope * deviates[item]
    for item in unknown:
        estimates[item] = min(max(estimates[item], low[item]), high[item])
    # Move guessed estimates so that they do not contradict the order of a ranking.
    guessed = depth.keys() - known
    for part in parts:
        least = -inf
        for item in reversed(part.items):
            if item in guessed:
                estimates[item] = max(estimates[item], least)
            least = max(least, estimates[item])


def _line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Fit a line to points: its slope, at least 0, and its intercept."""
    if not points:
        return 1.0, 0.0
    x, y = (fsum(column) / len(points) for column in zip(*points, strict=True))
    spread = fsum((one - x) ** 2 for one, _ in points)
    slope = fsum((one - x) * (two - y) for one, two in points) / spread if spread else 1.0
    slope = max(slope, 0.0)
    return slope, y - slope * x


def in_order(parts: Sequence[Part], places: Sequence[float]) -> list[int]:
    """Merge the rankings into one order, best first, that keeps the order of each; contradictions go by ``places``."""
    waits = [0] * len(places)
    follows: list[list[int]] = [[] for _ in places]
    for part in parts:
        for item, after in pairwise(part.items):
            follows[item].append(after)
            waits[after] += 1
    scored = dict.fromkeys(item for part in parts for item in part.items)
    ready = [(-places[item], item) for item in scored if not waits[item]]
    heapq.heapify(ready)
    # If rankings contradict each other, no item may be ready: then the best of the others comes next.
    best = iter(sorted(scored, key=lambda item: -places[item]))
    done: dict[int, None] = {}
    while len(done) < len(scored):
        item = heapq.heappop(ready)[1] if ready else next(item for item in best if item not in done)
        done[item] = None
        for after in follows[item]:
            waits[after] -= 1
            if not waits[after] and after not in done:
                heapq.heappush(ready, (-places[after], after))
    return list(done)

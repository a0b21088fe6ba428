"""One order of the items of several rankings, each in its own order as far as the others let it be. Pure.

Each ranking says of any two of its items which is first. Where rankings contradict each other, these statements make a
circle; items on circles (a strongly connected component) are ordered by their places alone. For all others the places
are changed as little as it takes to agree with the rankings: each lies in the middle between the lowest place of what
must stand before it, and the highest of what must stand after it, which of all such changes has the smallest largest
one. So nothing that waits for an item of a lower place is passed by others.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from personalize_rt.rerank.scale import Part

__all__ = ["in_order", "ordered"]


def in_order(parts: Sequence[Part], places: Sequence[float]) -> list[int]:
    """All items, best first: each ranking in its own order, and where rankings contradict each other, by place."""
    return list(ordered(parts, places, lambda item: True, lambda item: 0.0))


def ordered(
    parts: Sequence[Part],
    places: Sequence[float],
    knows: Callable[[int], bool],
    half_width: Callable[[int], float],
) -> dict[int, float]:
    """All items, best first, each with a place that agrees with the order.

    Items that cannot be told apart, and are apart from all others, get one place, and stand in the order of their
    numbers, as one request would have equals.

    Args:
        parts: The rankings.
        places: An estimate of each item's logit.
        knows: Whether an item's place is more than a guess, which gives way to what is known.
        half_width: By how much the place of an item that is known may be wrong.
    """
    before, after, sequence = _graph(parts, places)
    keys = dict.fromkeys(sequence, 0.0)
    known = {item for item in sequence if knows(item)}
    above = _envelope(sequence, before, min, inf, lambda item: places[item] if item in known else None)
    below = _envelope(reversed(sequence), after, max, -inf, lambda item: places[item] if item in known else None)
    for item in known:
        keys[item] = (above[item] + below[item]) / 2
    if len(known) < len(keys):
        _guess(sequence, before, after, known, places, keys)
    _make_level(keys, known, half_width)
    # Keys never rise along a ranking, so nothing waits for an item of a lower key; the heap is for equal keys.
    waits = {item: len(items) for item, items in before.items()}
    ready = [(-keys[item], item) for item in sequence if not waits[item]]
    heapq.heapify(ready)
    done: dict[int, float] = {}
    while ready:
        _, item = heapq.heappop(ready)
        done[item] = keys[item]
        for following in after[item]:
            waits[following] -= 1
            if not waits[following]:
                heapq.heappush(ready, (-keys[following], following))
    return done


Neighbours = dict[int, list[int]]


def _graph(parts: Sequence[Part], places: Sequence[float]) -> tuple[Neighbours, Neighbours, list[int]]:
    """What each item stands next to, before and after, without circles; and all items in an order that agrees."""
    after: Neighbours = {item: [] for part in parts for item in part.items}
    waits = dict.fromkeys(after, 0)
    for part in parts:
        for item, following in pairwise(part.items):
            after[item].append(following)
            waits[following] += 1
    sequence = [item for item, count in waits.items() if not count]
    for item in sequence:  # which grows
        for following in after[item]:
            waits[following] -= 1
            if not waits[following]:
                sequence.append(following)
    if len(sequence) < len(after):
        done = set(sequence)
        circles = list(_components([item for item in after if item not in done], after))
        circle = {item: number for number, items in enumerate(circles) for item in items}
        for item, number in circle.items():
            after[item] = [following for following in after[item] if circle[following] != number]
        for items in reversed(circles):
            sequence += sorted(items, key=lambda item: (-places[item], item))
    before: Neighbours = {item: [] for item in after}
    for item, items in after.items():
        for following in items:
            before[following].append(item)
    return before, after, sequence


def _components(nodes: Sequence[int], after: Neighbours) -> Iterator[list[int]]:
    """The strongly connected components (Tarjan, without recursion); what stands last comes first."""
    index: dict[int, int] = {}
    lowest: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    for root in nodes:
        if root in index:
            continue
        index[root] = lowest[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        path = [(root, iter(after[root]))]
        while path:
            node, left = path[-1]
            for following in left:
                if following not in index:
                    index[following] = lowest[following] = len(index)
                    stack.append(following)
                    on_stack.add(following)
                    path.append((following, iter(after[following])))
                    break
                if following in on_stack:
                    lowest[node] = min(lowest[node], index[following])
            else:
                path.pop()
                if path:
                    lowest[path[-1][0]] = min(lowest[path[-1][0]], lowest[node])
                if lowest[node] == index[node]:
                    component = [stack.pop()]
                    while component[-1] != node:
                        component.append(stack.pop())
                    on_stack.difference_update(component)
                    yield component


def _envelope(
    sequence: Iterator[int] | Sequence[int],
    neighbours: Neighbours,
    narrower: Callable[[float, float], float],
    widest: float,
    value_of: Callable[[int], float | None],
) -> dict[int, float]:
    """For each item the lowest (``min``) or highest (``max``) value of itself and of all that it comes after."""
    found: dict[int, float] = {}
    for item in sequence:
        value = value_of(item)
        limit = widest if value is None else value
        for other in neighbours[item]:
            limit = narrower(limit, found[other])
        found[item] = limit
    return found


def _guess(
    sequence: Sequence[int],
    before: Neighbours,
    after: Neighbours,
    known: set[int],
    places: Sequence[float],
    keys: dict[int, float],
) -> None:
    """Give items whose places are guesses a key that fits those of what is known, then each other."""

    def key(item: int) -> float | None:
        return keys[item] if item in known else None

    most = _envelope(sequence, before, min, inf, key)
    least = _envelope(reversed(sequence), after, max, -inf, key)

    def guess(item: int) -> float:
        return keys[item] if item in known else min(max(places[item], least[item]), most[item])

    above = _envelope(sequence, before, min, inf, guess)
    below = _envelope(reversed(sequence), after, max, -inf, guess)
    for item in sequence:
        if item not in known:
            keys[item] = (above[item] + below[item]) / 2


def _make_level(keys: dict[int, float], known: set[int], half_width: Callable[[int], float]) -> None:
    """Give one key to items that stand closer together than they are known, and further from all others."""
    items = sorted(known, key=keys.__getitem__)
    widths = [half_width(item) for item in items]
    start = 0
    for end in range(1, len(items) + 1):
        if end < len(items) and keys[items[end]] - keys[items[end - 1]] <= widths[end] + widths[end - 1]:
            continue
        level = items[start:end]
        apart = keys[level[-1]] - keys[level[0]]
        if 0 < apart <= sum(sorted(widths[start:end])[-2:]):
            middle = (keys[level[-1]] + keys[level[0]]) / 2
            keys.update(dict.fromkeys(level, middle))
        start = end

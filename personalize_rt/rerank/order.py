"""One order of the items of several rankings, each in its own order as far as the others let it be. Pure.

Each ranking says of any two of its items which is first. Where rankings contradict each other, these statements make a
circle; items on circles (a strongly connected component) are ordered by their places alone. For all others the places
are changed as little as it takes to agree with the rankings: each lies in the middle between the lowest place of what
must stand before it, and the highest of what must stand after it, which of all such changes has the smallest largest
one. So nothing that waits for an item of a lower place is passed by others.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from personalize_rt.rerank.scale import Part

__all__ = ["Graph", "in_order"]


Neighbours = dict[int, list[int]]


def in_order(parts: Sequence[Part], places: Sequence[float]) -> list[int]:
    """All items, best first: each ranking in its own order, and where rankings contradict each other, by place."""
    graph = Graph.of(parts)
    return list(graph.ordered(graph.agreed(places, lambda item: True), dict.fromkeys(graph.sequence, 0.0)))


@attrs.frozen(eq=False)
class Graph:
    """The order of items by the rankings, without their contradictions.

    Attributes:
        sequence: All items, in an order that agrees with the rankings.
        before: The items that stand next before an item.
        after: The items that stand next after an item.
    """

    sequence: Sequence[int]
    before: Neighbours
    after: Neighbours

    @classmethod
    def of(cls, parts: Sequence[Part]) -> Graph:
        """Take the orders of rankings together."""
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
                sequence += items
        before: Neighbours = {item: [] for item in after}
        for item, items in after.items():
            for following in items:
                before[following].append(item)
        return cls(sequence, before, after)

    def lowest(self, values: Mapping[int, float] | Sequence[float]) -> dict[int, float]:
        """For each item the lowest value of itself and of all that must stand before it."""
        found: dict[int, float] = {}
        before = self.before
        for item in self.sequence:
            value = values[item]
            for other in before[item]:
                if (limit := found[other]) < value:
                    value = limit
            found[item] = value
        return found

    def highest(self, values: Mapping[int, float] | Sequence[float]) -> dict[int, float]:
        """For each item the highest value of itself and of all that must stand after it."""
        found: dict[int, float] = {}
        after = self.after
        for item in reversed(self.sequence):
            value = values[item]
            for other in after[item]:
                if (limit := found[other]) > value:
                    value = limit
            found[item] = value
        return found

    def agreed(self, places: Sequence[float], knows: Callable[[int], bool]) -> dict[int, float]:
        """A key for each item, as near to its place as the rankings allow.

        Args:
            places: An estimate of each item's logit.
            knows: Whether an item's place is more than a guess, which gives way to what is known.
        """
        known = {item: places[item] for item in self.sequence if knows(item)}
        keys = self._agreed(self._wherever(known, inf), self._wherever(known, -inf))
        if len(known) < len(keys):
            # Guesses fit what is known, and then each other.
            known = {item: keys[item] for item in known}
            most, least = self.lowest(self._wherever(known, inf)), self.highest(self._wherever(known, -inf))
            guesses = {item: min(max(places[item], least[item]), most[item]) for item in keys}
            guesses |= known
            keys = self._agreed(guesses, guesses)
        return keys

    def ordered(self, keys: Mapping[int, float], depths: Mapping[int, float]) -> dict[int, float]:
        """The items by their keys, which never rise along a ranking; equals by depth and number, as far as they may."""
        waits = {item: len(items) for item, items in self.before.items()}
        ready = [(-keys[item], depths[item], item) for item in self.sequence if not waits[item]]
        heapq.heapify(ready)
        done: dict[int, float] = {}
        while ready:
            _, _, item = heapq.heappop(ready)
            done[item] = keys[item]
            for following in self.after[item]:
                waits[following] -= 1
                if not waits[following]:
                    heapq.heappush(ready, (-keys[following], depths[following], following))
        return done

    def _agreed(self, most: Mapping[int, float], least: Mapping[int, float]) -> dict[int, float]:
        """The middle between the lowest value of what stands before an item, and the highest of what stands after."""
        above, below = self.lowest(most), self.highest(least)
        return {item: (above[item] + below[item]) / 2 for item in self.sequence}

    def _wherever(self, known: Mapping[int, float], otherwise: float) -> dict[int, float]:
        return {item: known.get(item, otherwise) for item in self.sequence}


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

"""The model of rising popularity, for the trending recipes.

Time is divided into intervals, of which the last ends at the newest event, including events put at run time. The rise
of an item is the number of its events in the last interval minus that in the one before (Developer Guide, recipe
Trending-Now).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from personalize_rt.interactions import Interaction
from personalize_rt.local.datasets import EventLog
from personalize_rt.local.universe import Universe

__all__ = ["TrendModel"]


class TrendModel:
    """The rises of items. Immutable, so safe to share between threads.

    Args:
        log: The Interactions dataset.
        universe: The items, those of the log first, in its own order.
        interval: The length of an interval in seconds.
    """

    def __init__(self, log: EventLog, universe: Universe, interval: float) -> None:
        self._universe = universe
        self._interval = interval
        self._newest = max(log.timestamp, default=0)
        start = self._newest - 2 * interval
        self._latest = [(time, target) for time, target in zip(log.timestamp, log.target, strict=True) if time > start]

    def rising(self, recent: Sequence[Interaction] = ()) -> list[int]:
        """The rising items, fastest first; empty without events.

        Args:
            recent: All events since training.
        """
        numbers = self._universe.numbers
        arrived = [(event.timestamp, numbers[event.item_id]) for event in recent if event.item_id in numbers]
        newest = max([self._newest, *(time for time, _ in arrived)])
        rise: Counter[int] = Counter()
        for time, number in (*self._latest, *arrived):
            if time > newest - self._interval:
                rise[number] += 1
            elif time > newest - 2 * self._interval:
                rise[number] -= 1
        return sorted((number for number, by in rise.items() if by > 0), key=lambda number: (-rise[number], number))

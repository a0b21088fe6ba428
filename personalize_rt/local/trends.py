"""What becomes more popular: the model behind the trending recipes.

Time is cut into intervals that end at the newest event, those that arrived since the start included. An item rises by
the number of its events in the last interval minus that in the one before (Developer Guide, recipe Trending-Now).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from personalize_rt.interactions import Interaction
from personalize_rt.local.datasets import EventLog
from personalize_rt.local.universe import Universe

__all__ = ["TrendModel"]


class TrendModel:
    """Learns from item interactions. Never changed, so threads may share it.

    Args:
        log: The Interactions dataset.
        universe: The items, those of the log first, in its own order.
        interval: Seconds.
    """

    def __init__(self, log: EventLog, universe: Universe, interval: float) -> None:
        self._universe = universe
        self._interval = interval
        self._newest = max(log.timestamp, default=0)
        start = self._newest - 2 * interval
        self._latest = [(time, target) for time, target in zip(log.timestamp, log.target, strict=True) if time > start]

    def rising(self, recent: Sequence[Interaction] = ()) -> list[int]:
        """The items that rise, the fastest first; none when nothing happened.

        Args:
            recent: All events since the model was made.
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

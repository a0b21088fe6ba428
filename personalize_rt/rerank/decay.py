"""Event counts with exponential decay."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from math import exp2, inf, log

import attrs

from personalize_rt.rerank.storage import Column, finite

__all__ = ["DecayedCounts", "half_lives", "weight"]

_DAY = 86_400.0
_LN_2 = log(2.0)


def half_lives(seconds: float, half_life_days: float | None) -> float:
    """Convert seconds to half-lives; 0 without a half-life."""
    return 0.0 if half_life_days is None else seconds / (half_life_days * _DAY)


def weight(seconds: float, half_life_days: float | None) -> float:
    """The weight of an event of that age, from 1 down to 0."""
    return exp2(-half_lives(seconds, half_life_days))


@attrs.define(eq=False)
class DecayedCounts:
    """Event counts of items, in which old events weigh less.

    Each item keeps its count as of its own newest event. So no count has to be updated as time passes, a late event
    weighs the same as one in time, and no count ever underflows.

    Args:
        half_life_days: The age in days at which an event counts half; ``None``: no decay.
    """

    half_life_days: float | None
    # Item to its count, the time of that count, and the count's logarithm, which every ranking needs.
    _counts: dict[str, tuple[float, float, float]] = attrs.field(
        factory=dict[str, tuple[float, float, float]], init=False, repr=False
    )
    _newest: float = attrs.field(default=-inf, init=False, repr=False)

    def add(self, item_id: str, timestamp: float) -> None:
        """Count one event."""
        self._newest = max(self._newest, timestamp)
        count, as_of, _ = self._counts.get(item_id, (0.0, timestamp, 0.0))
        if timestamp >= as_of:
            count, as_of = count * weight(timestamp - as_of, self.half_life_days) + 1.0, timestamp
        else:
            count += weight(as_of - timestamp, self.half_life_days)
        self._counts[item_id] = count, as_of, log(count)

    def logarithms(self, item_ids: Iterable[str]) -> list[float | None]:
        """The natural logarithm of each item's count as of the newest event; ``None`` for an item without events."""
        entries = map(self._counts.get, item_ids)
        if self.half_life_days is None:
            return [None if entry is None else entry[2] for entry in entries]
        newest, loss = self._newest, _LN_2 / (self.half_life_days * _DAY)
        return [None if entry is None else entry[2] - loss * (newest - entry[1]) for entry in entries]

    # Files.

    def columns(self, prefix: str) -> tuple[list[str], dict[str, Column]]:
        """The items, and columns with their counts and the times of these."""
        numbers = [number for count, as_of, _ in self._counts.values() for number in (count, as_of)]
        return list(self._counts), {f"{prefix}.counts": array("d", numbers)}

    def restore(self, prefix: str, columns: Mapping[str, Column], item_ids: Sequence[str]) -> None:
        """Restore the counts from the columns of :meth:`columns`.

        Raises:
            ValueError: The columns do not fit together.
        """
        numbers = finite(columns[f"{prefix}.counts"], 2 * len(item_ids))
        counts, times = numbers[::2], numbers[1::2]
        self._counts = {
            id: (count, as_of, log(count)) for id, count, as_of in zip(item_ids, counts, times, strict=True)
        }
        self._newest = max(times, default=-inf)

"""Weights of pairs of items, in sparse rows of bounded length that are unpacked from a file when first needed."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from heapq import nlargest
from itertools import accumulate
from math import log, sqrt
from operator import itemgetter
from typing import TypeAlias

import attrs

from personalize_rt.rerank.storage import Column, indexes, nonnegative, rows_of

__all__ = ["Pairs"]

_SCALE = 30.0

Weights: TypeAlias = "dict[str, float]"


@attrs.define(eq=False, repr=False)
class Pairs:
    """Weights of pairs (from, to).

    Attributes:
        neighbours: The number of entries that stay in a row when it is pruned, those with the most weight. A row grows
            to twice as many in between.
        totals: The weight of all pairs to each item, pruned ones included.
        total: The sum of ``totals``.
    """

    neighbours: int
    totals: dict[str, float] = attrs.field(factory=dict[str, float], init=False)
    total: float = attrs.field(default=0.0, init=False)
    # A row, or its start and end among the packed ones.
    _rows: dict[str, Weights | tuple[int, int]] = attrs.field(
        factory=dict[str, "Weights | tuple[int, int]"], init=False
    )
    _packed_ids: Sequence[str] = attrs.field(default=(), init=False)
    _packed: tuple[Column, Column] = attrs.field(factory=lambda: (array("I"), array("d")), init=False)

    def row(self, item_id: str) -> Mapping[str, float] | None:
        """The weights of the pairs from an item; ``None`` when there are none."""
        row = self._rows.get(item_id)
        return self._unpacked(item_id, row) if isinstance(row, tuple) else row

    def join(self, item_id: str, others: Iterable[tuple[str, float]]) -> None:
        """Add weights to the pairs of an item with others, in both directions."""
        rows, totals, most = self._rows, self.totals, 2 * self.neighbours
        row = self._open(item_id)
        added = 0.0
        for other_id, weight in others:
            row[other_id] = row.get(other_id, 0.0) + weight
            back = rows.get(other_id)
            if not isinstance(back, dict):
                back = self._open(other_id)
            back[item_id] = back.get(item_id, 0.0) + weight
            totals[other_id] = totals.get(other_id, 0.0) + weight
            added += weight
            if len(back) > most:
                self._prune(other_id, back)
        totals[item_id] = totals.get(item_id, 0.0) + added
        self.total += 2.0 * added
        self._prune(item_id, row)

    def lead(self, others: Iterable[tuple[str, float]], item_id: str) -> None:
        """Add weights to the pairs from others to an item."""
        for other_id, weight in others:
            row = self._open(other_id)
            row[item_id] = row.get(item_id, 0.0) + weight
            self.totals[item_id] = self.totals.get(item_id, 0.0) + weight
            self.total += weight
            self._prune(other_id, row)

    def _open(self, item_id: str) -> Weights:
        row = self._rows.get(item_id)
        if row is None:
            row = self._rows[item_id] = {}
        elif isinstance(row, tuple):
            row = self._unpacked(item_id, row)
        return row

    def _prune(self, item_id: str, row: Weights) -> None:
        if len(row) > 2 * self.neighbours:
            self._rows[item_id] = dict(nlargest(self.neighbours, row.items(), key=itemgetter(1)))

    def kin(
        self, seeds: Iterable[tuple[str, float, float]], places: Mapping[str, int], smoothing: float
    ) -> tuple[dict[int, float], dict[int, float], dict[int, float]]:
        """Measure the association of items with the seeds. All measures leave out items where they are not above 0.

        * The *lift*, ``ln (observed + smoothing) / (expected + smoothing)``. *observed* is the weight of the pairs from
          the seeds to the item, times the seeds' own weights; *expected* is the same if the seeds led to the item as
          often as any item does. Values below 0 tell little, since most pairs were never seen.
        * The *likeness*, ``ln (1 + 30 · sum of weighted cosines)``. The cosine of two items is the weight of their pair
          divided by the geometric mean of the total weights of both.
        * The same for the first seed alone.

        Args:
            seeds: Items, each with its weights for the lift and for the likeness.
            places: The items to measure, and the key of each in the results.
            smoothing: The weight of evidence that it takes to move a lift.
        """
        observed: dict[str, float] = {}
        cosines: dict[str, float] = {}
        wanted, totals = places.keys(), self.totals
        leaving = 0.0
        first: dict[str, float] | None = None
        for seed, weight, alike in seeds:
            row = self.row(seed)
            if not row:
                first = first or {}
                continue
            both = row.keys() & wanted
            if weight:
                leaving += weight * sum(row.values())
                for id in both:
                    observed[id] = observed.get(id, 0.0) + weight * row[id]
            if alike:
                alike /= sqrt(totals.get(seed, 1.0))
                for id in both:
                    cosines[id] = cosines.get(id, 0.0) + alike * row[id]
            if first is None:
                first = dict(cosines)
        share = leaving / self.total if observed else 0.0
        lifts = {
            places[id]: (seen + smoothing) / (share * totals.get(id, 0.0) + smoothing) for id, seen in observed.items()
        }
        return (
            {place: log(lift) for place, lift in lifts.items() if lift > 1.0},
            self._likeness(cosines, places),
            self._likeness(first or {}, places),
        )

    def _likeness(self, cosines: Mapping[str, float], places: Mapping[str, int]) -> dict[int, float]:
        totals = self.totals
        return {places[id]: log(1.0 + _SCALE * cosine / sqrt(totals.get(id, 1.0))) for id, cosine in cosines.items()}

    def _unpacked(self, item_id: str, place: tuple[int, int]) -> Weights:
        start, end = place
        ids, (others, weights) = self._packed_ids, self._packed
        row = dict(zip(map(ids.__getitem__, others[start:end]), weights[start:end], strict=True))
        self._rows[item_id] = row
        return row

    # Files.

    def columns(self, prefix: str, numbers: Mapping[str, int]) -> dict[str, Column]:
        """Convert the pairs to columns for a file; ``numbers`` has the index of each item in the file's list."""
        lengths, others, weights = array("I"), array("I"), array("d")
        for id in numbers:
            row = self.row(id) or {}
            lengths.append(len(row))
            others.extend(map(numbers.__getitem__, row))
            weights.extend(row.values())
        totals = array("d", [self.totals.get(id, 0.0) for id in numbers])
        return {
            f"{prefix}.lengths": lengths,
            f"{prefix}.others": others,
            f"{prefix}.weights": weights,
            f"{prefix}.totals": totals,
            f"{prefix}.total": array("d", [self.total]),
        }

    def restore(self, prefix: str, columns: Mapping[str, Column], ids: Sequence[str]) -> None:
        """Restore the pairs from the columns of :meth:`columns`.

        Raises:
            ValueError: The columns do not fit together.
        """
        lengths = rows_of(columns[f"{prefix}.lengths"], len(ids), len(columns[f"{prefix}.others"]))
        others = indexes(columns[f"{prefix}.others"], len(ids))
        weights = nonnegative(columns[f"{prefix}.weights"], len(others))
        totals = nonnegative(columns[f"{prefix}.totals"], len(ids))
        (self.total,) = nonnegative(columns[f"{prefix}.total"], 1)
        ends = list(accumulate(lengths))
        self._packed_ids, self._packed = ids, (others, weights)
        places = zip(ids, map(int.__sub__, ends, lengths), ends, strict=True)
        self._rows = {id: (start, end) for id, start, end in places if end > start}
        self.totals = {id: total for id, total in zip(ids, totals, strict=True) if total}
        if self._rows and not self.total > 0.0:
            raise ValueError("rows without a total")

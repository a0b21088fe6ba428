"""Weights of pairs of items, in sparse rows of bounded length.

An event touches the rows of 30 items, and each row is somewhere else in memory. So it only notes its pairs, four bytes
for each and row; a row adds up its notes when it is asked for, or has many. Rows are packed in arrays of numbers, a
tenth of the size of a dict, and stay in the columns of a file until they are needed.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, compress
from math import isfinite, log, sqrt
from typing import TypeAlias

import attrs

from personalize_rt.rerank.storage import Column, nonnegative, rows_of

__all__ = ["Pairs"]

_SCALE = 30.0

# A note: the number of the other item, the place of its weight among the given ones, and whether the row may be pruned
# after it. (That of an event's own item is pruned after the last one alone.)
_BITS, _PRUNE = 26, 1 << 31
_ITEM = (1 << _BITS) - 1
_NOTES = 512  # that a row may have
_HOT = 1_000  # unpacked rows of a generation

Row: TypeAlias = "dict[int, float]"
_Unpacked: TypeAlias = "tuple[_State, int, Row, float]"
# Other items and their weights, notes that are not added yet, and the sum of the weights.
_State: TypeAlias = "tuple[Column, Column, Column, float]"


@attrs.define(eq=False, repr=False)
class Pairs:
    """Weights of pairs (from, to) of items, which are given as numbers from 0.

    Attributes:
        neighbours: The number of entries that stay in a row when it is pruned, those with the most weight. A row grows
            to twice as many in between.
        weights: The weights of the pairs that an event makes, at most 31.
        totals: The weight of all pairs to each item, pruned ones included.
        total: The sum of ``totals``.
    """

    neighbours: int
    weights: Sequence[float]
    totals: Column = attrs.field(factory=lambda: array("d"), init=False)
    total: float = attrs.field(default=0.0, init=False)
    # ``None``: as in the file. A state is replaced and never changed while several threads rank.
    _states: list[_State | None] = attrs.field(factory=list["_State | None"], init=False)
    _file: tuple[Sequence[int], Column, Column] = attrs.field(factory=lambda: ((), array("I"), array("d")), init=False)
    # Rows that were asked for lately, in two generations: with the state and the number of notes that each is of, and
    # the sum of its weights.
    _hot: dict[int, _Unpacked] = attrs.field(factory=dict[int, "_Unpacked"], init=False)
    _warm: dict[int, _Unpacked] = attrs.field(factory=dict[int, "_Unpacked"], init=False)
    _sums: list[float] = attrs.field(init=False)  # of the first weights
    _codes: list[int] = attrs.field(init=False)
    _worth: list[float] = attrs.field(init=False)  # by the bits of a note above those of the item

    def __attrs_post_init__(self) -> None:
        self._sums = list(accumulate(self.weights, initial=0.0))
        self._codes = [n << _BITS for n in range(len(self.weights))]
        self._worth = [*self.weights, *[0.0] * (32 - len(self.weights))] * 2

    def grow(self) -> None:
        """Add an item, without pairs."""
        self._states.append(None)
        self.totals.append(0.0)

    def join(self, item: int, others: Sequence[int]) -> None:
        """Add the given weights to the pairs of an item with others, in both directions."""
        states, totals = self._states, self.totals
        notes = (states[item] or self._opened(item))[2]
        notes.extend([other | code for other, code in zip(others, self._codes, strict=False)])
        notes[-1] |= _PRUNE
        mine = item | _PRUNE
        for other, code, weight in zip(others, self._codes, self.weights, strict=False):
            theirs = (states[other] or self._opened(other))[2]
            theirs.append(mine | code)
            totals[other] += weight
            if len(theirs) > _NOTES:
                self._settle(other)
        added = self._sums[len(others)]
        totals[item] += added
        self.total += 2.0 * added
        if len(notes) > _NOTES:
            self._settle(item)

    def lead(self, others: Sequence[int], item: int) -> None:
        """Add the given weights to the pairs from others to an item."""
        mine = item | _PRUNE
        for other, code, weight in zip(others, self._codes, self.weights, strict=False):
            notes = (self._states[other] or self._opened(other))[2]
            notes.append(mine | code)
            self.totals[item] += weight
            self.total += weight
            if len(notes) > _NOTES:
                self._settle(other)

    def _opened(self, item: int) -> _State:
        """A state for an item that has none."""
        ends, all_others, all_weights = self._file
        start, end = (ends[item - 1] if item else 0, ends[item]) if item < len(ends) else (0, 0)
        others, weights = all_others[start:end], all_weights[start:end]
        whole: float = sum(weights, 0.0)
        if others and not (max(others) < len(self.totals) and min(weights) >= 0.0 and isfinite(whole)):
            # Only a file that somebody made with care, checksum and all, has such a row.
            others, weights, whole = array("I"), array("d"), 0.0
        state = self._states[item] = others, weights, array("I"), whole
        return state

    def settle(self) -> None:
        """Add up all notes, for a state that only rankings and files follow."""
        for item, state in enumerate(self._states):
            if state is not None and state[2]:
                self._settle(item)
        self._hot, self._warm = {}, {}

    def _settle(self, item: int) -> None:
        state = self._states[item] or self._opened(item)
        done, row = self._unpacked(item, state)
        row = self._with_notes(row, state[2][done:])
        weights = array("d", row.values())
        self._states[item] = array("I", row), weights, array("I"), sum(weights)

    def _unpacked(self, item: int, state: _State) -> tuple[int, Row]:
        """A row with a number of its notes."""
        known = self._hot.get(item) or self._warm.get(item)
        if known is not None and known[0] is state:
            return known[1], known[2]
        return 0, dict(zip(state[0], state[1], strict=True))

    def _row(self, item: int) -> tuple[Row, float]:
        """The weights of the pairs from an item, and their sum."""
        state, known = self._states[item] or self._opened(item), self._hot.get(item)
        notes = state[2]
        if known is not None and known[0] is state and known[1] == len(notes):
            return known[2], known[3]
        done, row = self._unpacked(item, state)
        row = self._with_notes(row, notes[done:])
        whole = sum(row.values()) if notes else state[3]
        if len(self._hot) >= _HOT:
            self._warm, self._hot = self._hot, {}
        self._hot[item] = state, len(notes), row, whole
        return row, whole

    def _with_notes(self, row: Row, notes: Column) -> Row:
        """Add notes to a copy of a row, since another thread may rank with the row."""
        if not notes:
            return row
        row, most, done = dict(row), 2 * self.neighbours, 0
        worth = self._worth
        while done < len(notes):
            # So many notes cannot make the row too long.
            room = max(most - len(row), 1)
            for note in notes[done : done + room]:
                other = note & _ITEM
                row[other] = row.get(other, 0.0) + worth[note >> _BITS]
            done += room
            if len(row) > most and notes[done - 1] & _PRUNE:
                # Of equal weights, the older ones stay.
                best = sorted(row, key=row.__getitem__, reverse=True)[: self.neighbours]
                row = {other: row[other] for other in best}
        return row

    def _places(self, item: int, places: Mapping[int, int]) -> tuple[Iterable[int], Iterable[float], float] | None:
        """The places of those items that a row has, and their weights in the row; and the sum of all of the row.

        ``None`` if an item has no pairs.
        """
        others, weights, notes, whole = self._states[item] or self._opened(item)
        if notes or 4 * len(places) < len(others):
            # Few are looked up in the row.
            row, whole = self._row(item)
            both = row.keys() & places.keys()
            return (map(places.__getitem__, both), map(row.__getitem__, both), whole) if row else None
        # For many, the row is walked: that needs no dict.
        found = list(map(places.get, others))
        return (filter(None, found), compress(weights, found), whole) if others else None

    def kin(
        self,
        seeds: Iterable[tuple[int, float, float]],
        items: Sequence[int],
        places: Mapping[int, int],
        smoothing: float,
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
            items: The items to measure. The keys of the results are their places in this list.
            places: The place of each item, plus 1.
            smoothing: The weight of evidence that it takes to move a lift.
        """
        observed = [0.0] * (len(items) + 1)
        cosines = [0.0] * (len(items) + 1)
        first: list[float] | None = None
        totals, leaving = self.totals, 0.0
        for seed, weight, alike in seeds:
            found = self._places(seed, places)
            if found is None:
                first = first or []
                continue
            spots, weights, whole = found
            leaving += weight * whole
            alike /= sqrt(totals[seed] or 1.0)
            for spot, of_pair in zip(spots, weights, strict=True):
                observed[spot] += weight * of_pair
                cosines[spot] += alike * of_pair
            if first is None:
                first = list(cosines)
        del observed[0]
        share = leaving / self.total if leaving else 0.0
        lifts: dict[int, float] = {}
        for place, seen in enumerate(observed):
            if seen and (lift := (seen + smoothing) / (share * totals[items[place]] + smoothing)) > 1.0:
                lifts[place] = log(lift)
        return lifts, self._likeness(cosines, items), self._likeness(first or [], items)

    def _likeness(self, cosines: list[float], items: Sequence[int]) -> dict[int, float]:
        totals = self.totals
        return {
            place: log(1.0 + _SCALE * cosine / sqrt(totals[items[place]] or 1.0))
            for place, cosine in enumerate(cosines[1:])
            if cosine
        }

    # Files.

    def columns(self, prefix: str, order: Iterable[int | None], numbers: Sequence[int] | None) -> dict[str, Column]:
        """Convert the pairs to columns for a file.

        Args:
            prefix: The first part of the columns' names.
            order: The item of each row of the file; ``None`` for one without pairs.
            numbers: The number of each item in the file, if it is another.
        """
        lengths, others, weights, totals = array("I"), array("I"), array("d"), array("d")
        for item in order:
            before = len(others)
            if item is not None:
                state = self._states[item]
                if state is None:
                    state = self._opened(item)
                    self._states[item] = None  # a file is all that needs it
                if state[2]:
                    row, _ = self._row(item)
                    others.extend(row)
                    weights.extend(row.values())
                else:
                    others.extend(state[0])
                    weights.extend(state[1])
            lengths.append(len(others) - before)
            totals.append(0.0 if item is None else self.totals[item])
        return {
            f"{prefix}.lengths": lengths,
            f"{prefix}.others": others if numbers is None else array("I", map(numbers.__getitem__, others)),
            f"{prefix}.weights": weights,
            f"{prefix}.totals": totals,
            f"{prefix}.total": array("d", [self.total]),
        }

    def restore(self, prefix: str, columns: Mapping[str, Column], count: int) -> None:
        """Restore the pairs of so many items from the columns of :meth:`columns`.

        The rows are checked when they are needed, for there may be tens of millions of pairs; a wrong one counts as
        empty.

        Raises:
            ValueError: The columns do not fit together.
        """
        lengths = rows_of(columns[f"{prefix}.lengths"], count, len(columns[f"{prefix}.others"]))
        others, weights = columns[f"{prefix}.others"], columns[f"{prefix}.weights"]
        if (others.typecode, weights.typecode) != ("I", "d") or len(others) != len(weights):
            raise ValueError("rows of pairs are wrong")
        self.totals = nonnegative(columns[f"{prefix}.totals"], count)
        (self.total,) = nonnegative(columns[f"{prefix}.total"], 1)
        self._file = list(accumulate(lengths)), others, weights
        self._states = [None] * count
        if len(others) and not self.total > 0.0:
            raise ValueError("rows without a total")

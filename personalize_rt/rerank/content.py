"""Metadata of items, categories (genres) and numbers (years), and a user's liking for each."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from math import exp, isfinite, log
from typing import Any

import attrs

from personalize_rt import checks

__all__ = ["Catalogue", "Categories", "Numbers"]

# A prior for likings: every user is taken to have so many more items, of typical categories and numbers.
_TYPICAL = 3.0

_BINS = 128
_NEAR = 4.0  # distance in bins at which a likeness has fallen to 1/e
_FAR = 16  # distance in bins from which on likeness counts as 0
_KERNEL = tuple(exp(-distance / _NEAR) for distance in range(_FAR))


@attrs.define(eq=False, repr=False)
class Categories:
    """Sets of categories, such as the genres of films.

    A liking for a category is ``ln`` of the ratio of the category's share in the user's history to its share in all
    events. The liking for an item is the mean over its categories.

    Attributes:
        sets: The distinct sets of categories; the first is the empty one.
        of: Item id to the index of its set in ``sets``.
        counts: The number of events of each category.
        total: The number of all events.
    """

    sets: list[tuple[str, ...]]
    of: Mapping[str, int]
    counts: dict[str, float] = attrs.field(factory=dict[str, float], init=False)
    total: float = attrs.field(default=0.0, init=False)

    def add(self, place: int) -> None:
        """Count an event with an item that has ``sets[place]``."""
        self.total += 1.0
        for category in self.sets[place]:
            self.counts[category] = self.counts.get(category, 0.0) + 1.0

    def likings(self, seeds: Iterable[tuple[int, float]], places: Iterable[int]) -> dict[int, float]:
        """The user's liking for each set of categories, given the sets of the user's items and their weights."""
        own: dict[str, float] = {}
        whole = _TYPICAL
        for place, weight in seeds:
            whole += weight
            for category in self.sets[place]:
                own[category] = own.get(category, 0.0) + weight
        scale = (self.total + 1.0) / whole
        counts = self.counts
        # Of a category that the user never had: ln (3 · share) / (whole · share), in which the share cancels out.
        never = log(_TYPICAL / whole)
        liked = {
            category: log((weight * scale) / (counts.get(category, 0.0) + 1.0) + _TYPICAL / whole)
            for category, weight in own.items()
        }
        sets = self.sets
        likings: dict[int, float] = {}
        for place in places:
            categories = sets[place]
            likings[place] = (
                sum([liked.get(category, never) for category in categories]) / len(categories) if categories else 0.0
            )
        return likings


@attrs.define(eq=False, repr=False)
class Numbers:
    """A number of each item, such as the year of a film, as one of at most 128 bins.

    Bin 0 is for items without a number. A liking for a bin is ``ln`` of the ratio of the share of the user's history
    near the bin to the share of all events near it.

    Attributes:
        bins: The number of bins, the first included.
        of: Item id to bin.
        near: The number of events near each bin.
        total: The number of events with a number.
    """

    bins: int
    of: Mapping[str, int]
    near: list[float] = attrs.field(init=False)
    total: float = attrs.field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self.near = [0.0] * self.bins

    def add(self, bin: int) -> None:
        """Count an event with an item in that bin."""
        if bin:
            self.total += 1.0
            _spread(self.near, bin, 1.0)

    def likings(self, seeds: Iterable[tuple[int, float]], bins: Iterable[int]) -> dict[int, float]:
        """The user's liking for each bin, given the bins of the user's items and their weights."""
        own: dict[int, float] = {}
        for bin, weight in seeds:
            if bin:
                own[bin] = own.get(bin, 0.0) + weight
        if not own:
            return dict.fromkeys(bins, 0.0)
        whole = sum(own.values()) + _TYPICAL
        here = [0.0] * self.bins
        for bin, weight in own.items():
            _spread(here, bin, weight)
        near, scale, never = self.near, (self.total + 1.0) / whole, _TYPICAL / whole
        likings = {bin: log(here[bin] * scale / (near[bin] + 1e-3) + never) for bin in bins}
        likings[0] = 0.0
        return likings


def _spread(near: list[float], bin: int, weight: float) -> None:
    """Add a weight to a bin, and less and less of it to its neighbours."""
    low, high = max(1, bin - _FAR + 1), min(len(near), bin + _FAR)
    for other in range(low, high):
        near[other] += weight * _KERNEL[abs(bin - other)]


@attrs.frozen(repr=False)
class Catalogue:
    """The columns of items that scorers use.

    Attributes:
        categories: The categories of items.
        numbers: The number of items.
        created: Item id to CREATION_TIMESTAMP, in Unix seconds.
    """

    categories: Categories
    numbers: Numbers
    created: Mapping[str, float] = attrs.field(factory=dict[str, float])

    @classmethod
    def of(
        cls, items: Mapping[str, Mapping[str, Any]] | None, categories: Sequence[str], number: str | None
    ) -> Catalogue:
        """Read the columns of a catalogue; an item that lacks one is treated like an item without metadata."""
        sets: dict[tuple[str, ...], int] = {(): 0}
        of_sets: dict[str, int] = {}
        values: dict[str, float] = {}
        created: dict[str, float] = {}
        for id, row in (items or {}).items():
            found = [f"{n}:{name}" for n, column in enumerate(categories) for name in _names(row.get(column))]
            of_sets[id] = sets.setdefault(tuple(dict.fromkeys(found)), len(sets))
            value = None if number is None else _number(row.get(number))
            if value is not None:
                values[id] = value
            time = _number(row.get("CREATION_TIMESTAMP"))
            if time is not None:
                created[id] = time
        bins, of_bins = _binned(values)
        return cls(Categories(list(sets), of_sets), Numbers(bins, of_bins), created)


def _names(value: Any) -> list[str]:
    """The categories in a value: a str with ``|`` between them, as in the service's data, or a sequence of str."""
    if isinstance(value, str):
        return [name for name in value.split("|") if name]
    if isinstance(value, Sequence | set | frozenset):
        return [name for name in value if isinstance(name, str)]  # pyright: ignore[reportUnknownVariableType]
    return []


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    number = checks.as_float(value)
    return number if number is not None and isfinite(number) else None


def _binned(values: Mapping[str, float]) -> tuple[int, dict[str, int]]:
    """Assign numbers to bins, from 1: one for each distinct value, or quantiles when there are too many."""
    distinct = sorted(set(values.values()))
    room = _BINS - 1
    edges = distinct if len(distinct) <= room else [distinct[len(distinct) * n // room] for n in range(room)]
    return len(edges) + 1, {id: max(1, min(bisect_left(edges, value) + 1, len(edges))) for id, value in values.items()}

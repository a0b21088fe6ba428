"""The numbered items of a service, and orders of them that requests pick from."""

from __future__ import annotations

from array import array
from collections.abc import Container, Iterable, Iterator, Sequence

import attrs

from personalize_rt.filters.selection import Allowed, Explanation

__all__ = ["AllowedOf", "Order", "Universe"]


@attrs.frozen(eq=False, repr=False)
class Universe:
    """Items by number, and numbers by item.

    Attributes:
        ids: The item of each number.
        numbers: The number of each item.
    """

    ids: Sequence[str]
    numbers: dict[str, int]

    @classmethod
    def of(cls, *groups: Iterable[str]) -> Universe:
        """Number items in order of appearance."""
        numbers: dict[str, int] = {}
        for group in groups:
            for id in group:
                numbers.setdefault(id, len(numbers))
        return cls(tuple(numbers), numbers)

    def __len__(self) -> int:
        return len(self.ids)


class AllowedOf(Allowed):
    """The items that a filter lets through of a universe with other numbers than the filter's catalogue.

    A solution version keeps the items that it was trained on, while filters look at the newest data.

    Args:
        allowed: The items that the filter lets through.
        ids: The items of the universe.
    """

    def __init__(self, allowed: Allowed, ids: Sequence[str]) -> None:
        flags = "".join("1" if id in allowed else "0" for id in reversed(ids))
        self._ids = ids
        self._allowed = allowed
        self._rows = int(flags or "0", 2)
        self._everything = (1 << len(ids)) - 1

    def first(self, count: int) -> Allowed:
        """The same of the first so many items."""
        return AllowedOf(self._allowed, self._ids[:count])

    def explain(self, candidate: str) -> Explanation:
        """The reasons why a candidate is let through, or is not."""
        return self._allowed.explain(candidate)

    def __contains__(self, candidate: object) -> bool:
        return candidate in self._allowed

    def __iter__(self) -> Iterator[str]:
        return (id for id in self._ids if id in self._allowed)

    def __repr__(self) -> str:
        return f"<Allowed {len(self):,} of {len(self._ids):,}>"


class Order:
    """An order of all items, best first. Immutable, so safe to share between threads.

    Args:
        universe: The items.
        keys: The key of each item, by number. The highest key comes first; equal ones are in order of the numbers.
    """

    def __init__(self, universe: Universe, keys: Sequence[float]) -> None:
        self._universe = universe
        self._numbers = array("i", sorted(range(len(universe)), key=keys.__getitem__, reverse=True))
        self._places: array[int] | None = None

    def pick(self, allowed: Allowed | None, without: Container[int] = ()) -> Iterator[int]:
        """Yield the numbers of items, best first.

        Args:
            allowed: The items to yield; ``None`` for all.
            without: The items to leave out.
        """
        candidates = self._numbers if allowed is None or allowed.everything else self._let_through(allowed)
        return (number for number in candidates if number not in without)

    def _let_through(self, allowed: Allowed) -> Iterator[int]:
        """Yield the items that a filter lets through, best first.

        Usually only the first few are needed, which a walk along the order finds quickly. After as many steps as there
        are allowed items, it is quicker to sort the remaining ones.
        """
        ids, steps = self._universe.ids, len(allowed)
        yield from (number for number in self._numbers[:steps] if ids[number] in allowed)
        numbers, places = self._universe.numbers, self._place_of()
        rest = [number for id in allowed if places[number := numbers[id]] >= steps]
        yield from sorted(rest, key=places.__getitem__)

    def _place_of(self) -> array[int]:
        if self._places is None:
            places = array("i", self._numbers)
            for place, number in enumerate(self._numbers):
                places[number] = place
            self._places = places
        return self._places

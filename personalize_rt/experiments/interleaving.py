"""Two rankings in one list, so that each user compares them: team draft and balanced interleaving.

Team draft (Radlinski, Kurup and Joachims, "How does clickthrough data reflect retrieval quality?", CIKM 2008) draws
like two captains: in each round, a coin says who goes first, and each takes the best of its items that is left. A click
counts for the side that took the item.

Balanced interleaving (Joachims, "Evaluating retrieval performance using clickthrough data", 2003) throws one coin, and
takes items so that the first n of the list hold about as many of the top of either ranking. Clicks count for each side
that has the item among its first ones; see :func:`personalize_rt.experiments.outcomes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from random import SystemRandom
from typing import Any, Literal, Self, overload

import attrs

from personalize_rt import checks
from personalize_rt.errors import ValidationError
from personalize_rt.events import InterleavingExposure, Side
from personalize_rt.experiments import exposing
from personalize_rt.experiments.exposing import Chance, ExposureHook
from personalize_rt.notebook.frames import Column, Framed
from personalize_rt.redaction import describe
from personalize_rt.results import PredictedItem, Ranking, Recommendations

__all__ = ["Interleaved", "InterleavedItem", "Method", "interleave"]

Method = Literal["team-draft", "balanced"]
Items = Ranking | Recommendations | Iterable[str] | Iterable[PredictedItem]


@attrs.frozen
class InterleavedItem(PredictedItem):
    """One item of an interleaved list: the row of the ranking that it was taken from, with its side.

    Attributes:
        side: The side that took it: ``"a"`` or ``"b"``; ``None`` for an item that counts for neither, since one side
            had nothing left to answer with.
        place_a: Its place in the first ranking, from 0; ``None`` if that lacks it.
        place_b: Its place in the second ranking, likewise.
        recommendation_id: The id of the answer that the row came with, to send back with events about it.
    """

    side: Side | None = attrs.field(default=None, kw_only=True)
    place_a: int | None = attrs.field(default=None, kw_only=True)
    place_b: int | None = attrs.field(default=None, kw_only=True)
    recommendation_id: str | None = attrs.field(default=None, kw_only=True, repr=False, eq=False)


def _rows(values: Iterable[InterleavedItem]) -> tuple[InterleavedItem, ...]:
    return tuple(values)


def _strings(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


@attrs.frozen(repr=False)
class Interleaved(Framed, Sequence[InterleavedItem]):
    """Two rankings in one list: an immutable sequence of :class:`InterleavedItem`. ``repr`` shows numbers only.

    Attributes:
        rows: The rows, best first.
        method: The method that made it.
        missing: The items that a filter took out of one of the two rankings, and that are therefore not here.
        unscored: The items here that the ranking which they were taken from does not know, in order.
        degraded: ``True`` if a fallback answered for one of the two.
    """

    rows: tuple[InterleavedItem, ...] = attrs.field(converter=_rows)
    method: Method = attrs.field(default="team-draft", kw_only=True)
    missing: tuple[str, ...] = attrs.field(default=(), kw_only=True, converter=_strings)
    unscored: tuple[str, ...] = attrs.field(default=(), kw_only=True, converter=_strings)
    degraded: bool = attrs.field(default=False, kw_only=True, eq=False)

    @property
    def item_ids(self) -> tuple[str, ...]:
        """The items, in order."""
        return tuple(row.item_id for row in self.rows)

    @property
    def sides(self) -> tuple[Side | None, ...]:
        """The side of each item, in order."""
        return tuple(row.side for row in self.rows)

    def position(self, id: str, /) -> int | None:
        """The place of an item, from 0, or ``None`` if the list lacks it."""
        return next((place for place, row in enumerate(self.rows) if row.item_id == id), None)

    def get(self, id: str, /) -> InterleavedItem | None:
        """The row of an item, or ``None`` if the list lacks it."""
        position = self.position(id)
        return None if position is None else self.rows[position]

    def exposure(self, experiment: str, *, unit: str, hooks: Iterable[ExposureHook] = ()) -> InterleavingExposure:
        """Note that this list is shown. Of a slice, only what it holds is noted.

        Args:
            experiment: The name of the experiment.
            unit: What outcomes are joined by, such as the id of the session that events are sent with.
            hooks: Functions that are told of the exposure. One that fails is logged, and breaks nothing.

        Raises:
            ValidationError: ``experiment`` or ``unit`` is no text, or empty.
        """
        exposure = InterleavingExposure(
            experiment=exposing.name(experiment, "experiment"),
            unit=exposing.name(unit, "unit"),
            method=self.method,
            item_ids=self.item_ids,
            sides=self.sides,
            places=[(row.place_a, row.place_b) for row in self.rows],
            degraded=self.degraded,
        )
        exposing.tell(hooks, exposure)
        return exposure

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dict for each row: ``position``, ``item_id``, ``score``, ``side``, ``place_a``, ``place_b``."""
        columns = self._columns()
        names = [column.name for column in columns]
        return [dict(zip(names, row, strict=True)) for row in zip(*(column.values for column in columns), strict=True)]

    def _columns(self) -> list[Column]:
        return [
            Column("position", "int64", list(range(len(self)))),
            Column("item_id", "string", list(self.item_ids)),
            Column("score", "float64", [row.score for row in self.rows]),
            Column("side", "string", list(self.sides)),
            Column("place_a", "places", [row.place_a for row in self.rows]),
            Column("place_b", "places", [row.place_b for row in self.rows]),
        ]

    def _repr_html_(self) -> str:
        from personalize_rt.experiments.display import interleaved_html

        return interleaved_html(self)

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from personalize_rt.experiments.display import interleaved_lines

        return interleaved_lines(self)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> InterleavedItem: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> InterleavedItem | Self:
        if not isinstance(index, slice):
            return self.rows[index]
        rows = self.rows[index]
        left = {row.item_id for row in rows}
        return attrs.evolve(self, rows=rows, unscored=[id for id in self.unscored if id in left])

    def __iter__(self) -> Iterator[InterleavedItem]:
        return iter(self.rows)

    def __repr__(self) -> str:
        of_a, of_b = self.sides.count("a"), self.sides.count("b")
        degraded = ", degraded" if self.degraded else ""
        return f"Interleaved({len(self)} items: {of_a} of a, {of_b} of b, method={self.method!r}{degraded})"


def interleave(
    a: Items, b: Items, *, k: int = 25, method: Method = "team-draft", rng: Chance | None = None
) -> Interleaved:
    """Show two rankings in one list, so that clicks say which one is better.

    Each item stands in the list once. When one ranking has nothing left, the other fills the list, with items that
    count for neither (``side`` is ``None``): a longer list would have an advantage otherwise. What a filter took out of
    one ranking (``missing``) comes in by neither. Items that a model does not know stay at the end of their ranking.

    By team draft, each place goes to either side with the same chance, whatever the rankings are. By balanced
    interleaving, users who click at random may favour one of two different rankings; team draft is the better choice
    unless few items are shown.

    Args:
        a: The first ranking, best first: an answer, rows of answers, or item ids. An id that repeats counts once.
        b: The second ranking, likewise.
        k: The number of items to show, from 1; an impression takes 25.
        method: ``"team-draft"``, or ``"balanced"``.
        rng: The source of chance, by default that of the system. ``random.Random(f"{experiment} {session_id}")`` shows
            the same list when a page is loaded again.

    Raises:
        ValidationError: ``a`` or ``b`` is no list of items, ``k`` is below 1, or there is no such method.
    """
    checks.whole(k, "k")
    checks.one_of(method, "method", *_METHODS)
    of_a, of_b = _ranked(a, "a"), _ranked(b, "b")
    missing = tuple(dict.fromkeys((*getattr(a, "missing", ()), *getattr(b, "missing", ()))))
    for gone in missing:
        of_a.pop(gone, None)
        of_b.pop(gone, None)
    places_a, places_b = _places(of_a), _places(of_b)
    taken = _METHODS[method](list(of_a), list(of_b), k, SystemRandom() if rng is None else rng)
    rows = [
        _row((of_a if taken_from == "a" else of_b)[id], side, places_a.get(id), places_b.get(id))
        for id, side, taken_from in taken
    ]
    unknown: dict[Side, set[str]] = {"a": set(getattr(a, "unscored", ())), "b": set(getattr(b, "unscored", ()))}
    return Interleaved(
        rows,
        method=method,
        missing=missing,
        unscored=[id for id, _, taken_from in taken if id in unknown[taken_from]],
        degraded=bool(getattr(a, "degraded", False) or getattr(b, "degraded", False)),
    )


# An item, the side that it counts for, and the side whose row it is.
_Taken = tuple[str, Side | None, Side]


def _team_draft(a: Sequence[str], b: Sequence[str], k: int, rng: Chance) -> list[_Taken]:
    left, taken = _Left(a, b), list[_Taken]()
    while len(taken) < k and (best_a := left.best("a")) is not None and (best_b := left.best("b")) is not None:
        order: tuple[Side, Side] = ("a", "b") if rng.random() < 0.5 else ("b", "a")
        # Where both want the same item, and one of them has no other, only that item is drawn for: a second one would
        # be of the longer ranking each time.
        alone = best_a == best_b and not (left.best("a", 1) and left.best("b", 1))
        for side in order[:1] if alone else order[: k - len(taken)]:
            id = left.take(side)
            taken.append((id, side, side))
        if alone:
            break
    return [*taken, *left.rest(k - len(taken))]


def _balanced(a: Sequence[str], b: Sequence[str], k: int, rng: Chance) -> list[_Taken]:
    first: Side = "a" if rng.random() < 0.5 else "b"
    lists: Mapping[Side, Sequence[str]] = {"a": a, "b": b}
    turn: dict[Side, int] = {"a": 0, "b": 0}
    left, taken = _Left(a, b), list[_Taken]()
    # A round that one side began is ended by the other.
    while len(taken) < k and min(turn.values()) < min(len(a), len(b)):
        side: Side = first if turn["a"] == turn["b"] else "a" if turn["a"] < turn["b"] else "b"
        id = lists[side][turn[side]]
        turn[side] += 1
        if left.free(id):
            left.use(id)
            taken.append((id, side, side))
    return [*taken, *left.rest(k - len(taken))]


_METHODS: Mapping[str, Callable[[Sequence[str], Sequence[str], int, Chance], list[_Taken]]] = {
    "team-draft": _team_draft,
    "balanced": _balanced,
}


class _Left:
    """The items of both rankings that are not in the list yet."""

    def __init__(self, a: Sequence[str], b: Sequence[str]) -> None:
        self._lists: dict[Side, Sequence[str]] = {"a": a, "b": b}
        self._from: dict[Side, int] = {"a": 0, "b": 0}
        self._used: set[str] = set()

    def free(self, id: str) -> bool:
        return id not in self._used

    def use(self, id: str) -> None:
        self._used.add(id)

    def best(self, side: Side, skip: int = 0) -> str | None:
        """The best item of a side, or the one after it; ``None`` if there is none."""
        ids = self._lists[side]
        while self._from[side] < len(ids) and ids[self._from[side]] in self._used:
            self._from[side] += 1
        unused = (ids[n] for n in range(self._from[side], len(ids)) if ids[n] not in self._used)
        return next(islice(unused, skip, None), None)

    def take(self, side: Side) -> str:
        id = self.best(side)
        assert id is not None  # the caller looked
        self.use(id)
        return id

    def rest(self, most: int) -> list[_Taken]:
        """Up to so many items more, in turn, which count for neither side."""
        found: list[_Taken] = []
        sides: list[Side] = ["a", "b"]
        while len(found) < most and any(self.best(side) is not None for side in sides):
            for side in sides:
                if len(found) < most and self.best(side) is not None:
                    found.append((self.take(side), None, side))
        return found


# Rankings.


def _places(rows: Mapping[str, object]) -> dict[str, int]:
    return {id: place for place, id in enumerate(rows)}


def _ranked(given: Any, parameter: str) -> dict[str, Mapping[str, Any]]:
    """The items of a ranking, each at its first place, with what makes a row of each."""
    answer: Iterable[Any] = given
    if isinstance(answer, str | bytes | Mapping) or not isinstance(answer, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance] - from outside
        raise _not_items(given, parameter)
    rows: dict[str, Mapping[str, Any]] = {}
    for place, row in enumerate(answer):
        if isinstance(row, str):
            rows.setdefault(row, {"item_id": row})
        elif isinstance(row, PredictedItem):
            rows.setdefault(row.item_id, {name: getattr(row, name) for name in _FIELDS})
        else:
            raise _not_items(row, f"{parameter}[{place}]")
    return rows


_FIELDS = tuple(field.name for field in attrs.fields(PredictedItem))


def _row(known: Mapping[str, Any], side: Side | None, place_a: int | None, place_b: int | None) -> InterleavedItem:
    return InterleavedItem(**known, side=side, place_a=place_a, place_b=place_b)


def _not_items(given: object, parameter: str) -> ValidationError:
    return ValidationError(
        f"{parameter} is {describe(given)}: interleave takes answers with items, their rows, or lists of item ids",
        parameter=parameter.partition("[")[0],
    )

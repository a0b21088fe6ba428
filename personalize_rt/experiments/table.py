"""The outcomes of an experiment, as a small table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, Protocol, cast, overload

import attrs

from personalize_rt import checks
from personalize_rt.errors import ValidationError
from personalize_rt.events import Exposure, InterleavingExposure, SplitExposure
from personalize_rt.experiments.exposing import Chance
from personalize_rt.experiments.inference import difference_interval, resampled_share, sign_test
from personalize_rt.notebook.frames import Column, Framed
from personalize_rt.redaction import describe

__all__ = ["GroupOutcome", "InterleavingOutcomes", "SplitOutcomes", "outcomes"]


class _WithItem(Protocol):
    @property
    def item_id(self) -> str | None: ...


class _OfSession(_WithItem, Protocol):
    @property
    def session_id(self) -> str: ...


Outcome = tuple[str, str | _WithItem | None] | _OfSession
"""An event that counts as a success: a unit with an item or an event, or an event that knows its session."""


class _Table(Framed):
    """Base of both tables: how they show themselves."""

    __slots__ = ()

    experiment: str
    confidence: float

    @property
    def line(self) -> str:
        """The result in one line, for a person."""
        raise NotImplementedError

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on what was counted, which a reader should know; often none."""
        raise NotImplementedError

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dict for each row of the table; the same columns as in frames."""
        columns = self._columns()
        names = [column.name for column in columns]
        return [dict(zip(names, row, strict=True)) for row in zip(*(column.values for column in columns), strict=True)]

    def _repr_html_(self) -> str:
        from personalize_rt.experiments.display import outcomes_html

        return outcomes_html(cast("Any", self))

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from personalize_rt.experiments.display import outcomes_lines

        return outcomes_lines(cast("Any", self))

    def __str__(self) -> str:
        return self.line


@attrs.frozen(repr=False)
class InterleavingOutcomes(_Table):
    """The outcomes of interleaved lists. ``str(…)`` is one line; a notebook shows a table.

    A unit is won by the side that more of its clicks count for. Units without a winner say nothing about the order of
    the two, and are left out of the rate and the test.

    Attributes:
        experiment: The name of the experiment.
        labels: The names of the two sides.
        units: The number of units that were shown something.
        wins: The number of units that each side won.
        low: The lower end of the bootstrap interval of :attr:`win_rate`; 0 if no unit has a winner.
        high: The upper end; 1 if no unit has a winner.
        p_value: The two-sided mid-p value of the sign test; 1 if no unit has a winner.
        confidence: The confidence of the interval; the test is made at 1 minus that.
        unmatched: The number of events that belong to no exposure, or to an item that was not shown in it.
        degraded: The number of lists of which a fallback answered one half.
    """

    experiment: str
    labels: tuple[str, str]
    units: int
    wins: tuple[int, int]
    low: float
    high: float
    p_value: float
    confidence: float = 0.95
    unmatched: int = 0
    degraded: int = 0

    @property
    def decided(self) -> int:
        """The number of units with a winner."""
        return sum(self.wins)

    @property
    def win_rate(self) -> float | None:
        """The share of the second side among units with a winner; ``None`` if there are none."""
        return self.wins[1] / self.decided if self.decided else None

    @property
    def winner(self) -> str | None:
        """The label of the better side; ``None`` if the test shows no difference."""
        if self.p_value > 1 - self.confidence:
            return None
        return self.labels[0] if self.wins[0] > self.wins[1] else self.labels[1]

    @property
    def line(self) -> str:
        """The result in one line, for a person."""
        a, b = self.labels
        if self.win_rate is None:
            return f"{self.experiment}: none of {_units(self.units)} has a winner yet"
        better = {a: f"{a} is better", b: f"{b} is better", None: "no difference shown"}[self.winner]
        return (
            f"{self.experiment}: {b} wins {_percent(self.win_rate)} of {_units(self.decided)} with a winner "
            f"({self.confidence * 100:g} % interval {_percent(self.low)} to {_percent(self.high)}, "
            f"{_p(self.p_value)}): {better}"
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on what was counted, which a reader should know; often none."""
        ties = self.units - self.decided
        return (
            *((f"{_units(ties)} without a winner left out",) if ties else ()),
            *_notes(self.unmatched, "or to an item that was not in it"),
            *((f"a fallback answered one half of {self.degraded:,} of the lists",) if self.degraded else ()),
        )

    def plot(self, *, ax: Any = None) -> Any:
        """Draw the win rate with its interval; see :func:`personalize_rt.notebook.plots.intervals`."""
        from personalize_rt.notebook import plots

        rate = 0.5 if self.win_rate is None else self.win_rate
        title = f"units that {self.labels[1]} wins"
        return plots.intervals([self.experiment], [rate], [self.low], [self.high], neutral=0.5, title=title, ax=ax)

    def _columns(self) -> list[Column]:
        rate = self.win_rate
        return [
            Column("side", "string", list(self.labels)),
            Column("units", "int64", [self.units] * 2),
            Column("wins", "int64", list(self.wins)),
            Column("win_rate", "float64", [None if rate is None else 1 - rate, rate]),
            Column("low", "float64", [1 - self.high, self.low]),
            Column("high", "float64", [1 - self.low, self.high]),
            Column("p_value", "float64", [self.p_value] * 2),
        ]

    def __repr__(self) -> str:
        counts = f"units={self.units}, wins={self.wins}, p_value={self.p_value:.4g}"
        return f"InterleavingOutcomes({self.experiment!r}, {counts})"


@attrs.frozen
class GroupOutcome:
    """The outcomes of one group of a split.

    Attributes:
        group: The group.
        units: The number of its units.
        successes: The number of those with at least one event.
        difference: The difference of its rate from that of the control; ``None`` for the control.
        low: The lower end of the interval of the difference, likewise.
        high: The upper end of the interval of the difference, likewise.
    """

    group: str
    units: int
    successes: int
    difference: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def rate(self) -> float:
        """The share of units with at least one event."""
        return self.successes / self.units

    @property
    def verdict(self) -> str | None:
        """``"better"``, ``"worse"``, or ``None`` where the interval holds 0."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return None
        return "better" if self.low > 0 else "worse"


@attrs.frozen(repr=False)
class SplitOutcomes(_Table):
    """The outcomes of a split: an immutable table with one row for each group. ``str(…)`` is one line.

    Attributes:
        experiment: The name of the experiment.
        groups: The rows: the control, then the others by name.
        confidence: The confidence of each interval. They are not adjusted for the number of groups.
        unmatched: The number of events that belong to no exposure.
        moved: The number of units that were exposed to several groups, and are left out.
    """

    experiment: str
    groups: tuple[GroupOutcome, ...]
    confidence: float = 0.95
    unmatched: int = 0
    moved: int = 0

    @property
    def control(self) -> GroupOutcome:
        """The group that the others are compared with."""
        return self.groups[0]

    def __getitem__(self, group: str) -> GroupOutcome:
        for row in self.groups:
            if row.group == group:
                return row
        raise KeyError(f"no group {group!r}; there are {', '.join(row.group for row in self.groups)}")

    @property
    def line(self) -> str:
        """The result in one line, for a person."""
        control = f"{_percent(self.control.rate)} of {self.control.group}"
        return f"{self.experiment}: " + "; ".join(
            f"{row.group} {_percent(row.rate)} against {control}, {_points(row.difference)} points "
            f"({self.confidence * 100:g} % interval {_points(row.low)} to {_points(row.high)}): "
            f"{row.verdict or 'no difference shown'}"
            for row in self.groups[1:]
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on what was counted, which a reader should know; often none."""
        moved = (f"{_units(self.moved)} in several groups left out",) if self.moved else ()
        return (*moved, *_notes(self.unmatched))

    def plot(self, *, ax: Any = None) -> Any:
        """Draw each difference with its interval; see :func:`personalize_rt.notebook.plots.intervals`."""
        from personalize_rt.notebook import plots

        rows = self.groups[1:]
        return plots.intervals(
            [row.group for row in rows],
            [row.difference or 0.0 for row in rows],
            [row.low or 0.0 for row in rows],
            [row.high or 0.0 for row in rows],
            neutral=0.0,
            title=f"difference from {self.control.group}",
            ax=ax,
        )

    def _columns(self) -> list[Column]:
        rows = self.groups
        return [
            Column("group", "string", [row.group for row in rows]),
            Column("units", "int64", [row.units for row in rows]),
            Column("successes", "int64", [row.successes for row in rows]),
            Column("rate", "float64", [row.rate for row in rows]),
            Column("difference", "float64", [row.difference for row in rows]),
            Column("low", "float64", [row.low for row in rows]),
            Column("high", "float64", [row.high for row in rows]),
        ]

    def __repr__(self) -> str:
        rates = ", ".join(f"{row.group}={row.rate:.4f}" for row in self.groups)
        return f"SplitOutcomes({self.experiment!r}, {rates})"


@overload
def outcomes(
    exposures: Iterable[InterleavingExposure],
    events: Iterable[Outcome],
    *,
    confidence: float = 0.95,
    labels: tuple[str, str] | None = None,
    rng: Chance | None = None,
) -> InterleavingOutcomes: ...
@overload
def outcomes(
    exposures: Iterable[SplitExposure],
    events: Iterable[Outcome],
    *,
    confidence: float = 0.95,
    control: str | None = None,
) -> SplitOutcomes: ...
def outcomes(
    exposures: Iterable[Exposure],
    events: Iterable[Outcome],
    *,
    confidence: float = 0.95,
    labels: tuple[str, str] | None = None,
    control: str | None = None,
    rng: Chance | None = None,
) -> InterleavingOutcomes | SplitOutcomes:
    """Compare the sides or the groups of one experiment by what their units did.

    Of interleaved lists, an event counts once for each item of the unit's lists. By team draft, it counts for the side
    that took the item. By balanced interleaving, both rankings are followed down until one has the last item with an
    event; the items with events count for each ranking that has them by then (Joachims, 2003).

    Of a split, a unit is a success if it has at least one event.

    An exposure that was told twice counts once.

    Args:
        exposures: The exposures of one experiment, all of a kind.
        events: The events that are successes, such as all clicks: pairs of unit and item id, pairs of unit and event
            (a ``TrackedEvent``), or events with a ``session_id`` where that is the unit, as the embedded service
            records them.
        confidence: The confidence of intervals, between 0 and 1.
        labels: For interleaved lists: two different names of the sides, by default ``("a", "b")``.
        control: For splits: the group that the others are compared with, by default the one named ``"control"``.
        rng: For interleaved lists: the source of chance of the bootstrap, by default ``random.Random(0)``.

    Raises:
        ValidationError: There are no exposures, or they are of several experiments or kinds; an event has no unit;
            there is no control, or no group beside it; an argument is for the other kind of experiment.
    """
    checks.number(confidence, "confidence", "a number between 0 and 1", lambda it: 0 < it < 1)
    shown = list(dict.fromkeys(exposures))
    name = _only_experiment(shown)
    happened = list(_read(events))
    if all(isinstance(each, SplitExposure) for each in shown):
        for parameter, given in {"labels": labels, "rng": rng}.items():
            if given is not None:
                raise ValidationError(f"{parameter} is for interleaved lists, not for splits", parameter=parameter)
        return _of_split(name, cast("list[SplitExposure]", shown), happened, control, confidence)
    if all(isinstance(each, InterleavingExposure) for each in shown):
        if control is not None:
            raise ValidationError("control is for splits; name the sides of lists by labels", parameter="control")
        lists = cast("list[InterleavingExposure]", shown)
        names = ("a", "b") if labels is None else _checked_labels(labels)
        return _of_lists(name, lists, happened, names, confidence, Random(0) if rng is None else rng)
    raise ValidationError(
        "exposures are neither all SplitExposure nor all InterleavingExposure: compare each kind by itself",
        parameter="exposures",
    )


_Happened = tuple[str, str | None]


def _checked_labels(given: Any) -> tuple[str, str]:
    match given:
        case (str(first), str(second)) if first != second:
            return first, second
        case _:
            raise ValidationError(
                f'labels is {describe(given)}; it takes two different names: ("old", "new")', parameter="labels"
            )


def _of_lists(
    name: str,
    exposures: Sequence[InterleavingExposure],
    happened: Sequence[_Happened],
    labels: tuple[str, str],
    confidence: float,
    rng: Chance,
) -> InterleavingOutcomes:
    shown: dict[str, set[str]] = defaultdict(set)
    for exposure in exposures:
        shown[exposure.unit].update(exposure.item_ids)
    taken: dict[str, set[str]] = defaultdict(set)
    unmatched = 0
    for unit, item in happened:
        if item is not None and item in shown.get(unit, ()):
            taken[unit].add(item)
        else:
            unmatched += 1
    ahead: Counter[str] = Counter()
    for exposure in exposures:
        of_a, of_b = _credit(exposure, taken.get(exposure.unit, ()))
        ahead[exposure.unit] += of_b - of_a
    wins = sum(lead < 0 for lead in ahead.values()), sum(lead > 0 for lead in ahead.values())
    low, high = resampled_share(wins[1], wins[0], confidence, rng)
    degraded = sum(exposure.degraded for exposure in exposures)
    return InterleavingOutcomes(
        name, labels, len(shown), wins, low, high, sign_test(*wins), confidence, unmatched, degraded
    )


def _credit(exposure: InterleavingExposure, taken: Iterable[str]) -> tuple[int, int]:
    """The number of items with events that count for each side."""
    wanted = set(taken)
    rows = zip(exposure.item_ids, exposure.sides, exposure.places, strict=True)
    hits = [(side, place) for item, side, place in rows if item in wanted and side is not None]
    if not hits:
        return 0, 0
    if exposure.method == "team-draft":
        sides = [side for side, _ in hits]
        return sides.count("a"), sides.count("b")
    depth = min(place for place in hits[-1][1] if place is not None)
    of_a, of_b = (sum((place := places[side]) is not None and place <= depth for _, places in hits) for side in (0, 1))
    return of_a, of_b


def _of_split(
    name: str,
    exposures: Sequence[SplitExposure],
    happened: Sequence[_Happened],
    control: str | None,
    confidence: float,
) -> SplitOutcomes:
    groups: dict[str, set[str]] = defaultdict(set)
    for exposure in exposures:
        groups[exposure.unit].add(exposure.group)
    group_of = {unit: group for unit, (group, *others) in groups.items() if not others}
    unmatched = sum(unit not in groups for unit, _ in happened)
    units = Counter(group_of.values())
    first = _control(control, units)
    active = {unit for unit, _ in happened}
    successes = Counter(group for unit, group in group_of.items() if unit in active)
    rows = [GroupOutcome(first, units[first], successes[first])]
    for group in sorted(units.keys() - {first}):
        counts = successes[group], units[group]
        low, high = difference_interval(*counts, successes[first], units[first], confidence)
        rows.append(GroupOutcome(group, counts[1], counts[0], counts[0] / counts[1] - rows[0].rate, low, high))
    return SplitOutcomes(name, tuple(rows), confidence, unmatched, len(groups) - len(group_of))


def _control(given: str | None, units: Mapping[str, int]) -> str:
    control = "control" if given is None else given
    if control not in units:
        raise ValidationError(
            f"no unit was exposed to the group {control!r} alone; the groups are {', '.join(sorted(units)) or 'none'}: "
            "give control= the one to compare with",
            parameter="control",
        )
    if len(units) == 1:
        raise ValidationError("units were exposed to one group only: nothing to compare", parameter="exposures")
    return control


def _only_experiment(exposures: Sequence[Any]) -> str:
    for place, exposure in enumerate(exposures):
        if not isinstance(exposure, Exposure):
            raise ValidationError(f"exposures[{place}] is {describe(exposure)}, not an exposure", parameter="exposures")
    names: list[str] = sorted({exposure.experiment for exposure in exposures})
    if len(names) != 1:
        problem = f"are of {len(names)} experiments ({', '.join(names)})" if names else "are empty"
        raise ValidationError(f"exposures {problem}: give those of one experiment", parameter="exposures")
    return names[0]


_NO_EVENT = object()


def _pair(event: Any) -> tuple[Any, Any]:
    match event:
        case (unit, what):
            return unit, what
        case _:
            return getattr(event, "session_id", None), event


def _read(events: Iterable[Any]) -> Iterator[_Happened]:
    for place, event in enumerate(events):
        unit, what = _pair(event)
        item = what if what is None or isinstance(what, str) else getattr(what, "item_id", _NO_EVENT)
        if not isinstance(unit, str) or not (item is None or isinstance(item, str)):
            raise ValidationError(
                f"events[{place}] is {describe(event)}: give pairs of unit and item id, pairs of unit and event, or "
                "events with a session_id",
                parameter="events",
            )
        yield unit, item


# Texts.


def _notes(unmatched: int, more: str = "") -> tuple[str, ...]:
    if not unmatched:
        return ()
    one = unmatched == 1
    return (f"{unmatched:,} event{'' if one else 's'} belong{'s' if one else ''} to no exposure {more}".rstrip(),)


def _units(number: int) -> str:
    return f"{number:,} unit{'' if number == 1 else 's'}"


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _points(difference: float | None) -> str:
    return f"{(difference or 0.0) * 100:+.1f}"


def _p(value: float) -> str:
    return "p < 0.0001" if value < 0.0001 else f"p = {value:.4f}"

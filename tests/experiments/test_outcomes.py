"""Who won: credit of events, what is left out, and how a table shows itself."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from random import Random
from typing import Any

import pytest

from personalize_rt.errors import ValidationError
from personalize_rt.experiments import (
    InterleavingExposure,
    InterleavingOutcomes,
    Split,
    SplitExposure,
    SplitOutcomes,
    interleave,
    outcomes,
)
from personalize_rt.tracking import TrackedEvent
from tests.optional import optional


def shown(
    unit: str, sides: str = "abab", method: Any = "team-draft", places: Any = None, **more: Any
) -> InterleavingExposure:
    """A list of the items i0, i1, …; a side written ``-`` is neither."""
    return InterleavingExposure(
        experiment="x",
        unit=unit,
        method=method,
        item_ids=[f"i{n}" for n in range(len(sides))],
        sides=[None if side == "-" else side for side in sides],  # type: ignore[misc]  # "a" or "b"
        places=places or [(n, n) for n in range(len(sides))],
        **more,
    )


def grouped(unit: str, group: str) -> SplitExposure:
    return SplitExposure(experiment="x", unit=unit, group=group)


def won(exposures: Any, events: Any) -> tuple[int, int]:
    found: InterleavingOutcomes = outcomes(exposures, events)
    return found.wins


def test_an_event_counts_for_the_side_that_took_the_item() -> None:
    assert won([shown("s")], [("s", "i0")]) == (1, 0)
    assert won([shown("s")], [("s", "i1")]) == (0, 1)
    assert won([shown("s")], [("s", "i1"), ("s", "i3"), ("s", "i0")]) == (0, 1)
    assert won([shown("s")], [("s", "i1"), ("s", "i0")]) == (0, 0)
    assert won([shown("s"), shown("t")], [("s", "i0"), ("t", "i2")]) == (2, 0)


def test_an_item_counts_once_however_often_it_has_events() -> None:
    assert won([shown("s")], [("s", "i0"), ("s", "i1"), ("s", "i1"), ("s", "i1")]) == (0, 0)


def test_an_item_of_neither_side_counts_for_nobody() -> None:
    assert won([shown("s", "ab--")], [("s", "i3"), ("s", "i1")]) == (0, 1)
    assert won([shown("s", "ab--", "balanced", [(0, 1), (1, 0), (2, None), (3, None)])], [("s", "i3")]) == (0, 0)


def test_a_unit_with_several_lists_counts_once() -> None:
    lists = [shown("s", "ab"), shown("s", "ba", places=[(0, 1), (1, 0)])]
    found = outcomes(lists, [("s", "i0")])
    assert (found.units, found.wins) == (1, (0, 0))
    assert won([*lists, shown("s", "aa")], [("s", "i0")]) == (1, 0)


def test_an_exposure_that_was_told_twice_counts_once() -> None:
    first, second = shown("s", "ab"), shown("s", "ba")
    assert won([first, second], [("s", "i0")]) == (0, 0)
    assert won([first, first, second, first], [("s", "i0")]) == (0, 0)


def test_balanced_lists_are_followed_down_to_the_last_event() -> None:
    # a: i0 i1 i2 i3; b: i1 i3 i0 i2 (Joachims, 2003). Down to i3, second of b: b has i1 and i3 there, a has i0 and i1.
    places = [(0, 2), (1, 0), (2, 3), (3, 1)]
    exposure = shown("s", "abab", "balanced", places)
    assert won([exposure], [("s", "i3")]) == (0, 1)
    assert won([exposure], [("s", "i0"), ("s", "i3")]) == (0, 0)  # i0 of a, i3 of b
    assert won([exposure], [("s", "i1"), ("s", "i3")]) == (0, 1)  # i1 of both, i3 of b
    assert won([exposure], [("s", "i0")]) == (1, 0)
    assert won([exposure], [("s", "i2")]) == (1, 0)


def test_identical_rankings_tie_by_balanced_interleaving() -> None:
    exposure = interleave([*"pqrs"], [*"pqrs"], method="balanced").exposure("x", unit="s")
    for items in ("p", "qs", "pqrs"):
        assert won([exposure], [("s", item) for item in items]) == (0, 0)


def test_the_table_of_lists_has_rate_interval_and_test() -> None:
    exposures = [shown(f"s{n}") for n in range(100)]
    events = [(f"s{n}", "i1" if n < 60 else "i0") for n in range(90)]
    found = outcomes(
        exposures, [*events, ("s1", "other"), ("nobody", "i1"), ("s1", None)], labels=("search", "personal")
    )
    assert isinstance(found, InterleavingOutcomes)
    assert (found.units, found.decided, found.wins, found.unmatched) == (100, 90, (30, 60), 3)
    assert found.win_rate == pytest.approx(2 / 3)
    assert found.low < 2 / 3 < found.high
    assert found.p_value == pytest.approx(0.0016, abs=2e-4)
    assert found.winner == "personal"
    assert (
        str(found)
        == found.line
        == (
            f"x: personal wins 66.7 % of 90 units with a winner (95 % interval {found.low * 100:.1f} % to "
            f"{found.high * 100:.1f} %, p = {found.p_value:.4f}): personal is better"
        )
    )
    assert found.notes == (
        "10 units without a winner left out",
        "3 events belong to no exposure or to an item that was not in it",
    )


def test_no_difference_and_no_data_are_said() -> None:
    even = outcomes([shown("s"), shown("t")], [("s", "i0"), ("t", "i1")])
    assert even.winner is None
    assert even.line.endswith("no difference shown")
    none = outcomes([shown("s", degraded=True)], [])
    assert (none.win_rate, none.low, none.high, none.p_value, none.winner) == (None, 0.0, 1.0, 1.0, None)
    assert none.line == "x: none of 1 unit has a winner yet"
    assert "a fallback answered one half of 1 of the lists" in none.notes


def test_the_bootstrap_takes_a_source_of_chance() -> None:
    exposures = [shown(f"s{n}") for n in range(3_000)]
    events = [(f"s{n}", "i1" if n % 5 else "i0") for n in range(3_000)]
    assert outcomes(exposures, events) == outcomes(exposures, events, rng=Random(0))
    assert len({outcomes(exposures, events, rng=Random(seed)).low for seed in range(8)}) > 1


def test_the_table_of_a_split_has_rates_differences_and_intervals() -> None:
    exposures = [grouped(f"c{n}", "control") for n in range(80)] + [grouped(f"r{n}", "ranker") for n in range(70)]
    events = [(f"c{n}", None) for n in range(48)] + [(f"r{n}", "tt1") for n in range(56)] + [("r0", "tt2")]
    found = outcomes(exposures, events)
    assert isinstance(found, SplitOutcomes)
    assert [(row.group, row.units, row.successes, row.rate) for row in found.groups] == [
        ("control", 80, 48, 0.6),
        ("ranker", 70, 56, 0.8),
    ]
    ranker = found["ranker"]
    assert (ranker.difference, ranker.low, ranker.high) == pytest.approx((0.2, 0.0528, 0.3382), abs=1e-4)
    assert found.control.difference is None
    assert found.line == (
        "x: ranker 80.0 % against 60.0 % of control, +20.0 points (95 % interval +5.3 to +33.8): better"
    )
    turned = outcomes(exposures, events, control="ranker")
    assert turned["control"].verdict == "worse"
    with pytest.raises(KeyError, match="no group 'x'; there are control, ranker"):
        found["x"]


def test_units_of_several_groups_are_left_out_and_counted() -> None:
    exposures = [grouped("s", "control"), grouped("t", "ranker"), grouped("m", "control"), grouped("m", "ranker")]
    found = outcomes(exposures, [("m", "p"), ("nobody", "p")])
    assert [row.units for row in found.groups] == [1, 1]
    assert found.notes == ("1 unit in several groups left out", "1 event belongs to no exposure")


def test_events_may_be_pairs_tracked_or_recorded() -> None:
    exposure = shown("s")
    tracked = TrackedEvent(event_type="Click", item_id="i1")
    assert won([exposure], [("s", tracked)]) == won([exposure], [("s", "i1")]) == (0, 1)
    assert outcomes([exposure], [("s", TrackedEvent(event_type="Signup"))]).unmatched == 1


def test_the_pseudonym_joins_users_without_their_ids() -> None:
    split = Split("x", {"control": 1, "ranker": 1})
    exposures = [split.exposure(f"u-{n}") for n in range(100)]
    found = outcomes(exposures, [(split.unit(f"u-{n}"), "p") for n in range(100) if split.group(f"u-{n}") == "ranker"])
    assert (found.control.rate, found["ranker"].rate, found.unmatched) == (0.0, 1.0, 0)


@pytest.mark.parametrize(
    ("exposures", "events", "options", "problem"),
    [
        ([], [], {}, "exposures are empty"),
        ([shown("s"), grouped("s", "control")], [], {}, "neither all SplitExposure nor all"),
        (
            [grouped("s", "control"), SplitExposure(experiment="y", unit="t", group="b")],
            [],
            {},
            "2 experiments \\(x, y\\)",
        ),
        ([("s", "i0")], [], {}, "exposures\\[0\\] is a tuple"),
        ([shown("s")], ["secret"], {}, "events\\[0\\] is a str of 6 characters: give pairs"),
        ([shown("s")], [(7, "i0")], {}, "events\\[0\\]"),
        ([shown("s")], [("s", 7)], {}, "events\\[0\\]"),
        ([shown("s")], [], {"confidence": 95}, "confidence must be a number between 0 and 1"),
        ([shown("s")], [], {"labels": ("p", "p")}, "two different names"),
        ([shown("s")], [], {"labels": ("p",)}, "two different names"),
        ([shown("s")], [], {"labels": "pq"}, "two different names"),
        ([shown("s")], [], {"control": "a"}, "control is for splits"),
        ([grouped("s", "control"), grouped("t", "b")], [], {"labels": ("p", "q")}, "labels is for interleaved lists"),
        ([grouped("s", "control"), grouped("t", "b")], [], {"rng": Random(1)}, "rng is for interleaved lists"),
        ([grouped("s", "p"), grouped("t", "q")], [], {}, "the groups are p, q: give control="),
        ([grouped("s", "control")], [], {}, "one group only"),
        ([grouped("s", "p"), grouped("s", "q")], [], {}, "the groups are none"),
    ],
)
def test_what_cannot_be_compared_is_refused(exposures: Any, events: Any, options: Any, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem) as caught:
        outcomes(exposures, events, **options)
    assert caught.value.parameter
    assert "secret" not in str(caught.value)


# Display.

LISTS = outcomes(
    [shown(f"s{n}") for n in range(20)], [(f"s{n}", "i1") for n in range(16)], labels=("search", "<b>new</b>")
)
GROUPS = outcomes(
    [grouped(f"c{n}", "control") for n in range(200)] + [grouped(f"r{n}", "[red]") for n in range(200)],
    [(f"c{n}", None) for n in range(50)] + [(f"r{n}", None) for n in range(120)],
)
TABLES = pytest.mark.parametrize("table", [LISTS, GROUPS], ids=["lists", "groups"])


@TABLES
def test_a_table_becomes_a_frame(table: Any) -> None:
    rows = table.to_dicts()
    optional("pandas")
    optional("polars")
    for frame in (table.to_pandas(), table.to_polars()):
        assert list(frame.columns) == list(rows[0])
        assert len(frame) == len(rows)
    assert optional("pyarrow").table(table).num_rows == len(rows)
    assert table.to_polars().to_dicts() == rows


@TABLES
def test_a_notebook_shows_the_line_and_escapes_names(table: Any) -> None:
    html = table._repr_html_()
    assert "interval" in html
    assert "<b>new" not in html
    assert "&lt;b&gt;new" in html or "[red]" in html
    assert "light-dark(" in html


@TABLES
def test_a_terminal_shows_the_line_and_no_markup(table: Any) -> None:
    console = optional("rich.console").Console(width=200, record=True, file=StringIO())
    console.print(table)
    text = console.export_text()
    assert table.line in text.replace("\n", " ")
    name = "<b>new</b>" if table is LISTS else "[red]"
    assert text.count(name) - table.line.count(name) == 1  # in the table


def test_an_interleaved_list_shows_itself_too() -> None:
    long = interleave([f"p{n}" for n in range(60)], [f"<i>{n}" for n in range(60)], k=60, rng=Random(1))
    assert "10 more not shown" in long._repr_html_()
    assert "<i>" not in long._repr_html_()
    assert len(long.to_dicts()) == 60
    optional("polars")
    assert long.to_polars()["side"].to_list() == list(long.sides)


@pytest.fixture
def matplotlib() -> Iterator[Any]:
    matplotlib = optional("matplotlib")
    with matplotlib.rc_context({"backend": "Agg"}):
        import matplotlib.pyplot as plt

        yield matplotlib
        plt.close("all")


@TABLES
def test_a_plot_has_each_interval(matplotlib: Any, table: Any) -> None:
    axes = table.plot()
    axes.figure.canvas.draw()
    neutral, *intervals = axes.lines
    assert len(intervals) == 1
    assert set(neutral.get_xdata()) == {50.0 if table is LISTS else 0.0}
    low, high = intervals[0].get_xdata()
    row = LISTS if table is LISTS else GROUPS["[red]"]
    assert (low, high) == pytest.approx((100 * (row.low or 0), 100 * (row.high or 0)))
    assert intervals[0].get_color() == "#2e9e63"
    assert axes.figure.get_facecolor()[3] == 0  # no ground of its own, on light and on dark pages
    assert table.plot(ax=axes) is axes

"""Pictures of answers: what is on the Axes, and that any answer can be drawn."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from personalize_rt.errors import ValidationError
from personalize_rt.notebook import compare, plots
from personalize_rt.results import ActionRecommendations, Ranking, Recommendations

matplotlib: Any = pytest.importorskip("matplotlib")

RANKING = Ranking(["a", "b", "c", "x"], scores=[0.5, 0.3, 0.2, None], promotion_names=[None, "autumn", None, None])
OTHER = Ranking(["c", "a", "d"], scores=[0.6, 0.3, 0.1])
EMPTY = Ranking([], scores=[])
ITEMS = {
    "a": {"TITLE": "From $5_{ to $9", "YEAR": 1979, "GENRES": "Horror|Drama"},
    "b": {"TITLE": "B", "YEAR": 1986, "GENRES": "Drama"},
    "c": {"TITLE": "C", "YEAR": 1999, "GENRES": None},
}


@pytest.fixture(autouse=True)
def a_backend_without_windows() -> Iterator[None]:
    with matplotlib.rc_context({"backend": "Agg"}):
        import matplotlib.pyplot as plt

        yield
        plt.close("all")


def drawn(axes: Any) -> Any:
    """Really draw: matplotlib reads titles, and says what is wrong, only then."""
    axes.figure.canvas.draw()
    return axes


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def labels(ticks: Any) -> list[str]:
    return [label.get_text() for label in ticks]


def test_a_score_curve_has_each_score_at_its_place() -> None:
    axes = drawn(plots.score_curve(RANKING))
    x, y = axes.lines[0].get_data()
    assert list(x) == [1, 2, 3, 4]
    assert list(y[:3]) == [0.5, 0.3, 0.2]
    assert y[3] != y[3]  # a gap
    (promoted,) = axes.collections
    assert promoted.get_offsets().tolist() == [[2.0, 0.3]]


def test_a_score_curve_without_promotions_has_no_legend() -> None:
    assert drawn(plots.score_curve(ActionRecommendations(["a"], scores=[0.5]))).get_legend() is None


def test_a_slope_chart_has_a_line_for_each_item() -> None:
    axes = drawn(plots.slope_chart(RANKING, OTHER, items=ITEMS, labels=("plain", "filtered")))
    assert [[list(values) for values in line.get_data()] for line in axes.lines] == [[[0, 1], [3, 1]], [[0, 1], [1, 2]]]
    dots = [tuple(dot.get_offsets().tolist()[0]) for dot in axes.collections]
    assert sorted(dots) == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 1), (1, 2), (1, 3)]
    assert sorted(texts(axes)) == sorted(["C", "C", "From $5_{ to $9", "From $5_{ to $9", "d", "B", "x"])
    assert labels(axes.get_xticklabels()) == ["plain", "filtered"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


def test_a_slope_chart_shows_the_top_rows_only() -> None:
    first = Recommendations(map(str, range(100)), scores=[None] * 100)
    second = Recommendations(map(str, reversed(range(100))), scores=[None] * 100)
    axes = drawn(plots.slope_chart(first, second, rows=3))
    assert sorted(texts(axes)) == sorted(["0", "1", "2", "97", "98", "99"])
    assert axes.get_ylim() == (3.5, 0.5)


def test_a_place_below_the_shown_rows_has_neither_dot_nor_title() -> None:
    axes = drawn(
        plots.slope_chart(
            Recommendations("abcd", scores=[None] * 4), Recommendations("dabc", scores=[None] * 4), rows=3
        )
    )
    assert sorted(texts(axes)) == ["a", "a", "b", "b", "c", "d"]
    assert len(axes.lines) == 4


def test_a_comparison_plots_itself() -> None:
    axes = drawn(compare(RANKING, OTHER, labels=("one", "two")).plot())
    assert labels(axes.get_xticklabels()) == ["one", "two"]


def test_a_distribution_counts_each_value_of_an_item() -> None:
    axes = drawn(plots.metadata_distribution(RANKING, "genres", items=ITEMS))
    assert labels(axes.get_yticklabels()) == ["Drama", "Horror"]
    assert [bar.get_width() for bar in axes.patches] == [2, 1]


def test_a_distribution_prefers_the_answers_own_metadata() -> None:
    answer = Recommendations(["a", "b"], scores=[0.5, 0.4], metadata=[{"brandName": "Fox"}, {"brandName": "Fox"}])
    axes = drawn(plots.metadata_distribution(answer, "BRAND_NAME"))
    assert labels(axes.get_yticklabels()) == ["Fox"]
    assert [bar.get_width() for bar in axes.patches] == [2]


def test_a_distribution_of_many_numbers_is_a_histogram() -> None:
    ids = [str(n) for n in range(40)]
    items = {id: {"YEAR": 1970 + int(id)} for id in ids}
    axes = drawn(plots.metadata_distribution(Recommendations(ids, scores=[None] * 40), "YEAR", items=items))
    assert sum(bar.get_height() for bar in axes.patches) == 40
    assert axes.get_xlabel() == "YEAR"


def test_a_column_that_is_not_there_is_an_error_that_names_the_others() -> None:
    with pytest.raises(ValidationError, match="no column 'BRAND'; the columns are: TITLE, YEAR, GENRES") as caught:
        plots.metadata_distribution(RANKING, "BRAND", items=ITEMS)
    assert caught.value.parameter == "column"


def test_the_effect_of_a_filter_shows_what_stays_goes_and_comes() -> None:
    axes = drawn(plots.filter_effect(RANKING, OTHER, items=ITEMS))
    assert labels(axes.get_yticklabels()) == ["From $5_{ to $9", "B", "C", "x", "d"]
    assert texts(axes) == ["2", "out", "1", "out", "3"]
    assert labels(axes.get_legend().get_texts()) == ["stays (2)", "taken out (2)", "comes in (1)"]
    lengths = {round(bar.get_y() + 0.35): bar.get_width() for bar in axes.patches}
    assert lengths == {0: 0.5, 2: 0.2, 1: 0.3, 3: 0.0, 4: 0.1}


def test_a_filter_on_answers_without_scores_has_bars_of_one_length() -> None:
    first, second = Recommendations(["a", "b"], scores=[None] * 2), Recommendations(["b"], scores=[None])
    axes = drawn(plots.filter_effect(first, second))
    assert {bar.get_width() for bar in axes.patches} == {1.0}


def test_everything_draws_on_given_axes_and_returns_them() -> None:
    import matplotlib.pyplot as plt

    _, grid = plt.subplots(1, 4)
    assert plots.score_curve(RANKING, ax=grid[0]) is grid[0]
    assert plots.slope_chart(RANKING, OTHER, ax=grid[1]) is grid[1]
    assert plots.metadata_distribution(RANKING, "GENRES", items=ITEMS, ax=grid[2]) is grid[2]
    assert plots.filter_effect(RANKING, OTHER, ax=grid[3]) is grid[3]
    drawn(grid[0])


def test_empty_answers_can_be_drawn() -> None:
    drawn(plots.score_curve(EMPTY))
    drawn(plots.slope_chart(EMPTY, EMPTY))
    drawn(plots.filter_effect(EMPTY, EMPTY))


@pytest.mark.parametrize("rows", [0, -1])
def test_no_rows_at_all_are_refused(rows: int) -> None:
    for draw in (plots.slope_chart, plots.filter_effect):
        with pytest.raises(ValidationError, match="rows must be a whole number from 1") as caught:
            draw(RANKING, OTHER, rows=rows)
        assert caught.value.parameter == "rows"


def test_a_missing_matplotlib_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r'Plotting needs matplotlib: pip install "personalize-rt\[plot\]"'):
        plots.score_curve(RANKING)


def test_a_new_figure_has_no_ground_and_texts_that_light_and_dark_pages_show() -> None:
    axes = drawn(RANKING.compare(OTHER).plot())
    assert axes.figure.get_facecolor()[3] == axes.get_facecolor()[3] == 0

    def luminance(color: Any) -> float:
        parts = matplotlib.colors.to_rgb(color)
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    inks = {text.get_color() for text in (*axes.texts, *axes.get_xticklabels()) if text.get_text() in ("a", "before")}
    assert inks
    for ink in inks:
        assert 1.05 / (luminance(ink) + 0.05) > 3.5
        assert (luminance(ink) + 0.05) / (luminance("#1e1e1e") + 0.05) > 3.5


def test_a_style_that_was_chosen_is_kept() -> None:
    with matplotlib.style.context("dark_background"):
        axes = drawn(RANKING.compare(OTHER).plot())
    assert axes.figure.get_facecolor()[:3] == (0, 0, 0)
    (label,) = (text for text in axes.texts if text.get_text() == "a" and text.get_ha() == "left")
    assert matplotlib.colors.to_rgb(label.get_color()) == (1, 1, 1)

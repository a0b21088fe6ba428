"""Results on a terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rich")

from rich.console import Console

from personalize_rt.errors import ThrottlingError
from personalize_rt.notebook import compare, show
from personalize_rt.results import ActionRecommendations, Ranking, Recommendations, ResponseInfo


def printed(shown: Any, *, encoding: str = "utf-8", width: int = 120) -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    Console(file=file, width=width, color_system=None).print(shown)
    file.seek(0)
    return [line.rstrip() for line in file.read().splitlines()]


def cells(line: str) -> list[str]:
    return line.split()


def test_a_ranking_as_a_table() -> None:
    answer = Ranking(["a", "b"], scores=[0.5, 0.25], info=ResponseInfo(None, 1, 0.02))
    lines = printed(show(answer, items={"a": "Alien"}))
    assert set(lines.pop(3)) == {"─"}  # of a length that changed with rich 14
    assert lines == [
        "Ranking of 2 items",
        "from the service · 1 attempt · 20 ms",
        "#   item   title       score",
        "1   a      Alien   0.5000000   ████████████",
        "2   b              0.2500000   ██████",
    ]


def test_marks_metadata_and_unknown_items() -> None:
    answer = Ranking(
        ["a", "x"],
        scores=[0.5, None],
        promotion_names=["autumn", None],
        reasons=[["Promoted item"], []],
        metadata=[{"YEAR": "1979"}, None],
        input_list=["a", "x", "y"],
    )
    lines = printed(show(answer))
    assert cells(lines[2]) == ["#", "item", "YEAR", "score", "why"]
    assert lines[4].startswith("1   a ")
    assert lines[4].endswith("promoted: autumn, Promoted item")
    assert "1 item unknown to the model:" in lines[6]
    assert cells(lines[7]) == ["2", "x"]
    assert lines[8] == "1 item of the request left out: y"


def test_a_degraded_answer_says_why() -> None:
    cause = ThrottlingError("Rate exceeded", response={}, operation_name="", code="")
    lines = printed(show(Ranking(["a"], scores=[None], degraded=True, cause=cause)))
    assert lines[0] == "Degraded answer. A fallback answered because of ThrottlingError: Rate exceeded"


def test_at_most_50_rows() -> None:
    lines = printed(show(Recommendations(map(str, range(51)), scores=[0.5] * 51)))
    assert cells(lines[-2])[0] == "50"
    assert lines[-1].startswith("1 more row not shown")


def test_an_empty_answer_says_so() -> None:
    assert printed(show(ActionRecommendations([], scores=[])))[-1] == "The answer holds no action."


def test_a_comparison_as_a_table() -> None:
    comparison = compare(Ranking(["a", "b"], scores=[0.6, 0.4]), Ranking(["b", "c"], scores=[0.6, 0.4]), k=2)
    assert printed(comparison) == [
        "Kendall τ-b: undefined",
        "Spearman ρ: undefined",
        f"rank-biased overlap (p 0.9): {comparison.rank_biased_overlap:.3f}",
        "top-2 overlap: 0.500",
        "item   before   after      moved",
        "────────────────────────────────",
        "b           2       1        ▲ 1",
        "c                   2        new",
        "a           1           left out",
    ]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_unicode_is_not_asked_for_it(encoding: str) -> None:
    answer = Ranking(["a", "b"], scores=[0.5, 0.25], info=ResponseInfo(None, 1, 0.02))
    assert printed(show(answer, items={"a": "千と"}), encoding=encoding) == [
        "Ranking of 2 items",
        "from the service | 1 attempt | 20 ms",
        r"#   item   title              score",
        r"-----------------------------------",
        r"1   a      \u5343\u3068   0.5000000",
        r"2   b                     0.2500000",
    ]
    swapped = printed(compare(answer, Ranking(["b", "a"], scores=[1, 0])), encoding=encoding)
    assert "Kendall tau-b: -1.000" in swapped
    assert "b           2       1     + 1" in swapped


@given(st.text(), st.text())
def test_nobodys_text_steers_the_terminal_or_becomes_rich_markup(id: str, title: str) -> None:
    raw = f"[red]{id}\x1b[31m"
    lines = "".join(printed(show(Ranking([raw], scores=[0.5]), items={raw: title}), width=10_000))
    assert "\x1b" not in lines
    assert "[red]" in lines
    assert "\\x1b[31m" in lines


def test_a_row_that_a_rule_moved_says_why_also_in_a_comparison() -> None:
    before = Ranking(["a", "b", "c"], scores=[0.5, 0.3, 0.2])
    after = before.pin({"c": 0})
    for shown in (after, before.compare(after)):
        console = Console(width=200, file=io.StringIO(), force_terminal=False)
        console.print(shown)
        assert "pinned: 3 → 1" in console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO


@pytest.mark.parametrize("width", [40, 60, 79])
def test_a_narrow_terminal_has_an_item_in_one_column_with_all_of_its_score(width: int) -> None:
    answer = Ranking(
        ["tt0080684", "tt0137523"],
        scores=[0.2935032, 0.1966119],
        metadata=[{"GENRES": "Action|Sci-Fi"}, None],
        info=ResponseInfo(None, 1, 0.02),
    )
    lines = printed(show(answer, items={"tt0080684": "Star Wars: Episode V - The Empire Strikes Back"}), width=width)
    assert max(map(len, lines)) <= width
    assert cells(lines[2]) == ["#", "item", "score"]
    assert cells(lines[4])[::2] == ["1", "0.2935032"]
    assert cells(lines[4])[1] == "tt0080684"
    assert cells(lines[5])[:2] == ["Star", "Wars:"]
    assert any(cells(line) == ["Action|Sci-Fi"] for line in lines)
    assert cells(lines[-1]) == ["2", "tt0137523", "0.1966119"]


def test_a_narrow_terminal_shows_moves_and_reasons() -> None:
    answer = Ranking(["a", "x"], scores=[0.5, None], promotion_names=["autumn", None], input_list=["x", "a"])
    lines = printed(show(answer), width=40)
    assert max(map(len, lines)) <= 40
    assert any("promoted: autumn" in line for line in lines)
    assert any(cells(line)[:2] == ["1", "a"] for line in lines)

"""Two answers side by side."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.errors import ValidationError
from personalize_rt.notebook import Move, compare, show
from personalize_rt.notebook.agreement import rank_biased_overlap, top_k_overlap
from personalize_rt.results import ActionRecommendations, Ranking, Recommendations

IDS = st.lists(st.sampled_from("abcdefgh"))


def answer(ids: list[str] | str) -> Recommendations:
    return Recommendations(ids, scores=[1 / (n + 1) for n in range(len(ids))])


def test_each_item_knows_how_far_it_moved() -> None:
    comparison = compare(answer("abc"), answer("cad"))
    assert comparison.moves == (
        Move("c", 2, 0, 1 / 3, 1.0),
        Move("a", 0, 1, 1.0, 1 / 2),
        Move("d", None, 2, None, 1 / 3),
        Move("b", 1, None, 1 / 2, None),
    )
    assert [move.places for move in comparison.moves] == [2, -1, None, None]
    assert (comparison.shared, comparison.entered, comparison.left) == (("c", "a"), ("d",), ("b",))


def test_the_order_of_the_shared_items_is_compared() -> None:
    comparison = compare(answer("axbc"), answer("abyc"))
    assert (comparison.kendall_tau, comparison.spearman) == (1.0, 1.0)
    comparison = compare(answer("abc"), answer("acb"))
    assert (comparison.kendall_tau, comparison.spearman) == (pytest.approx(1 / 3), pytest.approx(0.5))


def test_the_overlaps_see_all_items() -> None:
    comparison = compare(answer("abcd"), answer("abxy"), k=3, p=0.8)
    assert comparison.top_k_overlap == top_k_overlap("abcd", "abxy", 3) == pytest.approx(2 / 3)
    assert comparison.rank_biased_overlap == rank_biased_overlap("abcd", "abxy", 0.8)
    assert (comparison.k, comparison.p) == (3, 0.8)


@pytest.mark.parametrize(("first", "second"), [("", ""), ("a", ""), ("a", "b"), ("ab", "bx")])
def test_an_order_of_fewer_than_two_shared_items_is_undefined(first: str, second: str) -> None:
    comparison = compare(answer(first), answer(second))
    assert comparison.kendall_tau is None
    assert comparison.spearman is None
    assert 0 <= comparison.rank_biased_overlap <= 1


@given(IDS, IDS)
def test_every_item_is_in_the_comparison_once_at_its_first_place(first: list[str], second: list[str]) -> None:
    comparison = compare(answer(first), answer(second))
    assert sorted(move.item_id for move in comparison.moves) == sorted({*first, *second})
    for move in comparison.moves:
        assert move.before == (first.index(move.item_id) if move.item_id in first else None)
        assert move.after == (second.index(move.item_id) if move.item_id in second else None)


def test_answers_of_different_operations_can_be_compared() -> None:
    ranking = Ranking(["a", "b"], scores=[0.5, None])
    assert compare(ranking, answer("ba")).kendall_tau == -1
    assert compare(ActionRecommendations(["a"], scores=[0.5]), answer("a")).shared == ("a",)


def test_moves_as_dicts() -> None:
    first, last = compare(answer("ab"), answer("b")).to_dicts()
    assert first == {
        "item_id": "b",
        "before": 1,
        "after": 0,
        "places": 1,
        "score_before": 0.5,
        "score_after": 1.0,
    }
    assert last["after"] is last["places"] is last["score_after"] is None


def test_a_comparison_is_a_value() -> None:
    comparison = compare(answer("ab"), answer("ba"))
    assert comparison == copy.copy(comparison) == pickle.loads(pickle.dumps(comparison))
    assert len({comparison, compare(answer("ab"), answer("ba"))}) == 1


def test_the_repr_shows_the_measures_and_no_titles() -> None:
    assert repr(compare(answer("ab"), answer("ab"))) == (
        "Comparison(2 items, 2 shared, kendall_tau=1.000, spearman=1.000, rank_biased_overlap=1.000, "
        "top_10_overlap=1.000)"
    )


@pytest.mark.parametrize(("name", "options"), [("k", {"k": 0}), ("p", {"p": 1.0})])
def test_parameters_out_of_range_are_refused(name: str, options: dict[str, float]) -> None:
    with pytest.raises(ValidationError) as caught:
        compare(answer("ab"), answer("ab"), **options)  # type: ignore[arg-type]  # one of the two
    assert caught.value.parameter == name


@pytest.mark.parametrize("other", [["a"], "a", None, {"a": 1}, object()])
def test_what_is_no_answer_is_refused_with_advice(other: Any) -> None:
    for name, ask in {
        "first": lambda: compare(other, answer("a")),
        "second": lambda: compare(answer("a"), other),
        "other": lambda: answer("a").compare(other),
        "result": lambda: show(other),
    }.items():
        with pytest.raises(ValidationError, match=rf"^{name} is .*make Ranking\(ids, scores=") as caught:
            ask()
        assert caught.value.parameter == name

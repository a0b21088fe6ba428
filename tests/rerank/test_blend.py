"""Mixing a search order with the personal one."""

from __future__ import annotations

from itertools import pairwise
from math import isclose, log2
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.errors import ServerError, ValidationError
from personalize_rt.rerank.blend import blend
from personalize_rt.results import Ranking, Recommendations, ResponseInfo

IDS = st.lists(st.text("abcdefgh", min_size=1, max_size=2), unique=True)
ANY_IDS = st.lists(st.sampled_from("abcdef"))
INSIDE = st.floats(0, 1, exclude_min=True, exclude_max=True)


def ranking(*ids: str) -> Ranking:
    return Ranking(ids, scores=[None] * len(ids))


def value(id: str, search: list[str], personal: list[str], weight: float) -> float:
    """The formula, once more and in other words."""
    total = 0.0
    for ids, share in ((search, 1 - weight), (personal, weight)):
        if id in ids:
            total += share / log2(list(dict.fromkeys(ids)).index(id) + 2)
    return total


def test_a_worked_example() -> None:
    # a: .5/log2(2) + .5/log2(4) = .75; b: .5/log2(3) + .5/log2(2) = .815; c: .5/log2(4) + .5/log2(3) = .565
    assert blend(ranking("b", "c", "a"), ["a", "b", "c"], 0.5).item_ids == ("b", "a", "c")


@given(ANY_IDS, ANY_IDS)
def test_weight_0_is_the_search_order_and_weight_1_the_personal_one(search: list[str], personal: list[str]) -> None:
    assert blend(ranking(*personal), search, 0).item_ids == tuple(search)
    assert blend(ranking(*personal), search, 1).item_ids == tuple(personal)


@given(IDS, st.randoms(use_true_random=False), st.floats(0, 1))
def test_two_orders_of_the_same_items_blend_to_a_permutation(ids: list[str], random: Any, weight: float) -> None:
    shuffled = random.sample(ids, len(ids))
    assert sorted(blend(ranking(*shuffled), ids, weight).item_ids) == sorted(ids)


@given(ANY_IDS, ANY_IDS, INSIDE)
def test_items_stand_by_descending_value_each_once(search: list[str], personal: list[str], weight: float) -> None:
    blended = blend(ranking(*personal), search, weight).item_ids
    assert sorted(blended) == sorted({*search, *personal})
    values = [value(id, search, personal, weight) for id in blended]
    assert all(upper > lower or isclose(upper, lower) for upper, lower in pairwise(values))


@given(IDS, INSIDE)
def test_an_item_that_only_the_search_found_never_passes_one_that_both_put_higher(
    ids: list[str], weight: float
) -> None:
    blended = blend(ranking(*ids), [*ids, "only in the search"], weight)
    assert blended.item_ids == (*ids, "only in the search")


@given(IDS, INSIDE)
def test_an_item_that_only_the_ranking_has_never_passes_one_that_both_put_higher(ids: list[str], weight: float) -> None:
    assert blend(ranking(*ids, "only personal"), ids, weight).item_ids == (*ids, "only personal")


def test_equal_sums_stand_in_the_order_of_the_search() -> None:
    assert blend(ranking("b", "a"), ["a", "b"], 0.5).item_ids == ("a", "b")
    assert blend(ranking("a", "b"), ["b", "a"], 0.5).item_ids == ("b", "a")


def test_the_rows_keep_what_the_service_said_of_them() -> None:
    cause = ServerError("503", response={}, operation_name="GetPersonalizedRanking", code="ServiceUnavailable")
    info = ResponseInfo("request-1", attempts=2, source="fallback")
    personal = Ranking(
        ["b", "a", "b"],
        scores=[0.7, 0.2, 0.7],
        promotion_names=[None, "autumn", None],
        metadata=[{"TITLE": "B"}, {"TITLE": "A"}, {"TITLE": "B"}],
        reasons=[["Exploration"], [], []],
        recommendation_id="RID-1",
        info=info,
        degraded=True,
        cause=cause,
    )
    blended = blend(personal, ["x", "a", "b"], 0.5)
    assert blended.item_ids == ("b", "a", "x")
    assert blended.get("a") == personal[1]
    assert blended.get("b") == personal[0]
    found_by_search = blended.get("x")
    assert found_by_search is not None
    assert found_by_search.score is None
    assert (blended.recommendation_id, blended.info, blended.degraded) == ("RID-1", info, True)
    assert type(blended.cause) is ServerError


def test_what_a_filter_took_out_does_not_come_back_and_stays_missing() -> None:
    filtered = Ranking(["c", "b"], scores=[0.6, 0.4], input_list=["a", "b", "c"])
    for weight in (0, 0.5, 1):
        blended = blend(filtered, ["a", "b", "c"], weight)
        assert set(blended.item_ids) == {"b", "c"}
        assert blended.missing == ("a",)


def test_rows_say_where_they_come_from() -> None:
    blended = blend(ranking("b", "a"), ["a", "b", "x"], 0)
    assert [row.rules for row in blended] == [
        ("blended with the search, weight 0: 2 → 1",),
        ("blended with the search, weight 0: 1 → 2",),
        ("blended with the search, weight 0: new at 3",),
    ]


def test_recommendations_are_blended_too() -> None:
    assert type(blend(Recommendations(["b", "a"], scores=[0.6, 0.4]), ["a"], 0.5)) is Recommendations


def test_items_without_any_order_blend_to_nothing() -> None:
    assert blend(ranking(), [], 0.5).item_ids == ()


def test_the_search_order_may_be_an_iterator_or_a_ranking() -> None:
    assert blend(ranking("b", "a"), iter(["a", "b"]), 0).item_ids == ("a", "b")
    assert blend(ranking("b", "a"), ranking("a", "b"), 0).item_ids == ("a", "b")


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan"), float("inf"), True, "0.5", None])
def test_a_weight_outside_0_to_1_is_refused(weight: Any) -> None:
    with pytest.raises(ValidationError, match="from 0") as caught:
        blend(ranking("a"), ["a"], weight)
    assert caught.value.parameter == "weight"


@pytest.mark.parametrize("original", ["tt0111161", b"a", None, 7, ["a", 7]])
def test_an_original_that_is_no_list_of_ids_is_refused(original: Any) -> None:
    with pytest.raises(ValidationError, match="original") as caught:
        blend(ranking("a"), original, 0.5)
    assert caught.value.parameter == "original"

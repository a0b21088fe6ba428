"""How much two orders agree; SciPy is the oracle of the correlations."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.errors import ValidationError
from personalize_rt.notebook.agreement import kendall_tau, rank_biased_overlap, spearman, top_k_overlap
from tests.growth import seconds

PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=30)
LISTS = st.lists(st.sampled_from("abcdefghij"), unique=True)
SHARES = st.floats(0.05, 0.95)


def columns(pairs: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    return [a for a, _ in pairs], [b for _, b in pairs]


def agreement_by_hand(first: list[str], second: list[str], p: float) -> float:
    """RBO as its definition has it: the mean agreement over all depths, those beyond the end as Webber extrapolates."""
    shorter, longer = sorted((first, second), key=len)
    s, l = len(shorter), len(longer)  # noqa: E741 - the paper's names
    total, depth = 0.0, 1
    common_at_s = len({*shorter} & {*longer[:s]})
    while p ** (depth - 1) > 1e-17:
        if depth <= s:
            agreement = len({*shorter[:depth]} & {*longer[:depth]}) / depth
        elif depth <= l:
            agreement = (len({*shorter} & {*longer[:depth]}) + common_at_s * (depth - s) / s) / depth
        else:
            agreement = (len({*shorter} & {*longer}) - common_at_s) / l + common_at_s / s
        total += (1 - p) * p ** (depth - 1) * agreement
        depth += 1
    return total


# Correlations.


@given(PAIRS)
def test_kendall_and_spearman_are_those_of_scipy(pairs: list[tuple[int, int]]) -> None:
    stats = pytest.importorskip("scipy.stats")
    first, second = columns(pairs)
    # SciPy warns of what it cannot say, and says NaN.
    defined = len(pairs) > 1 and len(set(first)) > 1 and len(set(second)) > 1
    if not defined:
        assert kendall_tau(first, second) is None
        assert spearman(first, second) is None
        return
    assert kendall_tau(first, second) == pytest.approx(stats.kendalltau(first, second).statistic, abs=1e-12)
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-12)


@given(st.permutations(list(range(8))))
def test_kendall_counts_pairs(order: list[int]) -> None:
    signs = [1 if order[i] < order[j] else -1 for i in range(8) for j in range(i + 1, 8)]
    assert kendall_tau(list(range(8)), order) == pytest.approx(sum(signs) / len(signs))


def test_the_same_order_is_1_and_the_reverse_is_minus_1() -> None:
    order = list(range(100))
    assert (kendall_tau(order, order), spearman(order, order)) == (1.0, 1.0)
    assert (kendall_tau(order, order[::-1]), spearman(order, order[::-1])) == (-1.0, -1.0)


def test_kendall_does_not_compare_every_pair() -> None:
    def taken(n: int) -> float:
        return seconds(lambda: kendall_tau(list(range(n)), [(k * 7919) % n for k in range(n)]))

    # 16 times as many values: 256 times the pairs, but little more than 16 times the work.
    assert taken(64_000) < 80 * max(taken(4_000), 1e-3)


@pytest.mark.parametrize("measure", [kendall_tau, spearman])
def test_columns_must_be_as_long_and_hold_numbers(measure: Any) -> None:
    with pytest.raises(ValidationError, match="first has 2 values and second 1"):
        measure([1, 2], [1])
    with pytest.raises(ValidationError, match="second holds NaN"):
        measure([1, 2], [1, math.nan])


# Rank-biased overlap.


@given(LISTS, LISTS, SHARES)
def test_rank_biased_overlap_is_its_definition(first: list[str], second: list[str], p: float) -> None:
    if first and second:
        assert rank_biased_overlap(first, second, p) == pytest.approx(agreement_by_hand(first, second, p), abs=1e-9)


def test_rank_biased_overlap_by_hand() -> None:
    # Agreements 0, 1, 2/3 at depths 1, 2, 3, then 2/3 for ever; p = 0.5.
    expected = 0.5 * (0 + 0.5 * 1 + 0.25 * 2 / 3) + 0.125 * 2 / 3
    assert rank_biased_overlap("abc", "bad", 0.5) == pytest.approx(expected)


@given(LISTS, LISTS, SHARES)
def test_rank_biased_overlap_is_symmetric_and_between_0_and_1(first: list[str], second: list[str], p: float) -> None:
    overlap = rank_biased_overlap(first, second, p)
    assert 0 <= overlap <= 1
    assert overlap == rank_biased_overlap(second, first, p)


@given(LISTS, SHARES)
def test_equal_lists_overlap_wholly_and_strangers_not_at_all(items: list[str], p: float) -> None:
    assert rank_biased_overlap(items, items, p) == pytest.approx(1.0)
    if items:
        assert rank_biased_overlap(items, [item.upper() for item in items], p) == 0


def test_the_top_counts_most() -> None:
    items = list("abcdef")
    assert rank_biased_overlap(items, list("abcdfe")) > rank_biased_overlap(items, list("bacdef"))


def test_an_empty_list_has_nothing_in_common_with_another() -> None:
    assert rank_biased_overlap([], []) == 1
    assert rank_biased_overlap([], ["a"]) == rank_biased_overlap(["a"], []) == 0


@pytest.mark.parametrize("p", [0, 1, 1.5, -0.1, math.nan, True, "0.9", None])
def test_a_patience_outside_0_and_1_is_refused(p: Any) -> None:
    with pytest.raises(ValidationError, match="between 0 and 1") as caught:
        rank_biased_overlap(["a"], ["a"], p)
    assert caught.value.parameter == "p"


# Top k.


@pytest.mark.parametrize(
    ("first", "second", "k", "share"),
    [
        ("abcd", "badc", 2, 1.0),
        ("abcd", "acbd", 2, 0.5),
        ("abcd", "abcd", 10, 1.0),
        ("ab", "abcd", 10, 0.5),
        ("abc", "xyz", 3, 0.0),
        ("", "", 5, 1.0),
        ("", "a", 5, 0.0),
        ("aab", "ab", 2, 1.0),
    ],
)
def test_top_k_overlap(first: str, second: str, k: int, share: float) -> None:
    assert top_k_overlap(first, second, k) == share
    assert top_k_overlap(second, first, k) == share


@pytest.mark.parametrize("k", [0, -1, 1.5, True, None])
def test_a_k_below_1_is_refused(k: Any) -> None:
    with pytest.raises(ValidationError, match="k must be a whole number from 1") as caught:
        top_k_overlap("a", "a", k)
    assert caught.value.parameter == "k"

"""The metrics of one list: the guide's worked examples, and pytrec_eval as the oracle."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.errors import ValidationError
from personalize_rt.metrics import coverage, normalized_discounted_cumulative_gain, precision, reciprocal_rank

ITEMS = [f"i{n:02}" for n in range(40)]
RANKED = st.lists(st.sampled_from(ITEMS), unique=True, max_size=40)
RELEVANT = st.sets(st.sampled_from(ITEMS))


def with_hits(*positions: int, length: int = 10) -> tuple[list[str], set[str]]:
    """A list whose relevant items stand at these positions."""
    ranked = [f"i{position}" for position in range(1, length + 1)]
    return ranked, {f"i{position}" for position in positions}


def trec(measure: str, ranked: list[str], relevant: set[str]) -> float:
    """What trec_eval says of one query."""
    pytrec_eval: Any = pytest.importorskip("pytrec_eval")
    judged = {"q": dict.fromkeys(sorted(relevant), 1) | {"an item that nobody finds": 0}}
    evaluator = pytrec_eval.RelevanceEvaluator(judged, {measure})
    run = {item: float(len(ranked) - place) for place, item in enumerate(ranked)} or {"nothing": 1.0}
    (found,) = evaluator.evaluate({"q": run})["q"].values()
    return float(found)


# The guide's worked examples (service.md section 9).


def test_the_guides_example_of_the_mean_reciprocal_rank() -> None:
    ranks = [reciprocal_rank(*with_hits(first)) for first in (4, 2, 6)]
    assert ranks == [1 / 4, 1 / 2, 1 / 6]
    assert round(sum(ranks) / 3, 4) == 0.3056


def test_the_guides_example_of_the_discounted_gain() -> None:
    gain = normalized_discounted_cumulative_gain(*with_hits(2, 5), 5)
    expected = (1 / math.log(3) + 1 / math.log(6)) / (1 / math.log(2) + 1 / math.log(3))
    assert gain == pytest.approx(expected)
    assert round(gain, 4) == 0.6241
    assert round(gain, 5) == 0.62405


def test_the_guides_example_of_precision() -> None:
    assert precision(*with_hits(2, 5), 5) == 0.4


# The rules behind them.


def test_a_first_hit_beyond_25_counts_for_nothing() -> None:
    assert reciprocal_rank(*with_hits(25, length=30)) == 1 / 25
    assert reciprocal_rank(*with_hits(26, length=30)) == 0


def test_precision_divides_by_k_however_short_the_list_is() -> None:
    assert precision(["a"], {"a"}, 5) == 0.2


def test_the_services_ideal_counts_the_hits_found_and_the_other_all_relevant_items() -> None:
    ranked, relevant = ["a", "x", "y"], {"a", "b", "c"}
    assert normalized_discounted_cumulative_gain(ranked, relevant, 5) == 1
    best = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert normalized_discounted_cumulative_gain(ranked, relevant, 5, ideal="all") == pytest.approx(1 / best)


def test_hits_beyond_k_are_not_part_of_the_ideal() -> None:
    assert normalized_discounted_cumulative_gain(["x", "a", "b"], {"a", "b"}, 2) == pytest.approx(1 / math.log2(3))


def test_a_repeated_item_is_a_hit_once_and_takes_its_places() -> None:
    assert precision(["a", "a", "b"], {"a", "b"}, 3) == pytest.approx(2 / 3)
    assert reciprocal_rank(["x", "x", "a"], {"a"}) == 1 / 3


@pytest.mark.parametrize(("ranked", "relevant"), [([], {"a"}), (["a"], set()), (["a"], {"b"}), ([], set())])
def test_nothing_found_is_0_and_never_nan(ranked: list[str], relevant: set[str]) -> None:
    assert reciprocal_rank(ranked, relevant) == 0
    assert precision(ranked, relevant, 5) == 0
    for ideal in ("found", "all"):
        assert normalized_discounted_cumulative_gain(ranked, relevant, 5, ideal=ideal) == 0


# The oracle.


@given(RANKED, RELEVANT)
def test_the_reciprocal_rank_is_that_of_trec_eval(ranked: list[str], relevant: set[str]) -> None:
    assert reciprocal_rank(ranked, relevant) == pytest.approx(trec("recip_rank", ranked[:25], relevant))


@given(RANKED, RELEVANT, st.sampled_from([5, 10]))
def test_precision_is_that_of_trec_eval(ranked: list[str], relevant: set[str], k: int) -> None:
    assert precision(ranked, relevant, k) == pytest.approx(trec(f"P_{k}", ranked, relevant))


@given(RANKED, RELEVANT, st.sampled_from([5, 10]))
def test_the_gain_with_the_ideal_of_all_is_that_of_trec_eval(ranked: list[str], relevant: set[str], k: int) -> None:
    gain = normalized_discounted_cumulative_gain(ranked, relevant, k, ideal="all")
    assert gain == pytest.approx(trec(f"ndcg_cut_{k}", ranked, relevant))


@given(RANKED, RELEVANT, st.sampled_from([1, 5, 10, 25]))
def test_the_services_gain_is_never_below_the_other_one(ranked: list[str], relevant: set[str], k: int) -> None:
    found = normalized_discounted_cumulative_gain(ranked, relevant, k)
    assert 0 <= normalized_discounted_cumulative_gain(ranked, relevant, k, ideal="all") <= found <= 1


# Coverage.


def test_coverage_is_the_share_of_the_catalogue_that_is_recommended() -> None:
    assert coverage(["a", "b", "a"], ["a", "b", "c", "d"]) == 0.5
    assert coverage([], ["a"]) == 0


def test_what_is_not_in_the_catalogue_does_not_count() -> None:
    assert coverage(["x", "y", "a"], {"a", "b"}) == 0.5


def test_an_empty_catalogue_is_refused() -> None:
    with pytest.raises(ValidationError, match="catalogue is empty") as caught:
        coverage(["a"], [])
    assert caught.value.parameter == "catalogue"


# Bad input.


@pytest.mark.parametrize("k", [0, -1, 2.5, True, None])
def test_a_k_below_1_is_refused(k: Any) -> None:
    for measure in (reciprocal_rank, precision, normalized_discounted_cumulative_gain):
        with pytest.raises(ValidationError, match="k must be a whole number from 1") as caught:
            measure(["a"], {"a"}, k)
        assert caught.value.parameter == "k"


@pytest.mark.parametrize(("name", "ranked", "relevant"), [("ranked", "ab", {"a"}), ("relevant", ["a"], "ab")])
def test_a_bare_str_is_refused(name: str, ranked: Any, relevant: Any) -> None:
    with pytest.raises(ValidationError, match=f"{name} is a str of 2 characters") as caught:
        precision(ranked, relevant, 5)
    assert caught.value.parameter == name


def test_another_ideal_is_refused() -> None:
    unknown: Any = "best"
    with pytest.raises(ValidationError, match="ideal"):
        normalized_discounted_cumulative_gain(["a"], {"a"}, 5, ideal=unknown)

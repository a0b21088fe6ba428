"""Rewards, event weights, trends and segments: worked examples of the guide, and other definitions as the oracle."""

from __future__ import annotations

from math import log
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.errors import ValidationError
from personalize_rt.interactions import Interaction
from personalize_rt.metrics import (
    Split,
    average_rewards,
    evaluate,
    hit,
    measure,
    measure_segments,
    normalized_discounted_cumulative_gain,
    normalized_discounted_cumulative_gain_with_event_weights,
    recall,
    trend_prediction_accuracy,
)
from personalize_rt.results import Recommendations
from tests.optional import optional

weighted = normalized_discounted_cumulative_gain_with_event_weights
LETTERS = "abcdefgh"
RANKED = st.lists(st.sampled_from(LETTERS), unique=True, max_size=8)
WEIGHTS = {"purchase": 0.3, "click": 0.1}


# Event weights.


def test_the_guides_example_of_rewards_by_event_weights() -> None:
    future = [Interaction("u", "bought", 1, "purchase"), Interaction("u", "clicked", 2, "click")]
    rewards = Split([], future).rewards(WEIGHTS)
    assert rewards == {"u": {"bought": pytest.approx(1.5), "clicked": pytest.approx(0.5)}}
    # Only the ratio of weights matters (guide, "Optimizing a solution with events configuration").
    assert Split([], future).rewards({"purchase": 0.6, "click": 0.2}) == rewards


def test_the_highest_event_with_an_item_counts_and_types_without_a_weight_do_not() -> None:
    kinds = ["click", "purchase", "click"]
    future = [Interaction("u", "a", n, kind) for n, kind in enumerate(kinds)]
    future += [Interaction("u", "b", 9, "view"), Interaction("v", "b", 9)]
    assert Split([], future).rewards(WEIGHTS) == {"u": {"a": pytest.approx(1.5)}, "v": {}}


@pytest.mark.parametrize("weights", [{}, {"click": 0}, {"click": -1, "buy": 2}, {"click": float("nan")}, {"a": "1"}])
def test_weights_are_numbers_and_not_all_zero(weights: Any) -> None:
    with pytest.raises(ValidationError):
        Split([], []).rewards(weights)


def test_the_gain_with_event_weights_prefers_the_heavy_event_first() -> None:
    rewards = {"bought": 1.5, "clicked": 0.5}
    assert weighted(["bought", "clicked"], rewards, 5) == 1
    expected = (0.5 / log(2) + 1.5 / log(3)) / (1.5 / log(2) + 0.5 / log(3))
    assert weighted(["clicked", "bought"], rewards, 5) == pytest.approx(expected)
    assert weighted(["clicked"], rewards, 5) == 1
    all_of_them = (0.5 / log(2)) / (1.5 / log(2) + 0.5 / log(3))
    assert weighted(["clicked"], rewards, 5, ideal="all") == pytest.approx(all_of_them)


@given(RANKED, st.sets(st.sampled_from(LETTERS)), st.integers(1, 9), st.sampled_from(["found", "all"]))
def test_equal_weights_are_the_plain_gain(ranked: list[str], relevant: set[str], k: int, ideal: Any) -> None:
    plain = normalized_discounted_cumulative_gain(ranked, relevant, k, ideal=ideal)
    assert weighted(ranked, dict.fromkeys(relevant, 1.0), k, ideal=ideal) == pytest.approx(plain)
    assert weighted(ranked, dict.fromkeys(relevant, 7.0), k, ideal=ideal) == pytest.approx(plain)


@given(RANKED, st.dictionaries(st.sampled_from(LETTERS), st.integers(0, 9), min_size=1), st.integers(1, 9))
def test_the_gain_with_all_in_the_ideal_is_that_of_trec_eval(
    ranked: list[str], rewards: dict[str, int], k: int
) -> None:
    pytrec_eval: Any = optional("pytrec_eval")
    evaluator = pytrec_eval.RelevanceEvaluator({"q": rewards}, {f"ndcg_cut.{k}"})
    run = {item: float(len(ranked) - place) for place, item in enumerate(ranked)} or {"nothing": 1.0}
    (found,) = evaluator.evaluate({"q": run})["q"].values()
    assert weighted(ranked, {item: float(reward) for item, reward in rewards.items()}, k, ideal="all") == (
        pytest.approx(found)
    )


# Rewards of an objective.


def test_average_rewards_are_those_of_the_dearest_recommendations_as_a_part_of_all() -> None:
    ranked = [f"i{n}" for n in range(40)]
    prices = {f"i{n}": float(n) for n in range(40)}  # the 25 dearest are i15 to i39
    assert average_rewards(ranked, {"i5", "i20"}, prices) == 20 / 25
    assert average_rewards(ranked, {"i20", "i30"}, prices) == 1
    assert average_rewards(ranked, {"i5"}, prices) == 0
    assert average_rewards(ranked, {"elsewhere"}, prices) == 0
    assert average_rewards(ranked, {"i5", "i20"}, prices, 40) == 1


@given(RANKED, st.sets(st.sampled_from(LETTERS)), st.dictionaries(st.sampled_from(LETTERS), st.integers(0, 5)))
def test_average_rewards_are_a_part_and_never_nan(ranked: list[str], relevant: set[str], prices: Any) -> None:
    for k in (1, 3, 8):
        dearest = sorted(ranked, key=lambda item: prices.get(item, 0), reverse=True)[:k]
        all_of_them = sum(prices.get(item, 0) for item in ranked if item in relevant)
        part = sum(prices.get(item, 0) for item in dearest if item in relevant)
        expected = part / all_of_them if all_of_them else 0
        assert average_rewards(ranked, relevant, prices, k) == pytest.approx(expected)


def test_with_rewards_and_weights_the_table_has_the_services_names() -> None:
    asked: list[int | None] = []

    class Campaign:
        def recommend(self, user_id: str | None = None, *, num_results: int | None = None) -> Recommendations:
            asked.append(num_results)
            return Recommendations(["a", "b"], scores=[0.6, 0.4])

    split = Split([Interaction("u", "x", 0)], [Interaction("u", "b", 1, "purchase"), Interaction("u", "a", 2, "click")])
    metrics = evaluate(Campaign(), split, rewards={"a": 1.0}, event_weights=WEIGHTS)
    assert asked == [500]
    assert list(metrics)[8:] == [
        "average_rewards_at_k",
        *(f"normalized_discounted_cumulative_gain_with_event_weights_at_{k}" for k in (5, 10, 25)),
    ]
    assert metrics["average_rewards_at_k"] == 1
    expected = weighted(["a", "b"], {"a": 0.5, "b": 1.5}, 5)
    assert metrics["normalized_discounted_cumulative_gain_with_event_weights_at_5"] == pytest.approx(expected)
    assert expected < 1


@pytest.mark.parametrize("rewards", [{"a": -1}, {"a": float("inf")}, {"a": "1"}, {"a": None}])
def test_a_reward_is_a_number(rewards: Any) -> None:
    with pytest.raises(ValidationError, match="rewards"):
        measure({"u": ["a"]}, {"u": {"a"}}, catalogue=["a"], rewards=rewards)
    with pytest.raises(ValidationError, match="rewards"):
        weighted(["a"], rewards, 5)


# Trends.


def test_trend_prediction_accuracy_is_the_found_part_of_the_increase() -> None:
    increase = {"a": 10, "b": 6, "c": 4, "d": -5}
    assert trend_prediction_accuracy(["a", "c"], increase) == 14 / 20
    assert trend_prediction_accuracy(["a", "b", "c"], increase) == 1
    assert trend_prediction_accuracy(["c", "a"], increase, 1) == 4 / 10
    assert trend_prediction_accuracy(["d"], increase) == 0
    assert trend_prediction_accuracy(["a"], {"a": -1}) == 0


def test_the_increase_is_from_one_span_to_the_next_which_is_the_last() -> None:
    events = [Interaction("u", item, t) for item, t in [("a", 0), ("b", 100), ("a", 150), ("c", 160), ("c", 200)]]
    assert Split(events[:3], events[3:]).increase(60) == {"b": -1, "a": 1, "c": 2}
    with pytest.raises(ValidationError):
        Split(events, []).increase(0)


# Segments.


def test_hits_and_recall_of_segments_are_means_over_them() -> None:
    users = [f"u{n}" for n in range(300)]  # the top 1 % are 3
    answers = {"film": ["u1", "u2", "u3", "u4"], "song": ["u5", "u6", "u7"], "unmet": ["u8"]}
    relevant = {"film": {"u1", "u3", "u4", "u9"}, "song": {"u7"}, "unmet": set[str]()}
    metrics = measure_segments(answers, relevant, users=users)
    assert dict(metrics) == {
        "coverage": 6 / 300,
        "hit_at_k": (2 + 1) / 2,
        "recall_at_k": (2 / 4 + 1 / 1) / 2,
    }
    assert measure_segments(answers, relevant, users=users, k=4)["hit_at_k"] == (3 + 1) / 2
    assert measure_segments({"film": ["u1"]}, {"film": {"u1"}}, users=["u1"])["hit_at_k"] == 1  # at least one


@given(RANKED, st.sets(st.sampled_from(LETTERS)), st.integers(1, 9))
def test_recall_is_that_of_sets(ranked: list[str], relevant: set[str], k: int) -> None:
    found = set(ranked[:k]) & relevant
    assert hit(ranked, relevant, k) == len(found)
    assert recall(ranked, relevant, k) == (len(found) / len(relevant) if relevant else 0)


@pytest.mark.parametrize(
    ("answers", "relevant", "options"),
    [({}, {}, {}), ({}, {"film": {"u"}}, {}), ({"film": ["u"]}, {"film": {"u"}}, {"k": 0})],
)
def test_segments_that_cannot_be_measured_are_refused(answers: Any, relevant: Any, options: Any) -> None:
    with pytest.raises(ValidationError):
        measure_segments(answers, relevant, users=["u"], **options)

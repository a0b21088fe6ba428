"""The metrics of actions: the guide's worked examples, and brute force as the oracle."""

from __future__ import annotations

from itertools import product
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.errors import ValidationError
from personalize_rt.interactions import Interaction
from personalize_rt.local import LocalPersonalize
from personalize_rt.metrics import Split, area_under_the_curve, evaluate, measure_actions, temporal_split
from personalize_rt.results import ActionRecommendations

NAMES = [
    "coverage",
    "normalized_discounted_cumulative_gain_at_5",
    "normalized_discounted_cumulative_gain_at_10",
    "normalized_discounted_cumulative_gain_at_25",
    "precision",
    "recall",
    "auc",
]
ACTIONS = ["call", "mail", "gift"]


def test_the_guides_example_of_the_precision_of_an_action() -> None:
    # Recommended to 100 users, of whom 60 took it: 60 / 100.
    answers = {f"u{n}": ["call"] for n in range(100)}
    taken = {f"u{n}": {"call"} if n < 60 else set[str]() for n in range(100)}
    assert measure_actions(answers, taken, catalogue=["call"])["precision"] == 0.6


def test_the_guides_example_of_the_recall_of_an_action() -> None:
    # 100 users took it, and 50 of them were predicted to: 50 / 100.
    answers = {f"u{n}": ["call"] if n < 50 else ["mail"] for n in range(100)}
    taken = {f"u{n}": {"call"} for n in range(100)}
    assert measure_actions(answers, taken, catalogue=["call", "mail"])["recall"] == 0.5


def test_precision_and_recall_are_means_over_actions() -> None:
    answers = {"u": ["call", "mail"], "v": ["call"], "w": ["gift"]}
    taken = {"u": {"call", "mail"}, "v": {"mail"}, "w": set[str]()}
    metrics = measure_actions(answers, taken, catalogue=[*ACTIONS, "trial"])
    assert list(metrics) == NAMES
    assert metrics["precision"] == pytest.approx((1 / 2 + 1 / 1 + 0 / 1) / 3)  # trial was never recommended
    assert metrics["recall"] == pytest.approx((1 / 1 + 1 / 2) / 2)  # nobody took gift or trial
    assert metrics["coverage"] == 3 / 4
    assert metrics.users == 3


def test_only_the_first_count_as_recommended() -> None:
    answers, taken = {"u": ACTIONS}, {"u": {"gift"}}
    assert measure_actions(answers, taken, catalogue=ACTIONS)["recall"] == 1
    two = measure_actions(answers, taken, catalogue=ACTIONS, recommended=2)
    assert (two["recall"], two["precision"], two["coverage"]) == (0, 0, 2 / 3)


def test_the_gain_is_over_users_who_took_an_action() -> None:
    metrics = measure_actions({"u": ["call", "mail"], "v": ["call"]}, {"u": {"call"}, "v": set()}, catalogue=ACTIONS)
    assert metrics["normalized_discounted_cumulative_gain_at_5"] == 1


@given(st.lists(st.tuples(st.sampled_from([-inf, 0.0, 0.25, 0.5, 1.0]), st.booleans()), max_size=20))
def test_the_area_under_the_curve_is_the_chance_of_the_right_order(pairs: list[tuple[float, bool]]) -> None:
    right = [score for score, is_right in pairs if is_right]
    wrong = [score for score, is_right in pairs if not is_right]
    chances = [1.0 if good > bad else 0.5 if good == bad else 0.0 for good, bad in product(right, wrong)]
    expected = sum(chances) / len(chances) if chances else 0.5
    assert area_under_the_curve(pairs) == pytest.approx(expected)


def test_the_area_counts_propensities_of_all_users_and_what_was_not_offered_as_lowest() -> None:
    answers = {
        "u": ActionRecommendations(["call", "mail"], scores=[0.9, 0.1]),
        "v": ActionRecommendations(["mail", "gift"], scores=[0.5, 0.3]),
    }
    metrics = measure_actions(answers, {"u": {"call"}, "v": {"gift"}}, catalogue=ACTIONS)
    # Right: .9, .3; wrong: .1, none, none, .5. All but .3 against .5 are in the right order.
    assert metrics["auc"] == 7 / 8


def test_without_scores_the_place_is_the_score() -> None:
    assert measure_actions({"u": ["call", "mail"]}, {"u": {"call"}}, catalogue=["call", "mail"])["auc"] == 1
    assert measure_actions({"u": ["mail", "call"]}, {"u": {"call"}}, catalogue=["call", "mail"])["auc"] == 0
    unscored = ActionRecommendations(["mail", "call"], scores=[None, None])
    assert measure_actions({"u": unscored}, {"u": {"call"}}, catalogue=["call", "mail"])["auc"] == 0


@pytest.mark.parametrize(
    ("answers", "taken", "options"),
    [
        ({"u": []}, {}, {}),
        ({"u": []}, {"u": set()}, {}),
        ({}, {"u": {"call"}}, {}),
        ({"u": []}, {"u": {"call"}}, {"recommended": 0}),
        ({"u": "call"}, {"u": {"call"}}, {}),
    ],
)
def test_what_cannot_be_measured_is_refused(answers: Any, taken: Any, options: Any) -> None:
    with pytest.raises(ValidationError):
        measure_actions(answers, taken, catalogue=ACTIONS, **options)


# Asking a model.


def test_a_campaign_of_actions_is_evaluated() -> None:
    local = LocalPersonalize.sample()
    split = temporal_split(local.action_interactions)
    metrics = evaluate(
        local.runtime(), split, kind="actions", campaign_arn=local.campaign_arn("offers"), catalogue=local.action_rows
    )
    assert list(metrics) == NAMES
    assert metrics.users == len(split.relevant)
    assert all(0 <= value <= 1 for value in metrics.values())
    # It has learned from these events, so it knows better than chance.
    assert metrics["auc"] > 0.5
    assert metrics == evaluate(
        local.runtime().campaign(local.campaign_arn("offers")), split, kind="actions", catalogue=local.action_rows
    )


def test_all_actions_are_asked_for_and_only_taken_ones_are_right() -> None:
    asked: list[Any] = []

    class Offers:
        def actions(self, user_id: str, *, num_results: int | None = None) -> ActionRecommendations:
            asked.append((user_id, num_results))
            return ActionRecommendations(["call", "mail"], scores=[0.9, 0.2])

    future = [
        Interaction("u", "call", 2, "TAKEN"),
        Interaction("u", "mail", 3, "NOT_TAKEN"),
        Interaction("v", "mail", 4, "Viewed"),
        Interaction("w", "mail", 4, "Taken"),
    ]
    split = Split([], future)
    assert split.taken == {"u": {"call"}, "v": set(), "w": {"mail"}}
    metrics = evaluate(Offers(), split, kind="actions")
    assert asked == [("u", 100), ("v", 100), ("w", 100)]
    assert metrics["precision"] == pytest.approx((1 / 3 + 1 / 3) / 2)


def test_a_function_of_actions_may_give_ids() -> None:
    split = Split([], [Interaction("u", "call", 2)])
    assert evaluate(lambda user: ["call"], split, kind="actions")["precision"] == 1


def test_what_does_not_go_with_actions_is_refused() -> None:
    split = Split([], [Interaction("u", "call", 2)])
    offers = ActionRecommendations(["call"], scores=[0.5])
    with pytest.raises(ValidationError, match='kind="actions"'):
        evaluate(lambda user: offers, split)
    with pytest.raises(ValidationError, match="items only"):
        evaluate(lambda user: offers, split, kind="actions", rewards={})

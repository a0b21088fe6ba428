"""The reply of GetSolutionMetrics, by the recipe."""

from __future__ import annotations

from typing import Any

import pytest

from personalize_rt.errors import ValidationError
from personalize_rt.interactions import Interaction
from personalize_rt.local import LocalPersonalize
from personalize_rt.local.recipes import BATCH_ONLY, RECIPES
from personalize_rt.metrics import Split, evaluate, solution_metrics, temporal_split
from personalize_rt.metrics.solution import _KINDS
from personalize_rt.results import Recommendations

GAINS = [f"normalized_discounted_cumulative_gain_at_{k}" for k in (5, 10, 25)]
ITEMS = ["coverage", "mean_reciprocal_rank_at_25", *GAINS, *(f"precision_at_{k}" for k in (5, 10, 25))]


@pytest.fixture(scope="module")
def local() -> LocalPersonalize:
    return LocalPersonalize.sample()


def test_each_recipe_that_needs_an_item_is_asked_with_one() -> None:
    wanted = {name for name, recipe in RECIPES.items() if "itemId" in recipe.requires}
    assert {name for name, kind in _KINDS.items() if kind == "related-items"} == wanted


@pytest.mark.parametrize(
    ("campaign", "recipe"),
    [
        ("movies-for-you", "aws-user-personalization"),
        ("popular-movies", "arn:aws:personalize:::recipe/aws-popularity-count"),
        ("similar-movies", "aws-similar-items"),
        ("movies-ranking", "aws-personalized-ranking"),
    ],
)
def test_a_recipe_of_items_has_the_metrics_of_items(local: LocalPersonalize, campaign: str, recipe: str) -> None:
    split = temporal_split(local.interactions, test_users=0.1)
    arn = local.campaign_arn(campaign)
    metrics = solution_metrics(local.runtime(), split, recipe=recipe, campaign_arn=arn, catalogue=list(local.items))
    assert type(metrics) is dict
    assert list(metrics) == ITEMS
    assert all(0 <= value <= 1 and round(value, 4) == value for value in metrics.values())
    assert metrics["mean_reciprocal_rank_at_25"] > 0


def test_a_recipe_of_actions_has_the_metrics_of_actions(local: LocalPersonalize) -> None:
    split = temporal_split(local.action_interactions)
    arn = local.campaign_arn("offers")
    metrics = solution_metrics(local.runtime(), split, recipe="aws-next-best-action", campaign_arn=arn)
    assert list(metrics) == ["coverage", *GAINS, "precision", "recall", "auc"]


def test_an_objective_and_event_weights_add_theirs(local: LocalPersonalize) -> None:
    split = temporal_split(local.interactions, test_users=0.1)
    metrics = solution_metrics(
        local.runtime(),
        split,
        recipe="aws-user-personalization-v2",
        campaign_arn=local.campaign_arn("movies-for-you"),
        rewards=dict.fromkeys(local.items, 1.0),
        event_weights={"Watch": 1},
    )
    names = [f"normalized_discounted_cumulative_gain_with_event_weights_at_{k}" for k in (5, 10, 25)]
    assert list(metrics) == [*ITEMS, "average_rewards_at_k", *names]
    assert 0 < metrics["average_rewards_at_k"] <= 1


def test_trending_now_has_its_accuracy() -> None:
    past = [Interaction("u", "old", 0), Interaction("v", "a", 50)]
    split = Split(past, [Interaction("u", "a", 100), Interaction("v", "b", 101), Interaction("w", "a", 102)])
    metrics = solution_metrics(lambda user: ["a"], split, recipe="aws-trending-now", trend_seconds=40)
    # From one event before to two: +1; b: +1.
    assert list(metrics) == [*ITEMS, "trend_prediction_accuracy"]
    assert metrics["trend_prediction_accuracy"] == 0.5


def test_semantic_similarity_has_popularity_freshness_and_similarity() -> None:
    past = [Interaction("u", "a", 1), Interaction("u", "b", 2), Interaction("v", "a", 3)]
    split = Split(past, [Interaction("u", "c", 4), Interaction("v", "c", 5)])
    asked: list[str] = []

    def similar(item: str) -> list[str]:
        asked.append(item)
        return ["c"]

    metrics = solution_metrics(
        similar,
        split,
        recipe="aws-semantic-similarity",
        categories={"a": "X", "b": "X|Y", "c": "X"},
        created={"a": 1, "c": 2},
    )
    assert asked == ["b", "a"]  # the latest of each user
    assert list(metrics) == [*ITEMS, "item_popularity", "item_similarity", "item_freshness"]
    assert (metrics["item_popularity"], metrics["item_similarity"], metrics["item_freshness"]) == (0, 0.75, 0.5)


def test_related_items_are_asked_for_with_user_and_latest_item() -> None:
    asked: list[Any] = []

    class Similar:
        def recommend(self, user_id: Any = None, *, item_id: Any = None, num_results: Any = None) -> Recommendations:
            asked.append((user_id, item_id, num_results))
            return Recommendations(["b"], scores=[None])

    split = Split([Interaction("u", "x", 2), Interaction("u", "a", 1)], [Interaction(user, "b", 3) for user in "uv"])
    metrics = evaluate(Similar(), split, kind="related-items")
    assert asked == [("u", "x", 25)]
    assert metrics["mean_reciprocal_rank_at_25"] == 0.5  # v has no item to be related to
    with pytest.raises(ValidationError, match="candidates"):
        evaluate(Similar(), split, kind="related-items", candidates=["a"])
    with pytest.raises(ValidationError, match="no related items"):
        evaluate(5, split, kind="related-items")  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="kind must be"):
        evaluate(Similar(), split, kind="related")  # type: ignore[arg-type]


@pytest.mark.parametrize("recipe", BATCH_ONLY)
def test_recipes_of_segments_say_how_they_are_measured(recipe: str) -> None:
    with pytest.raises(ValidationError, match="measure_segments"):
        solution_metrics(lambda user: [], Split([], []), recipe=f"arn:aws:personalize:::recipe/{recipe}")

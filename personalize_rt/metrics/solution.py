"""The reply of GetSolutionMetrics for a recipe: its metrics, by its names."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from personalize_rt.errors import ValidationError
from personalize_rt.limits import Limits
from personalize_rt.metrics.beyond import beyond_accuracy
from personalize_rt.metrics.evaluation import MOST, Kind, Model, ask, ids_of, measured, popular
from personalize_rt.metrics.measures import trend_prediction_accuracy
from personalize_rt.metrics.split import Split
from personalize_rt.metrics.table import LONGEST

__all__ = ["solution_metrics"]

_KINDS: Mapping[str, Kind] = {
    "aws-next-best-action": "actions",
    "aws-sims": "related-items",
    "aws-similar-items": "related-items",
    "aws-semantic-similarity": "related-items",
    # Use cases of domains that require an item.
    "aws-vod-because-you-watched-x": "related-items",
    "aws-vod-more-like-x": "related-items",
    "aws-ecomm-frequently-bought-together": "related-items",
    "aws-ecomm-customers-who-viewed-x-also-viewed": "related-items",
}
_RANKING = "aws-personalized-ranking"
_SEGMENTS = ("aws-item-affinity", "aws-item-attribute-affinity")
_TRENDING = "trending-now"
_SEMANTIC = "aws-semantic-similarity"
# Those of the service's examples.
_DECIMALS = 4
# The service's default of trend discovery frequency (guide, Trending-Now recipe).
_TWO_HOURS = 7_200.0


def solution_metrics(
    model: Model,
    split: Split,
    *,
    recipe: str,
    campaign_arn: str | None = None,
    recommender_arn: str | None = None,
    catalogue: Collection[str] | None = None,
    candidates: Collection[str] | None = None,
    rewards: Mapping[str, float] | None = None,
    event_weights: Mapping[str, float] | None = None,
    categories: Mapping[str, str | Collection[str]] | None = None,
    created: Mapping[str, float] | None = None,
    trend_seconds: float = _TWO_HOURS,
    progress: bool | None = False,
) -> dict[str, float]:
    """The metrics that GetSolutionMetrics reports for a solution version of a recipe, rounded to four decimals.

    The model should have learned from ``split.past`` alone, as the service's does.

    Args:
        model: A campaign or recommender, a runtime together with an ARN, or a function; see :func:`evaluate`.
        split: The split of the events, for Next-Best-Action of those with actions; the service's is
            ``temporal_split(events, test_users=0.1)``.
        recipe: The name of the recipe or use case (``"aws-user-personalization-v2"``), or its ARN.
        campaign_arn: The campaign to ask, when ``model`` is a runtime.
        recommender_arn: The recommender to ask, likewise.
        catalogue: The items or actions of which coverage is the share; by default those of the split.
        candidates: The items to rank, which a recipe of personalized ranking has to be given; by default the 500 with
            the most past events.
        rewards: Item id to its value in the column of the optimization objective, if the solution has one.
        event_weights: Event type to weight, if the solution's ``eventsConfig`` has any.
        categories: The categories of items, for ``item_similarity`` of Semantic-Similarity.
        created: The creation times of items, for ``item_freshness`` of Semantic-Similarity.
        trend_seconds: The trend discovery frequency, for Trending-Now.
        progress: Whether to show a bar.

    Returns:
        Name to value, as in ``metrics`` of the reply.

    Raises:
        ValidationError: Nothing can be predicted, or the recipe is one of user segmentation, which has no campaign; see
            :func:`measure_segments`.
        PersonalizeError: A call of the model failed.
    """
    name = recipe.rpartition("/")[2]
    if name in _SEGMENTS:
        raise ValidationError(
            f"{name} has no campaign to ask: measure the output of a batch segment job with measure_segments()",
            parameter="recipe",
        )
    kind = _KINDS.get(name, "items")
    if name.startswith(_RANKING) and candidates is None:
        candidates = popular(split, Limits().input_list)
    answers = ask(
        model,
        split,
        kind=kind,
        campaign_arn=campaign_arn,
        recommender_arn=recommender_arn,
        candidates=candidates,
        most=LONGEST if rewards is None else MOST,
        progress=progress,
    )
    values = dict(measured(answers, split, kind, catalogue=catalogue, rewards=rewards, event_weights=event_weights))
    if name.endswith(_TRENDING):
        trending = ids_of(next(iter(answers.values())))
        values["trend_prediction_accuracy"] = trend_prediction_accuracy(trending, split.increase(trend_seconds))
    if name == _SEMANTIC:
        lists = {user: ids_of(answer) for user, answer in answers.items()}
        more = beyond_accuracy(lists, split.past, categories=categories, created=created, seeds=split.latest)
        values |= {metric: value for metric, value in more.items() if metric.startswith("item_")}
    return {metric: round(value, _DECIMALS) for metric, value in values.items()}

"""The recipes as DescribeRecipe and ListRecipes tell them.

The algorithm and the feature transformation are named as in the examples of the API reference; they are no resources
here. All recipes are as old as the service's general availability.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from personalize_rt.local.recipes import BATCH_ONLY, RECIPES

__all__ = ["RECIPE_ROWS", "recipe_arn"]

_CREATED = 1_560_124_800.0  # 10 June 2019
# By service.md section 3.2, types of recipes.
_TYPES = {
    "aws-popularity-count": "POPULAR_ITEMS",
    "aws-trending-now": "POPULAR_ITEMS",
    "aws-personalized-ranking": "PERSONALIZED_RANKING",
    "aws-personalized-ranking-v2": "PERSONALIZED_RANKING",
    "aws-similar-items": "RELATED_ITEMS",
    "aws-sims": "RELATED_ITEMS",
    "aws-semantic-similarity": "RELATED_ITEMS",
    "aws-next-best-action": "PERSONALIZED_ACTIONS",
    **dict.fromkeys(BATCH_ONLY, "USER_SEGMENTATION"),
}


def recipe_arn(name: str) -> str:
    """The ARN of a recipe or use case."""
    return f"arn:aws:personalize:::recipe/{name}"


def _row(name: str, domain: str | None) -> dict[str, Any]:
    use = "use case" if domain else "recipe"
    return {
        "name": name,
        "recipeArn": recipe_arn(name),
        "algorithmArn": f"arn:aws:personalize:::algorithm/{name}",
        "featureTransformationArn": "arn:aws:personalize:::feature-transformation/JSON-percentile-filtering",
        "status": "ACTIVE",
        "description": f"The {use} {name}, as the embedded Personalize has it.",
        "creationDateTime": _CREATED,
        "recipeType": _TYPES.get(name, "USER_PERSONALIZATION") if domain is None else _type_of(name),
        "lastUpdatedDateTime": _CREATED,
        **({"domain": domain} if domain else {}),
    }


def _type_of(use_case: str) -> str:
    """The type of a use case, which the guide does not tell: by the input that it needs."""
    return "RELATED_ITEMS" if "itemId" in RECIPES[use_case].requires else "USER_PERSONALIZATION"


RECIPE_ROWS: Mapping[str, Mapping[str, Any]] = {
    recipe_arn(name): _row(name, domain)
    for name, domain in (
        *((recipe.name, recipe.domain) for recipe in RECIPES.values()),
        *((name, None) for name in BATCH_ONLY),
    )
}

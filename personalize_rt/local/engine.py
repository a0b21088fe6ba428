"""Answers to checked requests: which campaign is asked, what its recipe needs, and how many rows it gives.

Pure: no HTTP, no JSON. The wire calls it with the members of a request, by the service's names, after it has checked
them one by one; what depends on the campaign is checked here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, NoReturn

import attrs

from personalize_rt.local.models import Models
from personalize_rt.local.recipes import Ask, Recipe, Row
from personalize_rt.operations import Operation

__all__ = ["Engine", "RefusedError", "Row"]

# API reference: the numbers of results when numResults is absent.
_DEFAULT_RESULTS = {"GetRecommendations": 25, "GetActionRecommendations": 5}

# Refused rather than ignored, so that nobody takes an unfiltered answer for a filtered one.
_NOT_YET = {
    "filterArn": "filters are not supported yet by the embedded service",
    "filterValues": "filters are not supported yet by the embedded service",
    "promotions": "promotions are not supported yet by the embedded service",
    "metadataColumns": "metadata columns are not supported yet by the embedded service",
}


class RefusedError(Exception):
    """A request that gets an error of the service for an answer.

    Args:
        code: The service's error code (``"InvalidInputException"``).
        message: What was wrong; shows no value of the request but ARNs and names.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


@attrs.frozen(repr=False)
class Engine:
    """The campaigns of one embedded service.

    Attributes:
        campaigns: The recipe behind each campaign ARN.
        models: What was learned from the data.
        clock: Unix time in seconds.
    """

    campaigns: Mapping[str, Recipe]
    models: Models
    clock: Callable[[], float] = time.time

    def answer(self, operation: Operation[Any], members: Mapping[str, Any]) -> list[Row]:
        """The rows that answer a request, best first.

        Args:
            operation: What is asked.
            members: The members of the request; none of them is ``None``.

        Raises:
            RefusedError: The campaign is unknown or answers another operation, a member that its recipe needs is
                missing, or one is there that is not supported yet.
        """
        recipe = self._recipe(members)
        if recipe.operation is not operation:
            _invalid(f"a campaign of the recipe {recipe.name} answers {recipe.operation.name}, not {operation.name}")
        for member in recipe.requires:
            if not members.get(member):
                _invalid(f"{member} is missing or empty: the recipe {recipe.name} needs it")
        for member, message in _NOT_YET.items():
            if members.get(member):
                _invalid(f"{member}: {message}")
        used = {name: value for name, value in members.items() if name not in recipe.ignores}
        rows = recipe.answer(Ask(self.models, used, self.clock()))
        # A ranking holds every item of its input; numResults 0 is the default, as a number that was never set.
        count = members.get("numResults") or _DEFAULT_RESULTS.get(operation.name)
        return list(islice(rows, count))

    def _recipe(self, members: Mapping[str, Any]) -> Recipe:
        arn = members.get("campaignArn")
        if arn is None:
            kind, arn = "recommender", members["recommenderArn"]
        else:
            kind = "campaign"
        recipe = self.campaigns.get(arn) if kind == "campaign" else None
        if recipe is None:
            known = ", ".join(sorted(arn.rpartition("/")[2] for arn in self.campaigns)) or "none"
            raise RefusedError("ResourceNotFoundException", f"there is no {kind} {arn}; the campaigns are: {known}")
        return recipe


def _invalid(message: str) -> NoReturn:
    raise RefusedError("InvalidInputException", message)

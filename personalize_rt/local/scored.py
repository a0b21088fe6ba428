"""An embedded service that ranks by a given scorer, so that tests know the right answers."""

from __future__ import annotations

import random
from collections.abc import Mapping
from types import MappingProxyType

from personalize_rt.local.apis import CONTROL, EVENTS, NothingThere, Replies, Router
from personalize_rt.local.datasets import Datasets
from personalize_rt.local.doors import Doors
from personalize_rt.local.engine import Engine, Resource
from personalize_rt.local.messages import HttpRequest, HttpResponse
from personalize_rt.local.recipes import Ask, Recipe, Rows, softmax_over_input
from personalize_rt.local.wire import Wire
from personalize_rt.operations import GET_PERSONALIZED_RANKING
from personalize_rt.rerank import Scorer

__all__ = ["ScoredPersonalize"]

_REGION = "eu-west-1"
_ARN = f"arn:aws:personalize:{_REGION}:000000000000:campaign/ranking"


class ScoredPersonalize(Doors):
    """An embedded service with one campaign, ``ranking``, of the Personalized-Ranking recipe and your own scorer.

    Scores, rounding, order, unknown items, errors and faults are those of
    :class:`~personalize_rt.local.LocalPersonalize`. There are no datasets, so no filters, no metadata and no events; of
    the three APIs there is the runtime. For tests that compare results with the true logits.

    Args:
        scorer: The scorer. Every thread that makes requests may call it.
    """

    def __init__(self, scorer: Scorer) -> None:
        super().__init__(region_name=_REGION)

        def answer(ask: Ask) -> Rows:
            return softmax_over_input(
                ask, lambda items: scorer(ask.members["userId"], items, ask.members.get("context"))
            )

        recipe = Recipe(
            name="aws-personalized-ranking", operation=GET_PERSONALIZED_RANKING, answer=answer, requires=("userId",)
        )
        engine = Engine([Resource("ranking", _ARN, recipe)], Datasets())
        rng = random.Random(0)
        self._router = Router(
            runtime=Wire(engine, rng, engine.clock),
            events=NothingThere(Replies(EVENTS, rng, engine.clock)),
            control=NothingThere(Replies(CONTROL, rng, engine.clock)),
        )

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one HTTP request."""
        return self._router.handle(request)

    @property
    def campaigns(self) -> Mapping[str, str]:
        """The ARN of the campaign, by name."""
        return MappingProxyType({"ranking": _ARN})

    @property
    def recommenders(self) -> Mapping[str, str]:
        """An empty mapping, since there are no recommenders."""
        return MappingProxyType({})

    @property
    def filters(self) -> Mapping[str, str]:
        """An empty mapping, since there are no filters."""
        return MappingProxyType({})

    def reload(self) -> None:
        """Do nothing, since there are no data files."""

"""The engine and the wire around recipes of one's own: what a recipe sees, and limits that were relaxed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import attrs
import pytest

from personalize_rt.limits import Limits
from personalize_rt.local import HttpRequest
from personalize_rt.local.datasets import Datasets
from personalize_rt.local.engine import Engine, RefusedError, Resource
from personalize_rt.local.recipes import RECIPES, Ask, Recipe, ReplyRow, Rows
from personalize_rt.local.wire import Wire
from personalize_rt.operations import GET_PERSONALIZED_RANKING, GET_RECOMMENDATIONS

ARN = "arn:aws:personalize:eu-west-1:000000000000:campaign/x"


def engine_of(recipe: Recipe, clock: float = 0.0) -> Engine:
    return Engine([Resource("x", ARN, recipe)], Datasets(), clock=lambda: clock)


def test_recipe_sees_the_members_that_it_uses_and_makes_no_row_too_many() -> None:
    asked: list[Ask] = []
    made: list[int] = []

    def numbered() -> Iterator[ReplyRow]:
        for n in range(1000):
            made.append(n)
            yield ReplyRow(f"i{n}", None)

    def answer(ask: Ask) -> Rows:
        asked.append(ask)
        return lambda allowed: numbered()

    engine = engine_of(attrs.evolve(RECIPES["aws-sims"], answer=answer), clock=7.0)
    members = {"campaignArn": ARN, "itemId": "i", "userId": "u", "context": {"A": "b"}, "numResults": 3}

    assert engine.answer(GET_RECOMMENDATIONS, members) == [
        ReplyRow("i0", None),
        ReplyRow("i1", None),
        ReplyRow("i2", None),
    ]
    assert made == [0, 1, 2]
    assert asked[0].members == {"campaignArn": ARN, "itemId": "i", "numResults": 3}
    assert asked[0].now == 7.0


def test_service_with_relaxed_limits_ranks_more_items() -> None:
    wire = Wire(
        engine_of(RECIPES["aws-personalized-ranking"]),
        random.Random(1),
        limits=Limits(input_list=1000),
    )
    items = [f"i{n}" for n in range(600)]
    body = json.dumps({"campaignArn": ARN, "userId": "u", "inputList": items}).encode()
    response = wire.handle(HttpRequest("POST", GET_PERSONALIZED_RANKING.path, {}, body))

    assert response.status == 200
    assert [row["itemId"] for row in json.loads(response.body)["personalizedRanking"]] == items


def test_models_are_made_when_the_first_request_needs_them() -> None:
    engine = engine_of(RECIPES["aws-popularity-count"])
    assert engine.answer(GET_RECOMMENDATIONS, {"campaignArn": ARN}) == []
    models = engine.models
    assert models.taste() is models.taste()
    assert models.offers is models.offers
    assert models.trends(60) is models.trends(60) is not models.trends(61)


def test_refusal_carries_code_and_message() -> None:
    engine = Engine([], Datasets())
    with pytest.raises(RefusedError) as raised:
        engine.answer(GET_RECOMMENDATIONS, {"recommenderArn": ARN})
    assert raised.value.code == "InvalidInputException"
    assert raised.value.message == f"{ARN} does not exist or is not active yet."

"""Results are sequences of rows; what may be absent is optional, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal, assert_type

from personalize_rt import (
    ActionRecommendations,
    Metadata,
    PersonalizeError,
    PredictedAction,
    PredictedItem,
    Ranking,
    Recommendations,
    ResponseInfo,
    encode,
)


def everybody(ranking: Ranking, recommendations: Recommendations, actions: ActionRecommendations) -> None:
    assert_type(ranking[-3:], Ranking)
    assert_type(recommendations[:10].recommendation_id, str | None)
    for answer in (ranking, recommendations):
        assert_type(answer[0], PredictedItem)
        assert_type(answer[0].to_json(), str)
        assert_type(answer.item_ids, tuple[str, ...])
        assert_type(answer.get("a"), PredictedItem | None)
        assert_type([item.item_id for item in answer], list[str])
        assert_type(answer.index(answer[0]), int)
    assert_type(actions[0], PredictedAction)
    assert_type(actions[:2], ActionRecommendations)
    assert_type(actions.action_ids, tuple[str, ...])
    assert_type(actions.get("a"), PredictedAction | None)
    assert_type([action.action_id for action in actions], list[str])
    rows: Sequence[PredictedItem] = ranking
    offers: Sequence[PredictedAction] = actions
    assert_type(len(rows) + len(offers), int)
    for any_answer in (ranking, recommendations, actions):
        assert_type(any_answer.scores, tuple[float | None, ...])
        assert_type(any_answer.position("a"), int | None)
        assert_type(any_answer.recommendation_id, str | None)
        assert_type(any_answer.info, ResponseInfo)
        assert_type(any_answer.degraded, bool)
        assert_type(any_answer.cause, PersonalizeError | None)
        assert_type(any_answer.to_response(), dict[str, Any])
        assert_type(any_answer == ranking, bool)
        assert_type(any_answer.to_json(), str)
        assert_type(encode.to_json(any_answer), str)
        assert_type(json.dumps([any_answer], default=encode.default), str)
    assert_type(ranking.unscored, tuple[str, ...])
    assert_type(ranking.missing, tuple[str, ...])
    assert_type(ranking.rows, tuple[PredictedItem, ...])
    assert_type(actions.rows, tuple[PredictedAction, ...])
    seen: set[Ranking] = {ranking}
    assert_type(len(seen), int)


def one_row(item: PredictedItem, action: PredictedAction) -> None:
    assert_type(item.item_id, str)
    assert_type(item.score, float | None)
    assert_type(item.promotion_name, str | None)
    assert_type(item.metadata, Metadata)
    assert_type(item.metadata["TITLE"], str)
    assert_type(item.metadata.get("TITLE"), str | None)
    assert_type(item.reason, tuple[str, ...])
    assert_type(action.action_id, str)
    assert_type(action.score, float | None)
    if item.score is not None:
        assert_type(item.score * 2, float)


def how(info: ResponseInfo) -> None:
    assert_type(info.request_id, str | None)
    assert_type(info.attempts, int)
    assert_type(info.elapsed, float)
    assert_type(info.source, Literal["service", "cache", "fallback", "local"])
    assert_type(info.unfiltered, bool)


# Built by hand, as tests and fallbacks do, and from what any boto3 client returns.

assert_type(Ranking(["a"], scores=[0.5], input_list=["a"]), Ranking)
assert_type(Ranking(("a", "b"), scores=[1, None], metadata=[{"TITLE": "x"}, None]), Ranking)
assert_type(Ranking(["a"]), Ranking)
assert_type(Recommendations([PredictedItem("a", 0.5)]), Recommendations)
assert_type(Recommendations(iter(["a"]), scores=lambda: (None,), reasons=[["Popular item"]]), Recommendations)
assert_type(ActionRecommendations(["a"], scores=[0.5], recommendation_id="R"), ActionRecommendations)
assert_type(PredictedItem("a", 0.5, metadata={"TITLE": "x"}, reason=["Exploration"]), PredictedItem)
assert_type(PredictedAction("a"), PredictedAction)

reply: dict[str, Any] = {}
assert_type(Ranking.from_response(reply, input_list=["a"], info=ResponseInfo(attempts=1)), Ranking)
assert_type(Recommendations.from_response(reply), Recommendations)
assert_type(ActionRecommendations.from_response(reply), ActionRecommendations)


def matched(item: PredictedItem) -> str:
    match item:
        case PredictedItem(item_id=id, score=None):
            return id
        case PredictedItem(score=score):
            assert_type(score, float | None)
            return str(score)

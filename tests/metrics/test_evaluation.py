"""Asking a model for every test user."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
import pytest

from personalize_rt.errors import ThrottlingError, ValidationError
from personalize_rt.interactions import Interaction
from personalize_rt.limits import Limits
from personalize_rt.metrics import Split, evaluate, temporal_split
from personalize_rt.rerank import LocalReranker, PopularityScorer
from personalize_rt.results import Ranking, Recommendations

PAST = [Interaction("u", "a", 1), Interaction("v", "a", 2), Interaction("v", "b", 3)]
SPLIT = Split(PAST, [Interaction("u", "b", 4), Interaction("v", "c", 5)])
ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"


@attrs.define
class Campaign:
    """A model that remembers what it was asked."""

    asked: list[tuple[Any, ...]] = attrs.field(factory=list)

    def rank(self, *, user_id: str, input_list: Iterable[str]) -> Ranking:
        ids = list(input_list)
        self.asked.append(("rank", user_id, ids))
        return Ranking(ids, scores=[None] * len(ids))

    def recommend(self, user_id: str | None = None, *, num_results: int | None = None) -> Recommendations:
        self.asked.append(("recommend", user_id, num_results))
        return Recommendations(["b", "a"], scores=[0.6, 0.4])


@attrs.define
class Runtime:
    bound: Campaign = attrs.field(factory=Campaign)

    def campaign(self, arn: str, /) -> Campaign:
        self.bound.asked.append(("campaign", arn))
        return self.bound

    def recommender(self, arn: str, /) -> Campaign:
        self.bound.asked.append(("recommender", arn))
        return self.bound


def test_a_function_is_asked_for_each_test_user() -> None:
    lists = {"u": ["a", "b"], "v": ["x", "y"]}
    metrics = evaluate(lists.__getitem__, SPLIT)
    assert metrics.users == 2
    assert metrics["mean_reciprocal_rank_at_25"] == 0.25
    assert metrics["precision_at_5"] == pytest.approx(0.1)
    assert metrics["coverage"] == pytest.approx(2 / 3)


def test_a_function_may_give_an_answer() -> None:
    metrics = evaluate(lambda user: Recommendations(["b"], scores=[0.5]), SPLIT)
    assert metrics["mean_reciprocal_rank_at_25"] == 0.5


def test_a_local_reranker_ranks_the_popular_items_of_the_past() -> None:
    scorer = PopularityScorer(half_life_days=None).fit(SPLIT.past)
    metrics = evaluate(LocalReranker(scorer), SPLIT)
    # a, b for both: u wanted b, v wanted c, which the past does not have.
    assert metrics["mean_reciprocal_rank_at_25"] == 0.25
    assert metrics["coverage"] == pytest.approx(2 / 3)


def test_a_local_reranker_gets_no_more_items_than_its_limits_allow() -> None:
    past = [Interaction("u", f"i{n}", n) for n in range(600)]
    split = Split([*past, Interaction("u", "i599", 600)], [Interaction("u", "i599", 601)])
    seen: list[int] = []

    def score(user_id: str, item_ids: Any, context: Any, /) -> list[float]:
        seen.append(len(item_ids))
        return [1.0 if id == "i599" else 0.0 for id in item_ids]

    assert evaluate(LocalReranker(score), split)["mean_reciprocal_rank_at_25"] == 1
    evaluate(LocalReranker(score, limits=Limits(input_list=10)), split)
    evaluate(LocalReranker(score, limits=Limits.off()), split)
    assert seen == [500, 10, 600]


def test_a_campaign_is_asked_for_25_recommendations() -> None:
    campaign = Campaign()
    evaluate(campaign, SPLIT)
    assert campaign.asked == [("recommend", "u", 25), ("recommend", "v", 25)]


def test_a_campaign_ranks_the_candidates_that_are_given() -> None:
    campaign = Campaign()
    metrics = evaluate(campaign, SPLIT, candidates=iter(["c", "b"]))
    assert campaign.asked == [("rank", "u", ["c", "b"]), ("rank", "v", ["c", "b"])]
    assert metrics["mean_reciprocal_rank_at_25"] == 0.75


def test_a_runtime_is_asked_through_the_named_model() -> None:
    runtime = Runtime()
    evaluate(runtime, SPLIT, campaign_arn=ARN)
    assert runtime.bound.asked[0] == ("campaign", ARN)
    runtime = Runtime()
    evaluate(runtime, SPLIT, recommender_arn=ARN)
    assert runtime.bound.asked[0] == ("recommender", ARN)


def test_interactions_are_split_as_the_service_does() -> None:
    events = [*PAST, *SPLIT.future]
    asked: list[str] = []

    def model(user: str) -> list[str]:
        asked.append(user)
        return ["b", "c"]

    assert evaluate(model, iter(events)) == evaluate(model, temporal_split(events))
    assert set(asked) == {"u", "v"}


def test_a_frame_of_interactions_is_taken() -> None:
    pytest.importorskip("narwhals")
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"USER_ID": ["u", "u"], "ITEM_ID": ["a", "b"], "TIMESTAMP": [1, 2]})
    assert evaluate(lambda user: ["b"], frame)["mean_reciprocal_rank_at_25"] == 1


def test_coverage_is_a_share_of_the_catalogue_that_is_given() -> None:
    assert evaluate(lambda user: ["a", "b"], SPLIT, catalogue=["a", "b", "c", "d"])["coverage"] == 0.5


def test_disjoint_data_gives_zeros_and_no_nan() -> None:
    metrics = evaluate(lambda user: ["never seen"], SPLIT)
    assert set(metrics.values()) == {0.0}
    assert set(evaluate(lambda user: [], SPLIT).values()) == {0.0}


@pytest.mark.parametrize("interactions", [[], [Interaction("u", "a", 1)], Split(PAST, [])])
def test_data_without_a_future_is_refused(interactions: Any) -> None:
    with pytest.raises(ValidationError, match="nothing to predict") as caught:
        evaluate(lambda user: [], interactions)
    assert caught.value.parameter == "interactions"


@pytest.mark.parametrize(
    ("model", "options", "parameter"),
    [
        (7, {}, "model"),
        (Runtime(), {}, "campaign_arn"),
        (Runtime(), {"campaign_arn": ARN, "recommender_arn": ARN}, "campaign_arn"),
        (Campaign(), {"campaign_arn": ARN}, "campaign_arn"),
        (lambda user: [], {"candidates": ["a"]}, "candidates"),
        (Campaign(), {"candidates": []}, "candidates"),
        (Campaign(), {"candidates": "ab"}, "candidates"),
        (Campaign(), {"catalogue": []}, "catalogue"),
        (Campaign(), {"ideal": "best"}, "ideal"),
        (lambda user: "ab", {}, "the answer of the model"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(model: Any, options: dict[str, Any], parameter: str) -> None:
    with pytest.raises(ValidationError) as caught:
        evaluate(model, SPLIT, **options)
    assert caught.value.parameter == parameter


def test_a_reranker_needs_candidates_or_a_past() -> None:
    with pytest.raises(ValidationError, match="nothing to rank"):
        evaluate(LocalReranker({}), Split([], SPLIT.future))


def test_an_error_of_the_model_comes_through() -> None:
    def model(user: str) -> list[str]:
        raise ThrottlingError("Rate exceeded", response={}, operation_name="GetRecommendations", code="")

    with pytest.raises(ThrottlingError):
        evaluate(model, SPLIT)

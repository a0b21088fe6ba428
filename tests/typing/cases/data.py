"""Results as frames, comparisons and plots; metrics of models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, assert_type

from personalize_rt import (
    ActionRecommendations,
    Interaction,
    LocalReranker,
    PersonalizeRuntime,
    PopularityScorer,
    Ranking,
    Recommendations,
)
from personalize_rt.metrics import (
    Metrics,
    Split,
    beyond_accuracy,
    coverage,
    evaluate,
    measure,
    measure_actions,
    measure_segments,
    precision,
    solution_metrics,
    temporal_split,
)
from personalize_rt.notebook import (
    Answers,
    Comparison,
    Comparisons,
    Move,
    Shown,
    ask_users,
    compare,
    compare_users,
    plots,
    show,
)


def turned_into_frames(ranking: Ranking, actions: ActionRecommendations) -> None:
    for result in (ranking, actions):
        assert_type(result.to_dicts(), list[dict[str, Any]])
        # The libraries of frames do not tell all of their types; this package does.
        assert_type(result.to_pandas(metadata_columns=["TITLE"]), Any)
        assert_type(result.to_polars(), Any)
        assert_type(result.to_arrow(), Any)
        assert_type(result.plot_scores(), Any)
        assert_type(show(result, items={"tt0468569": "The Dark Knight"}), Shown)
    assert_type(ranking.plot_distribution("GENRES"), Any)


def compared(ranking: Ranking, other: Recommendations) -> None:
    comparison = ranking.compare(other, k=5, labels=("before", "after"))
    assert_type(comparison, Comparison)
    assert_type(compare(ranking, other), Comparison)
    assert_type(comparison.to_pandas(), Any)

    def before(user_id: str) -> Ranking:
        return ranking

    def after(user_id: str) -> Recommendations:
        return other

    assert_type(Answers({"u": ranking})["u"], Ranking)
    assert_type(ask_users(before, ["u"]).to_dicts(), list[dict[str, Any]])
    assert_type(ask_users(before, ["u"]).to_polars(), Any)
    both = compare_users(before, after, ["u"], items={"a": "Alien"})
    assert_type(both, Comparisons)
    assert_type(both["u"], Comparison)
    assert_type(both.measures(), dict[str, float | None])
    assert_type(comparison.moves, tuple[Move, ...])
    assert_type(comparison.moves[0].places, int | None)
    assert_type(comparison.kendall_tau, float | None)
    assert_type(comparison.rank_biased_overlap, float)
    assert_type(comparison.shared, tuple[str, ...])
    assert_type(plots.filter_effect(ranking, other), Any)
    assert_type(ranking.blend(["a", "b"], 0.5), Ranking)
    assert_type(ranking.blend(other, 1), Ranking)


def mine(user_id: str) -> Iterable[str]:
    return [user_id]


def measured(events: Sequence[Interaction]) -> None:
    split = temporal_split(events, newest=0.2)
    assert_type(split, Split)
    reranker = LocalReranker(PopularityScorer().fit(split.past))
    assert_type(evaluate(reranker, split, candidates=["a", "b"]), Metrics)
    runtime = PersonalizeRuntime()
    assert_type(evaluate(runtime, split, campaign_arn="arn", progress=False), Metrics)
    assert_type(evaluate(runtime.campaign("arn"), events), Metrics)
    assert_type(evaluate(runtime.recommender("arn"), iter(events)), Metrics)
    metrics = evaluate(mine, split)
    assert_type(metrics["mean_reciprocal_rank_at_25"], float)
    assert_type(metrics.users, int)
    assert_type(evaluate(runtime.campaign("arn"), split, kind="actions"), Metrics)
    assert_type(measure_actions({"u": ["call"]}, {"u": {"call"}}, catalogue=["call"])["auc"], float)
    assert_type(measure_segments({"i": ["u"]}, {"i": {"u"}}, users=["u"]), Metrics)
    assert_type(beyond_accuracy({"u": ["a"]}, split.past, categories={"a": "Drama|War"}), Metrics)
    assert_type(solution_metrics(runtime.campaign("arn"), split, recipe="aws-sims"), dict[str, float])
    assert_type(split.rewards({"click": 1}), dict[str, dict[str, float]])
    assert_type(measure({"u": ["a"]}, split.relevant, catalogue=["a"]), Metrics)
    assert_type(precision(["a", "b"], {"a"}, k=5) + coverage(["a"], {"a", "b"}), float)

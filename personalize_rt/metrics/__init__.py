"""Offline metrics as GetSolutionMetrics reports them, for any model that returns lists of items.

They need only the standard library; a frame as input needs narwhals, a progress bar tqdm.
"""

from __future__ import annotations

from personalize_rt.metrics.actions import area_under_the_curve, measure_actions
from personalize_rt.metrics.beyond import beyond_accuracy, intra_list_diversity, novelty, popularity_bias
from personalize_rt.metrics.evaluation import ask, evaluate
from personalize_rt.metrics.measures import (
    average_rewards,
    coverage,
    hit,
    normalized_discounted_cumulative_gain,
    normalized_discounted_cumulative_gain_with_event_weights,
    precision,
    recall,
    reciprocal_rank,
    trend_prediction_accuracy,
)
from personalize_rt.metrics.segments import measure_segments
from personalize_rt.metrics.solution import solution_metrics
from personalize_rt.metrics.split import Split, temporal_split
from personalize_rt.metrics.table import Metrics, measure

__all__ = [
    "Metrics",
    "Split",
    "area_under_the_curve",
    "ask",
    "average_rewards",
    "beyond_accuracy",
    "coverage",
    "evaluate",
    "hit",
    "intra_list_diversity",
    "measure",
    "measure_actions",
    "measure_segments",
    "normalized_discounted_cumulative_gain",
    "normalized_discounted_cumulative_gain_with_event_weights",
    "novelty",
    "popularity_bias",
    "precision",
    "recall",
    "reciprocal_rank",
    "solution_metrics",
    "temporal_split",
    "trend_prediction_accuracy",
]

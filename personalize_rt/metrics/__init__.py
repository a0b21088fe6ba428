"""Offline metrics as GetSolutionMetrics reports them, for any model that returns lists of items.

They need only the standard library; a frame as input needs narwhals, a progress bar tqdm.
"""

from __future__ import annotations

from personalize_rt.metrics.evaluation import evaluate
from personalize_rt.metrics.measures import coverage, normalized_discounted_cumulative_gain, precision, reciprocal_rank
from personalize_rt.metrics.split import Split, temporal_split
from personalize_rt.metrics.table import Metrics, measure

__all__ = [
    "Metrics",
    "Split",
    "coverage",
    "evaluate",
    "measure",
    "normalized_discounted_cumulative_gain",
    "precision",
    "reciprocal_rank",
    "temporal_split",
]

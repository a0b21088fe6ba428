"""Experiments with rankings: who sees what, what was shown, and what came of it.

:class:`Split` puts users into groups, :func:`interleave` shows two rankings in one list, :func:`outcomes` compares.
They need only the standard library; frames and plots need their extras.
"""

from __future__ import annotations

from personalize_rt.events import Exposure, InterleavingExposure, SplitExposure
from personalize_rt.experiments.exposing import Chance, ExposureHook
from personalize_rt.experiments.interleaving import Interleaved, InterleavedItem, interleave
from personalize_rt.experiments.split import Split
from personalize_rt.experiments.table import GroupOutcome, InterleavingOutcomes, SplitOutcomes, outcomes

__all__ = [
    "Chance",
    "Exposure",
    "ExposureHook",
    "GroupOutcome",
    "Interleaved",
    "InterleavedItem",
    "InterleavingExposure",
    "InterleavingOutcomes",
    "Split",
    "SplitExposure",
    "SplitOutcomes",
    "interleave",
    "outcomes",
]

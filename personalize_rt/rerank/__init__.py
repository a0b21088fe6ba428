"""Ranking in this process, in pure Python, by the score rules of the Personalized-Ranking recipe.

:class:`LocalReranker` orders a list by logits. A :class:`Scorer` provides them: it has learned from interactions, holds
embeddings, or is a function of the caller.
"""

from __future__ import annotations

from personalize_rt.rerank.long import LongRanking
from personalize_rt.rerank.reranker import LocalReranker
from personalize_rt.rerank.rules import Rules
from personalize_rt.rerank.scorers import (
    CoVisitationScorer,
    EmbeddingScorer,
    EnsembleScorer,
    PopularityScorer,
    Scorer,
    TrainableScorer,
)
from personalize_rt.rerank.shadow import ShadowScorer
from personalize_rt.rerank.shown import ShownEvent, ShownList, shown_lists

__all__ = [
    "CoVisitationScorer",
    "EmbeddingScorer",
    "EnsembleScorer",
    "LocalReranker",
    "LongRanking",
    "PopularityScorer",
    "Rules",
    "Scorer",
    "ShadowScorer",
    "ShownEvent",
    "ShownList",
    "TrainableScorer",
    "shown_lists",
]

"""What a scorer is, and the scorers that come with this package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from personalize_rt.rerank.covisitation import CoVisitationScorer
from personalize_rt.rerank.embedding import EmbeddingScorer
from personalize_rt.rerank.popularity import PopularityScorer

__all__ = ["CoVisitationScorer", "EmbeddingScorer", "PopularityScorer", "Scorer"]


class Scorer(Protocol):
    """Anything that gives items their logits for a user: an object of this package, or a plain function."""

    def __call__(
        self, user_id: str, item_ids: Sequence[str], context: Mapping[str, str] | None, /
    ) -> Sequence[float | None]:
        """Score items for a user.

        Args:
            user_id: The user, known or not.
            item_ids: The items, each once.
            context: Values that describe the moment, such as ``{"DEVICE": "phone"}``, or ``None``.

        Returns:
            One logit for each item, in the same order: any finite number, or ``-inf`` for an item of score 0;
            ``None`` for an item that the scorer does not know. A logit that rises by ln 2 doubles the item's
            score in proportion to the others.
        """
        ...

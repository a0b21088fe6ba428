"""What a scorer is, and the scorers that come with this package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, Self

from personalize_rt.interactions import Interaction
from personalize_rt.rerank.covisitation import CoVisitationScorer
from personalize_rt.rerank.embedding import EmbeddingScorer
from personalize_rt.rerank.ensemble import EnsembleScorer
from personalize_rt.rerank.popularity import PopularityScorer
from personalize_rt.rerank.storage import Path

__all__ = [
    "CoVisitationScorer",
    "EmbeddingScorer",
    "EnsembleScorer",
    "PopularityScorer",
    "Scorer",
    "TrainableScorer",
]


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


class TrainableScorer(Scorer, Protocol):
    """A scorer that learns from interactions, keeps up with new ones, and can be kept in a file.

    It may be asked at any time, also before it learned anything, and never fails for what it does not know: an unknown
    user is scored without a history, an unknown item has no logit.
    """

    def fit(self, interactions: Iterable[Interaction], /) -> Self:
        """Learn from these events alone, in any order."""
        ...

    def update(self, events: Iterable[Interaction], /) -> Self:
        """Learn from further events."""
        ...

    def save(self, path: Path, /) -> None:
        """Write what was learned to a file, from which nothing is ever run."""
        ...

    @classmethod
    def load(cls, path: Path, /) -> Self:
        """Read such a file; one that is damaged, newer, or of another kind is a ``ValidationError``."""
        ...

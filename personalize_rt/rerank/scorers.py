"""The protocol of scorers, and the scorers of this package."""

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
    """A callable that scores items for a user: an object of this package, or a plain function."""

    def __call__(
        self, user_id: str, item_ids: Sequence[str], context: Mapping[str, str] | None, /
    ) -> Sequence[float | None]:
        """Score items for a user.

        Args:
            user_id: The user, known or not.
            item_ids: The items, each once.
            context: Values that describe the moment, such as ``{"DEVICE": "phone"}``, or ``None``.

        Returns:
            One logit for each item, in the same order: any finite number, ``-inf`` for an item of score 0, or ``None``
            for an item that the scorer does not know. Adding ln 2 to a logit doubles the item's score in proportion to
            the others.
        """
        ...


class TrainableScorer(Scorer, Protocol):
    """A scorer that learns from interactions, and can be saved to a file.

    It may be called at any time, even before it learned anything, and unknown ids are no error: an unknown user is
    scored without a history, an unknown item has no logit.
    """

    def fit(self, interactions: Iterable[Interaction], /) -> Self:
        """Learn from these events alone, in any order."""
        ...

    def update(self, events: Iterable[Interaction], /) -> Self:
        """Learn from further events."""
        ...

    def save(self, path: Path, /) -> None:
        """Write what was learned to a file. Loading it never runs code from the file."""
        ...

    @classmethod
    def load(cls, path: Path, /) -> Self:
        """Read a file that ``save`` wrote; one that is damaged, newer, or of another kind is a ``ValidationError``."""
        ...

"""The latest answers of the runtime API, by recommendation id: what an event with that id belongs to."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

import attrs

from personalize_rt import forks

__all__ = ["Answers", "RecordedAnswer"]

# The most answers that are kept. Rankings of 500 items would take 20 MB.
_KEPT = 5_000


@attrs.frozen(repr=False)
class RecordedAnswer:
    """An answer of the runtime API. ``repr`` hides the user.

    Attributes:
        recommendation_id: Its id.
        operation: The operation (``"GetRecommendations"``).
        resource_arn: The campaign or recommender that answered.
        user_id: The user of the request, or ``None``.
        item_ids: The items or actions of the answer, best first.
    """

    recommendation_id: str
    operation: str
    resource_arn: str
    user_id: str | None
    item_ids: tuple[str, ...]

    def __repr__(self) -> str:
        return f"RecordedAnswer({self.operation} of {self.resource_arn}, {len(self.item_ids)} rows)"


class Answers:
    """The latest answers, at most 5,000. Safe to share between threads."""

    _lock = forks.lock()

    def __init__(self) -> None:
        self._kept: OrderedDict[str, RecordedAnswer] = OrderedDict()

    def add(
        self, recommendation_id: str, operation: str, resource_arn: str, user_id: str | None, item_ids: Iterable[str]
    ) -> None:
        """Keep an answer; the oldest one makes room for it."""
        answer = RecordedAnswer(recommendation_id, operation, resource_arn, user_id, tuple(item_ids))
        with self._lock:
            self._kept[recommendation_id] = answer
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)

    def find(self, recommendation_id: str) -> RecordedAnswer | None:
        """The answer of an id; ``None`` if there was none, or too many since."""
        return self._kept.get(recommendation_id)

"""The metrics of user segmentation, whose answers are lists of users."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from math import fsum

from personalize_rt import checks
from personalize_rt.metrics.measures import coverage, hit, recall
from personalize_rt.metrics.table import Metrics, check_answers

__all__ = ["measure_segments"]


def measure_segments(
    answers: Mapping[str, Iterable[str]],
    relevant: Mapping[str, Collection[str]],
    *,
    users: Collection[str],
    k: int | None = None,
) -> Metrics:
    """Measure user segments, such as those of a batch segment job.

    Args:
        answers: The users of each segment, best first, by the item or attributes that were asked for.
        relevant: The users who did meet the item later. The means are over these segments, without those that nobody
            met.
        users: All users.
        k: The number of users at the top of a segment that count; by default 1 % of all users, as in the service, but
            at least one.

    Returns:
        ``coverage``, the share of users in at least one segment, ``hit_at_k`` and ``recall_at_k``. The guide describes
        the last two without a formula: here a hit is a user, and recall the hits divided by the right users.

    Raises:
        ValidationError: No segment has users, ``users`` is empty, a segment has no answer, or ``k`` is not an int of at
            least 1.
    """
    segments = [segment for segment, wanted in relevant.items() if wanted]
    check_answers(answers, segments)
    top = max(1, len(users) // 100) if k is None else checks.whole(k, "k")
    lists = {segment: list(answers[segment]) for segment in segments}

    def mean(values: Iterable[float]) -> float:
        return fsum(values) / len(segments)

    return Metrics(
        {
            "coverage": coverage((user for segment in lists.values() for user in segment[:top]), users),
            "hit_at_k": mean(hit(lists[segment], relevant[segment], top) for segment in segments),
            "recall_at_k": mean(recall(lists[segment], relevant[segment], top) for segment in segments),
        },
        len(segments),
    )

"""The metrics of many lists, as a small table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from math import fsum
from typing import Any

import attrs

from personalize_rt.errors import ValidationError
from personalize_rt.metrics.measures import (
    Ideal,
    average_rewards,
    coverage,
    normalized_discounted_cumulative_gain,
    normalized_discounted_cumulative_gain_with_event_weights,
    precision,
    reciprocal_rank,
)
from personalize_rt.notebook.frames import Column, Framed

__all__ = ["CUTOFFS", "LONGEST", "Metrics", "check_answers", "measure"]

CUTOFFS = (5, 10, 25)
LONGEST = max(CUTOFFS)


def _pairs(values: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    return tuple(values.items())


@attrs.frozen(repr=False)
class Metrics(Framed, Mapping[str, float]):
    """Metrics by the names of GetSolutionMetrics: ``metrics["precision_at_5"]``. Immutable, comparable and hashable.

    A notebook shows it as a table; on a terminal, use ``rich.print``.

    Attributes:
        users: The number of users that the means are over; of segments, for user segmentation.
        ideal: The kind of ideal list for the discounted gains; see
            :func:`~personalize_rt.metrics.normalized_discounted_cumulative_gain`.
    """

    _values: tuple[tuple[str, float], ...] = attrs.field(alias="values", converter=_pairs)
    users: int
    ideal: Ideal = "found"

    def __getitem__(self, name: str) -> float:
        values = dict(self._values)
        if name not in values:
            raise KeyError(f"no metric {name!r}; there are {', '.join(values)}")
        return values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(name for name, _ in self._values)

    def __len__(self) -> int:
        return len(self._values)

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dict for each metric: ``metric``, ``value`` and ``users``."""
        return [{"metric": name, "value": value, "users": self.users} for name, value in self._values]

    def _columns(self) -> list[Column]:
        names = list(self)
        return [
            Column("metric", "string", names),
            Column("value", "float64", [self[name] for name in names]),
            Column("users", "int64", [self.users] * len(names)),
        ]

    def _repr_html_(self) -> str:
        from personalize_rt.metrics.display import metrics_html

        return metrics_html(self)

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from personalize_rt.metrics.display import metrics_lines

        return metrics_lines(self)

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value:.4f}" for name, value in self._values)
        return f"Metrics({values}, users={self.users})"


def measure(
    answers: Mapping[str, Iterable[str]],
    relevant: Mapping[str, Collection[str]],
    *,
    catalogue: Collection[str],
    ideal: Ideal = "found",
    rewards: Mapping[str, float] | None = None,
    event_rewards: Mapping[str, Mapping[str, float]] | None = None,
) -> Metrics:
    """Measure existing answers, such as those of a batch job or a log.

    Args:
        answers: The items that each user was given, best first; an empty list counts as a miss.
        relevant: The items that each user took later. The means are over these users, without those who took none.
        catalogue: The items of the Interactions and Items datasets.
        ideal: The kind of ideal list for the discounted gains; see
            :func:`~personalize_rt.metrics.normalized_discounted_cumulative_gain`.
        rewards: Item id to its value in the column of an optimization objective, for ``average_rewards_at_k``, which
            looks at all items of an answer.
        event_rewards: The reward of each item that each user took later, as :meth:`Split.rewards` makes them of event
            weights, for the gains with event weights.

    Returns:
        ``coverage``, ``mean_reciprocal_rank_at_25``, and for 5, 10 and 25
        ``normalized_discounted_cumulative_gain_at_k`` and ``precision_at_k``; with ``rewards`` also
        ``average_rewards_at_k``, and with ``event_rewards``
        ``normalized_discounted_cumulative_gain_with_event_weights_at_k`` for 5, 10 and 25.

    Raises:
        ValidationError: No user took an item, the catalogue is empty, or a user has no answer.
    """
    users = [user for user, wanted in relevant.items() if wanted]
    check_answers(answers, users)
    lists = [(list(answers[user]), relevant[user]) for user in users]

    def mean(values: Iterable[float]) -> float:
        return fsum(values) / len(lists)

    values = {
        "coverage": coverage((item for ranked, _ in lists for item in ranked[:LONGEST]), catalogue),
        f"mean_reciprocal_rank_at_{LONGEST}": mean(reciprocal_rank(*pair, LONGEST) for pair in lists),
    }
    for k in CUTOFFS:
        gains = (normalized_discounted_cumulative_gain(*pair, k, ideal=ideal) for pair in lists)
        values[f"normalized_discounted_cumulative_gain_at_{k}"] = mean(gains)
    for k in CUTOFFS:
        values[f"precision_at_{k}"] = mean(precision(*pair, k) for pair in lists)
    if rewards is not None:
        values["average_rewards_at_k"] = mean(average_rewards(*pair, rewards, LONGEST) for pair in lists)
    if event_rewards is not None:
        for k in CUTOFFS:
            values[f"normalized_discounted_cumulative_gain_with_event_weights_at_{k}"] = mean(
                normalized_discounted_cumulative_gain_with_event_weights(
                    ranked, event_rewards.get(user, {}), k, ideal=ideal
                )
                for user, (ranked, _) in zip(users, lists, strict=True)
            )
    return Metrics(values, len(users), ideal)


def check_answers(answers: Mapping[str, Any], asked: Collection[str]) -> None:
    """Check that there is an answer for each key that is measured.

    Raises:
        ValidationError: Nothing is measured, or an answer is absent.
    """
    if not asked:
        raise ValidationError("relevant holds no items, so there is nothing to measure", parameter="relevant")
    absent = sum(key not in answers for key in asked)
    if absent:
        raise ValidationError(
            f"answers lacks {absent:,} of the {len(asked):,} users of relevant; give [] for one who got nothing",
            parameter="answers",
        )

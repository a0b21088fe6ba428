"""The metrics of one list, as the guide's page "Evaluating a solution version with metrics" defines them.

Positions count from 1. A repeated item is a hit at its first place only; its other places count as misses.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from heapq import nlargest
from itertools import islice
from math import fsum, inf, log2
from typing import Any, Literal, get_args

from personalize_rt import checks
from personalize_rt.errors import ValidationError
from personalize_rt.redaction import describe

__all__ = [
    "Ideal",
    "average_rewards",
    "coverage",
    "hit",
    "normalized_discounted_cumulative_gain",
    "normalized_discounted_cumulative_gain_with_event_weights",
    "precision",
    "recall",
    "reciprocal_rank",
    "trend_prediction_accuracy",
]

Ideal = Literal["found", "all"]


def reciprocal_rank(ranked: Sequence[str], relevant: Collection[str], k: int = 25) -> float:
    """``1 / position`` of the first relevant item among the first k, or 0 when there is none.

    The mean over requests is ``mean_reciprocal_rank_at_25``.

    Args:
        ranked: The items, best first.
        relevant: The items that the user took later.
        k: The number of places to look at, at least 1.

    Raises:
        ValidationError: ``k`` is not an int of at least 1, or ``relevant`` is a bare ``str``.
    """
    positions = [position for position, _ in _hits(ranked, relevant, k)]
    return 1 / positions[0] if positions else 0.0


def normalized_discounted_cumulative_gain(
    ranked: Sequence[str], relevant: Collection[str], k: int, *, ideal: Ideal = "found"
) -> float:
    """The discounted gain of the first k places, divided by the gain of an ideal list; 0 without a hit.

    A relevant item at a position is worth ``1 / log(1 + position)``. The mean over users is
    ``normalized_discounted_cumulative_gain_at_k``.

    Args:
        ranked: The items, best first.
        relevant: The items that the user took later.
        k: The number of places to look at, at least 1.
        ideal: The number of hits at the top of the ideal list: ``"found"``, as many as the first k places have, like
            the guide's worked example; or ``"all"``, all relevant items, up to k, like most of the literature
            (trec_eval's ``ndcg_cut``).

    Raises:
        ValidationError: ``k`` is not an int of at least 1, ``ideal`` is neither, or ``relevant`` is a bare ``str``.
    """
    return _normalized(ranked, dict.fromkeys(_ids(relevant, "relevant"), 1.0), k, ideal)


def normalized_discounted_cumulative_gain_with_event_weights(
    ranked: Sequence[str], rewards: Mapping[str, float], k: int, *, ideal: Ideal = "found"
) -> float:
    """The same gain, with a reward for each relevant item instead of 1.

    The service's rewards are the weights of event types, divided by their mean; see :meth:`Split.rewards`. The mean
    over users is ``normalized_discounted_cumulative_gain_with_event_weights_at_k``.

    Args:
        ranked: The items, best first.
        rewards: The items that the user took later, each with its reward, 0 or more.
        k: The number of places to look at, at least 1.
        ideal: See :func:`normalized_discounted_cumulative_gain`; in both, higher rewards come first.

    Raises:
        ValidationError: ``k`` is not an int of at least 1, ``ideal`` is neither, or a reward is not a number of at
            least 0.
    """
    return _normalized(ranked, _rewards(rewards), k, ideal)


def precision(ranked: Sequence[str], relevant: Collection[str], k: int) -> float:
    """The hits among the first k, divided by k even if the list is shorter.

    The mean over users is ``precision_at_k``.

    Args:
        ranked: The items, best first.
        relevant: The items that the user took later.
        k: The number of places to look at, at least 1.

    Raises:
        ValidationError: ``k`` is not an int of at least 1, or ``relevant`` is a bare ``str``.
    """
    return len(_hits(ranked, relevant, k)) / k


def hit(ranked: Sequence[str], relevant: Collection[str], k: int) -> int:
    """The hits among the first k, such as the right users of a user segment.

    The mean over segments is ``hit_at_k``.

    Args:
        ranked: The items or users, best first.
        relevant: Those that were right.
        k: The number of places to look at, at least 1.

    Raises:
        ValidationError: ``k`` is not an int of at least 1, or ``relevant`` is a bare ``str``.
    """
    return len(_hits(ranked, relevant, k))


def recall(ranked: Sequence[str], relevant: Collection[str], k: int) -> float:
    """The hits among the first k, divided by the number of those that were right; 0 if there are none.

    Args:
        ranked: The items or users, best first.
        relevant: Those that were right.
        k: The number of places to look at, at least 1.

    Raises:
        ValidationError: ``k`` is not an int of at least 1, or ``relevant`` is a bare ``str``.
    """
    found = hit(ranked, relevant, k)
    return found / len(set(relevant)) if found else 0.0


def average_rewards(
    ranked: Sequence[str], relevant: Collection[str], rewards: Mapping[str, float], k: int = 25
) -> float:
    """The reward of the k most rewarding recommendations, as a part of that of all recommendations.

    Only items that the user took count; 0 if there are none. The mean over users is ``average_rewards_at_k``. In a list
    of k items or fewer it is 1 with a hit, so ask for more.

    Args:
        ranked: All recommendations of a user, as many as there are.
        relevant: The items that the user took later.
        rewards: Item id to its value in the column of the objective, 0 or more; an absent item has 0.
        k: The number of recommendations with the highest values, at least 1.

    Raises:
        ValidationError: ``k`` is not an int of at least 1, ``relevant`` is a bare ``str``, or a reward is not a number
            of at least 0.
    """
    k, wanted, values = checks.whole(k, "k"), set(_ids(relevant, "relevant")), _rewards(rewards)
    offered = dict.fromkeys(_ids(ranked, "ranked"))
    # Like sorted(reverse=True), nlargest keeps the order of equal ones.
    best = nlargest(k, offered, key=lambda item: values.get(item, 0.0))
    every = fsum(values.get(item, 0.0) for item in offered if item in wanted)
    return fsum(values.get(item, 0.0) for item in best if item in wanted) / every if every else 0.0


def trend_prediction_accuracy(recommended: Sequence[str], increase: Mapping[str, float], k: int = 25) -> float:
    """The increase in popularity of the first k, as a part of that of the k items that increased most.

    0 if nothing increased, or the recommended items lost.

    Args:
        recommended: The items, best first.
        increase: Item id to the increase in its number of events; see :meth:`Split.increase`. An absent item has 0.
        k: The number of items, at least 1.

    Raises:
        ValidationError: ``k`` is not an int of at least 1, or ``recommended`` is a bare ``str``.
    """
    k = checks.whole(k, "k")
    most = fsum(max(0.0, value) for value in nlargest(k, increase.values()))
    found = fsum(increase.get(item, 0.0) for item in dict.fromkeys(islice(_ids(recommended, "recommended"), k)))
    return max(0.0, found / most) if most else 0.0


def coverage(recommended: Iterable[str], catalogue: Collection[str]) -> float:
    """The share of the catalogue that is recommended to at least one user.

    The service counts the items that its model *may* recommend. From outside, only those that it did recommend can be
    counted, so more requests give a higher number.

    Args:
        recommended: The items of all answers; those that are not in the catalogue do not count.
        catalogue: The items of the Interactions and Items datasets.

    Raises:
        ValidationError: ``catalogue`` is empty.
    """
    items = set(catalogue)
    if not items:
        raise ValidationError("catalogue is empty: there is nothing to cover", parameter="catalogue")
    return len(items.intersection(recommended)) / len(items)


def _normalized(ranked: Sequence[str], rewards: Mapping[str, float], k: int, ideal: Ideal) -> float:
    checks.one_of(ideal, "ideal", *get_args(Ideal))
    found = [(position, rewards[item]) for position, item in _hits(ranked, rewards, k)]
    gained = [reward for _, reward in found] if ideal == "found" else list(rewards.values())
    best = fsum(reward / log2(1 + position) for position, reward in enumerate(nlargest(k, gained), start=1))
    return min(1.0, fsum(reward / log2(1 + position) for position, reward in found) / best) if best else 0.0


def _rewards(rewards: Mapping[str, float]) -> dict[str, float]:
    return {
        item: checks.number(reward, "rewards", "numbers of at least 0", lambda it: 0 <= it < inf)
        for item, reward in rewards.items()
    }


def _hits(ranked: Sequence[str], relevant: Any, k: Any) -> list[tuple[int, str]]:
    """The positions of the relevant items among the first k, and the items."""
    k = checks.whole(k, "k")
    wanted = set(_ids(relevant, "relevant"))
    hits: list[tuple[int, str]] = []
    for position, item in enumerate(islice(_ids(ranked, "ranked"), k), start=1):
        if item in wanted:
            hits.append((position, item))
            wanted.remove(item)
    return hits


def _ids(items: Any, parameter: str) -> Collection[str]:
    if isinstance(items, str | bytes):
        raise ValidationError(
            f"{parameter} is {describe(items)}: it takes a collection of item ids", parameter=parameter
        )
    ids: Collection[str] = items
    return ids

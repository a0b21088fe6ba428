"""The metrics of the Next-Best-Action recipe (guide, "Evaluating a solution version with metrics")."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from math import fsum, inf
from typing import Any

from personalize_rt import checks
from personalize_rt.errors import ValidationError
from personalize_rt.limits import DEFAULT_NUM_ACTIONS
from personalize_rt.metrics.measures import Ideal, coverage, normalized_discounted_cumulative_gain
from personalize_rt.metrics.table import CUTOFFS, Metrics, check_answers
from personalize_rt.results import ActionRecommendations

__all__ = ["area_under_the_curve", "measure_actions"]


def measure_actions(
    answers: Mapping[str, ActionRecommendations | Iterable[str]],
    taken: Mapping[str, Collection[str]],
    *,
    catalogue: Collection[str],
    recommended: int = DEFAULT_NUM_ACTIONS,
    ideal: Ideal = "found",
) -> Metrics:
    """Measure existing answers of actions.

    Args:
        answers: The actions of each user, best first, as many as there are; with scores for ``auc``. Actions without a
            score rank by their place.
        taken: The actions that each user took later; an empty collection for one who took none.
        catalogue: The actions of the Actions dataset.
        recommended: The number of actions at the top of an answer that count as recommended. The guide does not say
            how many; the default is that of GetActionRecommendations.
        ideal: See :func:`~personalize_rt.metrics.normalized_discounted_cumulative_gain`; the means are over users who
            took an action.

    Returns:
        ``coverage`` (by the recommended actions), ``normalized_discounted_cumulative_gain_at_k`` for 5, 10 and 25,
        ``precision`` and ``recall``, which are means over actions, and ``auc``. An action that was never recommended
        has no precision, and one that nobody took no recall.

    Raises:
        ValidationError: Nobody took an action, the catalogue is empty, or a user has no answer.
    """
    recommended = checks.whole(recommended, "recommended")
    check_answers(answers, taken)
    if not any(taken.values()):
        raise ValidationError("taken holds no actions, so there is nothing to measure", parameter="taken")
    found = {user: _scored(answers[user]) for user in taken}
    lists = {user: tuple(scores) for user, scores in found.items()}
    tops = {user: actions[:recommended] for user, actions in lists.items()}
    values = {"coverage": coverage((action for top in tops.values() for action in top), catalogue)}
    takers = [user for user, wanted in taken.items() if wanted]
    for k in CUTOFFS:
        gains = (normalized_discounted_cumulative_gain(lists[user], taken[user], k, ideal=ideal) for user in takers)
        values[f"normalized_discounted_cumulative_gain_at_{k}"] = fsum(gains) / len(takers)
    offered = Counter(action for top in tops.values() for action in top)
    took = Counter(action for wanted in taken.values() for action in set(wanted))
    right = Counter(action for user, top in tops.items() for action in set(top).intersection(taken[user]))
    values["precision"] = _mean([right[action] / count for action, count in offered.items()])
    values["recall"] = _mean([right[action] / count for action, count in took.items()])
    actions = dict.fromkeys((*catalogue, *took))
    pairs = ((found[user].get(action, -inf), action in wanted) for user, wanted in taken.items() for action in actions)
    values["auc"] = area_under_the_curve(pairs)
    return Metrics(values, len(taken), ideal)


def area_under_the_curve(pairs: Iterable[tuple[float, bool]]) -> float:
    """The area under the ROC curve: the chance that something right has a higher score than something wrong.

    Equal scores count half. 0.5, as by chance, if all pairs are right, or all wrong.

    Args:
        pairs: A score, and whether that was right.
    """
    below = area = right = 0.0
    for _, group in groupby(sorted(pairs), key=lambda pair: pair[0]):
        judged = [is_right for _, is_right in group]
        good = sum(judged)
        bad = len(judged) - good
        area += good * (below + bad / 2)
        below += bad
        right += good
    return area / (right * below) if right and below else 0.5


def _scored(answer: Any) -> dict[str, float]:
    """The actions of an answer with their scores; without, the higher a place, the higher the score."""
    if isinstance(answer, ActionRecommendations):
        ids: Sequence[str] = answer.action_ids
        if any(score is not None for score in answer.scores):
            return {id: -inf if score is None else score for id, score in zip(ids, answer.scores, strict=True)}
    else:
        ids = checks.listed(answer, "an answer", "action ids", "action_id")
    return {id: -float(place) for place, id in enumerate(dict.fromkeys(ids))}


def _mean(values: Collection[float]) -> float:
    return fsum(values) / len(values) if values else 0.0

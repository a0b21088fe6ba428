"""A re-ranker that orders items by logits and answers as the service would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from math import exp, fsum, inf, isfinite, isnan
from operator import countOf, itemgetter
from typing import TYPE_CHECKING, Any

import attrs

from personalize_rt import checks
from personalize_rt.errors import ValidationError
from personalize_rt.limits import Limits
from personalize_rt.redaction import describe
from personalize_rt.rerank.arguments import check_context, check_user, input_items
from personalize_rt.results import Ranking, ResponseInfo

if TYPE_CHECKING:
    from personalize_rt.rerank.scorers import Scorer

__all__ = ["LocalReranker"]

_UNIT = 1e7  # scores have 7 decimals
_LOCAL = ResponseInfo(source="local")


def _check_scorer(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, type):
        raise ValidationError(f"scorer is the class {value.__name__}: write {value.__name__}()", parameter="scorer")
    if not isinstance(value, Mapping) and not callable(value):
        raise ValidationError(
            f"scorer is {describe(value)}: it takes a mapping of item ids to logits, or a function of "
            "(user_id, item_ids, context) that returns logits",
            parameter="scorer",
        )


def _check_limits(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, Limits):
        raise ValidationError(f"limits is {describe(value)}, not a Limits", parameter="limits")


@attrs.frozen
class LocalReranker:
    """Ranks items in this process, by the rules of the service's Personalized-Ranking recipe.

    * The answer is a permutation of the input. Known items come first, by descending logit, equal logits in input
      order; then the items that the scorer does not know, in input order, without a score (as in the service's
      recorded replies).
    * Scores are the softmax over the distinct known items of the input, each rounded to 7 decimals as by the service.
      Small scores may be rounded to 0.0, and different logits to equal scores; the order is that of the logits. Scores
      are computed when first read.
    * Repeated known items of the input stand side by side, with the same score.
    * A logit of ``-inf`` is that of a known item of score 0. If all logits are ``-inf``, all scores are 0.

    Immutable, and as safe to share between threads as its scorer.

    Args:
        scorer: A mapping of item id to logit (an absent item, or ``None``, is unknown), which is not copied but read
            for each ranking; or a :class:`~personalize_rt.rerank.Scorer`.
        limits: The limits on the lengths of a list and of an id.

    Raises:
        ValidationError: ``scorer`` or ``limits`` has the wrong type.
    """

    scorer: Mapping[str, float | None] | Scorer = attrs.field(validator=_check_scorer, repr=describe)
    limits: Limits = attrs.field(default=Limits(), kw_only=True, validator=_check_limits)

    def rank(self, *, user_id: str, input_list: Iterable[str], context: Mapping[str, str] | None = None) -> Ranking:
        """Rank items for a user.

        Args:
            user_id: The user, at most 256 characters; may be unknown to the scorer.
            input_list: 1 to 500 item ids, of at most 256 characters; iterated once.
            context: Values that describe the moment, passed on to the scorer.

        Returns:
            The ranking, with ``info.source`` ``"local"`` and no recommendation id.

        Raises:
            ValidationError: An argument is of the wrong kind or breaks a limit, or the scorer gave a logit that is
                NaN, ``+inf`` or no number, or not one for each item.
        """
        check_user(user_id, self.limits)
        check_context(context)
        items = input_items(input_list, self.limits)
        distinct = items if len(set(items)) == len(items) else tuple(dict.fromkeys(items))
        known, logits, logit_of = _known(distinct, self._logits(user_id, distinct, context), self.scorer)
        # The sort is stable, so equal logits stay in input order.
        ranked = sorted(known, key=logit_of.__getitem__, reverse=True)
        if len(distinct) < len(items):
            places = Counter(items)
            ranked = [id for id in ranked for _ in range(places[id])]
        if len(known) < len(distinct):
            scored = set(known)
            ranked += [id for id in items if id not in scored]
        return Ranking(ranked, scores=partial(_scores, ranked, known, logits), input_list=items, info=_LOCAL)

    def _logits(self, user_id: str, item_ids: Sequence[str], context: Mapping[str, str] | None) -> Sequence[Any]:
        if isinstance(self.scorer, Mapping):
            return _looked_up(self.scorer, item_ids)
        given: Any = self.scorer(user_id, item_ids, context)
        try:
            logits = list(given)
        except TypeError:
            logits = None
        if logits is None or len(logits) != len(item_ids):
            raise ValidationError(
                f"the scorer gave {describe(given)} for {len(item_ids):,} items: it must return a logit, or None, "
                "for each",
                parameter="scorer",
            )
        return logits


def _is_dict(value: object) -> bool:
    """Tell whether a value is a plain dict. In a subclass, ``[id]`` and ``get(id)`` may differ."""
    return type(value) is dict


def _looked_up(logits: Mapping[str, Any], item_ids: Sequence[str]) -> Sequence[Any]:
    if _is_dict(logits) and len(item_ids) > 1:
        try:
            found: tuple[Any, ...] = itemgetter(*item_ids)(logits)  # takes half the time of get()
        except KeyError:
            pass
        else:
            return found
    return list(map(logits.get, item_ids))


def _known(
    item_ids: Sequence[str], logits: Sequence[Any], scorer: object
) -> tuple[Sequence[str], Sequence[float], Mapping[str, float]]:
    """The items that have a logit, in input order; their logits; and a mapping of item to logit, to sort by."""
    # The common case in two passes at C speed: a sum is finite only if all of its terms are.
    if countOf(map(type, logits), float) == len(logits) and isfinite(sum(logits)):
        # A dict of the caller is used as it is, since building one takes as long as the sort.
        at_hand: Any = scorer if _is_dict(scorer) else dict(zip(item_ids, logits, strict=True))
        return item_ids, logits, at_hand
    known = {id: _number(id, logit) for id, logit in zip(item_ids, logits, strict=True) if logit is not None}
    return tuple(known), tuple(known.values()), known


def _number(item_id: str, logit: Any) -> float:
    number = checks.as_float(logit)
    if number is None:
        raise ValidationError(f"the logit of item {item_id!r} is {describe(logit)}, not a number", parameter="scorer")
    if isnan(number) or number == inf:
        raise ValidationError(
            f"the logit of item {item_id!r} is {'NaN' if isnan(number) else 'too large'}: it must be a finite number, "
            "-inf for a score of 0, or None for an unknown item",
            parameter="scorer",
        )
    return number


def _scores(ranked: Sequence[str], known: Sequence[str], logits: Sequence[float]) -> tuple[float | None, ...]:
    """The softmax of the logits, each rounded; ``None`` for an item without a logit."""
    highest = max(logits, default=-inf)
    if highest == -inf:
        scores = dict.fromkeys(known, 0.0)
    else:
        # Subtracting the highest logit keeps exp() from overflowing. fsum is exact, so scores do not depend on the
        # order of the input.
        powers = [exp(logit - highest) for logit in logits]
        scale = _UNIT / fsum(powers)
        # Takes a third of the time of round(score, 7), with the same outcome.
        scores = {id: round(power * scale) / _UNIT for id, power in zip(known, powers, strict=True)}
    return tuple(map(scores.get, ranked))

"""Mix the order of a search engine with a personal ranking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import log2
from typing import Any

from personalize_rt import checks
from personalize_rt.rerank.rules import ItemsT, rearranged
from personalize_rt.results import Ranking, Recommendations

__all__ = ["blend"]


def blend(answer: ItemsT, original: Iterable[str] | Ranking | Recommendations, weight: float) -> ItemsT:
    """Order items by ``(1 - weight) / log2(search rank + 1) + weight / log2(personal rank + 1)``, highest first.

    Ranks count from 1. An item that is in only one of the two lists gets nothing from the other. Equal sums stand in
    the order of the search, then in the personal one. Weight 0 gives exactly the search order and weight 1 exactly the
    personal one; otherwise the result holds each item of either list once, and a repeated id counts at its first place.

    What a filter, or ``without()``, removed does not come back: items in ``missing`` are left out of ``original``, and
    stay in ``missing``.

    Args:
        answer: The personal order.
        original: The item ids as the search found them, best first; or an answer that holds them. Iterated once.
        weight: The weight of the personal order, from 0 to 1.

    Returns:
        An answer of the same type, with the personal one's scores, promotions, metadata, recommendation id and info.
        The scores no longer descend. An item that only the search found has no score. Each row at another place than
        in the personal order says so in its ``rules``.

    Raises:
        ValidationError: ``weight`` is not a number from 0 to 1, or ``original`` is not a list of item ids.
    """
    share = checks.number(weight, "weight", "a number from 0 (search) to 1 (personal)", lambda it: 0 <= it <= 1)
    search = _checked_items(original)
    changes: dict[str, Any] = {}
    if isinstance(answer, Ranking):
        missing = answer.missing
        gone = set(missing)
        search = tuple(id for id in search if id not in gone)
        changes["input_list"] = (*search, *missing)
    if share == 0:
        order: Sequence[str] = search
    elif share == 1:
        order = answer.item_ids
    else:
        order = _mixed(_ranks(search), _ranks(answer.item_ids), share)
    return rearranged(answer, order, {}, f"blended with the search, weight {share:g}", once=True, **changes)


def _mixed(search: Mapping[str, int], personal: Mapping[str, int], share: float) -> list[str]:
    def value(id: str) -> float:
        of_search = (1 - share) / log2(search[id] + 1) if id in search else 0.0
        of_ranking = share / log2(personal[id] + 1) if id in personal else 0.0
        return of_search + of_ranking

    # Sorting is stable, so equal sums keep the order in which the items are listed here.
    return sorted({**search, **personal}, key=value, reverse=True)


def _ranks(ids: Iterable[str]) -> dict[str, int]:
    return {id: rank for rank, id in enumerate(dict.fromkeys(ids), start=1)}


def _checked_items(original: Any) -> tuple[str, ...]:
    if isinstance(original, Ranking | Recommendations):
        return original.item_ids
    return checks.ids(original, "original")

"""Items that are not to be shown again: what ``exclude=`` takes, how many rows to ask for, and taking them out.

They are taken out of the answer, and not by a filter, since a filter's values hold 1,000 characters: about 100 ids
(model: FilterAttributeValue). No I/O.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, TypeAlias

from personalize_rt import checks
from personalize_rt.errors import ValidationError
from personalize_rt.limits import Limits
from personalize_rt.operations import most_results
from personalize_rt.redaction import describe
from personalize_rt.rerank.rules import rearranged
from personalize_rt.results import PredictedItem, Ranking, Recommendations

__all__ = ["Seen", "enough", "in_one_request", "seen_ids", "without_seen"]

Seen: TypeAlias = Iterable[str | PredictedItem | Recommendations | Ranking]
"""Items that were seen: ids, rows, results, or a mixture. A result is such an iterable, as are pages and shelves."""

_STEP = 50


def seen_ids(values: Seen, parameter: str = "exclude") -> frozenset[str]:
    """The ids of items that were seen.

    Args:
        values: Ids, rows or results, or a column of a frame; taken once.
        parameter: The name of the argument.

    Raises:
        ValidationError: It is a single text, no iterable, or holds something else.
    """
    found: set[str] = set()
    for place, value in enumerate(checks.listed(values, parameter, "item ids, rows or results")):
        if isinstance(value, str):
            found.add(value)
        elif isinstance(value, PredictedItem):
            found.add(value.item_id)
        elif isinstance(value, Recommendations | Ranking):
            found.update(value.item_ids)
        else:
            raise ValidationError(
                f"{parameter}[{place}] is {describe(value)}: it takes item ids (str), rows and results",
                parameter=parameter,
            )
    return frozenset(found)


def in_one_request(value: Any, parameter: str, limits: Limits, *, with_metadata: bool) -> int:
    """A number of rows that one request can give.

    Args:
        value: The argument.
        parameter: Its name.
        limits: How much one request may carry.
        with_metadata: Whether the rows have metadata.

    Raises:
        ValidationError: It is no whole number from 1, or more than one request gives.
    """
    wanted = checks.whole(value, parameter)
    limit = most_results(limits, with_metadata=with_metadata)
    if limit is not None and wanted > limit:
        note = " with metadata columns" if with_metadata else ""
        raise ValidationError(
            f"{parameter} is {wanted:,}; one request gives at most {limit:,} items{note} (API reference: numResults)",
            parameter=parameter,
            limit=limit,
        )
    return wanted


def enough(wanted: int, seen: Collection[str], limits: Limits, *, with_metadata: bool) -> int:
    """The number of rows to ask for, so that enough are left without those that were seen, as far as one request goes.

    For items that were seen, rows are added in steps of 50, so that users who saw a few more or less send equal
    requests, which a cache answers.

    Args:
        wanted: How many are to be left.
        seen: The items to take out.
        limits: How much one request may carry.
        with_metadata: Whether the rows have metadata.
    """
    more = -(-len(seen) // _STEP) * _STEP
    limit = most_results(limits, with_metadata=with_metadata)
    return wanted + more if limit is None else min(wanted + more, limit)


def without_seen(answer: Recommendations, seen: Collection[str], at_most: int | None = None) -> Recommendations:
    """The first rows of an answer that were not seen, each item once; a row that moved says so in its ``rules``.

    Args:
        answer: The answer.
        seen: The items to take out.
        at_most: How many rows to keep; ``None`` for all.
    """
    kept = [id for id in dict.fromkeys(answer.item_ids) if id not in seen][:at_most]
    if tuple(kept) == answer.item_ids[: len(kept)]:
        return answer if len(kept) == len(answer) else answer[: len(kept)]
    return rearranged(answer, kept, {}, "others were taken out", once=True)

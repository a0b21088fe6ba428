"""The recommendation id and the impression of an event, from the answer that its item was shown in. No I/O."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, repeat
from typing import Any, cast

from personalize_rt.errors import ValidationError
from personalize_rt.redaction import describe

__all__ = ["IMPRESSION", "Impressions", "item_of"]

IMPRESSION = 25
"""Items of an impression, at the most (model: Impression)."""

# Answers whose shown items are remembered: a few MB at the most.
_REMEMBERED = 1_000
_NONE = frozenset[str]()


def item_of(item: Any) -> tuple[Any, str | None]:
    """The id of an item, and the recommendation id of its row.

    Args:
        item: An id, a row or ``None``.

    Raises:
        ValidationError: It is an action.
    """
    if item is None or isinstance(item, str):
        return item, None
    id = getattr(item, "item_id", None)
    if id is not None:
        return id, getattr(item, "recommendation_id", None)
    if hasattr(item, "action_id"):
        raise _about_actions("item")
    raise ValidationError(f"item is {describe(item)}, neither an item id (a str) nor a row", parameter="item")


def _about_actions(parameter: str) -> ValidationError:
    return ValidationError(
        f"{parameter} is of actions, and PutEvents takes items: report it with put_action_interactions() of "
        'boto3.client("personalize-events")',
        parameter=parameter,
    )


class Impressions:
    """Memory of the items of each answer that the service was told as shown. Not safe to share between threads.

    An item of an answer counts as shown once: an answer of the cache is shown again and again, and most answers lead to
    several events. The latest 1,000 answers are remembered.
    """

    def __init__(self) -> None:
        self._told: OrderedDict[str, set[str]] = OrderedDict()

    def of(
        self, answer: Any, item_id: str | None, told: list[tuple[str, Iterable[str]]] | None = None
    ) -> tuple[str | None, tuple[str, ...]]:
        """The recommendation id of an item in an answer, and the items that were shown and not told yet.

        Args:
            answer: A result, a part of one, or rows; also several of them (shelves).
            item_id: The item that the event is about, or ``None``.
            told: Takes what is remembered, for :meth:`forget`.

        Raises:
            ValidationError: It is none of these.
        """
        told = [] if told is None else told
        ids: Any = answer.came_with() if hasattr(answer, "came_with") and hasattr(answer, "item_ids") else None
        if type(ids) is repeat:  # nearly always: all rows came with one answer
            return self._of_one(answer.item_ids, cast("str | None", next(cast("Iterator[Any]", ids))), item_id, told)
        rows = list(_rows(answer))
        if item_id is None:
            # Rows of several answers: an event without an item is of none of them.
            answers = {came_with for _, came_with in rows}
            of_item = answers.pop() if len(answers) == 1 else None
        else:
            of_item = next((came_with for id, came_with in rows if id == item_id and came_with), None)
        fresh: dict[str, str] = {}
        for id, came_with in rows:
            if came_with is not None and id not in self._told.get(came_with, ()):
                fresh.setdefault(id, came_with)
        impression = list(islice(fresh, IMPRESSION))
        if item_id in fresh and item_id not in impression:
            impression[-1] = item_id
        for came_with in {fresh[id] for id in impression}:
            self._tell(came_with, [id for id in impression if fresh[id] == came_with], told)
        return of_item, tuple(impression)

    def _of_one(
        self,
        ids: Sequence[str],
        came_with: str | None,
        item_id: str | None,
        told: list[tuple[str, Iterable[str]]],
    ) -> tuple[str | None, tuple[str, ...]]:
        if came_with is None:
            return None, ()
        before = self._told.get(came_with) or _NONE
        is_shown = item_id is None or item_id in ids
        if before and before.issuperset(ids):  # nearly always, but for the first event of an answer
            return came_with if is_shown else None, ()
        fresh = (id for id in ids if id not in before) if before else ids
        impression = list(dict.fromkeys(islice(fresh, IMPRESSION)))
        if item_id is not None and is_shown and item_id not in before and item_id not in impression:
            impression[-1] = item_id
        if impression:
            self._tell(came_with, impression, told)
        return came_with if is_shown else None, tuple(impression)

    def forget(self, told: Iterable[tuple[str, Iterable[str]]]) -> None:
        """Take back what the service was not told after all, so that the next event has it."""
        for came_with, ids in told:
            self._told.get(came_with, set()).difference_update(ids)

    def _tell(self, came_with: str, ids: Iterable[str], told: list[tuple[str, Iterable[str]]]) -> None:
        told.append((came_with, ids))
        self._told.setdefault(came_with, set()).update(ids)
        self._told.move_to_end(came_with)
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)


def _rows(answer: Any) -> Iterator[tuple[str, str | None]]:
    """The ids of rows, each with the id of the answer that it came with."""
    given: Any = answer
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise ValidationError(f"of is {describe(answer)}, neither an answer nor rows of one", parameter="of")
    if hasattr(answer, "action_ids"):
        raise _about_actions("of")
    if hasattr(answer, "came_with"):  # a result: without making its rows
        yield from zip(answer.item_ids, answer.came_with(), strict=False)
        return
    for each in answer.values() if isinstance(given, Mapping) else answer:
        id = getattr(each, "item_id", None)
        if id is not None:
            yield id, getattr(each, "recommendation_id", None)
        elif hasattr(each, "action_id"):
            raise _about_actions("of")
        else:
            yield from _rows(each)

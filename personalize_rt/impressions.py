"""The recommendation id and the impression of an event, from the answer that its item was shown in. No I/O."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, repeat
from typing import Any, cast

from personalize_rt.errors import ValidationError
from personalize_rt.redaction import describe

__all__ = ["IMPRESSION", "Impressions", "item_of"]

IMPRESSION = 25
"""Items of an impression, at the most (model: Impression)."""

# Answers whose shown items are remembered: a few MB at the most.
_REMEMBERED = 1_000


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
    """What was shown of each answer, and told to the service so far. Not safe to share between threads.

    An item of an answer counts as shown once: an answer of the cache is shown again and again, and most answers lead to
    several events. The latest 1,000 answers are remembered.
    """

    def __init__(self) -> None:
        self._told: OrderedDict[str, set[str]] = OrderedDict()

    def of(self, answer: Any, item_id: str | None) -> tuple[str | None, tuple[str, ...]]:
        """The recommendation id of an item in an answer, and the items that were shown and not told yet.

        Args:
            answer: A result, a part of one, or rows; also several of them (shelves).
            item_id: The item that the event is about, or ``None``.

        Raises:
            ValidationError: It is none of these.
        """
        ids = getattr(answer, "item_ids", None)
        came_with = None if ids is None else answer.came_with()
        if isinstance(came_with, repeat):  # nearly always: all rows came with one answer
            of_item = shared = next(came_with)
            if item_id is not None and item_id not in ids:
                of_item = None
            told = None if shared is None else self._told.get(shared)
            shown: dict[str, Any] = (
                {} if shared is None else dict.fromkeys((id for id in ids if id not in told) if told else ids, shared)
            )
        else:
            rows = list(_rows(answer))
            found = {each for id, each in rows if item_id is None or id == item_id} - {None}
            # Rows of several answers: an event without an item is of none of them.
            of_item = found.pop() if len(found) == 1 or (found and item_id is not None) else None
            shown = {id: each for id, each in reversed(rows) if each and id not in self._told.get(each, ())}
            shown = dict(reversed(shown.items()))
        impression = list(islice(shown, IMPRESSION))
        if item_id in shown and item_id not in impression:
            impression[-1] = cast("str", item_id)
        self._remember(shown, impression)
        return of_item, tuple(impression)

    def _remember(self, shown: Mapping[str, str], impression: Iterable[str]) -> None:
        for id in impression:
            told = self._told.get(shown[id])
            if told is None:
                told = self._told[shown[id]] = set()
                if len(self._told) > _REMEMBERED:
                    self._told.popitem(last=False)
            told.add(id)
        for answer in {shown[id] for id in impression}:
            self._told.move_to_end(answer)


def _rows(answer: Any) -> Iterator[tuple[str, str | None]]:
    """The ids of rows, each with the id of the answer that it came with."""
    if isinstance(answer, str | bytes) or not isinstance(answer, Iterable):
        raise ValidationError(f"of is {describe(answer)}, neither an answer nor rows of one", parameter="of")
    if hasattr(answer, "action_ids"):
        raise _about_actions("of")
    if hasattr(answer, "came_with"):  # a result: without making its rows
        yield from zip(answer.item_ids, answer.came_with(), strict=False)
        return
    each: Any
    for each in answer.values() if isinstance(answer, Mapping) else answer:
        id = getattr(each, "item_id", None)
        if id is not None:
            yield id, getattr(each, "recommendation_id", None)
        elif hasattr(each, "action_id"):
            raise _about_actions("of")
        else:
            yield from _rows(each)

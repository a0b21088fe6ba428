"""Results of GetActionRecommendations. ``personalize_rt.results`` has them too, loaded when they are used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import repeat
from typing import Any, ClassVar, cast

import attrs

from personalize_rt.results import (
    BaseAnswer,
    BaseRow,
    OfDataclass,
    ResponseInfo,
    Shown,
    optional_members,
    read_head,
    read_rows,
    strings,
    written,
)

__all__ = ["ActionRecommendations", "PredictedAction"]


@attrs.frozen
class PredictedAction(BaseRow):
    """One action of an answer.

    Attributes:
        action_id: The action.
        score: The propensity, from 0 to 1: the probability that the user takes the action. Propensities are
            independent and do not sum to 1. ``None`` if the service sent none.
        rules: The reasons for which rules of the caller moved the row here; not part of equality, and not in the
            ``repr``.
        recommendation_id: The id of the service's answer that the action came with, or ``None``; likewise.
    """

    action_id: str
    score: float | None = None
    rules: tuple[str, ...] = attrs.field(default=(), converter=strings, repr=False, eq=False)
    recommendation_id: str | None = attrs.field(default=None, repr=False, eq=False)

    __dataclass_fields__: ClassVar[Any] = OfDataclass("__dataclass_fields__")
    __dataclass_params__: ClassVar[Any] = OfDataclass("__dataclass_params__")


def _action_ids(values: Iterable[str | PredictedAction]) -> tuple[str, ...]:
    return cast("tuple[str, ...]", tuple(values))  # rows are taken apart once all columns are there


@attrs.frozen(eq=False, repr=False)
class _Actions(BaseAnswer[PredictedAction]):
    """Base of :class:`ActionRecommendations`, with the fields of it."""

    action_ids: tuple[str, ...] = attrs.field(converter=_action_ids)

    def __attrs_post_init__(self) -> None:
        unset = self._scores is None  # pyright: ignore[reportUnnecessaryComparison] - see _score_column
        if unset or (self.action_ids and type(self.action_ids[0]) is not str):
            self._take_rows("action_ids", "action_id")
        scores = None if callable(self._scores) else self._scores
        self._check_columns(scores=scores, rules=self._rules, row_ids=self._row_ids)

    @property
    def _ids(self) -> tuple[str, ...]:
        return self.action_ids


class ActionRecommendations(Shown, _Actions):
    """The answer of GetActionRecommendations: actions by descending propensity.

    An immutable sequence of :class:`PredictedAction`.

    Args:
        action_ids: The actions, in order; or rows, of which the scores are taken unless they are given.
        scores: A propensity for each, or ``None``; or a function that returns them, called when they are first read. By
            default none has one.
        recommendation_id: The id to send back with the events that the answer leads to.
        info: Facts on the call.
        degraded: ``True`` if a fallback answered.
        cause: The error for which a fallback answered; kept without traceback.
    """

    __slots__ = ()

    def _row(self, index: int) -> PredictedAction:
        return next(self._rows(slice(index, index + 1 or None)))

    def _rows(self, part: slice) -> Iterator[PredictedAction]:
        rules = repeat(()) if self._rules is None else self._rules[part]
        return map(PredictedAction, self.action_ids[part], self.scores[part], rules, self._came_with(part))

    @classmethod
    def from_response(cls, response: Mapping[str, Any], *, info: ResponseInfo | None = None) -> ActionRecommendations:
        """Make a result from the reply of any boto3 client's ``get_action_recommendations(...)``.

        ``null`` and unknown members are tolerated; a list that is ``null`` is an empty one.

        Raises:
            ResponseError: A member does not conform to the service's model; the message names it.
        """
        head = read_head(response, info)
        ids, scores, _ = read_rows(response, "actionList", "actionId")
        return cls(ids, scores=scores, **head)

    def to_response(self) -> dict[str, Any]:
        """Convert to the reply that boto3 would return: the inverse of :meth:`from_response`."""
        scored = zip(self._ids, self.scores, strict=True)
        return written(self, "actionList", ({"actionId": id} | optional_members(score=score) for id, score in scored))

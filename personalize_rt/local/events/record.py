"""Events as they were taken in, for the assertions of tests."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from personalize_rt.local.schemas import Value
from personalize_rt.local.shown import RecordedAnswer

__all__ = ["NOTHING", "RecordedEvent"]

NOTHING: Mapping[str, Value] = MappingProxyType({})


@attrs.frozen(kw_only=True, repr=False, eq=False)
class RecordedEvent:
    """One event that was put, by PutEvents or PutActionInteractions. ``repr`` shows type, item and answer only.

    Attributes:
        operation: ``"PutEvents"`` or ``"PutActionInteractions"``.
        session_id: The session.
        user_id: The user that came with it, or ``None``.
        event_type: Its type; of action interactions in the spelling of the dataset (``"NOT_TAKEN"``).
        item_id: The item, or the action; ``None`` for an event without one.
        sent_at: When it happened: Unix time in seconds.
        event_id: Its id, or ``None``.
        event_value: Its value, or ``None``.
        recommendation_id: The id of the answer that it belongs to, or ``None``.
        answer: That answer; ``None`` without an id, or if it is none of the latest 5,000 answers of this service.
        impression: The items that came as shown; empty if none came.
        source: Its source for metric attribution, or ``None``.
        properties: Its contextual metadata, by column of the dataset.
        tracking_id: The tracking id that it came with; ``None`` if it was put by a method of this service.
    """

    operation: str
    session_id: str
    user_id: str | None
    event_type: str
    item_id: str | None
    sent_at: float
    event_id: str | None = None
    event_value: float | None = None
    recommendation_id: str | None = None
    answer: RecordedAnswer | None = None
    impression: tuple[str, ...] = ()
    source: str | None = None
    properties: Mapping[str, Value] = NOTHING
    tracking_id: str | None = None

    @property
    def shown(self) -> tuple[str, ...]:
        """The items that the user saw: those of the impression, or else of the answer (guide: explicit ones win)."""
        return self.impression or (() if self.answer is None else self.answer.item_ids)

    def __repr__(self) -> str:
        return f"RecordedEvent(event_type={self.event_type!r}, item_id={self.item_id!r}, answer={self.answer!r})"

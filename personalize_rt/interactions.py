"""An event of a user with an item, as in the Interactions dataset."""

from __future__ import annotations

import attrs

__all__ = ["Interaction"]


@attrs.frozen(repr=False)
class Interaction:
    """An event of a user with an item.

    The members are those of the Interactions schema (service.md section 8). ``repr`` hides the user.

    Attributes:
        user_id: The user, at most 256 characters.
        item_id: The item, at most 256 characters.
        timestamp: Unix time in seconds.
        event_type: ``"Watch"``, ``"click"``, …; ``None`` if the dataset has only one type.
        event_value: The number of the event, such as a rating, or ``None``.
    """

    user_id: str
    item_id: str
    timestamp: float
    event_type: str | None = None
    event_value: float | None = None

    def __repr__(self) -> str:
        return f"Interaction(user_id=<hidden>, item_id={self.item_id!r}, event_type={self.event_type!r})"

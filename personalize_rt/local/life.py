"""The life of a resource: created, active, deleted, each as long as it is told to take.

Statuses: the model's documentation of Campaign, EventTracker and others (``personalize`` 2018-05-22). That the first of
two takes half of the time is chosen here.
"""

from __future__ import annotations

import attrs

__all__ = ["Life", "progress"]


def progress(begun: float, pace: float, now: float, verb: str) -> str:
    """The status of a change that takes a time: ``"CREATE PENDING"``, ``"CREATE IN_PROGRESS"``, then ``"ACTIVE"``.

    Args:
        begun: Unix time of its beginning, in seconds.
        pace: Seconds that it takes.
        now: The Unix time.
        verb: ``"CREATE"`` or ``"DELETE"``.
    """
    if now >= begun + pace:
        return "ACTIVE"
    return f"{verb} {'PENDING' if now < begun + pace / 2 else 'IN_PROGRESS'}"


@attrs.frozen
class Life:
    """The times at which a resource was created and its deletion began.

    Attributes:
        created: Unix time of its creation, in seconds.
        pace: Seconds that a creation or deletion takes.
        deleted: Unix time at which its deletion began, or ``None``.
    """

    created: float = 0.0
    pace: float = 0.0
    deleted: float | None = None

    def exists(self, now: float) -> bool:
        """Tell whether there is such a resource, in any status."""
        return self.deleted is None or now < self.deleted + self.pace

    def active(self, now: float) -> bool:
        """Tell whether it can be used."""
        return self.deleted is None and now >= self.created + self.pace

    def status(self, now: float) -> str:
        """The status, as Describe has it."""
        if self.deleted is None:
            return progress(self.created, self.pace, now, "CREATE")
        return progress(self.deleted, self.pace, now, "DELETE")

    def updated(self, now: float) -> float:
        """Unix time of the last change of its status."""
        if self.deleted is not None:
            return self.deleted
        return self.created + self.pace if self.active(now) else self.created

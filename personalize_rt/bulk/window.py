"""Which results are under way, and which may be handed on next. No I/O, no threads."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

__all__ = ["Window"]

ValueT = TypeVar("ValueT")


class Window(Generic[ValueT]):
    """The requests between the first that was not handed on and the last that was taken in.

    Its size bounds memory: what is ahead of a slow request waits here, and when the window is full, nothing more is
    taken in.

    Args:
        size: Requests at the most.
        ordered: Hand results on in the order of their requests; else as they come.
    """

    def __init__(self, size: int, *, ordered: bool) -> None:
        self._size = size
        self._ordered = ordered
        self._taken = 0
        self._handed = 0
        self._next = 0
        self._waiting: dict[int, ValueT] = {}
        self._ready: deque[tuple[int, ValueT]] = deque()

    @property
    def taken(self) -> int:
        """Requests that were taken in."""
        return self._taken

    @property
    def under_way(self) -> int:
        """Requests without a result."""
        return self._taken - self._handed - len(self._waiting) - len(self._ready)

    def has_room(self) -> bool:
        """Whether another request may be taken in."""
        return self._taken - self._handed < self._size

    def take(self) -> int:
        """Take a request in; gives its place."""
        place = self._taken
        self._taken += 1
        return place

    def add(self, place: int, value: ValueT) -> None:
        """The result of a request."""
        if not self._ordered:
            self._ready.append((place, value))
        elif place != self._next:
            self._waiting[place] = value
        else:
            self._ready.append((place, value))
            self._next += 1
            while self._next in self._waiting:
                self._ready.append((self._next, self._waiting.pop(self._next)))
                self._next += 1

    def pop(self) -> tuple[int, ValueT] | None:
        """The place and the result to hand on next, or ``None`` when it is not there yet."""
        if not self._ready:
            return None
        self._handed += 1
        return self._ready.popleft()

    def give_up_gaps(self) -> bool:
        """What has no result will never have one: hand on what is behind it; whether there is something."""
        for place in sorted(self._waiting):
            self._ready.append((place, self._waiting.pop(place)))
        return bool(self._ready)

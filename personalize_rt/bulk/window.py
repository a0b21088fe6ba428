"""The window of pending requests of a run, which keeps results in order. No I/O, no threads."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

__all__ = ["Window"]

ValueT = TypeVar("ValueT")


class Window(Generic[ValueT]):
    """Pending requests, and results that wait for their turn behind a slow request.

    Args:
        ordered: Whether to release results in the order of their requests, or else as they arrive.
    """

    def __init__(self, *, ordered: bool) -> None:
        self._ordered = ordered
        self._taken = 0
        self._handed = 0
        self._next = 0
        self._waiting: dict[int, ValueT] = {}
        self._ready: deque[tuple[int, ValueT]] = deque()

    @property
    def open(self) -> int:
        """The number of requests whose results were not released. The caller bounds it, and so the memory."""
        return self._taken - self._handed

    def take(self) -> int:
        """Add a request, and return its place."""
        place = self._taken
        self._taken += 1
        return place

    def add(self, place: int, value: ValueT) -> None:
        """Add the result of a request."""
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
        """Release the next result, with its place; ``None`` if it is pending."""
        if not self._ready:
            return None
        self._handed += 1
        return self._ready.popleft()

    def skip_gaps(self) -> bool:
        """Skip requests that will never complete.

        Returns:
            Whether there are results after them, which :meth:`pop` then releases.
        """
        for place in sorted(self._waiting):
            self._ready.append((place, self._waiting.pop(place)))
        return bool(self._ready)

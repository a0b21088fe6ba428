"""The requests between the first that was not handed on and the last that was taken in. No I/O, no threads."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

__all__ = ["Window"]

ValueT = TypeVar("ValueT")


class Window(Generic[ValueT]):
    """Requests that were taken in, until their results are handed on. What is behind a slow request waits here.

    Args:
        ordered: Hand results on in the order of their requests; else as they come.
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
        """Requests that were taken in and not handed on. Who takes requests bounds it, and with it memory."""
        return self._taken - self._handed

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

    def skip_gaps(self) -> bool:
        """Skip requests that will never have a result.

        Returns:
            Whether there are results behind them, which :meth:`pop` then gives.
        """
        for place in sorted(self._waiting):
            self._ready.append((place, self._waiting.pop(place)))
        return bool(self._ready)

"""One request under way, as seen by those who may end it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

__all__ = ["Attempt", "time_left", "under_way"]


class Attempt:
    """One request under way: when it must be over, and the means to break it off.

    Args:
        ends: When it must be over, by ``time.monotonic()``; ``None`` for no such time.

    Attributes:
        ends: As given.
        is_held: Somebody may call :meth:`cancel`.
        request: The request whose values botocore's log must not show, or ``None``.
        unsigned: It has no credentials yet, so nothing was sent.
    """

    __slots__ = ("_break_off", "_broken_off", "_lock", "ends", "is_held", "request", "unsigned")

    def __init__(self, ends: float | None = None) -> None:
        self.ends: float | None = ends
        self.is_held: bool = False
        self.request: Any = None
        self.unsigned: bool = False
        self._break_off: Callable[[], object] | None = None
        self._broken_off = False
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """Break the attempt off: whoever waits for its answer wakes up with an error. Safe from any thread."""
        # Held until it is done: else a connection could go back to the pool, and to another request, in between.
        with self._lock:
            self._broken_off = True
            if self._break_off is not None:
                self._break_off()

    def waits_for(self, break_off: Callable[[], object] | None) -> None:
        """Set what :meth:`cancel` calls from now on to end the waiting; ``None`` when nobody waits.

        Raises:
            ConnectionAbortedError: The attempt was broken off before.
        """
        with self._lock:
            self._break_off = break_off
            if self._broken_off and break_off is not None:
                raise ConnectionAbortedError("the attempt was broken off")

    @property
    def broken_off(self) -> bool:
        """True when somebody cancelled the attempt; its connection must not be used again."""
        return self._broken_off

    def left(self, timeout: float | None) -> float | None:
        """The time-out of the next step: the connection's own, or what is left if that is less.

        Raises:
            TimeoutError: Nothing is left.
        """
        if self.ends is None:
            return timeout
        left = self.ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time of this attempt is over")
        return left if timeout is None or left < timeout else timeout


under_way: ContextVar[Attempt | None] = ContextVar("under_way", default=None)
"""The attempt that the request being sent in this thread or task belongs to."""


def time_left() -> float | None:
    """Seconds until the request being sent in this thread must be over; ``None`` when nothing ends it."""
    attempt = under_way.get()
    return None if attempt is None or attempt.ends is None else max(0.0, attempt.ends - time.monotonic())

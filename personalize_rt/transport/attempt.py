"""One request under way, as seen by those who may end it."""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar
from typing import Any

__all__ = ["REPLY", "Attempt", "under_way"]

REPLY = "personalize_rt.reply"
"""The member of a parsed reply that holds the body as the fast path decoded it."""


class Attempt:
    """One request under way: when it must be over, and the means to break it off.

    Attributes:
        ends: When it must be over, by ``time.monotonic()``; ``None`` for no such time.
        request: The request whose values botocore's log must not show, or ``None``.
        unsigned: It has no credentials yet, so nothing was sent.
    """

    __slots__ = ("_broken_off", "_lock", "_sock", "ends", "request", "unsigned")

    def __init__(self, ends: float | None = None) -> None:
        self.ends: float | None = ends
        self.request: Any = None
        self.unsigned: bool = False
        self._sock: Any = None
        self._broken_off = False
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """Break the attempt off: whoever waits for its socket wakes up with an error. Safe from any thread."""
        import socket
        from contextlib import suppress

        # Held until the socket is shut down: else it could go back to the pool, and to another request, in between.
        with self._lock:
            self._broken_off = True
            if self._sock is not None:
                with suppress(OSError):  # it may be over
                    # The plain shutdown, under TLS too: this thread must not touch the state of the connection.
                    socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def waits_for(self, sock: Any) -> None:
        """The socket that the attempt waits for from now on; ``None`` when it waits for none."""
        with self._lock:
            self._sock = sock
            if self._broken_off and sock is not None:
                raise ConnectionAbortedError("the attempt was broken off")

    @property
    def broken_off(self) -> bool:
        """Whether somebody cancelled the attempt; its connection must not be used again."""
        return self._broken_off

    def left(self, timeout: float | None) -> float | None:
        """The time-out of the next socket operation: the connection's own, or what is left if that is less."""
        if self.ends is None:
            return timeout
        left = self.ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time of this attempt is over")
        return left if timeout is None or left < timeout else timeout


under_way: ContextVar[Attempt | None] = ContextVar("under_way", default=None)
"""The attempt that the request being sent in this thread or task belongs to."""

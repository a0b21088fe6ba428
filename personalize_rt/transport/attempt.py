"""One request under way, as seen by those who may end it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, cast

__all__ = ["Attempt", "Reply", "reply_of", "time_left", "under_way"]


class Reply:
    """One answer of the service.

    Attributes:
        members: The members of the reply.
        request_id: The service's id of the request, or ``None``.
        sent: Requests that this answer took; more than one where a caller's client retries by itself.
    """

    __slots__ = ("members", "request_id", "sent")

    def __init__(self, members: Mapping[str, Any], request_id: str | None, sent: int) -> None:
        self.members: Mapping[str, Any] = members
        self.request_id: str | None = request_id
        self.sent: int = sent


def reply_of(parsed: Any) -> Reply:
    """The reply that a client's method returned, as botocore parsed it."""
    head = parsed.get("ResponseMetadata") if isinstance(parsed, dict) else None
    if not isinstance(head, dict):
        return Reply(parsed, None, 1)  # a test double's; reading it says what is wrong
    head = cast("dict[str, Any]", head)
    return Reply(cast("dict[str, Any]", parsed), head.get("RequestId"), 1 + head.get("RetryAttempts", 0))


class Attempt:
    """One request under way: when it must be over, and the means to break it off.

    Attributes:
        ends: When it must be over, by ``time.monotonic()``; ``None`` for no such time.
        request: The request whose values botocore's log must not show, or ``None``.
    """

    __slots__ = ("_broken_off", "_lock", "_sock", "ends", "request")

    def __init__(self, ends: float | None = None) -> None:
        self.ends: float | None = ends
        self.request: Any = None
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


def time_left() -> float | None:
    """Seconds until the request being sent in this thread must be over; ``None`` when nothing ends it."""
    attempt = under_way.get()
    return None if attempt is None or attempt.ends is None else max(0.0, attempt.ends - time.monotonic())

"""How fast requests may go out: even pacing, and less of it when the service throttles.

A token bucket that holds little, so that requests are spread evenly, with a rate that follows AIMD (additive increase,
multiplicative decrease), as TCP does: throttling cuts the rate at once, quiet time brings it back in small steps.
The minimum that a campaign is provisioned for is a good rate to begin with: the service holds that, and more only after
it has scaled, during which requests are lost (guide, campaigns: ``minProvisionedTPS``).

It decides and never waits; a driver asks it again after the wait:

    while wait := limiter.decide(clock()):
        sleep(wait)
"""

from __future__ import annotations

import ctypes
import math
import threading
from typing import TYPE_CHECKING, Protocol

from personalize_rt import checks, forks

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext
    from types import TracebackType

__all__ = ["RateLimiter"]

# Seconds of requests that may be caught up with after a worker came late. In any window of w seconds there are at most
# rate * (w + SLACK) + 1 requests: 1.5 % above the rate in 10 s.
SLACK = 0.15
# AIMD: what is left of the rate after throttling, and the part of it that comes back in a second. Around a capacity
# that is below the rate, there is throttling about every 15 s, and 85 % of the capacity is used.
DECREASE = 0.7
INCREASE = 0.02
# The service provisions at least one transaction a second.
FLOOR = 1.0
# Seconds over which requests are counted, where no rate was given to cut.
WINDOW = 1.0


class _State(ctypes.Structure):
    """The numbers, in a form that can stand in memory that processes share.

    A process may be killed between writing two of them: the rate is then between the old one and the new one.
    """

    _fields_ = [
        ("due", ctypes.c_double),  # when the next request may go out
        ("rate", ctypes.c_double),  # requests a second at `since`; infinite before the first throttling without a rate
        ("since", ctypes.c_double),
        ("step", ctypes.c_double),  # requests a second that come back each second
        ("cut", ctypes.c_double),  # when the rate was last cut
        ("counted_from", ctypes.c_double),
        ("counted", ctypes.c_double),  # requests since then
        ("measured", ctypes.c_double),  # requests a second in the window before
        ("throttles", ctypes.c_double),
    ]

    if TYPE_CHECKING:
        due: float
        rate: float
        since: float
        step: float
        cut: float
        counted_from: float
        counted: float
        measured: float
        throttles: float


class _Lock(Protocol):
    def __enter__(self) -> bool: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class RateLimiter:
    """The pace of one job. Locked: all threads of the job share it, and with ``context`` its processes too.

    Time is an argument: seconds that only ever grow, of one clock for all who share the limiter.

    Args:
        tps: Requests a second to begin with, above 0. After throttling it comes back to this and never goes above.
            ``None`` for no limit until the service throttles; then the rate that it throttled is the one to cut, and
            may be passed again.
        context: A context of ``multiprocessing``, whose processes are to share this limiter; they inherit it.

    Raises:
        ValidationError: ``tps`` is not above 0.
    """

    def __init__(self, tps: float | None = None, *, context: BaseContext | None = None) -> None:
        if tps is not None:
            checks.number(tps, "tps", "a number of requests a second above 0", lambda it: 0 < it < math.inf)
        self._ceiling = math.inf if tps is None else float(tps)
        self._floor = min(FLOOR, self._ceiling)
        self._state: _State
        self._lock: _Lock
        if context is None:
            self._state, self._lock = _State(), threading.Lock()
            forks.in_child(self, RateLimiter._unlock)
        else:
            from multiprocessing.sharedctypes import RawValue

            from personalize_rt.bulk.process_lock import process_lock

            self._state, self._lock = RawValue(_State), process_lock(context)
        state = self._state
        state.due = state.since = state.cut = state.counted_from = -math.inf
        state.rate = self._ceiling
        state.step = 0.0 if tps is None else INCREASE * tps

    def _unlock(self) -> None:
        self._lock = threading.Lock()

    @property
    def throttles(self) -> int:
        """How often the service throttled."""
        return int(self._state.throttles)

    def rate(self, now: float) -> float:
        """Requests a second at this time; infinite for no limit."""
        with self._lock:
            return self._rate(now)

    def decide(self, now: float) -> float:
        """Ask to send a request.

        Args:
            now: The time.

        Returns:
            0.0: send it now. Otherwise the seconds after which to ask again.
        """
        state = self._state
        with self._lock:
            if now < state.due:
                return state.due - now
            self._take(now)
            return 0.0

    def charge(self, now: float) -> None:
        """Count a request that went out unasked: a retry or a hedge. Those that follow wait for it."""
        with self._lock:
            self._take(now)

    def throttled(self, now: float, sent: float) -> None:
        """The service throttled a request.

        Args:
            now: The time.
            sent: When the request went out. One from before the last cut says nothing about the rate since.
        """
        state = self._state
        with self._lock:
            state.throttles += 1
            if sent <= state.cut:
                return
            rate = self._rate(now)
            if rate == math.inf:
                # What was sent in about a second is what was too much.
                measured = state.counted / max(now - state.counted_from, WINDOW)
                rate = max(state.measured, measured, self._floor)
                state.step = INCREASE * rate
            state.rate, state.since, state.cut = max(self._floor, DECREASE * rate), now, now
            state.due = max(state.due, now + 1.0 / state.rate)

    def _rate(self, now: float) -> float:
        state = self._state
        if state.rate == self._ceiling:
            return self._ceiling
        return min(self._ceiling, state.rate + state.step * (now - state.since))

    def _take(self, now: float) -> None:
        state = self._state
        rate = self._rate(now)
        if rate == math.inf:
            if now - state.counted_from >= WINDOW:
                # After a pause there is nothing to compare with.
                state.measured = state.counted / (now - state.counted_from) if state.counted_from > -math.inf else 0.0
                state.counted_from, state.counted = now, 0.0
            state.counted += 1
            return
        if state.rate != rate and rate == self._ceiling:
            state.rate = rate  # all the way back
        state.due = max(state.due, now - SLACK) + 1.0 / rate

"""Hedging: a second request when the first is slow, of which the first answer is taken.

A few slow answers make the tail of a page's latency. A hedge waits until an answer is later than most, and then sends a
second request. The load it adds is limited to a set percentage: each call earns a fraction of a hedge.
"""

from __future__ import annotations

from collections import deque

from personalize_rt import checks, forks

__all__ = ["Hedge"]

_SAMPLES = 200
_REFRESH = 20  # samples between two updates of the percentile


class Hedge:
    """The policy of second requests. Safe to share between threads.

    Args:
        after: Seconds before the second request; ``None`` for the running 95th percentile of the durations of
            requests, once there are ``min_samples`` of them.
        percent: The most hedges, in percent of the calls.
        min_samples: The number of answers before the running percentile is used.
    """

    _lock = forks.lock()

    def __init__(self, after: float | None = None, *, percent: float = 5.0, min_samples: int = 20) -> None:
        if after is not None:
            checks.seconds(after, "after", note=", or None")
        self.after = after
        self.percent: float = checks.number(percent, "percent", "above 0 and at most 100", lambda it: 0 < it <= 100)
        self.min_samples: int = checks.whole(min_samples, "min_samples", least=0)
        self._earned = 0.0
        self._taken: deque[float] = deque(maxlen=_SAMPLES)
        self._since_sorted = 0
        self._p95: float | None = None

    def delay(self) -> float | None:
        """Seconds to wait before the second request of this call; ``None`` for no hedge."""
        with self._lock:
            self._earned = min(10.0, self._earned + self.percent / 100)
            if self._earned < 1.0:
                return None
            return self._p95 if self.after is None else self.after

    def take(self) -> bool:
        """Request permission to send the second request now."""
        with self._lock:
            if self._earned < 1.0:
                return False
            self._earned -= 1.0
            return True

    def answered(self, seconds: float) -> None:
        """Record the duration of one request."""
        if self.after is not None:
            return
        with self._lock:
            self._taken.append(seconds)
            self._since_sorted += 1
            if len(self._taken) >= self.min_samples and (self._p95 is None or self._since_sorted >= _REFRESH):
                self._since_sorted = 0
                ordered = sorted(self._taken)
                self._p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]

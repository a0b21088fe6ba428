"""A runtime that reports its attempts to a limiter: throttled ones slow the job down, and retries count as requests."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import Any, TypeVar

import attrs

from personalize_rt.bulk.limiter import RateLimiter
from personalize_rt.errors import ThrottlingError
from personalize_rt.resilience.retry import RetryPolicy, Stop, Wait

__all__ = ["PacedRetry", "paced", "sent_at"]

RuntimeT = TypeVar("RuntimeT")

sent_at: ContextVar[float] = ContextVar("sent_at", default=0.0)
"""The time at which this thread or task sent its last request, by ``time.monotonic()``."""


@attrs.frozen(eq=False, repr=False)
class PacedRetry(RetryPolicy):
    """A retry policy that reports throttling and retries to a limiter."""

    policy: RetryPolicy = attrs.field(kw_only=True)
    limiter: RateLimiter = attrs.field(kw_only=True)

    def decide(self, error: BaseException, *, attempt: int, left: float | None) -> Wait | Stop:
        """Decide like the policy, and report to the limiter."""
        now = time.monotonic()
        if isinstance(error, ThrottlingError):
            self.limiter.throttled(now, sent_at.get())
        decision = self.policy.decide(error, attempt=attempt, left=left)
        if isinstance(decision, Wait):
            self.limiter.charge(now)
            sent_at.set(now + decision.seconds)
        return decision


def paced(runtime: RuntimeT, limiter: RateLimiter) -> RuntimeT:
    """Copy a runtime, sync or async, so that its retries are reported to a limiter.

    The copy sends no hedges, which would double the load without the limiter's knowledge and help nobody in bulk.
    """
    shared: Any = runtime
    policy: RetryPolicy = shared._policies.retry
    fields = {
        field.alias: getattr(policy, field.name) for field in attrs.fields(RetryPolicy) if field.alias is not None
    }
    copied: RuntimeT = shared.with_options(retry=PacedRetry(policy=policy, limiter=limiter, **fields), hedge=None)
    return copied

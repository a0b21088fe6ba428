"""A runtime whose retries count: each throttled attempt slows the job down, and each retry takes its turn's place."""

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
"""When the last request of this thread or task went out, by ``time.monotonic()``."""


@attrs.frozen(eq=False, repr=False)
class PacedRetry(RetryPolicy):
    """A retry policy that tells the limiter what happens. It is asked only when an attempt failed."""

    policy: RetryPolicy = attrs.field(kw_only=True)
    limiter: RateLimiter = attrs.field(kw_only=True)

    def decide(self, error: BaseException, *, attempt: int, left: float | None) -> Wait | Stop:
        """What the policy decides."""
        now = time.monotonic()
        if isinstance(error, ThrottlingError):
            self.limiter.throttled(now, sent_at.get())
        decision = self.policy.decide(error, attempt=attempt, left=left)
        if isinstance(decision, Wait):
            self.limiter.charge(now)
            sent_at.set(now + decision.seconds)
        return decision


def paced(runtime: RuntimeT, limiter: RateLimiter) -> RuntimeT:
    """A copy of a runtime, sync or async, whose retries the limiter knows of.

    It sends no hedges: in bulk nobody waits for a single answer, and they would double the load unseen.
    """
    shared: Any = runtime
    policy: RetryPolicy = shared._policies.retry
    fields = {
        field.alias: getattr(policy, field.name) for field in attrs.fields(RetryPolicy) if field.alias is not None
    }
    copied: RuntimeT = shared.with_options(retry=PacedRetry(policy=policy, limiter=limiter, **fields), hedge=None)
    return copied

"""The options of a runtime, as the types of ``**options``: for those who make one on behalf of a caller.

Those of an event tracker as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from personalize_rt.files import StrPath
    from personalize_rt.limits import Limits
    from personalize_rt.resilience.breaker import CircuitBreaker
    from personalize_rt.resilience.cache import Cache
    from personalize_rt.resilience.call import Hook
    from personalize_rt.resilience.event_queue import OnFull
    from personalize_rt.resilience.fallback import Fallback
    from personalize_rt.resilience.hedge import Hedge
    from personalize_rt.resilience.retry import RetryPolicy

__all__ = ["BuildOptions", "CallOptions", "TrackerOptions"]


class CallOptions(TypedDict, total=False):
    """The options of calls, as :meth:`personalize_rt.PersonalizeRuntime.with_options` takes them."""

    retry: RetryPolicy
    deadline: float | None
    limits: Limits
    fallback: Fallback | None
    breaker: CircuitBreaker | None
    cache: Cache | None
    hedge: Hedge | None
    hooks: Iterable[Hook]
    enforce_deadline: bool


class BuildOptions(CallOptions, total=False):
    """The options of calls, and those of the client to build, which does not come from a session of the caller."""

    region_name: str | None
    endpoint_url: str | None
    config: Any
    redact: bool


class TrackerOptions(TypedDict, total=False):
    """The options of :class:`personalize_rt.EventTracker`, without those of the client to build."""

    retry: RetryPolicy
    deadline: float | None
    breaker: CircuitBreaker | None
    hooks: Iterable[Hook]
    enforce_deadline: bool
    max_events: int
    max_bytes: int
    flush_after: float
    on_full: OnFull
    concurrency: int
    close_timeout: float
    spool: StrPath | None
    clock: Any

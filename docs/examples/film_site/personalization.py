"""The campaign and the event tracker, built when first asked for, and shared by the threads of the process."""

from __future__ import annotations

from functools import cache

from django.conf import settings

from personalize_rt import (
    Campaign,
    CircuitBreaker,
    EventTracker,
    Hedge,
    InputOrderFallback,
    PersonalizeRuntime,
    RetryPolicy,
    StaleFallback,
)


@cache
def movies() -> Campaign:
    """The ranking of films; in a forked worker its connections are made anew."""
    runtime = PersonalizeRuntime(
        deadline=0.15,
        retry=RetryPolicy(attempts=2, base=0.01, min_attempt=0.04),
        hedge=Hedge(),
        breaker=CircuitBreaker(),
        fallback=StaleFallback() | InputOrderFallback(),
    )
    return runtime.campaign(settings.PERSONALIZE_CAMPAIGN_ARN)


@cache
def tracker() -> EventTracker:
    """The tracker of events. A forked worker sends its own; what is in the queue when a process exits is sent then."""
    return EventTracker(settings.PERSONALIZE_TRACKING_ID)

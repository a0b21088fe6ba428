"""The campaign, built when it is first asked for, and shared by the threads of the process."""

from __future__ import annotations

from functools import cache

from django.conf import settings

from personalize_rt import Campaign, InputOrderFallback, PersonalizeRuntime


@cache
def movies() -> Campaign:
    """The ranking of films; in a forked worker its connections are made anew."""
    runtime = PersonalizeRuntime(deadline=0.3, fallback=InputOrderFallback())
    return runtime.campaign(settings.PERSONALIZE_CAMPAIGN_ARN)

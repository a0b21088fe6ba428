"""The events API (``personalize-events``) of the embedded service.

A request passes ``wire`` (HTTP, JSON), ``model`` (what members must be) and ``intake``, which Python's methods use as
well; ``columns`` reads properties by the schema, and ``record`` has the events as tests see them.
"""

from __future__ import annotations

from personalize_rt.local.events.intake import Intake
from personalize_rt.local.events.record import RecordedEvent
from personalize_rt.local.events.wire import EventsWire

__all__ = ["EventsWire", "Intake", "RecordedEvent"]

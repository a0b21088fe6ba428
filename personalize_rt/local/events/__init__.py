"""The events API (``personalize-events``) of the embedded service."""

from __future__ import annotations

from personalize_rt.local.events.wire import EventsWire

__all__ = ["EventsWire"]

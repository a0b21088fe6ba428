"""The events API at the level of HTTP bytes."""

from __future__ import annotations

import random

from personalize_rt.local.apis import EVENTS, Replies, asked_of
from personalize_rt.local.engine import Engine
from personalize_rt.local.messages import HttpRequest, HttpResponse
from personalize_rt.local.settings import Settings

__all__ = ["EventsWire"]


class EventsWire:
    """Parses requests of the events API, and puts what they bring into the engine. Safe to share between threads.

    Args:
        engine: The engine.
        settings: The settings of the data.
        rng: Makes the ids of requests.
    """

    def __init__(self, engine: Engine, settings: Settings, *, rng: random.Random) -> None:
        self._engine = engine
        self._settings = settings
        self._replies = Replies(EVENTS, rng, engine.clock)

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one request. No content of a request makes it raise."""
        return self._replies.refuse_operation(asked_of(request)[1], ())

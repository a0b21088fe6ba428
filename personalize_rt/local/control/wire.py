"""The control plane at the level of HTTP bytes."""

from __future__ import annotations

import random
from collections.abc import Sequence

from personalize_rt.local.apis import CONTROL, Replies, asked_of
from personalize_rt.local.engine import Engine, Resource
from personalize_rt.local.messages import HttpRequest, HttpResponse
from personalize_rt.local.settings import Settings

__all__ = ["ControlWire"]


class ControlWire:
    """Parses requests of the control plane, and answers them by the settings. Safe to share between threads.

    Args:
        engine: The engine.
        settings: The settings of the data.
        resources: The campaigns and recommenders.
        rng: Makes the ids of requests.
    """

    def __init__(
        self, engine: Engine, settings: Settings, resources: Sequence[Resource], *, rng: random.Random
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._resources = resources
        self._replies = Replies(CONTROL, rng, engine.clock)

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one request. No content of a request makes it raise."""
        return self._replies.refuse_operation(asked_of(request)[1], ())

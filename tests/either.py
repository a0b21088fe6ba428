"""Both clients, called alike: a test of what they share is written once."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config

from personalize_rt import PersonalizeRuntime
from personalize_rt.aio import AsyncPersonalizeRuntime

__all__ = ["ACCOUNT", "PATIENT", "Either", "either"]

ACCOUNT = "arn:aws:personalize:eu-west-1:123456789012"
PATIENT: dict[str, Any] = {
    "region_name": "eu-west-1",
    "deadline": 20.0,
    "config": Config(connect_timeout=20, read_timeout=20),
}
"""Options of a runtime on a busy machine: nothing is late, and nothing sent twice, but what a test makes so."""


class Either:
    """One of the two clients.

    Attributes:
        kind: Its class.
    """

    def __init__(self, kind: type[Any], runner: asyncio.Runner) -> None:
        self.kind = kind
        self._runner = runner
        self._made: list[Any] = []

    def runtime(self, **options: Any) -> Any:
        """A runtime that builds its own client, patient unless it is told otherwise."""
        self._made.append(self.kind(**{**PATIENT, **options}))
        return self._made[-1]

    def do(self, call: Any) -> Any:
        """The result of a call, which has been made or has to be awaited."""
        if not inspect.isawaitable(call):
            return call

        async def awaited() -> Any:
            return await call

        return self._runner.run(awaited())

    def close(self) -> None:
        """Close all runtimes."""
        for made in self._made:
            self.do(made.aclose() if hasattr(made, "aclose") else made.close())


@pytest.fixture(params=[PersonalizeRuntime, AsyncPersonalizeRuntime], ids=["blocking", "asyncio"])
def either(request: pytest.FixtureRequest) -> Iterator[Either]:
    with asyncio.Runner() as runner:
        made = Either(request.param, runner)
        yield made
        made.close()

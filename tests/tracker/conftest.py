"""A service of events on 127.0.0.1, and trackers for it: of threads, and of tasks by the same methods."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from personalize_rt import EventTracker, RetryPolicy
from personalize_rt.aio import AsyncEventTracker
from personalize_rt.events import Event
from tests.servers import ScriptedServer

TRACKING_ID = "t-1"
# Nothing here waits for long, whatever fails.
QUICK = {"retry": RetryPolicy(attempts=2, base=0.01, cap=0.01), "deadline": 1.0}


class InALoop:
    """An :class:`AsyncEventTracker` whose methods block: its event loop runs on a thread."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._of_tasks = AsyncEventTracker(*arguments, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._of_tasks, name)
        if not inspect.iscoroutinefunction(found):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(found(*arguments, **options), self._loop).result(30)

        return call

    def __repr__(self) -> str:
        return repr(self._of_tasks)

    def close(self, *arguments: Any) -> None:
        asyncio.run_coroutine_threadsafe(self._of_tasks.aclose(*arguments), self._loop).result(30)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class Service(ScriptedServer):
    """Takes events, and tells what it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.always(self.answer(200, b""))

    @property
    def batches(self) -> list[list[Any]]:
        """The item ids of each request, in order of arrival."""
        return [[event.get("itemId") for event in sent.members["eventList"]] for sent in list(self.received)]

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events that came."""
        return [event for sent in list(self.received) for event in sent.members["eventList"]]

    def waits_for(self, holds: Callable[[], object], within: float = 20.0) -> None:
        until = time.monotonic() + within
        while not holds():
            assert time.monotonic() < until, f"it did not happen; {self.count} requests came"
            time.sleep(0.005)


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


@pytest.fixture
def told() -> list[Event]:
    """What hooks were told."""
    return []


@pytest.fixture(params=["threads", "tasks"])
def kind(request: pytest.FixtureRequest) -> Any:
    return {"threads": EventTracker, "tasks": InALoop}[request.param]


@pytest.fixture
def tracker(kind: Any, service: Service, session: Any, told: list[Event]) -> Iterator[Callable[..., Any]]:
    """Makes trackers of either kind."""
    made: list[Any] = []

    def make(**options: Any) -> Any:
        client = {} if "client" in options else {"session": session, "endpoint_url": service.url}
        made.append(kind(TRACKING_ID, **{**QUICK, **client, "hooks": [told.append], "close_timeout": 0.0, **options}))
        return made[-1]

    yield make
    for each in made:
        each.close()
        if isinstance(each, InALoop):
            each.end()


@pytest.fixture
def of_threads(service: Service, session: Any, told: list[Event]) -> Iterator[Callable[..., EventTracker]]:
    """Makes trackers of threads."""
    made: list[EventTracker] = []

    def make(**options: Any) -> EventTracker:
        client = {} if "client" in options else {"session": session, "endpoint_url": service.url}
        everything: dict[str, Any] = {**QUICK, **client, "hooks": [told.append], "close_timeout": 0.0, **options}
        made.append(EventTracker(TRACKING_ID, **everything))
        return made[-1]

    yield make
    for each in made:
        each.close()

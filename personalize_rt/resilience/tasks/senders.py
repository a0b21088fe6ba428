"""The senders of an event tracker: tasks that send beside the program, and the signal to wake them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any

from personalize_rt.transport.asynchronous import keep_alive

__all__ = ["Signal", "alive", "current", "start", "stop"]


class Signal:
    """A condition that tasks of one event loop wait for or signal.

    There is no lock to hold: nothing else runs in the loop between two points at which a task waits.
    """

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()
        self._dozing: asyncio.Future[None] | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    async def wait(self, seconds: float | None) -> None:
        """Wait until somebody notifies, for so many seconds at the most."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(woken)
        try:
            await _within(seconds, woken)
        finally:
            self._waiting.discard(woken)

    def notify(self) -> None:
        """Wake all who wait."""
        here = asyncio.get_running_loop()
        for woken in self._waiting:
            # One of a loop that is over waits for nothing.
            if woken.get_loop() is here and not woken.done():
                woken.set_result(None)

    async def doze(self, seconds: float) -> None:
        """Wait until somebody rouses, for so many seconds at the most; for one task."""
        self._dozing = asyncio.get_running_loop().create_future()
        await _within(seconds, self._dozing)

    def rouse(self) -> bool:
        """End the doze. Returns whether a task of this event loop dozes, or did."""
        dozing = self._dozing
        if dozing is None or dozing.get_loop() is not asyncio.get_running_loop():
            return False
        if not dozing.done():
            dozing.set_result(None)
        return True


async def _within(seconds: float | None, woken: asyncio.Future[None]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await woken


def start(work: Callable[[], Coroutine[Any, Any, None]], senders: set[Any]) -> bool:
    """Start a sender.

    Args:
        work: What it does.
        senders: Those that are alive.

    Returns:
        Whether it was started: always.
    """
    keep_alive(asyncio.get_running_loop().create_task(work()), senders)
    return True


def current() -> Any:
    """The sender that runs here."""
    return asyncio.current_task()


def alive(senders: set[Any]) -> set[Any]:
    """The senders of this event loop that are not over."""
    here = asyncio.get_running_loop()
    return {sender for sender in senders if sender.get_loop() is here and not sender.done()}


async def stop(senders: set[Any]) -> None:
    """Cancel the senders, and wait until they are over."""
    stopped = alive(senders) - {asyncio.current_task()}
    for sender in stopped:
        sender.cancel()
    await asyncio.gather(*stopped, return_exceptions=True)

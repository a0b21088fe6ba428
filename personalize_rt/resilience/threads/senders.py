"""The senders of an event tracker: threads that send beside the program, and the signal to wake them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any

from personalize_rt import forks

__all__ = ["Signal", "alive", "current", "start", "stop"]


# Seconds after which a new sender begins to work: a page waits until its thread has started, and then, while that
# computes, up to 5 ms for the interpreter.
_BEGINS = 0.001


class Signal:
    """A lock, and a condition that its holder waits for or signals. A forked child has another one."""

    _condition = forks.PerProcess(lambda: threading.Condition())
    _wake = forks.PerProcess(lambda: _held(threading.Lock()))

    def __enter__(self) -> None:
        self._condition.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._condition.release()

    def wait(self, seconds: float | None) -> None:
        """Let go of the lock until somebody notifies, for so many seconds at the most."""
        self._condition.wait(seconds)

    def notify(self) -> None:
        """Wake all who wait."""
        self._condition.notify_all()

    def doze(self, seconds: float) -> None:
        """Wait until somebody rouses, for so many seconds at the most; for one thread, which does not hold the lock."""
        self._wake.acquire(timeout=seconds)

    def rouse(self) -> bool:
        """End the doze, or the next one; never waits, and needs no lock. Returns ``True``."""
        with suppress(RuntimeError):  # it was roused before
            self._wake.release()
        return True


def _held(lock: threading.Lock) -> threading.Lock:
    lock.acquire()
    return lock


def start(work: Callable[[], None], senders: set[Any]) -> bool:
    """Start a sender, which does not keep the process alive.

    Args:
        work: What it does.
        senders: Those that are alive.

    Returns:
        Whether it was started; a system may refuse one more thread.
    """

    def run() -> None:
        try:
            time.sleep(_BEGINS)
            work()
        finally:
            senders.discard(thread)

    thread = threading.Thread(target=run, name="personalize-rt-tracker", daemon=True)
    senders.add(thread)
    try:
        thread.start()
    except RuntimeError:
        senders.discard(thread)
        return False
    return True


def current() -> Any:
    """The sender that runs here."""
    return threading.current_thread()


def alive(senders: set[Any]) -> set[Any]:
    """The senders that are not over: all, since each takes itself out."""
    return senders


def stop(senders: set[Any]) -> None:
    """Leave senders behind whose requests are not over: nothing can end a thread."""

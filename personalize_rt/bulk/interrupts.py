"""Ctrl-C asks a run to stop; the second one breaks it off."""

from __future__ import annotations

import signal
import threading
from typing import Any

__all__ = ["Interrupts"]


class Interrupts:
    """Takes Ctrl-C over while a run goes on, so that what is in flight can end.

    Only in the main thread, and only where nobody else has taken it over.
    """

    def __init__(self) -> None:
        self._previous: Any = None
        self._asked = False

    @property
    def asked(self) -> bool:
        """Whether somebody pressed Ctrl-C."""
        return self._asked

    def watch(self) -> None:
        """Begin."""
        if threading.current_thread() is threading.main_thread():
            handler = signal.getsignal(signal.SIGINT)
            if handler is signal.default_int_handler or _is_asyncio_s(handler):
                self._previous = handler
                signal.signal(signal.SIGINT, self._interrupted)

    def release(self) -> None:
        """End. Safe to call twice, and from any thread."""
        if self._previous is None or threading.current_thread() is not threading.main_thread():
            return
        previous, self._previous = self._previous, None
        if signal.getsignal(signal.SIGINT) == self._interrupted:
            signal.signal(signal.SIGINT, previous)

    def _interrupted(self, number: int, frame: Any) -> None:
        if self._asked and callable(self._previous):
            self._previous(number, frame)
        self._asked = True


def _is_asyncio_s(handler: Any) -> bool:
    """Whether it is that of ``asyncio.run``, which cancels the main task: that is a breaking off."""
    return getattr(getattr(handler, "func", None), "__module__", None) == "asyncio.runners"

"""Handling of Ctrl-C: the first one stops a run gracefully, the second one at once."""

from __future__ import annotations

import signal
import threading
from typing import Any

__all__ = ["Interrupts"]


class Interrupts:
    """Handles Ctrl-C during a run, so that requests in flight can finish.

    Only in the main thread, and only if no other handler is installed.
    """

    def __init__(self) -> None:
        self._previous: Any = None
        self._asked = False

    @property
    def asked(self) -> bool:
        """``True`` if Ctrl-C was pressed."""
        return self._asked

    def watch(self) -> None:
        """Install the handler."""
        if threading.current_thread() is threading.main_thread():
            handler = signal.getsignal(signal.SIGINT)
            if handler is signal.default_int_handler or _is_asyncio_s(handler):
                self._previous = handler
                signal.signal(signal.SIGINT, self._interrupted)

    def release(self) -> None:
        """Restore the previous handler. Safe to call twice, and from any thread."""
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
    """Tell whether a handler is that of ``asyncio.run``, which cancels the main task."""
    return getattr(getattr(handler, "func", None), "__module__", None) == "asyncio.runners"

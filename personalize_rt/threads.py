"""A pool of threads for work that may block for ever."""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from personalize_rt import forks

__all__ = ["KeptThreads"]

ResultT = TypeVar("ResultT")

_IDLE = 10.0  # seconds after which a thread without work ends


class _State:
    """The work and threads of one process. Threads refer to it, not to the pool, which may thus be collected."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.work: deque[tuple[Future[Any], contextvars.Context, Callable[[], Any]]] = deque()
        self.running = 0
        self.idle = 0

    def run(self) -> None:
        while self._one():
            pass

    def _one(self) -> bool:
        """Do one piece of work, and keep no reference to it while waiting for the next one."""
        with self.changed:
            while not self.work:
                self.idle += 1
                woken = self.changed.wait(_IDLE)
                self.idle -= 1
                if not (woken or self.work):
                    self.running -= 1
                    return False
            future, context, work = self.work.popleft()
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(context.run(work))
            except BaseException as error:
                future.set_exception(error)
        return True


class KeptThreads:
    """A pool of daemon threads, started when needed and ended when idle.

    Safe to share between threads; a forked child starts threads of its own.

    Args:
        at_most: The most threads.
        waiting: The most pieces of work that may wait for a thread.
    """

    _state = forks.PerProcess(_State)

    def __init__(self, at_most: int, *, waiting: int) -> None:
        self._at_most = at_most
        self._waiting = waiting

    def begin(self, work: Callable[[], ResultT]) -> Future[ResultT]:
        """Start something on a thread, in the context of the caller, where tracers keep their spans.

        Returns:
            The pending outcome. If it is cancelled before a thread is free, the work is not done. If too many wait,
            it is a ``TimeoutError``.
        """
        future: Future[ResultT] = Future()
        state = self._state
        with state.changed:
            if len(state.work) >= self._waiting:
                future.set_exception(TimeoutError(f"{self._waiting} others are waiting for the same"))
                return future
            state.work.append((future, contextvars.copy_context(), work))
            if len(state.work) <= state.idle:
                state.changed.notify()
            elif state.running < self._at_most:
                state.running += 1
                threading.Thread(target=state.run, name="personalize-rt", daemon=True).start()
        return future

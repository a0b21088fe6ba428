"""Threads kept for work that may block, and whose caller will not wait for ever."""

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
    """The work and the threads of one process. The threads know nothing else of their owner, which may be collected."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.work: deque[tuple[Future[Any], contextvars.Context, Callable[[], Any]]] = deque()
        self.running = 0
        self.idle = 0

    def run(self) -> None:
        while self._one():
            pass

    def _one(self) -> bool:
        """Do one piece of work. What it holds is gone at the end, not when the next one comes."""
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
    """Threads that are kept while there is work, and keep no process alive: a piece of work may never end.

    Safe for threads; a forked child starts threads of its own.

    Args:
        at_most: Threads at the same time.
        waiting: Pieces of work that no thread has taken up, at the most.
    """

    _state = forks.PerProcess(_State)

    def __init__(self, at_most: int, *, waiting: int) -> None:
        self._at_most = at_most
        self._waiting = waiting

    def begin(self, work: Callable[[], ResultT]) -> Future[ResultT]:
        """Have something done, in the context of the caller: tracers keep their spans in it.

        Returns:
            The outcome. Cancelled before a thread takes it up, the work is not done. ``TimeoutError``: too many wait.
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

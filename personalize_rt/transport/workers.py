"""Threads kept for requests that nothing can end: those of botocore alone, while somebody stands in for the network."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

__all__ = ["LEFT_BEHIND", "TooManyLeftBehindError", "Workers"]

LEFT_BEHIND = 64
"""Requests that may still be under way after their deadline, at the most."""

IDLE = 10.0
"""Seconds after which a thread without work ends."""


class TooManyLeftBehindError(Exception):
    """So many requests are still under way after their deadline that another one is refused."""


class _Task:
    """A piece of work in the context of its caller, and the outcome."""

    __slots__ = ("_context", "_done", "_work", "abandoned", "error", "result")

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._context = contextvars.copy_context()  # what tracers and log filters keep in it
        self._done = threading.Lock()
        self._done.acquire()
        self.abandoned = False
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self._context.run(self._work)
        except BaseException as error:
            self.error = error

    def ended(self) -> None:
        self._done.release()

    def wait(self, until: float | None) -> bool:
        """Wait for the end; ``False`` when it has not come by then (``time.monotonic()``)."""
        return self._done.acquire(timeout=-1 if until is None else max(0.0, until - time.monotonic()))


class Workers:
    """A pool of threads, each with one request at a time. Safe for threads; a forked child makes its own.

    A thread whose request is left behind at the deadline leaves the pool until the request is over.

    Args:
        left_behind: Requests that may be left behind at the same time.
        idle: Seconds after which a thread without work ends.
    """

    def __init__(self, *, left_behind: int = LEFT_BEHIND, idle: float = IDLE) -> None:
        self._left_behind = left_behind
        self._state = _State(idle)

    def run(self, work: Callable[[], Any], until: float | None) -> Any:
        """Run something, and wait for its outcome.

        Args:
            work: What to run; what it raises is raised here.
            until: When to give up, by ``time.monotonic()``; ``None`` waits for the end.

        Raises:
            TimeoutError: It is not over by then, and goes on without anybody who waits.
            TooManyLeftBehindError: It was not begun.
        """
        state = self._state
        with state.lock:
            if state.left_behind >= self._left_behind:
                raise TooManyLeftBehindError(
                    f"{state.left_behind} requests are still under way after their deadline, and no more may be"
                )
            worker = state.idle.pop() if state.idle else None
        task = _Task(work)
        if worker is None:
            worker = SimpleQueue()
            threading.Thread(target=_work, args=(state, worker), name="personalize-rt", daemon=True).start()
        worker.put(task)
        if not task.wait(until):
            with state.lock:
                # It may have ended just now.
                task.abandoned = not task.wait(0.0)
                state.left_behind += task.abandoned
        if task.abandoned:
            raise TimeoutError("the request is not over, and nobody waits for it any longer")
        try:
            if task.error is not None:
                raise task.error
            return task.result
        finally:
            del task  # its error holds this frame

    def close(self) -> None:
        """End the threads that have no work."""
        with self._state.lock:
            idle, self._state.idle = self._state.idle, []
        for worker in idle:
            worker.put(None)


class _State:
    """What the threads of a pool share with it; they do not keep the pool itself alive."""

    __slots__ = ("idle", "idle_time", "left_behind", "lock")

    def __init__(self, idle_time: float) -> None:
        self.idle_time = idle_time
        self.idle: list[SimpleQueue[_Task | None]] = []
        self.left_behind = 0
        self.lock = threading.Lock()


def _work(state: _State, tasks: SimpleQueue[_Task | None]) -> None:
    while True:
        try:
            task = tasks.get(timeout=state.idle_time)
        except Empty:
            with state.lock:
                if tasks not in state.idle:
                    continue  # a task is on its way
                state.idle.remove(tasks)
            return
        if task is None:
            return
        task.run()
        with state.lock:
            state.left_behind -= task.abandoned
            state.idle.append(tasks)
            task.ended()
        del task

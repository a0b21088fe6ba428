"""Threads kept for requests that nothing can end: botocore's own calls, while somebody watches or stands in."""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from personalize_rt import forks
from personalize_rt.errors import TransportError
from personalize_rt.transport.attempt import Attempt

__all__ = ["LEFT_BEHIND", "Task", "Workers"]

LEFT_BEHIND = 64
"""Requests that may still be under way after their deadline, at the most."""

IDLE = 10.0
"""Seconds after which a thread without work ends."""


class Task:
    """A piece of work in the context of its caller, and its outcome.

    Attributes:
        is_over: The work is done.
        is_left: Nobody waits for it any longer.
        result: What the work returned.
        error: What it raised, or ``None``.
    """

    __slots__ = ("_context", "_when_over", "_work", "error", "is_left", "is_over", "result")

    def __init__(self, work: Callable[[], Any], when_over: Callable[[], object]) -> None:
        self._work = work
        self._when_over = when_over
        self._context = contextvars.copy_context()  # what tracers and log filters keep in it
        self.is_over: bool = False
        self.is_left: bool = False
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Do the work."""
        try:
            self.result = self._context.run(self._work)
        except BaseException as error:
            self.error = error

    def ends(self) -> None:
        """Tell whoever waits."""
        self.is_over = True
        self._when_over()

    def outcome(self) -> Any:
        """Return what the work returned, or raise what it raised."""
        try:
            if self.error is not None:
                raise self.error
            return self.result
        finally:
            self.error = None  # it holds this frame


class Workers:
    """A pool of threads with one piece of work each. Safe for threads; a forked child makes its own.

    A thread whose work is left behind at a deadline leaves the pool until that work is over.

    Args:
        most_left: Pieces of work that may be left behind at the same time.
        idle: Seconds after which a thread without work ends.
    """

    _state = forks.PerProcess(lambda: _State())

    def __init__(self, *, most_left: int = LEFT_BEHIND, idle: float = IDLE) -> None:
        self._most_left = most_left
        self._idle_time = idle

    def begin(self, work: Callable[[], Any], when_over: Callable[[], object]) -> Task:
        """Start something on a thread.

        Args:
            work: What to do there, in the context of the caller.
            when_over: Called by that thread at the end. It must not raise.

        Raises:
            TransportError: As much as may be is still under way after its deadline, or there can be no more threads.
        """
        state = self._state
        with state.lock:
            if state.left >= self._most_left:
                raise TransportError(
                    f"{state.left} requests are still under way after their deadlines, and no more may be: whatever "
                    "stands between this client and the network does not answer ('personalize-rt doctor' names it); "
                    "give Config(read_timeout=…) to end such requests earlier",
                    phase="connect",
                )
            worker: queue.SimpleQueue[Task | None] | None = state.idle.pop() if state.idle else None
        task = Task(work, when_over)
        if worker is None:
            worker = queue.SimpleQueue()  # looked up now: a server may have patched it after its fork
            try:
                threading.Thread(
                    target=_work, args=(state, worker, self._idle_time), name="personalize-rt-worker", daemon=True
                ).start()
            except RuntimeError as error:
                raise TransportError("no thread could be started for the request", phase="connect") from error
        worker.put(task)
        return task

    def leave(self, task: Task) -> bool:
        """Leave a task behind, unless it is over. Returns whether it is left."""
        state = self._state
        with state.lock:
            if not task.is_over and not task.is_left:
                task.is_left = True
                state.left += 1
        return task.is_left

    def run(self, work: Callable[[], Any], attempt: Attempt) -> Any:
        """Do something on a thread, and wait for its outcome.

        Args:
            work: What to do; what it raises is raised here.
            attempt: Says when to give up. :meth:`Attempt.cancel` ends the waiting.

        Raises:
            TransportError: It was not begun.
            TimeoutError: It is not over in time, and goes on without anybody who waits.
            ConnectionAbortedError: The attempt was broken off; the work goes on, too.
        """
        waiting = threading.Lock()
        waiting.acquire()

        def wake() -> None:
            with suppress(RuntimeError):  # it was woken before
                waiting.release()

        attempt.waits_for(wake)
        try:
            try:
                task = self.begin(work, wake)
            except TransportError:
                attempt.unsigned = True
                raise
            try:
                left = None if attempt.ends is None else max(0.0, attempt.ends - time.monotonic())
                waiting.acquire(timeout=-1 if left is None else left)
            finally:  # an interrupt, too
                is_left = self.leave(task)
        finally:
            attempt.waits_for(None)
        if is_left:
            if attempt.broken_off:
                raise ConnectionAbortedError("the attempt was broken off")
            raise TimeoutError("the request is not over, and nobody waits for it any longer")
        return task.outcome()

    def close(self) -> None:
        """End the threads that have no work; the others end when theirs is over."""
        state = self._state
        with state.lock:
            state.is_closed = True
            idle, state.idle = state.idle, []
        for worker in idle:
            worker.put(None)


class _State:
    """The state that the threads of a pool share with it. They do not keep the pool itself alive."""

    __slots__ = ("idle", "is_closed", "left", "lock")

    def __init__(self) -> None:
        self.idle: list[queue.SimpleQueue[Task | None]] = []
        self.is_closed = False
        self.left = 0
        self.lock = threading.Lock()


def _work(state: _State, tasks: queue.SimpleQueue[Task | None], idle_time: float) -> None:
    while True:
        try:
            task = tasks.get(timeout=idle_time)
        except queue.Empty:
            with state.lock:
                if tasks not in state.idle:
                    continue  # a task is on its way
                state.idle.remove(tasks)
            return
        if task is None:
            return
        task.run()
        with state.lock:
            state.left -= task.is_left
            ends = state.is_closed
            if not ends:
                state.idle.append(tasks)
            task.ends()
        del task
        if ends:
            return

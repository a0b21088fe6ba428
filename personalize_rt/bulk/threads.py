"""Requests on threads."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections import deque
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from personalize_rt.bulk.limiter import RateLimiter
from personalize_rt.bulk.working import Done, Halt, Job, Plan, Worker

__all__ = ["Pool", "Threads"]

# The caller's thread is woken up for so many results, or after so many seconds: each time costs more than a result.
BATCH = 16
LINGER = 0.02


class Pool(Protocol):
    """Who does the jobs of a run."""

    def submit(self, job: Job) -> None:
        """Do a job some time soon."""
        ...

    def collect(self) -> list[Done | Halt]:
        """What has ended; waits a moment for it."""
        ...

    def stop(self) -> None:
        """Begin nothing more; what is in flight goes on."""
        ...

    def is_idle(self) -> bool:
        """Whether all has been collected that will ever end."""
        ...

    def close(self) -> None:
        """Stop, and wait for what is in flight. Safe to call twice."""
        ...


class _Shared:
    """What the threads know of each other. They must not know the pool: it ends when nobody else knows it."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[Job | None] = SimpleQueue()
        self.ended: deque[Done | Halt | None] = deque()  # None: a job that was dropped
        self.turn = threading.Lock()  # whoever holds it takes the next job, and waits for its turn
        self.wake = threading.Lock()  # released for the collector
        self.stopped = False

    def is_stopped(self) -> bool:
        return self.stopped

    def end(self, outcome: Done | Halt | None) -> None:
        self.ended.append(outcome)
        if len(self.ended) >= BATCH or self.jobs.empty():
            with contextlib.suppress(RuntimeError):  # released already
                self.wake.release()

    def stop(self, threads: list[threading.Thread]) -> None:
        self.stopped = True
        with contextlib.suppress(Empty):
            while True:
                if self.jobs.get_nowait() is not None:
                    self.end(None)
        for _ in threads:
            self.jobs.put(None)


class Threads:
    """A pool of threads in this process.

    Args:
        runtime: Who is asked; threads share it.
        plan: What a job is.
        concurrency: Threads at the most.
        limiter: The pace.
    """

    def __init__(self, runtime: Any, plan: Plan[Any, Any], concurrency: int, limiter: RateLimiter) -> None:
        self._shared = shared = _Shared()
        shared.wake.acquire()
        self._worker: Worker[Any, Any] = Worker(runtime, plan, limiter, shared.is_stopped)
        self._concurrency = concurrency
        self._threads: list[threading.Thread] = []
        self.outstanding: int = 0  # jobs that were submitted, and have neither been collected nor dropped
        weakref.finalize(self, shared.stop, self._threads)

    def submit(self, job: Job) -> None:
        """Do a job some time soon."""
        self.outstanding += 1
        self._shared.jobs.put(job)
        if len(self._threads) < self._concurrency:
            thread = threading.Thread(
                target=_work, args=(self._shared, self._worker), name="personalize-rt-bulk", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def collect(self) -> list[Done | Halt]:
        """What has ended; waits a moment for it."""
        shared = self._shared
        if self.outstanding and len(shared.ended) < BATCH:
            shared.wake.acquire(timeout=LINGER)
        taken: list[Done | Halt] = []
        while shared.ended:
            outcome = shared.ended.popleft()
            self.outstanding -= 1
            if outcome is not None:
                taken.append(outcome)
        return taken

    def stop(self) -> None:
        """Begin nothing more; what is in flight goes on."""
        self._shared.stop(self._threads)

    def is_idle(self) -> bool:
        """Whether all has been collected that will ever end."""
        return self.outstanding == 0

    def close(self) -> None:
        """Stop, and wait for what is in flight. Safe to call twice."""
        self.stop()
        for thread in self._threads:
            thread.join()
        self._threads.clear()


def _work(shared: _Shared, worker: Worker[Any, Any]) -> None:
    while True:
        with shared.turn:
            job = shared.jobs.get()
            if job is None:
                return
            if shared.stopped or not worker.wait_for_turn():
                shared.end(None)
                continue
        try:
            outcome = worker.do(job)
        except BaseException as error:  # a defect, or a hook of the caller's: the caller's thread shall see it
            outcome = Halt(job.place, error)
        shared.end(outcome)
        del job, outcome

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

# The caller's thread is woken up for so many results, or after so many seconds: a wake-up costs more than a result.
BATCH = 16
LINGER = 0.02


class Pool(Protocol):
    """Does the jobs of a run."""

    def submit(self, job: Job) -> None:
        """Queue a job."""
        ...

    def collect(self) -> list[Done | Halt]:
        """Take the outcomes so far; wait a moment if there are none."""
        ...

    def stop(self) -> None:
        """Start no more jobs; those in flight continue."""
        ...

    def is_idle(self) -> bool:
        """``True`` if there are no more outcomes to collect."""
        ...

    def close(self) -> None:
        """Stop, and wait for jobs in flight. Safe to call twice."""
        ...


class _Shared:
    """The state that the threads share. It has no reference to the pool, which ends when it is not referenced."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[Job | None] = SimpleQueue()
        self.ended: deque[Done | Halt | None] = deque()  # None: a dropped job
        self.turn = threading.Lock()  # its holder takes the next job, and waits for its turn
        self.wake = threading.Lock()  # released for the collector
        self.stopped = False

    def is_stopped(self) -> bool:
        return self.stopped

    def end(self, outcome: Done | Halt | None) -> None:
        self.ended.append(outcome)
        if len(self.ended) >= BATCH or self.jobs.empty():
            with contextlib.suppress(RuntimeError):  # it was released before
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
        runtime: The runtime, which the threads share.
        plan: The plan of the jobs.
        concurrency: The most threads.
        limiter: The limiter.
    """

    def __init__(self, runtime: Any, plan: Plan[Any, Any], concurrency: int, limiter: RateLimiter) -> None:
        self._shared = shared = _Shared()
        shared.wake.acquire()
        self._worker: Worker[Any, Any] = Worker(runtime, plan, limiter, shared.is_stopped)
        self._concurrency = concurrency
        self._threads: list[threading.Thread] = []
        self.outstanding: int = 0  # jobs that were queued and neither collected nor dropped
        weakref.finalize(self, shared.stop, self._threads)

    def submit(self, job: Job) -> None:
        """Queue a job."""
        self.outstanding += 1
        self._shared.jobs.put(job)
        if len(self._threads) < self._concurrency:
            thread = threading.Thread(
                target=_work, args=(self._shared, self._worker), name="personalize-rt-bulk", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def collect(self) -> list[Done | Halt]:
        """Take the outcomes so far; wait a moment if there are none."""
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
        """Start no more jobs; those in flight continue."""
        self._shared.stop(self._threads)

    def is_idle(self) -> bool:
        """``True`` if there are no more outcomes to collect."""
        return self.outstanding == 0

    def close(self) -> None:
        """Stop, and wait for jobs in flight. Safe to call twice."""
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
        except BaseException as error:  # a defect, or an error of the caller's hook, to be raised in its thread
            outcome = Halt(job.place, error)
        shared.end(outcome)
        del job, outcome

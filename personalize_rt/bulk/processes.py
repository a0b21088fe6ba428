"""Requests on threads of several processes, to use more than one processor."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import threading
import weakref
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from typing import Any

from personalize_rt.bulk.limiter import RateLimiter
from personalize_rt.bulk.threads import LINGER, Threads
from personalize_rt.bulk.working import Bare, Done, Halt, Job, Plan
from personalize_rt.client import PersonalizeRuntime
from personalize_rt.errors import PersonalizeError, ValidationError
from personalize_rt.redaction import describe

__all__ = ["Processes", "open_processes"]

# Jobs in one message. A process has up to two messages in advance.
CHUNK = 16

# To a process: jobs, or "stop". From it: what has ended, and how many jobs were dropped.
_Order = list[Job] | str


def open_processes(
    runtime: Any, plan: Plan[Any, Any], concurrency: int, tps: float | None, processes: int
) -> tuple[Processes, RateLimiter]:
    """Open a pool of processes, and the limiter that they share.

    Raises:
        ValidationError: ``runtime`` is not a function that can be pickled.
    """
    if not callable(runtime):  # a runtime is not
        raise ValidationError(
            "with processes, runtime must be a function that builds one in each, such as "
            f"functools.partial(PersonalizeRuntime, region_name=…); it is {describe(runtime)}",
            parameter="runtime",
        )
    try:
        pickle.dumps((runtime, plan))
    except Exception as error:
        raise ValidationError(
            f"runtime does not pickle ({type(error).__name__}), so it cannot be handed to another process: give a "
            "function of a module, or functools.partial(PersonalizeRuntime, region_name=…)",
            parameter="runtime",
        ) from None
    # Not a fork, which would copy locks held by other threads.
    context = multiprocessing.get_context("spawn")
    limiter = RateLimiter(tps, context=context)
    build: Any = runtime
    return Processes(context, build, plan, concurrency, limiter, processes), limiter


class _Child:
    """A process, and its jobs."""

    def __init__(self, process: Any, connection: Connection) -> None:
        self.process = process
        self.connection = connection
        self.outstanding = 0


class Processes:
    """A pool of processes, each with threads. They start with the first job.

    Args:
        context: The context of ``multiprocessing`` to start them.
        runtime: Builds the runtime in each process.
        plan: The plan of the jobs.
        concurrency: The most threads of all processes together.
        limiter: The limiter, of the same context.
        processes: The number of processes.
    """

    def __init__(
        self,
        context: Any,
        runtime: Callable[[], PersonalizeRuntime],
        plan: Plan[Any, Any],
        concurrency: int,
        limiter: RateLimiter,
        processes: int,
    ) -> None:
        self._context = context
        self._plan = plan
        self._raws: dict[int, Any] = {}
        self._arguments = (runtime, Bare(plan) if plan.keeps_raw else plan, -(-concurrency // processes), limiter)
        self._count = min(processes, concurrency)
        self._children: list[_Child] = []
        self._pending: deque[Job] = deque()
        self._failed: list[Done | Halt] = []
        self._stopped = False
        weakref.finalize(self, _hang_up, self._children)

    def submit(self, job: Job) -> None:
        """Queue a job."""
        if self._plan.keeps_raw:
            self._raws[job.place] = job.raw
        self._pending.append(job)

    def collect(self) -> list[Done | Halt]:
        """Take the outcomes so far; wait a moment if there are none."""
        if not self._children and not self._stopped:
            self._start()
        if not self._stopped:
            self._hand_out()
        ended, self._failed = self._failed, []
        working = {child.connection: child for child in self._children if child.outstanding}
        for connection in wait(list(working), 0.0 if ended else LINGER):
            child = working[connection]  # type: ignore[index]
            try:
                reports, dropped = child.connection.recv()
            except (EOFError, OSError):
                ended.append(self._lost(child))
            else:
                child.outstanding -= len(reports) + dropped
                ended += map(self._whole, reports) if self._plan.keeps_raw else reports
        return ended

    def _whole(self, report: Done | Halt) -> Done | Halt:
        raw = self._raws.pop(report.place)
        if isinstance(report, Halt):
            return report
        answer, error = report.value
        return report._replace(value=self._plan.value(report.position, raw, answer, error, report.elapsed))

    def stop(self) -> None:
        """Start no more jobs; those in flight continue."""
        if not self._stopped:
            self._stopped = True
            self._pending.clear()
            for child in self._children:
                self._send(child, "stop")

    def is_idle(self) -> bool:
        """``True`` if there are no more outcomes to collect."""
        return not self._pending and not self._failed and not any(child.outstanding for child in self._children)

    def close(self) -> None:
        """Stop, and wait for jobs in flight. Safe to call twice."""
        self.stop()
        while not self.is_idle():
            self.collect()
        _hang_up(self._children)
        for child in self._children:
            child.process.join()
        self._children.clear()

    def _start(self) -> None:
        for _ in range(self._count):
            ours, theirs = self._context.Pipe()
            process = self._context.Process(
                target=_serve, args=(theirs, *self._arguments), name="personalize-rt-bulk", daemon=True
            )
            process.start()
            theirs.close()  # else the end of the process would not be noticed
            self._children.append(_Child(process, ours))

    def _hand_out(self) -> None:
        while self._pending:
            child = min(self._children, key=lambda child: child.outstanding)
            if child.outstanding > 2 * CHUNK:
                return
            jobs = [self._pending.popleft() for _ in range(min(CHUNK, len(self._pending)))]
            child.outstanding += len(jobs)
            self._send(child, jobs)

    def _send(self, child: _Child, order: _Order) -> None:
        try:
            child.connection.send(order)
        except OSError:
            self._failed.append(self._lost(child))

    def _lost(self, child: _Child) -> Halt:
        child.outstanding = 0
        child.process.join(5)
        return Halt(
            -1,
            PersonalizeError(
                f"a process of the run ended by itself, with exit code {child.process.exitcode}: is there enough "
                "memory, and does the script start its work under if __name__ == '__main__'?"
            ),
        )


def _hang_up(children: list[_Child]) -> None:
    for child in children:
        child.connection.close()


def _serve(
    connection: Connection,
    build: Callable[[], PersonalizeRuntime],
    plan: Plan[Any, Any],
    concurrency: int,
    limiter: RateLimiter,
) -> None:
    """Run in a process: receive orders and send reports until the parent closes the connection."""
    # Ctrl-C is sent to all processes of a terminal; only the parent handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    orders: SimpleQueue[_Order | None] = SimpleQueue()
    # A thread that always reads, since both sides would block if each waited for the other to read.
    threading.Thread(target=_read, args=(connection, orders), daemon=True).start()
    with build() as runtime:
        pool = Threads(runtime, plan, concurrency, limiter)
        while True:
            order = orders.get() if pool.is_idle() or not orders.empty() else []
            if order is None:
                break
            if isinstance(order, str):
                pool.stop()
            else:
                for job in order:
                    pool.submit(job)
            before = pool.outstanding
            reports = pool.collect()
            dropped = before - pool.outstanding - len(reports)
            if reports or dropped:
                try:
                    connection.send((reports, dropped))
                except OSError:
                    break
        pool.stop()


def _read(connection: Connection, orders: SimpleQueue[_Order | None]) -> None:
    try:
        while True:
            orders.put(connection.recv())
    except (EOFError, OSError):
        orders.put(None)

"""Runs on asyncio."""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from personalize_rt import checks
from personalize_rt.bulk.checkpoint import Checkpoint
from personalize_rt.bulk.course import Course
from personalize_rt.bulk.limiter import RateLimiter
from personalize_rt.bulk.outcomes import Outcome, Summary
from personalize_rt.bulk.pacing import paced, sent_at
from personalize_rt.bulk.requests import BulkRequest
from personalize_rt.bulk.running import OnError, check_requests, checked
from personalize_rt.bulk.working import Done, Halt, Job, Plain, Plan, finished, later
from personalize_rt.errors import PersonalizeError, ValidationError
from personalize_rt.redaction import describe

if TYPE_CHECKING:
    from personalize_rt.aio import AsyncPersonalizeRuntime

__all__ = ["AsyncRun", "arun"]

AnswerT = TypeVar("AnswerT")
ValueT = TypeVar("ValueT", covariant=True)

# Seconds after which a wait is interrupted for checks, such as for Ctrl-C.
LOOK = 0.1


class AsyncRun(AsyncIterator[ValueT], Generic[ValueT]):
    """A run, an async iterator over its results. Made by :func:`arun`.

    To leave the loop early, :meth:`aclose` the run, or use it in ``async with``: requests in flight then finish first.
    Cancelling a wait for an outcome cancels the requests in flight.
    """

    def __init__(
        self,
        requests: Iterable[Any] | AsyncIterable[Any],
        runtime: Any,
        plan: Plan[Any, Any],
        concurrency: int,
        limiter: RateLimiter,
        course: Course,
    ) -> None:
        self._requests = requests
        self._source: Iterator[Any] | AsyncIterator[Any] | None = None
        self._runtime = paced(runtime, limiter)
        self._plan = plan
        self._concurrency = concurrency
        self._limiter = limiter
        self._course = course
        self._jobs: deque[Job] = deque()
        self._ended: deque[Done | Halt] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()  # its holder takes the next job, and waits for its turn
        self._wake = asyncio.Event()
        self._stopped = False
        self._closed = False
        weakref.finalize(self, course.close)  # restores Ctrl-C if the loop is left without closing the run

    @property
    def summary(self) -> Summary:
        """The counts so far."""
        return self._course.summary()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ValueT:
        if self._closed:
            raise StopAsyncIteration
        course = self._course
        try:
            course.confirm()
            if self._source is None:
                course.interrupts.watch()
                requests = self._requests
                self._source = aiter(requests) if isinstance(requests, AsyncIterable) else iter(requests)
            while True:
                await self._fill(self._source)
                done = course.next()
                if done is not None:
                    self._staff()
                    value: ValueT = done.value
                    return value
                if not await self._wait():
                    course.finish()
                    raise StopAsyncIteration
        except asyncio.CancelledError:
            await self._cancel()
            raise
        except BaseException:
            await self.aclose()
            raise

    async def _fill(self, source: Iterator[Any] | AsyncIterator[Any]) -> None:
        course = self._course
        while course.takes_more:
            try:
                raw = checked(await anext(source) if isinstance(source, AsyncIterator) else next(source))
            except (StopIteration, StopAsyncIteration):
                course.exhausted()
                return
            job = course.take(raw)
            if job is not None:
                self._jobs.append(job)

    def _staff(self) -> None:
        """Start tasks for the pending jobs. A task ends when there is no job."""
        for _ in range(min(len(self._jobs), self._concurrency - len(self._tasks))):
            task = asyncio.create_task(self._work(), name="personalize-rt-bulk")
            self._tasks.add(task)
            task.add_done_callback(self._gone)

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()

    async def _wait(self) -> bool:
        """Wait for a result; ``False`` when there will be none."""
        course = self._course
        if course.is_stopping:
            self._stop()
        self._staff()
        if not self._ended and self._tasks:
            self._wake.clear()
            try:
                async with asyncio.timeout(LOOK):  # not wait_for(), which wakes later on Python 3.11 than on others
                    await self._wake.wait()
            except TimeoutError:
                return True
        if self._ended:
            ended = list(self._ended)
            self._ended.clear()
            course.ended(ended)
            return True
        # Jobs without a task: they were taken in the moment between the end of the last task and its callback.
        return bool(self._tasks or self._jobs) or course.goes_on()

    def _stop(self) -> None:
        self._stopped = True
        self._jobs.clear()

    async def _work(self) -> None:
        """Do jobs until there are none."""
        while True:
            async with self._turn:
                if not self._jobs:
                    return
                job = self._jobs.popleft()
                if not await self._wait_for_turn():
                    return
            try:
                outcome = await self._do(job)
            except Exception as error:  # a defect, or an error of the caller's hook
                outcome = Halt(job.place, error)
            if outcome is None:
                return
            self._ended.append(outcome)
            self._wake.set()

    async def _wait_for_turn(self) -> bool:
        while wait := self._limiter.decide(time.monotonic()):
            if not await self._sleep(wait):
                return False
        return not self._stopped

    async def _sleep(self, seconds: float) -> bool:
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            if self._stopped:
                return False
            await asyncio.sleep(min(left, LOOK))
        return True

    async def _do(self, job: Job) -> Done | Halt | None:
        """Do a job like :meth:`Worker.do`, in a task."""
        try:
            request = self._plan.request(job.raw)
        except PersonalizeError as error:
            return finished(self._plan, job, None, error, 0.0)
        tries = 0
        while True:
            answer, failure = None, None
            start = time.monotonic()
            sent_at.set(start)
            try:
                answer = request.ruled(await request.ask(self._runtime))
                for _ in range(getattr(answer, "requests", 1) - 1):
                    self._limiter.charge(time.monotonic())
            except PersonalizeError as error:
                failure = error
            elapsed = time.monotonic() - start
            try:
                wait = None if failure is None else later(failure, tries)
                if wait is None:
                    return finished(self._plan, job, answer, failure, elapsed)
            finally:
                del failure  # its traceback holds this frame
            tries += 1
            if not (await self._sleep(wait) and await self._wait_for_turn()):
                return None

    async def _cancel(self) -> None:
        self._stop()
        self._closed = True
        for task in self._tasks:
            task.cancel()
        try:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            self._course.close()

    async def aclose(self) -> None:
        """End the run: wait for requests in flight, and write the checkpoint. Safe to call twice."""
        if not self._closed:
            self._closed = True
            self._stop()
            try:
                await asyncio.gather(*self._tasks, return_exceptions=True)
            finally:
                self._course.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"AsyncRun({self.summary})"


def arun(
    runtime: AsyncPersonalizeRuntime,
    requests: Iterable[BulkRequest[AnswerT]] | AsyncIterable[BulkRequest[AnswerT]],
    *,
    concurrency: int = 16,
    tps: float | None = None,
    on_error: OnError = "record",
    ordered: bool = True,
    progress: bool | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
) -> AsyncRun[Outcome[AnswerT]]:
    """:func:`run` for asyncio: ``async for outcome in bulk.arun(runtime, requests, tps=50)``.

    Args:
        runtime: An ``AsyncPersonalizeRuntime``.
        requests: See :func:`run`; may also be an async iterable.
        concurrency: The most requests in flight, each in a task.
        tps: See :func:`run`.
        on_error: See :func:`run`.
        ordered: See :func:`run`.
        progress: See :func:`run`.
        checkpoint: See :func:`run`. It is written on the event loop, once a second.

    Returns:
        An async iterator over the outcomes, with a ``summary``.

    Raises:
        ValidationError: An argument was refused, or the file is not a checkpoint.
        ModuleNotFoundError: ``progress`` is true, and tqdm is not installed.

    Iteration raises the errors of :func:`run`.
    """
    concurrency = checks.whole(concurrency, "concurrency")
    check_requests(requests, on_error)
    if not hasattr(runtime, "aclose"):
        raise ValidationError(
            f"runtime is {describe(runtime)}, not an AsyncPersonalizeRuntime; for a PersonalizeRuntime there is run()",
            parameter="runtime",
        )
    limiter = RateLimiter(tps)
    course = Course(
        requests,
        limiter,
        concurrency=concurrency,
        ordered=ordered,
        raises=on_error == "raise",
        progress=progress,
        checkpoint=None if checkpoint is None else Checkpoint(checkpoint),
    )
    return AsyncRun(requests, runtime, Plain(), concurrency, limiter, course)

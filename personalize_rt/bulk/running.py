"""Runs on threads and on processes."""

from __future__ import annotations

import os
import weakref
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar

from personalize_rt.bulk.checkpoint import Checkpoint
from personalize_rt.bulk.course import Course
from personalize_rt.bulk.limiter import RateLimiter
from personalize_rt.bulk.outcomes import Outcome, Summary
from personalize_rt.bulk.requests import BulkRequest
from personalize_rt.bulk.threads import Pool, Threads
from personalize_rt.bulk.working import Plain, Plan
from personalize_rt.client import PersonalizeRuntime
from personalize_rt.errors import ValidationError
from personalize_rt.redaction import describe, shown_number

__all__ = ["OnError", "Run", "Runtime", "check_requests", "checked", "number", "open_pool", "run"]

AnswerT = TypeVar("AnswerT")
ValueT = TypeVar("ValueT", covariant=True)

OnError = Literal["record", "raise"]
Runtime = PersonalizeRuntime | Callable[[], PersonalizeRuntime]


class Run(Iterator[ValueT], Generic[ValueT]):
    """A run, an iterator over its results. Made by :func:`run`.

    Requests are taken from their iterable by the thread that iterates, a few ahead of the results. To leave the loop
    early, :meth:`close` the run, or use it in ``with``: requests in flight then finish, and no more are sent.
    """

    def __init__(self, requests: Iterable[Any], pool: Pool, course: Course) -> None:
        self._requests = requests
        self._source: Iterator[Any] | None = None
        self._pool = pool
        self._course = course
        self._closed = False
        weakref.finalize(self, course.close)  # restores Ctrl-C if the loop is left without closing the run

    @property
    def summary(self) -> Summary:
        """The counts so far."""
        return self._course.summary()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ValueT:
        if self._closed:
            raise StopIteration
        course = self._course
        try:
            course.confirm()
            if self._source is None:
                course.interrupts.watch()
                self._source = iter(self._requests)
            while True:
                self._fill(self._source)
                done = course.next()
                if done is not None:
                    value: ValueT = done.value
                    return value
                if not self._wait():
                    course.finish()
                    raise StopIteration
        except BaseException:
            self.close()
            raise

    def _fill(self, source: Iterator[Any]) -> None:
        course = self._course
        while course.takes_more:
            try:
                raw = next(source)
            except StopIteration:
                course.exhausted()
                return
            job = course.take(raw)
            if job is not None:
                self._pool.submit(job)

    def _wait(self) -> bool:
        """Wait for a result; ``False`` when there will be none."""
        course, pool = self._course, self._pool
        if course.is_stopping:
            pool.stop()
        if not pool.is_idle():
            course.ended(pool.collect())
            return True
        return course.goes_on()

    def close(self) -> None:
        """End the run: wait for requests in flight, and write the checkpoint. Safe to call twice."""
        if not self._closed:
            self._closed = True
            try:
                self._pool.close()
            finally:
                self._course.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Run({self.summary})"


def run(
    runtime: Runtime,
    requests: Iterable[BulkRequest[AnswerT]],
    *,
    concurrency: int = 16,
    tps: float | None = None,
    processes: int | None = None,
    on_error: OnError = "record",
    ordered: bool = True,
    progress: bool | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
) -> Run[Outcome[AnswerT]]:
    """Make many requests, as fast as the service allows.

    Nothing is sent before the first outcome is requested. Requests are taken from the iterable as outcomes are taken
    from the run, so neither is ever completely in memory.

    A request that is still throttled after its retries waits for another turn, up to ten times, while the pace slows
    down. Errors that do not depend on the request end the run: ``AccessDeniedError``, ``ConfigurationError`` and
    ``ResourceNotFoundError``. So do 100 failures in a row (``OutageError``), and a refusal of each of the first 100
    requests by the same class of error, ``InvalidInputError`` or ``ValidationError`` (``AllRefusedError``). Therefore
    such failures are held back until another outcome arrives or the requests are exhausted. Those that ended the run
    get no outcome; a run that resumes from the checkpoint repeats them.

    On Ctrl-C, requests in flight finish, their outcomes are released, the checkpoint is written, and then
    ``InterruptedRun`` is raised. A second Ctrl-C interrupts at once.

    Args:
        runtime: The runtime, whose deadline and retries apply to each request. Or a function that builds one, as
            ``processes`` require: it must pickle (``functools.partial(PersonalizeRuntime, region_name=…)``), and is
            called once in each process.
        requests: :class:`RankRequest`, :class:`RecommendRequest` and :class:`ActionRequest`, in any mixture.
        concurrency: The most requests in flight, over all processes: the desired rate in requests a second, times the
            duration of a request.
        tps: The initial and highest rate in requests a second, retries included: the campaign's ``minProvisionedTPS``.
            It falls when the service throttles, and rises again. ``None`` for no limit until the service throttles.
        processes: The number of processes to use, if one Python process is too slow; ``None`` for this one.
        on_error: ``"record"`` puts an error into its outcome; ``"raise"`` ends the run with the first one.
        ordered: Whether outcomes come in the order of their requests, or else as they arrive. Either way they have a
            ``position``.
        progress: Whether to show a bar with rate, errors and time left; by default on a terminal and in a notebook, if
            tqdm is installed.
        checkpoint: A file of the finished requests, written every second and at the end. A run with the same requests
            and an existing checkpoint skips those. A request is finished when the outcome after it is requested; after
            a crash, those of the last second may be repeated. The file is removed when all are finished.

    Returns:
        An iterator over the outcomes, with a ``summary``.

    Raises:
        ValidationError: An argument was refused, or the file is not a checkpoint.
        ModuleNotFoundError: ``progress`` is true, and tqdm is not installed.

    Iterating raises:
        InterruptedRun: Ctrl-C was pressed; a ``KeyboardInterrupt``.
        PersonalizeError: The error that ended the run.
        OSError: The checkpoint cannot be written.
    """
    concurrency = number(concurrency, "concurrency")
    check_requests(requests, on_error)
    pool, limiter = open_pool(runtime, Plain(), concurrency, tps, processes)
    course = Course(
        requests,
        limiter,
        concurrency=concurrency,
        ordered=ordered,
        raises=on_error == "raise",
        progress=progress,
        checkpoint=None if checkpoint is None else Checkpoint(checkpoint),
    )
    return Run(map(checked, requests), pool, course)


def check_requests(requests: Any, on_error: Any) -> None:
    """Refuse wrong arguments of a run at once.

    Raises:
        ValidationError: An argument is wrong.
    """
    if on_error not in ("record", "raise"):
        raise ValidationError("on_error must be 'record' or 'raise'", parameter="on_error")
    if isinstance(requests, BulkRequest):
        raise ValidationError(
            f"requests is a {type(requests).__name__}: it takes many; for a single one write [request]",  # pyright: ignore[reportUnknownArgumentType]
            parameter="requests",
        )
    if not isinstance(requests, Iterable | AsyncIterable):
        raise ValidationError(f"requests is {describe(requests)}, not an iterable of requests", parameter="requests")


def checked(request: Any) -> Any:
    """Check that a value is a request, and return it.

    Raises:
        ValidationError: It is something else.
    """
    if not isinstance(request, BulkRequest):
        raise ValidationError(
            f"one of the requests is {describe(request)}, not a RankRequest, RecommendRequest or ActionRequest",
            parameter="requests",
        )
    return request  # pyright: ignore[reportUnknownVariableType]


def open_pool(
    runtime: Any, plan: Plan[Any, Any], concurrency: int, tps: float | None, processes: int | None
) -> tuple[Pool, RateLimiter]:
    """Open the pool for the jobs, and the limiter that they share.

    Raises:
        ValidationError: The arguments do not go together.
    """
    if processes is not None:
        from personalize_rt.bulk.processes import open_processes

        return open_processes(runtime, plan, concurrency, tps, number(processes, "processes"))
    limiter = RateLimiter(tps)
    asked = runtime() if callable(runtime) else runtime
    if not isinstance(asked, PersonalizeRuntime):
        raise ValidationError(
            f"runtime is {describe(asked)}, not a PersonalizeRuntime or a function that builds one", parameter="runtime"
        )
    return Threads(asked, plan, concurrency, limiter), limiter


def number(value: Any, parameter: str) -> int:
    """A count that is at least 1.

    Raises:
        ValidationError: It is something else.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValidationError(
            f"{parameter} must be a whole number from 1, not {shown_number(value)}", parameter=parameter
        )
    return value

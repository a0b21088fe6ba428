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
    """A run: an iterator over what comes out. Made by :func:`run`.

    Requests are taken from their iterable in the thread that iterates, a few ahead of what comes out. Leave the loop
    early, and :meth:`close` the run, or use it in ``with``: what is in flight then ends, and the rest is not sent.
    """

    def __init__(self, requests: Iterable[Any], pool: Pool, course: Course) -> None:
        self._requests = requests
        self._source: Iterator[Any] | None = None
        self._pool = pool
        self._course = course
        self._closed = False
        weakref.finalize(self, course.close)  # who leaves the loop and forgets the run gets Ctrl-C back

    @property
    def summary(self) -> Summary:
        """How it went so far."""
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
        """Wait for something to hand on; ``False`` when there is nothing more."""
        course, pool = self._course, self._pool
        if course.is_stopping:
            pool.stop()
        if not pool.is_idle():
            course.ended(pool.collect())
            return True
        return course.goes_on()

    def close(self) -> None:
        """End the run: wait for what is in flight, and write the checkpoint. Safe to call twice."""
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
    """Make many requests, at the pace that the service holds.

    Nothing is sent before the first outcome is asked for. Requests are taken from the iterable as outcomes are taken
    from the run, so neither is ever in memory as a whole.

    A request that is throttled to the end of its retries waits for its next turn, up to ten times, while the pace
    slows down. A refused identity and a missing setting (``AccessDeniedError``, ``ConfigurationError``) end the run, as
    every other request would fail alike; so does a campaign, recommender or filter that does not exist
    (``no_such_resource`` of the error). 100 requests in a row that could not be answered end it (``OutageError``), and
    so do the first 100, when all of them are refused alike (``AllRefusedError``: ``InvalidInputError`` or
    ``ValidationError`` each). To know that, such outcomes are held back until another one comes or the requests are
    exhausted; those that led to the end are not handed on, and a run that goes on with the checkpoint asks them again.

    Ctrl-C lets what is in flight end, hands it on, writes the checkpoint, and only then raises; the second one breaks
    off.

    Args:
        runtime: Who is asked; its deadline and retries count for each request. Or a function that builds one, which
            ``processes`` need: it must pickle (``functools.partial(PersonalizeRuntime, region_name=…)``), and is called
            once in each.
        requests: :class:`RankRequest`, :class:`RecommendRequest` and :class:`ActionRequest`, mixed as you like.
        concurrency: Requests in flight at the most, over all processes; the requests a second that you want, times the
            seconds that one takes.
        tps: Requests a second, retries included, to begin with and at the most: what the campaign is provisioned for
            (``minProvisionedTPS``). It falls when the service throttles, and rises again. ``None`` for no limit until
            the service throttles.
        processes: How many processes to use, where one Python cannot keep up; ``None`` for this one.
        on_error: ``"record"`` puts an error into its outcome; ``"raise"`` ends the run with the first one.
        ordered: Whether outcomes come in the order of their requests; else as they are there. Either way they know
            their ``position``.
        progress: Whether to show a bar with rate, errors and time left; by default on a terminal and in a notebook, if
            tqdm is installed.
        checkpoint: A file that keeps which requests are done, written every second and at the end. A run with the same
            requests and a checkpoint that is there leaves those out. A request is done when the outcome after it is
            asked for; after a crash, those of the last second may come again. It is removed when all are done.

    Returns:
        An iterator over the outcomes, with a ``summary``.

    Raises:
        ValidationError: An argument was refused, or the checkpoint is none.
        ModuleNotFoundError: ``progress`` is true, and tqdm is not installed.

    Iterating raises:
        InterruptedRun: Ctrl-C; a ``KeyboardInterrupt``.
        PersonalizeError: What ended the run.
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
    """Refuse what is no run at once.

    Raises:
        ValidationError: Why.
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
    """A request of a run.

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
    """Who does the jobs, and the pace that they share.

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

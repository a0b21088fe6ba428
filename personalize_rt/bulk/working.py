"""The processing of one request of a run, shared by threads, tasks and processes."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from personalize_rt.bulk.limiter import RateLimiter
from personalize_rt.bulk.outcomes import Outcome
from personalize_rt.bulk.pacing import paced, sent_at
from personalize_rt.bulk.requests import BulkRequest
from personalize_rt.errors import (
    AccessDeniedError,
    CircuitOpenError,
    ConfigurationError,
    PersonalizeError,
    ServiceError,
    ThrottlingError,
    ValidationError,
)

__all__ = ["Bare", "Done", "Halt", "Job", "Plain", "Plan", "Worker", "finished", "later"]

RawT = TypeVar("RawT")
ValueT = TypeVar("ValueT")
RawT_contra = TypeVar("RawT_contra", contravariant=True)
ValueT_co = TypeVar("ValueT_co", covariant=True)

# The most calls for a request that is still throttled after its retries. Each call waits for a turn, at a slower pace
# than the last, so there are rarely two.
AGAIN = 10


class Job(NamedTuple):
    """A pending request: its place in this run, its position among all, and its raw input."""

    place: int
    position: int
    raw: Any


class Done(NamedTuple):
    """A finished request: its result, class and text of its error, and the duration of the call in seconds."""

    place: int
    position: int
    value: Any
    error: str | None
    elapsed: float
    message: str = ""


class Halt(NamedTuple):
    """An error that stops the run, since every other request would fail too. The job at ``place`` has no outcome."""

    place: int
    error: BaseException


class Plan(Protocol[RawT_contra, ValueT_co]):
    """Converts the raw inputs of a run to requests, and outcomes to results. Must pickle if processes are used.

    Attributes:
        keeps_raw: Whether results hold their raw input, so that a process need not send it back.
    """

    keeps_raw: bool

    def request(self, raw: RawT_contra) -> BulkRequest[Any]:
        """Make the request of a raw input.

        Raises:
            PersonalizeError: It is not a request; the error is its outcome.
        """
        ...

    def value(
        self, position: int, raw: RawT_contra, answer: Any, error: PersonalizeError | None, elapsed: float
    ) -> ValueT_co:
        """Make the result of an outcome."""
        ...


class Plain:
    """The plan whose inputs are requests, and whose results are outcomes."""

    keeps_raw = True

    def request(self, raw: BulkRequest[Any]) -> BulkRequest[Any]:
        """Return the request itself."""
        return raw

    def value(
        self, position: int, raw: BulkRequest[Any], answer: Any, error: PersonalizeError | None, elapsed: float
    ) -> Outcome[Any]:
        """Make the outcome."""
        return Outcome(position, raw, answer, error, elapsed)


class Bare:
    """A plan for worker processes, which return answer and error. The parent has the input, and makes the result."""

    keeps_raw = False

    def __init__(self, plan: Plan[Any, Any]) -> None:
        self._plan = plan

    def request(self, raw: Any) -> BulkRequest[Any]:
        """Make the request by the plan."""
        return self._plan.request(raw)

    def value(self, position: int, raw: Any, answer: Any, error: PersonalizeError | None, elapsed: float) -> Any:
        """Return answer and error, from which the parent makes the result."""
        return answer, error


def later(error: PersonalizeError, tries: int) -> float | None:
    """The seconds after which to repeat a failed request, or ``None`` if the failure is its outcome."""
    if tries >= AGAIN:
        return None
    if isinstance(error, ThrottlingError):
        return 0.0  # it has to wait for its turn anyway
    if isinstance(error, CircuitOpenError):
        return max(error.retry_after, 0.05)
    return None


def finished(
    plan: Plan[Any, Any], job: Job, answer: Any, error: PersonalizeError | None, elapsed: float
) -> Done | Halt:
    """Make the outcome of a request, or the halt of the run."""
    if error is None:
        return Done(job.place, job.position, plan.value(job.position, job.raw, answer, None, elapsed), None, elapsed)
    # A copy, so that the kept error does not keep the frames of its traceback alive.
    error = copy.copy(error)
    if isinstance(error, AccessDeniedError | ConfigurationError):
        return Halt(job.place, error)
    if isinstance(error, ServiceError) and error.no_such_resource:
        return Halt(job.place, error)
    if isinstance(error, ValidationError):
        elapsed = 0.0  # nothing was sent
    value = plan.value(job.position, job.raw, None, error, elapsed)
    return Done(job.place, job.position, value, type(error).__name__, elapsed, error.message)


class Worker(Generic[RawT, ValueT]):
    """Does jobs, one at a time in each calling thread.

    Args:
        runtime: The runtime.
        plan: The plan of the jobs.
        limiter: The limiter.
        is_stopped: Tells whether the run is to stop.
    """

    def __init__(
        self, runtime: Any, plan: Plan[RawT, ValueT], limiter: RateLimiter, is_stopped: Callable[[], bool]
    ) -> None:
        self._runtime = paced(runtime, limiter)
        self._plan = plan
        self._limiter = limiter
        self._is_stopped = is_stopped

    def wait_for_turn(self) -> bool:
        """Wait until a request may be sent.

        Returns:
            ``False`` if the run was stopped.
        """
        while wait := self._limiter.decide(time.monotonic()):
            if not self.sleep(wait):
                return False
        return True

    def sleep(self, seconds: float) -> bool:
        """Wait; ``False`` if the run was stopped."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            if self._is_stopped():
                return False
            time.sleep(min(left, 0.1))
        return True

    def do(self, job: Job) -> Done | Halt | None:
        """Do a job whose turn has come.

        Returns:
            Its outcome, or ``None`` if the run was stopped before.
        """
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
                answer = request.ruled(request.ask(self._runtime))
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
            if not (self.sleep(wait) and self.wait_for_turn()):
                return None

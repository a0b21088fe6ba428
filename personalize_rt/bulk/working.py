"""One request of a run, from what the caller gave to what the caller gets: what threads, tasks and processes share."""

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
    ResourceNotFoundError,
    ThrottlingError,
    ValidationError,
)

__all__ = ["Bare", "Done", "Halt", "Job", "Plain", "Plan", "Worker", "finished", "later"]

RawT = TypeVar("RawT")
ValueT = TypeVar("ValueT")
RawT_contra = TypeVar("RawT_contra", contravariant=True)
ValueT_co = TypeVar("ValueT_co", covariant=True)

# How often a request is called again that was throttled to the end of its retries. Each time it waits for its turn at a
# pace that is slower for it, so it rarely takes two.
AGAIN = 10


class Job(NamedTuple):
    """A request under way: its place in this run, its position among all, and what the caller gave."""

    place: int
    position: int
    raw: Any


class Done(NamedTuple):
    """A request that has an outcome: what the caller gets, class and text of the error, and the seconds of the call."""

    place: int
    position: int
    value: Any
    error: str | None
    elapsed: float
    message: str = ""


class Halt(NamedTuple):
    """Something that stops the run: no request has a better chance. ``place`` has no outcome."""

    place: int
    error: BaseException


class Plan(Protocol[RawT_contra, ValueT_co]):
    """What a run makes of that which goes in, and what comes out. With processes, it pickles.

    Attributes:
        keeps_raw: Whether what comes out holds what went in: then a process does not send that back.
    """

    keeps_raw: bool

    def request(self, raw: RawT_contra) -> BulkRequest[Any]:
        """The request.

        Raises:
            PersonalizeError: It is none; that is its outcome.
        """
        ...

    def value(
        self, position: int, raw: RawT_contra, answer: Any, error: PersonalizeError | None, elapsed: float
    ) -> ValueT_co:
        """What the caller gets for an outcome."""
        ...


class Plain:
    """Requests in, outcomes out."""

    keeps_raw = True

    def request(self, raw: BulkRequest[Any]) -> BulkRequest[Any]:
        """The same."""
        return raw

    def value(
        self, position: int, raw: BulkRequest[Any], answer: Any, error: PersonalizeError | None, elapsed: float
    ) -> Outcome[Any]:
        """The outcome."""
        return Outcome(position, raw, answer, error, elapsed)


class Bare:
    """A plan in another process: what the caller gets is made where the raw is."""

    keeps_raw = False

    def __init__(self, plan: Plan[Any, Any]) -> None:
        self._plan = plan

    def request(self, raw: Any) -> BulkRequest[Any]:
        """As the plan."""
        return self._plan.request(raw)

    def value(self, position: int, raw: Any, answer: Any, error: PersonalizeError | None, elapsed: float) -> Any:
        """What the plan needs beside the raw."""
        return answer, error


def later(error: PersonalizeError, tries: int) -> float | None:
    """The seconds after which a failed request should be called again, or ``None`` when this is its outcome."""
    if tries >= AGAIN:
        return None
    if isinstance(error, ThrottlingError):
        return 0.0  # its turn is a wait
    if isinstance(error, CircuitOpenError):
        return max(error.retry_after, 0.05)
    return None


def finished(
    plan: Plan[Any, Any], job: Job, answer: Any, error: PersonalizeError | None, elapsed: float
) -> Done | Halt:
    """The end of a request."""
    if error is None:
        return Done(job.place, job.position, plan.value(job.position, job.raw, answer, None, elapsed), None, elapsed)
    # A copy: an error that is kept must not keep the frames that it went through.
    error = copy.copy(error)
    if isinstance(error, AccessDeniedError | ConfigurationError | ResourceNotFoundError):
        return Halt(job.place, error)
    if isinstance(error, ValidationError):
        elapsed = 0.0  # nothing was sent
    value = plan.value(job.position, job.raw, None, error, elapsed)
    return Done(job.place, job.position, value, type(error).__name__, elapsed, error.message)


class Worker(Generic[RawT, ValueT]):
    """Does jobs, one at a time in each thread that calls it.

    Args:
        runtime: Who is asked.
        plan: What a job is, and what becomes of it.
        limiter: The pace.
        is_stopped: Whether the run is to stop.
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
            ``False`` when the run stopped instead.
        """
        while wait := self._limiter.decide(time.monotonic()):
            if not self.sleep(wait):
                return False
        return True

    def sleep(self, seconds: float) -> bool:
        """Wait; ``False`` when the run stopped instead."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            if self._is_stopped():
                return False
            time.sleep(min(left, 0.1))
        return True

    def do(self, job: Job) -> Done | Halt | None:
        """Make the call; its turn has come.

        Returns:
            Its end, or ``None`` when the run stopped before it had one.
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

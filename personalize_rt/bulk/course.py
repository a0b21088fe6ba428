"""The state machine of a run: the requests to start, the results to release, and the end of the run.

It has no threads and never waits. The runs on threads and on tasks share it; their loops are

    while True:
        while course.takes_more:        # take a request from the source, or report that it is exhausted
            ...
        if (done := course.next()) is not None:
            return done                 # confirmed when the caller asks for the next one
        ...                             # wait for outcomes and pass them to course.ended(); when nothing is in flight:
        if not course.goes_on():
            course.finish()
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sized
from typing import Any

from personalize_rt.bulk.checkpoint import Checkpoint
from personalize_rt.bulk.interrupts import Interrupts
from personalize_rt.bulk.limiter import RateLimiter
from personalize_rt.bulk.outcomes import Outcome, Summary, Tally
from personalize_rt.bulk.window import Window
from personalize_rt.bulk.working import Done, Halt, Job
from personalize_rt.errors import (
    CircuitOpenError,
    DeadlineExceededError,
    FilterSyntaxError,
    FilterValuesError,
    InvalidInputError,
    PersonalizeError,
    ServerError,
    ThrottlingError,
    TransportError,
    ValidationError,
)
from personalize_rt.notebook.progress import Bar

__all__ = ["AllRefusedError", "Course", "InterruptedRun", "OutageError"]

# Seconds between two writes of the checkpoint.
SAVE_EVERY = 1.0
# After so many failures in a row, the service counts as unavailable, and the run ends.
OUTAGE = 100
_OUTAGES = frozenset(
    kind.__name__ for kind in (CircuitOpenError, DeadlineExceededError, ServerError, ThrottlingError, TransportError)
)
# Errors before sending, which tell nothing about the service.
_UNSENT = frozenset(kind.__name__ for kind in (FilterSyntaxError, FilterValuesError, ValidationError))
# If the first so many requests are refused with the same error, all requests have the mistake, and the run ends.
REFUSALS = 100
_REFUSALS = _UNSENT | {InvalidInputError.__name__}
_OUTAGE = "outage"
# The most outcomes to hold back while an outage is suspected. More than OUTAGE, since wrong requests are held back too
# but do not count for it.
HELD = 1_000
# Requests taken ahead of the outcomes: for each one in flight, and at least. They keep the workers busy while a request
# is slow.
AHEAD = 8
AHEAD_AT_LEAST = 64


class OutageError(PersonalizeError):
    """A run was stopped because a hundred requests in a row failed, so that the service counts as unavailable.

    Those requests have no outcome; a resumed run makes them again. Fewer than ``100 + concurrency`` were sent in the
    outage, or those that were taken ahead when it began, if more: ``8 * concurrency``, and at least 64.

    Args:
        message: The failure of the last one.
    """


class AllRefusedError(PersonalizeError):
    """A run was stopped because its first hundred requests were refused alike, so that all have the same mistake.

    Those requests have no outcome; a resumed run makes them again. Fewer than ``100 + concurrency`` were sent.

    Args:
        message: The refusal of the first one.
    """


class InterruptedRun(KeyboardInterrupt):
    """A run was stopped by Ctrl-C. Requests in flight have finished, and the checkpoint is written.

    Args:
        message: The progress, and how to resume.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Course:
    """The state of a run.

    Args:
        requests: The requests, for their number.
        limiter: The limiter, for its count of throttles.
        concurrency: The most requests in flight.
        ordered: Whether to release results in the order of the requests.
        raises: Whether the first error ends the run.
        progress: Whether to show a bar.
        checkpoint: The file of finished requests.
        total: The number of requests, if the caller knows it.
        skip: The number of requests at the beginning that were finished before, beside those of the checkpoint.
        failed: The number of those that failed, by the class of their error. The summary includes them.
        gaps: Whether results after a dropped request may be released.
        what: The text beside the bar.
        refusals: Whether the run ends if its first requests are refused alike.
        text: Formats an error for the examples, with its class.
    """

    def __init__(
        self,
        requests: object,
        limiter: RateLimiter,
        *,
        concurrency: int,
        ordered: bool,
        raises: bool,
        progress: bool | None,
        checkpoint: Checkpoint | None,
        total: int | None = None,
        skip: int = 0,
        failed: Mapping[str, int] | None = None,
        gaps: bool = True,
        what: str = "asking",
        refusals: bool = True,
        text: Callable[[Done], str] | None = None,
    ) -> None:
        self._limiter = limiter
        self._checkpoint = checkpoint
        self._raises = raises
        self._position = self._before = skip
        self._concurrency = concurrency
        self._ahead = max(AHEAD_AT_LEAST, AHEAD * concurrency)
        self._window: Window[Done] = Window(ordered=ordered)
        self._gaps = gaps
        self._tally = Tally()
        self._tally.failed.update(failed or {})
        self._tally.done = skip - self._tally.failed.total()
        self._start = self._saved = time.monotonic()
        # Failures that are held back until it is clear that they are not the end of the run (by an outage, or by a
        # mistake in all requests). They count as in flight, so that a resumed run makes them again.
        self._held: deque[Done] = deque()
        # Whether the last outcome was held back, or there is none yet.
        self._in_doubt = True
        self._released: deque[Done] = deque()
        self._kind = ""  # the suspicion that they raise: an outage, or a class of refusals
        self._in_a_row = 0
        self._dropped = False
        self._text: Callable[[Done], str] = text or _text
        self._handed: int | None = None
        self._exhausted = False
        self._failure: BaseException | None = None
        if total is None and isinstance(requests, Sized):
            total = len(requests)
        done = skip + (0 if checkpoint is None else checkpoint.count)
        self._may_be_refused = refusals and self._tally.done == 0 and (checkpoint is None or not checkpoint.count)
        self._bar = Bar(what, " requests", progress, total=total, done=done)
        self.interrupts: Interrupts = Interrupts()

    # In.

    @property
    def takes_more(self) -> bool:
        """``True`` if another request may be taken now."""
        # While an end of the run is suspected, no requests are taken ahead, since they would be sent in vain.
        room = self._concurrency if self._in_doubt else self._ahead
        return not self.is_stopping and not self._exhausted and self._window.open < room

    @property
    def is_stopping(self) -> bool:
        """``True`` if no more requests are taken."""
        return self._failure is not None or self.interrupts.asked

    def take(self, raw: Any) -> Job | None:
        """Take a request; ``None`` if it was finished before."""
        position = self._position
        self._position += 1
        if self._checkpoint is not None and self._checkpoint.has(position):
            return None
        return Job(self._window.take(), position, raw)

    def exhausted(self) -> None:
        """Note that there are no more requests."""
        self._exhausted = True

    # Out.

    def ended(self, outcomes: list[Done | Halt]) -> None:
        """Add outcomes of requests."""
        for outcome in outcomes:
            if isinstance(outcome, Done):
                self._window.add(outcome.place, outcome)
                error = outcome.error
                if error not in _UNSENT:
                    self._in_doubt = error in _OUTAGES or (self._may_be_refused and error in _REFUSALS)
            elif self._failure is None:
                self._failure = outcome.error

    def next(self) -> Done | None:
        """The next result to release, or ``None`` if it is pending."""
        while not self._released:
            popped = None if self._dropped and not self._gaps else self._window.pop()
            if popped is None:
                return None
            self._sort(popped[1])
        done = self._released.popleft()
        self._handed = done.position
        self._tally.count(done.error, done.elapsed)
        if done.error is not None and done.error not in self._tally.examples:
            self._tally.examples[done.error] = self._text(done)
        self._bar.advance(failed=done.error is not None)
        return done

    def _sort(self, done: Done) -> None:
        """Hold an outcome back, release it together with those held back, or drop it."""
        error = done.error
        if error is not None and self._raises:
            value: Outcome[Any] = done.value
            assert value.error is not None
            raise self._with_advice(value.error, done.position)
        kind = self._kind_of(error)
        if self._dropped:
            if kind is None:  # else it is one more failure like those that ended the run
                self._released.append(done)
            return
        if kind is None or (self._held and kind != self._kind):
            self._release()
            kind = self._kind_of(error)
        if kind is None:
            self._may_be_refused = False
            self._released.append(done)
            return
        self._kind = kind
        self._held.append(done)
        self._in_a_row += kind != _OUTAGE or error not in _UNSENT
        if kind == _OUTAGE and self._in_a_row >= OUTAGE:
            self._give_up(
                OutageError(
                    f"none of {OUTAGE} requests in a row could be answered, the last one for {self._text(done)}"
                )
            )
        elif kind != _OUTAGE and self._in_a_row >= REFUSALS:
            self._give_up(
                AllRefusedError(
                    f"the first {REFUSALS} requests were all refused alike, so the others were not tried; the first "
                    f"one for {self._text(self._held[0])}"
                )
            )
        elif len(self._held) > HELD:
            self._released.append(self._held.popleft())

    def _kind_of(self, error: str | None) -> str | None:
        """The end of the run that an error may be a sign of: an outage, or a class of refusals."""
        if error in _OUTAGES or (error in _UNSENT and self._held and self._kind == _OUTAGE):
            return _OUTAGE
        return error if self._may_be_refused and error in _REFUSALS else None

    def _release(self) -> None:
        if self._held:
            self._may_be_refused = False
        self._released.extend(self._held)
        self._held.clear()
        self._in_a_row = 0

    def _give_up(self, failure: PersonalizeError) -> None:
        if self._failure is None:
            self._failure = failure
        self._held.clear()
        self._in_a_row = 0
        self._dropped = True

    def confirm(self) -> None:
        """Note that the caller has processed the last released result."""
        if self._handed is None:
            return
        position, self._handed = self._handed, None
        if self._checkpoint is not None:
            self._checkpoint.add(position)
            now = time.monotonic()
            if now - self._saved >= SAVE_EVERY:
                self._checkpoint.save()
                self._saved = now

    def goes_on(self) -> bool:
        """Decide whether the run continues when nothing is in flight and :meth:`next` returned ``None``.

        Returns:
            Whether there is a request to take or a result to release. Outcomes that are held back are released only
            when the requests are exhausted, since the next failure may end the run.
        """
        if self.takes_more:
            return True
        if self._held and not self.is_stopping:
            self._release()
            return True
        return self._gaps and self._window.skip_gaps()

    # The end.

    def finish(self) -> None:
        """Finish the run, after all results were released.

        Raises:
            InterruptedRun: The run was stopped by Ctrl-C.
            BaseException: The error that stopped the run.
        """
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise self._with_advice(failure, None)
        if self.interrupts.asked:
            raise InterruptedRun(f"stopped after {self._tally.total:,} requests{self._advice()}")
        if self._checkpoint is not None:
            self._checkpoint.remove()

    def close(self) -> None:
        """Restore Ctrl-C, close the bar, and save the checkpoint. Safe to call twice."""
        self.interrupts.release()
        self._bar.close()
        if self._checkpoint is not None:
            self._checkpoint.save()

    def summary(self) -> Summary:
        """The counts so far."""
        return self._tally.summary(self._limiter.throttles, time.monotonic() - self._start, self._before)

    def _advice(self) -> str:
        return (
            ""
            if self._checkpoint is None
            else f"; to go on, run it again with checkpoint={str(self._checkpoint.path)!r}"
        )

    def _with_advice(self, failure: BaseException, position: int | None) -> BaseException:
        where = f"after {self._tally.total:,} requests" if position is None else f"at requests[{position}]"
        failure.add_note(f"the run stopped {where}{self._advice()}")
        return failure


def _text(done: Done) -> str:
    return f"{done.error}: {done.message}"

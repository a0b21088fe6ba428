"""The state machine of a run: which request goes in, which outcome comes out, and how the run ends.

No threads, no tasks, no waiting. Shared by the run on threads and the one on tasks, whose loops are

    while True:
        while course.takes_more:        # take a request from the source, or say that it is exhausted
            ...
        if (done := course.next()) is not None:
            return done                 # confirmed when the caller comes back
        ...                             # wait for outcomes and hand them to course.ended(); when nothing is in flight:
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

# Seconds between two writings of the checkpoint.
SAVE_EVERY = 1.0
# When so many requests in a row could not be answered, the service is not there, and the others need not be tried.
OUTAGE = 100
_OUTAGES = frozenset(
    kind.__name__ for kind in (CircuitOpenError, DeadlineExceededError, ServerError, ThrottlingError, TransportError)
)
# Nothing was sent, so it says nothing about the service.
_UNSENT = frozenset(kind.__name__ for kind in (FilterSyntaxError, FilterValuesError, ValidationError))
# When so many requests at the beginning were refused alike, the mistake is in all of them.
REFUSALS = 100
_REFUSALS = _UNSENT | {InvalidInputError.__name__}
_OUTAGE = "outage"
# Outcomes that are held back at the most, while it is open whether there is an outage. Only wrong requests, which do
# not count for it, make them more than OUTAGE.
HELD = 1_000
# Requests that are taken ahead of the outcomes: for each one in flight, and at the least. While one of them is slow,
# this is what the others have to do.
AHEAD = 8
AHEAD_AT_LEAST = 64


class OutageError(PersonalizeError):
    """A run was stopped, since none of the last hundred requests could be answered: the service is not there.

    Those requests have no outcome; a run that goes on asks them again. Fewer than ``100 + concurrency`` were sent in
    the outage, or those that were taken ahead when it began, if these are more: ``8 * concurrency``, and at least 64.

    Args:
        message: How the last one failed.
    """


class AllRefusedError(PersonalizeError):
    """A run was stopped, since its first hundred requests were refused alike: what is wrong is wrong with all of them.

    Those requests have no outcome; a run that goes on asks them again. Fewer than ``100 + concurrency`` were sent.

    Args:
        message: How the first one was refused.
    """


class InterruptedRun(KeyboardInterrupt):
    """A run was stopped by Ctrl-C: what was in flight has ended, and the checkpoint is written.

    Args:
        message: How far it was, and how to go on.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Course:
    """How far a run is.

    Args:
        requests: What goes in, for its length.
        limiter: For its count of throttles.
        concurrency: Requests in flight at the most.
        ordered: Whether results come out in the order of the requests.
        raises: Whether the first error ends the run.
        progress: Whether to show a bar.
        checkpoint: Where to keep how far it is.
        total: How many requests there are, where the caller knows.
        skip: Requests at the beginning that were done before, beside those of the checkpoint.
        failed: Those of them that failed, by the class of their error; the summary counts all of them.
        gaps: Whether what is behind a request that was dropped may come out.
        what: What to write beside the bar.
        refusals: Whether requests that are refused alike from the beginning end the run.
        text: What an error says, with its class.
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
        self._position = skip
        self._concurrency = concurrency
        self._ahead = max(AHEAD_AT_LEAST, AHEAD * concurrency)
        self._window: Window[Done] = Window(ordered=ordered)
        self._gaps = gaps
        self._tally = Tally()
        self._tally.failed.update(failed or {})
        self._tally.done = skip - self._tally.failed.total()
        self._start = self._saved = time.monotonic()
        # Outcomes that come out only when it is clear that they do not belong to what ends the run: an outage, or a
        # mistake in all requests. They count as in flight till then, so that they are asked again.
        self._held: deque[Done] = deque()
        # Whether the outcome that came last may be one of those, or none has come yet.
        self._in_doubt = True
        self._released: deque[Done] = deque()
        self._kind = ""  # of those that are held: an outage, or a class of refusals
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
        """Whether another request may go in now."""
        # Each request that is sent into an outage, or with the mistake that all have, is one too many: in doubt, none
        # is taken ahead.
        room = self._concurrency if self._in_doubt else self._ahead
        return not self.is_stopping and not self._exhausted and self._window.open < room

    @property
    def is_stopping(self) -> bool:
        """Whether nothing more goes in."""
        return self._failure is not None or self.interrupts.asked

    def take(self, raw: Any) -> Job | None:
        """Another request; ``None`` when it was done before."""
        position = self._position
        self._position += 1
        if self._checkpoint is not None and self._checkpoint.has(position):
            return None
        return Job(self._window.take(), position, raw)

    def exhausted(self) -> None:
        """There are no more requests."""
        self._exhausted = True

    # Out.

    def ended(self, outcomes: list[Done | Halt]) -> None:
        """Requests ended."""
        for outcome in outcomes:
            if isinstance(outcome, Done):
                self._window.add(outcome.place, outcome)
                error = outcome.error
                if error not in _UNSENT:
                    self._in_doubt = error in _OUTAGES or (self._may_be_refused and error in _REFUSALS)
            elif self._failure is None:
                self._failure = outcome.error

    def next(self) -> Done | None:
        """What to hand on next, or ``None`` when it is not there yet."""
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
        """Hold an outcome back, release it after those that were held, or drop it."""
        error = done.error
        if error is not None and self._raises:
            value: Outcome[Any] = done.value
            assert value.error is not None
            raise self._with_advice(value.error, done.position)
        kind = self._kind_of(error)
        if self._dropped:
            if kind is None:  # else it is one more of those that ended the run
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
        """What an outcome may be a sign of."""
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
        """What was handed on last has been dealt with."""
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
        """Called when nothing is in flight and :meth:`next` gave nothing.

        Returns:
            Whether there is another request to take, or an outcome to hand on. What is held comes out only when the
            requests are exhausted: the next one may be the one that ends the run.
        """
        if self.takes_more:
            return True
        if self._held and not self.is_stopping:
            self._release()
            return True
        return self._gaps and self._window.skip_gaps()

    # The end.

    def finish(self) -> None:
        """The run is over, and all is handed on.

        Raises:
            InterruptedRun: It was stopped by Ctrl-C.
            BaseException: What stopped it.
        """
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise self._with_advice(failure, None)
        if self.interrupts.asked:
            raise InterruptedRun(f"stopped after {self._tally.total:,} requests{self._advice()}")
        if self._checkpoint is not None:
            self._checkpoint.remove()

    def close(self) -> None:
        """Leave everything as it was. Safe to call twice."""
        self.interrupts.release()
        self._bar.close()
        if self._checkpoint is not None:
            self._checkpoint.save()

    def summary(self) -> Summary:
        """How it went so far."""
        return self._tally.summary(self._limiter.throttles, time.monotonic() - self._start)

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

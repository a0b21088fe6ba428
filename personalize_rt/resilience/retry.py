"""The policy of retries.

The wait before attempt *n* + 1 is drawn evenly from ``[0, min(cap, base * 2**(n - 1))]`` seconds ("full jitter"),
or is what the server asked for in a ``Retry-After`` header, where it did.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import attrs

from personalize_rt import checks
from personalize_rt.errors import PersonalizeError, TransportError, ValidationError
from personalize_rt.outcome import Failed
from personalize_rt.redaction import describe

if TYPE_CHECKING:
    from personalize_rt.resilience.call import Call

__all__ = ["Decisions", "RetryPolicy", "Stop", "Wait"]


class Wait(NamedTuple):
    """Send again, after so many seconds."""

    seconds: float


class Stop(NamedTuple):
    """Do not send again.

    ``reason`` is ``"final"`` (the error will not go away), ``"attempts"`` (all used), ``"asked"`` (the server asked
    for a longer wait than there is), ``"budget"`` (too many retries in all just now) or ``"deadline"`` (no time is left
    for another attempt).
    """

    reason: Literal["final", "attempts", "asked", "budget", "deadline"]


def _draw() -> float:
    """A number from 0 to 1, from the generator of this process.

    ``random.random`` itself would pickle with the state of its generator: a policy that is sent to many processes would
    then draw the same waits in all of them, and send all retries at once.
    """
    return random.random()


def _sleep(seconds: float) -> None:
    """Sleep as ``time.sleep`` does by then: gevent may replace it in a worker that was forked after this import."""
    time.sleep(seconds)


_seconds = checks.validator(checks.seconds)


def _function(policy: RetryPolicy, field: attrs.Attribute[Any], value: object) -> None:
    if not callable(value):
        raise ValidationError(f"{field.name} is {describe(value)}, not a function", parameter=field.name)


@attrs.frozen
class RetryPolicy:
    """The number of attempts of a call, and the waits between them.

    Only errors that may pass are retried: throttling, the service's own errors (5xx, 408), connection errors and
    time-outs; never errors of the caller. The three operations are idempotent: they only read.

    Attributes:
        attempts: The most requests, the first included. 1 means no retry.
        base: The upper bound of the first wait, in seconds; it doubles with each attempt.
        cap: The longest wait of our own, in seconds.
        min_attempt: The shortest time, in seconds, that must be left for a retry after its wait.
        max_retry_after: The longest wait that a server may ask for, in seconds. If it asks for more, or for more than
            the deadline leaves, the error is raised at once.
        clock: A monotonic clock in seconds.
        sleep: Waits for so many seconds.
        random: Returns a number from 0 to 1.
    """

    attempts: int = attrs.field(default=3, validator=checks.validator(checks.whole, note=" (1 means: never retry)"))
    base: float = attrs.field(default=0.05, validator=checks.validator(checks.seconds, finite=True))
    cap: float = attrs.field(default=0.5, validator=_seconds)
    min_attempt: float = attrs.field(default=0.05, kw_only=True, validator=_seconds)
    max_retry_after: float = attrs.field(default=30.0, kw_only=True, validator=_seconds)
    clock: Callable[[], float] = attrs.field(
        default=time.monotonic, kw_only=True, repr=False, eq=False, validator=_function
    )
    sleep: Callable[[float], None] = attrs.field(
        default=_sleep, kw_only=True, repr=False, eq=False, validator=_function
    )
    random: Callable[[], float] = attrs.field(default=_draw, kw_only=True, repr=False, eq=False, validator=_function)

    def decide(self, error: BaseException, *, attempt: int, left: float | None) -> Wait | Stop:
        """Decide what to do after a failed attempt.

        Args:
            error: Its error.
            attempt: The number of the attempt that failed, from 1.
            left: Seconds until the caller's deadline, or ``None`` for no deadline.
        """
        if not isinstance(error, PersonalizeError) or not error.is_retry_safe:
            return Stop("final")
        attempts = self.attempts
        if _testing is not None and _testing.attempts is not None:
            attempts = _testing.attempts
        if attempt >= attempts:
            return Stop("attempts")
        if _testing is not None:
            return Wait(0.0)
        asked: float | None = getattr(error, "retry_after", None)
        if asked is not None:
            most = self.max_retry_after if left is None else min(self.max_retry_after, left - self.min_attempt)
            return Wait(asked) if asked <= most else Stop("asked")
        # The exponent is bounded, since 2.0**1024 is an OverflowError.
        wait = self.random() * min(self.cap, self.base * 2.0 ** min(attempt - 1, 64))
        if left is not None and wait + self.min_attempt > left:
            return Stop("deadline")
        return Wait(wait)


class Decisions:
    """The decisions about one call, in the form in which tenacity asks for them. Its attempts return outcomes."""

    def __init__(self, call: Call[Any]) -> None:
        self._call = call
        self._attempt = 0
        self._decision: Wait | Stop = Stop("final")
        self._error: PersonalizeError | None = None

    def _decide(self, state: Any) -> Wait | Stop:
        # Once an attempt: tenacity asks for the wait and for the stop, and a decision draws lots and spends tokens.
        if self._attempt == state.attempt_number:
            return self._decision
        call, self._attempt = self._call, state.attempt_number
        failed: Failed[PersonalizeError] = state.outcome.result()
        error = self._error = failed.take()
        self._decision = call.policies.retry.decide(error, attempt=self._attempt, left=call.left())
        if isinstance(self._decision, Wait):
            call.spent = call.policies.budget.spend(error)
            if not call.spent:
                self._decision = Stop("budget")
            else:
                call.tell("RetryPlanned", self._attempt, self._decision.seconds)
        return self._decision

    def wait(self, state: Any) -> float:
        """Seconds before the next attempt."""
        decision = self._decide(state)
        return decision.seconds if isinstance(decision, Wait) else 0.0

    def stop(self, state: Any) -> bool:
        """Tell whether to stop retrying."""
        return isinstance(self._decide(state), Stop)

    def late(self) -> Failed[PersonalizeError] | None:
        """The error of a call whose time is over after a wait, which may take longer than it should."""
        left = self._call.left()
        return None if left is None or left > 0 else Failed(self._call.late(self._error))

    def give_up(self, state: Any) -> Failed[PersonalizeError]:
        """The outcome of a call when there is no next attempt."""
        decision, error = self._decide(state), self._error
        assert error is not None  # it was decided about
        left = self._call.left()
        # Cut off: a request that broke because its time was over.
        cut_off = isinstance(error, TransportError) and left is not None and left <= 0
        if cut_off or decision == Stop("deadline"):
            late = self._call.late(error)
            late.__cause__ = error
            error = late
        return Failed(error)

    def forget(self, retrying: Any) -> None:
        """Let go of the last error, and of what tenacity was about to do.

        Args:
            retrying: tenacity's object. Since 8.4 it keeps its own bound methods in a ``threading.local``, a circle
                that goes through the state of the thread.
        """
        self._error = None
        state = getattr(retrying, "iter_state", None)
        if state is not None:
            state.actions.clear()


class Testing:
    """The mode that ``personalize_rt.testing.set_testing`` switches on."""

    def __init__(self, attempts: int | None = None) -> None:
        self.attempts: int | None = attempts


_testing: Testing | None = None


def testing() -> Testing | None:
    """The testing mode in force, or ``None``."""
    return _testing


def switch_testing(mode: Testing | None) -> None:
    """Switch the testing mode of this process on or off."""
    global _testing
    _testing = mode

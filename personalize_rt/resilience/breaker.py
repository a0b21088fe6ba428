"""Circuit breakers, which stop calls to a campaign that failed too often recently.

Each campaign and recommender has a breaker of its own, since one may fail while the others work. It counts calls (with
all their retries) over a sliding window. Closed, it lets every call through; when enough of them have failed it opens,
and raises ``CircuitOpenError`` within microseconds; after a while it becomes half-open and lets a few probes through,
whose outcome closes or opens it again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Literal, NamedTuple

import attrs

from personalize_rt import checks, forks
from personalize_rt.errors import (
    CircuitOpenError,
    DeadlineExceededError,
    ResponseError,
    ServerError,
    TransportError,
)

__all__ = ["BreakerState", "CircuitBreaker", "Ticket"]

BreakerState = Literal["closed", "open", "half-open"]

_SLICES = 10

# Without throttling, since a campaign at its capacity works, and should continue to.
_FAILURES = (ServerError, TransportError, DeadlineExceededError, ResponseError)


@attrs.define(eq=False)
class _Circuit:
    """The state of one campaign or recommender."""

    state: BreakerState = "closed"
    opened_at: float = 0.0
    probes: int = 0  # probes in flight while half-open
    probed_at: float = 0.0  # the time of the last probe
    turns: int = 0  # changes of state so far
    slices: deque[list[float]] = attrs.field(factory=deque[list[float]])  # [start, calls, failures], oldest first


class Ticket(NamedTuple):
    """Permission to make a call.

    Attributes:
        arn: The campaign or recommender of the call.
        turn: The number of state changes of the breaker before the call was admitted.
        changed: The state that the breaker changed to on admission, or ``None``.
    """

    arn: str
    turn: int
    changed: BreakerState | None = None


class CircuitBreaker:
    """The breakers of one client. Safe to share between threads.

    A probe without an outcome after ``open_for`` seconds makes room for the next one, since its task may be in an event
    loop that was closed.

    Args:
        failure_rate: The share of failed calls in the window at which the breaker opens, above 0, at most 1.
        min_calls: The fewest calls in the window for the breaker to open.
        window: Seconds over which calls are counted.
        open_for: Seconds before an open breaker lets a probe through.
        probes: Calls let through at a time while half-open.
        clock: A monotonic clock in seconds.
    """

    _lock = forks.lock()

    def __init__(
        self,
        *,
        failure_rate: float = 0.5,
        min_calls: int = 20,
        window: float = 10.0,
        open_for: float = 5.0,
        probes: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failure_rate: float = checks.number(
            failure_rate, "failure_rate", "above 0 and at most 1", lambda it: 0 < it <= 1
        )
        self.min_calls: int = checks.whole(min_calls, "min_calls")
        self.window: float = checks.seconds(window, "window", above_0=True)
        self.open_for: float = checks.seconds(open_for, "open_for", above_0=True)
        self.probes: int = checks.whole(probes, "probes")
        self._clock = clock
        self._circuits: dict[str, _Circuit] = {}
        forks.in_child(self, CircuitBreaker._forget_probes)

    def state(self, arn: str) -> BreakerState:
        """The state of a campaign's or recommender's breaker."""
        with self._lock:
            circuit = self._circuits.get(arn)
            return "closed" if circuit is None else self._now(circuit)

    def _now(self, circuit: _Circuit) -> BreakerState:
        if circuit.state == "open" and self._clock() >= circuit.opened_at + self.open_for:
            return "half-open"
        return circuit.state

    def admit(self, arn: str) -> Ticket:
        """Request permission for a call.

        Returns:
            A ticket, to be passed to :meth:`record` or :meth:`release`.

        Raises:
            CircuitOpenError: The breaker is open.
        """
        circuit = self._circuits.get(arn)
        if circuit is None or circuit.state == "closed":
            return Ticket(arn, 0 if circuit is None else circuit.turns)  # the common case, without the lock
        with self._lock:
            state = self._now(circuit)
            if state == "closed":
                return Ticket(arn, circuit.turns)
            if state == "open":
                raise _open(arn, circuit.opened_at + self.open_for - self._clock())
            changed = circuit.state == "open"
            if changed:
                circuit.state, circuit.probes = "half-open", 0
                circuit.turns += 1
            now = self._clock()
            if circuit.probes >= self.probes:
                if now < circuit.probed_at + self.open_for:
                    raise _open(arn, 0.0)
                circuit.probes = 0
            circuit.probes += 1
            circuit.probed_at = now
            return Ticket(arn, circuit.turns, changed="half-open" if changed else None)

    def record(self, ticket: Ticket, error: BaseException | None) -> BreakerState | None:
        """Record the outcome of an admitted call.

        Args:
            ticket: The ticket of :meth:`admit`.
            error: Its error, or ``None``. An error of the caller does not count.

        Returns:
            The state that the breaker changed to, or ``None``.
        """
        failed = isinstance(error, _FAILURES)
        silent = error is not None and not failed
        with self._lock:
            circuit = self._circuits.setdefault(ticket.arn, _Circuit())
            if ticket.turn != circuit.turns:
                return None  # admitted before the last change, and so not a probe
            now = self._clock()
            if circuit.state == "half-open":
                circuit.probes = max(0, circuit.probes - 1)
                # An outcome that tells nothing about the service. The next probe decides.
                return None if silent else self._turn(circuit, "open" if failed else "closed", now)
            if silent:
                return None
            calls, failures = self._count(circuit, failed, now)
            if failed and calls >= self.min_calls and failures >= self.failure_rate * calls:
                return self._turn(circuit, "open", now)
            return None

    def release(self, ticket: Ticket) -> None:
        """Release the ticket of a call that was cancelled, and so has no outcome."""
        with self._lock:
            circuit = self._circuits.get(ticket.arn)
            if circuit is not None and circuit.state == "half-open" and ticket.turn == circuit.turns:
                circuit.probes = max(0, circuit.probes - 1)

    def _forget_probes(self) -> None:
        # In a forked child, since only the parent will know the outcome of its probes.
        for circuit in self._circuits.values():
            circuit.probes = 0

    def _turn(self, circuit: _Circuit, state: BreakerState, now: float) -> BreakerState:
        circuit.state, circuit.opened_at, circuit.probes = state, now, 0
        circuit.turns += 1
        circuit.slices.clear()
        return state

    def _count(self, circuit: _Circuit, failed: bool, now: float) -> tuple[float, float]:
        slices = circuit.slices
        while slices and slices[0][0] <= now - self.window:
            slices.popleft()
        if not slices or now >= slices[-1][0] + self.window / _SLICES:
            slices.append([now, 0, 0])
        slices[-1][1] += 1
        slices[-1][2] += failed
        return sum(part[1] for part in slices), sum(part[2] for part in slices)


def _open(arn: str, left: float) -> CircuitOpenError:
    return CircuitOpenError(
        f"not sent: the calls to {arn} failed too often recently; the next one may be sent in {left:.1f} s",
        retry_after=left,
    )

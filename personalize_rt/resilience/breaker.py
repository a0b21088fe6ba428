"""Not asking a campaign that just failed too often.

Each campaign and recommender has a breaker of its own, for one may be sick while the others are well. It counts calls
(with all their retries) over a sliding window. Closed, it lets everything through; when enough of the calls failed it
opens, and answers ``CircuitOpenError`` in microseconds; after a while it is half-open and lets a few probes through,
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

# Throttling is not here: a campaign at its capacity works, and should go on working at that pace.
_FAILURES = (ServerError, TransportError, DeadlineExceededError, ResponseError)


@attrs.define(eq=False)
class _Circuit:
    """The state of one campaign or recommender."""

    state: BreakerState = "closed"
    opened_at: float = 0.0
    probes: int = 0  # probes in flight while half-open
    probed_at: float = 0.0  # when the last of them was let through
    turns: int = 0  # changes of state so far
    slices: deque[list[float]] = attrs.field(factory=deque[list[float]])  # [start, calls, failures], oldest first


class Ticket(NamedTuple):
    """Leave to make a call.

    Attributes:
        arn: Whom the call asks.
        turn: How often the breaker had changed when the call was admitted.
        changed: The state that the breaker changed to because of the question, or ``None``.
    """

    arn: str
    turn: int
    changed: BreakerState | None = None


class CircuitBreaker:
    """The breakers of one client. Locked: it may be shared by threads.

    A probe whose outcome does not come within ``open_for`` seconds makes room for the next one: its task may have been
    left behind in an event loop that is over.

    Args:
        failure_rate: Open when at least this part of the calls in the window failed, above 0, at most 1.
        min_calls: Never open on fewer calls than this in the window.
        window: Seconds over which calls are counted.
        open_for: Seconds before an open breaker lets a probe through.
        probes: Calls let through at a time while half-open.
        clock: Seconds that only ever grow.
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
        self.failure_rate = checks.number(failure_rate, "failure_rate", "above 0 and at most 1", lambda it: 0 < it <= 1)
        self.min_calls = checks.whole(min_calls, "min_calls")
        self.window = checks.seconds(window, "window", above_0=True)
        self.open_for = checks.seconds(open_for, "open_for", above_0=True)
        self.probes = checks.whole(probes, "probes")
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
        """Ask to make a call.

        Returns:
            A ticket, to be given back with :meth:`record` or :meth:`release`.

        Raises:
            CircuitOpenError: The call must not be made.
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
        """Tell how an admitted call ended.

        Args:
            ticket: What :meth:`admit` returned.
            error: How it failed, or ``None``. An error of the caller says nothing about the service.

        Returns:
            The state that the breaker changed to, or ``None``.
        """
        failed = isinstance(error, _FAILURES)
        silent = error is not None and not failed
        with self._lock:
            circuit = self._circuits.setdefault(ticket.arn, _Circuit())
            if ticket.turn != circuit.turns:
                return None  # admitted before the last change: only probes decide while half-open
            now = self._clock()
            if circuit.state == "half-open":
                circuit.probes = max(0, circuit.probes - 1)
                # No answer to the question: the next probe asks again.
                return None if silent else self._turn(circuit, "open" if failed else "closed", now)
            if silent:
                return None
            calls, failures = self._count(circuit, failed, now)
            if failed and calls >= self.min_calls and failures >= self.failure_rate * calls:
                return self._turn(circuit, "open", now)
            return None

    def release(self, ticket: Ticket) -> None:
        """Tell that an admitted call was given up without an outcome (it was cancelled)."""
        with self._lock:
            circuit = self._circuits.get(ticket.arn)
            if circuit is not None and circuit.state == "half-open" and ticket.turn == circuit.turns:
                circuit.probes = max(0, circuit.probes - 1)

    def _forget_probes(self) -> None:
        # In a forked child: they are in flight in the parent, which alone will know how they end.
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
        f"not sent: the calls to {arn} failed too often just now; the next one may go out in {left:.1f} s",
        retry_after=left,
    )

"""Requests on threads: two for one answer, or one that is abandoned at the deadline."""

from __future__ import annotations

import contextvars
import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from personalize_rt import forks
from personalize_rt.errors import DeadlineExceededError, ServiceError, TransportError
from personalize_rt.outcome import Failed, Ok
from personalize_rt.resilience.call import Call
from personalize_rt.resilience.hedge import Hedge
from personalize_rt.transport.credential_failures import late_credentials
from personalize_rt.transport.sending import Attempt, Reply, Transport

__all__ = ["hedged", "on_a_thread", "on_a_worker"]

_log = logging.getLogger("personalize_rt")


def on_a_thread(work: Callable[[], None]) -> None:
    """Run something on a thread that does not keep the process alive, in the context of the caller."""
    # The current span of a tracer is in the context; without it a request would look like nobody's.
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(work,), name="personalize-rt", daemon=True).start()


class _Lane:
    """One request of a race, with its outcome and a handle to cancel it."""

    __slots__ = ("attempt", "outcome", "over")

    def __init__(self) -> None:
        self.attempt = Attempt()
        self.outcome: Ok[Reply] | Failed[BaseException] | None = None
        self.over = False

    @property
    def interrupt(self) -> Failed[BaseException] | None:
        """The interrupt that ended the lane's thread, if one did."""
        outcome = self.outcome
        return outcome if isinstance(outcome, Failed) and not isinstance(outcome.error, Exception) else None

    def forget_error(self) -> None:
        """Forget an error that nobody asks for any longer: its traceback would hold the race."""
        if isinstance(self.outcome, Failed) and self.interrupt is None:
            self.outcome = None


class _Race:
    """The requests of one attempt, and a signal when one of them ends. One thread waits for it."""

    __slots__ = ("_call", "_lock", "_sent", "_transport", "_woken", "decided", "ends", "lanes")

    def __init__(self, call: Call[Any], transport: Transport) -> None:
        self._call = call
        self._transport = transport
        self._sent = call.sent
        self.ends = call.ends()  # before a request can make time pass
        self._lock = threading.Lock()
        self._woken: threading.Event | None = None  # of whoever waits; most calls never do
        self.lanes: list[_Lane] = []
        self.decided = False

    def enter(self) -> _Lane | None:
        """Add a lane; return ``None`` if the race is decided."""
        with self._lock:
            if self.decided:
                return None
            lane = _Lane()
            self.lanes.append(lane)
            return lane

    def run(self, lane: _Lane) -> None:
        """Send in a lane; the first reply cancels the other lanes."""
        self.end(lane, self._sent_in(lane))

    def _sent_in(self, lane: _Lane) -> Ok[Reply] | Failed[BaseException]:
        before = self._sent + self.lanes.index(lane)
        try:
            return Ok(
                self._transport.send(self._call.request, sent_before=before, ends=self.ends, attempt=lane.attempt)
            )
        except BaseException as error:
            return Failed(error)

    def end(self, lane: _Lane, outcome: Ok[Reply] | Failed[BaseException]) -> None:
        """Record a lane's outcome; the first reply cancels the others."""
        with self._lock:
            lane.outcome, lane.over = outcome, True
            if self.decided:
                lane.forget_error()
            won = isinstance(outcome, Ok) and not self.decided
            self.decided = self.decided or won
            losers = [other for other in self.lanes if other is not lane and not other.over] if won else []
            if self._woken is not None:
                self._woken.set()
        for loser in losers:
            loser.attempt.cancel()

    @property
    def sent(self) -> int:
        """The number of requests that may have been sent."""
        return sum(not lane.attempt.unsigned for lane in self.lanes)

    def late(self) -> DeadlineExceededError:
        """Give up at the deadline; return the error for it."""
        self.give_up()
        self._call.sent += self.sent
        return self._call.late(None if self.sent else late_credentials(None, sent=self._call.sent))

    def start(self, lane: _Lane) -> None:
        """Send in a lane, on a thread of its own."""
        try:
            on_a_thread(lambda: self.run(lane))
        except RuntimeError:  # there can be no more threads; nobody may wait for a lane without one
            self.end(lane, Failed(TransportError("no thread could be started for the request", phase="connect")))

    def wait(self, until: float | None) -> bool:
        """Wait for a reply, or all lanes to fail; return ``False`` if neither came by then (``time.monotonic()``)."""
        while True:
            with self._lock:
                if self.decided or all(lane.over for lane in self.lanes):
                    self.decided = True  # a lane that entered now would be waited for by nobody
                    return True
                woken = self._woken = threading.Event()
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return False
            woken.wait(left)

    def give_up(self) -> None:
        """Decide the race, and cancel all lanes."""
        with self._lock:
            self.decided = True
        for lane in self.lanes:
            lane.forget_error()
            lane.attempt.cancel()

    def reply(self) -> Reply:
        """Return the first reply, counting all requests; or raise the first lane's error."""
        for lane in self.lanes:
            if isinstance(lane.outcome, Ok):
                reply = lane.outcome.value
                for other in self.lanes:
                    other.forget_error()
                return Reply(reply.members, reply.request_id, len(self.lanes) - 1 + reply.sent)
        self._failed().unwrap()

    def _failed(self) -> Failed[BaseException]:
        for lane in self.lanes:
            if lane.interrupt is not None:
                return lane.interrupt
        failed = self.lanes[0].outcome
        if not isinstance(failed, Failed):
            failed = Failed(self._call.late())
        if isinstance(failed.error, ServiceError | TransportError):
            failed.error.attempts = max(failed.error.attempts, self._sent + self.sent)
        for lane in self.lanes:
            lane.outcome = None
        return failed


def on_a_worker(call: Call[Any], transport: Transport) -> Reply:
    """Send on a thread that is abandoned at the deadline, since a caller's client may take longer."""
    race = _Race(call, transport)
    lane = race.enter()
    assert lane is not None
    race.start(lane)
    if not race.wait(race.ends):
        raise race.late()
    return race.reply()


def hedged(call: Call[Any], transport: Transport, hedge: Hedge) -> Reply:
    """Send; when the answer is late, send again, and take whichever comes first."""
    delay = hedge.delay()
    begun = call.elapsed()
    if delay is None and call.policies.leave_behind(transport):
        reply = on_a_worker(call, transport)
    elif delay is None:
        reply = transport.send(call.request, sent_before=call.sent, ends=call.ends())
    else:
        reply = _raced(call, transport, hedge, _Race(call, transport), delay)
    hedge.answered(call.elapsed() - begun)
    return reply


def _raced(call: Call[Any], transport: Transport, hedge: Hedge, race: _Race, delay: float) -> Reply:
    first = race.enter()
    assert first is not None

    def start_second() -> None:
        if race.decided or not hedge.take():
            return
        second = race.enter()
        if second is not None:
            call.tell("HedgeStarted")
            race.start(second)

    if transport.bounded:
        # In this thread: a healthy call costs no hand-over. The winner of the other lane ends our wait.
        context = contextvars.copy_context()
        timer = _timers.after(delay, lambda: context.run(start_second))
        try:
            race.run(first)
        finally:
            timer.cancel()
        if first.interrupt is not None:  # of this thread: no answer to the other request may swallow it
            race.give_up()
            first.interrupt.unwrap()
        if isinstance(first.outcome, Ok):
            return race.reply()  # the common case, without waiting for anything
    else:
        race.start(first)
        if not race.wait(time.monotonic() + delay):
            start_second()
    try:
        in_time = race.wait(race.ends)
    except BaseException:  # an interrupt
        race.give_up()
        raise
    if not in_time:
        raise race.late()
    return race.reply()


class _Timer:
    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Drop the action if it has not begun."""
        self.action = None


class _Timers:
    """Runs actions later, on one thread that is started on demand; a forked child begins without any."""

    _changed = forks.PerProcess(lambda: threading.Condition())
    _waiting = forks.PerProcess(list["tuple[float, int, _Timer]"])

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None

    def after(self, seconds: float, action: Callable[[], None]) -> _Timer:
        """Run an action after so many seconds."""
        timer = _Timer(action)
        # On the next whole millisecond: calls that begin close together wake the thread once.
        due = (int((time.monotonic() + seconds) * 1000) + 1) / 1000
        with self._changed:
            heapq.heappush(self._waiting, (due, next(self._numbers), timer))
            if self._thread is None or not self._thread.is_alive():  # a fork leaves threads behind
                self._thread = threading.Thread(target=self._work, name="personalize-rt-timers", daemon=True)
                self._thread.start()
            elif self._waiting[0][2] is timer:
                self._changed.notify()
        return timer

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                left = self._waiting[0][0] - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
                due = [heapq.heappop(self._waiting)[2]]
                while self._waiting and self._waiting[0][0] <= time.monotonic():
                    due.append(heapq.heappop(self._waiting)[2])
            for timer in due:
                action = timer.action  # None when it was cancelled, as most are
                if action is not None:
                    try:
                        action()
                    except Exception as failure:  # others wait for this thread
                        _log.warning("a timer failed with %s", type(failure).__name__)


_timers = _Timers()

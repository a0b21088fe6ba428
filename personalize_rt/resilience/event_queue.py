"""The queue of an event tracker: which events are sent next, which again, and which never. No I/O, no clock.

Events of one session are sent in order, in batches of at most ten (model: EventList), one batch at a time; sessions
are independent. A batch is due when it is full, when its first event has waited for long enough, and at a flush. The
outcome of a batch decides:

* it was taken: its events are done;
* it was refused for what it holds: its halves are sent, and theirs, until a refused event stands alone and is set
  aside. PutEvents does not say which event of a batch it refuses;
* anything else (throttling, an outage, missing credentials): it is sent again, after a pause of the whole queue, which
  doubles with each failure in a row;
* anything else, again and again for a time, while batches of other sessions are taken between any two attempts: as if
  it were refused. In an outage nothing is taken, and so nothing is given up.

Events that wait or are in flight count against the two bounds, number and bytes.
"""

from __future__ import annotations

import heapq
import itertools
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from personalize_rt.errors import InvalidInputError, ValidationError
from personalize_rt.event_requests import BATCH
from personalize_rt.tracking import TrackedEvent

__all__ = ["Batch", "EventQueue", "OnFull", "Pending", "Who"]

OnFull = Literal["drop-oldest", "block", "raise"]

_FIRST_PAUSE = 0.25  # seconds
_LONGEST_PAUSE = 30.0
# Of a batch that fails while others are taken: failures, and seconds in the queue, after which it counts as refused.
_STRIKES = 10
_STRIKES_TAKE = 600.0
# While somebody waits for the queue to become empty.
_LONGEST_PAUSE_OF_A_FLUSH = 0.5


class Who(NamedTuple):
    """The session of an event, and its user, if known."""

    tracking_id: str
    session_id: str
    user_id: str | None

    def __repr__(self) -> str:
        return f"Who(tracking_id={self.tracking_id!r})"


class Pending:
    """An event in the queue.

    Attributes:
        who: Its session and user.
        event: The event.
        size: Its bytes, about.
        mark: Its place in a spool, or ``None``.
    """

    __slots__ = ("added", "event", "mark", "number", "size", "who")

    def __init__(self, who: Who, event: TrackedEvent, size: int, mark: Any = None) -> None:
        self.who: Who = who
        self.event: TrackedEvent = event
        self.size: int = size
        self.mark: Any = mark
        self.added: float = 0.0
        self.number: int = 0


class Batch:
    """Events to send in one request.

    Attributes:
        who: Their session and user.
        pending: The events, in order.
    """

    __slots__ = ("pending", "who")

    def __init__(self, pending: Sequence[Pending]) -> None:
        self.who: Who = pending[0].who
        self.pending: Sequence[Pending] = pending


class _Lane:
    """The events of one session."""

    __slots__ = ("due", "events", "in_flight", "key", "sizes", "strikes", "struck_at")

    def __init__(self, key: tuple[str, str]) -> None:
        self.key = key
        self.events: deque[Pending] = deque()
        self.sizes: list[int] = []  # of the next batches, where halves of a refused one are
        self.in_flight = False
        self.due = 0.0
        self.strikes = 0  # failures of its first batch, between any two of which other batches were taken
        self.struck_at = -1  # batches that had been taken by the last of them


class EventQueue:
    """The events that a tracker has to send. Whoever uses it holds a lock.

    Args:
        max_events: The most events in it, those in flight included.
        max_bytes: The most bytes, likewise.
        flush_after: Seconds after which an event is sent in a batch that is not full.

    Attributes:
        last: The number of the last event that was added.
        pending: The number of events in the queue, those in flight included.
        bytes: Their size.
        has_failed: The last batch could not be sent.
    """

    def __init__(self, *, max_events: int, max_bytes: int, flush_after: float) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._flush_after = flush_after
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._heap: list[tuple[float, int, _Lane]] = []
        self._waiting: OrderedDict[int, Pending] = OrderedDict()  # the oldest first
        self._numbers = itertools.count(1)
        self._flying: set[Batch] = set()
        self._drained_up_to = 0
        self._to_drain = 0
        self._taken_batches = 0
        self._pause = 0.0
        self._paused_until = 0.0
        self.last: int = 0
        self.pending: int = 0
        self.bytes: int = 0
        self.has_failed: bool = False

    def has_room(self, size: int) -> bool:
        """Tell whether an event of a size can be added without dropping another one."""
        return self.pending < self._max_events and self.bytes + size <= self._max_bytes

    def make_room(self, size: int) -> list[Pending]:
        """Drop the oldest events until one of a size has room, or none is left that is not in flight."""
        dropped: list[Pending] = []
        if size > self._max_bytes:  # it never has room
            return dropped
        while not self.has_room(size) and self._waiting:
            _, oldest = self._waiting.popitem(last=False)
            lane = self._lanes[_lane_of(oldest)]
            lane.events.popleft()  # the oldest of all is the first of its session
            if lane.sizes:
                lane.sizes[0] -= 1
                if not lane.sizes[0]:
                    del lane.sizes[0]
            self._forget(lane)
            self._done(oldest)
            dropped.append(oldest)
        return dropped

    def add(self, pending: Pending, now: float) -> float:
        """Add an event, for which there is room; return the time at which its batch is due."""
        self.last = next(self._numbers)
        pending.added, pending.number = now, self.last
        key = _lane_of(pending)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(key)
        lane.events.append(pending)
        self._waiting[pending.number] = pending
        self.pending += 1
        self.bytes += pending.size
        waiting = len(lane.events)
        if not lane.in_flight and (waiting == 1 or waiting == BATCH):
            self._schedule(lane, now)
        return lane.due

    def next(self, now: float) -> Batch | float | None:
        """The next batch, which is in flight from then on; seconds until one may be due; ``None`` if none waits."""
        heap = self._heap
        while heap:
            if not self._is_current(heap[0]):
                heapq.heappop(heap)
                continue
            due, _, lane = heap[0]
            if now < self._paused_until:
                return self._paused_until - now
            if due > now and not self.draining:
                return due - now
            heapq.heappop(heap)
            return self._taken(lane)
        return None

    def has_due(self, now: float) -> bool:
        """Tell whether another batch could be sent now."""
        if not self._heap or now < self._paused_until:
            return False
        return self.draining or self._heap[0][0] <= now

    def drain(self) -> None:
        """Make every event due that is in the queue now, and end a pause."""
        self._drained_up_to, self._to_drain = self.last, self.pending
        self._pause = self._paused_until = 0.0

    @property
    def draining(self) -> bool:
        """Tell whether an event is still in the queue that was there at the last :meth:`drain`."""
        return self._to_drain > 0

    def is_in_flight(self, batch: Batch) -> bool:
        """Tell whether a batch has no outcome yet, and was not given up."""
        return batch in self._flying

    def sent(self, batch: Batch) -> None:
        """The service took a batch."""
        self._pause, self.has_failed = 0.0, False
        self._taken_batches += 1
        for pending in batch.pending:
            self._done(pending)
        self._landed(batch)

    def failed(self, batch: Batch, error: BaseException, now: float, random: float) -> Pending | None:
        """A batch was not taken.

        Args:
            batch: The batch.
            error: The reason.
            now: The time.
            random: A number from 0 to 1, for the pause.

        Returns:
            The event that was refused, or counts as refused, and is in the queue no longer; ``None`` if the events will
            be sent again.
        """
        if isinstance(error, InvalidInputError | ValidationError) or self._is_struck_out(batch, now):
            self._pause, self.has_failed = 0.0, False  # the service answers
            if len(batch.pending) == 1:
                self._done(batch.pending[0])
                self._landed(batch)
                return batch.pending[0]
            half = (len(batch.pending) + 1) // 2
            self.put_back(batch, now, sizes=(half, len(batch.pending) - half))
            return None
        longest = _LONGEST_PAUSE_OF_A_FLUSH if self.draining else _LONGEST_PAUSE
        self._pause = min(longest, max(_FIRST_PAUSE, 2 * self._pause))
        self._paused_until = max(self._paused_until, now + self._pause * (0.5 + random / 2))
        self.has_failed = True
        self.put_back(batch, now)
        return None

    def _is_struck_out(self, batch: Batch, now: float) -> bool:
        """Note a failure; tell whether the batch has failed often and long enough while others were taken."""
        lane = self._lanes[_lane_of(batch.pending[0])]
        if lane.struck_at == self._taken_batches:  # nothing was taken since: it may be an outage
            return False
        lane.strikes += 1
        lane.struck_at = self._taken_batches
        return lane.strikes > _STRIKES and now - batch.pending[0].added >= _STRIKES_TAKE

    def put_back(self, batch: Batch, now: float, sizes: Iterable[int] = ()) -> None:
        """Put a batch back to where it was.

        Args:
            batch: The batch.
            now: The time.
            sizes: The sizes of the batches in which it is to be sent; none for one batch as it comes.
        """
        self._flying.discard(batch)
        lane = self._lanes[_lane_of(batch.pending[0])]
        lane.in_flight = False
        if not sizes and lane.sizes:
            sizes = (len(batch.pending),)  # it was a half itself
        lane.sizes[:0] = sizes
        lane.events.extendleft(reversed(batch.pending))
        for pending in reversed(batch.pending):
            self._waiting[pending.number] = pending
            self._waiting.move_to_end(pending.number, last=False)
        self._schedule(lane, now, at_once=True)

    def put_all_back(self, now: float) -> None:
        """Put back all batches in flight, whose senders are gone."""
        for batch in sorted(self._flying, key=lambda batch: batch.pending[0].number, reverse=True):
            self.put_back(batch, now)

    def left(self) -> list[Pending]:
        """Give all events up, those in flight too, whose outcome is not known; the oldest first."""
        left = [*self._waiting.values(), *(pending for batch in self._flying for pending in batch.pending)]
        for everything in (self._waiting, self._heap, self._lanes, self._flying):
            everything.clear()
        self.pending = self.bytes = self._to_drain = 0
        return sorted(left, key=lambda pending: pending.number)

    def _taken(self, lane: _Lane) -> Batch:
        most = lane.sizes.pop(0) if lane.sizes else BATCH
        pending = [lane.events.popleft()]
        user_id = pending[0].who.user_id
        while lane.events and len(pending) < most and lane.events[0].who.user_id == user_id:
            pending.append(lane.events.popleft())
        for each in pending:
            del self._waiting[each.number]
        lane.in_flight = True
        batch = Batch(pending)
        self._flying.add(batch)
        return batch

    def _landed(self, batch: Batch) -> None:
        self._flying.discard(batch)
        lane = self._lanes[_lane_of(batch.pending[0])]
        lane.in_flight = False
        if not lane.sizes:  # else an event that fails for ever may be in another half
            lane.strikes = 0
        if lane.events:
            self._schedule(lane, lane.events[0].added)
        else:
            self._forget(lane)

    def _schedule(self, lane: _Lane, now: float, *, at_once: bool = False) -> None:
        is_full = at_once or bool(lane.sizes) or len(lane.events) >= BATCH
        lane.due = now if is_full else lane.events[0].added + self._flush_after
        if len(self._heap) > 2 * len(self._lanes) + 64:  # in an outage, entries of dropped sessions pile up
            self._heap = [entry for entry in self._heap if self._is_current(entry)]
            heapq.heapify(self._heap)
        heapq.heappush(self._heap, (lane.due, next(self._numbers), lane))

    def _is_current(self, entry: tuple[float, int, _Lane]) -> bool:
        """Tell whether an entry of the heap is not out of date: its session was taken, dropped or scheduled anew."""
        due, _, lane = entry
        return not lane.in_flight and lane.due == due and bool(lane.events) and self._lanes.get(lane.key) is lane

    def _forget(self, lane: _Lane) -> None:
        if not lane.events and not lane.in_flight:
            self._lanes.pop(lane.key, None)

    def _done(self, pending: Pending) -> None:
        self.pending -= 1
        self.bytes -= pending.size
        if self._to_drain and pending.number <= self._drained_up_to:
            self._to_drain -= 1


def _lane_of(pending: Pending) -> tuple[str, str]:
    who = pending.who
    return who.tracking_id, who.session_id

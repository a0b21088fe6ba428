"""The event tracker for asyncio: events that close the loop, sent beside the program."""

from __future__ import annotations

import logging
import math
import random
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import chain
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from personalize_rt import checks, forks
from personalize_rt._async.driver import outcome_of
from personalize_rt.errors import PersonalizeError, QueueFullError
from personalize_rt.event_requests import SERVICE, Taken, events_request, items_requests, users_requests
from personalize_rt.impressions import Impressions, item_of
from personalize_rt.limits import Limits
from personalize_rt.operations import Request
from personalize_rt.outcome import Failed, Outcome
from personalize_rt.resilience.call import Hook, Policies
from personalize_rt.resilience.event_queue import Batch, EventQueue, OnFull, Pending, Who
from personalize_rt.resilience.exits import at_exit
from personalize_rt.resilience.retry import RetryPolicy
from personalize_rt.resilience.tasks.senders import Signal, alive, current, start, stop
from personalize_rt.resilience.tracked import (
    FailedEvent,
    Spool,
    TrackerCounts,
    open_spool,
    record_of,
    size_of,
    unrecorded,
)
from personalize_rt.tracking import PYTHON, TrackedEvent, check_id
from personalize_rt.transport.asynchronous import AsyncTransport

if TYPE_CHECKING:  # imported when they are used
    from personalize_rt.files import StrPath
    from personalize_rt.resilience.breaker import CircuitBreaker

__all__ = ["AsyncEventTracker"]

_log = logging.getLogger("personalize_rt")

_IDLE = 10.0  # seconds after which a sender without work ends
_LOOKS = 0.05  # seconds between two looks of a sender at the inbox, while there is something to send
_INBOX = 256  # events of which no sender knows yet
_LARGEST = 16_384  # bytes of an event in memory
_KEPT = 100  # refused events
_RECOVERED = 25  # records of a spool that are taken into the queue at a time
_RECOVERS_EVERY = 0.02  # seconds: senders that are never idle would keep pages waiting for the interpreter


class AsyncEventTracker:
    """Sends the events of users to an event tracker of Amazon Personalize, beside the program.

    :meth:`track` checks an event, puts it into a queue and returns. Batches of at most ten events of one session go out
    in order, with retries; what cannot be sent just now waits in the queue, for as long as that has room. What cannot
    be sent at all is counted, told to the hooks, and never raised. Every event has an id, so that one that is sent
    twice counts once.

    It belongs to one event loop at a time. Use it in ``async with``, or :meth:`aclose` it: that empties the queue. What
    is left when the interpreter exits is sent then, in an event loop of its own.

    A forked child begins with an empty queue, and its parent keeps its own.

    Args:
        tracking_id: The id of the event tracker.
        client: An aiobotocore ``personalize-events`` client of yours. It is never modified and never closed. ``None``
            builds one.
        region_name: The AWS region of the client to build; by default the session's.
        session: What ``aiobotocore.session.get_session()`` returns, to build the client from; by default a new one.
        endpoint_url: Where to send requests instead of AWS.
        config: A ``botocore.config.Config`` or ``aiobotocore.config.AioConfig``, merged over the settings of a runtime.
            Its ``retries`` are refused.
        verify: As ``boto3.client`` has it: the path of a CA bundle, or ``False`` to verify no certificates.
        retry: When a failed request is sent again; see :class:`~personalize_rt.RetryPolicy`.
        deadline: Seconds for one request with its retries; ``None`` means no end.
        breaker: When not to ask at all; see :class:`~personalize_rt.CircuitBreaker`.
        hooks: Functions that are told what happens; see :mod:`personalize_rt.events`.
        enforce_deadline: Hold the deadline for a ``client`` of yours too.
        redact: Keep users, sessions and properties out of botocore's own DEBUG log, for a client that this tracker
            builds.
        max_events: The most events in the queue, those in flight included.
        max_bytes: The most bytes of memory that these events take, about.
        flush_after: Seconds after which an event is sent, even in a batch that is not full.
        on_full: What :meth:`track` does when the queue is full: ``"drop-oldest"`` drops the oldest event that is not in
            flight; ``"block"`` waits for room, for ``deadline`` seconds at the most, and drops the new event after
            that; ``"raise"`` raises :class:`~personalize_rt.errors.QueueFullError`.
        concurrency: The most requests at a time.
        close_timeout: Seconds that :meth:`aclose` and the exit of the interpreter wait for the queue to become empty.
        spool: A directory in which events are kept until they are sent, so that a killed process loses none of those
            that :meth:`track` took; see ``personalize_rt.spool``. Those that another process left there are sent
            too.
        clock: The Unix time in seconds, for events without ``sent_at``.

    Raises:
        ValidationError: Arguments that the service would refuse, or that do not go together.
    """

    _shown = forks.lock()  # pages alone take it, never for long

    def __init__(
        self,
        tracking_id: str,
        client: Any = None,
        *,
        region_name: str | None = None,
        session: Any = None,
        endpoint_url: str | None = None,
        config: Any = None,
        verify: bool | str | None = None,
        retry: RetryPolicy = RetryPolicy(),
        deadline: float | None = 2.0,
        breaker: CircuitBreaker | None = None,
        hooks: Iterable[Hook] = (),
        enforce_deadline: bool = False,
        redact: bool = True,
        max_events: int = 10_000,
        max_bytes: int = 16 << 20,
        flush_after: float = 0.5,
        on_full: OnFull = "drop-oldest",
        concurrency: int = 4,
        close_timeout: float = 5.0,
        spool: StrPath | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_id(tracking_id, "tracking_id", PYTHON)
        checks.one_of(on_full, "on_full", "drop-oldest", "block", "raise")
        self._tracking_id = tracking_id
        self._transport = AsyncTransport(
            client,
            redact=redact,
            service=SERVICE,
            region_name=region_name,
            session=session,
            endpoint_url=endpoint_url,
            config=config,
            verify=verify,
        )
        self._policies = Policies(
            retry=retry, deadline=deadline, breaker=breaker, hooks=hooks, enforce_deadline=enforce_deadline
        )
        self._policies.check(Limits())
        if retry.attempts > 1:
            self._transport.warn_of_stacked_retries(stacklevel=3)
        self._bounds: dict[str, Any] = {
            "max_events": checks.whole(max_events, "max_events"),
            "max_bytes": checks.whole(max_bytes, "max_bytes"),
            "flush_after": checks.seconds(flush_after, "flush_after"),
        }
        self._on_full = on_full
        self._concurrency = checks.whole(concurrency, "concurrency")
        self._close_timeout = checks.seconds(close_timeout, "close_timeout")
        self._clock = clock
        self._signal = Signal()
        self._closed = False
        self._is_over = False  # closed, and nothing is sent any longer
        self._spool: Spool | None = None
        self._spool_failed = False
        self._left: Iterator[tuple[Any, bytes]] | None = None  # what other processes left in the spool
        if spool is not None:
            self._spool = open_spool(spool)
            self._left = self._spool.recovered()
        self._begin()
        forks.in_child(self, AsyncEventTracker._begin_in_child)

    def _begin(self) -> None:
        self._queue = EventQueue(**self._bounds)
        self._impressions = Impressions()
        self._ids = random.Random()  # of its own: a program may seed the shared one, and ids would repeat
        self._senders: set[Any] = set()
        # Events that the next sender puts into the queue. A page adds one without a lock, for which it might have to
        # wait as long as the interpreter takes to switch threads: 5 ms.
        self._inbox: deque[Pending] = deque()
        self._watcher: Any = None  # the sender that dozes, and looks at the inbox at a certain time or when roused
        self._looks_at = 0.0
        self._reserve: set[Any] = set()  # senders that wait until nobody watches
        self._recovers = False
        self._recovers_at = 0.0  # not before
        self._counts = dict.fromkeys(("queued", "sent", "dropped", "failed"), 0)
        self._failed: deque[FailedEvent] = deque(maxlen=_KEPT)

    def _begin_in_child(self) -> None:
        # In a forked child: the parent sends what is in its queue. What killed processes have left is for whoever
        # claims it first, which a parent that only forks would never do.
        self._left = None if self._spool is None else self._spool.recovered()
        self._begin()

    # Events.

    async def track(
        self,
        event_type: str,
        item: Any = None,
        *,
        session_id: str,
        user_id: str | None = None,
        of: Any = None,
        recommendation_id: str | None = None,
        impression: Iterable[str] | None = None,
        event_value: float | None = None,
        sent_at: float | datetime | None = None,
        properties: Mapping[str, Any] | None = None,
        source: str | None = None,
        event_id: str | None = None,
    ) -> TrackedEvent:
        """Put an event into the queue; it is sent later, beside the program.

        Args:
            event_type: ``"Watch"``, ``"Click"``, …
            item: The item: its id, or a row of an answer, which has the recommendation id too.
            session_id: The visit; the same for all events of one visit.
            user_id: The user, or ``None`` before they sign in.
            of: The answer that the item was shown in: a result, a part of one, or rows, also several lists of them.
                From it come the recommendation id and the impression: the items that were shown, at most 25, each once
                for an answer. An answer of a fallback or of the local re-ranker has neither.
            recommendation_id: The id of that answer, instead of ``of``.
            impression: The items that were shown, instead of those of ``of``; at most 25.
            event_value: A number that goes with the event, such as a rating.
            sent_at: When it happened: Unix time in seconds, or a ``datetime`` with a zone; now by default.
            properties: Columns of the Interactions dataset that are metadata, by name (``NUM_RATINGS``).
            source: Where the event comes from, for metric attribution. Beside a recommendation id it wins, which a
                warning tells.
            event_id: An id of the event, of which only one counts; by default a random one.

        Returns:
            The event, as it will be sent.

        Raises:
            ValidationError: The service would refuse the event; nothing was queued.
            QueueFullError: The queue is full, and ``on_full`` is ``"raise"``.
        """
        who, event, told = self._event(
            event_type,
            item,
            session_id=session_id,
            user_id=user_id,
            of=of,
            recommendation_id=recommendation_id,
            impression=impression,
            event_value=event_value,
            sent_at=sent_at,
            properties=properties,
            source=source,
            event_id=event_id,
        )
        pending = Pending(who, event, size_of(event))
        queue = self._queue
        if (
            len(self._inbox) < _INBOX
            and queue.pending + 2 * _INBOX <= self._bounds["max_events"]
            and queue.bytes + 2 * _INBOX * _LARGEST <= self._bounds["max_bytes"]
            and not self._closed
        ):
            if self._spool is not None:
                self._keep(pending)
            self._inbox.append(pending)
            if self._policies.hooks:
                self._tell("EventsQueued", 1, queue.pending + len(self._inbox))
            if self._watcher is None or not -1.0 < self._looks_at - time.monotonic() <= _LOOKS:
                self._rouse()
            if self._is_over:  # meanwhile
                self._give_up("closed")
        else:
            try:
                await self._add_with_care(pending)
            except QueueFullError:
                self._forget(told)
                raise
        return event

    async def _add_with_care(self, pending: Pending) -> None:
        """Add an event to a queue that may be full, or closed."""
        dropped: list[Pending] = []
        reason: Literal["full", "closed"] = "full"
        with self._signal:
            self._empty_inbox()
            queue = self._queue
            if not self._closed and not queue.has_room(pending.size):
                if self._on_full == "raise":
                    raise QueueFullError(
                        f"not queued: {queue.pending:,} events ({queue.bytes:,} bytes) wait to be sent, and the queue "
                        "has room for no more; raise max_events or max_bytes, or look why they are not sent"
                    )
                if self._on_full == "block":
                    await self._wait_for_room(pending.size)
                else:
                    dropped = queue.make_room(pending.size)
            if self._closed:
                dropped, reason = [pending], "closed"
            elif not queue.has_room(pending.size):
                dropped.append(pending)
            else:
                if self._spool is not None:
                    self._keep(pending)
                self._add(pending)
            now_pending = queue.pending
            self._counts["dropped"] += len(dropped)
        if dropped:
            self._tell("EventsDropped", len(dropped), reason)
        if pending not in dropped[-1:]:
            self._tell("EventsQueued", 1, now_pending)

    async def send(
        self,
        event_type: str,
        item: Any = None,
        *,
        session_id: str,
        user_id: str | None = None,
        of: Any = None,
        recommendation_id: str | None = None,
        impression: Iterable[str] | None = None,
        event_value: float | None = None,
        sent_at: float | datetime | None = None,
        properties: Mapping[str, Any] | None = None,
        source: str | None = None,
        event_id: str | None = None,
    ) -> TrackedEvent:
        """Send an event now, without the queue, and wait until the service has taken it.

        It may overtake events of its session that are still in the queue. The arguments are those of :meth:`track`.

        Returns:
            The event, as it was sent.

        Raises:
            ValidationError: An argument was refused; nothing was sent.
            PersonalizeError: The service did not take it; see the tree in :mod:`personalize_rt.errors`.
        """
        who, event, told = self._event(
            event_type,
            item,
            session_id=session_id,
            user_id=user_id,
            of=of,
            recommendation_id=recommendation_id,
            impression=impression,
            event_value=event_value,
            sent_at=sent_at,
            properties=properties,
            source=source,
            event_id=event_id,
        )
        try:
            await self._call(events_request(*who, [event]))
        except BaseException:
            self._forget(told)
            raise
        with self._signal:
            self._counts["sent"] += 1
        self._tell("EventsSent", 1)
        return event

    def _event(
        self,
        event_type: str,
        item: Any,
        *,
        session_id: str,
        user_id: str | None,
        of: Any,
        recommendation_id: str | None,
        impression: Iterable[str] | None,
        event_value: float | None,
        sent_at: float | datetime | None,
        properties: Mapping[str, Any] | None,
        source: str | None,
        event_id: str | None,
    ) -> tuple[Who, TrackedEvent, list[tuple[str, Iterable[str]]]]:
        check_id(session_id, "session_id", PYTHON)
        if user_id is not None:
            check_id(user_id, "user_id", PYTHON)
        item_id, came_with = item_of(item)
        told: list[tuple[str, Iterable[str]]] = []
        if of is not None:
            if hasattr(of, "__next__"):
                of = list(of)  # before the lock: it may take its time, or track events itself
            with self._shown:
                of_answer, shown = self._impressions.of(of, item_id, told)
            came_with = came_with or of_answer
            if impression is None:
                impression = shown
        if recommendation_id is None:
            recommendation_id = came_with
        try:
            event = TrackedEvent(
                event_type=event_type,
                item_id=item_id,
                sent_at=self._clock() if sent_at is None else sent_at,
                event_id=self._ids.getrandbits(128).to_bytes(16).hex() if event_id is None else event_id,
                recommendation_id=recommendation_id,
                impression=() if impression is None else impression,
                event_value=event_value,
                source=source,
                properties=properties,
            )
            if source is not None and recommendation_id is not None:
                # Guide, metric attribution: eventAttributionSource wins (service.md section 7).
                warnings.warn(
                    "the event has a source beside a recommendation id: for metric attribution, the service takes the "
                    "source and ignores the id. Leave the source out to count the event for its answer",
                    stacklevel=3,
                )
        except BaseException:
            self._forget(told)
            raise
        return Who(self._tracking_id, session_id, user_id), event, told

    def _forget(self, told: Iterable[tuple[str, Iterable[str]]]) -> None:
        with self._shown:
            self._impressions.forget(told)

    async def _wait_for_room(self, size: int) -> None:
        deadline = self._policies.deadline
        ends = math.inf if deadline is None else time.monotonic() + deadline
        while not self._queue.has_room(size) and not self._closed:
            left = ends - time.monotonic()
            if left <= 0:
                return
            self._start_sender()
            await self._signal.wait(min(left, _IDLE))

    def _keep(self, pending: Pending) -> None:
        assert self._spool is not None
        try:
            pending.mark = self._spool.append(record_of(pending))
            self._spool_failed = False
        except PersonalizeError as error:
            if not self._spool_failed:  # not of each event, while a disk is full
                self._spool_failed = True
                _log.warning("events are kept in memory alone: %s", error)

    def _add(self, pending: Pending) -> None:
        self._counts["queued"] += 1
        due = self._queue.add(pending, time.monotonic())
        if not self._is_watched():
            self._start_sender()
        elif due < self._looks_at:
            self._signal.rouse()

    def _empty_inbox(self) -> int:
        """Put the events of the inbox into the queue, which has room for them; return their number."""
        inbox, now = self._inbox, time.monotonic()
        count = len(inbox)
        for _ in range(count):
            self._queue.add(inbox.popleft(), now)
        self._counts["queued"] += count
        return count

    def _rouse(self) -> None:
        """Have a sender look at the inbox soon."""
        is_roused = self._watcher is not None and self._signal.rouse()
        if not is_roused and not alive(self._senders):
            with self._signal:
                self._start_sender()

    def _is_watched(self) -> bool:
        return self._watcher is not None and self._watcher in alive(self._senders)

    def _start_sender(self) -> None:
        """Have a sender watch, if none does and there may be one more."""
        senders = alive(self._senders)
        if self._watcher is not None and self._watcher in senders:
            return
        if self._reserve & senders:
            self._signal.notify()
        elif len(senders) < self._concurrency:
            if not senders:
                at_exit(self)
                # Of senders that were left behind: their outcomes never come.
                self._queue.put_all_back(time.monotonic())
                self._recovers = False
            start(self._work, self._senders)

    # Sending.

    async def _work(self) -> None:
        """Send batches until there has been nothing to send for a while."""
        me, worked = current(), time.monotonic()
        while True:
            step: Batch | float | None = None
            wait = 0.0
            with self._signal:
                now = time.monotonic()
                came = self._empty_inbox()
                recovers = self._has_to_recover(now)
                if recovers:
                    self._recovers, self._recovers_at = True, now + _RECOVERS_EVERY
                else:
                    step = self._queue.next(now)
                    if isinstance(step, Batch):
                        self._start_sender()
                    elif step is None and (self._closed or now - worked >= _IDLE):
                        self._senders.discard(me)
                        if not self._inbox:  # else a page has just seen this sender, and started no other
                            return
                        self._senders.add(me)
                        continue
                    elif self._is_watched():
                        if self._looks_at > self._recovers_at and self._left is not None and self._has_room_for_old():
                            self._signal.rouse()  # when it dozed off, the queue had no room
                        self._reserve.add(me)
                        try:
                            await self._signal.wait(_IDLE if step is None else min(step, _IDLE))
                        finally:
                            self._reserve.discard(me)
                        continue
                    else:
                        # Others may follow at once, of which none rouses this sender.
                        wait = _LOOKS if came else _IDLE
                        if self._left is not None and self._has_room_for_old():
                            wait = _RECOVERS_EVERY
                        wait = wait if step is None else min(step, wait)
                        self._watcher, self._looks_at = me, now + wait
            if recovers:
                self._recover()
            elif isinstance(step, Batch):
                await self._deliver(step)
                worked = time.monotonic()
            else:
                try:
                    if not self._inbox or wait <= _LOOKS:
                        await self._signal.doze(wait)
                finally:
                    if self._watcher is me:
                        self._watcher = None

    def _has_to_recover(self, now: float) -> bool:
        is_free = now >= self._recovers_at and not (self._recovers or self._closed)
        return is_free and self._left is not None and self._has_room_for_old()

    def _has_room_for_old(self) -> bool:
        """Tell whether the queue has room for events of the spool, and pages still add theirs without a lock."""
        queue, bounds = self._queue, self._bounds
        return bool(queue.pending < max(1, bounds["max_events"] // 2) and queue.bytes < bounds["max_bytes"] // 4)

    async def _deliver(self, batch: Batch) -> None:
        """Send a batch, and do with it what its outcome says."""
        error: BaseException | None = None
        try:
            outcome = await self._outcome(events_request(*batch.who, [pending.event for pending in batch.pending]))
            if isinstance(outcome, Failed):
                error = outcome.take()
        except Exception as failure:
            error = failure
        except BaseException:
            with self._signal:
                if self._queue.is_in_flight(batch):
                    self._queue.put_back(batch, time.monotonic())
            raise
        refused: Pending | None = None
        with self._signal:
            queue, had_failed = self._queue, self._queue.has_failed
            if not queue.is_in_flight(batch):
                return  # the tracker was closed, and has told of it
            if error is None:
                queue.sent(batch)
                self._counts["sent"] += len(batch.pending)
                self._done(batch.pending)
            else:
                refused = queue.failed(batch, error, time.monotonic(), self._ids.random())
                if refused is not None:
                    self._counts["failed"] += 1
                    self._failed.append(FailedEvent.of(refused, error))
                    self._done([refused])
            waits = queue.has_failed and not had_failed
            self._signal.notify()
        if error is None:
            self._tell("EventsSent", len(batch.pending))
        elif refused is not None:
            self._tell("EventsFailed", 1, type(error).__name__)
        elif waits:
            said = error if isinstance(error, PersonalizeError) else "an error of another library"
            _log.warning("events cannot be sent, and wait in the queue: %s: %s", type(error).__name__, said)

    def _done(self, pending: Iterable[Pending]) -> None:
        if self._spool is not None:
            self._spool.done(each.mark for each in pending if each.mark is not None)

    def _recover(self) -> None:
        """Take some events into the queue that another process left in the spool."""
        taken: deque[tuple[Pending, bytes]] = deque()
        is_over = False
        while self._left is not None and len(taken) < _RECOVERED:
            try:
                mark, record = next(self._left)
            except (StopIteration, PersonalizeError) as end:
                is_over = True
                if isinstance(end, PersonalizeError):
                    _log.warning("events of another process stay in the spool: %s", end)
                break
            pending = unrecorded(record, mark)
            if pending is not None:
                taken.append((pending, record))
        with self._signal:
            self._recovers = False
            while taken and self._has_room_for_old() and not self._closed:
                pending, _ = taken.popleft()
                if self._queue.has_room(pending.size):  # else it is larger than most of the queue, and stays there
                    self._add(pending)
            if taken and self._left is not None:  # for later
                self._left = chain([(pending.mark, record) for pending, record in taken], self._left)
            elif is_over:
                self._left = None

    async def _outcome(self, request: Request[Taken]) -> Outcome[Taken]:
        await self._transport.client()  # building it is not part of the call's time
        return await outcome_of(request, self._transport, self._policies)

    async def _call(self, request: Request[Taken]) -> None:
        outcome = await self._outcome(request)
        outcome.unwrap()

    def _tell(self, kind: str, *details: Any) -> None:
        if not self._policies.hooks:
            return
        from personalize_rt import events

        event: events.Event = getattr(events, kind)("PutEvents", self._tracking_id, *details)
        for hook in self._policies.hooks:
            try:
                hook(event)
            except Exception as failure:
                _log.warning("a hook failed with %s", type(failure).__name__)

    # Items and users.

    async def put_items(self, items: Mapping[str, Mapping[str, Any]], *, dataset_arn: str) -> None:
        """Add items to the Items dataset, or replace them, ten in a request (PutItems).

        All are checked before anything is sent.

        Args:
            items: Item id to columns, by name as in the schema (``CREATION_TIMESTAMP``) or as the service has it
                (``creationTimestamp``). A list of texts is several categories.
            dataset_arn: The ARN of the dataset.

        Raises:
            ValidationError: An item was refused; nothing was sent.
            PersonalizeError: A request failed. Those before it were taken, and may be sent again.
        """
        for request in items_requests(items, dataset_arn):
            await self._call(request)

    async def put_users(self, users: Mapping[str, Mapping[str, Any]], *, dataset_arn: str) -> None:
        """Add users to the Users dataset, or replace them, ten in a request (PutUsers).

        Args:
            users: User id to columns, as in :meth:`put_items`.
            dataset_arn: The ARN of the dataset.

        Raises:
            ValidationError: A user was refused; nothing was sent.
            PersonalizeError: A request failed. Those before it were taken, and may be sent again.
        """
        for request in users_requests(users, dataset_arn):
            await self._call(request)

    # What became of the events.

    @property
    def counts(self) -> TrackerCounts:
        """The numbers of events so far, in this process."""
        with self._signal:
            self._empty_inbox()
            return TrackerCounts(**self._counts, pending=self._queue.pending)

    @property
    def failed(self) -> tuple[FailedEvent, ...]:
        """The latest events that the service refused, each with its error; at most 100."""
        return tuple(self._failed)

    # The end.

    async def connect(self) -> Self:
        """Build the client, fetch its credentials, and begin to send what other processes left in the spool.

        Raises:
            ConfigurationError: No region, profile or credentials; aiobotocore is not installed.
            TransportError: Credentials cannot be fetched just now; later they may.
        """
        await self._transport.connect()
        if self._left is not None:
            with self._signal:
                self._start_sender()
        return self

    async def flush(self, timeout: float | None = None) -> bool:
        """Send what is in the queue now, and wait for it.

        Args:
            timeout: Seconds to wait at the most; ``None`` for any time, also for as long as the service cannot be
                reached.

        Returns:
            ``True`` if none of these events is in the queue any longer.
        """
        if timeout is not None:
            checks.seconds(timeout, "timeout")
        with self._signal:
            return await self._drained(timeout)

    async def _drained(self, timeout: float | None) -> bool:
        queue = self._queue
        ends = math.inf if timeout is None else time.monotonic() + timeout
        self._empty_inbox()
        queue.drain()
        self._signal.rouse()
        while queue.draining:
            left = ends - time.monotonic()
            if left <= 0:
                return False
            self._start_sender()
            await self._signal.wait(min(left, _IDLE))
        return True

    async def aclose(self, timeout: float | None = None) -> None:
        """Send what is in the queue, and close the client, if this tracker built it. Safe to call twice.

        What cannot be sent in time is dropped, counted, logged as a warning and told to the hooks; with a spool it
        stays there, and is sent by another process.

        Args:
            timeout: Seconds to wait at the most, instead of ``close_timeout``.
        """
        if timeout is not None:
            checks.seconds(timeout, "timeout")
        with self._signal:
            if self._closed:
                return
            self._closed = True
        reason = "interrupted"
        try:
            with self._signal:
                await self._drained(self._close_timeout if timeout is None else timeout)
            reason = "closed"
        finally:
            self._give_up(reason)
            await stop(self._senders)
            await self._transport.close()
            if self._spool is not None:
                self._spool.close()

    def _give_up(self, reason: str) -> None:
        with self._signal:
            self._is_over = True
            self._empty_inbox()
            left = self._queue.left()
            self._counts["dropped"] += len(left)
            self._signal.notify()
            self._signal.rouse()
        if left:
            where = "" if self._spool is None else "; what the spool holds is sent by another process"
            said = "1 event was" if len(left) == 1 else f"{len(left):,} events were"
            why = "its close_timeout was over" if reason == "closed" else reason
            _log.warning("%s not sent when the tracker was closed (%s)%s", said, why, where)
            self._tell("EventsDropped", len(left), reason)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._tracking_id!r}, pending={self._queue.pending + len(self._inbox)})"

"""The resources that requests made, with one state machine for all kinds, and the work behind them.

A resource is ``CREATE PENDING``, ``CREATE IN_PROGRESS``, then ``ACTIVE``, or ``CREATE FAILED`` with a reason, or
``CREATE STOPPED`` (model: the documentation of each status). Its time is that of ``pace``; beyond it, the status waits
for the resource's work: an import, a training, a job. Works are done one after another, in a thread of their own, so
that a training finds what an import before it brought.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import attrs

from personalize_rt import forks
from personalize_rt.errors import PersonalizeError
from personalize_rt.local.life import Life

__all__ = ["MOST_WAITING", "FailedError", "Made", "Register", "Update", "Work", "Worker"]

_log = logging.getLogger(__name__)

# The most works that wait; each holds what it will read or write.
MOST_WAITING = 200
# A client of boto3 waits 60 s for an answer, and an answer should not be late by a hair.
PATIENCE = 45.0


class FailedError(Exception):
    """A work failed.

    Args:
        reason: The ``failureReason``. It shows no content of the data.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: str = reason


class Work:
    """The work that a resource's creation waits for.

    Args:
        run: Does it; whatever it changes, it changes at its very end.
        restore: Does what it did before a restart, by the record of :meth:`note`; ``None`` if it changed nothing.

    Attributes:
        keep: Is told the records of its outcome, before anybody else is; or ``None``.
        outcome: What is to be recorded when it is done.
        failure: The reason of its failure; empty without one.
        stopped: Whether it was stopped.
    """

    def __init__(self, run: Callable[[Work], None], restore: Callable[[Mapping[str, Any]], None] | None = None) -> None:
        self._run = run
        self._restore = restore
        self.keep: Callable[[Mapping[str, Any]], None] | None = None
        self.outcome: Mapping[str, Any] = {}
        self._done = threading.Event()
        self._interrupt: Callable[[], None] | None = None
        self.failure: str = ""
        self.stopped: bool = False

    @property
    def done(self) -> bool:
        """``True`` once it has ended, in whatever way."""
        return self._done.is_set()

    def run(self) -> None:
        """Do it, unless it was stopped."""
        try:
            if not self.stopped:
                self._run(self)
            if not self.stopped:
                self.note({"done": True, **self.outcome})
        except FailedError as error:
            self._fail(error.reason)
        except Exception as error:
            # A defect. Its message may show personal data.
            _log.error("a job of the embedded Personalize failed: %s", type(error).__name__)
            self._fail(f"Internal error: {type(error).__name__}")
        finally:
            self.outcome = {}
            self._done.set()

    def _fail(self, reason: str) -> None:
        if not self.stopped:
            self.failure = reason
            with suppress(PersonalizeError):  # without the record, it begins anew after a restart
                self.note({"failed": reason})

    def note(self, record: Mapping[str, Any]) -> None:
        """Record something for a restart."""
        if self.keep is not None:
            self.keep(record)

    def restore(self, record: Mapping[str, Any]) -> None:
        """Have the outcome that a record tells, without doing the work."""
        if "failed" in record:
            self.fail(record["failed"])
            return
        if self._restore is not None:
            self._restore(record)
        if "done" in record:
            self._done.set()

    def stop(self) -> None:
        """Ask it to stop: it changes nothing any more."""
        self.stopped = True
        interrupt = self._interrupt
        if interrupt is not None:
            interrupt()

    @contextmanager
    def interrupted_by(self, interrupt: Callable[[], None]) -> Generator[None, None, None]:
        """Call a function when it is stopped, during a ``with`` block; at once if it was. It may be called twice."""
        self._interrupt = interrupt
        if self.stopped:
            interrupt()
        try:
            yield
        finally:
            self._interrupt = None

    def fail(self, reason: str) -> None:
        """End it without having done it."""
        self.failure = reason
        self._done.set()

    def wait(self, seconds: float) -> bool:
        """Wait for its end. Returns whether it has ended."""
        return self._done.wait(seconds)


class Worker:
    """Does works one after another, in a thread that lives while there are any. Safe to share between threads."""

    _lock = forks.lock()

    def __init__(self) -> None:
        self._waiting: deque[Work] = deque()
        self._current: Work | None = None
        self._is_held = False
        forks.in_child(self, Worker._abandon)

    @property
    def is_full(self) -> bool:
        """``True`` if no work may be added."""
        return len(self._waiting) >= MOST_WAITING

    def add(self, work: Work) -> None:
        """Do a work after those that were added before."""
        with self._lock:
            self._waiting.append(work)
        self._start()

    def _start(self) -> None:
        with self._lock:
            if self._current is not None or self._is_held or not self._waiting:
                return
            self._current = self._waiting.popleft()
        threading.Thread(target=self._work, name="personalize-rt-jobs", daemon=True).start()

    def hold(self) -> None:
        """Begin no works until :meth:`release`."""
        self._is_held = True

    def release(self) -> None:
        """Begin the works that have come meanwhile, without those that have an outcome by now."""
        with self._lock:
            self._waiting = deque(work for work in self._waiting if not work.done)
            self._is_held = False
        self._start()

    def _work(self) -> None:
        while True:
            current = self._current
            assert current is not None
            current.run()
            with self._lock:
                self._current = self._waiting.popleft() if self._waiting else None
                if self._current is None:
                    return

    def finish(self, seconds: float) -> bool:
        """Wait until all works have ended. Returns whether they have."""
        end = time.monotonic() + seconds
        while (current := self._current) is not None:
            if not current.wait(max(0.0, end - time.monotonic())):
                return False
            # The thread takes the next one in an instant.
            time.sleep(0.001)
        return True

    def drop(self) -> None:
        """Stop the works that have not begun, and ask the one in progress to stop."""
        with self._lock:
            works = [*self._waiting]
            if self._current is not None:
                self._current.stop()
            self._waiting.clear()
        for work in works:
            work.stop()
            work.run()

    def _abandon(self) -> None:
        """Fail the works of the parent process, whose thread a forked child has not."""
        works = [*self._waiting] if self._current is None else [self._current, *self._waiting]
        self._waiting, self._current = deque(), None
        for work in works:
            work.fail("The job was in progress in the process that this one was forked from")


@attrs.frozen
class Update:
    """The latest update of a resource. Until it is complete, the resource is told as before.

    Attributes:
        member: The member of Describe that tells it (``"latestDatasetUpdate"``).
        told: The members of that.
        changed: The members of the resource that change.
        life: When it began, and how long it takes.
    """

    member: str
    told: Mapping[str, Any]
    changed: Mapping[str, Any]
    life: Life


@attrs.define(eq=False, repr=False)
class Made:
    """One resource.

    Attributes:
        arn: Its ARN.
        parent: The ARN that List narrows it by.
        members: Its members, without status and times.
        life: When it was created and deleted, and how long that takes.
        clock: Returns the Unix time in seconds.
        work: The work that it waits for, or ``None``.
        holds: Whatever the resource stands for.
        turned: Unix time at which a recommender was stopped or started, and ``"STOP"`` or ``"START"``.
        update: The latest update, or ``None``.
    """

    arn: str
    parent: str
    members: Mapping[str, Any]
    life: Life
    clock: Callable[[], float]
    work: Work | None = None
    holds: Any = None
    turned: tuple[float, str] | None = None
    update: Update | None = None

    @property
    def updating(self) -> bool:
        """``True`` while an update is in progress."""
        return self.update is not None and not self.update.life.active(self.clock())

    @property
    def current(self) -> Mapping[str, Any]:
        """The members, with what updates that are complete have changed."""
        return self.members if self.update is None or self.updating else {**self.members, **self.update.changed}

    def begin_update(self, member: str, told: Mapping[str, Any], changed: Mapping[str, Any]) -> None:
        """Begin an update, while none is in progress; see :class:`Update`."""
        self.members = self.current
        self.update = Update(member, told, changed, Life(self.clock(), self.life.pace))

    @property
    def status(self) -> str:
        """The status, as Describe has it."""
        now, work = self.clock(), self.work
        status = self.life.status(now)
        if work is not None and self.life.deleted is None:
            if work.failure:
                return "CREATE FAILED"
            if work.stopped:
                return "CREATE STOPPED" if work.done else "CREATE STOPPING"
            if status == "ACTIVE" and not work.done:
                return "CREATE IN_PROGRESS"
        if status != "ACTIVE" or self.turned is None:
            return status
        begun, verb = self.turned
        if now >= begun + self.life.pace:
            return "INACTIVE" if verb == "STOP" else "ACTIVE"
        return f"{verb} {'PENDING' if now < begun + self.life.pace / 2 else 'IN_PROGRESS'}"

    @property
    def in_progress(self) -> bool:
        """``True`` while it is being created."""
        return self.status in ("CREATE PENDING", "CREATE IN_PROGRESS", "CREATE STOPPING")

    def settle(self, seconds: float = PATIENCE) -> None:
        """Wait for its work, if its time has come. That is why nobody has to ask twice with a pace of 0."""
        if self.work is not None and self.clock() >= self.life.created + self.life.pace:
            self.work.wait(seconds)

    def told(self) -> dict[str, Any]:
        """The members, with status and times."""
        now = self.clock()
        updated = self.life.updated(now)
        if self.turned is not None and self.life.deleted is None:
            begun = self.turned[0]
            updated = begun if now < begun + self.life.pace else begun + self.life.pace
        failure = {"failureReason": self.work.failure} if self.work is not None and self.work.failure else {}
        latest = {}
        if self.update is not None:
            life = self.update.life
            times = {"creationDateTime": life.created, "lastUpdatedDateTime": life.updated(now)}
            latest = {self.update.member: {**self.update.told, "status": life.status(now), **times}}
            updated = max(updated, life.updated(now))
        times = {"creationDateTime": self.life.created, "lastUpdatedDateTime": updated}
        return {**self.current, "status": self.status, **failure, **times, **latest}


class Register:
    """The resources of one owner, by kind and ARN. Its owner's lock guards changes; reading needs none."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, Made]] = {}

    def add(self, kind: str, made: Made) -> None:
        """Add a resource."""
        self._of.setdefault(kind, {})[made.arn] = made

    def find(self, kind: str, arn: str) -> Made | None:
        """The resource of an ARN; ``None`` if there is none, or its deletion is complete."""
        made = self._of.get(kind, {}).get(arn)
        return made if made is not None and made.life.exists(made.clock()) else None

    def all(self, kind: str) -> Iterator[Made]:
        """The resources of a kind."""
        return (made for made in tuple(self._of.get(kind, {}).values()) if made.life.exists(made.clock()))

    def delete(self, kind: str, arn: str) -> None:
        """Begin the deletion of a resource."""
        made = self._of[kind][arn]
        made.life = attrs.evolve(made.life, deleted=made.clock())
        if not made.life.pace:
            del self._of[kind][arn]

    def forget(self, kind: str, arn: str) -> None:
        """Remove a resource at once."""
        self._of.get(kind, {}).pop(arn, None)

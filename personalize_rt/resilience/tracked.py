"""Events of a tracker's queue: their size, their form in a spool, and what is told of them."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any, Protocol

import attrs

from personalize_rt.files import StrPath
from personalize_rt.resilience.event_queue import Pending, Who
from personalize_rt.tracking import TrackedEvent, event_members, event_of

__all__ = ["FailedEvent", "Spool", "TrackerCounts", "open_spool", "record_of", "size_of", "unrecorded"]

_log = logging.getLogger("personalize_rt")


@attrs.frozen(kw_only=True)
class TrackerCounts:
    """The numbers of events of a tracker, in this process.

    Attributes:
        queued: Events that were put into the queue.
        sent: Events that the service took, those of ``send()`` included.
        dropped: Events that were given up: the queue was full, or the tracker closed.
        failed: Events that the service refused.
        pending: Events that are in the queue now.
    """

    queued: int
    sent: int
    dropped: int
    failed: int
    pending: int


@attrs.frozen(eq=False)
class FailedEvent:
    """An event that the service refused. ``repr`` shows type and item only.

    Attributes:
        event: The event.
        session_id: Its session.
        user_id: Its user, or ``None``.
        error: The reason.
    """

    event: TrackedEvent
    session_id: str = attrs.field(repr=False)
    user_id: str | None = attrs.field(repr=False)
    error: BaseException

    @classmethod
    def of(cls, pending: Pending, error: BaseException) -> FailedEvent:
        """Make it of an event of the queue, with a copy of the error, which holds no frames."""
        return cls(pending.event, pending.who.session_id, pending.who.user_id, copy.copy(error))


class Spool(Protocol):
    """Keeps records on the disk until they are done: what a tracker needs of :class:`personalize_rt.spool.Spool`."""

    def append(self, record: bytes, /) -> Any:
        """Keep a record; return its mark."""
        ...

    def done(self, marks: Iterable[Any], /) -> None:
        """Forget records."""
        ...

    def recovered(self) -> Iterator[tuple[Any, bytes]]:
        """The records that processes left which are gone, each with its mark."""
        ...

    def close(self) -> None:
        """Close its files."""
        ...


def open_spool(directory: StrPath) -> Spool:
    """Open the spool of a directory.

    Raises:
        ValidationError: The directory cannot be used.
        PersonalizeError: No file can be created in it.
    """
    opened: Spool = import_module("personalize_rt.spool").Spool(directory)
    return opened


# Of CPython on 64 bits: an event with its place in the queue, and a text beside its characters. At the worst, each
# event is of a session of its own, which takes memory too.
_OF_AN_EVENT = 2_400
_OF_A_TEXT = 60


def size_of(event: TrackedEvent) -> int:
    """The bytes of an event in memory, about."""
    size = _OF_AN_EVENT + len(event.event_type)
    for text in (event.item_id, event.event_id, event.recommendation_id, event.source):
        if text is not None:
            size += len(text)
    if event.impression:
        size += sum(map(len, event.impression)) + _OF_A_TEXT * len(event.impression)
    return size + 2_048 if event.properties is not None else size


def record_of(pending: Pending) -> bytes:
    """An event as a record of a spool."""
    who = pending.who
    record: dict[str, Any] = {
        "tracking_id": who.tracking_id,
        "session_id": who.session_id,
        "user_id": who.user_id,
        "event": event_members(pending.event),
    }
    return json.dumps(record, separators=(",", ":")).encode()


def unrecorded(record: bytes, mark: Any) -> Pending | None:
    """The event of a record; ``None`` if it holds none, which is logged."""
    try:
        members = json.loads(record)
        event = event_of(members["event"])
        who = Who(members["tracking_id"], members["session_id"], members["user_id"])
    except Exception as problem:  # written by another version
        _log.warning("a record of the spool holds no event (%s), and stays there", type(problem).__name__)
        return None
    return Pending(who, event, size_of(event), mark)

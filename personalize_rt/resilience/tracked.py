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
from personalize_rt.tracking import TrackedEvent

__all__ = ["FailedEvent", "Spool", "TrackerCounts", "open_spool", "record_of", "size_of", "unrecorded"]

_log = logging.getLogger("personalize_rt")


@attrs.frozen(kw_only=True)
class TrackerCounts:
    """The numbers of events of a tracker, in this process.

    Attributes:
        queued: Events that were put into the queue.
        sent: Events that the service took, those of ``send()`` included.
        dropped: Events that were given up: the queue was full, or the tracker closed.
        failed: Events that the service refused, or answered with errors for ten minutes while it took others.
        pending: Events that are in the queue now.
    """

    queued: int
    sent: int
    dropped: int
    failed: int
    pending: int


@attrs.frozen(eq=False)
class FailedEvent:
    """An event that the service refused, or would not take. ``repr`` shows type and item only.

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
    """An event as a record of a spool: its members as lines, or in JSON if lines cannot hold them.

    A page waits while it is written, and lines take a quarter of the time of JSON.
    """
    event = pending.event
    sent_at, properties = event.sent_at, event.properties
    if type(sent_at) is float and event.event_value is None and event.source is None and properties is None:
        tracking_id, session_id, user_id = pending.who
        lines = [
            repr(sent_at),
            tracking_id,
            session_id,
            user_id or "",
            event.event_type,
            event.item_id or "",
            event.event_id or "",
            event.recommendation_id or "",
            *event.impression,
        ]
        text = "\n".join(lines)
        if text.count("\n") == len(lines) - 1:
            return text.encode("utf-8", "surrogatepass")
    members = {name: getattr(event, name) for name in _MEMBERS}
    if event.event_value is not None:
        members["event_value"] = float(event.event_value)  # of numpy, perhaps
    if properties is not None:
        members["properties"] = dict(properties)
    return json.dumps([*pending.who, members]).encode()


_MEMBERS = tuple(field.name for field in attrs.fields(TrackedEvent))


def unrecorded(record: bytes, mark: Any) -> Pending | None:
    """The event of a record; ``None`` if it holds none, which is logged."""
    members: dict[str, Any]
    who: list[Any]
    try:
        if record.startswith(b"["):
            *who, members = json.loads(record)
        else:
            lines = record.decode("utf-8", "surrogatepass").split("\n")
            sent_at, *who, event_type, item_id, event_id, recommendation_id = (line or None for line in lines[:8])
            members = {
                "event_type": event_type,
                "item_id": item_id,
                "sent_at": float(sent_at or ""),
                "event_id": event_id,
                "recommendation_id": recommendation_id,
                "impression": lines[8:],
            }
        event = TrackedEvent(**members)
        return Pending(Who(*who), event, size_of(event), mark)
    except Exception as problem:  # written by another version
        _log.warning("a record of the spool holds no event (%s), and stays there", type(problem).__name__)
        return None

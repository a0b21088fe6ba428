"""Events that are put at run time, as by PutEvents and PutActionInteractions.

An event counts at once for its user. An event without a user counts for its session, whose id requests may use as user
id. The first event with both assigns all events of the session, earlier and later ones, to the user (Developer Guide,
"Recording events").
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import attrs

from personalize_rt import forks
from personalize_rt.errors import ValidationError
from personalize_rt.interactions import Interaction
from personalize_rt.limits import Limits
from personalize_rt.local.schemas import DATASETS
from personalize_rt.redaction import describe
from personalize_rt.tracking import TrackedEvent

__all__ = ["Event", "Stream", "read_action_events", "read_events"]

_ID_LENGTH = cast(int, Limits().id_length)
_EVENTS = 10


class Event(TrackedEvent):
    """The older name of :class:`~personalize_rt.TrackedEvent`, which also takes item and type without their names.

    Args:
        old: ``item_id`` and ``event_type``; deprecated.
        members: The members of a ``TrackedEvent``; ``timestamp``, deprecated, is ``sent_at``.
    """

    __slots__ = ()

    def __init__(self, *old: str, **members: Any) -> None:
        if old or "timestamp" in members:
            warnings.warn(
                "Event(item_id, event_type, timestamp=…) is deprecated: write "
                "TrackedEvent(event_type=…, item_id=…, sent_at=…)",
                DeprecationWarning,
                stacklevel=2,
            )
            members |= dict(zip(("item_id", "event_type"), old, strict=False))
        if "timestamp" in members:
            members["sent_at"] = members.pop("timestamp")
        super().__init__(**members)


class Stream:
    """The events that were put, by user and session. Safe to share between threads.

    Args:
        tell: Called with every event that counts for a user or session, after it was added to the stream.
    """

    _lock = forks.lock()

    def __init__(self, tell: Callable[[Interaction], None]) -> None:
        self._tell = tell
        self._of: dict[str, list[Interaction]] = {}
        self._user_of: dict[str, str] = {}
        self._all: list[Interaction] = []
        self._seen: set[Interaction] = set()
        self._ids: set[str] = set()

    def put(self, session_id: str, user_id: str | None, events: Sequence[TrackedEvent], now: float) -> None:
        """Take events in; the next request sees all of them. An event that came before is the same event.

        An event without an item links its session to a user, and changes nothing else.
        """
        with self._lock:
            arrived: list[Interaction] = []
            if user_id is not None and session_id not in self._user_of:
                arrived += [attrs.evolve(event, user_id=user_id) for event in self._of.get(session_id, ())]
            if user_id is not None:
                self._user_of[session_id] = user_id
            owner = self._user_of.get(session_id, session_id)
            for event in events:
                if event.item_id is None or event.event_id in self._ids:
                    continue
                if event.event_id is not None:
                    self._ids.add(event.event_id)
                time = now if event.sent_at is None else event.sent_at
                interaction = Interaction(owner, event.item_id, time, event.event_type, event.event_value)
                if interaction not in self._seen:
                    self._all.append(interaction)
                    arrived.append(interaction)
                    if user_id is None and owner != session_id:
                        arrived.append(attrs.evolve(interaction, user_id=session_id))
            fresh = [interaction for interaction in dict.fromkeys(arrived) if interaction not in self._seen]
            self._seen.update(fresh)
            for interaction in fresh:
                self._of.setdefault(interaction.user_id, []).append(interaction)
        for interaction in fresh:
            self._tell(interaction)

    def of_user(self, user_id: str) -> tuple[Interaction, ...]:
        """The events of a user, or of a session, in order of arrival."""
        return tuple(self._of.get(user_id, ()))

    @property
    def all(self) -> tuple[Interaction, ...]:
        """All events, in order of arrival."""
        return tuple(self._all)


# Checks of events.


def read_events(
    user_id: str | None, session_id: str, events: Iterable[TrackedEvent | Interaction]
) -> tuple[str | None, list[TrackedEvent]]:
    """Check the arguments of a call, by the model of PutEvents.

    Returns:
        The user, or ``None`` if the events are anonymous; and the events.

    Raises:
        ValidationError: The service would refuse an argument; the message names the first one.
    """
    _check_id(session_id, "session_id")
    if user_id is not None:
        _check_id(user_id, "user_id")
    if isinstance(events, TrackedEvent | Interaction):
        raise ValidationError("events is one event: for a single one write [event]", parameter="events")
    given: list[Any] = list(events)
    if not 1 <= len(given) <= _EVENTS:
        raise ValidationError(
            f"events holds {len(given)} events; a call takes 1 to {_EVENTS} (model: EventList)",
            parameter="events",
            limit=_EVENTS,
        )
    checked: list[TrackedEvent] = []
    for n, event in enumerate(given):
        where = f"events[{n}]"
        if isinstance(event, Interaction):
            user_id = _same_user(user_id, event, where)
            event = _tracked(event, where)
        elif not isinstance(event, TrackedEvent):
            raise ValidationError(
                f"{where} is {describe(event)}, not a TrackedEvent or Interaction", parameter="events"
            )
        checked.append(event)
    return user_id, checked


def read_action_events(events: Iterable[TrackedEvent]) -> list[TrackedEvent]:
    """Give the types of action events as the dataset has them: ``NOT_TAKEN`` for ``Not Taken``.

    Raises:
        ValidationError: The first event that actions do not have, or that has no action.
    """
    known = DATASETS["action_interactions"].reserved["EVENT_TYPE"].values
    read: list[TrackedEvent] = []
    for n, event in enumerate(events):
        # The guide writes them in both ways.
        event_type = event.event_type.upper().replace(" ", "_")
        if event_type not in known:
            raise ValidationError(
                f"events[{n}].event_type is none of those of actions: {', '.join(known)}", parameter="events"
            )
        if event.item_id is None:
            raise ValidationError(f"events[{n}].item_id is missing: it is the action", parameter="events")
        read.append(attrs.evolve(event, event_type=event_type) if event_type != event.event_type else event)
    return read


def _tracked(event: Interaction, where: str) -> TrackedEvent:
    try:
        return TrackedEvent(
            event_type=cast(str, event.event_type),
            item_id=event.item_id,
            sent_at=event.timestamp,
            event_value=event.event_value,
        )
    except ValidationError as error:
        message, limit = error.message, error.limit
    raise ValidationError(f"{where}.{message}", parameter="events", limit=limit)


def _same_user(user_id: str | None, event: Interaction, where: str) -> str:
    if user_id is not None and event.user_id != user_id:
        raise ValidationError(f"{where} is of another user: a call brings events of one user", parameter="events")
    _check_id(event.user_id, f"{where}.user_id")
    return event.user_id


def _check_id(value: Any, where: str) -> None:
    parameter = where.partition("[")[0]
    if not isinstance(value, str):
        raise ValidationError(f"{where} is {describe(value)}, not a str", parameter=parameter)
    if not 1 <= len(value) <= _ID_LENGTH:
        raise ValidationError(
            f"{where} is {describe(value)}; the service takes 1 to {_ID_LENGTH}", parameter=parameter, limit=_ID_LENGTH
        )

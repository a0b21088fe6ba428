"""Events that are put at run time, as by PutEvents and PutActionInteractions.

An event counts at once for its user. An event without a user counts for its session, whose id requests may use as user
id. The first event with both assigns all events of the session, earlier and later ones, to the user (Developer Guide,
"Recording events").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import isfinite
from typing import Any, cast

import attrs

from personalize_rt import forks
from personalize_rt.errors import ValidationError
from personalize_rt.interactions import Interaction
from personalize_rt.limits import Limits
from personalize_rt.local.schemas import DATASETS
from personalize_rt.redaction import describe

__all__ = ["Event", "Stream", "check_action_events", "read_events"]

_ID_LENGTH = cast(int, Limits().id_length)
_EVENTS = 10
_IMPRESSION = 25
_LATEST = 99_999_999_999


@attrs.frozen(repr=False)
class Event:
    """One event of a user with an item, or with an action.

    Attributes:
        item_id: The item, or the action; 1 to 256 characters.
        event_type: ``"Watch"``, ``"click"``, …; 1 to 256 characters.
        timestamp: Unix time in seconds; ``None`` is the current time of the embedded service's clock.
        event_value: The number of the event, such as a rating. Not used.
        impression: The items that were shown, at most 25. Checked but not used, since the embedded service does not
            explore.
    """

    item_id: str
    event_type: str
    timestamp: float | None = attrs.field(default=None, kw_only=True)
    event_value: float | None = attrs.field(default=None, kw_only=True)
    impression: Sequence[str] = attrs.field(default=(), kw_only=True)

    def __repr__(self) -> str:
        return f"Event({self.item_id!r}, {self.event_type!r})"


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

    def put(self, session_id: str, user_id: str | None, events: Sequence[Event], now: float) -> None:
        """Add events, for the requests after this call. Duplicates are ignored."""
        with self._lock:
            arrived: list[Interaction] = []
            if user_id is not None and session_id not in self._user_of:
                arrived += [attrs.evolve(event, user_id=user_id) for event in self._of.get(session_id, ())]
            if user_id is not None:
                self._user_of[session_id] = user_id
            owner = self._user_of.get(session_id, session_id)
            for event in events:
                time = now if event.timestamp is None else event.timestamp
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
    user_id: str | None, session_id: str, events: Iterable[Event | Interaction]
) -> tuple[str | None, list[Event]]:
    """Check the arguments of a call, by the model of PutEvents.

    Returns:
        The user, or ``None`` if the events are anonymous; and the events.

    Raises:
        ValidationError: The service would refuse an argument; the message names the first one.
    """
    _check_id(session_id, "session_id", least=1)
    if user_id is not None:
        _check_id(user_id, "user_id", least=1)
    if isinstance(events, Event | Interaction):
        raise ValidationError("events is one event: for a single one write [event]", parameter="events")
    given: list[Any] = list(events)
    if not 1 <= len(given) <= _EVENTS:
        raise ValidationError(
            f"events holds {len(given)} events; a call takes 1 to {_EVENTS} (model: EventList)",
            parameter="events",
            limit=_EVENTS,
        )
    checked: list[Event] = []
    for n, event in enumerate(given):
        where = f"events[{n}]"
        if isinstance(event, Interaction):
            user_id = _same_user(user_id, event, where)
            event = Event(
                event.item_id, cast(str, event.event_type), timestamp=event.timestamp, event_value=event.event_value
            )
        elif not isinstance(event, Event):
            raise ValidationError(f"{where} is {describe(event)}, not an Event or Interaction", parameter="events")
        _check_event(event, where)
        checked.append(event)
    return user_id, checked


def check_action_events(events: Iterable[Event]) -> None:
    """Refuse event types that do not apply to actions.

    Raises:
        ValidationError: An event has such a type; the message names the first one.
    """
    known = DATASETS["action_interactions"].reserved["EVENT_TYPE"].values
    for n, event in enumerate(events):
        if event.event_type not in known:
            raise ValidationError(
                f"events[{n}].event_type is none of those of actions: {', '.join(known)}", parameter="events"
            )


def _same_user(user_id: str | None, event: Interaction, where: str) -> str:
    if user_id is not None and event.user_id != user_id:
        raise ValidationError(f"{where} is of another user: a call takes the events of one user", parameter="events")
    _check_id(event.user_id, f"{where}.user_id", least=1)
    return event.user_id


def _check_event(event: Event, where: str) -> None:
    _check_id(event.item_id, f"{where}.item_id", least=1)
    _check_id(event.event_type, f"{where}.event_type", least=1)
    if event.timestamp is not None:
        _check_number(event.timestamp, f"{where}.timestamp")
        if event.timestamp > _LATEST:
            raise ValidationError(
                f"{where}.timestamp is too large: Unix time in seconds, not milliseconds", parameter="events"
            )
    if event.event_value is not None:
        _check_number(event.event_value, f"{where}.event_value")
    items: Any = event.impression
    if not isinstance(items, list | tuple):
        raise ValidationError(f"{where}.impression is {describe(items)}, not a list of item ids", parameter="events")
    items = cast("Sequence[Any]", items)
    if len(items) > _IMPRESSION:
        raise ValidationError(
            f"{where}.impression holds {len(items)} items; an event takes at most {_IMPRESSION} (model: Impression)",
            parameter="events",
            limit=_IMPRESSION,
        )
    for position, item in enumerate(items):
        _check_id(item, f"{where}.impression[{position}]", least=1)


def _check_id(value: Any, where: str, *, least: int) -> None:
    parameter = where.partition("[")[0]
    if not isinstance(value, str):
        raise ValidationError(f"{where} is {describe(value)}, not a str", parameter=parameter)
    if not least <= len(value) <= _ID_LENGTH:
        raise ValidationError(
            f"{where} is {describe(value)}; the service takes {least} to {_ID_LENGTH}",
            parameter=parameter,
            limit=_ID_LENGTH,
        )


def _check_number(value: Any, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValidationError(f"{where} is {describe(value)}, not a finite number", parameter="events")

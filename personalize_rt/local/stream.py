"""Events that are put at run time, as by PutEvents and PutActionInteractions.

An event counts at once for its user. An event without a user counts for its session, whose id requests may use as user
id. The first event with both assigns all events of the session, earlier and later ones, to the user (Developer Guide,
"Recording events").
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from personalize_rt import forks
from personalize_rt.interactions import Interaction
from personalize_rt.local.taste import HISTORY
from personalize_rt.tracking import TrackedEvent

if TYPE_CHECKING:
    from personalize_rt.local.events.record import RecordedEvent

__all__ = ["Event", "Stream"]


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
        knows: Tells whether the models know an item; others are no part of :meth:`history_of`.
    """

    _lock = forks.lock()

    def __init__(self, tell: Callable[[Interaction], None], knows: Callable[[str], bool] = bool) -> None:
        self._tell = tell
        self._knows = knows
        self._of: dict[str, list[Interaction]] = {}
        self._latest: dict[str, dict[str, Interaction]] = {}
        self._user_of: dict[str, str] = {}
        self._all: list[Interaction] = []
        self._seen: set[Interaction] = set()
        self._ids: set[str] = set()
        self._rows: set[Hashable] = set()

    def put(self, events: Sequence[RecordedEvent]) -> list[RecordedEvent]:
        """Take events in; the next request sees all of them.

        An event that came before is the same event: one of the same ``event_id``, or of the same user, time and
        properties (guide, "Importing individual records"). An event without an item links its session to a user, and
        changes no recommendation.

        Returns:
            The events that are new.
        """
        new: list[RecordedEvent] = []
        arrived: list[Interaction] = []
        with self._lock:
            for event in events:
                owner = self._owner(event, arrived)
                if self._is_known(event, owner):
                    continue
                new.append(event)
                if event.item_id is None:
                    continue
                taken = Interaction(owner, event.item_id, event.sent_at, event.event_type, event.event_value)
                if taken in self._seen:
                    continue
                self._all.append(taken)
                self._add(taken, arrived)
                if event.user_id is None and owner != event.session_id:
                    self._add(_given_to(event.session_id, taken), arrived)
        for interaction in arrived:
            self._tell(interaction)
        return new

    def _owner(self, event: RecordedEvent, arrived: list[Interaction]) -> str:
        """The user of an event, or its session while no user is known; a user who is new to it gets its events."""
        session_id, user_id = event.session_id, event.user_id
        if user_id is None:
            return self._user_of.get(session_id, session_id)
        if session_id not in self._user_of:
            for earlier in tuple(self._of.get(session_id, ())):
                self._add(_given_to(user_id, earlier), arrived)
        self._user_of[session_id] = user_id
        return user_id

    def _is_known(self, event: RecordedEvent, owner: str) -> bool:
        """Tell whether an event came before, and remember it."""
        row = (
            owner,
            event.event_type,
            event.item_id,
            event.sent_at,
            event.event_value,
            event.recommendation_id,
            event.impression,
            event.source,
            frozenset(event.properties.items()) if event.properties else None,
        )
        known = row in self._rows or (event.event_id is not None and event.event_id in self._ids)
        if not known:
            self._rows.add(row)
            if event.event_id is not None:
                self._ids.add(event.event_id)
        return known

    def _add(self, interaction: Interaction, arrived: list[Interaction]) -> None:
        if interaction in self._seen:
            return
        self._seen.add(interaction)
        self._of.setdefault(interaction.user_id, []).append(interaction)
        if self._knows(interaction.item_id):
            self._remember(interaction)
        arrived.append(interaction)

    def _remember(self, event: Interaction) -> None:
        """Keep the latest event with each of a user's latest items.

        An item that makes room cannot be among the latest again without a new event.
        """
        latest = self._latest.setdefault(event.user_id, {})
        before = latest.get(event.item_id)
        if before is not None and event.timestamp < before.timestamp:
            return
        # Moved to the end: of events of one time, the one that arrived last is the latest.
        latest.pop(event.item_id, None)
        latest[event.item_id] = event
        if len(latest) >= 2 * HISTORY:
            kept = sorted(latest.values(), key=_time_of)[-HISTORY:]
            self._latest[event.user_id] = {one.item_id: one for one in kept}

    def turn(self, tell: Callable[[Interaction], None], knows: Callable[[str], bool] = bool) -> None:
        """Tell events to somebody else from now on, and sort them anew by what the models know.

        Args:
            tell: See the class.
            knows: See the class.
        """
        with self._lock:
            self._tell, self._knows, self._latest = tell, knows, {}
            for events in self._of.values():
                for event in events:
                    if knows(event.item_id):
                        self._remember(event)

    def of_user(self, user_id: str) -> tuple[Interaction, ...]:
        """The events of a user, or of a session, in order of arrival."""
        with self._lock:
            return tuple(self._of.get(user_id, ()))

    def history_of(self, user_id: str) -> tuple[Interaction, ...]:
        """The latest events of a user, or of a session, with different items, in order of arrival.

        They are all that recommendations depend on (:mod:`personalize_rt.local.taste`), however many events there are.
        """
        with self._lock:
            return tuple(self._latest.get(user_id, _NOTHING).values())

    @property
    def all(self) -> tuple[Interaction, ...]:
        """All events with an item, in order of arrival."""
        with self._lock:
            return tuple(self._all)


_NOTHING: dict[str, Interaction] = {}
_time_of = attrgetter("timestamp")


def _given_to(user_id: str, event: Interaction) -> Interaction:
    return Interaction(user_id, event.item_id, event.timestamp, event.event_type, event.event_value)

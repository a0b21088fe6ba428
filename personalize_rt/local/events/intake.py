"""The intake of events, items, users and actions at run time, for the wire and for Python's methods.

A call is checked as a whole before anything of it is taken in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from personalize_rt.errors import ValidationError
from personalize_rt.interactions import Interaction
from personalize_rt.local.datasets import EventLog, Table
from personalize_rt.local.engine import Engine
from personalize_rt.local.events.columns import Columns, read_properties
from personalize_rt.local.events.model import check_count
from personalize_rt.local.events.record import NOTHING, RecordedEvent
from personalize_rt.local.schemas import DATASETS, Schema, Value
from personalize_rt.local.shown import Answers
from personalize_rt.names import canonical
from personalize_rt.redaction import describe
from personalize_rt.tracking import EVENT_CHECKS, JSON, PYTHON, TrackedEvent, check_id

__all__ = ["Intake"]

# The most events that are kept for tests.
_KEPT = 10_000
# The dataset of records, and the member with their id.
_RECORDS = {"PutItems": ("items", "itemId"), "PutUsers": ("users", "userId"), "PutActions": ("actions", "actionId")}


class Intake:
    """Takes in events, items, users and actions. Safe to share between threads.

    Args:
        engine: The engine whose data they change.
        schemas: The declared schemas, by dataset.
        answers: The answers that events may belong to.

    Attributes:
        keep: Is told what was taken in, before the caller is; or ``None``.
    """

    def __init__(self, engine: Engine, schemas: Mapping[str, Schema], answers: Answers) -> None:
        self._engine = engine
        self._answers = answers
        self.keep: Callable[[Mapping[str, Any]], None] | None = None
        self._recorded: deque[RecordedEvent] = deque(maxlen=_KEPT)
        self._columns: dict[str, Columns] = {}
        for name, dataset in DATASETS.items():
            held: EventLog | Table | None = getattr(engine.datasets, name)
            self._columns[name] = Columns(dataset, {} if held is None else held.fields, declared=name in schemas)

    def over(self, engine: Engine, schemas: Mapping[str, Schema]) -> Intake:
        """An intake of another engine, which has recorded the same events."""
        new = Intake(engine, schemas, self._answers)
        new._recorded, new.keep = self._recorded, self.keep
        return new

    @property
    def recorded(self) -> tuple[RecordedEvent, ...]:
        """The latest events that were taken in, at most 10,000, each once, in order of arrival."""
        return tuple(self._recorded)

    def forget(self) -> None:
        """Forget what was recorded; what it did to the data stays."""
        self._recorded.clear()

    # Requests, whose members the model allows.

    def put_events(self, members: Mapping[str, Any]) -> None:
        """Take in the events of PutEvents.

        Raises:
            ValidationError: There is no such dataset, or an event does not fit it.
        """
        self._need("interactions", "eventList")
        session_id, user_id = members["sessionId"], members.get("userId")
        tracking_id, answers, columns = members["trackingId"], self._answers, self._columns["interactions"]
        events: list[RecordedEvent] = []
        for n, event in enumerate(members["eventList"]):
            item_id, value, given = event.get("itemId"), event.get("eventValue"), event.get("properties")
            properties = NOTHING
            if given is not None:
                try:
                    item_id, value, properties = _with_properties(columns, given, item_id, value)
                except ValidationError as error:
                    problem = error.message
                else:
                    problem = ""
                if problem:
                    raise ValidationError(f"eventList[{n}].{problem}", parameter="eventList")
            recommendation_id = event.get("recommendationId")
            attribution = event.get("metricAttribution")
            events.append(
                RecordedEvent(
                    operation="PutEvents",
                    session_id=session_id,
                    user_id=user_id,
                    event_type=event["eventType"],
                    item_id=item_id,
                    sent_at=_seconds(event["sentAt"]),
                    event_id=event.get("eventId"),
                    event_value=value,
                    recommendation_id=recommendation_id,
                    answer=None if recommendation_id is None else answers.find(recommendation_id),
                    impression=tuple(event.get("impression") or ()),
                    source=None if attribution is None else attribution["eventAttributionSource"],
                    properties=properties,
                    tracking_id=tracking_id,
                )
            )
        self._take(events)

    def put_action_interactions(self, members: Mapping[str, Any]) -> None:
        """Take in the events of PutActionInteractions.

        Raises:
            ValidationError: See :meth:`put_events`.
        """
        self._need("actions", "actionInteractions")
        events: list[RecordedEvent] = []
        for n, event in enumerate(members["actionInteractions"]):
            where, given = f"actionInteractions[{n}]", event.get("properties")
            recommendation_id = event.get("recommendationId")
            events.append(
                RecordedEvent(
                    operation="PutActionInteractions",
                    session_id=event["sessionId"],
                    user_id=event.get("userId"),
                    event_type=_action_type(event["eventType"], f"{where}.eventType"),
                    item_id=event["actionId"],
                    sent_at=_seconds(event["timestamp"]),
                    event_id=event.get("eventId"),
                    recommendation_id=recommendation_id,
                    answer=None if recommendation_id is None else self._answers.find(recommendation_id),
                    impression=tuple(event.get("impression") or ()),
                    properties=self._values("action_interactions", given and _parsed(given, where), where),
                    tracking_id=members["trackingId"],
                )
            )
        self._take(events)

    def put_records(self, operation: str, records: Sequence[Mapping[str, Any]], member: str) -> None:
        """Take in items, users or actions; one replaces the one of its id.

        Args:
            operation: ``"PutItems"``, ``"PutUsers"`` or ``"PutActions"``.
            records: The records.
            member: The member of the request that holds them.

        Raises:
            ValidationError: A record does not fit the dataset.
        """
        dataset, id_member = _RECORDS[operation]
        rows: dict[str, Mapping[str, Value]] = {}
        for n, record in enumerate(records):
            given = record.get("properties")
            where = f"{member}[{n}]"
            properties = {} if given is None else _parsed(given, where)
            try:
                rows[record[id_member]] = self._columns[dataset].row(properties)
            except ValidationError as error:
                problem = error.message
            else:
                continue
            raise ValidationError(f"{where}.{problem}", parameter=member)
        self._engine.put_rows(dataset, rows)
        if self.keep is not None:
            self.keep({"rows": {dataset: rows}})

    # Python's methods.

    def put(
        self, operation: str, session_id: str, user_id: str | None, events: Iterable[TrackedEvent | Interaction]
    ) -> None:
        """Take in the events of a Python program.

        Args:
            operation: ``"PutEvents"`` or ``"PutActionInteractions"``.
            session_id: The session.
            user_id: The user, or ``None``.
            events: The events.

        Raises:
            ValidationError: An argument is none that the service takes, or does not fit the dataset.
        """
        self._need("interactions" if operation == "PutEvents" else "actions", "events")
        user_id, tracked = _read(session_id, user_id, events)
        now = self._engine.clock()
        self._take([self._row(operation, session_id, user_id, event, n, now) for n, event in enumerate(tracked)])

    def _row(
        self, operation: str, session_id: str, user_id: str | None, event: TrackedEvent, n: int, now: float
    ) -> RecordedEvent:
        where, event_type, dataset = f"events[{n}]", event.event_type, "interactions"
        if operation == "PutActionInteractions":
            event_type, dataset = _action_type(event_type, f"{where}.event_type"), "action_interactions"
            if event.item_id is None:
                raise ValidationError(f"{where}.item_id is missing: it is the action", parameter="events")
        return RecordedEvent(
            operation=operation,
            session_id=session_id,
            user_id=user_id,
            event_type=event_type,
            item_id=event.item_id,
            sent_at=now if event.sent_at is None else event.sent_at,
            event_id=event.event_id,
            event_value=event.event_value,
            recommendation_id=event.recommendation_id,
            answer=None if event.recommendation_id is None else self._answers.find(event.recommendation_id),
            impression=event.impression,
            source=event.source,
            properties=self._values(dataset, event.properties, where),
        )

    # Both.

    def _take(self, events: Sequence[RecordedEvent]) -> None:
        new = self._put(events)
        self._recorded.extend(new)
        if new and self.keep is not None:
            self.keep({"events": new})

    def _put(self, events: Sequence[RecordedEvent]) -> list[RecordedEvent]:
        return (self._engine.items if events[0].operation == "PutEvents" else self._engine.actions).put(events)

    # After a restart.

    def restore_events(self, events: Sequence[RecordedEvent]) -> None:
        """Put events that were taken in before a restart. They are not recorded again."""
        self._put(events)

    def restore_rows(self, dataset: str, rows: Mapping[str, Mapping[str, Value]]) -> None:
        """Put items, users or actions that were taken in before a restart."""
        self._engine.put_rows(dataset, rows)

    def _values(self, dataset: str, properties: Mapping[str, Any] | None, where: str) -> Mapping[str, Value]:
        if not properties:
            return NOTHING
        try:
            return self._columns[dataset].read(properties)
        except ValidationError as error:
            problem = error.message
        raise ValidationError(f"{where}.{problem}", parameter=where.partition("[")[0])

    def _need(self, dataset: str, parameter: str) -> None:
        if getattr(self._engine.datasets, dataset) is None:
            raise ValidationError(f"there is no {dataset}.csv, so no dataset takes these events", parameter=parameter)


def _seconds(time: str | float) -> float:
    return float(time) if isinstance(time, str) else time


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        return read_properties(text)
    except ValidationError as error:
        problem = error.message
    raise ValidationError(f"{where}.{problem}", parameter=where.partition("[")[0])


def _with_properties(
    columns: Columns, text: str, item_id: str | None, value: float | None
) -> tuple[str | None, float | None, Mapping[str, Value]]:
    """The item, the value and the contextual metadata of an event with properties.

    Older forms of the call have the item and the value in there (service.md section 12, fact 10).
    """
    properties: dict[str, Any] = {}
    for name, given in read_properties(text).items():
        match canonical(name):
            case "itemid":
                if given is not None:
                    EVENT_CHECKS["itemId"](given, "properties.itemId", JSON)
                item_id = _only(item_id, given, "itemId")
            case "eventvalue":
                value = _only(value, columns.event_value(given), "eventValue")
            case _:
                properties[name] = given
    return item_id, value, columns.read(properties) if properties else NOTHING


def _only(given: Any, legacy: Any, name: str) -> Any:
    if legacy is not None and given is not None and given != legacy:
        raise ValidationError(f"properties.{name} is another one than {name} of the event", parameter="properties")
    return given if legacy is None else legacy


def _action_type(event_type: str, name: str) -> str:
    """The type of an action event as the dataset has it, ``NOT_TAKEN`` for ``Not Taken``: the guide writes both."""
    known = DATASETS["action_interactions"].reserved["EVENT_TYPE"].values
    spelled = event_type.upper().replace(" ", "_")
    if spelled not in known:
        raise ValidationError(
            f"{name} is none of those of actions: {', '.join(known)}", parameter=name.partition("[")[0]
        )
    return spelled


# Arguments of Python's methods.


def _read(
    session_id: str, user_id: str | None, events: Iterable[TrackedEvent | Interaction]
) -> tuple[str | None, list[TrackedEvent]]:
    """Check the arguments of a call; an Interaction brings its user itself.

    Returns:
        The user, or ``None`` if the events are anonymous; and the events.
    """
    check_id(session_id, "session_id", PYTHON)
    if user_id is not None:
        check_id(user_id, "user_id", PYTHON)
    if isinstance(events, TrackedEvent | Interaction):
        raise ValidationError("events is one event: for a single one write [event]", parameter="events")
    given: list[Any] = list(events)
    check_count(len(given), "events", "events", "EventList")
    checked: list[TrackedEvent] = []
    for n, event in enumerate(given):
        where = f"events[{n}]"
        if isinstance(event, Interaction):
            if user_id is not None and event.user_id != user_id:
                raise ValidationError(
                    f"{where} is of another user: a call brings events of one user", parameter="events"
                )
            check_id(event.user_id, f"{where}.user_id", PYTHON)
            user_id = event.user_id
            event = _tracked(event, where)
        elif not isinstance(event, TrackedEvent):
            raise ValidationError(
                f"{where} is {describe(event)}, not a TrackedEvent or Interaction", parameter="events"
            )
        checked.append(event)
    return user_id, checked


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

"""The requests of ``personalize-events`` that trackers make: events, items and users. No I/O.

Shapes and bounds are those of the service model ``personalize-events`` 2018-03-22 (service.md section 7).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Any, cast

import attrs

from personalize_rt.arguments import Arguments
from personalize_rt.errors import ValidationError
from personalize_rt.names import ARN, camel_case
from personalize_rt.operations import Operation, Request
from personalize_rt.redaction import describe
from personalize_rt.results import ResponseInfo
from personalize_rt.tracking import PYTHON, TrackedEvent, check_id, event_members

__all__ = ["BATCH", "SERVICE", "Taken", "events_request", "items_requests", "users_requests"]

SERVICE = "personalize-events"

BATCH = 10
"""Events, items or users of one request, at the most (model: EventList, ItemList, UserList)."""


class Taken:
    """The answer to a request whose reply is empty.

    Attributes:
        info: Facts on the call.
    """

    __slots__ = ("_count", "info")

    def __init__(self, count: int, info: ResponseInfo) -> None:
        self._count = count
        self.info: ResponseInfo = info

    def __len__(self) -> int:
        return self._count


@attrs.frozen
class _Members(Arguments[Taken]):
    """Stands for the arguments of operations whose requests are made here."""

    operation = SERVICE


def _read(_: Mapping[str, Any], request: Request[Taken], info: ResponseInfo) -> Taken:
    return Taken(len(request.members[_LISTS[request.operation.name]]), info)


_LISTS = {"PutEvents": "eventList", "PutItems": "items", "PutUsers": "users"}

_PUT_EVENTS, _PUT_ITEMS, _PUT_USERS = (
    Operation(name, method, path, _Members, {}, _read, service=SERVICE)
    for name, method, path in (
        ("PutEvents", "put_events", "/events"),
        ("PutItems", "put_items", "/items"),
        ("PutUsers", "put_users", "/users"),
    )
)


class _Request(Request[Taken]):
    """A request of this API: known by its tracker or dataset; it holds events or records."""

    __slots__ = ()

    @property
    def resource_arn(self) -> str:
        """The tracking id, or the dataset's ARN."""
        arn: str = self.members.get("trackingId") or self.members["datasetArn"]
        return arn

    def shown(self) -> Iterator[str]:
        """Every value that messages may show: tracker or dataset, and what each event is of."""
        yield self.resource_arn
        for record in self._records():
            yield from (record[name] for name in ("eventType", "itemId") if name in record)
            yield from record.get("impression", ())

    def personal_values(self) -> Iterator[str]:
        """Every value that no message may show: user, session, properties and values."""
        yield from (str(self.members[name]) for name in ("sessionId", "userId") if name in self.members)
        for record in self._records():
            yield from (str(record[name]) for name in ("userId", "eventValue", "eventId") if name in record)
            yield from (record.get("metricAttribution") or {}).values()
            yield from _texts(json.loads(record.get("properties", "{}")))

    def _records(self) -> Sequence[Mapping[str, Any]]:
        records: Sequence[Mapping[str, Any]] = self.members[_LISTS[self.operation.name]]
        return records


def _texts(properties: Mapping[str, Any]) -> Iterator[str]:
    for value in properties.values():
        if isinstance(value, str):
            yield value
            yield from value.split("|")
        elif value is not None and not isinstance(value, bool):
            yield str(value)


def events_request(
    tracking_id: str, session_id: str, user_id: str | None, events: Sequence[TrackedEvent]
) -> Request[Taken]:
    """The request that puts events of one session: at most ten.

    The arguments were checked before.
    """
    members: dict[str, Any] = {"trackingId": tracking_id, "sessionId": session_id}
    if user_id is not None:
        members["userId"] = user_id
    members["eventList"] = [event_members(event) for event in events]
    return _Request(_PUT_EVENTS, MappingProxyType(members))


def items_requests(items: Mapping[str, Mapping[str, Any]], dataset_arn: str) -> list[Request[Taken]]:
    """The requests that put items, ten in each.

    Args:
        items: Item id to columns, by name as the schema or as the service has it.
        dataset_arn: The Items dataset.

    Raises:
        ValidationError: An item is none that the service takes; the message shows no value.
    """
    return _requests(_PUT_ITEMS, "items", "itemId", items, dataset_arn, 32_000, "model: ItemProperties")


def users_requests(users: Mapping[str, Mapping[str, Any]], dataset_arn: str) -> list[Request[Taken]]:
    """The requests that put users, ten in each; otherwise as :func:`items_requests`."""
    return _requests(_PUT_USERS, "users", "userId", users, dataset_arn, 24_000, "model: UserProperties")


def _requests(
    operation: Operation[Taken], name: str, id_member: str, rows: Any, dataset_arn: Any, longest: int, source: str
) -> list[Request[Taken]]:
    given: Any = rows
    if not isinstance(given, Mapping):
        raise ValidationError(f"{name} is {describe(given)}, not a mapping of ids to columns", parameter=name)
    if not isinstance(dataset_arn, str) or len(dataset_arn) > 256 or not ARN.fullmatch(dataset_arn):
        raise ValidationError(
            "dataset_arn is not an ARN of Personalize: it should look like "
            f"arn:aws:personalize:<region>:<account>:dataset/<group>/{name.upper()}, and is {describe(dataset_arn)}",
            parameter="dataset_arn",
        )
    # All are checked before anything is sent.
    records = [
        _record(id, columns, f"{name}[{place}]", id_member, longest, source)
        for place, (id, columns) in enumerate(rows.items())
    ]
    waiting, requests = iter(records), list[Request[Taken]]()
    while batch := list(islice(waiting, BATCH)):
        requests.append(_Request(operation, MappingProxyType({"datasetArn": dataset_arn, name: batch})))
    return requests


def _record(id: Any, columns: Any, where: str, id_member: str, longest: int, source: str) -> dict[str, Any]:
    given, parameter = columns, where.partition("[")[0]
    check_id(id, where, PYTHON)
    if not isinstance(given, Mapping):
        raise ValidationError(f"{where} is {describe(given)}, not a mapping of columns to values", parameter=parameter)
    named: dict[str, Any] = {}
    for column, value in columns.items():
        if not isinstance(column, str):
            raise ValidationError(f"{where} has a column that is {describe(column)}, not a str", parameter=parameter)
        if camel_case(column) == id_member:
            raise ValidationError(f"{where} has {column!r} among its columns: the id is the key", parameter=parameter)
        if camel_case(column) in named:
            raise ValidationError(f"{where} has the column {camel_case(column)!r} twice", parameter=parameter)
        named[camel_case(column)] = _value(value)
    try:
        written = json.dumps(named, allow_nan=False)
    except (TypeError, ValueError):
        written = None
    if written is None:
        raise ValidationError(f"{where} holds a value that JSON does not have", parameter=parameter)
    if len(written) > longest:
        raise ValidationError(
            f"{where} takes {len(written):,} characters of JSON; the service takes {longest:,} ({source})",
            parameter=parameter,
            limit=longest,
        )
    return {id_member: id, "properties": written} if named else {id_member: id}


def _value(value: Any) -> Any:
    """A value as the service takes it: several categories are one text with ``|`` between them (guide, schemas)."""
    if not isinstance(value, list | tuple | set | frozenset):
        return value
    parts: list[Any] = list(cast("Iterable[Any]", value))
    if not all(isinstance(part, str) for part in parts):
        return parts
    return "|".join(sorted(parts) if isinstance(value, set | frozenset) else parts)

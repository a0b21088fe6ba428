"""The properties of events, items, users and actions, as values of the columns of their dataset.

Names are those of the schema in camel case or as they are (``numRatings``, ``NUM_RATINGS``), also mixed: service.md
section 12, fact 9. Values are those of the column's type, or a text that holds one (``13``, ``"13"``): service.md
section 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from personalize_rt.errors import ValidationError
from personalize_rt.filters.diagnostics import near
from personalize_rt.local.apis import decode_json
from personalize_rt.local.schemas import DatasetType, Field, Value, parse
from personalize_rt.names import canonical
from personalize_rt.redaction import describe_json
from personalize_rt.tracking import EVENT_CHECKS, JSON, RESERVED

__all__ = ["Columns", "read_properties"]

_EVENT_VALUE = Field("eventValue", "float", nullable=True)
_RESERVED = {canonical(name): name for name in RESERVED}


class Columns:
    """The columns of one dataset that properties may have.

    Args:
        dataset: The dataset's type.
        fields: Its columns.
        declared: Whether its schema was declared. An inferred one says which types columns have; it does not forbid
            that a value is missing, nor that an event has more of them than those of the file.
    """

    def __init__(self, dataset: DatasetType, fields: Mapping[str, Field], *, declared: bool) -> None:
        self._dataset = dataset
        self._declared = declared
        of_events = len(dataset.key) > 1
        self._open = of_events and not declared
        # An event has its reserved columns as members of their own; an item has no member but its id.
        taken = dataset.reserved if of_events else dataset.key
        self._fields = {name: field for name, field in fields.items() if name not in taken}
        self._by_name: dict[str, Field] = {}
        for name, field in self._fields.items():
            self._by_name.setdefault(canonical(name), field)

    def read(self, properties: Mapping[str, Any]) -> dict[str, Value]:
        """The values of an event's properties, by column.

        Raises:
            ValidationError: There is no such column, or a value is not of its type.
        """
        values: dict[str, Value] = {}
        for name, value in properties.items():
            field = self._field(name)
            if field is not None:
                if field.name in values:
                    raise _error(f"{field.name} comes twice, in two spellings")
                values[field.name] = self._value(field, value)
            elif value is None or isinstance(value, str | int | float):
                values[name] = value
            else:
                raise _error(f"expected text, numbers, true, false or null, found {describe_json(value)}")
        return values

    def row(self, properties: Mapping[str, Any]) -> dict[str, Value]:
        """The row of an item, user or action: all columns, ``None`` for those that are missing.

        Raises:
            ValidationError: As :meth:`read`; or a column is missing that the declared schema has without null.
        """
        given = self.read(properties)
        for name, field in self._fields.items():
            if given.get(name) is None and self._declared and not field.nullable:
                raise _error(f"{name} is missing, and the schema has it without null")
        return {name: given.get(name) for name in self._fields}

    def event_value(self, value: Any) -> float | None:
        """The value of an event, where the properties have it.

        Raises:
            ValidationError: It is no number.
        """
        if isinstance(value, int | float):
            EVENT_CHECKS["eventValue"](value, "properties.eventValue", JSON)
            return value
        return cast("float | None", self._value(_EVENT_VALUE, value))

    def _field(self, name: str) -> Field | None:
        """The column of a name; ``None`` for one that an event may have beside those of the file."""
        field = self._by_name.get(canonical(name))
        if field is not None:
            return field
        if canonical(name) in _RESERVED:
            raise _error(f"{_RESERVED[canonical(name)]} is a reserved name, and a member of its own")
        if self._open:
            return None
        named = name.isidentifier() and len(name) <= 150
        hint = (near(name, self._fields) if named else "") or f"it has {', '.join(self._fields) or 'none'}"
        shown = name if named else "of that name"
        raise _error(f"the {self._dataset.name} dataset has no metadata column {shown}; {hint}")

    def _value(self, field: Field, value: Any) -> Value:
        if value is None or value == "":
            if self._declared and not field.nullable:
                raise _error(f"{field.name} has no value, and the schema has it without null")
            return None
        text = _as_text(field, value)
        if text is None:
            expected = f"expected a value of the type {field.type}"
        else:
            (parsed,), wrong = parse(field, [text], self._dataset)
            if not wrong:
                return parsed
            expected = wrong[0][1].partition(", found ")[0]
        raise _error(f"{field.name}: {expected}, found {describe_json(value)}")


def _as_text(field: Field, value: Any) -> str | None:
    """A value as the cell of a CSV would have it; ``None`` if its type of JSON is not that of the column."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower() if field.type == "boolean" else None
    return repr(value) if isinstance(value, int | float) and field.type not in ("string", "boolean") else None


def _error(problem: str) -> ValidationError:
    return ValidationError(f"properties: {problem}", parameter="properties")


def read_properties(text: str) -> dict[str, Any]:
    """Parse properties as they come: a JSON object in a string.

    Raises:
        ValidationError: The string holds something else.
    """
    try:
        content: Any = decode_json(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise _error('expected a string that holds a JSON object, each name once, as "{\\"numRatings\\": 13}"')
    return cast("dict[str, Any]", content)

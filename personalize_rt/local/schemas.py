"""Schemas of datasets, from the Avro schema JSON that CreateSchema takes, or inferred.

The rule of inference, for a CSV without a schema:

1. A column that Personalize reserves (``TIMESTAMP``, ``EVENT_VALUE``, ``CREATION_TIMESTAMP``, …) has the type that
   the guide gives it.
2. A column whose every value is a whole number, as ``7`` or ``-40``, is ``long``. A leading zero, or more than 18
   digits, make it text: ``007`` is a code.
3. A column whose every value is a decimal number, as ``19.5`` or ``1e-3``, is ``double``.
4. Every other column is ``string``: *textual* when a value is longer than 1,000 characters, else *categorical* when a
   value holds ``|`` or when there are at most half as many different values as values.
5. A column with an empty cell may be null. ``true`` and ``false`` are text, since Personalize cannot filter booleans.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, cast

import attrs

from personalize_rt.limits import Limits
from personalize_rt.local.places import Source, excess
from personalize_rt.local.problems import Problems
from personalize_rt.names import canonical

__all__ = ["DATASETS", "DatasetType", "Field", "FieldType", "Schema", "Value", "infer", "parse", "read_schema"]

FieldType = Literal["string", "long", "int", "double", "float", "boolean"]
Value = str | int | float | bool | None

_TYPES: tuple[FieldType, ...] = ("string", "long", "int", "double", "float", "boolean")
_ID_LENGTH = cast(int, Limits().id_length)
_CATEGORY_LENGTH = 1000
_NAME = re.compile(r"[A-Za-z_][A-Za-z\d_]{0,149}")
_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_WHOLE_WITHOUT_LEADING_ZERO = re.compile(r"-?(?:0|[1-9]\d{0,17})", re.ASCII)
_CODE = re.compile(r"[+-]?(?:0\d|\d{19})", re.ASCII)
# Possessive quantifiers, since backtracking would take quadratic time in the number of digits.
_DECIMAL = re.compile(r"[+-]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_BOOLEANS: Mapping[str, bool] = {"true": True, "false": False}
_EXPECTED: Mapping[FieldType, str] = {
    "string": "text",
    "long": "a whole number",
    "int": "a whole number of 32 bits",
    "double": "a decimal number",
    "float": "a decimal number",
    "boolean": "true or false, in lower case",
}


@attrs.frozen
class Field:
    """One column.

    Attributes:
        name: The column's name, as in the header.
        type: Its Avro type, without ``null``.
        nullable: Whether a cell may be empty.
        categorical: Whether a cell may have several values, with ``|`` between them.
        textual: Whether it is unstructured text, which filters cannot use.
    """

    name: str
    type: FieldType = "string"
    nullable: bool = False
    categorical: bool = False
    textual: bool = False


@attrs.frozen
class Schema:
    """The columns of a dataset, by name."""

    fields: Mapping[str, Field]


@attrs.frozen
class Reserved:
    """A column whose name and use Personalize defines.

    Attributes:
        types: The types that it may have; the first is the one without a schema.
        low: The least value.
        high: The greatest value.
        values: The only values, where the service names them.
        longest: The most characters of a text.
        hint: What the value is, for a message.
    """

    types: tuple[FieldType, ...] = ("string",)
    low: int | None = None
    high: int | None = None
    values: tuple[str, ...] = ()
    longest: int | None = None
    hint: str = ""


@attrs.frozen
class DatasetType:
    """One of the five dataset types of Personalize.

    Attributes:
        name: The type, which is also the ``name`` of its Avro schema.
        file: The file of a data directory.
        key: The columns that hold ids.
        required: The columns that must be there.
        reserved: The columns whose use Personalize fixes, required ones included.
        metadata: The least and the greatest number of other columns, in a schema.
    """

    name: str
    file: str
    key: tuple[str, ...]
    required: tuple[str, ...]
    reserved: Mapping[str, Reserved]
    metadata: tuple[int, int]

    @property
    def keywords(self) -> frozenset[str]:
        """The names that no value may be (guide, "Custom dataset and schema requirements")."""
        return frozenset(self.reserved).difference(self.required)

    @property
    def option(self) -> str:
        """The dataset's name in ``personalize.toml``."""
        return self.file.removesuffix(".csv")


_ID = Reserved()
_TEXT = Reserved()
# The bound refuses milliseconds, which would be seconds of the year 50,000.
_SECONDS = Reserved(("long",), high=99_999_999_999, hint="Unix time in seconds, not milliseconds")
# Guide, "Preparing item interaction data for training", impressions data.
_EVENT_NOTES = {"IMPRESSION": Reserved(longest=1000), "RECOMMENDATION_ID": _TEXT}

# Developer Guide, "Custom dataset and schema requirements": required and reserved columns of each dataset type, and the
# number of metadata fields; that of Interactions from "Preparing item interaction data for training".
DATASETS: Mapping[str, DatasetType] = {
    dataset.option: dataset
    for dataset in (
        DatasetType(
            "Interactions",
            "interactions.csv",
            ("USER_ID", "ITEM_ID"),
            ("USER_ID", "ITEM_ID", "TIMESTAMP"),
            {
                "USER_ID": _ID,
                "ITEM_ID": _ID,
                "TIMESTAMP": _SECONDS,
                "EVENT_TYPE": _TEXT,
                "EVENT_VALUE": Reserved(("float",)),
                "EVENT_ATTRIBUTION_SOURCE": _TEXT,
                **_EVENT_NOTES,
            },
            metadata=(0, 5),
        ),
        DatasetType(
            "Items",
            "items.csv",
            ("ITEM_ID",),
            ("ITEM_ID",),
            {"ITEM_ID": _ID, "CREATION_TIMESTAMP": _SECONDS},
            metadata=(1, 100),
        ),
        DatasetType("Users", "users.csv", ("USER_ID",), ("USER_ID",), {"USER_ID": _ID}, metadata=(1, 25)),
        DatasetType(
            "Actions",
            "actions.csv",
            ("ACTION_ID",),
            ("ACTION_ID",),
            {
                "ACTION_ID": _ID,
                "CREATION_TIMESTAMP": _SECONDS,
                "TYPE": _TEXT,
                "VALUE": Reserved(("long",), low=1, high=10, hint="from 1 to 10"),
                # The guide has two spellings of this one.
                "EXPIRATION_TIMESTAMP": _SECONDS,
                "ACTION_EXPIRATION_TIMESTAMP": _SECONDS,
                "REPEAT_FREQUENCY": Reserved(("long",), low=0, high=30, hint="days, at most 30"),
            },
            metadata=(1, 10),
        ),
        DatasetType(
            "Action_Interactions",
            "action_interactions.csv",
            ("USER_ID", "ACTION_ID"),
            ("USER_ID", "ACTION_ID", "EVENT_TYPE", "TIMESTAMP"),
            {
                "USER_ID": _ID,
                "ACTION_ID": _ID,
                "TIMESTAMP": _SECONDS,
                "EVENT_TYPE": Reserved(values=("TAKEN", "NOT_TAKEN", "VIEWED")),
                **_EVENT_NOTES,
            },
            # Of these no number is published.
            metadata=(0, 100),
        ),
    )
}


# Reading a schema.


def read_schema(source: Source, dataset: DatasetType, problems: Problems) -> Schema | None:
    """Read an Avro schema, in the form that CreateSchema takes.

    Args:
        source: The JSON.
        dataset: The dataset that it describes.
        problems: Collects the problems.

    Returns:
        The schema, or ``None`` if it has a problem.
    """
    found = excess(source.text)
    if found is None:
        try:
            avro: Any = json.loads(source.text)
        except json.JSONDecodeError as error:
            found = f"expected JSON: {_json_problem(source.text, error)}", error.pos
        else:
            return _SchemaReader(source, dataset, problems).read(avro)
    message, offset = found
    line, column = source.at(offset)
    problems.add(source.file, message, line=line, column=column)
    return None


@attrs.define
class _SchemaReader:
    source: Source
    dataset: DatasetType
    problems: Problems
    fine: bool = True

    def wrong(self, message: str, *path: str | int) -> None:
        """Add a problem at a member, or if that is missing, at its parent."""
        self.fine = False
        start, _ = self.source.span(*path) or (0, 0)
        line, column = self.source.at(start)
        self.problems.add(self.source.file, message, line=line, column=column)

    def read(self, avro: Any) -> Schema | None:
        if isinstance(avro, str):
            self.wrong(
                "expected a JSON object, found JSON inside a JSON string: it was encoded twice; put the object here"
            )
            return None
        if not isinstance(avro, dict) or not isinstance(cast("dict[str, Any]", avro).get("fields"), list):
            self.wrong('expected an Avro record: {"type": "record", "name": …, "fields": […], "version": "1.0"}')
            return None
        avro = cast("dict[str, Any]", avro)
        if avro.get("type") != "record":
            self.wrong('expected "type": "record"', "type")
        if canonical(str(avro.get("name"))) != canonical(self.dataset.name):
            self.wrong(f'expected "name": "{self.dataset.name}", the dataset type', "name")
        fields: dict[str, Field] = {}
        names: set[str] = set()
        seen: set[str] = set()
        for index, member in enumerate(cast("list[Any]", avro["fields"])):
            name = _name_of(member)
            if name is None:
                expected = 'expected {"name": …, "type": …} with a name of at most 150 letters, digits and _'
                self.wrong(f"fields[{index}]: {expected}", "fields", index)
                continue
            if canonical(name) in seen:
                self.wrong(f"field {name} is there twice (case and _ do not count)", "fields", index, "name")
            names.add(name)
            seen.add(canonical(name))
            field = self._field(name, member, index)
            if field is not None:
                fields[name] = field
        for name in self.dataset.required:
            if name not in names:
                alike = next((other for other in names if canonical(other) == canonical(name)), None)
                hint = f", in this spelling, not {alike}" if alike else ""
                self.wrong(f"expected a field {name}{hint}: every schema of {self.dataset.name} has it", "fields")
        # Guide, "Custom dataset and schema requirements"; names in another case are told as such.
        metadata = len({canonical(name) for name in names} - set(map(canonical, self.dataset.reserved)))
        least, most = self.dataset.metadata
        if metadata < least:
            also = ", and CREATION_TIMESTAMP is none" if "CREATION_TIMESTAMP" in names else ""
            self.wrong(
                f"expected at least one metadata field: a schema of {self.dataset.name} needs it{also}", "fields"
            )
        if metadata > most:
            self.wrong(f"expected at most {most} metadata fields in {self.dataset.name}, found {metadata}", "fields")
        if sum(field.textual for field in fields.values()) > 1:
            self.wrong("expected at most one textual field", "fields")
        return Schema(fields) if self.fine else None

    def _field(self, name: str, member: Mapping[str, Any], index: int) -> Field | None:
        types: list[Any] = member["type"] if isinstance(member.get("type"), list) else [member.get("type")]
        kinds = [type for type in types if type != "null"]
        reserved = self.dataset.reserved.get(name)
        categorical, textual = _flag(member, "categorical"), _flag(member, "textual")
        if categorical is None or textual is None:
            flag = "categorical" if categorical is None else "textual"
            self.wrong(f'fields[{index}], {name}: expected "{flag}": true or false', "fields", index, flag)
            return None
        if len(kinds) != 1 or kinds[0] not in _TYPES:
            expected = f"expected a type of {', '.join(_TYPES)}, alone or in a list with null"
        elif reserved is not None and kinds[0] not in reserved.types:
            also = "" if name in self.dataset.required else ", alone or in a list with null"
            expected = f"expected the type {reserved.types[0]}{also}, since Personalize keeps this name"
        elif name in self.dataset.required and "null" in types:
            expected = "expected a type without null, since every row needs it"
        elif (categorical or textual) and kinds[0] != "string":
            expected = "expected the type string, since only text is categorical or textual"
        elif reserved is not None and name not in self.dataset.key and (categorical or textual):
            # Guide, "Schema formatting requirements".
            expected = "expected no categorical or textual attribute: a reserved string field cannot have one"
        elif textual and self.dataset.name != "Items":
            # Guide, "Custom dataset and schema requirements".
            expected = "expected no textual attribute: only schemas of Items support it"
        else:
            if name in self.dataset.key and categorical:
                # The guide has no sentence that forbids it: ids are required, not reserved.
                line, column = self.source.at((self.source.span("fields", index, "categorical") or (0, 0))[0])
                expected = f"fields[{index}], {name}: expected no categorical attribute of an id"
                self.problems.warn(self.source.file, expected, "it is ignored", line=line, column=column)
                categorical = False
            return Field(name, kinds[0], "null" in types, categorical, textual)
        self.wrong(f"fields[{index}], {name}: {expected}", "fields", index, "type")
        return None


def _json_problem(text: str, error: json.JSONDecodeError) -> str:
    """Say what is wrong with JSON, with a hint for the mistakes that people make."""
    before, at = text[: error.pos].rstrip(), text[error.pos :].lstrip()
    if (at[:1] in ("]", "}") and before.endswith(",")) or error.msg.startswith("Illegal trailing comma"):
        return "a trailing comma; JSON has none before ] or }"
    if at.startswith(("'", "True", "False", "None")):
        return "a Python literal; JSON wants double quotes, true, false and null, as json.dumps() writes them"
    return error.msg


def _flag(member: Mapping[str, Any], name: str) -> bool | None:
    """An attribute that is true or false. Official notebooks write it as a string, too; ``None`` when it is neither."""
    value = member.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    return _BOOLEANS.get(value.lower()) if isinstance(value, str) else None


def _name_of(member: Any) -> str | None:
    name: Any = cast("dict[str, Any]", member).get("name") if isinstance(member, dict) else None
    return name if isinstance(name, str) and _NAME.fullmatch(name) else None


# Inferring a field.


def infer(name: str, texts: Iterable[str], dataset: DatasetType) -> Field:
    """Infer the field of a column without a schema, by the rule of this module.

    Args:
        name: The column's name.
        texts: Its cells; empty ones are nulls.
        dataset: The dataset, for its reserved columns.
    """
    reserved = dataset.reserved.get(name)
    if reserved is not None:
        return Field(name, reserved.types[0], nullable=name not in dataset.required)
    texts = texts if isinstance(texts, Sequence) else tuple(texts)
    values = [text for text in texts if text]
    nullable = len(values) < len(texts)
    if values and all(map(_WHOLE_WITHOUT_LEADING_ZERO.fullmatch, values)):
        return Field(name, "long", nullable)
    if values and all(map(_DECIMAL.fullmatch, values)) and not any(map(_CODE.match, values)):
        return Field(name, "double", nullable)
    if any(len(value) > _CATEGORY_LENGTH for value in values):
        return Field(name, "string", nullable, textual=True)
    categorical = any("|" in value for value in values) or 2 * len(set(values)) <= len(values)
    return Field(name, "string", nullable, categorical=bool(values) and categorical)


# Reading cells.


def parse(field: Field, texts: Sequence[str], dataset: DatasetType) -> tuple[list[Value], list[tuple[int, str]]]:
    """Convert cells to values.

    Args:
        field: The column.
        texts: The cells.
        dataset: The dataset, for the bounds of its reserved columns.

    Returns:
        The values, ``None`` for an empty or wrong cell; and for each wrong cell its index and the expectation.
    """
    parsed = _parse_all(field, texts, dataset)
    if parsed is not None:
        return parsed, []
    values: list[Value] = []
    wrong: list[tuple[int, str]] = []
    for index, text in enumerate(texts):
        value, expected = _parse_one(field, text, dataset)
        values.append(value)
        if expected:
            wrong.append((index, f"expected {expected}, found {_found(text)}"))
    return values, wrong


def _parse_all(field: Field, texts: Sequence[str], dataset: DatasetType) -> list[Value] | None:
    """Convert all cells at the speed of C; ``None`` if one of them needs a closer look."""
    if not all(texts) or not texts:
        return None
    reserved = dataset.reserved.get(field.name, _TEXT)
    longest = max(map(len, texts))
    if field.type == "string":
        simple = not reserved.values and longest <= (_ID_LENGTH if field.name in dataset.key else _CATEGORY_LENGTH)
        return list(texts) if simple and dataset.keywords.isdisjoint(texts) else None
    digits = "".join(texts)
    if not (digits.isascii() and digits.isdecimal()) or longest > 18 or field.type == "boolean":
        return None
    if field.type in ("double", "float"):
        return list(map(float, texts))
    numbers = list(map(int, texts))
    low, high = min(numbers), max(numbers)
    if (reserved.low is not None and low < reserved.low) or (reserved.high is not None and high > reserved.high):
        return None
    return None if field.type == "int" and high >= 2**31 else cast("list[Value]", numbers)


def _parse_one(field: Field, text: str, dataset: DatasetType) -> tuple[Value, str]:
    """Convert one cell: its value and an empty string, or ``None`` and the expectation."""
    reserved = dataset.reserved.get(field.name, _TEXT)
    expected = _EXPECTED[field.type]
    if not text:
        if field.name in dataset.key:
            return None, "an id"
        return None, "" if field.nullable else f"{expected} (the column has no null)"
    if field.type == "string":
        if field.name in dataset.key and len(text) > _ID_LENGTH:
            return None, f"an id of at most {_ID_LENGTH} characters"
        if field.categorical and len(text) > _CATEGORY_LENGTH:
            return None, f"a category of at most {_CATEGORY_LENGTH:,} characters"
        if reserved.longest is not None and len(text) > reserved.longest:
            return None, f"a text of at most {reserved.longest:,} characters"
        if reserved.values and text not in reserved.values:
            return None, f"one of {', '.join(reserved.values)}"
        if text in dataset.keywords:
            return None, "another value than a reserved keyword"
        return text, ""
    if field.type == "boolean":
        return (_BOOLEANS[text], "") if text in _BOOLEANS else (None, expected)
    if field.type in ("double", "float"):
        number = float(text) if _DECIMAL.fullmatch(text) else float("inf")
        return (None, expected) if abs(number) == float("inf") else (number, "")
    whole = int(text) if _WHOLE.fullmatch(text) else None
    if whole is None or (field.type == "int" and not -(2**31) <= whole < 2**31):
        return None, expected
    too_low = reserved.low is not None and whole < reserved.low
    if too_low or (reserved.high is not None and whole > reserved.high):
        return None, f"{expected}: {reserved.hint}"
    return whole, ""


def _found(text: str) -> str:
    if not text:
        return "an empty cell"
    return f"a text of {len(text):,} character{'' if len(text) == 1 else 's'}"

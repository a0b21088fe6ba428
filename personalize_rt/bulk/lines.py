"""From a row of an input file to a request, and from its outcome to a line of the output.

The line is that of the service's batch inference (service.md section 4, "Batch output")::

    {"input":{"userId":"4638"},"output":{"recommendedItems":["63992","115149"],"scores":[0.00301,0.00284]},"error":null}

``scores`` are left out where the recipe gives none; an item of a ranking that the model does not know has a ``null``
there. Of a request that failed, ``output`` is ``null``, and ``error`` the class of the error and its message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Never

from personalize_rt.bulk.requests import BulkRequest, RankRequest, RecommendRequest
from personalize_rt.bulk.rows import MEMBERS, Row, shown_name
from personalize_rt.errors import PersonalizeError, ValidationError
from personalize_rt.filters.values import RawFilterValue
from personalize_rt.redaction import describe

__all__ = ["DONE", "Line", "LinePlan", "given"]

DONE = b',"error":null}'
"""How the line of an answered request ends, and no other."""

_REQUESTS: Mapping[str, type[BulkRequest[Any]]] = {"recommend": RecommendRequest, "rank": RankRequest}
_ARGUMENTS: Mapping[str, str] = {
    "userId": "user_id",
    "itemId": "item_id",
    "itemList": "input_list",
    "numResults": "num_results",
    "context": "context",
    "filterValues": "filter_values",
}
# How an error about an argument calls it in a file.
_SPELLING = re.compile(rf"\b({'|'.join(name for name in _ARGUMENTS.values() if '_' in name)})\b")
_MEMBER_OF = {argument: member for member, argument in _ARGUMENTS.items()}


class Line(NamedTuple):
    """A line of the output, without its end: of the row at ``position``, from 0."""

    position: int
    text: bytes


class LinePlan:
    """What becomes of a row.

    Args:
        kind: ``"recommend"`` or ``"rank"``.
        file: The name of the input, for errors.
        unit: What its rows are counted in: ``"line"`` or ``"row"``.
        arguments: The arguments that all requests share.
    """

    keeps_raw = False

    def __init__(self, kind: str, file: str, unit: str, arguments: Mapping[str, Any]) -> None:
        self._kind = kind
        self._unit = unit
        self._file = file
        self._arguments = dict(arguments)

    def request(self, raw: Row) -> BulkRequest[Any]:
        """The request of a row.

        Raises:
            ValidationError: It is none.
        """
        if raw.problem is not None:
            _refuse(raw.problem)
        members = _read(raw.text) if raw.members is None else raw.members
        known = MEMBERS[self._kind]
        given: dict[str, Any] = {}
        for name, value in members.items():
            if name not in known:
                _refuse(f"unknown member {shown_name(name, known)}; {self._kind} reads {', '.join(known)}")
            if value is not None:
                given[_ARGUMENTS[name]] = value
        if "filter_values" in given:
            given["filter_values"] = self._filter_values(given["filter_values"])
        if self._kind == "rank":
            for name in ("user_id", "input_list"):
                if name not in given:
                    _refuse(f"there is no {name}")
        return _REQUESTS[self._kind](**{**self._arguments, **given})

    def _filter_values(self, values: Any) -> dict[str, Any]:
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
            _refuse(f"filter_values is {describe(values)}, not names and texts in the service's form")  # pyright: ignore[reportUnknownArgumentType]
        # As they would be sent: that is how batch inference reads them.
        ours: dict[str, Any] = {name: RawFilterValue(value) for name, value in values.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType, reportUnknownMemberType]
        return {**(self._arguments.get("filter_values") or {}), **ours}

    def value(self, position: int, raw: Row, answer: Any, error: PersonalizeError | None, elapsed: float) -> Line:
        """The line of an outcome."""
        row = given(raw, is_wrong=isinstance(error, ValidationError))
        if error is None:
            output: dict[str, Any] = {"recommendedItems": answer.item_ids}
            if any(score is not None for score in answer.scores):
                output["scores"] = answer.scores
            return Line(position, b'{"input":%b,"output":%b%b' % (row, _json(output), DONE))
        message = error.message
        if isinstance(error, ValidationError):
            message = _SPELLING.sub(lambda match: _MEMBER_OF[match[1]], message)
            message = f"{self._file}, {self._unit} {raw.number}: {message}"
        text = f"{type(error).__name__}: {message}"
        return Line(position, b'{"input":%b,"output":null,"error":%b}' % (row, _json(text)))


def given(raw: Row, *, is_wrong: bool) -> bytes:
    """The input as it stands in the output: the same object, or a string when it is none."""
    if raw.members is not None:
        return _json(raw.members)
    if raw.problem is not None:
        return _json(raw.text.decode("utf-8", "surrogateescape"))
    if is_wrong:  # so it may be no JSON
        try:
            _read(raw.text)
        except ValidationError:
            return _json(raw.text.decode("utf-8", "surrogateescape"))
    return raw.text


def _read(text: bytes) -> dict[str, Any]:
    try:
        members: Any = json.loads(text.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        _refuse("it is not UTF-8")
    except RecursionError:
        _refuse("it is not what batch inference reads: too deep")
    except json.JSONDecodeError as error:
        _refuse(f"it is not JSON: {error.msg}, at character {error.colno}")
    except ValueError:
        _refuse("it is not JSON: a number that JSON does not have")
    if not isinstance(members, dict):
        _refuse(f"it is {describe(members)}, not a JSON object")
    return members  # pyright: ignore[reportUnknownVariableType]


def _refuse_constant(name: str) -> Never:
    raise ValueError(name)


def _refuse(problem: str) -> Never:
    raise ValidationError(problem)


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), default=str).encode("ascii")

"""Conversion of input rows to requests, and of outcomes to output lines.

The line is that of the service's batch inference (service.md section 4, "Batch output")::

    {"input":{"userId":"4638"},"output":{"recommendedItems":["63992","115149"],"scores":[0.00301,0.00284]},"error":null}

Jobs with promotions or metadata columns add ``promotionNames`` and ``metadata`` to ``output``, one for each item.
``scores`` are left out if the recipe gives none; an item of a ranking that the model does not know has ``0.0`` there
(service.md section 12, fact 8). For a request that failed, ``output`` is ``null``, and ``error`` is the class of the
error and its message.

The line of any row is portable JSON of little depth: without NaN, lone surrogates and numbers beyond 64 bits. A row
with such content is an error, and its ``input`` is a string.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, Never

from personalize_rt.bulk.layout import shown_name
from personalize_rt.bulk.requests import BulkRequest
from personalize_rt.bulk.rows import MEMBERS, REQUESTS, Row, as_text
from personalize_rt.errors import PersonalizeError, ValidationError
from personalize_rt.filters.values import RawFilterValue
from personalize_rt.redaction import describe

__all__ = ["DONE", "MORE", "Line", "LinePlan", "given"]

DONE = b',"error":null}'
"""The end of the line of an answered request, and of no other."""

MORE = {"promotions": "promotionNames", "metadata_columns": "metadata"}
"""The arguments of recommendations for which an output has a member of its own, which batch inference has not."""

# How an error about an argument calls it in a file.
_MEMBER_OF = {argument: member for members in MEMBERS.values() for member, argument in members.items()}
_SPELLING = re.compile(rf"\b({'|'.join(name for name in _MEMBER_OF if '_' in name)})\b")


class Line(NamedTuple):
    """An output line, without its newline, of the row at ``position``, from 0."""

    position: int
    text: bytes


class LinePlan:
    """The plan of a run over the rows of a file.

    Args:
        kind: ``"recommend"`` or ``"rank"``.
        file: The name of the input, for errors.
        unit: The name of a row: ``"line"`` or ``"row"``.
        arguments: The arguments that all requests share.
    """

    keeps_raw = False

    def __init__(self, kind: str, file: str, unit: str, arguments: Mapping[str, Any]) -> None:
        self._kind = kind
        self._unit = unit
        self._file = file
        self._arguments = dict(arguments)

    def request(self, raw: Row) -> BulkRequest[Any]:
        """Make the request of a row.

        Raises:
            ValidationError: The row is not a request.
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
                given[known[name]] = value
        if "filter_values" in given:
            given["filter_values"] = self._filter_values(given["filter_values"])
        if self._kind == "rank":
            for name in ("user_id", "input_list"):
                if name not in given:
                    _refuse(f"there is no {name}")
        return REQUESTS[self._kind](**{**self._arguments, **given})

    def _filter_values(self, values: Any) -> dict[str, Any]:
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
            _refuse(f"filter_values is {describe(values)}, not names and texts in the service's form")  # pyright: ignore[reportUnknownArgumentType]
        # In encoded form, as for batch inference.
        ours: dict[str, Any] = {name: RawFilterValue(value) for name, value in values.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType, reportUnknownMemberType]
        return {**(self._arguments.get("filter_values") or {}), **ours}

    def value(self, position: int, raw: Row, answer: Any, error: PersonalizeError | None, elapsed: float) -> Line:
        """Make the line of an outcome."""
        row = given(raw, is_wrong=isinstance(error, ValidationError))
        if error is None:
            output: dict[str, Any] = {"recommendedItems": _all_unicode(answer.item_ids)}
            scores = self._scores(answer)
            if scores is not None:
                output["scores"] = scores
            if self._kind == "recommend" and MORE.keys() & self._arguments.keys():
                output |= self._more(answer)
            return Line(position, b'{"input":%b,"output":%b%b' % (row, _json(output), DONE))
        message = error.message
        if isinstance(error, ValidationError):
            message = _SPELLING.sub(lambda match: _MEMBER_OF[match[1]], message)
            message = f"{self._file}, {self._unit} {raw.number}: {message}"
        text = _unicode(f"{type(error).__name__}: {message}")
        return Line(position, b'{"input":%b,"output":null,"error":%b}' % (row, _json(text)))

    def _more(self, answer: Any) -> dict[str, Any]:
        more: dict[str, Any] = {}
        if "promotions" in self._arguments:
            names = (row.promotion_name for row in answer)
            more["promotionNames"] = [None if name is None else _unicode(name) for name in names]
        if "metadata_columns" in self._arguments:
            more["metadata"] = [
                {_unicode(name): _unicode(text) for name, text in row.metadata.items()} if row.metadata else None
                for row in answer
            ]
        return more

    def _scores(self, answer: Any) -> Sequence[float | None] | None:
        scores: Sequence[float | None] = answer.scores
        has_scores = any(score is not None for score in scores)
        if self._kind == "rank" and (has_scores or answer.info.source != "fallback"):
            return [0.0 if score is None else score for score in scores]
        return scores if has_scores else None


def given(raw: Row, *, is_wrong: bool) -> bytes:
    """The ``input`` of an output line: the row's object, or a string if it is not valid."""
    if raw.members is not None:
        return _json(raw.members)
    if raw.problem is not None:
        return _json(as_text(raw.text))
    if is_wrong:  # it may not be JSON
        try:
            _read(raw.text)
        except ValidationError:
            return _json(as_text(raw.text))
    # Between members, a carriage return is white space, but ends a line for some readers.
    return raw.text.replace(b"\r", b" ")


# A row is an object with a list and two objects at most. Deeper rows are refused, since each level takes stack, so that
# some callers could read them and others could not.
_DEPTH = 8
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_LARGEST = (1 << 63) - 1


def _read(text: bytes) -> dict[str, Any]:
    if text.count(b"[") + text.count(b"{") > _DEPTH and _depth(text) > _DEPTH:
        _refuse("it is not what batch inference reads: too deep")
    try:
        members: Any = _DECODER.decode(text.decode("utf-8"))
    except UnicodeDecodeError:
        _refuse("it is not UTF-8")
    except json.JSONDecodeError as error:
        _refuse(f"it is not JSON: {error.msg}, at character {error.colno}")
    if not isinstance(members, dict):
        _refuse(f"it is {describe(members)}, not a JSON object")
    if _SURROGATE.search(text) and not _is_unicode(json.dumps(members, ensure_ascii=False)):
        _refuse("it has half of a surrogate pair, which is no text")
    return members  # pyright: ignore[reportUnknownVariableType]


def _depth(text: bytes) -> int:
    """The depth of nested lists and objects."""
    brackets = _STRING.sub(b"", text).translate(None, _NOT_BRACKETS)
    return max(accumulate(1 if bracket in b"[{" else -1 for bracket in brackets), default=0)


def _as_object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of members with distinct names."""
    there = dict(members)
    if len(there) != len(members):
        _refuse("it has two members of one name")
    return there


def _as_int(digits: str) -> int:
    # First by length, since Python takes long for thousands of digits, or refuses them.
    if len(digits) > len(str(-_LARGEST)) or abs(int(digits)) > _LARGEST:
        _refuse(f"it has a number of {len(digits):,} digits, which is too large")
    return int(digits)


def _as_float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        _refuse("it has a number that is too large")
    return value


def _refuse_constant(name: str) -> Never:
    _refuse("it is not JSON: a number that JSON does not have")


def _refuse(problem: str) -> Never:
    raise ValidationError(problem)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_as_object, parse_int=_as_int, parse_float=_as_float, parse_constant=_refuse_constant
)


def _json(value: Any) -> bytes:
    """Format a value as JSON in one line. Values that JSON lacks (time, bytes, NaN) become objects of type and text."""
    try:
        text = json.dumps(value, separators=(",", ":"), default=_typed, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), separators=(",", ":"), default=_typed, allow_nan=False)
    return text.encode("ascii")


def _typed(value: object) -> dict[str, str]:
    # Not the text alone, which would be accepted as an id if the row was used again.
    return {type(value).__name__: str(value)}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return list(map(_finite, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return _typed(value) if isinstance(value, float) and not math.isfinite(value) else value


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _unicode(text: str) -> str:
    """Replace lone surrogates, which file names and foreign messages may have, by ``?``."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _all_unicode(texts: Sequence[str]) -> Sequence[str]:
    return texts if _is_unicode("".join(texts)) else list(map(_unicode, texts))

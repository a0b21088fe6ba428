"""Encoding and decoding of filter values, the values of filter parameters.

A filter value is a string inside a string: the parameter ``GENRE`` with the value ``Comedy`` travels as
``{"GENRE": "\\"Comedy\\""}``. Forgetting the inner quotes is the usual mistake, so callers of this package give
Python values and :func:`encode` writes them:

==========================================================  ==========================================
Python                                                      sent
==========================================================  ==========================================
``"Comedy"``                                                ``"Comedy"`` in double quotes
a list, tuple, array, Series, generator, … of them          comma-joined, each quoted, order kept
a set, frozenset                                            the same, sorted
``int``, ``float``, ``Decimal``, NumPy and pandas numbers   bare digits, never an exponent
several numbers                                             comma-joined bare digits
an aware ``datetime``                                       Unix seconds
an ``Enum``                                                 its value, by the same rules
:class:`RawFilterValue`, :class:`RawFilterValues`           as it is
==========================================================  ==========================================

Everything else is a :class:`~personalize_rt.errors.FilterValuesError` that says what to send instead.

Where the guide is silent, this module decides:

* Equal numbers are written alike: ``7``, ``7.0`` and ``Decimal("7.00")`` are all ``7``, and ``-0.0`` is ``0``. So a
  field of type long takes a column of whole numbers that pandas turned into floats. A float has the digits of its
  ``repr``; a 32-bit one has those of its own ``repr``, not of the same value in 64 bits.
* Time fields hold whole Unix seconds, so the fraction of a second of a ``datetime`` is dropped (always towards the
  past): ``datetime.now(UTC) - timedelta(days=30)`` can be sent as it is, and no value is wrong by a second or more.
* The language has no escape for a double quote inside a string, so such a string is refused, not guessed at.
  Commas, ``|``, backslashes and single quotes are sent as they are.
* Unpaired surrogates are refused.

Source: the guide page "Filtering recommendations and user segments (real-time)" and the model shapes
``FilterValues``, ``FilterAttributeName`` and ``FilterAttributeValue`` of ``personalize-runtime``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from itertools import islice
from operator import index
from typing import TYPE_CHECKING, Any, NoReturn, SupportsFloat, SupportsIndex, TypeAlias, cast

import attrs

from personalize_rt.errors import FilterValuesError
from personalize_rt.limits import Limits
from personalize_rt.names import PARAMETER_NAME
from personalize_rt.redaction import describe

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

__all__ = ["FilterScalar", "FilterValue", "RawFilterValue", "RawFilterValues", "decode", "encode", "encode_values"]

_LIMITS = Limits()
_NO_LIMITS = Limits.off()
# The most digits that Python converts to an int by default. Matters only when the length limit is off.
_MOST_DIGITS = 4300

# Compiled when first used, and cached by `re`: compiling takes longer than the rest of this module's import, and a
# program without filters does not need it.
_NUMBER = r"-?[0-9]+(?:\.[0-9]+)?"
_NUMBERS = rf"\s*{_NUMBER}\s*(?:,\s*{_NUMBER}\s*)*"
_STRING = r'"([^"]+)"'
_STRINGS = rf"\s*{_STRING}\s*(?:,\s*{_STRING}\s*)*"
_SCIENTIFIC = r"([+-]?)([0-9]+)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?"


@attrs.frozen(repr=False)
class RawFilterValue:
    """A filter value that is already written in the service's form. Only its length is checked.

    Args:
        text: The text to send, such as ``'"Comedy","Drama"'``. ``repr`` shows its size only.

    Raises:
        FilterValuesError: *text* is not a ``str``.
    """

    text: str = attrs.field()

    def __attrs_post_init__(self) -> None:
        if not isinstance(cast(object, self.text), str):
            raise FilterValuesError(
                f"RawFilterValue holds text that is sent as it is, not {describe(self.text)}", parameter="text"
            )

    def __repr__(self) -> str:
        return f"RawFilterValue(<{len(self.text)} characters>)"


class RawFilterValues(Mapping[str, RawFilterValue]):
    """The filter values of a request, all of them already written in the service's form.

    For values that a program has encoded for boto3: ``filter_values=RawFilterValues({"GENRE": '"Comedy","Drama"'})``.

    Args:
        texts: Parameter name, without ``$``, to the text to send. ``repr`` shows the names only.

    Raises:
        FilterValuesError: A text is not a ``str``, or *texts* is not a mapping.
    """

    __slots__ = ("_values",)

    def __init__(self, texts: Mapping[str, str]) -> None:
        if not isinstance(cast(object, texts), Mapping):
            raise FilterValuesError(
                f"RawFilterValues holds a mapping of parameter name to text, not {describe(texts)}",
                parameter="filter_values",
            )
        self._values = {name: RawFilterValue(text) for name, text in texts.items()}

    def __getitem__(self, name: str) -> RawFilterValue:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"RawFilterValues(<{', '.join(map(str, self._values))}>)"


FilterScalar: TypeAlias = "str | SupportsIndex | SupportsFloat | Decimal | datetime | Enum"
"""One value. NumPy and pandas scalars are among ``SupportsIndex`` and ``SupportsFloat``."""

FilterValue: TypeAlias = "FilterScalar | RawFilterValue | Iterable[FilterScalar]"
"""The value of a filter parameter."""


def encode_values(values: Mapping[str, FilterValue], *, limits: Limits = _LIMITS) -> dict[str, str]:
    """Encode all filter values of one request.

    Args:
        values: Parameter name, without ``$``, to value.
        limits: The limits on the number of entries, and on the length of a name and of an encoded value.

    Returns:
        The member ``filterValues`` of a request.

    Raises:
        FilterValuesError: A name or a value cannot be sent; ``.parameter`` says which.
    """
    if not isinstance(cast(object, values), Mapping):
        raise FilterValuesError(
            f"filter values are a mapping of parameter name to value, not {describe(values)}", parameter="filter_values"
        )
    if limits.filter_values is not None and len(values) > limits.filter_values:
        raise FilterValuesError(
            f"{len(values)} filter values, but a request takes at most {limits.filter_values} (model: FilterValues)",
            parameter="filter_values",
            limit=limits.filter_values,
        )
    for name in values:
        check_name(name, limits=limits)
    return {name: encode(value, parameter=name, limits=limits) for name, value in values.items()}


def check_name(name: str, *, limits: Limits = _LIMITS) -> None:
    """Refuse a value that cannot be the name of a filter parameter.

    Args:
        name: The name, without ``$``: letters, digits and underscores (model: FilterAttributeName).
        limits: The limit on its length.

    Raises:
        FilterValuesError: With ``.parameter`` ``"filter_values"``.
    """
    if not isinstance(cast(object, name), str):
        problem = f"the name of a filter parameter is a str, not {describe(name)}"
    elif limits.filter_key_length is not None and len(name) > limits.filter_key_length:
        raise FilterValuesError(
            f"the name of a filter parameter has {len(name)} characters, at most {limits.filter_key_length} "
            "are allowed (model: FilterAttributeName)",
            parameter="filter_values",
            limit=limits.filter_key_length,
        )
    elif not limits.patterns or re.fullmatch(PARAMETER_NAME, name):
        return
    elif name.startswith("$") and re.fullmatch(PARAMETER_NAME, name[1:]):
        problem = f"write {name[1:]!r} instead of {name!r}: the $ belongs to the expression, not to the name"
    else:
        problem = f"{name!r} is no name of a filter parameter: letters A-Z, a-z, digits and underscores only"
    raise FilterValuesError(problem, parameter="filter_values")


def encode(value: FilterValue, *, parameter: str, limits: Limits = _LIMITS) -> str:
    """Encode one filter value in the service's form.

    Args:
        value: See the table of this module. An iterator is consumed.
        parameter: The name of the filter parameter, for error messages.
        limits: The limit on the length of the encoded value.

    Returns:
        The text for ``filterValues``: ``'"Comedy","Drama"'``, ``'1999'``.

    Raises:
        FilterValuesError: The value cannot be sent. The message says why and what to send instead, and shows only the
            kind and size of the value.
    """
    kind = type(value)
    if kind is str:
        text = _string(cast(str, value), parameter)
    elif (kind is list or kind is tuple) and _are_strings(cast("list[object]", value)):
        text = _joined(cast("list[str]", value), parameter)
    elif isinstance(value, RawFilterValue):
        text = value.text
    else:
        text = _scalar(value, parameter) or _collection(value, parameter, limits)
    limit = limits.filter_value_length
    if limit is not None and len(text) > limit:
        raise FilterValuesError(
            f"the filter value {parameter} takes {len(text):,} characters when encoded, at most {limit:,} can be sent "
            "(model: FilterAttributeValue): send fewer or shorter values",
            parameter=parameter,
            limit=limit,
        )
    return text


def _are_strings(values: Iterable[object]) -> bool:
    return set(map(type, values)) == {str}


def _string(value: str, parameter: str) -> str:
    if not value:
        _refuse(parameter, "is an empty str, which no field holds", LEAVE_OUT)
    if '"' in value:
        # With boto3, callers have to put the quotes into the value.
        written = re.fullmatch(_STRINGS, value)
        _refuse(
            parameter,
            f"is {describe(value)} that holds a double quote, for which the filter language has no escape",
            "write it without the quotes, which are added (several values as a list), or wrap it in RawFilterValue"
            if written
            else "rename the value in the dataset",
        )
    if not value.isascii() and _has_surrogate(value):
        _refuse(
            parameter, f"is {describe(value)} with an unpaired surrogate", "decode the text with the right encoding"
        )
    return f'"{value}"'


def _joined(values: list[str], parameter: str) -> str:
    text = '"' + '","'.join(values) + '"'
    if "" in values or text.count('"') != 2 * len(values) or not (text.isascii() or not _has_surrogate(text)):
        for position, value in enumerate(values):
            _string(value, f"{parameter}[{position}]")
    return text


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _scalar(value: Any, parameter: str) -> str:
    """Encode a scalar; the result is empty for any other value."""
    if isinstance(value, Enum):
        return encode(value.value, parameter=parameter, limits=_NO_LIMITS)
    if value is None or type(value).__name__ == "NAType":
        _refuse(parameter, f"is {value}, a missing value", LEAVE_OUT)
    if isinstance(value, bool):
        _refuse_bool(parameter)
    if isinstance(value, str):
        return _string(str.__str__(value), parameter)
    if isinstance(value, int):
        return _integer(value, parameter)
    if isinstance(value, float):
        return bare_digits(float.__repr__(value), parameter)
    text = _array_scalar(value, parameter) or _moment(value, parameter)
    if text:
        return text
    from decimal import Decimal

    if isinstance(value, Decimal):
        return bare_digits(str(value), parameter)
    if not isinstance(value, Iterable) and hasattr(cast(object, type(value)), "__index__"):
        return _integer(index(value), parameter)
    return ""


def _integer(value: int, parameter: str) -> str:
    try:
        return int.__repr__(value)
    except ValueError:
        pass
    _refuse(parameter, f"is an int of {value.bit_length():,} bits", "send a smaller number")


def bare_digits(text: str, parameter: str = "") -> str:
    """Convert ``repr`` of a float or ``str`` of a Decimal to canonical digits without an exponent.

    Raises:
        FilterValuesError: The number is not finite, or has more digits than Python reads.
    """
    parts = re.fullmatch(_SCIENTIFIC, text)
    if parts is None:
        _refuse(parameter, "is a number that is not finite (nan or infinity)", LEAVE_OUT)
    sign, whole, fraction, exponent = parts.groups(default="")
    digits = whole + fraction
    if not digits.strip("0"):
        return "0"
    point = len(whole) + int(exponent or 0)
    if max(point, len(digits) - point, len(digits)) > _MOST_DIGITS:
        _refuse(parameter, "is a number whose exponent is too large to be written out", "send fewer digits")
    digits = digits.rjust(len(digits) - point, "0") if point < 0 else digits.ljust(point, "0")
    point = max(point, 0)
    whole, fraction = digits[:point].lstrip("0"), digits[point:].rstrip("0")
    return f"{'-' if sign == '-' else ''}{whole or '0'}{'.' if fraction else ''}{fraction}"


def _moment(value: object, parameter: str) -> str:
    """Encode a datetime as Unix seconds; the result is empty for any other value."""
    from datetime import UTC, date, datetime, timedelta

    if isinstance(value, datetime):
        if type(value).__name__ == "NaTType":
            _refuse(parameter, "is NaT, a missing time", LEAVE_OUT)
        if value.utcoffset() is None:
            _refuse(parameter, "is a naive datetime", "give it a time zone (.replace(tzinfo=UTC))")
        return str((value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1))
    if isinstance(value, date):
        _refuse(
            parameter,
            "is a date, which begins at another moment in each time zone",
            "send an aware datetime (datetime.combine(day, time.min, tzinfo=UTC))",
        )
    return ""


def _array_scalar(value: Any, parameter: str) -> str:
    """Encode a scalar of NumPy or a similar library, without importing it; the result is empty for any other value."""
    if isinstance(value, type) or getattr(value, "ndim", None) != 0:
        return ""
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    if kind in ("i", "u"):
        return _integer(int(value), parameter)
    if kind == "f":
        return bare_digits(str(value), parameter)
    if kind == "U":
        return _string(str(value), parameter)
    if kind == "b":
        _refuse_bool(parameter)
    if kind == "M":
        _refuse(parameter, "is a datetime64, which has no time zone", "send an aware datetime or Unix seconds")
    # A 0-d object array or a tensor holds one value.
    item = value.item() if (kind is None or kind == "O") and callable(getattr(value, "item", None)) else None
    if isinstance(item, (str, int, float)):
        return _scalar(item, parameter)
    _refuse(parameter, f"is {describe(value)}", _ADVICE)


def _collection(value: object, parameter: str, limits: Limits) -> str:
    if _is_a(value, bytes, bytearray, memoryview):
        _refuse(parameter, f"is {describe(value)}", "decode it to a str")
    if _is_a(value, Mapping):
        _refuse(parameter, f"is {describe(value)}", "give each parameter its own value")
    if not _is_a(value, Iterable) or _is_a(value, type):
        _refuse(parameter, f"is {describe(value)}", _ADVICE)
    dimensions = getattr(value, "ndim", 1)
    if isinstance(dimensions, int) and dimensions > 1:
        _refuse(parameter, f"is {describe(value)}, with {dimensions} dimensions", "send one column or row")
    array: Any = value
    if getattr(getattr(value, "dtype", None), "kind", None) == "f" and hasattr(value, "to_numpy"):
        # Iterating over a pandas Series gives 64-bit floats even if it holds 32-bit ones.
        array = array.to_numpy()
    # An element takes at least one character and a comma, so an endless iterator can be cut off here.
    limit = limits.filter_value_length
    elements: tuple[object, ...] = tuple(islice(array, None if limit is None else limit // 2 + 2))
    if not elements:
        _refuse(parameter, "has no elements", LEAVE_OUT)
    texts = [_element(element, f"{parameter}[{position}]") for position, element in enumerate(elements)]
    quoted = texts[0].startswith('"')
    if any(text.startswith('"') is not quoted for text in texts):
        _refuse(parameter, f"is {describe(value)} that mixes str and numbers", "send one kind only")
    if isinstance(value, (set, frozenset)):
        texts.sort(key=None if quoted else read_number)
    return ",".join(texts)


def _element(value: Any, parameter: str) -> str:
    while isinstance(value, Enum):
        value = value.value
    text = _scalar(value, parameter)
    if text:
        return text
    if _is_a(value, Iterable) and not _is_a(value, bytes, bytearray, memoryview, Mapping):
        _refuse(parameter, f"is {describe(value)} inside a list", "send one flat list")
    _refuse(parameter, f"is {describe(value)}", _ADVICE)


def _is_a(value: object, *kinds: type) -> bool:
    # A function of its own, since isinstance() would narrow to types of unknown elements for type checkers.
    return isinstance(value, kinds)


def decode(text: str, *, parameter: str | None = None) -> str | int | Decimal | tuple[str | int | Decimal, ...]:
    """Decode a filter value from the service's form.

    White space around commas is accepted. A whole number becomes an ``int``, any other number a ``Decimal``
    without trailing zeros.

    Args:
        text: The encoded value, such as ``'"Comedy","Drama"'``.
        parameter: The name of the filter parameter, for error messages.

    Returns:
        The canonical form: one ``str``, ``int`` or ``Decimal``, or a tuple of two or more of one kind.

    Raises:
        FilterValuesError: The text is neither quoted strings nor bare numbers.
    """
    if not isinstance(cast(object, text), str):
        raise FilterValuesError(f"an encoded filter value is a str, not {describe(text)}", parameter=parameter)
    found: list[Any]
    if re.fullmatch(_STRINGS, text):
        found = re.findall(_STRING, text)
    elif re.fullmatch(_NUMBERS, text) and max(map(len, text.split(","))) <= _MOST_DIGITS:
        found = [read_number(number) for number in text.split(",")]
    else:
        raise FilterValuesError(
            f"the filter value {'' if parameter is None else f'of {parameter} '}({_length(text)}) is neither numbers "
            'nor strings in double quotes, joined by commas: write "Comedy","Drama" with the quotes inside the value',
            parameter=parameter,
        )
    return found[0] if len(found) == 1 else tuple(found)


def _length(text: str) -> str:
    return f"{len(text):,} character{'' if len(text) == 1 else 's'}"


def read_number(text: str) -> int | Decimal:
    """Read a number written in bare digits.

    Raises:
        FilterValuesError: The number has more digits than Python reads.
    """
    text = bare_digits(text.strip())
    if "." not in text:
        return int(text)
    from decimal import Decimal

    return Decimal(text)


LEAVE_OUT = "leave the parameter out"
_ADVICE = "send a str, a number, an aware datetime, or a list of one of these"


def _refuse(parameter: str, problem: str, advice: str) -> NoReturn:
    name, bracket, position = parameter.partition("[")
    place = f"element {position[:-1]} of {name}" if bracket else name
    raise FilterValuesError(f"the filter value {place} {problem}: {advice}", parameter=name)


def _refuse_bool(parameter: str) -> NoReturn:
    _refuse(
        parameter,
        "is a bool, and boolean fields cannot be filtered",
        'send "True" or "False" for a field of strings, 1 or 0 for one of numbers',
    )

"""Checks of arguments, each written once: what is refused, and in which words.

Every check takes the value and the name of its parameter, and raises :class:`~personalize_rt.errors.ValidationError`
with that name. Numbers are settings, so messages show them; of anything else they say kind and size.
:func:`validator` makes a validator of attrs from a check.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan
from numbers import Real
from typing import Any

import attrs

from personalize_rt.errors import ValidationError
from personalize_rt.redaction import describe, shown_number

__all__ = ["as_float", "ids", "listed", "number", "one_of", "seconds", "validator", "whole"]

Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def validator(check: Callable[..., object], **options: Any) -> Validator:
    """A validator of attrs that names the field.

    Args:
        check: A check of this module.
        options: More arguments of the check.
    """

    def validate(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
        check(value, field.name, **options)

    return validate


# Numbers.


def whole(value: Any, parameter: str, *, least: int = 1, note: str = "") -> int:
    """A whole number, and no ``bool``.

    Args:
        value: The argument.
        parameter: Its name.
        least: The smallest that is allowed.
        note: What else the message says of the numbers, such as ``", or None"``.

    Raises:
        ValidationError: It is something else; ``limit`` is ``least``.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValidationError(
            f"{parameter} must be a whole number from {least}{note}, not {shown_number(value)}",
            parameter=parameter,
            limit=least,
        )
    return value


def number(value: Any, parameter: str, wanted: str, holds: Callable[[float], bool]) -> float:
    """A real number of any library that a ``float`` can hold: no ``bool``, not NaN.

    Args:
        value: The argument.
        parameter: Its name.
        wanted: What it must be, for the message: ``"a number above 0"``.
        holds: Whether it is that.

    Raises:
        ValidationError: It is something else.
    """
    given = as_float(value)
    # An int beyond the range of floats is not the infinity that it becomes.
    if given is None or given != given or (given == inf and value != inf) or not holds(given):
        shown = value if given is None or isinstance(value, int | float) else given
        raise ValidationError(f"{parameter} must be {wanted}, not {shown_number(shown)}", parameter=parameter)
    return given


def seconds(value: Any, parameter: str, *, above_0: bool = False, finite: bool = False, note: str = "") -> float:
    """A number of seconds, 0 or more, as an ``int`` or a ``float``.

    Args:
        value: The argument.
        parameter: Its name.
        above_0: Whether 0 is refused.
        finite: Whether infinity is refused.
        note: What else the message says of the numbers, such as ``", or None"``.

    Raises:
        ValidationError: It is something else.
    """
    wanted = f"a{' finite' if finite else ''} number of seconds{' above 0' if above_0 else ', 0 or more'}{note}"

    def holds(given: float) -> bool:
        return (
            isinstance(value, int | float)  # others do not add up with those of a clock
            and (given > 0 if above_0 else given >= 0)
            and not (finite and given == inf)
        )

    number(value, parameter, wanted, holds)
    given: float = value
    return given


def as_float(value: Any) -> float | None:
    """A real number of any library as a ``float``; ``None`` for everything else, ``bool`` included."""
    # DynamoDB gives every number as a Decimal, which does not call itself a Real.
    if isinstance(value, bool) or not (isinstance(value, Real) or type(value).__name__ == "Decimal"):
        return None
    number: Any = value
    try:
        return float(number)
    except OverflowError:
        return inf if number > 0 else -inf
    except ValueError:  # a signalling NaN
        return nan


# Choices and lists.


def one_of(value: Any, parameter: str, *choices: str) -> None:
    """One of several texts.

    Raises:
        ValidationError: It is none of them.
    """
    if not isinstance(value, str) or value not in choices:
        *others, last = (f'"{choice}"' for choice in choices)
        named = f"{', '.join(others)} or {last}"
        raise ValidationError(f"{parameter} must be {named}, not {describe(value)}", parameter=parameter)


def listed(values: Any, parameter: str, what: str = "item ids", one: str = "item_id") -> list[Any]:
    """The elements of an iterable, or of a column of a frame; a text is no list of its characters.

    Args:
        values: The argument.
        parameter: Its name.
        what: The elements, for messages.
        one: One of them, likewise.

    Raises:
        ValidationError: It is a text, or no iterable.
    """
    if type(values).__module__ != "builtins":
        from personalize_rt.columns import as_ids

        values = as_ids(values, parameter)
    if isinstance(values, str | bytes):
        raise ValidationError(
            f"{parameter} is {describe(values)}: it takes a list of {what}; for a single one write [{one}]",
            parameter=parameter,
        )
    try:
        elements = iter(values)
    except TypeError:
        elements = None
    if elements is None:  # out of the handler, since the error in it may show the value
        raise ValidationError(f"{parameter} is {describe(values)}, not a list of {what}", parameter=parameter)
    return list(elements)


def ids(values: Any, parameter: str) -> tuple[str, ...]:
    """The ids of a list.

    Raises:
        ValidationError: It is a text, no iterable, or holds something else than texts.
    """
    found = listed(values, parameter)
    for place, id in enumerate(found):
        if not isinstance(id, str):
            raise ValidationError(
                f"{parameter}[{place}] is {describe(id)}, not a str; turn ids into text as the data set spells them",
                parameter=parameter,
            )
    return tuple(found)

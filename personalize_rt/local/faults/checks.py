"""Validators (attrs) of the parameters of faults, whose errors name the parameter."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs

from personalize_rt.errors import ValidationError
from personalize_rt.redaction import describe

__all__ = ["number", "one_of", "text", "whole"]

Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def text(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Refuse a text that cannot be in a header, such as one with a line break."""
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
        name = attribute.name
        raise ValidationError(f"{name} must be a str of plain characters, not {describe(value)}", parameter=name)


def number(*, positive: bool = False) -> Validator:
    """Make a validator of finite numbers of at least 0 (or above 0)."""

    def check(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        name = attribute.name
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise ValidationError(f"{name} must be a number, not {describe(value)}", parameter=name)
        if value < 0 or (positive and value == 0):
            raise ValidationError(f"{name} must be {'above 0' if positive else '0 or more'}", parameter=name)

    return check


def whole(least: int | None = None, most: int | None = None) -> Validator:
    """Make a validator of whole numbers within bounds."""

    def check(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        name = attribute.name
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValidationError(f"{name} must be a whole number, not {describe(value)}", parameter=name)
        if (least is not None and value < least) or (most is not None and value > most):
            bounds = f"from {least}" + (f" to {most}" if most is not None else "")
            raise ValidationError(f"{name} must be a whole number {bounds}", parameter=name, limit=most)

    return check


def one_of(*choices: str) -> Validator:
    """Make a validator of choices."""

    def check(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value not in choices:
            named = " or ".join(f'"{choice}"' for choice in choices)
            raise ValidationError(f"{attribute.name} must be {named}", parameter=attribute.name)

    return check

"""Saying what a value was without showing it. :mod:`personalize_rt.masking` takes values out of texts of others."""

from __future__ import annotations

from typing import Any

__all__ = ["describe", "shown_number"]


def describe(value: Any) -> str:
    """Kind and size of a value: ``"a str of 300 characters"``, ``"a list of 501 items"``, ``"an int"``."""
    if value is None:
        return "None"
    kind = type(value).__name__
    article = "an" if kind[0].lower() in "aeiou" else "a"
    if isinstance(value, str | bytes):
        return f"{article} {kind} of {_count(len(value), 'byte' if isinstance(value, bytes) else 'character')}"
    try:
        return f"{article} {kind} of {_count(len(value), 'item')}"
    except TypeError:  # it has no size
        return f"{article} {kind}"


def shown_number(value: Any) -> str:
    """A number as it is, for arguments that are settings and never personal; anything else as :func:`describe`."""
    return f"{value}" if isinstance(value, int | float) else describe(value)


def _count(number: int, unit: str) -> str:
    return f"{number:,} {unit}" if number == 1 else f"{number:,} {unit}s"

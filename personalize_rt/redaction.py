"""Saying what a value was without showing it, and taking values out of other people's texts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

__all__ = ["MASK", "describe", "mask", "shown_number"]

MASK = "***"

# Shorter values are masked as whole words only: a user called "a" must not blot out every "a" of a message.
_SHORT = 4


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


def mask(text: str, secrets: Iterable[str], shown: Iterable[str] = ()) -> str:
    """Replace every secret in a text by ``***``, as it is and as JSON would write it, whatever its case.

    Args:
        text: A message of somebody else, which may repeat what it was given.
        secrets: The values to hide; empty ones are passed over.
        shown: ARNs that may be shown, and are left whole: a user called "1" is not in ``eu-west-1``. What is no ARN is
            passed over, since it could be any word.
    """
    import json

    spellings = {secret for secret in secrets if secret}
    spellings |= {json.dumps(secret, ensure_ascii=ascii)[1:-1] for secret in spellings for ascii in (True, False)}
    if not spellings:
        return text
    # The longest first, so that a value inside another one does not leave the rest of it standing.
    alternatives = (
        re.escape(secret) if len(secret) >= _SHORT else rf"(?<!\w){re.escape(secret)}(?!\w)"
        for secret in sorted(spellings, key=len, reverse=True)
    )
    whole = [
        match.span()
        for arn in shown
        if arn.startswith("arn:")
        for match in re.finditer(rf"{re.escape(arn)}(?![\w-])", text, re.IGNORECASE)
    ]

    def masked(match: re.Match[str]) -> str:
        # A secret that is the ARN, or more than it, is hidden all the same.
        inside = any(
            start <= match.start() and match.end() <= end and match.span() != (start, end) for start, end in whole
        )
        return match[0] if inside else MASK

    return re.sub("|".join(alternatives), masked, text, flags=re.IGNORECASE)

"""Saying what a value was without showing it, and taking values out of other people's texts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, cast

__all__ = ["MASK", "describe", "describe_json", "mask", "mask_id", "shown_number", "without_logins"]

MASK = "***"

_RUN_OF_UUID = 8


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


def describe_json(value: Any) -> str:
    """Kind and size of a value as JSON calls them: ``"a string of 300 characters"``, ``"an array of 501 items"``."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return f"a string of {_count(len(value), 'character')}"
        case dict():
            return f"an object of {_count(len(cast('dict[str, Any]', value)), 'member')}"
        case _:
            return f"an array of {_count(len(value), 'item')}"


def shown_number(value: Any) -> str:
    """A number as it is, for arguments that are settings and never personal; anything else as :func:`describe`."""
    return f"{value}" if isinstance(value, int | float) else describe(value)


def _count(number: int, unit: str) -> str:
    return f"{number:,} {unit}" if number == 1 else f"{number:,} {unit}s"


def mask(text: str, secrets: Iterable[str], shown: Iterable[str] = (), *, run: int | None = None) -> str:
    """Replace by ``***`` every word of a text that has something in common with a value.

    :mod:`personalize_rt.masking` has the rule.

    Args:
        text: A message of somebody else, which may repeat what it was given.
        secrets: The values to hide; those of nothing but white space are passed over.
        shown: What stays whole: ARNs, item ids, names of parameters. A user called "1" is not in ``eu-west-1``.
        run: Characters in common from which on a word is hidden, by default four.
    """
    from personalize_rt.masking import parts_in_common  # its patterns take milliseconds to compile

    parts: list[str] = []
    done = 0
    for start, end in parts_in_common(text, secrets, shown, run):
        if start >= done:
            parts += text[done:start], MASK
        done = max(done, end)
    return "".join((*parts, text[done:]))


def mask_id(id: str, secrets: Iterable[str]) -> str:
    """An id that the service made up, without what it may have been made of.

    Args:
        id: The id; of a UUID, which AWS's are, eight characters in common are needed: four hexadecimal digits in a
            row are soon the same by chance.
        secrets: The values to hide.
    """
    secrets = list(secrets)
    if not re.fullmatch(_UUID, id):
        return mask(id, secrets)
    # Every call comes here, and hardly any id has something in common with a value.
    if not any(_may_share(value.lower(), id.lower()) for value in secrets if value):
        return id
    return mask(id, secrets, run=_RUN_OF_UUID)


# Texts, which are compiled when they are first used.
_UUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_OF_UUID = f"[0-9a-f-]{{{_RUN_OF_UUID}}}"
_ESCAPE = r"[%&\\]"


def _may_share(value: str, uuid: str) -> bool:
    if not value.isascii() or re.search(_ESCAPE, value) or value in uuid:
        return True
    return re.search(_OF_UUID, value) is not None and any(
        uuid[n : n + _RUN_OF_UUID] in value for n in range(len(uuid) - _RUN_OF_UUID + 1)
    )


def without_logins(text: str) -> str:
    """A text without the user names and passwords of URLs: nothing from the first ``://`` to the last ``@``."""
    if "@" not in text:
        return text
    # If it was not escaped as it should have been, a password may have any character in it.
    return re.sub(r"[^\s:@]+:[^\s@]*@", "", re.sub("://.*@", "://", text, flags=re.DOTALL))

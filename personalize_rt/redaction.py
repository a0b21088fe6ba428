"""Describing values without showing them, and masking values in foreign texts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, cast

__all__ = ["MASK", "describe", "describe_json", "mask", "mask_id", "shown_number", "without_logins"]

MASK = "***"

_RUN_OF_UUID = 8


def describe(value: Any) -> str:
    """The kind and size of a value: ``"a str of 300 characters"``, ``"a list of 501 items"``, ``"an int"``."""
    if value is None:
        return "None"
    kind = type(value).__name__
    article = "an" if kind[0].lower() in "aeiou" else "a"
    if isinstance(value, str | bytes | bytearray):
        return f"{article} {kind} of {_count(len(value), 'character' if isinstance(value, str) else 'byte')}"
    try:
        return f"{article} {kind} of {_count(len(value), 'item')}"
    except TypeError:  # it has no length
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
    """A number itself, for arguments that are settings and never personal; for other values :func:`describe`."""
    # Python writes no int of thousands of digits.
    if isinstance(value, float) or (isinstance(value, int) and value.bit_length() <= 64):
        return f"{value}"
    return describe(value)


def _count(number: int, unit: str) -> str:
    return f"{number:,} {unit}" if number == 1 else f"{number:,} {unit}s"


def mask(text: str, secrets: Iterable[str], shown: Iterable[str] = (), *, run: int | None = None) -> str:
    """Replace every word of a text that has something in common with a value by ``***``.

    See :mod:`personalize_rt.masking` for the rule.

    Args:
        text: A foreign message, which may repeat values.
        secrets: The values to hide; values of white space are ignored.
        shown: The texts to keep: ARNs, item ids, names of parameters. A user called "1" is not in ``eu-west-1``.
        run: The number of common characters from which on a word is hidden; by default four.
    """
    from personalize_rt.masking import parts_in_common  # takes milliseconds, to compile its patterns

    parts: list[str] = []
    done = 0
    for start, end in parts_in_common(text, secrets, shown, run):
        if start >= done:
            parts += text[done:start], MASK
        done = max(done, end)
    return "".join((*parts, text[done:]))


def mask_id(id: str, secrets: Iterable[str]) -> str:
    """Mask an id of the service, which might have been made from a value.

    Args:
        id: The id. In a UUID, the usual form at AWS, only eight common characters count, since four hexadecimal digits
            are often the same by chance.
        secrets: The values to hide.
    """
    secrets = list(secrets)
    if not _is_uuid(id):
        return mask(id, secrets)
    # A quick check, since it runs in every call and hardly any id has something in common with a value.
    uuid = id.lower()
    for value in secrets:
        if value and _may_share(value.lower(), uuid):
            return mask(id, secrets, run=_RUN_OF_UUID)
    return id


def _is_uuid(id: str) -> bool:
    if len(id) != 36 or id.strip("0123456789abcdefABCDEF-"):
        return False
    return id.count("-") == 4 and id[8] == id[13] == id[18] == id[23] == "-"


def _may_share(value: str, uuid: str) -> bool:
    if not value.isascii() or "%" in value or "&" in value or "\\" in value or value in uuid:
        return True
    return len(value) >= _RUN_OF_UUID and any(
        uuid[n : n + _RUN_OF_UUID] in value for n in range(len(uuid) - _RUN_OF_UUID + 1)
    )


def without_logins(text: str) -> str:
    """Remove the user names and passwords of URLs: everything from the first ``://`` to the last ``@``."""
    if "@" not in text:
        return text
    # Without proper escapes, a password may have any character.
    return re.sub(r"[^\s:@]+:[^\s@]*@", "", re.sub("://.*@", "://", text, flags=re.DOTALL))

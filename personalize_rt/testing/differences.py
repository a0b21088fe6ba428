"""Descriptions, for people, of where two requests differ: the member, the entry, the character."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any, cast

__all__ = ["Differences"]

_SHOWN = 60  # characters of a value
_AROUND = 20  # characters to show before and after the first difference in a long text
_PLAIN = 20  # length of texts whose difference is easy to see


class _Nothing:
    """A missing member."""


_NOTHING = _Nothing()


class Differences:
    """The differences between a request and a recorded one, both without personal values.

    Args:
        asked: The members of the request.
        recorded: The members of the recorded request.

    Attributes:
        size: The number of members that differ, then of values that differ, to compare. Many differences in one member
            are more likely to be a single change than differences in two members.
    """

    def __init__(self, asked: Mapping[str, Any], recorded: Mapping[str, Any]) -> None:
        parts = {name: (one, two) for name, one, two in _parts(dict(asked), dict(recorded)) or () if _count(one, two)}
        self._members = {name: _first(name, one, two) for name, (one, two) in parts.items()}
        self.size: tuple[int, int] = len(parts), sum(_count(one, two) for one, two in parts.values())

    def __contains__(self, member: str) -> bool:
        return member in self._members

    def __str__(self) -> str:
        return ", ".join(self._members.values())


def _parts(asked: Any, recorded: Any) -> list[tuple[str, Any, Any]] | None:
    """The parts of two objects or two lists, each with its name; ``None`` for other values."""
    if isinstance(asked, dict) and isinstance(recorded, dict):
        ours, theirs = cast("dict[str, Any]", asked), cast("dict[str, Any]", recorded)
        names = sorted({*ours, *theirs})
        return [(name, ours.get(name, _NOTHING), theirs.get(name, _NOTHING)) for name in names]
    if isinstance(asked, list) and isinstance(recorded, list):
        rows = zip_longest(cast("list[object]", asked), cast("list[object]", recorded), fillvalue=_NOTHING)
        return [(f"[{place}]", one, two) for place, (one, two) in enumerate(rows)]
    return None


def _count(asked: Any, recorded: Any) -> int:
    """The number of values that differ. 1, 1.0 and true are different values."""
    parts = _parts(asked, recorded)
    if parts is None:
        return int(type(asked) is not type(recorded) or asked != recorded)
    return sum(_count(one, two) for _, one, two in parts)


def _first(where: str, asked: Any, recorded: Any) -> str:
    """The first difference between two values that differ."""
    for name, one, two in _parts(asked, recorded) or ():
        if _count(one, two):
            return _first(where + name if name.startswith("[") else f"{where}.{name}", one, two)
    if not (isinstance(asked, str) and isinstance(recorded, str)) or min(len(asked), len(recorded)) <= _PLAIN:
        return f"{where} ({_shown(asked)} instead of {_shown(recorded)})"
    pairs = enumerate(zip(asked, recorded, strict=False))
    place = next((place for place, (one, two) in pairs if one != two), min(len(asked), len(recorded)))
    return (
        f"{where} ({_around(asked, place)} instead of {_around(recorded, place)}, which differ from character "
        f"{place + 1:,} on)"
    )


def _shown(value: Any) -> str:
    text = "nothing" if value is _NOTHING else json.dumps(value, sort_keys=True)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _around(text: str, place: int) -> str:
    """A text, or the part of a long one that begins shortly before a place."""
    if len(text) <= _SHOWN:
        return json.dumps(text)
    start, end = max(0, place - _AROUND), place + _AROUND
    return f"{'…' if start else ''}{json.dumps(text[start:end])}{'…' if end < len(text) else ''}"

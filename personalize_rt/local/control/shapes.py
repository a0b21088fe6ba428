"""Shapes of request members, as the model of ``personalize`` (2018-05-22) has them, and the check of a request.

Each operation that is answered describes its members with these. A test compares every description with botocore's
model, in both directions.
"""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any, cast

import attrs

from personalize_rt.local.engine import RefusedError

__all__ = ["Entries", "Flag", "Items", "Number", "Shape", "Structure", "Text", "Whole", "invalid"]


# A client of another language could not read a greater one in a reply ("integer" of Smithy).
_GREATEST = 2**31 - 1


def invalid(message: str) -> RefusedError:
    """An ``InvalidInputException``."""
    return RefusedError("InvalidInputException", message)


class Shape(ABC):
    """The shape of a value."""

    @abstractmethod
    def check(self, value: Any, path: str) -> None:
        """Check a value.

        Args:
            value: The value, as JSON.
            path: Its place in the request (``"tags[0].tagKey"``), for the message, which never shows the value.

        Raises:
            RefusedError: ``InvalidInputException``; the value does not have the shape.
        """


def _is_tag_text(text: str) -> bool:
    r"""Tell whether a text matches the model's ``[\p{L}\p{Z}\p{N}_.:/=+\-@]*``, of whose classes ``re`` knows none."""
    return all(unicodedata.category(char)[0] in "LZN" or char in "_.:/=+-@" for char in text)


# Patterns that Java's regular expressions have and Python's do not.
_FOREIGN: Mapping[str, Callable[[str], bool]] = {
    r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$": _is_tag_text,
    r"\p{ASCII}{0,1500}": str.isascii,
}


@attrs.frozen
class Text(Shape):
    """A string.

    Attributes:
        least: The fewest characters.
        most: The most characters, or ``None``.
        pattern: The regular expression that all of it matches, as the model writes it; or an empty string.
        choices: The only values; empty for any.
    """

    least: int = 0
    most: int | None = None
    pattern: str = ""
    choices: tuple[str, ...] = ()

    def check(self, value: Any, path: str) -> None:
        """Check a value."""
        if not isinstance(value, str):
            raise invalid(f"{path}: expected a string")
        if len(value) < self.least:
            raise invalid(f"{path}: expected at least {self.least} characters")
        if self.most is not None and len(value) > self.most:
            raise invalid(f"{path}: expected at most {self.most:,} characters, not {len(value):,}")
        if self.choices and value not in self.choices:
            raise invalid(f"{path}: expected one of {', '.join(self.choices)}")
        if self.pattern and not self._matches(value):
            raise invalid(f"{path}: expected text that matches {self.pattern}")

    def _matches(self, value: str) -> bool:
        foreign = _FOREIGN.get(self.pattern)
        # re.DOTALL is off, as it is in Java: no ARN has a line break.
        return foreign(value) if foreign else re.fullmatch(self.pattern, value, re.ASCII) is not None


@attrs.frozen
class Whole(Shape):
    """A whole number of 32 bits, as those of the model are.

    Attributes:
        least: The least, or ``None`` for the least of 32 bits.
        most: The greatest, or ``None`` for the greatest of 32 bits.
    """

    least: int | None
    most: int | None = None

    def check(self, value: Any, path: str) -> None:
        """Check a value."""
        if not isinstance(value, int) or isinstance(value, bool):
            raise invalid(f"{path}: expected a whole number")
        least = -_GREATEST - 1 if self.least is None else self.least
        if value < least:
            raise invalid(f"{path}: expected at least {least:,}")
        most = _GREATEST if self.most is None else self.most
        if value > most:
            raise invalid(f"{path}: expected at most {most:,}")


@attrs.frozen
class Number(Shape):
    """A number.

    Attributes:
        least: The least, or ``None``.
        most: The greatest, or ``None``.
    """

    least: float | None = None
    most: float | None = None

    def check(self, value: Any, path: str) -> None:
        """Check a value."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise invalid(f"{path}: expected a number")
        least, most = (-inf if self.least is None else self.least), (inf if self.most is None else self.most)
        if not least <= value <= most:
            raise invalid(f"{path}: expected a number from {least:g} to {most:g}")


@attrs.frozen
class Flag(Shape):
    """True or false."""

    def check(self, value: Any, path: str) -> None:
        """Check a value."""
        if not isinstance(value, bool):
            raise invalid(f"{path}: expected true or false")


@attrs.frozen
class Items(Shape):
    """A list.

    Attributes:
        of: The shape of its items.
        most: The most items, or ``None``.
    """

    of: Shape
    most: int | None = None

    def check(self, value: Any, path: str) -> None:
        """Check a value."""
        if not isinstance(value, list):
            raise invalid(f"{path}: expected a list")
        items = cast("Sequence[Any]", value)
        if self.most is not None and len(items) > self.most:
            raise invalid(f"{path}: expected at most {self.most} items, not {len(items)}")
        for number, item in enumerate(items):
            self.of.check(item, f"{path}[{number}]")


@attrs.frozen
class Entries(Shape):
    """A map.

    Attributes:
        key: The shape of its keys.
        value: The shape of its values.
        most: The most entries, or ``None``.
    """

    key: Shape
    value: Shape
    most: int | None = None

    def check(self, value: Any, path: str) -> None:
        """Check a value."""
        if not isinstance(value, dict):
            raise invalid(f"{path}: expected a map")
        entries = cast("dict[str, Any]", value)
        if self.most is not None and len(entries) > self.most:
            raise invalid(f"{path}: expected at most {self.most} entries, not {len(entries)}")
        for name, content in entries.items():
            self.key.check(name, f"{path}: a key")
            self.value.check(content, f"{path}[…]")


@attrs.frozen
class Structure(Shape):
    """Named members.

    Attributes:
        members: The shape of each.
        required: Those that may not be missing.
    """

    members: Mapping[str, Shape]
    required: tuple[str, ...] = ()

    def check(self, value: Any, path: str) -> None:
        """Check a value."""
        if not isinstance(value, dict):
            raise invalid(f"{path}: expected an object")
        self.read(cast("dict[str, Any]", value), f"{path}.")

    def read(self, value: Mapping[str, Any], path: str = "") -> dict[str, Any]:
        """Check members, of which a null one counts as absent, as SDKs have it.

        Returns:
            The members that are there.

        Raises:
            RefusedError: ``InvalidInputException``; a member is missing, unknown, or has another shape.
        """
        given = {name: content for name, content in value.items() if content is not None}
        for name in self.required:
            if name not in given:
                raise invalid(f"{path}{name} is missing")
        for name, content in given.items():
            shape = self.members.get(name)
            if shape is None:
                # The caller's own text, which may be anything.
                shown = name if name.isascii() and name.isalnum() and len(name) <= 64 else "a member"
                raise invalid(f"{path}{shown}: there is no such member; there are {', '.join(self.members) or 'none'}")
            shape.check(content, f"{path}{name}")
        return given

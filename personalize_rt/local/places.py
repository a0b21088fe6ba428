"""Places of values in TOML and JSON, which the parsers of the standard library do not tell.

:func:`excess` finds, before anything is parsed, what such a parser cannot stand. Places are looked for only in text
that the parser has accepted, and only when something in it is wrong. All of it takes time linear in the length.
``docs/decisions/0009-places-in-settings-and-schemas.md`` says what this is worth.
"""

from __future__ import annotations

import json
import re
import tomllib
from bisect import bisect_left
from collections.abc import Callable
from functools import cached_property

import attrs

__all__ = ["Path", "Places", "Source", "excess", "places_in_json", "places_in_toml"]

Path = tuple[str | int, ...]
"""The names and indexes that lead to a value: ``("campaigns", "x")``, ``("fields", 1, "name")``."""

# The most levels of brackets, parts of a dotted key, and digits of a number; no settings and no schema need more.
# Python's parsers recurse for each level, take quadratic time in the number of parts, and refuse 4,300 digits.
_DEEPEST = 32
_LONGEST_NUMBER = 400

_SPACE = re.compile(r"(?:\s++|#[^\n]*+)*+")
_QUOTED = (
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    # Not the first two of three quotes, if those begin a string that does not end.
    r'|"(?!"")(?:\\.|[^"\\\n]++)*+"'
    r"|'(?!'')[^'\n]*'"
)
_TEXT = re.compile(_QUOTED, re.DOTALL)
_PIECE = re.compile(
    rf"(?P<text>{_QUOTED})|(?P<comment>#[^\n]*)|(?P<open>[\[{{])|(?P<close>[\]}}])|(?P<word>[\w+-]+)|(?P<dot>\.)"
    r"|(?P<end>[=:,\n])|(?P<broken>[\"'])",
    re.DOTALL,
)
_BARE = re.compile(r"[\w-]+", re.ASCII)
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_RELATION = re.compile(r"\s*[=:]")
_SCALAR = re.compile(r"[^,\]}\n#]*")


def excess(text: str) -> tuple[str, int] | None:
    """Find the first part of TOML or JSON that is too deep or too long for a parser: the expectation, and its offset.

    In text that is not valid, the result is reliable up to the first part that the parser will refuse.
    """
    depth = dots = 0
    for piece in _PIECE.finditer(text):
        kind, start = piece.lastgroup, piece.start()
        if kind == "open":
            depth += 1
        elif kind == "close":
            depth -= 1
        elif kind == "dot":
            dots += 1
        elif kind == "broken":
            return None
        elif kind == "word" and piece.end() - start > _LONGEST_NUMBER and piece[0].lstrip("+-")[:1].isdecimal():
            return f"expected numbers of at most {_LONGEST_NUMBER} digits", start
        if depth > _DEEPEST:
            return f"expected at most {_DEEPEST} levels of brackets", start
        if dots >= _DEEPEST:
            return f"expected keys of at most {_DEEPEST} parts", start
        if kind not in ("dot", "word", "text"):
            dots = 0
    return None


class Places(dict[Path, int]):
    """The offset of the beginning of each key or element.

    Attributes:
        ends: The offset of the end of its value; for a heading, of the heading.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ends: dict[Path, int] = {}


def places_in_toml(text: str) -> Places:
    """Find the places of keys and tables; of a repeated one, the first place."""
    scanner = _Scanner(text, lambda quoted: next(iter(tomllib.loads(f"{quoted} = 0"))))
    scanner.toml()
    return scanner.places


def places_in_json(text: str) -> Places:
    """Find the places of names and of elements of lists."""
    scanner = _Scanner(text, json.loads)
    scanner.value(())
    return scanner.places


class _Scanner:
    """Finds places in valid text without :func:`excess`, so it needs no checks."""

    def __init__(self, text: str, unquote: Callable[[str], str]) -> None:
        self.places = Places()
        self._text = text
        self._unquote = unquote
        self._at = 0

    def toml(self) -> None:
        table: Path = ()
        while first := self._next():
            if first == "[":
                self._at += 2 if self._text.startswith("[[", self._at) else 1
                self._next()
                table, starts = self._key(())
                self._keep(table, starts)
                self._at = self._text.index("]", self._at) + 1
                self._at += self._text.startswith("]", self._at)
            else:
                self._pair(table)

    def value(self, path: Path) -> None:
        first = self._next()
        if first == "{":
            self._at += 1
            while self._next() != "}":
                self._pair(path)
                self._at += self._next() == ","
            self._at += 1
        elif first == "[":
            self._at += 1
            index = 0
            while self._next() != "]":
                start = self._at
                self.value((*path, index))
                self._keep((*path, index), [start])
                self._at += self._next() == ","
                index += 1
            self._at += 1
        elif not self._take(_TEXT):
            self._take(_SCALAR)

    def _pair(self, path: Path) -> None:
        path, starts = self._key(path)
        self._take(_RELATION)
        self.value(path)
        self._keep(path, starts)

    def _key(self, path: Path) -> tuple[Path, list[int]]:
        """Read a (dotted) key; return the path extended by it, and its parts' offsets."""
        starts: list[int] = []
        while True:
            starts.append(self._at)
            quoted = self._take(_TEXT)
            path = (*path, self._unquote(quoted) if quoted else self._take(_BARE))
            if not self._take(_DOT):
                return path, starts

    def _keep(self, path: Path, starts: list[int]) -> None:
        """Store the starts of the last parts of a path, and the current offset as their end."""
        for length, start in enumerate(starts, len(path) - len(starts) + 1):
            if self.places.setdefault(path[:length], start) == start:
                self.places.ends[path[:length]] = self._at

    def _next(self) -> str:
        """Skip white space and comments; return the next character, or an empty string at the end."""
        self._take(_SPACE)
        return self._text[self._at : self._at + 1]

    def _take(self, form: re.Pattern[str]) -> str:
        found = form.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return found[0] if found else ""


@attrs.frozen(slots=False)
class Source:
    """A text, and its file.

    Attributes:
        file: The file's name.
        text: The text.
        around: The part of the file before the text.
        read: Finds the places in the text; called on first use.
    """

    file: str
    text: str = attrs.field(repr=False)
    around: str = attrs.field(default="", repr=False)
    read: Callable[[str], Places] = attrs.field(default=places_in_json, kw_only=True, repr=False)

    @cached_property
    def _places(self) -> Places:
        return self.read(self.text)

    @cached_property
    def _breaks(self) -> list[int]:
        """The offsets of the line breaks in the file."""
        return [found.start() for found in re.finditer("\n", self.around + self.text)]

    def at(self, offset: int) -> tuple[int, int]:
        """Convert an offset in the text to line and column in the file, from 1."""
        offset += len(self.around)
        line = bisect_left(self._breaks, offset)
        return line + 1, offset - (self._breaks[line - 1] if line else -1)

    def span(self, *path: str | int) -> tuple[int, int] | None:
        """The start (key included) and end of the value at a path; if it is missing, those of its parent."""
        beginnings = (path[:length] for length in range(len(path), 0, -1))
        return next(
            ((self._places[part], self._places.ends[part]) for part in beginnings if part in self._places), None
        )

"""Where things stand in TOML and JSON: the parsers of the standard library tell values, and not their places.

Only for text that such a parser has accepted, and only when something in it is wrong.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping

import attrs

__all__ = ["Path", "Source", "places_in_json", "places_in_toml"]

Path = tuple[str | int, ...]
"""The names and indexes that lead to a value: ``("campaigns", "x")``, ``("fields", 1, "name")``."""

_SPACE = re.compile(r"(?:\s|#[^\n]*)*")
_TEXT = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_BARE = re.compile(r"[\w-]+", re.ASCII)
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_RELATION = re.compile(r"\s*[=:]")
_SCALAR = re.compile(r"[^,\]}\n#]*")


@attrs.frozen
class Source:
    """A text, and the file in which it stands.

    Attributes:
        file: The file's name.
        text: The text.
        around: What stands in the file before the text.
    """

    file: str
    text: str = attrs.field(repr=False)
    around: str = attrs.field(default="", repr=False)

    def at(self, offset: int) -> tuple[int, int]:
        """Line and column of a place in the text, from 1."""
        before = self.around + self.text[:offset]
        return before.count("\n") + 1, len(before) - before.rfind("\n")


def places_in_toml(text: str) -> Mapping[Path, int]:
    """The offset of each key and table; of one that is there more than once, the first."""
    scanner = _Scanner(text, lambda quoted: next(iter(tomllib.loads(f"{quoted} = 0"))))
    scanner.toml()
    return scanner.places


def places_in_json(text: str) -> Mapping[Path, int]:
    """The offset of each name and of each element of a list."""
    scanner = _Scanner(text, json.loads)
    scanner.value(())
    return scanner.places


class _Scanner:
    """Walks over text that is known to be valid, so that it need not look twice."""

    def __init__(self, text: str, unquote: Callable[[str], str]) -> None:
        self.places: dict[Path, int] = {}
        self._text = text
        self._unquote = unquote
        self._at = 0

    def toml(self) -> None:
        table: Path = ()
        while self._next():
            if self._next() == "[":
                self._at += 2 if self._text.startswith("[[", self._at) else 1
                self._next()
                table = self._key(())
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
                self.places.setdefault((*path, index), self._at)
                self.value((*path, index))
                self._at += self._next() == ","
                index += 1
            self._at += 1
        elif not self._take(_TEXT):
            self._take(_SCALAR)

    def _pair(self, path: Path) -> None:
        path = self._key(path)
        self._take(_RELATION)
        self.value(path)

    def _key(self, path: Path) -> Path:
        """The path with a key behind it, whose parts may have dots between them."""
        while True:
            start = self._at
            quoted = self._take(_TEXT)
            path = (*path, self._unquote(quoted) if quoted else self._take(_BARE))
            self.places.setdefault(path, start)
            if not self._take(_DOT):
                return path

    def _next(self) -> str:
        """The next character that says something; nothing at the end."""
        self._take(_SPACE)
        return self._text[self._at : self._at + 1]

    def _take(self, form: re.Pattern[str]) -> str:
        found = form.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return found[0] if found else ""

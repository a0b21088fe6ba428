"""What is wrong with a data directory: every problem at once, each with its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import attrs

from personalize_rt.errors import PersonalizeError

__all__ = ["LocalDataError", "Problem"]

# Rows of one column that are listed one by one; a wrong column of a million rows is one mistake, not a million.
_LISTED = 10


@attrs.frozen
class Problem:
    """One thing that is wrong in a file.

    Attributes:
        file: The file's name in the data directory.
        message: What was expected, and what was found. Of a value only kind and size are told, except for item and
            action ids.
        line: The line, from 1, or ``None`` when the file as a whole is meant.
        column: In a CSV the name of the column; in TOML and JSON the character of the line, from 1; or ``None``.
    """

    file: str
    message: str
    line: int | None = None
    column: str | int | None = None

    def __str__(self) -> str:
        line = "" if self.line is None else f", line {self.line}"
        column = "" if self.column is None else f", column {self.column}"
        return f"{self.file}{line}{column}: {self.message}"


class LocalDataError(PersonalizeError):
    """A data directory that cannot be loaded.

    Args:
        directory: The directory, as it was given.
        problems: All that is wrong.
    """

    def __init__(self, directory: str, problems: Iterable[Problem]) -> None:
        self.directory = directory
        self.problems: tuple[Problem, ...] = tuple(problems)
        # A problem may have lines of its own, such as a caret under an expression.
        lines = "".join("\n  " + str(problem).replace("\n", "\n  ") for problem in self.problems)
        super().__init__(f"cannot load {directory}:{lines}")


@attrs.define(repr=False)
class Problems:
    """Collects the problems of one directory."""

    found: list[Problem] = attrs.field(factory=list[Problem], init=False)
    _rows: Counter[tuple[str, str | None]] = attrs.field(factory=Counter[tuple[str, str | None]], init=False)

    def add(self, file: str, message: str, *, line: int | None = None, column: str | int | None = None) -> None:
        """Note a problem of a file, or of one place in it."""
        self.found.append(Problem(file, message, line, column))

    def add_row(self, file: str, message: str, *, line: int, column: str | None = None) -> None:
        """Note a problem of one row; after the first ten of a column they are only counted."""
        self._rows[file, column] += 1
        if self._rows[file, column] <= _LISTED:
            self.add(file, message, line=line, column=column)

    def raise_if_any(self, directory: str) -> None:
        """Raise all that was noted.

        Raises:
            LocalDataError: Something was noted.
        """
        for (file, column), rows in self._rows.items():
            if rows > _LISTED:
                self.add(file, f"… and {rows - _LISTED:,} more rows with such a problem", column=column)
        if self.found:
            raise LocalDataError(directory, self.found)

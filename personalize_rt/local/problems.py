"""The problems of a data directory, all reported at once, each with its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import attrs

from personalize_rt.errors import PersonalizeError

__all__ = ["LocalDataError", "LocalDataWarning", "Problem", "Problems"]

# The most problems of one file, and rows of one column, to list: a wrong column of a million rows is one mistake.
_LISTED = 100
_ROWS_LISTED = 10
# The most characters of a message, and of a column's name, since both may have names of any length.
_LONGEST = 2000
_LONGEST_NAME = 100


@attrs.frozen
class Problem:
    """One problem in a file.

    Attributes:
        file: The file's name in the data directory.
        message: The expectation, and what was found: only kind and size of a value, except for item and action ids.
        line: The line, from 1, or ``None`` for the whole file.
        column: In a CSV the name of the column; in TOML and JSON the character in the line, from 1; or ``None``.
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
    """A data directory cannot be loaded.

    Args:
        directory: The directory, as it was given.
        problems: The problems; at most 100 for one file, and 10 rows for one column of a CSV.
    """

    def __init__(self, directory: str, problems: Iterable[Problem]) -> None:
        self.directory = directory
        self.problems: tuple[Problem, ...] = tuple(problems)
        # A message may have several lines, such as one with a caret under an expression.
        lines = "".join("\n  " + str(problem).replace("\n", "\n  ") for problem in self.problems)
        super().__init__(f"cannot load {directory}:{lines}")


class LocalDataWarning(UserWarning):
    """A part of a data directory that was left out or put right, as an import job would do."""


@attrs.define(repr=False)
class Problems:
    """Collects the problems of one directory.

    Attributes:
        strict: Whether what would be a warning is a problem.
        found: The problems.
        warnings: What was left out or put right.
    """

    strict: bool = False
    found: list[Problem] = attrs.field(factory=list[Problem], init=False)
    warnings: list[Problem] = attrs.field(factory=list[Problem], init=False)
    _of_file: Counter[str] = attrs.field(factory=Counter[str], init=False)
    _rows: Counter[tuple[str, str | None]] = attrs.field(factory=Counter[tuple[str, str | None]], init=False)

    def add(self, file: str, message: str, *, line: int | None = None, column: str | int | None = None) -> None:
        """Add a problem of a file, or of one place in it. After a hundred for a file, only note that there are more."""
        self._of_file[file] += 1
        if self.full(file):
            return
        if isinstance(column, str):
            column = _shortened(column, _LONGEST_NAME)
        self.found.append(Problem(file, _shortened(message, _LONGEST), line, column))

    def add_row(self, file: str, message: str, *, line: int, column: str | None = None) -> None:
        """Add a problem of one row. After the first ten of a column, only count them."""
        self._rows[file, column] += 1
        if self._rows[file, column] <= _ROWS_LISTED:
            self.add(file, message, line=line, column=column)

    def warn(
        self, file: str, expected: str, done: str, *, line: int | None = None, column: str | int | None = None
    ) -> None:
        """Note what was expected, and what was done instead; a problem when strict. After a hundred, nothing more."""
        if self.strict:
            self.add(file, expected, line=line, column=column)
        elif len(self.warnings) < _LISTED:
            column = _shortened(column, _LONGEST_NAME) if isinstance(column, str) else column
            self.warnings.append(Problem(file, _shortened(f"{expected}; {done}", _LONGEST), line, column))

    def full(self, file: str) -> bool:
        """Tell whether no more problems of a file will be listed, so that checks may stop."""
        return self._of_file[file] > _LISTED

    def raise_if_any(self, directory: str) -> None:
        """Raise the problems.

        Raises:
            LocalDataError: There are problems.
        """
        for (file, column), rows in self._rows.items():
            if rows > _ROWS_LISTED:
                self.add(file, f"… and {rows - _ROWS_LISTED:,} more rows with such a problem", column=column)
        for file in filter(self.full, self._of_file):
            self.found.append(Problem(file, f"… and more problems: these are the first {_LISTED}"))
        if self.found:
            raise LocalDataError(directory, self.found)


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"

"""A file of the finished requests of a run, to resume from."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, cast

from personalize_rt.errors import ValidationError
from personalize_rt.files import replace_file
from personalize_rt.redaction import describe

__all__ = ["Checkpoint"]

VERSION = 1
# The most bytes of a checkpoint. Positions beyond the first gap are those of a run's window, a few thousand at most.
# Larger files are refused, so that no file takes more than some hundred MB of memory.
_LARGEST = 8 << 20


class Checkpoint:
    """The positions of finished requests: all up to one, and some beyond.

    Args:
        path: The file, which is read if it exists.

    Raises:
        ValidationError: The file is not a checkpoint, or cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        given: Any = path
        if not isinstance(given, str | os.PathLike):
            raise ValidationError(f"checkpoint is {describe(given)}, not a str or a path", parameter="checkpoint")
        self.path: Path = Path(path)
        self._before = 0
        self._beyond: set[int] = set()
        self._changed = False
        try:
            with open(self.path, "rb") as file:
                content = file.read(_LARGEST + 1)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:  # ValueError: a path with a null character
            raise self._unreadable(getattr(error, "strerror", None) or "it is no path of a file") from None
        if len(content) > _LARGEST:
            raise self._unreadable(f"it is larger than {_LARGEST:,} bytes, so no run has written it")
        try:
            state: Any = json.loads(content)
            (version,) = _numbers([state["version"]], VERSION)
            if version == VERSION:
                (self._before,) = _numbers([state["before"]], 0)
                self._beyond = _numbers(state["beyond"], self._before + 1)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise self._unreadable("it is not what a run has written") from None
        if version != VERSION:
            raise self._unreadable("it is of a newer version of personalize-rt")

    def _unreadable(self, why: str) -> ValidationError:
        return ValidationError(f"checkpoint {self.path} cannot be read: {why}", parameter="checkpoint")

    @property
    def count(self) -> int:
        """The number of finished requests."""
        return self._before + len(self._beyond)

    def has(self, position: int) -> bool:
        """Tell whether a request is finished."""
        return position < self._before or position in self._beyond

    def add(self, position: int) -> None:
        """Note that a request is finished."""
        self._changed = True
        if position != self._before:
            self._beyond.add(position)
            return
        self._before += 1
        while self._before in self._beyond:
            self._beyond.remove(self._before)
            self._before += 1

    def save(self) -> None:
        """Write the file, completely or not at all.

        Raises:
            OSError: The file cannot be written.
        """
        if self._changed:
            state = {"version": VERSION, "before": self._before, "beyond": sorted(self._beyond)}
            replace_file(self.path, lambda file: file.write((json.dumps(state) + "\n").encode()))
            self._changed = False

    def remove(self) -> None:
        """Remove the file, since all requests are finished."""
        self._changed = False
        self.path.unlink(missing_ok=True)


def _numbers(values: Any, lowest: int) -> set[int]:
    """Check a list of numbers, and convert it to a set.

    Raises:
        ValueError: It is not a list of whole numbers of at least ``lowest``.
    """
    numbers = cast("list[int]", values)
    if type(values) is not list or set(map(type, numbers)) - {int} or min(numbers, default=lowest) < lowest:
        raise ValueError("not a list of such numbers")
    return set(numbers)

"""What was done, in a file, so that a run that stopped can go on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from personalize_rt.bulk.disk import replace_file
from personalize_rt.errors import ValidationError

__all__ = ["Checkpoint"]

VERSION = 1


class Checkpoint:
    """Positions of requests whose outcome was handed on and dealt with: all up to one, and some beyond.

    Args:
        path: The file. It is read now, if it is there.

    Raises:
        ValidationError: The file is not a checkpoint, or cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Path = Path(path)
        self._before = 0
        self._beyond: set[int] = set()
        self._changed = False
        try:
            text = self.path.read_text("utf-8")
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            raise self._unreadable(getattr(error, "strerror", None) or "it is not UTF-8") from None
        try:
            state: Any = json.loads(text)
            if state["version"] != VERSION:
                raise self._unreadable(f"it is of version {state['version']}")
            self._before, self._beyond = int(state["before"]), set(map(int, state["beyond"]))
        except (ValueError, KeyError, TypeError):
            raise self._unreadable("it is not what a run has written") from None

    def _unreadable(self, why: str) -> ValidationError:
        return ValidationError(f"checkpoint {self.path} cannot be read: {why}", parameter="checkpoint")

    @property
    def count(self) -> int:
        """How many are done."""
        return self._before + len(self._beyond)

    def has(self, position: int) -> bool:
        """Whether a request is done."""
        return position < self._before or position in self._beyond

    def add(self, position: int) -> None:
        """A request is done."""
        self._changed = True
        if position != self._before:
            self._beyond.add(position)
            return
        self._before += 1
        while self._before in self._beyond:
            self._beyond.remove(self._before)
            self._before += 1

    def save(self) -> None:
        """Write the file anew, as a whole or not at all.

        Raises:
            OSError: It cannot be written.
        """
        if self._changed:
            state = {"version": VERSION, "before": self._before, "beyond": sorted(self._beyond)}
            replace_file(self.path, (json.dumps(state) + "\n").encode())
            self._changed = False

    def remove(self) -> None:
        """All is done: the next run begins anew."""
        self._changed = False
        self.path.unlink(missing_ok=True)

"""A directory of state: a journal of what requests have changed, and the datasets that they have imported.

``journal`` is a segment (:mod:`personalize_rt.segments`) of JSON objects; each dataset is a segment of its own, of the
frames of :mod:`personalize_rt.local.control.packing`. Both begin with their version. A record is passed to the
operating system before the request is answered: a killed process loses nothing that it has answered, a machine without
power may. A record that was cut off was answered to nobody, and is dropped; any other damage is an error, and nothing
is changed. One process has the directory at a time. Files can be read by their owner only.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from personalize_rt import forks
from personalize_rt.errors import PersonalizeError
from personalize_rt.files import StrPath
from personalize_rt.local.control.packing import PackingError, pack, unpack
from personalize_rt.local.datasets import EventLog, Table
from personalize_rt.segments import Form, Segment, open_directory

__all__ = ["LocalStateError", "State"]

_LONGEST = 8 << 20
_JOURNAL = Form("state", 1, _LONGEST)
_DATASET = Form("dataset", 1, _LONGEST)
_NAME = re.compile(r"(\d{1,9})\.dataset")


class LocalStateError(PersonalizeError):
    """A directory of state that cannot be used.

    Args:
        message: The directory, the reason, and what to do.
    """


class State:
    """An open directory of state. Safe to share between threads; a forked child has it no more.

    Args:
        directory: The directory. It is created if its parent exists.

    Attributes:
        directory: The directory.
        records: The records that were there.
        is_torn: Whether the last record was cut off, and dropped.

    Raises:
        ValidationError: It is a link, no directory, of another user, or others may write in it.
        LocalStateError: Another process has it open, or it is damaged, or of another version.
    """

    _lock = forks.lock()

    def __init__(self, directory: StrPath) -> None:
        self.directory: Path = Path(directory)
        self.records: list[dict[str, Any]] = []
        self.is_torn: bool = False
        self._journal: Segment | None = None
        self._folder = open_directory(self.directory, "state")
        self._locked = -1
        try:
            self._locked = self._folder.open_lock("lock")
            self._take_lock()
            self._next = 1 + max(
                (int(found[1]) for found in map(_NAME.fullmatch, self._folder.names()) if found), default=0
            )
            self._open()
        except OSError as error:
            self.close()
            raise self._error(f"cannot be used: {error.strerror or type(error).__name__}") from None
        except BaseException:
            self.close()
            raise
        forks.in_child(self, State._leave)

    def _take_lock(self) -> None:
        import fcntl  # not available on every system

        try:
            fcntl.flock(self._locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._error("is in use by another process: stop that, or name another directory") from None

    def _open(self) -> None:
        try:
            file = self._folder.open("journal", "r+b", buffering=0)
        except FileNotFoundError:
            self._journal = self._new("journal", _JOURNAL)
            return
        journal, contents, self.is_torn = self._read("journal", file, _JOURNAL)
        self._journal = journal
        try:
            self.records = [json.loads(content) for content in contents]
        except ValueError:
            raise self._damaged("journal") from None
        journal.cut()

    def _new(self, name: str, form: Form) -> Segment:
        file = self._folder.open(name, "x+b", buffering=0)
        try:
            return Segment.create(name, file, form)
        except BaseException:
            self._folder.unlink(name)
            file.close()
            raise

    def _read(self, name: str, file: Any, form: Form) -> tuple[Segment, list[bytes], bool]:
        try:
            problem = form.problem_of(os.pread(file.fileno(), form.begin, 0), "cannot be used")
            if problem is not None:
                raise LocalStateError(f"{self.directory / name} {problem}")
            segment = Segment.of(name, file, form)
            if segment is None:  # killed when it was made
                if name != "journal":
                    raise self._damaged(name)
                os.ftruncate(file.fileno(), 0)
                return Segment.create(name, file, form), [], True
            found = [*segment.read()]
            segment.pending.clear()
            if segment.is_damaged:
                raise self._damaged(name)
            return segment, [content for _, content in found], segment.is_torn
        except BaseException:
            file.close()
            raise

    def _damaged(self, name: str) -> LocalStateError:
        return LocalStateError(
            f"{self.directory / name} is damaged, and nothing was changed: put a copy in the place of "
            f"{self.directory}, or move that away and begin anew"
        )

    def _error(self, problem: str) -> LocalStateError:
        return LocalStateError(f"{self.directory} {problem}")

    # Writing.

    def append(self, record: Mapping[str, Any]) -> None:
        """Write a record. When this returns, it survives the end of the process.

        Raises:
            LocalStateError: It cannot be written; nothing was.
        """
        content = json.dumps(record, separators=(",", ":")).encode()
        with self._lock:
            if self._journal is None:
                return
            try:
                self._journal.pending.discard(self._journal.append(content))
            except OSError as error:
                raise self._error(f"cannot be written: {error.strerror or type(error).__name__}") from None

    def store(self, held: EventLog | Table) -> str:
        """Write a dataset.

        Returns:
            Its name, for records.

        Raises:
            LocalStateError: It cannot be written; nothing was.
        """
        with self._lock:
            if self._journal is None:
                return ""
            name, self._next = f"{self._next}.dataset", self._next + 1
        try:
            with contextlib.ExitStack() as undo:
                segment = self._new(name, _DATASET)
                undo.callback(self._folder.unlink, name)
                with segment.file:
                    for frame in pack(held):
                        segment.append(frame)
                undo.pop_all()
        except OSError as error:
            raise self._error(f"cannot be written: {error.strerror or type(error).__name__}") from None
        return name

    def dataset(self, name: str) -> EventLog | Table:
        """Read a dataset.

        Raises:
            LocalStateError: It is missing or damaged.
        """
        try:
            if not _NAME.fullmatch(name):
                raise self._damaged("journal")
            segment, frames, _ = self._read(name, self._folder.open(name, "r+b", buffering=0), _DATASET)
            segment.file.close()
            return unpack(frames)
        except PackingError:
            raise self._damaged(name) from None
        except OSError as error:
            raise self._error(f"has no {name} any more: {error.strerror or type(error).__name__}") from None

    def reread(self) -> list[dict[str, Any]]:
        """The records that are there by now."""
        segment, contents, _ = self._read("journal", self._folder.open("journal", "r+b", buffering=0), _JOURNAL)
        segment.file.close()
        return [json.loads(content) for content in contents]

    def rewrite(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Put other records in the place of all, as a whole or not at all, and remove the datasets that none names."""
        kept: set[str] = set()
        with self._lock:
            self._folder.unlink("journal.new")
            new = self._new("journal.new", _JOURNAL)
            for record in records:
                kept.add(record.get("data", ""))
                new.pending.discard(new.append(json.dumps(record, separators=(",", ":")).encode()))
            os.fsync(new.file.fileno())
            self._folder.rename("journal.new", "journal")
            before, self._journal = self._journal, new
            if before is not None:
                before.leave()
        for name in self._datasets():
            if name not in kept:
                self._folder.unlink(name)

    def _datasets(self) -> Iterator[str]:
        return (name for name in self._folder.names() if _NAME.fullmatch(name))

    # The end.

    def close(self) -> None:
        """Close all files, so that another process may have the directory. Safe to call twice."""
        self._leave()
        self._folder.close()

    def _leave(self) -> None:
        # Without unlocking, in a child too: closing its copy of a descriptor leaves the lock to the parent.
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.leave()
        locked, self._locked = self._locked, -1
        if locked >= 0:
            os.close(locked)

"""A spool: records in files of one directory, which survive the process that wrote them.

A directory may be shared by processes. Each writes segments of its own, ``TIME-RANDOM.spool``, and holds an exclusive
lock (``flock``) on each for as long as it lives. A segment without a holder was left by a process that ended, and
belongs to the first that locks it; if that one ends too, to the next. Nothing is waited for.

The form of a segment is that of ``personalize_rt.segments``. When all of its records are done, it is emptied if it
is the open one, otherwise removed.

A record is passed to the operating system before :meth:`Spool.append` returns. It is not synced to the disk: a killed
process loses nothing, a machine without power may. So may an acknowledgement, and its record comes back: what is sent
twice has to count once.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TypeAlias

from personalize_rt import forks
from personalize_rt.errors import PersonalizeError
from personalize_rt.files import StrPath
from personalize_rt.segments import Form, Segment, open_directory

__all__ = ["Mark", "Spool", "SpoolError", "SpoolFullError"]

# Bytes of a segment, and of all files of a directory.
SEGMENT = 1 << 20
TOTAL = 64 << 20
# The longest record in bytes. It bounds how much is read for each mark in a damaged segment.
LONGEST = 64 << 10

_NAME = re.compile(r"\d{20,}-[0-9a-f]{8}\.(spool|damaged)")
_FORM = Form("spool", 1, LONGEST)
_BEGIN = _FORM.begin

_log = logging.getLogger("personalize_rt")


class SpoolError(PersonalizeError):
    """A record that could not be written to the spool.

    Args:
        message: The directory, the reason, and what to do.
    """


class SpoolFullError(SpoolError):
    """A record for which the spool, or the disk, has no room.

    Args:
        message: The directory, the reason, and what to do.
    """


# A plain tuple, which is made in a fifth of the time of a named one.
Mark: TypeAlias = tuple[Segment, int]
"""A record of a spool in this process: its segment, and its position there."""


class Spool:
    """Records on the disk until they are done, for the threads of one process; other processes may share the directory.

    Files can be read by their owner only: they hold what the records hold. A forked child opens segments of its own,
    and leaves the records of its parent to the parent.

    Args:
        directory: The directory of the files. It is created if its parent exists.
        segment_bytes: Bytes of a segment.
        total_bytes: Bytes of all files in the directory. Processes that share it may exceed it by one segment each.

    Attributes:
        directory: The directory.
        torn: The number of segments whose last record was cut off when its process was killed; its ``append`` had not
            returned. Such a record is dropped.
        set_aside: Files that were left alone or renamed, by name, with the reason. Each was logged as a warning too.

    Raises:
        ValidationError: The directory is a link, no directory, of another user, or others may write in it; its parent
            is not there; or the system has no such locks (Windows).
        SpoolError: No file can be created in it.
    """

    _lock = forks.lock()
    _ends = forks.lock()  # taken before the other one, by what closes files or writes without that

    def __init__(self, directory: StrPath, *, segment_bytes: int = SEGMENT, total_bytes: int = TOTAL) -> None:
        self.directory: Path = Path(directory)
        self.torn: int = 0
        self.set_aside: dict[str, str] = {}
        self._segment_bytes = segment_bytes
        self._total_bytes = total_bytes
        self._segments: set[Segment] = set()
        self._current: Segment | None = None
        self._is_closed = False
        try:
            self._folder = open_directory(self.directory, "spool")
            forks.in_child(self, Spool._leave)
            # A segment now, so that a directory that cannot be used is found at the start of a program.
            try:
                with contextlib.suppress(SpoolFullError):
                    self._current = self._create()
            except BaseException:
                self._folder.close()
                raise
        except OSError as error:
            raise self._error(error) from None

    # Writing.

    def append(self, record: bytes) -> Mark:
        """Write a record. When this returns, it survives the end of the process.

        Args:
            record: At most 65,536 bytes.

        Raises:
            SpoolFullError: The directory has reached ``total_bytes``, or the disk is full. Nothing was written.
            SpoolError: It cannot be written, is too long, or the spool is closed.
        """
        if len(record) > LONGEST:
            raise SpoolError(f"a record of {len(record):,} bytes is too long for a spool, which takes {LONGEST:,}")
        with self._lock:
            try:
                segment = self._current
                if segment is None or not segment.has_room(len(record), self._segment_bytes):
                    full, segment = segment, self._create()
                    self._current = segment
                    if full is not None and full.is_over:
                        self._remove(full)
                return segment, segment.append(record)
            except OSError as error:
                raise self._error(error) from None

    def _create(self) -> Segment:
        if self._is_closed:
            raise SpoolError(f"the spool in {self.directory} is closed")
        used = sum(self._size(name) for name in self._folder.names() if _NAME.fullmatch(name))
        if used + self._segment_bytes > self._total_bytes:
            raise SpoolFullError(
                f"{self.directory} holds {used:,} bytes, and has no room for another segment of "
                f"{self._segment_bytes:,}: its limit is {self._total_bytes:,} bytes"
            )
        while True:
            name = f"{time.time_ns():020}-{os.urandom(4).hex()}.spool"
            file = self._folder.open(name, "x+b", buffering=0)
            try:
                # Until it is locked, another process takes it for an empty one that was left, and removes it.
                if self._take_lock(file, name):
                    segment = Segment.create(name, file, _FORM)
                    self._segments.add(segment)
                    return segment
            except BaseException:
                with contextlib.suppress(OSError):
                    self._folder.unlink(name)
                file.close()
                raise
            file.close()

    def _size(self, name: str) -> int:
        try:
            return self._folder.stat(name).st_size
        except FileNotFoundError:  # done meanwhile
            return 0

    def _take_lock(self, file: IO[Any], name: str) -> bool:
        """Lock a file, unless another process holds it or has removed it."""
        import fcntl  # not available on every system

        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.path.samestat(os.fstat(file.fileno()), self._folder.stat(name))
        except (BlockingIOError, FileNotFoundError):
            return False

    # Done.

    def done(self, marks: Iterable[Mark]) -> None:
        """Acknowledge records, which are not recovered any more. A mark that was done before is passed over.

        An acknowledgement that cannot be written is not an error: its record comes back in another process.

        Args:
            marks: Records of :meth:`append` or :meth:`recovered`. Those of a parent process are passed over.
        """
        done: dict[Segment, list[int]] = {}
        given = tuple(marks)  # before the locks, which an iterator of recovered() takes too
        with self._ends:
            with self._lock:
                for segment, position in given:
                    if position in segment.pending:
                        segment.pending.remove(position)
                        done.setdefault(segment, []).append(position)
                for segment in [segment for segment in done if segment.is_over]:
                    del done[segment]
                    with contextlib.suppress(OSError):
                        if segment is self._current:
                            segment.empty()
                        else:
                            self._remove(segment)
            # Without the lock of append(): after each system call, a thread may wait for the interpreter.
            for segment, positions in done.items():
                with contextlib.suppress(OSError):
                    segment.acknowledge(positions)

    def _remove(self, segment: Segment) -> None:
        """Remove a segment without pending records; a damaged one gets another name, for a person to look at."""
        self._segments.discard(segment)
        try:
            if segment.is_damaged:
                self._folder.rename(segment.name, segment.name.replace(".spool", ".damaged"))
            else:
                self._folder.unlink(segment.name)
        finally:
            segment.leave()  # after that, so that nobody else takes it

    # Recovery.

    def recovered(self) -> Iterator[tuple[Mark, bytes]]:
        """Claim and read what processes that ended have left, oldest segment first.

        A segment is claimed when its first record is asked for. It may be called again, for what was left since.

        Yields:
            The mark of a record, to be given to :meth:`done`, and the record.

        Raises:
            SpoolError: The directory cannot be read. A file that cannot be is set aside.
        """
        try:
            names = [] if self._is_closed else self._folder.names()
        except OSError as error:
            raise self._error(error) from None
        for name in sorted(name for name in names if name.endswith(".spool") and _NAME.fullmatch(name)):
            if self._is_closed:
                return
            try:
                claimed = self._claim(name)
            except FileNotFoundError:  # done meanwhile
                continue
            except OSError as error:
                self._set_aside(name, f"cannot be read: {_why(error)}")
                continue
            if claimed is None:
                continue
            segment, records = claimed
            for position, record in records:
                if segment.file.closed:  # the spool was closed, or this is a child
                    return
                yield (segment, position), record
            self._is_read(segment)

    def _is_read(self, segment: Segment) -> None:
        with self._ends, self._lock:
            self.torn += segment.is_torn
            if segment.is_damaged:
                self._set_aside(
                    segment.name,
                    "is damaged: its whole records are taken, and it is kept under the name *.damaged after that",
                )
            if segment.is_over and segment in self._segments:
                with contextlib.suppress(OSError):
                    self._remove(segment)

    def _claim(self, name: str) -> tuple[Segment, Iterator[tuple[int, bytes]]] | None:
        """Lock and read a segment; ``None`` if another process has it, or there is nothing to be done with it."""
        status = self._folder.stat(name)
        if not stat.S_ISREG(status.st_mode):
            self._set_aside(name, "is a link or no file, and was left alone")
            return None
        if status.st_size > self._total_bytes:
            self._set_aside(name, "is larger than the whole spool may be, and was left alone")
            return None
        with self._folder.open(name, "rb") as there:  # which leaves the permissions as they are
            problem = _FORM.problem_of(there.read(_BEGIN), "was left alone")
        if problem is not None:
            self._set_aside(name, problem)
            return None
        file = self._folder.open(name, "r+b", buffering=0)
        try:
            if not self._take_lock(file, name):
                file.close()
                return None
            segment = Segment.of(name, file, _FORM)
            if segment is None:  # its process was killed before the first record
                self._folder.unlink(name)
                file.close()
                return None
            records = segment.read()
        except BaseException:
            file.close()
            raise
        with self._lock:
            self._segments.add(segment)
        return segment, records

    def _set_aside(self, name: str, reason: str) -> None:
        if self.set_aside.get(name) != reason:
            self.set_aside[name] = reason
            _log.warning("The spool file %s %s", self.directory / name, reason)

    # The end.

    def close(self) -> None:
        """Close all files; segments with records that are not done stay for another process. Safe to call twice."""
        with self._ends, self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            for segment in tuple(self._segments):
                if segment.is_over:
                    with contextlib.suppress(OSError):
                        self._remove(segment)
            self._leave()
            self._folder.close()

    def _leave(self) -> None:
        # Without unlocking, in a child too: closing its copy of a descriptor leaves the lock to the parent.
        segments, self._segments, self._current = self._segments, set(), None
        for segment in segments:
            segment.leave()

    def _error(self, error: OSError) -> SpoolError:
        kind = SpoolFullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else SpoolError
        return kind(f"cannot write in {self.directory}: {_why(error)}")


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__

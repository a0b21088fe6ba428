"""Files of records that survive the process that wrote them, for the spool of a tracker and for a directory of state.

A segment is a header (text with the version, then a random seed) and frames: a byte that says whether the record is
done, three bytes that mark a frame, length and checksum (4 bytes each, little-endian), and the record. The checksum
depends on the seed, so no record can contain something that passes for a frame. A record is done when its first byte is
overwritten in place.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Never
from zlib import crc32

import attrs

from personalize_rt.errors import ValidationError
from personalize_rt.files import Folder, restrict

__all__ = ["Form", "Segment", "open_directory"]

_OWNER = 0o700

# Seconds between two looks at whether the open segment was removed by somebody.
_LOOKS = 0.1
_SEED = struct.Struct("<I")
_FRAME = struct.Struct("<c3sII")
# They differ in every bit, and so does no text.
_PENDING, _DONE = b"\x5a", b"\xa5"
_MARK = b"\xf5\xfa\xff"


@attrs.frozen
class Form:
    """A kind of segments.

    Attributes:
        name: Its name in the header.
        version: The version of its content.
        longest: The longest record in bytes. It bounds how much is read for each mark in a damaged segment.
    """

    name: str
    version: int
    longest: int

    @property
    def header(self) -> bytes:
        """The text at the beginning of a file."""
        return f"personalize-rt {self.name} {self.version}\n".encode()

    @property
    def begin(self) -> int:
        """The place of the first record in a file."""
        return len(self.header) + _SEED.size

    def problem_of(self, beginning: bytes, fate: str) -> str | None:
        """The reason why a file is none of this form, by its first bytes; ``None`` if it may be one.

        Args:
            beginning: The first bytes.
            fate: The rest of the sentence, on what becomes of such a file.
        """
        header = self.header
        if beginning[: len(header)] == header[: len(beginning)]:
            return None
        version = re.match(rb"personalize-rt %s (\d{1,9})\n" % self.name.encode(), beginning)
        if version is None:
            return f"was not written by a {self.name}, and {fate}"
        return (
            f"is of version {int(version[1])}, which this release does not know, and {fate}: start the release that "
            "wrote it, or remove it"
        )


class Segment:
    """A locked file with frames.

    Attributes:
        pending: Positions of the records that are not done. Positions go on after the segment is emptied, so that a
            mark stays of one record.
        is_damaged: Whether a part of it could not be read.
        is_torn: Whether its last record was cut off.
        is_read: Whether all of its records are known.
    """

    def __init__(self, name: str, file: IO[Any], form: Form, seed: int) -> None:
        self._form = form
        self.name: str = name
        self.file: IO[Any] = file
        self.pending: set[int] = set()
        self.is_damaged: bool = False
        self.is_torn: bool = False
        self.is_read: bool = True
        self._seed = seed
        self._handle: int = file.fileno()
        self._end = form.begin
        self._base = 0  # a position, less its offset in the file
        self._seen_at = time.monotonic()

    @classmethod
    def create(cls, name: str, file: IO[Any], form: Form) -> Segment:
        """Begin a segment in an empty file."""
        seed = os.urandom(_SEED.size)
        file.write(form.header + seed)
        return cls(name, file, form, *_SEED.unpack(seed))

    @classmethod
    def of(cls, name: str, file: IO[Any], form: Form) -> Segment | None:
        """The segment of a file with a header of that form; ``None`` if it was never written to its end."""
        header = os.pread(file.fileno(), form.begin, 0)
        return (
            cls(name, file, form, *_SEED.unpack_from(header, len(form.header))) if len(header) == form.begin else None
        )

    def has_room(self, size: int, most: int) -> bool:
        """Tell whether a record fits, and the file had a name a moment ago: somebody may have removed it."""
        if self._end - self._base + _FRAME.size + size > most:
            return False
        now = time.monotonic()
        if now - self._seen_at < _LOOKS:  # a system call for each record costs a page as much as writing it
            return True
        self._seen_at = now
        return os.fstat(self._handle).st_nlink > 0

    def append(self, record: bytes) -> int:
        """Append a record, and return its position."""
        position = self._end
        offset = position - self._base
        size = len(record)
        frame = _FRAME.pack(_PENDING, _MARK, size, crc32(record, self._seed ^ size)) + record
        try:
            written = os.pwrite(self._handle, frame, offset)
            while written < len(frame):
                written += os.pwrite(self._handle, frame[written:], offset + written)
            self.pending.add(position)
            self._end = position + written
        except BaseException:  # a full disk, or Ctrl-C
            self.pending.discard(position)
            self._end = position
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, offset)
            raise
        return position

    def read(self) -> Iterator[tuple[int, bytes]]:
        """Read the whole file now, and find the records in it that are not done one by one.

        Records wait to be done from the moment at which they are found, and the segment until ``is_read``. What is
        appended after that follows the last whole record.
        """
        self.is_read = False
        return self._found(os.pread(self._handle, os.fstat(self._handle).st_size, 0))

    def _found(self, content: bytes) -> Iterator[tuple[int, bytes]]:
        position = self._form.begin
        while position < len(content):
            end = self._end_of(content, position)
            if end is None:
                after = self._next(content, position)
                if after is None:
                    break
                self.is_damaged = True
                position = after
                continue
            if content[position : position + 1] != _DONE:
                self.pending.add(position)
                yield position, content[position + _FRAME.size : end]
            position = end
        self._end = position
        rest = content[position:]
        if not self._is_cut_off(rest):
            self.is_damaged = True
        self.is_torn = bool(rest) and not self.is_damaged
        self.is_read = True

    def cut(self) -> None:
        """Remove what follows the last whole record, after :meth:`read`."""
        os.ftruncate(self._handle, self._end - self._base)

    def _end_of(self, content: bytes, position: int) -> int | None:
        """The end of a whole frame; ``None`` if there is none at that position."""
        if position + _FRAME.size > len(content):
            return None
        _, mark, size, checksum = _FRAME.unpack_from(content, position)
        begin = position + _FRAME.size
        end = begin + size
        if mark != _MARK or size > self._form.longest or end > len(content):
            return None
        return end if crc32(memoryview(content)[begin:end], self._seed ^ size) == checksum else None

    def _next(self, content: bytes, position: int) -> int | None:
        """The position of the next whole frame."""
        # After the first byte of a frame comes its mark.
        while (found := content.find(_MARK, position + 2)) >= 0:
            position = found - 1
            if self._end_of(content, position) is not None:
                return position
        return None

    def _is_cut_off(self, rest: bytes) -> bool:
        """Tell whether the end of a file is a part of one frame, or was never written."""
        if len(rest) < _FRAME.size:
            return rest[1:4] == _MARK[: len(rest[1:4])] or not rest.strip(b"\0")
        _, mark, size, _ = _FRAME.unpack_from(rest)
        return (mark == _MARK and len(rest) - _FRAME.size < size <= self._form.longest) or not rest.strip(b"\0")

    @property
    def is_over(self) -> bool:
        """``True`` once nothing in it is left to be done."""
        return self.is_read and not self.pending

    def acknowledge(self, positions: Iterable[int]) -> None:
        """Overwrite the first byte of frames."""
        for position in positions:
            os.pwrite(self._handle, _DONE, position - self._base)

    def empty(self) -> None:
        """Remove all frames from the file."""
        os.ftruncate(self._handle, self._form.begin)
        self._base = self._end - self._form.begin

    def leave(self) -> None:
        """Close the file and forget its records, which stay there. In a child, the lock remains the parent's."""
        self.pending.clear()
        self.file.close()


def open_directory(directory: Path, option: str) -> Folder:
    """Open a directory that only its owner may write in. It is created if its parent exists.

    Args:
        directory: The directory.
        option: The name of the argument that named it, for messages.

    Raises:
        ValidationError: It is a link, no directory, of another user, or others may write in it; its parent is not
            there; or the system has no files that can be locked (Windows).
        OSError: It cannot be opened.
    """
    is_new = False
    if os.stat not in os.supports_dir_fd:
        _refuse(
            option,
            f"{option}= needs Linux or macOS, whose files can be locked: on Windows, use its subsystem for Linux, or "
            "leave it out",
        )
    try:
        directory.mkdir(_OWNER)
        is_new = True
    except FileExistsError:
        pass
    except FileNotFoundError:
        _refuse(option, f"there is no directory {directory.parent}: make it, or name another one as {option}=")
    try:
        folder = Folder(directory)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            _refuse(option, f"{directory} is a link or no directory: name another one as {option}=")
        raise
    try:
        if is_new:
            restrict(folder.handle, _OWNER)
        elif not folder.is_mine(f".{os.urandom(4).hex()}.new"):
            _refuse(option, f"{directory} belongs to another user: as {option}=, name one in it, which is created")
        elif os.fstat(folder.handle).st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            _refuse(
                option,
                f"others may write in {directory}: as {option}=, name one in it, which is created, or take that "
                "permission away (chmod go-w)",
            )
    except BaseException:
        folder.close()
        raise
    return folder


def _refuse(option: str, problem: str) -> Never:
    raise ValidationError(problem, parameter=option)

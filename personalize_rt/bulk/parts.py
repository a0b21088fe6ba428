"""The output of a job while it is written: parts beside the final file, which appears when it is whole.

``OUT.parts/`` holds, until the end of a job that writes ``OUT``:

* ``job.json``: of which input and which arguments it is the output. A directory with content that lacks it belongs to
  somebody else, and is refused;
* ``lock``: locked by the process that is at work;
* ``part-FROM-TO.jsonl``: the lines of the rows ``FROM`` up to ``TO``, whole and on the disk, with ``.failed.json``
  beside it: how many of them failed, and how;
* ``open-FROM.jsonl``: the part that is being written. Each line is handed to the operating system as soon as it is
  there, and is on the disk a second later. After a crash a torn last line is cut off, and its row asked again;
* ``whole``: the output while it is put together;
* ``complete``: all rows are there, and by which size and time the output is known to be made of them.

Lines stand in the order of the rows, so their number says which rows are done: none is there twice.

When the output has its name, the parts go first, then ``complete``, ``job.json`` and ``lock``, each only when those
before it are gone from the disk. So a crash at any step leaves a directory that is known to be ours, and an output that
is known to be whole. Only these names are removed.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import stat
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple, Never

from personalize_rt.bulk.lines import DONE
from personalize_rt.errors import PersonalizeError, ValidationError
from personalize_rt.files import EVERYBODY, Folder, create_file, place, sync_directory

__all__ = ["Parts", "StorageError"]

VERSION = 2
# A part is closed after so many lines or bytes.
ROWS = 10_000
BYTES = 64 << 20
# Seconds between two times that the open part is put on the disk.
SYNC_EVERY = 1.0

_JOB, _LOCK, _MARK, _WHOLE = "job.json", "lock", "complete", "whole"
_CLOSED = re.compile(r"part-(\d{12,})-(\d{12,})\.jsonl")
_OWN = re.compile(
    r"(job\.json|complete)(\.new)?|lock|whole|open-\d{12,}\.jsonl|part-\d{12,}-\d{12,}\.(jsonl|failed\.json(\.new)?)"
)
# What a crash may leave before there is a job.json, and after it is gone.
_BARE = frozenset({_LOCK, f"{_JOB}.new"})

Writer = Callable[[Iterator[bytes], IO[bytes]], None]


class StorageError(PersonalizeError):
    """The output of a job cannot be written.

    Args:
        message: Which file, why, and how to go on.
    """


class _Part(NamedTuple):
    first: int
    end: int
    name: str


class Parts:
    """The parts of one output, locked against a second job.

    Args:
        output: The final file.
        job: What the output is of; another one is refused.
        resume: Whether an earlier job may have left parts, or the output.

    Attributes:
        directory: The directory of the parts.
        is_settled: Whether the output is there, and no row is missing in it that the parts have: there is nothing to
            do but :meth:`remove`.
        is_complete: Whether an earlier process had all rows, and may have written the file of failures too.
        rows: The rows that are there.
        failed: Those of them that failed, by the class of their error.

    Raises:
        ValidationError: There is an output that is not of these parts; or parts, and ``resume`` is false, or they are
            of another job, or another process writes them; or the directory belongs to somebody else.
        StorageError: They cannot be written.
    """

    def __init__(self, output: Path, job: Mapping[str, Any], *, resume: bool) -> None:
        self.output = output
        self.directory: Path = output.with_name(f"{output.name}.parts")
        self.is_settled: bool = False
        self.is_complete: bool = False
        self.rows: int = 0
        self.failed: Counter[str] = Counter()
        self._job = dict(job) | {"version": VERSION}
        self._first = 0
        self._rows_in_part = self._bytes_in_part = 0
        self._failed_in_part: Counter[str] = Counter()
        self._folder: Folder | None = None
        self._file: Any = None
        self._lock: int | None = None
        self._synced = 0.0
        try:
            with self._writing(self.directory):
                self._open(resume=resume)
        except BaseException:
            self.close()
            raise

    # What is there.

    def _open(self, *, resume: bool) -> None:
        is_there = self.output.exists()
        if self.output.is_symlink() and not is_there:
            _refuse(f"{self.output} is a symbolic link to a file that is not there: name another one, or remove it")
        if is_there and not (resume and os.path.lexists(self.directory)):
            self._refuse_output()
        is_new = False
        try:
            if not is_there:
                self.directory.mkdir(0o700)
                is_new = True
        except FileExistsError:
            pass
        except FileNotFoundError:
            _refuse(f"there is no directory {self.output.parent}")
        problem = self._open_folder()
        if problem is not None:
            if not is_there:
                _refuse(f"{self.directory} {problem}: name another output")
            self.close()
            self.is_settled = True  # by a job that removed its parts
            return
        if not (is_new or resume):
            _refuse(
                f"{self.directory} is there: a job was stopped before its end. Go on with it (resume=True), or remove "
                "that directory"
            )
        self._take_lock()
        if not _is_mine(self._there):
            _refuse(f"{self.directory} belongs to another user: name another output")
        with contextlib.suppress(OSError):  # a file system without permissions
            os.fchmod(self._there.handle, 0o700)
        # Another process may have ended since.
        if self.output.exists():
            if not resume:
                self.remove()
                self._refuse_output()
            self.is_settled = self._has_nothing_to_add()
            if not self.is_settled:
                self._refuse_output(f", and {self.directory} has rows that it may lack")
            return
        self._check_job()
        self._recover()

    def _refuse_output(self, more: str = "") -> Never:
        _refuse(f"{self.output} is there already{more}: name another one, or remove it")

    @property
    def _there(self) -> Folder:
        assert self._folder is not None
        return self._folder

    def _open_folder(self) -> str | None:
        """Open the directory if it is one of ours, without changing anything; else say what it is."""
        if self.directory.is_symlink():
            return "is a symbolic link"
        try:
            self._folder = folder = Folder(self.directory)
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                return "is no directory"
            if error.errno == errno.ENOENT:
                return "is not there any more"
            raise
        foreign = "was not made by such a job"
        names = folder.names()
        for name in filter(_OWN.fullmatch, names):
            with contextlib.suppress(FileNotFoundError):  # of another process, which ends
                if not stat.S_ISREG(folder.stat(name).st_mode):
                    return f"has {name}, which is a link or no file"
        if _JOB in names:
            if not _is_job(folder.read(_JOB), self._job):
                return foreign
        elif not _BARE.issuperset(names):
            return foreign
        return None

    def _take_lock(self) -> None:
        import fcntl  # not on every system, and of bulk work only files need it

        try:
            self._lock = self._there.open_lock(_LOCK)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # It may be locked because the process that had it has ended, and removed it.
            is_free = os.path.samestat(os.fstat(self._lock), self._there.stat(_LOCK))
        except (BlockingIOError, FileNotFoundError):
            is_free = False
        if not is_free:
            _refuse(f"another process is at work on {self.output}")

    def _mark(self) -> dict[str, Any] | None:
        """The content of ``complete``; ``None`` when it is not there."""
        text = self._there.read(_MARK)
        return None if text is None else _members(text)

    def _has_nothing_to_add(self) -> bool:
        """Looks for rows that the output may lack: it was not made of these parts, and they have some."""
        mark = self._mark()
        if mark is not None and mark.items() >= _known_by(os.stat(self.output)).items():
            return True
        files = (name for name in self._there.names() if name.endswith(".jsonl") and _OWN.fullmatch(name))
        return not any(self._there.stat(name).st_size for name in files)

    def _check_job(self) -> None:
        text = self._there.read(_JOB)
        if text is None:
            self._there.replace(_JOB, (json.dumps(self._job, indent=1) + "\n").encode())
            return
        there = _members(text)
        changed = [name for name in self._job if there.get(name) != self._job[name]]
        if changed:
            raise ValidationError(
                f"{self.directory} is of another job: {', '.join(changed)} changed since. Go on with what it was, or "
                "remove that directory and begin anew",
                parameter="resume",
            )

    def _recover(self) -> None:
        """Find out how far the last job came, and cut off what it tore."""
        end = 0
        for part in self._closed():
            if part.first != end:
                self._refuse_parts(f"lacks rows {end:,} to {part.first:,}")
            end = part.end
            self.failed += self._failed_of(part)
        self.rows = self._first = end
        mark = self._mark()
        if mark is not None:
            if mark.get("rows") != end:
                self._refuse_parts(f"lacks rows after {end:,}")
            self.is_complete = True
            return
        whole = 0
        with contextlib.suppress(FileNotFoundError), self._there.open(self._open_name(), "rb") as file:
            for line in file:
                if not (line.endswith(b"\n") and _is_whole(line)):
                    break
                whole += len(line)
                self._count(line[:-1])
        self._file = self._open_part()
        self._file.truncate(whole)

    def _refuse_parts(self, problem: str) -> Never:
        raise ValidationError(f"{self.directory} {problem}: remove it and begin anew", parameter="resume")

    def _closed(self) -> list[_Part]:
        matches = map(_CLOSED.fullmatch, self._there.names())
        return sorted(_Part(int(match[1]), int(match[2]), match[0]) for match in matches if match)

    def _open_name(self) -> str:
        return f"open-{self._first:012}.jsonl"

    def _open_part(self) -> IO[Any]:
        # Without a buffer: a line that was written is out of this process.
        return self._there.open(self._open_name(), "ab", buffering=0)

    def _failed_of(self, part: _Part) -> Counter[str]:
        counts = _members(self._there.read(_counts_name(part.name)) or b"")
        if counts.keys() == {"failed"} and isinstance(counts["failed"], dict):
            failed: dict[str, Any] = counts["failed"]  # pyright: ignore[reportUnknownVariableType]
            if all(type(count) is int for count in failed.values()):
                return Counter(failed)
        counter: Counter[str] = Counter()
        with self._there.open(part.name, "rb") as file:
            for line in file:
                if line.endswith(DONE + b"\n"):
                    continue
                if not _is_whole(line):
                    self._refuse_parts(f"has {part.name}, which no job has written like that")
                counter[_error_of(line)] += 1
        return counter

    # Writing.

    def append(self, line: bytes) -> None:
        """The line of the next row, without its end.

        Raises:
            StorageError: It cannot be written; what was before it is kept.
        """
        text = line + b"\n"
        with self._writing(self.directory / self._open_name()):
            try:
                self._write(text)
            except OSError:
                # What was written of it, if any, must not stand before the next line.
                with contextlib.suppress(OSError):
                    self._file.truncate(self._bytes_in_part)
                raise
            self._count(line)
            now = time.monotonic()
            if now - self._synced >= SYNC_EVERY:
                os.fdatasync(self._file.fileno())
                self._synced = now
            if self._rows_in_part >= ROWS or self._bytes_in_part >= BYTES:
                self._close_part()
                self._file = self._open_part()

    def _write(self, text: bytes) -> None:
        view = memoryview(text)
        while view:
            view = view[self._file.write(view) :]

    def _count(self, line: bytes) -> None:
        self.rows += 1
        self._rows_in_part += 1
        self._bytes_in_part += len(line) + 1
        if not line.endswith(DONE):
            error = _error_of(line)
            self.failed[error] += 1
            self._failed_in_part[error] += 1

    def _close_part(self) -> None:
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = None
        if self._rows_in_part:
            closed = f"part-{self._first:012}-{self.rows:012}.jsonl"
            self._there.replace(_counts_name(closed), json.dumps({"failed": self._failed_in_part}).encode())
            self._there.rename(self._open_name(), closed)
        else:
            self._there.unlink(self._open_name())
        self._first = self.rows
        self._rows_in_part = self._bytes_in_part = 0
        self._failed_in_part = Counter()

    # The end.

    def finish(self, write: Writer, failures: tuple[Path, Writer] | None) -> None:
        """All rows are there: put the output together.

        Args:
            write: Writes lines, which end with a newline, as the output wants them.
            failures: A file for the failed lines, if there are some, and what writes it.

        Raises:
            StorageError: It cannot be written; the parts are kept.
        """
        with self._writing(self.output):
            if self._file is not None:
                self._close_part()
            # The user's own file, so the umask says who may read it; others cannot reach it before it has its name.
            self._there.write(_WHOLE, lambda file: write(self._lines(), file), permissions=EVERYBODY)
            mark = {"rows": self.rows} | _known_by(self._there.stat(_WHOLE))
            self._there.replace(_MARK, json.dumps(mark).encode())
            if failures is not None and self.failed:
                path, write_failures = failures
                with self._writing(path):
                    create_file(path, lambda file: write_failures(self._failed_lines(), file))
            place(_WHOLE, self.output, folder=self._there.handle)
            sync_directory(self.output.parent)
        self.remove()

    def remove(self) -> None:
        """Remove the parts, since the output is there, or no row is. What is not of such a job is left alone.

        Raises:
            StorageError: They cannot be removed.
        """
        if self._folder is None:
            return
        folder, last = self._folder, (_MARK, _JOB, _LOCK)
        try:
            if self._file is not None:
                self._file.close()
                self._file = None
            for name in folder.names():
                if name not in last and _OWN.fullmatch(name):
                    folder.unlink(name)
            for name in last:
                folder.sync()
                folder.unlink(name)
            self.close()  # on NFS, a file that is open keeps its directory
            try:
                self.directory.rmdir()
            except OSError as error:
                if error.errno not in _NOT_TO_BE_REMOVED:
                    raise
        except OSError as error:
            raise StorageError(
                f"cannot remove {self.directory}: {_why(error)}; nothing in it is needed any more"
            ) from None

    def _lines(self) -> Iterator[bytes]:
        for part in self._closed():
            with self._there.open(part.name, "rb") as file:
                yield from file

    def _failed_lines(self) -> Iterator[bytes]:
        return (line for line in self._lines() if not line.endswith(DONE + b"\n"))

    def close(self) -> None:
        """Leave the parts as they are. Safe to call twice."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self._folder is not None:
            self._folder.close()
            self._folder = None

    @contextlib.contextmanager
    def _writing(self, path: Path) -> Generator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, PersonalizeError):
                raise
            kept = f"; {self.rows:,} rows are kept in {self.directory}: go on with resume=True" if self.rows else ""
            raise StorageError(f"cannot write {path}: {_why(error)}{kept}") from None


# There is something in it that is not ours; somebody moved it, or put something else in its place.
_NOT_TO_BE_REMOVED = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR)


def _refuse(problem: str) -> Never:
    raise ValidationError(problem, parameter="output")


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _counts_name(part: str) -> str:
    """The file with the counts of failures of a part."""
    return part.removesuffix(".jsonl") + ".failed.json"


def _members(text: bytes) -> dict[str, Any]:
    """A JSON object; empty when the text is none."""
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType] - names are texts


def _is_job(text: bytes | None, job: Mapping[str, Any]) -> bool:
    """Checks that a ``job.json`` has the form of ours; it may be of another job."""
    there = _members(text or b"")
    return there.keys() == job.keys() and isinstance(there["version"], int)


def _is_mine(folder: Folder) -> bool:
    """Checks that a directory belongs to this user.

    Some file systems give all files to one user (an access point of EFS, a share with squashed users): there, the
    directory belongs to whom a new file belongs.
    """
    owner = os.fstat(folder.handle).st_uid
    if owner == os.geteuid():
        return True
    folder.write(_WHOLE, lambda file: None)
    try:
        return folder.stat(_WHOLE).st_uid == owner
    finally:
        folder.unlink(_WHOLE)


def _known_by(status: os.stat_result) -> dict[str, int]:
    """Size and time of a file, which it keeps under another name."""
    return {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


def _is_whole(line: bytes) -> bool:
    """Checks that a line is one that a job has written."""
    members = _members(line)
    return isinstance(members.get("error"), str) or ("error" in members and line.endswith(DONE + b"\n"))


def _error_of(line: bytes) -> str:
    """The class of the error in a line of the output."""
    text: str = json.loads(line)["error"]
    return text.partition(":")[0]

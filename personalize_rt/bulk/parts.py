"""The output of a running job, in parts beside the final file, which appears when it is complete.

``OUT.parts/`` holds, until the end of a job that writes ``OUT``:

* ``job.json``: the description of input and arguments. A directory with content but without this file belongs to
  somebody else, and is refused;
* ``lock``: locked by the working process;
* ``part-FROM-TO.jsonl``: the lines of the rows ``FROM`` up to ``TO``, complete and on the disk, with ``.failed.json``
  beside it: the number of failed ones by error;
* ``open-FROM.jsonl``: the part that is being written. Each line is passed to the operating system at once, and is on
  the disk a second later. After a crash an incomplete last line is cut off, and its row repeated;
* ``whole``: the output while it is put together;
* ``complete``: a mark that all rows are finished, with size and time of the output made of them.

Lines are in the order of the rows, so their number tells which rows are finished, and none is there twice.

When the output has its final name, the parts are removed first, then ``complete``, ``job.json`` and ``lock``, each only
after the removal of those before it is on the disk. So after a crash at any step, the directory can be recognised as
ours, and the output as complete. Only files of these names are removed.
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
from personalize_rt.files import EVERYBODY, Folder, create_file, place, restrict, sync_data, sync_directory
from personalize_rt.operations import argument_name

__all__ = ["Parts", "StorageError"]

VERSION = 2
# The most lines and bytes of a part.
ROWS = 10_000
BYTES = 64 << 20
# Seconds between two syncs of the open part to the disk.
SYNC_EVERY = 1.0

_JOB, _LOCK, _MARK, _WHOLE = "job.json", "lock", "complete", "whole"
_CLOSED = re.compile(r"part-(\d{12,})-(\d{12,})\.jsonl")
_OWN = re.compile(
    r"(job\.json|complete)(\.new)?|lock|whole|open-\d{12,}\.jsonl|part-\d{12,}-\d{12,}\.(jsonl|failed\.json(\.new)?)"
)
# The files that a crash may leave before job.json is written, and after it is removed.
_BARE = frozenset({_LOCK, f"{_JOB}.new"})

Writer = Callable[[Iterator[bytes], IO[bytes]], None]


class StorageError(PersonalizeError):
    """The output of a job cannot be written.

    Args:
        message: The file, the reason, and how to resume.
    """


class _Part(NamedTuple):
    first: int
    end: int
    name: str


class Parts:
    """The parts of one output, locked against a second job.

    Args:
        output: The final file.
        job: The description of the job; parts of another job are refused.
        resume: Whether an earlier run may have left parts, or the output.

    Attributes:
        directory: The directory of the parts.
        is_settled: Whether the output exists and has all rows of the parts, so that only :meth:`remove` is left to do.
        is_complete: Whether an earlier process finished all rows, and may have written the file of failures too.
        rows: The number of finished rows.
        failed: The number of failed ones, by the class of their error.

    Raises:
        ValidationError: The output exists and is not of these parts; parts exist and ``resume`` is false, or they are
            of another job, or another process writes them; or the directory belongs to somebody else.
        StorageError: The parts cannot be written.
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
        if os.stat not in os.supports_dir_fd:
            _refuse(
                "jobs on files need Linux or macOS, whose directories can be opened and locked: on Windows, use its "
                "subsystem for Linux, or bulk.run() with a checkpoint"
            )
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
            self.is_settled = True  # its job has removed the parts
            return
        if not (is_new or resume):
            _refuse(
                f"{self.directory} is there: a job was stopped before its end. Go on with it (resume=True), or remove "
                "that directory"
            )
        self._take_lock()
        if not self._there.is_mine(_WHOLE):
            _refuse(f"{self.directory} belongs to another user: name another output")
        restrict(self._there.handle, 0o700)
        # Again under the lock, since another process may have finished meanwhile.
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
        """Open the directory if it is ours, without changing anything; else return what it is."""
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
            with contextlib.suppress(FileNotFoundError):  # another process may be removing it
                if not stat.S_ISREG(folder.stat(name).st_mode):
                    return f"has {name}, which is a link or no file"
        if _JOB in names:
            if not _is_job(folder.read(_JOB), self._job):
                return foreign
        elif not _BARE.issuperset(names):
            return foreign
        return None

    def _take_lock(self) -> None:
        import fcntl  # not available on every system

        try:
            self._lock = self._there.open_lock(_LOCK)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The lock may be on a file that its last holder has removed meanwhile.
            is_free = os.path.samestat(os.fstat(self._lock), self._there.stat(_LOCK))
        except (BlockingIOError, FileNotFoundError):
            is_free = False
        if not is_free:
            _refuse(f"another process is at work on {self.output}")

    def _mark(self) -> dict[str, Any] | None:
        """The content of ``complete``, or ``None`` if there is none."""
        text = self._there.read(_MARK)
        return None if text is None else _members(text)

    def _has_nothing_to_add(self) -> bool:
        """Tell whether the output has all rows of the parts: it was made of them, or there are none."""
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
        if "arguments" in changed:
            changed.remove("arguments")
            changed += _changed(there.get("arguments"), self._job["arguments"])
        if changed:
            raise ValidationError(
                f"{self.directory} is of another job: {', '.join(changed)} changed since. Go on with what it was, or "
                "remove that directory and begin anew",
                parameter="resume",
            )

    def _recover(self) -> None:
        """Find the finished rows of the last run, and cut off an incomplete line."""
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
        # Without a buffer, so that a written line survives the process.
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
        """Append the line of the next row, given without its newline.

        Raises:
            StorageError: It cannot be written; the lines before it are kept.
        """
        text = line + b"\n"
        with self._writing(self.directory / self._open_name()):
            try:
                self._write(text)
            except OSError:
                # Cut off a part that may have been written.
                with contextlib.suppress(OSError):
                    self._file.truncate(self._bytes_in_part)
                raise
            self._count(line)
            now = time.monotonic()
            if now - self._synced >= SYNC_EVERY:
                sync_data(self._file.fileno())
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
        """Put the output together, after all rows are finished.

        Args:
            write: Writes lines, which end with a newline, in the format of the output.
            failures: A file for the failed lines, if any, and the function that writes it.

        Raises:
            StorageError: The output cannot be written; the parts are kept.
        """
        with self._writing(self.output):
            if self._file is not None:
                self._close_part()
            # With the umask's permissions, since it is the user's file. The directory hides it until it is renamed.
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
        """Remove the parts, when the output exists or there are no rows. Other files are not touched.

        Raises:
            StorageError: The parts cannot be removed.
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
            self.close()  # on NFS, a directory with an open file cannot be removed
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
        """Close the files, and keep the parts. Safe to call twice."""
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


# Errors for a directory that has foreign files, was moved, or was replaced.
_NOT_TO_BE_REMOVED = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR)


def _changed(before: Any, now: Any) -> list[str]:
    """The arguments that are not as before, each with an equals sign, as a caller writes it."""
    there: dict[str, Any] = before if isinstance(before, dict) else {}  # pyright: ignore[reportUnknownVariableType]
    here: dict[str, Any] = now
    names = [name for name in {**here, **there} if there.get(name) != here.get(name)]
    return [f"{argument_name(name)}=" for name in names] or ["arguments"]


def _refuse(problem: str) -> Never:
    raise ValidationError(problem, parameter="output")


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _counts_name(part: str) -> str:
    """The name of the file with the counts of failures of a part."""
    return part.removesuffix(".jsonl") + ".failed.json"


def _members(text: bytes) -> dict[str, Any]:
    """Parse a JSON object; empty if the text is not one."""
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType] - names are texts


def _is_job(text: bytes | None, job: Mapping[str, Any]) -> bool:
    """Checks that a ``job.json`` has the form of ours; it may be of another job."""
    there = _members(text or b"")
    return there.keys() == job.keys() and isinstance(there["version"], int)


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

"""The output of a job while it is written: parts beside the final file, which appears when it is whole.

``OUT.parts/`` holds, until the end of a job that writes ``OUT``:

* ``job.json``: of which input and which arguments it is the output;
* ``part-FROM-TO.jsonl``: the lines of the rows ``FROM`` up to ``TO``, whole and on the disk, with ``.failed.json``
  beside it: how many of them failed, and how;
* ``open-FROM.jsonl``: the part that is being written. Each line is handed to the operating system as soon as it is
  there, and is on the disk a second later. After a crash a torn last line is cut off, and its row asked again.
* ``complete``: all rows are there; what follows is only putting them together.

Lines stand in the order of the rows, so their number says which rows are done: none is there twice.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from personalize_rt.bulk.checkpoint import replace_file, sync_directory
from personalize_rt.bulk.lines import DONE
from personalize_rt.errors import PersonalizeError, ValidationError

__all__ = ["Parts", "StorageError"]

VERSION = 1
# A part is closed after so many lines or bytes.
ROWS = 10_000
BYTES = 64 << 20
# Seconds between two times that the open part is put on the disk.
SYNC_EVERY = 1.0

_CLOSED = re.compile(r"part-(\d+)-(\d+)\.jsonl")


class StorageError(PersonalizeError):
    """The output of a job cannot be written.

    Args:
        message: Which file, why, and how to go on.
    """


class _Part(NamedTuple):
    first: int
    end: int
    path: Path


class Parts:
    """The parts of one output, locked against a second job.

    Args:
        output: The final file.
        job: What the output is of; another one is refused.
        resume: Whether an earlier job may have left parts.

    Raises:
        ValidationError: There is an output; or parts, and ``resume`` is false, or they are of another job, or another
            process writes them.
        StorageError: They cannot be written.
    """

    def __init__(self, output: Path, job: Mapping[str, Any], *, resume: bool) -> None:
        self.output = output
        self.directory: Path = output.with_name(f"{output.name}.parts")
        self._mark = self.directory / "complete"
        self.is_settled: bool = False  # the output is there, and only the parts are to be removed
        self.rows: int = 0
        self.failed: Counter[str] = Counter()
        self._first = 0
        self._rows_in_part = self._bytes_in_part = 0
        self._failed_in_part: Counter[str] = Counter()
        self._file: Any = None
        self._lock: int | None = None
        self._synced = 0.0
        if output.exists() and not self._is_complete():
            raise ValidationError(f"{output} is there already: name another one, or remove it", parameter="output")
        with self._writing(self.directory):
            try:
                self.directory.mkdir()
            except FileExistsError:
                if not resume:
                    raise ValidationError(
                        f"{self.directory} is there: a job was stopped before its end. Go on with it (resume=True), or "
                        "remove that directory",
                        parameter="output",
                    ) from None
            except FileNotFoundError:
                raise ValidationError(f"there is no directory {output.parent}", parameter="output") from None
            self._take_lock()
            self.is_settled = output.exists()
            if self.is_settled:
                return
            try:
                self._check_job(dict(job) | {"version": VERSION})
                self._recover()
            except BaseException:
                self.close()
                raise

    # What is there.

    def _is_complete(self) -> bool:
        return self._mark.exists()

    def _take_lock(self) -> None:
        import fcntl  # not on every system, and of bulk work only files need it

        self._lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = None
            raise ValidationError(f"another process is at work on {self.output}", parameter="output") from None

    def _check_job(self, job: Mapping[str, Any]) -> None:
        path = self.directory / "job.json"
        try:
            there: dict[str, Any] = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            replace_file(path, (json.dumps(job, indent=1) + "\n").encode())
            return
        except ValueError:
            there = {}
        changed = [name for name in job if there.get(name) != job[name]]
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
                raise ValidationError(
                    f"{self.directory} lacks rows {end:,} to {part.first:,}: remove it and begin anew",
                    parameter="resume",
                )
            end = part.end
            self.failed += self._failed_of(part)
        self.rows = self._first = end
        if self._is_complete():
            if self._mark.read_bytes() != str(end).encode():
                raise ValidationError(
                    f"{self.directory} lacks rows after {end:,}: remove it and begin anew", parameter="resume"
                )
            return
        path = self._open_path()
        if path.exists():
            whole = 0
            with open(path, "rb") as file:
                for line in file:
                    if not (line.endswith(b"\n") and _is_whole(line)):
                        break
                    whole += len(line)
                    self._count(line[:-1])
        else:
            whole = 0
        # Without a buffer: a line that was written is out of this process.
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - it stays open
        self._file.truncate(whole)

    def _closed(self) -> list[_Part]:
        matches = ((_CLOSED.fullmatch(path.name), path) for path in self.directory.iterdir())
        return sorted(_Part(int(match[1]), int(match[2]), path) for match, path in matches if match)

    def _open_path(self) -> Path:
        return self.directory / f"open-{self._first:012}.jsonl"

    def _failed_of(self, part: _Part) -> Counter[str]:
        with contextlib.suppress(OSError, ValueError):
            return Counter(json.loads(part.path.with_suffix(".failed.json").read_text("utf-8")))
        failed: Counter[str] = Counter()
        with open(part.path, "rb") as file:
            for line in file:
                if not line.endswith(DONE + b"\n"):
                    failed[_error_of(line)] += 1
        return failed

    # Writing.

    def append(self, line: bytes) -> None:
        """The line of the next row, without its end.

        Raises:
            StorageError: It cannot be written; what was before it is kept.
        """
        text = line + b"\n"
        with self._writing(self._open_path()):
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
                self._file = open(self._open_path(), "ab", buffering=0)  # noqa: SIM115 - it stays open

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
        path = self._open_path()
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = None
        if self._rows_in_part:
            closed = self.directory / f"part-{self._first:012}-{self.rows:012}.jsonl"
            replace_file(closed.with_suffix(".failed.json"), json.dumps(self._failed_in_part).encode())
            os.rename(path, closed)
            sync_directory(self.directory)
        else:
            path.unlink()
        self._first = self.rows
        self._rows_in_part = self._bytes_in_part = 0
        self._failed_in_part = Counter()

    # The end.

    def finish(
        self,
        write: Callable[[Iterator[bytes], IO[bytes]], None],
        failures: tuple[Path, Callable[[Iterator[bytes], IO[bytes]], None]] | None,
    ) -> None:
        """All rows are there: put the output together.

        Args:
            write: Writes lines, which end with a newline, as the output wants them.
            failures: A file for the failed lines, if there are some, and what writes it.

        Raises:
            StorageError: It cannot be written; the parts are kept.
        """
        with self._writing(self.output):
            if not self._is_complete():
                self._close_part()
                replace_file(self._mark, str(self.rows).encode())
            if failures is not None and self.failed:
                path, write_failures = failures
                failed = (line for line in self._lines() if not line.endswith(DONE + b"\n"))
                os.replace(self._whole(failed, write_failures), path)
            _move(self._whole(self._lines(), write), self.output)
            sync_directory(self.output.parent)
        self.remove()

    def remove(self) -> None:
        """The output is there: take the parts away."""
        # The mark goes last: as long as it is there, the output is known to be ours.
        for path in self.directory.iterdir():
            if path != self._mark and path.name != "lock":
                path.unlink()
        shutil.rmtree(self.directory)
        self.close()

    def _lines(self) -> Iterator[bytes]:
        for part in self._closed():
            with open(part.path, "rb") as file:
                yield from file

    def _whole(self, lines: Iterator[bytes], write: Callable[[Iterator[bytes], IO[bytes]], None]) -> Path:
        whole = self.directory / "whole"
        try:
            with open(whole, "wb") as file:
                write(lines, file)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                whole.unlink(missing_ok=True)  # it may have taken the last of the space
            raise
        return whole

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

    @contextlib.contextmanager
    def _writing(self, path: Path) -> Generator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, PersonalizeError):
                raise
            kept = f"; {self.rows:,} rows are kept in {self.directory}: go on with resume=True" if self.rows else ""
            raise StorageError(f"cannot write {path}: {error.strerror or type(error).__name__}{kept}") from None


def _move(whole: Path, output: Path) -> None:
    """Give a file its final name; one that appeared there meanwhile is left alone."""
    try:
        os.link(whole, output)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if output.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        os.rename(whole, output)


def _is_whole(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _error_of(line: bytes) -> str:
    """The class of the error in a line of the output."""
    text: str = json.loads(line)["error"]
    return text.partition(":")[0]

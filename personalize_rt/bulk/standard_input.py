"""Standard input as the input of a job, which is read more than once: a private copy beside the output."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from personalize_rt.errors import PersonalizeError, ValidationError

__all__ = ["kept_input"]

_PARQUET = b"PAR1"
_HEAD = 1 << 16


@contextmanager
def kept_input(output: Path) -> Generator[Path]:
    """Copy standard input to a file beside an output, which only its owner may read, and remove it at the end.

    The suffix says what it holds: Parquet has a mark, and a row of JSON Lines begins with a brace; else it is CSV.

    Raises:
        ValidationError: There is no such directory, or no standard input.
        PersonalizeError: The copy cannot be written.
    """
    source: IO[bytes] | None = getattr(sys.stdin, "buffer", None)
    if source is None:
        raise ValidationError("there is no standard input", parameter="input")
    path = None
    try:
        head = _beginning(source)
        try:
            handle, name = tempfile.mkstemp(_suffix(head), f".{output.name}.", output.parent)
        except FileNotFoundError:
            raise ValidationError(f"there is no directory {output.parent}", parameter="output") from None
        path = Path(name)
        with open(handle, "wb") as file:
            file.write(head)
            shutil.copyfileobj(source, file, 1 << 20)
    except OSError as error:
        _remove(path)
        if isinstance(error, PersonalizeError):
            raise
        why = error.strerror or type(error).__name__
        raise PersonalizeError(f"cannot keep standard input beside {output}: {why}") from None
    except BaseException:
        _remove(path)
        raise
    try:
        yield path
    finally:
        _remove(path)


def _beginning(source: IO[bytes]) -> bytes:
    """Read until there is something but white space, or the end."""
    head = b""
    while len(head) < _HEAD and not (head.removeprefix(b"\xef\xbb\xbf").strip() and len(head) >= len(_PARQUET)):
        part = source.read(_HEAD - len(head))
        if not part:
            break
        head += part
    return head


def _suffix(head: bytes) -> str:
    if head.startswith(_PARQUET):
        return ".parquet"
    return ".jsonl" if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"") else ".csv"


def _remove(path: Path | None) -> None:
    if path is not None:
        with suppress(FileNotFoundError):
            os.unlink(path)

"""Files of trained scorers: a header line, and compressed JSON with columns of numbers.

::

    personalize-rt-scorer 1 PopularityScorer text=512 size=2048 sha256=…\\n
    zlib of (the JSON text, then the columns as little-endian numbers)

Unlike a pickle, a file never runs code. The checksum covers the header too, so a file that was cut off or changed is
refused. It is not a signature (anybody can compute one), so the content is checked before use as well. A file unpacks
to at most 8 MB or 25 times its size (zlib could do a thousand times), and its JSON text takes up to 35 times its size
as Python objects.
"""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, TypeAlias, TypeVar, cast

import attrs

from personalize_rt.errors import ValidationError
from personalize_rt.files import EVERYBODY, replace_file
from personalize_rt.redaction import describe

__all__ = [
    "FORMAT",
    "Column",
    "Path",
    "Stored",
    "finite",
    "indexes",
    "load",
    "nonnegative",
    "pack",
    "rows_of",
    "save",
    "taken",
    "texts",
    "unpack",
    "within",
]

FORMAT = 1
"""The version of the format to write. Older versions can be read, newer ones are refused."""

_MAGIC = b"personalize-rt-scorer"
_LONGEST_LINE = 400
# Bytes that any file may unpack to, and the same for each of its bytes. With their ids, real scorers stay below 15.
_UNPACKED, _UNPACKED_EACH = 8 << 20, 25
# Of weights and numbers of items, level 6 makes a tenth less, in three times the time; level 1 unpacks slower.
_LEVEL = 3
_SIGN_BYTE = 7 if sys.byteorder == "little" else 0
# Exceptions of a reader that meets unexpected content.
_REFUSED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
_DAMAGED_INSIDE = "is damaged inside, though its checksum is right. Save the scorer again"
_CODES = "bBiIqQfd"  # array type codes whose size is the same on every platform
_SIZES = {code: array(code).itemsize for code in _CODES}

Column: TypeAlias = "array[Any]"
Path = str | os.PathLike[str]
TakenT = TypeVar("TakenT")


@attrs.frozen(eq=False)
class Stored:
    """The content of a file.

    Attributes:
        kind: The class name of the scorer that wrote it.
        content: JSON values: dicts with str keys, lists, str, finite numbers, booleans, ``None``.
        columns: Long rows of numbers by name, as ``array.array`` of type ``b B i I q Q f d``. They load a hundred
            times faster than JSON.
    """

    kind: str
    content: Any = attrs.field(repr=False)
    columns: Mapping[str, Column] = attrs.field(factory=dict[str, Column], repr=False)


def save(path: Path, stored: Stored) -> None:
    """Write a file. A reader sees the old file or the new one, never a part of it.

    Args:
        path: Where to write; an existing file is replaced.
        stored: The content. It may hold user ids: protect the file accordingly.

    Raises:
        ValidationError: The content is not JSON.
        OSError: The file cannot be written.
    """
    data = pack(stored)
    name = _checked_path(path)
    replace_file(name, lambda file: file.write(data), permissions=EVERYBODY, shared=True)


def load(path: Path, kind: str) -> Stored:
    """Read a file of one kind.

    Args:
        path: The file.
        kind: The class name of the expected scorer.

    Raises:
        ValidationError: The file is not of this package, is damaged, was written by a newer version, or holds
            another kind of scorer.
        OSError: The file cannot be read.
    """
    with open(_checked_path(path), "rb") as file:
        start = file.read(len(_MAGIC))
        # Any other file is not read to its end.
        return unpack(start + file.read() if start == _MAGIC else start, kind)


def pack(stored: Stored) -> bytes:
    """Make the bytes of a file, to store them elsewhere.

    Raises:
        ValidationError: The content is not JSON.
    """
    import json
    import zlib

    if not stored.kind.isascii() or not stored.kind.isidentifier():
        raise ValidationError(f"kind is {describe(stored.kind)}, not the name of a class", parameter="kind")
    for column in stored.columns.values():
        if column.typecode not in _CODES:
            raise ValidationError(
                f"a column has the type {column.typecode!r}, not one of {_CODES}", parameter="columns"
            )
    names = [[name, column.typecode, len(column)] for name, column in stored.columns.items()]
    try:
        # Escaped to ASCII, since an id may hold a lone surrogate, which UTF-8 cannot encode.
        text = json.dumps([stored.content, names], allow_nan=False, separators=(",", ":")).encode("ascii")
    except (TypeError, ValueError, RecursionError):
        text = None
    if text is None:
        raise ValidationError("the content holds something that JSON cannot hold", parameter="content")
    body = b"".join([text, *(_little_endian(column).tobytes() for column in stored.columns.values())])
    packed = zlib.compress(body, _LEVEL)
    if len(body) > _most_unpacked(packed):
        # Very repetitive. Huffman codes alone take at least a bit for each byte, and so stay within the limit.
        packing = zlib.compressobj(6, strategy=zlib.Z_HUFFMAN_ONLY)
        packed = packing.compress(body) + packing.flush()
    line = b"%s %d %s text=%d size=%d" % (_MAGIC, FORMAT, stored.kind.encode("ascii"), len(text), len(body))
    return b"%s sha256=%s\n%s" % (line, _checksum(line, packed), packed)


def unpack(data: bytes, kind: str) -> Stored:
    """Read the bytes of a file of one kind.

    Raises:
        ValidationError: As :func:`load`.
    """
    line, _, packed = data.partition(b"\n")
    words = line.split(b" ")
    if words[0] != _MAGIC or len(line) > _LONGEST_LINE:
        raise _refused("is not a scorer saved by personalize-rt")
    version = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    if version > FORMAT:
        raise _refused(f"has format {version}, and this version of personalize-rt reads up to {FORMAT}: upgrade it")
    if version < 1 or len(words) != 6 or words[5] != b"sha256=" + _checksum(b" ".join(words[:5]), packed):
        raise _refused("is damaged: it was cut off or changed. Save the scorer again")
    found = words[2].decode("ascii", "replace")
    if found != kind:
        raise _refused(f"holds {_a(found)}, not {_a(kind)}: load it with {found}.load")
    # A valid checksum does not mean that this package wrote the file.
    try:
        return Stored(found, *_parts(packed, _number(words[3], b"text="), _number(words[4], b"size=")))
    except (*_REFUSED, _zlib_error()):
        pass
    raise _refused(_DAMAGED_INSIDE)


def _most_unpacked(packed: bytes) -> int:
    return max(_UNPACKED, _UNPACKED_EACH * len(packed))


def _parts(packed: bytes, text_size: int, size: int) -> tuple[Any, dict[str, Column]]:
    import json
    import zlib

    if not text_size <= size <= _most_unpacked(packed):
        raise ValueError("more than such a file may hold")
    body = memoryview(zlib.decompressobj().decompress(packed, size + 1))
    if len(body) != size:
        raise ValueError("not the size that was announced")
    text = str(body[:text_size], "ascii")
    content, names = json.loads(text, parse_constant=_no_constant, parse_float=_finite_float)
    columns: dict[str, Column] = {}
    at = text_size
    for name, code, length in cast("list[tuple[object, object, object]]", names):
        # The code before it is used: `array` warns of some other codes, and newer versions of Python accept more.
        if not isinstance(name, str) or not isinstance(code, str) or type(length) is not int:
            raise TypeError("not the name, type and length of a column")
        end = at + length * _SIZES[code]
        if not at <= end <= size:
            raise ValueError("a column is too short")
        column: Column = array(code)
        column.frombytes(body[at:end])
        columns[name] = _little_endian(column)
        at = end
    if at != size:
        raise ValueError("something is left over")
    return content, columns


def _number(word: bytes, name: bytes) -> int:
    digits = word.removeprefix(name)
    if not word.startswith(name) or not digits.isdigit() or len(digits) > 18:
        raise ValueError("another member of the line was expected")
    return int(digits)


def _finite_float(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError("a number that is too large")
    return number


def _no_constant(_: str) -> None:
    raise ValueError("NaN and infinity are not JSON")


def _little_endian(column: Column) -> Column:
    if sys.byteorder == "little":
        return column
    swapped = array(column.typecode, column)
    swapped.byteswap()
    return swapped


def _checksum(line: bytes, packed: bytes) -> bytes:
    from hashlib import sha256

    return sha256(line + b"\n" + packed).hexdigest().encode("ascii")


def _zlib_error() -> type[Exception]:
    import zlib

    return zlib.error


def _checked_path(path: Any) -> str:
    if not isinstance(path, str | os.PathLike):
        raise ValidationError(f"path is {describe(path)}, not a str or a path", parameter="path")
    return os.fspath(cast("Path", path))


def _a(kind: str) -> str:
    return f"{'an' if kind[:1] in 'AEIOU' else 'a'} {kind}"


def _refused(why: str) -> ValidationError:
    return ValidationError(f"the file {why}", parameter="path")


# Checks of a file's content, for its readers. They raise ValueError, which `taken` turns into a ValidationError.


def indexes(column: Column, below: int) -> Column:
    """Check a column of indexes into a list of that length."""
    if column.typecode != "I" or (len(column) and max(column) >= below):
        raise ValueError("a column of places is wrong")
    return column


def rows_of(column: Column, rows: int, entries: int) -> Column:
    """Check a column with the lengths of so many rows, which have so many entries together."""
    if column.typecode != "I" or len(column) != rows or sum(column) != entries:
        raise ValueError("a column of lengths is wrong")
    return column


def finite(column: Column, length: int) -> Column:
    """Check a column of so many finite numbers."""
    # A finite sum proves it quickly; a sum that is not finite may still be an overflow.
    if column.typecode != "d" or len(column) != length or not (isfinite(sum(column)) or all(map(isfinite, column))):
        raise ValueError("a column of numbers is wrong")
    return column


def nonnegative(column: Column, length: int) -> Column:
    """Check a column of so many finite numbers of at least 0."""
    # By the sign bits, which takes a tenth of the time of min() for a million numbers.
    if not finite(column, length).tobytes()[_SIGN_BYTE::8].isascii():
        raise ValueError("a column of weights has one below 0")
    return column


def within(column: Column, lowest: float, highest: float) -> Column:
    """Check that the numbers of a column are within bounds."""
    if len(column) and not (lowest <= min(column) and max(column) <= highest):
        raise ValueError("a number is out of bounds")
    return column


def texts(value: Any) -> list[str]:
    """Check a list of distinct strings."""
    if not isinstance(value, list):
        raise TypeError("not a list")
    found = cast("list[str]", value)
    if set(map(type, found)) - {str}:
        raise TypeError("not a list of texts")
    if len(set(found)) != len(found):
        raise ValueError("a text comes twice")
    return found


def taken(stored: Stored, take: Callable[[Stored], TakenT]) -> TakenT:
    """Call ``take`` with a file's content; refuse the file if that fails."""
    try:
        return take(stored)
    except _REFUSED:
        pass
    raise _refused(_DAMAGED_INSIDE)

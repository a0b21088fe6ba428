"""Files of trained scorers: one line that says what they are, and compressed JSON with columns of numbers.

::

    personalize-rt-scorer 1 PopularityScorer text=512 size=2048 sha256=…\\n
    zlib of (the JSON text, then the columns as little-endian numbers)

Nothing in a file is ever run, unlike in a pickle. The checksum covers the line too, so a file that was cut off or
changed is refused; it is no signature: whoever may write the file may write another one. So all that is in it is
checked too, before it is used. A file unpacks to at most 8 MB or 25 times its size (zlib could do a thousand times),
and its JSON text takes up to 35 times its size as Python objects.
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
"""The version of the format that is written; older ones are read too, newer ones are refused."""

_MAGIC = b"personalize-rt-scorer"
_LONGEST_LINE = 400
# Bytes that a file may always unpack to, and for each of its bytes. Compressed ids alone keep a scorer below 15.
_UNPACKED, _UNPACKED_EACH = 8 << 20, 25
_SIGN_BYTE = 7 if sys.byteorder == "little" else 0
# What goes wrong when what a file holds is not what its reader takes.
_REFUSED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
_DAMAGED_INSIDE = "is damaged inside, though its checksum is right. Save the scorer again"
_CODES = "bBiIqQfd"  # array type codes whose size is the same on every platform
_SIZES = {code: array(code).itemsize for code in _CODES}

Column: TypeAlias = "array[Any]"
Path = str | os.PathLike[str]
TakenT = TypeVar("TakenT")


@attrs.frozen(eq=False)
class Stored:
    """What a file holds.

    Attributes:
        kind: Which scorer wrote it, by the name of its class.
        content: What JSON can hold: dicts with text keys, lists, text, finite numbers, booleans, ``None``.
        columns: Long rows of numbers by name, as ``array.array`` of type ``b B i I q Q f d``. They load a hundred
            times faster than JSON.
    """

    kind: str
    content: Any = attrs.field(repr=False)
    columns: Mapping[str, Column] = attrs.field(factory=dict[str, Column], repr=False)


def save(path: Path, stored: Stored) -> None:
    """Write a file. A reader sees the old file or the new one, never half of it.

    Args:
        path: Where to write; an existing file is replaced.
        stored: What to write. It may hold user ids: keep the file as you keep those.

    Raises:
        ValidationError: The content is not what JSON can hold.
        OSError: The file cannot be written.
    """
    data = pack(stored)
    name = _checked_path(path)
    replace_file(name, lambda file: file.write(data), permissions=EVERYBODY, shared=True)


def load(path: Path, kind: str) -> Stored:
    """Read a file of one kind.

    Args:
        path: The file.
        kind: What must be in it.

    Raises:
        ValidationError: The file is none of this package, is damaged, was written by a newer version, or holds
            another kind of scorer.
        OSError: The file cannot be read.
    """
    with open(_checked_path(path), "rb") as file:
        start = file.read(len(_MAGIC))
        # A foreign file is not read to its end.
        return unpack(start + file.read() if start == _MAGIC else start, kind)


def pack(stored: Stored) -> bytes:
    """The bytes of a file, for those who keep it elsewhere.

    Raises:
        ValidationError: The content is not what JSON can hold.
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
        # Escaped to ASCII: an id may hold half a surrogate pair, which no encoding of Unicode takes.
        text = json.dumps([stored.content, names], allow_nan=False, separators=(",", ":")).encode("ascii")
    except (TypeError, ValueError, RecursionError):
        text = None
    if text is None:
        raise ValidationError("the content holds something that JSON cannot hold", parameter="content")
    body = b"".join([text, *(_little_endian(column).tobytes() for column in stored.columns.values())])
    packed = zlib.compress(body, 6)
    if len(body) > _most_unpacked(packed):
        # Full of repetitions: without looking for them, a byte takes at least a bit.
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
    # Whoever made the checksum wrote the rest too, yet maybe not with this package.
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
        # The code first: `array` warns of some that are none of ours, or takes them in newer versions of Python.
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


# Checks of what a file holds, for those who take it. What is wrong is a ValueError, which `taken` makes a refusal.


def indexes(column: Column, below: int) -> Column:
    """A column of places in a list of that length."""
    if column.typecode != "I" or (len(column) and max(column) >= below):
        raise ValueError("a column of places is wrong")
    return column


def rows_of(column: Column, rows: int, entries: int) -> Column:
    """A column of lengths: of so many rows, which have so many entries together."""
    if column.typecode != "I" or len(column) != rows or sum(column) != entries:
        raise ValueError("a column of lengths is wrong")
    return column


def finite(column: Column, length: int) -> Column:
    """A column of so many finite numbers."""
    # The sum of finite numbers may be infinite, but what is not finite makes every sum so.
    if column.typecode != "d" or len(column) != length or not (isfinite(sum(column)) or all(map(isfinite, column))):
        raise ValueError("a column of numbers is wrong")
    return column


def nonnegative(column: Column, length: int) -> Column:
    """A column of so many finite numbers, none below 0."""
    # The sign is the highest bit: a tenth of the time of min(), for a million numbers.
    if not finite(column, length).tobytes()[_SIGN_BYTE::8].isascii():
        raise ValueError("a column of weights has one below 0")
    return column


def within(column: Column, lowest: float, highest: float) -> Column:
    """A column of numbers in these bounds."""
    if len(column) and not (lowest <= min(column) and max(column) <= highest):
        raise ValueError("a number is out of bounds")
    return column


def texts(value: Any) -> list[str]:
    """A list of different texts."""
    if not isinstance(value, list):
        raise TypeError("not a list")
    found = cast("list[str]", value)
    if set(map(type, found)) - {str}:
        raise TypeError("not a list of texts")
    if len(set(found)) != len(found):
        raise ValueError("a text comes twice")
    return found


def taken(stored: Stored, take: Callable[[Stored], TakenT]) -> TakenT:
    """What ``take`` makes of a file's content; what goes wrong in it is the refusal of the file."""
    try:
        return take(stored)
    except _REFUSED:
        pass
    raise _refused(_DAMAGED_INSIDE)

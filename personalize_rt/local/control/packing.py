"""Datasets as frames of bytes, for a training in another process and for a directory of state.

A frame has some thousand values, so that nobody who packs, writes or reads a dataset keeps a whole interpreter busy for
long. The first frame is a JSON object that describes the parts; the parts follow in its order. Numbers are
little-endian; texts and cells of columns are JSON. Nothing in a frame can run code.
"""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Iterable, Iterator
from typing import Any, cast

import attrs

from personalize_rt.local.datasets import EventLog, Names, Table
from personalize_rt.local.schemas import Field, Value

__all__ = ["PackingError", "pack", "unpack"]

_CELLS = 4_096
_NUMBERS = 65_536
# The arrays and the names of an EventLog.
_ARRAYS = {"user": "i", "target": "i", "type": "i", "timestamp": "q", "value": "d"}
_NAMES = ("users", "targets", "types")


class PackingError(Exception):
    """Frames are not those of a dataset."""


def pack(held: EventLog | Table) -> Iterator[bytes]:
    """The frames of a dataset."""
    is_log = isinstance(held, EventLog)
    parts: list[tuple[str, str, list[Any] | array[Any]]] = []
    if isinstance(held, EventLog):
        parts += [(name, "", getattr(held, name).names) for name in _NAMES]
        parts += [(name, code, getattr(held, name)) for name, code in _ARRAYS.items()]
    else:
        parts.append(("index", "", list(held.index)))
    parts += [(f"column {name}", "", column) for name, column in held.columns.items()]
    head = {
        "events": is_log,
        "fields": [attrs.asdict(field) for field in held.fields.values()],
        "names": list(held.fields),
        "parts": [(name, code, len(values)) for name, code, values in parts],
    }
    yield json.dumps(head).encode()
    for _, code, values in parts:
        step = _NUMBERS if code else _CELLS
        for start in range(0, len(values), step):
            piece = values[start : start + step]
            yield _little(cast("array[Any]", piece)).tobytes() if code else json.dumps(piece).encode()


def unpack(frames: Iterable[bytes]) -> EventLog | Table:
    """The dataset of frames.

    Raises:
        PackingError: They are not those of a dataset, or some are missing.
    """
    try:
        return _unpack(iter(frames))
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise PackingError(type(error).__name__) from None


def _unpack(frames: Iterator[bytes]) -> EventLog | Table:
    head = json.loads(next(frames))
    fields = dict(zip(head["names"], (Field(**field) for field in head["fields"]), strict=True))
    parts: dict[str, Any] = {}
    kinds: Any = array
    for name, code, count in head["parts"]:
        values: Any = kinds(code) if code else []
        while len(values) < count:
            frame = next(frames)
            if code:
                values.frombytes(frame)
            else:
                values.extend(json.loads(frame))
        if len(values) != count:
            raise ValueError("a part is longer than its description")
        parts[name] = _little(values) if code else values
    columns: dict[str, list[Value]] = {
        name.removeprefix("column "): values for name, values in parts.items() if name.startswith("column ")
    }
    if head["events"]:
        members: dict[str, Any] = {name: _named(parts[name]) for name in _NAMES}
        members |= {name: parts[name] for name in _ARRAYS}
        return EventLog(**members, columns=columns, fields=fields)
    return Table({id: row for row, id in enumerate(parts["index"])}, columns, fields)


def _named(texts: list[str]) -> Names:
    names = Names()
    names.names = texts
    names.update(zip(texts, range(len(texts)), strict=True))
    return names


def _little(numbers: array[Any]) -> array[Any]:
    if sys.byteorder != "little":
        numbers.byteswap()
    return numbers

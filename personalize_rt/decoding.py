"""The bytes of a reply to its members; the rows of a plain answer straight to columns. No I/O.

``json`` makes a dict of each row, and two columns of the dicts: for 500 items that is most of what a call costs. Most
answers are plain: compact JSON whose rows have an id, a score and perhaps members that are ``null`` (service.md section
5.2). Of such a one the text between ids and scores is the same in every row; with it replaced by commas, the rows are
one flat array, and decoded in two thirds of the time. Whatever is not exactly so is decoded as ever, with the same
result.
"""

from __future__ import annotations

import json
import re
import sys
from functools import cache
from math import isfinite
from types import NoneType
from typing import Any, NamedTuple

__all__ = ["LARGE", "Columns", "decoded", "decoded_in_background", "has_more_containers"]

LARGE = 131072
"""Bytes of a body that an event loop is not to wait for: decoding takes 10 ms a MiB, and 50 if it is lists in lists."""


class Columns(NamedTuple):
    """What stands for a list of rows that have an id and a score each, and nothing else.

    Attributes:
        ids: A string for each row.
        scores: A finite float for each, or ``None`` where the row has ``null``.
    """

    ids: list[str]
    scores: list[float | None]


def decoded(body: bytes) -> Any:
    """The members of a reply; or whatever else the JSON is, which the caller has to look at.

    Decodes by orjson or msgspec where the program has imported one. They are stricter than ``json`` in some corners
    (lone surrogates, NaN, numbers out of range); what they refuse, ``json`` decides, so that the answer never depends
    on what is installed. And orjson makes floats of whole numbers beyond 64 bits: ``json`` decides where such a one
    could be shown, which is in metadata alone (scores are floats).

    Raises:
        ValueError: It is no JSON.
        RecursionError: It is nested too deeply.
    """
    # By name: another thread may be in the middle of importing it.
    loads: Any = getattr(sys.modules.get("orjson"), "loads", None)
    if loads is None:
        loads = getattr(sys.modules.get("msgspec.json"), "decode", None)
    elif b'"metadata"' in body and re.search(_LONG_NUMBER, body):
        loads = None
    if loads is not None:
        try:
            return _in_columns(body, loads) or loads(body)
        except Exception:  # msgspec's own are no ValueError before 0.21
            pass
    return _in_columns(body, json.loads) or json.loads(body)


def decoded_in_background(body: bytes) -> Any:
    """Decode like :func:`decoded`, on a worker thread: other threads run in between.

    A decoder in C holds the interpreter's lock until it is through. ``json`` calls a function of Python for each object
    if it is given one, which is enough: the lock is held for one row at a time.

    Raises:
        ValueError: It is no JSON.
        RecursionError: It is nested too deeply.
    """
    return json.loads(body, object_hook=_as_it_is)


def _as_it_is(row: dict[str, Any]) -> dict[str, Any]:
    return row


def has_more_containers(body: bytes, limit: int) -> bool:
    """Tell whether a body has more lists and objects than a limit. It need not be JSON."""
    if body.count(b"[") + body.count(b"{") <= limit:
        return False
    # Brackets in texts do not count. Of escapes, only these two tell where a text ends.
    bare = re.sub(rb'"[^"]*"', b"", body.replace(b"\\\\", b"").replace(b'\\"', b""))
    return bare.count(b"[") + bare.count(b"{") > limit


_LONG_NUMBER = rb"[:,\[\s]-?[0-9]{19}"


@cache  # compiled when they are first used: whoever only imports the package need not wait for it
def _patterns() -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """The start of a plain reply up to its first id; and from there to the end of the row."""
    start = (
        rb'\{(?:"recommendationId":(?:"[^"]*"|null),)?'
        rb'"(?:(itemList|personalizedRanking)":\[\{"itemId|(actionList)":\[\{"actionId)":"'
    )
    nulls = rb'(?:,"(?!itemId"|actionId"|score")\w+":null)*'
    return re.compile(start), re.compile(rb'[^"]*","score":[^",}]*(%b)\}' % nulls)


_BEFORE_A_SCORE = b'","score":'
# As long as what it replaces, which spares bytes.replace a search; the line break marks it, and is whitespace to JSON.
_COMMA_BEFORE_A_SCORE = b'",\n'.ljust(len(_BEFORE_A_SCORE))


def _in_columns(body: bytes, loads: Any) -> dict[str, Any] | None:
    """The members, if the reply is plain; or ``None``.

    Why nothing else passes for plain: with no backslash in the body, every quotation mark is one of JSON's. The rows,
    from the first id to the last ``}]``, turn into 2n elements with 2n - 1 commas between them, every second element a
    number or ``null``. Each comma that we put there has a line break beside it; there was no other line break, and JSON
    has none in a string, so 2n - 1 line breaks mean that all these commas are ours. One before a number can only be of
    those that end a string: it stands for the text between an id and its score. One after a number can only be of those
    that begin a string: it stands for the text between a score and the next id. There was nothing else.
    """
    start_pattern, row_pattern = _patterns()
    start = start_pattern.match(body)
    if start is None or b"\\" in body:
        return None
    first = row_pattern.match(body, start.end())
    end = body.rfind(b"}]")
    if first is None or end < first.end() - 1:
        return None
    nulls, group = first[1], start.lastindex or 1
    rows = body[start.end() : end - len(nulls)]
    if body[end - len(nulls) : end] != nulls or b"\n" in rows:
        return None
    before_a_row = nulls + (b'},{"itemId":"' if group == 1 else b'},{"actionId":"')
    comma_before_a_row = b"\n" + b',"'.rjust(len(before_a_row) - 1)
    flat = rows.replace(_BEFORE_A_SCORE, _COMMA_BEFORE_A_SCORE).replace(before_a_row, comma_before_a_row)
    list_at = start.end(group) + 2  # after its name, a quotation mark and a colon
    name, rest = body[start.start(group) - 1 : start.end(group) + 1], body[end + 2 :]
    if name in rest:
        return None  # of two members of a name the last counts
    try:
        elements: list[Any] = loads(b'["%b]' % flat)
        members: dict[str, Any] = loads(b"%bnull%b" % (body[:list_at], rest))
        ids, scores = elements[::2], elements[1::2]
        types = set(map(type, scores))
        if types == _FLOATS:
            total = sum(scores)
        elif types <= _NUMBERS:
            scores = [None if score is None else float(score) for score in scores]
            total = sum(filter(None, scores))
        else:
            return None
    except Exception:  # whatever the decoder raises: it is no plain reply
        return None
    commas = len(elements) - 1
    if flat.count(b"\n") != commas or len(ids) != len(scores) or not isfinite(total):
        return None
    members[start[group].decode()] = Columns(ids, scores)
    return members


_FLOATS = {float}
_NUMBERS = {float, int, NoneType}

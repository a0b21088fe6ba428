"""Decoding of replies, whose rows become columns directly if the reply is plain. No I/O.

Making a dict of each row, and then columns of the dicts, is the largest cost of a call for 500 items. Most replies are
plain: compact JSON whose rows have an id, a score and perhaps members that are ``null`` (service.md section 5.2). In a
plain reply, the text between ids and scores is the same in every row. With that text replaced by commas, the rows are
one flat array, which takes two thirds of the time to decode. Any other reply is decoded as usual, with the same result.
"""

from __future__ import annotations

import json
import re
import sys
from functools import cache
from math import isfinite
from types import NoneType
from typing import Any

__all__ = ["LARGE", "Columns", "decoded", "decoded_in_background", "has_more_containers"]

LARGE = 131072
"""Size in bytes from which on a body should not be decoded on an event loop: that takes 10 ms for each MiB, and 50 for
nested lists."""


class Columns:
    """The columns that replace a list of rows with only an id and a score.

    Attributes:
        ids: A string for each row.
        scores: A finite float for each row, or ``None`` for ``null``.
    """

    def __init__(self, ids: list[str], scores: list[float | None]) -> None:
        self.ids: list[str] = ids
        self.scores: list[float | None] = scores


def decoded(body: bytes) -> Any:
    """Decode a reply to its members, or to whatever the JSON is: the caller has to check.

    Uses orjson or msgspec if the program has imported one. The result never depends on that: they are stricter than
    ``json`` (lone surrogates, NaN, numbers out of range), so ``json`` decodes what they refuse. And orjson makes floats
    of whole numbers beyond 64 bits, so ``json`` decodes replies with such numbers in metadata (scores are floats).

    Raises:
        ValueError: The body is not JSON.
        RecursionError: The body is nested too deeply.
    """
    # By getattr(), since another thread may be in the middle of the import.
    loads: Any = getattr(sys.modules.get("orjson"), "loads", None)
    if loads is None:
        loads = getattr(sys.modules.get("msgspec.json"), "decode", None)
    elif b'"metadata"' in body and re.search(_LONG_NUMBER, body):
        loads = None
    if loads is not None:
        try:
            return _in_columns(body, loads) or loads(body)
        except Exception:  # before 0.21, msgspec's errors are not ValueErrors
            pass
    return _in_columns(body, _loads) or json.loads(body)


_decode = json.JSONDecoder().raw_decode


def _loads(body: bytes) -> Any:
    """Decode UTF-8 like :func:`json.loads`, in half of its steps. It refuses what is beside the value."""
    text = body.decode()
    value, end = _decode(text)
    if end < len(text):
        raise ValueError("there is more than one value")
    return value


def decoded_in_background(body: bytes) -> Any:
    """Decode like :func:`decoded`, on a worker thread, without blocking other threads.

    A decoder in C holds the interpreter's lock until it is done. With a Python function as ``object_hook``, ``json``
    calls it for each object, so that the lock is held for one row at a time.

    Raises:
        ValueError: The body is not JSON.
        RecursionError: The body is nested too deeply.
    """
    return json.loads(body, object_hook=_as_it_is)


def _as_it_is(row: dict[str, Any]) -> dict[str, Any]:
    return row


def has_more_containers(body: bytes, limit: int) -> bool:
    """Tell whether a body, which need not be valid JSON, has more lists and objects than a limit."""
    if body.count(b"[") + body.count(b"{") <= limit:
        return False
    # Brackets in strings do not count. These two escapes are the only ones that matter for the end of a string.
    bare = re.sub(rb'"[^"]*"', b"", body.replace(b"\\\\", b"").replace(b'\\"', b""))
    return bare.count(b"[") + bare.count(b"{") > limit


_LONG_NUMBER = rb"[:,\[\s]-?[0-9]{19}"


@cache  # compiled on first use, to keep the import of the package fast
def _patterns() -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """The patterns of the start of a plain reply up to its first id, and of the rest of its first row."""
    start = (
        rb'\{(?:"recommendationId":(?:"[^"]*"|null),)?'
        rb'"(?:(itemList|personalizedRanking)":\[\{"itemId|(actionList)":\[\{"actionId)":"'
    )
    nulls = rb'(?:,"(?!itemId"|actionId"|score")\w+":null)*'
    return re.compile(start), re.compile(rb'[^"]*","score":[^",}]*(%b)\}' % nulls)


_BEFORE_A_SCORE = b'","score":'
# As long as the replaced text, which makes bytes.replace() faster. The line break, white space in JSON, marks it.
_COMMA_BEFORE_A_SCORE = b'",\n'.ljust(len(_BEFORE_A_SCORE))


def _in_columns(body: bytes, loads: Any) -> dict[str, Any] | None:
    """Decode a plain reply to its members, with columns; ``None`` for any other reply.

    Proof that nothing else passes for plain: since the body has no backslash, every quotation mark begins or ends a
    string. The rows, from the first id to the last ``}]``, become 2n elements with 2n - 1 commas between them, and
    every second element is a number or ``null``. Each replacement has a line break beside its comma. The rows had no
    line break before, and JSON strings cannot have one, so 2n - 1 line breaks mean that all commas are replacements. A
    comma before a number ends a string, so it replaces the text between an id and its score. A comma after a number
    begins a string, so it replaces the text between a score and the next id. Hence the rows had nothing else.
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
    list_at = start.end(group) + 2  # after the name come a quotation mark and a colon
    name, rest = body[start.start(group) - 1 : start.end(group) + 1], body[end + 2 :]
    if name in rest:
        return None  # a repeated member, of which JSON keeps the last
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
    except Exception:  # any error of the decoder means that the reply is not plain
        return None
    commas = len(elements) - 1
    if flat.count(b"\n") != commas or len(ids) != len(scores) or not isfinite(total):
        return None
    members[start[group].decode()] = Columns(ids, scores)
    return members


_FLOATS = {float}
_NUMBERS = {float, int, NoneType}

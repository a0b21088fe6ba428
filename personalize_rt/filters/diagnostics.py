"""Error messages for filter expressions: line, column, the source with a caret, and what to write instead.

The values in an expression (strings, numbers, words without their quotes) may be personal data, so each of their
characters is shown as ``•``. Keywords, datasets, fields and parameter names stay readable.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from personalize_rt.errors import FilterSyntaxError

DATASETS = {
    "INTERACTIONS": "Interactions",
    "INTERACTION": "Interactions",
    "ITEMS": "Items",
    "ITEM": "Items",
    "USERS": "Users",
    "USER": "Users",
    "ACTIONS": "Actions",
    "ACTION": "Actions",
    "ACTION_INTERACTIONS": "Action_Interactions",
    "ACTION_INTERACTION": "Action_Interactions",
    "CURRENTUSER": "CurrentUser",
    "CURRENTITEM": "CurrentItem",
}
"""Upper-case spelling to the guide's. The singular names are those of the guide of 2020; filters still use them."""

_SHOWN_AROUND_CARET = 60
_MASK = "•"
_PIECE = re.compile(r"\"[^\"]*\"?|'[^']*'?|\$[A-Za-z0-9_]+|[A-Za-z_][A-Za-z0-9_]*|.", re.DOTALL)
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
# Words that are always shown: keywords of this language, and of SQL and others that people mistake it for.
_VOCABULARY = frozenset(DATASETS) | {
    *("INCLUDE", "EXCLUDE", "ITEMID", "USERID", "ACTIONID", "WHERE", "AND", "OR", "IF", "IN", "NOT"),
    *("LIKE", "BETWEEN", "IS", "NULL", "NOW", "CONTAINS", "TRUE", "FALSE"),
}
_OPERATOR = re.compile(r"\s*(?:[.=<>!]|(?:IN|NOT)\b)", re.IGNORECASE)
# The rest of a comparison written the wrong way round (3 < Items.PRICE): the word before it is a value.
_BEFORE_FIELD = re.compile(rf"\s*[=<>!]+\s*(?:{'|'.join(DATASETS)})\s*\.", re.IGNORECASE)


def syntax_error(
    text: str, start: int, end: int, problem: str, *, hint: str = "", limit: int | None = None
) -> FilterSyntaxError:
    """Build the error for the part of *text* from *start* to *end*.

    Args:
        text: The whole expression.
        start: The first character of the part.
        end: The character after the part.
        problem: What is wrong, and what was expected.
        hint: What to write instead.
        limit: The limit that was exceeded, or ``None``.
    """
    breaks = [match.end() for match in _LINE_BREAK.finditer(text, 0, start)]
    line_start = breaks[-1] if breaks else 0
    line_end = match.start() if (match := _LINE_BREAK.search(text, start)) else len(text)
    column = start - line_start
    source = mask(text)[line_start:line_end]
    first = max(0, column - _SHOWN_AROUND_CARET)
    shown = re.sub(r"\s", " ", source[first : column + _SHOWN_AROUND_CARET])
    if first:
        shown, first = f"…{shown}", first - 1
    if column + _SHOWN_AROUND_CARET < len(source):
        shown += "…"
    width = max(1, min(end - start, len(shown) - (column - first), len(source) - column))
    caret = " " * (column - first) + "^" * width
    message = f"line {len(breaks) + 1}, column {column + 1}: {problem}\n  {shown}\n  {caret}"
    if hint:
        message += f"\n{hint}"
    return FilterSyntaxError(message, line=len(breaks) + 1, column=column + 1, limit=limit)


def mask(text: str) -> str:
    """Hide every character of an expression that may belong to a value. The length stays the same."""
    masked: list[str] = []
    place = "head"  # "head" before a WHERE, "name" where a field is due, "value" from a field to the next condition
    depth = 0
    before, last = "", ""  # the two pieces before this one, as they are shown
    for match in _PIECE.finditer(text):
        piece = match.group()
        first, word = piece[0], piece.upper()
        if first.isspace():
            masked.append(piece)
            continue
        shown = piece
        if first in "\"'":
            closed = len(piece) > 1 and piece[-1] == first
            shown = first + _MASK * (len(piece) - 1 - closed) + first * closed
            place = "value"  # after a stray quote, words may be the inside of strings
        elif first == "_" or (first.isascii() and first.isalpha()):
            is_field = last == "." and (before[:1].isalpha() or before[:1] == "_")
            if word in ("WHERE", "AND", "OR", "IF") and not depth:
                place = "name"
            elif is_field:
                place = "value"
            elif place == "head" and word in ("IN", "LIKE", "CONTAINS", "BETWEEN"):
                place = "value"  # the WHERE is missing
            elif (
                place == "name"
                and not _BEFORE_FIELD.match(text, match.end())
                and (operator := _OPERATOR.match(text, match.end()))
            ):
                place = "name" if operator.group().endswith(".") else "value"
            elif place != "head" and word not in _VOCABULARY:
                shown = _MASK * len(piece)
        elif first.isalnum():
            shown = _MASK
        elif first in "=<>!" and place == "head":
            place = "value"
        elif first == "(":
            depth += 1
            place = "value" if place == "head" else place
        elif first == ")":
            depth = max(0, depth - 1)
        elif first == "|":
            place, depth = "head", 0
        masked.append(shown)
        before, last = last, shown
    return "".join(masked)


def near(word: str, candidates: Iterable[str]) -> str:
    """``did you mean …?`` when *word* looks like a misspelling of one of *candidates*; else an empty string."""
    if not 1 < len(word) <= 50:
        return ""
    from difflib import get_close_matches

    spellings = {candidate.upper(): candidate for candidate in candidates}
    found = get_close_matches(word.upper(), spellings, n=1, cutoff=0.7)
    # get_close_matches() misses swapped letters in short words.
    found = found or [spelling for spelling in spellings if sorted(spelling) == sorted(word.upper())]
    return f"did you mean {spellings[found[0]]}?" if found else ""

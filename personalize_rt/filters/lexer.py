"""Lexer of the filter language. Takes time in proportion to the length of the text."""

from __future__ import annotations

import re
from typing import NamedTuple

from personalize_rt.filters.diagnostics import syntax_error

_TOKEN = re.compile(
    r"""
      (?P<space>     \s+ )
    | (?P<word>      [A-Za-z_][A-Za-z0-9_]* )
    | (?P<number>    -?[0-9]+(?:\.[0-9]+)?(?![A-Za-z0-9_.]) )
    | (?P<parameter> \$[A-Za-z0-9_]+ )
    | (?P<string>    "[^"]*" | '[^']*' )
    | (?P<operator>  <= | >= | != | [=<>] )
    | (?P<mark>      [().,|] )
    """,
    re.VERBOSE,
)

_NOT_A_NUMBER = re.compile(r"[-+]?\.?[0-9][A-Za-z0-9_.]*")
_DOUBLED = re.compile(r"\"\"(?=\w)|''(?=\w)|(?<=\w)\"\"|(?<=\w)''")
_STRAIGHT_QUOTES = 'write string values in straight double quotes (")'
# Habits from word processors, shells, JSON, SQL and programming languages.
_HINTS = {
    # Quotes of word processors: curly, low, angled, primes and accents.
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033", _STRAIGHT_QUOTES),
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u00b4`", _STRAIGHT_QUOTES),
    "\\": "the language has no backslash: give the expression as it is, without the escapes of a shell or of JSON",
    "*": 'write it as a string: "*", for Interactions.EVENT_TYPE and Action_Interactions.EVENT_TYPE only',
    ";": "an expression ends without a semicolon",
    "&": "write AND",
    "!": "write != or NOT IN",
    "~": "write != or NOT IN",
    "[": "lists stand in parentheses: IN (…)",
    "]": "lists stand in parentheses: IN (…)",
    "{": "the language has no templates: fill them in before, or use a parameter such as $DATE",
    "}": "the language has no templates: fill them in before, or use a parameter such as $DATE",
    "@": "the language has no time functions: compare a field of Unix seconds with a number or a parameter",
    ":": "a parameter begins with $: $NAME",
    "?": "a parameter begins with $: $NAME",
    "$": "a parameter is $ and a name of letters, digits and underscores, without a space: $NAME",
    "%": "IN and NOT IN compare whole values; there are no wildcards",
    **dict.fromkeys("+-/", "the language does not calculate: compare a field with one number or parameter"),
}


class Token(NamedTuple):
    """One word, value or mark of an expression.

    Attributes:
        kind: ``"word"``, ``"number"``, ``"parameter"``, ``"string"``, ``"operator"``, one of ``( ) . , |``,
            or ``"end"``.
        text: The token as written, quotes and ``$`` included.
        start: Offset of its first character.
        end: Offset after its last character.
        upper: The text in upper case if it is a word; empty for other kinds.
    """

    kind: str
    text: str
    start: int
    end: int
    upper: str


def tokenize(text: str) -> list[Token]:
    """Split an expression into tokens; the last ones are of kind ``"end"``.

    Raises:
        FilterSyntaxError: A character, string or number that is not part of the language.
    """
    tokens: list[Token] = []
    at, length, match_at = 0, len(text), _TOKEN.match
    while at < length:
        match = match_at(text, at)
        if match is None:
            raise _unknown(text, at)
        kind, end = match.lastgroup or "", match.end()
        if kind != "space":
            piece = match.group()
            tokens.append(
                Token(piece if kind == "mark" else kind, piece, at, end, piece.upper() if kind == "word" else "")
            )
        at = end
    # Three, since the parser looks two tokens ahead.
    tokens += [Token("end", "", length, length, "")] * 3
    return tokens


def _unknown(text: str, at: int) -> Exception:
    """The error for a place where no token begins."""
    character = text[at]
    if character in "\"'":
        doubled = _DOUBLED.search(text)
        if doubled is not None:
            return syntax_error(text, doubled.start(), doubled.end(), "two quotes stand side by side: write one")
        return syntax_error(
            text,
            at,
            len(text),
            f"this string is not closed: the second {character} is missing",
            hint="close each string before the comma or bracket",
        )
    number = _NOT_A_NUMBER.match(text, at)
    if number is not None and text[:at].rstrip().endswith("."):
        return syntax_error(text, at, number.end(), "the name of a field begins with a letter or _")
    if number is not None:
        return syntax_error(
            text,
            at,
            number.end(),
            "expected a number such as 18, -3 or 19.5",
            hint="write numbers in digits, without an exponent; times are Unix seconds; a string stands in quotes",
        )
    if character.isalnum():
        return syntax_error(
            text,
            at,
            at + 1,
            "keywords, datasets and fields are written with A-Z, a-z, 0-9 and _",
            hint="string values stand in double quotes",
        )
    name = repr(character) if character.isascii() else f"U+{ord(character):04X}"
    hint = _HINTS.get(character, "")
    return syntax_error(text, at, at + 1, f"{name} has no meaning outside strings", hint=hint)

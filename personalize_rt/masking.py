"""Masking of personal values in foreign texts, in whatever form the values occur there.

A service, a proxy or a library may repeat the values of a request: unchanged, escaped for HTML, a URL or JSON, in upper
case, or cut off. So a text is searched for parts that it has in common with a value:

* A **token** (a part between spaces, quotes, brackets and ``, ; = : | /``) is hidden if it shares four or more
  consecutive characters with a value, not counting white space and plus signs.
* A shorter value is hidden where it stands alone: the user ``u1``, but not in ``u12``.

Both are compared without escapes (HTML, percent, backslash; up to eight layers), without regard to case, and in
Unicode's compatibility forms (NFKC, NFKD). Base64 and hexadecimal digits are decoded too. Hashed or encrypted values
are not found.

Some tokens share characters by chance. So these stay: complete texts of ``shown``, and the common words of messages
(:data:`_MESSAGES`) unless they are quoted or cut off by dots. If a value itself is such a word, it is hidden.
"""

from __future__ import annotations

import codecs
import re
from binascii import Error, a2b_base64
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from typing import NamedTuple
from unicodedata import combining, normalize

__all__ = ["parts_in_common"]

_RUN = 4  # common characters that are not taken for a coincidence
_LAYERS = 8
_PACKED = 2  # layers of base64 or hexadecimal digits
_MOST = 30  # layers of any kind, a bound for malicious texts


def parts_in_common(
    text: str, secrets: Iterable[str], shown: Iterable[str], run: int | None = None
) -> list[tuple[int, int]]:
    """Find the parts of a text to hide, from left to right, with overlaps, by the rule of this module.

    Takes time in proportion to the length of the text and the values.

    Args:
        text: A foreign message, which may repeat values.
        secrets: The values to hide; values of white space are ignored.
        shown: The texts to keep: ARNs, item ids, names of parameters.
        run: The number of common characters from which on a token is hidden; by default four.
    """
    values = _Values(secrets, run or _RUN)
    if not values:
        return []
    may_stay = _Shown(shown)
    return sorted(span for layer in _layers(text, values) for span in layer.hidden(values, may_stay))


class _Values:
    """The values to hide, in the form for comparison."""

    def __init__(self, secrets: Iterable[str], run: int) -> None:
        forms: set[str] = set()
        for secret in secrets:
            forms.update(_fold(text).chars.strip() for text in _undone_texts(secret))
        forms.discard("")
        self.run = run
        self.all = forms
        self.short = {form for form in forms if _size(form) < run}
        self.long = forms - self.short
        self.sizes = {len(form) for form in self.short}
        self.pieces = {form[n : n + run] for form in self.long for n in range(len(form) - run + 1)}

    def __bool__(self) -> bool:
        return bool(self.all)

    def may_be_in(self, held: str) -> bool:
        """Tell whether a decoded word may be a value. Most words can be decoded from base64 to some short text."""
        folded = _fold(held).chars.strip()
        return (
            _size(folded) >= 2 * _RUN
            or folded in self.short
            or any(folded[n : n + self.run] in self.pieces for n in range(len(folded) - self.run + 1))
        )

    def is_part_of(self, token: str) -> bool:
        """Tell whether a token contains a long value."""
        return any(value in token for value in self.long)

    def stands_in(self, token: str) -> bool:
        """Tell whether a token is a value, or contains a long one that stands alone."""
        return token in self.all or any(
            _stands_alone(token, match.start(), match.end())
            for value in self.long
            if value in token
            for match in re.finditer(re.escape(value), token)
        )


def _size(text: str) -> int:
    """The number of characters without spaces."""
    return len(text) - text.count(" ")


class _Shown:
    """The texts to keep, in the form for comparison. The ids of 500 items are folded only when they are needed."""

    def __init__(self, shown: Iterable[str]) -> None:
        self._shown = shown

    @cached_property
    def arns(self) -> set[str]:
        return {text for text in self._whole if text.startswith("arn:")}

    @cached_property
    def tokens(self) -> set[str]:
        return self._whole - self.arns

    @cached_property
    def _whole(self) -> set[str]:
        shown = set(self._shown)
        together = "\0".join(shown)
        if together.isascii() and together.count("\0") == len(shown) - 1:
            return set(_fold(together).chars.split("\0"))
        return {_fold(text).chars for text in shown}


class _Folded(NamedTuple):
    """A text in another form, with the origin of each of its characters.

    Attributes:
        chars: The characters.
        starts: For each character, the start of its origin in the original text.
        ends: For each character, the end of its origin.
    """

    chars: str
    starts: Sequence[int]
    ends: Sequence[int]


def _fold(text: str) -> _Folded:
    """Normalise case and compatibility forms of a text, and all white space to spaces."""
    if text.isascii():
        return _Folded(text.translate(_SPACES).lower(), range(len(text)), range(1, len(text) + 1))
    chars: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    start = 0
    for end in range(1, len(text) + 1):
        # A letter and its marks are normalised together: the marks may be in any order, or composed with the letter.
        if end < len(text) and combining(text[end]):
            continue
        folded = normalize("NFKD", normalize("NFKD", text[start:end]).casefold()).translate(_SPACES)
        chars.append(folded)
        starts += [start] * len(folded)
        ends += [end] * len(folded)
        start = end
    return _Folded("".join(chars), starts, ends)


_SPACES = {ord(char): " " for char in map(chr, range(0x3001)) if char.isspace()} | {ord("ı"): "i"}


# Escapes. Adjacent ones are one match, since a character may be encoded by several.
_ESCAPE = re.compile(
    r"""
      (?P<percent> (?:%[0-9A-Fa-f]{2})+ )
    | (?P<bytes>   (?:\\x[0-9A-Fa-f]{2})+ )
    | (?P<utf16>   (?:[\\%]u[0-9A-Fa-f]{4})+ )
    | (?P<code>    \\u\{[0-9A-Fa-f]{1,6}\} | \\U[0-9A-Fa-f]{8} | &\#[xX][0-9A-Fa-f]{1,6};? )
    | (?P<decimal> &\#[0-9]{1,7};? )
    | (?P<name>    &[A-Za-z][A-Za-z0-9]{1,31};? )
    | (?P<char>    \\["'\\/bfnrtv] | \+ )
    """,
    re.VERBOSE,
)
_CHARS = {"\\b": "\b", "\\f": "\f", "\\n": "\n", "\\r": "\r", "\\t": "\t", "\\v": "\v", "+": " "}  # a plus, in forms


def _meant(escape: re.Match[str]) -> str:
    """The characters that an escape stands for."""
    text = escape.group()
    match escape.lastgroup:
        case "percent":
            return _utf8_or_latin(bytes.fromhex(text.replace("%", "")))
        case "bytes":
            return _utf8_or_latin(bytes.fromhex(text.replace("\\x", "")))
        case "utf16":
            return bytes.fromhex(re.sub(r"[\\%]u", "", text)).decode("utf-16-be", "surrogatepass")
        case "code":
            return _chr(int(text.strip("\\uU{}&#xX;"), 16))
        case "decimal":
            return _chr(int(text.strip("&#;")))
        case "name":
            from html import unescape

            return unescape(text)
        case _:
            return _CHARS.get(text, text[-1])


def _chr(code: int) -> str:
    return chr(code) if code <= 0x10FFFF else ""


def _utf8_or_latin(octets: bytes) -> str:
    text = octets.decode("utf-8", "surrogateescape")
    return re.sub("[\udc80-\udcff]", lambda match: chr(ord(match[0]) - 0xDC00), text)


def _undone(text: str) -> _Folded | None:
    """Decode one layer of escapes; ``None`` if there is none. The result is not folded."""
    if _ESCAPE.search(text) is None:
        return None
    chars: list[str] = []
    starts: list[int] = []
    ends: list[int] = []

    def keep(start: int, end: int) -> None:
        chars.append(text[start:end])
        starts.extend(range(start, end))
        ends.extend(range(start + 1, end + 1))

    done = 0
    for escape in _ESCAPE.finditer(text):
        keep(done, escape.start())
        meant, done = _meant(escape), escape.end()
        chars.append(meant)
        starts.extend([escape.start()] * len(meant))
        ends.extend([done] * len(meant))
    keep(done, len(text))
    plain = "".join(chars)
    return None if plain == text else _Folded(plain, starts, ends)


def _undone_texts(text: str) -> Iterator[str]:
    """Yield a text, and the same after decoding each layer of escapes."""
    for _ in range(_LAYERS):
        yield text
        undone = _undone(text)
        if undone is None:
            return
        text = undone.chars


# Base64 and hexadecimal digits.
_PACK = re.compile(r"[A-Za-z0-9+/_-]{2,}(?:={1,2}|(?:%3[Dd]){1,2})?")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")


def _unpacked(text: str, values: _Values) -> _Folded | None:
    """Decode base64 and hexadecimal digits in a text, and join the results; ``None`` if there are none. Not folded."""
    chars: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for pack in _PACK.finditer(text):
        for held in _held(pack.group()):
            if not values.may_be_in(held):
                continue
            chars.append(f"{held}\n")
            starts.extend([pack.start()] * (len(held) + 1))
            ends.extend([pack.end()] * (len(held) + 1))
    return _Folded("".join(chars), starts, ends) if chars else None


def _held(pack: str) -> Iterator[str]:
    tries: list[bytes] = []
    digits = _HEX.match(pack)
    if digits:
        tries.append(bytes.fromhex(digits.group()))
    letters = pack.rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
    letters = letters[: len(letters) - (len(letters) % 4 == 1)]
    with suppress(Error):
        tries.append(a2b_base64(letters + "=" * (-len(letters) % 4)))
    for octets in tries:
        # By an incremental decoder, which ignores a last character that was cut.
        try:
            yield codecs.getincrementaldecoder("utf-8")().decode(octets)
        except UnicodeDecodeError:
            continue


class _Layer:
    """The text to be masked after decoding some layers.

    Args:
        plain: The decoded text, in its original case.
        starts: For each character, the start of its origin in the text to be masked.
        ends: For each character, the end of its origin.
    """

    def __init__(self, plain: str, starts: Sequence[int], ends: Sequence[int]) -> None:
        self.plain = plain
        self.starts = starts
        self.ends = ends

    def over(self, inner: _Folded | None) -> _Layer | None:
        """The layer of a text that was decoded from this one."""
        if inner is None:
            return None
        return _Layer(inner.chars, [self.starts[n] for n in inner.starts], [self.ends[n - 1] for n in inner.ends])

    def hidden(self, values: _Values, shown: _Shown) -> Iterator[tuple[int, int]]:
        """Find the parts to hide, as spans of the text to be masked."""
        folded = _fold(self.plain)
        chars = folded.chars
        runs = [*_runs(chars, values)]
        alone = [*_short(chars, values)]
        if not runs and not alone:
            return
        tokens = _Tokens(chars)
        arns = _Places(chars, shown.arns)
        is_value: dict[str, bool] = {}
        for start, end in alone:
            if not arns.hold(start, end):
                yield self._place(folded, start, end)
        for start, end in runs:
            if arns.hold(start, end):
                continue
            first, last = tokens.around(start, end)
            if self._may_stay(folded, first, last, shown):
                token = chars[first:last]
                if token not in is_value:
                    # A token of several ordinary words, such as RecommendationID, is hidden if one of them is a value.
                    composed = token not in _ORDINARY and token not in shown.tokens
                    is_value[token] = values.stands_in(token) or (composed and values.is_part_of(token))
                if not is_value[token]:
                    continue
            yield self._place(folded, first, last)

    def _place(self, folded: _Folded, start: int, end: int) -> tuple[int, int]:
        return self.starts[folded.starts[start]], self.ends[folded.ends[end - 1] - 1]

    def _may_stay(self, folded: _Folded, start: int, end: int, shown: _Shown) -> bool:
        """Tell whether a token is to be kept, or is a common word of messages."""
        token, after = folded.chars[start:end], folded.chars[end : end + 3]
        if after.startswith(("..", "…")):
            return False  # cut off, so it may be the beginning of a value
        if token in shown.tokens:
            return True
        quoted = folded.chars[start - 1 : start] in _QUOTES or after[:1] in _QUOTES
        if quoted:
            return False
        plain = self.plain[folded.starts[start] : folded.ends[end - 1]]
        return plain.isascii() and plain.isalpha() and all(word.lower() in _ORDINARY for word in _WORD.findall(plain))


_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_QUOTES = frozenset("'\"`“”‘’«»")
_TOKEN = re.compile(r"[^\s'\"`“”‘’«»()\[\]{}<>,;=:|/]+")
_END_OF_SENTENCE = ".!?…"


class _Tokens:
    """The tokens of a text."""

    def __init__(self, chars: str) -> None:
        self._chars = chars
        self._spans = [match.span() for match in _TOKEN.finditer(chars)]
        self._starts = [start for start, _ in self._spans]

    def around(self, start: int, end: int) -> tuple[int, int]:
        """Extend a span to whole tokens, without punctuation at the end."""
        first, last = self._at(start), self._at(end - 1)
        until = last[1] if last else end
        while until > end and self._chars[until - 1] in _END_OF_SENTENCE:
            until -= 1
        return first[0] if first else start, until

    def _at(self, place: int) -> tuple[int, int] | None:
        n = bisect_right(self._starts, place) - 1
        return self._spans[n] if n >= 0 and place < self._spans[n][1] else None


def _runs(chars: str, values: _Values) -> Iterator[tuple[int, int]]:
    """Find the spans of a text in which each character is one of ``run`` consecutive ones of a long value."""
    run, pieces = values.run, values.pieces
    if not pieces:
        return
    start = end = -1
    for n in range(len(chars) - run + 1):
        if chars[n : n + run] not in pieces:
            continue
        if n != end - run + 1:  # does not continue the last span
            if start >= 0:
                yield from _stripped(chars, start, end, run)
            start = n
        end = n + run
    if start >= 0:
        yield from _stripped(chars, start, end, run)


def _stripped(chars: str, start: int, end: int, run: int) -> Iterator[tuple[int, int]]:
    while start < end and chars[start] == " ":
        start += 1
    while end > start and chars[end - 1] == " ":
        end -= 1
    if _size(chars[start:end]) >= run:
        yield start, end


def _short(chars: str, values: _Values) -> Iterator[tuple[int, int]]:
    """Find short values that stand alone."""
    for size in values.sizes:
        for start in range(len(chars) - size + 1):
            if chars[start : start + size] not in values.short:
                continue
            # With its spaces, a value may be long enough not to be a coincidence.
            if size >= values.run or _stands_alone(chars, start, start + size):
                yield start, start + size


def _stands_alone(chars: str, start: int, end: int) -> bool:
    """Tell whether neither end of a span is inside a word. Only ASCII letters and digits form words here."""
    return not (
        (start > 0 and _goes_on(chars[start - 1], chars[start]))
        or (end < len(chars) and _goes_on(chars[end - 1], chars[end]))
    )


def _goes_on(one: str, other: str) -> bool:
    return one.isascii() and one.isalnum() and other.isascii() and other.isalnum()


class _Places:
    """Places of ARNs in a text."""

    def __init__(self, chars: str, arns: Iterable[str]) -> None:
        ends: dict[int, int] = {}
        for arn in arns:
            for match in re.finditer(rf"{re.escape(arn)}(?![\w-])", chars):
                ends[match.start()] = max(match.end(), ends.get(match.start(), 0))
        self._spans = sorted(ends.items())
        self._starts = [start for start, _ in self._spans]

    def hold(self, start: int, end: int) -> bool:
        """Tell whether a span is inside an ARN, and not all of it."""
        n = bisect_right(self._starts, start) - 1
        return n >= 0 and end <= self._spans[n][1] and self._spans[n] != (start, end)


def _layers(text: str, values: _Values) -> Iterator[_Layer]:
    """Yield the text, the same after decoding each layer of escapes, and the decoded digits of all of these."""
    waiting: list[tuple[_Layer | None, int]] = [(_Layer(text, range(len(text)), range(1, len(text) + 1)), 0)]
    left = _MOST
    while waiting:
        layer, packed = waiting.pop(0)
        for _ in range(_LAYERS + 1):
            if layer is None or not left:
                break
            left -= 1
            yield layer
            if packed < _PACKED:
                waiting.append((layer.over(_unpacked(layer.plain, values)), packed + 1))
            layer = layer.over(_undone(layer.plain))


# The words of messages of AWS, of proxies and of botocore's log.
_MESSAGES = """
a aborted about access account action actions active after again allowed allows already amazon amazonaws an and any
are argument arn at authentication authorization authorize authorized aws bad based be because been before below
between both botocore but calculating calling campaign campaigns cannot client clock column columns com combination
configuration configured connection constraint contains content context could create creating credential credentials
currently data dataset date default delete denied description details does down duplicate each either empty endpoint
entities entity error event exactly example exceed exceeded exceeds exception exist existing exists expected expired
expression fail failed failure field filter filters following for forbidden format found from function gateway get
greater group handler has have headers host http identity if in inactive included incomplete input instead internal
invalid is it item items its key known large latest least length less limit list long longer making malformed many
match maximum may member message metadata method minimum missing model more must name names need needs no none not
null number object of on one only operation operations opt or order other out parameter parameters parse pattern
perform permission permissions personalize personalized policy privileges promoted promotion promotions provide
provided quota ran ranking rate reached reason recipe recognized recommendation recommendations recommender
recommenders region regular request requested requests required resource resources response result results retry
retrying role runtime satisfy schema security send sending sent serialization server service session should signature
signed since slow smaller solution some specified state status still string such supported than that the their them
then there these they this those throttled throttling time timed timeout timestamp to token too try trying type unable
unauthorized unavailable unexpected unknown unprocessable unrecognized unsupported until update use used user users
using valid validation value values version was were when where which while with within without you your
"""
_ORDINARY = frozenset(_MESSAGES.split())

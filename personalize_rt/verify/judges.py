"""Judges of answers: pure functions from what was seen to a verdict. None of their words is a value of the account."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from math import fsum
from typing import Any, cast

import attrs

from personalize_rt.errors import DOES_NOT_EXIST
from personalize_rt.verify.requests import PROMOTED_OF, PROMOTED_PERCENT, UNKNOWN, Setup

__all__ = ["Exchange", "Judge", "Verdict"]

INVALID = "InvalidInputException"
# Scores of one answer sum to 1 but for rounding, even to fewer digits than the seven that are expected.
_TOLERANCE = 1e-3
_NUMBER = r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_SCORE = re.compile(rf'"score"\s*:\s*({_NUMBER})')
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_WORD = re.compile(r"[A-Za-z]{1,64}")
_RECOMMENDATION_ID = re.compile(r"RID-[0-9a-f]{2}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}-CID-[0-9a-f]{6}")
_MEMBERS = ("itemId", "score", "promotionName", "metadata", "reason")


@attrs.frozen
class Verdict:
    """A judgement.

    Attributes:
        agrees: Whether the answer is as believed; ``None`` when it does not settle the question.
        seen: What was seen, in words that hold nothing of the account.
    """

    agrees: bool | None
    seen: str


@attrs.frozen(slots=False, repr=False)
class Exchange:
    """A request and its answer.

    Attributes:
        members: The members of the request.
        status: The HTTP status.
        headers: The headers, names in lower case.
        text: The body as it came.
    """

    members: Mapping[str, Any]
    status: int
    headers: Mapping[str, str]
    text: str

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """The body as JSON; empty when it is no object."""
        try:
            document: Any = json.loads(self.text)
        except (ValueError, RecursionError):
            document = None
        return cast("Mapping[str, Any]", document) if isinstance(document, dict) else {}

    @cached_property
    def code(self) -> str:
        """The error code, or an empty text."""
        told = self.headers.get("x-amzn-errortype") or self.document.get("__type") or self.document.get("code") or ""
        word = _WORD.match(str(told).partition(":")[0].rpartition("#")[2])
        return "" if word is None else word[0]

    @cached_property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """The items of the answer."""
        for name in ("itemList", "personalizedRanking"):
            rows: Any = self.document.get(name)
            if isinstance(rows, Sequence):
                return [cast("dict[str, Any]", row) for row in cast("list[Any]", rows) if isinstance(row, dict)]
        return []

    @property
    def metadata(self) -> list[Mapping[str, Any]]:
        """The metadata of each item that has some."""
        found = (row.get("metadata") for row in self.rows)
        return [cast("dict[str, Any]", each) for each in found if isinstance(each, dict)]

    @property
    def ids(self) -> list[Any]:
        """The items, in order."""
        return [row.get("itemId") for row in self.rows]

    @property
    def item_ids(self) -> list[str]:
        """The items that can be asked for."""
        return [id for id in self.ids if isinstance(id, str)]

    @property
    def scores(self) -> list[float]:
        """The scores that are there, in order."""
        return [row["score"] for row in self.rows if isinstance(row.get("score"), int | float)]

    @property
    def score_texts(self) -> list[str]:
        """The scores as they are written."""
        return _SCORE.findall(self.text)

    @property
    def outcome(self) -> str:
        """Status and code."""
        return f"{self.status} {self.code}".rstrip()

    @property
    def settles_nothing(self) -> bool:
        """Tell whether this is trouble, not an answer: no permission, a throttle, a failure of the service."""
        return (self.status >= 401 and self.status != 404) or "Throttling" in self.code or "Denied" in self.code


Judge = Callable[[Setup, Sequence[Exchange]], Verdict]


# Whether it is answered.


def refused(_: Setup, seen: Sequence[Exchange]) -> Verdict:
    """``InvalidInputException``, 400."""
    (exchange,) = seen
    return Verdict((exchange.status, exchange.code) == (400, INVALID), exchange.outcome)


def answered(_: Setup, seen: Sequence[Exchange]) -> Verdict:
    """An answer, 200."""
    (exchange,) = seen
    return Verdict(exchange.status == 200, exchange.outcome)


def text_of_a_missing_resource(_: Setup, seen: Sequence[Exchange]) -> Verdict:
    """The message: the ARN, then the recorded words."""
    (exchange,) = seen
    arn = exchange.members.get("campaignArn") or exchange.members.get("recommenderArn")
    message = exchange.document.get("message") or exchange.document.get("Message")
    if exchange.code != INVALID or not message:
        return Verdict(None, exchange.outcome)
    alike = message == f"{arn} {DOES_NOT_EXIST}"
    return Verdict(alike, "the recorded words" if alike else "other words")


def form_of_an_error(_: Setup, seen: Sequence[Exchange]) -> Verdict:
    """The code in ``x-amzn-errortype``, an id in ``x-amzn-requestid``, the text in ``message``."""
    (exchange,) = seen
    if exchange.status == 200:
        return Verdict(None, "200, no error")
    places = {
        "x-amzn-errortype": "x-amzn-errortype" in exchange.headers,
        "x-amzn-requestid": "x-amzn-requestid" in exchange.headers,
        "message": isinstance(exchange.document.get("message"), str),
    }
    missing = [name for name, there in places.items() if not there]
    return Verdict(not missing, f"without {', '.join(missing)}" if missing else "all three are there")


def throttles(_: Setup, seen: Sequence[Exchange]) -> Verdict:
    """A throttle is ``ThrottlingException``, 400."""
    throttled = [exchange for exchange in seen if exchange.status == 429 or "Throttl" in exchange.code]
    if not throttled:
        return Verdict(None, "no request was throttled")
    outcomes = sorted({exchange.outcome for exchange in throttled})
    return Verdict(outcomes == ["400 ThrottlingException"], ", ".join(outcomes))


# Order.


def descending(_: Setup, seen: Sequence[Exchange]) -> Verdict:
    """Scores never rise."""
    scores = [exchange.scores for exchange in seen]
    if not any(len(each) > 1 for each in scores):
        return Verdict(None, "no scores")
    rises = sum(one < other for each in scores for one, other in pairwise(each))
    return Verdict(not rises, f"{rises} rises" if rises else "no rise")


def unknown_last(_: Setup, seen: Sequence[Exchange]) -> Verdict:
    """Unknown items stand at the end, in input order."""
    (exchange,) = seen
    asked = [id for id in exchange.members["inputList"] if id in UNKNOWN]
    got = [id for id in exchange.ids if id in UNKNOWN]
    if len(got) < len(asked):
        return Verdict(False, f"{len(got)} of {len(asked)} unknown items came back")
    if exchange.ids[-len(asked) :] != got:
        return Verdict(False, "not at the end")
    return Verdict(got == asked, "at the end, in input order" if got == asked else "at the end, in another order")


def unknown_without_score(_: Setup, seen: Sequence[Exchange]) -> Verdict:
    """Unknown items have no score, not even 0."""
    (exchange,) = seen
    scores = [row.get("score") for row in exchange.rows if row.get("itemId") in UNKNOWN]
    if not scores:
        return Verdict(None, "no unknown items came back")
    scored = sum(score is not None for score in scores)
    zero = " of 0" if all(score in (None, 0) for score in scores) else ""
    return Verdict(not scored, f"{scored} of {len(scores)} have a score{zero}" if scored else "none has a score")


def ties(_: Setup, seen: Sequence[Exchange]) -> Verdict:
    """Items of equal score are in input order, also if the input is reversed."""
    equal = 0
    for exchange in seen:
        place = {id: n for n, id in enumerate(exchange.members["inputList"])}
        for one, other in pairwise(exchange.rows):
            if one.get("score") is not None and one.get("score") == other.get("score"):
                equal += 1
                if place.get(one.get("itemId"), 0) > place.get(other.get("itemId"), 0):
                    return Verdict(False, "equal scores in another order")
    return Verdict(True if equal else None, f"{equal} pairs of equal scores")


def duplicates(_: Setup, seen: Sequence[Exchange]) -> Verdict:
    """An item that the input has twice comes back twice, side by side, with one score."""
    (exchange,) = seen
    if exchange.status != 200:
        return Verdict(False, exchange.outcome)
    twice = exchange.members["inputList"][0]
    places = [n for n, id in enumerate(exchange.ids) if id == twice]
    if len(places) != 2:
        return Verdict(False, f"it came back {len(places)} times")
    scores = {exchange.rows[place].get("score") for place in places}
    alike = places[1] - places[0] == 1 and len(scores) == 1
    return Verdict(alike, f"twice, {'side by side' if places[1] - places[0] == 1 else 'apart'}, {len(scores)} scores")


def default_number(_: Setup, seen: Sequence[Exchange]) -> Verdict:
    """``numResults`` of 0 means the default."""
    zero, absent = seen
    if zero.status != 200 or absent.status != 200:
        return Verdict(False if absent.status == 200 else None, zero.outcome)
    return Verdict(len(zero.rows) == len(absent.rows), f"{len(zero.rows)} items, {len(absent.rows)} when it is absent")


# Numbers.


def sum_is_one(_: Setup, seen: Sequence[Exchange]) -> Verdict:
    """The scores sum to 1."""
    (exchange,) = seen
    # An answer that is full may leave items out.
    if exchange.status != 200 or not exchange.scores or len(exchange.rows) >= 500:
        return Verdict(None, f"{exchange.outcome}, {len(exchange.scores)} scores of {len(exchange.rows)} items")
    total = fsum(exchange.scores)
    return Verdict(abs(total - 1) <= _TOLERANCE, f"{total:.3f}")


def sum_is_at_most_one(_: Setup, seen: Sequence[Exchange]) -> Verdict:
    """The scores of a part sum to no more than 1."""
    (exchange,) = seen
    if not exchange.scores:
        return Verdict(None, "no scores")
    total = fsum(exchange.scores)
    return Verdict(total <= 1 + _TOLERANCE, "at most 1" if total <= 1 + _TOLERANCE else "more than 1")


def seven_decimals(_: Setup, seen: Sequence[Exchange]) -> Verdict:
    """No score has more than 7 decimals, and some have as many, or 6 where a zero was dropped."""
    decimals = [_decimals(text) for exchange in seen for text in exchange.score_texts]
    most = max(decimals, default=0)
    if most <= 5 and sum(each >= 2 for each in decimals) < 5:
        return Verdict(None, f"{len(decimals)} scores, of which few have decimals")
    return Verdict(6 <= most <= 7, f"at most {most} decimals")


def _decimals(text: str) -> int:
    mantissa, _, exponent = text.lower().partition("e")
    fraction = mantissa.partition(".")[2].rstrip("0")
    whole = 0 if fraction else -len(mantissa) + len(mantissa.rstrip("0"))
    return max(0, len(fraction) + whole - int(exponent or 0))


def small_numbers(_: Setup, seen: Sequence[Exchange]) -> Verdict:
    """Scores below 1e-3, and only these, have an exponent, written as in Java."""
    texts = [text for exchange in seen for text in exchange.score_texts if 0 < abs(float(text)) < 1]
    small = [text for text in texts if abs(float(text)) < 1e-3]
    if not small:
        return Verdict(None, "no score below 0.001")
    java = [re.fullmatch(r"-?\d\.\d+E-\d+", text) is not None for text in small]
    others = sum("e" in text.lower() for text in texts if text not in small)
    seen_as = f"{sum(java)} of {len(small)} small scores as d.dE-n, {others} others with an exponent"
    return Verdict(all(java) and not others, seen_as)


# Rows.


def _all_rows(seen: Sequence[Exchange]) -> Iterator[Mapping[str, Any]]:
    for exchange in seen:
        yield from exchange.rows


def null_members(_: Setup, seen: Sequence[Exchange]) -> Verdict:
    """Each row has all known members, null where there is nothing."""
    rows = list(_all_rows(seen))
    if not rows:
        return Verdict(None, "no rows")
    missing = [name for name in _MEMBERS if any(name not in row for row in rows)]
    return Verdict(not missing, f"without {', '.join(missing)}" if missing else "all five are there")


def other_members(_: Setup, seen: Sequence[Exchange]) -> Verdict:
    """Members beside the known ones are null. The verdict names them; they are the service's."""
    others: dict[str, bool] = {}
    for row in _all_rows(seen):
        for name, value in row.items():
            if name not in _MEMBERS:
                others[name] = others.get(name, True) and value is None
    names = [name if _WORD.fullmatch(name) else "one without a plain name" for name in others]
    return Verdict(all(others.values()), ", ".join(names) or "none")


def row_order(_: Setup, seen: Sequence[Exchange]) -> Verdict:
    """A row begins with ``itemId`` and ``score``."""
    rows = list(_all_rows(seen))
    if not rows:
        return Verdict(None, "no rows")
    # Whether they are there is another question.
    expected = [[name for name in _MEMBERS[:2] if name in row] for row in rows]
    alike = all(list(row)[: len(first)] == first for row, first in zip(rows, expected, strict=True))
    return Verdict(alike, "so it is" if alike else "in another order")


def compact(_: Setup, seen: Sequence[Exchange]) -> Verdict:
    """The JSON has no white space between its parts."""
    loose = any(re.search(r"\s", _STRING.sub("", exchange.text)) for exchange in seen)
    return Verdict(not loose, "with white space" if loose else "without white space")


def recommendation_id(_: Setup, seen: Sequence[Exchange]) -> Verdict:
    """All ids look like ``RID-…-CID-…``, 40 characters."""
    ids = [exchange.document.get("recommendationId") for exchange in seen]
    alike = all(isinstance(id, str) and _RECOMMENDATION_ID.fullmatch(id) for id in ids)
    lengths = sorted({len(id) for id in ids if isinstance(id, str)})
    return Verdict(alike, f"{'that' if alike else 'another'} form, lengths {lengths}")


# Metadata and promotions.


def metadata_keys(setup: Setup, seen: Sequence[Exchange]) -> Verdict:
    """Keys are the columns in lower case, with their underscores."""
    (exchange,) = seen
    if exchange.status != 200:
        return Verdict(None, exchange.outcome)
    keys = {key for each in exchange.metadata for key in each}
    if not keys:
        return Verdict(None, "no metadata came back")
    forms = {
        "in lower case with underscores": {column.lower() for column in setup.columns},
        "as in the schema": set(setup.columns),
        "in camel case": {_camel(column) for column in setup.columns},
    }
    fitting = [form for form, expected in forms.items() if keys <= expected]
    return Verdict(next(iter(forms)) in fitting, " or ".join(fitting) or "in another spelling")


def _camel(column: str) -> str:
    first, *others = column.lower().split("_")
    return first + "".join(map(str.capitalize, others))


def metadata_values(_: Setup, seen: Sequence[Exchange]) -> Verdict:
    """Values are strings."""
    (exchange,) = seen
    values = [value for each in exchange.metadata for value in each.values()]
    if not values:
        return Verdict(None, "no metadata came back")
    others = sum(not isinstance(value, str) for value in values)
    return Verdict(not others, f"{others} of {len(values)} values are no strings" if others else "strings")


def metadata_in_any_case(_: Setup, seen: Sequence[Exchange]) -> Verdict:
    """Columns in another case are the same columns."""
    usual, other = seen
    if usual.status != 200:
        return Verdict(None, usual.outcome)
    if other.status != 200:
        return Verdict(False, other.outcome)

    def counted(exchange: Exchange) -> int:
        return sum(map(len, exchange.metadata))

    return Verdict(bool(counted(other)) or not counted(usual), f"{counted(other)} values, {counted(usual)} as usual")


def promoted_share(_: Setup, seen: Sequence[Exchange]) -> Verdict:
    """The promoted share is rounded down: 4 of 15 for 30 percent."""
    promotion, eligible = seen
    expected = PROMOTED_OF * PROMOTED_PERCENT // 100
    if promotion.status != 200:
        return Verdict(None, promotion.outcome)
    promoted = sum(row.get("promotionName") is not None for row in promotion.rows)
    if len(promotion.rows) < PROMOTED_OF or (promoted <= expected and len(eligible.rows) <= expected):
        return Verdict(None, f"{promoted} promoted; too few items to tell")
    return Verdict(promoted == expected, f"{promoted} of {len(promotion.rows)} promoted")

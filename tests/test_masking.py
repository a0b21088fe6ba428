"""Texts of others without personal values, however these are written there."""

from __future__ import annotations

import base64
import html
import json
import re
import urllib.parse
from collections.abc import Callable
from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from personalize_rt.masking import _ORDINARY
from personalize_rt.redaction import MASK, mask, mask_id, without_logins
from tests.growth import seconds


@pytest.mark.parametrize(
    ("text", "secrets", "masked"),
    [
        ("user 'Ada Lovelace' is unknown", ["Ada Lovelace"], "user '***' is unknown"),
        ("ADA LOVELACE and ada lovelace", ["Ada Lovelace"], "*** and ***"),
        ("user u1, not u12 or xu1", ["u1"], "user ***, not u12 or xu1"),
        ("user=7;", ["7"], "user=***;"),
        ("a value of a user", ["a"], "*** value of *** user"),
        ("Comedies are Comedy", ["Comedy"], "*** are ***"),
        ("my-user-1 and user", ["user", "my-user-1"], "*** and ***"),
        ("user-17 and user", ["user", "user-17"], "*** and ***"),
        ("costs (5 €)", ["(5 €)"], "costs ***"),
        ("nothing", [], "nothing"),
        ("nothing", ["", "absent"], "nothing"),
        ("", ["absent"], ""),
        ("back\\slash", ["back\\slash"], "***"),
        ("a.b matches axb", ["a.b"], "*** matches axb"),
    ],
)
def test_values_are_masked(text: str, secrets: list[str], masked: str) -> None:
    assert mask(text, secrets) == masked


SECRETS = ['O\'Brien "the" ü\n', "日本購入", 'back\\slash "x"', "tab\there", 'emoji 😀 "', "naïve", 'Zoë "Z" Q', "ß"]


@pytest.mark.parametrize("secret", SECRETS, ids=ascii)
@pytest.mark.parametrize(
    "spell",
    [str, json.dumps, lambda secret: json.dumps(secret, ensure_ascii=False), lambda secret: json.dumps({"u": secret})],
    ids=["as it is", "JSON", "JSON, not ASCII only", "JSON object"],
)
def test_values_are_masked_as_json_writes_them_too(secret: str, spell: Any) -> None:
    masked = mask(f"Value {spell(secret)} is invalid", [secret])
    assert MASK in masked
    for part in (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        assert part not in masked


@given(st.text(), st.text(st.characters(exclude_characters="*"), min_size=4), st.text())
@example("İ", "İİİİ", "ı")
@example("", "Recommendation", "Recommendation")
def test_a_value_of_four_characters_or_more_never_stays(before: str, secret: str, after: str) -> None:
    assume(len(secret.strip()) >= 4)
    assert secret not in mask(before + secret + after, [secret])
    assert secret not in mask(before + json.dumps(secret) + after, ["other", secret])


@given(st.lists(st.text(st.characters(exclude_characters="*"), min_size=4).filter(str.strip), max_size=4), st.text())
def test_values_inside_each_other_leave_nothing_of_the_longest(secrets: list[str], tail: str) -> None:
    text = " and ".join(secrets)
    masked = mask(text, secrets)
    assert all(secret not in masked for secret in secrets)


@given(st.text())
def test_a_text_without_values_stays_as_it_is(text: str) -> None:
    assert mask(text, []) == mask(text, iter([""])) == text


ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"


@pytest.mark.parametrize(
    ("text", "secrets", "masked"),
    [
        (f"user 1 of {ARN}", ["1"], f"user *** of {ARN}"),
        (f"movies by {ARN}.", ["movies"], f"*** by {ARN}."),
        (f"{ARN.upper()}; MOVIES", ["movies"], f"{ARN.upper()}; ***"),
        (f"{ARN} and {ARN}", ["1", "movies", "aws"], f"{ARN} and {ARN}"),
        # What is longer than the ARN is something else.
        (f"{ARN}2", ["movies"], f"{ARN[:-6]}***"),
        (f"{ARN}-ada", ["movies-ada"], f"{ARN[:-6]}***"),
        (f"user {ARN}/ada", [f"{ARN}/ada"], "user ***"),
        (f"user {ARN}", [ARN], "user ***"),
        (f"ada {ARN}", [f"ada {ARN}"], "***"),
    ],
)
def test_an_arn_that_may_be_shown_stays_whole(text: str, secrets: list[str], masked: str) -> None:
    assert mask(text, secrets, [ARN]) == masked


@pytest.mark.parametrize("name", ["movies of ada", "campaign/ada", "ARN of ada"])
def test_a_name_that_may_be_shown_protects_no_value_that_stands_by_itself(name: str) -> None:
    assert mask(f"no {name}", ["ada"], [name]) == f"no {name.replace('ada', MASK)}"


# However it is written

USER = "ann&bob@example.com"


def percent(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def units(text: str) -> list[str]:
    """UTF-16, in fours of hexadecimal digits."""
    digits = text.encode("utf-16-be", "surrogatepass").hex()
    return [digits[n : n + 4] for n in range(0, len(digits), 4)]


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "HTML": html.escape,
    "HTML, decimal": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "HTML, hexadecimal": lambda text: "".join(f"&#x{ord(char):X};" for char in text),
    "percent": percent,
    "percent, twice": lambda text: percent(percent(text)),
    "percent, all of it": lambda text: "".join(f"%{octet:02X}" for octet in text.encode()),
    "a form": urllib.parse.quote_plus,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON, all escaped": lambda text: "".join(f"\\u{unit}" for unit in units(text)),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"userId": text})),
    "repr": repr,
    "bytes": lambda text: repr(text.encode()),
    "HTML of JSON": lambda text: html.escape(json.dumps(text)),
    "NFC": lambda text: normalize("NFC", text),
    "NFD": lambda text: normalize("NFD", text),
    "NFKC": lambda text: normalize("NFKC", text),
    "NFKD": lambda text: normalize("NFKD", text),
    "capitals": str.upper,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 of JSON": lambda text: base64.b64encode(json.dumps({"userId": text}).encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
}
# Surrogates are no text that a request could carry.
characters = st.characters(exclude_categories=["Cs"], exclude_characters="*")
# A backslash before the quote that ends a value may be one that belongs to the quote.
user_ids = st.text(characters, min_size=1, max_size=40).filter(lambda user: user.strip() and user[-1] != "\\")


def stands_in(text: str, masked: str) -> bool:
    """Whether a text stands in another; a short one, by itself."""
    if len(text.strip()) > 3:
        return text in masked
    return re.search(rf"(?<![a-zA-Z0-9]){re.escape(text)}(?![a-zA-Z0-9])", masked) is not None


# A part of an id that has escapes of its own may have fewer characters in common with it than it seems.
long_user_ids = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="*%&\\+"), min_size=20, max_size=40
) | st.just("o'brien+news@ex%41mple.com & sons\\n <b>")


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
@given(user=user_ids | st.text("ab1&<\"'/ é日😀", min_size=1, max_size=8).filter(str.strip))
@example(user="4")
@example(user="a&b")
@example(user="日本")
@example(user="no such user")
@example(user="user")
@example(user=USER)
def test_a_user_id_is_hidden_however_it_is_written(spell: Callable[[str], str], user: str) -> None:
    spelled = spell(user)
    for text in (f"no ({spelled})", f"no '{spelled}'.", f"no {spelled}", f'{{"userId":"{spelled}"}}'):
        masked = mask(text, [user], ["userId"])
        assert MASK in masked
        rest = masked.replace("userId", "\ue000")  # the member's name stays, also for a user called "user"
        assert not stands_in(spelled, rest)
        assert not stands_in(user, rest)


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
@given(user=long_user_ids, start=st.integers(0, 20), size=st.integers(5, 40))
@example(user=USER, start=0, size=14)
@example(user=USER, start=3, size=5)
@example(user="00000alue 0000000000", start=5, size=5)
def test_five_characters_of_a_user_id_are_hidden_however_they_are_written(
    spell: Callable[[str], str], user: str, start: int, size: int
) -> None:
    part = user[start : start + size]
    assume(len(part) >= 5 and len("".join(part.split())) >= 4)  # white space does not count
    assume(not all(word in ("example", "com") for word in part.split(".")))
    assume(not _ORDINARY.issuperset(re.findall(r"\w+", part.casefold())))  # these stay, being words of messages
    spelled = spell(part)
    for text in (f"Value '{spelled}...' at 'userId'", f"Value {spelled}… at userId", f"Value ...{spelled} at userId"):
        masked = mask(text, [user], ["userId"])
        assert MASK in masked
        # The message's own words stay, also for a user called "Value at userId".
        rest = masked.replace("Value", "\ue000").replace("userId", "\ue000")
        assert spelled not in rest


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"Value '{USER[:14]}...' at 'userId' failed to satisfy constraint", "Value '***...' at 'userId' failed"),
        (f"Value '{percent(USER)[:9]}' at 'userId' failed", "Value '***' at 'userId' failed"),
        (f"userId={html.escape(USER)}; itemId=7", "userId=***; itemId=7"),
        (f'{{"userId":"{USER}","numResults":5}}', '{"userId":"***","numResults":5}'),
        ("ann_bob_example", "***"),
        ("a word, 'exam', and an example", "a word, '***', and an example"),
    ],
)
def test_of_a_message_what_has_nothing_to_do_with_a_value_stays(text: str, masked: str) -> None:
    assert mask(text, [USER], ["userId"]).startswith(masked)


@pytest.mark.parametrize(
    ("text", "secret", "masked"),
    [
        ("The user is unknown: userId must be of a user", "user", "The *** is unknown: userId must be of a ***"),
        ("Users have no 'user'", "users", "*** have no '***'"),
        ("user 'user-7' is no user", "user-7", "user '***' is no user"),
        ("InvalidInputException: input is invalid", "invalid-42", "InvalidInputException: input is invalid"),
        ("the value 'invalid...' is invalid", "invalid-42", "the value '***...' is invalid"),
        ("the value invalid... is invalid", "invalid-42", "the value ***... is invalid"),
    ],
)
def test_words_of_messages_stay_unless_they_are_a_value_or_may_be_a_part_of_one(
    text: str, secret: str, masked: str
) -> None:
    assert mask(text, [secret], ["userId"]) == masked


def test_an_item_of_the_request_stays_unless_a_value_stands_in_it() -> None:
    assert mask("no 'film-42' and no 'film-43'", ["film-fan"], ["film-42"]) == "no 'film-42' and no '***'"
    assert mask("no 'film-42...' and no 'ann-42'", ["film-fan", "ann"], ["film-42", "ann-42"]) == (
        "no '***...' and no '***-42'"
    )


@pytest.mark.parametrize(
    ("id", "secret", "masked"),
    [
        ("279bc670-9f3a-4633-b670-1183fd50c323", "9f3a46", "279bc670-9f3a-4633-b670-1183fd50c323"),
        ("279bc670-9f3a-4633-b670-1183fd50c323", "9F3A", "279bc670-***-4633-b670-1183fd50c323"),
        ("279bc670-9f3a-4633-b670-1183fd50c323", "x-1183FD50", MASK),
        ("279bc670-9f3a-4633-b670-1183fd50c323", "279bc670-9f3a-4633-b670-1183fd50c323", MASK),
        ("279bc670-9f3a-4633-b670-1183fd50c323", "", "279bc670-9f3a-4633-b670-1183fd50c323"),
        (f"r-{USER}", USER, MASK),
        ("request-1", USER, "request-1"),
    ],
)
def test_an_id_of_the_form_of_aws_is_hidden_where_it_cannot_be_chance(id: str, secret: str, masked: str) -> None:
    assert mask_id(id, [secret]) == masked


@pytest.mark.parametrize(
    "text",
    [
        "no match at all, " * 4000,
        "a" * 65536,
        "value-1 " * 8192,
        "%25" * 21845,
        "%" + "25" * 32000,
        "&amp;" * 13000,
        "\\u0041" * 10922,
        base64.b64encode(b"user" * 12000).decode(),
        f"{ARN} " * 1000,
        "é" * 65536,
    ],
    ids=lambda text: text[:9],
)
def test_a_long_message_and_many_values_take_no_longer_than_both_together(text: str) -> None:
    values = [f"value-{n}-{'q' * 40}" for n in range(500)]
    known = [ARN, *(f"item-{n}" for n in range(500))]
    alone = seconds(lambda: mask(text, [], [])) + seconds(lambda: mask("short", values, known))
    assert seconds(lambda: mask(text, values, known)) < 20 * alone + 1  # it was minutes for some of these


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://ann:secret@host:80/path", "http://host:80/path"),
        ("no connection to https://ann:sec/r et@host/x.", "no connection to https://host/x."),
        ("Invalid endpoint: ann:secret@host", "Invalid endpoint: host"),
        ("http://ann:sec\nr@et@host", "http://host"),
        ("http://host:80/path", "http://host:80/path"),
        ("write to ann@example.org", "write to ann@example.org"),
    ],
)
def test_logins_in_urls_are_left_out(text: str, shown: str) -> None:
    assert without_logins(text) == shown

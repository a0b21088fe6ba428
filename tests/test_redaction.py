"""What messages may say of values: kind and size."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from personalize_rt.redaction import MASK, describe, mask, shown_number


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "None"),
        ("x" * 300, "a str of 300 characters"),
        ("x", "a str of 1 character"),
        ("", "a str of 0 characters"),
        (b"xy", "a bytes of 2 bytes"),
        (["x"] * 501, "a list of 501 items"),
        (("x",), "a tuple of 1 item"),
        ({"x": 1, "y": 2}, "a dict of 2 items"),
        (["x"] * 12345, "a list of 12,345 items"),
        (5, "an int"),
        (0.5, "a float"),
        (object(), "an object"),
        (True, "a bool"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("a") else type(value).__name__,
)
def test_a_value_is_described_by_kind_and_size(value: Any, said: str) -> None:
    assert describe(value) == said


@pytest.mark.parametrize(
    ("value", "said"), [(0, "0"), (-1.5, "-1.5"), (True, "True"), ("secret", "a str of 6 characters"), (None, "None")]
)
def test_of_settings_numbers_are_shown_and_nothing_else(value: Any, said: str) -> None:
    assert shown_number(value) == said


@given(st.text())
def test_a_description_depends_on_the_size_alone(value: str) -> None:
    assert describe(value) == describe("…" * len(value))
    assert describe([value]) == describe(["…"])
    assert describe({value: value}) == describe({"…": "…"})


@pytest.mark.parametrize(
    ("text", "secrets", "masked"),
    [
        ("user 'Ada Lovelace' is unknown", ["Ada Lovelace"], "user '***' is unknown"),
        ("ADA LOVELACE and ada lovelace", ["Ada Lovelace"], "*** and ***"),
        ("user u1, not u12 or xu1", ["u1"], "user ***, not u12 or xu1"),
        ("user=7;", ["7"], "user=***;"),
        ("a value of a user", ["a"], "*** value of *** user"),
        ("Comedies are Comedy", ["Comedy"], "Comedies are ***"),
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
def test_a_value_of_four_characters_or_more_never_stays(before: str, secret: str, after: str) -> None:
    assert secret not in mask(before + secret + after, [secret])
    assert secret not in mask(before + json.dumps(secret) + after, ["other", secret])


@given(st.lists(st.text(st.characters(exclude_characters="*"), min_size=4), max_size=4), st.text())
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
        (f"{ARN}2", ["movies"], f"{ARN[:-6]}***2"),
        (f"{ARN}-ada", ["movies-ada"], f"{ARN[:-6]}***"),
        (f"user {ARN}/ada", [f"{ARN}/ada"], "user ***"),
        (f"user {ARN}", [ARN], "user ***"),
        (f"ada {ARN}", [f"ada {ARN}"], "***"),
    ],
)
def test_an_arn_that_may_be_shown_stays_whole(text: str, secrets: list[str], masked: str) -> None:
    assert mask(text, secrets, [ARN]) == masked


@pytest.mark.parametrize("name", ["movies of ada", "campaign/ada", "ARN of ada"])
def test_a_name_that_is_no_arn_protects_nothing(name: str) -> None:
    assert mask(f"no {name}", ["ada"], [name]) == f"no {name.replace('ada', MASK)}"

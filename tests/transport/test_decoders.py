"""orjson and msgspec, where a program has imported one, must not change a single result."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from personalize_rt import PersonalizeError, Recommendations
from personalize_rt.transport import fast

DECODERS = ("orjson", "msgspec.json")


@pytest.fixture(params=DECODERS)
def decoder(request: Any) -> str:
    name: str = request.param
    pytest.importorskip(name.partition(".")[0])
    import_module(name)
    return name


def loads(body: bytes, decoder: str | None) -> Any:
    """As a program would that has imported the one decoder, or none."""
    with pytest.MonkeyPatch.context() as patch:
        for name in DECODERS:
            if name != decoder:
                patch.delitem(sys.modules, name, raising=False)
        return fast._loads(body)


def read(body: bytes, decoder: str | None) -> tuple[Any, ...]:
    """All that can be seen of a result; or its error."""
    try:
        reply = loads(body, decoder)
    except (ValueError, RecursionError) as error:
        return (type(error).__name__,)
    try:
        answer = Recommendations.from_response(reply)
    except (PersonalizeError, AttributeError, TypeError) as error:
        # Which kind of number stands where none belongs is all that may differ.
        return type(error).__name__, str(error).replace("a float", "an int")
    rows = [(row.item_id, repr(row.score), dict(row.metadata), row.reason, row.promotion_name) for row in answer]
    return rows, answer.recommendation_id


FLOATS = [
    b"0.1",
    b"1e23",
    b"5e-324",
    b"2.5e-400",
    b"1e400",
    b"-0.0",
    b"9007199254740993.0",
    b"0.12345678901234567890",
]
LARGE = [b"9223372036854775807", b"9223372036854775808", b"18446744073709551616", b"-9223372036854775809", b"1" * 30]
OTHER = [b"null", b"true", b"NaN", b"-Infinity", b"01", b"1.", b"-", b'"5"', b"[]", b"{}", b"9" * 5000]
STRINGS = [
    '"日本 😀"'.encode(),
    b'"\\ud83d\\ude00"',
    b'"\\ud800"',  # a lone surrogate
    b'"\xed\xa0\x80"',  # the same as bytes, which are no UTF-8
    b'"\xff"',
    b'"\\u0000"',
    b'"a\x01b"',
    b'"\\/"',
    b'"\\x"',
]


@pytest.mark.parametrize("value", FLOATS + LARGE + OTHER + STRINGS, ids=lambda value: repr(value[:40]))
@pytest.mark.parametrize(
    "row",
    [
        b'{"itemId": "a", "score": %b}',
        b'{"itemId": %b}',
        b'{"itemId": "a", "metadata": {"price": %b}}',
        b'{"itemId": "a", "score": 0.5, "unknown": %b}',
        b'{"itemId": "a", "score": 1, "score": %b}',
        b'{"itemId": "a", "metadata": {"x": "y"}, "metadata": {"x": %b}}',
    ],
)
def test_a_value_is_what_json_makes_of_it(row: bytes, value: bytes, decoder: str) -> None:
    body = b'{"itemList": [%b], "recommendationId": "R"}' % (row % value)
    assert read(body, decoder) == read(body, None)


NUMBERS = st.one_of(
    st.floats().map(repr),
    st.integers().map(str),
    st.integers(-(2**70), 2**70).map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
)
TEXTS = st.text().map(json.dumps) | st.text(st.characters(exclude_categories=["Cs"])).map(
    lambda text: json.dumps(text, ensure_ascii=False)
)
VALUES = st.recursive(
    st.one_of(NUMBERS, TEXTS, st.sampled_from(["null", "true", "false"])),
    lambda inner: st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]"),
    max_leaves=4,
)
NAMES = st.sampled_from(["itemId", "score", "promotionName", "reason", "other"])


@st.composite
def rows(draw: st.DrawFn) -> str:
    members = draw(st.lists(st.tuples(NAMES, VALUES), max_size=4))  # the same name may come twice
    columns = draw(st.lists(st.tuples(st.sampled_from("ab"), VALUES), max_size=2))
    metadata = ", ".join(f'"{name}": {value}' for name, value in columns)
    parts = ['"itemId": "i"', *(f'"{name}": {value}' for name, value in members), f'"metadata": {{{metadata}}}']
    return "{" + ", ".join(draw(st.permutations(parts))) + "}"


@pytest.mark.parametrize("decoder", DECODERS)
@given(made=st.lists(rows(), max_size=3), tail=st.sampled_from(["", " ", "\x00", "}", ","]))
@example(made=['{"itemId": "i", "metadata": {"a": 123456789012345678901}}'], tail="")
def test_a_reply_is_what_json_makes_of_it(decoder: str, made: list[str], tail: str) -> None:
    pytest.importorskip(decoder.partition(".")[0])
    import_module(decoder)
    body = (f'{{"itemList": [{", ".join(made)}], "recommendationId": "R"}}' + tail).encode("utf-8", "surrogatepass")
    assert read(body, decoder) == read(body, None)


@given(body=st.binary(max_size=40))
@pytest.mark.parametrize("decoder", DECODERS)
def test_bytes_that_are_no_reply_are_the_same_error(decoder: str, body: bytes) -> None:
    pytest.importorskip(decoder.partition(".")[0])
    import_module(decoder)
    assert read(body, decoder) == read(body, None)

"""A reply is decoded faster than by ``json`` alone, and must be what ``json`` makes of it, to the last digit.

Two things make it faster: rows that are plain go straight to columns, and orjson or msgspec decode where the program
has imported one.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from importlib import import_module
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from personalize_rt import ActionRecommendations, PersonalizeError, Ranking, Recommendations
from personalize_rt.decoding import Columns, decoded, decoded_in_background, has_more_containers

DECODERS = ("orjson", "msgspec.json")


@pytest.fixture(params=["json", *DECODERS])
def decoder(request: Any) -> str:
    return available(request.param)


def available(name: str) -> str:
    pytest.importorskip(name.partition(".")[0])
    import_module(name)
    return name


def decoded_with(body: bytes, decoder: str) -> Any:
    """As in a program that has imported this decoder, and no other."""
    with pytest.MonkeyPatch.context() as patch:
        for name in DECODERS:
            if name != decoder:
                patch.delitem(sys.modules, name, raising=False)
        return decoded(body)


def read(body: bytes, decoder: str | None, kind: Any = Recommendations) -> tuple[Any, ...]:
    """All that can be seen of a result; or its error. By ``json`` itself where no decoder is named."""
    try:
        reply = json.loads(body) if decoder is None else decoded_with(body, decoder)
    except (ValueError, RecursionError) as error:
        return (type(error).__name__,)
    try:
        answer = kind.from_response(reply)
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
def test_a_value_is_what_json_makes_of_it(row: bytes, decoder: str) -> None:
    for value in FLOATS + LARGE + OTHER + STRINGS:
        body = b'{"itemList": [%b], "recommendationId": "R"}' % (row % value)
        assert read(body, decoder) == read(body, None), value[:40]


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


@pytest.mark.parametrize("decoder", ["json", *DECODERS])
@given(made=st.lists(rows(), max_size=3), tail=st.sampled_from(["", " ", "\x00", "}", ","]))
@example(made=['{"itemId": "i", "metadata": {"a": 123456789012345678901}}'], tail="")
def test_a_reply_is_what_json_makes_of_it(decoder: str, made: list[str], tail: str) -> None:
    available(decoder)
    body = (f'{{"itemList": [{", ".join(made)}], "recommendationId": "R"}}' + tail).encode("utf-8", "surrogatepass")
    assert read(body, decoder) == read(body, None)


@given(body=st.binary(max_size=40))
@pytest.mark.parametrize("decoder", ["json", *DECODERS])
def test_bytes_that_are_no_reply_are_the_same_error(decoder: str, body: bytes) -> None:
    available(decoder)
    assert read(body, decoder) == read(body, None)


# Straight to columns


def plain(member: str, id_member: str, rows: list[tuple[str, str]], *, nulls: str = "", first: bool = False) -> str:
    """The reply of the service to the letter: compact, with members that are null in every row."""
    made = ",".join(f'{{"{id_member}":"{id}","score":{score}{nulls}}}' for id, score in rows)
    head = '"recommendationId":"RID-1",' if first else ""
    tail = "" if first else ',"recommendationId":"RID-1"'
    return f'{{{head}"{member}":[{made}]{tail}}}'


KINDS = {
    "itemList": ("itemId", Recommendations),
    "personalizedRanking": ("itemId", Ranking),
    "actionList": ("actionId", ActionRecommendations),
}


def seen(body: str, member: str, decoder: str | None) -> tuple[Any, ...]:
    """All that can be seen of the result that a member is of; or its error."""
    kind = KINDS[member][1]
    try:
        reply = json.loads(body) if decoder is None else decoded_with(body.encode("utf-8", "surrogatepass"), decoder)
        answer = kind.from_response(reply)
    except (ValueError, RecursionError, PersonalizeError, AttributeError, TypeError) as error:
        return type(error).__name__, str(error).replace("a float", "an int")
    return [repr(row) for row in answer], answer.recommendation_id, [type(score) for score in answer.scores]


@pytest.mark.parametrize(
    "rows",
    [
        [("a", "0.5")],
        [("a", "0.5"), ("b", "0.25"), ("c", "1e-7")],
        [("a", "1"), ("ü 日本", "0"), ("", "null")],
        [("a}]{[:", "0.5"), ("null", "null"), ("score", "-0.0"), (",", "0.5"), ("a,b", "0.5")],
    ],
    ids=["one", "three", "unscored", "odd ids"],
)
def test_rows_with_an_id_and_a_score_go_straight_to_columns(rows: list[tuple[str, str]], decoder: str) -> None:
    no_members = ("", ',"explanation":null', ',"promotionName":null,"reason":null')
    for member, nulls, first in product(KINDS, no_members, (False, True)):
        body = plain(member, KINDS[member][0], rows, nulls=nulls, first=first)
        assert isinstance(decoded_with(body.encode(), decoder)[member], Columns), body
        assert seen(body, member, decoder) == seen(body, member, None), body


@pytest.mark.parametrize(
    "body",
    [
        '{"itemList":[{"itemId":"a","score":0.5},{"itemId":"b"}]}',
        '{"itemList":[{"itemId":"a","score":0.5},{"score":0.5,"itemId":"b"}]}',
        '{"itemList":[{"itemId":"a","score":0.5,"score":null},{"itemId":"b","score":0.5,"score":null}]}',
        '{"itemList":[{"itemId":"a","score":0.5,"itemId":null},{"itemId":"b","score":0.5,"itemId":null}]}',
        '{"itemList":[{"itemId":"a","score":0.5,"x":null},{"itemId":"b","score":0.5,"x":1}]}',
        '{"itemList":[{"itemId":"a","score":0.5,"x":null},{"itemId":"b","score":0.5}]}',
        '{"itemList":[{"itemId":"a","score":0.5},{"itemId":"b","score":0.5}],"itemList":["c",1]}',
        '{"itemList":[{"itemId":"a","score":0.5},{"itemId":"b","score":0.5}],"itemList":null}',
        '{"itemList":[{"itemId":"a","score":0.5}],"more":[{"itemId":"b","score":0.5}]}',
        '{"itemList":[{"itemId":"a","score":true}]}',
        '{"itemList":[{"itemId":"a","score":"0.5"}]}',
        '{"itemList":[{"itemId":"a","score":NaN}]}',
        '{"itemList":[{"itemId":"a","score":1e999}]}',
        '{"itemList":[{"itemId":"a","score":1e308},{"itemId":"b","score":1e308}]}',
        '{"itemList":[{"itemId":"a","score":' + "9" * 400 + "}]}",
        '{"itemList":[{"itemId":"a\nb","score":0.5}]}',
        '{"itemList":[{"itemId":"a","score":0.5\n}]}',
        '{"itemList":[{"itemId":"a",\n0.5},{"itemId":"b","score":0.5}]}',
        '{"itemList":[{"itemId":"a","score":0.5},{"itemId":"b","score":0.5\n,"c","score":0.5}]}',
        '{"itemList":[{"itemId":"a\\"b","score":0.5}]}',
        '{"itemList":[{"itemId":"a","score":0.5},"b",0.25]}',
        '{"itemList":[{"itemId":"a","score":0.5}, {"itemId":"b","score":0.25}]}',
        '{"itemList":[{"itemId":"a","score":0.5,"b",0.25}]}',
        '{"itemList":[{"itemId":"a",0.5},{"itemId":"b","score":0.25}]}',
        '{"itemList":[{"itemId":","score":0.5},{"itemId":"b","score":0.25}]}',
        '{"itemList":[{"itemId":"a","score":},{"itemId":"b","score":0.25}]}',
        '{"itemList":[{"itemId":"a","score":0.5},{"itemId":"x","score":0.1,"b"},{"itemId":"score":0.9}]}',
        '{"itemList":[{"itemId":"a","score":0.5},{"itemId":":"},{"itemId":"score":1,"","score":1}]}',
        '{"itemList":[{"itemId":"a","score":0.5}]',
        '{"itemList":[{"itemId":"a","score":0.5}]]}',
        '{"itemList":[{"itemId":"a","score":0.5}],}',
        '{"itemList":[{"itemId":"a","score":0.5}]} x',
        '{"actionList":[{"actionId":"a","score":0.5}]}',
        '{"actionList":[{"itemId":"a","score":0.5}]}',
        '{"itemList":[{"actionId":"a","score":0.5}]}',
        '{"itemList":[{"itemId":"a","score":0.5,"metadata":{"x":"y"}}]}',
    ],
)
def test_rows_that_are_not_plain_are_what_json_makes_of_them(body: str) -> None:
    for decoder, member in product(("json", *DECODERS), KINDS):
        assert seen(body, member, available(decoder)) == seen(body, member, None), (member, decoder)


PIECES = ['","score":', '},{"itemId":"', '"itemId":', ',"score":', '[{"itemId":"', ',"itemList":null', '"itemList":[']
PIECES += [
    ',"x":null',
    "}]",
    '"',
    ",",
    "{",
    "}",
    "[",
    "]",
    ":",
    "\\",
    " ",
    "\n",
    "null",
    "0.5",
    "1e999",
    "true",
    "-",
    "a",
    "é",
]
IDS = st.sampled_from(["a", "", "b,c", "}]", ":", '","', "ü"]) | st.text(max_size=3)


@pytest.mark.parametrize("decoder", ["json", *DECODERS])
@given(
    ids=st.lists(IDS, min_size=1, max_size=3),
    nulls=st.sampled_from(["", ',"x":null']),
    changes=st.lists(
        st.tuples(st.integers(0, 200), st.integers(0, 12), st.sampled_from(PIECES) | st.just("")), max_size=3
    ),
)
def test_a_plain_reply_with_bytes_changed_is_what_json_makes_of_it(
    decoder: str, ids: list[str], nulls: str, changes: list[tuple[int, int, str]]
) -> None:
    available(decoder)
    quoted = [json.dumps(id, ensure_ascii=False)[1:-1] for id in ids]
    body = plain("itemList", "itemId", [(id, f"0.{n}") for n, id in enumerate(quoted)], nulls=nulls)
    for at, length, piece in changes:
        at %= len(body) + 1
        body = body[:at] + piece + body[at + length :]
    assert seen(body, "itemList", decoder) == seen(body, "itemList", None)


NULLS = st.sampled_from(["", ',"x":null', ',"x":null,"y":null', ',"x":null,"x":null'])


@st.composite
def unfolded(draw: st.DrawFn) -> str:
    """The way back: of a flat array, some commas become what stands between ids and scores. Most are no JSON."""
    nulls = draw(NULLS)
    between = {'",': '","score":', ',"': f'{nulls}}},{{"itemId":"'}
    texts = st.sampled_from(["", "a", ",", "score", "itemId", "null", ":", "},{", "}"]).map('"{}"'.format)
    numbers = st.sampled_from(["0.5", "1", "null", "", "0.5,", " 1", "1 ", "\n1", "1\n"])
    elements = [draw(numbers if at % 2 else texts) for at in range(draw(st.integers(2, 6)))]
    flat = ",".join(elements)[1:]
    for _ in range(draw(st.integers(1, 8))):
        spots = [at for at in range(len(flat) - 1) if flat[at : at + 2] in between]
        if not spots:
            break
        at = draw(st.sampled_from(spots))
        flat = flat[:at] + between[flat[at : at + 2]] + flat[at + 2 :]
    first = f'{{"itemId":"a","score":0.5{nulls}}},{{"itemId":"'
    return f'{{"itemList":[{first}{flat}{nulls}}}]}}'


@pytest.mark.parametrize("decoder", ["json", *DECODERS])
@given(body=unfolded())
def test_an_array_unfolded_into_rows_is_what_json_makes_of_it(decoder: str, body: str) -> None:
    available(decoder)
    assert seen(body, "itemList", decoder) == seen(body, "itemList", None)


# Decoders that raise what is no ValueError, and bodies that take long


class OwnError(Exception):
    """As msgspec before 0.21 raises it: of no kind that others know."""


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize(
    "body",
    [
        b'{"itemList":[{"itemId":"a","score":0.5}],"recommendationId":"R"}',
        b'{"itemList": [{"itemId": "a"}]}',
        b"no JSON",
        b"",
    ],
    ids=["plain", "not plain", "no JSON", "empty"],
)
def test_what_a_decoder_raises_is_decided_by_json(name: str, body: bytes, monkeypatch: Any) -> None:
    def fail(_: Any) -> Any:
        raise OwnError

    for each in DECODERS:
        monkeypatch.delitem(sys.modules, each, raising=False)
    monkeypatch.setitem(sys.modules, name, SimpleNamespace(loads=fail, decode=fail))
    try:
        wanted = json.loads(body)
    except ValueError:
        with pytest.raises(ValueError, match="Expecting value"):
            decoded(body)
    else:
        assert Recommendations.from_response(decoded(body)) == Recommendations.from_response(wanted)


@pytest.mark.parametrize("body", [b'{"itemList": [{"itemId": "a", "score": 1e2}]}', b"no JSON", b"[" * 10_000])
def test_what_is_decoded_in_the_background_is_what_json_makes_of_it(body: bytes) -> None:
    try:
        wanted: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        with pytest.raises(type(error)):
            decoded_in_background(body)
    else:
        assert decoded_in_background(body) == wanted


def test_brackets_in_texts_are_no_lists() -> None:
    odd = ["[{", '"[{"', "\\\\", "[\\", '\\"[', '{\\\\"[', "[" * 100]
    body = json.dumps({"itemList": [{"itemId": text} for text in odd]}).encode()
    assert not has_more_containers(body, 2 + len(odd))
    assert has_more_containers(body, 1 + len(odd))


def test_decoding_in_the_background_lets_other_threads_run() -> None:
    """Between any two rows: a thread counts while another one decodes, which it could not before the end."""
    body = b'{"itemList": [%b]}' % b",".join([b'{"itemId": "a", "score": 0.5}'] * 300_000)
    decoding = threading.Thread(target=decoded_in_background, args=(body,))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    try:
        decoding.start()
        turns = 0
        while decoding.is_alive():
            time.sleep(1e-4)
            turns += 1
    finally:
        sys.setswitchinterval(interval)
        decoding.join()
    assert turns > 10

"""Answers in every form that a server or proxy may send, in any cut, from one byte up."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.transport import http_answer
from personalize_rt.transport.http_answer import (
    Answer,
    BrokenOffError,
    Counted,
    Reading,
    content_length,
    counted,
    request_message,
)
from tests.growth import seconds

BODY = b'{"itemList": [{"itemId": "i1", "score": 0.5}], "recommendationId": "RID-1"}'
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)


def chunked(body: bytes, size: int, *, extension: bytes = b"", trailers: bytes = b"") -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n%b\r\n" % (chunks, trailers)


def with_head(*lines: bytes) -> bytes:
    return OK.replace(b"OK\r\n", b"\r\n".join((b"OK", *lines, b"")))


def read(answer: bytes, cuts: list[int], *, ended: bool = False) -> Answer | None:
    """Feed an answer in pieces that end at the given places; then the end of the connection, if so."""
    reading = Reading()
    edges = sorted({cut % (len(answer) + 1) for cut in cuts} | {0, len(answer)})
    for start, stop in pairwise(edges):
        whole = reading.feed(answer[start:stop])
        if whole is not None:
            assert stop == len(answer), "whole too early"
            return whole
    return reading.feed(b"") if ended else None


CUTS = st.lists(st.integers(0, 1000))
WHOLE = {
    "plain": (OK, True),
    "keep-alive": (with_head(b"Connection: keep-alive"), True),
    "close": (with_head(b"connection: close"), False),
    "Close": (with_head(b"Connection: Close"), False),
    "no phrase": (OK.replace(b"200 OK", b"200"), True),
    "capitals": (OK.replace(b"content-length: ", b"CONTENT-LENGTH:    "), True),
    "1.0": (OK.replace(b"HTTP/1.1", b"HTTP/1.0"), False),
    "1.0, kept": (with_head(b"Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0"), True),
    "continue": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, True),
    "hints": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK, True),
    "chunks of 1": (chunked(BODY, 1), True),
    "chunks of 7": (chunked(BODY, 7), True),
    "one chunk": (chunked(BODY, 10_000), True),
    "extensions": (chunked(BODY, 7, extension=b";name=value"), True),
    "trailers": (chunked(BODY, 7, trailers=b"x-checksum: 1\r\nx-more: 2\r\n"), True),
    "Chunked": (chunked(BODY, 7).replace(b"chunked", b"Chunked"), True),
}


@pytest.mark.parametrize("form", WHOLE)
@given(CUTS)
def test_an_answer_is_read_whatever_its_form_and_its_cut(form: str, cuts: list[int]) -> None:
    sent, reusable = WHOLE[form]
    whole = read(sent, cuts)
    assert whole is not None
    assert (whole.status, whole.body, whole.reusable) == (200, BODY, reusable)
    assert all(name == name.lower() for name in whole.headers)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\ncontent-type: x\r\n\r\n"])
@given(CUTS)
def test_without_a_length_the_end_of_the_connection_is_the_end(head: bytes, cuts: list[int]) -> None:
    assert read(head + BODY, cuts) is None
    whole = read(head + BODY, cuts, ended=True)
    assert whole is not None
    assert (whole.body, whole.reusable) == (BODY, False)


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_content_has_none(status: int) -> None:
    assert read(b"HTTP/1.1 %d x\r\n\r\n" % status, []) == Answer(status, {}, b"", True)


def test_headers_that_are_repeated_are_joined() -> None:
    whole = read(with_head(b"x-a: 1", b"X-A:  2 "), [])
    assert whole is not None
    assert whole.headers["x-a"] == "1, 2"


@given(CUTS)
def test_a_body_that_is_short_is_handed_on_and_the_connection_is_not_used_again(cuts: list[int]) -> None:
    whole = read(OK[:-10], cuts, ended=True)
    assert whole is not None
    assert (whole.body, whole.reusable) == (BODY[:-10], False)


@pytest.mark.parametrize("answer", [OK, chunked(BODY, 7)], ids=["counted", "chunked"])
def test_bytes_after_an_answer_are_not_the_start_of_the_next(answer: bytes) -> None:
    whole = Reading().feed(answer + b"HTTP")
    assert whole is not None
    assert (whole.body, whole.reusable) == (BODY, False)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"H",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        chunked(BODY, 7)[:90],
        chunked(BODY, 7)[:-3],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"hello\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: \xb2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{} ",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000,
        b"\x15\x03\x01\x00\x02\x02\x50",
    ],
    ids=range(18),
)
@given(CUTS)
def test_what_is_not_a_whole_answer_is_broken_off(sent: bytes, cuts: list[int]) -> None:
    with pytest.raises(BrokenOffError):
        read(sent, cuts, ended=True)


@given(st.binary())
def test_any_bytes_are_an_answer_or_broken_off(sent: bytes) -> None:
    try:
        whole = read(b"HTTP/1.1 200 OK\r\n" + sent, [], ended=True)
    except (BrokenOffError, AssertionError):
        return
    assert whole is not None


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"200 OK", b"2\xb20 OK"),  # digits to str.isdigit(), and none to int()
        OK.replace(b"content-length: ", b"content-length: \xb2"),
        OK.replace(b"content-length: ", b"content-length: -"),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1_0\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_numbers_that_only_look_like_some_are_refused(answer: bytes) -> None:
    with pytest.raises(BrokenOffError):
        read(answer, [])


@pytest.mark.parametrize("length", [b"9" * 5000, b"9" * 4301, b"9" * 17, b"0" * 5000, b"\xb2", b"5, 5", b""])
def test_a_length_that_is_none_is_refused(length: bytes) -> None:
    with pytest.raises(BrokenOffError):
        read(b"HTTP/1.1 200 OK\r\ncontent-length: %b\r\n\r\n{}" % length, [])
    assert content_length(length.decode("latin-1")) is None


@pytest.mark.parametrize("coding", [b"chunked", b"gzip", b"identity"])
@given(CUTS)
def test_an_answer_with_two_kinds_of_length_is_refused(coding: bytes, cuts: list[int]) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: %b\r\n\r\n" % coding
    with pytest.raises(BrokenOffError):
        read(head + b"2\r\n{}\r\n0\r\n\r\n", cuts)


@pytest.mark.parametrize("form", ["counted", "chunked", "to the end"])
def test_a_body_has_a_bound(form: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(http_answer, "BODY_LIMIT", 1000)
    head = b"HTTP/1.1 200 OK\r\n"
    for length, fits in ((1000, True), (1001, False)):
        answer = {
            "counted": b"%bcontent-length: %d\r\n\r\n%b" % (head, length, b"x" * length),
            "chunked": chunked(b"x" * length, 7),
            "to the end": b"%b\r\n%b" % (head, b"x" * length),
        }[form]
        if fits:
            whole = read(answer, [100, 400], ended=form == "to the end")
            assert whole is not None
            assert len(whole.body) == length
        else:
            with pytest.raises(BrokenOffError, match="too long"):
                read(answer, [100, 400], ended=form == "to the end")


@given(
    st.binary(max_size=200),
    st.sampled_from(["", "x-a: b\r\n", "X-A:b\r\nx-a: c\r\n", "connection: close\r\n", "Connection: keep-alive\r\n"]),
    CUTS,
)
def test_an_answer_of_the_usual_form_is_read_as_any_other(body: bytes, more: str, cuts: list[int]) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length : %d\r\n%b\r\n" % (len(body), more.encode())
    is_usual = more.count("\r\n") < 2 and "close" not in more
    for sent in (body, body + b"x", body[:-1]):
        general = Reading()
        expected = general.feed(head + sent) or general.feed(b"")
        assert expected is not None
        edges = sorted({cut % (len(sent) + 1) for cut in cuts} | {0, len(sent)})
        first, *pieces = [sent[start:stop] for start, stop in pairwise(edges)] or [b""]
        reading = counted(head + first)
        assert (reading is not None) is is_usual
        for piece in [*pieces, b""]:
            if isinstance(reading, Counted):
                assert reading.refusal(b"HTTP/1.1 413 x\r\n\r\n") is None
                reading = reading.feed(piece) or reading
        if is_usual:
            assert isinstance(reading, Answer)
            assert (reading.headers, reading.body) == (expected.headers, expected.body)
            assert pieces or reading.reusable is (len(sent) == len(body))


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n" + OK,
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + OK,
        chunked(BODY, 7).replace(b"7\r\n", b"%b\r\n" % (b"f" * 17), 1),
        chunked(BODY, 7).replace(b"7\r\n", b"%b\r\n" % (b"0" * 5000 + b"7"), 1),
        chunked(BODY, 7).replace(b"7\r\n", b"6\r\n", 1),
        chunked(BODY, 7).replace(b"7\r\n", b"5\r\n", 1),
    ],
    ids=["four digits", "below 100", "another protocol", "17 digits", "5,001 digits", "longer by 1", "longer by 2"],
)
@given(CUTS)
def test_what_is_almost_http_is_refused(answer: bytes, cuts: list[int]) -> None:
    with pytest.raises(BrokenOffError):
        read(answer, cuts)


INFORMATIONAL = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
BOUNDED = {
    "headers": (lambda n: with_head(*(b"x: y" for _ in range(n))), 250, 256),
    "informational answers": (lambda n: INFORMATIONAL * n + OK, 120, 128),
    "trailers": (lambda n: chunked(BODY, 7, trailers=b"x: y\r\n" * n), 250, 256),
    "bytes of a head": (lambda n: with_head(b"x: " + b"y" * n), 65_000, 65_536),
    "bytes of heads": (lambda n: INFORMATIONAL.replace(b"x", b"x" * n) * 3 + OK, 21_000, 22_000),
    "bytes of trailers": (lambda n: chunked(BODY, 7, trailers=b"x: %b\r\n" % (b"y" * n) * 4), 16_000, 16_384),
    "bytes of a chunk's extension": (lambda n: chunked(BODY, 100, extension=b";" + b"x" * n), 65_000, 65_536),
}


@pytest.mark.parametrize("what", BOUNDED)
@given(cuts=CUTS)
def test_what_surrounds_a_body_has_a_bound(what: str, cuts: list[int]) -> None:
    answer, fits, too_much = BOUNDED[what]
    whole = read(answer(fits), cuts)
    assert whole is not None
    assert whole.body == BODY
    with pytest.raises(BrokenOffError):
        read(answer(too_much), cuts)


LONG = {
    "chunks of one byte": lambda n: chunked(b"x" * (n // 6), 1),
    "a head": lambda n: b"HTTP/1.1 200 OK\r\nx: " + b"y" * min(n, 65_000),
    "a body": lambda n: b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * n,
    "a counted body": lambda n: b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (n, b"x" * n),
    "a chunk": lambda n: chunked(b"x" * n, n),
    "a chunk's extension": lambda n: chunked(b"x", 1, extension=b";" + b"x" * min(n, 65_000)),
}


def cost(sent: bytes, piece: int) -> float:
    def read() -> None:
        reading = Reading()
        for at in range(0, len(sent), piece):
            reading.feed(sent[at : at + piece])

    return seconds(read)


@pytest.mark.parametrize("form", LONG)
def test_what_is_not_read_yet_costs_nothing(form: str) -> None:
    sent = LONG[form](800_000)
    assert cost(sent, 1 << 30) < 4 * cost(sent, 4096) + 0.02


@pytest.mark.parametrize("form", LONG)
def test_reading_byte_by_byte_is_linear_in_the_bytes(form: str) -> None:
    # Four times as many bytes take four times as long; in squares it would be sixteen.
    assert cost(LONG[form](100_000), 1) < 9 * cost(LONG[form](25_000), 1) + 0.02


@pytest.mark.parametrize("length", [b"content-length: 20\r\n", b"transfer-encoding: chunked\r\n", b""])
def test_a_refusal_is_heard_though_the_connection_broke(length: bytes) -> None:
    reading = Reading()
    assert reading.feed(b"HTTP/1.1 413 Content Too Large\r\n" + length) is None
    told = reading.refusal(b"\r\n{}")
    if b"chunked" in length:
        assert told is None  # "{}" is no size of a chunk
    else:
        assert told is not None
        assert (told.status, told.body, told.reusable) == (413, b"{}", False)


def test_only_a_refusal_counts_when_the_connection_broke() -> None:
    assert Reading().refusal(OK) is None
    assert Reading().refusal(b"HTTP/1.1 200 OK\r\n\r\n{}") is None
    assert Reading().refusal(b"HTTP/1.1 413 x\r\ncontent-le") is None
    assert Reading().refusal() is None
    assert Reading().refusal(b"HTTP/1.1 413 x\r\n\r\n", ended=False) is None  # its body may go on


START = b"POST / HTTP/1.1\r\nHost: x\r\n"


def test_a_request_is_one_piece() -> None:
    sent = request_message(START, {"Content-Type": "application/json", "X-Bytes": b"\xff"}, b"{}\r\n\n")
    assert sent == START + b"Content-Type: application/json\r\nX-Bytes: \xff\r\n\r\n{}\r\n\n"


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", b"a\r\n\r\n"])
def test_a_header_with_a_line_break_is_not_sent(value: str | bytes) -> None:
    assert request_message(START, {"X-Mine": value}, b"{}") is None
    assert request_message(START, {"X-Mine: 1\r\nX-Evil" if isinstance(value, str) else "X": value}, b"") is None

"""Answers in every form that a server or proxy may send, in any cut, from one byte up."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.transport.http_answer import Answer, BrokenOffError, Reading, request_message

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


START = b"POST / HTTP/1.1\r\nHost: x\r\n"


def test_a_request_is_one_piece() -> None:
    sent = request_message(START, {"Content-Type": "application/json", "X-Bytes": b"\xff"}, b"{}\r\n\n")
    assert sent == START + b"Content-Type: application/json\r\nX-Bytes: \xff\r\n\r\n{}\r\n\n"


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", b"a\r\n\r\n"])
def test_a_header_with_a_line_break_is_not_sent(value: str | bytes) -> None:
    assert request_message(START, {"X-Mine": value}, b"{}") is None
    assert request_message(START, {"X-Mine: 1\r\nX-Evil" if isinstance(value, str) else "X": value}, b"") is None

"""Answers that no server should give, made by chance from a seed: heads, lengths, chunks, encodings, bodies, bytes."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import Any

import pytest

from personalize_rt import PersonalizeError

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"

REPLIES = (
    {"itemList": [{"itemId": "i1", "score": 0.5}, {"itemId": "i2", "score": 0.25}], "recommendationId": "RID-1"},
    {"personalizedRanking": [{"itemId": "i1", "score": 1.0, "metadata": {"title": "Alien"}}], "recommendationId": "R"},
    {"actionList": [{"actionId": "a1", "score": 0.5}], "recommendationId": "RID-1"},
)
STATUSES = (200, 200, 200, 200, 201, 204, 206, 301, 304, 400, 400, 403, 404, 408, 413, 429, 500, 503, 599)
STATUS_LINES = (
    b"HTTP/1.1 200",
    b"HTTP/1.1 200 ",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.9 200 OK",
    b"HTTP/2 200 OK",
    b"HTTP/1.1 20",
    b"HTTP/1.1 2000 OK",
    b"HTTP/1.1 2\xb20 OK",
    b"HTTP/1.1 099 X",
    b"HTTP/1.1 000 X",
    b"HTTP/1.1 101 Switching Protocols",
    b"HTTP/1.1 -200 OK",
    b"HTTP/1.1  200 OK",
    b"http/1.1 200 OK",
    b"ICY 200 OK",
    b"",
)
LENGTHS = (
    "9" * 5000,
    "9" * 4301,
    "0" * 5000,
    "9" * 20,
    "1" + "0" * 15,
    "²",
    "٣",
    "-1",
    "-0",
    "+5",
    "1e3",
    "0x10",
    "1_0",
    "5, 5",
    "5, 6",
    "5;q=1",
    "",
    "many",
    "5.0",
    "\x00",
)
SIZES = (
    b"0",
    b"1",
    b"ffffffffffffffff",
    b"f" * 17,
    b"f" * 5000,
    b"0x1",
    b"-1",
    b"+1",
    b"1_0",
    b"\xb2",
    b"",
    b" 3 ",
    b"3;x=y",
    b"3 ;",
    b"00000003",
    b"g",
)
ENCODINGS = ("chunked", "Chunked", "gzip, chunked", "identity", "gzip", "chunked, chunked", "xchunked", "", "\xb2")
TEXTS = (
    "ThrottlingException",
    "InvalidInputException:http://internal.amazon.com/coral/",
    "#",
    ":",
    ";",
    "ns#ValidationException",
    "",
    "\xff\xfe",
    "{}",
    "a" * 10_000,
    "\x00",
    "²",
    "%s %d {0}",
)
TIMES = (
    "5",
    "-5",
    "1e400",
    "nan",
    "inf",
    "9" * 5000,
    "²",
    "Tue, 26 May 2020 22:02:55 GMT",
    "Tue, 26 May 2020 22:02:55",
    "Tue, 26 May 99999 22:02:55 GMT",
    "Tue, 99 May 2020 99:02:55 GMT",
    "Tue, 26 May 99999999999999999999 22:02:55 GMT",
    "Tue, 26 May 2020 22:02:55 +99999999999",
    "Mon, 01 Jan 0001 00:00:00 +2359",
    "Tue",
    ",,,",
    "",
    "2020-05-26T22:02:55Z",
    '"Tue, 26 May 2020 (',
)
NUMBERS = (
    b"0.1",
    b"1e400",
    b"-1e400",
    b"NaN",
    b"Infinity",
    b"-0.0",
    b"1" * 30,
    b"9" * 400,
    b"9" * 5000,
    b"-" + b"9" * 4301,
    b"9" * 4300,
    b"1e" + b"9" * 400,
    b"0." + b"3" * 5000,
    b"01",
    b"1.",
    b"+1",
    b"true",
    b"null",
    b'"5"',
    b"[]",
    b"{}",
    b"18446744073709551616",
)
STRINGS = (
    b'"\\ud800"',
    b'"\\ud83d\\ude00"',
    b'"\xed\xa0\x80"',
    b'"\xff"',
    b'"\\u0000"',
    b'"a\x00b"',
    b'"\\x"',
    b'""',
    b"null",
    b"5",
    b"[]",
    b"{}",
    b"true",
    b'"' + b"x" * 3000 + b'"',
    b"[" * 100 + b"]" * 100,
    b"[" * 2000 + b"]" * 2000,
    b'{"a":' * 1500 + b"1" + b"}" * 1500,
)
NAMES = (
    b'"itemId"',
    b'"actionId"',
    b'"score"',
    b'"metadata"',
    b'"promotionName"',
    b'"reason"',
    b'"recommendationId"',
    b'"itemList"',
    b'"personalizedRanking"',
    b'"actionList"',
    b'"message"',
    b'"Message"',
    b'"__type"',
    b'"code"',
    b'"Code"',
    b'"ResponseMetadata"',
    b'"Error"',
    b'"\\ud800"',
    b'""',
    b"5",
)
ODD_BODIES = (
    b"",
    b"null",
    b"true",
    b"5",
    b'"text"',
    b"[]",
    b"{}",
    b"[1, 2]",
    b"<html><body>502 Bad Gateway</body></html>",
    b"\x00",
    b"\xef\xbb\xbf{}",
    '{"itemList": []}'.encode("utf-16"),
    '{"itemList": []}'.encode("utf-32"),
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b'{"itemList":' * 5000,
    b'{"itemList":[' + b"{}," * 5000 + b"{}]}",
    b'{"itemList":[' + b"[]," * 90_000 + b"[]]}",
    b'{"itemList":[' + b'{"itemId":"a"},' * 12_000 + b'{"itemId":"a"}]}',
    b'{"message":"' + b"m" * 200_000 + b'"}',
)


def answers(seed: int, count: int) -> Iterator[bytes]:
    """So many answers; the same ones for the same seed."""
    chance = Random(seed)
    for _ in range(count):
        yield _answer(chance)


def _answer(chance: Random) -> bytes:
    body = _body(chance)
    status = chance.choice(STATUSES)
    if chance.random() < 0.5:  # well framed: it is the body's turn
        first = b"HTTP/1.1 %d Reason\r\ncontent-length: %d\r\n" % (status, len(body))
        return first + chance.choice((b"", _odd_header(chance) + b"\r\n")) + b"\r\n" + body
    lines = [chance.choice(STATUS_LINES) if chance.random() < 0.1 else b"HTTP/1.1 %d Reason" % status]
    if chance.random() < 0.4:
        lines.append(b"transfer-encoding: " + _latin(chance.choice(ENCODINGS[:1] * 12 + ENCODINGS)))
        if chance.random() < 0.2:
            lines.append(b"content-length: " + _latin(chance.choice(LENGTHS)))
        framed = _chunked(chance, body)
    else:
        length = str(max(0, len(body) + chance.choice((0, 0, 0, 0, 0, 0, 1, -1, 50))))
        if chance.random() < 0.2:
            length = chance.choice(LENGTHS)
        if chance.random() < 0.95:
            lines.append(b"content-length: " + _latin(length))
        framed = body
    lines += (_odd_header(chance) for _ in range(chance.choice((0, 1, 1, 2, 3, 5))))
    if chance.random() < 0.03:
        lines.append(b"content-length: " + _latin(chance.choice(LENGTHS)))
    if chance.random() < 0.01:
        lines += (b"x-%d: y" % n for n in range(chance.choice((50, 98, 260, 5000))))
    head = b"\r\n".join(lines) + b"\r\n\r\n"
    for _ in range(chance.choice((0,) * 12 + (1, 2, 300))):
        head = chance.choice((b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nlink: x\r\n\r\n")) + head
    answer = head + framed
    if chance.random() < 0.1:
        answer = answer[: chance.randrange(len(answer) + 1)]
    if chance.random() < 0.25:
        answer = _with_bytes_changed(chance, answer)
    if chance.random() < 0.05:
        answer += chance.choice((b"\r\n", b"stray", head))
    return answer


def _latin(text: str) -> bytes:
    return text.encode("latin-1", "replace")


def _odd_header(chance: Random) -> bytes:
    kind = chance.randrange(8)
    if kind == 0:
        return b"x-amzn-errortype: " + _latin(chance.choice(TEXTS))
    if kind == 1:
        return b"retry-after: " + _latin(chance.choice(TIMES))
    if kind == 2:
        return b"date: " + _latin(chance.choice(TIMES))
    if kind == 3:
        return b"x-amz-retry-after: " + _latin(chance.choice(TIMES))
    if kind == 4:
        return chance.choice((b"connection: ", b"content-type: ", b"x-amzn-query-error: ")) + _latin(
            chance.choice(("close", "keep-alive", "application/json", "text/html; charset=²", *TEXTS))
        )
    if kind == 5:
        return chance.choice((b"x-amzn-requestid: ", b"x-amz-id-2: ", b"x-amzn-trace-id: ")) + _latin(
            chance.choice(TEXTS)
        )
    if kind == 6:
        return chance.choice((b"content-encoding: gzip", b"content-encoding: br", b"content-md5: x", b"upgrade: h2c"))
    return chance.choice((b"no colon", b": no name", b" folded", b"\x00: \x00", b"x:\ty", b"a b: c", b"\xff: \xff"))


def _chunked(chance: Random, body: bytes) -> bytes:
    size = chance.choice((1, 7, 100, 10_000, 10_000, 10_000))
    if len(body) > 5000 * size:
        size = 10_000
    odd = chance.random() < 0.3
    parts: list[bytes] = []
    for at in range(0, len(body), size):
        part = body[at : at + size]
        digits = chance.choice(SIZES) if odd and chance.random() < 0.1 else b"%x" % len(part)
        parts += (digits, b"\r\n", part, chance.choice((b"\n", b"", b"xx")) if odd and not parts else b"\r\n")
    parts.append(
        chance.choice((b"0\r\n\r\n",) * 8 + (b"0\r\nx: y\r\n\r\n", b"0\r\n", b"", b"0;x\r\n" + b"t: 1\r\n" * 999))
    )
    return b"".join(parts)


def _body(chance: Random) -> bytes:
    kind = chance.random()
    if kind < 0.1:
        return chance.choice(ODD_BODIES[:-6] * 8 + ODD_BODIES)
    if kind < 0.25:
        return _object(chance, 0)
    if kind < 0.5:
        list_name = chance.choice((b"itemList", b"personalizedRanking", b"actionList"))
        return b'{"%b":%b,"recommendationId":"R"}' % (list_name, _rows(chance))
    body = json.dumps(chance.choice(REPLIES), separators=chance.choice(((",", ":"), (", ", ": ")))).encode()
    if kind < 0.6:
        return gzip.compress(body, mtime=0)
    if kind < 0.7:
        return body[: chance.randrange(len(body))]
    if kind < 0.8:
        return _with_bytes_changed(chance, body)
    if kind < 0.9:
        return body.replace(chance.choice((b"0.5", b"0.25", b"1.0")), chance.choice(NUMBERS))
    return body


def _object(chance: Random, depth: int) -> bytes:
    members = (chance.choice(NAMES) + b":" + _value(chance, depth + 1) for _ in range(chance.randrange(5)))
    return b"{" + b",".join(members) + b"}"


def _value(chance: Random, depth: int) -> bytes:
    kind = chance.randrange(6) if depth < 4 else chance.randrange(2)
    if kind == 0:
        return chance.choice(NUMBERS)
    if kind == 1:
        return chance.choice(STRINGS)
    if kind == 2:
        return _object(chance, depth)
    if kind == 3:
        return b"[" + b",".join(_value(chance, depth + 1) for _ in range(chance.randrange(4))) + b"]"
    return _rows(chance)


def _rows(chance: Random) -> bytes:
    rows = (
        b'{"%b":%b,"score":%b,"metadata":{"a":%b}}'
        % (
            chance.choice((b"itemId", b"actionId")),
            chance.choice((b'"a"', b'"a"', chance.choice(STRINGS))),
            chance.choice((b"0.5", b"0.5", chance.choice(NUMBERS))),
            chance.choice((b'"x"', chance.choice(NUMBERS), chance.choice(STRINGS))),
        )
        for _ in range(chance.randrange(4))
    )
    return b"[" + b",".join(rows) + b"]"


def _with_bytes_changed(chance: Random, text: bytes) -> bytes:
    changed = bytearray(text[:300_000])
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(changed) + 1)
        at = min(at, chance.randrange(400) + 1) if chance.random() < 0.5 else at  # mostly the head
        changed[at : at + chance.randrange(4)] = chance.choice(
            (b"", b"\x00", b"\xff", b"\r\n", b"\n", b":", b"9", b'"', b"\\", b"{", b"]", b" ", chance.randbytes(3))
        )
    return bytes(changed)


class Outcomes:
    """Counts what calls end with; anything but a result or an error of ours fails the test."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()

    @contextmanager
    def one(self, number: int, answer: Callable[[], bytes]) -> Iterator[list[Any]]:
        """Around a call, which puts its result into the list."""
        results: list[Any] = []
        try:
            yield results
            for result in results:
                _ = list(result), repr(result), result.to_response(), result.scores
                self.kinds["result"] += 1
        except PersonalizeError as error:
            _ = str(error), repr(error)
            self.kinds[type(error).__name__] += 1
        except Exception as error:
            pytest.fail(f"answer {number} raised {error!r}"[:300] + f": {answer()[:300]!r}")

    def check(self, count: int) -> None:
        """All kinds were there."""
        for kind in ("result", "ResponseError", "TransportError", "ServerError", "InvalidInputError"):
            assert self.kinds[kind] > count // 100, self.kinds


def question(number: int) -> tuple[str, dict[str, Any]]:
    """One of the three operations in turn: the method and its arguments."""
    return (
        ("get_recommendations", {"campaign_arn": ARN}),
        ("get_personalized_ranking", {"campaign_arn": ARN, "user_id": "u", "input_list": ["i1", "i2"]}),
        ("get_action_recommendations", {"campaign_arn": ARN, "user_id": "u"}),
    )[number % 3]


class HostileServer:
    """Gives each connection the next answer, in one piece, and closes or resets it."""

    def __init__(self, answers: Iterator[bytes]) -> None:
        self._answers = answers
        self._chance = Random(1)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.last = b""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(10)
                request = b""
                while b"}" not in request:  # the requests of these tests have one object
                    request += connection.recv(65536)
                self.last = next(self._answers)
                connection.sendall(self.last)
                if self._chance.random() < 0.1:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def __enter__(self) -> HostileServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


# Refusals that come before a request is read

TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\n%b\r\n{}"
REFUSALS = {
    "counted": TOO_LARGE % b"content-length: 2\r\n",
    "counted, and short": TOO_LARGE % b"content-length: 20\r\n",
    "chunked": TOO_LARGE.replace(b"{}", b"2\r\n{}\r\n0\r\n\r\n") % b"transfer-encoding: chunked\r\n",
    "until the end": TOO_LARGE % b"",
}
MANY = [f"{n:04}" + "x" * 252 for n in range(500)]  # more than fits into the buffers of a server that does not read


class RefusingServer:
    """Answers each connection after so many bytes of its request, of which it reads no more; then resets it."""

    def __init__(self, answer: bytes, *, after: int, stays: bool = False, tls: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        self._answer, self._after, self._stays, self._tls = answer, after, stays, tls
        self._over = threading.Event()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(8)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with suppress(OSError):
                secure = self._tls.wrap_socket(connection, server_side=True) if self._tls else connection
                if self._after:
                    secure.recv(self._after)
                secure.sendall(self._answer)
                if self._stays:
                    self._over.wait(10)
                secure.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                secure.close()

    def __enter__(self) -> RefusingServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

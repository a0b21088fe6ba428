"""What a sick server does with one connection, on a raw socket of 127.0.0.1."""

from __future__ import annotations

import datetime
import json
import select
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress

__all__ = ["RANKING_PATH", "Behaviour"]

RANKING_PATH = b"/personalize-ranking"
BYTE_EVERY = 0.01  # seconds: no read time-out notices
LONG = 1000  # bytes, so that dripping them takes ten seconds: a call that waited for the end would be noticed
REPLY = {"personalizedRanking": [], "itemList": [{"itemId": "i1"}], "recommendationId": "RID-1"}
BODY = json.dumps(REPLY).encode() + b" " * LONG
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-long: %b\r\ncontent-length: %d\r\n\r\n" % (
    b"x" * LONG,
    len(BODY),
)
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
REFUSAL = b'{"message": "too large"}'
TOO_LARGE = b"HTTP/1.1 413 Too Large\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(REFUSAL),
    REFUSAL,
)
CREDENTIALS_LIVE = datetime.timedelta(minutes=5)  # botocore renews what has less than ten left, in each call

Behaviour = Callable[[socket.socket], None]


def wait_for_the_end(connection: socket.socket) -> None:
    """Say nothing until the other side has enough."""
    with suppress(OSError):
        while connection.recv(65536):
            pass


def read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """Read the head of a request, and what comes with it of the body. Both are empty at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(1024)
        if not more:
            return b"", b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    return head, body


def read_request(connection: socket.socket) -> bytes:
    """Read one request, and return its first line; nothing at the end."""
    head, body = read_head(connection)
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    left = length - len(body)
    while left > 0 and (more := connection.recv(65536)):
        left -= len(more)
    return head.partition(b"\r\n")[0]


def answers_well(connection: socket.socket) -> None:
    while read_request(connection):
        connection.sendall(HEAD + BODY)


def never_answers(connection: socket.socket) -> None:
    wait_for_the_end(connection)


# Slow


def _drip(connection: socket.socket, content: bytes) -> None:
    for byte in content:
        connection.sendall(bytes([byte]))
        time.sleep(BYTE_EVERY)


def drips_its_head(connection: socket.socket) -> None:
    read_request(connection)
    _drip(connection, HEAD)
    connection.sendall(BODY)


def drips_its_body(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(HEAD)
    _drip(connection, BODY)


def stalls_in_its_head(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(HEAD[:30])
    wait_for_the_end(connection)


def stalls_in_its_body(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(HEAD + BODY[:30])
    wait_for_the_end(connection)


def is_half_open(connection: socket.socket) -> None:
    """Answers once; then the machine is gone, and the connection does not know."""
    if read_request(connection):
        connection.sendall(HEAD + BODY)
    wait_for_the_end(connection)


# Broken


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def resets(connection: socket.socket) -> None:
    read_request(connection)
    _reset(connection)


def resets_in_its_body(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(HEAD + BODY[:30])
    time.sleep(BYTE_EVERY)
    _reset(connection)


def hangs_up(connection: socket.socket) -> None:
    """Says goodbye, and not a word more."""
    read_request(connection)


# Endless: as much as the other side takes, as fast as it takes it


def _repeats(start: bytes, piece: bytes) -> Behaviour:
    block = piece * (300_000 // len(piece))

    def behaviour(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(start)
        while True:
            connection.sendall(block)

    return behaviour


sends_chunks_of_one_byte = _repeats(CHUNKED, b"1\r\na\r\n")
sends_trailers = _repeats(CHUNKED + b"0\r\n", b"x-trailer: y\r\n")
sends_interim_answers = _repeats(b"", b"HTTP/1.1 102 Processing\r\n\r\n")
sends_headers = _repeats(b"HTTP/1.1 200 OK\r\n", b"x-header: y\r\n")


# Against HTTP


def promises_a_length_of_4301_digits(connection: socket.socket) -> None:
    """One digit more than ``int()`` reads."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %b\r\n\r\n{}" % (b"9" * 4301))
    wait_for_the_end(connection)


def refuses_early_and_is_silent(connection: socket.socket) -> None:
    """Answers before it has read the body, which it never reads."""
    read_head(connection)
    connection.sendall(TOO_LARGE)
    ends = select.poll()
    ends.register(connection, 0)  # not what there is to read
    ends.poll(10_000)


def refuses_early_and_resets(connection: socket.socket) -> None:
    read_head(connection)
    connection.sendall(TOO_LARGE)
    time.sleep(BYTE_EVERY)
    _reset(connection)


# TLS


def speaks_no_tls(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")


def drips_its_handshake(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"\x16\x03\x03\x20\x00")  # a record of 8 kB begins
    _drip(connection, b"\x02\x00\x1f\xfc" + bytes(2000))


def breaks_its_handshake_off(connection: socket.socket) -> None:
    connection.recv(65536)
    _reset(connection)


# Credentials: rankings are answered well; everything else that arrives asks for credentials


def gives_credentials(connection: socket.socket) -> None:
    while line := read_request(connection):
        if RANKING_PATH in line:
            connection.sendall(HEAD + BODY)
            continue
        body = _of_container() if line.startswith(b"GET ") else _of_sts()
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        return  # the next credentials are asked for on a connection of their own, by which time all may be ill


def gives_no_credentials(connection: socket.socket) -> None:
    while RANKING_PATH in read_request(connection):
        connection.sendall(HEAD + BODY)
    wait_for_the_end(connection)


def _expiry() -> str:
    return (datetime.datetime.now(datetime.UTC) + CREDENTIALS_LIVE).strftime("%Y-%m-%dT%H:%M:%SZ")


def _of_container() -> bytes:
    made_up = {"AccessKeyId": "testing", "SecretAccessKey": "testing", "Token": "testing", "Expiration": _expiry()}
    return json.dumps(made_up).encode()


def _of_sts() -> bytes:
    action = "AssumeRoleWithWebIdentity"
    return (
        f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result><Credentials>'
        "<AccessKeyId>testing</AccessKeyId><SecretAccessKey>testing</SecretAccessKey>"
        f"<SessionToken>testing</SessionToken><Expiration>{_expiry()}</Expiration>"
        "</Credentials><AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/testing/testing</Arn>"
        f"<AssumedRoleId>testing:testing</AssumedRoleId></AssumedRoleUser></{action}Result></{action}Response>"
    ).encode()

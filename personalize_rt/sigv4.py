"""AWS Signature Version 4 as pure functions: canonical request, string to sign, keys. No I/O, no clock.

The client signs with it, and the embedded service verifies with it. The form is that of the guide "Signature Version 4
signing process" (AWS General Reference, "Create a signed AWS API request"); texts are bytes, as they stand on the wire.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from hashlib import sha256
from urllib.parse import quote, unquote_to_bytes

__all__ = ["ALGORITHM", "canonical_path", "canonical_request", "digest", "signature", "signing_key"]

ALGORITHM = b"AWS4-HMAC-SHA256"


def canonical_request(
    method: bytes,
    path: bytes,
    query: bytes,
    headers: Sequence[tuple[bytes, bytes]],
    signed_headers: Iterable[bytes],
    payload_digest: bytes,
) -> bytes:
    """The request in the one form that both sides sign.

    Args:
        method: ``b"POST"``.
        path: The path as it is sent, with its percent signs.
        query: The query string as it is sent, without the question mark.
        headers: All headers, names in lower case; a repeated one has several entries.
        signed_headers: Names of those that the signature covers, sorted.
        payload_digest: :func:`digest` of the body.
    """
    names = tuple(signed_headers)
    lines = b"".join(
        b"%b:%b\n" % (name, b",".join(b" ".join(value.split()) for header, value in headers if header == name))
        for name in names
    )
    return b"\n".join((method, canonical_path(path), _canonical_query(query), lines, b";".join(names), payload_digest))


def canonical_path(path: bytes) -> bytes:
    """Dots and doubled slashes resolved, and each segment encoded once more than it was sent."""
    segments: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del segments[-1:]
        elif segment not in (b"", b"."):
            segments.append(segment)
    slash = b"/" if segments and path.endswith(b"/") else b""
    return quote(b"/" + b"/".join(segments) + slash, safe="/~").encode()


def _canonical_query(query: bytes) -> bytes:
    pairs = (pair.partition(b"=") for pair in query.split(b"&") if pair)
    return b"&".join(name + b"=" + value for name, value in sorted((_encoded(n), _encoded(v)) for n, _, v in pairs))


def _encoded(text: bytes) -> bytes:
    return quote(unquote_to_bytes(text), safe="-_.~").encode()


def digest(content: bytes) -> bytes:
    """The SHA-256 of some bytes, in lower-case hexadecimal."""
    return sha256(content).hexdigest().encode()


def signing_key(secret: str, *scope: str) -> bytes:
    """The key that signs for a scope. It is good for a day.

    Args:
        secret: The secret access key.
        scope: Date (``20240229``), region, service and ``aws4_request``.
    """
    key = f"AWS4{secret}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode("latin-1"), "sha256")
    return key


def signature(key: bytes, timestamp: bytes, scope: bytes, canonical: bytes) -> bytes:
    """The signature of a canonical request, in lower-case hexadecimal.

    Args:
        key: What :func:`signing_key` gives for the scope.
        timestamp: The time of the request, ``20240229T120000Z``.
        scope: The scope's parts with slashes between them.
        canonical: What :func:`canonical_request` gives.
    """
    to_sign = b"%b\n%b\n%b\n%b" % (ALGORITHM, timestamp, scope, digest(canonical))
    return hmac.digest(key, to_sign, "sha256").hex().encode()

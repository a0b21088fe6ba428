"""A plan for sending requests without botocore: its own request, learnt once, with slots for what differs.

botocore makes one request that is not sent (:mod:`personalize_rt.transport.rehearsal`), and what it wrote is taken to
the byte: address, names, order and values of all headers, and which of them are signed. Slots are what changes with
each request: path, body, time, signature, invocation id and, in Lambda, the trace id. The plan then signs the same
request itself. When that is not botocore's signature to the letter, or anything is not of the form that is known
here, there is no plan, and botocore sends.
"""

from __future__ import annotations

import os
import time
from typing import Any
from urllib.parse import urlsplit

from personalize_rt.operations import GET_RECOMMENDATIONS
from personalize_rt.sigv4 import ALGORITHM, canonical_path, canonical_request, digest, signature, signing_key
from personalize_rt.transport.http_answer import host_header
from personalize_rt.transport.rehearsal import NothingSentError, prepared_request

__all__ = ["NoPlanError", "Plan"]

_REHEARSED = {"campaignArn": "arn:aws:personalize:us-east-1:000000000000:campaign/rehearsal"}

# Headers that differ from request to request, in lower case.
_DATE, _AUTHORIZED, _INVOCATION, _LENGTH = b"x-amz-date", b"authorization", b"amz-sdk-invocation-id", b"content-length"
_TRACE = b"x-amzn-trace-id"
_UNKNOWN_IF_SIGNED = {_TRACE, _INVOCATION, _LENGTH, b"x-amz-content-sha256"}
_SLOTS = {_DATE, _AUTHORIZED, _INVOCATION, _LENGTH, _TRACE}
# What botocore looks at before it sends a trace id (its add_recursion_detection_header).
_IN_LAMBDA, _TRACE_ID = "AWS_LAMBDA_FUNCTION_NAME", "_X_AMZN_TRACE_ID"


class NoPlanError(Exception):
    """botocore's request is not of a form that can be made here; the text says why."""


class Plan:
    """The requests of one client, under one set of credentials, as bytes.

    Args:
        client: A boto3 client that signs with ``credentials``.
        credentials: Frozen credentials of botocore, or ``None`` for a client that does not sign.

    Raises:
        NoPlanError: botocore's request is of another form.
        Exception: What botocore raises while it makes a request.
    """

    def __init__(self, client: Any, credentials: Any) -> None:
        try:
            request = prepared_request(client, GET_RECOMMENDATIONS.method, _REHEARSED)
        except NothingSentError as error:
            raise NoPlanError("it is answered before it is made") from error
        self._key = b"", b"", b""  # a day, its scope and its key
        self._moment = -1, b"", b""  # a second, and what is the same in its requests
        self._secret: str = "" if credentials is None else credentials.secret_key
        parts = urlsplit(str(request.url))
        path, rehearsed = parts.path.encode("ascii"), GET_RECOMMENDATIONS.path.encode()
        if not path.endswith(rehearsed) or request.method != "POST" or parts.query or parts.fragment:
            raise NoPlanError("it goes to another place than the service's model says")
        if not request.url.startswith(client.meta.endpoint_url):
            raise NoPlanError("it goes to another host than the client's endpoint")
        self._base: bytes = path[: -len(rehearsed)]
        self._host = host_header(parts)
        self._targets: dict[str, tuple[bytes, bytes]] = {}  # by operation's path: as sent, and as signed
        headers = [(_bytes(name), _bytes(value)) for name, value in request.headers.items()]
        self._read_headers(headers)
        self._read_authorization({name.lower(): value for name, value in headers}, _bytes(request.body))

    def _read_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
        names = [name.lower() for name, _ in headers]
        if len(set(names)) < len(names) or not {_INVOCATION, _LENGTH} <= set(names):
            raise NoPlanError("it has other headers than are known here")
        if any(b"\r" in part or b"\n" in part for header in headers for part in header):
            raise NoPlanError("a header has a line break in it")
        # A literal percent sign would be read as a slot.
        lines = [b"POST %b HTTP/1.1\r\nHost: ", self._host.replace(b"%", b"%%"), b"\r\nAccept-Encoding: identity\r\n"]
        self._traced = _TRACE in names
        for name, value in headers:
            if name.lower() == _TRACE:
                if value != _trace_id():
                    raise NoPlanError("its trace id is not that of Lambda")
                lines.append(b"%b")  # a whole line, or none
                self._trace_name = name
            else:
                lines.append(b"%b: %b\r\n" % (name, b"%b" if name.lower() in _SLOTS else value.replace(b"%", b"%%")))
        self._head = b"".join(lines) + b"\r\n"
        self._slots = [name for name in names if name in _SLOTS]

    def _read_authorization(self, headers: dict[bytes, bytes], body: bytes) -> None:
        if (_AUTHORIZED in headers) != (_DATE in headers):
            raise NoPlanError("it is not signed with a date")
        self._signs = _AUTHORIZED in headers
        if not self._signs:
            return
        try:
            _, credential, signed, _ = headers[_AUTHORIZED].split(b" ")
            key_id, _, region, service, _ = credential.rsplit(b"/", 4)
        except ValueError:
            raise NoPlanError("it is signed otherwise than with Signature Version 4") from None
        self._key_id, self._region, self._service = (
            key_id.removeprefix(b"Credential="),
            region.decode(),
            service.decode(),
        )
        self._signed = signed.removeprefix(b"SignedHeaders=").removesuffix(b",")
        covered = self._signed.split(b";")
        if not {b"host", _DATE} <= set(covered) or _UNKNOWN_IF_SIGNED & set(covered):
            raise NoPlanError("its signature covers other headers than are known here")
        # The canonical headers of every request, with a slot for the date.
        slots = {**headers, b"host": self._host, _DATE: b"\0"}
        if any(name not in slots for name in covered):
            raise NoPlanError("its signature covers a header that it does not have")
        canonical = canonical_request(b"POST", b"\1", b"", list(slots.items()), covered, b"\2")
        canonical = canonical.replace(b"%", b"%%")
        self._canonical = canonical.replace(b"/%%01", b"%b").replace(b"\0", b"%b").replace(b"\2", b"%b")
        # What was misread above differs here.
        stamp, target = headers[_DATE], self._target(GET_RECOMMENDATIONS.path)[1]
        if self._unsigned(stamp) + self._signature(stamp, target, body) != headers[_AUTHORIZED]:
            raise NoPlanError("botocore signs it otherwise than it is signed here")

    def message(self, path: str, body: bytes, *, now: float | None = None) -> bytes:
        """A whole request, ready to be sent.

        Args:
            path: The operation's path (``"/recommendations"``).
            body: The members as JSON.
            now: Unix time of the signature; by default that of this machine.
        """
        target, signed_target = self._target(path)
        values: dict[bytes, bytes] = {_INVOCATION: _invocation_id(), _LENGTH: b"%d" % len(body)}
        if self._signs:
            second = int(time.time() if now is None else now)
            known, stamp, start = self._moment
            if known != second:
                stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second)).encode()
                start = self._unsigned(stamp)
                self._moment = second, stamp, start
            values[_DATE] = stamp
            values[_AUTHORIZED] = start + self._signature(stamp, signed_target, body)
        if self._traced:
            values[_TRACE] = b"%b: %b\r\n" % (self._trace_name, _trace_id())
        return b"%b%b" % (self._head % (target, *[values[name] for name in self._slots]), body)

    def _target(self, path: str) -> tuple[bytes, bytes]:
        known = self._targets.get(path)
        if known is None:
            target = self._base + path.encode("ascii")
            known = self._targets[path] = target, canonical_path(target)
        return known

    def fits(self) -> bool:
        """Tell whether botocore would still send the same headers: in Lambda a trace id comes and goes."""
        environ = os.environ
        return self._traced == (_IN_LAMBDA in environ and bool(environ.get(_TRACE_ID)))

    def _unsigned(self, stamp: bytes) -> bytes:
        """The header Authorization up to the signature."""
        parts = ALGORITHM, self._key_id, self._scope(stamp), self._signed
        return b"%b Credential=%b/%b, SignedHeaders=%b, Signature=" % parts

    def _scope(self, stamp: bytes) -> bytes:
        return b"%b/%b/%b/aws4_request" % (stamp[:8], self._region.encode(), self._service.encode())

    def _signature(self, stamp: bytes, target: bytes, body: bytes) -> bytes:
        day, scope, key = self._key
        if day != stamp[:8]:
            day, scope = stamp[:8], self._scope(stamp)
            key = signing_key(self._secret, day.decode(), self._region, self._service, "aws4_request")
            self._key = day, scope, key
        return signature(key, stamp, scope, self._canonical % (target, stamp, digest(body)))


def _invocation_id() -> bytes:
    """A random UUID, as botocore sends with each request; making an object of class UUID costs twice as much."""
    bits = int.from_bytes(os.urandom(16))
    # The version (4) and the variant have their places in it (RFC 9562, section 5.4).
    bits = bits & ~(0xF << 76 | 0x3 << 62) | 4 << 76 | 2 << 62
    digits = b"%032x" % bits
    return b"%b-%b-%b-%b-%b" % (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])


def _trace_id() -> bytes:
    # As botocore writes it: everything but these characters percent-encoded.
    from urllib.parse import quote

    return quote(os.environ.get(_TRACE_ID, ""), safe="-=;:+&[]{}\"',").encode("ascii")


def _bytes(value: Any) -> bytes:
    encoded: bytes = value.encode() if isinstance(value, str) else value
    return encoded

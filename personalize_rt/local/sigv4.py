"""Checking AWS Signature Version 4, so that a wrong secret, clock or proxy is found before the real service finds it.

The rules are those of the AWS page "Create a signed AWS API request". Where a code for a refusal has to be chosen:

===============================  ==================================================================================
``MissingAuthenticationToken``   no ``Authorization`` header (a signature in the query string counts for nothing:
                                 nobody presigns these operations)
``IncompleteSignature``          a header that is not of the form that the page gives
``UnrecognizedClientException``  an access key, or a session token, that is not among the accepted ones
``InvalidSignatureException``    signed for another service or day, outside of the 15 minutes, or not what was signed
===============================  ==================================================================================

All are 403. The first three stand in the lists of common errors; the last is in no list of this service, but is what
services of AWS with JSON bodies answer. Any region is accepted, as one embedded service stands for all of them.
``ExpiredTokenException`` never comes from here, since nothing here knows when a token ends: ``faults.deny`` makes it.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from configparser import ConfigParser, Error
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import attrs

from personalize_rt.errors import ConfigurationError
from personalize_rt.sigv4 import ALGORITHM, canonical_request, digest, signature, signing_key

__all__ = ["Claim", "Credentials", "SignatureError", "SignedRequest", "Verifier"]

SIGNING_NAME = "personalize"
WINDOW = timedelta(minutes=15)

ACCESS_KEY_VARIABLE = "PERSONALIZE_RT_ACCESS_KEY_ID"
SECRET_KEY_VARIABLE = "PERSONALIZE_RT_SECRET_ACCESS_KEY"
TOKEN_VARIABLE = "PERSONALIZE_RT_SESSION_TOKEN"

_TIMESTAMP = re.compile(rb"\d{8}T\d{6}Z")
_BASIC_ISO = "%Y%m%dT%H%M%SZ"
_SIGNATURE = re.compile(rb"[0-9a-f]{64}")


@attrs.frozen
class Credentials:
    """A pair of keys that may call, and the session token that belongs to it, if there is one.

    A request that brings a session token which its keys do not have is refused, and so is one that lacks it.

    Attributes:
        access_key_id: Shown in every signed request.
        secret_access_key: Never sent, never shown.
        session_token: Never shown.
    """

    access_key_id: str
    secret_access_key: str = attrs.field(repr=False)
    session_token: str | None = attrs.field(default=None, repr=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Credentials | None:
        """The keys in ``PERSONALIZE_RT_ACCESS_KEY_ID`` and ``PERSONALIZE_RT_SECRET_ACCESS_KEY``.

        The token, if any, is in ``PERSONALIZE_RT_SESSION_TOKEN``.

        Returns:
            ``None`` when neither key is set.

        Raises:
            ConfigurationError: Only one of the two is set.
        """
        key, secret = environ.get(ACCESS_KEY_VARIABLE), environ.get(SECRET_KEY_VARIABLE)
        if not key and not secret:
            return None
        if not key or not secret:
            missing = SECRET_KEY_VARIABLE if key else ACCESS_KEY_VARIABLE
            raise ConfigurationError(f"{missing} is not set: set both keys, or neither")
        return cls(key, secret, environ.get(TOKEN_VARIABLE) or None)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> tuple[Credentials, ...]:
        """The keys in a file of the form that AWS tools share: a section for each pair of keys.

        ``aws_access_key_id``, ``aws_secret_access_key`` and, if wanted, ``aws_session_token``. Whatever the sections
        are called, the keys of each are accepted.

        Raises:
            ConfigurationError: The file cannot be read or has another form, a section lacks a key, or there is none.
        """
        parser = ConfigParser(interpolation=None)
        try:
            parser.read_string(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            problem = error.strerror or "it cannot be read"
        except (Error, UnicodeError):
            # The parser's own text repeats lines of the file.
            problem = "it is not an INI file such as ~/.aws/credentials"
        else:
            if parser.sections():
                return tuple(_from_section(path, name, parser[name]) for name in parser.sections())
            problem = "there is no section with keys in it"
        raise ConfigurationError(f"credentials file {os.fspath(path)}: {problem}")


def _from_section(path: str | os.PathLike[str], name: str, section: Mapping[str, str]) -> Credentials:
    for member in ("aws_access_key_id", "aws_secret_access_key"):
        if not section.get(member):
            raise ConfigurationError(f"credentials file {os.fspath(path)}: section [{name}] has no {member}")
    return Credentials(
        section["aws_access_key_id"], section["aws_secret_access_key"], section.get("aws_session_token") or None
    )


class SignatureError(Exception):
    """A request that is not signed, or not as it should be.

    Args:
        code: The error code for the answer, whose status is 403.
        message: What was wrong. Nothing of the request but names of headers and times is in it.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@attrs.frozen
class SignedRequest:
    """What a signature covers, byte for byte as it came.

    Attributes:
        method: ``b"POST"``.
        path: The path as it was sent, with its percent signs.
        query: The query string as it was sent, without the question mark.
        headers: All headers, repeated ones too, with names in lower case.
        body: The whole body.
    """

    method: bytes
    path: bytes
    query: bytes
    headers: Sequence[tuple[bytes, bytes]] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)

    def values(self, name: bytes) -> list[bytes]:
        """Every value of one header, in the order in which they came."""
        return [value for header, value in self.headers if header == name]

    def value(self, name: bytes) -> bytes | None:
        """The value of a header that may come once only."""
        values = self.values(name)
        if len(values) > 1:
            raise SignatureError("IncompleteSignature", f"the header {name.decode()} came {len(values)} times")
        return values[0] if values else None


@attrs.frozen
class _Authorization:
    """The parts of an ``Authorization`` header."""

    access_key_id: str
    scope: tuple[str, ...]
    signed_headers: tuple[bytes, ...]
    signature: bytes


def _by_key(accepted: Iterable[Credentials]) -> Mapping[str, Credentials]:
    return {credentials.access_key_id: credentials for credentials in accepted}


def _utc_now() -> datetime:
    return datetime.now(UTC)


@attrs.frozen
class Verifier:
    """Knows who may call, and what time it is.

    Attributes:
        accepted: The credentials whose signatures are good.
        now: The time, as an aware ``datetime``.
    """

    accepted: Mapping[str, Credentials] = attrs.field(converter=_by_key, repr=False)
    now: Callable[[], datetime] = _utc_now

    def verify(self, request: SignedRequest) -> None:
        """Accept a request, or say why not.

        Raises:
            SignatureError: It is not signed with accepted keys, for this service, just now.
        """
        self.claim(request).verify(request.body)

    def claim(self, head: SignedRequest) -> Claim:
        """Check all that does not depend on the body, so that a body is kept only if it may be accepted.

        Args:
            head: The request; its body is not looked at.

        Raises:
            SignatureError: It is refused whatever its body is.
        """
        claimed = _authorization(head)
        timestamp, signed_at = _signing_time(head)
        credentials = self._known(claimed, head)
        _check_scope(claimed, signed_at)
        self._check_time(timestamp, signed_at)
        _check_signed_headers(claimed, head)
        return Claim(head, claimed, signed_at, credentials.secret_access_key)

    def _known(self, claimed: _Authorization, request: SignedRequest) -> Credentials:
        credentials = self.accepted.get(claimed.access_key_id)
        token = request.value(b"x-amz-security-token") or b""
        expected = (credentials and credentials.session_token) or ""
        # Both are compared whatever the first comparison says, in a time that tells nothing of the token.
        if not hmac.compare_digest(expected.encode(), token) or credentials is None:
            raise SignatureError(
                "UnrecognizedClientException", "the access key, or the session token, is not an accepted one"
            )
        return credentials

    def _check_time(self, timestamp: str, signed_at: datetime) -> None:
        now = self.now()
        if signed_at < now - WINDOW:
            raise _invalid(
                f"signature expired: {timestamp} is earlier than {now - WINDOW:{_BASIC_ISO}}, 15 minutes ago"
            )
        if signed_at > now + WINDOW:
            raise _invalid(f"signature not yet current: {timestamp} is later than {now + WINDOW:{_BASIC_ISO}}")


@attrs.frozen(repr=False)
class Claim:
    """A request whose head is in order, and whose signature is still to be verified."""

    _head: SignedRequest
    _claimed: _Authorization
    _signed_at: datetime
    _secret: str

    def verify(self, body: bytes) -> None:
        """Accept the request with its body, or say why not.

        Raises:
            SignatureError: It was not signed with this secret, head and body.
        """
        declared = self._head.value(b"x-amz-content-sha256")
        if declared is not None and declared != digest(body):
            raise _invalid("x-amz-content-sha256 is not the SHA-256 of the body")
        request = attrs.evolve(self._head, body=body)
        expected = _signature(self._secret, self._claimed, self._signed_at, request)
        if not hmac.compare_digest(expected, self._claimed.signature):
            raise _invalid("the signature does not match: check the secret key, and what changes requests on their way")


def _invalid(message: str) -> SignatureError:
    return SignatureError("InvalidSignatureException", message)


def _incomplete(message: str) -> SignatureError:
    return SignatureError("IncompleteSignature", message)


def _authorization(request: SignedRequest) -> _Authorization:
    header = request.value(b"authorization")
    if header is None:
        raise SignatureError("MissingAuthenticationToken", "the request has no Authorization header")
    algorithm, _, rest = header.strip().partition(b" ")
    if algorithm != ALGORITHM:
        raise _incomplete(f"the Authorization header does not begin with {ALGORITHM.decode()}")
    parts: dict[bytes, bytes] = {}
    for part in rest.split(b","):
        name, _, value = part.strip().partition(b"=")
        if name in parts:
            raise _incomplete("a parameter of the Authorization header came twice")
        parts[name] = value
    for name in (b"Credential", b"SignedHeaders", b"Signature"):
        if not parts.get(name):
            raise _incomplete(f"the Authorization header has no {name.decode()}")
    scope = parts[b"Credential"].decode("latin-1").split("/")
    # An access key id may itself hold slashes; the scope is always the last four.
    key, scope = "/".join(scope[:-4]), scope[-4:]
    if not key:
        raise _incomplete("Credential is not of the form key/date/region/service/aws4_request")
    names = parts[b"SignedHeaders"].split(b";")
    if names != sorted(set(names)) or names != [name.lower() for name in names] or b"" in names:
        raise _incomplete("SignedHeaders is not a sorted list of lower-case names with ';' between them")
    if not _SIGNATURE.fullmatch(parts[b"Signature"]):
        raise _incomplete("Signature is not 64 lower-case hexadecimal digits")
    return _Authorization(key, tuple(scope), tuple(names), parts[b"Signature"])


def _signing_time(request: SignedRequest) -> tuple[str, datetime]:
    """The time of the signature, from ``X-Amz-Date`` or else ``Date``, in the basic ISO form and parsed."""
    stamp, date = request.value(b"x-amz-date"), request.value(b"date")
    signed_at = None
    try:
        if stamp is not None and _TIMESTAMP.fullmatch(stamp):
            signed_at = datetime.strptime(stamp.decode(), _BASIC_ISO).replace(tzinfo=UTC)
        elif stamp is None and date is not None:
            told = parsedate_to_datetime(date.decode("latin-1"))
            # botocore writes -0000, which is UTC, and comes without a zone: not the time of this machine's zone.
            signed_at = told.replace(tzinfo=told.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    if signed_at is None:
        raise _incomplete("neither X-Amz-Date (as 20240229T120000Z) nor Date says when the request was signed")
    return f"{signed_at:{_BASIC_ISO}}", signed_at


def _check_scope(claimed: _Authorization, signed_at: datetime) -> None:
    date, _, service, terminator = claimed.scope
    if date != f"{signed_at:%Y%m%d}":
        raise _invalid("the date in Credential is not the day on which the request says it was signed")
    if service != SIGNING_NAME:
        raise _invalid(f"Credential is not scoped to the service {SIGNING_NAME!r}")
    if terminator != "aws4_request":
        raise _invalid("Credential does not end in aws4_request")


def _check_signed_headers(claimed: _Authorization, request: SignedRequest) -> None:
    """Whoever changes a header on the way must not be able to change what the request means."""
    if b"host" not in claimed.signed_headers:
        raise _invalid("the header host must be signed")
    if request.value(b"x-amz-date") is None and b"date" not in claimed.signed_headers:
        raise _invalid("the header date must be signed")
    for name, _ in request.headers:
        if name.startswith(b"x-amz-") and name not in claimed.signed_headers:
            raise _invalid(f"the header {name.decode('latin-1')} must be signed")


def _signature(secret: str, claimed: _Authorization, signed_at: datetime, request: SignedRequest) -> bytes:
    canonical = canonical_request(
        request.method, request.path, request.query, request.headers, claimed.signed_headers, digest(request.body)
    )
    scope = "/".join(claimed.scope).encode("latin-1")
    return signature(signing_key(secret, *claimed.scope), f"{signed_at:{_BASIC_ISO}}".encode(), scope, canonical)

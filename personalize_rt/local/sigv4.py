"""Verification of AWS Signature Version 4, which finds a wrong secret, clock or proxy before the real service does.

The rules are those of the AWS page "Create a signed AWS API request". The error codes of refusals:

===============================  ==================================================================================
``MissingAuthenticationToken``   no ``Authorization`` header (a signature in the query string is ignored, since these
                                 operations are never presigned)
``IncompleteSignature``          a header that does not have the form of that page
``UnrecognizedClientException``  an access key, or a session token, that is not accepted
``InvalidSignatureException``    signed for another service or day, outside of the 15 minutes, or a wrong signature
===============================  ==================================================================================

The status is always 403. The first three codes are common errors of AWS; the last is not documented for this service,
but is the code of AWS services with JSON bodies. Any region is accepted, since one embedded service stands for all of
them. ``ExpiredTokenException`` is not used, since expiry times are unknown here; ``faults.deny`` makes it.
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
    """An accepted pair of keys, with its session token if it has one.

    A request whose session token differs, is missing or is not expected is refused.

    Attributes:
        access_key_id: The id, which is not secret: every signed request has it.
        secret_access_key: Never sent, never shown.
        session_token: Never shown.
    """

    access_key_id: str
    secret_access_key: str = attrs.field(repr=False)
    session_token: str | None = attrs.field(default=None, repr=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Credentials | None:
        """Read ``PERSONALIZE_RT_ACCESS_KEY_ID``, ``_SECRET_ACCESS_KEY`` and optionally ``_SESSION_TOKEN``.

        Returns:
            The credentials, or ``None`` if neither key is set.

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
        """Read a file in the form of AWS tools, with a section for each pair of keys.

        A section has ``aws_access_key_id``, ``aws_secret_access_key`` and optionally ``aws_session_token``. The names
        of sections are ignored.

        Raises:
            ConfigurationError: The file cannot be read or has another form, a section lacks a key, or there are no
                sections.
        """
        parser = ConfigParser(interpolation=None)
        try:
            parser.read_string(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            problem = error.strerror or "it cannot be read"
        except (Error, UnicodeError):
            # The parser's own message would repeat lines of the file.
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
    """A request is not signed, or not correctly.

    Args:
        code: The error code for the answer, whose status is 403.
        message: The problem; from the request it quotes only header names and times.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@attrs.frozen
class SignedRequest:
    """The parts of a request that its signature can cover.

    Attributes:
        method: The method (``b"POST"``).
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
        """All values of a header, in order."""
        return [value for header, value in self.headers if header == name]

    def value(self, name: bytes) -> bytes | None:
        """The value of a header that must not be repeated, or ``None``."""
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
    """Verifies signatures by accepted credentials and the time.

    Attributes:
        accepted: The accepted credentials.
        now: Returns the time, as an aware ``datetime``.
    """

    accepted: Mapping[str, Credentials] = attrs.field(converter=_by_key, repr=False)
    now: Callable[[], datetime] = _utc_now

    def verify(self, request: SignedRequest) -> None:
        """Verify a request.

        Raises:
            SignatureError: It was not signed with accepted credentials, for this service, within 15 minutes of now.
        """
        self.claim(request).verify(request.body)

    def claim(self, head: SignedRequest) -> Claim:
        """Check everything that does not depend on the body, before a body is received.

        Args:
            head: The request; its body is ignored.

        Raises:
            SignatureError: The request is refused whatever its body is.
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
        # The token is always compared, in constant time, so that the time tells nothing about either.
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
    """A request with a valid head, whose signature is still to be verified."""

    _head: SignedRequest
    _claimed: _Authorization
    _signed_at: datetime
    _secret: str

    def verify(self, body: bytes) -> None:
        """Verify the signature, given the body.

        Raises:
            SignatureError: The signature does not match secret, head and body.
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
    # An access key id may have slashes; the scope is always the last four parts.
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
    """The time of the signature, from ``X-Amz-Date`` or else ``Date``: in the basic ISO form, and parsed."""
    stamp, date = request.value(b"x-amz-date"), request.value(b"date")
    signed_at = None
    try:
        if stamp is not None and _TIMESTAMP.fullmatch(stamp):
            signed_at = datetime.strptime(stamp.decode(), _BASIC_ISO).replace(tzinfo=UTC)
        elif stamp is None and date is not None:
            told = parsedate_to_datetime(date.decode("latin-1"))
            # botocore writes -0000, which means UTC, but is parsed to a naive datetime.
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
    """Check that all headers that matter are signed, so that nobody can change them on the way."""
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

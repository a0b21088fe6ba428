"""The reason why a secure connection failed, for a person.

botocore, urllib3 and aiohttp each wrap the error of OpenSSL in their own way; what helps is what OpenSSL said.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from ssl import SSLCertVerificationError, SSLEOFError, SSLError, SSLZeroReturnError
from typing import Any

__all__ = ["is_of_tls", "tls_reason"]

_TRUST = (
    "name the file of its certificate authority in AWS_CA_BUNDLE, or in ca_bundle of the profile; a proxy that "
    "inspects TLS has an authority of its own"
)

# By X509_V_ERR_…, the codes of OpenSSL's x509_vfy.h.
_CERTIFICATES: Mapping[int, str] = {
    9: "its certificate is not valid yet: check the clock of this machine",
    10: "its certificate has expired: it must be renewed, unless the clock of this machine is wrong",
    18: f"its certificate is self-signed: {_TRUST}",
    **dict.fromkeys((2, 19, 20, 21), f"the issuer of its certificate is unknown here: {_TRUST}"),
    23: "its certificate was revoked",
    **dict.fromkeys((62, 64), "its certificate is for another name: check the host name of the endpoint"),
}

_NO_TLS = "the server does not speak TLS on this port: if it is plain HTTP, the endpoint begins with http://"
_VERSIONS = "the server shares no TLS version or cipher with this client: it must speak TLS 1.2 or newer"
_CLIENT = "the server wants a client certificate that it trusts: give Config(client_cert=…)"
_ENDED = (
    "the server ended the TLS handshake: check its TLS versions, proxies, and whether it wants a client certificate"
)
_NOT_PEM = "the CA bundle, or the client certificate, is not a PEM file: check AWS_CA_BUNDLE, ca_bundle and client_cert"

# Words in the names of OpenSSL's errors (the attribute ``reason``), in the order in which they are looked for.
_ALERTS: Mapping[str, str] = {
    "ALERT_CERTIFICATE_REQUIRED": _CLIENT,
    "ALERT_BAD_CERTIFICATE": _CLIENT,
    "ALERT_CERTIFICATE_": _CLIENT,
    "ALERT_UNSUPPORTED_CERTIFICATE": _CLIENT,
    "ALERT_UNKNOWN_CA": _CLIENT,
    "ALERT_ACCESS_DENIED": _CLIENT,
    "ALERT_PROTOCOL_VERSION": _VERSIONS,
    "ALERT_HANDSHAKE_FAILURE": f"{_VERSIONS}; or it wants a client certificate",
    "ALERT_INSUFFICIENT_SECURITY": _VERSIONS,
}
_FILES: Mapping[str, str] = {
    "NO_CERTIFICATE_OR_CRL_FOUND": _NOT_PEM,
    "NO_START_LINE": _NOT_PEM,
    "PEM": _NOT_PEM,
    "BASE64": _NOT_PEM,
    "KEY_VALUES_MISMATCH": "the key of the client certificate is another one's: check client_cert",
}
_REASONS: Mapping[str, str] = {
    **_ALERTS,
    "WRONG_VERSION_NUMBER": _NO_TLS,
    "RECORD_LAYER_FAILURE": _NO_TLS,
    "PACKET_LENGTH_TOO_LONG": _NO_TLS,
    "HTTP_REQUEST": _NO_TLS,
    "UNKNOWN_PROTOCOL": _NO_TLS,
    "UNSUPPORTED_PROTOCOL": _VERSIONS,
    "NO_PROTOCOLS_AVAILABLE": _VERSIONS,
    "NO_SHARED_CIPHER": _VERSIONS,
    "UNEXPECTED_EOF": _ENDED,
    **_FILES,
}


def tls_reason(error: BaseException) -> str:
    """The reason why a secure connection failed, and advice; names no person and no path.

    Args:
        error: What botocore, urllib3, aiohttp or OpenSSL raised.
    """
    chain = list(_behind(error))
    of_openssl = [each for each in chain if isinstance(each, SSLError)]
    for error_of_ssl in of_openssl:  # those that aiohttp derives from it say nothing themselves
        told = _of_certificate(error_of_ssl) or _told(error_of_ssl, _REASONS)
        if told is not None:
            return told
    for each in chain:
        if type(each).__name__ == "CertificateError":  # urllib3 compares names by itself for some addresses
            return _CERTIFICATES[62]
        if isinstance(each, FileNotFoundError | NotADirectoryError):
            return f"{_missing_file()} is not there: correct the path"
        if isinstance(each, PermissionError | IsADirectoryError):
            return "the CA bundle, or the client certificate, cannot be read: check AWS_CA_BUNDLE and client_cert"
        if isinstance(each, ConnectionError | SSLEOFError | SSLZeroReturnError):
            return _ENDED
    said = next((found.reason for found in of_openssl if getattr(found, "reason", None)), "no reason given")
    return f"OpenSSL says '{said.replace('_', ' ').lower()}': check TLS settings, CA bundle and proxies"


def is_of_tls(error: BaseException) -> bool:
    """Tell whether an exception that says something else is one of TLS behind.

    aiohttp loads certificates in the midst of a request. And a server may refuse a handshake of TLS 1.3 after this side
    took it for done.
    """
    return any(
        isinstance(each, FileNotFoundError | NotADirectoryError)
        or (isinstance(each, SSLError) and _told(each, {**_ALERTS, **_FILES}) is not None)
        for each in _behind(error)
    )


def _behind(error: BaseException) -> Iterator[BaseException]:
    """An exception, and those that it was raised for."""
    waiting: list[Any] = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop(0)
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        details: Any = each
        kwargs = getattr(details, "kwargs", {})
        waiting += [
            kwargs.get("error") if isinstance(kwargs, dict) else None,  # botocore's  # pyright: ignore[reportUnknownMemberType]
            getattr(details, "reason", None),  # urllib3's; of OpenSSL's it is a text
            getattr(details, "certificate_error", None),  # aiohttp's
            getattr(details, "os_error", None),  # aiohttp's
            *each.args,
            each.__cause__,  # not __context__, which may be what the caller is handling
        ]


def _of_certificate(error: SSLError) -> str | None:
    if not isinstance(error, SSLCertVerificationError) or not hasattr(error, "verify_code"):
        return None
    known = _CERTIFICATES.get(error.verify_code)
    return known or f"its certificate was not accepted ({error.verify_message}): {_TRUST}"


def _told(error: SSLError, reasons: Mapping[str, str]) -> str | None:
    name: str = getattr(error, "reason", None) or ""
    return next((told for words, told in reasons.items() if words in name), None)


def _missing_file() -> str:
    for variable in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        path = os.environ.get(variable)
        if path is not None and not os.path.exists(path):
            return f"the CA bundle that {variable} names"
    return "the CA bundle (ca_bundle of the profile, or verify=), or the client certificate (client_cert),"

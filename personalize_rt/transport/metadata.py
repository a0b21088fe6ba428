"""Tell whether the metadata service of an EC2 instance is there, when botocore says that there are no credentials.

botocore passes over every error of that service. A service that is slow for a moment and a machine without any are the
same to it: no credentials. The first passes, and the second does not.
"""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from personalize_rt.transport.untyped import untyped

__all__ = ["is_troubled"]

_CONNECT_TIMEOUT = 0.25  # seconds; it is on the host itself

# AWS, EC2 User Guide, "Use the Instance Metadata Service to access instance metadata".
_TOKEN = "/latest/api/token"
_TOKEN_HEADERS = {"x-aws-ec2-metadata-token-ttl-seconds": "60"}
_ROLE = "/latest/meta-data/iam/security-credentials/"


def is_troubled(session: Any) -> bool:
    """Tell whether a metadata service answers here, and may give credentials that it did not give just now.

    Args:
        session: The session that found no credentials; it says where the service is.
    """
    session = getattr(session, "_session", session)  # boto3 has botocore's inside
    try:
        fetcher = session.get_component("credential_provider").get_provider("iam-role")._role_fetcher
        disabled: bool = fetcher._disabled
        address, timeout = str(fetcher.get_base_url()), float(fetcher._timeout)
    except (AttributeError, TypeError, ValueError, untyped("botocore.exceptions").UnknownCredentialError):
        return False
    url = urlsplit(address)
    return not disabled and url.scheme == "http" and _may_answer(url.hostname or "", url.port or 80, timeout)


def _may_answer(host: str, port: int, timeout: float) -> bool:
    connection = HTTPConnection(host, port, timeout=_CONNECT_TIMEOUT)
    try:
        connection.connect()
    except OSError:
        return False
    try:
        connection.sock.settimeout(timeout)
        status, token = _answer(connection, "PUT", _TOKEN, _TOKEN_HEADERS)
        if not _is_trouble(status):
            headers = {"x-aws-ec2-metadata-token": token} if status == 200 else {}
            status, _ = _answer(connection, "GET", _ROLE, headers)
    except (OSError, HTTPException):
        return True  # somebody listens there, and does not answer
    finally:
        connection.close()
    return status == 200 or _is_trouble(status)


def _answer(connection: HTTPConnection, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read(4096).decode("latin-1")


def _is_trouble(status: int) -> bool:
    return status == 429 or status >= 500

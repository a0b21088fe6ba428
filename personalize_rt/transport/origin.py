"""Telling clients apart by whom they ask and as whom, so that a cache that several share never mixes their answers.

An ARN names a region and an account, but two endpoints may know the same ARN, and one principal may ask what another
must not. Credentials are not fetched or refreshed for this, so it costs no request and never waits. As whom a client
asks is known by

* the access key, where the keys are fixed: given in code, in the environment, in a file;
* the role, where botocore fetches keys that change: assumed roles (also by a web identity), SSO, and the one role of
  the machine or the container. A refresh changes nothing, and processes with the same role share answers;
* the credentials object itself for any other kind, which nobody else can look into: clients of one session share
  answers, and only in this process.

Beside botocore's documented interface it relies on ``client._get_credentials()``, on ``_refresh_using`` of
``RefreshableCredentials``, and on ``_cache_key`` of the object whose method that is: the name under which botocore
itself keeps a role's credentials for other processes. Where one of the last two is missing, the last rule holds.
"""

from __future__ import annotations

import json
from typing import Any
from weakref import WeakKeyDictionary

from personalize_rt.transport.credentials import Shared
from personalize_rt.transport.untyped import untyped

__all__ = ["IN_PROCESS_KEY", "credentials_of", "origin_of"]

IN_PROCESS_KEY = "embedded"
"""The access key that in-process clients sign with. What answers them is known to nobody but the client."""

# Of these, a machine or a container has one.
_ITS_OWN_ROLE = ("iam-role", "container-role")
_THEIRS = ("botocore", "aiobotocore")

_names: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def credentials_of(client: Any) -> Any:
    """The credentials object of a client, not fetched; ``None`` if it signs nothing, and for a double."""
    ask = getattr(client, "_get_credentials", None)
    return None if ask is None else ask()


def origin_of(client: Any) -> tuple[str, str | None]:
    """A digest of the endpoint, the region and the principal of a client; or of the client, where it is a double.

    Returns:
        The digest; and the same, or ``None`` while it may still change since credentials are not found yet.
    """
    meta = getattr(client, "meta", None)
    endpoint, region = getattr(meta, "endpoint_url", None), getattr(meta, "region_name", None)
    parts: tuple[str, ...] = (_name(client),)
    credentials: Any = None
    if isinstance(endpoint, str) and hasattr(client, "_get_credentials"):
        credentials = credentials_of(client)
        found = credentials.found if isinstance(credentials, Shared) else credentials
        # Nobody else has these until it is known who they are of.
        principal = ("object", _name(credentials)) if found is None and credentials is not None else None
        parts = (endpoint, str(region), *(principal or _principal(client, found)))
    import hashlib  # not before it is needed

    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return digest, None if isinstance(credentials, Shared) and credentials.found is None else digest


def _principal(client: Any, credentials: Any) -> tuple[str, ...]:
    if credentials is None:
        return ("nobody",)
    kinds = untyped("botocore.credentials")
    if isinstance(credentials, kinds.RefreshableCredentials):
        role = _role(credentials)
        return ("object", _name(credentials)) if role is None else ("role", credentials.method, role)
    # Of a class of somebody else's, the access key may be a property that fetches it.
    if not _is_theirs(type(credentials)):
        return "object", _name(credentials)
    if credentials.access_key == IN_PROCESS_KEY:
        return "object", _name(client)
    return "key", credentials.access_key


def _role(credentials: Any) -> str | None:
    """The role that keys are fetched for, where botocore fetches them and says so."""
    fetch = getattr(credentials, "_refresh_using", None)
    if not _is_theirs(fetch):
        return None
    if credentials.method in _ITS_OWN_ROLE:
        return ""
    key = getattr(getattr(fetch, "__self__", None), "_cache_key", None)
    return key if isinstance(key, str) else None


def _is_theirs(made: Any) -> bool:
    return str(getattr(made, "__module__", "")).partition(".")[0] in _THEIRS


def _name(known: Any) -> str:
    """A name for an object, for as long as it lives."""
    import secrets  # not before it is needed

    try:
        return _names.setdefault(known, secrets.token_hex(16))
    except TypeError:  # it cannot be looked up: it has a name for whoever asked only
        return secrets.token_hex(16)

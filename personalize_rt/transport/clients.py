"""Building clients, and looking at clients that a caller built."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, cast

from personalize_rt._version import __version__
from personalize_rt.errors import ValidationError
from personalize_rt.redaction import describe, without_logins
from personalize_rt.transport.untyped import untyped

__all__ = [
    "SERVICE",
    "build_client",
    "check_client_options",
    "check_endpoint",
    "chosen_session",
    "client_config",
    "hidden_retries",
    "is_patched_boto3",
    "own_session",
    "refuse_options",
    "resolve_credentials",
    "unpatched_session",
    "verifying",
]

_log = logging.getLogger("personalize_rt")

SERVICE = "personalize-runtime"

CONNECT_TIMEOUT = 0.5  # seconds
READ_TIMEOUT = 1.0  # seconds
POOL_CONNECTIONS = 50


def check_client_options(options: Mapping[str, Any]) -> None:
    """Refuse options that no client can be built with, and a ``Config`` that has ``retries``."""
    config, session = options.get("config"), options.get("session")
    if config is not None and not isinstance(config, untyped("botocore.config").Config):
        raise ValidationError(
            f"config is {describe(config)}, not a botocore.config.Config: write Config(read_timeout=…)",
            parameter="config",
        )
    if getattr(config, "retries", None):
        raise ValidationError(
            "config has retries: one layer retries, and it is retry=RetryPolicy(...); take retries out of the config",
            parameter="config",
        )
    # A botocore session names it create_client.
    if session is not None and (
        isinstance(session, type) or not (hasattr(session, "client") or hasattr(session, "create_client"))
    ):
        raise ValidationError(
            f"session is {describe(session)}, not a session such as boto3.Session()", parameter="session"
        )
    verify = options.get("verify")
    if not isinstance(verify, bool | str | None):
        raise ValidationError(
            f"verify is {describe(verify)}, neither the path of a CA bundle (a str) nor False", parameter="verify"
        )
    for name in ("region_name", "endpoint_url"):
        value = options.get(name)
        if value is not None and not isinstance(value, str):
            raise ValidationError(f"{name} is {describe(value)}, not a str", parameter=name)


def refuse_options(client: Any, options: Mapping[str, Any]) -> None:
    """Refuse a ``str`` as a client, and options for building beside a given client."""
    if isinstance(client, str | bytes):
        raise ValidationError(
            f"client is {describe(client)}, not a client: for a region write region_name=…, for an address "
            "endpoint_url=…",
            parameter="client",
        )
    for name, value in options.items():
        if value is not None:
            raise ValidationError(
                f"{name} says how to build a client, and a client is given: give one or the other", parameter=name
            )


def chosen_session(session: Any) -> Any:
    """Choose the session to build a client from: the caller's, if it is not ``None``.

    Else it is boto3's default session where the program set one up, or a new one of botocore, which saves importing
    boto3. Where somebody patched ``boto3.client`` or ``boto3.Session``, it is the module ``boto3`` itself, so that the
    stand-in for boto3's clients also stands in for this one.
    """
    if session is not None:
        return session
    boto3 = sys.modules.get("boto3")
    if boto3 is not None and _is_patched(boto3):
        return boto3
    return getattr(boto3, "DEFAULT_SESSION", None) or own_session("botocore.session")


def unpatched_session() -> Any:
    """The botocore session of boto3's default session where the program set one up, or a new one."""
    default = getattr(sys.modules.get("boto3"), "DEFAULT_SESSION", None)
    return getattr(default, "_session", None) or own_session("botocore.session")


def is_patched_boto3(session: Any) -> bool:
    """Tell whether a session is the module ``boto3``, chosen because it is patched."""
    return session is not None and session is sys.modules.get("boto3")


def _is_patched(boto3: Any) -> bool:
    from personalize_rt.transport.own import is_own_class, is_own_function

    kind: Any = getattr(sys.modules.get("boto3.session"), "Session", None)
    return kind is None or not (
        is_own_function(getattr(boto3, "client", None), "client", "boto3")
        and boto3.Session is kind
        and is_own_class(kind, "boto3.session")
    )


def build_client(
    *,
    region_name: Any,
    session: Any,
    endpoint_url: Any,
    config: Any,
    verify: Any = None,
    service: str = SERVICE,
    **keys: str,
) -> Any:
    """Build a client of one of Personalize's APIs as ``boto3.client`` does, with our defaults.

    Args:
        region_name: As ``boto3.client`` takes it.
        session: As :func:`chosen_session` takes it.
        endpoint_url: As ``boto3.client`` takes it.
        config: The caller's ``botocore.config.Config``, or ``None``.
        verify: As ``boto3.client`` takes it.
        service: The API's name in boto3.
        keys: Credentials instead of those of the session, as ``boto3.client`` takes them.
    """
    session = chosen_session(session)
    _finish_patching_ssl()
    # A botocore session names it create_client.
    create = getattr(session, "client", None) or session.create_client
    # Our own validation runs before anything is sent.
    client = create(
        service,
        region_name=region_name,
        endpoint_url=endpoint_url,
        config=client_config(config, parameter_validation=False),
        **verifying(verify),
        **keys,
    )
    if is_patched_boto3(session):
        return client
    if not hasattr(client, "meta"):  # a context manager, which has to be entered
        raise ValueError(
            "session makes clients whose calls have to be awaited: give a boto3.Session(), or use "
            "personalize_rt.aio.AsyncPersonalizeRuntime"
        )
    check_endpoint(client)
    return client


def verifying(verify: Any) -> dict[str, Any]:
    """The option ``verify`` of a client to build, where one is given; not every session knows it."""
    return {} if verify is None else {"verify": verify}


def _finish_patching_ssl() -> None:
    """Let botocore make the TLS contexts of gevent, where gevent patched ``ssl`` after botocore was imported.

    A worker of ``gunicorn --preload -k gevent`` does that. The class that botocore and urllib3 imported before can make
    no context from then on (``RecursionError``): boto3 can build no client there, nor open a TLS connection with one
    that was built before.
    """
    patched = getattr(sys.modules.get("ssl"), "SSLContext", None)
    if str(getattr(patched, "__module__", "")).startswith("gevent."):
        for name in ("urllib3.util.ssl_", "botocore.httpsession"):
            module = sys.modules.get(name)
            if hasattr(module, "SSLContext"):
                setattr(module, "SSLContext", patched)  # noqa: B010 - of an untyped module


def check_endpoint(client: Any) -> None:
    """Refuse an endpoint that botocore accepts but cannot send to; it may be the environment's.

    Raises:
        ValueError: It is neither http nor https, or has no host and port that can be read.
    """
    url: str = client.meta.endpoint_url
    if not url.lower().startswith(("http://", "https://")):
        raise ValueError(f"Invalid endpoint: {without_logins(url)}, which is neither http:// nor https://")
    from urllib.parse import urlsplit  # not before it is needed

    parts = urlsplit(url)
    _ = parts.port  # which is not always a number
    if not parts.hostname:
        raise ValueError("Invalid endpoint: it has no host")


def own_session(module: str) -> Any:
    """A new session of botocore or aiobotocore, which reads its data files into plain dicts.

    botocore reads more than a megabyte of JSON to build a client, and every object in it into an ``OrderedDict``. A
    dict keeps the order as well, and costs a quarter less of the whole building.
    """
    # Before botocore does, deep in its own imports: there CPython 3.11 and later map and unmap a piece of their stack
    # a thousand times while regular expressions are compiled, which a shallow stack spares a new process.
    import_module("urllib3")
    session = untyped(module).get_session()
    try:
        loader = session.get_component("data_loader")
        loader.file_loader = _file_loader(type(loader.file_loader))
    except (AttributeError, TypeError, ValueError) as error:
        _log.debug("data files are read as ever, since botocore has no %s", error)
    return session


def _file_loader(general: Any) -> Any:
    class PlainDicts(general):  # type: ignore[misc]  # of botocore, which is untyped
        """botocore's loader, reading plain dicts."""

        def _load_file(self, full_path: str, open_method: Callable[..., Any]) -> Any:
            if not os.path.isfile(full_path):
                return None
            with open_method(full_path, "rb") as file:
                return json.loads(file.read())

    _ = general._load_file
    return PlainDicts()


def client_config(theirs: Any = None, **settings: Any) -> Any:
    """The ``botocore.config.Config`` of a client that we build, with the caller's merged over it."""
    Config = untyped("botocore.config").Config
    ours = Config(
        # Both: AWS_MAX_ATTEMPTS and AWS_RETRY_MODE (adaptive would sleep) would otherwise fill in the other.
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        tcp_keepalive=True,
        max_pool_connections=POOL_CONNECTIONS,
        user_agent_extra=f"personalize-rt/{__version__}",
        **settings,
    )
    if theirs is None:
        return ours
    merged = ours.merge(theirs)
    extra = getattr(theirs, "user_agent_extra", None)
    return merged.merge(Config(user_agent_extra=f"{ours.user_agent_extra} {extra}")) if extra else merged


def resolve_credentials(client: Any) -> None:
    """Fetch the credentials that a client of ours signs with, so that the first call does not."""
    if not hasattr(client, "_get_credentials"):  # what a patched boto3.client returns
        return
    if client.meta.config.signature_version is untyped("botocore").UNSIGNED:
        return
    credentials = client._get_credentials()
    if credentials is None:
        raise untyped("botocore.exceptions").NoCredentialsError
    credentials.get_frozen_credentials()


def hidden_retries(client: Any) -> int:
    """The most repeats of a request by a caller's client itself; 0 for none, or if unknown."""
    retries: Any = getattr(getattr(getattr(client, "meta", None), "config", None), "retries", None)
    if not isinstance(retries, dict):
        return 0
    retries = cast("dict[str, Any]", retries)
    default = 5 if retries.get("mode", "legacy") == "legacy" else 3
    return int(retries.get("total_max_attempts", default)) - 1

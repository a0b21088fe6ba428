"""Clients and sessions of aiobotocore that a caller hands in: aiobotocore makes the call, and nothing of it is changed.

Beside what the package's docstring names of botocore, this relies on:

* The service client comes from an async context manager; ``AioSession.create_client`` makes it.
* ``client._endpoint.http_session`` opens its connector with the first request, in ``_get_session(proxy_url)``.
* ``client._get_credentials().get_frozen_credentials()`` is a coroutine.
* aiohttp's exceptions arrive in those of botocore, in ``kwargs["error"]``, some in one that says less than it could
  (:func:`sharpened`).

``tests/aio/test_aiobotocore_contract.py`` fails when one of these changes.
"""

from __future__ import annotations

import logging
import socket
import sys
from typing import Any

from personalize_rt.errors import ConfigurationError
from personalize_rt.transport.clients import client_config
from personalize_rt.transport.untyped import untyped

__all__ = ["aio_config", "aiobotocore", "open_connector", "resolve_credentials", "sharpened"]

_log = logging.getLogger("personalize_rt")


def aiobotocore(module: str) -> Any:
    """A module of aiobotocore, imported when it is needed.

    Raises:
        ConfigurationError: It is not installed.
    """
    try:
        return untyped(f"aiobotocore.{module}")
    except ImportError as error:
        reason = str(error)
    raise ConfigurationError(f'the async client needs aiobotocore ({reason}): pip install "personalize-rt[aio]"')


def aio_config(theirs: Any = None, **settings: Any) -> Any:
    """The ``AioConfig`` of a client that we build: the settings of the sync client, with the caller's merged over."""
    config = aiobotocore("config").AioConfig().merge(client_config(**settings))
    if theirs is None:
        return config
    extra = getattr(theirs, "user_agent_extra", None)
    ours, config = config.user_agent_extra, config.merge(theirs)
    if extra:
        config = config.merge(untyped("botocore.config").Config(user_agent_extra=f"{ours} {extra}"))
    return config


async def resolve_credentials(client: Any) -> None:
    """Fetch the credentials that a client of ours signs with, so that the first call does not."""
    if client.meta.config.signature_version is untyped("botocore").UNSIGNED:
        return
    credentials = client._get_credentials()
    if credentials is None:
        raise untyped("botocore.exceptions").NoCredentialsError
    await credentials.get_frozen_credentials()


async def open_connector(client: Any) -> None:
    """Load certificates while the client is built, not within the deadline of the first call.

    A deadline that is shorter than the loading would cancel it in each call anew.

    Raises:
        ConfigurationError: aiohttp refuses the settings.
    """
    try:
        session, url = client._endpoint.http_session, client.meta.endpoint_url
        await session._get_session(session._proxy_config.proxy_url_for(url))
        return
    except (AttributeError, TypeError) as error:
        _log.debug("the connector is left to the first call, since aiobotocore has no %s", error)
        return
    except (OSError, ValueError, untyped("botocore.exceptions").BotoCoreError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise ConfigurationError(
        f"no connection can be opened with these settings: check CA bundle, certificates and proxies ({reason})"
    )


def sharpened(error: Exception) -> Exception:
    """The same failure, where aiobotocore calls by one name what botocore tells apart."""
    return _sharper(error) or error


def _sharper(error: Any) -> Exception | None:
    botocore = untyped("botocore.exceptions")
    aiohttp: Any = sys.modules.get("aiohttp")  # not with every http_session_cls
    behind = getattr(error, "kwargs", {}).get("error")
    # Not only "no connection", but also a connection that broke later.
    if aiohttp is None or not isinstance(error, botocore.EndpointConnectionError):
        return None
    kind: Any = botocore.ConnectionClosedError
    if isinstance(behind, aiohttp.ClientConnectorDNSError):
        kind, behind = botocore.EndpointConnectionError, socket.gaierror(str(behind))
    elif isinstance(behind, aiohttp.ClientConnectorError) or not isinstance(behind, aiohttp.ClientError):
        return None
    sharper: Exception = kind(endpoint_url=error.kwargs.get("endpoint_url"), error=behind, request=None)
    return sharper

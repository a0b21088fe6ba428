"""Answering requests of clients that somebody else built, as an in-process client would answer its own.

Whoever is asked for an answer before a request is sent (botocore's ``before-send`` event) is told the request, and
nothing of the client behind it. Two things have to be known of that client: its read time-out, by which it sees a slow
answer as none, and that it is a client of boto3 at all, since an answer for one that awaits is another thing. So
``BaseClient._make_api_call`` notes whose call is under way. aiobotocore's clients have a ``_make_api_call`` of their
own, and are never noted.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from personalize_rt import forks
from personalize_rt.errors import ConfigurationError
from personalize_rt.transport.origin import IN_PROCESS_KEY
from personalize_rt.transport.untyped import untyped

__all__ = ["StandIn", "calls_noted"]

_calling: ContextVar[Any] = ContextVar("personalize_rt_calling", default=None)


@contextmanager
def calls_noted() -> Generator[None, None, None]:
    """Note, for as long as the block lasts, which client of boto3 makes the call that is under way."""
    base = untyped("botocore.client").BaseClient
    make_api_call = base._make_api_call

    def noted(client: Any, *args: Any, **kwargs: Any) -> Any:
        token = _calling.set(client)
        try:
            return make_api_call(client, *args, **kwargs)
        finally:
            _calling.reset(token)

    base._make_api_call = noted
    try:
        yield
    finally:
        base._make_api_call = make_api_call


class StandIn:
    """Answers for others. May be used by many threads at once, within :func:`calls_noted`.

    Args:
        build: Makes an in-process client, from the name of a service and a ``botocore.config.Config``.
        services: The services that are answered.
    """

    _lock = forks.lock()

    def __init__(self, build: Callable[..., Any], services: Iterable[str]) -> None:
        self._build = build
        self._services = frozenset(services)
        # By service and read time-out; there are few.
        self._clients: dict[tuple[str, float | None], Any] = {}

    def answers(self, event_name: str) -> bool:
        """Tell whether an event asks for an answer that is given here."""
        name, _, rest = event_name.partition(".")
        return name == "before-send" and rest.partition(".")[0] in self._services

    def answer(self, event_name: str, request: Any) -> Any:
        """The answer to an in-process client with the time-out of the calling one: an ``AWSResponse``.

        ``None`` when the calling client is an in-process one itself: botocore asks everybody for an answer, also after
        it was given one, and what that client's own service answered must not befall another one as well.

        Args:
            event_name: The ``before-send`` event that asks.
            request: The request that was about to be sent.

        Raises:
            ConfigurationError: The request is not one of a boto3 client.
            Exception: What botocore raises when no answer comes.
        """
        calling = _calling.get()
        if calling is None:
            raise ConfigurationError(
                "this request is not one of boto3's own clients, which are the only ones that can be answered here: "
                "for aiobotocore, serve the embedded service over HTTP and give its URL as endpoint_url"
            )
        if _is_in_process(calling):
            return None
        client = self._client(event_name.split(".")[1], calling.meta.config.read_timeout)
        # Until the first one answers: moto's handler stands on this client too, and would ask us again.
        return client.meta.events.emit_until_response(event_name, request=request)[1]

    def _client(self, service: str, read_timeout: float | None) -> Any:
        key = service, read_timeout
        with self._lock:
            client = self._clients.get(key)
            if client is None:
                client = self._build(service, config=untyped("botocore.config").Config(read_timeout=read_timeout))
                self._clients[key] = client
            return client

    def close(self) -> None:
        """Close the in-process clients."""
        with self._lock:
            while self._clients:
                self._clients.popitem()[1].close()


def _is_in_process(client: Any) -> bool:
    credentials = client._get_credentials()
    return credentials is not None and credentials.access_key == IN_PROCESS_KEY

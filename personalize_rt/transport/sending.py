"""Sending one request."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from typing import Any, TypeVar

from personalize_rt import forks
from personalize_rt.errors import ConfigurationError
from personalize_rt.operations import Request
from personalize_rt.transport.attempt import Attempt, under_way
from personalize_rt.transport.clients import (
    SERVICE,
    check_client_options,
    hidden_retries,
    refuse_options,
    resolve_credentials,
)
from personalize_rt.transport.failures import configured, forget_frames, translated
from personalize_rt.transport.given import no_such_operation, refuse_an_awaiting_client
from personalize_rt.transport.origin import credentials_of, origin_of
from personalize_rt.transport.replies import Reply, reply_of

__all__ = ["Attempt", "Reply", "Transport"]

ResultT = TypeVar("ResultT")


class Transport:
    """A client, built when it is first needed, and the sending of requests through it.

    It may be shared by threads. A client that we build is built once, and again in a forked child, which must not
    use its parent's connections.

    Args:
        client: A client of the caller, which is never changed; or ``None`` to build one.
        redact: Keep what a request carries out of botocore's debug log, for a client that we build.
        service: The API's name in boto3.
        options: How to build it: ``region_name``, ``session``, ``endpoint_url``, ``config``, ``verify``.
    """

    _lock = forks.lock()

    def __init__(self, client: Any = None, *, redact: bool = True, service: str = SERVICE, **options: Any) -> None:
        self._client = client
        self._owned = client is None
        self._redact = redact and self._owned
        self._options = options
        self._service = service
        self._closed = False
        self._warned = False
        self._ways: Any = None
        self._origin: str | None = None
        if self._owned:
            check_client_options(options)
            forks.in_child(self, Transport._forget_client)
        else:
            refuse_options(client, options)
            if service == SERVICE:
                refuse_an_awaiting_client(client)
            else:
                refuse_an_awaiting_client(client, method="put_events", instead="personalize_rt.aio.AsyncEventTracker")

    @property
    def owned(self) -> bool:
        """``True`` if we built the client."""
        return self._owned

    @property
    def bounded(self) -> bool:
        """``True`` if a request ends by itself when its time is over, and can be broken off before."""
        return self._owned

    def client(self) -> Any:
        """The client, built now if there is none yet.

        Raises:
            ConfigurationError: No region, no such profile, a bad endpoint; or the runtime is closed.
        """
        client = self._client
        return client if client is not None else self._build()

    def addressed(self, request: Request[ResultT]) -> Request[ResultT]:
        """A request with this client's origin. Builds the client if there is none yet.

        Raises:
            ConfigurationError: As :meth:`client` does.
        """
        client = self.client()
        origin = self._origin
        if origin is None:
            look = getattr(credentials_of(client), "look", None)
            if look is not None and self._owned:
                look()
            origin, self._origin = origin_of(client)
        return Request(request.operation, request.members, request.filter, origin)

    def _build(self) -> Any:
        with self._lock:
            if self._closed:
                raise ConfigurationError("this runtime is closed: build a new one")
            if self._client is None:
                client = configured(self._new_client)
                if self._redact:
                    from personalize_rt.transport.redacting import mask_log

                    mask_log()  # after the client is built: each of botocore's loggers needs the filter
                self._client = client
            return self._client

    def _new_client(self) -> Any:
        from personalize_rt.transport.credentials import build_chosen
        from personalize_rt.transport.ways import Ways, forced_way

        forced = forced_way()
        client, is_stand_in = build_chosen(self._options, self._service)
        self._ways = Ways(client, forced, is_stand_in=is_stand_in, service=self._service)
        return client

    def connect(self) -> None:
        """Build our client and fetch its credentials; leave a caller's alone.

        Raises:
            ConfigurationError: There is no region, profile or credentials, or they cannot be refreshed.
            TransportError: Credentials cannot be fetched just now.
        """
        client = self.client()
        if self._owned:
            from personalize_rt.transport.redacting import without_credentials

            with without_credentials() if self._redact else nullcontext():
                configured(lambda: resolve_credentials(client))

    def close(self) -> None:
        """Close the client if we built it. Safe to call twice."""
        with self._lock:
            if not self._owned:
                return
            ways, self._ways, self._client, self._closed = self._ways, None, None, True
        if ways is not None:
            ways.close()

    def way(self) -> tuple[str, str]:
        """The way that a request takes now (``"direct"``, ``"through"`` or ``"plain"``), and the reason.

        Raises:
            ConfigurationError: As :meth:`client` does.
        """
        self.client()
        if not self._owned:
            return "plain", "the client is the caller's"
        verdict = self._ways.verdict()
        return verdict.way.value, verdict.reason

    def send(
        self,
        request: Request[Any],
        *,
        sent_before: int = 0,
        ends: float | None = None,
        attempt: Attempt | None = None,
    ) -> Reply:
        """Send a request once.

        Args:
            request: The request.
            sent_before: Requests already sent in this call; errors count from there.
            ends: When the attempt must be over, by ``time.monotonic()``; a caller's client ignores it.
            attempt: A handle to break the attempt off from another thread; a caller's client ignores it.

        Raises:
            PersonalizeError: botocore's error, translated.
        """
        client = self.client()
        if attempt is None:
            attempt = Attempt()
        else:
            attempt.is_held = True
        attempt.ends = ends
        attempt.request = request if self._redact else None
        token = under_way.set(attempt)
        try:
            ways = self._ways
            return _by_caller(client, request) if ways is None else ways.send(request, attempt)
        except Exception as error:
            failure = error
        finally:
            under_way.reset(token)
        # Outside of the except block: botocore's text, which may repeat what was sent, must not hang on ours.
        ours = translated(failure, request, sent_before, attempt)
        try:
            if ours is not failure:
                forget_frames(failure)
            raise ours
        finally:
            del failure, ours

    def warn_of_stacked_retries(self, *, stacklevel: int) -> None:
        """Warn, once, when a caller's client repeats requests by itself beneath our own retries."""
        if self._owned or self._warned:
            return
        self._warned = True
        hidden = hidden_retries(self._client)
        if hidden > 0:
            warnings.warn(
                f"this client repeats a failed request up to {hidden} times by itself, beneath the retries of this "
                "runtime: build it with Config(retries={'total_max_attempts': 1, 'mode': 'standard'}), "
                "or pass retry=RetryPolicy(attempts=1)",
                stacklevel=stacklevel + 1,
            )

    def _forget_client(self) -> None:
        self._client = self._ways = None


def _by_caller(client: Any, request: Request[Any]) -> Reply:
    """Send by the caller's client."""
    call = getattr(client, request.operation.method, None)
    if call is None:
        raise no_such_operation(client, request.operation, f"what boto3.client({request.operation.service!r}) returns")
    return reply_of(call(**request.members), request)

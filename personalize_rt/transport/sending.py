"""Sending one request."""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from typing import Any

from personalize_rt.errors import ConfigurationError, ValidationError
from personalize_rt.operations import Request
from personalize_rt.transport.attempt import Attempt, Reply, reply_of, under_way
from personalize_rt.transport.clients import (
    build_client,
    check_client_options,
    hidden_retries,
    refuse_options,
    resolve_credentials,
)
from personalize_rt.transport.failures import configured, forget_frames, translated

__all__ = ["Attempt", "Reply", "Transport"]


class Transport:
    """A client, built when it is first needed, and the sending of requests through it.

    It may be shared by threads. A client that we build is built once, and again in a forked child, which must not
    use its parent's connections.

    Args:
        client: A client of the caller, which is never changed; or ``None`` to build one.
        redact: Keep what a request carries out of botocore's debug log, for a client that we build.
        options: How to build it: ``region_name``, ``session``, ``endpoint_url``, ``config``.
    """

    def __init__(self, client: Any = None, *, redact: bool = True, **options: Any) -> None:
        self._client = client
        self._owned = client is None
        self._redact = redact and self._owned
        self._options = options
        self._lock = threading.Lock()
        self._closed = False
        self._ways: Any = None
        self._warned = False
        if self._owned:
            check_client_options(options)
            _owned.add(self)
        else:
            refuse_options(client, options)

    @property
    def owned(self) -> bool:
        """Whether we built the client."""
        return self._owned

    @property
    def bounded(self) -> bool:
        """Whether a request ends by itself when its time is over, and can be broken off before.

        The sender of a client that we build sees to it, and is known when the client is built: now, if there is none
        yet.

        Raises:
            ConfigurationError: The client cannot be built.
        """
        return self._owned

    def client(self) -> Any:
        """The client, built now if there is none yet.

        Raises:
            ConfigurationError: No region, no such profile, a bad endpoint; or the runtime is closed.
        """
        client = self._client
        return client if client is not None else self._build()

    def _build(self) -> Any:
        with self._lock:
            if self._closed:
                raise ConfigurationError("this runtime is closed: build a new one")
            if self._client is None:
                client = configured(lambda: build_client(**self._options))
                from personalize_rt.transport.ways import Ways

                self._ways = Ways(client)
                if self._redact:
                    from personalize_rt.transport.redacting import mask_log

                    mask_log()  # after the client is built: each of botocore's loggers needs the filter
                self._client = client
            return self._client

    def connect(self) -> None:
        """Build the client and resolve its credentials.

        Raises:
            ConfigurationError: There is no region, profile or credentials, or they cannot be refreshed.
        """
        client = self.client()
        if self._owned:
            configured(lambda: resolve_credentials(client))

    def close(self) -> None:
        """Close the client if we built it. Safe to call twice."""
        with self._lock:
            if not self._owned:
                return
            client, self._client, self._closed = self._client, None, True
        if client is not None:
            client.close()

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
            request: What to send.
            sent_before: Requests already sent in this call; errors count from there.
            ends: When the attempt must be over, by ``time.monotonic()``; a caller's client does not know.
            attempt: A handle to break the attempt off from another thread; a caller's client does not know.

        Raises:
            PersonalizeError: What botocore raised, in our terms.
        """
        client = self.client()
        call = getattr(client, request.operation.method, None)
        if call is None:
            raise ValidationError(
                f"client has no {request.operation.method}: give what boto3.client('personalize-runtime') returns",
                parameter="client",
            )
        if attempt is None:
            attempt = Attempt()
        attempt.ends = ends
        attempt.request = request if self._redact else None
        token = under_way.set(attempt)
        try:
            return self._ways.send(request, attempt) if self._ways is not None else reply_of(call(**request.members))
        except Exception as error:
            failure = error
        finally:
            under_way.reset(token)
        # Outside of the except block: botocore's text, which may repeat what was sent, must not hang on ours.
        ours = translated(failure, request, sent_before)
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
        # In a forked child: another thread may have held the lock at the fork.
        self._lock = threading.Lock()
        self._client = None


_owned: weakref.WeakSet[Transport] = weakref.WeakSet()


def _after_fork() -> None:
    for transport in _owned:
        transport._forget_client()  # pyright: ignore[reportPrivateUsage]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

"""The three ways to send a request of a client that we built, and the choice between them in each call."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

from personalize_rt.errors import ConfigurationError
from personalize_rt.operations import Request
from personalize_rt.transport.attempt import Attempt, Reply, reply_of, under_way
from personalize_rt.transport.direct import Direct
from personalize_rt.transport.plan import NoPlanError
from personalize_rt.transport.sender import Sender, Settings
from personalize_rt.transport.through import through
from personalize_rt.transport.untyped import untyped
from personalize_rt.transport.watching import Verdict, Watching, Way
from personalize_rt.transport.workers import Workers

__all__ = ["VARIABLE", "Ways", "forced_way"]

_log = logging.getLogger("personalize_rt")

VARIABLE = "PERSONALIZE_RT_SEND"
"""The environment variable that excludes the faster ways, for whoever looks for a fault."""


def forced_way() -> Way | None:
    """The way that the environment asks for.

    Raises:
        ConfigurationError: It asks for another one than ``plain`` or ``through``.
    """
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return None
    if wanted not in (Way.PLAIN.value, Way.THROUGH.value):
        raise ConfigurationError(f"{VARIABLE} must be plain or through, or not set")
    return Way(wanted)


class Ways:
    """Sends requests of one client, each in the fastest way that shows nobody anything else than plain boto3 would.

    May be used by many threads at once.

    Args:
        client: A client that we built, pristine; it stays so.

    Raises:
        ConfigurationError: The environment asks for a way that there is not.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._url: str = client.meta.endpoint_url
        self._workers = Workers()
        forced = forced_way()
        self.sender: Sender | None = None
        try:
            self._watching: Watching | None = Watching(client, forced)
            self.sender = Sender(client._endpoint.http_session)
            self._double = through(client, self.sender)
            self.direct = Direct(client)
            self.sender.open(client.meta.endpoint_url)
        except (AttributeError, KeyError, TypeError, ValueError, ImportError) as error:
            self._watching = None
            self._unknown = Verdict(Way.PLAIN, f"botocore is not as it is known here: {type(error).__name__}: {error}")
        self._told: Verdict | None = None

    def verdict(self) -> Verdict:
        """The way that a call takes now, and why."""
        if self._watching is None:
            return self._unknown
        verdict = self._watching.verdict()
        if verdict is not self._told:
            self._told = verdict
            _log.debug("requests are sent %s: %s", verdict.way.value, verdict.reason)
        return verdict

    def send(self, request: Request[Any], attempt: Attempt) -> Reply:
        """Send a request once.

        Args:
            request: What to send.
            attempt: When it must be over; a handle to break it off.

        Raises:
            Exception: What botocore raises.
        """
        way = self.verdict().way
        if way is Way.DIRECT:
            assert self.sender is not None
            try:
                message = self.direct.message(request)
                return self.direct.reply(request, self.sender.exchange(self._url, message, attempt))
            except NoPlanError as error:
                self.exclude_direct(error)
                way = Way.THROUGH
        token = under_way.set(attempt)
        try:
            if way is Way.THROUGH:
                return reply_of(getattr(self._double, request.operation.method)(**request.members))
            call = getattr(self._client, request.operation.method)
            return reply_of(self._within(attempt, lambda: call(**request.members)))
        finally:
            under_way.reset(token)

    def settings(self) -> Settings:
        """How connections to the endpoint are made."""
        assert self.sender is not None
        return self.sender.settings(self._url)

    def exclude_direct(self, error: NoPlanError) -> None:
        """From now on nothing is sent directly."""
        assert self._watching is not None
        self._watching.without_direct(f"botocore's request cannot be made here: {error}")

    def _within(self, attempt: Attempt, work: Callable[[], Any]) -> Any:
        """Run a call of botocore, and leave it behind when the time of the attempt is over."""
        if attempt.ends is None:
            return work()
        try:
            return self._workers.run(work, attempt.ends)
        except TimeoutError as error:
            raise untyped("botocore.exceptions").ReadTimeoutError(endpoint_url=self._url, error=error) from error

    def close(self) -> None:
        """Close idle connections, and end idle threads."""
        self._workers.close()
        if self.sender is not None:
            self.sender.close()
        self._client.close()

"""The three ways to send a request of a client that we built, and the choice between them in each call."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from personalize_rt.errors import ConfigurationError
from personalize_rt.operations import Request
from personalize_rt.transport.attempt import Attempt
from personalize_rt.transport.clients import SERVICE
from personalize_rt.transport.direct import Direct
from personalize_rt.transport.given import no_such_operation
from personalize_rt.transport.plan import NoPlanError
from personalize_rt.transport.replies import Reply, reply_of
from personalize_rt.transport.sender import Sender
from personalize_rt.transport.through import through
from personalize_rt.transport.untyped import untyped
from personalize_rt.transport.watching import Verdict, Watching, Way, unknown
from personalize_rt.transport.workers import Workers

if TYPE_CHECKING:
    from personalize_rt.transport.settings import Settings

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
        client: A client that we built. It stays as it is.
        forced: The way that the environment asks for, or ``None``.
        is_stand_in: Whether somebody patched ``boto3.client``, and the client is what that returned.
        service: The client's API. The faster ways know the runtime's alone.
    """

    def __init__(
        self, client: Any, forced: Way | None = None, *, is_stand_in: bool = False, service: str = SERVICE
    ) -> None:
        self._client = client
        self.workers: Workers = Workers()
        self._told: Verdict | None = None
        self._watching: Watching | None = None
        self._url: str = str(getattr(getattr(client, "meta", None), "endpoint_url", ""))
        if is_stand_in:
            self._unknown = Verdict(Way.PLAIN, "boto3.client or boto3.Session is not boto3's own")
            return
        if service != SERVICE:
            self._unknown = Verdict(Way.PLAIN, f"requests of {service} are sent by botocore's own call")
            return
        try:
            watching = Watching(client, forced)
            self._sender = Sender(client)
            self._double = through(client, self._sender, self.workers)
            self.direct: Direct = Direct(client, self._double)
            if self._url.startswith("https:") and watching.verdict().way is not Way.PLAIN:
                self._sender.connections(self._url)  # certificates, not within the deadline of the first call
            self._watching = watching
        except Exception as error:  # whatever stands in for botocore may raise anything
            self._unknown = unknown(error)

    def verdict(self) -> Verdict:
        """The way that a call takes now, and why."""
        verdict = self._unknown if self._watching is None else self._watching.verdict()
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
            direct = self.direct
            try:
                message = direct.message(request, direct.credentials())
            except NoPlanError as error:
                self.exclude_direct(error)
                way = Way.THROUGH
            else:
                return direct.reply(request, self._sender.exchange(self._url, message, attempt))
        if way is Way.THROUGH or (attempt.ends is None and not attempt.is_held):
            return self.call(way, request)
        try:
            reply: Reply = self.workers.run(lambda: self.call(way, request), attempt)
            return reply
        except TimeoutError as error:
            if attempt.unsigned:
                from personalize_rt.transport.credential_failures import late_credentials

                raise late_credentials(None) from None
            raise untyped("botocore.exceptions").ReadTimeoutError(endpoint_url=self._url, error=error) from error

    def call(self, way: Way, request: Request[Any]) -> Reply:
        """Send by botocore's own call, through or plain, in this thread.

        Raises:
            Exception: What botocore raises.
        """
        client = self._double if way is Way.THROUGH else self._client
        call = getattr(client, request.operation.method, None)
        if call is None:
            raise no_such_operation(
                client, request.operation, f"what boto3.client({request.operation.service!r}) returns"
            )
        return reply_of(call(**request.members), request)

    def settings(self) -> Settings | None:
        """The settings of connections to the endpoint; ``None`` if nothing is ever sent directly.

        Raises:
            OSError: A file with certificates cannot be read.
        """
        return None if self._watching is None else self._sender.settings(self._url)

    def exclude_direct(self, error: NoPlanError) -> None:
        """Send nothing directly from now on."""
        assert self._watching is not None
        self._watching.exclude_direct(f"botocore's request cannot be made here: {error}")

    def close(self) -> None:
        """Close the client and idle connections, and end idle threads."""
        self.workers.close()
        if self._watching is not None:
            self._sender.close()
        close = getattr(self._client, "close", None)  # doubles have none
        if close is not None:
            close()

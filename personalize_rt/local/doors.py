"""The interfaces of the embedded service, each a few lines around ``handle()``."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Unpack

from personalize_rt import forks
from personalize_rt.errors import ValidationError
from personalize_rt.local.apis import APIS, RUNTIME, api_named
from personalize_rt.local.faults import Faults, Seen, as_seen_by_client
from personalize_rt.local.journal import Journal
from personalize_rt.local.messages import HttpRequest, HttpResponse

if TYPE_CHECKING:
    from personalize_rt.aio import AsyncPersonalizeRuntime
    from personalize_rt.client import PersonalizeRuntime
    from personalize_rt.local.events import RecordedEvent
    from personalize_rt.local.sigv4 import Credentials
    from personalize_rt.operations import Request
    from personalize_rt.options import BuildOptions
    from personalize_rt.resilience.fallback import Fallback
    from personalize_rt.results import ActionRecommendations, Ranking, Recommendations

__all__ = ["Doors", "named"]


class Doors(ABC):
    """Base of the embedded services: clients in process, an HTTP server, and a fallback.

    In process nothing really waits: a delay only advances :meth:`time`, and a hang raises the client's time-out.
    """

    _clock_lock = forks.lock()

    def __init__(self, *, region_name: str) -> None:
        self._region_name = region_name
        self._faults = Faults(clock=self.time, resolve=self._arn_of, stands_for=self._stands_for)
        self._requests = Journal()
        self._skipped = 0.0
        self._clients: Any = None

    @abstractmethod
    def handle(self, request: HttpRequest, /) -> HttpResponse:
        """Answer one HTTP request. Everything else calls this."""

    @property
    @abstractmethod
    def campaigns(self) -> Mapping[str, str]:
        """The ARN of each campaign, by name."""

    @property
    @abstractmethod
    def recommenders(self) -> Mapping[str, str]:
        """The ARN of each recommender, by name."""

    @property
    @abstractmethod
    def filters(self) -> Mapping[str, str]:
        """The ARN of each filter, by name."""

    def campaign_arn(self, name: str) -> str:
        """The ARN of a campaign.

        Raises:
            ValidationError: There is no such campaign; the message names the existing ones.
        """
        return named(self.campaigns, name, "campaign")

    def recommender_arn(self, name: str) -> str:
        """The ARN of a recommender.

        Raises:
            ValidationError: There is no such recommender; the message names the existing ones.
        """
        return named(self.recommenders, name, "recommender")

    def filter_arn(self, name: str) -> str:
        """The ARN of a filter.

        Raises:
            ValidationError: There is no such filter; the message names the existing ones.
        """
        return named(self.filters, name, "filter")

    @abstractmethod
    def reload(self) -> None:
        """Reload the data."""

    @property
    def faults(self) -> Faults:
        """The injected faults, for all clients; see :mod:`personalize_rt.local.faults`."""
        return self._faults

    @property
    def requests(self) -> Journal:
        """The requests that were received, oldest first, through all clients and over HTTP; ``clear()`` forgets them.

        ::

            assert [row.operation for row in local.requests] == ["GetRecommendations", "PutEvents"]
            assert local.requests[-1].members["userId"] == "user-1"
        """
        return self._requests

    @property
    def recorded_events(self) -> tuple[RecordedEvent, ...]:
        """The latest events that were put; empty for a service that takes none."""
        return ()

    def reset(self) -> None:
        """Clear what a test leaves behind: faults, received requests, and answers that were given."""
        self._faults.clear()
        self._requests.clear()

    def _arn_of(self, kind: str, name: str) -> str:
        return self.campaign_arn(name) if kind == "campaign" else self.recommender_arn(name)

    def _stands_for(self, arn: str) -> str:
        """The ARN that an alias stands for; itself if it is none."""
        return arn

    # The time of in-process clients.

    def time(self) -> float:
        """A monotonic clock in seconds: real time, plus the simulated waits of faults and retries."""
        return time.monotonic() + self._skipped

    def skip(self, seconds: float) -> None:
        """Advance :meth:`time` without waiting."""
        with self._clock_lock:
            self._skipped += seconds

    # In process.

    @property
    def services(self) -> tuple[str, ...]:
        """The services that it answers, by their names in boto3: the three APIs of Personalize."""
        return tuple(api.service for api in APIS)

    def boto3_client(self, service_name: str = RUNTIME.service, *, config: Any = None) -> Any:
        """Make a real boto3 client that this service answers, without a socket.

        It needs no credentials, serialises, signs and parses as usual, and raises boto3's typed exceptions.

        Args:
            service_name: ``"personalize-runtime"``, ``"personalize-events"`` or ``"personalize"``, the control plane.
            config: A ``botocore.config.Config`` to merge over the defaults.

        Raises:
            ValidationError: ``service_name`` is none of the three.
        """
        from personalize_rt.transport.clients import client_config

        return self._session().create_client(api_named(service_name).service, config=client_config(config))

    @staticmethod
    def env(url: str) -> dict[str, str]:
        """The environment variables that send a program's requests for Personalize to an address, and no others.

        ``AWS_ENDPOINT_URL`` alone would send its S3 and its DynamoDB there too. boto3 1.28 and newer, the AWS CLI, and
        the SDKs of other languages read them.

        Args:
            url: The address, as :meth:`serve` gives it.

        Returns:
            ``AWS_ENDPOINT_URL_PERSONALIZE``, ``…_PERSONALIZE_EVENTS`` and ``…_PERSONALIZE_RUNTIME``.
        """
        return {api.variable: url for api in APIS}

    def _session(self) -> Any:
        """The session of in-process clients; made once, since botocore reads its data files for each session."""
        if self._clients is None:
            from personalize_rt.transport.in_process import InProcessSession

            def respond(
                method: str, path: str, headers: Mapping[str, str], body: bytes
            ) -> tuple[int, Mapping[str, str], bytes]:
                return self._respond(HttpRequest(method, path, headers, body))

            self._clients = InProcessSession(respond, region_name=self._region_name)
        return self._clients

    def runtime(self, **options: Unpack[BuildOptions]) -> PersonalizeRuntime:
        """Make a :class:`~personalize_rt.PersonalizeRuntime` that this service answers, without a socket.

        By default it uses :meth:`time`, so that retries and simulated delays do not wait; a ``retry`` replaces that.

        Args:
            options: What the runtime takes beside a client or session: ``retry``, ``deadline``, ``limits``, …
        """
        from personalize_rt.client import PersonalizeRuntime
        from personalize_rt.resilience.retry import RetryPolicy

        options.setdefault("retry", RetryPolicy(clock=self.time, sleep=self.skip))
        return PersonalizeRuntime(session=self._session(), **options)

    def async_runtime(self, **options: Unpack[BuildOptions]) -> AsyncPersonalizeRuntime:
        """An :class:`~personalize_rt.aio.AsyncPersonalizeRuntime` that this service answers, without a socket.

        Args:
            options: As in :meth:`runtime`.
        """
        from personalize_rt.aio import AsyncPersonalizeRuntime
        from personalize_rt.resilience.retry import RetryPolicy

        options.setdefault("retry", RetryPolicy(clock=self.time, sleep=self.skip))
        return AsyncPersonalizeRuntime(session=self._session(), **options)

    def _respond(self, request: HttpRequest) -> tuple[int, Mapping[str, str], bytes]:
        from personalize_rt.transport.in_process import UnansweredError, patience

        entry, started = self._requests.begin(request), self.time()
        decision = self._faults.decide(request)
        if not decision:
            response = self.handle(request)
        else:
            read_timeout, left = patience()
            timeouts = [timeout for timeout in (read_timeout, left) if timeout is not None]
            shortest = min(timeouts, default=None)
            seen = as_seen_by_client(decision, lambda: self.handle(request), read_timeout=shortest)
            if left is not None and seen.elapsed > left:  # bytes come one by one, and for too long
                seen = Seen(left, "read_timeout")
            self.skip(seen.elapsed)
            if isinstance(seen.outcome, str):
                entry.elapsed = self.time() - started
                raise UnansweredError(seen.outcome)
            response = seen.outcome
        entry.answered(response, self.time() - started)
        return response.status, response.headers, response.body

    # Over HTTP.

    def serve(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        credentials: Iterable[Credentials] | None = None,
        require_signature: bool = False,
        allow_remote: bool = False,
        allow_hosts: Iterable[str] = (),
        allow_origins: Iterable[str] = (),
        others: str | None = None,
    ) -> AbstractContextManager[str]:
        """Serve over HTTP during a ``with`` block, which gets the URL. Needs the extra ``[server]``.

        Args:
            host: The address to listen on.
            port: The port to listen on; 0 takes a free one.
            credentials: The accepted credentials (AWS Signature Version 4); ``None`` means those of the environment, if
                any.
            require_signature: Refuse to start without credentials.
            allow_remote: Whether ``host`` may be an address that other machines can reach.
            allow_hosts: Allowed values of the ``Host`` header, beside the names of this machine. Unless other machines
                can reach the server, a request with another ``Host`` is refused: otherwise any page in a browser on
                this machine could call the server.
            allow_origins: Allowed values of the ``Origin`` header, as ``http://localhost:3000``: web pages of these
                origins may call the server, and all others may not.
            others: The URL of another server, such as moto's, which is handed every request that is signed for another
                service than Personalize. Not together with credentials.

        Raises:
            PersonalizeError: The extra is missing, the port is in use, or other machines could call the server.
        """
        from personalize_rt.local.server import serving

        return serving(
            self,
            host=host,
            port=port,
            credentials=credentials,
            require_signature=require_signature,
            allow_remote=allow_remote,
            allow_hosts=allow_hosts,
            allow_origins=allow_origins,
            others=others,
        )

    def __or__(self, other: Fallback) -> Fallback:
        from personalize_rt.resilience.fallback import FallbackChain

        return FallbackChain((self, other))

    # As a fallback of a client: see personalize_rt.resilience.fallback.

    def ranking(self, request: Request[Ranking], /) -> Ranking | None:
        """Answer in place of the service if this one has a campaign of that name; else return ``None``."""
        from personalize_rt.local.fallback import substitute

        return substitute(self, request)

    def recommendations(self, request: Request[Recommendations], /) -> Recommendations | None:
        """Answer in place of the service if this one has a campaign of that name; else return ``None``."""
        from personalize_rt.local.fallback import substitute

        return substitute(self, request)

    def actions(self, request: Request[ActionRecommendations], /) -> ActionRecommendations | None:
        """Answer in place of the service if this one has a campaign of that name; else return ``None``."""
        from personalize_rt.local.fallback import substitute

        return substitute(self, request)


def named(arns: Mapping[str, str], name: str, kind: str) -> str:
    """The ARN of a resource.

    Args:
        arns: The ARNs of its kind, by name.
        name: Its name.
        kind: Its kind, for the message.

    Raises:
        ValidationError: There is none of that name.
    """
    arn = arns.get(name)
    if arn is None:
        known = ", ".join(arns) or "none"
        raise ValidationError(f"there is no {kind} {name!r}; the {kind}s are: {known}", parameter="name")
    return arn

"""Base of the stand-ins for the service in tests, and their clients: a boto3 client, a runtime, an HTTP server."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Unpack, cast

from personalize_rt.errors import PersonalizeError, ValidationError
from personalize_rt.local.wire import HttpRequest, HttpResponse
from personalize_rt.operations import OPERATIONS, Operation

if TYPE_CHECKING:
    from personalize_rt.client import PersonalizeRuntime
    from personalize_rt.options import CallOptions

__all__ = ["CassetteError", "Endpoint", "UnrecordedRequestError", "response_of"]

_OPERATIONS = {operation.path: operation for operation in OPERATIONS.values()}


class CassetteError(PersonalizeError):
    """A file is not a cassette, or a recording is empty."""


class UnrecordedRequestError(AssertionError):
    """A cassette has no reply to a request.

    Not a ``PersonalizeError``, so that neither a fallback nor an ``except`` of the code under test hides it from the
    test.
    """


class Endpoint(ABC):
    """A service that answers requests at the level of HTTP bytes. Safe to share between threads."""

    @abstractmethod
    def _answer(self, operation: Operation[Any], members: Mapping[str, Any]) -> HttpResponse:
        """Answer a request."""

    def _respond(self, request: HttpRequest) -> HttpResponse:
        operation = _OPERATIONS.get(request.path.partition("?")[0])
        if operation is None or request.method != "POST":
            return _refusal(404, "UnknownOperationException", "")
        try:
            members: Any = json.loads(request.body or b"{}")
        except (ValueError, RecursionError):
            members = None
        if not isinstance(members, dict):
            return _refusal(400, "MalformedHttpRequestException", "the body is not a JSON object")
        return self._answer(operation, cast("dict[str, Any]", members))

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one HTTP request, like :meth:`personalize_rt.local.LocalPersonalize.handle`.

        A request without a reply gets status 400, which no AWS SDK retries, and the code ``UnrecordedRequest``. Clients
        in this process raise the error itself.
        """
        try:
            return self._respond(request)
        except UnrecordedRequestError as error:
            return _refusal(400, "UnrecordedRequest", str(error))

    @property
    def services(self) -> tuple[str, ...]:
        """The services that it answers, by their names in boto3: the runtime API."""
        return ("personalize-runtime",)

    def boto3_client(self, service_name: str = "personalize-runtime", *, config: Any = None) -> Any:
        """Make a real boto3 ``personalize-runtime`` client that this endpoint answers, without a socket.

        Args:
            service_name: ``"personalize-runtime"``, which alone is recorded.
            config: A ``botocore.config.Config`` to merge over the defaults.

        Raises:
            ValidationError: ``service_name`` is another one.
        """
        from personalize_rt.transport.in_process import in_process_client

        if service_name not in self.services:
            raise ValidationError("service_name must be personalize-runtime", parameter="service_name")

        def respond(
            method: str, path: str, headers: Mapping[str, str], body: bytes
        ) -> tuple[int, Mapping[str, str], bytes]:
            response = self._respond(HttpRequest(method, path, headers, body))
            return response.status, response.headers, response.body

        return in_process_client(respond, config=config)

    def runtime(self, **options: Unpack[CallOptions]) -> PersonalizeRuntime:
        """Make a :class:`~personalize_rt.PersonalizeRuntime` that this endpoint answers, without a socket.

        Args:
            options: Options of the runtime: ``retry``, ``deadline``, ``limits``, …
        """
        from personalize_rt.client import PersonalizeRuntime

        return PersonalizeRuntime(client=self.boto3_client(), **options)

    @contextmanager
    def serve(self, *, port: int = 0) -> Generator[str, None, None]:
        """Serve over HTTP on 127.0.0.1 during a ``with`` block, which gets the URL.

        Args:
            port: The port to listen on; 0 takes a free one.

        Raises:
            ConfigurationError: The port is in use, or the extra ``[server]`` is not installed.
        """
        from personalize_rt.local.server import serving

        with serving(_Served(self), port=port, credentials=()) as url:
            yield url


class _Served:
    """An endpoint with the methods of an embedded service that the HTTP server needs."""

    def __init__(self, endpoint: Endpoint) -> None:
        from personalize_rt.local.faults import Faults
        from personalize_rt.local.journal import Journal

        self.handle = endpoint.handle
        self.faults = Faults()
        self.requests = Journal()
        self.recorded_events = ()

    def reload(self) -> None:
        """Do nothing, since there are no data files."""


def _refusal(status: int, code: str, message: str) -> HttpResponse:
    return response_of(status, {"x-amzn-errortype": code}, {"message": message})


def response_of(status: int, headers: Mapping[str, str], content: Mapping[str, Any]) -> HttpResponse:
    """Make a response in the service's form, compact JSON."""
    body = json.dumps(content, separators=(",", ":")).encode()
    return HttpResponse(status, {"content-type": "application/json", "content-length": str(len(body)), **headers}, body)

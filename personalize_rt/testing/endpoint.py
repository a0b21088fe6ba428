"""What stands for the service in tests, and the ways in: a boto3 client, a runtime, an HTTP server."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from personalize_rt.errors import PersonalizeError
from personalize_rt.local.wire import HttpRequest, HttpResponse
from personalize_rt.operations import OPERATIONS, Operation

if TYPE_CHECKING:
    from personalize_rt.client import PersonalizeRuntime

__all__ = ["CassetteError", "Endpoint", "UnrecordedRequestError", "response_of"]

_OPERATIONS = {operation.path: operation for operation in OPERATIONS.values()}


class CassetteError(PersonalizeError):
    """A file that is no cassette, or a recording of nothing."""


class UnrecordedRequestError(AssertionError):
    """A request that a cassette has no reply to.

    Not a ``PersonalizeError``: neither a fallback nor an ``except`` of the code under test is to hide from a test that
    it asked for what was not recorded.
    """


class Endpoint(ABC):
    """Answers requests, at the level of HTTP bytes. Threads may share it."""

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
        """Answer one HTTP request, as :meth:`personalize_rt.local.LocalPersonalize.handle` does.

        A request without a reply gets status 400, with the code ``UnrecordedRequest``: no AWS SDK sends it again. In
        the clients of this process, the error itself is raised.
        """
        try:
            return self._respond(request)
        except UnrecordedRequestError as error:
            return _refusal(400, "UnrecordedRequest", str(error))

    def boto3_client(self, *, config: Any = None) -> Any:
        """A real boto3 ``personalize-runtime`` client that is answered from here, without a socket.

        Args:
            config: A ``botocore.config.Config`` to merge over the defaults.
        """
        from personalize_rt.transport.in_process import in_process_client

        def respond(
            method: str, path: str, headers: Mapping[str, str], body: bytes
        ) -> tuple[int, Mapping[str, str], bytes]:
            response = self._respond(HttpRequest(method, path, headers, body))
            return response.status, response.headers, response.body

        return in_process_client(respond, config=config)

    def runtime(self, **options: Any) -> PersonalizeRuntime:
        """A :class:`~personalize_rt.PersonalizeRuntime` that is answered from here, without a socket.

        Args:
            options: What the runtime takes beside a client: ``retry``, ``deadline``, ``limits``, …
        """
        from personalize_rt.client import PersonalizeRuntime

        return PersonalizeRuntime(client=self.boto3_client(), **options)

    @contextmanager
    def serve(self, *, port: int = 0) -> Generator[str, None, None]:
        """Serve over HTTP on 127.0.0.1, for as long as a ``with`` block lasts, and give it the URL.

        Args:
            port: The port to listen on; 0 takes a free one.

        Raises:
            ConfigurationError: The port is in use, or the extra ``[server]`` is not installed.
        """
        from personalize_rt.local.server import serving

        with serving(_Served(self), port=port, credentials=()) as url:
            yield url


class _Served:
    """What the server wants of an embedded service."""

    def __init__(self, endpoint: Endpoint) -> None:
        from personalize_rt.local.faults import Faults

        self.handle = endpoint.handle
        self.faults = Faults()

    def reload(self) -> None:
        """There is nothing to read again."""


def _refusal(status: int, code: str, message: str) -> HttpResponse:
    return response_of(status, {"x-amzn-errortype": code}, {"message": message})


def response_of(status: int, headers: Mapping[str, str], content: Mapping[str, Any]) -> HttpResponse:
    """An answer in the form in which the service sends it: compact JSON."""
    body = json.dumps(content, separators=(",", ":")).encode()
    return HttpResponse(status, {"content-type": "application/json", "content-length": str(len(body)), **headers}, body)

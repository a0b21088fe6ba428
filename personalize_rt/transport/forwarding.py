"""Passing a request on to the real service, and keeping what it answers as bytes.

Of a client that we build, the bytes are taken before botocore parses them, so that members which the model does not
know, and those that are null, are there. A caller's client is only called: what it returns or raises is written as
the service would have sent it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from personalize_rt.operations import Operation, Request
from personalize_rt.transport.attempt import Attempt, under_way
from personalize_rt.transport.clients import SERVICE, build_client, check_client_options, refuse_options
from personalize_rt.transport.failures import configured
from personalize_rt.transport.given import no_such_operation, refuse_an_awaiting_client
from personalize_rt.transport.redacting import mask_log
from personalize_rt.transport.untyped import untyped

__all__ = ["Answer", "Forwarder"]

_KEPT = "personalize_rt.kept"


class Answer(NamedTuple):
    """An answer of the service; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Forwarder:
    """Sends the requests of others. May be used by many threads at once.

    Args:
        client: A client of the caller, which is only called; or ``None`` to build one.
        region_name: The region of the client to build.
        session: The session to build it from.
        endpoint_url: Where it sends requests instead of AWS.
        config: Its ``botocore.config.Config``, merged over ours.

    Raises:
        ValidationError: Arguments that do not go together.
        ConfigurationError: The client cannot be built: no region, no such profile.
        TransportError: It cannot be built just now, since its credentials cannot be fetched.
    """

    def __init__(
        self,
        client: Any = None,
        *,
        region_name: str | None = None,
        session: Any = None,
        endpoint_url: str | None = None,
        config: Any = None,
    ) -> None:
        options: dict[str, Any] = {
            "region_name": region_name,
            "session": session,
            "endpoint_url": endpoint_url,
            "config": config,
        }
        self._owned = client is None
        if client is None:
            check_client_options(options)
            client = configured(lambda: build_client(**options))
            client.meta.events.register(f"before-parse.{SERVICE}", _keep)
            mask_log()
        else:
            refuse_options(client, options)
            refuse_an_awaiting_client(client)
        self._client = client

    def send(self, operation: Operation[Any], members: Mapping[str, Any]) -> Answer:
        """Send a request.

        Raises:
            Exception: What botocore raises when no answer comes, or none that it can read.
        """
        call = getattr(self._client, operation.method, None)
        if call is None:
            raise no_such_operation(self._client, operation, "what boto3.client('personalize-runtime') returns")
        attempt = Attempt()
        # What botocore logs of a client that we build shows nobody; a caller's client logs as it always did.
        attempt.request = Request(operation, members) if self._owned else None
        token = under_way.set(attempt)
        try:
            parsed: dict[str, Any] = call(**members)
        except untyped("botocore.exceptions").ClientError as error:
            parsed = error.response
        finally:
            under_way.reset(token)
        kept: Answer | None = parsed.get(_KEPT)
        return _written(parsed) if kept is None else kept

    def close(self) -> None:
        """Close the client, if it was built here."""
        if self._owned:
            self._client.close()


def _keep(response_dict: Mapping[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    headers = {name.lower(): str(text) for name, text in response_dict["headers"].items()}
    customized_response_dict[_KEPT] = Answer(response_dict["status_code"], headers, response_dict["body"])


def _written(parsed: Mapping[str, Any]) -> Answer:
    """A parsed reply as bytes."""
    head: Mapping[str, Any] = parsed.get("ResponseMetadata", {})
    headers = {name.lower(): str(text) for name, text in head.get("HTTPHeaders", {}).items()}
    error: Mapping[str, Any] | None = parsed.get("Error")
    if error is None:
        members = {name: value for name, value in parsed.items() if name != "ResponseMetadata"}
        return Answer(head.get("HTTPStatusCode", 200), headers, json.dumps(members).encode())
    headers["x-amzn-errortype"] = str(error.get("Code", "Unknown"))
    body = json.dumps({"message": error.get("Message", "")}).encode()
    return Answer(head.get("HTTPStatusCode", 400), headers, body)

"""Asking a service in words of one's own: the bytes that are sent, and the bytes that come back.

A caller's client is never changed, so a twin of it is asked: the same session, signer, endpoint and handlers, with two
handlers more and without botocore's retries. What it stands on, beside ``before-call`` and ``before-parse``:
``client.meta.events`` and ``client._endpoint`` copy, the endpoint emits by its ``_event_emitter``, and the handler of
retries is registered as ``retry-config-personalize-runtime``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from personalize_rt.errors import ValidationError
from personalize_rt.operations import Operation, Request
from personalize_rt.transport.attempt import Attempt, under_way
from personalize_rt.transport.clients import SERVICE, refuse_options
from personalize_rt.transport.failures import translated
from personalize_rt.transport.forwarding import Answer
from personalize_rt.transport.given import no_such_operation, refuse_an_awaiting_client

__all__ = ["Asker"]

# What botocore's check of parameters wants; the body that is sent has other ones.
_PLACEHOLDER: Mapping[str, Any] = {"campaignArn": "-", "userId": "-", "inputList": []}


class Asker:
    """Sends bodies through a twin of a boto3 client, once each. For one thread.

    Args:
        client: A ``personalize-runtime`` client of boto3 or botocore. It stays as it is.

    Raises:
        ValidationError: It is none.
    """

    def __init__(self, client: Any) -> None:
        refuse_options(client, {})
        refuse_an_awaiting_client(client)
        if getattr(client, "_endpoint", None) is None:
            raise ValidationError(
                "client is no client of boto3: give what boto3.client('personalize-runtime') returns",
                parameter="client",
            )
        twin: Any = object.__new__(client.__class__)
        twin.__dict__.update(client.__dict__)
        twin.meta = copy.copy(client.meta)
        twin.meta.events = copy.copy(client.meta.events)
        twin._endpoint = copy.copy(client._endpoint)
        twin._endpoint._event_emitter = twin.meta.events
        twin.meta.events.unregister(f"needs-retry.{SERVICE}", unique_id=f"retry-config-{SERVICE}")
        twin.meta.events.register_last(f"before-call.{SERVICE}", self._replace)
        twin.meta.events.register_first(f"before-parse.{SERVICE}", self._keep)
        self._client: Any = twin
        self._body = b""
        self._kept: Answer | None = None

    def ask(self, operation: Operation[Any], body: bytes) -> Answer:
        """Send a body, and give the answer as it came.

        Raises:
            PersonalizeError: No answer came: no credentials, no connection.
        """
        call = getattr(self._client, operation.method, None)
        if call is None:
            raise no_such_operation(self._client, operation, "what boto3.client('personalize-runtime') returns")
        self._body, self._kept = body, None
        attempt = Attempt()
        token = under_way.set(attempt)
        failure: Exception | None = None
        try:
            call(**{name: _PLACEHOLDER[name] for name in operation.required})
        except Exception as error:
            # An error of the service is an answer, and so is one that botocore cannot read.
            failure = error
        finally:
            under_way.reset(token)
        if self._kept is not None:
            return self._kept
        assert failure is not None
        raise translated(failure, Request(operation, {}), 0, attempt) from None

    def _replace(self, params: dict[str, Any], **_: Any) -> None:
        params["body"] = self._body

    def _keep(self, response_dict: Mapping[str, Any], **_: Any) -> None:
        headers = {name.lower(): str(text) for name, text in response_dict["headers"].items()}
        self._kept = Answer(response_dict["status_code"], headers, response_dict["body"])

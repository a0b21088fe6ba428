"""Asking through a twin of a client: the bytes that go and come, once each, and a client that stays as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from personalize_rt.operations import GET_PERSONALIZED_RANKING, GET_RECOMMENDATIONS
from personalize_rt.transport.asking import Asker


def test_body_is_sent_and_answer_given_as_they_are(plain_client: Callable[..., Any], server: Any) -> None:
    asker = Asker(plain_client())
    body = b'{"campaignArn": "x", "numResults": "25", "unknownMember": null}'
    reply = b'{"itemList":[{"itemId":"a","score":9.841E-4,"unknownMember":null}]}'
    server.script(server.answer(body=reply), server.failure(400, "InvalidInputException", "no"))
    answer = asker.ask(GET_RECOMMENDATIONS, body)
    assert (server.received[-1].path, server.received[-1].body) == ("/recommendations", body)
    assert (answer.status, answer.body) == (200, reply)
    refusal = asker.ask(GET_PERSONALIZED_RANKING, b"{}")
    assert (server.received[-1].path, server.received[-1].body) == ("/personalize-ranking", b"{}")
    assert (refusal.status, json.loads(refusal.body)) == (400, {"message": "no"})
    assert refusal.headers["x-amzn-errortype"].startswith("InvalidInputException")


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
def test_no_request_is_sent_again_whatever_the_client_would_do(
    plain_client: Callable[..., Any], server: Any, mode: str
) -> None:
    server.always(server.failure(429, "ThrottlingException"))
    client = plain_client(retries={"mode": mode, "total_max_attempts": 5})
    handlers = client.meta.events
    assert Asker(client).ask(GET_RECOMMENDATIONS, b"{}").status == 429
    assert server.count == 1
    assert client.meta.events is handlers is client._endpoint._event_emitter
    # The client itself would still try again; to see it here would take its back-off.
    retries = handlers.emit("needs-retry.personalize-runtime.GetRecommendations", **of_a_lost_connection(client))
    assert any(delay is not None for _, delay in retries)


def of_a_lost_connection(client: Any) -> dict[str, Any]:
    from botocore.exceptions import EndpointConnectionError

    return {
        "response": None,
        "endpoint": client._endpoint,
        "operation": client.meta.service_model.operation_model("GetRecommendations"),
        "attempts": 1,
        "caught_exception": EndpointConnectionError(endpoint_url="x"),
        "request_dict": {"context": {"retries": {"attempt": 1, "invocation-id": "x"}}},
    }


@pytest.mark.parametrize("body", [b"<html>", b"[]", b""])
def test_answer_that_botocore_cannot_read_is_an_answer(
    plain_client: Callable[..., Any], server: Any, body: bytes
) -> None:
    server.script(server.answer(body=body))
    assert Asker(plain_client()).ask(GET_RECOMMENDATIONS, b"{}").body == body

"""Passing requests on: the bytes of a client that we build, and the words of one that we do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from personalize_rt.errors import ConfigurationError, ValidationError
from personalize_rt.operations import GET_RECOMMENDATIONS
from personalize_rt.transport.forwarding import Forwarder

MEMBERS = {"campaignArn": "arn:aws:personalize:eu-west-1:123456789012:campaign/movies", "userId": "ü"}
RAW = b'{"itemList":[{"itemId":"i1","score":null,"elevenchars":null}],"recommendationId":"RID-1"}'


def test_a_client_that_we_build_keeps_the_bytes(server: Any, session: Any) -> None:
    server.script(server.answer(200, RAW), server.answer(400, b'{"message":"no"}', x_amzn_errortype="Other:http://x/"))
    forwarder = Forwarder(session=session, endpoint_url=server.url)
    first, second = (forwarder.send(GET_RECOMMENDATIONS, MEMBERS) for _ in range(2))
    forwarder.close()
    assert (first.status, first.body) == (200, RAW)
    assert (second.status, second.body, second.headers["x-amzn-errortype"]) == (
        400,
        b'{"message":"no"}',
        "Other:http://x/",
    )
    assert [request.members for request in server.received] == [MEMBERS, MEMBERS]


def test_the_debug_log_of_a_client_that_we_build_shows_nobody(server: Any, session: Any, caplog: Any) -> None:
    forwarder = Forwarder(session=session, endpoint_url=server.url)
    with caplog.at_level("DEBUG"):
        forwarder.send(GET_RECOMMENDATIONS, {**MEMBERS, "userId": "user-4711"})
    forwarder.close()
    text = "".join(record.getMessage() for record in caplog.records)
    assert ("/recommendations" in text, "4711" in text) == (True, False)


def test_it_does_not_retry(server: Any, session: Any) -> None:
    server.always(503)
    forwarder = Forwarder(session=session, endpoint_url=server.url)
    assert forwarder.send(GET_RECOMMENDATIONS, MEMBERS).status == 503
    forwarder.close()
    assert server.count == 1


def test_a_callers_client_is_called_and_not_changed(server: Any, plain_client: Callable[..., Any]) -> None:
    client = plain_client()
    closed: list[int] = []
    client.close, close = lambda: closed.append(1), client.close
    handlers = repr(client.meta.events._emitter._handlers._root)
    server.script(server.answer(200, RAW), server.failure(404, message="gone", retry_after="2"))
    forwarder = Forwarder(client)
    first, second = (forwarder.send(GET_RECOMMENDATIONS, MEMBERS) for _ in range(2))
    forwarder.close()
    assert json.loads(first.body) == {"itemList": [{"itemId": "i1"}], "recommendationId": "RID-1"}
    assert (second.status, json.loads(second.body)) == (404, {"message": "gone"})
    assert (second.headers["x-amzn-errortype"], second.headers["retry-after"]) == ("ResourceNotFoundException", "2")
    assert repr(client.meta.events._emitter._handlers._root) == handlers
    assert closed == []
    client.close = close


def test_where_no_answer_comes_botocore_says_why(session: Any) -> None:
    forwarder = Forwarder(session=session, endpoint_url="http://127.0.0.1:9")
    with pytest.raises(EndpointConnectionError):
        forwarder.send(GET_RECOMMENDATIONS, MEMBERS)
    forwarder.close()


def test_arguments_that_do_not_go_together_are_refused(plain_client: Callable[..., Any]) -> None:
    with pytest.raises(ValidationError, match="region_name"):
        Forwarder(plain_client(), region_name="eu-west-1")
    with pytest.raises(ValidationError, match="retries"):
        Forwarder(config=Config(retries={"max_attempts": 1}))
    with pytest.raises(ConfigurationError, match="region"):
        Forwarder()

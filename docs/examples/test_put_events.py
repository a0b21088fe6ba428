"""Events hold what the service wants, by boto3's own check of parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import put_events
import pytest
from botocore.stub import ANY, Stubber

from personalize_rt import Cache, InputOrderFallback
from personalize_rt.local import LocalPersonalize

WHO = {"tracking_id": "t-1", "session_id": "s-1"}


@pytest.fixture
def events() -> Any:
    return boto3.client("personalize-events", region_name="eu-west-1")


@pytest.fixture
def expected(events: Any) -> Iterator[Any]:
    """Says which event is expected; parameters that the service's model does not allow are an error."""
    with Stubber(events) as stub:

        def expect(event: dict[str, Any], **who: str) -> None:
            event = {"eventType": "Watch", "sentAt": ANY, **event}
            stub.add_response("put_events", {}, {"trackingId": "t-1", "sessionId": "s-1", "eventList": [event], **who})

        yield expect
        stub.assert_no_pending_responses()


def test_an_event_brings_the_recommendation_id_back(local: LocalPersonalize, events: Any, expected: Any) -> None:
    answer = local.runtime().campaign(local.campaign_arn("movies-for-you")).recommend("13974", num_results=30)
    film = answer[2].item_id
    shown = list(answer.item_ids[:25])
    expected({"itemId": film, "impression": shown, "recommendationId": answer.recommendation_id}, userId="13974")
    put_events.report(events, answer, user_id="13974", item_id=film, **WHO)


def test_somebody_unknown_has_a_session_only(local: LocalPersonalize, events: Any, expected: Any) -> None:
    answer = local.runtime().get_recommendations(campaign_arn=local.campaign_arn("popular-movies"), num_results=1)
    film = answer[0].item_id
    expected({"itemId": film, "impression": [film], "recommendationId": answer.recommendation_id})
    put_events.report(events, answer, user_id=None, item_id=film, **WHO)


def test_what_a_fallback_or_a_cache_answered_is_not_counted(
    local: LocalPersonalize, events: Any, expected: Any
) -> None:
    runtime = local.runtime(fallback=InputOrderFallback(), cache=Cache())
    popular = runtime.campaign(local.campaign_arn("popular-movies"), num_results=1)
    popular.recommend()
    cached = popular.recommend()
    assert cached.info.source == "cache"
    local.faults.fail(status=503)
    substitute = runtime.campaign(local.campaign_arn("movies-ranking")).rank("13974", ["tt0133093"])
    assert substitute.degraded
    for answer in (cached, substitute):
        film = answer[0].item_id
        expected({"itemId": film, "impression": [film]}, userId="13974")
        put_events.report(events, answer, user_id="13974", item_id=film, **WHO)

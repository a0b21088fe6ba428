"""Whose call is under way, and with which time-out it is answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config

from personalize_rt.transport.in_process import in_process_client
from personalize_rt.transport.standing_in import StandIn, calls_noted

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"


@pytest.fixture
def asked() -> list[float]:
    """The read time-outs of the clients that were built to answer."""
    return []


@pytest.fixture
def stand_in(asked: list[float]) -> Iterator[StandIn]:
    def build(service: str, *, config: Any) -> Any:
        asked.append(config.read_timeout)
        return in_process_client(lambda *_: (200, {"x-timeout": str(config.read_timeout)}, b"{}"), config=config)

    stand_in = StandIn(build, ["personalize-runtime"])
    yield stand_in
    stand_in.close()


def test_each_caller_is_answered_by_a_client_with_its_read_time_out(
    session: Any, stand_in: StandIn, asked: list[float]
) -> None:
    def answer(event_name: str, request: Any, **_: Any) -> Any:
        return stand_in.answer(event_name, request)

    seen = []
    with calls_noted():
        for seconds in (3, 7, 3):
            client = session.client("personalize-runtime", config=Config(read_timeout=seconds))
            client.meta.events.register(
                "before-send", lambda event_name, request, **_: stand_in.answer(event_name, request)
            )
            reply = client.get_recommendations(campaignArn=ARN)
            seen.append(reply["ResponseMetadata"]["HTTPHeaders"]["x-timeout"])
            client.close()
    assert seen == ["3", "7", "3"]
    assert asked == [3, 7]

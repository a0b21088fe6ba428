"""Trackers of tasks with clients of aiobotocore: the caller's own, and one of a session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason='aiobotocore is not installed: pip install "personalize-rt[aio]"')
import aiobotocore.session
from aiobotocore.config import AioConfig

from personalize_rt import InvalidInputError
from personalize_rt.aio import AsyncEventTracker
from tests.servers import ScriptedServer


@pytest.fixture
def service() -> Iterator[ScriptedServer]:
    service = ScriptedServer()
    service.always(service.answer(200, b""))
    yield service
    service.close()


def items(service: ScriptedServer) -> list[list[str]]:
    return [[event["itemId"] for event in sent.members["eventList"]] for sent in service.received]


async def test_a_session_of_aiobotocore_makes_the_client(service: ScriptedServer, made_up_aws_account: None) -> None:
    session: Any = aiobotocore.session.get_session()
    async with AsyncEventTracker("t-1", session=session, region_name="eu-west-1", endpoint_url=service.url) as tracker:
        await tracker.connect()
        for n in range(12):
            await tracker.track("Watch", f"i{n}", session_id="s")
        assert await tracker.flush(20)
        service.script(400)
        with pytest.raises(InvalidInputError):
            await tracker.send("Watch", "i1", session_id="s")
    assert items(service) == [[f"i{n}" for n in range(10)], ["i10", "i11"], ["i1"]]


async def test_a_client_of_aiobotocore_is_taken_and_left_open(
    service: ScriptedServer, made_up_aws_account: None
) -> None:
    config = AioConfig(retries={"total_max_attempts": 1, "mode": "standard"})
    session: Any = aiobotocore.session.get_session()
    options = {"region_name": "eu-west-1", "endpoint_url": service.url, "config": config}
    async with session.create_client("personalize-events", **options) as client:
        async with AsyncEventTracker("t-1", client) as tracker:
            await tracker.track("Watch", "i1", session_id="s")
        async with AsyncEventTracker("t-1", client) as tracker:
            await tracker.put_users({"u": {}}, dataset_arn="arn:aws:personalize:eu-west-1:1:dataset/g/USERS")
    assert [sent.path for sent in service.received] == ["/events", "/users"]

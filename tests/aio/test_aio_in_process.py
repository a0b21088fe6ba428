"""The in-process door: a real aiobotocore client whose answers come from a function."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason='aiobotocore is not installed: pip install "personalize-rt[aio]"')
from aiobotocore.config import AioConfig
from moto import mock_aws

from personalize_rt import DeadlineExceededError, RetryPolicy, ThrottlingError, TransportError
from personalize_rt.aio import AsyncPersonalizeRuntime
from personalize_rt.transport.asynchronous_in_process import InProcessSession, in_process_async_client

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
REPLY = json.dumps({"itemList": [{"itemId": "i1"}], "recommendationId": "RID-1"}).encode()


def well(method: str, path: str, headers: Any, body: bytes) -> Any:
    return 200, {"content-type": "application/json", "x-amzn-requestid": "r-1"}, REPLY


async def doors(respond: Any) -> list[AsyncPersonalizeRuntime]:
    """A runtime with a client of the caller's, and one that builds its own."""
    policy = RetryPolicy(base=0.0)
    return [
        AsyncPersonalizeRuntime(await in_process_async_client(respond), retry=policy),
        AsyncPersonalizeRuntime(session=InProcessSession(respond), retry=policy),
    ]


async def test_the_function_is_given_what_would_be_sent() -> None:
    given: list[Any] = []
    client = await in_process_async_client(
        lambda *request: (given.append(request), well(*request))[1], region_name="us-east-2"
    )
    reply = await client.get_recommendations(campaignArn=ARN, userId="ü")
    ((method, path, headers, body),) = given
    assert (method, path) == ("POST", "/recommendations")
    assert json.loads(body) == {"campaignArn": ARN, "userId": "ü"}
    assert type(body) is bytes
    assert {type(value) for value in headers.values()} == {str}
    assert "/us-east-2/personalize/aws4_request" in headers["Authorization"]
    assert headers["Content-Type"] == "application/json"
    assert reply["itemList"] == [{"itemId": "i1"}]
    assert reply["ResponseMetadata"]["RequestId"] == "r-1"


async def test_both_doors_answer() -> None:
    async def slowly(*request: Any) -> Any:
        await asyncio.sleep(0)
        return well(*request)

    for respond in (well, slowly):
        for runtime in await doors(respond):
            answer = await runtime.get_recommendations(campaign_arn=ARN)
            assert (answer.item_ids, answer.info.request_id) == (("i1",), "r-1")


async def test_errors_are_the_clients_own_typed_exceptions() -> None:
    failure = {"x-amzn-errortype": "ResourceNotFoundException:http://internal.amazon.com/coral/"}
    client = await in_process_async_client(lambda *_: (404, failure, b'{"message": "no such campaign"}'))
    with pytest.raises(client.exceptions.ResourceNotFoundException, match="no such campaign"):
        await client.get_recommendations(campaignArn=ARN)


async def test_one_request_is_one_call_of_the_function() -> None:
    given: list[Any] = []
    throttled = {"x-amzn-errortype": "ThrottlingException"}
    for runtime in await doors(lambda *request: (given.append(request), (429, throttled, b"{}"))[1]):
        given.clear()
        with pytest.raises(ThrottlingError):
            await runtime.get_recommendations(campaign_arn=ARN)
        assert len(given) == 3


async def test_what_the_function_raises_is_translated_where_it_is_botocores() -> None:
    from botocore.exceptions import ReadTimeoutError

    def silent(*_: Any) -> Any:
        raise ReadTimeoutError(endpoint_url="http://e", error=None)

    def broken(*_: Any) -> Any:
        raise LookupError("mine")

    for runtime in await doors(silent):
        with pytest.raises(TransportError, match="3 attempts"):
            await runtime.get_recommendations(campaign_arn=ARN)
    for runtime in await doors(broken):
        with pytest.raises(LookupError, match="mine"):
            await runtime.get_recommendations(campaign_arn=ARN)


async def test_a_function_that_does_not_come_back_is_left_at_the_deadline() -> None:
    async def never(*_: Any) -> Any:
        await asyncio.Event().wait()

    for runtime in await doors(never):
        with pytest.raises(DeadlineExceededError):
            await runtime.with_options(deadline=0.02, enforce_deadline=True).get_recommendations(campaign_arn=ARN)


def test_nothing_has_to_be_closed_and_any_event_loop_will_do() -> None:
    runtime = AsyncPersonalizeRuntime(session=InProcessSession(well))

    async def ask() -> Any:
        return (await runtime.get_recommendations(campaign_arn=ARN)).item_ids

    assert asyncio.run(ask()) == asyncio.run(ask()) == ("i1",)


@pytest.mark.parametrize(
    "environment",
    [
        {"AWS_PROFILE": "weekend"},
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
        {"AWS_RETRY_MODE": "adaptive", "AWS_MAX_ATTEMPTS": "9"},
        {"AWS_USE_FIPS_ENDPOINT": "true"},
        {"AWS_DEFAULT_REGION": "nowhere"},
        {"HTTPS_PROXY": "http://127.0.0.1:9"},
        {"AWS_CA_BUNDLE": "/does/not/exist"},
        {"AWS_ACCESS_KEY_ID": "only half"},
    ],
    ids=lambda environment: next(iter(environment)),
)
async def test_no_setting_of_the_machine_matters(environment: dict[str, str], monkeypatch: Any, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (tmp_path / "config").write_text("[default]\nregion = nowhere\nendpoint_url = http://127.0.0.1:9\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for runtime in await doors(well):
        await runtime.connect()
        assert (await runtime.get_recommendations(campaign_arn=ARN)).item_ids == ("i1",)


async def test_a_config_is_merged_over_ours() -> None:
    client = await in_process_async_client(well, config=AioConfig(user_agent_extra="shop/7", read_timeout=7))
    assert client.meta.config.read_timeout == 7
    assert client.meta.config.retries["total_max_attempts"] == 1
    assert "shop/7" in client.meta.config.user_agent
    assert "personalize-rt/" in client.meta.config.user_agent


async def test_it_answers_under_moto_too() -> None:
    with mock_aws():
        for runtime in await doors(well):
            assert (await runtime.get_recommendations(campaign_arn=ARN)).item_ids == ("i1",)

"""What we rely on beyond aiobotocore's documented interface. A failure here means: it changed, look at transport."""

from __future__ import annotations

import asyncio
import inspect
import logging
import socket
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason='aiobotocore is not installed: pip install "personalize-rt[aio]"')
import aiobotocore
import aiohttp
from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore import exceptions as theirs
from botocore.config import Config
from botocore.credentials import Credentials

from personalize_rt.aio import AsyncPersonalizeRuntime
from personalize_rt.operations import OPERATIONS
from personalize_rt.transport import aio_clients

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
SENT = "before-send.personalize-runtime"


def opened(url: str = "http://127.0.0.1:9", config: Any = None) -> Any:
    """A client, to be used in ``async with``."""
    return get_session().create_client("personalize-runtime", endpoint_url=url, config=config, region_name="eu-west-1")


def once(**settings: Any) -> AioConfig:
    return AioConfig(retries={"total_max_attempts": 1, "mode": "standard"}, **settings)


def answers(status: int, body: bytes) -> Any:
    class Body:
        async def read(self) -> bytes:
            return body

    return lambda request, **_: AioAWSResponse(request.url, status, {"x-amzn-requestid": "r-1"}, Body())


def test_the_extra_asks_for_a_version_that_is_installed() -> None:
    assert tuple(map(int, aiobotocore.__version__.split(".")[:2])) >= (3, 10)


async def test_nothing_is_left_out_with_this_aiobotocore(caplog: Any) -> None:
    with caplog.at_level(logging.DEBUG, "personalize_rt"):
        async with AsyncPersonalizeRuntime(session=get_session(), region_name="eu-west-1") as runtime:
            await runtime.connect()
    assert [record.getMessage() for record in caplog.records if record.name == "personalize_rt"] == []


async def test_a_client_has_a_coroutine_function_for_every_operation() -> None:
    async with opened() as client:
        assert inspect.iscoroutinefunction(client._make_api_call)
        client.meta.events.register(SENT, answers(200, b"{}"))
        for operation in OPERATIONS.values():
            assert hasattr(client, operation.method)
        call = client.get_recommendations(campaignArn=ARN)
        assert inspect.isawaitable(call)
        reply = await call
    assert reply["ResponseMetadata"]["RequestId"] == "r-1"
    assert reply["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert reply["ResponseMetadata"]["RetryAttempts"] == 0


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
async def test_a_total_of_one_and_a_mode_win_over_the_environment(mode: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("AWS_RETRY_MODE", mode)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "9")
    asked: list[Any] = []
    async with opened(config=once()) as client:
        assert client.meta.config.retries == {"total_max_attempts": 1, "mode": "standard"}
        client.meta.events.register(SENT, lambda **_: asked.append(1))
        client.meta.events.register(SENT, answers(503, b"{}"))
        with pytest.raises(theirs.ClientError):
            await client.get_recommendations(campaignArn=ARN)
    assert len(asked) == 1


async def test_the_handler_that_was_registered_first_wins() -> None:
    async def second(request: Any, **_: Any) -> Any:
        return answers(500, b"{}")(request)

    async with opened(config=once()) as client:
        client.meta.events.register(SENT, second)
        client.meta.events.register_first(SENT, answers(200, b'{"recommendationId": "first"}'))
        assert (await client.get_recommendations(campaignArn=ARN))["recommendationId"] == "first"


async def test_credentials_are_the_ones_that_the_client_signs_with() -> None:
    async with opened() as client:
        frozen = await client._get_credentials().get_frozen_credentials()
    assert (frozen.access_key, frozen.secret_key) == ("testing", "testing")


async def test_a_client_signs_with_what_its_signer_is_given(server: Any) -> None:
    class Other:
        async def get_frozen_credentials(self) -> Any:
            return Credentials("other", "key")

    async with opened(server.url) as client:
        assert client._get_credentials() is client._request_signer._credentials
        client._request_signer._credentials = Other()
        await client.get_recommendations(campaignArn=ARN)
    assert "Credential=other/" in server.received[0].headers["authorization"]


async def test_settings_of_ours_merge_with_those_of_any_session() -> None:
    config = aio_clients.aio_config(AioConfig(connector_args={"keepalive_timeout": 3}, read_timeout=2))
    assert type(config) is AioConfig
    assert (config.read_timeout, config.connector_args["keepalive_timeout"]) == (2, 3)
    assert config.retries == {"total_max_attempts": 1, "mode": "standard"}
    # A session whose default settings are botocore's own merges them with ours, and knows no others.
    assert Config(proxies={}).merge(aio_clients.aio_config()).connect_timeout == 0.5


async def test_a_client_that_was_not_used_has_nothing_to_close() -> None:
    context = opened()
    client = await context.__aenter__()
    assert client._endpoint.http_session._sessions == {}
    await context.__aexit__(None, None, None)
    assert client._endpoint.http_session._sessions is None


# What aiohttp raises, in terms of botocore


def broken(error: Exception) -> Any:
    async def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


KEY = aiohttp.client_reqrep.ConnectionKey("h", 1, False, True, None, None, None)
MAPPED: list[tuple[Exception, type[Exception], type[Exception]]] = [
    (
        aiohttp.ClientConnectorDNSError(KEY, OSError(None, "DNS lookup failed")),
        theirs.EndpointConnectionError,
        socket.gaierror,
    ),
    (
        aiohttp.ClientConnectorError(KEY, ConnectionRefusedError()),
        theirs.EndpointConnectionError,
        aiohttp.ClientConnectorError,
    ),
    (aiohttp.ClientOSError(104, "reset by peer"), theirs.ConnectionClosedError, aiohttp.ClientOSError),
    (aiohttp.ClientOSError(32, "Broken pipe"), theirs.ConnectionClosedError, aiohttp.ClientOSError),
    (
        aiohttp.ClientConnectionResetError("closing transport"),
        theirs.ConnectionClosedError,
        aiohttp.ClientConnectionResetError,
    ),
    (aiohttp.ServerDisconnectedError(), theirs.ConnectionClosedError, aiohttp.ServerDisconnectedError),
    (aiohttp.ClientPayloadError("cut"), theirs.ConnectionClosedError, aiohttp.ClientPayloadError),
    (aiohttp.ConnectionTimeoutError("Connection timeout to host"), theirs.ConnectTimeoutError, Exception),
    (aiohttp.SocketTimeoutError("Timeout on reading data from socket"), theirs.ReadTimeoutError, Exception),
    (TimeoutError(), theirs.ReadTimeoutError, TimeoutError),
    (RuntimeError("Session is closed"), theirs.HTTPClientError, RuntimeError),
]


@pytest.mark.parametrize(("error", "kind", "behind"), MAPPED, ids=lambda value: getattr(value, "__name__", repr(value)))
async def test_errors_of_aiohttp_arrive_in_those_of_botocore(
    error: Exception, kind: type[Exception], behind: type[Exception], monkeypatch: Any
) -> None:
    monkeypatch.setattr(aiohttp.ClientSession, "_request", broken(error))
    async with opened(config=once()) as client:
        with pytest.raises(theirs.BotoCoreError) as caught:
            await client.get_recommendations(campaignArn=ARN)
    sharp = aio_clients._sharper(caught.value) or caught.value
    assert type(sharp) is kind
    assert isinstance(sharp.kwargs["error"], behind)  # type: ignore[attr-defined]


async def test_a_cancellation_is_nobodys_error() -> None:
    async def wait(**_: Any) -> None:
        await asyncio.Event().wait()

    async with opened() as client:
        client.meta.events.register(SENT, wait)
        call = asyncio.ensure_future(client.get_recommendations(campaignArn=ARN))
        await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

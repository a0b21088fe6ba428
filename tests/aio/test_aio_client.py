"""The async client over real aiobotocore clients: ours and the caller's, against a server on 127.0.0.1."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import exceptions as theirs
from botocore.config import Config

pytest.importorskip("aiobotocore", reason='aiobotocore is not installed: pip install "personalize-rt[aio]"')
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.session import Session

from personalize_rt import (
    ConfigurationError,
    DeadlineExceededError,
    InvalidInputError,
    PersonalizeError,
    PersonalizeRuntime,
    Promotion,
    ResponseError,
    RetryPolicy,
    ServerError,
    ServiceError,
    ThrottlingError,
    TransportError,
    ValidationError,
    __version__,
)
from personalize_rt.aio import AsyncPersonalizeRuntime

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
FILTER = "arn:aws:personalize:eu-west-1:123456789012:filter/unseen"
REQUESTS = {
    "get_recommendations": {
        "campaign_arn": ARN,
        "user_id": 'ü"1 日本 😀 \ud800 \x7f \n',
        "item_id": "",
        "num_results": 0,
        "context": {"DEVICE": "phone", "CITY": "Zürich"},
        "filter_arn": FILTER,
        "filter_values": {"G": ["a", "ö"]},
        "promotions": [Promotion("p", 5, filter_arn=FILTER, filter_values={"G": "x"})],
        "metadata_columns": ["TITLE"],
    },
    "get_personalized_ranking": {"campaign_arn": ARN, "user_id": "u", "input_list": ["b", "a", "b"]},
    "get_action_recommendations": {"campaign_arn": ARN, "user_id": "u", "num_results": 7},
}
REGION = {"region_name": "eu-west-1"}


@pytest.fixture
def ours(server: Any, fake_time: Any) -> Callable[..., AsyncPersonalizeRuntime]:
    """Makes runtimes that build their own client for the server, and never really sleep."""

    def make(*, retry: Mapping[str, Any] = {}, **options: Any) -> AsyncPersonalizeRuntime:
        policy = {"clock": fake_time.clock, "sleep": fake_time.sleep, "random": lambda: 1.0, **retry}
        defaults: dict[str, Any] = {**REGION, "endpoint_url": server.url, "retry": RetryPolicy(**policy)}
        return AsyncPersonalizeRuntime(**{**defaults, **options})

    return make


def plain(server: Any, **config: Any) -> Any:
    """An aiobotocore client of the caller's own, by default without retries: to be used in ``async with``."""
    config = {"retries": {"total_max_attempts": 1, "mode": "standard"}, **config}
    return get_session().create_client(
        "personalize-runtime", endpoint_url=server.url, config=AioConfig(**config), **REGION
    )


async def settings_of(runtime: Any) -> Any:
    """The settings of the client that a runtime builds."""
    async with runtime:
        return (await runtime._transport.client()).meta.config


# What is sent, answered and raised is what the blocking client would send, answer and raise


@pytest.mark.direct
@pytest.mark.parametrize("method", REQUESTS)
async def test_the_same_bytes_are_sent(method: str, ours: Any, runtime: Any, server: Any) -> None:
    async with ours() as mine, plain(server) as client:
        await getattr(mine, method)(**REQUESTS[method])
        await getattr(AsyncPersonalizeRuntime(client), method)(**REQUESTS[method])
    getattr(runtime(), method)(**REQUESTS[method])
    of_mine, of_plain, blocking = server.received
    assert (of_mine.method, of_mine.path, of_mine.body) == (blocking.method, blocking.path, blocking.body)
    assert of_mine.body == of_plain.body
    assert {*of_mine.headers} == {*of_plain.headers} - {"accept"} == {*blocking.headers}
    signed = [
        received.headers["authorization"].split("SignedHeaders=")[1].split(",")[0] for received in server.received
    ]
    assert len(set(signed)) == 1


@pytest.mark.parametrize(
    "reply",
    [
        {"itemList": [{"itemId": "a", "score": 1}, {"itemId": "b", "score": None}], "recommendationId": None},
        {"itemList": [{"itemId": "a", "metadata": {"title": "ü"}, "reason": ["r"], "promotionName": "p"}]},
        {"itemList": [{"itemId": "a", "rank": 5}], "more": [1]},
        {"recommendationId": "RID"},
    ],
    ids=json.dumps,
)
async def test_the_same_answer_is_read(reply: Any, ours: Any, runtime: Any, server: Any) -> None:
    server.always(reply)
    blocking = runtime().get_recommendations(campaign_arn=ARN)
    async with ours() as mine, plain(server) as client:
        for other in (mine, AsyncPersonalizeRuntime(client)):
            answer = await other.get_recommendations(campaign_arn=ARN)
            assert answer == blocking
            assert answer.info.request_id == blocking.info.request_id == "fd2ea40f-11f5-461c-b678-6a6a08bdb416"
            assert (answer.info.attempts, answer.info.source) == (1, "service")


ERRORS: list[tuple[int, bytes, dict[str, str]]] = [
    (400, b'{"message": "m"}', {"x_amzn_errortype": "InvalidInputException:http://x/"}),
    (404, b'{"__type": "com.amazon#ResourceNotFoundException", "message": "m"}', {}),
    (400, b'{"code": "ThrottlingException", "message": "m"}', {}),
    (400, b"{}", {}),
    (400, b"[]", {}),
    (403, b"<html><body>Forbidden</body></html>", {"content_type": "text/html"}),
    (429, b"Too many", {"Retry_After": "1"}),
    (500, b"\xff", {}),
    (503, b"", {}),
]


@pytest.mark.direct
@pytest.mark.parametrize(("status", "body", "headers"), ERRORS)
async def test_the_same_error_is_raised(
    status: int, body: bytes, headers: dict[str, str], ours: Any, runtime: Any, server: Any
) -> None:
    server.always(server.answer(status, body, **headers))
    with pytest.raises(ServiceError) as blocking:
        runtime(retry={"attempts": 1}).get_recommendations(campaign_arn=ARN)
    async with ours(retry={"attempts": 1}) as mine:
        with pytest.raises(ServiceError) as caught:
            await mine.get_recommendations(campaign_arn=ARN)
    assert type(caught.value) is type(blocking.value)
    assert str(caught.value) == str(blocking.value)
    assert vars(caught.value) == vars(blocking.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize("body", [b"[]", b"null", b"<html>", b'{"itemList": 5}', b'{"itemList": [{"itemId": 5}]}', b""])
async def test_an_answer_that_breaks_the_model_is_a_response_error(body: bytes, ours: Any, server: Any) -> None:
    server.always(server.answer(200, body))
    async with ours() as mine, plain(server) as client:
        for other in (mine, AsyncPersonalizeRuntime(client)):
            if body == b"" and other is not mine:
                continue  # to aiobotocore an answer without items
            with pytest.raises(ResponseError):
                await other.get_recommendations(campaign_arn=ARN)


async def test_no_value_of_a_request_is_in_an_error_or_log(ours: Any, server: Any, caplog: Any) -> None:
    secret = "ada@example.org"
    with caplog.at_level("DEBUG", "personalize_rt"):
        async with ours(retry={"attempts": 2}) as mine:
            for outcome in (server.failure(400, message=f"bad {secret}"), "close", server.answer(200, b"[]")):
                server.always(outcome)
                with pytest.raises(PersonalizeError) as caught:
                    await mine.get_recommendations(campaign_arn=ARN, user_id=secret)
                assert secret not in f"{caught.value!r} {caught.value} {caught.value.args}"
                assert caught.value.__cause__ is caught.value.__context__ is None
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("personalize_rt")]
    assert secret not in "".join(logged)


@pytest.mark.parametrize("outcome", ["close", 503, 429])
async def test_what_may_pass_is_sent_again(outcome: Any, ours: Any, server: Any, fake_time: Any) -> None:
    server.script(outcome, outcome)
    async with ours() as mine:
        answer = await mine.get_recommendations(campaign_arn=ARN)
    assert (answer.item_ids, answer.info.attempts, server.count) == (("i1",), 3, 3)
    assert fake_time.slept == pytest.approx([0.05, 0.1])


# A client that we build


async def test_the_defaults_of_a_client_that_we_build(ours: Any) -> None:
    config = await settings_of(ours())
    assert (config.connect_timeout, config.read_timeout) == (0.5, 1.0)
    assert config.tcp_keepalive is True
    assert config.max_pool_connections == 50
    assert config.retries == {"total_max_attempts": 1, "mode": "standard"}
    assert f"personalize-rt/{__version__}" in config.user_agent


async def test_the_service_is_told_who_asks(ours: Any, server: Any) -> None:
    async with ours() as mine, ours(config=Config(user_agent_extra="shop/7")) as with_theirs:
        await mine.get_recommendations(campaign_arn=ARN)
        await with_theirs.get_recommendations(campaign_arn=ARN)
    agents = [received.headers["user-agent"] for received in server.received]
    assert all(f"personalize-rt/{__version__}" in agent for agent in agents)
    assert "shop/7" in agents[1]


@pytest.mark.parametrize("kind", [Config, AioConfig])
async def test_config_is_merged_and_wins(kind: Any, ours: Any) -> None:
    theirs = kind(read_timeout=7, max_pool_connections=3)
    before = dict(vars(theirs))
    config = await settings_of(ours(config=theirs))
    assert (config.read_timeout, config.max_pool_connections) == (7, 3)
    assert (config.connect_timeout, config.tcp_keepalive) == (0.5, True)
    assert config.retries["total_max_attempts"] == 1
    assert vars(theirs) == before


async def test_connector_arguments_of_an_aio_config_are_honoured(ours: Any, server: Any) -> None:
    made: list[Any] = []

    def factory(address: Any) -> socket.socket:
        made.append(address)
        return socket.socket(*address[:3])

    async with ours(config=AioConfig(connector_args={"socket_factory": factory})) as mine:
        await mine.get_recommendations(campaign_arn=ARN)
    assert len(made) == 1


@pytest.mark.direct
@pytest.mark.parametrize("door", ["connect", "call"])
async def test_settings_with_which_no_connection_can_be_opened_are_told(
    door: str, ours: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "nowhere.pem"))
    async with ours(endpoint_url="https://127.0.0.1:9") as mine:
        with pytest.raises(ConfigurationError, match="CA bundle") as caught:
            await (mine.connect() if door == "connect" else mine.get_recommendations(campaign_arn=ARN))
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.direct
@pytest.mark.parametrize("kind", [Config, AioConfig])
@pytest.mark.parametrize("keep_alive", [True, False])
async def test_tcp_keep_alive_is_what_the_settings_say(
    keep_alive: bool, kind: Any, ours: Any, server: Any, monkeypatch: Any
) -> None:
    seen: list[int] = []
    connect = asyncio.get_running_loop().sock_connect

    async def look(sock: socket.socket, address: Any) -> None:
        seen.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        await connect(sock, address)

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", look)
    async with ours(config=kind(tcp_keepalive=keep_alive)) as mine:
        await mine.get_recommendations(campaign_arn=ARN)
        assert (await mine._transport.way())[1] == (
            "nobody watches" if kind is Config else "the client is one of aiobotocore"
        )
    assert list(map(bool, seen)) == [keep_alive]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_another_session_class_is_left_alone(ours: Any, raw: Any) -> None:
    pytest.importorskip("httpx")
    from aiobotocore.httpxsession import HttpxSession

    async with raw, ours(endpoint_url=raw.url, config=AioConfig(http_session_cls=HttpxSession)) as mine:
        assert (await mine.get_recommendations(campaign_arn=ARN)).item_ids == ("i1",)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"AWS_RETRY_MODE": "legacy", "AWS_MAX_ATTEMPTS": "7"},
        {"AWS_RETRY_MODE": "standard", "AWS_MAX_ATTEMPTS": "7"},
        {"AWS_RETRY_MODE": "adaptive"},
        {"AWS_DEFAULTS_MODE": "in-region"},
    ],
    ids=str,
)
async def test_n_attempts_are_n_requests_whatever_the_environment_says(
    environment: dict[str, str], ours: Any, server: Any, monkeypatch: Any
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    server.always(503)
    async with ours(deadline=None) as mine:
        for attempts in (1, 3):
            server.received.clear()
            with pytest.raises(ServerError) as caught:
                await mine.with_options(retry=RetryPolicy(attempts, base=0)).get_recommendations(campaign_arn=ARN)
            assert caught.value.attempts == server.count == attempts


async def test_n_attempts_are_n_requests_whatever_the_session_says(ours: Any, server: Any) -> None:
    session = get_session()
    session.set_default_client_config(Config(retries={"max_attempts": 4, "mode": "adaptive"}, read_timeout=7))
    server.always(503)
    async with ours(session=session, deadline=None) as mine:
        with pytest.raises(ServerError):
            await mine.get_recommendations(campaign_arn=ARN)
    assert server.count == 3


async def test_a_session_is_honoured(ours: Any, server: Any) -> None:
    session = get_session()
    session.set_credentials("mine", "mine")
    seen: list[Any] = []

    def more(params: dict[str, Any], **_: Any) -> None:
        seen.append(dict(params))
        params["numResults"] = 3

    async def header(request: Any, **_: Any) -> None:
        request.headers["x-mine"] = "yes"

    session.register("before-parameter-build.personalize-runtime", more)
    session.register("before-sign.personalize-runtime", header)
    async with ours(session=session, region_name="us-east-2") as mine:
        await mine.get_recommendations(campaign_arn=ARN)
    (received,) = server.received
    assert "Credential=mine/" in received.headers["authorization"]
    assert "/us-east-2/personalize/aws4_request" in received.headers["authorization"]
    assert "x-mine" in received.headers["authorization"]
    assert seen == [{"campaignArn": ARN}]
    assert received.members == {"campaignArn": ARN, "numResults": 3}


async def test_a_session_that_names_it_client_is_honoured(ours: Any, server: Any) -> None:
    class Wrapped:
        client = staticmethod(get_session().create_client)

    async with ours(session=Wrapped()) as mine:
        assert (await mine.get_recommendations(campaign_arn=ARN)).item_ids == ("i1",)


async def test_a_session_of_boto3_is_honoured(ours: Any, session: Any, server: Any) -> None:
    async with ours(session=session) as mine:
        assert (await mine.get_recommendations(campaign_arn=ARN)).item_ids == ("i1",)
    assert "Credential=testing/" in server.received[0].headers["authorization"]


async def test_it_is_built_once(ours: Any, server: Any, monkeypatch: Any) -> None:
    built: list[Any] = []
    create = Session.create_client

    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        built.append(args)
        return create(self, *args, **kwargs)

    monkeypatch.setattr(Session, "create_client", counted)
    mine = ours()
    assert built == []
    async with mine, asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(mine.get_recommendations(campaign_arn=ARN))
        group.create_task(mine.with_options(deadline=None).get_recommendations(campaign_arn=ARN))
    assert len(built) == 1
    assert server.count == 21


async def test_who_is_cancelled_while_it_is_built_leaves_it_to_the_next(ours: Any) -> None:
    async with ours() as mine:
        calls = [asyncio.ensure_future(mine.get_recommendations(campaign_arn=ARN)) for _ in range(3)]
        await asyncio.sleep(0)
        calls[0].cancel()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        assert [answer.item_ids for answer in answers[1:]] == [("i1",), ("i1",)]


async def test_connect_builds_ahead_of_time_and_returns_the_runtime(ours: Any, server: Any) -> None:
    mine = ours()
    async with await mine.connect() as same:
        assert same is mine
        assert mine._transport._backend is not None
        assert server.count == 0


async def test_closing(ours: Any) -> None:
    mine = ours()
    copied = mine.with_options(deadline=None)
    async with copied:
        await copied.get_recommendations(campaign_arn=ARN)
    await mine.get_recommendations(campaign_arn=ARN)
    for _ in range(2):
        await mine.aclose()
    for runtime in (mine, copied):
        with pytest.raises(ConfigurationError, match="closed"):
            await runtime.get_recommendations(campaign_arn=ARN)
    never_used = ours()
    await never_used.aclose()
    with pytest.raises(ConfigurationError, match="closed"):
        await never_used.connect()


async def test_closing_while_it_is_built_leaves_nothing_open(ours: Any) -> None:
    mine = ours()
    call = asyncio.ensure_future(mine.connect())
    await asyncio.sleep(0)
    await mine.aclose()
    await asyncio.wait([call])
    assert mine._transport._backend is None


# What configuration lacks


@pytest.fixture
def no_account(monkeypatch: Any, tmp_path: Path) -> None:
    """A machine on which nobody configured AWS."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))


LACKING: dict[str, tuple[dict[str, str], dict[str, Any], str]] = {
    "region": ({}, {"region_name": None}, "region_name"),
    "credentials": ({}, {}, "AWS_ACCESS_KEY_ID"),
    "half of the credentials": ({"AWS_ACCESS_KEY_ID": "half"}, {}, "credentials"),
    "profile": ({"AWS_PROFILE": "weekend"}, {}, "weekend"),
    "endpoint": ({}, {"endpoint_url": "nonsense"}, "nonsense"),
}


@pytest.mark.usefixtures("no_account")
@pytest.mark.parametrize("door", ["connect", "call"])
@pytest.mark.parametrize("what", LACKING)
async def test_what_is_not_configured_is_told(what: str, door: str, ours: Any, monkeypatch: Any, server: Any) -> None:
    environment, options, told = LACKING[what]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    async with ours(**options) as mine:
        with pytest.raises(ConfigurationError, match=told) as caught:
            await (mine.connect() if door == "connect" else mine.get_recommendations(campaign_arn=ARN))
    assert isinstance(caught.value, theirs.BotoCoreError)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert server.count == 0


# A client of the caller's


def snapshot(client: Any) -> Any:
    """All that a client is made of: settings, handlers, parts."""
    config = {name: copy.copy(value) for name, value in vars(client.meta.config).items()}
    handlers = client.meta.events._emitter._handlers if hasattr(client.meta.events, "_emitter") else None
    events = ["before-send", "before-call", "before-parse", "needs-retry", "request-created", "response-received"]
    found = {name: handlers.prefix_search(f"{name}.personalize-runtime.GetRecommendations") for name in events}
    parts = {name: id(value) for name, value in vars(client).items()}
    session = client._endpoint.http_session
    return config, {name: list(map(id, each)) for name, each in found.items()}, parts, dict(session._connector_args)


async def test_a_client_of_the_callers_is_never_modified_and_never_closed(server: Any) -> None:
    async with plain(server) as client:
        server.script(None, 400)
        await client.get_recommendations(campaignArn=ARN)
        with pytest.raises(theirs.ClientError):
            await client.get_recommendations(campaignArn=ARN)
        before = snapshot(client)
        async with AsyncPersonalizeRuntime(client, retry=RetryPolicy(2, base=0)) as runtime:
            await runtime.connect()
            for method, arguments in REQUESTS.items():
                await getattr(runtime, method)(**arguments)
            server.script(503, 400)
            with pytest.raises(InvalidInputError):
                await runtime.get_recommendations(campaign_arn=ARN)
        assert snapshot(client) == before
        assert (await client.get_recommendations(campaignArn=ARN))["recommendationId"] == "RID-1"
        assert (await runtime.get_recommendations(campaign_arn=ARN)).item_ids == ("i1",)


@pytest.mark.filterwarnings("ignore:coroutine 'AioSession._create_client' was never awaited:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_client_whose_calls_have_to_be_awaited_is_refused_by_the_blocking_runtime(server: Any) -> None:
    unopened = plain(server)
    with pytest.raises(ValidationError, match="AsyncPersonalizeRuntime") as caught:
        PersonalizeRuntime(unopened)
    assert caught.value.parameter == "client"
    async with unopened as client:
        with pytest.raises(ValidationError, match="AsyncPersonalizeRuntime"):
            PersonalizeRuntime(client)
    with pytest.raises(ConfigurationError, match=r"session makes clients .*AsyncPersonalizeRuntime"):
        PersonalizeRuntime(session=get_session(), **REGION).get_recommendations(campaign_arn=ARN)


async def test_a_botocore_too_old_for_an_operation_is_named_with_the_version_that_it_needs(
    ours: Any, monkeypatch: Any
) -> None:
    runtime = ours()
    client = await runtime._transport.client()
    monkeypatch.delattr(type(client), "get_action_recommendations")
    async with runtime:
        with pytest.raises(ConfigurationError, match=r"not know GetActionRecommendations; it needs botocore 1\.32\.7"):
            await runtime.get_action_recommendations(campaign_arn=ARN, user_id="u")


async def test_attempts_that_a_client_of_the_callers_makes_are_counted(server: Any, monkeypatch: Any) -> None:
    import aiobotocore.endpoint

    async def at_once(self: Any, seconds: float) -> None:
        pass

    monkeypatch.setattr(aiobotocore.endpoint.AioEndpoint, "_sleep", at_once)
    async with plain(server, retries={"total_max_attempts": 2, "mode": "standard"}) as client:
        with pytest.warns(UserWarning, match="RetryPolicy"):
            runtime = AsyncPersonalizeRuntime(client, retry=RetryPolicy(2, base=0))
        server.script(503, 503, 503)
        answer = await runtime.get_recommendations(campaign_arn=ARN)
    assert answer.info.attempts == server.count == 4


# Connections


@pytest.mark.direct
async def test_many_calls_wait_for_no_connection_and_leave_as_many_as_the_pool_holds(ours: Any, raw: Any) -> None:
    all_are_there = asyncio.Event()

    async def echo(_: Any, members: Any) -> bytes:
        if len(raw.requests) >= 200:
            all_are_there.set()
        await all_are_there.wait()
        return bytes(raw.well({"itemList": [{"itemId": members["userId"]}]}))

    raw.repeated = echo
    config = Config(max_pool_connections=20, read_timeout=30, connect_timeout=30)
    async with raw, ours(endpoint_url=raw.url, deadline=None, retry={"attempts": 1}, config=config) as mine:
        await mine.connect()
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(mine.get_recommendations(campaign_arn=ARN, user_id=f"u{n}")) for n in range(200)]
        assert [call.result().item_ids[0] for call in calls] == [f"u{n}" for n in range(200)]
        assert raw.connections == 200
        while raw.open > 20:
            await asyncio.sleep(0.005)
        async with asyncio.TaskGroup() as group:
            for n in range(20):
                group.create_task(mine.get_recommendations(campaign_arn=ARN, user_id=f"u{n}"))
        assert raw.connections == 200


async def test_waiting_for_a_thread_counts_within_the_deadline(ours: Any, server: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("PERSONALIZE_RT_SEND", "through")
    server.script("hang")
    config = Config(max_pool_connections=1, read_timeout=30)
    async with ours(config=config, deadline=None, retry={"attempts": 1}) as mine:
        holding = asyncio.ensure_future(mine.get_recommendations(campaign_arn=ARN))
        while server.count < 1:
            await asyncio.sleep(0.005)
        hasty = mine.with_options(deadline=0.05)
        errors = await asyncio.gather(
            *(hasty.get_recommendations(campaign_arn=ARN) for _ in range(5)), return_exceptions=True
        )
        assert {type(error) for error in errors} == {DeadlineExceededError}
        assert server.count == 1
        assert not holding.done()
        holding.cancel()
        assert (await mine.get_recommendations(campaign_arn=ARN)).item_ids == ("i1",)


@pytest.mark.direct
@pytest.mark.parametrize("end", ["cancel", "deadline", "read time-out"])
async def test_a_call_that_ends_early_gives_its_connection_back(end: str, ours: Any, server: Any) -> None:
    config = Config(max_pool_connections=2, read_timeout=0.1 if end == "read time-out" else 30)
    async with ours(config=config, deadline=None, retry={"attempts": 1}) as mine:
        for _ in range(3):
            server.script("hang", "hang")
            started = server.count + 2
            hurried = mine.with_options(deadline=0.1) if end == "deadline" else mine
            calls = [asyncio.ensure_future(hurried.get_recommendations(campaign_arn=ARN)) for _ in range(2)]
            while server.count < started:
                await asyncio.sleep(0.005)
            if end == "cancel":
                for call in calls:
                    call.cancel()
            ends = await asyncio.gather(*calls, return_exceptions=True)
            kinds = {"cancel": asyncio.CancelledError, "deadline": DeadlineExceededError}
            assert {type(error) for error in ends} == {kinds.get(end, TransportError)}
        answers = await asyncio.gather(*(mine.get_recommendations(campaign_arn=ARN) for _ in range(4)))
        assert len(answers) == 4
        connections = mine._transport._backend._streams._connections
        assert len(connections._open) == len(connections._idle) <= 2


async def test_connections_are_kept_and_reused(ours: Any, server: Any) -> None:
    async with ours() as mine:
        for _ in range(5):
            await mine.get_recommendations(campaign_arn=ARN)
    assert len(server._connections) == 1


async def test_a_cancelled_answer_is_not_the_next_ones(ours: Any, server: Any) -> None:
    late = threading.Event()

    def too_late(_: Any) -> Any:
        late.wait(5)
        return {"itemList": [{"itemId": "XX"}]}

    server.script(too_late)
    async with ours(deadline=None, config=Config(max_pool_connections=1, read_timeout=30)) as mine:
        call = asyncio.ensure_future(mine.get_recommendations(campaign_arn=ARN))
        while server.count < 1:
            await asyncio.sleep(0.005)
        call.cancel()
        await asyncio.wait([call])
        late.set()
        for _ in range(5):
            assert (await mine.get_recommendations(campaign_arn=ARN)).item_ids == ("i1",)


# Event loops


@pytest.mark.direct
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_in_another_event_loop_other_connections_are_opened(ours: Any, server: Any) -> None:
    mine = ours()

    async def ask() -> Any:
        return (await mine.get_recommendations(campaign_arn=ARN)).item_ids

    assert asyncio.run(ask()) == asyncio.run(ask()) == ("i1",)
    assert len(server._connections) == 2
    asyncio.run(mine.aclose())
    with pytest.raises(ConfigurationError, match="closed"):
        asyncio.run(ask())
    gc.collect()  # connections of a loop that is over cannot be closed; Python warns of them


async def test_two_event_loops_at_once_are_told_to_build_one_runtime_each(ours: Any) -> None:
    async with ours() as mine:
        await mine.get_recommendations(campaign_arn=ARN)

        def elsewhere() -> Any:
            async def ask() -> Any:
                return await mine.get_recommendations(campaign_arn=ARN)

            return asyncio.run(ask())

        with pytest.raises(ConfigurationError, match="event loop"):
            await asyncio.to_thread(elsewhere)
        assert (await mine.get_recommendations(campaign_arn=ARN)).item_ids == ("i1",)


def test_the_blocking_client_beside_it_is_as_ever(session: Any, server: Any) -> None:
    """When aiobotocore is imported it changes what botocore retries; ours retries nothing."""
    server.always(429)
    with PersonalizeRuntime(session=session, endpoint_url=server.url, retry=RetryPolicy(1)) as blocking:
        with pytest.raises(ThrottlingError):
            blocking.get_recommendations(campaign_arn=ARN)
    assert server.count == 1
    assert boto3.DEFAULT_SESSION is None

"""Whom an async client asks, and as whom: as for the blocking client, and without waiting for anything."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import botocore.session
import pytest

pytest.importorskip("aiobotocore", reason='aiobotocore is not installed: pip install "personalize-rt[aio]"')
from aiobotocore.credentials import AioCredentials, AioRefreshableCredentials
from aiobotocore.session import AioSession, get_session

from personalize_rt import Cache, PersonalizeRuntime, RetryPolicy
from personalize_rt.aio import AsyncPersonalizeRuntime
from personalize_rt.transport.asynchronous_in_process import InProcessSession
from personalize_rt.transport.origin import origin_of

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
PROFILES = """
[profile base]
aws_access_key_id = AKIABASE
aws_secret_access_key = secret

[profile one]
role_arn = arn:aws:iam::123456789012:role/one
source_profile = base

[profile other]
role_arn = arn:aws:iam::123456789012:role/other
source_profile = base
"""


def session_with(credentials: Any) -> Any:
    session = get_session()
    session._credentials = credentials
    return session


def runtime(server: Any, session: Any, **options: Any) -> AsyncPersonalizeRuntime:
    target = {"session": session, "region_name": "eu-west-1", "endpoint_url": server.url}
    return AsyncPersonalizeRuntime(retry=RetryPolicy(1), deadline=20, **target, **options)


async def source(runtime: Any) -> str:
    return str((await runtime.get_recommendations(campaign_arn=ARN)).info.source)


async def test_clients_with_other_keys_share_a_cache_but_no_answer(server: Any) -> None:
    cache = Cache()
    sources = []
    for key in ("AKIA1", "AKIA2", "AKIA1"):
        async with runtime(server, session_with(AioCredentials(key, "secret")), cache=cache) as made:
            sources.append(await source(made))
    assert sources == ["service", "service", "cache"]


async def test_an_async_client_and_a_blocking_one_with_the_same_keys_share_answers(server: Any) -> None:
    cache = Cache()
    async with runtime(server, session_with(AioCredentials("AKIA1", "secret")), cache=cache) as made:
        assert await source(made) == "service"
    blocking = botocore.session.get_session()
    blocking.set_credentials("AKIA1", "secret")
    target = {"session": blocking, "region_name": "eu-west-1", "endpoint_url": server.url}
    with PersonalizeRuntime(cache=cache, **target) as theirs:
        assert theirs.get_recommendations(campaign_arn=ARN).info.source == "cache"


async def test_a_refresh_does_not_empty_the_cache(server: Any) -> None:
    fetched: list[int] = []

    async def fetch() -> dict[str, Any]:
        fetched.append(len(fetched))
        return {
            "access_key": f"ASIA{len(fetched)}",
            "secret_key": "secret",
            "token": "token",
            "expiry_time": "2100-01-01T00:00:00Z" if len(fetched) > 1 else "2020-01-01T00:00:00Z",
        }

    credentials = AioRefreshableCredentials.create_from_metadata(await fetch(), fetch, "of our own")
    async with runtime(server, session_with(credentials), cache=Cache(ttl=1000)) as made:
        assert await source(made) == "service"  # signed with keys that had to be fetched
        assert (await credentials.get_frozen_credentials()).access_key == "ASIA2"
        assert await source(made) == "cache"
    assert fetched == [0, 1]


async def test_an_assumed_role_is_known_as_it_is_to_the_blocking_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config"
    config.write_text(PROFILES)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)

    async def origin(profile: str) -> str:
        session = AioSession(profile=profile)
        async with session.create_client("personalize-runtime", region_name="eu-west-1") as client:
            return origin_of(client)

    blocking = botocore.session.Session(profile="one").create_client("personalize-runtime", region_name="eu-west-1")
    assert await origin("one") == origin_of(blocking) != await origin("other")
    blocking.close()


def test_an_embedded_service_is_the_same_one_in_the_next_event_loop() -> None:
    def answering(item: bytes) -> InProcessSession:
        return InProcessSession(lambda *_: (200, {}, b'{"itemList": [{"itemId": "%b"}]}' % item))

    cache = Cache()
    one, other = (AsyncPersonalizeRuntime(session=answering(item), cache=cache) for item in (b"a", b"b"))

    async def ask(made: AsyncPersonalizeRuntime) -> tuple[str, ...]:
        answer = await made.get_recommendations(campaign_arn=ARN)
        return (*answer.item_ids, answer.info.source)

    asked = [asyncio.run(ask(made)) for made in (one, other, one, other)]
    assert asked == [("a", "service"), ("b", "service"), ("a", "cache"), ("b", "cache")]

"""Credentials that cannot be fetched or refreshed, on the event loop: real providers, servers on 127.0.0.1."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason='aiobotocore is not installed: pip install "personalize-rt[aio]"')
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from personalize_rt import (
    ConfigurationError,
    DeadlineExceededError,
    Hedge,
    PersonalizeError,
    PopularItemsFallback,
    RetryPolicy,
    TransportError,
)
from personalize_rt.aio import AsyncPersonalizeRuntime

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
GUARD = 20.0  # seconds: far above what a call may take here, far below what the giver of credentials takes


@pytest.fixture
def ours(server: Any) -> Callable[..., AsyncPersonalizeRuntime]:
    """Makes runtimes that find their credentials in the environment."""

    def make(**options: Any) -> AsyncPersonalizeRuntime:
        defaults = {"endpoint_url": server.url, "retry": RetryPolicy(base=0), "deadline": GUARD}
        return AsyncPersonalizeRuntime(**{**defaults, **options})

    return make


async def ask(runtime: Any) -> Any:
    return await runtime.get_recommendations(campaign_arn=ARN)


async def error_of(call: Any, secret: str) -> PersonalizeError:
    with pytest.raises(PersonalizeError) as caught:
        await call
    error = caught.value
    assert error.__cause__ is error.__context__ is None
    assert secret not in str(error) + repr(error) + repr(vars(error))
    return error


def access_key(server: Any) -> str:
    authorization: str = server.received[-1].headers["authorization"]
    return authorization.partition("Credential=")[2].partition("/")[0]


@pytest.mark.parametrize("door", ["connect", "call"])
@pytest.mark.parametrize(
    ("provider", "outcome", "told"),
    [
        ("assume-role", ("AccessDenied", 403, "not authorized"), "sts:AssumeRole failed with AccessDenied"),
        ("assume-role-with-web-identity", ("InvalidIdentityToken", 400, ""), "sts:AssumeRoleWithWebIdentity failed"),
        ("container-role", 403, "HTTP 403"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_lasting_failure_names_the_provider_the_operation_and_what_to_do(
    door: str, provider: str, outcome: Any, told: str, ours: Any, giver: Any, server: Any, credentials_of: Any
) -> None:
    giver.repeated = outcome
    credentials_of(provider)
    async with ours(fallback=PopularItemsFallback(["popular"])) as runtime:
        error = await error_of(runtime.connect() if door == "connect" else ask(runtime), giver.SECRET)
    assert isinstance(error, ConfigurationError)
    assert provider in str(error)
    assert told in str(error)
    assert giver.count == (3 if provider == "container-role" else 1)
    assert server.count == 0


async def test_a_token_file_that_is_not_mounted_is_told(ours: Any, credentials_of: Any, monkeypatch: Any) -> None:
    credentials_of("assume-role-with-web-identity")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/not/mounted/token")
    async with ours() as runtime:
        for call in (runtime.connect(), ask(runtime)):
            error = await error_of(call, "/not/mounted")
            assert isinstance(error, ConfigurationError)
            assert "AWS_WEB_IDENTITY_TOKEN_FILE or the profile names is not there" in str(error)


async def test_what_a_program_says_is_not_repeated(ours: Any, giver: Any, credentials_of: Any, tmp_path: Path) -> None:
    (tmp_path / "give.py").write_text(f"import sys; sys.exit('{giver.SECRET}')")
    credentials_of(f"{sys.executable} {tmp_path / 'give.py'}")
    async with ours() as runtime:
        error = await error_of(runtime.connect(), giver.SECRET)
    assert isinstance(error, ConfigurationError)
    assert "the program of credential_process failed" in str(error)


@pytest.mark.parametrize(
    ("provider", "outcome", "told"),
    [
        ("assume-role", ("Throttling", 400, ""), "sts:AssumeRole failed with Throttling (HTTP 400"),
        ("assume-role", "close", "sts:AssumeRole got no answer from 127.0.0.1"),
        ("container-role", 429, "HTTP 429"),
        ("iam-role", 503, "the instance metadata service gave none"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_passing_failure_is_retried_and_the_fallback_is_asked(
    provider: str, outcome: Any, told: str, ours: Any, giver: Any, server: Any, credentials_of: Any
) -> None:
    giver.repeated = outcome
    credentials_of(provider)
    async with ours() as runtime:
        error = await error_of(runtime.connect(), giver.SECRET)
        assert isinstance(error, TransportError)
        once = giver.count
        error = await error_of(ask(runtime), giver.SECRET)
        assert isinstance(error, TransportError)
        assert (error.attempts, error.is_retry_safe) == (0, True)
        assert provider in str(error)
        assert told in str(error)
        assert giver.count == once * 4
        answer = await ask(runtime.with_options(fallback=PopularItemsFallback(["popular"])))
        assert (answer.item_ids, answer.degraded, answer.info.attempts) == (("popular",), True, 0)
        assert server.count == 0
        giver.repeated = None  # it passed
        assert (await ask(runtime)).info.attempts == 1
        assert access_key(server) == giver.key()


@asynccontextmanager
async def loop_is_watched() -> AsyncIterator[list[float]]:
    """The longest time, in seconds, for which the loop came round to nobody."""
    longest = [0.0]

    async def watch() -> None:
        while True:
            start = time.monotonic()
            await asyncio.sleep(0.002)
            longest[0] = max(longest[0], time.monotonic() - start)

    watching = asyncio.create_task(watch())
    yield longest
    watching.cancel()


@pytest.mark.parametrize("hedge", [None, Hedge(after=0.02, percent=100)], ids=["", "hedged"])
@pytest.mark.parametrize("provider", ["assume-role", "container-role", "custom-process"])
async def test_the_deadline_holds_while_credentials_are_fetched_and_the_loop_goes_on(
    provider: str, hedge: Any, ours: Any, giver: Any, server: Any, credentials_of: Any, tmp_path: Path
) -> None:
    (tmp_path / "give.py").write_text("import time; time.sleep(60)")
    giver.repeated = "hang"
    credentials_of(f"{sys.executable} {tmp_path / 'give.py'}" if provider == "custom-process" else provider)
    async with ours(deadline=0.2, hedge=hedge) as runtime, loop_is_watched() as longest:
        for _ in range(2):
            start = time.monotonic()
            with pytest.raises(DeadlineExceededError) as caught:
                await ask(runtime)
            assert time.monotonic() - start < GUARD / 2
            assert caught.value.attempts == 0
            assert "were still being fetched, and nothing was sent" in str(caught.value)
        answer = await ask(runtime.with_options(fallback=PopularItemsFallback(["popular"])))
        assert (answer.item_ids, answer.info.attempts) == (("popular",), 0)
    assert longest[0] < GUARD / 4  # the giver takes a minute
    assert server.count == 0


async def test_a_fetch_outlives_the_calls_that_wait_for_it(
    ours: Any, giver: Any, server: Any, credentials_of: Any
) -> None:
    """Else there would never be credentials where fetching takes longer than a call may."""
    answering = threading.Event()
    giver.script(answering)
    credentials_of("assume-role")
    async with ours(deadline=0.05) as runtime:
        for _ in range(3):
            with pytest.raises(DeadlineExceededError):
                await ask(runtime)
        answering.set()
        await asyncio.gather(*(ask(runtime.with_options(deadline=GUARD)) for _ in range(8)))
    assert (giver.count, access_key(server), server.count) == (1, giver.key(), 8)


async def test_while_credentials_last_a_refresh_holds_up_nobody(
    ours: Any, giver: Any, server: Any, credentials_of: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.TIMEOUT_SECONDS", 60)
    credentials_of("container-role")
    giver.lifetime = 12 * 60  # botocore refreshes from 15 minutes before the end, and insists on it from 10
    answering = threading.Event()
    giver.script(None, answering)
    async with ours() as runtime:
        await runtime.connect()
        giver.lifetime = 3600
        for _ in range(5):
            await ask(runtime)
            assert access_key(server) == "ASIA1"
        answering.set()
        until = time.monotonic() + GUARD
        while access_key(server) == "ASIA1" and time.monotonic() < until:
            await ask(runtime)
        assert (access_key(server), giver.count) == ("ASIA2", 2)


async def test_closing_ends_a_fetch_and_tells_those_who_wait(ours: Any, giver: Any, credentials_of: Any) -> None:
    giver.repeated = "hang"
    credentials_of("assume-role")
    runtime = ours(retry=RetryPolicy(1))
    waiting = asyncio.create_task(ask(runtime))
    while giver.count == 0:
        await asyncio.sleep(0.001)
    async with asyncio.timeout(GUARD / 2):
        await runtime.aclose()
        with pytest.raises(ConfigurationError, match="closed"):
            await waiting


@pytest.mark.parametrize("outcome", [("Throttling", 400, ""), ("AccessDenied", 403, "")], ids=["passing", "lasting"])
async def test_a_client_of_a_caller_is_told_the_same(
    outcome: Any, giver: Any, server: Any, credentials_of: Any
) -> None:
    giver.repeated = outcome
    credentials_of("assume-role")
    once = AioConfig(retries={"total_max_attempts": 1})
    async with get_session().create_client("personalize-runtime", endpoint_url=server.url, config=once) as client:
        error = await error_of(ask(AsyncPersonalizeRuntime(client, retry=RetryPolicy(base=0))), giver.SECRET)
    assert isinstance(error, TransportError if outcome[0] == "Throttling" else ConfigurationError)
    assert "no credentials from assume-role" in str(error)
    assert getattr(error, "attempts", 0) == 0
    assert giver.count == (3 if outcome[0] == "Throttling" else 1)


async def test_another_botocore_fetches_credentials_itself(
    ours: Any, giver: Any, server: Any, credentials_of: Any, monkeypatch: Any
) -> None:
    def lacks(*_: Any) -> None:
        raise AttributeError("_request_signer")

    monkeypatch.setattr("personalize_rt.transport.credentials.sign_with", lacks)
    credentials_of("container-role")
    async with ours() as runtime:
        await ask(runtime)
    assert access_key(server) == giver.key()

"""Secure connections that fail on the event loop: the reason is told, whichever way the error came."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason='aiobotocore is not installed: pip install "personalize-rt[aio]"')
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from personalize_rt import ConfigurationError, PersonalizeError, RetryPolicy, TransportError
from personalize_rt.aio import AsyncPersonalizeRuntime

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
QUICK = RetryPolicy(base=0)


async def told(runtime: AsyncPersonalizeRuntime, words: tuple[str, ...]) -> PersonalizeError:
    with pytest.raises(PersonalizeError) as caught:
        await runtime.get_recommendations(campaign_arn=ARN, user_id="ada@example.org")
    error = caught.value
    for word in words:
        assert word in str(error)
    assert "ada@example.org" not in str(error) + repr(vars(error))
    assert error.__cause__ is error.__context__ is None
    return error


def is_of_tls(error: PersonalizeError) -> None:
    assert isinstance(error, TransportError)
    assert "no secure connection to " in str(error)
    assert (error.phase, error.attempts, error.is_retry_safe) == ("tls", 1, False)


async def test_the_reason_is_told(kind_of_trouble: str, tls_trouble: Callable[..., Any], tmp_path: Any) -> None:
    url, words = tls_trouble(kind_of_trouble)
    async with AsyncPersonalizeRuntime(region_name="eu-west-1", endpoint_url=url, retry=QUICK) as runtime:
        error = await told(runtime, words)
    if "CA file" in kind_of_trouble:  # found when certificates are loaded: by the client itself, or by aiobotocore
        found_at_once = os.environ.get("PERSONALIZE_RT_SEND", "direct") == "direct"
        assert type(error) is (ConfigurationError if found_at_once else TransportError)
        assert str(tmp_path) not in str(error)
    else:
        is_of_tls(error)


async def test_the_reason_is_told_for_a_client_of_a_caller(
    kind_of_trouble: str, tls_trouble: Callable[..., Any]
) -> None:
    url, words = tls_trouble(kind_of_trouble)
    once = AioConfig(retries={"total_max_attempts": 1})
    made = get_session().create_client("personalize-runtime", region_name="eu-west-1", endpoint_url=url, config=once)
    async with made as client:
        is_of_tls(await told(AsyncPersonalizeRuntime(client, retry=QUICK), words))

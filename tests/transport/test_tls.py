"""Secure connections that fail: the reason is told, whichever way the error came."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from personalize_rt import PersonalizeRuntime, RetryPolicy, TransportError

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"


def told(runtime: PersonalizeRuntime, url: str, words: tuple[str, ...]) -> TransportError:
    with pytest.raises(TransportError) as caught:
        runtime.get_recommendations(campaign_arn=ARN, user_id="ada@example.org")
    error = caught.value
    assert "no secure connection to https://" in str(error)
    for word in words:
        assert word in str(error)
    assert "ada@example.org" not in str(error) + repr(vars(error))
    assert (error.phase, error.attempts, error.is_retry_safe) == ("tls", 1, False)
    assert error.__cause__ is error.__context__ is None
    return error


def test_the_reason_is_told(kind_of_trouble: str, tls_trouble: Callable[..., Any]) -> None:
    url, words = tls_trouble(kind_of_trouble)
    with PersonalizeRuntime(region_name="eu-west-1", endpoint_url=url, retry=RetryPolicy(base=0)) as runtime:
        told(runtime, url, words)


def test_the_reason_is_told_for_a_client_of_a_caller(kind_of_trouble: str, tls_trouble: Callable[..., Any]) -> None:
    url, words = tls_trouble(kind_of_trouble)
    once = Config(retries={"total_max_attempts": 1})
    client = boto3.client("personalize-runtime", region_name="eu-west-1", endpoint_url=url, config=once)
    told(PersonalizeRuntime(client, retry=RetryPolicy(base=0)), url, words)
    client.close()


def test_no_path_is_told(tls_trouble: Callable[..., Any], tmp_path: Any) -> None:
    url, words = tls_trouble("missing CA file")
    with PersonalizeRuntime(region_name="eu-west-1", endpoint_url=url) as runtime:
        assert str(tmp_path) not in str(told(runtime, url, words))


def test_a_ca_bundle_of_the_profile_that_is_not_there_is_told(
    tls_trouble: Callable[..., Any], monkeypatch: Any, tmp_path: Any
) -> None:
    url, _ = tls_trouble("unknown issuer")
    (tmp_path / "config").write_text(f"[default]\nca_bundle = {tmp_path / 'nowhere.pem'}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with PersonalizeRuntime(region_name="eu-west-1", endpoint_url=url) as runtime:
        told(runtime, url, ("ca_bundle of the profile", "is not there", "client_cert"))


def test_what_a_caller_is_handling_is_no_reason(runtime: Any, server: Any) -> None:
    server.always("close")
    mine = runtime(retry={"attempts": 1})
    try:
        Path("/no/such/file").read_text()
    except FileNotFoundError:
        with pytest.raises(TransportError) as caught:
            mine.get_recommendations(campaign_arn=ARN)
    assert caught.value.phase == "read"

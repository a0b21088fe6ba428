"""Clients that we build: our defaults, the caller's settings, one layer of retries whatever the environment says."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from personalize_rt import (
    ConfigurationError,
    PersonalizeRuntime,
    RetryPolicy,
    ServerError,
    ThrottlingError,
    ValidationError,
    __version__,
)

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"


def settings_of(runtime: Any) -> Any:
    """The botocore settings of the client that a runtime built."""
    return runtime._transport.client().meta.config


# Defaults


def test_the_defaults_of_a_client_that_we_build(runtime: Any) -> None:
    config = settings_of(runtime())
    assert (config.connect_timeout, config.read_timeout) == (0.5, 1.0)
    assert config.tcp_keepalive is True
    assert config.max_pool_connections == 50
    assert config.retries["total_max_attempts"] == 1
    assert config.retries["mode"] == "standard"
    assert f"personalize-rt/{__version__}" in config.user_agent


def test_a_client_that_we_build_is_what_boto3_returns(runtime: Any, session: Any) -> None:
    client = runtime()._transport.client()
    assert type(client).__name__ == type(session.client("personalize-runtime")).__name__ == "PersonalizeRuntime"
    assert client.meta.service_model.service_name == "personalize-runtime"


def test_the_service_is_told_who_asks(runtime: Any, server: Any) -> None:
    runtime().get_recommendations(campaign_arn=ARN)
    runtime(config=Config(user_agent_extra="shop/7")).get_recommendations(campaign_arn=ARN)
    ours, with_theirs = (received.headers["user-agent"] for received in server.received)
    assert f"personalize-rt/{__version__}" in ours
    assert "Boto3/" in ours
    assert f"personalize-rt/{__version__}" in with_theirs
    assert "shop/7" in with_theirs


def test_a_request_is_signed_for_personalize(runtime: Any, server: Any) -> None:
    runtime().get_recommendations(campaign_arn=ARN)
    assert "/eu-west-1/personalize/aws4_request" in server.received[0].headers["authorization"]


# The caller's settings


def test_config_is_merged_and_wins(runtime: Any) -> None:
    config = settings_of(runtime(config=Config(read_timeout=7, max_pool_connections=3, user_agent_appid="shop")))
    assert (config.read_timeout, config.max_pool_connections, config.user_agent_appid) == (7, 3, "shop")
    assert (config.connect_timeout, config.tcp_keepalive) == (0.5, True)
    assert config.retries["total_max_attempts"] == 1
    assert f"personalize-rt/{__version__}" in config.user_agent


def test_config_is_not_changed_by_us(runtime: Any) -> None:
    config = Config(read_timeout=7, user_agent_extra="shop/7")
    before = dict(vars(config))
    settings_of(runtime(config=config))
    assert vars(config) == before


@pytest.mark.parametrize("retries", [{"max_attempts": 3}, {"total_max_attempts": 1}, {"mode": "adaptive"}], ids=repr)
def test_retries_in_config_are_refused_with_advice(retries: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="RetryPolicy") as caught:
        PersonalizeRuntime(region_name="eu-west-1", config=Config(retries=retries))
    assert caught.value.parameter == "config"


def test_region_and_endpoint_are_honoured(runtime: Any, server: Any) -> None:
    elsewhere = runtime(region_name="ap-south-1")
    assert settings_of(elsewhere).region_name == "ap-south-1"
    elsewhere.get_recommendations(campaign_arn=ARN)
    assert "/ap-south-1/personalize/" in server.received[0].headers["authorization"]
    by_region = PersonalizeRuntime(region_name="ap-south-1")
    url = by_region._transport.client().meta.endpoint_url
    assert url == "https://personalize-runtime.ap-south-1.amazonaws.com"
    by_region.close()


def test_an_endpoint_of_the_environment_is_honoured(runtime: Any, server: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_PERSONALIZE_RUNTIME", server.url)
    PersonalizeRuntime(region_name="eu-west-1").get_recommendations(campaign_arn=ARN)
    assert server.count == 1


@pytest.mark.parametrize("kind", [boto3.Session, botocore.session.Session], ids=["boto3", "botocore"])
def test_a_session_is_honoured(kind: Any, runtime: Any, server: Any) -> None:
    mine = kind()
    if kind is boto3.Session:
        mine = boto3.Session(region_name="us-east-2", aws_access_key_id="mine", aws_secret_access_key="mine")
    else:
        mine.set_credentials("mine", "mine")
        mine.set_config_variable("region", "us-east-2")
    runtime(session=mine).get_recommendations(campaign_arn=ARN)
    assert "Credential=mine/" in server.received[0].headers["authorization"]
    assert "/us-east-2/personalize/" in server.received[0].headers["authorization"]


def test_the_default_session_of_boto3_is_honoured(runtime: Any, server: Any) -> None:
    later = runtime(session=None)
    boto3.setup_default_session(region_name="us-west-2", aws_access_key_id="defaults", aws_secret_access_key="defaults")
    later.get_recommendations(campaign_arn=ARN)
    assert "Credential=defaults/" in server.received[0].headers["authorization"]
    assert "/us-west-2/personalize/" in server.received[0].headers["authorization"]


def test_without_a_default_session_none_is_left_behind(runtime: Any, server: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    runtime(session=None).get_recommendations(campaign_arn=ARN)
    assert "/eu-central-1/personalize/" in server.received[0].headers["authorization"]
    assert boto3.DEFAULT_SESSION is None


@pytest.mark.parametrize(
    "option", [{"region_name": "eu-west-1"}, {"session": object()}, {"endpoint_url": "http://e"}, {"config": Config()}]
)
def test_a_client_and_how_to_build_one_do_not_go_together(option: dict[str, Any], plain_client: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        PersonalizeRuntime(client=plain_client(), **option)
    assert [caught.value.parameter] == list(option)
    assert next(iter(option)) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("session", object(), "not a session such as boto3.Session()"),
        ("session", boto3.Session, "not a session such as boto3.Session()"),
        ("session", "default", "not a session such as boto3.Session()"),
        ("config", {"read_timeout": 3}, "Config(read_timeout=…)"),
        ("config", 5, "not a botocore.config.Config"),
        ("region_name", 5, "not a str"),
        ("endpoint_url", b"http://127.0.0.1", "not a str"),
    ],
)
def test_what_no_client_can_be_built_with_is_refused_at_once(name: str, value: Any, told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        PersonalizeRuntime(**{name: value})
    assert caught.value.parameter == name
    assert told in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "file:///tmp/x", "127.0.0.1:80"])
@pytest.mark.parametrize("place", ["argument", "environment"])
def test_an_endpoint_that_is_not_http_is_a_configuration_error(url: str, place: str, monkeypatch: Any) -> None:
    given = {"endpoint_url": url} if place == "argument" else {}
    if place == "environment":
        monkeypatch.setenv("AWS_ENDPOINT_URL_PERSONALIZE_RUNTIME", url)
    error = refused(lambda: PersonalizeRuntime(region_name="eu-west-1", **given).connect())
    assert url in str(error)


# N attempts are N requests


def environments() -> Iterator[Any]:
    for mode in (None, "legacy", "standard", "adaptive"):
        for most in (None, "1", "7"):
            values = {"AWS_RETRY_MODE": mode, "AWS_MAX_ATTEMPTS": most}
            yield pytest.param({name: value for name, value in values.items() if value}, id=f"{mode}-{most}")
    yield pytest.param({"AWS_DEFAULTS_MODE": "in-region"}, id="defaults mode")


@pytest.fixture
def counted(server: Any, fake_time: Any, monkeypatch: Any) -> Iterator[Callable[..., int]]:
    """Requests on the wire of a call that always fails, from a session that the environment shaped."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    made: list[PersonalizeRuntime] = []

    def count(attempts: int, outcome: Any, kind: type[Exception]) -> int:
        if not made:
            made.append(PersonalizeRuntime(endpoint_url=server.url))
        policy = RetryPolicy(attempts, clock=fake_time.clock, sleep=fake_time.sleep)
        server.reset()
        server.always(outcome)
        with pytest.raises(kind) as caught:
            made[0].with_options(retry=policy, deadline=None).get_recommendations(campaign_arn=ARN)
        assert caught.value.attempts == server.count  # type: ignore[attr-defined]
        return int(server.count)

    yield count
    for runtime in made:
        runtime.close()


@pytest.mark.parametrize("environment", list(environments()))
def test_n_attempts_are_n_requests_whatever_the_environment_says(
    environment: dict[str, str], counted: Any, server: Any, monkeypatch: Any
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for attempts in (1, 2, 3, 4):
        assert counted(attempts, 503, ServerError) == attempts
    assert counted(3, 429, ThrottlingError) == 3
    assert counted(3, server.failure(400, "ThrottlingException"), ThrottlingError) == 3
    assert counted(4, 400, Exception) == 1
    assert counted(4, 403, Exception) == 1


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
def test_n_attempts_are_n_requests_whatever_the_profile_says(
    mode: str, counted: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    profile = tmp_path / "config"
    profile.write_text(f"[default]\nretry_mode = {mode}\nmax_attempts = 6\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(profile))
    assert counted(1, 503, ServerError) == 1
    assert counted(3, 503, ServerError) == 3


def test_n_attempts_are_n_requests_whatever_the_session_says(server: Any, fake_time: Any) -> None:
    session = botocore.session.Session()
    session.set_credentials("mine", "mine")
    session.set_default_client_config(Config(retries={"max_attempts": 4, "mode": "adaptive"}))
    policy = RetryPolicy(3, clock=fake_time.clock, sleep=fake_time.sleep)
    server.always(503)
    with (
        PersonalizeRuntime(
            session=session, region_name="eu-west-1", endpoint_url=server.url, retry=policy, deadline=None
        ) as runtime,
        pytest.raises(ServerError),
    ):
        runtime.get_recommendations(campaign_arn=ARN)
    assert server.count == 3


def test_nobody_else_waits_in_adaptive_mode(runtime: Any, server: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("AWS_RETRY_MODE", "adaptive")
    session = boto3.Session(region_name="eu-west-1", aws_access_key_id="t", aws_secret_access_key="t")
    ours = runtime(session=session, retry={"attempts": 2}, deadline=None)

    def no_wait(*_: Any, **__: Any) -> None:
        pytest.fail("botocore waited for its own rate limit")

    monkeypatch.setattr("time.sleep", no_wait)
    monkeypatch.setattr("botocore.retries.bucket.TokenBucket.acquire", no_wait)
    server.always(429)
    for _ in range(10):
        with pytest.raises(ThrottlingError):
            ours.get_recommendations(campaign_arn=ARN)
    assert server.count == 20


# What configuration lacks


@pytest.fixture
def no_account(monkeypatch: Any, tmp_path: Path) -> None:
    """A machine on which nobody configured AWS."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def refused(call: Callable[[], Any]) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        call()
    assert isinstance(caught.value, BotoCoreError)
    assert caught.value.__cause__ is caught.value.__context__ is None
    return caught.value


@pytest.mark.usefixtures("no_account")
@pytest.mark.parametrize("door", ["connect", "call"])
class TestWithoutConfiguration:
    """Each lack is told at ``connect()`` as at the first call."""

    def told(self, door: str, runtime: PersonalizeRuntime) -> str:
        call = runtime.connect if door == "connect" else lambda: runtime.get_recommendations(campaign_arn=ARN)
        message = str(refused(call))
        runtime.close()
        return message

    def test_no_region(self, door: str) -> None:
        message = self.told(door, PersonalizeRuntime())
        assert "region_name" in message
        assert "AWS_DEFAULT_REGION" in message

    def test_no_credentials(self, door: str) -> None:
        message = self.told(door, PersonalizeRuntime(region_name="eu-west-1", endpoint_url="http://127.0.0.1:9"))
        assert "credentials" in message
        assert "AWS_ACCESS_KEY_ID" in message

    def test_half_of_the_credentials(self, door: str, monkeypatch: Any) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "half")
        assert "credentials" in self.told(door, PersonalizeRuntime(region_name="eu-west-1"))

    def test_no_such_profile(self, door: str, monkeypatch: Any) -> None:
        monkeypatch.setenv("AWS_PROFILE", "weekend")
        assert "weekend" in self.told(door, PersonalizeRuntime(region_name="eu-west-1"))

    @pytest.mark.parametrize("endpoint", ["nonsense", "http://", "http://[bad"])
    def test_an_endpoint_that_is_no_url(self, door: str, endpoint: str) -> None:
        self.told(door, PersonalizeRuntime(region_name="eu-west-1", endpoint_url=endpoint))

    def test_a_region_that_is_none(self, door: str) -> None:
        self.told(door, PersonalizeRuntime(region_name="eu west 1"))

    def test_a_config_file_that_does_not_parse(self, door: str, monkeypatch: Any, tmp_path: Path) -> None:
        (tmp_path / "config").write_text("[default\nregion")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        self.told(door, PersonalizeRuntime(region_name="eu-west-1"))

    def test_retry_settings_of_the_environment_that_do_not_parse(self, door: str, monkeypatch: Any) -> None:
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "many")
        self.told(door, PersonalizeRuntime(region_name="eu-west-1"))

    @pytest.mark.parametrize("token", [None, '{"accessToken": "t", "expiresAt": "2020-01-01T00:00:00Z"}'])
    def test_single_sign_on_that_expired(self, door: str, token: str | None, monkeypatch: Any, tmp_path: Path) -> None:
        import hashlib

        (tmp_path / "config").write_text(
            "[profile sso]\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = r\nregion = eu-west-1\n"
            "[sso-session s]\nsso_start_url = https://sso.invalid/start\nsso_region = eu-west-1\n"
        )
        if token is not None:
            cache = tmp_path / ".aws" / "sso" / "cache"
            cache.mkdir(parents=True)
            (cache / f"{hashlib.sha1(b's').hexdigest()}.json").write_text(token)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_PROFILE", "sso")
        monkeypatch.setattr("botocore.tokens.SSOTokenProvider._SSO_TOKEN_CACHE_DIR", str(tmp_path / ".aws/sso/cache"))
        assert "aws sso login" in self.told(door, PersonalizeRuntime())


@pytest.mark.usefixtures("no_account")
def test_requests_without_signature_need_no_credentials(server: Any) -> None:
    unsigned = Config(signature_version=UNSIGNED)
    with PersonalizeRuntime(region_name="eu-west-1", endpoint_url=server.url, config=unsigned) as runtime:
        runtime.connect().get_recommendations(campaign_arn=ARN)
    assert "authorization" not in server.received[0].headers


@pytest.mark.usefixtures("no_account")
def test_a_runtime_that_lacks_something_works_when_it_is_there(server: Any, monkeypatch: Any) -> None:
    with PersonalizeRuntime(endpoint_url=server.url) as runtime:
        refused(runtime.connect)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "later")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "later")
        assert runtime.connect() is runtime
        runtime.get_recommendations(campaign_arn=ARN)


def test_connect_sends_nothing_and_resolves_credentials(runtime: Any, server: Any, session: Any) -> None:
    ready = runtime()
    assert ready.connect() is ready
    assert server.count == 0
    assert runtime(
        client=session.client("personalize-runtime", config=Config(retries={"total_max_attempts": 1}))
    ).connect()


# Built once


def test_building_a_runtime_builds_no_client_and_imports_no_boto3() -> None:
    code = (
        "import sys; from personalize_rt import PersonalizeRuntime; runtime = PersonalizeRuntime(region_name='x'); "
        "runtime.campaign('arn:aws:personalize:eu-west-1:123456789012:campaign/a'); runtime.close(); "
        "assert 'boto3' not in sys.modules and 'tenacity' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


class CountingSession:
    """Wraps a session, and counts the clients that are asked of it."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.built = 0
        self.gate = threading.Barrier(32)

    def client(self, *args: Any, **options: Any) -> Any:
        self.built += 1
        threading.Event().wait(0.02)  # the others arrive meanwhile
        return self.session.client(*args, **options)


def test_32_threads_build_one_client(session: Any, server: Any) -> None:
    counting = CountingSession(session)
    with PersonalizeRuntime(session=counting, endpoint_url=server.url) as runtime, ThreadPoolExecutor(32) as pool:

        def call(n: int) -> str:
            counting.gate.wait()
            return runtime.get_recommendations(campaign_arn=ARN, user_id=f"u{n}").item_ids[0]

        assert list(pool.map(call, range(32))) == ["i1"] * 32
    assert counting.built == 1
    assert server.count == 32


FORK = """
import os, sys, threading
from personalize_rt import PersonalizeRuntime
arn = "arn:aws:personalize:eu-west-1:1:campaign/c"
runtime = PersonalizeRuntime(region_name="eu-west-1", endpoint_url=sys.argv[1])
copy = runtime.with_options(deadline=5.0)
runtime.get_recommendations(campaign_arn=arn)
mine = runtime._transport.client()
runtime._transport._lock.acquire()  # as if another thread were at it during the fork
child = os.fork()
if child == 0:
    runtime.get_recommendations(campaign_arn=arn)
    copy.get_recommendations(campaign_arn=arn)
    os._exit(3 if runtime._transport.client() is mine else 7)
runtime._transport._lock.release()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert runtime._transport.client() is mine
runtime.get_recommendations(campaign_arn=arn)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_builds_its_own_client(server: Any) -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORK, server.url], check=True, timeout=30)
    assert server.count == 4

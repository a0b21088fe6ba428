"""Credentials that cannot be fetched or refreshed: real sessions with real providers, against servers on 127.0.0.1."""

from __future__ import annotations

import datetime
import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError, HTTPClientError

from personalize_rt import (
    ConfigurationError,
    DeadlineExceededError,
    Hedge,
    InputOrderFallback,
    PersonalizeError,
    PersonalizeRuntime,
    PopularItemsFallback,
    RetryPolicy,
    TransportError,
)

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
GUARD = 20.0  # seconds: far above what a call may take here, far below what the giver of credentials takes
QUICK = RetryPolicy(base=0)


@pytest.fixture
def ours(server: Any) -> Iterator[Callable[..., PersonalizeRuntime]]:
    """Makes runtimes that find their credentials in the environment."""
    made: list[PersonalizeRuntime] = []

    def make(**options: Any) -> PersonalizeRuntime:
        made.append(PersonalizeRuntime(**{"endpoint_url": server.url, "retry": QUICK, "deadline": GUARD, **options}))
        return made[-1]

    yield make
    for runtime in made:
        runtime.close()


def ask(runtime: PersonalizeRuntime) -> Any:
    return runtime.get_recommendations(campaign_arn=ARN)


def error_of(call: Callable[[], Any], secret: str) -> PersonalizeError:
    """What a call raises: of our tree, without what came before it, and without a secret."""
    with pytest.raises(PersonalizeError) as caught:
        call()
    error = caught.value
    assert error.__cause__ is error.__context__ is None
    assert secret not in str(error) + repr(error) + repr(vars(error))
    return error


def access_key(server: Any) -> str:
    """The key that the last request was signed with."""
    found = re.search(r"Credential=([^/]+)/", server.received[-1].headers["authorization"])
    assert found is not None
    return found[1]


def program(tmp_path: Path, lines: str) -> str:
    """A credential_process."""
    (tmp_path / "give.py").write_text(lines)
    return f"{sys.executable} {tmp_path / 'give.py'}"


# What lasts


LASTING: list[tuple[str, Any, tuple[str, ...]]] = [
    (
        "assume-role",
        ("AccessDenied", 403, "User: arn:aws:iam::1:user/x is not authorized to perform: sts:AssumeRole"),
        ("sts:AssumeRole", "AccessDenied", "HTTP 403", "of-sts", "User: arn:aws:iam::1:user/x", "trust policy"),
    ),
    ("assume-role", ("ValidationError", 400, "Value 'SECRET' is too long"), ("sts:AssumeRole", "ValidationError")),
    (
        "assume-role-with-web-identity",
        ("InvalidIdentityToken", 400, "SECRET is no token"),
        ("sts:AssumeRoleWithWebIdentity", "InvalidIdentityToken", "AWS_ROLE_ARN"),
    ),
    ("assume-role-with-web-identity", ("ExpiredTokenException", 400, ""), ("ExpiredTokenException",)),
    ("container-role", 403, ("HTTP 403", "role of the task or pod")),
    ("container-role", b"<html>", ("did not answer with credentials",)),
    ("container-role", b"{}", ("KeyError", "line")),
]


@pytest.mark.parametrize("door", ["connect", "call"])
@pytest.mark.parametrize(("provider", "outcome", "told"), LASTING, ids=lambda value: str(value)[:40])
def test_a_lasting_failure_names_the_provider_the_operation_and_what_to_do(
    door: str,
    provider: str,
    outcome: Any,
    told: tuple[str, ...],
    ours: Any,
    giver: Any,
    server: Any,
    credentials_of: Any,
) -> None:
    if isinstance(outcome, tuple):
        outcome = (*outcome[:2], outcome[2].replace("SECRET", giver.SECRET))
    giver.repeated = outcome
    credentials_of(provider)
    runtime = ours(fallback=PopularItemsFallback(["popular"]))
    error = error_of(runtime.connect if door == "connect" else lambda: ask(runtime), giver.SECRET)
    assert isinstance(error, ConfigurationError)
    assert isinstance(error, BotoCoreError)
    assert not error.is_retry_safe
    for words in (provider, *told):
        assert words in str(error)
    assert "minProvisionedTPS" not in str(error)
    assert "GetRecommendations" not in str(error)
    # Nobody asked twice: botocore's own client tries three times for a container, and once here for STS.
    assert giver.count == (3 if provider == "container-role" and outcome != b"{}" else 1)
    assert server.count == 0


@pytest.mark.parametrize("door", ["connect", "call"])
@pytest.mark.parametrize(
    ("provider", "variable", "told"),
    [
        ("assume-role-with-web-identity", "AWS_WEB_IDENTITY_TOKEN_FILE", "is not there"),
        ("container-role", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "is not there"),
    ],
)
def test_a_token_file_that_is_not_mounted_is_told(
    door: str, provider: str, variable: str, told: str, ours: Any, credentials_of: Any, monkeypatch: Any
) -> None:
    credentials_of(provider)
    monkeypatch.setenv(variable, "/not/mounted/token")
    runtime = ours()
    error = error_of(runtime.connect if door == "connect" else lambda: ask(runtime), "/not/mounted")
    assert isinstance(error, ConfigurationError)
    for words in (provider, variable, told):
        assert words in str(error)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("import sys; sys.exit('SECRET')", "failed"),
        ("print('SECRET')", "JSON of version 1"),
        ("print('[1]')", "JSON of version 1"),
        ("print('{}')", "Unsupported version"),
        ("print('{\"Version\": 1}')", "AccessKeyId"),
        (
            'print(\'{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "SECRET", "SessionToken": "t", '
            '"Expiration": "2020-01-01T00:00:00Z"}\')',
            "expired already; check the clock",
        ),
    ],
)
def test_what_a_program_does_wrong_is_told_and_what_it_says_is_not(
    lines: str, told: str, ours: Any, giver: Any, credentials_of: Any, tmp_path: Path
) -> None:
    credentials_of(program(tmp_path, lines.replace("SECRET", giver.SECRET)).replace("SECRET", giver.SECRET))
    runtime = ours()
    for call in (runtime.connect, lambda: ask(runtime)):
        error = error_of(call, giver.SECRET)
        assert isinstance(error, ConfigurationError)
        if "clock" not in told:
            assert "credential_process" in str(error)
        assert "custom-process" in str(error)
        assert told in str(error)


def test_a_program_that_is_not_there_is_told(ours: Any, credentials_of: Any) -> None:
    credentials_of("/no/such/program")
    error = error_of(ours().connect, "/no/such")
    assert isinstance(error, ConfigurationError)
    assert "the program of credential_process is not there" in str(error)


def test_the_tls_reason_of_sts_is_told(ours: Any, giver: Any, credentials_of: Any, monkeypatch: Any) -> None:
    credentials_of("assume-role")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", giver.url.replace("http:", "https:"))
    error = error_of(ours().connect, giver.SECRET)
    assert isinstance(error, ConfigurationError)
    for words in ("sts:AssumeRole", "127.0.0.1", "does not speak TLS on this port"):
        assert words in str(error)


# What passes


PASSING: list[tuple[str, Any, str]] = [
    ("assume-role", ("Throttling", 400, "Rate exceeded"), "sts:AssumeRole failed with Throttling (HTTP 400"),
    ("assume-role", ("InternalFailure", 500, ""), "HTTP 500"),
    ("assume-role", "close", "sts:AssumeRole got no answer from 127.0.0.1"),
    ("assume-role-with-web-identity", ("IDPCommunicationError", 400, ""), "IDPCommunicationError"),
    ("assume-role-with-web-identity", ("ServiceUnavailable", 503, ""), "sts:AssumeRoleWithWebIdentity failed"),
    ("container-role", 429, "HTTP 429"),
    ("container-role", 500, "HTTP 500"),
    ("container-role", "close", "the credentials endpoint of the container did not answer"),
    ("iam-role", 503, "the instance metadata service gave none"),
]


@pytest.mark.parametrize(("provider", "outcome", "told"), PASSING, ids=lambda value: str(value)[:40])
def test_a_passing_failure_is_retried_and_the_fallback_is_asked(
    provider: str, outcome: Any, told: str, ours: Any, giver: Any, server: Any, credentials_of: Any
) -> None:
    giver.repeated = outcome
    credentials_of(provider)
    runtime = ours()
    error = error_of(runtime.connect, giver.SECRET)
    once = giver.count
    assert isinstance(error, TransportError)

    error = error_of(lambda: ask(runtime), giver.SECRET)
    assert isinstance(error, TransportError)
    assert isinstance(error, HTTPClientError)
    assert (error.attempts, error.is_retry_safe) == (0, True)
    for words in (provider, told, "Nothing was sent"):
        assert words in str(error)
    assert "minProvisionedTPS" not in str(error)
    assert giver.count == once * 4

    answer = ask(runtime.with_options(fallback=PopularItemsFallback(["popular"])))
    assert (answer.item_ids, answer.degraded, answer.info.attempts) == (("popular",), True, 0)
    assert isinstance(answer.cause, TransportError)
    assert server.count == 0

    giver.repeated = None  # it passed
    assert ask(runtime).info.attempts == 1
    assert access_key(server) == giver.key()


def test_a_retry_may_find_credentials(ours: Any, giver: Any, server: Any, credentials_of: Any) -> None:
    giver.script(("Throttling", 400, ""))
    credentials_of("assume-role")
    heard: list[Any] = []
    assert ask(ours(hooks=[heard.append])).info.attempts == 1
    assert (giver.asked, server.count) == (["AssumeRole"] * 2, 1)
    assert [event.attempt for event in heard if type(event).__name__ == "AttemptFailed"] == [0]


def test_a_metadata_service_that_is_slow_when_first_asked_is_no_lack_of_credentials(
    ours: Any, giver: Any, server: Any, credentials_of: Any, monkeypatch: Any
) -> None:
    credentials_of("iam-role")
    monkeypatch.setenv("AWS_METADATA_SERVICE_TIMEOUT", "1")
    answering = threading.Event()
    giver.repeated = answering
    runtime = ours(retry=RetryPolicy(1))
    error = error_of(lambda: ask(runtime), giver.SECRET)
    assert isinstance(error, TransportError)
    giver.repeated = None
    answering.set()
    ask(runtime)
    assert access_key(server) == giver.key()


def test_without_a_metadata_service_there_are_no_credentials(
    ours: Any, giver: Any, credentials_of: Any, monkeypatch: Any
) -> None:
    credentials_of("iam-role")
    giver.repeated = 404  # no role
    error = error_of(ours().connect, giver.SECRET)
    assert isinstance(error, ConfigurationError)
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
    assert str(error_of(ours().connect, giver.SECRET)) == str(error)
    assert "no AWS credentials" in str(error)


def test_credentials_that_come_later_are_found(ours: Any, server: Any, credentials_of: Any, monkeypatch: Any) -> None:
    credentials_of("container-role")
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    runtime = ours()
    assert isinstance(error_of(lambda: ask(runtime), "?"), ConfigurationError)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "later")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "later")
    ask(runtime)
    assert access_key(server) == "later"


# The deadline


def hangs(provider: str, giver: Any, credentials_of: Any, tmp_path: Path) -> None:
    giver.repeated = "hang"
    credentials_of(program(tmp_path, "import time; time.sleep(60)") if provider == "custom-process" else provider)


@pytest.mark.parametrize("hedge", [None, Hedge(after=0.02, percent=100)], ids=["", "hedged"])
@pytest.mark.parametrize("provider", ["assume-role", "container-role", "custom-process"])
def test_the_deadline_holds_while_credentials_are_fetched(
    provider: str, hedge: Any, ours: Any, giver: Any, server: Any, credentials_of: Any, tmp_path: Path
) -> None:
    hangs(provider, giver, credentials_of, tmp_path)
    runtime = ours(deadline=0.2, hedge=hedge)
    for _ in range(2):
        start = time.monotonic()
        with pytest.raises(DeadlineExceededError) as caught:
            ask(runtime)
        assert time.monotonic() - start < GUARD / 2
        assert caught.value.attempts == 0
        assert "after 0 attempts: " in str(caught.value)
        assert "were still being fetched, and nothing was sent" in str(caught.value)
    answer = ask(runtime.with_options(fallback=PopularItemsFallback(["popular"])))
    assert (answer.item_ids, answer.info.attempts) == (("popular",), 0)
    assert server.count == 0


def test_a_fetch_outlives_the_calls_that_wait_for_it(ours: Any, giver: Any, server: Any, credentials_of: Any) -> None:
    """Else there would never be credentials where fetching takes longer than a call may."""
    answering = threading.Event()
    giver.script(answering)
    credentials_of("assume-role")
    runtime = ours(deadline=0.05)
    for _ in range(3):
        with pytest.raises(DeadlineExceededError):
            ask(runtime)
    answering.set()
    ask(runtime.with_options(deadline=GUARD))
    assert (giver.count, access_key(server)) == (1, giver.key())


def test_there_is_one_fetch_at_a_time(ours: Any, giver: Any, server: Any, credentials_of: Any) -> None:
    answering = threading.Event()
    giver.script(answering)
    credentials_of("assume-role")
    runtime = ours()
    with ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(ask, runtime) for _ in range(16)]
        while giver.count == 0:
            time.sleep(0.001)
        answering.set()
        assert all(call.result(GUARD).item_ids == ("i1",) for call in calls)
    assert (giver.count, server.count) == (1, 16)


def test_all_who_wait_for_a_fetch_are_told_by_an_error_of_their_own(ours: Any, giver: Any, credentials_of: Any) -> None:
    giver.repeated = ("Throttling", 400, "")
    credentials_of("assume-role")
    runtime = ours(retry=RetryPolicy(1))
    with ThreadPoolExecutor(8) as pool:
        errors = [pool.submit(error_of, lambda: ask(runtime), giver.SECRET) for _ in range(8)]
        found = [error.result(GUARD) for error in errors]
    assert len({id(error) for error in found}) == 8
    assert {type(error) for error in found} == {TransportError}


def test_without_a_thread_credentials_are_fetched_in_the_call(
    ours: Any, giver: Any, server: Any, credentials_of: Any, monkeypatch: Any
) -> None:
    credentials_of("assume-role")
    runtime = ours(deadline=None)
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "personalize-rt-credentials":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    ask(runtime)
    assert access_key(server) == giver.key()


# Before they expire


def test_while_credentials_last_a_refresh_holds_up_nobody(
    ours: Any, giver: Any, server: Any, credentials_of: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.TIMEOUT_SECONDS", 60)
    credentials_of("container-role")
    giver.lifetime = 12 * 60  # botocore refreshes from 15 minutes before the end, and insists on it from 10
    answering = threading.Event()
    giver.script(None, answering)
    runtime = ours(deadline=GUARD)
    runtime.connect()
    giver.lifetime = 3600
    for _ in range(5):
        ask(runtime)
        assert access_key(server) == "ASIA1"
    answering.set()
    until = time.monotonic() + GUARD
    while access_key(server) == "ASIA1" and time.monotonic() < until:
        ask(runtime)
    assert (access_key(server), giver.count) == ("ASIA2", 2)


def test_while_credentials_last_a_failing_refresh_fails_no_call(
    ours: Any, giver: Any, server: Any, credentials_of: Any
) -> None:
    credentials_of("container-role")
    giver.lifetime = 12 * 60
    runtime = ours()
    runtime.connect()
    giver.repeated = 500
    for _ in range(5):
        assert ask(runtime).info.attempts == 1
    assert access_key(server) == "ASIA1"


# Clients and sessions of callers


def refresh_fails(error: Exception) -> Any:
    """A boto3 session whose credentials have expired, and cannot be refreshed."""

    def refresh() -> None:
        raise error

    session = botocore.session.get_session()
    expired = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=1)
    session._credentials = RefreshableCredentials("AK", "SK", "T", expired, refresh, "assume-role")
    return boto3.Session(botocore_session=session)


def of_sts(code: str, status: int) -> ClientError:
    head = {"HTTPStatusCode": status, "RequestId": "of-sts", "RetryAttempts": 4}
    return ClientError({"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": head}, "AssumeRole")


@pytest.mark.parametrize("whose", ["session", "client"])
@pytest.mark.parametrize(
    ("raised", "kind", "told"),
    [
        (of_sts("Throttling", 400), TransportError, "sts:AssumeRole failed with Throttling"),
        (of_sts("AccessDenied", 403), ConfigurationError, "sts:AssumeRole failed with AccessDenied"),
        (CredentialRetrievalError(provider="container-role", error_msg="Received non 200 response 429 from"),
         TransportError, "container-role"),
        (CredentialRetrievalError(provider="vault", error_msg="sealed"), ConfigurationError, "vault: sealed"),
        (FileNotFoundError(2, "No such file or directory"), ConfigurationError, "a file is not there"),
        (ConnectionResetError(104, "reset"), TransportError, "ConnectionResetError in test_credentials.py, line"),
        (TimeoutError(), TransportError, "TimeoutError in test_credentials.py, line"),
        (json.JSONDecodeError("m", "hush-hush", 0), ConfigurationError, "JSONDecodeError in test_credentials.py, line"),
        (KeyError("hush-hush"), ConfigurationError, "KeyError in test_credentials.py, line"),
        (None, ConfigurationError, "did not contain"),
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_whatever_a_refresh_raises_is_of_our_tree(
    whose: str, raised: Any, kind: type, told: str, server: Any, session: Any
) -> None:
    theirs = refresh_fails(raised) if raised is not None else boto3.Session(region_name="eu-west-1")
    if raised is None:
        expired = datetime.datetime.now(datetime.UTC)
        inner: Any = theirs
        inner._session._credentials = RefreshableCredentials("A", "S", "T", expired, lambda: {}, "my-provider")
    if whose == "session":
        runtime = PersonalizeRuntime(session=theirs, endpoint_url=server.url, retry=QUICK, region_name="eu-west-1")
    else:
        once = Config(retries={"total_max_attempts": 1})
        client = theirs.client("personalize-runtime", endpoint_url=server.url, config=once, region_name="eu-west-1")
        runtime = PersonalizeRuntime(client, retry=QUICK)
    error = error_of(lambda: ask(runtime), "hush-hush")
    assert type(error) is kind
    assert told in str(error)
    assert getattr(error, "attempts", 0) == 0
    assert server.count == 0
    runtime.close()


def test_the_credentials_of_a_caller_s_session_stay_its_own(server: Any, session: Any) -> None:
    before = session.get_credentials()
    with PersonalizeRuntime(session=session, endpoint_url=server.url) as runtime:
        ask(runtime)
    assert session.get_credentials() is before
    assert type(session.client("personalize-runtime")._get_credentials()) is type(before)


class Wrapped:
    """A session that gives keys itself, as one that is made for several accounts does."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.get_credentials = session.get_credentials

    def client(self, *args: Any, **options: Any) -> Any:
        return self.session.client(*args, aws_access_key_id="own", aws_secret_access_key="own", **options)


def test_keys_that_a_session_gives_itself_count(server: Any, session: Any) -> None:
    with PersonalizeRuntime(session=Wrapped(session), endpoint_url=server.url) as runtime:
        ask(runtime)
    assert access_key(server) == "own"


# botocore


def test_a_client_that_we_build_is_made_without_asking_for_credentials(
    ours: Any, giver: Any, credentials_of: Any
) -> None:
    credentials_of("container-role")
    ours()._transport.client()
    assert giver.count == 0


def test_aws_is_not_told_that_keys_were_given_in_code(ours: Any, server: Any, credentials_of: Any) -> None:
    credentials_of("container-role")
    ask(ours())
    used = re.search(r"\bm/(\S+)", server.received[-1].headers["user-agent"])
    assert used is None or "e" not in used[1].split(",")


def test_another_botocore_fetches_credentials_itself(
    ours: Any, giver: Any, server: Any, credentials_of: Any, monkeypatch: Any
) -> None:
    def lacks(*_: Any) -> None:
        raise AttributeError("_request_signer")

    monkeypatch.setattr("personalize_rt.transport.credentials.sign_with", lacks)
    credentials_of("container-role")
    ask(ours())
    assert access_key(server) == giver.key()


def test_errors_of_credentials_come_from_the_fallback_of_a_ranking_too(
    ours: Any, giver: Any, credentials_of: Any
) -> None:
    credentials_of("assume-role")
    giver.repeated = ("Throttling", 400, "")
    runtime = ours(fallback=InputOrderFallback())
    answer = runtime.get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=["a", "b"])
    assert (answer.item_ids, answer.degraded) == (("a", "b"), True)


# What the user agent says of them


def features_sent(server: Any) -> set[str]:
    (found,) = re.findall(r" m/(\S+)", server.received[-1].headers["user-agent"])
    return set(found.split(","))


@pytest.mark.parametrize("send", [None, "through", "plain"])
@pytest.mark.parametrize("kind", ["environment", "file", "process", "code"])
def test_the_user_agent_names_the_kind_of_credentials_as_that_of_boto3(
    kind: str, send: str | None, ours: Any, server: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    keys = ("testing", "testing") if kind == "code" else ()
    if kind in ("file", "process"):
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    if kind == "file":
        (tmp_path / "file").write_text("[default]\naws_access_key_id = mine\naws_secret_access_key = mine\n")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "file"))
    if kind == "process":
        (tmp_path / "keys").write_text('{"Version": 1, "AccessKeyId": "mine", "SecretAccessKey": "mine"}')
        print_keys = f"'{sys.executable}' -c \"print(open('{(tmp_path / 'keys').as_posix()}').read())\""
        (tmp_path / "config").write_text(f"[default]\ncredential_process = {print_keys}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    once = Config(retries={"total_max_attempts": 1, "mode": "standard"})
    session = boto3.Session(*keys, region_name="eu-west-1")
    session.client("personalize-runtime", endpoint_url=server.url, config=once).get_recommendations(campaignArn=ARN)
    theirs = features_sent(server)
    if send is not None:
        monkeypatch.setenv("PERSONALIZE_RT_SEND", send)
    runtime = ours(session=boto3.Session(*keys, region_name="eu-west-1"))
    for _ in range(2):
        ask(runtime)
        assert features_sent(server) == theirs

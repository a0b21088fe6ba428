"""botocore's debug log shows neither requests nor answers of clients that we build, and those of others as always."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config

from personalize_rt import PersonalizeRuntime, RetryPolicy
from personalize_rt.operations import GET_RECOMMENDATIONS, Request
from personalize_rt.transport.attempt import Attempt, under_way
from personalize_rt.transport.redacting import mask_log

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
SECRETS = {
    "user_id": "ada.lovelace@example.org",
    "context": {"DEVICE": "difference-engine"},
    "filter_values": {"GENRE": ["Steampunk", "Café"], "YEAR": 1843},
}
VALUES = ["ada.lovelace", "difference-engine", "Steampunk", "Café", "Caf\\u00e9", "1843", "A Secret Title"]
REPLY = {"itemList": [{"itemId": "i1", "metadata": {"title": "A Secret Title"}}]}


def ask(runtime: Any) -> Any:
    return runtime.get_recommendations(campaign_arn=ARN, filter_arn=ARN.replace("campaign", "filter"), **SECRETS)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What every logger says, as a handler formats it."""
    kept: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(f"{record.name} {self.format(record)}")

    root, handler = logging.getLogger(), Keeping(logging.DEBUG)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield kept
    root.setLevel(level)
    root.removeHandler(handler)


def leaks(lines: list[str]) -> list[tuple[str, str]]:
    return [(value, line) for line in lines for value in VALUES if value.lower() in line.lower()]


@pytest.mark.parametrize("outcome", [REPLY, 429, "close", b"no json"])
def test_a_client_of_ours_logs_no_request_and_no_answer(outcome: Any, session: Any, server: Any, lines: Any) -> None:
    server.script(server.answer(200, outcome) if isinstance(outcome, bytes) else outcome)
    with PersonalizeRuntime(session=session, endpoint_url=server.url, retry=RetryPolicy(2, base=0)) as runtime:
        with contextlib.suppress(Exception):
            ask(runtime)
    assert leaks(lines) == []
    assert any(line.startswith("botocore.endpoint Making request") for line in lines)  # the lines are still there
    assert any(" bytes>" in line for line in lines)


def test_the_text_of_an_error_is_masked(session: Any, server: Any, lines: Any) -> None:
    server.script(server.failure(400, message="user ada.lovelace@example.org likes Steampunk, not Difference-Engine"))
    with PersonalizeRuntime(session=session, endpoint_url=server.url) as runtime:
        with pytest.raises(Exception, match=r"\*\*\*"):
            ask(runtime)
    assert leaks(lines) == []


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_so_it_is_behind_a_proxy(session: Any, server: Any, lines: Any) -> None:
    config = Config(proxies={"http": server.url})
    with (
        PersonalizeRuntime(
            session=session, endpoint_url="http://personalize.invalid", config=config, retry=RetryPolicy(1)
        ) as runtime,
        contextlib.suppress(Exception),
    ):
        ask(runtime)
    assert leaks(lines) == []
    assert any("urllib3" in line for line in lines)


def test_who_wants_to_see_it_all_may(session: Any, server: Any, lines: Any) -> None:
    with PersonalizeRuntime(session=session, endpoint_url=server.url, redact=False) as runtime:
        ask(runtime)
    assert "ada.lovelace" in "".join(lines)


def test_other_clients_log_as_always(session: Any, server: Any, plain_client: Any, lines: Any) -> None:
    with PersonalizeRuntime(session=session, endpoint_url=server.url) as runtime:
        ask(runtime)
        before = len(lines)
        plain_client().get_recommendations(campaignArn=ARN, userId="ada.lovelace@example.org")
        assert "ada.lovelace" in "".join(lines[before:])
        before = len(lines)
        PersonalizeRuntime(client=plain_client()).get_recommendations(campaign_arn=ARN, user_id="ada.lovelace")
        assert "ada.lovelace" in "".join(lines[before:])


def test_every_logger_that_botocore_uses_in_a_call_has_the_filter(session: Any, server: Any, lines: Any) -> None:
    with PersonalizeRuntime(session=session, endpoint_url=server.url) as runtime:
        ask(runtime)
    used = {line.partition(" ")[0] for line in lines} - {"personalize_rt", "root", "asyncio", "concurrent.futures"}
    assert "botocore.endpoint" in used
    assert all(logging.getLogger(name).filters for name in used if name.startswith("botocore."))


def signed_session() -> Any:
    import boto3

    return boto3.Session(
        region_name="eu-west-1", aws_access_key_id="AKID", aws_secret_access_key="s", aws_session_token=TOKEN
    )


TOKEN = "Session/Token+of=Ada"


@pytest.mark.parametrize("outcome", [REPLY, 429, "close"])
def test_the_log_shows_nothing_that_was_signed_nor_how(outcome: Any, server: Any, lines: Any) -> None:
    server.script(outcome)
    with PersonalizeRuntime(session=signed_session(), endpoint_url=server.url, retry=RetryPolicy(1)) as runtime:
        with contextlib.suppress(Exception):
            ask(runtime)
    said = "\n".join(lines)
    received = server.received[0]
    assert received.headers["x-amz-security-token"] == TOKEN
    authorization = received.headers["authorization"]
    for secret in (TOKEN, authorization, *re.findall(r"[0-9a-f]{32,}|Credential=[^,]*", authorization)):
        assert secret not in said
    assert hashlib.sha256(received.body).hexdigest() not in said  # the canonical request ends in it
    assert "AWS4-HMAC-SHA256" not in said
    assert received.body.decode() not in said
    assert {"botocore.auth CanonicalRequest:\n***", "botocore.auth Signature:\n***"} <= set(lines)
    assert any("botocore.endpoint Sending http request: <AWSPreparedRequest" in line for line in lines)


ROLE = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASIAFETCHED</AccessKeyId><SecretAccessKey>fetched-key</SecretAccessKey>
<SessionToken>fetched-token</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration>
</Credentials></AssumeRoleResult></AssumeRoleResponse>"""


@pytest.mark.parametrize("when", ["connecting", "in a call"])
def test_the_log_shows_no_credentials_that_are_fetched(
    when: str, server: Any, lines: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    import boto3

    config = tmp_path / "config"
    config.write_text(
        "[profile ada]\nrole_arn = arn:aws:iam::123456789012:role/r\ncredential_source = Environment\n"
        f"region = eu-west-1\nservices = here\n[services here]\nsts =\n  endpoint_url = {server.url}\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "source-key")
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    server.script(server.answer(200, ROLE.encode(), content_type="text/xml"))
    session = boto3.Session(profile_name="ada")
    with PersonalizeRuntime(session=session, endpoint_url=server.url, deadline=None) as runtime:
        if when == "connecting":
            runtime.connect()
        ask(runtime)
    said = "\n".join(lines)
    assert "AssumeRole" in said
    assert server.received[-1].headers["x-amz-security-token"] == "fetched-token"
    for secret in (TOKEN, "fetched-key", "fetched-token", "source-key", "AWS4-HMAC-SHA256"):
        assert secret not in said


# The filter by itself


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("botocore.made_up")
    mask_log()
    mask_log()
    assert len(logger.filters) == 1
    attempt = Attempt()
    attempt.request = Request(GET_RECOMMENDATIONS, {"userId": "ada.lovelace@example.org", "context": {"A": "7"}})
    token = under_way.set(attempt)
    yield logger
    under_way.reset(token)


class BrokenRepr:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("message", "args", "shown"),
    [
        ("nothing to hide", (), "nothing to hide"),
        ("user %s", ("ada.lovelace@example.org",), "user ***"),
        ("user ADA.LOVELACE@example.org, 100 %", (), "user ***, 100 %"),
        ("body %r", (b'{"metadata": "x"}',), "body <17 bytes>"),
        ("request %s", ({"body": b"abc", "url": "u", "context": {"raw": bytearray(2)}},), None),
        ("headers %r", ({"a": "7", "b": "17"},), "headers {'a': '***', 'b': '17'}"),
        ("too many %s", ("a", "b"), "(a line that could not be formatted)"),
        ("a number %d", (5,), "a number 5"),
        ("to http://ann:pass word@host/", (), "to http://host/"),
        ("settings %s", ({"Endpoint": "http://ann:pass@host"},), "settings {'Endpoint': 'http://host'}"),
        ("Signature=abc&X-Amz-Security-Token=tok&x=1", (), "Signature=***&X-Amz-Security-Token=***&x=1"),
        ("X-Amz-Security-Token: tok", (), "X-Amz-Security-Token: ***"),
        ("headers %s", ({"Authorization": "AWS4-HMAC-SHA256 Credential=AKID"},), "headers {'Authorization': ***}"),
        ("signed " + "0" * 64, (), "signed ***"),
        ("request %s", ({"body": "a text"},), "request {'body': <not shown>}"),
        ("%s", (BrokenRepr(),), "(a line that could not be formatted)"),
    ],
)
def test_a_line_stays_and_its_secrets_go(message: Any, args: Any, shown: Any, logger: Any, lines: Any) -> None:
    logger.debug(message, *args)
    wanted = shown or "request {'body': <3 bytes>, 'url': 'u', 'context': {'raw': <2 bytes>}}"
    assert lines == [f"botocore.made_up {wanted}"]


def test_the_text_of_a_logged_exception_is_masked_too(logger: Any, lines: Any) -> None:
    try:
        raise ValueError("no such user: ada.lovelace@example.org")
    except ValueError:
        logger.debug("failed", exc_info=True)
    assert "ValueError: no such user: ***" in lines[0]
    assert leaks(lines) == []


def test_without_a_request_nothing_is_touched(lines: Any) -> None:
    logging.getLogger("botocore.made_up").debug("user %s", "ada.lovelace@example.org")
    assert lines == ["botocore.made_up user ada.lovelace@example.org"]

"""botocore's debug log shows neither requests nor answers of clients that we build, and those of others as always."""

from __future__ import annotations

import contextlib
import logging
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

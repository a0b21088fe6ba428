"""A service that repeats what it was asked, in every place of an answer and in every spelling: nothing of it is shown.

Every sink is open, as in ``test_secrets.py``: errors with all that hang on them, results, hooks, spans, the log at
DEBUG, cassettes. Both clients really send and receive.
"""

from __future__ import annotations

import asyncio
import base64
import html
import json
import logging
import pickle
import traceback
import urllib.parse
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from personalize_rt import (
    ConfigurationError,
    PersonalizeError,
    PersonalizeRuntime,
    RetryPolicy,
    ServiceError,
    TransportError,
    errors,
    events,
)
from personalize_rt.telemetry import LoggingHook, OpenTelemetryHook
from personalize_rt.testing.record import Cassette, record

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
USER = "ann&bob@example.com"
UUID = "fd2ea40f-11f5-461c-b678-6a6a08bdb416"

needs_aio = pytest.mark.skipif(find_spec("aiobotocore") is None, reason="needs aiobotocore")
both_clients = pytest.mark.parametrize("world", ["sync", pytest.param("async", marks=needs_aio)])


class Sinks:
    """Everything that came out since it was last emptied."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def add(self, *texts: object) -> None:
        self.texts += map(str, texts)

    def error(self, error: BaseException) -> None:
        again = pickle.loads(pickle.dumps(error))
        self.add(error, repr(error), error.args, again, repr(again), *getattr(error, "__notes__", ()))
        self.add("".join(traceback.format_exception(error)))
        for name in ("message", "code", "request_id"):
            self.add(getattr(error, name, ""))

    def assert_hide(self, *values: str) -> None:
        assert len(self.texts) > 5
        for value in values:
            found = next((text for text in self.texts if value.lower() in text.lower()), None)
            assert found is None, f"{value!r} is shown"


@pytest.fixture
def sinks() -> Iterator[Sinks]:
    sinks = Sinks()

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            sinks.add(self.format(record), vars(record).get("personalize_rt"))

    root, handler = logging.getLogger(), Keeping(logging.DEBUG)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield sinks
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def hooks(sinks: Sinks) -> Iterator[list[Any]]:
    hooks: list[Any] = [LoggingHook(), lambda event: sinks.add(event)]
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        yield hooks
        return
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

    class Keeping(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            sinks.add(*(span.to_json() for span in spans))
            return SpanExportResult.SUCCESS

    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(Keeping()))
    yield [*hooks, OpenTelemetryHook(tracer_provider=tracers)]
    tracers.shutdown()


Ask = Callable[..., Any]


@pytest.fixture
def ask(world: str, session: Any, server: Any, sinks: Sinks, hooks: Any) -> Iterator[Ask]:
    """Ranks two items for a user; what comes of it goes into the sinks."""
    options: dict[str, Any] = {"endpoint_url": server.url, "hooks": hooks, "retry": RetryPolicy(1), "deadline": 20}
    loop = asyncio.new_event_loop()
    if world == "sync":
        runtime: Any = PersonalizeRuntime(session=session, **options)
    else:
        from personalize_rt.aio import AsyncPersonalizeRuntime

        runtime = AsyncPersonalizeRuntime(region_name="eu-west-1", **options)

    def ask(user: str, **more: Any) -> Any:
        try:
            answer = runtime.get_personalized_ranking(campaign_arn=ARN, user_id=user, input_list=["i1", "i2"], **more)
            if world == "async":
                answer = loop.run_until_complete(answer)
        except PersonalizeError as error:
            sinks.error(error)
            return error
        sinks.add(repr(answer), repr([*answer]), repr(answer.info), repr(answer[:1]))
        return answer

    yield ask
    if world == "sync":
        runtime.close()
    else:
        loop.run_until_complete(runtime.aclose())
    loop.close()


def hear(server: Any, place: str, said: str) -> None:
    """Make the server say something in a place of its answers."""
    row: dict[str, Any] = {"itemId": "i1", "score": 0.5}
    reply: dict[str, Any] = {"personalizedRanking": [row], "recommendationId": "RID-1"}
    match place:
        case "message":
            outcome = server.failure(400, message=f"no user ({said}), sorry")
        case "Message":
            outcome = server.answer(
                400, {"Message": f"no user ({said}), sorry"}, x_amzn_errortype="InvalidInputException"
            )
        case "page":
            outcome = server.answer(400, f"<html>no user ({said}), sorry</html>".encode())
        case "code":
            outcome = server.failure(400, f"Bad ({said})", "m")
        case "code in the body":
            outcome = server.answer(400, {"__type": f"ns#Bad ({said})", "message": "m"})
        case "request id":
            outcome = server.failure(429, message="m", x_amzn_requestid=f"r ({said})")
        case "request id of an answer":
            outcome = server.answer(200, reply, x_amzn_requestid=f"r ({said})")
        case "reason":
            row["reason"] = [f"Because of ({said})"]
            outcome = reply
        case "name of metadata":
            row["metadata"] = {f"title ({said})": "x"}
            outcome = reply
        case "name of wrong metadata":
            row["metadata"] = {f"title ({said})": ["x"]}
            outcome = reply
        case "unknown member":
            row[f"new ({said})"], reply[f"new ({said})"] = said, [said]
            outcome = reply
        case "recommendation id":
            reply["recommendationId"] = f"({said})"
            outcome = reply
        case _:
            raise AssertionError(place)
    server.always(outcome)


PLACES = [
    *("message", "Message", "page", "code in the body", "reason", "name of metadata"),
    *("name of wrong metadata", "unknown member", "recommendation id"),
]
ERRORS = ["message", "Message", "page", "code", "code in the body", "request id"]
PLACES_IN_HEADERS = ["code", "request id", "request id of an answer"]
SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "HTML": html.escape,
    "percent": lambda text: urllib.parse.quote(text, safe=""),
    "JSON": json.dumps,
    "escaped": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "capitals": str.upper,
    "cut off": lambda text: f"{text[:14]}...",
}


@both_clients
@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_nothing_shows_a_value_that_the_service_repeats(
    spell: Callable[[str], str], ask: Ask, server: Any, sinks: Sinks
) -> None:
    said = spell(USER)
    for place in PLACES + PLACES_IN_HEADERS:
        sinks.texts.clear()
        hear(server, place, said)
        answer = ask(USER, context={"DEVICE": "difference-engine"})
        sinks.assert_hide(USER, said.rstrip("."), "difference-engine")
        assert isinstance(answer, ServiceError) == (place in ERRORS)
        if isinstance(answer, ServiceError):
            head, error = answer.response["ResponseMetadata"], answer.response["Error"]
            assert said in " ".join([error["Code"], error["Message"], head.get("RequestId", "")])  # as botocore has it


def marked(said: str) -> str:
    """Any text may stand in a log; between these marks only that of the service can."""
    return f"<~{said}~>"


# What every log line holds, or some: the names of events and errors.
OF_LOG_LINES = " ".join([ARN, "GetPersonalizedRanking", *events.__all__, *errors.__all__]).lower()
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="*"), min_size=1, max_size=40)
in_headers = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="*:#"), min_size=1)
SOME_SPELLINGS = [str, html.escape, SPELLINGS["percent"], json.dumps]
SLOW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@both_clients
@SLOW
@given(user=texts.filter(str.strip), place=st.sampled_from(PLACES), spell=st.sampled_from(SOME_SPELLINGS))
@example(user="4", place="message", spell=str)
@example(user="日", place="reason", spell=SPELLINGS["percent"])
@example(user="user", place="message", spell=str)
@example(user="ATTEMPTSTAR", place="message", spell=str)
def test_no_user_id_is_shown(
    user: str, place: str, spell: Callable[[str], str], ask: Ask, server: Any, sinks: Sinks
) -> None:
    sinks.texts.clear()
    hear(server, place, marked(spell(user)))
    ask(user)
    sinks.assert_hide(marked(user), marked(spell(user)))
    if len(user) > 10 and user.lower() not in OF_LOG_LINES:
        sinks.assert_hide(user)


@both_clients
@SLOW
@given(user=in_headers, place=st.sampled_from(PLACES_IN_HEADERS))
@example(user="4", place="request id")
def test_no_user_id_in_a_header_is_shown(user: str, place: str, ask: Ask, server: Any, sinks: Sinks) -> None:
    sinks.texts.clear()
    hear(server, place, marked(user))
    ask(user)
    sinks.assert_hide(marked(user))


@pytest.mark.parametrize("world", ["sync"])
@pytest.mark.parametrize("user", ["InvalidInputException", "invalid-7", "input", "400", "campaign", "1", "userId"])
def test_codes_status_and_our_advice_stay_whatever_the_user_is_called(user: str, ask: Ask, server: Any) -> None:
    server.always(server.failure(404, "ResourceNotFoundException", f"{ARN} does not exist"))
    error = ask(user)
    assert str(error) == (
        f"GetPersonalizedRanking failed with ResourceNotFoundException (HTTP 404, request id {UUID}, 1 attempt): "
        f"{ARN} does not exist. Check the ARN, its region and its account"
    )
    server.always(server.answer(400, {"message": "m"}, x_amzn_errortype="InvalidInputException"))
    error = ask(user)
    assert (type(error).__name__, error.code) == ("InvalidInputError", "InvalidInputException")
    server.always(server.answer(400, {"message": "m"}, x_amzn_errortype=f"Throttling{user}"))
    assert type(ask(user)).__name__ == "ServiceError"  # and not by a code that was masked


@pytest.mark.parametrize("world", ["sync"])
def test_a_code_that_is_masked_still_decides_the_class(ask: Ask, server: Any) -> None:
    server.always(server.answer(400, {"message": "m"}, x_amzn_errortype="ValidationOf4711"))
    error = ask("4711")
    assert (type(error).__name__, error.code) == ("InvalidInputError", "***")
    assert error.response["Error"]["Code"] == "ValidationOf4711"


@pytest.mark.parametrize("world", ["sync"])
def test_what_is_left_of_a_long_message_has_no_part_of_a_value(ask: Ask, server: Any, sinks: Sinks) -> None:
    for size in range(1, 12):
        # The text is cut within the last one, and what is left of it would not be recognised.
        text = f"{USER} " * 99 + "z" * (19 - size) + " " + USER
        server.always(server.failure(400, message=text))
        message = str(ask(USER))
        assert "***" in message
        assert len(message) < 700
        assert "an" not in message.rpartition(": ")[2]
    sinks.assert_hide(USER)


# Cassettes


@pytest.mark.parametrize("place", PLACES + PLACES_IN_HEADERS)
def test_no_cassette_holds_a_value_that_the_service_repeats(
    place: str, tmp_path: Path, session: Any, server: Any
) -> None:
    path = tmp_path / "cassette.json"
    said = " ".join(f"<~{spell(USER)}~>" for spell in SPELLINGS.values())
    hear(server, place, said)

    def outcome(runtime: Any) -> object:
        try:
            return runtime.get_personalized_ranking(campaign_arn=ARN, user_id=USER, input_list=["i1", "i2"]).item_ids
        except PersonalizeError as error:
            return type(error)

    with record(path, session=session, endpoint_url=server.url) as recorder:
        recorded = outcome(recorder.runtime(retry=RetryPolicy(1)))
    text = path.read_text()
    for spell in SPELLINGS.values():
        for value in (spell(USER).rstrip("."), json.dumps(spell(USER))[1:-1].rstrip(".")):
            assert value.lower() not in text.lower()
    assert outcome(Cassette.load(path).runtime()) == recorded


def test_two_names_that_are_masked_stay_two(tmp_path: Path, session: Any, server: Any) -> None:
    server.always({"itemList": [], "recommendationId": "RID-1", USER: 1, f"x{USER}": 2})
    with record(tmp_path / "c.json", session=session, endpoint_url=server.url) as recorder:
        recorder.runtime().get_recommendations(campaign_arn=ARN, user_id=USER)
        reply = recorder.cassette().exchanges[0].reply
    assert len(reply) == 4


# User names and passwords of URLs

LOGIN = "ann:pass-word@"
SHOWN_LOGIN = ("pass-word", "ann:", "ann@")


@both_clients
@pytest.mark.parametrize("outcome", ["close", 503, {"personalizedRanking": []}])
def test_no_password_of_an_endpoint_is_shown(
    outcome: Any, world: str, session: Any, server: Any, sinks: Sinks, hooks: Any
) -> None:
    url = server.url.replace("://", f"://{LOGIN}")
    server.always(outcome)
    answered_by(world, sinks, session=session, endpoint_url=url, hooks=hooks)
    sinks.assert_hide(*SHOWN_LOGIN)


BAD_ENDPOINTS = [
    f"http://{LOGIN}127.0.0.1:9",
    f"http://{LOGIN}per sonalize",
    f"http://{LOGIN}127.0.0.1:99999",
    f"http://{LOGIN}[::1",
    f"http://{LOGIN}",
    f"ftp://{LOGIN}127.0.0.1:9",
    f"//{LOGIN}127.0.0.1:9",
    f"{LOGIN}127.0.0.1:9",
    *(f"http://{LOGIN.replace('-', odd)}127.0.0.1:9" for odd in ("@", "#", "/", "?", " ", "\n", "[", "[x]", "%", ":")),
]


@both_clients
@pytest.mark.parametrize(
    ("url", "given_in"),
    [*((url, "an argument") for url in BAD_ENDPOINTS), *((url, "the environment") for url in BAD_ENDPOINTS[:4])],
)
def test_no_password_of_an_endpoint_that_cannot_be_asked_is_shown(
    url: str, given_in: str, world: str, session: Any, sinks: Sinks, monkeypatch: Any
) -> None:
    if given_in == "the environment":
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        url = ""
    said = answered_by(world, sinks, session=session, endpoint_url=url or None)
    assert isinstance(said, ConfigurationError | TransportError)
    sinks.assert_hide(*SHOWN_LOGIN, "word@", "'pass", "'word")


@both_clients
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_no_password_of_a_proxy_is_shown(world: str, session: Any, sinks: Sinks, hooks: Any) -> None:
    from botocore.config import Config

    config = Config(proxies={"http": f"http://{LOGIN}127.0.0.1:9"})
    answered_by(world, sinks, session=session, endpoint_url="http://personalize.invalid", config=config, hooks=hooks)
    sinks.assert_hide(*SHOWN_LOGIN)


@both_clients
def test_no_session_token_and_no_signature_is_logged(
    world: str, server: Any, sinks: Sinks, made_up_aws_account: None, monkeypatch: Any
) -> None:
    import boto3

    monkeypatch.setenv("AWS_SESSION_TOKEN", "Session/Token+of=Ada")
    answered_by(world, sinks, session=boto3.Session(region_name="eu-west-1"), endpoint_url=server.url)
    headers = server.received[-1].headers
    assert headers["x-amz-security-token"] == "Session/Token+of=Ada"
    assert any("Making request" in text for text in sinks.texts)
    sinks.assert_hide("Session/Token", "AWS4-HMAC-SHA256", headers["authorization"].rpartition("=")[2])


def answered_by(world: str, sinks: Sinks, *, session: Any, **options: Any) -> Any:
    """Ask a runtime with these options, and put what comes of it into the sinks."""
    arguments: dict[str, Any] = {"campaign_arn": ARN, "user_id": USER, "input_list": ["i1"]}

    async def ask() -> Any:
        from personalize_rt.aio import AsyncPersonalizeRuntime

        async with AsyncPersonalizeRuntime(region_name="eu-west-1", retry=RetryPolicy(1), **options) as runtime:
            sinks.add(repr(runtime))
            return await runtime.get_personalized_ranking(**arguments)

    try:
        if world == "async":
            answer = asyncio.run(ask())
        else:
            with PersonalizeRuntime(session=session, retry=RetryPolicy(1), **options) as runtime:
                sinks.add(repr(runtime))
                answer = runtime.get_personalized_ranking(**arguments)
    except PersonalizeError as error:
        sinks.error(error)
        return error
    sinks.add(repr(answer))
    return answer

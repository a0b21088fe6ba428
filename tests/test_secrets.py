"""Nothing that this project emits shows a user id, a context value, a filter value or item metadata.

Every scenario of failure runs with every sink open: all loggers at DEBUG, hooks, spans, measurements, warnings, the
standard streams; and of the exceptions, their text, ``repr``, ``args`` and traceback, with all that are chained.
``ServiceError.response`` is what botocore would have given, and is left out.
"""

from __future__ import annotations

import logging
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import attrs
import pytest
from botocore.config import Config

from personalize_rt import (
    PersonalizeError,
    PersonalizeRuntime,
    Promotion,
    RetryPolicy,
)
from personalize_rt.filters import Filter
from personalize_rt.resilience.breaker import CircuitBreaker
from personalize_rt.resilience.cache import Cache
from personalize_rt.resilience.fallback import (
    FilterData,
    InputOrderFallback,
    PopularItemsFallback,
    RerankFallback,
    StaleFallback,
)
from personalize_rt.resilience.hedge import Hedge
from personalize_rt.telemetry import LoggingHook, OpenTelemetryHook

PREFIX = "arn:aws:personalize:eu-west-1:123456789012:"
ARN, FILTER = f"{PREFIX}campaign/movies", f"{PREFIX}filter/unseen"
USER, DEVICE, GENRE, CITY = "ada.lovelace@example.org", "difference-engine", "Steampunk-Noir", "Llanfairpwll"
TITLE, PROMOTED = "A Confidential Title", "Hidden Promotion"
SECRETS = [USER, "ada.lovelace", DEVICE, GENRE, CITY, TITLE, PROMOTED]
ECHO = f"{USER} at {CITY} with {DEVICE} wants {GENRE}"


@attrs.define
class Sinks:
    """Everything that came out."""

    texts: list[tuple[str, str]] = attrs.field(factory=list)

    def add(self, sink: str, text: object) -> None:
        self.texts.append((sink, str(text)))

    def error(self, error: BaseException | None) -> None:
        """An exception with all that hang on it."""
        if error is None:
            return
        self.add("traceback", "".join(traceback.format_exception(error)))
        while error is not None:
            for sink, text in (("str", str(error)), ("repr", repr(error)), ("args", repr(error.args))):
                self.add(f"{sink} of {type(error).__name__}", text)
            error = error.__cause__ or error.__context__

    def leaks(self) -> list[tuple[str, str, str]]:
        return [
            (secret, sink, text) for sink, text in self.texts for secret in SECRETS if secret.lower() in text.lower()
        ]


class Keeping(logging.Handler):
    def __init__(self, sinks: Sinks) -> None:
        super().__init__(logging.DEBUG)
        self._sinks = sinks

    def emit(self, record: logging.LogRecord) -> None:
        self._sinks.add(f"log {record.name}", self.format(record))
        rest = {name: value for name, value in vars(record).items() if name not in ("exc_info", "threadName")}
        self._sinks.add(f"record {record.name}", rest)


@pytest.fixture
def sinks() -> Iterator[Sinks]:
    sinks = Sinks()
    root, handler = logging.getLogger(), Keeping(sinks)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield sinks
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def telemetry(sinks: Sinks) -> Iterator[Callable[[Any], object]]:
    """A hook for OpenTelemetry whose spans and measurements are sinks; or none where there is no SDK."""
    try:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    except ImportError:
        yield lambda _: None
        return
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = TracerProvider(), MeterProvider(metric_readers=[reader])
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    yield OpenTelemetryHook(tracer_provider=tracers, meter_provider=meters)
    data = reader.get_metrics_data()
    if data is not None:
        sinks.add("measurements", data.to_json())
    for span in exporter.get_finished_spans():
        sinks.add("span", span.to_json())
    meters.shutdown()
    tracers.shutdown()


@pytest.fixture
def made(session: Any, server: Any, sinks: Sinks, telemetry: Any) -> Iterator[Callable[..., PersonalizeRuntime]]:
    """Makes runtimes of ours that tell every hook."""
    runtimes: list[PersonalizeRuntime] = []

    def make(**options: Any) -> PersonalizeRuntime:
        defaults: dict[str, Any] = {
            "session": session,
            "endpoint_url": server.url,
            "retry": RetryPolicy(2, base=0.001),
            "hooks": [LoggingHook(), telemetry, lambda event: sinks.add("hook", repr(event))],
        }
        if "client" in options:
            del defaults["session"], defaults["endpoint_url"]
        runtimes.append(PersonalizeRuntime(**{**defaults, **options}))
        sinks.add("repr of the runtime", repr(runtimes[-1]))
        return runtimes[-1]

    yield make
    for runtime in runtimes:
        runtime.close()


HIDING = Filter(FILTER, f'INCLUDE ItemID WHERE Items.GENRE IN ($GENRE) IF CurrentUser.CITY = "{CITY}"')
FULL = {"personalizedRanking": [{"itemId": "i1", "metadata": {"title": TITLE}}], "recommendationId": "RID"}


def rank(runtime: Any, sinks: Sinks, **options: Any) -> None:
    """A call that carries everything that must not be shown; what comes of it goes into the sinks."""
    arguments = {
        "campaign_arn": ARN,
        "user_id": USER,
        "input_list": ["i1", "i2"],
        "context": {"DEVICE": DEVICE, "CITY": CITY},
        "filter_arn": FILTER,
        "filter_values": {"GENRE": [GENRE]},
        "metadata_columns": ["TITLE"],
        **options,
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            ranking = runtime.get_personalized_ranking(**arguments)
        except Exception as error:
            sinks.error(error)
        else:
            sinks.add("repr of the answer", f"{ranking!r} {ranking.info!r} {[*ranking]!r}")
            sinks.error(ranking.cause)
    for warning in caught:
        sinks.add("warning", warning.message)


@pytest.fixture(autouse=True)
def nothing_leaks(sinks: Sinks, capfd: pytest.CaptureFixture[str], background: Any) -> Iterator[None]:
    yield
    background.end("personalize-rt", "personalize-rt-worker")
    # Spans and measurements are added when their fixture ends, which is before this one does.
    for name, text in zip(("stdout", "stderr"), capfd.readouterr(), strict=True):
        sinks.add(name, text)
    assert len(sinks.texts) > 5
    assert sinks.leaks() == []


def test_the_sinks_would_notice(sinks: Sinks) -> None:
    probe = Sinks()
    logging.getLogger("somebody").addHandler(handler := Keeping(probe))
    logging.getLogger("somebody").warning("%s", USER)
    logging.getLogger("somebody").removeHandler(handler)
    try:
        try:
            raise ValueError(USER)
        except ValueError as error:
            raise KeyError("fine") from error
    except KeyError as error:
        probe.error(error)
    assert {sink for _, sink, _ in probe.leaks()} >= {"log somebody", "traceback", "str of ValueError"}
    sinks.texts[:] = [("nothing", "")] * 6


@pytest.mark.parametrize(
    "outcome",
    [FULL, 400, 403, 404, 408, 413, 418, 429, 500, 503, "close", {"personalizedRanking": TITLE}, "garbled", "short"],
)
def test_each_outcome(outcome: Any, made: Any, server: Any, sinks: Sinks) -> None:
    if isinstance(outcome, int):
        outcome = server.failure(outcome, message=ECHO)
    elif outcome == "garbled":
        outcome = server.answer(200, f'{{"x": "{TITLE} {USER}"'.encode())
    elif outcome == "short":
        outcome = server.answer(200, FULL, promised=10_000)
    server.always(outcome)
    rank(made(), sinks)


def test_an_error_that_is_no_json(made: Any, server: Any, sinks: Sinks) -> None:
    server.always(server.answer(502, f"<html>{ECHO}</html>".encode()))
    rank(made(), sinks)


@pytest.mark.parametrize("code", ["ThrottlingException", "ValidationException", "ResourceNotFoundException", "Weird"])
def test_each_kind_of_error_that_repeats_the_request(code: str, made: Any, server: Any, sinks: Sinks) -> None:
    server.always(server.failure(400, code, message=ECHO))
    rank(made(), sinks)


def test_a_deadline(made: Any, server: Any, sinks: Sinks) -> None:
    server.always("hang")
    rank(made(deadline=0.1), sinks)


def test_a_deadline_after_an_error_that_repeats_the_request(made: Any, server: Any, sinks: Sinks) -> None:
    server.always(server.failure(503, message=ECHO))
    rank(made(deadline=0.05, retry=RetryPolicy(20, base=10, cap=10)), sinks)


def test_nobody_there(made: Any, sinks: Sinks) -> None:
    rank(made(endpoint_url="http://127.0.0.1:9"), sinks)


def test_a_name_that_nobody_knows(made: Any, sinks: Sinks) -> None:
    rank(made(endpoint_url="http://personalize.invalid"), sinks)


def test_no_tls(made: Any, server: Any, sinks: Sinks) -> None:
    rank(made(endpoint_url=server.url.replace("http:", "https:")), sinks)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_proxy(made: Any, server: Any, sinks: Sinks) -> None:
    server.always("close")
    config = Config(proxies={"http": server.url})
    rank(made(endpoint_url="http://personalize.invalid", config=config), sinks)


def test_no_credentials(sinks: Sinks, made: Any, server: Any, monkeypatch: Any) -> None:
    import boto3

    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    rank(made(session=boto3.Session(region_name="eu-west-1")), sinks)


def test_a_hook_that_fails(made: Any, server: Any, sinks: Sinks) -> None:
    def fail(event: Any) -> None:
        raise ValueError(USER)

    rank(made(hooks=[fail, LoggingHook()]), sinks)


class Broken:
    def ranking(self, request: Any) -> Any:
        raise KeyError(f"no data about {request.members['userId']}")

    recommendations = actions = ranking

    def remember(self, request: Any, answer: Any) -> None:
        raise KeyError(request.members["userId"])


@pytest.mark.parametrize(
    "fallback",
    [
        Broken(),
        Broken() and InputOrderFallback(unfiltered="allow"),
        InputOrderFallback(filter_data=FilterData(items={"i1": {"GENRE": GENRE, "CITY": CITY}})),
        PopularItemsFallback(["i1"]) | StaleFallback() | InputOrderFallback(),
        RerankFallback(lambda *_: 1 / 0, unfiltered="allow"),  # type: ignore[arg-type]
    ],
)
@pytest.mark.parametrize("outcome", [503, FULL])
def test_a_fallback(fallback: Any, outcome: Any, made: Any, server: Any, sinks: Sinks) -> None:
    server.always(server.failure(503, message=ECHO) if outcome == 503 else outcome)
    rank(made(fallback=fallback), sinks)
    sinks.add("repr of the fallback", repr(fallback))


def test_a_fallback_that_applies_the_filter(made: Any, server: Any, sinks: Sinks) -> None:
    server.always(503)
    rows = {"i1": {"GENRE": GENRE, "CITY": CITY}, "i2": {"GENRE": 7, "CITY": None}}
    data = FilterData(items=rows, users={USER: {"CITY": CITY}})
    sinks.add("repr of the data", repr(data))
    made_ = made(fallback=InputOrderFallback(filter_data=data))
    with suppress(PersonalizeError):
        rank(made_, sinks, filter=HIDING.bind(GENRE=[GENRE]), filter_arn=None, filter_values=None)


class FailingStore(dict[str, Any]):
    def get(self, key: str, default: Any = None) -> Any:
        raise ConnectionError(f"{key} {USER}")

    def __setitem__(self, key: str, value: Any) -> None:
        raise ConnectionError(f"{value!r} {USER}")


@pytest.mark.parametrize("store", [None, FailingStore()])
def test_a_cache(store: Any, made: Any, server: Any, sinks: Sinks) -> None:
    now = [0.0]
    cache = Cache(ttl=10, stale_while_revalidate=5, stale_if_error=50, personal=True, store=store, clock=lambda: now[0])
    runtime = made(cache=cache)
    server.script(FULL)
    for seconds in (0, 1, 12, 20):
        now[0] = float(seconds)
        rank(runtime, sinks)
        server.always(server.failure(503, message=ECHO))
    sinks.add("repr of the cache", repr(cache))


def test_a_breaker(made: Any, server: Any, sinks: Sinks) -> None:
    server.always(server.failure(503, message=ECHO))
    runtime = made(breaker=CircuitBreaker(min_calls=1))
    for _ in range(2):
        rank(runtime, sinks)


def test_a_hedge(made: Any, server: Any, sinks: Sinks) -> None:
    server.script("hang", server.failure(503, message=ECHO), "hang", FULL)
    runtime = made(hedge=Hedge(after=0.01, percent=100), deadline=0.3)
    rank(runtime, sinks)
    rank(runtime, sinks)


@pytest.mark.parametrize(
    "wrong",
    [
        {"user_id": [USER]},
        {"user_id": USER * 50},
        {"user_id": USER.encode()},
        {"context": {"DEVICE": [DEVICE]}},
        {"context": {"DEVICE": DEVICE * 200}},
        {"context": DEVICE},
        {"filter_values": {"GENRE": f'say "{GENRE}"'}},
        {"filter_values": {"GENRE": [GENRE, 7]}},
        {"filter_values": {"GENRE": GENRE * 100}},
        {"filter_values": {"GENRE": {GENRE: None}}},
        {"filter_values": GENRE},
        {"filter_arn": None},
        {"filter_values": None, "filter_arn": None, "filter": HIDING},
        {"input_list": ["i"] * 51},
    ],
)
def test_an_argument_that_is_refused(wrong: Any, made: Any, sinks: Sinks) -> None:
    rank(made(), sinks, **wrong)


def test_a_promotion(made: Any, server: Any, sinks: Sinks) -> None:
    server.always(server.failure(400, message=f"{USER} wants {PROMOTED}"))
    promotion = Promotion("sale", 50, filter_arn=FILTER, filter_values={"BRAND": PROMOTED})
    sinks.add("repr of the promotion", repr(promotion))
    with suppress(PersonalizeError):
        try:
            made().get_recommendations(campaign_arn=ARN, user_id=USER, promotions=[promotion])
        except PersonalizeError as error:
            sinks.error(error)
            raise


def test_a_caller_s_client(made: Any, server: Any, sinks: Sinks, plain_client: Any) -> None:
    """What botocore logs about a client that is not ours is not ours to change; all else is."""
    server.script(server.failure(400, message=ECHO), server.failure(503, message=ECHO), FULL, "close")
    client = plain_client()
    for name in list(logging.Logger.manager.loggerDict):
        if name.partition(".")[0] in ("botocore", "urllib3"):
            logging.getLogger(name).disabled = True
    try:
        for options in ({}, {"enforce_deadline": True}, {"hedge": Hedge(after=0.01, percent=100)}):
            rank(made(client=client, **options), sinks)
    finally:
        for name in list(logging.Logger.manager.loggerDict):
            logging.getLogger(name).disabled = False

"""Hooks for logging and OpenTelemetry: what is emitted, at which level, under which names, and nothing twice."""

from __future__ import annotations

import contextvars
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from personalize_rt import PersonalizeError, PersonalizeRuntime, RetryPolicy
from personalize_rt import events as told
from personalize_rt.events import AttemptFailed, BreakerChanged, CallEnded, CallStarted
from personalize_rt.resilience.breaker import CircuitBreaker
from personalize_rt.resilience.cache import Cache
from personalize_rt.resilience.fallback import PopularItemsFallback
from personalize_rt.resilience.hedge import Hedge
from personalize_rt.telemetry import LEVELS, LoggingHook, OpenTelemetryHook

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
REQUEST_ID = "fd2ea40f-11f5-461c-b678-6a6a08bdb416"
NAME = "Personalize Runtime.GetRecommendations"


def ask(runtime: Any, **options: Any) -> Any:
    try:
        return runtime.get_recommendations(campaign_arn=ARN, **options)
    except PersonalizeError as error:
        return error


# Logging


def test_each_kind_of_event_has_a_level() -> None:
    # Exposures of experiments are no events of calls.
    kinds = {kind for name in told.__all__ if issubclass(kind := getattr(told, name), told.Event)} - {told.Event}
    assert set(LEVELS) == kinds


def test_a_line_for_each_event_on_the_one_logger(runtime: Any, server: Any, caplog: Any) -> None:
    server.script(429)
    with caplog.at_level(logging.DEBUG, logger="personalize_rt"):
        ask(runtime(hooks=[LoggingHook()]))
    assert {record.name for record in caplog.records if record.name.startswith("personalize_rt")} == {"personalize_rt"}
    lines = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "personalize_rt"]
    assert [line for line in lines if "requests are sent" not in line[1]] == [
        ("DEBUG", f"CallStarted GetRecommendations {ARN}"),
        ("DEBUG", f"AttemptStarted GetRecommendations {ARN} attempt=1"),
        ("INFO", f"AttemptFailed GetRecommendations {ARN} attempt=1 error=ThrottlingError elapsed=0"),
        ("INFO", f"RetryPlanned GetRecommendations {ARN} attempt=1 wait=0.05"),
        ("DEBUG", f"AttemptStarted GetRecommendations {ARN} attempt=2"),
        ("DEBUG", f"AttemptSucceeded GetRecommendations {ARN} attempt=2 elapsed=0.05"),
        (
            "DEBUG",
            f"CallEnded GetRecommendations {ARN} elapsed=0.05 attempts=2 source=service error=None items=1 "
            f"request_id={REQUEST_ID}",
        ),
    ]


def test_at_warning_only_what_somebody_should_look_at_is_logged(runtime: Any, server: Any, caplog: Any) -> None:
    server.always(503)
    breaker = CircuitBreaker(min_calls=1)
    made = runtime(hooks=[LoggingHook()], breaker=breaker, fallback=PopularItemsFallback(["p"]))
    with caplog.at_level(logging.WARNING, logger="personalize_rt"):
        ask(made)
    assert [record.getMessage() for record in caplog.records] == [
        f"BreakerChanged GetRecommendations {ARN} state=open",
        f"FallbackAnswered GetRecommendations {ARN} error=ServerError",
    ]


def test_the_facts_are_on_the_record_too(caplog: Any) -> None:
    with caplog.at_level(logging.INFO, logger="personalize_rt"):
        LoggingHook()(AttemptFailed("GetRecommendations", ARN, 2, "ServerError", 0.25))
    (record,) = caplog.records
    assert record.personalize_rt == {
        "event": "AttemptFailed",
        "operation": "GetRecommendations",
        "resource_arn": ARN,
        "attempt": 2,
        "error": "ServerError",
        "elapsed": 0.25,
    }


def test_logger_and_levels_can_be_chosen(caplog: Any) -> None:
    hook = LoggingHook(logging.getLogger("shop"), levels={CallStarted: logging.ERROR})
    with caplog.at_level(logging.ERROR, logger="shop"):
        hook(CallStarted("GetRecommendations", ARN))
        hook(BreakerChanged("GetRecommendations", ARN, "open"))
    assert [(record.name, record.levelname) for record in caplog.records] == [("shop", "ERROR")]


def test_nothing_is_formatted_that_nobody_logs() -> None:
    class Untouchable(CallStarted):
        __slots__ = ()

        def __getattribute__(self, name: str) -> Any:
            if name in ("operation", "resource_arn"):
                raise AssertionError(name)
            return super().__getattribute__(name)

    logging.getLogger("quiet").setLevel(logging.CRITICAL)
    LoggingHook(logging.getLogger("quiet"))(Untouchable("GetRecommendations", ARN))


# OpenTelemetry


class Seen:
    """Spans and measurements, kept in memory."""

    def __init__(self) -> None:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider(metric_readers=[self.reader])
        self.hook = OpenTelemetryHook(tracer_provider=self.tracers, meter_provider=self.meters)

    @property
    def spans(self) -> list[Any]:
        return list(self.exporter.get_finished_spans())

    def span(self) -> Any:
        (span,) = self.spans
        self.exporter.clear()
        return span

    def points(self) -> dict[str, list[Any]]:
        """The data points of each instrument."""
        data = self.reader.get_metrics_data()
        return {
            metric.name: list(metric.data.data_points)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def seen() -> Iterator[Seen]:
    pytest.importorskip("opentelemetry.sdk")
    seen = Seen()
    yield seen
    seen.meters.shutdown()
    seen.tracers.shutdown()


@pytest.fixture
def made(runtime: Any, seen: Seen) -> Callable[..., Any]:
    return lambda **options: runtime(hooks=[seen.hook], **options)


def current_span() -> Any:
    from opentelemetry import trace

    return trace.get_current_span()


COMMON = {
    "rpc.system": "aws-api",
    "rpc.system.name": "aws-api",
    "rpc.service": "Personalize Runtime",
    "rpc.method": "GetRecommendations",
    "personalize_rt.resource_arn": ARN,
}


def test_a_call_is_one_span_by_the_conventions(made: Any, seen: Seen) -> None:
    from opentelemetry.trace import SpanKind, StatusCode

    ask(made())
    span = seen.span()
    assert (span.name, span.kind, span.status.status_code, list(span.events)) == (
        NAME,
        SpanKind.CLIENT,
        StatusCode.UNSET,
        [],
    )
    assert dict(span.attributes) == COMMON | {
        "cloud.region": "eu-west-1",
        "aws.request_id": REQUEST_ID,
        "personalize_rt.attempts": 1,
        "personalize_rt.source": "service",
        "personalize_rt.items": 1,
    }
    assert span.instrumentation_scope.name == "personalize_rt"


def test_what_happens_in_a_call_are_events_of_its_span(made: Any, seen: Seen, server: Any) -> None:
    from opentelemetry.trace import StatusCode

    server.script(429, 503)
    ask(made())
    span = seen.span()
    assert [event.name for event in span.events] == ["attempt failed", "retry planned"] * 2
    assert dict(span.events[0].attributes) == {"attempt": 1, "error.type": "ThrottlingError", "elapsed": 0.0}
    assert (span.attributes["personalize_rt.attempts"], span.status.status_code) == (3, StatusCode.UNSET)


def test_a_call_that_raises_is_an_error(made: Any, seen: Seen, server: Any) -> None:
    from opentelemetry.trace import StatusCode

    server.script(404)
    ask(made())
    span = seen.span()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ResourceNotFoundError")
    assert span.attributes["error.type"] == "ResourceNotFoundError"
    assert "personalize_rt.source" not in span.attributes


def test_a_call_that_a_fallback_answers_is_none(made: Any, seen: Seen, server: Any) -> None:
    from opentelemetry.trace import StatusCode

    server.script(503)
    ask(made(fallback=PopularItemsFallback(["p"]), retry={"attempts": 1}))
    span = seen.span()
    assert (span.status.status_code, span.attributes["personalize_rt.source"]) == (StatusCode.UNSET, "fallback")
    assert [event.name for event in span.events] == ["attempt failed", "fallback answered"]


def test_the_span_is_a_child_of_the_current_one_and_current_itself(made: Any, seen: Seen, server: Any) -> None:
    inside: list[Any] = []

    class Watching(PopularItemsFallback):
        def recommendations(self, request: Any, /) -> Any:
            inside.append(current_span().get_span_context())
            return super().recommendations(request)

    server.script(503)
    tracer = seen.tracers.get_tracer("page")
    with tracer.start_as_current_span("page") as page:
        ask(made(fallback=Watching(["p"]), retry={"attempts": 1}))
        assert current_span() is page
    call = seen.spans[0]
    assert call.parent.span_id == page.get_span_context().span_id
    assert inside == [call.get_span_context()]


@pytest.mark.parametrize("outcome", [None, 429, 404, "close", {"itemList": 7}])
def test_after_a_call_the_context_is_what_it_was(outcome: Any, made: Any, seen: Seen, server: Any) -> None:
    from opentelemetry import context

    before = context.get_current()
    server.script(outcome)
    ask(made())
    assert context.get_current() == before
    assert not current_span().get_span_context().is_valid


def test_calls_of_several_threads_do_not_meet(made: Any, seen: Seen, server: Any) -> None:
    everybody = threading.Barrier(4)
    server.always(lambda _: everybody.wait(10) and None)
    runtime = made()
    runtime.connect()
    parents: dict[int, int] = {}

    def work() -> None:
        with seen.tracers.get_tracer("page").start_as_current_span("page") as page:
            ask(runtime)
            parents[page.get_span_context().span_id] = page.get_span_context().trace_id

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    calls = [span for span in seen.spans if span.name == NAME]
    assert {call.parent.span_id: call.context.trace_id for call in calls} == parents


def test_a_call_within_a_fallback_is_a_child_of_the_call_around_it(made: Any, seen: Seen, server: Any) -> None:
    inner = made()

    class Asking(PopularItemsFallback):
        def recommendations(self, request: Any, /) -> Any:
            return inner.get_recommendations(campaign_arn=ARN)

    server.script(503)
    ask(made(fallback=Asking(["p"]), retry={"attempts": 1}))
    first, second = seen.spans
    assert first.parent.span_id == second.context.span_id
    assert second.attributes["personalize_rt.source"] == "fallback"


def test_a_call_may_end_in_another_context_than_it_began(seen: Seen, caplog: Any) -> None:
    """As in a task whose parts run in copies of its context."""
    contextvars.copy_context().run(seen.hook, CallStarted("GetRecommendations", ARN))
    seen.hook(CallEnded("GetRecommendations", ARN, 0.1, 1, "service", None, 1, None))  # of a call that we never saw
    assert seen.spans == []
    assert caplog.text == ""


def test_a_revalidation_is_a_span_of_its_own(made: Any, seen: Seen, fake_time: Any, background: Any) -> None:
    runtime = made(cache=Cache(ttl=10, stale_while_revalidate=10, clock=fake_time.clock))
    ask(runtime)
    seen.exporter.clear()
    fake_time.now += 11
    ask(runtime)
    background.end()
    assert sorted(span.attributes["personalize_rt.source"] for span in seen.spans) == ["cache", "service"]


def test_measurements(made: Any, seen: Seen, server: Any, fake_time: Any) -> None:
    server.script(429, fake_time.passes(0.2), 404)
    runtime = made()
    ask(runtime)
    ask(runtime)
    points = seen.points()
    durations = {point.attributes.get("error.type"): point for point in points["rpc.client.call.duration"]}
    assert dict(durations[None].attributes) == COMMON | {"personalize_rt.source": "service"}
    assert (durations[None].count, durations[None].sum) == (1, pytest.approx(0.25))
    assert durations[None].explicit_bounds[:3] == (0.005, 0.01, 0.025)
    assert dict(durations["ResourceNotFoundError"].attributes) == COMMON | {"error.type": "ResourceNotFoundError"}
    attempts = {point.attributes.get("error.type"): point.value for point in points["personalize_rt.attempts"]}
    assert attempts == {"ThrottlingError": 1, None: 1, "ResourceNotFoundError": 1}
    assert [point.value for point in points["personalize_rt.retries"]] == [1]


def test_measurements_of_the_policies(made: Any, seen: Seen, server: Any, fake_time: Any) -> None:
    runtime = made(
        cache=Cache(ttl=10, stale_if_error=100, clock=fake_time.clock),
        breaker=CircuitBreaker(min_calls=2, clock=fake_time.clock),
        fallback=PopularItemsFallback(["p"]),
        retry={"attempts": 1},
    )
    ask(runtime)
    ask(runtime)
    server.always(503)
    fake_time.now += 11
    ask(runtime)
    ask(runtime, num_results=3)
    points = seen.points()
    cached = {point.attributes["personalize_rt.stale"]: point.value for point in points["personalize_rt.cache.answers"]}
    assert cached == {False: 1, True: 1}
    (changed,) = points["personalize_rt.breaker.changes"]
    assert (changed.attributes["personalize_rt.state"], changed.value) == ("open", 1)
    (answered,) = points["personalize_rt.fallback.answers"]
    assert (answered.attributes["error.type"], answered.value) == ("ServerError", 1)


def test_a_hedge_is_an_event_of_the_call_that_it_is_for(seen: Seen, session: Any, server: Any) -> None:
    server.script("hang")
    with PersonalizeRuntime(
        session=session,
        endpoint_url=server.url,
        hooks=[seen.hook],
        hedge=Hedge(after=0.01, percent=100),
        deadline=None,
        retry=RetryPolicy(1),
    ) as runtime:
        ask(runtime)
    span = seen.span()
    assert [event.name for event in span.events] == ["hedge started"]
    assert [point.value for point in seen.points()["personalize_rt.hedges"]] == [1]


# Beside the instrumentor of botocore


@pytest.fixture
def instrumented(seen: Seen) -> Iterator[None]:
    botocore: Any = pytest.importorskip("opentelemetry.instrumentation.botocore")
    instrumentor = botocore.BotocoreInstrumentor()
    instrumentor.instrument(tracer_provider=seen.tracers, meter_provider=seen.meters, skip_dep_check=True)
    yield
    instrumentor.uninstrument()


@pytest.mark.usefixtures("instrumented")
def test_without_the_hook_the_instrumentor_makes_its_span(runtime: Any, seen: Seen) -> None:
    ask(runtime())
    assert seen.span().attributes["rpc.service"] == "Personalize Runtime"


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize("outcomes", [[], [429], [503, 503], [404], ["close"]])
def test_beside_the_instrumentor_there_is_one_span_a_call(outcomes: Any, made: Any, seen: Seen, server: Any) -> None:
    server.script(*outcomes)
    ask(made())
    assert seen.span().instrumentation_scope.name == "personalize_rt"


@pytest.mark.usefixtures("instrumented")
def test_the_instrumentor_s_span_and_ours_have_the_same_name_and_common_attributes(
    runtime: Any, made: Any, seen: Seen
) -> None:
    ask(runtime())
    theirs = seen.span()
    ask(made())
    ours = seen.span()
    assert ours.name == theirs.name
    assert ours.kind == theirs.kind
    for name in ("rpc.system", "rpc.service", "rpc.method", "cloud.region"):
        assert ours.attributes[name] == theirs.attributes[name]


@pytest.mark.usefixtures("instrumented")
def test_our_span_is_the_one_that_the_request_names(made: Any, seen: Seen, server: Any) -> None:
    ask(made())
    header = server.received[0].headers["x-amzn-trace-id"]
    assert f"Parent={seen.span().context.span_id:016x}" in header


@pytest.mark.usefixtures("instrumented")
def test_other_clients_keep_their_spans(made: Any, seen: Seen, plain_client: Any, server: Any) -> None:
    ask(made())
    seen.exporter.clear()
    plain_client().get_recommendations(campaignArn=ARN)
    assert seen.span().instrumentation_scope.name != "personalize_rt"
    server.script(503)

    class Asking(PopularItemsFallback):
        def recommendations(self, request: Any, /) -> Any:
            plain_client().get_recommendations(campaignArn=ARN)
            return super().recommendations(request)

    ask(made(fallback=Asking(["p"]), retry={"attempts": 1}))
    inner, outer = seen.spans
    assert inner.parent.span_id == outer.context.span_id


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize("options", [{"hedge": Hedge(after=0.01, percent=100)}, {"enforce_deadline": True}])
def test_beside_the_instrumentor_requests_on_other_threads_have_no_span_of_their_own(
    options: Any, seen: Seen, plain_client: Any, server: Any, background: Any
) -> None:
    if "hedge" in options:
        server.script("hang")
    runtime = PersonalizeRuntime(
        client=plain_client(read_timeout=1), hooks=[seen.hook], deadline=None, retry=RetryPolicy(1), **options
    )
    ask(runtime)
    background.end()
    assert [span.instrumentation_scope.name for span in seen.spans] == ["personalize_rt"]


# What it costs who does not use it


def test_without_the_extra_the_error_names_it() -> None:
    script = """
import sys
sys.modules["opentelemetry"] = None
from personalize_rt.telemetry import LoggingHook, OpenTelemetryHook
LoggingHook()
try:
    OpenTelemetryHook()
except Exception as error:
    print(type(error).__name__, error)
"""
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed == 'ConfigurationError opentelemetry-api is not installed: pip install "personalize-rt[otel]"\n'


def test_the_module_imports_no_opentelemetry() -> None:
    script = "import sys, personalize_rt.telemetry; print('opentelemetry' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "False\n"

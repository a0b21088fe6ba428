"""Telemetry of the async client: each task's calls are its own, nothing twice, nothing that must not be shown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("aiobotocore")
pytest.importorskip("opentelemetry.sdk")
from opentelemetry import context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from personalize_rt import Hedge, PersonalizeError, RetryPolicy
from personalize_rt.aio import AsyncPersonalizeRuntime
from personalize_rt.telemetry import LoggingHook, OpenTelemetryHook

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
USER, DEVICE = "ada.lovelace@example.org", "difference-engine"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracers(exporter: InMemorySpanExporter) -> Iterator[TracerProvider]:
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    yield tracers
    tracers.shutdown()


@pytest.fixture
def options(server: Any, tracers: TracerProvider) -> dict[str, Any]:
    return {
        "region_name": "eu-west-1",
        "endpoint_url": server.url,
        "hooks": [OpenTelemetryHook(tracer_provider=tracers)],
        "retry": RetryPolicy(2, base=0.001),
        "deadline": 20,
    }


async def ask(runtime: Any) -> Any:
    try:
        return await runtime.get_recommendations(campaign_arn=ARN, user_id=USER, context={"DEVICE": DEVICE})
    except PersonalizeError as error:
        return error


def test_a_call_is_one_span_and_leaves_the_context_as_it_was(options: Any, exporter: Any, server: Any) -> None:
    server.script(503)

    async def main() -> None:
        async with AsyncPersonalizeRuntime(**options) as runtime:
            before = context.get_current()
            await ask(runtime)
            assert context.get_current() == before

    asyncio.run(main())
    (span,) = exporter.get_finished_spans()
    assert span.name == "Personalize Runtime.GetRecommendations"
    assert [event.name for event in span.events] == ["attempt failed", "retry planned"]
    assert span.attributes["personalize_rt.attempts"] == 2


def test_calls_of_many_tasks_do_not_meet(options: Any, exporter: Any, tracers: Any) -> None:
    parents: dict[int, int] = {}

    async def page(runtime: Any) -> None:
        with tracers.get_tracer("page").start_as_current_span("page") as span:
            await asyncio.gather(ask(runtime), ask(runtime))
            assert trace.get_current_span() is span
            parents[span.get_span_context().span_id] = span.get_span_context().trace_id

    async def main() -> None:
        async with AsyncPersonalizeRuntime(**options) as runtime:
            async with asyncio.TaskGroup() as group:
                for _ in range(20):
                    group.create_task(page(runtime))

    asyncio.run(main())
    calls = [span for span in exporter.get_finished_spans() if span.name != "page"]
    assert len(calls) == 40
    assert {call.parent.span_id: call.context.trace_id for call in calls} == parents


def test_a_call_that_is_cancelled_ends_its_span(options: Any, exporter: Any, server: Any) -> None:
    server.always("hang")

    async def main() -> None:
        async with AsyncPersonalizeRuntime(**options) as runtime:
            await runtime.connect()
            task = asyncio.create_task(ask(runtime))
            while not server.count:
                await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(main())
    (span,) = exporter.get_finished_spans()
    assert span.attributes["error.type"] == "CancelledError"


@pytest.mark.parametrize("policies", [{}, {"hedge": Hedge(after=0.01, percent=100)}])
@pytest.mark.parametrize("instrumentor", ["BotocoreInstrumentor", "AiobotocoreInstrumentor"])
def test_beside_the_instrumentors_there_is_one_span_a_call(
    policies: Any, instrumentor: str, options: Any, exporter: Any, tracers: Any, server: Any
) -> None:
    instrumentation: Any = pytest.importorskip("opentelemetry.instrumentation.botocore")
    made = getattr(instrumentation, instrumentor)()
    made.instrument(tracer_provider=tracers, skip_dep_check=True)
    server.script("hang" if policies else 503)

    async def main() -> None:
        async with AsyncPersonalizeRuntime(**options, **policies) as runtime:
            await ask(runtime)

    try:
        asyncio.run(main())
    finally:
        try:
            made.uninstrument()
        except AttributeError:  # that of aiobotocore takes its class for a module
            import aiobotocore.client
            from opentelemetry.instrumentation.utils import unwrap

            unwrap(aiobotocore.client.AioBaseClient, "_make_api_call")
    assert [span.instrumentation_scope.name for span in exporter.get_finished_spans()] == ["personalize_rt"]


@pytest.mark.parametrize("outcome", [None, 400, 429, "close"])
def test_logs_show_nothing_of_what_a_request_carries(outcome: Any, options: Any, server: Any, caplog: Any) -> None:
    if isinstance(outcome, int):
        outcome = server.failure(outcome, message=f"{USER} with {DEVICE}")
    server.always(outcome)
    caplog.set_level(logging.DEBUG)

    async def main() -> None:
        async with AsyncPersonalizeRuntime(**{**options, "hooks": [LoggingHook()]}) as runtime:
            await ask(runtime)

    asyncio.run(main())
    lines = [record.getMessage() for record in caplog.records]
    assert any("Making request" in line for line in lines)
    assert [line for line in lines if USER in line or DEVICE in line] == []

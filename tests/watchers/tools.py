"""Tracers and test doubles, each with what it saw in a form that can be compared: no ids, times and addresses.

Each is a context manager that gives a function, which returns what was seen since it was last called. Nothing of boto3
or of this project is imported before a tool starts, unless the tool does it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

Seen = Callable[[], list[Any]]
REPLY = {"itemList": [{"itemId": "a", "score": 0.5}, {"itemId": "b", "score": 0.25}], "recommendationId": "RID"}
TOOLS: dict[str, Callable[[Sequence[str]], Any]] = {}


def tool(function: Callable[[Sequence[str]], Iterator[Seen]]) -> Callable[[Sequence[str]], Any]:
    made = contextmanager(function)
    TOOLS[function.__name__] = made
    return made


def _emptied(seen: list[Any]) -> Seen:
    def take() -> list[Any]:
        taken = list(seen)
        seen.clear()
        return taken

    return take


# Tracers.


@tool
def opentelemetry(urls: Sequence[str]) -> Iterator[Seen]:
    from opentelemetry.instrumentation.botocore import BotocoreInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    hooked: list[Any] = []
    BotocoreInstrumentor().instrument(
        tracer_provider=provider,
        request_hook=lambda span, service, operation, params: hooked.append([service, operation, params]),
        response_hook=lambda span, service, operation, result: hooked.append(
            [operation, result["itemList"], result["recommendationId"], sorted(result)]
        ),
    )

    def take() -> list[Any]:
        spans = [_span(span.name, dict(span.attributes or {})) for span in exporter.get_finished_spans()]
        exporter.clear()
        taken = [*spans, *hooked]
        hooked.clear()
        return taken

    yield take
    BotocoreInstrumentor().uninstrument()


@tool
def opentelemetry_of_urllib3(urls: Sequence[str]) -> Iterator[Seen]:
    from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    URLLib3Instrumentor().instrument(tracer_provider=provider)

    def take() -> list[Any]:
        spans = [_span(span.name, dict(span.attributes or {})) for span in exporter.get_finished_spans()]
        exporter.clear()
        return spans

    yield take
    URLLib3Instrumentor().uninstrument()


@tool
def xray(urls: Sequence[str]) -> Iterator[Seen]:
    from aws_xray_sdk.core import patch, xray_recorder

    seen: list[Any] = []

    class Emitter:
        def send_entity(self, entity: Any) -> None:
            for sub in entity.subsegments:
                seen.append(_span(sub.name, {**sub.aws, **sub.http.get("response", {})}))

    xray_recorder.configure(sampling=False, emitter=Emitter(), service="tests", context_missing="IGNORE_ERROR")
    patch(["botocore"])
    xray_recorder.begin_segment("tests")

    def take() -> list[Any]:
        xray_recorder.end_segment()
        taken = list(seen)
        seen.clear()
        xray_recorder.begin_segment("tests")
        return taken

    yield take


@tool
def datadog(urls: Sequence[str]) -> Iterator[Seen]:
    import os

    os.environ |= {"DD_TRACE_STARTUP_LOGS": "false", "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false"}
    from ddtrace import patch
    from ddtrace.trace import TraceFilter, tracer

    seen: list[Any] = []

    class Kept(TraceFilter):
        def process_trace(self, trace: Any) -> None:
            seen.extend(_span(span.name, {"resource": span.resource, **span.get_tags()}) for span in trace)

    tracer.configure(trace_processors=[Kept()])
    patch(botocore=True)
    yield _emptied(seen)


@tool
def sentry(urls: Sequence[str]) -> Iterator[Seen]:
    import sentry_sdk

    seen: list[Any] = []

    def keep(event: Any, hint: Any) -> None:
        seen.extend(_span(span["op"], {"what": span["description"], **span["data"]}) for span in event["spans"])

    sentry_sdk.init("http://key@127.0.0.1:9/1", traces_sample_rate=1.0, before_send_transaction=keep)

    def take() -> list[Any]:
        transaction.finish()
        taken = list(seen)
        seen.clear()
        begin()
        return taken

    transaction: Any

    def begin() -> None:
        nonlocal transaction
        transaction = sentry_sdk.start_transaction(name="tests")
        transaction.__enter__()

    begin()
    yield take


@tool
def wrapt_of_api_calls(urls: Sequence[str]) -> Iterator[Seen]:
    """As New Relic and others do it."""
    import wrapt

    seen: list[Any] = []

    def around(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        result = wrapped(*args, **kwargs)
        seen.append([list(args), _plain(kwargs), result["itemList"], sorted(result)])
        return result

    wrapt.wrap_function_wrapper("botocore.client", "BaseClient._make_api_call", around)
    yield _emptied(seen)


@tool
def debug_logging(urls: Sequence[str]) -> Iterator[Seen]:
    import logging

    seen: list[Any] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.funcName in ("_send_request", "prepare_request") or record.name == "botocore.parsers":
                # Not the text, of which this project's filter hides what is personal.
                seen.append([record.name, record.levelname, record.funcName])

    logger = logging.getLogger("botocore")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(Kept())
    yield _emptied(seen)


# Test doubles.


@tool
def vcrpy(urls: Sequence[str]) -> Iterator[Seen]:
    import vcr

    with vcr.VCR().use_cassette("memory.yaml", record_mode="none") as cassette:
        from vcr.request import Request

        reply = {
            "status": {"code": 200, "message": "OK"},
            "headers": {"content-type": ["application/json"]},
            "body": {"string": json.dumps(REPLY).encode()},
        }
        cassette.allow_playback_repeats = True
        for url in urls:
            cassette.append(Request("POST", f"{url}/recommendations", b"", {}), reply)
        before = 0

        def take() -> list[Any]:
            nonlocal before
            played = cassette.play_count - before
            before = cassette.play_count
            return ["played", played]

        yield take
        cassette.dirty = False  # nothing is to be written


@tool
def pook(urls: Sequence[str]) -> Iterator[Seen]:
    import pook as pook_

    pook_.on()
    answers = [pook_.post(f"{url}/recommendations").persist().reply(200).json(REPLY).mock for url in urls]
    before = 0

    def take() -> list[Any]:
        nonlocal before
        calls = sum(answer.calls for answer in answers)
        new, before = calls - before, calls
        return ["calls", new]

    yield take
    pook_.off()


@tool
def mocket(urls: Sequence[str]) -> Iterator[Seen]:
    from mocket import Mocket, Mocketizer
    from mocket.mocks.mockhttp import Entry

    with Mocketizer(strict_mode=False):
        for url in urls:
            told = {"content-type": "application/json"}
            Entry.single_register(Entry.POST, f"{url}/recommendations", body=json.dumps(REPLY), headers=told)
        before = 0

        def take() -> list[Any]:
            nonlocal before
            requests = Mocket.request_list()
            seen, before = requests[before:], len(requests)
            return [[request.method, request.path] for request in seen]

        yield take


@tool
def moto(urls: Sequence[str]) -> Iterator[Seen]:
    from moto import mock_aws

    with mock_aws():
        yield list


@tool
def pytest_socket(urls: Sequence[str]) -> Iterator[Seen]:
    from pytest_socket import disable_socket, enable_socket

    disable_socket(allow_unix_socket=True)  # which an event loop has
    yield list
    enable_socket()


@tool
def pytest_socket_of_hosts(urls: Sequence[str]) -> Iterator[Seen]:
    from pytest_socket import enable_socket, socket_allow_hosts

    socket_allow_hosts(["10.9.8.7"])
    yield list
    enable_socket()


def _patched(name: str, target: str, seen_of: Callable[..., Any] = lambda *args, **kwargs: "called") -> None:
    def patched(urls: Sequence[str]) -> Iterator[Seen]:
        from importlib import import_module

        seen: list[Any] = []
        module, _, rest = target.partition(":")
        owner: Any = import_module(module)
        *path, last = rest.split(".")
        for part in path:
            owner = getattr(owner, part)
        real = getattr(owner, last)

        def around(*args: Any, **kwargs: Any) -> Any:
            seen.append(_plain(seen_of(*args, **kwargs)))
            return real(*args, **kwargs)

        with mock.patch.object(owner, last, around):
            yield _emptied(seen)

    patched.__name__ = name
    tool(patched)


_patched("patched_make_api_call", "botocore.client:BaseClient._make_api_call", lambda self, *args: [*args])
_patched("patched_make_request", "botocore.endpoint:Endpoint.make_request", lambda self, model, request: [model.name])
_patched("patched_endpoint_send", "botocore.endpoint:Endpoint._send", lambda self, request: [request.method])
_patched(
    "patched_session_send", "botocore.httpsession:URLLib3Session.send", lambda self, request: sorted(request.headers)
)
_patched("patched_urlopen", "urllib3.connectionpool:HTTPConnectionPool.urlopen", lambda self, *args, **kwargs: "called")
_patched("patched_http_connection_request", "botocore.awsrequest:AWSHTTPConnection.request")
_patched("patched_create_connection", "urllib3.util.connection:create_connection", lambda address, *a, **k: address[0])
_patched("patched_getaddrinfo", "socket:getaddrinfo", lambda host, *args, **kwargs: host)


@tool
def patched_socket(urls: Sequence[str]) -> Iterator[Seen]:
    import socket

    seen: list[Any] = []

    class Watched(socket.socket):
        def connect(self, address: Any) -> None:
            seen.append("connect")
            super().connect(address)

    with mock.patch("socket.socket", Watched):
        yield _emptied(seen)


_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{16,}|\d{8}T\d{6}Z|127\.0\.0\.1:\d+|0x[0-9a-f]+|object at .*?>")


def _plain(value: Any) -> Any:
    """A value that JSON can hold, without what differs from call to call."""
    if isinstance(value, str):
        return _ID.sub("…", value)
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value if isinstance(value, int | float | bool | None) else type(value).__name__


# Of the process, of the time, or of the socket of a call.
_VARY = re.compile(r"port|id$|thread|runtime|duration|retry|_dd\.|language|pid|version|peer|net\.|server\.")


def _span(name: str, attributes: dict[str, Any]) -> list[Any]:
    return [name, {key: _plain(value) for key, value in sorted(attributes.items()) if not _VARY.search(key)}]

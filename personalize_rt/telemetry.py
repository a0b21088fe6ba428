"""Hooks for logging and for OpenTelemetry.

A hook is any function of an event (:mod:`personalize_rt.events`). Two common ones are here::

    runtime = PersonalizeRuntime(hooks=[LoggingHook(), OpenTelemetryHook()])

Events have no user id, context, filter value or item metadata, so neither have logs, spans and metrics.
OpenTelemetry needs the extra ``[otel]``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs

from personalize_rt._version import __version__
from personalize_rt.errors import ConfigurationError
from personalize_rt.events import (
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    BreakerChanged,
    CacheAnswered,
    CallEnded,
    CallStarted,
    Event,
    EventsDropped,
    EventsFailed,
    EventsQueued,
    EventsSent,
    FallbackAnswered,
    HedgeStarted,
    RetryPlanned,
)

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

__all__ = ["LEVELS", "LoggingHook", "OpenTelemetryHook"]

LEVELS: Mapping[type[Event], int] = MappingProxyType(
    {
        CallStarted: logging.DEBUG,
        AttemptStarted: logging.DEBUG,
        AttemptSucceeded: logging.DEBUG,
        AttemptFailed: logging.INFO,
        RetryPlanned: logging.INFO,
        HedgeStarted: logging.DEBUG,
        CacheAnswered: logging.DEBUG,
        BreakerChanged: logging.WARNING,
        FallbackAnswered: logging.WARNING,
        CallEnded: logging.DEBUG,
        EventsQueued: logging.DEBUG,
        EventsSent: logging.DEBUG,
        EventsDropped: logging.WARNING,
        EventsFailed: logging.WARNING,
    }
)
"""The level of each event. There is none for failed calls, which raise an exception."""


class LoggingHook:
    """Writes one line for each event to standard logging.

    The line is for people. For formatters that write JSON, the record has the same facts in ``record.personalize_rt``,
    a ``dict`` with ``event`` and the fields of the event.

    Args:
        logger: The logger; by default ``personalize_rt``, the only one that this package writes to.
        levels: Levels for some kinds of event, in place of those in :data:`LEVELS`.
    """

    def __init__(self, logger: logging.Logger | None = None, *, levels: Mapping[type[Event], int] = LEVELS) -> None:
        self._logger = logging.getLogger("personalize_rt") if logger is None else logger
        self._levels = {**LEVELS, **levels}

    def __call__(self, event: Event) -> None:
        """Log an event."""
        level = self._levels.get(type(event), logging.DEBUG)
        if not self._logger.isEnabledFor(level):
            return
        fields = attrs.asdict(event)
        details = " ".join(f"{name}={_short(value)}" for name, value in fields.items() if name not in _EVERYWHERE)
        self._logger.log(
            level,
            "%s %s %s%s",
            type(event).__name__,
            event.operation,
            event.resource_arn,
            f" {details}" if details else "",
            extra={"personalize_rt": {"event": type(event).__name__, **fields}},
        )


_EVERYWHERE = ("operation", "resource_arn")


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class OpenTelemetryHook:
    """Records a span and metrics of each call, by the semantic conventions for AWS SDK clients and RPC.

    A call is one span of kind CLIENT, named ``Personalize Runtime.GetRecommendations`` as by the botocore instrumentor.
    Attempts, retries, hedges, cache, breaker and fallback are events of the span. While one of the call's requests is
    in flight, instrumentation of lower layers is suppressed: the botocore instrumentor makes no second span (which
    would show the request), but still propagates this one in the request's headers. Other clients of the program keep
    their spans.

    The span is a child of the current one, and becomes the current one during the call.

    Args:
        tracer_provider: The tracer provider; by default the global one.
        meter_provider: The meter provider; by default the global one.

    Raises:
        ConfigurationError: ``opentelemetry-api`` is not installed.
    """

    def __init__(
        self, *, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        self._api = _Api()
        self._tracer = self._api.trace.get_tracer("personalize_rt", __version__, tracer_provider)
        self._meters = _Meters(self._api.metrics.get_meter("personalize_rt", __version__, meter_provider))
        # The innermost open call of this thread or task. Calls nest, since a fallback may make calls of its own.
        self._calls: ContextVar[_OpenCall | None] = ContextVar("personalize_rt_calls", default=None)
        self._handlers: Mapping[type[Event], Callable[[Any], None]] = {
            CallStarted: self._call_started,
            AttemptStarted: self._attempt_started,
            AttemptSucceeded: self._attempt_ended,
            AttemptFailed: self._attempt_ended,
            CallEnded: self._call_ended,
        }

    def __call__(self, event: Event) -> None:
        """Record an event."""
        self._handlers.get(type(event), self._noted)(event)
        self._meters.measure(event)

    def _call_started(self, event: CallStarted) -> None:
        before = self._api.context.get_current()
        span = self._tracer.start_span(
            f"{_SERVICE}.{event.operation}", kind=self._api.trace.SpanKind.CLIENT, attributes=_span_attributes(event)
        )
        call = _OpenCall(span, before, self._api.trace.set_span_in_context(span, before), self._calls.get())
        self._calls.set(call)
        self._api.context.attach(call.within)

    def _attempt_started(self, event: AttemptStarted) -> None:
        call = self._calls.get()
        if call is not None:
            self._api.context.attach(self._api.suppressed(call.within))

    def _attempt_ended(self, event: AttemptSucceeded | AttemptFailed) -> None:
        call = self._calls.get()
        if call is not None:
            self._api.context.attach(call.within)
        if isinstance(event, AttemptFailed):
            self._noted(event)

    def _noted(self, event: Event) -> None:
        call = self._calls.get()
        if call is not None:
            call.span.add_event(_EVENT_NAMES[type(event)], _event_attributes(event))

    def _call_ended(self, event: CallEnded) -> None:
        call = self._calls.get()
        if call is None:
            return
        self._calls.set(call.outer)
        # Not detach(), whose token is bound to the context of one task: a call may end in another task.
        self._api.context.attach(call.before)
        span = call.span
        span.set_attributes(_end_attributes(event))
        if event.error is not None:
            span.set_status(self._api.trace.StatusCode.ERROR, event.error)
        span.end()


_SERVICE = "Personalize Runtime"  # the service id of the model, as AWS's SDKs and the botocore instrumentor give it
_SYSTEM = "aws-api"

_EVENT_NAMES: Mapping[type[Event], str] = {
    AttemptFailed: "attempt failed",
    RetryPlanned: "retry planned",
    HedgeStarted: "hedge started",
    CacheAnswered: "cache answered",
    BreakerChanged: "breaker changed",
    FallbackAnswered: "fallback answered",
    EventsQueued: "events queued",
    EventsSent: "events sent",
    EventsDropped: "events dropped",
    EventsFailed: "events failed",
}


@attrs.frozen(eq=False)
class _OpenCall:
    """An open call: its span, the OpenTelemetry contexts outside and inside of it, and the enclosing call."""

    span: Span
    before: Context
    within: Context
    outer: _OpenCall | None


class _Api:
    """``opentelemetry-api``, imported when a hook is created."""

    def __init__(self) -> None:
        try:
            from opentelemetry import context, metrics, trace
        except ImportError:
            missing = True
        else:
            missing = False
            self.context, self.metrics, self.trace = context, metrics, trace
            # Instrumentors look for the first key; older ones for the second.
            keys = [getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", None), "suppress_instrumentation"]
            self._suppress = [key for key in keys if key is not None]
        if missing:
            raise ConfigurationError('opentelemetry-api is not installed: pip install "personalize-rt[otel]"')

    def suppressed(self, context: Context) -> Context:
        """A context in which instrumentors make no spans."""
        for key in self._suppress:
            context = self.context.set_value(key, True, context)
        return context


def _attributes(event: Event) -> dict[str, Any]:
    return {
        # "rpc.system" by the conventions for AWS SDKs; "rpc.system.name" by those for RPC since 1.38.
        "rpc.system": _SYSTEM,
        "rpc.system.name": _SYSTEM,
        "rpc.service": _SERVICE,
        "rpc.method": event.operation,
        "personalize_rt.resource_arn": event.resource_arn,
    }


def _span_attributes(event: Event) -> dict[str, Any]:
    region = event.resource_arn.split(":")[3:4]
    return _attributes(event) | ({"cloud.region": region[0]} if region and region[0] else {})


def _end_attributes(event: CallEnded) -> dict[str, Any]:
    found = {
        "aws.request_id": event.request_id,
        "error.type": event.error,
        "personalize_rt.attempts": event.attempts,
        "personalize_rt.source": event.source,
        "personalize_rt.items": event.items,
    }
    return {name: value for name, value in found.items() if value is not None}


def _event_attributes(event: Event) -> dict[str, Any]:
    names = {"error": "error.type"}
    fields = attrs.asdict(event)
    return {names.get(name, name): value for name, value in fields.items() if name not in _EVERYWHERE}


class _Meters:
    """The metric instruments, updated by events."""

    def __init__(self, meter: Any) -> None:
        self._duration = meter.create_histogram(
            "rpc.client.call.duration",
            unit="s",
            description="Seconds from the beginning of a call to its answer or error.",
            # As recommended by the conventions for RPC.
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )
        counters = {
            "attempts": "Requests that were answered or failed.",
            "retries": "Requests that were sent again.",
            "hedges": "Second requests for a late answer.",
            "cache.answers": "Calls that the cache answered.",
            "fallback.answers": "Calls that a fallback answered.",
            "breaker.changes": "Changes of a breaker's state.",
            "events": "Events of users that a tracker queued, sent, dropped, or was refused.",
        }
        self._counters = {
            name: meter.create_counter(f"personalize_rt.{name}", unit="1", description=description)
            for name, description in counters.items()
        }

    def measure(self, event: Event) -> None:
        attributes = _attributes(event)
        match event:
            case CallEnded():
                found = {"error.type": event.error, "personalize_rt.source": event.source}
                attributes |= {name: value for name, value in found.items() if value is not None}
                self._duration.record(event.elapsed, attributes)
            case AttemptSucceeded():
                self._counters["attempts"].add(1, attributes)
            case AttemptFailed():
                self._counters["attempts"].add(1, {**attributes, "error.type": event.error})
            case RetryPlanned():
                self._counters["retries"].add(1, attributes)
            case HedgeStarted():
                self._counters["hedges"].add(1, attributes)
            case CacheAnswered():
                self._counters["cache.answers"].add(1, {**attributes, "personalize_rt.stale": event.stale})
            case FallbackAnswered():
                self._counters["fallback.answers"].add(1, {**attributes, "error.type": event.error})
            case BreakerChanged():
                self._counters["breaker.changes"].add(1, {**attributes, "personalize_rt.state": event.state})
            case EventsQueued() | EventsSent() | EventsDropped() | EventsFailed():
                outcome = type(event).__name__.removeprefix("Events").lower()
                self._counters["events"].add(event.events, {**attributes, "personalize_rt.outcome": outcome})
            case _:
                pass


_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

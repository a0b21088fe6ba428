"""What goes wrong on purpose: a list of rules, asked once for each request.

``decide(request)`` says what befalls a request and does nothing else: it sends nothing and waits for nothing. A door
of the embedded service then makes it happen, each in its way:

=====================  =============================  ====================================================
what is decided        over HTTP                      in process (see :func:`as_seen_by_client`)
=====================  =============================  ====================================================
``delay``              waits before it answers        the clock moves on; ``read_timeout`` if that is over
an error answer        sends it                       gives it to the client
``NoAnswer``           keeps the connection, silent   ``read_timeout``, after the client's own time-out
``Drip``               sends a byte at a time         the clock moves on, for all the bytes together;
                                                      ``read_timeout`` if two bytes are too far apart
``Reset``              part of the answer, then RST   ``connection_closed``
``Truncate``           a shorter body, rightly        the same
                       announced
``InvalidJson``        a broken body, rightly         the same
                       announced
``WrongLength``        announces more than it sends,  a body that is shorter than its content-length;
                       or less                        or a cut body
=====================  =============================  ====================================================

A boto3 client raises ``ReadTimeoutError`` for ``read_timeout`` and ``ConnectionClosedError`` for
``connection_closed``. For a body that is shorter than its content-length, botocore before 1.44 raises
``ConnectionClosedError`` too; later versions do not look, and take what came. Nothing here makes a
``ConnectTimeoutError``: a fault needs a request, and a request needs a connection.
"""

from __future__ import annotations

import json
import math
import random
import time
import uuid
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Literal, TypedDict, Unpack, cast

import attrs

from personalize_rt import forks
from personalize_rt.errors import ValidationError
from personalize_rt.local.wire import HttpRequest, HttpResponse
from personalize_rt.operations import OPERATIONS
from personalize_rt.redaction import describe

__all__ = [
    "NO_FAULT",
    "Decision",
    "Delivery",
    "Drip",
    "FaultRule",
    "Faults",
    "InvalidJson",
    "NoAnswer",
    "Reset",
    "Seen",
    "Truncate",
    "When",
    "Where",
    "WrongLength",
    "as_seen_by_client",
    "error_answer",
    "head_of",
]

Part = Literal["head", "body"]
RetryAfterHeader = Literal["retry-after", "x-amz-retry-after"]

# API reference, "Common errors". A status without a code is one that something between client and service sends.
_CODES = {
    400: "ValidationError",
    401: "NotAuthorized",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "RequestTimeoutException",
    413: "RequestEntityTooLargeException",
    429: "ThrottlingException",
    500: "InternalFailure",
    503: "ServiceUnavailable",
}


# What may befall a request.


@attrs.frozen
class NoAnswer:
    """Nothing is sent, ever; the connection stays open until the client has enough."""


@attrs.frozen
class Drip:
    """One part of the answer comes a byte at a time, with so many seconds between two bytes."""

    part: Part
    interval: float


@attrs.frozen
class Reset:
    """The connection is reset after some bytes of one part of the answer; ``None`` means half of them."""

    part: Part
    after_bytes: int | None

    def sent(self, response: HttpResponse) -> bytes:
        """The bytes that leave before the reset: never all of the answer."""
        if self.part == "head":
            return _cut(head_of(response), self.after_bytes)
        return head_of(response) + _cut(response.body, self.after_bytes)


@attrs.frozen
class Truncate:
    """The body ends after so many bytes, and content-length says so; ``None`` means after half of them."""

    keep: int | None


@attrs.frozen
class InvalidJson:
    """The body is no JSON; content-length is right."""


@attrs.frozen
class WrongLength:
    """Content-length announces so many bytes more than are sent (or fewer, when negative)."""

    by: int

    def sent(self, response: HttpResponse) -> HttpResponse:
        """What leaves: a body that lacks its end, or one that goes on after its end."""
        if self.by > 0:
            return attrs.evolve(response, body=response.body[: -self.by])
        length = str(max(0, len(response.body) + self.by))
        return attrs.evolve(response, headers={**response.headers, "content-length": length})


Delivery = Drip | Reset | Truncate | InvalidJson | WrongLength


@attrs.frozen
class Decision:
    """What befalls one request. False in a condition when nothing does.

    Attributes:
        delay: Seconds of silence before anything is sent.
        answer: An answer in place of the engine's, or none at all; ``None`` leaves the answer to the engine.
        delivery: What happens to the answer on its way.
    """

    delay: float = 0.0
    answer: HttpResponse | NoAnswer | None = None
    delivery: Delivery | None = None

    def __bool__(self) -> bool:
        return self.delay > 0 or self.answer is not None or self.delivery is not None

    def respond(self, handle: Callable[[], HttpResponse]) -> HttpResponse:
        """The answer that is to be sent, as far as HTTP can say it; what is left is ``Drip``, ``Reset`` and so on.

        Args:
            handle: Asks the engine; called only when no fault answers in its place.
        """
        response = self.answer if isinstance(self.answer, HttpResponse) else handle()
        if isinstance(self.delivery, Truncate):
            return _with_body(response, _cut(response.body, self.delivery.keep))
        if isinstance(self.delivery, InvalidJson):
            return _with_body(response, b"{" + response.body)
        return response


NO_FAULT = Decision()


def error_answer(status: int, code: str | None, message: str, headers: Mapping[str, str]) -> HttpResponse:
    """An error as the service sends it; without a code, as something between client and service does."""
    body = json.dumps({"message": message}, separators=(",", ":")).encode()
    kind = {"x-amzn-errortype": code} if code else {}
    length = {"content-length": str(len(body))}
    return HttpResponse(status, {"content-type": "application/json", **kind, **length, **headers}, body)


def head_of(response: HttpResponse) -> bytes:
    """Status line and headers of an answer as HTTP/1.1 sends them, the empty line included."""
    lines = [f"HTTP/1.1 {response.status} {_phrase(response.status)}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _cut(content: bytes, keep: int | None) -> bytes:
    """The beginning of some bytes, never all of them."""
    return content[: len(content) // 2 if keep is None else max(0, min(keep, len(content) - 1))]


def _with_body(response: HttpResponse, body: bytes) -> HttpResponse:
    headers = {**response.headers, "content-length": str(len(body))}
    return attrs.evolve(response, headers=headers, body=body)


@attrs.frozen
class Seen:
    """What a client in the same process is to see of one request.

    Attributes:
        elapsed: Seconds by which the injected clock moves on.
        outcome: The answer; or how the client's own HTTP library would fail.
    """

    elapsed: float
    outcome: HttpResponse | Literal["read_timeout", "connection_closed"]


def as_seen_by_client(decision: Decision, handle: Callable[[], HttpResponse], *, read_timeout: float | None) -> Seen:
    """What a blocking client would see over HTTP, without a socket and without waiting.

    The time-out of such a client is for each read of the socket, not for the whole answer: an answer that drips
    faster than that arrives in the end, however long it takes.

    Args:
        decision: What befalls the request.
        handle: Asks the engine; called only when an answer is on its way.
        read_timeout: Seconds that the client waits for the next byte; ``None`` waits for ever.

    Raises:
        ValidationError: The client has no time-out, and would wait for ever.
    """
    patience = math.inf if read_timeout is None else read_timeout
    if isinstance(decision.answer, NoAnswer):
        if read_timeout is None:
            raise ValidationError(
                "a hang, and a client without a time-out: it would wait for ever; give the client a read_timeout",
                parameter="read_timeout",
            )
        return Seen(patience, "read_timeout")
    if decision.delay >= patience:
        return Seen(patience, "read_timeout")
    response, elapsed = decision.respond(handle), decision.delay
    match decision.delivery:
        case Drip(part, interval):
            pauses = max(0, len(head_of(response) if part == "head" else response.body) - 1)
            if pauses and interval >= patience:
                return Seen(elapsed + patience, "read_timeout")
            return Seen(elapsed + pauses * interval, response)
        case Reset():
            return Seen(elapsed, "connection_closed")
        case WrongLength(by) as wrong:
            return Seen(elapsed, wrong.sent(response) if by > 0 else _with_body(response, response.body[:by]))
        case _:
            return Seen(elapsed, response)


# Which requests it befalls.


class Where(TypedDict, total=False):
    """To which requests a rule is limited: all of them by default.

    ``operation`` is a name of the service or of boto3 (``"GetRecommendations"``, ``"get_recommendations"``);
    ``campaign`` and ``recommender`` are an ARN or a name.
    """

    operation: str
    campaign: str
    recommender: str


class When(Where, total=False):
    """To which requests a rule is limited, and how many of them: ``times`` in all, a share of ``rate`` (0 to 1)."""

    times: int
    rate: float


_WHERE = ("operation", "campaign", "recommender")
_WHEN = ("times", "rate", *_WHERE)
_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "throttle": ("retry_after", "header", *_WHEN),
    "fail": ("status", "code", "retry_after", "header", *_WHEN),
    "deny": ("code", *_WHEN),
    "min_provisioned_tps": ("tps", "burst", *_WHERE),
    "hang": _WHEN,
    "latency": ("seconds", "jitter", *_WHEN),
    "drip": ("part", "bytes_per_second", *_WHEN),
    "reset": ("after_bytes", "part", *_WHEN),
    "truncate": ("keep", *_WHEN),
    "invalid_json": _WHEN,
    "wrong_length": ("by", *_WHEN),
}

Kind = Literal["campaign", "recommender"]
Resolve = Callable[[Kind, str], str]
_Effect = HttpResponse | NoAnswer | Delivery | float
_Slot = Literal["delay", "answer", "delivery"]


@attrs.frozen
class FaultRule:
    """One rule as it stands.

    Attributes:
        id: For ``Faults.remove``.
        fault: The method that made it (``"throttle"``).
        parameters: What the method was given.
        fired: How many requests it befell so far.
        left: How many more it will befall, or ``None`` for any number.
    """

    id: int
    fault: str
    parameters: Mapping[str, Any]
    fired: int
    left: int | None

    def to_dict(self) -> dict[str, Any]:
        """The rule as JSON has it."""
        return {"id": self.id, "fault": self.fault, **self.parameters, "fired": self.fired, "left": self.left}


@attrs.frozen
class _Asked:
    """What a rule may know of a request."""

    operation: str | None
    resources: Mapping[str, str]


def _always(effect: _Effect) -> Callable[[_Rule, _Asked], _Effect]:
    def same(_rule: _Rule, _asked: _Asked) -> _Effect:
        return effect

    return same


@attrs.define(eq=False)
class _Rule:
    """A rule at work; guarded by the lock of its list."""

    id: int
    fault: str
    slot: _Slot
    parameters: Mapping[str, Any]
    effect: Callable[[_Rule, _Asked], _Effect | None]
    rng: random.Random
    fired: int = 0
    # For a token bucket: of each resource, the tokens that it had, and when.
    buckets: dict[str, tuple[float, float]] = attrs.field(factory=dict[str, tuple[float, float]])

    @property
    def left(self) -> int | None:
        times: int | None = self.parameters.get("times")
        return None if times is None else times - self.fired

    def fire(self, asked: _Asked) -> _Effect | None:
        """What the rule does to a request, or ``None``."""
        if self.left == 0 or not self._covers(asked):
            return None
        if "rate" in self.parameters and self.rng.random() >= self.parameters["rate"]:
            return None
        effect = self.effect(self, asked)
        if effect is not None:
            self.fired += 1
        return effect

    def _covers(self, asked: _Asked) -> bool:
        if self.parameters.get("operation") not in (None, asked.operation):
            return False
        for kind in ("campaign", "recommender"):
            wanted: str | None = self.parameters.get(kind)
            arn = asked.resources.get(kind, "")
            if wanted is not None and wanted not in (arn, arn.rpartition("/")[2]):
                return False
        return True

    def shown(self) -> FaultRule:
        return FaultRule(self.id, self.fault, dict(self.parameters), self.fired, self.left)


class Faults:
    """The rules of one embedded service. May be used by many threads at once.

    Rules are asked in the order in which they were made. All delays add up; of the faults that decide *what* is
    answered (``throttle``, ``fail``, ``deny``, ``min_provisioned_tps``, ``hang``) the first one that applies wins, and
    so it is with those that decide *how* the answer travels (``drip``, ``reset``, ``truncate``, ``invalid_json``,
    ``wrong_length``). A rule that was not reached keeps its ``times``, so that a script is a list of rules:
    ``fail(500, times=2)`` and then ``hang(times=1)`` give two errors and a hang.

    Each method takes, beside its own parameters, those of :class:`When`, and returns the new rule.

    Args:
        seed: Where chance begins. Each rule has chance of its own; after ``clear()`` it begins anew.
        clock: Seconds that only ever grow, for ``min_provisioned_tps``.
        resolve: Gives the ARN of a campaign or recommender with that name, and raises when there is none, so that a
            misspelt name is not a rule that never applies.
    """

    _lock = forks.lock()

    def __init__(
        self, *, seed: int = 0, clock: Callable[[], float] = time.monotonic, resolve: Resolve | None = None
    ) -> None:
        self._seed = seed
        self._clock = clock
        self._resolve = resolve
        # Replaced, never changed: asking whether there is any rule needs no lock.
        self._rules: tuple[_Rule, ...] = ()
        self._made = 0
        self._ids = random.Random(seed)

    @property
    def rules(self) -> tuple[FaultRule, ...]:
        """The rules as they stand, in their order; those that are used up too."""
        with self._lock:
            return tuple(rule.shown() for rule in self._rules)

    def clear(self) -> None:
        """Take out all rules, and let chance begin anew."""
        with self._lock:
            self._rules, self._made, self._ids = (), 0, random.Random(self._seed)

    def remove(self, rule: FaultRule | int) -> None:
        """Take out one rule, by itself or by its id.

        Raises:
            ValidationError: There is no such rule (any more).
        """
        id = rule.id if isinstance(rule, FaultRule) else rule
        with self._lock:
            rules = tuple(rule for rule in self._rules if rule.id != id)
            removed = len(rules) < len(self._rules)
            self._rules = rules
        if not removed:
            raise ValidationError("there is no fault rule with this id (any more)", parameter="rule")

    def decide(self, request: HttpRequest) -> Decision:
        """Say what befalls a request. Counts, draws chances and reads the clock; nothing else."""
        if not self._rules:
            return NO_FAULT
        asked = _asked(request)
        with self._lock:
            answer = self._first("answer", asked)
            if isinstance(answer, NoAnswer):
                return Decision(answer=answer)
            delays = [rule.fire(asked) for rule in self._rules if rule.slot == "delay"]
            delivery = self._first("delivery", asked)
        return Decision(
            sum(delay for delay in delays if isinstance(delay, float)),
            cast("HttpResponse | None", answer),
            cast("Delivery | None", delivery),
        )

    def _first(self, slot: _Slot, asked: _Asked) -> _Effect | None:
        effects = (rule.fire(asked) for rule in self._rules if rule.slot == slot)
        return next((effect for effect in effects if effect is not None), None)

    # What is answered.

    def throttle(
        self,
        *,
        retry_after: float | None = None,
        header: RetryAfterHeader = "retry-after",
        **when: Unpack[When],
    ) -> FaultRule:
        """Answer with ``ThrottlingException``, status 400 (API reference, "Common errors").

        Args:
            retry_after: Seconds that the client is told to wait, or ``None`` to tell it nothing.
            header: ``"retry-after"``, which holds whole seconds, or ``"x-amz-retry-after"``, which holds milliseconds.
            **when: See :class:`When`.
        """
        return self._add_error("throttle", 400, "ThrottlingException", when, retry_after=retry_after, header=header)

    def fail(
        self,
        status: int = 500,
        *,
        code: str | None = None,
        retry_after: float | None = None,
        header: RetryAfterHeader = "retry-after",
        **when: Unpack[When],
    ) -> FaultRule:
        """Answer with an error.

        Args:
            status: The HTTP status, 400 to 599.
            code: The error code. By default the documented one of that status (500 ``InternalFailure``, 503
                ``ServiceUnavailable``, …); other statuses come without a code, like those of a proxy.
            retry_after: Seconds that the client is told to wait, or ``None`` to tell it nothing.
            header: ``"retry-after"``, which holds whole seconds, or ``"x-amz-retry-after"``, which holds milliseconds.
            **when: See :class:`When`.
        """
        _whole("status", status, 400, 599)
        _text("code", code)
        shown = {"status": status, "code": code}
        chosen = _CODES.get(status) if code is None else code
        return self._add_error("fail", status, chosen, when, shown, retry_after=retry_after, header=header)

    def deny(self, *, code: str = "AccessDeniedException", **when: Unpack[When]) -> FaultRule:
        """Answer with status 403.

        Args:
            code: The error code, such as ``"ExpiredTokenException"`` or ``"UnrecognizedClientException"``.
            **when: See :class:`When`.
        """
        _text("code", code)
        return self._add_error("deny", 403, code, when, {"code": code})

    def min_provisioned_tps(self, tps: int = 1, *, burst: int | None = None, **where: Unpack[Where]) -> FaultRule:
        """Throttle each campaign and recommender to the capacity that it was given.

        A token bucket for each ARN. The service promises ``minProvisionedTPS`` and may give more; a test wants to see
        what happens when it does not.

        Args:
            tps: Requests in a second, from 1.
            burst: Requests at once after a quiet time; by default as many as in a second.
            **where: See :class:`Where`.
        """
        capacity = _whole("tps", tps, 1) if burst is None else _whole("burst", burst, 1)
        _whole("tps", tps, 1)

        def take(rule: _Rule, asked: _Asked) -> HttpResponse | None:
            arn = next(iter(asked.resources.values()), "")
            now = self._clock()
            tokens, then = rule.buckets.get(arn, (float(capacity), now))
            tokens = min(float(capacity), tokens + (now - then) * tps)
            rule.buckets[arn] = (tokens - 1 if tokens >= 1 else tokens, now)
            return None if tokens >= 1 else self._error(400, "ThrottlingException", {})

        return self._add("min_provisioned_tps", "answer", where, take, {"tps": tps, "burst": burst})

    def hang(self, **when: Unpack[When]) -> FaultRule:
        """Do not answer. What other rules would do to the answer is not done, and not counted."""
        return self._add("hang", "answer", when, _always(NoAnswer()))

    # How long it takes, and how it travels.

    def latency(self, seconds: float, *, jitter: float = 0.0, **when: Unpack[When]) -> FaultRule:
        """Wait before answering.

        Args:
            seconds: For so long.
            jitter: And for so many seconds more at the most, drawn evenly.
            **when: See :class:`When`.
        """
        _number("seconds", seconds)
        _number("jitter", jitter)
        return self._add(
            "latency",
            "delay",
            when,
            lambda rule, _: seconds + jitter * rule.rng.random(),
            {"seconds": seconds, "jitter": jitter},
        )

    def drip(self, part: Part = "body", *, bytes_per_second: float = 10.0, **when: Unpack[When]) -> FaultRule:
        """Send one part of the answer a byte at a time: each read of the client is in time, the whole is not.

        Args:
            part: ``"head"`` (status line and headers) or ``"body"``.
            bytes_per_second: How fast.
            **when: See :class:`When`.
        """
        effect = Drip(_part(part), 1.0 / _number("bytes_per_second", bytes_per_second, positive=True))
        shown = {"part": part, "bytes_per_second": bytes_per_second}
        return self._add("drip", "delivery", when, _always(effect), shown)

    def reset(self, after_bytes: int | None = None, *, part: Part = "body", **when: Unpack[When]) -> FaultRule:
        """Reset the connection in the middle of the answer.

        Args:
            after_bytes: Bytes of that part which are sent first, though never all; ``None`` means half of them. For
                a reset before the first byte of an answer: ``reset(0, part="head")``.
            part: ``"head"`` or ``"body"``; before a part of the body comes the whole head.
            **when: See :class:`When`.
        """
        effect = Reset(_part(part), after_bytes if after_bytes is None else _whole("after_bytes", after_bytes, 0))
        shown = {"after_bytes": after_bytes, "part": part}
        return self._add("reset", "delivery", when, _always(effect), shown)

    def truncate(self, keep: int | None = None, **when: Unpack[When]) -> FaultRule:
        """Cut the body, and announce it as long as it then is: HTTP is well, the JSON ends too soon.

        Args:
            keep: Bytes that are left, though never all; ``None`` means half of them.
            **when: See :class:`When`.
        """
        effect = Truncate(keep if keep is None else _whole("keep", keep, 0))
        return self._add("truncate", "delivery", when, _always(effect), {"keep": keep})

    def invalid_json(self, **when: Unpack[When]) -> FaultRule:
        """Send a body of the right length that is no JSON."""
        return self._add("invalid_json", "delivery", when, _always(InvalidJson()))

    def wrong_length(self, by: int = 1, **when: Unpack[When]) -> FaultRule:
        """Announce another length than is sent, and close the connection.

        Args:
            by: Bytes at the end that are announced and not sent (or, when negative, sent and not announced).
            **when: See :class:`When`.
        """
        if _whole("by", by, None) == 0:
            raise ValidationError("by must not be 0: that would be the right length", parameter="by")
        effect = WrongLength(by)
        return self._add("wrong_length", "delivery", when, _always(effect), {"by": by})

    def add(self, document: object) -> FaultRule:
        """Make a rule from JSON: ``{"fault": "throttle", "times": 2}``.

        ``fault`` is the name of a method of this class; everything else is a parameter of it.

        Raises:
            ValidationError: It is not an object of this form.
        """
        if not isinstance(document, dict):
            raise ValidationError('a fault is an object such as {"fault": "throttle", "times": 2}', parameter="fault")
        parameters = dict(cast("dict[str, Any]", document))
        fault = parameters.pop("fault", None)
        known = _PARAMETERS.get(fault) if isinstance(fault, str) else None
        if known is None:
            raise ValidationError(f"fault must be one of {', '.join(_PARAMETERS)}", parameter="fault")
        unknown = sorted(set(parameters) - set(known))
        if unknown:
            raise ValidationError(f"{fault} has no parameter {unknown[0]!r}; it has {', '.join(known)}")
        if fault == "latency" and "seconds" not in parameters:
            raise ValidationError("latency needs seconds", parameter="seconds")
        make: Callable[..., FaultRule] = getattr(self, str(fault))
        return make(**{name: value for name, value in parameters.items() if value is not None})

    def _add_error(
        self,
        fault: str,
        status: int,
        code: str | None,
        when: When,
        shown: Mapping[str, Any] | None = None,
        *,
        retry_after: float | None = None,
        header: RetryAfterHeader = "retry-after",
    ) -> FaultRule:
        headers = _retry_after(retry_after, header)
        asked = {"retry_after": retry_after, "header": header} if headers else {}
        return self._add(
            fault, "answer", when, lambda _rule, _asked: self._error(status, code, headers), {**(shown or {}), **asked}
        )

    def _error(self, status: int, code: str | None, headers: Mapping[str, str]) -> HttpResponse:
        request_id = str(uuid.UUID(int=self._ids.getrandbits(128), version=4))
        message = f"made by a fault rule: {code or status}"
        return error_answer(status, code, message, {"x-amzn-requestid": request_id, **headers})

    def _add(
        self,
        fault: str,
        slot: _Slot,
        when: When | Where,
        effect: Callable[[_Rule, _Asked], _Effect | None],
        shown: Mapping[str, Any] | None = None,
    ) -> FaultRule:
        limits = self._limits(fault, cast("Mapping[str, Any]", when))
        given = {name: value for name, value in {**(shown or {}), **limits}.items() if value is not None}
        with self._lock:
            self._made += 1
            rng = random.Random(f"{self._seed}/{self._made}")
            rule = _Rule(self._made, fault, slot, given, effect, rng)
            self._rules = (*self._rules, rule)
            return rule.shown()

    def _limits(self, fault: str, when: Mapping[str, Any]) -> dict[str, Any]:
        limits = {name: value for name, value in when.items() if value is not None}
        for name, value in limits.items():
            if name not in _PARAMETERS[fault]:
                raise TypeError(f"{fault}() got an unexpected keyword argument {name!r}")
            if name == "times":
                _whole(name, value, 1)
            elif name == "rate" and _number(name, value, positive=True) > 1:
                raise ValidationError("rate is a share, above 0 and at most 1", parameter="rate")
            elif name == "operation":
                limits[name] = _operation(value)
            elif name == "campaign":
                limits[name] = self._resource("campaign", value)
            elif name == "recommender":
                limits[name] = self._resource("recommender", value)
        return limits

    def _resource(self, kind: Kind, value: str) -> str:
        _text(kind, value)
        if self._resolve is None or value.startswith("arn:"):
            return value
        return self._resolve(kind, value)


_BY_METHOD = {operation.method: name for name, operation in OPERATIONS.items()}
_BY_PATH = {operation.path: name for name, operation in OPERATIONS.items()}


def _asked(request: HttpRequest) -> _Asked:
    """What rules may know of a request; of one that the engine will refuse, as much as can be read."""
    try:
        members: Any = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        members = None
    resources: dict[str, str] = {}
    if isinstance(members, dict):
        for kind in ("campaign", "recommender"):
            arn: Any = cast("dict[str, Any]", members).get(f"{kind}Arn")
            if isinstance(arn, str):
                resources[kind] = arn
    return _Asked(_BY_PATH.get(request.path.partition("?")[0]), resources)


def _operation(name: str) -> str:
    _text("operation", name)
    wanted = _BY_METHOD.get(name, name)
    if wanted not in OPERATIONS:
        raise ValidationError(f"operation must be one of {', '.join(OPERATIONS)}", parameter="operation")
    return wanted


def _retry_after(seconds: float | None, header: RetryAfterHeader) -> Mapping[str, str]:
    if header not in ("retry-after", "x-amz-retry-after"):
        raise ValidationError('header must be "retry-after" or "x-amz-retry-after"', parameter="header")
    if seconds is None:
        return {}
    _number("retry_after", seconds)
    if header == "x-amz-retry-after":
        return {header: str(round(seconds * 1000))}
    if seconds != int(seconds):
        raise ValidationError(
            'retry_after must be whole seconds in Retry-After: for parts of a second, header="x-amz-retry-after"',
            parameter="retry_after",
        )
    return {header: str(int(seconds))}


def _part(part: Any) -> Part:
    if part not in ("head", "body"):
        raise ValidationError('part must be "head" or "body"', parameter="part")
    return "head" if part == "head" else "body"


def _text(name: str, value: Any) -> None:
    if value is not None and (
        not isinstance(value, str) or not value or not value.isascii() or not value.isprintable()
    ):
        raise ValidationError(f"{name} must be a str of plain characters, not {describe(value)}", parameter=name)


def _number(name: str, value: Any, *, positive: bool = False) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValidationError(f"{name} must be a number, not {describe(value)}", parameter=name)
    if value < 0 or (positive and value == 0):
        raise ValidationError(f"{name} must be {'above 0' if positive else '0 or more'}", parameter=name)
    return float(value)


def _whole(name: str, value: Any, least: int | None, most: int | None = None) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValidationError(f"{name} must be a whole number, not {describe(value)}", parameter=name)
    if (least is not None and value < least) or (most is not None and value > most):
        bounds = f"from {least}" + (f" to {most}" if most is not None else "")
        raise ValidationError(f"{name} must be a whole number {bounds}", parameter=name, limit=most)
    return value

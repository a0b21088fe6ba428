"""The rules of one embedded service: its faults, and the requests that each applies to."""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypedDict, Unpack, assert_never, cast

import attrs
from attrs.validators import optional

from personalize_rt import forks
from personalize_rt.errors import ValidationError
from personalize_rt.filters.diagnostics import near
from personalize_rt.local.apis import APIS, asked_of, read_object
from personalize_rt.local.faults.checks import number, text, whole
from personalize_rt.local.faults.decision import NO_FAULT, Decision
from personalize_rt.local.faults.effects import Asked, Damage, Delay, Fault, NoAnswer, Substitute, Transmission
from personalize_rt.local.faults.kinds import (
    KINDS,
    Deny,
    Drip,
    Fail,
    Hang,
    InvalidJson,
    Latency,
    MinProvisionedTps,
    Part,
    Reset,
    RetryAfterHeader,
    Throttle,
    Truncate,
    WrongLength,
)
from personalize_rt.local.messages import HttpRequest, HttpResponse

__all__ = ["FaultRule", "Faults", "When", "Where"]

_NAMES = tuple(name for api in APIS for name in api.names)
# As boto3 names its methods.
_BY_METHOD = {re.sub("(?!^)(?=[A-Z])", "_", name).lower(): name for name in _NAMES}


class Where(TypedDict, total=False):
    """The requests that a rule applies to; by default all.

    ``operation`` is a name of the service or of boto3 (``"GetRecommendations"``, ``"get_recommendations"``), of any of
    its three APIs;
    ``campaign`` and ``recommender`` are an ARN or a name.
    """

    operation: str
    campaign: str
    recommender: str


class When(Where, total=False):
    """The requests that a rule applies to, at most ``times`` of them, each with probability ``rate`` (0 to 1)."""

    times: int
    rate: float


ResourceKind = Literal["campaign", "recommender"]
Resolve = Callable[[ResourceKind, str], str]


@attrs.frozen
class FaultRule:
    """A snapshot of one rule.

    Attributes:
        id: Its id, for ``Faults.remove``.
        fault: The method that made it (``"throttle"``).
        parameters: The parameters of that method, as given.
        fired: The number of requests that it was applied to so far.
        left: The number of requests that it will still be applied to, or ``None`` for any number.
    """

    id: int
    fault: str
    parameters: Mapping[str, Any]
    fired: int
    left: int | None

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON form."""
        return {"id": self.id, "fault": self.fault, **self.parameters, "fired": self.fired, "left": self.left}


def _is_operation(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    text(_, attribute, value)
    if value not in _NAMES:
        hint = near(value, _NAMES) or f"such as {', '.join(_NAMES[:4])}"
        raise ValidationError(f"operation is none of the service's three APIs; {hint}", parameter="operation")


def _is_share(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    number(positive=True)(_, attribute, value)
    if value > 1:
        raise ValidationError("rate is a share, above 0 and at most 1", parameter="rate")


def _service_name(operation: Any) -> Any:
    return _BY_METHOD.get(operation, operation) if isinstance(operation, str) else operation


@attrs.frozen
class _Limits:
    """The requests that a rule applies to: the checked parameters of :class:`When`."""

    times: int | None = attrs.field(default=None, validator=optional(whole(1)))
    rate: float | None = attrs.field(default=None, validator=optional(_is_share))
    operation: str | None = attrs.field(default=None, converter=_service_name, validator=optional(_is_operation))
    campaign: str | None = attrs.field(default=None, validator=optional(text))
    recommender: str | None = attrs.field(default=None, validator=optional(text))

    def cover(self, asked: Asked) -> bool:
        """Tell whether a request has the rule's operation and resource."""
        if self.operation not in (None, asked.operation):
            return False
        for kind, wanted in (("campaign", self.campaign), ("recommender", self.recommender)):
            arn = asked.resources.get(kind, "")
            if wanted not in (None, arn, arn.rpartition("/")[2]):
                return False
        return True


@attrs.define(eq=False)
class _Rule:
    """A rule with its state, guarded by the lock of its list."""

    id: int
    fault: Fault
    limits: _Limits
    rng: random.Random
    fired: int = 0

    @property
    def left(self) -> int | None:
        return None if self.limits.times is None else self.limits.times - self.fired

    def applies(self, asked: Asked) -> bool:
        """Decide whether the rule applies to a request. Draws a random number if it has a rate."""
        if self.left == 0 or not self.limits.cover(asked):
            return False
        return self.limits.rate is None or self.rng.random() < self.limits.rate

    def shown(self) -> FaultRule:
        limits = attrs.asdict(self.limits, filter=lambda _, value: value is not None)
        return FaultRule(self.id, self.fault.name, {**self.fault.shown(), **limits}, self.fired, self.left)


class Faults:
    """The rules of one embedded service. Safe to share between threads.

    Rules are checked in the order in which they were made. All delays add up. Of the faults that replace the answer
    (``throttle``, ``fail``, ``deny``, ``min_provisioned_tps``, ``hang``) only the first that applies takes effect, and
    likewise of those that change the answer or its transmission (``drip``, ``reset``, ``truncate``, ``invalid_json``,
    ``wrong_length``). The other rules keep their ``times``, so a list of rules is a script: ``fail(500, times=2)`` and
    then ``hang(times=1)`` give two errors and a hang.

    Each method takes, beside its own parameters, those of :class:`When`, and returns the new rule.

    Args:
        seed: The seed of random choices. Each rule has its own generator; ``clear()`` starts from the seed again.
        clock: A monotonic clock in seconds, for ``min_provisioned_tps``.
        resolve: Returns the ARN of a campaign or recommender of that name, and raises if there is none, so that a rule
            with a misspelt name is refused.
        stands_for: Returns the ARN that an alias stands for, and any other ARN as it is.
    """

    _lock = forks.lock()

    def __init__(
        self,
        *,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
        resolve: Resolve | None = None,
        stands_for: Callable[[str], str] | None = None,
    ) -> None:
        self._stands_for = stands_for or str
        self._seed = seed
        self._clock = clock
        self._resolve = resolve
        # Replaced, never changed, so that the check for rules needs no lock.
        self._rules: tuple[_Rule, ...] = ()
        self._made = 0
        self._ids = random.Random(seed)

    @property
    def rules(self) -> tuple[FaultRule, ...]:
        """Snapshots of the rules in order, exhausted ones included."""
        with self._lock:
            return tuple(rule.shown() for rule in self._rules)

    def clear(self) -> None:
        """Remove all rules, and start from the seed again."""
        with self._lock:
            self._rules, self._made, self._ids = (), 0, random.Random(self._seed)

    def remove(self, rule: FaultRule | int) -> None:
        """Remove one rule, given itself or its id.

        Raises:
            ValidationError: There is no such rule, or no longer.
        """
        id = rule.id if isinstance(rule, FaultRule) else rule
        with self._lock:
            rules = tuple(rule for rule in self._rules if rule.id != id)
            removed = len(rules) < len(self._rules)
            self._rules = rules
        if not removed:
            raise ValidationError("there is no fault rule with this id (any more)", parameter="rule")

    def decide(self, request: HttpRequest) -> Decision:
        """Decide on the faults of a request. Counts, draws random numbers and reads the clock; nothing else."""
        if not self._rules:
            return NO_FAULT
        api, operation = asked_of(request)
        resources = {kind: self._stands_for(arn) for kind, arn in _resources_of(request.body).items()}
        asked = Asked(operation, resources)
        delay, delivery = 0.0, None
        with self._lock:
            answer = self._answer(asked)
            if isinstance(answer, NoAnswer):
                return Decision(answer=answer)
            for rule in self._rules:
                fault = rule.fault
                match fault:
                    case Substitute():
                        pass  # done above
                    case Delay():
                        if rule.applies(asked):
                            rule.fired += 1
                            delay += fault.delay(rule.rng)
                    case Damage() | Transmission():
                        if delivery is None and rule.applies(asked):
                            rule.fired += 1
                            delivery = fault
                    case _:
                        assert_never(fault)
        return Decision(delay, None if answer is None else api.worded(answer), delivery)

    def _answer(self, asked: Asked) -> HttpResponse | NoAnswer | None:
        """Find the first rule with an answer, and count it as fired."""
        for rule in self._rules:
            if not isinstance(rule.fault, Substitute) or not rule.applies(asked):
                continue
            answer = rule.fault.answer(asked, self._clock())
            if answer is not None:
                rule.fired += 1
                return self._with_id(answer) if isinstance(answer, HttpResponse) else answer
        return None

    def _with_id(self, answer: HttpResponse) -> HttpResponse:
        request_id = str(uuid.UUID(int=self._ids.getrandbits(128), version=4))
        return attrs.evolve(answer, headers={**answer.headers, "x-amzn-requestid": request_id})

    # Answers in place of the engine's.

    def throttle(
        self,
        *,
        retry_after: float | None = None,
        header: RetryAfterHeader = "retry-after",
        **when: Unpack[When],
    ) -> FaultRule:
        """Answer with ``ThrottlingException``, status 400 (API reference, "Common errors").

        Args:
            retry_after: Seconds after which the client may retry, or ``None`` to send no such header.
            header: ``"retry-after"``, which holds whole seconds, or ``"x-amz-retry-after"``, which holds milliseconds.
            **when: See :class:`When`.
        """
        return self._add(Throttle(retry_after, header), when)

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
            retry_after: Seconds after which the client may retry, or ``None`` to send no such header.
            header: ``"retry-after"``, which holds whole seconds, or ``"x-amz-retry-after"``, which holds milliseconds.
            **when: See :class:`When`.
        """
        return self._add(Fail(status, code, retry_after, header), when)

    def deny(self, *, code: str = "AccessDeniedException", **when: Unpack[When]) -> FaultRule:
        """Answer with status 403.

        Args:
            code: The error code, such as ``"ExpiredTokenException"`` or ``"UnrecognizedClientException"``.
            **when: See :class:`When`.
        """
        return self._add(Deny(code), when)

    def min_provisioned_tps(self, tps: int = 1, *, burst: int | None = None, **where: Unpack[Where]) -> FaultRule:
        """Throttle each campaign and recommender to the capacity that it was given.

        Uses a token bucket for each ARN. The service promises ``minProvisionedTPS`` and may allow more; this is for
        tests of the case that it does not.

        Args:
            tps: Requests in a second, at least 1.
            burst: Requests at once after a pause; by default as many as in a second.
            **where: See :class:`Where`.
        """
        return self._add(MinProvisionedTps(tps, burst), where)

    def hang(self, **when: Unpack[When]) -> FaultRule:
        """Do not answer. Later rules for the answer are neither applied nor counted."""
        return self._add(Hang(), when)

    # Late, changed and broken answers.

    def latency(self, seconds: float, *, jitter: float = 0.0, **when: Unpack[When]) -> FaultRule:
        """Wait before answering.

        Args:
            seconds: The shortest delay.
            jitter: The length of a further random delay (uniform) at most, in seconds.
            **when: See :class:`When`.
        """
        return self._add(Latency(seconds, jitter), when)

    def drip(self, part: Part = "body", *, bytes_per_second: float = 10.0, **when: Unpack[When]) -> FaultRule:
        """Send one part of the answer a byte at a time, so that each read of the client is in time, but not the whole.

        Args:
            part: ``"head"`` (status line and headers) or ``"body"``.
            bytes_per_second: The speed.
            **when: See :class:`When`.
        """
        return self._add(Drip(part, bytes_per_second), when)

    def reset(self, after_bytes: int | None = None, *, part: Part = "body", **when: Unpack[When]) -> FaultRule:
        """Reset the connection in the middle of the answer.

        Args:
            after_bytes: The number of bytes of the part to send first, though never all; ``None`` means half of them.
                For a reset before the first byte of an answer: ``reset(0, part="head")``.
            part: ``"head"`` or ``"body"``. The whole head is sent before a part of the body.
            **when: See :class:`When`.
        """
        return self._add(Reset(after_bytes, part), when)

    def truncate(self, keep: int | None = None, **when: Unpack[When]) -> FaultRule:
        """Cut the body and adapt its content-length, so that HTTP is valid but the JSON is not complete.

        Args:
            keep: The number of bytes to keep, though never all; ``None`` means half of them.
            **when: See :class:`When`.
        """
        return self._add(Truncate(keep), when)

    def invalid_json(self, **when: Unpack[When]) -> FaultRule:
        """Send a body of the right length that is not JSON."""
        return self._add(InvalidJson(), when)

    def wrong_length(self, by: int = 1, **when: Unpack[When]) -> FaultRule:
        """Send a wrong content-length, and close the connection.

        Args:
            by: The number of bytes that are announced but not sent (or if negative, sent but not announced).
            **when: See :class:`When`.
        """
        return self._add(WrongLength(by), when)

    def add(self, document: object) -> FaultRule:
        """Make a rule from JSON: ``{"fault": "throttle", "times": 2}``.

        ``fault`` is the name of a method of this class; the other members are its parameters.

        Raises:
            ValidationError: The document is not an object of this form.
        """
        if not isinstance(document, dict):
            raise ValidationError('a fault is an object such as {"fault": "throttle", "times": 2}', parameter="fault")
        given = {name: value for name, value in cast("dict[str, Any]", document).items() if name != "fault"}
        name: object = cast("dict[str, Any]", document).get("fault")
        kind = KINDS.get(name) if isinstance(name, str) else None
        if kind is None:
            raise ValidationError(f"fault must be one of {', '.join(KINDS)}", parameter="fault")
        parameters = kind.parameters()
        known = (*parameters, *kind.limits)
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise ValidationError(f"{kind.name} has no parameter {unknown[0]!r}; it has {', '.join(known)}")
        # null stands for the default.
        given = {name: value for name, value in given.items() if value is not None}
        for parameter, required in parameters.items():
            if required and parameter not in given:
                raise ValidationError(f"{kind.name} needs {parameter}", parameter=parameter)
        fault = kind(**{name: given.pop(name) for name in parameters if name in given})
        return self._add(fault, cast("When", given))

    def _add(self, fault: Fault, limits: When | Where) -> FaultRule:
        for name in limits:
            if name not in fault.limits:
                raise TypeError(f"{fault.name}() got an unexpected keyword argument {name!r}")
        checked = _Limits(**cast("Mapping[str, Any]", limits))
        checked = attrs.evolve(
            checked,
            campaign=self._resource("campaign", checked.campaign),
            recommender=self._resource("recommender", checked.recommender),
        )
        with self._lock:
            self._made += 1
            rule = _Rule(self._made, fault, checked, random.Random(f"{self._seed}/{self._made}"))
            self._rules = (*self._rules, rule)
            return rule.shown()

    def _resource(self, kind: ResourceKind, name: str | None) -> str | None:
        if name is not None and name.startswith("arn:"):
            return self._stands_for(name)
        if name is None or self._resolve is None:
            return name
        return self._resolve(kind, name)


def _resources_of(body: bytes) -> dict[str, str]:
    """The resources of a request, as far as they can be read if it is not valid."""
    members = read_object(body) or {}
    arns = {kind: members.get(f"{kind}Arn") for kind in ("campaign", "recommender")}
    return {kind: arn for kind, arn in arns.items() if isinstance(arn, str)}

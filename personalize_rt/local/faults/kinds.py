"""The table of faults: one class for each kind, and the list of them at the end.

The list is used by ``rules``, the route ``/_local/faults`` and the tests. See CONTRIBUTING.md, "A new kind of fault".
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import attrs
from attrs.validators import optional

from personalize_rt.errors import (
    AccessDeniedError,
    ResponseError,
    ServerError,
    ThrottlingError,
    TransportError,
    ValidationError,
)
from personalize_rt.local.faults.answers import cut, error_answer, head_of, with_body
from personalize_rt.local.faults.checks import number, one_of, text, whole
from personalize_rt.local.faults.effects import (
    WHERE,
    Asked,
    Damage,
    Delay,
    Errors,
    Fault,
    NoAnswer,
    Piece,
    Sent,
    Substitute,
    Transmission,
)
from personalize_rt.local.wire import HttpResponse

__all__ = [
    "KINDS",
    "Deny",
    "Drip",
    "Fail",
    "Hang",
    "InvalidJson",
    "Latency",
    "MinProvisionedTps",
    "Part",
    "Reset",
    "RetryAfterHeader",
    "Throttle",
    "Truncate",
    "WrongLength",
]

Part = Literal["head", "body"]
RetryAfterHeader = Literal["retry-after", "x-amz-retry-after"]

# API reference, "Common errors". A status without a code is one that proxies send.
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

_is_part = one_of("head", "body")
_is_header = one_of("retry-after", "x-amz-retry-after")


# Answers in place of the engine's.


@attrs.frozen
class Throttle(Substitute):
    """``ThrottlingException`` with status 400, with or without a time to come back."""

    name = "throttle"
    caller_sees: ClassVar[Errors] = (ThrottlingError,)

    retry_after: float | None = attrs.field(default=None, validator=optional(number()))
    header: RetryAfterHeader = attrs.field(default="retry-after", validator=_is_header)

    def __attrs_post_init__(self) -> None:
        _advice(self.retry_after, self.header)

    def shown(self) -> dict[str, Any]:
        return _without_unused_header(super().shown())

    def answer(self, asked: Asked, now: float) -> HttpResponse:
        return _error(400, "ThrottlingException", _advice(self.retry_after, self.header))


@attrs.frozen
class Fail(Substitute):
    """An error with any status from 400 to 599."""

    name = "fail"
    caller_sees: ClassVar[Errors] = (ServerError,)

    status: int = attrs.field(default=500, validator=whole(400, 599))
    code: str | None = attrs.field(default=None, validator=optional(text))
    retry_after: float | None = attrs.field(default=None, validator=optional(number()))
    header: RetryAfterHeader = attrs.field(default="retry-after", validator=_is_header)

    def __attrs_post_init__(self) -> None:
        _advice(self.retry_after, self.header)

    def shown(self) -> dict[str, Any]:
        return _without_unused_header(super().shown())

    def answer(self, asked: Asked, now: float) -> HttpResponse:
        code = _CODES.get(self.status) if self.code is None else self.code
        return _error(self.status, code, _advice(self.retry_after, self.header))


@attrs.frozen
class Deny(Substitute):
    """An error with status 403."""

    name = "deny"
    caller_sees: ClassVar[Errors] = (AccessDeniedError,)

    code: str = attrs.field(default="AccessDeniedException", validator=text)

    def answer(self, asked: Asked, now: float) -> HttpResponse:
        return _error(403, self.code)


@attrs.frozen
class MinProvisionedTps(Substitute):
    """``ThrottlingException`` for a campaign or recommender that gets more requests than it has capacity for.

    A token bucket for each ARN: its tokens, and the time at which it had them. The buckets belong to one rule, and are
    guarded by the lock of its list of rules.
    """

    name = "min_provisioned_tps"
    caller_sees: ClassVar[Errors] = (ThrottlingError,)
    limits: ClassVar[tuple[str, ...]] = WHERE

    tps: int = attrs.field(default=1, validator=whole(1))
    burst: int | None = attrs.field(default=None, validator=optional(whole(1)))
    _buckets: dict[str, tuple[float, float]] = attrs.field(
        factory=dict[str, tuple[float, float]], init=False, eq=False, repr=False
    )

    def answer(self, asked: Asked, now: float) -> HttpResponse | None:
        arn = next(iter(asked.resources.values()), "")
        capacity = float(self.tps if self.burst is None else self.burst)
        tokens, then = self._buckets.get(arn, (capacity, now))
        tokens = min(capacity, tokens + (now - then) * self.tps)
        self._buckets[arn] = (tokens - 1 if tokens >= 1 else tokens, now)
        return None if tokens >= 1 else _error(400, "ThrottlingException")


@attrs.frozen
class Hang(Substitute):
    """No answer."""

    name = "hang"
    caller_sees: ClassVar[Errors] = (TransportError,)

    def answer(self, asked: Asked, now: float) -> NoAnswer:
        return NoAnswer()


# Waiting.


@attrs.frozen
class Latency(Delay):
    """An answer that is late by ``seconds`` plus a random part of ``jitter`` seconds."""

    name = "latency"
    caller_sees: ClassVar[Errors] = ()

    seconds: float = attrs.field(validator=number())
    jitter: float = attrs.field(default=0.0, validator=number())

    def delay(self, rng: random.Random) -> float:
        return self.seconds + self.jitter * rng.random()


# Changed answers that HTTP can carry.


@attrs.frozen
class Truncate(Damage):
    """A body that ends after ``keep`` bytes (``None``: half of them), with the content-length of these."""

    name = "truncate"
    caller_sees: ClassVar[Errors] = (ResponseError,)

    keep: int | None = attrs.field(default=None, validator=optional(whole(0)))

    def damaged(self, response: HttpResponse) -> HttpResponse:
        return with_body(response, cut(response.body, self.keep))


@attrs.frozen
class InvalidJson(Damage):
    """A body that is not JSON, with the right content-length."""

    name = "invalid_json"
    caller_sees: ClassVar[Errors] = (ResponseError,)

    def damaged(self, response: HttpResponse) -> HttpResponse:
        return with_body(response, b"{" + response.body)


# Transmissions.


@attrs.frozen
class Drip(Transmission):
    """An answer of which one part is sent a byte at a time."""

    name = "drip"
    caller_sees: ClassVar[Errors] = ()

    part: Part = attrs.field(default="body", validator=_is_part)
    bytes_per_second: float = attrs.field(default=10.0, validator=number(positive=True))

    def sent(self, response: HttpResponse) -> Sent:
        pause = 1.0 / self.bytes_per_second
        head = Piece(head_of(response), pause if self.part == "head" else 0.0)
        return Sent((head, Piece(response.body, pause if self.part == "body" else 0.0)))


@attrs.frozen
class Reset(Transmission):
    """A connection reset after ``after_bytes`` of one part of the answer (``None``: half of them)."""

    name = "reset"
    caller_sees: ClassVar[Errors] = (TransportError,)

    after_bytes: int | None = attrs.field(default=None, validator=optional(whole(0)))
    part: Part = attrs.field(default="body", validator=_is_part)

    def sent(self, response: HttpResponse) -> Sent:
        head = head_of(response)
        if self.part == "head":
            return Sent((Piece(cut(head, self.after_bytes)),), "reset")
        return Sent((Piece(head + cut(response.body, self.after_bytes)),), "reset")


@attrs.frozen
class WrongLength(Transmission):
    """A content-length of ``by`` bytes more than are sent, or fewer if negative."""

    name = "wrong_length"
    # The second with versions of botocore that accept a body shorter than announced.
    caller_sees: ClassVar[Errors] = (TransportError, ResponseError)

    by: int = attrs.field(default=1, validator=whole())

    def __attrs_post_init__(self) -> None:
        if self.by == 0:
            raise ValidationError("by must not be 0: that would be the right length", parameter="by")

    def sent(self, response: HttpResponse) -> Sent:
        if self.by > 0:
            return Sent((Piece(head_of(response) + response.body[: -self.by]),))
        announced = max(0, len(response.body) + self.by)
        shorter = attrs.evolve(response, headers={**response.headers, "content-length": str(announced)})
        return Sent((Piece(head_of(shorter) + response.body),))


# In the order of messages that list them.
_ALL: tuple[type[Fault], ...] = (
    Throttle,
    Fail,
    Deny,
    MinProvisionedTps,
    Hang,
    Latency,
    Drip,
    Reset,
    Truncate,
    InvalidJson,
    WrongLength,
)
KINDS: Mapping[str, type[Fault]] = {kind.name: kind for kind in _ALL}


def _error(status: int, code: str | None, headers: Mapping[str, str] | None = None) -> HttpResponse:
    return error_answer(status, code, f"made by a fault rule: {code or status}", headers)


def _advice(seconds: float | None, header: RetryAfterHeader) -> Mapping[str, str]:
    """The header that tells a client when to retry, if any."""
    if seconds is None:
        return {}
    if header == "x-amz-retry-after":
        return {header: str(round(seconds * 1000))}
    if seconds != int(seconds):
        raise ValidationError(
            'retry_after must be whole seconds in Retry-After: for parts of a second, header="x-amz-retry-after"',
            parameter="retry_after",
        )
    return {header: str(int(seconds))}


def _without_unused_header(shown: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if name != "header" or "retry_after" in shown}

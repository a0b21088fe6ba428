"""The outcomes of requests, and their summary."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import attrs

from personalize_rt.bulk.requests import BulkRequest
from personalize_rt.errors import PersonalizeError

__all__ = ["Outcome", "Summary", "Tally"]

AnswerT = TypeVar("AnswerT", covariant=True)


@attrs.frozen(eq=False)
class Outcome(Generic[AnswerT]):
    """The outcome of one request. Exactly one of ``answer`` and ``error`` is not ``None``.

    Attributes:
        position: The index of the request, from 0.
        request: The request.
        answer: The answer, or ``None``.
        error: The error, or ``None``.
        elapsed: The duration of the call in seconds, with retries, without the wait for its turn.
    """

    position: int
    request: BulkRequest[AnswerT]
    answer: AnswerT | None
    error: PersonalizeError | None
    elapsed: float

    def result(self) -> AnswerT:
        """Return the answer, or raise the error.

        Raises:
            PersonalizeError: The request failed.
        """
        if self.error is not None:
            raise self.error
        answer: Any = self.answer
        return answer  # type: ignore[no-any-return]


@attrs.frozen(eq=False)
class Summary:
    """The counts of a run, so far or at its end.

    Attributes:
        done: The number of answered requests.
        failed: The number of failed requests, by the class of their error (``{"InvalidInputError": 3}``).
        throttles: The number of throttled requests, retries included.
        p50: The median duration of calls in seconds, to 1 %; ``None`` before the first.
        p99: The 99th percentile of the duration in seconds, likewise.
        elapsed: Seconds since the run began.
        examples: The first error of each class in this run: its class and message.
        before: The number of requests, among the others, that an earlier run finished.
    """

    done: int
    failed: Mapping[str, int]
    throttles: int
    p50: float | None
    p99: float | None
    elapsed: float
    examples: Mapping[str, str] = attrs.field(factory=dict[str, str])
    before: int = 0

    @property
    def rate(self) -> float | None:
        """Requests with an outcome in this run, a second; ``None`` before the first."""
        here = self.total - self.before
        return here / self.elapsed if here and self.elapsed else None

    @property
    def total(self) -> int:
        """The number of requests with an outcome."""
        return self.done + sum(self.failed.values())

    def __str__(self) -> str:
        errors = sum(self.failed.values())
        parts = [f"{self.done:,} done"]
        if self.before:
            parts.append(f"{self.before:,} of all finished before this run")
        if errors:
            by_kind = ", ".join(f"{kind} {count:,}" for kind, count in sorted(self.failed.items()))
            parts.append(f"{errors:,} failed ({by_kind})")
        if self.p50 is not None and self.p99 is not None:
            parts.append(f"latency p50 {self.p50 * 1000:.0f} ms, p99 {self.p99 * 1000:.0f} ms")
        parts.append(f"{self.throttles:,} throttled" if self.throttles != 1 else "1 throttled")
        parts.append(f"{self.elapsed:.1f} s")
        if self.rate is not None:
            parts.append(f"{self.rate:,.1f} a second")
        return "; ".join(parts)


# Durations are counted in a few hundred buckets, each 2 % wider than the one before it.
_WIDTH = math.log(1.02)


class Tally:
    """Counts of a run, in constant memory."""

    def __init__(self) -> None:
        self.done: int = 0
        self.failed: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self._times: Counter[int] = Counter()

    @property
    def total(self) -> int:
        """The number of requests with an outcome."""
        return self.done + self.failed.total()

    def count(self, error: str | None, elapsed: float) -> None:
        """Count an outcome: the class of its error, and its duration in seconds (0.0 if nothing was sent)."""
        if error is None:
            self.done += 1
        else:
            self.failed[error] += 1
        if elapsed > 0.0:
            self._times[math.ceil(math.log(elapsed) / _WIDTH)] += 1

    def percentile(self, part: float) -> float | None:
        """The duration within which a part of the calls ended."""
        wanted = part * self._times.total()
        for bucket, count in sorted(self._times.items()):
            wanted -= count
            if wanted <= 0:
                return math.exp((bucket - 0.5) * _WIDTH)
        return None

    def summary(self, throttles: int, elapsed: float, before: int) -> Summary:
        """Make the summary."""
        return Summary(
            self.done,
            dict(self.failed),
            throttles,
            self.percentile(0.5),
            self.percentile(0.99),
            elapsed,
            dict(self.examples),
            before,
        )

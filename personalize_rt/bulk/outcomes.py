"""How requests ended: each one, and all of them together."""

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
    """How one request ended. Exactly one of ``answer`` and ``error`` is there.

    Attributes:
        position: The place of the request among all, from 0.
        request: What was asked.
        answer: What was answered, or ``None``.
        error: Why there is no answer, or ``None``.
        elapsed: Seconds that the call took, with its retries, without waiting for its turn.
    """

    position: int
    request: BulkRequest[AnswerT]
    answer: AnswerT | None
    error: PersonalizeError | None
    elapsed: float

    def result(self) -> AnswerT:
        """The answer.

        Raises:
            PersonalizeError: There is none, because of this.
        """
        if self.error is not None:
            raise self.error
        answer: Any = self.answer
        return answer  # type: ignore[no-any-return]


@attrs.frozen(eq=False)
class Summary:
    """How a run went, as far as it is.

    Attributes:
        done: Requests that were answered.
        failed: Requests that were not, by the class of their error (``{"InvalidInputError": 3}``).
        throttles: How often the service throttled, retries included.
        p50: Half of the calls took at most so many seconds; ``None`` before the first. Good to 1 %.
        p99: 99 of 100 calls took at most so many seconds.
        elapsed: Seconds since the run began.
        examples: What the first error of each class said, after its class; of this run only.
    """

    done: int
    failed: Mapping[str, int]
    throttles: int
    p50: float | None
    p99: float | None
    elapsed: float
    examples: Mapping[str, str] = attrs.field(factory=dict[str, str])

    @property
    def total(self) -> int:
        """Requests that have an outcome."""
        return self.done + sum(self.failed.values())

    def __str__(self) -> str:
        errors = sum(self.failed.values())
        parts = [f"{self.done:,} done"]
        if errors:
            by_kind = ", ".join(f"{kind} {count:,}" for kind, count in sorted(self.failed.items()))
            parts.append(f"{errors:,} failed ({by_kind})")
        if self.p50 is not None and self.p99 is not None:
            parts.append(f"latency p50 {self.p50 * 1000:.0f} ms, p99 {self.p99 * 1000:.0f} ms")
        parts.append(f"{self.throttles:,} throttled" if self.throttles != 1 else "1 throttled")
        parts.append(f"{self.elapsed:.1f} s")
        return "; ".join(parts)


# Each bucket of times is 2 % wider than the one before it: a few hundred of them, however many requests there are.
_WIDTH = math.log(1.02)


class Tally:
    """Counts of a run, in memory that does not grow."""

    def __init__(self) -> None:
        self.done: int = 0
        self.failed: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self._times: Counter[int] = Counter()

    @property
    def total(self) -> int:
        """Requests that have an outcome."""
        return self.done + self.failed.total()

    def count(self, error: str | None, elapsed: float) -> None:
        """Count an outcome: the class of its error, and its seconds; 0.0 where nothing was sent."""
        if error is None:
            self.done += 1
        else:
            self.failed[error] += 1
        if elapsed > 0.0:
            self._times[math.ceil(math.log(elapsed) / _WIDTH)] += 1

    def percentile(self, part: float) -> float | None:
        """The time within which this part of the calls ended."""
        wanted = part * self._times.total()
        for bucket, count in sorted(self._times.items()):
            wanted -= count
            if wanted <= 0:
                return math.exp((bucket - 0.5) * _WIDTH)
        return None

    def summary(self, throttles: int, elapsed: float) -> Summary:
        """All of it."""
        return Summary(
            self.done,
            dict(self.failed),
            throttles,
            self.percentile(0.5),
            self.percentile(0.99),
            elapsed,
            dict(self.examples),
        )

"""One ranking of a long list under way: what the drivers of both clients share about it.

Each request of it is a call of its own, with the policies of the runtime: retries, hedge, breaker, cache, hooks. Three
things are different. The deadline is one for all of them. A fallback is asked once, for the whole list, since its
answer to a part could not be put on the scale of the others. And a request that only makes the ranking more exact may
fail.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from math import inf
from types import MappingProxyType
from typing import Any

import attrs

from personalize_rt import checks
from personalize_rt.errors import DeadlineExceededError, PersonalizeError
from personalize_rt.limits import Limits
from personalize_rt.operations import Request
from personalize_rt.outcome import Failed, Ok, Outcome
from personalize_rt.rerank.long import Chunk, LongPlan, LongRanking, chunk_size
from personalize_rt.resilience.call import Call, Policies
from personalize_rt.results import Ranking

__all__ = ["LongCall", "without_length"]


def without_length(limits: Limits) -> Limits:
    """The limits of a list that is not sent as a whole."""
    return attrs.evolve(limits, input_list=None, input_list_with_metadata=None)


class LongCall:
    """The requests of one long list, its clock, and what becomes of failures.

    Args:
        request: What is asked, with the whole list.
        policies: What to do when a request is slow or fails.
        limits: How much one request may carry.
        max_requests: How many requests there may be, or ``None``.
        concurrency: How many of them at the same time.

    Raises:
        ValidationError: One of the last two makes no sense.
    """

    def __init__(
        self,
        request: Request[Ranking],
        policies: Policies,
        limits: Limits,
        *,
        max_requests: int | None,
        concurrency: Any,
    ) -> None:
        with_metadata = "metadataColumns" in request.members
        self.concurrency: int = checks.whole(concurrency, "concurrency")
        self._request = request
        self._policies = policies
        self._plan = LongPlan(
            request.members["inputList"],
            size=chunk_size(limits, with_metadata=with_metadata),
            max_requests=max_requests,
            with_metadata=with_metadata,
        )
        self._start = policies.retry.clock()
        self._answered = 0
        self._stopped_by: PersonalizeError | None = None
        self._failed = False

    def _elapsed(self) -> float:
        return self._policies.retry.clock() - self._start

    def next(self) -> list[Chunk]:
        """The requests that can be made now; none when there is a ranking."""
        return [] if self._stopped_by is not None else self._plan.next()

    def part(self, chunk: Chunk) -> tuple[Request[Ranking], Policies] | Failed[PersonalizeError] | None:
        """One request as a call of its own; ``None`` when nobody wants it any longer, an error when time is over."""
        if self._failed:
            return None
        changes: dict[str, Any] = {}
        deadline = self._policies.deadline
        if deadline is not None:
            changes["deadline"] = left = deadline - self._elapsed()
            if left <= 0:
                return Failed(self._late())
        if self._policies.fallback is not None:
            from personalize_rt.resilience.fallback import Listener

            changes["fallback"] = Listener(self._policies.fallback)
        members = MappingProxyType({**self._request.members, "inputList": list(chunk.item_ids)})
        return attrs.evolve(self._request, members=members), self._policies.changed(**changes)

    def failed(self, chunk: Chunk) -> None:
        """Told at once of a request that failed, so that no other one begins in vain."""
        self._failed = self._failed or chunk.needed

    def take(
        self, chunks: Sequence[Chunk], outcomes: Sequence[Outcome[Ranking] | None]
    ) -> Failed[PersonalizeError] | None:
        """Take the outcomes of a round, in order.

        Returns:
            The error without which there could be a ranking, or that is the caller's; ``None`` when the next round may
            begin.
        """
        from personalize_rt.resilience.fallback import wants_fallback

        final: Failed[PersonalizeError] | None = None
        for chunk, outcome in zip(chunks, outcomes, strict=True):
            if isinstance(outcome, Failed):
                error = outcome.take()  # also of those that come too late to matter
                if isinstance(error, DeadlineExceededError):
                    error = self._late()
                if final is None and (chunk.needed or not wants_fallback(error)):
                    final = Failed(error)
                elif self._stopped_by is None:
                    self._stopped_by = copy.copy(error)  # without its frames, which hold this call
            elif outcome is not None and final is None:
                self._answered += 1
                self._plan.take(outcome.value)
        return final

    def ranking(self) -> LongRanking:
        """The ranking of all answers."""
        return self._plan.ranking(elapsed=self._elapsed(), stopped_by=self._stopped_by)

    def substituted(self, failed: Failed[PersonalizeError]) -> Outcome[LongRanking]:
        """The answer of a fallback to the whole list, or the error when none has an answer."""
        answer = None
        if self._policies.fallback is not None:
            from personalize_rt.resilience.fallback import substitute_for

            answer = substitute_for(failed.error, self._request, self._policies.fallback)
        if not isinstance(answer, Ranking):
            return failed
        error = failed.take()
        call = Call(self._request, self._policies)
        told: Ranking = call.from_fallback(answer, error)
        call.ended(Ok(told))
        ranking = LongRanking(
            told.item_ids,
            scores=told.scores,
            promotion_names=[row.promotion_name for row in told],
            metadata=[row.metadata for row in told],
            reasons=[row.reason for row in told],
            input_list=self._request.members["inputList"],
            recommendation_id=told.recommendation_id,
            recommendation_ids=[told.recommendation_id] * len(told),
            info=attrs.evolve(told.info, elapsed=self._elapsed()),
            degraded=True,
            cause=error,
            requests=self._answered,
            error_bound=inf,
        )
        return Ok(ranking)

    def _late(self) -> DeadlineExceededError:
        deadline = self._policies.deadline or 0.0
        return DeadlineExceededError(
            f"no answer within the deadline of {deadline:g} s for the whole list; {self._answered} requests of it were "
            "answered before the last ones began",
            deadline=deadline,
            attempts=self._answered,
        )

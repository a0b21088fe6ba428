"""Ranking a long list: the part of the async driver that makes several requests at a time."""

from __future__ import annotations

from personalize_rt._async.driver import outcome_of
from personalize_rt.outcome import Failed, Outcome
from personalize_rt.rerank.long import Chunk, LongRanking
from personalize_rt.resilience.long_call import LongCall
from personalize_rt.resilience.tasks.together import together
from personalize_rt.results import Ranking
from personalize_rt.transport.asynchronous import AsyncTransport

__all__ = ["rank"]


async def rank(call: LongCall, transport: AsyncTransport) -> LongRanking:
    """Make the requests, and one ranking of the answers.

    Raises:
        PersonalizeError: There is no ranking, and no fallback had one.
    """

    async def ask(chunk: Chunk) -> Outcome[Ranking] | None:
        part = call.part(chunk)
        if part is None:
            return None
        outcome = part if isinstance(part, Failed) else await outcome_of(part[0], transport, part[1])
        if isinstance(outcome, Failed):
            call.failed(chunk)
        return outcome

    while chunks := call.next():
        failed = call.take(chunks, await together(ask, chunks, at_once=call.concurrency))
        if failed is not None:
            return call.substituted(failed).unwrap()
    return call.ranking()

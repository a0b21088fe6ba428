"""Ranking a long list: the part of the async driver that makes several requests at a time, in tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from personalize_rt.errors import PersonalizeError
from personalize_rt.rerank.long import Chunk, LongRanking
from personalize_rt.resilience import asynchronous
from personalize_rt.resilience.long_call import LongCall
from personalize_rt.results import Ranking
from personalize_rt.transport.asynchronous import AsyncTransport

__all__ = ["rank"]


async def rank(call: LongCall, transport: AsyncTransport) -> LongRanking:
    """Make the requests, and one ranking of the answers.

    Raises:
        PersonalizeError: There is no ranking, and no fallback had one.
    """
    try:
        while chunks := call.next():
            call.take(chunks, await _outcomes(call, chunks, transport))
        return call.ranking()
    except PersonalizeError as error:
        failure = error
    # Outside of the except block, so that what is raised or kept drags no other error along.
    try:
        return call.substitute(failure)
    finally:
        del failure


async def _outcomes(
    call: LongCall, chunks: Sequence[Chunk], transport: AsyncTransport
) -> Sequence[Ranking | PersonalizeError | None]:
    """The answer or the error of each request; ``None`` for one that was not made, since a needed one had failed."""
    places = asyncio.Semaphore(call.concurrency)

    async def ask(chunk: Chunk) -> Ranking | PersonalizeError | None:
        async with places:
            try:
                part = call.part(chunk)
                if part is None:
                    return None
                answer = await asynchronous.run(part[0], transport, part[1])
                return answer
            except PersonalizeError as error:
                call.failed(chunk)
                return error

    tasks = [asyncio.ensure_future(ask(chunk)) for chunk in chunks]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:  # of a call that was cancelled, or of one that failed in a way that is not ours
            task.cancel()

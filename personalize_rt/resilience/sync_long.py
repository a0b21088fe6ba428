"""Ranking a long list: the part of the sync driver that makes several requests at a time, on threads."""

from __future__ import annotations

import contextvars
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from personalize_rt.errors import PersonalizeError
from personalize_rt.rerank.long import Chunk, LongRanking
from personalize_rt.resilience import sync
from personalize_rt.resilience.long_call import LongCall
from personalize_rt.results import Ranking
from personalize_rt.transport.sending import Transport

__all__ = ["rank"]


def rank(call: LongCall, transport: Transport) -> LongRanking:
    """Make the requests, and one ranking of the answers.

    Raises:
        PersonalizeError: There is no ranking, and no fallback had one.
    """
    try:
        while chunks := call.next():
            call.take(chunks, _outcomes(call, chunks, transport))
        return call.ranking()
    except PersonalizeError as error:
        failure = error
    # Outside of the except block, so that what is raised or kept drags no other error along.
    try:
        return call.substitute(failure)
    finally:
        del failure


def _outcomes(
    call: LongCall, chunks: Sequence[Chunk], transport: Transport
) -> Sequence[Ranking | PersonalizeError | None]:
    """The answer or the error of each request; ``None`` for one that was not made, since a needed one had failed."""

    def ask(chunk: Chunk) -> Ranking | PersonalizeError | None:
        try:
            part = call.part(chunk)
            return None if part is None else sync.run(part[0], transport, part[1])
        except PersonalizeError as error:
            call.failed(chunk)
            return error

    if len(chunks) == 1 or call.concurrency == 1:
        return [ask(chunk) for chunk in chunks]
    pool = ThreadPoolExecutor(min(call.concurrency, len(chunks)), thread_name_prefix="personalize-rt")
    try:
        # Each in the context of the caller: the current span of a tracer is there.
        futures = [pool.submit(contextvars.copy_context().run, ask, chunk) for chunk in chunks]
        return [future.result() for future in futures]
    finally:
        pool.shutdown(cancel_futures=True)

"""Two requests for one answer, as tasks."""

from __future__ import annotations

import asyncio
from typing import Any

from personalize_rt.outcome import Failed, Ok
from personalize_rt.resilience.call import Call
from personalize_rt.resilience.hedge import Hedge
from personalize_rt.transport.asynchronous import AsyncTransport, keep_alive
from personalize_rt.transport.sending import Attempt, Reply

__all__ = ["hedged"]

_Outcome = Ok[Reply] | Failed[Exception]
_Lane = asyncio.Task[_Outcome]


async def hedged(call: Call[Any], transport: AsyncTransport, hedge: Hedge, attempts: list[Attempt]) -> Reply:
    """Send; when the answer is late, send again, and take whichever comes first.

    Args:
        call: The call.
        transport: Sends for it.
        hedge: When a second request is sent.
        attempts: Is given the attempts that are made, for whoever gives the call up.
    """
    delay = hedge.delay()
    begun = call.elapsed()
    if delay is None:
        attempts.append(Attempt(call.ends()))
        reply = await transport.send(call.request, sent_before=call.sent, attempt=attempts[0])
    else:
        reply = (await _raced(call, transport, hedge, delay, attempts)).unwrap()
    hedge.answered(call.elapsed() - begun)
    return reply


async def _raced(
    call: Call[Any], transport: AsyncTransport, hedge: Hedge, delay: float, attempts: list[Attempt]
) -> _Outcome:
    async def send(attempt: Attempt, sent_before: int) -> _Outcome:
        try:
            return Ok(await transport.send(call.request, sent_before=sent_before, attempt=attempt))
        except Exception as error:
            return Failed(error)

    def start() -> _Lane:
        sent = sum(not attempt.unsigned for attempt in attempts)
        attempts.append(Attempt(call.ends()))
        return asyncio.get_running_loop().create_task(send(attempts[-1], call.sent + sent))

    lanes = [start()]
    try:
        ended, _ = await asyncio.wait(lanes, timeout=delay)
        if not ended and hedge.take():
            call.tell("HedgeStarted")
            lanes.append(start())
        return await _first(lanes)
    finally:
        for lane in lanes:
            _leave(lane)


async def _first(lanes: list[_Lane]) -> _Outcome:
    """The reply that comes first, counting all requests; or, when all fail, the error that knows of all."""
    under_way = set(lanes)
    while under_way:
        ended, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        for lane in ended:
            outcome = lane.result()
            if isinstance(outcome, Ok):
                reply = outcome.value
                return Ok(Reply(reply.members, reply.request_id, len(lanes) - 1 + reply.sent))
    return lanes[-1].result()


_left: set[_Lane] = set()


def _leave(lane: _Lane) -> None:
    """Break a request off if it is still under way. Its connection is closed when the task sees the cancellation.

    Nobody waits for that: a client of the caller's may take its time.
    """
    if lane.get_loop().is_closed():  # by who left this race behind as well
        return
    lane.cancel()
    keep_alive(lane, _left)

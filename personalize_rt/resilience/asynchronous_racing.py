"""Two requests for one answer, as tasks: the part of the async driver that hedges."""

from __future__ import annotations

import asyncio
from typing import Any

from personalize_rt.resilience.call import Call
from personalize_rt.resilience.hedge import Hedge
from personalize_rt.transport.asynchronous import AsyncTransport, keep_alive
from personalize_rt.transport.sending import Attempt, Reply

__all__ = ["hedged"]

_Lane = asyncio.Task[Reply]


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
        reply = await _raced(call, transport, hedge, delay, attempts)
    hedge.answered(call.elapsed() - begun)
    return reply


async def _raced(
    call: Call[Any], transport: AsyncTransport, hedge: Hedge, delay: float, attempts: list[Attempt]
) -> Reply:
    def start() -> _Lane:
        sent = sum(not attempt.unsigned for attempt in attempts)
        attempts.append(Attempt(call.ends()))
        sending = transport.send(call.request, sent_before=call.sent + sent, attempt=attempts[-1])
        return asyncio.get_running_loop().create_task(sending)

    lanes: list[_Lane] = []
    lanes.append(start())
    try:
        ended, _ = await asyncio.wait(lanes, timeout=delay)
        if not ended and hedge.take():
            call.tell("HedgeStarted")
            lanes.append(start())
        return await _first(lanes)
    finally:
        # Taken out one by one: the traceback of an error holds this frame, and a task that failed holds the error.
        while lanes:
            _leave(lanes.pop())


async def _first(lanes: list[_Lane]) -> Reply:
    """The reply that comes first, counting all requests; or, when all fail, the error that knows of all."""
    under_way = set(lanes)
    while under_way:
        ended, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        while ended:
            lane = ended.pop()
            if lane.exception() is None:
                reply = lane.result()
                return Reply(reply.members, reply.request_id, len(lanes) - 1 + reply.sent)
            del lane
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
    lane.add_done_callback(_see)


def _see(lane: _Lane) -> None:
    if not lane.cancelled():
        lane.exception()  # seen: asyncio need not report it

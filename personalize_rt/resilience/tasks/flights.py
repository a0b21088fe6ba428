"""The way through the cache for tasks: single flight, revalidation in the background."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import Any

from personalize_rt.errors import DeadlineExceededError, PersonalizeError
from personalize_rt.outcome import Failed, Ok, Outcome
from personalize_rt.resilience.cache import Cache, Flights, Fresh, Stale
from personalize_rt.resilience.call import Call
from personalize_rt.resilience.stores import Answer
from personalize_rt.transport.asynchronous import AsyncTransport

__all__ = ["cached"]

# How an equal call under way ended: its answer, its error, or None when it was given up for reasons of its own.
_Ending = Answer | PersonalizeError | None
_Flight = asyncio.Future[_Ending]
_Ask = Callable[[Call[Any], AsyncTransport], Awaitable[Outcome[Any]]]


async def cached(call: Call[Any], transport: AsyncTransport, cache: Cache, ask: _Ask) -> Outcome[Any]:
    """Answer from the cache, or ask the service and keep its answer.

    Args:
        call: The call.
        transport: Sends for it.
        cache: Where answers are kept.
        ask: Asks the service, with the policies that lie within the cache.
    """
    key = cache.key(call.request)
    if key is None:
        return await ask(call, transport)
    while True:
        found = await cache.look_up_async(key, call.patience())
        if isinstance(found, Fresh):
            return Ok(call.from_cache(found.answer, stale=False))
        if isinstance(found, Stale):
            if found.revalidate:
                _revalidate(call, transport, cache, key, ask)
            return Ok(call.from_cache(found.answer, stale=True))
        flight, leads = _flights(call).join(key, _new_flight, _is_of_this_loop)
        if leads:
            outcome = await _fetched(call, transport, cache, key, flight, ask)
            return call.stale_instead(outcome, found.stale) if isinstance(outcome, Failed) else outcome
        # asyncio.wait leaves the flight to the others when this call is cancelled.
        landed, _ = await asyncio.wait([flight], timeout=call.left())
        if not landed:
            return call.stale_instead(Failed(call.late()), found.stale)
        ending = flight.result()
        if isinstance(ending, PersonalizeError):
            return call.stale_instead(Failed(copy.copy(ending)), found.stale)
        if ending is not None:
            return Ok(call.from_cache(ending, stale=False))
        # The leader was given up: the next one leads.


async def _fetched(
    call: Call[Any], transport: AsyncTransport, cache: Cache, key: str, flight: _Flight, ask: _Ask
) -> Outcome[Any]:
    ending: _Ending = None
    try:
        # Another call may have landed while the store was asked.
        found = await cache.look_up_async(key, call.patience())
        if isinstance(found, Fresh):
            ending = found.answer
            return Ok(call.from_cache(found.answer, stale=False))
        outcome = await ask(call, transport)
        if isinstance(outcome, Ok):
            ending = outcome.value
            await cache.keep_async(key, outcome.value, call.patience())
        elif not isinstance(outcome.error, DeadlineExceededError):  # that is one call's own; others may have more time
            ending = copy.copy(outcome.error)  # without its frames, which are not the others'
    finally:
        _flights(call).land(key, flight)
        _tell(flight, ending)
    return outcome


def _revalidate(call: Call[Any], transport: AsyncTransport, cache: Cache, key: str, ask: _Ask) -> None:
    flights = _flights(call)
    flight, leads = flights.join(key, _new_flight, _is_of_this_loop)
    if not leads:
        return

    def land(_: object) -> None:
        flights.land(key, flight)
        _tell(flight, None)  # who waited looks into the cache again

    # Not at the end of the coroutine: one that is cancelled before its first step has no end.
    transport.in_background(_asked_again(call, transport, cache, key, ask)).add_done_callback(land)


async def _asked_again(call: Call[Any], transport: AsyncTransport, cache: Cache, key: str, ask: _Ask) -> None:
    again = Call(call.request, call.policies)
    try:
        outcome = await ask(again, transport)
        if isinstance(outcome, Ok):
            await cache.keep_async(key, outcome.value, again.patience())
        again.ended_unseen(outcome)
    except BaseException as error:
        again.ended_unseen(Failed(error))
        if not isinstance(error, Exception):
            raise


def _new_flight() -> _Flight:
    return asyncio.get_running_loop().create_future()


def _is_of_this_loop(flight: _Flight) -> bool:
    # In a loop that was closed, nobody leads it to its end; in one of another thread, nobody here would be woken.
    return flight.get_loop() is asyncio.get_running_loop()


def _tell(flight: _Flight, ending: _Ending) -> None:
    if not flight.get_loop().is_closed():  # closed: whoever waited there is gone too
        flight.set_result(ending)


def _flights(call: Call[Any]) -> Flights[_Flight]:
    flights = call.policies.flights
    assert flights is not None  # they come with the cache
    return flights

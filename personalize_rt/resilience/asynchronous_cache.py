"""The async driver's way through the cache: single flight, revalidation in the background."""

from __future__ import annotations

import asyncio
import copy
import logging
from typing import Any

from personalize_rt.errors import DeadlineExceededError, PersonalizeError
from personalize_rt.resilience.asynchronous import guarded
from personalize_rt.resilience.cache import Cache, Flights, Fresh, Miss, Stale
from personalize_rt.resilience.call import Call
from personalize_rt.resilience.fallback import wants_fallback
from personalize_rt.resilience.stores import Answer
from personalize_rt.transport.asynchronous import AsyncTransport

__all__ = ["cached"]

_log = logging.getLogger("personalize_rt")

# How an equal call under way ended: its answer, its error, or None when it was given up for reasons of its own.
_Outcome = Answer | PersonalizeError | None
_Flight = asyncio.Future[_Outcome]


async def cached(call: Call[Any], transport: AsyncTransport, cache: Cache) -> Any:
    """Answer from the cache, or ask the service and keep its answer."""
    key = cache.key(call.request)
    if key is None:
        return await guarded(call, transport)
    while True:
        found = await cache.look_up_async(key, call.patience())
        if isinstance(found, Fresh):
            return call.from_cache(found.answer, stale=False)
        if isinstance(found, Stale):
            if found.revalidate:
                _revalidate(call, transport, cache, key)
            return call.from_cache(found.answer, stale=True)
        flight, leads = _flights(call).join(key, _new_flight, _is_of_this_loop)
        if leads:
            return await _fetched(call, transport, cache, key, found, flight)
        # asyncio.wait leaves the flight to the others when this call is cancelled.
        landed, _ = await asyncio.wait([flight], timeout=call.left())
        if not landed:
            return _stale_or_raise(call, found, call.late())
        outcome = flight.result()
        if isinstance(outcome, PersonalizeError):
            return _stale_or_raise(call, found, copy.copy(outcome))
        if outcome is not None:
            return call.from_cache(outcome, stale=False)
        # The leader was given up: the next one leads.


async def _fetched(
    call: Call[Any], transport: AsyncTransport, cache: Cache, key: str, miss: Miss, flight: _Flight
) -> Any:
    outcome: _Outcome = None
    try:
        # Another call may have landed while the store was asked.
        found = await cache.look_up_async(key, call.patience())
        if isinstance(found, Fresh):
            outcome = found.answer
            return call.from_cache(found.answer, stale=False)
        answer: Answer = await guarded(call, transport)
        outcome = answer
        await cache.keep_async(key, answer, call.patience())
        return answer
    except PersonalizeError as error:
        failure = error
        # A deadline is one call's own; others may have more time. A copy, without the frames, which hold the flight.
        outcome = None if isinstance(error, DeadlineExceededError) else copy.copy(error)
    finally:
        _flights(call).land(key, flight)
        _tell(flight, outcome)
    try:
        return _stale_or_raise(call, miss, failure)
    finally:
        del failure


def _stale_or_raise(call: Call[Any], miss: Miss, error: PersonalizeError) -> Any:
    if miss.stale is not None and wants_fallback(error):
        return call.from_cache(miss.stale, stale=True)
    try:
        raise error
    finally:
        del error  # its traceback holds this frame


def _revalidate(call: Call[Any], transport: AsyncTransport, cache: Cache, key: str) -> None:
    flights = _flights(call)
    flight, leads = flights.join(key, _new_flight, _is_of_this_loop)
    if not leads:
        return

    def land(_: object) -> None:
        flights.land(key, flight)
        _tell(flight, None)  # who waited looks into the cache again

    # Not at the end of the coroutine: one that is cancelled before its first step has no end.
    transport.in_background(_asked_again(call, transport, cache, key)).add_done_callback(land)


async def _asked_again(call: Call[Any], transport: AsyncTransport, cache: Cache, key: str) -> None:
    again = Call(call.request, call.policies)
    try:
        answer = await guarded(again, transport)
    except Exception as error:
        again.ended(None, error)
        _log.debug("revalidation failed with %s", type(error).__name__)
    except BaseException as error:
        again.ended(None, error)
        raise
    else:
        await cache.keep_async(key, answer, again.patience())
        again.ended(answer, None)


def _new_flight() -> _Flight:
    return asyncio.get_running_loop().create_future()


def _is_of_this_loop(flight: _Flight) -> bool:
    # In a loop that was closed, nobody leads it to its end; in one of another thread, nobody here would be woken.
    return flight.get_loop() is asyncio.get_running_loop()


def _tell(flight: _Flight, outcome: _Outcome) -> None:
    if not flight.get_loop().is_closed():  # closed: whoever waited there is gone too
        flight.set_result(outcome)


def _flights(call: Call[Any]) -> Flights[_Flight]:
    flights = call.policies.flights
    assert flights is not None  # they come with the cache
    return flights

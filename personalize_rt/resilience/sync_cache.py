"""The sync driver's way through the cache: single flight, revalidation in the background."""

from __future__ import annotations

import copy
import logging
import threading
from typing import Any

from personalize_rt.errors import DeadlineExceededError, PersonalizeError
from personalize_rt.resilience.cache import Cache, Flights, Fresh, Miss, Stale
from personalize_rt.resilience.call import Call
from personalize_rt.resilience.fallback import wants_fallback
from personalize_rt.resilience.racing import on_a_thread
from personalize_rt.resilience.sync import guarded
from personalize_rt.transport.sending import Transport

__all__ = ["cached"]

_log = logging.getLogger("personalize_rt")


class _Flight:
    """An equal call under way in another thread."""

    def __init__(self) -> None:
        self.landed = threading.Event()
        self.answer: Any = None
        self.error: PersonalizeError | None = None


def cached(call: Call[Any], transport: Transport, cache: Cache) -> Any:
    """Answer from the cache, or ask the service and keep its answer."""
    key = cache.key(call.request)
    if key is None:
        return guarded(call, transport)
    found = cache.look_up(key)
    if isinstance(found, Fresh):
        return call.from_cache(found.answer, stale=False)
    if isinstance(found, Stale):
        if found.revalidate:
            _revalidate(call, transport, cache, key)
        return call.from_cache(found.answer, stale=True)
    return _fetched(call, transport, cache, key, found)


def _fetched(call: Call[Any], transport: Transport, cache: Cache, key: str, miss: Miss) -> Any:
    flights = _flights(call)
    flight, leads = flights.join(key, _Flight)
    if not leads:
        return _awaited(call, transport, flight, miss)
    try:
        # Another call may have landed between our look and our lead.
        found = cache.look_up(key)
        if isinstance(found, Fresh):
            flight.answer = found.answer
            return call.from_cache(found.answer, stale=False)
        answer = guarded(call, transport)
        cache.keep(key, answer)
        flight.answer = answer
        return answer
    except PersonalizeError as error:
        flight.error = error
        failure = error
    finally:
        flights.land(key)
        flight.landed.set()
    return _stale_or_raise(call, miss, failure)


def _awaited(call: Call[Any], transport: Transport, flight: _Flight, miss: Miss) -> Any:
    if not flight.landed.wait(call.left()):
        return _stale_or_raise(call, miss, call.late())
    if flight.answer is not None:
        return call.from_cache(flight.answer, stale=False)
    error = flight.error
    if error is None or isinstance(error, DeadlineExceededError):
        return guarded(call, transport)  # the leader gave up for reasons of its own
    return _stale_or_raise(call, miss, copy.copy(error))


def _stale_or_raise(call: Call[Any], miss: Miss, error: PersonalizeError) -> Any:
    if miss.stale is not None and wants_fallback(error):
        return call.from_cache(miss.stale, stale=True)
    raise error


def _revalidate(call: Call[Any], transport: Transport, cache: Cache, key: str) -> None:
    flights = _flights(call)
    flight, leads = flights.join(key, _Flight)
    if not leads:
        return

    def ask() -> None:
        again = Call(call.request, call.policies)
        answer: Any = None
        error: BaseException | None = None
        try:
            answer = guarded(again, transport)
            cache.keep(key, answer)
            flight.answer = answer
        except PersonalizeError as failure:
            flight.error = error = failure
            _log.debug("revalidation failed with %s", type(failure).__name__)
        finally:
            flights.land(key)
            flight.landed.set()
            again.ended(answer, error)

    on_a_thread(ask)


def _flights(call: Call[Any]) -> Flights[_Flight]:
    flights = call.policies.flights
    assert flights is not None  # they come with the cache
    return flights

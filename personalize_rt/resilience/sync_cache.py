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
    """An equal call in flight in another thread."""

    def __init__(self) -> None:
        self.landed = threading.Event()
        self.answer: Any = None
        self.error: PersonalizeError | None = None

    def land(self, answer: Any) -> None:
        """Give the answer to whoever waits, and to whoever comes while it is put into the cache."""
        self.answer = answer
        self.landed.set()


def cached(call: Call[Any], transport: Transport, cache: Cache) -> Any:
    """Answer from the cache, or ask the service and keep its answer."""
    key = cache.key(call.request)
    if key is None:
        return guarded(call, transport)
    while True:
        found = cache.look_up(key, call.patience())
        if isinstance(found, Fresh):
            return call.from_cache(found.answer, stale=False)
        if isinstance(found, Stale):
            if found.revalidate:
                _revalidate(call, transport, cache, key)
            return call.from_cache(found.answer, stale=True)
        flight, leads = _flights(call).join(key, _Flight)
        if leads:
            return _fetched(call, transport, cache, key, found, flight)
        if not flight.landed.wait(call.left()):
            return _stale_or_raise(call, found, call.late())
        if flight.answer is not None:
            return call.from_cache(flight.answer, stale=False)
        if flight.error is not None:
            return _stale_or_raise(call, found, copy.copy(flight.error))
        # The leader was given up for reasons of its own: the next one leads.


def _fetched(call: Call[Any], transport: Transport, cache: Cache, key: str, miss: Miss, flight: _Flight) -> Any:
    try:
        # Another call may have landed between our look and our lead.
        found = cache.look_up(key, call.patience())
        if isinstance(found, Fresh):
            flight.land(found.answer)
            return call.from_cache(found.answer, stale=False)
        answer = guarded(call, transport)
        flight.land(answer)  # before it is kept: a store may be slow
        cache.keep(key, answer, call.patience())
        return answer
    except PersonalizeError as error:
        failure = error
        # A deadline is one call's own; others may have more time. A copy, without the frames, which hold the flight.
        flight.error = None if isinstance(error, DeadlineExceededError) else copy.copy(error)
    finally:
        _flights(call).land(key, flight)
        flight.landed.set()
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
            flight.land(answer)
            cache.keep(key, answer, again.patience())
        except Exception as failure:  # nobody waits for it
            error = failure
            _log.debug("revalidation failed with %s", type(failure).__name__)
        finally:
            land()
            again.ended(answer, error)

    def land() -> None:
        # Without its error: who waited, having found nothing, asks with the time that it has.
        flights.land(key, flight)
        flight.landed.set()

    try:
        on_a_thread(ask)
    except RuntimeError:  # there can be no more threads; the next call tries again
        land()


def _flights(call: Call[Any]) -> Flights[_Flight]:
    flights = call.policies.flights
    assert flights is not None  # they come with the cache
    return flights

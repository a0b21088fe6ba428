"""The way through the cache for threads: single flight, revalidation in the background."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

from personalize_rt.errors import DeadlineExceededError, PersonalizeError
from personalize_rt.outcome import Failed, Ok, Outcome
from personalize_rt.resilience.cache import Cache, Flights, Fresh, Stale
from personalize_rt.resilience.call import Call
from personalize_rt.resilience.threads.racing import on_a_thread
from personalize_rt.transport.sending import Transport

__all__ = ["cached"]

_Ask = Callable[[Call[Any], Transport], Outcome[Any]]


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


def cached(call: Call[Any], transport: Transport, cache: Cache, ask: _Ask) -> Outcome[Any]:
    """Answer from the cache, or ask the service and keep its answer.

    Args:
        call: The call.
        transport: Sends for it.
        cache: Where answers are kept.
        ask: Asks the service, with the policies that lie within the cache.
    """
    key = cache.key(call.request)
    if key is None:
        return ask(call, transport)
    while True:
        found = cache.look_up(key, call.patience())
        if isinstance(found, Fresh):
            return Ok(call.from_cache(found.answer, stale=False))
        if isinstance(found, Stale):
            if found.revalidate:
                _revalidate(call, transport, cache, key, ask)
            return Ok(call.from_cache(found.answer, stale=True))
        flight, leads = _flights(call).join(key, _Flight)
        if leads:
            outcome = _fetched(call, transport, cache, key, flight, ask)
            return call.stale_instead(outcome, found.stale) if isinstance(outcome, Failed) else outcome
        if not flight.landed.wait(call.left()):
            return call.stale_instead(Failed(call.late()), found.stale)
        if flight.answer is not None:
            return Ok(call.from_cache(flight.answer, stale=False))
        if flight.error is not None:
            return call.stale_instead(Failed(copy.copy(flight.error)), found.stale)
        # The leader was given up for reasons of its own: the next one leads.


def _fetched(call: Call[Any], transport: Transport, cache: Cache, key: str, flight: _Flight, ask: _Ask) -> Outcome[Any]:
    try:
        # Another call may have landed between our look and our lead.
        found = cache.look_up(key, call.patience())
        if isinstance(found, Fresh):
            flight.land(found.answer)
            return Ok(call.from_cache(found.answer, stale=False))
        outcome = ask(call, transport)
        if isinstance(outcome, Ok):
            flight.land(outcome.value)  # before it is kept: a store may be slow
            cache.keep(key, outcome.value, call.patience())
        elif not isinstance(outcome.error, DeadlineExceededError):  # that is one call's own; others may have more time
            flight.error = copy.copy(outcome.error)  # without its frames, which are not the others'
    finally:
        _flights(call).land(key, flight)
        flight.landed.set()
    return outcome


def _revalidate(call: Call[Any], transport: Transport, cache: Cache, key: str, ask: _Ask) -> None:
    flights = _flights(call)
    flight, leads = flights.join(key, _Flight)
    if not leads:
        return

    def ask_again() -> None:
        again = Call(call.request, call.policies)
        try:
            again.ended_unseen(fetched(again))
        except BaseException as error:
            again.ended_unseen(Failed(error))
            if not isinstance(error, Exception):
                raise

    def fetched(again: Call[Any]) -> Outcome[Any]:
        try:
            outcome = ask(again, transport)
            if isinstance(outcome, Ok):
                flight.land(outcome.value)
                cache.keep(key, outcome.value, again.patience())
            return outcome
        finally:
            land()

    def land() -> None:
        # Without its error: who waited, having found nothing, asks with the time that it has.
        flights.land(key, flight)
        flight.landed.set()

    try:
        on_a_thread(ask_again)
    except RuntimeError:  # there can be no more threads; the next call tries again
        land()


def _flights(call: Call[Any]) -> Flights[_Flight]:
    flights = call.policies.flights
    assert flights is not None  # they come with the cache
    return flights

"""The cache of answers.

By default only answers without a user are cached (popular items, similar items, trends).
``Cache(personal=True)`` caches personal answers too; the user id is part of the key, so no other user gets them.

A cached answer keeps its ``recommendation_id``, since an event about one of its items is still of that answer. What was
shown of it must be told to the service once, however often it is shown: an :class:`~personalize_rt.EventTracker` sends
each item of an answer in one impression. Events with the id that are sent in any other way count the impression again.

The key is a digest of the whole canonical request, and of endpoint, region and principal of the client. So clients may
share a cache, and none gets the answer of another endpoint, account or role. The keys do not reveal users or requests.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, MutableMapping
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

import attrs

from personalize_rt import checks, forks
from personalize_rt.operations import Request
from personalize_rt.resilience.stores import Answer, AskedBeside, CacheStore, Entry, MemoryStore

__all__ = ["Cache", "CacheStore", "Entry", "Fresh", "MemoryStore", "Miss", "Stale", "cache_key"]

_log = logging.getLogger("personalize_rt")

FlightT = TypeVar("FlightT")


def cache_key(request: Request[Any]) -> str:
    """A hexadecimal digest of a request, and of the endpoint, region and principal of its client."""
    whole = [request.origin, request.operation.name, dict(request.members)]
    canonical = json.dumps(whole, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


@attrs.frozen
class Fresh:
    """A fresh answer."""

    answer: Answer


@attrs.frozen
class Stale:
    """A stale answer that may be returned. If ``revalidate``, the service is to be asked in the background."""

    answer: Answer
    revalidate: bool


@attrs.frozen
class Miss:
    """No answer that may be returned, so that the service is to be asked; ``stale`` may be returned if that fails."""

    stale: Answer | None = None


class Cache:
    """A cache of answers. Safe to share between threads and clients.

    Clients share answers from the same endpoint and region, as the same principal: with the same access key, or in the
    same role whatever its current keys. A forked child keeps the cached answers.

    Args:
        ttl: Seconds for which an answer is fresh.
        stale_while_revalidate: Seconds after that for which it is still returned, while a new one is fetched.
        stale_if_error: Seconds after ``ttl`` for which it is returned if the service fails.
        personal: Whether to cache answers to requests with a user id too.
        store: A :class:`CacheStore`, a mapping such as ``cachetools.LRUCache``, or ``None`` for :class:`MemoryStore`.
            It is used on threads of the cache, a mapping on one alone. A call waits for it for at most a tenth of its
            remaining time, and for one second, and then does without the cache.
        clock: A monotonic clock in seconds; ``time.time`` for a store that outlives the process.
    """

    def __init__(
        self,
        *,
        ttl: float = 60.0,
        stale_while_revalidate: float = 0.0,
        stale_if_error: float = 0.0,
        personal: bool = False,
        store: CacheStore | MutableMapping[str, Entry] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for name, value in (
            ("ttl", ttl),
            ("stale_while_revalidate", stale_while_revalidate),
            ("stale_if_error", stale_if_error),
        ):
            checks.seconds(value, name)
        self.ttl = ttl
        self.stale_while_revalidate = stale_while_revalidate
        self.stale_if_error = stale_if_error
        self.personal = personal
        self._clock = clock
        if store is None:
            store = MemoryStore()
        # A subclass may do anything.
        self._store = store if type(store) is MemoryStore else AskedBeside(store)

    def key(self, request: Request[Any]) -> str | None:
        """The key of a request, or ``None`` if its answer must not be cached."""
        if not self.personal and "userId" in request.members:
            return None
        return cache_key(request)

    def look_up(self, key: str, patience: float | None = None) -> Fresh | Stale | Miss:
        """Look up a request. A store that fails, or does not answer in time, counts as empty.

        Args:
            key: The key of the request.
            patience: Seconds to wait for a store of the caller's; ``None`` for any time.
        """
        entry = self._store.get(key)
        if not isinstance(entry, Future):
            return self._judged(entry)
        try:
            return self._judged(entry.result(patience))
        except Exception as failure:
            entry.cancel()  # nobody waits: a store that was not asked yet need not be
            return _nothing(failure)

    async def look_up_async(self, key: str, patience: float | None = None) -> Fresh | Stale | Miss:
        """:meth:`look_up` for an event loop, which goes on meanwhile."""
        entry = self._store.get(key)
        if not isinstance(entry, Future):
            return self._judged(entry)
        import asyncio

        try:
            return self._judged(await asyncio.wait_for(asyncio.wrap_future(entry), patience))
        except Exception as failure:
            return _nothing(failure)

    def _judged(self, entry: Entry | None) -> Fresh | Stale | Miss:
        if entry is None:
            return Miss()
        age = self._clock() - entry.stored
        if 0 <= age < self.ttl:
            return Fresh(entry.answer)
        if 0 <= age < self.ttl + self.stale_while_revalidate:
            return Stale(entry.answer, revalidate=True)
        if 0 <= age < self.ttl + self.stale_if_error:
            return Miss(stale=entry.answer)
        return Miss()

    def keep(self, key: str, answer: Answer, patience: float | None = None) -> None:
        """Cache an answer of the service, unless it is degraded.

        Args:
            key: The key of the request.
            answer: The answer.
            patience: See :meth:`look_up`. A store that needs longer gets the answer all the same.
        """
        done = self._put(key, answer)
        if done is not None:
            try:
                done.result(patience)
            except Exception as failure:
                _nothing(failure)

    async def keep_async(self, key: str, answer: Answer, patience: float | None = None) -> None:
        """:meth:`keep` for an event loop, which goes on meanwhile."""
        done = self._put(key, answer)
        if done is not None:
            import asyncio

            try:
                # Shielded: the store gets the answer even when nobody waits any longer.
                await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(done)), patience)
            except Exception as failure:
                _nothing(failure)

    def _put(self, key: str, answer: Answer) -> Future[None] | None:
        return None if answer.degraded else self._store.set(key, Entry(answer, self._clock()))


def _nothing(failure: Exception) -> Miss:
    _log.warning("the cache's store failed with %s", type(failure).__name__)
    return Miss()


class Flights(Generic[FlightT]):
    """Single flight for equal calls: the first asks the service (it leads), the others wait for its answer.

    The driver chooses the type of a flight, such as an ``Event`` for threads and a future for tasks. A flight belongs
    to the process of its leader, and that of a task also to its event loop, since it never ends for any other.
    """

    _lock = forks.lock()
    _in_flight: forks.PerProcess[dict[str, FlightT]] = forks.PerProcess(dict)

    def join(
        self, key: str, start: Callable[[], FlightT], may_be_joined: Callable[[FlightT], bool] | None = None
    ) -> tuple[FlightT, bool]:
        """Join the flight of a key, or start one.

        Args:
            key: The key of the request.
            start: Makes a flight.
            may_be_joined: Tells whether the caller can wait for a flight; if not, it is replaced.

        Returns:
            The flight, and whether the caller leads it.
        """
        with self._lock:
            flight = self._in_flight.get(key)
            if flight is not None and (may_be_joined is None or may_be_joined(flight)):
                return flight, False
            flight = self._in_flight[key] = start()
            return flight, True

    def land(self, key: str, flight: FlightT) -> None:
        """End a flight, when its leader has an answer or an error."""
        with self._lock:
            if self._in_flight.get(key) is flight:
                del self._in_flight[key]

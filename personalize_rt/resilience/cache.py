"""The cache of answers.

By default only answers without a user are cached (popular items, similar items, trends). A personal answer that is
shown again repeats its ``recommendation_id``, so that impressions and events with that id count twice.
``Cache(personal=True)`` caches personal answers too; the user id is part of the key, so no other user gets them.

The key is a digest of the whole canonical request, and of endpoint, region and principal of the client. So clients may
share a cache, and none gets the answer of another endpoint, account or role. The keys do not reveal users or requests.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, MutableMapping
from contextlib import contextmanager
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import attrs

from personalize_rt import forks
from personalize_rt.errors import ValidationError
from personalize_rt.operations import Request
from personalize_rt.results import ActionRecommendations, Ranking, Recommendations

__all__ = ["Cache", "CacheStore", "Entry", "Fresh", "MemoryStore", "Miss", "Stale", "cache_key"]

_log = logging.getLogger("personalize_rt")

Answer = Ranking | Recommendations | ActionRecommendations
FlightT = TypeVar("FlightT")


class Entry(NamedTuple):
    """An entry of a store: an answer, and its time by the cache's clock."""

    answer: Answer
    stored: float


class CacheStore(Protocol):
    """A store of cache entries. Safe to share between threads, unless only one uses it."""

    def get(self, key: str, /) -> Entry | None:
        """The entry of a key, or ``None``."""
        ...

    def set(self, key: str, entry: Entry, /) -> None:
        """Store an entry, which may be evicted at any time."""
        ...


class MemoryStore:
    """A store in memory with LRU eviction. Safe to share between threads.

    Args:
        max_entries: The most answers to keep.
    """

    _lock = forks.lock()

    def __init__(self, max_entries: int = 1024) -> None:
        if max_entries < 1:
            raise ValidationError("max_entries must be at least 1", parameter="max_entries", limit=1)
        self._max_entries = max_entries
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def get(self, key: str, /) -> Entry | None:
        """The entry of a key, or ``None``."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
            return entry

    def set(self, key: str, entry: Entry, /) -> None:
        """Store an entry, and evict the least recently used one if the store is full."""
        with self._lock:
            self._entries[key] = entry
            self._entries.move_to_end(key)
            while len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)

    def __len__(self) -> int:
        return len(self._entries)


class _MappingStore:
    """A store on a mapping such as ``cachetools.TTLCache``, with the lock that such mappings need.

    A mapping may be slow (on a disk, over a network), so the wait for the lock has a time-out.
    """

    _lock = forks.lock()

    def __init__(self, mapping: MutableMapping[str, Entry]) -> None:
        self._mapping = mapping

    def get(self, key: str, /, patience: float | None = None) -> Entry | None:
        with self._turn(patience):
            return self._mapping.get(key)

    def set(self, key: str, entry: Entry, /, patience: float | None = None) -> None:
        with self._turn(patience):
            self._mapping[key] = entry

    @contextmanager
    def _turn(self, patience: float | None) -> Generator[None, None, None]:
        """Hold the lock.

        Raises:
            TimeoutError: Another call held it for so many seconds.
        """
        lock = self._lock
        if not lock.acquire(timeout=-1 if patience is None else min(patience, threading.TIMEOUT_MAX)):
            raise TimeoutError("another call is using the mapping")
        try:
            yield
        finally:
            lock.release()


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
            One call at a time uses a mapping. Others wait for at most a tenth of their remaining time (on an event
            loop: at most 10 ms), and then do without the cache.
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
            if not value >= 0:
                raise ValidationError(f"{name} must be a number of seconds, 0 or more", parameter=name)
        self.ttl = ttl
        self.stale_while_revalidate = stale_while_revalidate
        self.stale_if_error = stale_if_error
        self.personal = personal
        self._clock = clock
        self._store: CacheStore | _MappingStore = _as_store(store)

    def key(self, request: Request[Any]) -> str | None:
        """The key of a request, or ``None`` if its answer must not be cached."""
        if not self.personal and "userId" in request.members:
            return None
        return cache_key(request)

    def look_up(self, key: str, patience: float | None = None) -> Fresh | Stale | Miss:
        """Look up a request. A store that fails, or is not free in time, counts as empty.

        Args:
            key: The key of the request.
            patience: Seconds to wait while other calls use a mapping; ``None`` for any time.
        """
        store = self._store
        try:
            entry = store.get(key, patience) if isinstance(store, _MappingStore) else store.get(key)
        except Exception as failure:
            _log.warning("the cache's store failed with %s", type(failure).__name__)
            entry = None
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
            patience: See :meth:`look_up`.
        """
        if answer.degraded:
            return
        store, entry = self._store, Entry(answer, self._clock())
        try:
            if isinstance(store, _MappingStore):
                store.set(key, entry, patience)
            else:
                store.set(key, entry)
        except Exception as failure:
            _log.warning("the cache's store failed with %s", type(failure).__name__)


def _as_store(store: CacheStore | MutableMapping[str, Entry] | None) -> CacheStore | _MappingStore:
    if store is None:
        return MemoryStore()
    return _MappingStore(store) if isinstance(store, MutableMapping) else store


class Flights(Generic[FlightT]):
    """Single flight for equal calls: the first asks the service (it leads), the others wait for its answer.

    The driver chooses the type of a flight, such as an ``Event`` for threads and a future for tasks. A flight belongs
    to the process of its leader, and that of a task also to its event loop, since it never ends for any other.
    """

    _lock = forks.lock()
    _in_flight: forks.PerProcess[dict[str, FlightT]] = forks.PerProcess(dict)

    def join(
        self, key: str, start: Callable[[], FlightT], may_be_joined: Callable[[FlightT], bool]
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
            if flight is not None and may_be_joined(flight):
                return flight, False
            flight = self._in_flight[key] = start()
            return flight, True

    def land(self, key: str, flight: FlightT) -> None:
        """End a flight, when its leader has an answer or an error."""
        with self._lock:
            if self._in_flight.get(key) is flight:
                del self._in_flight[key]

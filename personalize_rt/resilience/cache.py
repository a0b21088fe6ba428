"""Answering again what was answered before.

Only answers that belong to nobody are kept by default (popular items, similar items, trends): a personal answer that
is shown again repeats its ``recommendation_id``, and the impressions and events sent back with that id are then counted
twice. ``Cache(personal=True)`` keeps personal answers too; the user id is part of the key, so an answer never reaches
another user.

The key is a digest of the whole canonical request, and of the endpoint, the region and the principal of the client
that asks: clients may share a cache, and none gets the answer of another endpoint, account or role. Nothing that a
store sees or lists tells who asked for what.
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

from personalize_rt import checks, forks
from personalize_rt.operations import Request
from personalize_rt.results import ActionRecommendations, Ranking, Recommendations

__all__ = ["Cache", "CacheStore", "Entry", "Fresh", "MemoryStore", "Miss", "Stale", "cache_key"]

_log = logging.getLogger("personalize_rt")

Answer = Ranking | Recommendations | ActionRecommendations
FlightT = TypeVar("FlightT")


class Entry(NamedTuple):
    """What a store keeps: an answer and when it was given, by the cache's clock."""

    answer: Answer
    stored: float


class CacheStore(Protocol):
    """Where answers are kept. Safe for threads, or used by one thread only."""

    def get(self, key: str, /) -> Entry | None:
        """The entry of a key, or ``None``."""
        ...

    def set(self, key: str, entry: Entry, /) -> None:
        """Keep an entry; a store may forget it at any time."""
        ...


class MemoryStore:
    """Answers in this process, the least recently used forgotten first. Locked.

    Args:
        max_entries: Answers to keep at the most.
    """

    _lock = forks.lock()

    def __init__(self, max_entries: int = 1024) -> None:
        self._max_entries = checks.whole(max_entries, "max_entries")
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def get(self, key: str, /) -> Entry | None:
        """The entry of a key, or ``None``."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
            return entry

    def set(self, key: str, entry: Entry, /) -> None:
        """Keep an entry, and forget the one that was not used for the longest time."""
        with self._lock:
            self._entries[key] = entry
            self._entries.move_to_end(key)
            while len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)

    def __len__(self) -> int:
        return len(self._entries)


class _MappingStore:
    """A mapping such as ``cachetools.TTLCache`` as a store; such mappings want a lock around them.

    A mapping may be slow (on a disk, over a network), and a call that waits for its turn has a deadline.
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
        """The lock.

        Raises:
            TimeoutError: Another call had it for so many seconds.
        """
        lock = self._lock
        if not lock.acquire(timeout=-1 if patience is None else min(patience, threading.TIMEOUT_MAX)):
            raise TimeoutError("another call is using the mapping")
        try:
            yield
        finally:
            lock.release()


def cache_key(request: Request[Any]) -> str:
    """A digest of everything that makes a request what it is, in hexadecimal: also of whom it asks, and as whom."""
    whole = [request.origin, request.operation.name, dict(request.members)]
    canonical = json.dumps(whole, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


@attrs.frozen
class Fresh:
    """Answer with this."""

    answer: Answer


@attrs.frozen
class Stale:
    """Answer with this; ask the service in the background when ``revalidate``."""

    answer: Answer
    revalidate: bool


@attrs.frozen
class Miss:
    """Ask the service, or wait for an equal call under way (:class:`Flights`); ``stale`` when that fails."""

    stale: Answer | None = None


class Cache:
    """Keeps answers for a while. Locked: it may be shared by threads and clients.

    Clients share the answers that they got from the same endpoint and region, as the same principal: with one access
    key, or in one role, whatever its keys are at the moment. A forked child goes on with what is kept.

    Args:
        ttl: Seconds for which an answer is fresh.
        stale_while_revalidate: Seconds after that for which it is still given, while a new one is fetched.
        stale_if_error: Seconds after ``ttl`` for which it is given when the service fails.
        personal: Keep answers to requests with a user id too.
        store: Where to keep them: a :class:`CacheStore`, a mapping such as ``cachetools.LRUCache``, or ``None`` for
            :class:`MemoryStore`. One call at a time uses a mapping; others wait for it for a tenth of the time that
            they have left (in an event loop: for 10 ms at the most), and then go on without the cache.
        clock: Seconds that only ever grow. A store that outlives the process wants ``time.time``.
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
        self._store: CacheStore | _MappingStore = _as_store(store)

    def key(self, request: Request[Any]) -> str | None:
        """The key of a request, or ``None`` when its answer must not be kept."""
        if not self.personal and "userId" in request.members:
            return None
        return cache_key(request)

    def look_up(self, key: str, patience: float | None = None) -> Fresh | Stale | Miss:
        """What to do about a request. A store that fails, or is not free in time, is taken for one that is empty.

        Args:
            key: The key of the request.
            patience: Seconds to wait while other calls use a mapping; ``None`` for as long as it takes.
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
        """Keep an answer of the service. A degraded one is not kept.

        Args:
            key: The key of the request.
            answer: The answer.
            patience: As in :meth:`look_up`.
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
    """Equal calls in flight: the first asks, the others wait for its answer.

    What waiting means is the driver's: a flight is an ``Event`` for threads and a future for tasks. A flight belongs to
    the process of its leader, and that of a task to its event loop: nobody else would ever see it land.
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
            may_be_joined: Tells whether the caller can use the answer of a flight; one that it cannot is replaced.

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
        """Tell that a leader is done, one way or the other."""
        with self._lock:
            if self._in_flight.get(key) is flight:
                del self._in_flight[key]

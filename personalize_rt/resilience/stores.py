"""Stores of cached answers: in memory, or a store or mapping of the caller's.

A store of the caller's may be slow: on a disk, over a network, behind a lock. It is used on threads of the cache, so
that a call waits for it only as long as its deadline allows, and never blocks an event loop.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import MutableMapping
from concurrent.futures import Future
from typing import NamedTuple, Protocol

from personalize_rt import checks, forks
from personalize_rt.results import ActionRecommendations, Ranking, Recommendations
from personalize_rt.threads import KeptThreads

__all__ = ["Answer", "AskedBeside", "CacheStore", "Entry", "MemoryStore"]

Answer = Ranking | Recommendations | ActionRecommendations

_THREADS = 8  # that ask one store at the same time
_WAITING = 1024  # questions to one store that no thread has taken up; more are refused


class Entry(NamedTuple):
    """An entry of a store: an answer, and its time by the cache's clock."""

    answer: Answer
    stored: float


class CacheStore(Protocol):
    """A store of cache entries. Safe to share between threads: the cache uses it on threads of its own."""

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
        """Store an entry, and evict the least recently used one if the store is full."""
        with self._lock:
            self._entries[key] = entry
            self._entries.move_to_end(key)
            while len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)

    def __len__(self) -> int:
        return len(self._entries)


class AskedBeside:
    """A store or mapping of the caller's, used on threads that a cache keeps for it.

    A mapping such as ``cachetools.TTLCache`` is not safe for threads: one thread alone uses it.
    """

    def __init__(self, store: CacheStore | MutableMapping[str, Entry]) -> None:
        self._store = store
        self._threads = KeptThreads(1 if isinstance(store, MutableMapping) else _THREADS, waiting=_WAITING)

    def get(self, key: str) -> Future[Entry | None]:
        """The entry of a key, or ``None``."""
        return self._threads.begin(lambda: self._store.get(key))

    def set(self, key: str, entry: Entry) -> Future[None]:
        """Keep an entry."""
        store = self._store
        if isinstance(store, MutableMapping):
            return self._threads.begin(lambda: store.__setitem__(key, entry))
        return self._threads.begin(lambda: store.set(key, entry))

"""Answers in Redis, for all processes of a site."""

import pickle
import time
from typing import Any

from redis import Redis

from personalize_rt import Cache, PersonalizeRuntime
from personalize_rt.resilience.cache import Entry


class RedisStore:
    """Keeps answers in Redis. Pickle is safe here only because nobody else can write to that Redis.

    Args:
        client: With time-outs of some milliseconds: the deadline of a call cannot interrupt it.
        keep: Seconds after which Redis forgets an answer: ttl, plus the longest time for which a stale one is wanted.
    """

    def __init__(self, client: Redis, *, keep: float = 3660) -> None:
        self._client = client
        self._keep = keep

    def get(self, key: str, /) -> Entry | None:
        found: Any = self._client.get(f"personalize:{key}")
        return None if found is None else pickle.loads(found)

    def set(self, key: str, entry: Entry, /) -> None:
        self._client.set(f"personalize:{key}", pickle.dumps(entry), px=int(self._keep * 1000))


def shared_cache(url: str, *, timeout: float = 0.02) -> Cache:
    client = Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout)
    # time.time, since time.monotonic begins anew in each process.
    return Cache(ttl=60, stale_if_error=3600, store=RedisStore(client), clock=time.time)


def make_runtime(redis_url: str, *, redis_timeout: float = 0.02, **options: Any) -> PersonalizeRuntime:
    return PersonalizeRuntime(cache=shared_cache(redis_url, timeout=redis_timeout), **options)

"""Functions that tests run in processes of their own: such a process imports this module, and not pytest."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from personalize_rt import PersonalizeRuntime
from personalize_rt.bulk.limiter import RateLimiter


def take(limiter: RateLimiter, granted: object) -> None:
    limiter.throttled(1.0, sent=0.5)
    granted.put([limiter.decide(1.0 + n / 1_000) for n in range(1_000)].count(0.0))  # type: ignore[attr-defined]


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_inside_the_lock(limiter: Any) -> None:
    limiter._take = _die
    limiter.decide(1.0)


def build_and_die(path: Path) -> PersonalizeRuntime:
    """One of the processes is killed inside the lock, as soon as it asks for its turn."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        pass
    else:
        RateLimiter._take = _die  # type: ignore[method-assign, assignment]  # in this process, which is to die
    return PersonalizeRuntime(region_name="eu-west-1", endpoint_url="http://127.0.0.1:9", deadline=5)


def dies() -> PersonalizeRuntime:
    os._exit(3)

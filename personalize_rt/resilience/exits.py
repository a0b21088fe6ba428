"""The exit of the interpreter: trackers that are still in use are closed then, all at once."""

from __future__ import annotations

import atexit
import time
import weakref
from typing import Any

__all__ = ["at_exit"]

_open: weakref.WeakSet[Any] = weakref.WeakSet()


def at_exit(tracker: Any) -> None:
    """Close a tracker when the interpreter exits, if it is still in use then.

    All that are send what is left at the same time, so that the exit waits for the longest ``close_timeout``, and not
    for their sum.

    Args:
        tracker: An ``EventTracker``, or an ``AsyncEventTracker``, which is closed in an event loop of its own.
    """
    if not _open:
        atexit.unregister(_close_all)
        atexit.register(_close_all)
    _open.add(tracker)


def _close_all() -> None:
    begun = time.monotonic()
    of_threads = [tracker for tracker in _open if hasattr(tracker, "close")]
    of_tasks = [tracker for tracker in _open if hasattr(tracker, "aclose")]
    for tracker in of_threads:
        tracker.flush(0.001)  # begins to send
    is_interrupted = True
    try:
        if of_tasks:
            _close_tasks(of_tasks)
        for tracker in of_threads:
            tracker.close(max(0.0, begun + tracker._close_timeout - time.monotonic()))
        is_interrupted = False
    finally:
        if is_interrupted:  # Ctrl-C: what the others have not sent is counted and told
            for tracker in of_threads:
                tracker.close(0.0)


def _close_tasks(trackers: list[Any]) -> None:
    import asyncio  # not of every program

    async def close() -> None:
        await asyncio.gather(*(tracker.aclose() for tracker in trackers), return_exceptions=True)

    asyncio.run(close())

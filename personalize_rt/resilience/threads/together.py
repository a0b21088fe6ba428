"""Several requests of a call at the same time, on threads."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["together"]

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def together(work: Callable[[ItemT], ResultT], items: Sequence[ItemT], *, at_once: int) -> Sequence[ResultT]:
    """Do the work for each item, and return the results in their order.

    Args:
        work: A function of an item.
        items: The items.
        at_once: How many of them are under way at the same time.
    """
    if len(items) == 1 or at_once == 1:
        return [work(item) for item in items]
    pool = ThreadPoolExecutor(min(at_once, len(items)), thread_name_prefix="personalize-rt")
    try:
        # Each in the context of the caller: the current span of a tracer is there.
        futures = [pool.submit(contextvars.copy_context().run, work, item) for item in items]
        return [future.result() for future in futures]
    finally:
        pool.shutdown(cancel_futures=True)

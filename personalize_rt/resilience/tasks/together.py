"""Several requests of a call at the same time, as tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

__all__ = ["together"]

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


async def together(
    work: Callable[[ItemT], Awaitable[ResultT]], items: Sequence[ItemT], *, at_once: int
) -> Sequence[ResultT]:
    """Do the work for each item, and return the results in their order.

    Args:
        work: A coroutine function of an item.
        items: The items.
        at_once: How many of them are under way at the same time.
    """
    places = asyncio.Semaphore(at_once)

    async def one(item: ItemT) -> ResultT:
        async with places:
            return await work(item)

    tasks = [asyncio.ensure_future(one(item)) for item in items]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:  # of a call that was cancelled, or of one that failed in a way that is not ours
            task.cancel()

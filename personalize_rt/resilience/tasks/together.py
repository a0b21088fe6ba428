"""Several requests of a call at the same time, as tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from personalize_rt.transport.asynchronous import keep_alive

__all__ = ["in_time", "together"]

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


async def in_time(
    work: Callable[[ItemT], Awaitable[ResultT]], items: Sequence[ItemT], seconds: float | None
) -> list[ResultT | None]:
    """Do the work for all items at the same time, and return what is done in time, in their order.

    What is late is cancelled, and not waited for.

    Args:
        work: A coroutine function of an item.
        items: The items.
        seconds: How long to wait; ``None`` for any time.

    Returns:
        The results, ``None`` for those that are late.
    """

    async def one(item: ItemT) -> ResultT:
        return await work(item)

    tasks = [asyncio.create_task(one(item)) for item in items]
    try:
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        return [task.result() if task.done() and not task.cancelled() else None for task in tasks]
    finally:
        for task in tasks:
            if not task.done():
                task.cancel()
                keep_alive(task, _late)


_late: set[asyncio.Task[Any]] = set()

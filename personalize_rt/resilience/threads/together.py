"""Several requests of a call at the same time, on threads."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TypeVar

from personalize_rt.resilience.threads.racing import on_a_thread

__all__ = ["in_time", "together"]

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


def in_time(work: Callable[[ItemT], ResultT], items: Sequence[ItemT], seconds: float | None) -> list[ResultT | None]:
    """Do the work for all items at the same time, and return what is done in time, in their order.

    What is late is left behind on its thread, which does not keep the process alive.

    Args:
        work: A function of an item.
        items: The items.
        seconds: How long to wait; ``None`` for any time.

    Returns:
        The results, ``None`` for those that are late, or for which no thread could be started.
    """
    pending: list[Future[ResultT]] = []
    for item in items:
        future: Future[ResultT] = Future()
        pending.append(future)
        try:
            on_a_thread(partial(_settle, future, work, item))
        except RuntimeError:  # there can be no more threads
            future.cancel()
            future.set_running_or_notify_cancel()  # until then, wait() would count it as pending
    wait(pending, seconds)
    return [future.result() if future.done() and not future.cancelled() else None for future in pending]


def _settle(future: Future[ResultT], work: Callable[[ItemT], ResultT], item: ItemT) -> None:
    try:
        future.set_result(work(item))
    except BaseException as error:
        future.set_exception(error)

"""Waiting for work on kept threads, in a task."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import TypeVar

__all__ = ["result_within"]

ResultT = TypeVar("ResultT")


async def result_within(seconds: float | None, pending: Future[ResultT]) -> ResultT:
    """Wait for a result; the work goes on when the time is over.

    Args:
        seconds: How long to wait; ``None`` for any time.
        pending: The work.

    Raises:
        TimeoutError: There was none in time.
        Exception: What the work raised.
    """
    return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(pending)), seconds)

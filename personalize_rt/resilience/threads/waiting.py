"""Waiting for work on kept threads, in a thread."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TypeVar

__all__ = ["result_within"]

ResultT = TypeVar("ResultT")


def result_within(seconds: float | None, pending: Future[ResultT]) -> ResultT:
    """Wait for a result; the work goes on when the time is over.

    Args:
        seconds: How long to wait; ``None`` for any time.
        pending: The work.

    Raises:
        TimeoutError: There was none in time.
        Exception: What the work raised.
    """
    return pending.result(seconds)

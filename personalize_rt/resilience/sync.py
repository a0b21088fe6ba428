"""The only place of the sync client that waits: it carries out what the policies decide."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from personalize_rt.errors import PersonalizeError
from personalize_rt.resilience.retry import Decisions, RetryPolicy

__all__ = ["call"]

T = TypeVar("T")


def call(send: Callable[[], T], *, retry: RetryPolicy, deadline: float | None, sent: Callable[[], int]) -> T:
    """Send, and send again as the policy says.

    Args:
        send: Makes one attempt.
        retry: Decides about further ones.
        deadline: Seconds for the whole call; no attempt starts after it. ``None`` for no end.
        sent: How many requests have been sent so far.

    Raises:
        DeadlineExceededError: The policy would have tried again, but no time was left.
        PersonalizeError: The error of the last attempt.
    """
    start = retry.clock()
    # A healthy call pays for nothing below: tenacity is not even imported.
    try:
        return send()
    except PersonalizeError as error:
        failure = error
    try:
        if not failure.is_retry_safe:
            raise failure
        return _try_again(failure, send, Decisions(retry, deadline, start, sent))
    finally:
        del failure  # its traceback holds this frame


def _try_again(failure: PersonalizeError, send: Callable[[], T], decisions: Decisions) -> T:
    import tenacity as _t

    failed = [failure]

    def attempt() -> T:
        # tenacity counts the attempt that already failed as its first.
        if failed:
            raise failed.pop()
        return send()

    return _t.Retrying(
        retry=_t.retry_if_exception_type(PersonalizeError),
        wait=decisions.wait,
        stop=decisions.stop,
        sleep=decisions.policy.sleep,
        retry_error_callback=decisions.give_up,
    )(attempt)

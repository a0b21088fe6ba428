"""One attempt of a call, in a task: sending until the deadline, and the waits between attempts."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import attrs

from personalize_rt.resilience.call import Call
from personalize_rt.resilience.retry import RetryPolicy
from personalize_rt.transport.asynchronous import AsyncTransport
from personalize_rt.transport.credential_failures import late_credentials
from personalize_rt.transport.sending import Attempt, Reply

__all__ = ["reply_in_time", "sleep_of"]

_BLOCKING_SLEEP = attrs.fields(RetryPolicy).sleep.default


async def reply_in_time(call: Call[Any], transport: AsyncTransport) -> Reply:
    """Send, and give up at the deadline, also while waiting for credentials or for a connection of the pool.

    Raises:
        DeadlineExceededError: There was no reply in time.
        PersonalizeError: The request failed.
    """
    bounded = transport.owned or call.policies.enforce_deadline
    timer = asyncio.timeout(call.left() if bounded else None)
    attempts: list[Attempt] = []
    try:
        async with timer:
            if call.policies.hedge is None:
                attempts.append(Attempt(call.ends()))
                return await transport.send(call.request, sent_before=call.sent, attempt=attempts[0])
            from personalize_rt.resilience.tasks.racing import hedged

            return await hedged(call, transport, call.policies.hedge, attempts)
    except asyncio.CancelledError:
        call.sent += _sent(attempts)
        raise
    except TimeoutError:
        # One that is not ours belongs to whoever raised it.
        if not timer.expired():
            raise
    sent = _sent(attempts)
    call.sent += sent
    raise call.late(None if sent else late_credentials(None, sent=call.sent))


def _sent(attempts: list[Attempt]) -> int:
    """Requests that went out, as far as anybody knows."""
    return sum(not attempt.unsigned for attempt in attempts)


def sleep_of(policy: RetryPolicy) -> Callable[[float], Awaitable[None]]:
    """The sleep of a policy, which may be a plain function; its default is ``asyncio.sleep`` here."""
    sleep: Callable[[float], Any] = policy.sleep
    if sleep is _BLOCKING_SLEEP:
        sleep = asyncio.sleep

    async def slept(seconds: float) -> None:
        waiting = sleep(seconds)
        if inspect.isawaitable(waiting):
            await waiting

    return slept

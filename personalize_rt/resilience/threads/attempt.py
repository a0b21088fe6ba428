"""One attempt of a call, in a thread: sending until the deadline, and the waits between attempts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from personalize_rt.resilience.call import Call
from personalize_rt.resilience.retry import RetryPolicy
from personalize_rt.transport.sending import Reply, Transport

__all__ = ["reply_in_time", "sleep_of"]


def reply_in_time(call: Call[Any], transport: Transport) -> Reply:
    """Send, and give up at the deadline.

    Raises:
        DeadlineExceededError: There was no reply in time.
        PersonalizeError: The request failed.
    """
    policies = call.policies
    if policies.hedge is not None:
        from personalize_rt.resilience.threads.racing import hedged

        return hedged(call, transport, policies.hedge)
    if policies.leave_behind(transport):
        from personalize_rt.resilience.threads.racing import on_a_worker

        return on_a_worker(call, transport)
    return transport.send(call.request, sent_before=call.sent, ends=call.ends())


def sleep_of(policy: RetryPolicy) -> Callable[[float], None]:
    """The sleep of a policy."""
    return policy.sleep

"""The driver of the async client: the only code of it that waits, sends and cancels.

It carries out what the policies decide, in the order of the sync driver (:mod:`personalize_rt.resilience.sync`)::

    fallback [ deadline [ cache [ breaker [ budget, retry [ hedge [ send ] ] ] ] ] ]

Whoever cancels a call gets the cancellation back at once; its connection, its place as a probe of the breaker and the
tokens of a retry without an outcome are given back on the way.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from personalize_rt.errors import PersonalizeError
from personalize_rt.operations import Request
from personalize_rt.resilience.call import Call, Policies
from personalize_rt.resilience.retry import Decisions, RetryPolicy
from personalize_rt.transport.asynchronous import AsyncTransport
from personalize_rt.transport.credential_failures import late_credentials
from personalize_rt.transport.sending import Attempt, Reply

__all__ = ["guarded", "run"]

ResultT = TypeVar("ResultT")

_BLOCKING_SLEEP = attrs.fields(RetryPolicy).sleep.default


async def run(request: Request[ResultT], transport: AsyncTransport, policies: Policies) -> ResultT:
    """Make a call.

    Raises:
        PersonalizeError: No answer, and no fallback had one.
    """
    call = Call(request, policies)
    try:
        if policies.cache is None:
            answer = await guarded(call, transport)
        else:
            from personalize_rt.resilience.asynchronous_cache import cached

            answer = await cached(call, transport, policies.cache)
    except PersonalizeError as error:
        failure = error
    except BaseException as error:
        call.ended(None, error)
        raise
    else:
        call.ended(answer, None)
        return answer
    # Outside of the except block, so that what is raised or kept drags no other error along.
    try:
        substitute = None
        if policies.fallback is not None:
            from personalize_rt.resilience.fallback import substitute_for

            substitute = substitute_for(failure, request, policies.fallback)
        if substitute is None:
            call.ended(None, failure)
            raise failure
        answer = call.from_fallback(substitute, failure)
        call.ended(answer, None)
        return answer
    finally:
        del failure  # its traceback holds this frame


async def guarded(call: Call[ResultT], transport: AsyncTransport) -> ResultT:
    """What lies within the cache: the breaker, and in it all attempts."""
    breaker = call.policies.breaker
    if breaker is None:
        return await _retried(call, transport)
    ticket = breaker.admit(call.request.resource_arn)
    if ticket.changed is not None:
        call.tell("BreakerChanged", ticket.changed)
    try:
        answer = await _retried(call, transport)
    except Exception as error:
        changed = breaker.record(ticket, error)
        if changed is not None:
            call.tell("BreakerChanged", changed)
        raise
    except BaseException:
        breaker.release(ticket)
        raise
    changed = breaker.record(ticket, None)
    if changed is not None:
        call.tell("BreakerChanged", changed)
    return answer


async def _retried(call: Call[ResultT], transport: AsyncTransport) -> ResultT:
    # A healthy call pays for nothing below: tenacity is not even imported.
    try:
        return await _attempt(call, transport)
    except PersonalizeError as error:
        failure = error
    try:
        if not failure.is_retry_safe:
            raise failure
        return await _try_again(failure, call, transport)
    finally:
        del failure


async def _try_again(failure: PersonalizeError, call: Call[ResultT], transport: AsyncTransport) -> ResultT:
    import tenacity as _t

    decisions = Decisions(call)
    failed = [failure]
    del failure

    async def attempt() -> ResultT:
        # tenacity counts the attempt that already failed as its first.
        if failed:
            raise failed.pop()
        decisions.check_time()
        return await _attempt(call, transport)

    async def sleep(seconds: float) -> None:
        await _sleep(call.policies.retry, seconds)

    retrying = _t.AsyncRetrying(
        retry=_t.retry_if_exception_type(PersonalizeError),
        wait=decisions.wait,
        stop=decisions.stop,
        sleep=sleep,
        retry_error_callback=decisions.give_up,
    )
    try:
        answer: ResultT = await retrying(attempt)
    except asyncio.CancelledError:
        if call.spent:  # on a retry that has no outcome now
            call.policies.budget.succeeded(call.spent)
        raise
    finally:
        decisions.forget(retrying)
    decisions.raise_failure()
    return answer


async def _sleep(policy: RetryPolicy, seconds: float) -> None:
    sleep: Callable[[float], Any] = policy.sleep
    if sleep is _BLOCKING_SLEEP:
        sleep = asyncio.sleep
    waiting = sleep(seconds)
    if inspect.isawaitable(waiting):
        await waiting


async def _attempt(call: Call[ResultT], transport: AsyncTransport) -> ResultT:
    call.attempt_begins()
    try:
        return call.result(await _answered_in_time(call, transport))
    except PersonalizeError as error:
        call.attempt_failed(error)
        raise


async def _answered_in_time(call: Call[Any], transport: AsyncTransport) -> Reply:
    """Send, and give up at the deadline, also while waiting for credentials or for a connection of the pool."""
    bounded = transport.owned or call.policies.enforce_deadline
    timer = asyncio.timeout(call.left() if bounded else None)
    attempts: list[Attempt] = []
    try:
        async with timer:
            if call.policies.hedge is None:
                attempts.append(Attempt(call.ends()))
                return await transport.send(call.request, sent_before=call.sent, attempt=attempts[0])
            from personalize_rt.resilience.asynchronous_racing import hedged

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

"""The driver of the sync client: the only code of it that waits, sends and cancels.

It carries out what the policies decide, in this order, the outermost first::

    fallback [ deadline [ cache [ breaker [ budget, retry [ hedge [ send ] ] ] ] ] ]

A healthy call without a cache, a breaker or a hedge goes straight through.
"""

from __future__ import annotations

from typing import TypeVar

from personalize_rt.errors import PersonalizeError
from personalize_rt.operations import Request
from personalize_rt.resilience.call import Call, Policies
from personalize_rt.resilience.retry import Decisions
from personalize_rt.transport.sending import Transport

__all__ = ["guarded", "run"]

ResultT = TypeVar("ResultT")


def run(request: Request[ResultT], transport: Transport, policies: Policies) -> ResultT:
    """Make a call.

    Raises:
        PersonalizeError: No answer, and no fallback had one.
    """
    call = Call(request, policies)
    try:
        if policies.cache is None:
            answer = guarded(call, transport)
        else:
            from personalize_rt.resilience.sync_cache import cached

            answer = cached(call, transport, policies.cache)
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


def guarded(call: Call[ResultT], transport: Transport) -> ResultT:
    """What lies within the cache: the breaker, and in it all attempts."""
    breaker = call.policies.breaker
    if breaker is None:
        return _retried(call, transport)
    ticket = breaker.admit(call.request.resource_arn)
    if ticket.changed is not None:
        call.tell("BreakerChanged", ticket.changed)
    try:
        answer = _retried(call, transport)
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


def _retried(call: Call[ResultT], transport: Transport) -> ResultT:
    # A healthy call pays for nothing below: tenacity is not even imported.
    try:
        return _attempt(call, transport)
    except PersonalizeError as error:
        failure = error
    try:
        if not failure.is_retry_safe:
            raise failure
        return _try_again(failure, call, transport)
    finally:
        del failure


def _try_again(failure: PersonalizeError, call: Call[ResultT], transport: Transport) -> ResultT:
    import tenacity as _t

    decisions = Decisions(call)
    failed = [failure]
    del failure

    def attempt() -> ResultT:
        # tenacity counts the attempt that already failed as its first.
        if failed:
            raise failed.pop()
        decisions.check_time()
        return _attempt(call, transport)

    retrying = _t.Retrying(
        retry=_t.retry_if_exception_type(PersonalizeError),
        wait=decisions.wait,
        stop=decisions.stop,
        sleep=call.policies.retry.sleep,
        retry_error_callback=decisions.give_up,
    )
    try:
        answer: ResultT = retrying(attempt)
    finally:
        decisions.forget(retrying)
    decisions.raise_failure()
    return answer


def _attempt(call: Call[ResultT], transport: Transport) -> ResultT:
    call.attempt_begins()
    policies = call.policies
    try:
        if policies.hedge is not None:
            from personalize_rt.resilience.racing import hedged

            reply = hedged(call, transport, policies.hedge)
        elif policies.leave_behind(transport):
            from personalize_rt.resilience.racing import on_a_worker

            reply = on_a_worker(call, transport)
        else:
            reply = transport.send(call.request, sent_before=call.sent, ends=call.ends())
        return call.result(reply)
    except PersonalizeError as error:
        call.attempt_failed(error)
        raise

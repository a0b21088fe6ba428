# Generated from personalize_rt/_async/driver.py by `nox -s twins`: edit that file, and never this one.
"""The driver of the client: it makes a call as the policies decide.

The order of the policies, the outermost first::

    fallback [ deadline [ cache [ breaker [ budget, retry [ hedge [ send ] ] ] ] ] ]

A healthy call without a cache, a breaker or a hedge goes straight through. Errors are handed on as values, and raised
at the end (:mod:`personalize_rt.outcome`). Sending until the deadline, hedging and waiting for an equal call are in
:mod:`personalize_rt.resilience.threads`.
"""

from __future__ import annotations

from typing import TypeVar

from personalize_rt.errors import CircuitOpenError, PersonalizeError
from personalize_rt.operations import Request
from personalize_rt.outcome import Failed, Ok, Outcome
from personalize_rt.resilience.call import Call, Policies
from personalize_rt.resilience.retry import Decisions
from personalize_rt.resilience.threads.attempt import reply_in_time, sleep_of
from personalize_rt.transport.sending import Transport

__all__ = ["outcome_of"]

ResultT = TypeVar("ResultT")


def outcome_of(request: Request[ResultT], transport: Transport, policies: Policies) -> Outcome[ResultT]:
    """Make a call.

    Returns:
        The answer of the service, of the cache or of a fallback; or the error, when there is none.
    """
    call = Call(request, policies)
    try:
        if policies.cache is None:
            outcome = _guarded(call, transport)
        else:
            from personalize_rt.resilience.threads.flights import cached

            outcome = cached(call, transport, policies.cache, _guarded)
    except BaseException as error:
        call.ended(Failed(error))
        raise
    if isinstance(outcome, Failed):
        outcome = call.substituted(outcome)
    call.ended(outcome)
    return outcome


def _guarded(call: Call[ResultT], transport: Transport) -> Outcome[ResultT]:
    """Make the attempts, unless the breaker is open."""
    breaker = call.policies.breaker
    if breaker is None:
        return _retried(call, transport)
    try:
        ticket = breaker.admit(call.request.resource_arn)
    except CircuitOpenError as error:
        return Failed(error)
    call.breaker_changed(ticket.changed)
    try:
        outcome = _retried(call, transport)
    except Exception as error:
        call.breaker_changed(breaker.record(ticket, error))
        raise
    except BaseException:
        breaker.release(ticket)
        raise
    call.breaker_changed(breaker.record(ticket, outcome.error if isinstance(outcome, Failed) else None))
    return outcome


def _retried(call: Call[ResultT], transport: Transport) -> Outcome[ResultT]:
    """Make the first attempt, and others when it failed in a way that may pass."""
    outcome = _attempt(call, transport)
    # A healthy call pays for nothing below: tenacity is not even imported.
    if isinstance(outcome, Ok) or not outcome.error.is_retry_safe:
        return outcome
    return _try_again(outcome, call, transport)


def _try_again(first: Failed[PersonalizeError], call: Call[ResultT], transport: Transport) -> Outcome[ResultT]:
    import tenacity as _t

    decisions = Decisions(call)
    failed = [first]

    def attempt() -> Outcome[ResultT]:
        # tenacity counts the attempt that already failed as its first.
        if failed:
            return failed.pop()
        return decisions.late() or _attempt(call, transport)

    retrying = _t.Retrying(
        retry=_t.retry_if_result(lambda outcome: isinstance(outcome, Failed)),
        wait=decisions.wait,
        stop=decisions.stop,
        sleep=sleep_of(call.policies.retry),
        retry_error_callback=decisions.give_up,
    )
    try:
        outcome: Outcome[ResultT] = retrying(attempt)
    except BaseException as error:
        if call.spent and not isinstance(error, Exception):  # cancelled: the retry has no outcome now
            call.policies.budget.succeeded(call.spent)
        raise
    finally:
        decisions.forget(retrying)
    return outcome


def _attempt(call: Call[ResultT], transport: Transport) -> Outcome[ResultT]:
    call.attempt_begins()
    try:
        return Ok(call.result(reply_in_time(call, transport)))
    except PersonalizeError as error:
        call.attempt_failed(error)
        return Failed(error)

"""The outcome of a call as a value, which holds its error until it is raised or put to use."""

from __future__ import annotations

import gc
import weakref

import pytest

from personalize_rt import ServerError
from personalize_rt.outcome import Failed, Ok, Outcome


def error() -> ServerError:
    return ServerError("down", response={}, operation_name="GetRecommendations", code="InternalFailure")


def test_an_answer_is_unwrapped() -> None:
    outcome: Outcome[str] = Ok("answer")
    assert outcome.unwrap() == "answer"


def test_an_error_is_raised_once_as_it_is_and_without_a_context() -> None:
    kept = error()
    failed = Failed(kept)
    with pytest.raises(ServerError) as caught:
        failed.unwrap()
    assert caught.value is kept
    assert caught.value.__cause__ is caught.value.__context__ is None
    with pytest.raises(AttributeError):
        failed.unwrap()


def test_an_error_that_was_taken_out_is_held_no_longer() -> None:
    failed = Failed(error())
    taken = weakref.ref(failed.take())
    assert taken() is None


def test_variables_of_all_callers_may_hold_an_outcome() -> None:
    """Their frames are in the traceback: the error is freed without a garbage collection all the same."""

    def sent() -> Failed[ServerError]:
        try:
            raise error()
        except ServerError as caught:
            return Failed(caught)

    def retried() -> Failed[ServerError]:
        outcome = sent()
        return outcome

    def call() -> weakref.ref[ServerError]:
        outcome = retried()
        freed = weakref.ref(outcome.error)
        try:
            outcome.unwrap()
        except ServerError:
            return freed

    gc.disable()
    try:
        assert call()() is None
    finally:
        gc.enable()

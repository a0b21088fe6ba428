"""Errors: one tree, botocore's classes for those who migrate, and nothing lost on the way through pickle and copy."""

from __future__ import annotations

import copy
import pickle
import traceback
from collections.abc import Iterator
from typing import Any

import botocore.exceptions
import pytest

from personalize_rt import errors
from personalize_rt.errors import (
    AccessDeniedError,
    CircuitOpenError,
    ConfigurationError,
    DeadlineExceededError,
    FilterSyntaxError,
    FilterValuesError,
    InvalidInputError,
    PersonalizeError,
    QueueFullError,
    ResourceNotFoundError,
    ResponseError,
    ServerError,
    ServiceError,
    ThrottlingError,
    TransportError,
    ValidationError,
)

RESPONSE = {
    "Error": {"Code": "SomeException", "Message": "m"},
    "ResponseMetadata": {"HTTPStatusCode": 418, "RequestId": "r-1", "HTTPHeaders": {"a": "b"}, "RetryAttempts": 1},
}
SERVICE = {
    "response": RESPONSE,
    "operation_name": "GetRecommendations",
    "code": "SomeException",
    "status_code": 418,
    "request_id": "r-1",
    "attempts": 2,
    "retry_after": 1.5,
}
ATTRIBUTES: dict[type[PersonalizeError], dict[str, Any]] = {
    PersonalizeError: {},
    ValidationError: {"parameter": "input_list", "limit": 500},
    FilterSyntaxError: {"line": 2, "column": 7, "parameter": "filter", "limit": 2500},
    FilterValuesError: {"parameter": "GENRE", "limit": 1000},
    ConfigurationError: {},
    ServiceError: SERVICE,
    InvalidInputError: SERVICE,
    ResourceNotFoundError: SERVICE,
    AccessDeniedError: SERVICE,
    ThrottlingError: SERVICE,
    ServerError: SERVICE,
    TransportError: {"phase": "connect", "attempts": 3},
    DeadlineExceededError: {"deadline": 2.5, "attempts": 3},
    CircuitOpenError: {"retry_after": 4.0},
    QueueFullError: {},
    ResponseError: {},
}
PARENTS = {
    ValidationError: (PersonalizeError, ValueError),
    FilterSyntaxError: (ValidationError,),
    FilterValuesError: (ValidationError,),
    ConfigurationError: (PersonalizeError, botocore.exceptions.BotoCoreError),
    ServiceError: (PersonalizeError, botocore.exceptions.ClientError),
    InvalidInputError: (ServiceError,),
    ResourceNotFoundError: (ServiceError,),
    AccessDeniedError: (ServiceError,),
    ThrottlingError: (ServiceError,),
    ServerError: (ServiceError,),
    TransportError: (PersonalizeError, botocore.exceptions.HTTPClientError, botocore.exceptions.BotoCoreError),
    DeadlineExceededError: (PersonalizeError, TimeoutError),
    CircuitOpenError: (PersonalizeError,),
    QueueFullError: (PersonalizeError,),
    ResponseError: (PersonalizeError,),
}
CLASSES = pytest.mark.parametrize("kind", list(ATTRIBUTES))


def made(kind: type[PersonalizeError]) -> PersonalizeError:
    return kind("what was wrong", **ATTRIBUTES[kind])


def test_every_public_error_is_in_the_table_of_these_tests() -> None:
    assert {kind.__name__ for kind in ATTRIBUTES} == set(errors.__all__)


@pytest.mark.parametrize(("kind", "parents"), PARENTS.items())
def test_an_error_is_caught_as_each_of_its_parents(kind: type[PersonalizeError], parents: tuple[type, ...]) -> None:
    for parent in (*parents, PersonalizeError, Exception):
        with pytest.raises(parent):
            raise made(kind)


def test_only_the_documented_classes_are_botocores() -> None:
    of_botocore = {kind for kind in ATTRIBUTES if issubclass(kind, botocore.exceptions.BotoCoreError)}
    assert of_botocore == {ConfigurationError, TransportError}
    assert not issubclass(TransportError, botocore.exceptions.ClientError)


@CLASSES
def test_attributes_and_texts_are_ours(kind: type[PersonalizeError]) -> None:
    error = made(kind)
    for name, value in ATTRIBUTES[kind].items():
        assert getattr(error, name) == value
    assert str(error) == "what was wrong"
    assert error.args == ("what was wrong",)
    assert repr(error) == f"{kind.__name__}('what was wrong')"
    assert traceback.format_exception_only(error) == [f"personalize_rt.errors.{kind.__name__}: what was wrong\n"]


def copies(error: PersonalizeError) -> Iterator[PersonalizeError]:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        yield pickle.loads(pickle.dumps(error, protocol))
    yield pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(error))))
    yield copy.copy(error)
    yield copy.deepcopy(error)
    yield copy.copy(copy.deepcopy(error))


@CLASSES
def test_every_error_pickles_and_copies_with_all_attributes(kind: type[PersonalizeError]) -> None:
    error = made(kind)
    error.add_note("a note")
    for again in copies(error):
        assert type(again) is kind
        assert (str(again), repr(again), again.args) == (str(error), repr(error), error.args)
        assert vars(again) == vars(error)
        assert again.is_retry_safe == error.is_retry_safe
        for name, value in ATTRIBUTES[kind].items():
            assert getattr(again, name) == value
        assert again.__traceback__ is again.__cause__ is again.__context__ is None


@CLASSES
def test_every_error_re_raises_with_all_attributes(kind: type[PersonalizeError]) -> None:
    error = copy.copy(made(kind))
    for _ in range(2):
        with pytest.raises(kind) as caught:
            raise error
        assert caught.value is error
    for name, value in ATTRIBUTES[kind].items():
        assert getattr(error, name) == value


@CLASSES
def test_subclasses_of_users_pickle_too(kind: type[PersonalizeError]) -> None:
    error = pickle.loads(pickle.dumps(OF_USERS[kind]("what was wrong", **ATTRIBUTES[kind])))
    assert type(error) is OF_USERS[kind]
    assert vars(error) == vars(made(kind))


OF_USERS = {kind: type(f"Users{kind.__name__}", (kind,), {"__module__": __name__}) for kind in ATTRIBUTES}
globals().update({kind.__name__: kind for kind in OF_USERS.values()})


def test_a_deep_copy_does_not_share_the_response() -> None:
    error = made(ThrottlingError)
    assert isinstance(error, ServiceError)
    again = copy.deepcopy(error)
    again.response["Error"]["Code"] = "changed"
    assert error.response == RESPONSE


def test_a_deadline_is_no_errno() -> None:
    for error in (made(DeadlineExceededError), *copies(made(DeadlineExceededError))):
        assert isinstance(error, DeadlineExceededError)
        assert error.errno is error.strerror is error.filename is None


def test_a_service_error_has_what_botocores_has() -> None:
    error = made(InvalidInputError)
    theirs = botocore.exceptions.ClientError(RESPONSE, "GetRecommendations")
    assert isinstance(error, ServiceError)
    assert error.response == theirs.response
    assert error.operation_name == error.operation == theirs.operation_name
    assert (error.MSG_TEMPLATE, set(vars(theirs)) - set(vars(error))) == (theirs.MSG_TEMPLATE, set())


def test_botocores_parents_find_the_attributes_that_they_set() -> None:
    theirs = botocore.exceptions.HTTPClientError(error="e")
    assert set(vars(theirs)) <= set(vars(made(TransportError)))
    assert set(vars(botocore.exceptions.BotoCoreError())) <= set(vars(made(ConfigurationError)))


def test_what_may_be_sent_again_is_throttling_server_and_transport_errors() -> None:
    safe = {kind for kind in ATTRIBUTES if made(kind).is_retry_safe}
    assert safe == {ThrottlingError, ServerError, TransportError}


@pytest.mark.parametrize(("phase", "safe"), [("resolve", 1), ("connect", 1), ("tls", 0), ("send", 1), ("read", 1)])
def test_a_certificate_that_is_refused_is_not_sent_again(phase: Any, safe: int) -> None:
    assert TransportError("m", phase=phase).is_retry_safe == bool(safe)

"""Replies and exceptions of boto3, made of ours, for code that takes a boto3 client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from personalize_rt.errors import (
    CircuitOpenError,
    DeadlineExceededError,
    InvalidInputError,
    PersonalizeError,
    ResourceNotFoundError,
    ResponseError,
    ValidationError,
)
from personalize_rt.transport.untyped import untyped

if TYPE_CHECKING:
    from personalize_rt.results import ActionRecommendations, Ranking, Recommendations

    class BotoCoreError(Exception): ...

    class ClientError(Exception): ...

    class HTTPClientError(BotoCoreError): ...

    class ParamValidationError(BotoCoreError): ...

else:
    _botocore = untyped("botocore.exceptions")
    BotoCoreError, ClientError = _botocore.BotoCoreError, _botocore.ClientError
    HTTPClientError, ParamValidationError = _botocore.HTTPClientError, _botocore.ParamValidationError

__all__ = ["Exceptions", "LikeBoto3", "as_raised", "as_reply"]


class LikeBoto3:
    """The client that ``as_boto3()`` of a runtime gives. A runtime with such a client would ask itself."""

    __slots__ = ()


# What of our errors botocore has no class for, as a caller of boto3 would catch it.


class BotoValidationError(ValidationError, ParamValidationError):
    """An argument was refused; nothing was sent."""


class BotoDeadlineExceededError(DeadlineExceededError, HTTPClientError):
    """The deadline for the whole call has passed."""


class BotoCircuitOpenError(CircuitOpenError, HTTPClientError):
    """Nothing was sent: the breaker is open."""


class BotoResponseError(ResponseError, BotoCoreError):
    """An answer could not be understood."""


_ALSO: tuple[tuple[type[PersonalizeError], type[PersonalizeError]], ...] = (
    (ValidationError, BotoValidationError),
    (DeadlineExceededError, BotoDeadlineExceededError),
    (CircuitOpenError, BotoCircuitOpenError),
    (ResponseError, BotoResponseError),
)


def as_raised(error: PersonalizeError) -> PersonalizeError:
    """The error that a caller of boto3 catches by botocore's classes; all others are some of botocore's already."""
    for ours, both in _ALSO:
        if isinstance(error, ours):
            raised = both.__new__(both, *error.args)
            raised.args = error.args
            raised.__dict__.update(error.__dict__, kwargs={})
            raised.__cause__, raised.__suppress_context__ = error.__cause__, True
            return raised
    return error


class Exceptions:
    """The exceptions of the service's model, as ``client.exceptions`` of boto3 names them."""

    ClientError: type[Exception] = ClientError
    InvalidInputException: type[InvalidInputError] = InvalidInputError
    ResourceNotFoundException: type[ResourceNotFoundError] = ResourceNotFoundError


def as_reply(answer: Recommendations | Ranking | ActionRecommendations) -> dict[str, Any]:
    """The reply that boto3 would return for an answer."""
    info = answer.info
    head: dict[str, Any] = {
        "HTTPStatusCode": 200,
        "HTTPHeaders": {} if info.request_id is None else {"x-amzn-requestid": info.request_id},
        "RetryAttempts": max(info.attempts - 1, 0),
    }
    if info.request_id is not None:
        head["RequestId"] = info.request_id
    return {"ResponseMetadata": head, **answer.to_response()}

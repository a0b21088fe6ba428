"""Error codes of AWS and the classes of errors that they become."""

from __future__ import annotations

from collections.abc import Mapping

from personalize_rt.errors import (
    AccessDeniedError,
    InvalidInputError,
    ResourceNotFoundError,
    ServerError,
    ServiceError,
    ThrottlingError,
)

__all__ = ["CODES", "is_passing", "service_error_class"]

# service.md section 5.3: the operations' own errors, the common errors, and the codes of older lists.
CODES: Mapping[str, type[ServiceError]] = {
    **dict.fromkeys(
        (
            "InvalidInputException",
            "InvalidParameterCombination",
            "InvalidParameterValue",
            "MalformedHttpRequestException",
            "MissingParameter",
            "RequestEntityTooLargeException",
            "SerializationException",
            "ValidationError",
            "ValidationException",
        ),
        InvalidInputError,
    ),
    "ResourceNotFoundException": ResourceNotFoundError,
    **dict.fromkeys(
        (
            "AccessDenied",
            "AccessDeniedException",
            "ExpiredToken",
            "ExpiredTokenException",
            "IncompleteSignature",
            "IncompleteSignatureException",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "NotAuthorized",
            "OptInRequired",
            "RequestExpired",
            "SignatureDoesNotMatch",
            "UnrecognizedClientException",
        ),
        AccessDeniedError,
    ),
    **dict.fromkeys(
        (
            "LimitExceededException",
            "RequestLimitExceeded",
            "SlowDown",
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "TooManyRequestsException",
        ),
        ThrottlingError,
    ),
    **dict.fromkeys(
        (
            "InternalFailure",
            "InternalServerError",
            "InternalServerException",
            "RequestAbortedException",
            "RequestTimeout",
            "RequestTimeoutException",
            "ServiceUnavailable",
            "ServiceUnavailableException",
        ),
        ServerError,
    ),
}


def service_error_class(code: str, status: int | None) -> type[ServiceError]:
    """The class of our errors for a code, or for a status whose code is not known."""
    by_code = CODES.get(code)
    if by_code is not None:
        return by_code
    if code.startswith(("Validation", "Malformed")) or status == 413:
        return InvalidInputError
    if status in (401, 403):
        return AccessDeniedError
    if status == 429:
        return ThrottlingError
    if status == 408 or (status is not None and status >= 500):
        return ServerError
    return ServiceError


# Of services that give credentials: STS cannot reach an identity provider; too many requests at once.
_PASSING = ("IDPCommunicationError", "PriorRequestNotComplete", "RequestThrottled", "RequestThrottledException")


def is_passing(code: str, status: int | None) -> bool:
    """Tell whether a service may answer well the next time: it was throttled, or in trouble itself."""
    return code in _PASSING or issubclass(service_error_class(code, status), ThrottlingError | ServerError)

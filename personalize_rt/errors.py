"""The tree of errors.

::

    PersonalizeError
    ├── ValidationError (also ValueError)              nothing was sent
    │   ├── FilterSyntaxError                          a filter expression that does not parse
    │   ├── FilterValuesError                          a filter value that is missing, unknown or cannot be sent
    │   └── PageTokenError                             a token whose pages cannot be had: ask for new ones
    ├── ConfigurationError (also BotoCoreError)        no region, no credentials, no profile, expired SSO
    ├── ServiceError (also ClientError)                the service answered with an error
    │   ├── InvalidInputError                          the request is wrong: do not repeat it
    │   ├── ResourceNotFoundError                      no such campaign, recommender or filter
    │   ├── AccessDeniedError                          credentials, signature or permission were refused
    │   ├── ThrottlingError                            too many requests: try later
    │   └── ServerError                                the service's own trouble: 5xx, 408, an aborted request
    ├── TransportError (also HTTPClientError)          no answer: resolve, connect, tls, send, read
    ├── DeadlineExceededError (also TimeoutError)      the caller's deadline has passed
    ├── CircuitOpenError                               not sent: this campaign failed too often recently
    ├── QueueFullError                                 not queued: an event tracker's queue has no room
    └── ResponseError                                  an answer could not be understood

``except botocore.exceptions.ClientError`` still catches the errors of the service.

No message, ``repr`` or ``args`` shows a user id, a context value, a filter value or item metadata.
Every error pickles, copies and re-raises with all of its attributes.
"""

from __future__ import annotations

from typing import Any, Literal

# With stubs for botocore, type checkers take a ServiceError where they want a ClientError.
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

__all__ = [
    "AccessDeniedError",
    "CircuitOpenError",
    "ConfigurationError",
    "DeadlineExceededError",
    "FilterSyntaxError",
    "FilterValuesError",
    "InvalidInputError",
    "PageTokenError",
    "PersonalizeError",
    "QueueFullError",
    "ResourceNotFoundError",
    "ResponseError",
    "ServerError",
    "ServiceError",
    "ThrottlingError",
    "TransportError",
    "ValidationError",
]

# The service's words for a campaign or recommender that does not exist, or is not active, with the code
# InvalidInputException (service.md section 12, fact 1).
DOES_NOT_EXIST = "does not exist or is not active yet."

Phase = Literal["resolve", "connect", "tls", "send", "read"]
TokenProblem = Literal["malformed", "unknown", "expired", "unavailable"]


def _rebuild(cls: type[PersonalizeError], args: tuple[Any, ...], state: dict[str, Any]) -> PersonalizeError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class PersonalizeError(Exception):
    """The base of all errors of this package.

    Args:
        message: One or two sentences for a person: what was wrong, and what to do.
    """

    def __init__(self, message: str) -> None:
        # Not super().__init__: the botocore parents of some classes want arguments of their own,
        # and OSError turns a second positional argument into an errno.
        Exception.__init__(self, message)

    @property
    def message(self) -> str:
        """The text of the error, without its class."""
        return str(self.args[0]) if self.args else ""

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r})"

    # By default, an exception is unpickled by calling its class with `args`: keyword-only attributes would be lost, and
    # a subclass of ClientError would become a plain ClientError.
    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__.copy())

    @property
    def is_retry_safe(self) -> bool:
        """``True`` if the same request may succeed when it is sent again."""
        return False


class ValidationError(PersonalizeError, ValueError):
    """An argument was refused; nothing was sent.

    Args:
        message: The problem, with kind and size of the value, never the value itself.
        parameter: The name of the argument, as the method spells it (``"input_list"``).
        limit: The limit that was exceeded, or ``None``.
    """

    def __init__(self, message: str, *, parameter: str | None = None, limit: int | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter
        self.limit = limit


class FilterSyntaxError(ValidationError):
    """A filter expression that does not parse, or breaks a rule that the service checks at creation.

    Args:
        message: The problem and the expectation, with a caret under the offending token.
        line: The line of the token, from 1.
        column: The column of the token in that line, in characters, from 1.
        parameter: The name of the argument that held the expression.
        limit: The limit that was exceeded, or ``None``.
    """

    def __init__(
        self,
        message: str,
        *,
        line: int,
        column: int,
        parameter: str | None = "expression",
        limit: int | None = None,
    ) -> None:
        super().__init__(message, parameter=parameter, limit=limit)
        self.line = line
        self.column = column


class FilterValuesError(ValidationError):
    """A filter value that is missing, unknown, or cannot be written in the filter language.

    ``parameter`` is the name of the filter parameter (``"GENRE"``).
    """


class PageTokenError(ValidationError):
    """A token whose pages cannot be had; ask for new ones with ``pages()``.

    Args:
        message: The problem, and what to do; never the token.
        reason: ``"malformed"`` for a text that is no token, or was changed; ``"unknown"`` if the store has no such
            pages (any longer), or they are another user's or handle's; ``"expired"`` if they are older than the
            store's ``ttl``; ``"unavailable"`` if the store failed, or did not answer in time.
        parameter: The name of the argument that held the token.
    """

    def __init__(self, message: str, *, reason: TokenProblem, parameter: str | None = "token") -> None:
        super().__init__(message, parameter=parameter)
        self.reason: TokenProblem = reason


class ConfigurationError(PersonalizeError, BotoCoreError):
    """The client could not be built or could not sign: no region, credentials or profile, expired SSO.

    A temporary failure to fetch credentials is a :class:`TransportError`.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.kwargs: Any = {}


class ServiceError(PersonalizeError, ClientError):
    """The service answered with an error.

    Args:
        message: Code, status, request id, attempts, advice, and the service's own message without words that
            have something in common with a value of the request (``personalize_rt.masking``).
        response: The content of botocore's ``ClientError.response``. Unmasked, so never shown in the error's text.
        operation_name: The operation, as the service spells it (``"GetRecommendations"``).
        code: The error code (``"ThrottlingException"``); undocumented codes are masked like the message.
        status_code: The HTTP status, or ``None`` if the reply has none.
        request_id: The service's id of the request, for a support case; masked like the message.
        attempts: The number of requests sent in this call.
        retry_after: The wait in seconds that the service asked for, or ``None``.
    """

    def __init__(
        self,
        message: str,
        *,
        response: dict[str, Any],
        operation_name: str,
        code: str,
        status_code: int | None = None,
        request_id: str | None = None,
        attempts: int = 1,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.response: Any = response
        self.operation_name = operation_name
        self.code = code
        self.status_code = status_code
        self.request_id = request_id
        self.attempts = attempts
        self.retry_after = retry_after

    @property
    def operation(self) -> str:
        """The operation that failed, as the service spells it."""
        return self.operation_name

    @property
    def no_such_resource(self) -> bool:
        """True when the service said that a campaign, recommender or filter does not exist, or is not active.

        It has two ways to say so: ``ResourceNotFoundException``, which the API reference lists, and
        ``InvalidInputException`` with a message of known words, which was recorded for a campaign.
        """
        said = self.response.get("Error", {}).get("Message")
        return self.code == "ResourceNotFoundException" or str(said).endswith(DOES_NOT_EXIST)


class InvalidInputError(ServiceError):
    """The service refused the request as it stands; sending it again cannot help.

    A campaign, recommender or filter that does not exist may be among the reasons: see ``no_such_resource``.
    """


class ResourceNotFoundError(ServiceError):
    """The campaign, recommender or filter does not exist (in this region and account).

    The service may also say so by :class:`InvalidInputError`: ``no_such_resource`` is true of both.
    """


class AccessDeniedError(ServiceError):
    """Credentials, signature or permission were refused."""


class ThrottlingError(ServiceError):
    """More requests than the campaign's capacity or the account's quota allows."""

    @property
    def is_retry_safe(self) -> bool:
        """``True``, since the same request may succeed later."""
        return True


class ServerError(ServiceError):
    """The service could not answer: a status from 500, 408, or an aborted request."""

    @property
    def is_retry_safe(self) -> bool:
        """``True``, since the same request may succeed later."""
        return True


class TransportError(PersonalizeError, HTTPClientError):
    """No answer arrived.

    Args:
        message: The failure, and where to look for its cause.
        phase: The phase in which the request failed: ``"resolve"``, ``"connect"``, ``"tls"``, ``"send"`` or ``"read"``.
            Also ``"connect"`` if credentials to sign the request could not be fetched.
        attempts: The number of requests sent in this call; 0 if credentials could not be fetched for any.
    """

    def __init__(self, message: str, *, phase: Phase, attempts: int = 1) -> None:
        super().__init__(message)
        self.phase: Phase = phase
        self.attempts = attempts
        # An attribute that botocore's handlers expect. Always None, since the request's body is personal.
        self.request: Any = None
        self.response: Any = None
        self.kwargs: Any = {"error": message}

    @property
    def is_retry_safe(self) -> bool:
        """``True`` if the same request may succeed when it is sent again."""
        # A certificate that cannot be verified now will not be valid on a retry either.
        return self.phase != "tls"


class DeadlineExceededError(PersonalizeError, TimeoutError):
    """The caller's deadline for the whole call has passed.

    Args:
        message: The deadline, the attempts made, and the failure of the last one.
        deadline: The caller's deadline in seconds.
        attempts: The number of requests sent in this call.
    """

    def __init__(self, message: str, *, deadline: float, attempts: int) -> None:
        super().__init__(message)
        self.deadline = deadline
        self.attempts = attempts


class CircuitOpenError(PersonalizeError):
    """Nothing was sent: the breaker of this campaign or recommender is open.

    Args:
        message: The breaker, and the time until it lets a probe through.
        retry_after: Seconds until the breaker lets a probe through.
    """

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueueFullError(PersonalizeError):
    """An event was not queued: the queue of its tracker is full.

    Args:
        message: How many events wait, and what to do.
    """


class ResponseError(PersonalizeError):
    """An answer arrived that does not conform to the service's model."""

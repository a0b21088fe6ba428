"""Exceptions of botocore, translated into our errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from personalize_rt.errors import (
    DOES_NOT_EXIST,
    AccessDeniedError,
    ConfigurationError,
    PersonalizeError,
    Phase,
    ResourceNotFoundError,
    ResponseError,
    ServiceError,
    ThrottlingError,
    TransportError,
    ValidationError,
)
from personalize_rt.operations import Request, argument_name
from personalize_rt.redaction import mask, mask_id, without_logins
from personalize_rt.transport.attempt import Attempt
from personalize_rt.transport.codes import CODES, service_error_class
from personalize_rt.transport.given import unknown_member
from personalize_rt.transport.untyped import untyped

__all__ = [
    "clock_ahead",
    "configured",
    "forget_frames",
    "service_error",
    "shown_code",
    "shown_request_id",
    "translated",
]


def configured(build: Callable[[], Any]) -> Any:
    """Build a client, or look for its credentials.

    Raises:
        ConfigurationError: Settings or credentials are missing, wrong or expired.
        TransportError: Credentials cannot be fetched just now.
    """
    try:
        return build()
    except Exception as error:
        failure = error
    ours = _configuration_error(failure)
    try:
        raise ours
    finally:
        del failure, ours


def _configuration_error(error: Exception) -> Exception:
    if isinstance(error, PersonalizeError):
        return error
    from personalize_rt.transport.credential_failures import credentials_error

    of_credentials = credentials_error(error)
    if of_credentials is not None:
        return of_credentials
    if isinstance(error, untyped("botocore.exceptions").BotoCoreError | ValueError):
        return ConfigurationError(_configuration_advice(error))
    if isinstance(error, OSError):
        return ConfigurationError(
            f"a file of the AWS settings cannot be read: {error.strerror or type(error).__name__}"
        )
    return error


def _configuration_advice(error: Exception) -> str:
    from personalize_rt.transport.credential_failures import ADVICE

    name = type(error).__name__
    if name in ADVICE:
        return ADVICE[name]
    if _raised_in(error, ("urllib.parse", "ipaddress")):  # these name what they cannot read: a part of a password
        return (
            "Invalid endpoint: its host and port cannot be read. In a user name or password, the characters @ : / ? # "
            "are written as %40 %3A %2F %3F %23"
        )
    text = without_logins(str(error).rstrip("."))
    if "SSO" in name or "SSO" in text or "Token" in name:
        return f"{text}. Sign in again with: aws sso login"
    return text


def translated(error: Exception, request: Request[Any], sent_before: int, attempt: Attempt) -> Exception:
    """Translate an exception of a client's call into the error that the caller sees."""
    from personalize_rt.transport.credential_failures import credentials_error

    botocore = untyped("botocore.exceptions")
    test_doubles: type[Exception] = botocore.StubResponseError
    if isinstance(error, TransportError):
        error.attempts = sent_before if attempt.unsigned else sent_before + 1
    if isinstance(error, PersonalizeError | test_doubles):
        return error  # ours already, or a test double complaining about its test
    of_credentials = credentials_error(error, sent=sent_before)
    if of_credentials is not None:
        attempt.unsigned = True
        return of_credentials
    if isinstance(error, botocore.ClientError):
        return service_error(error, request, sent_before)
    if isinstance(error, botocore.ParamValidationError):
        return _refused_by_botocore(error)
    if isinstance(error, _transport_kinds()):
        return _transport_error(error, sent_before + 1)
    if isinstance(error, botocore.BotoCoreError):
        return ConfigurationError(_configuration_advice(error))
    if isinstance(error, untyped("botocore.parsers").ResponseParserError) or _raised_in(error, _READERS):
        return ResponseError(f"{request.operation.name}: the answer could not be parsed; is the endpoint Personalize?")
    return error


def forget_frames(error: BaseException) -> None:
    """Take the traceback off an exception for which ours is raised, and off those behind it.

    botocore keeps the exception in frames that its traceback holds. Each failed call would leave more than a hundred
    objects in such circles, and only a full garbage collection frees them: a pause of tens of milliseconds, in which
    other calls miss their deadline. An exception that was caught outside of the libraries below keeps its traceback:
    it is the caller's, who may want to know. (An event handler that keeps botocore's own has it without.)
    """
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop()
        if not isinstance(each, BaseException) or each.__traceback__ is None:
            continue
        caught_in: str = each.__traceback__.tb_frame.f_globals.get("__name__", "")
        if caught_in.partition(".")[0] not in _BELOW:
            continue
        each.with_traceback(None)
        waiting += [each.__cause__, each.__context__]
        if isinstance(each, untyped("botocore.exceptions").BotoCoreError):
            details: Any = each
            waiting.append(details.kwargs.get("error"))


_BELOW = ("personalize_rt", "botocore", "aiobotocore", "urllib3", "aiohttp")


# What botocore reads an answer with; all trip over JSON that is not of the model's form.
_READERS = ("botocore.parsers", "botocore.errorfactory", "botocore.model")


def _raised_in(error: Exception, modules: Container[str]) -> bool:
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_globals.get("__name__", "") in modules:
            return True
        traceback = traceback.tb_next
    return False


def _transport_kinds() -> tuple[type[Exception], ...]:
    botocore = untyped("botocore.exceptions")
    return botocore.HTTPClientError, botocore.ConnectionError, botocore.IncompleteReadError


def _transport_error(error: Any, attempts: int) -> TransportError:
    from personalize_rt.transport.tls import is_of_tls, tls_reason

    botocore = untyped("botocore.exceptions")
    details: Mapping[str, Any] = getattr(error, "kwargs", {})
    behind = details.get("error")
    phase: Phase = "read"
    if isinstance(error, botocore.EndpointConnectionError):
        # gaierror, or urllib3's NameResolutionError around it.
        unresolved = type(behind).__name__ in ("gaierror", "NameResolutionError")
        phase = "resolve" if unresolved else "connect"
    elif isinstance(error, botocore.SSLError) or is_of_tls(error):
        phase = "tls"
    elif isinstance(error, botocore.ConnectTimeoutError | botocore.ProxyConnectionError):
        phase = "connect"
    elif isinstance(behind, BrokenPipeError) or "Broken pipe" in str(behind):
        phase = "send"
    where = without_logins(str(details.get("endpoint_url") or details.get("proxy_url") or "the endpoint"))
    message = _PHASES[phase].format(where=where, why=tls_reason(error) if phase == "tls" else "")
    return TransportError(message + _times(attempts), phase=phase, attempts=attempts)


_PHASES: Mapping[Phase, str] = {
    "resolve": "the host name of {where} could not be resolved: check the region, the endpoint and the network",
    "connect": "no connection to {where}: check the endpoint, the network and proxies",
    "tls": "no secure connection to {where}: {why}",
    "send": "the connection to {where} broke while the request was sent",
    "read": "{where} did not answer in time, or broke off its answer",
}


def _times(attempts: int) -> str:
    return f" (after {attempts} attempts)" if attempts > 1 else ""


def _refused_by_botocore(error: Exception) -> ValidationError:
    unknown = unknown_member(str(error))
    if unknown is not None:
        return unknown
    members = re.findall(r"parameter (?:input\.?)?([\w.\[\]]+?)[:,]", str(error))
    named = ", ".join(".".join(map(argument_name, member.split("."))) for member in members)
    return ValidationError(
        f"botocore refused {named or 'a parameter'}: wrong kind, or below the smallest value of the model",
        parameter=argument_name(re.split(r"[.\[]", members[0], maxsplit=1)[0]) if members else None,
    )


def service_error(error: Any, request: Request[Any], sent_before: int) -> ServiceError:
    """Our error for a botocore ``ClientError``."""
    response: dict[str, Any] = error.response
    head: Mapping[str, Any] = response.get("ResponseMetadata", {})
    code = str(response.get("Error", {}).get("Code", "Unknown"))
    status: int | None = head.get("HTTPStatusCode")
    kind = service_error_class(code, status)
    secrets, shown = list(request.personal_values()), list(request.shown())
    if code != str(status):  # what botocore takes for a code where there is none
        code = shown_code(code, secrets, shown)
    request_id = shown_request_id(head, request)
    attempts = sent_before + 1 + int(head.get("RetryAttempts", 0))
    said = _cut(str(response.get("Error", {}).get("Message") or ""), secrets, shown, _LONGEST_MESSAGE)
    facts = [f"HTTP {status}"] if status else []
    if request_id:
        facts.append(f"request id {request_id}")
    facts.append(f"{attempts} attempts" if attempts > 1 else "1 attempt")
    message = f"{request.operation.name} failed with {code} ({', '.join(facts)})"
    if said:
        message += f": {said}"
    advice = _SERVICE_ADVICE.get(ResourceNotFoundError if said.endswith(DOES_NOT_EXIST) else kind)
    if code in _CODES_OF_SKEW:
        advice = _skew(clock_ahead(head.get("HTTPHeaders", {}).get("date"))) or advice
    if advice:
        message += f". {advice}" if not message.endswith(".") else f" {advice}"
    return kind(
        message,
        response=response,
        operation_name=error.operation_name,
        code=code,
        status_code=status,
        request_id=request_id,
        attempts=attempts,
        retry_after=_retry_after(head.get("HTTPHeaders", {})),
    )


_LONGEST_MESSAGE = 500
_LONGEST_CODE = 100


def _cut(said: str, secrets: Sequence[str], shown: Sequence[str], limit: int) -> str:
    """A text of the service without personal values, and without what is too long: a proxy's page, for one."""
    whole = len(said) <= 4 * limit
    masked = mask(said[: 4 * limit], secrets, shown)
    if not whole:  # the last word was cut, maybe to less of a value than is recognised
        masked = masked.rpartition(" ")[0]
    return masked if whole and len(masked) <= limit else f"{masked[:limit]}…"


def shown_code(code: str, secrets: Sequence[str], shown: Sequence[str]) -> str:
    """An error code without personal values. The codes that AWS documents are shown whatever the values.

    Args:
        code: As the service sent it, with or without a namespace (``ns#Code``, ``Code:http://…``).
        secrets: The values to hide.
        shown: What may be shown.
    """
    return code if code in CODES else _cut(code, secrets, [*shown, *CODES], _LONGEST_CODE)


def shown_request_id(head: Mapping[str, Any], request: Request[Any]) -> str | None:
    """The service's id of a request, from the ``ResponseMetadata`` of its answer, without personal values."""
    request_id = head.get("RequestId")
    return request_id and mask_id(str(request_id), request.personal_values())


_SERVICE_ADVICE: Mapping[type[ServiceError], str] = {
    ThrottlingError: "Send fewer requests, or raise the campaign's minProvisionedTPS",
    ResourceNotFoundError: "Check the ARN, its region and its account",
    AccessDeniedError: "Check credentials, clock, and the IAM permission of this operation",
}


# What a service may say of a signature whose time it does not accept.
_CODES_OF_SKEW = frozenset(
    {"InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch"}
)
# Seconds by which a clock may be off without being the reason; AWS accepts five minutes.
_NO_SKEW = 240.0


def clock_ahead(date: Any) -> float | None:
    """Seconds by which this machine's clock is ahead of a reply's ``Date``, which has whole seconds.

    ``None`` without a date.
    """
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    try:
        return (datetime.now(UTC) - parsedate_to_datetime(str(date or ""))).total_seconds()
    except Exception:  # OverflowError for one: email.utils takes any number for a year or a zone
        return None


def _skew(ahead: float | None) -> str | None:
    """Advice where this machine's clock is so far off that the service refuses its signatures."""
    if ahead is None or abs(ahead) < _NO_SKEW:
        return None
    far = f"{abs(ahead) / 60:,.0f} minutes" if abs(ahead) < 7200 else f"{abs(ahead) / 3600:,.0f} hours"
    return f"This machine's clock is {far} {'ahead of' if ahead > 0 else 'behind'} the service's: set it"


def _retry_after(headers: Mapping[str, Any]) -> float | None:
    """Seconds to wait, by ``x-amz-retry-after`` (milliseconds) or ``Retry-After`` (seconds, or a date)."""
    seconds = _seconds(headers.get("x-amz-retry-after"), 1000.0)
    if seconds is None:
        seconds = _seconds(headers.get("retry-after"), 1.0)
    return seconds if seconds is not None else _until(headers.get("retry-after"), headers.get("date"))


def _seconds(text: Any, unit: float) -> float | None:
    try:
        value = float(text) / unit
    except (TypeError, ValueError):
        return None
    return value if 0 <= value < float("inf") else None


def _until(date: Any, now: Any) -> float | None:
    """Seconds until an HTTP date, by the server's own clock where it says what time it is."""
    if date is None:
        return None
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    try:
        until = parsedate_to_datetime(str(date))
        start = parsedate_to_datetime(str(now)) if now else datetime.now(UTC)
        return max(0.0, (until - start).total_seconds())
    except Exception:  # OverflowError for one: email.utils takes any number for a year or a zone
        return None

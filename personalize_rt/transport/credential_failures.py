"""Errors of fetching credentials, told apart from errors of the request that they were to sign.

botocore fetches and refreshes credentials while it builds a client, or in the middle of a call, and whatever goes wrong
comes out of that call: an error of STS looks like one of Personalize, a token file that is not mounted is a
``FileNotFoundError``. The traceback tells where an exception comes from, for clients of ours and of callers alike.

A failure that may pass (a throttled STS, a metadata service that does not answer) is a ``TransportError``: it is
retried, and a fallback is asked. One that lasts is a ``ConfigurationError``.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from personalize_rt.errors import ConfigurationError, TransportError
from personalize_rt.transport.codes import is_passing
from personalize_rt.transport.untyped import untyped

__all__ = ["ADVICE", "credentials_error", "late_credentials"]

ADVICE: Mapping[str, str] = {
    "NoRegionError": "no AWS region: pass region_name=, or set AWS_DEFAULT_REGION or a region in your profile",
    "NoCredentialsError": "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, "
    "or run where a role provides them",
}
"""Advice for exceptions of botocore, by the names of their classes."""

# By the names that botocore has for where credentials come from (``METHOD`` of its providers).
_TO_DO: Mapping[str, str] = {
    "assume-role": "check role_arn in the profile, the trust policy of the role, and who may call sts:AssumeRole",
    "assume-role-with-web-identity": "check AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN and the trust policy of the role",
    "container-role": "check the role of the task or pod, and the variables AWS_CONTAINER_…",
    "custom-process": "run the credential_process of the profile by hand, since its output is not shown here",
    "iam-role": "check the role of the instance, and that its metadata service can be reached",
    "login": "sign in again with: aws login",
    "sso": "sign in again with: aws sso login",
}

_SERVICES: Mapping[str, str] = {
    "AssumeRole": "sts",
    "AssumeRoleWithSAML": "sts",
    "AssumeRoleWithWebIdentity": "sts",
    "CreateOAuth2Token": "signin",
    "CreateToken": "sso-oidc",
    "GetFederationToken": "sts",
    "GetRoleCredentials": "sso",
    "GetSessionToken": "sts",
}

_SSO = ("SSOError", "TokenRetrievalError")
_LOGIN = ("LoginError",)  # since botocore 1.41
# Exceptions that nothing but fetching credentials raises.
_OWN = (*_SSO, *_LOGIN, "CredentialRetrievalError", "MetadataRetrievalError", "RefreshWithMFAUnsupportedError")

_REFUSED = ("AccessDenied", "AccessDeniedException")

_LONGEST = 500

# Trouble with a file, which stays; any other error of the operating system may pass.
_LASTING = (
    errno.EACCES,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOEXEC,
    errno.ENOTDIR,
    errno.EPERM,
)


class _Origin(NamedTuple):
    """The provider that failed, as botocore names it, and the operation that it called (``sts:AssumeRole``)."""

    provider: str | None
    operation: str | None


class _Failure(NamedTuple):
    what: str
    passing: bool = False
    to_do: str | None = None


def credentials_error(
    error: Exception, *, sent: int = 0, fetching: bool = False, verbose: bool = True
) -> ConfigurationError | TransportError | None:
    """Our error for an exception of fetching credentials; ``None`` for an exception that comes from elsewhere.

    Args:
        error: What was raised, with its traceback.
        sent: Requests to Personalize that were sent before.
        fetching: Whether nothing but fetching can have raised it.
        verbose: Whether the text may quote AWS, which names accounts, roles and people.
    """
    origin = _origin(error)
    if origin is None:
        if not (fetching or isinstance(error, _known(_OWN)) or _operation(error) in _SERVICES):
            return None
        origin = _Origin(_provider(error), None)
    if type(error).__name__ in ADVICE:
        return ConfigurationError(ADVICE[type(error).__name__])
    what, passing, to_do = _failure(error, origin, verbose)
    source = f"no credentials from {origin.provider}" if origin.provider else "no credentials"
    if passing:
        message = f"{source} just now: {what}. Nothing was sent for lack of them; this may pass"
        return TransportError(message, phase="connect", attempts=sent)
    to_do = to_do or _TO_DO.get(origin.provider or "", "check where this program gets its credentials")
    return ConfigurationError(f"{source}: {what}; {to_do}")


def late_credentials(provider: str | None, *, sent: int = 0) -> TransportError:
    """The error for an attempt whose time was over before there were credentials."""
    source = f"the credentials from {provider}" if provider else "the credentials"
    return TransportError(f"{source} were still being fetched, and nothing was sent", phase="connect", attempts=sent)


# Where an exception comes from.


def _origin(error: Exception) -> _Origin | None:
    """The innermost provider that an exception passed through; ``None`` when it came through none."""
    fetching, provider, operation = False, None, None
    traceback = error.__traceback__
    while traceback is not None:
        frame, traceback = traceback.tb_frame, traceback.tb_next
        module: str = frame.f_globals.get("__name__", "")
        function = frame.f_code.co_name
        if module in ("botocore.credentials", "aiobotocore.credentials") or function == "get_frozen_credentials":
            fetching = True
            if not module.startswith("personalize_rt."):
                provider = _provider_at(frame) or provider
        elif fetching and function == "_make_api_call":
            operation = _operation_at(frame) or operation
    return _Origin(_provider(error) or provider, operation) if fetching else None


def _provider_at(frame: FrameType) -> str | None:
    this = frame.f_locals.get("self")
    for name in ("METHOD", "method"):
        method = getattr(this, name, None)
        if isinstance(method, str):
            return method
    return None


def _operation_at(frame: FrameType) -> str | None:
    try:
        service: str = frame.f_locals["self"].meta.service_model.service_name
        return f"{service}:{frame.f_locals['operation_name']}"
    except (AttributeError, KeyError):  # another botocore
        return None


def _operation(error: Any) -> str:
    return str(getattr(error, "operation_name", None))


def _operation_called(error: Exception) -> str | None:
    operation = _operation(error)
    return f"{_SERVICES[operation]}:{operation}" if operation in _SERVICES else None


def _provider(error: Any) -> str | None:
    """The provider that an exception names."""
    if isinstance(error, _known(_SSO)):
        return "sso"
    if isinstance(error, _known(_LOGIN)):
        return "login"
    return str(error.kwargs["provider"]) if "provider" in getattr(error, "kwargs", {}) else None


def _known(names: tuple[str, ...]) -> tuple[type[Exception], ...]:
    """Exceptions of botocore by name, but for those that its version does not have."""
    exceptions = untyped("botocore.exceptions")
    return tuple(getattr(exceptions, name) for name in names if hasattr(exceptions, name))


# What failed.


def _failure(error: Any, origin: _Origin, verbose: bool) -> _Failure:
    from ssl import SSLError  # not before it is needed: it takes longer than the rest of this module's import

    from personalize_rt.transport.tls import tls_reason

    botocore = untyped("botocore.exceptions")
    operation = origin.operation or "the request for them"
    if isinstance(error, botocore.ClientError):
        return _of_a_service(error, _operation_called(error) or operation, verbose)
    if isinstance(error, botocore.SSLError | SSLError):
        return _Failure(f"{operation} found no secure connection to {_host(error)}", to_do=tls_reason(error))
    if isinstance(error, botocore.HTTPClientError | botocore.ConnectionError):
        return _Failure(f"{operation} got no answer from {_host(error)}", passing=True)
    if isinstance(error, _known(_SSO)):
        return _Failure(f"the session of single sign-on has expired, or there is none ({type(error).__name__})")
    if isinstance(error, botocore.CredentialRetrievalError):
        return _of_a_provider(str(error.kwargs.get("error_msg", "")), origin.provider, verbose)
    if isinstance(error, botocore.MetadataRetrievalError):
        return _Failure("the instance metadata service did not answer as it should", passing=True)
    if isinstance(error, botocore.BotoCoreError):
        return _Failure(str(error).rstrip(".") if verbose else type(error).__name__)
    if isinstance(error, OSError):
        return _of_the_system(error, origin.provider)
    if isinstance(error, RuntimeError) and "still expired" in str(error):
        return _Failure("those that were fetched have expired already", to_do="check the clock of this machine")
    if origin.provider == "custom-process":
        return _Failure("the program of credential_process did not print them as JSON of version 1")
    return _Failure(f"{type(error).__name__}{_place(error)}")


def _of_a_service(error: Any, operation: str, verbose: bool) -> _Failure:
    head: Mapping[str, Any] = error.response.get("ResponseMetadata", {})
    code = str(error.response.get("Error", {}).get("Code", "Unknown"))
    status = head.get("HTTPStatusCode")
    facts = [f"HTTP {status}"] if status else []
    if head.get("RequestId"):
        facts.append(f"request id {head['RequestId']}")
    what = f"{operation} failed with {code}" + (f" ({', '.join(facts)})" if facts else "")
    # Other texts may quote what was sent, such as a token.
    said = str(error.response["Error"].get("Message") or "") if verbose and code in _REFUSED else ""
    return _Failure(what + (f": {said[:_LONGEST].rstrip('.')}" if said else ""), passing=is_passing(code, status))


def _of_a_provider(said: str, provider: str | None, verbose: bool) -> _Failure:
    """A ``CredentialRetrievalError``, which has nothing but a text."""
    incomplete = "did not contain" in said  # of RefreshableCredentials
    if provider == "container-role":
        status = re.search(r"non 200 response (\d{3})", said)
        if status is not None:
            what = f"the credentials endpoint of the container answered with HTTP {status[1]}"
            return _Failure(what, passing=is_passing("", int(status[1])))
        if "Received error" in said:
            return _Failure("the credentials endpoint of the container did not answer", passing=True)
        return _Failure("the credentials endpoint of the container did not answer with credentials")
    if provider == "iam-role" and incomplete:
        # botocore passes over every error of the metadata service, and says only that nothing came.
        return _Failure("the instance metadata service gave none", passing=True)
    if provider == "custom-process" and not said.startswith(("Unsupported version", "Missing required key")):
        return _Failure("the program of credential_process failed")
    return _Failure(said[:_LONGEST].rstrip(".") if verbose else "it failed")


def _of_the_system(error: OSError, provider: str | None) -> _Failure:
    file = {
        "assume-role-with-web-identity": "the token file that AWS_WEB_IDENTITY_TOKEN_FILE or the profile names",
        "container-role": "the token file that AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names",
        "custom-process": "the program of credential_process",
    }.get(provider or "", "a file")
    if error.errno not in _LASTING:
        return _Failure(f"{type(error).__name__}{_place(error)}", passing=True)
    return _Failure(f"{file} {'is not there' if error.errno == errno.ENOENT else 'cannot be used'} ({error.strerror})")


def _host(error: Any) -> str:
    """Whom a request was for, without the rest of its URL."""
    details: Mapping[str, Any] = getattr(error, "kwargs", {})
    url = details.get("endpoint_url") or details.get("proxy_url") or ""
    parts = urlsplit(str(url))
    return parts.netloc.rpartition("@")[2] or "who gives them"


def _place(error: BaseException) -> str:
    """The line that raised an exception whose text may hold anything."""
    traceback = error.__traceback__
    if traceback is None:
        return ""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f" in {Path(traceback.tb_frame.f_code.co_filename).name}, line {traceback.tb_lineno}"

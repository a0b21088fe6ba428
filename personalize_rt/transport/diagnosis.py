"""The findings of botocore on this machine: region, the source of credentials, and whether the endpoint answers.

Nothing here holds a secret: of credentials only where they come from, of an endpoint no user name or password.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, Literal

import attrs

from personalize_rt.errors import ConfigurationError, PersonalizeError, ResponseError, ServiceError, TransportError
from personalize_rt.operations import GET_RECOMMENDATIONS, Request
from personalize_rt.redaction import without_logins
from personalize_rt.results import ResponseInfo
from personalize_rt.transport.credential_failures import credentials_error
from personalize_rt.transport.failures import clock_ahead
from personalize_rt.transport.sending import Transport
from personalize_rt.transport.untyped import untyped

__all__ = ["Diagnosis", "Reachability", "diagnose"]


@attrs.frozen
class Reachability:
    """Tell whether somebody answers at the endpoint.

    Attributes:
        answered: An HTTP answer came, whatever it says.
        status_code: Its status, where it is an error of AWS; ``403`` is what an unsigned request should get.
        elapsed: Seconds, for looking up the name, connecting, TLS and the answer together.
        clock_ahead: Seconds by which this machine's clock is ahead of the server's, to about one; ``None`` when the
            answer has no date. From about 300 on, AWS refuses signatures.
        phase: How far a request came that was not answered: ``"resolve"``, ``"connect"``, ``"tls"``, ``"send"``,
            ``"read"``; ``None`` when it was, or when the time was over before anything was known.
        problem: Why there is no answer, or why it is not the service's, for a person; ``None`` when all is well.
    """

    answered: bool
    elapsed: float
    status_code: int | None = None
    clock_ahead: float | None = None
    phase: Literal["resolve", "connect", "tls", "send", "read"] | None = None
    problem: str | None = None


@attrs.frozen
class Diagnosis:
    """The settings that a client built here would use.

    Attributes:
        profile: The profile that the settings name, or ``None`` for the default one.
        region: The region, or ``None`` when there is none.
        credentials: Where credentials come from, as botocore names it (``"env"``, ``"shared-credentials-file"``,
            ``"assume-role"``, ``"sso"``, ``"iam-role"``, …); ``None`` when there are none. They are not fetched from
            there, so that they may turn out to be expired.
        endpoint: Where requests go, without user name and password; ``None`` when no client can be built.
        reachability: Whether somebody answers there; ``None`` without an endpoint.
        way: The way that requests take here: ``"direct"``, ``"through"`` botocore because somebody watches, or
            ``"plain"`` because somebody stands in for the network; ``None`` without an endpoint.
        way_reason: The reason for that way.
        problems: What is wrong with the settings, for a person.
    """

    profile: str | None
    region: str | None
    credentials: str | None
    endpoint: str | None
    reachability: Reachability | None
    way: Literal["direct", "through", "plain"] | None
    way_reason: str | None
    problems: tuple[str, ...]


def diagnose(*, region_name: str | None = None, endpoint_url: str | None = None, timeout: float = 3.0) -> Diagnosis:
    """Look at the settings of this machine, and send one unsigned, empty request to the endpoint.

    Args:
        region_name: A region instead of the one of the settings.
        endpoint_url: An endpoint instead of the region's.
        timeout: Seconds after which the endpoint counts as unreachable, name look-up included.
    """
    problems: list[str] = []
    session = untyped("botocore.session").get_session()
    profile: str | None = session.get_config_variable("profile")
    region, credentials = region_name, None
    try:
        region = region or session.get_config_variable("region")
        credentials = getattr(session.get_credentials(), "method", None)
        if credentials is None:
            problems.append("no AWS credentials")
    except Exception as error:
        problems.append(_problem(error))
    if _traces_aiobotocore():
        problems.append(
            "aiobotocore is patched, for tracing maybe, and AsyncPersonalizeRuntime() does not use it: patch botocore "
            "too, or give a session of aiobotocore"
        )
    transport = Transport(region_name=region, session=None, endpoint_url=endpoint_url, config=_unsigned(timeout))
    endpoint: str | None = None
    way: Any = None
    reason: str | None = None
    try:
        way, reason = transport.way()
        endpoint = str(transport.client().meta.endpoint_url)
    except ConfigurationError as error:
        if error.message not in problems:
            problems.append(error.message)
    return Diagnosis(
        profile=profile,
        region=region,
        credentials=credentials,
        endpoint=None if endpoint is None else without_logins(endpoint),
        reachability=None if endpoint is None else _in_time(transport, timeout),
        way=way,
        way_reason=reason,
        problems=tuple(problems),
    )


def _traces_aiobotocore() -> bool:
    """Tell whether somebody replaced the call of aiobotocore's clients, and left that of botocore's alone."""
    from personalize_rt.transport.own import is_own_function

    theirs: Any = sys.modules.get("aiobotocore.client")
    if theirs is None:
        return False
    name, botocore = "_make_api_call", untyped("botocore.client")
    return not is_own_function(
        vars(theirs.AioBaseClient)[name], f"AioBaseClient.{name}", "aiobotocore.client"
    ) and is_own_function(vars(botocore.BaseClient)[name], f"BaseClient.{name}", "botocore.client")


def _unsigned(timeout: float) -> Any:
    return untyped("botocore.config").Config(
        signature_version=untyped("botocore").UNSIGNED, connect_timeout=timeout, read_timeout=timeout
    )


def _problem(error: Exception) -> str:
    """The reason for missing credentials, in words that name no more than a profile or a variable."""
    known = untyped("botocore.exceptions")
    if isinstance(error, known.ProfileNotFound | known.PartialCredentialsError | known.ConfigNotFound):
        return without_logins(str(error))
    ours = credentials_error(error, verbose=False)
    reason = "" if ours is None else f"; {ours.message}"
    return f"credentials cannot be found out: {type(error).__name__}{reason}"


def _in_time(transport: Transport, timeout: float) -> Reachability:
    """On a thread, since nothing else ends a name look-up."""
    found: list[Reachability] = []
    asking = threading.Thread(target=lambda: found.append(_ask(transport, timeout)), daemon=True)
    asking.start()
    asking.join(timeout)
    return found[0] if found else Reachability(False, timeout, problem=f"no answer in {timeout:g} s")


def _ask(transport: Transport, timeout: float) -> Reachability:
    start = time.monotonic()
    answer: ServiceError | None = None
    try:
        request = Request(GET_RECOMMENDATIONS, {})
        reply = transport.send(request, ends=start + timeout)
        GET_RECOMMENDATIONS.read(reply.members, request, ResponseInfo())
    except ServiceError as error:
        answer = error
    except TransportError as error:
        return Reachability(False, time.monotonic() - start, phase=error.phase, problem=error.message)
    except ResponseError as error:
        return Reachability(True, time.monotonic() - start, problem=error.message)
    except PersonalizeError as error:
        return Reachability(False, time.monotonic() - start, problem=error.message)
    finally:
        transport.close()
    elapsed = time.monotonic() - start
    if answer is None:
        return Reachability(True, elapsed)
    headers: Mapping[str, str] = answer.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    problem = None
    if "x-amzn-requestid" not in headers and "x-amzn-errortype" not in headers:
        problem = f"HTTP {answer.status_code} without a header of an AWS service: is the endpoint Personalize?"
    return Reachability(True, elapsed, answer.status_code, clock_ahead(headers.get("date")), problem=problem)

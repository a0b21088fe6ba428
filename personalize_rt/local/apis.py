"""The three APIs of Amazon Personalize on one address: their names, how a request tells which it means, and replies.

==========================  ===========================================  =============================================
``personalize-runtime``     three operations, each with a path           REST-JSON: errors in ``x-amzn-errortype``
``personalize-events``      five operations, each with a path            the same
``personalize``             the control plane, all on ``/``, told apart  JSON 1.1: errors in ``__type``
                            by ``X-Amz-Target: AmazonPersonalize.…``
==========================  ===========================================  =============================================

All three sign as ``personalize``, so a signature does not tell them apart (service models 2018-05-22 and 2018-03-22;
service.md section 5.1).
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from math import isinf
from types import MappingProxyType
from typing import Any, Protocol, cast

import attrs

from personalize_rt.errors import ValidationError
from personalize_rt.local.messages import HttpRequest, HttpResponse
from personalize_rt.operations import OPERATIONS

__all__ = [
    "APIS",
    "CONTROL",
    "EVENTS",
    "MALFORMED",
    "RUNTIME",
    "Answerer",
    "Api",
    "NothingThere",
    "Replies",
    "Router",
    "api_named",
    "asked_of",
    "decode_json",
    "read_object",
    "takes_long",
]

# These wait for a training or another job, or measure a solution version.
WAITING = frozenset(
    (
        *("GetSolutionMetrics", "CreateCampaign", "UpdateCampaign", "CreateBatchInferenceJob"),
        *("DescribeDatasetImportJob", "DescribeSolutionVersion", "DescribeRecommender"),
        *("UpdateRecommender", "StartRecommender", "StopRecommender"),
        *("DescribeBatchInferenceJob", "DescribeDatasetExportJob"),
        *("StartRecommender", "StopRecommender", "UpdateRecommender"),
    )
)

# Headers come with names in any case; nearly all clients write this one in one of two ways.
_TARGET = "x-amz-target"


@attrs.frozen
class Api:
    """One of the three APIs.

    Attributes:
        service: Its name in boto3, which is also the prefix of its endpoint.
        paths: The operation of each path; empty in JSON 1.1.
        target: The beginning of ``X-Amz-Target``, up to the dot; empty in REST-JSON.
        names: Its operations, those that the embedded service does not have included.
    """

    service: str
    paths: Mapping[str, str] = MappingProxyType({})
    target: str = ""
    names: tuple[str, ...] = attrs.field(default=attrs.Factory(lambda self: tuple(self.paths.values()), True))

    @property
    def variable(self) -> str:
        """The environment variable by which SDKs and tools of AWS are told its address."""
        return f"AWS_ENDPOINT_URL_{self.service.upper().replace('-', '_')}"

    @property
    def content_type(self) -> str:
        """The type of its bodies."""
        return "application/x-amz-json-1.1" if self.target else "application/json"

    def error(self, code: str, message: str) -> tuple[Mapping[str, str], str]:
        """The headers and the body that tell an error, in the form of its protocol."""
        if self.target:
            return {}, _as_json({"__type": code, "message": message})
        return {"x-amzn-errortype": code}, _as_json({"message": message})

    def worded(self, response: HttpResponse) -> HttpResponse:
        """An error that was made in the form of REST-JSON, in the form of this API's protocol."""
        code = response.headers.get("x-amzn-errortype")
        if not self.target or code is None:
            return response
        message: Any = (read_object(response.body) or {}).get("message", "")
        body = self.error(code, message)[1].encode()
        headers = {**response.headers, "content-type": self.content_type, "content-length": str(len(body))}
        return HttpResponse(response.status, headers, body)


# The operations of the control plane: a verb, and what it does that to.
_CONTROL = {
    "Create": (
        "BatchInferenceJob BatchSegmentJob Campaign DataDeletionJob Dataset DatasetExportJob "
        "DatasetGroup DatasetImportJob EventTracker Filter MetricAttribution Recommender Schema "
        "Solution SolutionVersion"
    ),
    "Delete": ("Campaign Dataset DatasetGroup EventTracker Filter MetricAttribution Recommender Schema Solution"),
    "Describe": (
        "Algorithm BatchInferenceJob BatchSegmentJob Campaign DataDeletionJob Dataset "
        "DatasetExportJob DatasetGroup DatasetImportJob EventTracker FeatureTransformation Filter "
        "MetricAttribution Recipe Recommender Schema Solution SolutionVersion"
    ),
    "Get": ("SolutionMetrics"),
    "List": (
        "BatchInferenceJobs BatchSegmentJobs Campaigns DataDeletionJobs DatasetExportJobs "
        "DatasetGroups DatasetImportJobs Datasets EventTrackers Filters MetricAttributionMetrics "
        "MetricAttributions Recipes Recommenders Schemas SolutionVersions Solutions TagsForResource"
    ),
    "Start": ("Recommender"),
    "Stop": ("Recommender SolutionVersionCreation"),
    "Tag": ("Resource"),
    "Untag": ("Resource"),
    "Update": ("Campaign Dataset MetricAttribution Recommender Solution"),
}

RUNTIME = Api("personalize-runtime", {operation.path: name for name, operation in OPERATIONS.items()})
EVENTS = Api(
    "personalize-events",
    {
        "/events": "PutEvents",
        "/items": "PutItems",
        "/users": "PutUsers",
        "/actions": "PutActions",
        "/action-interactions": "PutActionInteractions",
    },
)
CONTROL = Api(
    "personalize",
    target="AmazonPersonalize",
    names=tuple(f"{verb}{what}" for verb, all_of_it in _CONTROL.items() for what in all_of_it.split()),
)
APIS = (RUNTIME, EVENTS, CONTROL)

_BY_PATH = {path: (api, operation) for api in APIS for path, operation in api.paths.items()}


def api_named(service: str) -> Api:
    """The API of a name in boto3.

    Raises:
        ValidationError: There is none of that name.
    """
    for api in APIS:
        if api.service == service:
            return api
    known = ", ".join(api.service for api in APIS)
    raise ValidationError(f"service_name must be one of {known}", parameter="service_name")


def asked_of(request: HttpRequest) -> tuple[Api, str | None]:
    """The API that a request is for, and its operation; ``None`` where path, method and target name none.

    The name of an operation of the control plane is the caller's: any text after ``AmazonPersonalize.``.
    """
    path = request.path.partition("?")[0]
    posted = request.method == "POST"
    found = _BY_PATH.get(path)
    if found is not None:
        return found if posted else (found[0], None)
    for name, value in request.headers.items():
        if len(name) == len(_TARGET) and name.lower() == _TARGET:
            prefix, _, operation = value.partition(".")
            return CONTROL, operation if posted and prefix == CONTROL.target and operation else None
    # Nothing but the control plane has the root, and its clients always POST.
    return (CONTROL if path == "/" and posted else RUNTIME), None


def takes_long(request: HttpRequest) -> bool:
    """Tell whether an answer takes seconds, so that a server should not let other requests wait for it."""
    # Only the control plane has this path; the others are not looked at twice.
    return request.path == "/" and asked_of(request)[1] in WAITING


def read_object(body: bytes) -> dict[str, Any] | None:
    """Parse a body, which must be a JSON object in UTF-8 or empty; ``None`` if it is not, as of :func:`decode_json`."""
    try:
        # Decoded first, since json.loads() of bytes accepts UTF-16 and lone surrogates.
        content: Any = decode_json(str(body, "utf-8") or "{}")
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", content) if isinstance(content, dict) else None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ValueError("a number is too large for 64 bits")
    return number


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        # All but the last would be ignored.
        raise ValueError("a member comes twice")
    return members


# json.loads() with an argument would make a decoder for each text.
_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_once_each)


def decode_json(text: str) -> Any:
    """Parse JSON that a caller wrote.

    Raises:
        ValueError: It is none, a member comes twice in an object, or a number is too large to be kept.
        RecursionError: It is too deep.
    """
    return _decoder.decode(text)


MALFORMED = "the body is not a JSON object, or has a member twice, or a number that is too large"
"""The message on a body that :func:`read_object` does not take."""


class Answerer(Protocol):
    """Answers the requests of one API. Safe to share between threads."""

    def handle(self, request: HttpRequest, /) -> HttpResponse:
        """Answer one request. No content of a request makes it raise."""
        ...


@attrs.frozen(repr=False)
class Replies:
    """Makes the replies of one API.

    Attributes:
        api: The API.
        rng: Makes the ids of requests; the same seed gives the same ids.
        clock: Returns the Unix time in seconds, for the ``date`` header.
    """

    api: Api
    rng: random.Random
    clock: Callable[[], float] = time.time

    def reply(self, content: str, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
        """Make a reply.

        Args:
            content: The JSON; empty for an operation without a reply.
            status: The HTTP status.
            headers: Headers beside those that every reply has.
        """
        body = content.encode()
        return HttpResponse(
            status,
            {
                "content-type": self.api.content_type,
                "date": formatdate(self.clock(), usegmt=True),
                "x-amzn-requestid": str(self.uuid()),
                "content-length": str(len(body)),
                **(headers or {}),
            },
            body,
        )

    def refuse(self, code: str, message: str, status: int = 400) -> HttpResponse:
        """Make an error.

        Args:
            code: The service's error code (``"InvalidInputException"``).
            message: The problem. It shows no values of the request except ARNs and names.
            status: The HTTP status.
        """
        headers, content = self.api.error(code, message)
        return self.reply(content, status, headers)

    def refuse_operation(self, operation: str | None, there_are: Iterable[str], why: str = "") -> HttpResponse:
        """Refuse an operation that is not there, and say which are, so that it looks unlike a wrong address.

        Args:
            operation: The operation, or ``None`` where the request names none.
            there_are: The operations that are there.
            why: The reason, if there is one to tell.
        """
        known = ", ".join(there_are) or "none"
        # What came may be anything, and stands in logs.
        named = operation if operation is not None and operation.isascii() and operation.isalnum() else None
        what = "the request names no operation" if named is None else f"{named[:64]} is not modelled"
        what += f": {why}. Of" if why else ": of"
        message = f"{what} {self.api.service}, the embedded service has {known}"
        return self.refuse("UnknownOperationException", message, 404)

    def uuid(self) -> uuid.UUID:
        """A random UUID."""
        return uuid.UUID(int=self.rng.getrandbits(128), version=4)


@attrs.frozen(repr=False)
class NothingThere:
    """Refuses every operation of an API.

    Attributes:
        replies: Makes the replies of the API.
    """

    replies: Replies

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Refuse one request."""
        return self.replies.refuse_operation(asked_of(request)[1], ())


class Router:
    """Hands each request on to the API that it is for.

    Args:
        runtime: Answers ``personalize-runtime``, and requests for nothing known.
        events: Answers ``personalize-events``.
        control: Answers ``personalize``.
    """

    def __init__(self, *, runtime: Answerer, events: Answerer, control: Answerer) -> None:
        self._answerers = {RUNTIME.service: runtime, EVENTS.service: events, CONTROL.service: control}

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one request."""
        return self._answerers[asked_of(request)[0].service].handle(request)


def _as_json(content: object) -> str:
    return json.dumps(content, separators=(",", ":"))

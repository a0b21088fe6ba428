"""The way *through* botocore: its own call, with its events, headers and signature, and less work for three parts.

Taken when somebody watches calls or events. A double of the client makes the call
(:mod:`personalize_rt.transport.rehearsal`), so the client itself stays as botocore made it. On the double,

* the **serialiser** writes what botocore's would, without walking the model: the three operations send their members
  as they are, in a JSON body;
* the **response parser** makes what botocore's would, member for member, and leaves to that one whatever is not of the
  usual form;
* the **session** sends by our sender (:mod:`personalize_rt.transport.sender`), which holds the deadline. A request that
  a handler made into one that the sender cannot send goes to botocore's own session.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from operator import itemgetter
from typing import Any, cast

from personalize_rt.operations import OPERATIONS
from personalize_rt.transport.attempt import Attempt, under_way
from personalize_rt.transport.http_answer import content_length, request_message, request_start
from personalize_rt.transport.rehearsal import double_of, response_of
from personalize_rt.transport.replies import check_size, readable_error
from personalize_rt.transport.sender import KEPT_URLS, Sender
from personalize_rt.transport.untyped import untyped
from personalize_rt.transport.workers import Workers

__all__ = ["through"]


def through(client: Any, sender: Sender, workers: Workers) -> Any:
    """A double of a client that sends through a sender of ours.

    Args:
        client: A client that we built.
        sender: Sends its requests.
        workers: Threads for requests that only botocore's own session can send.

    Raises:
        AttributeError: botocore is not as it is known here.
    """
    double = double_of(client, _Session(client._endpoint.http_session, sender, workers))
    double._serializer = _Serializer(client._serializer)
    double._endpoint._response_parser_factory = _Parsers(client._endpoint._response_parser_factory)
    return double


class _Session:
    """Stands where botocore puts its ``URLLib3Session``: the endpoint's ``http_session``."""

    def __init__(self, session: Any, sender: Sender, workers: Workers) -> None:
        self._session = session
        self._sender = sender
        self._workers = workers
        self._starts: dict[str, bytes] = {}  # by URL
        self._errors = untyped("botocore.exceptions")
        _ = session.send

    def send(self, request: Any) -> Any:
        """Send a prepared request and read the whole answer."""
        body, url, attempt = request.body, request.url, under_way.get() or Attempt()
        message = None
        if isinstance(body, bytes) and "Expect" not in request.headers and request.method == "POST":
            start = self._starts.get(url)
            if start is None:
                start = request_start(url)
                if len(self._starts) < KEPT_URLS:
                    self._starts[url] = start
            message = request_message(start, request.headers, body)
        if message is None:
            return self._by_botocore(request, attempt)
        answer = self._sender.exchange(url, message, attempt)
        promised = content_length(answer.headers.get("content-length", ""))
        if promised is not None and len(answer.body) < promised and answer.status < 300:
            cause = EOFError(f"the answer broke off after {len(answer.body):,} of {promised:,} bytes")
            raise self._errors.ConnectionClosedError(endpoint_url=url, error=cause, request=request)
        return response_of(url, answer.status, answer.headers, answer.body)

    def _by_botocore(self, request: Any, attempt: Attempt) -> Any:
        if attempt.ends is None:
            return self._session.send(request)
        try:
            return self._workers.run(lambda: self._session.send(request), attempt)
        except TimeoutError as error:
            raise self._errors.ReadTimeoutError(endpoint_url=request.url, error=error) from error
        except ConnectionAbortedError as error:
            raise self._errors.ConnectionClosedError(endpoint_url=request.url, error=error, request=request) from error


class _Serializer:
    """Members straight to JSON; botocore's serialiser for operations that are not ours."""

    def __init__(self, general: Any) -> None:
        self._general = general
        self._paths = {name: operation.path for name, operation in OPERATIONS.items()}
        _ = general.serialize_to_request

    def serialize_to_request(self, parameters: Mapping[str, Any], operation_model: Any) -> dict[str, Any]:
        path = self._paths.get(operation_model.name)
        if path is None:
            general: dict[str, Any] = self._general.serialize_to_request(parameters, operation_model)
            return general
        return {
            "url_path": path,
            "query_string": {},
            "method": "POST",
            "headers": {"Content-Type": "application/json"},
            # json's default form, as botocore writes it: non-ASCII text as \uXXXX.
            "body": json.dumps(parameters).encode(),
        }

    def __getattr__(self, name: str) -> Any:
        return getattr(self._general, name)


class _Parsers:
    """botocore's factory of response parsers, whose parsers are kept and read replies faster.

    A parser has no state. botocore makes one for each call, with a circle in it that only the garbage collector frees.
    """

    def __init__(self, factory: Any) -> None:
        self._factory = factory
        self._made: dict[str, _Parser] = {}
        _ = factory.create_parser

    def create_parser(self, protocol: str) -> Any:
        parser = self._made.get(protocol)
        if parser is None:
            parser = self._made[protocol] = _Parser(self._factory.create_parser(protocol))
        return parser

    def __getattr__(self, name: str) -> Any:
        return getattr(self._factory, name)


class _Parser:
    """Reads plain replies of the three operations; leaves all else to botocore's parser."""

    def __init__(self, general: Any) -> None:
        self._general = general
        self._log = logging.getLogger("botocore.parsers")

    def parse(self, response: Mapping[str, Any], shape: Any) -> Any:
        status, body = response["status_code"], response["body"]
        if status >= 300:
            readable = readable_error(body)
            return self._general.parse({**response, "body": readable} if readable is not body else response, shape)
        check_size(body)
        list_member = _LISTS.get(getattr(shape, "name", ""))
        # botocore's parser logs what it reads.
        if list_member is not None and not self._log.isEnabledFor(logging.DEBUG):
            members = _read(body, *list_member)
            headers = {name.lower(): value for name, value in response["headers"].items()}
            request_id = headers.get("x-amzn-requestid")
            if members is not None and request_id is not None:
                head = {"RequestId": request_id, "HTTPStatusCode": status, "HTTPHeaders": headers}
                return {"ResponseMetadata": head, **members}
        return self._general.parse(response, shape)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._general, name)


_ITEM = frozenset({"itemId", "score", "promotionName", "metadata", "reason"})
_LISTS: Mapping[str, tuple[str, frozenset[str]]] = {
    "GetRecommendationsResponse": ("itemList", _ITEM),
    "GetPersonalizedRankingResponse": ("personalizedRanking", _ITEM),
    "GetActionRecommendationsResponse": ("actionList", frozenset({"actionId", "score"})),
}
"""By the shape of the reply: its member that is a list, and the members of a row (model 2018-05-22)."""


def _read(body: bytes, name: str, known: frozenset[str]) -> dict[str, Any] | None:
    """The members that botocore's parser would make of a body, or ``None`` when it is not of the usual form."""
    try:
        reply: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if type(reply) is not dict:
        return None
    reply = cast("dict[str, Any]", reply)
    members: dict[str, Any] = {}
    rows: Any = reply.get(name)
    if rows is not None:
        if type(rows) is not list or not _are_plain(cast("Any", rows), known, nulls=b"null" in body):
            return None
        members[name] = rows
    recommendation_id = reply.get("recommendationId")
    if recommendation_id is not None:
        members["recommendationId"] = recommendation_id
    return members


def _are_plain(rows: list[Any], known: frozenset[str], *, nulls: bool) -> bool:
    """Tell whether botocore would give rows just as JSON has them. Members that are null or unknown it leaves out."""
    if not rows:
        return True
    if set(map(type, rows)) != {dict}:
        return False
    found = set[str]().union(*rows)
    if not found <= known or (nulls and any(None in row.values() for row in rows)):
        return False
    for member, kind in _KINDS.items():
        if member in found:
            try:
                values: list[Any] = list(map(itemgetter(member), rows))
            except KeyError:
                values = [row[member] for row in rows if member in row]
            if set(map(type, values)) != {kind}:
                return False
    return True


# botocore makes floats of all scores, and reads into maps and lists.
_KINDS: Mapping[str, type] = {"score": float, "metadata": dict, "reason": list}

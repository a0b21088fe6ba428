"""The way *through* botocore: its own call, with its events, headers and signature, and less work for three parts.

Taken when somebody watches calls or events. A double of the client makes the call
(:mod:`personalize_rt.transport.rehearsal`), so the client itself stays as botocore made it. On the double,

* the **serialiser** writes what botocore's would, without walking the model: the three operations send their members
  as they are, in a JSON body;
* the **response parser** makes what botocore's would, member for member, and hands on what is not of the usual form;
* the **sender** (:mod:`personalize_rt.transport.sender`) holds the deadline.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, cast

from personalize_rt.operations import OPERATIONS
from personalize_rt.transport.direct import is_readable_error
from personalize_rt.transport.rehearsal import double_of

__all__ = ["through"]


def through(client: Any, sender: Any) -> Any:
    """A double of a client that sends through ``sender``.

    Raises:
        AttributeError, TypeError: botocore is not as it is known here.
    """
    double = double_of(client, sender)
    double._serializer = _Serializer(client._serializer)
    double._endpoint._response_parser_factory = _Parsers(client._endpoint._response_parser_factory)
    return double


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
    """botocore's factory of response parsers, whose parsers are kept and read replies faster."""

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
        list_member = _LISTS.get(getattr(shape, "name", ""))
        # botocore's parser logs what it reads.
        if list_member is not None and response["status_code"] < 300 and not self._log.isEnabledFor(logging.DEBUG):
            members = _read(response["body"], *list_member)
            if members is not None:
                headers = {name.lower(): value for name, value in response["headers"].items()}
                request_id = headers.get("x-amzn-requestid")
                if request_id is not None:
                    head = {"RequestId": request_id, "HTTPStatusCode": response["status_code"], "HTTPHeaders": headers}
                    return {"ResponseMetadata": head, **members}
        if response["status_code"] >= 300 and not is_readable_error(response["body"]):
            response = {**response, "body": b""}  # botocore's parser trips over it; the status says enough
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


def _read(body: Any, name: str, known: frozenset[str]) -> dict[str, Any] | None:
    """The members that botocore's parser would make of a body, or ``None`` when it is not of the usual form."""
    try:
        reply: Any = json.loads(body)
    except (TypeError, ValueError, RecursionError):
        return None
    if type(reply) is not dict:
        return None
    reply = cast("dict[str, Any]", reply)
    members: dict[str, Any] = {}
    rows = reply.get(name)
    if rows is not None:
        if type(rows) is not list:
            return None
        read = members[name] = [_row(row, known) for row in rows]
        if None in read:
            return None
    recommendation_id = reply.get("recommendationId")
    if recommendation_id is not None:
        members["recommendationId"] = recommendation_id
    return members


def _row(row: Any, known: frozenset[str]) -> dict[str, Any] | None:
    """A row as botocore gives it: known members that are not null; ``None`` where botocore has to look itself."""
    if type(row) is not dict or (type(row.get("score", 0.0)) is not float and row["score"] is not None):
        return None
    row = cast("dict[str, Any]", row)
    if not (row.keys() <= known and None not in row.values()):
        row = {name: value for name, value in row.items() if name in known and value is not None}
    metadata, reason = row.get("metadata"), row.get("reason")
    if (metadata is not None and type(metadata) is not dict) or (reason is not None and type(reason) is not list):
        return None
    return cast("dict[str, Any]", row)

"""The embedded service at the level of HTTP bytes, the single entry for all doors.

Errors have the code and status that the service documents (API reference, errors of each operation and "Common
errors"). The messages are our own, since the service's are not published.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from operator import itemgetter
from typing import Any

import attrs

from personalize_rt.errors import ValidationError
from personalize_rt.limits import Limits
from personalize_rt.local.apis import APIS, CONTROL, MALFORMED, RUNTIME, Replies, read_object
from personalize_rt.local.engine import Engine, RefusedError, ReplyRow
from personalize_rt.local.messages import HttpRequest, HttpResponse
from personalize_rt.local.shown import Answers
from personalize_rt.operations import OPERATIONS, Operation

__all__ = ["HttpRequest", "HttpResponse", "Wire", "write_reply"]

_ROUTES = {operation.path: operation for operation in OPERATIONS.values()}
# The member of the reply that holds the rows, and the member of a row that holds its id.
_ROWS = {
    "GetRecommendations": ("itemList", "itemId"),
    "GetPersonalizedRanking": ("personalizedRanking", "itemId"),
    "GetActionRecommendations": ("actionList", "actionId"),
}
# An empty one says nothing. SDKs and their users send it where others leave it out.
_MAPS = ("context", "filterValues", "metadataColumns")
_NO_OPERATION = (
    f"no operation has this path and method: POST to {', '.join(path for api in APIS for path in api.paths)}, "
    f"or to / with X-Amz-Target: {CONTROL.target}.<operation>"
)
_STATUS = {
    "InvalidInputException": 400,
    "MalformedHttpRequestException": 400,
    "ResourceNotFoundException": 404,
    "UnknownOperationException": 404,
}


@attrs.frozen(repr=False)
class Wire:
    """Parses requests, calls the engine, and formats responses. Safe to share between threads.

    Attributes:
        engine: The engine.
        rng: Makes the ids of requests and recommendations; the same seed gives the same ids.
        clock: Returns the Unix time in seconds, for the ``date`` header.
        limits: The limits on a request.
        answers: Keeps the latest answers, to which events may belong.
    """

    engine: Engine
    rng: random.Random
    clock: Callable[[], float] = time.time
    limits: Limits = attrs.field(factory=Limits)
    answers: Answers = attrs.field(factory=Answers)
    _replies: Replies = attrs.field(
        init=False, default=attrs.Factory(lambda self: Replies(RUNTIME, self.rng, self.clock), takes_self=True)
    )

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one request. No content of a request makes it raise."""
        refusal = RefusedError("UnknownOperationException", _NO_OPERATION)
        operation = _ROUTES.get(request.path.partition("?")[0])
        if operation is not None and request.method == "POST":
            try:
                return self._replies.reply(self._answer(operation, request.body))
            except RefusedError as raised:
                refusal = raised
        return self._replies.refuse(refusal.code, refusal.message, _STATUS[refusal.code])

    def _answer(self, operation: Operation[Any], body: bytes) -> str:
        members = _read(body)
        try:
            operation.check(members, self.limits)
        except ValidationError as error:
            message = error.message
        else:
            rows = self.engine.answer(operation, members)
            arn = members.get("campaignArn") or members["recommenderArn"]
            recommendation_id = self._recommendation_id(arn)
            self.answers.add(recommendation_id, operation.name, arn, members.get("userId"), map(_id_of, rows))
            return write_reply(operation, rows, recommendation_id)
        raise RefusedError("InvalidInputException", message)

    def _recommendation_id(self, arn: str) -> str:
        """An id in the service's form of 40 characters: the end of a UUID, and six hexadecimal digits after ``CID``."""
        return f"RID-{str(self._replies.uuid())[11:]}-CID-{sha256(arn.encode()).hexdigest()[:6]}"


def _read(body: bytes) -> dict[str, Any]:
    """The members of a request. Null counts as absent, as the AWS SDKs have it, and so does an empty map."""
    members = read_object(body)
    if members is None:
        raise RefusedError("MalformedHttpRequestException", MALFORMED)
    return {name: value for name, value in members.items() if value is not None and not (name in _MAPS and value == {})}


def _as_json(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"))


def write_reply(operation: Operation[Any], rows: list[ReplyRow], recommendation_id: str) -> str:
    """Write a reply as JSON, like ``json.dumps`` but in half the time."""
    member, id_member = _ROWS[operation.name]
    before, after = f'{{"{id_member}":', ',"score":'
    # Of actions there is no recording.
    nulls = _NULLS if id_member == "itemId" else ""
    written = [
        f"{before}{_json_string(id)}{after}{'null' if score is None else _number(score)}"
        f"{_extras(reason, promotion, metadata) if reason or promotion or metadata is not None else nulls}}}"
        for id, score, reason, promotion, metadata in rows
    ]
    return f'{{"{member}":[{",".join(written)}],"recommendationId":{_json_string(recommendation_id)}}}'


# What an item does not have is sent as null, which the lengths of recorded replies tell (service.md section 12, fact
# 5). Their fifth null has no public name, and is left out.
_NULLS = ',"promotionName":null,"metadata":null,"reason":null'


def _extras(reason: Sequence[str], promotion: str | None, metadata: Mapping[str, str] | None) -> str:
    """The members that few rows have, with a comma before each."""
    return f",{_as_json({'promotionName': promotion, 'metadata': metadata, 'reason': reason or None})[1:-1]}"


def _number(score: float) -> str:
    """A score as Java writes a double of 0 to 1: with an exponent below 1e-3 (service.md section 12, fact 6)."""
    text = repr(score)
    if score >= 1e-3 or score == 0:
        return text
    # Python's exponents begin below 1e-4.
    digits, _, exponent = text.partition("e")
    if not exponent:
        digits, exponent = f"{text[5]}.{text[6:]}", "-4"
    whole, _, fraction = digits.partition(".")
    return f"{whole}.{fraction or '0'}E{int(exponent)}"


_id_of = itemgetter(0)
_json_string: Callable[[str], str] = json.encoder.encode_basestring_ascii

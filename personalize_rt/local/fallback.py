"""The embedded service as a fallback of a client, for campaigns and filters of the same names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from personalize_rt.local.wire import HttpRequest, HttpResponse
from personalize_rt.operations import Request
from personalize_rt.results import ResponseInfo

__all__ = ["substitute"]

ResultT = TypeVar("ResultT")


class _Local(Protocol):
    @property
    def campaigns(self) -> Mapping[str, str]: ...
    @property
    def recommenders(self) -> Mapping[str, str]: ...
    @property
    def filters(self) -> Mapping[str, str]: ...
    def handle(self, request: HttpRequest, /) -> HttpResponse: ...


def substitute(local: _Local, request: Request[ResultT]) -> ResultT | None:
    """Answer a request to the service; ``None`` to refuse.

    Campaigns, recommenders and filters are matched by the name at the end of their ARN, so give those of the embedded
    service the same names. Requests with unknown names are refused.
    """
    members = _localised(local, request.members)
    if members is None:
        return None
    body = json.dumps(members).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    reply = local.handle(HttpRequest("POST", request.operation.path, headers, body))
    if reply.status != 200:
        return None
    return request.operation.read(json.loads(reply.body), request, ResponseInfo(source="local"))


def _localised(local: _Local, members: Mapping[str, Any]) -> dict[str, Any] | None:
    """Replace the ARNs of a request by the embedded service's own; ``None`` if it lacks one of the names."""
    known = {"campaignArn": local.campaigns, "recommenderArn": local.recommenders, "filterArn": local.filters}
    changed: dict[str, Any] = {}
    for member, value in members.items():
        if member == "promotions":
            promotions = [_localised(local, promotion) for promotion in value]
            if None in promotions:
                return None
            changed[member] = promotions
        elif member in known:
            arn = known[member].get(value.rpartition("/")[2])
            if arn is None:
                return None
            changed[member] = arn
        else:
            changed[member] = value
    return changed

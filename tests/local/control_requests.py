"""Requests to the control plane as bytes."""

from __future__ import annotations

import json
from typing import Any

from personalize_rt.local import HttpRequest, HttpResponse
from personalize_rt.local.doors import Doors

__all__ = ["asked", "refused", "told"]


def asked(local: Doors, operation: str, members: Any = None, **more: Any) -> HttpResponse:
    """The response to one operation."""
    body = members if isinstance(members, bytes) else json.dumps(members or more).encode()
    headers = {"x-amz-target": f"AmazonPersonalize.{operation}", "content-type": "application/x-amz-json-1.1"}
    return local.handle(HttpRequest("POST", "/", headers, body))


def told(local: Doors, operation: str, **members: Any) -> Any:
    """The reply."""
    response = asked(local, operation, members)
    assert response.status == 200, response.body
    return json.loads(response.body) if response.body else {}


def refused(local: Doors, operation: str, members: Any = None, **more: Any) -> tuple[str, str]:
    """The code and the message of an error."""
    response = asked(local, operation, members, **more)
    assert response.status == 400, response.body
    error = json.loads(response.body)
    return error["__type"], error["message"]

"""HTTP answers, and their bytes in HTTP/1.1."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

import attrs

from personalize_rt.local.wire import HttpResponse

__all__ = ["cut", "error_answer", "head_of", "read_answer", "with_body"]


def error_answer(status: int, code: str | None, message: str, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Make an error like the service's; without a code, like that of a proxy."""
    body = json.dumps({"message": message}, separators=(",", ":")).encode()
    kind = {"x-amzn-errortype": code} if code else {}
    length = {"content-length": str(len(body))}
    return HttpResponse(status, {"content-type": "application/json", **kind, **length, **(headers or {})}, body)


def with_body(response: HttpResponse, body: bytes) -> HttpResponse:
    """Replace the body of an answer, and its content-length."""
    headers = {**response.headers, "content-length": str(len(body))}
    return attrs.evolve(response, headers=headers, body=body)


def cut(content: bytes, keep: int | None) -> bytes:
    """The first ``keep`` bytes, or half of the content for ``None``; never all of it."""
    return content[: len(content) // 2 if keep is None else max(0, min(keep, len(content) - 1))]


def head_of(response: HttpResponse) -> bytes:
    """The status line and headers of an answer in HTTP/1.1, with the empty line."""
    lines = [f"HTTP/1.1 {response.status} {_phrase(response.status)}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def read_answer(received: bytes) -> HttpResponse | None:
    """Parse the answer that a client reads from a connection that was closed after these bytes.

    Returns:
        The answer, whose body may be incomplete; ``None`` if the head is incomplete or not HTTP, for which botocore
        raises ``ConnectionClosedError``.
    """
    head, separator, body = received.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    version, _, status = status_line.partition(" ")
    if not separator or not version.startswith("HTTP/1.") or not status[:3].isdecimal():
        return None
    fields = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    length = headers.get("content-length", "")
    return HttpResponse(int(status[:3]), headers, body[: int(length)] if length.isdecimal() else body)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""

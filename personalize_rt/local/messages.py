"""HTTP requests and responses, as all doors of the embedded service have them."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

__all__ = ["HttpRequest", "HttpResponse"]


def _copied(headers: Mapping[str, str]) -> Mapping[str, str]:
    return dict(headers)


@attrs.frozen
class HttpRequest:
    """An HTTP request.

    Attributes:
        method: ``"POST"``, in upper case.
        path: The path, with or without a query string.
        headers: The headers, with names in any case. ``repr`` hides them, since they hold a signature.
        body: The body. ``repr`` hides it, since it is personal.
    """

    method: str
    path: str
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], converter=_copied, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)


@attrs.frozen
class HttpResponse:
    """An HTTP response.

    Attributes:
        status: The HTTP status.
        headers: The headers, with names in lower case.
        body: The JSON.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], converter=_copied)
    body: bytes = attrs.field(default=b"", repr=False)

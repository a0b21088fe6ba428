"""Pages of a list, and the tokens that continue it."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Iterable

from personalize_rt.local.engine import RefusedError

__all__ = ["page_of"]


def page_of(arns: Iterable[str], listing: str, token: str | None, most: int) -> tuple[list[str], str | None]:
    """Take the page of a list that a token begins.

    The order is that of the ARNs, and a token names the last of its page. So what is created or deleted between two
    pages makes no other row appear twice or be left out.

    Args:
        arns: All ARNs of the list.
        listing: What is listed; a token of another list is refused.
        token: The token of the page before, or ``None``.
        most: The most rows of a page.

    Returns:
        The ARNs of the page, and the token of the next one, if there is one.

    Raises:
        RefusedError: ``InvalidNextTokenException``.
    """
    ordered = sorted(arns)
    start = 0 if token is None else bisect_right(ordered, _last(token, listing))
    page = ordered[start : start + most]
    more = start + most < len(ordered)
    return page, _token(listing, page[-1]) if more else None


def _token(listing: str, last: str) -> str:
    return urlsafe_b64encode(json.dumps([listing, last]).encode()).decode()


def _last(token: str, listing: str) -> str:
    try:
        named, last = json.loads(urlsafe_b64decode(token))
    except (ValueError, TypeError, RecursionError):
        named, last = None, None
    if named != listing or not isinstance(last, str):
        raise RefusedError("InvalidNextTokenException", "nextToken: expected the token of a page of the same list")
    return last

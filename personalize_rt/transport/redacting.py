"""Keeping what requests carry out of botocore's own debug log.

At DEBUG level botocore logs the whole request and the whole answer: user ids, contexts, filter values, item metadata;
and what was signed, with the session token and the signature. A filter on its loggers leaves the lines and takes these
out, for requests of clients that we build. What other clients of the same program log stays as it is: whose request is
under way is in the context of the thread or task.

A filter of a logger sees a record before every handler, so that files, consoles and log services all get the same.
With the level at INFO or above it is never called.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from personalize_rt.operations import GET_RECOMMENDATIONS, Request
from personalize_rt.redaction import MASK, mask, without_logins
from personalize_rt.transport.attempt import Attempt, under_way

__all__ = ["mask_log", "without_credentials"]

_LIBRARIES = ("aiobotocore", "aiohttp", "boto3", "botocore", "s3transfer", "urllib3")


def mask_log() -> None:
    """Put the filter on the loggers that botocore and what it stands on have by now. Safe to call again."""
    # A filter of a parent is not asked about the records of its children: each logger needs it.
    for name in list(logging.Logger.manager.loggerDict):
        if name.partition(".")[0] in _LIBRARIES:
            logging.getLogger(name).addFilter(_mask)


@contextmanager
def without_credentials() -> Generator[None]:
    """Keep credentials out of the log while they are fetched for a client of ours, outside of a request."""
    attempt = Attempt()
    attempt.request = Request(GET_RECOMMENDATIONS, {})
    token = under_way.set(attempt)
    try:
        yield
    finally:
        under_way.reset(token)


def _mask(record: logging.LogRecord) -> bool:
    attempt = under_way.get()
    request: Request[Any] | None = getattr(attempt, "request", None)
    if request is not None:
        _mask_for(request, record)
    return True


def _mask_for(request: Request[Any], record: logging.LogRecord) -> None:
    def shown(text: str) -> str:
        return mask(_without_signatures(without_logins(text)), request.personal_values(), request.shown())

    args = record.args
    if args and record.name.endswith(".auth"):  # what is signed, and signatures
        args = (MASK,) * len(args)
    try:
        text = str(record.msg) % _outlined(args) if args else str(record.msg)
    except Exception:  # a mistake of whoever logged; its parts may still be secret
        text = "(a line that could not be formatted)"
    record.msg, record.args = shown(text), None
    if record.exc_info:
        # A handler would print the exception by itself.
        record.exc_text, record.exc_info = shown(logging.Formatter().formatException(record.exc_info)), None


# Of a request signed in a way that is not known here, too. A secret may stand behind its name, in quotes or without.
# Texts, which `re` compiles when they are first used: most programs log nothing of botocore's.
_SECRET = (
    r"(?i:((?:authorization|[\w-]*token|[\w-]*signature|secret[\w-]*|password)[\"']?\s*[:=]\s*b?)"
    r"(\"[^\"]*\"?|'[^']*'?|[^\n&]*))"
)
_DIGEST = r"\b[0-9a-fA-F]{64,}\b|AWS4-[^'\"\n]*"


def _without_signatures(text: str) -> str:
    return re.sub(_DIGEST, MASK, re.sub(_SECRET, rf"\1{MASK}", text))


def _outlined(value: Any) -> Any:
    """The arguments of a log line without bodies: an answer may hold metadata, which no request tells of."""
    if isinstance(value, bytes | bytearray):
        return _Outline(f"{len(value):,} bytes")
    if isinstance(value, Mapping):
        parts: dict[Any, Any] = {
            name: _Outline("not shown") if name == "body" and isinstance(part, str) else _outlined(part)  # pyright: ignore[reportUnknownArgumentType]
            for name, part in value.items()  # pyright: ignore[reportUnknownVariableType]
        }
        return parts
    if isinstance(value, tuple):
        return tuple(map(_outlined, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(value, list):
        return list(map(_outlined, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if hasattr(value, "headers") and hasattr(value, "url"):
        names: list[str] = sorted(value.headers)
        return _Outline(f"{type(value).__name__} {without_logins(str(value.url))}, headers: {', '.join(names)}")
    return value


class _Outline:
    """Stands in a log line for what is not shown."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return f"<{self._text}>"

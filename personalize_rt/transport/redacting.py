"""Keeping what requests carry out of botocore's own debug log.

At DEBUG level botocore logs the whole request and the whole answer: user ids, contexts, filter values, item metadata.
A filter on its loggers leaves the lines and takes these out, for requests of clients that we build. What other clients
of the same program log stays as it is: whose request is under way is in the context of the thread or task.

A filter of a logger sees a record before every handler, so that files, consoles and log services all get the same.
With the level at INFO or above it is never called.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from personalize_rt.masking import mask
from personalize_rt.operations import Request
from personalize_rt.transport.attempt import under_way

__all__ = ["mask_log"]

_LIBRARIES = ("aiobotocore", "aiohttp", "boto3", "botocore", "s3transfer", "urllib3")


def mask_log() -> None:
    """Put the filter on the loggers that botocore and what it stands on have by now. Safe to call again."""
    # A filter of a parent is not asked about the records of its children: each logger needs it.
    for name in list(logging.Logger.manager.loggerDict):
        if name.partition(".")[0] in _LIBRARIES:
            logging.getLogger(name).addFilter(_mask)


def _mask(record: logging.LogRecord) -> bool:
    attempt = under_way.get()
    request: Request[Any] | None = getattr(attempt, "request", None)
    if request is not None:
        _mask_for(request, record)
    return True


def _mask_for(request: Request[Any], record: logging.LogRecord) -> None:
    secrets, shown = list(request.personal_values()), list(request.arns())
    try:
        text = str(record.msg) % _shown(record.args) if record.args else str(record.msg)
    except (TypeError, ValueError):  # a mistake of whoever logged; its parts may still be secret
        text = "(a line that could not be formatted)"
    record.msg, record.args = mask(text, secrets, shown), None
    if record.exc_info:
        # A handler would print the exception by itself.
        formatted = logging.Formatter().formatException(record.exc_info)
        record.exc_text, record.exc_info = mask(formatted, secrets, shown), None


def _shown(args: Any) -> Any:
    if isinstance(args, tuple):
        shown: tuple[Any, ...] = tuple(map(_outlined, args))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        return shown
    return _outlined(args)


def _outlined(value: Any) -> Any:
    """A value without the bodies in it: an answer may hold metadata, which no request tells us to look for."""
    if isinstance(value, bytes | bytearray):
        return _Outline(value)
    if isinstance(value, Mapping):
        parts: dict[Any, Any] = {name: _outlined(part) for name, part in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        return parts
    return value


class _Outline:
    """Stands in a log line for bytes."""

    def __init__(self, content: bytes | bytearray) -> None:
        self._size = len(content)

    def __repr__(self) -> str:
        return f"<{self._size:,} bytes>"

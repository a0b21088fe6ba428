"""Writing to a terminal, a pipe or a file."""

from __future__ import annotations

import json
import os
import sys
from math import isfinite
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.text import Text

from personalize_rt.notebook.frames import Result
from personalize_rt.rerank import LongRanking

__all__ = [
    "as_json",
    "can_show",
    "printable",
    "rendered",
    "reply_json",
    "shown",
    "silence",
    "write",
    "write_error",
]

# Columns. Effectively unlimited, since programs that read from a pipe expect one line for each item.
_NO_EDGE = 10_000


def printable(text: str) -> str:
    """Remove the characters of an untrusted text that control a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def can_show(text: str) -> bool:
    """Tell whether standard output can encode a text."""
    try:
        text.encode(_encoding())
    except UnicodeEncodeError:
        return False
    return True


def as_json(value: Any) -> str:
    """Format as a line of JSON, in ASCII if standard output lacks a character."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return text if can_show(text) else json.dumps(value, indent=2) + "\n"


def reply_json(answer: Result) -> dict[str, Any]:
    """The members of the service's reply, and ``info``, with facts on the call.

    A row that a rule moved has ``rules``; of a long list, ``info`` says how exact it is.
    """
    info = answer.info
    more: dict[str, Any] = {}
    if isinstance(answer, LongRanking):
        # JSON has no infinity.
        bound = answer.error_bound if isfinite(answer.error_bound) else None
        more = {"requests": answer.requests, "errorBound": bound, "unscaled": list(answer.unscaled)}
    response = answer.to_response()
    rows: Any = next(value for name, value in response.items() if name != "recommendationId")
    for place, row in enumerate(rows):
        if rules := answer[place].rules:
            row["rules"] = list(rules)
    return response | {
        "info": {
            "requestId": info.request_id,
            "attempts": info.attempts,
            "elapsed": round(info.elapsed, 6),
            "source": info.source,
            **more,
        }
    }


def shown(text: str) -> Text:
    """A text of somebody else as rich shows it: no markup, no control characters."""
    return Text(printable(text))


def rendered(*parts: RenderableType, width: int | None = None) -> str:
    """Render by rich, with colours only on a terminal.

    Args:
        parts: The parts to render, one below the other.
        width: The width in columns; by default that of the terminal, or unlimited without one.
    """
    console = Console(highlight=False)
    console.width = width or (console.width if console.is_terminal else _NO_EDGE)
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    return "".join(f"{line.rstrip()}\n" for line in capture.get().split("\n")[:-1])


def write(text: str) -> None:
    """Write to standard output, with ``?`` for characters that it cannot encode.

    Raises:
        OSError: The reader is gone, or the disk is full.
    """
    encoding = _encoding()
    print(text.encode(encoding, "replace").decode(encoding), end="", flush=True)


def write_error(line: str) -> None:
    """Write a line to standard error, if it has a reader."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        silence(sys.stderr)


def silence(stream: TextIO) -> None:
    """Abandon a stream whose reader is gone, so that the interpreter does not fail to flush it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _encoding() -> str:
    return getattr(sys.stdout, "encoding", None) or "utf-8"

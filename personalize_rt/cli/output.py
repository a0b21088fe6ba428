"""Writing to a terminal, a pipe or a file."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.text import Text

from personalize_rt.notebook.frames import Result

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

# Columns: a pipe has no edge, and a program wants one line for one item.
_NO_EDGE = 10_000


def printable(text: str) -> str:
    """A text of somebody else, without what would steer a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def can_show(text: str) -> bool:
    """Whether standard output has these characters."""
    try:
        text.encode(_encoding())
    except UnicodeEncodeError:
        return False
    return True


def as_json(value: Any) -> str:
    """JSON with a line's end, in ASCII where standard output lacks a character."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return text if can_show(text) else json.dumps(value, indent=2) + "\n"


def reply_json(answer: Result) -> dict[str, Any]:
    """The members of the service's reply, and ``info``: how the answer came about."""
    info = answer.info
    return answer.to_response() | {
        "info": {
            "requestId": info.request_id,
            "attempts": info.attempts,
            "elapsed": round(info.elapsed, 6),
            "source": info.source,
        }
    }


def shown(text: str) -> Text:
    """A text of somebody else as rich shows it: no markup, no control characters."""
    return Text(printable(text))


def rendered(*parts: RenderableType, width: int | None = None) -> str:
    """What rich makes of something: colours on a terminal only.

    Args:
        parts: What to show, one below the other.
        width: In columns; by default the terminal's, and as much as it takes where there is none.
    """
    console = Console(highlight=False)
    console.width = width or (console.width if console.is_terminal else _NO_EDGE)
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    return "".join(f"{line.rstrip()}\n" for line in capture.get().split("\n")[:-1])


def write(text: str) -> None:
    """Write to standard output, with ``?`` for what it cannot show.

    Raises:
        OSError: Nobody reads it any more, or the disk is full.
    """
    encoding = _encoding()
    print(text.encode(encoding, "replace").decode(encoding), end="", flush=True)


def write_error(line: str) -> None:
    """Write a line to standard error, if anybody reads it."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        silence(sys.stderr)


def silence(stream: TextIO) -> None:
    """Give up a stream: the interpreter would try, and fail, to write to it once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _encoding() -> str:
    return getattr(sys.stdout, "encoding", None) or "utf-8"

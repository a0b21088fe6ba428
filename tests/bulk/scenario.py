"""A job whose lines are known, for tests of the parts and for the processes that they crash."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from personalize_rt.bulk.parts import Parts

JOB: dict[str, Any] = {"kind": "rank", "input": "digest"}


def line(n: int) -> bytes:
    if n % 4 == 3:
        return json.dumps({"input": {"userId": str(n)}, "output": None, "error": f"ServerError: {n}"}).encode()
    return b'{"input":{"userId":"%d"},"output":{"recommendedItems":["%d"]},"error":null}' % (n, n)


def write(lines: Iterator[bytes], file: IO[bytes]) -> None:
    file.writelines(lines)


def work(output: Path, rows: int, *, resume: bool = True) -> None:
    """All rows that are not there yet, to the end."""
    there = Parts(output, JOB, resume=resume)
    if there.is_settled:
        there.remove()
        return
    for n in range(there.rows, rows):
        there.append(line(n))
    there.finish(write, (output.with_suffix(".errors"), write))

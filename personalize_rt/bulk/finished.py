"""The output of a job that is done: which names it may have, and what became of its rows."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from personalize_rt.bulk.lines import DONE, given
from personalize_rt.bulk.outcomes import Summary
from personalize_rt.bulk.rows import Reader
from personalize_rt.errors import ValidationError
from personalize_rt.extras import need

__all__ = ["check_output", "look_at"]

# ".out" is how batch inference calls its output; a name without an end says nothing else.
_OUTPUTS = (".jsonl", ".json", ".parquet", ".ndjson", ".out", "")


def check_output(output: Path) -> None:
    """Refuse a name that says a format that is not written.

    Raises:
        ValidationError: It does.
    """
    suffix = output.suffix.lower()
    if suffix not in _OUTPUTS:
        only_read = "; CSV is only read" if suffix == ".csv" else ""
        raise ValidationError(
            f"output must end with .jsonl, .json or .parquet, not with {suffix}{only_read}", parameter="output"
        )


def look_at(output: Path, reader: Reader, errors: Path | None) -> Summary:
    """How the rows of an output ended; nothing is sent.

    Args:
        output: The output of a job that is done.
        reader: Its input.
        errors: Where to write the rows that failed, if there are some; a file that is there is left alone.

    Raises:
        ValidationError: It is no output of a job, or cannot be read.
    """
    rows, failed, examples = 0, Counter[str](), dict[str, str]()
    writes = errors is not None and not errors.exists()
    new = output.with_name(f"{output.name}.errors.new")
    is_parquet = output.suffix.lower() == ".parquet"
    try:
        with contextlib.ExitStack() as stack:
            file: Any = None
            for row, error in _of_parquet(output, reader) if is_parquet else _of_lines(output):
                rows += 1
                if error is None:
                    continue
                kind = error.partition(":")[0]
                failed[kind] += 1
                examples.setdefault(kind, error)
                if writes:
                    if file is None:
                        file = stack.enter_context(open(new, "wb"))
                        file.write(reader.head())
                    file.write(reader.again(row) + b"\n")
        if errors is not None and new.exists():
            os.replace(new, errors)
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError, OSError) as error:
        # pyarrow has many errors for damaged Parquet, OSError too, then without the number that one of the system has.
        if isinstance(error, ValidationError) or (isinstance(error, OSError) and error.errno is not None):
            raise
        raise ValidationError(
            f"{output} is there already, and is no output of such a job: name another one, or remove it",
            parameter="output",
        ) from None
    finally:
        new.unlink(missing_ok=True)
    return Summary(rows - failed.total(), dict(failed), 0, None, None, 0.0, examples)


def _of_lines(output: Path) -> Iterator[tuple[Any, str | None]]:
    """What went in for each line, where it failed, and why."""
    with open(output, "rb") as file:
        for line in file:
            if line.endswith(DONE + b"\n"):
                yield None, None
            else:
                whole = json.loads(line)
                yield whole["input"], whole["error"]


def _of_parquet(output: Path, reader: Reader) -> Iterator[tuple[Any, str | None]]:
    """The same: the rows of the input stand beside those of the output."""
    parquet: Any = need("pyarrow.parquet", "arrow", "A Parquet file")
    with parquet.ParquetFile(output) as file:
        errors = (error for batch in file.iter_batches(columns=["error"]) for error in batch.column(0).to_pylist())
        for row, error in zip(reader.rows(), errors, strict=True):
            yield None if error is None else json.loads(given(row, is_wrong=True)), error

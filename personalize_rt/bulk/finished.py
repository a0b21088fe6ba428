"""The output of a finished job: its name, and the outcomes of its rows."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from personalize_rt.bulk.lines import DONE, given
from personalize_rt.bulk.outcomes import Summary
from personalize_rt.bulk.parts import StorageError
from personalize_rt.bulk.rows import Reader
from personalize_rt.errors import PersonalizeError, ValidationError
from personalize_rt.extras import need
from personalize_rt.files import create_file

__all__ = ["check_output", "look_at"]

# Batch inference uses ".out".
_OUTPUTS = (".jsonl", ".json", ".parquet", ".ndjson", ".out")


def check_output(output: Path) -> None:
    """Refuse a name without a known format.

    Raises:
        ValidationError: The suffix is not one of a known format.
    """
    suffix = output.suffix.lower()
    if suffix in _OUTPUTS:
        return
    problem = "output must end with .jsonl, .json or .parquet"
    if str(output) == "-":
        problem = f"output is -, and must be a file, since a job that stops goes on from what it has written; {problem}"
    elif suffix:
        problem += f", not with {suffix}" + ("; CSV is only read" if suffix == ".csv" else "")
    raise ValidationError(problem, parameter="output")


def look_at(output: Path, reader: Reader, errors: Path | None) -> Summary:
    """Count the outcomes in the output of a finished job, without any request.

    Args:
        output: The output.
        reader: The input.
        errors: The file for the failed rows, if any; an existing file is not changed.

    Raises:
        ValidationError: The file is not the output of a job, or cannot be read.
        StorageError: ``errors`` cannot be written.
    """
    rows, failed, examples = 0, Counter[str](), dict[str, str]()
    lines = _of_parquet if output.suffix.lower() == ".parquet" else _of_lines
    try:
        for _, error in lines(output, reader):
            rows += 1
            if error is not None:
                kind = error.partition(":")[0]
                failed[kind] += 1
                examples.setdefault(kind, error)
        if errors is not None and failed and not os.path.lexists(errors):

            def write(file: IO[bytes]) -> None:
                file.write(reader.head())
                for row, error in lines(output, reader):
                    if error is not None:
                        file.write(reader.again(row) + b"\n")

            try:
                create_file(errors, write)
            except OSError as error:
                why = error.strerror or type(error).__name__
                raise StorageError(f"cannot write {errors}: {why}") from None
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError, OSError) as error:
        if isinstance(error, PersonalizeError):
            raise
        # pyarrow raises many errors for damaged Parquet; its OSErrors have no errno, unlike those of the system.
        if isinstance(error, OSError) and error.errno is not None:
            problem = f"cannot read {output}: {error.strerror or type(error).__name__}"
        else:
            problem = f"{output} is there already, and is no output of such a job: name another one, or remove it"
        raise ValidationError(problem, parameter="output") from None
    return Summary(rows - failed.total(), dict(failed), 0, None, None, 0.0, examples)


def _of_lines(output: Path, reader: Reader) -> Iterator[tuple[Any, str | None]]:
    """The input of each line, and its error or ``None``."""
    with open(output, "rb") as file:
        for line in file:
            if line.endswith(DONE + b"\n"):
                yield None, None
            else:
                whole = json.loads(line)
                yield whole["input"], whole["error"]


def _of_parquet(output: Path, reader: Reader) -> Iterator[tuple[Any, str | None]]:
    """The same for Parquet, whose rows have the order of the input."""
    parquet: Any = need("pyarrow.parquet", "arrow", "A Parquet file")
    with parquet.ParquetFile(output) as file:
        errors = (error for batch in file.iter_batches(columns=["error"]) for error in batch.column(0).to_pylist())
        for row, error in zip(reader.rows(), errors, strict=True):
            yield None if error is None else json.loads(given(row, is_wrong=True)), error

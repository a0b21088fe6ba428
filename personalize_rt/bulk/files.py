"""From an input file to an output file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import attrs

from personalize_rt import operations
from personalize_rt.bulk.course import Course, InterruptedRun
from personalize_rt.bulk.finished import check_output, look_at
from personalize_rt.bulk.lines import Line, LinePlan
from personalize_rt.bulk.outcomes import Summary
from personalize_rt.bulk.parts import Parts, StorageError
from personalize_rt.bulk.rows import Reader, open_rows
from personalize_rt.bulk.running import Run, Runtime, number, open_pool
from personalize_rt.client import PersonalizeRuntime
from personalize_rt.errors import PersonalizeError, ValidationError
from personalize_rt.extras import need
from personalize_rt.filters.values import FilterValue, RawFilterValue
from personalize_rt.limits import Limits

if TYPE_CHECKING:
    from personalize_rt.rerank.rules import Rules

__all__ = ["rank_file", "recommend_file"]

FilePath = str | os.PathLike[str]

# Lines of a Parquet file's row group.
_GROUP = 1024


def recommend_file(
    runtime: Runtime,
    input: FilePath,
    output: FilePath,
    *,
    campaign_arn: str | None = None,
    recommender_arn: str | None = None,
    num_results: int | None = None,
    context: Mapping[str, str] | None = None,
    filter_arn: str | None = None,
    filter_values: Mapping[str, FilterValue] | None = None,
    concurrency: int = 16,
    tps: float | None = None,
    processes: int | None = None,
    resume: bool = False,
    errors: FilePath | None = None,
    progress: bool | None = None,
) -> Summary:
    """Ask for recommendations for each row of a file (GetRecommendations).

    The files are those of the service's batch inference: JSON Lines, a row like ``{"userId": "4638"}`` in, and like
    ``{"input":…,"output":{"recommendedItems":[…],"scores":[…]},"error":null}`` out, in the order of the input. A row
    may also have ``itemId``, ``numResults``, ``context`` and ``filterValues`` (in the service's form), which count
    before the arguments here. A name that ends with ``.csv`` or ``.parquet`` is a file with a column for each of
    ``USER_ID``, ``ITEM_ID``, ``NUM_RESULTS`` that there is. An output ends with ``.jsonl``, ``.json`` or ``.parquet``.

    A row that is wrong, and a request that fails, is a line with an ``error``, and the others go on. The output
    appears when it is whole; until then its lines are in ``OUTPUT.parts``, each as soon as it is there. When the job
    stops, for whatever reason, ``resume=True`` goes on with it: rows that are there are not asked again. A directory of
    that name that no such job made is refused and left alone.

    Args:
        runtime: As for :func:`run`.
        input: The file to read.
        output: The file to write. It must not be there.
        campaign_arn: The campaign to ask; give this or ``recommender_arn``.
        recommender_arn: The recommender to ask.
        num_results: How many items for each, at most 500; the service's default is 25.
        context: Contextual metadata of all requests.
        filter_arn: A filter to apply.
        filter_values: Values for the parameters of the filter.
        concurrency: As for :func:`run`.
        tps: As for :func:`run`.
        processes: As for :func:`run`.
        resume: Go on with a job that was stopped, if there is one. When the output is there, nothing is sent: the
            summary counts what is in it, and ``errors`` is written from it if that file is not there.
        errors: A file for the rows that failed, as they were (those of Parquet as JSON Lines), to ask only them again.
            It is written when there are some, for its owner alone, and must not be there.
        progress: As for :func:`run`.

    Returns:
        How the whole job went; latency and throttles are those of this run.

    Raises:
        ValidationError: An argument or a file was refused; nothing was sent.
        StorageError: The output cannot be written, for lack of space for instance; what is there is kept.
        InterruptedRun: Ctrl-C; a ``KeyboardInterrupt``. What is there is kept.
        PersonalizeError: What ended the run, as for :func:`run`; what is there is kept. Rows that failed in what ended
            it, an outage for instance, are asked again with ``resume``.
        ModuleNotFoundError: A file is Parquet, and pyarrow is not installed.
    """
    arguments = {
        "campaign_arn": campaign_arn,
        "recommender_arn": recommender_arn,
        "num_results": num_results,
        "context": context,
        "filter_arn": filter_arn,
        "filter_values": filter_values,
    }
    options = _Options(concurrency, tps, processes, resume, errors, progress)
    return _Job("recommend", runtime, Path(input), Path(output), arguments, options).run()


def rank_file(
    runtime: Runtime,
    input: FilePath,
    output: FilePath,
    *,
    campaign_arn: str,
    context: Mapping[str, str] | None = None,
    filter_arn: str | None = None,
    filter_values: Mapping[str, FilterValue] | None = None,
    rules: Rules | None = None,
    concurrency: int = 16,
    tps: float | None = None,
    processes: int | None = None,
    resume: bool = False,
    errors: FilePath | None = None,
    progress: bool | None = None,
) -> Summary:
    """Rank the list of each row of a file (GetPersonalizedRanking).

    As :func:`recommend_file`, with rows like ``{"userId": "891", "itemList": ["27", "886", "101"]}``, or the columns
    ``USER_ID`` and ``ITEM_LIST`` (of CSV with ``|`` between items). Items that the model does not know are last, with
    0.0 as score, as batch inference has them. A list may be of any length; see :class:`RankRequest`.

    Args:
        runtime: As for :func:`run`.
        input: The file to read.
        output: The file to write. It must not be there.
        campaign_arn: A campaign of a personalized-ranking recipe.
        context: Contextual metadata of all requests.
        filter_arn: A filter to apply.
        filter_values: Values for the parameters of the filter.
        rules: What is made of each answer; see :class:`personalize_rt.rerank.rules.Rules`. A column that has to vary
            is asked for as metadata, unless the rules know the items.
        concurrency: As for :func:`run`.
        tps: As for :func:`run`.
        processes: As for :func:`run`.
        resume: As for :func:`recommend_file`.
        errors: As for :func:`recommend_file`.
        progress: As for :func:`run`.

    Returns:
        How the whole job went; latency and throttles are those of this run.

    Raises:
        PersonalizeError: As for :func:`recommend_file`.
        ModuleNotFoundError: As for :func:`recommend_file`.
    """
    arguments = {
        "campaign_arn": campaign_arn,
        "context": context,
        "filter_arn": filter_arn,
        "filter_values": filter_values,
        "rules": rules or None,
        "metadata_columns": [rules.diversify[0]] if rules and rules.diversify and rules.items is None else None,
    }
    options = _Options(concurrency, tps, processes, resume, errors, progress)
    return _Job("rank", runtime, Path(input), Path(output), arguments, options).run()


@attrs.frozen
class _Options:
    concurrency: int
    tps: float | None
    processes: int | None
    resume: bool
    errors: FilePath | None
    progress: bool | None


class _Job:
    def __init__(
        self,
        kind: str,
        runtime: Any,
        input: Path,
        output: Path,
        arguments: Mapping[str, Any],
        options: _Options,
    ) -> None:
        self._kind = kind
        self._runtime = runtime
        self._input = input
        self._output = output
        self._errors = None if options.errors is None else Path(options.errors)
        self._arguments = {name: value for name, value in arguments.items() if value is not None}
        self._options = options

    def run(self) -> Summary:
        options = self._options
        shared = self._checked_arguments()
        concurrency = number(options.concurrency, "concurrency")
        reader = open_rows(self._input, self._kind)
        check_output(self._output)
        if self._output.suffix.lower() == ".parquet":
            need("pyarrow.parquet", "arrow", "A Parquet file")
        self._check_names()
        if options.resume and os.path.exists(self._output) and not os.path.lexists(self._parts_path()):
            return look_at(self._output, reader, self._errors)
        plan = LinePlan(self._kind, str(self._input), reader.unit, self._arguments)
        pool, limiter = open_pool(self._runtime, plan, concurrency, options.tps, options.processes)
        parts = Parts(self._output, self._description(shared), resume=options.resume)
        try:
            if parts.is_settled:
                summary = look_at(self._output, reader, self._errors)
                parts.remove()
                return summary
            self._check_errors(parts)
            course = Course(
                (),
                limiter,
                concurrency=concurrency,
                ordered=True,
                gaps=False,
                raises=False,
                progress=options.progress,
                checkpoint=None,
                total=reader.total(),
                skip=parts.rows,
                failed=parts.failed,
                what={"recommend": "recommending", "rank": "ranking"}[self._kind],
                text=lambda done: json.loads(done.value.text)["error"],
            )
            try:
                # Closed by us: what ends the run keeps the rows, and with them the file, in its traceback.
                with (
                    contextlib.closing(reader.rows()) as rows,
                    Run[Line](islice(rows, parts.rows, None), pool, course) as run,
                ):
                    for line in run:
                        assert line.position == parts.rows
                        parts.append(line.text)
            except InterruptedRun:
                raise InterruptedRun(f"stopped; {_kept(parts)}") from None
            except StorageError:
                raise  # it says so itself
            except PersonalizeError as error:
                error.add_note(_kept(parts))
                raise
            parts.finish(self._writer(), None if self._errors is None else (self._errors, _again(reader)))
            return course.summary()
        finally:
            parts.close()
            pool.close()

    def _parts_path(self) -> Path:
        return self._output.with_name(f"{self._output.name}.parts")

    def _checked_arguments(self) -> dict[str, Any]:
        """The members that all requests share; refuses now what every request would be refused for."""
        asked = self._runtime() if callable(self._runtime) else self._runtime
        limits: Limits = asked._limits if isinstance(asked, PersonalizeRuntime) else Limits()  # pyright: ignore[reportPrivateUsage]
        given: dict[str, Any] = dict.fromkeys(("context", "filter_arn", "filter_values", "filter"))
        given |= {"metadata_columns": None, "user_id": "user"}
        if self._kind == "rank":
            given |= self._arguments | {"input_list": ["item"]}
            given.pop("rules", None)
            members = operations.personalized_ranking_request(limits, **given).members
        else:
            given |= dict.fromkeys(("campaign_arn", "recommender_arn", "num_results")) | self._arguments
            members = operations.recommendations_request(limits, item_id="item", promotions=(), **given).members
        if "filterValues" in members:
            # An iterator gives its values once, and the order of a set is another one in each process.
            self._arguments["filter_values"] = {
                name: RawFilterValue(text) for name, text in members["filterValues"].items()
            }
        shared = {name: value for name, value in members.items() if name not in ("userId", "itemId", "inputList")}
        if "rules" in self._arguments:
            rules: Rules = self._arguments["rules"]
            shared["rules"] = [list(rules.without), dict(rules.boost), rules.diversify, dict(rules.pin)]
        return shared

    def _check_names(self) -> None:
        paths = {"input": self._input, "output": self._output, "parts": self._parts_path(), "errors": self._errors}
        seen: dict[Path, str] = {}
        for name, path in paths.items():
            if path is None:
                continue
            other = seen.setdefault(path.absolute(), name)
            if other != name:
                raise ValidationError(f"{name} and {other} are the same file: {path}", parameter=name)
        if str(self._errors) == "-":
            raise ValidationError("errors is -, and must be a file", parameter="errors")
        if self._errors is not None and not os.path.isdir(self._errors.parent):
            raise ValidationError(f"there is no directory {self._errors.parent}", parameter="errors")

    def _check_errors(self, parts: Parts) -> None:
        """Refuse a file of errors that is there, unless it may be this job's: it is written before the output."""
        if self._errors is None or parts.is_complete or not os.path.lexists(self._errors):
            return
        if not parts.rows:
            parts.remove()
        raise ValidationError(f"{self._errors} is there already: name another one, or remove it", parameter="errors")

    def _description(self, shared: Mapping[str, Any]) -> dict[str, Any]:
        """What must be the same when the job goes on. What may be personal is there as a digest."""
        # All of it: an edit may keep the size, and tools that copy keep the time. A gigabyte takes a second or two; the
        # requests for the rows in it take hours.
        with open(self._input, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            content = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
        arguments = {
            name: hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()
            for name, value in shared.items()
        }
        return {
            "kind": self._kind,
            "input": {"bytes": size, "digest": content.hexdigest()},
            "arguments": arguments,
        }

    def _writer(self) -> Callable[[Iterator[bytes], IO[bytes]], None]:
        return _write_parquet if self._output.suffix.lower() == ".parquet" else _write_lines


def _kept(parts: Parts) -> str:
    """What is there of a job that stopped, and how to go on."""
    if parts.rows:
        return f"{parts.rows:,} rows are kept in {parts.directory}; to go on, run it again with resume=True"
    with contextlib.suppress(StorageError):
        parts.remove()  # so that a job with other arguments may begin
    return "no row is done, so nothing is kept: run it again"


def _write_lines(lines: Iterator[bytes], file: IO[bytes]) -> None:
    file.writelines(lines)


def _write_parquet(lines: Iterator[bytes], file: IO[bytes]) -> None:
    """The lines as rows, with ``position``: that of the row in the input, from 0."""
    arrow: Any = need("pyarrow", "arrow", "A Parquet file")
    parquet: Any = need("pyarrow.parquet", "arrow", "A Parquet file")
    schema = arrow.schema(
        [
            ("position", arrow.int64()),
            ("user_id", arrow.string()),
            ("item_id", arrow.string()),
            ("recommended_items", arrow.list_(arrow.string())),
            ("scores", arrow.list_(arrow.float64())),
            ("error", arrow.string()),
        ]
    )
    position = 0
    with parquet.ParquetWriter(file, schema) as writer:
        while group := list(islice(lines, _GROUP)):
            rows = [_columns(json.loads(line)) | {"position": position + n} for n, line in enumerate(group)]
            position += len(rows)
            writer.write_table(arrow.Table.from_pylist(rows, schema=schema))


def _columns(line: dict[str, Any]) -> dict[str, Any]:
    row: Any = line["input"]
    given: Any = row if isinstance(row, dict) else {}  # pyright: ignore[reportUnknownVariableType]
    output: dict[str, Any] = line["output"] or {}
    return {
        "user_id": _text(given.get("userId")),
        "item_id": _text(given.get("itemId")),
        "recommended_items": output.get("recommendedItems"),
        "scores": output.get("scores"),
        "error": line["error"],
    }


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _again(reader: Reader) -> Callable[[Iterator[bytes], IO[bytes]], None]:
    def write(lines: Iterator[bytes], file: IO[bytes]) -> None:
        file.write(reader.head())
        for line in lines:
            file.write(reader.again(json.loads(line)["input"]) + b"\n")

    return write

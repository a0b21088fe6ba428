"""Jobs from an input file to an output file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import attrs

from personalize_rt import checks
from personalize_rt.arguments import Promotion
from personalize_rt.bulk.course import Course, InterruptedRun
from personalize_rt.bulk.finished import check_output, look_at
from personalize_rt.bulk.layout import Columns
from personalize_rt.bulk.lines import MORE, Line, LinePlan
from personalize_rt.bulk.outcomes import Summary
from personalize_rt.bulk.parts import Parts, StorageError
from personalize_rt.bulk.rows import REQUESTS, Reader, open_rows
from personalize_rt.bulk.running import Run, Runtime, open_pool
from personalize_rt.bulk.standard_input import kept_input
from personalize_rt.client import PersonalizeRuntime
from personalize_rt.errors import PersonalizeError, ValidationError
from personalize_rt.extras import need
from personalize_rt.filters.values import FilterValue, RawFilterValue
from personalize_rt.limits import Limits
from personalize_rt.operations import request_for

if TYPE_CHECKING:
    from personalize_rt.rerank.rules import Rules

__all__ = ["rank_file", "recommend_file"]

FilePath = str | os.PathLike[str]

# Rows of a row group in Parquet.
_GROUP = 1024
# The columns of the members of an output that not every job has.
_COLUMNS = {"promotionNames": "promotion_names", "metadata": "metadata"}


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
    promotions: Iterable[Promotion] = (),
    metadata_columns: Iterable[str] | None = None,
    columns: Mapping[str, str] | None = None,
    ignore_columns: Iterable[str] = (),
    concurrency: int = 16,
    tps: float | None = None,
    processes: int | None = None,
    resume: bool = False,
    errors: FilePath | None = None,
    progress: bool | None = None,
) -> Summary:
    """Ask for recommendations for each row of a file (GetRecommendations).

    The files have the form of the service's batch inference, JSON Lines: an input row like ``{"userId": "4638"}``, and
    an output row like ``{"input":…,"output":{"recommendedItems":[…],"scores":[…]},"error":null}``, in the order of the
    input. An input row may also have ``itemId``, ``numResults``, ``context`` and ``filterValues`` (in the service's
    form), which override the arguments here. A file named ``.csv`` or ``.parquet`` has columns ``USER_ID``,
    ``ITEM_ID``, ``NUM_RESULTS``, of which it may lack some; for other columns see ``columns``. Ids of Parquet may be
    integers, which are sent as text. The name of the output ends with ``.jsonl``, ``.json`` or ``.parquet``.

    A wrong row, or a request that fails, becomes a line with an ``error``, and the job continues. The output appears
    when it is complete; until then its lines are in ``OUTPUT.parts``, written one by one. If the job stops for any
    reason, ``resume=True`` continues it without repeating finished rows. A directory of that name that no such job made
    is refused and not changed.

    Args:
        runtime: See :func:`run`.
        input: The file to read; ``"-"`` for standard input, in any of the three forms. A copy of it is beside the
            output while the job runs.
        output: The file to write. It must not exist.
        campaign_arn: The campaign to ask; give this or ``recommender_arn``.
        recommender_arn: The recommender to ask.
        num_results: The number of items for each row, at most 500; the service's default is 25.
        context: Contextual metadata of all requests.
        filter_arn: A filter to apply.
        filter_values: Values for the parameters of the filter.
        promotions: At most one :class:`Promotion`; the output lines then have ``promotionNames``, with ``null`` for
            items that are not promoted.
        metadata_columns: Item columns to return, at most 10; the output lines then have ``metadata``, an object for
            each item.
        columns: For CSV and Parquet, argument to column: ``{"user_id": "UID", "context.DEVICE": "device",
            "filter_values.GENRE": "genre"}``. In a filter value ``|`` separates several; texts of CSV are numbers if
            the name ends with a colon (``"filter_values.YEAR:"``). An empty or null cell is left out.
        ignore_columns: Columns to leave out; others that are not known or mapped are refused.
        concurrency: See :func:`run`.
        tps: See :func:`run`.
        processes: See :func:`run`.
        resume: Continue a stopped job, if there is one. If the output exists, nothing is sent: the summary counts its
            rows, and ``errors`` is written from it unless that file exists.
        errors: A file for the failed rows, unchanged, as the input of another job: ``.csv`` for rows of CSV; for those
            of JSON Lines and of Parquet, which come as JSON Lines, any name that ends with neither ``.csv`` nor
            ``.parquet``. It is written only if rows failed, readable by its owner only, and must not exist.
        progress: See :func:`run`.

    Returns:
        The counts of the whole job; latency and throttles are those of this run.

    Raises:
        ValidationError: An argument or a file was refused; nothing was sent.
        StorageError: The output cannot be written, for lack of space for instance; finished rows are kept.
        InterruptedRun: Ctrl-C was pressed; a ``KeyboardInterrupt``. Finished rows are kept.
        PersonalizeError: The run ended, see :func:`run`; finished rows are kept. With ``resume``, the rows that failed
            in an outage are repeated too.
        ModuleNotFoundError: A file is Parquet, and pyarrow is not installed.
    """
    arguments = {
        "campaign_arn": campaign_arn,
        "recommender_arn": recommender_arn,
        "num_results": num_results,
        "context": context,
        "filter_arn": filter_arn,
        "filter_values": filter_values,
        "promotions": promotions,
        "metadata_columns": metadata_columns,
    }
    read = Columns.checked(columns, ignore_columns)
    options = _Options(concurrency, tps, processes, resume, errors, progress, read)
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
    columns: Mapping[str, str] | None = None,
    ignore_columns: Iterable[str] = (),
    concurrency: int = 16,
    tps: float | None = None,
    processes: int | None = None,
    resume: bool = False,
    errors: FilePath | None = None,
    progress: bool | None = None,
) -> Summary:
    """Rank the list of each row of a file (GetPersonalizedRanking).

    Like :func:`recommend_file`, with rows like ``{"userId": "891", "itemList": ["27", "886", "101"]}``, or the columns
    ``USER_ID`` and ``ITEM_LIST`` (in CSV with ``|`` between items). Items that the model does not know come last, with
    a score of 0.0 as in batch inference. A list may be of any length; see :class:`RankRequest`.

    Args:
        runtime: See :func:`run`.
        input: See :func:`recommend_file`.
        output: The file to write. It must not exist.
        campaign_arn: A campaign of a personalized-ranking recipe.
        context: Contextual metadata of all requests.
        filter_arn: A filter to apply.
        filter_values: Values for the parameters of the filter.
        rules: Rules that each answer is put under; see :class:`personalize_rt.rerank.rules.Rules`. A column that has to
            vary is requested as metadata, unless the rules know the items.
        columns: See :func:`recommend_file`.
        ignore_columns: See :func:`recommend_file`.
        concurrency: See :func:`run`.
        tps: See :func:`run`.
        processes: See :func:`run`.
        resume: See :func:`recommend_file`.
        errors: See :func:`recommend_file`.
        progress: See :func:`run`.

    Returns:
        The counts of the whole job; latency and throttles are those of this run.

    Raises:
        PersonalizeError: See :func:`recommend_file`.
        ModuleNotFoundError: See :func:`recommend_file`.
    """
    arguments = {
        "campaign_arn": campaign_arn,
        "context": context,
        "filter_arn": filter_arn,
        "filter_values": filter_values,
        "rules": rules or None,
        "metadata_columns": [rules.diversify[0]] if rules and rules.diversify and rules.items is None else None,
    }
    read = Columns.checked(columns, ignore_columns)
    options = _Options(concurrency, tps, processes, resume, errors, progress, read)
    return _Job("rank", runtime, Path(input), Path(output), arguments, options).run()


@attrs.frozen
class _Options:
    concurrency: int
    tps: float | None
    processes: int | None
    resume: bool
    errors: FilePath | None
    progress: bool | None
    columns: Columns


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
        self._name = str(input)
        self._output = output
        self._errors = None if options.errors is None else Path(options.errors)
        self._arguments = {name: value for name, value in arguments.items() if value is not None and value != ()}
        self._options = options

    def run(self) -> Summary:
        if self._name != "-":
            return self._run()
        check_output(self._output)
        self._name = "standard input"
        with kept_input(self._output) as self._input:
            return self._run()

    def _run(self) -> Summary:
        options = self._options
        shared = self._checked_arguments()
        concurrency = checks.whole(options.concurrency, "concurrency")
        reader = open_rows(self._input, self._kind, options.columns, name=self._name)
        check_output(self._output)
        if self._output.suffix.lower() == ".parquet":
            need("pyarrow.parquet", "arrow", "A Parquet file")
        self._check_names()
        if options.resume and os.path.exists(self._output) and not os.path.lexists(self._parts_path()):
            return look_at(self._output, reader, self._errors)
        plan = LinePlan(self._kind, self._name, reader.unit, self._arguments)
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
                # Closed explicitly, since the traceback of an error would keep the rows, and with them the file, alive.
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
                raise  # its message has the advice already
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
        """The members that all requests share, checked before the first request."""
        asked = self._runtime() if callable(self._runtime) else self._runtime
        limits: Limits = asked._limits if isinstance(asked, PersonalizeRuntime) else Limits()  # pyright: ignore[reportPrivateUsage]
        row = {"user_id": "user", "input_list": ["item"]} if self._kind == "rank" else {"user_id": "user"}
        members = request_for(REQUESTS[self._kind](**row, **self._arguments), limits).members
        if "filterValues" in members:
            # Kept encoded, since an iterator can be read only once, and the order of a set differs between processes.
            self._arguments["filter_values"] = {
                name: RawFilterValue(text) for name, text in members["filterValues"].items()
            }
        # As they are sent, since an iterator can be read only once.
        sent = {
            "promotions": tuple(map(_as_sent, members.get("promotions", ()))),
            "metadata_columns": members.get("metadataColumns", {}).get("ITEMS"),
        }
        for argument, value in sent.items():
            self._arguments.pop(argument, None)
            if value:
                self._arguments[argument] = value
        shared = {name: value for name, value in members.items() if name not in ("userId", "inputList")}
        if columns := self._options.columns:
            shared["columns"] = [dict(columns.named), sorted(columns.ignored)]
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
        if self._errors is not None:
            self._check_suffix(self._errors)
        if self._errors is not None and not os.path.isdir(self._errors.parent):
            raise ValidationError(f"there is no directory {self._errors.parent}", parameter="errors")

    def _check_suffix(self, errors: Path) -> None:
        """Refuse a name of the file of errors by which the next job would read it in another form than it has."""
        kind = self._input.suffix.lower()
        given = errors.suffix.lower()
        if kind == ".csv":
            wanted, fits = ".csv", given == ".csv"
        else:  # rows of Parquet come back as JSON Lines; those have any name but these two
            wanted, fits = ".jsonl", given not in {".csv", ".parquet"}
        if not fits:
            form = "CSV" if kind == ".csv" else "JSON Lines"
            raise ValidationError(
                f"errors is {errors.name}: the failed rows of {Path(self._name).name} are written as {form}, and the "
                f"next job goes by the name of its input; name it {errors.with_suffix(wanted).name}",
                parameter="errors",
            )

    def _check_errors(self, parts: Parts) -> None:
        """Refuse an existing file of errors, unless it may be this job's, which writes it before the output."""
        if self._errors is None or parts.is_complete or not os.path.lexists(self._errors):
            return
        if not parts.rows:
            parts.remove()
        raise ValidationError(f"{self._errors} is there already: name another one, or remove it", parameter="errors")

    def _description(self, shared: Mapping[str, Any]) -> dict[str, Any]:
        """The description that a resumed job must match. Personal values are replaced by digests."""
        # The digest of the whole file, since an edit may keep the size, and a copy the time. It takes a second or two
        # for a gigabyte, whose requests take hours.
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
        more = [
            member for argument, member in MORE.items() if self._kind == "recommend" and argument in self._arguments
        ]
        return partial(_write_parquet, more) if self._output.suffix.lower() == ".parquet" else _write_lines


def _as_sent(promotion: Mapping[str, Any]) -> Promotion:
    """A promotion whose filter and values are those of a request, as texts."""
    values = {name: RawFilterValue(text) for name, text in promotion.get("filterValues", {}).items()}
    return Promotion(
        promotion["name"],
        promotion["percentPromotedItems"],
        filter_arn=promotion.get("filterArn"),
        filter_values=values or None,
    )


def _kept(parts: Parts) -> str:
    """Advice for a stopped job: what was kept, and how to resume."""
    if parts.rows:
        return f"{parts.rows:,} rows are kept in {parts.directory}; to go on, run it again with resume=True"
    with contextlib.suppress(StorageError):
        parts.remove()  # so that a job with other arguments can start
    return "no row is done, so nothing is kept: run it again"


def _write_lines(lines: Iterator[bytes], file: IO[bytes]) -> None:
    file.writelines(lines)


def _write_parquet(more: Sequence[str], lines: Iterator[bytes], file: IO[bytes]) -> None:
    """Write lines as Parquet rows, with ``position``, the index of the row in the input.

    Args:
        more: The members of an output that not every job has.
        lines: The lines.
        file: The file.
    """
    arrow: Any = need("pyarrow", "arrow", "A Parquet file")
    parquet: Any = need("pyarrow.parquet", "arrow", "A Parquet file")
    text: Any = arrow.string()
    types = {"promotionNames": text, "metadata": arrow.map_(text, text)}
    schema = arrow.schema(
        [
            ("position", arrow.int64()),
            ("user_id", text),
            ("item_id", text),
            ("recommended_items", arrow.list_(text)),
            ("scores", arrow.list_(arrow.float64())),
            *((_COLUMNS[member], arrow.list_(types[member])) for member in more),
            ("error", text),
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
        "promotion_names": output.get("promotionNames"),
        "metadata": output.get("metadata"),
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

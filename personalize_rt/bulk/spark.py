"""Recommendations and rankings for each row of a Spark DataFrame, when one machine is not enough.

::

    from personalize_rt.bulk import spark

    session.sparkContext.addPyFile(spark.dependencies_zip())  # where the cluster does not have this package
    answers = spark.recommend(users, campaign_arn=arn, user_column="USER_ID", num_results=25, tps=500)
    answers.write.parquet("s3://…")

Each row of the input is one request, and one row of the output: the columns of the input, or those that ``keep`` names,
and after them the columns of :data:`RESULT_SCHEMA`:

=====================  ===================================================================================
column                 what
=====================  ===================================================================================
``items``              the answer, best first: ``item_id``, ``score`` (null where there is none),
                       ``promotion_name`` (null for an item that was not promoted), ``reason`` (empty where
                       there is none), ``metadata`` (column to value); null for a row that failed
``recommendation_id``  the service's id of the answer, null where there is none
``source``             who answered: ``service``, ``cache``, ``fallback``, ``local``
``error``              null, or why there is no answer: ``type`` (the class of the error), ``code`` (the
                       service's), ``message`` (it names no user), ``request_id`` (for a support case)
=====================  ===================================================================================

**Pace.** The rows are spread evenly over ``partitions`` tasks, and each task has its part of ``tps``, so that the job
keeps within it whatever the number of machines. Throttling slows a task down for a while.

**Repetition.** Spark runs a task again when it fails or its machine is lost, and a query each time that its outcome is
asked for. The service is then asked again, which costs, and changes nothing else; the outcome holds each row once.

Signatures say ``Any`` for frames and sessions: pyspark is an extra, and nobody without it should need its types.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import attrs

from personalize_rt import operations
from personalize_rt.bulk import spark_worker
from personalize_rt.bulk.limiter import RateLimiter
from personalize_rt.bulk.requests import RankRequest, RecommendRequest
from personalize_rt.bulk.running import OnError, number
from personalize_rt.bulk.spark_zip import dependencies_zip
from personalize_rt.client import PersonalizeRuntime
from personalize_rt.errors import ValidationError
from personalize_rt.filters.values import FilterValue
from personalize_rt.limits import Limits
from personalize_rt.notebook.columns import find_column
from personalize_rt.notebook.extras import need
from personalize_rt.operations import Promotion
from personalize_rt.redaction import describe
from personalize_rt.rerank import LocalReranker
from personalize_rt.rerank.arguments import check_context

if TYPE_CHECKING:  # imported when they are used
    from personalize_rt.filters.expression import BoundFilter, Filter
    from personalize_rt.rerank import Scorer

__all__ = ["RESULT_COLUMNS", "RESULT_SCHEMA", "dependencies_zip", "rank", "recommend", "rerank", "rerank_udf"]

RESULT_SCHEMA = (
    "items array<struct<item_id: string, score: double, promotion_name: string, reason: array<string>, "
    "metadata: map<string, string>>>, recommendation_id string, source string, "
    "error struct<type: string, code: string, message: string, request_id: string>"
)
"""The columns that every answer has, in Spark's DDL."""

RESULT_COLUMNS = ("items", "recommendation_id", "source", "error")
"""Their names."""


def recommend(
    df: Any,
    *,
    campaign_arn: str | None = None,
    recommender_arn: str | None = None,
    user_column: str | None = "user_id",
    item_column: str | None = None,
    context_columns: Mapping[str, str] | None = None,
    filter_value_columns: Mapping[str, str] | None = None,
    num_results: int | None = None,
    context: Mapping[str, str] | None = None,
    filter_arn: str | None = None,
    filter_values: Mapping[str, FilterValue] | None = None,
    filter: BoundFilter | Filter | None = None,
    promotions: Iterable[Promotion] = (),
    metadata_columns: Iterable[str] | None = None,
    keep: Iterable[str] | None = None,
    tps: float | None = None,
    concurrency: int = 8,
    partitions: int | None = None,
    at_once: int | None = None,
    on_error: OnError = "record",
    runtime: Callable[[], PersonalizeRuntime] | None = None,
) -> Any:
    """Ask for recommendations for each row (GetRecommendations).

    Names of columns are found whatever their case and underscores.

    Args:
        df: A Spark DataFrame, also of Spark Connect.
        campaign_arn: The campaign to ask; give this or ``recommender_arn``.
        recommender_arn: The recommender to ask.
        user_column: The column of user ids, of strings; ``None`` to send none (popular or similar items).
        item_column: The column of the items that others should be related to, of strings.
        context_columns: Name of the context to column, of strings; a null is left out.
        filter_value_columns: Filter parameter to column, of strings, numbers, timestamps, or lists of these; a null is
            left out, which the service allows for what an EXCLUDE needs (guide, "Filtering recommendations").
        num_results: How many items for each row, at most 500 (50 with metadata); the service's default is 25.
        context: Context that is the same for all rows.
        filter_arn: A filter to apply.
        filter_values: Values for its parameters that are the same for all rows.
        filter: Instead of ``filter_arn``: a ``Filter``, or what its ``bind`` returns. With ``filter_value_columns``
            it must be a ``Filter``.
        promotions: At most one :class:`Promotion`.
        metadata_columns: Item columns to return with each item, at most 10.
        keep: The columns of the input that the output repeats; ``None`` for all.
        tps: Requests a second of the whole job, retries included: the minimum that the campaign is provisioned for is a
            good one. ``None`` for as fast as it goes until the service throttles.
        concurrency: Requests that may be under way at once in one task, each on a thread of its own.
        partitions: Over how many tasks the rows are spread, evenly; by default ``SparkContext.defaultParallelism``,
            which is the number of cores. More of them mean that a failed task repeats less.
        at_once: How many of the tasks run at the same time; each gets ``tps`` divided by it. By default the smaller one
            of ``partitions`` and ``SparkContext.defaultParallelism``. With ``at_once=partitions`` the job keeps within
            ``tps`` even if the cluster grows.
        on_error: ``"record"``: a row that fails has its error in the column ``error``. ``"raise"``: the task fails, and
            after Spark's own retries the job does.
        runtime: A function that builds the runtime, called once in each Python worker; it travels there pickled. By
            default a ``PersonalizeRuntime`` for the region in the ARN, with the credentials that boto3 finds on the
            worker, a deadline of 30 s and a ``RetryPolicy`` of 8 attempts with waits up to 5 s.

    Returns:
        A DataFrame, lazy as every other: nothing is sent before an action. Its rows are in no particular order.

    Raises:
        ValidationError: An argument was refused, a column is missing or of the wrong type, or the output would have two
            columns of a name.
        ModuleNotFoundError: pyspark, pandas or pyarrow is not installed here; the message names the extra.
    """
    frame = _Frame(df, "spark.recommend()")
    if user_column is not None:
        frame.take_id("user_id", user_column)
    if item_column is not None:
        frame.take_id("item_id", item_column)
    frame.take_values(context_columns, filter_value_columns)
    arguments = {
        "campaign_arn": campaign_arn,
        "recommender_arn": recommender_arn,
        "num_results": num_results,
        "context": context,
        "filter_arn": filter_arn,
        "filter_values": filter_values,
        "filter": filter,
        "promotions": _kept(promotions),
        "metadata_columns": _kept(metadata_columns),
    }
    spread = _Spread.over(frame, tps, concurrency, partitions, at_once)
    return _asked(frame, RecommendRequest, arguments, keep, spread, on_error, runtime)


def rank(
    df: Any,
    *,
    campaign_arn: str,
    user_column: str = "user_id",
    input_list_column: str = "input_list",
    context_columns: Mapping[str, str] | None = None,
    filter_value_columns: Mapping[str, str] | None = None,
    context: Mapping[str, str] | None = None,
    filter_arn: str | None = None,
    filter_values: Mapping[str, FilterValue] | None = None,
    filter: BoundFilter | Filter | None = None,
    metadata_columns: Iterable[str] | None = None,
    keep: Iterable[str] | None = None,
    tps: float | None = None,
    concurrency: int = 8,
    partitions: int | None = None,
    at_once: int | None = None,
    on_error: OnError = "record",
    runtime: Callable[[], PersonalizeRuntime] | None = None,
) -> Any:
    """Put the list of each row in the order that suits its user (GetPersonalizedRanking).

    Items that the model does not know come last, in their order, with a score of null. What a filter takes out is not
    in ``items``.

    Args:
        df: As in :func:`recommend`.
        campaign_arn: A campaign of a personalized-ranking recipe.
        user_column: The column of user ids, of strings.
        input_list_column: The column of the items to rank, arrays of strings: at most 500 (50 with metadata).
        context_columns: As in :func:`recommend`.
        filter_value_columns: Likewise.
        context: Likewise.
        filter_arn: Likewise.
        filter_values: Likewise.
        filter: Likewise.
        metadata_columns: Likewise.
        keep: Likewise.
        tps: Likewise.
        concurrency: Likewise.
        partitions: Likewise.
        at_once: Likewise.
        on_error: Likewise.
        runtime: Likewise.

    Returns:
        As :func:`recommend` does.

    Raises:
        ValidationError: As :func:`recommend` does.
        ModuleNotFoundError: Likewise.
    """
    frame = _Frame(df, "spark.rank()")
    frame.take_id("user_id", user_column)
    frame.take_list("input_list", input_list_column)
    frame.take_values(context_columns, filter_value_columns)
    arguments = {
        "campaign_arn": campaign_arn,
        "context": context,
        "filter_arn": filter_arn,
        "filter_values": filter_values,
        "filter": filter,
        "metadata_columns": _kept(metadata_columns),
    }
    spread = _Spread.over(frame, tps, concurrency, partitions, at_once)
    return _asked(frame, RankRequest, arguments, keep, spread, on_error, runtime)


def rerank(
    df: Any,
    scorer: Mapping[str, float | None] | Scorer,
    *,
    user_column: str = "user_id",
    input_list_column: str = "input_list",
    context_columns: Mapping[str, str] | None = None,
    context: Mapping[str, str] | None = None,
    keep: Iterable[str] | None = None,
    limits: Limits = Limits(),
) -> Any:
    """Rank the list of each row on the cluster, without the service: :class:`LocalReranker` as a step of a query.

    A scorer that raises fails its row, not the job. ``source`` is ``local``, and there is no recommendation id.

    Args:
        df: As in :func:`recommend`. Its partitions stay as they are.
        scorer: As :class:`LocalReranker` takes it. It is sent once to each machine (a broadcast), pickled; with Spark
            Connect, with each task.
        user_column: The column of user ids, of strings.
        input_list_column: The column of the items to rank, arrays of 1 to 500 strings.
        context_columns: Name of the context to column, of strings; a null is left out.
        context: Context that is the same for all rows.
        keep: The columns of the input that the output repeats; ``None`` for all.
        limits: How long a list and an id may be.

    Returns:
        A DataFrame, with the rows in the order of the input's partitions.

    Raises:
        ValidationError: ``scorer`` is none, a column is missing or of the wrong type, or the output would have two
            columns of a name.
        ModuleNotFoundError: pyspark, pandas or pyarrow is not installed here; the message names the extra.
    """
    frame = _Frame(df, "spark.rerank()")
    LocalReranker(scorer, limits=limits)  # what is no scorer is refused here, not in each task
    check_context(context)
    frame.take_id("user_id", user_column)
    frame.take_list("input_list", input_list_column)
    frame.take_values(context_columns, None)
    reading = frame.reading(keep)
    plan = spark_worker.Rerankings(_shared(frame.session, scorer), limits, context, reading)
    return frame.mapped(frame.selected(), partial(spark_worker.rerank, plan))


def rerank_udf(scorer: Mapping[str, float | None] | Scorer, *, limits: Limits = Limits()) -> Any:
    """:class:`LocalReranker` as a function of columns.

    ::

        rank = spark.rerank_udf(scorer)
        df.withColumn("ranking", rank("user_id", "candidates"))

    It takes the columns of user ids (strings), of items (arrays of strings), and if you like of the context (a map of
    strings to strings), and gives a struct with the columns of :data:`RESULT_SCHEMA`. Rows go to Python one by one:
    :func:`rerank` is quicker.

    Args:
        scorer: As :class:`LocalReranker` takes it; it is broadcast.
        limits: How long a list and an id may be.

    Returns:
        A user-defined function of Spark, for the session that is active now.

    Raises:
        ValidationError: ``scorer`` is none, or no session is active.
        ModuleNotFoundError: pyspark is not installed here; the message names the extra.
    """
    sql = need("pyspark.sql", "spark", "spark.rerank_udf()")
    functions = need("pyspark.sql.functions", "spark", "spark.rerank_udf()")
    LocalReranker(scorer, limits=limits)
    session = sql.SparkSession.getActiveSession()
    if session is None:
        raise ValidationError(
            "no Spark session is active: build one with SparkSession.builder.getOrCreate() first", parameter="session"
        )
    rank = spark_worker.RerankedRow(_shared(session, scorer), limits)

    # A plain function: of an object, some versions ask for a name.
    def ranking(user_id: Any, input_list: Any, context: Any = None) -> dict[str, Any]:
        return rank(user_id, input_list, context)

    # useArrow=False: rows as Python values, whatever the session prefers.
    return functions.udf(ranking, _result(session), useArrow=False)


class _Frame:
    """A Spark DataFrame, and which of its columns a job reads.

    Args:
        df: The DataFrame.
        purpose: What it is for; the error begins with it when a package is missing.
    """

    def __init__(self, df: Any, purpose: str) -> None:
        for package in ("pyspark", "pyarrow", "pandas"):  # pandas: mapInArrow refuses to work without
            need(package, "spark", purpose)
        if not hasattr(df, "mapInArrow"):
            raise ValidationError(f"df is {describe(df)}, not a DataFrame of Spark", parameter="df")
        self.session = df.sparkSession
        self._df = df
        self._names: list[str] = list(df.columns)
        # What is sent to Python, each column once: its name to its place.
        self._places: dict[str, int] = {}
        self._ids: dict[str, int] = {}
        self._context: dict[str, int] = {}
        self._filter_values: dict[str, int] = {}
        self._fields: list[Any] = []

    def take_id(self, argument: str, column: str) -> None:
        """Read an id from a column of strings."""
        self._ids[argument] = self._place(column, f"{argument.removesuffix('_id')}_column", "string")

    def take_list(self, argument: str, column: str) -> None:
        """Read a list of ids from a column of arrays of strings."""
        self._ids[argument] = self._place(column, f"{argument}_column", "array<string>")

    def take_values(self, context: Mapping[str, str] | None, filter_values: Mapping[str, str] | None) -> None:
        """Read the context and filter values from columns."""
        for name, column in _pairs(context, "context_columns"):
            self._context[name] = self._place(column, "context_columns", "string")
        for name, column in _pairs(filter_values, "filter_value_columns"):
            self._filter_values[name] = self._place(column, "filter_value_columns", None)

    def _place(self, column: Any, parameter: str, wanted: str | None) -> int:
        name = self._find(column, parameter)
        kind: str = self._df.schema[name].dataType.simpleString()
        plain = re.sub(r"(?:var)?char\(\d+\)|string collate \w+", "string", kind, flags=re.IGNORECASE)
        if wanted not in (None, plain):
            raise ValidationError(
                f"{parameter}: the column {name!r} is of type {kind}, not {wanted}; ids and contexts are text, as the "
                f"data set spells it: df.withColumn({name!r}, df[{name!r}].cast({wanted!r}))",
                parameter=parameter,
            )
        return self._places.setdefault(name, len(self._places))

    def _find(self, column: Any, parameter: str) -> str:
        if not isinstance(column, str):
            raise ValidationError(f"{parameter} is {describe(column)}, not the name of a column", parameter=parameter)
        name = column if column in self._names else find_column(self._names, (column,), "df")
        if self._names.count(name) > 1:
            raise ValidationError(f"df has {self._names.count(name)} columns {name!r}: rename one", parameter="df")
        return name

    def reading(self, keep: Iterable[str] | None) -> spark_worker.Reading:
        """What a task needs to know of the columns.

        Args:
            keep: The columns that the output repeats; ``None`` for all.
        """
        if isinstance(keep, str):
            raise ValidationError("keep is a str: it takes a list of column names", parameter="keep")
        kept = [self._find(name, "keep") for name in (self._names if keep is None else dict.fromkeys(keep))]
        clashes = sorted(name for name in kept if name.lower() in RESULT_COLUMNS)
        if clashes:
            raise ValidationError(
                f"df has a column {clashes[0]!r}, and so has the result: rename it, or leave it out of keep",
                parameter="keep",
            )
        self._fields = [self._df.schema[name] for name in kept]
        places = {name: self._places.setdefault(name, len(self._places)) for name in kept}
        return spark_worker.Reading(self._ids, self._context, self._filter_values, places)

    def selected(self) -> Any:
        """The columns that are read or repeated, and no others, under names that no rule of Spark's trips over."""
        columns = ["`{}` AS c{}".format(name.replace("`", "``"), place) for name, place in self._places.items()]
        return self._df.selectExpr(*(columns or ["0 AS c0"]))

    def mapped(self, df: Any, function: Callable[[Iterable[Any]], Iterable[Any]]) -> Any:
        """The answers to a DataFrame of the columns of :meth:`selected`."""
        StructType = need("pyspark.sql.types", "spark", "A result").StructType  # noqa: N806
        return df.mapInArrow(function, StructType([*self._fields, *_result(self.session).fields]))

    def parallelism(self) -> int:
        """How many tasks the cluster runs at once, as far as Spark knows.

        Raises:
            ValidationError: It is not to be known: Spark Connect does not say.
        """
        try:
            return int(self.session.sparkContext.defaultParallelism)
        except (AttributeError, NotImplementedError):
            pass
        raise ValidationError(
            "Spark Connect does not say how many cores there are: give partitions, the number of tasks that may ask at "
            "once",
            parameter="partitions",
        )

    def sample(self) -> dict[str, Any]:
        """Arguments of a call as a row could give them."""
        sample: dict[str, Any] = {name: ["x"] if name == "input_list" else "x" for name in self._ids}
        return sample | {"context": dict.fromkeys(self._context, "x"), "values": dict.fromkeys(self._filter_values, 1)}


@attrs.frozen
class _Spread:
    """How a job is spread.

    Attributes:
        partitions: Tasks.
        tps: Requests a second of each, or ``None``.
        concurrency: Requests of each that are under way at once.
    """

    partitions: int
    tps: float | None
    concurrency: int

    @classmethod
    def over(
        cls, frame: _Frame, tps: float | None, concurrency: int, partitions: int | None, at_once: int | None
    ) -> _Spread:
        """Divide the requests of a job among its tasks."""
        RateLimiter(tps)  # refuses what is no rate
        number(concurrency, "concurrency")
        if partitions is None:
            partitions = frame.parallelism()
        else:
            number(partitions, "partitions")
        if tps is None:
            if at_once is not None:
                raise ValidationError("at_once divides tps, and there is none: give tps too", parameter="at_once")
            return cls(partitions, None, concurrency)
        if at_once is None:
            try:
                at_once = min(partitions, frame.parallelism())
            except ValidationError:
                at_once = partitions
        else:
            number(at_once, "at_once")
        return cls(partitions, tps / min(at_once, partitions), concurrency)


def _asked(
    frame: _Frame,
    kind: type[RecommendRequest] | type[RankRequest],
    arguments: dict[str, Any],
    keep: Iterable[str] | None,
    spread: _Spread,
    on_error: Any,
    runtime: Callable[[], PersonalizeRuntime] | None,
) -> Any:
    if on_error not in ("record", "raise"):
        raise ValidationError(f"on_error must be 'record' or 'raise', not {describe(on_error)}", parameter="on_error")
    # A runtime of the caller may have other limits.
    _check_constants(kind, arguments, frame.sample(), Limits() if runtime is None else Limits.off())
    if runtime is None:
        arn: str = arguments["campaign_arn"] or arguments["recommender_arn"]
        runtime = partial(spark_worker.build_runtime, arn.split(":")[3] or None)
    elif not callable(cast(object, runtime)):
        raise ValidationError(
            f"runtime is {describe(runtime)}, not a function that builds a PersonalizeRuntime: each Python worker "
            "needs one of its own; write runtime=lambda: PersonalizeRuntime(…)",
            parameter="runtime",
        )
    pickled: bytes = need("pyspark.cloudpickle", "spark", "A job").dumps(runtime)
    reading = frame.reading(keep)
    plan = spark_worker.Requests(kind, pickled, spread.tps, spread.concurrency, on_error, arguments, reading)
    return frame.mapped(frame.selected().repartition(spread.partitions), partial(spark_worker.ask, plan))


def _check_constants(kind: type[object], arguments: Mapping[str, Any], sample: dict[str, Any], limits: Limits) -> None:
    """Refuse now what would be refused in every row."""
    call: dict[str, Any] = {**arguments, **sample}
    values: dict[str, Any] = call.pop("values")
    call["context"] = {**(arguments["context"] or {}), **sample["context"]}
    if values and call["filter"] is not None:
        from personalize_rt.filters.expression import Filter

        if not isinstance(call["filter"], Filter):
            raise ValidationError(
                "filter has its values already: with filter_value_columns, give the Filter itself", parameter="filter"
            )
        unknown = sorted(values.keys() - call["filter"].parameters.keys())
        if unknown:
            raise ValidationError(f"the filter has no parameter {unknown[0]}", parameter="filter_value_columns")
        call.update(filter=None, filter_arn=call["filter"].arn)
    elif values:
        call["filter_values"] = {**(arguments["filter_values"] or {}), **values}
    if kind is RecommendRequest:
        call = {"user_id": None, "item_id": None, **call}
        operations.recommendations_request(limits, **call)
    else:
        operations.personalized_ranking_request(limits, **call)


def _kept(values: Iterable[Any] | None) -> Any:
    """What is taken once, and pickles; what is not iterable or a bare text is left for the check."""
    if isinstance(values, Iterable) and not isinstance(values, str | bytes):
        return tuple(values)
    return values


def _pairs(columns: Any, parameter: str) -> Iterable[tuple[str, str]]:
    if columns is None:
        return ()
    if not isinstance(columns, Mapping):
        raise ValidationError(
            f"{parameter} is {describe(columns)}, not a mapping of names to columns", parameter=parameter
        )
    return cast("Mapping[str, str]", columns).items()


def _result(session: Any) -> Any:
    """The columns of a result as Spark's types; Spark reads its own DDL."""
    return session.createDataFrame([], RESULT_SCHEMA).schema


def _shared(session: Any, value: object) -> Callable[[], Any]:
    """A function that gives a value on the workers."""
    try:
        broadcast = session.sparkContext.broadcast(value)
    except (AttributeError, NotImplementedError):  # Spark Connect has none
        return partial(_itself, value)
    return partial(getattr, broadcast, "value")


def _itself(value: object) -> object:
    return value

"""Requests to the service for each row of a DataFrame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast

import attrs

from personalize_rt import operations
from personalize_rt.bulk.limiter import RateLimiter
from personalize_rt.bulk.requests import RankRequest, RecommendRequest
from personalize_rt.bulk.running import number
from personalize_rt.bulk.spark.frame import Frame
from personalize_rt.bulk.spark.worker import Requests, ask, build_runtime
from personalize_rt.client import PersonalizeRuntime
from personalize_rt.errors import ValidationError
from personalize_rt.extras import need
from personalize_rt.filters.values import FilterValue
from personalize_rt.limits import Limits
from personalize_rt.operations import Promotion
from personalize_rt.redaction import describe

if TYPE_CHECKING:  # imported when they are used
    from personalize_rt.filters.expression import BoundFilter, Filter

__all__ = ["rank", "recommend"]


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
    on_error: Literal["record", "raise"] = "record",
    runtime: Callable[[], PersonalizeRuntime] | None = None,
) -> Any:
    """Ask for recommendations for each row (GetRecommendations).

    Case and underscores of column names are ignored.

    Args:
        df: A Spark DataFrame, also of Spark Connect.
        campaign_arn: The campaign to ask; give this or ``recommender_arn``.
        recommender_arn: The recommender to ask.
        user_column: The column of user ids, of strings; ``None`` to send none (popular or similar items).
        item_column: The column of the items to find related items for, of strings.
        context_columns: Name of the context to column, of strings; a null is left out.
        filter_value_columns: Filter parameter to column, of strings, numbers, timestamps, or lists of these; a null is
            left out, which the service allows for parameters of an EXCLUDE (guide, "Filtering recommendations").
        num_results: The number of items for each row, at most 500 (50 with metadata); the service's default is 25.
        context: Context that is the same for all rows.
        filter_arn: A filter to apply.
        filter_values: Values for its parameters that are the same for all rows.
        filter: Instead of ``filter_arn``: a ``Filter``, or a bound one. With ``filter_value_columns`` it must be a
            ``Filter``.
        promotions: At most one :class:`Promotion`.
        metadata_columns: Item columns to return with each item, at most 10.
        keep: The columns of the input that the output repeats; ``None`` for all.
        tps: Requests a second of the whole job, retries included: a good value is the campaign's
            ``minProvisionedTPS``. ``None`` for no limit until the service throttles.
        concurrency: The most requests in flight in one task, each on a thread of its own.
        partitions: The number of tasks, over which the rows are spread evenly; by default
            ``SparkContext.defaultParallelism``, which is the number of cores. With more tasks, a failed one repeats
            fewer requests.
        at_once: The number of tasks that run at the same time; each gets ``tps`` divided by it. By default the smaller
            one of ``partitions`` and ``SparkContext.defaultParallelism``. With ``at_once=partitions`` the job keeps
            within ``tps`` even if the cluster grows.
        on_error: ``"record"``: a row that fails has its error in the column ``error``. ``"raise"``: the task fails, and
            after Spark's own retries the job does.
        runtime: A function that builds the runtime, pickled, and called once in each Python worker. By default a
            ``PersonalizeRuntime`` for the region in the ARN, with the credentials that boto3 finds on the worker, a
            deadline of 30 s and a ``RetryPolicy`` of 8 attempts with waits up to 5 s.

    Returns:
        A lazy DataFrame: nothing is sent before an action. Its rows are in no particular order.

    Raises:
        ValidationError: An argument was refused, a column is missing or of the wrong type, or the output would have two
            columns of a name.
        ModuleNotFoundError: pyspark, pandas or pyarrow is not installed here; the message names the extra.
    """
    frame = Frame(df, "spark.recommend()")
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
    input_list_column: str | None = None,
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
    on_error: Literal["record", "raise"] = "record",
    runtime: Callable[[], PersonalizeRuntime] | None = None,
) -> Any:
    """Rank the list of each row for its user (GetPersonalizedRanking).

    Items that the model does not know come last, in input order, with a null score. Items that a filter removes are not
    in ``items``.

    Args:
        df: See :func:`recommend`.
        campaign_arn: A campaign of a personalized-ranking recipe.
        user_column: The column of user ids, of strings.
        input_list_column: The column of the items to rank, arrays of strings: at most 500 (50 with metadata); by
            default ``input_list``, or ``item_list`` as in batch inference.
        context_columns: See :func:`recommend`.
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
        See :func:`recommend`.

    Raises:
        ValidationError: See :func:`recommend`.
        ModuleNotFoundError: Likewise.
    """
    frame = Frame(df, "spark.rank()")
    frame.take_id("user_id", user_column)
    frame.take_list(input_list_column)
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


@attrs.frozen
class _Spread:
    """The division of a job into tasks.

    Attributes:
        partitions: The number of tasks.
        tps: Requests a second of each, or ``None``.
        concurrency: The most requests in flight in each.
    """

    partitions: int
    tps: float | None
    concurrency: int

    @classmethod
    def over(
        cls, frame: Frame, tps: float | None, concurrency: int, partitions: int | None, at_once: int | None
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
    frame: Frame,
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
        runtime = partial(build_runtime, arn.split(":")[3] or None)
    elif not callable(cast(object, runtime)):
        raise ValidationError(
            f"runtime is {describe(runtime)}, not a function that builds a PersonalizeRuntime: each Python worker "
            "needs one of its own; write runtime=lambda: PersonalizeRuntime(…)",
            parameter="runtime",
        )
    pickled: bytes = need("pyspark.cloudpickle", "spark", "A job").dumps(runtime)
    reading = frame.reading(keep)
    plan = Requests(kind, pickled, spread.tps, spread.concurrency, on_error, arguments, reading)
    return frame.mapped(frame.selected().repartition(spread.partitions), partial(ask, plan))


def _check_constants(kind: type[object], arguments: Mapping[str, Any], sample: dict[str, Any], limits: Limits) -> None:
    """Refuse now what would be refused in every row."""
    values, context = sample.pop("values"), sample.pop("context")
    call: dict[str, Any] = {**arguments, **sample}
    call["context"] = _merged(call["context"], context)
    if values and call["filter"] is not None:
        if call["filter_arn"] is not None:
            raise ValidationError("give filter, or filter_arn and filter_values, not both", parameter="filter")
        call["filter"], call["filter_arn"] = None, _arn_of(call["filter"], values)
    call["filter_values"] = _merged(call["filter_values"], values)
    if kind is RecommendRequest:
        call = {"user_id": None, "item_id": None, **call}
        operations.recommendations_request(limits, **call)
    else:
        operations.personalized_ranking_request(limits, **call)


def _arn_of(filter: object, names: Iterable[str]) -> str:
    """The ARN of a filter whose values come from columns."""
    from personalize_rt.filters.expression import Filter

    if not isinstance(filter, Filter):
        raise ValidationError(
            "filter has its values already: with filter_value_columns, give the Filter itself", parameter="filter"
        )
    unknown = sorted(set(names) - filter.parameters.keys())
    if unknown:
        raise ValidationError(f"the filter has no parameter {unknown[0]}", parameter="filter_value_columns")
    return filter.arn


def _merged(constants: Any, sample: Mapping[str, Any]) -> Any:
    """Merge constants with sample values; a wrong type is left for the check."""
    if constants is None or isinstance(constants, Mapping):
        return dict(sample, **cast("Mapping[str, Any]", constants or {})) or None
    return constants


def _kept(values: Any) -> Any:
    """Make a tuple of an iterable, which pickles; any other value, a mapping or a str is left for the check."""
    if isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping):
        return tuple(values)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return values  # pyright: ignore[reportUnknownVariableType]

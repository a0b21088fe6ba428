"""Ranking on the cluster, without the service."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from personalize_rt.bulk.spark.answers import result_type
from personalize_rt.bulk.spark.frame import Frame
from personalize_rt.bulk.spark.worker import RerankedRow, Rerankings
from personalize_rt.bulk.spark.worker import rerank as rerank_batches
from personalize_rt.errors import ValidationError
from personalize_rt.extras import need
from personalize_rt.limits import Limits
from personalize_rt.rerank import LocalReranker
from personalize_rt.rerank.arguments import check_context

if TYPE_CHECKING:
    from personalize_rt.rerank import Scorer

__all__ = ["rerank", "rerank_udf"]


def rerank(
    df: Any,
    scorer: Mapping[str, float | None] | Scorer,
    *,
    user_column: str = "user_id",
    input_list_column: str | None = None,
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
        input_list_column: The column of the items to rank, arrays of 1 to 500 strings; by default as in :func:`rank`.
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
    frame = Frame(df, "spark.rerank()")
    LocalReranker(scorer, limits=limits)  # what is no scorer is refused here, not in each task
    check_context(context)
    frame.take_id("user_id", user_column)
    frame.take_list(input_list_column)
    frame.take_values(context_columns, None)
    reading = frame.reading(keep)
    plan = Rerankings(_shared(frame.session, scorer), limits, context, reading)
    return frame.mapped(frame.selected(), partial(rerank_batches, plan))


def rerank_udf(scorer: Mapping[str, float | None] | Scorer, *, limits: Limits = Limits()) -> Any:
    """:class:`LocalReranker` as a function of columns.

    ::

        rank = spark.rerank_udf(scorer)
        df.withColumn("ranking", rank("user_id", "candidates"))

    It takes the columns of user ids (strings), of items (arrays of strings), and if you like of the context (a map of
    strings to strings), and gives a struct with the columns of ``RESULT_SCHEMA``. Rows go to Python one by one:
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
    rank = RerankedRow(_shared(session, scorer), limits)

    # A plain function: of an object, some versions ask for a name.
    def ranking(user_id: Any, input_list: Any, context: Any = None) -> dict[str, Any]:
        return rank(user_id, input_list, context)

    # useArrow=False: rows as Python values, whatever the session prefers.
    return functions.udf(ranking, result_type(session), useArrow=False)


def _shared(session: Any, value: object) -> Callable[[], Any]:
    """A function that gives a value on the workers."""
    try:
        broadcast = session.sparkContext.broadcast(value)
    except (AttributeError, NotImplementedError):  # Spark Connect has none
        return partial(_itself, value)
    return partial(getattr, broadcast, "value")


def _itself(value: object) -> object:
    return value

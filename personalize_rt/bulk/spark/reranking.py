"""Local ranking on the cluster, without the service."""

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
    """Rank the list of each row by a :class:`LocalReranker` on the cluster, without the service.

    If the scorer raises, the row fails, not the job. ``source`` is ``local``, and there is no recommendation id.

    Args:
        df: See :func:`recommend`. Its partitions are kept.
        scorer: See :class:`LocalReranker`. It is pickled, and sent once to each machine (a broadcast), or with Spark
            Connect with each task.
        user_column: The column of user ids, of strings.
        input_list_column: The column of the items to rank, arrays of 1 to 500 strings; see :func:`rank` for the
            default.
        context_columns: Name of the context to column, of strings; a null is left out.
        context: Context that is the same for all rows.
        keep: The columns of the input that the output repeats; ``None`` for all.
        limits: The limits on the lengths of a list and of an id.

    Returns:
        A DataFrame, with the rows in the order of the input's partitions.

    Raises:
        ValidationError: ``scorer`` is not valid, a column is missing or of the wrong type, or the output would have two
            columns of a name.
        ModuleNotFoundError: pyspark, pandas or pyarrow is not installed here; the message names the extra.
    """
    frame = Frame(df, "spark.rerank()")
    LocalReranker(scorer, limits=limits)  # raises here rather than in each task if the scorer is not valid
    check_context(context)
    frame.take_id("user_id", user_column)
    frame.take_list(input_list_column)
    frame.take_values(context_columns, None)
    reading = frame.reading(keep)
    plan = Rerankings(_shared(frame.session, scorer), limits, context, reading)
    return frame.mapped(frame.selected(), partial(rerank_batches, plan))


def rerank_udf(scorer: Mapping[str, float | None] | Scorer, *, limits: Limits = Limits()) -> Any:
    """Make a user-defined function of a :class:`LocalReranker`.

    ::

        rank = spark.rerank_udf(scorer)
        df.withColumn("ranking", rank("user_id", "candidates"))

    Its arguments are the columns of user ids (strings), of items (arrays of strings), and optionally of the context (a
    map of strings to strings); its value is a struct with the columns of ``RESULT_SCHEMA``. Rows are sent to Python one
    by one, so :func:`rerank` is quicker.

    Args:
        scorer: See :class:`LocalReranker`. It is broadcast.
        limits: The limits on the lengths of a list and of an id.

    Returns:
        A user-defined function for the active Spark session.

    Raises:
        ValidationError: ``scorer`` is not valid, or no session is active.
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

    # A plain function, since some versions of Spark require a __name__.
    def ranking(user_id: Any, input_list: Any, context: Any = None) -> dict[str, Any]:
        return rank(user_id, input_list, context)

    # Without Arrow even if the session enables it, to get rows as Python values.
    return functions.udf(ranking, result_type(session), useArrow=False)


def _shared(session: Any, value: object) -> Callable[[], Any]:
    """Make a function that returns a value on the workers."""
    try:
        broadcast = session.sparkContext.broadcast(value)
    except (AttributeError, NotImplementedError):  # Spark Connect has no broadcasts
        return partial(_itself, value)
    return partial(getattr, broadcast, "value")


def _itself(value: object) -> object:
    return value

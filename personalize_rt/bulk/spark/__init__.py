"""Recommendations and rankings for each row of a Spark DataFrame, when one machine is not enough.

::

    from personalize_rt.bulk import spark

    session.sparkContext.addPyFile(spark.dependencies_zip())  # where the cluster does not have this package
    answers = spark.recommend(users, campaign_arn=arn, user_column="USER_ID", num_results=25, tps=500)
    answers.write.parquet("s3://…")

Each row of the input is one request, and one row of the output: the columns of the input, or those that ``keep`` names,
and after them the columns of ``RESULT_SCHEMA``:

=====================  ===================================================================================
column                 content
=====================  ===================================================================================
``items``              the answer, best first: ``item_id``, ``score`` (or null), ``promotion_name`` (null for
                       an item that was not promoted), ``reason`` (or empty), ``metadata`` (column to value);
                       null for a row that failed
``recommendation_id``  the service's id of the answer, or null
``source``             the source of the answer: ``service``, ``cache``, ``fallback``, ``local``
``error``              null, or the error: ``type`` (its class), ``code`` (the service's), ``message`` (it
                       names no user), ``request_id`` (for a support case)
=====================  ===================================================================================

**Pace.** The rows are spread evenly over ``partitions`` tasks, each with its part of ``tps``, so that the job keeps
within it whatever the number of machines. Throttling slows a task down for a while.

**Repetition.** Spark repeats a task if it fails or its machine is lost, and a query each time that its result is used.
The requests are then repeated too, which costs but is harmless; the result holds each row once.

Signatures say ``Any`` for frames and sessions, since pyspark is optional.
"""

from personalize_rt.bulk.spark.answers import RESULT_COLUMNS, RESULT_SCHEMA
from personalize_rt.bulk.spark.archive import dependencies_zip
from personalize_rt.bulk.spark.asking import rank, recommend
from personalize_rt.bulk.spark.reranking import rerank, rerank_udf

__all__ = ["RESULT_COLUMNS", "RESULT_SCHEMA", "dependencies_zip", "rank", "recommend", "rerank", "rerank_udf"]

"""Recommendations and rankings for each row of a Spark DataFrame, when one machine is not enough.

::

    from personalize_rt.bulk import spark

    session.sparkContext.addPyFile(spark.dependencies_zip())  # where the cluster does not have this package
    answers = spark.recommend(users, campaign_arn=arn, user_column="USER_ID", num_results=25, tps=500)
    answers.write.parquet("s3://…")

Each row of the input is one request, and one row of the output: the columns of the input, or those that ``keep`` names,
and after them the columns of ``RESULT_SCHEMA``:

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

from personalize_rt.bulk.spark.answers import RESULT_COLUMNS, RESULT_SCHEMA
from personalize_rt.bulk.spark.archive import dependencies_zip
from personalize_rt.bulk.spark.asking import rank, recommend
from personalize_rt.bulk.spark.reranking import rerank, rerank_udf

__all__ = ["RESULT_COLUMNS", "RESULT_SCHEMA", "dependencies_zip", "rank", "recommend", "rerank", "rerank_udf"]

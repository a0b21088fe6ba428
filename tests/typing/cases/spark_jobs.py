"""Jobs on Spark. pyspark is not installed where this is read: frames are Any."""

from __future__ import annotations

from functools import partial
from typing import Any, assert_type

from personalize_rt import Filter, PersonalizeRuntime, PopularityScorer, RetryPolicy
from personalize_rt.bulk import spark

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"


def jobs(session: Any, df: Any, unseen: Filter) -> None:
    session.sparkContext.addPyFile(spark.dependencies_zip())
    assert_type(spark.dependencies_zip("dependencies.zip"), str)
    assert_type(spark.RESULT_SCHEMA, str)
    assert_type(spark.RESULT_COLUMNS, tuple[str, ...])

    answers = spark.recommend(
        df,
        campaign_arn=ARN,
        user_column="USER_ID",
        filter=unseen,
        filter_value_columns={"GENRE": "genre"},
        num_results=25,
        tps=500,
        on_error="raise",
        runtime=partial(PersonalizeRuntime, region_name="eu-west-1", retry=RetryPolicy(8)),
    )
    assert_type(answers, Any)
    assert_type(spark.rank(df, campaign_arn=ARN, runtime=PersonalizeRuntime, partitions=200, at_once=16), Any)
    assert_type(spark.rerank(df, PopularityScorer(), keep=["USER_ID"]), Any)
    assert_type(spark.rerank_udf({"i": 1.0}), Any)

    spark.rank(df)  # mistake: call-arg / CallIssue
    spark.recommend(df, campaign_arn=ARN, on_error="ignore")  # mistake: arg-type / ArgumentType
    spark.recommend(df, campaign_arn=ARN, runtime=PersonalizeRuntime())  # mistake: arg-type / ArgumentType
    spark.rerank(df, 7)  # mistake: arg-type / ArgumentType

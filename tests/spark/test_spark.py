"""Jobs on a real Spark session of this machine, two tasks at once, against the embedded service over HTTP."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest

from personalize_rt import Filter, LocalReranker, PersonalizeRuntime, PopularityScorer, Promotion, RetryPolicy
from personalize_rt.bulk import spark
from personalize_rt.bulk.spark import asking
from personalize_rt.errors import ValidationError
from personalize_rt.local import HttpRequest, HttpResponse, LocalPersonalize

pytest.importorskip("pyspark", reason="pyspark is not installed")
pytest.importorskip("uvicorn", reason="the extra [server] is not installed")

pytestmark = [
    # The first test waits for the JVM, and a task for its Python; breaking one off leaves the JVM in the wrong state.
    pytest.mark.timeout(300),
    # What py4j leaves behind is not ours.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:distutils Version classes:DeprecationWarning"),  # pyspark 3.5
]

FILTER = "arn:aws:personalize:eu-west-1:123456789012:filter/unseen"


@pytest.fixture(scope="module")
def session(made_up_aws_account: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Two tasks at once, and each may fail three times before the job does."""
    from pyspark.sql import SparkSession

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYSPARK_DRIVER_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        session = (
            SparkSession.builder.master("local[2,4]")
            .appName("personalize-rt")
            .config("spark.driver.memory", "512m")
            .config("spark.sql.shuffle.partitions", "2")
            .config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("warehouse")))
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .getOrCreate()
        )
        session.sparkContext.setLogLevel("OFF")  # tasks that are made to fail would fill the screen
        yield session
        session.stop()


@attrs.define
class Service:
    """The embedded service over HTTP, and the requests that arrived."""

    local: LocalPersonalize
    url: str = ""
    arrived: list[float] = attrs.field(factory=list)

    def campaign(self, name: str) -> str:
        return self.local.campaign_arn(name)

    @property
    def runtime(self) -> Callable[[], PersonalizeRuntime]:
        return partial(PersonalizeRuntime, region_name="eu-west-1", endpoint_url=self.url, deadline=30.0)


@pytest.fixture(scope="module")
def running_service() -> Iterator[Service]:
    local = LocalPersonalize.sample()
    service = Service(local)
    really_handle, lock = local.handle, threading.Lock()

    def handle(request: HttpRequest) -> HttpResponse:
        with lock:
            service.arrived.append(time.monotonic())
        return really_handle(request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "handle", handle)
        with local.serve() as url:
            service.url = url
            yield service


@pytest.fixture
def service(running_service: Service) -> Service:
    running_service.arrived.clear()
    return running_service


@pytest.fixture(scope="module")
def users(running_service: Service) -> list[str]:
    return list(dict.fromkeys(event.user_id for event in running_service.local.interactions))[:200]


def ids(row: Any) -> list[str]:
    return [item.item_id for item in row["items"]]


# Answers.


def test_each_row_has_the_recommendations_of_its_user(session: Any, service: Service, users: list[str]) -> None:
    df = session.createDataFrame([(user, place) for place, user in enumerate(users)], "USER_ID string, place int")
    arn = service.campaign("movies-for-you")
    answers = spark.recommend(df, campaign_arn=arn, num_results=5, runtime=service.runtime)
    assert service.arrived == []  # lazy
    found = {row["USER_ID"]: row for row in answers.collect()}
    assert len(service.arrived) == len(users)
    assert sorted(found) == sorted(users)
    assert [found[user]["place"] for user in users] == list(range(len(users)))
    runtime = service.local.runtime()
    for user in users[::20]:
        expected = runtime.get_recommendations(campaign_arn=arn, user_id=user, num_results=5)
        assert ids(found[user]) == list(expected.item_ids)
        assert [item.score for item in found[user]["items"]] == list(expected.scores)
        assert (found[user]["source"], found[user]["error"]) == ("service", None)


def test_each_list_is_ranked_for_its_user(session: Any, service: Service, users: list[str]) -> None:
    films = list(service.local.items)
    lists = {user: films[place : place + 10] for place, user in enumerate(users[:40])}
    df = session.createDataFrame(list(lists.items()), "user_id string, input_list array<string>")
    arn = service.campaign("movies-ranking")
    answers = spark.rank(df, campaign_arn=arn, keep=["user_id"], tps=1_000, runtime=service.runtime)
    assert answers.columns == ["user_id", *spark.RESULT_COLUMNS]
    found = {row["user_id"]: ids(row) for row in answers.collect()}
    runtime = service.local.runtime()
    for user, given in lists.items():
        ranking = runtime.get_personalized_ranking(campaign_arn=arn, user_id=user, input_list=given)
        assert found[user] == list(ranking.item_ids)


def test_lists_are_ranked_on_the_cluster_with_a_scorer(session: Any, service: Service) -> None:
    scorer, films = PopularityScorer().fit(service.local.interactions), list(service.local.items)[:20]
    df = session.createDataFrame([("u", films, {"DEVICE": "tv"}), (None, films, None)], schema_of_lists())
    expected = list(LocalReranker(scorer).rank(user_id="u", input_list=films).item_ids)

    good, bad = sorted(spark.rerank(df, scorer, keep=["user_id"]).collect(), key=lambda row: row["user_id"] is None)
    assert ids(good) == expected
    assert (good["source"], good["error"]) == ("local", None)
    assert (bad["items"], bad["error"]["type"]) == (None, "ValidationError")

    rank = spark.rerank_udf(scorer)
    column = df.withColumn("ranking", rank("user_id", "input_list", "context")).select("user_id", "ranking.*")
    assert sorted(column.collect(), key=lambda row: row["user_id"] is None) == [good, bad]
    assert service.arrived == []


def schema_of_lists() -> str:
    return "user_id string, input_list array<string>, context map<string, string>"


@pytest.mark.parametrize("kind", ["recommend", "rank", "rerank", "rerank_udf"])
def test_the_schema_of_the_result_is_the_stated_one(kind: str, session: Any, service: Service) -> None:
    stated = session.createDataFrame([], spark.RESULT_SCHEMA).schema
    assert tuple(stated.names) == spark.RESULT_COLUMNS
    df = session.createDataFrame([("u", ["a"], {})], schema_of_lists())
    if kind == "recommend":
        answers = spark.recommend(df, campaign_arn=service.campaign("movies-for-you"))
    elif kind == "rank":
        answers = spark.rank(df, campaign_arn=service.campaign("movies-ranking"))
    elif kind == "rerank":
        answers = spark.rerank(df, {"a": 1.0})
    else:
        answers = df.withColumn("r", spark.rerank_udf({"a": 1.0})("user_id", "input_list")).select(*df.columns, "r.*")
    assert answers.schema.fields == [*df.schema.fields, *stated.fields]


def test_filters_metadata_and_promotions_reach_the_service(session: Any, service: Service, users: list[str]) -> None:
    local, arn = service.local, service.campaign("movies-for-you")
    unseen = Filter(local.filter_arn("unseen-by-genre"), local.filter_expression("unseen-by-genre"))
    df = session.createDataFrame([(users[0], "Comedy"), (users[1], "Drama")], "user string, genre string")
    options: dict[str, Any] = {
        "campaign_arn": arn,
        "num_results": 5,
        "promotions": [Promotion("old", 20, filter=unseen.bind(GENRE="Horror"))],
        "metadata_columns": ["TITLE"],
    }
    answers = spark.recommend(
        df,
        user_column="user",
        filter=unseen,
        filter_value_columns={"GENRE": "genre"},
        runtime=service.runtime,
        **options,
    )
    found = {row["user"]: row for row in answers.collect()}
    for user, genre in ((users[0], "Comedy"), (users[1], "Drama")):
        row = found[user]
        assert row["error"] is None, row["error"]
        own = [item for item in row["items"] if item.promotion_name is None]
        assert own
        assert all(genre in str(local.items[item.item_id]["GENRES"]) for item in own)
        assert [item.promotion_name for item in row["items"] if item.promotion_name] == ["old"]
        assert all(item.metadata["TITLE"] == local.items[item.item_id]["TITLE"] for item in row["items"])


def test_columns_of_any_name_and_type_come_through(session: Any, service: Service, users: list[str]) -> None:
    df = session.createDataFrame([(users[0],)], "user string").selectExpr(
        "user AS `user.id`",
        "1.5BD AS `a price`",
        "TIMESTAMP '2026-01-02 03:04:05' AS `back``tick`",
        "map('k', array(1, 2)) AS nested",
        "DATE '2026-01-02' AS day",
        "CAST('x' AS BINARY) AS bytes",
    )
    (before,) = df.collect()
    answers = spark.recommend(
        df, campaign_arn=service.campaign("movies-for-you"), user_column="user.id", runtime=service.runtime
    )
    (after,) = answers.collect()
    assert after[: len(before)] == tuple(before)
    assert len(after["items"]) == 25


def test_bad_rows_are_recorded_and_the_job_goes_on(session: Any, service: Service, users: list[str]) -> None:
    bad = ["x" * 257, None]
    df = session.createDataFrame([(user,) for user in [*users[:5], *bad]], "user_id string")
    arn = service.campaign("movies-for-you")
    answers = spark.recommend(df, campaign_arn=arn, runtime=service.runtime).cache()
    try:
        assert answers.where("error IS NULL").count() == 5
        failed = answers.where("error IS NOT NULL").select("error.*").collect()
    finally:
        answers.unpersist()
    assert [row["type"] for row in failed] == ["ValidationError"] * 2
    assert not any("x" * 10 in row["message"] for row in failed)
    assert len(service.arrived) == 5


def test_nothing_personal_is_asked_for_where_there_is_no_user(session: Any, service: Service) -> None:
    df = session.range(3)
    arn = service.campaign("popular-movies")
    rows = spark.recommend(df, campaign_arn=arn, user_column=None, num_results=2, runtime=service.runtime).collect()
    assert len({tuple(ids(row)) for row in rows}) == 1
    assert sorted(row["id"] for row in rows) == [0, 1, 2]


# Failing tasks. What is pickled for the workers is made inside of functions: they cannot import this file.


def killed_while_it_asks(service: Service) -> tuple[Callable[[], PersonalizeRuntime], Any]:
    url = service.url

    def build() -> PersonalizeRuntime:
        from pyspark import TaskContext

        from personalize_rt.events import CallEnded

        ended = []

        def kill(event: Any) -> None:
            task = TaskContext.get()
            if isinstance(event, CallEnded) and task.attemptNumber() == 0 and task.partitionId() == 1:
                ended.append(event)
                if len(ended) == 30:
                    os.kill(os.getpid(), 9)

        return PersonalizeRuntime(region_name="eu-west-1", endpoint_url=url, hooks=[kill], deadline=30.0)

    return build, None


def without_a_client_at_first(service: Service) -> tuple[Callable[[], PersonalizeRuntime], Any]:
    url = service.url

    def build() -> PersonalizeRuntime:
        from pyspark import TaskContext

        if TaskContext.get().attemptNumber() == 0:
            raise OSError("the first time, this fails")
        return PersonalizeRuntime(region_name="eu-west-1", endpoint_url=url, deadline=30.0)

    return build, None


def failed_after_half_of_its_answers(service: Service) -> tuple[Callable[[], PersonalizeRuntime], Any]:
    def step(batches: Iterator[Any]) -> Iterator[Any]:
        from pyspark import TaskContext

        task, rows = TaskContext.get(), 0
        for batch in batches:
            rows += batch.num_rows
            if rows > 50 and task.attemptNumber() == 0 and task.partitionId() == 1:
                raise RuntimeError("the first time, this fails")
            yield batch

    return service.runtime, step


@pytest.mark.parametrize("trouble", [killed_while_it_asks, without_a_client_at_first, failed_after_half_of_its_answers])
def test_a_task_that_fails_and_runs_again_gives_the_same_rows_and_none_twice(
    trouble: Any, session: Any, service: Service, users: list[str], tmp_path: Path
) -> None:
    df = session.createDataFrame([(user,) for user in users], "user_id string")
    arn = service.campaign("movies-for-you")
    build, step = trouble(service)
    answers = spark.recommend(df, campaign_arn=arn, num_results=3, runtime=build, partitions=2)
    if step is not None:
        answers = answers.mapInArrow(step, answers.schema)
    answers.write.parquet(str(tmp_path / "answers"))
    written = session.read.parquet(str(tmp_path / "answers")).collect()
    asked = len(service.arrived)

    untroubled = spark.recommend(df, campaign_arn=arn, num_results=3, runtime=service.runtime).collect()
    assert Counter(row["user_id"] for row in written) == Counter(users)
    assert {row["user_id"]: ids(row) for row in written} == {row["user_id"]: ids(row) for row in untroubled}
    assert all(row["error"] is None for row in written)
    if trouble is not without_a_client_at_first:
        assert asked > len(users)  # it did fail, and what was asked before that was asked again


def test_a_job_that_cannot_build_its_client_fails_and_says_why(session: Any, service: Service) -> None:
    df = session.createDataFrame([("u",)], "user_id string")

    def build() -> PersonalizeRuntime:
        return PersonalizeRuntime(region_name="no such region", endpoint_url="nonsense")

    with pytest.raises(Exception, match="ConfigurationError"):
        spark.recommend(df, campaign_arn=service.campaign("movies-for-you"), runtime=build).collect()


def test_the_first_error_fails_the_job_when_it_should(session: Any, service: Service) -> None:
    df = session.createDataFrame([(None,)], "user_id string")
    with pytest.raises(Exception, match="user_id is null in this row"):
        spark.recommend(
            df, campaign_arn=service.campaign("movies-for-you"), on_error="raise", runtime=service.runtime
        ).collect()


# Workers and pace.


def test_each_python_worker_builds_one_client(session: Any, service: Service, users: list[str], tmp_path: Path) -> None:
    url, log = service.url, str(tmp_path)

    def build() -> PersonalizeRuntime:
        import tempfile

        tempfile.mkstemp(prefix=f"{os.getpid()}-", dir=log)
        return PersonalizeRuntime(region_name="eu-west-1", endpoint_url=url, deadline=30.0)

    df = session.createDataFrame([(user,) for user in users[:80]], "user_id string")
    answers = spark.recommend(df, campaign_arn=service.campaign("movies-for-you"), partitions=8, runtime=build)
    for _ in range(2):
        assert len(answers.collect()) == 80
    builders = Counter(path.name.partition("-")[0] for path in tmp_path.iterdir())
    assert set(builders.values()) == {1}
    assert len(builders) < 8  # tasks shared them


def test_the_whole_job_keeps_within_its_rate(session: Any, service: Service, users: list[str]) -> None:
    df = session.createDataFrame([(user,) for user in users[:120]], "user_id string")
    arn = service.campaign("movies-for-you")
    spark.recommend(df, campaign_arn=arn, num_results=1, tps=40, partitions=2, runtime=service.runtime).collect()
    assert len(service.arrived) == 120
    # Two tasks of 20 a second take 2.9 s, two of 40 would take half. A busy machine may hold up the first request.
    assert max(service.arrived) - min(service.arrived) >= 2.2


@pytest.mark.parametrize(
    ("options", "partitions", "each"),
    [
        ({}, 2, None),
        ({"partitions": 7}, 7, None),
        ({"tps": 10}, 2, 5.0),
        ({"tps": 10, "partitions": 7}, 7, 5.0),
        ({"tps": 10, "partitions": 1}, 1, 10.0),
        ({"tps": 10, "partitions": 5, "at_once": 5}, 5, 2.0),
        ({"tps": 10, "partitions": 5, "at_once": 9}, 5, 2.0),
    ],
)
def test_the_rate_is_divided_by_the_tasks_that_run_at_once(
    options: dict[str, Any], partitions: int, each: float | None, session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = []
    really = asking.Requests
    monkeypatch.setattr(asking, "Requests", lambda *given: plans.append(really(*given)) or plans[-1])
    df = session.createDataFrame([("u",)], "user_id string")
    arn = "arn:aws:personalize:eu-west-1:123456789012:campaign/c"
    answers = spark.recommend(df, campaign_arn=arn, **options)
    assert [plan.tps for plan in plans] == [each]
    assert answers.rdd.getNumPartitions() == partitions


# What is refused before anything runs.

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/c"


@pytest.mark.parametrize(
    ("columns", "options", "parameter", "says"),
    [
        ("id string", {}, "df", "df has no column user_id; its columns are: id"),
        ("user_id long", {}, "user_column", r"'user_id' is of type bigint, not string.*cast\('string'\)"),
        ("user_id string", {"item_column": "item"}, "df", "no column item"),
        ("user_id string", {"user_column": 7}, "user_column", "user_column is an int, not the name of a column"),
        ("user_id string, n int", {"context_columns": {"N": "n"}}, "context_columns", "type int, not string"),
        ("user_id string", {"context_columns": ["user_id"]}, "context_columns", "not a mapping"),
        ("user_id string, error int", {}, "keep", "'error', and so has the result"),
        ("user_id string, Items int", {}, "keep", "'Items', and so has the result"),
        ("user_id string", {"keep": "user_id"}, "keep", "takes a list"),
        ("user_id string", {"keep": ["nothing"]}, "df", "no column nothing"),
        ("user_id string", {"campaign_arn": "movies"}, "campaign_arn", "not an ARN"),
        ("user_id string", {"recommender_arn": ARN}, "campaign_arn", "both are given"),
        ("user_id string", {"num_results": 501}, "num_results", "at most 500"),
        (
            "user_id string",
            {"filter_value_columns": {"A": "user_id"}},
            "filter_arn",
            "filter_values without filter_arn",
        ),
        ("user_id string", {"promotions": Promotion("p", 20)}, "promotions", "a list of them"),
        ("user_id string", {"context": ["phone"]}, "context", "not a mapping"),
        (
            "user_id string",
            {"context": ["phone"], "context_columns": {"N": "user_id"}},
            "context",
            "context is a list of 1 item, not a mapping",
        ),
        ("user_id string", {"metadata_columns": {"ITEMS": ["TITLE"]}}, "metadata_columns", "is a mapping"),
        ("user_id string", {"tps": 0}, "tps", "above 0"),
        ("user_id string", {"at_once": 2}, "at_once", "give tps too"),
        ("user_id string", {"concurrency": 0}, "concurrency", "from 1"),
        ("user_id string", {"partitions": 1.5}, "partitions", "from 1"),
        ("user_id string", {"on_error": "ignore"}, "on_error", '"record" or "raise"'),
        ("user_id string", {"runtime": PersonalizeRuntime()}, "runtime", "each Python worker"),
    ],
)
def test_what_no_row_could_be_asked_with_is_refused_at_once(
    columns: str, options: dict[str, Any], parameter: str, says: str, session: Any
) -> None:
    with pytest.raises(ValidationError, match=says) as caught:
        spark.recommend(session.createDataFrame([], columns), **{"campaign_arn": ARN, **options})
    assert caught.value.parameter == parameter


def test_filters_that_do_not_fit_their_columns_are_refused(session: Any) -> None:
    df = session.createDataFrame([], "user_id string, genre string")
    genre = Filter(FILTER, "INCLUDE ItemID WHERE Items.GENRES IN ($GENRE)")
    ask = partial(spark.recommend, df, campaign_arn=ARN)
    ask(filter=genre, filter_value_columns={"GENRE": "genre"})
    with pytest.raises(ValidationError, match="no parameter GENRES"):
        ask(filter=genre, filter_value_columns={"GENRES": "genre"})
    with pytest.raises(ValidationError, match="give the Filter itself"):
        ask(filter=genre.bind(GENRE="Comedy"), filter_value_columns={"GENRE": "genre"})
    with pytest.raises(ValidationError, match="GENRE"):
        ask(filter=genre)
    with pytest.raises(ValidationError, match="give filter, or filter_arn"):
        ask(filter=genre, filter_arn=FILTER, filter_value_columns={"GENRE": "genre"})


def test_lists_that_are_none_are_refused(session: Any) -> None:
    df = session.createDataFrame([], "user_id string, input_list string")
    with pytest.raises(ValidationError, match=r"type string, not array<string>"):
        spark.rank(df, campaign_arn=ARN)
    with pytest.raises(ValidationError, match=r"type string, not array<string>"):
        spark.rerank(df, {})


def test_what_is_no_dataframe_or_no_scorer_is_refused(session: Any) -> None:
    with pytest.raises(ValidationError, match="df is a list of 0 items, not a DataFrame of Spark"):
        spark.recommend([], campaign_arn=ARN)
    df = session.createDataFrame([], "user_id string, input_list array<string>")
    with pytest.raises(ValidationError, match="scorer"):
        spark.rerank(df, 7)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="scorer"):
        spark.rerank_udf(7)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="context"):
        spark.rerank(df, {}, context=["phone"])  # type: ignore[arg-type]


def test_columns_are_found_whatever_their_case_and_underscores(session: Any) -> None:
    df = session.createDataFrame([], "userId string, INPUT_LIST array<string>")
    assert spark.rank(df, campaign_arn=ARN).columns == ["userId", "INPUT_LIST", *spark.RESULT_COLUMNS]


def test_a_column_that_is_kept_twice_is_there_once(session: Any) -> None:
    df = session.createDataFrame([], "user_id string, other int")
    kept = spark.recommend(df, campaign_arn=ARN, keep=["other", "user_id", "OTHER"])
    assert kept.columns == ["other", "user_id", *spark.RESULT_COLUMNS]


def test_the_names_of_batch_inference_are_known(session: Any) -> None:
    df = session.createDataFrame([], "userId string, itemList array<string>")
    assert spark.rank(df, campaign_arn=ARN).columns == ["userId", "itemList", *spark.RESULT_COLUMNS]
    assert spark.rerank(df, {}).columns == ["userId", "itemList", *spark.RESULT_COLUMNS]
    with pytest.raises(ValidationError, match="no column input_list or item_list; its columns are: userId"):
        spark.rank(df.select("userId"), campaign_arn=ARN)


def test_two_columns_of_one_name_are_refused(session: Any) -> None:
    df = session.createDataFrame([], "user_id string")
    with pytest.raises(ValidationError, match="df has 2 columns 'user_id': rename one"):
        spark.recommend(df.select("user_id", "user_id"), campaign_arn=ARN)


def test_a_runtime_of_the_caller_may_have_other_limits(session: Any) -> None:
    df = session.createDataFrame([], "user_id string")
    spark.recommend(df, campaign_arn=ARN, num_results=501, runtime=PersonalizeRuntime)


def test_a_retry_policy_travels_with_the_function_that_builds_the_runtime(
    session: Any, service: Service, users: list[str]
) -> None:
    df = session.createDataFrame([(user,) for user in users[:20]], "user_id string")
    service.local.faults.throttle(times=3)
    build = partial(service.runtime, retry=RetryPolicy(attempts=5, base=0.01))
    answers = spark.recommend(df, campaign_arn=service.campaign("movies-for-you"), runtime=build)
    assert [row["error"] for row in answers.collect()] == [None] * 20
    assert len(service.arrived) >= 20

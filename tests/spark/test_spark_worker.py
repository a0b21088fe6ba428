"""What a task does with batches, without Spark: the same code, in this process."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import attrs
import pytest

from personalize_rt import Filter, LocalReranker, PersonalizeRuntime, PopularityScorer, ThrottlingError, extras
from personalize_rt.bulk import spark
from personalize_rt.bulk.limiter import RateLimiter
from personalize_rt.bulk.requests import RankRequest, RecommendRequest
from personalize_rt.bulk.spark import worker
from personalize_rt.bulk.spark.worker import Reading, Requests, RerankedRow, Rerankings, Worker, ask, rerank, worker_for
from personalize_rt.errors import AccessDeniedError, ConfigurationError, ValidationError
from personalize_rt.limits import Limits
from personalize_rt.local import LocalPersonalize

pa: Any = pytest.importorskip("pyarrow", reason="pyarrow is not installed")

CAMPAIGN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
FILTER = "arn:aws:personalize:eu-west-1:123456789012:filter/unseen"
RECOMMEND: dict[str, Any] = {
    "campaign_arn": CAMPAIGN,
    "recommender_arn": None,
    "num_results": None,
    "context": None,
    "filter_arn": None,
    "filter_values": None,
    "filter": None,
    "promotions": (),
    "metadata_columns": None,
}
RANK: dict[str, Any] = {
    "campaign_arn": CAMPAIGN,
    "context": None,
    "filter_arn": None,
    "filter_values": None,
    "filter": None,
    "metadata_columns": None,
}


@pytest.fixture(scope="module")
def local() -> LocalPersonalize:
    return LocalPersonalize.sample()


@pytest.fixture(autouse=True)
def no_workers() -> Iterator[None]:
    worker._workers.clear()
    yield
    worker._workers.clear()


@pytest.fixture
def plan() -> Callable[..., Requests]:
    """Makes the plan of a task whose worker has a runtime already."""

    def make(runtime: PersonalizeRuntime, reading: Reading, *, rank: bool = False, **options: Any) -> Requests:
        kept = {name: options.pop(name, default) for name, default in (("concurrency", 4), ("on_error", "record"))}
        worker._workers[b"runtime", None] = Worker(runtime, RateLimiter())
        arguments = {**(RANK if rank else RECOMMEND), **options}
        return Requests(
            RankRequest if rank else RecommendRequest,
            build=b"runtime",
            tps=None,
            arguments=arguments,
            reading=reading,
            **kept,
        )

    return make


def reading(
    *,
    context: Mapping[str, int] = {},
    filter_values: Mapping[str, int] = {},
    kept: Mapping[str, int] = {},
    **ids: int,
) -> Reading:
    return Reading(ids, context, filter_values, kept)


def batch(**columns: Any) -> Any:
    arrays = [values if isinstance(values, pa.Array) else pa.array(values) for values in columns.values()]
    return pa.RecordBatch.from_arrays(arrays, list(columns))


def rows(batches: Iterator[Any]) -> list[dict[str, Any]]:
    return [row for answered in batches for row in answered.to_pylist()]


def ids(row: Mapping[str, Any]) -> list[str]:
    return [item["item_id"] for item in row["items"]]


def users_of(local: LocalPersonalize, count: int) -> list[str]:
    return list(dict.fromkeys(event.user_id for event in local.interactions))[:count]


# Answers beside their rows.


def test_each_row_has_the_answer_to_its_own_request(local: LocalPersonalize, plan: Any) -> None:
    runtime, users = local.runtime(), users_of(local, 150)
    arn = local.campaign_arn("movies-for-you")
    job = plan(runtime, reading(user_id=0, kept={"user": 0}), campaign_arn=arn, num_results=3)
    answered = rows(ask(job, [batch(user=users[:100]), batch(user=users[100:])]))
    assert [row["user"] for row in answered] == users
    for row in answered[::10]:
        expected = runtime.get_recommendations(campaign_arn=arn, user_id=row["user"], num_results=3)
        assert ids(row) == list(expected.item_ids)
        assert [item["score"] for item in row["items"]] == list(expected.scores)
        assert (row["source"], row["error"]) == ("service", None)
        assert row["recommendation_id"]


def test_items_without_a_score_have_null(local: LocalPersonalize, plan: Any) -> None:
    films = [*list(local.items)[:3], "no-such-film"]
    arn = local.campaign_arn("movies-ranking")
    job = plan(local.runtime(), reading(user_id=0, input_list=1), rank=True, campaign_arn=arn)
    (row,) = rows(ask(job, [batch(user=["13974"], films=[films])]))
    assert sorted(ids(row)) == sorted(films)
    assert [item["score"] is None for item in row["items"]] == [False, False, False, True]


def test_an_answer_without_items_is_an_empty_list_and_no_error(plan: Any, runtime: Any, server: Any) -> None:
    server.always({"itemList": [], "recommendationId": "RID-0"})
    (row,) = rows(ask(plan(runtime(), reading(user_id=0)), [batch(user=["u"])]))
    assert row == {"items": [], "recommendation_id": "RID-0", "source": "service", "error": None}


def test_promotions_reasons_and_metadata_are_there(plan: Any, runtime: Any, server: Any) -> None:
    item = {"itemId": "i", "promotionName": "sale", "reason": ["popular"], "metadata": {"brandName": "b", "year": "7"}}
    server.always({"itemList": [item, {"itemId": "j"}]})
    batches = [batch(user=["u"])]
    (as_asked,) = rows(ask(plan(runtime(), reading(user_id=0), metadata_columns=("BRAND_NAME", "NONE")), batches))
    assert as_asked["items"] == [
        {
            "item_id": "i",
            "score": None,
            "promotion_name": "sale",
            "reason": ["popular"],
            "metadata": [("BRAND_NAME", "b")],
        },
        {"item_id": "j", "score": None, "promotion_name": None, "reason": [], "metadata": []},
    ]
    (as_spelt,) = rows(ask(plan(runtime(), reading(user_id=0)), batches))
    assert as_spelt["items"][0]["metadata"] == [("brandName", "b"), ("year", "7")]


def test_other_columns_come_through_as_they_are(plan: Any, wire: Any) -> None:
    others = {
        "day": pa.array([datetime(2026, 1, 2, 3, tzinfo=UTC), None], pa.timestamp("us", "UTC")),
        "price": pa.array([Decimal("1.50"), Decimal("-2.25")], pa.decimal128(10, 2)),
        "tags": pa.array([["a", None], None], pa.list_(pa.string())),
        "place": pa.array([{"x": 1}, {"x": None}], pa.struct([("x", pa.int32())])),
    }
    given = batch(user=["u", "v"], **others)
    kept = {name: place for place, name in enumerate(others, start=1)}
    (answered,) = ask(plan(PersonalizeRuntime(wire.client), reading(user_id=0, kept=kept)), [given])
    assert answered.schema.names == [*others, "items", "recommendation_id", "source", "error"]
    for name, values in others.items():
        assert answered.column(name).equals(values)


def test_no_rows_make_no_requests(plan: Any, wire: Any) -> None:
    assert list(ask(plan(PersonalizeRuntime(wire.client), reading(user_id=0)), [batch(user=pa.array([], "str"))])) == []
    assert wire.sent == []


def test_a_row_that_nothing_is_read_from_is_still_a_request(plan: Any, wire: Any) -> None:
    answered = rows(ask(plan(PersonalizeRuntime(wire.client), reading()), [batch(c0=[0, 0, 0])]))
    assert len(answered) == len(wire.sent) == 3


def test_what_nobody_reads_is_not_asked_for(plan: Any, wire: Any) -> None:
    batches = ask(plan(PersonalizeRuntime(wire.client), reading(user_id=0)), [batch(user=["u"] * 10_000)])
    assert next(batches).num_rows == 64
    batches.close()
    assert 64 <= len(wire.sent) <= 64 + 64 + 4


# Rows that cannot be answered.


def test_a_bad_row_has_its_error_and_the_others_their_answers(plan: Any, wire: Any) -> None:
    users = ["secret-one", None, "x" * 257, "secret-two"]
    films = [["a"], ["a"], ["a"], None]
    job = plan(PersonalizeRuntime(wire.client), reading(user_id=0, input_list=1), rank=True)
    answered = rows(ask(job, [batch(user=users, films=films)]))
    assert [row["error"] and row["error"]["type"] for row in answered] == [None, *["ValidationError"] * 3]
    assert [row["items"] is None for row in answered] == [False, True, True, True]
    assert answered[1]["error"]["message"] == "user_id is null in this row"
    assert "at most 256" in answered[2]["error"]["message"]
    assert answered[3]["error"]["message"] == "input_list is null in this row"
    assert len(wire.sent) == 1


def test_an_error_of_the_service_is_told_with_its_code_and_request(plan: Any, runtime: Any, server: Any) -> None:
    server.script(server.failure(400, message="user secret-user is none", x_amzn_requestid="id-1"))
    (row,) = rows(ask(plan(runtime(), reading(user_id=0)), [batch(user=["secret-user"])]))
    error = row["error"]
    assert (error["type"], error["code"]) == ("InvalidInputError", "InvalidInputException")
    assert error["request_id"]
    assert "secret-user" not in error["message"]


def test_what_may_pass_is_retried_by_the_policy_of_the_runtime(plan: Any, runtime: Any, server: Any) -> None:
    server.script(503, 503)
    (row,) = rows(ask(plan(runtime(), reading(user_id=0)), [batch(user=["u"])]))
    assert row["error"] is None
    assert server.count == 3


def test_the_task_fails_with_the_first_error_when_it_should(plan: Any, runtime: Any, server: Any) -> None:
    server.always(400)
    job = plan(runtime(), reading(user_id=0), on_error="raise")
    with pytest.raises(Exception, match="InvalidInputException"):
        list(ask(job, [batch(user=["u"] * 1_000)]))
    assert server.count < 200


def test_a_refused_identity_fails_the_task_and_not_each_row(plan: Any, runtime: Any, server: Any) -> None:
    server.always(403)
    with pytest.raises(AccessDeniedError):
        list(ask(plan(runtime(), reading(user_id=0)), [batch(user=["u"] * 1_000)]))
    assert server.count < 200


def test_without_credentials_the_task_fails_before_a_request(plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    job = plan(PersonalizeRuntime(region_name="eu-west-1"), reading(user_id=0))
    with pytest.raises(ConfigurationError):
        list(ask(job, []))  # whatever there is to ask


# Arguments from columns.


def sent(wire: Any) -> list[dict[str, Any]]:
    members = [members for _, members in wire.sent]
    wire.sent.clear()
    return sorted(members, key=lambda one: str(one.get("userId")))


def test_context_comes_from_columns_and_constants_and_a_null_is_left_out(plan: Any, wire: Any) -> None:
    where = reading(user_id=0, context={"DEVICE": 1})
    job = plan(PersonalizeRuntime(wire.client), where, context={"DAY": "monday", "DEVICE": "any"})
    rows(ask(job, [batch(user=["u", "v"], device=["phone", None])]))
    assert [request["context"] for request in sent(wire)] == [
        {"DAY": "monday", "DEVICE": "phone"},
        {"DAY": "monday", "DEVICE": "any"},
    ]


def test_filter_values_come_from_columns_and_a_null_is_left_out(plan: Any, wire: Any) -> None:
    where = reading(user_id=0, filter_values={"GENRE": 1, "YEAR": 2})
    job = plan(PersonalizeRuntime(wire.client), where, filter_arn=FILTER, filter_values={"TIER": "gold"})
    rows(ask(job, [batch(user=["u", "v"], genre=[["Comedy", "Drama"], None], year=[1999, 2001])]))
    assert [request["filterValues"] for request in sent(wire)] == [
        {"TIER": '"gold"', "GENRE": '"Comedy","Drama"', "YEAR": "1999"},
        {"TIER": '"gold"', "YEAR": "2001"},
    ]


def test_a_filter_is_bound_with_the_values_of_each_row(plan: Any, wire: Any) -> None:
    genre = Filter(FILTER, "INCLUDE ItemID WHERE Items.GENRES IN ($GENRE)")
    where = reading(user_id=0, filter_values={"GENRE": 1})
    job = plan(PersonalizeRuntime(wire.client), where, filter=genre)
    answered = rows(ask(job, [batch(user=["u", "v"], genre=["Comedy", None])]))
    assert [request["filterValues"] for request in sent(wire)] == [{"GENRE": '"Comedy"'}]
    assert answered[1]["error"]["type"] == "FilterValuesError"


# What a worker keeps.


def test_a_worker_is_kept_for_the_next_task_of_a_job() -> None:
    build = pickle.dumps(partial(PersonalizeRuntime, region_name="eu-west-1"))
    first = worker_for(build, 10.0)
    assert worker_for(build, 10.0) is first
    assert worker_for(build, 20.0) is not first


def test_a_worker_keeps_few_clients_and_closes_the_others() -> None:
    workers = [
        worker_for(pickle.dumps(partial(PersonalizeRuntime, region_name="eu-west-1")), tps) for tps in range(1, 7)
    ]
    kept = list(worker._workers.values())
    assert kept == workers[-4:]
    with pytest.raises(ConfigurationError, match="closed"):
        workers[0].runtime.connect()
    assert workers[-1].runtime.connect()


def test_a_function_that_builds_something_else_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"runtime\(\) gave a dict") as caught:
        worker_for(pickle.dumps(dict), None)
    assert caught.value.parameter == "runtime"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_builds_workers_of_its_own() -> None:
    worker_for(pickle.dumps(partial(PersonalizeRuntime, region_name="eu-west-1")), None)
    child = os.fork()
    if child == 0:
        os._exit(len(worker._workers))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(worker._workers) == 1


def test_a_job_that_brings_no_runtime_is_patient() -> None:
    runtime = worker.build_runtime("eu-west-1")
    policies = runtime._policies
    assert policies.deadline == 30.0
    assert (policies.retry.attempts, policies.retry.cap) == (8, 5.0)
    assert policies.retry.decide(_throttled(), attempt=7, left=30.0) != policies.retry.decide(
        _throttled(), attempt=8, left=30.0
    )


def _throttled() -> ThrottlingError:
    return ThrottlingError("", response={}, operation_name="GetRecommendations", code="ThrottlingException")


# Ranking without the service.


def test_lists_are_ranked_here_as_the_local_reranker_does(local: LocalPersonalize) -> None:
    scorer, films = PopularityScorer().fit(local.interactions), [*list(local.items)[:20], "no-such-film"]
    job = Rerankings(lambda: scorer, Limits(), None, reading(user_id=0, input_list=1, kept={"who": 0}))
    answered = rows(rerank(job, [batch(user=["u", "v"], films=[films, films[::-1]])]))
    assert [row["who"] for row in answered] == ["u", "v"]
    for row, given in zip(answered, (films, films[::-1]), strict=True):
        expected = LocalReranker(scorer).rank(user_id="u", input_list=given)
        assert ids(row) == list(expected.item_ids)
        assert [item["score"] for item in row["items"]] == list(expected.scores)
        assert (row["source"], row["recommendation_id"], row["error"]) == ("local", None, None)


def test_a_scorer_gets_the_context_of_the_row() -> None:
    seen: list[Any] = []

    def scorer(user_id: str, item_ids: Any, context: Any) -> list[float]:
        seen.append((user_id, context))
        return [0.0] * len(item_ids)

    where = reading(user_id=0, input_list=1, context={"DEVICE": 2})
    job = Rerankings(lambda: scorer, Limits(), {"DAY": "monday"}, where)
    rows(rerank(job, [batch(user=["u", "v"], films=[["a"], ["b"]], device=["phone", None])]))
    assert seen == [("u", {"DAY": "monday", "DEVICE": "phone"}), ("v", {"DAY": "monday"})]


def test_a_scorer_that_raises_fails_its_row_and_shows_nobody() -> None:
    def scorer(user_id: str, item_ids: Any, context: Any) -> list[float]:
        return {"known": [1.0]}[user_id]

    job = Rerankings(lambda: scorer, Limits(), None, reading(user_id=0, input_list=1))
    batches = [batch(user=["known", "secret-user", None], films=[["a"], ["a"], ["a"]])]
    known, unknown, missing = rows(rerank(job, batches))
    assert known["error"] is None
    assert unknown["error"]["type"] == "KeyError"
    assert "secret-user" not in unknown["error"]["message"]
    assert missing["error"]["message"] == "user_id is null in this row"


def test_a_function_of_columns_gives_the_same_as_a_row() -> None:
    row = RerankedRow(lambda: {"a": 1.0, "b": 2.0}, Limits())
    good = row("u", ["a", "b"], None)
    assert ids(good) == ["b", "a"]
    assert list(good) == ["items", "recommendation_id", "source", "error"]
    bad = row(None, ["a"], None)
    assert (bad["items"], bad["error"]["type"]) == (None, "ValidationError")


def test_a_plan_pickles() -> None:
    genre = Filter(FILTER, "INCLUDE ItemID WHERE Items.GENRES IN ($GENRE)").bind(GENRE="Comedy")
    plan = Requests(RecommendRequest, b"", 1.0, 1, "record", {**RECOMMEND, "filter": genre}, reading(user_id=0))
    again = pickle.loads(pickle.dumps(plan))
    assert attrs.asdict(again, recurse=False) == attrs.asdict(plan, recurse=False)


@pytest.mark.parametrize("package", ["pyspark", "pyarrow", "pandas"])
def test_a_package_that_is_missing_is_named_with_its_extra(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "installed", lambda name: name != package)
    monkeypatch.setattr(extras, "import_module", lambda name: None)
    for job in (
        lambda: spark.recommend(None, campaign_arn=CAMPAIGN),
        lambda: spark.rank(None, campaign_arn=CAMPAIGN),
        lambda: spark.rerank(None, {}),
    ):
        with pytest.raises(ModuleNotFoundError, match=rf'needs {package}: pip install "personalize-rt\[spark\]"'):
            job()
    monkeypatch.setattr(extras, "installed", lambda name: name != "pyspark")
    with pytest.raises(ModuleNotFoundError, match=r'needs pyspark: pip install "personalize-rt\[spark\]"'):
        spark.rerank_udf({})

"""Results: sequences of rows that are read from replies, and never surprise."""

from __future__ import annotations

import base64
import contextlib
import copy
import gc
import json
import pickle
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt import (
    ActionRecommendations,
    DeadlineExceededError,
    Metadata,
    PersonalizeError,
    PredictedAction,
    PredictedItem,
    Ranking,
    Recommendations,
    ResponseError,
    ResponseInfo,
    ServerError,
    ThrottlingError,
)
from personalize_rt.rerank import LongRanking

RECORDED = json.loads((Path(__file__).parent / "data" / "ranking-2020-05-26.json").read_text("utf-8"))["response"]
RESULTS = {"itemList": Recommendations, "personalizedRanking": Ranking, "actionList": ActionRecommendations}
SECRET = "Schindlers Liste"
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def full_reply() -> dict[str, Any]:
    return {
        "itemList": [
            {
                "itemId": "tt1",
                "score": 0.25,
                "metadata": {"title": SECRET, "brandName": "b"},
                "reason": ["Exploration"],
            },
            {"itemId": "tt2", "promotionName": "spring", "reason": ["Promoted item", "Popular item"]},
            {"itemId": "tt3", "score": 0.0},
        ],
        "recommendationId": "RID-3b-43d0-804e-23cbd70ed114-CID-3dd6cc",
    }


def full() -> Recommendations:
    return Recommendations.from_response(full_reply())


# A real reply


def test_a_recorded_reply_comes_back_as_it_was() -> None:
    assert Ranking.from_response(RECORDED).to_response() == RECORDED


def test_a_recorded_reply_reads_as_rows_and_columns() -> None:
    ranking = Ranking.from_response(RECORDED)
    rows = RECORDED["personalizedRanking"]
    assert len(ranking) == 25
    assert ranking.item_ids == tuple(row["itemId"] for row in rows)
    assert ranking.scores == tuple(row.get("score") for row in rows)
    assert ranking.unscored == ("3387", "14552", "6359", "6609", "9998")
    assert ranking.recommendation_id == "RID-279bc670-9f3a-4633-b670-1183fd50c323"
    assert ranking[0] == PredictedItem("1047", 0.1730128)
    assert (ranking[-1].score, ranking[-1].promotion_name, dict(ranking[-1].metadata), ranking[-1].reason) == (
        None,
        None,
        {},
        (),
    )


@pytest.mark.parametrize(("member", "result"), RESULTS.items())
def test_to_response_is_the_inverse_of_from_response(member: str, result: Any) -> None:
    id_member = "actionId" if member == "actionList" else "itemId"
    reply = {member: [{id_member: "a", "score": 0.5}, {id_member: "b"}], "recommendationId": "RID-1"}
    assert result.from_response(reply).to_response() == reply
    assert result.from_response({member: []}).to_response() == {member: []}


def test_to_response_gives_back_promotions_metadata_and_reasons() -> None:
    assert full().to_response() == full_reply()


def test_to_response_gives_plain_values_that_its_reader_may_change() -> None:
    result = full()
    reply = result.to_response()
    assert json.loads(json.dumps(reply)) == reply
    reply["itemList"][0]["metadata"]["title"] = "changed"
    reply["itemList"][0]["reason"].append("changed")
    assert result.to_response() == full_reply()


def test_a_reply_that_changes_later_does_not_change_the_result() -> None:
    reply = full_reply()
    result = Recommendations.from_response(reply)
    reply["itemList"][0]["metadata"]["title"] = "changed"
    reply["itemList"][0]["reason"].append("changed")
    reply["itemList"].clear()
    assert result == full()


# What is tolerated


@pytest.mark.parametrize("member", ["score", "promotionName", "metadata", "reason"])
def test_a_null_member_of_a_row_is_an_absent_one(member: str) -> None:
    with_null = Recommendations.from_response({"itemList": [{"itemId": "a", member: None}]})
    assert with_null == Recommendations.from_response({"itemList": [{"itemId": "a"}]})
    assert with_null[0] == PredictedItem("a")


def test_a_null_column_beside_values_is_tolerated() -> None:
    reply = full_reply()
    for row in reply["itemList"]:
        for member in ("score", "promotionName", "metadata", "reason"):
            row.setdefault(member, None)
    assert Recommendations.from_response(reply) == full()


@pytest.mark.parametrize(("member", "result"), RESULTS.items())
def test_null_lists_and_ids_of_the_answer_are_tolerated(member: str, result: Any) -> None:
    read = result.from_response({member: None, "recommendationId": None})
    assert (len(read), read.recommendation_id) == (0, None)
    assert len(result.from_response({member: None})) == 0
    assert len(result.from_response({"recommendationId": "RID-1"})) == 0


def test_unknown_members_are_tolerated() -> None:
    reply = full_reply() | {"nextToken": [1], "explanation": {"a": None}}
    for row in reply["itemList"]:
        row["elevenChars"] = None
        row["rank"] = {"deep": [1, 2]}
    assert Recommendations.from_response(reply) == full()


def test_null_values_of_metadata_are_absent_columns() -> None:
    read = Recommendations.from_response({"itemList": [{"itemId": "a", "metadata": {"title": None, "year": "1999"}}]})
    assert dict(read[0].metadata) == {"year": "1999"}


def test_a_score_may_be_a_whole_number() -> None:
    read = ActionRecommendations.from_response({"actionList": [{"actionId": "a", "score": 1}]})
    assert read[0].score == 1.0
    assert type(read[0].score) is float


# What is refused


@pytest.mark.parametrize(("member", "result"), RESULTS.items())
@pytest.mark.parametrize("wrong", ["text", {"0": {}}, 5, True, 0.5])
def test_a_list_that_is_none_is_named(member: str, result: Any, wrong: Any) -> None:
    with pytest.raises(ResponseError, match=member):
        result.from_response({member: wrong})


@pytest.mark.parametrize(("member", "result"), RESULTS.items())
@pytest.mark.parametrize("wrong", [None, "a", 5, [], [{"itemId": "a"}]])
def test_a_row_that_is_no_structure_is_named(member: str, result: Any, wrong: Any) -> None:
    id_member = "actionId" if member == "actionList" else "itemId"
    with pytest.raises(ResponseError, match=rf"{member}\[1\]"):
        result.from_response({member: [{id_member: "a"}, wrong]})


@pytest.mark.parametrize(("member", "result"), RESULTS.items())
@pytest.mark.parametrize("wrong", [..., 5, None, ["a"], {"a": "b"}, True], ids=repr)
def test_an_id_that_is_missing_or_no_string_is_named(member: str, result: Any, wrong: Any) -> None:
    id_member = "actionId" if member == "actionList" else "itemId"
    with pytest.raises(ResponseError, match=rf"{member}\[0\].{id_member}"):
        result.from_response({member: [{} if wrong is ... else {id_member: wrong}]})


@pytest.mark.parametrize(("member", "result"), RESULTS.items())
@pytest.mark.parametrize(
    "score", ["0.5", [], {}, True, False, float("nan"), float("inf"), -float("inf"), 10**400], ids=repr
)
def test_a_score_that_is_no_finite_number_is_named(member: str, result: Any, score: Any) -> None:
    id_member = "actionId" if member == "actionList" else "itemId"
    rows = [{id_member: "a", "score": 0.5}, {id_member: "b", "score": score}]
    with pytest.raises(ResponseError, match=rf"{member}\[1\].score"):
        result.from_response({member: rows})


@pytest.mark.parametrize("member", ["itemList", "personalizedRanking"])
@pytest.mark.parametrize(
    ("part", "wrong", "named"),
    [
        ("promotionName", 5, "promotionName"),
        ("promotionName", ["a"], "promotionName"),
        ("metadata", "text", "metadata"),
        ("metadata", [["title", "a"]], "metadata"),
        ("metadata", {"title": ["a"]}, "metadata.*title"),
        ("metadata", {"title": {"a": "b"}}, "metadata.*title"),
        ("reason", "Popular item", "reason"),
        ("reason", {"a": "b"}, "reason"),
        ("reason", ["Popular item", 5], "reason"),
        ("reason", [None], "reason"),
    ],
)
def test_other_members_of_the_wrong_kind_are_named(member: str, part: str, wrong: Any, named: str) -> None:
    with pytest.raises(ResponseError, match=rf"{member}\[1\].{named}") as caught:
        RESULTS[member].from_response({member: [{"itemId": "a"}, {"itemId": "b", part: wrong}]})
    assert "text" not in str(caught.value)


@pytest.mark.parametrize("result", RESULTS.values())
@pytest.mark.parametrize("wrong", [5, ["RID-1"], {}, True])
def test_a_recommendation_id_that_is_no_string_is_named(result: Any, wrong: Any) -> None:
    with pytest.raises(ResponseError, match="recommendationId"):
        result.from_response({"itemList": [], "recommendationId": wrong})


@pytest.mark.parametrize(("member", "result"), RESULTS.items())
def test_a_reply_of_somebody_else_is_refused_and_the_missing_member_named(member: str, result: Any) -> None:
    with pytest.raises(ResponseError, match=member):
        result.from_response({"ResponseMetadata": {"HTTPStatusCode": 200}})
    with pytest.raises(ResponseError, match=member):
        result.from_response({"status": "ok"})


@pytest.mark.parametrize("result", RESULTS.values())
@pytest.mark.parametrize("body", [None, [], [{"itemId": "a"}], "itemList", 5, True], ids=repr)
def test_a_body_that_is_no_object_is_refused(result: Any, body: Any) -> None:
    with pytest.raises(ResponseError):
        result.from_response(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=6,
)
IDS = st.text(max_size=5) | JSON
ROWS = st.fixed_dictionaries(
    {},
    optional={
        "itemId": IDS,
        "actionId": IDS,
        "score": st.none() | st.floats(0, 1) | JSON,
        "promotionName": st.none() | st.text() | JSON,
        "metadata": st.none() | st.dictionaries(st.text(max_size=5), st.text(max_size=5) | JSON, max_size=2) | JSON,
        "reason": st.none() | st.lists(st.text(max_size=5), max_size=2) | JSON,
        "unknown": JSON,
    },
)
LISTS = st.none() | st.lists(ROWS, max_size=4) | JSON
REPLY = {
    "itemList": LISTS,
    "personalizedRanking": LISTS,
    "actionList": LISTS,
    "recommendationId": st.none() | st.text(max_size=5) | JSON,
    "unknown": JSON,
}


@given(st.fixed_dictionaries({}, optional=REPLY) | st.dictionaries(st.text(max_size=5), JSON, max_size=3))
def test_any_json_object_is_a_result_or_a_response_error(reply: Any) -> None:
    for result in RESULTS.values():
        try:
            read = result.from_response(reply)
        except ResponseError:
            continue
        assert result.from_response(read.to_response()) == read
        assert len(list(read)) == len(read) == len(read.scores)
        assert hash(read) == hash(result.from_response(reply))


@given(st.lists(ROWS, max_size=3), JSON)
def test_whatever_response_metadata_holds_it_is_a_result_or_a_response_error(rows: Any, metadata: Any) -> None:
    with contextlib.suppress(ResponseError):
        Recommendations.from_response({"itemList": rows, "ResponseMetadata": metadata})


# Rows are made when they are asked for


def test_columns_of_500_items_build_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    build = PredictedItem.__init__
    monkeypatch.setattr(
        PredictedItem, "__init__", lambda row, *args, **kw: (made.append(1), build(row, *args, **kw))[1]
    )
    rows = [{"itemId": f"i{n}", "score": n / 500, "metadata": {"title": "t"}, "reason": ["r"]} for n in range(500)]
    recommendations = Recommendations.from_response({"itemList": rows})
    ranking = Ranking.from_response({"personalizedRanking": rows}, input_list=[row["itemId"] for row in rows])
    assert len(recommendations.item_ids) == len(recommendations.scores) == len(recommendations) == 500
    assert ranking.unscored == ranking.missing == ()
    assert ranking.position("i499") == 499
    assert ranking == pickle.loads(pickle.dumps(ranking))
    assert hash(ranking)
    assert repr(ranking)
    assert made == []
    assert ranking[3].item_id == "i3"
    assert ranking.get("i5") is not None
    assert len(made) == 2
    assert len(ranking[10:20]) == 10
    assert len(made) == 2
    assert len(list(ranking[10:20])) == 10
    assert len(made) == 12


def test_columns_of_500_actions_build_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    build = PredictedAction.__init__
    monkeypatch.setattr(PredictedAction, "__init__", lambda row, *args: (made.append(1), build(row, *args))[1])
    answer = ActionRecommendations.from_response({"actionList": [{"actionId": f"a{n}"} for n in range(500)]})
    assert len(answer.action_ids) == len(answer.scores) == 500
    assert made == []
    assert answer[7].action_id == "a7"
    assert made == [1]


# Sequences


def test_results_are_sequences_of_rows() -> None:
    result = full()
    assert isinstance(result, Sequence)
    assert [row.item_id for row in result] == ["tt1", "tt2", "tt3"] == list(result.item_ids)
    assert [row.item_id for row in reversed(result)] == ["tt3", "tt2", "tt1"]
    assert result[-3] == result[0] == next(iter(result))
    assert bool(result) is True
    assert not Ranking([], scores=[])
    for index in (3, -4):
        with pytest.raises(IndexError):
            result[index]
    with pytest.raises(TypeError):
        result["tt1"]  # type: ignore[call-overload]


@pytest.mark.parametrize("cut", [slice(None), slice(1, 9), slice(None, None, -1), slice(-1, None), slice(2, 1)])
def test_a_slice_is_a_result_of_the_same_answer(cut: slice) -> None:
    result = full()
    part = attrs.evolve(result, info=ResponseInfo("r-1", 2), degraded=True)[cut]
    assert type(part) is Recommendations
    assert list(part) == list(result)[cut]
    assert (part.recommendation_id, part.info.request_id, part.degraded) == (result.recommendation_id, "r-1", True)
    assert result[:] == result


def test_what_a_filter_took_out_is_missing_from_a_slice_too_and_what_is_cut_off_is_not() -> None:
    ranking = Ranking(["a", "b", "c"], scores=[0.6, 0.4, None], input_list=["x", "c", "y", "b", "a"])
    assert ranking[:1].missing == ranking[1:][1:].missing == ranking[:0].missing == ranking.missing == ("x", "y")
    assert (ranking[:2].unscored, ranking[1:].unscored) == ((), ("c",))
    assert Ranking(["a", "b"], scores=[0.6, 0.4])[:1].missing == ()


def test_actions_and_scores_that_nobody_has_read_are_cut_too() -> None:
    actions = ActionRecommendations(["mail", "call"], scores=lambda: (0.9, 0.5), recommendation_id="RID-1")
    assert actions[1:] == ActionRecommendations(["call"], scores=[0.5], recommendation_id="RID-1")


def test_a_slice_of_a_merged_ranking_keeps_what_its_rows_came_with() -> None:
    long = LongRanking(
        ["a", "b", "c"],
        scores=[0.7, 0.3, 0.0],
        requests=2,
        error_bound=0.01,
        unscaled=["c"],
        recommendation_ids=["RID-1", "RID-2", "RID-1"],
    )
    part = long[1:]
    assert type(part) is LongRanking
    assert (part.recommendation_ids, part.unscaled, part.requests) == (("RID-2", "RID-1"), ("c",), 2)
    assert long[:2].unscaled == ()


def test_patterns_match_rows_and_results() -> None:
    match full():
        case [PredictedItem("tt1", score, metadata={"TITLE": title}), PredictedItem(item_id=second), *others]:
            assert (score, title, second, len(others)) == (0.25, SECRET, "tt2", 1)
        case _:
            pytest.fail("no match")


@pytest.mark.parametrize("result", [full(), Ranking.from_response(RECORDED), ActionRecommendations(["a"], scores=[1])])
def test_asking_for_an_id_with_in_is_an_error_that_names_position(result: Any) -> None:
    with pytest.raises(TypeError, match="position"):
        _ = "tt1" in result
    with pytest.raises(TypeError, match="position"):
        _ = "unknown" not in result
    assert result[0] in result


def test_a_row_that_is_not_in_the_answer_is_not_in_it() -> None:
    assert PredictedItem("tt1", 0.75) not in full()


def test_position_and_get_find_the_first_row_of_an_id() -> None:
    result = Recommendations(["a", "b", "a"], scores=[0.5, 0.25, 0.125])
    assert (result.position("a"), result.position("b"), result.position("c")) == (0, 1, None)
    assert result.get("a") == PredictedItem("a", 0.5)
    assert result.get("c") is None
    actions = ActionRecommendations(["a", "b"], scores=[0.5, None])
    assert (actions.position("b"), actions.get("b")) == (1, PredictedAction("b", None))


def test_missing_items_are_those_of_the_input_that_the_answer_leaves_out() -> None:
    reply = {"personalizedRanking": [{"itemId": "b", "score": 1.0}, {"itemId": "x"}]}
    ranking = Ranking.from_response(reply, input_list=iter(["d", "x", "b", "a", "d"]))
    assert ranking.missing == ("d", "a")
    assert ranking.unscored == ("x",)
    assert Ranking.from_response(reply).missing == ()


def test_only_a_ranking_knows_of_its_input() -> None:
    assert not hasattr(full(), "unscored")
    assert not hasattr(full(), "missing")


# Values: frozen, slotted, equal by what was answered


@pytest.mark.parametrize(
    "value",
    [
        full(),
        Ranking.from_response(RECORDED),
        ActionRecommendations(["a"], scores=[1.0]),
        full()[0],
        PredictedAction("a", 1.0),
        ResponseInfo(),
        Metadata({"title": "a"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_results_are_frozen_and_slotted(value: Any) -> None:
    assert not hasattr(value, "__dict__")
    names = {field.name for field in attrs.fields(type(value))} if attrs.has(type(value)) else set()
    for name in names | {"new_attribute"}:
        with pytest.raises(AttributeError):
            setattr(value, name, None)
        with pytest.raises(AttributeError):
            delattr(value, name)


def test_equality_and_hash_cover_rows_and_recommendation_id_only() -> None:
    reply = full_reply()
    other_way = attrs.evolve(
        Recommendations.from_response(reply, info=ResponseInfo("r", 3, 1.0, "cache")),
        degraded=True,
        cause=ResponseError("x"),
    )
    assert other_way == full()
    assert hash(other_way) == hash(full())
    assert len({other_way, full()}) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda reply: reply.update(recommendationId="RID-2"),
        lambda reply: reply.pop("recommendationId"),
        lambda reply: reply["itemList"].reverse(),
        lambda reply: reply["itemList"].pop(),
        lambda reply: reply["itemList"][0].update(itemId="tt9"),
        lambda reply: reply["itemList"][0].update(score=0.2500001),
        lambda reply: reply["itemList"][2].pop("score"),
        lambda reply: reply["itemList"][1].update(promotionName="summer"),
        lambda reply: reply["itemList"][0]["metadata"].update(title="other"),
        lambda reply: reply["itemList"][0].update(reason=["Popular item"]),
    ],
)
def test_answers_that_differ_in_any_part_are_unequal(change: Any) -> None:
    reply = full_reply()
    change(reply)
    assert Recommendations.from_response(reply) != full()


def test_different_kinds_of_answer_are_unequal() -> None:
    assert Recommendations(["a"], scores=[0.5]) != Ranking(["a"], scores=[0.5])
    assert Recommendations(["a"], scores=[0.5]) != [PredictedItem("a", 0.5)]
    assert (Ranking(["a"], scores=[0.5]) == "a") is False


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "value",
    [
        full(),
        Ranking(
            ["b", "c"],
            scores=[0.5, None],
            input_list=["a", "b", "c"],
            recommendation_id="RID-1",
            info=ResponseInfo("r", 2, 0.5, "fallback"),
            degraded=True,
        ),
        ActionRecommendations(["a"], scores=lambda: (0.5,)),
        full()[0],
        PredictedAction("a", 1.0),
        ResponseInfo("r", 2, 0.5, "local"),
        Metadata({"TITLE": "a"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_everything_pickles_and_copies(value: Any, protocol: int) -> None:
    for again in (pickle.loads(pickle.dumps(value, protocol)), copy.copy(value), copy.deepcopy(value)):
        assert type(again) is type(value)
        assert again == value
        assert hash(again) == hash(value)
        assert repr(again) == repr(value)
        for name in ("info", "degraded", "recommendation_id", "missing", "unscored"):
            assert getattr(again, name, None) == getattr(value, name, None)


# A row, its metadata, an action, and the three results, pickled by version 0.1.
OF_0_1 = (
    b"gASVgwMAAAAAAABdlCiMFnBlcnNvbmFsaXplX3J0LnJlc3VsdHOUjA1QcmVkaWN0ZWRJdGVtlJOUKYGUfZQojAdpdGVtX2lklIwDdHQxlIwF"
    b"c2NvcmWURz/gAAAAAAAAjA5wcm9tb3Rpb25fbmFtZZSMBHNhbGWUjAhtZXRhZGF0YZRoAYwITWV0YWRhdGGUk5QpgZR9lIwHX3ZhbHVlc5R9"
    b"lIwJYnJhbmROYW1llIwBQpRzc2KMBnJlYXNvbpSMC0V4cGxvcmF0aW9ulIWUjAVydWxlc5QpdWJoDmgBjA9QcmVkaWN0ZWRBY3Rpb26Uk5Qp"
    b"gZR9lCiMCWFjdGlvbl9pZJSMBG1haWyUaAhHP+zMzMzMzM1oFyl1YmgBjAdSYW5raW5nlJOUKYGUfZQojAdfc2NvcmVzlEc/4AAAAAAAAE6G"
    b"lIwRcmVjb21tZW5kYXRpb25faWSUjAVSSUQtMZSMBGluZm+UaAGMDFJlc3BvbnNlSW5mb5STlCmBlH2UKIwKcmVxdWVzdF9pZJSMA3ItMZSM"
    b"CGF0dGVtcHRzlEsCjAdlbGFwc2VklEc/0AAAAAAAAIwGc291cmNllIwFY2FjaGWUjAp1bmZpbHRlcmVklIl1YowIZGVncmFkZWSUiIwGX2Nh"
    b"dXNllIwVcGVyc29uYWxpemVfcnQuZXJyb3JzlIwIX3JlYnVpbGSUk5RoNIwPVmFsaWRhdGlvbkVycm9ylJOUjAF4lIWUfZQojAlwYXJhbWV0"
    b"ZXKUTowFbGltaXSUTnWHlFKUjAZfcnVsZXOUTowIaXRlbV9pZHOUaAeMA3R0MpSGlIwQX3Byb21vdGlvbl9uYW1lc5RoCk6GlIwJX21ldGFk"
    b"YXRhlGgNKYGUfZRoEH2UaBJoE3NzYmgNKYGUfZRoEH2Uc2KGlIwIX3JlYXNvbnOUaBWFlCmGlIwLX2lucHV0X2xpc3SUaAdoQowDdHQzlIeU"
    b"dWJoAYwPUmVjb21tZW5kYXRpb25zlJOUKYGUfZQoaCJHP+AAAAAAAACFlGgkaCVoJmgpaDKJaDNOaEBOaEFoB4WUaEROaEZoDSmBlH2UaBB9"
    b"lGgSaBNzc2KFlGhOTnViaAGMFUFjdGlvblJlY29tbWVuZGF0aW9uc5STlCmBlH2UKGgiRz/szMzMzMzNhZRoJGglaCZoKWgyiWgzTmhATowK"
    b"YWN0aW9uX2lkc5RoHYWUdWJlLg=="
)


def test_pickles_of_version_0_1_are_read() -> None:
    row, metadata, action, ranking, recommendations, actions = pickle.loads(base64.b64decode(OF_0_1))
    info = ResponseInfo("r-1", 2, 0.25, "cache")
    assert row == PredictedItem("tt1", 0.5, "sale", Metadata({"brandName": "B"}), ("Exploration",))
    assert (metadata, action) == (Metadata({"brandName": "B"}), PredictedAction("mail", 0.9))
    assert ranking == Ranking(
        ["tt1", "tt2"],
        scores=[0.5, None],
        promotion_names=["sale", None],
        metadata=[{"brandName": "B"}, None],
        reasons=[["Exploration"], []],
        recommendation_id="RID-1",
    )
    assert (ranking.info, ranking.degraded, ranking.missing, str(ranking.cause)) == (info, True, ("tt3",), "x")
    assert recommendations == Recommendations(
        ["tt1"], scores=[0.5], metadata=[{"brandName": "B"}], recommendation_id="RID-1"
    )
    assert actions == ActionRecommendations(["mail"], scores=[0.9], recommendation_id="RID-1")
    assert (row.recommendation_id, action.recommendation_id) == (None, None)
    assert [each[0].recommendation_id for each in (ranking, recommendations, actions)] == ["RID-1"] * 3


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_cause_of_a_degraded_answer_pickles_with_it(protocol: int) -> None:
    cause = ThrottlingError("m", response={"Error": {}}, operation_name="GetRecommendations", code="T", attempts=3)
    answer = Recommendations(["a"], scores=[None], degraded=True, cause=cause)
    for again in (pickle.loads(pickle.dumps(answer, protocol)), copy.deepcopy(answer)):
        assert isinstance(again.cause, ThrottlingError)
        assert (again.cause.attempts, again.cause.code, again.degraded) == (3, "T", True)


def test_scores_that_are_computed_late_are_computed_when_first_read() -> None:
    asked = []

    def scores() -> tuple[float, ...]:
        asked.append(1)
        return 0.75, 0.25

    ranking = Ranking(["a", "b"], scores=scores)
    assert (ranking.item_ids, len(ranking), ranking.position("b"), asked) == (("a", "b"), 2, 1, [])
    assert ranking[0].score == 0.75
    assert ranking.scores == (0.75, 0.25)
    assert asked == [1]
    assert ranking == Ranking(["a", "b"], scores=[0.75, 0.25])


def test_columns_of_unlike_length_are_refused() -> None:
    with pytest.raises(ValueError, match="scores"):
        Recommendations(["a", "b"], scores=[0.5])
    with pytest.raises(ValueError, match="reasons"):
        Ranking(["a"], scores=[0.5], reasons=[["r"], ["r"]])


# How the answer came about


def test_info_is_read_from_what_boto3_adds() -> None:
    reply = full_reply() | {"ResponseMetadata": {"RequestId": "r-1", "HTTPStatusCode": 200, "RetryAttempts": 2}}
    info = Recommendations.from_response(reply).info
    assert (info.request_id, info.attempts, info.source) == ("r-1", 3, "service")
    given_info = ResponseInfo("mine", 1, 0.25, "local")
    assert Recommendations.from_response(reply, info=given_info).info is given_info


def test_an_answer_of_the_service_is_not_degraded() -> None:
    assert (full().degraded, full().cause) == (False, None)


class Local:
    """Something that only a frame refers to."""


def degraded_answer(error: PersonalizeError) -> tuple[Ranking, weakref.ref[Local]]:
    local = Local()

    def fail() -> None:
        held = local  # noqa: F841 - by this frame
        try:
            raise ServerError("first", response={}, operation_name="o", code="c")
        except ServerError as first:
            raise error from first

    try:
        fail()
    except PersonalizeError as caught:
        answer = Ranking(["a"], scores=[None], degraded=True, cause=caught)
    return answer, weakref.ref(local)


def test_the_cause_keeps_no_frames_alive() -> None:
    answer, local = degraded_answer(DeadlineExceededError("late", deadline=2.0, attempts=3))
    gc.collect()
    assert local() is None
    cause = answer.cause
    assert isinstance(cause, DeadlineExceededError)
    assert (str(cause), cause.deadline, cause.attempts) == ("late", 2.0, 3)
    assert cause.__traceback__ is cause.__context__ is cause.__cause__ is None


def test_raising_the_cause_again_leaves_no_frames_in_the_result() -> None:
    answer, _ = degraded_answer(ResponseError("bad"))
    with pytest.raises(ResponseError):
        raise answer.cause  # type: ignore[misc]
    assert answer.cause.__traceback__ is None  # type: ignore[union-attr]


# Metadata


@pytest.mark.parametrize("name", ["brandName", "BRAND_NAME", "brand_name", "BrandName", "brandname", "_brand_name_"])
def test_metadata_is_looked_up_without_case_and_underscores(name: str) -> None:
    metadata = Metadata({"title": "t", "brandName": "b"})
    assert metadata[name] == metadata.get(name) == "b"
    assert name in metadata


def test_metadata_is_a_mapping_of_the_names_that_the_service_gave() -> None:
    metadata = Metadata({"title": "t", "brandName": "b"})
    assert isinstance(metadata, Mapping)
    assert dict(metadata) == {"title": "t", "brandName": "b"}
    assert (list(metadata), len(metadata)) == (["title", "brandName"], 2)
    assert metadata.get("year") is None
    assert "year" not in metadata
    with pytest.raises(KeyError, match="year"):
        metadata["YEAR"] if "YEAR" in metadata else metadata["year"]


@pytest.mark.parametrize("name", [1, None, ("title",), b"title"], ids=repr)
def test_a_name_that_is_no_str_is_not_in_metadata(name: Any) -> None:
    metadata = Metadata({"title": "t"})
    assert name not in metadata
    assert metadata.get(name) is None
    with pytest.raises(KeyError):
        metadata[name]


def test_an_exact_name_counts_before_one_that_is_spelt_otherwise() -> None:
    assert Metadata({"ab": "1", "a_b": "2"})["a_b"] == "2"


def test_an_empty_value_is_a_value() -> None:
    assert Metadata({"title": ""})["TITLE"] == ""


def test_metadata_equal_by_look_up_are_equal_and_hash_alike() -> None:
    assert Metadata({"BRAND_NAME": "b"}) == Metadata({"brandName": "b"})
    assert hash(Metadata({"BRAND_NAME": "b"})) == hash(Metadata({"brandName": "b"}))
    assert Metadata({"a": "1", "b": "2"}) == Metadata({"b": "2", "a": "1"}) == {"a": "1", "b": "2"}
    assert Metadata({"a": "1"}) != Metadata({"a": "2"})
    assert Metadata({"a": "1"}) != {"a": "2"}
    assert Metadata({"a": "1"}) != "a"


def test_metadata_does_not_follow_the_mapping_that_it_was_made_of() -> None:
    values = {"title": "t"}
    metadata = Metadata(values)
    values["title"] = "changed"
    assert metadata["title"] == "t"
    with pytest.raises(TypeError):
        metadata["title"] = "changed"  # type: ignore[index]


@pytest.mark.parametrize(
    "change",
    [
        lambda metadata: metadata.update(title="u"),
        lambda metadata: metadata.setdefault("year", "1999"),
        lambda metadata: metadata.pop("title"),
        lambda metadata: metadata.popitem(),
        lambda metadata: metadata.clear(),
        lambda metadata: metadata.__delitem__("title"),
        lambda metadata: metadata.__ior__({"title": "u"}),
    ],
)
def test_nothing_that_a_dict_can_do_changes_metadata(change: Any) -> None:
    metadata: Any = Metadata({"title": "t"})
    with pytest.raises(TypeError, match="Metadata does not change"):
        change(metadata)
    assert metadata == {"title": "t"}
    assert metadata.copy() is metadata
    assert type(metadata | {"year": "1999"}) is dict


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r}".format, lambda value: f"{value:}"])
def test_no_text_of_a_result_shows_metadata(show: Any) -> None:
    result = full()
    values = (result[0].metadata, result[0], result, result[:], result[0].metadata.items(), result[0].metadata.values())
    for value in values:
        assert SECRET not in show(value)
    assert "title" in show(result[0].metadata)
    with pytest.raises(KeyError) as caught:
        result[0].metadata["unknown"]
    assert SECRET not in show(caught.value)


def test_rich_shows_no_metadata_either() -> None:
    # It looks at the fields of attrs classes, not at their repr.
    pretty = pytest.importorskip("rich.pretty").pretty_repr
    result = full()
    for value in (result[0].metadata, result[0], result, [result]):
        assert SECRET not in pretty(value)


def test_repr_of_an_answer_is_short_and_says_what_it_is() -> None:
    ranking = Ranking.from_response(RECORDED)
    assert repr(ranking).startswith("Ranking(")
    assert "1047" in repr(ranking)
    assert len(repr(ranking)) < 250
    assert "degraded" in repr(Ranking([], scores=[], degraded=True))


def test_threads_may_share_a_result() -> None:
    ranking = Ranking(["a"] * 500, scores=lambda: tuple(n / 500 for n in range(500)))
    with ThreadPoolExecutor(8) as pool:
        reads = list(pool.map(lambda _: (ranking.scores, ranking[7].score, hash(ranking)), range(64)))
    assert set(reads) == {(tuple(n / 500 for n in range(500)), 7 / 500, hash(ranking))}


@pytest.mark.parametrize(
    "read",
    [list, lambda answer: answer[:], lambda answer: answer.scores, repr],
    ids=["all rows", "some rows", "scores", "repr"],
)
def test_scores_that_are_computed_later_are_as_many_as_the_ids(read: Any) -> None:
    with pytest.raises(ValueError, match="scores has 1 rows, the ids have 3"):
        read(Recommendations(item_ids=["a", "b", "c"], scores=lambda: (1.0,)))


@pytest.mark.parametrize("kind", [Ranking, Recommendations, ActionRecommendations])
def test_rows_are_taken_by_place_and_an_id_is_told_where_to_ask(kind: Any) -> None:
    answer = kind(["tt0133093"], scores=[None])
    with pytest.raises(TypeError, match=rf"a {kind.__name__} gives rows by place.*\.get\(id\).*\.position\(id\)"):
        answer["tt0133093"]


SERVED = (
    Recommendations(["tt1", "tt2", "tt3"], scores=[0.5, 0.3, 0.2], recommendation_id="RID-1"),
    Ranking(
        ["tt1", "tt2", "tt3"], scores=[0.5, 0.3, None], recommendation_id="RID-1", input_list=["tt1", "tt2", "tt3"]
    ),
    ActionRecommendations(["tt1", "tt2", "tt3"], scores=[0.5, 0.3, 0.2], recommendation_id="RID-1"),
)
of_a_service = pytest.mark.parametrize("answer", SERVED, ids=lambda answer: type(answer).__name__)


def ids_of_rows(rows: Any) -> list[str | None]:
    return [row.recommendation_id for row in rows]


@of_a_service
def test_a_row_knows_the_answer_that_it_came_with(answer: Any) -> None:
    assert ids_of_rows(answer) == ["RID-1"] * 3
    assert answer[-1].recommendation_id == answer.get("tt2").recommendation_id == "RID-1"
    for again in (
        answer[1:],
        answer.without(["tt2"]),
        answer.pin({"tt3": 0}),
        pickle.loads(pickle.dumps(answer)),
        attrs.evolve(answer, info=ResponseInfo(source="cache")),
    ):
        assert ids_of_rows(again) == ["RID-1"] * len(again)
    row = pickle.loads(pickle.dumps(answer[0]))
    assert row.recommendation_id == "RID-1"


@of_a_service
@pytest.mark.parametrize("source", ["fallback", "local"])
def test_a_row_of_no_answer_of_the_service_has_no_recommendation_id(answer: Any, source: Any) -> None:
    assert ids_of_rows(attrs.evolve(answer, info=ResponseInfo(source=source))) == [None] * 3


def test_the_recommendation_id_of_a_row_makes_no_difference_to_equality_hash_and_text() -> None:
    for kind in (PredictedItem, PredictedAction):
        with_id, without = kind("tt1", 0.5, recommendation_id="RID-1"), kind("tt1", 0.5)
        assert with_id == without
        assert hash(with_id) == hash(without)
        assert repr(with_id) == repr(without)


@pytest.mark.parametrize("answer", SERVED[:2], ids=["Recommendations", "Ranking"])
def test_a_row_that_a_blend_adds_has_no_recommendation_id(answer: Any) -> None:
    blended = answer.blend(["new", "tt1"], 0.5)
    for rows in (blended, blended[:3], blended.pin({"tt3": 0})):
        assert {row.item_id: row.recommendation_id for row in rows} == {
            row.item_id: None if row.item_id == "new" else "RID-1" for row in rows
        }
    assert blended.get("new").recommendation_id is None


def test_each_row_of_a_long_ranking_has_the_id_of_its_own_answer() -> None:
    ranking = LongRanking(
        ["tt1", "tt2", "tt3"], scores=[0.5, 0.3, 0.2], recommendation_ids=["RID-1", "RID-2", None], requests=2
    )
    assert ids_of_rows(ranking) == ["RID-1", "RID-2", None]
    assert ids_of_rows(ranking[1:]) == ["RID-2", None]
    assert ids_of_rows(ranking.pin({"tt2": 0})) == ["RID-2", "RID-1", None]
    assert ids_of_rows(ranking.blend(["new"], 0.0)) == [None]

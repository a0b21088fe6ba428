"""The cases of ``tests/data/recordings.json``: what recorded replies and the guide show, with their sources."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from personalize_rt import bulk
from personalize_rt.local import LocalDataError, LocalDataWarning, LocalPersonalize, Problem
from personalize_rt.local.places import Source
from personalize_rt.local.problems import Problems
from personalize_rt.local.recipes import ReplyRow
from personalize_rt.local.schemas import DATASETS, read_schema
from personalize_rt.local.wire import write_reply
from personalize_rt.operations import GET_ACTION_RECOMMENDATIONS, GET_RECOMMENDATIONS

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent.parent / "data" / "recordings.json").read_bytes())[
    "cases"
]
OF = {dataset.name: dataset for dataset in DATASETS.values()}


def cases(kind: str) -> Any:
    return pytest.mark.parametrize(
        "case", [pytest.param(case, id=case["id"]) for case in CASES if case["kind"] == kind]
    )


def case(id: str) -> dict[str, Any]:
    return next(case for case in CASES if case["id"] == id)


def test_every_case_is_of_a_kind_that_is_tested() -> None:
    kinds = {"request", "wire", "schema", "schema text", "csv", "event", "batch"}
    assert {one["kind"] for one in CASES} == kinds
    assert len(CASES) == 40


# Requests


INTERACTIONS = """\
USER_ID,ITEM_ID,TIMESTAMP,DEVICE
ann,a,1000,phone
ann,b,1001,tv
ben,c,1002,tv
ben,a,1003,tv
cat,d,1004,tv
"""
ITEMS = "ITEM_ID,BRAND_NAME,PRICE,KIND\na,Acme,9.5,one\nb,Bolt,1.25,three\nc,Core,2,three\nd,Acme,7,three\n"
SETTINGS = """\
[campaigns]
for-you = { recipe = "aws-user-personalization", enableMetadataWithRecommendations = true }
[filters]
kind = "INCLUDE ItemID WHERE Items.KIND IN ($KIND)"
"""


@pytest.fixture
def shop(service: Callable[..., Any]) -> Any:
    return service({"interactions.csv": INTERACTIONS, "items.csv": ITEMS, "personalize.toml": SETTINGS})


def ask(shop: Any, **members: Any) -> Any:
    return shop.ok("/recommendations", {"campaignArn": shop.arn("for-you"), "userId": "ann", **members})["itemList"]


@pytest.mark.parametrize("id", ["R1", "R2"])
def test_metadata_keys_are_lower_case_and_columns_are_found_in_any_case(shop: Any, id: str) -> None:
    rows = ask(shop, metadataColumns={"ITEMS": case(id)["input"]["metadataColumns"]})
    assert all(list(row["metadata"]) == case(id)["expect"]["metadata_keys"] for row in rows)


def test_context_key_is_matched_in_any_case(shop: Any) -> None:
    assert ask(shop, context=case("R3")["input"]["context"])
    assert shop.error("/recommendations", {"campaignArn": shop.arn("for-you"), "userId": "ann", "context": {"X": "y"}})[
        :2
    ] == (400, "InvalidInputException")


def test_campaign_that_does_not_exist(shop: Any) -> None:
    expected = case("R4")["expect"]
    arn = "arn:aws:personalize:eu-west-1:000000000000:campaign/none"
    assert shop.error("/recommendations", {"campaignArn": arn, "userId": "ann"}) == (
        expected["status"],
        expected["code"],
        expected["message"].replace("<arn>", arn),
    )


def test_one_item_that_a_filter_leaves_has_all_of_the_score(shop: Any) -> None:
    one = {"filterArn": shop.local.filter_arn("kind"), "filterValues": {"KIND": '"one"'}}
    assert [row["score"] for row in ask(shop, **one)] == case("R5")["expect"]["scores"]


def test_scores_of_a_filtered_answer_are_the_softmax_of_what_is_left(shop: Any) -> None:
    taste = shop.local._engine.models.taste()
    logits = {taste.universe.ids[number]: logit for number, logit in taste.prefer("ann").best()}
    three = {"filterArn": shop.local.filter_arn("kind"), "filterValues": {"KIND": '"three"'}}
    rows = ask(shop, **three)
    assert {row["itemId"] for row in rows} == {"b", "c", "d"}
    total = math.fsum(math.exp(logits[row["itemId"]]) for row in rows)
    tolerance = case("R6")["expect"]["tolerance"]
    for row in rows:
        assert row["score"] == pytest.approx(math.exp(logits[row["itemId"]]) / total, abs=tolerance)
        assert round(row["score"], 7) == row["score"]


@pytest.mark.parametrize("empty", [{"filterValues": {}, "filterArn": None}, {"context": {}}, {"promotions": []}])
def test_what_is_empty_says_nothing(shop: Any, empty: dict[str, Any]) -> None:
    assert case("R7")["expect"]["status"] == 200
    assert ask(shop, **empty) == ask(shop)


# The wire


def test_rows_have_the_members_of_the_recordings() -> None:
    expected = case("W1")["expect"]
    written = write_reply(GET_RECOMMENDATIONS, [ReplyRow("a", 0.5)], "RID")
    (row,) = json.loads(written)["itemList"]
    assert list(row) == expected["members"]
    assert [name for name, value in row.items() if value is None] == expected["null"]
    assert " " not in written
    assert json.loads(write_reply(GET_ACTION_RECOMMENDATIONS, [ReplyRow("a", 0.5)], "RID"))["actionList"] == [
        {"actionId": "a", "score": 0.5}
    ]


@pytest.mark.parametrize("id", ["W2", "W3", "W4"])
def test_scores_are_written_as_in_the_recordings(id: str) -> None:
    written = write_reply(GET_RECOMMENDATIONS, [ReplyRow("a", case(id)["input"]["score"])], "RID")
    assert f'"score":{case(id)["expect"]["text"]},' in written


# Schemas


def read(text: str, dataset: str) -> tuple[Any, list[Problem]]:
    problems = Problems()
    return read_schema(Source("x.schema.json", text), OF[dataset], problems), problems.found


SAID = {
    "S1": "a reserved string field cannot have one",
    "S2": "only schemas of Items support it",
    "S3": "at least one metadata field",
    "S4": "CREATION_TIMESTAMP is none",
    "S5": "expected the type float",
    "S6": "at most 5 metadata fields",
    "S11": "encoded twice",
    "S12": "a trailing comma",
    "S13": "double quotes",
}


@cases("schema")
def test_schema_is_judged_as_createschema_does(case: dict[str, Any]) -> None:
    schema, problems = read(json.dumps(case["input"]), case["input"]["name"])
    if case["expect"] == "refuse":
        assert schema is None
        assert SAID[case["id"]] in str(problems[0])
        return
    assert problems == []
    last = list(schema.fields.values())[-1]
    if "categorical" in case["expect"]:
        assert last.categorical is (case["expect"] == "accept, categorical")


@cases("schema text")
def test_text_that_is_no_schema_gets_the_hint_that_helps(case: dict[str, Any]) -> None:
    schema, problems = read(case["input"], "Items")
    assert schema is None
    assert SAID[case["id"]] in str(problems[0])


# Data

WARNED = {"C4": "index=False", "C5": "expected a column of the schema; it is left out", "C6": "the last row"}
REFUSED = {"C2": "found semicolons", "C3": "the file is empty", "C8": "not milliseconds"}


@cases("csv")
def test_csv_is_read_as_people_have_it(case: dict[str, Any], directory: Callable[..., Path]) -> None:
    files = dict(case["input"])
    schema = files.pop("schema", None)
    if schema:
        files |= {"s.json": json.dumps(schema), "personalize.toml": '[schemas]\ninteractions = "s.json"\n'}
    path = directory(files)
    if case["id"] in REFUSED:
        with pytest.raises(LocalDataError, match=REFUSED[case["id"]]) as raised:
            LocalPersonalize.from_directory(path)
        assert len(raised.value.problems) == 1
        return
    if case["id"] not in WARNED:
        LocalPersonalize.from_directory(path, strict=True)
        local = LocalPersonalize.from_directory(path)
    else:
        with pytest.warns(LocalDataWarning, match=WARNED[case["id"]]):
            local = LocalPersonalize.from_directory(path)
        with pytest.raises(LocalDataError), warnings.catch_warnings():
            LocalPersonalize.from_directory(path, strict=True)
    rows = case["expect"]["rows"] if isinstance(case["expect"], dict) else [["1", "a"]]
    assert [[event.user_id, event.item_id] for event in local.interactions] == rows
    assert local.interactions.columns == {}
    if case["id"] == "C6":
        assert dict(local.items) == {"a": {"GENRE": "Comedy"}}


# Events

PATHS = {"eventList": "/events", "actionInteractions": "/action-interactions", "items": "/items"}
WITH_EVENTS = {
    "interactions.csv": INTERACTIONS,
    "items.csv": "ITEM_ID,BRAND_NAME,CREATION_TIMESTAMP\na,Acme,1000\nb,Bolt,1001\n",
    "actions.csv": "ACTION_ID,TYPE\nx,Mail\n",
    "personalize.toml": f"{SETTINGS.partition('[filters]')[0]}[event_trackers]\nshop = 'my-tracker'\n",
}


def put(loaded: Any, id: str) -> None:
    """Send the request of a case, and compare the status with what is expected."""
    members = {
        **case(id)["input"],
        **({"trackingId": "my-tracker"} if "trackingId" in case(id)["input"] else {}),
        **({"datasetArn": loaded.local.dataset_arn("items")} if "datasetArn" in case(id)["input"] else {}),
    }
    members.pop("schema", None)
    path = next(path for member, path in PATHS.items() if member in members)
    answered = ask_for_id(loaded) if id == "E4" else ""
    for event in members.get("eventList", ()) if answered else ():
        event["recommendationId"] = answered
    response = loaded.post(path, members)
    expected = str(case(id)["expect"])
    assert str(response.status) == expected[:3], response.body
    if response.status == 200:
        assert response.body == b""
    else:
        assert expected == f"{response.status} {response.headers['x-amzn-errortype']}"


def ask_for_id(loaded: Any) -> str:
    reply = loaded.ok("/recommendations", {"campaignArn": loaded.arn("for-you"), "userId": "u"})
    id: str = reply["recommendationId"]
    return id


@pytest.fixture
def open_shop(service: Callable[..., Any]) -> Any:
    return service(WITH_EVENTS)


@pytest.mark.parametrize(
    ("id", "item", "value"), [("E1", "a", None), ("E2", "a", 4), ("E3", None, None)], ids=["E1", "E2", "E3"]
)
def test_event_is_taken_with_its_item_and_value(open_shop: Any, id: str, item: str | None, value: float | None) -> None:
    put(open_shop, id)
    (event,) = open_shop.local.recorded_events
    assert (event.user_id, event.session_id, event.sent_at) == ("u", "s", 1_700_000_000)
    assert (event.event_type, event.item_id, event.event_value) == ("Search" if id == "E3" else "View", item, value)
    assert [one.item_id for one in open_shop.local._engine.items.all] == ([] if item is None else [item])


def test_nothing_of_an_event_is_forgotten(open_shop: Any) -> None:
    put(open_shop, "E4")
    (event,) = open_shop.local.recorded_events
    assert (event.event_id, event.event_type, event.item_id, event.sent_at) == ("e", "View", "a", 1_700_000_000.5)
    assert (event.impression, event.source, dict(event.properties)) == (("a", "b"), "mail", {"DEVICE": "phone"})
    assert event.answer is not None
    assert event.answer.recommendation_id == event.recommendation_id
    assert event.answer.resource_arn == open_shop.arn("for-you")


def test_eleven_events_are_too_many(open_shop: Any) -> None:
    put(open_shop, "E5")
    assert open_shop.local.recorded_events == ()


def test_action_event_of_the_guide_is_one_of_the_dataset(open_shop: Any) -> None:
    put(open_shop, "E6")
    assert [(event.item_id, event.event_type) for event in open_shop.local.recorded_events] == [("x", "TAKEN")]


def test_properties_of_an_item_may_mix_both_spellings(open_shop: Any) -> None:
    put(open_shop, "E7")
    (row,) = open_shop.ok(
        "/recommendations",
        {
            "campaignArn": open_shop.arn("for-you"),
            "userId": "u",
            "numResults": 1,
            "metadataColumns": {"ITEMS": ["BRAND_NAME"]},
        },
    )["itemList"]
    assert row["itemId"] != "new"
    added = open_shop.local._engine.added.of("items")
    assert dict(added["new"]) == {"BRAND_NAME": "x", "CREATION_TIMESTAMP": 1_700_000_000}


# Batches


def test_items_that_the_model_does_not_know_have_a_score_of_zero_in_batches(tmp_path: Path) -> None:
    expected = case("B1")["expect"]
    local = LocalPersonalize.sample()
    known = [*local.interactions.targets][:2]
    names = {"known-1": known[0], "known-2": known[1]}
    items = [names.get(item, item) for item in case("B1")["input"]["rank"]]
    (tmp_path / "in.json").write_text(json.dumps({"userId": "u", "itemList": items}) + "\n")
    with local.runtime() as runtime:
        bulk.rank_file(
            runtime, tmp_path / "in.json", tmp_path / "out.json", campaign_arn=local.campaign_arn("movies-ranking")
        )
    output = json.loads((tmp_path / "out.json").read_text())["output"]
    assert output["recommendedItems"][2:] == ["unknown-1", "unknown-2"]
    assert {*output["recommendedItems"][:2]} == {*known}
    assert output["scores"][2:] == expected["scores_of_unknown"]
    assert output["scores"][0] >= output["scores"][1] > 0

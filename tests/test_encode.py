"""Rows and results in the libraries where Python programs put data: right, or refused; nothing is lost in silence."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Annotated, Any

import attrs
import pytest

from personalize_rt import (
    ActionRecommendations,
    Metadata,
    PredictedAction,
    PredictedItem,
    Ranking,
    Recommendations,
    ResponseInfo,
    ValidationError,
    encode,
)
from personalize_rt.rerank import LongRanking
from tests.optional import optional

ROW = PredictedItem("tt1", 0.5, "sale", Metadata({"brandName": "B"}), ("Exploration",))
OF_ROW = {
    "item_id": "tt1",
    "score": 0.5,
    "promotion_name": "sale",
    "metadata": {"brandName": "B"},
    "reason": ["Exploration"],
}
OF_UNKNOWN = {"item_id": "tt2", "score": None, "promotion_name": None, "metadata": {}, "reason": []}
INFO = ResponseInfo("r-1", 2, 0.25, "cache")
OF_INFO = {"request_id": "r-1", "attempts": 2, "elapsed": 0.25, "source": "cache", "unfiltered": False}
COLUMNS: dict[str, Any] = {
    "scores": [0.5, None],
    "promotion_names": ["sale", None],
    "metadata": [{"brandName": "B"}, None],
    "reasons": [["Exploration"], []],
    "recommendation_id": "RID-1",
    "info": INFO,
    "degraded": True,
    "cause": ValidationError("stays here"),
}
FACTS = {"recommendation_id": "RID-1", "info": OF_INFO, "degraded": True}
ACTION = PredictedAction("mail", 0.9)
LONG = LongRanking(
    ["tt1", "tt2"],
    **COLUMNS,
    requests=2,
    error_bound=0.01,
    unscaled=["tt1"],
    recommendation_ids=["RID-1", None],
    stopped_by=ValidationError("stays here, too"),
)
WRITTEN: list[tuple[Any, Any]] = [
    (ROW, OF_ROW),
    (ACTION, {"action_id": "mail", "score": 0.9}),
    (ROW.metadata, {"brandName": "B"}),
    (INFO, OF_INFO),
    (Recommendations(["tt1", "tt2"], **COLUMNS), {"items": [OF_ROW, OF_UNKNOWN], **FACTS}),
    (
        Ranking(["tt1", "tt2"], input_list=["tt3", "tt2", "tt1"], **COLUMNS),
        {"items": [OF_ROW, OF_UNKNOWN], **FACTS, "missing": ["tt3"]},
    ),
    (
        LONG,
        {
            "items": [OF_ROW, OF_UNKNOWN],
            **FACTS,
            "missing": [],
            "requests": 2,
            "error_bound": 0.01,
            "unscaled": ["tt1"],
            "recommendation_ids": ["RID-1", None],
        },
    ),
    (
        ActionRecommendations(["mail"], scores=lambda: (0.9,), recommendation_id="RID-1", info=INFO, degraded=True),
        {"actions": [{"action_id": "mail", "score": 0.9}], **FACTS},
    ),
]
each_object = pytest.mark.parametrize(("value", "written"), WRITTEN, ids=lambda each: type(each).__name__)
results = [value for value, _ in WRITTEN if isinstance(value, Ranking | Recommendations | ActionRecommendations)]
each_result = pytest.mark.parametrize("result", results, ids=lambda each: type(each).__name__)


@each_object
def test_json_has_every_member_of_an_object_and_plain_values_alone(value: Any, written: Any) -> None:
    assert encode.default(value) == written
    assert json.loads(json.dumps({"page": [value]}, default=encode.default)) == {"page": [written]}
    assert json.loads(encode.to_json(value)) == written


@each_object
def test_an_object_writes_itself(value: Any, written: Any) -> None:
    if isinstance(value, Metadata | ResponseInfo):
        return
    assert json.loads(value.to_json()) == written


def test_what_is_none_of_ours_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="Object of type complex is not JSON serializable"):
        json.dumps({"a": 1j}, default=encode.default)


def test_a_score_that_json_cannot_say_is_an_error() -> None:
    with pytest.raises(ValueError, match="JSON"):
        PredictedItem("a", float("nan")).to_json()


@each_result
def test_json_alone_refuses_a_result(result: Any) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps(result)


@each_object
def test_orjson_writes_what_we_write(value: Any, written: Any) -> None:
    orjson = optional("orjson")
    assert orjson.loads(orjson.dumps({"page": [value]}, default=encode.default)) == {"page": [written]}


@each_object
def test_msgspec_writes_what_we_write(value: Any, written: Any) -> None:
    msgspec = optional("msgspec")
    for codec in (msgspec.json, msgspec.msgpack):
        assert codec.decode(codec.encode({"page": [value]}, enc_hook=encode.default)) == {"page": [written]}
    assert json.loads(json.dumps(msgspec.to_builtins(value, enc_hook=encode.default))) == written


@each_result
def test_without_the_hook_orjson_and_msgspec_refuse_a_result(result: Any) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        optional("orjson").dumps(result)
    with pytest.raises(TypeError, match="unsupported"):
        optional("msgspec").json.encode(result)


def test_rows_need_no_hook() -> None:
    orjson, msgspec = optional("orjson"), optional("msgspec")
    for write in (orjson.dumps, msgspec.json.encode):
        assert json.loads(write([ROW, ACTION])) == [OF_ROW, {"action_id": "mail", "score": 0.9}]


def test_msgspec_reads_an_action_whole_and_refuses_metadata_that_it_cannot_read() -> None:
    msgspec = optional("msgspec")
    read = msgspec.json.decode(ACTION.to_json(), type=PredictedAction)
    assert (read, read.rules) == (ACTION, ())
    with pytest.raises(msgspec.ValidationError, match="Metadata"):
        msgspec.json.decode(ROW.to_json(), type=PredictedItem)


@pytest.mark.parametrize("as_dict", [attrs.asdict, dataclasses.asdict], ids=["attrs", "dataclasses"])
def test_a_row_as_a_dict_is_plain(as_dict: Callable[[Any], Any]) -> None:
    written = json.loads(json.dumps(as_dict(ROW)))
    assert (written.pop("rules", []), written.pop("recommendation_id", None)) == ([], None)
    assert written == OF_ROW
    assert attrs.evolve(ROW, score=0.1).metadata is ROW.metadata


@each_result
def test_attrs_knows_a_result_by_its_rows(result: Any) -> None:
    written = attrs.asdict(result)
    rows = written.pop("rows")
    assert list(rows) == [attrs.asdict(row) for row in result]
    # The rest is that of the JSON, and the errors, which are no JSON.
    errors = {name: written.pop(name) for name in ("cause", "stopped_by") if name in written}
    expected = encode.default(result)
    del expected["actions" if isinstance(result, ActionRecommendations) else "items"]
    assert json.loads(json.dumps(written)) == json.loads(json.dumps(expected))
    assert all(type(error) is ValidationError or error is None for error in errors.values())
    fields: Any = attrs.fields(type(result))
    assert fields.rows is fields[0]
    assert [field.name for field in fields] == list(attrs.asdict(result, recurse=False))


@each_result
def test_attrs_evolve_keeps_what_it_is_not_told_to_change(result: Any) -> None:
    same = attrs.evolve(result)
    assert (same, type(same), same.info) == (result, type(result), result.info)
    info, no_error = attrs.evolve(INFO, attempts=7), lambda field, _: field.name not in ("cause", "stopped_by")
    other = attrs.evolve(result, info=info)
    written = attrs.asdict(result, filter=no_error) | {"info": attrs.asdict(info)}
    assert attrs.asdict(other, filter=no_error) == written
    assert repr(other.cause) == repr(result.cause)
    for name in ("rules", "recommendation_id"):
        assert [getattr(row, name) for row in same] == [getattr(row, name) for row in result]
    scored = attrs.evolve(result, scores=[0.125] * len(result))
    assert set(scored.scores) == {0.125}
    assert [attrs.evolve(row, score=None) for row in scored] == [attrs.evolve(row, score=None) for row in result]


def test_a_result_may_be_made_of_rows_and_needs_no_scores() -> None:
    ranking = Ranking(["tt1", "tt2"], **COLUMNS, input_list=["tt1", "tt2", "tt3"])
    again = Ranking(iter(ranking), recommendation_id="RID-1", input_list=["tt1", "tt2", "tt3"])
    assert (again, again.missing) == (ranking, ("tt3",))
    mixed = Recommendations([attrs.evolve(ROW, recommendation_id="RID-1"), attrs.evolve(ROW, item_id="tt2")])
    assert [row.recommendation_id for row in mixed] == ["RID-1", None]
    assert Recommendations([ROW], reasons=[["Popular item"]])[0].reason == ("Popular item",)
    assert Ranking(["a", "b"]) == Ranking(["a", "b"], scores=[None, None])
    assert ActionRecommendations([ACTION]).scores == (0.9,)
    assert not Ranking([])
    with pytest.raises(TypeError, match="give all rows, or all ids"):
        Ranking([ROW, "tt2"])


# pydantic, and FastAPI on it.


@each_object
def test_pydantic_reads_what_was_written_to_an_equal_object(value: Any, written: Any) -> None:
    adapter = optional("pydantic").TypeAdapter(type(value))
    assert adapter.dump_python(value, mode="json") == json.loads(adapter.dump_json(value)) == written
    for read in (
        adapter.validate_json(encode.to_json(value)),
        adapter.validate_python(written),
        adapter.validate_python(adapter.dump_python(value)),
    ):
        assert type(read) is type(value)
        assert read == value
        assert encode.default(read) == written
    assert adapter.validate_python(value) is value


@each_object
def test_the_json_schema_has_the_members_that_are_written(value: Any, written: Any) -> None:
    adapter = optional("pydantic").TypeAdapter(type(value))
    schema = adapter.json_schema(mode="serialization")
    if isinstance(value, Metadata):
        assert (schema["type"], schema["additionalProperties"]) == ("object", {"type": "string"})
        return
    assert list(schema["properties"]) == schema["required"] == list(encode.default(value))
    assert schema["title"] == type(value).__name__
    assert schema["description"]


def test_pydantic_says_what_is_wrong_and_where() -> None:
    pydantic = optional("pydantic")
    with pytest.raises(pydantic.ValidationError) as caught:
        pydantic.TypeAdapter(Ranking).validate_python({"items": [{"item_id": "a"}, {"score": "high"}]})
    assert [error["loc"] for error in caught.value.errors()] == [("items", 1, "item_id"), ("items", 1, "score")]
    assert pydantic.TypeAdapter(Ranking).validate_python({"items": [{"item_id": "a"}]}) == Ranking(["a"], scores=[None])


def test_a_model_has_fields_of_our_types() -> None:
    pydantic = optional("pydantic")
    page_type = pydantic.create_model("Page", best=PredictedItem, all=(Ranking | None), offers=list[PredictedAction])
    page = page_type(best=ROW, all=results[1], offers=[ACTION])
    assert page_type.model_validate_json(page.model_dump_json()) == page
    assert page_type.model_validate(page.model_dump()) == page
    assert list(page_type.model_json_schema()["$defs"]) == [
        "PredictedAction",
        "PredictedItem",
        "Ranking",
        "ResponseInfo",
    ]


def test_pydantic_excludes_members_and_says_that_it_can_exclude_no_parts_of_them() -> None:
    pydantic = optional("pydantic")
    adapter = pydantic.TypeAdapter(Ranking)
    assert adapter.dump_python(results[1], exclude={"info", "items"}).keys() == FACTS.keys() - {"info"} | {"missing"}
    assert adapter.dump_python(results[1], include={"degraded"}) == {"degraded": True}
    model = pydantic.create_model("Page", all=Ranking)(all=results[1])
    assert model.model_dump(exclude={"all": {"info": True, "items": ...}})["all"].keys() == {"missing", *FACTS} - {
        "info"
    }
    with pytest.raises((TypeError, pydantic.ValidationError, ValueError), match="choose members of a Ranking"):
        adapter.dump_python(results[1], exclude={"items": {0: {"score"}}})


@pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`")
def test_fastapi_serves_a_ranking_and_its_page_has_the_fields() -> None:
    fastapi = optional("fastapi")
    client_of = optional("fastapi.testclient").TestClient
    ranking = results[1]
    app = fastapi.FastAPI()

    def search() -> Ranking:
        return ranking

    def rows() -> list[PredictedItem]:
        return list(ranking)

    def ask(seen: Any) -> int:
        return len(seen)

    ask.__annotations__["seen"] = Annotated[Ranking, fastapi.Body()]
    app.get("/search")(search)
    app.get("/rows")(rows)
    app.post("/seen")(ask)
    client = client_of(app)
    assert client.get("/search").json() == encode.default(ranking)
    assert client.get("/rows").json() == [OF_ROW, OF_UNKNOWN]
    assert client.post("/seen", json=json.loads(ranking.to_json())).json() == 2
    assert client.post("/seen", json={"items": [{}]}).status_code == 422
    page = client.get("/openapi.json").json()
    answer = page["paths"]["/search"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    schema = page["components"]["schemas"][answer["$ref"].rpartition("/")[2]]
    assert list(schema["properties"]) == ["items", "recommendation_id", "info", "degraded", "missing"]
    row = page["components"]["schemas"][schema["properties"]["items"]["items"]["$ref"].rpartition("/")[2]]
    assert row["properties"]["score"]["anyOf"] == [{"type": "number"}, {"type": "null"}]


# Frameworks whose encoder is asked, or is told.


def test_flask_sends_what_we_write() -> None:
    flask = optional("flask")
    provider = optional("flask.json.provider")
    app = flask.Flask("shop")
    app.json.default = encode.default
    assert isinstance(app.json, provider.DefaultJSONProvider)
    app.add_url_rule("/", "page", view_func=lambda: flask.jsonify(results[1]))
    app.add_url_rule("/text", "text", view_func=lambda: (results[1].to_json(), {"Content-Type": "application/json"}))
    for path in ("/", "/text"):
        assert app.test_client().get(path).json == encode.default(results[1])


def test_rest_framework_renders_what_we_write_and_refuses_a_result_itself() -> None:
    optional("rest_framework")
    conf = optional("django.conf").settings
    if not conf.configured:
        conf.configure()
    renderer = optional("rest_framework.renderers").JSONRenderer()
    assert json.loads(renderer.render({"films": encode.default(results[1])})) == {"films": encode.default(results[1])}
    with pytest.raises(TypeError, match="not JSON serializable"):
        renderer.render({"films": results[1]})


def test_the_cache_of_django_gives_back_an_equal_result() -> None:
    cache = optional("django.core.cache.backends.locmem").LocMemCache("films", {})
    cache.set("1", results[1])
    again = cache.get("1")
    assert (again, again.info, again.missing) == (results[1], INFO, ("tt3",))


def test_frames_are_made_of_a_slice_as_of_the_whole() -> None:
    polars, pandas = optional("polars"), optional("pandas")
    for frame in (polars.DataFrame(results[1][:1]), pandas.DataFrame(results[1][:1])):
        assert list(frame.columns) == ["item_id", "score", "promotion_name", "metadata", "reason"]
        assert list(frame["metadata"]) == [{"brandName": "B"}]

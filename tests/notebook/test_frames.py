"""Results as frames: one row for an item, the same columns and types for every answer."""

from __future__ import annotations

import dataclasses
import pprint
import sys
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.errors import ValidationError
from personalize_rt.notebook.frames import Result, arrow_stream, to_arrow, to_dicts, to_pandas, to_polars
from personalize_rt.results import ActionRecommendations, Ranking, Recommendations
from tests.optional import optional

ANSWER = Recommendations(
    ["a", "b", "c"],
    scores=[0.5, 0.25, None],
    promotion_names=["autumn", None, None],
    metadata=[{"TITLE": "Alien", "brandName": "Fox"}, {"brand_name": "MGM"}, None],
    reasons=[["Promoted item"], ["Exploration", "Popular item"], []],
)
ACTIONS = ActionRecommendations(["newsletter"], scores=[0.75])
EMPTY = Ranking([], scores=[])
ITEM_COLUMNS = ["position", "item_id", "score", "promotion_name", "reason"]
ACTION_COLUMNS = ["position", "action_id", "score"]
ROWS: list[dict[str, Any]] = [
    {
        "position": 0,
        "item_id": "a",
        "score": 0.5,
        "promotion_name": "autumn",
        "reason": ["Promoted item"],
        "TITLE": "Alien",
        "brandName": "Fox",
    },
    {
        "position": 1,
        "item_id": "b",
        "score": 0.25,
        "promotion_name": None,
        "reason": ["Exploration", "Popular item"],
        "TITLE": None,
        "brandName": "MGM",
    },
    {
        "position": 2,
        "item_id": "c",
        "score": None,
        "promotion_name": None,
        "reason": [],
        "TITLE": None,
        "brandName": None,
    },
]


class Door:
    """An object with the Arrow door of a result, and nothing else."""

    def __init__(self, result: Result) -> None:
        self.result = result

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return arrow_stream(self.result, requested_schema)


def test_dicts_hold_plain_values() -> None:
    assert to_dicts(ANSWER) == ROWS
    assert to_dicts(ACTIONS) == [{"position": 0, "action_id": "newsletter", "score": 0.75}]
    assert to_dicts(EMPTY) == []


def test_metadata_columns_as_asked_give_the_same_columns_for_every_answer() -> None:
    asked = ["BRAND_NAME", "YEAR"]
    assert [row["BRAND_NAME"] for row in to_dicts(ANSWER, metadata_columns=asked)] == ["Fox", "MGM", None]
    for answer in (ANSWER, Ranking(["x"], scores=[None])):
        assert list(to_dicts(answer, metadata_columns=asked)[0]) == [*ITEM_COLUMNS, *asked]


def test_a_metadata_column_never_hides_one_of_ours() -> None:
    answer = Recommendations(["a"], scores=[0.5], metadata=[{"SCORE": "9", "metadata_score": "8", "reason": "7"}])
    (row,) = to_dicts(answer)
    assert (row["score"], row["reason"]) == (0.5, [])
    assert sorted(value for value in row.values() if isinstance(value, str)) == ["7", "8", "9", "a"]
    lower = [name.lower() for name in row]
    assert len(set(lower)) == len(lower) == 8


def test_columns_do_not_depend_on_the_order_in_which_the_service_names_them() -> None:
    one = Recommendations(["a"], scores=[0.5], metadata=[{"YEAR": "1999", "TITLE": "Alien"}])
    other = Recommendations(["a"], scores=[0.5], metadata=[{"TITLE": "Alien", "YEAR": "1999"}])
    assert list(to_dicts(one)[0]) == list(to_dicts(other)[0])


@given(st.lists(st.tuples(st.text(), st.floats(0, 1) | st.none(), st.text() | st.none()), max_size=6))
def test_every_row_is_there_with_its_values(rows: list[tuple[str, float | None, str | None]]) -> None:
    answer = Recommendations(
        [row[0] for row in rows], scores=[row[1] for row in rows], promotion_names=[row[2] for row in rows]
    )
    assert [(row["position"], row["item_id"], row["score"], row["promotion_name"]) for row in to_dicts(answer)] == [
        (place, *row) for place, row in enumerate(rows)
    ]


def test_metadata_columns_as_one_string_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"list of column names; for a single one write \[name\]") as caught:
        to_dicts(ANSWER, metadata_columns="TITLE")
    assert caught.value.parameter == "metadata_columns"


# pandas.


def test_pandas_keeps_types_and_nulls() -> None:
    pytest.importorskip("pandas")
    frame = to_pandas(ANSWER)
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {
        "position": "int64",
        "item_id": "string",
        "score": "float64",
        "promotion_name": "string",
        "reason": "object",
        "TITLE": "string",
        "brandName": "string",
    }
    assert frame["score"].isna().tolist() == [False, False, True]
    assert frame["promotion_name"].isna().tolist() == [False, True, True]
    assert frame["reason"].tolist() == [row["reason"] for row in ROWS]
    assert frame["item_id"].tolist() == ["a", "b", "c"]


def test_an_empty_answer_has_the_same_pandas_types() -> None:
    pytest.importorskip("pandas")
    assert to_pandas(EMPTY).dtypes.to_dict() == to_pandas(ANSWER)[ITEM_COLUMNS].dtypes.to_dict()
    assert list(to_pandas(ActionRecommendations([], scores=[]))) == ACTION_COLUMNS


def test_an_answer_without_any_score_keeps_a_column_of_floats() -> None:
    pytest.importorskip("pandas")
    frame = to_pandas(Ranking(["a"], scores=[None]))
    assert str(frame["score"].dtype) == "float64"


# Polars.


def test_polars_keeps_types_and_nulls() -> None:
    polars = pytest.importorskip("polars")
    frame = to_polars(ANSWER)
    assert dict(frame.schema) == {
        "position": polars.Int64,
        "item_id": polars.String,
        "score": polars.Float64,
        "promotion_name": polars.String,
        "reason": polars.List(polars.String),
        "TITLE": polars.String,
        "brandName": polars.String,
    }
    assert frame.to_dicts() == ROWS


def test_an_empty_answer_has_the_same_polars_types() -> None:
    pytest.importorskip("polars")
    assert to_polars(EMPTY).schema == to_polars(ANSWER).select(ITEM_COLUMNS).schema
    assert to_polars(EMPTY).is_empty()


# Arrow, and who reads it.


def test_arrow_keeps_types_and_nulls() -> None:
    arrow = optional("pyarrow")
    table = to_arrow(ANSWER)
    assert table.schema == arrow.schema(
        {
            "position": arrow.int64(),
            "item_id": arrow.string(),
            "score": arrow.float64(),
            "promotion_name": arrow.string(),
            "reason": arrow.list_(arrow.string()),
            "TITLE": arrow.string(),
            "brandName": arrow.string(),
        }
    )
    assert table.to_pylist() == ROWS
    assert to_arrow(EMPTY).schema == to_arrow(ANSWER).select(ITEM_COLUMNS).schema


def test_the_arrow_stream_is_read_by_arrow_polars_pandas_and_duckdb() -> None:
    arrow = optional("pyarrow")
    door = Door(ANSWER)
    assert arrow.table(door).to_pylist() == ROWS

    polars = pytest.importorskip("polars")
    assert polars.DataFrame(door).to_dicts() == ROWS

    pandas = pytest.importorskip("pandas")
    if hasattr(pandas.DataFrame, "from_arrow"):  # pandas 3
        assert pandas.DataFrame.from_arrow(door)["item_id"].tolist() == ["a", "b", "c"]

    duckdb = pytest.importorskip("duckdb")
    connection = duckdb.connect()
    connection.register("answer", door)
    found = connection.sql("SELECT item_id, score, len(reason) FROM answer WHERE score IS NOT NULL ORDER BY position")
    assert found.fetchall() == [("a", 0.5, 1), ("b", 0.25, 2)]


def test_the_arrow_stream_comes_from_polars_where_there_is_no_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    polars = pytest.importorskip("polars")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert polars.DataFrame(Door(ANSWER)).to_dicts() == ROWS


# A result itself is a sequence before it is Arrow data.


def test_the_constructors_of_polars_and_pandas_read_a_result_row_by_row() -> None:
    polars, pandas = pytest.importorskip("polars"), pytest.importorskip("pandas")
    frame = polars.DataFrame(ANSWER)
    assert frame.columns == ["item_id", "score", "promotion_name", "metadata", "reason"]
    for name in ("item_id", "score", "promotion_name", "reason"):
        assert frame[name].to_list() == [row[name] for row in ROWS]
    assert frame.schema["score"] == polars.Float64
    assert pandas.DataFrame(ANSWER)["item_id"].tolist() == ["a", "b", "c"]
    assert pandas.DataFrame(ANSWER)["score"].isna().tolist() == [row["score"] is None for row in ROWS]

    unknown = Ranking(["x", "y"], scores=[0.6, None])
    assert polars.DataFrame(unknown)["score"].to_list() == [0.6, None]
    actions = ActionRecommendations(["mail"], scores=[0.9])
    assert polars.DataFrame(actions).to_dicts() == [{"action_id": "mail", "score": 0.9}]
    assert pandas.DataFrame(actions).to_dict("records") == [{"action_id": "mail", "score": 0.9}]


def test_rows_are_dataclasses_for_those_who_know_only_these() -> None:
    row = ANSWER[0]
    answered = [field.name for field in attrs.fields(type(row)) if field.eq]
    assert [field.name for field in dataclasses.fields(row)] == answered
    assert dataclasses.replace(row, score=0.1) == attrs.evolve(row, score=0.1)
    assert pprint.pformat(row, width=1) == repr(row)


# Missing extras.


@pytest.mark.parametrize(
    ("convert", "package", "extra"),
    [(to_pandas, "pandas", "pandas"), (to_polars, "polars", "polars"), (to_arrow, "pyarrow", "arrow")],
)
def test_a_missing_library_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, convert: Any, package: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=rf'needs {package}: pip install "personalize-rt\[{extra}\]"'):
        convert(ANSWER)


def test_an_arrow_stream_without_any_library_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ModuleNotFoundError, match=r"personalize-rt\[arrow\]"):
        arrow_stream(ANSWER)

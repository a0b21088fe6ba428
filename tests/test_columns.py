"""Columns and frames of pandas, Polars and Arrow as input."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from personalize_rt.columns import as_ids, as_interactions, interactions_from_frame
from personalize_rt.errors import ValidationError
from personalize_rt.interactions import Interaction
from personalize_rt.rerank import EnsembleScorer
from tests.optional import optional

pytest.importorskip("narwhals")
pandas: Any = pytest.importorskip("pandas")
polars: Any = pytest.importorskip("polars")
arrow: Any = optional("pyarrow")

Make = Callable[[dict[str, Any]], Any]
FRAMES: dict[str, Make] = {
    "pandas": pandas.DataFrame,
    "polars": polars.DataFrame,
    "polars lazy": polars.LazyFrame,
    "arrow": arrow.table,
}
IDS = ["tt0468569", "tt0111161"]
COLUMNS = {
    "pandas": pandas.Series(IDS),
    "pandas object": pandas.Series(IDS, dtype=object),
    "pandas string": pandas.Series(IDS, dtype="string"),
    "pandas category": pandas.Series(IDS, dtype="category"),
    "pandas arrow": pandas.Series(IDS, dtype=pandas.ArrowDtype(arrow.string())),
    "pandas of a frame": pandas.DataFrame({"ITEM_ID": IDS}).ITEM_ID,
    "polars": polars.Series(IDS),
    "polars category": polars.Series(IDS, dtype=polars.Categorical),
    "polars enum": polars.Series(IDS, dtype=polars.Enum(sorted(IDS))),
    "arrow": arrow.array(IDS),
    "arrow chunks": arrow.chunked_array([IDS[:1], IDS[1:]]),
    "arrow large": arrow.array(IDS, arrow.large_string()),
    "arrow dictionary": arrow.array(IDS).dictionary_encode(),
}
EVENTS = {
    "USER_ID": ["u1", "u2"],
    "ITEM_ID": ["a", "b"],
    "TIMESTAMP": [1375043348, 1375045929],
    "EVENT_TYPE": ["Watch", None],
    "EVENT_VALUE": [7.5, None],
    "DEVICE": ["phone", "tv"],
}


@pytest.fixture(params=list(FRAMES))
def make(request: pytest.FixtureRequest) -> Make:
    return FRAMES[request.param]


# Columns of ids.


@pytest.mark.parametrize("name", list(COLUMNS))
def test_a_column_gives_its_ids_as_plain_strings(name: str) -> None:
    ids = as_ids(COLUMNS[name], "input_list")
    assert ids == IDS
    assert {type(id) for id in ids} == {str}


@pytest.mark.parametrize("column", [pandas.Series([], dtype="str"), polars.Series([], dtype=polars.String)])
def test_an_empty_column_gives_no_ids(column: Any) -> None:
    assert as_ids(column, "input_list") == []


@pytest.mark.parametrize("values", [IDS, tuple(IDS), iter(IDS), "a", None, 7, {"a": 1}, pandas.Index(IDS)])
def test_anything_else_comes_back_untouched(values: Any) -> None:
    assert as_ids(values, "input_list") is values


def test_nothing_of_narwhals_is_imported_for_plain_iterables() -> None:
    code = (
        "import sys; from personalize_rt.columns import as_ids, as_interactions\n"
        "as_ids(['a'], 'input_list'); as_interactions([]); as_ids(object(), 'input_list')\n"
        "print({'narwhals', 'pandas', 'polars', 'pyarrow'} & set(sys.modules))"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert process.stdout.strip() == "set()"


@pytest.mark.parametrize(
    "column",
    [
        pandas.Series(["secret", None]),
        pandas.Series(["secret", float("nan")], dtype=object),
        polars.Series(["secret", None]),
        arrow.array(["secret", None]),
    ],
)
def test_a_column_with_nulls_is_refused(column: Any) -> None:
    with pytest.raises(ValidationError, match="input_list has 1 null among 2 ids") as caught:
        as_ids(column, "input_list")
    assert caught.value.parameter == "input_list"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "column", [pandas.Series([1, 2]), polars.Series([1, 2]), arrow.array([1, 2]), pandas.Series(["a", 2], dtype=object)]
)
def test_a_column_of_numbers_is_refused(column: Any) -> None:
    with pytest.raises(ValidationError, match="type int, not str"):
        as_ids(column, "input_list")


def test_a_whole_frame_is_refused_with_its_columns(make: Make) -> None:
    # Iterating over a frame would give the names of its columns.
    with pytest.raises(ValidationError, match=r"whole .*one of its columns.*it has: ITEM_ID, TITLE") as caught:
        as_ids(make({"ITEM_ID": IDS, "TITLE": ["x", "y"]}), "input_list")
    assert caught.value.parameter == "input_list"


# Frames of events.


def test_a_frame_gives_its_events_in_order(make: Make) -> None:
    assert list(interactions_from_frame(make(EVENTS))) == [
        Interaction("u1", "a", 1375043348.0, "Watch", 7.5),
        Interaction("u2", "b", 1375045929.0, None, None),
    ]


def test_names_of_columns_ignore_case_and_underscores(make: Make) -> None:
    frame = make({"userId": ["u1"], "item_id": ["a"], "Timestamp": [1.5]})
    assert list(interactions_from_frame(frame)) == [Interaction("u1", "a", 1.5)]


def test_datetimes_become_unix_seconds(make: Make) -> None:
    moment = datetime(2013, 7, 28, 20, 29, 8, tzinfo=UTC)
    for time in (moment, moment.replace(tzinfo=None)):
        frame = make({"USER_ID": ["u1"], "ITEM_ID": ["a"], "TIMESTAMP": [time]})
        assert [event.timestamp for event in interactions_from_frame(frame)] == [moment.timestamp()]


def test_a_missing_column_is_an_error_that_names_those_that_are_there(make: Make) -> None:
    with pytest.raises(ValidationError, match="no column TIMESTAMP; its columns are: USER_ID, ITEM_ID, WHEN") as caught:
        list(interactions_from_frame(make({"USER_ID": ["u1"], "ITEM_ID": ["a"], "WHEN": [1]})))
    assert caught.value.parameter == "interactions"


def test_an_empty_frame_gives_no_events(make: Make) -> None:
    frame = make({"USER_ID": [], "ITEM_ID": [], "TIMESTAMP": [], "EVENT_VALUE": []})
    assert list(interactions_from_frame(frame)) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"USER_ID": ["u1", None]}, r"interactions\['USER_ID'\] has 1 null"),
        ({"ITEM_ID": [1, 2]}, r"interactions\['ITEM_ID'\] holds values of type int"),
        ({"TIMESTAMP": [1.0, None]}, r"interactions\['TIMESTAMP'\] has 1 null"),
        ({"TIMESTAMP": ["2013", "2014"]}, r"interactions\['TIMESTAMP'\] is a column of type String"),
        ({"TIMESTAMP": [1.0, float("inf")]}, r"interactions\['TIMESTAMP'\] has a value that is not finite"),
        ({"EVENT_VALUE": ["7", "8"]}, r"interactions\['EVENT_VALUE'\] is a column of type String"),
        ({"EVENT_TYPE": [1, 2]}, r"interactions\['EVENT_TYPE'\] holds values of type int"),
    ],
)
def test_a_column_that_cannot_be_used_is_named(make: Make, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        list(interactions_from_frame(make({**EVENTS, **changed})))
    assert "u1" not in str(caught.value)


@pytest.mark.parametrize("frame", [None, [], "a", pandas.Series(["a"]), polars.Series(["a"]), arrow.array(["a"])])
def test_what_is_no_frame_is_refused(frame: Any) -> None:
    with pytest.raises(ValidationError, match="not a pandas, Polars or Arrow frame"):
        interactions_from_frame(frame)


def test_a_batch_of_arrow_is_refused_with_advice() -> None:
    batch = arrow.record_batch({"USER_ID": ["u1"], "ITEM_ID": ["a"], "TIMESTAMP": [1]})
    with pytest.raises(ValidationError, match="make a table"):
        interactions_from_frame(batch)


def test_interactions_come_back_untouched_unless_they_are_a_frame(make: Make) -> None:
    events = [Interaction("u1", "a", 1)]
    assert as_interactions(events) is events
    assert len(list(as_interactions(make(EVENTS)))) == 2


# Missing narwhals.


def test_a_column_without_narwhals_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "narwhals", None)
    with pytest.raises(ModuleNotFoundError, match=r'input_list.*pip install "personalize-rt\[frames\]"'):
        as_ids(polars.Series(IDS), "input_list")


# Item metadata of a frame


def test_a_frame_of_items_is_as_good_as_a_mapping(make: Make) -> None:
    rows = {"a": ("Drama|War", 1990), "b": ("Comedy", 2001), "c": (None, None)}
    columns = {"Item_Id": list(rows), "GENRES": [row[0] for row in rows.values()], "YEAR": [1990, 2001, None]}
    mapping = {id: {"GENRES": genres, "YEAR": year} for id, (genres, year) in rows.items()}
    scorer = EnsembleScorer(items=make(columns))
    assert {id: row["GENRES"] for id, row in (scorer.items or {}).items()} == {
        "a": "Drama|War",
        "b": "Comedy",
        "c": None,
    }
    events = [Interaction("u", "a", 1.0), Interaction("v", "b", 2.0), Interaction("u", "b", 3.0)]
    expected = EnsembleScorer(items=mapping).fit(events)("u", ["a", "b", "c"])
    assert scorer.fit(events)("u", ["a", "b", "c"]) == expected
    again = EnsembleScorer()
    again.items = make(columns)
    assert again.fit(events)("u", ["a", "b", "c"]) == expected


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"GENRES": ["secret"]}, "items has no column ITEM_ID; its columns are: GENRES"),
        ({"ITEM_ID": ["secret", None]}, "has 1 null among 2 ids"),
        ({"ITEM_ID": [1, 2]}, "holds values of type int, not str"),
    ],
)
def test_a_frame_of_items_without_good_ids_is_refused(make: Make, columns: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem) as caught:
        EnsembleScorer(items=make(columns))
    assert caught.value.parameter == "items"
    assert "secret" not in str(caught.value)


def test_a_frame_of_ids_alone_is_a_catalogue_without_metadata(make: Make) -> None:
    assert EnsembleScorer(items=make({"ITEM_ID": ["a"]})).items == {"a": {}}

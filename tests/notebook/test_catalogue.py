"""What is known of items beside an answer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from personalize_rt.errors import ValidationError
from personalize_rt.notebook.catalogue import Catalogue, read_catalogue, text_of
from tests.optional import optional

ROWS = {"ITEM_ID": ["a", "b"], "TITLE": ["Alien", None], "YEAR": [1979, 1986]}


def frames() -> dict[str, Callable[[], Any]]:
    def of_pandas() -> Any:
        return pytest.importorskip("pandas").DataFrame(ROWS)

    def of_polars() -> Any:
        return pytest.importorskip("polars").DataFrame(ROWS)

    def of_polars_lazy() -> Any:
        return pytest.importorskip("polars").LazyFrame(ROWS)

    def of_arrow() -> Any:
        return optional("pyarrow").table(ROWS)

    return {"pandas": of_pandas, "polars": of_polars, "polars lazy": of_polars_lazy, "arrow": of_arrow}


@pytest.fixture(params=["pandas", "polars", "polars lazy", "arrow"])
def frame(request: pytest.FixtureRequest) -> Any:
    pytest.importorskip("narwhals")
    return frames()[request.param]()


class Large(Mapping[str, Mapping[str, Any]]):
    """A catalogue that must not be read from end to end."""

    def __getitem__(self, id: str) -> Mapping[str, Any]:
        if id == "missing":
            raise KeyError(id)
        return {"TITLE": id.upper()}

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("somebody reads the whole catalogue")

    def __len__(self) -> int:
        return 10**9


class WithItems:
    def __init__(self, items: Any) -> None:
        self.items = items


def test_a_mapping_of_titles() -> None:
    catalogue = read_catalogue({"a": "Alien", "b": None, "c": "Cube"}, ["a", "b", "x"])
    assert catalogue.columns == ("title",)
    assert [catalogue.text(id, "title") for id in ("a", "b", "x")] == ["Alien", "", ""]


def test_a_mapping_of_columns() -> None:
    catalogue = read_catalogue(
        {"a": {"TITLE": "Alien", "YEAR": 1979}, "b": {"GENRES": ["Horror", "Drama"]}}, ["a", "b"]
    )
    assert catalogue.columns == ("TITLE", "YEAR", "GENRES")
    assert [catalogue.text("a", name) for name in catalogue.columns] == ["Alien", "1979", ""]
    assert catalogue.text("b", "GENRES") == "Horror, Drama"


def test_a_frame_with_an_id_column(frame: Any) -> None:
    catalogue = read_catalogue(frame, ["b", "x", "a", "b"])
    assert catalogue.columns == ("TITLE", "YEAR")
    assert [catalogue.text("a", name) for name in catalogue.columns] == ["Alien", "1979"]
    assert [catalogue.text("b", name) for name in catalogue.columns] == ["", "1986"]
    assert catalogue.text("x", "TITLE") == ""


def test_an_object_with_items(frame: Any) -> None:
    assert read_catalogue(WithItems({"a": "Alien"}), ["a"]).text("a", "title") == "Alien"
    assert read_catalogue(WithItems(frame), ["a"]).text("a", "TITLE") == "Alien"


def test_only_the_items_of_the_answer_are_looked_up() -> None:
    catalogue = read_catalogue(Large(), ["a", "missing"])
    assert catalogue.text("a", "TITLE") == "A"
    assert catalogue.text("missing", "TITLE") == ""


def test_ids_that_a_frame_holds_as_numbers_are_found() -> None:
    pytest.importorskip("narwhals")
    pandas = pytest.importorskip("pandas")
    catalogue = read_catalogue(pandas.DataFrame({"id": [7, 8], "title": ["x", "y"]}), ["8"])
    assert catalogue.text("8", "title") == "y"


def test_of_an_id_that_a_frame_repeats_the_first_row_counts() -> None:
    pytest.importorskip("narwhals")
    pandas = pytest.importorskip("pandas")
    catalogue = read_catalogue(pandas.DataFrame({"ITEM_ID": ["a", "a"], "TITLE": ["first", "second"]}), ["a"])
    assert catalogue.text("a", "TITLE") == "first"


def test_no_items_are_no_columns() -> None:
    assert read_catalogue(None, ["a"]) == Catalogue()
    assert read_catalogue({}, ["a"]).columns == ()


def test_a_frame_without_an_id_column_names_its_columns() -> None:
    pytest.importorskip("narwhals")
    pandas = pytest.importorskip("pandas")
    with pytest.raises(ValidationError, match="no column ITEM_ID or ACTION_ID or ID; its columns are: tconst, TITLE"):
        read_catalogue(pandas.DataFrame({"tconst": ["a"], "TITLE": ["x"]}), ["a"])


@pytest.mark.parametrize("items", ["titles", 7, ["a"], {"a": 7}, {"a": "x", "b": {"TITLE": "y"}}, WithItems(7)])
def test_something_else_is_refused(items: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        read_catalogue(items, ["a", "b"])
    assert caught.value.parameter == "items"


def test_a_frame_without_narwhals_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pytest.importorskip("pandas").DataFrame(ROWS)
    monkeypatch.setitem(sys.modules, "narwhals", None)
    with pytest.raises(ModuleNotFoundError, match=r"personalize-rt\[frames\]"):
        read_catalogue(frame, ["a"])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (float("nan"), ""),
        ("a", "a"),
        (1979, "1979"),
        (["a", None, "b"], "a, , b"),
        (0, "0"),
        (False, "False"),
    ],
)
def test_values_as_text(value: Any, text: str) -> None:
    assert text_of(value) == text

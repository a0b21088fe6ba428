"""Columns of CSV and Parquet under other names, as context and filter values, and those that are not read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from personalize_rt import PersonalizeRuntime, ValidationError, bulk
from personalize_rt.bulk.layout import Columns
from tests.optional import optional

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/c"
FILTER = ARN.replace("campaign/c", "filter/f")
NAMED = {
    "user_id": "UID",
    "context.DEVICE": "device",
    "filter_values.GENRE": "genre",
    "filter_values.YEAR:": "year",
}
PERSON = "person-4711"


class Client:
    """Answers every request, and keeps its members."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def get_recommendations(self, **members: Any) -> Any:
        self.sent.append(members)
        return {"itemList": [{"itemId": "a", "score": 1.0}]}


def ask(input: Path, output: Path, **options: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The members that were sent, and the lines of the output."""
    client = Client()
    given: dict[str, Any] = {"columns": NAMED, "filter_arn": FILTER, "concurrency": 1} | options
    bulk.recommend_file(PersonalizeRuntime(client), input, output, campaign_arn=ARN, **given)
    return client.sent, [json.loads(line) for line in output.read_text().splitlines()]


def parquet_of(path: Path, **columns: Any) -> Path:
    pyarrow = optional("pyarrow")
    parquet: Any = optional("pyarrow.parquet")
    parquet.write_table(pyarrow.table(columns), path)
    return path


def test_columns_of_csv_are_arguments_context_and_filter_values(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("UID,device,genre,year\n4711,phone,Comedy|Drama,1999\n12,,War,\n", "utf-8")
    sent, lines = ask(tmp_path / "in.csv", tmp_path / "out.jsonl")
    assert sent == [
        {
            "campaignArn": ARN,
            "userId": "4711",
            "context": {"DEVICE": "phone"},
            "filterArn": FILTER,
            "filterValues": {"GENRE": '"Comedy","Drama"', "YEAR": "1999"},
        },
        # An empty cell is left out.
        {"campaignArn": ARN, "userId": "12", "filterArn": FILTER, "filterValues": {"GENRE": '"War"'}},
    ]
    assert lines[0]["input"] == {
        "userId": "4711",
        "context": {"DEVICE": "phone"},
        "filterValues": {"GENRE": '"Comedy","Drama"', "YEAR": "1999"},
    }


def test_columns_of_parquet_keep_their_types(tmp_path: Path) -> None:
    input = parquet_of(
        tmp_path / "in.parquet", UID=[4711], device=["phone"], genre=[["Comedy", "Drama"]], year=[1999], AGE=[7]
    )
    named = NAMED | {"filter_values.YEAR": "year"}
    del named["filter_values.YEAR:"]
    (members,), _ = ask(input, tmp_path / "out.jsonl", columns=named, ignore_columns=["AGE"])
    assert members["userId"] == "4711"
    assert members["filterValues"] == {"GENRE": '"Comedy","Drama"', "YEAR": "1999"}
    # A number may be a context too, and one column two things.
    named = {"user_id": "UID", "context.AGE": "AGE", "context.YEAR": "year", "filter_values.YEAR": "year"}
    (members,), _ = ask(input, tmp_path / "again.jsonl", columns=named, ignore_columns=["device", "genre"])
    assert members["context"] == {"AGE": "7", "YEAR": "1999"}
    assert members["filterValues"] == {"YEAR": "1999"}


@pytest.mark.parametrize("kind", ["int64", "uint8", "int32"])
def test_whole_numbers_of_parquet_are_ids_as_text(tmp_path: Path, kind: str) -> None:
    pyarrow = optional("pyarrow")
    ids = pyarrow.array([7, 12], getattr(pyarrow, kind)())
    input = parquet_of(tmp_path / "in.parquet", USER_ID=ids, ITEM_ID=ids.dictionary_encode())
    sent, _ = ask(input, tmp_path / "out.jsonl", columns=None, filter_arn=None)
    assert [(members["userId"], members["itemId"]) for members in sent] == [("7", "7"), ("12", "12")]


def test_lists_of_whole_numbers_are_lists_of_ids(tmp_path: Path) -> None:
    from personalize_rt.local.scored import ScoredPersonalize

    local = ScoredPersonalize(lambda user, items, context: [float(item) for item in items])
    input = parquet_of(tmp_path / "in.parquet", USER_ID=[1], ITEM_LIST=[[5, 9, 7]])
    arn = next(iter(local.campaigns.values()))
    bulk.rank_file(local.runtime(), input, tmp_path / "out.jsonl", campaign_arn=arn)
    (line,) = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert line["input"] == {"userId": "1", "itemList": ["5", "9", "7"]}
    assert line["output"]["recommendedItems"] == ["9", "7", "5"]


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (
            lambda arrow: [1.0, None],
            r"USER_ID is of type double \(in pandas, .* use Int64\), and ids are text: cast it",
        ),
        (lambda arrow: [True, False], "USER_ID is of type bool, and ids are text: cast it to text"),
        (lambda arrow: arrow.array([1, 2], arrow.timestamp("us")), r"USER_ID is of type timestamp\[us\], and ids"),
    ],
)
def test_ids_of_a_type_without_one_spelling_are_refused_with_advice(tmp_path: Path, make: Any, problem: str) -> None:
    input = parquet_of(tmp_path / "in.parquet", USER_ID=make(optional("pyarrow")))
    with pytest.raises(ValidationError, match=problem):
        ask(input, tmp_path / "out.jsonl", columns=None)
    assert not (tmp_path / "out.jsonl.parts").exists()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_extra_columns_are_named_with_advice_and_can_be_left_out(tmp_path: Path, form: str) -> None:
    input = tmp_path / f"in.{form}"
    if form == "csv":
        input.write_text("USER_ID,COUNTRY,AGE\nu,x,7\n")
    else:
        parquet_of(input, USER_ID=["u"], COUNTRY=["x"], AGE=[7])
    with pytest.raises(
        ValidationError, match=r"unknown columns 'COUNTRY', 'AGE'; recommend reads USER_ID.*ignore_columns"
    ):
        ask(input, tmp_path / "out.jsonl", columns=None)
    (members,), _ = ask(
        input, tmp_path / "out.jsonl", columns={"context.C": "COUNTRY"}, ignore_columns=["AGE"], filter_arn=None
    )
    assert members == {"campaignArn": ARN, "userId": "u", "context": {"C": "x"}}


def test_a_first_line_of_data_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(f"{PERSON},phone\n")
    with pytest.raises(ValidationError, match="unknown columns") as caught:
        ask(tmp_path / "in.csv", tmp_path / "out.jsonl", columns=None)
    assert PERSON not in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "ignored", "problem"),
    [
        ({"user_id": "UIDD"}, (), "there is no column 'UIDD'; it has UID, device"),
        ({"user_id": "UID"}, ["age"], "there is no column 'age' to ignore; it has UID, device"),
        ({"user": "UID"}, (), "columns: recommend has no 'user'; it takes user_id, item_id, num_results, context.NAME"),
        ({"item_list": "UID"}, (), "columns: recommend has no 'item_list'"),
        ({"context.": "UID"}, (), "recommend has no"),
        ({"user_id.x": "UID"}, (), "recommend has no"),
        ({"user_id": "UID", "USER_ID": "device"}, (), "column USER_ID is there twice"),
        ({"user_id": 5}, (), "columns maps texts to texts"),
        (["user_id"], (), "columns is a list of 1 item, not a mapping"),
        ({}, "device", "ignore_columns is a str of 6 characters"),
    ],
)
def test_a_wrong_description_of_columns_is_refused(tmp_path: Path, columns: Any, ignored: Any, problem: str) -> None:
    (tmp_path / "in.csv").write_text("UID,device\nu,phone\n")
    with pytest.raises(ValidationError, match=problem):
        ask(tmp_path / "in.csv", tmp_path / "out.jsonl", columns=columns, ignore_columns=ignored)
    assert not (tmp_path / "out.jsonl.parts").exists()


def test_json_lines_have_no_columns(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"userId": "u"}\n')
    with pytest.raises(ValidationError, match=r"in\.jsonl is JSON Lines, which has no columns"):
        ask(tmp_path / "in.jsonl", tmp_path / "out.jsonl")


def test_a_row_that_failed_can_be_asked_again_with_the_same_columns(tmp_path: Path) -> None:
    rows = [
        f"{PERSON},tv,War|Love,1999,x",
        f'{"u" * 300},phone,"Comedy, dark|Drama",2000|1999,y',
        f'{"x" * 300},phone,"Comedy, dark",-1.5,y',
        f"{'v' * 300},,,,z",
        'w,tv,a"b,1,z',
        "w,tv,a,b,z",
    ]
    (tmp_path / "in.csv").write_text("\n".join(["UID,device,genre,year,note", *rows, ""]))
    wrong = tmp_path / "wrong.csv"
    sent, lines = ask(tmp_path / "in.csv", tmp_path / "out.jsonl", ignore_columns=["note"], errors=wrong)
    assert [members["userId"] for members in sent] == [PERSON]
    assert "the filter value GENRE is a str of 3 characters that holds a double quote" in lines[4]["error"]
    assert "line 7: the filter value YEAR is not a number" in lines[5]["error"]
    kept = [
        "UID,device,genre,year",
        f'{"u" * 300},phone,"Comedy, dark|Drama",2000|1999',
        f'{"x" * 300},phone,"Comedy, dark",-1.5',
        f"{'v' * 300},,,",
        'w,tv,"a""b",1',
        "w,tv,a,b",
        "",
    ]
    assert wrong.read_text().split("\n") == kept
    wrong.write_text("\n".join(kept).replace("u" * 300, "u"))
    (again,), _ = ask(wrong, tmp_path / "again.jsonl")
    assert again["filterValues"] == {"GENRE": '"Comedy, dark","Drama"', "YEAR": "2000,1999"}


def test_rows_of_parquet_that_failed_are_json_lines_with_context_and_filter_values(tmp_path: Path) -> None:
    input = parquet_of(tmp_path / "in.parquet", UID=["u" * 300], device=["tv"], genre=["War"], year=[1999])
    wrong = tmp_path / "wrong.jsonl"
    ask(input, tmp_path / "out.jsonl", errors=wrong)
    wrong.write_text(wrong.read_text().replace("u" * 300, "u"))
    (again,), _ = ask(wrong, tmp_path / "again.jsonl", columns=None)
    assert (again["userId"], again["context"]) == ("u", {"DEVICE": "tv"})
    assert again["filterValues"] == {"GENRE": '"War"', "YEAR": "1999"}


def test_nothing_said_of_columns_is_false() -> None:
    assert not Columns.checked(None, ())
    assert Columns.checked({"user_id": "UID"}, ())
    assert Columns.checked(None, ["AGE"])

"""Reading the CSV files of a directory: what is read, and every problem at once, each with its place."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Any

import pytest

from personalize_rt import Interaction, PersonalizeError
from personalize_rt.local import LocalDataError, LocalDataWarning, LocalPersonalize, Problem
from personalize_rt.local.schemas import Field

HEADER = "USER_ID,ITEM_ID,TIMESTAMP\n"
GOOD = HEADER + "u,i,1000\n"


@pytest.fixture
def load(directory: Callable[..., Path]) -> Callable[..., LocalPersonalize]:
    def load(files: Mapping[str, str | bytes], **options: Any) -> LocalPersonalize:
        return LocalPersonalize.from_directory(directory(files), **options)

    return load


@pytest.fixture
def problems(load: Callable[..., LocalPersonalize]) -> Callable[..., list[str]]:
    def problems(files: Mapping[str, str | bytes]) -> list[str]:
        with pytest.raises(LocalDataError) as raised:
            load(files, strict=True)
        return [str(problem) for problem in raised.value.problems]

    return problems


# What is read


def test_interactions_are_read_as_they_are(load: Callable[..., Any]) -> None:
    local = load(
        {
            "interactions.csv": "ITEM_ID,USER_ID,EVENT_TYPE,TIMESTAMP,EVENT_VALUE,DEVICE\n"
            "i1,u1,Watch,1000,7.5,phone\ni2,u1,,1001,,tv\ni1,u2,Click,999,0,phone\n"
        }
    )
    assert list(local.interactions) == [
        Interaction("u1", "i1", 1000, "Watch", 7.5),
        Interaction("u1", "i2", 1001),
        Interaction("u2", "i1", 999, "Click", 0.0),
    ]
    assert local.interactions.of_user("u1") == tuple(local.interactions)[:2]
    assert local.interactions.of_user("nobody") == ()
    assert local.interactions[2].user_id == "u2"
    assert local.interactions[-2:] == list(local.interactions)[-2:]
    assert local.interactions[::-1] == list(reversed(local.interactions)) == list(local.interactions)[::-1]
    assert local.interactions[3:] == []
    assert isinstance(local.interactions, Sequence)
    assert local.interactions.columns == {"DEVICE": ["phone", "tv", "phone"]}
    assert local.interactions.fields["DEVICE"] == Field("DEVICE", "string")
    assert local.interactions.fields["EVENT_VALUE"] == Field("EVENT_VALUE", "float", nullable=True)


def test_event_types_and_values_may_be_absent(load: Callable[..., Any]) -> None:
    local = load({"interactions.csv": GOOD})
    assert list(local.interactions) == [Interaction("u", "i", 1000)]
    assert not local.interactions.value


def test_values_are_nan_where_there_are_none(load: Callable[..., Any]) -> None:
    log = load({"interactions.csv": "USER_ID,ITEM_ID,TIMESTAMP,EVENT_VALUE\nu,i,1,5\nu,j,2,\n"}).interactions
    assert log.value.tolist() == pytest.approx([5.0, nan], nan_ok=True)


def test_tables_are_mappings_of_ids_to_typed_rows(load: Callable[..., Any]) -> None:
    local = load(
        {
            "interactions.csv": GOOD,
            "items.csv": "TITLE,ITEM_ID,YEAR,PRICE\nOne,i1,1999,2.5\nTwo,i2,,3\n",
            "users.csv": "USER_ID,AGE\nu1,40\n",
            "actions.csv": "ACTION_ID,TYPE,VALUE\noffer,Mail,3\n",
        }
    )
    assert dict(local.items) == {
        "i1": {"TITLE": "One", "YEAR": 1999, "PRICE": 2.5},
        "i2": {"TITLE": "Two", "YEAR": None, "PRICE": 3.0},
    }
    assert local.items.get("i3") is None
    assert "i1" in local.items
    assert len(local.items) == 2
    assert local.users["u1"] == {"AGE": 40}
    assert local.action_rows["offer"] == {"TYPE": "Mail", "VALUE": 3}
    assert "40" not in repr(local.users)


def test_bytes_of_all_kinds_of_tables_are_read(load: Callable[..., Any]) -> None:
    local = load(
        {
            "interactions.csv": b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode(),
            "items.csv": 'ITEM_ID,TITLE\ni1,"Psycho, ""the"" film"\ni2,"a \\"quoted\\" one"\n\ni3,"two\nlines"\n'
            "i4,Amélie 日本\n",
        }
    )
    assert list(local.interactions) == [Interaction("u", "i", 1000)]
    titles = [row["TITLE"] for row in local.items.values()]
    assert titles == ['Psycho, "the" film', 'a "quoted" one', "two\nlines", "Amélie 日本"]


def test_backslash_escapes_a_quote_and_itself_in_quoted_text_only(load: Callable[..., Any]) -> None:
    # Guide, "Bulk data format guidelines". Everywhere else it is a character, and nothing is lost in silence.
    rows = {
        "CORP\\ann": "CORP\\ann",
        '"C:\\new"': "C:\\new",
        '"a \\"b\\", c"': 'a "b", c',
        '"two \\\\ and ""more"""': 'two \\ and "more"',
        '"ends in \\\\"': "ends in \\",
        '"two\nlines \\"and\\" a\\b"': 'two\nlines "and" a\\b',
        '5" \\"disk\\"': '5" \\"disk\\"',
        "\\": "\\",
    }
    items = "ITEM_ID,TITLE\n" + "".join(f"i{n},{cell}\n" for n, cell in enumerate(rows))
    local = load({"interactions.csv": GOOD, "items.csv": items})
    assert [row["TITLE"] for row in local.items.values()] == list(rows.values())


def test_columns_without_a_name_are_left_out_with_a_warning(load: Callable[..., Any]) -> None:
    with pytest.warns(LocalDataWarning) as warned:
        local = load({"interactions.csv": ",USER_ID,ITEM_ID,TIMESTAMP,\n0,u,i,1000,x\n"})
    assert list(local.interactions) == [Interaction("u", "i", 1000)]
    assert list(local.interactions.fields) == ["USER_ID", "ITEM_ID", "TIMESTAMP"]
    assert [str(one.message).partition(";")[0] for one in warned] == [
        "interactions.csv, line 1: expected a name for column 1",
        "interactions.csv, line 1: expected a name for column 5",
    ]
    assert warned[0].filename == __file__


def test_of_an_id_that_comes_again_the_last_row_counts(load: Callable[..., Any]) -> None:
    items = "ITEM_ID,GENRE,YEAR\na,Drama,1990\nb,Crime,1991\na,Comedy,1992\nb,,1993\na,Action,1994\n"
    with pytest.warns(LocalDataWarning, match=r"items.csv, line 4, column ITEM_ID: expected each id once; .*3 came"):
        local = load({"interactions.csv": GOOD, "items.csv": items})
    assert dict(local.items) == {"a": {"GENRE": "Action", "YEAR": 1994}, "b": {"GENRE": None, "YEAR": 1993}}
    assert local.items.columns["YEAR"] == [1994, 1993]


def test_data_that_are_strict_stay_so_when_they_are_read_again(load: Callable[..., Any], tmp_path: Path) -> None:
    local = load({"interactions.csv": GOOD}, strict=True)
    (tmp_path / "interactions.csv").write_text(GOOD.replace("TIMESTAMP", "TIMESTAMP,").replace("1000", "1000,"))
    with pytest.raises(LocalDataError, match="expected a name for column 4"):
        local.reload()


def test_more_rows_than_a_block_are_read(load: Callable[..., Any]) -> None:
    rows = "".join(f"u{n % 7},i{n},{n}\n" for n in range(1234))
    log = load({"interactions.csv": HEADER + rows}).interactions
    assert [event.item_id for event in log] == [f"i{n}" for n in range(1234)]
    assert [event.timestamp for event in log] == list(range(1234))


def test_schema_decides_the_types(load: Callable[..., Any]) -> None:
    schema = (
        '{"type": "record", "name": "Items", "fields": [{"name": "ITEM_ID", "type": "string"}, '
        '{"name": "CODE", "type": "string"}, {"name": "SIZE", "type": ["null", "double"]}]}'
    )
    files = {
        "interactions.csv": GOOD,
        "items.csv": "ITEM_ID,CODE,SIZE\ni,1,2\nj,2,\n",
        "personalize.toml": '[schemas]\nitems = "items.json"\n',
        "items.json": schema,
    }
    assert dict(load(files).items) == {"i": {"CODE": "1", "SIZE": 2.0}, "j": {"CODE": "2", "SIZE": None}}

    inline = {**files, "personalize.toml": f"[schemas]\nitems = '{schema}'\n"}
    assert dict(load(inline).items) == dict(load(files).items)


# Problems


def test_directory_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(LocalDataError, match="expected a directory"):
        LocalPersonalize.from_directory(tmp_path / "nowhere")


def test_directory_without_events_or_actions(problems: Callable[..., list[str]]) -> None:
    assert any("interactions.csv: expected this file, or actions.csv" in text for text in problems({}))


def test_files_of_other_names_are_named(problems: Callable[..., list[str]]) -> None:
    found = problems({"my_interactions.csv": GOOD, "items.csv": "ITEM_ID,A\ni,1\n"})
    assert found[0].endswith("there is nothing to learn; there are my_interactions.csv")


def test_actions_alone_are_enough(load: Callable[..., Any]) -> None:
    assert list(load({"actions.csv": "ACTION_ID,TYPE\na,Mail\n"}).campaigns) == ["next-best-action"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", ["interactions.csv: expected a header and rows: the file is empty"]),
        ("\n" + GOOD, ["interactions.csv, line 1: expected the header here: the line is blank"]),
        (GOOD.replace(",", ";"), ["interactions.csv, line 1: expected commas between the columns, found semicolons"]),
        (GOOD.replace(",", "\t"), ["interactions.csv, line 1: expected commas between the columns, found tabs"]),
        ('"USER_ID"|"ITEM_ID"|"TIMESTAMP"\n', ["expected commas between the columns, found vertical bars"]),
        (
            "USER_ID,ITEM_ID,TIMESTAMP,IMPRESSION\nu,i,1," + "x|" * 501 + "\n",
            ["line 2, column IMPRESSION: expected a text of at most 1,000 characters, found a text of 1,002"],
        ),
        (
            "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,WHERE\nu,i,1,EVENT_TYPE,x\nu,i,1,x,IMPRESSION\n",
            [
                "line 2, column EVENT_TYPE: expected another value than a reserved keyword",
                "line 3, column WHERE: expected another value than a reserved keyword",
            ],
        ),
        (HEADER, ["interactions.csv: expected at least one row"]),
        (
            "USER_ID,ITEM_ID\nu,i\n",
            ["interactions.csv, line 1: expected a column TIMESTAMP, as Interactions has it"],
        ),
        (
            "user_id,ITEM_ID,TIMESTAMP\nu,i,1\n",
            ["interactions.csv, line 1, column user_id: expected USER_ID: names are in upper case"],
        ),
        (
            "USER_ID, ITEM_ID,TIMESTAMP\nu,i,1\n",
            ["interactions.csv, line 1, column  ITEM_ID: expected ITEM_ID"],
        ),
        ("USER_ID,ITEM_ID,TIMESTAMP,A,A\nu,i,1,1,1\n", ["line 1, column A: expected each column once"]),
        ("USER_ID,ITEM_ID,TIMESTAMP,\nu,i,1,1\n", ["line 1: expected a name for column 4"]),
        (GOOD + "u,i\n", ["interactions.csv, line 3: expected 3 cells, as in the header, found 2"]),
        (GOOD + "u,i,1,2\n\nu,i,2\n", ["interactions.csv, line 3: expected 3 cells, as in the header, found 4"]),
        (GOOD + "u,i,soon\n", ["line 3, column TIMESTAMP: expected a whole number, found a text of 4 characters"]),
        (GOOD + "u,i,\n", ["line 3, column TIMESTAMP: expected a whole number (the column has no null)"]),
        (GOOD + ",i,1\n", ["line 3, column USER_ID: expected an id, found an empty cell"]),
        (GOOD + "u," + "x" * 257 + ",1\n", ["line 3, column ITEM_ID: expected an id of at most 256 characters"]),
        (GOOD + "u,i,1362062307000\n", ["line 3, column TIMESTAMP: expected a whole number: Unix time in seconds"]),
        (GOOD + '"u,i,1\n', ["interactions.csv, line 3: expected CSV: unexpected end of data"]),
        (GOOD.encode() + b"\xff,i,1\n", ["interactions.csv, line 3: expected UTF-8"]),
        (HEADER + '"u\n2",i,1\nu,i,x\n', ["line 4, column TIMESTAMP"]),
        (HEADER + 'u,i,1\n\n\n"u\n2",i,x\n', ["line 5, column TIMESTAMP"]),
    ],
    ids=range(24),
)
def test_problem_tells_file_line_column_and_what_was_expected(
    problems: Callable[..., list[str]], content: str | bytes, expected: list[str]
) -> None:
    found = problems({"interactions.csv": content})

    assert len(found) == len(expected)
    for text, part in zip(found, expected, strict=True):
        assert part in text


def test_id_twice_is_a_problem_of_the_second_line(problems: Callable[..., list[str]]) -> None:
    found = problems({"interactions.csv": GOOD, "users.csv": "USER_ID,AGE\nsecret-bob,1\neve,2\nsecret-bob,3\n"})
    assert found == ["users.csv, line 4, column USER_ID: expected each id once; line 2 has it too"]


def test_column_that_the_schema_lacks_and_the_other_way_round(problems: Callable[..., list[str]]) -> None:
    schema = (
        '{"type": "record", "name": "Items", "fields": [{"name": "ITEM_ID", "type": "string"}, '
        '{"name": "GENRES", "type": "string"}]}'
    )
    files = {"interactions.csv": GOOD, "personalize.toml": f"[schemas]\nitems = '{schema}'\n"}

    assert problems({**files, "items.csv": "ITEM_ID,GENRE\ni,x\n"}) == [
        "items.csv, line 1, column GENRE: expected a column of the schema",
        "items.csv, line 1: expected a column GENRES, as its schema has it; did you mean GENRE?",
    ]
    assert problems({**files, "items.csv": "ITEM_ID,GENRES\ni,\n"}) == [
        "items.csv, line 2, column GENRES: expected text (the column has no null), found an empty cell"
    ]


@pytest.mark.parametrize(
    ("files", "places"),
    [
        (
            {"interactions.csv": "user_id,ITEM_ID,A,A\nu,,1,2\nu\n"},
            ["line 1, column user_id", "line 1, column A", "line 1", "line 3", "line 2, column ITEM_ID"],
        ),
        (
            {
                "interactions.csv": GOOD,
                "items.csv": "ITEM_ID,COLOUR,YEAR\ni,red,x\ni,blue,1\n",
                "personalize.toml": "[schemas]\nitems = 'items.json'\n",
                "items.json": '{"type": "record", "name": "Items", "fields": [{"name": "ITEM_ID", "type": "string"}, '
                '{"name": "YEAR", "type": "long"}, {"name": "PRICE", "type": "float"}]}',
            },
            ["line 1, column COLOUR", "line 1", "line 2, column YEAR", "line 3, column ITEM_ID"],
        ),
    ],
)
def test_wrong_columns_do_not_hide_wrong_rows(
    problems: Callable[..., list[str]], files: dict[str, str], places: list[str]
) -> None:
    assert [text.partition(":")[0].partition(", ")[2] for text in problems(files)] == places


@pytest.mark.parametrize("content", [b"ITEM_ID,YEAR\ni,\xff\n", b"ITEM_ID;YEAR\ni;1\n"])
def test_what_a_filter_wants_of_a_file_that_cannot_be_read_is_no_second_problem(
    problems: Callable[..., list[str]], content: bytes
) -> None:
    settings = "[filters]\nf = 'INCLUDE ItemID WHERE Items.YEAR = 1 AND Items.GENRE IN (\"x\")'\n"
    (found,) = problems({"interactions.csv": GOOD, "items.csv": content, "personalize.toml": settings})
    assert found.startswith("items.csv")


def test_schema_without_its_file(problems: Callable[..., list[str]]) -> None:
    fields = '[{"name": "USER_ID", "type": "string"}, {"name": "AGE", "type": "int"}]'
    schema = f'{{"type": "record", "name": "Users", "fields": {fields}}}'
    found = problems({"interactions.csv": GOOD, "personalize.toml": f"[schemas]\nusers = '{schema}'\n"})
    assert found == ["users.csv: expected this file, since it has a schema"]


def test_all_problems_of_all_files_come_at_once(problems: Callable[..., list[str]]) -> None:
    found = problems(
        {
            "interactions.csv": GOOD + "u,i,x\nu\n",
            "items.csv": "ITEM_ID,CREATION_TIMESTAMP\ni,x\ni,1\n",
            "users.csv": "USER\nx\n",
            "actions.csv": "ACTION_ID,VALUE\na,99\n",
            "action_interactions.csv": "USER_ID,ACTION_ID,EVENT_TYPE,TIMESTAMP\nu,a,CLICKED,1\n",
            "personalize.toml": '[campaigns]\nx = "aws-nothing"\n',
        }
    )
    assert [text.split(":")[0] for text in found] == [
        "personalize.toml, line 2, column 1",
        "interactions.csv, line 4",
        "interactions.csv, line 3, column TIMESTAMP",
        "items.csv, line 2, column CREATION_TIMESTAMP",
        "items.csv, line 3, column ITEM_ID",
        "users.csv, line 1",
        "actions.csv, line 2, column VALUE",
        "action_interactions.csv, line 2, column EVENT_TYPE",
    ]


def test_many_wrong_rows_of_one_column_are_counted(problems: Callable[..., list[str]]) -> None:
    found = problems({"interactions.csv": HEADER + "u,i,x\n" * 1500 + "u\n"})

    assert len(found) == 12
    assert found[0].startswith("interactions.csv, line 2, column TIMESTAMP")
    assert found[9].startswith("interactions.csv, line 11, column TIMESTAMP")
    assert found[-1] == "interactions.csv, column TIMESTAMP: … and 1,490 more rows with such a problem"


def test_error_is_one_of_ours_and_keeps_its_problems(directory: Callable[..., Path]) -> None:
    path = directory({"interactions.csv": GOOD + "secret-bob,i,secret-time\n"})
    with pytest.raises(LocalDataError) as raised:
        LocalPersonalize.from_directory(path)
    error = raised.value

    assert isinstance(error, PersonalizeError)
    message = "expected a whole number, found a text of 11 characters"
    assert error.problems == (Problem("interactions.csv", message, 3, "TIMESTAMP"),)
    assert str(error) == f"cannot load {path}:\n  interactions.csv, line 3, column TIMESTAMP: {message}"
    assert "secret" not in f"{error!s} {error!r} {error.args}"
    assert error.__cause__ is None
    assert error.__context__ is None
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (str(other), other.problems, other.directory) == (str(error), error.problems, error.directory)


def test_file_that_is_a_directory(problems: Callable[..., list[str]], tmp_path: Path) -> None:
    (tmp_path / "items.csv").mkdir()
    found = problems({"interactions.csv": GOOD})
    assert found == ["items.csv: expected a file that can be read: Is a directory"]

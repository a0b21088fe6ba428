"""``personalize-rt filter``: what is said of an expression, and of a filter on data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXPRESSION = "INCLUDE ItemID WHERE Items.GENRES IN ($GENRE) | EXCLUDE ItemID WHERE Items.YEAR < $YEAR"
USER = "16036"
TRY = ("filter", "try", "sample", "unseen-by-genre", "--user", USER)


def test_check_prints_the_tree_the_parameters_and_an_example(cli: Callable[..., Any]) -> None:
    outcome = cli("filter", "check", EXPRESSION)
    lines = [line.split() for line in outcome.out.splitlines()]

    assert (outcome.status, outcome.err) == (0, "")
    assert "INCLUDE ItemID" in outcome.out
    assert "Items.YEAR < $YEAR" in outcome.out
    assert ["$GENRE", "required", "text", "or", "number,", "or", "several", "Items.GENRES"] in lines
    assert ["$YEAR", "optional", "number", "Items.YEAR"] in lines
    example = outcome.out.rpartition("for example: ")[2]
    assert json.loads(example) == {"GENRE": '"value 1","value 2"', "YEAR": "1"}


def test_check_shows_alternatives_and_the_if(cli: Callable[..., Any]) -> None:
    outcome = cli(
        "filter", "check", "INCLUDE ItemID WHERE Items.A = 1 AND Items.B = 2 OR Items.C = 3 IF CurrentUser.AGE > 4"
    )
    words = [line.strip("│├└─ ") for line in outcome.out.splitlines()]
    assert words[2:9] == ["WHERE", "Items.A = 1", "Items.B = 2", "OR", "Items.C = 3", "IF", "CurrentUser.AGE > 4"]
    assert "No parameters" in outcome.out


def test_check_has_json_for_programs(cli: Callable[..., Any]) -> None:
    answer = json.loads(cli("filter", "check", EXPRESSION, "--json").out)
    assert answer["expression"] == EXPRESSION
    assert answer["parameters"][1] == {
        "name": "YEAR",
        "required": False,
        "kind": "number",
        "many": False,
        "fields": ["Items.YEAR"],
    }
    assert [clause["action"] for clause in answer["clauses"]] == ["INCLUDE", "EXCLUDE"]
    assert answer["filterValues"]["YEAR"] == "1"


def test_wrong_expression_has_its_caret_below_it(cli: Callable[..., Any]) -> None:
    outcome = cli("filter", "check", "INCLUDE ItemID WHERE Itms.GENRES IN ('secret-4711')")
    message, source, caret, hint = outcome.err.splitlines()

    assert (outcome.status, outcome.out) == (2, "")
    assert message.startswith("personalize-rt: line 1, column 22: ")
    assert source[caret.index("^") :].startswith("Itms")
    assert hint == "did you mean Items?"
    assert "secret" not in outcome.err


def test_try_shows_what_stays_and_what_goes(cli: Callable[..., Any]) -> None:
    outcome = cli(*TRY, "--value", "GENRE=Comedy")
    stay, go = outcome.out.split("items go")

    assert (outcome.status, outcome.err) == (0, "")
    assert " items stay" in stay
    assert "Yes Man" in stay
    assert "The Mist" in go
    assert "more" in stay


def test_try_has_json_for_programs(cli: Callable[..., Any]) -> None:
    answer = json.loads(
        cli(*TRY, "--value", "GENRE=Comedy", "--value", "GENRE=War", "--item", "tt0032138", "--json").out
    )
    assert answer["filterValues"] == {"GENRE": '"Comedy","War"'}
    assert len(answer["stay"]) + len(answer["go"]) == 1_000
    assert answer["why"]["id"] == "tt0032138"
    assert answer["why"]["stays"] == ("tt0032138" in answer["stay"])
    assert [clause["effect"] for clause in answer["why"]["clauses"]] == ["does not keep", "does not drop"]


def test_try_says_why_of_an_item(cli: Callable[..., Any]) -> None:
    outcome = cli(*TRY, "--value", "GENRE=Comedy", "--item", "tt0032138")
    lines = [line.strip("│├└─ ") for line in outcome.out.splitlines()]
    assert lines == [
        "tt0032138 goes",
        "INCLUDE: does not keep",
        "Items.GENRES IN ($GENRE): does not hold",
        "EXCLUDE: does not drop",
        'Interactions.EVENT_TYPE IN ("Watch"): does not hold',
    ]


def test_try_says_when_the_data_has_no_such_item(cli: Callable[..., Any]) -> None:
    outcome = cli(*TRY, "--value", "GENRE=Comedy", "--item", "tt0032139")
    assert outcome.status == 0
    assert "tt0032139 goes" in outcome.out
    assert "tt0032139 is not in items.csv" in outcome.out
    assert "is not in" not in cli(*TRY, "--value", "GENRE=Comedy", "--item", "tt0032138").out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (TRY, "the filter value GENRE is missing"),
        ((*TRY, "--value", "GENRE:=7"), "Items.GENRES wants strings"),
        ((*TRY, "--value", "GENRES=x"), "no parameter 'GENRES'; did you mean GENRE?"),
        (("filter", "try", "sample", "unseen-by-genre", "--value", "GENRE=x"), "looks at the user"),
        (("filter", "try", "sample", "unseen"), "there is no filter 'unseen'; the filters are: unseen-by-genre"),
        (("filter", "try", "nowhere", "unseen"), "cannot load nowhere"),
        (("filter", "check"), "Missing argument"),
    ],
)
def test_what_cannot_be_tried_is_one_line_and_status_2(
    cli: Callable[..., Any], arguments: tuple[str, ...], expected: str
) -> None:
    outcome = cli(*arguments)
    assert outcome.status == 2
    assert expected in outcome.problem
    assert USER not in outcome.err


def test_wrong_filters_of_a_directory_are_told(cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "interactions.csv").write_text("USER_ID,ITEM_ID,TIMESTAMP\nu,i,1\n", "utf-8")
    (tmp_path / "personalize.toml").write_text('[filters]\nx = "INCLUDE ItemID WHERE Items.A = 1"\n', "utf-8")
    outcome = cli("filter", "try", str(tmp_path), "x")
    assert outcome.status == 2
    assert "personalize.toml, line 2, column 27: filters.x: there is no items.csv" in outcome.problem


def test_filter_alone_shows_its_help(cli: Callable[..., Any]) -> None:
    outcome = cli("filter")
    assert outcome.status == 0
    assert "check" in outcome.out
    assert "try" in outcome.out


def test_filter_of_actions_is_tried_on_actions(cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "actions.csv").write_text("ACTION_ID,NAME,VALUE\ncall,Call them,5\nmail,Write,3\n", "utf-8")
    (tmp_path / "personalize.toml").write_text('[filters]\nx = "INCLUDE ActionID WHERE Actions.VALUE > $V"\n', "utf-8")
    outcome = cli("filter", "try", str(tmp_path), "x", "--value", "V:=4")
    assert "1 action stays" in outcome.out
    assert "Call them" in outcome.out


def test_check_reads_standard_input(command: Callable[..., Any], cli: Callable[..., Any]) -> None:
    outcome = command("filter", "check", "-", "--json", input=f"{EXPRESSION}\n".encode())
    assert (outcome.status, outcome.err) == (0, "")
    assert json.loads(outcome.out) == json.loads(cli("filter", "check", EXPRESSION, "--json").out)
    wrong = command("filter", "check", "-", input=b"INCLUDE ItemID WHERE Itms.A = 1\n")
    assert (wrong.status, wrong.out) == (2, "")
    assert wrong.err.splitlines()[0].startswith("personalize-rt: line 1, column 22: ")
    latin = command("filter", "check", "-", input=b"\xe4")
    assert latin.problem == "cannot read standard input: it is not UTF-8"


def test_try_takes_an_expression(cli: Callable[..., Any], command: Callable[..., Any]) -> None:
    expression = "INCLUDE ItemID WHERE Items.GENRES IN ($GENRE)"
    outcome = cli("filter", "try", "sample", expression, "--value", "GENRE=War", "--json")
    assert (outcome.status, outcome.err) == (0, "")
    answer = json.loads(outcome.out)
    assert 0 < len(answer["stay"]) < len(answer["go"])
    piped = command("filter", "try", "sample", "-", "--value", "GENRE=War", "--json", input=expression.encode())
    assert json.loads(piped.out)["stay"] == answer["stay"]
    why = cli("filter", "try", "sample", expression, "--value", "GENRE=Comedy", "--item", "tt0032138")
    assert "tt0032138 goes" in why.out


def test_a_wrong_expression_to_try_has_its_caret_below_it(cli: Callable[..., Any]) -> None:
    outcome = cli("filter", "try", "sample", "INCLUDE ItemID WHERE Items.GENRE IN ('secret-4711')")
    message, source, caret, *_ = outcome.err.splitlines()
    assert (outcome.status, outcome.out) == (2, "")
    assert message.startswith("personalize-rt: ")
    assert source[caret.index("^") :].startswith(("Items.GENRE", "GENRE"))
    assert "secret" not in outcome.err

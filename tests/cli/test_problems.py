"""What goes wrong is one line that a person can read, and shows nothing personal."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from personalize_rt.cli import app
from personalize_rt.cli.failures import in_one_line, with_options

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
PERSON = "person-4711"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nope"], "No such command 'nope'"),
        (["rank", "--nope"], "No such option"),
        (["recommend", PERSON], "unexpected extra argument"),
        (["recommend", "--num-results", PERSON], "Invalid value for '--num-results'"),
        (["recommend", f"--num-results={PERSON}"], "Invalid value for '--num-results'"),
        (["rank", "--user-id", PERSON, "i1"], "Missing option '--campaign-arn'"),
        (["actions", "--campaign-arn", ARN], "Missing option '--user-id'"),
        (["rank", "--user-id", PERSON, "--campaign-arn"], "requires an argument"),
        (["recommend"], "exactly one of --campaign-arn and --recommender-arn"),
        (
            ["recommend", "--campaign-arn", ARN, "--num-results", "501"],
            "--num-results is 501; the service takes at most",
        ),
        (["recommend", "--campaign-arn", ARN, "--user-id", PERSON * 30], "--user-id is a text of 330 characters"),
        (["recommend", "--campaign-arn", ARN, "--value", f"A={PERSON}"], "--value without --filter-arn"),
        (["recommend", "--campaign-arn", ARN, "--context", PERSON], "--context number 1 is not NAME=VALUE"),
        (["recommend", "--campaign-arn", ARN, "--context", f"A B={PERSON}"], "--context has a name with other than"),
        (
            ["recommend", "--campaign-arn", ARN, "--deadline", "0"],
            "--deadline must be a number of seconds above 0, not 0",
        ),
        (
            ["recommend", "--campaign-arn", ARN, "--promotion", "sale"],
            "--promotion is not NAME=PERCENT, such as sale=20",
        ),
        (["recommend", "--campaign-arn", ARN, "--promotion", "sale=20"], "--promotion needs --promotion-filter-arn"),
        (["recommend", "--campaign-arn", ARN, "--promotion-filter-arn", ARN], "needs --promotion NAME=PERCENT"),
        (
            ["recommend", "--campaign-arn", ARN, "--promotion", "sale=20", "--promotion-value", PERSON],
            "--promotion-value number 1 is neither",
        ),
        (["recommend", "--campaign-arn", ARN, "--attempts", "0"], "--attempts must be a whole number from 1"),
        (["recommend", "--campaign-arn", ARN, "--profile", "nope"], "profile (nope) could not be found"),
        (["rank", "--campaign-arn", ARN, "--user-id", PERSON, "--items-from", "/no/such"], "cannot read /no/such"),
        (["recommend", "--campaign-arn", "x", "--local", "/no/such"], "cannot load /no/such"),
    ],
)
def test_a_wrong_argument_is_one_line_and_status_2(cli: Callable[..., Any], arguments: list[str], problem: str) -> None:
    outcome = cli(*arguments)
    assert outcome.status == 2
    assert problem in outcome.problem
    assert PERSON not in outcome.problem


def test_an_error_of_the_service_is_one_line_and_status_1(cli: Callable[..., Any], server: Any) -> None:
    server.always(server.failure(400, message=f"No such user: {PERSON}\n\x1b[31mreally"))
    outcome = cli(
        "actions", "--campaign-arn", ARN, "--user-id", PERSON, "--region", "eu-west-1", "--endpoint-url", server.url
    )
    assert outcome.status == 1
    assert "InvalidInputException (HTTP 400, request id " in outcome.problem
    assert "No such user: *** \\x1b[31mreally" in outcome.problem


def test_an_answer_of_somebody_else_is_one_line_and_status_1(cli: Callable[..., Any], server: Any) -> None:
    server.always(server.answer(200, {"hello": "there"}))
    outcome = cli("recommend", "--campaign-arn", ARN, "--region", "eu-west-1", "--endpoint-url", server.url)
    assert outcome.status == 1
    assert "is the endpoint Personalize?" in outcome.problem


def test_many_problems_of_a_directory_are_still_one_line(cli: Callable[..., Any], tmp_path: Path) -> None:
    rows = "".join(f"u,i,never-{n}\n" for n in range(5))
    (tmp_path / "interactions.csv").write_text(f"USER_ID,ITEM_ID,TIMESTAMP\n{rows}", "utf-8")
    outcome = cli("recommend", "--campaign-arn", "popularity-count", "--local", str(tmp_path))
    assert outcome.status == 2
    assert "interactions.csv, line 2, column TIMESTAMP: expected" in outcome.problem
    assert outcome.problem.endswith("; and 2 more problems")


def test_a_defect_of_ours_is_one_line_and_shows_no_value(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**options: Any) -> Any:
        raise KeyError(PERSON)

    monkeypatch.setattr(app, "choose_target", broken)
    outcome = cli("actions", "--campaign-arn", ARN, "--user-id", PERSON)
    assert outcome.status == 1
    assert outcome.problem.startswith("unexpected KeyError in test_problems.py, line ")
    assert PERSON not in outcome.problem


PYTHON = re.compile(r"\b\w+=|None|\ba?n? (str|int|float|bool|dict)\b|True|False")


@pytest.mark.parametrize(
    "arguments",
    [
        ["recommend", "--campaign-arn", ARN],  # without a region
        ["recommend", "--campaign-arn", ARN, "--deadline", "0"],
        ["recommend", "--campaign-arn", ARN, "--attempts", "0"],
        ["recommend", "--campaign-arn", ARN, "--user-id", "x" * 300],
        ["recommend", "--campaign-arn", ARN, "--num-results", "0"],
        ["recommend", "--campaign-arn", "movies"],
        ["recommend"],
        ["rank", "--campaign-arn", ARN, "--user-id", "x" * 300, "a"],
    ],
)
def test_messages_have_no_words_of_python(
    cli: Callable[..., Any], arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import boto3

    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    assert boto3.Session().region_name is None
    outcome = cli(*arguments)
    assert outcome.status == 2
    assert not PYTHON.search(outcome.problem), outcome.problem


def test_words_of_python_are_those_of_everybody() -> None:
    assert with_options("tps must be a number above 0, or None, not an int of 90 bits") == (
        "--tps must be a number above 0, not a whole number of 90 bits"
    )
    assert with_options("no AWS region: pass region_name=, or set it") == "no AWS region: pass --region, or set it"
    assert with_options("x.parts is of another job: context=, filter_values=, columns= changed since") == (
        "x.parts is of another job: --context, --value, --map changed since"
    )
    assert with_options("the context of a plan is kept") == "the context of a plan is kept"


def test_ctrl_c_while_reading_is_status_130(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "read_item_ids", interrupted)
    outcome = cli("rank", "--campaign-arn", ARN, "--user-id", PERSON)
    assert (outcome.status, outcome.out, outcome.err) == (130, "", "")


def test_ctrl_c_while_writing_is_status_130(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "write", interrupted)
    outcome = cli("filter", "check", "INCLUDE ItemID WHERE Items.A = 1")
    assert (outcome.status, outcome.out, outcome.err) == (130, "", "")


def test_a_command_s_name_is_not_taken_for_a_secret() -> None:
    class UsageError(Exception):
        def format_message(self) -> str:
            return f"No such command 'rnak'. It has {PERSON}."

    line = in_one_line(UsageError(), ["rnak", PERSON])
    assert line == "personalize-rt: No such command 'rnak'. It has ***; see personalize-rt --help"


def told(text: str, *arguments: str) -> str:
    class UsageError(Exception):
        def format_message(self) -> str:
            return text

    return in_one_line(UsageError(), arguments).removeprefix("personalize-rt: ").partition("; see")[0]


@pytest.mark.parametrize("id", ["a", "valid", "number", "be"])
def test_an_item_id_that_is_an_english_word_blots_out_no_word_of_a_message(cli: Callable[..., Any], id: str) -> None:
    outcome = cli("rank", "--campaign-arn", ARN, "--user-id", PERSON, "--deadline", "soon", id)
    assert "Input should be a valid number" in outcome.problem
    assert outcome.status == 2


@pytest.mark.parametrize("word", ["a", "ada", "7"])
def test_an_argument_that_typer_quotes_is_hidden_even_when_it_is_a_word(word: str) -> None:
    assert told(f"{word!r} is not a valid integer", "recommend", "--num-results", word).startswith("'***' is not")
    assert told(f"Got unexpected extra arguments ({word} x)", "recommend", word) == (
        "Got unexpected extra arguments (*** x)"
    )


@pytest.mark.parametrize(
    "arguments",
    [["--user-id", "ada"], ["--user-id=ada"], ["--context", "NAME=ada"], ["--context=NAME=ada"], ["--value=N=ada"]],
)
def test_what_is_personal_is_hidden_wherever_it_stands(arguments: list[str]) -> None:
    assert told("there is no ada", "rank", *arguments) == "there is no ***"

"""From an input file to an output file: formats, bad rows, and going on."""

from __future__ import annotations

import glob
import json
import os
import threading
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest

from personalize_rt import PersonalizeRuntime, RawFilterValue, RetryPolicy, bulk
from personalize_rt.bulk import parts
from personalize_rt.errors import AccessDeniedError, PersonalizeError, ValidationError
from personalize_rt.local import LocalPersonalize
from tests.bulk.conftest import ARN, Client, service_error
from tests.optional import optional

PERSON = "person-4711"


@pytest.fixture(scope="module")
def local() -> LocalPersonalize:
    return LocalPersonalize.sample()


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


def write_lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), "utf-8")
    return path


def rank(runtime: Any, input: Path, output: Path, **options: Any) -> bulk.Summary:
    return bulk.rank_file(runtime, input, output, campaign_arn=ARN, **options)


# The form of batch inference.


def test_recommendations_are_those_of_single_calls_in_the_form_of_batch_inference(
    local: LocalPersonalize, tmp_path: Path
) -> None:
    users = ["13974", "16036", "nobody"]
    write_lines(tmp_path / "in.jsonl", [{"userId": user} for user in users])
    arn = local.campaign_arn("movies-for-you")
    summary = bulk.recommend_file(
        local.runtime(), tmp_path / "in.jsonl", tmp_path / "out.jsonl", campaign_arn=arn, num_results=3
    )
    assert (summary.done, summary.failed) == (3, {})
    lines = lines_of(tmp_path / "out.jsonl")
    assert [line["input"] for line in lines] == [{"userId": user} for user in users]
    for user, line in zip(users, lines, strict=True):
        answer = local.runtime().get_recommendations(campaign_arn=arn, user_id=user, num_results=3)
        assert list(line) == ["input", "output", "error"]
        assert line["output"] == {"recommendedItems": list(answer.item_ids), "scores": list(answer.scores)}
        assert line["error"] is None


def test_a_recipe_without_scores_has_none(local: LocalPersonalize, tmp_path: Path) -> None:
    write_lines(tmp_path / "in.jsonl", [{"itemId": "tt0078748", "numResults": 2}])
    arn = local.campaign_arn("similar-movies")
    bulk.recommend_file(local.runtime(), tmp_path / "in.jsonl", tmp_path / "out.jsonl", campaign_arn=arn)
    (line,) = lines_of(tmp_path / "out.jsonl")
    assert list(line["output"]) == ["recommendedItems"]
    assert len(line["output"]["recommendedItems"]) == 2


def test_a_ranking_has_0_for_items_that_the_model_does_not_know(local: LocalPersonalize, tmp_path: Path) -> None:
    write_lines(tmp_path / "in.jsonl", [{"userId": "13974", "itemList": ["nope", "tt0120338"]}])
    arn = local.campaign_arn("movies-ranking")
    bulk.rank_file(local.runtime(), tmp_path / "in.jsonl", tmp_path / "out.jsonl", campaign_arn=arn)
    (line,) = lines_of(tmp_path / "out.jsonl")
    assert line["output"] == {"recommendedItems": ["tt0120338", "nope"], "scores": [1.0, 0.0]}


def test_a_ranking_of_items_that_are_all_unknown_has_0_for_each_and_one_of_a_fallback_has_no_scores(
    client: Client, tmp_path: Path
) -> None:
    from personalize_rt import InputOrderFallback

    class Unscored(Client):
        def get_personalized_ranking(self, **members: Any) -> Any:
            if members["userId"] == "down":
                raise service_error("ServiceUnavailable", 503)
            return {"personalizedRanking": [{"itemId": id} for id in members["inputList"]]}

    write_lines(tmp_path / "in.jsonl", [{"userId": user, "itemList": ["a", "b"]} for user in ("u", "down")])
    runtime = PersonalizeRuntime(Unscored(), retry=RetryPolicy(attempts=1), fallback=InputOrderFallback())
    rank(runtime, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert [line["output"] for line in lines_of(tmp_path / "out.jsonl")] == [
        {"recommendedItems": ["a", "b"], "scores": [0.0, 0.0]},
        {"recommendedItems": ["a", "b"]},
    ]


def test_a_row_s_filter_values_and_context_count_before_those_of_the_job(tmp_path: Path) -> None:
    sent: list[dict[str, Any]] = []

    class Spy(Client):
        def get_personalized_ranking(self, **members: Any) -> Any:
            sent.append(members)
            return super().get_personalized_ranking(**members)

    row = {"userId": "u", "itemList": ["a"], "filterValues": {"GENRES": '"horror","comedy"'}, "context": {"D": "tv"}}
    write_lines(tmp_path / "in.jsonl", [row, {"userId": "v", "itemList": ["a"]}])
    filter_arn = ARN.replace("campaign", "filter")
    rank(
        PersonalizeRuntime(Spy()),
        tmp_path / "in.jsonl",
        tmp_path / "out.jsonl",
        filter_arn=filter_arn,
        filter_values={"GENRES": "drama", "YEAR": 1999},
        context={"D": "phone"},
        concurrency=1,
    )
    assert [members["filterValues"] for members in sent] == [
        {"GENRES": '"horror","comedy"', "YEAR": "1999"},
        {"GENRES": '"drama"', "YEAR": "1999"},
    ]
    assert [members["context"] for members in sent] == [{"D": "tv"}, {"D": "phone"}]


def test_the_input_of_a_line_is_the_row_as_it_was_with_any_text(runtime: PersonalizeRuntime, tmp_path: Path) -> None:
    row = '{ "userId" : "Ünal \\ud83d\\ude00", "itemList":["a"] }'
    (tmp_path / "in.jsonl").write_text("\ufeff" + row + "\r\n\n   \n", "utf-8")
    rank(runtime, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    (line,) = (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
    assert line.startswith('{"input":' + row + ',"output":')


def test_the_last_line_needs_no_end(runtime: PersonalizeRuntime, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"userId":"1","itemList":["a"]}\n{"userId":"2","itemList":["a"]}')
    assert rank(runtime, tmp_path / "in.jsonl", tmp_path / "out.jsonl").done == 2


def test_an_empty_input_makes_an_empty_output(runtime: PersonalizeRuntime, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"")
    assert rank(runtime, tmp_path / "in.jsonl", tmp_path / "out.jsonl").total == 0
    assert (tmp_path / "out.jsonl").read_bytes() == b""


# Rows that are wrong.

WRONG: list[tuple[Any, str]] = [
    ("{broken", "it is not JSON: Expecting property name enclosed in double quotes, at character 2"),
    ('{"userId": NaN}', "it is not JSON: a number that JSON does not have"),
    ("[1, 2]", "it is a list of 2 items, not a JSON object"),
    ("[" * 100_000, "too deep"),
    (
        {"usrId": PERSON, "itemList": ["a"]},
        "unknown member 'usrId'; rank reads userId, itemList, context, filterValues",
    ),
    ({PERSON: ["a"]}, "unknown member (a str of 11 characters); rank reads"),
    ({"userId": PERSON}, "there is no itemList"),
    ({"userId": PERSON, "itemList": None}, "there is no itemList"),
    ({"itemList": ["a"]}, "there is no userId"),
    ({"userId": PERSON * 30, "itemList": ["a"]}, "userId is a str of 330 characters; the service takes at most 256"),
    ({"userId": PERSON, "itemList": ["a" * 257]}, "itemList[0] is a str of 257 characters; the service takes at most"),
    ({"userId": PERSON, "itemList": []}, "itemList is empty"),
    ({"userId": PERSON, "itemList": "a"}, "itemList is a str of 1 character: it takes a list"),
    ({"userId": 4711, "itemList": ["a"]}, "userId is an int, not a str"),
    ({"userId": PERSON, "itemList": ["a"], "filterValues": {"A": 7}}, "filterValues is a dict of 1 item, not names"),
    ({"userId": PERSON, "itemList": ["a"], "filterValues": {"A": PERSON}}, "filterValues without filter_arn"),
    ({"userId": PERSON, "itemList": ["a"], "context": {"A": 7}}, "context['A'] is an int"),
]


@pytest.mark.parametrize(("row", "problem"), WRONG)
def test_a_wrong_row_is_named_with_file_and_line_and_the_others_go_on(
    runtime: PersonalizeRuntime, client: Client, tmp_path: Path, row: Any, problem: str
) -> None:
    good = {"userId": "u", "itemList": ["a"]}
    write_lines(tmp_path / "in.jsonl", [good, "", row, good])
    summary = rank(runtime, tmp_path / "in.jsonl", tmp_path / "out.jsonl", errors=tmp_path / "wrong.jsonl")
    assert (summary.done, summary.failed) == (2, {"ValidationError": 1})
    before, line, after = lines_of(tmp_path / "out.jsonl")
    assert before["error"] is None
    assert after["error"] is None
    assert line["output"] is None
    assert line["error"].startswith(f"ValidationError: {tmp_path / 'in.jsonl'}, line 3: ")
    assert problem in line["error"]
    assert PERSON not in line["error"]
    assert len(client.asked) == 2
    # And again as it was.
    again = (tmp_path / "wrong.jsonl").read_text("utf-8")
    assert again == row + "\n" if isinstance(row, str) else json.loads(again) == row


def test_bytes_that_are_no_text_are_an_error_and_come_back_as_they_were(
    runtime: PersonalizeRuntime, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'{"userId":"\xff\xfe"}\n')
    rank(runtime, tmp_path / "in.jsonl", tmp_path / "out.jsonl", errors=tmp_path / "wrong.jsonl")
    assert "line 1: it is not UTF-8" in lines_of(tmp_path / "out.jsonl")[0]["error"]
    assert (tmp_path / "wrong.jsonl").read_bytes() == (tmp_path / "in.jsonl").read_bytes()


def test_an_error_of_the_service_is_in_its_line_without_the_user(
    runtime: PersonalizeRuntime, client: Client, tmp_path: Path
) -> None:
    client.outcome = lambda user: service_error("InvalidInputException") if user == PERSON else None
    write_lines(tmp_path / "in.jsonl", [{"userId": user, "itemList": ["a"]} for user in ("u", PERSON)])
    summary = rank(runtime, tmp_path / "in.jsonl", tmp_path / "out.jsonl", errors=tmp_path / "failed.jsonl")
    assert summary.failed == {"InvalidInputError": 1}
    error = lines_of(tmp_path / "out.jsonl")[1]["error"]
    assert error.startswith("InvalidInputError: ")
    assert PERSON not in error
    # Only what failed is asked again.
    client.outcome = lambda user: None
    client.asked.clear()
    assert rank(runtime, tmp_path / "failed.jsonl", tmp_path / "again.jsonl").done == 1
    assert client.asked == [PERSON]


def test_no_file_of_errors_is_written_when_there_are_none(runtime: PersonalizeRuntime, tmp_path: Path) -> None:
    write_lines(tmp_path / "in.jsonl", [{"userId": "u", "itemList": ["a"]}])
    rank(runtime, tmp_path / "in.jsonl", tmp_path / "out.jsonl", errors=tmp_path / "failed.jsonl")
    assert sorted(os.listdir(tmp_path)) == ["in.jsonl", "out.jsonl"]


# CSV.


def test_csv_has_columns_and_lists_with_bars(runtime: PersonalizeRuntime, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('\ufeffItem_List,USERID\na|b,"Smith, John"\n\nc,u\n', "utf-8")
    rank(runtime, tmp_path / "in.csv", tmp_path / "out.jsonl")
    assert [line["input"] for line in lines_of(tmp_path / "out.jsonl")] == [
        {"itemList": ["a", "b"], "userId": "Smith, John"},
        {"itemList": ["c"], "userId": "u"},
    ]


def test_wrong_rows_of_csv_are_errors_and_come_back_as_they_were(runtime: PersonalizeRuntime, tmp_path: Path) -> None:
    text = b'USER_ID,ITEM_LIST\nu,a|b\nv\nw,"a",x\n,a\n"two\nlines",c\n\xff,a\nu,' + b"a" * 257 + b"\n"
    (tmp_path / "in.csv").write_bytes(text)
    summary = rank(runtime, tmp_path / "in.csv", tmp_path / "out.jsonl", errors=tmp_path / "wrong.csv")
    assert (summary.done, summary.failed) == (2, {"ValidationError": 5})
    problems = [line["error"] and line["error"].partition("in.csv, ")[2] for line in lines_of(tmp_path / "out.jsonl")]
    assert problems[:6] == [
        None,
        "line 3: it has 1 cells, and the header has 2",
        "line 4: it has 3 cells, and the header has 2",
        "line 5: there is no userId",
        None,
        "line 8: it is not UTF-8",
    ]
    assert problems[6].startswith("line 9: itemList[0] is a str of 257 characters")
    again = (tmp_path / "wrong.csv").read_bytes().split(b"\n")
    assert again[:5] == [b"USER_ID,ITEM_LIST", b"v", b"w,a,x", b",a", b"\xff,a"]
    assert again[5] == b"u," + b"a" * 257


def test_numbers_of_csv_are_numbers(local: LocalPersonalize, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("ITEM_ID,NUM_RESULTS\ntt0078748,3\ntt0078748,many\n")
    arn = local.campaign_arn("similar-movies")
    bulk.recommend_file(local.runtime(), tmp_path / "in.csv", tmp_path / "out.jsonl", campaign_arn=arn)
    good, bad = lines_of(tmp_path / "out.jsonl")
    assert len(good["output"]["recommendedItems"]) == 3
    assert "line 3: numResults is not a whole number" in bad["error"]


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("USER_ID,ITEM_LSIT", "line 1: unknown column 'ITEM_LSIT'; rank reads USER_ID, ITEM_LIST"),
        (f"{PERSON},a", r"line 1: unknown columns \(a str of 11 characters\), \(a str of 1 character\); rank reads"),
        ("USER_ID", "line 1: there is no column ITEM_LIST"),
        ("USER_ID,ITEM_LIST,UserId", "line 1: column USER_ID is there twice"),
        ("USER_ID,ITEM_LIST,NUM_RESULTS", "line 1: unknown column"),
        ("", "line 1: there is no column USER_ID or ITEM_LIST"),
    ],
)
def test_a_wrong_header_is_named_and_nothing_is_sent(
    runtime: PersonalizeRuntime, client: Client, tmp_path: Path, header: str, problem: str
) -> None:
    (tmp_path / "in.csv").write_text(f"{header}\nu,a\n")
    with pytest.raises(ValidationError, match=problem):
        rank(runtime, tmp_path / "in.csv", tmp_path / "out.jsonl")
    assert client.asked == []
    assert os.listdir(tmp_path) == ["in.csv"]


# Parquet.


def test_parquet_in_and_out(runtime: PersonalizeRuntime, tmp_path: Path) -> None:
    pyarrow = optional("pyarrow")
    parquet = optional("pyarrow.parquet")
    users = [f"u{n}" for n in range(1_100)]  # more than one batch
    lists = [["a", "b"] for _ in users]
    users[7], lists[8] = "u" * 300, None  # type: ignore[call-overload]
    parquet.write_table(pyarrow.table({"user_id": users, "item_list": lists}), tmp_path / "in.parquet")
    summary = rank(runtime, tmp_path / "in.parquet", tmp_path / "out.parquet", errors=tmp_path / "wrong.jsonl")
    assert (summary.done, summary.failed) == (1_098, {"ValidationError": 2})
    rows = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["position"] for row in rows] == list(range(1_100))
    assert rows[0] == {
        "position": 0,
        "user_id": "u0",
        "item_id": None,
        "recommended_items": ["for-u0"],
        "scores": [1.0],
        "error": None,
    }
    assert "in.parquet, row 8: userId is a str of 300 characters" in rows[7]["error"]
    assert "in.parquet, row 9: there is no itemList" in rows[8]["error"]
    assert [list(line) for line in map(json.loads, (tmp_path / "wrong.jsonl").read_text().splitlines())] == [
        ["userId", "itemList"],
        ["userId"],
    ]


def test_lists_of_parquet_may_be_texts_with_bars(runtime: PersonalizeRuntime, tmp_path: Path) -> None:
    pyarrow = optional("pyarrow")
    parquet = optional("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"USER_ID": ["u"], "ITEM_LIST": ["a|b"]}), tmp_path / "in.parquet")
    rank(runtime, tmp_path / "in.parquet", tmp_path / "out.jsonl")
    assert lines_of(tmp_path / "out.jsonl")[0]["input"] == {"userId": "u", "itemList": ["a", "b"]}


def test_a_parquet_file_that_is_none_is_refused(runtime: PersonalizeRuntime, tmp_path: Path) -> None:
    optional("pyarrow")
    (tmp_path / "in.parquet").write_text("hello")
    with pytest.raises(ValidationError, match=r"cannot read .*in.parquet: it is no Parquet file"):
        rank(runtime, tmp_path / "in.parquet", tmp_path / "out.jsonl")


def test_parquet_without_pyarrow_names_the_extra(
    runtime: PersonalizeRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from personalize_rt import extras

    monkeypatch.setattr(extras, "installed", lambda package: False)
    write_lines(tmp_path / "in.jsonl", [])
    with pytest.raises(ModuleNotFoundError, match=r'pip install "personalize-rt\[arrow\]"'):
        rank(runtime, tmp_path / "in.jsonl", tmp_path / "out.parquet")


# What is refused at once.


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"input": "nothing.jsonl"}, "cannot read nothing.jsonl: No such file or directory"),
        ({"input": "."}, "cannot read .: Is a directory"),
        ({"input": "/dev/null"}, "cannot read /dev/null: it is a pipe or a device; write it to a file"),
        ({"output": "in.jsonl"}, "output and input are the same file"),
        ({"output": "no/out.jsonl"}, "there is no directory no"),
        ({"output": "there.jsonl"}, "there.jsonl is there already"),
        ({"errors": "there.jsonl"}, "there.jsonl is there already"),
        ({"errors": "./out.jsonl"}, "errors and output are the same file"),
        ({"campaign_arn": "movies"}, "campaign_arn is not an ARN of Personalize"),
        ({"context": {"A B": "x"}}, "context has a name with other than"),
        ({"filter_values": {"A": "x"}}, "filter_values without filter_arn"),
        ({"concurrency": 0}, "concurrency must be a whole number from 1, not 0"),
        ({"tps": -1}, "tps must be a number of requests a second above 0, not -1"),
        ({"output": "out.csv"}, r"must end with .jsonl, .json or .parquet, not with .csv; CSV is only read"),
        ({"output": "out.xlsx"}, r"output must end with .jsonl, .json or .parquet, not with .xlsx"),
        ({"output": "out.jsonl.gz"}, r"output must end with .jsonl, .json or .parquet, not with .gz"),
        ({"output": "out"}, r"output must end with .jsonl, .json or .parquet$"),
        ({"output": ".jsonl"}, r"output must end with .jsonl, .json or .parquet$"),
        ({"output": "/dev/stdout"}, r"output must end with .jsonl, .json or .parquet$"),
        ({"output": "-"}, r"output is -, and must be a file, since a job that stops goes on from what it has written"),
        ({"errors": "-"}, "errors is -, and must be a file"),
        ({"errors": "no/wrong.jsonl"}, "there is no directory no"),
        ({"errors": "wrong.csv"}, "wrong.csv: .* of in.jsonl are written as JSON Lines, .* name it wrong.jsonl$"),
        ({"errors": "wrong.PARQUET"}, "are written as JSON Lines, .* name it wrong.jsonl$"),
        ({"errors": "out.jsonl.parts"}, "errors and parts are the same file"),
    ],
)
def test_what_every_row_would_fail_for_is_refused_before_any(
    runtime: PersonalizeRuntime, client: Client, tmp_path: Path, monkeypatch: Any, options: dict[str, Any], problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "in.jsonl", [{"userId": "u", "itemList": ["a"]}])
    (tmp_path / "there.jsonl").write_text("mine")
    before = sorted(os.listdir())
    arguments = {"input": "in.jsonl", "output": "out.jsonl", "campaign_arn": ARN} | options
    with pytest.raises(ValidationError, match=problem):
        bulk.rank_file(runtime, **arguments)
    assert client.asked == []
    assert sorted(os.listdir()) == before
    assert (tmp_path / "there.jsonl").read_text() == "mine"


@pytest.mark.parametrize(
    ("input", "errors", "advice"),
    [
        ("in.csv", "wrong.jsonl", "of in.csv are written as CSV, .* name it wrong.csv$"),
        ("in.csv", "wrong", "name it wrong.csv$"),
        ("in.parquet", "wrong.parquet", "of in.parquet are written as JSON Lines, .* name it wrong.jsonl$"),
        ("-", "wrong.jsonl", "of standard input are written as CSV, .* name it wrong.csv$"),
    ],
)
def test_a_file_of_errors_is_named_after_the_form_of_its_rows(
    runtime: PersonalizeRuntime, client: Client, tmp_path: Path, monkeypatch: Any, input: str, errors: str, advice: str
) -> None:
    pyarrow, parquet = optional("pyarrow"), optional("pyarrow.parquet")
    monkeypatch.chdir(tmp_path)
    text = "USER_ID,ITEM_LIST\nu,a\n"
    Path("in.csv").write_text(text)
    parquet.write_table(pyarrow.table({"USER_ID": ["u"], "ITEM_LIST": [["a"]]}), "in.parquet")
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(text.encode())))
    with pytest.raises(ValidationError, match=advice) as raised:
        bulk.rank_file(runtime, input, "out.jsonl", campaign_arn=ARN, errors=errors)
    assert raised.value.parameter == "errors"
    assert client.asked == []
    assert sorted(os.listdir()) == ["in.csv", "in.parquet"]


def test_limits_of_the_runtime_count(client: Client, tmp_path: Path) -> None:
    from personalize_rt import Limits

    write_lines(tmp_path / "in.jsonl", [{"userId": "u", "itemList": ["a"] * 600}])
    runtime = PersonalizeRuntime(client, limits=Limits.off())
    assert bulk.rank_file(runtime, tmp_path / "in.jsonl", tmp_path / "out.jsonl", campaign_arn="x").done == 1


# Going on.


def test_a_job_that_was_refused_half_way_goes_on_with_resume(
    runtime: PersonalizeRuntime, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "ROWS", 10)
    write_lines(
        tmp_path / "in.jsonl",
        ["{bad" if n % 10 == 3 else {"userId": str(n), "itemList": ["a"]} for n in range(200)],
    )
    client.outcome = lambda user: service_error("ExpiredTokenException", 403) if int(user) >= 55 else None
    with pytest.raises(AccessDeniedError) as caught:
        rank(runtime, tmp_path / "in.jsonl", tmp_path / "out.jsonl", concurrency=2)
    assert any(note.startswith("55 rows are kept in") for note in caught.value.__notes__)
    assert not (tmp_path / "out.jsonl").exists()
    client.outcome = lambda user: None
    client.asked.clear()
    with pytest.raises(ValidationError, match="a job was stopped before its end"):
        rank(runtime, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    summary = rank(runtime, tmp_path / "in.jsonl", tmp_path / "out.jsonl", resume=True)
    assert (summary.done, summary.failed) == (180, {"ValidationError": 20})
    assert sorted(client.asked, key=int) == [str(n) for n in range(55, 200) if n % 10 != 3]
    lines = lines_of(tmp_path / "out.jsonl")
    assert [line["input"] if n % 10 == 3 else int(line["input"]["userId"]) for n, line in enumerate(lines)] == [
        "{bad" if n % 10 == 3 else n for n in range(200)
    ]
    # Once more: there is nothing to do, and the summary is that of what is there.
    client.asked.clear()
    summary = rank(runtime, tmp_path / "in.jsonl", tmp_path / "out.jsonl", resume=True)
    assert (summary.done, summary.failed) == (180, {"ValidationError": 20})
    assert client.asked == []


def test_a_job_that_ended_with_errors_has_nothing_to_do_with_resume(
    runtime: PersonalizeRuntime, client: Client, tmp_path: Path
) -> None:
    write_lines(tmp_path / "in.jsonl", ["{bad", {"userId": "u", "itemList": ["a"]}])
    names = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    rank(runtime, *names, errors=tmp_path / "wrong.jsonl")
    client.asked.clear()
    (tmp_path / "wrong.jsonl").write_text("mended")
    summary = rank(runtime, *names, errors=tmp_path / "wrong.jsonl", resume=True)
    assert (summary.done, summary.failed) == (1, {"ValidationError": 1})
    assert "line 1: it is not JSON" in summary.examples["ValidationError"]
    assert (tmp_path / "wrong.jsonl").read_text() == "mended"
    assert client.asked == []


@pytest.mark.parametrize("end", ["jsonl", "parquet"])
def test_the_rows_that_failed_can_be_had_when_the_job_is_done(
    runtime: PersonalizeRuntime, client: Client, tmp_path: Path, end: str
) -> None:
    if end == "parquet":
        optional("pyarrow")
    good, bad = {"userId": "u", "itemList": ["a"]}, {"userId": PERSON * 30, "itemList": ["a"]}
    write_lines(tmp_path / "in.jsonl", [good, "{bad", "", bad, good])
    names = tmp_path / "in.jsonl", tmp_path / f"out.{end}"
    rank(runtime, *names, errors=tmp_path / "at once.jsonl")
    client.asked.clear()
    summary = rank(runtime, *names, errors=tmp_path / "later.jsonl", resume=True)
    assert (summary.done, summary.failed) == (2, {"ValidationError": 2})
    assert (tmp_path / "later.jsonl").read_text() == (tmp_path / "at once.jsonl").read_text()
    assert len((tmp_path / "later.jsonl").read_text().splitlines()) == 2
    assert client.asked == []
    assert len(os.listdir(tmp_path)) == 4


@pytest.mark.parametrize("text", ["mine\n", "{}\n", "[1]\n"])
def test_resume_does_not_take_another_file_for_its_output(
    runtime: PersonalizeRuntime, tmp_path: Path, text: str
) -> None:
    write_lines(tmp_path / "in.jsonl", [{"userId": "u", "itemList": ["a"]}])
    (tmp_path / "out.jsonl").write_text(text)
    with pytest.raises(ValidationError, match="is there already, and is no output of such a job"):
        rank(runtime, tmp_path / "in.jsonl", tmp_path / "out.jsonl", resume=True)
    assert (tmp_path / "out.jsonl").read_text() == text


@pytest.mark.parametrize("change", ["input", "middle", "campaign", "context"])
def test_a_job_does_not_go_on_with_something_else(
    runtime: PersonalizeRuntime, client: Client, tmp_path: Path, change: str
) -> None:
    rows = [{"userId": str(n), "itemList": ["a"]} for n in range(8_000)]  # more than is read at once
    write_lines(tmp_path / "in.jsonl", rows)
    client.outcome = lambda user: service_error("AccessDeniedException", 403) if int(user) >= 5 else None
    with pytest.raises(AccessDeniedError):
        rank(runtime, tmp_path / "in.jsonl", tmp_path / "out.jsonl", context={"D": PERSON})
    assert PERSON not in (tmp_path / "out.jsonl.parts" / "job.json").read_text()
    if change == "input":
        write_lines(tmp_path / "in.jsonl", rows[1:])
    if change == "middle":
        # As large as before, and with the times of before.
        status = (tmp_path / "in.jsonl").stat()
        rows[len(rows) // 2]["itemList"] = ["b"]
        write_lines(tmp_path / "in.jsonl", rows)
        os.utime(tmp_path / "in.jsonl", ns=(status.st_atime_ns, status.st_mtime_ns))
        assert (tmp_path / "in.jsonl").stat().st_size == status.st_size
    with pytest.raises(ValidationError, match=r"is of another job: (input|context=|campaign_arn=) changed since"):
        bulk.rank_file(
            runtime,
            tmp_path / "in.jsonl",
            tmp_path / "out.jsonl",
            campaign_arn=ARN + "2" if change == "campaign" else ARN,
            context={"D": "other" if change == "context" else PERSON},
            resume=True,
        )


@pytest.mark.parametrize(
    ("first", "second", "goes_on"),
    [
        (RawFilterValue('"horror"'), RawFilterValue('"comedy"'), False),
        ({"horror", "comedy"}, ["comedy", "horror"], True),
        (iter(["horror", "comedy"]), ["horror", "comedy"], True),
        (["horror", "comedy"], ["comedy", "horror"], False),
    ],
)
def test_a_job_goes_on_where_filter_values_are_sent_alike_and_nowhere_else(
    runtime: PersonalizeRuntime, client: Client, tmp_path: Path, first: Any, second: Any, goes_on: bool
) -> None:
    write_lines(tmp_path / "in.jsonl", [{"userId": str(n), "itemList": ["a"]} for n in range(9)])
    client.outcome = lambda user: service_error("AccessDeniedException", 403) if int(user) >= 5 else None
    files = runtime, tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    arn = ARN.replace("campaign", "filter")
    with pytest.raises(AccessDeniedError):
        rank(*files, filter_arn=arn, filter_values={"GENRES": first}, concurrency=1)
    client.outcome = lambda user: None
    if goes_on:
        assert rank(*files, filter_arn=arn, filter_values={"GENRES": second}, resume=True).done == 9
    else:
        with pytest.raises(ValidationError, match="is of another job: filter_values= changed since"):
            rank(*files, filter_arn=arn, filter_values={"GENRES": second}, resume=True)


def test_a_slow_first_row_does_not_let_later_ones_come_before_it(
    runtime: PersonalizeRuntime, client: Client, tmp_path: Path
) -> None:
    slow, others = threading.Event(), threading.Semaphore(0)

    def outcome(user: str) -> None:
        if user == "0":
            assert slow.wait(20)
        else:
            others.release()

    client.outcome = outcome

    def let_go() -> None:
        for _ in range(20):
            others.acquire(timeout=20)
        slow.set()

    threading.Thread(target=let_go).start()
    write_lines(tmp_path / "in.jsonl", [{"userId": str(n), "itemList": ["a"]} for n in range(40)])
    rank(runtime, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert [line["input"]["userId"] for line in lines_of(tmp_path / "out.jsonl")] == [str(n) for n in range(40)]


def test_an_outage_keeps_what_is_there(runtime: PersonalizeRuntime, client: Client, tmp_path: Path) -> None:
    client.outcome = lambda user: service_error("ServiceUnavailable", 503) if int(user) >= 20 else None
    write_lines(tmp_path / "in.jsonl", [{"userId": str(n), "itemList": ["a"]} for n in range(2_000)])
    with pytest.raises(bulk.OutageError) as caught:
        rank(runtime, tmp_path / "in.jsonl", tmp_path / "out.jsonl", concurrency=2)
    assert isinstance(caught.value, PersonalizeError)
    assert len(client.asked) < 600
    assert any(note.startswith("20 rows are kept in") for note in caught.value.__notes__)
    # What failed in it is asked again.
    client.outcome = lambda user: None
    summary = rank(runtime, tmp_path / "in.jsonl", tmp_path / "out.jsonl", resume=True)
    assert (summary.done, summary.failed) == (2_000, {})
    assert [line["input"]["userId"] for line in lines_of(tmp_path / "out.jsonl")] == [str(n) for n in range(2_000)]


def open_files(directory: Path) -> list[str]:
    """Files of a directory that this process holds open, where the system says so."""
    links = [Path(entry) for entry in glob.glob("/proc/self/fd/*")]
    names = [os.readlink(link) for link in links if link.is_symlink()]
    return [name for name in names if Path(name).is_relative_to(directory)]


def test_the_wrong_kind_of_file_ends_the_job_and_leaves_nothing_behind(
    runtime: PersonalizeRuntime, client: Client, tmp_path: Path
) -> None:
    write_lines(tmp_path / "in.jsonl", [{"userId": PERSON, "itemList": ["a"]} for _ in range(2_000)])
    with pytest.raises(
        bulk.AllRefusedError, match=r"in.jsonl, line 1: unknown member 'itemList'; recommend reads"
    ) as caught:
        bulk.recommend_file(runtime, tmp_path / "in.jsonl", tmp_path / "out.jsonl", campaign_arn=ARN)
    assert PERSON not in str(caught.value)
    assert client.asked == []
    assert os.listdir(tmp_path) == ["in.jsonl"]
    assert not open_files(tmp_path)
    # So the right one can begin.
    assert rank(runtime, tmp_path / "in.jsonl", tmp_path / "out.jsonl").done == 2_000

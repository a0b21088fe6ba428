"""``personalize-rt bulk``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from personalize_rt.cli import app
from personalize_rt.cli import bulk as bulk_command
from personalize_rt.local import LocalPersonalize
from tests.optional import optional

PERSON = "person-4711"


@pytest.fixture
def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Some lists to rank, in the current directory."""
    monkeypatch.chdir(tmp_path)
    rows = [{"userId": str(n), "itemList": ["tt0120338", "tt0133093"]} for n in range(30)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


RANK = ("--local", "sample", "--campaign-arn", "movies-ranking")


def test_all_rows_answered_is_status_0_and_a_summary(cli: Callable[..., Any], lists: Path) -> None:
    outcome = cli("bulk", "rank", "in.jsonl", "out.jsonl", *RANK)
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith("30 done; latency p50 ")
    assert "0 throttled" in outcome.out
    lines = [json.loads(line) for line in (lists / "out.jsonl").read_text().splitlines()]
    assert [line["input"]["userId"] for line in lines] == [str(n) for n in range(30)]


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


FOR_YOU = ("--local", "sample", "--campaign-arn", "movies-for-you", "--num-results", "2")


def parquet_of(path: Path, **columns: Any) -> None:
    pyarrow = optional("pyarrow")
    parquet: Any = optional("pyarrow.parquet")
    parquet.write_table(pyarrow.table(columns), path)


def test_whole_numbers_of_parquet_are_users_and_extra_columns_are_named(cli: Callable[..., Any], lists: Path) -> None:
    parquet_of(lists / "users.parquet", USER_ID=[13974, 16036], COUNTRY=["x", "y"], AGE=[1, 2])
    command = ("bulk", "recommend", "users.parquet", "out.jsonl", *FOR_YOU)
    assert cli(*command).problem == (
        "users.parquet: unknown columns 'COUNTRY', 'AGE'; recommend reads USER_ID, ITEM_ID, NUM_RESULTS; map other "
        "names (--map), or leave columns out (--ignore)"
    )
    assert cli(*command, "--ignore", "COUNTRY", "--ignore", "AGE").status == 0
    assert [line["input"] for line in lines_of(lists / "out.jsonl")] == [{"userId": "13974"}, {"userId": "16036"}]


def test_ids_with_a_point_are_refused_with_a_cast(cli: Callable[..., Any], lists: Path) -> None:
    parquet_of(lists / "users.parquet", USER_ID=[13974.0, None])
    outcome = cli("bulk", "recommend", "users.parquet", "out.jsonl", *FOR_YOU)
    assert outcome.status == 2
    assert "column USER_ID is of type double (in pandas, whole numbers with nulls are: use Int64)" in outcome.problem
    assert outcome.problem.endswith("ids are text: cast it to text (string)")


def test_columns_are_mapped_to_arguments_and_filter_values(cli: Callable[..., Any], lists: Path) -> None:
    (lists / "users.csv").write_text("UID,genre,n\n13974,Comedy,1\n16036,War|Drama,2\n")
    outcome = cli(
        *("bulk", "recommend", "users.csv", "out.jsonl", "--local", "sample", "--campaign-arn", "movies-for-you"),
        *("--filter-arn", "unseen-by-genre", "--map", "user_id=UID", "--map", "value.GENRE=genre"),
        *("--map", "num_results=n"),
    )
    assert (outcome.status, outcome.err) == (0, "")
    first, second = lines_of(lists / "out.jsonl")
    assert first["input"] == {"userId": "13974", "filterValues": {"GENRE": '"Comedy"'}, "numResults": 1}
    assert second["input"]["filterValues"] == {"GENRE": '"War","Drama"'}
    assert [len(line["output"]["recommendedItems"]) for line in (first, second)] == [1, 2]


def test_a_column_is_sent_as_context(cli: Callable[..., Any], lists: Path, server: Any) -> None:
    (lists / "users.csv").write_text("USER_ID,device,year\nu,phone,1999\n")
    cli(
        *("bulk", "recommend", "users.csv", "out.jsonl", *WHERE, "--endpoint-url", server.url),
        *("--map", "context.DEVICE=device", "--map", "value.YEAR:=year"),
        *("--filter-arn", "arn:aws:personalize:eu-west-1:123456789012:filter/f"),
    )
    (request,) = server.received
    assert request.members["context"] == {"DEVICE": "phone"}
    assert request.members["filterValues"] == {"YEAR": "1999"}


@pytest.mark.parametrize(
    ("pair", "problem"),
    [
        ("UID", "--map number 1 is not NAME=COLUMN"),
        ("user=UID", "--map number 1: a name is one of USER_ID, ITEM_ID, NUM_RESULTS, context.NAME, value.NAME"),
        ("value.=UID", "--map number 1: a name is one of"),
        ("user_id=UIDD", "there is no column 'UIDD'; it has UID"),
    ],
)
def test_a_wrong_map_is_one_line_and_status_2(cli: Callable[..., Any], lists: Path, pair: str, problem: str) -> None:
    (lists / "users.csv").write_text("UID\n13974\n")
    outcome = cli("bulk", "recommend", "users.csv", "out.jsonl", *FOR_YOU, "--map", pair)
    assert outcome.status == 2
    assert problem in outcome.problem


@pytest.mark.parametrize("form", ["json lines", "csv", "parquet"])
def test_a_dash_is_standard_input_in_any_form(command: Callable[..., Any], lists: Path, form: str) -> None:
    rows = b'\n{"userId": "13974"}\n{"userId": 7}\n'
    if form == "csv":
        rows = f"USER_ID\n13974\n{'7' * 300}\n".encode()
    if form == "parquet":
        parquet_of(lists / "users.parquet", USER_ID=["13974", "7" * 300])
        rows = (lists / "users.parquet").read_bytes()
        (lists / "users.parquet").unlink()
    outcome = command("bulk", "recommend", "-", "out.jsonl", *FOR_YOU, input=rows)
    assert (outcome.status, outcome.err) == (1, "")
    number = {"json lines": "line 3", "csv": "line 3", "parquet": "row 2"}[form]
    assert f"for example ValidationError: standard input, {number}: userId is a" in outcome.out
    good, _ = lines_of(lists / "out.jsonl")
    assert good["error"] is None
    # The copy beside the output is gone.
    assert sorted(path.name for path in lists.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_a_job_on_standard_input_goes_on_with_the_same_input(command: Callable[..., Any], lists: Path) -> None:
    (lists / "out.jsonl.parts").mkdir(mode=0o700)
    rows = (lists / "in.jsonl").read_bytes()
    assert command("bulk", "rank", "-", "out.jsonl", *RANK, "--resume", input=rows).status == 0
    again = command("bulk", "rank", "-", "out.jsonl", *RANK, "--resume", input=rows)
    assert again.out == "nothing to do: out.jsonl is there, and whole\n"
    lacking = command("bulk", "rank", "-", "no/out.jsonl", *RANK, input=rows)
    assert (lacking.status, lacking.problem) == (2, "there is no directory no")


def test_promotions_and_metadata_are_members_of_each_line(cli: Callable[..., Any], lists: Path) -> None:
    (lists / "users.csv").write_text("USER_ID\n13974\n")
    command = (
        *("recommend", "--local", "sample", "--campaign-arn", "movies-for-you", "--num-results", "4"),
        *("--metadata", "TITLE", "--promotion", "sale=50", "--promotion-filter-arn", "unseen-by-genre"),
        *("--promotion-value", "GENRE=War"),
    )
    single = json.loads(cli(*command, "--user-id", "13974", "--json").out)["itemList"]
    assert cli("bulk", command[0], "users.csv", "out.jsonl", *command[1:]).status == 0
    (line,) = lines_of(lists / "out.jsonl")
    assert line["output"]["recommendedItems"] == [row["itemId"] for row in single]
    assert line["output"]["promotionNames"] == [row.get("promotionName") for row in single]
    assert line["output"]["metadata"] == [row["metadata"] for row in single]
    assert line["output"]["promotionNames"].count("sale") == 2
    parquet: Any = optional("pyarrow.parquet")
    assert cli("bulk", command[0], "users.csv", "out.parquet", *command[1:]).status == 0
    (row,) = parquet.read_table(lists / "out.parquet").to_pylist()
    assert row["promotion_names"] == line["output"]["promotionNames"]
    assert [dict(one) for one in row["metadata"]] == line["output"]["metadata"]


def test_what_changed_since_is_named_by_its_options_and_the_rate_is_that_of_this_run(
    cli: Callable[..., Any], lists: Path, server: Any
) -> None:
    server.script(*[None] * 5)
    server.always(403)
    command = ("bulk", "rank", "in.jsonl", "out.jsonl", *WHERE, "--endpoint-url", server.url, "--concurrency", "1")
    assert cli(*command, "--context", "DEVICE=phone").status == 1
    server.always(None)
    changed = cli(*command, "--context", "DEVICE=tv", "--boost", "a=2", "--resume")
    assert changed.status == 2
    assert "--context, --pin, --boost, --without or --diversify changed since. Go on" in changed.problem
    summary = json.loads(cli(*command, "--context", "DEVICE=phone", "--resume", "--json").out)
    assert (summary["done"], summary["before"]) == (30, 5)
    assert summary["rate"] == pytest.approx(25 / summary["elapsed"], rel=0.5)


def test_a_resumed_summary_says_what_was_there(cli: Callable[..., Any], lists: Path, server: Any) -> None:
    server.script(*[None] * 5)
    server.always(403)
    command = ("bulk", "rank", "in.jsonl", "out.jsonl", *WHERE, "--endpoint-url", server.url, "--concurrency", "1")
    assert cli(*command).status == 1
    server.always(None)
    assert cli(*command, "--resume").out.startswith("30 done; 5 of all finished before this run; latency")


def test_a_filter_counts_for_all_rows(cli: Callable[..., Any], lists: Path) -> None:
    (lists / "users.csv").write_text("USER_ID\n13974\n16036\n")
    outcome = cli(
        *("bulk", "recommend", "users.csv", "out.jsonl", "--local", "sample", "--campaign-arn", "movies-for-you"),
        *("--filter-arn", "unseen-by-genre", "--value", "GENRE=Comedy", "--num-results", "5", "--concurrency", "2"),
    )
    assert outcome.status == 0
    local = LocalPersonalize.sample()
    for line in map(json.loads, (lists / "out.jsonl").read_text().splitlines()):
        expected = local.runtime().get_recommendations(
            campaign_arn=local.campaign_arn("movies-for-you"),
            user_id=line["input"]["userId"],
            filter_arn=local.filter_arn("unseen-by-genre"),
            filter_values={"GENRE": "Comedy"},
            num_results=5,
        )
        assert line["output"]["recommendedItems"] == list(expected.item_ids)


def test_a_row_that_failed_is_status_1_and_can_be_asked_again(cli: Callable[..., Any], lists: Path) -> None:
    with (lists / "in.jsonl").open("a") as file:
        file.write(json.dumps({"userId": PERSON * 30, "itemList": ["a"]}) + "\n")
    outcome = cli("bulk", "rank", "in.jsonl", "out.jsonl", *RANK, "--errors", "wrong.jsonl")
    assert (outcome.status, outcome.err) == (1, "")
    first, *advice = outcome.out.splitlines()
    assert first.startswith("30 done; 1 failed (ValidationError 1); latency p50 ")
    assert advice == [
        "for example ValidationError: in.jsonl, line 31: userId is a text of 330 characters; the service takes at "
        "most 256 (model: UserID, ItemID, ActionID)",
        "the lines of the rows that failed have an error in out.jsonl",
        "to ask only them again, give wrong.jsonl as INPUT",
    ]
    (line,) = (lists / "wrong.jsonl").read_text().splitlines()
    # The job is done, but not all of it was answered: its status stays 1, and the rows can be had later too.
    done = cli("bulk", "rank", "in.jsonl", "out.jsonl", *RANK, "--resume", "--errors", "later.jsonl")
    assert done.status == 1
    assert done.out.startswith(
        "nothing to do: out.jsonl is there, and whole; 1 of its 31 rows failed (ValidationError 1)\nfor example "
    )
    assert (lists / "later.jsonl").read_text() == line + "\n"
    assert "--resume --errors FILE" in cli("bulk", "rank", "in.jsonl", "out.jsonl", *RANK, "--resume").out
    (lists / "wrong.jsonl").write_text(line.replace(PERSON * 30, "u") + "\n")
    again = cli("bulk", "rank", "wrong.jsonl", "again.jsonl", *RANK)
    assert again.status == 0
    assert again.out.startswith("1 done; ")


def test_programs_get_json(cli: Callable[..., Any], lists: Path) -> None:
    summary = json.loads(cli("bulk", "rank", "in.jsonl", "out.jsonl", *RANK, "--json").out)
    assert list(summary) == ["done", "failed", "throttles", "p50", "p99", "elapsed", "before", "rate", "examples"]
    assert (summary["done"], summary["failed"], summary["throttles"]) == (30, {}, 0)
    assert 0 < summary["p50"] <= summary["p99"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["rank", "no.jsonl", "out.jsonl", *RANK], "cannot read no.jsonl: No such file or directory"),
        (["rank", "in.jsonl", "there.jsonl", *RANK], "there.jsonl is there already: name another one, or remove it"),
        (["rank", "in.jsonl", "out.jsonl", "--local", "sample", "--campaign-arn", "nope"], "nope"),
        (
            ["rank", "in.jsonl", "out.jsonl", *RANK, "--tps", "0"],
            "--tps must be a number of requests a second above 0, not 0",
        ),
        (["rank", "in.jsonl", "-", *RANK], "OUTPUT is -, and must be a file, since a job that stops goes on from what"),
        (["rank", "in.jsonl", "ranked", *RANK], "OUTPUT must end with .jsonl, .json or .parquet"),
        (["rank", "in.jsonl", "out.csv", *RANK], "OUTPUT must end with .jsonl, .json or .parquet, not with .csv"),
        (
            ["rank", "in.jsonl", "out.jsonl", *RANK, "--concurrency", "0"],
            "--concurrency must be a whole number from 1, not 0",
        ),
        (["rank", "in.jsonl", "out.jsonl", *RANK, "--value", f"A={PERSON}"], "--value without --filter-arn"),
        (["rank", "in.jsonl"], "Missing argument 'OUTPUT'"),
        (["recommend", "in.jsonl", "out.jsonl", "--local", "sample"], "exactly one of --campaign-arn and"),
        (["rank", "wrong.csv", "out.jsonl", *RANK], "wrong.csv, line 1: unknown column"),
    ],
)
def test_what_is_wrong_with_all_rows_is_one_line_and_status_2(
    cli: Callable[..., Any], lists: Path, arguments: list[str], problem: str
) -> None:
    (lists / "there.jsonl").write_text("mine")
    (lists / "wrong.csv").write_text(f"{PERSON},a\n")
    outcome = cli("bulk", *arguments)
    assert outcome.status == 2
    assert problem in outcome.problem
    assert PERSON not in outcome.problem
    assert not (lists / "out.jsonl").exists()


def test_a_refused_identity_is_status_1_and_says_how_to_go_on(
    cli: Callable[..., Any], lists: Path, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script(*[None] * 5)
    server.always(403)
    where = ("--campaign-arn", "arn:aws:personalize:eu-west-1:123456789012:campaign/c", "--endpoint-url", server.url)
    command = ("bulk", "rank", "in.jsonl", "out.jsonl", *where, "--region", "eu-west-1", "--concurrency", "1")
    outcome = cli(*command)
    assert outcome.status == 1
    assert "AccessDeniedException (HTTP 403" in outcome.problem
    assert outcome.problem.endswith("5 rows are kept in out.jsonl.parts; to go on, run it again with --resume")
    assert "Go on with it (--resume), or" in cli(*command).problem
    server.always(None)
    again = cli(*command, "--resume")
    assert (again.status, again.err) == (0, "")
    assert again.out.startswith("30 done; ")
    # A loop that tries until it is done finds that it is.
    once_more = cli(*command, "--resume")
    assert (once_more.status, once_more.out) == (0, "nothing to do: out.jsonl is there, and whole\n")


WHERE = ("--campaign-arn", "arn:aws:personalize:eu-west-1:123456789012:campaign/c", "--region", "eu-west-1")


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (503, "none of 100 requests in a row could be answered, the last one for ServerError: "),
        (400, "the first 100 requests were all refused alike, so the others were not tried; the first one for "),
    ],
)
def test_a_job_that_could_do_nothing_says_why_and_keeps_nothing_so_that_resume_asks_all(
    cli: Callable[..., Any], lists: Path, server: Any, status: int, problem: str
) -> None:
    rows = [{"userId": f"{PERSON}-{n}", "itemList": ["a"]} for n in range(150)]
    (lists / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    server.always(status)
    command = ("bulk", "rank", "in.jsonl", "out.jsonl", *WHERE, "--endpoint-url", server.url, "--attempts", "1")
    command += ("--concurrency", "2")
    for _ in range(2):
        outcome = cli(*command, "--resume")
        assert outcome.status == 1
        assert problem in outcome.problem
        assert f"(HTTP {status}" in outcome.problem
        assert outcome.problem.endswith("no row is done, so nothing is kept: run it again")
        assert PERSON not in outcome.problem
        assert not (lists / "out.jsonl.parts").exists()
    server.always(None)
    again = cli(*command, "--resume")
    assert again.status == 0
    assert again.out.startswith("150 done; latency")


def test_a_campaign_that_does_not_exist_ends_the_job_at_once(cli: Callable[..., Any], lists: Path, server: Any) -> None:
    server.always(404)
    outcome = cli("bulk", "rank", "in.jsonl", "out.jsonl", *WHERE, "--endpoint-url", server.url, "--concurrency", "1")
    assert outcome.status == 1
    assert "ResourceNotFoundException (HTTP 404" in outcome.problem
    assert server.count < 20  # those that went out before the first answer was looked at
    assert not (lists / "out.jsonl").exists()


def test_ctrl_c_is_status_130_and_one_line(
    cli: Callable[..., Any], lists: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from personalize_rt.bulk import InterruptedRun

    def interrupted(*_: Any, **__: Any) -> Any:
        raise InterruptedRun("stopped after 7 rows")

    monkeypatch.setattr(bulk_command, "rank_file", interrupted)
    outcome = cli("bulk", "rank", "in.jsonl", "out.jsonl", *RANK)
    assert (outcome.status, outcome.out, outcome.err) == (130, "", "personalize-rt: stopped after 7 rows\n")


def test_without_pyarrow_the_extra_is_named(
    cli: Callable[..., Any], lists: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from personalize_rt import extras

    monkeypatch.setattr(extras, "installed", lambda package: False)
    outcome = cli("bulk", "rank", "in.jsonl", "out.parquet", *RANK)
    assert outcome.status == 2
    assert outcome.problem == 'A Parquet file needs pyarrow: pip install "personalize-rt[arrow]"'


def test_the_help_names_both_commands(cli: Callable[..., Any]) -> None:
    outcome = cli("bulk")
    assert outcome.status == 0
    assert "\n  recommend " in outcome.out
    assert "\n  rank " in outcome.out
    assert app.NAME in cli("bulk", "rank", "--help").out


@pytest.mark.slow
def test_processes_write_what_one_writes(command: Callable[..., Any], lists: Path) -> None:
    assert command("bulk", "rank", "in.jsonl", "one.jsonl", *RANK).status == 0
    outcome = command("bulk", "rank", "in.jsonl", "two.jsonl", *RANK, "--processes", "2")
    assert outcome.status == 0, outcome.err
    assert (lists / "two.jsonl").read_bytes() == (lists / "one.jsonl").read_bytes()

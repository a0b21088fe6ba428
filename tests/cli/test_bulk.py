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
        "for example ValidationError: in.jsonl, line 31: userId is a str of 330 characters; the service takes at "
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
    assert list(summary) == ["done", "failed", "throttles", "p50", "p99", "elapsed", "examples"]
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

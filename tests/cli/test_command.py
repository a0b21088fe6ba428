"""The command as people start it; what is about streams, signals or the interpreter runs in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from personalize_rt._version import __version__

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
RANK = ("rank", "--user-id", "somebody", "--campaign-arn")


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in names}


# As a shell starts it: what the interpreter still holds when it ends, it tries to write again.
BUFFERED = without("PYTHONUNBUFFERED")


# It works


def test_demo_fits_a_terminal_of_80_columns_and_needs_no_colour(command: Callable[..., Any]) -> None:
    outcome = command("demo", env={**without("COLUMNS"), "PYTHONIOENCODING": "utf-8"})
    assert (outcome.status, outcome.err) == (0, "")
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert "\x1b" not in outcome.out
    assert "Terminator 2: Judgment Day" in outcome.out
    assert "▲" in outcome.out


def test_demo_in_a_world_of_ascii_has_plain_lines_and_signs(command: Callable[..., Any]) -> None:
    outcome = command("demo", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.isascii()
    assert "?" not in outcome.out.partition("The ranking in Python")[0]
    assert "+" in outcome.out
    assert "-----" in outcome.out


def test_rank_takes_items_from_standard_input(command: Callable[..., Any], shop: Path) -> None:
    outcome = command(
        "rank", "--local", str(shop), "--campaign-arn", "ranking", "--user-id", "dan", "--items-from", "-", "--json",
        input="\ufeffham\r\n\n  jam \nbeer\n".encode(),
    )  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")
    rows = json.loads(outcome.out)["personalizedRanking"]
    assert [row["itemId"] for row in rows] == ["jam", "ham", "beer"]
    assert "score" not in rows[2]


def test_recommend_and_actions_answer_from_a_data_directory(cli: Callable[..., Any], shop: Path) -> None:
    popular = cli("recommend", "--local", str(shop), "--campaign-arn", "popular", "--num-results", "1")
    assert (popular.status, popular.err) == (0, "")
    assert "tea" in popular.out
    assert "cake" not in popular.out
    actions = cli("actions", "--local", str(shop), "--campaign-arn", "next", "--user-id", "ann")
    assert (actions.status, actions.err) == (0, "")
    assert actions.out.index("call") < actions.out.index("mail")


def test_the_version_is_the_package_s(cli: Callable[..., Any]) -> None:
    assert cli("--version").out == f"personalize-rt {__version__}\n"


# It fails in one line


def test_a_wrong_arn_is_one_line_and_status_2(command: Callable[..., Any]) -> None:
    outcome = command(*RANK, "movies", "tt1", "--region", "eu-west-1")
    assert outcome.status == 2
    assert "--campaign-arn is not an ARN of Personalize" in outcome.problem
    assert outcome.problem.endswith("; a name will do with --local only")


def test_missing_credentials_are_one_line_and_status_2(cli: Callable[..., Any]) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del os.environ[name]
    outcome = cli(*RANK, ARN, "tt1", "--region", "eu-west-1")
    assert outcome.status == 2
    assert "no AWS credentials" in outcome.problem


def test_a_missing_region_is_one_line_and_status_2(cli: Callable[..., Any]) -> None:
    outcome = cli(*RANK, ARN, "tt1")
    assert outcome.status == 2
    assert "no AWS region: pass --region" in outcome.problem


def test_an_unreachable_endpoint_is_one_line_and_status_1(cli: Callable[..., Any], closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    outcome = cli(*RANK, ARN, "tt1", "--region", "eu-west-1", "--endpoint-url", url, "--attempts", "1")
    assert outcome.status == 1
    assert f"no connection to {url}" in outcome.problem


def test_an_id_that_is_too_long_is_one_line_and_status_2(command: Callable[..., Any]) -> None:
    items = "\n".join([*(f"tt{n}" for n in range(500)), "t" * 257])
    outcome = command(*RANK, ARN, "--region", "eu-west-1", "--items-from", "-", input=items.encode())
    assert outcome.status == 2
    assert "257 characters" in outcome.problem
    assert "at most 256" in outcome.problem


@pytest.mark.skipif(sys.platform == "win32", reason="arguments are text there")
def test_arguments_that_are_no_text_are_one_line_and_status_2(command: Callable[..., Any]) -> None:
    outcome = command("rank", os.fsdecode(b"\xff"))
    assert outcome.status == 2
    assert "argument 2 is not valid UTF-8" in outcome.problem


@pytest.mark.parametrize("module", ["typer", "rich"])
def test_without_the_extra_one_line_says_what_to_install(module: str) -> None:
    code = f"import sys; sys.modules['{module}'] = None; import personalize_rt.cli as cli; sys.exit(cli.main(['demo']))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert process.returncode == 2
    assert process.stdout == ""
    (line,) = process.stderr.splitlines()
    assert 'pip install "personalize-rt[cli]"' in line


# It is broken off


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break in another way there")
@pytest.mark.parametrize("argument", ["demo", "--help"])
def test_a_reader_that_leaves_is_no_error(argument: str) -> None:
    words = [sys.executable, "-m", "personalize_rt", argument]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=BUFFERED) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_line_and_status_1() -> None:
    words = [sys.executable, "-m", "personalize_rt", "--help"]
    with open("/dev/full", "wb") as full:
        process = subprocess.run(
            words, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False, env=BUFFERED
        )
    assert process.returncode == 1
    (line,) = process.stderr.splitlines()
    assert "No space left on device" in line


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send there")
def test_ctrl_c_ends_it_without_a_word(server: Any) -> None:
    server.always("hang")
    words = [sys.executable, "-m", "personalize_rt", *RANK, ARN, "tt1"]
    words += ["--region", "eu-west-1", "--endpoint-url", server.url]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while not server.count and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"")

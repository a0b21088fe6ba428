"""What the help and the manual say works."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MANUAL = Path(__file__).parents[2] / "docs" / "cli.md"
BLOCKS = re.findall(r"^```sh\n(.*?)^```", MANUAL.read_text("utf-8"), re.S | re.M)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line.startswith("personalize-rt ")]


def test_without_arguments_it_shows_its_commands(cli: Callable[..., Any]) -> None:
    outcome = cli()
    assert (outcome.status, outcome.err) == (0, "")
    for name in ("demo", "recommend", "rank", "actions", "verify"):
        assert f"\n  {name} " in outcome.out


@pytest.mark.parametrize("name", ["recommend", "rank", "actions", "verify"])
def test_the_example_of_each_command_works(cli: Callable[..., Any], name: str) -> None:
    help = cli(name, "--help")
    assert (help.status, help.err) == (0, "")
    example = help.out.partition("Example:\n")[2].strip()
    outcome = cli(*shlex.split(example)[1:])
    assert (outcome.status, outcome.err) == (0, "")


def test_the_manual_has_commands() -> None:
    assert len(COMMANDS) >= 4


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_of_the_manual_works(cli: Callable[..., Any], command: str) -> None:
    outcome = cli(*shlex.split(command)[1:])
    assert (outcome.status, outcome.err) == (0, "")


def test_the_manual_names_every_option_that_is_not_plain(cli: Callable[..., Any]) -> None:
    manual = MANUAL.read_text("utf-8")
    for option in ("--context", "--value", "--metadata", "--items-from", "--attempts", "--deadline", "--profile"):
        assert f"{option} " in cli("rank", "--help").out
        assert f"`{option}" in manual


# What help says.


@pytest.mark.parametrize("name", [[], ["recommend"], ["bulk"], ["bulk", "rank"], ["filter", "check"], ["doctor"]])
def test_h_is_help(cli: Callable[..., Any], name: list[str]) -> None:
    short = cli(*name, "-h")
    assert (short.status, short.err) == (0, "")
    assert short.out == cli(*name, "--help").out


def test_help_says_the_defaults_of_the_library(cli: Callable[..., Any]) -> None:
    import inspect

    from personalize_rt import PersonalizeRuntime, RetryPolicy
    from personalize_rt.limits import DEFAULT_NUM_ACTIONS, DEFAULT_NUM_RESULTS

    deadline = inspect.signature(PersonalizeRuntime).parameters["deadline"].default
    expected = {
        "--num-results": DEFAULT_NUM_RESULTS,
        "--deadline": f"{deadline:g}",
        "--attempts": RetryPolicy().attempts,
        "--concurrency": 16,
    }
    for command in (("recommend",), ("rank",), ("actions",), ("bulk", "recommend"), ("bulk", "rank")):
        words = " ".join(cli(*command, "--help").out.split())
        for option, default in expected.items():
            if command == ("actions",) and option == "--num-results":
                default = DEFAULT_NUM_ACTIONS
            _, there, text = words.partition(f" {option} ")
            if there:
                assert text.partition(" --")[0].endswith(f"[default: {default}]"), (command, option)
        assert "[default: that of your AWS settings]" in words
        assert "None" not in words


def test_a_shell_completes_commands_and_options(command: Callable[..., Any]) -> None:
    import os

    def completed(words: str) -> list[str]:
        env = {
            **os.environ,
            "_PERSONALIZE_RT_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        }
        outcome = command(env=env)
        assert outcome.status == 0
        return list(outcome.out.split())

    assert completed("personalize-rt rec") == ["recommend"]
    assert completed("personalize-rt bulk recommend --ig") == ["--ignore"]
    assert "--show-completion" in command("--help").out

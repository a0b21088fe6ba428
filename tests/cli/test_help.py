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

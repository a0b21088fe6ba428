"""What tests of the command share: running it in this process, and in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from personalize_rt.cli import main


@attrs.frozen
class Outcome:
    status: int
    out: str
    err: str

    @property
    def problem(self) -> str:
        """The one line of an error; nothing else may have been written."""
        assert self.out == ""
        assert self.err.endswith("\n")
        (line,) = self.err.splitlines()
        assert line.startswith("personalize-rt: ")
        return line.removeprefix("personalize-rt: ")


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Runs the command in this process, with an environment of its own: --profile changes it."""
    monkeypatch.setattr(os, "environ", dict(os.environ))

    def run(*arguments: str) -> Outcome:
        status = main(arguments)
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run


@pytest.fixture
def command() -> Callable[..., Outcome]:
    """Runs the command in a process of its own."""

    def run(*arguments: str, input: bytes = b"", env: Mapping[str, str] | None = None) -> Outcome:
        words = [sys.executable, "-m", "personalize_rt", *arguments]
        process = subprocess.run(words, input=input, capture_output=True, timeout=60, check=False, env=env)
        return Outcome(process.returncode, process.stdout.decode(), process.stderr.decode())

    return run


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data directory: everybody likes tea, whoever likes cake likes jam."""
    directory = tmp_path_factory.mktemp("shop")
    likes: dict[str, Any] = {"ann": "tea cake jam", "bob": "tea cake jam", "cyd": "tea ham", "dan": "tea cake"}
    rows = [f"{user},{item},{n}" for user, items in likes.items() for n, item in enumerate(items.split(), start=1)]
    (directory / "interactions.csv").write_text("\n".join(["USER_ID,ITEM_ID,TIMESTAMP", *rows, ""]), "utf-8")
    (directory / "actions.csv").write_text("ACTION_ID,VALUE\ncall,5\nmail,3\n", "utf-8")
    (directory / "personalize.toml").write_text(
        '[campaigns]\nranking = "aws-personalized-ranking"\npopular = "aws-popularity-count"\n'
        'next = "aws-next-best-action"\n',
        "utf-8",
    )
    return directory

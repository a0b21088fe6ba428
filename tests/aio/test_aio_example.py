"""The asynchronous examples of docs/how-to/async.md and docs/testing.md, run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="the extra [server] is not installed")

DOCS = Path(__file__).parents[2] / "docs"


def example(page: Path) -> Any:
    """The block of a page that is skipped there, compiled."""
    skipped = r"^<!--- skip: next -->\n\n```python\n(.*?)^```$"
    (program,) = re.findall(skipped, page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    # On a busy machine the fallback would answer.
    return compile(program.replace("deadline=0.15", "deadline=15"), page, "exec")


def test_the_program_prints_what_the_page_shows(capsys: pytest.CaptureFixture[str]) -> None:
    page = DOCS / "how-to" / "async.md"
    exec(example(page), {"__name__": "__main__"})
    (shown,) = re.findall(r"^```console\n\$ .*?\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert capsys.readouterr().out == shown


def test_the_test_of_the_page_passes(personalize_async_runtime: Any, local_personalize: Any) -> None:
    names: dict[str, Any] = {}
    exec(example(DOCS / "testing.md"), names)
    names["test_a_list_is_ranked"](personalize_async_runtime, local_personalize)

"""The examples of docs/how-to/async.md and docs/testing.md that need aiobotocore, run as they stand there.

Their blocks are not run with their pages: aiobotocore pins botocore, so it has an environment of its own.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiobotocore", reason='aiobotocore is not installed: pip install "personalize-rt[aio]"')
pytest.importorskip("uvicorn", reason="the extra [server] is not installed")

DOCS = Path(__file__).parents[2] / "docs"


def example(page: Path) -> Any:
    """The block of a page that is skipped there, compiled."""
    skipped = r"^<!--- skip: next -->\n\n```python\n(.*?)^```$"
    (program,) = re.findall(skipped, page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return compile(program, page, "exec")


def test_the_program_prints_what_the_page_shows(capsys: pytest.CaptureFixture[str]) -> None:
    page = DOCS / "how-to" / "async.md"
    exec(example(page), {"__name__": "__main__"})
    (shown,) = re.findall(r"^```console\n\$ .*?\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert capsys.readouterr().out == shown


def test_the_test_of_the_page_passes(
    personalize_endpoint: str, local_personalize: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: dict[str, Any] = {}
    exec(example(DOCS / "testing.md"), names)
    names["test_a_list_is_ranked"](personalize_endpoint, local_personalize, monkeypatch)

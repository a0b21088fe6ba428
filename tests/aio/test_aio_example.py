"""The example of docs/how-to/async.md, run as it stands there: against the embedded service, over HTTP."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("aiobotocore", reason='aiobotocore is not installed: pip install "personalize-rt[aio]"')
pytest.importorskip("uvicorn", reason="the extra [server] is not installed")

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "async.md"


def test_the_example_of_the_docs(capsys: pytest.CaptureFixture[str]) -> None:
    """Its block is not run with the page: aiobotocore pins botocore, so it has an environment of its own."""
    (program,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    (shown,) = re.findall(r"^```console\n\$ .*?\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    exec(compile(program, PAGE, "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out == shown

"""The files that type checkers read cover the public names, and are what the checkers say they are."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import personalize_rt
from personalize_rt.aio import __all__ as of_aio
from personalize_rt.client import __all__ as of_client
from personalize_rt.filters import __all__ as of_filters

HERE = Path(__file__).parent
CASES = {path.name: path.read_text("utf-8") for path in (HERE / "cases").glob("*.py")}
WORDS = set(re.findall(r"\w+", "\n".join(text for name, text in CASES.items() if name != "mistakes.py")))


@pytest.mark.parametrize("names", [personalize_rt.__all__, of_aio, of_client, of_filters], ids=lambda names: names[0])
def test_every_public_name_is_in_a_case(names: list[str]) -> None:
    # Types of arguments stand in signatures, where the checkers meet them.
    assert sorted(set(names) - WORDS - {"CacheStore", "FilterScalar", "__version__"}) == []


@pytest.mark.slow
def test_type_checkers_say_what_the_cases_say() -> None:
    pytest.importorskip("mypy")
    pytest.importorskip("pyright")
    command = [sys.executable, str(HERE / "check_types.py")]
    process = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert process.returncode == 0, process.stdout + process.stderr


def test_an_example_stands_in_its_module_where_it_stands_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    from check_pages import module_of

    page = "# A page\n\n```python\nx = 1\n```\n\n```text\n1\n```\n\n```python\n>>> x + 1\n2\n>>> x\n1\n```\n"
    assert module_of(page).splitlines() == ["", "", "", "x = 1", *[""] * 7, "x + 1", "", "x", "", "", ""]


@pytest.mark.slow
def test_a_wrong_example_of_a_page_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mypy")
    pytest.importorskip("pyright")
    monkeypatch.syspath_prepend(str(HERE))
    from check_pages import module_of, problems

    page = "```python\nfrom personalize_rt import Limits\n\ndef most(limits):\n    return Limits().inputs\n```\n"
    found = list(problems({"page.py": module_of(page)}))
    assert [line for line in found if line.startswith("mypy: page.py:4: ")]
    assert [line for line in found if line.startswith("pyright: page.py:5: ")]


@pytest.mark.slow
def test_a_wrong_case_is_found(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    pytest.importorskip("pyright")
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "wrong.py").write_text(
        "from personalize_rt import Limits\n"
        "x: int = Limits().input_list\n"  # a mistake without a comment
        "y: int = 7  # mistake: assignment / AssignmentType\n"  # a comment without a mistake
        "z: int = 'z'  # mistake: assignment / AssignmentType (not ty)\n"  # and one that knows after all
    )
    (tmp_path / "check_types.py").write_bytes((HERE / "check_types.py").read_bytes())
    command = [sys.executable, str(tmp_path / "check_types.py")]
    process = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert process.returncode == 1, process.stderr
    codes = {"mypy": "assignment", "pyright": "reportAssignmentType", "pyrefly": "some mistake", "ty": "some mistake"}
    for checker, code in codes.items():
        if find_spec(checker) is None:
            assert checker in ("pyrefly", "ty")
            continue
        assert f"{checker}: wrong.py:2 [{code}]: " in process.stdout
        assert f"{checker}: wrong.py:3 [{code}]: not a mistake for {checker}" in process.stdout
        # Of those who cannot know, each may be wrong the other way round.
        assert (f"{checker}: wrong.py:4" in process.stdout) is (checker == "ty")

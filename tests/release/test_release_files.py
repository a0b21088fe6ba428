"""What several files say of one thing is the same in all of them."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def text_of(name: str) -> str:
    path = ROOT / name
    if not path.is_file():
        pytest.skip(f"no {name} here: these tests run without their checkout")
    return path.read_text("utf-8")


def test_no_file_has_to_be_edited_for_a_version() -> None:
    assert "version:" not in text_of("CITATION.cff").replace("cff-version:", "")
    fallback = tomllib.loads(text_of("pyproject.toml"))["tool"]["hatch"]["version"]["fallback-version"]
    # The file of a checkout; what is built has another one.
    assert f'__version__ = "{fallback}"' in text_of("personalize_rt/_version.py")


def test_the_sessions_name_tests_that_exist() -> None:
    """A session that names a file that is gone runs none of its tests."""
    named = sorted(set(re.findall(r'"((?:tests|docs)/[\w/.-]+)[":]', text_of("noxfile.py"))))
    assert len(named) > 20
    assert not [path for path in named if not (ROOT / path).exists()]


def test_pythons_are_the_same_everywhere() -> None:
    pythons = ast.literal_eval(re.findall(r"^PYTHONS = (\[.*?\])$", text_of("noxfile.py"), re.M)[0])
    settings = tomllib.loads(text_of("pyproject.toml"))["project"]
    assert settings["requires-python"] == f">={pythons[0]}"
    workflow = text_of(".github/workflows/tests.yml")
    assert ast.literal_eval(re.findall(r"python: (\[.*?\])", workflow)[0]) == pythons
    claimed = re.findall(r"Python :: (3\.\d+)", "\n".join(settings["classifiers"]))
    recorded = re.findall(r"^(3\.\d+) Linux ", text_of("tests/release/recorded_runs.txt"), re.M)
    assert claimed == recorded
    assert set(claimed) <= set(pythons)


def test_workflows_run_sessions_that_there_are() -> None:
    sessions = re.findall(r"^def (\w+)\(session: nox.Session", text_of("noxfile.py"), re.M)
    for name in ("tests", "release"):
        for named in re.findall(r"--session ((?:[a-z]+ ?)+)", text_of(f".github/workflows/{name}.yml")):
            assert set(named.split()) <= set(sessions), named


def notes_for(version: str, changelog: str) -> str:
    text_of(".ci/release-notes")
    loader = SourceFileLoader("release_notes", str(ROOT / ".ci/release-notes"))
    spec = spec_from_loader("release_notes", loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    notes: str = module.notes(changelog, version)
    return notes


CHANGELOG = """# Changelog

## [Unreleased]

### Added

- `next`

## [1.1.0] - 2027-02-03

### Fixed

- A fault.

## [1.0.0]

- The first.

[1.1.0]: https://example.org/1.1.0
"""


def test_release_notes_are_the_section_of_the_version() -> None:
    assert notes_for("v1.1.0", CHANGELOG) == "### Fixed\n\n- A fault."
    assert notes_for("1.1.0rc2", CHANGELOG) == "### Fixed\n\n- A fault."
    assert notes_for("v1.2.0rc1", CHANGELOG) == "### Added\n\n- `next`"


@pytest.mark.parametrize(
    ("version", "problem"),
    [
        ("v1.2.0", r"no section \[1.2.0\]; it has Unreleased, 1.1.0, 1.0.0"),
        ("v1.0.0", r"\[1.0.0\] of CHANGELOG.md has no date"),
    ],
)
def test_a_release_without_its_section_is_refused(version: str, problem: str) -> None:
    with pytest.raises(SystemExit, match=problem):
        notes_for(version, CHANGELOG)


def test_the_changelog_has_notes_for_a_candidate_of_the_next_version() -> None:
    assert notes_for("v999.0.0rc1", text_of("CHANGELOG.md")).startswith("### ")


def test_contributors_are_told_the_commands_of_the_readme() -> None:
    install, run = re.findall(r"```sh\n(.*?)\n(.*?)\n```", text_of("CONTRIBUTING.md"), re.S)[0]
    assert f"{install} && {run}" in text_of("README.md")


def test_contributors_are_told_the_sessions_that_there_are() -> None:
    sessions = set()
    for node in ast.parse(text_of("noxfile.py")).body:
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "nox.session":
                    options = {keyword.arg: ast.unparse(keyword.value) for keyword in decorator.keywords}
                    sessions.add(ast.literal_eval(options.get("name", repr(node.name))))
    named = set(re.findall(r"`nox -s ([\w-]+)`|, `(core-old)`", text_of("CONTRIBUTING.md")))
    names = {one or other for one, other in named}
    assert names <= sessions
    assert sessions - names == {"ci"}
    (left_out,) = re.findall(r"^LEFT_OUT = \((.*?)^\)", text_of("noxfile.py"), re.M | re.S)
    assert "aio" in (elsewhere := set(re.findall(r"nox -s ([\w-]+)", left_out)))
    assert elsewhere <= sessions


def test_tests_run_in_one_process_unless_told_otherwise() -> None:
    options = tomllib.loads(text_of("pyproject.toml"))["tool"]["pytest"]["ini_options"]["addopts"]
    assert not [option for option in options if re.match("-n|--numprocesses|--maxprocesses|--cov", option)]


def test_the_oldest_versions_are_those_of_pyproject() -> None:
    oldest = ast.literal_eval(re.findall(r"^OLDEST = (\[.*?\])$", text_of("noxfile.py"), re.M)[0])
    pinned = dict(pin.split("==") for pin in oldest)
    floors = dict(re.findall(r'^  "(attrs|boto3|tenacity)>=([\d.]+)', text_of("pyproject.toml"), re.M))
    assert set(floors) == {"attrs", "boto3", "tenacity"}
    for name, floor in floors.items():
        assert pinned[name].removesuffix(".0").startswith(floor), (name, floor)
    assert pinned["boto3"] == pinned["botocore"]


def test_hooks_have_the_versions_of_ci() -> None:
    tools = re.findall(r'"((?:ruff|mypy)[<>=][^"]+)"', text_of(".pre-commit-config.yaml"))
    assert {re.split("[<>=]", tool)[0] for tool in tools} == {"mypy", "ruff"}
    of_ci = text_of("pyproject.toml")
    assert not [tool for tool in tools if f'"{tool}"' not in of_ci]


def test_rooms_that_can_be_deleted_are_there() -> None:
    rooms = ast.literal_eval(re.findall(r"^ROOMS = (\[.*?^\])", text_of("noxfile.py"), re.M | re.S)[0])
    there = [room for room in rooms if (ROOT / room).exists()]
    # A room that was renamed would be kept, and its absence tried no more.
    assert set(rooms) - set(there) <= {"personalize_rt/bulk"}

"""What several files say of one thing is the same in all of them."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from personalize_rt import __version__

ROOT = Path(__file__).parents[2]


def text_of(name: str) -> str:
    path = ROOT / name
    if not path.is_file():
        pytest.skip(f"no {name} here: these tests run without their checkout")
    return path.read_text("utf-8")


def test_one_version_stands_everywhere() -> None:
    (cited,) = re.findall(r"^version: (\S+)$", text_of("CITATION.cff"), re.M)
    assert cited == __version__
    headings = re.findall(r"^## \[(.+?)\]", text_of("CHANGELOG.md"), re.M)
    assert headings[0] == "Unreleased" or headings[0] == __version__


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

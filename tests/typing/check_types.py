"""Reads the files of ``cases/`` with type checkers, and compares what they say with what stands there.

A file is right when each of its lines with ``# mistake: <mypy's code> / <pyright's rule>`` is that mistake for mypy and
pyright, both strict, and some mistake for pyrefly and ty, which have names of their own; and no other line is one.
``(not ty, mypy without stubs)`` behind it names those who cannot know. Nothing of these files ever runs. On its own, it
needs no pytest::

    python tests/typing/check_types.py                # with the packages of this interpreter
    python tests/typing/check_types.py --stubs        # stubs for boto3 must be installed, and all four checkers
    python tests/typing/check_types.py --no-stubs     # stubs must not be installed, and all four checkers must
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

CASES = Path(__file__).parent / "cases"
STUBS = ("boto3-stubs", "mypy-boto3-personalize-runtime")
# Reads what only stubs for boto3 know.
NEEDS_STUBS = "stubbed_client.py"
# Use boto3 itself, of which no checker knows much.
UNTYPED = (NEEDS_STUBS, "clients.py")
OLDEST_PYTHON = "3.11"
_MISTAKE = re.compile(r"# mistake: ([\w -]+) / (\w+)(?: \(not ([\w, ]+)\))?$")
# The name of a mistake for a checker whose own name for it is not compared.
_SOME = "some mistake"


class Place(NamedTuple):
    """A line, and what is wrong with it."""

    file: str
    line: int
    code: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} [{self.code}]"


def have_stubs() -> bool:
    """Whether stubs for boto3 and its personalize-runtime client are installed for this interpreter."""
    try:
        return all(distribution(name) for name in STUBS)
    except PackageNotFoundError:
        return False


def case_files() -> list[Path]:
    """The files that this interpreter's packages allow to be read."""
    return [path for path in sorted(CASES.glob("*.py")) if path.name != NEEDS_STUBS or have_stubs()]


def expected(files: Sequence[Path], checker: str) -> set[Place]:
    """What the comments say."""
    found: set[Place] = set()
    for path in files:
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            mistake = _MISTAKE.search(line)
            if mistake is not None:
                unseen = (mistake[3] or "").split(", ")
                if checker in unseen or (f"{checker} without stubs" in unseen and not have_stubs()):
                    continue
                codes = {"mypy": mistake[1].split(), "pyright": [f"report{mistake[2]}"]}.get(checker, [_SOME])
                found |= {Place(path.name, number, code) for code in codes}
            elif "# mistake" in line:
                raise ValueError(f"{path.name}:{number}: a mistake is written <mypy's code> / <pyright's rule> (not …)")
    return found


def said_by_mypy(files: Sequence[Path], cwd: str) -> dict[Place, str]:
    """The errors of ``mypy --strict``. What is untyped without stubs (boto3) is nobody's error here."""
    config = Path(cwd, "mypy.ini")
    config.write_text(
        "[mypy]\n[mypy-boto3.*]\nignore_missing_imports = True\n[mypy-botocore.*]\nignore_missing_imports = True\n"
    )
    options = ["--strict", "--config-file", str(config), "--python-version", OLDEST_PYTHON, "--output", "json"]
    process = _run("mypy", [*options, *(path.name for path in files)], cwd)
    if process.returncode not in (0, 1):
        raise RuntimeError(f"mypy failed: {process.stdout}{process.stderr}")
    messages = [json.loads(line) for line in process.stdout.splitlines() if line.startswith("{")]
    return {
        Place(Path(each["file"]).name, each["line"], each["code"]): each["message"]
        for each in messages
        if each["severity"] == "error"
    }


def said_by_pyright(files: Sequence[Path], cwd: str) -> dict[Place, str]:
    """The errors of pyright in its strict mode."""
    config = Path(cwd, "pyrightconfig.json")
    settings: Mapping[str, Any] = {
        "typeCheckingMode": "strict",
        "pythonVersion": OLDEST_PYTHON,
        "reportMissingTypeStubs": False,  # of boto3
        "include": [path.name for path in files],
    }
    config.write_text(json.dumps(settings))
    options = ["--outputjson", "--project", str(config), "--pythonpath", sys.executable]
    process = _run("pyright", options, cwd)
    try:
        report = json.loads(process.stdout)
    except ValueError:
        raise RuntimeError(f"pyright failed: {process.stdout}{process.stderr}") from None
    if report["summary"]["filesAnalyzed"] != len(files):
        raise RuntimeError(f"pyright read {report['summary']['filesAnalyzed']} files, not {len(files)}")
    return {
        Place(Path(each["file"]).name, each["range"]["start"]["line"] + 1, each.get("rule", "syntax")): each["message"]
        for each in report["generalDiagnostics"]
        if each["severity"] == "error"
    }


def said_by_pyrefly(files: Sequence[Path], cwd: str) -> dict[Place, str]:
    """The errors of pyrefly with its strict preset; without a configuration it would say nothing."""
    config = Path(cwd, "pyrefly.toml")
    config.write_text('preset = "strict"\n')
    options = ["check", "--config", str(config), "--python-interpreter-path", sys.executable, "--output-format", "json"]
    process = _run("pyrefly", options, cwd)
    if not process.stdout.startswith("{"):
        raise RuntimeError(f"pyrefly failed: {process.stdout}{process.stderr}")
    return {
        Place(Path(each["path"]).name, each["line"], each["name"]): each["concise_description"]
        for each in json.JSONDecoder().raw_decode(process.stdout)[0]["errors"]
    }


def said_by_ty(files: Sequence[Path], cwd: str) -> dict[Place, str]:
    """The errors of ty."""
    process = _run("ty", ["check", "--python", sys.prefix, "--output-format", "concise", "."], cwd)
    lines = (re.match(r"([^:]+):(\d+):\d+: error\[([\w-]+)\] (.*)", line) for line in process.stdout.splitlines())
    return {Place(line[1], int(line[2]), line[3]): line[4] for line in lines if line is not None}


def _say(say: Callable[[Sequence[Path], str], dict[Place, str]], files: Sequence[Path]) -> dict[Place, str]:
    # A directory with nothing else in it: the package is found where it is installed, or not at all.
    with tempfile.TemporaryDirectory() as elsewhere:
        for path in files:
            shutil.copy(path, elsewhere)
        return say(files, elsewhere)


def _run(module: str, arguments: Sequence[str], cwd: str) -> subprocess.CompletedProcess[str]:
    # -P: the directory that it runs in is none to import from.
    command = [sys.executable, "-P", "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300, check=False)


CHECKERS = {"mypy": said_by_mypy, "pyright": said_by_pyright, "pyrefly": said_by_pyrefly, "ty": said_by_ty}
# Their mistakes have other names, and without stubs they look into boto3 itself.
YOUNG = ("pyrefly", "ty")


def differences(checker: str) -> Iterator[str]:
    """What a checker says and the files do not, and the other way round; one line each."""
    files = [path for path in case_files() if checker not in YOUNG or path.name not in UNTYPED]
    wanted = expected(files, checker)
    said = _say(CHECKERS[checker], files)
    if checker in YOUNG:
        said = {place._replace(code=_SOME): f"{place.code}: {message}" for place, message in said.items()}
    # Shortened: where pyright speaks of boto3.client, it lists every service.
    yield from (f"{place}: {' '.join(said[place].split())[:400]}" for place in sorted(said.keys() - wanted))
    yield from (f"{place}: not a mistake for {checker}" for place in sorted(wanted - said.keys()))


def main(arguments: Sequence[str]) -> int:
    """Check with all that are installed; the exit status is 1 when anything differs."""
    if not set(arguments) <= {"--stubs", "--no-stubs"}:
        print(__doc__)
        return 2
    installed = have_stubs()
    if ("--stubs" in arguments and not installed) or ("--no-stubs" in arguments and installed):
        print(f"stubs for boto3 are {'' if installed else 'not '}installed")
        return 1
    checkers = [checker for checker in CHECKERS if find_spec(checker) is not None]
    if arguments and len(checkers) < len(CHECKERS):
        print(f"not installed: {', '.join(CHECKERS.keys() - set(checkers))}")
        return 1
    found = [f"{checker}: {line}" for checker in checkers for line in differences(checker)]
    for line in found:
        print(line)
    count = sum(len(expected([path], "pyright")) for path in case_files())
    stubs = "with" if installed else "without"
    print(f"{len(case_files())} files, {count} mistakes, {stubs} stubs for boto3, by {', '.join(checkers)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Reads the examples of README and docs with mypy and pyright, both strict: a reader's project may be.

The ``python`` blocks of a page become one module, as they run. What libraries without types leave unknown is not asked
of pyright here, nor what a doctest or a notebook shows by an expression. Files of ``docs/examples`` are read as they
are, and not again on the page that shows them. Needs what the examples import::

    python tests/typing/check_pages.py
"""

from __future__ import annotations

import doctest
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
OLDEST_PYTHON = "3.11"
_BLOCK = re.compile(r"(?<!word for word -->\n\n)^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OF_OTHERS = (
    "DuplicateImport",  # a block is read alone
    "MissingImports",
    "MissingModuleSource",
    "MissingTypeStubs",
    "TypedDictNotRequiredAccess",  # of stubs for botocore, on error.response["Error"]["Code"]
    "UnknownArgumentType",
    "UnknownLambdaType",
    "UnknownMemberType",
    "UnknownVariableType",
    "UntypedFunctionDecorator",
    "UnusedExpression",
)


def blocks(text: str) -> Iterator[tuple[int, str]]:
    """The examples of a page, each with the number of its first line; of a doctest, what is typed."""
    for found in _BLOCK.finditer(text):
        first = text.count("\n", 0, found.start(1)) + 1
        if not found[1].startswith(">>>"):
            yield first, found[1]
            continue
        for example in doctest.DocTestParser().get_examples(found[1]):
            yield first + example.lineno, example.source


def module_of(text: str) -> str:
    """The examples of a page as a module, with each line where it stands on the page."""
    lines = [""] * (text.count("\n") + 1)
    for first, code in blocks(text):
        for number, line in enumerate(code.splitlines(), first - 1):
            lines[number] = line
    return "\n".join(lines) + "\n"


def pages(root: Path = ROOT) -> dict[str, str]:
    """File name to source, of each page with examples and each file of ``docs/examples``."""
    found: dict[str, str] = {}
    for page in (root / "README.md", *sorted((root / "docs").rglob("*.md"))):
        text = page.read_text("utf-8")
        if _BLOCK.search(text):
            found[re.sub(r"\W", "_", page.relative_to(root).with_suffix("").as_posix()) + ".py"] = module_of(text)
    for path in sorted((root / "docs" / "examples").glob("*.py")):
        if path.stem != "conftest" and "film_site" not in path.stem:  # that is an application of Django
            found[path.name] = path.read_text("utf-8")
    return found


def problems(files: dict[str, str]) -> Iterator[str]:
    """What the checkers say, a line each."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            Path(folder, name).write_text(text, "utf-8")
        yield from _of_mypy(folder, sorted(files))
        yield from _of_pyright(folder, len(files))


def _of_mypy(folder: str, names: list[str]) -> Iterator[str]:
    Path(folder, "mypy.ini").write_text("[mypy]\nignore_missing_imports = True\ndisable_error_code = import-untyped\n")
    options = ["--strict", "--no-warn-unused-ignores", "--python-version", OLDEST_PYTHON, "--no-error-summary"]
    process = _run("mypy", [*options, "--hide-error-context", *names], folder)
    if process.returncode not in (0, 1):
        raise RuntimeError(f"mypy failed: {process.stdout}{process.stderr}")
    yield from (f"mypy: {line}" for line in process.stdout.splitlines() if ": error:" in line)


def _of_pyright(folder: str, count: int) -> Iterator[str]:
    settings = {"typeCheckingMode": "strict", "pythonVersion": OLDEST_PYTHON}
    settings |= dict.fromkeys((f"report{rule}" for rule in _OF_OTHERS), "none")
    Path(folder, "pyrightconfig.json").write_text(json.dumps(settings))
    process = _run("pyright", ["--outputjson", "--pythonpath", sys.executable], folder)
    try:
        report = json.loads(process.stdout)
    except ValueError:
        raise RuntimeError(f"pyright failed: {process.stdout}{process.stderr}") from None
    if report["summary"]["filesAnalyzed"] < count:
        raise RuntimeError(f"pyright read {report['summary']['filesAnalyzed']} files, not {count}")
    for each in report["generalDiagnostics"]:
        if each["severity"] == "error":
            place = f"{Path(each['file']).name}:{each['range']['start']['line'] + 1}"
            yield f"pyright: {place}: {' '.join(each['message'].split())[:300]} [{each.get('rule', 'syntax')}]"


def _run(module: str, arguments: list[str], cwd: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300, check=False)


if __name__ == "__main__":
    files = pages()
    found = list(problems(files))
    print(*found, f"{len(files)} pages and examples, {len(found)} problems", sep="\n")
    sys.exit(bool(found))

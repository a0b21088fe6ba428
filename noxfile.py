"""What CI runs, one session each. ``nox --list`` shows them; ``nox`` runs those that need no more than pip.

No single environment can hold everything: aiobotocore pins botocore, the AWS CLI pins docutils, and the oldest boto3 is
not the newest. ``nox -s tests`` alone is what most changes need.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.error_on_missing_interpreters = False
nox.options.default_venv_backend = "venv"

HERE = Path(__file__).parent
PYTHONS = ["3.11", "3.12", "3.13"]
# The tests of the core, which need no other room.
CORE_TESTS = ["tests/test_*.py", "tests/filters", "tests/rerank", "tests/resilience", "tests/transport"]
# The one test in them that does.
NEEDS_A_ROOM = "tests/resilience/test_fallback.py::test_a_whole_local_personalize_answers"
# What can be deleted, and the core still works; of `testing`, what is for users' tests.
ROOMS = [
    "personalize_rt/__main__.py",
    "personalize_rt/aio.py",
    "personalize_rt/bulk",
    "personalize_rt/cli",
    "personalize_rt/local",
    "personalize_rt/metrics",
    "personalize_rt/notebook",
    "personalize_rt/telemetry.py",
    "personalize_rt/testing/cassette.py",
    "personalize_rt/testing/endpoint.py",
    "personalize_rt/testing/placeholders.py",
    "personalize_rt/testing/plugin.py",
    "personalize_rt/testing/record.py",
]
# The oldest that pyproject.toml allows; boto3 1.40.0 with the botocore of its day.
OLDEST = ["attrs==23.2.0", "boto3==1.40.0", "botocore==1.40.0", "tenacity==8.2.3"]
NEWEST_BOTOCORE = (1, 44)


def pytest(session: nox.Session, *arguments: str, cwd: Path | None = None) -> None:
    """Run tests: those named after ``--`` on the command line, or the session's own."""
    with session.chdir(cwd or HERE):
        session.run("python", "-m", "pytest", *(session.posargs or arguments))


def core_tests(root: Path) -> list[str]:
    """The files of ``CORE_TESTS``, but for those that import a room: they test the core together with it."""
    names = "|".join(re.escape(Path(room).with_suffix("").as_posix().replace("/", ".")) for room in ROOMS)
    imports_a_room = re.compile(rf"^(?:from|import) (?:{names})\b", re.MULTILINE)
    paths = [path for pattern in CORE_TESTS for path in root.glob(pattern)]
    files = {file for path in paths for file in (path.rglob("test_*.py") if path.is_dir() else [path])}
    return [
        file.relative_to(root).as_posix()
        for file in sorted(files)
        if not imports_a_room.search(file.read_text(encoding="utf-8"))
    ]


def copy_of_checkout(session: nox.Session) -> Path:
    """The files that a clone of this checkout would hold, in a directory of the session's own."""
    copy = Path(session.create_tmp()) / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    names: str = session.run("git", "ls-files", "-z", external=True, silent=True) or ""
    for name in filter(None, names.split("\0")):
        if (HERE / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(HERE / name, copy / name)
    return copy


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Every test, and every example of README and docs."""
    session.install("-e", ".[test]")
    pytest(session)


@nox.session(python="3.11", name="slow-path")
def slow_path(session: nox.Session) -> None:
    """Every test once more, with clients as botocore makes them: the fast path changes no result."""
    session.install("-e", ".[test]")
    pytest(session, "--without-fast-path")


@nox.session(python="3.11", name="core-new")
def core_new(session: nox.Session) -> None:
    """The core with the newest boto3, and the drift of the service's model."""
    session.install("--upgrade", ".[test]", "boto3", "botocore")
    code = "import botocore; print('.'.join(botocore.__version__.split('.')[:2]))"
    newest = tuple(map(int, str(session.run("python", "-c", code, silent=True)).strip().split(".")))
    if newest < NEWEST_BOTOCORE:
        session.error(f"botocore {newest} is not new: something pins it")
    pytest(session, *core_tests(HERE))


@nox.session(python="3.11", name="core-old")
def core_old(session: nox.Session) -> None:
    """The core with the oldest versions that it allows."""
    session.install(".[test]", *OLDEST)
    pytest(session, *core_tests(HERE))


@nox.session(python="3.11")
def aio(session: nox.Session) -> None:
    """The client for asyncio, on the botocore that aiobotocore pins."""
    session.install(".[test,aio]")
    pytest(session, "tests/aio", "docs/examples")


@nox.session(python="3.11", name="foreign-clients", default=False)
def foreign_clients(session: nox.Session) -> None:
    """The AWS CLI and the AWS SDK for JavaScript against the embedded service. Needs Node.js with npm."""
    session.install("-e", ".[test]")
    session.run(".ci/foreign-clients", f"{session.bin}/python", external=True)


@nox.session(python="3.11")
def docs(session: nox.Session) -> None:
    """The pages, without a warning, and the tests of the framework examples."""
    session.install("-e", ".[test,docs,docs-examples]")
    html = str(HERE / "docs" / "_build" / "html")
    session.run("sphinx-build", "--nitpicky", "--fail-on-warning", "--fresh-env", "--quiet", "-b", "html", "docs", html)
    pytest(session, "docs", "README.md")


@nox.session(python="3.11")
def lint(session: nox.Session) -> None:
    """ruff, mypy, pyright, import-linter."""
    session.install("-e", ".[cli,test,docs,dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy", "--strict")
    session.run("pyright", "--project", "pyproject.toml", "--pythonpath", f"{session.bin}/python")
    session.run("lint-imports")


@nox.session(python=False)
def types(session: nox.Session) -> None:
    """The cases of tests/typing: mypy and pyright, with and without stubs for boto3; pyrefly and ty as a report."""
    session.run(".ci/types", external=True)


@nox.session(python="3.11")
def wheel(session: nox.Session) -> None:
    """Wheel and source archive are built, looked into, and tested with the checkout out of the way."""
    copy = copy_of_checkout(session)
    dist = copy.parent / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    session.install("build")
    session.run("python", "-m", "build", "--outdir", str(dist), str(copy))
    session.run("python", "tests/release/check_distribution.py", str(dist), str(copy))
    (built,) = dist.glob("*.whl")
    session.install(f"{built}[test]")
    elsewhere = copy.parent / "elsewhere"
    shutil.rmtree(elsewhere, ignore_errors=True)
    elsewhere.mkdir()
    for name in ("conftest.py", "pyproject.toml", "README.md", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md"):
        shutil.copy2(copy / name, elsewhere)
    for name in ("tests", "docs"):
        shutil.copytree(copy / name, elsewhere / name)
    shutil.rmtree(copy)
    pytest(session, "-n", "2", cwd=elsewhere)


@nox.session(python="3.11", venv_backend="none")
def extras(session: nox.Session) -> None:
    """Each extra is installed alone, and its feature tried; without any, the errors say what to install."""
    work = Path(session.create_tmp())
    trial = str(HERE / "tests" / "release" / "try_extra.py")
    names = ["none"]
    while names:
        name = names.pop(0)
        venv = work / f"extra-{name}"
        session.run("python3", "-m", "venv", "--clear", str(venv), external=True)
        package = str(HERE) if name == "none" else f"{HERE}[{name}]"
        session.run(f"{venv}/bin/pip", "install", "--quiet", package, external=True)
        # Not from here: the checkout would be found before the installed package.
        with session.chdir(work):
            if name == "none":
                listed = session.run(f"{venv}/bin/python", trial, "--list", external=True, silent=True)
                names = str(listed).split()
            session.run(f"{venv}/bin/python", trial, name, external=True)
        shutil.rmtree(venv)


@nox.session(python="3.11")
def rooms(session: nox.Session) -> None:
    """The core's tests pass with every optional room deleted."""
    copy = copy_of_checkout(session)
    for room in ROOMS:
        path = copy / room
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    session.install(f"{copy}[test]")
    # The plug-in is one of the rooms.
    pytest(session, "-p", "no:personalize_rt", "--deselect", NEEDS_A_ROOM, *core_tests(copy), cwd=copy)


@nox.session(python="3.11", default=False)
def soak(session: nox.Session) -> None:
    """Threads and tasks against a service in lasting trouble; ten minutes with ``-- --seconds 600``."""
    session.install(".[aio]")
    session.run("python", "-m", "benchmarks.soak", *(session.posargs or ["--seconds", "60"]))


@nox.session(python="3.11", default=False)
def benchmarks(session: nox.Session) -> None:
    """Measure against boto3 and others; the ratios go to benchmarks.json."""
    session.install(".[bench]")
    session.run("python", "-m", "benchmarks", *(session.posargs or ["--quick", "--json", "benchmarks.json"]))


@nox.session(python="3.11", default=False)
def api(session: nox.Session) -> None:
    """Write the list of public names and signatures anew, after a change that is meant."""
    session.install("-e", ".", "griffelib")
    session.run("python", "tests/api/test_public_api.py")


@nox.session(python=False, default=False)
def ci(session: nox.Session) -> None:
    """What must hold before a change is taken, from nothing but Python and pip."""
    session.run(".ci/run", external=True, env={"TMPDIR": os.environ.get("TMPDIR", "/tmp")})

"""What CI runs, one session each. ``nox --list`` shows them; ``nox`` runs those that need no more than Python.

No single environment can hold everything: aiobotocore pins botocore, the AWS CLI pins docutils, and the oldest boto3 is
not the newest. ``nox -s tests`` alone is what most changes need. Where uv is installed, it makes the environments.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.error_on_missing_interpreters = False
nox.options.default_venv_backend = "uv|venv"

HERE = Path(__file__).parent
# Those that the package is for; CI runs those that it finds, and names the others.
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]


def runs(python: str) -> bool:
    """Tell whether a Python is installed: a shim of pyenv, say, is there and runs nothing."""
    path = shutil.which(f"python{python}")
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = path and subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
    return bool(done) and done.stdout.strip() == python


FOUND = [python for python in PYTHONS if runs(python)] or PYTHONS[:1]
# The README's command runs everything on the oldest, `coverage` on the newest; `rooms` is as good on the second one.
OLDEST_PYTHON, SECOND_PYTHON, NEWEST_PYTHON = PYTHONS[0], [*FOUND, *FOUND][1], FOUND[-1]
# What `between` runs on those in the middle. To save time, it leaves out pages, what starts many processes (tests/cli,
# tests/congruence), and on the second one what `rooms` runs there.
BETWEEN = [
    "tests/aio",
    "tests/bulk",
    "tests/experiments",
    "tests/local",
    "tests/metrics",
    "tests/notebook",
    "tests/testing",
    "tests/verify",
]
# The tests of the core, which need no other room.
CORE_TESTS = ["tests/test_*.py", "tests/filters", "tests/rerank", "tests/resilience", "tests/transport"]
# The ones in them that do.
NEED_A_ROOM = [
    "--deselect=tests/resilience/test_fallback.py::test_a_whole_local_personalize_answers",
    "--deselect=tests/test_package.py::test_each_module_has_the_names_that_it_promises[personalize_rt.testing]",
]
# What can be deleted, and the core still works; of `testing`, what is for users' tests.
ROOMS = [
    "personalize_rt/__main__.py",
    "personalize_rt/_async",
    "personalize_rt/aio.py",
    "personalize_rt/bulk",
    "personalize_rt/cli",
    "personalize_rt/experiments",
    "personalize_rt/local",
    "personalize_rt/metrics",
    "personalize_rt/notebook",
    "personalize_rt/resilience/tasks",
    "personalize_rt/telemetry.py",
    "personalize_rt/testing/cassette.py",
    "personalize_rt/testing/endpoint.py",
    "personalize_rt/testing/placeholders.py",
    "personalize_rt/testing/plugin.py",
    "personalize_rt/testing/record.py",
    "personalize_rt/verify",
]
# The oldest that pyproject.toml allows; boto3 1.40.0 with the botocore of its day.
OLDEST = ["attrs==23.2.0", "boto3==1.40.0", "botocore==1.40.0", "tenacity==8.2.3"]
NEWEST_BOTOCORE = (1, 44)
# Percent of the package's lines, but for those that `tool.coverage` in pyproject.toml leaves to other environments:
# what was measured (98.87 on 30 November 2026), rounded down. A lower figure fails; raise it when there is more.
COVERED = 98
# Exact: each of their versions finds other mistakes.
YOUNG_CHECKERS = ["pyrefly==1.5.0", "ty==0.0.108"]
# What `nox -s check` does not run, and what does.
LEFT_OUT = (
    "async on aiobotocore: nox -s aio; pyright: nox -s lint; the public API's types: nox -s types; "
    "pages: nox -s docs; slow tests: python -m pytest -m slow; coverage: nox -s coverage; lowest versions: "
    "nox -s lowest; everything else: .ci/run"
)
# A test that is skipped for want of its package would prove nothing in the environment that is there for it.
NOTHING_SKIPPED = "--nothing-skipped"
# The tests of the asynchronous client that open connections: they run on each way to send.
CONNECTING = ["client", "credentials", "driver", "faults", "tls"]
# What watches or stands in for boto3, beside what [test] has.
WATCHERS = [
    "aws-xray-sdk",
    "ddtrace",
    "mocket",
    "opentelemetry-instrumentation-urllib3",
    "pook",
    "pytest-socket",
    "sentry-sdk",
    "vcrpy",
]
# Each extra that users install has a trial in this file.
TRIALS = "tests/release/try_extra.py"
EXTRAS = ["none", *re.findall(r"^def try_(?!one|none)(\w+)\(\)", (HERE / TRIALS).read_text("utf-8"), re.MULTILINE)]
# What tests an extra beside its trial, with the lowest versions that pyproject.toml allows.
TESTS_OF_EXTRAS = {
    "aio": ["tests/aio"],
    "arrow": ["tests/notebook/test_frames.py", "tests/bulk/test_files.py", "tests/bulk/test_columns.py"],
    "cli": ["tests/cli/test_calls.py", "tests/cli/test_help.py", "tests/cli/test_filters.py"],
    "frames": ["tests/test_columns.py"],
    "notebook": ["tests/notebook/test_terminal.py", "tests/notebook/test_progress.py"],
    "otel": ["tests/test_telemetry.py"],
    "pandas": ["tests/notebook/test_frames.py", "tests/notebook/test_catalogue.py"],
    "plot": ["tests/notebook/test_plots.py"],
    "polars": ["tests/notebook/test_frames.py", "tests/notebook/test_catalogue.py"],
    "server": ["tests/local/test_server.py", "tests/local/test_console.py"],
}
# What these tests need beside the extra, without which they would be skipped.
BESIDE_EXTRAS = {"frames": ["pandas", "polars", "pyarrow"], "otel": ["opentelemetry-sdk"]}
# Packages that programs of our users have beside ours.
NEIGHBOURS = ["awscli", "sagemaker", "awswrangler", "boto3-stubs[personalize-runtime]", "moto"]
# What the tests read beside themselves.
BESIDE_TESTS = ["conftest.py", "pyproject.toml", "README.md", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md"]


def pytest(session: nox.Session, *arguments: str, cwd: Path | None = None) -> None:
    """Run tests: those named after ``--`` on the command line, or the session's own on two workers."""
    with session.chdir(cwd or HERE):
        session.run("python", "-m", "pytest", *(session.posargs or ("-n", "2", *arguments)))


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
    copy = empty_directory(session, "copy")
    names: str = session.run("git", "ls-files", "-z", external=True, silent=True) or ""
    for name in filter(None, names.split("\0")):
        if (HERE / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(HERE / name, copy / name)
    return copy


def empty_directory(session: nox.Session, name: str) -> Path:
    """A directory of the session's own with nothing in it, away from the checkout."""
    directory = Path(session.create_tmp()).resolve() / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def away_from_the_checkout(session: nox.Session, root: Path, *names: str) -> Path:
    """A directory with the tests and what they read, but without the package: only the installed one can be found."""
    elsewhere = empty_directory(session, "elsewhere")
    for name in (*BESIDE_TESTS, *names):
        if (root / name).is_dir():
            shutil.copytree(root / name, elsewhere / name, ignore=shutil.ignore_patterns("__pycache__", "_build"))
        else:
            shutil.copy(root / name, elsewhere)
    return elsewhere


@nox.session(python=OLDEST_PYTHON, default=False, reuse_venv=True)
def check(session: nox.Session) -> None:
    """Before a push: ruff, import-linter, mypy, and all tests; or the tests named after ``--``."""
    session.install("-e", ".[cli,test,dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")
    session.run("mypy", "--strict")
    pytest(session)  # tests/twins too: nothing generated is stale
    session.log(f"left out, {LEFT_OUT}")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Every test, and every example of README and docs."""
    session.install("-e", ".[test]")
    pytest(session)


@nox.session(python=PYTHONS[1:], default=False)
def between(session: nox.Session) -> None:
    """The tests that may differ from one Python to the next, and no other session of CI runs on this one."""
    session.install("-e", ".[test]")
    rest = [] if session.python == SECOND_PYTHON else core_tests(HERE)
    pytest(session, *BETWEEN, *rest)


# On the newest Python, where coverage costs less, and everything runs once more.
@nox.session(python=NEWEST_PYTHON, default=False)
def coverage(session: nox.Session) -> None:
    """Every test with its coverage measured, in their child processes too; less than the floor fails."""
    session.install("-e", ".[test]", "coverage>=7.10")
    # The data stay out of the checkout. The tests of the children that coverage starts in set no other.
    if session.python != OLDEST_PYTHON:
        session.env["COVERAGE_CORE"] = "sysmon"
    session.env["COVERAGE_FILE"] = str(empty_directory(session, "coverage") / "data")
    session.run("coverage", "run", "-m", "pytest", *(session.posargs or ("-n", "2")))
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report", "--skip-covered", "--sort=miss", f"--fail-under={COVERED}")


@nox.session(python=False, default=False)
def spark(session: nox.Session) -> None:
    """Spark jobs on a session of this machine. Needs Java 17; `nox -s spark -- 3.5.9` takes that pyspark."""
    session.run(".ci/spark", *session.posargs, external=True)


@nox.session(python=OLDEST_PYTHON)
def lint(session: nox.Session) -> None:
    """ruff, mypy, pyright, import-linter, and no generated file is stale."""
    session.install("-e", ".[cli,test,docs,dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy", "--strict")
    session.run("pyright", "--project", "pyproject.toml", "--pythonpath", f"{session.bin}/python")
    session.run("lint-imports")
    session.run("python", "-m", "pytest", NOTHING_SKIPPED, "tests/twins")


@nox.session(python=OLDEST_PYTHON)
@nox.parametrize("stubs", [nox.param(False, id="without-stubs"), nox.param(True, id="with-stubs")])
def types(session: nox.Session, stubs: bool) -> None:
    """What mypy, pyright, pyrefly and ty make of the public API, with stubs for boto3 or without."""
    session.install(".[cli]", "mypy", "pyright[nodejs]", *YOUNG_CHECKERS)
    if stubs:
        session.install("boto3-stubs[personalize-runtime]")
    session.run("python", "tests/typing/check_types.py", "--stubs" if stubs else "--no-stubs")
    if not stubs:  # the bases of some errors, which are botocore's, have no types
        return
    # All public names have known types. Elsewhere: the settings of this checkout are not those of users.
    elsewhere = empty_directory(session, "elsewhere")
    (elsewhere / "pyrightconfig.json").write_text("{}")
    with session.chdir(elsewhere):
        session.run("pyright", "--verifytypes", "personalize_rt", "--ignoreexternal")


@nox.session(python=OLDEST_PYTHON)
def docs(session: nox.Session) -> None:
    """The pages without a warning, their notebooks and framework examples run, and the types of all examples."""
    session.install("-e", ".[test,docs,docs-examples]")
    html = str(HERE / "docs" / "_build" / "html")
    session.run("sphinx-build", "--nitpicky", "--fail-on-warning", "--fresh-env", "--quiet", "-b", "html", "docs", html)
    # The page on Spark has an environment of its own: .ci/spark.
    pages = ["docs/examples", "docs/how-to", "--ignore=docs/how-to/spark.md"]
    pytest(session, NOTHING_SKIPPED, *pages, "tests/test_encode.py", "tests/notebook/test_kernel.py")
    session.install("mypy", "pyright[nodejs]")
    session.run("python", "tests/typing/check_pages.py")


@nox.session(python=OLDEST_PYTHON, name="core-new")
def core_new(session: nox.Session) -> None:
    """The core with the newest boto3, and the drift of the service's model."""
    session.install("--upgrade", ".[test]", "boto3", "botocore")
    code = "import botocore; print('.'.join(botocore.__version__.split('.')[:2]))"
    newest = tuple(map(int, str(session.run("python", "-c", code, silent=True)).strip().split(".")))
    if newest < NEWEST_BOTOCORE:
        session.error(f"botocore {newest} is not new: something pins it")
    # The README's command has run them on the direct way, and `wheel` does on the plain one.
    pytest(session, "--send=through", *core_tests(HERE))


@nox.session(python=OLDEST_PYTHON, name="core-old")
def core_old(session: nox.Session) -> None:
    """The core with the oldest versions that it allows, and the oldest boto3 as a client of the embedded service."""
    session.install(".[test]", *OLDEST)
    pytest(session, *core_tests(HERE), "tests/congruence", "tests/local/test_apis.py")


@nox.session(python=OLDEST_PYTHON)
def aio(session: nox.Session) -> None:
    """The client for asyncio, on the botocore that aiobotocore pins: tests, transport, a minute of trouble, cost."""
    # aiobotocore has another session on httpx; our connections work on uvloop too.
    session.install(".[test,aio]", "httpx", "uvloop")
    elsewhere = away_from_the_checkout(session, HERE, "tests", "docs", "benchmarks")
    need_it = ["tests/aio", "tests/test_telemetry_async.py", "tests/local/test_moto.py"]
    pytest(session, NOTHING_SKIPPED, *need_it, cwd=elsewhere)
    if not session.posargs:
        pytest(session, "tests/transport", "tests/test_client.py", cwd=elsewhere)
        for way in ("through", "plain"):
            pytest(session, f"--send={way}", *(f"tests/aio/test_aio_{name}.py" for name in CONNECTING), cwd=elsewhere)
        with session.chdir(elsewhere):
            session.run("python", "-m", "benchmarks.soak", "--seconds", "60")
            session.run("python", "-m", "benchmarks.aio", "--at-most", "0.45")


@nox.session(python=OLDEST_PYTHON)
def wheel(session: nox.Session) -> None:
    """Wheel and source archive are built, looked into, and tested with the checkout out of the way."""
    copy = copy_of_checkout(session)
    dist = empty_directory(session, "dist")
    session.install("build", "hatchling", "hatch-vcs", "twine")
    session.run("python", "tests/release/check_builds.py", str(copy))
    session.run("python", "-m", "build", "--no-isolation", "--outdir", str(dist), str(copy))
    session.run("python", "tests/release/check_distribution.py", str(dist), str(copy))
    session.run("twine", "check", "--strict", *map(str, sorted(dist.iterdir())))
    (built,) = dist.glob("*.whl")
    session.install(f"{built}[test]")
    elsewhere = away_from_the_checkout(session, copy, "tests", "docs")
    shutil.rmtree(copy)
    with session.chdir(elsewhere):
        session.run("personalize-rt", "demo")
    # The README's command has run all tests on the direct way. These are of the package as it is installed, and those
    # that open connections, whose results on the plain way must be no others.
    installed = ["tests/release", "tests/api", "tests/cli", "tests/test_package.py"]
    connecting = ["tests/transport", "tests/resilience", "tests/test_client.py", "tests/test_secrets.py"]
    pytest(session, "--send=plain", *installed, *connecting, cwd=elsewhere)


@nox.session(python=OLDEST_PYTHON)
@nox.parametrize("extra", EXTRAS, ids=EXTRAS)
def extras(session: nox.Session, extra: str) -> None:
    """An extra is installed alone, and its feature tried; without any, the errors say what to install.

    At its lowest versions: the newest are those of the other sessions.
    """
    lowest_versions = ["--resolution", "lowest-direct"] if session.venv_backend == "uv" else []
    session.install(*lowest_versions, "." if extra == "none" else f".[{extra}]")
    # Not from here: the checkout would be found before the installed package.
    with session.chdir(empty_directory(session, "elsewhere")):
        session.run("python", str(HERE / TRIALS), extra)


@nox.session(python=OLDEST_PYTHON, default=False)
@nox.parametrize("extra", list(TESTS_OF_EXTRAS), ids=list(TESTS_OF_EXTRAS))
def lowest(session: nox.Session, extra: str) -> None:
    """An extra at the lowest versions that it allows: its trial, and its tests. Needs uv."""
    session.install("--resolution", "lowest-direct", f".[{extra}]")
    with session.chdir(empty_directory(session, "elsewhere")):
        session.run("python", str(HERE / TRIALS), extra)
    # What tests need beside it, at versions that go with it.
    said = str(session.run("uv", "pip", "freeze", "--exclude", "personalize-rt", external=True, silent=True))
    pins = empty_directory(session, "pins") / "pins.txt"
    # Not every line that nox hands over is uv's output: it says on stderr which environment it looks at.
    pins.write_text("\n".join(re.findall(r"^\S+==\S+$", said, re.MULTILINE)), encoding="utf-8")
    tools = ["hypothesis", "narwhals", "pytest", "pytest-timeout", "pytest-xdist", "sybil"]
    session.install("--constraint", str(pins), *tools, *BESIDE_EXTRAS.get(extra, []))
    elsewhere = away_from_the_checkout(session, HERE, "tests", "docs")
    pytest(session, *TESTS_OF_EXTRAS[extra], cwd=elsewhere)


@nox.session(python=OLDEST_PYTHON, default=False)
def resolve(session: nox.Session) -> None:
    """The package can be installed beside its users' others, at the newest and the oldest versions."""
    session.install("uv")
    session.run("python", "tests/release/resolve.py", *NEIGHBOURS)


@nox.session(python=OLDEST_PYTHON, default=False)
def sbom(session: nox.Session) -> None:
    """The bill of materials of an installation with the extras of users, in CycloneDX, to ``dist/sbom.cdx.json``."""
    users = ",".join(extra for extra in EXTRAS if extra not in ("none", "spark"))
    session.install(f".[{users}]")
    prefix = session.virtualenv.location
    out = Path(session.posargs[0] if session.posargs else HERE / "dist" / "sbom.cdx.json").resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    tool = empty_directory(session, "tool")
    session.run("uv", "venv", "--quiet", str(tool / "venv"), external=True)
    python = str(tool / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python")
    session.run("uv", "pip", "install", "--quiet", "--python", python, "cyclonedx-bom", external=True)
    arguments = ["environment", "--pyproject", str(HERE / "pyproject.toml"), "--output-reproducible", "--of", "JSON"]
    session.run(python, "-m", "cyclonedx_py", *arguments, "-o", str(out), prefix, external=True)


@nox.session(python=SECOND_PYTHON)
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
    pytest(session, "-p", "no:personalize_rt", *NEED_A_ROOM, *core_tests(copy), cwd=copy)


@nox.session(python=OLDEST_PYTHON, name="foreign-clients", default=False)
def foreign_clients(session: nox.Session) -> None:
    """The AWS CLI and the AWS SDK for JavaScript against the embedded service. Needs Node.js with npm."""
    session.install("-e", ".[test]")
    session.run(".ci/foreign-clients", f"{session.bin}/python", external=True)


@nox.session(python=OLDEST_PYTHON, default=False)
def console(session: nox.Session) -> None:
    """The page in a real browser: main paths at two widths and in both themes, and axe. Needs Chromium and npm.

    Screenshots go to ``build/console``, or to the directory that ``PERSONALIZE_RT_SCREENSHOTS`` names.
    """
    session.install("-e", ".[test]", "playwright>=1.48")
    session.run(".ci/console", f"{session.bin}/python", *session.posargs, external=True)


@nox.session(python=OLDEST_PYTHON, default=False)
def watchers(session: nox.Session) -> None:
    """Tracers and test doubles see and decide what they would with plain boto3, each in a process of its own."""
    session.install("-e", ".[test]", *WATCHERS)
    pytest(session, "-m", "foreign", NOTHING_SKIPPED, "tests/watchers")


@nox.session(python=OLDEST_PYTHON, default=False)
def guard(session: nox.Session) -> None:
    """No call has become much dearer than boto3's. With valgrind, no busy neighbour disturbs the figures."""
    session.install("-e", ".[cli]")
    session.run("python", "-m", "benchmarks.guard")


@nox.session(python=OLDEST_PYTHON, default=False)
def soak(session: nox.Session) -> None:
    """Threads, tasks and forks against a service in lasting trouble; ten minutes with ``-- --seconds 600``."""
    session.install(".[aio]")
    session.run("python", "-m", "benchmarks.soak", *(session.posargs or ["--seconds", "60"]))


@nox.session(python=OLDEST_PYTHON, default=False)
def benchmarks(session: nox.Session) -> None:
    """Measure against boto3 and others; the ratios go to benchmarks.json."""
    session.install(".[bench]")
    session.run("python", "-m", "benchmarks", *(session.posargs or ["--quick", "--json", "benchmarks.json"]))


@nox.session(python=OLDEST_PYTHON, default=False)
def api(session: nox.Session) -> None:
    """Write the list of public names and signatures anew, after a change that is meant."""
    session.install("-e", ".", "griffelib")
    session.run("python", "tests/api/test_public_api.py")


@nox.session(python=OLDEST_PYTHON, default=False)
def twins(session: nox.Session) -> None:
    """Write personalize_rt/_sync anew, after a change of personalize_rt/_async or of tests/twins/words.py."""
    session.install("ruff>=0.17,<0.18", "unasync>=0.6")
    session.run("python", "-m", "tests.twins.generate")


@nox.session(python=False, default=False)
def ci(session: nox.Session) -> None:
    """What must hold before a change is taken, from nothing but Python and pip."""
    session.run(".ci/run", external=True, env={"TMPDIR": os.environ.get("TMPDIR", "/tmp")})

"""The check of wheel and source archive sees what it is there to see."""

from __future__ import annotations

import io
import platform
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
PYTHON = platform.python_version().rpartition(".")[0]
INFO = "personalize_rt-1.0.dist-info"
METADATA = f"""\
Metadata-Version: 2.4
Name: personalize-rt
Version: 1.0
Summary: A client
License-Expression: Apache-2.0 AND MIT AND 0BSD
Classifier: Programming Language :: Python :: 3
Classifier: Programming Language :: Python :: {PYTHON}
Classifier: Typing :: Typed
Project-URL: Amazon Personalize, https://docs.aws.amazon.com/personalize/
Requires-Python: >=3.11
Requires-Dist: attrs>=23.2
Requires-Dist: boto3<2,>=1.40
Requires-Dist: tenacity>=8.2.3
Requires-Dist: rich>=13.7; extra == 'cli'
Description-Content-Type: text/markdown

# personalize-rt

The client.
"""
PACKAGE = ("__init__.py", "py.typed", "local/sample/LICENSE-MovieTweetings", "local/sample/items.csv")


@pytest.fixture(scope="module")
def script() -> Any:
    spec = spec_from_file_location("check_distribution", HERE / "check_distribution.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tmp_path: Path, script: Any) -> Path:
    root = tmp_path / "checkout"
    for name in (*script.IN_SOURCE_ARCHIVE, *(f"personalize_rt/{name}" for name in PACKAGE), "tests/data/x.json"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


@pytest.fixture
def built(tmp_path: Path, checkout: Path) -> Callable[..., Path]:
    """Builds a distribution; what is given stands in the archives instead, and ``None`` for not at all."""

    def build(wheel: Mapping[str, str | None] = {}, sdist: Mapping[str, str | None] = {}) -> Path:
        package: dict[str, str | None] = {f"personalize_rt/{name}": "x" for name in PACKAGE}
        info: dict[str, str | None] = {
            f"{INFO}/METADATA": METADATA,
            f"{INFO}/WHEEL": "Wheel-Version: 1.0",
            f"{INFO}/entry_points.txt": "[console_scripts]\npersonalize-rt = personalize_rt.cli:main\n",
            f"{INFO}/licenses/LICENSE": "x",
        }
        recorded = [*package, *info, f"{INFO}/RECORD"]
        info[f"{INFO}/RECORD"] = "".join(f"{name},,\n" for name in recorded)
        dist = tmp_path / "dist"
        dist.mkdir()
        with zipfile.ZipFile(dist / "personalize_rt-1.0-py3-none-any.whl", "w") as archive:
            for name, text in {**package, **info, **wheel}.items():
                if text is not None:
                    archive.writestr(name, text)
        files: dict[str, str | None] = {
            path.relative_to(checkout).as_posix(): "x" for path in checkout.rglob("*") if path.is_file()
        }
        with tarfile.open(dist / "personalize_rt-1.0.tar.gz", "w:gz") as archive:
            for name, text in {**files, "PKG-INFO": "x", **sdist}.items():
                if text is not None:
                    member = tarfile.TarInfo(f"personalize_rt-1.0/{name}")
                    member.size = len(text)
                    archive.addfile(member, io.BytesIO(text.encode()))
        return dist

    return build


def test_a_distribution_that_is_right_has_no_problems(script: Any, checkout: Path, built: Callable[..., Path]) -> None:
    assert script.check(built(), checkout, {}) == []


@pytest.mark.parametrize(
    ("wheel", "problem"),
    [
        ({"personalize_rt/py.typed": None}, "the wheel has no personalize_rt/py.typed"),
        ({"tests/test_client.py": "x"}, "the wheel has what the package has not: tests/test_client.py"),
        ({"personalize_rt/__pycache__/x.pyc": "x"}, "left behind: personalize_rt/__pycache__/x.pyc"),
        ({f"{INFO}/licenses/LICENSE": None}, "the wheel has no licence"),
        (
            {"personalize_rt/local/sample/LICENSE-MovieTweetings": None},
            "the sample's licence notice is not in the wheel",
        ),
        ({f"{INFO}/entry_points.txt": ""}, "the command personalize-rt is not in entry_points.txt"),
        ({f"{INFO}/RECORD": ""}, "RECORD does not name what is there"),
        (
            {f"{INFO}/METADATA": METADATA.replace("tenacity>=8.2.3", "tenacity>=8.2.3\nRequires-Dist: numpy")},
            "the core needs ['attrs', 'boto3', 'numpy', 'tenacity'], not ['attrs', 'boto3', 'tenacity']",
        ),
        (
            {
                f"{INFO}/METADATA": METADATA.replace(
                    "Python :: 3\n", "Python :: 3\nClassifier: Operating System :: OS/2\n"
                )
            },
            "nothing ran on what this claims: Operating System :: OS/2",
        ),
        (
            {f"{INFO}/METADATA": METADATA.replace(f":: {PYTHON}\n", ":: 3.99\n")},
            "nothing ran on what this claims: Programming Language :: Python :: 3.99",
        ),
        ({f"{INFO}/METADATA": METADATA.replace("# personalize-rt", "")}, "the description is not the README"),
        ({f"{INFO}/METADATA": METADATA.replace("Requires-Python: >=3.11\n", "")}, "Requires-Python is missing"),
        ({f"{INFO}/METADATA": METADATA.replace("Project-URL", "X-URL")}, "Project-URL is missing"),
        ({f"{INFO}/METADATA": METADATA.replace("https:", "file:")}, "no link: Amazon Personalize, file:"),
        (
            {f"{INFO}/METADATA": METADATA.replace("rich>=13.7", "rich @ git+https://example.com/rich")},
            "a requirement is no name of a package: rich @ git+https://example.com/rich; extra == 'cli'",
        ),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_each_problem_of_a_wheel_is_named(
    script: Any, checkout: Path, built: Callable[..., Path], wheel: Mapping[str, str | None], problem: str
) -> None:
    found = script.check(built(wheel=wheel), checkout, {})
    assert any(line.startswith(problem) for line in found), found


@pytest.mark.parametrize(
    ("sdist", "problem"),
    [
        ({"SECURITY.md": None}, "the source archive has no SECURITY.md"),
        ({"tests/data/x.json": None}, "the source archive has no tests/data/x.json"),
        ({"personalize_rt/py.typed": None}, "the source archive has no personalize_rt/py.typed"),
        ({".venv/pyvenv.cfg": "x"}, "left behind: .venv/pyvenv.cfg"),
        ({"notes.txt": "x"}, "the source archive has what the checkout has not: notes.txt"),
        ({"../outside": "x"}, "a file outside: ../outside"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_each_problem_of_a_source_archive_is_named(
    script: Any, checkout: Path, built: Callable[..., Path], sdist: Mapping[str, str | None], problem: str
) -> None:
    assert problem in script.check(built(sdist=sdist), checkout, {})


def test_versions_that_other_runs_vouch_for_may_be_claimed(script: Any) -> None:
    claimed = ["Typing :: Typed", "Programming Language :: Python :: 3.99"]
    assert list(script.problems_of_classifiers(claimed, ["3.99"])) == []


def test_a_directory_without_both_archives_is_a_problem(script: Any, tmp_path: Path) -> None:
    assert "0 wheels and 0 source archives" in script.check(tmp_path, tmp_path, {})[0]

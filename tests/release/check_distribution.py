"""What is in the wheel and the source archive: all that belongs there, and nothing else.

::

    python tests/release/check_distribution.py DIST [CHECKOUT]

*DIST* holds one wheel and one source archive; *CHECKOUT* (by default this one) is what they were built from.
Classifiers may only claim the system and the Python that run this script, and the versions of Python that the variable
``RAN_ON`` names (``RAN_ON="3.12 3.13"``) or ``recorded_runs.txt`` has a line for.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from email.message import Message
from email.parser import BytesParser
from pathlib import Path, PurePosixPath

CORE = {"attrs", "boto3", "tenacity"}
LARGEST_SAMPLE = 1_500_000  # bytes, packed
LARGEST_WHEEL = 3_000_000
# What nobody who builds from the source archive can do without: the package, and its tests and pages with their data.
IN_SOURCE_ARCHIVE = (
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "conftest.py",
    "docs/index.md",
    "noxfile.py",
    "personalize_rt/py.typed",
    "pyproject.toml",
    "tests/conftest.py",
)
_LEFT_BEHIND = {"__pycache__", ".git", ".venv", ".nox", "dist", "build", ".hypothesis", ".DS_Store", "node_modules"}


def problems_of_wheel(wheel: Path, checkout: Path, ran_on: Iterable[str]) -> Iterator[str]:
    """What is wrong with a wheel, one line each."""
    with zipfile.ZipFile(wheel) as archive:
        sizes = {entry.filename: entry.compress_size for entry in archive.infolist()}
        own = [name for name in sizes if PurePosixPath(name).parts[0].endswith(".dist-info")]
        of_metadata = {PurePosixPath(name).name: archive.read(name) for name in own}
    metadata = BytesParser().parsebytes(of_metadata.get("METADATA", b""))
    yield from _differences("wheel", set(sizes) - set(own), package_files(checkout))
    yield from _problems_of_names(sizes)
    if "licenses" not in {part for name in own for part in PurePosixPath(name).parts}:
        yield "the wheel has no licence"
    sample = [name for name in sizes if name.startswith("personalize_rt/local/sample/")]
    if not any("LICENSE" in name for name in sample):
        yield "the sample's licence notice is not in the wheel"
    yield from _too_large("the sample", sum(sizes[name] for name in sample), LARGEST_SAMPLE)
    yield from _too_large("the wheel", sum(sizes.values()), LARGEST_WHEEL)
    yield from problems_of_metadata(metadata, ran_on)
    if b"personalize-rt = personalize_rt.cli:main" not in of_metadata.get("entry_points.txt", b""):
        yield "the command personalize-rt is not in entry_points.txt"
    recorded = {line.partition(",")[0] for line in of_metadata.get("RECORD", b"").decode().splitlines()}
    if recorded != set(sizes):
        yield f"RECORD does not name what is there: {sorted(recorded ^ set(sizes))}"


def problems_of_metadata(metadata: Message, ran_on: Iterable[str]) -> Iterator[str]:
    """What is wrong with what the index would show."""
    if metadata["Name"] != "personalize-rt":
        yield f"the name is {metadata['Name']}"
    needs: list[str] = metadata.get_all("Requires-Dist", [])
    core = {re.split(r"[^\w-]", need)[0] for need in needs if "extra ==" not in need}
    if core != CORE:
        yield f"the core needs {sorted(core)}, not {sorted(CORE)}"
    for need in needs:
        if "@" in need.partition(";")[0]:
            yield f"a requirement is no name of a package: {need}"
    links: list[str] = metadata.get_all("Project-URL", [])
    if not links:
        yield "Project-URL is missing"
    yield from (f"no link: {link}" for link in links if not re.fullmatch(r"[^,]+, https://\S+", link))
    for field in ("Requires-Python", "License-Expression", "Summary", "Description-Content-Type", "Version"):
        if not metadata[field]:
            yield f"{field} is missing"
    if not str(metadata.get_payload()).startswith("# personalize-rt"):
        yield "the description is not the README"
    yield from problems_of_classifiers(metadata.get_all("Classifier", []), ran_on)


def problems_of_classifiers(classifiers: Iterable[str], ran_on: Iterable[str]) -> Iterator[str]:
    """Classifiers that claim what nothing ran on."""
    pythons = {"3", *ran_on}
    systems = {"Linux": ("POSIX", "POSIX :: Linux"), "Darwin": ("MacOS", "MacOS :: MacOS X")}.get(
        platform.system(), ("Microsoft", "Microsoft :: Windows")
    )
    for classifier in classifiers:
        kind, _, claim = classifier.partition(" :: ")
        if kind == "Programming Language":
            _, _, version = claim.partition(" :: ")
            if version and version not in pythons and version != "3 :: Only":
                yield f"nothing ran on what this claims: {classifier}"
        if kind == "Operating System" and claim not in systems:
            yield f"nothing ran on what this claims: {classifier}"
    if "Typing :: Typed" not in classifiers:
        yield "the classifier Typing :: Typed is missing"


def problems_of_source_archive(sdist: Path, checkout: Path) -> Iterator[str]:
    """What is wrong with a source archive, one line each."""
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    for member in members:
        if not (member.isfile() or member.isdir()):
            yield f"the source archive has what is no file: {member.name}"
    names = {PurePosixPath(member.name) for member in members if member.isfile()}
    roots = {name.parts[0] for name in names}
    if roots != {sdist.name.removesuffix(".tar.gz")}:
        yield f"the source archive unpacks to {sorted(roots)}"
    files = {PurePosixPath(*name.parts[1:]).as_posix() for name in names}
    yield from _problems_of_names(files)
    yield from (f"the source archive has no {name}" for name in IN_SOURCE_ARCHIVE if name not in files)
    in_package = {name for name in files if name.startswith("personalize_rt/")}
    yield from _differences("source archive", in_package, package_files(checkout))
    tests = {f"tests/{name}" for name in _files(checkout / "tests")}
    yield from (f"the source archive has no {name}" for name in sorted(tests - files))
    strangers = {name for name in files if not (checkout / name).is_file()} - {"PKG-INFO"}
    yield from (f"the source archive has what the checkout has not: {name}" for name in sorted(strangers))


def package_files(checkout: Path) -> set[str]:
    """The files of the package in a checkout."""
    return {f"personalize_rt/{name}" for name in _files(checkout / "personalize_rt")}


def _files(directory: Path) -> set[str]:
    found = (path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if _LEFT_BEHIND.isdisjoint(path.parts)}


def _differences(what: str, packed: set[str], tree: set[str]) -> Iterator[str]:
    yield from (f"the {what} has no {name}" for name in sorted(tree - packed))
    yield from (f"the {what} has what the package has not: {name}" for name in sorted(packed - tree))


def _problems_of_names(names: Iterable[str]) -> Iterator[str]:
    for name in sorted(names):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            yield f"a file outside: {name}"
        if not _LEFT_BEHIND.isdisjoint(path.parts) or path.suffix in {".pyc", ".orig", ".rej", ".env", ".pem"}:
            yield f"left behind: {name}"


def _too_large(what: str, size: int, limit: int) -> Iterator[str]:
    if size > limit:
        yield f"{what} takes {size:,} bytes, over {limit:,}"


def recorded_runs() -> list[str]:
    """The Pythons with a recorded run of CI."""
    lines = (Path(__file__).parent / "recorded_runs.txt").read_text("utf-8").splitlines()
    return [line.split()[0] for line in lines if line and not line.startswith("#")]


def check(dist: Path, checkout: Path, environ: Mapping[str, str]) -> list[str]:
    """Every problem of a directory with one wheel and one source archive."""
    wheels, sdists = sorted(dist.glob("*.whl")), sorted(dist.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sdists) != 1:
        return [f"{dist} holds {len(wheels)} wheels and {len(sdists)} source archives, not one of each"]
    ran_on = [platform.python_version().rpartition(".")[0], *environ.get("RAN_ON", "").split(), *recorded_runs()]
    return [
        *problems_of_wheel(wheels[0], checkout, ran_on),
        *problems_of_source_archive(sdists[0], checkout),
    ]


def main(arguments: list[str]) -> int:
    """Print the problems; the exit status is 1 when there are some."""
    if not 1 <= len(arguments) <= 2:
        print(__doc__)
        return 2
    dist = Path(arguments[0])
    problems = check(dist, Path(*arguments[1:2] or [Path(__file__).parents[2]]), os.environ)
    for problem in problems:
        print(problem)
    if not problems:
        sizes = ", ".join(f"{path.name} {path.stat().st_size:,} bytes" for path in sorted(dist.iterdir()))
        print(f"all that belongs there, and nothing else: {sizes}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Builds of a checkout: the same files make the same bytes, and the version is that of the tag.

::

    python tests/release/check_builds.py CHECKOUT

Needs build, hatchling and hatch-vcs in this environment, and git. *CHECKOUT* is a directory without ``.git``; it is
copied, and left alone.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

TAG = "v7.8.9rc1"
_GIT = ("git", "-c", "user.name=CI", "-c", "user.email=ci@localhost", "-c", "commit.gpgsign=false")


def builds(checkout: Path, dist: Path) -> dict[str, str]:
    """Build the source archive, and of it the wheel; their digests by their names."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), str(checkout)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{done.stdout}{done.stderr}")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(dist.iterdir())}


def problems_of(checkout: Path, work: Path) -> Iterator[str]:
    """What is wrong with the builds, one line each."""
    one, other = work / "one", work / "other"
    shutil.copytree(checkout, one)
    for arguments in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message", "x"), ("tag", TAG)):
        subprocess.run([*_GIT, *arguments], cwd=one, check=True)
    # Another directory, other times, and the permissions of another umask.
    shutil.copytree(one, other)
    for path in other.rglob("*"):
        if ".git" not in path.parts and path.is_file():
            os.utime(path, (1, 1_000_000_000))
            path.chmod(path.stat().st_mode & 0o700)
    first, second = builds(one, work / "first"), builds(other, work / "second")
    yield from (f"two builds differ: {name}" for name, digest in first.items() if second.get(name) != digest)
    version = TAG.removeprefix("v")
    wheel = f"personalize_rt-{version}-py3-none-any.whl"
    if set(first) != {wheel, f"personalize_rt-{version}.tar.gz"}:
        yield f"the tag is {TAG}, and these were built: {', '.join(first)}"
        return
    with zipfile.ZipFile(work / "first" / wheel) as archive:
        text = archive.read("personalize_rt/_version.py").decode()
    if f'__version__ = "{version}"' not in text:
        yield f"the package says another version than its tag {TAG}: {text}"


def main(arguments: list[str]) -> int:
    """Print the problems; the exit status is 1 when there are some."""
    if len(arguments) != 1:
        print(__doc__)
        return 2
    with tempfile.TemporaryDirectory() as work:
        problems = list(problems_of(Path(arguments[0]), Path(work)))
    print("\n".join(problems or [f"two builds of {TAG} are the same to the byte"]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

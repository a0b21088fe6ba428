"""This package and what it needs, as a zip that Python imports from."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import IO

from personalize_rt._version import __version__
from personalize_rt.files import EVERYBODY, replace_file

__all__ = ["dependencies_zip"]

# What is written in Python alone. boto3 reads files of its own and pyarrow is compiled: a zip holds neither.
_PACKAGES = ("personalize_rt", "attr", "attrs", "tenacity")
# Of no use to a worker: the sample is read from a directory.
_LEFT_OUT = ("personalize_rt/local/sample/",)
# One content, one zip: Spark refuses a second file of the same name with other bytes.
_DATE = (1980, 1, 1, 0, 0, 0)

_directories: list[tempfile.TemporaryDirectory[str]] = []


def dependencies_zip(path: str | os.PathLike[str] | None = None) -> str:
    """Write a zip that lets Python workers import this package, for ``SparkContext.addPyFile``.

    It holds this package (without the sample of the embedded Personalize), attrs and tenacity, as this interpreter has
    them. The workers need Python 3.11 or newer, pyarrow and boto3 of their own: no zip can carry these. The content
    depends on the packages alone, so that the same versions give the same bytes.

    Args:
        path: Where to write it; what is there is replaced at once or not at all. ``None`` for a file that goes when
            this process ends, which is when Spark has no use for it any more.

    Returns:
        The path of the zip.

    Raises:
        OSError: It cannot be written.
    """
    if path is None:
        directory = tempfile.TemporaryDirectory(prefix="personalize-rt-")
        _directories.append(directory)  # it goes with this process
        target = Path(directory.name, f"personalize_rt-{__version__}-dependencies.zip")
    else:
        target = Path(path)
    replace_file(target, _write, permissions=EVERYBODY, shared=True)
    return str(target)


def _write(file: IO[bytes]) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in sorted(_files()):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)


def _files() -> Iterator[tuple[str, bytes]]:
    for package in _PACKAGES:
        loaded = import_module(package)
        for root in map(Path, loaded.__path__):
            if not root.is_dir():
                raise FileNotFoundError(f"{package} was itself imported from a zip: ship that one ({root})")
            for file in root.rglob("*"):
                name = file.relative_to(root.parent).as_posix()
                if file.is_file() and _wanted(name):
                    yield name, file.read_bytes()


def _wanted(name: str) -> bool:
    return "__pycache__/" not in name and not name.startswith(_LEFT_OUT)

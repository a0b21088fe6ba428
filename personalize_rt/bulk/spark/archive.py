"""A zip of this package and its dependencies, from which Python can import."""

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

# Pure Python packages. Not boto3, which reads files of its own, nor pyarrow, which is compiled.
_PACKAGES = ("personalize_rt", "attr", "attrs", "tenacity")
# The sample, and the files of the page, can only be read from a directory.
_LEFT_OUT = ("personalize_rt/local/sample/", "personalize_rt/local/console/")
# A fixed date, so that equal content makes equal zips: Spark refuses another file of the same name.
_DATE = (1980, 1, 1, 0, 0, 0)

_directories: list[tempfile.TemporaryDirectory[str]] = []


def dependencies_zip(path: str | os.PathLike[str] | None = None) -> str:
    """Write a zip that lets Python workers import this package, for ``SparkContext.addPyFile``.

    It holds this package (without the sample and the page of the embedded Personalize), attrs and tenacity, in the
    versions of this interpreter. The workers need Python 3.11 or newer, pyarrow and boto3 of their own, which cannot be
    in a zip. The same versions give the same bytes.

    Args:
        path: The path of the zip; an existing file is replaced atomically. ``None`` for a temporary file, which is
            removed when this process ends.

    Returns:
        The path of the zip.

    Raises:
        OSError: The zip cannot be written.
    """
    if path is None:
        directory = tempfile.TemporaryDirectory(prefix="personalize-rt-")
        _directories.append(directory)  # keeps it until this process ends
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

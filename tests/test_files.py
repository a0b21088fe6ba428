"""Files appear as a whole or not at all, and survive a crash: content synced, file renamed, directory synced."""

from __future__ import annotations

import os
import stat
import threading
import zipfile
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from personalize_rt import files
from personalize_rt.bulk.checkpoint import Checkpoint
from personalize_rt.bulk.spark.archive import dependencies_zip
from personalize_rt.files import EVERYBODY, OWNER, Folder, create_file, replace_file
from personalize_rt.rerank import storage
from personalize_rt.testing.cassette import Cassette


def text(content: str) -> Callable[[Any], Any]:
    return lambda file: file.write(content.encode())


def checkpoint(path: Path) -> None:
    done = Checkpoint(path)
    done.add(0)
    done.save()


def in_folder(path: Path) -> None:
    folder = Folder(path.parent)
    folder.replace(path.name, b"new")
    folder.close()


WAYS: dict[str, Callable[[Path], object]] = {
    "replace_file": lambda path: replace_file(path, text("new")),
    "create_file": lambda path: create_file(path, text("new")),
    "Folder.replace": in_folder,
    "checkpoint": checkpoint,
    "scorer": lambda path: storage.save(path, storage.Stored("Toy", {}, {"c": array("d", [1.0])})),
    "cassette": lambda path: Cassette([]).save(path),
    "zip": dependencies_zip,
}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done to the disk, in order: syncs of files and directories, renames."""
    done: list[str] = []
    fsync = os.fsync

    def synced(handle: int) -> None:
        done.append("sync directory" if stat.S_ISDIR(os.fstat(handle).st_mode) else "sync file")
        fsync(handle)

    def watched(call: Callable[..., Any]) -> Callable[..., Any]:
        def named(*arguments: Any, **options: Any) -> Any:
            done.append("name")
            return call(*arguments, **options)

        return named

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", watched(os.replace))
    monkeypatch.setattr(os, "link", watched(os.link))
    return done


@pytest.mark.parametrize("way", WAYS)
def test_every_file_is_synced_then_named_then_its_directory_is_synced(
    way: str, tmp_path: Path, steps: list[str]
) -> None:
    WAYS[way](tmp_path / "file")
    assert steps == ["sync file", "name", "sync directory"]
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("way", WAYS)
def test_a_file_is_for_its_owner_unless_it_is_meant_for_others(way: str, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        WAYS[way](tmp_path / "file")
    finally:
        os.umask(before)
    meant_for_others = way in ("scorer", "cassette", "zip")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == (0o644 if meant_for_others else 0o600)


@pytest.mark.parametrize("permissions", [OWNER, EVERYBODY])
def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path: Path, permissions: int) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail(file: Any) -> None:
        file.write(b"half")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        replace_file(path, fail, permissions=permissions)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", ["folder", "absent/file", ""])
def test_an_error_names_the_file_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, shared: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError) as caught:  # noqa: PT011  # its kind differs, its name is the point
        replace_file(name, text("new"), shared=shared)
    assert (caught.value.filename, caught.value.filename2) == (name, None)
    assert os.listdir(tmp_path) == ["folder"]


def test_writers_of_a_shared_file_do_not_see_each_other(tmp_path: Path) -> None:
    """With one name for both, the second would put the first one's half in place."""
    path, other, go_on = tmp_path / "file", threading.Event(), threading.Event()

    def slowly(file: Any) -> None:
        file.write(b"first, ")
        other.set()
        assert go_on.wait(20)
        file.write(b"whole")

    first = threading.Thread(target=replace_file, args=(path, slowly), kwargs={"shared": True})
    first.start()
    assert other.wait(20)
    replace_file(path, text("second"), shared=True)
    assert path.read_text() == "second"
    go_on.set()
    first.join(20)
    assert path.read_text() == "first, whole"
    assert os.listdir(tmp_path) == ["file"]


def test_a_crash_leaves_one_file_at_most_beside_one_of_a_single_writer(tmp_path: Path) -> None:
    left = Path(files.beside(tmp_path / "file", shared=False))
    left.write_text("half")
    replace_file(tmp_path / "file", text("new"))
    assert os.listdir(tmp_path) == ["file"]


def test_a_directory_that_may_be_written_but_not_read_takes_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def refuse(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if Path(path) == tmp_path:  # as for any user but root
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    replace_file(tmp_path / "file", text("new"))
    assert (tmp_path / "file").read_text() == "new"


def test_a_zip_is_the_same_whatever_the_umask(tmp_path: Path) -> None:
    with zipfile.ZipFile(dependencies_zip(tmp_path / "zip")) as packed:
        assert {entry.external_attr >> 16 for entry in packed.infolist()} == {0o644}

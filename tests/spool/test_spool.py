"""Records of a spool survive their process, each is claimed by one process, and nothing is lost in silence."""

from __future__ import annotations

import errno
import logging
import os
import re
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from personalize_rt import spool
from personalize_rt.errors import ValidationError
from personalize_rt.segments import _FRAME, _MARK
from personalize_rt.spool import Mark, Spool, SpoolError, SpoolFullError
from tests.optional import optional

pytestmark = pytest.mark.skipif(os.stat not in os.supports_dir_fd, reason="this system has no locks of files")
optional("fcntl")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "events"


def crash(there: Spool) -> None:
    """Close the files of a spool, as the end of its process does."""
    there._leave()
    there._folder.close()


def left(directory: Path) -> list[bytes]:
    """The records that the next process finds; it ends then."""
    there = Spool(directory)
    found = [record for _, record in there.recovered()]
    crash(there)
    return found


def segments(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.suffix == ".spool")


def written(directory: Path, *records: bytes) -> Path:
    """The segment of a process that wrote these records and ended."""
    before = set(segments(directory)) if directory.exists() else set()
    there = Spool(directory)
    for record in records:
        there.append(record)
    crash(there)
    (path,) = set(segments(directory)) - before
    return path


def fill(there: Spool, record: bytes) -> tuple[list[Mark], str]:
    """The marks of as many records as there is room for, and the error of the next one."""
    marks: list[Mark] = []
    while len(marks) < 10_000:
        try:
            marks.append(there.append(record))
        except SpoolFullError as error:
            return marks, str(error)
    raise AssertionError("the spool has no limit")


# Records


def test_a_record_is_there_after_its_process_until_it_is_done(directory: Path) -> None:
    there = Spool(directory)
    marks = [there.append(b"%d" % n) for n in range(5)]
    there.done(marks[1:3])
    crash(there)
    assert left(directory) == [b"0", b"3", b"4"]
    assert left(directory) == [b"0", b"3", b"4"]  # the recovering process crashed too


def test_what_was_recovered_and_done_is_gone(directory: Path) -> None:
    written(directory, b"one", b"two")
    there = Spool(directory)
    recovered = list(there.recovered())
    assert [record for _, record in recovered] == [b"one", b"two"]
    there.done([recovered[0][0]])
    crash(there)
    assert left(directory) == [b"two"]
    there = Spool(directory)
    there.done(mark for mark, _ in there.recovered())
    there.close()
    assert os.listdir(directory) == []


def test_a_record_that_is_done_at_once_does_not_take_those_with_it_that_are_not_read_yet(directory: Path) -> None:
    written(directory, b"first", b"second")
    there = Spool(directory)
    mark, record = next(there.recovered())
    assert record == b"first"
    there.done([mark])
    crash(there)
    assert left(directory) == [b"second"]


def test_a_segment_that_was_left_with_nothing_to_do_is_removed(directory: Path) -> None:
    crash(Spool(directory))
    there = Spool(directory)
    assert len(segments(directory)) == 2
    assert [*there.recovered()] == []
    assert len(segments(directory)) == 1
    there.close()


def test_records_are_recovered_from_the_oldest_on(directory: Path) -> None:
    for n in range(3):
        written(directory, b"%d-a" % n, b"%d-b" % n)
    assert left(directory) == [b"0-a", b"0-b", b"1-a", b"1-b", b"2-a", b"2-b"]


def test_a_record_may_be_empty_and_any_bytes_but_not_too_long(directory: Path) -> None:
    there = Spool(directory)
    records = [b"", b"\0" * 100, _MARK * 50, bytes(range(256)), b"x" * spool.LONGEST]
    for record in records:
        there.append(record)
    with pytest.raises(SpoolError, match=r"a record of 65,537 bytes is too long for a spool, which takes 65,536"):
        there.append(b"x" * (spool.LONGEST + 1))
    crash(there)
    assert left(directory) == records


def test_segments_are_bounded_and_each_is_removed_when_all_of_it_is_done(directory: Path) -> None:
    there = Spool(directory, segment_bytes=1_000)
    marks = [there.append(b"x" * 100) for _ in range(30)]
    files = segments(directory)
    assert len(files) >= 4
    assert all(path.stat().st_size <= 1_000 for path in files)
    there.done(marks[1:])
    assert segments(directory) == [files[0], files[-1]]  # one record is pending in the first, and the last is open
    there.done(marks[:1])
    assert segments(directory) == [files[-1]]
    there.close()
    assert os.listdir(directory) == []


def test_the_open_segment_is_emptied_when_all_of_it_is_done(directory: Path) -> None:
    # User ids of events that were sent do not stay on the disk of an idle process.
    there = Spool(directory)
    for _ in range(3):
        there.done([there.append(b"u-secret")])
    (path,) = segments(directory)
    assert b"u-secret" not in path.read_bytes()
    there.append(b"next")
    crash(there)
    assert left(directory) == [b"next"]


def test_a_mark_stays_of_one_record_when_its_segment_was_emptied(directory: Path) -> None:
    there = Spool(directory)
    old = there.append(b"old")
    there.done([old])
    there.append(b"new")
    there.done([old, old])
    crash(there)
    assert left(directory) == [b"new"]


def test_close_keeps_what_is_not_done_and_refuses_what_comes_after(directory: Path) -> None:
    there = Spool(directory)
    mark = there.append(b"kept")
    there.close()
    there.close()
    there.done([mark])
    assert list(there.recovered()) == []
    with pytest.raises(SpoolError, match=r"the spool in .*events is closed"):
        there.append(b"late")
    assert left(directory) == [b"kept"]


def test_an_acknowledgement_that_cannot_be_written_is_no_error(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Spool(directory)
    marks = [there.append(b"%d" % n) for n in range(3)]

    def broken(*_: Any) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", broken)
        there.done(marks[:1])
    crash(there)
    assert left(directory) == [b"0", b"1", b"2"]


# Crashes at any byte


def test_of_a_file_cut_off_at_any_byte_the_whole_records_are_there(directory: Path) -> None:
    records = [b"first", b"", _MARK + b"third", b"fourth"]
    path = written(directory, *records)
    content = path.read_bytes()
    sizes = [spool._BEGIN]
    for record in records:
        sizes.append(sizes[-1] + _FRAME.size + len(record))
    assert sizes[-1] == len(content)
    for size in range(len(content) + 1):
        path.write_bytes(content[:size])
        whole = sum(size >= end for end in sizes[1:])
        there = Spool(directory)
        assert [record for _, record in there.recovered()] == records[:whole], size
        assert there.torn == (size > spool._BEGIN and size not in sizes), size
        assert there.set_aside == {}, size
        there._leave()
        there._folder.close()


@pytest.mark.parametrize("value", [0, 0xFF, 0x5A])
def test_a_wrong_byte_anywhere_costs_one_record_at_most_and_is_named(directory: Path, value: int) -> None:
    records = [b"record %d" % n for n in range(3)]
    path = written(directory, *records)
    after = written(directory, b"a later segment")
    content = path.read_bytes()
    for position in range(spool._BEGIN, len(content)):
        if content[position] == value:
            continue
        path.write_bytes(content[:position] + bytes([value]) + content[position + 1 :])
        there = Spool(directory)
        found = [record for _, record in there.recovered()]
        assert found[-1] == b"a later segment"
        assert set(found[:-1]) <= set(records)
        # The first byte of a frame says only whether it is done; a length that is too large looks like a torn record.
        is_state = (position - spool._BEGIN) % (_FRAME.size + 8) == 0
        assert len(found) == (4 if is_state else 3), position
        assert is_state or there.torn + len(there.set_aside) == 1, position
        crash(there)
    assert after.exists()


def test_a_damaged_segment_is_kept_for_a_person_when_its_whole_records_are_done(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(directory, b"before", b"u-secret", b"after")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"u-secret", b"u-SECRET"))
    there = Spool(directory)
    with caplog.at_level(logging.WARNING, "personalize_rt"):
        recovered = list(there.recovered())
    assert [record for _, record in recovered] == [b"before", b"after"]
    assert "is damaged: its whole records are taken, and it is kept under the name *.damaged" in caplog.text
    assert str(path) in caplog.text
    assert "secret" not in caplog.text.lower()
    there.done(mark for mark, _ in recovered)
    there.close()
    assert os.listdir(directory) == [path.with_suffix(".damaged").name]
    assert left(directory) == []


def test_a_record_cannot_contain_a_frame(directory: Path) -> None:
    # A frame of another segment, in a record that is damaged: its checksum has another seed.
    inner = written(directory, b"forged").read_bytes()[spool._BEGIN :]
    path = written(directory, b"begin" + inner + b"end", b"next")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"begin", b"BEGIN"))
    assert left(directory) == [b"forged", b"next"]  # that of the first segment, and none of the second


# Two processes


def test_of_two_living_spools_neither_takes_the_records_of_the_other(directory: Path) -> None:
    one, other = Spool(directory), Spool(directory)
    one.append(b"one")
    other.append(b"other")
    assert list(one.recovered()) == list(other.recovered()) == []
    crash(one)
    ((mark, record),) = other.recovered()
    assert record == b"one"
    third = Spool(directory)
    assert list(third.recovered()) == []
    other.done([mark])
    other.close()
    assert [record for _, record in third.recovered()] == [b"other"]
    third.close()


def test_a_forked_child_opens_segments_of_its_own(directory: Path, forked: Any) -> None:
    there = Spool(directory)
    mark = there.append(b"of the parent")

    def in_child() -> Any:
        there.done([mark])  # passed over
        there.append(b"of the child")
        return sorted(record for _, record in there.recovered())  # the parent lives

    assert forked(in_child) == "[]"
    ((_, record),) = there.recovered()
    assert record == b"of the child"
    there.append(b"after the fork")
    crash(there)
    assert left(directory) == [b"of the parent", b"after the fork", b"of the child"]


def test_a_child_that_lives_on_does_not_hold_the_segments_of_its_parent(directory: Path, forked: Any) -> None:
    reading, writing = os.pipe()

    def parent() -> object:
        there = Spool(directory)
        there.append(b"of the parent")
        if os.fork() == 0:
            os.read(reading, 1)
            os._exit(0)
        return "ended"

    assert forked(parent) == "ended"
    try:
        assert left(directory) == [b"of the parent"]
    finally:
        os.write(writing, b"x")
        os.close(reading)
        os.close(writing)


def test_a_fork_while_a_thread_holds_the_lock_leaves_a_usable_spool(directory: Path, forked: Any) -> None:
    there = Spool(directory)
    assert forked(lambda: type(there.append(b"x")).__name__, holding=there._lock) == "tuple"
    there.close()


def test_threads_share_a_spool(directory: Path) -> None:
    there = Spool(directory, segment_bytes=2_000)
    begin = threading.Barrier(4)

    def work(name: int) -> None:
        begin.wait(20)
        for n in range(100):
            mark = there.append(b"%d-%d" % (name, n))
            if n % 2:
                there.done([mark])

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    crash(there)
    assert sorted(left(directory)) == sorted(b"%d-%d" % (name, n) for name in range(4) for n in range(0, 100, 2))


def test_a_new_segment_that_another_process_took_for_an_old_one_is_made_again(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Spool(directory)
    there = Spool(directory)
    plain = there._take_lock
    raced: list[str] = []

    def take_lock(file: Any, name: str) -> bool:
        if not raced:
            raced.append(name)
            assert list(other.recovered()) == []
        return plain(file, name)

    with monkeypatch.context() as patch:
        patch.setattr(there, "_take_lock", take_lock)
        there._current = None
        there.append(b"kept")
    assert raced
    crash(there)
    assert [record for _, record in other.recovered()] == [b"kept"]
    other.close()


def test_a_segment_that_another_process_finishes_meanwhile_is_passed_over(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(directory, b"x")
    written(directory, b"y")
    there = Spool(directory)
    plain = there._folder.names

    def names() -> list[str]:
        found = plain()
        path.unlink()
        return found

    monkeypatch.setattr(there._folder, "names", names)
    assert [record for _, record in there.recovered()] == [b"y"]
    assert there.set_aside == {}
    there.close()


# Limits


def test_a_spool_at_its_limit_says_so_and_goes_on_when_there_is_room(directory: Path) -> None:
    there = Spool(directory, segment_bytes=1_000, total_bytes=3_000)
    marks, error = fill(there, b"x" * 100)
    assert re.search(r"events holds .* bytes, and has no room for another segment of 1,000: its limit is 3,000", error)
    assert 10 <= len(marks) < 30
    assert sum(path.stat().st_size for path in directory.iterdir()) <= 3_000
    there.done(marks[:10])
    there.append(b"x" * 100)
    there.close()


def test_a_spool_that_was_left_full_can_be_opened_and_recovered(directory: Path) -> None:
    there = Spool(directory, segment_bytes=1_000, total_bytes=2_000)
    fill(there, b"x" * 100)
    crash(there)
    again = Spool(directory, segment_bytes=1_000, total_bytes=2_000)
    with pytest.raises(SpoolFullError):
        again.append(b"y")
    again.done(mark for mark, _ in again.recovered())
    again.append(b"y")
    again.close()


def test_a_record_that_the_disk_refuses_leaves_no_trace(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = Spool(directory)
    there.append(b"before")
    plain = os.pwrite

    def full(handle: int, text: Any, offset: int) -> int:
        if len(text) < 40:
            raise OSError(errno.ENOSPC, "No space left on device")
        return plain(handle, text[:20], offset)  # a short write, and the next one fails

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(SpoolFullError, match=r"cannot write in .*events: No space left on device"):
            there.append(b"u-secret" + b"x" * 40)
    there.append(b"after")
    crash(there)
    again = Spool(directory)
    assert [record for _, record in again.recovered()] == [b"before", b"after"]
    assert again.torn == 0
    again.close()


def test_ctrl_c_in_a_write_leaves_no_trace(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = Spool(directory)
    plain = os.pwrite

    def interrupted(handle: int, text: Any, offset: int) -> int:
        plain(handle, text, offset)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", interrupted)
        with pytest.raises(KeyboardInterrupt):
            there.append(b"a long record, that is not there")
    there.append(b"short")
    crash(there)
    again = Spool(directory)
    assert [record for _, record in again.recovered()] == [b"short"]
    assert (again.torn, again.set_aside) == (0, {})
    again.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root mounts a small file system")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_is_named_and_what_was_written_is_kept(small_disk: Path) -> None:
    there = Spool(small_disk / "events", segment_bytes=100_000)
    marks, error = fill(there, b"x" * 1_000)
    assert error == f"cannot write in {small_disk}/events: No space left on device"
    assert len(marks) > 200
    there.done(marks[:150])
    there.append(b"last")
    crash(there)
    again = Spool(small_disk / "events")
    found = [record for _, record in again.recovered()]
    assert len(found) == len(marks) - 150 + 1
    assert found[-1] == b"last"
    assert again.torn == 0
    again.close()


# The directory


def test_only_the_owner_reads_the_files(directory: Path) -> None:
    umask = os.umask(0)
    try:
        there = Spool(directory)
        there.append(b"u-1")
    finally:
        os.umask(umask)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()] == [0o600]
    there.close()


def a_link(path: Path) -> None:
    (path.parent / "target").mkdir()
    path.symlink_to(path.parent / "target")


def for_everybody(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link": (a_link, r"is a link or no directory: name another one as spool="),
    "a file": (Path.touch, r"is a link or no directory: name another one as spool="),
    "for everybody": (for_everybody, r"others may write in .*: as spool=, name one in it, which is created, or take"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_directory_that_is_not_ours_alone_is_refused_and_left_as_it_was(directory: Path, what: str) -> None:
    prepare, message = REFUSED[what]
    prepare(directory)
    before = directory.lstat()
    with pytest.raises(ValidationError, match=message) as caught:
        Spool(directory)
    assert caught.value.parameter == "spool"
    assert (directory.lstat().st_mode, directory.lstat().st_mtime) == (before.st_mode, before.st_mtime)


def test_a_directory_of_another_user_is_refused(directory: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives a directory away")
    directory.mkdir(0o700)
    os.chown(directory, 12345, 12345)
    with pytest.raises(ValidationError, match=r"belongs to another user: as spool=, name one in it, which is created"):
        Spool(directory)
    assert os.listdir(directory) == []


def test_a_directory_without_its_parent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"there is no directory .*absent: make it, or name"):
        Spool(tmp_path / "absent" / "events")


# As a user without rights, since root may write everywhere.
_NOBODY = 65534


@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_a_directory_without_permission_is_named_at_the_start(tmp_path: Path, mode: int, forked: Any) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root becomes a user to whom the directory belongs")
    for parent in tmp_path.parents:
        if not parent.stat().st_mode & stat.S_IXOTH and str(parent) != "/":
            parent.chmod(parent.stat().st_mode | stat.S_IXOTH)  # pytest's own
    tmp_path.chmod(0o711)
    directory = tmp_path / "events"
    directory.mkdir()
    directory.chmod(mode)
    os.chown(directory, _NOBODY, _NOBODY)

    def as_nobody() -> object:
        os.setuid(_NOBODY)
        return Spool(directory)

    assert forked(as_nobody) == f"SpoolError: cannot write in {directory}: Permission denied"


def test_a_read_only_file_system_is_named_at_the_start(small_disk: Path) -> None:
    Spool(small_disk / "events").close()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(SpoolError, match=r"cannot write in .*events: Read-only file system"):
        Spool(small_disk / "events")


def test_a_segment_that_somebody_removed_is_not_written_any_more(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("personalize_rt.segments._LOOKS", 0.0)
    there = Spool(directory)
    there.append(b"removed by a cleaner of old files")
    for path in directory.iterdir():
        path.unlink()
    there.append(b"kept")
    crash(there)
    assert left(directory) == [b"kept"]


def test_the_name_of_the_open_segment_is_not_looked_up_for_each_record(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("personalize_rt.segments._LOOKS", 1000.0)
    there = Spool(directory)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", None)
        for _ in range(10):
            there.append(b"x")
    there.close()
    assert left(directory) == [b"x"] * 10


def test_a_directory_that_somebody_removed_is_named(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("personalize_rt.segments._LOOKS", 0.0)
    there = Spool(directory)
    there.append(b"x")
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    with pytest.raises(SpoolError, match=r"cannot write in .*events: No such file or directory"):
        there.append(b"y")
    there.close()


# Files that no spool has written

NAME = "00000000000000000001-0123abcd.spool"


def link_to_a_file(path: Path) -> None:
    (path.parent.parent / "thesis").write_text("years of work")
    path.symlink_to(path.parent.parent / "thesis")


def huge_file(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link": (link_to_a_file, "is a link or no file, and was left alone"),
    "a link to nothing": (lambda path: path.symlink_to("absent"), "is a link or no file, and was left alone"),
    "a directory": (Path.mkdir, "is a link or no file, and was left alone"),
    "a pipe": (os.mkfifo if hasattr(os, "mkfifo") else Path.mkdir, "is a link or no file, and was left alone"),
    "a text": (lambda path: path.write_text("years of work"), "was not written by a spool, and was left alone"),
    "another version": (
        lambda path: path.write_bytes(b"personalize-rt spool 2\nand records of it"),
        "is of version 2, which this release does not know, and was left alone: start the release that wrote it, or "
        "remove it",
    ),
    "a huge file": (
        huge_file,
        "is larger than the whole spool may be, and was left alone",
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_file_that_no_spool_has_written_is_named_left_alone_and_hides_nothing(
    directory: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(directory, b"x")
    prepare, reason = HOSTILE[what]
    prepare(directory / NAME)
    before = (directory / NAME).lstat()
    there = Spool(directory, total_bytes=1 << 50)
    there._total_bytes = spool.TOTAL
    with caplog.at_level(logging.WARNING, "personalize_rt"):
        ((mark, record),) = there.recovered()
        list(there.recovered())
    assert record == b"x"
    assert there.set_aside == {NAME: reason}
    assert caplog.messages == [f"The spool file {directory / NAME} {reason}"]  # once
    there.done([mark])
    there.close()
    after = (directory / NAME).lstat()
    assert (after.st_mode, after.st_size, after.st_mtime) == (before.st_mode, before.st_size, before.st_mtime)
    assert not path.exists()


def test_files_of_other_names_are_left_alone(directory: Path) -> None:
    directory.mkdir(0o700)
    names = ["thesis", "1.spool", f"{NAME}.bak", ".hidden"]
    for name in names:
        (directory / name).write_text("years of work")
    there = Spool(directory)
    assert list(there.recovered()) == []
    there.close()
    assert sorted(os.listdir(directory)) == sorted(names)


def test_a_file_that_cannot_be_read_is_named_and_hides_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(directory, b"x")
    written(directory, b"y")
    there = Spool(directory)
    plain = there._folder.open

    def opened(name: str, mode: str, **options: Any) -> Any:
        if name == path.name:
            raise OSError(errno.EIO, "Input/output error")
        return plain(name, mode, **options)

    monkeypatch.setattr(there._folder, "open", opened)
    assert [record for _, record in there.recovered()] == [b"y"]
    assert there.set_aside == {path.name: "cannot be read: Input/output error"}
    there.close()

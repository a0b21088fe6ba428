"""The parts of an output, and crashes at each line of the code that writes them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from personalize_rt.bulk import StorageError, parts
from personalize_rt.bulk.parts import Parts
from personalize_rt.errors import ValidationError
from tests.bulk.scenario import JOB, line, work, write


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", 10)


def test_the_output_has_all_lines_in_order_and_nothing_else_is_left(tmp_path: Path) -> None:
    work(tmp_path / "out.jsonl", 35, resume=False)
    assert (tmp_path / "out.jsonl").read_bytes() == b"".join(line(n) + b"\n" for n in range(35))
    assert (tmp_path / "out.errors").read_bytes() == b"".join(line(n) + b"\n" for n in range(3, 35, 4))
    assert sorted(os.listdir(tmp_path)) == ["out.errors", "out.jsonl"]


@pytest.mark.parametrize("rows", [0, 1, 10, 20])
def test_any_number_of_rows_makes_an_output(tmp_path: Path, rows: int) -> None:
    work(tmp_path / "out.jsonl", rows)
    assert (tmp_path / "out.jsonl").read_bytes().count(b"\n") == rows
    assert (tmp_path / "out.errors").exists() == (rows > 3)


def test_each_line_is_out_of_the_process_as_soon_as_it_is_there(tmp_path: Path) -> None:
    there = Parts(tmp_path / "out.jsonl", JOB, resume=False)
    for n in range(25):
        there.append(line(n))
        text = b"".join(path.read_bytes() for path in sorted(there.directory.glob("part*.jsonl")))
        text += b"".join(path.read_bytes() for path in there.directory.glob("open*"))
        assert text.count(b"\n") == n + 1
    there.close()


@pytest.mark.parametrize("torn", [b'{"input":{"userI', b'{"input":{}', b"\0\0\0\0", b"\0\0\n", b"[]\n", b"{}"])
def test_a_torn_line_is_cut_off_and_counts_as_not_there(tmp_path: Path, torn: bytes) -> None:
    there = Parts(tmp_path / "out.jsonl", JOB, resume=False)
    for n in range(24):
        there.append(line(n))
    there.close()
    (open_part,) = there.directory.glob("open*")
    with open_part.open("ab") as file:
        file.write(torn)
    again = Parts(tmp_path / "out.jsonl", JOB, resume=True)
    assert again.rows == 24
    assert again.failed == {"ServerError": 6}
    again.close()
    work(tmp_path / "out.jsonl", 35)
    assert (tmp_path / "out.jsonl").read_bytes() == b"".join(line(n) + b"\n" for n in range(35))


def test_failures_are_counted_where_their_count_is_lost(tmp_path: Path) -> None:
    there = Parts(tmp_path / "out.jsonl", JOB, resume=False)
    for n in range(24):
        there.append(line(n))
    there.close()
    for path in there.directory.glob("*.failed.json"):
        path.write_bytes(b"")
    again = Parts(tmp_path / "out.jsonl", JOB, resume=True)
    assert again.failed == {"ServerError": 6}
    again.close()


# What is refused.


def test_an_output_that_is_there_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("mine")
    for resume in (False, True):
        with pytest.raises(ValidationError, match=r"out.jsonl is there already: name another one, or remove it"):
            Parts(tmp_path / "out.jsonl", JOB, resume=resume)
    assert os.listdir(tmp_path) == ["out.jsonl"]


def test_an_output_that_appears_meanwhile_is_left_alone_and_the_rows_are_kept(tmp_path: Path) -> None:
    there = Parts(tmp_path / "out.jsonl", JOB, resume=False)
    there.append(line(0))
    (tmp_path / "out.jsonl").write_text("mine")
    with pytest.raises(StorageError, match=r"cannot write .*out.jsonl: File exists; 1 rows are kept"):
        there.finish(write, None)
    there.close()
    assert (tmp_path / "out.jsonl").read_text() == "mine"
    (tmp_path / "out.jsonl").unlink()
    work(tmp_path / "out.jsonl", 1)
    assert (tmp_path / "out.jsonl").read_bytes() == line(0) + b"\n"


def test_parts_of_an_earlier_job_are_not_gone_on_with_unasked(tmp_path: Path) -> None:
    Parts(tmp_path / "out.jsonl", JOB, resume=False).close()
    with pytest.raises(ValidationError, match="a job was stopped before its end"):
        Parts(tmp_path / "out.jsonl", JOB, resume=False)


def test_parts_of_another_job_are_refused(tmp_path: Path) -> None:
    Parts(tmp_path / "out.jsonl", JOB, resume=False).close()
    with pytest.raises(ValidationError, match="is of another job: input changed since"):
        Parts(tmp_path / "out.jsonl", JOB | {"input": "another"}, resume=True)


def test_two_jobs_do_not_write_one_output(tmp_path: Path) -> None:
    first = Parts(tmp_path / "out.jsonl", JOB, resume=False)
    with pytest.raises(ValidationError, match="another process is at work on"):
        Parts(tmp_path / "out.jsonl", JOB, resume=True)
    first.close()
    Parts(tmp_path / "out.jsonl", JOB, resume=True).close()


def test_a_part_that_is_missing_is_noticed(tmp_path: Path) -> None:
    there = Parts(tmp_path / "out.jsonl", JOB, resume=False)
    for n in range(24):
        there.append(line(n))
    there.close()
    (there.directory / "part-000000000000-000000000010.jsonl").unlink()
    with pytest.raises(ValidationError, match=r"lacks rows 0 to 10"):
        Parts(tmp_path / "out.jsonl", JOB, resume=True)


def test_there_must_be_a_directory(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="there is no directory"):
        Parts(tmp_path / "no" / "out.jsonl", JOB, resume=False)


# A full disk.

FULL = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from scenario import JOB, line
from personalize_rt.bulk.parts import Parts, StorageError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
there = Parts(Path(sys.argv[1]), JOB, resume=False)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    for n in range(1000):
        there.append(line(n))
except StorageError as error:
    print(there.rows, error)
"""


def test_when_there_is_no_space_whole_lines_are_kept_and_the_job_can_go_on(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    command = [sys.executable, "-c", FULL, str(output), str(Path(__file__).parent)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    rows = int(said.split()[0])
    assert rows == 1000 // len(line(10) + b"\n")
    assert f"cannot write {output}.parts/open-000000000000.jsonl: File too large; {rows} rows are kept in" in said
    (open_part,) = (tmp_path / "out.jsonl.parts").glob("open*")
    assert open_part.read_bytes() == b"".join(line(n) + b"\n" for n in range(rows))
    work(output, 35)
    assert output.read_bytes() == b"".join(line(n) + b"\n" for n in range(35))


# Crashes.

CRASH = """
import os, sys, mmap
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from scenario import JOB, line, work, write
from personalize_rt import files
from personalize_rt.bulk import parts
from personalize_rt.bulk.parts import Parts

ROWS = 8
parts.ROWS = 3
# Here processes die, not the machine: what was written is there.
os.fsync = os.fdatasync = lambda handle: None
FILES = {parts.__file__, files.__file__}
appended = mmap.mmap(-1, 8)

def crashed(directory, at):
    '''Works in a child that is gone, without a word, at the so-manieth line of the code; whether it was.'''
    appended[0] = 0
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] != 0
    left = [at]
    def trace(frame, event, argument):
        if frame.f_code.co_filename not in FILES:
            return None
        if event == "line":
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)
        return trace
    plain = Parts.append
    def append(self, text):
        plain(self, text)
        appended[0] = self.rows
    Parts.append = append
    sys.settrace(trace)
    work(directory / "out.jsonl", ROWS)
    os._exit(0)

wanted = b"".join(line(n) + b"\\n" for n in range(ROWS))
wrong = b"".join(line(n) + b"\\n" for n in range(3, ROWS, 4))
first, step = int(sys.argv[3]), int(sys.argv[4])
at, crashes = first, 0
while True:
    directory = Path(sys.argv[1]) / str(at)
    directory.mkdir()
    if not crashed(directory, at):
        break
    crashes += 1
    output = directory / "out.jsonl"
    if not output.exists():
        there = Parts(output, JOB, resume=True)
        assert there.rows >= appended[0], (at, there.rows, appended[0])
        there.close()
        # And once more, on the way to the end.
        crashed(directory, at // 2)
    if (directory / "out.jsonl.parts").exists():
        work(output, ROWS)
    assert output.read_bytes() == wanted, at
    assert (directory / "out.errors").read_bytes() == wrong, at
    assert sorted(os.listdir(directory)) == ["out.errors", "out.jsonl"], at
    at += step
print(crashes)
"""


def crash_at(tmp_path: Path, first: int, step: int) -> int:
    command = [sys.executable, "-c", CRASH, str(tmp_path), str(Path(__file__).parent), str(first), str(step)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_crash_at_some_lines_of_the_code_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    assert crash_at(tmp_path, 5, 31) > 5


@pytest.mark.slow
@pytest.mark.timeout(160)
def test_a_crash_at_any_line_of_the_code_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    assert crash_at(tmp_path, 0, 1) > 150

"""A job touches no file that is not its own, and nobody else reads those that are."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from personalize_rt import PersonalizeRuntime, bulk
from personalize_rt.bulk import StorageError, parts
from personalize_rt.bulk.parts import Parts
from personalize_rt.errors import AccessDeniedError, ValidationError
from personalize_rt.files import Folder
from tests.bulk.conftest import ARN, Client, requests, service_error
from tests.bulk.scenario import JOB, line, work, write

Job = Callable[..., bulk.Summary]
THESIS = "years of work"


@pytest.fixture
def job(runtime: PersonalizeRuntime, tmp_path: Path) -> Job:
    """Ranks three lists, to the end."""
    (tmp_path / "in.jsonl").write_text('{"userId":"u","itemList":["a"]}\n{broken\n{"userId":"v","itemList":["a"]}\n')

    def run(**options: Any) -> bulk.Summary:
        return bulk.rank_file(runtime, tmp_path / "in.jsonl", tmp_path / "out.jsonl", campaign_arn=ARN, **options)

    return run


def tree(root: Path) -> dict[str, Any]:
    """All that is there: the content of files, the targets of links, and the permissions of both."""
    there: dict[str, Any] = {}
    for path in root.rglob("*"):
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        there[str(path.relative_to(root))] = stat.filemode(status.st_mode), content
    return there


# Directories.

FOREIGN: dict[str, dict[str, str]] = {
    "a thesis": {"thesis.txt": THESIS},
    "a thesis and a lock": {"thesis.txt": THESIS, "lock": ""},
    "what looks like a part": {"part-000000000000-000000000001.jsonl": THESIS},
    "what looks like a mark": {"complete": "1"},
    "a job.json of something else": {"job.json": '{"name": "build"}', "thesis.txt": THESIS},
    "a job.json that is no object": {"job.json": "[]"},
    "a job.json that is no JSON": {"job.json": THESIS},
    "a job.json that is too deep": {"job.json": "[" * 100_000},
    "a job.json that is empty": {"job.json": ""},
}


@pytest.mark.parametrize("what", FOREIGN)
@pytest.mark.parametrize("resume", [False, True])
def test_a_directory_that_no_job_made_is_refused_and_left_as_it_was(
    job: Job, client: Client, tmp_path: Path, what: str, resume: bool
) -> None:
    (tmp_path / "out.jsonl.parts").mkdir(mode=0o755)
    for name, text in FOREIGN[what].items():
        (tmp_path / "out.jsonl.parts" / name).write_text(text)
    before = tree(tmp_path)
    with pytest.raises(ValidationError, match=r"out.jsonl.parts was not made by such a job: name another output"):
        job(resume=resume)
    assert tree(tmp_path) == before
    assert client.asked == []


@pytest.mark.parametrize("target", ["a directory", "parts of a job", "nothing", "a file"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_link_to_a_directory_is_refused_and_what_it_leads_to_is_left_as_it_was(
    job: Job, client: Client, tmp_path: Path, target: str, resume: bool
) -> None:
    elsewhere = tmp_path / "elsewhere.parts"
    if target == "a directory":
        elsewhere.mkdir()
        (elsewhere / "thesis.txt").write_text(THESIS)
    elif target == "parts of a job":
        there = Parts(tmp_path / "elsewhere", JOB, resume=False)
        there.append(line(0))
        there.close()
    elif target == "a file":
        elsewhere.write_text(THESIS)
    (tmp_path / "out.jsonl.parts").symlink_to(elsewhere)
    before = tree(tmp_path)
    with pytest.raises(ValidationError, match=r"out.jsonl.parts is a symbolic link: name another output"):
        job(resume=resume)
    assert tree(tmp_path) == before
    assert client.asked == []


def test_a_file_in_the_place_of_the_directory_is_refused(job: Job, tmp_path: Path) -> None:
    (tmp_path / "out.jsonl.parts").write_text(THESIS)
    with pytest.raises(ValidationError, match=r"out.jsonl.parts is no directory"):
        job(resume=True)
    assert (tmp_path / "out.jsonl.parts").read_text() == THESIS


NAMES = ["lock", "job.json", "complete", "whole", "open-000000000010.jsonl", "part-000000000000-000000000010.jsonl"]


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a job that was stopped after 14 rows."""
    monkeypatch.setattr(parts, "ROWS", 10)
    there = Parts(tmp_path / "out.jsonl", JOB, resume=False)
    for n in range(14):
        there.append(line(n))
    there.close()
    return there.directory


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["a link", "a dangling link", "a directory", "a pipe"])
def test_what_is_no_file_among_the_parts_is_refused_and_not_followed(
    stopped: Path, tmp_path: Path, name: str, kind: str
) -> None:
    thesis, path = tmp_path / "thesis.txt", stopped / name
    path.unlink(missing_ok=True)
    thesis.write_text(THESIS)
    if kind == "a directory":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(thesis if kind == "a link" else tmp_path / "new.txt")
    before = sorted(os.listdir(stopped))
    with pytest.raises(ValidationError, match=rf"out.jsonl.parts has {name}, which is a link or no file"):
        Parts(tmp_path / "out.jsonl", JOB, resume=True)
    assert thesis.read_text() == THESIS
    assert not (tmp_path / "new.txt").exists()
    assert sorted(os.listdir(stopped)) == before


def test_a_link_that_appears_while_a_job_is_at_work_is_not_followed(tmp_path: Path) -> None:
    thesis = tmp_path / "thesis.txt"
    thesis.write_text(THESIS)
    there = Parts(tmp_path / "out.jsonl", JOB, resume=False)
    there.append(line(0))
    for name in ("whole", "complete.new", "part-000000000000-000000000001.failed.json.new"):
        (there.directory / name).symlink_to(thesis)
    there.finish(write, None)
    assert thesis.read_text() == THESIS
    assert (tmp_path / "out.jsonl").read_bytes() == line(0) + b"\n"
    assert sorted(os.listdir(tmp_path)) == ["out.jsonl", "thesis.txt"]


@pytest.mark.parametrize("target", ["thesis.txt", "nothing"])
def test_no_way_to_open_a_file_of_a_folder_follows_a_link(tmp_path: Path, target: str) -> None:
    (tmp_path / "thesis.txt").write_text(THESIS)
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "link").symlink_to(tmp_path / target)
    folder = Folder(tmp_path / "real")
    for way in (
        lambda: folder.open("link", "rb"),
        lambda: folder.open("link", "ab"),
        lambda: folder.open("link", "xb"),
        lambda: folder.open_lock("link"),
        lambda: folder.read("link"),
    ):
        with pytest.raises(OSError, match=r"symbolic links|File exists"):
            way()
    folder.close()
    (tmp_path / "directory").symlink_to(tmp_path / "real")
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        Folder(tmp_path / "directory")
    assert (tmp_path / "thesis.txt").read_text() == THESIS
    assert not (tmp_path / "nothing").exists()


def test_a_lock_that_another_process_removes_while_it_ends_is_not_taken_for_one(
    stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Folder.open_lock

    def open_lock(self: Folder, name: str) -> int:
        handle = plain(self, name)
        self.unlink(name)
        return handle

    monkeypatch.setattr(Folder, "open_lock", open_lock)
    with pytest.raises(ValidationError, match="another process is at work on"):
        Parts(tmp_path / "out.jsonl", JOB, resume=True)
    assert "part-000000000000-000000000010.jsonl" in os.listdir(stopped)


def test_a_directory_that_is_put_in_the_place_of_the_parts_is_left_alone(tmp_path: Path) -> None:
    there = Parts(tmp_path / "out.jsonl", JOB, resume=False)
    there.append(line(0))
    there.directory.rename(tmp_path / "moved")
    there.directory.mkdir()
    (there.directory / "whole").write_text(THESIS)
    there.append(line(1))
    there.finish(write, None)
    assert (tmp_path / "out.jsonl").read_bytes() == line(0) + b"\n" + line(1) + b"\n"
    assert (there.directory / "whole").read_text() == THESIS
    assert os.listdir(tmp_path / "moved") == []


def test_what_somebody_put_beside_the_parts_is_left_there(stopped: Path, tmp_path: Path) -> None:
    strange = ["thesis.txt", "part-1-2.jsonl", "whole.bak", ".nfs0001"]
    for name in strange:
        (stopped / name).write_text(THESIS)
    (stopped / "more").mkdir()
    work(tmp_path / "out.jsonl", 20)
    assert (tmp_path / "out.jsonl").read_bytes() == b"".join(line(n) + b"\n" for n in range(20))
    assert sorted(os.listdir(stopped)) == sorted([*strange, "more"])


def test_a_done_job_is_told_whatever_directory_stands_beside_its_output(job: Job, tmp_path: Path) -> None:
    job()
    (tmp_path / "out.jsonl.parts").mkdir()
    (tmp_path / "out.jsonl.parts" / "thesis.txt").write_text(THESIS)
    before = tree(tmp_path)
    summary = job(resume=True)
    assert (summary.done, summary.failed) == (2, {"ValidationError": 1})
    assert tree(tmp_path) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(stopped: Path, tmp_path: Path) -> None:
    os.chown(stopped, 4711, -1)
    with pytest.raises(ValidationError, match=r"out.jsonl.parts belongs to another user: name another output"):
        Parts(tmp_path / "out.jsonl", JOB, resume=True)
    assert "part-000000000000-000000000010.jsonl" in os.listdir(stopped)


def test_where_all_files_belong_to_one_user_the_directory_may_too(
    stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on an access point of EFS: what this process writes belongs to another user, and so does the directory."""
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    work(tmp_path / "out.jsonl", 20)
    assert (tmp_path / "out.jsonl").read_bytes() == b"".join(line(n) + b"\n" for n in range(20))


# The output, and the file of errors.


def test_an_output_that_appears_before_the_end_does_not_cost_the_parts(stopped: Path, tmp_path: Path) -> None:
    """Not even when all rows were there, and the job was stopped before it could give the output its name."""
    there = Parts(tmp_path / "out.jsonl", JOB, resume=True)
    (tmp_path / "out.jsonl").write_text(THESIS)
    with pytest.raises(StorageError, match="File exists; 14 rows are kept"):
        there.finish(write, None)
    there.close()
    for _ in range(2):
        with pytest.raises(ValidationError, match=r"out.jsonl is there already, and .* has rows that it may lack"):
            Parts(tmp_path / "out.jsonl", JOB, resume=True)
    assert (tmp_path / "out.jsonl").read_text() == THESIS
    (tmp_path / "out.jsonl").unlink()
    work(tmp_path / "out.jsonl", 14)
    assert (tmp_path / "out.jsonl").read_bytes() == b"".join(line(n) + b"\n" for n in range(14))


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", ["out.jsonl", "wrong.jsonl"])
def test_a_link_to_nothing_is_refused_before_the_first_request(
    job: Job, client: Client, tmp_path: Path, name: str, resume: bool
) -> None:
    (tmp_path / name).symlink_to(tmp_path / "nothing")
    before = tree(tmp_path)
    with pytest.raises(ValidationError, match=f"{name} is "):
        job(resume=resume, errors=tmp_path / "wrong.jsonl")
    assert client.asked == []
    assert tree(tmp_path) == before


def test_resume_does_not_write_over_a_file_of_errors_that_is_not_the_job_s(
    job: Job, client: Client, tmp_path: Path
) -> None:
    client.outcome = lambda user: service_error("AccessDeniedException", 403) if user == "v" else None
    with pytest.raises(AccessDeniedError):
        job(concurrency=1)
    (tmp_path / "wrong.jsonl").write_text(THESIS)
    client.outcome = lambda user: None
    client.asked.clear()
    with pytest.raises(ValidationError, match=r"wrong.jsonl is there already: name another one, or remove it"):
        job(resume=True, errors=tmp_path / "wrong.jsonl")
    assert client.asked == []
    assert (tmp_path / "wrong.jsonl").read_text() == THESIS
    assert job(resume=True, errors=tmp_path / "other.jsonl").done == 2


def test_a_file_of_errors_that_appears_meanwhile_is_left_alone_and_the_rows_are_kept(
    job: Job, client: Client, tmp_path: Path
) -> None:
    def outcome(user: str) -> None:
        (tmp_path / "wrong.jsonl").write_text(THESIS)

    client.outcome = outcome
    with pytest.raises(StorageError, match=r"cannot write .*wrong.jsonl: File exists; 3 rows are kept"):
        job(errors=tmp_path / "wrong.jsonl")
    assert (tmp_path / "wrong.jsonl").read_text() == THESIS
    client.asked.clear()
    assert job(resume=True, errors=tmp_path / "other.jsonl").done == 2
    assert client.asked == []


def test_files_beside_a_checkpoint_and_a_file_of_errors_are_left_alone(
    job: Job, runtime: PersonalizeRuntime, tmp_path: Path
) -> None:
    thesis = tmp_path / "thesis.txt"
    thesis.write_text(THESIS)
    for name in ("wrong.jsonl.new", "out.jsonl.errors.new", "run.checkpoint.new"):
        (tmp_path / name).symlink_to(thesis)
    job(errors=tmp_path / "wrong.jsonl")
    (tmp_path / "wrong.jsonl").unlink()
    job(errors=tmp_path / "wrong.jsonl", resume=True)
    for _ in zip(range(5), bulk.run(runtime, requests(range(9)), checkpoint=tmp_path / "run.checkpoint"), strict=False):
        pass
    assert thesis.read_text() == THESIS
    assert all((tmp_path / name).is_symlink() for name in ("wrong.jsonl.new", "run.checkpoint.new"))


# Who may read them.


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_personal_is_for_its_owner_alone_whatever_the_umask(
    job: Job, client: Client, runtime: PersonalizeRuntime, tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "ROWS", 1)
    client.outcome = lambda user: service_error("AccessDeniedException", 403) if user == "v" else None
    with pytest.raises(AccessDeniedError):
        job(concurrency=1, errors=tmp_path / "wrong.jsonl")
    directory = tmp_path / "out.jsonl.parts"
    assert permissions(directory) == 0o700
    assert len(os.listdir(directory)) == 7
    assert {permissions(path) for path in directory.iterdir()} == {0o600}
    client.outcome = lambda user: None
    job(resume=True, errors=tmp_path / "wrong.jsonl")
    assert permissions(tmp_path / "wrong.jsonl") == 0o600
    (tmp_path / "wrong.jsonl").unlink()
    job(resume=True, errors=tmp_path / "wrong.jsonl")
    assert permissions(tmp_path / "wrong.jsonl") == 0o600
    # What was asked for is as any file of the user's.
    assert permissions(tmp_path / "out.jsonl") == 0o666 & ~umask
    run = bulk.run(runtime, requests(range(9)), checkpoint=tmp_path / "run.checkpoint")
    for outcome in run:
        if outcome.position == 5:
            break
    run.close()
    assert permissions(tmp_path / "run.checkpoint") == 0o600


def test_parts_that_others_could_read_are_for_their_owner_after_a_resume(stopped: Path, tmp_path: Path) -> None:
    stopped.chmod(0o755)
    for path in stopped.iterdir():
        path.chmod(0o644)
    Parts(tmp_path / "out.jsonl", JOB, resume=True).close()
    assert permissions(stopped) == 0o700
    assert permissions(stopped / "open-000000000010.jsonl") == 0o600


def test_job_json_has_digests_of_what_may_be_personal(job: Job, client: Client, tmp_path: Path) -> None:
    client.outcome = lambda user: service_error("AccessDeniedException", 403) if user == "v" else None
    with pytest.raises(AccessDeniedError):
        job(context={"DEVICE": "person-4711"}, concurrency=1)
    text = (tmp_path / "out.jsonl.parts" / "job.json").read_text()
    assert json.loads(text)["arguments"].keys() == {"campaignArn", "context"}
    assert "person-4711" not in text
    assert ARN not in text

"""A job that is killed before any of its steps on the disk: a resume has the whole output and the whole summary."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

KILLED = """
import os, signal, sys
from collections import Counter
from pathlib import Path
from personalize_rt import PersonalizeRuntime, bulk
from personalize_rt.bulk import parts
from botocore.exceptions import ClientError

parts.ROWS = 2
ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/ranking"
STEPS = ("open", "mkdir", "unlink", "rename", "replace", "link", "rmdir", "fsync", "fdatasync", "ftruncate")
# Here processes die, not the machine: what was written is there.
os.fsync = os.fdatasync = lambda handle: None

class Client:
    refuses = False
    def get_personalized_ranking(self, **members):
        if self.refuses:
            error = {"Error": {"Code": "AccessDeniedException", "Message": "no"}}
            raise ClientError(error | {"ResponseMetadata": {"HTTPStatusCode": 403}}, "GetPersonalizedRanking")
        return {"personalizedRanking": [{"itemId": item, "score": 1.0} for item in members["inputList"]]}

def job(directory, refuses=False):
    client = Client()
    client.refuses = refuses
    os.chdir(directory)  # errors have the name of the file
    runtime = PersonalizeRuntime(client)
    return bulk.rank_file(runtime, "in.jsonl", "out.jsonl", campaign_arn=ARN, errors="wrong.jsonl", resume=True)

def in_a_child(work):
    '''The status of a child that does some work.'''
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    try:
        work()
    except BaseException as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\\n")
        os._exit(1)
    os._exit(0)

def killed_before(step, work):
    '''Do it, and die without a word before the so-manieth step on the disk.'''
    left = [step]
    def counted(name):
        plain = getattr(os, name)
        def function(*arguments, **options):
            left[0] -= mode != "ended" or os.path.exists("out.jsonl")
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return plain(*arguments, **options)
        return function
    for name in STEPS:
        setattr(os, name, counted(name))
    work()

def whole(directory):
    summary = job(directory)
    assert (summary.done, dict(summary.failed)) == (6, {"ValidationError": 1}), str(summary)

root, mode, every = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
lines = ['{"userId":"u","itemList":["a"]}\\n'] * 7
lines[3] = "{broken\\n"
(root / "in.jsonl").write_text("".join(lines))
assert in_a_child(lambda: whole(root)) == 0
wanted = {name: (root / name).read_bytes() for name in ("out.jsonl", "wrong.jsonl")}
step = kills = 0
while True:
    directory = root / str(step)
    directory.mkdir()
    (directory / "in.jsonl").write_text("".join(lines))
    if mode == "resumed":
        # Killed half way first: the steps of a resume are others.
        assert in_a_child(lambda: killed_before(40, lambda: job(directory))) == signal.SIGKILL
    status = in_a_child(lambda: killed_before(step, lambda: job(directory, refuses=mode == "refused")))
    if status != signal.SIGKILL:
        break
    kills += 1
    assert in_a_child(lambda: whole(directory)) == 0, (step, os.listdir(directory))
    assert {name: (directory / name).read_bytes() for name in wanted} == wanted, step
    assert sorted(os.listdir(directory)) == ["in.jsonl", "out.jsonl", "wrong.jsonl"], (step, os.listdir(directory))
    assert in_a_child(lambda: whole(directory)) == 0, step
    step += every
print(kills)
"""


def kills(tmp_path: Path, mode: str, every: int) -> int:
    command = [sys.executable, "-c", KILLED, str(tmp_path), mode, str(every)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_job_killed_before_any_step_after_its_output_is_there_tells_its_summary(tmp_path: Path) -> None:
    assert kills(tmp_path, "ended", 1) > 10


@pytest.mark.parametrize("mode", ["begun", "resumed", "refused"])
def test_a_job_killed_before_some_of_its_steps_is_whole_after_a_resume(tmp_path: Path, mode: str) -> None:
    assert kills(tmp_path, mode, 7) >= 2


@pytest.mark.slow
@pytest.mark.timeout(160)
@pytest.mark.parametrize("mode", ["begun", "resumed", "refused"])
def test_a_job_killed_before_any_of_its_steps_is_whole_after_a_resume(tmp_path: Path, mode: str) -> None:
    assert kills(tmp_path, mode, 1) >= 20

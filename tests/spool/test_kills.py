"""Processes that are killed (SIGKILL) at any moment: what was appended and not done is recovered, once for each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

KILLED = """
import os, random, signal, sys
from personalize_rt.spool import Spool

directory, moments, mode = sys.argv[1], int(sys.argv[2]), sys.argv[3]
SMALL = dict(segment_bytes=2_000, total_bytes=1_000_000)

def work(say, moment, rounds):
    '''Recover, append and acknowledge, and say each of it: "a N" appended, "b N" about to be done, "d N" done.'''
    chance = random.Random(moment)
    there = Spool(directory, **SMALL)
    assert there.set_aside == {}, there.set_aside
    pending = {}
    for mark, record in there.recovered():
        number = int(record.split()[0])
        assert number not in pending, f"{number} came twice"
        pending[number] = mark
        say(f"r {number}")
    say("s 0")
    for n in range(rounds):
        number = moment * 1_000_000 + n
        pending[number] = there.append(b"%d " % number + b"x" * chance.randrange(400))
        say(f"a {number}")
        if chance.random() < 0.2:
            chosen = chance.sample(sorted(pending), chance.randrange(len(pending)))
            for number in chosen:
                say(f"b {number}")
            there.done([pending.pop(number) for number in chosen])
            for number in chosen:
                say(f"d {number}")
    say("e 0")
    signal.pause()

def child(moment, rounds, step):
    '''Start a process; what it says comes from the descriptor.'''
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, os.fdopen(reading, "rb")
    try:
        os.close(reading)
        if step is not None:
            left = [step]
            def counted(plain):
                def function(*arguments, **options):
                    left[0] -= 1
                    if left[0] < 0:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return plain(*arguments, **options)
                return function
            for name in ("open", "mkdir", "unlink", "pwrite", "ftruncate", "fstat", "urandom"):
                setattr(os, name, counted(getattr(os, name)))
        work(lambda text: os.write(writing, text.encode() + b"\\n"), moment, rounds)
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\\n".encode())
    os._exit(3)

chance = random.Random(7)
appended, about, done, kills = set(), set(), set(), 0
for moment in range(moments):
    # The first words are the recovery, in which it may be killed too.
    after = chance.randrange(300)
    pid, said = child(moment, 40, moment if mode == "steps" else None)
    recovered, started = set(), False
    for count, line in enumerate(said):
        word, number = line.decode().split()
        {"a": appended, "b": about, "d": done, "r": recovered, "s": set(), "e": set()}[word].add(int(number))
        started |= word == "s"
        if word == "e" or (mode == "random" and count == after):
            os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    assert status == signal.SIGKILL, f"moment {moment}: status {status}"
    assert not recovered & done_before if moment else True, f"moment {moment}: what was done came back"
    if started:
        missing = before - recovered if moment else set()
        assert not missing, f"moment {moment}: {len(missing)} records are lost"
    before, done_before = appended - about, set(done)

there = Spool(directory, **SMALL)
last = [int(record.split()[0]) for _, record in there.recovered()]
assert len(last) == len(set(last)), "a record came twice"
assert set(last) >= appended - about, "records are lost"
assert not set(last) & done, "what was done came back"
assert there.set_aside == {}, there.set_aside
print(len(appended), len(last))
"""


def kill(directory: Path, moments: int, mode: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, directory, str(moments), mode],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    appended, pending = map(int, done.stdout.split())
    assert appended > moments / 5
    assert pending > 0


def test_whatever_step_a_process_is_killed_before_nothing_is_lost(tmp_path: Path) -> None:
    kill(tmp_path / "events", 60, "steps")


def test_at_whatever_moment_a_process_is_killed_nothing_is_lost(tmp_path: Path) -> None:
    kill(tmp_path / "events", 15, "random")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", ["steps", "random"])
def test_of_a_hundred_moments_to_be_killed_at_none_loses_anything(tmp_path: Path, mode: str) -> None:
    kill(tmp_path / "events", 100, mode)

"""A tracker with a spool, killed (SIGKILL) at any moment: each event that it took arrives at the service, once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from personalize_rt.local import LocalPersonalize
from tests.optional import optional

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
optional("uvicorn")

PROGRAM = """
import os, random, signal, sys, time
import boto3
from personalize_rt import EventTracker
from personalize_rt.spool import _BEGIN

url, tracking_id, directory, moments = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
session = boto3.Session("id", "key", region_name="eu-west-1")
session.client("personalize-events").close()  # children have what it has read

def begin():
    return EventTracker(
        tracking_id, session=session, endpoint_url=url, spool=directory, flush_after=0.01, deadline=20, close_timeout=50
    ).connect()

def work(say, moment):
    tracker = begin()
    say("begun")
    for n in range(1_000):
        event = tracker.track("Watch", "tt0468569", session_id=f"s-{n % 3}", user_id="u-1")
        say(event.event_id)
        time.sleep(0.002)

def child(moment):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, os.fdopen(reading, "rb")
    try:
        os.close(reading)
        work(lambda text: os.write(writing, text.encode() + b"\\n"), moment)
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\\n".encode())
    os._exit(3)

chance = random.Random(3)
for moment in range(moments):
    pid, said = child(moment)
    after = chance.randrange(1, 60)
    for count, line in enumerate(said):
        if line != b"begun\\n":
            print(line.decode().strip(), flush=True)
        if count == after:
            time.sleep(chance.random() * 0.004)
            os.kill(pid, signal.SIGKILL)
    said.close()
    status = os.waitpid(pid, 0)[1]
    assert status == signal.SIGKILL, f"moment {moment}: status {status}"

# The last one sends what the others have left.
def is_sent():
    try:
        return all(os.stat(os.path.join(directory, name)).st_size <= _BEGIN for name in os.listdir(directory))
    except FileNotFoundError:  # just removed
        return False

with begin() as tracker:
    ends = time.monotonic() + 50
    while not is_sent():
        assert time.monotonic() < ends, f"not all was sent: {tracker.counts}"
        time.sleep(0.02)
assert os.listdir(directory) == []
"""


def kill(directory: Path, moments: int) -> None:
    local = LocalPersonalize.sample()
    with local.serve(port=0) as url:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, url, local.tracking_id(), directory, str(moments)],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    taken = done.stdout.split()
    assert len(taken) >= moments
    arrived = Counter(event.event_id for event in local.recorded_events)
    assert set(arrived.values()) == {1}
    assert set(taken) - arrived.keys() == set()
    # One event of each process may have been kept whose track() was about to return.
    assert len(arrived.keys() - set(taken)) <= moments


def test_each_event_that_a_killed_tracker_took_arrives_once(tmp_path: Path) -> None:
    kill(tmp_path / "events", 6)


PREFORKING = """
import os, sys, time
import boto3
from personalize_rt import EventTracker

url, tracking_id, directory = sys.argv[1:]
session = boto3.Session("id", "key", region_name="eu-west-1")

def tracker():
    return EventTracker(tracking_id, session=session, endpoint_url=url, spool=directory, flush_after=30, deadline=20)

def in_a_child(work):
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)  # as a killed process: nothing is sent at its exit
    assert os.waitpid(child, 0)[1] == 0

in_a_child(lambda: print(tracker().track("Watch", "tt0468569", session_id="s").event_id, flush=True))
of_the_parent = tracker()  # which sends nothing itself

def worker():
    of_the_parent.connect()
    ends = time.monotonic() + 50
    while of_the_parent.counts.pending == 0:
        assert time.monotonic() < ends
        time.sleep(0.01)
    of_the_parent.close()

in_a_child(worker)
of_the_parent.close()
"""


@pytest.mark.timeout(600)
def test_a_worker_sends_what_was_left_though_its_tracker_was_made_before_the_fork(tmp_path: Path) -> None:
    local = LocalPersonalize.sample()
    with local.serve(port=0) as url:
        done = subprocess.run(
            [sys.executable, "-c", PREFORKING, url, local.tracking_id(), tmp_path / "events"],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert [event.event_id for event in local.recorded_events] == done.stdout.split()
    assert os.listdir(tmp_path / "events") == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_at_a_hundred_moments_to_be_killed_at_no_event_is_lost(tmp_path: Path) -> None:
    kill(tmp_path / "events", 100)

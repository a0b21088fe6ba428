"""A job that is killed at any moment loses nothing that it had, and says nothing twice."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROWS = 2_000
CONCURRENCY = 8
ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/ranking"

# Small parts, so that kills hit all that happens around their ends.
JOB = f"""
import sys
from functools import partial
from personalize_rt import PersonalizeRuntime, bulk
from personalize_rt.bulk import parts
parts.ROWS = 100
build = partial(PersonalizeRuntime, endpoint_url=sys.argv[3], region_name="eu-west-1", deadline=30)
print(bulk.rank_file(build, sys.argv[1], sys.argv[2], campaign_arn={ARN!r}, concurrency={CONCURRENCY},
      processes=2 if "--processes" in sys.argv else None, resume="--resume" in sys.argv,
      errors=sys.argv[2] + ".errors"))
"""


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def job(tmp_path: Path, server: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Starts the job in a process of its own, against a server that counts who was asked for."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    chance = random.Random(1)
    with (tmp_path / "in.jsonl").open("w", encoding="utf-8") as file:
        for n in range(ROWS):
            items = [f"item-{chance.randrange(1000)}" for _ in range(chance.randrange(1, 60))]
            file.write("{broken\n" if n % 50 == 7 else json.dumps({"userId": f"user-{n}", "itemList": items}) + "\n")
    asked: Counter[str] = Counter()
    lock = threading.Lock()

    def answer(request: Any) -> Any:
        with lock:
            asked[request.members["userId"]] += 1
        ranked = sorted(set(request.members["inputList"]))
        return {"personalizedRanking": [{"itemId": id, "score": 1 / len(ranked)} for id in ranked]}

    server.always(answer)
    # Who is killed hangs up.
    monkeypatch.setattr(server._http, "handle_error", lambda *_: None)

    def start(output: str, *options: str) -> Any:
        arguments = [str(tmp_path / "in.jsonl"), str(tmp_path / output), server.url, *options]
        return subprocess.Popen(
            [sys.executable, "-c", JOB, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a terminal sends Ctrl-C to all of a group
        )

    start.asked = asked  # type: ignore[attr-defined]
    return start


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_job_that_is_killed_again_and_again_ends_with_the_output_of_one_that_was_not(
    job: Any, tmp_path: Path
) -> None:
    whole = job("whole.jsonl")
    out, err = whole.communicate(timeout=90)
    assert whole.returncode == 0, err
    assert out.startswith(f"{ROWS - ROWS // 50:,} done; {ROWS // 50} failed (ValidationError {ROWS // 50})")
    job.asked.clear()
    parts, output = tmp_path / "out.jsonl.parts", tmp_path / "out.jsonl"
    chance, kills, options, before = random.Random(), 0, [], 0
    while not output.exists():
        process = job("out.jsonl", *options)
        options = ["--resume"]
        # Somewhere in its work: so many lines further than before, or at its end.
        goal = before + chance.randrange(0, 400)
        while process.poll() is None and written(parts) < goal and not output.exists():
            time.sleep(0.002)
        time.sleep(chance.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        _, err = process.communicate(timeout=30)
        assert process.returncode in (0, -signal.SIGKILL), err
        kills += process.returncode == -signal.SIGKILL
        before = max(before, written(parts))
    assert kills >= 5
    # It was killed while it put things away, or after.
    again = job("out.jsonl", "--resume")
    _, err = again.communicate(timeout=30)
    assert again.returncode == 0, err
    assert not parts.exists()
    assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert (tmp_path / "out.jsonl.errors").read_bytes() == (tmp_path / "whole.jsonl.errors").read_bytes()
    # Each kill costs at most what was under way; how many lines may wait for one before them is the window's size.
    assert sum(job.asked.values()) - len(job.asked) <= kills * max(64, 8 * CONCURRENCY)
    assert len(job.asked) == ROWS - ROWS // 50


def written(parts: Path) -> int:
    """How many lines are there, in whole parts and in the open one."""
    count = 0
    try:
        for path in parts.iterdir():
            if match := re.fullmatch(r"part-(\d+)-(\d+)\.jsonl", path.name):
                count += int(match[2]) - int(match[1])
            elif path.name.startswith("open-"):
                count += path.read_bytes().count(b"\n")
    except FileNotFoundError:
        pass
    return count


@pytest.mark.slow
@pytest.mark.timeout(100)
@pytest.mark.parametrize("options", [[], ["--processes"]])
def test_ctrl_c_lets_what_is_in_flight_end_and_says_how_to_go_on(job: Any, tmp_path: Path, options: list[str]) -> None:
    parts = tmp_path / "out.jsonl.parts"
    process = job("out.jsonl", *options)
    while written(parts) < 50:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode != 0
    assert re.search(r"InterruptedRun: stopped; [\d,]+ rows are kept in .*; to go on, .* resume=True", err)
    assert not (tmp_path / "out.jsonl").exists()
    # All that was answered was written; of two processes, one may have been ahead of a row that the other had to drop.
    ahead = 64 if options else 0
    assert written(parts) - written(parts) // 50 - 1 <= sum(job.asked.values()) <= written(parts) + ahead
    again = job("out.jsonl", "--resume", *options)
    again.communicate(timeout=60)
    assert again.returncode == 0
    assert sum(job.asked.values()) <= ROWS - ROWS // 50 + ahead
    assert len(job.asked) == ROWS - ROWS // 50
    assert len(rows_of(tmp_path / "out.jsonl")) == ROWS

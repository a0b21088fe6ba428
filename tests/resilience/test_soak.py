"""The soak test of ``benchmarks/soak.py``, for 20 seconds; its own run takes ten minutes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.skipif(not (ROOT / "benchmarks" / "soak.py").exists(), reason="the benchmarks are not here"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here"),
]

CHILDREN = """
import threading
from benchmarks import soak

def calls(number):
    if number == 1:
        held.acquire()
    if number == 2:
        return ["the answer to another request"]
    if number == 3:
        raise RuntimeError("escaped")
    return []

soak.PATIENCE = 0.5
held = threading.Lock()
held.acquire()
forks = soak.Forks(calls)
for _ in range(4):
    forks.fork()
forks.close()
print(forks.count, forks.hung, len(forks.wrong))
print(*forks.wrong, sep="\\n")
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python with the benchmarks."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_under_lasting_trouble_every_call_has_its_own_answer_and_nothing_is_left() -> None:
    soak = run("-m", "benchmarks.soak", "--seconds", "20", "--threads", "16")
    assert soak.returncode == 0, soak.stdout + soak.stderr
    assert '"restarts": 0' not in soak.stdout
    assert '"forks": 0' not in soak.stdout


def test_a_forked_child_that_hangs_or_fails_is_noticed() -> None:
    children = run("-c", CHILDREN)
    assert children.stdout.startswith("4 1 3\n"), children.stdout + children.stderr
    for text in ("hangs:", "in calls", "the answer to another request", "RuntimeError: escaped"):
        assert text in children.stdout

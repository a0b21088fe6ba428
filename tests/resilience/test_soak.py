"""The soak test of ``benchmarks/soak.py``, for 20 seconds; its own run takes ten minutes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.skipif(not (ROOT / "benchmarks" / "soak.py").exists(), reason="the benchmarks are not here")
def test_under_lasting_trouble_every_call_has_its_own_answer_and_nothing_is_left() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.soak", "--seconds", "20", "--threads", "16"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert '"restarts": 0' not in run.stdout
    assert '"children": 0' not in run.stdout

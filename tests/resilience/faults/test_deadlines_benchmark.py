"""What ``benchmarks/deadlines.py`` makes of what it sees. Its full run takes 20 minutes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

deadlines = pytest.importorskip("benchmarks.deadlines", reason="the benchmarks are not here")

from tests.sick.kinds import KINDS  # noqa: E402 - after what may be missing

ROOT = Path(__file__).parents[3]


def report(
    late: list[float],
    machine: list[float],
    *,
    end: str = "DeadlineExceededError",
    block: float = 0.0,
    machine_block: float = 0.0,
    never_ended: bool = False,
) -> Any:
    """Of calls to a server that never answers, and of controls beside them."""
    calls = deadlines.Seen(late, Counter({end: len(late)}), block)
    controls = deadlines.Seen(machine, Counter(), machine_block)
    return deadlines.Report(KINDS["never answers"], "async", calls, controls, never_ended)


def test_what_the_machine_is_late_is_not_the_client_s() -> None:
    machine = [0.001] * 900 + [0.4] * 100
    assert report([late + 0.01 for late in reversed(machine)], machine).failures == []


@pytest.mark.parametrize(
    ("missed", "seen"),
    [
        ("99.8% within 50 ms", report([0.0] * 998 + [0.06] * 2, [0.0] * 1000)),
        ("99.9% within 250 ms", report([0.0] * 999 + [0.26], [0.0] * 1000)),
        ("the loop stood still for 30 ms", report([0.0], [0.0], block=0.05, machine_block=0.02)),
        ("1 end in ValueError", report([0.0], [0.0], end="ValueError")),
        ("a round of calls did not end within 10 s", report([], [], never_ended=True)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_target_that_is_missed_is_named(missed: str, seen: Any) -> None:
    assert seen.failures == [missed]
    assert missed in seen.row()


@pytest.mark.parametrize("late", [[0.0] * 999 + [0.24], [-0.1] * 10])
def test_one_call_in_a_thousand_may_be_late_and_none_is_too_early(late: list[float]) -> None:
    assert report(late, [0.0] * len(late), block=0.02).failures == []


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_it_measures_calls_and_controls_by_turns(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.deadlines", "--calls", "30", "--kinds", "never answers"]
    subprocess.run([*command, "--client", "sync", "--json", str(file)], cwd=ROOT, check=False, capture_output=True)
    (figures,) = json.loads(file.read_text())
    assert (figures["calls"], figures["ends"]) == (30, {"DeadlineExceededError": 30})
    of_calls, of_controls, _ = figures["latest, ms"]
    assert of_calls > 0
    assert of_controls > 0

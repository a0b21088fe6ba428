"""Fails when a change makes the call 25 % dearer: ``python -m benchmarks.guard``.

Where valgrind is installed it counts instructions, which no busy neighbour changes: those of a process that makes many
calls less those of one that makes few, for boto3 and for this project. Elsewhere it compares CPU time. Either way the
figure is the ratio to plain boto3 in the same run, held against the ratio below with 25 % of head-room.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.calls import cost_of_a_call, responder
from benchmarks.contenders import credentials_for_all

HEAD_ROOM = 1.25
EXPECTED_INSTRUCTIONS = {25: 0.52, 500: 0.28}
EXPECTED_CPU = {25: 0.58, 500: 0.34}  # with the noise of a shared machine

# Under valgrind everything takes fifty times as long: time-outs that are right for a call must not end one.
_PROGRAM = """
import sys
from functools import partial
import personalize_rt
from botocore.config import Config
personalize_rt.PersonalizeRuntime = partial(
    personalize_rt.PersonalizeRuntime, deadline=600, config=Config(connect_timeout=600, read_timeout=600)
)
from benchmarks.contenders import CONTENDERS, items
rank = CONTENDERS[{name!r}]({url!r})
wanted = items({size})
for _ in range({calls}):
    rank(wanted)
"""


def _environment() -> dict[str, str]:
    environment = dict(os.environ, PYTHONHASHSEED="0", PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def _instructions(name: str, url: str, size: int, calls: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                "valgrind",
                "--tool=callgrind",
                f"--callgrind-out-file={Path(folder) / 'out'}",
                sys.executable,
                "-c",
                _PROGRAM.format(name=name, url=url, size=size, calls=calls),
            ],
            capture_output=True,
            text=True,
            check=True,
            env=_environment(),
        )
    found = re.search(r"refs:\s+([\d,]+)", done.stderr)
    assert found is not None, done.stderr
    return int(found[1].replace(",", ""))


def _per_call(name: str, url: str, size: int) -> float:
    few, many = 10, 60
    # Compiles what is not compiled yet, which would count otherwise.
    program = _PROGRAM.format(name=name, url=url, size=size, calls=1)
    subprocess.run([sys.executable, "-c", program], check=True, env=_environment())
    return (_instructions(name, url, size, many) - _instructions(name, url, size, few)) / (many - few)


def main() -> int:
    credentials_for_all()
    worst = 0.0
    with responder() as url:
        if shutil.which("valgrind"):
            expected, kind = EXPECTED_INSTRUCTIONS, "instructions"
            ratios = {size: _per_call("personalize-rt", url, size) / _per_call("boto3", url, size) for size in expected}
        else:
            expected, kind = EXPECTED_CPU, "CPU time"
            costs = cost_of_a_call(url, rounds=10, calls=40)
            ratios = {size: costs[str(size)]["personalize-rt"]["cpu_ratio"] for size in expected}
    for size, ratio in ratios.items():
        limit = expected[size] * HEAD_ROOM
        worst = max(worst, ratio / limit)
        print(f"{size} items: {kind} {ratio:.3f} of boto3's, at most {limit:.3f}")
    return 0 if worst <= 1 else 1


if __name__ == "__main__":
    sys.exit(main())

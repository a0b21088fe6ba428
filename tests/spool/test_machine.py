"""Any course of records, acknowledgements, crashes and recoveries: what is not done is there, for one process."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from personalize_rt.spool import Mark, Spool, SpoolFullError
from tests.optional import optional

pytestmark = pytest.mark.skipif(os.stat not in os.supports_dir_fd, reason="this system has no locks of files")
optional("fcntl")

SEGMENT, TOTAL = 300, 3_000


class Course(RuleBasedStateMachine):
    """Processes that share a directory; each has the records that it wrote or recovered."""

    processes: Bundle[Spool] = Bundle("processes")

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp())
        self.living: dict[Spool, dict[int, Mark]] = {}
        self.orphans: set[int] = set()
        self.numbers = 0

    def teardown(self) -> None:
        for process in list(self.living):
            self.end(process)
        shutil.rmtree(self.place)

    def end(self, process: Spool) -> None:
        self.orphans |= self.living.pop(process).keys()
        process._leave()
        process._folder.close()

    @rule(target=processes)
    def start(self) -> Spool:
        process = Spool(self.place / "events", segment_bytes=SEGMENT, total_bytes=TOTAL)
        self.living[process] = {}
        return process

    @rule(process=processes, length=st.integers(0, 100), times=st.integers(1, 5))
    def append(self, process: Spool, length: int, times: int) -> None:
        for _ in range(times):
            try:
                mark = process.append(b"%d " % self.numbers + b"x" * length)
            except SpoolFullError:
                return
            self.living[process][self.numbers] = mark
            self.numbers += 1

    @rule(process=processes, data=st.data())
    def done(self, process: Spool, data: Any) -> None:
        there = self.living[process]
        chosen: list[int] = data.draw(st.lists(st.sampled_from(sorted(there)), unique=True)) if there else []
        process.done([there[number] for number in chosen] * 2)
        for number in chosen:
            del there[number]

    @rule(process=processes)
    def all_done(self, process: Spool) -> None:
        process.done(self.living[process].values())
        self.living[process].clear()

    @rule(process=processes)
    def recover(self, process: Spool) -> None:
        found = {int(record.split()[0]): mark for mark, record in process.recovered()}
        assert found.keys() == self.orphans
        self.orphans.clear()
        self.living[process].update(found)
        assert (process.torn, process.set_aside) == (0, {})

    @rule(target=processes, process=consumes(processes))
    def crash(self, process: Spool) -> Any:
        self.end(process)
        return multiple()

    @rule(target=processes, process=consumes(processes))
    def close(self, process: Spool) -> Any:
        process.close()
        self.orphans |= self.living.pop(process).keys()
        return multiple()

    @invariant()
    def nobody_else_can_claim_what_is_alive(self) -> None:
        if not self.orphans and self.living:
            assert list(next(iter(self.living)).recovered()) == []

    @invariant()
    def the_directory_is_bounded(self) -> None:
        if self.living:
            size = sum(path.stat().st_size for path in (self.place / "events").iterdir())
            assert size <= TOTAL + (len(self.living) + 1) * SEGMENT


TestCourse = Course.TestCase
TestCourse.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

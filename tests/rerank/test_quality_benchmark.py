"""``benchmarks.quality`` on lists of pages: every model orders every list, and knows nothing of what comes later."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from benchmarks.quality import every
from benchmarks.quality.invented import clicks
from benchmarks.quality.pages import KINDS, Kind, Pages
from benchmarks.quality.plain import PLAIN, tuned


@pytest.mark.parametrize("kind", KINDS)
def test_every_model_orders_every_list_and_the_tables_show_it(
    kind: Kind, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = argparse.Namespace(events=600, cases=12, seed=0, peer=[])
    every.measure_pages("clicks", kind, tmp_path / "found.json", options)
    found: every.Found = json.loads((tmp_path / "found.json").read_text())
    assert {"ensemble", "ensemble with lists", *found["plain"]} < set(found["gains"])
    lengths = {len(gains) for gains in found["gains"].values()} | {len(cold) for cold in found["cold"].values()}
    assert len(lengths) == 1
    assert lengths.pop() > 3
    every.pages_table(found)
    assert capsys.readouterr().out.count("\n| ") == len(found["gains"]) + 1
    assert every.summary(found).count("|") == 9


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_after_a_list_changes_no_score_of_it(kind: Kind) -> None:
    events, _ = clicks(600, 0)
    task = Pages.of(events, kind, lists=12, seed=0)
    last = task.test[-1]
    cut = Pages(task.events[: last.index], task.test_start, task.earlier, task.test)
    assert tuned(cut) == tuned(task)
    assert len(tuned(task)) == len(PLAIN)
    for page in (*task.earlier, *task.test):
        assert page.time == events[page.index][2]
        assert page.user == events[page.index][0]

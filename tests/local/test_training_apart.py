"""Training of large data in a process of its own."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from personalize_rt.interactions import Interaction
from personalize_rt.local.control import apart
from personalize_rt.local.control.made import FailedError, Work
from personalize_rt.local.control.packing import PackingError, pack, unpack
from personalize_rt.local.control.training import Trained
from personalize_rt.local.datasets import Datasets, EventLog, Table
from personalize_rt.local.engine import RefusedError
from personalize_rt.local.models import Models
from personalize_rt.local.recipes import RECIPES, Ask
from personalize_rt.local.schemas import Field

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no signals to look a process up with")


def log_of(events: int = 400) -> EventLog:
    chance, log = random.Random(1), EventLog(fields={"USER_ID": Field("USER_ID"), "DEVICE": Field("DEVICE")})
    for n in range(events):
        log.user.append(log.users[f"user-{n % 40}"])
        log.target.append(log.targets[f"item-{int(30 * chance.random() ** 2)}"])
        log.type.append(log.types["watch" if n % 3 else "click"])
        log.timestamp.append(1_600_000_000 + n)
    log.columns["DEVICE"] = [("tv", None, "té\ud800", 1.5, True)[n % 5] for n in range(events)]
    return log


ITEMS = Table(
    {f"item-{n}": n for n in range(40)},
    {"GENRES": [("drama|comedy", "drama", None)[n % 3] for n in range(40)]},
    {"ITEM_ID": Field("ITEM_ID"), "GENRES": Field("GENRES", categorical=True, nullable=True)},
)


@pytest.fixture
def datasets() -> Datasets:
    return Datasets(interactions=log_of(), items=ITEMS)


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "LEAST_ROWS", 1)


def answers(recipe: str, models: Models) -> list[Any]:
    members = {"userId": "user-7", "itemId": "item-3", "inputList": ("item-1", "item-2", "none")}
    return list(RECIPES[recipe].answer(Ask(models, members))(None))


@pytest.mark.parametrize(
    "recipe",
    [
        "aws-user-personalization",
        "aws-personalized-ranking",
        "aws-similar-items",
        "aws-popularity-count",
        "aws-trending-now",
        "aws-ecomm-popular-items-by-views",
    ],
)
def test_models_trained_apart_answer_as_those_trained_here(recipe: str, datasets: Datasets) -> None:
    log = datasets.interactions
    assert log is not None
    log.types["View"] = log.types.pop("watch")
    log.types.names[log.types["View"]] = "View"
    apart_, here = Models(datasets), Models(datasets)
    apart.train(RECIPES[recipe], apart_, None)
    assert apart_.trained, "nothing came back"
    assert answers(recipe, apart_) == answers(recipe, here)
    assert set(apart_.trained) >= {key for key in here.trained if "events" not in str(key)}


def test_models_trained_apart_share_the_data_of_this_process(datasets: Datasets) -> None:
    models = Models(datasets)
    apart.train(RECIPES["aws-user-personalization"], models, None)
    taste = models.taste()
    assert taste.universe is models.universe
    assert datasets.interactions is not None
    assert taste._users is datasets.interactions.users


def test_small_data_are_trained_in_this_process(datasets: Datasets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "LEAST_ROWS", 441)
    assert not apart.is_large(RECIPES["aws-sims"], datasets)
    monkeypatch.setattr(apart, "LEAST_ROWS", 440)
    assert apart.is_large(RECIPES["aws-sims"], datasets)
    monkeypatch.setattr(sys, "executable", "/usr/bin/uwsgi")
    assert not apart.is_large(RECIPES["aws-sims"], datasets), "that would start another server"


def test_metrics_measured_apart_are_those_measured_here(datasets: Datasets, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = RECIPES["aws-popularity-count"]
    there = apart.measured(recipe, datasets, 2e9)
    monkeypatch.setattr(apart, "LEAST_ROWS", 10_000)
    assert there == apart.measured(recipe, datasets, 2e9)


def test_refusal_of_a_measurement_comes_from_the_other_process() -> None:
    log = EventLog()
    log.user.append(log.users["u"])
    log.target.append(log.targets["i"])
    log.type.append(log.types[""])
    log.timestamp.append(1)
    with pytest.raises(RefusedError, match="nothing to predict"):
        apart.measured(RECIPES["aws-popularity-count"], Datasets(interactions=log), 2e9)


# The end of the process.


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Children that train without end, and their process ids."""
    monkeypatch.setattr(apart, "_MAIN", _HANG)
    pids: list[int] = []
    send = apart._Child.send

    def noted(child: apart._Child, frame: bytes) -> None:
        if child._process.pid not in pids:
            pids.append(child._process.pid)
        send(child, frame)

    monkeypatch.setattr(apart._Child, "send", noted)
    yield pids
    assert pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


_HANG = """
from personalize_rt.local.control import apart
from personalize_rt.local.models import Models
import time
Models.prepare = lambda models: time.sleep(600)
apart.main()
"""


def test_training_that_is_stopped_ends_its_process(datasets: Datasets, hung: list[int]) -> None:
    models = Models(datasets)
    work = Work(lambda work: Trained(RECIPES["aws-sims"]).train(models, work))
    thread = threading.Thread(target=work.run)
    thread.start()
    _until(lambda: bool(hung))
    work.stop()
    thread.join(60)
    assert not thread.is_alive()
    assert (work.done, work.stopped, work.failure) == (True, True, "")
    assert not any("taste" in str(key) for key in models.trained), "half of a training is there"


def test_training_that_takes_too_long_fails_and_says_so(
    datasets: Datasets, hung: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "MOST_SECONDS", 0.2)
    with pytest.raises(FailedError) as failed:
        apart.train(RECIPES["aws-sims"], Models(datasets), None)
    assert "took more than" in failed.value.reason


def test_process_of_a_training_that_is_killed_fails_it(datasets: Datasets, hung: list[int]) -> None:
    failures: list[str] = []

    def train() -> None:
        try:
            apart.train(RECIPES["aws-sims"], Models(datasets), None)
        except FailedError as failed:
            failures.append(failed.reason)

    thread = threading.Thread(target=train)
    thread.start()
    _until(lambda: bool(hung))
    os.kill(hung[0], 9)
    thread.join(60)
    assert failures == ["Create failed. The process of the training was ended."]


def test_child_ends_with_its_parent_however_that_ends(datasets: Datasets, hung: list[int]) -> None:
    with apart._Child() as child:
        child.send(b'{"task": "train", "recipe": "aws-sims", "datasets": ["interactions"]}')
        assert datasets.interactions is not None
        for frame in pack(datasets.interactions):
            child.send(frame)
        assert child._process.poll() is None
        child._pipes[0].close()  # as the end of the parent does
        assert child._process.wait(60) == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have no such bound")
def test_training_that_needs_too_much_memory_fails_and_says_so(
    datasets: Datasets, monkeypatch: pytest.MonkeyPatch
) -> None:
    greedy = "Models.prepare = lambda models: bytearray(5 << 30)"
    monkeypatch.setattr(apart, "_MAIN", _HANG.replace("Models.prepare = lambda models: time.sleep(600)", greedy))
    with pytest.raises(FailedError) as failed:
        apart.train(RECIPES["aws-sims"], Models(datasets), None)
    assert "more than 4 GB of memory" in failed.value.reason


def test_defect_of_a_training_is_told_without_its_message(datasets: Datasets, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = "Models.prepare = lambda models: {}['user-42']"
    monkeypatch.setattr(apart, "_MAIN", _HANG.replace("Models.prepare = lambda models: time.sleep(600)", broken))
    with pytest.raises(FailedError) as failed:
        apart.train(RECIPES["aws-sims"], Models(datasets), None)
    assert failed.value.reason == "Internal error: KeyError"


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


# Frames.


def test_dataset_is_the_same_after_packing() -> None:
    log = log_of(10_000)
    copy = unpack(pack(log))
    assert isinstance(copy, EventLog)
    assert list(copy) == list(log)
    assert (copy.users, copy.users.names, copy.columns, copy.fields) == (
        log.users,
        log.users.names,
        log.columns,
        log.fields,
    )
    assert copy.users["another"] == len(log.users)
    table = unpack(pack(ITEMS))
    assert isinstance(table, Table)
    assert (dict(table), table.fields) == (dict(ITEMS), ITEMS.fields)
    assert copy[0] == Interaction("user-0", log[0].item_id, 1_600_000_000, "click")


def test_frames_are_short() -> None:
    assert max(map(len, pack(log_of(100_000)))) < 1 << 20


def test_frames_that_are_missing_are_told() -> None:
    frames = list(pack(log_of()))
    for count in range(len(frames)):
        with pytest.raises(PackingError):
            unpack(frames[:count])

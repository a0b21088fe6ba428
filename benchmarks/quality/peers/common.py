"""Tuning, fitting and asking, the same for every model.

A model's settings are those of its grid with the highest NDCG@10 on the validation cases, after fitting on what stands
before them. For the test it is fitted anew at the start of each block, on all events before it. Whenever it is asked,
it may use the user's own events up to that moment.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmarks.quality.measures import Place, gains, mean, place
from benchmarks.quality.task import Case, Event, Task

__all__ = ["Model", "Models", "OneByOne", "Question", "grid", "run"]


Question = tuple[str, Sequence[Event], Sequence[str]]
"""A user, what the user did so far, and the candidates."""


class Model(Protocol):
    """A model with its settings."""

    def fit(self, events: Sequence[Event]) -> None:
        """Learn from these events alone."""
        ...

    def answers(self, questions: Sequence[Question]) -> Iterable[Sequence[float | None]]:
        """Score the candidates of each question; ``None`` for an item that is not known."""
        ...


class OneByOne:
    """A model that is asked one question at a time."""

    def scores(self, user: str, history: Sequence[Event], candidates: Sequence[str]) -> Sequence[float | None]:
        raise NotImplementedError

    def answers(self, questions: Sequence[Question]) -> Iterable[Sequence[float | None]]:
        return [self.scores(*question) for question in questions]


Models = Mapping[str, tuple[Sequence[Mapping[str, Any]], Callable[..., Model]]]
"""By name: the grid of settings, and what makes a model of one of them."""


def grid(**values: Sequence[Any]) -> list[dict[str, Any]]:
    """All combinations of settings."""
    return [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]


def run(models: Models) -> None:
    """``python -m … TASK RESULT [MODEL …]``: tune and test each model, and write what came out."""
    task, result = Task.load(Path(sys.argv[1])), Path(sys.argv[2])
    done: dict[str, Any] = json.loads(result.read_text()) if result.exists() else {}
    for name in sys.argv[3:] or models:
        started = time.monotonic()
        settings = _tuned(name, *models[name], task)
        places: list[Place] = []
        for start, cases in task.blocks():
            model = models[name][1](**settings)
            model.fit(task.events[:start])
            places += _places(model, task, cases)
        seconds = time.monotonic() - started
        done[name] = {"settings": settings, "places": places, "seconds": round(seconds)}
        print(f"{name}: {_ndcg(places):.4f} with {settings}, {seconds:.0f} s", flush=True)
        result.write_text(json.dumps(done))


def _tuned(
    name: str, choices: Sequence[Mapping[str, Any]], make: Callable[..., Model], task: Task
) -> Mapping[str, Any]:
    if len(choices) == 1:
        return choices[0]
    tried: list[tuple[float, Mapping[str, Any]]] = []
    for settings in choices:
        model = make(**settings)
        model.fit(task.events[: task.validation_start])
        tried.append((_ndcg(_places(model, task, task.validation)), settings))
        print(f"  {name} {settings}: {tried[-1][0]:.4f}", flush=True)
    return max(tried, key=lambda one: one[0])[1]


def _ndcg(places: Sequence[Place]) -> float:
    return mean([gains(one)[0] for one in places])


def _places(model: Model, task: Task, cases: Sequence[Case]) -> list[Place]:
    answers = model.answers(_questions(task, cases))
    return [place(scores, case.wanted) for scores, case in zip(answers, cases, strict=True)]


def _questions(task: Task, cases: Sequence[Case]) -> list[Question]:
    """Each case with the user's events before it."""
    by_index = {case.index: case for case in cases}
    histories: dict[str, list[Event]] = {}
    questions: list[Question] = []
    for index, event in enumerate(task.events[: max(by_index, default=-1) + 1]):
        history = histories.setdefault(event[0], [])
        if index in by_index:
            questions.append((event[0], tuple(history), by_index[index].candidates))
        history.append(event)
    return questions

"""Plain peers for lists of pages: each in a few lines, learned event by event, with its setting tuned.

A setting is chosen by the NDCG@10 on the lists to learn from, which come before the test.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from math import exp2, sqrt
from typing import Protocol

from benchmarks.quality.pages import Page, Pages, gain
from benchmarks.quality.task import Event

__all__ = ["PLAIN", "Plain", "in_time", "tuned"]

DAY = 86_400.0


class Plain(Protocol):
    """A model that is told events one by one."""

    def learn(self, event: Event) -> None: ...
    def scores(self, page: Page) -> Sequence[float]: ...


class Popularity:
    """Event counts with a half-life in days."""

    def __init__(self, half_life: float) -> None:
        self.half_life = half_life * DAY
        self.counts: dict[str, tuple[float, float]] = {}

    def learn(self, event: Event) -> None:
        _, item, time, _ = event
        count, since = self.counts.get(item, (0.0, time))
        self.counts[item] = count * exp2((since - time) / self.half_life) + 1.0, time

    def scores(self, page: Page) -> list[float]:
        counts = [self.counts.get(item, (0.0, page.time)) for item in page.items]
        return [count * exp2((since - page.time) / self.half_life) for count, since in counts]


class CosineNeighbours:
    """Cosine item-kNN over users' last 20 items; the sum is corrected for the items' counts to a power."""

    def __init__(self, power: float) -> None:
        self.power = power
        self.had: dict[str, int] = {}
        self.together: dict[str, dict[str, float]] = {}
        self.latest: dict[str, dict[str, None]] = {}

    def learn(self, event: Event) -> None:
        user, item, _, _ = event
        self.had[item] = self.had.get(item, 0) + 1
        latest = self.latest.setdefault(user, {})
        row = self.together.setdefault(item, {})
        for other in list(latest)[-20:]:
            if other != item:
                back = self.together.setdefault(other, {})
                row[other] = row.get(other, 0.0) + 1.0
                back[item] = back.get(item, 0.0) + 1.0
        latest.pop(item, None)
        latest[item] = None

    def scores(self, page: Page) -> list[float]:
        latest = list(self.latest.get(page.user, ()))[-20:]
        totals = [0.0] * len(page.items)
        for age, item in enumerate(reversed(latest)):
            row, weight = self.together.get(item, {}), 0.9**age / sqrt(self.had[item])
            for place, other in enumerate(page.items):
                near = 1.0 if other == item else row.get(other, 0.0) / sqrt(self.had.get(other, 1))
                totals[place] += weight * near
        # Without neighbours, the count decides.
        return [
            (total + 1e-9) * self.had.get(item, 0) ** self.power for total, item in zip(totals, page.items, strict=True)
        ]


class SessionNeighbours:
    """The 100 users with the most of the last items in common, and what they had (V-SkNN of Ludewig, Jannach)."""

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.users: dict[str, deque[str]] = {}
        self.latest: dict[str, dict[str, None]] = {}

    def learn(self, event: Event) -> None:
        user, item, _, _ = event
        users = self.users.setdefault(item, deque(maxlen=200))
        if not users or users[-1] != user:
            users.append(user)
        latest = self.latest.setdefault(user, {})
        latest.pop(item, None)
        latest[item] = None
        if len(latest) > 50:
            del latest[next(iter(latest))]

    def scores(self, page: Page) -> list[float]:
        shared: dict[str, float] = {}
        for age, item in enumerate(list(self.latest.get(page.user, ()))[:-21:-1]):
            for other in dict.fromkeys(self.users[item]):
                shared[other] = shared.get(other, 0.0) + self.decay**age
        shared.pop(page.user, None)
        totals = dict.fromkeys(page.items, 0.0)
        for user in sorted(shared, key=shared.__getitem__, reverse=True)[:100]:
            for item in self.latest[user].keys() & totals.keys():
                totals[item] += shared[user]
        return [totals[item] for item in page.items]


PLAIN: Mapping[str, tuple[Sequence[float], Callable[[float], Plain]]] = {
    "popularity with decay": ((0.5, 3.0, 20.0, 365.0), Popularity),
    "cosine kNN, corrected": ((-0.25, 0.0, 0.25), CosineNeighbours),
    "session kNN": ((0.5, 0.9), SessionNeighbours),
}
"""By name: the settings to try, and what makes a model of one."""


def in_time(model: Plain, task: Pages, pages: Sequence[Page]) -> list[float]:
    """Tell a model all events before each list, and have it ordered."""
    known = 0
    gains: list[float] = []
    for page in pages:
        for event in task.events[known : page.index]:
            model.learn(event)
        known = page.index
        gains.append(gain(model.scores(page), page.taken))
    return gains


def tuned(name: str, task: Pages) -> tuple[float, list[float]]:
    """The best setting on the earlier lists, and the gains in the test with it."""
    settings, make = PLAIN[name]
    tried = [(sum(in_time(make(setting), task, task.earlier)), setting) for setting in settings]
    best = max(tried)[1] if task.earlier else settings[0]
    return best, in_time(make(best), task, task.test)

"""Invented data sets, seeded: clicks of sessions, and purchases that come again.

They are no substitute for real data. They have what films lack: a next click that depends on the last one alone, and
items that a household has again after about the same time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from math import exp
from typing import Any

from benchmarks.quality.task import Event

__all__ = ["INVENTED", "Invented"]

DAY = 86_400.0

Invented = tuple[list[Event], Mapping[str, Mapping[str, Any]]]
"""Events, oldest first, and the catalogue."""


def clicks(size: int, seed: int) -> Invented:
    """Sessions of about five clicks, each a user of its own, on articles that appear and are forgotten."""
    chance = random.Random(f"clicks-{seed}")
    kinds, days = 40, 30.0
    items = max(300, size // 25)
    born = [chance.uniform(-10.0, days) for _ in range(items)]
    kind = [chance.randrange(kinds) for _ in range(items)]
    appeal = [chance.paretovariate(1.1) for _ in range(items)]
    members: list[list[int]] = [[] for _ in range(kinds)]
    for item, group in enumerate(kind):
        members[group].append(item)
    related = [chance.sample(members[kind[item]], min(6, len(members[kind[item]]))) for item in range(items)]

    def drawn(pool: list[int], day: float) -> int | None:
        tried = chance.sample(pool, min(60, len(pool)))
        weights = [appeal[item] * exp(-(day - born[item]) / 5.0) if born[item] <= day else 0.0 for item in tried]
        return chance.choices(tried, weights)[0] if sum(weights) > 0.0 else None

    events: list[Event] = []
    everything = list(range(items))
    while len(events) < size:
        day = chance.uniform(0.0, days)
        time, session = day * DAY, f"session-{len(events)}"
        next_one = drawn(everything, day)
        while next_one is not None and chance.random() < 0.83:
            item = next_one
            events.append((session, f"article-{item}", round(time, 1), None))
            time += chance.expovariate(1 / 60.0)
            way = chance.random()
            pool = related[item] if way < 0.55 else members[kind[item]] if way < 0.85 else everything
            next_one = drawn(pool, day)
    events.sort(key=lambda event: event[2])
    return events, {
        f"article-{item}": {"GENRES": f"topic-{kind[item]}", "CREATION_TIMESTAMP": int(born[item] * DAY)}
        for item in range(items)
    }


def _purchases(size: int, seed: str, *, favourites: int, news: float, pace: float) -> Invented:
    """Households that shop every ``pace`` days: what is due of their favourites, and ``news`` other items."""
    chance = random.Random(seed)
    days = 200.0
    items, kinds = 1_500, 30
    gap = [chance.lognormvariate(2.2, 0.7) for _ in range(items)]  # days until one more is needed
    sticky = [chance.betavariate(1.0, 1.5) for _ in range(items)]  # whether it is bought again at all
    appeal = [chance.paretovariate(1.4) for _ in range(items)]
    kind = [chance.randrange(kinds) for _ in range(items)]
    every = list(range(items))
    events: list[Event] = []
    household = 0
    while len(events) < size:
        household += 1
        likes = [chance.expovariate(1.0) for _ in range(kinds)]
        habits: dict[int, list[float]] = {}  # item to when it was bought last, and the household's own gap
        time = chance.uniform(0.0, 0.7 * days)
        for item in chance.choices(every, appeal, k=favourites):
            habits[item] = [time - chance.uniform(0.0, gap[item]), gap[item] * chance.lognormvariate(0.0, 0.4)]
        while time < days:
            basket = {
                item
                for item, (last, own) in habits.items()
                if chance.random() < 0.7 / (1.0 + exp(-4.0 * ((time - last) / own - 1.0)))
            }
            for item in chance.choices(every, appeal, k=8):
                if chance.random() < news / 8.0 * likes[kind[item]]:
                    basket.add(item)
                    if item not in habits and chance.random() < sticky[item] * sticky[item]:
                        habits[item] = [time, gap[item] * chance.lognormvariate(0.0, 0.4)]
            moment = time * DAY
            for item in chance.sample(sorted(basket), len(basket)):
                if item in habits:
                    habits[item][0] = time
                events.append((f"household-{household}", f"product-{item}", round(moment, 1), None))
                moment += 5.0
            time += chance.expovariate(1.0 / pace)
    events.sort(key=lambda event: event[2])
    return events, {f"product-{item}": {"GENRES": f"aisle-{kind[item]}"} for item in every}


def baskets(size: int, seed: int) -> Invented:
    """Large baskets, most of which was bought before."""
    return _purchases(size, f"baskets-{seed}", favourites=20, news=1.5, pace=4.0)


def groceries(size: int, seed: int) -> Invented:
    """Small purchases, about half of which is new to the household."""
    return _purchases(size, f"groceries-{seed}", favourites=4, news=3.0, pace=6.0)


INVENTED: Mapping[str, Callable[[int, int], Invented]] = {
    "clicks": clicks,
    "baskets": baskets,
    "groceries": groceries,
}
"""By name: a function of the number of events and of a seed."""

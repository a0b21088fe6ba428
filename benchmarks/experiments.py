"""How often experiments are wrong, and how many sessions they need: ``python -m benchmarks.experiments``.

Sessions are simulated, and go through the real ``interleave``, ``Split`` and ``outcomes``. The click model:

* A session has 50 candidates, of which the 5 with the highest worth are relevant. Worth is standard normal.
* A ranker orders by worth plus two errors, one that all rankers share (deviation 0.5), and one of its own. That of the
  control has the deviation 1; that of a better ranker is smaller. The first 10 are shown.
* The user goes down the list, clicks what looks good, stops after a click with some chance, and gives up after each
  item with the chance 0.1. These are the users of Hofmann, Whiteson and de Rijke, "A probabilistic method for
  inferring preferences from clicks" (CIKM 2011), who never give up there, which would make splits look worse:

  ==============  ==============================  ===============================
  user            clicks: not relevant, relevant  stops after it: no, yes
  ==============  ==============================  ===============================
  perfect         0, 1                            0, 0
  navigational    0.05, 0.95                      0.2, 0.9
  informational   0.4, 0.9                        0.1, 0.5
  ==============  ==============================  ===============================

A session of a split is a success if it has a click. **A/A**: two rankers as good as each other with errors of their
own, so that their lists differ, as do those of two models that are equally good. **Power**: a better ranker, at 5
percent, two-sided; how many sessions find it in 80 percent of experiments.

Ends with status 1 when a promise of ``docs/how-to/experiments.md`` is broken: that of power is for the informational
user, who looks around as one does on a shelf. ``--runs 500`` makes fewer experiments, ``--only aa`` (``split``,
``power``) a part, ``--method balanced`` the other method. Needs numpy.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from random import Random
from typing import Any

import attrs
import numpy as np

from personalize_rt.experiments import Split, SplitExposure, interleave, outcomes
from personalize_rt.experiments.inference import difference_interval, sign_test
from personalize_rt.experiments.interleaving import Method

CANDIDATES, RELEVANT, SHOWN = 50, 5, 10
SHARED_ERROR, OWN_ERROR, BETTER = 0.5, 1.0, (0.9, 0.8, 0.7)
GIVES_UP = 0.1
LEVEL, POWER = 0.05, 0.8
SIZES = (20, 50, 100, 200, 500, 1000, 2000)
_BLOCK = 500

Array = Any  # numpy's types are not complete in strict mode


@attrs.frozen
class User:
    """The chances of a click on an item, and of an end after it: not relevant, and relevant."""

    clicks: tuple[float, float]
    stops: tuple[float, float]


USERS = {
    "perfect": User((0.0, 1.0), (0.0, 0.0)),
    "navigational": User((0.05, 0.95), (0.2, 0.9)),
    "informational": User((0.4, 0.9), (0.1, 0.5)),
}
PROMISED = "informational"


@attrs.frozen(eq=False)
class Session:
    """A session: the lists of two rankers, and what the user would do at each item and place."""

    a: list[str]
    b: list[str]
    wants: list[bool]
    stops: list[bool]
    gives_up: list[bool]

    def clicks(self, shown: Sequence[str]) -> list[str]:
        """The items that the user clicks in a list."""
        clicked: list[str] = []
        for place, id in enumerate(shown):
            item = int(id)
            if self.wants[item]:
                clicked.append(id)
                if self.stops[item]:
                    break
            if self.gives_up[place]:
                break
        return clicked


def sessions(count: int, seed: int, error: float = OWN_ERROR, user: User = USERS[PROMISED]) -> Iterator[Session]:
    """Sessions with the control (``a``), and a ranker with an error of some deviation (``b``)."""
    chance = np.random.default_rng([seed, round(1000 * error)])
    for begin in range(0, count, _BLOCK):
        shape = (min(_BLOCK, count - begin), CANDIDATES)
        worth, shared, of_a, of_b = chance.standard_normal((4, *shape))
        relevant = worth >= np.partition(worth, -RELEVANT, axis=1)[:, -RELEVANT, None]
        seen = worth + SHARED_ERROR * shared
        a, b = (np.argsort(-score, axis=1)[:, :SHOWN] for score in (seen + OWN_ERROR * of_a, seen + error * of_b))
        wants, stops = (chance.random(shape) < np.where(relevant, of[1], of[0]) for of in (user.clicks, user.stops))
        gives_up = chance.random((shape[0], SHOWN)) < GIVES_UP
        lists = (a.astype(str), b.astype(str), wants, stops, gives_up)
        yield from map(Session, *(each.tolist() for each in lists))


def interleaved_runs(
    runs: int, size: int, method: Method, seed: int = 1
) -> Iterator[tuple[bool, tuple[int, int], int]]:
    """Whole A/A experiments: whether each finds a difference, its wins, and its units without a winner."""
    drawn, coins = sessions(runs * size, seed), Random(seed)
    for _ in range(runs):
        exposures, events = [], []
        for unit in map(str, range(size)):
            session = next(drawn)
            shown = interleave(session.a, session.b, k=SHOWN, method=method, rng=coins)
            exposures.append(shown.exposure("aa", unit=unit))
            events += [(unit, item) for item in session.clicks(shown.item_ids)]
        found = outcomes(exposures, events, rng=coins)
        yield found.winner is not None, found.wins, found.units - found.decided


def split_runs(runs: int, size: int, seed: int = 2) -> Iterator[tuple[bool, int]]:
    """Whole A/A experiments of a split: whether each finds a difference, and the number of its successes."""
    drawn = sessions(runs * size, seed)
    for run in range(runs):
        split = Split(f"aa {seed} {run}", {"control": 1, "ranker": 1})
        exposures: list[SplitExposure] = []
        events = []
        for user in map(str, range(size)):
            session, exposure = next(drawn), split.exposure(user)
            exposures.append(exposure)
            shown = session.a if exposure.group == "control" else session.b
            events += [(exposure.unit, item) for item in session.clicks(shown)]
        found = outcomes(exposures, events)
        yield found["ranker"].verdict is not None, sum(row.successes for row in found.groups)


@cache
def differs(wins: int, losses: int) -> bool:
    """Whether the sign test finds a difference."""
    return sign_test(wins, losses) <= LEVEL


def differ(successes: int, units: int, of_control: int, control: int) -> bool:
    """Whether the interval of a difference leaves 0 out."""
    low, high = difference_interval(successes, units, of_control, control, 1 - LEVEL)
    return low > 0 or high < 0


def chances(error: float, user: User, count: int, method: Method, seed: int = 3) -> dict[str, float]:
    """What a session gives, as a share of many: a win of either side, and a click in either's own list."""
    coins, totals = Random(seed), dict.fromkeys(("win a", "win b", "click a", "click b"), 0)
    for session in sessions(count, seed, error, user):
        shown = interleave(session.a, session.b, k=SHOWN, method=method, rng=coins)
        clicked = session.clicks(shown.item_ids)
        if clicked:
            # Of one unit, the interval needs no chance.
            found = outcomes([shown.exposure("x", unit="s")], [("s", item) for item in clicked])
            totals["win a"] += found.wins[0]
            totals["win b"] += found.wins[1]
        totals["click a"] += bool(session.clicks(session.a))
        totals["click b"] += bool(session.clicks(session.b))
    return {name: total / count for name, total in totals.items()}


def power_of_lists(of: dict[str, float], size: int, runs: int, seed: int = 4) -> float:
    """The share of experiments of so many sessions that find the better side."""
    chance = np.random.default_rng([seed, size])
    shares = [of["win a"], of["win b"], 1 - of["win a"] - of["win b"]]
    drawn: list[list[int]] = chance.multinomial(size, shares, runs).tolist()
    return sum(b > a and differs(*sorted((a, b))) for a, b, _ in drawn) / runs


def power_of_split(of: dict[str, float], size: int, runs: int, seed: int = 5) -> float:
    """The share of splits of so many sessions, half in each group, that find the better group."""
    chance, each = np.random.default_rng([seed, size]), size // 2
    a, b = (list[int](chance.binomial(each, of[name], runs).tolist()) for name in ("click a", "click b"))
    counts = Counter(zip(a, b, strict=True))
    return sum(times for (a_, b_), times in counts.items() if b_ > a_ and differ(b_, each, a_, each)) / runs


def sessions_needed(power: Callable[[int], float]) -> int:
    """The fewest sessions, to one percent, with the wanted power."""
    high = 16
    while power(high) < POWER:
        high *= 2
    low = high // 2
    while high - low > max(1, low // 100):
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


def check_aa(runs: int, method: Method) -> bool:
    """Print how often equal rankers are found to differ; whether that is as promised."""
    begun, holds = time.perf_counter(), True
    whole = list(interleaved_runs(runs, 200, method))
    decided = sum(sum(wins) for _, wins, _ in whole) / (200 * runs)
    print(f"A/A, {method}: {decided:.3f} of sessions have a winner")
    # Other sizes: a session has a winner as often, and equal rankers are as likely to be it.
    rates = {size: rate_of_equals(decided, size, runs) for size in SIZES}
    rates_of_whole = sum(wrong for wrong, _, _ in whole) / runs
    for size, rate in [(200, rates_of_whole), *rates.items()]:
        fine = rate <= 0.06 and (size < 200 or rate >= 0.04)
        holds &= fine
        how = "whole runs" if rate is rates_of_whole else "drawn"
        print(f"  {size:5} sessions, {runs:,} {how}: {rate:.2%} reject{'' if fine else '  <- NOT as promised'}")
    print(f"  {time.perf_counter() - begun:.0f} s", flush=True)
    return holds


def rate_of_equals(decided: float, size: int, runs: int, seed: int = 6) -> float:
    chance = np.random.default_rng([seed, size])
    drawn: list[list[int]] = chance.multinomial(size, [decided / 2, decided / 2, 1 - decided], runs).tolist()
    return sum(differs(*sorted((a, b))) for a, b, _ in drawn) / runs


def check_split_aa(runs: int) -> bool:
    """The same for a split."""
    begun = time.perf_counter()
    whole = list(split_runs(runs, 200))
    clicked = sum(successes for _, successes in whole) / (200 * runs)
    rates = [("whole runs", 200, sum(wrong for wrong, _ in whole) / runs)]
    rates += [("drawn", size, rate_of_equal_groups(clicked, size, runs)) for size in SIZES]
    print(f"A/A, split: {clicked:.3f} of sessions have a click")
    holds = True
    for how, size, rate in rates:
        fine = rate <= 0.06 and (size < 200 or rate >= 0.04)
        holds &= fine
        print(f"  {size:5} sessions, {runs:,} {how}: {rate:.2%} reject{'' if fine else '  <- NOT as promised'}")
    print(f"  {time.perf_counter() - begun:.0f} s", flush=True)
    return holds


def rate_of_equal_groups(clicked: float, size: int, runs: int, seed: int = 7) -> float:
    """The share of drawn experiments that find a difference of groups with the same chance of a click."""
    chance = np.random.default_rng([seed, size])
    units = np.clip(chance.binomial(size, 0.5, runs), 1, size - 1)  # a split puts each user into a group by chance
    a, b = chance.binomial(units, clicked).tolist(), chance.binomial(size - units, clicked).tolist()
    each: list[int] = units.tolist()
    found = cache(differ)
    return sum(found(of_b, size - n, of_a, n) for of_a, of_b, n in zip(a, b, each, strict=True)) / runs


def check_power(count: int, runs: int, method: Method) -> bool:
    """Print how many sessions each way needs; whether that is as promised."""
    holds = True
    print(f"Sessions for a power of {POWER}, from {count:,} simulated sessions, {method}:")
    for name, user in USERS.items():
        for error in BETTER:
            begun = time.perf_counter()
            of = chances(error, user, count, method)
            lists = sessions_needed(partial(power_of_lists, of, runs=runs))
            split = sessions_needed(partial(power_of_split, of, runs=runs))
            fine = lists * 5 <= split or name != PROMISED
            holds &= fine
            shown = ", ".join(f"{what} {share:.4f}" for what, share in of.items())
            print(
                f"  {name}, error {error}: interleaving {lists:,}, split {split:,}: one in {split / lists:.1f}"
                f"{'' if fine else '  <- NOT as promised'}  ({shown}; {time.perf_counter() - begun:.0f} s)",
                flush=True,
            )
    return holds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.experiments", description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--sessions", type=int, default=200_000, help="simulated, for the power")
    parser.add_argument("--only", choices=["aa", "split", "power"])
    parser.add_argument("--method", choices=["team-draft", "balanced"], default="team-draft")
    options = parser.parse_args()
    parts: dict[str, Callable[[], bool]] = {
        "aa": lambda: check_aa(options.runs, options.method),
        "split": lambda: check_split_aa(options.runs),
        "power": lambda: check_power(options.sessions, options.runs, options.method),
    }
    broken = [name for name in parts if options.only in {None, name} and not parts[name]()]
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

"""How right rankings of long lists are: ``python -m benchmarks.long``.

Ten thousand seeded lists of 501 to 20,000 items, whose logits are known, ranked by ``LongPlan`` with answers as the
service gives them: a softmax over the request, rounded to 7 decimals, and before that a normal error in the logit,
drawn anew for each item and answer. Some lists have items that the model does not know, and a filter. Ends with status
1 when a promise of ``docs/how-to/long-lists.md`` is broken.

``--lists 200`` runs fewer, ``--worst 5`` names the lists that were furthest off, ``--kinds normal`` takes some of the
kinds of lists. Needs numpy.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from math import inf, log
from statistics import median
from typing import Any

import attrs
import numpy as np

from personalize_rt.rerank import LongRanking
from personalize_rt.rerank.long import Chunk, LongPlan
from personalize_rt.results import Ranking

SIZE = 500
NOISES = (0.0, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
# Deviations of the noise by which two items must differ for their order to be judged.
APART = 5.0
LEAST = -1e6  # stands for -inf where differences are taken

Array = Any  # numpy's types are not complete in strict mode
Draw = Callable[[Any, int], Array]


def _heavy(chance: Any, items: int) -> Array:
    kind = chance.integers(4)
    if kind == 0:
        return chance.standard_t(2, items)
    if kind == 1:
        return chance.standard_cauchy(items)
    if kind == 2:
        return chance.lognormal(0.0, 2.0, items)
    logits = chance.normal(0.0, 1.0, items)
    logits[chance.choice(items, 5, replace=False)] = 10.0 * np.arange(1, 6)
    return logits


def _clustered(chance: Any, items: int) -> Array:
    centres = chance.normal(0.0, 3.0, chance.integers(3, 12))
    return chance.choice(centres, items) + chance.normal(0.0, 0.05, items)


def _half_never(chance: Any, items: int) -> Array:
    logits = chance.normal(0.0, 1.0, items)
    logits[chance.permutation(items)[: items // 2]] = -inf
    return logits


KINDS: dict[str, Draw] = {
    "normal": lambda chance, items: chance.normal(0.0, 1.0, items),
    "wide": lambda chance, items: chance.normal(0.0, chance.uniform(2.0, 5.0), items),
    "heavy": _heavy,
    "tied": lambda chance, items: np.round(chance.normal(0.0, 2.0, items)),
    "laddered": lambda chance, items: chance.permutation(items) * chance.choice([0.001, 0.01, 0.1, 1.0]),
    "clustered": _clustered,
    "half -inf": _half_never,
}
# The table's lines on the order do not promise ladders: their steps may be far more than one scale can hold.
PROMISED = frozenset(KINDS) - {"laddered"}


@attrs.frozen(eq=False, repr=False)
class Case:
    """One list.

    Attributes:
        number: Its seed.
        kind: How its logits were drawn.
        logits: The logit of each item; the item's id is its place.
        unknown: Whether the model does not know it.
        filtered: Whether a filter takes it out.
        noise: The deviation of the error of each item in each answer.
        hashed: Whether the service breaks ties by something other than the order of the request.
    """

    number: int
    kind: str
    logits: Array
    unknown: Array
    filtered: Array
    noise: float
    hashed: bool

    @classmethod
    def drawn(cls, number: int, kinds: Sequence[str] = tuple(KINDS)) -> Case:
        """The list of that seed."""
        chance = np.random.default_rng(number)
        kind = kinds[number % len(kinds)]
        items = int(np.exp(chance.uniform(log(501), log(20_001))))
        noise = NOISES[number // len(kinds) % len(NOISES)]
        unknown, filtered = (chance.random(items) < chance.choice([0.0, 0.0, 0.2]) for _ in range(2))
        return cls(number, kind, KINDS[kind](chance, items), unknown, filtered, noise, bool(chance.integers(2)))

    def ids(self) -> list[str]:
        """The list as it is ranked."""
        return list(map(str, range(len(self.logits))))

    def service(self) -> Callable[[Chunk], Ranking]:
        """Answers as the service gives them."""
        chance = np.random.default_rng([self.number, 1])
        hashes = chance.permutation(len(self.logits)) if self.hashed else None

        def answer(chunk: Chunk) -> Ranking:
            items = np.array(list(map(int, chunk.item_ids)))
            items = items[~self.filtered[items]]
            known, unknown = items[~self.unknown[items]], items[self.unknown[items]]
            logits = self.logits[known]
            if self.noise:
                logits = logits + chance.normal(0.0, self.noise, len(known))
            order = np.argsort(-logits, kind="stable") if hashes is None else np.lexsort((hashes[known], -logits))
            top = logits.max(initial=-inf)
            powers = np.exp(logits[order] - top) if top > -inf else np.zeros(len(known))
            scores: list[float | None] = list(np.round(powers / max(powers.sum(), 1.0), 7).tolist())
            ids = list(map(str, [*known[order].tolist(), *unknown.tolist()]))
            return Ranking(ids, scores=[*scores, *([None] * len(unknown))])

        return answer

    def ranked(self, **options: Any) -> LongRanking:
        """The list, ranked in as many requests as it takes."""
        plan = LongPlan(self.ids(), size=SIZE, **options)
        service = self.service()
        while chunks := plan.next():
            for chunk in chunks:
                plan.take(service(chunk))
        return plan.ranking()


@attrs.frozen
class Outcome:
    """What came of one list.

    Attributes:
        case: The list.
        requests: How many were made.
        bound: The bound that was stated.
        worst: By how much an item exceeds one that stands before it, at most, among those with a place on the scale.
        mass: What the scores add up to, and what is said to be missing.
        tau: Kendall's tau over the pairs that differ by more than five deviations of the noise; ``None`` for no pair.
        best_first: Whether the first item is a best one.
        whole: Whether the answer holds each item that it should, and unknown ones last and in order.
        unscaled: Items without a place on the scale.
        ideal: Whether the order is the one that one request would give; judged without noise.
        seconds: How long planning and merging took, the service's part included.
    """

    case: Case = attrs.field(repr=lambda case: f"{case.kind} {case.number}, {len(case.logits)} items, {case.noise:g}")
    requests: int
    bound: float
    worst: float
    mass: float
    tau: float | None
    best_first: bool
    whole: bool
    unscaled: int
    ideal: bool
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether the stated bound is true."""
        return self.worst <= self.bound < inf

    @classmethod
    def of(cls, case: Case, **options: Any) -> Outcome:
        """Rank a list, and judge the ranking."""
        start = time.perf_counter()
        ranking = case.ranked(**options)
        seconds = time.perf_counter() - start
        known = [int(id) for id, score in zip(ranking.item_ids, ranking.scores, strict=True) if score is not None]
        expected = np.flatnonzero(~case.filtered & ~case.unknown)
        last = np.flatnonzero(~case.filtered & case.unknown)
        unscaled = set(map(int, ranking.unscaled))
        truth = np.maximum(case.logits[known], LEAST)
        right = expected[np.argsort(-case.logits[expected], kind="stable")]
        return cls(
            case,
            ranking.requests,
            ranking.error_bound,
            worst_swap(float(case.logits[item]) for item in known if item not in unscaled),
            float(np.sum([score for score in ranking.scores if score is not None])) + ranking.missing_mass,
            tau_of_pairs_apart(truth, APART * case.noise),
            not known or bool(truth[0] == truth.max()),
            list(map(int, ranking.item_ids[len(known) :])) == last.tolist() and sorted(known) == expected.tolist(),
            len(unscaled),
            known == right.tolist(),
            seconds,
        )


def worst_swap(values: Iterable[float]) -> float:
    """By how much a value exceeds one that stands before it, at most."""
    worst, lowest = 0.0, inf
    for value in values:
        if value > lowest:
            worst = max(worst, value - lowest)
        else:
            lowest = value
    return worst


def tau_of_pairs_apart(values: Array, apart: float) -> float | None:
    """Kendall's tau of values with their places, best first, over the pairs that differ by more than ``apart``."""
    ordered = np.sort(values)
    pairs = int((len(values) - np.searchsorted(ordered, ordered + apart, side="right")).sum())
    if not pairs:
        return None
    swapped, width = 0, 128
    blocks = [values[start : start + width] for start in range(0, len(values), width)]
    for block in blocks:
        swapped += int(np.triu(block[None, :] - block[:, None] > apart, 1).sum())
    blocks = [np.sort(block) for block in blocks]
    while len(blocks) > 1:
        merged: list[Array] = []
        for left, right in zip(blocks[::2], blocks[1::2], strict=False):
            swapped += int(np.searchsorted(left, right - apart, side="left").sum())
            merged.append(np.sort(np.concatenate((left, right))))
        blocks = merged + blocks[len(blocks) & ~1 :]
    return 1.0 - 2.0 * swapped / pairs


@attrs.frozen
class Table:
    """What came of many lists, as the page has it."""

    outcomes: Sequence[Outcome]

    def lines(self) -> list[tuple[str, float, float, bool]]:
        """Each promise: its name, the figure, what was promised, and whether it is kept."""
        every = self.outcomes
        swapped = [one.bound / one.worst for one in every if one.worst > 0]
        quiet = [one for one in every if one.case.noise == 0]
        judged = [one for one in every if one.case.kind in PROMISED and one.tau is not None]
        noisy = [one.tau or 0.0 for one in judged if one.case.noise > 0]
        exact = [one.tau or 0.0 for one in judged if one.case.noise == 0]
        sure = [one.best_first for one in quiet if one.case.kind == "heavy"]
        found: list[tuple[str, float, float, bool]] = []

        def least(name: str, figure: float, promised: float) -> None:
            found.append((name, figure, promised, figure >= promised))

        least("error bound holds", _share(one.holds for one in every), 0.99)
        middle = median(swapped) if swapped else 1.0
        found.append(("bound / worst swap, median", middle, 5.0, middle <= 5.0))
        least("scores and missing mass add up to 1", _share(abs(one.mass - 1) <= 1e-6 for one in every), 1.0)
        least("nothing lost, doubled or revived", _share(one.whole for one in every), 1.0)
        least("tau with noise, share of lists from .99", _share(tau >= 0.99 for tau in noisy), 0.99)
        least("tau without noise, share from .999", _share(tau >= 0.999 for tau in exact), 0.99)
        least("best item first, very sure models", _share(sure), 0.95)
        return found

    def by_kind(self) -> list[str]:
        """For each kind of list and each noise, the figures."""
        lines = ["kind       noise    lists  holds  ratio  tau min   tau mean  best  ideal  unscaled  requests/chunk"]
        for kind in KINDS:
            for noise in NOISES:
                some = [one for one in self.outcomes if (one.case.kind, one.case.noise) == (kind, noise)]
                if not some:
                    continue
                ratios = [one.bound / one.worst for one in some if one.worst > 0]
                taus = [one.tau for one in some if one.tau is not None] or [1.0]
                chunks = sum(-(-len(one.case.logits) // SIZE) for one in some)
                lines.append(
                    f"{kind:10} {noise:<7g} {len(some):6}  {_share(one.holds for one in some):5.3f}  "
                    f"{median(ratios) if ratios else 0.0:5.2f}  {min(taus):8.5f}  {sum(taus) / len(taus):8.5f}  "
                    f"{_share(one.best_first for one in some):4.2f}  {_share(one.ideal for one in some):5.2f}  "
                    f"{_share(one.unscaled > 0 for one in some):8.2f}  "
                    f"{sum(one.requests for one in some) / chunks:6.2f}"
                )
        return lines


def _share(values: Iterable[bool]) -> float:
    listed = list(values)
    return sum(listed) / len(listed) if listed else 1.0


def requests_for_ten_thousand(seeds: Sequence[int] = tuple(range(10))) -> list[int]:
    """Requests for 10,000 items of normal logits."""
    made: list[int] = []
    for seed in seeds:
        logits = np.random.default_rng(seed).normal(0.0, 1.0, 10_000)
        none = np.zeros(10_000, dtype=bool)
        made.append(Case(seed, "normal", logits, none, none, 0.0, False).ranked().requests)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the lists, print the table, and say whether it holds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.long")
    parser.add_argument("--lists", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--worst", type=int, default=0, help="name so many lists of each failing")
    given = parser.parse_args(arguments)
    outcomes: list[Outcome] = []
    start = time.process_time()
    for number in range(given.first, given.first + given.lists):
        outcomes.append(Outcome.of(Case.drawn(number, given.kinds)))
        if sys.stderr.isatty():
            print(f"\r{len(outcomes):,} of {given.lists:,}", end="", file=sys.stderr)
    table = Table(outcomes)
    print("\n".join(table.by_kind()))
    print()
    kept = True
    for name, figure, promised, good in table.lines():
        kept = kept and good
        print(f"{name:42} {figure:10.5f}   promised {promised:g}{'' if good else '   NOT KEPT'}")
    requests = requests_for_ten_thousand()
    kept = kept and max(requests) <= 23
    print(f"{'requests for 10,000 items, normal logits':42} {min(requests):4} to {max(requests)}   promised 21, to 23")
    print(f"{len(outcomes):,} lists in {time.process_time() - start:.0f} s of CPU")
    for title, wrong in (
        ("bound does not hold", [one for one in outcomes if not one.holds]),
        ("tau", [o for o in outcomes if o.tau is not None and o.tau < (0.99 if o.case.noise else 0.999)]),
        ("best item not first", [one for one in outcomes if not one.case.noise and not one.best_first]),
        ("mass", [one for one in outcomes if abs(one.mass - 1) > 1e-6]),
        ("not whole", [one for one in outcomes if not one.whole]),
    ):
        for one in wrong[: given.worst]:
            print(f"{title}: {one}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())

"""How well a ShadowScorer learns to answer like the service: ``python -m benchmarks.shadow``.

An embedded campaign ranks by hidden vectors of 500 users and 2,000 items. A client with the fallback
``RerankFallback(ShadowScorer())`` gets 20 rankings of 100 items for each user; then the service fails, and the
fallback's rankings of fresh lists are held against what the service would have said. Popularity, for comparison, counts
how often an item was among the first ten of an answer. Ends with status 1 when a promise is broken: a tau of at least
0.75, and at least twice that of popularity.

Then other hidden campaigns, each with 40 users and 200 items and with 300 and 1,000, and lists of 50. After 100, 500
and 1,500 answers: tau to the service of the shadow and of the mean of each item's scores, for users and new ones: the
mean over the seeds, for none of which the shadow's parameters were chosen, and the least. Promises: at least that of
the item's mean, less 0.01, everywhere and with each seed; and after 1,500 answers the tau of :data:`CAMPAIGNS`, on
average.

Options: ``--sizes 8 16 32`` (of the hidden vectors), ``--users``, ``--items``, ``--rankings``, ``--length``;
``--campaigns dot trees``, ``--shapes 40x200``, ``--answers 100 500 1500``, ``--fresh 120`` (lists that tau is of),
``--seeds 11 12 13``.
"""

from __future__ import annotations

import argparse
import random
import sys
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import attrs

from personalize_rt import EmbeddingScorer, LocalReranker, PersonalizeRuntime, Ranking, RerankFallback, RetryPolicy
from personalize_rt.local.scored import ScoredPersonalize
from personalize_rt.rerank import ShadowScorer

TAU, TIMES_POPULARITY = 0.75, 2.0
DEVIATION = 2.0  # of the logits of one user
IN_COMMON = 0.3  # of it, what all users have in common


@attrs.frozen
class Shape:
    """How large the made-up world is, and how much of it is seen."""

    users: int = 500
    items: int = 2_000
    rankings: int = 20
    length: int = 100


@attrs.frozen
class Outcome:
    """Tau to the service on fresh lists, and what it took."""

    shadow: float
    popularity: float
    new_user: float
    after: dict[int, float]
    milliseconds: float
    saved: int


def hidden_vectors(size: int, shape: Shape, chance: random.Random) -> EmbeddingScorer:
    """Vectors that nobody sees; their last number makes some items better for everybody."""
    scale = DEVIATION / size**0.5
    users = {f"user-{n}": [*(chance.gauss(0.0, 1.0) for _ in range(size)), 1.0] for n in range(shape.users)}
    items = {
        f"item-{n}": [*(chance.gauss(0.0, scale) for _ in range(size)), chance.gauss(0.0, DEVIATION * IN_COMMON)]
        for n in range(shape.items)
    }
    return EmbeddingScorer(users, items, default_user=[*(0.0 for _ in range(size)), 1.0])


def lists(shape: Shape, chance: random.Random) -> Iterator[list[str]]:
    """Lists to rank, without end."""
    items = [f"item-{n}" for n in range(shape.items)]
    while True:
        yield chance.sample(items, shape.length)


def tau(one: Sequence[str], other: Sequence[str]) -> float:
    """Kendall's tau of two orders of the same items."""
    place = {id: n for n, id in enumerate(other)}
    before: list[int] = []
    swapped = 0
    for id in one:
        swapped += len(before) - bisect_left(before, place[id])
        insort(before, place[id])
    return 1.0 - 4.0 * swapped / (len(one) * (len(one) - 1))


def measured(size: int, shape: Shape, *, seed: int = 1, fresh: int = 200) -> Outcome:
    """Learn, then fail, then compare."""
    chance = random.Random(seed)
    hidden = hidden_vectors(size, shape, chance)
    local = ScoredPersonalize(hidden)
    shadow = ShadowScorer()
    runtime = local.runtime(
        fallback=RerankFallback(shadow), retry=RetryPolicy(attempts=1, clock=local.time, sleep=local.skip)
    )
    arn = local.campaign_arn("ranking")
    popular: Counter[str] = Counter()
    drawn = lists(shape, chance)
    users = [f"user-{n}" for n in range(shape.users)]
    after: dict[int, float] = {}
    for round in range(1, shape.rankings + 1):
        for user in chance.sample(users, len(users)):
            ranking = runtime.get_personalized_ranking(campaign_arn=arn, user_id=user, input_list=next(drawn))
            popular.update(ranking.item_ids[:10])
        if round in (2, 5, 10):
            after[round] = fmean(_taus(local, runtime, shadow, users, drawn, chance, fresh // 2))
    ranked = [(user, next(drawn), next(drawn)) for user in (chance.choice(users) for _ in range(fresh))]
    popularity, new_user = [], []
    for user, item_ids, others in ranked:
        truth = runtime.get_personalized_ranking(campaign_arn=arn, user_id=user, input_list=item_ids)
        popularity.append(tau(sorted(item_ids, key=lambda id: -popular[id]), truth.item_ids))
        stranger = runtime.get_personalized_ranking(campaign_arn=arn, user_id="stranger", input_list=others)
        logits = dict(zip(others, shadow("another stranger", others), strict=True))
        new_user.append(tau(sorted(others, key=lambda id: -(logits[id] or 0.0)), stranger.item_ids))
    with TemporaryDirectory() as directory:
        path = Path(directory) / "shadow"
        shadow.save(path)
        saved = path.stat().st_size
    taus = _taus(local, runtime, shadow, users, drawn, chance, fresh)
    return Outcome(fmean(taus), fmean(popularity), fmean(new_user), after, _milliseconds(hidden, drawn), saved)


def _taus(
    local: ScoredPersonalize,
    runtime: PersonalizeRuntime,
    shadow: ShadowScorer,
    users: Sequence[str],
    drawn: Iterator[list[str]],
    chance: random.Random,
    count: int,
) -> list[float]:
    """What users see while the service is away, against what they would have seen; nothing is learned from it."""
    arn, silent = local.campaign_arn("ranking"), runtime.with_options(fallback=None)
    taus: list[float] = []
    for _ in range(count):
        user, item_ids = chance.choice(users), next(drawn)
        truth = silent.get_personalized_ranking(campaign_arn=arn, user_id=user, input_list=item_ids)
        with_fault = local.faults.fail(status=503)
        seen = runtime.get_personalized_ranking(campaign_arn=arn, user_id=user, input_list=item_ids)
        local.faults.remove(with_fault)
        assert seen.degraded
        taus.append(tau(seen.item_ids, truth.item_ids))
    return taus


def _milliseconds(hidden: EmbeddingScorer, drawn: Iterator[list[str]]) -> float:
    """CPU time of learning one answer."""
    local = ScoredPersonalize(hidden)
    runtime, shadow = local.runtime(), ShadowScorer()
    answers: list[Ranking] = [
        runtime.get_personalized_ranking(
            campaign_arn=local.campaign_arn("ranking"), user_id="user-1", input_list=next(drawn)
        )
        for _ in range(200)
    ]
    start = process_time()
    for answer in answers:
        shadow.observe("user-1", answer)
    return (process_time() - start) / len(answers) * 1_000


def dot(one: Sequence[float], other: Sequence[float]) -> float:
    """The dot product."""
    return sum(one * other for one, other in zip(one, other, strict=True))


class Campaign:
    """A hidden model of the logits of users and items; the last users are never seen before they are asked for."""

    def __init__(self, users: int, items: int, chance: random.Random, size: int, deviation: float = 2.0) -> None:
        self.chance = chance
        self.deviation = deviation
        self.users = [self.numbers(size) for _ in range(users)]
        self.items = [self.numbers(size, deviation / size**0.5) for _ in range(items)]
        self.biases = self.numbers(items, 0.35 * deviation)

    def numbers(self, count: int, deviation: float = 1.0) -> list[float]:
        """Normal numbers."""
        return [self.chance.gauss(0.0, deviation) for _ in range(count)]

    def logit(self, user: int, item: int) -> float:
        """The hidden logit: a dot product."""
        return self.biases[item] + dot(self.users[user], self.items[item])

    def drawn(self, users: int, items: int) -> tuple[int, list[int]]:
        """A user, and the items of a list."""
        return self.chance.randrange(users), self.chance.sample(range(items), _LENGTH)

    def move(self) -> None:
        """What happens between two answers."""


class Moving(Campaign):
    """A dot product with users who move: after 1,500 answers, their vectors correlate so far with the first ones."""

    def __init__(self, users: int, items: int, chance: random.Random, size: int, correlation: float) -> None:
        super().__init__(users, items, chance, size)
        self.kept = correlation ** (1 / 1_500)

    def move(self) -> None:
        """Each user's vector takes a step."""
        kept, step = self.kept, (1.0 - self.kept**2) ** 0.5
        self.users = [[kept * one + step * self.chance.gauss(0.0, 1.0) for one in user] for user in self.users]


class Popular(Campaign):
    """A dot product beside large biases, few items in most lists, and few users with most requests."""

    def __init__(self, users: int, items: int, chance: random.Random, size: int) -> None:
        super().__init__(users, items, chance, size)
        self.biases = self.numbers(items, 1.5)

    def drawn(self, users: int, items: int) -> tuple[int, list[int]]:
        """A user, and the items of a list."""
        found: dict[int, None] = {}
        while len(found) < _LENGTH:
            found[int(items * self.chance.random() ** 2.5)] = None
        return int(users * self.chance.random() ** 1.7), list(found)


class Interests(Campaign):
    """Users with four interests, of which the one counts that an item comes closest to."""

    def __init__(self, users: int, items: int, chance: random.Random, size: int) -> None:
        super().__init__(4 * users, items, chance, size)
        self.biases = self.numbers(items, 0.6)

    def logit(self, user: int, item: int) -> float:
        """The logit of the best interest."""
        vector = self.items[item]
        return self.biases[item] + max(dot(one, vector) for one in self.users[4 * user : 4 * user + 4])


class Trees(Campaign):
    """The sum of 40 random trees over numbers of the user and the item."""

    def __init__(self, users: int, items: int, chance: random.Random, size: int) -> None:
        super().__init__(users, items, chance, size, deviation=size**0.5)
        # Sixteen leaves and, before each, the decisions on the way: (of the item?, number, cut).
        self.trees = [
            ([(chance.random() < 0.5, chance.randrange(size), chance.gauss(0.0, 0.6)) for _ in range(15)], leaves)
            for leaves in (self.numbers(16, 0.45) for _ in range(40))
        ]

    def logit(self, user: int, item: int) -> float:
        """The sum of the leaves."""
        rows, total = (self.users[user], self.items[item]), 0.0
        for decisions, leaves in self.trees:
            node = 0
            while node < 15:
                of_item, number, cut = decisions[node]
                node = 2 * node + 1 + (rows[of_item][number] > cut)
            total += leaves[node - 15]
        return total


# What makes a campaign of users and items, and the tau that the shadow promises after 1,500 answers.
CAMPAIGNS: dict[str, tuple[Callable[[int, int, random.Random], Campaign], float]] = {
    "dot": (lambda users, items, chance: Campaign(users, items, chance, 24), 0.75),
    "interests": (lambda users, items, chance: Interests(users, items, chance, 8), 0.6),
    "trees": (lambda users, items, chance: Trees(users, items, chance, 6), 0.75),
    "sure": (lambda users, items, chance: Campaign(users, items, chance, 24, deviation=7.0), 0.0),
    "moving": (lambda users, items, chance: Moving(users, items, chance, 24, 0.5), 0.6),
    "fast": (lambda users, items, chance: Moving(users, items, chance, 24, 0.2), 0.0),
    "popular": (lambda users, items, chance: Popular(users, items, chance, 24), 0.75),
}
_NEW_USERS, _LENGTH = 40, 50


@attrs.frozen
class Seen:
    """Tau after some answers: of the shadow and of the items' means, for users and for new ones; and the quality."""

    shadow: float
    mean: float
    new_shadow: float
    new_mean: float
    quality: float


def followed(
    name: str, users: int, items: int, answers: Sequence[int], fresh: int, seed: int
) -> tuple[dict[int, Seen], list[float]]:
    """Let a shadow and the mean of each item's scores learn from a campaign; the CPU times of answers, too."""
    chance = random.Random(f"{name} {users} {items} {seed}")
    campaign = CAMPAIGNS[name][0](users + _NEW_USERS, items, chance)
    shadow = ShadowScorer()
    means: dict[str, tuple[int, float]] = {}
    times: list[float] = []
    seen: dict[int, Seen] = {}

    def drawn(*, new: bool = False) -> tuple[str, Ranking]:
        user, chosen = campaign.drawn(users, items)
        user = users + chance.randrange(_NEW_USERS) if new else user
        logits = {f"i{item}": campaign.logit(user, item) for item in chosen}
        return f"u{user}", LocalReranker(logits).rank(user_id="u", input_list=logits)

    def by_mean(ranking: Ranking) -> float:
        order = sorted(sorted(ranking.item_ids), key=lambda id: -means.get(id, (0, 0.0))[1])
        return tau(order, ranking.item_ids)

    def by_shadow(user: str, ranking: Ranking) -> float:
        order = LocalReranker(shadow).rank(user_id=user, input_list=sorted(ranking.item_ids)).item_ids
        return tau(order, ranking.item_ids)

    for n in range(1, max(answers) + 1):
        user, ranking = drawn()
        start = process_time()
        shadow.observe(user, ranking)
        times.append(process_time() - start)
        for id, score in zip(ranking.item_ids, ranking.scores, strict=True):
            count, mean = means.get(id, (0, 0.0))
            means[id] = count + 1, mean + ((score or 0.0) - mean) / (count + 1)
        campaign.move()
        if n in answers:
            taus: list[float] = []
            for new in (False, True):
                lists = [drawn(new=new) for _ in range(fresh)]
                taus.append(fmean(by_shadow(user, ranking) for user, ranking in lists))
                taus.append(fmean(by_mean(ranking) for _, ranking in lists))
            seen[n] = Seen(taus[0], taus[1], taus[2], taus[3], shadow.quality or 0.0)
    return seen, times


def campaign_kept(name: str, users: int, items: int, answers: Sequence[int], fresh: int, seeds: Sequence[int]) -> bool:
    """Print and judge the taus of a campaign: their means over the seeds, and the least."""
    runs = [followed(name, users, items, answers, fresh, seed) for seed in seeds]
    kept = True
    for n in answers:
        seen = [taus[n] for taus, _ in runs]
        shadow, mean = fmean(one.shadow for one in seen), fmean(one.mean for one in seen)
        new, new_mean = fmean(one.new_shadow for one in seen), fmean(one.new_mean for one in seen)
        ahead = min(min(one.shadow - one.mean, one.new_shadow - one.new_mean) for one in seen)
        kept = kept and ahead >= -0.01 and (n < 1_500 or shadow >= CAMPAIGNS[name][1])
        print(
            f"{name:9} {users:3} x {items:5,}, {n:5,} answers: {shadow:.3f} (least "
            f"{min(one.shadow for one in seen):.3f}; mean {mean:.3f}), new users {new:.3f} (mean {new_mean:.3f}); "
            f"least ahead {ahead:+.3f}; "
            f"quality {fmean(one.quality for one in seen):.3f}",
            flush=True,
        )
    times = sorted(time for _, times in runs for time in times)
    half, most = (1_000 * times[int(share * (len(times) - 1))] for share in (0.5, 0.99))
    print(f"{name:9} {users:3} x {items:5,}: {half:.2f} ms of CPU an answer (median; p99 {most:.2f})", flush=True)
    return kept


def main() -> int:
    """Run all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shadow", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[16])
    for field in attrs.fields(Shape):
        parser.add_argument(f"--{field.name}", type=int, default=field.default)
    parser.add_argument("--campaigns", nargs="*", choices=CAMPAIGNS, default=[*CAMPAIGNS])
    parser.add_argument("--shapes", nargs="+", default=["40x200", "300x1000"])
    parser.add_argument("--answers", type=int, nargs="+", default=[100, 500, 1_500])
    parser.add_argument("--fresh", type=int, default=120)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
    options = parser.parse_args()
    shape = Shape(**{field.name: getattr(options, field.name) for field in attrs.fields(Shape)})
    kept = True
    print(
        f"{shape.users} users, {shape.items:,} items, {shape.rankings} rankings of {shape.length} items for each user"
    )
    for size in options.sizes:
        start = perf_counter()
        outcome = measured(size, shape)
        early = ", ".join(f"{value:.3f} after {round}" for round, value in outcome.after.items())
        print(
            f"hidden vectors of {size} numbers: tau {outcome.shadow:.3f} ({early}); popularity {outcome.popularity:.3f}"
        )
        print(
            f"  a new user {outcome.new_user:.3f}; {outcome.milliseconds:.2f} ms of CPU an answer; "
            f"saved in {outcome.saved:,} bytes; all in {perf_counter() - start:.0f} s"
        )
        kept = kept and outcome.shadow >= TAU and outcome.shadow >= TIMES_POPULARITY * outcome.popularity
    for users, items in (map(int, text.split("x")) for text in options.shapes):
        for name in options.campaigns:
            kept = campaign_kept(name, users, items, options.answers, options.fresh, options.seeds) and kept
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())

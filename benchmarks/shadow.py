"""How well a ShadowScorer learns to answer like the service: ``python -m benchmarks.shadow``.

An embedded campaign ranks by hidden vectors of 500 users and 2,000 items. A client with the fallback
``RerankFallback(ShadowScorer())`` gets 20 rankings of 100 items for each user; then the service fails, and the
fallback's rankings of fresh lists are held against what the service would have said. Popularity, for comparison, counts
how often an item was among the first ten of an answer. Ends with status 1 when a promise is broken: a tau of at least
0.75, and at least twice that of popularity.

Options: ``--sizes 8 16 32`` (of the hidden vectors), ``--users``, ``--items``, ``--rankings``, ``--length``.
"""

from __future__ import annotations

import argparse
import random
import sys
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import attrs

from personalize_rt import EmbeddingScorer, PersonalizeRuntime, Ranking, RerankFallback, RetryPolicy
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


def main() -> int:
    """Run all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shadow", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[16])
    for field in attrs.fields(Shape):
        parser.add_argument(f"--{field.name}", type=int, default=field.default)
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
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())

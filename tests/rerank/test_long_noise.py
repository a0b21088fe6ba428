"""Long lists whose answers do not agree with each other, whose scores are equal, or whose model is very sure."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import exp, fsum, inf, isfinite, log
from statistics import stdev
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personalize_rt.errors import ValidationError
from personalize_rt.limits import Limits
from personalize_rt.rerank import LocalReranker, LongRanking
from personalize_rt.rerank.long import Chunk, LongPlan, _side_by_side
from personalize_rt.rerank.noise import Fit, _noise
from personalize_rt.rerank.order import Graph
from personalize_rt.rerank.scale import Part, Scale, _estimate, _groups, _shared, in_order
from personalize_rt.results import Ranking


def ranked(
    logits: Mapping[str, float | None],
    *,
    noise: float = 0.0,
    size: int = 500,
    seed: int = 1,
    input_list: Sequence[str] | None = None,
    **options: Any,
) -> LongRanking:
    """A list, ranked by answers each of which knows the logits but for an error of its own."""
    chance = random.Random(seed)
    plan = LongPlan([*logits] if input_list is None else input_list, size=size, **options)

    def answer(chunk: Chunk) -> Ranking:
        known = {
            id: logit + chance.gauss(0.0, noise) if noise else logit
            for id in chunk.item_ids
            if (logit := logits[id]) is not None
        }
        return LocalReranker(known, limits=Limits.off()).rank(user_id="u", input_list=chunk.item_ids)

    while chunks := plan.next():
        for chunk in chunks:
            plan.take(answer(chunk))
    return plan.ranking()


def normal(deviation: float, items: int, seed: int = 1) -> dict[str, float]:
    chance = random.Random(seed)
    return {f"i{n}": chance.gauss(0.0, deviation) for n in range(items)}


def worst_swap(ranking: LongRanking, logits: Mapping[str, float]) -> float:
    unscaled = set(ranking.unscaled)
    worst, lowest = 0.0, inf
    for id in ranking.item_ids:
        if id not in unscaled:
            worst, lowest = max(worst, logits[id] - lowest), min(lowest, logits[id])
    return worst


def tau(ranking: LongRanking, logits: Mapping[str, float], *, apart: float = 0.0) -> float:
    """Kendall's tau of all items with their places, over the pairs that differ by more than ``apart``."""
    pairs = swapped = 0
    seen: list[float] = []
    for logit in (logits[id] for id in ranking.item_ids):
        below, above = bisect_left(seen, logit - apart), len(seen) - bisect_right(seen, logit + apart)
        swapped += below
        pairs += below + above
        insort(seen, logit)
    return 1.0 - 2.0 * swapped / pairs


def clustered(centres: Sequence[float], items: int, seed: int = 1) -> dict[str, float]:
    chance = random.Random(seed)
    return {f"i{n}": chance.choice(centres) + chance.gauss(0.0, 0.05) for n in range(items)}


# The table of docs/how-to/long-lists.md, over 200 lists.


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_hundred_lists_keep_the_promises_of_the_page() -> None:
    benchmark = pytest.importorskip("benchmarks.long", reason="the benchmarks, or numpy, are not here")
    outcomes = [benchmark.Outcome.of(benchmark.Case.drawn(number)) for number in range(200)]
    table = benchmark.Table(outcomes)
    assert {one.case.kind for one in outcomes} == set(benchmark.KINDS)
    assert {one.case.noise for one in outcomes} == set(benchmark.NOISES)
    broken = [
        f"{name}: {figure:g}, promised {promised:g}" for name, figure, promised, kept in table.lines() if not kept
    ]
    assert not broken, "\n".join([*broken, *table.by_kind()])


def test_the_measures_of_the_table_count_pairs() -> None:
    benchmark = pytest.importorskip("benchmarks.long", reason="the benchmarks, or numpy, are not here")
    numpy = pytest.importorskip("numpy")
    chance = random.Random(5)
    for items in (2, 3, 200, 700):
        values = numpy.array([chance.choice([0.0, 1.0, chance.gauss(0, 1)]) for _ in range(items)])
        for apart in (0.0, 0.5):
            pairs = [(a, b) for n, a in enumerate(values) for b in values[n + 1 :] if abs(a - b) > apart]
            wrong = sum(a < b for a, b in pairs)
            found = benchmark.tau_of_pairs_apart(values, apart)
            assert found == (None if not pairs else pytest.approx(1 - 2 * wrong / len(pairs)))
    assert benchmark.worst_swap([3.0, 1.0, 2.5, 2.0]) == 1.5


# Noise.


@pytest.mark.parametrize("noise", [0.001, 0.1])
def test_answers_that_differ_a_little_leave_every_item_near_its_place(noise: float) -> None:
    logits = normal(1.0, 5_000)
    ranking = ranked(logits, noise=noise)
    assert worst_swap(ranking, logits) <= ranking.error_bound <= 20 * noise + 0.02
    assert fsum(score or 0.0 for score in ranking.scores) == pytest.approx(1.0, abs=1e-9)
    assert ranking.missing_mass == 0.0
    right = sorted(logits, key=lambda id: -logits[id])
    place = {id: n for n, id in enumerate(ranking.item_ids)}
    furthest = max(abs(place[id] - n) for n, id in enumerate(right))
    assert furthest < (100 if noise < 0.01 else 1_500)


def test_noise_makes_no_requests_that_cannot_help() -> None:
    assert ranked(normal(1.0, 5_000), noise=0.1).requests <= 12


def test_ten_levels_of_equal_scores_stay_apart_under_noise() -> None:
    logits = {f"i{n}": float(random.Random(n).randrange(10)) for n in range(4_000)}
    ranking = ranked(logits, noise=0.001)
    levels = [logits[id] for id in ranking.item_ids]
    assert levels == sorted(levels, reverse=True)


def test_items_of_answers_that_contradict_each_other_pass_no_others() -> None:
    parts = [Part((0, 1, 2), (0.4, 0.4, 0.2)), Part((1, 0, 3), (0.4, 0.4, 0.2)), Part((4,), (1.0,))]
    assert in_order(parts, [5.0, 5.0, 4.0, 4.0, -9.0]) == [0, 1, 2, 3, 4]


def test_an_answer_that_is_wholly_different_has_little_weight_and_is_told_of() -> None:
    logits = normal(1.0, 3_000)
    strange = normal(1.0, 3_000, seed=9)
    plan = LongPlan([*logits], size=500)
    number = 0
    while chunks := plan.next():
        for chunk in chunks:
            number += 1
            known = strange if number == 3 else logits
            plan.take(LocalReranker(known).rank(user_id="u", input_list=chunk.item_ids))
    assert plan.ranking().error_bound > 1.0


@pytest.mark.parametrize("seed", [0, 4, 5])
def test_items_without_a_place_stand_by_their_depth_whatever_noise_does_to_their_bounds(seed: int) -> None:
    chance = random.Random(seed)
    logits = {f"i{n}": chance.lognormvariate(0.0, 2.0) for n in range(800)}
    ranking = ranked(logits, noise=0.01)
    assert len(ranking.unscaled) > 700
    assert tau(ranking, logits, apart=0.05) >= 0.99


def test_a_guess_leaves_its_bounds_by_no_more_than_the_noise() -> None:
    low, depths = [0.0, -2.0, -inf, -inf, -inf], {0: 0.1, 1: 0.2, 2: 0.5, 3: 0.6, 4: 0.7}
    high = [0.0, -2.0, -5.02, -5.0, -20.0]
    assert all(place <= most for place, most in zip(_estimate(low, high, depths), high, strict=True))
    noisy = _estimate(low, high, depths, 0.1)
    assert noisy[2] >= noisy[3] > noisy[4]
    assert all(place <= most + 0.1 for place, most in zip(noisy, high, strict=True))


def test_what_rounding_does_to_a_whole_cluster_is_no_noise() -> None:
    logits = clustered((7.0, 1.6, 0.5, -3.3, -5.3, -5.5), 3_000)
    ranking = ranked(logits, noise=0.001)
    assert tau(ranking, logits, apart=0.005) >= 0.999
    assert worst_swap(ranking, logits) <= ranking.error_bound <= 0.05
    chance = random.Random(1)
    exact = [[(0, 0.0, 1e-5), (1, chance.gauss(0.0, 0.001), 1e-5)] for _ in range(60)]
    rounded = [[(0, 0.0, 1e-5), (1, 0.09, 0.1)] for _ in range(400)]
    noise, disagreement = _noise([*rounded, *exact], {0: 0.0, 1: 0.0})
    assert 0.0005 < noise < 0.003
    assert disagreement < 0.01


def chained(chance: random.Random, noise: float) -> list[tuple[Part, float]]:
    """Seven rankings, each of which shares half of its items with the next one; and the ``ln Z`` of each."""
    found: list[tuple[Part, float]] = []
    for number in range(7):
        logits = {n: n * 37 % 40 / 40 + chance.gauss(0.0, noise) for n in range(number * 20, number * 20 + 40)}
        items = sorted(logits, key=logits.__getitem__, reverse=True)
        whole = fsum(map(exp, logits.values()))
        found.append((Part(items, [round(exp(logits[item]) / whole, 7) for item in items]), log(whole)))
    return found


def test_the_deviation_of_a_ranking_on_the_scale_grows_with_each_one_between() -> None:
    off: defaultdict[int, list[float]] = defaultdict(list)
    for seed in range(100):
        parts, truth = zip(*chained(random.Random(seed), 0.01), strict=True)
        shared = _shared(parts)
        fit = Fit.of(_groups(parts, shared)[0][0], parts, shared)
        origin = next(iter(fit.shifts))
        for number in fit.shifts.keys() - {origin}:
            error = fit.shifts[number] - fit.shifts[origin] - truth[number] + truth[origin]
            off[abs(number - origin)].append(error / fit.errors[number])
    assert len(off) >= 4
    for several in off.values():  # what was stated is a little more than what happens
        assert 0.5 < stdev(several) < 1.0


PARTS = st.lists(
    st.permutations(range(7)).flatmap(lambda p: st.integers(1, 7).map(lambda n: p[:n])), min_size=1, max_size=5
)


@given(PARTS, st.lists(st.floats(-5, 5), min_size=7, max_size=7))
def test_any_orders_become_one_that_keeps_what_no_other_contradicts(
    orders: list[list[int]], places: list[float]
) -> None:
    parts = [Part(order, [0.5] * len(order)) for order in orders]
    found = in_order(parts, places)
    assert sorted(found) == sorted({item for order in orders for item in order})
    reach = {(a, b) for order in orders for n, a in enumerate(order) for b in order[n + 1 :]}
    for middle in range(7):
        reach |= {(a, d) for a, b in reach if b == middle for c, d in reach if c == middle}
    position = {item: n for n, item in enumerate(found)}
    for order in orders:
        for one, other in pairwise(order):
            if (other, one) not in reach:
                assert position[one] < position[other]
    keys = Graph.of(parts).agreed(places, lambda item: True)
    assert all(keys[one] >= keys[other] for one, other in pairwise(found))
    # No key moves further than the largest contradiction of the places asks for.
    graph = Graph.of(parts)
    wrong = max((places[b] - places[a] for a in graph.after for b in graph.after[a]), default=0.0)
    assert max(abs(keys[item] - places[item]) for item in keys) <= max(0.0, wrong) / 2 * 7 + 1e-9


# Crowds.


@pytest.mark.parametrize("seed", [0, 1])
def test_items_of_crowded_clusters_are_told_apart(seed: int) -> None:
    logits = clustered((3.5, 0.6, -0.8, -2.7), 3_000, seed)
    ranking = ranked(logits)
    assert ranking.requests <= 9  # half as many again as there are chunks
    assert tau(ranking, logits) >= 0.999
    assert worst_swap(ranking, logits) <= ranking.error_bound


def test_levels_of_equals_are_no_crowd() -> None:
    chance = random.Random(2)
    assert ranked({f"i{n}": chance.choice((3.5, 0.6, -0.8, -2.7)) for n in range(3_000)}).requests == 7
    # Scores of 0 are no level beside the lowest score above 0.
    assert _side_by_side([Part((0, 1, 2, 3), (0.5, 1e-7, 1e-7, 0.0))]) == set()
    assert _side_by_side([Part((0, 1, 2, 3), (0.5, 4e-7, 1e-7, 1e-7))]) == {1, 2, 3}


def test_pivots_do_not_hide_what_is_ranked_again() -> None:
    # One answer for all, in which rounding leaves nothing of the items from 4 on.
    logits = [47.0, 33.0, 30.0, 17.0, 3.0, 2.5, 2.0, 1.5, 1.0, 0.5]
    plan = LongPlan([f"i{n}" for n in range(400)], size=40)
    scale = Scale.of([Part(range(10), [0.1] * 10)], 400)
    scale = attrs.evolve(scale, places=logits)
    placed = [*range(10)]
    # The three just above stay, since a request must have some; item 6, between others, is as good as those above.
    assert plan._slice([4, 5, 7, 8, 9], placed, scale) == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    # Where all of them are near, they are what ties the request.
    near = attrs.evolve(scale, places=[5.0 - 0.5 * item for item in placed])
    assert plan._slice([4, 5, 7, 8, 9], placed, near) == [0, 1, 2, 3, 4, 5, 7, 8, 9]


# Equal scores.


@pytest.mark.parametrize("deviation", [1.0, 2.0])
def test_equals_stand_in_the_order_that_one_request_would_give(deviation: float) -> None:
    logits = {id: round(logit) * 1.0 for id, logit in normal(deviation, 3_000).items()}
    ranking = ranked(logits)
    assert list(ranking.item_ids) == sorted(logits, key=lambda id: -logits[id])
    scores = {logits[id]: score for id, score in zip(ranking.item_ids, ranking.scores, strict=True)}
    assert set(ranking.scores) == set(scores.values())  # one score for each level


@given(st.lists(st.integers(-3, 3), min_size=13, max_size=60), st.integers(4, 12))
@settings(max_examples=60)
def test_the_bound_holds_for_equals_too(levels: list[int], size: int) -> None:
    logits = {f"i{n}": float(level) for n, level in enumerate(levels)}
    ranking = ranked(logits, size=size)
    assert worst_swap(ranking, logits) <= ranking.error_bound


# Very sure models.


@pytest.mark.parametrize(
    "draw",
    [
        lambda chance: chance.gauss(0, 1) / abs(chance.gauss(0, 1)),
        lambda chance: chance.lognormvariate(0.0, 2.0),
        lambda chance: chance.gauss(0, 1) / (chance.gammavariate(1.0, 1.0)) ** 0.5,
    ],
    ids=["cauchy", "lognormal", "student"],
)
def test_the_best_item_comes_first_when_a_model_is_very_sure(draw: Callable[[random.Random], float]) -> None:
    first = 0
    for seed in range(5):
        chance = random.Random(seed)
        logits = {f"i{n}": draw(chance) for n in range(2_000)}
        ranking = ranked(logits)
        first += ranking.item_ids[0] == max(logits, key=lambda id: logits[id])
        assert worst_swap(ranking, logits) <= ranking.error_bound
    assert first == 5


def test_items_far_above_all_others_are_found_layer_by_layer() -> None:
    logits = normal(1.0, 3_000) | {f"i{100 + n}": 10.0 * n for n in range(1, 6)}
    ranking = ranked(logits)
    assert ranking.item_ids[:5] == ("i105", "i104", "i103", "i102", "i101")
    assert len(ranking.unscaled) <= 5
    assert ranking.requests <= 18


def test_leaders_cost_at_most_two_requests_more() -> None:
    logits = normal(1.0, 10_000)
    assert ranked(logits).requests == 21
    assert ranked(logits | {"i7": 40.0}).requests <= 23


# Budgets.


def test_a_budget_that_forbids_a_needed_request_is_said() -> None:
    logits = normal(1.0, 2_000) | {"i7": 40.0, "i8": 50.0}
    short = ranked(logits, max_requests=5)
    assert isinstance(short.stopped_by, ValidationError)
    assert short.stopped_by.parameter == "max_requests"
    assert (short.stopped_by.limit or 0) > 5
    assert short.requests == 5
    assert "more" in str(short.stopped_by)
    assert ranked(logits).stopped_by is None
    assert ranked(normal(1.0, 2_000), max_requests=5).stopped_by is None


# Mass.


def test_a_list_without_any_score_above_0_says_that_all_is_missing() -> None:
    never = ranked(dict.fromkeys((f"i{n}" for n in range(1_200)), -inf))
    assert set(never.scores) == {0.0}
    assert never.missing_mass == 1.0
    assert ranked(dict.fromkeys((f"i{n}" for n in range(1_200)), None)).missing_mass == 1.0


def test_one_answer_misses_nothing_but_what_was_rounded() -> None:
    ranking = ranked(normal(1.0, 400))
    assert ranking.missing_mass == 0.0
    assert ranked({"a": 1.0, "b": 2.0}, input_list=["a", "b", "b"]).missing_mass == 0.0


# The same, however the input is dealt.


@given(st.randoms(use_true_random=False))
@settings(max_examples=10)
def test_permuting_the_input_of_a_list_without_ties_changes_no_order(chance: random.Random) -> None:
    # Steps of .05 are far above what rounding may do to 120 items.
    logits = {f"i{n}": n * 0.05 for n in range(120)}
    ranking = ranked(logits, size=30, input_list=chance.sample([*logits], 120))
    assert list(ranking.item_ids) == sorted(logits, key=lambda id: -logits[id])


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30))
def test_a_list_that_fits_one_request_is_that_request(values: list[float]) -> None:
    logits = {f"i{n}": value for n, value in enumerate(values)}
    ranking = ranked(logits, size=30)
    one = LocalReranker(logits).rank(user_id="u", input_list=[*logits])
    assert (ranking.item_ids, ranking.scores, ranking.requests) == (one.item_ids, one.scores, 1)


# The fit.


def test_noise_is_measured_from_what_answers_share() -> None:
    chance = random.Random(3)
    truth = [chance.gauss(0.0, 1.0) for _ in range(400)]

    def part(items: Sequence[int]) -> Part:
        noisy = {item: truth[item] + chance.gauss(0.0, 0.02) for item in items}
        total = fsum(map(exp, noisy.values()))
        order = sorted(items, key=lambda item: -noisy[item])
        return Part(order, [round(exp(noisy[item]) / total, 7) for item in order])

    parts = [part(range(200)), part(range(200, 400)), part(range(100, 300))]
    scale = Scale.of(parts, 400)
    assert 0.015 < scale.noise < 0.035
    off = [scale.places[item] - truth[item] for item in range(400)]
    middle = fsum(off) / 400
    assert all(abs(one - middle) < scale.half_width(item) for item, one in enumerate(off))
    assert all(map(isfinite, scale.places))

"""Long lists: what is asked, and what is made of the answers. A re-ranker of known logits stands for the service."""

from __future__ import annotations

import copy
import pickle
import random
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from math import exp, fsum, inf, log
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from personalize_rt.errors import ValidationError
from personalize_rt.limits import Limits
from personalize_rt.rerank import LocalReranker, LongRanking
from personalize_rt.rerank.long import Chunk, LongPlan, chunk_size
from personalize_rt.rerank.scale import Part, Scale, in_order
from personalize_rt.results import Ranking, ResponseInfo

Answer = Callable[[Chunk], Ranking]


def service(logits: Mapping[str, float | None], *, filtered: Iterable[str] = ()) -> Answer:
    """Answers as the service would; items without a logit are unknown to it."""
    reranker, hidden = LocalReranker(logits, limits=Limits.off()), set(filtered)

    def answer(chunk: Chunk) -> Ranking:
        left = [id for id in chunk.item_ids if id not in hidden]
        return reranker.rank(user_id="u", input_list=left) if left else Ranking((), scores=())

    return answer


class Run:
    """A plan carried out: its rounds of requests, their answers, and the ranking."""

    def __init__(self, item_ids: Sequence[str], answer: Answer, **options: Any) -> None:
        options = {"size": 500, **options}
        plan = LongPlan(item_ids, **options)
        self.rounds: list[list[Chunk]] = []
        self.answers: list[Ranking] = []
        while chunks := plan.next():
            self.rounds.append(chunks)
            for chunk in chunks:
                assert 1 <= len(chunk.item_ids) <= options["size"]
                assert len(set(chunk.item_ids)) == len(chunk.item_ids)
                self.answers.append(answer(chunk))
                plan.take(self.answers[-1])
        self.ranking: LongRanking = plan.ranking()
        assert self.ranking.requests == len(self.answers) == sum(map(len, self.rounds))


def normal(deviation: float, items: int = 10_000, seed: int = 1) -> dict[str, float]:
    chance = random.Random(seed)
    return {f"i{n}": chance.gauss(0.0, deviation) for n in range(items)}


def tau(values: Sequence[float]) -> float:
    """Kendall's tau of distinct values with their places, best first."""
    seen: list[float] = []
    swapped = 0
    for value in values:
        swapped += bisect_left(seen, value)
        insort(seen, value)
    return 1.0 - 4.0 * swapped / (len(values) * (len(values) - 1))


def worst_swap(ranking: LongRanking, logits: Mapping[str, float | None]) -> float:
    """By how much an item exceeds one that stands before it; items without a place on the scale do not count."""
    unscaled = set(ranking.unscaled)
    worst, lowest = 0.0, inf
    for id in ranking.item_ids:
        logit = logits[id]
        if logit is not None and id not in unscaled:
            worst, lowest = max(worst, logit - lowest), min(lowest, logit)
    return worst


def test_the_measure_of_these_tests_counts_swapped_pairs() -> None:
    assert tau([3.0, 2.0, 1.0]) == 1.0
    assert tau([1.0, 2.0, 3.0]) == -1.0
    assert tau([3.0, 1.0, 2.0]) == pytest.approx(1 / 3)
    swapped = LongRanking("abc", scores=[0.5, 0.3, 0.2])
    assert worst_swap(swapped, {"a": 3.0, "b": 1.0, "c": 1.5}) == 0.5


# Exactness.


@pytest.mark.parametrize("deviation", [1.0, 2.0, 3.0])
def test_ten_thousand_items_in_thirty_requests_in_the_order_of_their_logits(deviation: float) -> None:
    logits = normal(deviation)
    run = Run([*logits], service(logits))
    ranking = run.ranking
    assert ranking.requests <= 30
    assert sorted(ranking.item_ids) == sorted(logits)
    assert ranking.unscaled == ()
    assert worst_swap(ranking, logits) <= ranking.error_bound <= 0.0101
    assert tau([logits[id] for id in ranking.item_ids]) >= 0.999


def test_scores_are_those_of_one_softmax_over_the_whole_list() -> None:
    logits = normal(2.0, 3_000)
    ranking = Run([*logits], service(logits)).ranking
    total = fsum(map(exp, logits.values()))
    assert fsum(score or 0.0 for score in ranking.scores) == pytest.approx(1.0)
    for row in ranking:
        assert row.score is not None
        assert abs(log(row.score) - (logits[row.item_id] - log(total))) <= ranking.error_bound
    assert all(one >= two for one, two in pairwise(score or 0.0 for score in ranking.scores))


def test_where_many_scores_are_0_more_is_asked_for() -> None:
    logits = normal(5.0)
    run = Run([*logits], service(logits))
    assert sum(score == 0.0 for answer in run.answers[:20] for score in answer.scores) > 3_500
    assert 30 < run.ranking.requests <= 42
    assert worst_swap(run.ranking, logits) <= run.ranking.error_bound < 0.2
    assert run.ranking.unscaled == ()
    assert tau([logits[id] for id in run.ranking.item_ids]) >= 0.999


def test_a_budget_is_kept_and_what_it_costs_is_said() -> None:
    logits = normal(5.0)
    ranking = Run([*logits], service(logits), max_requests=30).ranking
    assert ranking.requests == 30
    assert worst_swap(ranking, logits) <= ranking.error_bound
    assert ranking.error_bound > 0.2
    assert tau([logits[id] for id in ranking.item_ids]) >= 0.98
    least = Run([*logits], service(logits), max_requests=21).ranking
    assert least.requests == 21
    assert len(least.unscaled) > 3_000
    assert worst_swap(least, logits) <= least.error_bound
    # Where nothing but order within answers is left, the place in it still tells a lot.
    assert tau([logits[id] for id in least.item_ids]) >= 0.95


def test_order_within_an_answer_is_the_services_own() -> None:
    logits = {id: round(logit) * 1.0 for id, logit in normal(4.0, 2_000).items()}  # many are equal
    run = Run([*logits], service(logits), size=100)
    place = {id: n for n, id in enumerate(run.ranking.item_ids)}
    for answer in run.answers:
        places = [place[id] for id in answer.item_ids]
        assert places == sorted(places)


WIDE = st.one_of(st.floats(-3, 3), st.floats(-60, 60), st.sampled_from([0.0, 20.0, -inf]))


@given(
    values=st.lists(st.one_of(st.none(), WIDE), min_size=1, max_size=60),
    size=st.integers(2, 12),
    more=st.one_of(st.none(), st.integers(0, 30)),
    hidden=st.sets(st.integers(0, 59), max_size=5),
)
@settings(max_examples=150)
@example(  # answers that disagree by a rounding
    values=[None, 0.0, 0.0, None, 0.0, 17.0, -17.0, None, None, 0.0, 0.0, None], size=3, more=None, hidden=set()
)
def test_any_list_comes_back_whole_and_as_exact_as_is_said(
    values: list[float | None], size: int, more: int | None, hidden: set[int]
) -> None:
    logits = {f"i{n}": value for n, value in enumerate(values)}
    filtered = {f"i{n}" for n in hidden}
    most = None
    if more is not None and len(values) > size:
        try:
            most = 1_000
            LongPlan([*logits], size=size, max_requests=1)
        except ValidationError as error:
            most = (error.limit or 0) + more
    run = Run([*logits], service(logits, filtered=filtered), size=size, max_requests=most)
    ranking = run.ranking
    assert most is None or ranking.requests <= most
    assert Counter(ranking.item_ids) == Counter(id for id in logits if id not in filtered)
    assert ranking.missing == tuple(id for id in logits if id in filtered)
    assert ranking.unscored == tuple(id for id in logits if logits[id] is None and id not in filtered)
    assert worst_swap(ranking, logits) <= ranking.error_bound
    if len(values) > size:
        assert set(ranking.unscaled) <= {id for id, logit in logits.items() if logit is not None}
    place = {id: n for n, id in enumerate(ranking.item_ids)}
    for answer in run.answers:
        places = [place[id] for id, score in zip(answer.item_ids, answer.scores, strict=True) if score is not None]
        assert places == sorted(places)
    scores = [score for score in ranking.scores if score is not None]
    assert all(one >= two for one, two in pairwise(scores))
    assert all(0.0 <= score <= 1.0 for score in scores)


# What is asked.


def test_the_same_list_is_always_asked_for_alike() -> None:
    logits = normal(3.0, 2_000)
    one, other = (Run([*logits], service(logits)) for _ in range(2))
    asked = [[chunk.item_ids for chunk in chunks] for run in (one, other) for chunks in run.rounds]
    assert asked[: len(one.rounds)] == asked[len(one.rounds) :]
    assert one.ranking == other.ranking


def test_chunks_are_fair_samples_even_of_a_list_that_is_sorted() -> None:
    logits = dict(sorted(normal(3.0).items(), key=lambda pair: -pair[1]))
    run = Run([*logits], service(logits))
    assert run.ranking.requests <= 30
    assert tau([logits[id] for id in run.ranking.item_ids]) >= 0.999


def test_each_request_keeps_the_order_of_the_input() -> None:
    logits = normal(3.0, 1_200)
    place = {id: n for n, id in enumerate(logits)}
    for chunks in Run([*logits], service(logits)).rounds:
        for chunk in chunks:
            places = [place[id] for id in chunk.item_ids]
            assert places == sorted(places)


def test_the_chunks_and_what_ties_them_are_needed_and_the_rest_is_not() -> None:
    logits = normal(3.0)
    rounds = Run([*logits], service(logits)).rounds
    assert [chunk.needed for chunk in rounds[0]] == [True] * 20
    assert [chunk.needed for chunk in rounds[1]] == [True] + [False] * (len(rounds[1]) - 1)
    assert not any(chunk.needed for chunks in rounds[2:] for chunk in chunks)


@pytest.mark.parametrize("count", [1, 499, 500])
def test_a_list_that_fits_is_one_request_and_its_answer_as_it_is(count: int) -> None:
    logits = normal(5.0, count)

    def answer(chunk: Chunk) -> Ranking:
        ranked = service(logits)(chunk)
        info = ResponseInfo("r-1", attempts=2)
        return Ranking(ranked.item_ids, scores=ranked.scores, recommendation_id="RID", info=info)

    run = Run([*logits], answer)
    assert [chunk.item_ids for chunks in run.rounds for chunk in chunks] == [tuple(logits)]
    ranking = run.ranking
    assert (ranking.item_ids, ranking.scores) == (run.answers[0].item_ids, run.answers[0].scores)
    assert (ranking.error_bound, ranking.unscaled, ranking.requests) == (0.0, (), 1)
    assert (ranking.recommendation_id, ranking.info.request_id, ranking.info.attempts) == ("RID", "r-1", 2)
    assert ranking.recommendation_ids == ("RID",) * count


def test_one_item_more_than_fits_is_two_chunks_and_what_ties_them() -> None:
    logits = normal(1.0, 501)
    run = Run([*logits], service(logits))
    assert [len(chunks) for chunks in run.rounds] == [2, 1]
    assert [len(chunk.item_ids) for chunk in run.rounds[0]] == [251, 250]
    assert tau([logits[id] for id in run.ranking.item_ids]) >= 0.9999


def test_no_item_is_one_request_for_the_service_to_judge() -> None:
    plan = LongPlan([], size=500)
    assert [chunk.item_ids for chunk in plan.next()] == [()]


@pytest.mark.parametrize("size", [2, 3, 4, 5, 50])
def test_small_requests_are_tied_in_several(size: int) -> None:
    logits = normal(1.0, 1_000)
    run = Run([*logits], service(logits), size=size)
    assert run.ranking.unscaled == ()
    assert worst_swap(run.ranking, logits) <= run.ranking.error_bound <= 0.02
    assert tau([logits[id] for id in run.ranking.item_ids]) >= 0.999


def test_requests_of_one_item_cannot_be_compared() -> None:
    with pytest.raises(ValidationError, match="room for two") as caught:
        LongPlan(["a", "b"], size=1)
    assert caught.value.parameter == "limits"
    assert [chunk.item_ids for chunk in LongPlan(["a", "a"], size=1).next()] == [("a",)]


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "30"])
def test_a_budget_that_is_no_number_of_requests_is_refused(wrong: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        LongPlan(["a"], size=500, max_requests=wrong)
    assert caught.value.parameter == "max_requests"


def test_a_budget_that_cannot_cover_the_list_is_refused_with_the_least_that_can() -> None:
    with pytest.raises(ValidationError, match="need 21 requests of 500 items") as caught:
        LongPlan([*normal(1.0)], size=500, max_requests=20)
    assert (caught.value.parameter, caught.value.limit) == ("max_requests", 21)
    LongPlan([*normal(1.0)], size=500, max_requests=21)


def test_the_size_of_a_request_is_that_of_the_limits_and_the_published_one_where_there_is_none() -> None:
    assert (chunk_size(Limits(), with_metadata=False), chunk_size(Limits(), with_metadata=True)) == (500, 50)
    assert chunk_size(Limits(input_list=1_000), with_metadata=False) == 1_000
    assert chunk_size(Limits(input_list_with_metadata=20), with_metadata=True) == 20
    assert (chunk_size(Limits.off(), with_metadata=False), chunk_size(Limits.off(), with_metadata=True)) == (500, 50)


# Lists as they come.


def test_items_that_the_model_does_not_know_come_last_in_input_order() -> None:
    known = normal(2.0, 1_500)
    logits: dict[str, float | None] = {**known, **{f"new-{n}": None for n in range(700)}}
    input_list = random.Random(3).sample([*logits], len(logits))
    ranking = Run(input_list, service(logits)).ranking
    unknown = tuple(id for id in input_list if logits[id] is None)
    assert ranking.unscored == ranking.item_ids[1_500:] == unknown
    assert ranking.unscaled == ()
    assert tau([known[id] for id in ranking.item_ids[:1_500]]) >= 0.999


def test_a_list_of_unknown_items_keeps_its_order_and_needs_no_ties() -> None:
    input_list = [f"new-{n}" for n in range(1_200)]
    run = Run(input_list, service({}))
    assert run.ranking.item_ids == tuple(input_list)
    assert set(run.ranking.scores) == {None}
    assert (run.ranking.requests, run.ranking.error_bound, run.ranking.unscaled) == (3, 0.0, ())


def test_few_known_items_among_many_find_their_order() -> None:
    logits: dict[str, float | None] = {f"i{n}": None for n in range(3_000)}
    known = {f"i{n * 300}": float(n) for n in range(10)}
    ranking = Run([*logits], service({**logits, **known})).ranking
    assert ranking.item_ids[:10] == tuple(sorted(known, key=lambda id: -known[id]))


def test_an_item_that_the_input_repeats_keeps_its_places_side_by_side() -> None:
    logits: dict[str, float | None] = {**normal(1.0, 1_000), "new": None}
    input_list = [*logits, "i5", "new", "i5", "i7"]
    ranking = Run(input_list, service(logits)).ranking
    assert Counter(ranking.item_ids) == Counter(input_list)
    first = ranking.item_ids.index("i5")
    assert ranking.item_ids[first : first + 3] == ("i5", "i5", "i5")
    assert len(set(ranking.scores[first : first + 3])) == 1
    assert ranking.item_ids[-2:] == ("new", "new")
    few = Run(["b", "new", "a", "b", "new"], service({"a": 2.0, "b": 1.0})).ranking
    assert few.item_ids == ("a", "b", "b", "new", "new")


def test_what_a_filter_takes_out_is_missing() -> None:
    logits = normal(2.0, 2_000)
    filtered = {f"i{n}" for n in range(0, 2_000, 3)}
    ranking = Run([*logits], service(logits, filtered=filtered)).ranking
    assert ranking.missing == tuple(id for id in logits if id in filtered)
    assert set(ranking.item_ids) == logits.keys() - filtered
    assert tau([logits[id] for id in ranking.item_ids]) >= 0.999


def test_a_filter_that_takes_out_everything_leaves_nothing() -> None:
    ranking = Run([*normal(1.0, 1_200)], service({}, filtered=normal(1.0, 1_200))).ranking
    assert (len(ranking), len(ranking.missing), ranking.requests) == (0, 1_200, 3)


def test_items_that_are_gone_from_a_later_answer_are_kept() -> None:
    """A filter, or the catalogue, may change between two answers."""
    logits = normal(1.0, 1_200)
    best = sorted(logits, key=lambda id: -logits[id])[:30]
    count = iter(range(100))
    ranking = Run([*logits], lambda chunk: service(logits, filtered=best if next(count) >= 3 else ())(chunk)).ranking
    assert ranking.missing == ()
    assert tau([logits[id] for id in ranking.item_ids]) >= 0.99


def test_when_all_that_ties_is_gone_the_order_is_still_likely_and_nothing_claims_a_place() -> None:
    logits = normal(1.0, 1_200)
    count = iter(range(100))
    ranking = Run(
        [*logits], lambda chunk: service(logits, filtered=logits if next(count) >= 3 else ())(chunk), max_requests=4
    ).ranking
    assert len(ranking) == 1_200
    assert 700 <= len(ranking.unscaled) <= 800  # one chunk has a scale, its own
    assert tau([logits[id] for id in ranking.item_ids]) >= 0.9


# Underflow.


@pytest.mark.parametrize("heads", [{"i7": 40.0}, {"i7": 40.0, "i8": 41.0}, {"i7": 40.0, "i27": 40.5, "i8": 70.0}])
def test_an_item_that_leaves_all_others_with_0_does_not_hide_their_order(heads: dict[str, float]) -> None:
    logits = {**normal(1.0, 5_000), **heads}
    ranking = Run([*logits], service(logits)).ranking
    assert set(ranking.unscaled) <= heads.keys()
    assert set(ranking.item_ids[: len(heads)]) == heads.keys()
    assert worst_swap(ranking, logits) <= ranking.error_bound < 0.02
    assert tau([logits[id] for id in ranking.item_ids]) >= 0.999


def test_two_worlds_too_far_apart_for_one_scale_are_each_in_order() -> None:
    logits = {id: logit - 30.0 * (n % 2) for n, (id, logit) in enumerate(normal(1.0, 4_000).items())}
    ranking = Run([*logits], service(logits)).ranking
    assert set(ranking.unscaled) == {id for id, logit in logits.items() if logit < -15.0}
    assert worst_swap(ranking, logits) <= ranking.error_bound < 0.02
    assert tau([logits[id] for id in ranking.item_ids]) >= 0.999


def test_logits_of_minus_infinity_are_last_and_unscaled() -> None:
    logits = {**normal(1.0, 1_200), **{f"never-{n}": -inf for n in range(20)}}
    ranking = Run([*logits], service(logits)).ranking
    assert set(ranking.item_ids[-20:]) == set(ranking.unscaled) == {f"never-{n}" for n in range(20)}


# Answers that do not agree.


def test_a_user_who_changes_in_between_makes_the_bound_larger_and_no_error() -> None:
    before, after = normal(1.0, 2_000), normal(1.0, 2_000, seed=2)
    mixed = {id: 0.9 * before[id] + 0.1 * after[id] for id in before}
    count = iter(range(100))
    run = Run([*before], lambda chunk: service(before if next(count) < 4 else mixed)(chunk))
    assert sorted(run.ranking.item_ids) == sorted(before)
    assert 0.1 < run.ranking.error_bound < 2.0
    assert tau([before[id] for id in run.ranking.item_ids]) >= 0.95


def test_answers_that_contradict_each_other_wholly_still_make_a_ranking() -> None:
    chance = random.Random(4)
    ids = [f"i{n}" for n in range(300)]

    def anything(chunk: Chunk) -> Ranking:
        return service({id: chance.gauss(0.0, 3.0) for id in chunk.item_ids})(chunk)

    ranking = Run(ids, anything, size=40).ranking
    assert Counter(ranking.item_ids) == Counter(ids)
    assert ranking.error_bound > 1.0
    scores = [score or 0.0 for score in ranking.scores]
    assert scores == sorted(scores, reverse=True)


# The scale by itself.


def test_two_rankings_that_share_an_item_are_on_one_scale() -> None:
    # e, d, c, b, a have logits ln 5, ln 4, … ln 1.
    parts = [Part([4, 3, 2], [5 / 12, 4 / 12, 3 / 12]), Part([2, 1, 0], [0.5, 2 / 6, 1 / 6])]
    scale = Scale.of(parts, 5)
    assert scale.groups == [0, 0]
    for item in range(5):
        assert scale.knows(item)
        assert scale.half_width(item) < 1e-6
        assert scale.places[item] - scale.places[0] == pytest.approx(log(item + 1), abs=1e-6)
    assert in_order(parts, scale.places) == [4, 3, 2, 1, 0]


def test_a_score_of_0_has_an_upper_end_and_its_order() -> None:
    scale = Scale.of([Part([0, 1, 2], [1.0, 0.0, 0.0])], 3)
    assert [scale.knows(item) for item in range(3)] == [True, False, False]
    assert scale.high[1] == pytest.approx(log(5e-8), abs=1e-5)
    assert scale.low[1] == -inf
    assert scale.places[1] >= scale.places[2]


def test_an_item_lies_between_those_that_stand_around_it() -> None:
    # Item 1 has no score but its place: above item 2, which another ranking knows.
    parts = [Part([0, 5, 1, 2], [0.9, 0.1, 0.0, 0.0]), Part([5, 2], [0.9999997, 0.0000003])]
    scale = Scale.of(parts, 6)
    assert scale.knows(1)
    assert scale.low[1] == scale.low[2] > -inf
    assert scale.places[1] >= scale.places[2]
    assert not Scale.of(parts[:1], 6).knows(1)


def test_rounding_is_what_the_bound_covers() -> None:
    part = Part([0, 1], [0.9999997, 0.0000003])
    scale = Scale.of([part], 2)
    assert exp(scale.low[1]) == pytest.approx(2.5e-7, rel=1e-5)
    assert exp(scale.high[1]) == pytest.approx(3.5e-7, rel=1e-5)


def test_disagreement_is_seen_and_a_third_voice_does_not_hide_it() -> None:
    shares = [0.5, 0.5], [0.9, 0.1], [0.5, 0.5]
    scale = Scale.of([Part([0, 1], list(share)) for share in shares], 2)
    assert scale.disagreement == pytest.approx(log(9), abs=1e-4)
    assert Scale.of([Part([0, 1], [0.5, 0.5])] * 3, 2).disagreement == 0.0


def test_places_decide_where_rankings_contradict_each_other() -> None:
    parts = [Part([0, 1, 2], [0.5, 0.3, 0.2]), Part([2, 1, 0], [0.5, 0.3, 0.2])]
    assert in_order(parts, [1.0, 3.0, 2.0]) == [1, 2, 0]


# The result.


def test_a_long_ranking_is_a_ranking_with_more_to_say() -> None:
    logits = normal(1.0, 1_200)
    count = iter(range(100))

    def answer(chunk: Chunk) -> Ranking:
        ranked = service(logits)(chunk)
        info = ResponseInfo(attempts=2)
        return Ranking(ranked.item_ids, scores=ranked.scores, recommendation_id=f"RID-{next(count)}", info=info)

    ranking = Run([*logits], answer).ranking
    assert isinstance(ranking, Ranking)
    assert ranking.recommendation_id is None
    assert len(ranking.recommendation_ids) == 1_200
    assert set(ranking.recommendation_ids) == {"RID-0", "RID-1", "RID-2"}
    assert (ranking.degraded, ranking.cause, ranking.stopped_by) == (False, None, None)
    assert (ranking.requests, ranking.info.attempts) == (4, 8)
    for same in (pickle.loads(pickle.dumps(ranking)), copy.deepcopy(ranking)):
        assert same == ranking
        assert (same.error_bound, same.recommendation_ids) == (ranking.error_bound, ranking.recommendation_ids)
    assert ranking.position(ranking[3].item_id) == 3
    with pytest.raises(AttributeError):
        ranking.requests = 3  # type: ignore[misc]

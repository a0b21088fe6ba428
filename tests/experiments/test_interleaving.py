"""Two rankings in one list: every chance is counted out, for small lists exactly."""

from __future__ import annotations

import pickle
from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from random import Random
from typing import Any, cast, get_args

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.errors import ValidationError
from personalize_rt.experiments import Exposure, Interleaved, InterleavedItem, InterleavingExposure, interleave
from personalize_rt.experiments.interleaving import Method
from personalize_rt.results import ActionRecommendations, PredictedItem, Ranking, Recommendations, ResponseInfo

METHODS: tuple[Method, ...] = get_args(Method)
LISTS = st.lists(st.sampled_from("pqrstuvw"), unique=True, max_size=5)
every_method = pytest.mark.parametrize("method", METHODS)


class Coins:
    """Coins that fall as written; the next one, if it is asked for, falls on the side of ``a``."""

    def __init__(self, falls: tuple[bool, ...]) -> None:
        self.falls, self.thrown = falls, 0

    def random(self) -> float:
        self.thrown += 1
        return 0.75 if self.thrown <= len(self.falls) and self.falls[self.thrown - 1] else 0.25


def all_lists(a: Any, b: Any, k: int, method: Method) -> Iterator[tuple[Fraction, Interleaved]]:
    """Each list that chance can make, with its probability."""
    pending: list[tuple[bool, ...]] = [()]
    while pending:
        falls = pending.pop()
        coins = Coins(falls)
        shown = interleave(a, b, k=k, method=method, rng=coins)
        yield Fraction(1, 2**coins.thrown), shown
        for turned in range(len(falls), coins.thrown):
            pending.append((*falls, *[False] * (turned - len(falls)), True))


def test_the_enumeration_of_chances_is_whole() -> None:
    found = list(all_lists([*"pqrs"], [*"srqp"], 4, "team-draft"))
    assert sum(chance for chance, _ in found) == 1
    assert len(found) == 4  # two rounds
    assert len({shown.sides for _, shown in found}) == 4


@given(LISTS, LISTS, st.integers(1, 8))
def test_team_draft_gives_each_place_to_both_sides_with_the_same_chance(a: list[str], b: list[str], k: int) -> None:
    at: defaultdict[tuple[int, object], Fraction] = defaultdict(Fraction)
    for chance, shown in all_lists(a, b, k, "team-draft"):
        for place, side in enumerate(shown.sides):
            at[place, side] += chance
    for place in range(k):
        assert at[place, "a"] == at[place, "b"]


@every_method
@given(ranked=LISTS, k=st.integers(1, 8))
def test_of_identical_rankings_each_item_goes_to_both_sides_with_the_same_chance(
    method: Method, ranked: list[str], k: int
) -> None:
    of: defaultdict[tuple[str, object], Fraction] = defaultdict(Fraction)
    for chance, shown in all_lists(ranked, ranked, k, method):
        assert list(shown.item_ids) == ranked[:k]  # nobody notices that an experiment runs
        for row in shown:
            of[row.item_id, row.side] += chance
    for item in ranked[:k]:
        assert of[item, "a"] == of[item, "b"] == Fraction(1, 2)


@given(LISTS, LISTS, st.integers(1, 8), st.randoms(use_true_random=False))
def test_team_draft_gives_both_sides_as_many_items(a: list[str], b: list[str], k: int, rng: Random) -> None:
    sides = interleave(a, b, k=k, rng=rng).sides
    assert abs(sides.count("a") - sides.count("b")) <= 1


@every_method
@given(a=LISTS, b=LISTS, k=st.integers(1, 10), rng=st.randoms(use_true_random=False))
def test_a_list_is_full_has_each_item_once_and_keeps_both_orders(
    method: Method, a: list[str], b: list[str], k: int, rng: Random
) -> None:
    shown = interleave(a, b, k=k, method=method, rng=rng)
    assert len(shown) == min(k, len({*a, *b}))
    assert len(set(shown.item_ids)) == len(shown)
    for side, ranked in {"a": a, "b": b}.items():
        own = [row.item_id for row in shown if row.side == side]
        assert own == [id for id in ranked if id in own]
    for row in shown:
        assert row.place_a == (a.index(row.item_id) if row.item_id in a else None)
        assert row.place_b == (b.index(row.item_id) if row.item_id in b else None)
        assert row.side is None or row.item_id in (a if row.side == "a" else b)


@given(LISTS, LISTS, st.randoms(use_true_random=False))
def test_a_side_takes_its_best_item_that_is_left(a: list[str], b: list[str], rng: Random) -> None:
    shown = interleave(a, b, rng=rng)
    for place, row in enumerate(shown):
        if row.side is not None:
            ranked = a if row.side == "a" else b
            before = shown.item_ids[:place]
            assert row.item_id == next(id for id in ranked if id not in before)


@given(LISTS, LISTS, st.integers(1, 8))
def test_balanced_lists_hold_as_much_of_the_top_of_both_rankings(a: list[str], b: list[str], k: int) -> None:
    # Joachims, 2003: the first of the list are the first of a and the first of b, as many or one more or less.
    for _, shown in all_lists(a, b, k, "balanced"):
        for end in range(1, sum(side is not None for side in shown.sides) + 1):
            top = set(shown.item_ids[:end])
            assert any(
                top == {*a[:first], *b[:second]}
                for first in range(len(a) + 1)
                for second in range(first - 1, first + 2)
                if 0 <= second <= len(b)
            )


def test_balanced_interleaving_throws_one_coin() -> None:
    assert sorted(shown.item_ids for _, shown in all_lists([*"pqr"], [*"qsp"], 4, "balanced")) == [
        ("p", "q", "s", "r"),
        ("q", "p", "s", "r"),
    ]


@every_method
def test_what_fills_a_list_after_one_ranking_ended_counts_for_neither(method: Method) -> None:
    shown = interleave(["p"], [*"qrstuvw"], k=6, method=method, rng=Random(1))
    assert len(shown) == 6
    assert [row.side for row in shown][:2] in (["a", "b"], ["b", "a"])
    assert set(shown.sides[2:]) == {None}
    # Nor does the longer of two rankings with the same beginning.
    for _, shown in all_lists([*"pq"], [*"pqrst"], 5, method):
        assert shown.item_ids[:2] == ("p", "q")
        assert set(shown.sides[2:]) == {None}


def test_what_a_filter_took_out_of_one_ranking_comes_in_by_neither() -> None:
    a = Ranking(["q", "p"], scores=[0.6, 0.4], input_list=["p", "q", "gone"])
    for _, shown in all_lists(a, ["gone", "p", "q", "r"], 4, "team-draft"):
        assert sorted(shown.item_ids) == ["p", "q", "r"]
        assert shown.missing == ("gone",)
    assert interleave(["gone", "p"], a, rng=Random(1)).missing == ("gone",)


def test_items_that_a_model_does_not_know_stay_last_and_are_named() -> None:
    a = Ranking(["q", "p", "x", "y"], scores=[0.6, 0.4, None, None], input_list="pqxy")
    shown = interleave(a, ["q", "p", "y", "z"], k=5, rng=Coins((False, True, False)))
    assert shown.item_ids == ("q", "p", "y", "x", "z")[: len(shown)]
    # `y` came by the other ranking, which ranked it.
    assert shown.sides[2:4] == ("b", "a") or shown.unscored == ("y", "x")
    assert shown.unscored == tuple(row.item_id for row in shown if row.score is None and row.side == "a")
    assert shown[:2].unscored == ()


def test_rows_are_those_of_the_answers_with_their_recommendation_id() -> None:
    a = Recommendations(
        ["p"], scores=[0.5], promotion_names=["autumn"], metadata=[{"TITLE": "P"}], recommendation_id="R-a"
    )
    b = Recommendations(["q"], scores=[0.25], recommendation_id="R-b")
    shown = interleave(a, b, rng=Coins(()))
    assert shown[0] == InterleavedItem(
        "p", 0.5, "autumn", cast("Any", {"TITLE": "P"}), side="a", place_a=0, place_b=None
    )
    assert [row.recommendation_id for row in shown] == ["R-a", "R-b"]
    assert isinstance(shown[0], PredictedItem)
    # Nothing to send back of an answer that the service did not give.
    fallback = Recommendations(
        ["p"], scores=[0.5], recommendation_id="R-a", info=ResponseInfo(source="fallback"), degraded=True
    )
    shown = interleave(fallback, b, rng=Coins(()))
    assert shown[0].recommendation_id is None
    assert shown.degraded


def test_rows_and_ids_are_rankings_too() -> None:
    a = Ranking(["p", "q"], scores=[0.6, 0.4])
    assert interleave(list(a), iter(["q", "p", "q"]), rng=Coins(())).item_ids == ("p", "q")
    assert interleave(a[:1], (), rng=Coins(())).item_ids == ("p",)


def test_a_list_is_a_sequence_that_does_not_change() -> None:
    shown = interleave([*"pqr"], [*"rqp"], rng=Random(3))
    assert len(shown) == 3
    assert list(shown) == [shown[0], shown[1], shown[2]]
    assert next(reversed(shown)) == shown[-1]
    assert isinstance(shown[:2], Interleaved)
    assert shown[:2].item_ids == shown.item_ids[:2]
    assert shown.position(shown.item_ids[1]) == 1
    assert shown.get(shown.item_ids[1]) == shown[1]
    assert shown.get("x") is None
    assert shown.position("x") is None
    assert pickle.loads(pickle.dumps(shown)) == shown
    assert hash(shown[:]) == hash(shown)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        shown.rows = ()  # type: ignore[misc]  # what the test is of


def test_the_repr_shows_numbers_only() -> None:
    shown = interleave(["secret-1"], ["secret-2"], rng=Random(1))
    assert repr(shown) == "Interleaved(2 items: 1 of a, 1 of b, method='team-draft')"


def test_a_seeded_source_of_chance_shows_the_same_list_again() -> None:
    lists = {interleave([*"pqrst"], [*"tsrqp"], rng=Random("new-ranker s-1")).rows for _ in range(5)}
    assert len(lists) == 1
    assert len({interleave([*"pqrst"], [*"tsrqp"]).rows for _ in range(50)}) > 1


def test_an_exposure_has_what_a_comparison_needs_and_comes_back_from_storage() -> None:
    shown = interleave([*"pqr"], [*"rqp"], k=2, rng=Coins(()))
    told: list[Exposure] = []
    exposure = shown.exposure("new-ranker", unit="s-1", hooks=[told.append])
    assert told == [exposure]
    assert exposure == InterleavingExposure(
        experiment="new-ranker",
        unit="s-1",
        method="team-draft",
        item_ids=("p", "r"),
        sides=("a", "b"),
        places=((0, 2), (2, 0)),
    )
    assert "s-1" not in repr(exposure)
    stored = attrs.asdict(exposure)
    as_json: dict[str, Any] = {
        name: list(value) if isinstance(value, tuple) else value for name, value in stored.items()
    }
    assert InterleavingExposure(**as_json) == exposure
    assert shown[:1].exposure("new-ranker", unit="s-1").item_ids == ("p",)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"a": "pq"}, "a is a str of 2 characters: interleave takes answers"),
        ({"b": None}, "b is None"),
        ({"b": {"p": 1}}, "b is a dict"),
        ({"a": ["p", 7]}, "a\\[1\\] is an int"),
        ({"a": ActionRecommendations(["p"], scores=[0.5])}, "a\\[0\\] is a PredictedAction"),
        ({"k": 0}, "k must be a whole number from 1"),
        ({"method": "best"}, 'method must be "team-draft" or "balanced"'),
    ],
)
def test_what_cannot_be_interleaved_is_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem) as caught:
        interleave(**{"a": ["p"], "b": ["q"], **change})
    assert caught.value.parameter in change


@pytest.mark.parametrize("unit", ["", 7, None])
def test_an_exposure_without_a_unit_is_refused(unit: Any) -> None:
    with pytest.raises(ValidationError, match="unit is"):
        interleave(["p"], ["q"]).exposure("new-ranker", unit=unit)


def test_rows_as_json_have_their_side() -> None:
    row = interleave(["p"], ["q"], rng=Coins(()))[0]
    assert row.to_json() == (
        '{"item_id":"p","score":null,"promotion_name":null,"metadata":{},"reason":[],"side":"a","place_a":0,"place_b":null}'
    )

"""Lists under rules: what each does, what none may do, and bad input."""

from __future__ import annotations

import copy
import pickle
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.errors import ValidationError
from personalize_rt.rerank import LongRanking
from personalize_rt.rerank.rules import Rules
from personalize_rt.results import ActionRecommendations, Ranking, Recommendations

GENRES: dict[str, dict[str, Any]] = {
    "a": {"GENRES": "Drama"},
    "b": {"GENRES": "Drama|War"},
    "c": {"GENRES": "Drama"},
    "d": {"GENRES": "Comedy"},
    "e": {"GENRES": None},
    "f": {"GENRES": "War"},
}


def ranking(ids: str, unknown: str = "", **more: Any) -> Ranking:
    """Items of falling scores, then those without one."""
    scores = [round(2.0**-n, 7) for n in range(1, len(ids) + 1)]
    return Ranking([*ids, *unknown], scores=[*scores, *([None] * len(unknown))], recommendation_id="RID-1", **more)


def order(answer: Ranking | Recommendations) -> str:
    return "".join(answer.item_ids)


# Variety.


def test_no_more_than_so_many_of_a_kind_stand_near_each_other() -> None:
    varied = ranking("abcdef").diversify(by="genres", at_most=1, within=2, items=GENRES)
    assert order(varied) == "adbecf"
    assert order(ranking("abc").diversify(by="GENRES", at_most=3, within=3, items=GENRES)) == "abc"


def test_what_the_rule_allows_nowhere_stands_behind_all_that_it_does() -> None:
    assert order(ranking("abcde").diversify(by="GENRES", at_most=1, items=GENRES)) == "adebc"


def test_the_column_may_be_metadata_of_the_answer() -> None:
    answer = ranking("abd", metadata=[{"genreS": row["GENRES"] or ""} for row in map(GENRES.__getitem__, "abd")])
    assert order(answer.diversify(by="GENRES", at_most=1, within=2)) == "adb"


def test_lists_and_single_values_are_kinds_too() -> None:
    items: dict[str, dict[str, Any]] = {
        "a": {"YEAR": 1999, "TAGS": ["x", "y"]},
        "b": {"YEAR": 1999, "TAGS": ["y"]},
        "c": {"YEAR": 2000, "TAGS": []},
    }
    for by in ("YEAR", "TAGS"):
        assert order(ranking("abc").diversify(by=by, within=2, items=items)) == "acb"


def test_a_frame_and_an_object_with_items_are_catalogues() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"ITEM_ID": list(GENRES), "GENRES": [row["GENRES"] for row in GENRES.values()]})

    class Local:
        items = GENRES

    for items in (frame, Local()):
        assert order(ranking("abd").diversify(by="GENRES", within=2, items=items)) == "adb"


def greedy(kinds: Sequence[frozenset[str]], at_most: int, within: int) -> list[int]:
    """The rule in other words: each place to the first that fits, or else to the first."""
    left, chosen = list(range(len(kinds))), list[int]()
    while left:
        near = (
            Counter(kind for place in chosen[len(chosen) - within + 1 :] for kind in kinds[place]) if within > 1 else {}
        )
        if within > len(chosen):
            near = Counter(kind for place in chosen for kind in kinds[place]) if within > 1 else {}
        fits = [place for place in left if all(near.get(kind, 0) < at_most for kind in kinds[place])]
        chosen.append((fits or left)[0])
        left.remove(chosen[-1])
    return chosen


@given(st.lists(st.frozensets(st.sampled_from("xyz"), max_size=3), max_size=25), st.integers(1, 3), st.integers(1, 6))
def test_each_place_goes_to_the_best_item_that_the_rule_allows(
    kinds: list[frozenset[str]], at_most: int, within: int
) -> None:
    ids = [f"i{n}" for n in range(len(kinds))]
    items = {id: {"K": sorted(kind)} for id, kind in zip(ids, kinds, strict=True)}
    answer = Recommendations(ids, scores=[None] * len(ids))
    varied = answer.diversify(by="K", at_most=at_most, within=within, items=items)
    assert list(varied.item_ids) == [ids[place] for place in greedy(kinds, at_most, within)]


def alike(one: str, other: str) -> float:
    return 1.0 if {one, other} <= set("abc") else 0.0


def test_maximal_marginal_relevance_by_hand() -> None:
    # Relevance 1, .5, .25, .125: after a, b is worth .5*.5 - .5 and d .5*.125.
    assert order(ranking("abcd").mmr(alike, trade_off=0.5)) == "adbc"
    assert order(ranking("abcd").mmr(alike, trade_off=1)) == "abcd"
    assert order(ranking("abcd").mmr(alike, trade_off=0.5, k=1)) == "abcd"
    assert order(ranking("abcd").mmr(alike, trade_off=0, k=2)) == "adbc"


def test_where_scores_are_missing_relevance_is_the_place() -> None:
    assert order(Recommendations("abcd", scores=[None] * 4).mmr(alike, trade_off=0.5)) == "adbc"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0, 1), st.randoms(use_true_random=False))
def test_mmr_chooses_what_the_formula_says(scores: list[float], share: float, chance: Any) -> None:
    scores.sort(reverse=True)
    ids = [f"i{n}" for n in range(len(scores))]
    table = {frozenset((one, two)): chance.choice([0.0, 0.25, 0.5, 1.0]) for one in ids for two in ids if one != two}
    found = Ranking(ids, scores=scores).mmr(lambda one, two: table[frozenset((one, two))], trade_off=share, k=5)
    top = scores[0]
    relevance = {
        id: score / top if top > 0 else 1 - n / len(ids) for n, (id, score) in enumerate(zip(ids, scores, strict=True))
    }
    chosen: list[str] = []
    for id in found.item_ids[:5]:

        def value(other: str) -> float:
            near = max((table[frozenset((other, one))] for one in chosen), default=0.0)
            return share * relevance[other] - (1 - share) * near

        best = max(value(other) for other in ids if other not in chosen)
        assert value(id) == pytest.approx(best, abs=1e-12)
        chosen.append(id)


# Places and weights.


def test_pins_stand_where_they_were_put_and_the_others_keep_their_order() -> None:
    pinned = ranking("abcdef").pin({"f": 0, "a": 2})
    assert order(pinned) == "fbacde"
    assert (pinned.position("f"), pinned.position("a")) == (0, 2)


def test_a_boost_multiplies_scores_and_shows_the_old_ones() -> None:
    boosted = ranking("abcd").boost({"d": 5.0, "a": 0.5})
    assert order(boosted) == "dabc"
    assert boosted.scores == (0.0625, 0.5, 0.25, 0.125)


def test_actions_are_pinned_boosted_and_taken_out() -> None:
    actions = ActionRecommendations(["x", "y", "z"], scores=[0.9, 0.5, 0.2])
    assert actions.pin({"z": 0}).action_ids == ("z", "x", "y")
    assert actions.boost({"y": 2}).action_ids == ("y", "x", "z")
    assert actions.without(["x", "not there"]).action_ids == ("y", "z")
    assert actions.pin({"z": 0})[0].rules == ("pinned: 3 → 1",)


def test_what_is_taken_out_is_missing_and_does_not_come_back() -> None:
    left = ranking("abc", input_list="cbaz").without(iter("bx"))
    assert order(left) == "ac"
    assert left.missing == ("b", "z")
    for id in "bz":
        with pytest.raises(ValidationError, match="does not come back"):
            left.pin({id: 0})
    blended = left.blend(["z", "b", "a", "c"], 0.5)
    assert (set(blended.item_ids), blended.missing) == ({"a", "c"}, ("b", "z"))


def test_what_is_taken_out_of_a_ranking_without_its_request_stays_out_too() -> None:
    left = ranking("abc").without(["b"])
    assert left.missing == ("b",)
    assert "b" not in left.blend(["b", "c"], 0.5).item_ids


# What all rules keep.


def test_each_row_says_why_it_moved() -> None:
    moved = ranking("abcd").pin({"d": 0}).boost({"c": 16})
    assert [row.rules for row in moved] == [
        ("made room for pinned ones: 3 → 4", "score times 16: 4 → 1"),
        ("made room for pinned ones: 1 → 2",),
        ("made room for pinned ones: 2 → 3",),
        ("pinned: 4 → 1", "boosted ones passed: 1 → 4"),
    ]
    varied = ranking("abd").diversify(by="GENRES", within=2, items=GENRES)
    assert [row.rules for row in varied] == [
        (),
        ("moved up past items held back by GENRES: 3 → 2",),
        ("at most 1 with GENRES Drama in 2 places: 2 → 3",),
    ]


def test_reasons_are_no_part_of_equality_and_are_not_in_the_repr() -> None:
    moved = ranking("ab").pin({"b": 0})
    assert moved[0].rules
    assert moved[0] == Ranking("ba", scores=[0.25, 0.5])[0]
    assert "pinned" not in repr(moved) + repr(moved[0])
    for same in (pickle.loads(pickle.dumps(moved)), copy.deepcopy(moved)):
        assert [row.rules for row in same] == [row.rules for row in moved]
        assert same == moved


def test_a_long_ranking_stays_one() -> None:
    long = LongRanking(
        "abc", scores=[0.5, 0.3, 0.2], recommendation_ids=["1", "2", "3"], unscaled="c", requests=3, error_bound=0.1
    )
    moved = long.pin({"c": 0}).without(["b"])
    assert type(moved) is LongRanking
    assert (order(moved), moved.recommendation_ids, moved.error_bound, moved.requests) == ("ca", ("3", "1"), 0.1, 3)
    assert moved.unscaled == ("c",)
    assert moved.missing_mass == pytest.approx(0.3)
    blended = long.blend(["x", "a"], 0.5)
    assert type(blended) is LongRanking
    assert blended.recommendation_ids[blended.item_ids.index("x")] is None


def test_unknown_items_stay_last_unless_a_rule_names_them() -> None:
    known = ranking("abd", unknown="fc")
    assert order(known.diversify(by="GENRES", within=2, items=GENRES)) == "adbfc"
    assert order(known.mmr(alike, trade_off=0.5)) == "adbfc"
    assert order(known.boost({"d": 100})) == "dabfc"
    assert order(known.pin({"c": 1})) == "acbdf"


def test_an_item_that_the_list_repeats_keeps_its_places_side_by_side() -> None:
    twice = Ranking("aabc", scores=[0.5, 0.5, 0.3, 0.2])
    assert order(twice.pin({"c": 0})) == "caab"
    assert order(twice.pin({"a": 1})) == "baac"
    assert order(twice.boost({"b": 3})) == "baac"
    assert order(twice.diversify(by="K", items={"a": {"K": 1}, "b": {"K": 1}}, within=2)) == "aacb"


RULES: dict[str, Callable[[Any], Any]] = {
    "diversify": lambda answer: answer.diversify(by="GENRES", within=3, items=GENRES),
    "diversify all": lambda answer: answer.diversify(by="GENRES", items=GENRES),
    "mmr": lambda answer: answer.mmr(alike, trade_off=0.3, k=3),
    "pin": lambda answer: answer.pin({answer.item_ids[-1]: 0}),
    "boost": lambda answer: answer.boost({[row.item_id for row in answer if row.score][-1]: 7.0}),
    "blend": lambda answer: answer.blend([*"zfedcba"], 0.5),
}


@given(
    ids=st.lists(st.sampled_from("abcdef"), min_size=1, unique=True),
    gone=st.sets(st.sampled_from("xyz")),
    names=st.lists(st.sampled_from(sorted(RULES)), max_size=4),
)
def test_rules_never_lose_double_or_revive_an_item(ids: list[str], gone: set[str], names: list[str]) -> None:
    answer = ranking("".join(ids), input_list=[*sorted(gone), *"abcdef"])
    start = answer
    for name in names:
        answer = RULES[name](answer)
    assert type(answer) is Ranking
    if "blend" not in names:
        assert Counter(answer.item_ids) == Counter(ids)
        assert answer.missing == start.missing
        assert {row.item_id: row.score for row in answer} == {row.item_id: row.score for row in start}
    assert max(Counter(answer.item_ids).values()) == 1
    assert not set(answer.item_ids) & set(start.missing)
    assert answer.recommendation_id == "RID-1"
    places = {id: place for place, id in enumerate(start.item_ids)}
    for place, row in enumerate(answer):
        if row.item_id in places and places[row.item_id] != place:
            assert row.rules  # whoever stands elsewhere knows why


@pytest.mark.parametrize("make", [Ranking, Recommendations])
def test_rules_take_an_empty_answer(make: Any) -> None:
    empty = make((), scores=())
    assert len(empty.diversify(by="GENRES", items=GENRES).mmr(alike).pin({}).boost({}).without(["a"])) == 0
    assert empty.blend(["a", "b"], 0.5).item_ids == ("a", "b")


# Rules for many lists.


def test_rules_for_many_lists_pass_over_what_a_list_does_not_have() -> None:
    rules = Rules(
        without=["a"],
        boost={"d": 9.0, "q": 2.0},
        diversify=("GENRES", 1, 2),
        items=GENRES,
        pin={"e": 0, "q": 1, "f": 9},
    )
    assert order(rules.apply(ranking("abcdef"))) == "edbcf"
    assert order(rules.apply(ranking("f"))) == "f"
    assert len(rules.apply(ranking(""))) == 0
    assert rules
    assert not Rules()


# Bad input: named, and nothing changed.


NONSENSE: list[tuple[Callable[[Any], object], str, str]] = [
    (lambda answer: answer.pin({"q": 0}), "places", "'q', which is not in the answer"),
    (lambda answer: answer.pin({"a": 1, "b": 1}), "places", "place 1 to 'a' and to 'b'"),
    (lambda answer: answer.pin({"a": 4}), "places", "the last place is 3"),
    (lambda answer: answer.pin({"a": -1}), "places", "an int from 0"),
    (lambda answer: answer.pin({"a": True}), "places", "an int from 0"),
    (lambda answer: answer.pin(["a"]), "places", "not a mapping"),
    (lambda answer: answer.pin({1: 1}), "places", "not a str"),
    (lambda answer: answer.boost({"q": 2}), "factors", "'q', which is not in the answer"),
    (lambda answer: answer.boost({"a": 0}), "factors", "above 0"),
    (lambda answer: answer.boost({"a": float("nan")}), "factors", "finite"),
    (lambda answer: answer.boost({"a": "2"}), "factors", "finite"),
    (lambda answer: answer.boost({"u": 2}), "factors", "no score"),
    (lambda answer: answer.without("abc"), "ids", "a list"),
    (lambda answer: answer.without([1]), "ids", "not a str"),
    (lambda answer: answer.mmr(lambda one, two: float("nan")), "similarity", "nan for 'b' and 'a'"),
    (lambda answer: answer.mmr(lambda one, two: None), "similarity", "for 'b' and 'a'"),
    (lambda answer: answer.mmr({}), "similarity", "function"),
    (lambda answer: answer.mmr(alike, trade_off=1.1), "trade_off", "0 to 1"),
    (lambda answer: answer.mmr(alike, k=0), "k", "from 1"),
    (lambda answer: answer.diversify(by="YEAR", items=GENRES), "by", "no item has a column 'YEAR'"),
    (lambda answer: answer.diversify(by="GENRES"), "by", "metadata_columns"),
    (lambda answer: answer.diversify(by=""), "by", "name of a column"),
    (lambda answer: answer.diversify(by="GENRES", at_most=0, items=GENRES), "at_most", "from 1"),
    (lambda answer: answer.diversify(by="GENRES", within=0, items=GENRES), "within", "from 1"),
    (lambda answer: answer.diversify(by="GENRES", items=7), "items", "mapping"),
    (lambda answer: answer.diversify(by="GENRES", items={"a": "Title"}), "items", "mappings of columns"),
]


@pytest.mark.parametrize(("rule", "parameter", "words"), NONSENSE)
def test_a_rule_that_makes_no_sense_is_refused_by_name(rule: Any, parameter: str, words: str) -> None:
    answer = ranking("abc", unknown="u", input_list="abcuz")
    before = list(answer), answer.missing
    with pytest.raises(ValidationError, match=words) as caught:
        rule(answer)
    assert caught.value.parameter == parameter
    assert (list(answer), answer.missing) == before


def test_no_message_shows_metadata() -> None:
    with pytest.raises(ValidationError) as caught:
        ranking("ab", metadata=[{"GENRES": "Secret"}] * 2).diversify(by="YEAR")
    assert "Secret" not in str(caught.value)
    assert "GENRES" in str(caught.value)

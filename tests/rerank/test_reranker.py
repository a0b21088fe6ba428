"""The local re-ranker answers as the service's ranking recipe would."""

from __future__ import annotations

import json
import pickle
from collections import ChainMap, Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import inf, log, nan
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from personalize_rt.errors import ValidationError
from personalize_rt.limits import Limits
from personalize_rt.rerank import LocalReranker, PopularityScorer
from personalize_rt.results import Ranking

RECORDED: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "data" / "ranking-2020-05-26.json").read_text("utf-8")
)["response"]["personalizedRanking"]

ITEMS = st.sampled_from("abcdefghijkl")
INPUTS = st.lists(ITEMS, min_size=1, max_size=30)
ANY_LOGIT = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.just(-inf), st.sampled_from([0.0, -0.0, 1.0])
)
MODERATE = st.floats(-1000, 1000)


def rank(scorer: Any, input_list: Any, **arguments: Any) -> Ranking:
    return LocalReranker(scorer).rank(user_id="user-1", input_list=input_list, **arguments)


def refused(parameter: str, call: Callable[[], object]) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        call()
    assert caught.value.parameter == parameter
    return caught.value


# Order.


@given(st.dictionaries(ITEMS, ANY_LOGIT), INPUTS)
def test_the_answer_is_a_permutation_of_the_input(logits: dict[str, float], items: list[str]) -> None:
    ranking = rank(logits, items)
    assert Counter(ranking.item_ids) == Counter(items)
    assert ranking.missing == ()


@given(st.dictionaries(ITEMS, ANY_LOGIT), INPUTS)
def test_known_items_stand_before_unknown_ones_and_unknown_ones_in_input_order(
    logits: dict[str, float], items: list[str]
) -> None:
    ranking = rank(logits, items)
    unknown = tuple(id for id in items if id not in logits)
    assert ranking.item_ids[len(items) - len(unknown) :] == unknown
    assert ranking.unscored == unknown
    assert [score is None for score in ranking.scores] == [id not in logits for id in ranking.item_ids]


@given(st.dictionaries(ITEMS, ANY_LOGIT), INPUTS)
def test_known_items_descend_by_logit_and_equal_logits_keep_input_order(
    logits: dict[str, float], items: list[str]
) -> None:
    known = list(dict.fromkeys(id for id in rank(logits, items).item_ids if id in logits))
    for one, next_one in pairwise(known):
        assert logits[one] > logits[next_one] or (
            logits[one] == logits[next_one] and items.index(one) < items.index(next_one)
        )


@given(st.dictionaries(ITEMS, ANY_LOGIT), INPUTS)
def test_a_repeated_known_item_keeps_its_places_side_by_side_with_one_score(
    logits: dict[str, float], items: list[str]
) -> None:
    ranking = rank(logits, items)
    for id in logits.keys() & set(items):
        first, count = ranking.item_ids.index(id), items.count(id)
        assert ranking.item_ids[first : first + count] == (id,) * count
        assert len(set(ranking.scores[first : first + count])) == 1


def test_the_order_is_that_of_the_logits_where_scores_round_to_the_same() -> None:
    ranking = rank({"a": -90.0, "b": 0.0, "c": -80.0, "d": -700.0}, list("dcba"))
    assert ranking.item_ids == ("b", "c", "a", "d")
    assert ranking.scores == (1.0, 0.0, 0.0, 0.0)


def test_with_the_logarithms_of_the_recorded_scores_the_recorded_reply_of_the_service_comes_back() -> None:
    logits = {row["itemId"]: log(row["score"]) for row in RECORDED if "score" in row}
    recorded = [row["itemId"] for row in RECORDED]
    unknown = [id for id in recorded if id not in logits]
    # The unknown items stood among the others, in this order (the input itself is not recorded).
    items = recorded[19::-1]
    for place, id in zip((10, 11, 15, 18, 23), unknown, strict=True):
        items.insert(place, id)
    ranking = rank(logits, items)
    assert ranking.to_response()["personalizedRanking"] == RECORDED
    assert len(unknown) == 5


# Scores.


@given(st.dictionaries(ITEMS, ANY_LOGIT), INPUTS)
def test_scores_lie_from_0_to_1_have_7_decimals_and_sum_to_1_over_distinct_known_items(
    logits: dict[str, float], items: list[str]
) -> None:
    ranking = rank(logits, items)
    scores = {id: score for id, score in zip(ranking.item_ids, ranking.scores, strict=True) if score is not None}
    assert all(0 <= score <= 1 and score == round(score, 7) for score in scores.values())
    if any(logits[id] > -inf for id in scores):
        assert abs(sum(scores.values()) - 1) <= 5e-8 * len(scores) + 1e-12
    else:
        assert set(scores.values()) <= {0.0}


@given(st.dictionaries(ITEMS, MODERATE, min_size=1), st.floats(-1e6, 1e6))
def test_adding_a_number_to_all_logits_moves_no_score(logits: dict[str, float], number: float) -> None:
    items = list(logits)
    before = rank(logits, items)
    after = rank({id: logit + number for id, logit in logits.items()}, items)
    after_by_id = dict(zip(after.item_ids, after.scores, strict=True))
    for id, score in zip(before.item_ids, before.scores, strict=True):
        # 1e-7 is one unit of the last decimal; the difference of two floats adds a little to it.
        assert score == pytest.approx(after_by_id[id], rel=0, abs=1e-7 + 1e-12)


@given(
    st.dictionaries(ITEMS, ANY_LOGIT, min_size=1).flatmap(lambda d: st.tuples(st.just(d), st.permutations(sorted(d))))
)
def test_scores_do_not_depend_on_the_order_of_the_input(case: tuple[dict[str, float], list[str]]) -> None:
    logits, items = case
    scores = dict(zip(items, map(rank(logits, sorted(items)).get, items), strict=True))
    assert scores == dict(zip(items, map(rank(logits, items).get, items), strict=True))


def test_a_score_is_the_softmax_over_the_distinct_known_items() -> None:
    ranking = rank({"a": log(3.0), "b": log(1.0)}, ["b", "x", "a", "a", "a"])
    assert [(item.item_id, item.score) for item in ranking] == [
        ("a", 0.75),
        ("a", 0.75),
        ("a", 0.75),
        ("b", 0.25),
        ("x", None),
    ]


def test_a_logit_that_rises_by_ln_2_doubles_the_score_in_proportion() -> None:
    first, second = rank({"a": 5.0 + log(2.0), "b": 5.0}, ["b", "a"]).scores
    assert first == pytest.approx(2 * (second or 0), abs=2e-7)


def test_minus_infinity_is_a_known_item_of_score_0() -> None:
    ranking = rank({"a": -inf, "b": -5.0}, ["a", "x", "b"])
    assert ranking.item_ids == ("b", "a", "x")
    assert ranking.scores == (1.0, 0.0, None)


def test_nothing_but_minus_infinity_scores_0_and_keeps_input_order() -> None:
    ranking = rank({"a": -inf, "b": -inf}, ["b", "a"])
    assert list(zip(ranking.item_ids, ranking.scores, strict=True)) == [("b", 0.0), ("a", 0.0)]


def test_the_widest_spread_does_not_overflow() -> None:
    ranking = rank({"a": 1.7e308, "b": -1.7e308, "c": 1.7e308}, ["a", "b", "c"])
    assert ranking.item_ids == ("a", "c", "b")
    assert ranking.scores == (0.5, 0.5, 0.0)


@pytest.mark.parametrize("parts", [2, 3, 7, 128, 256, 499, 500])
def test_scores_round_as_round_does(parts: int) -> None:
    items = [str(n) for n in range(parts)]
    assert set(rank(dict.fromkeys(items, 1.0), items).scores) == {round(1 / parts, 7)}


def test_scores_are_those_of_the_moment_of_ranking() -> None:
    logits = {"a": log(3.0), "b": 0.0}
    ranking = rank(logits, ["a", "b"])
    logits["b"] = 100.0
    assert ranking.scores == (0.75, 0.25)


# What comes with the answer.


def test_the_answer_says_that_it_was_made_here() -> None:
    ranking = rank({}, ["a"])
    assert (ranking.info.source, ranking.info.attempts, ranking.recommendation_id) == ("local", 0, None)
    assert not ranking.degraded


def test_an_answer_pickles_before_its_scores_were_read() -> None:
    ranking = rank({"a": 1.0, "b": 2.0}, ["a", "b"])
    assert pickle.loads(pickle.dumps(ranking)) == ranking


# What a scorer may be.


@pytest.mark.parametrize(
    "logit",
    [2, np.float64(2), np.float32(2), np.int64(2), Fraction(2), Decimal(2), 2.0],
    ids=lambda logit: type(logit).__name__,
)
def test_any_real_number_is_a_logit(logit: Any) -> None:
    ranking = rank({"a": 1.0, "b": logit}, ["a", "b"])
    assert ranking.item_ids == ("b", "a")
    assert ranking.scores == (0.7310586, 0.2689414)
    assert all(type(score) is float for score in ranking.scores)


@pytest.mark.parametrize("logit", [True, "1.0", 1j, [1.0], np.bool_(True)], ids=lambda logit: type(logit).__name__)
def test_what_is_no_number_is_refused_by_the_items_name(logit: Any) -> None:
    error = refused("scorer", lambda: rank({"a": 1.0, "b": logit}, ["a", "b"]))
    assert "'b'" in str(error)


def test_numbers_of_all_kinds_are_ordered_together() -> None:
    # A Decimal and a Fraction cannot be compared with each other.
    ranking = rank({"a": Fraction(1, 2), "b": Decimal("1.5"), "c": 1, "d": 0.25}, list("abcd"))
    assert ranking.item_ids == ("b", "c", "a", "d")


def test_limits_of_the_wrong_kind_are_refused() -> None:
    refused("limits", lambda: LocalReranker({}, limits=cast(Any, None)))


@pytest.mark.parametrize("logit", [nan, inf, np.float32(nan), np.float64(inf), 10**400, Decimal("sNaN")])
@pytest.mark.parametrize("other", [1.0, -inf, None])
def test_nan_and_infinity_are_refused_by_the_items_name(logit: Any, other: Any) -> None:
    error = refused("scorer", lambda: rank({"a": other, "b": logit, "c": 2.0}, ["a", "b", "c"]))
    assert "'b'" in str(error)
    error = refused("scorer", lambda: rank(lambda *_: [other, logit], ["a", "b"]))
    assert "'b'" in str(error)


@pytest.mark.parametrize("logit", [-(10**400), Decimal("-1e400"), np.float64(-inf)])
def test_a_number_below_the_range_of_floats_is_the_float_that_it_would_be(logit: Any) -> None:
    ranking = rank({"a": logit, "b": 1.0}, ["a", "b"])
    assert (ranking.item_ids, ranking.scores) == (("b", "a"), (1.0, 0.0))


def test_logits_of_items_that_are_not_ranked_are_not_looked_at() -> None:
    assert rank({"a": 1.0, "b": nan}, ["a"]).scores == (1.0,)


@pytest.mark.parametrize(
    "scorer",
    [
        {"a": 1.0, "b": 2.0, "c": None},
        MappingProxyType({"a": 1.0, "b": 2.0}),
        ChainMap({"a": 1.0}, {"b": 2.0}),
        lambda user_id, item_ids, context: [{"a": 1.0, "b": 2.0}.get(id) for id in item_ids],
        lambda user_id, item_ids, context: ({"a": 1.0, "b": 2.0}.get(id) for id in item_ids),
    ],
)
def test_mappings_and_functions_are_scorers(scorer: Any) -> None:
    ranking = rank(scorer, ["c", "a", "b", "a"])
    assert ranking.item_ids == ("b", "a", "a", "c")
    assert ranking.scores == (0.7310586, 0.2689414, 0.2689414, None)


def test_an_array_of_logits_is_fine() -> None:
    assert rank(lambda *_: np.array([1.0, 2.0]), ["a", "b"]).item_ids == ("b", "a")


def test_a_default_of_a_mapping_is_not_used_and_nothing_is_added_to_it() -> None:
    logits = defaultdict(lambda: 5.0, {"a": 1.0})
    assert rank(logits, ["x", "a"]).item_ids == ("a", "x")
    assert dict(logits) == {"a": 1.0}


def test_a_function_gets_the_user_each_item_once_and_the_context() -> None:
    calls: list[tuple[object, ...]] = []

    def scorer(user_id: str, item_ids: Sequence[str], context: Mapping[str, str] | None) -> Sequence[float | None]:
        calls.append((user_id, tuple(item_ids), context))
        return [None] * len(item_ids)

    rank(scorer, ["b", "a", "b"], context={"DEVICE": "phone"})
    rank(scorer, ["a"])
    assert calls == [("user-1", ("b", "a"), {"DEVICE": "phone"}), ("user-1", ("a",), None)]


@pytest.mark.parametrize("given_logits", [[], [1.0], [1.0, 2.0, 3.0], None, 1.0])
def test_a_scorer_that_does_not_give_one_logit_for_each_item_is_told_so(given_logits: Any) -> None:
    error = refused("scorer", lambda: rank(lambda *_: given_logits, ["a", "b"]))
    assert "for 2 items" in str(error)


def test_an_error_of_the_scorer_itself_comes_through() -> None:
    def scorer(*_: object) -> Sequence[float]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        rank(scorer, ["a"])


@pytest.mark.parametrize("scorer", [None, [1.0], "a", 1.0])
def test_what_is_neither_mapping_nor_function_is_refused_at_once(scorer: Any) -> None:
    refused("scorer", lambda: LocalReranker(scorer))


def test_repr_shows_the_kind_of_scorer_and_no_logits() -> None:
    assert repr(LocalReranker({"a": 12.5})).startswith("LocalReranker(scorer=a dict of 1 item, ")
    assert "a PopularityScorer" in repr(LocalReranker(PopularityScorer()))


# Arguments.


def test_500_items_are_ranked_and_501_refused() -> None:
    items = [str(n) for n in range(501)]
    assert len(rank({}, items[:500])) == 500
    error = refused("input_list", lambda: rank({}, items))
    assert error.limit == 500
    assert "501 items" in str(error)


def test_repeated_ids_count_for_the_limit() -> None:
    assert refused("input_list", lambda: rank({}, ["a"] * 501)).limit == 500


def test_an_empty_list_is_refused() -> None:
    refused("input_list", lambda: rank({}, []))


def test_limits_can_be_moved_or_taken_away() -> None:
    items = [str(n) for n in range(501)]
    reranker = LocalReranker({}, limits=Limits(input_list=501))
    assert len(reranker.rank(user_id="u", input_list=items)) == 501
    reranker = LocalReranker({}, limits=Limits.off())
    assert len(reranker.rank(user_id="u" * 300, input_list=[*items, "x" * 300])) == 502
    assert len(reranker.rank(user_id="u", input_list=[])) == 0


@pytest.mark.parametrize("input_list", ["tt0468569", b"tt0468569"])
def test_a_bare_str_is_refused_with_advice(input_list: Any) -> None:
    assert "[item_id]" in str(refused("input_list", lambda: rank({}, input_list)))


@pytest.mark.parametrize("input_list", [None, 5, 1.5])
def test_what_is_no_list_is_refused(input_list: Any) -> None:
    refused("input_list", lambda: rank({}, input_list))


@pytest.mark.parametrize("id", [5, None, b"a", 1.5, ("a",)])
def test_an_id_that_is_no_str_is_refused_by_its_place(id: Any) -> None:
    assert "input_list[1]" in str(refused("input_list", lambda: rank({}, ["a", id, "b"])))


def test_an_id_may_have_256_characters() -> None:
    assert len(rank({}, ["i" * 256])) == 1
    error = refused("input_list", lambda: rank({}, ["a", "i" * 257]))
    assert error.limit == 256
    assert "input_list[1]" in str(error)
    assert "iii" not in str(error)


def test_any_iterable_is_taken_once() -> None:
    items = iter(["b", "a", "a"])
    assert rank({"a": 1.0}, items).item_ids == ("a", "a", "b")
    assert rank({}, {"a": 1, "b": 2}).item_ids == ("a", "b")
    assert rank({}, np.array(["a", "b"])).item_ids == ("a", "b")


@pytest.mark.parametrize("user_id", [None, 5, b"user", ["user"]])
def test_a_user_id_must_be_a_str(user_id: Any) -> None:
    refused("user_id", lambda: LocalReranker({}).rank(user_id=user_id, input_list=["a"]))


def test_a_user_id_may_have_256_characters_and_no_message_shows_it() -> None:
    LocalReranker({}).rank(user_id="u" * 256, input_list=["a"])
    error = refused("user_id", lambda: LocalReranker({}).rank(user_id="u" * 257, input_list=["a"]))
    assert error.limit == 256
    assert "uuu" not in repr(error)


@pytest.mark.parametrize("context", ["secret", ["secret"], 5])
def test_a_context_must_be_a_mapping(context: Any) -> None:
    assert "secret" not in str(refused("context", lambda: rank({}, ["a"], context=context)))


def test_arguments_are_named() -> None:
    with pytest.raises(TypeError):
        LocalReranker({}).rank("user-1", ["a"])  # type: ignore[call-arg]


@given(st.lists(st.text(min_size=1), min_size=2, unique=True))
def test_the_quick_way_through_a_dict_and_the_way_through_a_function_agree(items: list[str]) -> None:
    logits = {id: float(len(id)) for id in items[1:]}
    assume(logits)
    assert rank(logits, items) == rank(lambda _, ids, __: list(map(logits.get, ids)), items)
    assert rank(logits, items[1:]) == rank(lambda _, ids, __: list(map(logits.get, ids)), items[1:])

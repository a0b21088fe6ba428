"""The recommendation id and the impression of an event, from results, rows, shelves and long rankings."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from personalize_rt import (
    ActionRecommendations,
    PredictedAction,
    PredictedItem,
    Ranking,
    Recommendations,
    ResponseInfo,
    ValidationError,
)
from personalize_rt.impressions import Impressions, item_of
from personalize_rt.rerank import LongRanking


def answer(count: int, recommendation_id: str | None = "RID-1", prefix: str = "i") -> Recommendations:
    ids = [f"{prefix}{n}" for n in range(count)]
    return Recommendations(ids, scores=[0.1] * count, recommendation_id=recommendation_id)


@pytest.mark.parametrize(
    "rows",
    [
        lambda whole: whole,
        list,
        tuple,
        lambda whole: [whole[:2], whole[2:]],
        lambda whole: {"a": whole[:2], "b": list(whole[2:])},
        lambda whole: (row for row in whole),
    ],
    ids=["result", "rows", "tuple", "shelves", "mapping", "generator"],
)
def test_rows_in_any_form_give_the_same(rows: Any) -> None:
    assert Impressions().of(rows(answer(5)), "i3") == ("RID-1", ("i0", "i1", "i2", "i3", "i4"))


@pytest.mark.parametrize("form", [lambda whole: whole, list])
def test_an_impression_holds_the_first_25_and_the_item_itself(form: Any) -> None:
    recommendation_id, impression = Impressions().of(form(answer(40)), "i30")
    assert recommendation_id == "RID-1"
    assert impression == (*(f"i{n}" for n in range(24)), "i30")


@pytest.mark.parametrize("form", [lambda whole: whole, list])
def test_an_item_of_an_answer_counts_as_shown_once(form: Any) -> None:
    impressions = Impressions()
    assert impressions.of(form(answer(40)[:10]), "i0")[1] == tuple(f"i{n}" for n in range(10))
    assert impressions.of(form(answer(40)[:10]), "i1") == ("RID-1", ())
    # The next page of the answer was not told yet.
    assert impressions.of(form(answer(40)[5:15]), "i12") == ("RID-1", tuple(f"i{n}" for n in range(10, 15)))
    assert impressions.of(form(answer(3, "RID-2")), "i1") == ("RID-2", ("i0", "i1", "i2"))


@pytest.mark.parametrize("form", [lambda whole: whole, list])
def test_an_item_that_was_not_shown_has_no_id(form: Any) -> None:
    assert Impressions().of(form(answer(2)), "other") == (None, ("i0", "i1"))


@pytest.mark.parametrize("form", [lambda whole: whole, list])
def test_an_event_without_an_item_has_the_id_of_the_answer(form: Any) -> None:
    assert Impressions().of(form(answer(2)), None) == ("RID-1", ("i0", "i1"))


def test_rows_of_several_answers_give_each_item_its_own_id() -> None:
    mixed = [*answer(2, "RID-1", "a"), *answer(2, "RID-2", "b"), PredictedItem("own")]
    impressions = Impressions()
    assert impressions.of(mixed, "b0") == ("RID-2", ("a0", "a1", "b0", "b1"))
    assert impressions.of(mixed, "own") == (None, ())
    assert impressions.of(mixed, None) == (None, ())
    assert impressions.of(mixed, "a0") == ("RID-1", ())


def test_a_long_ranking_gives_each_item_the_id_of_its_answer() -> None:
    ranking = LongRanking(["a", "b", "c"], scores=[0.5, 0.3, 0.2], recommendation_ids=["RID-1", "RID-2", "RID-1"])
    assert Impressions().of(ranking, "b") == ("RID-2", ("a", "b", "c"))


@pytest.mark.parametrize("source", ["fallback", "local"])
def test_an_answer_of_a_fallback_or_of_the_local_re_ranker_gives_nothing(source: Any) -> None:
    own = attrs.evolve(answer(3), info=ResponseInfo(source=source))
    assert Impressions().of(own, "i1") == (None, ())
    assert Impressions().of(list(own), "i1") == (None, ())


def test_a_repeated_item_is_shown_once() -> None:
    ranking = Ranking(["i1", "i1", "i2"], scores=[0.5, 0.5, 0.1], recommendation_id="RID-1")
    assert Impressions().of(ranking, "i1") == ("RID-1", ("i1", "i2"))


def test_the_memory_of_answers_is_bounded() -> None:
    impressions = Impressions()
    for n in range(3_000):
        impressions.of(answer(1, f"RID-{n}"), "i0")
    assert len(impressions._told) == 1_000


@pytest.mark.parametrize(
    "of", [ActionRecommendations(["a"], scores=[0.5]), [PredictedAction("a", 0.5)], "RID-1", 7, ["i1"]]
)
def test_what_has_no_rows_of_items_is_refused(of: Any) -> None:
    with pytest.raises(ValidationError, match=r"put_action_interactions|neither an answer"):
        Impressions().of(of, "i1")


def test_an_item_is_an_id_or_a_row() -> None:
    assert item_of("i1") == ("i1", None)
    assert item_of(None) == (None, None)
    assert item_of(answer(1)[0]) == ("i0", "RID-1")
    with pytest.raises(ValidationError, match="put_action_interactions"):
        item_of(PredictedAction("a", 0.5))
    with pytest.raises(ValidationError, match="neither an item id"):
        item_of(7)


def test_an_item_that_an_answer_lacks_gets_no_id_of_it_when_all_was_told_either() -> None:
    impressions = Impressions()
    assert impressions.of(answer(3), "i1")[0] == "RID-1"
    assert impressions.of(answer(3), "other") == (None, ())


def test_the_answers_that_were_told_first_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("personalize_rt.impressions._REMEMBERED", 2)
    impressions = Impressions()
    for id in ("RID-1", "RID-2", "RID-3"):
        impressions.of(answer(3, id), "i1")
    assert impressions.of(answer(3, "RID-3"), "i1") == ("RID-3", ())
    assert impressions.of(answer(3, "RID-1"), "i1") == ("RID-1", ("i0", "i1", "i2"))


def test_an_item_that_was_told_takes_no_place_of_one_that_was_not() -> None:
    impressions = Impressions()
    impressions.of(answer(60), "i59")
    _, second = impressions.of(answer(60), "i59")
    assert second == tuple(f"i{n}" for n in range(24, 49))

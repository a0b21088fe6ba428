"""Measures beyond accuracy, by their published definitions."""

from __future__ import annotations

from itertools import combinations
from math import log2
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.errors import ValidationError
from personalize_rt.interactions import Interaction
from personalize_rt.local import LocalPersonalize
from personalize_rt.metrics import ask, beyond_accuracy, intra_list_diversity, novelty, popularity_bias, temporal_split

# Of four users, all had a, one had b.
PAST = [*(Interaction(user, "a", n) for n, user in enumerate("uvwx")), Interaction("u", "b", 9)]
GENRES: dict[str, Any] = {"a": "Drama|War", "b": ["Drama"], "c": "Comedy", "d": ""}


def test_diversity_is_the_mean_distance_of_two_items() -> None:
    assert intra_list_diversity(["a", "b"], GENRES) == 1 / 2  # one of two genres in common
    assert intra_list_diversity(["a", "b", "c"], GENRES) == pytest.approx((1 / 2 + 1 + 1) / 3)
    assert intra_list_diversity(["a", "a"], GENRES) == 0
    assert intra_list_diversity([], GENRES) == 0
    assert intra_list_diversity(["d", "unheard-of"], GENRES) == 1  # they have nothing in common


@given(st.lists(st.sampled_from("abcdef"), unique=True, min_size=2), st.data())
def test_diversity_is_one_minus_the_mean_similarity(ranked: list[str], data: Any) -> None:
    genres = {item: data.draw(st.sets(st.sampled_from("XYZ"), min_size=1)) for item in ranked}
    alike = [len(genres[a] & genres[b]) / len(genres[a] | genres[b]) for a, b in combinations(ranked, 2)]
    assert intra_list_diversity(ranked, genres) == pytest.approx(1 - fmean(alike))


def test_novelty_is_the_information_that_an_item_was_had() -> None:
    popularity = {"a": 1.0, "b": 0.25}
    assert novelty(["a"], popularity, users=4) == 0
    assert novelty(["b"], popularity, users=4) == 2  # one user of four: two bits
    assert novelty(["a", "b"], popularity, users=4) == 1
    assert novelty(["unheard-of"], popularity, users=16) == log2(16)
    assert novelty([], popularity, users=4) == 0
    with pytest.raises(ValidationError):
        novelty(["a"], popularity, users=0)


def test_popularity_bias_is_the_lift_over_what_the_user_had() -> None:
    popularity = {"a": 1.0, "b": 0.25, "c": 0.5}
    assert popularity_bias(["a"], ["c"], popularity) == 1  # twice as popular
    assert popularity_bias(["b"], ["c"], popularity) == -0.5
    assert popularity_bias(["a", "b"], ["a", "b"], popularity) == 0
    assert popularity_bias(["a"], [], popularity) == 0


def test_the_table_has_what_its_data_allow() -> None:
    answers = {"u": ["a", "b"], "v": ["c"], "w": list[str]()}
    plain = beyond_accuracy(answers, PAST)
    assert list(plain) == ["novelty", "popularity_bias", "item_popularity"]
    assert plain.users == 2  # an empty list recommends nothing
    assert plain["novelty"] == pytest.approx((1 + 2) / 2)
    assert plain["item_popularity"] == pytest.approx((5 / 8 + 0) / 2)
    assert plain["popularity_bias"] == pytest.approx((0 + -1) / 2)  # v had a, and is given what nobody had
    whole = beyond_accuracy(
        answers,
        PAST,
        categories=GENRES,
        created={"a": 10, "b": 30, "x": 20, "y": 40},
        seeds={"u": "b"},
    )
    assert whole["intra_list_diversity"] == pytest.approx((1 / 2 + 0) / 2)
    assert whole["item_similarity"] == pytest.approx((1 / 2 + 1) / 2)
    assert whole["item_freshness"] == pytest.approx((0 / 4 + 2 / 4) / 2)  # nothing is known of the age of c
    assert beyond_accuracy(answers, PAST, k=1)["novelty"] == pytest.approx((0 + 2) / 2)


@pytest.mark.parametrize(
    ("answers", "past", "options"),
    [({}, PAST, {}), ({"u": []}, PAST, {}), ({"u": ["a"]}, [], {}), ({}, PAST, {"k": 0})],
)
def test_what_cannot_be_measured_is_refused(answers: Any, past: Any, options: Any) -> None:
    with pytest.raises(ValidationError):
        beyond_accuracy(answers, past, **options)


def test_a_popular_list_is_less_novel_than_a_personal_one() -> None:
    local = LocalPersonalize.sample()
    split = temporal_split(local.interactions, test_users=0.1)
    genres = {id: str(row["GENRES"]) for id, row in local.items.items()}
    of = {
        name: beyond_accuracy(
            {user: answer.item_ids for user, answer in ask(local.runtime(), split, campaign_arn=arn).items()},
            split.past,
            categories=genres,
        )
        for name, arn in local.campaigns.items()
        if name in ("popular-movies", "movies-for-you")
    }
    popular, personal = of["popular-movies"], of["movies-for-you"]
    assert popular["novelty"] < personal["novelty"]
    assert popular["item_popularity"] > personal["item_popularity"]
    assert 0 < personal["intra_list_diversity"] < 1

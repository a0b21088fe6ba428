"""Dot products of given vectors."""

from __future__ import annotations

import pickle
from math import exp, inf, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.errors import ValidationError
from personalize_rt.rerank import EmbeddingScorer, LocalReranker

ITEMS = {"a": (1.0, 0.0), "b": (0.0, 2.0), "c": (1.0, 1.0)}


def test_the_logit_is_the_dot_product_and_the_score_the_services_formula() -> None:
    scorer = EmbeddingScorer({"user-1": (0.5, -1.0)}, ITEMS)
    assert scorer("user-1", ["a", "b", "c", "x"]) == [0.5, -2.0, -0.5, None]
    ranking = LocalReranker(scorer).rank(user_id="user-1", input_list=["b", "x", "c", "a"])
    total = exp(0.5) + exp(-0.5) + exp(-2.0)
    assert ranking.item_ids == ("a", "c", "b", "x")
    assert ranking.scores == (
        round(exp(0.5) / total, 7),
        round(exp(-0.5) / total, 7),
        round(exp(-2.0) / total, 7),
        None,
    )


def test_an_unknown_user_gets_the_default_vector() -> None:
    scorer = EmbeddingScorer({"user-1": (1.0, 0.0)}, ITEMS, default_user=(0.0, 1.0))
    assert scorer("nobody", ["a", "b"]) == [0.0, 2.0]
    assert scorer("user-1", ["a", "b"], {"DEVICE": "phone"}) == [1.0, 0.0]


def test_without_a_default_an_unknown_user_keeps_the_input_order() -> None:
    ranking = LocalReranker(EmbeddingScorer({}, ITEMS)).rank(user_id="nobody", input_list=["c", "a"])
    assert list(zip(ranking.item_ids, ranking.scores, strict=True)) == [("c", 0.5), ("a", 0.5)]


def test_vectors_of_any_sequence_are_copied() -> None:
    users, items = {"user-1": np.array([1.0, 2.0], dtype=np.float32)}, {"a": [3, 4]}
    scorer = EmbeddingScorer(users, items)  # type: ignore[arg-type]
    users["user-1"][0] = 100.0
    items["a"][0] = 100
    assert scorer("user-1", ["a"]) == [11.0]


def test_without_items_all_are_unknown() -> None:
    assert EmbeddingScorer({"user-1": (1.0,)}, {})("user-1", ["a"]) == [None]


@given(
    st.lists(st.floats(-1e149, 1e149), min_size=3, max_size=3),
    st.lists(st.floats(-1e149, 1e149), min_size=3, max_size=3),
)
def test_no_vectors_make_ranking_fail(user: list[float], item: list[float]) -> None:
    scorer = EmbeddingScorer({"u": user}, {"a": item, "b": user})
    assert len(LocalReranker(scorer).rank(user_id="u", input_list=["a", "b"])) == 2


@pytest.mark.parametrize(
    ("users", "items", "default", "parameter"),
    [
        ({"secret": (1.0,)}, {"a": (1.0, 2.0)}, None, "users"),
        ({}, {"a": (1.0, 2.0), "b": (1.0,)}, None, "items"),
        ({"secret": (1.0,)}, {"a": (1.0,)}, (1.0, 2.0), "default_user"),
        ({"secret": (nan,)}, {}, None, "users"),
        ({}, {"a": (inf,)}, None, "items"),
        ({}, {"a": (1e200,)}, None, "items"),
        ({}, {"a": (-1e200,)}, None, "items"),
        ({}, {}, ("1",), "default_user"),
        ({"secret": (True,)}, {}, None, "users"),
        ({"secret": "12"}, {}, None, "users"),
        ({"secret": 5}, {}, None, "users"),
        ({}, {"a": {"x": 1.0}}, None, "items"),
        ({5: (1.0,)}, {}, None, "users"),
        ([("secret", (1.0,))], {}, None, "users"),
        ({}, None, None, "items"),
    ],
)
def test_what_are_no_vectors_of_one_length_is_refused_and_no_message_shows_a_user(
    users: Any, items: Any, default: Any, parameter: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        EmbeddingScorer(users, items, default_user=default)
    assert caught.value.parameter == parameter
    assert "secret" not in repr(caught.value)


def test_a_message_names_the_item() -> None:
    with pytest.raises(ValidationError, match=r"items\['b'\]"):
        EmbeddingScorer({}, {"a": (1.0,), "b": (nan,)})


def test_repr_shows_sizes_only() -> None:
    assert repr(EmbeddingScorer({"secret": (1.0, 2.0)}, ITEMS)) == "EmbeddingScorer(<1 users>, <3 items>, size=2)"


def test_it_pickles() -> None:
    scorer = pickle.loads(pickle.dumps(EmbeddingScorer({"u": (1.0, 1.0)}, ITEMS)))
    assert scorer("u", ["b"]) == [2.0]

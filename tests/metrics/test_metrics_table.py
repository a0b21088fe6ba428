"""The metrics of many lists, as a small table."""

from __future__ import annotations

import copy
import pickle
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.errors import ValidationError
from personalize_rt.metrics import (
    measure,
    normalized_discounted_cumulative_gain,
    precision,
    reciprocal_rank,
)

NAMES = [
    "coverage",
    "mean_reciprocal_rank_at_25",
    "normalized_discounted_cumulative_gain_at_5",
    "normalized_discounted_cumulative_gain_at_10",
    "normalized_discounted_cumulative_gain_at_25",
    "precision_at_5",
    "precision_at_10",
    "precision_at_25",
]
ANSWERS = {"u": ["a", "b", "c"], "v": ["x"]}
RELEVANT = {"u": {"b"}, "v": {"y"}}
CATALOGUE = ["a", "b", "c", "x", "y"]
IDS = st.lists(st.sampled_from("abcdefgh"), max_size=8)
WANTED = st.sets(st.sampled_from("abcdefgh"), min_size=1)


def test_the_names_are_those_of_get_solution_metrics() -> None:
    assert list(measure(ANSWERS, RELEVANT, catalogue=CATALOGUE)) == NAMES


@given(st.dictionaries(st.sampled_from("uvw"), st.tuples(IDS, WANTED), min_size=1))
def test_each_metric_is_the_mean_over_users(data: dict[str, tuple[list[str], set[str]]]) -> None:
    answers = {user: ranked for user, (ranked, _) in data.items()}
    relevant = {user: wanted for user, (_, wanted) in data.items()}
    metrics = measure(answers, relevant, catalogue="abcdefgh")
    pairs = list(data.values())
    n = len(pairs)
    assert metrics["mean_reciprocal_rank_at_25"] == pytest.approx(sum(reciprocal_rank(*pair) for pair in pairs) / n)
    for k in (5, 10, 25):
        assert metrics[f"precision_at_{k}"] == pytest.approx(sum(precision(*pair, k) for pair in pairs) / n)
        gain = sum(normalized_discounted_cumulative_gain(*pair, k) for pair in pairs) / n
        assert metrics[f"normalized_discounted_cumulative_gain_at_{k}"] == pytest.approx(gain)
    assert metrics["coverage"] == len({item for ranked in answers.values() for item in ranked}) / 8
    assert all(0 <= value <= 1 for value in metrics.values())


def test_only_the_first_25_items_cover() -> None:
    ids = [str(n) for n in range(30)]
    assert measure({"u": ids}, {"u": {"0"}}, catalogue=ids)["coverage"] == pytest.approx(25 / 30)


def test_users_who_wanted_nothing_are_passed_over() -> None:
    metrics = measure({"u": ["a"]}, {"u": {"a"}, "w": set()}, catalogue=["a"])
    assert metrics.users == 1
    assert metrics["mean_reciprocal_rank_at_25"] == 1


def test_the_ideal_of_all_is_passed_on() -> None:
    answers, relevant = {"u": ["a"]}, {"u": {"a", "b"}}
    assert measure(answers, relevant, catalogue="ab")["normalized_discounted_cumulative_gain_at_5"] == 1
    other = measure(answers, relevant, catalogue="ab", ideal="all")
    assert other["normalized_discounted_cumulative_gain_at_5"] < 1
    assert other.ideal == "all"


def test_a_user_without_an_answer_is_an_error_that_does_not_name_him() -> None:
    with pytest.raises(ValidationError, match="answers lacks 1 of the 2 users") as caught:
        measure({"u": ["a"]}, {"u": {"a"}, "secret": {"a"}}, catalogue=["a"])
    assert caught.value.parameter == "answers"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("relevant", [{}, {"u": set()}])
def test_nothing_to_measure_is_an_error(relevant: Any) -> None:
    with pytest.raises(ValidationError, match="nothing to measure") as caught:
        measure(ANSWERS, relevant, catalogue=CATALOGUE)
    assert caught.value.parameter == "relevant"


# As a value.


def test_the_table_is_an_immutable_mapping() -> None:
    metrics = measure(ANSWERS, RELEVANT, catalogue=CATALOGUE)
    assert metrics == copy.copy(metrics) == pickle.loads(pickle.dumps(metrics))
    assert hash(metrics) == hash(copy.copy(metrics))
    assert dict(metrics)["precision_at_5"] == 0.1
    with pytest.raises(AttributeError):
        metrics.users = 7  # type: ignore[misc]  # the error is the test
    with pytest.raises(KeyError, match="no metric 'recall'; there are coverage"):
        metrics["recall"]


def test_the_table_as_dicts() -> None:
    rows = measure(ANSWERS, RELEVANT, catalogue=CATALOGUE).to_dicts()
    assert [row["metric"] for row in rows] == NAMES
    assert rows[1] == {"metric": "mean_reciprocal_rank_at_25", "value": 0.25, "users": 2}


def test_the_table_as_html() -> None:
    page = ElementTree.fromstring(measure(ANSWERS, RELEVANT, catalogue=CATALOGUE)._repr_html_())
    rows = [["".join(cell.itertext()) for cell in row] for row in page.iterfind(".//tbody/tr")]
    assert rows[1] == ["mean reciprocal rank at 25", "0.2500"]
    assert len(rows) == len(NAMES)
    assert "means over 2 users" in "".join(page.itertext())


def test_the_table_on_a_terminal() -> None:
    console = pytest.importorskip("rich.console").Console(width=80)
    with console.capture() as capture:
        console.print(measure(ANSWERS, RELEVANT, catalogue=CATALOGUE, ideal="all"))
    lines = capture.get().splitlines()
    assert lines[0] == "Metrics means over 2 users, ideal gain of all relevant items"
    assert lines[4].split() == ["mean_reciprocal_rank_at_25", "0.2500"]


def test_the_repr_shows_the_values() -> None:
    assert repr(measure({"u": ["a"]}, {"u": {"a"}}, catalogue=["a"])).startswith("Metrics(coverage=1.0000, mean_rec")

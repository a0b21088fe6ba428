"""Simulated sessions through the real functions; ``python -m benchmarks.experiments`` makes more of them."""

from __future__ import annotations

from functools import partial
from math import sqrt
from typing import Any

import pytest

from tests.optional import optional

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def simulated() -> Any:
    optional("numpy")
    from benchmarks import experiments

    return experiments


@pytest.mark.parametrize("method", ["team-draft", "balanced"])
def test_equal_rankers_are_seldom_found_to_differ(simulated: Any, method: Any) -> None:
    runs = 400
    whole = list(simulated.interleaved_runs(runs, 50, method))
    # 5 %, and four standard deviations of so few runs.
    assert sum(wrong for wrong, _, _ in whole) / runs < 0.05 + 4 * sqrt(0.05 * 0.95 / runs)
    a, b = (sum(wins[side] for _, wins, _ in whole) for side in (0, 1))
    assert abs(a - b) < 4 * sqrt(a + b)


def test_equal_groups_are_seldom_found_to_differ(simulated: Any) -> None:
    runs = 300
    assert sum(wrong for wrong, _ in simulated.split_runs(runs, 200)) / runs < 0.05 + 4 * sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize("size", [200, 500, 1000])
@pytest.mark.parametrize("clicked", [0.04, 0.5, 0.96])
def test_the_interval_of_a_split_is_neither_too_strict_nor_too_lax(simulated: Any, clicked: float, size: int) -> None:
    assert 0.04 <= simulated.rate_of_equal_groups(clicked, size, 10_000) <= 0.06


@pytest.mark.parametrize("size", [200, 500, 1000])
def test_the_sign_test_is_neither_too_strict_nor_too_lax(simulated: Any, size: int) -> None:
    assert 0.04 <= simulated.rate_of_equals(0.7, size, 10_000) <= 0.06


def test_interleaving_needs_at_most_a_fifth_of_the_sessions_of_a_split(simulated: Any) -> None:
    of = simulated.chances(0.7, simulated.USERS[simulated.PROMISED], 20_000, "team-draft")
    lists = simulated.sessions_needed(partial(simulated.power_of_lists, of, runs=1_000))
    split = simulated.sessions_needed(partial(simulated.power_of_split, of, runs=1_000))
    assert 5 * lists <= split

"""Intervals and tests of counts, beside those of scipy and of published tables."""

from __future__ import annotations

from math import comb, inf, log
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from personalize_rt.experiments.inference import _likeliest, difference_interval, resampled_share, sign_test
from tests.optional import optional

COUNTS = st.integers(0, 60)


@given(COUNTS, COUNTS)
def test_the_sign_test_is_the_mid_p_value_counted_out(wins: int, losses: int) -> None:
    decided, here = wins + losses, comb(wins + losses, wins)
    more_uneven = sum(comb(decided, k) for k in range(decided + 1) if comb(decided, k) < here)
    as_uneven = here if wins == losses else 2 * here
    assert sign_test(wins, losses) == pytest.approx(
        (more_uneven + as_uneven / 2) / 2**decided if wins != losses else 1.0
    )
    assert sign_test(wins, losses) == sign_test(losses, wins)


@pytest.mark.parametrize(
    ("wins", "losses"), [(7, 3), (60, 40), (530, 470), (5_200, 4_800), (500_900, 499_100), (3_000, 0)]
)
def test_the_sign_test_is_scipys_without_half_of_the_chance_of_this_very_number(wins: int, losses: int) -> None:
    stats = optional("scipy.stats")
    binomial = stats.binom(wins + losses, 0.5)
    exact = stats.binomtest(wins, wins + losses).pvalue
    assert sign_test(wins, losses) == pytest.approx(exact - binomial.pmf(wins), rel=1e-6, abs=1e-300)


def test_a_tie_and_nothing_at_all_are_no_surprise() -> None:
    assert sign_test(0, 0) == sign_test(10, 10) == 1.0


@pytest.mark.parametrize(("wins", "losses"), [(30, 20), (300, 250), (51, 3), (1, 40), (60_000, 40_000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_bootstrap_interval_is_that_of_all_resamples(wins: int, losses: int, confidence: float) -> None:
    stats = optional("scipy.stats")
    decided = wins + losses
    low, high = resampled_share(wins, losses, confidence, Random(5))
    # The quantiles of the distribution that resamples are drawn from; 10,000 of them are off by a little.
    spread = (wins * losses / decided) ** 0.5
    for found, tail in ((low, (1 - confidence) / 2), (high, (1 + confidence) / 2)):
        assert abs(found * decided - stats.binom(decided, wins / decided).ppf(tail)) <= 1 + 0.12 * spread


def test_the_bootstrap_is_seeded() -> None:
    assert resampled_share(300, 250, 0.95, Random(5)) == resampled_share(300, 250, 0.95, Random(5))
    assert len({resampled_share(30_000, 25_000, 0.95, Random(seed)) for seed in range(5)}) > 1


def test_where_all_agree_the_far_end_is_the_exact_one() -> None:
    interval = optional("scipy.stats").binomtest(12, 12).proportion_ci(0.95, method="exact")
    assert resampled_share(12, 0, 0.95, Random(0)) == pytest.approx((interval.low, 1.0))
    assert resampled_share(0, 12, 0.95, Random(0)) == pytest.approx((0.0, 1 - interval.low))
    assert resampled_share(0, 0, 0.95, Random(0)) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("counts", "interval"),
    [
        # Newcombe, "Interval estimation for the difference between independent proportions" (1998), method 6.
        ((56, 70, 48, 80), (0.0528, 0.3382)),
        ((9, 10, 3, 10), (0.1700, 0.8406)),
        ((6, 7, 2, 7), (0.0342, 0.8534)),
        ((5, 56, 0, 29), (-0.0326, 0.1933)),
        ((0, 10, 0, 20), (-0.1658, 0.2844)),
        ((10, 10, 0, 20), (0.7156, 1.0)),
    ],
)
def test_the_interval_of_a_difference_is_the_published_one(
    counts: tuple[int, int, int, int], interval: tuple[float, float]
) -> None:
    assert difference_interval(*counts, 0.95) == pytest.approx(interval, abs=1e-4)


@given(st.integers(1, 500), st.integers(1, 500), st.data())
def test_the_interval_of_a_difference_holds_it_and_turns_with_the_groups(
    first: int, second: int, data: st.DataObject
) -> None:
    a, b = data.draw(st.integers(0, first)), data.draw(st.integers(0, second))
    low, high = difference_interval(a, first, b, second, 0.95)
    assert -1 <= low <= a / first - b / second + 1e-12
    assert a / first - b / second - 1e-12 <= high <= 1
    assert difference_interval(b, second, a, first, 0.95) == pytest.approx((-high, -low))


@given(st.integers(1, 40), st.integers(1, 40), st.floats(-1, 1), st.data())
def test_the_likeliest_rates_of_a_difference_are_likelier_than_all_others(
    first: int, second: int, difference: float, data: st.DataObject
) -> None:
    a, b = data.draw(st.integers(0, first)), data.draw(st.integers(0, second))

    def log_likelihood(rate: float) -> float:
        counts = (a, rate), (first - a, 1 - rate), (b, rate - difference), (second - b, 1 - rate + difference)
        if any(count and chance <= 0 for count, chance in counts):
            return -inf
        return sum(count * log(chance) for count, chance in counts if count)

    found = _likeliest(a / first, first, b / second, second, difference)
    lowest, highest = max(0.0, difference), min(1.0, 1.0 + difference)
    assert lowest <= found <= highest
    others = [lowest + (highest - lowest) * step / 500 for step in range(501)]
    # Beside the ends of the range, a step of a float makes a difference.
    near = max(map(log_likelihood, (found, found - 1e-6, found + 1e-6)))
    assert near >= max(map(log_likelihood, others)) - 1e-6


@given(st.integers(2, 300), st.integers(2, 300), st.data())
def test_the_interval_of_a_difference_leaves_0_out_where_the_test_of_equal_rates_does(
    first: int, second: int, data: st.DataObject
) -> None:
    a, b = data.draw(st.integers(0, first)), data.draw(st.integers(0, second))
    low, high = difference_interval(a, first, b, second, 0.95)
    both, total = (a + b) / (first + second), first + second
    variance = both * (1 - both) * (1 / first + 1 / second) * total / (total - 1)
    score = abs(a / first - b / second) / variance**0.5 if variance else 0.0
    assume(abs(score - 1.959964) > 1e-5)
    assert (low > 0 or high < 0) == (score > 1.959964)

"""Statistics of counts, with the standard library only.

All of them take units to be independent of each other, and counts to be final: looking every day, and stopping when the
figures please, finds differences where there are none.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate
from math import ceil, exp, floor, lgamma, log, log1p, sqrt
from statistics import NormalDist

from personalize_rt.experiments.exposing import Chance

__all__ = ["RESAMPLES", "difference_interval", "resampled_share", "sign_test"]

RESAMPLES = 10_000
# Beyond so many standard deviations, a float holds no chance that matters.
_FAR = 10


def sign_test(wins: int, losses: int) -> float:
    """The two-sided mid-p value of the sign test: the chance of numbers so uneven if wins and losses are as likely.

    Twice the chance of a more uneven number, and once that of this very one (Lancaster, 1961). The plain test counts
    the latter twice, and so rejects less often than it says.
    """
    fewer, decided = min(wins, losses), wins + losses
    chance = _binomial(decided, 0.5)
    here = chance(fewer)
    below, term, k = 0.0, here, fewer
    while k > 0 and term > here * 1e-18:
        term *= k / (decided - k + 1)
        k -= 1
        below += term
    return min(1.0, 2 * below + here) if wins != losses else 1.0


def resampled_share(wins: int, losses: int, confidence: float, rng: Chance) -> tuple[float, float]:
    """The percentile bootstrap interval of a share of wins (Efron, 1979), of 10,000 resamples.

    A resample of wins and losses is a number of wins from a binomial distribution, which is drawn at once. Where all
    are wins, or all losses, so are all resamples: the far end is then the exact one (Clopper and Pearson, 1934).
    """
    decided, tail = wins + losses, (1 - confidence) / 2
    if not decided:
        return 0.0, 1.0
    if not wins or not losses:
        far = tail ** (1 / decided)
        return (far, 1.0) if wins else (0.0, 1 - far)
    share = wins / decided
    chance, reach = _binomial(decided, share), _FAR * sqrt(decided * share * (1 - share)) + _FAR
    first, last = max(0, floor(wins - reach)), min(decided, ceil(wins + reach))
    up_to = list(accumulate(map(chance, range(first, last + 1))))
    draws = sorted(min(bisect_left(up_to, rng.random() * up_to[-1]), last - first) for _ in range(RESAMPLES))
    low, high = draws[floor(tail * RESAMPLES)], draws[ceil((1 - tail) * RESAMPLES) - 1]
    return (first + low) / decided, (first + high) / decided


def difference_interval(
    successes: int, units: int, of_control: int, control: int, confidence: float
) -> tuple[float, float]:
    """The interval of a difference of two rates: Newcombe's hybrid of Wilson's intervals (1998, method 10).

    Unlike the normal approximation, it holds for rates near 0 and 1, and for small groups.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    rate, rate_of_control = successes / units, of_control / control
    (low, high), (low_of_control, high_of_control) = _wilson(rate, units, z), _wilson(rate_of_control, control, z)
    difference = rate - rate_of_control
    return (
        max(-1.0, difference - sqrt((rate - low) ** 2 + (high_of_control - rate_of_control) ** 2)),
        min(1.0, difference + sqrt((high - rate) ** 2 + (rate_of_control - low_of_control) ** 2)),
    )


def _wilson(rate: float, units: int, z: float) -> tuple[float, float]:
    middle = rate + z * z / (2 * units)
    reach = z * sqrt(rate * (1 - rate) / units + z * z / (4 * units * units))
    scale = 1 + z * z / units
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def _binomial(n: int, p: float) -> Callable[[int], float]:
    """The chances of a binomial distribution; 0 where a float is too small for it."""

    def chance(k: int) -> float:
        ways = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
        return exp(ways + k * log(p) + (n - k) * log1p(-p))

    return chance

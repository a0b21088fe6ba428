"""Statistics of counts, with the standard library only.

All of them take units to be independent of each other, and counts to be final: looking every day, and stopping when the
figures please, finds differences where there are none.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate
from math import acos, ceil, copysign, cos, exp, floor, lgamma, log, log1p, pi, sqrt
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
    """The score interval of a difference of two rates (Miettinen and Nurminen, 1985): all that its test keeps.

    Unlike the normal approximation, it holds for rates near 0 and 1, and for small groups. It leaves 0 out where the
    "N - 1" chi-squared test finds a difference (Campbell, 2007).
    """
    limit = NormalDist().inv_cdf((1 + confidence) / 2) ** 2 * (units + control) / (units + control - 1)
    rate, rate_of_control = successes / units, of_control / control
    found = rate - rate_of_control

    def is_rejected(difference: float) -> bool:
        first = _likeliest(rate, units, rate_of_control, control, difference)
        second = first - difference
        variance = first * (1 - first) / units + second * (1 - second) / control
        return (found - difference) ** 2 > limit * max(0.0, variance)

    return _last_kept(found, -1.0, is_rejected), _last_kept(found, 1.0, is_rejected)


def _last_kept(inside: float, outside: float, is_rejected: Callable[[float], bool]) -> float:
    """The number where rejection begins, between one that is kept and one that may be rejected, by bisection."""
    if not is_rejected(outside):
        return outside
    for _ in range(40):
        middle = (inside + outside) / 2
        if is_rejected(middle):
            outside = middle
        else:
            inside = middle
    return inside


def _likeliest(rate: float, units: int, rate_of_control: float, control: int, difference: float) -> float:
    """The likeliest first rate if the rates have a certain difference (Farrington and Manning, 1990, appendix 1)."""
    ratio = control / units
    a = 1 + ratio
    b = -(1 + ratio + rate + ratio * rate_of_control + difference * (ratio + 2))
    c = difference**2 + difference * (2 * rate + ratio + 1) + rate + ratio * rate_of_control
    d = -rate * difference * (1 + difference)
    v = (b / (3 * a)) ** 3 - b * c / (6 * a * a) + d / (2 * a)
    u = copysign(sqrt(max(0.0, (b / (3 * a)) ** 2 - c / (3 * a))), v)
    angle = (pi + acos(max(-1.0, min(1.0, v / u**3)))) / 3 if u else 0.0
    return min(max(2 * u * cos(angle) - b / (3 * a), 0.0, difference), 1.0, 1.0 + difference)


def _binomial(n: int, p: float) -> Callable[[int], float]:
    """The chances of a binomial distribution; 0 where a float is too small for it."""

    def chance(k: int) -> float:
        ways = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
        return exp(ways + k * log(p) + (n - k) * log1p(-p))

    return chance

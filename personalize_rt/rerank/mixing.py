"""Learning the weights of signals from choices, by a conditional logit.

A choice is a list of candidates with their signals, of which the first ones were chosen, mostly one. The weights
maximise the likelihood of the choices under a softmax of the weighted signals (McFadden 1974; in ranking, the listwise
loss of one relevant item).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import exp, fsum, log, sqrt
from operator import add, mul

__all__ = ["Choice", "learn", "likelihoods"]

Choice = list[tuple[float, ...]]
"""The signals of each candidate; the first was chosen, or as many of the first as is said."""

_ROUNDS = 8
_STEP = 0.1
# Strength of the prior: the initial weights count as much as so many choices.
_TRUST = 5.0
_SAME = 1e-6
_MULTIPLES = tuple(1.15**n for n in range(-8, 12))  # from a third to 4.7


def learn(
    choices: list[Choice],
    first: Sequence[float],
    *,
    seed: int,
    chosen: Sequence[int] | None = None,
    trust: float = _TRUST,
) -> list[float]:
    """Learn weights by AdaGrad (Duchi, Hazan, Singer 2011); average them over the last half of the rounds.

    Args:
        choices: The choices, at least one. Scaled in place, to save memory.
        first: The initial weights, also the prior.
        seed: Seed of the order of the choices.
        chosen: The number of candidates that were chosen, of each choice: its first ones, which share its weight.
            ``None``: one of each.
        trust: The strength of the prior, in choices.
    """
    size = len(first)
    scales = _scales(choices, size)
    start = [weight * scale for weight, scale in zip(first, scales, strict=True)]
    weights = list(start)
    squares = [1e-2] * size
    pull = trust / len(choices)
    chance = random.Random(seed)
    order = list(range(len(choices)))
    inverse = [1.0 / scale for scale in scales]
    for n, choice in enumerate(choices):
        choices[n] = [tuple(map(mul, row, inverse)) for row in choice]
    summed = [0.0] * size
    averaged = 0
    for turn in range(_ROUNDS):
        chance.shuffle(order)
        for n in order:
            rows = choices[n]
            logits = [sum(map(mul, weights, row)) for row in rows]
            highest = max(logits)
            shares = [exp(logit - highest) for logit in logits]
            total = -sum(shares)
            shares = [share / total for share in shares]
            if chosen is None:
                shares[0] += 1.0
            else:
                part = 1.0 / (taken := chosen[n])
                for place in range(taken):
                    shares[place] += part
            for f, column in enumerate(zip(*rows, strict=True)):
                slope = pull * (start[f] - weights[f])
                # Most choices know nothing of some signals.
                if any(column):
                    slope += sum(map(mul, shares, column))
                squares[f] += slope * slope
                weights[f] += _STEP * slope / sqrt(squares[f])
        if 2 * turn >= _ROUNDS:
            averaged += 1
            summed = list(map(add, summed, weights))
    return [total / averaged / scale for total, scale in zip(summed, scales, strict=True)]


def likelihoods(choices: Sequence[Choice], chosen: Sequence[int], weights: Sequence[float]) -> list[float]:
    """The logarithm of the probability of what was chosen, of each choice, with the best multiple of the weights.

    Logits that are surer, or less sure, order nothing better; so a multiple of the weights is as good as they are.
    """
    logits = [[sum(map(mul, weights, row)) for row in rows] for rows in choices]
    found: list[list[float]] = []
    for times in _MULTIPLES:
        found.append([])
        for values, taken in zip(logits, chosen, strict=True):
            highest = max(values)
            total = log(fsum([exp(times * (value - highest)) for value in values]))
            found[-1].append(times * (fsum(values[:taken]) / taken - highest) - total)
    return max(found, key=fsum)


def _scales(choices: Sequence[Choice], size: int) -> list[float]:
    """The standard deviation of each signal within a choice, by which signals are scaled."""
    sums = [0.0] * size
    rows = 0
    for choice in choices[:: max(1, len(choices) // 500)]:
        rows += len(choice)
        for f, column in enumerate(zip(*choice, strict=True)):
            mean = fsum(column) / len(column)
            sums[f] += sum([(value - mean) ** 2 for value in column])
    scales = [sqrt(total / max(1, rows)) for total in sums]
    # Differences of the size of rounding errors are not to be learned from.
    return [scale if scale > _SAME else 1.0 for scale in scales]

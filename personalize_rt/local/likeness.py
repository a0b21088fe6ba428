"""The model of similarity of items by metadata, for recipes that use metadata.

The features of an item are its categories and the words of its texts, in lower case; numbers are ignored. A feature of
*n* of *N* items has the weight ln (N / n), so rare features count more. The similarity of two items is the cosine of
their weighted features. Features of more than 5,000 items are used only if an item has no others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from heapq import nsmallest
from math import log, sqrt
from typing import Any

from personalize_rt.local.datasets import Table
from personalize_rt.local.universe import Universe

__all__ = ["LikenessModel"]

_WORD = re.compile(r"\w+")
_COMMON = 5_000
_KEPT = 500
_ROWS_KEPT = 1_000


class LikenessModel:
    """The similarities of items by metadata. Immutable, so safe to share between threads; it can be pickled.

    Args:
        items: The Items dataset.
        universe: The items.
    """

    def __init__(self, items: Table, universe: Universe) -> None:
        self._numbers = universe.numbers
        self._having: dict[str, list[int]] = {}
        self._features: dict[int, list[str]] = {}
        rows = [universe.numbers[id] for id in items]
        for name, column in items.columns.items():
            field = items.fields[name]
            if field.type == "string":
                for number, text in zip(rows, column, strict=True):
                    for feature in _features_of(str(text or ""), field.categorical):
                        self._having.setdefault(f"{name}={feature}", []).append(number)
        for feature, numbers in self._having.items():
            for number in numbers:
                self._features.setdefault(number, []).append(feature)
        self._lengths = {
            number: sqrt(sum(self._weight(feature) ** 2 for feature in features))
            for number, features in self._features.items()
        }
        self._cached = lru_cache(_ROWS_KEPT)(self._compute_similar)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_cached"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._cached = lru_cache(_ROWS_KEPT)(self._compute_similar)

    def similar(self, item_id: str) -> Sequence[int]:
        """The items most similar to an item, nearest first; empty if the item has no features."""
        number = self._numbers.get(item_id, -1)
        return self._cached(number) if number in self._features else ()

    def _compute_similar(self, seed: int) -> tuple[int, ...]:
        features = self._features[seed]
        rare = [feature for feature in features if len(self._having[feature]) <= _COMMON]
        shared: dict[int, float] = {}
        for feature in rare or features:
            weight = self._weight(feature) ** 2
            for number in self._having[feature]:
                shared[number] = shared.get(number, 0.0) + weight
        shared.pop(seed, None)
        lengths = self._lengths
        near = [(-weight / (lengths[number] or 1), number) for number, weight in shared.items() if weight]
        return tuple(number for _, number in nsmallest(_KEPT, near))

    def _weight(self, feature: str) -> float:
        return log(len(self._features) / len(self._having[feature]))


def _features_of(text: str, categorical: bool) -> set[str]:
    parts = text.split("|") if categorical else _WORD.findall(text)
    return {part.lower() for part in parts if part}

"""A scorer that learns from the service's answers to rank like the service.

A score of a ranking is a softmax of logits, so its logarithm is the logit, less a constant that is the same for the
whole answer. The model of the logit is that of the Developer Guide's formula, a dot product::

    logit(user, item) = bias(item) + user vector · item vector

Each answer is one step. First the user's vector is fitted to the item vectors by least squares (a ridge regression
towards the user's previous vector, or for a new user towards the average). Then each item moves by a normalised step
that halves its remaining error. So the first answer for a user already tells a lot about the user, and items follow the
average of many users. The scorer also follows a service that is trained anew.

Scores are rounded to 7 decimals, and differences that rounding explains are not errors. A score of 0 tells only that
the logit is low: it can move an item down, never up.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from math import isfinite
from operator import mul
from typing import Any, Self

import attrs
from attrs.setters import frozen

from personalize_rt import forks
from personalize_rt.rerank import storage
from personalize_rt.rerank.scale import Part
from personalize_rt.rerank.training import whole
from personalize_rt.results import Ranking

__all__ = ["ShadowScorer"]

Vector = tuple[float, ...]

# More items take longer to learn. Of longer answers, other items are learned each time.
_MOST_ITEMS = 100
_PULL = 1.0  # strength of the ridge towards the user's previous vector
# The fit of a user's vector ends after so many steps, or when the squared gradient has fallen to this share.
_ITERATIONS = 5
_ENOUGH = 1e-4
_STEP = 0.5
_BIAS_STEP = 0.1  # small, so that a bias holds only what users have in common
_SPREAD = 0.3  # standard deviation of the numbers in the vector of a new item
_AVERAGE_OF = 500  # answers, about
# Larger numbers are not plausible, and their squares would soon overflow.
_LARGEST = 1e6


@attrs.define(eq=False, kw_only=True, repr=False, slots=False)  # for the lock
class ShadowScorer:
    """Learns to rank like the service, from its answers.

    As a fallback, ``RerankFallback(ShadowScorer())``, it learns from each ranking of the service, and answers when the
    service cannot. Programs that keep rankings may also pass them to :meth:`observe`.

    An item that was never seen with a score is unknown. A user who was never seen gets the average vector. Context is
    ignored.

    Safe to share between threads. An answer is learned in the thread that got it, within some milliseconds, one at a
    time.

    Args:
        factors: The length of a vector. Fewer factors take less time to learn, and too few learn less well; 32 are
            enough for a model of the service with up to about as many.
        max_users: The number of users to remember; the least recently seen ones are forgotten.
        max_items: The number of items to remember, likewise. A user or item takes about 1.3 kB with 32 factors.

    Raises:
        ValidationError: An argument is not an int of at least 1.
    """

    factors: int = attrs.field(default=32, validator=whole, on_setattr=frozen)
    max_users: int = attrs.field(default=10_000, validator=whole, on_setattr=frozen)
    max_items: int = attrs.field(default=20_000, validator=whole, on_setattr=frozen)
    _answers: int = attrs.field(default=0, init=False)
    _users: dict[str, Vector] = attrs.field(factory=dict[str, Vector], init=False)  # least recently seen first
    _items: dict[str, Vector] = attrs.field(factory=dict[str, Vector], init=False)
    _biases: dict[str, float] = attrs.field(factory=dict[str, float], init=False)
    _average: Vector = attrs.field(init=False)
    _chance: random.Random = attrs.field(factory=lambda: random.Random(0), init=False)
    _lock = forks.lock()

    def __attrs_post_init__(self) -> None:
        self._average = (0.0,) * self.factors

    @property
    def answers(self) -> int:
        """The number of rankings it has learned from."""
        return self._answers

    def observe(self, user_id: str, ranking: Ranking, context: Mapping[str, str] | None = None) -> None:
        """Learn from a ranking of the service.

        Answers of a fallback, and answers with fewer than two scores above 0, are ignored.

        Args:
            user_id: The user of the request.
            ranking: The service's answer. Of more than 100 scored items, 100 are learned, others the next time.
            context: Ignored.
        """
        if ranking.degraded:
            return
        scores = {
            id: score
            for id, score in zip(ranking.item_ids, ranking.scores, strict=True)
            if score is not None and 0.0 <= score <= 1.0
        }
        with self._lock:
            ids = _some([*scores], self._answers)
            part = Part(range(len(ids)), [scores[id] for id in ids])
            firm = [place for place, low in enumerate(part.low) if isfinite(low)]
            if len(firm) >= 2:
                self._answers += 1
                self._learn(user_id, ids, part, firm)

    def _learn(self, user_id: str, ids: Sequence[str], part: Part, firm: Sequence[int]) -> None:
        vectors = [self._items.get(id) or self._new_vector() for id in ids]
        biases = [self._biases.get(id, 0.0) for id in ids]
        known = [(part.low[place] + part.high[place]) / 2 - biases[place] for place in firm]
        before = self._users.pop(user_id, None) or self._average
        user, level = _fitted(before, [vectors[place] for place in firm], known)
        if not max(map(abs, user)) < _LARGEST:
            user, level = before, sum(known) / len(known)
        step = _STEP / (1.0 + _STEP * (sum(map(mul, user, user)) + _BIAS_STEP))
        for id, vector, bias, low, high in zip(ids, vectors, biases, part.low, part.high, strict=True):
            logit = level + bias + sum(map(mul, user, vector))
            error = low - logit if logit < low else min(high - logit, 0.0)
            if error:
                move = step * error
                vector = tuple([one + move * other for one, other in zip(vector, user, strict=True)])
                bias += _BIAS_STEP * move
            # First, so that a child forked between the steps has no item without a bias. Then the item is taken out and
            # put back, so that the least recently seen one stands first.
            self._biases[id] = bias
            self._items.pop(id, None)
            self._items[id] = vector
        self._users[user_id] = user
        weight = 1.0 / min(self._answers, _AVERAGE_OF)
        self._average = tuple([old + weight * (new - old) for old, new in zip(self._average, user, strict=True)])
        while len(self._users) > self.max_users:
            del self._users[next(iter(self._users))]
        while len(self._items) > self.max_items:
            oldest = next(iter(self._items))
            del self._items[oldest], self._biases[oldest]

    def _new_vector(self) -> Vector:
        gauss = self._chance.gauss
        return tuple([gauss(0.0, _SPREAD) for _ in range(self.factors)])

    def __call__(
        self, user_id: str, item_ids: Sequence[str], context: Mapping[str, str] | None = None, /
    ) -> Sequence[float | None]:
        """The logit of each item; ``None`` for an item that was never seen with a score."""
        with self._lock:
            user = self._users.get(user_id, self._average)
            vectors = [self._items.get(id) for id in item_ids]
            biases = [self._biases.get(id, 0.0) for id in item_ids]
        return [
            None if vector is None else bias + sum(map(mul, user, vector))
            for vector, bias in zip(vectors, biases, strict=True)
        ]

    def save(self, path: storage.Path) -> None:
        """Write what was learned to a file, which :meth:`load` reads.

        The file holds user ids: protect it accordingly.

        Args:
            path: Where to write; an existing file is replaced.

        Raises:
            OSError: The file cannot be written.
        """
        with self._lock:
            content = {
                "factors": self.factors,
                "max_users": self.max_users,
                "max_items": self.max_items,
                "answers": self._answers,
                "users": [*self._users],
                "items": [*self._items],
            }
            columns = {
                "average": array("d", self._average),
                "users": array("d", chain.from_iterable(self._users.values())),
                "items": array("d", chain.from_iterable(self._items.values())),
                "biases": array("d", (self._biases[id] for id in self._items)),
            }
        storage.save(path, storage.Stored(type(self).__name__, content, columns))

    @classmethod
    def load(cls, path: storage.Path) -> Self:
        """Read a file that :meth:`save` wrote, to go on learning from there.

        Args:
            path: The file.

        Raises:
            ValidationError: The file is not a saved ShadowScorer, is damaged, or was written by a newer version.
            OSError: The file cannot be read.
        """
        return storage.taken(storage.load(path, cls.__name__), cls._restored)

    @classmethod
    def _restored(cls, stored: storage.Stored) -> Self:
        content: dict[str, Any] = stored.content
        size: int = content["factors"]
        columns = stored.columns
        # Before the constructor, which makes as many numbers as the file says.
        if len(columns["average"]) != size:
            raise ValueError("not as many numbers as factors")
        scorer = cls(factors=size, max_users=content["max_users"], max_items=content["max_items"])
        if not all(isfinite(number) for column in columns.values() for number in column):
            raise ValueError("a number that is not finite")
        scorer._answers = content["answers"]
        if type(scorer._answers) is not int or scorer._answers < 0:
            raise ValueError("not a number of answers")
        (scorer._average,) = _vectors(columns["average"], 1, size)
        for ids, into in ((content["users"], scorer._users), (content["items"], scorer._items)):
            column = columns["users" if into is scorer._users else "items"]
            into.update(zip(_texts(ids), _vectors(column, len(ids), size), strict=True))
        scorer._biases.update(zip(content["items"], columns["biases"], strict=True))
        # Another seed than at first, so that new items do not get the vectors of the first ones.
        scorer._chance = random.Random(scorer._answers)
        return scorer

    def __repr__(self) -> str:
        return (
            f"ShadowScorer(factors={self.factors}, <{len(self._users):,} users>, <{len(self._items):,} items>, "
            f"answers={self._answers:,})"
        )


def _some(ids: list[str], turn: int) -> list[str]:
    """All ids, or of too many, an evenly spaced part that differs from turn to turn."""
    stride = -(-len(ids) // _MOST_ITEMS)
    return ids[turn % stride :: stride] if stride > 1 else ids


def _fitted(before: Vector, vectors: Sequence[Vector], values: Sequence[float]) -> tuple[Vector, float]:
    """Fit a user vector and a level to values by ridge regression towards the previous vector.

    Uses conjugate gradients, which start from the previous vector: for a known user, a step or two are enough.
    """
    count = len(values)
    columns = list(zip(*vectors, strict=True))
    user: Sequence[float] = before
    left = _centred([value - sum(map(mul, user, vector)) for value, vector in zip(values, vectors, strict=True)])
    gradient = [sum(map(mul, column, left)) for column in columns]
    way, steep = gradient, sum(map(mul, gradient, gradient))
    enough = max(_ENOUGH * steep, 1e-12)
    for _ in range(_ITERATIONS):
        if steep <= enough:
            break
        moved = _centred([sum(map(mul, way, vector)) for vector in vectors])
        bent = [sum(map(mul, column, moved)) + _PULL * one for column, one in zip(columns, way, strict=True)]
        length = steep / sum(map(mul, way, bent))
        user = [one + length * step for one, step in zip(user, way, strict=True)]
        gradient = [one - length * step for one, step in zip(gradient, bent, strict=True)]
        steep, steep_before = sum(map(mul, gradient, gradient)), steep
        turn = steep / steep_before
        way = [one + turn * step for one, step in zip(gradient, way, strict=True)]
    level = sum(values) - sum(map(mul, user, map(sum, columns)))
    return tuple(user), level / count


def _centred(numbers: list[float]) -> list[float]:
    middle = sum(numbers) / len(numbers)
    return [number - middle for number in numbers]


def _texts(ids: Any) -> list[str]:
    texts: list[Any] = list(ids)
    if not all(isinstance(id, str) for id in texts) or len(set(texts)) != len(texts):
        raise ValueError("ids that are not texts, or not distinct")
    return texts


def _vectors(column: Sequence[float], count: int, size: int) -> Iterable[Vector]:
    if len(column) != count * size:
        raise ValueError("a column of another length")
    return [tuple(column[start : start + size]) for start in range(0, count * size, size)]

"""A scorer that learns from the service's answers to rank like the service.

A score of a ranking is a softmax of logits, so its logarithm is the logit, less a constant that is the same for the
whole answer. The model of the logit is that of the Developer Guide's formula, a dot product::

    logit(user, item) = bias(item) + user vector · item vector

The bias is the running mean of the item's logits, so that items are known early, and to new users too. Vectors learn
the remainder by alternating least squares, a little with each answer: the user's vector is fitted anew to the user's
latest answers, a ridge regression in which older answers count less, since tastes move; then each of their items moves
by a normalised step. The same is repeated for another user, each in turn, so that answers are learned from many times.
The strength of the ridge goes with the spread of logits: whatever the service's scale, vectors explain nothing until
they have seen enough.

Scores are rounded to 7 decimals, and differences that rounding explains are not errors. A score of 0 tells only that
the logit is low: it can move an item down, never up.
"""

from __future__ import annotations

import random
from array import array
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, chain, pairwise
from math import log, sqrt
from operator import mul
from statistics import fmean
from sys import intern
from typing import Any, NamedTuple, Self, cast

import attrs
from attrs.setters import frozen

from personalize_rt import forks
from personalize_rt.errors import ValidationError
from personalize_rt.rerank import storage
from personalize_rt.rerank.scale import HALF_UNIT
from personalize_rt.rerank.training import whole
from personalize_rt.results import Ranking

__all__ = ["ShadowScorer"]

Vector = tuple[float, ...]
# The items and scores of an answer. An item's id is one object everywhere, which keeps answers small.
Kept = tuple[tuple[str, ...], "array[float]"]

_VERSION = 2  # of the content of files
# More items take longer to learn. Of longer answers, other items are learned each time.
_MOST_ITEMS = 100
_KEPT = 200  # scores of a user
_FADING = 0.8 ** (1 / 50)  # weight of a score for each newer one of the user
# Strength of the ridges towards 0 of users and items, in units of the spread.
_PULL, _PULL_ITEM = 2.0, 3.0
_LEAST_SPREAD = 0.1
_FEW = 5  # an item of fewer scores is held back no more, or its first vector would be lost
_ITERATIONS = 2  # of conjugate gradients; they start from the user's previous vector
_STEP = 0.5
_SIZE = 0.1  # standard deviation of the numbers in the vector of a new item
_MEAN_OF = 200  # scores of an item, and answers for the spread; then older ones fade, since the service is trained anew
_JUDGED, _ENOUGH = 100, 20  # answers that tell the quality
# Assumed of files that do not tell.
_OLD_COUNT, _OLD_SQUARE = 10, 4.0
_NOTHING = 1e-12  # squared gradient
_LOG_OF_0 = log(HALF_UNIT)
# Larger numbers are not plausible, and their squares would soon overflow.
_LARGEST = 1e6


class _Item(NamedTuple):
    bias: float
    scores: int  # in the bias
    vector: Vector


class _User(NamedTuple):
    vector: Vector
    kept: tuple[Kept, ...]  # the latest answers, newest first


@attrs.define(eq=False, kw_only=True, repr=False, slots=False)  # for the lock
class ShadowScorer:
    """Learns to rank like the service, from its answers.

    As a fallback, ``RerankFallback(ShadowScorer())``, it learns from each ranking of the service, and answers when the
    service cannot. Programs that keep rankings may also pass them to :meth:`observe`. :attr:`quality` tells how like
    the service it is by now; ``RerankFallback(ShadowScorer(), min_quality=0.6)`` answers only when it is that good.

    An item that was never seen with a score is unknown. For a user who was never seen, items rank by their means over
    all users. Context is ignored.

    Safe to share between threads. An answer is learned in the thread that got it, within some milliseconds, one at a
    time.

    Args:
        factors: The length of a vector. Fewer factors take less time to learn, and too few learn less well; 32 are
            enough for a model of the service with up to about as many.
        max_users: The number of users to remember; the least recently seen ones are forgotten.
        max_items: The number of items to remember, likewise. With 32 factors an item takes about 1.3 kB, and a user 4
            kB, of which the latest 200 scores take the most.

    Raises:
        ValidationError: An argument is not an int of at least 1.
    """

    factors: int = attrs.field(default=32, validator=whole, on_setattr=frozen)
    max_users: int = attrs.field(default=10_000, validator=whole, on_setattr=frozen)
    max_items: int = attrs.field(default=20_000, validator=whole, on_setattr=frozen)
    _answers: int = attrs.field(default=0, init=False)
    _users: dict[str, _User] = attrs.field(factory=dict[str, _User], init=False)  # least recently seen first
    _items: dict[str, _Item] = attrs.field(factory=dict[str, _Item], init=False)
    _square: float = attrs.field(default=0.0, init=False)  # mean square of what the biases do not explain
    _taus: deque[float] = attrs.field(factory=lambda: deque[float](maxlen=_JUDGED), init=False)
    _waiting: list[str] = attrs.field(factory=list[str], init=False)  # users to learn again
    _chance: random.Random = attrs.field(factory=lambda: random.Random(0), init=False)
    _lock = forks.lock()

    @property
    def answers(self) -> int:
        """The number of rankings it has learned from."""
        return self._answers

    @property
    def quality(self) -> float | None:
        """The likeness of its rankings to those of the service, as seen lately.

        The mean of Kendall's tau over the latest 100 answers, each ranked by the scorer before it learned from it: 1
        for the same order, 0 for one that has nothing to do with it. Pairs with an item that was unknown count as 0.
        Users and lists are those that come: with many new ones it is low. ``None`` before 20 answers.
        """
        with self._lock:
            return fmean(self._taus) if len(self._taus) >= _ENOUGH else None

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
            given = [scores[id] for id in ids]
            if sum(score > HALF_UNIT for score in given) < 2:
                return
            self._taus.append(_tau(self._logits(user_id, ids)))
            self._answers += 1
            self._average(ids, given)
            user = self._users.pop(user_id, None) or _User((0.0,) * self.factors, ())
            answer = tuple([intern(str(id)) for id in ids]), array("f", given)
            self._users[user_id] = _User(user.vector, _latest((answer, *user.kept)))
            self._learn(user_id)
            self._waiting = self._waiting or self._chance.sample([*self._users], len(self._users))
            self._learn(self._waiting.pop())
            while len(self._users) > self.max_users:
                del self._users[next(iter(self._users))]
            while len(self._items) > self.max_items:
                del self._items[next(iter(self._items))]

    def _average(self, ids: Sequence[str], scores: Sequence[float]) -> None:
        """Add the scores to the items' means."""
        items = [self._items.get(id) or _Item(0.0, 0, self._new_vector()) for id in ids]
        errors = _centred(
            [logit - item.bias for item, logit in zip(items, map(_log, scores), strict=True)], (0, len(items))
        )
        square = sum(map(mul, errors, errors)) / len(errors)
        self._square += (square - self._square) / min(self._answers, _MEAN_OF)
        for id, item, error in zip(ids, items, errors, strict=True):
            count = min(item.scores + 1, _MEAN_OF)
            # Taken out and put back, so that the least recently seen one stands first.
            self._items.pop(id, None)
            self._items[intern(str(id))] = _Item(item.bias + error / count, count, item.vector)

    def _learn(self, user_id: str) -> None:
        """Fit a user's vector to the kept answers, then move the vectors of their items."""
        user = self._users.get(user_id)
        if user is None:
            return
        known = [
            [(id, item, score) for id, score in zip(*kept, strict=True) if (item := self._items.get(id)) is not None]
            for kept in user.kept
        ]
        starts = [0, *accumulate(map(len, known))]
        if not starts[-1]:
            return
        ids, items, scores = zip(*chain.from_iterable(known), strict=True)
        vectors = [item.vector for item in items]
        spread = max(sqrt(self._square), _LEAST_SPREAD)
        left = _left(user.vector, items, [*map(_log, scores)], starts)
        vector, errors = _fitted(user.vector, vectors, left, starts, _PULL * spread)
        step = _STEP / (spread + sum(map(mul, vector, vector)))
        learned: set[str] = set()
        for id, item, error, score in zip(ids, items, errors, scores, strict=True):
            if id in learned:  # in a newer answer
                continue
            learned.add(id)
            if score > HALF_UNIT:
                slack = HALF_UNIT / score  # what rounding explains
                move = step * (error - max(-slack, min(error, slack)))
            else:
                move = step * min(error, 0.0)
            keep = 1.0 - step * _PULL_ITEM * spread / max(item.scores, _FEW)
            moved = tuple([keep * one + move * other for one, other in zip(item.vector, vector, strict=True)])
            self._items[id] = _Item(item.bias, item.scores, moved)
        self._users[user_id] = _User(vector, user.kept)

    def _new_vector(self) -> Vector:
        gauss = self._chance.gauss
        return tuple([gauss(0.0, _SIZE) for _ in range(self.factors)])

    def __call__(
        self, user_id: str, item_ids: Sequence[str], context: Mapping[str, str] | None = None, /
    ) -> Sequence[float | None]:
        """The logit of each item; ``None`` for an item that was never seen with a score."""
        with self._lock:
            return self._logits(user_id, item_ids)

    def _logits(self, user_id: str, item_ids: Sequence[str]) -> list[float | None]:
        user = self._users.get(user_id)
        vector = user.vector if user is not None else ()
        return [
            None if item is None else item.bias + sum(map(mul, vector, item.vector))
            for item in map(self._items.get, item_ids)
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
            users, items = self._users.values(), self._items.values()
            places = {id: place for place, id in enumerate(self._items)}
            answers = [
                [(places[id], score) for id, score in zip(*kept, strict=True) if id in places]
                for user in users
                for kept in user.kept
            ]
            content = {
                "version": _VERSION,
                "factors": self.factors,
                "max_users": self.max_users,
                "max_items": self.max_items,
                "answers": self._answers,
                "users": [*self._users],
                "items": [*self._items],
            }
            columns: dict[str, storage.Column] = {
                "users": array("d", chain.from_iterable(user.vector for user in users)),
                "items": array("d", chain.from_iterable(item.vector for item in items)),
                "biases": array("d", [item.bias for item in items]),
                "counts": array("I", [item.scores for item in items]),
                "square": array("d", [self._square]),
                "taus": array("d", self._taus),
                "kept": array("I", [len(user.kept) for user in users]),
                "kept.lengths": array("I", map(len, answers)),
                "kept.items": array("I", [place for place, _ in chain.from_iterable(answers)]),
                "kept.scores": array("f", [score for _, score in chain.from_iterable(answers)]),
            }
        storage.save(path, storage.Stored(type(self).__name__, content, columns))

    @classmethod
    def load(cls, path: storage.Path) -> Self:
        """Read a file that :meth:`save` wrote, to go on learning from there.

        Files of earlier versions hold neither answers to learn from again nor a quality, which starts anew.

        Args:
            path: The file.

        Raises:
            ValidationError: The file is not a saved ShadowScorer, is damaged, or was written by a newer version.
            OSError: The file cannot be read.
        """
        stored = storage.load(path, cls.__name__)
        content: Any = stored.content
        version: Any = cast("dict[str, Any]", content).get("version", 1) if isinstance(content, dict) else 1
        if type(version) is not int or version > _VERSION:
            raise ValidationError(
                "the file is of a later version of ShadowScorer than this version of personalize-rt reads: upgrade it",
                parameter="path",
            )
        return storage.taken(stored, cls._restored)

    @classmethod
    def _restored(cls, stored: storage.Stored) -> Self:
        content: dict[str, Any] = stored.content
        columns = {**stored.columns}
        size: int = content["factors"]
        users, items = storage.texts(content["users"]), storage.texts(content["items"])
        if content.get("version", 1) == 1:
            content, columns = _upgraded(content, columns)
        scorer = cls(factors=size, max_users=content["max_users"], max_items=content["max_items"])
        scorer._answers = content["answers"]
        if type(scorer._answers) is not int or scorer._answers < 0:
            raise ValueError("not a number of answers")
        scorer._square = columns["square"][0]
        for name, length in (("users", size * len(users)), ("items", size * len(items)), ("biases", len(items))):
            storage.within(storage.finite(columns[name], length), -_LARGEST, _LARGEST)
        storage.within(storage.nonnegative(columns["square"], 1), 0.0, _LARGEST)
        storage.within(columns["counts"], 1, _MEAN_OF)
        storage.within(storage.finite(columns["taus"], len(columns["taus"])), -1.0, 1.0)
        storage.within(columns["kept.scores"], 0.0, 1.0)
        vectors = _rows(columns["items"], [size] * len(items))
        for id, bias, count, vector in zip(
            map(intern, items), columns["biases"], columns["counts"], vectors, strict=True
        ):
            scorer._items[id] = _Item(bias, count, vector)
        scorer._taus.extend(columns["taus"])
        lengths = storage.rows_of(columns["kept.lengths"], sum(columns["kept"]), len(columns["kept.items"]))
        kept = zip(
            _rows([items[place] for place in storage.indexes(columns["kept.items"], len(items))], lengths),
            (array("f", row) for row in _rows(columns["kept.scores"], lengths)),
            strict=True,
        )
        answers = _rows([*kept], storage.rows_of(columns["kept"], len(users), len(lengths)))
        vectors = _rows(columns["users"], [size] * len(users))
        for id, vector, latest in zip(users, vectors, answers, strict=True):
            scorer._users[id] = _User(vector, _latest(latest))
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


def _latest(answers: Iterable[Kept]) -> tuple[Kept, ...]:
    """The first answers, with no more than so many scores together; at least one."""
    answers = [*answers]
    ends = accumulate(len(ids) for ids, _ in answers)
    return tuple(answer for n, (answer, end) in enumerate(zip(answers, ends, strict=True)) if n == 0 or end <= _KEPT)


def _log(score: float) -> float:
    """The logarithm of a score; of 0, the most that it may have been before it was rounded."""
    return log(score) if score > HALF_UNIT else _LOG_OF_0


def _left(vector: Vector, items: Sequence[_Item], logs: Sequence[float], starts: Sequence[int]) -> list[float]:
    """The error of each logit, less a constant for each answer. A score of 0 that was foreseen has no error."""
    left = [logit - item.bias - sum(map(mul, vector, item.vector)) for item, logit in zip(items, logs, strict=True)]
    for start, end in pairwise(starts):
        firm = [error for error, logit in zip(left[start:end], logs[start:end], strict=True) if logit > _LOG_OF_0]
        level = sum(firm) / len(firm) if firm else 0.0
        if len(firm) < end - start:
            left[start:end] = [
                error if logit > _LOG_OF_0 else min(error, level)
                for error, logit in zip(left[start:end], logs[start:end], strict=True)
            ]
    return left


def _fitted(
    before: Vector, vectors: Sequence[Vector], left: Sequence[float], starts: Sequence[int], pull: float
) -> tuple[Vector, list[float]]:
    """Fit a user's vector to answers by ridge regression, each answer up to a constant.

    Args:
        before: The user's previous vector.
        vectors: Those of the items of all answers.
        left: The errors with the previous vector.
        starts: Where each answer starts, and the end.
        pull: The strength of the ridge.

    Returns:
        The vector and the errors with it.
    """
    columns = list(zip(*vectors, strict=True))
    user: Sequence[float] = before
    weighed = _centred(left, starts, _FADING)
    gradient = [sum(map(mul, column, weighed)) - pull * one for column, one in zip(columns, user, strict=True)]
    way, steep = gradient, sum(map(mul, gradient, gradient))
    for _ in range(_ITERATIONS):
        if steep <= _NOTHING:
            break
        moved = [sum(map(mul, way, vector)) for vector in vectors]
        weighed = _centred(moved, starts, _FADING)
        bent = [sum(map(mul, column, weighed)) + pull * one for column, one in zip(columns, way, strict=True)]
        length = steep / sum(map(mul, way, bent))
        user = [one + length * step for one, step in zip(user, way, strict=True)]
        left = [one - length * step for one, step in zip(left, moved, strict=True)]
        gradient = [one - length * step for one, step in zip(gradient, bent, strict=True)]
        steep, steep_before = sum(map(mul, gradient, gradient)), steep
        turn = steep / steep_before
        way = [one + turn * step for one, step in zip(gradient, way, strict=True)]
    return tuple(user), _centred(left, starts)


def _centred(numbers: Sequence[float], starts: Sequence[int], fading: float = 1.0) -> list[float]:
    """The numbers of each answer less their mean; older answers may count less."""
    centred: list[float] = []
    for start, end in pairwise(starts):
        part, weight = numbers[start:end], fading**start
        middle = sum(part) / max(len(part), 1)
        centred += [weight * (number - middle) for number in part]
    return centred


def _tau(logits: Sequence[float | None]) -> float:
    """Kendall's tau of logits to the order in which they stand. Pairs with ``None`` count as 0."""
    before: list[float] = []
    right = 0
    for logit in logits:
        if logit is not None:
            right += len(before) - bisect_right(before, logit) - bisect_left(before, logit)
            insort(before, logit)
    return 2.0 * right / (len(logits) * (len(logits) - 1))


def _upgraded(
    content: Mapping[str, Any], columns: Mapping[str, storage.Column]
) -> tuple[dict[str, Any], dict[str, storage.Column]]:
    """The content of a file of the first version, in which new users had the average vector, as of the second.

    With the average's part in the biases, logits are the same.
    """
    users, items = len(content["users"]), len(content["items"])
    average = storage.finite(columns["average"], content["factors"])
    size = len(average)
    vectors = _rows(columns["items"], [size] * items)
    biases = [bias + sum(map(mul, average, vector)) for bias, vector in zip(columns["biases"], vectors, strict=True)]
    empty = array("I")
    return {**content}, {
        "users": array("d", [one - other for one, other in zip(columns["users"], average * users, strict=True)]),
        "items": columns["items"],
        "biases": array("d", biases),
        "counts": array("I", [_OLD_COUNT] * items),
        "square": array("d", [_OLD_SQUARE]),
        "taus": array("d"),
        "kept": array("I", [0] * users),
        "kept.lengths": empty,
        "kept.items": empty,
        "kept.scores": array("f"),
    }


def _rows(column: Sequence[Any], lengths: Iterable[int]) -> list[tuple[Any, ...]]:
    """Cut a column into rows."""
    starts = [0, *accumulate(lengths)]
    if starts[-1] != len(column):
        raise ValueError("a column of another length")
    return [tuple(column[start:end]) for start, end in pairwise(starts)]

"""A scorer that learns from the service's answers to rank like the service.

A score of a ranking is a softmax of logits, so its logarithm is the logit, less a constant that is the same for the
whole answer. The model of the logit is that of the Developer Guide's formula, a dot product::

    logit(user, item) = bias(item) + user vector · item vector

The bias is the running mean of the item's logits, so that items are known early, and to new users too. Vectors learn
the remainder by alternating least squares, a little with each answer: the user's vector is fitted anew to the user's
kept answers, a ridge regression; then each of their items moves by a normalised step. The same is repeated for another
user, each in turn, so that answers are learned from many times. The strength of the ridge goes with the spread of
logits: whatever the service's scale, vectors explain nothing until they have seen enough.

Tastes move, at some services much and at others not at all. So a user is fitted twice: by a *steady* vector, the same
for all kept answers, and by a *moving* one, which differs from answer to answer and correlates with that of the answer
before (an AR(1) process, as in Kalman filters). In use is a mixture of both. Its weight is the one that would have
predicted the latest answers best, each before it was learned from (stacking by prequential errors).

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
from math import inf, log, sqrt
from operator import mul
from statistics import fmean
from sys import intern
from typing import Any, NamedTuple, Self, cast

import attrs
from attrs.setters import frozen

from personalize_rt import forks
from personalize_rt.errors import ValidationError
from personalize_rt.rerank import storage
from personalize_rt.rerank.ridge import Products, Vector, centred, fit, mixed
from personalize_rt.rerank.scale import HALF_UNIT
from personalize_rt.rerank.training import whole
from personalize_rt.results import Ranking

__all__ = ["ShadowScorer"]

# The items and scores of an answer. An item's id is one object everywhere, which keeps answers small.
Kept = tuple[tuple[str, ...], "array[float]"]

_VERSION = 3  # of the content of files
# More items take longer to learn. Of longer answers, other items are learned each time.
_MOST_ITEMS = 100
_KEPT = 300  # scores of a user
# Strength of the ridges towards 0 of users, of users who move, and of items, in units of the spread.
_PULL, _PULL_MOVING, _PULL_ITEM = 2.5, 1.0, 3.0
_LEAST_SPREAD = 0.1
_FEW = 3  # an item of fewer scores is held back no more, or its first vector would be lost
_CORRELATION = 0.65  # assumed of the moving vectors of a user's successive answers
_FADING = 0.99  # weight of an answer for each newer one, when the weight of moving vectors is chosen
_DOUBT = 0.2  # evidence that users do not move, before the first answer
_STEP = 0.7
_SIZE = 0.1  # standard deviation of the numbers in the vector of a new item
_MEAN_OF = 200  # scores of an item, and answers for the spread; then older ones fade, since the service is trained anew
_JUDGED, _ENOUGH = 100, 20  # answers that tell the quality
# Assumed of files that do not tell.
_OLD_COUNT, _OLD_SQUARE = 10, 4.0
_NOTHING = 1e-12  # squared gradient
_LOG_OF_0 = log(HALF_UNIT)
# Larger numbers are not plausible, and their squares would soon overflow.
_LARGEST = 1e6


@attrs.define(eq=False, repr=False)
class _Item:
    bias: float
    scores: int  # in the bias
    vector: Vector


class _User(NamedTuple):
    steady: Vector
    moving: Vector  # that of the newest answer
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
        max_items: The number of items to remember, likewise. With 32 factors an item takes about 1.3 kB, and a user 7
            kB, of which the latest 300 scores take the most.

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
    # Of the latest answers, how far they went from the steady vector towards the moving one, and how far that was.
    _moved: tuple[float, float] = attrs.field(default=(0.0, _DOUBT), init=False)
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
            user = self._users.pop(user_id, None) or _User((0.0,) * self.factors, (0.0,) * self.factors, ())
            self._judge(user, ids, given)
            self._average(ids, given)
            answer = tuple([intern(str(id)) for id in ids]), array("f", given)
            self._users[user_id] = user._replace(kept=_latest((answer, *user.kept)))
            self._learn(user_id, newly=True)
            self._waiting = self._waiting or self._chance.sample([*self._users], len(self._users))
            self._learn(self._waiting.pop())
            while len(self._users) > self.max_users:
                del self._users[next(iter(self._users))]
            while len(self._items) > self.max_items:
                del self._items[next(iter(self._items))]

    @property
    def _share(self) -> float:
        """The weight of the moving vectors, from 0 to 1."""
        towards, squares = self._moved
        return max(0.0, min(1.0, towards / squares))

    def _judge(self, user: _User, ids: Sequence[str], scores: Sequence[float]) -> None:
        """Compare the user's two vectors by an answer that is not learned yet, as far as its items are known."""
        known = [
            (item, log(score))
            for id, score in zip(ids, scores, strict=True)
            if score > HALF_UNIT and (item := self._items.get(id)) is not None
        ]
        if len(user.kept) < 2 or len(known) < 2:
            return
        apart = [one - other for one, other in zip(user.moving, user.steady, strict=True)]
        errors = [logit - item.bias for item, logit in known]
        whole = centred(errors)
        left = centred(
            [error - sum(map(mul, user.steady, item.vector)) for error, (item, _) in zip(errors, known, strict=True)]
        )
        ways = centred([sum(map(mul, apart, item.vector)) for item, _ in known])
        scale = max(sum(map(mul, whole, whole)), _NOTHING)
        towards, squares = self._moved
        self._moved = (
            _FADING * towards + sum(map(mul, ways, left)) / scale,
            _FADING * squares + sum(map(mul, ways, ways)) / scale,
        )

    def _average(self, ids: Sequence[str], scores: Sequence[float]) -> None:
        """Add the scores to the items' means."""
        items = [self._items.get(id) or _Item(0.0, 0, self._new_vector()) for id in ids]
        errors = centred([logit - item.bias for item, logit in zip(items, map(_log, scores), strict=True)])
        square = sum(map(mul, errors, errors)) / len(errors)
        self._square += (square - self._square) / min(self._answers, _MEAN_OF)
        for id, item, error in zip(ids, items, errors, strict=True):
            item.scores = min(item.scores + 1, _MEAN_OF)
            item.bias += error / item.scores
            # Taken out and put back, so that the least recently seen one stands first.
            self._items.pop(id, None)
            self._items[intern(str(id))] = item

    def _learn(self, user_id: str, *, newly: bool = False) -> None:
        """Fit a user's vectors to the kept answers, then move the vectors of their items."""
        user = self._users.get(user_id)
        if user is None:
            return
        spread = max(sqrt(self._square), _LEAST_SPREAD)
        share = self._share
        before = mixed(user.steady, user.moving, share)
        answers: list[tuple[list[str], list[_Item], list[float]]] = []
        products: list[Products] = []
        targets: list[list[float]] = []
        for kept in user.kept:
            known = [
                (id, item, score) for id, score in zip(*kept, strict=True) if (item := self._items.get(id)) is not None
            ]
            if not known:
                continue
            ids, items, scores = map(list, zip(*known, strict=True))
            rows = Products([item.vector for item in items])
            answers.append((ids, items, scores))
            products.append(rows)
            targets.append(_targets(items, scores, rows, before))
        if not answers:
            return
        found = fit(
            products,
            targets,
            user.steady,
            pull=_PULL * spread,
            pull_moving=_PULL_MOVING * spread,
            correlation=_CORRELATION,
            share=share,
            always=newly,
        )
        self._users[user_id] = _User(found.steady, found.moving or user.moving, user.kept)
        learned: set[str] = set()
        for (ids, items, scores), vector, errors in zip(answers, found.used, found.errors, strict=True):
            step = _STEP / (spread + sum(map(mul, vector, vector)))
            fade = step * _PULL_ITEM * spread
            for id, item, error, score in zip(ids, items, errors, scores, strict=True):
                if id in learned:  # in a newer answer
                    continue
                learned.add(id)
                # What rounding explains is no error; nor is it that an item of score 0 is lower still.
                above, below = (HALF_UNIT / score, -HALF_UNIT / score) if score > HALF_UNIT else (inf, 0.0)
                if error > above:
                    move = step * (error - above)
                elif error < below:
                    move = step * (error - below)
                else:
                    move = 0.0
                keep = 1.0 - fade / max(item.scores, _FEW)
                item.vector = tuple([keep * one + move * other for one, other in zip(item.vector, vector, strict=True)])

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
        vector = mixed(user.steady, user.moving, self._share) if user is not None else ()
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
                "users": array("d", chain.from_iterable(user.steady for user in users)),
                "users.moving": array("d", chain.from_iterable(user.moving for user in users)),
                "moved": array("d", self._moved),
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
        version = content.get("version", 1)
        if version == 1:
            content, columns = _upgraded(content, columns)
        if version <= 2:
            # Users had one vector, and were not asked whether they move.
            columns |= {"users.moving": columns["users"], "moved": array("d", [0.0, _DOUBT])}
        scorer = cls(factors=size, max_users=content["max_users"], max_items=content["max_items"])
        scorer._answers = content["answers"]
        if type(scorer._answers) is not int or scorer._answers < 0:
            raise ValueError("not a number of answers")
        scorer._square = columns["square"][0]
        for name, length in (
            ("users", size * len(users)),
            ("users.moving", size * len(users)),
            ("moved", 2),
            ("items", size * len(items)),
            ("biases", len(items)),
        ):
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
        steady, moving = (_rows(columns[name], [size] * len(users)) for name in ("users", "users.moving"))
        for id, one, other, latest in zip(users, steady, moving, answers, strict=True):
            scorer._users[id] = _User(one, other, _latest(latest))
        towards, squares = columns["moved"]
        if not squares > 0.0:
            raise ValueError("a sum of squares is wrong")
        scorer._moved = towards, squares
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


def _targets(items: Sequence[_Item], scores: Sequence[float], rows: Products, before: Vector) -> list[float]:
    """The products that an answer asks for, up to a constant. A score of 0 that was foreseen is right as it is."""
    if min(scores) > HALF_UNIT:
        return [logit - item.bias for item, logit in zip(items, map(log, scores), strict=True)]
    products = rows.along(before)
    left = [_log(score) - item.bias for item, score in zip(items, scores, strict=True)]
    firm = [error - product for error, product, score in zip(left, products, scores, strict=True) if score > HALF_UNIT]
    level = sum(firm) / len(firm) if firm else 0.0
    return [
        error if score > HALF_UNIT else min(error, product + level)
        for error, product, score in zip(left, products, scores, strict=True)
    ]


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

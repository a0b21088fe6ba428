"""Ranking of lists that are too long for one request: plans the requests, and merges their answers. No I/O.

1. The list is split into chunks, at random (always in the same way), so that each chunk is a fair sample of the list.
2. The *tops* of all chunks are ranked together. Rounding hurts high scores least, so these items tie the chunks to one
   scale (:mod:`personalize_rt.rerank.scale`).
3. At the same time the *tails* are ranked again. Beside a chunk's best items, the others have scores near 0, of which
   seven decimals tell little or nothing. Ranked among themselves, they get scores that tell much. Neighbouring tails
   share items, the pivots, which tie them to each other.
4. Items that still lack an exact score, or one that is exact enough to tell them from the many items close to them, are
   ranked again, as long as requests are left.

Order within an answer is always the service's own.
"""

from __future__ import annotations

import copy
import random
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from math import exp, fsum, inf
from typing import TYPE_CHECKING, Any, Self

import attrs

from personalize_rt import checks
from personalize_rt.errors import PersonalizeError, ValidationError
from personalize_rt.limits import Limits
from personalize_rt.rerank.scale import HALF_UNIT, Part, Scale
from personalize_rt.results import Metadata, Ranking, ResponseInfo, Shown, evolved

__all__ = ["Chunk", "LongPlan", "LongRanking", "chunk_size"]

# Errors of the logarithm of a score. Items below _GOOD are not ranked again; for items above _POOR, more requests than
# usual are made.
_GOOD, _POOR = 0.005, 0.05
# The share of all pairs that rounding may be expected to swap; beyond it, crowded items are ranked again however small
# their errors are. Kendall's tau loses twice as much.
_SWAPPED = 1.5e-4
_CLOSE = 7 * HALF_UNIT  # scores that are three units apart, or less
# A smaller ratio of two scores in one request would leave the lower one with only one or two digits.
_GAP = 1e-3
_FEW = 20  # at most one item in so many is far above the others
_SPREAD = 7.0  # largest difference of logits within a tail
_STEP = 2.0  # by how much pivots may be above it in any case
# Items of each chunk in a request that ties chunks. More would hardly make the tie more exact.
_TOPS = 25
_FEWEST_TOPS = 3
# The number of items that neighbouring tails share.
_PIVOTS = 10
_ROUNDS = 5


def _strings(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


def _maybe_strings(values: Iterable[str | None]) -> tuple[str | None, ...]:
    return tuple(values)


def _without_frames(error: PersonalizeError | None) -> PersonalizeError | None:
    """A copy without traceback and chain, so that a kept result does not keep the caller's frames alive."""
    return None if error is None else copy.copy(error)


@attrs.frozen(eq=False, repr=False)
class _Merged(Ranking):
    """Base of :class:`LongRanking`, with the fields of it: see those of ``results``."""

    requests: int = attrs.field(default=1, kw_only=True)
    error_bound: float = attrs.field(default=0.0, kw_only=True)
    unscaled: tuple[str, ...] = attrs.field(default=(), kw_only=True, converter=_strings)
    recommendation_ids: tuple[str | None, ...] = attrs.field(default=(), kw_only=True, converter=_maybe_strings)
    stopped_by: PersonalizeError | None = attrs.field(default=None, kw_only=True, converter=_without_frames)


class _LongShown(Shown):
    __slots__ = ()

    if not TYPE_CHECKING:
        __attrs_attrs__ = Shown.__dict__["__attrs_attrs__"]


class LongRanking(_LongShown, _Merged):
    """A ranking of more items than one request takes, merged from several answers of GetPersonalizedRanking.

    It is a :class:`~personalize_rt.Ranking`: best first, then items that the model does not know, in input order and
    without a score. Repeated items of the input stand side by side. Scores are the softmax over the whole list, as the
    service would give them for so many items, but not rounded. Each answer has its own ``recommendation_id``, so the
    ranking has none (``recommendation_ids`` has one for each item), unless one request was enough.

    Two items of one answer stand in the service's own order, unless other answers contradict it. Of any two items that
    are not in ``unscaled``, the one with the higher logit stands first, unless their logits differ by less than
    ``error_bound``. That is certain when the service's answers agree with each other. Where they do not, the bound is
    an estimate, made from how much they disagree of the items that they share; it is meant to hold for 99 lists in 100.

    Items that no answer tells apart have equal scores and stand in the order of the input, as they would in one answer.

    Attributes:
        requests: The number of answered requests; ``info.attempts`` counts those that failed as well.
        error_bound: Two items may stand in the wrong order if the natural logarithm of the ratio of their scores is
            below this: 0.01 is 1 percent. 0.0 when one request was enough.
        unscaled: Items with a score that could not be put on the common scale, in ranked order: their scores were
            rounded to 0, or nothing ties their answer to the others. Their places are estimated from the order of their
            answer and the likely distribution of scores; a score of 0.0 marks them.
        recommendation_ids: For each row, the id of an answer that held the item, to send back with events about it.
        stopped_by: The reason why the ranking is less exact than it could be: the error of a request that was not
            needed, or a ``ValidationError`` since ``max_requests`` forbade more requests. ``None`` otherwise.
    """

    __slots__ = ()

    def _part(self, part: slice) -> Self:
        shown = super()._part(part)
        left = set(shown.item_ids)
        return evolved(shown, unscaled=[id for id in self.unscaled if id in left])

    def _came_with(self, part: slice) -> Iterable[str | None]:
        return (
            self.recommendation_ids[part] if self.recommendation_ids and not self.degraded else super()._came_with(part)
        )

    @property
    def missing_mass(self) -> float:
        """1 minus the sum of the scores, each item once; 0.0 if that is no more than rounding.

        Above 0.0 after ``without()`` took items out, or (1.0) if no score is above 0.
        """
        scores = dict(zip(self.item_ids, self.scores, strict=True)).values()
        missing = 1.0 - fsum(score for score in scores if score is not None)
        return missing if abs(missing) > HALF_UNIT * (len(scores) if self.requests == 1 else 2) else 0.0


def chunk_size(limits: Limits, *, with_metadata: bool) -> int:
    """The most items that one request may hold; the published limit when ``limits`` has none."""
    name = "input_list_with_metadata" if with_metadata else "input_list"
    limit: int | None = getattr(limits, name)
    return getattr(Limits(), name) if limit is None else limit


@attrs.frozen(eq=False)
class Chunk:
    """A request to make.

    Attributes:
        item_ids: The items to rank.
        needed: Whether the ranking needs the answer. Other answers only make it more exact.
    """

    item_ids: tuple[str, ...]
    needed: bool


class LongPlan:
    """The requests for one list, and the ranking of their answers.

    Call :meth:`next` for requests, pass each answer to :meth:`take`, repeat until there are no requests, and then call
    :meth:`ranking`. Not safe to share between threads.

    Args:
        item_ids: The list; ids may repeat.
        size: The most items in a request.
        max_requests: The most requests. ``None``: 1.5 times the number of chunks, and up to twice as many when many
            scores are 0 or close to it, or many items so close together that rounding hides their order.
        with_metadata: Whether to keep the metadata of the answers.

    Raises:
        ValidationError: ``max_requests`` is too small, or not a number; or ``size`` is 1, so that no two requests could
            share an item.
    """

    def __init__(
        self, item_ids: Sequence[str], *, size: int, max_requests: int | None = None, with_metadata: bool = False
    ) -> None:
        self._input = tuple(item_ids)
        self._ids = tuple(dict.fromkeys(self._input))
        self._number = {id: number for number, id in enumerate(self._ids)}
        self._size = size
        self._room = size - max(1, min(_PIVOTS, size // 4))  # for the items of a tail
        self._chunks = _dealt(len(self._ids), size)
        self._given = max_requests
        self._usual, self._most = self._requests(max_requests)
        self._with_metadata = with_metadata
        self._round = 0
        self._short = 0  # requests that are needed, and that the budget does not allow
        self._answers: list[Ranking] = []
        self._parts: list[Part] = []
        # Items far above all others of an answer, and items that may be so: an answer with such a head says nothing of
        # what stands next to it. Both are kept out of the requests that tie chunks, and are ranked among themselves.
        self._heads: set[int] = set()
        self._suspects: set[int] = set()
        self._leaders: list[list[int]] = []
        self._scale: Scale | None = None
        self._asked: set[frozenset[int]] = set()

    def _requests(self, given: Any) -> tuple[int, int]:
        """The most requests in usual cases, and in bad cases."""
        chunks = len(self._chunks)
        if given is not None:
            checks.whole(given, "max_requests", note=", or None")
        if chunks == 1:
            return 1, 1
        if self._size < 2:
            raise ValidationError(
                "limits allow one item in a request, and no request of one item can be compared with another: "
                "rank_long() needs room for two",
                parameter="limits",
            )
        needed = chunks + len(_bundles(range(chunks), self._size))
        if given is None:
            return max(needed + 1, chunks + (chunks + 1) // 2), needed + chunks + 1
        if given < needed:
            raise ValidationError(
                f"max_requests is {given:,}: {len(self._ids):,} items need {needed:,} requests of {self._size:,} items",
                parameter="max_requests",
                limit=needed,
            )
        return given, given

    def next(self) -> list[Chunk]:
        """The next requests, to be sent at the same time; empty when the ranking is ready."""
        self._round += 1
        self._short = 0
        if self._round == 1:
            asked = [self._chunk(items, needed=True) for items in self._chunks]
        elif len(self._chunks) == 1 or self._round > _ROUNDS:
            asked = []
        elif self._round == 2:
            ties = self._ties([self._usable(_firm(part)) for part in self._parts])
            leaders = self._among_leaders(len(ties))
            tails = self._tails_by_depth(len(ties) + len(leaders))
            self._asked.update(map(frozenset, tails))
            asked = [self._chunk(items, needed=True) for items in ties]
            asked += [self._chunk(items) for items in (*leaders, *tails)]
        else:
            leaders = self._among_leaders(0)
            asked = [self._chunk(items) for items in (*leaders, *self._again(len(leaders)))]
        self._usual -= len(asked)
        self._most -= len(asked)
        return asked

    def take(self, answer: Ranking) -> None:
        """Add an answer. Answers must be added in the order of the requests of :meth:`next`."""
        scored = {
            self._number[id]: score
            for id, score in zip(answer.item_ids, answer.scores, strict=True)
            if score is not None and id in self._number
        }
        part = Part(tuple(scored), tuple(scored.values()))
        self._answers.append(answer)
        self._parts.append(part)
        if heads := _far_above(part):
            self._heads.update(heads)
            if self._round == 1:
                first = part.items[: min(_few(part), _tops(len(self._chunks), self._size))]
                self._suspects.update(first)

    def _chunk(self, items: Iterable[int], *, needed: bool = False) -> Chunk:
        # In input order, since the service keeps it among items of equal score.
        return Chunk(tuple(self._ids[item] for item in sorted(items)), needed)

    def _ties(self, groups: Sequence[Sequence[int]]) -> list[list[int]]:
        """Plan requests that rank the best items of all groups together. Each group is a list of items, best first."""
        groups = [group for group in groups if group]
        if len(groups) < 2:
            return []
        groups.sort(key=len, reverse=True)  # the largest group is in every request
        bundles = _bundles(groups, self._size)
        return [
            list(dict.fromkeys(item for group in bundle for item in group[: _tops(len(bundle), self._size)]))
            for bundle in bundles
        ]

    def _usable(self, items: Iterable[int]) -> list[int]:
        """The items that hide no others in a request."""
        return [item for item in items if item not in self._heads and item not in self._suspects]

    def _among_leaders(self, others: int) -> list[list[int]]:
        """Requests that rank the first items of all chunks, where some may be too far above their chunk to tie it.

        The first time they hold all of them; then, without those that turned out to hide the others, what is left.
        """
        if not self._heads:
            return []
        first = not self._leaders
        if first:
            # The heads of one chunk need not be ranked among others: the items below them say how far up they are.
            several = sum(not self._heads.isdisjoint(part.items) for part in self._parts) > 1
            self._leaders = asked = self._ties(
                [[item for item in part.items if several or item not in self._heads] for part in self._parts]
            )
        else:
            knows = self._scaled().knows
            self._suspects = {item for item in self._suspects - self._heads if not knows(item)}
            left = [[item for item in items if item not in self._heads] for items in self._leaders]
            asked = [
                items
                for items, before in zip(left, self._leaders, strict=True)
                if 1 < len(items) < len(before) and not self._suspects.isdisjoint(items)
            ]
            self._leaders = left
        if self._given is None:
            self._usual += len(asked)
            self._most += len(asked)
        allowed = asked[: max(0, self._most - others)]
        if len(allowed) < len(asked):
            self._short += len(asked) - len(allowed)
            if first:
                self._leaders = []
        return allowed

    def _tails_by_depth(self, ties: int) -> list[list[int]]:
        """Plan requests for items with small scores, grouped by their depth in their chunks."""
        deep: list[tuple[float, int, float]] = []
        for part in self._parts:
            deep += [
                ((place + 0.5) / len(part.items), item, HALF_UNIT / score if score else inf)
                for place, (item, score) in enumerate(zip(part.items, part.scores, strict=True))
                if item not in self._heads and item not in self._suspects
            ]
        deep.sort()
        placed, wrong = [item for _, item, _ in deep], [one for _, _, one in deep]
        good, poor = (-(-sum(one > limit for one in wrong) // self._room) for limit in (_GOOD, _POOR))
        requests = max(min(good, self._usual - ties), min(poor, self._most - ties))
        self._short += max(0, poor - requests)
        dull = [place for place, one in enumerate(wrong) if one > _GOOD]
        if len(dull) > requests * self._room:  # the worst of them
            dull = sorted(sorted(dull, key=lambda place: (wrong[place], place))[len(dull) - requests * self._room :])
        ends = [len(dull) * n // requests for n in range(requests + 1)] if requests else []
        return [self._tail(dull[start:end], placed) for start, end in pairwise(ends)]

    def _again(self, others: int) -> list[list[int]]:
        """Plan the next requests: tie groups that are not tied yet, else rank inexact items again."""
        usual, most = self._usual - others, self._most - others
        scale = self._scaled()
        firm: dict[int, dict[int, None]] = {}
        for part, group in zip(self._parts, scale.groups, strict=True):
            firm.setdefault(group, {}).update(dict.fromkeys(self._usable(_firm(part))))
        if ties := self._ties([sorted(items, key=lambda item: -scale.places[item]) for items in firm.values()]):
            self._short += max(0, len(ties) - max(0, most))
            return ties[: max(0, most)]
        placed = self._usable({item: None for part in self._parts for item in part.items})
        placed.sort(key=lambda item: -scale.places[item])
        wrong = [scale.coarseness[item] for item in placed]
        crowded = self._crowded(placed, scale)
        slices: list[list[int]] = [[]]
        for place in range(len(placed) - 1, -1, -1):  # from the end: the lowest items are the least exact
            if wrong[place] > _GOOD or placed[place] in crowded:
                lowest = slices[-1][:1]
                far = lowest and scale.places[placed[place]] - scale.places[placed[lowest[0]]] > _SPREAD
                if far or len(slices[-1]) == self._room:
                    slices.append([])
                slices[-1].append(place)
        # A request that was made before would not help now either, and one item alone never does.
        tails = [tuple(self._slice(sorted(places), placed, scale)) for places in slices if places]
        tails = [tail for tail in tails if len(tail) > 1 and frozenset(tail) not in self._asked]
        news = {tail: max(scale.coarseness[item] for item in tail) for tail in tails}
        swaps = {tail: fsum(crowded.get(item, 0.0) for item in tail) if news[tail] <= _POOR else 0.0 for tail in tails}
        poorest = {tail: max(news[tail], _POOR) for tail in tails}
        worst = sorted(tails, key=lambda tail: (-poorest[tail], -swaps[tail], -news[tail]))
        self._asked.update(map(frozenset, worst))
        poor = sum(one > _POOR for one in news.values())
        few = _SWAPPED * len(placed) * (len(placed) - 1) / 2
        while poor < len(worst) and fsum(swaps[tail] for tail in worst[poor:]) > few:
            poor += 1
        allowed = max(min(len(worst), usual), min(poor, most), 0)
        self._short += max(0, poor - allowed)
        return [list(tail) for tail in worst[:allowed]]

    def _crowded(self, placed: Sequence[int], scale: Scale) -> dict[int, float]:
        """Items that rounding may swap with others, each with its part of the swaps to expect; none if they are few.

        Where items of equal errors lie evenly, a swap is to be expected for each sixth of those within an item's error.
        Noise hides what is closer than it anyway.
        """
        places = sorted(scale.places[item] for item in placed)
        found: dict[int, float] = {}
        for item in _side_by_side(self._parts).intersection(placed):
            error = scale.coarseness[item]
            if 2 * scale.noise < error < inf:
                here = scale.places[item]
                found[item] = (bisect_right(places, here + error) - bisect_left(places, here - error) - 1) / 6
        swaps = sum(found.values())
        if swaps <= _SWAPPED * len(placed) * (len(placed) - 1) / 2:
            return {}
        # Those that have little part in it would only take room.
        return {item: count for item, count in found.items() if count > swaps / len(placed) / 4}

    def _tail(self, places: Sequence[int], placed: Sequence[int]) -> list[int]:
        """A request for the items at these places and for the pivots, the items just above them."""
        pivots = placed[max(0, places[0] - (self._size - self._room)) : places[0]]
        return [*pivots, *(placed[place] for place in places)]

    def _slice(self, places: Sequence[int], placed: Sequence[int], scale: Scale) -> list[int]:
        """The same where it is known how far up items are: pivots that would hide the lowest items give way.

        In their stead come items that lie between those of the request and need not be ranked again.
        """
        highest, lowest = scale.places[placed[places[0]]], scale.places[placed[places[-1]]]
        most = max(highest + _STEP, lowest + _SPREAD)
        first, pivots = places[0], self._size - self._room
        above = range(max(0, first - pivots), first)
        near = [place for place in above if scale.places[placed[place]] <= most or first - place <= _FEWEST_TOPS]
        own = set(places)
        between = [place for place in range(first, places[-1]) if place not in own][: pivots - len(near)]
        return [placed[place] for place in (*near, *sorted((*places, *(between if len(near) < len(above) else ()))))]

    def _scaled(self) -> Scale:
        if self._scale is None or len(self._scale.groups) != len(self._parts):
            self._scale = Scale.of(self._parts, len(self._ids))
        return self._scale

    def ranking(self, *, elapsed: float = 0.0, stopped_by: PersonalizeError | None = None) -> LongRanking:
        """Merge the answers so far into a ranking.

        Args:
            elapsed: Seconds that the requests took.
            stopped_by: The error for which answers are missing.
        """
        if stopped_by is None and self._short and self._given is not None:
            stopped_by = ValidationError(
                f"max_requests is {self._given:,}: {self._short:,} more would have made the ranking more exact; "
                "error_bound and unscaled say what it lacks",
                parameter="max_requests",
                limit=self._given + self._short,
            )
        infos = [answer.info for answer in self._answers]
        sources = {info.source for info in infos}
        info = ResponseInfo(
            attempts=sum(info.attempts for info in infos),
            elapsed=elapsed,
            source="cache" if sources == {"cache"} else "service",
        )
        came_with: dict[str, str | None] = {}
        metadata: dict[str, Metadata] = {}
        for answer in self._answers:
            for id in answer.item_ids:
                came_with.setdefault(id, answer.recommendation_id)
            if self._with_metadata:
                for row in answer:
                    metadata.setdefault(row.item_id, row.metadata)
        if len(self._answers) == 1:
            only = self._answers[0]
            scored = {id: score for id, score in zip(only.item_ids, only.scores, strict=True) if score is not None}
            more: dict[str, Any] = {"recommendation_id": only.recommendation_id}
            info = attrs.evolve(info, request_id=only.info.request_id)
        else:
            scored, more = self._merged()
        ids = list(scored)
        if len(self._ids) < len(self._input):
            times = Counter(self._input)
            ids = [id for id in scored for _ in range(times[id])]
        ids += [id for id in self._input if id in came_with and id not in scored]
        return LongRanking(
            ids,
            scores=map(scored.get, ids),
            metadata=[metadata.get(id) for id in ids] if metadata else None,
            recommendation_ids=map(came_with.__getitem__, ids),
            input_list=self._input,
            info=info,
            requests=len(self._answers),
            stopped_by=stopped_by,
            **more,
        )

    def _merged(self) -> tuple[dict[str, float], dict[str, Any]]:
        """The scored items in order with their scores, and the attributes ``error_bound`` and ``unscaled``."""
        scale = self._scaled()
        order, bound = scale.ordered(self._parts)
        top = max(order.values(), default=0.0)
        powers = [exp(place - top) for place in order.values()]
        # Where no answer has a score above 0, there is nothing to share.
        total = fsum(powers) if any(map(_firm, self._parts)) else inf
        scored = {self._ids[item]: power / total for item, power in zip(order, accumulate(powers, min), strict=True)}
        return scored, {
            "error_bound": bound,
            "unscaled": [self._ids[item] for item in order if not scale.knows(item)],
        }


def _dealt(size: int, room: int) -> list[list[int]]:
    """Split the numbers below *size* at random into as few chunks as possible, of almost equal size.

    The split depends on *size* alone, so that a second call makes the same requests, and a cache can answer them.
    """
    numbers = list(range(size))
    chunks = max(1, -(-size // room))
    if chunks > 1:
        chance = random.Random(size).random
        numbers.sort(key=lambda _: chance())
    return [sorted(numbers[n::chunks]) for n in range(chunks)]


def _bundles(groups: Sequence[Any], room: int) -> list[list[Any]]:
    """Bundle groups, one request to each bundle. The first group is in every bundle, and so ties all of them."""
    most = room // min(_FEWEST_TOPS, room // 2) - 1
    first, *others = groups
    return [[first, *others[start : start + most]] for start in range(0, len(others), most)]


def _tops(groups: int, room: int) -> int:
    """The number of items of each group in one request."""
    return min(_TOPS, room // groups)


def _firm(part: Part) -> list[int]:
    """The items with a score above 0."""
    return [item for item, score in zip(part.items, part.scores, strict=True) if score > HALF_UNIT]


def _side_by_side(parts: Iterable[Part]) -> set[int]:
    """The items whose score in some answer is almost that of others; a level of equals, far from all others, is not."""
    found: set[int] = set()
    for part in parts:
        items, scores = part.items, part.scores
        start, close = 0, False  # where the equals begin, and whether what is above them is close
        for end in range(1, len(scores) + 1):
            if end < len(scores) and scores[end] == scores[start]:
                continue
            after = end < len(scores) and scores[end] > HALF_UNIT and scores[start] - scores[end] < _CLOSE
            if close or after:
                found.update(items[start:end])
            start, close = end, after
    return found


def _few(part: Part) -> int:
    return max(1, len(part.items) // _FEW)


def _far_above(part: Part) -> list[int]:
    """The first few items of a ranking, if they are so far above the others that rounding blurs the others' scores."""
    last = 0
    for place, (score, after) in enumerate(pairwise(part.scores[: _few(part) + 1]), start=1):
        if max(after, HALF_UNIT) < _GAP * score:
            last = place
    return list(part.items[:last])

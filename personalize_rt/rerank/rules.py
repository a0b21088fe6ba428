"""Rules of a caller for a list: variety, fixed places, more weight, items that are out.

A rule gives an answer of the same type with the same items in another order (:func:`without`: with fewer). Scores,
promotions, metadata and the recommendation id stay what they were, so scores need no longer descend. Each row that a
rule moved says so in its ``rules``. Rules are applied in the order in which they are called: pin last.

No rule brings back an item that a filter took out. Items at the end of a ranking that the model does not know stay
there, in their order, unless a rule names them. An item that the list repeats keeps its places side by side.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import attrs

from personalize_rt import checks
from personalize_rt.columns import is_frame, items_from_frame
from personalize_rt.errors import ValidationError
from personalize_rt.redaction import describe, shown_number
from personalize_rt.results import COLUMNS, ActionRecommendations, Ranking, Recommendations, evolved, fields_of

if TYPE_CHECKING:
    from personalize_rt.rerank.long import LongRanking

__all__ = ["Rules", "boost", "diversify", "mmr", "pin", "rearranged", "without"]

AnswerT = TypeVar("AnswerT", bound=Ranking | Recommendations | ActionRecommendations)
ItemsT = TypeVar("ItemsT", bound=Ranking | Recommendations)


# The rules.


def diversify(answer: ItemsT, *, by: str, at_most: int = 1, within: int | None = None, items: object = None) -> ItemsT:
    """Let at most so many items of one kind stand near each other.

    From the top, each place goes to the best of the remaining items that the rule allows there; where it allows none,
    to the best one. An item with several values, in a list or with ``|`` between them, counts for each of them. One
    without a value is allowed everywhere.

    Args:
        answer: The items.
        by: The column that says what kind an item is, such as ``"GENRES"``; case and underscores make no difference.
        at_most: How many items may share a value, from 1.
        within: In how many neighbouring places, from 1; ``None`` for the whole list.
        items: Where the column is, besides the metadata of the answer: a mapping of item id to a mapping of columns,
            a frame with a column ``ITEM_ID``, or an object whose ``items`` is one of them, like ``LocalPersonalize``.

    Raises:
        ValidationError: A number makes no sense, or nobody knows the column.
    """
    _check_whole(at_most, "at_most", 1)
    if within is not None:
        _check_whole(within, "within", 1)
    ruled, rest = _parts(answer)
    kinds = _kinds(answer, ruled, by, items)
    order, held_by = _spread(kinds, at_most, within)
    where = "the list" if within is None else f"{within} places"
    texts = {kind: f"at most {at_most} with {by} {kind} in {where}" for kind in set(held_by.values())}
    why = {ruled[place]: texts[kind] for place, kind in held_by.items()}
    passing = f"moved up past items held back by {by}"
    return rearranged(answer, [*(ruled[place] for place in order), *rest], why, passing)


def mmr(answer: ItemsT, similarity: Callable[[str, str], float], *, trade_off: float = 0.7, k: int = 25) -> ItemsT:
    """Choose the first ``k`` items by maximal marginal relevance (Carbonell and Goldstein, 1998).

    Each place goes to the item with the highest ``trade_off * relevance - (1 - trade_off) * similarity``, where the
    similarity is that to the most similar item before it. Relevance is the score as a part of the highest one; where
    not all items have scores, it falls evenly from 1 to 0. Behind the first ``k``, items keep their order.

    Args:
        answer: The items.
        similarity: Of two item ids, from 0 (nothing in common) to 1 (the same). It is asked only for pairs that matter.
        trade_off: From 0 (variety alone) to 1 (relevance alone).
        k: How many places, from 1.

    Raises:
        ValidationError: A number makes no sense, or a similarity is NaN, infinite or no number.
    """
    share = _number(trade_off, "trade_off")
    if not 0 <= share <= 1:
        raise ValidationError(f"trade_off is {trade_off}; it takes a number from 0 to 1", parameter="trade_off")
    _check_whole(k, "k", 1)
    if not callable(similarity):
        raise ValidationError(
            f"similarity is {describe(similarity)}, not a function of two item ids", parameter="similarity"
        )
    ruled, rest = _parts(answer)
    relevance = _relevance(answer, ruled)
    # An item's value only falls as others are chosen, so one that is out of date says how high it can be at most.
    heap = [(-share * value, place, 0, 0.0) for place, value in enumerate(relevance)]
    heapify(heap)
    chosen: list[int] = []
    while heap and len(chosen) < k:
        _, place, seen, nearest = heappop(heap)
        if seen == len(chosen):
            chosen.append(place)
            continue
        for other in chosen[seen:]:
            nearest = max(nearest, _similar(similarity, ruled[place], ruled[other]))
        heappush(heap, ((1 - share) * nearest - share * relevance[place], place, len(chosen), nearest))
    taken = set(chosen)
    order = [*(ruled[place] for place in chosen), *(id for place, id in enumerate(ruled) if place not in taken), *rest]
    return rearranged(answer, order, {}, "variety (mmr)")


def pin(answer: AnswerT, places: Mapping[str, int]) -> AnswerT:
    """Put items at places; the others keep their order around them.

    Args:
        answer: The items, or actions.
        places: Id to place, from 0, as ``answer.position(id)`` gives it.

    Raises:
        ValidationError: An id is not in the answer, a place is not in the list, or two ids want the same place.
    """
    wanted = _mapping(places, "places", "ids to places")
    ids = list(dict.fromkeys(_ids(answer)))
    present = set(ids)
    owners: dict[int, str] = {}
    for id, place in wanted.items():
        _check_present(answer, id, present, "places")
        _check_whole(place, f"places[{id!r}]", 0, parameter="places")
        if place >= len(answer):
            raise ValidationError(
                f"places[{id!r}] is {place:,}; the answer has {len(answer):,} rows, so the last place is "
                f"{len(answer) - 1:,}",
                parameter="places",
                limit=len(answer) - 1,
            )
        if place in owners:
            raise ValidationError(f"places gives place {place} to {owners[place]!r} and to {id!r}", parameter="places")
        owners[place] = id
    times = _times(answer)
    pinned = deque(sorted(owners.items()))
    others = deque(id for id in ids if id not in wanted)
    order: list[str] = []
    row = 0
    while pinned or others:
        id = pinned.popleft()[1] if pinned and (pinned[0][0] <= row or not others) else others.popleft()
        order.append(id)
        row += times.get(id, 1)
    return rearranged(answer, order, dict.fromkeys(wanted, "pinned"), "made room for pinned ones")


def boost(answer: AnswerT, factors: Mapping[str, float]) -> AnswerT:
    """Order the rows by their scores times a factor, highest first; equals keep their order.

    Args:
        answer: The items, or actions.
        factors: Id to factor, above 0: 2.0 doubles the score, 0.5 halves it. Those that are not named have 1.

    Raises:
        ValidationError: An id is not in the answer, or has no score; or a factor is no number above 0.
    """
    given = _mapping(factors, "factors", "ids to factors")
    ruled, rest = _parts(answer)
    scores = dict(zip(_ids(answer), answer.scores, strict=True))
    numbers: dict[str, float] = {}
    for id, factor in given.items():
        _check_present(answer, id, scores, "factors")
        numbers[id] = _number(factor, f"factors[{id!r}]", parameter="factors")
        if numbers[id] <= 0:
            raise ValidationError(f"factors[{id!r}] is {factor}; it takes a number above 0", parameter="factors")
        if scores[id] is None:
            raise ValidationError(
                f"factors names {id!r}, which has no score to multiply; pin() puts it at a place", parameter="factors"
            )
    why = {id: f"score times {number:g}" for id, number in numbers.items()}
    if not numbers:
        return answer

    def value(id: str) -> float:
        score = scores[id]
        return -inf if score is None else score * numbers.get(id, 1.0)

    return rearranged(answer, [*sorted(ruled, key=value, reverse=True), *rest], why, "boosted ones passed")


def without(answer: AnswerT, ids: Iterable[str]) -> AnswerT:
    """Take items out, such as those that were bought; ids that are not in the answer make no difference.

    Of a ranking, they are in ``missing`` then, and no later rule brings them back.

    Args:
        answer: The items, or actions.
        ids: What to take out; taken once.

    Raises:
        ValidationError: ``ids`` is no list of ids.
    """
    if isinstance(ids, str | bytes) or not hasattr(ids, "__iter__"):
        raise ValidationError(f"ids is {describe(ids)}; it takes a list of ids", parameter="ids")
    out: set[Any] = set()
    for place, id in enumerate(cast("Iterable[Any]", ids)):
        if not isinstance(id, str):
            raise ValidationError(f"ids[{place}] is {describe(id)}, not a str", parameter="ids")
        out.add(id)
    kept = [id for id in dict.fromkeys(_ids(answer)) if id not in out]
    return answer if len(kept) == len(_times(answer)) else rearranged(answer, kept, {}, "others were taken out")


@attrs.frozen(kw_only=True)
class Rules:
    """Rules that need no code, to apply to many lists, in the order of these fields.

    What they name need not be in each list: a pin, a factor, or a place behind the end of a list is passed over there.

    Attributes:
        without: Ids to take out.
        boost: Id to factor.
        diversify: The column, how many items may share a value, and in how many neighbouring places.
        items: The items with that column, as the method ``diversify`` takes them.
        pin: Id to place, from 0.
    """

    without: Sequence[str] = ()
    boost: Mapping[str, float] = attrs.field(factory=dict[str, float])
    diversify: tuple[str, int, int | None] | None = None
    items: object = attrs.field(default=None, repr=False)
    pin: Mapping[str, int] = attrs.field(factory=dict[str, int])

    def __bool__(self) -> bool:
        return bool(self.without or self.boost or self.diversify or self.pin)

    def apply(self, answer: ItemsT, *, strict: bool = False) -> ItemsT:
        """The answer under these rules.

        Args:
            answer: The items.
            strict: Refuse what names an item, or a place, that the answer does not have.

        Raises:
            ValidationError: A rule makes no sense, or nobody knows the column.
        """
        answer = without(answer, self.without)
        scores = dict(zip(answer.item_ids, answer.scores, strict=True))
        answer = boost(answer, {id: by for id, by in self.boost.items() if strict or scores.get(id) is not None})
        if self.diversify is not None and answer.item_ids:
            by, at_most, within = self.diversify
            answer = diversify(answer, by=by, at_most=at_most, within=within, items=self.items)
        here = {id: at for id, at in self.pin.items() if strict or (id in scores and at < len(answer))}
        return pin(answer, here) if here else answer


# What they share.


def rearranged(
    answer: AnswerT, order: Iterable[str], why: Mapping[str, str], otherwise: str, *, once: bool = False, **changes: Any
) -> AnswerT:
    """The answer with its rows in another order, each with the reason for which it moved.

    Args:
        answer: The rows.
        order: Ids; one that the answer does not have becomes a row with nothing but its id.
        why: Id to reason.
        otherwise: The reason for all others.
        once: An id that the answer repeats gets one row each time that ``order`` has it; else it keeps all its rows.
        **changes: Other fields of the new answer.
    """
    ids = _ids(answer)
    rows: dict[str, list[int]] = {}
    for row, id in enumerate(ids):
        rows.setdefault(id, []).append(row)
    taken: list[int | None] = []
    told: list[str | None] = []
    news: list[str] = []
    for id in order:
        after = len(taken)
        before = rows.get(id)
        if before is None:
            news.append(id)
            taken.append(None)
            told.append(f"{why.get(id, otherwise)}: new at {after + 1}")
            continue
        if once:
            before = before[:1]
        text = None if before[0] == after else f"{why.get(id, otherwise)}: {before[0] + 1} → {after + 1}"
        for row in before:
            news.append(id)
            taken.append(row)
            told.append(text)
    for field in fields_of(type(answer)):
        if field.name in COLUMNS:
            column = answer.scores if field.name == "_scores" else _column(answer, field.name)
            if column is not None and len(column) == len(ids):
                empty = () if field.name in ("_reasons", "_rules") else None
                changes[field.alias] = [empty if row is None else column[row] for row in taken]
        elif field.name == "_input_list" and not _column(answer, field.name):
            # Of a ranking that was read without its request, too, what is taken out stays out.
            changes.setdefault("input_list", ids)
    if None in taken and "row_ids" not in changes and answer.recommendation_id is not None:
        # A row that the caller added is of no answer of the service.
        changes["row_ids"] = [None if row is None else answer.recommendation_id for row in taken]
    changes["action_ids" if isinstance(answer, ActionRecommendations) else "item_ids"] = news
    if any(told):
        old: Sequence[tuple[str, ...]] = changes.get("rules") or [()] * len(news)
        changes["rules"] = [so_far if text is None else (*so_far, text) for so_far, text in zip(old, told, strict=True)]
    if hasattr(answer, "unscaled"):
        left = set(news)
        changes["unscaled"] = [id for id in cast("LongRanking", answer).unscaled if id in left]
    return evolved(answer, **changes)


def _column(answer: object, name: str) -> Any:
    """A column as the answer keeps it, ``None`` where no row has a value."""
    return getattr(answer, name)


def _ids(answer: Ranking | Recommendations | ActionRecommendations) -> tuple[str, ...]:
    return answer.action_ids if isinstance(answer, ActionRecommendations) else answer.item_ids


def _times(answer: Ranking | Recommendations | ActionRecommendations) -> dict[str, int]:
    times: dict[str, int] = {}
    for id in _ids(answer):
        times[id] = times.get(id, 0) + 1
    return times


def _parts(answer: Ranking | Recommendations | ActionRecommendations) -> tuple[list[str], list[str]]:
    """The distinct ids to order, and those at the end of a ranking that the model does not know."""
    ids, end = _ids(answer), len(answer)
    if isinstance(answer, Ranking):
        scores = answer.scores
        while end and scores[end - 1] is None:
            end -= 1
    # An answer without any score is one of a fallback that gives none.
    end = end or len(ids)
    ruled = dict.fromkeys(ids[:end])
    return list(ruled), [id for id in dict.fromkeys(ids[end:]) if id not in ruled]


def _kinds(answer: Ranking | Recommendations, ids: Sequence[str], by: Any, items: Any) -> list[tuple[str, ...]]:
    """The values of a column, for each id."""
    if not isinstance(by, str) or not by:
        raise ValidationError(f"by is {describe(by)}; it takes the name of a column", parameter="by")
    catalogue = _catalogue(items)
    metadata = _column(answer, "_metadata")
    known: dict[str, Mapping[str, Any]] = {} if metadata is None else dict(zip(answer.item_ids, metadata, strict=True))
    values: list[Any] = []
    found = False
    for id in ids:
        value: Any = None
        for row in (known.get(id), catalogue.get(id)):
            if row:
                name = by if by in row else _spelled(row, by)
                if name is not None:
                    found = True
                    value = row[name]
                    if value is not None:
                        break
        values.append(value)
    if ids and not found:
        rows = (row for some in (known, catalogue) for id in ids if (row := some.get(id)))
        there = sorted({str(name) for row in rows for name in row if str(name).isidentifier()})
        advice = f"there are {there}" if there else "ask for it in metadata_columns, or give items="
        raise ValidationError(f"no item has a column {by!r}: {advice}", parameter="by")
    return [_split(value) for value in values]


def _spelled(row: Mapping[Any, Any], column: str) -> Any:
    """The name of a column as a row spells it, or ``None``."""
    wanted = _plain(column)
    return next((name for name in row if _plain(str(name)) == wanted), None)


def _split(value: Any) -> tuple[str, ...]:
    """The values of an item, which may be in one text, in a list, or none."""
    if isinstance(value, str):
        return tuple(dict.fromkeys(filter(None, value.split("|")))) if "|" in value else (value,) if value else ()
    if value is None or value != value:
        return ()
    if isinstance(value, Iterable):
        return tuple(dict.fromkeys(map(str, cast("Iterable[object]", value))))
    return (str(value),)


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _catalogue(items: Any) -> Mapping[str, Any]:
    if items is None:
        return {}
    inside: Any = items
    if not isinstance(items, Mapping) and not is_frame(items):
        inside = getattr(items, "items", None)
    if is_frame(inside):
        return items_from_frame(inside)
    if not isinstance(inside, Mapping):
        raise ValidationError(
            f"items is {describe(items)}; it takes a mapping of item ids to columns, a frame with a column ITEM_ID, or "
            "an object with such items",
            parameter="items",
        )
    rows = cast("Mapping[str, Any]", inside)
    for row in rows.values():
        if not isinstance(row, Mapping):
            raise ValidationError(
                f"items maps an id to {describe(row)}; it takes mappings of columns", parameter="items"
            )
        break
    return rows


def _spread(kinds: Sequence[tuple[str, ...]], at_most: int, within: int | None) -> tuple[list[int], dict[int, str]]:
    """The places in their new order; and for each that was held back, the value that did it."""
    names = list(dict.fromkeys(kind for some in kinds for kind in some))
    bits = {kind: 1 << number for number, kind in enumerate(names)}
    count = dict.fromkeys(names, 0)
    # A set of kinds is a number, since each place looks at many items.
    left = list(range(len(kinds)))
    masks = [sum([bits[kind] for kind in some]) for some in kinds]
    full = passed = 0
    held_by: dict[int, str] = {}
    order: list[int] = []
    while left:
        number = 0
        for number, mask in enumerate(masks):  # noqa: B007 - the place where it stops
            if not mask & full:
                break
        else:  # the rule allows none of the rest here
            number = 0
            if within is None:  # nor anywhere else
                held_by |= {place: names[_lowest(mask & full)] for place, mask in zip(left, masks, strict=True)}
                return order + left, held_by
        if number > passed:
            for n in range(passed, number):
                held_by[left[n]] = names[_lowest(masks[n] & full)]
            passed = number
        elif passed:
            passed -= 1
        place = left.pop(number)
        del masks[number]
        order.append(place)
        for kind in kinds[place]:
            count[kind] += 1
            if count[kind] >= at_most:
                full |= bits[kind]
        if within is not None and len(order) >= within:
            for kind in kinds[order[len(order) - within]]:
                count[kind] -= 1
                if count[kind] < at_most:
                    full &= ~bits[kind]
    return order, held_by


def _lowest(mask: int) -> int:
    """The number of the lowest bit that is set."""
    return (mask & -mask).bit_length() - 1


def _relevance(answer: Ranking | Recommendations, ids: Sequence[str]) -> list[float]:
    """The relevance of each item, from 0 to 1."""
    scores = dict(zip(answer.item_ids, answer.scores, strict=True))
    found = [score for id in ids if (score := scores[id]) is not None]
    highest = max(found, default=0.0)
    if len(found) < len(ids) or highest <= 0:
        return [1 - place / len(ids) for place in range(len(ids))]
    return [score / highest for score in found]


def _similar(similarity: Callable[[str, str], Any], one: str, other: str) -> float:
    value = similarity(one, other)
    if type(value) is float and isfinite(value):
        return value
    number = checks.as_float(value)
    if number is None or not isfinite(number):
        what = describe(value) if number is None else f"{number}"
        raise ValidationError(
            f"similarity gave {what} for {one!r} and {other!r}; it takes a number from 0 to 1", parameter="similarity"
        )
    return number


def _mapping(given: Any, name: str, what: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ValidationError(f"{name} is {describe(given)}, not a mapping of {what}", parameter=name)
    wanted: dict[Any, Any] = dict(cast("Any", given))
    for id in wanted:
        if not isinstance(id, str):
            raise ValidationError(f"{name} names {describe(id)}, not a str", parameter=name)
    return wanted


def _check_present(answer: object, id: str, present: Iterable[str], parameter: str) -> None:
    if id not in cast("set[str]", present):
        gone = isinstance(answer, Ranking) and id in answer.missing
        why = "which was taken out, and does not come back" if gone else "which is not in the answer"
        raise ValidationError(f"{parameter} names {id!r}, {why}", parameter=parameter)


def _check_whole(value: Any, name: str, least: Literal[0, 1], *, parameter: str | None = None) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValidationError(
            f"{name} is {shown_number(value)}: it must be an int from {least}", parameter=parameter or name
        )


def _number(value: Any, name: str, *, parameter: str | None = None) -> float:
    number = checks.as_float(value)
    if number is None or not isfinite(number):
        what = describe(value) if number is None else f"{number}"
        raise ValidationError(f"{name} is {what}; it takes a finite number", parameter=parameter or name)
    return number

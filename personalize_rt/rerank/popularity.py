"""A scorer of popularity, the same for every user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import exp2, log
from typing import Any, Literal, Self

import attrs
from attrs.setters import frozen

from personalize_rt.interactions import Interaction
from personalize_rt.rerank import storage
from personalize_rt.rerank.decay import DecayedCounts
from personalize_rt.rerank.training import Event, events_in_order, half_life

__all__ = ["PopularityScorer"]

_DAY = 86_400.0
_HALF_LIVES = (0.5, 2.0, 7.0, 30.0, 120.0, 365.0, None)
_USUAL = 3.0  # days, of fewer events than tell
_ENOUGH = 500


def _half_life(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value != "auto":
        half_life(_, attribute, value)


@attrs.define(eq=False, kw_only=True)
class PopularityScorer:
    """Scores an item by its number of events, in which recent ones weigh more.

    The logit is ln of the sum over the item's events of ``2 ** -(age / half-life)``. Age is measured from the newest
    event of all, never from the wall clock. So the score in a ranking is the item's share of the sums of all items.
    Every event counts, duplicates too. User and context are ignored.

    Several threads may rank with it at once, but not while another fits or updates it.

    Args:
        half_life_days: The age in days at which an event counts half; ``None``: no decay, as in the Popularity-Count
            recipe. ``"auto"``: :meth:`fit` takes that of half a day to a year, or none, under which the newest fifth of
            the events were the most likely; of fewer than 500 events, 3 days.

    Raises:
        ValidationError: A half-life that is not a number above 0.
    """

    half_life_days: float | Literal["auto"] | None = attrs.field(
        default="auto", validator=_half_life, on_setattr=frozen
    )
    _counts: DecayedCounts = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._counts = DecayedCounts(_USUAL if self.half_life_days == "auto" else self.half_life_days)

    @property
    def used_half_life_days(self) -> float | None:
        """The half-life in use: the given one, or the one that :meth:`fit` found."""
        return self._counts.half_life_days

    def fit(self, interactions: Iterable[Interaction]) -> Self:
        """Learn from these events alone. Forgets what was learned before.

        Args:
            interactions: The events, in any order; none is allowed, and leaves every item unknown.

        Returns:
            The scorer itself.

        Raises:
            ValidationError: An event that is not an Interaction, has an id that is not a str, or a timestamp that
                is not a finite number. What was learned before stays.
        """
        events = events_in_order(interactions, "interactions")
        self._counts = DecayedCounts(_best(events) if self.half_life_days == "auto" else self.half_life_days)
        return self._learn(events)

    def update(self, events: Iterable[Interaction]) -> Self:
        """Learn from further events: the outcome is that of one ``fit`` over all, to 1e-9 in each logit.

        Args:
            events: The events, in any order, also older than those learned before.

        Returns:
            The scorer itself.

        Raises:
            ValidationError: As ``fit`` does.
        """
        return self._learn(events_in_order(events, "events"))

    def _learn(self, events: Iterable[Event]) -> Self:
        for timestamp, _, item_id in events:
            self._counts.add(item_id, timestamp)
        return self

    def __call__(
        self, user_id: str, item_ids: Sequence[str], context: Mapping[str, str] | None = None, /
    ) -> Sequence[float | None]:
        """The logit of each item; ``None`` for an item without events."""
        return self._counts.logarithms(item_ids)

    def save(self, path: storage.Path) -> None:
        """Write what was learned to a file; :meth:`load` gives a scorer with the same logits.

        Args:
            path: Where to write; an existing file is replaced.

        Raises:
            OSError: The file cannot be written.
        """
        ids, columns = self._counts.columns("popularity")
        content: dict[str, object] = {"parameters": {"half_life_days": self.half_life_days}, "items": ids}
        if self.half_life_days == "auto":
            content["used"] = self._counts.half_life_days
        storage.save(path, storage.Stored(type(self).__name__, content, columns))

    @classmethod
    def load(cls, path: storage.Path) -> Self:
        """Read a file that :meth:`save` wrote.

        Args:
            path: The file.

        Raises:
            ValidationError: The file is damaged, of a newer version, or of something else.
            OSError: The file cannot be read.
        """
        return storage.taken(storage.load(path, cls.__name__), cls._restored)

    @classmethod
    def _restored(cls, stored: storage.Stored) -> Self:
        scorer = cls(**stored.content["parameters"])
        if scorer.half_life_days == "auto":
            used = stored.content["used"]
            if used not in (*_HALF_LIVES, _USUAL):
                raise ValueError("not a half-life of fit")
            scorer._counts = DecayedCounts(used)
        scorer._counts.restore("popularity", stored.columns, storage.texts(stored.content["items"]))
        return scorer


def _best(events: Sequence[Event]) -> float | None:
    """The half-life that makes the newest fifth of the events most likely, each given those before it."""
    if len(events) < _ENOUGH:
        return _USUAL
    return max(_HALF_LIVES, key=lambda half_life_days: _likelihood(events, half_life_days))


def _likelihood(events: Sequence[Event], half_life_days: float | None) -> float:
    seconds = None if half_life_days is None else half_life_days * _DAY
    newest = 4 * len(events) // 5
    counts: dict[str, float] = {}
    start, total, sum_of_logs = events[0][0], 0.0, 0.0
    for n, (timestamp, _, item_id) in enumerate(events):
        # Newer events weigh more, instead of older ones less: so that no count changes as time passes.
        exponent = 0.0 if seconds is None else (timestamp - start) / seconds
        if exponent > 800.0:
            # A count too small to be told from none is none.
            loss = exp2(-exponent) if exponent < 1_000.0 else 0.0
            counts = {id: left for id, count in counts.items() if (left := count * loss)}
            start, total, exponent = timestamp, sum(counts.values()), 0.0
        count = counts.get(item_id, 0.0)
        if n >= newest:
            # An item without events gets a little, so that a short half-life pays for what it forgot.
            sum_of_logs += log((count / total if total else 0.0) + 1e-6)
        added = exp2(exponent)
        counts[item_id] = count + added
        total += added
    return sum_of_logs

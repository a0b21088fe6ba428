"""Many weak signs of what a user wants next, mixed by weights that were learned from what users did next."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import attrs
from attrs.setters import frozen

from personalize_rt.interactions import Interaction
from personalize_rt.rerank.content import Catalogue
from personalize_rt.rerank.mixing import Choice, learn
from personalize_rt.rerank.signals import SIGNALS, Signals
from personalize_rt.rerank.training import Event, events_in_order, whole

__all__ = ["EnsembleScorer"]

_DEFAULTS: Mapping[str, float] = {}
_CHOICES = 5_000
_NEGATIVES = 20


@attrs.define(eq=False, kw_only=True)
class EnsembleScorer:
    """Doc later."""

    items: Mapping[str, Mapping[str, Any]] | None = attrs.field(default=None, repr=False)
    categories: Sequence[str] = attrs.field(default=("GENRES",), on_setattr=frozen)
    number: str | None = attrs.field(default="YEAR", on_setattr=frozen)
    neighbours: int = attrs.field(default=100, validator=whole, on_setattr=frozen)
    learn: bool = attrs.field(default=True)
    _weights: list[float] = attrs.field(init=False, repr=False)
    _signals: Signals = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._weights = [_DEFAULTS.get(name, 0.0) for name in SIGNALS]
        self._signals = Signals(Catalogue.of(self.items, self.categories, self.number), self.neighbours)

    def fit(self, interactions: Iterable[Interaction]) -> Self:
        events = events_in_order(interactions, "interactions")
        self._forget()
        choices = self._learned(events)
        if choices:
            self._weights = learn(choices, self._weights, seed=0)
        return self

    def _learned(self, events: Sequence[Event]) -> list[Choice]:
        """Take all events in, and ask about some of the newest before each is learned."""
        chance = random.Random(0)
        newest = max(len(events) // 5, min(len(events) // 2, 2000))
        first = len(events) - newest
        asked = set(chance.sample(range(first, len(events)), min(newest, _CHOICES))) if self.learn else set[int]()
        choices: list[Choice] = []
        signals = self._signals
        for n, event in enumerate(events):
            if n in asked and signals.has(event[2]):
                candidates = {event[2]: None}
                for _ in range(2 * _NEGATIVES):
                    candidates[events[int(n * chance.random())][2]] = None
                    if len(candidates) > _NEGATIVES:
                        break
                if len(candidates) > 1:
                    choices.append(signals.rows(event[1], list(candidates)))
            signals.add(event)
        return choices

    def update(self, events: Iterable[Interaction]) -> Self:
        for event in events_in_order(events, "events"):
            self._signals.add(event)
        return self

    def __call__(
        self, user_id: str, item_ids: Sequence[str], context: Mapping[str, str] | None = None, /
    ) -> Sequence[float | None]:
        return self._signals.logits(user_id, item_ids, self._weights)

"""The models of one embedded service, each trained when a request first needs it."""

from __future__ import annotations

import threading
from array import array
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar, cast

import attrs

from personalize_rt import forks
from personalize_rt.local.datasets import Datasets, EventLog, Table
from personalize_rt.local.likeness import LikenessModel
from personalize_rt.local.offers import ActionModel
from personalize_rt.local.taste import TasteModel
from personalize_rt.local.trends import TrendModel
from personalize_rt.local.universe import Order, Universe

__all__ = ["Models", "events_of_type"]

ModelT = TypeVar("ModelT")


@attrs.define(repr=False, slots=False)  # for the lock
class Models:
    """The models of the datasets. Safe to share between threads.

    Attributes:
        datasets: The datasets.
    """

    datasets: Datasets
    _made: dict[Hashable, object] = attrs.field(factory=dict[Hashable, object], init=False)
    _lock = forks.PerProcess(lambda: threading.RLock())

    @property
    def universe(self) -> Universe:
        """All items: first those with interactions, in their order, then those of the Items dataset."""
        return self._once("universe", lambda: Universe.of(self._log.targets, self.datasets.items or ()))

    def taste(self, event_type: str | None = None) -> TasteModel:
        """The model of preferences, from all events or from those of one type."""
        events = self._learned_from(event_type)
        if event_type is not None and events is None:
            return self.taste()
        return self._once(("taste", event_type), lambda: TasteModel(self._log, self.universe, events))

    @property
    def counts(self) -> Sequence[int]:
        """The number of events of each item, by its number."""
        return self._once("counts", lambda: self._counted(None))

    def _counted(self, events: Sequence[int] | None) -> Sequence[int]:
        targets = self._log.target
        counts = Counter(targets if events is None else map(targets.__getitem__, events))
        return array("q", map(counts.__getitem__, range(len(self.universe))))

    def popular(self, event_type: str | None = None) -> Order:
        """The items by their number of events, of all types or of one."""

        def make() -> Order:
            events = self._learned_from(event_type)
            return Order(self.universe, self.counts if events is None else self._counted(events))

        return self._once(("popular", event_type), make)

    @property
    def likeness(self) -> LikenessModel:
        """The model of similarity by metadata."""
        return self._once("likeness", lambda: LikenessModel(self.datasets.items or Table(), self.universe))

    def trends(self, interval: float) -> TrendModel:
        """The model of trends between intervals of so many seconds."""
        return self._once(("trends", interval), lambda: TrendModel(self._log, self.universe, interval))

    @property
    def offers(self) -> ActionModel:
        """The model of next-best-action."""
        return self._once(
            "offers",
            lambda: ActionModel(self.datasets.actions or Table()).fit(self.datasets.action_interactions),
        )

    def prepare(self) -> None:
        """Compute the lazy parts of the models that exist so far."""
        with self._lock:
            made = list(self._made.values())
        for model in made:
            if isinstance(model, TasteModel):
                model.prepare()

    @property
    def trained(self) -> Mapping[Hashable, object]:
        """The models that exist so far, by key, for :meth:`adopt` of another process."""
        with self._lock:
            return {key: model for key, model in self._made.items() if key not in ("log", "universe")}

    def adopt(self, trained: Mapping[Hashable, object]) -> None:
        """Take over models that were trained on the same datasets; those that exist already stay."""
        with self._lock:
            self._made = {**trained, **self._made}

    @property
    def _log(self) -> EventLog:
        return self._once("log", lambda: self.datasets.interactions or EventLog())

    def _learned_from(self, event_type: str | None) -> Sequence[int] | None:
        """The indexes of the events of one type; ``None`` if these are all events."""
        if event_type is None:
            return None
        return self._once(("events", event_type), lambda: events_of_type(self._log, event_type))

    def _once(self, key: Hashable, make: Callable[[], ModelT]) -> ModelT:
        """The model of a key. One thread trains it; others wait for it."""
        if key not in self._made:
            with self._lock:
                if key not in self._made:
                    self._made[key] = make()
        return cast(ModelT, self._made[key])


def events_of_type(log: EventLog, event_type: str) -> array[int] | None:
    """The indexes of the events of a type, in any case; ``None`` if these are all events."""
    wanted = {number for name, number in log.types.items() if name.casefold() == event_type.casefold()}
    if len(wanted) == len(log.types):
        return None
    return array("i", (event for event, kind in enumerate(log.type) if kind in wanted))

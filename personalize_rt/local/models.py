"""The models of one embedded service, each made when the first request needs it."""

from __future__ import annotations

import threading

import attrs

from personalize_rt.local.datasets import Datasets, EventLog, Table
from personalize_rt.local.offers import ActionModel
from personalize_rt.local.taste import TasteModel

__all__ = ["Models"]


@attrs.define(repr=False)
class Models:
    """What is learned from the datasets. Threads may share it.

    Attributes:
        datasets: What there is to learn from.
    """

    datasets: Datasets
    _taste: TasteModel | None = attrs.field(default=None, init=False)
    _offers: ActionModel | None = attrs.field(default=None, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    @property
    def taste(self) -> TasteModel:
        """The model of the item recipes."""
        if self._taste is None:
            with self._lock:
                if self._taste is None:
                    self._taste = TasteModel(self.datasets.interactions or EventLog(), self.datasets.items or ())
        return self._taste

    @property
    def offers(self) -> ActionModel:
        """The model of next-best-action."""
        if self._offers is None:
            with self._lock:
                if self._offers is None:
                    actions = self.datasets.actions or Table()
                    self._offers = ActionModel(actions).fit(self.datasets.action_interactions)
        return self._offers

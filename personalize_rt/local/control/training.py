"""The training of solution versions and recommenders."""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import repeat
from math import nan
from typing import Any

import attrs

from personalize_rt.local.control.made import FailedError, Work
from personalize_rt.local.datasets import Datasets, EventLog
from personalize_rt.local.models import Models, events_of_type
from personalize_rt.local.recipes import Ask, Recipe
from personalize_rt.local.schemas import DATASETS

__all__ = ["Trained"]

# Guide, "Amazon Personalize endpoints and quotas" (service.md section 8): minimum data.
_INTERACTIONS = 1_000
_USERS = 25
_OF_A_USER = 2
_NOBODY: Mapping[str, Any] = {"userId": "", "itemId": "", "inputList": ()}


@attrs.define(eq=False, repr=False)
class Trained:
    """A recipe, and its models once they are trained.

    Attributes:
        recipe: The recipe.
        event_type: The type of the events to learn from; ``None`` for all.
        threshold: The least value of the events to learn from, of those of the type; ``None`` for all.
        minimums: Whether to need the least amount of data that the service needs.
        hours: The time that the training took.
    """

    recipe: Recipe
    event_type: str | None = None
    threshold: float | None = None
    minimums: bool = False
    hours: float = 0.0
    _models: Models | None = None
    _of: Models | None = None

    @property
    def done(self) -> bool:
        """``True`` once the models are trained."""
        return self._models is not None

    @property
    def models(self) -> Models:
        """The models, which are trained."""
        assert self._models is not None
        return self._models

    def train(self, models: Models, work: Work | None = None) -> None:
        """Train the models of a dataset group's data. Versions over the same data share them.

        Args:
            models: The models of the data.
            work: The work that it is a part of, which may be stopped.

        Raises:
            FailedError: There are no data, or too few; the training takes too long, or was stopped.
        """
        # Imported when used: few programs train by requests, and fewer on so many data.
        from personalize_rt.local.control import apart

        started = time.perf_counter()
        if work is not None:
            work.note({"began": True})
        models = self._learned_from(models)
        self._check(models.datasets)
        if apart.is_large(self.recipe, models.datasets):
            apart.train(self.recipe, models, work)
        # What was trained apart is there by now.
        self.recipe.answer(Ask(models, _NOBODY))
        models.prepare()
        self.hours = (time.perf_counter() - started) / 3600
        self._models = models

    def begin_again(self, models: Models) -> None:
        """Note, after a restart, the data on which the training began."""
        self._of = models

    def restore(self, hours: float) -> None:
        """Have the models of those data. They are trained when a request first needs them."""
        assert self._of is not None
        self.hours, self._models = hours, self._learned_from(self._of)

    def _learned_from(self, models: Models) -> Models:
        if self.event_type is None or models.datasets.interactions is None:
            return models
        return Models(_of_type(models.datasets, self.event_type, self.threshold))

    def _check(self, datasets: Datasets) -> None:
        for name in self.recipe.learns_from:
            held = getattr(datasets, name)
            if not held:
                of = f" of the type {self.event_type}" if self.event_type and name == "interactions" else ""
                raise FailedError(f"Create failed. The {DATASETS[name].name} dataset has no data{of}.")
        log = datasets.interactions
        if log is None or "interactions" not in self.recipe.learns_from:
            return
        wanted = self.recipe.event_type
        if wanted is not None and wanted.casefold() not in map(str.casefold, log.types):
            raise FailedError(f"Create failed. The Interactions dataset has no events of the type {wanted}.")
        if self.minimums:
            if len(log) < _INTERACTIONS:
                raise FailedError(f"Create failed. Dataset has fewer than {_INTERACTIONS} interactions.")
            if sum(count >= _OF_A_USER for count in Counter(log.user).values()) < _USERS:
                raise FailedError(
                    f"Create failed. Dataset has fewer than {_USERS} users with at least two interactions."
                )


def _of_type(datasets: Datasets, event_type: str, threshold: float | None) -> Datasets:
    """The datasets with the item interactions of one type only, whose users and items keep their numbers."""
    log = datasets.interactions or EventLog()
    events: Sequence[int] | None = events_of_type(log, event_type)
    if threshold is not None:
        values = log.value or array("d", repeat(nan, len(log)))
        # NaN, which stands for no value, is no greater than anything.
        events = [event for event in (range(len(log)) if events is None else events) if values[event] >= threshold]
    if events is None:
        return datasets
    part = EventLog(log.users, log.targets, log.types, fields=log.fields)
    part.user = array("i", map(log.user.__getitem__, events))
    part.target = array("i", map(log.target.__getitem__, events))
    part.type = array("i", map(log.type.__getitem__, events))
    part.timestamp = array("q", map(log.timestamp.__getitem__, events))
    if log.value:
        part.value = array("d", map(log.value.__getitem__, events))
    return attrs.evolve(datasets, interactions=part)

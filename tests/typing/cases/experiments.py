"""Experiments: what each kind of exposure leads to."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, Literal, assert_type

from personalize_rt import PredictedItem, Ranking, Recommendations, TrackedEvent
from personalize_rt.experiments import (
    Exposure,
    ExposureHook,
    GroupOutcome,
    Interleaved,
    InterleavedItem,
    InterleavingExposure,
    InterleavingOutcomes,
    Split,
    SplitExposure,
    SplitOutcomes,
    interleave,
    outcomes,
)
from personalize_rt.local import LocalPersonalize
from personalize_rt.notebook import plots

told: list[Exposure] = []
hook: ExposureHook = told.append

split = Split("new-ranker", {"control": 50, "ranker": 49.5})
assert_type(split.group("u-1"), str)
assert_type(split.unit("u-1"), str)
assert_type(split.weights, Mapping[str, float])
assert_type(split.exposure("u-1", unit="s-1", hooks=[hook, print]), SplitExposure)


def interleaved(ranking: Ranking, recommendations: Recommendations, local: LocalPersonalize) -> None:
    shown = interleave(ranking, recommendations, k=10, method="balanced", rng=Random(1))
    assert_type(shown, Interleaved)
    assert_type(shown[0], InterleavedItem)
    assert_type(shown[:5], Interleaved)
    assert_type(shown[0].side, Literal["a", "b"] | None)
    assert_type(shown[0].recommendation_id, str | None)
    row: PredictedItem = shown[0]
    interleave([row], ["a", "b"])
    interleave(iter(ranking), {"a": 1}.keys())
    interleave(shown, recommendations[:3])

    exposure = shown.exposure("new-ranker", unit="s-1", hooks=[hook])
    assert_type(exposure, InterleavingExposure)
    event = TrackedEvent(event_type="Watch", item_id="a")
    found = outcomes([exposure], [("s-1", event), ("s-1", "a"), ("s-1", None)], labels=("search", "new"), rng=Random(1))
    assert_type(found, InterleavingOutcomes)
    assert_type(outcomes([exposure], local.recorded_events), InterleavingOutcomes)
    assert_type(found.win_rate, float | None)
    assert_type(found.winner, str | None)
    assert_type(found.to_dicts(), list[dict[str, Any]])


def grouped(exposures: list[SplitExposure]) -> None:
    found = outcomes(exposures, [("s-1", "a")], control="old", confidence=0.9)
    assert_type(found, SplitOutcomes)
    assert_type(found["ranker"], GroupOutcome)
    assert_type(found.groups, tuple[GroupOutcome, ...])
    assert_type(found.line, str)
    found.plot()
    plots.intervals(["a"], [0.5], [0.4], [0.6], neutral=0.5)

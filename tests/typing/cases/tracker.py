"""Event trackers, and rows that know their answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import assert_type

from personalize_rt import EventTracker, PredictedAction, PredictedItem, Ranking, Recommendations, TrackedEvent
from personalize_rt.tracker import FailedEvent, TrackerCounts

with EventTracker("t-1", region_name="eu-west-1", on_full="raise", spool="events") as tracker:
    assert_type(tracker, EventTracker)
    assert_type(tracker.connect(), EventTracker)


def every_event(tracker: EventTracker, answer: Recommendations, ranking: Ranking) -> None:
    assert_type(tracker.track("Watch", answer[0], session_id="s"), TrackedEvent)
    assert_type(tracker.track("Watch", "i1", of=[answer, ranking[:5]], session_id="s", user_id=None), TrackedEvent)
    assert_type(tracker.send("Watch", session_id="s", sent_at=datetime.now(UTC), event_value=4), TrackedEvent)
    assert_type(tracker.flush(), bool)
    assert_type(tracker.flush(1), bool)
    tracker.put_items({"i1": {"TITLE": "x", "GENRES": ["a", "b"]}}, dataset_arn="arn")
    tracker.put_users({"u1": {}}, dataset_arn="arn")
    tracker.close(timeout=1)


def outcomes(tracker: EventTracker) -> None:
    assert_type(tracker.counts, TrackerCounts)
    assert_type(tracker.counts.pending, int)
    assert_type(tracker.failed, tuple[FailedEvent, ...])
    assert_type(tracker.failed[0].event, TrackedEvent)
    assert_type(tracker.failed[0].error, BaseException)


def rows(item: PredictedItem, action: PredictedAction) -> None:
    assert_type(item.recommendation_id, str | None)
    assert_type(action.recommendation_id, str | None)

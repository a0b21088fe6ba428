"""The embedded Personalize."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, assert_type

from personalize_rt import EventTracker, FilterExpression, PersonalizeRuntime, Ranking, TrackedEvent
from personalize_rt.aio import AsyncEventTracker, AsyncPersonalizeRuntime
from personalize_rt.local import (
    HttpRequest,
    HttpResponse,
    Journal,
    LocalDataError,
    LocalGroups,
    LocalPersonalize,
    ReceivedRequest,
    RecordedAnswer,
    RecordedEvent,
)
from personalize_rt.local.faults import FaultRule, Faults

try:
    local = LocalPersonalize.from_directory(Path("data"), clock=lambda: 0.0, rng=Random(7))
    local = LocalPersonalize.from_directory("data", strict=True)
except LocalDataError as error:
    for problem in error.problems:
        assert_type(str(problem), str)
local = LocalPersonalize.sample()
assert_type(local, LocalPersonalize)
assert_type(local.runtime(), PersonalizeRuntime)
assert_type(local.runtime(deadline=1.0), PersonalizeRuntime)
assert_type(local.async_runtime(deadline=1.0), AsyncPersonalizeRuntime)
assert_type(local.boto3_client(), Any)
assert_type(local.campaigns, Mapping[str, str])
assert_type(local.recommenders, Mapping[str, str])
assert_type(local.filters, Mapping[str, str])
assert_type(local.campaign_arn("movies-ranking"), str)
assert_type(local.recommender_arn("top-picks"), str)
assert_type(local.filter_arn("unseen-by-genre"), str)
assert_type(local.runtime().campaign(local.campaign_arn("movies-ranking")).rank("42", ["a"]), Ranking)
assert_type(local.handle(HttpRequest("POST", "/recommendations", {}, b"{}")), HttpResponse)
assert_type(local.items["tt0468569"], Mapping[str, str | int | float | bool | None])

# Events, filters and faults.
event = TrackedEvent(
    event_type="Watch", item_id="tt0468569", sent_at=datetime.now(UTC), impression=["tt0468569"], properties={"a": 1}
)
assert_type(event.item_id, str | None)
assert_type(event.sent_at, float | None)
assert_type(event.impression, tuple[str, ...])
assert_type(event.properties, Mapping[str, Any] | None)
local.put_events(session_id="s", user_id="u", events=[event, TrackedEvent(event_type="SignIn", sent_at=7)])
recorded = local.recorded_events
assert_type(recorded, tuple[RecordedEvent, ...])
assert_type(recorded[0].user_id, str | None)
assert_type(recorded[0].sent_at, float)
assert_type(recorded[0].shown, tuple[str, ...])
assert_type(recorded[0].answer, RecordedAnswer | None)
assert_type(recorded[0].properties, Mapping[str, str | int | float | bool | None])
assert_type(local.event_tracker(on_full="block", spool="events"), EventTracker)
assert_type(local.async_event_tracker(), AsyncEventTracker)
assert_type(local.event_trackers, Mapping[str, str])
assert_type(local.tracking_id(), str)
assert_type(local.dataset_arn("items"), str)
assert_type(local.add_filter("old", "INCLUDE ItemID WHERE Items.YEAR < 1970"), str)
assert_type(local.filter_expression("old"), FilterExpression)
assert_type(local.try_filter("old", user_id="u", values={"GENRE": ["Comedy"]}), tuple[tuple[str, ...], tuple[str, ...]])
assert_type(local.faults, Faults)
assert_type(local.faults.throttle(times=2), FaultRule)
assert_type(local.faults.fail(status=503, rate=0.1), FaultRule)
assert_type(local.faults.latency(0.3), FaultRule)
assert_type(local.faults.hang(), FaultRule)
assert_type(local.faults.rules, tuple[FaultRule, ...])
local.faults.clear()
with local.serve(
    port=0,
    allow_hosts=["host.docker.internal"],
    allow_origins=["http://localhost:3000"],
    others="http://127.0.0.1:5000",
) as url:
    assert_type(url, str)
    assert_type(local.env(url), dict[str, str])
with local.console(port=0) as console:
    assert_type(console.url, str)
assert_type(console.close(), None)

# Clients of the three APIs, and what was asked.
assert_type(local.services, tuple[str, ...])
assert_type(local.boto3_client("personalize-events"), Any)
assert_type(local.requests, Journal)
assert_type(local.requests[0], ReceivedRequest)
assert_type(local.requests[-2:], tuple[ReceivedRequest, ...])
for row in local.requests:
    assert_type(row.operation, str | None)
    assert_type(row.resource, str | None)
    assert_type(row.status, int | None)
    assert_type(row.members, dict[str, Any])
assert_type(local.answer("movies-for-you", ["tt0111161"]), None)
local.answer("movies-for-you", None)
local.requests.clear()
local.reset()

# Several dataset groups.
groups = LocalGroups.from_directories("shop", Path("films"), pace=30, quotas=True)
local = LocalPersonalize.sample(aliases={"arn:aws:personalize:eu-west-1:123456789012:campaign/prod": "movies-ranking"})
groups = LocalGroups(local, LocalPersonalize.sample(pace=1.5))
groups = LocalGroups.from_directories("shop", s3_root=Path("buckets"), minimums=True)
assert_type(groups.finish_jobs(timeout=1.0), bool)
local = LocalPersonalize.sample(s3_endpoint="http://127.0.0.1:5000")
assert_type(groups["films"], LocalPersonalize)
assert_type(list(groups), list[str])
assert_type(groups.campaign_arn("films"), str)
assert_type(groups.prepare(), LocalGroups)
# State that survives.
assert_type(local.save("state"), None)
assert_type(local.resume(Path("state")), LocalPersonalize)
assert_type(groups.resume("state"), LocalGroups)
assert_type(groups.save(Path("state")), None)
assert_type(local.close(), None)
assert_type(groups.handle(HttpRequest("POST", "/")), HttpResponse)
assert_type(local.dataset_group_arn, str)

"""The registry of event trackers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from personalize_rt.local.engine import RefusedError
from personalize_rt.local.trackers import Tracker, Trackers

PREFIX = "arn:aws:personalize:eu-west-1:000000000000:event-tracker/"
GROUP = "arn:aws:personalize:eu-west-1:000000000000:dataset-group/shop"
OTHER = "arn:aws:personalize:eu-west-1:000000000000:dataset-group/films"


def trackers(declared: dict[str, str] | None = None, now: float = 1000.0) -> Trackers:
    return Trackers(PREFIX, GROUP, declared or {}, clock=lambda: now)


def refusal(make: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(RefusedError) as raised:
        make(*arguments, **named)
    code: str = raised.value.code
    return code


def test_declared_tracker_is_found_by_arn_by_name_and_by_its_tracking_id() -> None:
    registry = trackers({"shop": "my-id"})
    tracker = Tracker("shop", PREFIX + "shop", "my-id", GROUP, 1000.0, 1000.0)
    assert [*registry] == [tracker]
    assert registry.of_arn(PREFIX + "shop") == registry.of_name("shop") == registry.of_tracking_id("my-id") == tracker
    assert tracker.active
    assert registry.of_arn("my-id") is registry.of_tracking_id("other") is registry.of_name("films") is None


def test_tracking_id_that_is_not_declared_is_the_same_in_every_run() -> None:
    ids = {next(iter(trackers({"shop": ""}))).tracking_id for _ in range(3)}
    assert len(ids) == 1
    assert ids != {trackers().create("other", GROUP).tracking_id}
    assert ids != {trackers().create("shop", OTHER).tracking_id}


def test_tracker_in_the_place_of_a_deleted_one_has_another_tracking_id() -> None:
    registry = trackers({"shop": ""})
    (before,) = registry
    registry.delete(before.arn)
    assert [*registry] == []
    assert registry.of_tracking_id(before.tracking_id) is None
    after = registry.create("shop", GROUP)
    assert after.arn == before.arn
    assert after.tracking_id != before.tracking_id


def test_dataset_group_has_one_tracker_and_a_name_is_taken_once() -> None:
    registry = trackers({"shop": ""})
    assert refusal(registry.create, "second", GROUP) == "ResourceAlreadyExistsException"
    assert refusal(registry.create, "shop", OTHER) == "ResourceAlreadyExistsException"
    assert refusal(registry.create, "a b", OTHER) == "InvalidInputException"
    assert registry.create("films", OTHER).dataset_group_arn == OTHER
    assert [one.name for one in registry] == ["shop", "films"]


def test_tracking_id_of_another_tracker_is_refused() -> None:
    registry = trackers({"shop": "my-id"})
    assert refusal(registry.create, "films", OTHER, tracking_id="my-id") == "ResourceAlreadyExistsException"


def test_tracker_that_does_not_exist_cannot_be_deleted_or_changed() -> None:
    registry = trackers()
    assert refusal(registry.delete, PREFIX + "none") == "ResourceNotFoundException"
    assert refusal(registry.mark, PREFIX + "none", "ACTIVE") == "ResourceNotFoundException"


def test_tracker_that_is_being_created_is_not_active_until_it_is_marked() -> None:
    clock = [1000.0]
    registry = Trackers(PREFIX, GROUP, {}, clock=lambda: clock[0])
    made = registry.create("shop", GROUP, status="CREATE PENDING")
    assert not made.active
    clock[0] = 1060.0
    marked = registry.mark(made.arn, "ACTIVE")
    assert marked.active
    assert (marked.created, marked.updated) == (1000.0, 1060.0)
    assert registry.of_tracking_id(made.tracking_id) == marked


def test_of_many_threads_that_create_a_tracker_at_once_one_succeeds() -> None:
    registry = trackers()

    def create(_: int) -> str:
        try:
            return registry.create("shop", GROUP).arn
        except RefusedError as refused:
            return refused.code

    with ThreadPoolExecutor(8) as threads:
        results = sorted(threads.map(create, range(32)))
    assert results == ["ResourceAlreadyExistsException"] * 31 + [PREFIX + "shop"]

"""The events of users as the models get them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest

from personalize_rt.interactions import Interaction
from personalize_rt.local import LocalPersonalize
from personalize_rt.local.events.record import RecordedEvent
from personalize_rt.local.stream import Stream
from personalize_rt.local.taste import HISTORY
from personalize_rt.tracking import TrackedEvent


def event(item_id: str | None, sent_at: float, **members: Any) -> RecordedEvent:
    given: dict[str, Any] = {"operation": "PutEvents", "session_id": "s", "user_id": "u", "event_type": "Watch"}
    given |= {"item_id": item_id, "sent_at": sent_at}
    return RecordedEvent(**{**given, **members})


def latest(events: list[Interaction]) -> list[str]:
    """The items of the latest events, each once, latest first; of one time, the one that arrived last."""
    numbered = sorted(enumerate(events), key=lambda one: (one[1].timestamp, one[0]), reverse=True)
    ordered = [one for _, one in numbered]
    return list(dict.fromkeys(one.item_id for one in ordered))[:HISTORY]


@pytest.mark.parametrize("seed", range(10))
def test_history_of_a_user_has_the_latest_items_whatever_the_order_of_arrival(seed: int) -> None:
    chance = Random(seed)
    stream = Stream(lambda _: None, lambda item_id: item_id != "item-7")
    for _ in range(300):
        item, time = chance.randrange(60), chance.randrange(1 + seed)
        stream.put([event(f"item-{item}", time, event_type=chance.choice(("Watch", "Click")))])
    known = [one for one in stream.of_user("u") if one.item_id != "item-7"]
    assert latest([*stream.history_of("u")]) == latest(known)
    assert len(stream.history_of("u")) < 2 * HISTORY


def test_history_of_a_session_goes_to_its_user() -> None:
    told: list[Interaction] = []
    stream = Stream(told.append, lambda _: True)
    stream.put([event("a", 1, user_id=None), event("b", 2, user_id=None)])
    stream.put([event(None, 3)])
    assert [one.item_id for one in stream.history_of("u")] == ["a", "b"]
    assert [(one.user_id, one.item_id) for one in told] == [("s", "a"), ("s", "b"), ("u", "a"), ("u", "b")]


def test_many_threads_lose_no_event_and_record_each_once(service: Callable[..., Any]) -> None:
    local: LocalPersonalize = service().local

    def visit(n: int) -> None:
        for at in range(10):
            # Every event comes from two threads.
            one = TrackedEvent(event_type="Watch", item_id="a", event_id=f"{n // 2}-{at}", sent_at=n // 2 * 100 + at)
            local.put_events(session_id="s", user_id="u", events=[one])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(visit, range(40)))
    expected = {f"{n}-{at}" for n in range(20) for at in range(10)}
    assert sorted(event.event_id or "" for event in local.recorded_events) == sorted(expected)
    assert len(local._engine.items.all) == len(expected)

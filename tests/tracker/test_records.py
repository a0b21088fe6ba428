"""Events as records of a spool, and back."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.resilience.event_queue import Pending, Who
from personalize_rt.resilience.tracked import record_of, size_of, unrecorded
from personalize_rt.tracking import TrackedEvent

# With what separates members, begins JSON, ends lines for others, and cannot be encoded.
TEXTS = st.text(st.sampled_from('a[\n\r\x1e\u2028\N{GRINNING FACE}\ud800\x00"'), min_size=1, max_size=4)


def again(who: Who, event: TrackedEvent) -> Pending | None:
    return unrecorded(record_of(Pending(who, event, size_of(event))), "mark")


@given(
    who=st.builds(Who, TEXTS, TEXTS, TEXTS | st.none()),
    event=st.builds(
        TrackedEvent,
        event_type=TEXTS,
        item_id=TEXTS | st.none(),
        sent_at=st.none() | st.integers(0, 2_000_000_000) | st.floats(0, 2e9),
        event_id=TEXTS | st.none(),
        recommendation_id=TEXTS | st.none(),
        impression=st.lists(TEXTS, max_size=3),
        event_value=st.none() | st.floats(-5, 5),
        source=st.none() | st.just("newsletter"),
        properties=st.none() | st.just({"NUM_RATINGS": 3, "genres": ["a\nb"]}),
    ),
)
def test_a_record_brings_back_its_event_whatever_its_members_hold(who: Who, event: TrackedEvent) -> None:
    back = again(who, event)
    assert back is not None
    assert (back.who, back.event, back.mark) == (who, event, "mark")
    assert back.size == size_of(event)


def test_a_record_takes_numbers_of_numpy() -> None:
    numbers: dict[str, Any] = {"sent_at": np.float64(1.5), "event_value": np.float32(2.5)}
    event = TrackedEvent(event_type="Rate", **numbers)
    back = again(Who("t", "s", None), event)
    assert back is not None
    assert (back.event.sent_at, back.event.event_value) == (1.5, 2.5)


def test_a_usual_event_is_not_written_as_json() -> None:
    event = TrackedEvent(event_type="Watch", item_id="i1", sent_at=1.5, impression=["i1", "i2"])
    record = record_of(Pending(Who("t", "s", None), event, 1))
    assert record == b"1.5\nt\ns\n\nWatch\ni1\n\n\ni1\ni2"


@pytest.mark.parametrize("record", [b"", b"1.5", b"[", b"[]", b'{"event": 1}', b"x\nt\ns\n\nWatch\n\n\n", b"\xff" * 9])
def test_a_record_without_an_event_is_named_and_shows_nothing(record: bytes, caplog: pytest.LogCaptureFixture) -> None:
    assert unrecorded(record, None) is None
    assert "holds no event" in caplog.text


def test_an_event_that_another_version_wrote_with_more_members_is_not_lost(caplog: pytest.LogCaptureFixture) -> None:
    assert unrecorded(json.dumps(["t", "s", None, {"event_type": "Watch", "unheard": 1}]).encode(), None) is None
    assert "stays there" in caplog.text

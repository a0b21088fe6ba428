"""TrackedEvent: what an event may hold, by the model of PutEvents (service.md section 7)."""

from __future__ import annotations

import copy
import json
import pickle
import threading
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personalize_rt import TrackedEvent, ValidationError
from personalize_rt.tracking import event_members

NESTED: list[Any] = []
for _ in range(100_000):
    NESTED = [NESTED]


def near(longest: int) -> st.SearchStrategy[Any]:
    """Texts on both sides of a limit, of characters that take one byte and twelve, and what is no text."""
    lengths = st.sampled_from([0, 1, longest - 1, longest, longest + 1])
    return st.builds(lambda length, letter: letter * length, lengths, st.sampled_from("a\N{GRINNING FACE}")) | (
        st.sampled_from([7, b"x"])
    )


FULL: dict[str, Any] = {
    "event_type": "Watch",
    "item_id": "tt1",
    "sent_at": 1_700_000_000.5,
    "event_id": "e-1",
    "recommendation_id": "RID-db-45f5-9989-fa62daec7846-CID-f2c90e",
    "impression": ("tt1", "tt2"),
    "event_value": 4.5,
    "source": "mail",
    "properties": {"numRatings": 13},
}


def test_members_are_given_by_name_and_only_the_type_is_needed() -> None:
    event = TrackedEvent(event_type="SignIn")
    assert (event.item_id, event.sent_at, event.impression, event.properties) == (None, None, (), None)
    with pytest.raises(TypeError):
        TrackedEvent("tt1", "Watch")  # type: ignore[call-arg]  # this is what is tested
    full = TrackedEvent(**FULL)
    assert {field.name: getattr(full, field.name) for field in attrs.fields(TrackedEvent)} == FULL


def test_event_is_a_value() -> None:
    properties = {"numRatings": 13}
    event = TrackedEvent(**{**FULL, "properties": properties, "impression": ["tt1", "tt2"]})
    properties["numRatings"] = 14
    assert event == TrackedEvent(**FULL)
    assert hash(event) == hash(TrackedEvent(**FULL))
    assert pickle.loads(pickle.dumps(event)) == copy.copy(event) == copy.deepcopy(event) == event


def test_repr_shows_type_and_item_only() -> None:
    assert repr(TrackedEvent(**FULL)) == "TrackedEvent(event_type='Watch', item_id='tt1')"


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
        datetime(2023, 11, 15, 3, 43, 20, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    ],
)
def test_time_with_a_zone_is_seconds(moment: datetime) -> None:
    assert TrackedEvent(event_type="x", sent_at=moment).sent_at == 1_700_000_000


def test_numbers_of_numpy_are_numbers() -> None:
    numbers: dict[str, Any] = {"sent_at": np.int64(7), "event_value": np.float32(2.5)}
    event = TrackedEvent(event_type="x", **numbers)
    assert (event.sent_at, event.event_value) == (7, 2.5)
    json.dumps(event_members(event))  # which has no numbers of numpy


def test_properties_are_those_of_the_moment_whatever_becomes_of_their_lists() -> None:
    genres = ["Drama"]
    event = TrackedEvent(event_type="x", properties={"GENRES": genres})
    genres.append(object())  # type: ignore[arg-type]  # on purpose: JSON has no such thing
    assert event_members(event)["properties"] == '{"genres": ["Drama"]}'


def test_the_size_of_an_event_is_that_of_its_json_whatever_its_characters() -> None:
    with pytest.raises(ValidationError, match=r"takes 1[0-9],[0-9]{3} bytes of JSON; the service takes 10,000"):
        TrackedEvent(event_type="x", impression=["\N{GRINNING FACE}" * 256] * 5)


@pytest.mark.parametrize(
    ("members", "parameter", "expected"),
    [
        ({"event_type": ""}, "event_type", "is a str of 0 characters; the service takes 1 to 256"),
        ({"event_type": None}, "event_type", "is None, not a str"),
        ({"item_id": ""}, "item_id", "is a str of 0 characters"),
        ({"item_id": 7}, "item_id", "is an int, not a str"),
        ({"event_id": "e" * 257}, "event_id", "is a str of 257 characters"),
        ({"recommendation_id": "r" * 41}, "recommendation_id", "takes 1 to 40"),
        ({"sent_at": 1_600_000_000_000}, "sent_at", "in seconds, not milliseconds; divide it by 1,000"),
        ({"sent_at": float("nan")}, "sent_at", "not a finite number"),
        ({"sent_at": -1e300}, "sent_at", "before the year 1"),
        ({"sent_at": "2023-11-14"}, "sent_at", "is a str of 10 characters, not a finite number"),
        ({"sent_at": datetime(2023, 11, 14)}, "sent_at", "a datetime without a zone: give it one"),
        ({"event_value": float("inf")}, "event_value", "is a float, not a finite number"),
        ({"event_value": True}, "event_value", "is a bool, not a finite number"),
        ({"impression": "tt1"}, "impression", "is a str of 3 characters, not a list of item ids"),
        ({"impression": ["a"] * 26}, "impression", "holds 26 items; an event takes 1 to 25"),
        ({"impression": [""]}, "impression", "[0] is a str of 0 characters"),
        ({"source": ""}, "source", "is a str of 0 characters; the service takes 1 to 1024"),
        ({"source": "  "}, "source", "or only spaces (model: EventAttributionSource)"),
        ({"source": "Büro"}, "source", "other than printable ASCII characters"),
        ({"properties": ["a"]}, "properties", "is a list of 1 item, not a mapping"),
        ({"properties": {"userId": "secret"}}, "properties", "'userId', which stands elsewhere: give user_id of"),
        ({"properties": {"itemId": "secret"}}, "properties", "'itemId', which stands elsewhere: give item_id"),
        ({"properties": {"NUM_RATINGS": 1, "numRatings": 2}}, "properties", "has 'numRatings' twice"),
        ({"properties": {1: "secret"}}, "properties", "a name that is an int, not a str"),
        ({"properties": {"a": NESTED}}, "properties", "a value that JSON does not have"),
        ({"properties": {"a": threading.Lock()}}, "properties", "a value that JSON does not have"),
        ({"properties": {"a": object()}}, "properties", "a value that JSON does not have"),
        ({"properties": {"a": float("nan")}}, "properties", "a value that JSON does not have"),
        ({"properties": {"a": "x" * 1024}}, "properties", "takes 1,033 characters of JSON; the service takes 1,024"),
    ],
)
def test_what_the_service_refuses_is_refused_without_a_value(
    members: dict[str, Any], parameter: str, expected: str
) -> None:
    with pytest.raises(ValidationError) as raised:
        TrackedEvent(**{"event_type": "Watch", **members})
    assert raised.value.parameter == parameter
    assert expected in str(raised.value)
    assert "secret" not in str(raised.value)
    assert raised.value.__context__ is None


@settings(max_examples=100)
@given(
    event_type=near(40),
    item_id=near(256) | st.none(),
    sent_at=st.sampled_from([None, 1.5, 7, -62_135_596_801.0, 1e11, 99_999_999_999.0]),
    event_id=near(256) | st.none(),
    recommendation_id=near(40) | st.none(),
    impression=st.builds(lambda text, count: [text] * count, near(40), st.sampled_from([0, 1, 19, 20, 25, 26])),
)
def test_an_event_that_is_taken_at_a_glance_is_one_that_every_check_takes(**members: Any) -> None:
    def made() -> TrackedEvent | str:
        try:
            return TrackedEvent(**members)
        except ValidationError as error:
            return str(error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrackedEvent, "_is_plain", lambda _: False)
        checked = made()
    assert made() == checked

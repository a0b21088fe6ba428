"""The newest events put aside."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.errors import ValidationError
from personalize_rt.interactions import Interaction
from personalize_rt.metrics import Split, temporal_split

EVENTS = st.lists(
    st.builds(Interaction, st.sampled_from("abc"), st.sampled_from("wxyz"), st.integers(0, 20)), max_size=40
)


def history(user: str, length: int) -> list[Interaction]:
    return [Interaction(user, f"{user}{n}", n) for n in range(length)]


@pytest.mark.parametrize(("length", "future"), [(1, 0), (2, 1), (10, 1), (19, 1), (20, 2), (100, 10)])
def test_the_newest_tenth_of_each_user_is_put_aside(length: int, future: int) -> None:
    split = temporal_split(history("u", length))
    assert [event.timestamp for event in split.past] == list(range(length - future))
    assert [event.timestamp for event in split.future] == list(range(length - future, length))


@given(EVENTS, st.floats(0.01, 0.99))
def test_no_event_is_lost_and_no_user_sees_his_future(events: list[Interaction], newest: float) -> None:
    split = temporal_split(events, newest=newest)
    assert sorted(map(str, (*split.past, *split.future))) == sorted(map(str, events))
    for user in "abc":
        past = [event.timestamp for event in split.past if event.user_id == user]
        future = [event.timestamp for event in split.future if event.user_id == user]
        assert not future or (past and max(past) <= min(future))
        assert bool(future) == (sum(event.user_id == user for event in events) > 1)


@given(EVENTS)
def test_past_and_future_are_in_order_of_time(events: list[Interaction]) -> None:
    split = temporal_split(events, newest=0.5)
    for part in (split.past, split.future):
        assert [event.timestamp for event in part] == sorted(event.timestamp for event in part)


def test_events_of_one_moment_keep_their_order() -> None:
    events = [Interaction("u", item, 5) for item in "abcd"]
    split = temporal_split(events, newest=0.5)
    assert [event.item_id for event in split.past] == ["a", "b"]
    assert [event.item_id for event in split.future] == ["c", "d"]


def test_a_share_of_the_users_can_be_tested() -> None:
    events = [event for n in range(20) for event in history(f"u{n:02}", 5)]
    split = temporal_split(events, test_users=0.1)
    assert len(split.relevant) == 2
    assert split == temporal_split(events, test_users=0.1)
    others = {frozenset(temporal_split(events, test_users=0.1, random=Random(n)).relevant) for n in range(5)}
    assert len(others) > 1


def test_at_least_one_user_is_tested() -> None:
    assert len(temporal_split([*history("a", 3), *history("b", 3)], test_users=0.01).relevant) == 1


def test_a_split_knows_its_items_and_what_is_relevant() -> None:
    split = Split(
        [Interaction("u", "a", 1)], [Interaction("u", "b", 2), Interaction("u", "b", 3), Interaction("v", "c", 2)]
    )
    assert split.items == {"a", "b", "c"}
    assert split.relevant == {"u": {"b"}, "v": {"c"}}


def test_the_repr_shows_no_user() -> None:
    assert repr(temporal_split(history("secret", 20))) == "Split(18 past, 2 future, 1 test users)"


def test_no_events_are_an_empty_split() -> None:
    assert temporal_split([]) == Split((), ())


def test_a_frame_is_split() -> None:
    pytest.importorskip("narwhals")
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"USER_ID": ["u", "u"], "ITEM_ID": ["a", "b"], "TIMESTAMP": [2, 1]})
    assert temporal_split(frame) == Split([Interaction("u", "b", 1.0)], [Interaction("u", "a", 2.0)])


@pytest.mark.parametrize(
    ("name", "share"),
    [("newest", 0), ("newest", 1), ("newest", True), ("newest", "0.1"), ("test_users", 0), ("test_users", 1.1)],
)
def test_a_share_out_of_range_is_refused(name: str, share: Any) -> None:
    with pytest.raises(ValidationError, match=f"{name} must be a share") as caught:
        temporal_split([], **{name: share})
    assert caught.value.parameter == name


def test_what_is_no_interaction_is_refused() -> None:
    wrong: Any = [Interaction("u", "a", 1), ("u", "a", 1)]
    with pytest.raises(ValidationError, match=r"interactions\[1\] is a tuple of 3 items"):
        temporal_split(wrong)
    with pytest.raises(ValidationError, match=r"interactions\[0\].timestamp"):
        temporal_split([Interaction("u", "a", float("nan"))])

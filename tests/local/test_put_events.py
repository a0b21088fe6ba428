"""Events that arrive while the service runs (service.md section 7)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import pytest

from personalize_rt import Interaction, ValidationError
from personalize_rt.local import Event, LocalPersonalize
from personalize_rt.tracking import TrackedEvent

ITEMS = ["a", "b", "c", "x", "y", "z", "hit", "cold"]
ACTIONS = "ACTION_ID,TYPE,REPEAT_FREQUENCY\nmail,Mail,7\ncall,Call,\n"
UNSEEN = 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("Watch")'


@pytest.fixture
def shop(service: Callable[..., Any], small_files: dict[str, str]) -> Any:
    files = {**small_files, "actions.csv": ACTIONS}
    files["personalize.toml"] += 'offers = "aws-next-best-action"\ntrending = "aws-trending-now"\n'
    loaded = service(files)
    loaded.local.add_filter("unseen", UNSEEN)
    return loaded


def order(shop: Any, user: str, *items: str) -> list[str]:
    return [id for id, _ in shop.rank(user, *(items or ITEMS[:7]))]


def unseen(shop: Any, user: str) -> set[str]:
    rows = shop.recommend("popular", userId=user, filterArn=shop.local.filter_arn("unseen"))
    return {id for id, _ in rows}


def test_an_event_changes_rankings_and_recommendations_at_once(shop: Any) -> None:
    before = shop.recommend("for-you", userId="new"), shop.recommend("for-you-v2", userId="new")
    assert order(shop, "new", "z", "c") == ["z", "c"]

    shop.local.put_events(
        user_id="new",
        session_id="s",
        events=[TrackedEvent(event_type="Watch", item_id="a"), TrackedEvent(event_type="Watch", item_id="b")],
    )

    assert order(shop, "new", "z", "c") == ["c", "z"]
    assert (shop.recommend("for-you", userId="new"), shop.recommend("for-you-v2", userId="new")) != before


def test_an_event_changes_filters_at_once_before_and_after_they_were_first_used(shop: Any) -> None:
    shop.local.put_events(user_id="new", session_id="s", events=[TrackedEvent(event_type="watch", item_id="a")])
    assert unseen(shop, "new") == {*ITEMS} - {"a"}
    shop.local.put_events(
        user_id="new",
        session_id="s",
        events=[TrackedEvent(event_type="WATCH", item_id="x"), TrackedEvent(event_type="Click", item_id="y")],
    )
    assert unseen(shop, "new") == {*ITEMS} - {"a", "x"}
    shop.local.put_events(user_id="ann", session_id="t", events=[TrackedEvent(event_type="Watch", item_id="z")])
    assert unseen(shop, "ann") == {*ITEMS} - {"a", "b", "hit", "z"}


def test_events_of_one_user_are_nothing_to_others(shop: Any) -> None:
    before = order(shop, "ben"), order(shop, "nobody"), unseen(shop, "ben")
    shop.local.put_events(
        user_id="new", session_id="s", events=[TrackedEvent(event_type="Watch", item_id=item) for item in ITEMS]
    )
    assert (order(shop, "ben"), order(shop, "nobody"), unseen(shop, "ben")) == before


def test_what_is_popular_and_what_goes_together_stays_until_the_data_are_loaded_again(shop: Any) -> None:
    before = shop.recommend("popular"), shop.recommend("similar", itemId="a")
    for n in range(9):
        events = [
            TrackedEvent(event_type="Watch", item_id="cold", sent_at=1000 + n),
            TrackedEvent(event_type="Watch", item_id="a", sent_at=1000 + n),
        ]
        shop.local.put_events(user_id=f"u{n}", session_id="s", events=events)
    assert (shop.recommend("popular"), shop.recommend("similar", itemId="a")) == before


def test_models_learn_the_same_whether_events_came_before_the_first_request_or_not(
    service: Callable[..., Any], small_files: dict[str, str]
) -> None:
    late, early = service(small_files), service(small_files)
    late.rank("ann", *ITEMS)
    for shop in (early, late):
        shop.local.put_events(
            user_id="new",
            session_id="s",
            events=[TrackedEvent(event_type="Watch", item_id="cold"), TrackedEvent(event_type="Watch", item_id="a")],
        )
    assert early.rank("new", *ITEMS) == late.rank("new", *ITEMS)
    assert early.recommend("popular") == late.recommend("popular")


def test_an_item_that_is_new_is_no_error_and_not_recommended(shop: Any) -> None:
    before = shop.recommend("for-you", userId="new")
    shop.local.put_events(user_id="new", session_id="s", events=[TrackedEvent(event_type="Watch", item_id="brand-new")])
    assert shop.recommend("for-you", userId="new") == before
    arn = shop.local.filter_arn("unseen")
    assert [id for id, _ in shop.rank("new", "brand-new", "a", filterArn=arn)] == ["a"]


def test_the_latest_items_count_by_their_time_not_their_arrival(shop: Any) -> None:
    latest = [TrackedEvent(event_type="Watch", item_id=f"i{n}", sent_at=5_000 + n) for n in range(10)]
    shop.local.put_events(
        user_id="ann", session_id="s", events=[TrackedEvent(event_type="Watch", item_id="x", sent_at=1)]
    )
    with_old = shop.rank("ann", *ITEMS[:7])
    shop.local.put_events(user_id="ann", session_id="s", events=latest)
    assert shop.rank("ann", *ITEMS[:7]) == with_old  # items that nobody knows take no place in the history


def test_an_event_without_a_time_happened_now(service: Callable[..., Any], small_files: dict[str, str]) -> None:
    shop = service(small_files, now=9_000_000.0)
    shop.local.put_events(user_id="ann", session_id="s", events=[TrackedEvent(event_type="Watch", item_id="x")])
    explicit = service(small_files, now=0.0)
    explicit.local.put_events(
        user_id="ann", session_id="s", events=[TrackedEvent(event_type="Watch", item_id="x", sent_at=9_000_000)]
    )
    assert shop.rank("ann", *ITEMS) == explicit.rank("ann", *ITEMS)


def test_an_interaction_brings_its_user(shop: Any) -> None:
    shop.local.put_events(session_id="s", events=[Interaction("new", "a", 1000, "Watch", 5.0)])
    assert unseen(shop, "new") == {*ITEMS} - {"a"}


# Sessions


def test_an_anonymous_session_stands_for_the_user_until_one_is_known(shop: Any) -> None:
    local: LocalPersonalize = shop.local
    local.put_events(session_id="session", events=[TrackedEvent(event_type="Watch", item_id="a")])
    assert unseen(shop, "session") == {*ITEMS} - {"a"}
    assert unseen(shop, "new") == {*ITEMS}

    local.put_events(session_id="session", user_id="new", events=[TrackedEvent(event_type="Watch", item_id="x")])
    assert unseen(shop, "new") == {*ITEMS} - {"a", "x"}
    local.put_events(session_id="session", events=[TrackedEvent(event_type="Watch", item_id="y")])
    assert unseen(shop, "new") == {*ITEMS} - {"a", "x", "y"}

    twin = shop.rank("new", *ITEMS)
    local.put_events(
        session_id="other",
        user_id="twin",
        events=[TrackedEvent(event_type="Watch", item_id=item) for item in ("a", "x", "y")],
    )
    assert shop.rank("twin", *ITEMS) == twin


def test_a_session_that_another_user_takes_over_keeps_nothing_of_the_first(shop: Any) -> None:
    shop.local.put_events(session_id="s", user_id="one", events=[TrackedEvent(event_type="Watch", item_id="a")])
    shop.local.put_events(session_id="s", user_id="two", events=[TrackedEvent(event_type="Watch", item_id="x")])
    assert unseen(shop, "two") == {*ITEMS} - {"x"}
    assert unseen(shop, "one") == {*ITEMS} - {"a"}


def test_the_same_event_twice_is_one(shop: Any) -> None:
    for _ in range(2):
        shop.local.put_events(
            session_id="s",
            user_id="u",
            events=[
                TrackedEvent(event_type="Watch", item_id="a", sent_at=9),
                TrackedEvent(event_type="Watch", item_id="x"),
            ],
        )
    assert len(shop.local._engine.items.all) == 2


# Trends


def test_what_rises_now_leads_the_trends(shop: Any) -> None:
    now = 1_600_000_000
    shop.local.put_events(
        session_id="s", user_id="u", events=[TrackedEvent(event_type="Watch", item_id="z", sent_at=now - 3 * 3600 - 1)]
    )
    shop.local.put_events(
        session_id="s",
        user_id="u",
        events=[TrackedEvent(event_type="Watch", item_id="c", sent_at=now - n) for n in range(3)],
    )
    shop.local.put_events(
        session_id="s",
        user_id="u",
        events=[TrackedEvent(event_type="Watch", item_id="x", sent_at=now - n) for n in range(2)],
    )
    ids = [id for id, _ in shop.recommend("trending")]
    assert ids[:2] == ["c", "x"]
    assert sorted(ids) == sorted(ITEMS)


# Actions


def test_action_interactions_change_filters_and_repeats_at_once(shop: Any) -> None:
    local: LocalPersonalize = shop.local
    assert [id for id, _ in shop.actions("u")] == ["mail", "call"]
    local.put_action_interactions(
        user_id="u", session_id="s", events=[TrackedEvent(event_type="VIEWED", item_id="mail")]
    )
    assert [id for id, _ in shop.actions("u")] == ["call"]  # not again for seven days
    assert [id for id, _ in shop.actions("v")] == ["mail", "call"]


@pytest.mark.parametrize("said", ["TAKEN", "Taken", "taken"])
def test_action_event_types_are_read_in_both_spellings_of_the_guide(shop: Any, said: str) -> None:
    shop.local.put_action_interactions(
        user_id="u",
        session_id="s",
        events=[
            TrackedEvent(event_type=said, item_id="mail"),
            TrackedEvent(event_type="Not Taken", item_id="call"),
            TrackedEvent(event_type="Viewed", item_id="call"),
        ],
    )
    types = [event.event_type for event in shop.local._engine.actions.all]
    assert types == ["TAKEN", "NOT_TAKEN", "VIEWED"]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (TrackedEvent(event_type="Clicked", item_id="mail"), "none of those of actions: TAKEN, NOT_TAKEN, VIEWED"),
        (TrackedEvent(event_type="Taken"), r"events\[0\]\.item_id is missing: it is the action"),
    ],
)
def test_other_action_events_are_refused(shop: Any, event: TrackedEvent, expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        shop.local.put_action_interactions(user_id="u", session_id="s", events=[event])


def test_event_without_an_item_links_its_session_to_a_user(shop: Any) -> None:
    shop.local.put_events(session_id="s", events=[TrackedEvent(event_type="Watch", item_id="a")])
    shop.local.put_events(session_id="s", user_id="u", events=[TrackedEvent(event_type="SignIn")])
    assert unseen(shop, "u") == {*ITEMS} - {"a"}
    assert len(shop.local._engine.items.all) == 1


def test_event_id_that_came_before_is_the_same_event(shop: Any) -> None:
    one = TrackedEvent(event_type="Watch", item_id="a", event_id="e", sent_at=1)
    shop.local.put_events(session_id="s", user_id="u", events=[one, attrs.evolve(one, item_id="b")])
    assert unseen(shop, "u") == {*ITEMS} - {"a"}


def test_old_form_of_an_event_keeps_working_with_a_deprecation() -> None:
    with pytest.warns(DeprecationWarning, match="TrackedEvent") as warned:
        old = Event("a", "Watch", timestamp=7, event_value=2)
    assert warned[0].filename == __file__
    assert isinstance(old, TrackedEvent)
    assert (old.item_id, old.event_type, old.sent_at, old.event_value) == ("a", "Watch", 7, 2)
    assert Event(event_type="Watch", item_id="a").item_id == "a"


# What is refused


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"session_id": ""}, "session_id is a str of 0 characters; the service takes 1 to 256"),
        ({"session_id": "s" * 257}, "session_id is a str of 257 characters"),
        ({"session_id": 7}, "session_id is an int, not a str"),
        ({"user_id": ""}, "user_id is a str of 0 characters"),
        ({"user_id": "u" * 257}, "user_id is a str of 257 characters"),
        ({"events": []}, "holds 0 events; a call takes 1 to 10"),
        ({"events": [TrackedEvent(event_type="Watch", item_id="a")] * 11}, "holds 11 events"),
        ({"events": TrackedEvent(event_type="Watch", item_id="a")}, "for a single one write"),
        ({"events": [{"itemId": "a"}]}, r"events\[0\] is a dict of 1 item, not a TrackedEvent"),
        ({"events": [Interaction("u", "a", 1)]}, r"events\[0\]\.event_type is None"),
        ({"events": [Interaction("u", "", 1, "Watch")]}, r"events\[0\]\.item_id is a str of 0"),
        ({"events": [Interaction("v", "a", 1, "Watch")]}, "is of another user"),
    ],
)
def test_what_the_service_refuses_is_refused_and_changes_nothing(
    shop: Any, arguments: dict[str, Any], expected: str
) -> None:
    given: dict[str, Any] = {
        "user_id": "u",
        "session_id": "s",
        "events": [TrackedEvent(event_type="Watch", item_id="a")],
        **arguments,
    }
    with pytest.raises(ValidationError, match=expected):
        shop.local.put_events(**given)
    assert unseen(shop, "u") == {*ITEMS}


def test_events_need_their_dataset(service: Callable[..., Any]) -> None:
    only_actions = service({"actions.csv": ACTIONS, "personalize.toml": ""}).local
    with pytest.raises(ValidationError, match=r"there is no interactions\.csv"):
        only_actions.put_events(user_id="u", session_id="s", events=[TrackedEvent(event_type="Watch", item_id="a")])


def test_many_threads_put_and_ask(shop: Any) -> None:
    def visit(n: int) -> set[str]:
        user = f"u{n}"
        for item in ITEMS[:4]:
            shop.local.put_events(
                user_id=user, session_id=user, events=[TrackedEvent(event_type="Watch", item_id=item)]
            )
            order(shop, user)
        return unseen(shop, user)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(visit, range(40))) == [{*ITEMS[4:]}] * 40
    assert len(shop.local._engine.items.all) == 160

"""Events that arrive while the service runs (service.md section 7)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from personalize_rt import Interaction, ValidationError
from personalize_rt.local import Event, LocalPersonalize

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

    shop.local.put_events(user_id="new", session_id="s", events=[Event("a", "Watch"), Event("b", "Watch")])

    assert order(shop, "new", "z", "c") == ["c", "z"]
    assert (shop.recommend("for-you", userId="new"), shop.recommend("for-you-v2", userId="new")) != before


def test_an_event_changes_filters_at_once_before_and_after_they_were_first_used(shop: Any) -> None:
    shop.local.put_events(user_id="new", session_id="s", events=[Event("a", "watch")])
    assert unseen(shop, "new") == {*ITEMS} - {"a"}
    shop.local.put_events(user_id="new", session_id="s", events=[Event("x", "WATCH"), Event("y", "Click")])
    assert unseen(shop, "new") == {*ITEMS} - {"a", "x"}
    shop.local.put_events(user_id="ann", session_id="t", events=[Event("z", "Watch")])
    assert unseen(shop, "ann") == {*ITEMS} - {"a", "b", "hit", "z"}


def test_events_of_one_user_are_nothing_to_others(shop: Any) -> None:
    before = order(shop, "ben"), order(shop, "nobody"), unseen(shop, "ben")
    shop.local.put_events(user_id="new", session_id="s", events=[Event(item, "Watch") for item in ITEMS])
    assert (order(shop, "ben"), order(shop, "nobody"), unseen(shop, "ben")) == before


def test_what_is_popular_and_what_goes_together_stays_until_the_data_are_loaded_again(shop: Any) -> None:
    before = shop.recommend("popular"), shop.recommend("similar", itemId="a")
    for n in range(9):
        events = [Event("cold", "Watch", timestamp=1000 + n), Event("a", "Watch", timestamp=1000 + n)]
        shop.local.put_events(user_id=f"u{n}", session_id="s", events=events)
    assert (shop.recommend("popular"), shop.recommend("similar", itemId="a")) == before


def test_models_learn_the_same_whether_events_came_before_the_first_request_or_not(
    service: Callable[..., Any], small_files: dict[str, str]
) -> None:
    late, early = service(small_files), service(small_files)
    late.rank("ann", *ITEMS)
    for shop in (early, late):
        shop.local.put_events(user_id="new", session_id="s", events=[Event("cold", "Watch"), Event("a", "Watch")])
    assert early.rank("new", *ITEMS) == late.rank("new", *ITEMS)
    assert early.recommend("popular") == late.recommend("popular")


def test_an_item_that_is_new_is_no_error_and_not_recommended(shop: Any) -> None:
    before = shop.recommend("for-you", userId="new")
    shop.local.put_events(user_id="new", session_id="s", events=[Event("brand-new", "Watch")])
    assert shop.recommend("for-you", userId="new") == before
    arn = shop.local.filter_arn("unseen")
    assert [id for id, _ in shop.rank("new", "brand-new", "a", filterArn=arn)] == ["a"]


def test_the_latest_items_count_by_their_time_not_their_arrival(shop: Any) -> None:
    latest = [Event(f"i{n}", "Watch", timestamp=5_000 + n) for n in range(10)]
    shop.local.put_events(user_id="ann", session_id="s", events=[Event("x", "Watch", timestamp=1)])
    with_old = shop.rank("ann", *ITEMS[:7])
    shop.local.put_events(user_id="ann", session_id="s", events=latest)
    assert shop.rank("ann", *ITEMS[:7]) == with_old  # items that nobody knows take no place in the history


def test_an_event_without_a_time_happened_now(service: Callable[..., Any], small_files: dict[str, str]) -> None:
    shop = service(small_files, now=9_000_000.0)
    shop.local.put_events(user_id="ann", session_id="s", events=[Event("x", "Watch")])
    explicit = service(small_files, now=0.0)
    explicit.local.put_events(user_id="ann", session_id="s", events=[Event("x", "Watch", timestamp=9_000_000)])
    assert shop.rank("ann", *ITEMS) == explicit.rank("ann", *ITEMS)


def test_an_interaction_brings_its_user(shop: Any) -> None:
    shop.local.put_events(session_id="s", events=[Interaction("new", "a", 1000, "Watch", 5.0)])
    assert unseen(shop, "new") == {*ITEMS} - {"a"}


# Sessions


def test_an_anonymous_session_stands_for_the_user_until_one_is_known(shop: Any) -> None:
    local: LocalPersonalize = shop.local
    local.put_events(session_id="session", events=[Event("a", "Watch")])
    assert unseen(shop, "session") == {*ITEMS} - {"a"}
    assert unseen(shop, "new") == {*ITEMS}

    local.put_events(session_id="session", user_id="new", events=[Event("x", "Watch")])
    assert unseen(shop, "new") == {*ITEMS} - {"a", "x"}
    local.put_events(session_id="session", events=[Event("y", "Watch")])
    assert unseen(shop, "new") == {*ITEMS} - {"a", "x", "y"}

    twin = shop.rank("new", *ITEMS)
    local.put_events(session_id="other", user_id="twin", events=[Event(item, "Watch") for item in ("a", "x", "y")])
    assert shop.rank("twin", *ITEMS) == twin


def test_a_session_that_another_user_takes_over_keeps_nothing_of_the_first(shop: Any) -> None:
    shop.local.put_events(session_id="s", user_id="one", events=[Event("a", "Watch")])
    shop.local.put_events(session_id="s", user_id="two", events=[Event("x", "Watch")])
    assert unseen(shop, "two") == {*ITEMS} - {"x"}
    assert unseen(shop, "one") == {*ITEMS} - {"a"}


def test_the_same_event_twice_is_one(shop: Any) -> None:
    for _ in range(2):
        shop.local.put_events(
            session_id="s", user_id="u", events=[Event("a", "Watch", timestamp=9), Event("x", "Watch")]
        )
    assert len(shop.local._engine.items.all) == 2


# Trends


def test_what_rises_now_leads_the_trends(shop: Any) -> None:
    now = 1_600_000_000
    shop.local.put_events(session_id="s", user_id="u", events=[Event("z", "Watch", timestamp=now - 3 * 3600 - 1)])
    shop.local.put_events(
        session_id="s", user_id="u", events=[Event("c", "Watch", timestamp=now - n) for n in range(3)]
    )
    shop.local.put_events(
        session_id="s", user_id="u", events=[Event("x", "Watch", timestamp=now - n) for n in range(2)]
    )
    ids = [id for id, _ in shop.recommend("trending")]
    assert ids[:2] == ["c", "x"]
    assert sorted(ids) == sorted(ITEMS)


# Actions


def test_action_interactions_change_filters_and_repeats_at_once(shop: Any) -> None:
    local: LocalPersonalize = shop.local
    assert [id for id, _ in shop.actions("u")] == ["mail", "call"]
    local.put_action_interactions(user_id="u", session_id="s", events=[Event("mail", "VIEWED")])
    assert [id for id, _ in shop.actions("u")] == ["call"]  # not again for seven days
    assert [id for id, _ in shop.actions("v")] == ["mail", "call"]


def test_action_event_types_are_those_of_the_service(shop: Any) -> None:
    with pytest.raises(ValidationError, match="TAKEN, NOT_TAKEN, VIEWED"):
        shop.local.put_action_interactions(user_id="u", session_id="s", events=[Event("mail", "Taken")])


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
        ({"events": [Event("a", "Watch")] * 11}, "holds 11 events"),
        ({"events": Event("a", "Watch")}, "for a single one write"),
        ({"events": [{"itemId": "a"}]}, r"events\[0\] is a dict of 1 item, not an Event"),
        ({"events": [Event("a", "Watch"), Event("", "Watch")]}, r"events\[1\]\.item_id is a str of 0"),
        ({"events": [Event("a", "")]}, r"events\[0\]\.event_type"),
        ({"events": [Interaction("u", "a", 1)]}, r"events\[0\]\.event_type is None"),
        ({"events": [Interaction("v", "a", 1, "Watch")]}, "is of another user"),
        ({"events": [Event("a", "Watch", timestamp=float("nan"))]}, "not a finite number"),
        ({"events": [Event("a", "Watch", timestamp=1_600_000_000_000)]}, "in seconds, not milliseconds"),
        ({"events": [Event("a", "Watch", event_value=float("inf"))]}, "event_value is a float, not a finite"),
        ({"events": [Event("a", "Watch", impression="a")]}, "impression is a str of 1 character, not a list"),
        ({"events": [Event("a", "Watch", impression=["a"] * 26)]}, "holds 26 items; an event takes at most 25"),
        ({"events": [Event("a", "Watch", impression=[""])]}, r"impression\[0\] is a str of 0"),
    ],
)
def test_what_the_service_refuses_is_refused_and_changes_nothing(
    shop: Any, arguments: dict[str, Any], expected: str
) -> None:
    given: dict[str, Any] = {"user_id": "u", "session_id": "s", "events": [Event("a", "Watch")], **arguments}
    with pytest.raises(ValidationError, match=expected):
        shop.local.put_events(**given)
    assert unseen(shop, "u") == {*ITEMS}


def test_events_need_their_dataset(service: Callable[..., Any]) -> None:
    only_actions = service({"actions.csv": ACTIONS, "personalize.toml": ""}).local
    with pytest.raises(ValidationError, match=r"there is no interactions\.csv"):
        only_actions.put_events(user_id="u", session_id="s", events=[Event("a", "Watch")])


def test_event_shows_no_value() -> None:
    assert repr(Event("a", "Watch", event_value=4711, impression=["b"])) == "Event('a', 'Watch')"


def test_many_threads_put_and_ask(shop: Any) -> None:
    def visit(n: int) -> set[str]:
        user = f"u{n}"
        for item in ITEMS[:4]:
            shop.local.put_events(user_id=user, session_id=user, events=[Event(item, "Watch")])
            order(shop, user)
        return unseen(shop, user)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(visit, range(40))) == [{*ITEMS[4:]}] * 40
    assert len(shop.local._engine.items.all) == 160

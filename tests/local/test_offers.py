"""Next-best-action: propensities, the minimum of data, order, and what is left out (service.md section 4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from personalize_rt.tracking import TrackedEvent

DAY = 86_400
LATEST = 1_590_000_000
NOW = LATEST + 3 * DAY

ACTIONS = """\
ACTION_ID,TYPE,VALUE,CREATION_TIMESTAMP
mail-a,Mail,2,1500000000
mail-b,Mail,9,1500000000
gift-a,Gift,5,1500000000
gift-b,Gift,,1500000000
new-low,Mail,1,1500000000
new-high,Mail,10,1500000000
new-none,Mail,,1500000000
"""
SETTINGS = '[campaigns]\noffers = "aws-next-best-action"\n'
ORDER = ["new-high", "mail-b", "gift-a", "mail-a", "new-low", "gift-b", "new-none"]  # by VALUE, then as in the file


def events(counts: dict[str, tuple[int, int]], *more: tuple[str, str, str, int]) -> str:
    """``action: (taken, not taken)`` of users of no interest, one second after the other up to the latest."""
    rows = list(more)
    for action, (taken, others) in counts.items():
        rows += [(f"u{n}", action, "TAKEN", LATEST - n) for n in range(taken)]
        rows += [(f"v{n}", action, "VIEWED" if n % 2 else "NOT_TAKEN", LATEST - n) for n in range(others)]
    return "USER_ID,ACTION_ID,EVENT_TYPE,TIMESTAMP\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)


@pytest.fixture
def offers(service: Callable[..., Any]) -> Callable[..., Any]:
    def load(interactions: str | None, actions: str = ACTIONS, now: float = NOW) -> Any:
        files = {"actions.csv": actions, "personalize.toml": SETTINGS}
        if interactions is not None:
            files["action_interactions.csv"] = interactions
        return service(files, now=now)

    return load


def test_without_action_interactions_every_propensity_is_0_and_value_decides(offers: Callable[..., Any]) -> None:
    assert offers(None).actions("u", numResults=100) == [(action, 0.0) for action in ORDER]


def test_number_of_actions_is_5_unless_asked(offers: Callable[..., Any]) -> None:
    small = offers(None)
    assert [id for id, _ in small.actions("u")] == ORDER[:5]
    assert len(small.actions("u", numResults=0)) == 5
    assert len(small.actions("u", numResults=2)) == 2


@pytest.mark.parametrize(
    ("taken", "others", "scored"), [(50, 50, True), (49, 500, False), (500, 49, False), (51, 60, True)]
)
def test_action_is_scored_from_50_taken_and_50_other_events(
    offers: Callable[..., Any], taken: int, others: int, scored: bool
) -> None:
    small = offers(events({"mail-a": (taken, others)}))
    propensity = dict(small.actions("nobody", numResults=100))["mail-a"]

    assert (propensity > 0) == scored
    if scored:
        assert propensity == pytest.approx((taken + 1) / (taken + others + 2), abs=5e-8)


def test_events_older_than_six_weeks_do_not_count(offers: Callable[..., Any]) -> None:
    young = [("u", "mail-a", "TAKEN", LATEST - 42 * DAY)]
    old = [("u", "mail-a", "TAKEN", LATEST - 42 * DAY - 1)]
    enough = {"mail-a": (49, 50)}

    assert dict(offers(events(enough, *young)).actions("x", numResults=9))["mail-a"] > 0
    assert dict(offers(events(enough, *old)).actions("x", numResults=9))["mail-a"] == 0


def test_propensities_are_independent_and_order_the_actions(offers: Callable[..., Any]) -> None:
    counts = {"mail-a": (90, 60), "mail-b": (60, 90), "gift-a": (200, 50), "gift-b": (50, 200)}
    rows = offers(events(counts)).actions("nobody", numResults=100)

    assert [id for id, _ in rows] == ["gift-a", "mail-a", "mail-b", "gift-b", "new-high", "new-low", "new-none"]
    assert [score for _, score in rows[4:]] == [0.0, 0.0, 0.0]
    assert sum(score for _, score in rows) > 1.5
    for id, (taken, others) in counts.items():
        assert dict(rows)[id] == pytest.approx((taken + 1) / (taken + others + 2), abs=5e-8)


def test_equal_propensities_put_the_higher_value_first(offers: Callable[..., Any]) -> None:
    rows = offers(events({"mail-a": (60, 60), "mail-b": (60, 60)})).actions("nobody")
    assert [id for id, _ in rows[:2]] == ["mail-b", "mail-a"]
    assert rows[0][1] == rows[1][1]


def test_user_who_takes_a_type_more_often_gets_higher_propensities_for_it(offers: Callable[..., Any]) -> None:
    own = [("fan", "mail-a", "TAKEN", LATEST - n) for n in range(8)]
    own += [("foe", "mail-a", "NOT_TAKEN", LATEST - n) for n in range(8)]
    small = offers(events({"mail-a": (60, 60), "mail-b": (60, 60), "gift-a": (60, 60)}, *own))
    fan, foe, nobody = (dict(small.actions(user, numResults=9)) for user in ("fan", "foe", "nobody"))

    assert fan["mail-b"] > nobody["mail-b"] > foe["mail-b"]
    assert fan["gift-a"] == nobody["gift-a"] == foe["gift-a"]
    assert all(0 <= score <= 1 and score == round(score, 7) for score in (*fan.values(), *foe.values()))


def test_what_a_user_takes_while_the_service_runs_counts_at_once(offers: Callable[..., Any]) -> None:
    small = offers(events({"mail-a": (60, 60), "mail-b": (60, 60), "gift-a": (60, 60)}))
    before = dict(small.actions("fan", numResults=9))
    for type, sign in (("TAKEN", 1), ("NOT_TAKEN", -1)):
        user = f"who {type}"
        small.local.put_action_interactions(
            user_id=user,
            session_id="s",
            events=[TrackedEvent(event_type=type, item_id="mail-a", sent_at=LATEST + n) for n in range(8)],
        )
        after = dict(small.actions(user, numResults=9))
        assert (after["mail-b"] - before["mail-b"]) * sign > 0.01
        assert after["gift-a"] == before["gift-a"]
    assert dict(small.actions("fan", numResults=9)) == before


def test_expired_actions_are_left_out(offers: Callable[..., Any]) -> None:
    for column in ("EXPIRATION_TIMESTAMP", "ACTION_EXPIRATION_TIMESTAMP"):
        actions = f"ACTION_ID,{column}\nover,{NOW}\nstill,{NOW + 1}\nalways,\n"
        assert [id for id, _ in offers(None, actions).actions("u")] == ["still", "always"]


def test_action_met_less_than_its_repeat_frequency_ago_is_left_out(offers: Callable[..., Any]) -> None:
    actions = "ACTION_ID,REPEAT_FREQUENCY\nweekly,7\ndaily,1\nalways,0\nunset,\n"
    met = [("u", action, "VIEWED", LATEST) for action in ("weekly", "daily", "always", "unset")]
    small = offers(events({}, *met), actions)  # three days later

    assert [id for id, _ in small.actions("u")] == ["daily", "always", "unset"]
    assert [id for id, _ in small.actions("other")] == ["weekly", "daily", "always", "unset"]
    assert "weekly" in dict(offers(events({}, *met), actions, now=LATEST + 7 * DAY).actions("u"))
    assert [id for id, _ in offers(events({}, *met), actions, now=LATEST - DAY).actions("u")] == ["always", "unset"]


def test_actions_need_a_user(offers: Callable[..., Any]) -> None:
    small = offers(None)
    for members in ({}, {"userId": ""}):
        status, code, message = small.error("/action-recommendations", {"campaignArn": small.arn("offers"), **members})
        assert (status, code) == (400, "InvalidInputException")
        assert "userId" in message


def test_more_than_100_actions_are_refused(offers: Callable[..., Any]) -> None:
    small = offers(None)
    members = {"campaignArn": small.arn("offers"), "userId": "u", "numResults": 101}
    assert small.error("/action-recommendations", members)[:2] == (400, "InvalidInputException")


def test_event_of_an_action_that_is_not_listed_is_passed_over(offers: Callable[..., Any]) -> None:
    small = offers(events({"gone": (60, 60), "mail-a": (60, 60)}))
    assert "gone" not in dict(small.actions("u", numResults=100))

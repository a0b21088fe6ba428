"""Learning from lists that pages showed: how they are made, and what they may and may not teach."""

from __future__ import annotations

import random
from math import exp
from pathlib import Path
from typing import Any

import pytest

from personalize_rt.errors import ValidationError
from personalize_rt.events import InterleavingExposure
from personalize_rt.interactions import Interaction
from personalize_rt.rerank import EnsembleScorer, ShownList, mixing, shown_lists
from personalize_rt.rerank.ensemble import _trust
from personalize_rt.tracking import TrackedEvent

DAY = 86_400.0
ITEMS = [f"item-{n}" for n in range(40)]


def history(chance: random.Random) -> list[Interaction]:
    """Events without any taste: the first items are the most popular."""
    events = [Interaction(f"user-{n % 60}", ITEMS[int(40 * chance.random() ** 2)], n * DAY / 20.0) for n in range(1200)]
    return events


def pages(
    chance: random.Random, *, number: int, follows_place: bool, rare_on_top: bool = False, start: float = 30 * DAY
) -> tuple[list[ShownList], list[Interaction]]:
    """Lists with popular items on top, or rare ones. Clicks follow the place, or else go to the last item."""
    lists: list[ShownList] = []
    clicks: list[Interaction] = []
    for n in range(number):
        user, time = f"user-{chance.randrange(60)}", start + n * 600.0
        items = sorted(chance.sample(range(40), 12), reverse=rare_on_top)
        if follows_place:
            (taken,) = chance.choices(items, [1.0 / (1 + place) for place in range(12)])
        else:
            taken = items[-1]
        lists.append(ShownList(user, time, [ITEMS[item] for item in items], [ITEMS[taken]]))
        clicks.append(Interaction(user, ITEMS[taken], time))
    return lists, clicks


def spread(scorer: EnsembleScorer) -> float:
    """How far the logit of a popular item is above that of a rare one, for somebody new."""
    popular, rare = scorer("nobody", [ITEMS[0], ITEMS[35]])
    assert popular is not None
    assert rare is not None
    return popular - rare


def test_clicks_that_only_follow_the_place_do_not_teach_to_copy_the_list() -> None:
    events = history(random.Random(1))
    lists, _ = pages(random.Random(2), number=300, follows_place=True, rare_on_top=True)
    shuffled = [ShownList(one.user_id, one.timestamp, random.Random(n).sample(one.item_ids, 12), one.taken)
                for n, one in enumerate(lists)]  # fmt: skip
    learned = spread(EnsembleScorer().fit(events, lists=lists))
    # The same clicks, if the places did not explain them: they are on rare items.
    unexplained = spread(EnsembleScorer().fit(events, lists=shuffled))
    assert learned > max(0.0, unexplained) + 1.0, (learned, unexplained)


def test_what_was_taken_of_lists_against_their_order_is_learned() -> None:
    events = history(random.Random(1))
    lists, _ = pages(random.Random(2), number=300, follows_place=False)
    without, learned = spread(EnsembleScorer().fit(events)), spread(EnsembleScorer().fit(events, lists=lists))
    assert learned < without - 1.5, (without, learned)


@pytest.mark.parametrize("times", [1.0, 3.0])
def test_lists_that_only_agree_with_the_weights_leave_them(times: float) -> None:
    # That the weights are surer, or less sure, than users are makes no list better.
    chance = random.Random(5)
    weights = [1.0, -0.5, 0.0]
    lists: list[mixing.Choice] = []
    for _ in range(200):
        rows = [tuple(chance.gauss(0.0, 1.0) for _ in range(4)) for _ in range(10)]
        shares = [exp(times * sum(a * b for a, b in zip(weights, row, strict=False))) for row in rows]
        taken = chance.choices(range(10), shares)[0]
        lists.append([rows[taken], *rows[:taken], *rows[taken + 1 :]])
    assert _trust(weights, lists, [1] * 200, 40, 0) == 0.0
    assert _trust([0.0, 0.5, 0.0], lists, [1] * 200, 40, 0) > 0.5


@pytest.mark.parametrize(("habit", "least", "most"), [(0.0, 0, 2), (0.3, 8, 15), (0.7, 15, 15)])
def test_what_lists_teach_is_trusted_as_soon_as_it_gains_more_than_an_error(
    habit: float, least: int, most: int
) -> None:
    # Of 15 sites whose users have a habit that the weights lack, those that trust 150 lists; 5 at 0.3 if it had to gain
    # 1.645 errors (95 %).
    trusting = 0
    for site in range(15):
        chance = random.Random(site)
        lists: list[mixing.Choice] = []
        for _ in range(150):
            rows = [tuple(chance.gauss(0.0, 1.0) for _ in range(3)) for _ in range(5)]
            taken = chance.choices(range(5), [exp(row[0] + habit * row[1]) for row in rows])[0]
            lists.append([rows[taken], *rows[:taken], *rows[taken + 1 :]])
        trusting += _trust([1.0, 0.0], lists, [1] * 150, 50, 0) > 0.0
    assert least <= trusting <= most


def test_lists_that_are_not_trusted_leave_exactly_what_is_learned_without_them() -> None:
    events = history(random.Random(1))
    # The newest contradict the others, in the midst of the events that the weights are learned from.
    lists, _ = pages(random.Random(2), number=60, follows_place=False, start=50 * DAY)
    lists[48:] = [ShownList(one.user_id, one.timestamp, one.item_ids, one.item_ids[:1]) for one in lists[48:]]
    without = EnsembleScorer().fit(events)
    fitted = EnsembleScorer().fit(events, lists=lists)
    assert fitted._of_lists
    assert fitted("user-1", ITEMS) == without("user-1", ITEMS)


def test_lists_that_contradict_the_newest_ones_are_not_trusted() -> None:
    events = history(random.Random(1))
    old, _ = pages(random.Random(2), number=240, follows_place=False)
    new, _ = pages(random.Random(3), number=60, follows_place=False, start=40 * DAY)
    turned = [ShownList(one.user_id, one.timestamp, one.item_ids[::-1], one.item_ids[:1]) for one in new]
    trusted, contradicted = (EnsembleScorer().fit(events, lists=[*old, *then]) for then in (new, turned))
    without = spread(EnsembleScorer().fit(events))
    assert abs(spread(contradicted) - without) < 0.5 * abs(spread(trusted) - without)


def test_a_list_knows_nothing_of_its_own_time_and_later() -> None:
    events = history(random.Random(1))
    lists, _ = pages(random.Random(2), number=60, follows_place=False)
    last = lists[-1]
    known = [(event.timestamp, event.user_id, event.item_id) for event in events if event.timestamp < last.timestamp]
    now = [(last.timestamp, last.user_id, item) for item in last.item_ids]
    seen: list[list[mixing.Choice]] = []
    for more in ([], now, [(last.timestamp + 1.0, "somebody", "item-1")]):
        _, _, found, *_ = EnsembleScorer()._learned([*known, *more], lists)
        seen.append(found)
    assert len(seen[0]) == 60
    assert seen[0] == seen[1] == seen[2]
    earlier = [(last.timestamp - 1.0, user_id, item_id) for _, user_id, item_id in now]
    assert EnsembleScorer()._learned(sorted([*known, *earlier]), lists)[2][-1] != seen[0][-1]


def test_without_usable_lists_the_outcome_is_that_of_none() -> None:
    events = history(random.Random(1))
    useless = [
        ShownList("u", 10 * DAY, ["item-1", "item-2"], []),
        ShownList("u", 10 * DAY, ["item-1", "item-2"], ["item-1", "item-2"]),
        ShownList("u", 10 * DAY, ["never-heard-of", "item-2"], ["never-heard-of"]),
        ShownList("u", -1.0, ["item-1", "item-2"], ["item-1"]),
        ShownList("u", 10 * DAY, [], ["item-1"]),
    ]
    for lists in ([], useless):
        plain, fitted = EnsembleScorer().fit(events), EnsembleScorer().fit(events, lists=lists)
        assert fitted._of_lists is False
        if not lists:
            assert fitted.weights == plain.weights
        assert len(fitted("user-1", ITEMS)) == len(ITEMS)


def test_what_lists_taught_is_in_the_file(tmp_path: Path) -> None:
    events = history(random.Random(1))
    lists, clicks = pages(random.Random(2), number=100, follows_place=False)
    trained = EnsembleScorer().fit([*events, *clicks], lists=lists)
    trained.save(tmp_path / "scorer")
    loaded = EnsembleScorer.load(tmp_path / "scorer")
    assert loaded("user-1", ITEMS) == trained("user-1", ITEMS)
    later = [Interaction("user-1", item, 90 * DAY + n) for n, item in enumerate(["item-3", "item-3", "item-5"])]
    assert loaded.update(later)("user-1", ITEMS) == trained.update(later)("user-1", ITEMS)


@pytest.mark.parametrize("lists", [3, "text", [1], ShownList("u", 0.0, ["a"], ["a"]), [{"user_id": "u"}]])
def test_lists_of_the_wrong_kind_are_refused_by_name(lists: Any) -> None:
    trained = EnsembleScorer().fit([Interaction("u", "a", 0.0)])
    with pytest.raises(ValidationError) as caught:
        trained.fit([], lists=lists)
    assert caught.value.parameter == "lists"
    assert trained("u", ["a"]) != [None]


@pytest.mark.parametrize(
    ("name", "value"),
    [("user_id", 3), ("timestamp", float("nan")), ("timestamp", "1"), ("item_ids", "ab"), ("taken", [1])],
)
def test_a_list_of_the_wrong_kind_is_refused_by_name(name: str, value: Any) -> None:
    members: dict[str, Any] = {"user_id": "u", "timestamp": 0.0, "item_ids": ["a"], "taken": ["a"], name: value}
    with pytest.raises(ValidationError) as caught:
        ShownList(**members)
    assert caught.value.parameter == name


def test_a_list_does_not_show_its_user() -> None:
    assert "somebody" not in repr(ShownList("somebody", 0.0, ["a"], ["a"]))


# Of events.


def test_events_of_one_recommendation_are_of_one_list_and_others_of_their_own() -> None:
    events = [
        ("u", TrackedEvent(event_type="click", item_id="b", sent_at=9.0, recommendation_id="r")),
        ("u", TrackedEvent(event_type="view", item_id="c", sent_at=5.0, recommendation_id="r", impression=["a", "b"])),
        ("u", TrackedEvent(event_type="view", sent_at=6.0, recommendation_id="r", impression=["c", "b"])),
        ("v", TrackedEvent(event_type="click", item_id="a", sent_at=7.0, recommendation_id="r", impression=["d", "a"])),
        ("v", TrackedEvent(event_type="click", item_id="e", sent_at=8.0, impression=["e", "f"])),
        ("v", TrackedEvent(event_type="click", item_id="e", sent_at=8.5)),
        ("w", TrackedEvent(event_type="view", item_id="e", sent_at=8.0, impression=["e", "f"])),
    ]
    assert shown_lists(events, event_types=["click"]) == [
        ShownList("u", 5.0, ["a", "b", "c"], ["b"]),
        ShownList("v", 7.0, ["d", "a"], ["a"]),
        ShownList("v", 8.0, ["e", "f"], ["e"]),
    ]
    assert shown_lists(events)[0].taken == ("c", "b")


def exposure(unit: str, *items: str) -> InterleavingExposure:
    return InterleavingExposure(
        experiment="e",
        unit=unit,
        method="team-draft",
        item_ids=items,
        sides=["a"] * len(items),
        places=[(0, 0)] * len(items),
    )


def test_what_was_taken_of_an_exposed_list_is_of_that_list() -> None:
    exposures = [exposure("u", "a", "b"), exposure("u", "b", "c"), exposure("v", "a", "b")]
    events = [
        ("u", TrackedEvent(event_type="click", item_id="a", sent_at=5.0)),
        ("u", TrackedEvent(event_type="click", item_id="b", sent_at=7.0)),
        ("u", TrackedEvent(event_type="click", item_id="c", sent_at=6.0)),
        ("u", TrackedEvent(event_type="click", item_id="elsewhere", sent_at=6.0)),
        ("v", TrackedEvent(event_type="click", item_id="b", sent_at=8.0, impression=["b", "z"])),
        ("w", TrackedEvent(event_type="click", item_id="a", sent_at=8.0)),
    ]
    assert shown_lists(events, exposures=exposures) == [
        ShownList("u", 5.0, ["a", "b"], ["a"]),
        ShownList("u", 6.0, ["b", "c"], ["c", "b"]),
        ShownList("v", 8.0, ["b", "z"], ["b"]),
    ]


@pytest.mark.parametrize("events", [[1], [("u", 1)], [("u",)], [Interaction("u", "a", 0.0)]])
def test_what_is_no_event_is_refused(events: Any) -> None:
    with pytest.raises(ValidationError, match=r"events\[0\]"):
        shown_lists(events)


def test_events_that_a_local_service_recorded_give_lists() -> None:
    local = pytest.importorskip("personalize_rt.local")
    service = local.LocalPersonalize.sample()
    shown = list(service.items)[:3]
    service.put_events(
        session_id="s",
        user_id="u",
        events=[TrackedEvent(event_type="click", item_id=shown[1], sent_at=1.7e9, impression=shown)],
    )
    assert shown_lists(service.recorded_events) == [ShownList("u", 1.7e9, shown, [shown[1]])]
    service.put_events(
        session_id="t", user_id="u", events=[TrackedEvent(event_type="click", item_id=shown[2], sent_at=1.8e9)]
    )
    exposed = exposure("t", *shown)
    assert shown_lists(service.recorded_events, exposures=[exposed])[1:] == [ShownList("u", 1.8e9, shown, [shown[2]])]

"""Co-visitation: lift over what chance would give, on top of popularity."""

from __future__ import annotations

from collections import defaultdict
from itertools import permutations
from math import log
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.errors import ValidationError
from personalize_rt.interactions import Interaction
from personalize_rt.rerank import CoVisitationScorer, LocalReranker, PopularityScorer

DAY = 86_400.0
USERS, ITEMS = ["u", "v", "w", "x"], "abcdef"
EVENTS = st.lists(
    st.builds(Interaction, st.sampled_from(USERS), st.sampled_from(ITEMS), st.integers(0, 500).map(lambda n: n * DAY)),
    max_size=40,
)
# No time plays a part, and no history is too long to be kept.
TIMELESS: dict[str, Any] = {"history": 100, "history_half_life_days": None, "half_life_days": None}


def visits(*histories: str, day: float = 0.0) -> list[Interaction]:
    """One user for each history, named by its number; one item a day."""
    return [
        Interaction(f"user-{n}", item_id, (day + place) * DAY)
        for n, history in enumerate(histories)
        for place, item_id in enumerate(history)
    ]


def test_what_goes_with_the_users_items_comes_first() -> None:
    scorer = CoVisitationScorer().fit(visits("ab", "ab", "ab", "cd", "cd", "cd", "a", "c"))
    assert LocalReranker(scorer).rank(user_id="user-6", input_list=["d", "b"]).item_ids == ("b", "d")
    assert LocalReranker(scorer).rank(user_id="user-7", input_list=["b", "d"]).item_ids == ("d", "b")


@given(EVENTS, st.sampled_from([None, 100.0]))
def test_logits_are_what_the_documented_formulas_say(events: list[Interaction], half_life_days: float | None) -> None:
    scorer = CoVisitationScorer(smoothing=0.5, **TIMELESS | {"half_life_days": half_life_days}).fit(events)
    popularity = PopularityScorer().fit(events)
    newest = max((event.timestamp for event in events), default=0.0)
    seen: dict[str, dict[str, float]] = defaultdict(dict)
    for event in events:
        first = seen[event.user_id].get(event.item_id, event.timestamp)
        seen[event.user_id][event.item_id] = min(first, event.timestamp)
    both: dict[tuple[str, str], float] = defaultdict(float)
    for firsts in seen.values():
        for a, b in permutations(firsts, 2):
            days = (newest - max(firsts[a], firsts[b])) / DAY
            both[a, b] += 1.0 if half_life_days is None else 0.5 ** (days / half_life_days)
    totals = {a: sum(both[a, b] for b in ITEMS) for a in ITEMS}
    for user_id in USERS:
        logits = scorer(user_id, ITEMS)
        for item_id, logit, popular in zip(ITEMS, logits, popularity(user_id, ITEMS), strict=True):
            observed = sum(both[seed, item_id] for seed in seen[user_id])
            expected = sum(totals[seed] for seed in seen[user_id]) * totals[item_id] / (sum(totals.values()) or 1)
            if popular is None:
                assert logit is None
            else:
                assert logit == pytest.approx(popular + log((observed + 0.5) / (expected + 0.5)))
    for seed in filter(totals.get, ITEMS):
        for item_id, logit in zip(ITEMS, scorer.similar(seed, ITEMS), strict=True):
            expected = totals[seed] * totals[item_id] / sum(totals.values())
            lift = log((both[seed, item_id] + 0.5) / (expected + 0.5))
            assert logit is None or logit == pytest.approx(lift + 0.5 * log(1 + totals[item_id]))


def test_an_item_that_goes_with_everything_gains_nothing_by_it() -> None:
    # "h" is beside everything; "b" only beside "a".
    histories = ["ah", "bh", "ch", "dh", "ab", "cd"] * 20
    scorer = CoVisitationScorer(popularity_half_life_days=None, **TIMELESS).fit([*visits(*histories), *visits("h")])
    popularity = PopularityScorer(half_life_days=None).fit([*visits(*histories), *visits("h")])
    fan_of_a = visits(*histories, "a")[-1]
    scorer.update([fan_of_a])
    popularity.update([fan_of_a])
    before_b, before_h = (logit or 0 for logit in popularity(fan_of_a.user_id, "bh"))
    lifted_b, lifted_h = (logit or 0 for logit in scorer(fan_of_a.user_id, "bh"))
    assert before_b < before_h
    assert lifted_b - before_b > 0.5
    assert abs(lifted_h - before_h) < 0.5


@given(EVENTS)
def test_a_user_without_events_gets_the_popularity_logits(events: list[Interaction]) -> None:
    scorer = CoVisitationScorer(popularity_half_life_days=5.0).fit(events)
    assert scorer("nobody", ITEMS) == PopularityScorer(half_life_days=5.0).fit(events)("nobody", ITEMS)


def test_an_item_without_events_is_unknown() -> None:
    assert CoVisitationScorer().fit(visits("ab"))("user-0", ["a", "z"])[1] is None


def test_context_makes_no_difference() -> None:
    scorer = CoVisitationScorer().fit(visits("ab", "a"))
    assert scorer("user-1", "ab", {"DEVICE": "phone"}) == scorer("user-1", "ab")


def test_a_recent_item_of_the_user_weighs_more() -> None:
    scorer = CoVisitationScorer(history_half_life_days=1.0).fit(
        [*visits("ab", "cd", "ab", "cd"), *visits("", "", "", "", "ac")]
    )
    assert LocalReranker(scorer).rank(user_id="user-4", input_list=["b", "d"]).item_ids == ("d", "b")


def test_only_the_latest_items_of_the_user_count() -> None:
    events = [*visits("ab", "ab", "cd", "cd"), *visits("", "", "", "", "ac", "c", day=5)]
    scorer = CoVisitationScorer(history=1).fit(events)
    assert scorer("user-4", "bd") == scorer("user-5", "bd")
    scorer = CoVisitationScorer(history=2).fit(events)
    assert scorer("user-4", "bd") != scorer("user-5", "bd")


def test_a_co_visit_a_half_life_ago_counts_half() -> None:
    # Two co-visits of "a" and "b", and ten days later one of "a" and "d".
    events = [*visits("ab", "ab"), *visits("", "", "ad", day=10)]
    b, d = (logit or 0 for logit in CoVisitationScorer(half_life_days=10.0).fit(events).similar("a", "bd"))
    assert b == pytest.approx(d)
    b, d = (logit or 0 for logit in CoVisitationScorer(half_life_days=None).fit(events).similar("a", "bd"))
    assert b > d + 0.1


def test_ages_are_kept_over_any_number_of_half_lives() -> None:
    old = visits("ab", "ab", "cd")
    new = visits("", "", "", "ad", "bc", "bc", day=700)
    both = CoVisitationScorer(half_life_days=1.0).fit([*old, *new])
    lately = CoVisitationScorer(half_life_days=1.0).fit(new)
    assert both.similar("a", "bcd") == pytest.approx(lately.similar("a", "bcd"), abs=1e-6)
    assert both.similar("b", "acd") == pytest.approx(lately.similar("b", "acd"), abs=1e-6)


@given(EVENTS, st.integers(0, 40), st.integers(1, 5))
def test_updating_gives_exactly_what_fitting_all_gives_when_no_event_is_older(
    events: list[Interaction], place: int, history: int
) -> None:
    events = sorted(events, key=lambda event: event.timestamp)
    options: dict[str, Any] = {"history": history, "neighbours": 2, "half_life_days": 1.0}
    whole = CoVisitationScorer(**options).fit(events)
    parts = CoVisitationScorer(**options).fit(events[:place]).update(events[place:])
    one_by_one = CoVisitationScorer(**options)
    for event in events:
        one_by_one.update([event])
    for scorer in (parts, one_by_one):
        for user_id in [*USERS, "nobody"]:
            assert scorer(user_id, ITEMS) == whole(user_id, ITEMS)
        for item_id in ITEMS:
            assert scorer.similar(item_id, ITEMS) == whole.similar(item_id, ITEMS)


@given(EVENTS, EVENTS)
def test_late_events_give_what_fitting_all_gives_when_co_visits_do_not_age_and_no_history_is_full(
    first: list[Interaction], late: list[Interaction]
) -> None:
    options: dict[str, Any] = {"history": 100, "history_half_life_days": 30.0, "half_life_days": None}
    whole = CoVisitationScorer(**options).fit([*first, *late])
    parts = CoVisitationScorer(**options).fit(first).update(late)
    for user_id in USERS:
        assert parts(user_id, ITEMS) == pytest.approx(whole(user_id, ITEMS), abs=1e-9)


def test_a_late_co_visit_is_as_old_as_its_event() -> None:
    options: dict[str, Any] = {"half_life_days": 10.0, "popularity_half_life_days": None}
    scorer = CoVisitationScorer(**options).fit([*visits("a", "c"), *visits("", "", "xy", day=49)])
    # Both come after the newest event was learned: one of day 30, one of day 40.
    scorer.update([Interaction("user-0", "b", 30 * DAY), Interaction("user-1", "d", 40 * DAY)])
    one = scorer._covisits
    assert one.rows["c"]["d"] == pytest.approx(2 * one.rows["a"]["b"])
    assert one.rows["x"]["y"] == pytest.approx(2 * one.rows["c"]["d"])
    assert one.now == pytest.approx(one.rows["x"]["y"])


def test_an_event_older_than_a_full_history_adds_to_popularity_only() -> None:
    scorer = CoVisitationScorer(history=2).fit([*visits("ab", day=10), *visits("", "z")])
    similar, popular = scorer.similar("a", "bz"), scorer("nobody", "z")
    scorer.update([Interaction("user-0", "z", 0.0)])
    assert scorer.similar("a", "bz") == similar
    assert scorer("nobody", "z") > popular  # type: ignore[operator]


def test_one_event_changes_the_next_ranking() -> None:
    scorer = CoVisitationScorer().fit(visits("ab", "ab", "cd", "cd", "a"))
    reranker = LocalReranker(scorer)
    assert reranker.rank(user_id="user-4", input_list=["d", "b"]).item_ids == ("b", "d")
    scorer.update([Interaction("user-4", "c", 30 * DAY)])
    assert reranker.rank(user_id="user-4", input_list=["b", "d"]).item_ids == ("d", "b")


def test_events_given_twice_add_no_co_visits() -> None:
    events = visits("abc", "bcd", "cde")
    once = CoVisitationScorer().fit(events)
    twice = CoVisitationScorer().fit([*events, *events]).update(events)
    for item_id in "abcde":
        assert twice.similar(item_id, "abcde") == once.similar(item_id, "abcde")


def test_events_in_any_order_give_the_same() -> None:
    events = visits("abc", "bcd", "cde", "ace")
    shuffled = list(events)
    Random(4).shuffle(shuffled)
    one, other = CoVisitationScorer().fit(events), CoVisitationScorer().fit(shuffled)
    for n in range(4):
        assert one(f"user-{n}", "abcde") == pytest.approx(other(f"user-{n}", "abcde"), abs=1e-9)


def test_fitting_again_forgets_what_was_before() -> None:
    scorer = CoVisitationScorer().fit(visits("ab", "ab")).fit(visits("cd"))
    fresh = CoVisitationScorer().fit(visits("cd"))
    assert scorer("user-0", "abcd") == fresh("user-0", "abcd")
    assert scorer.similar("c", "abcd") == fresh.similar("c", "abcd")


# More like this.


def test_similar_is_the_cosine_but_for_the_smoothing() -> None:
    scorer = CoVisitationScorer(smoothing=1e-9, **TIMELESS).fit(visits("ab", "ab", "abc", "acd", "bd"))
    # Co-visits: a-b 3, a-c 2, a-d 1; in all, of b 5, of c 4, of d 3.
    b, c, d = (logit or 0 for logit in scorer.similar("a", "bcd"))
    assert b - c == pytest.approx(log(3 / 5) - log(2 / 4) + 0.5 * (log(1 + 5) - log(1 + 4)))
    assert c - d == pytest.approx(log(2 / 4) - log(1 / 3) + 0.5 * (log(1 + 4) - log(1 + 3)))


def test_similar_to_an_unknown_item_is_what_is_popular() -> None:
    scorer = CoVisitationScorer().fit([*visits("ab", "b", "z"), *visits("", "", "", "z", day=1)])
    for seed in ("never seen", "z"):
        assert scorer.similar(seed, ["a", "b", "y"]) == scorer("nobody", ["a", "b", "y"])


def test_a_candidate_without_events_is_unknown() -> None:
    assert CoVisitationScorer().fit(visits("ab")).similar("a", ["z", "b"])[0] is None


def test_a_seed_of_which_nothing_is_left_counts_as_unknown() -> None:
    scorer = CoVisitationScorer(half_life_days=1.0).fit([*visits("ab"), *visits("", "cd", day=5000)])
    assert scorer.similar("a", "bcd") == scorer("nobody", "bcd")


# Bounds.


def test_a_row_keeps_those_with_the_most_co_visits() -> None:
    histories = [*["ac"] * 9, *["ab"] * 10, *[f"a{other}" for other in "defghijk"]]
    scorer = CoVisitationScorer(neighbours=2, **TIMELESS).fit(visits(*histories))
    row = scorer._covisits.rows["a"]
    assert len(row) <= 4
    assert {"b", "c"} <= row.keys()
    assert row["b"] == 10


def test_a_history_keeps_the_latest_items() -> None:
    scorer = CoVisitationScorer(history=3).fit(visits("abcdeab"))
    assert list(scorer._histories["user-0"]) == ["e", "a", "b"]


@pytest.mark.parametrize("value", [0, -1, 1.0, True, None, "10"])
@pytest.mark.parametrize("parameter", ["history", "neighbours"])
def test_bounds_are_whole_numbers_from_1(parameter: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        CoVisitationScorer(**{parameter: value})
    assert caught.value.parameter == parameter


@pytest.mark.parametrize("value", [0, -1.0, None, float("nan"), True, 1e-200])
def test_smoothing_is_a_number_above_0(value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        CoVisitationScorer(smoothing=value)
    assert caught.value.parameter == "smoothing"


def test_where_users_have_a_taste_it_beats_popularity() -> None:
    chance = Random(11)
    events: list[Interaction] = []
    held_out: list[tuple[str, str]] = []
    for n in range(200):
        taste = n % 4
        for place in range(8):
            # Seven events in ten are of the user's own taste: 25 of the 100 items.
            kind = taste if chance.random() < 0.7 else chance.randrange(4)
            event = Interaction(f"user-{n}", f"item-{kind}-{int(25 * chance.random() ** 2)}", (10 * n + place) * 60.0)
            if place < 7:
                events.append(event)
            else:
                held_out.append((event.user_id, event.item_id))
    candidates = [f"item-{kind}-{n}" for kind in range(4) for n in range(25)]

    def reciprocal_rank(scorer: Any) -> float:
        reranker = LocalReranker(scorer.fit(events))
        positions = [reranker.rank(user_id=user, input_list=candidates).position(item) for user, item in held_out]
        return sum(1 / (1 + (position or 0)) for position in positions) / len(positions)

    assert reciprocal_rank(CoVisitationScorer()) > 1.2 * reciprocal_rank(PopularityScorer())

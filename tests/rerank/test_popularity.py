"""Popularity: a decayed count of events, known in the logarithm."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from decimal import Decimal
from math import exp, inf, isclose, log, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.errors import ValidationError
from personalize_rt.interactions import Interaction
from personalize_rt.rerank import CoVisitationScorer, LocalReranker, PopularityScorer

DAY = 86_400.0
SCORERS = [PopularityScorer, CoVisitationScorer]
TIMES = st.integers(0, 10_000).map(lambda hours: hours * 3600.0)
EVENTS = st.lists(st.builds(Interaction, st.sampled_from(["u", "v", "w"]), st.sampled_from("abcde"), TIMES))


def event(item_id: str, day: float = 0.0, user_id: str = "user-1") -> Interaction:
    return Interaction(user_id, item_id, day * DAY)


def shares(scorer: PopularityScorer, items: str) -> list[float | None]:
    """What the logits stand for."""
    return [None if logit is None else exp(logit) for logit in scorer("anybody", list(items))]


def test_without_a_half_life_it_counts_events() -> None:
    scorer = PopularityScorer(half_life_days=None).fit([event("a", 0), event("b", 900), event("a", 5), event("a", 5)])
    assert shares(scorer, "abx") == [pytest.approx(3), pytest.approx(1), None]


def test_an_event_a_half_life_older_than_the_newest_of_all_counts_half() -> None:
    scorer = PopularityScorer(half_life_days=10).fit([event("a", 0), event("a", 10), event("b", 20), event("c", 0)])
    assert shares(scorer, "abc") == [pytest.approx(0.75), pytest.approx(1), pytest.approx(0.25)]


def test_the_wall_clock_plays_no_part() -> None:
    long_ago = PopularityScorer().fit([event("a", 0), event("b", 4)])
    lately = PopularityScorer().fit([event("a", 20_000), event("b", 20_004)])
    assert long_ago("u", ["a", "b"]) == lately("u", ["a", "b"])


def test_a_score_is_an_items_share_of_the_decayed_events() -> None:
    scorer = PopularityScorer(half_life_days=1).fit([event("a", 1), event("a", 1), event("b", 0), event("b", 1)])
    assert LocalReranker(scorer).rank(user_id="u", input_list=["b", "a", "x"]).scores == (0.5714286, 0.4285714, None)


def test_user_and_context_make_no_difference() -> None:
    scorer = PopularityScorer().fit([event("a"), event("b"), event("b")])
    assert scorer("user-1", ["a", "b"]) == scorer("nobody", ["a", "b"], {"DEVICE": "phone"})


def test_an_item_is_not_forgotten_however_old() -> None:
    old, new = PopularityScorer(half_life_days=1).fit([event("a", 0), event("b", 30_000)])("u", ["a", "b"])
    assert old == pytest.approx(-30_000 * log(2))
    assert new == 0.0


@given(EVENTS, st.randoms())
def test_the_order_of_the_events_makes_no_difference(events: list[Interaction], chance: Any) -> None:
    shuffled = list(events)
    chance.shuffle(shuffled)
    assert_close(PopularityScorer().fit(events), PopularityScorer().fit(shuffled))


@given(EVENTS, EVENTS, st.sampled_from([None, 0.5, 3.0, 100.0]))
def test_updating_gives_what_fitting_all_gives_to_1e_9(
    first: list[Interaction], then: list[Interaction], half_life_days: float | None
) -> None:
    whole = PopularityScorer(half_life_days=half_life_days).fit([*first, *then])
    assert_close(whole, PopularityScorer(half_life_days=half_life_days).fit(first).update(then))


def assert_close(one: PopularityScorer, other: PopularityScorer) -> None:
    for a, b in zip(one("u", "abcde"), other("u", "abcde"), strict=True):
        assert (a is None) == (b is None)
        assert a is None or b is None or isclose(a, b, rel_tol=0, abs_tol=1e-9)


def test_fitting_again_forgets_what_was_before() -> None:
    scorer = PopularityScorer().fit([event("a", 50)]).fit([event("b", 0)])
    assert scorer("u", ["a", "b"]) == [None, 0.0]


# What holds for every scorer that learns from interactions.


@pytest.mark.parametrize("scorer_class", SCORERS)
def test_without_events_every_item_is_unknown(scorer_class: Any) -> None:
    for scorer in (scorer_class(), scorer_class().fit([]), scorer_class().update(iter([]))):
        assert LocalReranker(scorer).rank(user_id="u", input_list=["b", "a"]).unscored == ("b", "a")


@pytest.mark.parametrize("scorer_class", SCORERS)
def test_a_single_event_is_enough(scorer_class: Any) -> None:
    scorer = scorer_class().fit(iter([event("a")]))
    for user_id in ("user-1", "nobody"):
        assert LocalReranker(scorer).rank(user_id=user_id, input_list=["b", "a"]).scores == (1.0, None)


@pytest.mark.parametrize("scorer_class", SCORERS)
@given(
    events=st.lists(
        st.builds(
            Interaction,
            st.sampled_from(["u", "v", ""]),
            st.sampled_from(["a", "b", "c", "d", ""]),
            st.one_of(st.floats(allow_nan=False, allow_infinity=False), TIMES, st.integers(-(10**18), 10**18)),
        ),
        max_size=20,
    ),
    later=EVENTS,
    half_life_days=st.sampled_from([None, 1e-100, 1e-3, 1.0, 1e100]),
)
def test_no_events_make_ranking_fail(
    scorer_class: Any, events: list[Interaction], later: list[Interaction], half_life_days: float | None
) -> None:
    options: dict[str, Any] = {"half_life_days": half_life_days}
    if scorer_class is CoVisitationScorer:
        options |= {"history_half_life_days": half_life_days, "popularity_half_life_days": half_life_days, "history": 3}
    scorer = scorer_class(**options).fit(events).update(later)
    seen = {e.item_id for e in [*events, *later]}
    for user_id in ("u", "v", "nobody"):
        ranking = LocalReranker(scorer).rank(user_id=user_id, input_list=["a", "b", "c", "d", "e", "", "x"])
        assert set(ranking.item_ids) - set(ranking.unscored) == seen


@pytest.mark.parametrize("scorer_class", SCORERS)
@pytest.mark.parametrize("timestamp", [nan, inf, -inf, np.float64(nan), 10**400])
def test_a_timestamp_that_is_not_finite_is_refused(scorer_class: Any, timestamp: Any) -> None:
    for method, parameter in (("fit", "interactions"), ("update", "events")):
        with pytest.raises(ValidationError, match=r"\[1\]\.timestamp is not finite") as caught:
            getattr(scorer_class(), method)([event("a"), Interaction("user-1", "b", timestamp)])
        assert caught.value.parameter == parameter


@pytest.mark.parametrize("scorer_class", SCORERS)
@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (("secret", "a", 0.0), r"\[0\] is a tuple of 3 items, not an Interaction\(user_id, item_id, timestamp\)$"),
        ({"USER_ID": "secret"}, r"\[0\] is a dict of 1 item, not an Interaction.*pandas\.read_csv\(path\)"),
        (Interaction(5, "a", 0.0), r"\[0\]\.user_id is an int"),  # type: ignore[arg-type]
        (Interaction("secret", None, 0.0), r"\[0\]\.item_id is None"),  # type: ignore[arg-type]
        (Interaction("secret", "a", "1362062307"), r"\[0\]\.timestamp is a str of 10 characters"),  # type: ignore[arg-type]
        (Interaction("secret", "a", True), r"\[0\]\.timestamp is a bool"),
        (Interaction("secret", "a", datetime(2013, 3, 1, tzinfo=UTC)), r"\.timestamp\(\)"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_event_is_refused_and_no_message_shows_the_user(scorer_class: Any, bad: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        scorer_class().fit([bad])
    assert "secret" not in repr(caught.value)


@pytest.mark.parametrize("scorer_class", SCORERS)
@pytest.mark.parametrize("events", [None, 5, event("a")])
def test_what_is_no_list_of_events_is_refused(scorer_class: Any, events: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        scorer_class().fit(events)
    assert caught.value.parameter == "interactions"


@pytest.mark.parametrize("scorer_class", SCORERS)
def test_a_refused_event_leaves_what_was_learned(scorer_class: Any) -> None:
    scorer = scorer_class().fit([event("a"), event("b")])
    before = scorer("user-1", ["a", "b", "c"])
    for learn in (scorer.fit, scorer.update):
        with pytest.raises(ValidationError):
            learn([event("c"), event("a", nan)])
        assert scorer("user-1", ["a", "b", "c"]) == before


@pytest.mark.parametrize("scorer_class", SCORERS)
def test_numbers_of_other_libraries_are_timestamps(scorer_class: Any) -> None:
    plain = scorer_class().fit([event("a", 1), event("b", 2)])
    foreign = scorer_class().fit(
        [
            Interaction("user-1", "a", np.int64(DAY)),  # type: ignore[arg-type]
            Interaction("user-1", "b", Decimal(2 * DAY)),  # type: ignore[arg-type]  # as DynamoDB gives numbers
        ]
    )
    assert plain("user-1", ["a", "b"]) == foreign("user-1", ["a", "b"])


@pytest.mark.parametrize("scorer_class", SCORERS)
def test_a_scorer_pickles(scorer_class: Any) -> None:
    scorer = scorer_class().fit([event("a", 1), event("b", 2), event("a", 3, "user-2")])
    copy = pickle.loads(pickle.dumps(scorer))
    assert copy("user-1", ["a", "b"]) == scorer("user-1", ["a", "b"])
    later = [event("b", 4, "user-2")]
    assert copy.update(later)("user-2", ["a", "b"]) == scorer.update(later)("user-2", ["a", "b"])


@pytest.mark.parametrize("scorer_class", SCORERS)
def test_repr_shows_parameters_and_nothing_that_was_learned(scorer_class: Any) -> None:
    scorer = scorer_class().fit([event("an-item", 0, "a-user")])
    assert repr(scorer).startswith(f"{scorer_class.__name__}(")
    assert "half_life_days=" in repr(scorer)
    assert "a-user" not in repr(scorer)
    assert "an-item" not in repr(scorer)


@pytest.mark.parametrize("scorer_class", SCORERS)
@pytest.mark.parametrize("half_life_days", [0, -1.0, nan, inf, True, "3", 1e-320, 1e300])
def test_a_half_life_must_be_a_number_above_0(scorer_class: Any, half_life_days: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        scorer_class(half_life_days=half_life_days)
    assert caught.value.parameter == "half_life_days"


@pytest.mark.parametrize("scorer_class", SCORERS)
def test_parameters_do_not_change_after_they_were_used(scorer_class: Any) -> None:
    with pytest.raises(AttributeError):
        scorer_class().half_life_days = 5.0


@pytest.mark.parametrize("scorer_class", SCORERS)
@pytest.mark.parametrize("path", ["inter.csv", b"inter.csv", Path("inter.csv")], ids=lambda path: type(path).__name__)
def test_the_name_of_a_file_is_refused_with_advice(scorer_class: Any, path: Any) -> None:
    for method, parameter in (("fit", "interactions"), ("update", "events")):
        with pytest.raises(ValidationError, match=r"not the name of a file; give a frame.*read_csv") as caught:
            getattr(scorer_class(), method)(path)
        assert caught.value.parameter == parameter


# The half-life of the data.


@pytest.mark.parametrize(("days_each", "wanted"), [(1.0, {0.5, 2.0}), (200.0, {120.0, 365.0, None})])
def test_it_finds_how_fast_popularity_passes(days_each: float, wanted: set[float | None], tmp_path: Path) -> None:
    # Another item is the popular one after so many days; of 40 events a day.
    events = [event(f"item-{int(n / 40 / days_each) % 50 if n % 4 else n % 50}", n / 40) for n in range(4000)]
    scorer = PopularityScorer().fit(events)
    assert scorer.used_half_life_days in wanted
    scorer.save(tmp_path / "scorer")
    loaded = PopularityScorer.load(tmp_path / "scorer")
    assert loaded.half_life_days == "auto"
    assert loaded.used_half_life_days == scorer.used_half_life_days
    assert loaded("u", ["item-1", "item-2"]) == scorer("u", ["item-1", "item-2"])


def test_few_events_do_not_tell_a_half_life() -> None:
    assert PopularityScorer().fit([event("a", n) for n in range(100)]).used_half_life_days == 3.0
    assert PopularityScorer(half_life_days=None).used_half_life_days is None


def test_times_far_apart_do_not_overflow_the_search_for_a_half_life() -> None:
    times = [0.0, 1e-9, 300.0, 1e5, 1e11, 1e12]
    events = [event("ab"[n % 2], times[n * len(times) // 600]) for n in range(600)]
    assert all(logit is not None for logit in PopularityScorer().fit(events)("u", ["a", "b"]))

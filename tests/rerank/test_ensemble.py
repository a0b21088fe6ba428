"""The ensemble: what it learns from, what it never does, and that it is worth it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from heapq import nlargest
from math import inf, isfinite, log, nan
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personalize_rt.errors import ValidationError
from personalize_rt.interactions import Interaction
from personalize_rt.rerank import (
    CoVisitationScorer,
    EnsembleScorer,
    LocalReranker,
    PopularityScorer,
    TrainableScorer,
    mixing,
    pairs,
    storage,
)
from personalize_rt.rerank.pairs import Pairs
from personalize_rt.rerank.signals import SIGNALS

DAY = 86_400.0
USERS = ["u", "v", "w", ""]
ITEMS = ["a", "b", "c", "d", "e", "", "Ünïcode \ud800"]
CATALOGUE: dict[str, dict[str, Any]] = {
    "a": {"GENRES": "Drama|War", "YEAR": 1990},
    "b": {"GENRES": ["Drama"], "YEAR": "2001"},
    "c": {"GENRES": "", "YEAR": None},
    "d": {"GENRES": 7, "YEAR": float("nan")},
    "new": {"GENRES": "War", "YEAR": 1991},
}
TIMES = st.integers(0, 10_000).map(lambda hours: hours * 3600.0)
WILD_TIMES = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**18), 10**18) | TIMES
EVENTS = st.lists(st.builds(Interaction, st.sampled_from(USERS), st.sampled_from(ITEMS), TIMES), max_size=30)
WILD = st.lists(
    st.builds(
        Interaction,
        st.sampled_from(USERS),
        st.sampled_from(ITEMS),
        WILD_TIMES,
        st.sampled_from([None, "Watch"]),
        st.none() | st.floats(),
    ),
    max_size=30,
)


def scorer(**parameters: Any) -> EnsembleScorer:
    return EnsembleScorer(items=CATALOGUE, **parameters)


def everything(scorer: TrainableScorer) -> list[Sequence[float | None]]:
    """What it says to everybody about everything."""
    items = [*ITEMS, "new", "nowhere"]
    return [scorer(user, items, None) for user in [*USERS, "nobody"]]


def in_time(events: list[Interaction]) -> list[Interaction]:
    return sorted(events, key=lambda event: event.timestamp)


@given(EVENTS, EVENTS)
def test_one_by_one_or_all_at_once_makes_no_difference(first: list[Interaction], then: list[Interaction]) -> None:
    at_once, one_by_one = scorer().fit(first).update(then), scorer().fit(first)
    for event in in_time(then):
        one_by_one.update([event])
    assert everything(at_once) == everything(one_by_one)


@given(EVENTS, EVENTS)
def test_updating_knows_what_fitting_all_knows_but_for_the_weights(
    first: list[Interaction], then: list[Interaction]
) -> None:
    late = [attrs.evolve(event, timestamp=event.timestamp + 10_000 * 3600.0) for event in then]
    whole, updated = scorer().fit([*first, *late]), scorer().fit(first).update(late)
    updated._weights = whole._weights
    assert everything(updated) == everything(whole)


@given(EVENTS, st.randoms())
def test_the_order_in_which_events_are_given_makes_no_difference(events: list[Interaction], chance: Any) -> None:
    # Events of one moment keep their order, so each gets a moment of its own.
    events = [attrs.evolve(event, timestamp=event.timestamp + n) for n, event in enumerate(events)]
    shuffled = list(events)
    chance.shuffle(shuffled)
    assert everything(scorer().fit(events)) == everything(scorer().fit(shuffled))


@given(WILD, WILD)
def test_every_logit_is_finite_or_none_whatever_the_events(first: list[Interaction], then: list[Interaction]) -> None:
    for trained in (scorer().fit(first), scorer().fit(first).update(then), scorer().update(then)):
        for logits in everything(trained):
            assert all(logit is None or isfinite(logit) for logit in logits)
        ranking = LocalReranker(trained).rank(user_id="u", input_list=["a", "nowhere", "b", "a"])
        assert sorted(ranking.item_ids) == ["a", "a", "b", "nowhere"]


@given(WILD, st.permutations([*ITEMS, "new", "nowhere"]))
def test_a_logit_does_not_depend_on_the_place_in_the_list(events: list[Interaction], items: list[str]) -> None:
    trained = scorer().fit(events)
    in_order = dict(zip([*ITEMS, "new", "nowhere"], everything(trained)[0], strict=True))
    assert dict(zip(items, trained("u", items), strict=True)) == in_order


@pytest.mark.parametrize("kind", [EnsembleScorer, PopularityScorer, CoVisitationScorer])
@settings(deadline=None, max_examples=25)
@given(first=WILD, then=EVENTS)
def test_a_saved_scorer_comes_back_with_the_same_logits_and_learns_on(
    kind: Any, tmp_path_factory: pytest.TempPathFactory, first: list[Interaction], then: list[Interaction]
) -> None:
    path = tmp_path_factory.getbasetemp() / "scorer"
    trained = (scorer() if kind is EnsembleScorer else kind()).fit(first)
    trained.save(path)
    loaded = kind.load(path)
    assert everything(loaded) == everything(trained)
    assert everything(kind.load(path).update(then)) == everything(trained.update(then))
    loaded.save(path)
    assert everything(kind.load(path).update(then)) == everything(trained)


@pytest.mark.parametrize("kind", [EnsembleScorer, PopularityScorer, CoVisitationScorer])
def test_parameters_are_saved_too(kind: Any, tmp_path: Path) -> None:
    parameters: dict[str, Any] = {
        EnsembleScorer: {"categories": ("KIND",), "number": None, "neighbours": 7, "lists": "any", "seed": 3},
        PopularityScorer: {"half_life_days": None},
        CoVisitationScorer: {"history": 3, "half_life_days": None, "smoothing": 2.0, "neighbours": 9},
    }[kind]
    kind(**parameters).save(tmp_path / "scorer")
    loaded = kind.load(tmp_path / "scorer")
    for name, value in parameters.items():
        found = getattr(loaded, name)
        assert (tuple(found) if isinstance(found, list) else found) == value


@pytest.mark.parametrize("kind", [EnsembleScorer, PopularityScorer, CoVisitationScorer])
def test_a_file_of_another_scorer_is_refused(kind: Any, tmp_path: Path) -> None:
    storage.save(tmp_path / "scorer", storage.Stored("Toy", {}))
    with pytest.raises(ValidationError, match="holds a Toy"):
        kind.load(tmp_path / "scorer")


@pytest.mark.parametrize("kind", [EnsembleScorer, PopularityScorer, CoVisitationScorer])
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_a_file_whose_inside_was_changed_is_refused_or_still_ranks(
    kind: Any, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "scorer"
    events = [Interaction(user, item, n * DAY) for n, (user, item) in enumerate(zip("uvwuvw", "abcbca", strict=True))]
    trained = (scorer() if kind is EnsembleScorer else kind()).fit(events)
    trained.save(path)
    stored = storage.load(path, kind.__name__)
    name = data.draw(st.sampled_from(sorted(stored.columns)))
    column = stored.columns[name]
    strange = [0, 1, 200] if column.typecode in "BI" else [0.0, -1.0, 1e30, float("inf"), float("nan")]
    if len(column) and data.draw(st.booleans()):
        column[data.draw(st.integers(0, len(column) - 1))] = data.draw(st.sampled_from(strange))
    else:
        column.append(data.draw(st.sampled_from(strange)))
    storage.save(path, stored)
    try:
        loaded = kind.load(path)
    except ValidationError:
        return
    for logits in everything(loaded):
        assert all(logit is None or isfinite(logit) for logit in logits)


@pytest.mark.parametrize("content", [None, [], {}, {"parameters": {}, "weights": {}, "learned": {}}])
@pytest.mark.parametrize("kind", [EnsembleScorer, PopularityScorer, CoVisitationScorer])
def test_a_file_that_lacks_a_part_is_refused(kind: Any, content: Any, tmp_path: Path) -> None:
    storage.save(tmp_path / "scorer", storage.Stored(kind.__name__, content))
    with pytest.raises(ValidationError, match="damaged"):
        kind.load(tmp_path / "scorer")


def test_without_events_every_item_is_unknown() -> None:
    for empty in (scorer(), scorer().fit([]), scorer().update(iter([]))):
        assert everything(empty) == [[None] * (len(ITEMS) + 2)] * (len(USERS) + 1)


def test_a_single_event_is_enough() -> None:
    trained = scorer().fit(iter([Interaction("u", "a", 5.0)]))
    for user in ("u", "nobody"):
        assert LocalReranker(trained).rank(user_id=user, input_list=["x", "a"]).scores == (1.0, None)


def test_an_item_of_the_catalogue_is_known_before_its_first_event() -> None:
    events = [Interaction("u", item, n * DAY) for n, item in enumerate("bcdb")]
    logits = scorer().fit(events)("u", ["new", "nowhere"])
    assert logits[0] is not None
    assert logits[1] is None


def test_the_wall_clock_plays_no_part() -> None:
    events = [Interaction(user, item, n * DAY) for n, (user, item) in enumerate(zip("uvwuvw", "abcbca", strict=True))]
    later = [attrs.evolve(event, timestamp=event.timestamp + 2**30) for event in events]
    for one, other in zip(everything(scorer().fit(events)), everything(scorer().fit(later)), strict=True):
        assert one == pytest.approx(other)


def test_context_types_and_values_of_events_make_no_difference() -> None:
    plain = [Interaction(user, item, n * DAY) for n, (user, item) in enumerate(zip("uvwuvw", "abcbca", strict=True))]
    valued = [attrs.evolve(event, event_type="Watch", event_value=float("nan")) for event in plain]
    assert everything(scorer().fit(plain)) == everything(scorer().fit(valued))
    trained = scorer().fit(plain)
    assert trained("u", ["a"], {"DEVICE": "phone"}) == trained("u", ["a"])


def test_the_latest_item_that_comes_again_adds_to_the_popularity_alone() -> None:
    events = [Interaction("u", "a", 0.0), Interaction("u", "b", DAY)]
    once, twice = scorer().fit(events), scorer().fit([*events, events[1]])
    assert twice._signals._joined.totals == once._signals._joined.totals
    assert twice._signals._items["b"][2] == pytest.approx(log(2))


def test_a_late_event_joins_nothing_and_takes_its_place_in_the_history() -> None:
    trained = scorer().fit([Interaction("u", "a", 0.0), Interaction("u", "b", 2 * DAY)])
    before = list(trained._signals._joined.totals)
    trained.update([Interaction("u", "c", DAY), Interaction("u", "a", DAY)])
    user = trained._signals._users["u"]
    assert not isinstance(user, int)
    assert [trained._signals._ids[number] for number in user.items] == ["a", "c", "b"]
    assert list(trained._signals._joined.totals) == [*before, 0.0]
    assert trained._signals.now == 2 * DAY


def test_a_bad_event_leaves_what_was_learned() -> None:
    trained = scorer().fit([Interaction("u", "a", 0.0)])
    before = everything(trained)
    bad: list[Any] = [
        Interaction("u", "b", float("nan")),
        Interaction("u", "b", float("inf")),
        Interaction(3, "b", 0.0),
    ]  # type: ignore[arg-type]
    for event in bad:
        for learn in (trained.fit, trained.update):
            with pytest.raises(ValidationError):
                learn([Interaction("u", "c", 0.0), event])
    assert everything(trained) == before


@pytest.mark.parametrize(
    "parameters",
    [
        {"items": [1]},
        {"categories": "GENRES"},
        {"categories": [1]},
        {"number": 3},
        {"neighbours": 0},
        {"lists": "some"},
        {"seed": "x"},
    ],
)
def test_parameters_of_the_wrong_kind_are_refused_by_name(parameters: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        EnsembleScorer(**parameters)
    assert caught.value.parameter == next(iter(parameters))


def test_in_lists_of_any_items_popularity_counts_once_more() -> None:
    events = [Interaction(user, item, n * DAY) for n, (user, item) in enumerate(zip("uvwuvw", "abcbca", strict=True))]
    popular, any_items = scorer(lists="popular").fit(events), scorer().fit(events)
    added = [
        other - one for one, other in zip(popular("u", "abc"), any_items("u", "abc"), strict=True) if one and other
    ]
    assert added == pytest.approx([log(2)] * 3)


def test_nothing_personal_is_shown() -> None:
    trained = EnsembleScorer(items={"a": {"GENRES": "Secret"}}).fit([Interaction("somebody", "a", 0.0)])
    assert "somebody" not in repr(trained)
    assert "Secret" not in repr(trained)


# Signals.


def taken(trained: EnsembleScorer, user: str, items: Sequence[str]) -> list[dict[str, float]]:
    return [dict(zip(SIGNALS, row, strict=True)) for row in trained._signals.rows(user, items)]


@given(WILD, st.lists(st.floats(-3, 3), min_size=len(SIGNALS), max_size=len(SIGNALS)))
def test_a_logit_is_the_weighted_sum_of_the_signals(events: list[Interaction], weights: list[float]) -> None:
    trained = scorer(lists="popular").fit(events)
    trained._weights = weights
    known = [item for item in [*ITEMS, "new"] if trained("u", [item])[0] is not None]
    for user in [*USERS, "nobody"]:
        sums = [
            sum(weight * value for weight, value in zip(weights, row, strict=True))
            for row in trained._signals.rows(user, known)
        ]
        assert trained(user, known) == pytest.approx(sums, rel=1e-9, abs=1e-6)


def test_items_that_go_together_lift_each_other_and_order_counts_for_followers_only() -> None:
    events: list[Interaction] = []
    for n in range(40):
        pair = "ab" if n % 2 else "cd"
        events += [Interaction(f"user-{n}", item, n * DAY + place) for place, item in enumerate(pair)]
    trained = scorer().fit(events).update([Interaction("u", "a", 40 * DAY), Interaction("v", "b", 40 * DAY)])
    (b, d), (a,) = taken(trained, "u", ["b", "d"]), taken(trained, "v", ["a"])
    assert b["joined"] > 0.3 > d["joined"] == 0.0
    assert b["followed"] > 0.3 > d["followed"] == 0.0
    assert a["joined"] > 0.3
    assert a["followed"] == 0.0


def test_taste_is_that_of_the_history_against_that_of_everybody() -> None:
    catalogue = {
        f"{kind}{n}": {"GENRES": kind, "YEAR": year}
        for kind, year in (("War", 1950), ("Drama", 2000))
        for n in range(9)
    }
    catalogue |= {f"x{year}": {"YEAR": year} for year in range(1950, 2001)}
    events = [Interaction(f"user-{n}", f"{kind}{n}", n * DAY) for n in range(9) for kind in ("War", "Drama")]
    trained = EnsembleScorer(items=catalogue).fit(events)
    trained.update([Interaction("u", "War1", 10 * DAY), Interaction("u", "War2", 10 * DAY)])
    war, drama = taken(trained, "u", ["War7", "Drama7"])
    assert war["category"] > 0.2 > -0.2 > drama["category"]
    assert war["number"] > 0.2 > -0.2 > drama["number"]
    nobody = taken(trained, "nobody", ["War7", "Drama7"])
    assert [row["category"] for row in nobody] == [0.0, 0.0]


def test_no_signal_knows_the_event_that_it_foretells() -> None:
    seen: list[tuple[float, ...]] = []
    events = [
        Interaction(user, item, n * DAY) for n, (user, item) in enumerate(zip("uvwuvwuvw", "abcbcacab", strict=True))
    ]
    for last in (Interaction("u", "a", 9 * DAY), Interaction("v", "c", 9 * DAY)):
        trained = scorer().fit(events)
        seen.append(trained._signals.rows("u", ["a", "b", "c"])[0])
        trained.update([last])
    assert seen[0] == seen[1]


def test_what_was_had_again_tells_how_often_and_when_it_is_due() -> None:
    # "bread" comes back every second day, "lamp" is had once by everybody.
    events = [Interaction(f"user-{u}", "bread", (2 * n) * DAY + u) for n in range(8) for u in range(5)]
    events += [Interaction(f"user-{u}", "lamp", 3 * DAY + u) for u in range(5)]
    trained = scorer().fit([*events, Interaction("u", "lamp", 14 * DAY), Interaction("u", "bread", 14 * DAY)])
    bread, lamp, other = taken(trained, "user-0", ["bread", "lamp", "new"])
    assert bread["times"] == pytest.approx(log(8))
    assert lamp["times"] == 0.0
    assert bread["returning"] > 0.0 > lamp["returning"]
    assert {other[name] for name in ("again", "times", "returning", "early", "late")} == {0.0}
    (just_now,) = taken(trained, "u", ["bread"])
    assert just_now["early"] > 1.0
    trained.update([Interaction("v", "new", 24 * DAY)])
    (long_ago,) = taken(trained, "user-0", ["bread"])
    assert long_ago["early"] == 0.0
    assert long_ago["late"] == pytest.approx(log(5), abs=0.3)


def test_the_last_item_and_neighbours_have_signals_of_their_own() -> None:
    events: list[Interaction] = []
    for n in range(20):
        pair = "ab" if n % 2 else "cd"
        events += [Interaction(f"user-{n}", item, n * DAY + place) for place, item in enumerate(pair)]
    trained = scorer().fit(events)
    trained.update([Interaction("u", "a", 40 * DAY), Interaction("u", "c", 41 * DAY)])
    b, d, new = taken(trained, "u", ["b", "d", "new"])
    assert b["alike"] > 0.0 == b["alike_last"]
    assert d["alike_last"] > 0.0
    assert d["neighbours"] > b["neighbours"] > 0.0 == new["neighbours"]


def test_an_item_without_events_is_as_old_as_its_creation() -> None:
    catalogue = {
        "old": {"CREATION_TIMESTAMP": 2 * DAY},
        "fresh": {"CREATION_TIMESTAMP": str(9 * DAY)},
        "unknown": {},
        "future": {"CREATION_TIMESTAMP": 90 * DAY},
    }
    trained = EnsembleScorer(items=catalogue).fit([Interaction("u", "a", n * DAY) for n in range(11)])
    ages = [row["age"] for row in taken(trained, "u", list(catalogue))]
    assert ages == pytest.approx([log(8.1 * DAY), log(1.1 * DAY), log(10.1 * DAY), log(0.1 * DAY)])


def test_a_file_from_before_the_newer_signals_ranks_as_it_did(tmp_path: Path) -> None:
    newer = SIGNALS[SIGNALS.index("times") :]
    events = [Interaction(user, item, n * DAY) for n, (user, item) in enumerate(zip("uvwuvw", "abaaca", strict=True))]
    trained = scorer(lists="popular").fit(events)
    trained._weights = [0.0 if name in newer else weight for name, weight in trained.weights.items()]
    trained.save(tmp_path / "scorer")
    stored = storage.load(tmp_path / "scorer", "EnsembleScorer")
    for name in newer:
        del stored.content["weights"][name]
    del stored.content["of_lists"]
    parts = ("again.", "returns", "takers.", "created.")
    columns = {name: column for name, column in stored.columns.items() if not name.startswith(parts)}
    assert len(columns) <= len(stored.columns) - 8
    storage.save(tmp_path / "scorer", storage.Stored("EnsembleScorer", stored.content, columns))
    loaded = EnsembleScorer.load(tmp_path / "scorer")
    assert everything(loaded) == everything(trained)
    late = [Interaction("u", "a", 9 * DAY), Interaction("v", "new", 10 * DAY)]
    assert everything(loaded.update(late)) == everything(trained.update(late))


# What is learned.


def habits(chance: random.Random, users: int, again: bool) -> list[Interaction]:
    """Users who always, or never, take what they had before."""
    events: list[Interaction] = []
    for user in range(users):
        own = chance.sample(range(40), 12)
        for n in range(12):
            item = own[n % 3] if again else own[n]
            events.append(Interaction(f"user-{user}", f"item-{item}", user * 3600.0 + n * DAY))
    return events


@pytest.mark.parametrize("again", [True, False])
def test_it_learns_whether_users_come_back_to_what_they_had(again: bool) -> None:
    trained = EnsembleScorer().fit(habits(random.Random(1), 60, again))
    # Whoever comes back does so after three days.
    trained.update([Interaction("u", "item-1", 20 * DAY), Interaction("u", "item-2", 23 * DAY)])
    one, other = LocalReranker(trained).rank(user_id="u", input_list=["item-1", "item-30"]).item_ids
    assert (one, other) == (("item-1", "item-30") if again else ("item-30", "item-1"))


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    events = habits(random.Random(2), 20, True)
    assert EnsembleScorer().fit(events).weights == EnsembleScorer().fit(events).weights
    assert EnsembleScorer(seed=1).fit(events).weights != EnsembleScorer().fit(events).weights


def test_learning_finds_the_weights_that_made_the_choices() -> None:
    chance = random.Random(3)
    truth = [1.5, -0.8, 0.0]
    choices: list[mixing.Choice] = []
    for _ in range(3000):
        rows = [tuple(chance.gauss(0, scale) for scale in (1.0, 5.0, 0.5)) for _ in range(8)]
        # The largest of logits with Gumbel noise is a draw from their softmax.
        noisy = [sum(w * x for w, x in zip(truth, row, strict=True)) - log(-log(chance.random())) for row in rows]
        first = noisy.index(max(noisy))
        rows.insert(0, rows.pop(first))
        choices.append(rows)
    assert mixing.learn(choices, [0.0, 0.0, 0.0], seed=0) == pytest.approx(truth, abs=0.25)


def test_a_signal_that_is_always_the_same_keeps_its_weight() -> None:
    assert mixing.learn([[(1.0, 0.5), (0.0, 0.5)]], [0.0, 0.25], seed=0)[1] == pytest.approx(0.25)


@given(
    events=st.lists(st.tuples(st.integers(0, 11), st.lists(st.integers(0, 11), min_size=1, max_size=3, unique=True))),
    neighbours=st.integers(1, 4),
    notes=st.sampled_from([0, 1, 5, 512]),
    asked=st.sets(st.integers(0, 60)),
)
@settings(deadline=None)
def test_rows_of_pairs_keep_those_with_the_most_weight(
    events: list[tuple[int, list[int]]], neighbours: int, notes: int, asked: set[int]
) -> None:
    """Whenever notes are added up, rows are those of adding each weight at once: to the last bit, and in that order."""
    weights = (1.0, 2**-0.5, 3**-0.5)
    joined, led = Pairs(neighbours, weights), Pairs(neighbours, weights)
    for _ in range(12):
        joined.grow()
        led.grow()
    rows: list[dict[int, float]] = [{} for _ in range(12)]
    ahead: list[dict[int, float]] = [{} for _ in range(12)]

    def pruned(row: dict[int, float]) -> dict[int, float]:
        return dict(nlargest(neighbours, row.items(), key=lambda one: one[1])) if len(row) > 2 * neighbours else row

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "_NOTES", notes)
        patch.setattr(pairs, "_HOT", 3)
        for n, (item, given) in enumerate(events):
            others = [other for other in given if other != item]
            if not others:
                continue
            joined.join(item, others)
            led.lead(others, item)
            for other, weight in zip(others, weights, strict=False):
                rows[item][other] = rows[item].get(other, 0.0) + weight
                rows[other][item] = rows[other].get(item, 0.0) + weight
                rows[other] = pruned(rows[other])
                ahead[other][item] = ahead[other].get(item, 0.0) + weight
                ahead[other] = pruned(ahead[other])
            rows[item] = pruned(rows[item])
            if n in asked:
                assert list(joined._row(item)[0].items()) == list(rows[item].items())
        for found, wanted in ((joined, rows), (led, ahead)):
            columns = found.columns("x", range(12), None)
            again = Pairs(neighbours, weights)
            again.restore("x", columns, 12)
            for item in range(12):
                for one in (found, again):
                    row, whole = one._row(item)
                    assert list(row.items()) == list(wanted[item].items())
                    assert whole == sum(row.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [("joined.others", 2**32 - 1), ("joined.weights", -1.0), ("joined.weights", inf), ("led.weights", nan)],
)
def test_a_wrong_row_of_a_file_counts_as_empty(name: str, value: float, tmp_path: Path) -> None:
    """Rows are checked when they are needed, as loading would take long otherwise; those beside it are not touched."""
    scorer().fit([Interaction("u", id, n * DAY) for n, id in enumerate("abcd")]).save(tmp_path / "file")
    stored = storage.load(tmp_path / "file", "EnsembleScorer")
    stored.columns[name][-1] = value  # of the row of d, or of c
    storage.save(tmp_path / "file", stored)
    again = EnsembleScorer.load(tmp_path / "file")
    assert all(isfinite(logit or 0.0) for logit in again("u", [*"abcd"]))
    found = again._signals._joined if name.startswith("joined") else again._signals._led
    filled = [bool(found._row(item)[0]) for item in range(4)]
    assert filled == ([True, True, True, False] if name.startswith("joined") else [True, True, False, False])
    again.save(tmp_path / "file")
    assert EnsembleScorer.load(tmp_path / "file")("u", [*"abcd"]) == again("u", [*"abcd"])


@pytest.fixture(scope="module")
def sample() -> tuple[list[Interaction], dict[str, dict[str, str]]]:
    import csv

    # The core works without that room, and without its sample.
    folder = Path(str(pytest.importorskip("personalize_rt.local").__file__)).parent / "sample"
    with open(folder / "interactions.csv", newline="", encoding="utf-8") as file:
        events = [Interaction(row["USER_ID"], row["ITEM_ID"], float(row["TIMESTAMP"])) for row in csv.DictReader(file)]
    with open(folder / "items.csv", newline="", encoding="utf-8") as file:
        items = {row["ITEM_ID"]: dict(row) for row in csv.DictReader(file)}
    return events[:12_000], items


def test_on_real_ratings_it_beats_popularity_and_co_visits(sample: Any) -> None:
    metrics = pytest.importorskip("personalize_rt.metrics")
    events, items = sample
    split = metrics.temporal_split(events, test_users=0.15)
    found = {
        type(model).__name__: metrics.evaluate(LocalReranker(model.fit(split.past)), split, progress=False)
        for model in (PopularityScorer(), CoVisitationScorer(), EnsembleScorer(items=items, lists="any"))
    }
    quality = {name: figures["normalized_discounted_cumulative_gain_at_25"] for name, figures in found.items()}
    best_other = max(quality["PopularityScorer"], quality["CoVisitationScorer"])
    assert quality["EnsembleScorer"] > 1.05 * best_other, quality


def test_the_file_of_real_ratings_ranks_alike(sample: Any, tmp_path: Path) -> None:
    events, items = sample
    trained = EnsembleScorer(items=items).fit(events[:2000])
    trained.save(tmp_path / "scorer")
    loaded = EnsembleScorer.load(tmp_path / "scorer")
    for event in events[2000:2050]:
        assert trained(event.user_id, list(items)[:300]) == loaded(event.user_id, list(items)[:300])
        trained.update([event])
        loaded.update([event])


def test_it_is_a_fallback_for_a_client_whose_service_is_down(sample: Any) -> None:
    from personalize_rt import Limits, RerankFallback
    from personalize_rt.arguments import RankingArguments
    from personalize_rt.operations import request_for

    events, items = sample
    trained = EnsembleScorer(items=items).fit(events[:2000])
    wanted = [*list(items)[:50], "unheard-of"]
    arn = "arn:aws:personalize:us-east-1:123456789012:campaign/c"
    arguments = RankingArguments(campaign_arn=arn, user_id=events[0].user_id, input_list=wanted)
    request = request_for(arguments, Limits())
    answer = RerankFallback(LocalReranker(trained)).ranking(request)
    assert answer is not None
    assert sorted(answer.item_ids) == sorted(wanted)
    assert answer.unscored == ("unheard-of",)

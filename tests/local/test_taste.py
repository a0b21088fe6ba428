"""The model behind the item recipes: its documented formula, and that the quick way gives what the formula says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import exp, fsum, log, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.interactions import Interaction
from personalize_rt.local.datasets import EventLog
from personalize_rt.local.taste import TasteModel
from personalize_rt.local.universe import Universe

DAY = 86_400
Events = list[tuple[str, str, int]]

EVENTS = st.lists(
    st.tuples(st.sampled_from("uvwxyz"), st.sampled_from("abcdefgh"), st.integers(0, 100 * DAY)), max_size=60
)
COLD = ("a", "cold", "colder")


def fitted(events: Events, catalogue: tuple[str, ...] = ()) -> TasteModel:
    log = EventLog()
    for user, item, time in events:
        log.user.append(log.users[user])
        log.target.append(log.targets[item])
        log.type.append(log.types[""])
        log.timestamp.append(time)
    return TasteModel(log, Universe.of(log.targets, catalogue))


def logits_of(
    model: TasteModel, user: str, items: Sequence[str], recent: Sequence[Interaction] = ()
) -> list[float | None]:
    return model.prefer(user, recent).logits(items)


def best_of(model: TasteModel, user: str) -> tuple[list[str], list[float]]:
    rows = list(model.prefer(user).best())
    return [model.universe.ids[number] for number, _ in rows], [logit for _, logit in rows]


def similar_to(model: TasteModel, item: str) -> list[str]:
    return [model.universe.ids[number] for number in model.similar(item)]


def formula(events: Events, user: str, item: str) -> float:
    """The logit as the module's docstring has it, written down again the slow way."""
    newest = max((time for _, _, time in events), default=0)
    popularity = fsum(0.5 ** ((newest - time) / (30 * DAY)) for _, other, time in events if other == item)
    histories: dict[str, list[str]] = {}
    for who, what, _ in sorted(events, key=lambda event: event[2], reverse=True):
        histories.setdefault(who, [])
        if what not in histories[who]:
            histories[who].append(what)
    pairs = sum(map(len, histories.values()))
    audience = Counter(what for history in histories.values() for what in history)

    def affinity(seed: str) -> float:
        having = [history for history in histories.values() if seed in history]
        observed = sum(1 / log(2 + len(history)) for history in having if item in history and item != seed)
        mass = sum(len(history) / log(2 + len(history)) for history in having)
        if not observed:
            return 0.0
        return max(0.0, log((observed + 1) / (mass * audience[item] / pairs + 1)))

    history = histories.get(user, [])[:20]
    taste = 1.8 / sqrt(len(history)) * sum(map(affinity, history)) if history else 0.0
    return 0.7 * log(0.01 + popularity) + taste


def distinct_moments(events: Events) -> Events:
    """Events of one moment have no order to speak of; give each a moment of its own."""
    return [(user, item, 1000 * time + n) for n, (user, item, time) in enumerate(events)]


@given(EVENTS.map(distinct_moments), st.sampled_from("uvwxyz?"))
def test_logits_follow_the_documented_formula(events: Events, user: str) -> None:
    known = {item for _, item, _ in events}
    items = sorted(known | {"nobody-knows", *COLD})
    logits = logits_of(fitted(events, COLD), user, items)

    assert [logit is None for logit in logits] == [item not in known for item in items]
    for item, logit in zip(items, logits, strict=True):
        assert logit is None or logit == pytest.approx(formula(events, user, item), abs=1e-9)


@given(EVENTS, st.sampled_from("uvwxyz?"))
def test_best_gives_the_whole_catalogue_in_order_of_the_logits_and_its_total(events: Events, user: str) -> None:
    model = fitted(events, COLD)
    total = model.prefer(user).total()
    ids, logits = best_of(model, user)

    assert sorted(ids) == sorted({item for _, item, _ in events} | {*COLD})
    assert logits == sorted(logits, reverse=True)
    assert total == pytest.approx(log(fsum(map(exp, logits))), abs=1e-9)
    for id, logit, one in zip(ids, logits, logits_of(model, user, ids), strict=True):
        assert one is None or one == logit, id
    for id, logit in zip(ids, logits, strict=True):
        if id not in {item for _, item, _ in events}:
            assert logit == 0.7 * log(0.01)


@given(EVENTS, st.sampled_from(["a", "b", "cold", "nobody-knows"]))
def test_similar_items_are_others_that_users_of_the_item_have(events: Events, item: str) -> None:
    users = {user for user, other, _ in events if other == item}
    together = {other for user, other, _ in events if user in users} - {item}
    similar = similar_to(fitted(events, COLD), item)
    assert len(set(similar)) == len(similar)
    assert set(similar) <= together


@given(EVENTS.map(distinct_moments), st.integers(0, 60), st.sampled_from("uvw?"))
def test_events_that_come_later_change_the_history_as_if_they_had_been_there(
    events: Events, cut: int, user: str
) -> None:
    """Affinities and popularity stay those of the model; so both users are asked of one model."""
    model = fitted(events)
    own = [event for event in events if event[0] == user]
    recent = [Interaction("?", item, time) for _, item, time in own][-cut:] if cut else []
    stand_in = [Interaction("nobody", item, time) for _, item, time in own]
    items = sorted({item for _, item, _ in events})
    assert logits_of(model, "nobody", items, stand_in) == pytest.approx(logits_of(model, user, items), abs=1e-9)
    assert logits_of(model, user, items, recent) == pytest.approx(logits_of(model, user, items), abs=1e-9)


def test_an_item_that_the_model_does_not_know_changes_nothing() -> None:
    model = fitted([("u", "a", 1), ("v", "a", 1), ("v", "b", 2)])
    assert logits_of(model, "u", ["b"], [Interaction("u", "new", 9)]) == logits_of(model, "u", ["b"])


def test_an_old_event_that_comes_late_is_old() -> None:
    latest = [("u", f"i{n}", 100 + n) for n in range(20)]
    others = [(f"w{n}", item, 1) for n in range(9) for item in ("old", "beside-old")]
    model = fitted(latest + others)
    before = logits_of(model, "u", ["beside-old"])
    assert logits_of(model, "u", ["beside-old"], [Interaction("u", "old", 99)]) == before
    assert logits_of(model, "u", ["beside-old"], [Interaction("u", "old", 101)]) > before


def test_learning_from_some_events_only() -> None:
    log = EventLog()
    for user, item in (("u", "a"), ("u", "b"), ("v", "a"), ("v", "c")):
        log.user.append(log.users[user])
        log.target.append(log.targets[item])
        log.type.append(log.types[""])
        log.timestamp.append(1)
    model = TasteModel(log, Universe.of(log.targets), [2, 3])
    assert similar_to(model, "b") == []
    assert similar_to(model, "c") == []  # everybody who has events here has c
    assert logits_of(model, "u", ["b"]) == [None]
    assert model.events("a") == 1


def test_order_of_the_file_does_not_matter_but_time_does() -> None:
    early = [("u", item, n) for n, item in enumerate("abcdefgh")] + [("v", "a", 20), ("v", "b", 21)]
    assert logits_of(fitted(early), "v", ["c"]) == logits_of(fitted(early[::-1]), "v", ["c"])


def test_only_the_latest_20_items_of_a_user_count() -> None:
    old = [("u", "old", 0)]
    others = [(f"w{n}", item, 1) for n in range(9) for item in ("old", "beside-old")]
    latest = [("u", f"i{n}", 100 + n) for n in range(20)]
    with_old = fitted(old + others + latest[:19])
    without = fitted(old + others + latest)
    cold = logits_of(fitted(old + others + latest), "nobody", ["beside-old"])

    own, nobodys = logits_of(with_old, "u", ["beside-old"])[0], logits_of(with_old, "nobody", ["beside-old"])[0]
    assert (own or 0) > (nobodys or 0)
    assert logits_of(without, "u", ["beside-old"]) == cold


def test_equal_logits_stand_in_order_of_appearance() -> None:
    events = [("w", "c", 5), ("w", "d", 5), ("v", "s", 5), ("v", "d", 5), ("v", "c", 5), ("u", "s", 5)]
    others = [(f"z{n}", f"q{n}", 5) for n in range(20)]
    ids, logits = best_of(fitted(events + others, ("cold", "colder")), "u")

    assert ids.index("c") + 1 == ids.index("d")
    assert logits[ids.index("c")] == logits[ids.index("d")] > logits[ids.index("q0")]
    assert ids[-2:] == ["cold", "colder"]


def test_nothing_to_learn_from() -> None:
    model = fitted([])
    assert logits_of(model, "u", ["a"]) == [None]
    assert best_of(model, "u") == ([], [])
    assert similar_to(model, "a") == []


def test_what_one_of_many_has_is_taken_for_chance() -> None:
    def similar(users: int) -> list[str]:
        events = [(f"u{n}", "s", n) for n in range(users)] + [("u0", "once", 9), ("u0", "twice", 9), ("u1", "twice", 9)]
        return similar_to(fitted([*events, *((f"v{n}", f"y{n}", n) for n in range(50))]), "s")

    assert set(similar(9)) == {"once", "twice"}
    assert similar(10) == ["twice"]


def test_who_has_much_tells_of_the_latest_100_items_only() -> None:
    def similar(distance: int) -> list[str]:
        between = [f"x{n}" for n in range(distance - 1)]
        history = [("u", "i", 0), *(("u", item, 1) for item in between), ("u", "s", 2)]
        others = [(user, item, 1) for user in "vwxyz" for item in between]  # so that i goes best with s
        return similar_to(fitted([*history, *others]), "s")

    assert "i" in similar(99)
    assert "i" not in similar(100)


def test_a_model_may_be_prepared_and_says_the_same() -> None:
    events = [(f"u{n % 7}", f"i{n % 11}", n) for n in range(300)]
    prepared, other = fitted(events), fitted(events)
    prepared.prepare()
    items = [f"i{n}" for n in range(11)]
    assert logits_of(prepared, "u3", items) == logits_of(other, "u3", items)


def test_very_popular_items_are_learned_from_a_part_of_their_users() -> None:
    events = [(f"u{n}", item, n) for n in range(3000) for item in ("hit", "x" if n % 2 else "y", f"rare{n}")]
    model = fitted(events)
    assert set(similar_to(model, "hit")) <= {"x", "y"}
    after_hit = logits_of(model, "new", ["x", "y"], [Interaction("new", "hit", 1)])
    # Nobody has x or y more than by chance, and those who are asked say nearly so.
    assert after_hit == pytest.approx(logits_of(model, "new", ["x", "y"]), abs=0.3)
    assert similar_to(model, "rare7")[:2] in (["x", "hit"], ["hit", "x"])

"""The model behind the item recipes: its documented formula, and that the quick way gives what the formula says."""

from __future__ import annotations

from collections import Counter
from math import exp, fsum, log, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.local.datasets import EventLog
from personalize_rt.local.taste import TasteModel

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
    return TasteModel(log, catalogue)


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
    taste = 1.5 / sqrt(len(history)) * sum(map(affinity, history)) if history else 0.0
    return 0.7 * log(0.01 + popularity) + taste


def distinct_moments(events: Events) -> Events:
    """Events of one moment have no order to speak of; give each a moment of its own."""
    return [(user, item, 1000 * time + n) for n, (user, item, time) in enumerate(events)]


@given(EVENTS.map(distinct_moments), st.sampled_from("uvwxyz?"))
def test_logits_follow_the_documented_formula(events: Events, user: str) -> None:
    known = {item for _, item, _ in events}
    items = sorted(known | {"nobody-knows", *COLD})
    logits = fitted(events, COLD).logits(user, items)

    assert [logit is None for logit in logits] == [item not in known for item in items]
    for item, logit in zip(items, logits, strict=True):
        assert logit is None or logit == pytest.approx(formula(events, user, item), abs=1e-9)


@given(EVENTS, st.sampled_from("uvwxyz?"))
def test_best_gives_the_whole_catalogue_in_order_of_the_logits_and_its_total(events: Events, user: str) -> None:
    model = fitted(events, COLD)
    total, rows = model.best(user)
    rows = list(rows)
    ids = [id for id, _ in rows]
    logits = [logit for _, logit in rows]

    assert sorted(ids) == sorted({item for _, item, _ in events} | {*COLD})
    assert logits == sorted(logits, reverse=True)
    assert total == pytest.approx(log(fsum(map(exp, logits))), abs=1e-9)
    for id, logit, one in zip(ids, logits, model.logits(user, ids), strict=True):
        assert one is None or one == logit, id
    for id, logit in rows:
        if id not in {item for _, item, _ in events}:
            assert logit == 0.7 * log(0.01)


@given(EVENTS, st.sampled_from(["a", "b", "cold", "nobody-knows"]))
def test_similar_gives_every_other_item_once(events: Events, item: str) -> None:
    model = fitted(events, COLD)
    catalogue = {item for _, item, _ in events} | {*COLD}
    assert sorted(model.similar(item)) == sorted(catalogue - {item})


@given(EVENTS)
def test_popular_counts_events_of_all_time(events: Events) -> None:
    counts = Counter(item for _, item, _ in events)
    popular = list(fitted(events, COLD).popular())
    assert [counts[item] for item in popular] == sorted((counts[item] for item in popular), reverse=True)
    assert sorted(popular) == sorted({*counts, *COLD})


def test_order_of_the_file_does_not_matter_but_time_does() -> None:
    early = [("u", item, n) for n, item in enumerate("abcdefgh")] + [("v", "a", 20), ("v", "b", 21)]
    assert fitted(early).logits("v", ["c"]) == fitted(early[::-1]).logits("v", ["c"])


def test_only_the_latest_20_items_of_a_user_count() -> None:
    old = [("u", "old", 0)]
    others = [(f"w{n}", item, 1) for n in range(9) for item in ("old", "beside-old")]
    latest = [("u", f"i{n}", 100 + n) for n in range(20)]
    with_old = fitted(old + others + latest[:19])
    without = fitted(old + others + latest)
    cold = fitted(old + others + latest).logits("nobody", ["beside-old"])

    assert (with_old.logits("u", ["beside-old"])[0] or 0) > (with_old.logits("nobody", ["beside-old"])[0] or 0)
    assert without.logits("u", ["beside-old"]) == cold


def test_equal_logits_stand_in_order_of_appearance() -> None:
    events = [("w", "c", 5), ("w", "d", 5), ("v", "s", 5), ("v", "d", 5), ("v", "c", 5), ("u", "s", 5)]
    others = [(f"z{n}", f"q{n}", 5) for n in range(20)]
    _, rows = fitted(events + others, ("cold", "colder")).best("u")
    ids, logits = zip(*rows, strict=True)

    assert ids.index("c") + 1 == ids.index("d")
    assert logits[ids.index("c")] == logits[ids.index("d")] > logits[ids.index("q0")]
    assert ids[-2:] == ("cold", "colder")


def test_nothing_to_learn_from() -> None:
    model = fitted([])
    assert model.logits("u", ["a"]) == [None]
    assert list(model.popular()) == []
    assert list(model.similar("a")) == []


def test_very_popular_items_are_learned_from_a_part_of_their_users() -> None:
    events = [(f"u{n}", item, n) for n in range(3000) for item in ("hit", "x" if n % 2 else "y", f"rare{n}")]
    model = fitted(events)
    assert next(model.similar("hit")) not in ("x", "y", "hit")  # nobody has x or y more than by chance
    assert list(model.similar("rare7"))[:2] in (["x", "hit"], ["hit", "x"])

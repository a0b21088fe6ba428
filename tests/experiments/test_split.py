"""Groups of users: who is in which, and who moves when weights change."""

from __future__ import annotations

import logging
import math
import pickle
import subprocess
import sys
from collections import Counter
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.errors import ValidationError
from personalize_rt.experiments import Exposure, Split, SplitExposure

HALVES = Split("new-ranker", {"control": 50, "ranker": 50})
THREE = Split("three", {"a": 1, "b": 2, "c": 7})
# docs/how-to/experiments.md has them too, for those who write this in another language.
VECTORS = [
    (HALVES, {"u-1": "control", "u-2": "ranker", "u-3": "ranker", "user-42": "control", "Zoë": "control"}),
    (HALVES, {"用户": "ranker"}),
    (THREE, {"u-1": "c", "u-2": "c", "u-3": "c", "u-4": "c", "u-5": "b", "u-6": "c"}),
]
# The name of a group is part of what is hashed, so few groups serve as well as many.
NAMES = st.sampled_from(["control", "ranker", "c", "d", "é"])
WEIGHTS = st.dictionaries(NAMES, st.floats(0.001, 1000) | st.integers(1, 100), min_size=1)
IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@pytest.mark.parametrize(("split", "groups"), VECTORS)
def test_the_published_vectors_hold(split: Split, groups: dict[str, str]) -> None:
    assert {user: split.group(user) for user in groups} == groups


def test_the_pseudonym_of_a_user_is_the_published_one() -> None:
    assert HALVES.unit("u-1") == "9b970ea3f9ab3b4ba5f83f8a10fd7628"
    assert THREE.unit("u-1") == "ad05550ebbbf6ad93109507a937966cf"


def test_another_process_finds_the_same_groups() -> None:
    code = (
        "from personalize_rt.experiments import Split\n"
        "s = Split('three', {'c': 7, 'a': 1, 'b': 2})\n"
        "print(''.join(s.group(f'u-{n}') for n in range(200)))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={"PYTHONHASHSEED": "7"},
    )
    assert told.stdout.strip() == "".join(THREE.group(f"u-{n}") for n in range(200))


@given(WEIGHTS, IDS, st.randoms())
def test_the_order_of_the_groups_makes_no_difference(weights: dict[str, float], user: str, rng: Any) -> None:
    turned = list(weights.items())
    rng.shuffle(turned)
    assert Split("x", dict(turned)).group(user) == Split("x", weights).group(user)


@given(WEIGHTS, WEIGHTS, st.sets(IDS, min_size=1, max_size=20))
def test_users_move_only_into_groups_that_grew_beside_theirs(
    before: dict[str, float], after: dict[str, float], users: set[str]
) -> None:
    first, second = Split("x", before), Split("x", after)
    for user in users:
        old, new = first.group(user), second.group(user)
        if old != new:
            # As products, for a group that is new (0 before) or gone (0 after). One weight is rounded once.
            assert after[new] * before[old] >= after.get(old, 0) * before.get(new, 0)


@given(WEIGHTS, WEIGHTS, st.sets(IDS, min_size=1, max_size=20))
def test_when_weights_only_grow_users_move_only_into_what_is_new_or_grew(
    before: dict[str, float], more: dict[str, float], users: set[str]
) -> None:
    after = {group: before.get(group, 0) + more.get(group, 0) for group in before | more}
    first, second = Split("x", before), Split("x", after)
    for user in users:
        assert second.group(user) in {first.group(user), *more}


@given(WEIGHTS, WEIGHTS, st.sets(IDS, min_size=1, max_size=20))
def test_groups_whose_weights_stay_exchange_no_users_whatever_happens_to_others(
    before: dict[str, float], changed: dict[str, float], users: set[str]
) -> None:
    first, second = Split("x", before), Split("x", {**before, **changed})
    stay = before.keys() - changed.keys()
    for user in users:
        old, new = first.group(user), second.group(user)
        assert old == new or not {old, new} <= stay


@given(WEIGHTS, NAMES, st.floats(0, 0.999), st.sets(IDS, min_size=1, max_size=20))
def test_when_one_group_shrinks_or_ends_only_its_own_users_move(
    others: dict[str, float], shrinks: str, factor: float, users: set[str]
) -> None:
    before = {"stays": 1.0, **others, shrinks: 10.0}
    after = {**before, shrinks: 10.0 * factor if factor > 0.001 else 0.0}
    first, second = Split("x", before), Split("x", after)
    for user in users:
        if first.group(user) != shrinks:
            assert second.group(user) == first.group(user)


def test_the_users_of_a_group_that_ends_spread_over_the_others_by_weight() -> None:
    users = [f"u-{n}" for n in range(6_000)]
    without = Split("three", {"a": 1, "b": 2})
    moved = Counter(without.group(user) for user in users if THREE.group(user) == "c")
    assert abs(moved["a"] / moved.total() - 1 / 3) < 0.03  # four deviations of a share of 4,200


def test_many_users_do_move_into_a_group_that_grew() -> None:
    grown = Split("new-ranker", {"control": 50, "ranker": 150})
    users = [f"u-{n}" for n in range(2_000)]
    moves = Counter((HALVES.group(user), grown.group(user)) for user in users)
    assert moves["ranker", "control"] == 0
    assert 400 < moves["control", "ranker"] < 600  # a quarter of all


@pytest.mark.parametrize("split", [HALVES, THREE])
def test_shares_are_those_of_the_weights(split: Split) -> None:
    users = 20_000
    counts = Counter(split.group(f"user-{n}") for n in range(users))
    for group, weight in split.weights.items():
        share = weight / sum(split.weights.values())
        assert abs(counts[group] - users * share) < 4 * (users * share * (1 - share)) ** 0.5


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("split", [HALVES, THREE], ids=["halves", "three"])
def test_shares_of_a_million_ids_are_off_by_less_than_half_a_percent(split: Split) -> None:
    counts = Counter(split.group(f"{n}") for n in range(10**6))
    total = sum(split.weights.values())
    assert max(abs(counts[group] / 10**6 - weight / total) for group, weight in split.weights.items()) < 0.005


@pytest.mark.parametrize("weight", [1e-100, 1e100])
def test_the_smallest_and_the_largest_weights_divide_users_as_others_do(weight: float) -> None:
    split = Split("search", {"a": weight, "b": weight})
    assert 900 <= sum(split.group(f"u-{n}") == "a" for n in range(2_000)) <= 1_100


def test_the_lowest_draw_is_half_a_step_above_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Split, "_hash", lambda *_: bytes(32))
    assert HALVES._score("control", b"") == 50 / -math.log(0.5 / 2**52)


def test_experiments_of_different_names_are_independent() -> None:
    other = Split("colours", {"control": 50, "ranker": 50})
    same = sum(HALVES.group(f"u-{n}") == other.group(f"u-{n}") for n in range(2_000))
    assert 900 < same < 1_100


def test_nobody_is_in_a_group_of_weight_0() -> None:
    paused = Split("new-ranker", {"control": 1, "ranker": 0})
    assert {paused.group(f"u-{n}") for n in range(200)} == {"control"}


@pytest.mark.parametrize(
    ("name", "weights", "problem"),
    [
        ("", {"a": 1}, "name is a str of 0 characters"),
        ("x\0y", {"a": 1}, "none of them U\\+0000"),
        (7, {"a": 1}, "name is an int, not a str"),
        ("x", {}, "weights is a dict of 0 items"),
        ("x", ["a"], "weights is a list of 1 item"),
        ("x", {"": 1}, "the name of a group is a str of 0 characters"),
        ("x", {"a": 0, "b": 0}, "weights are all 0"),
        ("x", {"a": -1}, "weights\\['a'\\] must be 0, or a number from 1e-100 to 1e100, not -1"),
        ("x", {"a": float("inf")}, "must be 0, or a number from"),
        ("x", {"a": float("nan")}, "must be 0, or a number from"),
        ("x", {"a": 1e308, "b": 1e308}, "must be 0, or a number from"),
        ("x", {"a": 5e-324}, "must be 0, or a number from"),
        ("x", {"a": True}, "must be 0, or a number from"),
        ("x", {"a": "50"}, "not a str of 2 characters"),
    ],
)
def test_what_makes_no_split_is_refused(name: Any, weights: Any, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem) as caught:
        Split(name, weights)
    assert caught.value.parameter


@pytest.mark.parametrize("user", ["", 4711, None, "secret\ud800", b"secret"])
def test_a_user_that_cannot_be_hashed_is_refused_unseen(user: Any) -> None:
    with pytest.raises(ValidationError, match="user_id is") as caught:
        HALVES.group(user)
    assert "secret" not in str(caught.value)
    assert "4711" not in str(caught.value)
    assert caught.value.__context__ is None
    assert caught.value.parameter == "user_id"


def test_an_exposure_holds_no_user_id_and_is_joined_by_the_pseudonym() -> None:
    exposure = HALVES.exposure("user-42")
    assert exposure == SplitExposure(experiment="new-ranker", unit=HALVES.unit("user-42"), group="control")
    assert "user-42" not in f"{exposure!r} {attrs.asdict(exposure)}"
    assert exposure.unit not in repr(exposure)
    assert SplitExposure(**attrs.asdict(exposure)) == exposure


def test_hooks_are_told_and_one_that_fails_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Exposure] = []

    def fails(_: Exposure) -> None:
        raise RuntimeError("of user-42")

    with caplog.at_level(logging.WARNING, logger="personalize_rt"):
        exposure = HALVES.exposure("user-42", unit="s-1", hooks=[fails, told.append])
    assert told == [exposure]
    assert exposure.unit == "s-1"
    assert [record.getMessage() for record in caplog.records] == ["a hook for exposures failed with RuntimeError"]


def test_a_split_is_a_value() -> None:
    assert Split("x", {"a": 1, "b": 2}) == Split("x", {"b": 2, "a": 1})
    assert hash(Split("x", {"a": 1, "b": 2})) == hash(Split("x", {"b": 2, "a": 1}))
    assert pickle.loads(pickle.dumps(HALVES)) == HALVES
    assert repr(HALVES) == "Split('new-ranker', {'control': 50.0, 'ranker': 50.0})"
    with pytest.raises(TypeError):
        HALVES.weights["ranker"] = 100  # type: ignore[index]  # what the test is of

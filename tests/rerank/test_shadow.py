"""ShadowScorer learns from answers of the service to answer like it."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from array import array
from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from math import isfinite, log
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personalize_rt import (
    EmbeddingScorer,
    Fallback,
    InputOrderFallback,
    LocalReranker,
    PersonalizeRuntime,
    Ranking,
    RerankFallback,
    RetryPolicy,
    ServerError,
    ValidationError,
)
from personalize_rt.local.scored import ScoredPersonalize
from personalize_rt.rerank import Scorer, ShadowScorer, storage

ROOT = Path(__file__).parent.parent.parent


def tau(one: Sequence[str], other: Sequence[str]) -> float:
    """Kendall's tau of two orders of the same items."""
    place = {id: n for n, id in enumerate(other)}
    seen: list[int] = []
    swapped = 0
    for id in one:
        swapped += len(seen) - bisect_left(seen, place[id])
        insort(seen, place[id])
    return 1.0 - 4.0 * swapped / (len(one) * (len(one) - 1))


class World:
    """Hidden vectors, the rankings that they make, and lists to rank."""

    def __init__(self, users: int = 40, items: int = 200, size: int = 4, deviation: float = 2.0, seed: int = 1) -> None:
        self.chance = random.Random(seed)
        scale = deviation / size**0.5
        draw = self.chance.gauss
        self.users = [f"u{n}" for n in range(users)]
        self.items = [f"i{n}" for n in range(items)]
        self.scorer = EmbeddingScorer(
            {id: [*(draw(0, 1) for _ in range(size)), 1.0] for id in self.users},
            {id: [*(draw(0, scale) for _ in range(size)), draw(0, 0.3 * deviation)] for id in self.items},
            default_user=[*(0.0 for _ in range(size)), 1.0],
        )

    def list(self, length: int = 50) -> list[str]:
        return self.chance.sample(self.items, length)

    def answer(self, user_id: str, item_ids: Sequence[str]) -> Ranking:
        return LocalReranker(self.scorer).rank(user_id=user_id, input_list=item_ids)

    def teach(self, shadow: ShadowScorer, rankings: int, *, length: int = 50, users: Sequence[str] = ()) -> None:
        for _ in range(rankings):
            for user in users or self.users:
                shadow.observe(user, self.answer(user, self.list(length)))

    def likeness(self, scorer: Scorer, *, users: Sequence[str] = (), fresh: int = 40) -> float:
        """Tau of a scorer's rankings to the true ones, on average over fresh lists."""
        taus: list[float] = []
        for n in range(fresh):
            user, item_ids = (users or self.users)[n % len(users or self.users)], self.list()
            ranked = LocalReranker(scorer).rank(user_id=user, input_list=item_ids)
            taus.append(tau(ranked.item_ids, self.answer(user, item_ids).item_ids))
        return fmean(taus)


def ranked(**scores: float | None) -> Ranking:
    """An answer of the service, items in the order given."""
    return Ranking(scores, scores=scores.values())


# It learns.


def test_it_learns_to_rank_like_the_service() -> None:
    world, shadow = World(), ShadowScorer()
    world.teach(shadow, 1)
    early = world.likeness(shadow)
    world.teach(shadow, 9)
    assert world.likeness(shadow) >= 0.95 > early > 0.2
    assert shadow.answers == 400


def test_zeros_teach_that_an_item_is_low_and_not_how_low() -> None:
    world, shadow = World(deviation=7.0), ShadowScorer()
    zeros = sum(score == 0.0 for _ in range(20) for score in world.answer("u1", world.list()).scores)
    assert zeros > 200  # of 1,000
    world.teach(shadow, 12)
    assert world.likeness(shadow) >= 0.85


def test_what_is_below_every_scored_item_is_learned_to_be_below() -> None:
    shadow = ShadowScorer()
    for _ in range(60):
        shadow.observe("u", ranked(a=0.7, b=0.3, z=0.0))
    a, b, z = (logit or 0.0 for logit in shadow("u", ["a", "b", "z"]))
    assert a - b == pytest.approx(log(7 / 3), abs=0.05)
    assert b - z >= log(0.3 / 5e-8) - 0.5


def test_a_score_of_0_that_was_foreseen_changes_nothing() -> None:
    """Zeros are censored: they do not pull an item down without end."""
    shadow = ShadowScorer()
    for _ in range(60):
        shadow.observe("u", ranked(a=0.7, b=0.3, z=0.0))
    before = shadow("u", ["a", "b", "z"])
    for _ in range(60):
        shadow.observe("u", ranked(a=0.7, b=0.3, z=0.0))
    after = shadow("u", ["a", "b", "z"])
    gaps = [(logits[1] or 0.0) - (logits[2] or 0.0) for logits in (before, after)]
    assert gaps[1] == pytest.approx(gaps[0], abs=0.5)


def test_answers_of_different_lists_are_known_up_to_a_constant() -> None:
    """The same logits in lists of very different company have very different scores."""
    logits = {f"i{n}": n / 4 for n in range(24)}
    reranker, shadow, chance = LocalReranker(logits), ShadowScorer(), random.Random(2)
    for _ in range(60):
        for pool in (range(12), range(6, 18), range(12, 24)):
            item_ids = [f"i{n}" for n in chance.sample(pool, 10)]
            shadow.observe("u", reranker.rank(user_id="u", input_list=item_ids))
    learned = [logit or 0.0 for logit in shadow("u", list(logits))]
    assert tau(sorted(logits, key=lambda id: learned[int(id[1:])]), list(logits)) >= 0.95


def test_a_new_user_is_taken_for_an_average_one() -> None:
    world, shadow = World(), ShadowScorer()
    world.teach(shadow, 10)
    stranger = world.likeness(shadow, users=["stranger"])
    assert stranger > 0.5
    assert shadow("stranger", world.items) == shadow("another", world.items)


def test_a_few_items_do_not_make_a_new_user_forget_what_users_have_in_common() -> None:
    world, shadow = World(), ShadowScorer()
    world.teach(shadow, 10)
    average = [logit or 0.0 for logit in shadow("stranger", world.items)]
    shadow.observe("new", LocalReranker(shadow).rank(user_id="stranger", input_list=world.items[:3]))
    new = [logit or 0.0 for logit in shadow("new", world.items)]
    assert max(abs(one - other) for one, other in zip(average, new, strict=True)) < 0.05


def test_one_answer_tells_a_lot_about_a_new_user_when_the_items_are_known() -> None:
    world, shadow = World(), ShadowScorer()
    known, new = world.users[:-4], world.users[-4:]
    world.teach(shadow, 12, users=known)
    before = world.likeness(shadow, users=new)
    world.teach(shadow, 1, users=new)
    assert world.likeness(shadow, users=new) >= max(0.9, before + 0.3)


def test_a_service_that_is_trained_anew_is_followed() -> None:
    shadow, old, new = ShadowScorer(), World(seed=1), World(seed=2)
    old.teach(shadow, 5)
    assert new.likeness(shadow) < 0.2
    new.teach(shadow, 12)
    assert new.likeness(shadow) >= 0.85


def test_the_same_answers_teach_the_same() -> None:
    learned = []
    for _ in range(2):
        world, shadow = World(), ShadowScorer()
        world.teach(shadow, 2)
        learned.append(shadow("u1", world.items))
    assert learned[0] == learned[1]


def test_of_a_long_answer_a_part_is_learned_and_another_part_the_next_time() -> None:
    logits = {f"i{n}": n / 100 for n in range(450)}
    answer, shadow = LocalReranker(logits).rank(user_id="u", input_list=logits), ShadowScorer()
    shadow.observe("u", answer)
    assert sum(logit is not None for logit in shadow("u", [*logits])) == 90
    for _ in range(4):
        shadow.observe("u", answer)
    assert None not in shadow("u", [*logits])


def test_items_are_known_by_their_means_before_users_are_known() -> None:
    """From the start, and to new users too, it is no worse than the mean of each item's logits."""
    world, shadow = World(users=200, items=400, size=24), ShadowScorer()
    logs: dict[str, list[float]] = {}
    for n in range(100):
        user, item_ids = world.users[n], world.list()
        answer = world.answer(user, item_ids)
        shadow.observe(user, answer)
        level = fmean(log(score) for score in answer.scores if score)
        for id, score in zip(answer.item_ids, answer.scores, strict=True):
            logs.setdefault(id, []).append(log(score or 5e-8) - level)
    means = {id: fmean(values) for id, values in logs.items()}

    def by_mean(user_id: str, item_ids: Sequence[str], context: object) -> list[float | None]:
        return [means.get(id) for id in item_ids]

    for users in (world.users[100:], world.users[:100]):
        assert world.likeness(shadow, users=users, fresh=100) >= world.likeness(by_mean, users=users, fresh=100) - 0.01


def test_answers_are_learned_from_again() -> None:
    """Four answers of each user teach more than their items could tell at once."""
    world, shadow = World(users=40, items=200, size=24), ShadowScorer()
    world.teach(shadow, 10)
    assert world.likeness(shadow) >= 0.8


def test_a_user_who_moves_is_followed() -> None:
    world, shadow = World(), ShadowScorer()
    world.teach(shadow, 10)
    mover, other = world.users[:2]
    here = world.scorer
    for _ in range(2):
        shadow.observe(mover, LocalReranker(here).rank(user_id=other, input_list=world.list()))
    taus = [
        tau(
            LocalReranker(shadow).rank(user_id=mover, input_list=item_ids).item_ids,
            world.answer(other, item_ids).item_ids,
        )
        for item_ids in (world.list() for _ in range(20))
    ]
    assert fmean(taus) >= 0.4


@pytest.mark.parametrize(("correlation", "least"), [(0.5, 0.53), (1.0, 0.93)])
def test_users_who_all_move_are_followed_and_those_who_stay_are_not_forgotten(correlation: float, least: float) -> None:
    """Old answers count as far as they would have foretold the newest ones: much where users stay, else little."""
    world, shadow = World(size=8), ShadowScorer(factors=16)
    draw, step = world.chance.gauss, (1.0 - correlation**2) ** 0.5
    items = {id: [draw(0, 2.0 / 8**0.5) for _ in range(8)] + [draw(0, 0.6)] for id in world.items}
    users = {id: [draw(0, 1) for _ in range(8)] for id in world.users}
    for _ in range(10):
        users = {id: [correlation * one + step * draw(0, 1) for one in vector] for id, vector in users.items()}
        world.scorer = EmbeddingScorer({id: [*vector, 1.0] for id, vector in users.items()}, items)
        world.teach(shadow, 1)
    assert world.likeness(shadow, fresh=80) >= least


@pytest.mark.parametrize("deviation", [0.2, 2.0, 8.0])
def test_the_scale_of_the_service_does_not_matter(deviation: float) -> None:
    world, shadow = World(users=20, items=60, deviation=deviation), ShadowScorer(factors=8)
    world.teach(shadow, 8, length=20)
    assert world.likeness(shadow) >= 0.85


# How sure it is.


def test_its_quality_is_the_tau_of_answers_that_it_has_not_learned_from() -> None:
    world, shadow = World(), ShadowScorer()
    taus: list[float] = []
    for n in range(200):
        assert (shadow.quality is None) == (n < 20)
        user, item_ids = world.users[n % 40], world.list()
        answer = world.answer(user, item_ids)
        guess = dict(zip(answer.item_ids, shadow(user, answer.item_ids), strict=True))
        known = [id for id in answer.item_ids if guess[id] is not None]
        likeness = tau(sorted(known, key=lambda id: -(guess[id] or 0.0)), known) if len(known) > 1 else 0.0
        taus.append(likeness * len(known) * (len(known) - 1) / (50 * 49))
        shadow.observe(user, answer)
    assert shadow.quality == pytest.approx(fmean(taus[-100:]), abs=1e-9)
    assert shadow.quality == pytest.approx(world.likeness(shadow), abs=0.15)


def test_its_quality_falls_when_the_service_is_trained_anew() -> None:
    shadow = ShadowScorer(factors=8)
    old, new = (World(users=20, items=60, seed=seed) for seed in (1, 2))
    old.teach(shadow, 8, length=20)
    good = shadow.quality or 0.0
    new.teach(shadow, 3, length=20)
    assert (shadow.quality or 0.0) < good - 0.2


def test_what_is_unknown_does_not_count_as_known() -> None:
    shadow = ShadowScorer()
    for n in range(20):
        shadow.observe("u", ranked(**{f"a{n}": 0.7, f"b{n}": 0.3}))
    assert shadow.quality == 0.0


def test_a_fallback_may_require_a_quality_and_is_passed_over_below_it() -> None:
    world = World(users=10, items=60)
    local = ScoredPersonalize(world.scorer)
    shadow = ShadowScorer(factors=8)
    chain = RerankFallback(shadow, min_quality=0.6) | InputOrderFallback()
    ranking = runtime(local, chain).campaign(local.campaign_arn("ranking"))

    def in_an_outage() -> Ranking:
        fault = local.faults.fail(status=503)
        answer = ranking.rank("u1", world.items)
        local.faults.remove(fault)
        return answer

    assert in_an_outage().item_ids == tuple(world.items)  # no quality yet
    while (shadow.quality or 0.0) < 0.6:
        assert in_an_outage().item_ids == tuple(world.items)
        for user in world.users:
            ranking.rank(user, world.list(30))
        assert shadow.answers < 200
    assert in_an_outage().item_ids == LocalReranker(shadow).rank(user_id="u1", input_list=world.items).item_ids


@pytest.mark.parametrize("wrong", [1.5, -2, float("nan"), True, "0.6"])
def test_a_least_quality_that_is_no_tau_is_refused(wrong: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        RerankFallback(ShadowScorer(), min_quality=wrong)
    assert caught.value.parameter == "min_quality"


@pytest.mark.parametrize("scorer", [{"a": 1.0}, lambda user_id, item_ids, context: [None] * len(item_ids)])
def test_a_scorer_without_a_quality_cannot_be_required_to_have_one(scorer: Any) -> None:
    with pytest.raises(ValidationError, match="ShadowScorer") as caught:
        RerankFallback(scorer, min_quality=0.6)
    assert caught.value.parameter == "min_quality"


# What it does not know.


def test_items_that_were_never_seen_with_a_score_are_unknown() -> None:
    shadow = ShadowScorer()
    assert shadow("u", ["a", "b"]) == [None, None]
    shadow.observe("u", ranked(a=0.7, b=0.3, new=None))
    known = shadow("u", ["new", "a", "never", "b"], {"DEVICE": "phone"})
    assert [logit is None for logit in known] == [True, False, True, False]
    assert shadow("u", []) == []


@pytest.mark.parametrize(
    "ranking",
    [
        Ranking((), scores=()),
        ranked(a=None, b=None),
        ranked(a=1.0),
        ranked(a=1.0, b=0.0),
        Ranking(["a", "b"], scores=[0.7, 0.3], degraded=True),
    ],
    ids=["empty", "unscored", "single", "one above 0", "a fallback's"],
)
def test_what_tells_nothing_is_passed_over(ranking: Ranking) -> None:
    shadow = ShadowScorer()
    shadow.observe("u", ranking)
    assert shadow.answers == 0
    assert shadow("u", ["a", "b"]) == [None, None]


@pytest.mark.filterwarnings("error")
@given(
    answers=st.lists(
        st.tuples(
            st.sampled_from("uvw"),
            st.lists(
                st.tuples(
                    st.sampled_from("abcdefgh"),
                    st.one_of(st.none(), st.floats(0, 1), st.sampled_from([0.0, 1.0, 1e-7, -0.5, 2.0, 1e300])),
                ),
                max_size=10,
            ),
        ),
        max_size=20,
    ),
    factors=st.integers(1, 5),
)
@settings(max_examples=80)
def test_no_answer_makes_it_fail_or_lose_its_head(
    answers: list[tuple[str, list[tuple[str, float | None]]]], factors: int
) -> None:
    """Repeated ids, any scores, any order: ranking never raises, and logits stay finite."""
    shadow = ShadowScorer(factors=factors, max_users=2, max_items=5)
    for user, rows in answers:
        shadow.observe(user, Ranking([id for id, _ in rows], scores=[score for _, score in rows]))
    logits = shadow("u", [*"abcdefgh", "never"])
    assert all(logit is None or isfinite(logit) for logit in logits)
    ranking = LocalReranker(shadow).rank(user_id="u", input_list=["a", "b", "c", "d", "e", "f", "g", "h"])
    assert sorted(ranking.item_ids) == [*"abcdefgh"]


@pytest.mark.parametrize("name", ["factors", "max_users", "max_items"])
@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "16", None])
def test_arguments_that_are_no_counts_are_refused(name: str, wrong: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        ShadowScorer(**{name: wrong})
    assert caught.value.parameter == name


def test_its_repr_names_nobody() -> None:
    shadow = ShadowScorer()
    shadow.observe("ada.lovelace", ranked(secret=0.7, b=0.3))
    assert repr(shadow) == "ShadowScorer(factors=32, <1 users>, <2 items>, answers=1)"


# Memory and threads.


def test_memory_is_bounded_and_the_least_recently_seen_is_forgotten_first() -> None:
    shadow = ShadowScorer(max_users=2, max_items=4)
    for user, one, two, score in (
        ("v", "a", "b", 0.2),
        ("u", "a", "b", 0.7),
        ("v", "c", "d", 0.7),
        ("u", "a", "b", 0.9),
        ("w", "e", "f", 0.7),
    ):
        shadow.observe(user, ranked(**{one: score, two: 1.0 - score}))
    known = dict(zip("abcdef", shadow("u", ["a", "b", "c", "d", "e", "f"]), strict=True))
    assert {id for id, logit in known.items() if logit is not None} == {*"abef"}
    average = shadow("nobody", ["a"])
    assert shadow("v", ["a"]) == average  # forgotten
    assert shadow("u", ["a"]) != average


def test_threads_may_learn_and_rank_at_once() -> None:
    world, shadow = World(users=8, items=60), ShadowScorer()
    given = {user: [world.answer(user, world.list(20)) for _ in range(30)] for user in world.users}
    failures: list[BaseException] = []

    def work(user: str) -> None:
        try:
            for answer in given[user]:
                shadow.observe(user, answer)
                assert all(logit is None or isfinite(logit) for logit in shadow(user, world.items))
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(user,)) for user in world.users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert shadow.answers == 240
    assert world.likeness(shadow) > 0.8


# Files.


def test_it_is_saved_and_goes_on_from_there(tmp_path: Path) -> None:
    world, shadow = World(), ShadowScorer(factors=8, max_users=30, max_items=150)
    world.teach(shadow, 2)
    shadow.save(tmp_path / "shadow")
    again = ShadowScorer.load(tmp_path / "shadow")
    assert again("u1", world.items) == shadow("u1", world.items)
    assert again("stranger", world.items) == shadow("stranger", world.items)
    assert (again.factors, again.max_users, again.max_items, again.answers) == (8, 30, 150, shadow.answers)
    assert again.quality == shadow.quality is not None
    # Kept answers and means are the same, too, so that it learns the same from the next one.
    again._chance, again._waiting = shadow._chance, [*shadow._waiting]
    answer = world.answer("u1", [id for id in world.items if shadow("u1", [id]) != [None]][:50])
    for scorer in (shadow, again):
        scorer._chance.seed(1)
        scorer.observe("u1", answer)
    assert again("u1", world.items) == shadow("u1", world.items)
    # What it forgets next is the same, too.
    for scorer in (shadow, again):
        scorer.observe("new", ranked(i1=0.7, i2=0.3))
    assert [logit is None for logit in again("u1", world.items)] == [
        logit is None for logit in shadow("u1", world.items)
    ]
    world.teach(again, 12)
    assert again.answers > shadow.answers


def test_an_empty_one_is_saved_too(tmp_path: Path) -> None:
    ShadowScorer().save(tmp_path / "shadow")
    assert ShadowScorer.load(tmp_path / "shadow")("u", ["a"]) == [None]


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    shadow = ShadowScorer()
    shadow.observe("u", ranked(a=0.7, b=0.3))
    shadow.save(tmp_path / "shadow")
    (tmp_path / "shadow").write_bytes((tmp_path / "shadow").read_bytes()[:-1])
    with pytest.raises(ValidationError, match="damaged"):
        ShadowScorer.load(tmp_path / "shadow")


WRONG: list[tuple[Any, Mapping[str, list[float]]]] = [
    ([], {}),
    ({"users": ["u"]}, {}),
    ({"users": ["u", "u"]}, {"users": [1.0, 2.0]}),
    ({"users": [7]}, {"users": [1.0]}),
    ({"users": ["u"]}, {"users": [float("nan")]}),
    ({"items": ["a"]}, {"items": [1.0]}),
    ({"factors": 0}, {}),
    ({"factors": "many"}, {}),
    ({"answers": None}, {}),
    ({}, {"average": []}),
]


@pytest.mark.parametrize(("content", "columns"), WRONG, ids=lambda part: str(part)[:30])
def test_a_file_that_holds_something_else_is_refused(
    content: Any, columns: Mapping[str, list[float]], tmp_path: Path
) -> None:
    right = {"factors": 1, "max_users": 5, "max_items": 5, "answers": 1, "users": [], "items": []}
    numbers = {"average": [0.0], "users": [], "items": [], "biases": [], **columns}
    stored = storage.Stored(
        "ShadowScorer",
        {**right, **content} if isinstance(content, dict) else content,
        {name: array("d", values) for name, values in numbers.items()},
    )
    storage.save(tmp_path / "shadow", stored)
    with pytest.raises(ValidationError):
        ShadowScorer.load(tmp_path / "shadow")


def test_what_these_wrong_files_differ_from_is_right(tmp_path: Path) -> None:
    """A file of the first version: the logits are those of then, and it goes on learning."""
    content = {"factors": 1, "max_users": 5, "max_items": 5, "answers": 1, "users": ["u"], "items": ["a"]}
    columns = {"average": [0.5], "users": [2.0], "items": [3.0], "biases": [1.0]}
    stored = storage.Stored("ShadowScorer", content, {name: array("d", values) for name, values in columns.items()})
    storage.save(tmp_path / "shadow", stored)
    assert ShadowScorer.load(tmp_path / "shadow")("u", ["a", "b"]) == [7.0, None]
    old = ShadowScorer.load(tmp_path / "shadow")
    assert old("v", ["a"]) == [2.5]
    assert (old.answers, old.quality) == (1, None)
    old.observe("v", ranked(a=0.7, b=0.3))
    assert old("u", ["a", "b"]) != [7.0, None]
    old.save(tmp_path / "shadow")
    assert ShadowScorer.load(tmp_path / "shadow")("u", ["a", "b"]) == old("u", ["a", "b"])


def test_a_file_of_the_second_version_is_read(tmp_path: Path) -> None:
    """It has one vector of each user, and neither a moving one nor what tells whether users move."""
    world, shadow = World(users=10, items=60), ShadowScorer(factors=4)
    world.teach(shadow, 4, length=20)
    shadow.save(tmp_path / "shadow")
    stored = storage.load(tmp_path / "shadow", "ShadowScorer")
    columns = {name: column for name, column in stored.columns.items() if name not in ("users.moving", "moved")}
    storage.save(tmp_path / "shadow", storage.Stored("ShadowScorer", {**stored.content, "version": 2}, columns))
    again = ShadowScorer.load(tmp_path / "shadow")
    assert again.quality == shadow.quality
    assert world.likeness(again) >= world.likeness(shadow) - 0.05 > 0.6
    world.teach(again, 1)
    assert again.answers == shadow.answers + 10


@pytest.mark.parametrize(
    ("name", "values"), [("moved", [0.0, 0.0]), ("moved", [float("inf"), 1.0]), ("users.moving", [1.0])]
)
def test_a_file_with_impossible_movements_is_refused(name: str, values: list[float], tmp_path: Path) -> None:
    shadow = ShadowScorer(factors=2)
    shadow.observe("u", ranked(a=0.7, b=0.3))
    shadow.save(tmp_path / "shadow")
    stored = storage.load(tmp_path / "shadow", "ShadowScorer")
    columns = {**stored.columns, name: array("d", values)}
    storage.save(tmp_path / "shadow", storage.Stored("ShadowScorer", stored.content, columns))
    with pytest.raises(ValidationError):
        ShadowScorer.load(tmp_path / "shadow")


def test_a_file_of_a_later_version_is_refused(tmp_path: Path) -> None:
    ShadowScorer().save(tmp_path / "shadow")
    stored = storage.load(tmp_path / "shadow", "ShadowScorer")
    stored.content["version"] += 1
    storage.save(tmp_path / "shadow", stored)
    with pytest.raises(ValidationError, match="upgrade"):
        ShadowScorer.load(tmp_path / "shadow")


def test_kept_answers_are_bounded(tmp_path: Path) -> None:
    """Three hundred scores of a user, whatever the length of lists; a forgotten item is kept nowhere."""
    world, shadow = World(users=2, items=60), ShadowScorer(max_items=30)
    for length in (20, 60, 10):
        world.teach(shadow, 12, length=length)
        assert all(sum(len(ids) for ids, _ in user.kept) <= 300 for user in shadow._users.values())
        shadow.save(tmp_path / "shadow")
        assert shadow("u1", world.items) == ShadowScorer.load(tmp_path / "shadow")("u1", world.items)


# As a fallback.


def runtime(local: ScoredPersonalize, fallback: Fallback | None, **options: Any) -> PersonalizeRuntime:
    retry = RetryPolicy(attempts=1, clock=lambda: 0.0)
    return local.runtime(fallback=fallback, retry=retry, **options)


def test_one_line_learns_while_all_is_well_and_answers_when_the_service_cannot() -> None:
    world = World(users=10, items=100)
    local = ScoredPersonalize(world.scorer)
    shadow = ShadowScorer()
    ranking = runtime(local, RerankFallback(shadow)).campaign(local.campaign_arn("ranking"))
    for _ in range(12):
        for user in world.users:
            assert not ranking.rank(user, world.list()).degraded
    assert shadow.answers == 120
    local.faults.fail(status=503)
    seen = [(user, ids, ranking.rank(user, ids)) for user in world.users for ids in [world.list()]]
    assert all(answer.degraded and isinstance(answer.cause, ServerError) for _, _, answer in seen)
    assert shadow.answers == 120  # nothing is learned from its own answers
    assert fmean(tau(answer.item_ids, world.answer(user, ids).item_ids) for user, ids, answer in seen) >= 0.85


def test_it_learns_in_a_chain_too_wherever_it_stands() -> None:
    world = World(users=2, items=60)
    local = ScoredPersonalize(world.scorer)
    shadow = ShadowScorer()
    chain = InputOrderFallback() | RerankFallback(LocalReranker(shadow))
    runtime(local, chain).campaign(local.campaign_arn("ranking")).rank("u1", world.list())
    assert shadow.answers == 1


def test_a_scorer_that_cannot_learn_is_not_asked_to() -> None:
    world = World(users=2, items=60)
    local = ScoredPersonalize(world.scorer)
    ranking = runtime(local, RerankFallback({"i1": 1.0})).campaign(local.campaign_arn("ranking"))
    assert not ranking.rank("u1", ["i1", "i2"]).degraded
    local.faults.fail(status=503)
    assert ranking.rank("u1", ["i2", "i1"]).item_ids == ("i1", "i2")


def test_a_ranking_of_a_long_list_teaches_it_as_well() -> None:
    world = World(users=2, items=1_200)
    local = ScoredPersonalize(world.scorer)
    shadow = ShadowScorer()
    ranking = runtime(local, RerankFallback(shadow)).rank_long(
        campaign_arn=local.campaign_arn("ranking"), user_id="u1", input_list=world.items
    )
    assert shadow.answers == ranking.requests


@pytest.mark.slow
def test_after_twenty_rankings_of_each_user_it_is_like_the_service() -> None:
    """A smaller form of ``benchmarks/shadow.py``, whose full size takes minutes."""
    world, shadow = World(users=100, items=600, size=8), ShadowScorer()
    world.teach(shadow, 12, length=80)
    popularity = world.likeness(lambda user_id, item_ids, context: world.scorer("nobody", item_ids))
    assert world.likeness(shadow, fresh=100) >= max(0.75, 2 * popularity)


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / "benchmarks" / "shadow.py").exists(), reason="the benchmarks are not here")
def test_the_benchmark_runs_and_keeps_its_promises() -> None:
    small = ["--sizes", "4", "--users", "20", "--items", "120", "--rankings", "8", "--length", "40"]
    small += ["--campaigns", "trees", "--shapes", "20x100", "--answers", "100", "--fresh", "40", "--seeds", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.shadow", *small], cwd=ROOT, capture_output=True, text=True, timeout=55
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "popularity" in done.stdout

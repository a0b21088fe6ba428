"""The state machine of a run: any order of ends, a source that ends anywhere, a caller who leaves at any time."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personalize_rt.bulk import course as module
from personalize_rt.bulk.course import AllRefusedError, Course, InterruptedRun, OutageError
from personalize_rt.bulk.limiter import RateLimiter
from personalize_rt.bulk.running import Run
from personalize_rt.bulk.working import Done, Halt, Job
from personalize_rt.errors import ConfigurationError

# Small numbers, so that few requests reach them.
OUTAGE, REFUSALS, HELD, AHEAD = 4, 3, 7, 5

OUTAGES = ("ServerError", "TransportError")
WRONG = "ValidationError"  # nothing was sent
REFUSED = "InvalidInputError"
OTHER = "ResponseError"


@pytest.fixture(scope="module", autouse=True)
def small_numbers() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"OUTAGE": OUTAGE, "REFUSALS": REFUSALS, "HELD": HELD, "AHEAD_AT_LEAST": AHEAD}.items():
            patch.setattr(module, name, value)
        patch.setattr(module, "AHEAD", 1)
        yield


class Choices:
    """Numbers that a test has drawn; when they are used up, the highest that is allowed."""

    def __init__(self, numbers: list[int]) -> None:
        self._numbers = iter(numbers)

    def __call__(self, low: int, high: int) -> int:
        number = next(self._numbers, None)
        return high if number is None else low + number % (high - low + 1)


choices = st.lists(st.integers(0, 19), max_size=100).map(Choices)


class Pool:
    """Who does the jobs: requests end when a test wants it, in the order that it wants."""

    def __init__(self, ends: Any, concurrency: int, choose: Choices) -> None:
        self.ends = ends  # how a request ends, by its position and the number of those that ended before
        self.choose = choose
        self.concurrency = concurrency
        self.submitted: list[int] = []
        self.ended: list[str | None] = []
        self.positions: list[int] = []  # of those that ended
        self._jobs: list[Job] = []

    def submit(self, job: Job) -> None:
        self.submitted.append(job.position)
        self._jobs.append(job)

    def collect(self) -> list[Done | Halt]:
        taken: list[Done | Halt] = []
        for _ in range(self.choose(0, len(self._jobs))):
            job = self._jobs.pop(self.choose(0, min(self.concurrency, len(self._jobs)) - 1))
            error = self.ends(job.position, len(self.ended))
            if error == "halt":
                taken.append(Halt(job.place, ConfigurationError("no region")))
                continue
            self.ended.append(error)
            self.positions.append(job.position)
            taken.append(Done(job.place, job.position, job.position, error, 0.0))
        return taken

    def stop(self) -> None:
        del self._jobs[self.concurrency :]

    def is_idle(self) -> bool:
        return not self._jobs

    def close(self) -> None:
        pass


class Kept:
    """A checkpoint in memory."""

    path = Path("kept")

    def __init__(self) -> None:
        self.done: set[int] = set()

    @property
    def count(self) -> int:
        return len(self.done)

    def has(self, position: int) -> bool:
        return position in self.done

    def add(self, position: int) -> None:
        assert position not in self.done
        self.done.add(position)

    def save(self) -> None:
        pass

    def remove(self) -> None:
        pass


def start(count: int, pool: Pool, kept: Any, **options: Any) -> tuple[Run[int], Course]:
    options = {"ordered": True, "raises": False, "progress": False, **options}
    course = Course((), RateLimiter(), concurrency=pool.concurrency, checkpoint=kept, **options)
    return Run(iter(range(count)), pool, course), course


def is_sign(error: str | None, *, refusals: bool) -> bool:
    return error in OUTAGES or (refusals and error in (WRONG, REFUSED))


def end_of(ended: list[str | None]) -> tuple[type[Exception] | None, int, int]:
    """The error that ends a run with these outcomes, and the first and the last of those that led to it."""
    first = ended[:REFUSALS]
    if len(first) == REFUSALS and first[0] in (WRONG, REFUSED) and len(set(first)) == 1:
        return AllRefusedError, 0, REFUSALS - 1
    for begin, error in enumerate(ended):
        if error not in OUTAGES:
            continue
        count = 0
        for place in range(begin, len(ended)):
            if ended[place] not in (*OUTAGES, WRONG):
                break
            count += ended[place] in OUTAGES
            if count == OUTAGE:
                return OutageError, begin, place
    return None, len(ended), len(ended)


errors = st.sampled_from([None, None, *OUTAGES, WRONG, REFUSED, OTHER])
# Long rows of the same, too: those are what ends a run.
plans = st.lists(st.tuples(errors, st.integers(1, 8)), max_size=12).map(
    lambda rows: [error for error, length in rows for _ in range(length)]
)


@given(plans, st.booleans(), st.booleans(), st.integers(1, 7), choices)
@settings(max_examples=4 * settings.default.max_examples)
def test_what_is_handed_on_and_how_a_run_ends_follow_from_the_outcomes_alone(
    plan: list[str | None], ordered: bool, gaps: bool, concurrency: int, choose: Choices
) -> None:
    pool = Pool(lambda position, _: plan[position], concurrency, choose)
    kept = Kept()
    run, course = start(len(plan), pool, kept, ordered=ordered, gaps=gaps)
    handed: list[int] = []
    raised: BaseException | None = None
    try:
        for position in run:
            handed.append(position)
    except (AllRefusedError, OutageError) as error:
        raised = error
    order = list(range(len(plan))) if ordered else pool.positions
    kind, begin, last = end_of([plan[position] for position in order])
    assert type(raised) is (kind or type(None))
    assert len(set(handed)) == len(handed)
    if ordered:
        assert handed == sorted(handed)
    assert kept.done == set(handed)
    if kind is None:
        assert handed == order
        assert course.summary().total == len(plan)
        return
    # All that came before has come out; of those that led to the end, only what was too much to hold.
    overflow = max(0, last - begin - HELD) if kind is OutageError else 0
    assert handed[: begin + overflow] == order[: begin + overflow]
    after = handed[begin + overflow :]
    assert gaps or after == []
    # What was in flight at the end, and is no sign of it.
    assert not {*after} & {*order[: last + 1]}
    assert not any(is_sign(plan[position], refusals=kind is AllRefusedError) for position in after)


@given(plans, st.booleans(), st.integers(1, 7), st.sampled_from(["close", "interrupt", "halt"]), choices)
@settings(max_examples=3 * settings.default.max_examples)
def test_a_run_that_goes_on_hands_on_each_request_that_is_not_done_and_no_other(
    plan: list[str | None], ordered: bool, concurrency: int, how: str, choose: Choices
) -> None:
    when = choose(0, len(plan))
    pool = Pool(
        lambda position, ended: "halt" if how == "halt" and position == when else plan[position], concurrency, choose
    )
    kept = Kept()
    run, course = start(len(plan), pool, kept, ordered=ordered)
    handed: list[int] = []
    try:
        if how == "interrupt" and when == 0:
            course.interrupts._interrupted(signal.SIGINT, None)
        for position in run:
            handed.append(position)
            if len(handed) == when:
                if how == "close":
                    run.close()
                elif how == "interrupt":
                    course.interrupts._interrupted(signal.SIGINT, None)
    except (AllRefusedError, OutageError, ConfigurationError, InterruptedRun):
        pass
    # Of what was handed on last, nobody knows what became of it when the caller does not come back.
    unconfirmed = {handed[-1]} if how == "close" and handed and kept.done != {*handed} else set()
    assert kept.done == {*handed} - unconfirmed
    again = Pool(lambda position, _: None, concurrency, choose)
    done_before = set(kept.done)
    rest = list(start(len(plan), again, kept, ordered=ordered)[0])
    assert sorted(rest) == sorted({*range(len(plan))} - done_before)


@given(st.integers(0, 60), st.booleans(), st.integers(1, 12), choices)
@settings(max_examples=2 * settings.default.max_examples)
def test_in_an_outage_no_more_are_sent_than_it_takes_to_know_or_were_taken_ahead(
    answered: int, ordered: bool, concurrency: int, choose: Choices
) -> None:
    pool = Pool(lambda _, ended: None if ended < answered else "ServerError", concurrency, choose)
    run, _ = start(300, pool, None, ordered=ordered)
    with pytest.raises(OutageError):
        for _ in run:
            pass
    # The outage begins behind the last one that was answered.
    ends = dict(zip(pool.positions, pool.ended, strict=True))
    order = range(len(pool.submitted)) if ordered else pool.positions
    begin = end_of([ends.get(position, "ServerError") for position in order])[1]
    ahead = max(AHEAD, concurrency) if answered else 0
    assert len(pool.submitted) - begin <= max(ahead, OUTAGE - 1 + concurrency)


@given(st.sampled_from([WRONG, REFUSED]), st.booleans(), st.integers(1, 12), choices)
def test_of_requests_that_are_all_wrong_no_more_are_sent_than_it_takes_to_know(
    error: str, ordered: bool, concurrency: int, choose: Choices
) -> None:
    pool = Pool(lambda *_: error, concurrency, choose)
    kept = Kept()
    run, course = start(300, pool, kept, ordered=ordered)
    with pytest.raises(AllRefusedError, match=f"the first {REFUSALS} requests"):
        next(run)
    assert (course.summary().total, kept.done) == (0, set())
    assert len(pool.submitted) <= REFUSALS - 1 + concurrency


def test_a_slow_request_keeps_the_others_at_work_unless_an_outage_may_have_begun() -> None:
    """The first request does not end; of the others as many are taken as may wait for it."""

    def submitted(others: str | None) -> int:
        pool = Pool(lambda *_: others, 3, Choices([]))
        run, course = start(1_000, pool, None)
        for _ in range(20):
            run._fill(run._source or iter(range(1_000)))
            if len(pool._jobs) > 1:
                job = pool._jobs.pop(1)
                course.ended([Done(job.place, job.position, job.position, others, 0.0)])
            assert course.next() is None
        return len(pool.submitted)

    assert (submitted(None), submitted("ServerError")) == (AHEAD, 3)

"""The queue of a tracker as a state machine: order, bounds, pauses, halves. No thread, no clock."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from personalize_rt import ServerError, TrackedEvent, ValidationError
from personalize_rt.resilience.event_queue import Batch, EventQueue, Pending, Who

OUTAGE = ServerError("x", response={}, operation_name="PutEvents", code="x", status_code=503, request_id=None)
REFUSED = ValidationError("x")


def queue_of(**options: Any) -> EventQueue:
    return EventQueue(**{"max_events": 1000, "max_bytes": 1 << 20, "flush_after": 1.0, **options})


def pending(item: str, session: str = "s", user: str | None = None, size: int = 10) -> Pending:
    return Pending(Who("t", session, user), TrackedEvent(event_type="Watch", item_id=item), size)


def items(batch: Any) -> list[str | None]:
    assert isinstance(batch, Batch)
    return [each.event.item_id for each in batch.pending]


def test_a_batch_is_due_when_it_is_full_or_its_first_event_has_waited() -> None:
    queue = queue_of()
    assert queue.next(0.0) is None
    assert queue.add(pending("i0"), 0.0) == 1.0
    queue.add(pending("i1"), 0.5)
    assert queue.next(0.25) == 0.75
    assert items(queue.next(1.0)) == ["i0", "i1"]
    for n in range(9):
        queue.add(pending(f"j{n}", "other"), 2.0)
    assert queue.next(2.0) == 1.0
    assert queue.add(pending("j9", "other"), 2.0) == 2.0
    assert items(queue.next(2.0)) == [f"j{n}" for n in range(10)]


def test_a_session_has_one_batch_in_flight_and_others_do_not_wait_for_it() -> None:
    queue = queue_of(flush_after=0.0)
    queue.add(pending("i0"), 0.0)
    first = queue.next(0.0)
    queue.add(pending("i1"), 0.0)
    queue.add(pending("j0", "other"), 0.0)
    assert items(queue.next(0.0)) == ["j0"]
    assert queue.next(0.0) is None
    assert isinstance(first, Batch)
    queue.sent(first)
    assert items(queue.next(0.0)) == ["i1"]


def test_a_failed_batch_is_sent_again_first_after_a_pause_that_grows_and_ends_with_a_success() -> None:
    queue = queue_of(flush_after=0.0)
    for n in range(3):
        queue.add(pending(f"i{n}"), 0.0)
    now, pauses = 0.0, []
    for _ in range(12):
        batch = queue.next(now)
        queue.add(pending("later"), now)
        assert isinstance(batch, Batch)
        assert items(batch)[:3] == ["i0", "i1", "i2"]
        queue.failed(batch, OUTAGE, now, 1.0)
        pause = queue.next(now)
        assert isinstance(pause, float)
        pauses.append(pause)
        now += pause
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, *[30.0] * 5]
    batch = queue.next(now)
    assert isinstance(batch, Batch)
    queue.sent(batch)
    batch = queue.next(now)
    assert isinstance(batch, Batch)
    queue.failed(batch, OUTAGE, now, 1.0)
    assert queue.next(now) == 0.25


def test_a_flush_makes_everything_due_and_ends_a_pause() -> None:
    queue = queue_of(flush_after=1000.0)
    queue.add(pending("i0"), 0.0)
    queue.add(pending("j0", "other"), 0.0)
    queue.drain()
    first, second = queue.next(0.0), queue.next(0.0)
    assert sorted([*items(first), *items(second)]) == ["i0", "j0"]
    assert isinstance(first, Batch)
    assert isinstance(second, Batch)
    queue.add(pending("i1"), 0.0)
    queue.sent(first)
    assert queue.draining
    queue.sent(second)
    assert not queue.draining
    assert queue.next(0.0) == 1000.0  # what came after the flush waits as ever


def test_entries_of_dropped_sessions_do_not_pile_up_in_an_outage() -> None:
    queue = queue_of(max_events=10, flush_after=0.0)
    for n in range(10):
        queue.add(pending("i0", f"s{n}"), 0.0)
    batch = queue.next(0.0)
    assert isinstance(batch, Batch)
    queue.failed(batch, OUTAGE, 0.0, 1.0)
    for n in range(5_000):
        queue.make_room(10)
        queue.add(pending("i0", f"t{n}"), 0.0)
    assert queue.pending == 10
    assert len(queue._heap) < 200
    assert len(queue._lanes) <= 10


# What a program may do to a queue: add to a session, take a batch, end the first that is in flight somehow.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from("abc"), st.sampled_from([None, "u"]), st.integers(1, 40)),
        st.tuples(st.just("take"), st.floats(0, 2)),
        st.tuples(st.sampled_from(["sent", "outage", "refused", "drain"]), st.integers(0, 5)),
    ),
    max_size=120,
)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, max_events=st.integers(1, 15), max_bytes=st.integers(40, 400))
def test_whatever_happens_the_order_of_a_session_and_the_bounds_hold(
    steps: list[Any], max_events: int, max_bytes: int
) -> None:
    queue = queue_of(max_events=max_events, max_bytes=max_bytes)
    now, number = 0.0, 0
    flying: list[Batch] = []
    taken: dict[str, list[int]] = defaultdict(list)
    known: set[int] = set()
    gone: set[int] = set()
    for step, *details in steps:
        if step == "add":
            session, user, size = details
            number += 1
            gone |= {int(each.event.item_id or 0) for each in queue.make_room(size)}
            if queue.has_room(size):
                queue.add(pending(str(number), session, user, size), now)
                known.add(number)
        elif step == "drain":
            queue.drain()
        elif step == "take":
            now += details[0]
            batch = queue.next(now)
            if isinstance(batch, Batch):
                assert 1 <= len(batch.pending) <= 10
                assert {each.who for each in batch.pending} == {batch.who}
                assert batch.who.session_id not in {other.who.session_id for other in flying}
                flying.append(batch)
        elif flying:
            batch = flying.pop(details[0] % len(flying))
            if step == "sent":
                queue.sent(batch)
                taken[batch.who.session_id] += [int(each.event.item_id or 0) for each in batch.pending]
            else:
                refused = queue.failed(batch, OUTAGE if step == "outage" else REFUSED, now, 0.5)
                gone |= {int(refused.event.item_id or 0)} if refused is not None else set()
        assert queue.pending <= max_events
        assert queue.bytes <= max_bytes
    done = {each for session in taken.values() for each in session}
    assert all(session == sorted(set(session)) for session in taken.values())
    assert not done & gone
    left = {int(each.event.item_id or 0) for each in queue.left()}
    assert known == done | gone | left
    assert len(known) == len(done) + len(gone) + len(left)
    assert (queue.pending, queue.bytes, queue.draining) == (0, 0, False)


def test_the_repr_of_a_session_shows_neither_it_nor_its_user() -> None:
    assert "secret" not in repr(Who("t-1", "session-secret", "user-secret"))


def test_an_event_that_fails_for_long_while_others_are_taken_is_given_up_alone() -> None:
    queue, now, given_up = queue_of(flush_after=0.0), 0.0, list[str | None]()
    for n in range(4):
        queue.add(pending(f"i{n}", "poisoned"), now)
    for n in range(200):
        queue.add(pending(f"j{n}", "other"), now)
        while isinstance(batch := queue.next(now), Batch):
            if "i2" not in items(batch):
                queue.sent(batch)
            elif gone := queue.failed(batch, OUTAGE, now, 0.5):
                given_up.append(gone.event.item_id)
                assert now >= 600
        now += 31.0
    assert given_up == ["i2"]
    assert queue.pending == 0


def test_in_an_outage_nothing_is_given_up_however_long_it_is() -> None:
    queue, now = queue_of(flush_after=0.0), 0.0
    for session in ("a", "b"):
        queue.add(pending("i", session), now)
    for _ in range(1_000):
        now += 100.0
        batch = queue.next(now)
        assert isinstance(batch, Batch)
        assert queue.failed(batch, OUTAGE, now, 0.5) is None
    assert queue.pending == 2


def test_an_event_that_fails_often_but_not_for_long_is_kept() -> None:
    queue, now = queue_of(flush_after=0.0), 0.0
    queue.add(pending("i", "unlucky"), now)
    for n in range(50):
        now += 0.6
        queue.add(pending(f"j{n}", "other"), now)
        while isinstance(batch := queue.next(now), Batch):
            if batch.who.session_id == "other":
                queue.sent(batch)
            else:
                assert queue.failed(batch, OUTAGE, now, 0.5) is None
    assert queue.pending == 1


def test_a_success_of_its_session_forgets_the_failures_before() -> None:
    queue, now = queue_of(flush_after=0.0), 0.0
    for round in range(60):
        now += 100.0
        queue.add(pending(f"i{round}", "unlucky"), now)
        queue.add(pending(f"j{round}", "other"), now)
        fails = round % 6 != 5
        while isinstance(batch := queue.next(now), Batch):
            if batch.who.session_id == "other" or not fails:
                queue.sent(batch)
            else:
                assert queue.failed(batch, OUTAGE, now, 0.5) is None
    assert queue.pending == 0


def test_each_of_several_events_that_fail_for_ever_is_given_up_alone() -> None:
    queue, now, given_up = queue_of(flush_after=0.0), 0.0, dict[str | None, float]()
    for n in range(8):
        queue.add(pending(f"i{n}", "poisoned"), now)
    for n in range(60):
        queue.add(pending(f"j{n}", "other"), now)
        while isinstance(batch := queue.next(now), Batch):
            if not {"i1", "i6"} & {*items(batch)}:
                queue.sent(batch)
            elif gone := queue.failed(batch, OUTAGE, now, 0.5):
                given_up[gone.event.item_id] = now
        now += 100.0
    assert [*given_up] == ["i1", "i6"]
    # The failures of the whole batch count for its halves, which do not wait for ten minutes each.
    assert given_up["i6"] - given_up["i1"] < 600


def test_a_session_that_lost_an_event_begins_to_count_anew() -> None:
    queue, now, given_up = queue_of(flush_after=0.0), 0.0, 0.0
    queue.add(pending("never", "poisoned"), now)
    queue.add(pending("late", "poisoned", "another user"), now)
    failures = 0
    for n in range(40):
        queue.add(pending(f"j{n}", "other"), now)
        while isinstance(batch := queue.next(now), Batch):
            if items(batch) == ["late"] and failures < 5:
                failures += 1
                assert queue.failed(batch, OUTAGE, now, 0.5) is None
            elif items(batch) == ["never"]:
                given_up = now if queue.failed(batch, OUTAGE, now, 0.5) else given_up
            else:
                queue.sent(batch)
        now += 100.0
    assert given_up
    assert failures == 5
    assert queue.pending == 0


def test_a_flush_waits_for_the_events_of_its_moment_and_for_none_that_came_later() -> None:
    queue = queue_of(flush_after=1000.0)
    queue.add(pending("before", "a"), 0.0)
    queue.drain()
    queue.add(pending("after", "b"), 0.0)
    first, second = queue.next(0.0), queue.next(0.0)
    assert isinstance(first, Batch)
    assert isinstance(second, Batch)
    queue.sent(second)
    assert queue.draining
    queue.sent(first)
    assert not queue.draining


def test_what_was_put_back_is_the_oldest_again_and_the_first_to_be_dropped() -> None:
    queue = queue_of(max_events=2, flush_after=0.0)
    queue.add(pending("oldest", "a"), 0.0)
    batch = queue.next(0.0)
    queue.add(pending("newer", "b"), 0.0)
    assert isinstance(batch, Batch)
    queue.failed(batch, OUTAGE, 0.0, 0.5)
    assert [each.event.item_id for each in queue.make_room(10)] == ["oldest"]


def test_an_event_that_is_dropped_makes_its_half_shorter_and_moves_no_other_event_into_it() -> None:
    queue = queue_of(max_events=4, flush_after=0.0)
    for n in range(4):
        queue.add(pending(f"i{n}"), 0.0)
    batch = queue.next(0.0)
    assert isinstance(batch, Batch)
    queue.failed(batch, REFUSED, 0.0, 0.5)
    assert [each.event.item_id for each in queue.make_room(10)] == ["i0"]
    first = queue.next(0.0)
    assert items(first) == ["i1"]
    assert isinstance(first, Batch)
    queue.sent(first)
    assert items(queue.next(0.0)) == ["i2", "i3"]

"""Forked children: whatever a fork catches held or in flight starts anew in the child.

The same for a whole runtime, in a process that is busy: ``tests/resilience/test_forked_runtime.py``.
"""

from __future__ import annotations

import gc
import re
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import personalize_rt
from personalize_rt import Cache, CircuitBreaker, Hedge, Ranking, Recommendations, ServerError, forks
from personalize_rt.filters.catalogue import Catalogue, EventIndex
from personalize_rt.interactions import Interaction
from personalize_rt.rerank import ShadowScorer
from personalize_rt.resilience.budget import RetryBudget
from personalize_rt.resilience.cache import Entry, Flights, MemoryStore
from personalize_rt.resilience.threads import racing
from personalize_rt.transport.standing_in import StandIn

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
FAILURE = ServerError("text", response={}, operation_name="o", code="c")


# The mechanism


class Holder:
    lock = forks.lock()
    flights: forks.PerProcess[dict[str, int]] = forks.PerProcess(dict)

    def __init__(self) -> None:
        self.renewed = 0

    def renew(self) -> None:
        self.renewed += 1


def records_of(holder: object) -> set[Any]:
    return {key for key, reference in forks._known.items() if reference() is holder}


def test_an_attribute_of_a_process_is_made_once_and_anew_in_a_child(forked: Any) -> None:
    holder = Holder()
    flights, lock = holder.flights, holder.lock
    flights["key"] = 1
    assert holder.flights is flights
    assert holder.lock is lock

    def in_child() -> Any:
        return holder.flights, holder.lock is lock, holder.flights is holder.flights

    assert forked(in_child) == "({}, False, True)"
    assert holder.flights == {"key": 1}


def test_it_is_made_anew_in_a_grandchild_too(forked: Any) -> None:
    holder = Holder()

    def in_child() -> str:
        holder.flights["of the child"] = 1
        return str(forked(lambda: holder.flights))

    assert forked(in_child) == "{}"


def test_objects_do_not_share_it() -> None:
    one, other = Holder(), Holder()
    assert one.lock is not other.lock
    assert isinstance(Holder.lock, forks.PerProcess)


def test_threads_that_ask_first_at_the_same_time_get_the_same_one() -> None:
    threads, made = 8, []
    all_there = threading.Barrier(threads)

    def make() -> dict[str, int]:
        all_there.wait(10)
        return {}

    class Shared:
        value: forks.PerProcess[dict[str, int]] = forks.PerProcess(make)

    shared = Shared()
    workers = [threading.Thread(target=lambda: made.append(shared.value)) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    assert len(made) == threads
    assert len(set(map(id, made))) == 1


def test_a_function_is_called_with_each_object_that_still_lives(forked: Any) -> None:
    holder, dropped = Holder(), Holder()
    for each in (holder, dropped):
        forks.in_child(each, Holder.renew)
    gone, records = weakref.ref(dropped), records_of(dropped)
    del dropped, each
    gc.collect()
    assert gone() is None
    assert len(records) == 1
    assert not records & forks._known.keys()
    assert forked(lambda: holder.renewed) == "1"
    assert holder.renewed == 0


def test_an_object_with_such_attributes_is_not_kept_alive() -> None:
    holder = Holder()
    holder.lock.acquire()
    holder.flights["key"] = 1
    gone, records = weakref.ref(holder), records_of(holder)
    del holder
    gc.collect()
    assert gone() is None
    assert len(records) == 2
    assert not records & forks._known.keys()


# Everything that holds a lock

# How many locks a file makes that are not those of forks.lock(), and why they need not be.
OTHERS = {
    "bulk/limiter.py": 2,  # renewed by in_child
    "bulk/process_lock.py": 1,  # shared by processes on purpose
    "bulk/threads.py": 2,  # of a run, which belongs to one process
    "resilience/threads/racing.py": 1,  # of one request
    "threads.py": 1,  # of the threads of one process
    "transport/attempt.py": 1,  # of one request
    "transport/workers.py": 2,  # of one request; and in what forks.PerProcess makes
}


def test_every_lock_is_renewed_or_of_one_request() -> None:
    root = Path(personalize_rt.__file__).parent
    made = re.compile(r"\b(?:R?Lock|Condition|Semaphore)\(\)|factory=threading\.")
    found = {}
    for path in root.rglob("*.py"):
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if made.search(line)]
        count = sum("asyncio." not in line and "forks." not in line for line in lines)
        if count and path.name != "forks.py":
            found[path.relative_to(root).as_posix()] = count
    here = {name: count for name, count in OTHERS.items() if (root / name).exists()}  # a room may be deleted
    assert found == here, "a lock that a fork may catch held: use forks.lock(), or say here why it need not be"


def test_there_is_one_handler() -> None:
    root = Path(personalize_rt.__file__).parent
    with_handlers = [path.name for path in root.rglob("*.py") if "register_at_fork" in path.read_text(encoding="utf-8")]
    assert with_handlers == ["forks.py"]


def of_store() -> Any:
    store = MemoryStore()
    return store._lock, lambda: [store.set("k", entry()), store.get("k")]


def of_mapping() -> Any:
    cache = Cache(store={})
    store: Any = cache._store
    return store._threads._state.changed, lambda: [cache.keep("k", answer()), cache.look_up("k")]


def of_flights() -> Any:
    flights = Flights[object]()
    return flights._lock, lambda: flights.join("k", object, bool)


def of_breaker() -> Any:
    breaker = CircuitBreaker(min_calls=1)
    return breaker._lock, lambda: breaker.record(breaker.admit(ARN), FAILURE)


def of_budget() -> Any:
    budget = RetryBudget()
    return budget._lock, lambda: budget.spend(FAILURE)


def of_hedge() -> Any:
    hedge = Hedge()
    return hedge._lock, lambda: [hedge.delay(), hedge.answered(0.1)]


def of_timers() -> Any:
    def wait() -> None:
        acted = threading.Event()
        racing._timers.after(0.0, acted.set)
        assert acted.wait(20)

    return racing._timers._changed, wait


def of_stand_in() -> Any:
    stand_in = StandIn(lambda service, config: "client", ["personalize-runtime"])
    return stand_in._lock, lambda: stand_in._client("personalize-runtime", 1.0)


def of_events() -> Any:
    events = EventIndex([], 100)
    return events._lock, lambda: events.add(Interaction("u", "i", 1.0, "click", None))


def of_catalogue() -> Any:
    catalogue = Catalogue({})
    return catalogue._lock, lambda: catalogue.put_users({"u": {"AGE": 7}})


def of_shadow() -> Any:
    shadow = ShadowScorer()
    return shadow._lock, lambda: shadow.observe("u", Ranking(["i", "j"], scores=[0.6, 0.4]))


@pytest.mark.parametrize(
    "holder",
    [
        of_store,
        of_mapping,
        of_flights,
        of_breaker,
        of_budget,
        of_hedge,
        of_timers,
        of_stand_in,
        of_events,
        of_catalogue,
        of_shadow,
    ],
)
def test_a_lock_that_was_held_at_the_fork_is_free_in_the_child(holder: Any, forked: Any) -> None:
    lock, work = holder()
    assert forked(lambda: [work()] and "done", holding=lock) == "done"


def answer() -> Recommendations:
    return Recommendations(["i1"], scores=[None])


def entry() -> Entry:
    return Entry(answer(), 0.0)


# What a child keeps


def test_a_child_keeps_what_was_cached(forked: Any) -> None:
    store: dict[str, Entry] = {}
    for cache in (Cache(), Cache(store=store)):
        cache.keep("k", answer())
        assert forked(lambda cache=cache: cache.look_up("k")) == str(cache.look_up("k"))


def test_a_child_keeps_the_state_of_a_breaker_and_forgets_the_probes_of_its_parent(forked: Any) -> None:
    now = [0.0]
    breaker = CircuitBreaker(min_calls=1, open_for=5, clock=lambda: now[0])
    breaker.record(breaker.admit(ARN), FAILURE)
    assert forked(lambda: breaker.state(ARN)) == "open"
    now[0] = 6.0
    breaker.admit(ARN)  # and it is in flight
    assert forked(lambda: breaker.record(breaker.admit(ARN), None)) == "closed"
    assert breaker.state(ARN) == "half-open"


def test_a_child_keeps_what_its_parent_learned_of_latencies_and_spent_of_its_budget(forked: Any) -> None:
    hedge, budget = Hedge(min_samples=1, percent=100), RetryBudget(100)
    hedge.answered(0.25)
    budget.spend(FAILURE)
    assert forked(lambda: (hedge.delay(), budget.tokens)) == "(0.25, 95)"


def test_a_history_that_is_being_read_at_the_fork_is_not_lost_to_the_child(
    forked: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fork falls between the two steps in which an index takes a user's events over."""
    from personalize_rt.filters import catalogue

    events = EventIndex([Interaction("u", "i", 1.0, "click", None)], 100)
    seen: list[str] = []

    class Forking(catalogue.History):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            monkeypatch.undo()
            seen.append(forked(lambda: events.items("u", None)))

    monkeypatch.setattr(catalogue, "History", Forking)
    assert events.items("u", None) == {"i"}
    assert seen == ["{'i'}"]

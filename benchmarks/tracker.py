"""The event tracker beside boto3: ``python -m benchmarks.tracker``.

A process of its own answers every request at once. Measured in one run:

* ``track()``: its processor time alone, and how long a page waits for it while 2,000 events a second are sent beside
  it, at ten events a session and at one;
* the events a second that one process sends when it does nothing else, at ten a session and at one;
* the processor time of an event in a batch of ten, threads and tracking included, beside boto3's ``put_events`` with
  one event in each call;
* the memory of a queue that is full, since nothing answers.

Ends with status 1 when a figure is worse than what the project promises.
"""

from __future__ import annotations

import argparse
import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from statistics import median, quantiles
from typing import Any

from benchmarks.calls import responder
from benchmarks.contenders import credentials_for_all

RATE = 2_000  # events a second
TRACK = 20.0  # microseconds of a page, at the most
P99_9 = 1_000.0  # microseconds
SHARE = 0.25  # of boto3's processor time for an event
MEMORY = 1.5  # times max_bytes

_TRACKING_ID = "benchmark"


def visits(events: int, *, answers: bool = True) -> Iterator[dict[str, Any]]:
    """The arguments of ``track()``, of one visit after the other: so many events each, about an answer of its own."""
    from personalize_rt import Recommendations

    for visit in count():
        ids = [f"film-{(visit * 7 + place) % 5000:06d}" for place in range(25)]
        answer = Recommendations(ids, scores=[0.04] * 25, recommendation_id=f"RID-{visit:08x}-CID-benchmark")
        for event in range(events):
            yield {
                "event_type": "Watch",
                "item": answer[event],
                "of": answer if answers else None,
                "session_id": f"visit-{visit}",
                "user_id": f"user-{visit}",
            }


@contextmanager
def tracker(url: str, **options: Any) -> Iterator[Any]:
    """A tracker that has sent an event."""
    from personalize_rt import EventTracker

    with EventTracker(_TRACKING_ID, region_name="eu-west-1", endpoint_url=url, **options) as made:
        made.connect()
        made.send("Watch", "film", session_id="first")
        yield made


def of_a_page(url: str, seconds: float, events: int) -> tuple[float, float, float, int]:
    """Median and p99.9 of ``track()`` in microseconds at the promised rate, and the events that were lost.

    Between them, the p99.9 of a page that computes for as long and calls nothing: the machine's part in it.
    """
    with tracker(url) as made:
        arguments, taken, idle = visits(events), list[float](), list[float]()
        begin = time.perf_counter()
        for number in range(int(seconds * RATE)):
            given = next(arguments)
            wait = begin + number / RATE - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            start = time.perf_counter()
            made.track(**given)
            taken.append((time.perf_counter() - start) * 1e6)
            start = time.perf_counter()
            sum(range(600))
            idle.append((time.perf_counter() - start) * 1e6)
        made.flush(30)
        lost = len(taken) + 1 - made.counts.sent
    return median(taken), quantiles(taken, n=1000)[998], quantiles(idle, n=1000)[998], lost


def alone(url: str, calls: int) -> float:
    """Microseconds of processor time of ``track()`` in its thread: the least of ten parts."""
    with tracker(url, flush_after=1000.0, max_events=10 * calls + 1, close_timeout=0.0) as made:
        arguments, best = visits(5), float("inf")
        for _ in range(10):
            given = [next(arguments) for _ in range(calls)]
            gc.collect()
            gc.disable()
            start = time.thread_time()
            for each in given:
                made.track(**each)
            best = min(best, time.thread_time() - start)
            gc.enable()
    return best / calls * 1e6


def rate(url: str, events: int, per_visit: int) -> float:
    """Events a second of a process that does nothing else; the queue holds its program back."""
    with tracker(url, on_full="block", deadline=30.0) as made:
        arguments = visits(per_visit)
        begin = time.perf_counter()
        for _ in range(events):
            made.track(**next(arguments))
        made.flush()
        return events / (time.perf_counter() - begin)


def processor_time(work: Callable[[int], object], events: int, rounds: int) -> float:
    """Microseconds of processor time of this process for an event: the least of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        gc.collect()
        before = time.process_time()
        work(events)
        best = min(best, time.process_time() - before)
    return best / events * 1e6


def beside_boto3(url: str, events: int, rounds: int) -> tuple[float, float]:
    """Microseconds of processor time for an event: of the tracker, and of boto3 one by one."""
    import boto3

    client = boto3.client("personalize-events", region_name="eu-west-1", endpoint_url=url)

    def one_by_one(events: int) -> None:
        arguments = visits(10)
        for number in range(events):
            given = next(arguments)
            client.put_events(
                trackingId=_TRACKING_ID,
                sessionId=given["session_id"],
                userId=given["user_id"],
                eventList=[
                    {
                        "eventType": given["event_type"],
                        "sentAt": time.time(),
                        "eventId": f"event-{number}",
                        "itemId": given["item"].item_id,
                        "recommendationId": given["of"].recommendation_id,
                        "impression": list(given["of"].item_ids),
                    }
                ],
            )

    with tracker(url) as made:

        def by_tracker(events: int) -> None:
            arguments = visits(10)
            for _ in range(events):
                made.track(**next(arguments))
            made.flush()

        return processor_time(by_tracker, events, rounds), processor_time(one_by_one, events, rounds)


def memory(events: int) -> tuple[float, int]:
    """MB of a full queue in an outage, and its bound in bytes."""
    bound = 4 << 20
    with _unreachable(max_bytes=bound, max_events=1_000_000, close_timeout=0.0) as made:
        made.connect()  # what botocore takes is none of the queue's
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for given, _ in zip(visits(10), range(events), strict=False):
            made.track(**given)
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert made.counts.dropped > 0, "the queue was never full"
    return (after - before) / 1e6, bound


@contextmanager
def _unreachable(**options: Any) -> Iterator[Any]:
    from personalize_rt import EventTracker

    url = "http://127.0.0.1:9"
    with EventTracker(_TRACKING_ID, region_name="eu-west-1", endpoint_url=url, **options) as made:
        yield made


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tracker", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each run at the promised rate")
    parser.add_argument("--events", type=int, default=20_000, help="of each run without a pause")
    options = parser.parse_args()
    credentials_for_all()
    failures: list[str] = []

    def promise(name: str, figure: float, most: float, unit: str) -> None:
        print(f"{name:68} {figure:10.2f} {unit} (promised: at most {most:g})")
        if figure > most:
            failures.append(name)

    with responder() as url:
        promise("track(), processor time", alone(url, 500), TRACK, "us")
        for events, promised in ((10, True), (1, False)):
            middle, slow, floor, lost = of_a_page(url, options.seconds, events)
            name = f"track() at {RATE:,} events/s, {events} a session"
            print(f"{name + ', median':68} {middle:10.2f} us")
            print(f"{'  a page that only computes meanwhile, p99.9':68} {floor:10.2f} us")
            if promised:
                promise(f"{name}, p99.9", slow, P99_9, "us")
                promise(f"{name}, events lost", lost, 0, "")
            else:
                print(f"{name + ', p99.9':68} {slow:10.2f} us\n{name + ', events lost':68} {lost:10}")
        for events in (10, 1):
            reached = rate(url, options.events, events)
            print(f"{f'events/s without a pause, {events} a session':68} {reached:10,.0f}")
            if events == 10 and reached < RATE:
                failures.append("events/s")
        ours, theirs = beside_boto3(url, options.events // 10, 3)
        print(f"{'an event of the tracker, in a batch of ten':68} {ours:10.2f} us of processor time")
        print(f"{'an event of boto3, alone in its call':68} {theirs:10.2f} us of processor time")
        promise("the tracker's share", ours / theirs, SHARE, "x")
    held, bound = memory(6_000)
    promise(f"a full queue of {bound / 1e6:.1f} MB, in memory", held / (bound / 1e6), MEMORY, "x its bound")
    for name in failures:
        print(f"worse than promised: {name}")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())

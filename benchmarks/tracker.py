"""The event tracker beside boto3: ``python -m benchmarks.tracker``.

A process of its own answers every request at once. Measured in one run:

* ``track()``: its processor time alone, and how long a page waits for it while 2,000 events a second are sent beside
  it, at ten events a session and at one;
* the events a second that one process sends when it does nothing else, at ten a session and at one;
* the processor time of an event in a batch of ten, threads and tracking included, beside boto3's ``put_events`` with
  one event in each call;
* the memory of a queue that is full, since nothing answers;
* the longest page in each kind of trouble, beside the longest of a page without a tracker: a hang, an outage, a full
  queue, forks, an exit, Ctrl-C, and what a process that was killed left in its spool.

Ends with status 1 when a figure is worse than what the project promises.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.calls import responder
from benchmarks.contenders import credentials_for_all

RATE = 2_000  # events a second
TRACK = 20.0  # microseconds of a page, at the most
P99_9 = 1_000.0  # microseconds
SHARE = 0.25  # of boto3's processor time for an event
MEMORY = 1.5  # times max_bytes
LONGER = 5.0  # milliseconds of the longest page in trouble, beyond that of a page without a tracker

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


def alone(url: str, calls: int, **options: Any) -> float:
    """Microseconds of processor time of ``track()`` in its thread: the least of ten parts."""
    with tracker(url, flush_after=1000.0, max_events=10 * calls + 1, close_timeout=0.0, **options) as made:
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
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for given, _ in zip(visits(10), range(events), strict=False):
            made.track(**given)
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert made.counts.dropped > 0, "the queue was never full"
    return (after - before) / 1e6, bound


@contextmanager
def _unreachable(url: str = "http://127.0.0.1:9", **options: Any) -> Iterator[Any]:
    from personalize_rt import EventTracker

    with EventTracker(_TRACKING_ID, region_name="eu-west-1", endpoint_url=url, **options) as made:
        made.connect()  # at the start of a program: it takes the interpreter for half a second
        yield made


# A page in trouble.


def longest(made: Any, seconds: float, *, forks: bool = False) -> float:
    """Milliseconds of the longest page, at the promised rate, with an event in each if there is a tracker.

    Collections of garbage in a page are left out: they are Python's, and take as long as the whole program's young
    objects need, of which events that wait are a part.

    Args:
        made: The tracker, or ``None``.
        seconds: For so long.
        forks: Fork now and then. Pages of the children count too.
    """
    from personalize_rt.errors import QueueFullError

    arguments, slowest = visits(10), 0.0
    here, began, collected = threading.get_ident(), 0.0, 0.0

    def collects(phase: str, _: object) -> None:
        nonlocal began, collected
        if threading.get_ident() == here:
            now = time.perf_counter()
            began, collected = (now, collected) if phase == "start" else (began, collected + now - began)

    def pages(number: int) -> float:
        nonlocal collected
        slowest, begin = 0.0, time.perf_counter()
        for page in range(number):
            given = next(arguments)
            wait = begin + page / RATE - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            collected = 0.0
            start = time.perf_counter()
            sum(range(600))
            if made is not None:
                with suppress(QueueFullError):
                    made.track(**given)
            slowest = max(slowest, time.perf_counter() - start - collected)
        return slowest

    gc.callbacks.append(collects)
    try:
        for _ in range(int(seconds * 10)):
            slowest = max(slowest, pages(RATE // 10))
            if forks:
                slowest = max(slowest, _of_a_child(lambda: pages(20)))
    finally:
        gc.callbacks.remove(collects)
    return slowest * 1000


def _of_a_child(work: Callable[[], float]) -> float:
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        os.write(writes, str(work()).encode())
        os._exit(0)
    os.close(writes)
    with open(reads) as told:
        figure = float(told.read())
    os.waitpid(child, 0)
    return figure


def beside_a_close(made: Any, seconds: float, *, interrupted: bool = False) -> float:
    """Of the pages of a thread, while the main thread closes the tracker, which has nobody to send to."""
    found: list[float] = []
    pages = threading.Thread(target=lambda: found.append(longest(made, seconds)))
    pages.start()
    time.sleep(seconds / 3)
    if interrupted:
        threading.Timer(seconds / 3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with suppress(KeyboardInterrupt):
        made.close(30.0 if interrupted else seconds / 3)
    pages.join()
    return found[0]


_KILLED = """
import os, signal, sys
from benchmarks.tracker import _unreachable, visits
with _unreachable(spool=sys.argv[1]) as made:
    for given, _ in zip(visits(10), range(5_000)):
        made.track(**given)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def in_trouble(url: str, seconds: float) -> Iterator[tuple[str, float, float]]:
    """Each kind of trouble, and milliseconds of the longest page: without a tracker, and with one."""
    logging.getLogger("personalize_rt").setLevel(logging.ERROR)  # events that are dropped, as they are to be
    small: dict[str, Any] = {"max_events": 500, "close_timeout": 0.0}
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent, tempfile.TemporaryDirectory() as directory:
        hangs = f"http://127.0.0.1:{silent.getsockname()[1]}"  # connects, and never answers
        spool = Path(directory) / "events"
        subprocess.run([sys.executable, "-c", _KILLED, spool], check=False)
        kinds: list[tuple[str, Any, Callable[[Any], float]]] = [
            ("nothing", tracker(url), lambda made: longest(made, seconds)),
            ("a hang", _unreachable(hangs, close_timeout=0.0), lambda made: longest(made, seconds)),
            ("an outage", _unreachable(close_timeout=0.0), lambda made: longest(made, seconds)),
            ("a full queue", _unreachable(**small), lambda made: longest(made, seconds)),
            ("a full queue that raises", _unreachable(on_full="raise", **small), lambda made: longest(made, seconds)),
            ("forks", tracker(url), lambda made: longest(made, seconds, forks=True)),
            ("an exit in a hang", _unreachable(hangs), lambda made: beside_a_close(made, seconds)),
            ("Ctrl-C in a hang", _unreachable(hangs), lambda made: beside_a_close(made, seconds, interrupted=True)),
            ("a spool", tracker(url, spool=f"{spool} of its own"), lambda made: longest(made, seconds)),
            ("a spool of a killed process", tracker(url, spool=spool), lambda made: longest(made, seconds)),
        ]
        for name, maker, run in kinds:
            without = longest(None, seconds, forks=name == "forks")
            with maker as made:
                yield name, without, run(made)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tracker", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each run at the promised rate")
    parser.add_argument("--events", type=int, default=20_000, help="of each run without a pause")
    parser.add_argument("--trouble", type=float, default=1.5, help="seconds of each kind of trouble")
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
        with tempfile.TemporaryDirectory() as directory:
            promise("track() with a spool, processor time", alone(url, 500, spool=Path(directory) / "e"), TRACK, "us")
        for name, without, slowest in in_trouble(url, options.trouble):
            print(f"{f'longest page without a tracker, beside: {name}':68} {without:10.2f} ms")
            promise(f"longest page with {name}, beyond that", slowest - without, LONGER, "ms")
    held, bound = memory(6_000)
    promise(f"a full queue of {bound / 1e6:.1f} MB, in memory", held / (bound / 1e6), MEMORY, "x its bound")
    for name in failures:
        print(f"worse than promised: {name}")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Many threads and tasks against a service that fails all the time: ``python -m benchmarks.soak`` (10 minutes).

A server in a process of its own answers 60 % of the requests well; 30 % with an error (a 5xx, throttling, a reset, a
broken or cut body), 10 % never. It is killed and started again at random. 32 threads, and 200 tasks of the async client
where aiobotocore is installed, ask for rankings with every policy on, some with a filter. Every second the busy process
forks, and the child asks for rankings too, through the runtimes that it was born with. An event tracker takes 200
events a second meanwhile, some in children. What must hold:

* every call yields a permutation of its input, or of what the filter leaves of it, and no exception escapes;
* no answer belongs to another request: items and users are unlike in all calls, and the id of each answer is a digest
  of its request;
* every event of the tracker is sent, dropped or in its queue, which stays within its bounds; none is refused, and a
  child begins with none;
* every child has its answers and ends with status 0; one that is not done after 10 s hangs, and says where;
* in the end threads and sockets are back where they were, and Python holds no more memory than after the first
  quarter, when caches and pools were full. (What the C library keeps of freed memory grows slowly with so many threads;
  it is printed, and has a generous limit.)

``--seconds N``, ``--threads N``, ``--tasks N``, ``--forks-every SECONDS`` (0: none), ``--seed N``. Ends with status 1
when something does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import gc
import hashlib
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, NoReturn

import attrs

from benchmarks.contenders import ARN, credentials_for_all

FILTER = ARN.replace(":campaign/", ":filter/")
HIDDEN = "-hidden"  # how ids of items end that the filter excludes
DEADLINE = 0.2  # seconds
MORE_BLOCKS = 0.1  # of the blocks that Python had allocated
MORE_MEMORY = 100  # MB of the process
CALLS_OF_A_CHILD = 5  # with each client
TRACKED = 200  # events a second
QUEUE = 1_000  # of them that may wait
PATIENCE = 10.0  # seconds until a forked child is said to hang


def answer_id(user_id: str, input_list: list[str]) -> str:
    """The recommendation id that belongs to one request."""
    return hashlib.sha256(json.dumps([user_id, input_list]).encode()).hexdigest()


# The server


class Connection(asyncio.Protocol):
    """Answers as chance has it."""

    chance = random.Random()

    def connection_made(self, transport: Any) -> None:
        self._transport: Any = transport
        self._buffer = b""
        self._hangs = False

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while not self._hangs:
            head, mark, rest = self._buffer.partition(b"\r\n\r\n")
            if not mark:
                return
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            if len(rest) < length:
                return
            self._buffer = rest[length:]
            self._answer(json.loads(rest[:length]))

    def _answer(self, members: Mapping[str, Any]) -> None:
        if "eventList" in members:
            self._reply(b"{}")
            return
        kept = [id for id in members["inputList"] if "filterArn" not in members or not id.endswith(HIDDEN)]
        self.chance.shuffle(kept)
        reply = {
            "personalizedRanking": [{"itemId": id, "score": 0.5} for id in kept],
            "recommendationId": answer_id(members["userId"], members["inputList"]),
        }
        self._reply(json.dumps(reply).encode())

    def _reply(self, body: bytes) -> None:
        drawn = self.chance.random()
        if drawn < 0.6:
            self._send(200, body)
        elif drawn < 0.7:
            self._hangs = True
        else:
            self.chance.choice([self._fail, self._fail, self._fail, self._reset, self._garble, self._cut])(body)

    def _fail(self, body: bytes) -> None:
        self._send(self.chance.choice([500, 503, 429]), b'{"message": "made by the soak test"}')

    def _reset(self, body: bytes) -> None:
        self._transport.abort()

    def _garble(self, body: bytes) -> None:
        self._send(200, b"{" + body)

    def _cut(self, body: bytes) -> None:
        self._send(200, body, sent=len(body) // 2)
        self._transport.close()

    def _send(self, status: int, body: bytes, *, sent: int | None = None) -> None:
        head = f"HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body[:sent])


async def serve(port: int, seed: int) -> None:
    """Serve until killed."""
    Connection.chance = random.Random(seed)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", port, reuse_address=True, backlog=512)
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


class Restarting:
    """The server's process, killed and started again at random."""

    def __init__(self, port: int, chance: random.Random) -> None:
        self._port = port
        self._chance = chance
        self._over = threading.Event()
        self.restarts = 0
        self._process = self._start()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _start(self) -> subprocess.Popen[str]:
        seed = str(self._chance.randrange(1 << 30))
        command = [sys.executable, "-m", "benchmarks.soak", "--serve", str(self._port), "--seed", seed]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def _kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()

    def _work(self) -> None:
        while not self._over.wait(self._chance.uniform(2.0, 6.0)):
            self._kill()
            self._over.wait(self._chance.uniform(0.0, 1.0))
            self._process = self._start()
            self.restarts += 1

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._kill()


# The callers


class Rows(Mapping[str, Mapping[str, object]]):
    """The columns of every item there may be."""

    def __getitem__(self, id: str) -> Mapping[str, object]:
        return {"HIDDEN": "yes" if id.endswith(HIDDEN) else "no"}

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@attrs.define
class Tally:
    """What was seen; each thread has its own."""

    sources: Counter[str] = attrs.field(factory=Counter)
    causes: Counter[str] = attrs.field(factory=Counter)
    wrong: list[str] = attrs.field(factory=list)
    longest: float = 0.0


def policies() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The options of one client with every policy, and those of copies in several combinations."""
    from personalize_rt import RetryPolicy
    from personalize_rt.resilience.breaker import CircuitBreaker
    from personalize_rt.resilience.cache import Cache
    from personalize_rt.resilience.fallback import FilterData, InputOrderFallback, StaleFallback
    from personalize_rt.resilience.hedge import Hedge

    every = {
        "deadline": DEADLINE,
        "retry": RetryPolicy(3, base=0.01),
        "fallback": StaleFallback() | InputOrderFallback(filter_data=FilterData(items=Rows())),
        "breaker": CircuitBreaker(window=2.0, open_for=0.5),
        "cache": Cache(ttl=0.5, stale_while_revalidate=1.0, stale_if_error=5.0, personal=True),
        "hedge": Hedge(after=0.02, percent=20),
    }
    copies: list[dict[str, Any]] = [
        {},
        {"breaker": None},
        {"breaker": None, "hedge": None},
        {"breaker": None, "cache": None, "deadline": 0.1},
        {"breaker": None, "hedge": Hedge(percent=20)},
    ]
    return every, copies


class Caller:
    """The requests of one thread or task, one after the other, and what came of them."""

    def __init__(self, name: str, seed: int) -> None:
        from personalize_rt.filters import Filter

        self.tally = Tally()
        self._hiding = Filter(FILTER, 'EXCLUDE ItemID WHERE Items.HIDDEN IN ("yes")')
        self._name = name
        self._chance = random.Random(f"{seed} {name}")
        self._asked: list[tuple[str, list[str]]] = []
        self._number = 0
        self._user_id, self._input_list, self._filtered, self._start = "", [""], False, 0.0

    def request(self, made: list[Any]) -> tuple[Any, dict[str, Any]]:
        """One of the runtimes, and the arguments of the next call."""
        chance = self._chance
        if self._asked and chance.random() < 0.2:
            self._user_id, self._input_list = chance.choice(self._asked)  # what the cache may know
        else:
            self._number += 1
            self._user_id = f"user-{self._name}-{self._number}"
            ids = [f"item-{self._name}-{self._number}-{place}" for place in range(chance.randint(1, 40))]
            self._input_list = [id + HIDDEN if chance.random() < 0.2 else id for id in ids]
            self._asked.append((self._user_id, self._input_list))
            del self._asked[:-20]
        self._filtered = chance.random() < 0.3
        self._start = time.monotonic()
        return chance.choice(made), {
            "campaign_arn": ARN,
            "user_id": self._user_id,
            "input_list": self._input_list,
            "filter": self._hiding if self._filtered else None,
        }

    def escaped(self, error: BaseException) -> None:
        """No exception should."""
        self.tally.wrong.append(f"{type(error).__name__}: {error}")

    def answered(self, ranking: Any) -> None:
        """Look at an answer."""
        tally, source = self.tally, ranking.info.source
        tally.longest = max(tally.longest, time.monotonic() - self._start)
        tally.sources[source] += 1
        if ranking.cause is not None:
            tally.causes[type(ranking.cause).__name__] += 1
        wanted = [id for id in self._input_list if not self._filtered or not id.endswith(HIDDEN)]
        if sorted(ranking.item_ids) != sorted(wanted):
            tally.wrong.append(f"from {source}: {len(ranking)} items for {len(wanted)}, filter {self._filtered}")
        if ranking.recommendation_id not in (None, answer_id(self._user_id, self._input_list)):
            tally.wrong.append(f"from {source}: the answer to another request")
        if ranking.info.unfiltered or ranking.degraded is not (source == "fallback"):
            tally.wrong.append(f"from {source}: says what it is not")


def ask(caller: Caller, made: list[Any]) -> None:
    """One call."""
    runtime, arguments = caller.request(made)
    try:
        ranking = runtime.get_personalized_ranking(**arguments)
    except BaseException as error:
        caller.escaped(error)
    else:
        caller.answered(ranking)


async def ask_async(caller: Caller, made: list[Any]) -> None:
    """One call of the async client."""
    runtime, arguments = caller.request(made)
    try:
        ranking = await runtime.get_personalized_ranking(**arguments)
    except BaseException as error:
        caller.escaped(error)
    else:
        caller.answered(ranking)
    await asyncio.sleep(0)  # an open breaker and a full cache answer without waiting for anything


def work(caller: Caller, made: list[Any], until: float) -> None:
    """One thread's calls."""
    while time.monotonic() < until:
        ask(caller, made)


async def work_of_tasks(callers: list[Caller], made: list[Any], url: str, until: float) -> None:
    """The calls of all tasks, on one event loop and one client, of which copies go into ``made``."""
    from personalize_rt.aio import AsyncPersonalizeRuntime

    async def work(caller: Caller) -> None:
        while time.monotonic() < until:
            await ask_async(caller, made)

    every, copies = policies()
    async with AsyncPersonalizeRuntime(endpoint_url=url, **every) as runtime:
        await runtime.connect()
        made += [runtime.with_options(**options) for options in copies]
        async with asyncio.TaskGroup() as group:
            for caller in callers:
                group.create_task(work(caller))


def track(tracker: Any, until: float, longest: list[float], wrong: list[str]) -> None:
    """Have a tracker take events of some visits at a time, and look at its counts."""
    for number in itertools.count():
        start = time.monotonic()
        if start >= until:
            return
        visit = f"visit-{number // 100}-{number % 10}"
        tracker.track("Watch", f"item-{number}", session_id=visit, user_id=visit)
        longest[0] = max(longest[0], time.monotonic() - start)
        if number % 100 == 0:
            wrong += wrong_counts(tracker)
        time.sleep(1 / TRACKED)


def wrong_counts(tracker: Any) -> list[str]:
    """The errors in what a tracker says of its events."""
    counts = tracker.counts
    if counts.queued != counts.sent + counts.dropped + counts.failed + counts.pending:
        return [f"events of the tracker are lost: {counts}"]
    if counts.failed or counts.pending > QUEUE:
        return [f"events of the tracker are refused, or too many: {counts}"]
    return []


# Forked children


def calls_of_a_child(caller: Caller, made: list[Any], made_async: list[Any], tracker: Any) -> list[str]:
    """Some calls of each client; returns what was wrong."""

    async def ask_all() -> None:
        for _ in range(CALLS_OF_A_CHILD):
            await ask_async(caller, made_async)

    for _ in range(CALLS_OF_A_CHILD):
        ask(caller, made)
    if made_async:
        asyncio.run(ask_all())
    tracker.track("Watch", "item", session_id="of a child")
    counts = tracker.counts
    if (counts.queued, counts.dropped) != (1, 0):
        caller.tally.wrong.append(f"a child's tracker has events of its parent: {counts}")
    return caller.tally.wrong


class Forks:
    """Children that are forked from this process, busy as it is.

    Args:
        calls: Makes the calls of a child, given its number, and returns what was wrong with them.
    """

    def __init__(self, calls: Callable[[int], list[str]]) -> None:
        self._calls = calls
        self._alive: dict[int, tuple[float, IO[str]]] = {}  # by process: since when, and what it reports
        self.count = 0
        self.hung = 0
        self.wrong: list[str] = []

    def fork(self) -> None:
        """One more child."""
        self.count += 1
        report = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed when the child is over
        child = os.fork()
        if child == 0:
            self._be_a_child(report)
        self._alive[child] = time.monotonic(), report

    def _be_a_child(self, report: IO[str]) -> NoReturn:
        status = 1
        try:
            # By a thread of C, which no lock of Python's holds up: tells where each thread is, and ends the process.
            faulthandler.dump_traceback_later(PATIENCE, exit=True, file=report)
            wrong = self._calls(self.count)
            report.writelines(f"{text}\n" for text in wrong)
            status = 1 if wrong else 0
        except BaseException:
            traceback.print_exc(file=report)
        finally:
            report.flush()
            os._exit(status)  # without what its parent would do at its end

    def reap(self) -> None:
        """Look after those that are over, or that should be."""
        for child, (since, report) in list(self._alive.items()):
            over, status = os.waitpid(child, os.WNOHANG)
            if not over and time.monotonic() > since + PATIENCE + 5:  # not even C ends it
                os.kill(child, signal.SIGKILL)
                over, status = os.waitpid(child, 0)
            if over:
                del self._alive[child]
                with report:
                    report.seek(0)
                    self._ended(os.waitstatus_to_exitcode(status), report.read())

    def _ended(self, status: int, report: str) -> None:
        hung = report.startswith("Timeout (") or status == -signal.SIGKILL
        self.hung += hung
        if status != 0:
            places = [line for line in report.splitlines() if not line.startswith(("Timeout (", "Thread 0x"))]
            ended = "hangs" if hung else f"ends with status {status}"
            self.wrong.append("\n".join([f"a forked child {ended}:", *places[:12]]))

    def close(self) -> None:
        """Wait for the last ones."""
        while self._alive:
            self.reap()
            time.sleep(0.01)


# What is left


def open_files() -> int:
    """Descriptors of this process, or 0 where nobody can say."""
    with suppress(OSError):
        return len(os.listdir("/proc/self/fd"))
    return 0


def memory() -> float:
    """MB of this process in memory, or 0 where nobody can say."""
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return 0.0


def threads() -> set[str]:
    """The threads of this process; those that only wait for timers stay for good."""
    return {thread.name for thread in threading.enumerate() if thread.name != "personalize-rt-timers"}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def restarting(seed: int) -> Iterator[tuple[str, Restarting]]:
    port = free_port()
    server = Restarting(port, random.Random(seed))
    try:
        yield f"http://127.0.0.1:{port}", server
    finally:
        server.close()


def soak(
    *, seconds: float, callers: int, tasks: int, forks_every: float, seed: int
) -> tuple[dict[str, Any], list[str]]:
    """Run; return figures, and what did not hold."""
    credentials_for_all()
    import tenacity  # noqa: F401

    import personalize_rt.resilience.threads.flights  # what is imported later is no growth
    from personalize_rt import EventTracker, PersonalizeRuntime

    if tasks:
        import personalize_rt.resilience.tasks.flights  # noqa: F401

    before_files, before_threads = open_files(), threads()
    of_threads = [Caller(f"thread-{index}", seed) for index in range(callers)]
    of_tasks = [Caller(f"task-{index}", seed) for index in range(tasks)]
    tallies = [caller.tally for caller in (*of_threads, *of_tasks)]
    with restarting(seed) as (url, server):
        every, copies = policies()
        runtime = PersonalizeRuntime(endpoint_url=url, **every).connect()
        made, made_async = [runtime.with_options(**options) for options in copies], list[Any]()
        tracker = EventTracker("t-1", endpoint_url=url, max_events=QUEUE, deadline=DEADLINE).connect()
        longest_track, wrong_events = [0.0], list[str]()
        forks = Forks(lambda number: calls_of_a_child(Caller(f"fork-{number}", seed), made, made_async, tracker))
        start = time.monotonic()
        until = start + seconds
        pool = [threading.Thread(target=work, args=(caller, made, until)) for caller in of_threads]
        if tasks:
            pool.append(threading.Thread(target=lambda: asyncio.run(work_of_tasks(of_tasks, made_async, url, until))))
        pool.append(threading.Thread(target=track, args=(tracker, until, longest_track, wrong_events)))
        for thread in pool:
            thread.start()
        fork_until(start + min(30.0, seconds / 4), forks, forks_every)  # caches fill, pools open
        gc.collect()
        warm, warm_blocks = memory(), sys.getallocatedblocks()
        fork_until(until, forks, forks_every)
        for thread in pool:
            thread.join()
        forks.close()
        gc.collect()
        end, end_blocks = memory(), sys.getallocatedblocks()
        runtime.close()
        tracker.close()
        wrong_events += wrong_counts(tracker)
    waited = time.monotonic() + 10
    while (open_files() > before_files or threads() - before_threads) and time.monotonic() < waited:
        time.sleep(0.05)
        gc.collect()
    wrong = [text for tally in tallies for text in tally.wrong] + forks.wrong + wrong_events
    if open_files() > before_files:
        wrong.append(f"{open_files() - before_files} descriptors are left open")
    if threads() - before_threads:
        wrong.append(f"threads are left: {sorted(threads() - before_threads)}")
    if end_blocks > warm_blocks * (1 + MORE_BLOCKS):
        wrong.append(f"Python holds {end_blocks:,} blocks of memory, and had {warm_blocks:,} after the first quarter")
    if end - warm > MORE_MEMORY:
        wrong.append(f"the process grew by {end - warm:.0f} MB after the first quarter")
    figures = {
        "seconds": round(time.monotonic() - start, 1),
        "threads": callers,
        "tasks": tasks,
        "calls of tasks": sum(sum(caller.tally.sources.values()) for caller in of_tasks),
        "restarts": server.restarts,
        "forks": forks.count,
        "forks that hang": forks.hung,
        "forks that fail": len(forks.wrong) - forks.hung,
        "calls": sum(sum(tally.sources.values()) for tally in tallies),
        "sources": dict(sum((tally.sources for tally in tallies), Counter())),
        "causes": dict(sum((tally.causes for tally in tallies), Counter())),
        "longest_ms": round(max(tally.longest for tally in tallies) * 1000),
        "events": attrs.asdict(tracker.counts),
        "longest_track_ms": round(longest_track[0] * 1000),
        "blocks": {"after the first quarter": warm_blocks, "at the end": end_blocks},
        "memory_mb": {"after the first quarter": round(warm), "at the end": round(end)},
    }
    return figures, wrong


def fork_until(until: float, forks: Forks, every: float) -> None:
    """Fork again and again; never when ``every`` is 0."""
    next_one = time.monotonic() + every
    while (now := time.monotonic()) < until:
        forks.reap()
        if every and now >= next_one:
            forks.fork()
            next_one = now + every
        time.sleep(0.02)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--tasks", type=int, help="of the async client; 200, or none where aiobotocore is missing")
    parser.add_argument("--forks-every", type=float, default=1.0, metavar="SECONDS", help="0: no forks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.serve, options.seed))
    tasks = options.tasks
    if tasks is None:
        tasks = 200 if find_spec("aiobotocore") else 0
    # Python 3.12 and later warn of a fork beside threads, which is what this is about.
    warnings.filterwarnings(
        "ignore", r"This process \(pid=\d+\) is multi-threaded, use of fork\(\)", DeprecationWarning
    )
    figures, wrong = soak(
        seconds=options.seconds,
        callers=options.threads,
        tasks=tasks,
        forks_every=options.forks_every,
        seed=options.seed,
    )
    print(json.dumps(figures, indent=1))
    for text, count in Counter(wrong).most_common(20):
        print(f"{count} x {text}", file=sys.stderr)
    print("everything holds" if not wrong else f"{len(wrong)} things do not hold")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""Many threads and tasks against a service that fails all the time: ``python -m benchmarks.soak`` (10 minutes).

A server in a process of its own answers 60 % of the requests well; 30 % with an error (a 5xx, throttling, a reset, a
broken or cut body), 10 % never. It is killed and started again at random. 32 threads, and 200 tasks of the async client
where aiobotocore is installed, ask for rankings with every policy on, some with a filter. Every second the process
forks, and the child asks too. What must hold:

* every call yields a permutation of its input, or of what the filter leaves of it, and no exception escapes;
* no answer belongs to another request: items and users are unlike in all calls, and the id of each answer is a digest
  of its request;
* every child comes to an end, whatever the fork caught in flight;
* in the end threads and sockets are back where they were, and Python holds no more memory than after the first
  quarter, when caches and pools were full. (What the C library keeps of freed memory grows slowly with so many threads;
  it is printed, and has a generous limit.)

``--seconds N``, ``--threads N``, ``--tasks N``, ``--seed N``. Ends with status 1 when something does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs

from benchmarks.contenders import ARN, credentials_for_all

FILTER = ARN.replace(":campaign/", ":filter/")
HIDDEN = "-hidden"  # how ids of items end that the filter excludes
DEADLINE = 0.2  # seconds
CHILD_TIME = 30.0  # seconds for a child, which builds a client and makes a few calls, beside all the others
MORE_BLOCKS = 0.1  # of the blocks that Python had allocated
MORE_MEMORY = 100  # MB of the process


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
        kept = [id for id in members["inputList"] if "filterArn" not in members or not id.endswith(HIDDEN)]
        self.chance.shuffle(kept)
        reply = {
            "personalizedRanking": [{"itemId": id, "score": 0.5} for id in kept],
            "recommendationId": answer_id(members["userId"], members["inputList"]),
        }
        body = json.dumps(reply).encode()
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


def work(caller: Caller, made: list[Any], until: float) -> None:
    """One thread's calls."""
    while time.monotonic() < until:
        runtime, arguments = caller.request(made)
        try:
            ranking = runtime.get_personalized_ranking(**arguments)
        except BaseException as error:
            caller.escaped(error)
        else:
            caller.answered(ranking)


async def work_of_tasks(callers: list[Caller], url: str, until: float) -> None:
    """The calls of all tasks, on one event loop and one client."""
    from personalize_rt.aio import AsyncPersonalizeRuntime

    async def work(caller: Caller) -> None:
        while time.monotonic() < until:
            runtime, arguments = caller.request(made)
            try:
                ranking = await runtime.get_personalized_ranking(**arguments)
            except BaseException as error:
                caller.escaped(error)
            else:
                caller.answered(ranking)
            await asyncio.sleep(0)  # an open breaker and a full cache answer without waiting for anything

    every, copies = policies()
    async with AsyncPersonalizeRuntime(endpoint_url=url, **every) as runtime:
        await runtime.connect()
        made = [runtime.with_options(**options) for options in copies]
        async with asyncio.TaskGroup() as group:
            for caller in callers:
                group.create_task(work(caller))


# Forked children


def ask_in_child(runtime: Any, made: list[Any], name: str, seed: int) -> list[str]:
    """What a forked child finds wrong with its calls."""
    caller = Caller(name, seed)
    runtime.connect()
    for _ in range(10):
        asked, arguments = caller.request(made)
        try:
            ranking = asked.get_personalized_ranking(**arguments)
        except BaseException as error:
            caller.escaped(error)
        else:
            caller.answered(ranking)
    return caller.tally.wrong


def forked(work: Callable[[], list[str]]) -> list[str]:
    """Do something in a forked child, and kill it when it does not come to an end."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            wrong = work()
        except BaseException as error:
            wrong = [f"{type(error).__name__}: {error}"]
        os.write(writing, json.dumps(wrong[:20]).encode())
        os._exit(0)
    os.close(writing)
    try:
        if not select.select([reading], [], [], CHILD_TIME)[0]:
            os.kill(child, signal.SIGKILL)
            return ["a forked child did not come to an end"]
        wrong = json.loads(os.read(reading, 65536))
        return [f"in a forked child: {text}" for text in wrong]
    finally:
        os.close(reading)
        os.waitpid(child, 0)


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


def soak(*, seconds: float, callers: int, tasks: int, seed: int) -> tuple[dict[str, Any], list[str]]:
    """Run; return figures, and what did not hold."""
    # Python 3.12 and later warn of a fork beside threads, which is what is tried here.
    warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
    credentials_for_all()
    import tenacity  # noqa: F401

    import personalize_rt.resilience.sync_cache  # what is imported later is no growth
    from personalize_rt import PersonalizeRuntime

    if tasks:
        import personalize_rt.resilience.asynchronous_cache  # noqa: F401

    before_files, before_threads = open_files(), threads()
    of_threads = [Caller(f"thread-{index}", seed) for index in range(callers)]
    of_tasks = [Caller(f"task-{index}", seed) for index in range(tasks)]
    tallies = [caller.tally for caller in (*of_threads, *of_tasks)]
    with restarting(seed) as (url, server):
        every, copies = policies()
        runtime = PersonalizeRuntime(endpoint_url=url, **every).connect()
        made = [runtime.with_options(**options) for options in copies]
        start = time.monotonic()
        until = start + seconds
        pool = [threading.Thread(target=work, args=(caller, made, until)) for caller in of_threads]
        if tasks:
            pool.append(threading.Thread(target=lambda: asyncio.run(work_of_tasks(of_tasks, url, until))))
        for thread in pool:
            thread.start()
        children, of_children = 0, list[str]()
        warm, warm_blocks = 0.0, 0
        while time.monotonic() < until:
            time.sleep(min(1.0, seconds / 4))
            if not warm and time.monotonic() >= start + min(30.0, seconds / 4):  # caches are full, pools open
                gc.collect()
                warm, warm_blocks = memory(), sys.getallocatedblocks()
            if hasattr(os, "fork"):
                children += 1
                of_children += forked(lambda name=f"child-{children}": ask_in_child(runtime, made, name, seed))
        for thread in pool:
            thread.join()
        gc.collect()
        end, end_blocks = memory(), sys.getallocatedblocks()
        runtime.close()
    waited = time.monotonic() + 10
    while (open_files() > before_files or threads() - before_threads) and time.monotonic() < waited:
        time.sleep(0.05)
        gc.collect()
    wrong = [*of_children, *(text for tally in tallies for text in tally.wrong)]
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
        "children": children,
        "calls": sum(sum(tally.sources.values()) for tally in tallies),
        "sources": dict(sum((tally.sources for tally in tallies), Counter())),
        "causes": dict(sum((tally.causes for tally in tallies), Counter())),
        "longest_ms": round(max(tally.longest for tally in tallies) * 1000),
        "blocks": {"after the first quarter": warm_blocks, "at the end": end_blocks},
        "memory_mb": {"after the first quarter": round(warm), "at the end": round(end)},
    }
    return figures, wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--tasks", type=int, help="of the async client; 200, or none where aiobotocore is missing")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.serve, options.seed))
    tasks = options.tasks
    if tasks is None:
        tasks = 200 if find_spec("aiobotocore") else 0
    figures, wrong = soak(seconds=options.seconds, callers=options.threads, tasks=tasks, seed=options.seed)
    print(json.dumps(figures, indent=1))
    for text, count in Counter(wrong).most_common(20):
        print(f"{count} x {text}", file=sys.stderr)
    print("everything holds" if not wrong else f"{len(wrong)} things do not hold")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

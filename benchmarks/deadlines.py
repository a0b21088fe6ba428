"""How close to its deadline a call really ends: ``python -m benchmarks.deadlines``.

1,000 calls with a deadline of 150 ms, 20 at a time, to each kind of sick server, credentials and store of
``tests/sick``, from threads with the sync client, and from tasks with the async one where aiobotocore is installed.
After each round of 20 calls, which begin a millisecond apart, comes a round of 20 controls: the same wait on bare
sockets, by threads or by tasks, to the same server. Server, client and controls have a process each. What the controls
are late is the machine's doing, and is taken off, quantile by quantile.

Of each client are shown: the share of its calls that end within 50 ms and within 250 ms of the deadline; how late the
last one is; for the async client, for how long its event loop stood still at the longest, as a task sees that wakes up
every 5 ms. Each figure three times: of the calls, of the controls, and of the calls less the controls.

``--calls N``, ``--kinds NAME…``, ``--client sync|async``, ``--json FILE``. Ends with status 1 when, less the controls,
not 99.9 % end within 50 ms of the deadline, or not all within 250 ms, or a loop stands still for more than 20 ms; and
when a call ends as its kind should not let it, or does not end.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import attrs

from benchmarks.contenders import credentials_for_all
from tests.sick import control
from tests.sick.kinds import ANSWERS, KINDS, Kind
from tests.sick.server import SickServer

DEADLINE = 0.150  # seconds
AT_A_TIME = 20
CALLS = 1000
BEAT = 0.005  # seconds between two looks at the clock of an event loop
APART = 0.001  # seconds between two beginnings: callers do not come in step
PATIENCE = 10.0  # seconds for a round of calls

SOON, LATE = 0.050, 0.250  # seconds beyond the deadline
SOON_SHARE = 0.999
LONGEST_BLOCK = 0.020  # seconds

# What was seen


@attrs.define
class Seen:
    """What was seen of some calls, or of some controls."""

    late: list[float] = attrs.field(factory=list)  # seconds beyond the deadline, below 0 before it
    ends: Counter[str] = attrs.field(factory=Counter)
    block: float = 0.0  # seconds for which the event loop stood still at the longest

    def add(self, other: Seen) -> None:
        self.late += other.late
        self.ends += other.ends
        self.block = max(self.block, other.block)

    def within(self, seconds: float) -> float:
        """The share that ends within so much of the deadline."""
        return sum(late <= seconds for late in self.late) / len(self.late)

    def less(self, controls: Seen) -> Seen:
        """The same without what befell the controls, quantile by quantile."""
        calls, machine = sorted(self.late), sorted(max(0.0, late) for late in controls.late)
        late = [each - machine[index * len(machine) // len(calls)] for index, each in enumerate(calls)]
        return Seen(late, self.ends, max(0.0, self.block - controls.block))


COLUMNS: dict[str, Callable[[Seen], float]] = {
    f"within {SOON * 1000:.0f} ms, %": lambda seen: seen.within(SOON) * 100,
    f"within {LATE * 1000:.0f} ms, %": lambda seen: seen.within(LATE) * 100,
    "latest, ms": lambda seen: max(seen.late) * 1000,
    "loop stood still, ms": lambda seen: seen.block * 1000,
}


@attrs.frozen
class Report:
    """One client against one kind."""

    kind: Kind
    client: str
    calls: Seen
    controls: Seen
    never_ended: bool

    @property
    def failures(self) -> list[str]:
        """The targets that are missed."""
        missed = [f"a round of calls did not end within {PATIENCE:.0f} s"] if self.never_ended else []
        missed += [f"{count} end in {end}" for end, count in self.calls.ends.items() if end not in self.kind.ends]
        if self.calls.late:
            excess = self.calls.less(self.controls)
            for seconds, share in ((SOON, SOON_SHARE), (LATE, 1.0)):
                if excess.within(seconds) < share:
                    missed.append(f"{excess.within(seconds):.1%} within {seconds * 1000:.0f} ms")
            if excess.block > LONGEST_BLOCK:
                missed.append(f"the loop stood still for {excess.block * 1000:.0f} ms")
        return missed

    def figures(self) -> dict[str, Any]:
        """All of it, for a file; each figure of the calls, of the controls, and of the calls less the controls."""
        columns = {}
        if self.calls.late:
            seen = self.calls, self.controls, self.calls.less(self.controls)
            columns = {title: [round(figure(each), 2) for each in seen] for title, figure in COLUMNS.items()}
        who = {"kind": self.kind.name, "client": self.client, "calls": len(self.calls.late)}
        return {**who, **columns, "ends": dict(self.calls.ends), "failures": self.failures}

    def row(self) -> str:
        """One line of the table."""
        figures = self.figures()
        # A client of threads has no event loop.
        shown = {title: figures[title] for title in COLUMNS if any(figures.get(title, ()))}
        cells = [" / ".join(f"{each:.1f}" for each in shown.get(title, ())) for title in COLUMNS]
        ends = ", ".join(f"{count} {end}" for end, count in sorted(self.calls.ends.items()))
        return " | ".join(["", self.kind.name, self.client, *cells, ends, "; ".join(self.failures), ""]).strip()


# Processes


class Process:
    """A function in a process of its own, at the other end of a pipe."""

    def __init__(self, function: Callable[..., None], *arguments: Any) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=function, args=(theirs, *arguments), daemon=True)
        self._process.start()
        theirs.close()  # theirs alone: its end is then the end of the process

    def tell(self, what: object) -> None:
        self._pipe.send(what)

    def hear(self, patience: float = 60.0) -> Any:
        """The next that it says.

        Raises:
            TimeoutError: It says nothing for so many seconds.
            EOFError: It is over.
        """
        if not self._pipe.poll(patience):
            raise TimeoutError
        return self._pipe.recv()

    def close(self) -> None:
        self._pipe.close()
        self._process.join(2)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


@contextmanager
def process(function: Callable[..., None], *arguments: Any) -> Iterator[Process]:
    """One for as long as a ``with`` block lasts."""
    made = Process(function, *arguments)
    try:
        yield made
    finally:
        made.close()


def next_word(pipe: Connection) -> Any:
    """What the other end says, or ``None`` when it is closed."""
    with suppress(EOFError):
        return pipe.recv()


def serve(pipe: Connection, kind: str, certificate: Path) -> None:
    """The process of a sick server: says where it is, and falls ill when it is told anything."""
    with SickServer(KINDS[kind], certificate) as server:
        pipe.send((server.url, server.port))
        while next_word(pipe):
            server.fall_ill()
            pipe.send("ill")


# Rounds


def rounds_of_threads(pipe: Connection, one: Callable[[], str]) -> None:
    """Do as many at a time as the pipe says, and say what was seen."""

    def timed(number: int) -> tuple[float, str]:
        time.sleep(number * APART)
        start = time.perf_counter()
        end = one()
        return time.perf_counter() - start - DEADLINE, end

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        pipe.send("ready")
        while count := next_word(pipe):
            pipe.send(seen_of(pool.map(timed, range(count))))


async def rounds_of_tasks(pipe: Connection, one: Callable[[], Awaitable[str]]) -> None:
    """Do as many at a time as the pipe says, and say what was seen, of the event loop too."""

    async def timed(number: int) -> tuple[float, str]:
        await asyncio.sleep(number * APART)
        start = time.perf_counter()
        end = await one()
        return time.perf_counter() - start - DEADLINE, end

    loop = asyncio.get_running_loop()
    pipe.send("ready")
    while count := await loop.run_in_executor(None, next_word, pipe):  # the loop goes on meanwhile
        async with watched_loop() as blocks:
            ended = await asyncio.gather(*map(timed, range(count)))
        pipe.send(seen_of(ended, block=max(blocks)))


def seen_of(ended: Iterable[tuple[float, str]], *, block: float = 0.0) -> Seen:
    late, ends = zip(*ended, strict=True)
    return Seen(list(late), Counter(ends), block)


@asynccontextmanager
async def watched_loop() -> AsyncIterator[list[float]]:
    """Seconds by which the event loop was late for a task that sleeps and does nothing else."""
    blocks: list[float] = []

    async def beat() -> None:
        while True:
            before = time.perf_counter()
            try:
                await asyncio.sleep(BEAT)
            finally:
                blocks.append(max(0.0, time.perf_counter() - before - BEAT))

    beating = asyncio.create_task(beat())
    await asyncio.sleep(0)
    yield blocks
    beating.cancel()
    await asyncio.wait([beating])


# Clients, and the controls of each


def options(kind: Kind, url: str) -> dict[str, Any]:
    """Of a client that without the deadline would wait for a minute."""
    from botocore.config import Config

    return {"endpoint_url": url, "deadline": DEADLINE, "config": Config(connect_timeout=60, read_timeout=60)}


def sync_calls(pipe: Connection, kind: Kind, url: str) -> None:
    from personalize_rt import PersonalizeRuntime

    with kind.options() as more, PersonalizeRuntime(**options(kind, url), **more) as runtime:

        def call() -> str:
            try:
                runtime.get_personalized_ranking(**kind.request)
            except Exception as error:  # whatever it is, it is counted
                return type(error).__name__
            return ANSWERS

        runtime.connect()
        rounds_of_threads(pipe, call)


async def async_calls(pipe: Connection, kind: Kind, url: str) -> None:
    from personalize_rt.aio import AsyncPersonalizeRuntime

    with kind.options() as more:
        async with AsyncPersonalizeRuntime(**options(kind, url), **more) as runtime:

            async def call() -> str:
                try:
                    await runtime.get_personalized_ranking(**kind.request)
                except Exception as error:
                    return type(error).__name__
                return ANSWERS

            await runtime.connect()
            await rounds_of_tasks(pipe, call)


def sync_controls(pipe: Connection, port: int) -> None:
    def wait() -> str:
        control.by_thread(port, DEADLINE)
        return ""

    rounds_of_threads(pipe, wait)


async def async_controls(pipe: Connection, port: int) -> None:
    async def wait() -> str:
        await control.by_task(port, DEADLINE)
        return ""

    await rounds_of_tasks(pipe, wait)


# How the calls of each client are made, and its controls. Another way of sending is another line.
CLIENTS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "sync": (sync_calls, sync_controls),
    "async": (async_calls, async_controls),
}


def run_calls(pipe: Connection, client: str, kind: str, url: str, directory: Path, certificate: Path) -> None:
    """The process of a client."""
    for name, value in KINDS[kind].client_environment(url, directory, certificate).items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    run(CLIENTS[client][0], pipe, KINDS[kind], url)


def run_controls(pipe: Connection, client: str, port: int) -> None:
    """The process of a control."""
    run(CLIENTS[client][1], pipe, port)


def run(function: Callable[..., Any], *arguments: Any) -> None:
    with suppress(BrokenPipeError):  # nobody waits for it any more
        if inspect.iscoroutinefunction(function):
            asyncio.run(function(*arguments))
        else:
            function(*arguments)


# All of it


def measure(kind: Kind, client: str, directory: Path, certificate: Path, *, calls: int) -> Report:
    """Rounds of calls and of controls, by turns."""
    all_calls, all_controls = Seen(), Seen()
    never_ended = False
    with process(serve, kind.name, certificate) as server:
        url, port = server.hear()
        with (
            process(run_calls, client, kind.name, url, directory, certificate) as caller,
            process(run_controls, client, port) as waiter,
        ):
            assert (caller.hear(), waiter.hear()) == ("ready", "ready")
            if kind.well is not None:
                server.tell("fall ill")
                server.hear()
            rounds = [AT_A_TIME] * (calls // AT_A_TIME) + [calls % AT_A_TIME] * bool(calls % AT_A_TIME)
            for number, count in enumerate([AT_A_TIME, *rounds]):
                caller.tell(count)
                try:
                    called = caller.hear(PATIENCE)
                except TimeoutError:
                    never_ended = True
                    break
                waiter.tell(count)
                waited = waiter.hear()
                if number:  # the first is for threads, and for what is imported at the first failure
                    all_calls.add(called)
                    all_controls.add(waited)
    return Report(kind, client, all_calls, all_controls, never_ended)


def certificate_in(directory: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself, made by the ``openssl`` command, with its key in one file."""
    key, made = directory / "key.pem", directory / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=benchmark"
    extensions = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made)]
    subprocess.run([*command.split(), *extensions], check=True, capture_output=True)
    both = directory / "both.pem"
    both.write_text(made.read_text() + key.read_text())
    return both


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deadlines", description=__doc__)
    parser.add_argument("--calls", type=int, default=CALLS, help="of each client to each kind")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), metavar="NAME", help="only these")
    parser.add_argument("--client", choices=CLIENTS, help="only this one")
    parser.add_argument("--json", type=Path, help="write the figures here")
    chosen = parser.parse_args()
    found = CLIENTS if find_spec("aiobotocore") else ["sync"]
    credentials_for_all()
    print(f"{chosen.calls} calls, {AT_A_TIME} at a time, deadline {DEADLINE * 1000:.0f} ms.")
    print("Each figure: of the calls / of the controls / of the calls less the controls.\n")
    print(" | ".join(["| kind", "client", *COLUMNS, "ends", "missed |"]))
    print("|---" * (len(COLUMNS) + 4) + "|")
    reports = []
    with tempfile.TemporaryDirectory() as files:
        directory = Path(files)
        certificate = certificate_in(directory)
        for name in chosen.kinds:
            for client in [chosen.client] if chosen.client else found:
                reports.append(measure(KINDS[name], client, directory, certificate, calls=chosen.calls))
                print(reports[-1].row(), flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps([each.figures() for each in reports], indent=1) + "\n")
    return 1 if any(each.failures for each in reports) else 0


if __name__ == "__main__":
    sys.exit(main())

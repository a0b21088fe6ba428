"""How close to its deadline a call really ends: ``python -m benchmarks.deadlines``.

1,000 calls with a deadline of 150 ms, at most 8 at a time, against each kind of sick server of the fault suite, from
threads with the sync client, and from tasks with the async one where aiobotocore is installed. Each server runs in a
process of its own. Beside the calls, in a process of its own too, a control sleeps for 150 ms, as often and as many at
a time, and does nothing else; what it oversleeps is the machine's, and is taken off, quantile by quantile. Shares are
of the calls that end within so much of the deadline, after that.

``--quick`` (100 calls), ``--calls N``, ``--kind NAME`` (may be repeated), ``--client NAME``, ``--json FILE``. Ends with
status 1 when less than 99.9 % end within 50 ms of the deadline, or not all within 250 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs

from benchmarks.contenders import ARN, credentials_for_all
from tests.resilience.faults import sick

DEADLINE = 0.150  # seconds
AT_A_TIME = 8
CALLS = 1000

_CONTROL = """
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
deadline, calls, at_a_time = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
def sleep(_):
    start = time.perf_counter()
    time.sleep(deadline)
    return time.perf_counter() - start
with ThreadPoolExecutor(at_a_time) as pool:
    list(pool.map(sleep, range(at_a_time)))
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(list(pool.map(sleep, range(calls)))))
"""


@attrs.frozen
class Report:
    """Milliseconds beyond the deadline (below 0: before it), and shares of the calls."""

    kind: str
    client: str
    p50: float
    p99: float
    max: float
    control_p99: float
    control_max: float
    within_50: float
    within_250: float
    errors: dict[str, int]

    @property
    def holds(self) -> bool:
        """Whether the promise is kept."""
        return self.within_50 >= 0.999 and self.within_250 == 1.0


def quantile(ordered: Sequence[float], part: float) -> float:
    """The value below which that part of an ordered sequence lies."""
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def report(kind: str, client: str, taken: Sequence[float], control: Sequence[float], errors: dict[str, int]) -> Report:
    """What the times of the calls say, each quantile less what the control overslept at that quantile."""
    calls = sorted(seconds - DEADLINE for seconds in taken)
    overslept = sorted(max(0.0, seconds - DEADLINE) for seconds in control)
    beyond = [late - overslept[index * len(overslept) // len(calls)] for index, late in enumerate(calls)]
    ordered = sorted(beyond)
    return Report(
        kind,
        client,
        *(round(quantile(ordered, part) * 1000, 1) for part in (0.5, 0.99, 1.0)),
        *(round(quantile(overslept, part) * 1000, 1) for part in (0.99, 1.0)),
        sum(late <= 0.050 for late in beyond) / len(beyond),
        sum(late <= 0.250 for late in beyond) / len(beyond),
        errors,
    )


@contextmanager
def serving(kind: str, certificate: Path | None) -> Iterator[str]:
    """A sick server in a process of its own; yields its URL."""
    command = [sys.executable, "-m", "tests.resilience.faults.sick", kind]
    if certificate is not None:
        command.append(str(certificate))
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"{'https' if kind.startswith('TLS') else 'http'}://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.wait(10)


class Control:
    """Sleeps beside the calls, in a process of its own."""

    def __init__(self, calls: int) -> None:
        command = [sys.executable, "-c", _CONTROL, str(DEADLINE), str(calls), str(AT_A_TIME)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def start(self) -> None:
        """The calls begin."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def slept(self) -> list[float]:
        """Seconds that each sleep took."""
        slept: list[float] = json.loads(self._process.communicate()[0])
        return slept


class Outcomes:
    """How the calls ended, and what each took."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.errors: dict[str, int] = {}
        self.taken: list[float] = []

    @contextmanager
    def one(self) -> Iterator[None]:
        """Around one call."""
        from personalize_rt import PersonalizeError

        name, start = "answers", time.perf_counter()
        try:
            yield
        except PersonalizeError as error:
            name = type(error).__name__
        self.taken.append(time.perf_counter() - start)
        self.errors[name] = self.errors.get(name, 0) + 1


def options(url: str) -> dict[str, Any]:
    """Of a client that without the deadline would wait for a minute."""
    from botocore.config import Config

    return {"endpoint_url": url, "deadline": DEADLINE, "config": Config(connect_timeout=60, read_timeout=60)}


ASK: dict[str, Any] = {"campaign_arn": ARN, "user_id": "u", "input_list": ["a", "b"]}


def by_threads(url: str, outcomes: Outcomes, control: Control, calls: int) -> None:
    """The calls of the sync client."""
    from personalize_rt import PersonalizeRuntime

    def call(_: int) -> None:
        with outcomes.one():
            runtime.get_personalized_ranking(**ASK)

    with PersonalizeRuntime(**options(url)) as runtime, ThreadPoolExecutor(AT_A_TIME) as pool:
        runtime.connect()
        list(pool.map(call, range(AT_A_TIME)))  # threads, and what is imported at the first failure
        outcomes.clear()
        control.start()
        list(pool.map(call, range(calls)))


async def by_tasks(url: str, outcomes: Outcomes, control: Control, calls: int) -> None:
    """The calls of the async client."""
    from personalize_rt.aio import AsyncPersonalizeRuntime

    async def some(numbers: Iterator[int]) -> None:
        for _ in numbers:
            with outcomes.one():
                await runtime.get_personalized_ranking(**ASK)

    async def all_of(count: int) -> None:
        numbers = iter(range(count))
        await asyncio.gather(*(some(numbers) for _ in range(AT_A_TIME)))

    async with AsyncPersonalizeRuntime(**options(url)) as runtime:
        await runtime.connect()
        await all_of(AT_A_TIME)
        outcomes.clear()
        control.start()
        await all_of(calls)


def measure(kind: str, client: str, certificate: Path | None, *, calls: int) -> Report:
    """The calls of one client against one kind of server, and the control beside them."""
    outcomes = Outcomes()
    with serving(kind, certificate) as url:
        control = Control(calls)
        if client == "sync":
            by_threads(url, outcomes, control, calls)
        else:
            asyncio.run(by_tasks(url, outcomes, control, calls))
        slept = control.slept()
    return report(kind, client, outcomes.taken, slept, outcomes.errors)


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
    parser.add_argument("--quick", action="store_true", help="100 calls each: a look, not a record")
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--kind", action="append", choices=sick.KINDS, help="only this one")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--client", choices=("sync", "async"), help="only this one")
    chosen = parser.parse_args()
    calls = 100 if chosen.quick else chosen.calls
    clients = ["sync", "async"] if find_spec("aiobotocore") else ["sync"]
    credentials_for_all()
    print(f"{calls} calls, {AT_A_TIME} at a time, deadline {DEADLINE * 1000:.0f} ms; ms beyond it, control taken off\n")
    print("| server | client | p50 | p99 | max | control p99, max | within 50 ms | within 250 ms | |")
    print("|---|---|---|---|---|---|---|---|---|")
    reports = []
    with tempfile.TemporaryDirectory() as directory:
        certificate = certificate_in(Path(directory))
        for kind in chosen.kind or sick.KINDS:
            os.environ.pop("AWS_CA_BUNDLE", None)
            if kind in sick.TRUSTED:
                os.environ["AWS_CA_BUNDLE"] = str(certificate)
            for client in [chosen.client] if chosen.client else clients:
                shown = certificate if kind in sick.WITH_CERTIFICATE else None
                reports.append(measure(kind, client, shown, calls=calls))
                print(row(reports[-1]), flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps([attrs.asdict(each) for each in reports], indent=1) + "\n")
    return 0 if all(each.holds for each in reports) else 1


def row(each: Report) -> str:
    """One line of the table."""
    counted: Any = ", ".join(f"{count} {name}" for name, count in sorted(each.errors.items()))
    return (
        f"| {each.kind} | {each.client} | {each.p50:.1f} | {each.p99:.1f} | {each.max:.1f} | {each.control_p99:.1f}, "
        f"{each.control_max:.1f} | {each.within_50:.2%} | {each.within_250:.2%} | {counted} |"
    )


if __name__ == "__main__":
    sys.exit(main())

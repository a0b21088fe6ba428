"""How close to its deadline a call really ends: ``python -m benchmarks.deadlines``.

1,000 calls with a deadline of 150 ms, at most 8 at a time, against each kind of sick server of the fault suite. Each
server runs in a process of its own. Beside the calls, in a process of its own too, a control sleeps for 150 ms, as
often and as many at a time, and does nothing else; what it oversleeps is the machine's, and is taken off, quantile by
quantile. Shares are of the calls that end within so much of the deadline, after that.

``--quick`` (100 calls), ``--calls N``, ``--kind NAME`` (may be repeated), ``--json FILE``. Ends with status 1 when less
than 99.9 % end within 50 ms of the deadline, or not all within 250 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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


def report(kind: str, taken: Sequence[float], control: Sequence[float], errors: dict[str, int]) -> Report:
    """What the times of the calls say, each quantile less what the control overslept at that quantile."""
    calls = sorted(seconds - DEADLINE for seconds in taken)
    overslept = sorted(max(0.0, seconds - DEADLINE) for seconds in control)
    beyond = [late - overslept[index * len(overslept) // len(calls)] for index, late in enumerate(calls)]
    ordered = sorted(beyond)
    return Report(
        kind,
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


def measure(kind: str, certificate: Path | None, *, calls: int) -> Report:
    """The calls against one kind of server, and the control beside them."""
    from botocore.config import Config

    from personalize_rt import PersonalizeError, PersonalizeRuntime

    errors: dict[str, int] = {}

    def call(_: int) -> float:
        start = time.perf_counter()
        try:
            runtime.get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=["a", "b"])
        except PersonalizeError as error:
            name = type(error).__name__
        else:
            name = "answers"
        elapsed = time.perf_counter() - start
        errors[name] = errors.get(name, 0) + 1
        return elapsed

    # Without the deadline a call would take a minute.
    patient = Config(connect_timeout=60, read_timeout=60)
    with serving(kind, certificate) as url:
        with PersonalizeRuntime(endpoint_url=url, deadline=DEADLINE, config=patient) as runtime:
            runtime.connect()
            command = [sys.executable, "-c", _CONTROL, str(DEADLINE), str(calls), str(AT_A_TIME)]
            control = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert control.stdout is not None
            control.stdout.readline()
            with ThreadPoolExecutor(AT_A_TIME) as pool:
                list(pool.map(call, range(AT_A_TIME)))  # threads, and what is imported at the first failure
                errors.clear()
                assert control.stdin is not None
                control.stdin.write("go\n")
                control.stdin.flush()
                taken = list(pool.map(call, range(calls)))
            slept = json.loads(control.communicate()[0])
    return report(kind, taken, slept, errors)


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
    options = parser.parse_args()
    calls = 100 if options.quick else options.calls
    credentials_for_all()
    print(f"{calls} calls, {AT_A_TIME} at a time, deadline {DEADLINE * 1000:.0f} ms; ms beyond it, control taken off\n")
    print("| server | p50 | p99 | max | control p99, max | within 50 ms | within 250 ms | |")
    print("|---|---|---|---|---|---|---|---|")
    reports = []
    with tempfile.TemporaryDirectory() as directory:
        certificate = certificate_in(Path(directory))
        for kind in options.kind or sick.KINDS:
            os.environ.pop("AWS_CA_BUNDLE", None)
            if kind in sick.TRUSTED:
                os.environ["AWS_CA_BUNDLE"] = str(certificate)
            each = measure(kind, certificate if kind in sick.WITH_CERTIFICATE else None, calls=calls)
            reports.append(each)
            print(row(each), flush=True)
    if options.json:
        options.json.write_text(json.dumps([attrs.asdict(each) for each in reports], indent=1) + "\n")
    return 0 if all(each.holds for each in reports) else 1


def row(each: Report) -> str:
    """One line of the table."""
    counted: Any = ", ".join(f"{count} {name}" for name, count in sorted(each.errors.items()))
    return (
        f"| {each.kind} | {each.p50:.1f} | {each.p99:.1f} | {each.max:.1f} | {each.control_p99:.1f}, "
        f"{each.control_max:.1f} | {each.within_50:.2%} | {each.within_250:.2%} | {counted} |"
    )


if __name__ == "__main__":
    sys.exit(main())

"""Events that arrive over HTTP at a million interactions: ``python -m benchmarks.events``.

Serves the data of ``benchmarks.local_scale`` (1,000,000 interactions, 100,000 items, 50,000 users, or as many as it is
told) from a process of its own. Measured in one run:

* PutEvents with 10 events, of many users and of one, all events different: requests per second, by the clock and by the
  processor time of the server, since other work on the machine must not count (on Linux; elsewhere by the clock alone);
* rankings of 500 items and filtered recommendations, as a client sees them: alone, with a PutEvents after each of them,
  and after all events have arrived.

Ends with status 1 when a figure is worse than what the project promises.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import quantiles
from typing import Any

from benchmarks.local_scale import GENRES, NEWEST, generate
from benchmarks.server import free_port, running

CONNECTIONS = 8
AT_LEAST = 1_500.0  # requests of 10 events per second
# Of the latencies of the runtime, while events arrive and after: so many times those before, at most.
SLOWER = 1.5

_SERVER = (
    "import os\n"
    "from pathlib import Path\n"
    "from personalize_rt.local import LocalPersonalize\n"
    "from personalize_rt.local.server import serve_forever\n"
    "Path({pid!r}).write_text(str(os.getpid()))\n"
    "serve_forever(LocalPersonalize.from_directory({directory!r}).prepare(), port={port}, credentials=())"
)
_TRACKING_ID = "benchmark"
_ARN = "arn:aws:personalize:eu-west-1:000000000000:"


class Connection:
    """A connection that is kept, with requests as bytes: cheaper than any client, so the server is the slow part."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, path: str, body: bytes, headers: str = "") -> None:
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{headers}"
        self._socket.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)

    def receive(self) -> bytes:
        received = self._socket.recv(1 << 16)
        while b"\r\n\r\n" not in received:
            received += self._socket.recv(1 << 16)
        head, _, body = received.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"an error under load:\n{received.decode()}")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += self._socket.recv(1 << 16)
        return body

    def close(self) -> None:
        self._socket.close()


def bodies(users: list[str], items: list[str], seed: int) -> Iterator[bytes]:
    """PutEvents with 10 events, each different from all others."""
    chance = random.Random(seed)
    number = seed * 100_000_000
    while True:
        user = chance.choice(users)
        events: list[dict[str, Any]] = []
        for _ in range(10):
            number += 1
            events.append(
                {
                    "eventType": "Watch",
                    "sentAt": NEWEST + number / 1000,
                    "itemId": chance.choice(items),
                    "eventId": f"event-{number}",
                    "properties": json.dumps({"eventValue": chance.randrange(1, 11)}),
                }
            )
        members = {"trackingId": _TRACKING_ID, "userId": user, "sessionId": f"of-{user}", "eventList": events}
        yield json.dumps(members).encode()


def rates(port: int, pid: int, requests: list[bytes]) -> tuple[float, float]:
    """Requests per second, over eight connections: of processor time of the server, and by the clock."""
    connections = [Connection(port) for _ in range(CONNECTIONS)]
    begin, before = time.perf_counter(), _processor_time(pid)
    for first in range(0, len(requests), CONNECTIONS):
        group = requests[first : first + CONNECTIONS]
        for connection, body in zip(connections, group, strict=False):
            connection.send("/events", body)
        for connection, _ in zip(connections, group, strict=False):
            connection.receive()
    taken = time.perf_counter() - begin
    used = _processor_time(pid) - before
    for connection in connections:
        connection.close()
    return len(requests) / (used or taken), len(requests) / taken


def _processor_time(pid: int) -> float:
    """The seconds of processor time that a process has used; 0 where no system tells."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return 0.0
    user, system = stat.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def latency(port: int, make: Callable[[], tuple[str, bytes]], calls: int, arriving: Iterator[bytes] | None) -> float:
    """The median of a client's milliseconds for one request; with events arriving between them."""
    asking, putting = Connection(port), Connection(port)
    taken: list[float] = []
    for _ in range(calls):
        path, body = make()
        begin = time.perf_counter()
        asking.send(path, body)
        asking.receive()
        taken.append((time.perf_counter() - begin) * 1000)
        if arriving is not None:
            putting.send("/events", next(arriving))
            putting.receive()
    asking.close()
    putting.close()
    return quantiles(taken, n=100)[49]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.events", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--requests", type=int, default=10_000, help="of PutEvents")
    parser.add_argument("--calls", type=int, default=300, help="of each kind of runtime request")
    parser.add_argument("--directory", type=Path, help="keep the data here, and use those that are there")
    options = parser.parse_args()
    with ExitStack() as stack:
        directory: Path = options.directory or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if not (directory / "personalize.toml").exists():
            directory.mkdir(parents=True, exist_ok=True)
            generate(directory, events=options.events, items=options.items, users=options.users)
        port, pid = free_port(), Path(stack.enter_context(tempfile.TemporaryDirectory())) / "pid"
        command = [sys.executable, "-c", _SERVER.format(directory=str(directory), port=port, pid=str(pid))]
        stack.enter_context(running(command, port, "/healthz", patience=600))
        figures = measure(directory, port, int(pid.read_text()), options.requests, options.calls)
    for name, figure in figures.items():
        print(f"{name:60} {figure:10.2f}")
    slowest = min(figures[f"PutEvents of 10, {who}, requests/s"] for who in WHO)
    worst = max(figures[f"{name}, {when}"] / figures[name] for name in RUNTIME for when in LATER)
    print(f"PutEvents of 10: {slowest:,.0f} requests/s (promised: {AT_LEAST:,.0f})")
    print(f"runtime answers: {worst:.2f} x the time without events (promised: {SLOWER:g})")
    return 0 if slowest >= AT_LEAST and worst <= SLOWER else 1


RUNTIME = ("ranking of 500, p50 ms", "recommendations with a filter, p50 ms")
WHO = ("of all users", "of one user")
LATER = ("events arriving", "after all events")


def measure(directory: Path, port: int, pid: int, requests: int, calls: int) -> dict[str, float]:
    """The figures of one server."""
    chance = random.Random(3)
    with (directory / "items.csv").open() as file:
        items = [line.partition(",")[0] for line in file][1:]
    with (directory / "users.csv").open() as file:
        users = [line.partition(",")[0] for line in file][1:]

    def ranking() -> tuple[str, bytes]:
        members = {"campaignArn": f"{_ARN}campaign/ranking", "userId": chance.choice(users)}
        return "/personalize-ranking", json.dumps({**members, "inputList": chance.sample(items, 500)}).encode()

    def filtered() -> tuple[str, bytes]:
        genres = ",".join(f'"{one}"' for one in chance.sample(GENRES, 2))
        members = {"campaignArn": f"{_ARN}campaign/for-you", "userId": chance.choice(users)}
        values = {"filterArn": f"{_ARN}filter/unseen-by-genre", "filterValues": {"GENRE": genres}}
        return "/recommendations", json.dumps({**members, **values}).encode()

    kinds = dict(zip(RUNTIME, (ranking, filtered), strict=True))
    figures = {name: latency(port, make, calls, None) for name, make in kinds.items()}
    arriving = bodies(users, items, 1)
    figures |= {f"{name}, {LATER[0]}": latency(port, make, calls, arriving) for name, make in kinds.items()}
    for who, made in zip(WHO, (bodies(users, items, 2), bodies(users[:1], items, 3)), strict=True):
        of_processor, by_clock = rates(port, pid, [next(made) for _ in range(requests)])
        figures[f"PutEvents of 10, {who}, requests/s"] = of_processor
        figures[f"PutEvents of 10, {who}, requests/s by the clock"] = by_clock
    figures |= {f"{name}, {LATER[1]}": latency(port, make, calls, None) for name, make in kinds.items()}
    return figures


if __name__ == "__main__":
    raise SystemExit(main())

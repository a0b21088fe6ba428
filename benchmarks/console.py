"""The page of the embedded service: ``python -m benchmarks.console``.

Serves the bundled sample, then the data of ``benchmarks.local_scale`` (1,000,000 interactions, or as many as it is
told), from a process of its own, and measures:

* each action of a person on the page, one after the other: p95 by the clock, as a browser on this machine waits for it;
* recommendations, asked for one after the other, alone and beside 50 browsers, in turns. Each browser has the live view
  open, which asks every 2 seconds, and does one of the actions every 10 seconds.

Ends with status 1 when a figure is worse than what the project promises. Other work on the machine counts.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urlencode

from benchmarks.local_scale import generate
from benchmarks.server import free_port, running

BROWSERS = 50
PROMISED = {"sample": 100.0, "million": 300.0}  # p95 of an action, in milliseconds
SLOWER = 1.10  # of the runtime operations beside the browsers, at most
TURNS = 5
POLL, PAUSE = 2.0, 10.0  # seconds of a browser between two looks, and between two actions

_SERVER = (
    "from personalize_rt.local import LocalPersonalize\n"
    "from personalize_rt.local.server import serve_forever\n"
    "serve_forever({local}.prepare(), port={port}, credentials=())"
)
Action = Callable[[], tuple[str, str, Mapping[str, str]]]


class Tab:
    """A connection of a browser, which is kept."""

    def __init__(self, port: int) -> None:
        self._origin = f"http://127.0.0.1:{port}"
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def send(self, method: str, path: str, fields: Mapping[str, str]) -> str:
        headers = {"Accept": "text/html", "Origin": self._origin, "HX-Request": "true"}
        body = None if method == "GET" else urlencode(fields)
        self._connection.request(method, path, body, headers if method == "POST" else {"Accept": "text/html"})
        response = self._connection.getresponse()
        text = response.read().decode()
        if response.status >= 400:
            raise SystemExit(f"{method} {path}: {response.status}\n{text[:500]}")
        return text

    def ask(self, path: str, members: Mapping[str, object]) -> None:
        self._connection.request("POST", path, json.dumps(members), {"content-type": "application/json"})
        response = self._connection.getresponse()
        response.read()
        if response.status != 200:
            raise SystemExit(f"{path}: {response.status}")


def actions(port: int, chance: random.Random) -> tuple[dict[str, Action], Callable[[], Mapping[str, object]]]:
    """What a person does on the page, by name; and what a program asks the runtime."""
    tab = Tab(port)
    group = re.findall(r'href="(/console/[\w-]+)/"', tab.send("GET", "/", {}))[0]
    form = tab.send("GET", f"{group}/rank", {})
    by_name = {name: arn for arn, name in re.findall(r'<option value="(arn:[^"]+)"[^>]*>([^<]+)</option>', form)}
    personal = next(arn for name, arn in by_name.items() if name in ("movies-for-you", "for-you"))
    ranking = next(arn for name, arn in by_name.items() if name in ("movies-ranking", "ranking"))
    counted = re.findall(r"<dd><a[^>]*>([\d,]+)</a>", tab.send("GET", "/", {}))
    users, items = (int(text.replace(",", "")) for text in counted[1:3])
    listed = re.findall(
        r'href="[^"]*/users/\d+"><span class="title" dir="auto">([^<]+)<', tab.send("GET", f"{group}/users", {})
    )
    stored = by_name["unseen-by-genre"]

    def ranked(campaign: str, **more: str) -> Action:
        return lambda: ("POST", f"{group}/rank", {"user": chance.choice(listed), "campaign": campaign, **more})

    trial = 'INCLUDE ItemID WHERE Items.GENRES IN ("Drama") | EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("*")'
    made: dict[str, Action] = {
        "overview": lambda: ("GET", "/", {}),
        "search users": lambda: ("POST", f"{group}/users", {"words": str(chance.randrange(1000))}),
        "search items": lambda: ("POST", f"{group}/items", {"words": str(chance.randrange(1000))}),
        "user": lambda: ("GET", f"{group}/users/{chance.randrange(users)}", {}),
        "item": lambda: ("GET", f"{group}/items/{chance.randrange(items)}", {}),
        "rank": ranked(ranking),
        "two side by side": ranked(personal, beside=ranking),
        "with a filter": ranked(personal, **{"filter": stored, "value.GENRE": "Drama, Comedy"}),
        "type an expression": lambda: (
            "POST",
            f"{group}/filters/check",
            {"expression": trial[: chance.randrange(30, len(trial))], "user": chance.choice(listed)},
        ),
        "try a filter": lambda: (
            "POST",
            f"{group}/filters/check",
            {"expression": trial, "user": chance.choice(listed)},
        ),
        "live": lambda: ("GET", f"{group}/live", {}),
        "faults": lambda: ("GET", f"{group}/faults", {}),
    }
    return made, lambda: {"campaignArn": personal, "userId": chance.choice(listed)}


def waits(port: int, made: Mapping[str, Action], times: int) -> dict[str, float]:
    """The p95 of each action, in milliseconds; the first one, which builds indexes, does not count."""
    tab, found = Tab(port), dict[str, float]()
    for name, action in made.items():
        tab.send(*action())
        taken: list[float] = []
        for _ in range(times):
            request = action()
            begin = time.perf_counter()
            tab.send(*request)
            taken.append((time.perf_counter() - begin) * 1000)
        found[name] = quantiles(taken, n=20)[18]
    return found


def browse(port: int) -> None:
    """Be the browsers, until the process is ended."""

    def one(number: int) -> None:
        tab, state, chance = Tab(port), "", random.Random(number)
        due = time.monotonic() + chance.uniform(0, PAUSE)
        time.sleep(chance.uniform(0, POLL))
        while True:
            feed = tab.send("GET", f"{group}/live/feed?seen={state}", {})
            state = (re.findall(r'data-state="(\w*)"', feed) or [state])[0]
            if time.monotonic() >= due:
                tab.send(*made[chance.choice(names)]())
                due += PAUSE
            time.sleep(POLL)

    made, _ = actions(port, random.Random(8))
    names, group = sorted(made), made["live"]()[1].removesuffix("/live")
    for number in range(BROWSERS):
        threading.Thread(target=one, args=(number,), daemon=True).start()
    time.sleep(POLL)
    print("here", flush=True)
    time.sleep(600)


def beside(port: int, ask: Callable[[], Mapping[str, object]], seconds: float) -> float:
    """How many times slower the runtime operation is beside the browsers: of the medians of turns, one by one."""
    asking = Tab(port)

    def turn() -> float:
        count, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < seconds:
            asking.ask("/recommendations", ask())
            count += 1
        return (time.perf_counter() - begin) / count

    turn()
    alone, accompanied = list[float](), list[float]()
    for _ in range(TURNS):
        alone.append(turn())
        # In a process of their own, which does not take the interpreter from the one that asks.
        command = [sys.executable, "-m", "benchmarks.console", "--browse", str(port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as browsers:
            assert browsers.stdout is not None
            browsers.stdout.readline()
            accompanied.append(turn())
            browsers.terminate()
    return median(accompanied) / median(alone)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="0: the sample alone")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--times", type=int, default=40, help="of each action")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each turn beside the browsers")
    parser.add_argument("--directory", type=Path, help="keep the data here, and use those that are there")
    parser.add_argument("--browse", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.browse:
        browse(options.browse)
        return 0
    held = True
    with ExitStack() as stack:
        kinds = {"sample": "LocalPersonalize.sample()"}
        if options.events:
            directory: Path = options.directory or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            if not (directory / "personalize.toml").exists():
                directory.mkdir(parents=True, exist_ok=True)
                generate(directory, events=options.events, items=options.items, users=options.users)
            kinds["million"] = f"LocalPersonalize.from_directory({str(directory)!r})"
        for kind, local in kinds.items():
            port = free_port()
            command = [sys.executable, "-c", _SERVER.format(local=local, port=port)]
            with running(command, port, "/healthz", patience=600):
                made, ask = actions(port, random.Random(7))
                found = waits(port, made, options.times)
                for name, figure in found.items():
                    print(f"{kind}: {name:24} p95 {figure:8.1f} ms", flush=True)
                ratio = beside(port, ask, options.seconds)
            print(f"{kind}: slowest action {max(found.values()):.1f} ms (promised: {PROMISED[kind]:g})")
            print(
                f"{kind}: recommendations beside {BROWSERS} browsers: {ratio:.2f} x (promised: {SLOWER:g})", flush=True
            )
            held = held and max(found.values()) <= PROMISED[kind] and ratio <= SLOWER
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())

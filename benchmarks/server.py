"""Requests per second of the HTTP door, beside moto's server: ``python -m benchmarks.server``.

Needs ``wrk`` (in Debian a package of that name) and ``moto_server`` (``pip install "moto[server]"``, perhaps in an
environment of its own: ``--moto-server PATH``). Both servers run in processes of their own and answer the same load
generator in turn. Asked of moto is a list of Personalize schemas, of which there are none; of ours, a small request
that is like it in needing no computation (the five most popular films), and 25 recommendations for each of many users.
Ends with status 1 when a figure is worse than what the project promises.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import attrs

CONNECTIONS = 16
USERS = 200
AT_LEAST = 5.0  # times the requests per second of moto's server
P99 = 20.0  # milliseconds

_OURS = (
    "from personalize_rt.local import LocalPersonalize\n"
    "from personalize_rt.local.server import serve_forever\n"
    "serve_forever(LocalPersonalize.sample(), port={port}, credentials=())"
)
_SCOPE = "20200526/eu-west-1/personalize/aws4_request"
_SIGNED = f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{_SCOPE}, SignedHeaders=host;x-amz-date, Signature=0"


@attrs.frozen
class Load:
    """What is asked of one server, again and again."""

    path: str
    headers: Mapping[str, str]
    bodies: Sequence[str]

    def script(self) -> str:
        """The requests as ``wrk`` reads them, one body after the other."""
        lines = ['wrk.method = "POST"']
        lines += [f"wrk.headers[{json.dumps(name)}] = {json.dumps(text)}" for name, text in self.headers.items()]
        lines += [f"local bodies = {{ {', '.join(map(json.dumps, self.bodies))} }}", "local next = 0"]
        lines += [
            "function request()",
            "  next = next % #bodies + 1",
            "  return wrk.format(nil, nil, nil, bodies[next])",
        ]
        return "\n".join((*lines, "end"))


@attrs.frozen
class Speed:
    """What ``wrk`` saw: requests per second, and latencies in milliseconds."""

    rate: float
    p50: float
    p99: float


def ours(campaign: str, *members: Mapping[str, object]) -> Load:
    """Requests for recommendations from a campaign of the sample."""
    arn = f"arn:aws:personalize:eu-west-1:000000000000:campaign/{campaign}"
    bodies = [json.dumps({"campaignArn": arn, **each}) for each in members]
    return Load("/recommendations", {"content-type": "application/json"}, bodies)


def users(count: int) -> list[str]:
    """Users that the sample knows."""
    from personalize_rt.local import LocalPersonalize

    return sorted({event.user_id for event in LocalPersonalize.sample().interactions})[:count]


MOTO = Load(
    "/",
    {
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": "AmazonPersonalize.ListSchemas",
        "authorization": _SIGNED,
    },
    ["{}"],
)


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running(command: list[str], port: int, probe: str, patience: float = 180) -> Iterator[str]:
    """A server in a process of its own; yields its URL when it answers, within so many seconds."""
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            limit = time.monotonic() + patience
            while True:
                try:
                    urlopen(url + probe, timeout=5).close()
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > limit:
                        raise SystemExit(f"did not start: {' '.join(command)}") from None
                    time.sleep(0.05)
            yield url
        finally:
            process.terminate()


def measured(url: str, load: Load, seconds: int) -> Speed:
    """One run of ``wrk``; an answer that is an error ends the measurement."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "request.lua"
        script.write_text(load.script())
        report = subprocess.run(
            [
                "wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{seconds}s",
                "--latency", "--script", str(script), url + load.path,
            ],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    if "Non-2xx" in report or "Socket errors" in report:
        raise SystemExit(f"errors under load:\n{report}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", report)
    assert rate is not None
    return Speed(float(rate[1]), _milliseconds(report, "50%"), _milliseconds(report, "99%"))


def _milliseconds(report: str, percentile: str) -> float:
    found = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s)", report)
    assert found is not None
    return float(found[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[found[2]]


def best(speeds: list[Speed]) -> Speed:
    """The least disturbed figures of several rounds."""
    return Speed(
        max(speed.rate for speed in speeds), min(speed.p50 for speed in speeds), min(speed.p99 for speed in speeds)
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server", description=__doc__)
    parser.add_argument("--moto-server", default="moto_server", help="the command of moto's server")
    parser.add_argument("--seconds", type=int, default=5, help="length of each of the nine measurements")
    options = parser.parse_args()
    moto_server = shutil.which(options.moto_server)
    if shutil.which("wrk") is None or moto_server is None:
        parser.error("wrk and moto_server are needed")
    small = ours("popular-movies", {"numResults": 5})
    results = ours("movies-for-you", *({"userId": user, "numResults": 25} for user in users(USERS)))
    our_port, moto_port = free_port(), free_port()
    rounds: dict[str, list[Speed]] = {"moto_server": [], "small request": [], "25 results": []}
    with (
        running([sys.executable, "-c", _OURS.format(port=our_port)], our_port, "/healthz") as our_url,
        running([moto_server, "-p", str(moto_port)], moto_port, "/moto-api/data.json") as moto_url,
    ):
        for _ in range(3):
            rounds["moto_server"].append(measured(moto_url, MOTO, options.seconds))
            rounds["small request"].append(measured(our_url, small, options.seconds))
            rounds["25 results"].append(measured(our_url, results, options.seconds))
    speeds = {name: best(speeds) for name, speeds in rounds.items()}
    for name, speed in speeds.items():
        print(f"{name:16} {speed.rate:8.0f} requests/s   p50 {speed.p50:6.2f} ms   p99 {speed.p99:6.2f} ms")
    ratio, p99 = speeds["small request"].rate / speeds["moto_server"].rate, speeds["25 results"].p99
    print(f"small request: {ratio:.1f} x the requests per second of moto_server (promised: {AT_LEAST:g})")
    print(f"25 results: p99 {p99:.2f} ms at {CONNECTIONS} connections (promised: under {P99:g})")
    return 0 if ratio >= AT_LEAST and p99 < P99 else 1


if __name__ == "__main__":
    raise SystemExit(main())

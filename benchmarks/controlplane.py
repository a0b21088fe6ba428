"""A tutorial's chain over HTTP: ``python -m benchmarks.controlplane``.

Serves the bundled sample from a process of its own, and calls it with plain requests. Measured in one run:

* the chain from CreateDatasetGroup to GetSolutionMetrics, with a CSV of 100,000 interactions (or as many as it is
  told): seconds of each step;
* recommendations of a campaign of the sample: alone, and while a solution version of these data is trained, in a
  process of its own and, with ``--both``, in that of the server;
* 100 dataset groups with 1,000 interactions and a campaign each: memory of the server (on Linux), seconds to make
  them, and recommendations while there are all.

Ends with status 1 when a figure is worse than what the project promises.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.events import Connection
from benchmarks.server import free_port, running

CHAIN = 20.0  # seconds, at most
# Of the latencies of the runtime, while a version is trained: so many times those alone, at most.
SLOWER = 1.5

_SERVER = (
    "import os\n"
    "from pathlib import Path\n"
    "from personalize_rt.local import LocalPersonalize\n"
    "from personalize_rt.local.control import apart\n"
    "from personalize_rt.local.server import serve_forever\n"
    "apart.LEAST_ROWS = {least}\n"
    "Path({pid!r}).write_text(str(os.getpid()))\n"
    "serve_forever(LocalPersonalize.sample(s3_root={root!r}).prepare(), port={port}, credentials=())"
)
_SCHEMA = {
    "type": "record",
    "name": "Interactions",
    "fields": [
        {"name": "USER_ID", "type": "string"},
        {"name": "ITEM_ID", "type": "string"},
        {"name": "EVENT_TYPE", "type": "string"},
        {"name": "TIMESTAMP", "type": "long"},
    ],
    "version": "1.0",
}
_RECIPE = "arn:aws:personalize:::recipe/aws-user-personalization"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.controlplane", description=__doc__)
    parser.add_argument("--interactions", type=int, default=100_000)
    parser.add_argument("--groups", type=int, default=100)
    parser.add_argument("--both", action="store_true", help="train in the process of the server, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        (root / "bucket").mkdir()
        write_events(root / "bucket" / "large.csv", options.interactions)
        write_events(root / "bucket" / "small.csv", 1_000)
        good = measure(root, options.groups, least=10_000)
        if options.both:
            print("\nThe same, trained in the process of the server:")
            measure(root, 0, least=10**12)
    return 0 if good else 1


def measure(root: Path, groups: int, *, least: int) -> bool:
    """Measure one server, and print the figures. Returns whether all are as promised."""
    port = free_port()
    server = _SERVER.format(pid=str(root / "pid"), root=str(root), port=port, least=least)
    with running([sys.executable, "-c", server], port, "/healthz"):
        control, runtime = Control(port), Connection(port)
        asked = json.dumps({"campaignArn": control.campaign("movies-for-you"), "userId": "1"}).encode()

        def ask() -> None:
            runtime.send("/recommendations", asked)
            runtime.receive()

        alone = latencies(ask, lambda: False, 600)
        steps = chain(control, "large")
        total = sum(steps.values())
        print(f"chain: {total:.2f} s ({', '.join(f'{name} {seconds:.2f}' for name, seconds in steps.items())})")
        meanwhile = training(control, ask)
        print(f"recommendations alone:             {shown(alone)}")
        print(f"recommendations during a training: {shown(meanwhile)}")
        good = total <= CHAIN and p99(meanwhile) <= SLOWER * p99(alone)
        if groups:
            before, started = memory(root), time.perf_counter()
            for number in range(groups):
                chain(control, "small", f"group{number}", metrics=False)
            seconds = time.perf_counter() - started
            print(
                f"{groups} dataset groups: {(memory(root) - before) / groups:,.0f} kB and {seconds / groups:.3f} s each"
            )
            print(f"recommendations with them:         {shown(latencies(ask, lambda: False, 600))}")
        return good


class Control:
    """The control plane, by one connection."""

    def __init__(self, port: int) -> None:
        self._connection = Connection(port)

    def __call__(self, operation: str, **members: Any) -> Any:
        self._connection.send("/", json.dumps(members).encode(), f"x-amz-target: AmazonPersonalize.{operation}\r\n")
        return json.loads(self._connection.receive() or b"{}")

    def campaign(self, name: str) -> str:
        rows = self("ListCampaigns")["campaigns"]
        arn: str = next(row["campaignArn"] for row in rows if row["name"] == name)
        return arn


def chain(control: Control, file: str, name: str = "films", *, metrics: bool = True) -> dict[str, float]:
    """Make a dataset group and a campaign of its data. Returns the seconds of each step."""
    seconds: dict[str, float] = {}
    started = time.perf_counter()

    def step(of: str) -> None:
        nonlocal started
        seconds[of], started = time.perf_counter() - started, time.perf_counter()

    group = control("CreateDatasetGroup", name=name)["datasetGroupArn"]
    schema = control("CreateSchema", name=name, schema=json.dumps(_SCHEMA))["schemaArn"]
    dataset = control("CreateDataset", name=name, schemaArn=schema, datasetGroupArn=group, datasetType="Interactions")
    step("create")
    source = {"dataLocation": f"s3://bucket/{file}.csv"}
    role = "arn:aws:iam::123456789012:role/r"
    job = control("CreateDatasetImportJob", jobName=name, roleArn=role, dataSource=source, **datasets(dataset))
    done(control("DescribeDatasetImportJob", **job)["datasetImportJob"])
    step("import")
    solution = control("CreateSolution", name=name, datasetGroupArn=group, recipeArn=_RECIPE)
    version = control("CreateSolutionVersion", **solution)
    done(control("DescribeSolutionVersion", **version)["solutionVersion"])
    step("train")
    control("CreateCampaign", name=name, **version)
    step("deploy")
    if metrics:
        control("GetSolutionMetrics", **version)
        step("metrics")
    return seconds


def datasets(reply: Any) -> dict[str, str]:
    return {"datasetArn": reply["datasetArn"]}


def done(resource: Any) -> None:
    assert resource["status"] == "ACTIVE", resource


def training(control: Control, ask: Callable[[], None]) -> list[float]:
    """The latencies while a version is trained on data that nothing was trained on before."""
    dataset = next(row for row in control("ListDatasets")["datasets"] if "/films/" in row["datasetArn"])
    role, source = "arn:aws:iam::123456789012:role/r", {"dataLocation": "s3://bucket/large.csv"}
    job = control("CreateDatasetImportJob", jobName="again", roleArn=role, dataSource=source, **datasets(dataset))
    done(control("DescribeDatasetImportJob", **job)["datasetImportJob"])
    solution = next(row for row in control("ListSolutions")["solutions"] if row["name"] == "films")
    version = control("CreateSolutionVersion", solutionArn=solution["solutionArn"])
    trained = threading.Thread(target=lambda: done(control("DescribeSolutionVersion", **version)["solutionVersion"]))
    trained.start()
    found = latencies(ask, trained.is_alive)
    trained.join()
    return found


def latencies(ask: Callable[[], None], go_on: Callable[[], bool], least: int = 0) -> list[float]:
    """The seconds of requests, which come with a pause of 2 ms, as those of people do not come all at once."""
    found: list[float] = []
    while len(found) < least or go_on():
        started = time.perf_counter()
        ask()
        found.append(time.perf_counter() - started)
        time.sleep(0.002)
    return found


def p99(seconds: list[float]) -> float:
    return quantiles(seconds, n=100, method="inclusive")[98]


def shown(seconds: list[float]) -> str:
    return f"p50 {median(seconds) * 1e3:.1f} ms, p99 {p99(seconds) * 1e3:.1f} ms, longest {max(seconds) * 1e3:.1f} ms"


def memory(root: Path) -> int:
    """Resident memory of the server in kB; 0 where the system does not tell."""
    try:
        status = Path("/proc", (root / "pid").read_text(), "status").read_text()
    except OSError:
        return 0
    return int(status.partition("VmRSS:")[2].split()[0])


def write_events(path: Path, count: int) -> None:
    chance = random.Random(1)
    with path.open("w", encoding="utf-8") as file:
        file.write("USER_ID,ITEM_ID,EVENT_TYPE,TIMESTAMP\n")
        for n in range(count):
            user, item = int(chance.random() * (count // 20)), int(chance.random() ** 3 * (count // 40 + 20))
            file.write(f"user-{user},item-{item},Watch,{1_600_000_000 + n}\n")


if __name__ == "__main__":
    sys.exit(main())

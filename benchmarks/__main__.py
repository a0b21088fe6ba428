"""``python -m benchmarks``: measure, print ratios, and write JSON and Markdown.

Options: ``--quick`` (fewer rounds), ``--json FILE``, ``--markdown FILE``.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import calls, startup
from benchmarks.contenders import ARN, credentials_for_all, items


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a look, not a record")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--markdown", type=Path, help="write the tables here")
    options = parser.parse_args()
    figures = measure(quick=options.quick)
    text = markdown(figures)
    print(text)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(text)
    return 0


def measure(*, quick: bool) -> dict[str, Any]:
    """All figures of one run."""
    credentials_for_all()
    rounds, repeats, fresh = (4, 20, 3) if quick else (10, 40, 7)
    with calls.responder() as url:
        return {
            "machine": f"Python {platform.python_version()}, {platform.machine()}",
            "versions": {name: version(name) for name in ("boto3", "botocore", "urllib3")},
            "call": calls.cost_of_a_call(url, rounds=rounds, calls=repeats),
            "read_columns_us": round(calls.reading_columns(url) * 1e6, 3),
            "memory": calls.memory_of_results(url, kept=200 if quick else 2_000),
            "threads": calls.throughput_of_threads(url, size=500, threads=8, seconds=1.0 if quick else 3.0),
            "imports": startup.imports(fresh),
            "construction": startup.construction(fresh),
            "first_answer": startup.first_answer(url, ARN, items(25), fresh),
        }


def markdown(figures: dict[str, Any]) -> str:
    """The figures as tables."""
    lines = [f"Measured on {figures['machine']}, boto3 {figures['versions']['boto3']}.", ""]
    sizes = list(figures["call"])
    lines.append("CPU time of a whole call, ids and scores read, as a ratio to plain boto3:\n")
    lines.append("| | " + " | ".join(f"{size} items" for size in sizes) + " |")
    lines.append("|---" * (len(sizes) + 1) + "|")
    for name in figures["call"][sizes[0]]:
        cells = [f"{figures['call'][size][name]['cpu_ratio']:.2f}" for size in sizes]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    memory, threads = figures["memory"], figures["threads"]
    lines += [
        "",
        f"* reading `item_ids` and `scores` of 500: {figures['read_columns_us']} µs",
        f"* memory of a kept 500-item result, against boto3's dict: {memory['ratio']:.2f} "
        f"({memory['personalize_rt_bytes']:,} of {memory['boto3_bytes']:,} bytes)",
        f"* calls a second from 8 threads, 500 items, against boto3: {threads['ratio']:.2f} times",
    ]
    for title, key in (
        ("import", "imports"),
        ("client construction", "construction"),
        ("first answer", "first_answer"),
    ):
        shown = ", ".join(f"{name} {cost['ratio']:.3f}" for name, cost in figures[key].items())
        lines.append(f"* {title} in a new process, CPU ratio to boto3: {shown}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

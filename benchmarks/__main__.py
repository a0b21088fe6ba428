"""``python -m benchmarks``: measure, print ratios, and write JSON and Markdown.

Options: ``--quick`` (fewer rounds), ``--json FILE``, ``--markdown FILE``, ``--instructions`` (those of a call too, with
valgrind: some minutes), ``--aio PYTHON`` (the async client too, with the interpreter of an environment that has
aiobotocore, which pins botocore).
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import calls, guard, rerank, startup
from benchmarks.contenders import ARN, CONTENDERS, credentials_for_all, items


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a look, not a record")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--markdown", type=Path, help="write the tables here")
    parser.add_argument("--instructions", action="store_true", help="count instructions too (needs valgrind)")
    parser.add_argument("--aio", metavar="PYTHON", help="an interpreter that has aiobotocore")
    options = parser.parse_args()
    figures = measure(quick=options.quick)
    if options.instructions:
        figures["instructions"] = instructions()
    if options.aio:
        figures["aio"] = aio(options.aio, quick=options.quick)
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
    rounds, repeats, fresh = (4, 20, 3) if quick else (24, 15, 15)
    with calls.responder() as url:
        return {
            "machine": f"Python {platform.python_version()}, {platform.machine()}",
            "versions": {name: version(name) for name in ("boto3", "botocore", "urllib3")},
            "call": calls.cost_of_a_call(url, rounds=rounds, calls=repeats),
            "read_columns_us": round(calls.reading_columns(url) * 1e6, 3),
            "rows_on_access": round(calls.rows_on_access(url), 3),
            "memory": calls.memory_of_results(url, kept=500 if quick else 10_000),
            "threads": calls.throughput_of_threads(url, size=500, threads=8, seconds=1.0 if quick else 3.0),
            "imports": startup.imports(fresh),
            "construction": startup.construction(fresh),
            "first_answer": startup.first_answer(url, ARN, items(25), fresh),
            "rerank": rerank.cost_by_size(random.Random(2013)),
        }


def instructions() -> dict[str, dict[str, float]]:
    """Instructions of a call of each contender, as ratios to plain boto3, and of a first answer."""
    with calls.responder() as url:
        counted = {str(size): {name: guard.per_call(name, url, size) for name in CONTENDERS} for size in (25, 500)}
        ratios = {
            size: {name: round(count / counts["boto3"], 3) for name, count in counts.items()}
            for size, counts in counted.items()
        }
        return {**ratios, "first answer": {"boto3": 1.0, "personalize-rt": round(guard.first_answer(url), 3)}}


def aio(python: str, *, quick: bool) -> dict[str, Any]:
    """What :mod:`benchmarks.aio` measures in another environment."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "aio.json"
        command = [python, "-m", "benchmarks.aio", "--json", str(file)]
        subprocess.run([*command, "--quick"] if quick else command, check=True)
        figures: dict[str, Any] = json.loads(file.read_text())
        return figures


def markdown(figures: dict[str, Any]) -> str:
    """The figures as tables."""
    lines = [f"Measured on {figures['machine']}, boto3 {figures['versions']['boto3']}.", ""]
    plain = {size: costs for size, costs in figures["call"].items() if "metadata" not in size}
    full = {size.split()[0]: costs for size, costs in figures["call"].items() if "metadata" in size}
    for text, costs, key in (
        ("CPU time of a whole call, ids and scores read, as a ratio to plain boto3", plain, "cpu_ratio"),
        ("The same with two columns of item metadata", full, "cpu_ratio"),
        ("Wall time, likewise, without metadata", plain, "wall_ratio"),
        ("Wall time with metadata", full, "wall_ratio"),
    ):
        ratios = {size: {name: cost[key] for name, cost in each.items()} for size, each in costs.items()}
        lines += table(text, ratios)
    base = ", ".join(f"{each['boto3']['cpu_us']:,.0f} µs for {size}" for size, each in plain.items())
    lines += ["", f"(boto3 itself, CPU: {base}.)"]
    if "instructions" in figures:
        counted = {size: each for size, each in figures["instructions"].items() if size.isdigit()}
        lines += table("Instructions of a whole call, as a ratio to plain boto3", counted)
        first = figures["instructions"]["first answer"]["personalize-rt"]
        lines += ["", f"* first answer of a new process, instructions: {first:.3f}"]
    if "aio" in figures:
        costs = {size: {"aiobotocore": 1.0, "personalize-rt": each["ratio"]} for size, each in figures["aio"].items()}
        lines += table("CPU time of a call for asyncio, as a ratio to plain aiobotocore", costs)
    memory, threads = figures["memory"], figures["threads"]
    lines += [
        "",
        f"* reading `item_ids` and `scores` of 500: {figures['read_columns_us']} µs",
        f"* first access of all 500 rows, against making them at once: {figures['rows_on_access']:.2f}",
        f"* memory of {memory['kept']:,} kept 500-item results, each, against boto3's dict: {memory['ratio']:.2f} "
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
    shown = ", ".join(
        f"{size}: {cost['order_us']} ({cost['with_scores_us']})" for size, cost in figures["rerank"].items()
    )
    lines.append(f"* ranking so many items locally, µs (with their scores read): {shown}")
    return "\n".join(lines) + "\n"


def table(text: str, ratios: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Contenders by size."""
    names = list(next(iter(ratios.values())))
    rows = [f"| {name} | " + " | ".join(f"{each[name]:.2f}" for each in ratios.values()) + " |" for name in names]
    sizes = " | ".join(f"{size} items" for size in ratios)
    return ["", f"{text}:", "", f"| | {sizes} |", "|---" * (len(ratios) + 1) + "|", *rows]


if __name__ == "__main__":
    sys.exit(main())

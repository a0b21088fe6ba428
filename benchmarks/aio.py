"""``python -m benchmarks.aio``: CPU of a whole call, ids and scores read, beside plain aiobotocore.

Options: ``--quick`` (fewer rounds), ``--json FILE``, ``--at-most RATIO`` (fail when 500 items cost more than that).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from benchmarks.calls import SIZES, responder
from benchmarks.contenders import ARN, credentials_for_all, items

Contender = Callable[[list[str]], Awaitable[tuple[Any, Any]]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.aio", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a look, not a record")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--at-most", type=float, metavar="RATIO", help="fail when 500 items cost more than this")
    options = parser.parse_args()
    credentials_for_all()
    with responder() as url:
        rounds, calls = (4, 20) if options.quick else (15, 60)
        figures = asyncio.run(measure(url, rounds=rounds, calls=calls, at_most=options.at_most))
    for size, costs in figures.items():
        shown = ", ".join(f"{name} {cost:.0f} µs" for name, cost in costs["cpu_us"].items())
        print(f"{size:>4} items: {shown}, ratio {costs['ratio']:.2f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return int(options.at_most is not None and figures["500"]["ratio"] > options.at_most)


async def measure(url: str, *, rounds: int, calls: int, at_most: float | None = None) -> dict[str, Any]:
    """For each size, the least CPU of each contender, and the ratio of ours to plain aiobotocore's.

    On a busy machine the least of few rounds is too much, for one or for the other: 500 items get up to four times as
    many while the ratio is over ``at_most``.
    """
    async with AsyncExitStack() as opened:
        contenders = {
            "aiobotocore": await aiobotocore(url, opened),
            "personalize-rt": await personalize_rt(url, opened),
        }
        figures: dict[str, Any] = {}
        for size in SIZES:
            wanted = items(size)
            first, second = [await call(wanted) for call in contenders.values()]
            assert list(first[0]) == list(second[0])
            best = dict.fromkeys(contenders, float("inf"))
            limit = float("inf") if at_most is None or size != max(SIZES) else at_most
            done = 0
            while done < rounds or (done < 4 * rounds and best["personalize-rt"] > limit * best["aiobotocore"]):
                done += 1
                for name, call in contenders.items():  # all of them in every round, so that a busy moment hits all
                    best[name] = min(best[name], await _cpu(call, wanted, calls))
            figures[str(size)] = {
                "cpu_us": {name: round(cost * 1e6, 1) for name, cost in best.items()},
                "ratio": round(best["personalize-rt"] / best["aiobotocore"], 3),
            }
        return figures


async def _cpu(call: Contender, wanted: list[str], calls: int) -> float:
    gc.collect()
    gc.disable()
    try:
        start = time.process_time()
        for _ in range(calls):
            await call(wanted)
        return (time.process_time() - start) / calls
    finally:
        gc.enable()


async def aiobotocore(url: str, opened: AsyncExitStack) -> Contender:
    """Plain aiobotocore, its dict read by hand."""
    from aiobotocore.session import get_session

    client = await opened.enter_async_context(get_session().create_client("personalize-runtime", endpoint_url=url))

    async def rank(input_list: list[str]) -> tuple[Any, Any]:
        reply = await client.get_personalized_ranking(campaignArn=ARN, userId="u", inputList=input_list)
        rows = reply["personalizedRanking"]
        return [row["itemId"] for row in rows], [row.get("score") for row in rows]

    return rank


async def personalize_rt(url: str, opened: AsyncExitStack) -> Contender:
    """A client of this project."""
    from personalize_rt.aio import AsyncPersonalizeRuntime

    runtime = await opened.enter_async_context(AsyncPersonalizeRuntime(endpoint_url=url))

    async def rank(input_list: list[str]) -> tuple[Any, Any]:
        ranking = await runtime.get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=input_list)
        return ranking.item_ids, ranking.scores

    return rank


if __name__ == "__main__":
    sys.exit(main())

"""A page that ranks its shelves side by side. Included in docs/how-to/async.md, and run by its test."""

import asyncio

from personalize_rt.aio import AsyncPersonalizeRuntime
from personalize_rt.resilience.fallback import InputOrderFallback


async def page(
    runtime: AsyncPersonalizeRuntime, ranking_arn: str, shelves: dict[str, list[str]]
) -> dict[str, list[str]]:
    """Every shelf of a page in the order that suits a visitor, within 150 ms."""
    movies = runtime.with_options(deadline=0.15, fallback=InputOrderFallback()).campaign(ranking_arn)
    async with asyncio.TaskGroup() as group:
        rankings = {name: group.create_task(movies.rank("visitor-1", items)) for name, items in shelves.items()}
    return {name: list(ranking.result().item_ids) for name, ranking in rankings.items()}


async def main(ranking_arn: str, **options: str) -> dict[str, list[str]]:
    """What an application does when it starts, while it runs, and when it stops."""
    async with AsyncPersonalizeRuntime(**options) as runtime:
        await runtime.connect()
        return await page(runtime, ranking_arn, {"classics": ["tt0468569", "tt0111161"], "new": ["tt1375666"]})

"""Calls under a tool, in a process of its own: ``python program.py TOOL before|after URL…``.

``before`` starts the tool before boto3 and this project are imported. ``after`` imports them first, and calls with
three clients: one built before the tool starts, one that was used before, too, and one built while it is active. Each
of :data:`KINDS` has a URL. Prints, for each kind and each order, what came of the call and what the tool saw, as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.watchers.tools import TOOLS

KINDS = ["boto3", "sync", "boto3 in a thread", "async"]  # on an event loop, boto3 is called in a thread
ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"


def built(kind: str, url: str) -> Callable[[], Any]:
    """A client, and the call with it."""
    if kind.startswith("boto3"):
        import boto3
        from botocore.config import Config

        config = Config(retries={"total_max_attempts": 1})
        client = boto3.client("personalize-runtime", region_name="eu-west-1", endpoint_url=url, config=config)

        def call() -> Any:
            answer = client.get_recommendations(campaignArn=ARN, userId="ada")
            return [item["itemId"] for item in answer["itemList"]], answer.get("recommendationId")

        if kind == "boto3":
            return call
        import asyncio

        loop = asyncio.new_event_loop()
        return lambda: loop.run_until_complete(asyncio.to_thread(call))
    from personalize_rt import RetryPolicy

    options: dict[str, Any] = {"region_name": "eu-west-1", "endpoint_url": url, "retry": RetryPolicy(1), "deadline": 20}
    if kind == "sync":
        from personalize_rt import PersonalizeRuntime

        runtime = PersonalizeRuntime(**options)
        runtime.connect()

        def call() -> Any:
            answer = runtime.get_recommendations(campaign_arn=ARN, user_id="ada")
            return list(answer.item_ids), answer.recommendation_id

        return call
    import asyncio

    from personalize_rt.aio import AsyncPersonalizeRuntime

    loop = asyncio.new_event_loop()
    awaited = AsyncPersonalizeRuntime(**options)
    loop.run_until_complete(awaited.connect())

    def call() -> Any:
        answer = loop.run_until_complete(awaited.get_recommendations(campaign_arn=ARN, user_id="ada"))
        return list(answer.item_ids), answer.recommendation_id

    return call


def outcome(call: Callable[[], Any]) -> Any:
    """What came of a call: the answer, or that there was none."""
    try:
        return call()
    except Exception:
        return "no answer"


def main(name: str, order: str, *urls: str) -> None:
    """Call, and print what was seen."""
    found: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    if order == "before":
        with TOOLS[name](urls) as seen:
            for kind, url in zip(KINDS, urls, strict=True):
                call = built(kind, url)
                seen()
                found[kind]["active before the import"] = [outcome(call), seen()]
    else:
        before = {kind: (built(kind, url), built(kind, url)) for kind, url in zip(KINDS, urls, strict=True)}
        for _, used in before.values():
            used()
        with TOOLS[name](urls) as seen:
            for kind, url in zip(KINDS, urls, strict=True):
                calls = {"built before": before[kind][0], "used before": before[kind][1], "within": built(kind, url)}
                seen()
                for order, call in calls.items():
                    found[kind][order] = [outcome(call), seen()]
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])

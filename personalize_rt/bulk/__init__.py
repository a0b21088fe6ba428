"""Many requests: paced to the service's capacity, with checkpoints to resume from.

:func:`run` turns an iterable of requests into an iterable of outcomes::

    from personalize_rt import bulk

    requests = (bulk.RankRequest(campaign_arn=arn, user_id=user, input_list=items) for user in users)
    for outcome in bulk.run(runtime, requests, tps=50, checkpoint="ranking.checkpoint"):
        ...

:func:`arun` does the same on asyncio; :func:`rank_file` and :func:`recommend_file` read and write files.
"""

from personalize_rt.bulk.asynchronous import AsyncRun, arun
from personalize_rt.bulk.course import AllRefusedError, InterruptedRun, OutageError
from personalize_rt.bulk.files import rank_file, recommend_file
from personalize_rt.bulk.limiter import RateLimiter
from personalize_rt.bulk.outcomes import Outcome, Summary
from personalize_rt.bulk.parts import StorageError
from personalize_rt.bulk.requests import ActionRequest, BulkRequest, RankRequest, RecommendRequest
from personalize_rt.bulk.running import Run, run

__all__ = [
    "ActionRequest",
    "AllRefusedError",
    "AsyncRun",
    "BulkRequest",
    "InterruptedRun",
    "OutageError",
    "Outcome",
    "RankRequest",
    "RateLimiter",
    "RecommendRequest",
    "Run",
    "StorageError",
    "Summary",
    "arun",
    "rank_file",
    "recommend_file",
    "run",
]

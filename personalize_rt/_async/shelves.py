"""Shelves under way: a call of each handle, at the same time."""
# What it needs of runtimes and handles is nobody else's.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from personalize_rt._async.driver import outcome_of
from personalize_rt._async.handles import AsyncCampaign, AsyncRecommender
from personalize_rt.errors import PersonalizeError
from personalize_rt.outcome import Failed, Outcome
from personalize_rt.resilience.tasks.together import in_time
from personalize_rt.results import Recommendations
from personalize_rt.seen import Seen
from personalize_rt.shelves import Part, Shelf, Shelves, ShelvesCall
from personalize_rt.transport.asynchronous import AsyncTransport

if TYPE_CHECKING:
    from personalize_rt._async.client import AsyncPersonalizeRuntime

__all__ = ["filled"]


async def filled(
    runtime: AsyncPersonalizeRuntime,
    shelves: Iterable[Shelf[AsyncCampaign] | Shelf[AsyncRecommender]],
    *,
    deadline: float | None,
    distinct: bool,
    exclude: Seen,
) -> Shelves:
    """Ask for all shelves at once, and return those that are there in time.

    Args:
        runtime: Whose deadline counts if none is given.
        shelves: The shelves.
        deadline: Seconds for all of them.
        distinct: Whether an item is shown once.
        exclude: Items to show nowhere.
    """
    call = ShelvesCall(
        shelves,
        (AsyncCampaign, AsyncRecommender),
        runtime._policies,
        deadline=deadline,
        distinct=distinct,
        exclude=exclude,
    )
    parts: list[Part[AsyncTransport]] = []
    for place, shelf in enumerate(call.shelves):
        handle: AsyncCampaign | AsyncRecommender = shelf.handle
        theirs = handle._runtime
        resource = "campaign_arn" if isinstance(handle, AsyncCampaign) else "recommender_arn"
        request = call.request(place, handle._bound, resource, theirs._limits)
        policies = call.policies(place, theirs._policies, theirs._limits)
        parts.append(Part(shelf, request, policies, theirs._transport))
    for part in parts:  # building clients is not part of the call's time
        await part.transport.client()
    call.begins()

    async def ask(part: Part[AsyncTransport]) -> Outcome[Recommendations]:
        request, policies = part.request, call.in_time(part.policies)
        try:
            if policies.keeps_answers:
                request = await part.transport.addressed(request)
        except PersonalizeError as error:
            return Failed(error)
        return await outcome_of(request, part.transport, policies)

    async def substitute(part: Part[AsyncTransport]) -> Outcome[Recommendations]:
        return call.late(part)

    outcomes = await in_time(ask, parts, call.patience())
    late = [place for place, outcome in enumerate(outcomes) if outcome is None]
    substitutes = await in_time(substitute, [parts[place] for place in late], call.patience_with_fallbacks())
    for place, outcome in zip(late, substitutes, strict=True):
        outcomes[place] = outcome
    return call.result(parts, outcomes)

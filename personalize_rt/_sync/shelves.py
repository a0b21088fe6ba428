# Generated from personalize_rt/_async/shelves.py by `nox -s twins`: edit that file, and never this one.
"""Shelves under way: a call of each handle, at the same time."""
# What it needs of runtimes and handles is nobody else's.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from personalize_rt._sync.driver import outcome_of
from personalize_rt._sync.handles import Campaign, Recommender
from personalize_rt.errors import PersonalizeError
from personalize_rt.outcome import Failed, Outcome
from personalize_rt.resilience.threads.together import in_time
from personalize_rt.results import Recommendations
from personalize_rt.seen import Seen
from personalize_rt.shelves import Part, Shelf, Shelves, ShelvesCall
from personalize_rt.transport.sending import Transport

if TYPE_CHECKING:
    from personalize_rt._sync.client import PersonalizeRuntime

__all__ = ["filled"]


def filled(
    runtime: PersonalizeRuntime,
    shelves: Iterable[Shelf[Campaign] | Shelf[Recommender]],
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
        (Campaign, Recommender),
        runtime._policies,
        deadline=deadline,
        distinct=distinct,
        exclude=exclude,
    )
    parts: list[Part[Transport]] = []
    for place, shelf in enumerate(call.shelves):
        handle: Campaign | Recommender = shelf.handle
        theirs = handle._runtime
        resource = "campaign_arn" if isinstance(handle, Campaign) else "recommender_arn"
        request = call.request(place, handle._bound, resource, theirs._limits)
        policies = call.policies(place, theirs._policies, theirs._limits)
        parts.append(Part(shelf, request, policies, theirs._transport))
    for part in parts:  # building clients is not part of the call's time
        part.transport.client()
    call.begins()

    def ask(part: Part[Transport]) -> Outcome[Recommendations]:
        request, policies = part.request, call.in_time(part.policies)
        try:
            if policies.keeps_answers:
                request = part.transport.addressed(request)
        except PersonalizeError as error:
            return Failed(error)
        return outcome_of(request, part.transport, policies)

    def substitute(part: Part[Transport]) -> Outcome[Recommendations]:
        return call.late(part)

    outcomes = in_time(ask, parts, call.patience())
    late = [place for place, outcome in enumerate(outcomes) if outcome is None]
    substitutes = in_time(substitute, [parts[place] for place in late], call.patience_with_fallbacks())
    for place, outcome in zip(late, substitutes, strict=True):
        outcomes[place] = outcome
    return call.result(parts, outcomes)

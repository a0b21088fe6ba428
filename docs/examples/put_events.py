"""Tells Personalize what became of an answer, so that it learns from it and can count what it brought."""

from __future__ import annotations

import time
from typing import Any

from personalize_rt import Ranking, Recommendations

MOST_SHOWN = 25  # items of an impression, the service's limit


def report(
    events: Any,
    answer: Ranking | Recommendations,
    *,
    tracking_id: str,
    session_id: str,
    user_id: str | None,
    item_id: str,
    event_type: str = "Watch",
) -> None:
    """Report that a user did something with an item of an answer.

    Args:
        events: ``boto3.client("personalize-events")``.
        answer: The answer that the item was in.
        tracking_id: The id of your event tracker.
        session_id: The visit; the same for all events of one visit.
        user_id: The user, or ``None`` before they sign in.
        item_id: The item.
        event_type: What they did with it.
    """
    event = {
        "eventType": event_type,
        "sentAt": time.time(),
        "itemId": item_id,
        "impression": list(answer.item_ids[:MOST_SHOWN]),
    }
    # An answer of a fallback has no id, and that of a cache has been counted: both are not the service's own.
    if answer.recommendation_id is not None and answer.info.source == "service":
        event["recommendationId"] = answer.recommendation_id
    who = {} if user_id is None else {"userId": user_id}
    events.put_events(trackingId=tracking_id, sessionId=session_id, eventList=[event], **who)

"""A Lambda function that ranks films: ``{"user_id": …, "film_ids": […]}`` in, the same films in order out."""

from __future__ import annotations

import os
from typing import Any

from personalize_rt import InputOrderFallback, PersonalizeRuntime, RetryPolicy

# While Lambda initialises, which is before anybody waits: client, credentials, service model.
runtime = PersonalizeRuntime(
    retry=RetryPolicy(attempts=2, base=0.01, min_attempt=0.04), fallback=InputOrderFallback()
).connect()
PATIENCE = 0.15  # seconds for the ranking
MARGIN = 0.2  # seconds for everything else that the function does


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    if not event.get("user_id"):  # nobody has signed in, and there is nobody to rank for
        return {"film_ids": event["film_ids"], "recommendation_id": None, "degraded": True}
    left = context.get_remaining_time_in_millis() / 1000 - MARGIN
    # A copy with another deadline, on the same connections.
    movies = runtime.with_options(deadline=min(PATIENCE, max(0.05, left))).campaign(os.environ["CAMPAIGN_ARN"])
    ranking = movies.rank(event["user_id"], event["film_ids"])
    return {
        "film_ids": ranking.item_ids,
        "recommendation_id": ranking.recommendation_id,
        "degraded": ranking.degraded,
    }

"""A page of films, in the order that suits the person who looks at it, and which learns from what they watch.

Try it: ``CAMPAIGN_ARN=… TRACKING_ID=… uvicorn fastapi_app:app``
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from personalize_rt import (
    Campaign,
    CircuitBreaker,
    EventTracker,
    Hedge,
    InputOrderFallback,
    PersonalizeError,
    PersonalizeRuntime,
    RetryPolicy,
    ServiceError,
    StaleFallback,
    ValidationError,
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    # One runtime for the whole process. A page would rather be in the order of the search than late.
    runtime = PersonalizeRuntime(
        deadline=0.15,
        retry=RetryPolicy(attempts=2, base=0.01, min_attempt=0.04),
        hedge=Hedge(),
        breaker=CircuitBreaker(),
        fallback=StaleFallback() | InputOrderFallback(),
    )
    # At the end of the block, the tracker sends what is in its queue.
    with runtime, EventTracker(os.environ["TRACKING_ID"]) as tracker:
        await run_in_threadpool(runtime.connect)  # so that no visitor waits for it
        app.state.movies = runtime.campaign(os.environ["CAMPAIGN_ARN"])
        app.state.tracker = tracker
        yield


class Unavailable(BaseModel):
    message: str
    request_id: str | None  # for a support case


# Each operation shows the answer 503 in OpenAPI; 422 is there by itself.
app = FastAPI(lifespan=lifespan, responses={503: {"model": Unavailable}})


def movies(request: Request) -> Campaign:
    campaign: Campaign = request.app.state.movies
    return campaign


def tracker(request: Request) -> EventTracker:
    tracker: EventTracker = request.app.state.tracker
    return tracker


# An id, as the service takes it: FastAPI answers 422 for any other, and OpenAPI shows the bounds.
Id = Annotated[str, Field(min_length=1, max_length=256)]


class Search(BaseModel):
    user_id: Id
    film_ids: list[Id]


class Page(BaseModel):
    film_ids: tuple[str, ...]
    recommendation_id: str | None  # comes back with what was watched
    personal: bool


class Watched(BaseModel):
    user_id: Id
    session_id: Id  # the visit
    film_id: Id
    recommendation_id: str | None  # that of the page


# Not `async def`: FastAPI runs it on a thread, where the call may wait.
@app.post("/page")
def page(search: Search, movies: Annotated[Campaign, Depends(movies)]) -> Page:
    ranking = movies.rank(search.user_id, search.film_ids)
    return Page(
        film_ids=ranking.item_ids,
        recommendation_id=ranking.recommendation_id,
        personal=not ranking.degraded,
    )


@app.post("/watched", status_code=202)
async def watched(what: Watched, tracker: Annotated[EventTracker, Depends(tracker)]) -> None:
    # It puts the event into a queue, and waits for nothing.
    tracker.track(
        "Watch",
        what.film_id,
        session_id=what.session_id,
        user_id=what.user_id,
        recommendation_id=what.recommendation_id,
    )


@app.exception_handler(ValidationError)
def refused(request: Request, error: ValidationError) -> JSONResponse:
    # In the form of FastAPI's own answer 422. The message shows no user id and no other value of the request.
    problem = {"type": "value_error", "loc": ["body", error.parameter], "msg": error.message}
    return JSONResponse({"detail": [problem]}, status_code=422)


@app.exception_handler(PersonalizeError)
def failed(request: Request, error: PersonalizeError) -> JSONResponse:
    request_id = error.request_id if isinstance(error, ServiceError) else None
    answer = Unavailable(message="no ranking just now", request_id=request_id)
    return JSONResponse(answer.model_dump(), status_code=503)

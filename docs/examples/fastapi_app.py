"""A page of films, in the order that suits the person who looks at it.

Try it: ``CAMPAIGN_ARN=… uvicorn fastapi_app:app``
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from personalize_rt import (
    Campaign,
    CircuitBreaker,
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
    with PersonalizeRuntime(
        deadline=0.15,
        retry=RetryPolicy(attempts=2, base=0.01, min_attempt=0.04),
        hedge=Hedge(),
        breaker=CircuitBreaker(),
        fallback=StaleFallback() | InputOrderFallback(),
    ) as runtime:
        await run_in_threadpool(runtime.connect)  # so that no visitor waits for it
        app.state.movies = runtime.campaign(os.environ["CAMPAIGN_ARN"])
        yield


app = FastAPI(lifespan=lifespan)


def movies(request: Request) -> Campaign:
    campaign: Campaign = request.app.state.movies
    return campaign


class Search(BaseModel):
    user_id: str
    film_ids: list[str]


class Page(BaseModel):
    film_ids: tuple[str, ...]
    recommendation_id: str | None  # to be sent back with PutEvents
    personal: bool


# Not `async def`: FastAPI runs it on a thread, where the call may wait.
@app.post("/page")
def page(search: Search, movies: Annotated[Campaign, Depends(movies)]) -> Page:
    ranking = movies.rank(search.user_id, search.film_ids)
    return Page(
        film_ids=ranking.item_ids,
        recommendation_id=ranking.recommendation_id,
        personal=not ranking.degraded,
    )


@app.exception_handler(ValidationError)
def refused(request: Request, error: ValidationError) -> JSONResponse:
    # The message shows no user id and no other value of the request.
    return JSONResponse({"parameter": error.parameter, "message": error.message}, status_code=422)


@app.exception_handler(PersonalizeError)
def failed(request: Request, error: PersonalizeError) -> JSONResponse:
    request_id = error.request_id if isinstance(error, ServiceError) else None
    return JSONResponse({"message": "no ranking just now", "request_id": request_id}, status_code=503)

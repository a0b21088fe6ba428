"""The Django example, against the embedded Personalize."""

from __future__ import annotations

import pytest

from personalize_rt import InputOrderFallback, PersonalizeRuntime
from personalize_rt.local import LocalPersonalize

pytest.importorskip("django")

from django.conf import settings
from django.test import Client
from film_site import personalization

FILMS = ["tt0120338", "tt0133093", "tt0000000"]


@pytest.fixture
def client(local: LocalPersonalize, monkeypatch: pytest.MonkeyPatch) -> Client:
    runtime = local.runtime(fallback=InputOrderFallback())
    movies = runtime.campaign(local.campaign_arn("movies-ranking"))
    monkeypatch.setattr(personalization, "movies", lambda: movies)
    client = Client()
    client.cookies["visitor"] = "13974"
    return client


def test_films_are_ranked_for_the_visitor(client: Client) -> None:
    answer = client.get("/search", {"film": FILMS}).json()
    assert answer["films"] == ["tt0133093", "tt0120338", "tt0000000"]
    assert answer["recommendation_id"]


def test_without_an_answer_films_are_in_the_order_of_the_search(client: Client, local: LocalPersonalize) -> None:
    local.faults.throttle()
    assert client.get("/search", {"film": FILMS}).json() == {"films": FILMS, "recommendation_id": None}


def test_somebody_unknown_and_an_empty_page_ask_nobody(client: Client, local: LocalPersonalize) -> None:
    local.faults.fail(status=403)
    assert client.get("/search").json()["films"] == []
    del client.cookies["visitor"]
    assert client.get("/search", {"film": FILMS}).json()["films"] == FILMS


def test_the_campaign_is_built_once_from_the_settings() -> None:
    movies = personalization.movies()
    assert movies is personalization.movies()
    assert movies.arn == settings.PERSONALIZE_CAMPAIGN_ARN
    assert isinstance(movies._runtime, PersonalizeRuntime)

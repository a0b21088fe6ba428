"""The Django example, against the embedded Personalize."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from personalize_rt import EventTracker, InputOrderFallback, PersonalizeRuntime
from personalize_rt.local import LocalPersonalize

pytest.importorskip("django")

from django.conf import settings
from django.test import Client
from film_site import personalization

FILMS = ["tt0120338", "tt0133093", "tt0000000"]
NOW_YOU_SEE_ME, MAN_OF_STEEL, STAR_TREK = "tt1670345", "tt0770828", "tt1408101"


@pytest.fixture
def tracker(local: LocalPersonalize) -> Iterator[EventTracker]:
    with local.event_tracker() as tracker:
        yield tracker


@pytest.fixture
def client(local: LocalPersonalize, tracker: EventTracker, monkeypatch: pytest.MonkeyPatch) -> Client:
    runtime = local.runtime(fallback=InputOrderFallback())
    movies = runtime.campaign(local.campaign_arn("movies-ranking"))
    monkeypatch.setattr(personalization, "movies", lambda: movies)
    monkeypatch.setattr(personalization, "tracker", lambda: tracker)
    client = Client()
    client.cookies["visitor"] = "13974"
    return client


def test_films_are_ranked_for_the_visitor(client: Client) -> None:
    answer = client.get("/search", {"film": FILMS}).json()
    assert answer["films"] == ["tt0133093", "tt0120338", "tt0000000"]
    assert answer["recommendation_id"]


def test_the_next_search_has_learned_from_what_was_watched(
    client: Client, tracker: EventTracker, local: LocalPersonalize
) -> None:
    client.cookies.load({"visitor": "visitor-2", "visit": "visit-1"})
    search = {"film": [NOW_YOU_SEE_ME, MAN_OF_STEEL, STAR_TREK]}
    before = client.get("/search", search).json()
    assert before["films"] == [NOW_YOU_SEE_ME, MAN_OF_STEEL, STAR_TREK]

    what = {"film": STAR_TREK, "recommendation_id": before["recommendation_id"]}
    assert client.post("/watched", what).status_code == 202
    assert tracker.flush(timeout=10)

    # The event as it arrived, with the answer that it came from.
    (event,) = local.recorded_events
    assert (event.event_type, event.item_id, event.user_id) == ("Watch", STAR_TREK, "visitor-2")
    assert event.answer is not None
    assert event.answer.operation == "GetPersonalizedRanking"
    assert event.answer.resource_arn == local.campaign_arn("movies-ranking")
    assert list(event.shown) == before["films"]

    # Who watches Star Trek likes Man of Steel.
    after = client.get("/search", search).json()
    assert after["films"] == [MAN_OF_STEEL, NOW_YOU_SEE_ME, STAR_TREK]


def test_what_the_service_would_refuse_is_not_queued(client: Client, tracker: EventTracker) -> None:
    answer = client.post("/watched", {"film": STAR_TREK})  # without a visit
    assert (answer.status_code, answer.json()["message"].split()[0]) == (422, "session_id")
    assert tracker.counts.queued == 0


def test_without_an_answer_films_are_in_the_order_of_the_search(client: Client, local: LocalPersonalize) -> None:
    local.faults.throttle()
    assert client.get("/search", {"film": FILMS}).json() == {"films": FILMS, "recommendation_id": None}


def test_somebody_unknown_and_an_empty_page_ask_nobody(client: Client, local: LocalPersonalize) -> None:
    local.faults.fail(status=403)
    assert client.get("/search").json()["films"] == []
    client.cookies["visitor"] = ""
    assert client.get("/search", {"film": FILMS}).json()["films"] == FILMS
    del client.cookies["visitor"]
    assert client.get("/search", {"film": FILMS}).json()["films"] == FILMS


def test_a_wrong_request_is_told_what_is_wrong_with_it(client: Client) -> None:
    client.cookies["visitor"] = "v" * 257
    answer = client.get("/search", {"film": FILMS})
    assert (answer.status_code, answer.json()["parameter"]) == (422, "user_id")
    assert "vvv" not in answer.json()["message"]


def test_the_campaign_is_built_once_from_the_settings() -> None:
    movies = personalization.movies()
    assert movies is personalization.movies()
    assert movies.arn == settings.PERSONALIZE_CAMPAIGN_ARN
    assert isinstance(movies._runtime, PersonalizeRuntime)
    assert personalization.tracker() is personalization.tracker()

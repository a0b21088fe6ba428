"""The FastAPI example, against the embedded Personalize."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from personalize_rt import EventTracker, InputOrderFallback
from personalize_rt.local import LocalPersonalize

pytest.importorskip("fastapi")
pytest.importorskip("httpx2")

import fastapi_app
from fastapi.testclient import TestClient

FILMS = ["tt0120338", "tt0133093", "tt0000000"]
NOW_YOU_SEE_ME, MAN_OF_STEEL, STAR_TREK = "tt1670345", "tt0770828", "tt1408101"


@pytest.fixture
def tracker(local: LocalPersonalize) -> Iterator[EventTracker]:
    with local.event_tracker() as tracker:
        yield tracker


@pytest.fixture
def client(local: LocalPersonalize, tracker: EventTracker) -> Iterator[TestClient]:
    runtime = local.runtime(fallback=InputOrderFallback())
    movies = runtime.campaign(local.campaign_arn("movies-ranking"))
    fastapi_app.app.dependency_overrides[fastapi_app.movies] = lambda: movies
    fastapi_app.app.dependency_overrides[fastapi_app.tracker] = lambda: tracker
    yield TestClient(fastapi_app.app)
    fastapi_app.app.dependency_overrides.clear()


def test_a_page_is_ranked_for_the_person(client: TestClient) -> None:
    page = client.post("/page", json={"user_id": "13974", "film_ids": FILMS}).json()
    assert page["film_ids"] == ["tt0133093", "tt0120338", "tt0000000"]
    assert page["personal"] is True
    assert page["recommendation_id"]


def test_the_next_page_has_learned_from_what_was_watched(
    client: TestClient, tracker: EventTracker, local: LocalPersonalize
) -> None:
    search = {"user_id": "visitor-1", "film_ids": [NOW_YOU_SEE_ME, MAN_OF_STEEL, STAR_TREK]}
    before = client.post("/page", json=search).json()
    assert before["film_ids"] == [NOW_YOU_SEE_ME, MAN_OF_STEEL, STAR_TREK]

    what = {"user_id": "visitor-1", "session_id": "visit-1", "film_id": STAR_TREK}
    client.post("/watched", json={**what, "recommendation_id": before["recommendation_id"]}).raise_for_status()
    assert tracker.flush(timeout=10)

    # The event as it arrived, with the answer that it came from.
    (event,) = local.recorded_events
    assert (event.event_type, event.item_id, event.session_id) == ("Watch", STAR_TREK, "visit-1")
    assert event.answer is not None
    assert event.answer.operation == "GetPersonalizedRanking"
    assert event.answer.resource_arn == local.campaign_arn("movies-ranking")
    assert list(event.shown) == before["film_ids"]

    # Who watches Star Trek likes Man of Steel.
    after = client.post("/page", json=search).json()
    assert after["film_ids"] == [MAN_OF_STEEL, NOW_YOU_SEE_ME, STAR_TREK]


def test_what_the_service_would_refuse_is_not_queued(client: TestClient, tracker: EventTracker) -> None:
    what = {"user_id": "visitor-1", "session_id": "", "film_id": STAR_TREK, "recommendation_id": None}
    answer = client.post("/watched", json=what)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "session_id"])
    assert tracker.counts.queued == 0


def test_without_an_answer_the_page_is_in_the_order_of_the_search(client: TestClient, local: LocalPersonalize) -> None:
    local.faults.fail(status=503)
    page = client.post("/page", json={"user_id": "13974", "film_ids": FILMS}).json()
    assert page == {"film_ids": FILMS, "recommendation_id": None, "personal": False}


def test_a_wrong_request_is_told_what_is_wrong_with_it(client: TestClient) -> None:
    answer = client.post("/page", json={"user_id": "13974", "film_ids": []})
    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert problem["loc"] == ["body", "input_list"]
    assert problem["msg"] == "input_list is empty: there is nothing to rank"


@pytest.mark.parametrize("user_id", ["", "u" * 257])
def test_a_user_who_cannot_be_one_is_a_422(client: TestClient, user_id: str) -> None:
    answer = client.post("/page", json={"user_id": user_id, "film_ids": FILMS})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "user_id"])


def test_what_no_fallback_answers_is_a_503_with_the_request_id(client: TestClient, local: LocalPersonalize) -> None:
    local.faults.fail(status=403)
    answer = client.post("/page", json={"user_id": "13974", "film_ids": FILMS})
    assert answer.status_code == 503
    assert answer.json()["request_id"]
    assert "13974" not in answer.text


def test_errors_are_as_openapi_says() -> None:
    api = fastapi_app.app.openapi()
    for path in ("/page", "/watched"):
        answers = api["paths"][path]["post"]["responses"]
        schemas = {status: each["content"]["application/json"]["schema"] for status, each in answers.items()}
        assert schemas["422"] == {"$ref": "#/components/schemas/HTTPValidationError"}
        assert schemas["503"] == {"$ref": "#/components/schemas/Unavailable"}
    assert api["components"]["schemas"]["ValidationError"]["required"] == ["loc", "msg", "type"]
    assert api["components"]["schemas"]["Search"]["properties"]["user_id"]["minLength"] == 1


def test_the_runtime_is_built_at_start_up_and_closed_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    arn = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies-ranking"
    monkeypatch.setenv("CAMPAIGN_ARN", arn)
    monkeypatch.setenv("TRACKING_ID", "tracker-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    # Nothing is sent; a process without credentials would not start.
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    with TestClient(fastapi_app.app):
        assert fastapi_app.app.state.movies.arn == arn

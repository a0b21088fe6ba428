"""The FastAPI example, against the embedded Personalize."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from personalize_rt import InputOrderFallback
from personalize_rt.local import LocalPersonalize

pytest.importorskip("fastapi")
pytest.importorskip("httpx2")

import fastapi_app
from fastapi.testclient import TestClient

FILMS = ["tt0120338", "tt0133093", "tt0000000"]


@pytest.fixture
def client(local: LocalPersonalize) -> Iterator[TestClient]:
    runtime = local.runtime(fallback=InputOrderFallback())
    movies = runtime.campaign(local.campaign_arn("movies-ranking"))
    fastapi_app.app.dependency_overrides[fastapi_app.movies] = lambda: movies
    yield TestClient(fastapi_app.app)
    fastapi_app.app.dependency_overrides.clear()


def test_a_page_is_ranked_for_the_person(client: TestClient) -> None:
    page = client.post("/page", json={"user_id": "13974", "film_ids": FILMS}).json()
    assert page["film_ids"] == ["tt0133093", "tt0120338", "tt0000000"]
    assert page["personal"] is True
    assert page["recommendation_id"]


def test_without_an_answer_the_page_is_in_the_order_of_the_search(client: TestClient, local: LocalPersonalize) -> None:
    local.faults.fail(status=503)
    page = client.post("/page", json={"user_id": "13974", "film_ids": FILMS}).json()
    assert page == {"film_ids": FILMS, "recommendation_id": None, "personal": False}


def test_a_wrong_request_is_told_what_is_wrong_with_it(client: TestClient) -> None:
    answer = client.post("/page", json={"user_id": "13974", "film_ids": []})
    assert answer.status_code == 422
    assert answer.json() == {"parameter": "input_list", "message": "input_list is empty: there is nothing to rank"}


def test_what_no_fallback_answers_is_a_503_with_the_request_id(client: TestClient, local: LocalPersonalize) -> None:
    local.faults.fail(status=403)
    answer = client.post("/page", json={"user_id": "13974", "film_ids": FILMS})
    assert answer.status_code == 503
    assert answer.json()["request_id"]
    assert "13974" not in answer.text


def test_the_runtime_is_built_at_start_up_and_closed_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    arn = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies-ranking"
    monkeypatch.setenv("CAMPAIGN_ARN", arn)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with TestClient(fastapi_app.app):
        assert fastapi_app.app.state.movies.arn == arn

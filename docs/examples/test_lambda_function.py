"""The Lambda example, against the embedded Personalize."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import attrs
import pytest

from personalize_rt import InputOrderFallback, ValidationError
from personalize_rt.local import LocalPersonalize

FILMS = ["tt0120338", "tt0133093", "tt0000000"]
EVENT = {"user_id": "13974", "film_ids": FILMS}


@attrs.frozen
class Context:
    milliseconds: int = 3000

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


@pytest.fixture
def function(local: LocalPersonalize, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, initialised as Lambda does it; then with the embedded service behind it."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")  # which Lambda gives its functions; none is sent
    monkeypatch.setenv("CAMPAIGN_ARN", local.campaign_arn("movies-ranking"))
    monkeypatch.delitem(sys.modules, "lambda_function", raising=False)
    import lambda_function

    assert isinstance(lambda_function, ModuleType)
    lambda_function.runtime.close()
    monkeypatch.setattr(lambda_function, "runtime", local.runtime(fallback=InputOrderFallback()))
    return lambda_function


def test_films_are_ranked(function: Any) -> None:
    answer = function.handler(EVENT, Context())
    assert answer["film_ids"] == ("tt0133093", "tt0120338", "tt0000000")
    assert answer["degraded"] is False
    assert answer["recommendation_id"]


def test_without_an_answer_films_stay_as_they_are(function: Any, local: LocalPersonalize) -> None:
    local.faults.fail(status=500)
    answer = function.handler(EVENT, Context())
    assert answer == {"film_ids": tuple(FILMS), "recommendation_id": None, "degraded": True}


@pytest.mark.parametrize("event", [{"film_ids": FILMS}, {"user_id": "", "film_ids": FILMS}])
def test_without_a_user_films_stay_as_they_are_and_nobody_is_asked(
    function: Any, local: LocalPersonalize, event: dict[str, Any]
) -> None:
    answer = function.handler(event, Context())
    assert answer == {"film_ids": FILMS, "recommendation_id": None, "degraded": True}
    assert not local.requests


def test_a_wrong_request_is_the_error_of_the_function(function: Any) -> None:
    with pytest.raises(ValidationError, match="user_id is a str of 257 characters"):
        function.handler({"user_id": "u" * 257, "film_ids": FILMS}, Context())


@pytest.mark.parametrize(("milliseconds", "deadline"), [(3000, 0.15), (300, 0.1), (100, 0.05)])
def test_the_deadline_is_what_lambda_leaves(
    function: Any, monkeypatch: pytest.MonkeyPatch, milliseconds: int, deadline: float
) -> None:
    given: list[float] = []
    options = function.runtime.with_options

    def with_options(**changed: Any) -> Any:
        given.append(changed["deadline"])
        return options(**changed)

    monkeypatch.setattr(function.runtime, "with_options", with_options)
    function.handler(EVENT, Context(milliseconds))
    assert given == [pytest.approx(deadline)]

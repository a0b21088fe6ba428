"""The embedded service in forked children: its locks are free there, whatever another thread was about."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from personalize_rt.bulk.limiter import RateLimiter
from personalize_rt.interactions import Interaction
from personalize_rt.local import LocalPersonalize
from personalize_rt.testing.cassette import Cassette, Exchange
from personalize_rt.testing.record import Recorder

EVENT = Interaction("13974", "tt0120338", 1.0, "watch", None)


def of_events(local: LocalPersonalize) -> Any:
    return local._engine.items._lock, lambda: local.put_events(session_id="s", events=[EVENT])


def of_filters(local: LocalPersonalize) -> Any:
    values = {"GENRE": ["Drama"]}
    return local._engine.filters._lock, lambda: local.try_filter("unseen-by-genre", user_id="13974", values=values)


def of_models(local: LocalPersonalize) -> Any:
    arn = local.campaign_arn("movies-for-you")
    return local._engine.models._lock, lambda: local.runtime().get_recommendations(campaign_arn=arn, user_id="13974")


def of_faults(local: LocalPersonalize) -> Any:
    return local.faults._lock, lambda: local.faults.throttle() and local.faults.rules


def of_time(local: LocalPersonalize) -> Any:
    return local._clock_lock, lambda: local.skip(1.0)


def of_requests(local: LocalPersonalize) -> Any:
    client = local.boto3_client()
    return local.requests._lock, lambda: client.get_recommendations(campaignArn=local.campaign_arn("popular-movies"))


@pytest.mark.parametrize("part", [of_events, of_filters, of_models, of_faults, of_requests, of_time])
def test_a_lock_of_the_service_that_was_held_at_the_fork_is_free_in_the_child(part: Any, forked: Any) -> None:
    lock, work = part(LocalPersonalize.sample())
    assert forked(lambda: [work()] and "done", holding=lock) == "done"


def test_a_lock_of_a_cassette_that_was_held_at_the_fork_is_free_in_the_child(forked: Any) -> None:
    cassette = Cassette([Exchange("GetRecommendations", {"campaignArn": "a"}, {"itemList": []}, 200, {})])
    assert forked(lambda: len(cassette.unplayed), holding=cassette._lock) == "1"


def test_a_lock_of_a_recorder_that_was_held_at_the_fork_is_free_in_the_child(forked: Any) -> None:
    recorder = Recorder(object())  # type: ignore[arg-type]  # nothing is passed on here
    assert forked(lambda: len(recorder.cassette().exchanges), holding=recorder._lock) == "0"


def test_a_lock_of_a_rate_limiter_that_was_held_at_the_fork_is_free_in_the_child(forked: Any) -> None:
    limiter = RateLimiter(10.0)
    assert forked(lambda: limiter.decide(0.0), holding=limiter._lock) == "0.0"


@pytest.mark.parametrize("children", [10, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_every_child_of_a_process_that_is_busy_with_the_service_is_answered(children: int, forked: Any) -> None:
    local = LocalPersonalize.sample()
    arn, runtime = local.campaign_arn("movies-for-you"), local.runtime()
    over = threading.Event()

    def ask() -> int:
        return len(
            runtime.get_recommendations(
                campaign_arn=arn,
                user_id="13974",
                num_results=5,
                filter_arn=local.filter_arn("unseen-by-genre"),
                filter_values={"GENRE": ["Drama"]},
            )
        )

    def be_busy() -> None:
        while not over.is_set():
            ask()
            local.put_events(session_id="s", events=[EVENT])

    # What is imported by a first call is there before the forks: in a child of a process in which another thread
    # imports a module just then, Python waits for that thread for ever, whoever forks.
    assert ask() == 5
    threads = [threading.Thread(target=be_busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        assert {forked(ask) for _ in range(children)} == {"5"}
    finally:
        over.set()
        for thread in threads:
            thread.join(30)

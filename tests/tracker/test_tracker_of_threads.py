"""Trackers in threads, forks and processes that end, with clients and services of all kinds."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import ANY, Stubber

from personalize_rt import ConfigurationError, EventTracker, RetryPolicy, ValidationError
from personalize_rt.events import Event, EventsDropped
from personalize_rt.local import LocalPersonalize
from tests.optional import optional
from tests.tracker.conftest import TRACKING_ID, Service

Make = Callable[..., EventTracker]


def plain_client(**options: Any) -> Any:
    return boto3.client(
        "personalize-events",
        region_name="eu-west-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"total_max_attempts": 1, "mode": "standard"}),
        **options,
    )


def test_threads_share_a_tracker(of_threads: Make, service: Service) -> None:
    made = of_threads(flush_after=0.01)

    def page(visit: int) -> None:
        for n in range(50):
            made.track("Watch", f"{n}", session_id=f"s-{visit}")

    pages = [threading.Thread(target=page, args=(visit,)) for visit in range(8)]
    for each in pages:
        each.start()
    for each in pages:
        each.join()
    assert made.flush(30)
    assert made.counts.sent == made.counts.queued == 400
    for visit in range(8):
        of_visit = [sent for sent in service.received if sent.members["sessionId"] == f"s-{visit}"]
        assert [int(event["itemId"]) for sent in of_visit for event in sent.members["eventList"]] == [*range(50)]


def test_senders_end_when_there_is_nothing_to_send(of_threads: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("personalize_rt._sync.tracker._IDLE", 0.05)
    made = of_threads(flush_after=0.0)
    for n in range(3):
        made.track("Watch", "i1", session_id=f"s-{n}")
    assert made.flush(20)
    until = time.monotonic() + 20
    while any(thread.name == "personalize-rt-tracker" for thread in made._senders):
        assert time.monotonic() < until
        time.sleep(0.01)
    made.track("Watch", "i1", session_id="s")
    assert made.flush(20)
    assert made.counts.sent == 4


def test_a_forked_child_begins_with_an_empty_queue_and_sends_its_own(
    of_threads: Make, service: Service, forked: Callable[..., str]
) -> None:
    made = of_threads(flush_after=1000.0)
    made.track("Watch", "parent", session_id="s")

    def child() -> str:
        before = made.counts
        made.track("Watch", "child", session_id="s")
        return f"{before.pending} {before.queued} {made.flush(20)} {made.counts.sent}"

    assert forked(child) == "0 0 True 1"
    assert service.batches == [["child"]]
    assert forked(child, holding=made._signal) == "0 0 True 1"
    assert made.flush(20)
    assert service.batches == [["child"], ["child"], ["parent"]]
    assert made.counts.sent == 1
    ids = [event["eventId"] for event in service.events]
    assert len(set(ids)) == 3


def run(program: str, *, within: float = 60.0, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={
            **os.environ,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "eu-west-1",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=within,
    )


@pytest.mark.parametrize("end", ["", "raise SystemExit(0)", "raise ValueError"])
def test_the_exit_of_the_interpreter_sends_what_is_left(service: Service, end: str) -> None:
    run(
        f"""
        import os
        from personalize_rt import EventTracker
        tracker = EventTracker("t-1", endpoint_url=os.environ["URL"], flush_after=1000.0, close_timeout=50.0)
        for n in range(3):
            tracker.track("Watch", f"i{{n}}", session_id="s")
        {end}
        """,
        URL=service.url,
    )
    assert service.batches == [["i0", "i1", "i2"]]


def test_an_exit_in_an_outage_is_bounded_and_told(service: Service) -> None:
    service.always("hang")
    begun = time.monotonic()
    done = run(
        """
        import os, logging
        logging.basicConfig()
        from personalize_rt import EventTracker
        tracker = EventTracker("t-1", endpoint_url=os.environ["URL"], close_timeout=0.5)
        for n in range(3):
            tracker.track("Watch", f"i{n}", session_id="s")
        """,
        URL=service.url,
    )
    assert "3 events were not sent" in done.stderr
    assert done.returncode == 0
    assert time.monotonic() - begun < 50


def test_ctrl_c_while_it_closes_counts_and_tells_what_was_not_sent(
    of_threads: Make, service: Service, told: list[Event]
) -> None:
    service.always("hang")
    made = of_threads(flush_after=0.0, deadline=30.0, close_timeout=60.0)
    for n in range(5):
        made.track("Watch", "i1", session_id=f"s-{n}")
    service.waits_for(lambda: service.count >= 1)
    timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        made.close()
    timer.join()
    assert time.monotonic() - begun < 30
    assert (made.counts.dropped, made.counts.pending) == (5, 0)
    assert [(event.events, event.reason) for event in told if isinstance(event, EventsDropped)] == [(5, "interrupted")]


def test_the_block_of_with_sends_what_is_left(service: Service, session: Any) -> None:
    with EventTracker(TRACKING_ID, session=session, endpoint_url=service.url, flush_after=1000.0) as made:
        made.track("Watch", "i1", session_id="s")
    assert service.batches == [["i1"]]


# A spool.


def test_a_small_queue_sends_all_that_another_tracker_left(of_threads: Make, service: Service, tmp_path: Path) -> None:
    service.always("hang")
    left = of_threads(spool=tmp_path / "events", flush_after=1000.0, retry=RetryPolicy(attempts=1))
    for n in range(30):
        left.track("Watch", f"i{n}", session_id="s")
    service.waits_for(lambda: service.count >= 1)  # its first ten are in flight, and arrive no later
    left.close(0.0)
    service.always(service.answer(200, b""))
    before = service.count
    made = of_threads(spool=tmp_path / "events", max_events=4, flush_after=0.0, deadline=20.0).connect()
    service.waits_for(lambda: made.counts.sent >= 30)
    assert [item for batch in service.batches[before:] for item in batch] == [f"i{n}" for n in range(30)]
    assert made.counts.dropped == 0


def test_a_spool_that_cannot_be_written_is_logged_once_and_costs_no_event(
    of_threads: Make,
    service: Service,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("personalize_rt.segments._LOOKS", 0.0)
    made = of_threads(spool=tmp_path / "events", flush_after=1000.0)
    shutil.rmtree(tmp_path / "events")
    for n in range(20):
        made.track("Watch", f"i{n}", session_id="session-secret", user_id="user-secret")
    assert made.flush(20)
    assert made.counts.sent == 20
    assert caplog.text.count("kept in memory alone") == 1
    assert "secret" not in caplog.text


# Clients and services.


def test_a_client_of_the_caller_is_taken_and_left_as_it_is(service: Service) -> None:
    client = plain_client(endpoint_url=service.url)
    with EventTracker(TRACKING_ID, client) as made:
        made.track("Watch", "i1", session_id="s")
    client.put_events(trackingId="t", sessionId="s", eventList=[{"eventType": "Watch", "sentAt": 1}])  # still open
    assert service.batches == [["i1"], [None]]


def test_a_stubber_checks_what_is_sent() -> None:
    client = plain_client()
    with Stubber(client) as stubber:
        stubber.add_response(
            "put_events",
            {},
            {
                "trackingId": TRACKING_ID,
                "sessionId": "s",
                "eventList": [{"eventType": "Watch", "itemId": "i1", "sentAt": ANY, "eventId": ANY, "eventValue": 1.0}],
            },
        )
        with EventTracker(TRACKING_ID, client) as made:
            made.track("Watch", "i1", session_id="s", event_value=1)
            assert made.flush(20)
        stubber.assert_no_pending_responses()


def test_a_handler_of_the_clients_events_sees_the_call(service: Service) -> None:
    client, seen = plain_client(endpoint_url=service.url), []
    client.meta.events.register(
        "before-parameter-build.personalize-events.PutEvents", lambda params, **_: seen.append(params)
    )
    with EventTracker(TRACKING_ID, client) as made:
        made.track("Watch", "i1", session_id="s")
    assert seen[0]["eventList"][0]["itemId"] == "i1"


def test_moto_answers_it() -> None:
    moto = optional("moto")
    from personalize_rt.local.moto import mock_personalize

    local = LocalPersonalize.sample()
    with moto.mock_aws(), mock_personalize(local):
        with EventTracker(local.tracking_id(), region_name="eu-west-1") as made:
            made.track("Watch", "tt0468569", session_id="s")
            assert made.flush(20)
    assert [event.item_id for event in local.recorded_events] == ["tt0468569"]


def test_the_embedded_service_takes_events_in_process_and_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    local = LocalPersonalize.sample()
    runtime = local.runtime()
    answer = runtime.campaign(local.campaign_arn("movies-for-you"), num_results=5).recommend("u-1")
    with EventTracker(local.tracking_id(), local.boto3_client("personalize-events")) as made:
        made.track("Watch", answer[0], of=answer, session_id="s-1", user_id="u-1")
    with local.serve() as url:
        for name, value in local.env(url).items():
            monkeypatch.setenv(name, value)
        with EventTracker(local.tracking_id(), region_name="eu-west-1") as made:
            made.track("Watch", answer[1], of=answer, session_id="s-1", user_id="u-1")
            assert made.flush(20)
            made.put_items({"tt-new": {"TITLE": "New"}}, dataset_arn=local.dataset_arn("items"))
    first, second = local.recorded_events
    for event, row in ((first, answer[0]), (second, answer[1])):
        assert event.item_id == row.item_id
        assert event.answer is not None
        assert event.answer.item_ids == answer.item_ids
        assert event.shown == answer.item_ids


def test_an_embedded_service_refuses_another_tracking_id() -> None:
    local = LocalPersonalize.sample()
    with EventTracker("no-such", local.boto3_client("personalize-events")) as made:
        made.track("Watch", "tt0468569", session_id="s")
        assert made.flush(20)
        (failed,) = made.failed
    assert "trackingId" in str(failed.error)


def test_the_debug_log_of_botocore_shows_no_user_and_no_session(
    of_threads: Make, caplog: pytest.LogCaptureFixture
) -> None:
    made = of_threads()
    with caplog.at_level(logging.DEBUG):
        made.track("Watch", "i1", session_id="session-secret", user_id="user-secret", properties={"A": "value-secret"})
        assert made.flush(20)
        made.put_users(
            {"user-secret": {"A": "value-secret"}}, dataset_arn="arn:aws:personalize:eu-west-1:1:dataset/g/USERS"
        )
    assert "botocore" in {record.name.partition(".")[0] for record in caplog.records}
    assert "secret" not in caplog.text


def test_without_a_region_events_wait_and_send_raises(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with EventTracker(TRACKING_ID, close_timeout=0.0) as made:
        with pytest.raises(ConfigurationError, match="region"):
            made.send("Watch", "i1", session_id="s")
        made.track("Watch", "i1", session_id="s")
        assert not made.flush(0.2)


def test_a_client_that_awaits_is_refused_with_advice() -> None:
    class Awaiting:
        async def put_events(self, **_: Any) -> None: ...

        async def _make_api_call(self, *_: Any) -> None: ...

    with pytest.raises(ValidationError, match="AsyncEventTracker"):
        EventTracker(TRACKING_ID, Awaiting())


def test_a_client_of_another_service_says_what_to_give() -> None:
    retries = Config(retries={"total_max_attempts": 1, "mode": "standard"})
    client = boto3.client("personalize-runtime", region_name="eu-west-1", config=retries)
    with EventTracker(TRACKING_ID, client) as made, pytest.raises(ValidationError, match="personalize-events"):
        made.send("Watch", "i1", session_id="s")

"""Trackers of threads and of tasks: what they send, when, and what becomes of events that cannot be sent."""

from __future__ import annotations

import logging
import time
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from personalize_rt import (
    AccessDeniedError,
    CircuitBreaker,
    InvalidInputError,
    QueueFullError,
    Ranking,
    Recommendations,
    ResponseInfo,
    RetryPolicy,
    ServerError,
    ValidationError,
)
from personalize_rt.events import Event, EventsDropped, EventsFailed, EventsQueued, EventsSent
from tests.tracker.conftest import TRACKING_ID, InALoop, Service

Make = Callable[..., Any]
SECRETS = ("user-secret", "session-secret", "value-secret")
ANSWER = Recommendations([f"i{n}" for n in range(40)], scores=[0.1] * 40, recommendation_id="RID-1")


def numbers(told: list[Event], kind: type[Any]) -> int:
    return sum(event.events for event in told if isinstance(event, kind))


def test_a_queued_event_is_sent_as_plain_boto3_would(tracker: Make, service: Service) -> None:
    made = tracker(clock=lambda: 1_700_000_000.0)
    event = made.track(
        "Watch",
        "i1",
        session_id="s-1",
        user_id="u-1",
        recommendation_id="RID-1",
        impression=["i1", "i2"],
        event_value=4.5,
        properties={"NUM_RATINGS": 13, "deviceType": "phone"},
        event_id="e-1",
    )
    assert made.flush(20)
    (sent,) = service.received
    assert (sent.method, sent.path) == ("POST", "/events")
    assert sent.members == {
        "trackingId": TRACKING_ID,
        "sessionId": "s-1",
        "userId": "u-1",
        "eventList": [
            {
                "eventType": "Watch",
                "sentAt": 1_700_000_000,
                "itemId": "i1",
                "eventId": "e-1",
                "recommendationId": "RID-1",
                "impression": ["i1", "i2"],
                "eventValue": 4.5,
                "properties": '{"numRatings": 13, "deviceType": "phone"}',
            }
        ],
    }
    assert event.sent_at == 1_700_000_000.0


def test_every_event_has_an_id_of_its_own_and_a_time(tracker: Make) -> None:
    made = tracker()
    before = time.time()
    events = [made.track("Watch", "i1", session_id="s") for _ in range(50)]
    assert len({event.event_id for event in events}) == 50
    assert all(before <= event.sent_at <= time.time() for event in events)


def test_events_of_a_session_go_out_in_order_in_batches_of_ten(tracker: Make, service: Service) -> None:
    made = tracker(flush_after=30.0)
    for n in range(25):
        made.track("Watch", f"i{n}", session_id="s")
    assert made.flush(20)
    assert service.batches == [[f"i{n}" for n in range(start, min(start + 10, 25))] for start in (0, 10, 20)]


def test_a_full_batch_does_not_wait(tracker: Make, service: Service) -> None:
    made = tracker(flush_after=1000.0)
    for n in range(10):
        made.track("Watch", f"i{n}", session_id="s")
    service.waits_for(lambda: service.count == 1)


def test_an_event_is_sent_after_flush_after(tracker: Make, service: Service) -> None:
    made = tracker(flush_after=0.05)
    made.track("Watch", "i1", session_id="s")
    service.waits_for(lambda: service.count == 1)
    made.track("Watch", "i2", session_id="s")  # its sender waits by then
    service.waits_for(lambda: service.count == 2)


def test_a_session_whose_visitor_signs_in_keeps_its_order(tracker: Make, service: Service) -> None:
    made = tracker(flush_after=30.0)
    for n, user_id in enumerate([None, None, "u", "u", None]):
        made.track("Watch", f"i{n}", session_id="s", user_id=user_id)
    assert made.flush(20)
    assert service.batches == [["i0", "i1"], ["i2", "i3"], ["i4"]]
    assert [sent.members.get("userId") for sent in service.received] == [None, "u", None]


def test_an_answer_gives_id_and_impression_and_a_row_its_own_id(tracker: Make, service: Service) -> None:
    made = tracker()
    click = made.track("Click", "i3", of=ANSWER, session_id="s")
    again = made.track("Watch", ANSWER[3], of=ANSWER, session_id="s")
    row = made.track("Watch", ANSWER[5], session_id="s")
    assert (click.recommendation_id, click.impression) == ("RID-1", ANSWER.item_ids[:25])
    # An item of an answer counts as shown once.
    assert (again.recommendation_id, again.impression) == ("RID-1", ANSWER.item_ids[25:])
    assert (row.item_id, row.recommendation_id, row.impression) == ("i5", "RID-1", ())


def test_an_answer_of_the_cache_is_an_impression_once(tracker: Make) -> None:
    made = tracker()
    cached = Recommendations(["i1"], scores=[0.1], recommendation_id="RID-1", info=ResponseInfo(source="cache"))
    events = [made.track("Click", "i1", of=cached, session_id=f"s-{n}", user_id=f"u-{n}") for n in range(3)]
    assert [event.recommendation_id for event in events] == ["RID-1"] * 3
    assert [event.impression for event in events] == [("i1",), (), ()]


def test_what_an_event_that_was_not_taken_had_shown_is_told_by_the_next_one(tracker: Make, service: Service) -> None:
    answer = ANSWER[:2]
    made = tracker(max_events=1, flush_after=1000.0, on_full="raise", deadline=20.0)
    for wrong in ({"event_value": float("nan")}, {"properties": {"userId": "u"}}):
        with pytest.raises(ValidationError):
            made.track("Click", "i0", of=answer, session_id="s", **wrong)
    service.script(400)
    with pytest.raises(InvalidInputError):
        made.send("Click", "i0", of=answer, session_id="s")
    made.track("Click", "i0", session_id="s")
    with pytest.raises(QueueFullError):
        made.track("Click", "i0", of=list(answer), session_id="s")
    assert made.flush(20)
    assert made.track("Click", "i0", of=answer, session_id="s").impression == ("i0", "i1")


def test_rows_may_be_made_by_what_tracks_events_itself(of_threads: Make) -> None:
    made = of_threads(flush_after=1000.0)

    def rows() -> Any:
        for row in ANSWER[:3]:
            made.track("View", row, of=ANSWER[:1], session_id="s")
            yield row

    assert made.track("Click", "i2", of=rows(), session_id="s").recommendation_id == "RID-1"
    assert made.counts.queued == 4


@pytest.mark.parametrize("source", ["fallback", "local"])
def test_what_the_service_did_not_answer_has_neither_id_nor_impression(tracker: Make, source: Any) -> None:
    answer = Ranking(["i1", "i2"], scores=[0.5, 0.5], recommendation_id="RID-1", info=ResponseInfo(source=source))
    event = tracker().track("Click", answer[0], of=answer, session_id="s")
    assert (event.recommendation_id, event.impression) == (None, ())


def test_a_source_beside_an_id_is_warned_of_where_it_is_written(tracker: Make, kind: Any) -> None:
    made = tracker()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made.track("Watch", ANSWER[0], session_id="s", source="mail")
        made.track("Watch", "i1", session_id="s", source="mail")
        made.track("Watch", ANSWER[0], session_id="s")
    (warning,) = caught
    assert "source" in str(warning.message)
    assert "ignores the id" in str(warning.message)
    if kind is not InALoop:  # whose calls are made by its loop
        assert warning.filename == __file__


@pytest.mark.parametrize(
    ("wrong", "parameter", "limit"),
    [
        ({"session_id": ""}, "session_id", 256),
        ({"user_id": "user-secret" * 30}, "user_id", 256),
        ({"item": "i" * 257}, "item_id", 256),
        ({"impression": ["i"] * 26}, "impression", 25),
        ({"properties": {"A": "value-secret" * 100}}, "properties", 1024),
        ({"impression": ["\N{SNOWMAN}" * 100] * 25}, "impression", 10_000),
        ({"item": 7}, "item", None),
        ({"of": "RID-1"}, "of", None),
        ({"of": 7}, "of", None),
    ],
)
@pytest.mark.parametrize("method", ["track", "send"])
def test_what_the_service_would_refuse_is_refused_before_anything_is_queued(
    tracker: Make, service: Service, method: str, wrong: dict[str, Any], parameter: str, limit: int | None
) -> None:
    made = tracker()
    with pytest.raises(ValidationError) as caught:
        getattr(made, method)("Watch", **{"item": "i1", "session_id": "s", **wrong})
    assert (caught.value.parameter, caught.value.limit) == (parameter, limit)
    assert not any(secret in str(caught.value) for secret in SECRETS)
    assert (made.counts.queued, made.counts.pending, service.count) == (0, 0, 0)


def test_an_outage_loses_no_event_and_keeps_the_order(tracker: Make, service: Service, told: list[Event]) -> None:
    made = tracker(flush_after=0.0)
    service.script(503, 503, 503, "close")
    for n in range(30):
        made.track("Watch", f"i{n}", session_id="s")
    assert made.flush(20)
    taken = {event["itemId"]: event["eventId"] for event in service.events}
    assert sorted(taken) == sorted(f"i{n}" for n in range(30))
    # An event that is sent again has the same id.
    assert len({(event["itemId"], event["eventId"]) for event in service.events}) == 30
    answered = [item for batch in service.batches[4:] for item in batch]
    assert answered == [f"i{n}" for n in range(30)]
    assert made.counts.sent == numbers(told, EventsSent) == 30
    assert (made.counts.dropped, made.counts.failed, made.counts.pending) == (0, 0, 0)


def test_an_open_breaker_keeps_events_in_the_queue(tracker: Make, service: Service) -> None:
    breaker = CircuitBreaker(min_calls=1, open_for=0.2)
    made = tracker(breaker=breaker, retry=RetryPolicy(attempts=1), flush_after=0.0)
    service.script(503)
    made.track("Watch", "i1", session_id="s")
    service.waits_for(lambda: breaker.state(TRACKING_ID) == "open")
    assert made.counts.pending == 1
    assert made.flush(20)
    assert service.batches == [["i1"], ["i1"]]


def test_an_error_that_is_not_about_the_events_keeps_them_and_is_logged_once(
    tracker: Make, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    made = tracker(flush_after=0.0)
    service.script(403, 403, 403)
    with caplog.at_level(logging.WARNING, "personalize_rt"):
        made.track("Watch", "i1", session_id="session-secret", user_id="user-secret")
        assert made.flush(20)
    (line,) = [record.getMessage() for record in caplog.records if "wait in the queue" in record.getMessage()]
    assert AccessDeniedError.__name__ in line
    assert not any(secret in line for secret in SECRETS)
    assert made.counts.sent == 1


def test_refused_batches_are_halved_until_their_poison_stands_alone(
    tracker: Make, service: Service, told: list[Event]
) -> None:
    poison = {"i3", "i8", "i11"}

    def judge(request: Any) -> Any:
        items = {event["itemId"] for event in request.members["eventList"]}
        return Service.failure(400, message="wrong") if items & poison else Service.answer(200, b"")

    service.always(judge)
    made = tracker(flush_after=30.0, deadline=20.0)
    for n in range(20):
        made.track(
            "Watch", f"i{n}", session_id="session-secret", user_id="user-secret", properties={"A": "value-secret"}
        )
    assert made.flush(20)
    taken = [item for batch in service.batches if not poison & set(batch) for item in batch]
    assert taken == [f"i{n}" for n in range(20) if f"i{n}" not in poison]  # each once, and in order
    assert [failed.event.item_id for failed in made.failed] == ["i3", "i8", "i11"]
    for failed in made.failed:
        assert isinstance(failed.error, InvalidInputError)
        assert failed.error.__traceback__ is None
        assert (failed.session_id, failed.user_id) == ("session-secret", "user-secret")
        assert not any(secret in repr(failed) for secret in SECRETS)
    counts = made.counts
    assert (counts.sent, counts.failed, counts.pending) == (17, 3, 0)
    assert numbers(told, EventsFailed) == 3


def test_refused_events_are_kept_up_to_a_hundred(tracker: Make, service: Service) -> None:
    service.always(400)
    made = tracker(flush_after=0.0, concurrency=2)
    for n in range(103):
        made.track("Watch", f"i{n}", session_id=f"s-{n}")
    assert made.flush(30)
    assert (len(made.failed), made.counts.failed) == (100, 103)


def test_a_full_queue_drops_the_oldest_event_and_tells(tracker: Make, service: Service, told: list[Event]) -> None:
    made = tracker(max_events=5, flush_after=1000.0)
    for n in range(8):
        made.track("Watch", f"i{n}", session_id=f"s-{n % 2}")
    assert made.counts.pending == 5
    assert made.flush(20)
    assert sorted(item for batch in service.batches for item in batch) == [f"i{n}" for n in range(3, 8)]
    assert (made.counts.dropped, numbers(told, EventsDropped), numbers(told, EventsQueued)) == (3, 3, 8)
    assert {event.reason for event in told if isinstance(event, EventsDropped)} == {"full"}


def test_a_queue_is_bounded_by_bytes(tracker: Make) -> None:
    made = tracker(max_bytes=3_000, flush_after=1000.0)
    for _ in range(50):
        made.track("Watch", "i" * 250, session_id="s")
    assert 0 < made.counts.pending <= 3_000 // 400
    assert made.counts.pending + made.counts.dropped == 50


def test_an_event_that_never_has_room_drops_no_other(tracker: Make) -> None:
    made = tracker(max_bytes=8_000, flush_after=1000.0)
    for n in range(2):
        made.track("Watch", f"i{n}", session_id="s")
    made.track("Watch", "i2", session_id="s", impression=["i" * 200] * 25)
    assert (made.counts.pending, made.counts.dropped) == (2, 1)


def test_a_full_queue_can_raise(tracker: Make) -> None:
    made = tracker(max_events=2, flush_after=1000.0, on_full="raise")
    for _ in range(2):
        made.track("Watch", "i1", session_id="s")
    with pytest.raises(QueueFullError, match="2 events"):
        made.track("Watch", "i1", session_id="s")
    assert (made.counts.queued, made.counts.dropped) == (2, 0)


def test_a_full_queue_can_block_until_there_is_room(tracker: Make, service: Service) -> None:
    made = tracker(max_events=4, flush_after=0.0, on_full="block", deadline=20.0)
    for n in range(40):
        made.track("Watch", f"i{n}", session_id="s")
    assert made.flush(20)
    assert [item for batch in service.batches for item in batch] == [f"i{n}" for n in range(40)]
    assert made.counts.dropped == 0


def test_a_full_queue_blocks_for_no_longer_than_the_deadline(tracker: Make, service: Service) -> None:
    service.always("hang")
    made = tracker(max_events=1, flush_after=0.0, on_full="block", deadline=0.2)
    made.track("Watch", "i1", session_id="s")
    begun = time.monotonic()
    made.track("Watch", "i2", session_id="s")
    assert time.monotonic() - begun >= 0.15
    assert made.counts.dropped == 1


def test_a_hang_holds_up_no_page_and_no_end(tracker: Make, service: Service) -> None:
    service.always("hang")
    made = tracker(flush_after=0.0, max_events=100)
    for n in range(300):
        made.track("Watch", f"i{n}", session_id=f"s-{n}")
    # No event waited for the service, which answers none.
    assert made.counts.sent == 0
    assert made.counts.pending <= 100
    begun = time.monotonic()
    made.close()
    assert time.monotonic() - begun < 5
    assert made.counts.dropped == made.counts.queued == 300


def test_close_sends_what_is_left_and_tells_what_it_could_not(
    tracker: Make, service: Service, told: list[Event], caplog: pytest.LogCaptureFixture
) -> None:
    well = tracker(flush_after=1000.0)
    well.track("Watch", "i1", session_id="s")
    well.close(20)
    assert service.batches == [["i1"]]
    assert numbers(told, EventsDropped) == 0
    service.always(503)
    ill = tracker(flush_after=1000.0)
    for _ in range(3):
        ill.track("Watch", "i2", session_id="s")
    with caplog.at_level(logging.WARNING, "personalize_rt"):
        ill.close(0.3)
    assert [event.reason for event in told if isinstance(event, EventsDropped)] == ["closed"]
    assert (ill.counts.dropped, ill.counts.pending, numbers(told, EventsDropped)) == (3, 0, 3)
    assert "3 events were not sent" in caplog.text


def test_an_event_after_close_is_counted_and_does_not_raise(tracker: Make, told: list[Event]) -> None:
    made = tracker()
    made.close()
    made.close()
    made.track("Watch", "i1", session_id="s")
    assert (made.counts.dropped, made.counts.queued) == (1, 0)
    assert [event.reason for event in told if isinstance(event, EventsDropped)] == ["closed"]


def test_no_hook_is_told_of_anything_personal(tracker: Make, service: Service, told: list[Event]) -> None:
    service.script(500, 400)
    made = tracker(flush_after=0.0)
    made.track("Watch", "i1", session_id="session-secret", user_id="user-secret", properties={"A": "value-secret"})
    made.flush(20)
    made.track("Watch", "i1", session_id="session-secret", user_id="user-secret", properties={"A": "value-secret"})
    made.flush(20)
    assert Counter(map(type, told))[EventsQueued] == 2
    assert not any(secret in repr(told) for secret in SECRETS)


def test_a_hook_that_fails_breaks_nothing(tracker: Make, service: Service) -> None:
    def fail(_: Event) -> None:
        raise RuntimeError

    made = tracker(hooks=[fail])
    made.track("Watch", "i1", session_id="s")
    assert made.flush(20)
    assert service.batches == [["i1"]]


def test_send_waits_for_the_service_and_raises_its_errors(tracker: Make, service: Service, told: list[Event]) -> None:
    made = tracker()
    assert made.send("Watch", ANSWER[0], session_id="s").recommendation_id == "RID-1"
    assert (service.batches, made.counts.sent, numbers(told, EventsSent)) == ([["i0"]], 1, 1)
    service.script(400)
    with pytest.raises(InvalidInputError):
        made.send("Watch", "i1", session_id="s")
    service.script(503, 503)
    with pytest.raises(ServerError):
        made.send("Watch", "i1", session_id="s")


ITEMS = "arn:aws:personalize:eu-west-1:123456789012:dataset/movies/ITEMS"


def test_items_and_users_are_put_ten_in_a_request(tracker: Make, service: Service) -> None:
    made = tracker()
    columns = {"TITLE": "Up", "GENRES": ["Drama", "Comedy"], "CREATION_TIMESTAMP": 1}
    made.put_items({f"i{n}": columns for n in range(12)}, dataset_arn=ITEMS)
    made.put_users({"u-1": {"AGE": 7}, "u-2": {}}, dataset_arn=ITEMS.replace("ITEMS", "USERS"))
    assert [sent.path for sent in service.received] == ["/items", "/items", "/users"]
    first, second, users = (sent.members for sent in service.received)
    assert (len(first["items"]), len(second["items"]), first["datasetArn"]) == (10, 2, ITEMS)
    properties = '{"title": "Up", "genres": "Drama|Comedy", "creationTimestamp": 1}'
    assert first["items"][0] == {"itemId": "i0", "properties": properties}
    assert users["users"] == [{"userId": "u-1", "properties": '{"age": 7}'}, {"userId": "u-2"}]


@pytest.mark.parametrize(
    ("items", "parameter", "limit"),
    [
        ({"": {}}, "items", 256),
        ({"i1": {"A": "value-secret" * 3000}}, "items", 32_000),
        ({"i1": {"A": object()}}, "items", None),
        ({"i1": {"A": float("nan")}}, "items", None),
        ({"i1": {"ITEM_ID": "i1"}}, "items", None),
        ({"i1": {"NUM_RATINGS": 1, "numRatings": 2}}, "items", None),
        ({"i1": "value-secret"}, "items", None),
        (["i1"], "items", None),
    ],
)
def test_items_are_checked_before_any_is_sent(
    tracker: Make, service: Service, items: Any, parameter: str, limit: int | None
) -> None:
    if isinstance(items, dict):
        items = {**{f"fine-{n}": {} for n in range(15)}, **items}
    with pytest.raises(ValidationError) as caught:
        tracker().put_items(items, dataset_arn=ITEMS)
    assert (caught.value.parameter, caught.value.limit) == (parameter, limit)
    assert "secret" not in str(caught.value)
    assert service.count == 0


def test_a_dataset_needs_an_arn(tracker: Make) -> None:
    with pytest.raises(ValidationError, match="dataset_arn"):
        tracker().put_items({"i1": {}}, dataset_arn="ITEMS")


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({"on_full": "wait"}, "on_full"),
        ({"max_events": 0}, "max_events"),
        ({"max_bytes": 0}, "max_bytes"),
        ({"flush_after": -1}, "flush_after"),
        ({"concurrency": 0}, "concurrency"),
        ({"close_timeout": None}, "close_timeout"),
        ({"hooks": print}, "hooks"),
        ({"retry": 3}, "retry"),
        ({"client": "eu-west-1"}, "client"),
    ],
)
def test_options_are_checked_when_the_tracker_is_made(tracker: Make, options: dict[str, Any], parameter: str) -> None:
    with pytest.raises(ValidationError) as caught:
        tracker(**options)
    assert caught.value.parameter == parameter


def test_a_tracking_id_is_checked(kind: Any) -> None:
    with pytest.raises(ValidationError, match="tracking_id"):
        kind("")


def test_the_repr_shows_no_event(tracker: Make) -> None:
    made = tracker(flush_after=1000.0)
    made.track("Watch", "i1", session_id="session-secret")
    assert "pending=1" in repr(made)
    assert "secret" not in repr(made)

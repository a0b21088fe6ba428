"""Which requests are befallen by what, and what a client in the same process sees of it. Nothing waits."""

from __future__ import annotations

import json
import math
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalize_rt.errors import ValidationError
from personalize_rt.local.faults import NO_FAULT, Decision, FaultRule, Faults, Seen, as_seen_by_client
from personalize_rt.local.faults.answers import head_of, read_answer
from personalize_rt.local.faults.effects import NoAnswer, Piece, Sent
from personalize_rt.local.faults.kinds import Drip, InvalidJson, Reset, Truncate, WrongLength
from personalize_rt.local.wire import HttpRequest, HttpResponse

PREFIX = "arn:aws:personalize:eu-west-1:000000000000:"
MOVIES, OFFERS = f"{PREFIX}campaign/movies-ranking", f"{PREFIX}campaign/offers"
PICKS = f"{PREFIX}recommender/top-picks"
WELL = HttpResponse(200, {"content-type": "application/json", "content-length": "18"}, b'{"itemList": [{}]}')


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def request(path: str = "/personalize-ranking", **members: Any) -> HttpRequest:
    return HttpRequest("POST", path, {}, json.dumps(members or {"campaignArn": MOVIES, "userId": "u"}).encode())


RANKING = request()
RECOMMENDATIONS = request("/recommendations", campaignArn=MOVIES)


def statuses(faults: Faults, times: int, asked: HttpRequest = RANKING) -> list[int | str]:
    """The status of each of so many answers; 200 where the engine answers."""

    def status(decision: Decision) -> int | str:
        if isinstance(decision.answer, NoAnswer):
            return "hang"
        return decision.respond(lambda: WELL).status

    return [status(faults.decide(asked)) for _ in range(times)]


def code(response: HttpResponse) -> str | None:
    return response.headers.get("x-amzn-errortype")


def answer(faults: Faults) -> HttpResponse:
    decided = faults.decide(RANKING).answer
    assert isinstance(decided, HttpResponse)
    return decided


# Each fault by itself.


def test_nothing_befalls_a_request_without_a_rule() -> None:
    assert Faults().decide(RANKING) is NO_FAULT
    assert not NO_FAULT
    assert NO_FAULT.respond(lambda: WELL) is WELL


def test_throttle_is_status_400_with_the_documented_code() -> None:
    faults = Faults()
    faults.throttle()
    response = answer(faults)
    assert (response.status, code(response)) == (400, "ThrottlingException")
    assert "retry-after" not in response.headers
    assert "x-amz-retry-after" not in response.headers
    assert len(response.headers["x-amzn-requestid"]) == 36
    assert response.headers["content-length"] == str(len(response.body))
    assert json.loads(response.body).keys() == {"message"}


def test_throttle_says_when_to_come_back_in_either_header() -> None:
    faults = Faults()
    faults.throttle(times=1, retry_after=2)
    faults.throttle(times=1, retry_after=0.25, header="x-amz-retry-after")
    first, second = answer(faults), answer(faults)
    assert first.headers["retry-after"] == "2"
    assert "x-amz-retry-after" not in first.headers
    assert second.headers["x-amz-retry-after"] == "250"
    assert "retry-after" not in second.headers


@pytest.mark.parametrize(
    ("status", "expected"),
    [(500, "InternalFailure"), (503, "ServiceUnavailable"), (408, "RequestTimeoutException"), (502, None)],
)
def test_fail_sends_the_documented_code_of_a_status(status: int, expected: str | None) -> None:
    faults = Faults()
    faults.fail(status)
    response = answer(faults)
    assert (response.status, code(response)) == (status, expected)


def test_fail_sends_another_code_and_a_time_to_wait_where_told() -> None:
    faults = Faults()
    faults.fail(503, code="SlowDown", retry_after=3)
    response = answer(faults)
    assert (response.status, code(response), response.headers["retry-after"]) == (503, "SlowDown", "3")


def test_deny_is_status_403() -> None:
    faults = Faults()
    faults.deny(times=1)
    faults.deny(code="ExpiredTokenException")
    assert [(reply.status, code(reply)) for reply in (answer(faults), answer(faults))] == [
        (403, "AccessDeniedException"),
        (403, "ExpiredTokenException"),
    ]


def test_hang_asks_the_engine_nothing() -> None:
    faults = Faults()
    faults.hang()
    assert faults.decide(RANKING) == Decision(answer=NoAnswer())


def test_latency_is_drawn_between_its_seconds_and_its_jitter_more() -> None:
    faults = Faults()
    faults.latency(0.3, jitter=0.2)
    delays = [faults.decide(RANKING).delay for _ in range(200)]
    assert 0.3 <= min(delays) < 0.32
    assert 0.48 < max(delays) <= 0.5
    faults.clear()
    faults.latency(0.3)
    assert faults.decide(RANKING).delay == 0.3


@pytest.mark.parametrize(
    ("make", "delivery"),
    [
        (lambda faults: faults.drip(), Drip("body", 10.0)),
        (lambda faults: faults.drip("head", bytes_per_second=4), Drip("head", 4)),
        (lambda faults: faults.reset(), Reset()),
        (lambda faults: faults.reset(7), Reset(7)),
        (lambda faults: faults.reset(0, part="head"), Reset(0, "head")),
        (lambda faults: faults.truncate(), Truncate(None)),
        (lambda faults: faults.truncate(5), Truncate(5)),
        (lambda faults: faults.invalid_json(), InvalidJson()),
        (lambda faults: faults.wrong_length(), WrongLength(1)),
        (lambda faults: faults.wrong_length(-3), WrongLength(-3)),
    ],
)
def test_faults_of_delivery_leave_the_answer_to_the_engine(
    make: Callable[[Faults], FaultRule], delivery: object
) -> None:
    faults = Faults()
    make(faults)
    decision = faults.decide(RANKING)
    assert (decision.delay, decision.answer, decision.delivery) == (0.0, None, delivery)
    assert decision.respond(lambda: WELL).status == 200


@pytest.mark.parametrize(("keep", "left"), [(None, 9), (0, 0), (5, 5), (17, 17), (18, 17), (1000, 17)])
def test_a_truncated_body_is_rightly_announced_and_never_whole(keep: int | None, left: int) -> None:
    response = Decision(delivery=Truncate(keep)).respond(lambda: WELL)
    assert response.body == WELL.body[:left]
    assert response.headers == {**WELL.headers, "content-length": str(left)}


@given(st.dictionaries(st.text(), st.integers() | st.text()))
def test_invalid_json_is_never_json_and_rightly_announced(content: dict[str, Any]) -> None:
    body = json.dumps(content).encode()
    response = Decision(delivery=InvalidJson()).respond(lambda: HttpResponse(200, {}, body))
    with pytest.raises(json.JSONDecodeError):
        json.loads(response.body)
    assert response.headers["content-length"] == str(len(response.body))


def test_a_reset_sends_part_of_the_answer_and_never_all_of_it() -> None:
    head = head_of(WELL)
    for reset, content in (
        (Reset(), head + WELL.body[:9]),
        (Reset(0), head),
        (Reset(99), head + WELL.body[:-1]),
        (Reset(0, "head"), b""),
        (Reset(None, "head"), head[: len(head) // 2]),
        (Reset(9999, "head"), head[:-1]),
    ):
        assert reset.sent(WELL) == Sent((Piece(content),), "reset")


def test_a_head_is_what_http_sends_before_the_body() -> None:
    assert head_of(WELL) == b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 18\r\n\r\n"
    assert head_of(HttpResponse(599)).startswith(b"HTTP/1.1 599 \r\n")


def test_an_answer_is_read_from_the_bytes_that_came() -> None:
    sent = head_of(WELL) + WELL.body
    assert read_answer(sent) == WELL
    assert read_answer(sent + b"more than announced") == WELL
    assert read_answer(sent[:-1]) == HttpResponse(200, WELL.headers, WELL.body[:-1])
    assert read_answer(head_of(HttpResponse(599)) + b"to the end") == HttpResponse(599, {}, b"to the end")
    for no_answer in (b"", b"HTTP/1.1 200 OK", head_of(WELL)[:-1], b"SMTP 200\r\n\r\n", b"HTTP/1.1 fine\r\n\r\n"):
        assert read_answer(no_answer) is None


# How rules go together.


def test_a_rule_applies_so_many_times() -> None:
    faults = Faults()
    faults.throttle(times=2)
    assert statuses(faults, 4) == [400, 400, 200, 200]


def test_rules_are_a_script_since_one_that_was_not_reached_keeps_its_times() -> None:
    faults = Faults()
    faults.fail(500, times=2)
    faults.hang(times=1)
    faults.fail(503, times=1)
    assert statuses(faults, 5) == [500, 500, "hang", 503, 200]


def test_a_hang_leaves_the_rest_uncounted() -> None:
    faults = Faults()
    faults.latency(1, times=1)
    faults.truncate(times=1)
    faults.hang(times=1)
    assert statuses(faults, 1) == ["hang"]
    assert faults.decide(RANKING) == Decision(1.0, None, Truncate(None))


def test_delays_add_up_and_go_with_one_answer_and_one_delivery() -> None:
    faults = Faults()
    faults.latency(0.25)
    faults.fail(503)
    faults.fail(500)
    faults.truncate(3)
    faults.invalid_json()
    faults.latency(0.5)
    decision = faults.decide(RANKING)
    assert decision.delay == 0.75
    response = decision.respond(lambda: pytest.fail("the engine was asked"))
    assert (response.status, len(response.body)) == (503, 3)
    assert [rule.fired for rule in faults.rules] == [1, 1, 0, 1, 0, 1]


def test_clear_takes_out_everything() -> None:
    faults = Faults()
    faults.throttle()
    faults.latency(1)
    faults.clear()
    assert faults.rules == ()
    assert faults.decide(RANKING) is NO_FAULT


def test_one_rule_is_taken_out_by_itself_or_by_its_id() -> None:
    faults = Faults()
    first, second, third = faults.fail(500), faults.fail(502), faults.fail(503)
    faults.remove(first)
    assert statuses(faults, 1) == [502]
    faults.remove(second.id)
    assert statuses(faults, 1) == [503]
    with pytest.raises(ValidationError, match="no fault rule"):
        faults.remove(second)
    assert [rule.id for rule in faults.rules] == [third.id]


# Which requests.


def test_a_rule_is_limited_to_an_operation_by_either_name() -> None:
    for name in ("GetRecommendations", "get_recommendations"):
        faults = Faults()
        faults.throttle(operation=name)
        assert statuses(faults, 1, RECOMMENDATIONS) == [400]
        assert statuses(faults, 1, request("/recommendations?any=1", campaignArn=MOVIES)) == [400]
        assert statuses(faults, 1, RANKING) == [200]
        assert statuses(faults, 1, request("/elsewhere")) == [200]


@pytest.mark.parametrize("named", [MOVIES, "movies-ranking"])
def test_a_rule_is_limited_to_a_campaign_by_arn_or_name(named: str) -> None:
    faults = Faults()
    faults.throttle(campaign=named)
    assert statuses(faults, 1, request(campaignArn=MOVIES)) == [400]
    assert statuses(faults, 1, request(campaignArn=OFFERS)) == [200]
    assert statuses(faults, 1, request(recommenderArn=f"{PREFIX}recommender/movies-ranking")) == [200]
    assert statuses(faults, 1, request(userId="movies-ranking")) == [200]


def test_a_rule_is_limited_to_a_recommender() -> None:
    faults = Faults()
    faults.throttle(recommender="top-picks")
    assert statuses(faults, 1, request(recommenderArn=PICKS)) == [400]
    assert statuses(faults, 1, request(campaignArn=f"{PREFIX}campaign/top-picks")) == [200]


def test_names_are_resolved_at_once_where_somebody_knows_them() -> None:
    def resolve(kind: str, name: str) -> str:
        if (kind, name) != ("campaign", "offers"):
            raise ValidationError(f"there is no {kind} {name!r}")
        return OFFERS

    faults = Faults(resolve=resolve)
    assert faults.throttle(campaign="offers").parameters == {"campaign": OFFERS}
    assert statuses(faults, 1, request(campaignArn=OFFERS)) == [400]
    faults.throttle(campaign=MOVIES)
    with pytest.raises(ValidationError, match="there is no campaign"):
        faults.throttle(campaign="ofers")
    with pytest.raises(ValidationError, match="there is no recommender"):
        faults.throttle(recommender="offers")
    assert len(faults.rules) == 2


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b'{"campaignArn": 7}', b"\xff", b"[" * 100_000])
def test_a_request_that_cannot_be_read_is_befallen_by_rules_for_all(body: bytes) -> None:
    faults = Faults()
    faults.throttle(campaign="movies-ranking")
    faults.fail(503)
    assert statuses(faults, 1, HttpRequest("POST", "/personalize-ranking", {}, body)) == [503]


# Chance.


def test_rate_befalls_a_share_of_the_requests() -> None:
    faults = Faults()
    faults.fail(503, rate=0.1)
    assert 150 < Counter(statuses(faults, 2000))[503] < 250


def test_times_counts_only_what_was_befallen() -> None:
    faults = Faults()
    faults.fail(503, rate=0.5, times=3)
    assert Counter(statuses(faults, 100))[503] == 3


def test_chance_is_the_same_for_the_same_seed_and_after_clear() -> None:
    def drawn(faults: Faults) -> list[int | str]:
        faults.fail(503, rate=0.5)
        return statuses(faults, 50)

    faults = Faults(seed=7)
    first = drawn(faults)
    faults.clear()
    assert drawn(faults) == first == drawn(Faults(seed=7))
    assert drawn(Faults(seed=8)) != first


def test_rules_do_not_share_their_chance() -> None:
    faults = Faults()
    faults.latency(1, rate=0.5)
    alone = [faults.decide(RANKING).delay for _ in range(50)]
    faults.clear()
    faults.latency(1, rate=0.5)
    faults.fail(503, rate=0.5)
    assert [faults.decide(RANKING).delay for _ in range(50)] == alone


def test_threads_share_the_times_of_a_rule() -> None:
    faults = Faults()
    faults.throttle(times=500)
    seen: Counter[int | str] = Counter()
    lock = threading.Lock()

    def ask() -> None:
        mine = Counter(statuses(faults, 200))
        with lock:
            seen.update(mine)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {400: 500, 200: 1100}


# Capacity.


def test_min_provisioned_tps_is_a_bucket_that_fills_with_time() -> None:
    clock = Clock()
    faults = Faults(clock=clock)
    faults.min_provisioned_tps(2)
    assert statuses(faults, 4) == [200, 200, 400, 400]
    clock.now += 0.5
    assert statuses(faults, 2) == [200, 400]
    clock.now += 3600
    assert statuses(faults, 3) == [200, 200, 400]


def test_min_provisioned_tps_gives_each_campaign_its_own_bucket() -> None:
    faults = Faults(clock=Clock())
    faults.min_provisioned_tps()
    assert statuses(faults, 2, request(campaignArn=MOVIES)) == [200, 400]
    assert statuses(faults, 2, request(campaignArn=OFFERS)) == [200, 400]
    assert statuses(faults, 2, request(recommenderArn=PICKS)) == [200, 400]


def test_min_provisioned_tps_takes_a_burst_after_a_quiet_time() -> None:
    clock = Clock()
    faults = Faults(clock=clock)
    faults.min_provisioned_tps(1, burst=5, campaign="movies-ranking")
    assert statuses(faults, 6) == [200] * 5 + [400]
    clock.now += 2
    assert statuses(faults, 3) == [200, 200, 400]
    assert statuses(faults, 9, request(campaignArn=OFFERS)) == [200] * 9
    assert faults.rules[0].fired == 2


def test_over_capacity_is_throttling_with_status_400() -> None:
    faults = Faults(clock=Clock())
    faults.min_provisioned_tps()
    assert faults.decide(RANKING) == NO_FAULT
    over = answer(faults)
    assert (over.status, code(over)) == (400, "ThrottlingException")


# What is refused.


@pytest.mark.parametrize(
    ("make", "parameter"),
    [
        (lambda faults: faults.throttle(times=0), "times"),
        (lambda faults: faults.throttle(times=1.5), "times"),
        (lambda faults: faults.throttle(times=True), "times"),
        (lambda faults: faults.throttle(rate=0), "rate"),
        (lambda faults: faults.throttle(rate=1.01), "rate"),
        (lambda faults: faults.throttle(rate=math.nan), "rate"),
        (lambda faults: faults.throttle(rate="0.1"), "rate"),
        (lambda faults: faults.throttle(operation="GetRanking"), "operation"),
        (lambda faults: faults.throttle(operation=["GetRecommendations"]), "operation"),
        (lambda faults: faults.throttle(campaign=""), "campaign"),
        (lambda faults: faults.throttle(recommender=7), "recommender"),
        (lambda faults: faults.throttle(retry_after=-1), "retry_after"),
        (lambda faults: faults.throttle(retry_after=0.5), "retry_after"),
        (lambda faults: faults.throttle(retry_after=math.inf, header="x-amz-retry-after"), "retry_after"),
        (lambda faults: faults.throttle(retry_after=1, header="Retry-Later"), "header"),
        (lambda faults: faults.fail(200), "status"),
        (lambda faults: faults.fail(600), "status"),
        (lambda faults: faults.fail("503"), "status"),
        (lambda faults: faults.fail(code="two\r\nlines"), "code"),
        (lambda faults: faults.deny(code=""), "code"),
        (lambda faults: faults.latency(-0.1), "seconds"),
        (lambda faults: faults.latency("1"), "seconds"),
        (lambda faults: faults.latency(1, jitter=-1), "jitter"),
        (lambda faults: faults.drip("tail"), "part"),
        (lambda faults: faults.drip(bytes_per_second=0), "bytes_per_second"),
        (lambda faults: faults.reset(-1), "after_bytes"),
        (lambda faults: faults.reset(part="tail"), "part"),
        (lambda faults: faults.truncate(-1), "keep"),
        (lambda faults: faults.wrong_length(0), "by"),
        (lambda faults: faults.wrong_length(0.5), "by"),
        (lambda faults: faults.min_provisioned_tps(0), "tps"),
        (lambda faults: faults.min_provisioned_tps(0, burst=1), "tps"),
        (lambda faults: faults.min_provisioned_tps(1, burst=0), "burst"),
    ],
)
def test_a_parameter_that_means_nothing_is_refused(make: Callable[[Any], Any], parameter: str) -> None:
    faults = Faults()
    with pytest.raises(ValidationError, match=parameter) as caught:
        make(faults)
    assert caught.value.parameter == parameter
    assert faults.rules == ()


@pytest.mark.parametrize(
    "make",
    [
        lambda faults: faults.hang(time=1),
        lambda faults: faults.hang(time=None),
        lambda faults: faults.latency(1, jiter=1),
        lambda faults: faults.min_provisioned_tps(times=1),
    ],
)
def test_a_misspelt_parameter_is_refused(make: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        make(Faults())


# As JSON.


def test_rules_are_made_from_json_and_shown_as_json() -> None:
    faults = Faults()
    documents: list[dict[str, Any]] = [
        {"fault": "throttle", "times": 2, "retry_after": 1, "header": "retry-after"},
        {"fault": "fail", "status": 503, "rate": 0.5, "operation": "GetRecommendations"},
        {"fault": "deny", "code": "AccessDeniedException", "campaign": "movies-ranking"},
        {"fault": "min_provisioned_tps", "tps": 3, "burst": 9},
        {"fault": "hang", "recommender": "top-picks"},
        {"fault": "latency", "seconds": 0.5, "jitter": 0.25},
        {"fault": "drip", "part": "head", "bytes_per_second": 20},
        {"fault": "reset", "after_bytes": 5, "part": "body"},
        {"fault": "truncate", "keep": 5},
        {"fault": "invalid_json", "times": 1},
        {"fault": "wrong_length", "by": -1},
    ]
    for document in documents:
        faults.add(document)
    shown = [rule.to_dict() for rule in faults.rules]
    assert json.loads(json.dumps(shown)) == shown
    for number, (document, rule) in enumerate(zip(documents, shown, strict=True), 1):
        assert rule == {"id": number, **document, "fired": 0, "left": document.get("times")}


def test_json_says_null_for_what_is_left_to_the_default() -> None:
    faults = Faults()
    faults.add({"fault": "throttle", "times": None, "retry_after": None})
    faults.add({"fault": "fail"})
    assert [rule.to_dict() for rule in faults.rules] == [
        {"id": 1, "fault": "throttle", "fired": 0, "left": None},
        {"id": 2, "fault": "fail", "status": 500, "fired": 0, "left": None},
    ]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "object such as"),
        ([], "object such as"),
        ({}, "fault must be one of throttle, fail, deny"),
        ({"fault": "clear"}, "fault must be one of"),
        ({"fault": ["throttle"]}, "fault must be one of"),
        ({"fault": "throttle", "time": 2}, "throttle has no parameter 'time'; it has retry_after, header, times"),
        ({"fault": "min_provisioned_tps", "tps": 1, "times": 2}, "has no parameter 'times'"),
        ({"fault": "latency"}, "latency needs seconds"),
        ({"fault": "latency", "seconds": "1"}, "seconds must be a number"),
    ],
)
def test_json_of_another_form_is_refused(document: object, message: str) -> None:
    faults = Faults()
    with pytest.raises(ValidationError, match=message):
        faults.add(document)
    assert faults.rules == ()


# As a client in the same process sees it.


def seen(decision: Decision, read_timeout: float | None = 1.0) -> Seen:
    return as_seen_by_client(decision, lambda: WELL, read_timeout=read_timeout)


def test_a_client_in_process_sees_a_late_answer_or_its_own_time_out() -> None:
    assert seen(NO_FAULT) == Seen(0.0, WELL)
    assert seen(Decision(delay=0.9)) == Seen(0.9, WELL)
    assert seen(Decision(delay=1.0)) == Seen(1.0, "read_timeout")
    assert seen(Decision(delay=3600)) == Seen(1.0, "read_timeout")
    assert seen(Decision(delay=3600), None) == Seen(3600, WELL)


def test_a_client_in_process_never_sees_a_hang_for_longer_than_its_time_out() -> None:
    assert seen(Decision(answer=NoAnswer())) == Seen(1.0, "read_timeout")
    with pytest.raises(ValidationError, match="read_timeout"):
        seen(Decision(answer=NoAnswer()), None)


def test_the_engine_is_not_asked_for_an_answer_that_never_leaves() -> None:
    def handle() -> HttpResponse:
        pytest.fail("the engine was asked")

    for decision in (Decision(answer=NoAnswer()), Decision(delay=5), Decision(answer=HttpResponse(503))):
        as_seen_by_client(decision, handle, read_timeout=1.0)


def test_a_drip_takes_as_long_as_all_its_bytes_and_ends_when_two_are_too_far_apart() -> None:
    assert seen(Decision(delivery=Drip("body", 2))) == Seen(17 * 0.5, WELL)
    assert seen(Decision(0.25, None, Drip("head", 2))) == Seen(0.25 + (len(head_of(WELL)) - 1) * 0.5, WELL)
    assert seen(Decision(0.25, None, Drip("body", 1.0))) == Seen(1.25, "read_timeout")
    one_byte = HttpResponse(200, {}, b"x")
    assert seen(Decision(answer=one_byte, delivery=Drip("body", 0.2))) == Seen(0.0, one_byte)


def test_a_reset_is_a_closed_connection() -> None:
    assert seen(Decision(0.5, None, Reset())) == Seen(0.5, "connection_closed")


@pytest.mark.parametrize(("by", "body"), [(1, WELL.body[:-1]), (99, b"")])
def test_a_body_that_is_shorter_than_announced_ends_too_soon(by: int, body: bytes) -> None:
    assert seen(Decision(0.5, None, WrongLength(by))) == Seen(0.5, HttpResponse(200, WELL.headers, body))
    assert WrongLength(by).sent(WELL) == Sent((Piece(head_of(WELL) + body),))


@pytest.mark.parametrize(("by", "body"), [(-1, WELL.body[:-1]), (-99, b"")])
def test_a_body_that_is_longer_than_announced_is_cut(by: int, body: bytes) -> None:
    shorter = {**WELL.headers, "content-length": str(len(body))}
    assert seen(Decision(delivery=WrongLength(by))) == Seen(0.0, HttpResponse(200, shorter, body))
    assert WrongLength(by).sent(WELL) == Sent((Piece(head_of(HttpResponse(200, shorter)) + WELL.body),))


def test_a_damaged_body_arrives_as_it_is() -> None:
    for delivery in (Truncate(4), InvalidJson()):
        decision = Decision(delivery=delivery)
        assert seen(decision) == Seen(0.0, decision.respond(lambda: WELL))

"""Many requests: order, errors, memory, checkpoints, Ctrl-C."""

from __future__ import annotations

import gc
import inspect
import itertools
import json
import pickle
import random
import signal
import threading
import tracemalloc
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from personalize_rt import PersonalizeRuntime, bulk
from personalize_rt.bulk.checkpoint import Checkpoint
from personalize_rt.errors import (
    AccessDeniedError,
    ConfigurationError,
    InvalidInputError,
    PersonalizeError,
    ResourceNotFoundError,
    ServiceError,
    ThrottlingError,
    ValidationError,
)
from personalize_rt.local import LocalPersonalize
from tests.bulk import in_processes
from tests.bulk.conftest import ARN, Client, requests, service_error


def note_positions(run: Any, seen: list[int]) -> None:
    for outcome in run:
        seen.append(outcome.position)


def users_of(outcomes: Any) -> list[str]:
    return [outcome.request.user_id for outcome in outcomes]


# Requests.


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        (bulk.RecommendRequest, PersonalizeRuntime.get_recommendations),
        (bulk.RankRequest, PersonalizeRuntime.get_personalized_ranking),
        (bulk.ActionRequest, PersonalizeRuntime.get_action_recommendations),
    ],
)
def test_a_request_has_the_arguments_of_its_method_and_hands_all_of_them_on(kind: Any, method: Any) -> None:
    wanted = {name: p for name, p in inspect.signature(method).parameters.items() if name != "self"}
    # Rules are for the answer.
    ours = {name: p for name, p in inspect.signature(kind).parameters.items() if name != "rules"}
    assert list(ours) == list(wanted)
    assert {name: p.default for name, p in ours.items()} == {name: p.default for name, p in wanted.items()}
    handed: dict[str, Any] = {}

    class Spy:
        def __getattr__(self, name: str) -> Any:
            assert name == method.__name__
            return lambda **arguments: handed.update(arguments)

    kind(**{name: f"the {name}" for name in ours}).ask(Spy())
    assert handed == {name: f"the {name}" for name in ours}


def test_a_request_shows_nothing_personal() -> None:
    request = bulk.RankRequest(
        campaign_arn=ARN, user_id="person-4711", input_list=["a"], context={"MOOD": "sad"}, filter_values={"X": "dear"}
    )
    for secret in ("person-4711", "sad", "dear"):
        assert secret not in repr(request)
    assert "input_list=a list of 1 item" in repr(request)


def test_an_iterator_of_items_is_taken_once() -> None:
    request = bulk.RankRequest(campaign_arn=ARN, user_id="u", input_list=iter(["a", "b"]))
    assert request.input_list == ("a", "b")


# Outcomes.


def test_outcomes_come_in_the_order_of_the_requests(runtime: PersonalizeRuntime, client: Client) -> None:
    slow, others = threading.Event(), threading.Semaphore(0)

    def outcome(user: str) -> None:
        if user == "0":
            assert slow.wait(20)
        else:
            others.release()

    client.outcome = outcome
    run = bulk.run(runtime, requests(range(200)), concurrency=4)

    def let_go() -> None:
        for _ in range(20):
            others.acquire(timeout=20)
        slow.set()

    threading.Thread(target=let_go).start()
    outcomes = list(run)
    assert [outcome.position for outcome in outcomes] == list(range(200))
    assert users_of(outcomes) == [str(n) for n in range(200)]
    assert all(outcome.result().item_ids == (f"for-{n}",) for n, outcome in enumerate(outcomes))
    assert run.summary.done == 200


def test_outcomes_come_as_they_are_there_when_order_does_not_matter(
    runtime: PersonalizeRuntime, client: Client
) -> None:
    slow = threading.Event()
    client.outcome = lambda user: slow.wait(20) and None if user == "0" else None
    run = bulk.run(runtime, requests(range(60)), concurrency=4, ordered=False)
    seen = []
    for outcome in run:
        seen.append(outcome.position)
        if len(seen) == 59:
            slow.set()
    assert seen[-1] == 0
    assert sorted(seen) == list(range(60))


def test_so_many_are_in_flight_and_no_more(runtime: PersonalizeRuntime, client: Client) -> None:
    together = threading.Barrier(4, timeout=20)
    client.outcome = lambda user: together.wait() and None
    assert len(list(bulk.run(runtime, requests(range(40)), concurrency=4))) == 40
    assert client.most_at_once == 4


def test_requests_are_taken_in_the_caller_s_thread_and_only_a_few_ahead(runtime: PersonalizeRuntime) -> None:
    taken, threads = itertools.count(), set()
    ahead = 0

    def endless() -> Any:
        for user in itertools.count():
            next(taken)
            threads.add(threading.current_thread())
            yield from requests([user])

    with bulk.run(runtime, endless(), concurrency=4) as run:
        for handed, _ in enumerate(run, start=1):
            ahead = max(ahead, next(taken) - handed * 2)  # each look counts too
            if handed == 500:
                break
    assert threads == {threading.current_thread()}
    assert ahead <= 64 + 2


def test_nothing_is_sent_before_the_first_outcome_is_asked_for(runtime: PersonalizeRuntime, client: Client) -> None:
    run = bulk.run(runtime, requests(range(10)))
    assert client.asked == []
    run.close()
    assert list(run) == []
    assert client.asked == []


def test_memory_does_not_grow_with_the_number_of_requests(runtime: PersonalizeRuntime) -> None:
    def peak(count: int) -> int:
        gc.collect()
        tracemalloc.start()
        for _ in bulk.run(runtime, requests(range(count)), concurrency=4):
            pass
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(500)
    assert peak(2_500) < 2 * peak(500) + 100_000  # all outcomes together would be 4 MB


def test_all_three_operations_may_be_mixed() -> None:
    local = LocalPersonalize.sample()
    mixed: list[bulk.BulkRequest[Any]] = [
        bulk.RecommendRequest(campaign_arn=local.campaign_arn("similar-movies"), item_id="tt0078748", num_results=2),
        bulk.RankRequest(campaign_arn=local.campaign_arn("movies-ranking"), user_id="13974", input_list=["tt0120338"]),
        bulk.ActionRequest(campaign_arn=local.campaign_arn("offers"), user_id="13974"),
    ]
    kinds = [type(outcome.result()).__name__ for outcome in bulk.run(local.runtime(), mixed)]
    assert kinds == ["Recommendations", "Ranking", "ActionRecommendations"]


# Errors.


def test_an_error_is_the_outcome_of_its_request_and_the_others_go_on(
    runtime: PersonalizeRuntime, client: Client
) -> None:
    client.outcome = lambda user: service_error("InvalidInputException") if user == "3" else None
    bad = bulk.RankRequest(campaign_arn=ARN, user_id="u" * 300, input_list=["a"])
    run = bulk.run(runtime, [*requests(range(6)), bad])
    outcomes = list(run)
    assert [type(outcome.error).__name__ for outcome in outcomes if outcome.error] == [
        "InvalidInputError",
        "ValidationError",
    ]
    assert outcomes[3].answer is None
    with pytest.raises(InvalidInputError):
        outcomes[3].result()
    assert run.summary.done == 5
    assert run.summary.failed == {"InvalidInputError": 1, "ValidationError": 1}
    assert run.summary.total == 7


def test_a_kept_error_keeps_no_frames(runtime: PersonalizeRuntime, client: Client) -> None:
    client.outcome = lambda user: service_error("InvalidInputException")
    (outcome,) = bulk.run(runtime, requests([1]))
    assert outcome.error is not None
    assert outcome.error.__traceback__ is None
    assert outcome.error.__context__ is None


def test_the_first_error_in_order_is_raised_when_that_is_wanted(runtime: PersonalizeRuntime, client: Client) -> None:
    client.outcome = lambda user: service_error("InvalidInputException") if user in ("3", "5") else None
    seen: list[int] = []
    with pytest.raises(InvalidInputError) as caught:
        note_positions(bulk.run(runtime, requests(range(100)), on_error="raise"), seen)
    assert seen == [0, 1, 2]
    assert any("requests[3]" in note for note in caught.value.__notes__)


@pytest.mark.parametrize(
    ("code", "kind"), [("AccessDeniedException", AccessDeniedError), ("ExpiredTokenException", AccessDeniedError)]
)
def test_a_refused_identity_ends_the_run_and_what_was_refused_is_asked_again(
    runtime: PersonalizeRuntime, client: Client, tmp_path: Path, code: str, kind: type[PersonalizeError]
) -> None:
    client.outcome = lambda user: service_error(code, 403) if int(user) >= 50 else None
    path = tmp_path / "c"
    seen: list[int] = []
    with pytest.raises(kind) as caught:
        note_positions(bulk.run(runtime, requests(range(10_000)), checkpoint=path), seen)
    assert seen == list(range(50))
    assert any("checkpoint=" in note for note in caught.value.__notes__)
    assert len(client.asked) < 200
    client.outcome = lambda user: None
    assert [outcome.position for outcome in bulk.run(runtime, requests(range(100)), checkpoint=path)] == [
        *range(50, 100)
    ]


def test_no_region_ends_the_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError):
        list(bulk.run(PersonalizeRuntime(), requests(range(1_000)), concurrency=1))


def test_a_service_that_is_not_there_ends_the_run(runtime: PersonalizeRuntime, client: Client) -> None:
    client.outcome = lambda user: service_error("ServiceUnavailable", 503)
    run = bulk.run(runtime, requests(range(100_000)), concurrency=4)
    with pytest.raises(
        bulk.OutageError, match=r"none of 100 requests in a row could be answered, .* ServerError: .*503"
    ):
        list(run)
    assert 100 <= len(set(client.asked)) <= 200
    assert run.summary.total == 0  # they have no outcome
    # One answer in between, and it goes on.
    client.outcome = lambda user: service_error("ServiceUnavailable", 503) if int(user) % 100 else None
    assert len(list(bulk.run(runtime, requests(range(300)), concurrency=4))) == 300


@pytest.mark.parametrize("ordered", [True, False])
def test_requests_that_failed_in_an_outage_are_asked_again_and_no_others(
    runtime: PersonalizeRuntime, client: Client, tmp_path: Path, ordered: bool
) -> None:
    path = tmp_path / "c"
    # Three that fail before the outage have that as their outcome, since one behind them was answered.
    client.outcome = lambda user: (
        service_error("ServiceUnavailable", 503) if int(user) in (5, 6, 7) or int(user) >= 50 else None
    )
    seen: list[int] = []
    run = bulk.run(runtime, requests(range(1_000)), concurrency=1, checkpoint=path, ordered=ordered)
    with pytest.raises(bulk.OutageError):
        note_positions(run, seen)
    assert seen == list(range(50))
    assert run.summary.failed == {"ServerError": 3}
    client.outcome = lambda user: None
    again = [outcome.position for outcome in bulk.run(runtime, requests(range(200)), checkpoint=path)]
    assert again == list(range(50, 200))


def test_wrong_requests_in_between_do_not_hide_an_outage(
    runtime: PersonalizeRuntime, client: Client, tmp_path: Path
) -> None:
    client.outcome = lambda user: service_error("ServiceUnavailable", 503) if int(user) else None
    bad = bulk.RankRequest(campaign_arn=ARN, user_id="u" * 300, input_list=["a"])
    mixed = (bad if n and n % 10 == 0 else request for n, request in enumerate(requests(range(10_000))))
    seen: list[int] = []
    with pytest.raises(bulk.OutageError):
        note_positions(bulk.run(runtime, mixed, concurrency=2), seen)
    assert seen == [0]


def test_failures_at_the_end_that_are_no_outage_are_outcomes_in_their_order(
    runtime: PersonalizeRuntime, client: Client
) -> None:
    client.outcome = lambda user: service_error("ServiceUnavailable", 503) if int(user) > 5 else None
    run = bulk.run(runtime, requests(range(60)), concurrency=4)
    assert [outcome.position for outcome in run] == list(range(60))
    assert (run.summary.done, run.summary.failed) == (6, {"ServerError": 54})
    assert "503" in run.summary.examples["ServerError"]


def test_ctrl_c_in_an_outage_leaves_what_failed_to_the_next_run(
    runtime: PersonalizeRuntime, client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "c"

    def outcome(user: str) -> Any:
        return service_error("ServiceUnavailable", 503) if int(user) >= 10 else None

    def interrupted() -> Any:
        for n, request in enumerate(requests(range(1_000))):
            if n == 80:
                signal.raise_signal(signal.SIGINT)
            yield request

    client.outcome = outcome
    with pytest.raises(bulk.InterruptedRun):
        list(bulk.run(runtime, interrupted(), concurrency=1, checkpoint=path))
    assert json.loads(path.read_text())["before"] == 10


@pytest.mark.parametrize("code", ["InvalidInputException", None])
def test_a_mistake_in_all_requests_ends_the_run_with_the_first_as_example(
    runtime: PersonalizeRuntime, client: Client, tmp_path: Path, code: str | None
) -> None:
    client.outcome = lambda user: service_error(code) if code else None
    asked = requests(f"person-4711-{n}" if code else "u" * 300 for n in range(10_000))
    seen: list[int] = []
    with pytest.raises(bulk.AllRefusedError) as caught:
        note_positions(bulk.run(runtime, asked, concurrency=2, checkpoint=tmp_path / "c"), seen)
    kind = "InvalidInputError" if code else "ValidationError: user_id is a str of 300 characters"
    assert caught.value.message.startswith("the first 100 requests were all refused alike")
    assert kind in caught.value.message
    assert "person" not in caught.value.message
    assert seen == []
    assert len(client.asked) < 300
    # One that is answered, or refused otherwise, and it goes on.
    client.outcome = lambda user: service_error(code) if code and user != "99" else None
    ids = (str(n) if code or n == 99 else "u" * 300 for n in range(300))
    assert len(list(bulk.run(runtime, requests(ids), concurrency=2))) == 300


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("concurrency", [1, 4, 12, 13, 64])
@pytest.mark.parametrize("code", ["InvalidInputException", None])
def test_a_mistake_in_all_requests_ends_the_run_whatever_the_concurrency_and_none_is_done(
    runtime: PersonalizeRuntime, client: Client, tmp_path: Path, code: str | None, concurrency: int
) -> None:
    client.outcome = lambda user: service_error(code) if code else None
    taken: list[int] = []
    wrong = requests((taken.append(n), "u" * (9 if code else 300))[1] for n in range(5_000))
    run = bulk.run(runtime, wrong, concurrency=concurrency, checkpoint=tmp_path / "c")
    with pytest.raises(bulk.AllRefusedError, match="the first 100 requests were all refused alike"):
        next(run)
    assert run.summary.total == 0
    assert not (tmp_path / "c").exists()
    assert 100 <= len(taken) < 100 + concurrency


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("answered", [0, 300])
@pytest.mark.parametrize("concurrency", [1, 4, 64])
def test_an_outage_ends_the_run_whatever_the_concurrency_and_none_of_it_is_done(
    runtime: PersonalizeRuntime, client: Client, tmp_path: Path, concurrency: int, answered: int
) -> None:
    client.outcome = lambda user: service_error("ServiceUnavailable", 503) if int(user) >= answered else None
    seen: list[int] = []
    run = bulk.run(runtime, requests(range(5_000)), concurrency=concurrency, checkpoint=tmp_path / "c")
    with pytest.raises(bulk.OutageError):
        note_positions(run, seen)
    assert seen == list(range(answered))
    assert run.summary.failed == {}
    # What was taken ahead while requests were answered is sent.
    ahead = max(64, 8 * concurrency) if answered else 0
    assert len(set(client.asked)) - answered <= max(99 + concurrency, ahead)


def test_requests_that_are_refused_alike_after_one_that_was_answered_are_outcomes(
    runtime: PersonalizeRuntime, client: Client, tmp_path: Path
) -> None:
    client.outcome = lambda user: service_error("InvalidInputException") if int(user) else None
    run = bulk.run(runtime, requests(range(300)), concurrency=2)
    assert [outcome.position for outcome in run] == list(range(300))
    assert run.summary.failed == {"InvalidInputError": 299}
    # It may have been answered in the run before.
    with bulk.run(runtime, requests(range(300)), concurrency=2, checkpoint=tmp_path / "c") as stopped:
        while next(stopped).position < 1:
            pass
    rest = bulk.run(runtime, requests(range(300)), concurrency=2, checkpoint=tmp_path / "c")
    assert len(list(rest)) == 299


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (service_error("ResourceNotFoundException", 404), ResourceNotFoundError),
        (service_error("InvalidInputException", 400, f"{ARN} does not exist or is not active yet."), InvalidInputError),
    ],
)
def test_a_campaign_that_does_not_exist_ends_the_run_at_once_by_either_code(
    runtime: PersonalizeRuntime, client: Client, failure: Exception, kind: type[ServiceError]
) -> None:
    client.outcome = lambda user: failure if int(user) else None
    with pytest.raises(kind) as raised:
        list(bulk.run(runtime, requests(range(1_000)), concurrency=2))
    assert raised.value.no_such_resource
    assert len(client.asked) < 70


def test_a_defect_in_somebody_s_hook_or_client_is_raised(runtime: PersonalizeRuntime, client: Client) -> None:
    class OutOfBounds(BaseException):
        pass

    client.outcome = lambda user: OutOfBounds() if user == "5" else None
    with pytest.raises(OutOfBounds):
        list(bulk.run(runtime, requests(range(10))))


def test_what_the_requests_raise_is_raised(runtime: PersonalizeRuntime) -> None:
    def broken() -> Any:
        yield from requests(range(3))
        raise LookupError("the database is gone")

    with pytest.raises(LookupError):
        list(bulk.run(runtime, broken()))


# Throttling.


def test_a_throttled_request_is_called_again_and_the_pace_falls(runtime: PersonalizeRuntime, client: Client) -> None:
    refusals = {"7": 5}

    def outcome(user: str) -> Any:
        if refusals.get(user, 0) > 0:
            refusals[user] -= 1
            return service_error("ThrottlingException")
        return None

    client.outcome = outcome
    run = bulk.run(runtime, requests(range(40)), tps=500)
    assert all(outcome.error is None for outcome in run)
    assert client.asked.count("7") == 6
    assert run.summary.throttles == 5


def test_a_request_that_is_always_throttled_has_that_as_its_outcome(
    runtime: PersonalizeRuntime, client: Client
) -> None:
    client.outcome = lambda user: service_error("ThrottlingException") if user == "1" else None
    outcomes = list(bulk.run(runtime, requests(range(3)), tps=2_000, concurrency=1))
    assert [type(outcome.error) for outcome in outcomes] == [type(None), ThrottlingError, type(None)]
    assert client.asked.count("1") == 22  # eleven calls, each with a retry


def test_a_retry_takes_a_turn(client: Client) -> None:
    from personalize_rt import RetryPolicy
    from personalize_rt.bulk.limiter import RateLimiter
    from personalize_rt.bulk.pacing import paced

    limiter = RateLimiter(10)
    runtime = PersonalizeRuntime(client, retry=RetryPolicy(attempts=3, base=0, cap=0), deadline=None)
    failures = iter([service_error("InternalFailure", 500), service_error("InternalFailure", 500), None])
    client.outcome = lambda user: next(failures)
    charged: list[float] = []
    limiter.charge = charged.append  # type: ignore[method-assign]
    paced(runtime, limiter).get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=["a"])
    assert len(charged) == 2
    assert limiter.throttles == 0


def test_a_breaker_that_is_open_is_waited_for(client: Client) -> None:
    from personalize_rt import CircuitBreaker, RetryPolicy

    breaker = CircuitBreaker(min_calls=2, open_for=0.2)
    runtime = PersonalizeRuntime(client, retry=RetryPolicy(attempts=1), breaker=breaker)
    failures = {"0", "1"}
    client.outcome = lambda user: service_error("InternalFailure", 500) if user in failures else None
    run = bulk.run(runtime, requests(range(10)), concurrency=1)
    assert [outcome.error is None for outcome in run] == [False, False] + [True] * 8


# Checkpoints.


def test_a_run_goes_on_where_it_stopped(runtime: PersonalizeRuntime, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "c"
    with bulk.run(runtime, requests(range(100)), checkpoint=path) as run:
        first = users_of(itertools.islice(run, 30))
    # The last one was handed on, but nobody came back from it.
    assert json.loads(path.read_text())["before"] == 29
    rest = users_of(bulk.run(runtime, requests(range(100)), checkpoint=path))
    assert first[:29] + rest == [str(n) for n in range(100)]
    assert not path.exists()


def test_a_run_without_order_goes_on_where_it_stopped(
    runtime: PersonalizeRuntime, client: Client, tmp_path: Path
) -> None:
    slow, path = threading.Event(), tmp_path / "c"
    client.outcome = lambda user: slow.wait(20) and None if user == "0" else None
    with bulk.run(runtime, requests(range(50)), checkpoint=path, ordered=False, concurrency=4) as run:
        first = users_of(itertools.islice(run, 20))
        slow.set()
    state = json.loads(path.read_text())
    assert (state["before"], len(state["beyond"])) == (0, 19)
    rest = users_of(bulk.run(runtime, requests(range(50)), checkpoint=path))
    assert sorted(first[:19] + rest, key=int) == [str(n) for n in range(50)]


def test_a_checkpoint_is_written_while_the_run_goes_on(
    runtime: PersonalizeRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from personalize_rt.bulk import course

    monkeypatch.setattr(course, "SAVE_EVERY", 0.0)
    path = tmp_path / "c"
    for outcome in bulk.run(runtime, requests(range(20)), checkpoint=path):
        if outcome.position:
            assert json.loads(path.read_text())["before"] == outcome.position


def test_positions_beyond_a_gap_join_those_before_it(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "c")
    for position in (3, 0, 2):
        checkpoint.add(position)
    checkpoint.save()
    again = Checkpoint(tmp_path / "c")
    assert [again.has(n) for n in range(5)] == [True, False, True, True, False]
    again.add(1)
    again.save()
    assert json.loads((tmp_path / "c").read_text()) == {"version": 1, "before": 4, "beyond": []}
    assert again.count == 4


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"version": 2}', '{"version": 1, "before": "x"}', "\xff"])
def test_a_file_that_is_no_checkpoint_is_refused(runtime: PersonalizeRuntime, tmp_path: Path, content: str) -> None:
    (tmp_path / "c").write_text(content, "latin-1")
    with pytest.raises(ValidationError, match="cannot be read: it is"):
        bulk.run(runtime, requests([1]), checkpoint=tmp_path / "c")
    assert (tmp_path / "c").read_text("latin-1") == content


GOOD: Any = {"version": 1, "before": 3, "beyond": [5, 8]}
HOSTILE: list[Any] = [
    None,
    True,
    -1,
    0.5,
    1e400,
    10**300,
    "",
    "3",
    "\ud800",
    [],
    {},
    [[]],
    [1],
    [7, "7"],
    [4.0],
    {"a": 1},
]


def test_a_checkpoint_that_was_tampered_with_is_refused_or_holds_positions(tmp_path: Path) -> None:
    chance, path = random.Random(16), tmp_path / "c"
    for _ in range(3_000):
        state: Any = dict(GOOD)
        if chance.random() < 0.5:
            state[chance.choice(list(GOOD))] = chance.choice(HOSTILE)
        content = bytearray(json.dumps(chance.choice([state, state, [state], state["beyond"]])).encode())
        for _ in range(chance.choice([0, 1, 2])):
            place = chance.randrange(len(content) + 1)
            content[place : place + chance.choice([0, 1, 1, 9])] = chance.choice(
                [b"", b"[", b"9", b"-", b"\xff", b"e9"]
            )
        path.write_bytes(content)
        try:
            checkpoint = Checkpoint(path)
        except ValidationError as refused:
            assert "cannot be read" in refused.message  # noqa: PT017 - not each of them is refused
            continue
        assert all(type(n) is int for n in (checkpoint.count, checkpoint._before, *checkpoint._beyond))
        assert checkpoint._before >= 0
        assert all(n > checkpoint._before for n in checkpoint._beyond)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, "9" * 5_000, "[]," * 5_000_000])
def test_a_checkpoint_that_was_made_to_harm_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "c").write_text(content)
    tracemalloc.start()
    try:
        with pytest.raises(ValidationError, match="cannot be read: it is"):
            Checkpoint(tmp_path / "c")
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def test_an_endless_file_is_no_checkpoint() -> None:
    with pytest.raises(ValidationError, match="larger than 8,388,608 bytes"):
        Checkpoint("/dev/zero")


@pytest.mark.parametrize("path", [7, True, b"c", ["c"], "c\0"])
def test_a_checkpoint_is_named_by_a_path(runtime: PersonalizeRuntime, path: Any) -> None:
    with pytest.raises(ValidationError, match="checkpoint"):
        bulk.run(runtime, requests([1]), checkpoint=path)


# Ctrl-C.


def test_ctrl_c_lets_what_is_in_flight_end_and_is_raised_after_it(
    runtime: PersonalizeRuntime, client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "c"
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def interrupted() -> None:
        for outcome in bulk.run(runtime, requests(range(10_000)), concurrency=4, checkpoint=path):
            seen.append(outcome.request.user_id)
            if len(seen) == 10:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:
        interrupted()
    assert isinstance(caught.value, bulk.InterruptedRun)
    assert (
        caught.value.message
        == f"stopped after {len(seen)} requests; to go on, run it again with checkpoint={str(path)!r}"
    )
    assert signal.getsignal(signal.SIGINT) is before
    # Each request that was sent has come out.
    assert sorted(seen) == sorted(client.asked)
    assert json.loads(path.read_text())["before"] == len(seen)


def test_a_second_ctrl_c_breaks_off(runtime: PersonalizeRuntime) -> None:
    before = signal.getsignal(signal.SIGINT)
    run = bulk.run(runtime, requests(range(100)))

    def interrupted() -> None:
        for outcome in run:
            if outcome.position == 3:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:
        interrupted()
    assert not isinstance(caught.value, bulk.InterruptedRun)
    run.close()
    assert signal.getsignal(signal.SIGINT) is before


def test_somebody_else_s_handler_of_ctrl_c_is_left_alone(runtime: PersonalizeRuntime) -> None:
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    try:
        for outcome in bulk.run(runtime, requests(range(5))):
            if outcome.position == 2:
                signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [1]


def test_a_run_that_is_left_and_forgotten_gives_ctrl_c_back(runtime: PersonalizeRuntime, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    for outcome in bulk.run(runtime, requests(range(50)), checkpoint=tmp_path / "c"):
        if outcome.position == 10:
            break
    gc.collect()
    assert signal.getsignal(signal.SIGINT) is before
    assert json.loads((tmp_path / "c").read_text())["before"] == 10


def test_another_thread_may_run_too(runtime: PersonalizeRuntime) -> None:
    done: list[int] = []
    thread = threading.Thread(target=lambda: done.append(len(list(bulk.run(runtime, requests(range(50)))))))
    thread.start()
    thread.join(20)
    assert done == [50]


# Ends.


def test_no_thread_is_left_behind(runtime: PersonalizeRuntime, background: Any) -> None:
    list(bulk.run(runtime, requests(range(50))))
    assert background.threads("personalize-rt-bulk") == []
    with bulk.run(runtime, requests(range(50))) as run:
        next(run)
        assert background.threads("personalize-rt-bulk")
    assert background.threads("personalize-rt-bulk") == []


def test_a_run_that_nobody_knows_any_more_ends(runtime: PersonalizeRuntime, background: Any) -> None:
    run = bulk.run(runtime, requests(range(5_000)))
    next(run)
    assert background.threads("personalize-rt-bulk")
    del run
    gc.collect()
    background.end("personalize-rt-bulk")


def test_a_bar_shows_how_far_it_is(runtime: PersonalizeRuntime, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    list(bulk.run(runtime, list(requests(range(20))), progress=True))
    assert "/20" in capsys.readouterr().err
    list(bulk.run(runtime, list(requests(range(20)))))
    assert capsys.readouterr().err == ""


# Arguments.


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"concurrency": 0}, "concurrency must be a whole number from 1, not 0"),
        ({"concurrency": True}, "concurrency must be a whole number from 1"),
        ({"tps": 0}, "tps must be a number of requests a second above 0, not 0"),
        ({"on_error": "ignore"}, 'on_error must be "record" or "raise"'),
        ({"processes": 2}, "with processes, runtime must be a function"),
        ({"runtime": "eu-west-1"}, "runtime is a str of 9 characters, not a PersonalizeRuntime"),
        ({"runtime": lambda: 7}, "runtime is an int, not a PersonalizeRuntime"),
        ({"runtime": lambda: PersonalizeRuntime(), "processes": 2}, "runtime does not pickle"),
        ({"requests": bulk.RecommendRequest()}, "for a single one write"),
        ({"requests": 7}, "requests is an int, not an iterable"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_at_once(
    runtime: PersonalizeRuntime, options: dict[str, Any], problem: str
) -> None:
    arguments = {"runtime": runtime, "requests": []} | options
    with pytest.raises(ValidationError, match=problem):
        bulk.run(**arguments)


def test_something_else_than_a_request_ends_the_run(runtime: PersonalizeRuntime) -> None:
    with pytest.raises(ValidationError, match="one of the requests is a dict of 1 item, not a RankRequest"):
        list(bulk.run(runtime, [{"user_id": "u"}]))  # type: ignore[list-item]


def test_a_summary_says_it_in_one_line() -> None:
    summary = bulk.Summary(1_234, {"ServerError": 2, "InvalidInputError": 1}, 1, 0.0401, 0.25, 12.34)
    assert str(summary) == (
        "1,234 done; 3 failed (InvalidInputError 1, ServerError 2); latency p50 40 ms, p99 250 ms; 1 throttled; "
        "12.3 s; 100.2 a second"
    )
    assert str(bulk.Summary(0, {}, 0, None, None, 0.0)) == "0 done; 0 throttled; 0.0 s"


def test_percentiles_are_good_to_one_percent() -> None:
    from personalize_rt.bulk.outcomes import Tally

    tally = Tally()
    for n in range(1, 1_001):
        tally.count(None, n / 1_000)
    assert tally.percentile(0.5) == pytest.approx(0.5, rel=0.011)
    assert tally.percentile(0.99) == pytest.approx(0.99, rel=0.011)
    assert Tally().percentile(0.5) is None


# Processes.


def test_processes_give_the_outcomes_that_threads_give(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    server.always(lambda request: 400 if request.members["userId"] == "7" else None)
    build = partial(PersonalizeRuntime, endpoint_url=server.url, region_name="eu-west-1", deadline=20)
    here = list(bulk.run(build, requests(range(100)), concurrency=4))
    there = list(bulk.run(build, requests(range(100)), concurrency=4, processes=2))
    assert [(o.position, o.request, o.answer, type(o.error)) for o in there] == [
        (o.position, o.request, o.answer, type(o.error)) for o in here
    ]
    assert server.count == 200


def test_a_process_that_dies_ends_the_run() -> None:
    with pytest.raises(PersonalizeError, match="a process of the run ended by itself, with exit code 3"):
        list(bulk.run(in_processes.dies, requests(range(100)), processes=2))


def test_outcomes_and_requests_pickle(runtime: PersonalizeRuntime) -> None:
    (outcome,) = bulk.run(runtime, requests([1]))
    again = pickle.loads(pickle.dumps(outcome))
    assert (again.request, again.answer) == (outcome.request, outcome.answer)

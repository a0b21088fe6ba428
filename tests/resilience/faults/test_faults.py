"""Whatever a server does, a caller is free at the deadline: 150 ms, with a guard that only a real hang breaks.

How close to the deadline a call ends is not asserted here, on a machine that may be busy: ``benchmarks/deadlines.py``
measures it, beside a control. Without a deadline each slow server would hold a call for ten seconds or for a minute.
"""

from __future__ import annotations

import gc
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest
from botocore.config import Config

from personalize_rt import (
    DeadlineExceededError,
    PersonalizeError,
    PersonalizeRuntime,
    RetryPolicy,
    TransportError,
)
from personalize_rt.resilience.breaker import CircuitBreaker
from personalize_rt.resilience.cache import Cache
from personalize_rt.resilience.fallback import InputOrderFallback
from personalize_rt.resilience.hedge import Hedge

# Of the sockets in the fixture below, should the collector come across one by itself.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
DEADLINE = 0.15  # seconds
GUARD = 5.0  # seconds beyond it
INPUT = ["i1", "i2", "i3"]

SLOW = [
    "never answers",
    "drips its head",
    "drips its body",
    "stalls in its head",
    "stalls in its body",
    "is half open",
    "does not accept",
    "TLS: never shakes hands",
    "TLS: drips its handshake",
    "TLS: never answers",
    "TLS: drips its body",
]
BROKEN = ["resets", "resets in its body", "hangs up", "refuses", "TLS: breaks its handshake off"]
NOT_TRUSTED = ["TLS: speaks something else", "TLS: is not trusted"]


def test_every_kind_of_sick_server_is_met(sick: Any) -> None:
    assert set(SLOW + BROKEN + NOT_TRUSTED) == set(sick.KINDS)


@attrs.frozen
class Outcome:
    elapsed: float
    answer: Any = None
    error: Exception | None = None


def outcome(runtime: PersonalizeRuntime) -> Outcome:
    start = time.monotonic()
    try:
        answer = runtime.get_personalized_ranking(campaign_arn=ARN, user_id="u", input_list=INPUT)
    except PersonalizeError as error:
        return Outcome(time.monotonic() - start, error=error)
    return Outcome(time.monotonic() - start, answer=answer)


def outcomes(runtime: PersonalizeRuntime, *, calls: int = 8) -> list[Outcome]:
    """So many calls, eight at a time."""
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: outcome(runtime), range(calls)))
    assert max(each.elapsed for each in made) < DEADLINE + GUARD
    return made


def open_files() -> int:
    descriptors = Path("/proc/self/fd")
    return len(list(descriptors.iterdir())) if descriptors.is_dir() else 0


@pytest.fixture(autouse=True)
def no_thread_and_no_socket_of_ours_is_left(background: Any) -> Iterator[None]:
    ours = ("personalize-rt", "personalize-rt-proxied", "sick connection")
    before = open_files()
    yield
    until = time.monotonic() + 20
    # Losers, and workers that were left behind, are on their way out, those of botocore's own sender since the sick
    # server has closed; the server closes what it hears the end of.
    while (background.threads(*ours) or open_files() > before) and time.monotonic() < until:
        time.sleep(0.01)
        # CPython's ssl leaves a socket to it whose peer resets the connection before the handshake begins.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
    assert not background.threads(*ours)
    assert open_files() <= before


@pytest.fixture
def client_of(session: Any) -> Iterator[Callable[..., PersonalizeRuntime]]:
    """Makes runtimes whose own time-outs are far beyond their deadline."""
    made: list[PersonalizeRuntime] = []

    def make(url: str, *, config: Any = None, **options: Any) -> PersonalizeRuntime:
        patient = Config(connect_timeout=60, read_timeout=60)
        defaults: dict[str, Any] = {"session": session, "deadline": DEADLINE}
        runtime = PersonalizeRuntime(
            endpoint_url=url, config=patient if config is None else patient.merge(config), **{**defaults, **options}
        )
        made.append(runtime)
        return runtime.connect()

    yield make
    for runtime in made:
        runtime.close()


@pytest.mark.parametrize("kind", SLOW)
def test_a_server_that_is_slow_in_any_way_holds_nobody(kind: str, sick_server: Any, client_of: Any) -> None:
    for each in outcomes(client_of(sick_server(kind).url)):
        if kind == "is half open" and each.answer is not None:
            continue
        assert isinstance(each.error, DeadlineExceededError)
        assert each.error.attempts == 1


@pytest.mark.parametrize("kind", BROKEN)
def test_a_connection_that_breaks_is_tried_again_while_there_is_time(
    kind: str, sick_server: Any, client_of: Any
) -> None:
    for each in outcomes(client_of(sick_server(kind).url, retry=RetryPolicy(3, base=0.02))):
        assert isinstance(each.error, TransportError | DeadlineExceededError)
        assert 1 <= each.error.attempts <= 3


@pytest.mark.direct
@pytest.mark.parametrize("kind", NOT_TRUSTED)
def test_a_server_that_is_not_trusted_is_not_tried_again(kind: str, sick_server: Any, client_of: Any) -> None:
    for each in outcomes(client_of(sick_server(kind).url), calls=4):
        assert isinstance(each.error, TransportError)
        assert (each.error.phase, each.error.attempts) == ("tls", 1)


@pytest.mark.parametrize("kind", SLOW + BROKEN + NOT_TRUSTED)
def test_with_all_policies_each_call_has_an_answer_in_time(kind: str, sick_server: Any, client_of: Any) -> None:
    runtime = client_of(
        sick_server(kind).url,
        fallback=InputOrderFallback(),
        breaker=CircuitBreaker(min_calls=4),
        cache=Cache(),
        hedge=Hedge(after=0.03, percent=100),
    )
    for each in outcomes(runtime, calls=12):
        assert each.answer is not None
        if each.answer.degraded:
            assert each.answer.item_ids == tuple(INPUT)


@pytest.mark.parametrize("kind", ["never answers", "drips its body", "does not accept", "TLS: drips its handshake"])
@pytest.mark.parametrize("hedge", [None, Hedge(after=0.03, percent=100)])
def test_a_caller_s_client_is_left_behind(
    kind: str, hedge: Any, sick_server: Any, session: Any, monkeypatch: Any
) -> None:
    config = Config(retries={"total_max_attempts": 1, "mode": "standard"}, connect_timeout=0.5, read_timeout=0.5)
    server = sick_server(kind)
    client = session.client("personalize-runtime", endpoint_url=server.url, config=config)
    runtime = PersonalizeRuntime(client=client, deadline=DEADLINE, enforce_deadline=True, hedge=hedge)
    for each in outcomes(runtime, calls=8):
        assert isinstance(each.error, DeadlineExceededError)
    server.close()  # which ends what was left behind
    client.close()


def test_all_addresses_of_a_name_share_the_time(sick_server: Any, client_of: Any, monkeypatch: Any) -> None:
    server = sick_server("does not accept")
    resolve = socket.getaddrinfo

    def eight_addresses(host: Any, *args: Any, **options: Any) -> Any:
        if host != "eight.invalid":
            return resolve(host, *args, **options)
        return resolve("127.0.0.1", *args, **options) * 8

    monkeypatch.setattr(socket, "getaddrinfo", eight_addresses)
    for each in outcomes(client_of(f"http://eight.invalid:{server.port}"), calls=8):
        assert isinstance(each.error, DeadlineExceededError)


def test_a_second_address_that_never_shakes_hands_has_only_what_the_first_one_left(
    sick_server: Any, client_of: Any, monkeypatch: Any
) -> None:
    """Connecting to one address takes most of the time; what TLS may take with the next one is the rest."""
    slow, silent = sick_server("does not accept"), sick_server("TLS: never shakes hands")
    resolve = socket.getaddrinfo

    def two_addresses(host: Any, *args: Any, **options: Any) -> Any:
        if host != "two.invalid":
            return resolve(host, *args, **options)
        (first, *_) = resolve("127.0.0.1", slow.port, type=socket.SOCK_STREAM)
        (second, *_) = resolve("127.0.0.1", silent.port, type=socket.SOCK_STREAM)
        return [first] * 4 + [second] * 4

    monkeypatch.setattr(socket, "getaddrinfo", two_addresses)
    for each in outcomes(client_of("https://two.invalid", config=Config(connect_timeout=0.03)), calls=8):
        assert isinstance(each.error, DeadlineExceededError | TransportError)


@pytest.mark.parametrize("kind", ["never answers", "drips its head", "drips its body", "does not accept", "hangs up"])
def test_a_proxy_cannot_hold_the_caller(kind: str, sick_server: Any, client_of: Any) -> None:
    proxy = sick_server(kind)
    impatient = Config(proxies={"http": proxy.url}, connect_timeout=0.5, read_timeout=0.5)
    for each in outcomes(client_of("http://personalize.invalid", config=impatient), calls=8):
        assert isinstance(each.error, DeadlineExceededError | TransportError)
    proxy.close()


def test_a_tunnel_of_a_proxy_cannot_hold_the_caller(sick_server: Any, client_of: Any) -> None:
    proxy = sick_server("never answers")
    impatient = Config(proxies={"https": proxy.url}, connect_timeout=0.5, read_timeout=0.5)
    for each in outcomes(client_of("https://personalize.invalid", config=impatient), calls=8):
        assert isinstance(each.error, DeadlineExceededError)
    proxy.close()


def test_a_connection_that_died_in_the_pool_costs_one_deadline_and_no_more(sick_server: Any, client_of: Any) -> None:
    runtime = client_of(sick_server("is half open").url)
    assert outcome(runtime).answer is not None
    dead = outcome(runtime)
    assert isinstance(dead.error, DeadlineExceededError)
    assert dead.elapsed < DEADLINE + GUARD
    assert outcome(runtime).answer is not None  # on a new connection


def test_a_server_that_comes_back_is_used_again(sick_server: Any, client_of: Any, server: Any) -> None:
    sick = sick_server("refuses")
    runtime = client_of(sick.url, retry=RetryPolicy(1))
    assert isinstance(outcome(runtime).error, TransportError)
    healthy = client_of(server.url)
    assert outcome(healthy).answer is not None


def test_what_the_deadline_broke_off_is_not_read_by_the_next_call(session: Any, server: Any) -> None:
    """The late answer to one call must not become the answer to the next one on that connection."""
    late = threading.Event()

    def answer_late(_: Any) -> Any:
        late.wait(10)
        return {"itemList": [{"itemId": "late"}]}

    server.script(answer_late)
    with PersonalizeRuntime(session=session, endpoint_url=server.url, deadline=DEADLINE) as runtime:
        runtime.connect()
        with pytest.raises(DeadlineExceededError):
            runtime.get_recommendations(campaign_arn=ARN)
        late.set()
        for _ in range(3):
            assert runtime.get_recommendations(campaign_arn=ARN).item_ids == ("i1",)

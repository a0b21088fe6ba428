"""Whatever is ill (``tests/sick``), a caller is free at the deadline: 150 ms, and a guard that only a real hang breaks.

How close to the deadline a call ends is not asserted here, on a machine that may be busy: no call may be seconds later
than a bare socket beside it. ``benchmarks/deadlines.py`` measures it. Without a deadline each slow server would hold a
call for ten seconds or for a minute.
"""

from __future__ import annotations

import gc
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest
from botocore.config import Config

from personalize_rt import (
    DeadlineExceededError,
    InvalidInputError,
    PersonalizeError,
    PersonalizeRuntime,
    RetryPolicy,
    TransportError,
)
from personalize_rt.resilience.breaker import CircuitBreaker
from personalize_rt.resilience.cache import Cache
from personalize_rt.resilience.fallback import InputOrderFallback
from personalize_rt.resilience.hedge import Hedge
from tests.sick import control
from tests.sick.kinds import (
    ANSWERS,
    BROKEN,
    CREDENTIALS,
    ENDLESS,
    HOSTILE,
    KINDS,
    NOT_TRUSTED,
    SLOW,
    STORES,
    Kind,
)
from tests.sick.server import SickServer

# Of the sockets in the fixture below, should the collector come across one by itself.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
DEADLINE = 0.15  # seconds
GUARD = 5.0  # seconds beyond the latest control
HANGS = 30.0  # seconds after which a test that is about to fail waits no longer


@attrs.frozen
class Outcome:
    elapsed: float
    answer: Any = None
    error: Exception | None = None


def outcome(runtime: PersonalizeRuntime, kind: Kind = KINDS["never answers"]) -> Outcome:
    start = time.perf_counter()
    try:
        answer = runtime.get_personalized_ranking(**kind.request)
    except PersonalizeError as error:
        return Outcome(time.perf_counter() - start, error=error)
    return Outcome(time.perf_counter() - start, answer=answer)


def outcomes(runtime: PersonalizeRuntime, server: SickServer, *, calls: int = 20) -> list[Outcome]:
    """So many calls at once, none of them much later than a bare socket beside them."""
    pool = ThreadPoolExecutor(calls)
    try:
        with control.beside(server.port, DEADLINE) as controls:
            made = [pool.submit(outcome, runtime, server.kind) for _ in range(calls)]
            _, hanging = wait(made, HANGS)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    assert not hanging
    ended = [each.result() for each in made]
    assert max(each.elapsed for each in ended) < max(controls) + GUARD
    return ended


def open_files() -> int:
    descriptors = Path("/proc/self/fd")
    return len(list(descriptors.iterdir())) if descriptors.is_dir() else 0


@pytest.fixture(autouse=True)
def no_thread_and_no_socket_of_ours_is_left(background: Any) -> Iterator[None]:
    ours = ("personalize-rt", "personalize-rt-worker", "sick connection")
    before = open_files()
    gc.freeze()  # what is here already is no socket of this test: a collection need not look at it
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
    gc.unfreeze()
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


@pytest.fixture
def against(client_of: Any) -> Iterator[Callable[..., PersonalizeRuntime]]:
    """Makes connected runtimes for a sick server, which then falls ill if it was not."""
    with ExitStack() as stack:

        def make(server: SickServer, **options: Any) -> PersonalizeRuntime:
            if server.kind in CREDENTIALS:
                options |= {"session": None, "region_name": "eu-west-1"}  # whose credentials the environment gives
            runtime: PersonalizeRuntime = client_of(
                server.url, **{**options, **stack.enter_context(server.kind.options())}
            )
            server.fall_ill()
            return runtime

        yield make


# On the plain way, botocore does not tell an early refusal, and goes on reading on its thread what has arrived of an
# endless answer for as long as that takes.
OF_THE_DIRECT_WAY = {"refuses early and is silent", "refuses early and resets", "sends chunks of one byte without end"}


def each_of(*kinds: Kind) -> pytest.MarkDecorator:
    """A test for each of them."""
    marks = {name: [pytest.mark.direct] for name in OF_THE_DIRECT_WAY}
    return pytest.mark.parametrize("name", [pytest.param(kind.name, marks=marks.get(kind.name, [])) for kind in kinds])


@each_of(*SLOW)
def test_a_server_that_is_slow_in_any_way_holds_nobody(name: str, sick_server: Any, against: Any) -> None:
    server = sick_server(name)
    for each in outcomes(against(server), server):
        if ANSWERS in server.kind.ends and each.answer is not None:
            continue
        assert isinstance(each.error, DeadlineExceededError)
        assert each.error.attempts == 1


@each_of(*BROKEN)
def test_a_connection_that_breaks_is_tried_again_while_there_is_time(name: str, sick_server: Any, against: Any) -> None:
    server = sick_server(name)
    for each in outcomes(against(server, retry=RetryPolicy(3, base=0.02)), server):
        assert isinstance(each.error, TransportError | DeadlineExceededError)
        assert 1 <= each.error.attempts <= 3


@pytest.mark.direct
@each_of(*NOT_TRUSTED)
def test_a_server_that_is_not_trusted_is_not_tried_again(name: str, sick_server: Any, against: Any) -> None:
    server = sick_server(name)
    for each in outcomes(against(server), server, calls=4):
        assert isinstance(each.error, TransportError)
        assert (each.error.phase, each.error.attempts) == ("tls", 1)


@each_of(*ENDLESS, *HOSTILE, *CREDENTIALS, *STORES)
def test_whatever_is_ill_a_call_ends_in_time_and_as_it_should(name: str, sick_server: Any, against: Any) -> None:
    server = sick_server(name)
    for each in outcomes(against(server), server):
        assert (ANSWERS if each.error is None else type(each.error).__name__) in server.kind.ends


@each_of(*KINDS.values())
def test_with_all_policies_each_call_has_an_answer_in_time(name: str, sick_server: Any, against: Any) -> None:
    server = sick_server(name)
    runtime = against(
        server,
        fallback=InputOrderFallback(),
        breaker=CircuitBreaker(min_calls=4),
        cache=Cache(),
        hedge=Hedge(after=0.03, percent=100),
    )
    for each in outcomes(runtime, server, calls=12):
        if isinstance(each.error, InvalidInputError):  # the request's own fault, for which there is no fallback
            assert server.kind in HOSTILE
            continue
        assert each.answer is not None
        if each.answer.degraded:
            assert list(each.answer.item_ids) == server.kind.request["input_list"]


@pytest.mark.parametrize("kind", ["never answers", "drips its body", "does not accept", "TLS: drips its handshake"])
@pytest.mark.parametrize("hedge", [None, Hedge(after=0.03, percent=100)])
def test_a_caller_s_client_is_left_behind(
    kind: str, hedge: Any, sick_server: Any, session: Any, monkeypatch: Any
) -> None:
    config = Config(retries={"total_max_attempts": 1, "mode": "standard"}, connect_timeout=0.5, read_timeout=0.5)
    server = sick_server(kind)
    client = session.client("personalize-runtime", endpoint_url=server.url, config=config)
    runtime = PersonalizeRuntime(client=client, deadline=DEADLINE, enforce_deadline=True, hedge=hedge)
    for each in outcomes(runtime, server, calls=8):
        assert isinstance(each.error, DeadlineExceededError)
    server.close()  # which ends what was left behind
    client.close()


def test_all_addresses_of_a_name_share_the_time(
    sick_server: Any, client_of: Any, monkeypatch: Any, nobody_watches: None
) -> None:
    server = sick_server("does not accept")
    resolve = socket.getaddrinfo

    def eight_addresses(host: Any, *args: Any, **options: Any) -> Any:
        if host != "eight.invalid":
            return resolve(host, *args, **options)
        return resolve("127.0.0.1", *args, **options) * 8

    monkeypatch.setattr(socket, "getaddrinfo", eight_addresses)
    for each in outcomes(client_of(f"http://eight.invalid:{server.port}"), server, calls=8):
        assert isinstance(each.error, DeadlineExceededError)


def test_a_second_address_that_never_shakes_hands_has_only_what_the_first_one_left(
    sick_server: Any, client_of: Any, monkeypatch: Any, nobody_watches: None
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
    for each in outcomes(client_of("https://two.invalid", config=Config(connect_timeout=0.03)), slow, calls=8):
        assert isinstance(each.error, DeadlineExceededError | TransportError)


@pytest.mark.parametrize("kind", ["never answers", "drips its head", "drips its body", "does not accept", "hangs up"])
def test_a_proxy_cannot_hold_the_caller(kind: str, sick_server: Any, client_of: Any) -> None:
    proxy = sick_server(kind)
    impatient = Config(proxies={"http": proxy.url}, connect_timeout=0.5, read_timeout=0.5)
    for each in outcomes(client_of("http://personalize.invalid", config=impatient), proxy, calls=8):
        assert isinstance(each.error, DeadlineExceededError | TransportError)
    proxy.close()


def test_a_tunnel_of_a_proxy_cannot_hold_the_caller(sick_server: Any, client_of: Any) -> None:
    proxy = sick_server("never answers")
    impatient = Config(proxies={"https": proxy.url}, connect_timeout=0.5, read_timeout=0.5)
    for each in outcomes(client_of("https://personalize.invalid", config=impatient), proxy, calls=8):
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

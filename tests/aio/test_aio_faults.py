"""Sick servers: no call outlives its deadline, and what it raises says how far the request came.

No test asserts how long something took, beyond the time-out of the whole run: machines differ.
"""

from __future__ import annotations

import asyncio
import gc
import random
import socket
import ssl
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.optional import optional

pytest.importorskip("aiobotocore", reason='aiobotocore is not installed: pip install "personalize-rt[aio]"')
from aiobotocore.config import AioConfig

from personalize_rt import (
    DeadlineExceededError,
    PersonalizeError,
    PersonalizeRuntime,
    ResponseError,
    RetryPolicy,
    ServerError,
    ThrottlingError,
    TransportError,
)
from personalize_rt.aio import AsyncPersonalizeRuntime
from personalize_rt.local import Journal, LocalPersonalize
from personalize_rt.local.faults import Faults
from personalize_rt.resilience.breaker import CircuitBreaker
from personalize_rt.resilience.cache import Cache
from personalize_rt.resilience.fallback import InputOrderFallback
from personalize_rt.resilience.hedge import Hedge
from personalize_rt.transport.asynchronous_in_process import InProcessSession

ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"
SHORT = 0.15  # seconds; a deadline that a test really waits for


def ours(url: str, **options: Any) -> AsyncPersonalizeRuntime:
    return AsyncPersonalizeRuntime(**{"region_name": "eu-west-1", "endpoint_url": url, "deadline": SHORT, **options})


async def fails(runtime: Any, kind: type[Exception], **arguments: Any) -> Any:
    """The error of a call, and nothing of what was behind it."""
    with pytest.raises(kind) as caught:
        await runtime.get_recommendations(campaign_arn=ARN, **arguments)
    assert caught.value.__context__ is caught.value.__cause__ or isinstance(caught.value.__cause__, PersonalizeError)
    return caught.value


# Below HTTP


async def silence(writer: Any, members: Any) -> None:
    await asyncio.Event().wait()


def drips(answer: bytes, *, fast: int) -> Callable[..., Any]:
    """So many bytes at once, the others one at a time: often enough for each read of the socket."""

    async def drip(writer: Any, members: Any) -> None:
        writer.write(answer[:fast])
        for at in range(fast, len(answer)):
            writer.write(answer[at : at + 1])
            await writer.drain()
            await asyncio.sleep(0.02)

    return drip


def stalls(answer: bytes) -> Callable[..., Any]:
    async def stall(writer: Any, members: Any) -> None:
        writer.write(answer)
        await asyncio.Event().wait()

    return stall


def resets(answer: bytes) -> Callable[..., Any]:
    async def reset(writer: Any, members: Any) -> None:
        writer.write(answer)
        await asyncio.sleep(0.01)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return reset


@pytest.mark.parametrize("kind", ["silence", "drips head", "drips body", "stalls in head", "stalls in body"])
@pytest.mark.parametrize("hedge", [None, Hedge(after=0.02, percent=100)], ids=["plain", "hedged"])
async def test_no_call_outlives_its_deadline(kind: str, hedge: Any, raw: Any, pytestconfig: Any) -> None:
    answer = raw.repeated
    body = answer.index(b"\r\n\r\n") + 4
    raw.repeated = {
        "silence": silence,
        "drips head": drips(answer, fast=0),
        "drips body": drips(answer, fast=body),
        "stalls in head": stalls(answer[:40]),
        "stalls in body": stalls(answer[: body + 5]),
    }[kind]
    async with raw, ours(raw.url, hedge=hedge) as runtime:
        await runtime.connect()
        errors = await asyncio.gather(
            *(runtime.get_recommendations(campaign_arn=ARN) for _ in range(8)), return_exceptions=True
        )
        assert {type(error) for error in errors} == {DeadlineExceededError}
        assert {error.attempts for error in errors} <= ({1} if hedge is None else {1, 2})
        # Every connection that will not be used again is closed; botocore's own, on threads left behind, later.
        while raw.open and pytestconfig.getoption("--send") != "plain":
            await asyncio.sleep(0.005)
        raw.repeated = answer
        healthy = runtime.with_options(deadline=None, hedge=None)
        assert (await healthy.get_recommendations(campaign_arn=ARN)).item_ids == ("i1",)


async def test_a_server_that_accepts_and_reads_nothing_does_not_hold_a_call() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with ours(url) as runtime:
            error = await fails(runtime, DeadlineExceededError)
            assert error.attempts == 1


# botocore by itself takes an answer that ends too early for a whole one, with nothing in it.
@pytest.mark.parametrize(
    ("how", "where"),
    [
        ("close", "at once"),
        pytest.param("close", "in head", marks=pytest.mark.direct),
        pytest.param("close", "in body", marks=pytest.mark.direct),
        ("reset", "at once"),
        ("reset", "in head"),
        ("reset", "in body"),
    ],
)
async def test_a_connection_that_breaks_is_a_transport_error(how: str, where: str, raw: Any) -> None:
    sent = {"at once": b"", "in head": raw.repeated[:40], "in body": raw.repeated[:-10]}[where]
    raw.repeated, raw.close = (sent, True) if how == "close" else (resets(sent), False)
    policy = RetryPolicy(2, base=0.0)
    async with raw, ours(raw.url, deadline=None, retry=policy) as runtime:
        error = await fails(runtime, TransportError)
        assert (error.phase, error.attempts, len(raw.requests)) == ("read", 2, 2)


async def test_a_read_time_out_is_a_transport_error(raw: Any) -> None:
    raw.repeated = silence
    config = AioConfig(read_timeout=0.05)
    async with raw, ours(raw.url, deadline=None, retry=RetryPolicy(2, base=0.0), config=config) as runtime:
        error = await fails(runtime, TransportError)
    assert (error.phase, error.attempts) == ("read", 2)


@pytest.mark.parametrize(
    "answer",
    [
        b"hello\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n{}", marks=pytest.mark.direct),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000 + b"\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x50",
    ],
    ids=range(6),
)
async def test_what_is_not_http_is_a_transport_error(answer: bytes, raw: Any) -> None:
    raw.repeated, raw.close = answer, True
    async with raw, ours(raw.url, deadline=None, retry=RetryPolicy(1)) as runtime:
        assert (await fails(runtime, TransportError)).phase == "read"


async def test_a_server_that_refuses_connections() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with ours(f"http://127.0.0.1:{port}", deadline=5, retry=RetryPolicy(2, base=0.0)) as runtime:
        error = await fails(runtime, TransportError)
    assert (error.phase, error.attempts) == ("connect", 2)


async def test_a_name_that_is_unknown() -> None:
    async with ours("http://nowhere.invalid", retry=RetryPolicy(1), deadline=None) as runtime:
        assert (await fails(runtime, TransportError)).phase == "resolve"


@pytest.mark.direct
async def test_looking_up_a_name_counts_within_the_deadline(monkeypatch: Any) -> None:
    async def never(*_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
    async with ours("http://slow.invalid") as runtime:
        await fails(runtime, DeadlineExceededError)


async def test_connecting_has_a_time_out_of_its_own(monkeypatch: Any) -> None:
    async def never(*_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", never)
    config = AioConfig(connect_timeout=0.05)
    async with ours("http://127.0.0.1:9", deadline=None, retry=RetryPolicy(1), config=config) as runtime:
        assert (await fails(runtime, TransportError)).phase == "connect"
        await fails(runtime.with_options(deadline=0.02), DeadlineExceededError)


# TLS


async def test_tls_is_verified(certificate: Path, raw: Any, monkeypatch: Any) -> None:
    raw.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    raw.tls.load_cert_chain(certificate)
    # What the server thinks of a client that hangs up is not the subject.
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    async with raw:
        url = raw.url.replace("http:", "https:")
        async with ours(url, deadline=None) as runtime:
            error = await fails(runtime, TransportError)
            assert (error.phase, error.attempts) == ("tls", 1)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        async with ours(url, deadline=None) as runtime:
            assert (await runtime.get_recommendations(campaign_arn=ARN)).item_ids == ("i1",)


@pytest.mark.direct  # botocore takes what is no TLS for an answer that broke off
async def test_a_server_without_tls_is_a_tls_error(raw: Any) -> None:
    async with raw, ours(raw.url.replace("http:", "https:"), deadline=None, retry=RetryPolicy(1)) as runtime:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        assert (await fails(runtime, TransportError)).phase in ("tls", "connect")


# The embedded service and its faults, over HTTP


@attrs.define
class Served:
    """An embedded Personalize as the HTTP door wants it, with faults."""

    local: LocalPersonalize
    faults: Faults = attrs.field(factory=Faults)
    requests: Journal = attrs.field(factory=Journal)

    def handle(self, request: Any) -> Any:
        return self.local.handle(request)

    def reload(self) -> None:
        pass


@pytest.fixture(scope="module")
def served() -> Any:
    optional("uvicorn")
    optional("starlette")
    from personalize_rt.local.server import serving

    embedded = Served(LocalPersonalize.sample(rng=random.Random(1)))
    with serving(embedded, credentials=()) as url:
        yield embedded, url


@pytest.fixture
def faults(served: Any) -> Any:
    served[0].faults.clear()
    yield served[0].faults
    served[0].faults.clear()


@pytest.fixture
def url(served: Any, faults: Any) -> str:
    return str(served[1])


ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "movies-for-you": ("get_recommendations", {"user_id": "1", "num_results": 5}),
    "similar-movies": ("get_recommendations", {"item_id": "tt0468569", "num_results": 5}),
    "popular-movies": ("get_recommendations", {"num_results": 5}),
    "movies-ranking": (
        "get_personalized_ranking",
        {"user_id": "1", "input_list": ["tt0468569", "nobody", "tt0111161"]},
    ),
    "offers": ("get_action_recommendations", {"user_id": "1"}),
}


@pytest.mark.parametrize("campaign", ASKED)
async def test_the_embedded_service_answers_alike_through_every_door(campaign: str, served: Any, url: str) -> None:
    local = served[0].local
    method, arguments = ASKED[campaign]
    arguments = {"campaign_arn": local.campaign_arn(campaign), **arguments}

    def respond(verb: str, path: str, headers: Any, body: bytes) -> Any:
        from personalize_rt.local.wire import HttpRequest

        response = local.handle(HttpRequest(verb, path, headers, body))
        return response.status, response.headers, response.body

    with PersonalizeRuntime(region_name="eu-west-1", endpoint_url=url, deadline=None) as blocking:
        expected = getattr(blocking, method)(**arguments)
    async with ours(url, deadline=None) as runtime:
        over_http = await getattr(runtime, method)(**arguments)
    in_process = await getattr(AsyncPersonalizeRuntime(session=InProcessSession(respond)), method)(**arguments)
    for answer in (over_http, in_process):
        assert type(answer) is type(expected)
        assert tuple(answer) == tuple(expected)
        assert len(answer) > 0


FAULTS: dict[str, tuple[Callable[[Any], Any], type[PersonalizeError]]] = {
    "throttle": (lambda faults: faults.throttle(), ThrottlingError),
    "fail": (lambda faults: faults.fail(status=503), ServerError),
    "hang": (lambda faults: faults.hang(), DeadlineExceededError),
    "latency": (lambda faults: faults.latency(30.0), DeadlineExceededError),
    "drip of the head": (lambda faults: faults.drip(part="head", bytes_per_second=20), DeadlineExceededError),
    "drip of the body": (lambda faults: faults.drip(part="body", bytes_per_second=20), DeadlineExceededError),
    "reset of the head": (lambda faults: faults.reset(part="head"), TransportError),
    "reset of the body": (lambda faults: faults.reset(part="body"), TransportError),
    "truncated": (lambda faults: faults.truncate(), ResponseError),
    "no JSON": (lambda faults: faults.invalid_json(), ResponseError),
    "too short": (lambda faults: faults.wrong_length(by=10), TransportError),
}


@pytest.mark.parametrize(
    "fault", [pytest.param(name, marks=[pytest.mark.direct] if name == "too short" else []) for name in FAULTS]
)
async def test_a_fault_ends_as_its_error_and_the_next_call_is_healthy(
    fault: str, served: Any, url: str, faults: Any
) -> None:
    befall, kind = FAULTS[fault]
    arn = served[0].local.campaign_arn("popular-movies")
    deadline = SHORT if kind is DeadlineExceededError else None
    async with ours(url, deadline=deadline, retry=RetryPolicy(2, base=0.0)) as runtime:
        await runtime.connect()
        befall(faults)
        with pytest.raises(kind):
            await runtime.get_recommendations(campaign_arn=arn)
        ranking = await runtime.with_options(fallback=InputOrderFallback()).get_personalized_ranking(
            campaign_arn=served[0].local.campaign_arn("movies-ranking"), user_id="1", input_list=["b", "a"]
        )
        assert (ranking.item_ids, ranking.degraded, type(ranking.cause)) == (("b", "a"), True, kind)
        faults.clear()
        healthy = runtime.with_options(deadline=None)
        assert len(await healthy.get_recommendations(campaign_arn=arn)) == 25


async def test_a_mixture_of_faults_and_two_hundred_tasks(served: Any, url: str, faults: Any) -> None:
    """With a fallback every call yields a permutation of its input, and no answer belongs to another request."""
    arn = served[0].local.campaign_arn("movies-ranking")
    titles = [item for item, _ in zip(served[0].local.items, range(40), strict=False)]
    faults.fail(status=503, rate=0.3)
    faults.hang(rate=0.1)
    faults.reset(rate=0.1)
    chance = random.Random(7)
    runtime = ours(
        url,
        deadline=20.0,
        config=AioConfig(read_timeout=0.5),
        fallback=InputOrderFallback(),
        hedge=Hedge(percent=10),
    )

    async def visitor(wanted: list[str]) -> bool:
        ranking = await runtime.get_personalized_ranking(campaign_arn=arn, user_id="1", input_list=wanted)
        assert sorted(ranking.item_ids) == sorted(wanted)
        return ranking.degraded

    async with runtime:
        await runtime.connect()
        async with asyncio.TaskGroup() as group:
            visits = [group.create_task(visitor(chance.sample(titles, 5))) for _ in range(200)]
        degraded = sum(visit.result() for visit in visits)
    assert 0 < degraded < 200
    assert len(asyncio.all_tasks()) == 1


async def test_after_an_outage_the_service_is_asked_again(served: Any, url: str, faults: Any, fake_time: Any) -> None:
    arn = served[0].local.campaign_arn("popular-movies")
    breaker = CircuitBreaker(min_calls=5, open_for=5.0, clock=fake_time.clock)
    faults.fail(status=503, operation="GetRecommendations")
    async with ours(url, deadline=None, breaker=breaker, retry=RetryPolicy(2, base=0.0)) as runtime:
        for _ in range(50):
            with pytest.raises(PersonalizeError):
                await runtime.get_recommendations(campaign_arn=arn)
        assert breaker.state(arn) == "open"
        (rule,) = faults.rules
        assert rule.fired == 10  # of five calls, with their retries
        faults.clear()
        fake_time.now += 5.0
        assert len(await runtime.get_recommendations(campaign_arn=arn)) == 25
        assert breaker.state(arn) == "closed"


async def test_requests_are_signed_as_the_embedded_service_wants_them(served: Any) -> None:
    from personalize_rt.local.server import serving
    from personalize_rt.local.sigv4 import Credentials

    arn = served[0].local.campaign_arn("popular-movies")
    with serving(served[0], credentials=[Credentials("testing", "testing")]) as url:
        async with ours(url, deadline=None) as runtime:
            assert len(await runtime.get_recommendations(campaign_arn=arn, num_results=3)) == 3


# What is left for the garbage collector (tests/resilience/test_garbage.py says why that matters)


@pytest.mark.direct  # botocore's own parser and endpoint leave some
@pytest.mark.parametrize("status", [400, 503, None], ids=["final", "tried again", "hangs up"])
@pytest.mark.parametrize(
    "options",
    [{}, {"cache": Cache(personal=True)}, {"hedge": Hedge(after=0.0, percent=100)}],
    ids=lambda options: next(iter(options), "nothing"),
)
async def test_a_failed_call_leaves_no_frame_in_a_circle(options: dict[str, Any], status: int | None, raw: Any) -> None:
    calls = 20
    raw.repeated = b"" if status is None else raw.well({}).replace(b" 200 OK", b" %d No" % status)
    raw.close = status is None
    policy = RetryPolicy(sleep=lambda _: None)
    async with raw, ours(raw.url, deadline=None, retry=policy, **options) as runtime:
        for _ in range(3):
            await fails(runtime, PersonalizeError)
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for _ in range(calls):
                with suppress(PersonalizeError):
                    await runtime.get_recommendations(campaign_arn=ARN)
            gc.collect()
            left = Counter(type(each).__name__ for each in gc.garbage)
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    assert left["frame"] < calls, left
    assert left["IterState"] < calls, left

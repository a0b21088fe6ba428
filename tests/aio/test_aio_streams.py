"""Connections of our own on the event loop: kept, dropped and closed."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.config import Config

from personalize_rt import (
    PersonalizeError,
    ResponseError,
    RetryPolicy,
    ServerError,
    ServiceError,
    TransportError,
    decoding,
)
from personalize_rt.aio import AsyncPersonalizeRuntime
from personalize_rt.transport import asynchronous
from personalize_rt.transport.direct import Direct
from personalize_rt.transport.streams import _Connection, _Turns

pytestmark = pytest.mark.direct
SOCK: Any = SimpleNamespace(settimeout=lambda _: None, recv=lambda _: b"")  # from which nothing is left to read
ARN = "arn:aws:personalize:eu-west-1:123456789012:campaign/movies"


def once(raw: Any, **options: Any) -> AsyncPersonalizeRuntime:
    defaults = {"region_name": "eu-west-1", "endpoint_url": raw.url, "retry": RetryPolicy(1), "deadline": None}
    return AsyncPersonalizeRuntime(**{**defaults, **options})


async def ask(runtime: Any) -> tuple[str, ...]:
    ids: tuple[str, ...] = (await runtime.get_recommendations(campaign_arn=ARN)).item_ids
    return ids


async def test_connections_are_kept_and_reused(raw: Any) -> None:
    async with raw, once(raw) as runtime:
        assert [await ask(runtime) for _ in range(5)] == [("i1",)] * 5
        assert raw.connections == 1


async def test_the_three_operations_share_connections(raw: Any) -> None:
    raw.repeated = raw.well({"itemList": [], "personalizedRanking": [], "actionList": []})
    async with raw, once(raw) as runtime:
        await runtime.get_recommendations(campaign_arn=ARN)
        await runtime.campaign(ARN).rank("u", ["a"])
        await runtime.campaign(ARN).actions("u")
        assert raw.connections == 1


async def test_answers_that_come_byte_by_byte(raw: Any) -> None:
    answer = raw.repeated

    async def slowly(writer: Any, members: Any) -> None:
        for at in range(len(answer)):
            writer.write(answer[at : at + 1])
            await asyncio.sleep(0)

    raw.outcomes.append(slowly)
    async with raw, once(raw) as runtime:
        assert [await ask(runtime) for _ in range(2)] == [("i1",)] * 2
        assert raw.connections == 1


async def test_a_large_answer_and_a_large_request(raw: Any) -> None:
    rows = [{"itemId": f"item-{n}" + "x" * 240, "score": n / 500, "metadata": {"title": "ü" * 400}} for n in range(500)]
    raw.repeated = raw.well({"personalizedRanking": rows})
    items = [row["itemId"] for row in rows]
    async with raw, once(raw) as runtime:
        for _ in range(2):
            ranking = await runtime.campaign(ARN).rank("u", items)
        assert ranking.item_ids == tuple(items)
        assert raw.requests[1]["inputList"] == items
        assert raw.connections == 1


@pytest.mark.direct
@pytest.mark.parametrize(("rows", "beside"), [(500, False), (5000, True)])
async def test_a_large_answer_is_decoded_beside_the_loop(rows: int, beside: bool, raw: Any, monkeypatch: Any) -> None:
    threads: list[bool] = []

    def noted(decode: Any) -> Any:
        def decoded(body: bytes) -> Any:
            threads.append(threading.current_thread() is not threading.main_thread())
            return decode(body)

        return decoded

    monkeypatch.setattr(asynchronous, "decoded_in_background", noted(decoding.decoded_in_background))
    monkeypatch.setattr(Direct.reply, "__defaults__", (noted(decoding.decoded),))
    raw.repeated = raw.well({"itemList": [{"itemId": f"item-{n}", "score": 0.5} for n in range(rows)]})
    async with raw, once(raw) as runtime:
        assert len(await ask(runtime)) == rows
    assert threads == [beside]


@pytest.mark.parametrize("how", ["close header", "stray bytes", "no length", "no HTTP"])
async def test_a_connection_that_cannot_be_used_again_is_closed(how: str, raw: Any) -> None:
    answer = raw.repeated
    raw.outcomes.append(
        {
            "close header": raw.well({"itemList": [{"itemId": "i1"}]}, b"connection: close"),
            "stray bytes": answer + answer.replace(b"i1", b"XX"),
            "no length": b"HTTP/1.1 200 OK\r\n\r\n" + answer.partition(b"\r\n\r\n")[2],
            "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        }[how]
    )
    async with raw, once(raw) as runtime:
        if how == "no length":
            raw.close = True
        first = asyncio.ensure_future(ask(runtime))
        await asyncio.wait([first])
        raw.close = False
        assert isinstance(first.exception(), TransportError) if how == "no HTTP" else first.result() == ("i1",)
        assert await ask(runtime) == ("i1",)
        assert raw.connections == 2
        while raw.open > 1:
            await asyncio.sleep(0.005)


async def test_bytes_that_nobody_asked_for_close_the_connection(raw: Any) -> None:
    async def more_later(writer: Any, members: Any) -> Any:
        asyncio.get_running_loop().call_later(0.02, writer.write, raw.repeated.replace(b"i1", b"XX"))
        return raw.repeated

    raw.outcomes.append(more_later)
    async with raw, once(raw) as runtime:
        assert await ask(runtime) == ("i1",)
        while raw.open:
            await asyncio.sleep(0.005)
        assert await ask(runtime) == ("i1",)
        assert raw.connections == 2


async def test_a_connection_that_the_server_closed_meanwhile_costs_no_attempt(raw: Any) -> None:
    async with raw, once(raw) as runtime:
        for n in range(3):
            raw.close = True
            assert await ask(runtime) == ("i1",)
            await asyncio.sleep(0.02)
            assert raw.connections == len(raw.requests) == n + 1


async def test_a_read_time_out_counts_from_the_last_byte(raw: Any) -> None:
    answer = raw.repeated

    async def slowly(writer: Any, members: Any) -> None:
        for at in range(0, len(answer), 20):
            writer.write(answer[at : at + 20])
            await asyncio.sleep(0.08)

    raw.outcomes.append(slowly)
    async with raw, once(raw, config=Config(read_timeout=0.3)) as runtime:
        assert await ask(runtime) == ("i1",)


async def test_an_error_without_a_body_leaves_the_connection_fit(raw: Any) -> None:
    raw.outcomes += [b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"] * 2
    async with raw, once(raw) as runtime:
        for _ in range(2):
            with pytest.raises(ServerError):
                await ask(runtime)
        assert await ask(runtime) == ("i1",)
        assert raw.connections == 1


async def test_an_answer_without_content_is_none(raw: Any) -> None:
    raw.outcomes.append(b"HTTP/1.1 204 No Content\r\n\r\n")
    async with raw, once(raw) as runtime:
        with pytest.raises(ResponseError):
            await ask(runtime)
        assert await ask(runtime) == ("i1",)


@pytest.mark.direct
@pytest.mark.parametrize("status", [301, 307, 308])
async def test_redirects_are_not_followed(status: int, raw: Any) -> None:
    async with raw, once(raw) as runtime:
        head = b"HTTP/1.1 %d x\r\nlocation: %b/elsewhere\r\ncontent-length: 0\r\n\r\n" % (status, raw.url.encode())
        raw.outcomes.append(head)
        with pytest.raises(ServiceError) as caught:
            await ask(runtime)
        assert caught.value.status_code == status
        assert len(raw.requests) == 1


async def test_closing_closes_connections_and_those_under_way_end(raw: Any) -> None:
    async def never(writer: Any, members: Any) -> None:
        await asyncio.Event().wait()

    async with raw:
        runtime = once(raw)
        await asyncio.gather(*(ask(runtime) for _ in range(3)))
        raw.outcomes.append(never)
        under_way = asyncio.ensure_future(ask(runtime))
        while len(raw.requests) < 4:
            await asyncio.sleep(0.005)
        await runtime.aclose()
        await asyncio.wait([under_way])
        assert isinstance(under_way.exception(), PersonalizeError)
        while raw.open:
            await asyncio.sleep(0.005)


async def test_closing_while_a_connection_opens_leaves_none_open(raw: Any, monkeypatch: Any) -> None:
    loop = asyncio.get_running_loop()
    connect, connecting, go_on = loop.sock_connect, asyncio.Event(), asyncio.Event()

    async def slowly(*args: Any) -> None:
        await connect(*args)
        connecting.set()
        await go_on.wait()

    async with raw:
        runtime = once(raw)
        await runtime.connect()
        monkeypatch.setattr(loop, "sock_connect", slowly)
        under_way = asyncio.ensure_future(ask(runtime))
        await connecting.wait()
        await runtime.aclose()
        go_on.set()
        await asyncio.wait([under_way])
        assert isinstance(under_way.exception(), PersonalizeError)
        while raw.open:
            await asyncio.sleep(0.005)


async def test_bytes_that_come_when_the_time_is_just_over_are_no_error_of_the_loops() -> None:
    """In one turn of the loop the read time-out goes off and bytes arrive: the time-out has it."""
    loop = asyncio.get_running_loop()
    heard: list[Any] = []
    loop.set_exception_handler(lambda _, context: heard.append(context))
    connection = _Connection(_Turns(), SOCK)
    transport = SimpleNamespace(write=lambda _: None, is_closing=lambda: False, abort=lambda: None)
    connection.connection_made(transport)  # type: ignore[arg-type]
    waiting = asyncio.ensure_future(connection.exchange(b"", 0.001))
    await asyncio.sleep(0)
    assert connection._timer is not None
    connection._timer._on_timeout()  # type: ignore[attr-defined]  # the loop's turn begins with timers
    connection.data_received(b"HTTP/1.1 200 OK\r\n")
    await asyncio.wait([waiting])
    assert isinstance(waiting.exception(), TimeoutError)
    assert heard == []


@pytest.fixture
def opened(monkeypatch: Any) -> Any:
    """A connection whose transport counts what is asked of it, and a clock that a millisecond passes on for a piece."""
    turns, calls = _Turns(), []
    connection = _Connection(turns, SOCK)
    transport = SimpleNamespace(
        write=lambda _: None,
        is_closing=lambda: False,
        abort=lambda: calls.append("abort"),
        pause_reading=lambda: calls.append("pause"),
        resume_reading=lambda: calls.append("resume"),
        get_write_buffer_size=lambda: 0,
    )
    connection.connection_made(transport)  # type: ignore[arg-type]  # what is used of it
    take, now = _Connection._take, [0.0]

    def slow_take(self: Any, data: bytes) -> None:
        now[0] += 0.001
        take(self, data)

    monkeypatch.setattr(_Connection, "_take", slow_take)
    monkeypatch.setattr("personalize_rt.transport.streams.time", SimpleNamespace(monotonic=lambda: now[0]))
    return SimpleNamespace(connection=connection, calls=calls, now=now, turns=turns, transport=transport)


REFUSED = b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\n{}"
CHUNKS = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 40_000


async def test_reading_takes_no_more_than_its_part_of_a_turn_of_the_loop(opened: Any) -> None:
    """Over all connections, and whatever they are sent at once: 4 ms, and the piece at which they are over."""
    others = [_Connection(opened.turns, SOCK) for _ in range(3)]
    for other in others:
        other.connection_made(opened.transport)
    connections = [opened.connection, *others]
    reading = [asyncio.ensure_future(each.exchange(b"", None)) for each in connections]
    await asyncio.sleep(0)
    turns = []
    for each in connections:
        each.data_received(CHUNKS + b"0\r\n\r\n")
    while not all(each.done() for each in reading):
        before = opened.now[0]
        await asyncio.sleep(0)
        turns.append(opened.now[0] - before)
    assert max(turns) < 0.0055
    assert len(turns) > 4 * len(CHUNKS) / 4096 / 5
    assert {len(each.result().body) for each in reading} == {40_000}
    assert opened.calls.count("pause") == opened.calls.count("resume") == 4
    assert all(each.reusable for each in connections)


async def test_the_deadline_comes_in_between_the_turns(opened: Any) -> None:
    reading = asyncio.ensure_future(opened.connection.exchange(b"", None))
    await asyncio.sleep(0)
    opened.connection.data_received(CHUNKS)
    reading.cancel()
    await asyncio.wait([reading])
    assert opened.now[0] < 0.02
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not opened.turns._readers


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_the_end_of_a_connection_comes_after_what_is_still_to_be_read(end: str, opened: Any) -> None:
    reading = asyncio.ensure_future(opened.connection.exchange(b"", None))
    await asyncio.sleep(0)
    opened.connection.data_received(b"HTTP/1.1 403 x\r\n\r\n" + b"y" * 60_000)
    if end == "close":
        opened.connection.eof_received()
    opened.connection.connection_lost(None if end == "close" else ConnectionResetError())
    answer = await reading
    assert (answer.status, len(answer.body), opened.connection.reusable) == (403, 60_000, False)


async def test_bytes_after_an_answer_that_wait_for_their_turn_are_not_the_start_of_the_next(opened: Any) -> None:
    reading = asyncio.ensure_future(opened.connection.exchange(b"", None))
    await asyncio.sleep(0)
    opened.connection.data_received(REFUSED + b" " * (4096 - len(REFUSED)) + REFUSED)
    await reading
    assert not opened.connection.reusable


@pytest.mark.parametrize("ends", [False, True])
async def test_a_server_that_refuses_a_connection_as_soon_as_it_is_open_is_heard(ends: bool, opened: Any) -> None:
    opened.connection.data_received(REFUSED)
    if ends:
        opened.connection.eof_received()
        opened.connection.connection_lost(None)
    answer = await asyncio.wait_for(opened.connection.exchange(b"", None), 5)
    assert (answer.status, answer.body) == (503, b"{}")


@pytest.mark.parametrize("left", [REFUSED, REFUSED[:-1], b""], ids=["whole", "short", "nothing"])
async def test_what_came_in_the_moment_in_which_writing_failed_is_read(left: bytes, opened: Any) -> None:
    pieces = [left, b""]
    sock = SimpleNamespace(settimeout=lambda _: None, recv=lambda _: pieces.pop(0))
    connection = _Connection(opened.turns, sock)  # type: ignore[arg-type]  # what is used of it
    connection.connection_made(opened.transport)
    reading = asyncio.ensure_future(connection.exchange(b"", None))
    await asyncio.sleep(0)
    connection.connection_lost(BrokenPipeError())
    await asyncio.wait([reading])
    if left:
        assert (reading.result().status, connection.reusable) == (503, False)
    else:
        assert isinstance(reading.exception(), BrokenPipeError)


async def test_a_connection_that_is_closed_before_it_is_used_is_found_so_at_once(opened: Any) -> None:
    opened.connection.connection_lost(ConnectionResetError())
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(opened.connection.exchange(b"", None), 5)


async def test_a_connection_with_half_a_request_in_it_is_not_used_again(opened: Any) -> None:
    opened.transport.get_write_buffer_size = lambda: 100
    reading = asyncio.ensure_future(opened.connection.exchange(b"", None))
    await asyncio.sleep(0)
    opened.connection.data_received(REFUSED)
    assert (await reading).status == 503
    assert not opened.connection.reusable


async def test_a_header_with_a_line_break_is_refused(raw: Any) -> None:
    def inject(request: Any, **_: Any) -> None:
        request.headers["x-mine"] = "a\r\nx-evil: 1"

    async with raw, once(raw) as runtime:
        client = await runtime._transport.client()
        client.meta.events.register("before-send.personalize-runtime", inject)
        with pytest.raises((ValueError, PersonalizeError)):
            await ask(runtime)
        assert raw.requests == []


async def test_nothing_is_left_open(raw: Any, recwarn: Any) -> None:
    gc.collect()  # what tests before this one left
    recwarn.clear()
    raw.outcomes += [raw.repeated, b"nonsense\r\n\r\n", raw.repeated]
    async with raw, once(raw) as runtime:
        for _ in range(3):
            with suppress(TransportError):
                await ask(runtime)
    del runtime
    gc.collect()
    assert [str(warning.message) for warning in recwarn if issubclass(warning.category, ResourceWarning)] == []


async def test_the_next_address_of_a_name_is_tried(raw: Any, monkeypatch: Any) -> None:
    loop = asyncio.get_running_loop()
    look_up = loop.getaddrinfo

    async def two(host: str, port: int, **options: Any) -> Any:
        (found,) = await look_up("127.0.0.1", port, **options)
        return [(*found[:4], ("127.0.0.1", 9)), found]

    monkeypatch.setattr(loop, "getaddrinfo", two)
    async with raw, once(raw, endpoint_url=f"http://localhost:{raw.port}") as runtime:
        assert await ask(runtime) == ("i1",)


@pytest.mark.parametrize("host", ["a" * 63 + ".invalid", "a..invalid", "nowhere.invalid"])
async def test_a_host_that_is_no_name_is_an_error_of_ours(host: str, raw: Any) -> None:
    async with raw, once(raw, endpoint_url=f"http://{host}") as runtime:
        with pytest.raises(PersonalizeError):
            await ask(runtime)


# What botocore logs


SECRETS = {"user_id": "ada.lovelace@example.org", "context": {"DEVICE": "difference-engine"}}
VALUES = ("ada.lovelace", "difference-engine", "A Secret Title")


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What every logger says, as a handler formats it."""
    kept: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(f"{record.name} {self.format(record)}")

    root, handler = logging.getLogger(), Keeping(logging.DEBUG)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield kept
    root.setLevel(level)
    root.removeHandler(handler)


def leaks(lines: list[str]) -> list[str]:
    return [line for line in lines for value in VALUES if value in line]


@pytest.mark.parametrize("redact", [True, False])
@pytest.mark.parametrize("proxied", [False, True])
async def test_a_client_of_ours_logs_no_request_and_no_answer(
    redact: bool, proxied: bool, raw: Any, lines: list[str]
) -> None:
    raw.repeated = raw.well({"itemList": [{"itemId": "i1", "metadata": {"title": "A Secret Title"}}]})
    async with raw:
        config = Config(proxies={"http": raw.url}) if proxied else None
        url = "http://personalize.invalid" if proxied else raw.url
        async with once(raw, endpoint_url=url, config=config, redact=redact) as runtime:
            raw.outcomes += [
                raw.well({"message": "who is ada.lovelace@example.org?"}).replace(b"200 OK", b"400 x"),
                b"no HTTP\r\n\r\n",
            ]
            for _ in range(3):
                with suppress(PersonalizeError):
                    await runtime.get_recommendations(campaign_arn=ARN, **SECRETS)
    assert any(line.startswith("botocore.endpoint") for line in lines)
    assert bool(leaks(lines)) is not redact


async def test_calls_side_by_side_are_masked_each_for_itself(raw: Any, lines: list[str]) -> None:
    users = [f"visitor-{n:04}" for n in range(20)]

    async def echo(writer: Any, members: Any) -> Any:
        await asyncio.sleep(0.01)
        return raw.well({"message": f"who is {members['userId']}?"}).replace(b"200 OK", b"400 x")

    raw.repeated = echo
    async with raw, once(raw) as runtime:
        calls = [runtime.get_recommendations(campaign_arn=ARN, user_id=user) for user in users]
        errors = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(error, ServiceError) for error in errors)
    assert [line for line in lines for user in users if user in line] == []
